#!/bin/bash
# What numpy wrote: compressed, and not compressed in Fortran order as bool and big-endian float32.
here=$(dirname "$CLI_LIB")/apply-masks
coppice apply-masks "$DIGITS" "$here/compressed.npz" -o a.onnx
coppice apply-masks "$DIGITS" "$here/fortran.npz" -o b.onnx -q >/dev/null
cmp a.onnx b.onnx && echo 'the same model'
