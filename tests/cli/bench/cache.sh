#!/bin/bash
# What was measured is kept in a file, and the next run need not measure; a file that is damaged, or
# that cannot be written, is no error.
coppice prune "$DIGITS" -o small.onnx --sparsity 0.9 -q >/dev/null
export COPPICE_CACHE=$PWD/folder/cache
bench() { coppice bench small.onnx -n 3 --threads 1 --profile --json "$@" >out.json; }
bench --no-cache && ls folder 2>/dev/null
bench --tune none && ls folder 2>/dev/null
bench && ls folder/cache
bench --tune full
cp folder/cache/tuning before
bench
cmp before folder/cache/tuning && echo "nothing to add"
echo damaged >folder/cache/tuning
bench && [ "$(stat -c %s folder/cache/tuning)" -gt 100 ] && echo "made anew"
COPPICE_CACHE=off bench
chmod 500 folder
rm -rf folder/cache 2>/dev/null
. "$CLI_LIB"
COPPICE_CACHE=$PWD/folder/other bound_by_permissions coppice bench small.onnx -n 3 --threads 1 --profile --json >out.json &&
    jq -c '.layers | length > 0' out.json
