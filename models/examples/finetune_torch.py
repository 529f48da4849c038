#!/usr/bin/env python3
"""Fine-tunes a pruned model with PyTorch, as a hook of coppice:

    coppice prune net.onnx -o small.onnx --sparsity 0.9 --steps 5 --schedule cubic \\
        --finetune "python3 models/examples/finetune_torch.py --images X.npy --labels Y.npy --epochs 2"

coppice runs it once per step, with all it needs to know in the environment:
COPPICE_MODEL_IN (the pruned model), COPPICE_MASKS (.npz, a uint8 array per pruned weight, 1 = kept),
COPPICE_MODEL_OUT (to be written), COPPICE_STEP, COPPICE_STEPS, COPPICE_SPARSITY. Needs torch, onnx and numpy.
"""
import argparse
import math
import os
import time

import numpy as np
import onnx
import torch
from torch.nn import functional as F

from onnx_to_torch import OnnxModule, write_back


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = parser.add_argument_group("data, as in coppice compare: x = (pixel * scale - mean) / std")
    data.add_argument("--images", required=True, help=".npy, uint8 NHWC, or float NCHW")
    data.add_argument("--labels", help=".npy of class numbers; may be left out with --teacher")
    data.add_argument("--scale", type=float, default=1.0)
    data.add_argument("--mean", type=numbers, default=[0.0], help="one number, or one per channel: M,M,M")
    data.add_argument("--std", type=numbers, default=[1.0])
    data.add_argument("--augment", choices=("none", "crop", "crop+flip"), default="none",
                      help="shift images by up to an eighth of their height; mirror half of them")
    train = parser.add_argument_group("training, of each step")
    train.add_argument("--epochs", type=int, default=2)
    train.add_argument("--last-epochs", type=int, help="of the last step (default: as many as of the others)")
    train.add_argument("--lr", type=float, default=0.05, help="falls to 0 along a cosine in each step")
    train.add_argument("--batch", type=int, default=128)
    train.add_argument("--weight-decay", type=float, default=1e-4)
    train.add_argument("--teacher", metavar="DENSE.onnx", help="distillation: learn the answers of this model")
    train.add_argument("--temperature", type=float, default=4.0)
    train.add_argument("--label-weight", type=float, default=0.1, help="beside a teacher, which has the rest of 1")
    train.add_argument("--bfloat16", action="store_true", help="compute in bfloat16: faster on CPUs that have it")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if not options.labels and not options.teacher:
        parser.error("--labels or --teacher is needed: without them there is nothing to learn")
    return options


def numbers(text):
    return [float(number) for number in text.split(",")]


class Images:
    """Batches of normalised, perhaps augmented images, and their labels or None."""

    def __init__(self, options):
        images = np.load(options.images)
        if images.dtype == np.uint8:
            images = images[..., None] if images.ndim == 3 else images
        else:
            images = images.transpose(0, 2, 3, 1)
        self.height, self.width = images.shape[1:3]
        self.border = 0 if options.augment == "none" else self.height // 8
        self.flip = options.augment.endswith("flip")
        around = (self.border, self.border)
        self.pixels = torch.from_numpy(np.pad(images, ((0, 0), around, around, (0, 0))))
        self.labels = torch.from_numpy(np.load(options.labels).astype(np.int64)) if options.labels else None
        if self.labels is not None and len(self.labels) != len(self.pixels):
            raise SystemExit(f"{len(self.pixels)} images, but {len(self.labels)} labels")
        self.scale, self.mean, self.std = options.scale, torch.tensor(options.mean), torch.tensor(options.std)

    def batch(self, index, generator):
        """Shifting and mirroring are one indexing: the rows and columns each image is read from."""
        def offset():
            return torch.randint(0, 2 * self.border + 1, (len(index), 1), generator=generator)
        rows = offset() + torch.arange(self.height)
        columns = offset() + torch.arange(self.width)
        if self.flip:
            mirrored = torch.rand(len(index), 1, generator=generator) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)
        x = self.pixels[index[:, None, None], rows[:, :, None], columns[:, None, :]].float()
        x = (x * self.scale - self.mean) / self.std
        # NHWC in memory, NCHW for torch: its channels_last format, without a copy.
        return x.permute(0, 3, 1, 2), None if self.labels is None else self.labels[index]

    def epoch(self, batches, generator):
        """All images once, in random order. Batches of equal size: a small rest would disturb BatchNormalization."""
        for index in torch.randperm(len(self.pixels), generator=generator).tensor_split(batches):
            yield self.batch(index, generator)


def read_masks(path):
    """Masks by the name of the weight, 1.0 = kept."""
    with np.load(path) as archive:
        return {name: torch.from_numpy(archive[name]).float() for name in archive.files}


@torch.no_grad()
def hold(masks, net):
    """Back to zero with what is masked. Adding 0 turns -0.0 into 0.0."""
    for name, mask in masks.items():
        net.value(name).mul_(mask).add_(0.0)


def loss_of(logits, labels, wanted, options):
    """Cross-entropy with the labels, and with a teacher: KL(teacher || student), both softened by the temperature."""
    if wanted is None:
        return F.cross_entropy(logits, labels)
    t = options.temperature
    distance = t * t * F.kl_div(F.log_softmax(logits / t, 1), F.log_softmax(wanted / t, 1), reduction="batchmean",
                                log_target=True)
    if labels is None:
        return distance
    return options.label_weight * F.cross_entropy(logits, labels) + (1 - options.label_weight) * distance


def train(net, masks, images, teacher, epochs, options, generator):
    optimizer = torch.optim.SGD(net.parameters(), lr=options.lr, momentum=0.9, nesterov=True,
                                weight_decay=options.weight_decay)
    batches = max(1, round(len(images.pixels) / options.batch))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)
    net.train()
    for epoch in range(epochs):
        start, total, right, seen = time.monotonic(), 0.0, 0, 0
        for x, labels in images.epoch(batches, generator):
            with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
                with torch.no_grad():
                    wanted = None if teacher is None else teacher(x).flatten(1).float()
                logits = net(x).flatten(1).float()
            loss = loss_of(logits, labels, wanted, options)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            hold(masks, net)
            total, seen = total + loss.item() * len(x), seen + len(x)
            right += (logits.argmax(1) == (wanted.argmax(1) if labels is None else labels)).sum().item()
        print(f"  epoch {epoch + 1} of {epochs}: loss {total / seen:.4f}, right {right / seen:.4f}, "
              f"{time.monotonic() - start:.0f} s", flush=True)
        if not math.isfinite(total):
            raise SystemExit("the loss is not a number any more: try a smaller --lr")


def main():
    options = parse_options()
    environment = os.environ
    if "COPPICE_MODEL_IN" not in environment:
        raise SystemExit("this is run by coppice prune --finetune, which sets COPPICE_MODEL_IN and others")
    step, steps = int(environment["COPPICE_STEP"]), int(environment["COPPICE_STEPS"])
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    # Each step sees images in an order of its own, and the same one when it is run again.
    generator = torch.Generator().manual_seed(1000 * options.seed + step)

    model = onnx.load(environment["COPPICE_MODEL_IN"])
    masks = read_masks(environment["COPPICE_MASKS"])
    net = OnnxModule(model, masks).to(memory_format=torch.channels_last)
    teacher = None
    if options.teacher:
        teacher = OnnxModule(onnx.load(options.teacher)).to(memory_format=torch.channels_last).eval()
    epochs = options.last_epochs if step == steps and options.last_epochs is not None else options.epochs
    print(f"step {step} of {steps}: sparsity {float(environment['COPPICE_SPARSITY']):.4f}", flush=True)
    train(net, masks, Images(options), teacher, epochs, options, generator)
    write_back(net, model, environment["COPPICE_MODEL_OUT"])


if __name__ == "__main__":
    main()
