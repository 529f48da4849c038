#!/bin/bash
# Options of steps that make no sense, alone or together.
. "$CLI_LIB"
prunes() {
    refuses coppice prune "$DIGITS" --sparsity 0.5 "$@"
}
prunes -o out.onnx --steps 0
prunes -o out.onnx --steps 1001
prunes -o out.onnx --steps -1
prunes -o out.onnx --steps some
prunes -o out.onnx --steps 2 --schedule quadratic
prunes -o out.onnx --finetune ''
prunes -o out.onnx --finetune-timeout 3
prunes -o out.onnx --finetune true --finetune-timeout -3
prunes -o out.onnx --finetune true --finetune-timeout soon
prunes -o out.onnx --resume
prunes -o out.onnx --steps 2 --resume --dry-run
prunes -o - --steps 2
prunes -o - --finetune true
ls
