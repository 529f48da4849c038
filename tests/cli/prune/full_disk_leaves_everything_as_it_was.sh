#!/bin/bash
# A limit on the size of files stands in for a full disk; /dev/full for a full standard output.
. "$CLI_LIB"
cp "$DIGITS" out.onnx
limited() {
    (ulimit -f 100 && "$@")
}
refuses limited coppice prune "$DIGITS" -o out.onnx -f --sparsity 0.8
refuses limited coppice prune "$DIGITS" -o new.onnx --sparsity 0.8 --masks-out masks.npz
refuses limited coppice prune "$DIGITS" -o out.onnx -f --sparsity 0.8 --external-data out.data
to_full_output() {
    "$@" >/dev/full
}
refuses to_full_output coppice prune "$DIGITS" -q -o - --sparsity 0.8
refuses to_full_output coppice prune "$DIGITS" -q --dry-run --sparsity 0.8
