"""The PyTorch fine-tune hook of models/examples: its network is ONNX Runtime's, files come back as they were, masks are read."""
import functools
import subprocess
import sys

import numpy as np
import onnx
import torch
from onnx import numpy_helper

import harness

EXAMPLES = harness.ROOT / "models" / "examples"
sys.path.insert(0, str(EXAMPLES))
from onnx_to_torch import OnnxModule, write_back  # noqa: E402

OWN = harness.ROOT / "models" / "digits.onnx"
NETWORKS = ("cifar10/cifar10_resnet20_bn.onnx", "cifar10/resnet8_mlperf_tiny.onnx", "imagenet/mobilenet_v2_tv.onnx",
            "imagenet/squeezenet1.1.onnx", "fashion-mnist/fashion_mlp_300_100.onnx", "mnist/mnist_cntk_opset8.onnx",
            "mnist/vit_opset13.onnx", "mnist/vit_opset17.onnx", "audio/kws_dscnn_mlperf_tiny.onnx")


def arrays(model):
    """Every initializer by name."""
    return {i.name: numpy_helper.to_array(i) for i in onnx.load(str(model)).graph.initializer}


def computes_the_same(model, context):
    source = OWN if model == "digits" else context.data("models") / model
    message = onnx.load(str(source))
    network = OnnxModule(message).eval()
    shape = next(i for i in message.graph.input if i.name == network.input).type.tensor_type.shape
    dims = [d.dim_value if d.dim_value > 0 else 2 for d in shape.dim]
    x = np.random.default_rng(3).standard_normal(dims).astype(np.float32)
    with torch.no_grad():
        got = network(torch.from_numpy(x)).numpy()
    harness.assert_close(got, harness.ort_run(source, {network.input: x})[0], model)
    assert network.learned, "nothing to train"

    same = context.folder / "same.onnx"
    write_back(network, message, str(same))
    onnx.checker.check_model(str(same))
    before, after = arrays(source), arrays(same)
    assert before.keys() == after.keys()
    for name, array in before.items():
        assert array.tobytes() == after[name].tobytes() and array.shape == after[name].shape, f"{name} has changed"


def external_data(context):
    apart, same = context.folder / "apart.onnx", context.folder / "same.onnx"
    onnx.save(onnx.load(str(OWN)), str(apart), save_as_external_data=True, location="apart.data", size_threshold=0)
    message = onnx.load(str(apart))
    write_back(OnnxModule(message), message, str(same))
    before, after = arrays(OWN), arrays(same)
    assert all(np.array_equal(before[name], after[name]) for name in before) and before.keys() == after.keys()


def unknown_operator(context):
    x, y = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Atan", ["x"], ["y"])], "g", [x], [y])
    try:
        OnnxModule(onnx.helper.make_model(graph))
    except NotImplementedError as error:
        assert "Atan" in str(error)
    else:
        raise AssertionError("Atan was taken")


def masks_are_read(context):
    masks, pruned = context.folder / "masks.npz", context.folder / "pruned.onnx"
    context.coppice("prune", OWN, "-o", pruned, "--sparsity", "0.9", "--masks-out", masks)
    for script, line in (("read_masks_numpy.py", "sparsity 0.9000"), ("read_masks_torch.py", "90.00% zero")):
        done = subprocess.run([sys.executable, str(EXAMPLES / script), str(masks)], capture_output=True, text=True)
        assert done.returncode == 0, f"{script}: {done.stderr}"
        assert line in done.stdout, f"{script}: {done.stdout}"
        for name in np.load(masks).files:
            assert name.removesuffix(".weight") in done.stdout, f"{script} does not show {name}"


def tests():
    for model in ("digits", *NETWORKS):
        yield f"torch network of {model} computes as ONNX Runtime and is written back bit for bit", functools.partial(
            computes_the_same, model)
    yield "weights in a file of their own are read and written back", external_data
    yield "an operator without a torch function is named", unknown_operator
    yield "the examples of numpy and torch read masks", masks_are_read
