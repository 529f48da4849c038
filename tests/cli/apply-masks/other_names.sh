#!/bin/bash
# An export with other names gets every mask where it belongs: the zeros are those of pruning it.
coppice prune "$DIGITS" -o pruned.onnx -q --sparsity 0.8 --masks-out masks.npz >/dev/null
sed 's/blocks\.\([012]\)\.\([a-z]*\)\.weight/stages.\1.\2.WEIGHT/g' "$DIGITS" >renamed.onnx
coppice prune renamed.onnx -o expected.onnx -q --sparsity 0.8 >/dev/null
coppice apply-masks renamed.onnx masks.npz -o out.onnx
cmp out.onnx expected.onnx && echo 'the same model'
