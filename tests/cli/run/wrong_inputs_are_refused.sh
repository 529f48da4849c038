#!/bin/bash
# Each message says what the input takes and what the file holds.
. "$CLI_LIB"
float_array x.npy "2, 1, 24, 24"
float_array narrow.npy "2, 1, 24, 23"
float_array flat.npy "2, 576"
echo 'no array' >text.npy
head -c 1000 x.npy >short.npy
echo 'no tensor' >input.pb
refuses coppice run "$DIGITS" -i narrow.npy
refuses coppice run "$DIGITS" -i image=flat.npy
refuses coppice run "$DIGITS" -i "$MODELS/digits_test_labels.npy"
refuses coppice run "$DIGITS" -i missing.npy
refuses coppice run "$DIGITS" -i picture=x.npy
refuses coppice run "$DIGITS" -i text.npy
refuses coppice run "$DIGITS" -i short.npy
refuses coppice run "$DIGITS" -i input.pb
refuses coppice run "$DIGITS" -i x.npy -i x.npy
refuses coppice run "$DIGITS" -i image=x.npy -i image=x.npy
refuses coppice run "$DIGITS" -i x.npy -o x.npy/out
coppice prune "$DIGITS" -o small.onnx --sparsity 0.5 --masks-out masks.npz >out 2>&1
refuses coppice run "$DIGITS" -i masks.npz
refuses coppice run "$DIGITS" -i image=masks.npz
