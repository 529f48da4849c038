"""The examples of models/examples: the fine-tune hook trains, holds masks and changes nothing else; masks are read."""
import functools
import shlex
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


def hook(*options):
    """The example as a command line, on the training images that are shipped."""
    models = harness.ROOT / "models"
    return shlex.join(map(str, [
        sys.executable, EXAMPLES / "finetune_torch.py", "--scale", "0.00392157", "--images",
        models / "digits_train_images.npy", "--labels", models / "digits_train_labels.npy", "--batch", "32", "--lr",
        "0.02", *options]))


def top1(model):
    """On the held-out digits, in ONNX Runtime."""
    models = harness.ROOT / "models"
    x = np.load(models / "digits_test_images.npy").transpose(0, 3, 1, 2).astype(np.float32) * np.float32(0.00392157)
    logits = harness.ort_run(model, {"image": x})[0]
    return (logits.argmax(1) == np.load(models / "digits_test_labels.npy")).mean()


def training_brings_accuracy_back(context):
    one_shot, tuned, masks = (context.folder / name for name in ("one_shot.onnx", "tuned.onnx", "masks.npz"))
    context.coppice("prune", OWN, "-o", one_shot, "--sparsity", "0.96")
    totals = context.coppice_json("prune", OWN, "-o", tuned, "--sparsity", "0.96", "--steps", "3", "--masks-out", masks,
                                  "--finetune", hook("--epochs", "4", "--teacher", OWN))
    assert [step["violations"] for step in totals["steps"]] == [0, 0, 0], totals["steps"]
    onnx.checker.check_model(str(tuned), full_check=True)
    before, after = arrays(OWN), arrays(tuned)
    assert list(before) == list(after)
    held = np.load(masks)
    assert len(held.files) == 10, held.files
    for name, array in after.items():
        assert array.shape == before[name].shape and array.dtype == before[name].dtype, name
        if name not in held.files:
            assert name == "val_129" or not np.array_equal(array, before[name]), f"{name} was not trained"
            continue
        assert np.array_equal(held[name] == 0, array == 0), f"{name}: zeros are not those of the mask"
        assert not np.signbit(array[array == 0]).any(), f"{name}: a pruned weight is -0.0"
        assert (array == 0).sum() == round(0.96 * array.size), name
        assert not np.array_equal(array[array != 0], before[name][array != 0]), f"{name} was not trained"
    first, second = top1(one_shot), top1(tuned)
    print(f"  96 %: one-shot {first:.4f}, with fine-tuning {second:.4f}")
    assert second >= 0.94 and second >= first + 0.2, (first, second)


def interrupted_run_goes_on(context):
    """The hook of step 2 is killed after it has written half a file. What follows is as if nothing had happened."""
    whole, resumed, log = (context.folder / name for name in ("whole.onnx", "resumed.onnx", "log"))
    train = hook("--epochs", "1", "--augment", "crop")
    gradual = ("--sparsity", "0.95", "--steps", "3", "--schedule", "cubic", "--finetune")
    context.coppice("prune", OWN, "-o", whole, *gradual, train)

    dying = (f'echo "$COPPICE_STEP" >>{log}; if [ "$(tr -d "\\n" <{log})" = 12 ]; then '
             f'head -c 1000 "$COPPICE_MODEL_IN" >"$COPPICE_MODEL_OUT"; kill -9 $$; fi; exec {train}')
    done = context.attempt("prune", OWN, "-o", resumed, *gradual, dying)
    assert done.returncode == 2 and not resumed.exists(), (done.returncode, done.stderr)
    context.coppice("prune", OWN, "-o", resumed, *gradual, dying, "--resume")
    assert log.read_text().split() == ["1", "2", "2", "3"], log.read_text()
    assert whole.read_bytes() == resumed.read_bytes(), "the resumed run has another result"


def tests():
    for model in ("digits", *NETWORKS):
        yield f"torch network of {model} computes as ONNX Runtime and is written back bit for bit", functools.partial(
            computes_the_same, model)
    yield "weights in a file of their own are read and written back", external_data
    yield "fine-tuning with PyTorch brings accuracy back and holds the masks", training_brings_accuracy_back
    yield "a gradual run whose hook was killed goes on to the same file", interrupted_run_goes_on
    yield "an operator without a torch function is named", unknown_operator
    yield "the examples of numpy and torch read masks", masks_are_read
