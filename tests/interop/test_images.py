"""Operators on images with random attributes give what ONNX Runtime gives: resizing, convolution both ways,
sampling, pooling, padding, normalization. All nodes of a kind stand in one model."""
import functools

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

import harness

TYPES = {np.dtype(t): helper.np_dtype_to_tensor_dtype(np.dtype(t)) for t in ("f4", "f8", "i8", "u1", "i4", "i1")}


def pick(rng, *choices):
    return choices[rng.integers(len(choices))]


def whole(rng, low, high, count):
    return [int(v) for v in rng.integers(low, high + 1, count)]


def floats(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def resize(rng):
    """Scales make whole sizes here: the runtimes differ on what lies between two sizes."""
    mode = pick(rng, "nearest", "linear", "cubic")
    attributes = {"mode": mode}
    rank = 4 if mode == "cubic" else pick(rng, 3, 4, 5)
    shape = [1, 2, *whole(rng, 2, 9, rank - 2)]
    coordinates = pick(rng, "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
    attributes["coordinate_transformation_mode"] = coordinates
    if mode == "nearest":
        attributes["nearest_mode"] = pick(rng, "round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    if mode == "cubic":
        attributes["cubic_coeff_a"] = float(pick(rng, -0.75, -0.5))
        attributes["exclude_outside"] = int(rng.integers(2))
    if mode != "nearest" and rank == 4 and coordinates == "half_pixel" and rng.random() < 0.5:
        attributes["antialias"], attributes["exclude_outside"] = 1, 1
    sizes = shape[:2] + [max(1, int(n * pick(rng, 1, 2, 3, 0.5, 0.7, 1.4))) for n in shape[2:]]
    if mode == "cubic" or rng.random() < 0.6:
        return "Resize", attributes, [floats(rng, *shape)], ["", "", np.array(sizes)], 19
    scales = np.array([1, 1] + [pick(rng, 1, 2, 3)] * (rank - 2), np.float32)
    return "Resize", attributes, [floats(rng, *shape)], ["", scales], 19


def conv_sizes(rng):
    spatial = int(rng.integers(1, 4))
    groups = pick(rng, 1, 1, 2, 3)
    attributes = {"group": groups, "strides": whole(rng, 1, 3, spatial), "dilations": whole(rng, 1, 2, spatial)}
    kernel = whole(rng, 1, 3, spatial)
    ins, outs = groups * int(rng.integers(1, 5)), groups * int(rng.integers(1, 9))
    return attributes, spatial, groups, kernel, ins, outs


def conv_transpose(rng):
    attributes, spatial, groups, kernel, ins, outs = conv_sizes(rng)
    size = whole(rng, 2, 7, spatial)
    attributes["output_padding"] = [int(rng.integers(0, s)) for s in attributes["strides"]]
    choice = pick(rng, "pads", "auto", "shape")
    full = [s * (n - 1) + p + (k - 1) * d + 1 for s, n, p, k, d in zip(
        attributes["strides"], size, attributes["output_padding"], kernel, attributes["dilations"])]
    if choice == "pads":
        pads = [int(rng.integers(0, min(k, f // 3) + 1)) for k, f in zip(kernel, full)]
        attributes["pads"] = pads + pads
    elif choice == "shape":
        attributes["output_shape"] = [max(1, f - int(rng.integers(0, 3))) for f in full]
        attributes["auto_pad"] = pick(rng, "NOTSET", "SAME_UPPER", "SAME_LOWER")
    else:
        attributes["auto_pad"] = pick(rng, "VALID", "NOTSET")
    inputs = [floats(rng, 2, ins, *size), floats(rng, ins, outs // groups, *kernel)]
    return "ConvTranspose", attributes, inputs + [floats(rng, outs)] * pick(rng, 0, 1), [], pick(rng, 11, 22)


def conv(rng):
    """The weight is an input: no kernel packs it."""
    attributes, spatial, groups, kernel, ins, outs = conv_sizes(rng)
    attributes["pads"] = [int(rng.integers(0, k)) for k in kernel * 2]
    inputs = [floats(rng, 2, ins, *whole(rng, 6, 12, spatial)), floats(rng, outs, ins // groups, *kernel)]
    return "Conv", attributes, inputs + [floats(rng, outs)] * pick(rng, 0, 1), [], pick(rng, 11, 22)


def grid_sample(rng):
    spatial = pick(rng, 2, 2, 3)
    mode = pick(rng, "linear", "nearest", "cubic") if spatial == 2 else pick(rng, "linear", "nearest")
    attributes = {"mode": mode, "padding_mode": pick(rng, "zeros", "border", "reflection"),
                  "align_corners": int(rng.integers(2))}
    grid = rng.uniform(-1.6, 1.6, (2, *whole(rng, 1, 6, spatial), spatial)).astype(np.float32)
    return "GridSample", attributes, [floats(rng, 2, 3, *whole(rng, 2, 8, spatial)), grid], [], 20


def pool(rng):
    op, spatial = pick(rng, "MaxPool", "AveragePool", "LpPool"), int(rng.integers(1, 4))
    kernel = whole(rng, 1, 4, spatial)
    attributes = {"kernel_shape": kernel, "strides": whole(rng, 1, 3, spatial), "dilations": whole(rng, 1, 2, spatial)}
    if op != "LpPool":
        attributes["ceil_mode"] = int(rng.integers(2))
    else:
        attributes["p"] = pick(rng, 1, 2, 3)
    if rng.random() < 0.3:
        attributes["auto_pad"] = pick(rng, "SAME_UPPER", "SAME_LOWER", "VALID")
        attributes["dilations"] = [1] * spatial  # ONNX Runtime leaves them out of the sum here
    else:
        attributes["pads"] = [int(rng.integers(0, k)) for k in kernel] * 2
    if op == "AveragePool":
        attributes["count_include_pad"] = int(rng.integers(2))
    x = floats(rng, 1, 3, *whole(rng, 9, 14, spatial))
    return op, attributes, [x.astype(pick(rng, np.float32, np.float64))], [], 19


def pad(rng):
    mode, rank = pick(rng, "constant", "reflect", "edge", "wrap"), int(rng.integers(1, 5))
    shape = whole(rng, 3, 6, rank)
    low = -1 if mode == "constant" else 0
    constants = [np.array(whole(rng, low, 2, 2 * rank))]
    if mode == "constant":
        constants.append(np.array(2.5, np.float32))
    return "Pad", {"mode": mode}, [floats(rng, *shape)], constants, 19


def normalize(rng):
    op = pick(rng, "LayerNormalization", "InstanceNormalization", "LpNormalization", "LRN", "BatchNormalization",
              "MeanVarianceNormalization", "GroupNormalization")
    x = floats(rng, *whole(rng, 1, 3, 1), 6, *whole(rng, 2, 40, 2))
    if op == "LayerNormalization":
        axis = int(rng.integers(1, 4))
        return op, {"axis": axis}, [x, floats(rng, *x.shape[axis:]), floats(rng, *x.shape[axis:])], [], 17
    if op == "InstanceNormalization":
        return op, {"epsilon": 1e-3}, [x, floats(rng, 6), floats(rng, 6)], [], 13
    if op == "GroupNormalization":
        return op, {"num_groups": pick(rng, 1, 2, 3, 6)}, [x, floats(rng, 6), floats(rng, 6)], [], 21
    if op == "LpNormalization":
        return op, {"axis": int(rng.integers(-4, 4)), "p": pick(rng, 1, 2)}, [x], [], 13
    if op == "LRN":
        return op, {"size": pick(rng, 1, 3, 5), "alpha": 0.1, "beta": pick(rng, 0.5, 0.75), "bias": 1.5}, [x], [], 13
    if op == "BatchNormalization":
        return op, {}, [x, floats(rng, 6), floats(rng, 6), floats(rng, 6), floats(rng, 6) ** 2 + 0.1], [], pick(rng, 9, 15)
    return op, {"axes": [0, 2, 3]}, [x], [], 13


def blocks(rng):
    op, b = pick(rng, "DepthToSpace", "SpaceToDepth", "CenterCropPad", "Col2Im"), pick(rng, 1, 2, 3)
    if op == "DepthToSpace":
        x = floats(rng, 2, b * b * pick(rng, 1, 2, 3), *whole(rng, 1, 5, 2))
        return op, {"blocksize": b, "mode": pick(rng, "DCR", "CRD")}, [x], [], 13
    if op == "SpaceToDepth":
        return op, {"blocksize": b}, [floats(rng, 2, 3, *(b * n for n in whole(rng, 1, 5, 2)))], [], 13
    if op == "CenterCropPad":
        return op, {"axes": [1, -1]}, [floats(rng, *whole(rng, 1, 6, 3))], [np.array(whole(rng, 1, 8, 2))], 18
    image, kernel, stride = whole(rng, 5, 9, 2), whole(rng, 1, 3, 2), whole(rng, 1, 2, 2)
    places = [(n + 1 - k) // s + 1 for n, k, s in zip(image, kernel, stride)]
    x = floats(rng, 2, 3 * kernel[0] * kernel[1], places[0] * places[1])
    return op, {"strides": stride, "pads": [1, 0, 0, 1]}, [x], [np.array(image), np.array(kernel)], 18


def regions(rng):
    """Regions that begin and end inside: the runtimes differ on what lies outside in mode max."""
    count, x = int(rng.integers(1, 6)), floats(rng, 2, 3, *whole(rng, 6, 12, 2))
    corner = rng.uniform(0, 5, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0.5, 6, (count, 2))], 1).astype(np.float32)
    shape = whole(rng, 1, 5, 2)
    if rng.random() < 0.3:
        boxes = np.concatenate([rng.integers(0, 2, (count, 1)), boxes], 1).astype(np.float32)
        return "MaxRoiPool", {"pooled_shape": shape}, [x, boxes], [], 13
    attributes = {"output_height": shape[0], "output_width": shape[1], "sampling_ratio": pick(rng, 0, 1, 3),
                  "coordinate_transformation_mode": pick(rng, "half_pixel", "output_half_pixel"),
                  "mode": "avg", "spatial_scale": pick(rng, 1.0, 0.75)}
    return "RoiAlign", attributes, [x, boxes], [rng.integers(0, 2, count)], 16


def build(cases, opset):
    """(model, inputs) of nodes (op, attributes, inputs, constant inputs)."""
    nodes, values, constants = [], {}, []
    for index, (op, attributes, inputs, fixed, _) in enumerate(cases):
        names = []
        for array in inputs:
            names.append(f"x{index}_{len(names)}")
            values[names[-1]] = array
        for array in fixed:
            names.append("" if isinstance(array, str) else f"c{index}_{len(names)}")
            if names[-1]:
                constants.append(numpy_helper.from_array(array, names[-1]))
        nodes.append(helper.make_node(op, names, [f"y{index}"], **attributes))
    graph = helper.make_graph(
        nodes, "images", [helper.make_tensor_value_info(n, TYPES[a.dtype], a.shape) for n, a in values.items()],
        [helper.make_tensor_value_info(f"y{i}", TYPES[case[2][0].dtype], None) for i, case in enumerate(cases)], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), values


def expected(case):
    """What ONNX Runtime gives; None when it does not take the combination."""
    model, values = build([case], case[4])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return session.run(None, values)[0]
    except Exception:  # noqa: BLE001: it has no common class for what it refuses
        return None


def check(make, count, context):
    rng = np.random.default_rng(len(make.__name__))
    by_opset, taken = {}, 0
    while taken < count:
        case = make(rng)
        want = expected(case)
        taken += 1
        if want is not None:
            by_opset.setdefault(case[4], []).append((case, want))
    assert sum(map(len, by_opset.values())) > count // 2, "ONNX Runtime refuses most of the cases"
    for opset, found in by_opset.items():
        model, values = build([case for case, _ in found], opset)
        path = context.folder / f"model{opset}.onnx"
        onnx.save(model, path)
        for got, (case, want) in zip(context.run(path, values, "--tune", "none"), found):
            shapes = [a.shape for a in case[2]]
            what = f"{case[0]} {case[1]} of {shapes} {[np.asarray(c).tolist() for c in case[3]]}, opset {opset}"
            assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
            np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4, err_msg=what)


def tests():
    for make, count in ((resize, 80), (conv_transpose, 80), (conv, 40), (grid_sample, 60), (pool, 60), (pad, 30),
                        (normalize, 50), (blocks, 40), (regions, 30)):
        yield f"images {make.__name__}", functools.partial(check, make, count)
