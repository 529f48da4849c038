"""A pruned ResNet of bottlenecks, as PyTorch exports it: which kernels it runs on, and no layout changes between them."""
import functools

import numpy as np
import torch
from torch import nn

import harness


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a shortcut, the block of ResNet-50."""

    def __init__(self, channels_in, planes, stride):
        super().__init__()
        def conv(i, o, kernel, step=1):
            return nn.Sequential(nn.Conv2d(i, o, kernel, step, kernel // 2, bias=False), nn.BatchNorm2d(o))
        self.reduce, self.spatial, self.expand = conv(channels_in, planes, 1), conv(planes, planes, 3, stride), conv(planes, planes * 4, 1)
        self.shortcut = conv(channels_in, planes * 4, 1, stride)

    def forward(self, x):
        y = torch.relu(self.spatial(torch.relu(self.reduce(x))))
        return torch.relu(self.expand(y) + self.shortcut(x))


def export(path):
    torch.manual_seed(4)
    net = nn.Sequential(nn.Conv2d(3, 32, 7, 2, 3, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
                        Bottleneck(32, 32, 1), Bottleneck(128, 64, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                        nn.Linear(256, 100)).eval()
    torch.onnx.export(net, (torch.randn(1, 3, 112, 112),), str(path), dynamo=False, input_names=["x"], output_names=["y"])


def prune(context, sparsity):
    dense, pruned = context.folder / "dense.onnx", context.folder / "pruned.onnx"
    export(dense)
    context.coppice("prune", dense, "-o", pruned, "--sparsity", sparsity)
    return pruned


def profile(context, model, *options):
    return context.coppice_json("bench", model, "--profile", "--threads", "1", "-n", "2", *options)["layers"]


def xnnpack_names_its_sparse_kernels(context):
    rows = profile(context, prune(context, 0.9), "--backend", "xnnpack", "--sparse", "always")
    sparse = [row for row in rows if row["op"].startswith("Conv") and row["sparsity"] > 0.5]
    assert len(sparse) == 8, [row["node"] for row in sparse]
    for row in sparse:
        assert row["kernel"].startswith("xnn_spmm_f32"), f"{row['node']} runs on {row['kernel']}"
    in_place = [row["node"] for row in sparse if row["kernel"] == "xnn_spmm_f32_1x1"]
    assert len(in_place) >= 4, f"1x1 layers without a copy: {in_place}"


def layouts_change_before_the_chain_only(backend, context):
    rows = profile(context, prune(context, 0.9), "--backend", backend, "--sparse", "always")
    sparse = [i for i, row in enumerate(rows) if row["op"].startswith("Conv") and row["sparsity"] > 0.5]
    changes = [i for i, row in enumerate(rows) if row["op"] == "Layout" and sparse[0] < i < sparse[-1]]
    assert not changes, f"steps {changes} of {[row['op'] for row in rows]}"


def same_as_onnx_runtime(backend, use, context):
    model = prune(context, 0.8)
    x = {"x": np.random.default_rng(6).standard_normal((1, 3, 112, 112)).astype(np.float32)}
    got = context.run(model, x, "--backend", backend, "--sparse", use)
    harness.assert_all_close(got, harness.ort_run(model, x), f"{backend}, sparse {use}")


def tests():
    yield "bottlenecks: xnnpack names its sparse kernels", xnnpack_names_its_sparse_kernels
    for backend in ("xnnpack", "native"):
        name = f"bottlenecks: no layout changes between sparse layers, {backend}"
        yield name, functools.partial(layouts_change_before_the_chain_only, backend)
    for backend in harness.BACKENDS:
        for use in ("always", "never"):
            yield f"bottlenecks: {backend}, sparse {use}, as ONNX Runtime", functools.partial(same_as_onnx_runtime, backend, use)
