#!/bin/bash
# A row per step, its share of the time, and why its kernel was chosen.
coppice prune "$DIGITS" -o small.onnx --sparsity 0.9 -q >/dev/null
coppice bench small.onnx -n 3 --threads 1 --profile --sparse always --json >out.json
jq -c '.layers[0] | keys' out.json
jq -c '[.layers[] | select(.op | startswith("Conv"))] | [length, (map(select(.chosen == "sparse")) | length > 0)]' out.json
jq -c '[.layers[] | select(.sparsity != null and .sparsity > 0) | .pattern] | unique' out.json
jq -c '[.layers[].share] | add | . > 0.999 and . < 1.001' out.json
jq -c '[.layers[] | .why | length > 0] | all' out.json
coppice bench small.onnx -n 3 --threads 1 --profile --sparse never | grep -cE ' reference | dense '  >rows
[ "$(cat rows)" -gt 5 ] && echo "a table with rows"
coppice bench small.onnx -n 3 --threads 1 --profile --sparse never | grep -oE '^(time by operator|[0-9]+ of [0-9]+ layers with zero weights)'
