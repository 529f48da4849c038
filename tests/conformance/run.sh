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

# A name that no test has would be counted as known to fail.
while read -r name _; do
    if ! compgen -G "$folder/*/${name#\~}" >/dev/null; then
        echo "$list: there is no test '${name#\~}'"
        echo "0 passed, 1 failed"
        exit 1
    fi
done < <(grep -v -E '^(#|$)' "$list")

# The reference kernels and several threads must agree too; their counts are the same and not shown.
if ! other=$("$program" test "$folder" --except "$list" --no-progress --backend reference --threads 2); then
    echo "with --backend reference --threads 2:"
    grep -E '^FAIL ' <<<"$other"
    echo "0 passed, 1 failed"
    exit 1
fi

# A list that belongs to another suite would hide failures.
report=$("$program" test "$folder" --except "$list" --no-progress) && status=0 || status=$?
echo "$report"
wanted=$(sed -n -E '1s/^# ONNX [0-9.]+: ([0-9]+) tests.*/\1/p' "$list")
found=$(sed -n -E 's/^([0-9]+) known to fail$/\1/p; s/^([0-9]+) passed, ([0-9]+) failed$/\1 + \2/p' <<<"$report" | paste -s -d +)
if [ "$((found))" -ne "${wanted:-0}" ]; then
    echo "$((found)) tests, the list is for ${wanted:-0}"
    echo "0 passed, 1 failed"
    exit 1
fi
exit "$status"
