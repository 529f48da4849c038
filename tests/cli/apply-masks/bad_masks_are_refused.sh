#!/bin/bash
# Files that are no masks, or not masks of this model: one line that says which array and why.
# shellcheck source=tests/cli/lib.sh
. "$CLI_LIB"
here=$(dirname "$CLI_LIB")/apply-masks
apply() {
    refuses coppice apply-masks "$DIGITS" "$1" -o out.onnx -q
}
# What is wrong inside of a zip file is said in words of libzip, which change.
apply_damaged() {
    apply "$1" 2>&1 | sed -E "s/(\(zip\)|array '[^']*'): .*/\1: .../"
}
coppice prune "$DIGITS" -o pruned.onnx -q --sparsity 0.5 --masks-out masks.npz >/dev/null
head -c -30 masks.npz >truncated.npz
head -c 5000 masks.npz >half.npz
{ head -c 3000 masks.npz && head -c 64 /dev/zero && tail -c +3065 masks.npz; } >damaged.npz
printf 'no zip file' >text.npz
{ printf 'PK\005\006' && head -c 18 /dev/zero; } >empty.npz
apply missing.npz
apply empty.npz
apply text.npz
apply_damaged truncated.npz
apply_damaged half.npz
apply_damaged damaged.npz
apply "$here/pickled.npz"
apply "$here/other_shape.npz"
