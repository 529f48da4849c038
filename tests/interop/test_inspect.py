"""What `coppice inspect` says of a model against what onnx and numpy say."""
import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

import harness

FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
NARROW = {TensorProto.INT8, TensorProto.UINT8, TensorProto.INT4, TensorProto.UINT4}
LOOKED_THROUGH = {"Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "QuantizeLinear",
                  "DequantizeLinear", "Split", "Slice", "Neg"}


def stored_tensors(model):
    """Initializers and Constant nodes: (name, tensor)."""
    for graph in harness.graphs(model.graph):
        yield from ((t.name, t) for t in graph.initializer)
        yield from ((n.output[0], a.t) for n in graph.node if n.op_type == "Constant"
                    for a in n.attribute if a.name == "value" and a.HasField("t"))


def users_by_onnx(model, names):
    """{initializer: labels of the nodes that multiply by it}, of the main graph."""
    producer = {o: n for n in model.graph.node for o in n.output}

    def behind(name):
        while name in producer and producer[name].op_type in LOOKED_THROUGH:
            name = producer[name].input[0]
        return name

    wanted = {"Conv": (1,), "ConvTranspose": (1,), "LSTM": (1, 2), "GRU": (1, 2), "RNN": (1, 2)}
    users = {}
    for node in model.graph.node:
        inputs = [i for i in wanted.get(node.op_type, ()) if i < len(node.input)]
        if node.op_type in ("Gemm", "MatMul"):
            inputs = [i for i in (1, 0) if behind(node.input[i]) in names][:1]
        for i in inputs:
            if behind(node.input[i]) in names:
                users.setdefault(behind(node.input[i]), []).append(node.name or node.output[0])
    return users


def shapes_by_onnx(model):
    """{value: dims} with free dimensions 1, where onnx finds all of them."""
    for value in model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_value < 1:
                dim.dim_value = 1
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {}
    for value in [*inferred.input, *inferred.value_info, *inferred.output]:
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            shapes[value.name] = [d.dim_value for d in dims]
    return shapes


def macs_by_onnx(node, weight, shapes):
    """Of one node, None when a shape is not known."""
    x, y = shapes.get(node.input[0]), shapes.get(node.output[0])
    if node.op_type == "Conv" and y is not None:
        return np.prod(y) * np.prod(weight[1:])
    if node.op_type == "ConvTranspose" and x is not None:
        return np.prod(x) * np.prod(weight[1:])
    if node.op_type in ("LSTM", "GRU", "RNN") and x is not None:
        return x[0] * x[1] * np.prod(weight)
    if node.op_type == "MatMul" and x is not None and y is not None:
        return np.prod(y) * x[-1]
    return None


def one_model(context, source):
    report = context.coppice_json("inspect", source)
    model = onnx.load(str(source))
    tensors = dict(stored_tensors(model))
    rows = {w["initializer"]: w for w in report["weights"]}
    assert len(rows) == len(report["weights"]), "a weight has two rows"
    known = [w for w in rows.values() if w["initializer"] in tensors]
    masked = any(name.endswith("_orig") for name in tensors)
    for row in known:
        tensor = tensors[row["initializer"]]
        array = numpy_helper.to_array(tensor)
        assert row["shape"] == list(array.shape) and row["weights"] == array.size, row
        zeros = int((array == 0).sum())
        assert row["zeros"] == zeros or (masked and row["zeros"] > zeros) or tensor.data_type in NARROW, f"{row} {zeros}"
    totals, others = report["totals"], report["other_parameters"]
    assert totals["parameters"] == totals["weights"] + sum(o["parameters"] for o in others)
    assert totals["weights"] == sum(w["weights"] for w in rows.values())
    floats = sum(int(np.prod(t.dims, dtype=np.int64)) for n, t in stored_tensors(model) if t.data_type in FLOATS | NARROW)
    if not masked:
        assert totals["parameters"] == floats, (totals["parameters"], floats)
    users = users_by_onnx(model, set(tensors))
    if not masked:
        for name, nodes in users.items():
            if tensors[name].dims:
                assert [u["node"] for u in rows[name]["users"]] == nodes, f"{name}: {rows[name]['users']}, expected {nodes}"
    shapes, nodes = shapes_by_onnx(model), {n.name or n.output[0]: n for n in model.graph.node}
    compared = 0
    for row in known:
        for user in row["users"]:
            expected = macs_by_onnx(nodes[user["node"]], row["shape"], shapes) if user["node"] in nodes else None
            if expected is not None and user["macs"] is not None:
                assert user["macs"] == expected, f"{user}: expected {expected}"
                compared += 1
    return len(rows), compared


def every_model(context):
    weights = compared = count = 0
    for source in sorted(context.data("models").glob("**/*.onnx")):
        try:
            rows, macs = one_model(context, source)
        except AssertionError as error:
            raise AssertionError(f"{source.parent.name}/{source.name}: {error}") from None
        weights, compared, count = weights + rows, compared + macs, count + 1
    print(f"  {count} models, {weights} weights, MACs of {compared} uses compared")
    assert compared > weights / 2


def forecast(context):
    """Zeros and bytes that inspect predicts against files that prune and convert write."""
    for name in ("digits", "cifar10/cifar10_resnet56.onnx", "imagenet/mobilenet_v2_tv.onnx", "cifar10/resnet8_large_mlperf_tiny.onnx"):
        source = harness.ROOT / "models" / "digits.onnx" if name == "digits" else context.data("models") / name
        for expected in context.coppice_json("inspect", source)["forecast"][1:]:
            pruned, sparse = context.folder / "pruned.onnx", context.folder / "sparse.onnx"
            done = context.coppice_json("prune", source, "-f", "-o", pruned, "--sparsity", expected["sparsity"])
            assert sum(layer["zeros"] for layer in done["layers"]) == expected["zeros"]
            assert done["macs_left"] == expected["macs_left"]
            assert abs(pruned.stat().st_size - expected["bytes_dense"]) < 0.01 * expected["bytes_dense"]
            context.coppice("convert", pruned, "-f", "-o", sparse, "--weights", "sparse")
            error = sparse.stat().st_size / expected["bytes_sparse"] - 1
            print(f"  {name} at {expected['sparsity']}: sparse file {error:+.2%} from the forecast")
            assert abs(error) < 0.03


def tests():
    yield "inspect agrees with onnx on every shared model", every_model
    yield "inspect predicts what prune and convert then write", forecast
