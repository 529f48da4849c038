#!/usr/bin/env python3
"""Times `coppice prune` beside a numpy script that does the same; nothing is asserted.

    tests/bench/bench_prune.py [MODEL.onnx] [--program build/coppice] [--sparsity 0.8] [--rounds 7]

Without MODEL a ResNet-50 with random weights is made (102 MB; needs onnx and numpy only). The others prune the same
weights as coppice: all that it selects, read from `coppice prune --dry-run --json`, so that reading names and rules is
not part of their time. Each run is a process of its own, the first round is not counted (it fills the page cache), and
the runs of a round follow each other in turn, so that a busy machine disturbs all alike. Times and memory are those of
the whole process (`wait4`): start, load, select, save. Peak memory is the resident set, mapped files included; the
system counts what this script has as a lower bound of it, so everything large here is done by processes of its own."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time


def numpy_prune(model_path, out_path, sparsity, scope, names):
    """The same as a Python user would write it: argpartition per layer or over all layers."""
    import numpy as np
    import onnx
    from onnx import numpy_helper
    model = onnx.load(model_path)
    wanted = set(names)
    tensors = [t for t in model.graph.initializer if t.name in wanted]
    weights = [numpy_helper.to_array(t).copy() for t in tensors]
    if scope == "layer":
        for w in weights:
            flat = w.reshape(-1)
            flat[np.argpartition(np.abs(flat), round(sparsity * flat.size) - 1)[:round(sparsity * flat.size)]] = 0
    else:
        magnitudes = np.concatenate([np.abs(w).reshape(-1) for w in weights])
        zeros = round(sparsity * magnitudes.size)
        gone = np.zeros(magnitudes.size, bool)
        gone[np.argpartition(magnitudes, zeros - 1)[:zeros]] = True
        start = 0
        for w in weights:
            w.reshape(-1)[gone[start:start + w.size]] = 0
            start += w.size
    for tensor, w in zip(tensors, weights):
        tensor.raw_data = w.tobytes()
    onnx.save(model, out_path)


def make_resnet50(path):
    """Shapes of ResNet-50 v1.5 with folded batch norms, random weights."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    rng = np.random.default_rng(0)
    nodes, weights = [], []

    def add(op, inputs, shape=None, **attributes):
        if shape:
            name = f"w{len(weights)}"
            scale = np.sqrt(2 / np.prod(shape[1:]))
            values = (rng.standard_normal(shape) * scale).astype(np.float32)
            weights.append(numpy_helper.from_array(values, name))
            inputs = [*inputs, name]
        output = f"v{len(nodes)}"
        nodes.append(helper.make_node(op, inputs, [output], name=f"{op}_{len(nodes)}", **attributes))
        return output

    def conv(x, cin, cout, k, s=1):
        return add("Conv", [x], (cout, cin, k, k), strides=[s, s], pads=[k // 2] * 4)

    y = add("MaxPool", [add("Relu", [conv("x", 3, 64, 7, 2)])], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    cin = 64
    for planes, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for k in range(blocks):
            s = stride if k == 0 else 1
            z = add("Relu", [conv(y, cin, planes, 1)])
            z = conv(add("Relu", [conv(z, planes, planes, 3, s)]), planes, 4 * planes, 1)
            side = conv(y, cin, 4 * planes, 1, s) if k == 0 else y
            y = add("Relu", [add("Add", [z, side])])
            cin = 4 * planes
    y = add("Gemm", [add("Flatten", [add("GlobalAveragePool", [y])])], (1000, cin), transB=1)
    graph = helper.make_graph(nodes, "resnet50", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 224, 224])],
                              [helper.make_tensor_value_info(y, TensorProto.FLOAT, [1, 1000])], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def measure(command):
    """Wall and processor seconds and peak bytes of one process."""
    start = time.perf_counter()
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen([str(part) for part in command], stdout=nowhere, stderr=nowhere)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"exit {process.returncode}: {' '.join(map(str, command))}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def files_bytes(path):
    return sum(p.stat().st_size for p in (path, *path.parent.glob(path.name + ".data"),
                                          *path.parent.glob(path.stem + ".data")) if p.exists())


def count_zeros(path):
    """Prints the zeros among the float32 initializers."""
    import numpy as np
    import onnx
    from onnx import numpy_helper
    print(sum(int((numpy_helper.to_array(t) == 0).sum()) for t in onnx.load(path).graph.initializer
              if t.data_type == onnx.TensorProto.FLOAT))


def this_script(*arguments):
    """Runs one of the functions above in a process of its own; its output."""
    return subprocess.run([sys.executable, __file__, *map(str, arguments)], check=True, capture_output=True,
                          text=True).stdout


def compare(arguments, model, folder, scope):
    base = [arguments.program, "prune", model, "--sparsity", arguments.sparsity, "--scope", scope]
    report = json.loads(subprocess.run([str(part) for part in base] + ["--dry-run", "--json"], check=True,
                                       capture_output=True, text=True).stdout)
    names = folder / "names.json"
    names.write_text(json.dumps([layer["initializer"] for layer in report["layers"] if not layer["kept_dense"]]))
    outputs = {"coppice": folder / "coppice.onnx", "numpy": folder / "numpy.onnx"}
    commands = {"coppice": [*base, "-o", outputs["coppice"]],
                "numpy": [sys.executable, __file__, "--numpy", model, outputs["numpy"], arguments.sparsity, scope, names]}
    if arguments.only_coppice:
        del commands["numpy"]
    rows = {name: [] for name in commands}
    for _ in range(arguments.rounds + 1):
        for name, command in commands.items():
            for old in folder.glob(outputs[name].stem + ".*"):
                old.unlink()
            rows[name].append(measure(command))
    print(f"\nscope {scope}")
    medians = {name: [statistics.median(column) for column in zip(*found[1:])] for name, found in rows.items()}
    for name, (wall, processor, peak) in medians.items():
        walls = [row[0] for row in rows[name][1:]]
        print(f"{name:8} wall {wall:7.3f} s ({min(walls):.3f} to {max(walls):.3f})   user+sys {processor:7.3f} s   "
              f"peak {peak / 1e6:7.1f} MB, {peak / files_bytes(model):.2f} x file")
    if "numpy" in medians:
        ratios = [b / a for a, b in zip(medians["coppice"], medians["numpy"])]
        print(f"ratio    wall {ratios[0]:.1f}, user+sys {ratios[1]:.1f}, peak {ratios[2]:.1f}")
        print("zeros    " + ", ".join(f"{name} {int(this_script('--zeros', outputs[name])):,}" for name in commands))


def main():
    if sys.argv[1:2] == ["--numpy"]:
        model, out, sparsity, scope, names = sys.argv[2:]
        numpy_prune(model, out, float(sparsity), scope, json.loads(pathlib.Path(names).read_text()))
        return
    if sys.argv[1:2] in (["--make"], ["--zeros"]):
        {"--make": make_resnet50, "--zeros": count_zeros}[sys.argv[1]](sys.argv[2])
        return
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=pathlib.Path)
    parser.add_argument("--program", type=pathlib.Path, default=root / "build" / "coppice")
    parser.add_argument("--sparsity", default="0.8")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only-coppice", action="store_true", help="for models that numpy has no memory for")
    parser.add_argument("--folder", help="where outputs are written and removed (default: a temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = pathlib.Path(name)
        model = arguments.model or folder / "resnet50.onnx"
        if not arguments.model:
            this_script("--make", model)
        print(f"{model.name}: {files_bytes(model):,} bytes, sparsity {arguments.sparsity}, "
              f"medians of {arguments.rounds} rounds")
        for scope in ("layer", "global"):
            compare(arguments, model, folder, scope)


if __name__ == "__main__":
    main()
