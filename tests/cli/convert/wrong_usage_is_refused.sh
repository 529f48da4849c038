#!/bin/bash
. "$CLI_LIB"
refuses coppice convert
refuses coppice convert "$DIGITS" --weights sparse
refuses coppice convert "$DIGITS" -o out.onnx
refuses coppice convert "$DIGITS" -o out.onnx --weights both
refuses coppice convert "$DIGITS" -o out.onnx --weights sparse --single-file --external-data out.data
refuses coppice convert "$DIGITS" -o out.onnx --external-data out.onnx
refuses coppice convert "$DIGITS" -o - --weights sparse --external-data out.data
refuses coppice convert "$DIGITS" -o - --weights sparse --json
refuses coppice convert "$DIGITS" -o out.onnx --weights sparse --json=out.onnx
refuses coppice convert missing.onnx -o out.onnx --weights sparse
