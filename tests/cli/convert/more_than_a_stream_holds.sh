#!/bin/bash
# A weight of 2.4 GB, sparse with a single value: as a dense one it does not fit into one file.
. "$CLI_LIB"
base64 -d >large.onnx <<'END'
CAgSADptChEKAXgKAXcSAXkiBk1hdE11bBIBZ1oVCgF4EhAKDggBEgoKAggBCgQIoJwBYhUKAXkSEAoOCAESCgoCCAEKBAiw6gF6
JwoNCAEQAUIBd0oEAACAPxIOCAEQB0oIAwAAAAAAAAAYoJwBGLDqAUIECgAQDQ==
END
refuses coppice convert large.onnx --weights dense --single-file -o out.onnx
refuses coppice convert large.onnx --weights dense -o -
coppice convert large.onnx --weights sparse -o - -q | wc -c
ls
