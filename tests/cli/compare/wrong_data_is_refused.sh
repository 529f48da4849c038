#!/bin/bash
. "$CLI_LIB"
images=(--images "$MODELS/digits_test_images.npy")
float_array x.npy "4, 1, 24, 24"
float_array narrow.npy "4, 1, 24, 23"
echo 'four labels' >labels.txt
refuses coppice compare "$DIGITS" "$DIGITS"
refuses coppice compare "$DIGITS" --images x.npy
refuses coppice compare "$DIGITS" "$DIGITS" --images missing.npy
refuses coppice compare "$DIGITS" "$DIGITS" "${images[@]}" --labels missing.npy
refuses coppice compare "$DIGITS" "$DIGITS" --images x.npy --labels "$MODELS/digits_test_labels.npy"
refuses coppice compare "$DIGITS" "$DIGITS" --images x.npy --labels labels.txt
refuses coppice compare "$DIGITS" "$DIGITS" --inputs image=narrow.npy
refuses coppice compare "$DIGITS" "$DIGITS" --inputs picture=x.npy
refuses coppice compare "$DIGITS" "$DIGITS" "${images[@]}" --crop 0
refuses coppice compare "$DIGITS" "$DIGITS" "${images[@]}" --crop 20
refuses coppice compare "$DIGITS" "$DIGITS" "${images[@]}" --mean 0.5,
refuses coppice compare "$DIGITS" "$DIGITS" "${images[@]}" --std 0
refuses coppice compare "$DIGITS" "$DIGITS" "${images[@]}" --layout chw
refuses coppice compare "$DIGITS" "$DIGITS" "${images[@]}" --rgb --bgr
refuses coppice compare "$DIGITS" "$DIGITS" "${images[@]}" --batch 0
refuses coppice compare "$DIGITS" "$DIGITS" "${images[@]}" --limit 0
refuses coppice compare "$DIGITS" "$DIGITS" "${images[@]}" --max-drop 5
