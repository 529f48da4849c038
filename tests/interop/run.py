#!/usr/bin/env python3
"""Runs the interoperability tests with PyTorch and ONNX Runtime; closes with "N passed, N failed, N skipped".

A module test_*.py of this folder has tests(), which yields (name, function of a Context).
"""
import argparse
import fnmatch
import importlib
import os
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import harness  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coppice", type=pathlib.Path, default=harness.ROOT / "build" / "coppice")
    parser.add_argument("--shared", type=pathlib.Path, default=os.environ.get("COPPICE_SHARED", harness.ROOT.parent / "shared"),
                        help="folder with the shared test data (default: $COPPICE_SHARED or beside the tree)")
    parser.add_argument("--only", default="*", help="run the tests whose name matches this pattern")
    options = parser.parse_args()
    shared = options.shared.resolve() if (options.shared / "data").is_dir() else None
    if shared is None:
        print(f"no {options.shared}: what needs it is skipped")

    counter = harness.Counter()
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, test in module.tests():
            if not fnmatch.fnmatch(name, options.only):
                continue
            with tempfile.TemporaryDirectory(prefix="coppice-interop-") as folder:
                counter.run(name, test, harness.Context(options.coppice.resolve(), shared, pathlib.Path(folder)))
    print(f"{counter.passed} passed, {counter.failed} failed, {counter.skipped} skipped")
    return 1 if counter.failed or not counter.passed else 0


if __name__ == "__main__":
    sys.exit(main())
