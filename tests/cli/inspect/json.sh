#!/bin/bash
# One object on stdout and nothing else there.
coppice inspect "$DIGITS" --json >out.json
jq '.weights | length' out.json
sed -n 1,70p out.json
tail -n 10 out.json
