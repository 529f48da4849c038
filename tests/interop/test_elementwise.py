"""Operators element by element, reductions and softmax, of all types and random shapes, give what ONNX's reference
implementation and ONNX Runtime give."""
import functools

import numpy as np
import onnx
import onnxruntime
from onnx import helper
from onnx.reference import ReferenceEvaluator

import harness

FLOATS = ("float32", "float64")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
NUMBERS = FLOATS + INTEGERS
WIDE = FLOATS + ("int32", "int64", "uint32", "uint64")
SEEDS = 6

# operator: (types, attributes to choose from)
UNARY = {
    **{op: (FLOATS, {}) for op in (
        "Asinh", "Atan", "Ceil", "Cos", "Erf", "Exp", "Floor", "HardSwish", "IsInf", "IsNaN", "Mish", "Reciprocal",
        "Round", "Sigmoid", "Sin", "Sinh", "Softplus", "Softsign", "Tan", "Tanh")},
    **{op: (FLOATS, {"alpha": [0.3, 1.0]}) for op in ("Celu", "Elu", "LeakyRelu", "ThresholdedRelu")},
    "Abs": (NUMBERS, {}), "Sign": (NUMBERS, {}), "Neg": (FLOATS + SIGNED, {}), "Relu": (FLOATS + SIGNED, {}),
    "BitwiseNot": (INTEGERS, {}), "Gelu": (FLOATS, {"approximate": ["none", "tanh"]}),
    "HardSigmoid": (FLOATS, {"alpha": [0.1, 0.4], "beta": [0.3, 0.6]}), "Selu": (FLOATS, {}),
    "Shrink": (FLOATS, {"lambd": [0.5, 1.0], "bias": [0.0, 0.25]}),
    "Softmax": (FLOATS, {"axis": [-1, 0]}), "LogSoftmax": (FLOATS, {"axis": [-1, 0]}), "Hardmax": (FLOATS, {"axis": [0]}),
    "ArgMax": (NUMBERS, {"axis": [0, -1], "keepdims": [0, 1], "select_last_index": [0, 1]}),
    "ArgMin": (NUMBERS, {"axis": [0, -1], "keepdims": [0, 1], "select_last_index": [0, 1]}),
}
BINARY = {
    **{op: (NUMBERS, {}) for op in ("Add", "Sub", "Mul", "Max", "Min", "Less", "Greater", "LessOrEqual", "GreaterOrEqual",
                                    "Equal")},
    **{op: (INTEGERS, {}) for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")},
    "Div": (NUMBERS, {}), "Mod": (INTEGERS, {"fmod": [0, 1]}), "Pow": (FLOATS, {}), "Sum": (FLOATS, {}), "Mean": (FLOATS, {}),
    "BitShift": (UNSIGNED, {"direction": ["LEFT", "RIGHT"]}),
}
REDUCE = {
    **{op: (WIDE, {}) for op in ("ReduceSum", "ReduceL1", "ReduceSumSquare")},
    "ReduceProd": (FLOATS + UNSIGNED[2:], {}),  # of signed integers overflow is not defined
    "ReduceMean": (FLOATS, {}), "ReduceL2": (FLOATS, {}), "ReduceLogSumExp": (FLOATS, {}),
    "ReduceMax": (WIDE + ("int8", "uint8"), {}), "ReduceMin": (WIDE + ("int8", "uint8"), {}),
}


def shapes(rng):
    """Two shapes that broadcast, of rank 1 to 5."""
    whole = [int(rng.choice([1, 2, 3, 5, 17, 40])) for _ in range(int(rng.integers(1, 6)))]
    while np.prod(whole) > 20000:
        whole.pop()
    a = [1 if rng.random() < 0.2 else n for n in whole]
    b = [1 if rng.random() < 0.3 else n for n in whole][int(rng.integers(0, len(whole))):]
    return a, b


def values(rng, kind, shape):
    if kind in FLOATS:
        return (rng.standard_normal(shape) * 2).astype(kind)
    return rng.integers(-9 if kind in SIGNED else 0, 10, shape).astype(kind)


def build(kind, seed):
    """(model, inputs): every operator of the type on the same inputs, each to an output of its own."""
    rng = np.random.default_rng(seed)
    a, b = shapes(rng)
    inputs = {"x": values(rng, kind, a), "y": values(rng, kind, b)}
    inputs["d"] = inputs["y"] if kind in FLOATS else np.where(inputs["y"] == 0, 3, inputs["y"]).astype(kind)
    inputs["p"] = np.abs(inputs["x"]).astype(kind)
    nodes, constants, opset = [], [], int(rng.choice([20, 24]))

    def add(op, names, **attributes):
        nodes.append(helper.make_node(op, names, [f"{op}{len(nodes)}"], **attributes))

    for group in (UNARY, BINARY, REDUCE):
        for op, (types, choices) in group.items():
            if kind not in types:
                continue
            attributes = {name: rng.choice(options).item() for name, options in choices.items()}
            names = ["x"] if group is UNARY else ["x", "y"]
            if op in ("Div", "Mod"):
                names = ["x", "d"]
            if op == "Mean":  # the reference does not broadcast the first
                names = ["x", "x"]
            if op == "Pow":
                names = ["p", "y"]
            if group is REDUCE:
                axes = sorted(set(int(n) for n in rng.integers(0, len(a), 2)))
                constants.append(onnx.numpy_helper.from_array(np.array(axes), f"axes{len(nodes)}"))
                names = ["x", f"axes{len(nodes)}"]
                attributes["keepdims"] = int(rng.integers(0, 2))
            add(op, names, **attributes)
    for op in ("Sqrt", "Log"):
        if kind in FLOATS:
            add(op, ["p"])
    if kind in WIDE:
        constants.append(onnx.numpy_helper.from_array(np.int64(rng.integers(0, len(a))), "axis"))
        add("CumSum", ["x", "axis"], reverse=int(rng.integers(0, 2)), exclusive=int(rng.integers(0, 2)))
    graph = helper.make_graph(
        nodes, kind,
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in inputs.items()],
        [helper.make_empty_tensor_value_info(n.output[0]) for n in nodes], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), inputs


def compare(got, want, node, kind):
    where = f"{node.op_type} of {kind} {[helper.printable_attribute(a) for a in node.attribute]}"
    assert got.shape == want.shape, f"{where}: shape {got.shape}, expected {want.shape}"
    if node.op_type == "ReduceSumSquare":  # the reference widens small integers
        want = want.astype(kind)
    assert got.dtype == want.dtype, f"{where}: {got.dtype}, expected {want.dtype}"
    tolerance = 1e-5 if want.dtype == np.float32 else 1e-10 if want.dtype == np.float64 else 0
    if node.op_type in ("Erf", "Gelu", "HardSwish"):  # the reference rounds parts of them to float32
        tolerance = max(tolerance, 1e-6)
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=where)


def runtime(model, inputs):
    """What ONNX Runtime gives; None where it lacks an operator or type."""
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception:  # whatever it may raise for what it does not support
        return None
    return session.run(None, inputs)


def check(kind, seed, context):
    model, inputs = build(kind, seed)
    path = context.folder / "model.onnx"
    onnx.save(model, path)
    with np.errstate(all="ignore"):
        expected = [np.asarray(v) for v in ReferenceEvaluator(model).run(None, inputs)]
    outputs = context.run(path, inputs)
    for got, want, node in zip(outputs, expected, model.graph.node):
        compare(got, want, node, kind)
    for got, want, node in zip(outputs, runtime(model, inputs) or [], model.graph.node):
        compare(got, want, node, kind)


def tests():
    for kind in NUMBERS:
        for seed in range(SEEDS):
            yield f"elementwise {kind} {seed}", functools.partial(check, kind, seed)
