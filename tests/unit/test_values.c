/* Tests of values in files (.pb) and of strings in .npy: what is written is read again, what is
 * damaged or hostile is refused, and comparing says what differs. */
#include <coppice/data.h>
#include <coppice/metrics.h>
#include <coppice/value.h>
#include <math.h>

#include "folder.h"
#include "wire.h"

static char path[96];
static coppice_error err;

static void setup(void) {
    make_folder();
    snprintf(path, sizeof path, "%s/value", folder);
    err = (coppice_error){0};
}

/* Writes the bytes of `w`, which it takes over, to the file. */
static void write_wire(wire w) {
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    if (w.bytes)
        ck_assert_uint_eq(fwrite(w.data, 1, w.bytes, file), w.bytes);
    fclose(file);
    free(w.data);
}

static coppice_value tensor_value(coppice_type type, int64_t count, const void *data) {
    coppice_value value = {.tensor = {.type = type, .rank = 1, .dims = {count}}};
    value.tensor.data = (void *)data;
    return value;
}

/* What is read after `value` was written must be close to it, exactly. */
static void check_round_trip(const coppice_value *value) {
    coppice_value back;
    char reason[256];
    ck_assert_msg(coppice_value_write(path, "x", value, true, &err) == COPPICE_OK, "%s",
                  err.message);
    ck_assert_msg(coppice_value_read(path, value->kind, &back, &err) == COPPICE_OK, "%s",
                  err.message);
    ck_assert_msg(coppice_value_is_close(&back, value, 0, 0, reason, sizeof reason), "%s", reason);
    coppice_value_release(&back);
    ck_assert_ptr_null(back.tensor.data);
}

static coppice_status read_wire(wire w, coppice_kind kind) {
    coppice_value value;
    write_wire(w);
    coppice_status status = coppice_value_read(path, kind, &value, &err);
    if (status != COPPICE_OK) {
        ck_assert_ptr_null(value.items);
        ck_assert_ptr_null(value.tensor.data);
        ck_assert_str_eq(err.file, path);
    }
    coppice_value_release(&value);
    return status;
}

static const float floats[] = {1.5f, -2, 3, INFINITY};
static const coppice_string words[] = {{"", 0}, {"caf\xc3\xa9", 5}, {"a\0b", 3}};

/* ---- round trips ---- */

START_TEST(tensors_survive_a_file) {
    coppice_value value = tensor_value(COPPICE_TYPE_FLOAT, 4, floats);
    check_round_trip(&value);
    value = tensor_value(COPPICE_TYPE_INT4, 5, "\x21\x43\x05");
    check_round_trip(&value);
    value = tensor_value(COPPICE_TYPE_FLOAT8E5M2, 4, "\x00\x3c\x7c\xc0");
    check_round_trip(&value);
    value = tensor_value(COPPICE_TYPE_STRING, 3, words);
    check_round_trip(&value);
    value = tensor_value(COPPICE_TYPE_DOUBLE, 0, NULL);
    check_round_trip(&value);
    value = (coppice_value){.tensor = {.type = COPPICE_TYPE_INT64, .data = (void *)floats}};
    check_round_trip(&value);
}
END_TEST

START_TEST(sequences_and_optionals_survive_a_file) {
    coppice_value items[] = {tensor_value(COPPICE_TYPE_FLOAT, 4, floats),
                             tensor_value(COPPICE_TYPE_FLOAT, 1, floats)};
    coppice_value sequence = {.kind = COPPICE_KIND_SEQUENCE, .items = items, .count = 2};
    check_round_trip(&sequence);
    coppice_value empty = {.kind = COPPICE_KIND_SEQUENCE};
    check_round_trip(&empty);
    coppice_value pair[] = {sequence, empty};
    coppice_value nested = {.kind = COPPICE_KIND_SEQUENCE, .items = pair, .count = 2};
    check_round_trip(&nested);
    coppice_value optional = {.kind = COPPICE_KIND_OPTIONAL, .items = &sequence, .count = 1};
    check_round_trip(&optional);
    coppice_value nothing = {.kind = COPPICE_KIND_OPTIONAL};
    check_round_trip(&nothing);
}
END_TEST

START_TEST(typed_fields_are_read_as_raw_data_are) {
    static const int64_t values[] = {-1, 2};
    coppice_value value;
    wire w = wire_tensor("x", COPPICE_TYPE_INT8, 1, 2);
    wire_ints(&w, TENSOR_INT32S, 2, values);
    write_wire(w);
    ck_assert_int_eq(coppice_value_read(path, COPPICE_KIND_TENSOR, &value, &err), COPPICE_OK);
    ck_assert_int_eq(((int8_t *)value.tensor.data)[0], -1);
    ck_assert_int_eq(((int8_t *)value.tensor.data)[1], 2);
    coppice_value_release(&value);
}
END_TEST

START_TEST(what_cannot_be_written_is_refused) {
    coppice_value map = {.kind = COPPICE_KIND_MAP};
    ck_assert_int_eq(coppice_value_write(path, NULL, &map, true, &err), COPPICE_UNSUPPORTED);
    coppice_value no_data = tensor_value(COPPICE_TYPE_FLOAT, 4, NULL);
    ck_assert_int_eq(coppice_value_write(path, NULL, &no_data, true, &err),
                     COPPICE_INVALID_ARGUMENT);
    coppice_value mixed[] = {tensor_value(COPPICE_TYPE_FLOAT, 4, floats),
                             {.kind = COPPICE_KIND_SEQUENCE}};
    coppice_value sequence = {.kind = COPPICE_KIND_SEQUENCE, .items = mixed, .count = 2};
    ck_assert_int_eq(coppice_value_write(path, NULL, &sequence, true, &err),
                     COPPICE_INVALID_ARGUMENT);
    coppice_value two = {.kind = COPPICE_KIND_OPTIONAL, .items = mixed, .count = 2};
    ck_assert_int_eq(coppice_value_write(path, NULL, &two, true, &err), COPPICE_INVALID_ARGUMENT);
    ck_assert_uint_eq(files_in_folder(), 0);
    check_round_trip(&mixed[0]);
    ck_assert_int_eq(coppice_value_write(path, NULL, &mixed[0], false, &err), COPPICE_EXISTS);
}
END_TEST

/* ---- hostile files ---- */

/* Sequences inside each other, as deep as one likes. */
static wire nested(int depth) {
    wire w = {0};
    for (int i = 0; i < depth; i++) {
        wire outer = {0};
        wire_message(&outer, 5, w);
        w = outer;
    }
    return w;
}

START_TEST(hostile_files_are_refused) {
    coppice_value missing;
    ck_assert_int_eq(coppice_value_read(path, COPPICE_KIND_TENSOR, &missing, &err),
                     COPPICE_NOT_FOUND);
    ck_assert_int_eq(read_wire(nested(1000), COPPICE_KIND_SEQUENCE), COPPICE_LIMIT);
    ck_assert_int_eq(read_wire(nested(8), COPPICE_KIND_SEQUENCE), COPPICE_OK);

    wire huge = {0}; /* a length beyond everything */
    wire_tag(&huge, 3, 2);
    wire_varint(&huge, UINT64_MAX);
    ck_assert_int_eq(read_wire(huge, COPPICE_KIND_SEQUENCE), COPPICE_BAD_DATA);

    wire endless = {0};
    wire_append(&endless, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
    ck_assert_int_eq(read_wire(endless, COPPICE_KIND_SEQUENCE), COPPICE_BAD_DATA);

    wire group = {0};
    wire_tag(&group, 3, 3);
    ck_assert_int_eq(read_wire(group, COPPICE_KIND_OPTIONAL), COPPICE_BAD_DATA);

    wire number = {0}; /* an item that is no message */
    wire_int(&number, 3, 1);
    ck_assert_int_eq(read_wire(number, COPPICE_KIND_SEQUENCE), COPPICE_BAD_DATA);

    wire map = {0};
    wire_text(&map, 6, "");
    ck_assert_int_eq(read_wire(map, COPPICE_KIND_SEQUENCE), COPPICE_UNSUPPORTED);
    ck_assert_int_eq(read_wire((wire){0}, COPPICE_KIND_MAP), COPPICE_UNSUPPORTED);

    wire twice = {0};
    wire_message(&twice, 3, wire_raw_tensor("a", COPPICE_TYPE_UINT8, 1, "x", 1));
    wire_message(&twice, 3, wire_raw_tensor("b", COPPICE_TYPE_UINT8, 1, "x", 1));
    ck_assert_int_eq(read_wire(twice, COPPICE_KIND_OPTIONAL), COPPICE_BAD_DATA);
    ck_assert_ptr_nonnull(strstr(err.message, "two values"));
}
END_TEST

START_TEST(tensors_that_disagree_with_themselves_are_refused) {
    ck_assert_int_eq(read_wire((wire){0}, COPPICE_KIND_TENSOR), COPPICE_UNSUPPORTED); /* no type */
    ck_assert_int_eq(read_wire(wire_tensor("x", COPPICE_TYPE_FLOAT, 1, 4), COPPICE_KIND_TENSOR),
                     COPPICE_BAD_DATA);
    ck_assert_int_eq(err.status, COPPICE_BAD_DATA);
    ck_assert_int_eq(
        read_wire(wire_raw_tensor("x", COPPICE_TYPE_FLOAT, 4, floats, 15), COPPICE_KIND_TENSOR),
        COPPICE_BAD_DATA);
    ck_assert_int_eq(read_wire(wire_tensor("x", COPPICE_TYPE_FLOAT, 4, INT32_MAX, INT32_MAX,
                                           INT32_MAX, INT32_MAX),
                               COPPICE_KIND_TENSOR),
                     COPPICE_BAD_DATA);
    ck_assert_int_eq(read_wire(wire_tensor("x", 99, 1, 1), COPPICE_KIND_TENSOR),
                     COPPICE_UNSUPPORTED);
    ck_assert_int_eq(read_wire(wire_tensor("x", COPPICE_TYPE_STRING, 1, 2), COPPICE_KIND_TENSOR),
                     COPPICE_BAD_DATA);
    ck_assert_int_eq(
        read_wire(wire_raw_tensor("x", COPPICE_TYPE_STRING, 1, floats, 16), COPPICE_KIND_TENSOR),
        COPPICE_BAD_DATA);
    wire elsewhere = wire_tensor("x", COPPICE_TYPE_FLOAT, 1, 4);
    wire_int(&elsewhere, TENSOR_LOCATION, 1);
    ck_assert_int_eq(read_wire(elsewhere, COPPICE_KIND_TENSOR), COPPICE_UNSUPPORTED);
    wire deep = wire_tensor("x", COPPICE_TYPE_UINT8, 0);
    for (int i = 0; i <= COPPICE_MAX_RANK; i++)
        wire_int(&deep, TENSOR_DIMS, 1);
    wire_bytes(&deep, TENSOR_RAW, "x", 1);
    ck_assert_int_eq(read_wire(deep, COPPICE_KIND_TENSOR), COPPICE_LIMIT);
}
END_TEST

START_TEST(a_file_cut_or_changed_anywhere_never_crashes) {
    coppice_value items[] = {tensor_value(COPPICE_TYPE_STRING, 3, words),
                             tensor_value(COPPICE_TYPE_STRING, 1, words)};
    coppice_value sequence = {.kind = COPPICE_KIND_SEQUENCE, .items = items, .count = 2}, value;
    ck_assert_int_eq(coppice_value_write(path, "name", &sequence, true, &err), COPPICE_OK);
    unsigned char bytes[512];
    FILE *file = fopen(path, "rb");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    for (size_t i = 0; i < size; i++) {
        for (int kind = COPPICE_KIND_TENSOR; kind <= COPPICE_KIND_OPTIONAL; kind++) {
            wire changed = {0};
            wire_append(&changed, bytes, size);
            changed.data[i] ^= (unsigned char)(0x5a + kind);
            read_wire(changed, (coppice_kind)kind);
        }
        wire cut = {0};
        wire_append(&cut, bytes, i);
        write_wire(cut);
        if (coppice_value_read(path, COPPICE_KIND_SEQUENCE, &value, &err) == COPPICE_OK)
            ck_assert_uint_lt(value.count, 2);
        coppice_value_release(&value);
    }
}
END_TEST

/* ---- comparing ---- */

static char reason[256];

static bool is_close(coppice_value got, coppice_value wanted) {
    return coppice_value_is_close(&got, &wanted, 1e-3, 1e-5, reason, sizeof reason);
}

START_TEST(comparing_says_what_differs) {
    float other[] = {1.5f, -2.001f, 3, INFINITY};
    coppice_value wanted = tensor_value(COPPICE_TYPE_FLOAT, 4, floats);
    ck_assert(is_close(tensor_value(COPPICE_TYPE_FLOAT, 4, other), wanted));
    other[2] = 3.5f;
    ck_assert(!is_close(tensor_value(COPPICE_TYPE_FLOAT, 4, other), wanted));
    ck_assert_str_eq(reason, "1 of 4 elements differ, by up to 0.5; the first is element 2: 3.5, "
                             "expected 3");
    other[2] = 3;
    other[3] = -INFINITY;
    ck_assert(!is_close(tensor_value(COPPICE_TYPE_FLOAT, 4, other), wanted));
    other[3] = 1e30f;
    ck_assert(!is_close(tensor_value(COPPICE_TYPE_FLOAT, 4, other), wanted));
    ck_assert(!is_close(tensor_value(COPPICE_TYPE_FLOAT, 3, other), wanted));
    ck_assert_str_eq(reason, "has shape [3], expected [4]");
    ck_assert(!is_close(tensor_value(COPPICE_TYPE_INT32, 4, other), wanted));
    ck_assert_str_eq(reason, "is int32, expected float32");

    float nan[] = {NAN};
    ck_assert(is_close(tensor_value(COPPICE_TYPE_FLOAT, 1, nan),
                       tensor_value(COPPICE_TYPE_FLOAT, 1, nan)));
    ck_assert(!is_close(tensor_value(COPPICE_TYPE_FLOAT, 1, nan),
                        tensor_value(COPPICE_TYPE_FLOAT, 1, floats)));
    ck_assert(!is_close(tensor_value(COPPICE_TYPE_FLOAT, 1, floats),
                        tensor_value(COPPICE_TYPE_FLOAT, 1, nan)));
}
END_TEST

START_TEST(integers_and_strings_must_be_equal) {
    int64_t a[] = {(int64_t)1 << 60, 7}, b[] = {((int64_t)1 << 60) + 1, 7};
    ck_assert(
        !is_close(tensor_value(COPPICE_TYPE_INT64, 2, a), tensor_value(COPPICE_TYPE_INT64, 2, b)));
    coppice_string other[] = {{"", 0}, {"cafe", 4}, {"a\0c", 3}};
    ck_assert(!is_close(tensor_value(COPPICE_TYPE_STRING, 3, other),
                        tensor_value(COPPICE_TYPE_STRING, 3, words)));
    ck_assert_ptr_nonnull(strstr(reason, "string 1 of 3 is 'cafe'"));
    ck_assert(is_close(tensor_value(COPPICE_TYPE_INT4, 3, "\x21\xf3"),
                       tensor_value(COPPICE_TYPE_INT4, 3, "\x21\x03")));
    ck_assert(!is_close(tensor_value(COPPICE_TYPE_INT4, 3, "\x21\x03"),
                        tensor_value(COPPICE_TYPE_INT4, 3, "\x31\x03")));
}
END_TEST

START_TEST(sequences_are_compared_item_by_item) {
    float other[] = {9, -2, 3, INFINITY};
    coppice_value a[] = {tensor_value(COPPICE_TYPE_FLOAT, 4, floats),
                         tensor_value(COPPICE_TYPE_FLOAT, 4, floats)};
    coppice_value b[] = {a[0], tensor_value(COPPICE_TYPE_FLOAT, 4, other)};
    coppice_value got = {.kind = COPPICE_KIND_SEQUENCE, .items = a, .count = 2};
    coppice_value wanted = {.kind = COPPICE_KIND_SEQUENCE, .items = b, .count = 2};
    ck_assert(!is_close(got, wanted));
    ck_assert_ptr_eq(strstr(reason, "item 1 1 of 4 elements differ"), reason);
    ck_assert(is_close(got, got));
    wanted.count = 1;
    ck_assert(!is_close(got, wanted));
    ck_assert_str_eq(reason, "is a sequence of 2, expected 1");
    ck_assert(!is_close(got, a[0]));
    ck_assert_str_eq(reason, "is a sequence, expected a tensor");
    ck_assert(!coppice_value_is_close(&got, &a[0], 0, 0, NULL, 0));
}
END_TEST

/* ---- strings in .npy and .npz ---- */

START_TEST(strings_survive_a_npy) {
    static const coppice_string texts[] = {
        {"", 0}, {"caf\xc3\xa9", 5}, {"\xf0\x9f\x8c\xb3", 4}, {"\xff\xc3", 2}, {"a\0b", 3}};
    coppice_value value = tensor_value(COPPICE_TYPE_STRING, 5, texts), back = {0};
    ck_assert_int_eq(coppice_npy_write(path, &value.tensor, true, &err), COPPICE_OK);
    ck_assert_int_eq(coppice_npy_read(path, &back.tensor, &err), COPPICE_OK);
    ck_assert_msg(coppice_value_is_close(&back, &value, 0, 0, reason, sizeof reason), "%s", reason);
    coppice_tensor_release(&back.tensor);

    const char *const names[] = {"texts"};
    coppice_npz *npz;
    ck_assert_int_eq(coppice_npz_write(path, 1, names, &value.tensor, true, &err), COPPICE_OK);
    ck_assert_int_eq(coppice_npz_open(path, &npz, &err), COPPICE_OK);
    ck_assert_int_eq(coppice_npz_read(npz, 0, &back.tensor, &err), COPPICE_OK);
    coppice_npz_free(npz);
    ck_assert_msg(coppice_value_is_close(&back, &value, 0, 0, reason, sizeof reason), "%s", reason);
    coppice_tensor_release(&back.tensor);
}
END_TEST

START_TEST(strings_are_stored_as_numpy_has_them) {
    static const coppice_string texts[] = {{"ab", 2}, {"\xc3\xa9", 2}};
    static const unsigned char stored[] = {'a', 0, 0, 0, 'b', 0, 0, 0, 0xe9, 0, 0, 0, 0, 0, 0, 0};
    coppice_value value = tensor_value(COPPICE_TYPE_STRING, 2, texts);
    ck_assert_int_eq(coppice_npy_write(path, &value.tensor, true, &err), COPPICE_OK);
    char bytes[256];
    FILE *file = fopen(path, "rb");
    ck_assert_uint_eq(fread(bytes, 1, sizeof bytes, file), 128 + sizeof stored);
    fclose(file);
    ck_assert_ptr_nonnull(strstr(bytes + 10, "'descr': '<U2'"));
    ck_assert_mem_eq(bytes + 128, stored, sizeof stored);
}
END_TEST

START_TEST(types_that_numpy_lacks_are_widened) {
    coppice_tensor back;
    coppice_value value = tensor_value(COPPICE_TYPE_FLOAT8E4M3FN, 2, "\x38\xc0");
    ck_assert_int_eq(coppice_npy_write(path, &value.tensor, true, &err), COPPICE_OK);
    ck_assert_int_eq(coppice_npy_read(path, &back, &err), COPPICE_OK);
    ck_assert_int_eq(back.type, COPPICE_TYPE_FLOAT);
    ck_assert(((float *)back.data)[0] == 1 && ((float *)back.data)[1] == -2);
    coppice_tensor_release(&back);
    value = tensor_value(COPPICE_TYPE_INT4, 3, "\xf1\x07");
    ck_assert_int_eq(coppice_npy_write(path, &value.tensor, true, &err), COPPICE_OK);
    ck_assert_int_eq(coppice_npy_read(path, &back, &err), COPPICE_OK);
    ck_assert_int_eq(back.type, COPPICE_TYPE_INT8);
    ck_assert_mem_eq(back.data, "\x01\xff\x07", 3);
    coppice_tensor_release(&back);
    double min, max, mean;
    coppice_tensor_range(&value.tensor, &min, &max, &mean);
    ck_assert(min == -1 && max == 7 && fabs(mean - 7.0 / 3) < 1e-12);
}
END_TEST

START_TEST(wide_arrays_are_narrowed_where_they_fit) {
    float numbers[] = {1, -2, 1e30f};
    signed char integers[] = {-8, 7, 3};
    coppice_tensor t;
    coppice_value value = tensor_value(COPPICE_TYPE_FLOAT, 3, numbers);
    ck_assert_int_eq(coppice_npy_write(path, &value.tensor, true, &err), COPPICE_OK);
    ck_assert_int_eq(coppice_npy_read(path, &t, &err), COPPICE_OK);
    ck_assert_int_eq(coppice_tensor_narrow(&t, COPPICE_TYPE_INT4, &err), COPPICE_INVALID_ARGUMENT);
    ck_assert_int_eq(coppice_tensor_narrow(&t, COPPICE_TYPE_DOUBLE, &err),
                     COPPICE_INVALID_ARGUMENT);
    ck_assert_int_eq(coppice_tensor_narrow(&t, COPPICE_TYPE_FLOAT8E5M2, &err), COPPICE_OK);
    ck_assert_mem_eq(t.data, "\x3c\xc0\x7c", 3);
    coppice_tensor_release(&t);

    value = tensor_value(COPPICE_TYPE_INT8, 3, integers);
    ck_assert_int_eq(coppice_npy_write(path, &value.tensor, true, &err), COPPICE_OK);
    ck_assert_int_eq(coppice_npy_read(path, &t, &err), COPPICE_OK);
    ck_assert_int_eq(coppice_tensor_narrow(&t, COPPICE_TYPE_INT2, &err), COPPICE_INVALID_ARGUMENT);
    ck_assert_int_eq(coppice_tensor_narrow(&t, COPPICE_TYPE_INT4, &err), COPPICE_OK);
    ck_assert_mem_eq(t.data, "\x78\x03", 2);
    coppice_tensor_release(&t);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("values");
    tcase_add_checked_fixture(tests, setup, remove_folder);
    tcase_add_test(tests, tensors_survive_a_file);
    tcase_add_test(tests, sequences_and_optionals_survive_a_file);
    tcase_add_test(tests, typed_fields_are_read_as_raw_data_are);
    tcase_add_test(tests, what_cannot_be_written_is_refused);
    tcase_add_test(tests, hostile_files_are_refused);
    tcase_add_test(tests, tensors_that_disagree_with_themselves_are_refused);
    tcase_add_test(tests, a_file_cut_or_changed_anywhere_never_crashes);
    tcase_add_test(tests, comparing_says_what_differs);
    tcase_add_test(tests, integers_and_strings_must_be_equal);
    tcase_add_test(tests, sequences_are_compared_item_by_item);
    tcase_add_test(tests, strings_survive_a_npy);
    tcase_add_test(tests, strings_are_stored_as_numpy_has_them);
    tcase_add_test(tests, types_that_numpy_lacks_are_widened);
    tcase_add_test(tests, wide_arrays_are_narrowed_where_they_fit);
    return unit_run("values", tests);
}
