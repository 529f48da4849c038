#!/bin/bash
# Name, type, shape and range of each output; -o writes it as .npy, and never over a file.
. "$CLI_LIB"
float_array x.npy "2, 1, 24, 24"
plain=(--backend reference --threads 1)
# The last digit of this mean is on the edge of rounding: compilers differ.
shown() {
    grep -v ' ms$' | sed 's/-0.019398[0-9]/-0.019398/'
}
coppice run "$DIGITS" -i x.npy "${plain[@]}" | shown
coppice run "$DIGITS" -i image=x.npy -o made/out "${plain[@]}" | shown
head -c 80 made/out/output_0.npy | tail -c 70
echo
wc -c <made/out/output_0.npy
refuses coppice run "$DIGITS" -i x.npy -o made/out "${plain[@]}"
coppice run "$DIGITS" -i x.npy -o made/out -f "${plain[@]}" | grep -c made/out/output_0.npy
