"""What the interoperability tests share: calling coppice, ONNX Runtime, skipping, counting."""
import json
import pathlib
import subprocess
import traceback

import numpy as np
import onnx
import onnxruntime

ROOT = pathlib.Path(__file__).resolve().parents[2]
BACKENDS = ("reference", "xnnpack", "native", "auto")


class Skip(Exception):
    """Raised by a test that cannot run here; its text says why."""


class Context:
    """What a test is given: the program, the shared data (or None) and a folder of its own."""

    def __init__(self, program, shared, folder):
        self.program = program
        self.shared = shared
        self.folder = folder

    def data(self, path):
        """A path in the shared data; skips the test where that is not there."""
        if self.shared is None:
            raise Skip("no shared data here")
        return self.shared / "data" / path

    def attempt(self, *arguments):
        """Runs the program, whatever it returns."""
        return subprocess.run([str(self.program), *map(str, arguments)], capture_output=True, text=True,
                              timeout=900, stdin=subprocess.DEVNULL)

    def coppice(self, *arguments):
        """Runs the program; a failure of it fails the test."""
        done = self.attempt(*arguments)
        assert done.returncode == 0, (
            f"exit {done.returncode} of {' '.join(map(str, done.args))}\n{done.stdout}{done.stderr}")
        return done

    def coppice_json(self, *arguments):
        """Runs the program with --json; stdout must be one JSON object and nothing else."""
        return json.loads(self.coppice(*arguments, "--json").stdout)

    def run(self, model, inputs, *options):
        """Outputs of `coppice run` in graph order, for {name: array}."""
        folder = self.folder / f"run{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        arguments = []
        for index, (name, array) in enumerate(inputs.items()):
            path = folder / f"input_{index}.npy"
            np.save(path, array)
            arguments += ["-i", f"{name}={path}"]
        self.coppice("run", model, *arguments, "-o", folder / "out", *options)
        count = len(list((folder / "out").glob("output_*.npy")))
        return [np.load(folder / "out" / f"output_{i}.npy") for i in range(count)]


def graphs(graph):
    """A graph and all inside it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graphs(attribute.g)


def complaint(path):
    """What onnx.checker says of a file: "" when it is fine."""
    try:
        onnx.checker.check_model(str(path), full_check=False)
    except onnx.checker.ValidationError as error:
        return str(error).splitlines()[0]
    return ""


def ort_run(model, inputs, optimize=True):
    """Outputs of ONNX Runtime on one thread. Its optimisation quantizes what is multiplied by quantized weights."""
    options = onnxruntime.SessionOptions()
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def assert_close(got, expected, what, rtol=1e-3, atol=1e-4):
    """The absolute part is relative to the largest expected value, as sums of different order differ."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    if got.size == 0:
        return
    bound = atol * max(np.abs(expected).max(), 1e-3) + rtol * np.abs(expected)
    error = np.asarray(np.abs(got.astype(np.float64) - expected))
    error[np.isnan(error)] = np.inf
    worst = np.unravel_index(np.argmax(error - bound), error.shape)
    assert error[worst] <= bound[worst], (
        f"{what}: element {worst} is {got[worst]}, expected {expected[worst]} within {bound[worst]:.3g}")


def assert_all_close(got, expected, what):
    assert len(got) == len(expected), f"{what}: {len(got)} outputs, expected {len(expected)}"
    for index, (mine, other) in enumerate(zip(got, expected)):
        assert_close(mine, other, f"{what}, output {index}")


def check_with_ort(context, model, inputs, rtol, atol):
    """Runs a model in memory here and by ONNX Runtime, and compares all outputs."""
    path = context.folder / "model.onnx"
    onnx.save(model, path)
    got, wanted = context.run(path, inputs), ort_run(path, inputs)
    assert len(got) == len(wanted), f"{len(got)} outputs, expected {len(wanted)}"
    for mine, other, output in zip(got, wanted, model.graph.output):
        where = f"{output.name} of {model.graph.node[0]}"
        assert mine.shape == other.shape, f"{where}: shape {mine.shape}, expected {other.shape}"
        np.testing.assert_allclose(mine, other, rtol=rtol, atol=atol, err_msg=where)


class Counter:
    """Runs tests and counts how they end."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def run(self, name, test, context):
        """Runs test(context) and prints a line about it."""
        try:
            test(context)
        except Skip as reason:
            self.skipped += 1
            print(f"skip {name}: {reason}", flush=True)
        except Exception as error:  # a failing test must not stop the others
            self.failed += 1
            print(f"FAIL {name}: {error}", flush=True)
            if not isinstance(error, AssertionError):
                traceback.print_exc()
        else:
            self.passed += 1
            print(f"ok {name}", flush=True)
