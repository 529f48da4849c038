#!/bin/bash
# The masks are a zip of one array per pruned weight.
coppice prune "$DIGITS" -o out.onnx -q --sparsity 0.8 --masks-out masks.npz >/dev/null
tail -c 2000 masks.npz | grep -aoE '(blocks|shrink|stem|classify)[a-z0-9.]*npy' | sort -u
