#!/bin/bash
# Fails when the shared library exports a name that is not public, or a public header does not compile alone in C99, C11 and C++11.
# Usage: exported_symbols.sh LIBRARY SOURCE_ROOT
set -uo pipefail
library=$1
root=$2
passed=0
failed=0
skipped=0

verdict() { # NAME FOUND: fails when something was found
    if [ -n "$2" ]; then
        printf 'FAIL %s\n%s\n' "$1" "$2"
        failed=$((failed + 1))
    else
        echo "ok $1"
        passed=$((passed + 1))
    fi
}

symbols=$(nm -D --defined-only "$library") || exit 1
verdict "the library exports something" "$([ -n "$symbols" ] || echo none)"
verdict "the library exports coppice_* only" "$(awk '$3 !~ /^(coppice_|__(asan|ubsan|odr_asan)|_(init|fini|edata|end)$|__bss_start$)/' <<<"$symbols")"

# A header must compile alone, twice over, in the oldest standards that callers may use.
compiles() { # LANGUAGE STANDARD COMPILER HEADER
    printf '#include "%s"\n#include "%s"\nextern int unused;\n' "$4" "$4" |
        "$3" "-std=$2" -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I "$root/include" -x "$1" - 2>&1
}

cxx=${CXX:-$(command -v g++ || command -v clang++ || true)}
for header in "$root"/include/coppice/*.h; do
    name=$(basename "$header")
    verdict "$name compiles alone as C99" "$(compiles c c99 "${CC:-cc}" "$header")"
    verdict "$name compiles alone as C11" "$(compiles c c11 "${CC:-cc}" "$header")"
    if [ -n "$cxx" ]; then
        verdict "$name compiles alone as C++11" "$(compiles c++ c++11 "$cxx" "$header")"
    elif [ -n "${CI:-}" ]; then
        verdict "$name compiles alone as C++11" "no C++ compiler: install g++ or clang"
    else
        echo "skip $name as C++11: no C++ compiler"
        skipped=$((skipped + 1))
    fi
done

if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
