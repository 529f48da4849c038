#!/bin/bash
# Fails when the shared library exports a name that is not public, or a public header needs another before it.
# Usage: exported_symbols.sh LIBRARY SOURCE_ROOT
set -uo pipefail
library=$1
root=$2
passed=0
failed=0

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

for header in "$root"/include/coppice/*.h; do
    verdict "$(basename "$header") compiles alone as C11" \
        "$(${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I "$root/include" -include "$header" -x c - <<<"extern int unused;" 2>&1)"
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
