#!/bin/bash
coppice prune "$DIGITS" -o dense.onnx --sparsity 0.9 --weights sparse --json |
    jq '.bytes, .bytes_out < 0.35 * .bytes_in, .bytes_out == .bytes.sparse_initializer'
coppice convert dense.onnx -o out.onnx --weights sparse --external-data out.data --json >out.json
jq -e '.ms > 0' out.json
sed 's/"ms": .*/"ms": masked/' out.json
coppice convert "$DIGITS" -o same.onnx --weights sparse --sizes --json |
    jq -c '.sparse_tensors, (.bytes | .dense == .sparse_initializer, .gzip > 0)'
