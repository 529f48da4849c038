#!/bin/bash
. "$CLI_LIB"
refuses coppice bench
refuses coppice bench "$DIGITS" "$DIGITS"
refuses coppice bench "$DIGITS" -n 0
refuses coppice bench "$DIGITS" -t 0
refuses coppice bench "$DIGITS" -t soon
refuses coppice bench "$DIGITS" --batch 0
refuses coppice bench "$DIGITS" --dim channels=3
refuses coppice bench "$DIGITS" --dim batch
refuses coppice bench "$DIGITS" --shape image:1x1x24x25
refuses coppice bench "$DIGITS" --shape picture:1x1x24x24
refuses coppice bench "$DIGITS" --shape image:1x1x24x
coppice bench "$DIGITS" -n 1 --shape 'image:[3,1,24,24]' --json | jq .batch
coppice bench "$DIGITS" -n 1 --dim batch=4 --json | jq .batch
