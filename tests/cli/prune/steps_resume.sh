#!/bin/bash
# A run that was stopped and resumed gives the same files and the same report as one that was not.
. "$CLI_LIB"
cat >train.sh <<'EOF'
[ "$COPPICE_STEP" != "$(cat fail_at)" ] || exit 9
coppice prune "$COPPICE_MODEL_IN" -q -o "$COPPICE_MODEL_OUT" --sparsity 0.85 \
    --include 'blocks.*' --layer "classify.weight=0.$COPPICE_STEP" 2>&1
EOF
in_steps() {
    coppice prune "$DIGITS" -q --sparsity 0.9 --scope global --steps 4 --finetune 'sh train.sh' "$@" 2>>err.txt
}
report() {
    grep -v '"ms"\|"finetune_ms"' "$1" | sed 's/resumed/whole/'
}

echo 0 >fail_at
in_steps -o whole.onnx --masks-out whole.npz --json >whole.json || echo failed
for step in 1 3 4; do
    echo "== step $step fails"
    echo $step >fail_at
    in_steps -o resumed.onnx -f >out.txt && echo "did not fail"
    ls resumed.onnx* resumed.onnx.steps
    echo 0 >fail_at
    in_steps -o resumed.onnx --resume --masks-out resumed.npz --json >resumed.json || cat err.txt
    cmp whole.onnx resumed.onnx
    cmp whole.npz resumed.npz
    diff <(report whole.json) <(report resumed.json)
    diff -r whole.onnx.steps resumed.onnx.steps -x state.json
    rm resumed.onnx resumed.npz
done

echo "== all steps are complete"
echo 1 >fail_at
in_steps -o resumed.onnx --resume --masks-out resumed.npz --json >resumed.json || cat err.txt
cmp whole.onnx resumed.onnx
cmp whole.npz resumed.npz
diff <(report whole.json) <(report resumed.json)

echo "== all are complete, and only the last was kept"
mkdir early
mv resumed.onnx.steps/step_0[123].* early
rm resumed.onnx resumed.npz
in_steps -o resumed.onnx --resume --masks-out resumed.npz --json >resumed.json || cat err.txt
cmp whole.onnx resumed.onnx
cmp whole.npz resumed.npz
mv early/* resumed.onnx.steps

echo "== the last step was removed"
rm resumed.onnx resumed.npz resumed.onnx.steps/step_04.onnx resumed.onnx.steps/step_01.*
touch resumed.onnx.steps/step_04.out.onnx resumed.onnx.steps/state.json.tmp-abcdef
echo 0 >fail_at
in_steps -o resumed.onnx --resume --masks-out resumed.npz | step_lines
cmp whole.onnx resumed.onnx
cmp whole.npz resumed.npz
ls resumed.onnx.steps

echo "== without training, by way of standard input"
coppice prune - -q -o plain.onnx --sparsity 0.9 --steps 3 <"$DIGITS" | step_lines
rm plain.onnx plain.onnx.steps/step_02.onnx plain.onnx.steps/step_03.onnx
coppice prune - -o plain.onnx --sparsity 0.9 --steps 3 --resume <"$DIGITS" | step_lines
coppice prune "$DIGITS" -q -o once.onnx --sparsity 0.9 >once.txt
cmp plain.onnx once.onnx
coppice prune "$DIGITS" -o new.onnx --sparsity 0.9 --steps 1 --resume | step_lines

echo "== a command that removes what it was given"
cat >remove.sh <<'EOF'
rm "$COPPICE_MASKS"
cp "$COPPICE_MODEL_IN" "$COPPICE_MODEL_OUT"
EOF
coppice prune "$DIGITS" -q -o tidy.onnx --sparsity 0.9 --steps 2 --finetune 'sh remove.sh' | step_lines
ls tidy.onnx.steps
