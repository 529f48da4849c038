#!/usr/bin/env python3
"""Times coppice beside ONNX Runtime and OpenVINO, in turns, and compares what they compute.

    tests/bench/bench_peers.py DENSE.onnx[=PRUNED.onnx,PRUNED.onnx...]... [--program build/coppice] [--threads 1,2]
        [--rounds 5] [--seconds 2] [--isa avx2] [--json FILE] [--markdown FILE]

Of each group the dense model is what the others run: they do not skip zeros, so that a pruned file takes them as long as
a dense one. coppice runs all. A round runs every engine on every model once, each in a process of its own, one at a
time; a ratio is the median over the rounds of (ONNX Runtime's time / coppice's time) in the same round, so that what
disturbs the machine disturbs both. Free dimensions are 1, floats are normally distributed, integers below 1000, masks 1:
the same values for all. Results of the pruned models are compared with ONNX Runtime's on the same file; --markdown
writes the table, with machine, date and command. Needs: pip install onnxruntime openvino onnx numpy. Nothing is
asserted about times; wrong results end it with 1."""
import argparse
import datetime
import json
import os
import pathlib
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

TYPES = {"tensor(float)": "f4", "tensor(int64)": "i8", "tensor(int32)": "i4", "tensor(bool)": "?"}


def feeds(path):
    """Inputs by name: the same ones in every process."""
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    random, result = np.random.default_rng(0), {}
    for value in session.get_inputs():
        shape = [d if isinstance(d, int) else 1 for d in value.shape]
        kind = TYPES[value.type]
        if kind == "f4":
            result[value.name] = random.standard_normal(shape).astype(kind)
        elif "mask" in value.name:
            result[value.name] = np.ones(shape, kind)
        else:
            result[value.name] = random.integers(0, 1000, shape).astype(kind)
    return result


def ort_session(path, threads):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def openvino_request(path, threads, feed):
    import openvino
    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({name: list(value.shape) for name, value in feed.items()})
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    return core.compile_model(model, "CPU", settings).create_infer_request()


def run_engine(engine, path, threads, seconds):
    """In a process of its own: prints one JSON object."""
    with np.load(os.environ["COPPICE_BENCH_FEEDS"]) as stored:
        feed = dict(stored)
    begin = time.perf_counter()
    if engine == "onnxruntime":
        session = ort_session(path, threads)
        run = lambda: session.run(None, feed)
    else:
        request = openvino_request(path, threads, feed)
        run = lambda: request.infer(feed)
    load, times = time.perf_counter() - begin, []
    for _ in range(3):
        run()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - begin))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"ms": statistics.median(times), "load_ms": 1e3 * load, "peak_mb": peak}))


def time_peer(engine, path, threads, seconds, feed_file):
    command = [sys.executable, __file__, "--engine", engine, path, "--threads", str(threads), "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True,
                          env=os.environ | {"COPPICE_BENCH_FEEDS": feed_file})
    return json.loads(done.stdout.splitlines()[-1])


def time_coppice(options, path, threads):
    command = [options.program, "bench", path, "--threads", str(threads), "-t", str(options.seconds), "-w", "3", "--json"]
    if options.isa:
        command += ["--isa", options.isa]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {"ms": done["latency_ms"]["median"], "load_ms": done["load_ms"], "peak_mb": done["peak_rss_bytes"] / 2**20}


def largest_error(options, path, feed, folder):
    """Largest difference from ONNX Runtime's results on the same file, relative to the largest of each output."""
    arguments = []
    for i, (name, value) in enumerate(feed.items()):
        file = folder / f"in_{i}.npy"
        np.save(file, value)
        arguments += ["-i", f"{name}={file}"]
    out = folder / "out"
    command = [options.program, "run", path, *arguments, "-o", str(out), "-q", "-f"]
    if options.isa:
        command += ["--isa", options.isa]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    worst = 0.0
    for i, wanted in enumerate(ort_session(path, 1).run(None, feed)):
        got = np.load(out / f"output_{i}.npy")
        if got.shape != wanted.shape:
            return float("inf")
        worst = max(worst, float(np.abs(got.astype("f8") - wanted).max() / max(np.abs(wanted).max(), 1e-30)))
    return worst


def machine():
    name = platform.processor() or platform.machine()
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
            break
    return f"{name}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("groups", nargs="*", metavar="DENSE[=PRUNED,...]")
    parser.add_argument("--program", default="build/coppice")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--isa")
    parser.add_argument("--peers", default="onnxruntime,openvino")
    parser.add_argument("--json")
    parser.add_argument("--markdown")
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(options, threads, folder):
    """A row per model: name, medians, ratios."""
    peers = [p for p in options.peers.split(",") if p]
    groups = [(g.split("=")[0], [m for m in g.partition("=")[2].split(",") if m]) for g in options.groups]
    rows, times = {}, {}
    for dense, pruned in groups:
        feed = feeds(dense)
        feed_file = str(folder / (pathlib.Path(dense).stem + ".npz"))
        np.savez(feed_file, **feed)
        for model in [dense, *pruned]:
            rows[model] = {"model": pathlib.Path(model).stem, "threads": threads, "dense": dense, "feeds": feed_file,
                           "error": largest_error(options, model, feed, folder)}
    for _ in range(options.rounds):
        for dense, pruned in groups:
            for peer in peers:
                times.setdefault((peer, dense), []).append(
                    time_peer(peer, dense, threads, options.seconds, rows[dense]["feeds"]))
            for model in [dense, *pruned]:
                times.setdefault(("coppice", model), []).append(time_coppice(options, model, threads))
    for model, row in rows.items():
        mine = times["coppice", model]
        row |= {key: statistics.median(t[key] for t in mine) for key in ("ms", "load_ms", "peak_mb")}
        row["first_load_ms"] = mine[0]["load_ms"]
        for peer in peers:
            theirs = times[peer, row["dense"]]
            row[peer] = {key: statistics.median(t[key] for t in theirs) for key in ("ms", "load_ms", "peak_mb")}
            row[peer]["ratio"] = statistics.median(a["ms"] / b["ms"] for a, b in zip(theirs, mine))
    return list(rows.values())


def table(rows, options):
    peers = [p for p in options.peers.split(",") if p]
    lines = [f"{machine()}, {datetime.date.today()}", "", "    " + shlex.join(["tests/bench/bench_peers.py", *sys.argv[1:]]),
             "", "| model | threads | coppice, ms | " + "".join(f"{p}, ms | ratio | " for p in peers) +
             "load, ms | peak, MiB | largest error |", "|---" * (6 + 2 * len(peers)) + "|"]
    for r in rows:
        lines.append(f"| {r['model']} | {r['threads']} | {r['ms']:.2f} | " +
                     "".join(f"{r[p]['ms']:.2f} | {r[p]['ratio']:.2f} | " for p in peers) +
                     f"{r['load_ms']:.0f} | {r['peak_mb']:.0f} | {r['error']:.1e} |")
    return "\n".join(lines) + "\n"


def main():
    options = parse()
    if options.engine:
        run_engine(options.engine, options.groups[0], int(options.threads), options.seconds)
        return 0
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for threads in options.threads.split(","):
            rows += measure(options, int(threads), pathlib.Path(folder))
    text = table(rows, options)
    print(text, end="")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=1))
    if options.markdown:
        pathlib.Path(options.markdown).write_text(text)
    return 0 if all(r["error"] < 1e-3 for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
