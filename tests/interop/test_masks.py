"""Masks: numpy reads ours and we read numpy's, they find their weights in other exports, masks in a graph are folded."""
import functools
import warnings

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn.utils import prune

import harness

OWN = harness.ROOT / "models" / "digits.onnx"
EXPORTERS = {"torchscript": {"dynamo": False, "opset_version": 17}, "dynamo": {"dynamo": True, "external_data": False}}


def arrays(model):
    """Every initializer by name."""
    return {i.name: numpy_helper.to_array(i) for i in onnx.load(str(model)).graph.initializer}


class Network(nn.Module):
    """Layers of equal shape, BatchNormalization that exporters fold, Linear of three-dimensional input."""

    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Conv2d(3, 24, 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(24, 24, 3, padding=1, bias=False) for _ in range(4))
        self.norms = nn.ModuleList(nn.BatchNorm2d(24) for _ in range(4))
        self.square = nn.ModuleList(nn.Linear(24, 24) for _ in range(2))
        self.wide = nn.Linear(24, 40)
        self.out = nn.Linear(40, 10)
        for norm in self.norms:
            nn.init.uniform_(norm.weight, 0.5, 2)
            nn.init.uniform_(norm.running_var, 0.5, 2)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        for conv, norm in zip(self.convs, self.norms):
            x = torch.relu(norm(conv(x)))
        x = x.flatten(2).transpose(1, 2)
        for linear in self.square:
            x = torch.relu(linear(x))
        return self.out(torch.relu(self.wide(x))).mean(1)


def train(network, steps=30):
    """Some steps towards random labels: every weight moves."""
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(network.parameters(), 0.02, momentum=0.9)
    x, y = torch.randn(64, 3, 8, 8), torch.randint(10, (64,))
    network.train()
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    return network.eval()


def export(network, path, exporter, **options):
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network.eval(), (x,), str(path), **EXPORTERS[exporter], **options)
    return path, x.numpy()


def outputs(model, x):
    name = onnx.load(str(model)).graph.input[0].name
    return harness.ort_run(model, {name: x})[0]


# ---- files ----

def numpy_reads(context):
    pruned, masks = context.folder / "pruned.onnx", context.folder / "masks.npz"
    context.coppice("prune", OWN, "-o", pruned, "--sparsity", "0.7", "--masks-out", masks)
    dense, sparse = arrays(OWN), arrays(pruned)
    with np.load(masks, allow_pickle=False) as found:
        assert len(found.files) == 10
        for name in found.files:
            assert found[name].dtype == np.uint8 and found[name].shape == dense[name].shape
            assert np.array_equal(sparse[name], np.where(found[name] == 1, dense[name], 0)), name


def numpy_writes(kind, context):
    weights = {k: v for k, v in arrays(OWN).items() if k.startswith("blocks.") and v.ndim == 4}
    kept = {k: np.abs(v) > np.quantile(np.abs(v), 0.6) for k, v in weights.items()}
    turned = {k: np.asfortranarray(v.astype(t)) for (k, v), t in
              zip(kept.items(), ("u1", "?", "i1", "<f4", ">f8", "<f2", ">i8", "u1", "<i4"))}
    assert not any(v.flags.c_contiguous for v in turned.values())
    path, out = context.folder / "masks.npz", context.folder / "out.onnx"
    {"savez": lambda: np.savez(path, **kept), "compressed": lambda: np.savez_compressed(path, **kept),
     "fortran": lambda: np.savez(path, **turned)}[kind]()
    result = context.coppice_json("apply-masks", OWN, path, "-o", out)
    assert {row["match"] for row in result["masks"]} == {"name"}
    after = arrays(out)
    for name, weight in weights.items():
        assert np.array_equal(after[name], np.where(kept[name], weight, 0)), name
    assert result["zeros"] == sum(int((~k).sum()) for k in kept.values())


# ---- other exports ----

def matches(source, target, sparsity, trained, context):
    network = Network(0)
    first, x = export(network, context.folder / "first.onnx", source)
    if trained:
        train(network)
    second, _ = export(network, context.folder / "second.onnx", target)
    pruned, masks, out = (context.folder / n for n in ("pruned.onnx", "masks.npz", "out.onnx"))
    context.coppice("prune", first, "-o", pruned, "--sparsity", sparsity, "--no-keep-first", "--no-keep-last",
                    "--masks-out", masks)
    result = context.coppice_json("apply-masks", second, masks, "-o", out)
    assert len(result["masks"]) == 9 and {row["match"] for row in result["masks"]} <= {"name", "content"}
    onnx.checker.check_model(str(out))
    assert result["zeros"] == sum(int((np.load(masks)[k] == 0).sum()) for k in np.load(masks).files)
    if not trained:  # the same network with the same weights left computes the same
        harness.assert_close(outputs(out, x), outputs(pruned, x), f"{source} to {target}")
        assert not np.allclose(outputs(out, x), outputs(second, x), rtol=1e-3), "nothing was pruned"


def refuses_another_network(exporter, context):
    first, _ = export(Network(0), context.folder / "first.onnx", "torchscript")
    other, _ = export(Network(1), context.folder / "other.onnx", exporter)
    pruned, masks, out = (context.folder / n for n in ("pruned.onnx", "masks.npz", "out.onnx"))
    context.coppice("prune", first, "-o", pruned, "--sparsity", "0.8", "--masks-out", masks)
    done = context.attempt("apply-masks", other, masks, "-o", out)
    assert done.returncode == 2 and "no sure place" in done.stderr and not out.exists(), done.stderr


def believes_names(context):
    """Masks that were not made by magnitude go where their names say, and a note says that it was the names."""
    masks, out = context.folder / "masks.npz", context.folder / "out.onnx"
    before, generator = arrays(OWN), np.random.default_rng(0)
    wanted = {name: np.asfortranarray(generator.random(w.shape) < 0.5) for name, w in before.items() if w.ndim == 4}
    np.savez_compressed(masks, **wanted)
    done = context.attempt("apply-masks", OWN, masks, "-o", out)
    assert done.returncode == 0 and "not made by magnitude" in done.stderr, done.stderr
    for name, weight in arrays(out).items():
        assert np.array_equal(weight, before[name] * wanted.get(name, 1)), name


def folded_batch_norm(name, sparsity, context):
    folder = context.data("models") / "cifar10"
    pruned, masks, out = (context.folder / n for n in ("pruned.onnx", "masks.npz", "out.onnx"))
    context.coppice("prune", folder / f"{name}_bn.onnx", "-o", pruned, "--sparsity", sparsity, "--masks-out", masks)
    result = context.coppice_json("apply-masks", folder / f"{name}.onnx", masks, "-o", out)
    message = onnx.load(str(folder / f"{name}.onnx")).graph
    plain = onnx.load(str(folder / f"{name}_bn.onnx")).graph
    order = [[n.input[1] for n in g.node if n.op_type == "Conv"] for g in (plain, message)]
    expected = dict(zip(*order))
    for row in result["masks"]:
        assert row["initializer"] == expected[row["mask"]], row


# ---- masks in the graph ----

def folds(exporter, options, context):
    network = Network(0)
    layers = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    prune.global_unstructured([(m, "weight") for m in layers], prune.L1Unstructured, amount=0.7)
    model, x = export(network, context.folder / "masked.onnx", exporter, **options)
    out, again = context.folder / "out.onnx", context.folder / "again.onnx"
    result = context.coppice_json("prune", model, "-o", out, "--sparsity", "0", "--fold-masks")
    assert result["folded_masks"] == len(layers)
    message = onnx.load(str(out))
    onnx.checker.check_model(message, full_check=True)
    assert not [n for n in message.graph.node if n.op_type == "Mul"]
    names = {i.name for i in message.graph.initializer}
    assert not [n for n in names | {i.name for i in message.graph.input} if "mask" in n]
    zeros = sum(int((m.weight == 0).sum()) for m in layers)
    assert zeros == sum(int((a == 0).sum()) for a in arrays(out).values() if a.ndim > 1)
    assert np.array_equal(outputs(out, x), outputs(model, x)), "outputs differ"
    assert context.coppice_json("prune", out, "-o", again, "--sparsity", "0", "--fold-masks")["folded_masks"] == 0


def folds_shared(name, products, context):
    model = context.data("models") / "torch213" / name / "model.onnx"
    out = context.folder / "out.onnx"
    result = context.coppice_json("prune", model, "-o", out, "--sparsity", "0", "--fold-masks")
    assert result["folded_masks"] == products
    onnx.checker.check_model(str(out), full_check=True)
    rng, feeds = np.random.default_rng(0), {}
    for i in onnx.load(str(model)).graph.input:
        if i.name not in arrays(model):
            dims = [d.dim_value or 2 for d in i.type.tensor_type.shape.dim]
            is_float = i.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
            feeds[i.name] = rng.standard_normal(dims).astype("f4") if is_float else rng.integers(0, 5, dims)
    for a, b in zip(harness.ort_run(out, feeds), harness.ort_run(model, feeds)):
        assert np.array_equal(a, b), "outputs differ"


def tests():
    yield "masks: numpy reads what prune writes", numpy_reads
    for kind in ("savez", "compressed", "fortran"):
        yield f"masks: what numpy wrote ({kind}) is read", functools.partial(numpy_writes, kind)
    for source, target in (("torchscript", "dynamo"), ("dynamo", "torchscript")):
        for sparsity in ("0.5", "0.9"):
            for trained in (False, True):
                name = f"masks: {source} to {target} at {sparsity}{', trained on' if trained else ''}"
                yield name, functools.partial(matches, source, target, sparsity, trained)
    yield "masks: names of masks that were not made by magnitude are believed", believes_names
    for exporter in EXPORTERS:
        yield f"masks: another network is refused ({exporter})", functools.partial(refuses_another_network, exporter)
    for name in ("cifar10_resnet20", "cifar10_resnet56"):
        for sparsity in ("0.5", "0.9"):
            yield f"masks: {name} with and without BatchNormalization at {sparsity}", functools.partial(
                folded_batch_norm, name, sparsity)
    for exporter, options in (("torchscript", {"do_constant_folding": False}),
                              ("torchscript", {"do_constant_folding": False, "keep_initializers_as_inputs": True}),
                              ("dynamo", {"optimize": False})):
        yield f"masks: folded, {exporter} {options}", functools.partial(folds, exporter, options)
    for name, products in (("prune_masks_transformer__ts17_noconst", 8), ("prune_global80__ts17", 0)):
        yield f"masks: folded, {name}", functools.partial(folds_shared, name, products)
