/* Hostile and damaged bytes: each is refused with its offset before protobuf-c sees it. */
#include "onnx/scan.h"
#include "wire.h"

static wire small_model(void) {
    static const float data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER,
                 wire_raw_tensor("w", COPPICE_TYPE_FLOAT, 8, data, sizeof data));
    wire_message(&g, GRAPH_VALUE_INFO, wire_value("y", "N"));
    return wire_model(g);
}

static wire bytes_of(const void *data, size_t bytes) {
    wire w = {0};
    wire_append(&w, data, bytes);
    return w;
}

static void refuse_text(const char *text, const char *message) {
    wire_refuse(bytes_of(text, strlen(text)), COPPICE_BAD_MODEL, message);
}

START_TEST(an_empty_file_is_refused) {
    wire_refuse(bytes_of("", 0), COPPICE_BAD_MODEL, "<memory>: the file is empty");
}
END_TEST

START_TEST(files_of_another_kind_are_named) {
    refuse_text("\xff\xd8\xff\xe0\x10JFIF", "not an ONNX model but a JPEG image");
    refuse_text("\x89PNG\r\n", "a PNG image");
    refuse_text("PK\x03\x04zip", "a zip file");
    refuse_text("version https://git-lfs.github.com/spec/v1\n", "git lfs pull");
    refuse_text("{\"a\": 1}", "a JSON text");
    refuse_text("Once upon a time there was a model.\n", "not an ONNX model");
    refuse_text("hello", "not an ONNX model");
}
END_TEST

START_TEST(a_message_that_is_no_model_is_refused) {
    wire no_graph = {0}, no_version = {0};
    wire_int(&no_graph, MODEL_IR, 8);
    wire_refuse(no_graph, COPPICE_BAD_MODEL, "not an ONNX model: it has no graph");
    wire_message(&no_version, MODEL_GRAPH, wire_graph());
    wire_refuse(no_version, COPPICE_BAD_MODEL, "not an ONNX model: it has no ir_version");
}
END_TEST

START_TEST(every_truncation_is_refused) {
    wire whole = small_model();
    size_t graph_end = whole.bytes - 4; /* the opset import is the last field: 4 bytes */
    for (size_t bytes = 0; bytes < whole.bytes; bytes++) {
        coppice_model *model;
        coppice_error err;
        coppice_status status = coppice_model_load_memory(whole.data, bytes, NULL, &model, &err);
        ck_assert_int_eq(status, COPPICE_BAD_MODEL);
        ck_assert_ptr_null(model);
        if (bytes > 16 && bytes < graph_end)
            ck_assert_msg(strstr(err.message, "truncated at byte 14: field graph wants") != NULL,
                          "%zu: %s", bytes, err.message);
    }
    free(whole.data);
}
END_TEST

START_TEST(a_truncated_weight_says_what_is_missing) {
    wire t = wire_tensor("w", COPPICE_TYPE_FLOAT, 1, 100), model = {0}, g = {0};
    wire_tag(&t, TENSOR_RAW, 2);
    wire_varint(&t, 400);
    wire_append(&t, "0123456789", 10);
    wire_message(&g, GRAPH_INITIALIZER, t);
    wire_int(&model, MODEL_IR, 8);
    wire_message(&model, MODEL_GRAPH, g);
    coppice_error err = wire_refuse(model, COPPICE_BAD_MODEL,
                                    "field graph.initializer.raw_data wants 400 bytes, 10 left");
    ck_assert_int_eq(err.offset, 16);
}
END_TEST

START_TEST(a_length_beyond_its_message_is_refused) {
    wire t = wire_tensor("w", COPPICE_TYPE_FLOAT, 1, 100), g = {0};
    wire_tag(&t, TENSOR_RAW, 2);
    wire_varint(&t, 5);
    wire_message(&g, GRAPH_INITIALIZER, t);
    wire_text(&g, GRAPH_NAME, "more than five bytes");
    wire_refuse(wire_model(g), COPPICE_BAD_MODEL,
                "field graph.initializer.raw_data wants 5 bytes, its message has 0");
}
END_TEST

static wire nested(int levels) {
    wire inner = {0};
    for (int i = 0; i < levels; i += 3) {
        wire node = {0}, attr = {0}, g = {0};
        wire_message(&attr, ATTR_G, inner);
        wire_message(&node, NODE_ATTR, attr);
        wire_message(&g, GRAPH_NODE, node);
        inner = g;
    }
    return wire_model(inner);
}

START_TEST(five_thousand_nested_messages_are_refused) {
    coppice_error err =
        wire_refuse(nested(5000), COPPICE_BAD_MODEL, "messages nest deeper than 100");
    ck_assert_int_gt(err.offset, 100);
}
END_TEST

START_TEST(nesting_up_to_the_limit_is_scanned) {
    /* 1 + 99 levels: the graph, and 33 times node, attribute, graph. */
    wire_refuse(nested(99), COPPICE_BAD_MODEL, "has no operator type");
    wire_refuse(nested(102), COPPICE_BAD_MODEL, "nest deeper");
}
END_TEST

/* A good model with one more field of these bytes in its graph. */
static wire with_graph_bytes(const char *bytes, size_t count) {
    wire g = wire_graph();
    wire_append(&g, bytes, count);
    return wire_model(g);
}

START_TEST(malformed_fields_are_refused) {
    static const char endless[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    wire_refuse(with_graph_bytes("\x0b", 1), COPPICE_BAD_MODEL, "a group, which ONNX does not");
    wire_refuse(with_graph_bytes("\x0c", 1), COPPICE_BAD_MODEL, "a group, which ONNX does not");
    wire_refuse(with_graph_bytes("\x0f", 1), COPPICE_BAD_MODEL, "no known wire type");
    wire_refuse(with_graph_bytes("\x00\x00", 2), COPPICE_BAD_MODEL, "no field begins here");
    wire_refuse(with_graph_bytes(endless, 12), COPPICE_BAD_MODEL, "no field begins here");
    wire_refuse(with_graph_bytes("\x80\x80\x80\x80\x08\x01", 6), COPPICE_BAD_MODEL,
                "no field begins here"); /* a field number of 2^28 */
    wire_refuse(with_graph_bytes("\x10\x01", 2), COPPICE_BAD_MODEL, "wrong wire type"); /* name */
    wire_refuse(with_graph_bytes("\x12\xff\xff\xff\xff\xff\x0f", 7), COPPICE_BAD_MODEL,
                "a length that does not end");
    wire_refuse(with_graph_bytes("\x12\x03"
                                 "a\0b",
                                 5),
                COPPICE_BAD_MODEL, "NUL byte");
    wire number = {0};
    wire_tag(&number, 99, 0); /* an unknown number */
    wire_append(&number, endless, 12);
    wire_refuse(with_graph_bytes((char *)number.data, number.bytes), COPPICE_BAD_MODEL,
                "a number that does not end");
    free(number.data);
    wire_refuse(with_graph_bytes("\xa9\x06\x01\x02", 4), COPPICE_BAD_MODEL,
                "field graph.101 wants 8 bytes, its message has 2");
}
END_TEST

START_TEST(malformed_packed_numbers_are_refused) {
    wire t = wire_tensor("w", COPPICE_TYPE_FLOAT, 1, 1);
    wire_bytes(&t, TENSOR_FLOATS, "abcde", 5);
    wire_refuse(wire_model_with(t), COPPICE_BAD_MODEL, "no multiple of theirs");
    t = wire_tensor("w", COPPICE_TYPE_INT64, 1, 1);
    wire_bytes(&t, TENSOR_INT64S, "\x01\x80", 2);
    wire_refuse(wire_model_with(t), COPPICE_BAD_MODEL, "a packed number does not end");
}
END_TEST

START_TEST(a_graph_that_occurs_twice_is_refused) {
    wire model = small_model();
    wire_message(&model, MODEL_GRAPH, wire_graph());
    wire_refuse(model, COPPICE_BAD_MODEL, "may occur once occurs twice");
}
END_TEST

START_TEST(bytes_that_unpack_to_too_much_memory_are_refused) {
    wire model = {0};
    size_t count = 12u << 20; /* empty nodes of two bytes each */
    wire_int(&model, MODEL_IR, 8);
    wire_tag(&model, MODEL_GRAPH, 2);
    wire_varint(&model, count * 2);
    model.data = realloc(model.data, model.bytes + count * 2);
    ck_assert_ptr_nonnull(model.data);
    for (size_t i = 0; i < count; i++)
        memcpy(model.data + model.bytes + i * 2, "\x0a\x00", 2);
    model.bytes += count * 2;
    wire_refuse(model, COPPICE_LIMIT, "of memory");
}
END_TEST

START_TEST(the_compact_copy_leaves_weights_and_metadata_out) {
    unsigned char *weights = calloc(1, 100000);
    char trace[20001];
    memset(trace, 't', sizeof trace);
    trace[20000] = '\0';
    wire node = wire_node("n", "Relu", "x", NULL, "r"), g = wire_graph();
    wire_entry(&node, 9, "stack_trace", trace);
    wire_text(&node, 77, trace);
    wire_message(&g, GRAPH_NODE, node);
    wire_message(&g, GRAPH_INITIALIZER,
                 wire_raw_tensor("w", COPPICE_TYPE_UINT8, 100000, weights, 100000));
    wire model = wire_model(g);
    cop_compact compact = {0};
    coppice_error err;
    ck_assert_int_eq(cop_scan_model(model.data, model.bytes, &compact, &err), COPPICE_OK);
    ck_assert_uint_lt(compact.bytes, 400);
    cop_compact_free(&compact);
    free(model.data);
    free(weights);
}
END_TEST

/* A generator of its own, so that a failure can be repeated anywhere. */
static uint32_t next_random(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

START_TEST(random_damage_never_does_more_than_fail) {
    wire whole = small_model();
    uint32_t state = 2463534242u;
    int refused = 0;
    for (int round = 0; round < 5000; round++) {
        wire damaged = bytes_of(whole.data, whole.bytes);
        for (uint32_t flips = 1 + next_random(&state) % 4; flips > 0; flips--)
            damaged.data[next_random(&state) % damaged.bytes] = (unsigned char)next_random(&state);
        size_t bytes =
            next_random(&state) % 4 ? damaged.bytes : next_random(&state) % (damaged.bytes + 1);
        coppice_model *model;
        coppice_error err;
        coppice_status status = coppice_model_load_memory(damaged.data, bytes, NULL, &model, &err);
        ck_assert((status == COPPICE_OK) == (model != NULL));
        ck_assert(status == COPPICE_OK || err.message[0]);
        refused += status != COPPICE_OK;
        coppice_model_free(model);
        free(damaged.data);
    }
    ck_assert_int_gt(refused, 1000);
    free(whole.data);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("onnx scan");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, an_empty_file_is_refused);
    tcase_add_test(tests, files_of_another_kind_are_named);
    tcase_add_test(tests, a_message_that_is_no_model_is_refused);
    tcase_add_test(tests, every_truncation_is_refused);
    tcase_add_test(tests, a_truncated_weight_says_what_is_missing);
    tcase_add_test(tests, a_length_beyond_its_message_is_refused);
    tcase_add_test(tests, five_thousand_nested_messages_are_refused);
    tcase_add_test(tests, nesting_up_to_the_limit_is_scanned);
    tcase_add_test(tests, malformed_fields_are_refused);
    tcase_add_test(tests, malformed_packed_numbers_are_refused);
    tcase_add_test(tests, a_graph_that_occurs_twice_is_refused);
    tcase_add_test(tests, bytes_that_unpack_to_too_much_memory_are_refused);
    tcase_add_test(tests, the_compact_copy_leaves_weights_and_metadata_out);
    tcase_add_test(tests, random_damage_never_does_more_than_fail);
    return unit_run("onnx scan", tests);
}
