#!/bin/bash
# With labels: top-1 and top-5 of each, and what was lost.
data=(--images "$MODELS/digits_test_images.npy" --labels "$MODELS/digits_test_labels.npy" --scale 0.00392157 --threads 1)
coppice prune "$DIGITS" -o small.onnx --sparsity 0.97 -q >/dev/null
coppice compare "$DIGITS" small.onnx "${data[@]}" --limit 100 --json >out.json
jq -c 'keys, (.a | keys), (.outputs[0] | keys)' out.json
jq -c '[.samples, .a.top1, .a.top5, .a.ci95[1], .b.top1 < 0.9, .passed] | map(numbers += 0)' out.json
jq -c '[.a.sparsity < 0.01, .b.sparsity > 0.8, .a.bytes == .b.bytes, .a.latency_ms > 0]' out.json
jq -c '(.drop - (.a.top1 - .b.top1)) | fabs < 1e-9' out.json
coppice compare "$DIGITS" small.onnx "${data[@]}" --limit 100 | sed -E "s|$MODELS|models|"';s/[0-9][0-9.,e+-]*/N/g; s/ +/ /g; s/-{5,}/---/' | grep -v '^latency'
