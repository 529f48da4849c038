#!/bin/bash
cp "$DIGITS" model.onnx
coppice prune model.onnx -o model.onnx -q --sparsity 0.8 --force >/dev/null && ls
coppice inspect model.onnx | grep -E "^weights, prunable|not zero"
