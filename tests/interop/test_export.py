"""A fresh export of PyTorch, by both exporters and with external data, loads, prunes and runs as in ONNX Runtime."""
import functools

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional as F

import harness


class Net(nn.Module):
    """Convolutions of the usual kinds, a residual, pooling, two linear layers."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(24)
        self.depthwise = nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.pointwise = nn.Conv2d(24, 24, 1)
        self.dilated = nn.Conv2d(24, 40, 3, padding=2, dilation=2)
        self.hidden = nn.Linear(40, 64)
        self.classify = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        x = x + F.relu6(self.pointwise(F.relu6(self.depthwise(x))))
        x = F.max_pool2d(F.relu(self.dilated(x)), 2)
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return F.softmax(self.classify(F.relu(self.hidden(x))), dim=1)


def make():
    torch.manual_seed(3)
    model = Net()
    model.train()
    with torch.no_grad():  # so that batch normalisation's statistics are not 0 and 1
        for _ in range(4):
            model(torch.randn(8, 3, 32, 32) + 0.3)
    return model.eval()


def dynamo(path, external):
    torch.onnx.export(make(), (torch.zeros(2, 3, 32, 32),), str(path), input_names=["x"], output_names=["y"],
                      dynamic_shapes={"x": {0: torch.export.Dim("batch")}}, external_data=external, verbose=False)


def torchscript(path):
    torch.onnx.export(make(), (torch.zeros(2, 3, 32, 32),), str(path), dynamo=False, input_names=["x"],
                      output_names=["y"], dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}})


EXPORTERS = {
    "dynamo, one file": functools.partial(dynamo, external=False),
    "dynamo, external data": functools.partial(dynamo, external=True),
    "TorchScript": torchscript,
}


def works(name, context):
    source = context.folder / "model.onnx"
    EXPORTERS[name](source)
    assert (context.folder / "model.onnx.data").exists() == (name == "dynamo, external data")
    pruned = context.folder / "pruned" / "model.onnx"
    pruned.parent.mkdir()
    totals = context.coppice_json("prune", source, "-o", pruned, "--sparsity", "0.7")
    onnx.checker.check_model(str(pruned), full_check=True)
    assert abs(totals["sparsity"] - 0.7) < 0.001, totals["sparsity"]
    x = {"x": np.random.default_rng(5).standard_normal((5, 3, 32, 32)).astype(np.float32)}
    with torch.no_grad():
        from_torch = make()(torch.from_numpy(x["x"])).numpy()
    harness.assert_all_close(context.run(source, x), [from_torch], "dense, against PyTorch")
    for model, what in ((source, "dense"), (pruned, "pruned")):
        expected = harness.ort_run(model, x)
        for backend in harness.BACKENDS:
            harness.assert_all_close(context.run(model, x, "--backend", backend), expected, f"{what} on {backend}")


def tests():
    for name in EXPORTERS:
        yield f"fresh export ({name}) loads, prunes, runs", functools.partial(works, name)
