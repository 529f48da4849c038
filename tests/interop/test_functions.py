"""Models with functions of their own: they compute what ONNX Runtime says, and pruned ones are models still."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import harness

OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]


def constant(name, values):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(values, name))


def refer(node, name, to):
    """Lets an attribute of a function's node be one of the call."""
    attribute = node.attribute.add()
    attribute.name, attribute.ref_attr_name, attribute.type = name, to, onnx.AttributeProto.FLOAT


def dense(rng):
    nodes = [constant("w", rng.standard_normal((16, 16)).astype(np.float32)),
             helper.make_node("MatMul", ["x", "w"], ["m"], name="mm"),
             helper.make_node("Add", ["m", "bias"], ["s"]),
             helper.make_node("LeakyRelu", ["s"], ["y"], name="act")]
    refer(nodes[3], "alpha", "alpha")
    return helper.make_function("my", "Dense", ["x", "bias"], ["y"], nodes, OPSETS, attributes=["alpha"])


def scale():
    nodes = [helper.make_node("Constant", [], ["k"]), helper.make_node("Mul", ["x", "k"], ["y"])]
    refer(nodes[0], "value_float", "k")
    return helper.make_function("my", "Scale", ["x"], ["y"], nodes, OPSETS,
                                attribute_protos=[helper.make_attribute("k", 0.5)])


def branch():
    """Sub-graphs that read inputs of the function, one with a constant of its own."""
    output = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, None)] for name in ("t", "e")]
    then = helper.make_graph([helper.make_node("Identity", ["x"], ["t"])], "then", [], output[0])
    other = helper.make_graph([constant("two", np.float32([2])), helper.make_node("Mul", ["x", "two"], ["e"])],
                              "else", [], output[1])
    nodes = [helper.make_node("If", ["flag"], ["y"], then_branch=then, else_branch=other)]
    return helper.make_function("my", "Branch", ["x", "flag"], ["y"], nodes, OPSETS)


def block():
    nodes = [helper.make_node("Dense", ["x", "b"], ["h"], name="first", domain="my"),
             helper.make_node("Scale", ["h"], ["s"], name="scale", domain="my"),
             helper.make_node("Dense", ["s", "b"], ["y"], name="second", domain="my")]
    refer(nodes[0], "alpha", "slope")
    refer(nodes[2], "alpha", "slope")
    return helper.make_function("my", "Block", ["x", "b"], ["y"], nodes, OPSETS, attributes=["slope"])


def save(context):
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("Block", ["x", "bias"], ["a"], name="one", domain="my", slope=0.1),
             helper.make_node("Block", ["a", "bias"], ["b"], name="two", domain="my", slope=0.3),
             helper.make_node("Branch", ["b", "flag"], ["c"], name="branch", domain="my"),
             helper.make_node("MatMul", ["c", "head"], ["d"]),
             helper.make_node("Scale", ["d"], ["y"], name="last", domain="my", k=-1.0)]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 16]),
              helper.make_tensor_value_info("flag", TensorProto.BOOL, [])]
    weights = {"bias": rng.standard_normal(16), "head": rng.standard_normal((16, 4))}
    graph = helper.make_graph(nodes, "main", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
                              [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()])
    model = helper.make_model(graph, functions=[dense(rng), scale(), branch(), block()],
                              opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("my", 1)], ir_version=10)
    path = context.folder / "functions.onnx"
    onnx.save(model, path)
    return path


def agree(context, path):
    x = np.random.default_rng(1).standard_normal((3, 16)).astype(np.float32)
    for flag in (True, False):
        inputs = {"x": x, "flag": np.array(flag)}
        harness.assert_all_close(context.run(path, inputs), harness.ort_run(path, inputs), f"{path.name}, {flag}")


def run(context):
    agree(context, save(context))


def prune(context):
    path, pruned = save(context), context.folder / "pruned.onnx"
    report = context.coppice_json("inspect", path)
    shared = [w for w in report["weights"] if w["shape"] == [16, 16]]
    assert len(shared) == 1 and len(shared[0]["users"]) == 4, report["weights"]
    context.coppice("prune", path, "-o", pruned, "--sparsity", "0.5")
    assert not harness.complaint(pruned), harness.complaint(pruned)
    model = onnx.load(pruned)
    assert [f.name for f in model.functions] == ["Dense", "Scale", "Branch", "Block"]
    weight = numpy_helper.to_array(model.functions[0].node[0].attribute[0].t)
    assert (weight == 0).mean() == 0.5, (weight == 0).mean()
    agree(context, pruned)


def forms(context):
    """Every way of saving keeps the functions, and what they compute."""
    path = save(context)
    for name, options in (("sparse", ["--weights", "sparse"]), ("data", ["--external-data", "weights.data"])):
        folder = context.folder / name
        folder.mkdir()
        out = folder / "model.onnx"
        context.coppice("prune", path, "-o", out, "--sparsity", "0.9", *options)
        assert not harness.complaint(out), f"{name}: {harness.complaint(out)}"
        inputs = {"x": np.ones((2, 16), np.float32), "flag": np.array(False)}
        harness.assert_all_close(context.run(out, inputs), harness.ort_run(out, inputs), name)


def tests():
    yield "functions: a model runs", run
    yield "functions: a weight of a function is pruned where it is", prune
    yield "functions: all forms of a file keep them", forms
