"""Sub-graphs, sequences and shapes that depend on data give what ONNX Runtime gives."""
import functools

import numpy as np
import onnx
import onnx.parser

import harness

HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'


def floats(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


# (name, graph, inputs of each run)
CASES = [
    ("if reads two levels up", """g (float[N] x, bool c) => (float[M] y) {
        w = Constant<value = float[3] {1, 2, 3}>()
        a = Neg(x)
        y = If(c) <
            then_branch = t () => (float[M] r) { b = Mul(a, w)
                r = If(c) <then_branch = tt () => (float[M] rr) { rr = Add(b, a) },
                           else_branch = te () => (float[M] rs) { rs = Sub(b, a) }> },
            else_branch = e () => (float[M] q) { q = Concat<axis = 0>(a, w, x) }> }""",
     [{"x": floats(3), "c": np.array(c)} for c in (True, False, True)]),
    ("if gives what is around it", """g (float[3] x, bool c) => (float[M] y) {
        a = Relu(x)
        y = If(c) <then_branch = t () => (float[3] r) { r = Identity(a) },
                   else_branch = e () => (float[3] s) { s = Identity(x) }> }""",
     [{"x": floats(3), "c": np.array(c)} for c in (True, False)]),
    ("loop with a growing state", """g (float[2] x, int64 n) => (float[K] y, float[n,2] z) {
        t = Constant<value = bool {1}>()
        y, z = Loop(n, t, x) <body = b (int64 i, bool go, float[K] s) => (bool on, float[L] r, float[2] p) {
            on = Identity(go)
            r = Concat<axis = 0>(s, x)
            f = Cast<to = 1>(i)
            p = Add(x, f) }> }""",
     [{"x": floats(2), "n": np.array(n, np.int64)} for n in (1, 9, 2)]),
    ("loop until a condition", """g (float x, float limit) => (float y, float[K] z) {
        m = Constant<value = int64 {1000}>()
        t = Constant<value = bool {1}>()
        y, z = Loop(m, t, x) <body = b (int64 i, bool go, float s) => (bool on, float r, float p) {
            r = Mul(s, s)
            on = Less(r, limit)
            p = Identity(s) }> }""",
     [{"x": np.array(v, np.float32), "limit": np.array(50, np.float32)} for v in (2, 1.5, 9)]),
    ("loops in loops", """g (float[3] x, int64 n) => (float[3] y) {
        t = Constant<value = bool {1}>()
        w = Constant<value = float[3] {0.5, -1, 2}>()
        y = Loop(n, t, x) <body = b (int64 i, bool go, float[3] s) => (bool on, float[3] r) {
            on = Identity(go)
            v = Mul(s, w)
            r = Loop(i, go, s) <body = c (int64 j, bool go2, float[3] s2) => (bool on2, float[3] r2) {
                on2 = Identity(go2)
                u = Add(s2, v)
                r2 = Sub(u, x) }> }> }""",
     [{"x": floats(3), "n": np.array(n, np.int64)} for n in (0, 1, 4)]),
    ("loop with layers", """g (float[1,4,H,W] x, int64 n) => (float[1,4,H,W] y) {
        t = Constant<value = bool {1}>()
        k = ConstantOfShape<value = float[1] {0.05}>(d)
        y = Loop(n, t, x) <body = b (int64 i, bool go, float[1,4,H,W] s) => (bool on, float[1,4,H,W] r) {
            on = Identity(go)
            c = Conv<pads = [1, 1, 1, 1]>(s, k)
            r = Relu(c) }> }""".replace("k = Const", "d = Constant<value = int64[4] {4, 4, 3, 3}>()\n        k = Const"),
     [{"x": floats(1, 4, h, w), "n": np.array(n, np.int64)} for h, w, n in ((5, 6, 2), (9, 4, 3), (5, 6, 1))]),
    ("loop that collects a sequence", """g (float[2] x, int64 n) => (float[K] y, int64 length) {
        t = Constant<value = bool {1}>()
        e = SequenceEmpty()
        s = Loop(n, t, e) <body = b (int64 i, bool go, seq(float[2]) q) => (bool on, seq(float[2]) r) {
            on = Identity(go)
            f = Cast<to = 1>(i)
            p = Add(x, f)
            r = SequenceInsert(q, p) }>
        y = ConcatFromSequence<axis = 0>(s)
        length = SequenceLength(s) }""",
     [{"x": floats(2), "n": np.array(n, np.int64)} for n in (1, 3)]),
    ("scan along other axes", """g (float[2] s, float[3,5,2] x) => (float[2] t, float[3,5] y, float[2,5] z) {
        t, y, z = Scan(s, x) <num_scan_inputs = 1, scan_input_axes = [1], scan_input_directions = [1],
                scan_output_axes = [1, -1], scan_output_directions = [0, 1],
                body = b (float[2] a, float[3,2] p) => (float[2] r, float[3] q, float[2] o) {
            m = ReduceMean<axes = [0], keepdims = 0>(p)
            r = Add(a, m)
            q = ReduceSum(p, axis)
            o = Neg(r) }> }""".replace("t, y, z = Scan", "axis = Constant<value = int64[1] {1}>()\n        t, y, z = Scan")
     .replace("q = ReduceSum(", "q = ReduceSum<keepdims = 0>("),
     [{"s": floats(2), "x": floats(3, 5, 2)}]),
    ("shapes from data", """g (float[N] x) => (float[K] y, float[A,B] z, int64[1] c) {
        zero = Constant<value = float {0}>()
        one = Constant<value = int64[1] {-1}>()
        m = Greater(x, zero)
        i = NonZero(m)
        f = Reshape(i, one)
        y = Gather(x, f)
        c = Shape(y)
        two = Constant<value = int64[1] {2}>()
        s = Concat<axis = 0>(two, c)
        e = Expand(y, s)
        z = Softmax(e) }""",
     [{"x": floats(n)} for n in (7, 12, 7)] + [{"x": -np.abs(floats(4))}]),
    ("products behind unknown shapes", """g (float[N,8] x) => (float[K,5] y, float[K,5] z) {
        zero = Constant<value = float {0}>()
        one = Constant<value = int64[1] {-1}>()
        w = RandomW(x)
        first = ReduceMax<axes = [1], keepdims = 0>(x)
        m = Greater(first, zero)
        k = Compress<axis = 0>(x, m)
        y = MatMul(k, w)
        b = Constant<value = float[5] {1, 2, 3, 4, 5}>()
        z = Gemm(k, w, b) }""".replace("w = RandomW(x)", "w = Constant<value = float[8,5] {%s}>()" % ", ".join(
            str((i * 7 % 11) / 8 - 0.5) for i in range(40))),
     [{"x": floats(n, 8)} for n in (6, 11, 6, 1)]),
    ("in float16", """g (float16[3] x, int64 n) => (float16[3] y, float16[n,3] z) {
        t = Constant<value = bool {1}>()
        y, z = Loop(n, t, x) <body = b (int64 i, bool go, float16[3] s) => (bool on, float16[3] r, float16[3] p) {
            on = Identity(go)
            r = Add(s, x)
            p = Neg(r) }> }""",
     [{"x": np.array([1, 2, -3], np.float16), "n": np.array(n, np.int64)} for n in (3, 0)]),
]


def check(graph, runs, context):
    model = onnx.parser.parse_model(HEAD + graph)
    path = context.folder / "model.onnx"
    onnx.save(model, path)
    for inputs in runs:
        harness.assert_all_close(context.run(path, inputs), harness.ort_run(path, inputs), "control")


def tests():
    for name, graph, runs in CASES:
        yield f"control {name}", functools.partial(check, graph, runs)
