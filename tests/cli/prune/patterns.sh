#!/bin/bash
# Blocks, whole channels and N:M, and what of it `inspect` recognises; allocations and random choice.
. "$CLI_LIB"
last_lines() {
    coppice -q prune "$DIGITS" -o out.onnx --force "$@" | grep -E '^zeros|^MACs'
    coppice inspect out.onnx --json | grep -oE '"pattern": "[^"]*"' | sort | uniq -c
}
for pattern in 4x1 1x4 channels; do
    last_lines --pattern "$pattern" --sparsity 0.5
done
last_lines --pattern 2:4
for scope in erk lamp; do
    last_lines --scope "$scope" --sparsity 0.8
done
last_lines --criterion random --sparsity 0.8 --seed 3
