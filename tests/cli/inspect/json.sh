#!/bin/bash
# One object on stdout and nothing else there.
coppice inspect "$DIGITS" --json >out.json
jq -c 'keys_unsorted' out.json
jq -c '.weights[] | [.initializer, .weights, .macs, .kept_dense]' out.json
sed -n 1,63p out.json
sed -n '/"totals"/,$p' out.json
