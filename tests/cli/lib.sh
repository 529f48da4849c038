#!/bin/bash
# Helpers of the golden tests; a case sources this as "$CLI_LIB".

# refuses COMMAND...: the command must exit 2 with one line on stderr and leave every file as it was.
refuses() {
    local before after code=0
    before=$(find . -type f -exec sha256sum {} + | sort)
    "$@" 2>.stderr || code=$?
    cat .stderr >&2
    [ "$code" -eq 2 ] || echo "exit code $code"
    [ "$(wc -l <.stderr)" -eq 1 ] || echo "$(wc -l <.stderr) lines on stderr"
    rm .stderr
    after=$(find . -type f -exec sha256sum {} + | sort)
    [ "$before" = "$after" ] || diff <(echo "$before") <(echo "$after")
}

# bound_by_permissions COMMAND...: runs it so that permissions of files count, even for root.
bound_by_permissions() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --bounding-set -dac_override,-dac_read_search "$@"
    else
        "$@"
    fi
}
