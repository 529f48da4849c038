#!/bin/bash
# The command sees the step in its environment; what it changes is in the result, but for pruned
# weights: their masks hold, and a note says that they were changed.
. "$CLI_LIB"
cat >train.sh <<'EOF'
env | grep ^COPPICE_ | grep -v ^COPPICE_CACHE= | sort
coppice prune "$COPPICE_MODEL_IN" -q -o "$COPPICE_MODEL_OUT" --sparsity 0.95 --include 'blocks.0.*'
test -t 0 || cat
EOF
coppice prune "$DIGITS" -q -o out.onnx --sparsity 0.6 --steps 2 --finetune 'sh train.sh' \
    --masks-out out.npz >out.txt 2>err.txt || cat err.txt
step_lines <out.txt
sed "s|$PWD/||" err.txt | grep COPPICE
ls out.onnx.steps
coppice inspect out.onnx | grep -E 'blocks.0.reduce|blocks.1.reduce' | tr -s ' '

# A command that ignores the masks.
coppice prune "$DIGITS" -o free.onnx --sparsity 0.6 --steps 3 --schedule linear \
    --finetune 'cp "$DIGITS" "$COPPICE_MODEL_OUT"' | step_lines
coppice prune "$DIGITS" -q -o once.onnx --sparsity 0.6 >once.txt
cmp free.onnx once.onnx

# One step when --steps is not given; one JSON object whatever the command prints.
coppice prune "$DIGITS" -q -o one.onnx --sparsity 0.5 --json \
    --finetune 'echo trained; cp "$COPPICE_MODEL_IN" "$COPPICE_MODEL_OUT"' >one.json
jq -c '.steps[0] | keys' one.json
jq -c '.steps[] | [.step, .sparsity, .zeros, .weights, .violations, .ms > 0, .finetune_ms > 0, .model, .masks]' one.json
coppice prune "$DIGITS" -q --sparsity 0.5 --steps 2 --dry-run --json |
    jq -c '.steps[] | [.step, .sparsity, .zeros, .weights, .violations, .finetune_ms, .model, .masks]'
