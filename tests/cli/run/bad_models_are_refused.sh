#!/bin/bash
. "$CLI_LIB"
float_array x.npy "1, 1, 24, 24"
touch empty.onnx
head -c 10000 "$DIGITS" >truncated.onnx
for command in "run -i x.npy" bench "compare $DIGITS --images x.npy"; do
    for model in missing empty truncated; do
        # shellcheck disable=SC2086 # several words
        refuses coppice $command $model.onnx
    done
done
refuses coppice bench "$DIGITS" --vs missing.onnx
