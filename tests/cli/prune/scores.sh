#!/bin/bash
. "$CLI_LIB"
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.5 --criterion wanda
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.5 --criterion file
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.5 --scores scores.npz
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.5 --criterion file --scores none.npz
coppice -q prune "$DIGITS" -o a.onnx --sparsity 0.5 --masks-out masks.npz >/dev/null
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.5 --criterion file --scores masks.npz
