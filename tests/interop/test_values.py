"""Strings, sequences, optionals and narrow types in files: what NumPy and ONNX write is read, and the other way."""
import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import harness

WORDS = np.array([["", "café"], ["🌳 tree", "a\nb"]])


def save(context, name, nodes, inputs, outputs, opset=18):
    graph = helper.make_graph(nodes, name, inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    path = context.folder / f"{name}.onnx"
    onnx.save(model, path)
    return path


def identity(context, name, type_proto):
    value = [helper.make_value_info(which, type_proto) for which in "xy"]
    return save(context, name, [helper.make_node("Identity", ["x"], ["y"])], [value[0]], [value[1]])


def message(kind, path):
    out = kind()
    out.ParseFromString(path.read_bytes())
    return out


def strings(context):
    model = identity(context, "strings", helper.make_tensor_type_proto(TensorProto.STRING, [None, None]))
    expected = WORDS.astype(object)
    arrays = {"u": WORDS, "big": WORDS.astype(WORDS.dtype.newbyteorder(">")), "fortran": np.asfortranarray(WORDS),
              "bytes": np.char.encode(WORDS, "utf-8")}
    for name, array in arrays.items():
        path = context.folder / f"{name}.npy"
        np.save(path, array)
        context.coppice("run", model, "-i", path, "-o", context.folder / name)
        got = np.load(context.folder / name / "output_0.npy")
        assert got.dtype.kind == "U" and (got.astype(object) == expected).all(), f"{name}: {got}"
        context.coppice("run", model, "-i", path, "-o", context.folder / name, "--format", "pb")
        got = numpy_helper.to_array(message(onnx.TensorProto, context.folder / name / "output_0.pb"))
        assert [w if isinstance(w, str) else w.decode() for w in got.ravel()] == list(expected.ravel()), f"{name}: {got}"


def sequences(context):
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    model = identity(context, "sequences", helper.make_sequence_type_proto(tensor))
    items = [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 2), np.float32), np.array([7], np.float32)]
    np.savez(context.folder / "in.npz", *items)
    (context.folder / "in.pb").write_bytes(numpy_helper.from_list(items, "x").SerializeToString())
    for suffix in ("npz", "pb"):
        folder = context.folder / suffix
        source = f"x={context.folder / 'in'}.{suffix}"
        context.coppice("run", model, "-i", source, "-o", folder)
        with np.load(folder / "output_0.npz") as archive:
            harness.assert_all_close([archive[str(i)] for i in range(len(archive.files))], items, suffix)
        context.coppice("run", model, "-i", source, "-o", folder, "--format", "pb")
        got = numpy_helper.to_list(message(onnx.SequenceProto, folder / "output_0.pb"))
        harness.assert_all_close(got, items, suffix)


def optionals(context):
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [2])
    model = identity(context, "optionals", helper.make_optional_type_proto(tensor))
    value = np.array([1, 2], np.float32)
    for name, given in (("some", value), ("none", None)):
        source = context.folder / f"{name}.pb"
        source.write_bytes(numpy_helper.from_optional(given, "x", onnx.OptionalProto.TENSOR).SerializeToString())
        folder = context.folder / name
        context.coppice("run", model, "-i", source, "-o", folder, "--format", "pb")
        context.coppice("run", model, "-i", source, "-o", folder)
        with np.load(folder / "output_0.npz") as archive:
            assert len(archive.files) == (given is not None), f"{name}: {archive.files}"
        got = message(onnx.OptionalProto, folder / "output_0.pb")
        if given is None:
            assert not got.HasField("tensor_value"), got
        else:
            harness.assert_close(numpy_helper.to_array(got.tensor_value), given, name)


def narrow(context):
    types = {TensorProto.BFLOAT16: ml_dtypes.bfloat16, TensorProto.FLOAT8E4M3FN: ml_dtypes.float8_e4m3fn,
             TensorProto.FLOAT8E5M2: ml_dtypes.float8_e5m2, TensorProto.INT4: ml_dtypes.int4,
             TensorProto.UINT4: ml_dtypes.uint4}
    for number, dtype in types.items():
        name = TensorProto.DataType.Name(number).lower()
        model = identity(context, name, helper.make_tensor_type_proto(number, [5]))
        values = np.array([0, 1, 2, 3, 7]).astype(dtype)
        source = context.folder / f"{name}.pb"
        source.write_bytes(numpy_helper.from_array(values, "x").SerializeToString())
        folder = context.folder / name
        report = context.coppice_json("run", model, "-i", source, "-o", folder)
        assert report["outputs"][0]["type"] == name, report
        got = np.load(folder / "output_0.npy")
        assert got.dtype in (np.float32, np.int8, np.uint8) and (got == values.astype(got.dtype)).all(), f"{name}: {got}"
        context.coppice("run", model, "-i", folder / "output_0.npy", "-o", folder, "--format", "pb")
        back = message(onnx.TensorProto, folder / "output_0.pb")
        assert back.data_type == number and (numpy_helper.to_array(back) == values).all(), name


def tests():
    yield "values: strings", strings
    yield "values: sequences", sequences
    yield "values: optionals", optionals
    yield "values: narrow types", narrow
