#!/bin/bash
# Chooses and reports, but writes nothing, masks neither.
coppice prune "$DIGITS" --sparsity 0.8 --dry-run --masks-out masks.npz --json | jq -c '[.sparsity, .bytes_out]'
ls
