#!/bin/bash
# Runs the example programs on the digits model.
# Usage: examples.sh SOURCE_ROOT COPPICE PRUNE RUN HOOK
set -uo pipefail
mapfile -t paths < <(realpath "$@") # the build system may give relative ones
root=${paths[0]} coppice=${paths[1]} prune=${paths[2]} run=${paths[3]} hook=${paths[4]}
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
model=$root/models/digits.onnx
images=$root/models/digits_test_images.npy
# shellcheck source=tests/verdict.sh
. "$root/tests/verdict.sh"

prunes_as_the_program() {
    "$prune" "$model" library.onnx 0.8 && "$coppice" -q prune "$model" -o program.onnx --sparsity 0.8 &&
        cmp library.onnx program.onnx
}

# The first test image is a two.
runs() {
    "$run" "$1" "$images" | tee /dev/stderr | head -n 1 | grep -q '^class 2, '
}

# Nine tenths of the weights that are pruned by default, to the last one.
prunes_with_a_hook() {
    local zeros
    "$hook" "$model" hooked.onnx 0.9 >hook.txt && "$coppice" -q prune "$model" --dry-run --sparsity 0.9 --json >dry.json || return
    zeros=$(jq .zeros dry.json)
    grep -qx "$zeros zeros, of which 0 changed" hook.txt || {
        cat hook.txt dry.json
        return 1
    }
}

refuses() { # COMMAND...: must fail with one line
    local code=0
    "$@" >said.txt 2>&1 || code=$?
    [ "$code" -ne 0 ] && [ "$code" -lt 126 ] && [ "$(wc -l <said.txt)" -eq 1 ]
}

verdict "prune writes what the program writes" prunes_as_the_program
verdict "run knows a digit" runs "$model"
verdict "run knows a digit by the pruned model" runs library.onnx
verdict "hook changes weights and masks hold" prunes_with_a_hook
for example in "$prune" "$run" "$hook"; do
    verdict "$(basename "$example") says how it is used" refuses "$example"
done
verdict "prune refuses what is no model" refuses "$prune" "$images" x.onnx 0.5
verdict "run refuses what is no image" refuses "$run" "$model" "$model"
verdict "hook refuses what is no model" refuses "$hook" "$images" x.onnx 0.5

sum_up
