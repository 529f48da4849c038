"""A pruned file against onnx.checker, ONNX Runtime and torch.nn.utils.prune."""
import functools

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch.nn.utils import prune as torch_prune

import harness

OWN = harness.ROOT / "models" / "digits.onnx"
SHARED = ("cifar10/cifar10_resnet20.onnx", "cifar10/cifar10_resnet20_bn.onnx", "mnist/lenet_caffe.onnx",
          "fashion-mnist/fashion_cnn.onnx", "imagenet/mobilenet_v2_tv.onnx", "imagenet/squeezenet1.1.onnx")
PRUNABLE = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
ALL = ("--no-keep-first", "--no-keep-last", "--no-keep-depthwise")


def locate(model, context):
    return OWN if model == "digits" else context.data("models") / model


def weights(model):
    """Every initializer by name."""
    return {i.name: numpy_helper.to_array(i) for i in onnx.load(str(model)).graph.initializer}


def prunable(model):
    """Names of the initializers that are the second input of a node that may be pruned."""
    graph = onnx.load(str(model)).graph
    names = {i.name for i in graph.initializer}
    wanted = [n.input[1] for n in graph.node if n.op_type in PRUNABLE and n.input[1] in names]
    return list(dict.fromkeys(wanted))


def random_inputs(model, batch=3):
    """Free dimensions become the batch."""
    graph = onnx.load(str(model), load_external_data=False).graph
    initializers = {i.name for i in graph.initializer}
    random = np.random.default_rng(1)
    inputs = {}
    for value in graph.input:
        if value.name in initializers:
            continue
        dims = [d.dim_value if d.HasField("dim_value") else batch for d in value.type.tensor_type.shape.dim]
        inputs[value.name] = random.standard_normal(dims).astype(np.float32)
    return inputs


def runs_the_same(model, context):
    source = locate(model, context)
    pruned = context.folder / "pruned.onnx"
    totals = context.coppice_json("prune", source, "-o", pruned, "--sparsity", "0.8")
    onnx.checker.check_model(str(pruned), full_check=True)
    before, after = weights(source), weights(pruned)
    assert before.keys() == after.keys()
    zeros = total = 0
    for layer in totals["layers"]:
        array = after[layer["initializer"]]
        if layer["kept_dense"]:
            assert np.array_equal(array, before[layer["initializer"]])
            continue
        count = int((array == 0).sum())
        assert count == max(round(0.8 * array.size), int((before[layer["initializer"]] == 0).sum())), (
            f"{layer['initializer']}: {count} zeros of {array.size}")
        kept = array != 0
        assert np.array_equal(array[kept], before[layer["initializer"]][kept]), "a kept weight has changed"
        assert not np.signbit(array[~kept]).any(), "a pruned weight is -0.0"
        zeros, total = zeros + count, total + array.size
    assert total and (zeros, total) == (totals["zeros"], totals["weights"])
    inputs = random_inputs(source)
    expected = harness.ort_run(pruned, inputs)
    for backend in harness.BACKENDS:
        harness.assert_all_close(context.run(pruned, inputs, "--backend", backend), expected, backend)


def keeps_every_bit(model, context):
    source = locate(model, context)
    same = context.folder / "same.onnx"
    context.coppice("prune", source, "-o", same, "--sparsity", "0")
    first, second = onnx.load(str(source)), onnx.load(str(same))
    for a, b in zip(first.graph.initializer, second.graph.initializer, strict=True):
        assert a.name == b.name and a.data_type == b.data_type and list(a.dims) == list(b.dims)
        assert numpy_helper.to_array(a).tobytes() == numpy_helper.to_array(b).tobytes(), f"{a.name} has changed"
    assert first == second, "something besides the weights has changed"


def mask_of_torch(model, context):
    source = locate(model, context)
    masks = context.folder / "masks.npz"
    context.coppice("prune", source, "-o", context.folder / "pruned.onnx", "--scope", "global", "--sparsity", "0.8",
                    *ALL, "--masks-out", masks)
    arrays = weights(source)
    holders = {}
    for name in prunable(source):
        holders[name] = torch.nn.Module()
        holders[name].weight = torch.nn.Parameter(torch.tensor(arrays[name]))
    torch_prune.global_unstructured([(h, "weight") for h in holders.values()],
                                    pruning_method=torch_prune.L1Unstructured, amount=0.8)
    mine = np.load(masks)
    assert set(mine.files) == set(holders), set(mine.files) ^ set(holders)
    flat = np.concatenate([np.abs(arrays[n]).reshape(-1) for n in holders])
    pruned = round(0.8 * flat.size)
    threshold = np.partition(flat, pruned - 1)[pruned - 1]
    assert sum(int((mine[n] == 0).sum()) for n in holders) == pruned
    for name, holder in holders.items():
        assert mine[name].dtype == np.uint8 and mine[name].shape == arrays[name].shape
        differ = mine[name] != holder.weight_mask.numpy().astype(np.uint8)
        # Which of several equal weights goes is free.
        assert (np.abs(arrays[name][differ]) == threshold).all(), f"{name}: {int(differ.sum())} weights differ"


def scores_of_numpy(context):
    """Scores that a caller saves with NumPy choose the weights, signs and all; the rest goes by magnitude."""
    arrays = weights(OWN)
    names = prunable(OWN)
    random = np.random.default_rng(7)
    scores = {n: random.standard_normal(arrays[n].shape).astype(np.float32) for n in names[::2]}
    path, masks = context.folder / "scores.npz", context.folder / "masks.npz"
    np.savez_compressed(path, **scores)
    context.coppice("prune", OWN, "-o", context.folder / "pruned.onnx", "--sparsity", "0.6", *ALL,
                    "--criterion", "file", "--scores", path, "--masks-out", masks)
    mine = np.load(masks)
    for name in names:
        keys = scores.get(name, np.abs(arrays[name])).reshape(-1)
        kept = np.ones(keys.size, np.uint8)
        kept[np.argsort(keys, kind="stable")[:round(0.6 * keys.size)]] = 0
        assert (mine[name].reshape(-1) == kept).all(), name


def inline(model):
    """The message with all its data inside, whatever file held it, and 0.0 for -0.0."""
    message = onnx.load(str(model))
    constants = [a.t for n in message.graph.node if n.op_type == "Constant" for a in n.attribute if a.HasField("t")]
    for tensor in [*message.graph.initializer, *constants]:
        del tensor.external_data[:]
        tensor.ClearField("data_location")
        if tensor.HasField("raw_data"):
            array = numpy_helper.to_array(tensor)
            tensor.raw_data = (array + array.dtype.type(0)).tobytes()
    return message


def cover(first, second):
    """Puts the zeros of `second` into the weights of `first` that PyTorch's masks multiply: those hide them anyway."""
    for a, b in zip(first.graph.initializer, second.graph.initializer):
        if a.name.endswith("_orig") and a.name == b.name:
            array = numpy_helper.to_array(a)
            a.raw_data = np.where(numpy_helper.to_array(b) == 0, array.dtype.type(0), array).tobytes()
    return first


def pytorch_exports(context):
    """PyTorch 2.13's exports of many kinds of network: saved again, each is the same message."""
    same, refused = 0, []
    for source in sorted(context.data("models/torch213").glob("*/model.onnx")):
        name = source.parent.name
        target = context.folder / name / "model.onnx"
        target.parent.mkdir()
        done = context.attempt("prune", source, "-o", target, "--sparsity", "0", *ALL)
        if done.returncode != 0:
            assert done.returncode == 2 and not target.exists(), f"{name}: exit {done.returncode} {done.stderr}"
            assert not prunable(source), f"{name}: {done.stderr}"
            refused.append(name)
            continue
        # A weight that is zero already counts as pruned, and a pruned weight is +0.0.
        second = inline(target)
        assert cover(inline(source), second) == second, f"{name} has changed"
        same += 1
    print(f"  {same} exports saved unchanged, {len(refused)} have no weight to prune: {' '.join(refused)}")
    assert same > 50


def tests():
    for model in ("digits", *SHARED):
        yield f"pruned {model} passes onnx.checker and runs as in ONNX Runtime", functools.partial(runs_the_same, model)
        yield f"{model} saved without a change keeps every bit", functools.partial(keeps_every_bit, model)
        yield f"global mask of {model} is that of torch", functools.partial(mask_of_torch, model)
    yield "scores made with NumPy choose the weights", scores_of_numpy
    yield "PyTorch's exports saved without a change are the same message", pytorch_exports
