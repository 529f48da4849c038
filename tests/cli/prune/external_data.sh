#!/bin/bash
# The weights go into a file beside the model; together they are one model.
coppice prune "$DIGITS" -o out.onnx -q --sparsity 0.8 --external-data out.data >/dev/null && ls
coppice inspect out.onnx | grep -E "^weights, prunable|not zero"
