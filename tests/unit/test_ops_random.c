/* Tests of losses and of operators that draw random numbers: distributions, seeds, bad input. */
#include "runtime/ops/util.h"
#include "small_numbers.h"
#include "unit.h"

/* ---- losses ---- */

static int scores(void) {
    float data[] = {1, 2, 3, -1, 0, 1};
    return small_constant("x", COPPICE_TYPE_FLOAT, DIMS(2, 3), data);
}

START_TEST(losses_refuse_labels_and_weights_that_do_not_fit) {
    small_begin(13);
    small_node("NegativeLogLikelihoodLoss", 2, scores(), small_ints("t", LIST(0, 3)));
    small_refused(COPPICE_BAD_DATA, "label 3 of 't' is not within 3 classes");
    small_begin(13);
    small_node("SoftmaxCrossEntropyLoss", 2, scores(), small_ints("t", LIST(-1, 1)));
    small_refused(COPPICE_BAD_DATA, "label -1 of 't' is not within 3 classes");
    small_begin(13);
    small_node("SoftmaxCrossEntropyLoss", 2, scores(), small_ints("t", LIST(0, 1, 2)));
    small_refused(COPPICE_BAD_MODEL, "labels 't' are [3], which does not fit scores [2,3]");
    small_begin(13);
    small_node("NegativeLogLikelihoodLoss", 3, scores(), small_ints("t", LIST(0, 1)),
               floats("w", NUMBERS_OF(1, 1)));
    small_refused(COPPICE_BAD_MODEL, "weights 'w' are float32 [2], expected float32 [3]");
    small_begin(13);
    small_node("NegativeLogLikelihoodLoss", 2, scores(), floats("t", NUMBERS_OF(0, 1)));
    small_refused(COPPICE_BAD_MODEL, "has type float32, which does not fit");
    small_begin(13);
    small_node("NegativeLogLikelihoodLoss", 2, scores(), small_ints("t", LIST(0, 1)));
    small_attr_string("reduction", "max");
    small_refused(COPPICE_BAD_MODEL, "'reduction' is 'max', expected 'none', 'sum' or 'mean'");
}
END_TEST

START_TEST(ignored_labels_count_for_nothing) {
    small_begin(13);
    int y = small_node("NegativeLogLikelihoodLoss", 3, scores(), small_ints("t", LIST(2, -100)),
                       floats("w", NUMBERS_OF(1, 1, 4)));
    small_attr("ignore_index", -100);
    expect_numbers(y, NUMBERS_OF(-3));
    small_begin(13);
    y = small_node("NegativeLogLikelihoodLoss", 2, scores(), small_ints("t", LIST(7, 7)));
    small_attr("ignore_index", 7);
    expect_numbers(y,
                   NUMBERS_OF(NAN)); /* the mean of nothing, as the standard's reference has it */
}
END_TEST

/* ---- random numbers ---- */

/* Runs the graph, whose output 0 is drawn, into `out`. */
static void draw(float *out, size_t count) {
    ck_assert_int_eq(cop_graph_connect(small_graph, &small_error), COPPICE_OK);
    ck_assert_msg(!interpreter_run(&small_it, small_graph, NULL, 0, &small_error), "%s",
                  small_error.message);
    const coppice_tensor *t = &small_it.shapes.values[small_graph->outputs[0]].t;
    ck_assert_uint_eq((size_t)coppice_tensor_count(t), count);
    for (size_t i = 0; i < count; i++)
        out[i] = (float)cop_tensor_get(t, (int64_t)i);
    small_end();
}

enum { DRAWN = 10000 };

static void begin_random(const char *op) {
    small_begin(15);
    small_output(small_node(op, 0));
    small_attr_ints("shape", LIST(100, 100));
}

static void expect_moments(const float *x, double mean, double deviation) {
    double sum = 0, squares = 0;
    for (int i = 0; i < DRAWN; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    sum /= DRAWN;
    ck_assert_double_eq_tol(sum, mean, 0.05 * deviation);
    ck_assert_double_eq_tol(sqrt(squares / DRAWN - sum * sum), deviation, 0.05 * deviation);
}

START_TEST(seeds_say_what_is_drawn) {
    static const char *const ops[] = {"RandomNormal", "RandomUniform"};
    static float a[DRAWN], b[DRAWN];
    for (int i = 0; i < 2; i++) {
        for (int seeded = 0; seeded < 2; seeded++) {
            for (int run = 0; run < 2; run++) {
                begin_random(ops[i]);
                if (seeded)
                    small_attr_float("seed", 2.5f);
                draw(run ? a : b, DRAWN);
            }
            ck_assert_int_eq(memcmp(a, b, sizeof a) == 0, seeded);
        }
    }
}
END_TEST

START_TEST(distributions_have_their_mean_and_deviation) {
    static float x[DRAWN];
    begin_random("RandomNormal");
    small_attr_float("mean", -3);
    small_attr_float("scale", 2);
    small_attr_float("seed", 1);
    small_attr("dtype", COPPICE_TYPE_DOUBLE);
    draw(x, DRAWN);
    expect_moments(x, -3, 2);
    begin_random("RandomUniform");
    small_attr_float("low", -1);
    small_attr_float("high", 3);
    small_attr_float("seed", 1);
    draw(x, DRAWN);
    expect_moments(x, 1, 4 / sqrt(12));
    for (int i = 0; i < DRAWN; i++)
        ck_assert(x[i] >= -1 && x[i] < 3);
}
END_TEST

START_TEST(bernoulli_and_multinomial_follow_probabilities) {
    static float x[DRAWN];
    static double chances[DRAWN];
    for (int i = 0; i < DRAWN; i++)
        chances[i] = 0.25;
    small_begin(15);
    int p = small_constant("p", COPPICE_TYPE_DOUBLE, DIMS(DRAWN), chances);
    small_output(small_node("Bernoulli", 1, p));
    small_attr("dtype", COPPICE_TYPE_BOOL);
    small_attr_float("seed", 1);
    draw(x, DRAWN);
    expect_moments(x, 0.25, sqrt(0.25 * 0.75));
    small_begin(15);
    float logs[] = {0, logf(3.0f), -INFINITY};
    p = small_constant("p", COPPICE_TYPE_FLOAT, DIMS(1, 3), logs);
    small_output(small_node("Multinomial", 1, p));
    small_attr("sample_size", DRAWN);
    small_attr_float("seed", 1);
    draw(x, DRAWN);
    expect_moments(x, 0.75, sqrt(0.25 * 0.75));
}
END_TEST

START_TEST(dropout_in_training_scales_what_it_keeps) {
    static float x[DRAWN], y[DRAWN];
    float quarter = 0.25f, wrong = 1;
    uint8_t yes = 1;
    for (int i = 0; i < DRAWN; i++)
        x[i] = 3;
    small_begin(13);
    int in = small_constant("x", COPPICE_TYPE_FLOAT, DIMS(DRAWN), x);
    int ratio = small_constant("r", COPPICE_TYPE_FLOAT, SCALAR, &quarter);
    int training = small_constant("t", COPPICE_TYPE_BOOL, SCALAR, &yes);
    small_output(small_node("Dropout", 3, in, ratio, training));
    small_attr("seed", 1);
    draw(y, DRAWN);
    for (int i = 0; i < DRAWN; i++)
        ck_assert(y[i] == 0 || y[i] == 4);
    expect_moments(y, 3, sqrt(3));
    small_begin(13);
    in = floats("x", NUMBERS_OF(1));
    ratio = small_constant("r", COPPICE_TYPE_FLOAT, SCALAR, &wrong);
    training = small_constant("t", COPPICE_TYPE_BOOL, SCALAR, &yes);
    small_output(small_node("Dropout", 3, in, ratio, training));
    ck_assert_int_eq(cop_graph_connect(small_graph, &small_error), COPPICE_OK);
    ck_assert_int_eq(interpreter_run(&small_it, small_graph, NULL, 0, &small_error),
                     COPPICE_BAD_DATA);
    ck_assert(strstr(small_error.message, "the ratio 'r' is 1, expected 0 to below 1"));
    small_end();
}
END_TEST

START_TEST(drawing_refuses_what_makes_no_sense) {
    small_begin(15);
    small_node("RandomNormal", 0);
    small_refused(COPPICE_BAD_MODEL, "attribute 'shape' is missing");
    small_begin(15);
    small_node("RandomUniform", 0);
    small_attr_ints("shape", LIST(2, -1));
    small_refused(COPPICE_BAD_MODEL, "attribute 'shape' holds -1");
    small_begin(15);
    small_node("RandomUniform", 0);
    small_attr_ints("shape", LIST(INT64_MAX, INT64_MAX));
    small_refused(COPPICE_LIMIT, "too many elements");
    begin_random("RandomNormal");
    small_attr("dtype", COPPICE_TYPE_INT32);
    small_refused(COPPICE_BAD_MODEL, "numbers of type int32 cannot be drawn");
    begin_random("RandomNormal");
    small_attr("dtype", 99);
    small_refused(COPPICE_BAD_MODEL, "'dtype' is 99, which is no type");
    small_begin(15);
    small_node("RandomNormalLike", 1, small_ints("x", LIST(1, 2)));
    small_refused(COPPICE_BAD_MODEL, "numbers of type int64 cannot be drawn");
    small_begin(15);
    small_node("Multinomial", 1, small_constant("x", COPPICE_TYPE_FLOAT, DIMS(2, 0), ""));
    small_refused(COPPICE_BAD_MODEL, "no classes to draw from in [2,0]");
    small_begin(15);
    small_node("Multinomial", 1, scores());
    small_attr("sample_size", -2);
    small_refused(COPPICE_BAD_MODEL, "'sample_size' is -2");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("ops_random");
    tcase_add_test(tests, losses_refuse_labels_and_weights_that_do_not_fit);
    tcase_add_test(tests, ignored_labels_count_for_nothing);
    tcase_add_test(tests, seeds_say_what_is_drawn);
    tcase_add_test(tests, distributions_have_their_mean_and_deviation);
    tcase_add_test(tests, bernoulli_and_multinomial_follow_probabilities);
    tcase_add_test(tests, dropout_in_training_scales_what_it_keeps);
    tcase_add_test(tests, drawing_refuses_what_makes_no_sense);
    return unit_run("ops_random", tests);
}
