"""Random nodes that move, choose and join elements give what ONNX Runtime gives."""
import functools

import numpy as np
import onnx
from onnx import TensorProto, helper

import harness

CASES = 25
TYPES = (np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_)


def data(rng, shape, dtype):
    """Few different values, so that there are ties."""
    if dtype == np.bool_:
        return rng.integers(0, 2, shape).astype(dtype)
    return np.asarray(rng.integers(0, 9, shape) - (0 if np.dtype(dtype).kind == "u" else 4), dtype)


def shape_of(rng, least=1, most=4):
    return [int(x) for x in rng.integers(1, 6, rng.integers(least, most + 1))]


def axis_of(rng, rank):
    return int(rng.integers(-rank, rank))


def gather(rng):
    shape = shape_of(rng)
    axis = axis_of(rng, len(shape))
    n = shape[axis]
    indices = rng.integers(-n, n, shape_of(rng, 0, 2)).astype(rng.choice([np.int32, np.int64]))
    return "Gather", [data(rng, shape, rng.choice(TYPES)), indices], {"axis": axis}


def gather_elements(rng):
    shape = shape_of(rng)
    axis = axis_of(rng, len(shape))
    n = shape[axis]
    wanted = [int(rng.integers(1, d + 1)) for d in shape]
    wanted[axis] = int(rng.integers(1, 7))
    return "GatherElements", [data(rng, shape, rng.choice(TYPES)), rng.integers(-n, n, wanted)], {"axis": axis}


def tuples(rng, shape, batch):
    """Indices with `batch` leading dims of the shape, and how many numbers a tuple has."""
    numbers = int(rng.integers(1, len(shape) - batch + 1))
    lead = shape[:batch] + shape_of(rng, 0, 2)
    parts = [rng.integers(-shape[batch + i], shape[batch + i], lead) for i in range(numbers)]
    return np.stack(parts, -1).astype(np.int64), numbers


def gather_nd(rng):
    shape = shape_of(rng, 2)
    batch = int(rng.integers(0, len(shape) - 1))
    return "GatherND", [data(rng, shape, rng.choice(TYPES)), tuples(rng, shape, batch)[0]], {"batch_dims": batch}


def reduction(rng):
    return str(rng.choice(["none", "add", "mul", "min", "max"]))


def scatter_elements(rng):
    shape = shape_of(rng)
    axis, mode = axis_of(rng, len(shape)), reduction(rng)
    dtype = rng.choice([np.float32, np.int64])
    wanted = [int(rng.integers(1, d + 1)) for d in shape]
    order = np.argsort(rng.random(shape), axis)
    indices = order[tuple(slice(0, d) for d in wanted)]
    return "ScatterElements", [data(rng, shape, dtype), indices, data(rng, wanted, dtype)], {"axis": axis, "reduction": mode}


def scatter_nd(rng):
    shape, mode = shape_of(rng), reduction(rng)
    dtype = rng.choice([np.float32, np.int64])
    numbers = int(rng.integers(1, len(shape) + 1))
    places = np.stack(np.unravel_index(rng.permutation(int(np.prod(shape[:numbers]))), shape[:numbers]), -1)
    places = places[:int(rng.integers(1, len(places) + 1))].astype(np.int64)
    return "ScatterND", [data(rng, shape, dtype), places, data(rng, [len(places)] + shape[numbers:], dtype)], {"reduction": mode}


def slices(rng):
    """Without the largest integer as the end of a negative step, where ONNX Runtime goes its own way."""
    shape = shape_of(rng)
    axes = rng.permutation(len(shape))[:int(rng.integers(1, len(shape) + 1))].astype(np.int64)
    steps = rng.choice([-3, -2, -1, 1, 2, 3], len(axes)).astype(np.int64)
    bounds = [rng.choice([-100, -3, -1, 0, 1, 2, 5, 100, 1 << 40], len(axes)).astype(np.int64) for _ in range(2)]
    return "Slice", [data(rng, shape, rng.choice(TYPES)), *bounds, axes, steps], {}


def tile(rng):
    shape = shape_of(rng)
    return "Tile", [data(rng, shape, rng.choice(TYPES)), rng.integers(0, 4, len(shape))], {}


def trilu(rng):
    k = np.array(rng.integers(-7, 7))
    return "Trilu", [data(rng, shape_of(rng, 2), rng.choice([np.float32, np.int64])), k], {"upper": int(rng.integers(0, 2))}


def top_k(rng):
    shape = shape_of(rng)
    axis = axis_of(rng, len(shape))
    k = np.array([rng.integers(0, shape[axis] + 1)])
    dtype = rng.choice([np.float32, np.float64, np.int64, np.int32])
    return "TopK", [data(rng, shape, dtype), k], {"axis": axis, "largest": int(rng.integers(0, 2))}, 2


def unique(rng):
    shape = shape_of(rng, 1, 3)
    found = {"sorted": int(rng.integers(0, 2))}
    if rng.random() < 0.6:
        found["axis"] = axis_of(rng, len(shape))
    return "Unique", [data(rng, shape, rng.choice([np.float32, np.int64]))], found, 4


def non_zero(rng):
    return "NonZero", [data(rng, shape_of(rng), rng.choice([np.float32, np.int64, np.bool_]))], {}


def compress(rng):
    shape = shape_of(rng)
    axis = axis_of(rng, len(shape))
    on = data(rng, [int(rng.integers(1, shape[axis] + 1))], np.bool_)
    return "Compress", [data(rng, shape, rng.choice([np.float32, np.int64])), on], {"axis": axis}


def one_hot(rng):
    shape = shape_of(rng, 1, 3)
    indices = rng.integers(-8, 8, shape)
    return "OneHot", [indices, np.array(rng.integers(1, 7)), np.array([2, 5], np.float32)], {"axis": int(rng.integers(-len(shape) - 1, len(shape) + 1))}


def suppression(rng):
    batches, classes, boxes = (int(rng.integers(1, n)) for n in (3, 4, 60))
    corners = rng.random((batches, boxes, 4)).astype(np.float32)
    scores = rng.random((batches, classes, boxes)).astype(np.float32)
    return "NonMaxSuppression", [corners, scores, np.array([rng.integers(1, 20)]), np.array([rng.random()], np.float32),
                                 np.array([rng.random() * 0.5], np.float32)], {"center_point_box": int(rng.integers(0, 2))}


def einsum(rng):
    letters = "abcde"
    sizes = {c: int(rng.integers(1, 9)) for c in letters}
    terms = ["".join(rng.choice(list(letters), rng.integers(1, 4), replace=False)) for _ in range(int(rng.integers(1, 4)))]
    used = sorted(set("".join(terms)))
    out = "".join(rng.permutation(used)[:int(rng.integers(0, len(used) + 1))])
    inputs = [data(rng, [sizes[c] for c in t], np.float32) for t in terms]
    return "Einsum", inputs, {"equation": ",".join(terms) + "->" + out}


def regex(rng):
    atoms = ["a", "b", ".", "[ab]", "[^a]", "\\w", "\\d", "(a|bb)", "(?:ab)", "\\b", "^", "$", "(?i:A)", "ü", "[α-ω]"]
    repeats = ["", "", "*", "+", "?", "{2}", "{1,3}", "*?"]
    one = lambda: "".join(a + ("" if a in ("\\b", "^", "$") else str(rng.choice(repeats))) for a in rng.choice(atoms, rng.integers(1, 4)))
    pattern = "|".join(one() for _ in range(int(rng.integers(1, 3))))
    texts = ["".join(rng.choice(list("aabbA1 üβ"), rng.integers(0, 6))) for _ in range(64)]
    return "RegexFullMatch", [np.array(texts)], {"pattern": pattern}


MAKERS = (gather, gather_elements, gather_nd, scatter_elements, scatter_nd, slices, tile, trilu, top_k, unique, non_zero,
          compress, one_hot, suppression, einsum, regex)


def check(make, seed, context):
    """What decides the shape is a constant in every other case, and else comes while the model runs."""
    rng = np.random.default_rng(seed)
    op, inputs, attributes, *count = make(rng)
    outputs = [f"y{i}" for i in range(count[0] if count else 1)]
    names = [f"x{i}" for i in range(len(inputs))]
    node = helper.make_node(op, names, outputs, **attributes)
    fixed = [i for i in range(len(inputs)) if i > 0 and seed % 2]
    types = [TensorProto.STRING if a.dtype.kind == "U" else helper.np_dtype_to_tensor_dtype(a.dtype) for a in inputs]
    graph = helper.make_graph(
        [node], op,
        [helper.make_tensor_value_info(names[i], types[i], inputs[i].shape) for i in range(len(inputs)) if i not in fixed],
        [helper.make_empty_tensor_value_info(n) for n in outputs],
        [onnx.numpy_helper.from_array(inputs[i], names[i]) for i in fixed])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    model = onnx.shape_inference.infer_shapes(model)
    given = {names[i]: inputs[i] for i in range(len(inputs)) if i not in fixed}
    harness.check_with_ort(context, model, given, rtol=1e-5, atol=1e-5)


def tests():
    for make in MAKERS:
        for seed in range(CASES):
            yield f"indexing {make.__name__} {seed}", functools.partial(check, make, seed)
