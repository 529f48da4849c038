#!/usr/bin/env python3
"""Reads the masks of `coppice prune --masks-out MASKS.npz` with numpy alone: python3 read_masks_numpy.py MASKS.npz

One uint8 array per pruned weight, named as the initializer and of its shape: 1 = kept, 0 = pruned.
Weights that were kept dense have none.
"""
import sys

import numpy as np


def read_masks(path):
    """Masks as booleans by initializer name."""
    with np.load(path) as archive:
        return {name: archive[name].astype(bool) for name in archive.files}


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: read_masks_numpy.py MASKS.npz")
    masks = read_masks(sys.argv[1])
    for name, mask in masks.items():
        print(f"{name:40} {str(mask.shape):18} {1 - mask.mean():7.2%} pruned")
    kept, total = sum(m.sum() for m in masks.values()), sum(m.size for m in masks.values())
    print(f"{len(masks)} weights, {kept:,} of {total:,} numbers kept, sparsity {1 - kept / total:.4f}")


if __name__ == "__main__":
    main()
