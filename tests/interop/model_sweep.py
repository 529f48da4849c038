"""Takes one model through every round trip and says what went wrong; test_roundtrip.py does so with all models.

Weights are read with the onnx package and compared bit by bit; outputs are ONNX Runtime's, without graph
optimisation (which would add up in another order), and must be equal.
"""
import hashlib
import json
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper

TRIPS = ("load-save", "prune-save-load", "dense-sparse-dense", "single-external-single")
EVERY_WEIGHT = ("--no-keep-first", "--no-keep-last", "--no-keep-depthwise", "--no-keep-recurrent")
PRUNABLE_INPUTS = {"Conv": (1,), "ConvTranspose": (1,), "Gemm": (0, 1), "MatMul": (0, 1), "LSTM": (1, 2), "GRU": (1, 2),
                   "RNN": (1, 2)}


class Broken(Exception):
    """A round trip that changed something."""


class Refused(Exception):
    """onnx.checker or ONNX Runtime does not take a model."""


def expect(condition, what):
    if not condition:
        raise Broken(what)


# ---- reading weights ----

def bits(tensor):
    """Type, shape and bytes of a dense tensor."""
    if tensor.data_type == TensorProto.STRING:
        return tensor.data_type, tuple(tensor.dims), tuple(tensor.string_data)
    return tensor.data_type, tuple(tensor.dims), numpy_helper.to_array(tensor).tobytes()


def bits_of_sparse(sparse):
    """The same of a sparse one, scattered by numpy."""
    values = numpy_helper.to_array(sparse.values)
    indices = numpy_helper.to_array(sparse.indices)
    shape = tuple(sparse.dims)
    dense = np.zeros(int(np.prod(shape)), values.dtype)
    dense[np.ravel_multi_index(tuple(indices.T), shape) if indices.ndim == 2 else indices] = values
    return sparse.values.data_type, shape, dense.tobytes()


def tensors_of(graph, prefix=""):
    """(name, bits) of every initializer and every tensor in an attribute, sub-graphs included."""
    for tensor in graph.initializer:
        yield prefix + tensor.name, bits(tensor)
    for sparse in graph.sparse_initializer:
        yield prefix + sparse.values.name, bits_of_sparse(sparse)
    for index, node in enumerate(graph.node):
        for attribute in node.attribute:
            name = f"{prefix}node {index} {attribute.name}"
            if attribute.HasField("t"):
                yield name, bits(attribute.t)
            if attribute.HasField("sparse_tensor"):
                yield name, bits_of_sparse(attribute.sparse_tensor)
            if attribute.HasField("g"):
                yield from tensors_of(attribute.g, name + "/")


def weights_of(path):
    found = list(tensors_of(onnx.load(str(path)).graph))
    weights = dict(found)
    expect(len(weights) == len(found), f"{path.name}: a name is there twice")
    return weights


def same_weights(path, expected):
    got = weights_of(path)
    expect(got.keys() == expected.keys(), f"{path.name}: other tensors: {sorted(got.keys() ^ expected.keys())[:5]}")
    for name, value in expected.items():
        expect(got[name][:2] == value[:2], f"{path.name}: '{name}' is {got[name][:2]}, expected {value[:2]}")
        expect(got[name][2] == value[2], f"{path.name}: '{name}' has changed")


# ---- inputs ----

def formula(kind, dims):
    """As in golden_ort.json: 0.5 * sin(0.37 * i) in double for floats, i % 7 for integers."""
    i = np.arange(np.prod(dims, dtype=np.int64))
    values = 0.5 * np.sin(0.37 * i) if np.issubdtype(kind, np.floating) else i % 7
    return values.astype(kind).reshape(dims)


def golden_inputs(data, source):
    """Inputs that came with the model: {name: array}."""
    if source.parent.parent.name == "torch213":
        entry = next(e for e in json.loads((source.parent.parent / "index.json").read_text())
                     if e["name"] == source.parent.name)
        return {i["name"]: np.load(source.parent / i["file"]) for i in entry["inputs"]}
    models = json.loads((data / "testpairs" / "golden_ort.json").read_text())["models"]
    entry = models.get(str(source.relative_to(data / "models")))
    kinds = {"f32": np.float32, "u8": np.uint8}
    special = {"ids": lambda dims: np.load(data / "sst2" / "dev_ids.npy")[:dims[0]], "sr": lambda _: np.array(16000, np.int64)}
    return entry and {i["name"]: special[i["kind"]](i["dims"]) if i["kind"] in special else
                      formula(kinds[i["kind"]], i["dims"]) for i in entry["inputs"]}


def made_up_inputs(session):
    kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64}
    return {i.name: formula(kinds[i.type], [d if isinstance(d, int) else 1 for d in i.shape]) for i in session.get_inputs()}


# ---- one model ----

class Trips:
    """One model in a folder of its own."""

    def __init__(self, program, data, source, folder):
        self.program, self.data, self.source, self.folder = program, data, source, folder
        self.probe = program.parent / "tests" / "interop" / "model_probe"
        self.inputs = golden_inputs(data, source)
        self.known = {}  # outputs by the bytes of a model
        self.weights = weights_of(source)

    def call(self, *arguments):
        done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
        expect(done.returncode in (0, 2), f"exit {done.returncode}: {done.stderr}")
        return done

    def coppice(self, *arguments):
        done = self.call(self.program, *arguments)
        expect(done.returncode == 0, f"coppice {arguments[0]}: {done.stderr.strip()}")

    def save(self, source, target, *data_name):
        """Load and save with the library alone."""
        done = self.call(self.probe, source, target, *data_name)
        expect(done.returncode == 0, f"{source.name}: {done.stderr.strip()}")

    def file(self, name):
        """A path in a folder of its own, as models come with data files."""
        folder = self.folder / name
        folder.mkdir()
        return folder / "model.onnx"

    def checked(self, path):
        """What onnx.checker says: "" when it is fine."""
        try:
            onnx.checker.check_model(str(path))
        except onnx.checker.ValidationError as error:
            return str(error).splitlines()[0].replace(str(path), "")
        return ""

    def run(self, path):
        """Outputs in ONNX Runtime, or the text of its refusal; by the bytes of the files, so equal files run once."""
        digest = hashlib.sha256(path.read_bytes())
        for entry in sorted({e.value for t in onnx.load(str(path), load_external_data=False).graph.initializer
                             for e in t.external_data if e.key == "location"}):
            digest.update((path.parent / entry).read_bytes())
        key = digest.digest()
        if key not in self.known:
            self.known[key] = self.run_now(path)
        return self.known[key]

    def run_now(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            self.inputs = self.inputs or made_up_inputs(session)
            return session.run(None, self.inputs)
        except Exception as error:  # its exceptions have no common base
            return str(error).replace(str(path), "")

    def accepted(self, path, original):
        """Says the same as onnx.checker and ONNX Runtime say of the original, refusals too."""
        expect(self.checked(path) == self.checked(original), f"{path.parent.name}: onnx.checker: {self.checked(path)}")
        got, expected = self.run(path), self.run(original)
        if isinstance(expected, str) or isinstance(got, str):
            expect(got == expected, f"{path.parent.name}: ONNX Runtime: {got if isinstance(got, str) else 'takes it'}")
            return
        for index, (a, b) in enumerate(zip(got, expected, strict=True)):
            same = a.dtype == b.dtype and a.shape == b.shape and (
                np.array_equal(a, b, equal_nan=np.issubdtype(a.dtype, np.inexact)))
            expect(same, f"{path.parent.name}: output {index} differs")

    def masked(self, masks):
        """The model with zeros where the masks have them, written by numpy and onnx."""
        model = onnx.load(str(self.source))
        left = dict(masks)
        zero_tensors(model.graph, left)
        expect(not left, f"masks of unknown weights: {sorted(left)}")
        expected = self.file("masked")
        onnx.save(model, str(expected))
        return expected

    # ---- the trips ----

    def load_save(self):
        saved = self.file("saved")
        self.save(self.source, saved)
        same_weights(saved, self.weights)
        self.accepted(saved, self.source)

    def single_external_single(self):
        single, external, again = self.file("single"), self.file("external"), self.file("again")
        self.save(self.source, single)
        self.save(single, external, "weights.bin")
        self.save(external, again)
        for path in (external, again):
            same_weights(path, self.weights)
            self.accepted(path, self.source)
        expect(list(again.parent.iterdir()) == [again], "a data file is left")

    def prune(self, name, sparsity):
        """A pruned file and its masks; None when there is nothing to prune."""
        pruned = self.file(name)
        done = self.call(self.program, "prune", self.source, "-o", pruned, "--sparsity", sparsity, *EVERY_WEIGHT,
                         "--masks-out", pruned.parent / "masks.npz")
        if done.returncode == 0:
            with np.load(pruned.parent / "masks.npz") as masks:
                return pruned, dict(masks)
        expect("nothing to prune" in done.stderr and not pruned.exists(), f"coppice prune: {done.stderr.strip()}")
        expect(not prunable(self.source), f"not pruned: {prunable(self.source)}")
        return None

    def prune_save_load(self):
        done = self.prune("pruned", 0.6)
        if not done:
            return "nothing to prune"
        pruned, masks = done
        for name, mask in masks.items():
            expect(int((mask == 0).sum()) >= round(0.6 * mask.size), f"'{name}': too few zeros")
        missing = prunable(self.source) - set(masks)
        expect(not missing, f"not pruned: {sorted(missing)}")
        expected = self.masked(masks)
        loaded = self.file("loaded")
        self.save(pruned, loaded)
        for path in (pruned, loaded):
            same_weights(path, weights_of(expected))
            self.accepted(path, expected)
        return ""

    def dense_sparse_dense(self):
        done = self.prune("nine_tenths", 0.9)
        dense = done[0] if done else self.source
        sparse, again = self.file("sparse"), self.file("dense")
        self.coppice("convert", dense, "-o", sparse, "--weights", "sparse", "--negative-zeros", "keep")
        self.coppice("convert", sparse, "-o", again, "--weights", "dense")
        expected = weights_of(dense)
        for path in (sparse, again):
            same_weights(path, expected)
            self.accepted(path, dense)
        # Weights in Constant nodes stay as they are, and tiny ones would grow.
        large = {name for name, mask in done[1].items() if mask.size >= 128} if done else set()
        large &= {t.name for t in onnx.load(str(dense)).graph.initializer}
        missing = large - {t.values.name for t in onnx.load(str(sparse)).graph.sparse_initializer}
        expect(not missing, f"not sparse: {sorted(missing)}")
        expect(not onnx.load(str(again)).graph.sparse_initializer, "something stayed sparse")


def zero_tensors(graph, left, prefix=""):
    """Zeroes initializers and Constant nodes by the masks in `left` and takes these out."""
    named = [(t.name, t) for t in graph.initializer]
    named += [(n.output[0], a.t) for n in graph.node if n.op_type == "Constant" for a in n.attribute if a.HasField("t")]
    for name, tensor in named:
        mask = left.pop(prefix + name, None)
        if mask is None:
            continue
        array = numpy_helper.to_array(tensor)
        expect(mask.shape == array.shape, f"'{name}': mask {mask.shape}, weight {array.shape}")
        tensor.CopyFrom(numpy_helper.from_array(np.where(mask == 0, array.dtype.type(0), array), tensor.name))
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                zero_tensors(attribute.g, left, attribute.g.name + "/")


def prunable(path):
    """Float initializers of the main graph that a node multiplies by; of a product of two, the right one."""
    graph = onnx.load(str(path)).graph
    floats = {i.name for i in graph.initializer if i.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16)
              and len(i.dims) > 0 and np.prod(i.dims) > 0}
    found = set()
    for node in graph.node:
        names = [node.input[i] for i in PRUNABLE_INPUTS.get(node.op_type, ()) if i < len(node.input) and node.input[i] in floats]
        found |= set(names[-1:] if node.op_type in ("Gemm", "MatMul") else names)
    return found


def go(program, data, source, trips):
    """{trip: what went wrong, or "" or "skip: why"}, and what onnx.checker and ONNX Runtime refuse ("" when nothing)."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="coppice-trips-"))
    try:
        model = Trips(program, data, source, folder)
        outputs = model.run(source)
        refused = "; ".join(filter(None, (model.checked(source), outputs if isinstance(outputs, str) else "")))
        results = {}
        for trip in trips:
            try:
                results[trip] = getattr(model, trip.replace("-", "_"))() or ""
                results[trip] = results[trip] and f"skip: {results[trip]}"
            except Broken as reason:
                results[trip] = str(reason)
            except Exception as error:  # the other models have their turn all the same
                results[trip] = f"{type(error).__name__}: {error}"
        return results, refused
    finally:
        shutil.rmtree(folder, ignore_errors=True)
