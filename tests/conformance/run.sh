#!/bin/bash
# ONNX's own tests, with the list of those that are known to fail: one list per version of the suite.
# Usage: run.sh PROGRAM SOURCE_ROOT [FOLDER VERSION]. Without FOLDER: Debian's libonnx-testdata; skips where
# that is not installed. Closes with "N passed, N failed".
set -uo pipefail
program=$1
lists=$2/tests/conformance
folder=${3:-/usr/share/libonnx-testdata/data}
version=${4:-}

if [ ! -d "$folder" ]; then
    echo "SKIP: no ONNX tests; install libonnx-testdata to run them"
    exit 77
fi
if [ -z "$version" ]; then
    version=$(dpkg-query -W -f='${Version}' libonnx-testdata | cut -d . -f 1-2)
fi
list=$lists/onnx-$version.txt
if [ ! -f "$list" ]; then
    echo "there is no list for ONNX $version: $list"
    echo "0 passed, 1 failed"
    exit 1
fi
echo "ONNX $version: $folder"

# Until the list is complete it starts with "# floor N": that many tests must pass, whatever fails.
floor=$(sed -n '1s/^# floor //p' "$list")
if [ -z "$floor" ]; then
    exec "$program" test "$folder" --except "$list" --no-progress
fi
passed=$("$program" test "$folder" --no-progress | sed -n -E 's/^([0-9]+) passed, [0-9]+ failed$/\1/p')
echo "${passed:-0} tests pass, the floor is $floor"
if [ "${passed:-0}" -ge "$floor" ]; then
    echo "$passed passed, 0 failed"
else
    echo "${passed:-0} passed, 1 failed"
    exit 1
fi
