"""ONNX's own tests as the installed onnx package has them: all pass but those that are listed."""
import subprocess

import onnx

import harness
import onnx_suite


def run_suite(context):
    version = ".".join(onnx.__version__.split(".")[:2])
    folder = harness.ROOT / "tests" / "conformance"
    if not (folder / f"onnx-{version}.txt").is_file():
        raise harness.Skip(f"no list of known failures for ONNX {version} in tests/conformance")
    suite = context.folder / "suite"
    onnx_suite.write_suite(suite)
    done = subprocess.run([folder / "run.sh", context.program, harness.ROOT, suite, version], capture_output=True,
                          text=True, timeout=600, stdin=subprocess.DEVNULL)
    for line in done.stdout.splitlines():
        print("  " + line)
    assert done.returncode == 0, f"ONNX {version}: unlisted failures or listed passes"


def tests():
    yield "onnx suite", run_suite
