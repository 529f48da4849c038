#!/bin/bash
# Without labels: agreement only, and errors of the outputs.
data=(--images "$MODELS/digits_test_images.npy" --scale 0.00392157 --limit 20 --threads 1)
coppice compare "$DIGITS" "$DIGITS" "${data[@]}" --tune none --json |
    jq -c '[.a.top1, .a.ci95, .agreement, .drop, .outputs[0].max_abs, .outputs[0].psnr, .outputs[0].cosine > 0.999999] | map(numbers += 0)'
