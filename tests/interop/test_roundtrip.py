"""Round trips: load and save without a change, prune, sparse files, data files; every weight bit, every field."""
import concurrent.futures
import functools
import multiprocessing
import pathlib
import subprocess

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import harness
import model_sweep


def save(context, source, target, *data_name):
    """Loads and saves with the library alone."""
    probe = context.program.parent / "tests" / "interop" / "model_probe"
    if not probe.exists():
        raise harness.Skip(f"no {probe}")
    done = subprocess.run([str(probe), str(source), str(target), *data_name], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{source}: {done.stderr}"


def inline(model):
    """The message with all its data inside, whatever file held it."""
    message = onnx.load(str(model))
    for tensor in all_tensors(message.graph):
        del tensor.external_data[:]
        tensor.ClearField("data_location")
    return message


def all_tensors(graph):
    """Initializers and attributes, in sub-graphs too."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from all_tensors(attribute.g)


def raw(message):
    """The same with every initializer as raw_data: data files know nothing else."""
    for tensor in message.graph.initializer:
        if tensor.data_type != TensorProto.STRING:
            data = numpy_helper.to_array(tensor).tobytes()
            for field in ("float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
                tensor.ClearField(field)
            tensor.raw_data = data
    return message


def shared_models(pattern, context):
    same_bytes = count = 0
    for source in sorted(context.data("models").glob(pattern)):
        one, two = context.folder / "one.onnx", context.folder / "two.onnx"
        save(context, source, one)
        save(context, source, two, "two.data")
        expected = inline(source)
        assert inline(one) == expected, f"{source}: one file: not the same message"
        assert raw(inline(two)) == raw(expected), f"{source}: two files: not the same message"
        if not harness.complaint(source):
            assert not harness.complaint(one), f"{source}: {harness.complaint(one)}"
            assert not harness.complaint(two), f"{source}: {harness.complaint(two)}"
        same_bytes += source.read_bytes() == one.read_bytes()
        count += 1
    assert count > 0
    print(f"  {count} models, {same_bytes} saved byte for byte")


def every_type(context):
    """Typed and raw fields of each element type that NumPy can make."""
    tensors = []
    for kind in (TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16, TensorProto.INT16,
                 TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT16, TensorProto.DOUBLE,
                 TensorProto.UINT32, TensorProto.UINT64, TensorProto.COMPLEX64, TensorProto.COMPLEX128,
                 TensorProto.BFLOAT16, TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2, TensorProto.INT4,
                 TensorProto.UINT4, TensorProto.FLOAT4E2M1):
        values = np.array([0, 1, 0, 1, 1, 0], dtype=helper.tensor_dtype_to_np_dtype(kind))
        name = TensorProto.DataType.Name(kind)
        tensors.append(helper.make_tensor(f"typed_{name}", kind, [2, 3], values))
        tensors.append(numpy_helper.from_array(values.reshape(2, 3), f"raw_{name}"))
    tensors.append(helper.make_tensor("text", TensorProto.STRING, [2], [b"one", b"\xff\x00two"]))
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "types",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])], tensors)
    source, target = context.folder / "types.onnx", context.folder / "saved.onnx"
    onnx.save(helper.make_model(graph), str(source))
    save(context, source, target)
    assert onnx.load(str(target)) == onnx.load(str(source))
    assert target.read_bytes() == source.read_bytes()


def what_old_schemas_lack(context):
    """Functions with attributes of their own, overloads, metadata of nodes: kept by every schema."""
    function = helper.make_function("own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
                                    [helper.make_opsetid("", 18)], attributes=["plain"],
                                    attribute_protos=[helper.make_attribute("scale", 2.0)])
    function.overload = "variant"
    function.value_info.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, [3]))
    node = helper.make_node("Twice", ["x"], ["y"], domain="own", overload="variant", doc_string="a remark")
    node.metadata_props.add(key="trace", value="line 1\nline 2")
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])])
    graph.metadata_props.add(key="of", value="the graph")
    model = helper.make_model(graph, functions=[function], ir_version=10,
                              opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("own", 1)])
    model.metadata_props.add(key="of", value="the model")
    source, target = context.folder / "new.onnx", context.folder / "saved.onnx"
    onnx.save(model, str(source))
    save(context, source, target)
    assert onnx.load(str(target)) == onnx.load(str(source))


def sparse_initializers(context):
    """Linear and tuple indices: kept as they are, and ONNX Runtime reads them."""
    values = numpy_helper.from_array(np.array([1.5, -2.5], np.float32), "w")
    indices = numpy_helper.from_array(np.array([[0, 1], [2, 0]], np.int64), "")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
                              sparse_initializer=[helper.make_sparse_tensor(values, indices, [3, 2])])
    source, target = context.folder / "sparse.onnx", context.folder / "saved.onnx"
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)]), str(source))
    save(context, source, target)
    assert target.read_bytes() == source.read_bytes()


@functools.lru_cache
def sweep(program, shared, trips):
    """Every shared model through the trips: {name: (results, refusals)}."""
    data = pathlib.Path(shared) / "data"
    sources = sorted((data / "models").glob("**/*.onnx"))
    # Not forked: the tests before have started threads.
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        done = pool.map(model_sweep.go, *zip(*[(pathlib.Path(program), data, s, trips) for s in sources]))
        return dict(zip((str(s.relative_to(data / "models")) for s in sources), done))


def every_model(trip, context):
    context.data("models")
    models = sweep(str(context.program), str(context.shared), model_sweep.TRIPS)
    wrong = [f"{name}: {results[trip]}" for name, (results, _) in models.items()
             if results[trip] and not results[trip].startswith("skip: ")]
    skipped = [name for name, (results, _) in models.items() if results[trip].startswith("skip: ")]
    refused = [f"{name} ({reason})" for name, (_, reason) in models.items() if reason]
    print(f"  {len(models) - len(wrong) - len(skipped)} models; nothing to prune in {len(skipped)} {' '.join(skipped)}")
    if refused:
        print("  refused by onnx.checker or ONNX Runtime before and after alike: " + ", ".join(refused))
    assert not wrong, f"{len(wrong)} models: " + "; ".join(wrong[:10])
    assert len(models) > 20


def tests():
    for trip in model_sweep.TRIPS:
        yield f"{trip} of every shared model", functools.partial(every_model, trip)
    yield "models of other exporters, saved unchanged", functools.partial(shared_models, "[!t]*/*.onnx")
    yield "PyTorch's exports, saved unchanged", functools.partial(shared_models, "torch213/*/model.onnx")
    yield "every element type is saved unchanged", every_type
    yield "what older schemas lack is saved unchanged", what_old_schemas_lack
    yield "sparse initializers are saved unchanged", sparse_initializers
