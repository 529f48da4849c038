#!/bin/bash
. "$CLI_LIB"
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --include 'nothing.*'
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --exclude 'blocks.*' --exclude 'bias'
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --layer 'nothing=0.5'
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --exclude '*'

refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --include 'classify*'
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --masks-out -
