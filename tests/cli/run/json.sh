#!/bin/bash
. "$CLI_LIB"
float_array x.npy "2, 1, 24, 24"
coppice run "$DIGITS" -i x.npy --json | jq -c '(.outputs[] | [.name, .type, .shape, .file, .min <= .mean, .mean <= .max]), .ms > 0, keys'
coppice run "$DIGITS" -i x.npy -o . --json | jq -c '.outputs[].file'
