#!/bin/bash
# --max-drop decides the exit code.
data=(--images "$MODELS/digits_test_images.npy" --labels "$MODELS/digits_test_labels.npy" --scale 0.00392157 --limit 50 --threads 1)
coppice prune "$DIGITS" -o small.onnx --sparsity 0.99 -q >/dev/null
coppice compare "$DIGITS" "$DIGITS" "${data[@]}" --max-drop 0 | tail -n 1
echo "exit ${PIPESTATUS[0]}"
coppice compare "$DIGITS" small.onnx "${data[@]}" --max-drop 0.01 --json >out.json
echo "exit $?"
jq -c '[.passed, .drop > 0.01]' out.json
