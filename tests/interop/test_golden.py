"""Every model of the first scope gives, on every backend, what ONNX Runtime gave for formula-defined inputs."""
import functools
import json

import numpy as np

import harness

MODELS = (
    "cifar10/cifar10_resnet20.onnx", "cifar10/cifar10_resnet20_bn.onnx",
    "cifar10/cifar10_resnet56.onnx", "cifar10/cifar10_resnet56_bn.onnx",
    "cifar10/resnet8_mlperf_tiny.onnx", "cifar10/resnet8_large_mlperf_tiny.onnx",
    "fashion-mnist/fashion_cnn.onnx", "fashion-mnist/fashion_mlp_300_100.onnx",
    "mnist/lenet_caffe.onnx", "mnist/mnist_cntk_opset8.onnx",
    "imagenet/mobilenet_v2_tv.onnx", "imagenet/squeezenet1.1.onnx",
    "audio/ad_autoencoder_mlperf_tiny.onnx", "audio/kws_dscnn_mlperf_tiny.onnx",
)


def formula(dims):
    """Element i is 0.5*sin(0.37*i), the sine in double."""
    i = np.arange(np.prod(dims), dtype=np.float64)
    return (0.5 * np.sin(0.37 * i)).astype(np.float32).reshape(dims)


def check(model, backend, context):
    golden = json.loads(context.data("testpairs/golden_ort.json").read_text())["models"][model]
    assert all(i["kind"] == "f32" for i in golden["inputs"])
    inputs = {i["name"]: formula(i["dims"]) for i in golden["inputs"]}
    outputs = context.run(context.data("models") / model, inputs, "--backend", backend)
    assert len(outputs) == len(golden["outputs"])
    for got, (name, expected) in zip(outputs, golden["outputs"].items()):
        assert list(got.shape) == expected["dims"], f"{name}: shape {got.shape}, expected {expected['dims']}"
        harness.assert_close(got.reshape(-1), np.array(expected["data"]), name)


def tests():
    for model in MODELS:
        for backend in harness.BACKENDS:
            yield f"golden {model} on {backend}", functools.partial(check, model, backend)
