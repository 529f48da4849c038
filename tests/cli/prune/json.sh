#!/bin/bash
# One object on stdout and nothing else there; only the time differs from run to run.
coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --json >out.json
jq -e '.ms > 0' out.json
sed 's/"ms": .*/"ms": masked/' out.json
coppice prune "$DIGITS" -o pair.onnx --sparsity 0.8 --external-data pair.data --json | jq -c '[.external_data, .bytes_out]'
stat -c %s pair.onnx pair.data
