#!/bin/bash
# Runs what was built on an emulated x86-64 CPU without AVX: kernels, the program, ONNX's own tests.
# Usage: old_cpu.sh BUILD_FOLDER SOURCE_ROOT. Closes with "N passed, N failed".
set -uo pipefail
build=$(realpath "$1") || exit 1
root=$(realpath "$2") || exit 1
export LC_ALL=C
unset COPPICE_ISA
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
emulator=(qemu-x86_64 -cpu Nehalem)
passed=0
failed=0

# The program as the other tests want it: one word.
program=$work/coppice
printf '#!/bin/sh\nexec %s "%s" "$@"\n' "${emulator[*]}" "$build/coppice" >"$program"
chmod +x "$program"

verdict() { # NAME STATUS
    if [ "$2" -eq 0 ]; then
        echo "ok $1"
        passed=$((passed + 1))
    else
        echo "FAIL $1"
        failed=$((failed + 1))
    fi
}

# refused WHAT COMMAND...: exit 2, and a message with WHAT in it and the instruction sets there are.
refused() {
    local what=$1 code=0
    shift
    "$@" >"$work/out" 2>&1 || code=$?
    if [ "$code" -ne 2 ] || ! grep -qF "$what" "$work/out" || ! grep -qE ': scalar, sse2$' "$work/out"; then
        cat "$work/out"
        return 1
    fi
}

"$program" info | grep -qE '^isa +sse2$'
verdict "the CPU has SSE2 and no more" $?
digits=$root/models/digits.onnx
refused "no 'avx512'" "$program" bench "$digits" --isa avx512
verdict "--isa avx512 is refused with what there is" $?
refused "unknown instruction set 'mmx'" "$program" bench "$digits" --isa mmx
verdict "an unknown --isa is refused with what there is" $?
COPPICE_ISA=avx2 refused "COPPICE_ISA: this CPU has no 'avx2'" "$program" bench "$digits"
verdict "COPPICE_ISA=avx2 is refused with what there is" $?
for isa in scalar sse2; do
    "$program" bench "$digits" -n 2 -w 1 --isa "$isa" >/dev/null
    verdict "bench --isa $isa" $?
done

# counted COMMAND...: adds the counts of its closing line.
counted() {
    local status=0 line
    "$@" >"$work/out" 2>&1 || status=$?
    grep -vE '^(ok|Running) ' "$work/out"
    line=$(sed -nE -e 's/^([0-9]+) passed, ([0-9]+) failed.*/\1 \2/p' \
        -e 's/^[0-9]+%: Checks: ([0-9]+), Failures: ([0-9]+), Errors: ([0-9]+)/\1 \2 \3/p' "$work/out" | tail -n 1)
    local all=0 failures=0 errors=
    read -r all failures errors <<<"$line"
    if [ -n "$errors" ]; then
        failures=$((failures + errors))
        all=$((all - failures))
    fi
    [ "$status" -eq 0 ] || [ "$failures" -gt 0 ] || failures=1
    passed=$((passed + all))
    failed=$((failed + failures))
}
for test in "$build"/tests/kernels/test_*; do
    [ ! -x "$test" ] || [ -d "$test" ] || counted "${emulator[@]}" "$test"
done
for test in layout ops ops_attention ops_elementwise ops_image product vmath; do
    CK_DEFAULT_TIMEOUT=60 COPPICE_SOURCE_ROOT=$root counted "${emulator[@]}" "$build/tests/unit/test_$test"
done
counted "$root/tests/cli/run.sh" "$program" "$root" run
counted "$root/tests/conformance/run.sh" "$program" "$root"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
