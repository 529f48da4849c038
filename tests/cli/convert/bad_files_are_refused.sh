#!/bin/bash
# A data file that is missing or too short.
. "$CLI_LIB"
coppice convert "$DIGITS" -o pair.onnx --external-data pair.data -q >/dev/null
truncate -s -1 pair.data
refuses coppice convert pair.onnx -o out.onnx --single-file
rm pair.data
refuses coppice convert pair.onnx -o out.onnx --single-file
