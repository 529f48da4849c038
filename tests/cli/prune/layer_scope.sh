#!/bin/bash
# The same share of every layer; first and last layer are kept.
coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 && coppice inspect out.onnx
