/* Tests of sessions on the shipped digits model: backends agree, inputs are checked, plans are
 * kept. */
#include <check.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <coppice/coppice.h>

#include "digits.h"
#include "tiny_model.h"
#include "unit.h"

enum { CLASSES = 10 };

static coppice_model *model;
static coppice_error err;
static float images[5 * 4096];

static void load(void) {
    model = digits_load();
    for (size_t i = 0; i < sizeof images / sizeof images[0]; i++)
        images[i] = (float)(i * 7919 % 256) / 255;
}

static void unload(void) {
    coppice_model_free(model);
}

/* `batch` images in the shape that the model declares. */
static coppice_tensor input_of(int64_t batch) {
    coppice_value_info info = coppice_model_input(model, 0);
    coppice_tensor t = {.type = info.type, .rank = (uint32_t)info.rank, .data = images};
    for (int i = 0; i < info.rank; i++)
        t.dims[i] = info.dims[i] < 0 ? batch : info.dims[i];
    return t;
}

static coppice_session *make(coppice_backend backend, coppice_sparse_use sparse, unsigned threads) {
    coppice_session_options options;
    coppice_session_options_init(&options);
    options.backend = backend;
    options.sparse = sparse;
    options.tune = COPPICE_TUNE_NONE;
    options.threads = threads;
    coppice_session *session = NULL;
    coppice_status status = coppice_session_create(model, &options, &session, &err);
    ck_assert_msg(status == COPPICE_OK, "%s", err.message);
    return session;
}

static void run(coppice_session *session, int64_t batch, float *logits) {
    coppice_tensor in = input_of(batch);
    const coppice_tensor *out = NULL;
    coppice_status status = coppice_session_run(session, &in, 1, &out, &err);
    ck_assert_msg(status == COPPICE_OK, "%s", err.message);
    ck_assert_int_eq(out[0].dims[0], batch);
    ck_assert_int_eq(out[0].dims[1], CLASSES);
    memcpy(logits, out[0].data, (size_t)batch * CLASSES * sizeof *logits);
}

static void prune(double sparsity) {
    coppice_prune_options options;
    coppice_prune_options_init(&options);
    options.sparsity = sparsity;
    coppice_status status = coppice_prune(model, &options, NULL, &err);
    ck_assert_msg(status == COPPICE_OK, "%s", err.message);
}

static void check_close(const float *a, const float *b, size_t count) {
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(fabsf(a[i] - b[i]) <= 1e-4f * (1 + fabsf(b[i])), "output %zu: %g, wanted %g",
                      i, (double)a[i], (double)b[i]);
}

START_TEST(every_backend_agrees_with_reference_dense_and_pruned) {
    static const coppice_backend backends[] = {COPPICE_BACKEND_XNNPACK, COPPICE_BACKEND_NATIVE,
                                               COPPICE_BACKEND_AUTO};
    static const coppice_sparse_use uses[] = {COPPICE_SPARSE_NEVER, COPPICE_SPARSE_ALWAYS,
                                              COPPICE_SPARSE_AUTO};
    float wanted[3 * CLASSES], given[3 * CLASSES];
    for (int pruned = 0; pruned < 2; pruned++) {
        if (pruned)
            prune(0.8);
        coppice_session *reference = make(COPPICE_BACKEND_REFERENCE, COPPICE_SPARSE_AUTO, 1);
        run(reference, 3, wanted);
        coppice_session_free(reference);
        for (size_t i = 0; i < 9; i++) {
            coppice_session *session = make(backends[i / 3], uses[i % 3], 2);
            run(session, 3, given);
            check_close(given, wanted, 3 * CLASSES);
            coppice_session_free(session);
        }
    }
}
END_TEST

START_TEST(results_do_not_depend_on_the_number_of_threads) {
    float one[2 * CLASSES], two[2 * CLASSES];
    prune(0.7);
    coppice_session *a = make(COPPICE_BACKEND_NATIVE, COPPICE_SPARSE_ALWAYS, 1);
    coppice_session *b = make(COPPICE_BACKEND_NATIVE, COPPICE_SPARSE_ALWAYS, 2);
    run(a, 2, one);
    run(b, 2, two);
    ck_assert_mem_eq(one, two, sizeof one);
    coppice_session_free(a);
    coppice_session_free(b);
}
END_TEST

START_TEST(batches_of_any_size_give_the_results_of_single_images) {
    float batch[3 * CLASSES], single[CLASSES];
    coppice_session *session = make(COPPICE_BACKEND_AUTO, COPPICE_SPARSE_AUTO, 1);
    run(session, 3, batch);
    run(session, 1, single);
    check_close(single, batch, CLASSES);
    run(session, 2, batch); /* more shapes than plans are kept for */
    for (int64_t n = 1; n <= 5; n++) {
        float many[5 * CLASSES];
        run(session, n, many);
        check_close(many, single, CLASSES);
    }
    coppice_session_free(session);
}
END_TEST

/* A Conv over [1,8,40] with kernel 3, named by its output. */
static void add_conv1d(wire *graph, const char *input, const char *weight, const char *output) {
    wire node = {.used = 0}, tensor = {.used = 0};
    float values[8 * 8 * 3];
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        values[i] = (float)(i * 37 % 23) / 23 - 0.5f;
    wire_text(&node, 1, input);
    wire_text(&node, 1, weight);
    wire_text(&node, 2, output);
    wire_text(&node, 4, "Conv");
    wire_message(graph, 1, &node);
    wire_int(&tensor, 1, 8);
    wire_int(&tensor, 1, 8);
    wire_int(&tensor, 1, 3);
    wire_int(&tensor, 2, COPPICE_TYPE_FLOAT);
    wire_text(&tensor, 8, weight);
    wire_bytes(&tensor, 9, values, sizeof values);
    wire_message(graph, 5, &tensor);
}

/* A graph input (field 11) or output (12) of `dims`. */
static void add_sequence(wire *graph, unsigned field, const char *name, const uint64_t dims[3]) {
    wire shape = {.used = 0}, tensor = {.used = 0}, type = {.used = 0}, value = {.used = 0};
    for (int i = 0; i < 3; i++) {
        wire dim = {.used = 0};
        wire_int(&dim, 1, dims[i]);
        wire_message(&shape, 1, &dim);
    }
    wire_int(&tensor, 1, COPPICE_TYPE_FLOAT);
    wire_message(&tensor, 2, &shape);
    wire_message(&type, 1, &tensor);
    wire_text(&value, 1, name);
    wire_message(&value, 2, &type);
    wire_message(graph, field, &value);
}

static coppice_model *two_conv1d(void) {
    wire graph = {.used = 0}, opset = {.used = 0}, bytes = {.used = 0};
    add_conv1d(&graph, "x", "W1", "between");
    add_conv1d(&graph, "between", "W2", "y");
    add_sequence(&graph, 11, "x", (const uint64_t[]){1, 8, 40});
    add_sequence(&graph, 12, "y", (const uint64_t[]){1, 8, 36});
    wire_int(&opset, 2, 13);
    wire_int(&bytes, 1, 8);
    wire_message(&bytes, 7, &graph);
    wire_message(&bytes, 8, &opset);
    coppice_model *result = NULL;
    coppice_status status = coppice_model_load_memory(bytes.bytes, bytes.used, NULL, &result, &err);
    ck_assert_msg(status == COPPICE_OK, "%s", err.message);
    return result;
}

START_TEST(shapes_that_come_again_cost_nothing) {
    coppice_session *session = make(COPPICE_BACKEND_NATIVE, COPPICE_SPARSE_AUTO, 1);
    const coppice_tensor *out[6];
    const void *data[6];
    for (int64_t batch = 1; batch <= 5; batch++) {
        coppice_tensor in = input_of(batch);
        ck_assert_int_eq(coppice_session_run(session, &in, 1, &out[batch], &err), COPPICE_OK);
        data[batch] = out[batch]->data;
    }
    for (int turn = 0; turn < 3; turn++) {
        for (int64_t batch = 1; batch <= 5; batch++) { /* planned memory: the plan is the same */
            coppice_tensor in = input_of(batch);
            ck_assert_int_eq(coppice_session_run(session, &in, 1, &out[batch], &err), COPPICE_OK);
            ck_assert_ptr_eq(out[batch]->data, data[batch]);
        }
    }
    coppice_session_free(session);
}
END_TEST

START_TEST(one_dimensional_convolutions_agree_with_reference_on_every_backend) {
    coppice_model_free(model);
    model = two_conv1d();
    float expected[8 * 36];
    coppice_tensor in = {.type = COPPICE_TYPE_FLOAT, .rank = 3, .dims = {1, 8, 40}, .data = images};
    for (int b = 0; b < 4; b++) {
        static const coppice_backend backends[] = {COPPICE_BACKEND_REFERENCE,
                                                   COPPICE_BACKEND_XNNPACK, COPPICE_BACKEND_NATIVE,
                                                   COPPICE_BACKEND_AUTO};
        for (int s = 0; s < 2; s++) {
            coppice_session *session =
                make(backends[b], s ? COPPICE_SPARSE_ALWAYS : COPPICE_SPARSE_NEVER, 1);
            const coppice_tensor *out = NULL;
            coppice_status status = coppice_session_run(session, &in, 1, &out, &err);
            ck_assert_msg(status == COPPICE_OK, "%s", err.message);
            ck_assert_int_eq(coppice_tensor_count(out), 8 * 36);
            if (b == 0 && s == 0)
                memcpy(expected, out->data, sizeof expected);
            for (int i = 0; i < 8 * 36; i++)
                ck_assert_float_eq_tol(((const float *)out->data)[i], expected[i], 1e-4f);
            coppice_session_free(session);
        }
    }
}
END_TEST

START_TEST(inputs_that_do_not_fit_are_refused_with_what_is_wanted) {
    coppice_session *session = make(COPPICE_BACKEND_REFERENCE, COPPICE_SPARSE_AUTO, 1);
    const coppice_tensor *out;
    coppice_tensor in = input_of(1);
    in.dims[in.rank - 1]++;
    ck_assert_int_eq(coppice_session_run(session, &in, 1, &out, &err), COPPICE_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.message, coppice_model_input(model, 0).name));
    in = input_of(1);
    in.type = COPPICE_TYPE_DOUBLE;
    ck_assert_int_eq(coppice_session_run(session, &in, 1, &out, &err), COPPICE_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.message, "float32"));
    ck_assert_int_eq(coppice_session_run(session, NULL, 0, &out, &err), COPPICE_INVALID_ARGUMENT);
    in = input_of(1);
    in.data = NULL;
    ck_assert_int_eq(coppice_session_run(session, &in, 1, &out, &err), COPPICE_INVALID_ARGUMENT);
    ck_assert_ptr_null(out);
    coppice_session_free(session);
}
END_TEST

START_TEST(interrupted_run_says_so_and_the_session_works_afterwards) {
    float before[CLASSES], after[CLASSES];
    coppice_session *session = make(COPPICE_BACKEND_REFERENCE, COPPICE_SPARSE_AUTO, 1);
    run(session, 1, before);
    coppice_tensor in = input_of(1);
    const coppice_tensor *out;
    coppice_interrupt();
    ck_assert_int_eq(coppice_session_run(session, &in, 1, &out, &err), COPPICE_INTERRUPTED);
    coppice_interrupt_clear();
    run(session, 1, after);
    ck_assert_mem_eq(before, after, sizeof before);
    coppice_session_free(session);
}
END_TEST

static atomic_int refused;

/* Runs until a call was refused on either thread, 500 times at most. */
static void *run_until_busy(void *session) {
    coppice_tensor in = input_of(1);
    for (int i = 0; i < 500 && !atomic_load(&refused); i++) {
        const coppice_tensor *out;
        coppice_status status = coppice_session_run(session, &in, 1, &out, NULL);
        ck_assert(status == COPPICE_OK || status == COPPICE_BUSY);
        atomic_fetch_add(&refused, status == COPPICE_BUSY);
    }
    return NULL;
}

START_TEST(second_call_at_the_same_time_is_told_that_the_session_is_busy) {
    coppice_session *session = make(COPPICE_BACKEND_REFERENCE, COPPICE_SPARSE_AUTO, 1);
    float before[CLASSES], after[CLASSES];
    run(session, 1, before);
    pthread_t other;
    ck_assert_int_eq(pthread_create(&other, NULL, run_until_busy, session), 0);
    run_until_busy(session);
    pthread_join(other, NULL);
    ck_assert_int_ge(refused, 1);
    run(session, 1, after);
    ck_assert_mem_eq(before, after, sizeof before);
    coppice_session_free(session);
}
END_TEST

/* Under one backend with sparse kernels everywhere no layout changes between convolutions. */
START_TEST(chain_of_sparse_convolutions_needs_no_change_of_layout) {
    prune(0.9);
    coppice_session *session = make(COPPICE_BACKEND_NATIVE, COPPICE_SPARSE_ALWAYS, 1);
    const coppice_profile_row *rows;
    size_t count;
    coppice_tensor in = input_of(1);
    ck_assert_int_eq(coppice_session_profile(session, &in, 1, 2, &rows, &count, &err), COPPICE_OK);
    int sparse = 0;
    for (size_t i = 0; i < count; i++) {
        sparse += rows[i].sparse;
        bool between = i > 0 && i + 1 < count && rows[i - 1].sparse && rows[i + 1].sparse;
        ck_assert(!between || strcmp(rows[i].op, "Layout") != 0);
        ck_assert(rows[i].ms >= 0);
    }
    ck_assert_int_ge(sparse, 2);
    coppice_session_free(session);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("session");
    tcase_add_checked_fixture(tests, load, unload);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, every_backend_agrees_with_reference_dense_and_pruned);
    tcase_add_test(tests, results_do_not_depend_on_the_number_of_threads);
    tcase_add_test(tests, batches_of_any_size_give_the_results_of_single_images);
    tcase_add_test(tests, shapes_that_come_again_cost_nothing);
    tcase_add_test(tests, one_dimensional_convolutions_agree_with_reference_on_every_backend);
    tcase_add_test(tests, inputs_that_do_not_fit_are_refused_with_what_is_wanted);
    tcase_add_test(tests, interrupted_run_says_so_and_the_session_works_afterwards);
    tcase_add_test(tests, second_call_at_the_same_time_is_told_that_the_session_is_busy);
    tcase_add_test(tests, chain_of_sparse_convolutions_needs_no_change_of_layout);
    return unit_run("session", tests);
}
