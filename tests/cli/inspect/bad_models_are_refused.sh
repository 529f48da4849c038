#!/bin/bash
. "$CLI_LIB"
touch empty.onnx
head -c 376000 "$DIGITS" >truncated.onnx
refuses coppice inspect missing.onnx
refuses coppice inspect empty.onnx
refuses coppice inspect truncated.onnx
refuses coppice inspect
refuses coppice inspect "$DIGITS" "$DIGITS"
