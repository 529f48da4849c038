#!/bin/bash
# One line on stderr, and the error as an object on stdout.
coppice prune missing.onnx -o out.onnx --sparsity 0.8 --json
