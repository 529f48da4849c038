#!/bin/bash
. "$CLI_LIB"
echo precious >out.onnx
echo precious >masks.npz
echo precious >new.data
echo precious >out.json
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8
refuses coppice prune "$DIGITS" -o new.onnx --sparsity 0.8 --masks-out masks.npz
refuses coppice prune "$DIGITS" -o new.onnx --sparsity 0.8 --external-data new.data
refuses coppice prune "$DIGITS" -o new.onnx --sparsity 0.8 --json=out.json
refuses coppice prune "$DIGITS" -o out.json --sparsity 7 --force --json=out.json
ln -s nowhere link.onnx
refuses coppice prune "$DIGITS" -o link.onnx --sparsity 0.8 -q >/dev/null
