#!/usr/bin/env python3
"""Puts the masks of `coppice prune --masks-out MASKS.npz` on a torch module, for training there.

The exporter of PyTorch keeps names: the mask `blocks.0.reduce.weight` belongs to the parameter `weight` of the module
`blocks.0.reduce`. Here that is the network of models/train_digits.py; use your own. Scaling of whole channels, as
folding BatchNormalization does, leaves zeros where they are.
"""
import pathlib
import sys

import numpy as np
import torch
from torch.nn.utils import prune

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from train_digits import DigitNet  # noqa: E402


def put_masks(network, path):
    """From here on torch multiplies these weights by their masks; prune.remove makes the zeros permanent."""
    with np.load(path) as archive:
        for key in archive.files:
            module, parameter = key.rpartition(".")[::2]
            prune.custom_from_mask(network.get_submodule(module), parameter, torch.from_numpy(archive[key]))


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: read_masks_torch.py MASKS.npz")
    network = DigitNet()  # and load_state_dict() of the weights that were exported
    put_masks(network, sys.argv[1])
    for name, module in network.named_modules():
        if hasattr(module, "weight_mask"):
            print(f"{name:20} {(module.weight == 0).double().mean():7.2%} zero")


if __name__ == "__main__":
    main()
