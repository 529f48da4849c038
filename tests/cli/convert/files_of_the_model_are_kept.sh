#!/bin/bash
# No target takes a file away that the model is read from, nor tears a model from its data file.
. "$CLI_LIB"
coppice convert "$DIGITS" -o net.onnx --external-data net.data -q >/dev/null
refuses coppice prune net.onnx -o out.onnx -f --sparsity 0.5 --external-data net.data
refuses coppice prune net.onnx -o out.onnx -f --sparsity 0.5 --external-data net.onnx
refuses coppice convert net.onnx -o net.data -f --single-file
mkdir links
ln -s ../net.onnx ../net.data links
refuses coppice convert "$DIGITS" -o links/net.onnx -f --external-data new.data
refuses coppice convert "$DIGITS" -o links/new.onnx -f --external-data net.data
ls links

echo "== the pair itself may be replaced, and a link to a single file"
coppice prune net.onnx -o net.onnx -f -q --sparsity 0.5 --external-data net.data | grep bytes
coppice prune net.onnx -o ./net.onnx -f -q --sparsity 0.9 --external-data net.data | grep bytes
cp "$DIGITS" single.onnx
ln -s ../single.onnx links
coppice convert net.onnx -o links/single.onnx -f -q --single-file | grep bytes
cmp single.onnx links/single.onnx
coppice inspect single.onnx --json | jq '.totals.zeros > 0'
