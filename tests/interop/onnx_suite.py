"""Writes ONNX's own tests, as the installed onnx package has them, as folders for `coppice test`.

A folder per test: model.onnx, test_data_set_N/input_I.pb and output_I.pb.
Usage: onnx_suite.py FOLDER; prints the number of tests.
"""
import pathlib
import shutil
import sys

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator", "light")


def as_message(value, info):
    """The message of test data for a value, by the declared type."""
    if isinstance(value, onnx.TensorProto):
        return value
    kind = info.type.WhichOneof("value")
    if kind == "map_type":
        return numpy_helper.from_dict(value, info.name)
    if kind == "sequence_type":
        return numpy_helper.from_list(value, info.name)
    if kind == "optional_type":
        return numpy_helper.from_optional(value, info.name)
    return numpy_helper.from_array(np.asarray(value), info.name)


def write_case(case, folder):
    folder.mkdir(parents=True)
    onnx.save(case.model, folder / "model.onnx")
    graph = case.model.graph
    for index, (inputs, outputs) in enumerate(case.data_sets):
        data = folder / f"test_data_set_{index}"
        data.mkdir()
        for word, values, infos in (("input", inputs, graph.input), ("output", outputs, graph.output)):
            for number, value in enumerate(values):
                message = as_message(value, infos[number])
                (data / f"{word}_{number}.pb").write_bytes(message.SerializeToString())


def write_suite(target):
    """Writes all tests; returns how many. Tests whose model is a download are left out."""
    count = 0
    for kind in KINDS:
        for case in load_model_tests(kind=kind):
            folder = target / kind / case.name
            source = pathlib.Path(case.model_dir) if case.model_dir else None
            if case.model is not None:
                write_case(case, folder)
            elif source is not None and (source / "model.onnx").is_file():
                shutil.copytree(source, folder)
            else:
                continue
            count += 1
    return count


if __name__ == "__main__":
    print(write_suite(pathlib.Path(sys.argv[1])))
