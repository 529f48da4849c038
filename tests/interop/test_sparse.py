"""Sparse files: no tensor grows, nothing but weights changes, rare values survive; also with a data file beside them.

That weights and outputs stay the same with one file is tested for every model by test_roundtrip.py.
"""
import functools
import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import harness


# ---- messages ----

def raw(tensor):
    """The elements as bytes, whatever field holds them."""
    return tensor.raw_data or numpy_helper.to_array(tensor).tobytes()


def dense(sparse):
    """Bytes of a sparse tensor that is made dense here; checks the order of its indices."""
    values = np.frombuffer(raw(sparse.values), dtype=helper.tensor_dtype_to_np_dtype(sparse.values.data_type))
    indices = numpy_helper.to_array(sparse.indices)
    if indices.ndim == 2:
        indices = np.ravel_multi_index(tuple(indices.T), tuple(sparse.dims))
    assert indices.dtype == np.int64 and np.all(np.diff(indices) > 0)
    out = np.zeros(int(np.prod(sparse.dims)), dtype=values.dtype)
    out[indices] = values
    return out.tobytes()


def initializers(message):
    """{(graph, name): (type, dims, bytes)}, sub-graphs too."""
    found = {}
    for number, graph in enumerate(harness.graphs(message.graph)):
        for tensor in graph.initializer:
            data = list(tensor.string_data) if tensor.data_type == TensorProto.STRING else raw(tensor)
            found[number, tensor.name] = (tensor.data_type, tuple(tensor.dims), data)
        for tensor in graph.sparse_initializer:
            assert (number, tensor.values.name) not in found
            found[number, tensor.values.name] = (tensor.values.data_type, tuple(tensor.dims), dense(tensor))
    return found


def without_weights(message):
    """What must not change."""
    copy = onnx.ModelProto()
    copy.CopyFrom(message)
    copy.ir_version = 0
    for graph in harness.graphs(copy.graph):
        names = {t.name for t in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
        kept = [i for i in graph.input if i.name not in names]
        del graph.initializer[:], graph.sparse_initializer[:], graph.input[:]
        graph.input.extend(kept)
    return copy


def sparse_count(message):
    return sum(len(graph.sparse_initializer) for graph in harness.graphs(message.graph))


# ---- models and inputs ----

def exported(context, pattern):
    """PyTorch's exports with the inputs they come with."""
    folder = context.data("models/torch213")
    for entry in json.loads((folder / "index.json").read_text()):
        if not entry["name"].startswith(pattern):
            continue
        here = folder / entry["name"]
        yield here / "model.onnx", {i["name"]: np.load(here / i["file"]) for i in entry["inputs"]}


def published(context, pattern):
    """The other models, without inputs."""
    for path in sorted(context.data("models").glob(pattern)):
        yield path, None


# ---- the tests ----

def pruned(source, context):
    """A model with zeros, in one file; the model itself where nothing can be pruned."""
    target = context.folder / "pruned.onnx"
    arguments = ("-o", target, "-f", "-q", "--no-progress")
    done = context.attempt("prune", source, *arguments, "--sparsity", "0.8", "--no-keep-first", "--no-keep-last")
    if done.returncode != 0:
        context.coppice("convert", source, *arguments, "--single-file")
    return target


def there_and_back(source, inputs, context, data_name):
    """Returns how many tensors became sparse."""
    before = pruned(source, context)
    sparse, back = context.folder / "sparse.onnx", context.folder / "back.onnx"
    where = ("--external-data", data_name) if data_name else ("--single-file",)
    said = context.coppice_json("convert", before, "-o", sparse, "-f", "--weights", "sparse", "--negative-zeros", "keep", *where)
    context.coppice("convert", sparse, "-o", back, "-f", "-q", "--weights", "dense", "--single-file")
    messages = [onnx.load(str(path)) for path in (before, sparse, back)]
    for message in messages[1:]:
        assert initializers(message) == initializers(messages[0]), f"{source}: other bits"
        assert without_weights(message) == without_weights(messages[0]), f"{source}: more than weights has changed"
    assert sparse_count(messages[2]) == 0
    assert sparse_count(messages[1]) == said["sparse_tensors"]
    sizes = {t.name: t.ByteSize() for graph in harness.graphs(messages[0].graph) for t in graph.initializer}
    for graph in harness.graphs(messages[1].graph):
        assert all(t.ByteSize() < sizes[t.values.name] for t in graph.sparse_initializer), f"{source}: a tensor grew"
    if not data_name:
        assert sparse.stat().st_size <= before.stat().st_size, f"{source}: the file grew"
        assert said["bytes_out"] == sparse.stat().st_size
    if not harness.complaint(before):
        assert not harness.complaint(sparse), f"{source}: {harness.complaint(sparse)}"
        assert not harness.complaint(back), f"{source}: {harness.complaint(back)}"
    if inputs and data_name:
        expected = harness.ort_run(before, inputs)
        for path in (sparse, back):
            for got, wanted in zip(harness.ort_run(path, inputs), expected, strict=True):
                assert np.array_equal(got, wanted, equal_nan=got.dtype.kind == "f"), f"{source}: {path.name}: other outputs"
    return said["sparse_tensors"]


def every_model(models, context, data_name=None):
    count = tensors = 0
    for source, inputs in models(context):
        tensors += there_and_back(source, inputs, context, data_name)
        count += 1
    assert count and tensors
    print(f"  {count} models, {tensors} tensors became sparse")


def rare_values(context):
    """-0.0, NaN with a payload, denormals and every type of whole bytes."""
    tensors = []
    random = np.random.default_rng(2)
    for kind in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE, TensorProto.INT8,
                 TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16, TensorProto.INT32, TensorProto.UINT32,
                 TensorProto.INT64, TensorProto.UINT64, TensorProto.BOOL, TensorProto.FLOAT8E4M3FN):
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind))
        bits = random.integers(1, 256, (40, 50, dtype.itemsize), dtype=np.uint8)
        if kind == TensorProto.BOOL:
            bits[:] = 1
        bits[random.random((40, 50)) < 0.9] = 0
        if dtype.kind == "f" or kind == TensorProto.BFLOAT16:
            bits[1, 1] = 0
            bits[1, 1, -1] = 0x80  # -0.0
            bits[2, 2] = 0xff  # a NaN with a payload
            bits[3, 3] = 0
            bits[3, 3, 0] = 1  # a denormal
        tensors.append(helper.make_tensor(f"w{kind}", kind, (40, 50), bits.tobytes(), raw=True))
    names = [t.name for t in tensors]
    # ONNX Runtime hands outputs of types to Python that NumPy knows.
    shown = [n for t, n in zip(tensors, names) if t.data_type not in (TensorProto.BFLOAT16, TensorProto.FLOAT8E4M3FN)]
    nodes = [helper.make_node("Identity", [n], [f"y{n}"]) for n in names]
    outputs = [helper.make_tensor_value_info(f"y{t.name}", t.data_type, (40, 50)) for t in tensors if t.name in shown]
    nodes = [n for n in nodes if n.input[0] in shown]
    model = helper.make_model(helper.make_graph(nodes, "g", [], outputs, tensors), ir_version=10,
                              opset_imports=[helper.make_opsetid("", 19)])
    paths = [context.folder / name for name in ("dense.onnx", "sparse.onnx", "back.onnx")]
    onnx.save(model, str(paths[0]))
    context.coppice("convert", paths[0], "-o", paths[1], "--weights", "sparse", "--negative-zeros", "keep")
    context.coppice("convert", paths[1], "-o", paths[2], "--weights", "dense")
    messages = [onnx.load(str(path)) for path in paths]
    assert sparse_count(messages[1]) == len(tensors)
    for message in messages:
        onnx.checker.check_model(message)
        assert initializers(message) == initializers(messages[0])
    for path in paths:
        for tensor, got in zip([t for t in tensors if t.name in shown], harness.ort_run(path, {})):
            assert got.tobytes() == tensor.raw_data, f"{path.name}: {tensor.name}"


def old_versions(context):
    """IR version 3 lists initializers among the inputs: they stay constants at the version of sparse tensors."""
    weight = np.zeros((30, 20), np.float32)
    weight[::7, 3] = 1.5
    tensors = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.ones(20, np.float32), "b")]
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", (2, 30)), ("w", (30, 20)), ("b", (20,)))]
    graph = helper.make_graph([helper.make_node("Gemm", ["x", "w", "b"], ["y"])], "g", inputs,
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 20))], tensors)
    source, target = context.folder / "old.onnx", context.folder / "sparse.onnx"
    x = {"x": np.random.default_rng(1).standard_normal((2, 30)).astype(np.float32)}
    for version, left in ((3, ["x"]), (7, ["x", "b"])):
        onnx.save(helper.make_model(graph, ir_version=version, opset_imports=[helper.make_opsetid("", 8)]), str(source))
        context.coppice("convert", source, "-o", target, "-f", "--weights", "sparse", "--negative-zeros", "keep")
        message = onnx.load(str(target))
        onnx.checker.check_model(message)
        assert message.ir_version == max(version, 6)
        assert [i.name for i in message.graph.input] == left, [i.name for i in message.graph.input]
        assert np.array_equal(harness.ort_run(target, x)[0], harness.ort_run(source, x)[0])


def outputs(context):
    """An initializer that is an output stays dense, in a sub-graph too: ONNX Runtime would hand out a sparse tensor."""
    weight = np.zeros((30, 20), np.float32)
    weight[::7, 3] = 1.5
    branches = {}
    for number, name in enumerate(("then_branch", "else_branch")):
        out = helper.make_tensor_value_info(f"u{number}", TensorProto.FLOAT, (30, 20))
        branches[name] = helper.make_graph([], name, [], [out], [numpy_helper.from_array(weight * number, f"u{number}")])
    outs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (30, 20)) for n in ("w", "y", "z")]
    graph = helper.make_graph([helper.make_node("If", ["c"], ["y"], **branches), helper.make_node("Neg", ["v"], ["z"])], "g",
                              [helper.make_tensor_value_info("c", TensorProto.BOOL, ())], outs,
                              [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(weight, "v")])
    source, target = context.folder / "outputs.onnx", context.folder / "sparse.onnx"
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)]), str(source))
    assert context.coppice_json("convert", source, "-o", target, "--weights", "sparse")["sparse_tensors"] == 1
    onnx.checker.check_model(str(target))
    for choice in (True, False):
        expected, got = (harness.ort_run(path, {"c": np.array(choice)}) for path in (source, target))
        for wanted, mine in zip(expected, got, strict=True):
            assert np.array_equal(mine, wanted)


def tests():
    yield "sparse files of other exporters' models", functools.partial(
        every_model, functools.partial(published, pattern="[!t]*/*.onnx"))
    yield "sparse files of PyTorch's exports", functools.partial(every_model, functools.partial(exported, pattern=""))
    yield "sparse files with a data file beside them", functools.partial(
        every_model, functools.partial(exported, pattern=("c", "hf_b", "u")), data_name="sparse.data")
    yield "sparse tensors of every type and of rare values", rare_values
    yield "sparse tensors in old IR versions", old_versions
    yield "initializers that are outputs", outputs
