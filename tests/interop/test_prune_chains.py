"""Weights behind other nodes: what prune makes of them, against numpy, onnx.checker and ONNX Runtime."""
import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import harness


def constant(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def network(rng):
    """A function used twice, a quantised weight, a table that is tied, a split and a float16 weight."""
    table = rng.standard_normal((5, 6)).astype(np.float32)
    inner = constant("w", rng.standard_normal((6, 4)).astype(np.float32))
    functions = [
        helper.make_function("local", "Product", ["x"], ["y"],
                             [helper.make_node("Constant", [], ["w"], value=inner), helper.make_node("MatMul", ["x", "w"], ["y"])],
                             [helper.make_opsetid("", 18)]),
        helper.make_function("local", "Turned", ["x", "w"], ["y"],
                             [helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]), helper.make_node("MatMul", ["x", "t"], ["y"])],
                             [helper.make_opsetid("", 18)])]
    nodes = [
        helper.make_node("Gather", ["table", "i"], ["e"]),
        helper.make_node("Product", ["e"], ["a"], domain="local", name="first"),
        helper.make_node("Product", ["e"], ["b"], domain="local", name="second"),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("DequantizeLinear", ["q", "scales", "zeros"], ["dq"], axis=1),
        helper.make_node("MatMul", ["c", "dq"], ["d"], name="quantised"),
        helper.make_node("Split", ["packed"], ["p0", "p1"], axis=0, num_outputs=2),
        helper.make_node("Transpose", ["p1"], ["pt"], perm=[1, 0]),
        helper.make_node("MatMul", ["e", "p0"], ["f"], name="part"),
        helper.make_node("MatMul", ["f", "pt"], ["g"], name="other_part"),
        helper.make_node("Cast", ["half"], ["wide"], to=T.FLOAT),
        helper.make_node("Gemm", ["g", "wide"], ["h"], transB=1, name="cast"),
        helper.make_node("Turned", ["e", "table"], ["l"], domain="local", name="tied"),
        helper.make_node("Concat", ["d", "h", "l"], ["o"], axis=1)]
    constants = [
        constant("table", table), constant("q", rng.integers(0, 256, (4, 5)).astype(np.uint8)),
        constant("scales", np.float32([0.01, 0.5, 0.01, 0.02, 0.1])), constant("zeros", np.full(5, 128, np.uint8)),
        constant("packed", rng.standard_normal((12, 6)).astype(np.float32)),
        constant("half", rng.standard_normal((7, 6)).astype(np.float16))]
    graph = helper.make_graph(nodes, "net", [helper.make_tensor_value_info("i", T.INT64, [3])],
                              [helper.make_tensor_value_info("o", T.FLOAT, [3, 17])], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("local", 1)],
                             functions=functions, ir_version=8)


def half_by_numpy(magnitude, array, zero):
    """The smaller half becomes zero; of equal ones those that come first."""
    order = np.argsort(magnitude.reshape(-1), kind="stable")
    out = array.reshape(-1).copy()
    out[order[:round(0.5 * out.size)]] = zero
    return out.reshape(array.shape)


def arrays_of(model):
    found = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    found["first/w"] = numpy_helper.to_array(model.functions[0].node[0].attribute[0].t)
    return found


def expected_of(model):
    arrays = arrays_of(model)
    for name in ("packed", "half", "first/w"):
        arrays[name] = half_by_numpy(np.abs(arrays[name].astype(np.float64)), arrays[name], 0)
    stands_for = (arrays["q"].astype(np.float32) - 128) * arrays["scales"]
    arrays["q"] = half_by_numpy(np.abs(stands_for), arrays["q"], 128)
    return arrays


def chains(context):
    model = network(np.random.default_rng(5))
    source, pruned = context.folder / "net.onnx", context.folder / "pruned.onnx"
    onnx.checker.check_model(model)
    onnx.save(model, str(source))
    rows = {w["initializer"]: w for w in context.coppice_json("inspect", source)["weights"]}
    via = {name: [u["via"] for u in row["users"]] for name, row in rows.items()}
    assert via == {"first/w": [None, None], "q": ["DequantizeLinear"], "packed": ["Split", "Split, Transpose"], "half": ["Cast"],
                   "table": ["Transpose"]}, via
    assert rows["table"]["kept_dense"] in ("last layer", "also read by Gather"), rows["table"]
    context.coppice("prune", source, "-o", pruned, "--sparsity", "0.5", "--no-keep-last", "--masks-out", context.folder / "m.npz")
    got, expected = arrays_of(onnx.load(str(pruned))), expected_of(model)
    for name, array in expected.items():
        assert got[name].dtype == array.dtype and np.array_equal(got[name], array), f"{name}: {got[name]}, expected {array}"
    assert not harness.complaint(pruned), harness.complaint(pruned)
    masked = context.folder / "masked.onnx"
    context.coppice("apply-masks", source, context.folder / "m.npz", "-o", masked)
    for name, array in arrays_of(onnx.load(str(masked))).items():
        assert np.array_equal(array, expected[name]), f"{name}: by its mask"
    sparse = context.folder / "sparse.onnx"
    context.coppice("convert", pruned, "-o", sparse, "--weights", "sparse")
    inputs = {"i": np.array([0, 4, 2], np.int64)}
    for path in (source, pruned, masked, sparse):
        for backend in harness.BACKENDS:
            outputs = context.run(path, inputs, "--backend", backend)
            harness.assert_all_close(outputs, harness.ort_run(path, inputs, optimize=False), f"{path.name} on {backend}")


def bodies(rng):
    """MatMul in a branch of If, in the body of a Loop, of a Scan, and in a branch inside of that Loop."""
    def product(result, x, weight):
        return helper.make_node("MatMul", [x, weight], [result], name=f"at_{weight}")

    def branch(name, weight):
        return helper.make_graph([product(f"{name}_y", "x", weight)], name, [], [helper.make_tensor_value_info(f"{name}_y", T.FLOAT, None)])

    inner = helper.make_node("If", ["flag"], ["chosen"], then_branch=branch("deep", "d"), else_branch=branch("flat", "e"))
    loop = helper.make_graph([product("next", "carried", "b"), helper.make_node("Identity", ["go"], ["on"]), inner], "loop",
                             [helper.make_tensor_value_info("i", T.INT64, []), helper.make_tensor_value_info("go", T.BOOL, []),
                              helper.make_tensor_value_info("carried", T.FLOAT, None)],
                             [helper.make_tensor_value_info("on", T.BOOL, []), helper.make_tensor_value_info("next", T.FLOAT, None),
                              helper.make_tensor_value_info("chosen", T.FLOAT, None)])
    scan = helper.make_graph([product("out", "row", "c"), helper.make_node("Identity", ["state"], ["kept"])], "scan",
                             [helper.make_tensor_value_info("state", T.FLOAT, None), helper.make_tensor_value_info("row", T.FLOAT, None)],
                             [helper.make_tensor_value_info("kept", T.FLOAT, None), helper.make_tensor_value_info("out", T.FLOAT, None)])
    nodes = [helper.make_node("If", ["flag"], ["y0"], then_branch=branch("then", "a"), else_branch=branch("other", "e")),
             helper.make_node("Loop", ["n", "", "x"], ["y1", "y2"], body=loop),
             helper.make_node("Scan", ["x", "stack"], ["y3", "y4"], body=scan, num_scan_inputs=1)]
    inputs = [("flag", T.BOOL, []), ("n", T.INT64, []), ("x", T.FLOAT, [3, 6]), ("stack", T.FLOAT, [7, 2, 6])]
    weights = [constant(name, rng.standard_normal((6, 6)).astype(np.float32)) for name in "abcde"]
    graph = helper.make_graph(nodes, "net", [helper.make_tensor_value_info(*i) for i in inputs],
                              [helper.make_tensor_value_info(f"y{i}", T.FLOAT, None) for i in range(5)], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def inside_bodies(context):
    source, pruned = context.folder / "net.onnx", context.folder / "pruned.onnx"
    onnx.save(bodies(np.random.default_rng(6)), str(source))
    rows = {w["initializer"]: w for w in context.coppice_json("inspect", source)["weights"]}
    macs = {name: row["macs"] for name, row in rows.items()}
    assert macs == {"a": 108, "b": 108, "c": 72, "d": 108, "e": 216}, macs
    context.coppice("prune", source, "-o", pruned, "--sparsity", "0.5", "--no-keep-last")
    for name, array in ((t.name, numpy_helper.to_array(t)) for t in onnx.load(str(pruned)).graph.initializer):
        assert (array == 0).sum() == 18, name
    inputs = {"flag": np.array(True), "n": np.array(2), "x": np.full((3, 6), 0.5, np.float32), "stack": np.ones((7, 2, 6), np.float32)}
    for backend in harness.BACKENDS:
        harness.assert_all_close(context.run(pruned, inputs, "--backend", backend), harness.ort_run(pruned, inputs), backend)


def tests():
    yield "weights in branches and bodies are pruned, and their MACs known", inside_bodies
    yield "weights behind other nodes are found, pruned, masked and saved as numpy does it", chains
