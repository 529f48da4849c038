"""Small networks as people write them: (name, module, inputs, how it is exported) for test_torch_exports.py."""
import math

import torch
import torch.nn.functional as F
from torch import nn


def image(*shape):
    return torch.randn(*shape)


class Fn(nn.Module):
    """A function as a module; `parts` are its submodules, handed to it by name."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        self.names = list(parts)
        for name, part in parts.items():
            if isinstance(part, nn.Parameter) or isinstance(part, nn.Module):
                setattr(self, name, part)
            else:
                self.register_buffer(name, part)

    def forward(self, *inputs):
        return self.function(*inputs, **{name: getattr(self, name) for name in self.names})


def param(*shape):
    return nn.Parameter(0.2 * torch.randn(*shape))


# ---- convolutional ----

def conv(i, o, k=3, s=1, g=1, act=nn.ReLU):
    return nn.Sequential(nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False), nn.BatchNorm2d(o), act())


class SqueezeExcite(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, c // 4, 1), nn.SiLU(), nn.Conv2d(c // 4, c, 1), nn.Sigmoid())

    def forward(self, x):
        return x * self.net(x)


class MBConv(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.net = nn.Sequential(conv(c, 4 * c, 1, act=nn.SiLU), conv(4 * c, 4 * c, 3, 1, 4 * c, nn.SiLU), SqueezeExcite(4 * c),
                                 nn.Conv2d(4 * c, c, 1), nn.BatchNorm2d(c))

    def forward(self, x):
        return x + self.net(x)


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(conv(8 + 4 * i, 4) for i in range(3))

    def forward(self, x):
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


class Shuffle(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = conv(8, 8, 3, 1, 4)

    def forward(self, x):
        n, c, h, w = x.shape
        a, b = self.conv(x).chunk(2, 1)
        return torch.stack([a, b], 2).reshape(n, c, h, w)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = conv(3, 8), conv(8, 16), conv(24, 8)
        self.up, self.out = nn.ConvTranspose2d(16, 16, 2, 2), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        a = self.a(x)
        b = self.up(self.b(F.max_pool2d(a, 2)))
        b = F.pad(b, [0, a.shape[3] - b.shape[3], 0, a.shape[2] - b.shape[2]])
        return self.out(self.c(torch.cat([a, b], 1))).softmax(1)


class Fpn(nn.Module):
    """A detector's neck and heads, without suppression."""

    def __init__(self):
        super().__init__()
        self.c1, self.c2, self.c3 = conv(3, 8, 3, 2), conv(8, 8, 3, 2), conv(8, 8, 3, 2)
        self.l1, self.l2 = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.box, self.score = nn.Conv2d(8, 12, 3, padding=1), nn.Conv2d(8, 6, 3, padding=1)

    def forward(self, x):
        a = self.c1(x)
        b = self.c2(a)
        p3 = self.l2(self.c3(b))
        p2 = self.l1(b) + F.interpolate(p3, size=b.shape[-2:], mode="nearest")
        boxes, scores = [], []
        for level, stride in ((p2, 4), (p3, 8)):
            n, _, h, w = level.shape
            ys, xs = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
            grid = torch.stack([xs, ys], -1).reshape(1, -1, 1, 2).float()
            box = self.box(level).permute(0, 2, 3, 1).reshape(n, h * w, 3, 4)
            boxes.append(torch.cat([(box[..., :2].sigmoid() + grid) * stride, box[..., 2:].exp()], -1).flatten(1, 2))
            scores.append(self.score(level).permute(0, 2, 3, 1).reshape(n, h * w * 3, 2).sigmoid())
        boxes, scores = torch.cat(boxes, 1), torch.cat(scores, 1)
        best, label = scores.max(-1)
        top, index = best.topk(10, 1)
        return boxes.gather(1, index.unsqueeze(-1).expand(-1, -1, 4)), top, label.gather(1, index)


class Deeplab(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = conv(3, 8, 3, 2)
        self.rates = nn.ModuleList(nn.Conv2d(8, 4, 3, padding=r, dilation=r) for r in (1, 2, 4))
        self.pool, self.out = nn.Conv2d(8, 4, 1), nn.Conv2d(16, 3, 1)

    def forward(self, x):
        y = self.stem(x)
        pooled = F.interpolate(self.pool(F.adaptive_avg_pool2d(y, 1)), size=y.shape[-2:], mode="bilinear", align_corners=False)
        y = torch.cat([r(y) for r in self.rates] + [pooled], 1)
        return F.interpolate(self.out(y), size=x.shape[-2:], mode="bilinear", align_corners=True).argmax(1)


class Segformer(nn.Module):
    """Overlapping patches, attention with fewer keys, a mixing feed-forward."""

    def __init__(self, d=16):
        super().__init__()
        self.patch, self.norm = nn.Conv2d(3, d, 7, 4, 3), nn.LayerNorm(d)
        self.q, self.kv, self.sr, self.proj = nn.Linear(d, d), nn.Linear(d, 2 * d), nn.Conv2d(d, d, 2, 2), nn.Linear(d, d)
        self.up, self.dw, self.down = nn.Linear(d, 2 * d), nn.Conv2d(2 * d, 2 * d, 3, padding=1, groups=2 * d), nn.Linear(2 * d, d)

    def forward(self, x):
        x = self.patch(x)
        n, c, h, w = x.shape
        t = self.norm(x.flatten(2).transpose(1, 2))
        s = self.sr(t.transpose(1, 2).reshape(n, c, h, w)).flatten(2).transpose(1, 2)
        k, v = self.kv(s).reshape(n, -1, 2, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
        q = self.q(t).reshape(n, -1, 2, c // 2).transpose(1, 2)
        t = t + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, -1, c))
        u = self.up(t)
        u = self.dw(u.transpose(1, 2).reshape(n, -1, h, w)).flatten(2).transpose(1, 2)
        return t + self.down(F.gelu(u))


# ---- sequences ----

class Recurrent(nn.Module):
    def __init__(self, kind, **how):
        super().__init__()
        self.net = kind(6, 8, 2, batch_first=True, **how)

    def forward(self, x):
        y, state = self.net(x)
        return (y, *state) if isinstance(state, tuple) else (y, state)


class Rotary(nn.Module):
    """A decoder block with rotary positions, grouped keys and RMS norm."""

    def __init__(self, d=16, heads=4, groups=2):
        super().__init__()
        self.h, self.g, self.e = heads, groups, d // heads
        self.norm = nn.RMSNorm(d)
        self.q, self.k, self.v = nn.Linear(d, d, False), nn.Linear(d, groups * self.e, False), nn.Linear(d, groups * self.e, False)
        self.gate, self.up, self.down = nn.Linear(d, 32, False), nn.Linear(d, 32, False), nn.Linear(32, d, False)

    def turn(self, x):
        t = torch.arange(x.shape[2], device=x.device).float()
        f = torch.outer(t, 10000 ** (-torch.arange(0, self.e, 2).float() / self.e))
        cos, sin = torch.cat([f.cos()] * 2, -1), torch.cat([f.sin()] * 2, -1)
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat([-b, a], -1) * sin

    def forward(self, x):
        n, s, d = x.shape
        y = self.norm(x)
        q = self.turn(self.q(y).view(n, s, self.h, self.e).transpose(1, 2))
        k = self.turn(self.k(y).view(n, s, self.g, self.e).transpose(1, 2)).repeat_interleave(self.h // self.g, 1)
        v = self.v(y).view(n, s, self.g, self.e).transpose(1, 2).repeat_interleave(self.h // self.g, 1)
        x = x + F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, s, d)
        return x + self.down(F.silu(self.gate(x)) * self.up(x))


def relative_attention(x, qkv, table):
    """Window attention with a table of relative positions."""
    n, s, d = x.shape
    q, k, v = (x @ qkv).reshape(n, s, 3, 2, d // 2).permute(2, 0, 3, 1, 4)
    at = torch.arange(s)
    bias = table[at[:, None] - at[None, :] + s - 1].permute(2, 0, 1)
    a = (q @ k.transpose(-2, -1)) / math.sqrt(d // 2) + bias
    return (a.softmax(-1) @ v).transpose(1, 2).reshape(n, s, d)


def graph_convolution(x, edges, weight):
    """Mean over neighbours by index_add."""
    source, target = edges[0], edges[1]
    total = torch.zeros_like(x).index_add(0, target, x[source])
    count = torch.zeros(x.shape[0]).scatter_add(0, target, torch.ones_like(target, dtype=torch.float32))
    return F.relu((total / count.clamp(min=1)[:, None]) @ weight)


def roi_pool(features, boxes):
    """Bilinear sampling of boxes by hand."""
    steps = (torch.arange(4) + 0.5) / 4
    x = boxes[:, 0, None] + steps * (boxes[:, 2] - boxes[:, 0])[:, None]
    y = boxes[:, 1, None] + steps * (boxes[:, 3] - boxes[:, 1])[:, None]
    grid = torch.stack([x[:, None, :].expand(-1, 4, -1), y[:, :, None].expand(-1, -1, 4)], -1) * 2 - 1
    return F.grid_sample(features.expand(boxes.shape[0], -1, -1, -1), grid, align_corners=False)


def selective_scan(x, a, b):
    """A recurrence in the style of state-space models."""
    h = torch.zeros(x.shape[0], x.shape[2])
    out = []
    for t in range(x.shape[1]):
        h = h * torch.exp(-F.softplus(a)) + x[:, t] * b
        out.append(h)
    return torch.stack(out, 1)


class Cond(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: self.a(x).relu(), lambda x: self.b(x) * 2, (x,))


class While(nn.Module):
    def forward(self, x):
        from torch._higher_order_ops.while_loop import while_loop
        return while_loop(lambda i, x: i < 5, lambda i, x: (i + 1, x * 1.5 + 1), (torch.tensor(0), x))[1]


class Scan(nn.Module):
    def forward(self, x):
        from torch._higher_order_ops.scan import scan
        return scan(lambda h, v: (h * 0.5 + v, (h + v).tanh()), torch.zeros(x.shape[1]), x, dim=0)


class ScriptLoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.step, self.last = nn.Linear(5, 5), nn.Linear(5, 5)

    def forward(self, x, n: int):
        for i in range(n):
            x = torch.tanh(self.step(x)) + i
        if x.sum() > 0:
            x = self.last(x)
        return x


class FakeQuant(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = param(8, 3, 3, 3)

    def forward(self, x):
        w = torch.fake_quantize_per_channel_affine(self.w, torch.full((8,), 0.02), torch.zeros(8, dtype=torch.int32), 0, -128, 127)
        x = torch.fake_quantize_per_tensor_affine(x, 0.05, 10, 0, 255)
        return F.conv2d(x, w)


def interpolations(x):
    out = [F.interpolate(x, scale_factor=s, mode=m, align_corners=c) for s in (2.0, 0.6)
           for m, c in (("nearest", None), ("bilinear", False), ("bicubic", False), ("bilinear", True), ("bicubic", True))]
    return (*out, *(F.interpolate(x, size=s, mode=m, align_corners=True) for s in ((4, 5), (13, 11)) for m in ("bilinear", "bicubic")))


def antialiased(x):
    return tuple(F.interpolate(x, size=(5, 7), mode=m, antialias=True) for m in ("bilinear", "bicubic"))


def more_interpolations(x, v):
    return (F.interpolate(x, size=11, mode="linear"), F.interpolate(x, scale_factor=2, mode="nearest"),
            F.interpolate(v, size=(3, 6, 5), mode="trilinear", align_corners=True),
            F.interpolate(v, size=(5, 3, 6), mode="nearest-exact"))


def poolings(x):
    return (F.max_pool2d(x, 3, 2, 1, ceil_mode=True), F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
            F.max_pool2d(x, 2, 1, dilation=2), F.avg_pool2d(x, (2, 3), 2, (1, 1)), F.adaptive_max_pool2d(x, 1), F.lp_pool2d(x.abs(), 2, 2))


def pads(x):
    return (F.pad(x, (1, 2, 2, 1), mode="reflect"), F.pad(x, (1, 2, 0, 3), mode="replicate"), F.pad(x, (1, -1, -2, 2), value=0.5),
            F.pad(x, (2, 1, 1, 3), mode="circular"))


def index_zoo(x, i):
    y = x.clone()
    y[:, i] = 1.0
    y[0, 1:3] += 2
    z = x.index_put((torch.tensor([0, 1]), torch.tensor([2, 3])), torch.tensor([5.0, 6.0]), accumulate=True)
    return y, z, x[:, [0, 2]], x[x.shape[0] - 1], x.gather(1, x.argsort(1)), x.index_select(1, i), x.masked_fill(x > 0.5, -1)


def data_dependent(x):
    found = (x > 0).nonzero()
    return found, x[x > 0], torch.where(x > 0, x, -x)


def math_zoo(x):
    y = x.abs() + 0.5
    return (torch.logsumexp(x, 1), torch.cumsum(x, 1), x.norm(dim=1), x.var(1), x.std(1, unbiased=False), y.log1p(), x.erf(),
            torch.atan2(x, y), x.clamp(-0.3, 0.4), torch.remainder(x, 0.3), torch.fmod(x, 0.3), x.sign(), x.round(), y.rsqrt(), y.pow(1.7),
            x.softmax(0).log(), F.log_softmax(x, 1), x.argmin(1), x.amax(0), x.prod(1), torch.tril(x), torch.triu(x, 1), x.flip(1),
            x.roll(1, 1), torch.cross(x[:, :3], x[:, 1:4], dim=1), F.normalize(x), F.cosine_similarity(x, y), torch.isnan(x / 0.0 * 0),
            torch.floor_divide(x, 0.3))


def more_math(x):
    return (x.expm1(), x.logit(0.1), torch.bucketize(x, torch.tensor([-0.5, 0.0, 0.5])), x.atanh(), x.sinh(), x.acos(), x.trunc(), x.frac(),
            torch.lerp(x, x + 1, 0.3), torch.addcmul(x, x, x, value=0.2), torch.logaddexp(x, 2 * x), x.heaviside(x),
            torch.diff(x), torch.kron(x[:2, :2], x[:2, :3]), x.diagonal(), torch.outer(x[0], x[1]), x.unfold(1, 3, 2))


def activations(x):
    return tuple(f(x) for f in (F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.silu, F.mish, F.hardswish, F.hardsigmoid, F.hardtanh, F.gelu,
                                F.softplus, F.softsign, F.softshrink, F.hardshrink, F.tanhshrink, F.logsigmoid, F.glu, torch.sin)) + (
        F.gelu(x, approximate="tanh"), F.threshold(x, 0, 0))


def norms(x, w, b):
    return (F.group_norm(x, 2, w, b), F.instance_norm(x), F.layer_norm(x, x.shape[1:]), F.local_response_norm(x, 3),
            F.batch_norm(x, w.detach() * 0, w.detach() * 0 + 1, w, b))


def einsums(x, w, v):
    return (torch.einsum("bsd,dhe->bhse", x, w), torch.einsum("bsd,btd->bst", x, x), torch.einsum("bii->bi", x[:, :4, :4]),
            torch.einsum("d,bsd->s", v, x), torch.einsum("...d,d->...", x, v))


def attention_masks(q, k, v, m):
    return (F.scaled_dot_product_attention(q, k, v, attn_mask=m), F.scaled_dot_product_attention(q, k, v, attn_mask=m > 0),
            F.scaled_dot_product_attention(q, k, v, is_causal=True), F.scaled_dot_product_attention(q, k, v, scale=0.3))


def integers(i, j):
    return (i // 3, i % 3, i & j, i | j, i ^ j, ~i, i << 1, i >> 1, (i > j) & (j > 0), i.float().mean(), i.sum(), i.cumsum(0), torch.minimum(i, j),
            i.to(torch.int8).to(torch.int64), i.bitwise_and(3).bool(), torch.div(i, 3, rounding_mode="trunc"), i.max(), i.clamp(2, 5), -i, i.abs())


def stft(x, window):
    y = torch.stft(x, 16, 8, window=window, return_complex=True, center=False)
    return torch.view_as_real(y), y.abs() ** 2


def fold(x):
    return F.unfold(x, 3, padding=1), F.fold(F.unfold(x, 2, stride=2), x.shape[-2:], 2, stride=2), F.pixel_shuffle(x, 2), F.pixel_unshuffle(x, 2)


def sampling(x, grid, theta):
    flow = F.affine_grid(theta, [2, 4, 5, 6], align_corners=False)
    return tuple(F.grid_sample(x, g, mode=m, padding_mode=p, align_corners=a) for g in (grid, flow)
                 for m, p, a in (("bilinear", "zeros", False), ("nearest", "border", False), ("bicubic", "reflection", True)))


def zoo():
    """(name, module, inputs, options): "dynamo" and "ts" are lists of opsets, "dynamic" the dynamic axes by input."""
    g = torch.Generator().manual_seed(3)
    batch = {"x": {0: "batch"}}
    x2, x4 = torch.randn(3, 8, generator=g), torch.randn(2, 8, 9, 10, generator=g)
    i8 = torch.randint(0, 8, (6,), generator=g)
    q = torch.randn(2, 4, 7, 8, generator=g)
    return [
        ("densenet", nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3), Dense(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(80, 5)), (image(1, 3, 20, 20),), dict(dynamo=[18], ts=[9, 17], dynamic=batch)),
        ("efficientnet", nn.Sequential(conv(3, 8), MBConv(8), MBConv(8)), (image(1, 3, 16, 16),), dict(dynamo=[20], ts=[11])),
        ("shufflenet", nn.Sequential(conv(3, 8), Shuffle()), (image(2, 3, 12, 12),), dict(dynamo=[21], ts=[12], dynamic=batch)),
        ("unet", UNet(), (image(1, 3, 17, 19),), dict(dynamo=[20], ts=[16], dynamic={"x": {0: "batch", 2: "height", 3: "width"}})),
        ("fpn", Fpn(), (image(1, 3, 32, 48),), dict(dynamo=[20], ts=[14], dynamic=batch)),
        ("deeplab", Deeplab(), (image(1, 3, 24, 24),), dict(dynamo=[18], ts=[13])),
        ("segformer", Segformer(), (image(1, 3, 32, 32),), dict(dynamo=[23], ts=[14], dynamic=batch)),
        ("conv1d_3d", Fn(lambda x, v, a, b, c: (a(x), b(v), c(x)), a=nn.Conv1d(4, 6, 3, 2, dilation=2), b=nn.Conv3d(4, 4, 3, padding=1, groups=2), c=nn.ConvTranspose1d(4, 3, 4, 2, 1, 1)), (image(2, 4, 15), image(1, 4, 5, 6, 7)), dict(dynamo=[20], ts=[13])),
        ("lstm", Recurrent(nn.LSTM, bidirectional=True), (image(2, 7, 6),), dict(dynamo=[20], ts=[11, 14], dynamic={"x": {0: "batch", 1: "steps"}})),
        ("gru", Recurrent(nn.GRU), (image(2, 7, 6),), dict(dynamo=[18], ts=[14])),
        ("lstm_projected", Fn(lambda x, net: net(x)[0].sum(1), net=nn.LSTM(6, 8, 1, batch_first=True)), (image(3, 5, 6),), dict(dynamo=[22])),
        ("rotary", Rotary(), (image(2, 6, 16),), dict(dynamo=[18, 20, 23], dynamic={"x": {0: "batch", 1: "steps"}})),
        ("relative_attention", Fn(relative_attention, qkv=param(8, 24), table=param(13, 2)), (image(2, 7, 8),), dict(dynamo=[20], ts=[13])),
        ("attention_masks", Fn(attention_masks), (q, q + 1, q * 2, torch.randn(7, 7, generator=g)), dict(dynamo=[18, 23], ts=[16])),
        ("multihead", Fn(lambda x, net: net(x, x[:, :4], x[:, :4]), net=nn.MultiheadAttention(16, 4, batch_first=True)), (image(2, 6, 16),), dict(dynamo=[20], ts=[14])),
        ("encoder_decoder", Fn(lambda x, y, net: net(x, y), net=nn.Transformer(16, 2, 1, 1, 32, batch_first=True)), (image(2, 6, 16), image(2, 4, 16)), dict(dynamo=[20], ts=[17])),
        ("graph", Fn(graph_convolution, weight=param(6, 4)), (image(8, 6), torch.randint(0, 8, (2, 15), generator=g)), dict(dynamo=[20])),
        ("roi", Fn(roi_pool), (image(1, 4, 9, 9), torch.tensor([[0.1, 0.2, 0.6, 0.7], [0.3, 0.1, 0.9, 0.5]])), dict(dynamo=[20], ts=[16])),
        ("state_space", Fn(selective_scan, a=param(6), b=param(6)), (image(2, 5, 6),), dict(dynamo=[20], ts=[15])),
        ("cond", Cond(), (image(2, 4),), dict(dynamo=[20, 23])),
        ("while", While(), (image(3),), dict(dynamo=[20])),
        ("scan", Scan(), (image(5, 4),), dict(dynamo=[20])),
        ("scripted", torch.jit.script(ScriptLoop()), (image(2, 5), torch.tensor(3)), dict(ts=[11, 15])),
        ("fake_quant", FakeQuant(), (image(1, 3, 8, 8),), dict(ts=[13], dynamo=[20], loose=0.06)),
        ("interpolate", Fn(interpolations), (image(1, 3, 7, 9),), dict(dynamo=[18, 20], ts=[11, 17])),
        ("antialias", Fn(antialiased), (image(1, 2, 12, 13),), dict(dynamo=[18, 20])),
        ("interpolate_1_3", Fn(more_interpolations), (image(1, 2, 6), image(1, 2, 4, 5, 6)), dict(dynamo=[20])),
        ("pooling", Fn(poolings), (image(1, 3, 11, 12),), dict(dynamo=[20], ts=[11, 17])),
        ("padding", Fn(pads), (image(1, 2, 6, 7),), dict(dynamo=[20], ts=[13])),
        ("indexing", Fn(index_zoo), (x2, torch.tensor([1, 4])), dict(dynamo=[20], ts=[16])),
        ("data_dependent", Fn(data_dependent), (x2,), dict(dynamo=[20], ts=[13])),
        ("unique", Fn(lambda i: torch.unique(i, return_inverse=True, return_counts=True)), (i8,), dict(ts=[13])),
        ("sorting", Fn(lambda x: (x.sort(1, descending=True), x.topk(3), x.argsort(0), x.min(1), x.max(0, keepdim=True))), (x2,), dict(dynamo=[20], ts=[13])),
        ("math", Fn(math_zoo), (x2,), dict(dynamo=[20], ts=[17])),
        ("more_math", Fn(more_math), (torch.rand(3, 8, generator=g) * 1.8 - 0.9,), dict(dynamo=[20])),
        ("distances", Fn(lambda x, y: torch.cdist(x, y)), (x2, image(5, 8)), dict(ts=[13])),
        ("rms_norm", Fn(lambda x: F.rms_norm(x, x.shape[3:])), (x4,), dict(dynamo=[20, 23])),
        ("activations", Fn(activations), (torch.rand(3, 8, generator=g) * 1.8 - 0.9,), dict(dynamo=[20], ts=[14])),
        ("norms", Fn(norms, w=param(8), b=param(8)), (x4,), dict(dynamo=[18, 21, 23], ts=[17])),
        ("einsum", Fn(einsums, w=param(8, 2, 3), v=param(8)), (image(2, 5, 8),), dict(dynamo=[20], ts=[13])),
        ("integers", Fn(integers), (torch.randint(-9, 9, (7,), generator=g), torch.randint(1, 9, (7,), generator=g)), dict(dynamo=[20])),
        ("stft", Fn(stft, window=torch.hann_window(16)), (image(2, 64),), dict(dynamo=[20])),
        ("fold", Fn(fold), (image(1, 8, 6, 6),), dict(dynamo=[20])),
        ("shuffles", Fn(lambda x: (F.pixel_shuffle(x, 2), F.pixel_unshuffle(x, 2))), (image(1, 8, 6, 6),), dict(ts=[12])),
        ("sampling", Fn(sampling), (image(2, 4, 7, 8), torch.rand(2, 3, 4, 2, generator=g) * 2.4 - 1.2, torch.tensor([[[1, 0.1, 0.2], [-0.1, 0.8, 0]]] * 2)), dict(dynamo=[20])),
        ("grid_sample", Fn(lambda x, y: F.grid_sample(x, y, align_corners=True)), (image(2, 4, 7, 8), torch.rand(2, 3, 4, 2, generator=g) * 2.4 - 1.2), dict(ts=[16])),
        ("embedding_bag", Fn(lambda i, o, net: net(i, o), net=nn.EmbeddingBag(9, 4)), (i8, torch.tensor([0, 2, 5])), dict(dynamo=[20], ts=[13])),
        ("embedding_tied", Fn(lambda i, e: F.linear(e(i), e.weight), e=nn.Embedding(9, 4)), (i8,), dict(dynamo=[20], ts=[13])),
        ("half", Fn(lambda x, net: net(x), net=nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.Flatten(), nn.Linear(8 * 36, 4), nn.Softmax(1)).half()), (image(1, 3, 8, 8).half(),), dict(dynamo=[20], ts=[13], loose=4e-3)),
        ("bfloat", Fn(lambda x, net: net(x), net=nn.Sequential(nn.Linear(12, 8), nn.LayerNorm(8), nn.SiLU(), nn.Linear(8, 4)).bfloat16()), (image(3, 12).bfloat16(),), dict(dynamo=[20], loose=3e-2, against="torch")),
        ("double", Fn(lambda x, net: net(x), net=nn.Sequential(nn.Linear(12, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 4), nn.Softmax(1)).double()), (image(3, 12).double(),), dict(dynamo=[20], ts=[17])),
        ("preprocess", Fn(lambda x, net: net((x.permute(0, 3, 1, 2).float() / 255 - 0.45) / 0.22), net=nn.Conv2d(3, 4, 3)), (torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8, generator=g),), dict(dynamo=[20], ts=[13])),
        ("empty_and_scalar", Fn(lambda x: (x[:, 8:], x[:0].sum(0), x.sum(), torch.cat([x[:, 8:], x], 1))), (x2,), dict(dynamo=[20], ts=[13])),
    ]
