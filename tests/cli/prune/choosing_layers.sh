#!/bin/bash
# Patterns by initializer and by node; the last matching --layer counts and overrides the keep rules.
coppice prune "$DIGITS" -o out.onnx --sparsity 0.5 --include 'blocks.*' --exclude '*.spatial.weight' \
    --layer 'blocks.1.*=0.25' --layer 'blocks.1.reduce*=0' --layer node_linear=0.9
