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

# float_array FILE SHAPE: a .npy of float32 zeros; SHAPE as "1, 3, 8".
float_array() {
    local header count=1 size
    for size in ${2//,/ }; do
        count=$((count * size))
    done
    header="{'descr': '<f4', 'fortran_order': False, 'shape': ($2,), }"
    { printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "$header"; head -c $((4 * count)) /dev/zero; } >"$1"
}

# step_lines: of the output of `prune --steps`, the lines of the steps without their times.
step_lines() {
    sed -n -E '/^ +(step|[0-9]+\/[0-9]+) /{s/ +[0-9]+\.[0-9]+ s/   T/g;p}'
}

# varint N: a number as protobuf has it.
varint() {
    local n=$1
    while [ "$n" -gt 127 ]; do
        printf '%b' "\\x$(printf %x $((n % 128 + 128)))"
        n=$((n / 128))
    done
    printf '%b' "\\x$(printf %x "$n")"
}

# float_tensor FILE DIM...: a .pb (TensorProto) of float32 zeros.
float_tensor() {
    local file=$1 count=1 size
    shift
    {
        for size in "$@"; do
            printf '\x08'
            varint "$size"
            count=$((count * size))
        done
        printf '\x10\x01\x4a'
        varint $((4 * count))
        head -c $((4 * count)) /dev/zero
    } >"$file"
}

# test_folder DIR: an ONNX-style test of the digits model that passes.
test_folder() {
    mkdir -p "$1/test_data_set_0"
    cp "$DIGITS" "$1/model.onnx"
    float_tensor "$1/test_data_set_0/input_0.pb" 2 1 24 24
    coppice run "$DIGITS" -i "$1/test_data_set_0/input_0.pb" --format pb -o "$1/test_data_set_0" --threads 1 --backend reference >/dev/null
}

# timeless: JSON without its time.
timeless() {
    sed -E 's/"ms": [0-9.e-]+/"ms": T/'
}
