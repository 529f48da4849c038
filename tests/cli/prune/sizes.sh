#!/bin/bash
# Pruned weights compress; how well depends on the library's version.
coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --sizes --json | jq '.bytes.gzip < 0.6 * .bytes_out'
