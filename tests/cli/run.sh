#!/bin/bash
# Golden tests of the command line. Each FOLDER/CASE.sh runs in an empty folder; what it prints and
# its exit code must equal CASE.stdout, CASE.stderr (missing: nothing) and CASE.exit (missing: 0).
# Usage: run.sh PROGRAM SOURCE_ROOT [--update] [FOLDER[/CASE.sh]]...
# --update writes down what the program does now; read the difference before you commit it.
set -uo pipefail

program=$(realpath "$1") || exit 1
root=$(realpath "$2") || exit 1
shift 2
update=
if [ "${1:-}" = --update ]; then
    update=yes
    shift
fi
cases=$root/tests/cli
work=$(mktemp -d) || exit 1
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

# What a case may use: `coppice` in PATH, the models that are shipped, and lib.sh.
mkdir "$work/bin"
ln -s "$program" "$work/bin/coppice"
export PATH=$work/bin:$PATH LC_ALL=C TZ=UTC
export COPPICE_CACHE=off # unless a case asks for it
export DIGITS=$root/models/digits.onnx MODELS=$root/models
export CLI_LIB=$cases/lib.sh

# Paths of this machine are no part of the expected output.
masked() {
    sed -e "s|$work/run/||g" -e "s|$work/run|.|g" -e "s|$root/||g"
}

passed=0
failed=0

# run_case FILE: compares one case, or writes its results down.
run_case() {
    local case=$1 base=${1%.sh} name code expected_code=0 kind
    name=${base#"$cases"/}
    chmod -R u+w "$work/run" 2>/dev/null
    rm -rf "$work/run"
    mkdir "$work/run"
    (cd "$work/run" && exec bash "$case") </dev/null >"$work/raw.stdout" 2>"$work/raw.stderr"
    code=$?
    for kind in stdout stderr; do
        masked <"$work/raw.$kind" >"$work/$kind"
    done
    if [ -n "$update" ]; then
        for kind in stdout stderr; do
            rm -f "$base.$kind"
            [ ! -s "$work/$kind" ] || cp "$work/$kind" "$base.$kind"
        done
        rm -f "$base.exit"
        [ "$code" -eq 0 ] || echo "$code" >"$base.exit"
        return
    fi
    local difference=
    [ ! -f "$base.exit" ] || expected_code=$(<"$base.exit")
    [ "$code" -eq "$expected_code" ] || difference="exit code $code, expected $expected_code"$'\n'
    for kind in stdout stderr; do
        local expected=/dev/null
        [ ! -f "$base.$kind" ] || expected=$base.$kind
        difference+=$(diff -u --label "expected $kind" --label "actual $kind" "$expected" "$work/$kind")
    done
    if [ -z "$difference" ]; then
        passed=$((passed + 1))
    else
        printf 'FAIL %s\n%s\n' "$name" "$difference"
        failed=$((failed + 1))
    fi
}

[ $# -gt 0 ] || set -- .
for where in "$@"; do
    while read -r case; do
        run_case "$case"
    done < <(find "$(realpath "$cases/$where")" -mindepth 0 -name '*.sh' -path "$cases/*/*" | sort)
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && { [ "$passed" -gt 0 ] || [ -n "$update" ]; }
