#!/bin/bash
. "$CLI_LIB"
refuses coppice prune
refuses coppice prune "$DIGITS" -o out.onnx
refuses coppice prune "$DIGITS" --sparsity 0.8
refuses coppice prune "$DIGITS" extra -o out.onnx --sparsity 0.8
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --no-such-option
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 -x
refuses coppice prune "$DIGITS" -o out.onnx --sparsity
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --dry-run=yes
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --masks-out out.onnx
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --single-file --external-data out.data
refuses coppice prune "$DIGITS" -o - --sparsity 0.8 --json
