#!/bin/bash
# Every command is in the help; wrong ones are refused.
. "$CLI_LIB"
coppice --help | grep -oE '^  (inspect|prune) '
coppice -V | grep -cE '^coppice [0-9]+\.[0-9]+\.[0-9]+$'
refuses coppice
refuses coppice no-such-command
refuses coppice --no-such-option
refuses coppice prune --threads two "$DIGITS"
refuses coppice --json=missing/out.json inspect "$DIGITS"
