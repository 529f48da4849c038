"""Every model of the shared data: what came with it is what coppice gives; inspect and prune take it."""
import functools
import multiprocessing.pool
import pathlib
import tempfile

import numpy as np
import onnxruntime

import harness
import shared_models

BACKENDS = ("reference", "auto")
TOLERANCE = 1e-3
# Fake quantisation rounds: what lies on the border of two steps may go either way, and takes its neighbours along.
LOOSE = {"fakequant": 0.05}


def tolerance_of(name):
    return next((loose for part, loose in LOOSE.items() if part in name), TOLERANCE)


def compare(got, expected, tolerance, what):
    """Within `tolerance` of each value and of the largest; integers and bools exactly."""
    assert got.shape == tuple(expected.dims), f"{what}: shape {got.shape}, expected {expected.dims}"
    mine, other = expected.values(got)
    if not np.issubdtype(got.dtype, np.floating):
        differ = int((mine != other).sum())
        assert differ == 0, f"{what}: {differ} of {mine.size} elements differ"
        return
    harness.assert_close(mine.astype(np.float64), other.astype(np.float64), what, rtol=tolerance, atol=tolerance)


def reference_outputs(case):
    """Where nothing came with a model: ONNX Runtime's outputs."""
    session = onnxruntime.InferenceSession(str(case.path), providers=["CPUExecutionProvider"])
    kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    case.inputs = {i.name: shared_models.formula(kinds[i.type], [d if isinstance(d, int) else 1 for d in i.shape])
                   for i in session.get_inputs()}
    case.expected = [shared_models.Whole(o) for o in session.run(None, case.inputs)]


def run(case, context, backend):
    if case.expected is None:
        reference_outputs(case)
    outputs = context.run(case.path, case.inputs, "--backend", backend, "--tune", "none", "--threads", "1")
    assert len(outputs) == len(case.expected), f"{len(outputs)} outputs, expected {len(case.expected)}"
    for index, (got, expected) in enumerate(zip(outputs, case.expected)):
        compare(got, expected, tolerance_of(case.name), f"output {index}")


def inspect(case, context):
    report = context.coppice_json("inspect", case.path)
    assert report["weights"], "no weights"
    return report["totals"]["unknown_macs"]


def prune(case, context):
    """Half of every prunable weight; what is written runs."""
    pruned = context.folder / "pruned.onnx"
    done = context.attempt("prune", case.path, "-o", pruned, "--sparsity", "0.5", "--json")
    if done.returncode and "nothing to prune" in done.stderr:
        return "nothing to prune"
    assert done.returncode == 0, done.stderr
    context.run(pruned, case.inputs or {}, "--tune", "none", "--threads", "1") if case.inputs is not None else None
    return ""


def each_model(step, context):
    """Calls step(case, context) with every model, two at a time; gives its results and fails with all that failed."""
    def one(case):
        with tempfile.TemporaryDirectory(prefix="coppice-sweep-", dir=context.folder) as folder:
            try:
                return step(case, harness.Context(context.program, context.shared, pathlib.Path(folder))), None
            except Exception as error:  # the other models have their turn all the same
                return None, f"{case.name}: {str(error).strip().splitlines()[-1]}"

    with multiprocessing.pool.ThreadPool(2) as pool:
        done = pool.map(one, list(shared_models.cases(context.data(""))), chunksize=1)
    failures = [failure for _, failure in done if failure]
    print(f"  {len(done)} models, {len(done) - len(failures)} good, {len(failures)} bad")
    assert not failures, f"{len(failures)} of {len(done)} models:\n  " + "\n  ".join(failures)
    return [result for result, _ in done]


def golden(backend, context):
    each_model(functools.partial(run, backend=backend), context)


def inspected(context):
    unknown = sum(each_model(inspect, context))
    print(f"  weights without known MACs, as their shapes come out of If or Loop: {unknown}")
    assert unknown <= 12


def pruned(context):
    nothing = sum(result == "nothing to prune" for result in each_model(prune, context))
    print(f"  of them {nothing} with nothing to prune")


def tests():
    for backend in BACKENDS:
        yield f"every shared model gives what came with it on {backend}", functools.partial(golden, backend)
    yield "inspect takes every shared model and knows nearly all MACs", inspected
    yield "prune takes every shared model, and what it writes runs", pruned
