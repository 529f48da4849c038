#!/bin/bash
# The keys of the JSON are stable; the numbers are what they are.
coppice bench "$DIGITS" -n 3 -w 1 --batch 2 --json >out.json
jq -c 'keys' out.json
jq -c '.latency_ms | keys' out.json
jq -c '[.batch, .runs, .backend, .threads >= 1, .throughput > 0, .peak_rss_bytes > 1000000]' out.json
jq -c '.latency_ms | [.min <= .median, .median == .p50, .p50 <= .p90, .p90 <= .p99, .p99 <= .max]' out.json
