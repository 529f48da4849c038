#!/bin/bash
# Without zeros nothing becomes sparse, and the file is the same.
coppice convert "$DIGITS" -o out.onnx --weights sparse
cmp "$DIGITS" out.onnx
