#!/bin/bash
# What each schedule asks of the steps; a dry run writes nothing, and steps without training end
# where one step ends.
. "$CLI_LIB"
for schedule in cubic linear oneshot; do
    echo "$schedule:"
    coppice prune "$DIGITS" -q --sparsity 0.9 --steps 4 --schedule $schedule --dry-run |
        step_lines
done
coppice prune "$DIGITS" -q -o out.onnx --sparsity 0.9 --scope global --layer 'shrink*=0.5' --steps 4 --dry-run |
    step_lines
ls
for scope in layer global; do
    coppice prune "$DIGITS" -q -o steps.onnx -f --sparsity 0.9 --scope $scope --steps 4 --masks-out steps.npz |
        step_lines
    coppice prune "$DIGITS" -q -o once.onnx -f --sparsity 0.9 --scope $scope --masks-out once.npz |
        tail -n 3
    cmp steps.onnx once.onnx
    cmp steps.npz once.npz
done
cmp steps.onnx steps.onnx.steps/step_04.onnx
cmp steps.npz steps.onnx.steps/step_04.masks.npz
ls . steps.onnx.steps
