"""Models of ONNX's own tests with something in them changed for the worse: whatever that gives, no crash, no hang.

Where a build with sanitizers is there, as in CI, they watch.
"""
import os
import pathlib
import random
import shutil
import subprocess

import onnx
from onnx import numpy_helper

import harness

DATA = pathlib.Path("/usr/share/libonnx-testdata/data/node")
SANITIZED = harness.ROOT / "build-ci-sanitize" / "coppice"
INTEGERS = (-1, 0, -2, 1, 2, 3, 7, 100, 1 << 20, 1 << 31, -(1 << 31), 1 << 40, 1 << 62, (1 << 63) - 1, -(1 << 63))
FLOATS = (float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 1e30, 3e38)
TEXTS = (b"", b"bogus", b"linear", b"SAME_UPPER", b"VALID", b"%s%n", b"\xff\xfe", b"->", b"...", b"a" * 3000)
MOST_BYTES = 200000
CASES = 1500


def nodes(graph):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from nodes(attribute.g)


def change_attribute(chance, node):
    if not node.attribute:
        return
    a = chance.choice(node.attribute)
    if chance.random() < 0.1:
        node.attribute.remove(a)
    elif a.type == onnx.AttributeProto.INT:
        a.i = chance.choice(INTEGERS)
    elif a.type == onnx.AttributeProto.INTS:
        values = list(a.ints) + [chance.choice(INTEGERS)]
        values[chance.randrange(len(values))] = chance.choice(INTEGERS)
        a.ints[:] = values[chance.randrange(2):][:chance.choice((len(a.ints), len(values)))]
    elif a.type == onnx.AttributeProto.FLOAT:
        a.f = chance.choice(FLOATS)
    elif a.type == onnx.AttributeProto.STRING:
        a.s = chance.choice(TEXTS)


def change_inputs(chance, node):
    if not node.input:
        return
    i = chance.randrange(len(node.input))
    kind = chance.randrange(4)
    if kind == 0:
        node.input[i] = ""
    elif kind == 1:
        node.input[i] = chance.choice(list(node.input))
    elif kind == 2:
        del node.input[-1]
    else:
        node.input.append(node.input[i])


def forget_shapes(model):
    for value in model.graph.input:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")


def change_data(chance, folder):
    """Another shape, or other elements, for one of the inputs."""
    files = sorted((folder / "test_data_set_0").glob("input_*.pb"))
    if not files:
        return
    path = chance.choice(files)
    tensor = onnx.TensorProto()
    try:
        tensor.ParseFromString(path.read_bytes())
        array = numpy_helper.to_array(tensor).copy()
    except Exception:  # a sequence, an optional, a type that numpy does not have
        return
    if array.dtype.kind not in "if" or not array.size:
        return
    if chance.random() < 0.5:
        value = chance.choice(INTEGERS if array.dtype.kind == "i" else FLOATS)
        array.reshape(-1)[chance.randrange(array.size)] = max(min(value, 2**31 - 1), -2**31) if (
            array.dtype.kind == "i" and array.dtype.itemsize == 4) else value if array.dtype.itemsize > 2 else 0
    else:
        axis = chance.randrange(array.ndim) if array.ndim else None
        array = array[None] if axis is None else array.take(range(chance.randrange(2)), axis=axis)
    path.write_bytes(numpy_helper.from_array(array).SerializeToString())


def spoil(chance, source, folder):
    shutil.copytree(source, folder)
    model = onnx.load(folder / "model.onnx")
    node = chance.choice(list(nodes(model.graph)))
    for _ in range(chance.choice((1, 1, 2))):
        kind = chance.random()
        if kind < 0.45:
            change_attribute(chance, node)
        elif kind < 0.6:
            change_inputs(chance, node)
        elif kind < 0.7:
            model.opset_import[0].version = chance.randrange(1, 30)
        else:
            forget_shapes(model)
            change_data(chance, folder)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def survives(context):
    if not DATA.is_dir():
        raise harness.Skip(f"no {DATA} here")
    chance = random.Random(5)
    sources = [s for s in sorted(DATA.iterdir()) if sum(f.stat().st_size for f in s.rglob("*.pb")) < MOST_BYTES]
    folder = context.folder / "hostile"
    for i in range(CASES):
        spoil(chance, chance.choice(sources), folder / f"{i:04}")
    program = SANITIZED if SANITIZED.exists() else context.program
    environment = dict(os.environ, ASAN_OPTIONS="allocator_may_return_null=1:max_allocation_size_mb=2000:detect_leaks=0",
                       UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")
    done = subprocess.run([program, "test", "-v", folder], capture_output=True, text=True, errors="replace", timeout=600,
                          env=environment, stdin=subprocess.DEVNULL)
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and len(lines) > CASES, (
        f"exit {done.returncode} after '{lines[-1] if lines else ''}'\n{done.stderr[-3000:]}")


def tests():
    yield f"{CASES} spoiled models", survives
