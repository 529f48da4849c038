/* Tests of operators over sequences - recurrent networks, attention, signals, optimizers - and of
 * matrix products: what they refuse. That they compute the right thing is tested with ONNX's own
 * tests and ONNX Runtime. */
#include "runtime/ops/util.h"
#include "small_graph.h"
#include "unit.h"

enum { MOST = 9 };

/* An input: floats (weights), or a list of int64; left out when rank is -1 (NONE). */
typedef struct given {
    int rank; /* 0: a scalar of dims[0] as int64 when `ints` */
    int64_t dims[4];
    bool ints;
} given;

#define F(...)                                                                                     \
    { (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), {__VA_ARGS__}, false }
#define I(...)                                                                                     \
    { (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), {__VA_ARGS__}, true }
#define SCALAR_INT(x)                                                                              \
    { 0, {x}, true }
#define SCALAR_FLOAT                                                                               \
    { 0, {0}, false }
#define NONE                                                                                       \
    { -1, {0}, false }

typedef struct bad_case {
    const char *op;
    int64_t opset;
    int count;
    given inputs[MOST];
    const char *attr; /* NULL: none */
    int64_t value;
    const char *text; /* a string attribute */
    const char *message;
} bad_case;

static int make_input(const given *g, int index) {
    char name[8];
    snprintf(name, sizeof name, "x%d", index);
    if (g->rank < 0)
        return -1;
    if (!g->ints)
        return small_weights(name, (uint32_t)g->rank, g->dims);
    if (g->rank == 0)
        return small_constant(name, COPPICE_TYPE_INT64, 0, NULL, g->dims);
    return small_ints(name, g->rank, g->dims);
}

static void add_names_attr(const char *name, size_t count, const char *text) {
    small_attr(name, 0);
    cop_attr *attr = &small_last()->attrs[small_last()->attr_count - 1];
    cop_string *list = cop_arena_array(&small_arena, count, sizeof *list);
    for (size_t i = 0; i < count; i++)
        list[i] = (cop_string){text, strlen(text)};
    attr->kind = COP_ATTR_STRINGS;
    attr->count = count;
    attr->strings = list;
}

static void build(const bad_case *c) {
    int inputs[MOST];
    small_begin(c->opset);
    for (int i = 0; i < c->count; i++)
        inputs[i] = make_input(&c->inputs[i], i);
    int out = cop_graph_value(small_graph, "y");
    small_graph->values[out].rank = -1;
    cop_node *node = cop_graph_add_node(small_graph, c->op, c->count, 1, 0);
    memcpy(node->inputs, inputs, (size_t)c->count * sizeof *inputs);
    node->outputs[0] = out;
    if (c->attr && c->text)
        small_attr_string(c->attr, c->text);
    else if (c->attr)
        small_attr(c->attr, c->value);
}

static void check_cases(const bad_case *cases, size_t count, coppice_status status) {
    for (size_t i = 0; i < count; i++) {
        build(&cases[i]);
        small_refused(status, cases[i].message);
    }
}

#define CHECK(cases, status) check_cases(cases, sizeof cases / sizeof cases[0], status)

/* ---- recurrent networks ---- */

#define LSTM_WEIGHTS F(1, 12, 4), F(1, 12, 3)

START_TEST(recurrent_networks_refuse_shapes_that_do_not_fit) {
    static const bad_case cases[] = {
        {"LSTM", 14, 3, {F(5, 2), LSTM_WEIGHTS}, NULL, 0, NULL, "is [5,2], expected 3 dimensions"},
        {"LSTM",
         14,
         3,
         {F(5, 2, 4), F(1, 9, 4), F(1, 12, 3)},
         NULL,
         0,
         NULL,
         "input 1 ('x1') is [1,9,4], expected [1,12,4]"},
        {"LSTM",
         14,
         3,
         {F(5, 2, 4), F(1, 12, 5), F(1, 12, 3)},
         NULL,
         0,
         NULL,
         "input 1 ('x1') is [1,12,5], expected [1,12,4]"},
        {"LSTM",
         14,
         3,
         {F(5, 2, 4), F(1, 12, 4), F(2, 12, 3)},
         NULL,
         0,
         NULL,
         "input 2 ('x2') is [2,12,3], expected [1,12,3]"},
        {"LSTM",
         14,
         4,
         {F(5, 2, 4), LSTM_WEIGHTS, F(1, 12)},
         NULL,
         0,
         NULL,
         "input 3 ('x3') is [1,12], expected [1,24]"},
        {"LSTM",
         14,
         6,
         {F(5, 2, 4), LSTM_WEIGHTS, NONE, NONE, F(2, 1, 3)},
         NULL,
         0,
         NULL,
         "input 5 ('x5') is [2,1,3], expected [1,2,3]"},
        {"LSTM",
         14,
         6,
         {F(2, 5, 4), LSTM_WEIGHTS, NONE, NONE, F(1, 2, 3)},
         "layout",
         1,
         NULL,
         "input 5 ('x5') is [1,2,3], expected [2,1,3]"},
        {"LSTM",
         14,
         7,
         {F(5, 2, 4), LSTM_WEIGHTS, NONE, NONE, NONE, F(1, 2, 4)},
         NULL,
         0,
         NULL,
         "input 6 ('x6') is [1,2,4], expected [1,2,3]"},
        {"LSTM",
         14,
         8,
         {F(5, 2, 4), LSTM_WEIGHTS, NONE, NONE, NONE, NONE, F(1, 12)},
         NULL,
         0,
         NULL,
         "input 7 ('x7') is [1,12], expected [1,9]"},
        {"LSTM",
         14,
         5,
         {F(5, 2, 4), LSTM_WEIGHTS, NONE, I(5)},
         NULL,
         0,
         NULL,
         "sequence_lens 'x4' is [1], expected [2]"},
        {"LSTM",
         14,
         5,
         {F(5, 2, 4), LSTM_WEIGHTS, NONE, F(2)},
         NULL,
         0,
         NULL,
         "input 4 ('x4') has type float32"},
        {"LSTM",
         14,
         3,
         {F(5, 2, 4), LSTM_WEIGHTS},
         "hidden_size",
         4,
         NULL,
         "attribute hidden_size is 4, 'x2' is [1,12,3]"},
        {"LSTM",
         14,
         3,
         {F(5, 2, 4), LSTM_WEIGHTS},
         "direction",
         0,
         "bidirectional",
         "input 1 ('x1') is [1,12,4], expected [2,12,4]"},
        {"GRU", 14, 3, {F(5, 2, 4), F(1, 6, 4), F(1, 6, 3)}, NULL, 0, NULL, "expected [1,9,4]"},
        {"RNN", 14, 3, {F(5, 2, 4), F(1, 3, 4), F(1, 3, 0)}, NULL, 0, NULL, "hidden size"},
    };
    CHECK(cases, COPPICE_BAD_MODEL);
}
END_TEST

START_TEST(recurrent_networks_refuse_attributes_that_make_no_sense) {
    static const bad_case cases[] = {
        {"LSTM",
         14,
         3,
         {F(5, 2, 4), LSTM_WEIGHTS},
         "direction",
         0,
         "backward",
         "direction is 'backward', expected forward, reverse or bidirectional"},
        {"LSTM", 14, 3, {F(5, 2, 4), LSTM_WEIGHTS}, "layout", 2, NULL, "layout"},
        {"LSTM", 14, 3, {F(5, 2, 4), LSTM_WEIGHTS}, "activations", 7, NULL, "activations"},
        {"LSTM",
         14,
         3,
         {F(5, 2, 4), LSTM_WEIGHTS},
         "activation_alpha",
         7,
         NULL,
         "activation_alpha"},
    };
    CHECK(cases, COPPICE_BAD_MODEL);
    bad_case plain = {"LSTM", 14, 3, {F(5, 2, 4), LSTM_WEIGHTS}, NULL, 0, NULL, NULL};
    build(&plain);
    add_names_attr("activations", 3, "Sigmoidal");
    small_refused(COPPICE_BAD_MODEL, "unknown function 'Sigmoidal'; there are Affine");
    build(&plain);
    add_names_attr("activations", 2, "Tanh");
    small_refused(COPPICE_BAD_MODEL, "activations has 2 entries, expected 3 names");
    build(&plain);
    small_attr_float("clip", -1);
    small_refused(COPPICE_BAD_MODEL, "clip is -1, expected 0 or more");
}
END_TEST

START_TEST(sequence_lengths_must_be_within_the_sequence) {
    static const bad_case cases[] = {
        {"LSTM",
         14,
         5,
         {F(5, 2, 4), LSTM_WEIGHTS, NONE, I(5, 6)},
         NULL,
         0,
         NULL,
         "sequence_lens 'x4' has 6 at 1, the sequences have 5 steps"},
        {"GRU",
         14,
         5,
         {F(5, 2, 4), F(1, 9, 4), F(1, 9, 3), NONE, I(-1, 2)},
         NULL,
         0,
         NULL,
         "has -1 at 0"},
        {"RNN",
         14,
         5,
         {F(5, 1, 4), F(1, 3, 4), F(1, 3, 3), NONE, I(INT64_MAX)},
         NULL,
         0,
         NULL,
         "has 9223372036854775807 at 0"},
    };
    CHECK(cases, COPPICE_BAD_DATA);
}
END_TEST

/* ---- attention ---- */

#define QKV4 F(2, 4, 3, 8), F(2, 2, 5, 8), F(2, 2, 5, 6)

START_TEST(attention_refuses_what_does_not_fit) {
    static const bad_case cases[] = {
        {"Attention", 23, 3, {F(2, 3), F(2, 3), F(2, 3)}, NULL, 0, NULL, "expected 3 dimensions"},
        {"Attention",
         23,
         3,
         {F(2, 3, 8), F(2, 3, 8), F(2, 3, 8)},
         NULL,
         0,
         NULL,
         "does not divide into 0 heads"},
        {"Attention",
         23,
         3,
         {F(2, 3, 8), F(2, 3, 8), F(2, 3, 8)},
         "q_num_heads",
         3,
         NULL,
         "'x0' is [2,3,8], which does not divide into 3 heads"},
        {"Attention", 23, 3, {QKV4}, "q_num_heads", -4, NULL, "less than none"},
        {"Attention", 23, 3, {QKV4}, "is_causal", -2, NULL, "'is_causal' is -2, expected 0 or 1"},
        {"Attention", 23, 3, {QKV4}, "kv_num_heads", 4, NULL, "attributes say 4 heads"},
        {"Attention",
         23,
         3,
         {F(2, 3, 3, 8), F(2, 2, 5, 8), F(2, 2, 5, 6)},
         NULL,
         0,
         NULL,
         "3 heads of queries do not divide among 2 heads of keys"},
        {"Attention",
         23,
         3,
         {F(2, 4, 3, 8), F(2, 0, 5, 8), F(2, 0, 5, 6)},
         NULL,
         0,
         NULL,
         "do not divide among 0 heads"},
        {"Attention",
         23,
         3,
         {F(2, 4, 3, 8), F(2, 2, 5, 7), F(2, 2, 5, 6)},
         NULL,
         0,
         NULL,
         "do not fit"},
        {"Attention",
         23,
         3,
         {F(2, 4, 3, 8), F(2, 2, 5, 8), F(2, 2, 4, 6)},
         NULL,
         0,
         NULL,
         "do not fit"},
        {"Attention",
         23,
         3,
         {F(2, 4, 3, 8), F(2, 2, 5, 8), F(1, 2, 5, 6)},
         NULL,
         0,
         NULL,
         "do not fit"},
        {"Attention",
         23,
         4,
         {QKV4, F(3, 4)},
         NULL,
         0,
         NULL,
         "the mask 'x3' is [3,4], the scores are [2, 4, 3, 5]"},
        {"Attention", 24, 4, {QKV4, F(3, 6)}, NULL, 0, NULL, "the mask 'x3' is [3,6]"},
        {"Attention", 24, 4, {QKV4, I(1, 1, 1, 1)}, NULL, 0, NULL, "has type int64"},
        {"Attention", 23, 5, {QKV4, NONE, F(2, 2, 1, 8)}, NULL, 0, NULL, "given together"},
        {"Attention",
         23,
         6,
         {QKV4, NONE, F(2, 2, 1, 8), F(2, 2, 2, 6)},
         NULL,
         0,
         NULL,
         "past keys and values have 1 and 2 rows"},
        {"Attention",
         23,
         6,
         {QKV4, NONE, F(2, 2, 1, 7), F(2, 2, 1, 6)},
         NULL,
         0,
         NULL,
         "'x4' is [2,2,1,7], expected [2, 2, past, 8]"},
        {"Attention",
         24,
         7,
         {QKV4, NONE, NONE, NONE, I(1)},
         NULL,
         0,
         NULL,
         "nonpad_kv_seqlen 'x6' is [1], expected [2]"},
        {"Attention",
         24,
         7,
         {QKV4, NONE, F(2, 2, 1, 8), F(2, 2, 1, 6), I(1, 1)},
         NULL,
         0,
         NULL,
         "no past keys"},
        {"Attention", 23, 3, {QKV4}, "qk_matmul_output_mode", 4, NULL, "is 4, expected 0 to 3"},
        {"Attention", 23, 3, {QKV4}, "softmax_precision", 7, NULL, "is no float type"},
        {"Attention", 25, 3, {QKV4}, "left_window_size", -2, NULL, "expected -1 or more"},
    };
    CHECK(cases, COPPICE_BAD_MODEL);
    static const bad_case values[] = {
        {"Attention",
         24,
         7,
         {QKV4, NONE, NONE, NONE, I(5, 6)},
         NULL,
         0,
         NULL,
         "nonpad_kv_seqlen 'x6' has 6 at 1, there are 5 keys"},
        {"Attention", 24, 7, {QKV4, NONE, NONE, NONE, I(-1, 1)}, NULL, 0, NULL, "has -1 at 0"},
    };
    CHECK(values, COPPICE_BAD_DATA);
}
END_TEST

START_TEST(embeddings_and_states_refuse_what_does_not_fit) {
    static const bad_case cases[] = {
        {"RotaryEmbedding",
         23,
         3,
         {F(2, 3, 8), F(2, 3, 4), F(2, 3, 4)},
         NULL,
         0,
         NULL,
         "does not divide into num_heads 0"},
        {"RotaryEmbedding",
         23,
         3,
         {F(2, 4, 3, 8), F(2, 3, 3), F(2, 3, 4)},
         NULL,
         0,
         NULL,
         "'x1' is [2,3,3], which does not fit"},
        {"RotaryEmbedding",
         23,
         3,
         {F(2, 4, 3, 7), F(2, 3, 3), F(2, 3, 3)},
         NULL,
         0,
         NULL,
         "expected an even number"},
        {"RotaryEmbedding",
         23,
         3,
         {F(2, 4, 3, 8), F(2, 3, 5), F(2, 3, 5)},
         "rotary_embedding_dim",
         10,
         NULL,
         "10 of 8 elements"},
        {"LinearAttention",
         27,
         3,
         {F(2, 3, 8), F(2, 3, 8), F(2, 3, 8)},
         NULL,
         0,
         NULL,
         "no multiple of kv_num_heads 0"},
        {"CausalConvWithState",
         27,
         2,
         {F(2, 3, 8), F(4, 1, 2)},
         NULL,
         0,
         NULL,
         "weight 'x1' is [4,1,2], expected [3, 1, k]"},
        {"CausalConvWithState",
         27,
         2,
         {F(2, 3, 8), F(3, 1, 0)},
         NULL,
         0,
         NULL,
         "expected [3, 1, k]"},
        {"CausalConvWithState",
         27,
         4,
         {F(2, 3, 8), F(3, 1, 4), NONE, F(2, 3, 4)},
         NULL,
         0,
         NULL,
         "past_state 'x3' is [2,3,4], expected [2,3,3]"},
        {"CausalConvWithState",
         27,
         2,
         {F(2, 3, 8), F(3, 1, 4)},
         "activation",
         0,
         "relu",
         "activation is 'relu'"},
    };
    CHECK(cases, COPPICE_BAD_MODEL);
    small_begin(23);
    int ids = small_constant("ids", COPPICE_TYPE_INT64, DIMS(1, 2), (int64_t[]){0, 7});
    small_node("RotaryEmbedding", 4, small_weights("x", DIMS(1, 4, 2, 8)),
               small_weights("c", DIMS(7, 4)), small_weights("s", DIMS(7, 4)), ids);
    small_refused(COPPICE_BAD_DATA, "'ids' has position 7 at 1, there are 7");
}
END_TEST

/* ---- signals ---- */

START_TEST(transforms_refuse_what_makes_no_sense) {
    static const bad_case cases[] = {
        {"DFT", 17, 1, {F(2, 8, 3)}, NULL, 0, NULL, "the last of 1 (real) or 2 (complex)"},
        {"DFT", 17, 1, {F(2, 8, 1)}, "axis", 2, NULL, "that of real and imaginary parts"},
        {"DFT", 17, 1, {F(2, 8, 1)}, "axis", 3, NULL, "axis 3 is not within 3 dimensions"},
        {"DFT", 20, 3, {F(2, 8, 1), NONE, SCALAR_INT(-4)}, NULL, 0, NULL, "axis -4 is not within"},
        {"DFT", 20, 3, {F(2, 8, 1), NONE, SCALAR_FLOAT}, NULL, 0, NULL, "expected an integer"},
        {"DFT", 20, 2, {F(2, 8, 1), SCALAR_INT(0)}, NULL, 0, NULL, "dft_length is 0"},
        {"DFT", 20, 2, {F(2, 8, 1), SCALAR_INT(INT64_MIN)}, NULL, 0, NULL, "dft_length is -9223"},
        {"DFT", 20, 2, {F(2, 8, 1), SCALAR_INT(INT64_MAX)}, NULL, 0, NULL, "dft_length is 9223"},
        {"DFT", 20, 1, {F(2, 8, 2)}, "onesided", 1, NULL, "needs real input"},
        {"DFT", 20, 1, {F(2, 0, 1)}, NULL, 0, NULL, "dft_length is 0"},
        {"STFT", 17, 2, {F(1, 8, 1), SCALAR_INT(0)}, NULL, 0, NULL, "frame_step is 0"},
        {"STFT", 17, 2, {F(1, 8, 2), SCALAR_INT(1)}, NULL, 0, NULL, "needs a real signal"},
        {"STFT",
         17,
         4,
         {F(1, 8, 1), SCALAR_INT(1), NONE, SCALAR_INT(9)},
         NULL,
         0,
         NULL,
         "frames of 9 samples do not fit"},
        {"STFT",
         17,
         4,
         {F(1, 8, 1), SCALAR_INT(1), F(3), SCALAR_INT(4)},
         NULL,
         0,
         NULL,
         "frames of 4 samples do not fit"},
        {"HannWindow", 17, 1, {SCALAR_INT(-1)}, NULL, 0, NULL, "size is -1"},
        {"HannWindow", 17, 1, {SCALAR_INT(INT64_MAX)}, NULL, 0, NULL, "size is 9223"},
        {"HannWindow", 17, 1, {SCALAR_INT(4)}, "output_datatype", 8, NULL, "no type of numbers"},
        {"MelWeightMatrix",
         17,
         5,
         {SCALAR_INT(-1), SCALAR_INT(16), SCALAR_INT(8000), SCALAR_INT(0), SCALAR_INT(4000)},
         NULL,
         0,
         NULL,
         "num_mel_bins is -1"},
        {"MelWeightMatrix",
         17,
         5,
         {SCALAR_INT(4), SCALAR_INT(16), SCALAR_INT(0), SCALAR_INT(0), SCALAR_INT(4000)},
         NULL,
         0,
         NULL,
         "sample_rate is 0"},
    };
    CHECK(cases, COPPICE_BAD_MODEL);
    static const bad_case values[] = {
        {"MelWeightMatrix",
         17,
         5,
         {SCALAR_INT(4), SCALAR_INT(16), SCALAR_INT(8000), SCALAR_INT(9), SCALAR_INT(4)},
         NULL,
         0,
         NULL,
         "make no sense"},
    };
    CHECK(values, COPPICE_BAD_DATA);
}
END_TEST

/* Lengths with small factors, with large ones (Bluestein), and 1: there and back again. */
START_TEST(transforms_of_any_length_have_an_inverse) {
    static const int64_t lengths[] = {1, 2, 7, 12, 37, 64, 97, 211, 360, 1009};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        small_begin(17);
        int x = small_weights("x", DIMS(2, lengths[i], 2));
        int there = small_node("DFT", 1, x), back = small_node("DFT", 1, there);
        small_attr("inverse", 1);
        ck_assert_int_eq(small_infer(), COPPICE_OK);
        const float *a = small_graph->values[x].constant->tensor.data;
        const float *b = small_it.shapes.values[back].t.data;
        for (int64_t k = 0; k < 4 * lengths[i]; k++) {
            if (!(b[k] - a[k] < 1e-5f && a[k] - b[k] < 1e-5f))
                ck_abort_msg("length %lld: element %lld is %g, was %g", (long long)lengths[i],
                             (long long)k, (double)b[k], (double)a[k]);
        }
        small_end();
    }
}
END_TEST

/* ---- matrix products ---- */

START_TEST(products_refuse_shapes_and_types_that_do_not_fit) {
    static const bad_case cases[] = {
        {"MatMul", 13, 2, {F(2, 3), F(4, 5)}, NULL, 0, NULL, "cannot be multiplied"},
        {"MatMul", 13, 2, {F(2, 3), SCALAR_FLOAT}, NULL, 0, NULL, "cannot be multiplied"},
        {"MatMul", 13, 2, {F(2, 4, 3), F(3, 3, 5)}, NULL, 0, NULL, "broadcast"},
        {"MatMul", 13, 2, {F(2, 3), I(1, 2, 3)}, NULL, 0, NULL, "has type int64"},
        {"Gemm", 13, 2, {F(2, 3), F(4, 5)}, NULL, 0, NULL, "cannot be multiplied"},
        {"Gemm", 13, 2, {F(2, 3), F(4, 5)}, "transB", 1, NULL, "cannot be multiplied"},
        {"Gemm", 13, 2, {F(2, 3, 4), F(4, 5)}, NULL, 0, NULL, "expected 2 dimensions"},
        {"Gemm", 13, 3, {F(2, 3), F(3, 5), F(3, 5)}, NULL, 0, NULL, "do not broadcast"},
        {"Gemm", 13, 3, {F(2, 3), F(3, 5), F(1, 2, 5)}, NULL, 0, NULL, "the bias 'x2' is [1,2,5]"},
    };
    CHECK(cases, COPPICE_BAD_MODEL);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("ops_attention");
    tcase_add_test(tests, recurrent_networks_refuse_shapes_that_do_not_fit);
    tcase_add_test(tests, recurrent_networks_refuse_attributes_that_make_no_sense);
    tcase_add_test(tests, sequence_lengths_must_be_within_the_sequence);
    tcase_add_test(tests, attention_refuses_what_does_not_fit);
    tcase_add_test(tests, embeddings_and_states_refuse_what_does_not_fit);
    tcase_add_test(tests, transforms_refuse_what_makes_no_sense);
    tcase_add_test(tests, transforms_of_any_length_have_an_inverse);
    tcase_add_test(tests, products_refuse_shapes_and_types_that_do_not_fit);
    return unit_run("ops_attention", tests);
}
