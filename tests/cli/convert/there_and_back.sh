#!/bin/bash
# Two encodings of the same weights; a second conversion changes nothing.
coppice prune "$DIGITS" -o dense.onnx --sparsity 0.9 -q >/dev/null
coppice convert dense.onnx -o sparse.onnx --weights sparse
coppice convert sparse.onnx -o back.onnx --weights dense
for model in dense sparse back; do
    coppice inspect $model.onnx --json | jq -c '[.weights[] | [.initializer, .shape, .zeros]]' | sha256sum
done | uniq | wc -l
coppice convert sparse.onnx -o again.onnx --weights sparse -q
cmp sparse.onnx again.onnx
coppice convert back.onnx -o - --weights sparse -q >piped.onnx
[ "$(stat -c %s piped.onnx)" -eq "$(stat -c %s sparse.onnx)" ] || echo "another size"
coppice convert - -o piped.onnx -f --weights dense -q <sparse.onnx
cmp back.onnx piped.onnx
ls
