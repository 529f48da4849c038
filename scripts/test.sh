#!/bin/bash
# Installs what is missing, builds build/, runs every test and closes with "N passed, N failed".
# Arguments: build folder (default build/, which it makes) and anything else for `meson test`.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build
if [ $# -gt 0 ]; then
    build=$1
    shift
else
    "$root/scripts/build.sh"
fi

status=0
meson test -C "$build" --print-errorlogs "$@" || status=$?

# A test's own count, where it prints one: Check's line, or a closing "N passed, N failed[, N skipped]".
# A program without a count is one test. A program that fails without a failure in its count
# (crash, time limit) adds one.
totals=$(jq -rs '
    def number(n): (n // "0") | tonumber;
    def counted:
        [(.stdout // "") | scan("(?m)^[0-9]+%: Checks: ([0-9]+), Failures: ([0-9]+), Errors: ([0-9]+)") | map(tonumber)
         | {passed: (.[0] - .[1] - .[2]), failed: (.[1] + .[2]), skipped: 0}] +
        [(.stdout // "") | scan("(?m)^([0-9]+) passed, ([0-9]+) failed(?:, ([0-9]+) skipped)?$")
         | {passed: number(.[0]), failed: number(.[1]), skipped: number(.[2])}];
    def one:
        counted as $c
        | ($c | {passed: (map(.passed) | add // 0), failed: (map(.failed) | add // 0), skipped: (map(.skipped) | add // 0)})
        | if .passed + .failed + .skipped == 0 then . + {none: true} else . end;
    map(. as $test | one as $n
        | if $test.result == "SKIP" then {passed: 0, failed: 0, skipped: ([$n.skipped, 1] | max)}
          elif $test.result == "OK" or $test.result == "EXPECTEDFAIL" then
              if $n.none then {passed: 1, failed: 0, skipped: 0} else $n end
          elif $n.failed == 0 then {passed: $n.passed, failed: 1, skipped: $n.skipped}
          else $n end)
    | "\(map(.passed) | add // 0) \(map(.failed) | add // 0) \(map(.skipped) | add // 0)"
    ' "$build/meson-logs/testlog.json")
read -r passed failed skipped <<<"$totals"
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
    failed=1
fi

# Tests that leave something out say so in a line that starts with "skip".
jq -r '.name as $name | (.stdout // "") | split("\n")[] | select(test("^skip"; "i")) | "\($name): \(.)"' \
    "$build/meson-logs/testlog.json"

if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$status" -eq 0 ] && [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
