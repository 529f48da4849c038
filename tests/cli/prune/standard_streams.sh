#!/bin/bash
# '-' is stdin and stdout; the table goes to stderr then.
coppice prune - -o - --sparsity 0.8 <"$DIGITS" >streamed.onnx 2>table.txt
coppice prune "$DIGITS" -o saved.onnx -q --sparsity 0.8 >/dev/null
cmp streamed.onnx saved.onnx && echo the same
tail -n 3 table.txt
