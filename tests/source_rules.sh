#!/bin/bash
# Fails when a file includes what the architecture forbids its folder to include, or grows too long.
# Usage: source_rules.sh [SOURCE_ROOT]
set -uo pipefail
cd "${1:-$(dirname "$0")/..}" || exit 1

passed=0
failed=0

# verdict NAME FOUND: a test that fails when something was found.
verdict() {
    if [ -n "$2" ]; then
        printf 'FAIL %s\n%s\n' "$1" "$2"
        failed=$((failed + 1))
    else
        echo "ok $1"
        passed=$((passed + 1))
    fi
}

# rule NAME FOLDERS FORBIDDEN [EXCEPT]: no #include in FOLDERS may match FORBIDDEN, unless the
# file's path matches EXCEPT.
rule() {
    local name=$1 folders=$2 forbidden=$3 except=${4:-^$} found
    # shellcheck disable=SC2086 # the folders are a list
    found=$(grep -rnE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include' $folders 2>/dev/null |
        grep -vE "$except" | grep -E "include[[:space:]]*[\"<]($forbidden)")
    verdict "$name" "$found"
}

internal='(\.\./)*(src/)?(base|graph|onnx|prune|tune|data|report|cli|serve)/|(\.\./)*(runtime|ops|sparse|kernels|backend)/'

rule "base includes nothing above it" \
    src/base '(\.\./)*(src/)?(graph|onnx|prune|tune|data|report|cli|serve)/|(\.\./)*runtime/|onnx\.pb-c\.h'
rule "graph includes base only" \
    src/graph '(\.\./)*(src/)?(onnx|prune|tune|data|report|cli|serve)/|(\.\./)*runtime/'
rule "onnx includes base and graph only" \
    src/onnx '(\.\./)*(src/)?(prune|tune|data|report|cli|serve)/|(\.\./)*runtime/'
rule "prune includes neither the runtime nor what is above it" \
    src/prune '(\.\./)*(src/)?(onnx|tune|report|cli|serve)/|(\.\./)*runtime/|coppice/runtime\.h'
rule "the runtime includes neither pruning nor what is above it" \
    runtime '(\.\./)*(src/)?(onnx|prune|tune|data|report|cli|serve)/|coppice/prune\.h'
rule "data sets include neither the graph nor pruning nor the runtime" \
    src/data '(\.\./)*(src/)?(onnx|prune|tune|report|cli|serve)/|(\.\./)*runtime/'
rule "reports include base only" \
    src/report '(\.\./)*(src/)?(graph|onnx|prune|tune|data|cli|serve)/|(\.\./)*runtime/'
rule "what joins pruning and running includes neither files of models nor what is above it" \
    src/tune '(\.\./)*(src/)?(onnx|report|cli|serve)/'
rule "the program includes public headers and its own only" \
    src/cli "$internal" 'include[[:space:]]*"(src/)?cli/'
rule "the server includes public headers and its own only" \
    src/serve "$internal" 'include[[:space:]]*"(src/)?serve/'
rule "public headers include public headers only" include "$internal"
rule "only src/onnx knows protobuf" \
    "src runtime include" '(.*/)?onnx\.pb-c\.h|(.*/)?protobuf-c' '^src/onnx/'
rule "only runtime/backend knows XNNPACK" \
    "src runtime include" '(.*/)?xnnpack\.h' '^runtime/backend/'

verdict "the library allocates through base/memory.h only" \
    "$(grep -rnE --include='*.[ch]' '(^|[^_[:alnum:]"])(malloc|calloc|realloc|free|strdup|strndup|asprintf|aligned_alloc)\(' src runtime |
        grep -vE '^src/(cli/|base/memory\.c)|^[^:]*:[0-9]*: ?\*|/\*')"

sources() {
    find src runtime include tests proto -name '*.[ch]' 2>/dev/null | sort
}

# A function of the tree's style starts and ends in the first column.
long_functions() {
    sources | while read -r file; do
        awk -v file="$file" '
            /^[a-z].*[({,]$/ && !start { start = NR; name = $0 }
            /^(struct|enum|union|typedef|static const|const|extern|union) .*\{$/ || /;$/ && /^[a-z]/ { start = 0 }
            /^}/ { if (start && NR - start + 1 > 80) printf "%s:%d: %d lines: %s\n", file, start, NR - start + 1, name; start = 0 }
            ' "$file"
    done
}

verdict "no file is longer than 600 lines" \
    "$(sources | while read -r file; do awk -v file="$file" 'END { if (NR > 600) printf "%s: %d lines\n", file, NR }' "$file"; done)"
verdict "no function is longer than 80 lines" "$(long_functions)"
verdict "each file starts with a comment that says what it is for" \
    "$(sources | while read -r file; do head -n 1 "$file" | grep -qE '^/[*/] .' || echo "$file"; done)"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
