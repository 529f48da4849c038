#!/bin/bash
# An export in which two layers have changed their names: the content speaks against the names.
# shellcheck source=tests/cli/lib.sh
. "$CLI_LIB"
coppice prune "$DIGITS" -o pruned.onnx -q --sparsity 0.5 --masks-out masks.npz >/dev/null
rm pruned.onnx
sed 's/blocks\.\([012]\)\.spatial\.weight/blocks.\1.SPATIAL.weight/g
     s/blocks\.0\.SPATIAL/blocks.3.SPATIAL/g; s/blocks\.1\.SPATIAL/blocks.0.SPATIAL/g
     s/blocks\.3\.SPATIAL/blocks.1.SPATIAL/g; s/SPATIAL/spatial/g' "$DIGITS" >swapped.onnx
refuses coppice apply-masks swapped.onnx masks.npz -o out.onnx
