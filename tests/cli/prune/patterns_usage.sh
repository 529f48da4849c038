#!/bin/bash
. "$CLI_LIB"
refuses coppice prune "$DIGITS" -o out.onnx --pattern 2:4 --sparsity 0.5
refuses coppice prune "$DIGITS" -o out.onnx --pattern 4x1
refuses coppice prune "$DIGITS" -o out.onnx --pattern 4:2
refuses coppice prune "$DIGITS" -o out.onnx --pattern 4y1 --sparsity 0.5
refuses coppice prune "$DIGITS" -o out.onnx --pattern 2:4 --scope lamp
refuses coppice prune "$DIGITS" -o out.onnx --pattern 2:4 --layer 'blocks*=0.3'
refuses coppice prune "$DIGITS" -o out.onnx --pattern 2:4 --steps 3
refuses coppice prune "$DIGITS" -o out.onnx --scope best --sparsity 0.5
