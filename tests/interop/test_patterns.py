"""Patterns and allocations of pruning against NumPy, from the papers' formulas."""
import functools

import numpy as np
import onnx
from onnx import helper, numpy_helper

import harness
from test_prune import ALL, OWN, locate, prunable, random_inputs, weights

MODELS = ("digits", "cifar10/cifar10_resnet20.onnx", "fashion-mnist/fashion_cnn.onnx", "imagenet/squeezenet1.1.onnx")


def masks_of(context, model, *options):
    path = context.folder / "masks.npz"
    context.coppice("prune", model, "-o", context.folder / "pruned.onnx", *ALL, "--masks-out", path, "--force",
                    *options)
    with np.load(path) as stored:
        return dict(stored)


def rows_of(array):
    """A weight as [rows][columns][taps], as the operators of these models read it: Conv and Gemm with transB."""
    return array.reshape(array.shape[0], array.shape[1], -1)


def two_of_four(array):
    """The mask as torchao and ASP make it: the two largest of every four along the input channels."""
    rows, columns, taps = rows_of(array).shape
    full = columns // 4 * 4
    mask = np.ones((rows, columns, taps), np.uint8)
    groups = np.abs(rows_of(array)[:, :full]).reshape(rows, full // 4, 4, taps)
    order = np.argsort(groups, axis=2, kind="stable")
    part = mask[:, :full].reshape(rows, full // 4, 4, taps)
    np.put_along_axis(part, order[:, :, :2], 0, axis=2)
    mask[:, :full] = part.reshape(rows, full, taps)
    rest = columns - full
    if rest:
        order = np.argsort(np.abs(rows_of(array)[:, full:]), axis=1, kind="stable")
        np.put_along_axis(mask[:, full:], order[:, :rest - (rest + 1) // 2], 0, axis=1)
    return mask.reshape(array.shape)


def groups_of_numpy(model, context):
    source = locate(model, context)
    arrays, mine = weights(source), masks_of(context, source, "--pattern", "2:4")
    for name in prunable(source):
        assert (mine[name] == two_of_four(arrays[name])).all(), name


def block_means(array, high, wide):
    """Mean magnitude of every block, and its size."""
    view = np.abs(rows_of(array)).astype(np.float64)
    down, across = -(-view.shape[0] // high), -(-view.shape[1] // wide)
    means = np.empty((down, across, view.shape[2]))
    sizes = np.empty_like(means)
    for r in range(down):
        for c in range(across):
            block = view[r * high:(r + 1) * high, c * wide:(c + 1) * wide]
            means[r, c] = block.mean(axis=(0, 1))
            sizes[r, c] = block.shape[0] * block.shape[1]
    return means, sizes


def blocks_of_numpy(high, wide, context):
    """Whole blocks go, the smallest means first, and as many as fit the target best."""
    source = locate("cifar10/cifar10_resnet20.onnx", context)
    arrays = weights(source)
    mine = masks_of(context, source, "--pattern", f"{high}x{wide}", "--sparsity", "0.6")
    for name in prunable(source):
        means, sizes = block_means(arrays[name], high, wide)
        kept = rows_of(mine[name])
        gone = np.zeros(means.shape, bool)
        for r, c, t in np.ndindex(*means.shape):
            block = kept[r * high:(r + 1) * high, c * wide:(c + 1) * wide, t]
            assert block.min() == block.max(), f"{name}: half a block"
            gone[r, c, t] = not block.any()
        assert means[gone].max() <= means[~gone].min() * (1 + 1e-6), name
        assert abs(sizes[gone].sum() - 0.6 * arrays[name].size) <= sizes.max() / 2 + 1, name


def erk_of_numpy(context):
    """Evci et al. 2020: densities in proportion to the sum of the dims over their product, at most 1."""
    for model, sparsity in ((m, s) for m in MODELS for s in (0.3, 0.8)):
        source = locate(model, context)
        arrays = {n: weights(source)[n] for n in prunable(source)}
        mine = masks_of(context, source, "--scope", "erk", "--sparsity", str(sparsity))
        raw = {n: sum(a.shape) / a.size for n, a in arrays.items()}
        dense = set()
        while True:
            left = (1 - sparsity) * sum(a.size for a in arrays.values()) - sum(arrays[n].size for n in dense)
            scale = left / sum(raw[n] * arrays[n].size for n in arrays if n not in dense)
            full = {n for n in arrays if n not in dense and raw[n] * scale > 1}
            if not full:
                break
            dense |= full
        for name, array in arrays.items():
            density = 1 if name in dense else raw[name] * scale
            zeros = int((mine[name] == 0).sum())
            assert abs(zeros - (1 - density) * array.size) <= 1, f"{model} {sparsity} {name}: {zeros}"


def lamp_of_numpy(model, context):
    """Lee et al. 2021: of each weight its square over the sum of all squares that are not smaller."""
    source = locate(model, context)
    arrays = {n: weights(source)[n] for n in prunable(source)}
    for sparsity in (0.5, 0.9):
        mine = masks_of(context, source, "--scope", "lamp", "--sparsity", str(sparsity))
        scores = {}
        for name, array in arrays.items():
            squares = array.reshape(-1).astype(np.float64) ** 2
            order = np.argsort(squares, kind="stable")
            score = np.empty_like(squares)
            score[order] = squares[order] / np.cumsum(squares[order][::-1])[::-1]
            scores[name] = score
        flat = np.concatenate(list(scores.values()))
        pruned = round(sparsity * flat.size)
        threshold = np.partition(flat, pruned - 1)[pruned - 1]
        assert sum(int((m == 0).sum()) for m in mine.values()) == pruned
        for name, score in scores.items():
            differ = (mine[name].reshape(-1) == 0) != (score <= threshold)
            assert (np.abs(score[differ] / threshold - 1) < 1e-9).all(), f"{model} {name}: {differ.sum()} differ"


def random_by_seed(context):
    """The same seed, the same masks; another, others; and the number of zeros is exact."""
    options = ("--criterion", "random", "--sparsity", "0.5")
    first, again = masks_of(context, OWN, *options), masks_of(context, OWN, *options)
    other = masks_of(context, OWN, *options, "--seed", "7")
    for name, mask in first.items():
        assert (mask == again[name]).all() and (mask == 0).sum() == round(0.5 * mask.size)
    assert any((mask != other[name]).any() for name, mask in first.items())
    arrays = weights(OWN)
    large = max(first, key=lambda n: first[n].size)
    magnitudes = np.abs(arrays[large])
    assert abs(magnitudes[first[large] == 0].mean() / magnitudes.mean() - 1) < 0.2, "it goes by magnitude"


def is_recognised(context):
    source = locate("cifar10/cifar10_resnet20.onnx", context)
    for pattern, target in (("2:4", ()), ("1:4", ()), ("4x1", ("--sparsity", "0.5")), ("8x1", ("--sparsity", "0.7")),
                            ("1x4", ("--sparsity", "0.6")), ("channels", ("--sparsity", "0.5"))):
        pruned = context.folder / "pruned.onnx"
        context.coppice("prune", source, "-o", pruned, "--pattern", pattern, *target, "--force")
        rows = [w for w in context.coppice_json("inspect", pruned)["weights"] if w["sparsity"] > 0.2]
        found = {w["pattern"] for w in rows}
        assert len(rows) > 10 and found == {pattern}, f"{pattern}: {found}"
        inputs = random_inputs(pruned)
        harness.assert_all_close(context.run(pruned, inputs), harness.ort_run(pruned, inputs), pattern)


def without_a_sparse_kernel(context):
    """A layer that nothing skips zeros in runs dense, and the profile says so."""
    weight = np.random.default_rng(0).standard_normal((4, 6, 3, 3)).astype(np.float32)
    weight[::2] = 0
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up")
    values = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, c, None, None]) for n, c in (("x", 4), ("y", 6))]
    graph = helper.make_graph([node], "g", values[:1], values[1:], [numpy_helper.from_array(weight, "w")])
    path = context.folder / "up.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)
    rows = context.coppice_json("bench", path, "--profile", "-n", "1", "-w", "0", "--shape", "x:1x4x5x5")["layers"]
    row = next(r for r in rows if r["node"] == "up")
    assert row["sparsity"] == 0.5 and row["chosen"] == "dense" and "no sparse kernel" in row["why"], row


def tests():
    for model in MODELS:
        yield f"2:4 masks of {model} are those of NumPy", functools.partial(groups_of_numpy, model)
        yield f"LAMP masks of {model} are those of NumPy", functools.partial(lamp_of_numpy, model)
    for high, wide in ((4, 1), (8, 1), (1, 4), (3, 5)):
        yield f"{high}x{wide} blocks are those of the smallest means", functools.partial(blocks_of_numpy, high, wide)
    yield "ERK gives the layers what its formula says", erk_of_numpy
    yield "random masks go by the seed alone", random_by_seed
    yield "a layer without a sparse kernel says that it runs dense", without_a_sparse_kernel
    yield "inspect recognises the patterns, and they run as in ONNX Runtime", is_recognised
