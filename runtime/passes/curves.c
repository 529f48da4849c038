/* Functions of one variable that exporters write node by node, GELU or x * sigmoid(x), become the
 * operator that they are.
 *
 * There are many ways to write each: which factor comes first, a division by sqrt(2) or a product
 * with its inverse, powers or products. So a group of nodes with one variable and otherwise single
 * numbers is recognised by its values: it is computed, in double, at points where any of the
 * functions differ, and must agree with one of them at all. Such nodes make analytic functions, for
 * which that is as good as a proof, or pieces of polynomials, whose kinks could lie anywhere: those
 * are computed over the whole range of float as well. */
#include <math.h>
#include <string.h>

#include "base/shape.h"
#include "runtime/passes/shaped.h"

/* ---- a group of nodes as a program ---- */

enum { MAX_STEPS = 16, MAX_OPERANDS = 3 };

typedef double curve_fn(const double *in, double a, double b);

typedef struct curve_op {
    const char *name;
    int operands; /* at most; what is left out is NAN */
    bool piecewise;
    double a, b; /* what alpha and beta are when there are no such attributes */
    curve_fn *f;
} curve_op;

/* One operand: a number, or the result of the step `from`; from -1: the variable, -2: the number.
 */
typedef struct curve_operand {
    int from;
    double number;
} curve_operand;

typedef struct curve_step {
    const curve_op *op;
    int value; /* of the graph */
    double a, b;
    curve_operand in[MAX_OPERANDS];
} curve_step;

typedef struct curve {
    int x;
    int count;
    curve_step steps[MAX_STEPS]; /* the last gives the result */
    bool piecewise;
} curve;

static double add_of(const double *in, double a, double b) {
    (void)a, (void)b;
    return in[0] + in[1];
}

static double sub_of(const double *in, double a, double b) {
    (void)a, (void)b;
    return in[0] - in[1];
}

static double mul_of(const double *in, double a, double b) {
    (void)a, (void)b;
    return in[0] * in[1];
}

static double div_of(const double *in, double a, double b) {
    (void)a, (void)b;
    return in[0] / in[1];
}

static double pow_of(const double *in, double a, double b) {
    (void)a, (void)b;
    return pow(in[0], in[1]);
}

static double neg_of(const double *in, double a, double b) {
    (void)a, (void)b;
    return -in[0];
}

static double reciprocal_of(const double *in, double a, double b) {
    (void)a, (void)b;
    return 1 / in[0];
}

static double exp_of(const double *in, double a, double b) {
    (void)a, (void)b;
    return exp(in[0]);
}

static double log_of(const double *in, double a, double b) {
    (void)a, (void)b;
    return log(in[0]);
}

static double erf_of(const double *in, double a, double b) {
    (void)a, (void)b;
    return erf(in[0]);
}

static double tanh_of(const double *in, double a, double b) {
    (void)a, (void)b;
    return tanh(in[0]);
}

static double sigmoid_of(const double *in, double a, double b) {
    (void)a, (void)b;
    return 1 / (1 + exp(-in[0]));
}

static double softplus_of(const double *in, double a, double b) {
    (void)a, (void)b;
    return in[0] > 0 ? in[0] + log1p(exp(-in[0])) : log1p(exp(in[0]));
}

static double clamp_of(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

static double clip_of(const double *in, double a, double b) {
    return clamp_of(in[0], isnan(in[1]) ? a : in[1], isnan(in[2]) ? b : in[2]);
}

static double relu_of(const double *in, double a, double b) {
    (void)a, (void)b;
    return in[0] < 0 ? 0 : in[0];
}

static double max_of(const double *in, double a, double b) {
    (void)a, (void)b;
    return in[0] > in[1] ? in[0] : in[1];
}

static double min_of(const double *in, double a, double b) {
    (void)a, (void)b;
    return in[0] < in[1] ? in[0] : in[1];
}

static double hardsigmoid_of(const double *in, double a, double b) {
    return clamp_of(a * in[0] + b, 0, 1);
}

/* clang-format off */
static const curve_op curve_ops[] = {
    {.name = "Add", .operands = 2, .f = add_of},
    {.name = "Clip", .operands = 3, .piecewise = true, .a = -INFINITY, .b = INFINITY, .f = clip_of},
    {.name = "Div", .operands = 2, .f = div_of},
    {.name = "Erf", .operands = 1, .f = erf_of},
    {.name = "Exp", .operands = 1, .f = exp_of},
    {.name = "HardSigmoid", .operands = 1, .piecewise = true, .a = 0.2f, .b = 0.5, .f = hardsigmoid_of},
    {.name = "Log", .operands = 1, .f = log_of},
    {.name = "Max", .operands = 2, .piecewise = true, .f = max_of},
    {.name = "Min", .operands = 2, .piecewise = true, .f = min_of},
    {.name = "Mul", .operands = 2, .f = mul_of},
    {.name = "Neg", .operands = 1, .f = neg_of},
    {.name = "Pow", .operands = 2, .f = pow_of},
    {.name = "Reciprocal", .operands = 1, .f = reciprocal_of},
    {.name = "Relu", .operands = 1, .piecewise = true, .f = relu_of},
    {.name = "Sigmoid", .operands = 1, .f = sigmoid_of},
    {.name = "Softplus", .operands = 1, .f = softplus_of},
    {.name = "Sub", .operands = 2, .f = sub_of},
    {.name = "Tanh", .operands = 1, .f = tanh_of},
};
/* clang-format on */

static const curve_op *curve_op_of(const cop_node *node) {
    for (size_t i = 0; i < sizeof curve_ops / sizeof curve_ops[0]; i++) {
        if (cop_is_op(node, curve_ops[i].name))
            return node->output_count == 1 && node->input_count <= curve_ops[i].operands
                       ? &curve_ops[i]
                       : NULL;
    }
    return NULL;
}

/* ---- building it ---- */

/* Names that the two parameters have: bounds of a Clip before opset 11, factors elsewhere. */
static bool read_parameters(const cop_node *node, curve_step *step) {
    bool clip = cop_is_op(node, "Clip");
    float a, b;
    if (cop_node_float(node, clip ? "min" : "alpha", (float)step->op->a, &a, NULL) ||
        cop_node_float(node, clip ? "max" : "beta", (float)step->op->b, &b, NULL))
        return false;
    step->a = (double)a;
    step->b = (double)b;
    return true;
}

static bool build_step(const cop_shaped *p, int value, const coppice_tensor *shape, curve *c);

static bool build_operand(const cop_shaped *p, int value, const coppice_tensor *shape, curve *c,
                          curve_operand *out) {
    const coppice_tensor *t = cop_known(p, value);
    if (value == c->x) {
        out->from = -1;
        return true;
    }
    if (cop_scalar(p, value, &out->number) && t->rank <= shape->rank) {
        out->from = -2;
        return true;
    }
    for (int i = 0; i < c->count; i++) {
        if (c->steps[i].value == value) {
            out->from = i;
            return true;
        }
    }
    if (!build_step(p, value, shape, c))
        return false;
    out->from = c->count - 1;
    return true;
}

/* Steps that make `value` out of c->x. Every value on the way has the shape of the result. */
static bool build_step(const cop_shaped *p, int value, const coppice_tensor *shape, curve *c) {
    const coppice_tensor *t = cop_variable(p, value);
    const cop_node *node = cop_producer(p, value);
    const curve_op *op = node ? curve_op_of(node) : NULL;
    if (!op || !t || t->type != COPPICE_TYPE_FLOAT || !cop_same_shape(t, shape))
        return false;
    curve_step step = {.op = op, .value = value};
    if (!read_parameters(node, &step))
        return false;
    for (int i = 0; i < MAX_OPERANDS; i++) {
        step.in[i] = (curve_operand){.from = -2, .number = NAN};
        if (i < node->input_count && node->inputs[i] >= 0 &&
            !build_operand(p, node->inputs[i], shape, c, &step.in[i]))
            return false;
    }
    if (c->count == MAX_STEPS)
        return false;
    c->piecewise |= op->piecewise;
    c->steps[c->count++] = step;
    return true;
}

/* Nothing but the group itself reads what is between x and the result. */
static bool is_closed(const cop_shaped *p, const curve *c) {
    for (int s = 0; s + 1 < c->count; s++) {
        int reads = 0;
        for (int r = s + 1; r < c->count; r++) {
            for (int i = 0; i < MAX_OPERANDS; i++)
                reads += c->steps[r].in[i].from == s;
        }
        if (reads != p->counts[c->steps[s].value])
            return false;
    }
    return true;
}

static double curve_at(const curve *c, double x) {
    double values[MAX_STEPS];
    for (int s = 0; s < c->count; s++) {
        double in[MAX_OPERANDS];
        for (int i = 0; i < MAX_OPERANDS; i++) {
            const curve_operand *o = &c->steps[s].in[i];
            in[i] = o->from == -1 ? x : o->from == -2 ? o->number : values[o->from];
        }
        values[s] = c->steps[s].op->f(in, c->steps[s].a, c->steps[s].b);
    }
    return values[c->count - 1];
}

/* ---- what it may be ---- */

static double gelu(double x, double a, double b) {
    (void)a, (void)b;
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static double gelu_tanh(double x, double a, double b) {
    (void)a, (void)b;
    return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}

static double swish(double x, double a, double b) {
    (void)b;
    return x / (1 + exp(-a * x));
}

static double hardsigmoid(double x, double a, double b) {
    return hardsigmoid_of(&x, a, b);
}

static double hardswish(double x, double a, double b) {
    (void)a, (void)b;
    return x * clamp_of(x / 6 + 0.5, 0, 1);
}

static double mish(double x, double a, double b) {
    (void)a, (void)b;
    return x * tanh(softplus_of(&x, 0, 0));
}

static double softplus(double x, double a, double b) {
    return softplus_of(&x, a, b);
}

static double sigmoid(double x, double a, double b) {
    return sigmoid_of(&x, a, b);
}

typedef struct named_curve {
    const char *op;
    int64_t opset;
    const char *text, *text_value; /* a string attribute, or NULL */
    bool parameters;               /* a and b are the attributes alpha and beta */
    double a, b;
    double (*f)(double x, double a, double b);
} named_curve;

/* Swish has one parameter: b is not written. */
/* clang-format off */
static const named_curve named_curves[] = {
    {"Gelu", 20, "approximate", "none", false, 0, 0, gelu},
    {"Gelu", 20, "approximate", "tanh", false, 0, 0, gelu_tanh},
    {"Swish", 24, NULL, NULL, true, 1, NAN, swish},
    {"Swish", 24, NULL, NULL, true, 1.702, NAN, swish},
    {"HardSwish", 14, NULL, NULL, false, 0, 0, hardswish},
    {"Mish", 18, NULL, NULL, false, 0, 0, mish},
    {"HardSigmoid", 6, NULL, NULL, true, 1.0 / 6, 0.5, hardsigmoid},
    {"Softplus", 1, NULL, NULL, false, 0, 0, softplus},
    {"Sigmoid", 6, NULL, NULL, false, 0, 0, sigmoid},
};
/* clang-format on */

static bool agrees_at(const curve *c, const named_curve *named, double x) {
    double y = named->f(x, named->a, named->b);
    double most = fabs(y) > 1 ? fabs(y) : 1;
    return fabs(curve_at(c, x) - y) <= 2e-6 * most; /* constants are rounded to float */
}

static bool agrees(const curve *c, const named_curve *named) {
    static const double points[] = {1,   -1,   0.5, -0.5, 2,   -2,   3,   -3, 0,  0.1, -0.1,
                                    1.5, -1.5, 2.5, -2.5, 3.5, -3.5, 4,   -4, 5,  -5,  6,
                                    -6,  8,    -8,  12,   -12, 20,   -20, 50, -50};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        if (!agrees_at(c, named, points[i]))
            return false;
    }
    for (double x = 100; c->piecewise && x < 1e38; x *= 100) {
        if (!agrees_at(c, named, x) || !agrees_at(c, named, -x))
            return false;
    }
    return true;
}

static const named_curve *name_of(const curve *c) {
    for (size_t i = 0; i < sizeof named_curves / sizeof named_curves[0]; i++) {
        if (agrees(c, &named_curves[i]))
            return &named_curves[i];
    }
    return NULL;
}

/* ---- the pass ---- */

/* Values that `value` is made of by such nodes: what may be the variable. Nearest first. */
static int list_sources(const cop_shaped *p, int value, int *sources) {
    int count = 0, done = 0;
    for (int v = value; v >= 0; v = done < count ? sources[done++] : -1) {
        const cop_node *node = cop_producer(p, v);
        if (!node || !curve_op_of(node))
            continue;
        for (int i = 0; i < node->input_count && count < MAX_STEPS; i++) {
            bool there = !cop_variable(p, node->inputs[i]);
            for (int k = 0; k < count; k++)
                there |= sources[k] == node->inputs[i];
            if (!there)
                sources[count++] = node->inputs[i];
        }
    }
    return count;
}

static coppice_status become_curve(cop_shaped *p, cop_node *node, const curve *c,
                                   const named_curve *named) {
    bool ok = cop_become(p, node, named->op, named->opset, &c->x, 1);
    if (ok && named->text)
        ok = cop_node_set_attr_string(p->graph, node, named->text, named->text_value);
    if (ok && named->parameters)
        ok = cop_node_set_attr_float(p->graph, node, "alpha", (float)named->a);
    if (ok && named->parameters && !isnan(named->b))
        ok = cop_node_set_attr_float(p->graph, node, "beta", (float)named->b);
    return ok ? COPPICE_OK : cop_fail_memory(p->err, sizeof *node);
}

static bool may_end(const cop_node *node) {
    static const char *const ops[] = {"Mul", "Div", "Clip", "Log", "Reciprocal", NULL};
    return cop_is_one_of(node, ops) && node->output_count == 1 && node->outputs[0] >= 0;
}

static coppice_status name_curve(cop_shaped *p, size_t index) {
    cop_node *node = &p->graph->nodes[index];
    int sources[MAX_STEPS], value = node->outputs[0];
    const coppice_tensor *shape = cop_variable(p, value);
    for (int i = shape ? list_sources(p, value, sources) - 1 : -1; i >= 0; i--) {
        curve c = {.x = sources[i]};
        const coppice_tensor *x = cop_known(p, c.x);
        if (!cop_same_shape(x, shape) || x->type != COPPICE_TYPE_FLOAT ||
            !cop_same_narrow(p, c.x, value) || !build_step(p, value, shape, &c) || c.count < 2)
            continue;
        const named_curve *named = name_of(&c);
        if (named && is_closed(p, &c))
            return become_curve(p, node, &c, named);
    }
    return COPPICE_OK;
}

coppice_status cop_pass_curves(cop_shaped *p) {
    for (size_t n = 0; n < p->node_count; n++) {
        if (may_end(&p->graph->nodes[n]))
            COP_TRY(name_curve(p, n));
    }
    return COPPICE_OK;
}
