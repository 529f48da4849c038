#!/bin/bash
# A page of its own: facts, bars, a table; complete or not at all; names are escaped.
. "$CLI_LIB"
cp "$DIGITS" 'a<b>&"c.onnx'
coppice bench 'a<b>&"c.onnx' -n 3 --threads 1 --report page.html >/dev/null
grep -c '^<!DOCTYPE html>' page.html
tail -n 1 page.html
grep -oE '<b>(model|machine|date|command)</b>' page.html
grep -o '</b> a&#60;b&#62;&#38;&#34;c.onnx<' page.html
grep -cE '<td>node_Conv_[0-9]+</td><td>Conv' page.html
grep -q -E '<rect|new Chart' page.html && echo bars
grep -o 'coppice bench a.*page.html' page.html
refuses coppice bench "$DIGITS" -n 3 --report page.html
coppice bench "$DIGITS" -n 3 --report page.html --force >/dev/null && echo replaced
refuses coppice bench "$DIGITS" -n 3 --report nowhere/page.html
refuses coppice bench "$DIGITS" -n 3 --what-if 0.5 --report other.html
