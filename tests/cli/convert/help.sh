#!/bin/bash
coppice convert --help
