#!/bin/bash
# The zeros that are there count; the same file comes out.
coppice prune "$DIGITS" -o a.onnx -q --sparsity 0.8 >/dev/null
coppice prune a.onnx -o b.onnx -q --sparsity 0.8 >/dev/null
cmp a.onnx b.onnx && echo the same
