"""Runs an ONNX graph as a torch module that can be trained, and writes the trained values back into the file.

    model = onnx.load("net.onnx")
    net = OnnxModule(model)         # one parameter or buffer per initializer
    loss = criterion(net.train()(images), labels)
    ...
    write_back(net, model, "trained.onnx")

One input, one output, float weights. To add an operator, add a line to OPERATORS; where one of its inputs is
learned, to LEARNED too.
"""
import os

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional as F

ONE_FILE = 2_000_000_000  # bytes; protobuf ends at 2 GiB, beyond that weights go to a file of their own

# Which inputs of an operator are trained. Add and Mul: vectors only, which are biases and scales.
LEARNED = {"Conv": (1, 2), "Gemm": (0, 1, 2), "MatMul": (0, 1), "PRelu": (1,),
           "BatchNormalization": (1, 2), "LayerNormalization": (1, 2), "Add": (0, 1), "Mul": (0, 1)}
VECTORS_ONLY = ("Add", "Mul")
# A weight behind one of these is still that weight.
VIEWS = ("Identity", "Transpose", "Reshape", "Cast")
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)
INTEGERS = {onnx.TensorProto.INT64: torch.int64, onnx.TensorProto.INT32: torch.int32, onnx.TensorProto.BOOL: torch.bool}


# --- operators that need more than a line. a: attributes; x, y, ...: the node's inputs, None where left out ---

def listed(value):
    return value.tolist() if isinstance(value, torch.Tensor) else value


def axes_of(a, axes):
    """Attribute in old opsets, input in new ones."""
    return a.get("axes", listed(axes))


def last_first(begin_end):
    """ONNX has [begin of each axis..., end of each axis...], torch pairs from the last axis on."""
    half = len(begin_end) // 2
    return [p for i in reversed(range(half)) for p in (begin_end[i], begin_end[i + half])]


def same_pads(a, sizes, kernel):
    begin_end = [0] * 2 * len(kernel)
    for i, (size, k) in enumerate(zip(sizes, kernel)):
        step = a.get("strides", [1] * len(kernel))[i]
        reach = (k - 1) * a.get("dilations", [1] * len(kernel))[i] + 1
        total = max((-(-size // step) - 1) * step + reach - size, 0)
        halves = total // 2, total - total // 2
        begin_end[i], begin_end[i + len(kernel)] = halves if a["auto_pad"] == "SAME_UPPER" else halves[::-1]
    return begin_end


def windows(a, x, kernel, value=0.0):
    """Input, strides and padding of a Conv or pooling node. torch pads both sides alike: other pads are put on here."""
    same = a.get("auto_pad", "NOTSET").startswith("SAME")
    pads = same_pads(a, x.shape[2:], kernel) if same else a.get("pads", [0] * 2 * len(kernel))
    strides = a.get("strides", [1] * len(kernel))
    if pads[:len(kernel)] == pads[len(kernel):]:
        return x, strides, pads[:len(kernel)]
    return F.pad(x, last_first(pads), value=value), strides, [0] * len(kernel)


def conv(a, x, w, b=None):
    kernel = w.shape[2:]
    x, strides, padding = windows(a, x, kernel)
    convolve = getattr(F, f"conv{len(kernel)}d")
    return convolve(x, w, b, strides, padding, a.get("dilations", 1), a.get("group", 1))


def batch_norm(a, x, scale, bias, mean, variance):
    """In training torch updates mean and variance in place."""
    return F.batch_norm(x, mean, variance, scale, bias, a["training"], 1 - a.get("momentum", 0.9),
                        a.get("epsilon", 1e-5))


def max_pool(a, x):
    kernel = a["kernel_shape"]
    x, strides, padding = windows(a, x, kernel, -torch.inf)
    pool = getattr(F, f"max_pool{len(kernel)}d")
    return pool(x, kernel, strides, padding, a.get("dilations", 1), bool(a.get("ceil_mode")))


def average_pool(a, x):
    kernel, count_padding = a["kernel_shape"], bool(a.get("count_include_pad"))
    inner, strides, padding = windows(a, x, kernel)
    if inner is not x and not count_padding:
        raise NotImplementedError("AveragePool that does not count a padding of uneven sides")
    pool = getattr(F, f"avg_pool{len(kernel)}d")
    return pool(inner, kernel, strides, padding, bool(a.get("ceil_mode")), count_padding)


def gemm(a, x, y, z=None):
    product = a.get("alpha", 1.0) * (x.t() if a.get("transA") else x) @ (y.t() if a.get("transB") else y)
    return product if z is None else product + a.get("beta", 1.0) * z


def clip(a, x, low=None, high=None):
    return torch.clamp(x, a.get("min", low), a.get("max", high))


def reduce(function):
    def call(a, x, axes=None):
        return function(x, axes_of(a, axes) or list(range(x.dim())), keepdim=bool(a.get("keepdims", 1)))
    return call


def reshape(a, x, shape):
    dims = shape.tolist()
    if not a.get("allowzero"):
        dims = [x.shape[i] if d == 0 else d for i, d in enumerate(dims)]
    return x.reshape(dims)


def flatten(a, x):
    return x.reshape(x.shape[:a.get("axis", 1)].numel(), -1)


def squeeze(a, x, axes=None):
    axes = axes_of(a, axes)
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def unsqueeze(a, x, axes=None):
    axes = axes_of(a, axes)
    for axis in sorted(i % (x.dim() + len(axes)) for i in axes):
        x = x.unsqueeze(axis)
    return x


def softmax(function):
    def call(a, x):
        if a["opset"] >= 13:
            return function(x, a.get("axis", -1))
        return function(flatten(a, x), 1).reshape(x.shape)
    return call


def layer_norm(a, x, scale, bias=None):
    return F.layer_norm(x, x.shape[a.get("axis", -1):], scale, bias, a.get("epsilon", 1e-5))


def pad(a, x, pads=None, value=None, axes=None):
    some = a.get("pads", listed(pads))
    axes = range(x.dim()) if axes is None else axes.tolist()
    begin_end = [0] * 2 * x.dim()
    for i, axis in enumerate(axes):
        begin_end[axis % x.dim()], begin_end[axis % x.dim() + x.dim()] = some[i], some[i + len(axes)]
    mode = a.get("mode", "constant")
    if mode == "constant":
        return F.pad(x, last_first(begin_end), value=float(a.get("value", 0.0) if value is None else value))
    spatial = last_first(begin_end)[:-4]  # torch reflects and repeats these only
    return F.pad(x, spatial, {"edge": "replicate", "wrap": "circular"}.get(mode, mode))


def slices(a, x, starts=None, ends=None, axes=None, steps=None):
    starts, ends = a.get("starts", listed(starts)), a.get("ends", listed(ends))
    axes = axes_of(a, axes) or range(len(starts))
    for start, end, axis, step in zip(starts, ends, axes, listed(steps) or [1] * len(starts)):
        picked = range(x.shape[axis])[start:end:step]  # Python's rules are ONNX's, negative steps too
        x = x.index_select(axis, torch.tensor(picked, dtype=torch.int64))
    return x


def gather(a, x, index):
    axis = a.get("axis", 0) % x.dim()
    picked = x.index_select(axis, index.reshape(-1) % x.shape[axis])
    return picked.reshape(x.shape[:axis] + index.shape + x.shape[axis + 1:])


def split(a, x, sizes=None):
    axis = a.get("axis", 0)
    return x.split(a.get("split", listed(sizes)) or -(-x.shape[axis] // a["outputs"]), axis)


def filled(a, shape):
    value = a.get("value", torch.zeros(1))
    return value.expand(shape.tolist()).clone()


OPERATORS = {
    "Conv": conv, "BatchNormalization": batch_norm, "Gemm": gemm, "LayerNormalization": layer_norm,
    "MatMul": lambda a, x, y: x @ y,
    "Relu": lambda a, x: F.relu(x),
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "PRelu": lambda a, x, slope: torch.where(x < 0, x * slope, x),
    "Elu": lambda a, x: F.elu(x, a.get("alpha", 1.0)),
    "Clip": clip,
    "Sigmoid": lambda a, x: x.sigmoid(),
    "HardSigmoid": lambda a, x: torch.clamp(x * a.get("alpha", 0.2) + a.get("beta", 0.5), 0, 1),
    "HardSwish": lambda a, x: F.hardswish(x),
    "Tanh": lambda a, x: x.tanh(),
    "Softplus": lambda a, x: F.softplus(x),
    "Gelu": lambda a, x: F.gelu(x, approximate=a.get("approximate", "none")),
    "Exp": lambda a, x: x.exp(),
    "Log": lambda a, x: x.log(),
    "Erf": lambda a, x: x.erf(),
    "Sqrt": lambda a, x: x.sqrt(),
    "Reciprocal": lambda a, x: 1 / x,
    "Neg": lambda a, x: -x,
    "Add": lambda a, x, y: x + y,
    "Sub": lambda a, x, y: x - y,
    "Mul": lambda a, x, y: x * y,
    "Div": lambda a, x, y: x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc"),
    "Pow": lambda a, x, y: x ** y,
    "Equal": lambda a, x, y: x == y,
    "Where": lambda a, which, x, y: torch.where(which, x, y),
    "Softmax": softmax(torch.softmax), "LogSoftmax": softmax(torch.log_softmax),
    "Dropout": lambda a, x, ratio=None, mode=None: F.dropout(
        x, a.get("ratio", 0.5) if ratio is None else ratio.item(), a["training"]),
    "MaxPool": max_pool, "AveragePool": average_pool,
    "GlobalAveragePool": lambda a, x: x.mean(list(range(2, x.dim())), keepdim=True),
    "GlobalMaxPool": lambda a, x: x.amax(list(range(2, x.dim())), keepdim=True),
    "ReduceMean": reduce(torch.mean), "ReduceSum": reduce(torch.sum), "ReduceMax": reduce(torch.amax),
    "Identity": lambda a, x: x,
    "Flatten": flatten, "Reshape": reshape, "Squeeze": squeeze, "Unsqueeze": unsqueeze,
    "Transpose": lambda a, x: x.permute(a.get("perm", list(range(x.dim()))[::-1])),
    "Concat": lambda a, *x: torch.cat(x, a["axis"]),
    "Expand": lambda a, x, shape: x * torch.ones(shape.tolist(), dtype=x.dtype),
    "Split": split, "Slice": slices, "Gather": gather, "Pad": pad,
    # Floats of any width are float32 in training.
    "Cast": lambda a, x: x.to(INTEGERS.get(a["to"], torch.float32)),
    "CastLike": lambda a, x, y: x.to(y.dtype),
    "Shape": lambda a, x: torch.tensor(x.shape[a.get("start", 0):a.get("end")]),
    "Constant": lambda a: a["value"] if "value" in a else torch.tensor(next(a[k] for k in a if k.startswith("value_"))),
    "ConstantOfShape": filled,
}


# --- the graph ---

def stored_tensors(graph):
    """The tensors of all initializers and Constant nodes by name: what coppice prunes and this module trains."""
    tensors = {t.name: t for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    return tensors


def as_torch(tensor):
    array = numpy_helper.to_array(tensor)
    return torch.from_numpy(array.astype(np.float32 if tensor.data_type in FLOATS else array.dtype))


def attributes_of(node, opset):
    """Attributes as Python values: text as str, tensors as torch.Tensor."""
    values = {"opset": opset, "outputs": len(node.output)}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, onnx.TensorProto):
            value = as_torch(value)
        values[attribute.name] = value.decode() if isinstance(value, bytes) else value
    return values


def learned_names(graph, tensors):
    """Names of the tensors that training changes, and of the running statistics of BatchNormalization."""
    source = {n.output[0]: n.input[0] for n in graph.node if n.op_type in VIEWS}
    learned, statistics = set(), set()
    for node in graph.node:
        for index, name in enumerate(node.input):
            while name in source:
                name = source[name]
            if name not in tensors or tensors[name].data_type not in FLOATS:
                continue
            vector = sum(d > 1 for d in tensors[name].dims) == 1
            if index in LEARNED.get(node.op_type, ()) and (vector or node.op_type not in VECTORS_ONLY):
                learned.add(name)
            elif node.op_type == "BatchNormalization" and index > 2:
                statistics.add(name)
    return learned, statistics


class OnnxModule(nn.Module):
    """The graph of an ONNX model. `weights` are names that are trained in any case, such as those that have a mask."""

    def __init__(self, model, weights=()):
        super().__init__()
        graph = model.graph
        opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        tensors = stored_tensors(graph)
        inputs = [i.name for i in graph.input if i.name not in tensors]
        unknown = sorted({n.op_type for n in graph.node} - OPERATORS.keys())
        if unknown:
            raise NotImplementedError(f"no torch function for {', '.join(unknown)}: add it to OPERATORS")
        if len(inputs) != 1 or len(graph.output) != 1 or graph.sparse_initializer:
            raise NotImplementedError("a model of one input, one output and dense weights is expected")
        self.input, self.output = inputs[0], graph.output[0].name
        self.learned, self.statistics = learned_names(graph, tensors)
        self.learned |= set(weights)
        if set(weights) - tensors.keys():
            raise ValueError(f"the model has no weight {', '.join(sorted(set(weights) - tensors.keys()))}")
        self.names = []
        for name, tensor in tensors.items():
            self.store(name, as_torch(tensor))
        self.nodes = []
        for node in graph.node:
            self.add(node, attributes_of(node, opset))

    @staticmethod
    def key(name):
        return "onnx " + name.replace(".", ":")  # torch allows no dot in a name

    def store(self, name, value):
        if name in self.learned:
            self.register_parameter(self.key(name), nn.Parameter(value))
        else:
            self.register_buffer(self.key(name), value)
        self.names.append(name)

    def value(self, name):
        return getattr(self, self.key(name))

    def add(self, node, attributes):
        """What depends on constants only is computed now."""
        fixed = set(self.names) - self.learned - self.statistics
        if node.op_type == "Constant" and node.output[0] in fixed | self.learned:
            return
        call = OPERATORS[node.op_type], attributes, list(node.input), list(node.output)
        if all(name in fixed or not name for name in node.input):
            for name, value in self.run(call, {name: self.value(name) for name in fixed}).items():
                self.store(name, value)
        else:
            self.nodes.append(call)

    def run(self, call, values):
        function, attributes, inputs, outputs = call
        result = function({**attributes, "training": self.training}, *(values[i] if i else None for i in inputs))
        return dict(zip(outputs, result if isinstance(result, tuple) else (result,)))

    def forward(self, x):
        values = {name: self.value(name) for name in self.names}
        values[self.input] = x
        for call in self.nodes:
            values.update(self.run(call, values))
        return values[self.output]


def write_back(module, model, path):
    """Saves `model` as `path` with the trained values; nothing else changes."""
    for name, tensor in stored_tensors(model.graph).items():
        if name not in module.learned | module.statistics:
            continue
        for field in ("float_data", "double_data", "int32_data"):
            tensor.ClearField(field)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        tensor.raw_data = module.value(name).detach().numpy().astype(dtype).tobytes()
    if sum(len(t.raw_data) for t in stored_tensors(model.graph).values()) < ONE_FILE:
        onnx.save(model, path)
    else:
        onnx.save(model, path, save_as_external_data=True, location=os.path.basename(path) + ".data")
