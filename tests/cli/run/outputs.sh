#!/bin/bash
# Name, type, shape and range of each output; -o writes it as .npy, and never over a file.
. "$CLI_LIB"
float_array x.npy "2, 1, 24, 24"
plain=(--backend reference --threads 1)
coppice run "$DIGITS" -i x.npy "${plain[@]}" | grep -v ' ms$'
coppice run "$DIGITS" -i image=x.npy -o made/out "${plain[@]}" | grep -v ' ms$'
head -c 80 made/out/output_0.npy | tail -c 70
echo
wc -c <made/out/output_0.npy
refuses coppice run "$DIGITS" -i x.npy -o made/out "${plain[@]}"
coppice run "$DIGITS" -i x.npy -o made/out -f "${plain[@]}" | grep -c made/out/output_0.npy
