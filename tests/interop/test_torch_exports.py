"""Networks that PyTorch exports now, by both exporters and for many opsets: coppice against ONNX Runtime.

Where ONNX Runtime does not take the model, PyTorch's own outputs count.
"""
import functools
import io
import contextlib
import logging
import pathlib
import warnings

import numpy as np

import harness

TOLERANCE = 1e-3


def flat(outputs):
    """All tensors of an output of a module, in order."""
    if isinstance(outputs, (tuple, list)):
        return [t for o in outputs for t in flat(o)]
    if isinstance(outputs, dict) or hasattr(outputs, "to_tuple"):
        return flat(list(outputs.values()))
    return [outputs]


def export(module, inputs, path, exporter, opset, dynamic):
    """Writes the model; says nothing."""
    import torch

    names = ["x", "y", "z", "u"][:len(inputs)]
    how = {"input_names": names, "opset_version": opset}
    if exporter == "ts":
        how |= {"dynamo": False, "dynamic_axes": dynamic}
    else:
        how |= {"dynamo": True, "verbose": False}
        if dynamic:
            how["dynamic_shapes"] = [{d: torch.export.Dim.DYNAMIC for d in dynamic.get(name, {})} for name in names]
            how["dynamic_shapes"] = tuple(how["dynamic_shapes"])
            if hasattr(module, "function") or len(names) != 1:
                how["dynamic_shapes"] = (how["dynamic_shapes"],)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            torch.onnx.export(module, inputs, str(path), **how)
        finally:
            logging.disable(logging.NOTSET)


def as_numpy(tensor):
    import torch

    if not isinstance(tensor, torch.Tensor):
        return np.array(tensor)
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().numpy()


def expected_of(module, inputs, path, arrays, against):
    """ONNX Runtime's outputs, or PyTorch's."""
    if against == "ort":
        try:
            return harness.ort_run(path, arrays), "ONNX Runtime"
        except Exception:  # its exceptions have no common base
            pass
    return [as_numpy(t) for t in flat(module(*inputs))], "PyTorch"


def compare(got, expected, loose, what):
    assert len(got) == len(expected), f"{what}: {len(got)} outputs, expected {len(expected)}"
    for index, (mine, other) in enumerate(zip(got, expected)):
        where = f"{what}, output {index}"
        assert mine.shape == other.shape, f"{where}: shape {mine.shape}, expected {other.shape}"
        if not np.issubdtype(other.dtype, np.floating):
            assert np.array_equal(mine, other), f"{where}: {int((mine != other).sum())} of {mine.size} differ"
            continue
        assert np.array_equal(np.isnan(mine), np.isnan(other)), f"{where}: NaNs differ"
        finite = np.isfinite(other)
        assert np.array_equal(mine[~finite & ~np.isnan(other)], other[~finite & ~np.isnan(other)]), f"{where}: infinities differ"
        harness.assert_close(mine[finite].astype(np.float64), other[finite].astype(np.float64), where, rtol=loose, atol=loose)


def grown(inputs, dynamic):
    """The same with dynamic dimensions one larger, by repeating the first slice."""
    import torch

    bigger = []
    for name, tensor in zip(["x", "y", "z", "u"], inputs):
        for axis in dynamic.get(name, {}):
            tensor = torch.cat([tensor, tensor.narrow(axis, 0, 1)], axis)
        bigger.append(tensor)
    return tuple(bigger)


def one(name, module, inputs, options, exporter, opset, context):
    import torch

    path = pathlib.Path(context.folder) / "model.onnx"
    dynamic = options.get("dynamic", {})
    module.eval()
    try:
        export(module, inputs, path, exporter, opset, dynamic)
    except Exception as error:  # what PyTorch cannot export is no test of coppice
        raise harness.Skip(f"not exported: {str(error).strip().splitlines()[0][:120]}") from None
    for given in (inputs, grown(inputs, dynamic)) if dynamic else (inputs,):
        import onnx

        names = [i.name for i in onnx.load(str(path), load_external_data=False).graph.input]
        arrays = dict(zip([n for n in ["x", "y", "z", "u"] if n in names], (as_numpy(t) for t in given)))
        with torch.no_grad():
            expected, peer = expected_of(module, given, path, arrays, options.get("against", "ort"))
        for backend in ("reference", "auto"):
            got = run(context, path, arrays, options, backend)
            compare(got, expected, options.get("loose", TOLERANCE), f"{backend} against {peer}")


def run(context, path, arrays, options, backend):
    if options.get("against") == "torch":  # bfloat16 has no type in numpy: by .pb
        return run_bfloat(context, path, arrays, backend)
    return context.run(path, arrays, "--backend", backend, "--tune", "none", "--threads", "1")


def run_bfloat(context, path, arrays, backend):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    arguments, out = [], context.folder / f"out_{backend}"
    for index, (name, array) in enumerate(arrays.items()):
        file = context.folder / f"in_{index}.pb"
        file.write_bytes(helper.make_tensor(name, TensorProto.BFLOAT16, array.shape, array.reshape(-1)).SerializeToString())
        arguments += ["-i", f"{name}={file}"]
    context.coppice("run", path, *arguments, "-o", out, "--format", "pb", "--backend", backend, "--tune", "none")
    outputs = []
    for file in sorted(out.glob("output_*.pb")):
        outputs.append(numpy_helper.to_array(onnx.load_tensor(str(file))).astype(np.float32))
    return outputs


def tests():
    import torch

    import export_zoo

    torch.manual_seed(7)
    for name, module, inputs, options in export_zoo.zoo():
        for exporter in ("dynamo", "ts"):
            for opset in options.get(exporter, ()):
                yield (f"export {name} {exporter} {opset}",
                       functools.partial(one, name, module, inputs, options, exporter, opset))
