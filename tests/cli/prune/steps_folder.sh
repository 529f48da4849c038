#!/bin/bash
# A folder of steps that is there already: --resume only goes on with the same run, --force starts
# anew, and what is not coppice's stays.
. "$CLI_LIB"
in_steps() {
    coppice prune "$DIGITS" -q -o out.onnx --steps 2 "$@"
}
in_steps --sparsity 0.5 --layer 'shrink*=0.3' --exclude 'blocks.0*' | step_lines
rm out.onnx
refuses in_steps --sparsity 0.5
refuses in_steps --sparsity 0.6 --resume
refuses in_steps --sparsity 0.5 --layer 'shrink*=0.4' --exclude 'blocks.0*' --resume
refuses in_steps --sparsity 0.5 --layer 'shrink*=0.3' --exclude 'blocks.0*' --resume --steps 3 \
    --schedule linear --scope global --no-keep-first
sed 's/stem.weight/STEM.weight/g' "$DIGITS" >other.onnx
refuses coppice prune other.onnx -q -o out.onnx --steps 2 --resume --sparsity 0.5 \
    --layer 'shrink*=0.3' --exclude 'blocks.0*'
ls out.onnx.steps

echo "== anew"
echo mine >out.onnx.steps/notes.txt
echo mine >out.onnx.steps/step_by_step.onnx
touch out.onnx.steps/step_07.onnx out.onnx.steps/step_02.out.onnx.data
refuses in_steps --sparsity 0.5 --include 'nothing*' --force
in_steps --sparsity 0.7 --steps 1 --force | step_lines
ls out.onnx.steps

echo "== damaged"
rm out.onnx
head -c 100 out.onnx.steps/state.json >short && cp short out.onnx.steps/state.json
refuses in_steps --sparsity 0.7 --steps 1 --resume
rm out.onnx.steps/state.json
refuses in_steps --sparsity 0.7 --steps 1 --resume
rm -r out.onnx.steps
in_steps --sparsity 0.7 | step_lines
rm out.onnx out.onnx.steps/step_02.*
head -c 1000 out.onnx.steps/step_01.onnx >short && cp short out.onnx.steps/step_01.onnx
refuses in_steps --sparsity 0.7 --resume
rm -r out.onnx.steps
in_steps --sparsity 0.7 | step_lines
rm out.onnx
head -c 1000 out.onnx.steps/step_02.onnx >short && cp short out.onnx.steps/step_02.onnx
refuses in_steps --sparsity 0.7 --resume >/dev/null
rm out.onnx.steps/step_02.*
in_steps --sparsity 0.7 --resume | step_lines
rm -r out.onnx out.onnx.steps
touch out.onnx.steps
refuses in_steps --sparsity 0.7 --force
refuses in_steps --sparsity 0.7 --resume

echo "== where nothing can be written"
rm out.onnx.steps
mkdir out.onnx.steps
chmod a-w out.onnx.steps
refuses bound_by_permissions coppice prune "$DIGITS" -q -o out.onnx --steps 2 --sparsity 0.7 --force

echo "== a full disk"
rm -r out.onnx.steps
limited() {
    (ulimit -f 100 && "$@")
}
limited in_steps --sparsity 0.7 || echo "exit code $?"
ls out.onnx.steps
in_steps --sparsity 0.7 --resume | step_lines
rm out.onnx
refuses limited in_steps --sparsity 0.7 --resume >/dev/null
in_steps --sparsity 0.7 --resume | step_lines
