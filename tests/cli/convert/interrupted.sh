#!/bin/bash
# SIGTERM and SIGINT: exit 130, the old pair whole, nothing left behind.
coppice convert "$DIGITS" -o pair.onnx --external-data pair.data -q >/dev/null
sha256sum pair.onnx pair.data >before
mkfifo input
for signal in TERM INT; do
    coppice convert - -o pair.onnx -f --external-data pair.data <input &
    exec 3>input
    head -c 100000 "$DIGITS" >&3
    sleep 0.2
    kill -$signal $!
    wait $!
    echo "exit code $?"
    exec 3>&-
done
sha256sum -c before
ls
