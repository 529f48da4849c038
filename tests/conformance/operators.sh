#!/bin/bash
# docs/operators.md is made from the operator table and from the lists of this folder; compares, or writes it.
# Usage: operators.sh PROGRAM SOURCE_ROOT [--update]
set -euo pipefail
program=$1
root=$2
doc=$root/docs/operators.md
lists=$root/tests/conformance

# Names of all types stay readable when the usual groups are named.
rows() { # DOMAIN
    "$program" info --operators --json | jq -r --arg domain "$1" '
        def grouped:
            split(" ") as $types
            | ["uint8", "int8", "uint16", "int16", "int32", "int64", "uint32", "uint64"] as $integers
            | if ($integers - $types) == [] then ($types - $integers) + ["integers"] else $types end
            | if (["float32", "float64", "integers", "bool", "string"] - .) == [] then "all" else join(", ") end;
        [.operators[] | select(.domain == $domain)] | group_by(.op)[] | . as $rows
        | range(length) | $rows[.] as $row
        | "| \(if . == 0 then $row.op else "" end) | \($row.min_opset)–\($row.max_opset // "") | \($row.types | if . == "all" then . else grouped end) |"'
}

domains() {
    "$program" info --operators --json | jq -r '[.operators[].domain] | unique[]'
}

# The first line of a list: "# ONNX 1.12: 1072 tests, Debian 12".
total() { # LIST
    sed -n -E '1s/^# ONNX [0-9.]+: ([0-9]+) tests.*/\1/p' "$1"
}

names() { # LIST
    grep -v -E '^(#|$)' "$1" || true
}

suites() {
    local list count known
    echo "| suite | tests | pass | known to fail |"
    echo "|---|---|---|---|"
    for list in "$lists"/onnx-*.txt; do
        count=$(total "$list")
        known=$(names "$list" | wc -l)
        echo "| $(sed -n -E '1s/^# (ONNX [0-9.]+): [0-9]+ tests, (.*)/\1 (\2)/p' "$list") | $count | $((count - known)) | $known |"
    done
}

exceptions() {
    local list
    for list in "$lists"/onnx-*.txt; do
        echo
        echo "### $(sed -n -E '1s/^# (ONNX [0-9.]+):.*/\1/p' "$list")"
        echo
        # One item per reason, with its tests.
        names "$list" | awk '
            { name = $1; sub(/^~/, "", name); $1 = ""; sub(/^ +/, ""); if (!($0 in tests)) order[++n] = $0
              tests[$0] = tests[$0] (tests[$0] ? ", " : "") "`" name "`" }
            END { for (i = 1; i <= n; i++) printf "- %s: %s\n", order[i], tests[order[i]] }'
    done
}

document() {
    cat <<'HEAD'
# Operators

This page is made by `tests/conformance/operators.sh PROGRAM ROOT --update` from the operator table and from the
lists of known failures; a test compares them. `coppice info --operators` prints the same table.

## Reading the table

- *opsets*: the versions of the operator set that the row is for; `13–` is from 13 to the newest. Where the standard
  changed an operator (an attribute became an input, a default changed) each version has its own meaning.
- *types*: those that the first input may have, as it is held in memory. float16, bfloat16, float8 and float4 are held
  as float32, 4-bit and 2-bit integers as int8 and uint8: a row with `float32` takes all of these floats too. They are
  rounded where a model casts, quantizes, or gives them to its outputs, not in between. *integers* are those of 8 to 64
  bits with and without sign; *all* means that no type is refused.
- An operator that is not in the table is refused when a session is made, with the name of its node, its domain and its
  opset. A model that has it can still be inspected and pruned.
- Functions that a model brings along run as what they are made of.

HEAD
    local domain
    for domain in "" $(domains); do
        [ -n "$domain" ] || echo "## ai.onnx"
        [ -z "$domain" ] || echo "## $domain"
        echo
        echo "| operator | opsets | types |"
        echo "|---|---|---|"
        rows "$domain"
        echo
    done
    cat <<'TESTS'
## ONNX's own tests

Each version of ONNX brings tests of its operators. `coppice test DIR` runs them; CI runs the suites below and fails
when a test fails that is not listed here, and when a listed one passes.

TESTS
    suites
    cat <<'KNOWN'

## Known to fail
KNOWN
    exceptions
}

if [ "${3:-}" = --update ]; then
    document >"$doc.new"
    mv "$doc.new" "$doc"
elif ! diff <(document) "$doc" >&2; then
    echo "docs/operators.md is out of date: tests/conformance/operators.sh PROGRAM ROOT --update"
    exit 1
fi
