/* Pruning: how many weights become zero, and which of one layer. */
#include "net.h"
#include "prune/select.h"

START_TEST(zeros_are_exact_at_every_sparsity) {
    for (int k = 0; k <= 50; k++) {
        float data[50];
        fill(data, 50);
        net n;
        one_layer(&n, data, 5, 10);
        coppice_prune_options options = all_layers(k / 50.0);
        cop_prune_plan *plan = prune(&n, &options);
        ck_assert_uint_eq(zeros_in(data, 50), (size_t)k);
        ck_assert_int_eq(plan->report.zeros, k);
        ck_assert_int_eq(plan->report.weights, 50);
        for (int i = 0; i < 50; i++) /* the k smallest are 0.01 .. 0.01 k */
            ck_assert(data[i] == 0 || fabsf(data[i]) > 0.01f * (float)k + 0.005f);
        coppice_prune_report_free(&plan->report);
        net_close(&n);
    }
}
END_TEST

START_TEST(number_of_zeros_rounds_half_to_even) {
    ck_assert_int_eq(cop_zeros_wanted(0.5, 5), 2);
    ck_assert_int_eq(cop_zeros_wanted(0.5, 7), 4);
    ck_assert_int_eq(cop_zeros_wanted(0.25, 10), 2);
    ck_assert_int_eq(cop_zeros_wanted(0.75, 10), 8);
    ck_assert_int_eq(cop_zeros_wanted(0, 10), 0);
    ck_assert_int_eq(cop_zeros_wanted(1, 10), 10);
    ck_assert_int_eq(cop_zeros_wanted(0.3, 10), 3);
}
END_TEST

START_TEST(of_equal_magnitudes_the_lower_index_goes) {
    float data[] = {1, -1, 1, -1, 2, 1};
    net n;
    one_layer(&n, data, 2, 3);
    coppice_prune_options options = all_layers(0.5);
    cop_prune_plan *plan = prune(&n, &options);
    const float expected[] = {0, 0, 0, -1, 2, 1};
    ck_assert_mem_eq(data, expected, sizeof data);
    const uint8_t mask[] = {0, 0, 0, 1, 1, 1};
    uint8_t kept[sizeof mask];
    coppice_masks_read(plan->report.masks, 0, kept);
    ck_assert_mem_eq(kept, mask, sizeof mask);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(large_tensors_with_many_ties_are_exact) {
    enum { N = 200003 };
    float *data = malloc(N * sizeof *data);
    for (size_t i = 0; i < N; i++)
        data[i] = (float)(i * 7919 % 5) - 2; /* -2 .. 2: zeros and ties */
    net n;
    one_layer(&n, data, 1, N);
    coppice_prune_options options = all_layers(0.5);
    cop_prune_plan *plan = prune(&n, &options);
    ck_assert_uint_eq(zeros_in(data, N), 100002); /* 100001.5 to even */
    size_t last_gone = 0, first_kept = N;         /* among |w| = 1 */
    for (size_t i = 0; i < N; i++)
        if (i * 7919 % 5 == 1 || i * 7919 % 5 == 3) {
            if (data[i] == 0)
                last_gone = i;
            else if (first_kept == N)
                first_kept = i;
        }
    ck_assert_uint_lt(last_gone, first_kept);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
    free(data);
}
END_TEST

START_TEST(existing_zeros_count_and_minus_zero_becomes_plus_zero) {
    float data[] = {0.0f, -0.0f, 3, 4, 5, 0.1f, 7, 8};
    net n;
    one_layer(&n, data, 2, 4);
    coppice_prune_options options = all_layers(0.375);
    cop_prune_plan *plan = prune(&n, &options);
    const float expected[] = {0, 0, 3, 4, 5, 0, 7, 8};
    ck_assert_mem_eq(data, expected, sizeof data); /* bits: no -0.0 */
    ck_assert_int_eq(plan->report.zeros, 3);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(more_existing_zeros_than_asked_for_stay_and_are_masked) {
    float data[] = {0, 0, 0, 4};
    net n;
    one_layer(&n, data, 2, 2);
    coppice_prune_options options = all_layers(0.25);
    cop_prune_plan *plan = prune(&n, &options);
    const uint8_t mask[] = {0, 0, 0, 1};
    ck_assert_int_eq(plan->report.zeros, 3);
    uint8_t kept[sizeof mask];
    coppice_masks_read(plan->report.masks, 0, kept);
    ck_assert_mem_eq(kept, mask, sizeof mask);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(nan_is_refused_and_nothing_changes) {
    float data[] = {1, 2, NAN, 4}, first[] = {1, 2, 3, 4};
    net n;
    net_open(&n, NULL, "main");
    add_node(&n, "MatMul", "a", add_weight(&n, "wa", COPPICE_TYPE_FLOAT, first, 2, 2, 2));
    add_node(&n, "MatMul", "b", add_weight(&n, "wb", COPPICE_TYPE_FLOAT, data, 2, 2, 2));
    set_outputs(&n, 1, n.last);
    coppice_prune_options options = all_layers(0.5);
    expect_failure(&n, &options, COPPICE_BAD_DATA, "initializer 'wb': weight 2 is NaN");
    ck_assert_uint_eq(zeros_in(first, 4), 0);
    net_close(&n);
}
END_TEST

START_TEST(infinite_weights_are_the_largest) {
    float data[] = {-INFINITY, 2, 3, INFINITY};
    net n;
    one_layer(&n, data, 2, 2);
    coppice_prune_options options = all_layers(0.5);
    cop_prune_plan *plan = prune(&n, &options);
    const float expected[] = {-INFINITY, 0, 0, INFINITY};
    ck_assert_mem_eq(data, expected, sizeof data);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(half_bfloat_and_double_are_pruned_in_their_own_type) {
    uint16_t half[6], bfloat[6];
    double wide[6];
    float values[] = {0.5f, -0.25f, 1, -2, 0.125f, 4};
    for (int i = 0; i < 6; i++) {
        half[i] = cop_half_from_float(values[i]);
        bfloat[i] = cop_bfloat_from_float(values[i]);
        wide[i] = (double)values[i] * (1 + 1e-12 * i);
    }
    net n;
    net_open(&n, NULL, "main");
    add_node(&n, "MatMul", "h", add_weight(&n, "hw", COPPICE_TYPE_FLOAT16, half, 2, 2, 3));
    add_node(&n, "MatMul", "b", add_weight(&n, "bw", COPPICE_TYPE_BFLOAT16, bfloat, 2, 2, 3));
    add_node(&n, "MatMul", "d", add_weight(&n, "dw", COPPICE_TYPE_DOUBLE, wide, 2, 2, 3));
    set_outputs(&n, 1, n.last);
    coppice_prune_options options = all_layers(0.5);
    for (int global = 0; global < 2; global++) { /* global: one order over three types */
        options.scope = global ? COPPICE_SCOPE_GLOBAL : COPPICE_SCOPE_LAYER;
        cop_prune_plan *plan = prune(&n, &options);
        for (int i = 0; i < 6; i++) {
            bool kept = fabsf(values[i]) >= 1;
            ck_assert_uint_eq(half[i], kept ? cop_half_from_float(values[i]) : 0);
            ck_assert_uint_eq(bfloat[i], kept ? cop_bfloat_from_float(values[i]) : 0);
            ck_assert(kept ? wide[i] != 0 : wide[i] == 0);
        }
        coppice_prune_report_free(&plan->report);
    }
    options.sparsity = 10.0 / 18; /* 1 in float16 ties with 1 in bfloat16: the first goes */
    cop_prune_plan *plan = prune(&n, &options);
    ck_assert_uint_eq(half[2], 0);
    ck_assert_uint_ne(bfloat[2], 0);
    ck_assert(wide[2] != 0);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(unaligned_weights_are_pruned) {
    unsigned char bytes[1 + 6 * sizeof(float)];
    const float values[] = {6, 1, 5, 2, 4, 3}, expected[] = {6, 0, 5, 0, 4, 0};
    memcpy(bytes + 1, values, sizeof values);
    net n;
    net_open(&n, NULL, "main");
    add_node(&n, "MatMul", "f", add_weight(&n, "w", COPPICE_TYPE_FLOAT, bytes + 1, 2, 2, 3));
    set_outputs(&n, 1, n.last);
    coppice_prune_options options = all_layers(0.5);
    cop_prune_plan *plan = prune(&n, &options);
    ck_assert_mem_eq(bytes + 1, expected, sizeof expected);
    ck_assert(plan->weights.items[0].constant->dirty);
    coppice_prune_report_free(&plan->report);
    net_close(&n);
}
END_TEST

START_TEST(random_weights_match_a_full_sort) {
    enum { N = 3000 };
    static float data[N], sorted[N];
    unsigned state = 12345;
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < N; i++) {
            state = state * 1664525u + 1013904223u;
            data[i] = ldexpf((float)(int)(state >> 16) - 32768, (int)(state >> 12 & 31) - 20);
            sorted[i] = fabsf(data[i]);
        }
        for (int i = 1; i < N; i++) /* insertion sort: obviously right */
            for (int j = i; j > 0 && sorted[j] < sorted[j - 1]; j--) {
                float t = sorted[j];
                sorted[j] = sorted[j - 1];
                sorted[j - 1] = t;
            }
        net n;
        one_layer(&n, data, 1, N);
        coppice_prune_options options = all_layers(round / 39.0);
        int64_t wanted = cop_zeros_wanted(options.sparsity, N);
        int64_t there = 0;
        while (there < N && sorted[there] == 0)
            there++;
        cop_prune_plan *plan = prune(&n, &options);
        ck_assert_int_eq((int64_t)zeros_in(data, N), wanted > there ? wanted : there);
        for (int i = 0; i < N && wanted < N; i++)
            ck_assert(data[i] == 0 || fabsf(data[i]) >= sorted[wanted]);
        coppice_prune_report_free(&plan->report);
        net_close(&n);
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("prune_select");
    tcase_add_test(tests, zeros_are_exact_at_every_sparsity);
    tcase_add_test(tests, number_of_zeros_rounds_half_to_even);
    tcase_add_test(tests, of_equal_magnitudes_the_lower_index_goes);
    tcase_add_test(tests, large_tensors_with_many_ties_are_exact);
    tcase_add_test(tests, existing_zeros_count_and_minus_zero_becomes_plus_zero);
    tcase_add_test(tests, more_existing_zeros_than_asked_for_stay_and_are_masked);
    tcase_add_test(tests, nan_is_refused_and_nothing_changes);
    tcase_add_test(tests, infinite_weights_are_the_largest);
    tcase_add_test(tests, half_bfloat_and_double_are_pruned_in_their_own_type);
    tcase_add_test(tests, unaligned_weights_are_pruned);
    tcase_add_test(tests, random_weights_match_a_full_sort);
    return unit_run("prune_select", tests);
}
