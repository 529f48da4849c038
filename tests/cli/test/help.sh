#!/bin/bash
coppice test --help
