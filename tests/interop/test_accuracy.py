"""Accuracy that `coppice compare` reports, against what ONNX Runtime reached on the same data."""
import harness

IMAGENET = ("--scale", "0.00392157", "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225")


# One thread, as tests share the machine; the number of threads does not change an answer.
THREADS = ("--threads", "1")


def expect(got, wanted, what, within=0.0002):
    assert abs(got - wanted) <= within, f"{what}: top-1 {got}, expected {wanted}"


def resnet20(context):
    model = context.data("models/cifar10/cifar10_resnet20.onnx")
    pruned = context.folder / "half.onnx"
    totals = context.coppice_json("prune", model, "-o", pruned, "--sparsity", "0.5")
    assert abs(totals["sparsity"] - 0.5) < 1e-4, totals["sparsity"]
    found = context.coppice_json("compare", model, pruned, "--images", context.data("cifar10/test_images.npy"),
                                 "--labels", context.data("cifar10/test_labels.npy"), *IMAGENET, *THREADS)
    assert found["samples"] == 10000
    expect(found["a"]["top1"], 0.9173, "dense")
    expect(found["b"]["top1"], 0.870, "50 % zeros", within=0.001)


def imagenet(context):
    models = context.data("models/imagenet")
    found = context.coppice_json("compare", models / "squeezenet1.1.onnx", models / "mobilenet_v2_tv.onnx",
                                 "--images", context.data("imagenet/val1300"),
                                 "--labels", context.data("imagenet/labels.txt"), "--crop", "224", *IMAGENET, *THREADS)
    assert found["samples"] == 1300
    expect(found["a"]["top1"], 0.6985, "squeezenet1.1")
    expect(found["b"]["top1"], 0.7946, "mobilenet_v2_tv")


def digits(context):
    models = harness.ROOT / "models"
    pruned = context.folder / "pruned.onnx"
    context.coppice("prune", models / "digits.onnx", "-o", pruned, "--sparsity", "0.9")
    found = context.coppice_json("compare", models / "digits.onnx", pruned, "--scale", "0.00392157",
                                 "--images", models / "digits_test_images.npy",
                                 "--labels", models / "digits_test_labels.npy", *THREADS)
    assert found["samples"] == 600
    expect(found["a"]["top1"], 1.0, "dense")
    expect(found["b"]["top1"], 0.9883, "90 % zeros", within=0.002)
    assert found["a"]["latency_ms"] and found["b"]["latency_ms"]


def tests():
    yield "accuracy of resnet20, dense and at 50 %", resnet20
    yield "accuracy of squeezenet1.1 and mobilenet_v2 on ImageNet images", imagenet
    yield "accuracy of the demo model, dense and at 90 %", digits
