# Counting of tests that are commands; sourced by scripts whose own folder is the current one.
# shellcheck shell=bash
passed=0
failed=0

# verdict NAME COMMAND...: counts whether the command succeeds.
verdict() {
    local name=$1
    shift
    if "$@" >out.txt 2>&1; then
        echo "ok $name"
        passed=$((passed + 1))
    else
        printf 'FAIL %s\n' "$name"
        cat out.txt
        failed=$((failed + 1))
    fi
}

# Ends a script.
sum_up() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
