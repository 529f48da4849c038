#!/bin/bash
# Whatever the command does wrong: the step is named and what was there stays.
. "$CLI_LIB"
export LC_ALL=C

# failing COMMAND [OPTION]...: runs it as the second of two steps; the first copies.
failing() {
    local command=$1 code=0
    shift
    echo "== $command"
    rm -rf out.onnx.steps
    coppice prune "$DIGITS" -q -o out.onnx -f --sparsity 0.6 --steps 2 \
        --finetune "if [ \$COPPICE_STEP = 1 ]; then cp \"\$COPPICE_MODEL_IN\" \"\$COPPICE_MODEL_OUT\"; else $command; fi" \
        "$@" >out.txt 2>err.txt || code=$?
    cat err.txt
    [ $code -eq 2 ] || echo "exit code $code"
    cmp -s out.onnx before.onnx || echo "out.onnx has changed"
    for file in state.json step_01.onnx step_01.masks.npz; do
        [ -s out.onnx.steps/$file ] || echo "no $file"
    done
    [ ! -e out.onnx.steps/step_02.onnx ] || echo "step 2 is there"
}

echo before >before.onnx
cp before.onnx out.onnx
failing 'false'
failing 'exit 3'
failing 'no-such-program 2>/dev/null'
failing 'touch here; ./here 2>/dev/null'
failing 'kill -9 $$'
failing 'sh -c "kill -TERM \$\$" 2>/dev/null; exit $?'
failing 'true'
failing 'mkdir "$COPPICE_MODEL_OUT"'
failing 'touch "$COPPICE_MODEL_OUT"'
failing 'echo rubbish >"$COPPICE_MODEL_OUT"'
failing 'head -c 200000 "$COPPICE_MODEL_IN" >"$COPPICE_MODEL_OUT"'
failing 'sed s/shrink.weight/SHRINK.weight/g "$COPPICE_MODEL_IN" >"$COPPICE_MODEL_OUT"'

# The classifier as [20, 288] instead of [10, 576].
cat >reshape.sh <<'EOF'
perl -0777 -pe 's/\x08\x0a\x08\xc0\x04/\x08\x14\x08\xa0\x02/' "$COPPICE_MODEL_IN" >"$COPPICE_MODEL_OUT"
EOF
failing 'sh reshape.sh'

# A NaN, and an infinity, as the third weight of the classifier.
cat >spoil.sh <<'EOF'
at=$(grep -abo -P 'classify.weightJ\x80\xb4\x01' "$COPPICE_MODEL_IN" | head -n 1 | cut -d : -f 1)
cp "$COPPICE_MODEL_IN" "$COPPICE_MODEL_OUT"
printf '\000\000'"$1"'\177' | dd of="$COPPICE_MODEL_OUT" bs=1 seek=$((at + 19 + 8)) conv=notrunc status=none
EOF
failing 'sh spoil.sh "\300"'
failing 'sh spoil.sh "\200"'

# gone FILE: has the process ended whose number is in FILE? Nobody may have waited for it yet.
gone() {
    case $(sed 's/.*) //' "/proc/$(cat "$1")/stat" 2>/dev/null) in
    "" | Z*) echo "the sleeper is gone" ;;
    esac
}

# Too slow; what the command started goes with it.
failing 'sleep 1000 & echo $! >sleeper; sleep 1000' --finetune-timeout 2
gone sleeper
failing 'trap "" TERM; sleep 1000' --finetune-timeout 2

# What it leaves in the background ends with it.
failing '(trap "" TERM; sleep 1000; sleep 1000) & echo $! >sleeper; exit 3'
gone sleeper
echo "== a command that ends well"
coppice prune "$DIGITS" -q -o well.onnx --sparsity 0.6 --finetune \
    'sleep 1000 & echo $! >sleeper; cp "$COPPICE_MODEL_IN" "$COPPICE_MODEL_OUT"' | step_lines
gone sleeper

# The same as JSON.
failing 'false' --json
jq -c . out.txt
failing 'true' --json
jq -c . out.txt
