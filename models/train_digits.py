#!/usr/bin/env python3
"""Trains the demo model on scikit-learn's handwritten digits and writes the files of this folder.

Needs torch 2.13.0, onnx, onnxscript, onnxruntime, numpy and scikit-learn. Run it from the top of the
tree as `python3 models/train_digits.py`: the exporter records the script's path as it was given.
"""
import argparse
import pathlib

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
SEED = 7
SIDE = 24          # the 8x8 originals, three times as large
HELD_OUT = 600     # test images; the network never sees them in training
CALIBRATION = 256  # training images that are shipped
EPOCHS = 45
L1 = 5e-4          # pull towards zero on the weights of all convolutions but the first


class Bottleneck(nn.Module):
    """Residual block of a 1x1, a 3x3 and a 1x1 convolution at constant size."""

    def __init__(self, width, inner):
        super().__init__()
        self.reduce = nn.Conv2d(width, inner, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(inner)
        self.spatial = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.expand = nn.Conv2d(inner, width, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(width)

    def forward(self, x):
        y = F.relu(self.norm1(self.reduce(x)))
        y = F.relu(self.norm2(self.spatial(y)))
        return F.relu(x + self.norm3(self.expand(y)))


class DigitNet(nn.Module):
    """Stem, three bottlenecks at 24x24, one strided convolution, one classifier."""

    def __init__(self, width=64, inner=32):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(*(Bottleneck(width, inner) for _ in range(3)))
        self.shrink = nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False)
        self.shrink_norm = nn.BatchNorm2d(width)
        self.pool = nn.AvgPool2d(4)
        self.classify = nn.Linear(width * 9, 10)

    def forward(self, image):
        x = F.relu(self.stem_norm(self.stem(image)))
        x = self.blocks(x)
        x = F.relu(self.shrink_norm(self.shrink(x)))
        return self.classify(torch.flatten(self.pool(x), 1))


def load_images():
    """Returns (uint8 [1797,24,24], int64 [1797]): 0..16 becomes 0..255, bilinear to 24x24."""
    digits = load_digits()
    small = torch.tensor(digits.images, dtype=torch.float32)[:, None] * (255.0 / 16.0)
    large = F.interpolate(small, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    return large[:, 0].round().clamp(0, 255).to(torch.uint8).numpy(), digits.target.astype(np.int64)


def split(labels):
    """Random but fixed: indices of the training and of the held-out images."""
    order = np.random.default_rng(SEED).permutation(len(labels))
    return order[HELD_OUT:], order[:HELD_OUT]


def as_input(images):
    return torch.from_numpy(images).float()[:, None] / 255.0


def jitter(x, generator):
    """Shifts each image by up to two pixels and turns and scales it a little."""
    n = x.shape[0]
    angle = (torch.rand(n, generator=generator) - 0.5) * 0.35
    scale = 1.0 + (torch.rand(n, generator=generator) - 0.5) * 0.2
    shift = (torch.rand(n, 2, generator=generator) - 0.5) * (8.0 / SIDE)
    rows = torch.stack([torch.cos(angle) * scale, -torch.sin(angle) * scale, shift[:, 0],
                        torch.sin(angle) * scale, torch.cos(angle) * scale, shift[:, 1]], dim=1)
    grid = F.affine_grid(rows.view(n, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def train(model, x, y):
    generator = torch.Generator().manual_seed(SEED)
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d)][1:]
    batch = 64
    steps = (len(x) + batch - 1) // batch * EPOCHS
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)
    model.train()
    for epoch in range(EPOCHS):
        total = 0.0
        for index in torch.randperm(len(x), generator=generator).split(batch):
            logits = model(jitter(x[index], generator))
            loss = F.cross_entropy(logits, y[index], label_smoothing=0.05)
            loss = loss + L1 * sum(w.abs().sum() for w in weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(index)
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1}: loss {total / len(x):.4f}", flush=True)
    model.eval()


def accuracy(model, x, y):
    with torch.no_grad():
        return (model(x).argmax(1) == y).double().mean().item()


def export(model, path):
    torch.onnx.export(model, (torch.zeros(2, 1, SIDE, SIDE),), str(path),
                      input_names=["image"], output_names=["logits"],
                      dynamic_shapes={"image": {0: torch.export.Dim("batch")}}, external_data=False)


def check(path, x, y, model):
    """Compares the exported file with the network, in ONNX Runtime."""
    import onnx
    import onnxruntime

    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    logits = session.run(None, {"image": x.numpy()})[0]
    with torch.no_grad():
        difference = np.abs(logits - model(x).numpy()).max()
    right = (logits.argmax(1) == y.numpy()).mean()
    print(f"ONNX Runtime: held-out accuracy {right:.4f}, largest difference to PyTorch {difference:.2e}")
    if difference > 1e-3:
        raise SystemExit("the exported file does not compute what the network computes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=HERE, help="folder to write to (default: this one)")
    out = parser.parse_args().out
    torch.manual_seed(SEED)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)

    images, labels = load_images()
    train_index, test_index = split(labels)
    x, y = as_input(images), torch.from_numpy(labels)
    model = DigitNet()
    train(model, x[train_index], y[train_index])
    print(f"parameters {sum(p.numel() for p in model.parameters())}, "
          f"training accuracy {accuracy(model, x[train_index], y[train_index]):.4f}, "
          f"held-out accuracy {accuracy(model, x[test_index], y[test_index]):.4f}")

    out.mkdir(parents=True, exist_ok=True)
    export(model, out / "digits.onnx")
    check(out / "digits.onnx", x[test_index], y[test_index], model)
    shipped = train_index[:CALIBRATION]
    np.save(out / "digits_test_images.npy", images[test_index][..., None])
    np.save(out / "digits_test_labels.npy", labels[test_index])
    np.save(out / "digits_train_images.npy", images[shipped][..., None])
    np.save(out / "digits_train_labels.npy", labels[shipped])


if __name__ == "__main__":
    main()
