#!/bin/bash
# The table stays, the object goes into the file.
coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --json=out.json | tail -n 3
jq -c '[.sparsity, .zeros, .weights, .bytes_in == .bytes_out, (.layers | length), (.ms > 0)]' out.json
