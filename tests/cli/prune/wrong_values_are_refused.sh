#!/bin/bash
. "$CLI_LIB"
for s in 1.1 -0.1 nan inf 80% '' 0,8; do
    refuses coppice prune "$DIGITS" -o out.onnx --sparsity "$s"
done
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --layer 'blocks.*=2'
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --layer 'blocks.*=lots'
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --layer 'blocks.*'
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --scope best
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --external-data ../out.data
