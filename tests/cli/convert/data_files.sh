#!/bin/bash
# One file, two files, one file: the first and the last are the same.
coppice convert "$DIGITS" -o one.onnx --single-file
coppice convert one.onnx -o two.onnx --external-data two.data
coppice convert two.onnx -o again.onnx --single-file
cmp one.onnx again.onnx
ls
# A pair is replaced by another one, under the model that is read.
coppice prune two.onnx -o two.onnx -f --external-data two.data --sparsity 0.5 -q >/dev/null
coppice inspect two.onnx --json | jq '.totals.zeros'
ls
