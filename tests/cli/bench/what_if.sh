#!/bin/bash
# Speed at sparsities that the model does not have yet; the model stays as it is.
. "$CLI_LIB"
before=$(sha256sum "$DIGITS")
coppice bench "$DIGITS" --what-if 0.5,0.9 -n 3 --threads 1 --json >out.json
jq -c 'keys' out.json
jq -c '.points[0] | keys' out.json
jq -c '[.points[] | .sparsity * 1000 | round]' out.json
jq -c '.layers[0] | keys, (.points[0] | keys)' out.json
jq -c '[.layers[].kept_dense]' out.json
jq -c '[.layers[].points[] | .ms > 0] | all' out.json
coppice bench "$DIGITS" --what-if 0.9 --pattern 4x1 --no-keep-first --exclude '*blocks.0*' -n 3 --threads 1 --json | jq -c '.pattern, [.layers[] | .kept_dense]'
coppice bench "$DIGITS" --pattern 2:4 -n 3 --threads 1 | grep -oE 'with masks in memory.*|^(as it is|[0-9.]+ %)|^12 layers'
[ "$before" = "$(sha256sum "$DIGITS")" ] || echo "the model was changed"
refuses coppice bench "$DIGITS" --what-if 0.5,x
refuses coppice bench "$DIGITS" --what-if 1.5 -n 1
refuses coppice bench "$DIGITS" --pattern 4x1 -n 1
refuses coppice bench "$DIGITS" --pattern 2:4 --what-if 0.5 -n 1
refuses coppice bench "$DIGITS" --pattern 4:2 -n 1
refuses coppice bench "$DIGITS" --what-if 0.5 --profile
