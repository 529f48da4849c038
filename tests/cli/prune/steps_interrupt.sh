#!/bin/bash
# Ctrl-C, or a terminal that is closed, while a command trains: the command ends, what it started
# too, complete steps stay.
. "$CLI_LIB"
cat >train.sh <<'EOF'
if [ "$COPPICE_STEP" -lt "$(cat hang_at)" ]; then
    exec cp "$COPPICE_MODEL_IN" "$COPPICE_MODEL_OUT"
fi
touch "$COPPICE_MODEL_OUT" "$COPPICE_MODEL_OUT.data"
sleep 1000 &
echo $! >child
echo $$ >started
sleep 1000
EOF
# stop SIGNAL STEP: ends a run that hangs in a step.
stop() {
    local pid code=0
    echo "== $1 in step $2"
    rm -f started
    echo "$2" >hang_at
    env --default-signal=HUP coppice prune "$DIGITS" -o out.onnx --sparsity 0.9 --steps 3 --finetune 'sh train.sh' --force \
        >out.txt &
    pid=$!
    while [ ! -s started ] && kill -0 $pid; do
        sleep 0.05
    done
    kill -"$1" $pid
    wait $pid || code=$?
    echo "exit code $code"
    for process in "$(cat started)" "$(cat child)"; do
        state=$(sed 's/.*) //' "/proc/$process/stat" 2>.dead | head -c 1)
        [ -z "$state" ] || [ "$state" = Z ] || echo "$process is alive"
    done
    ls out.onnx* 2>.dead
    rm -f .dead
}
stop INT 3
echo mine >out.onnx.steps/notes
stop TERM 1
rm -r out.onnx.steps
stop INT 1
rm -rf out.onnx.steps
stop HUP 2
