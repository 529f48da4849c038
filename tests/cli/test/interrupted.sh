#!/bin/bash
# SIGINT stops between two tests: exit code 130 and one line.
. "$CLI_LIB"
test_folder t
mapfile -t many < <(yes t | head -n 4000)
coppice test "${many[@]}" --no-progress >out &
sleep 0.3
kill -INT $!
wait $!
echo "exit code $?"
cat out
