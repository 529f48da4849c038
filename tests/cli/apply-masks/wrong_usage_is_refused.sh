#!/bin/bash
# Options that make no sense, and pairs that cannot be.
# shellcheck source=tests/cli/lib.sh
. "$CLI_LIB"
masks=$(dirname "$CLI_LIB")/apply-masks/compressed.npz
cp "$masks" masks.npz
apply() {
    refuses coppice apply-masks "$DIGITS" masks.npz "$@"
}
apply
apply -o masks.npz -f
apply -o out.onnx --map blocks.0.reduce.weight
apply -o out.onnx --map nothing=shrink.weight
apply -o out.onnx --map blocks.0.reduce.weight=nothing
apply -o out.onnx --map blocks.0.reduce.weight=shrink.weight
apply -o out.onnx --map blocks.0.reduce.weight=blocks.0.reduce.weight \
    --map blocks.0.reduce.weight=blocks.1.reduce.weight
touch out.onnx
apply -o out.onnx
refuses coppice apply-masks "$DIGITS" -o other.onnx
