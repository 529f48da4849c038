"""Attention with random attributes gives what ONNX's reference evaluator gives, and recurrent layers of PyTorch
what PyTorch gives."""
import functools

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import harness

CASES = 40
TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "bool": TensorProto.BOOL,
         "int64": TensorProto.INT64}


def mask_for(rng, batch, heads, rows, keys, opset):
    shape = [[rows, keys], [1, rows, keys], [batch, 1, rows, keys], [batch, heads, rows, keys],
             [heads, rows, keys]][rng.integers(0, 5)]
    if opset >= 24 and keys > 2 and rng.random() < 0.3:
        shape[-1] = keys - 1
    if rng.random() < 0.5:
        return rng.random(shape) < 0.7
    return rng.standard_normal(shape).astype(np.float32)


def build(seed):
    """(model, inputs) of a random Attention node."""
    rng = np.random.default_rng(seed)
    opset = int(rng.choice([23, 24, 25]))
    batch, kv, group = (int(n) for n in rng.integers(1, 4, 3))
    rows, keys, size, wide = (int(n) for n in (rng.integers(1, 90), rng.integers(1, 90), *rng.integers(1, 20, 2)))
    heads, past, three = kv * group, 0, bool(rng.random() < 0.4)
    attributes = {"is_causal": int(rng.integers(0, 2)), "qk_matmul_output_mode": int(rng.integers(0, 4))}

    def make(count, length, width):
        shape = (batch, length, count * width) if three else (batch, count, length, width)
        return rng.standard_normal(shape).astype(np.float32)

    inputs = {"q": make(heads, rows, size), "k": make(kv, keys, size), "v": make(kv, keys, wide)}
    names = ["q", "k", "v", "", "", "", ""]
    if three:
        attributes |= {"q_num_heads": heads, "kv_num_heads": kv}
    if rng.random() < 0.3:
        attributes["scale"] = float(rng.uniform(0.05, 0.5))
    if attributes["qk_matmul_output_mode"] and rng.random() < 0.3:
        attributes["softcap"] = float(rng.uniform(1, 5))
    if opset >= 25 and rng.random() < 0.5:
        attributes |= {"left_window_size": int(rng.integers(-1, 9)), "right_window_size": int(rng.integers(-1, 9))}
    outputs = ["y", "", "", "qk"]
    if rng.random() < 0.4:
        past = int(rng.integers(1, 9))
        inputs |= {"pk": rng.standard_normal((batch, kv, past, size)).astype(np.float32),
                   "pv": rng.standard_normal((batch, kv, past, wide)).astype(np.float32)}
        names[4:6] = "pk", "pv"
        outputs[1:3] = "present_k", "present_v"
    elif opset >= 24 and rng.random() < 0.4:
        inputs["valid"] = rng.integers(1, keys + 1, batch).astype(np.int64)
        names[6] = "valid"
    if rng.random() < 0.5:
        inputs["mask"] = mask_for(rng, batch, heads, rows, keys + past, opset)
        names[3] = "mask"
    while not names[-1]:
        names.pop()
    node = helper.make_node("Attention", names, outputs, **attributes)
    graph = helper.make_graph(
        [node], "attention",
        [helper.make_tensor_value_info(n, TYPES[str(a.dtype)], a.shape) for n, a in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs if n])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), inputs


def check_attention(seed, context):
    model, inputs = build(seed)
    path = context.folder / "model.onnx"
    onnx.save(model, path)
    expected = ReferenceEvaluator(model).run(None, inputs)
    for got, want, value in zip(context.run(path, inputs), expected, model.graph.output):
        assert got.shape == want.shape, f"{value.name}: shape {got.shape}, expected {want.shape}"
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5, err_msg=f"{value.name} of {model.graph.node[0]}")


class Both(torch.nn.Module):
    """A layer whose states are inputs and outputs."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        y, state = self.layer(x)
        return (y, *state) if isinstance(state, tuple) else (y, state)


def check_torch(kind, bidirectional, batch_first, context):
    torch.manual_seed(7)
    layer = getattr(torch.nn, kind)(12, 20, num_layers=2, bidirectional=bidirectional, batch_first=batch_first)
    x = torch.randn(9, 5, 12)
    path = context.folder / "model.onnx"
    torch.onnx.export(Both(layer).eval(), (x,), str(path), dynamo=False, input_names=["x"])
    with torch.no_grad():
        expected = Both(layer)(x)
    for got, want in zip(context.run(path, {"x": x.numpy()}), expected):
        harness.assert_close(got, want.numpy(), kind)


def tests():
    for seed in range(CASES):
        yield f"attention {seed}", functools.partial(check_attention, seed)
    for kind in ("LSTM", "GRU", "RNN"):
        for both in (False, True):
            yield f"torch {kind} bidirectional {both}", functools.partial(check_torch, kind, both, both)
