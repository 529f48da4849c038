"""The models of the shared data with the inputs and outputs that came with them."""
import functools
import json

import numpy as np


class Case:
    """One model: `name`, `path`, `inputs` {name: array}, `check`(outputs) or None when nothing is known of them."""

    def __init__(self, name, path, inputs, expected):
        self.name, self.path, self.inputs, self.expected = name, path, inputs, expected


class Whole:
    """An expected output that is known whole."""

    def __init__(self, array):
        self.array, self.dims = array, array.shape

    def values(self, got):
        return got, self.array


class Sampled:
    """An output of golden_ort.json: every stride-th element."""

    def __init__(self, entry):
        self.dims, self.entry = tuple(entry["dims"]), entry

    def values(self, got):
        stride = self.entry.get("stride", 1)
        return got.reshape(-1)[::stride], np.array(self.entry["data" if "data" in self.entry else "sample"])


def formula(kind, dims):
    """As in golden_ort.json: 0.5 * sin(0.37 * i) in double for floats, i % 7 for integers."""
    i = np.arange(np.prod(dims, dtype=np.int64))
    values = 0.5 * np.sin(0.37 * i) if np.issubdtype(kind, np.floating) else i % 7
    return values.astype(kind).reshape(dims)


def made_by_recipe(data, entry):
    """The input of an entry of golden_ort.json."""
    if entry["kind"] == "ids":
        return np.load(data / "sst2" / "dev_ids.npy")[:entry["dims"][0]]
    if entry["kind"] == "sr":
        return np.array(16000, np.int64)
    return formula({"f32": np.float32, "u8": np.uint8}[entry["kind"]], entry["dims"])


@functools.cache
def torch_index(folder):
    return {entry["name"]: entry for entry in json.loads((folder / "index.json").read_text())}


def exported(path):
    """A model that PyTorch exported, with arrays beside it."""
    entry = torch_index(path.parent.parent)[path.parent.name]
    inputs = {i["name"]: np.load(path.parent / i["file"]) for i in entry["inputs"]}
    return Case(path.parent.name, path, inputs, [Whole(np.load(path.parent / o["file"])) for o in entry["outputs"]])


def cases(data):
    """Every model, in the order of their paths."""
    golden = json.loads((data / "testpairs" / "golden_ort.json").read_text())["models"]
    models = data / "models"
    for path in sorted(models.glob("**/*.onnx")):
        name = str(path.relative_to(models))
        if path.parent.parent.name == "torch213":
            yield exported(path)
        elif name in golden:
            entry = golden[name]
            inputs = {i["name"]: made_by_recipe(data, i) for i in entry["inputs"]}
            yield Case(name, path, inputs, [Sampled(o) for o in entry["outputs"].values()])
        else:
            yield Case(name, path, None, None)
