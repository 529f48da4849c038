#!/bin/bash
# SIGTERM and SIGINT: exit 130, a word, nothing left behind; an object with --json.
mkfifo input
for signal in TERM INT; do
    coppice prune - -o out.onnx --sparsity 0.8 <input &
    exec 3>input
    head -c 100000 "$DIGITS" >&3
    sleep 0.2
    kill -$signal $!
    wait $!
    echo "exit code $?"
    exec 3>&-
done
ls
coppice prune - -o out.onnx --sparsity 0.8 --json <input >out.json &
exec 3>input
head -c 100000 "$DIGITS" >&3
sleep 0.2
kill -INT $!
wait $!
echo "exit code $?"
jq -c . out.json
