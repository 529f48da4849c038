"""LSTM, GRU and RNN with random attributes give what ONNX Runtime gives."""
import functools

import numpy as np
import onnx
from onnx import TensorProto, helper

import harness

CASES = 40
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
USUAL = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
PLAIN = ("Elu", "HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Softplus", "Softsign", "Tanh")
GIVEN = ("Affine", "ScaledTanh", "ThresholdedRelu")  # no default that the standard names


def attributes(op, rng, directions):
    found = {}
    if rng.random() < 0.4:
        count = len(USUAL[op]) * directions
        lists = rng.random() < 0.5
        found["activations"] = [str(f) for f in rng.choice(PLAIN + GIVEN * lists, count)]
        if op == "GRU":  # its update gate must be within 0 and 1, or the state grows without bounds
            found["activations"][::2] = [str(f) for f in rng.choice(["HardSigmoid", "Sigmoid"], directions)]
        if lists:
            found["activation_alpha"] = [float(x) for x in rng.uniform(0.1, 1, count)]
            found["activation_beta"] = [float(x) for x in rng.uniform(0.1, 1, count)]
    if rng.random() < 0.3:
        found["clip"] = float(rng.uniform(0.3, 2))
    if op == "GRU":
        found["linear_before_reset"] = int(rng.integers(0, 2))
    if op == "LSTM" and rng.random() < 0.3:
        found["input_forget"] = 1
    return found


def build(op, seed):
    """(model, inputs) of a random node; weights are constants."""
    rng = np.random.default_rng(seed)
    steps, batch, size, hidden = (int(rng.integers(1, high)) for high in (9, 5, 20, 24))
    direction = str(rng.choice(["forward", "reverse", "bidirectional"]))
    d, g = 1 + (direction == "bidirectional"), GATES[op]
    inputs = {"x": rng.standard_normal((steps, batch, size)).astype(np.float32)}
    weights = {"w": rng.standard_normal((d, g * hidden, size)), "r": rng.standard_normal((d, g * hidden, hidden))}
    names = ["x", "w", "r"] + [""] * (5 if op == "LSTM" else 3)
    if rng.random() < 0.7:
        weights["b"], names[3] = rng.standard_normal((d, 2 * g * hidden)), "b"
    if rng.random() < 0.5:
        inputs["lens"], names[4] = rng.integers(1, steps + 1, batch).astype(np.int32), "lens"
    if rng.random() < 0.5:
        inputs["h"], names[5] = rng.standard_normal((d, batch, hidden)).astype(np.float32), "h"
    if op == "LSTM" and rng.random() < 0.5:
        inputs["c"], names[6] = rng.standard_normal((d, batch, hidden)).astype(np.float32), "c"
    if op == "LSTM" and rng.random() < 0.5:
        weights["p"], names[7] = rng.standard_normal((d, 3 * hidden)), "p"
    while not names[-1]:
        names.pop()
    outputs = ["y", "y_h"] + ["y_c"] * (op == "LSTM")
    node = helper.make_node(op, names, outputs, hidden_size=hidden, direction=direction, **attributes(op, rng, d))
    types = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int32): TensorProto.INT32}
    graph = helper.make_graph(
        [node], op, [helper.make_tensor_value_info(n, types[a.dtype], a.shape) for n, a in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
        [onnx.numpy_helper.from_array((a * 0.2).astype(np.float32), n) for n, a in weights.items()])
    opset = int(rng.choice([7, 14, 21]))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), inputs


def check(op, seed, context):
    model, inputs = build(op, seed)
    harness.check_with_ort(context, model, inputs, rtol=1e-4, atol=1e-5)


def tests():
    for op in GATES:
        for seed in range(CASES):
            yield f"recurrent {op} {seed}", functools.partial(check, op, seed)
