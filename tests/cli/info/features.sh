#!/bin/bash
# What is built in and what the machine has; which values there are depends on the machine.
coppice info | grep -oE '^(coppice|isa|threads) '
coppice info --json | jq -c '[.version, (.features | keys | length > 3)]'
coppice info --operators | grep -oE '^(operator|Conv|MaxPool|Relu) '
coppice info --operators --json | jq -c '.operators[] | select(.op == "Conv")'
