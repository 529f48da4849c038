#!/bin/bash
coppice apply-masks --help
