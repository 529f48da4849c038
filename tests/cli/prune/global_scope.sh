#!/bin/bash
# The smallest weights of all layers together, nothing kept dense.
coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --scope global --no-keep-first --no-keep-last --no-keep-depthwise
