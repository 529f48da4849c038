#!/bin/bash
# The error goes where the result would have gone, unless that file exists.
coppice prune missing.onnx -o out.onnx --sparsity 0.8 --json=error.json
jq -c '.error | [.status, .file]' error.json
echo precious >kept.json
coppice prune missing.onnx -o out.onnx --sparsity 0.8 --json=kept.json
cat kept.json
