/* Tests of operators that read and write at indices: indices outside, ranks and shapes that do not
 * fit, and elements of every size. */
#include "runtime/ops/util.h"
#include "small_graph.h"
#include "unit.h"

static void begin(const int64_t *data, uint32_t rank) {
    small_begin(24);
    small_weights("x", rank, data);
}

static int indices(uint32_t rank, const int64_t *dims, const int64_t *values) {
    return small_constant("i", COPPICE_TYPE_INT64, rank, dims, values);
}

/* ---- gathering ---- */

START_TEST(gathering_refuses_indices_outside) {
    static const char *const ops[] = {"Gather", "GatherElements", "GatherND"};
    static const int64_t bad[] = {3, -4, INT64_MIN, INT64_MAX};
    for (int op = 0; op < 3; op++) {
        for (int i = 0; i < 4; i++) {
            begin((int64_t[]){3, 2}, 2);
            int64_t values[] = {0, bad[i]};
            int at = op == 0 ? indices(DIMS(2), values) : indices(DIMS(2, 1), values);
            small_node(ops[op], 2, 0, at);
            small_refused(COPPICE_BAD_DATA, "(element 1 of input 1, 'i') is not within 3 elements");
        }
    }
}
END_TEST

START_TEST(gathering_refuses_shapes_that_do_not_fit) {
    static const struct {
        const char *op, *attr;
        int64_t value;
        uint32_t rank;
        int64_t dims[4];
        const char *message;
    } cases[] = {
        {"Gather", "axis", 2, 1, {1}, "axis 2 is not within 2 dimensions"},
        {"Gather", "axis", INT64_MIN, 1, {1}, "is not within 2 dimensions"},
        {"GatherElements", "axis", -3, 2, {1, 1}, "axis -3 is not within 2 dimensions"},
        {"GatherElements", "axis", 0, 1, {1}, "indices 'i' are [1]"},
        {"GatherElements", "axis", 0, 2, {1, 3}, "indices 'i' are [1,3]"},
        {"GatherND", "batch_dims", 0, 1, {3}, "indices 'i' are [3]"},
        {"GatherND", "batch_dims", -1, 1, {1}, "batch_dims -1"},
        {"GatherND", "batch_dims", 2, 2, {3, 2}, "batch_dims 2"},
        {"GatherND", "batch_dims", 1, 2, {2, 1}, "indices 'i' are [2,1]"},
        {"GatherND", "batch_dims", INT64_MAX, 2, {2, 1}, "indices 'i' are [2,1]"},
        {"GatherND", "batch_dims", 0, 0, {0}, "indices 'i' are []"},
    };
    int64_t zeros[8] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin((int64_t[]){3, 2}, 2);
        small_node(cases[i].op, 2, 0, indices(cases[i].rank, cases[i].dims, zeros));
        small_attr(cases[i].attr, cases[i].value);
        small_refused(COPPICE_BAD_MODEL, cases[i].message);
    }
    small_begin(13);
    small_node("GatherND", 2, small_weights("x", SCALAR), indices(DIMS(1), zeros));
    small_refused(COPPICE_BAD_MODEL, "does not fit []");
    small_begin(13);
    int x = small_weights("x", DIMS(3, 2));
    small_node("Gather", 2, x, small_weights("i", DIMS(1)));
    small_refused(COPPICE_BAD_MODEL, "'i') has type float32");
}
END_TEST

/* Elements of every size; long enough for more than one chunk. */
START_TEST(elements_of_every_size_are_gathered) {
    static const coppice_type types[] = {
        COPPICE_TYPE_UINT8,  COPPICE_TYPE_BOOL,   COPPICE_TYPE_INT16,     COPPICE_TYPE_FLOAT,
        COPPICE_TYPE_DOUBLE, COPPICE_TYPE_STRING, COPPICE_TYPE_COMPLEX128};
    enum { COUNT = 1000 };
    static char data[COUNT * 16];
    static int64_t order[COUNT];
    for (int i = 0; i < COUNT; i++)
        order[i] = i % 2 ? -1 - i : i * 7 % COUNT;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 31 % 251);
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        size_t bytes = cop_type_bytes(types[t]);
        small_begin(13);
        int x = small_constant("x", types[t], DIMS(COUNT), data);
        int i = indices(DIMS(COUNT), order), n = indices(DIMS(COUNT, 1), order);
        int y[] = {small_node("Gather", 2, x, i), small_node("GatherElements", 2, x, i),
                   small_node("GatherND", 2, x, n)};
        ck_assert_msg(small_infer() == COPPICE_OK, "%s", small_error.message);
        for (int k = 0; k < 3; k++) {
            const char *out = small_it.shapes.values[y[k]].t.data;
            for (int j = 0; j < COUNT; j++)
                ck_assert_mem_eq(
                    out + (size_t)j * bytes,
                    data + (size_t)(order[j] < 0 ? COUNT + order[j] : order[j]) * bytes, bytes);
        }
        small_end();
    }
}
END_TEST

/* ---- scattering ---- */

START_TEST(scattering_refuses_what_does_not_fit) {
    static const struct {
        const char *op, *reduction;
        int64_t opset, axis;
        uint32_t rank, update_rank;
        int64_t dims[3], index, update_dims[3];
        coppice_status status;
        const char *message;
    } cases[] = {
        {"ScatterElements", "none", 18, 0, 2, 2, {1, 1}, 3, {1, 1}, COPPICE_BAD_DATA, "index 3"},
        {"ScatterElements", "add", 18, 0, 2, 2, {1, 1}, -4, {1, 1}, COPPICE_BAD_DATA, "index -4"},
        {"Scatter", "none", 10, 1, 2, 2, {1, 1}, 2, {1, 1}, COPPICE_BAD_DATA, "index 2"},
        {"ScatterElements", "none", 18, 2, 2, 2, {1, 1}, 0, {1, 1}, COPPICE_BAD_MODEL, "axis 2"},
        {"ScatterElements", "none", 18, 0, 2, 2, {1, 1}, 0, {1, 2}, COPPICE_BAD_MODEL, "updates"},
        {"ScatterElements", "none", 18, 0, 2, 2, {1, 3}, 0, {1, 3}, COPPICE_BAD_MODEL, "[1,3]"},
        {"ScatterElements", "none", 18, 0, 1, 1, {1}, 0, {1}, COPPICE_BAD_MODEL, "are [1]"},
        {"ScatterElements", "max", 16, 0, 2, 2, {1, 1}, 0, {1, 1}, COPPICE_BAD_MODEL, "'max'"},
        {"ScatterElements", "add", 13, 0, 2, 2, {1, 1}, 0, {1, 1}, COPPICE_BAD_MODEL, "'add'"},
        {"ScatterElements", "sum", 18, 0, 2, 2, {1, 1}, 0, {1, 1}, COPPICE_BAD_MODEL, "'sum'"},
        {"ScatterND", "none", 18, 0, 1, 1, {1}, INT64_MIN, {2}, COPPICE_BAD_DATA, "index -92"},
        {"ScatterND", "none", 18, 0, 1, 1, {3}, 0, {2}, COPPICE_BAD_MODEL, "indices 'i' are [3]"},
        {"ScatterND", "none", 18, 0, 1, 2, {1}, 0, {1, 2}, COPPICE_BAD_MODEL, "'u' [1,2]"},
        {"ScatterND", "none", 18, 0, 1, 1, {1}, 0, {3}, COPPICE_BAD_MODEL, "'u' [3]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t values[8] = {cases[i].index};
        small_begin(cases[i].opset);
        int x = small_weights("x", DIMS(3, 2));
        int u = small_weights("u", cases[i].update_rank, cases[i].update_dims);
        small_node(cases[i].op, 3, x, indices(cases[i].rank, cases[i].dims, values), u);
        if (strcmp(cases[i].op, "ScatterND"))
            small_attr("axis", cases[i].axis);
        small_attr_string("reduction", cases[i].reduction);
        small_refused(cases[i].status, cases[i].message);
    }
    small_begin(18);
    int x = small_weights("x", DIMS(3, 2)), u = indices(DIMS(1, 1), (int64_t[]){0});
    small_node("ScatterElements", 3, x, u, u);
    small_refused(COPPICE_BAD_MODEL, "updates 'i' are int64, the data are float32");
}
END_TEST

START_TEST(repeated_indices_are_written_in_order_and_reduced) {
    float data[] = {1, 2, 3}, updates[] = {5, 7, -1};
    int64_t at[] = {1, -2, 1};
    static const struct {
        const char *reduction;
        float want;
    } cases[] = {{"none", -1}, {"add", 13}, {"mul", -70}, {"max", 7}, {"min", -1}};
    for (int i = 0; i < 5; i++) {
        small_begin(18);
        int x = small_constant("x", COPPICE_TYPE_FLOAT, DIMS(3), data);
        int u = small_constant("u", COPPICE_TYPE_FLOAT, DIMS(3), updates);
        int y = small_node("ScatterElements", 3, x, indices(DIMS(3), at), u);
        small_attr_string("reduction", cases[i].reduction);
        int z = small_node("ScatterND", 3, x, indices(DIMS(3, 1), at), u);
        small_attr_string("reduction", cases[i].reduction);
        ck_assert_msg(small_infer() == COPPICE_OK, "%s", small_error.message);
        const float *a = small_it.shapes.values[y].t.data, *b = small_it.shapes.values[z].t.data;
        ck_assert(a[0] == 1 && a[1] == cases[i].want && a[2] == 3);
        ck_assert(b[0] == 1 && b[1] == cases[i].want && b[2] == 3);
        small_end();
    }
}
END_TEST

START_TEST(a_cache_refuses_rows_behind_its_end) {
    static const int64_t bad[][2] = {{3, 0}, {0, -1}, {0, INT64_MAX}};
    for (int i = 0; i < 3; i++) {
        small_begin(24);
        int x = small_weights("x", DIMS(2, 4, 3)), u = small_weights("u", DIMS(2, 2, 3));
        small_node("TensorScatter", 3, x, u, indices(DIMS(2), bad[i]));
        small_refused(COPPICE_BAD_DATA, "2 rows do not fit into 4");
    }
    small_begin(24);
    int x = small_weights("x", DIMS(2, 4, 3)), u = small_weights("u", DIMS(2, 5, 3));
    small_node("TensorScatter", 2, x, u);
    small_refused(COPPICE_BAD_MODEL, "the update 'u'");
    small_begin(24);
    x = small_weights("x", DIMS(2, 4, 3)), u = small_weights("u", DIMS(2, 2, 3));
    small_node("TensorScatter", 3, x, u, indices(DIMS(1), bad[0]));
    small_refused(COPPICE_BAD_MODEL, "write_indices 'i' are [1]");
    small_begin(24);
    x = small_weights("x", DIMS(2, 4, 3)), u = small_weights("u", DIMS(2, 2, 3));
    small_node("TensorScatter", 2, x, u);
    small_attr("axis", 0);
    small_refused(COPPICE_BAD_MODEL, "on axis 0");
}
END_TEST

START_TEST(nothing_to_gather_or_scatter_is_fine) {
    small_begin(18);
    int x = small_weights("x", DIMS(3, 2)), none = indices(DIMS(0, 2), NULL);
    int u = small_weights("u", DIMS(0, 2)), v = small_weights("v", DIMS(0));
    int y = small_node("GatherElements", 2, x, none), z = small_node("GatherND", 2, x, none);
    int e = small_node("ScatterElements", 3, x, none, u),
        f = small_node("ScatterND", 3, x, none, v);
    int g = small_node("Gather", 2, x, none);
    ck_assert_msg(small_infer() == COPPICE_OK, "%s", small_error.message);
    small_has_shape(y, DIMS(0, 2));
    small_has_shape(z, 1, (int64_t[]){0});
    small_has_shape(g, DIMS(0, 2, 2));
    const void *data = small_it.shapes.values[x].t.data;
    ck_assert_mem_eq(small_it.shapes.values[e].t.data, data, 24);
    ck_assert_mem_eq(small_it.shapes.values[f].t.data, data, 24);
    small_end();
}
END_TEST

/* Rows that become columns go by squares, with edges of all sizes. */
START_TEST(transpose_turns_matrices_of_all_sizes) {
    static const int64_t perms[][3] = {{0, 2, 1}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}, {1, 0, 2}};
    static const int64_t dims[][3] = {{3, 70, 130}, {2, 3, 67}, {5, 16, 4}, {1, 65, 2}};
    for (int i = 0; i < 20; i++) {
        const int64_t *d = dims[i / 5], *perm = perms[i % 5];
        int64_t stride[3] = {d[1] * d[2], d[2], 1};
        small_begin(13);
        int x = small_weights("x", 3, d), y = small_node("Transpose", 1, x);
        small_attr_ints("perm", 3, perm);
        small_inferred();
        const coppice_tensor *out = small_tensor(y);
        for (int64_t k = 0; k < coppice_tensor_count(out); k++) {
            int64_t c = k % out->dims[2], b = k / out->dims[2] % out->dims[1];
            int64_t a = k / out->dims[2] / out->dims[1];
            int64_t from = a * stride[perm[0]] + b * stride[perm[1]] + c * stride[perm[2]];
            ck_assert(((float *)out->data)[k] == ((float *)small_tensor(x)->data)[from]);
        }
        small_end();
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("index");
    tcase_add_test(tests, gathering_refuses_indices_outside);
    tcase_add_test(tests, gathering_refuses_shapes_that_do_not_fit);
    tcase_add_test(tests, elements_of_every_size_are_gathered);
    tcase_add_test(tests, scattering_refuses_what_does_not_fit);
    tcase_add_test(tests, repeated_indices_are_written_in_order_and_reduced);
    tcase_add_test(tests, a_cache_refuses_rows_behind_its_end);
    tcase_add_test(tests, nothing_to_gather_or_scatter_is_fine);
    tcase_add_test(tests, transpose_turns_matrices_of_all_sizes);
    return unit_run("index", tests);
}
