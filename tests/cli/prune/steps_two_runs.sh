#!/bin/bash
# Two runs in one folder of steps: the second one is refused, and the first does not notice.
. "$CLI_LIB"
in_steps() {
    coppice prune "$DIGITS" -q -o out.onnx --sparsity 0.9 --steps 2 "$@"
}
train='cp "$COPPICE_MODEL_IN" "$COPPICE_MODEL_OUT"'
waiting="until [ -f go ]; do sleep 0.02; done; $train"

in_steps --finetune "$waiting" >first.txt &
until [ -f out.onnx.steps/step_01.in.onnx ]; do sleep 0.02; done
refuses in_steps --finetune "$train"
refuses in_steps --finetune "$train" --resume
refuses in_steps --finetune "$train" --force
touch go
wait $! || echo "exit code $?"
step_lines <first.txt
rm out.onnx
in_steps --finetune "$train" --resume | step_lines

echo "== both begin at the same time"
rm -r go out.onnx out.onnx.steps
mkfifo pipe
coppice prune - -q -o out.onnx --sparsity 0.9 --steps 2 <pipe &
exec 3>pipe
head -c 200000 "$DIGITS" >&3 # more than a pipe holds: the first one has looked for the folder then
in_steps | step_lines
rm out.onnx
cp -r out.onnx.steps kept
tail -c +200001 "$DIGITS" >&3
exec 3>&-
wait $! && echo "not refused"
diff -r kept out.onnx.steps

echo "== a run that was killed locks nothing"
rm -r out.onnx.steps
in_steps --finetune 'kill -9 $PPID' >/dev/null 2>&1
in_steps --finetune "$train" --resume | step_lines
