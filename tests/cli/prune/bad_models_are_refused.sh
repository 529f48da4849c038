#!/bin/bash
# A file that is missing, empty, truncated, of another kind, a folder.
. "$CLI_LIB"
touch empty.onnx
head -c 10000 "$DIGITS" >truncated.onnx
echo 'this is no model' >text.onnx
gzip -cn "$DIGITS" >zipped.onnx
mkdir folder.onnx
for model in missing empty truncated text zipped folder; do
    refuses coppice prune $model.onnx -o out.onnx --sparsity 0.8
done
