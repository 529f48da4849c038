#!/bin/bash
# Prunes the shipped demo model at several sparsities, compares each with the dense model and draws the result.
# Installs what is missing, builds build/, writes demo-out/. Safe to run again, also twice at once.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
out=demo-out
sparsities=(0.5 0.7 0.8 0.9 0.95)
model=models/digits.onnx
# One thread: a layer of this network takes microseconds, handing parts of it to a second thread takes as long.
options=(--threads 1 --no-progress)
data=(--images models/digits_test_images.npy --labels models/digits_test_labels.npy --scale 0.00392157)

scripts/build.sh
coppice=build/coppice

# Everything is made in a folder of this run's own and moved into place file by file at the end.
mkdir -p "$out"
work=$(mktemp -d "$out/.run.XXXXXX")
trap 'rm -rf "$work"' EXIT

percent() { # 0.95 -> 95
    awk -v s="$1" 'BEGIN { printf "%g", s * 100 }'
}

gzip_bytes() {
    gzip -9 -c "$1" | wc -c
}

# One tab-separated row: sparsity, accuracy, agreement, bytes, gzip bytes, ms dense, ms sparse.
row() { # SPARSITY PRUNED_MODEL COMPARE_JSON
    jq -r --arg sparsity "$1" --arg gzip "$(gzip_bytes "$2")" '
        def ms: if type == "object" then .median else . end;
        [$sparsity, .b.top1, .agreement, .b.bytes, $gzip, (.a.latency_ms | ms), (.b.latency_ms | ms)] | @tsv' "$3"
}

for sparsity in "${sparsities[@]}"; do
    name=digits_$(percent "$sparsity")
    echo "pruning $model to $(percent "$sparsity") % zeros and comparing" >&2
    "$coppice" -q prune "$model" -o "$work/$name.onnx" --sparsity "$sparsity" --json="$work/$name.prune.json" >"$work/$name.prune.txt"
    "$coppice" compare "$model" "$work/$name.onnx" "${data[@]}" "${options[@]}" \
        --json="$work/$name.compare.json" >"$work/$name.compare.txt"
    row "$sparsity" "$work/$name.onnx" "$work/$name.compare.json" >>"$work/rows.tsv"
done

# The dense model's row: its accuracy, and the median of its times in the comparisons.
first=$work/digits_$(percent "${sparsities[0]}").compare.json
dense_ms=$(cut -f 6 "$work/rows.tsv" | sort -g | sed -n "$(((${#sparsities[@]} + 1) / 2))p")
{
    printf '# sparsity\taccuracy\tagreement\tfile bytes\tgzip bytes\tms dense\tms sparse\n'
    jq -r --arg gzip "$(gzip_bytes "$model")" --arg ms "$dense_ms" \
        '[0, .a.top1, 1, .a.bytes, $gzip, $ms, $ms] | @tsv' "$first"
    cat "$work/rows.tsv"
} >"$work/demo.tsv"

cpu=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
[ -n "$cpu" ] || cpu=$(uname -m)
samples=$(jq -r '.samples' "$first")
caption="$samples held-out images, fp32, batch 1, one thread, $cpu, $(date -u +%F)"

awk -F '\t' '
    BEGIN { format = "%8s  %8s  %9s  %10s  %10s  %8s  %9s  %8s\n"
            printf format, "sparsity", "accuracy", "agreement", "file bytes", "gzip bytes", "ms dense", "ms sparse", "speed-up" }
    /^#/ { next }
    { printf format, $1 * 100 " %", sprintf("%.2f %%", $2 * 100), sprintf("%.2f %%", $3 * 100), $4, $5,
             sprintf("%.3f", $6), $1 == 0 ? "-" : sprintf("%.3f", $7), $1 == 0 ? "-" : sprintf("%.2fx", $6 / $7) }
    ' "$work/demo.tsv" >"$work/demo.txt"

scripts/demo_plot.sh "$work" "$caption"

echo
cat "$work/demo.txt"
echo
echo "$caption"
echo "One-shot magnitude pruning, no training afterwards; the first convolution and the classifier stay dense."
echo "Zeros are kept in the file, so its size stays; gzip shows what they are worth."
echo

# One run at a time, so that the files in place are all of one run.
(
    flock 9
    for file in "$work"/digits_*.onnx "$work"/digits_*.json "$work"/demo.{tsv,txt,svg,png,html}; do
        mv -f "$file" "$out/"
    done
) 9<"$out"
for file in demo.html demo.svg demo.png demo.tsv; do
    echo "$root/$out/$file"
done
