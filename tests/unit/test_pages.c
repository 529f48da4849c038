/* Memory of models: pages that were only read go back to the system, pages with edits never. */
#include <fcntl.h>
#include <unistd.h>

#include <coppice/prune.h>
#include <coppice/runtime.h>

#include "folder.h"
#include "wire.h"

enum { SIDE = 512, COUNT = SIDE * SIDE, BYTES = COUNT * 4 }; /* of a weight: 1 MB */

static char path[128], data_path[128];
static coppice_model *model;
static coppice_error err;

static void setup(void) {
    make_folder();
    snprintf(path, sizeof path, "%s/net.onnx", folder);
    snprintf(data_path, sizeof data_path, "%s/data", folder);
    model = NULL;
}

static void teardown(void) {
    coppice_model_free(model);
    remove_folder();
}

/* 1, 2, 3, ...: no zeros, no ties. */
static float *ramp(size_t count) {
    float *values = malloc(count * sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(i + 1);
    return values;
}

static wire raw_weight(const char *name, const float *values) {
    wire w = wire_tensor(name, COPPICE_TYPE_FLOAT, 2, SIDE, SIDE);
    wire_bytes(&w, TENSOR_RAW, values, BYTES);
    return w;
}

static wire external_weight(const char *name, const char *location, const char *offset) {
    wire w = wire_tensor(name, COPPICE_TYPE_FLOAT, 2, SIDE, SIDE);
    wire_entry(&w, TENSOR_EXTERNAL, "location", location);
    wire_entry(&w, TENSOR_EXTERNAL, "offset", offset);
    wire_int(&w, TENSOR_LOCATION, 1);
    return w;
}

/* x -> MatMul a -> MatMul b -> MatMul c -> y; takes the weights over. */
static void load_chain(wire a, wire b, wire c) {
    wire g = {0};
    wire_message(&g, GRAPH_NODE, wire_node("first", "MatMul", "x", "a", "u"));
    wire_message(&g, GRAPH_NODE, wire_node("second", "MatMul", "u", "b", "v"));
    wire_message(&g, GRAPH_NODE, wire_node("third", "MatMul", "v", "c", "y"));
    wire_text(&g, GRAPH_NAME, "g");
    wire_message(&g, GRAPH_INITIALIZER, a);
    wire_message(&g, GRAPH_INITIALIZER, b);
    wire_message(&g, GRAPH_INITIALIZER, c);
    wire_message(&g, GRAPH_INPUT, wire_rows("x", "N", SIDE));
    wire_message(&g, GRAPH_OUTPUT, wire_rows("y", "N", SIDE));
    wire m = wire_model(g);
    wire_write_file(path, m.data, m.bytes);
    free(m.data);
    ck_assert_msg(coppice_model_load(path, NULL, &model, &err) == COPPICE_OK, "%s", err.message);
}

/* Chooses weights, which reads all of them and changes nothing. */
static void choose(coppice_scope scope) {
    coppice_prune_options options;
    coppice_prune_options_init(&options);
    options.sparsity = 0.5;
    options.scope = scope;
    options.keep_last = false;
    options.dry_run = true;
    coppice_prune_report *report;
    ck_assert_msg(coppice_prune(model, &options, &report, &err) == COPPICE_OK, "%s", err.message);
    ck_assert_int_eq(report->weights, 3 * COUNT);
    coppice_prune_report_free(report);
}

/* An edit as coppice makes it, all over the weight. */
static void edit(const char *name) {
    cop_constant *constant = wire_constant(model, name);
    for (size_t i = 0; i < COUNT; i += 100) {
        float value = -0.5f - (float)i;
        memcpy((char *)constant->tensor.data + 4 * i, &value, sizeof value);
    }
    constant->dirty = true;
}

static void expect_edits(const char *name) {
    const coppice_tensor *tensor = &wire_constant(model, name)->tensor;
    for (size_t i = 0; i < COUNT; i += 100)
        if (cop_tensor_get(tensor, (int64_t)i) != (double)(-0.5f - (float)i))
            ck_abort_msg("'%s': the edit of weight %zu is lost", name, i);
}

static void expect_ramp(const char *name) {
    const coppice_tensor *tensor = &wire_constant(model, name)->tensor;
    for (int64_t i = 0; i < COUNT; i++)
        if (cop_tensor_get(tensor, i) != (double)(i + 1))
            ck_abort_msg("'%s': weight %lld has changed", name, (long long)i);
}

/* Pages of a weight that are in this process's memory, of 256; -1: the system does not tell. */
static int pages_present(const char *name) {
    uint64_t entries[256];
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t)wire_constant(model, name)->tensor.data / page;
    int file = open("/proc/self/pagemap", O_RDONLY), present = 0;
    if (page != 4096 || file < 0 ||
        pread(file, entries, sizeof entries, (off_t)(first * 8)) != sizeof entries)
        present = -1;
    for (int i = 0; present >= 0 && i < 256; i++)
        present += (int)(entries[i] >> 63);
    if (file >= 0)
        close(file);
    return present;
}

START_TEST(edits_between_clean_weights_survive) {
    float *values = ramp(COUNT);
    load_chain(raw_weight("a", values), raw_weight("b", values), raw_weight("c", values));
    free(values);
    edit("b");
    for (int scope = 0; scope < 2; scope++) {
        choose(scope ? COPPICE_SCOPE_GLOBAL : COPPICE_SCOPE_LAYER);
        expect_edits("b");
    }
    expect_ramp("a");
    expect_ramp("c");
}
END_TEST

START_TEST(pages_that_were_only_read_go_back) {
    float *values = ramp(COUNT);
    load_chain(raw_weight("a", values), raw_weight("b", values), raw_weight("c", values));
    free(values);
    ck_assert_int_lt(pages_present("a"), 1); /* loading has read around the weights only */
    expect_ramp("b");
    ck_assert_int_ne(pages_present("b"), 0);
    choose(COPPICE_SCOPE_LAYER);
    ck_assert_int_lt(pages_present("a"), 64);
    ck_assert_int_lt(pages_present("b"), 64);
    edit("b");
    choose(COPPICE_SCOPE_GLOBAL);
    ck_assert_int_lt(pages_present("a"), 64);
    expect_edits("b");
}
END_TEST

/* "b" begins in the middle of "a", which lies in the same file under another name. */
START_TEST(edits_of_weights_that_share_their_bytes_survive) {
    float *values = ramp(2 * COUNT);
    wire_write_file(data_path, values, 2 * BYTES);
    free(values);
    load_chain(external_weight("a", "data", "0"), external_weight("b", "./data", "524288"),
               external_weight("c", "data", "0"));
    edit("a");
    choose(COPPICE_SCOPE_LAYER);
    choose(COPPICE_SCOPE_GLOBAL);
    expect_edits("a");
    expect_edits("c");
}
END_TEST

START_TEST(weights_that_touch_each_other_share_nothing) {
    float *values = ramp(3 * COUNT);
    wire_write_file(data_path, values, 3 * BYTES);
    free(values);
    load_chain(external_weight("a", "data", "0"), external_weight("b", "data", "1048576"),
               external_weight("c", "data", "2097152"));
    ck_assert(wire_constant(model, "a")->mapped && wire_constant(model, "b")->mapped);
    edit("b");
    choose(COPPICE_SCOPE_LAYER);
    ck_assert_int_lt(pages_present("a"), 64);
    expect_edits("b");
    expect_ramp("a");
}
END_TEST

/* Element 0 of what comes out for `rows` rows of zeros and one 1 at their beginning. */
static float run_rows(coppice_session *session, int64_t rows) {
    coppice_tensor in = {.type = COPPICE_TYPE_FLOAT, .rank = 2, .dims = {rows, SIDE}};
    float *x = calloc((size_t)rows * SIDE, sizeof *x);
    x[0] = 1;
    in.data = x;
    const coppice_tensor *out;
    coppice_status status = coppice_session_run(session, &in, 1, &out, &err);
    ck_assert_msg(status == COPPICE_OK, "%s", err.message);
    float first = ((const float *)out[0].data)[0];
    free(x);
    return first;
}

/* What a session has packed it reads no more; edits behind it are in the plans for new shapes. */
START_TEST(sessions_give_pages_back_and_keep_edits) {
    float *values = ramp(COUNT);
    for (size_t i = 0; i < COUNT; i++)
        values[i] = i % (SIDE + 1) ? 0 : 1; /* the unit matrix */
    load_chain(raw_weight("a", values), raw_weight("b", values), raw_weight("c", values));
    edit("b");
    const float first = -0.5f;
    coppice_session *session;
    coppice_session_options options;
    coppice_session_options_init(&options);
    options.tune = COPPICE_TUNE_NONE;
    ck_assert_int_eq(coppice_session_create(model, &options, &session, &err), COPPICE_OK);
    ck_assert_float_eq(run_rows(session, 3), first);
    ck_assert_int_lt(pages_present("a"), 64);
    ck_assert_int_lt(pages_present("c"), 64);
    expect_edits("b");
    edit("c");
    ck_assert_float_eq(run_rows(session, 3), first); /* the plan is there already */
    coppice_session *fresh;
    ck_assert_int_eq(coppice_session_create(model, &options, &fresh, &err), COPPICE_OK);
    float edited = run_rows(fresh, 5);
    ck_assert_float_ne(edited, first);
    ck_assert_float_eq(run_rows(session, 5), edited);
    coppice_session_free(fresh);
    expect_edits("b");
    expect_edits("c");
    coppice_session_free(session);
    free(values);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("pages");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, edits_between_clean_weights_survive);
    tcase_add_test(tests, pages_that_were_only_read_go_back);
    tcase_add_test(tests, edits_of_weights_that_share_their_bytes_survive);
    tcase_add_test(tests, weights_that_touch_each_other_share_nothing);
    tcase_add_test(tests, sessions_give_pages_back_and_keep_edits);
    return unit_run("pages", tests);
}
