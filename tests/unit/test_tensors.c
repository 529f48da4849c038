/* Tensors of a model through the public API: read, written, taken over from another model. */
#include <math.h>
#include <unistd.h>

#include "folder.h"
#include "wire.h"

static char path[128];
static coppice_error err;
static coppice_model *model, *other;

static void setup(void) {
    make_folder();
    snprintf(path, sizeof path, "%s/net.onnx", folder);
    model = other = NULL;
}

static void teardown(void) {
    coppice_model_free(model);
    coppice_model_free(other);
    remove_folder();
}

static size_t index_of(const coppice_model *of, const char *name) {
    int64_t index = coppice_model_tensor_find(of, name);
    ck_assert_msg(index >= 0, "no tensor '%s'", name);
    ck_assert_str_eq(coppice_model_tensor_name(of, (size_t)index), name);
    return (size_t)index;
}

static void read_tensor(const coppice_model *of, const char *name, void *data) {
    ck_assert_msg(coppice_model_tensor_read(of, index_of(of, name), data, &err) == COPPICE_OK, "%s",
                  err.message);
}

static void write_tensor(const char *name, const void *data) {
    ck_assert_msg(coppice_model_tensor_write(model, index_of(model, name), data, &err) ==
                      COPPICE_OK,
                  "%s", err.message);
}

static void expect_floats(const char *name, size_t count, const float *expected) {
    float data[64];
    coppice_tensor info = coppice_model_tensor_info(model, index_of(model, name));
    ck_assert_int_eq(info.type, COPPICE_TYPE_FLOAT);
    ck_assert_int_eq(coppice_tensor_count(&info), (int64_t)count);
    ck_assert_ptr_null(info.data);
    read_tensor(model, name, data);
    ck_assert_mem_eq(data, expected, count * sizeof *data);
}

static void save_and_load(void) {
    coppice_save_options options;
    coppice_save_options_init(&options);
    options.overwrite = true;
    ck_assert_msg(coppice_model_save(model, path, &options, NULL, &err) == COPPICE_OK, "%s",
                  err.message);
    coppice_model_free(model);
    ck_assert_msg(coppice_model_load(path, NULL, &model, &err) == COPPICE_OK, "%s", err.message);
}

static wire floats(const char *name, int count, const float *data) {
    return wire_raw_tensor(name, COPPICE_TYPE_FLOAT, count, data, (size_t)count * sizeof *data);
}

/* A graph "x -> Identity -> y", to put initializers into. */
static wire plain_graph(void) {
    wire g = {0};
    wire_message(&g, GRAPH_NODE, wire_node("pass", "Identity", "x", NULL, "y"));
    wire_text(&g, GRAPH_NAME, "g");
    wire_message(&g, GRAPH_INPUT, wire_value("x", "N"));
    wire_message(&g, GRAPH_OUTPUT, wire_value("y", "N"));
    return g;
}

/* A Constant node with `tensor`, which is taken over. */
static wire constant_node(const char *output, wire tensor) {
    wire node = wire_node(NULL, "Constant", NULL, NULL, output), attr = wire_attr("value", 4);
    wire_message(&attr, ATTR_T, tensor);
    wire_message(&node, NODE_ATTR, attr);
    return node;
}

/* ---- one tensor ---- */

START_TEST(every_place_of_a_tensor_can_be_read_and_written) {
    const float one[] = {1, 2, 3};
    wire_write_file(path, "", 0);
    char data_path[160];
    snprintf(data_path, sizeof data_path, "%s/data", folder);
    wire_write_file(data_path, (float[]){0, 7, 8, 9}, 16);

    wire g = {0}, typed = wire_tensor("typed", COPPICE_TYPE_FLOAT, 1, 3);
    wire_bytes(&typed, TENSOR_FLOATS, one, sizeof one);
    wire attr = wire_attr("value_floats", 6), node = wire_node(NULL, "Constant", NULL, NULL, "c2");
    for (int i = 0; i < 3; i++) { /* fields of fixed width, not packed */
        wire_tag(&attr, ATTR_FLOATS, 5);
        wire_append(&attr, &one[i], sizeof one[i]);
    }
    wire_message(&node, NODE_ATTR, attr);
    wire_message(&g, GRAPH_NODE, constant_node("c1", floats(NULL, 3, one)));
    wire_message(&g, GRAPH_NODE, node);
    wire_message(&g, GRAPH_NODE, wire_node("add", "Add", "x", "raw", "y"));
    wire_text(&g, GRAPH_NAME, "g");
    wire_message(&g, GRAPH_INITIALIZER, floats("raw", 3, one));
    wire_message(&g, GRAPH_INITIALIZER, typed);
    wire_message(&g, GRAPH_INITIALIZER, wire_external("external", 3, "data", "4", "12"));
    wire_message(&g, GRAPH_INPUT, wire_value("x", "N"));
    wire_message(&g, GRAPH_OUTPUT, wire_value("y", "N"));
    wire_message(&g, GRAPH_SPARSE, wire_sparse("sparse", 2, 0, (int64_t[]){1, 5}));
    wire w = wire_model(g);
    wire_write_file(path, w.data, w.bytes);
    free(w.data);
    ck_assert_msg(coppice_model_load(path, NULL, &model, &err) == COPPICE_OK, "%s", err.message);

    static const char *const names[] = {"raw", "typed", "c1", "c2"};
    for (int i = 0; i < 4; i++)
        expect_floats(names[i], 3, one);
    expect_floats("external", 3, (float[]){7, 8, 9});
    expect_floats("sparse", 6, (float[]){0, 1, 0, 0, 0, 2});
    coppice_tensor info = coppice_model_tensor_info(model, index_of(model, "sparse"));
    ck_assert(info.rank == 2 && info.dims[0] == 2 && info.dims[1] == 3);

    const float changed[] = {-1, 0, 1e-20f}, sparse[] = {0, 0, 3, 0, 0, -0.0f};
    for (int i = 0; i < 4; i++)
        write_tensor(names[i], changed);
    write_tensor("external", changed);
    write_tensor("sparse", sparse);
    save_and_load();
    for (int i = 0; i < 4; i++)
        expect_floats(names[i], 3, changed);
    expect_floats("external", 3, changed);
    expect_floats("sparse", 6, sparse);
}
END_TEST

START_TEST(names_are_unique_and_say_the_sub_graph) {
    wire g = wire_graph(), inner = {0}, attr = wire_attr("then_branch", 5);
    wire node = wire_node("if", "If", "w", NULL, "z");
    wire_message(&inner, GRAPH_NODE, wire_node(NULL, "Identity", "w", NULL, "inner_y"));
    wire_text(&inner, GRAPH_NAME, "then");
    wire_message(&inner, GRAPH_INITIALIZER, floats("w", 2, (float[]){5, 6}));
    wire_message(&inner, GRAPH_OUTPUT, wire_value("inner_y", "N"));
    wire_message(&attr, ATTR_G, inner);
    wire_message(&node, NODE_ATTR, attr);
    wire_message(&g, GRAPH_NODE, node);
    wire_message(&g, GRAPH_INITIALIZER, floats("w", 1, (float[]){4}));
    model = wire_load(wire_model(g));
    ck_assert_uint_eq(coppice_model_tensor_count(model), 2);
    ck_assert_str_eq(coppice_model_tensor_name(model, 0), "w");
    ck_assert_str_eq(coppice_model_tensor_name(model, 1), "then/w");
    ck_assert_int_eq(coppice_model_tensor_find(model, "then/w"), 1);
    ck_assert_int_eq(coppice_model_tensor_find(model, "nothing"), -1);
    write_tensor("then/w", (float[]){7, 8});
    save_and_load();
    expect_floats("then/w", 2, (float[]){7, 8});
    expect_floats("w", 1, (float[]){4});
}
END_TEST

START_TEST(types_of_four_bits_take_half_a_byte) {
    wire g = plain_graph(), typed = wire_tensor("typed", COPPICE_TYPE_UINT4, 1, 3);
    wire_ints(&typed, TENSOR_INT32S, 2, (int64_t[]){0xba, 0x0c});
    wire_message(&g, GRAPH_INITIALIZER, typed);
    wire_message(&g, GRAPH_INITIALIZER,
                 wire_raw_tensor("raw", COPPICE_TYPE_INT4, 5, "\x21\x43\x05", 3));
    model = wire_load(wire_model(g));
    coppice_tensor info = coppice_model_tensor_info(model, index_of(model, "raw"));
    ck_assert_int_eq(info.type, COPPICE_TYPE_INT4);
    ck_assert_int_eq(coppice_tensor_bytes(&info), 3);
    unsigned char data[4] = {0, 0, 0, 0x77};
    read_tensor(model, "raw", data);
    ck_assert_mem_eq(data, "\x21\x43\x05\x77", 4);
    write_tensor("raw", "\x12\x34\x06");
    read_tensor(model, "typed", data);
    ck_assert_mem_eq(data, "\xba\x0c", 2);
    write_tensor("typed", "\xcd\x0e");
    save_and_load();
    read_tensor(model, "raw", data);
    ck_assert_mem_eq(data, "\x12\x34\x06", 3);
    read_tensor(model, "typed", data);
    ck_assert_mem_eq(data, "\xcd\x0e", 2);
}
END_TEST

START_TEST(unaligned_elements_are_read) {
    /* Names of 1 to 8 letters move the data by a byte each. */
    char name[] = "abcdefgh";
    for (size_t length = 1; length <= 8; length++) {
        wire g = plain_graph();
        const double values[] = {1.5, -2.5, 3.25};
        name[length] = '\0';
        wire_message(&g, GRAPH_INITIALIZER,
                     wire_raw_tensor(name, COPPICE_TYPE_DOUBLE, 3, values, sizeof values));
        coppice_model_free(model);
        model = wire_load(wire_model(g));
        double data[3];
        read_tensor(model, name, data);
        ck_assert_mem_eq(data, values, sizeof values);
        name[length] = (char)('a' + length);
    }
}
END_TEST

START_TEST(strings_and_unknown_types_are_refused) {
    wire g = plain_graph(), text = wire_tensor("text", COPPICE_TYPE_STRING, 1, 1);
    wire_text(&text, TENSOR_STRINGS, "hello");
    wire_message(&g, GRAPH_INITIALIZER, text);
    wire deep = wire_tensor("deep", COPPICE_TYPE_FLOAT, 0);
    for (int i = 0; i < 17; i++)
        wire_int(&deep, TENSOR_DIMS, 1);
    wire_bytes(&deep, TENSOR_FLOATS, (float[]){1}, 4);
    wire_message(&g, GRAPH_INITIALIZER, deep);
    wire_message(&g, GRAPH_INITIALIZER, wire_tensor("empty", COPPICE_TYPE_FLOAT, 1, 0));
    model = wire_load(wire_model(g));
    char data[8] = "as was";
    size_t index = index_of(model, "text");
    ck_assert_int_eq(coppice_model_tensor_info(model, index).type, COPPICE_TYPE_STRING);
    ck_assert_int_eq(coppice_model_tensor_read(model, index, data, &err), COPPICE_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.message, "tensor 'text' is of strings"));
    ck_assert_int_eq(coppice_model_tensor_write(model, index, data, &err), COPPICE_UNSUPPORTED);
    index = index_of(model, "deep");
    ck_assert_int_eq(coppice_model_tensor_info(model, index).type, COPPICE_TYPE_UNDEFINED);
    ck_assert_int_eq(coppice_model_tensor_read(model, index, data, NULL), COPPICE_UNSUPPORTED);
    read_tensor(model, "empty", data);
    ck_assert_str_eq(data, "as was");
}
END_TEST

/* ---- all tensors ---- */

/* Float initializers "w" [3] and "b" [2], int64 "i" [1], a Constant node "c" [2]. */
static wire small_net(const float *w, const float *b, int64_t i, const float *c) {
    wire g = plain_graph();
    wire_message(&g, GRAPH_NODE, constant_node("c", floats(NULL, 2, c)));
    wire_message(&g, GRAPH_INITIALIZER, floats("w", 3, w));
    wire_message(&g, GRAPH_INITIALIZER, floats("b", 2, b));
    wire_message(&g, GRAPH_INITIALIZER, wire_raw_tensor("i", COPPICE_TYPE_INT64, 1, &i, sizeof i));
    return wire_model(g);
}

static const float w0[] = {1, 2, 3}, b0[] = {4, 5}, c0[] = {6, 7};

static void copy(void) {
    ck_assert_msg(coppice_model_copy_tensors(model, other, &err) == COPPICE_OK, "%s", err.message);
}

/* Nothing of `from`, which is taken over, may arrive in a small net. */
static void refuse_copy(wire from, const char *text) {
    coppice_model_free(model);
    coppice_model_free(other);
    model = wire_load(small_net(w0, b0, 1, c0));
    other = wire_load(from);
    ck_assert_int_eq(coppice_model_copy_tensors(model, other, &err), COPPICE_BAD_DATA);
    ck_assert_msg(strstr(err.message, text) != NULL, "'%s' not in: %s", text, err.message);
    ck_assert_str_eq(err.file, "<memory>");
    expect_floats("w", 3, w0);
    expect_floats("b", 2, b0);
    expect_floats("c", 2, c0);
}

START_TEST(values_of_another_model_are_taken_over) {
    const float w[] = {-1, 0, 9}, b[] = {8, 7}, c[] = {5, 5};
    model = wire_load(small_net(w0, b0, 1, c0));
    other = wire_load(small_net(w, b, 2, c));
    copy();
    expect_floats("w", 3, w);
    expect_floats("b", 2, b);
    expect_floats("c", 2, c); /* weights as Constant nodes are trained too */
    int64_t i;
    read_tensor(model, "i", &i);
    ck_assert_int_eq(i, 1);
    save_and_load();
    expect_floats("w", 3, w);
}
END_TEST

START_TEST(initializers_match_however_they_are_stored) {
    wire g = plain_graph();
    wire_message(&g, GRAPH_NODE, constant_node("b", floats(NULL, 2, (float[]){9, 8})));
    wire typed = wire_tensor("w", COPPICE_TYPE_FLOAT, 1, 3);
    wire_bytes(&typed, TENSOR_FLOATS, (float[]){3, 2, 1}, 12);
    wire_message(&g, GRAPH_INITIALIZER, typed);
    model = wire_load(small_net(w0, b0, 1, c0));
    other = wire_load(wire_model(g));
    copy();
    expect_floats("w", 3, (float[]){3, 2, 1});
    expect_floats("b", 2, (float[]){9, 8});
    expect_floats("c", 2, c0);
}
END_TEST

START_TEST(another_set_of_initializers_is_refused) {
    wire g = plain_graph();
    wire_message(&g, GRAPH_INITIALIZER, floats("w", 3, (float[]){9, 9, 9}));
    refuse_copy(wire_model(g), "initializer 'b' of <memory> is missing");

    g = plain_graph();
    wire_message(&g, GRAPH_INITIALIZER, floats("w", 3, (float[]){9, 9, 9}));
    wire_message(&g, GRAPH_INITIALIZER, floats("b", 2, b0));
    wire_message(&g, GRAPH_INITIALIZER, floats("extra", 1, b0));
    refuse_copy(wire_model(g), "initializer 'extra' is new");

    g = plain_graph();
    wire_message(&g, GRAPH_INITIALIZER, floats("w", 3, (float[]){9, 9, 9}));
    wire_message(&g, GRAPH_INITIALIZER, floats("b", 1, b0));
    refuse_copy(wire_model(g), "initializer 'b' has shape [1], expected [2]");

    g = plain_graph();
    wire_message(&g, GRAPH_INITIALIZER, floats("w", 3, (float[]){9, 9, 9}));
    wire_message(&g, GRAPH_INITIALIZER,
                 wire_raw_tensor("b", COPPICE_TYPE_FLOAT16, 2, "\0\x3c\0\x3c", 4));
    refuse_copy(wire_model(g), "initializer 'b' is float16, expected float32");
}
END_TEST

START_TEST(a_new_nan_or_infinity_is_refused) {
    const float nine[] = {9, 9, 9};
    refuse_copy(small_net(nine, (float[]){4, NAN}, 1, c0), "'b': element 1 is NaN and was 5");
    refuse_copy(small_net(nine, (float[]){-INFINITY, 5}, 1, c0), "element 0 is infinite");
    refuse_copy(small_net(nine, b0, 1, (float[]){0, NAN}), "'c': element 1 is NaN");
    coppice_model_free(model);
    coppice_model_free(other);
    model = wire_load(small_net((float[]){-INFINITY, NAN, 1}, b0, 1, c0));
    other = wire_load(small_net((float[]){-INFINITY, -NAN, 2}, b0, 1, c0));
    copy();
    expect_floats("w", 1 + 2, (float[]){-INFINITY, -NAN, 2});
    coppice_model_free(other);
    other = wire_load(small_net((float[]){INFINITY, NAN, 2}, b0, 1, c0));
    ck_assert_int_eq(coppice_model_copy_tensors(model, other, &err), COPPICE_BAD_DATA);
}
END_TEST

START_TEST(half_floats_are_checked_too) {
    wire g = plain_graph(), h = plain_graph();
    wire_message(&g, GRAPH_INITIALIZER,
                 wire_raw_tensor("w", COPPICE_TYPE_BFLOAT16, 1, "\x80\x3f", 2));
    wire_message(&h, GRAPH_INITIALIZER,
                 wire_raw_tensor("w", COPPICE_TYPE_BFLOAT16, 1, "\x81\x7f", 2));
    model = wire_load(wire_model(g));
    other = wire_load(wire_model(h));
    ck_assert_int_eq(coppice_model_copy_tensors(model, other, &err), COPPICE_BAD_DATA);
    ck_assert_ptr_nonnull(strstr(err.message, "element 0 is NaN and was 1"));
    coppice_model_free(other);
    other = model;
    copy(); /* from itself */
    other = NULL;
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("tensors");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, every_place_of_a_tensor_can_be_read_and_written);
    tcase_add_test(tests, names_are_unique_and_say_the_sub_graph);
    tcase_add_test(tests, types_of_four_bits_take_half_a_byte);
    tcase_add_test(tests, unaligned_elements_are_read);
    tcase_add_test(tests, strings_and_unknown_types_are_refused);
    tcase_add_test(tests, values_of_another_model_are_taken_over);
    tcase_add_test(tests, initializers_match_however_they_are_stored);
    tcase_add_test(tests, another_set_of_initializers_is_refused);
    tcase_add_test(tests, a_new_nan_or_infinity_is_refused);
    tcase_add_test(tests, half_floats_are_checked_too);
    return unit_run("tensors", tests);
}
