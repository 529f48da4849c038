#!/bin/bash
. "$CLI_LIB"
mkdir locked folder
chmod 555 locked
touch file
refuses bound_by_permissions coppice prune "$DIGITS" -o locked/out.onnx --sparsity 0.8
refuses coppice prune "$DIGITS" -o missing/out.onnx --sparsity 0.8
refuses coppice prune "$DIGITS" -o file/out.onnx --sparsity 0.8
refuses coppice prune "$DIGITS" -o folder --sparsity 0.8
refuses coppice prune "$DIGITS" -o out.onnx --sparsity 0.8 --masks-out missing/masks.npz
