#!/bin/bash
# Existing files, a read-only folder, a full disk: everything stays as it was.
. "$CLI_LIB"
echo precious >out.onnx
echo precious >out.data
refuses coppice convert "$DIGITS" -o out.onnx --weights sparse
refuses coppice convert "$DIGITS" -o new.onnx --external-data out.data
mkdir locked
cp "$DIGITS" locked/out.onnx
chmod 555 locked
refuses bound_by_permissions coppice convert "$DIGITS" -o locked/out.onnx -f --single-file
refuses bound_by_permissions coppice convert "$DIGITS" -o locked/out.onnx -f --external-data out.data
refuses coppice convert "$DIGITS" -o missing/out.onnx --weights dense
rm out.onnx out.data
coppice convert "$DIGITS" -o pair.onnx --external-data pair.data -q >/dev/null
limited() {
    (ulimit -f 100 && "$@")
}
refuses limited coppice convert "$DIGITS" -o pair.onnx -f --external-data pair.data
refuses limited coppice convert "$DIGITS" -o pair.onnx -f --single-file
refuses limited coppice convert pair.onnx -o new.onnx --weights dense
coppice inspect pair.onnx --json | jq '.weights | length > 0'
