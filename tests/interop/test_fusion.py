"""Random networks of convolutions or products with residuals, clamps and activations behind them, shared readers and
outputs in between give what ONNX Runtime gives."""
import functools

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import harness

CASES = 30
ACTIVATIONS = ["Relu", "Clip", "Sigmoid", "Tanh", "HardSwish", "LeakyRelu", "Elu", "HardSigmoid", "Softplus"]


def build(seed):
    """(model, inputs): values of one shape, each made of those before."""
    rng = np.random.default_rng(seed)
    image = seed % 2 == 0
    channels = int(rng.integers(1, 24))
    shape = [int(rng.integers(1, 3)), channels, *(int(n) for n in rng.integers(1, 12, 2))] if image else \
        [int(rng.integers(1, 3)), int(rng.integers(1, 40)), channels]
    nodes, values = [], ["x"]
    constants = [numpy_helper.from_array(np.float32(-0.4), "low"), numpy_helper.from_array(np.float32(0.7), "high")]
    for i in range(int(rng.integers(4, 14))):
        name, kind, source = f"v{i}", rng.random(), values[int(rng.integers(max(0, len(values) - 2), len(values)))]
        if kind < 0.45:
            weight = rng.standard_normal((channels, channels, 3, 3) if image else (channels, channels))
            weight = weight * (rng.random(weight.shape) < rng.choice([0.1, 0.5, 1])) / weight[0].size ** 0.5
            constants.append(numpy_helper.from_array(weight.astype(np.float32), f"w{i}"))
            nodes.append(helper.make_node("Conv", [source, f"w{i}"], [name], pads=[1] * 4) if image else
                         helper.make_node("MatMul", [source, f"w{i}"], [name]))
        elif kind < 0.75:
            other = values[int(rng.integers(0, len(values)))]
            nodes.append(helper.make_node("Add", [source, other] if rng.random() < 0.5 else [other, source], [name]))
        else:
            op = str(rng.choice(ACTIVATIONS))
            nodes.append(helper.make_node(op, [source, "low", "high"] if op == "Clip" else [source], [name]))
        values.append(name)
    outputs = {values[-1], *rng.choice(values[1:], int(rng.integers(0, 3)))}
    typed = [helper.make_tensor_value_info(str(v), TensorProto.FLOAT, shape) for v in sorted(outputs)]
    graph = helper.make_graph(nodes, "fusion", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)], typed,
                              constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model, {"x": rng.standard_normal(shape).astype(np.float32)}


def check(context, seed):
    model, inputs = build(seed)
    harness.check_with_ort(context, model, inputs, rtol=1e-3, atol=1e-4)


def tests():
    for seed in range(CASES):
        yield f"fusion: random network {seed}", functools.partial(check, seed=seed)
