/* Saving models: what was not changed stays byte for byte, edits arrive, targets stay whole. */
#include <glob.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "saving.h"

/* ---- unchanged ---- */

/* Fields are in ascending order, as writers put them. */
START_TEST(a_model_saved_unchanged_is_the_same_file) {
    wire g = {0};
    wire_message(&g, GRAPH_NODE, wire_node("add", "Add", "x", "w", "y"));
    wire_text(&g, GRAPH_NAME, "");
    wire_message(&g, GRAPH_INITIALIZER, ramp("w", 100));
    wire_message(&g, GRAPH_INPUT, wire_value("x", "N"));
    wire_message(&g, GRAPH_OUTPUT, wire_value("y", "N"));
    wire_entry(&g, 16, "metadata", "of a graph: ONNX 1.12 does not know it");
    wire w = wire_model(g);
    wire_entry(&w, MODEL_METADATA, "key", "value");
    wire_text(&w, 50, "a field that no schema knows yet");
    load_wire(w);
    save(other, NULL);
    expect_same_file(path, other);
    save(path, NULL); /* over itself */
    expect_same_file(path, other);
}
END_TEST

START_TEST(shared_models_saved_unchanged_are_the_same_files) {
    const char *shared = getenv("COPPICE_SHARED"), *root = getenv("COPPICE_SOURCE_ROOT");
    char pattern[512];
    if (shared)
        snprintf(pattern, sizeof pattern, "%s/data/models/*/*.onnx", shared);
    else
        snprintf(pattern, sizeof pattern, "%s/../shared/data/models/*/*.onnx", root ? root : ".");
    glob_t found;
    if (glob(pattern, 0, NULL, &found) != 0) {
        printf("skipped: no shared models at %s\n", pattern);
        return;
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        load(found.gl_pathv[i]);
        save(other, NULL);
        expect_same_file(found.gl_pathv[i], other);
    }
    globfree(&found);
}
END_TEST

/* ---- edits ---- */

START_TEST(edits_of_raw_data_are_saved) {
    load_wire(wire_model_with(ramp("w", 100)));
    set("w", 7, -1);
    save(other, NULL);
    load(path); /* the file itself has not changed */
    ck_assert(get("w", 7) == 7);
    load(other);
    ck_assert(get("w", 7) == -1);
    ck_assert(get("w", 99) == 99);
}
END_TEST

START_TEST(edits_of_typed_fields_are_saved) {
    wire g = wire_graph(), w = wire_tensor("w", COPPICE_TYPE_FLOAT16, 1, 3);
    wire bytes = wire_tensor("b", COPPICE_TYPE_INT8, 1, 2);
    wire floats = wire_tensor("f", COPPICE_TYPE_FLOAT, 1, 2);
    wire_ints(&w, TENSOR_INT32S, 3, (int64_t[]){0x3c00, 0x4000, 0x4200});
    wire_ints(&bytes, TENSOR_INT32S, 2, (int64_t[]){5, 6});
    wire_bytes(&floats, TENSOR_FLOATS, (float[]){1, 2}, 8);
    wire_message(&g, GRAPH_INITIALIZER, w);
    wire_message(&g, GRAPH_INITIALIZER, bytes);
    wire_message(&g, GRAPH_INITIALIZER, floats);
    load_wire(wire_model(g));
    memcpy(wire_constant(model, "w")->tensor.data, (uint16_t[]){0x3c00, 0, 0xc200}, 6);
    memcpy(wire_constant(model, "b")->tensor.data, (int8_t[]){0, -6}, 2);
    set("f", 0, 0);
    wire_constant(model, "w")->dirty = wire_constant(model, "b")->dirty = true;
    save(other, NULL);
    cop_mapping saved;
    ck_assert_int_eq(cop_mapping_open(other, &saved, NULL), COPPICE_OK);
    static const char minus_six[] = "\xfa\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    ck_assert_msg(memmem(saved.data, saved.bytes, minus_six, 10) != NULL,
                  "negative elements are negative numbers in int32_data");
    cop_mapping_close(&saved);
    load(other);
    ck_assert_mem_eq(wire_constant(model, "w")->tensor.data, ((uint16_t[]){0x3c00, 0, 0xc200}), 6);
    ck_assert_mem_eq(wire_constant(model, "b")->tensor.data, ((int8_t[]){0, -6}), 2);
    ck_assert(get("f", 0) == 0 && get("f", 1) == 2);
}
END_TEST

/* A model with a sparse initializer [2,3] of two values, loaded. */
static void load_sparse(void) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_SPARSE, wire_sparse("w", 2, 0, (int64_t[]){1, 5}));
    load_wire(wire_model(g));
}

START_TEST(edits_of_sparse_initializers_are_saved) {
    load_sparse();
    set("w", 5, 0);
    set("w", 2, -0.0f);
    save(other, NULL);
    load(other);
    ck_assert(wire_constant(model, "w")->sparse);
    ck_assert(get("w", 1) == 1 && get("w", 5) == 0);
    ck_assert_msg(signbit(get("w", 2)), "every bit is kept, the sign of a zero too");
}
END_TEST

START_TEST(a_sparse_initializer_that_is_smaller_dense_becomes_dense) {
    load_sparse();
    for (int i = 0; i < 6; i++)
        set("w", i, (float)i + 1);
    save(other, NULL);
    save(other, NULL); /* nothing of the first saving stays in the model */
    load(other);
    ck_assert(!wire_constant(model, "w")->sparse);
    ck_assert_uint_eq(wire_constant(model, "w")->tensor.rank, 2);
    ck_assert(get("w", 5) == 6);
}
END_TEST

/* ---- external data ---- */

START_TEST(weights_go_out_to_a_data_file_and_come_back) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, ramp("w", 1000));
    wire_message(&g, GRAPH_INITIALIZER, ramp("small", 10));
    wire_message(&g, GRAPH_INITIALIZER, ramp("v", 300));
    load_wire(wire_model(g));
    save(path, NULL); /* fields in ascending order from here on */
    load(path);
    save(other, "out.data");
    struct stat info;
    ck_assert_int_eq(stat(in_folder("out.data"), &info), 0);
    ck_assert_int_eq(info.st_size, 4096 + 1200);
    load(other);
    ck_assert(wire_constant(model, "w")->external && wire_constant(model, "v")->external);
    ck_assert(!wire_constant(model, "small")->external);
    ck_assert(get("w", 999) == 999 && get("v", 299) == 299);
    ck_assert_int_eq(coppice_model_file_bytes(model),
                     cop_file_bytes(other) + cop_file_bytes(in_folder("out.data")));
    save(in_folder("back.onnx"), NULL);
    expect_same_file(path, in_folder("back.onnx"));
}
END_TEST

START_TEST(a_data_file_is_replaced_under_the_model_that_reads_it) {
    load_wire(wire_model_with(ramp("w", 1000)));
    save(path, "net.data");
    load(path);
    set("w", 3, 33);
    save(path, "net.data");
    ck_assert(get("w", 3) == 33 && get("w", 4) == 4);
    ck_assert_uint_eq(files_in_folder(), 2);
    load(path);
    ck_assert(get("w", 3) == 33 && get("w", 999) == 999);
}
END_TEST

START_TEST(a_missing_offset_is_zero_and_a_missing_length_the_rest) {
    wire_write_file(in_folder("data"), (float[]){5, 6, 7, 8}, 16);
    load_wire(wire_model_with(wire_external("w", 4, "data", NULL, NULL)));
    ck_assert(get("w", 3) == 8);
    load_wire(wire_model_with(wire_external("w", 2, "./data", "8", NULL)));
    ck_assert(get("w", 0) == 7);
}
END_TEST

static void refuse_external(int count, const char *location, const char *offset, const char *length,
                            const char *text) {
    refuse_load(wire_model_with(wire_external("w", count, location, offset, length)),
                COPPICE_BAD_MODEL, text);
    ck_assert_str_eq(err.node, "w");
}

START_TEST(external_data_outside_the_folder_are_refused) {
    refuse_external(4, "/etc/passwd", NULL, NULL, "an absolute path is not allowed");
    refuse_external(4, "../secret", NULL, NULL, "'..' is not allowed");
    refuse_external(4, "a/../../secret", NULL, NULL, "'..' is not allowed");
    refuse_external(4, "..", NULL, NULL, "'..' is not allowed");
    refuse_external(4, "", NULL, NULL, "without a location");
    ck_assert_int_eq(symlink("/etc/passwd", in_folder("link")), 0);
    refuse_external(4, "link", NULL, NULL, "a link leads out of the model's folder");
    ck_assert_int_eq(symlink("/etc", in_folder("way")), 0);
    refuse_external(4, "way/passwd", NULL, NULL, "a link leads out of the model's folder");
}
END_TEST

START_TEST(external_data_beyond_their_file_are_refused) {
    wire_write_file(in_folder("data"), (float[]){5, 6, 7, 8}, 16);
    refuse_external(4, "data", "4", "16", "bytes 4 to 20 are wanted, the file has 16");
    refuse_external(4, "data", "18446744073709551615", "16", "the file has 16");
    refuse_external(4, "data", "20", NULL, "the file has 16");
    refuse_external(5, "data", "0", NULL, "its dims want 20 bytes, external data 'data' has 16");
    refuse_external(3, "data", "0", "16", "its dims want 12 bytes, external data 'data' has 16");
    refuse_external(4, "data", "-1", NULL, "offset '-1' is no number");
    refuse_external(4, "data", "0", "99999999999999999999", "is no number");
    refuse_load(wire_model_with(wire_external("w", 4, "none", NULL, NULL)), COPPICE_NOT_FOUND,
                "external data 'none': cannot open");
}
END_TEST

/* ---- limits ---- */

START_TEST(a_model_file_beyond_two_gigabytes_is_refused) {
    wire_write_file(path, "\x08\x08", 2);
    ck_assert_int_eq(truncate(path, (off_t)1 << 31), 0);
    ck_assert_int_eq(coppice_model_load(path, NULL, &model, &err), COPPICE_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.message, "at most 2 GB; keep its weights as external data"));
}
END_TEST

START_TEST(a_model_too_large_for_one_file_is_saved_with_a_data_file_only) {
    wire_write_file(in_folder("data"), "", 0);
    ck_assert_int_eq(truncate(in_folder("data"), (off_t)1 << 31), 0);
    load_wire(wire_model_with(wire_external("w", 1 << 29, "data", "0", NULL)));
    coppice_save_options options;
    coppice_save_options_init(&options);
    options.single_file = true;
    refuse_save(other, &options, COPPICE_LIMIT, "more than the 2 GB that a model file can hold");
    ck_assert_uint_eq(files_in_folder(), 2);
}
END_TEST

START_TEST(a_fifo_in_place_of_a_model_is_refused) {
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(coppice_model_load(path, NULL, &model, &err), COPPICE_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "not a regular file"));
}
END_TEST

/* ---- targets ---- */

START_TEST(an_existing_target_stays_unless_overwriting_is_asked_for) {
    load_wire(wire_model_with(ramp("w", 1000)));
    wire_write_file(other, "keep", 4);
    coppice_save_options options;
    coppice_save_options_init(&options);
    refuse_save(other, &options, COPPICE_EXISTS, "already exists");
    wire_write_file(in_folder("data"), "keep", 4);
    options.external_data = "data";
    refuse_save(in_folder("new.onnx"), &options, COPPICE_EXISTS, "already exists");
    ck_assert_int_eq(cop_file_bytes(other), 4);
    ck_assert_int_eq(cop_file_bytes(in_folder("data")), 4);
    ck_assert_uint_eq(files_in_folder(), 3);
}
END_TEST

START_TEST(an_unwritable_target_is_refused) {
    load_wire(wire_model_with(ramp("w", 10)));
    refuse_save(in_folder("no/such/folder.onnx"), NULL, COPPICE_IO, "cannot create");
    ck_assert_uint_eq(files_in_folder(), 1);
}
END_TEST

START_TEST(data_file_names_with_a_folder_are_refused) {
    load_wire(wire_model_with(ramp("w", 10)));
    coppice_save_options options;
    coppice_save_options_init(&options);
    static const char *const names[] = {"", "a/b", "..", ".", "/tmp/x"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        options.external_data = names[i];
        refuse_save(other, &options, COPPICE_INVALID_ARGUMENT, "without a folder");
    }
    options.external_data = "out.onnx";
    refuse_save(other, &options, COPPICE_INVALID_ARGUMENT, "the model file itself");
    ck_assert_uint_eq(files_in_folder(), 1);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("onnx save");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_model_saved_unchanged_is_the_same_file);
    tcase_add_test(tests, shared_models_saved_unchanged_are_the_same_files);
    tcase_add_test(tests, edits_of_raw_data_are_saved);
    tcase_add_test(tests, edits_of_typed_fields_are_saved);
    tcase_add_test(tests, edits_of_sparse_initializers_are_saved);
    tcase_add_test(tests, a_sparse_initializer_that_is_smaller_dense_becomes_dense);
    tcase_add_test(tests, weights_go_out_to_a_data_file_and_come_back);
    tcase_add_test(tests, a_data_file_is_replaced_under_the_model_that_reads_it);
    tcase_add_test(tests, a_missing_offset_is_zero_and_a_missing_length_the_rest);
    tcase_add_test(tests, external_data_outside_the_folder_are_refused);
    tcase_add_test(tests, external_data_beyond_their_file_are_refused);
    tcase_add_test(tests, a_model_file_beyond_two_gigabytes_is_refused);
    tcase_add_test(tests, a_model_too_large_for_one_file_is_saved_with_a_data_file_only);
    tcase_add_test(tests, a_fifo_in_place_of_a_model_is_refused);
    tcase_add_test(tests, an_existing_target_stays_unless_overwriting_is_asked_for);
    tcase_add_test(tests, an_unwritable_target_is_refused);
    tcase_add_test(tests, data_file_names_with_a_folder_are_refused);
    return unit_run("onnx save", tests);
}
