#!/bin/bash
# Draws demo.tsv of a folder with gnuplot: demo.svg, demo.png and demo.html (table and picture, works offline).
# Usage: demo_plot.sh FOLDER CAPTION
set -euo pipefail
cd "$1"
caption=$2

# Two panels over the same axis. Ink is the colour of axes and text.
plot() { # TERMINAL FILE INK
    gnuplot <<GNUPLOT
set terminal $1
set output "$2"
ink = "$3"
set datafile separator "\t"

# About four round steps up to the largest time.
stats "demo.tsv" using (\$6 > \$7 ? \$6 : \$7) nooutput
raw = STATS_max / 4.0
unit = 10 ** floor(log10(raw))
step = unit * (raw / unit < 1.5 ? 1 : raw / unit < 3.5 ? 2 : raw / unit < 7.5 ? 5 : 10)

set multiplot layout 2,1
set xrange [-2:100]
set xtics 0,20,100 format "%g %%" textcolor rgb ink
set ytics textcolor rgb ink
set border 3 linecolor rgb ink
set tics nomirror out scale 0.5
set grid ytics linecolor rgb "#a0a0a0" linewidth 0.5 dashtype 3
set key textcolor rgb ink
set lmargin 9
set rmargin 3
set bmargin 3
set tmargin 2.5

set title "Accuracy on held-out images" textcolor rgb ink offset 0,-0.5
set yrange [0:104]
set ytics 0,20,100 format "%g %%"
set key bottom left reverse Left samplen 2
plot "demo.tsv" using (\$1*100):(\$2*100) with linespoints linewidth 2.5 pointtype 7 pointsize 0.7 linecolor rgb "#2f7ed8" notitle

set title "Milliseconds per image" textcolor rgb ink offset 0,-0.5
set yrange [0:*]
set ytics step format "%g"
set xlabel "share of zeros in the pruned layers" textcolor rgb ink offset 0,0.3
set bmargin 4
plot "demo.tsv" using (\$1*100):6 with linespoints linewidth 1.5 dashtype 2 pointtype 6 pointsize 0.7 linecolor rgb "#888888" title "dense model", \\
     "" using (\$1*100):7 with linespoints linewidth 2.5 pointtype 7 pointsize 0.7 linecolor rgb "#d9662b" title "pruned model"
unset multiplot
GNUPLOT
}

plot 'pngcairo size 960,1120 font "sans,20" background rgb "white" linewidth 2' demo.png '#222222'
plot 'svg size 480,560 dynamic font "sans-serif,14" name "demo"' plain.svg '#010203'

# The ink becomes the page's text colour, so that one drawing serves light and dark.
style='<style>svg { color: #222; background: #fff } @media (prefers-color-scheme: dark) { svg { color: #ddd; background: #16181b } }</style>'
sed -E 's/rgb\( *1, *2, *3\)|#010203/currentColor/g; s/ color="(black|gray|white)"//g; s/(stroke|fill)="black"/\1="currentColor"/g' plain.svg >ink.svg
awk -v style="$style" '{ print } />$/ && !done && seen { print style; done = 1 } /<svg/ { seen = 1; if (/>$/) { print style; done = 1 } }' \
    ink.svg >demo.svg

escaped=$(printf '%s' "$caption" | sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g')
{
    cat <<'HTML'
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>coppice: what pruning costs and what it brings</title>
<style>
:root { color-scheme: light dark; --text: #222; --page: #fff; --line: #ccc }
@media (prefers-color-scheme: dark) { :root { --text: #ddd; --page: #16181b; --line: #444 } }
@media print { :root { --text: #000; --page: #fff; --line: #999 } figure, table { break-inside: avoid } }
body { font: 1rem/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 50rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.4rem; line-height: 1.25 }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; width: 100% }
th, td { text-align: right; padding: .3rem .5rem; border-bottom: 1px solid var(--line) }
td { white-space: nowrap }
@media (max-width: 34rem) { table { font-size: .68rem } th, td { padding: .3rem .12rem } }
figure { margin: 1rem 0 }
figure svg { display: block; width: 100%; max-width: 34rem; height: auto; margin: 0 auto; color: var(--text) !important }
small { display: block }
</style>
<h1>coppice: what pruning costs and what it brings</h1>
<p>A small convolutional network for handwritten digits, pruned by magnitude in one shot, without training afterwards, and compared with the dense network.</p>
<div class="scroll">
<table>
<tr><th>spar&shy;sity<th>accu&shy;racy<th>agree&shy;ment<th>file bytes<th>gzip bytes<th>ms dense<th>ms sparse<th>speed-up
HTML
    awk -F '\t' '/^#/ { next }
        { printf "<tr><td>%g %%<td>%.1f %%<td>%.1f %%<td>%d<td>%d<td>%.3f", $1 * 100, $2 * 100, $3 * 100, $4, $5, $6
          if ($1 == 0) print "<td>-<td>-"; else printf "<td>%.3f<td>%.2fx\n", $7, $6 / $7 }' demo.tsv
    printf '</table>\n</div>\n<figure>\n'
    # Without the style: there the page's own colours hold, in print too.
    sed -n '/<svg/,$p' ink.svg
    cat <<HTML
</figure>
<small>$escaped. Sparsity is the share of zeros in the pruned layers; the first convolution and the classifier stay dense. Zeros are stored, so the file keeps its size; gzip shows what they are worth.</small>
<small>Digits: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, CC BY 4.0.</small>
</html>
HTML
} >demo.html
rm -f plain.svg ink.svg
