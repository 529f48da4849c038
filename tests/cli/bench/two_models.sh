#!/bin/bash
# --vs: runs in turns, and the ratio of the pairs.
coppice bench "$DIGITS" --vs "$DIGITS" -n 5 --threads 1 --json | jq -c '[(.ratio | keys), .ratio.min <= .ratio.median, .ratio.median <= .ratio.max, .other.runs, .other.model == .model]'
coppice bench "$DIGITS" --vs "$DIGITS" -n 5 --threads 1 | grep -oE 'takes [0-9.]+ times as long' | sed 's/[0-9.]\+/N/'
