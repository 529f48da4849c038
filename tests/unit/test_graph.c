/* The graph IR: attributes, elements, copies and rewriting. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "graph/edit.h"
#include "net.h"

static coppice_error err;

/* ---- elements ---- */

static int use_count(const cop_graph *graph, int value) {
    int *counts = cop_graph_use_counts(graph);
    ck_assert_ptr_nonnull(counts);
    int count = counts[value];
    cop_free(counts);
    return count;
}

START_TEST(every_half_survives_the_way_through_float) {
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        float value = cop_float_from_half((uint16_t)bits);
        uint16_t back = cop_half_from_float(value);
        if (isnan(value))
            ck_assert(isnan(cop_float_from_half(back)));
        else
            ck_assert_uint_eq(back, bits);
    }
}
END_TEST

START_TEST(halves_round_to_nearest_even) {
    ck_assert_uint_eq(cop_half_from_float(1.0f + 0x1p-11f), 0x3c00);
    ck_assert_uint_eq(cop_half_from_float(1.0f + 0x1p-11f + 0x1p-20f), 0x3c01);
    ck_assert_uint_eq(cop_half_from_float(1.0f + 3 * 0x1p-11f), 0x3c02);
    ck_assert_uint_eq(cop_half_from_float(65519.0f), 0x7bff);
    ck_assert_uint_eq(cop_half_from_float(65520.0f), 0x7c00);
    ck_assert_uint_eq(cop_half_from_float(-1e30f), 0xfc00);
    ck_assert_uint_eq(cop_half_from_float(0x1p-25f), 0);
    ck_assert_uint_eq(cop_half_from_float(0x1.8p-25f), 1);
    ck_assert_uint_eq(cop_half_from_float(-0.0f), 0x8000);
}
END_TEST

START_TEST(bfloats_round_to_nearest_even) {
    ck_assert_uint_eq(cop_bfloat_from_float(1.0f), 0x3f80);
    ck_assert_uint_eq(cop_bfloat_from_float(1.0f + 0x1p-8f), 0x3f80);
    ck_assert_uint_eq(cop_bfloat_from_float(1.0f + 3 * 0x1p-8f), 0x3f82);
    ck_assert(isnan(cop_float_from_bfloat(cop_bfloat_from_float(NAN))));
    ck_assert(cop_float_from_bfloat(0xc000) == -2.0f);
}
END_TEST

static double element(coppice_type type, const void *data, int64_t index) {
    coppice_tensor t = {.type = type, .rank = 1, .dims = {16}, .data = (void *)data};
    return cop_tensor_get(&t, index);
}

START_TEST(elements_of_every_type_are_numbers) {
    const unsigned char unaligned[9] = {0, 0, 0, 0x80, 0xbf}; /* -1.0f from byte 1 on */
    ck_assert(element(COPPICE_TYPE_FLOAT, unaligned + 1, 0) == -1);
    ck_assert(element(COPPICE_TYPE_INT8, (int8_t[]){1, -2}, 1) == -2);
    ck_assert(element(COPPICE_TYPE_UINT16, (uint16_t[]){65535}, 0) == 65535);
    ck_assert(element(COPPICE_TYPE_UINT64, (uint64_t[]){UINT64_MAX}, 0) == 0x1p64);
    ck_assert(element(COPPICE_TYPE_INT64, (int64_t[]){INT64_MIN}, 0) == -0x1p63);
    ck_assert(element(COPPICE_TYPE_BOOL, (uint8_t[]){0, 1}, 1) == 1);
    ck_assert(element(COPPICE_TYPE_DOUBLE, (double[]){0.1}, 0) == 0.1);
    ck_assert(element(COPPICE_TYPE_FLOAT16, (uint16_t[]){0xc000}, 0) == -2);
    ck_assert(element(COPPICE_TYPE_INT4, (uint8_t[]){0x8f}, 0) == -1);
    ck_assert(element(COPPICE_TYPE_INT4, (uint8_t[]){0x8f}, 1) == -8);
    ck_assert(element(COPPICE_TYPE_UINT4, (uint8_t[]){0x8f}, 1) == 8);
    ck_assert(element(COPPICE_TYPE_FLOAT8E4M3FN, (uint8_t[]){0x7e}, 0) == 448);
    ck_assert(isnan(element(COPPICE_TYPE_FLOAT8E4M3FN, (uint8_t[]){0x7f}, 0)));
    ck_assert(element(COPPICE_TYPE_FLOAT8E5M2, (uint8_t[]){0x7b}, 0) == 57344);
    ck_assert(isinf(element(COPPICE_TYPE_FLOAT8E5M2, (uint8_t[]){0x7c}, 0)));
    ck_assert(isnan(element(COPPICE_TYPE_FLOAT8E4M3FNUZ, (uint8_t[]){0x80}, 0)));
    ck_assert(element(COPPICE_TYPE_FLOAT4E2M1, (uint8_t[]){0x07}, 0) == 6);
    ck_assert(element(COPPICE_TYPE_FLOAT8E8M0, (uint8_t[]){128}, 0) == 2);
    coppice_tensor t = {.type = COPPICE_TYPE_FLOAT, .rank = 0, .data = (float[]){INFINITY}};
    ck_assert_int_eq(cop_tensor_get_int(&t, 0), INT64_MAX);
}
END_TEST

/* ---- attributes ---- */

START_TEST(attributes_have_defaults_and_kinds) {
    cop_arena arena = {0};
    cop_graph *graph = cop_graph_new(&arena, NULL, "g");
    cop_node *node = cop_graph_add_node(graph, "Conv", 0, 0, 0);
    int64_t i;
    const int64_t *list;
    size_t count;
    float f;
    ck_assert_int_eq(cop_node_int(node, "group", 1, &i, &err), COPPICE_OK);
    ck_assert_int_eq(i, 1);
    ck_assert(cop_node_set_attr_int(graph, node, "group", 4));
    ck_assert(cop_node_set_attr_ints(graph, node, "pads", (int64_t[]){1, 2}, 2));
    ck_assert(cop_node_set_attr_float(graph, node, "alpha", 0.5f));
    ck_assert_int_eq(cop_node_int(node, "group", 1, &i, &err), COPPICE_OK);
    ck_assert_int_eq(i, 4);
    ck_assert_int_eq(cop_node_ints(node, "pads", &list, &count, &err), COPPICE_OK);
    ck_assert_uint_eq(count, 2);
    ck_assert_int_eq(list[1], 2);
    ck_assert_int_eq(cop_node_ints(node, "strides", &list, &count, &err), COPPICE_OK);
    ck_assert_ptr_null(list);
    ck_assert_int_eq(cop_node_float(node, "alpha", 1, &f, &err), COPPICE_OK);
    ck_assert(f == 0.5f);
    ck_assert_int_eq(cop_node_int(node, "pads", 0, &i, &err), COPPICE_BAD_MODEL);
    ck_assert_str_eq(err.message, "attribute 'pads' is a list of ints, not an int");
    ck_assert(cop_node_set_attr_int(graph, node, "pads", 9)); /* changes its kind */
    ck_assert_int_eq(cop_node_int(node, "pads", 0, &i, &err), COPPICE_OK);
    ck_assert_uint_eq(node->attr_count, 3);
    cop_graph_free(graph);
    cop_arena_free(&arena);
}
END_TEST

/* ---- graphs ---- */

static float weights[6] = {1, 2, 3, 4, 5, 6};

/* x -> a(w) -> b -> y, and "unused" on the side. */
static void chain(net *n) {
    net_open(n, NULL, "main");
    add_node(n, "MatMul", "a", add_weight(n, "w", COPPICE_TYPE_FLOAT, weights, 2, 2, 3));
    int middle = n->last;
    add_node(n, "Relu", "unused", -1);
    n->last = middle;
    add_node(n, "Relu", "b", -1);
    set_outputs(n, 1, n->last);
}

START_TEST(dead_nodes_go_and_the_rest_keeps_its_order) {
    net n;
    chain(&n);
    ck_assert_uint_eq(n.graph->node_count, 3);
    ck_assert(cop_graph_remove_dead(n.graph));
    ck_assert_uint_eq(n.graph->node_count, 2);
    ck_assert_str_eq(n.graph->nodes[0].name, "a");
    ck_assert_str_eq(n.graph->nodes[1].name, "b");
    ck_assert_int_eq(n.graph->values[n.last].producer, 1);
    ck_assert_int_eq(n.graph->values[cop_graph_find(n.graph, "unused_out")].producer, -1);
    net_close(&n);
}
END_TEST

START_TEST(a_replaced_value_is_read_nowhere_any_more) {
    net n;
    chain(&n);
    int from = cop_graph_find(n.graph, "a_out"), to = cop_graph_find(n.graph, "x");
    ck_assert_int_eq(use_count(n.graph, from), 2);
    ck_assert(cop_graph_replace_value(n.graph, from, to));
    ck_assert_int_eq(use_count(n.graph, from), 0);
    ck_assert_int_eq(use_count(n.graph, to), 3);
    ck_assert(cop_graph_replace_value(n.graph, n.last, to));
    ck_assert_int_eq(n.graph->outputs[0], to);
    ck_assert(cop_graph_remove_dead(n.graph));
    ck_assert_uint_eq(n.graph->node_count, 0);
    net_close(&n);
}
END_TEST

START_TEST(a_copy_may_be_changed_without_touching_the_original) {
    net n;
    chain(&n);
    ck_assert(cop_node_set_attr_int(n.graph, &n.graph->nodes[0], "k", 1));
    cop_arena arena = {0};
    cop_graph *copy = cop_graph_copy(n.graph, &arena, &err);
    ck_assert_ptr_nonnull(copy);
    float other[1] = {9};
    int w = cop_graph_find(copy, "w");
    ck_assert_ptr_ne(copy->values[w].constant, n.graph->values[w].constant);
    ck_assert_ptr_eq(copy->values[w].constant->tensor.data, weights);
    copy->values[w].constant->tensor.data = other;
    ck_assert(cop_node_set_attr_int(copy, &copy->nodes[0], "k", 2));
    ck_assert(cop_graph_replace_value(copy, n.last, 0));
    ck_assert(cop_graph_remove_dead(copy));
    ck_assert_int_ge(cop_graph_value(copy, "new"), 0);
    ck_assert_ptr_eq(n.graph->values[w].constant->tensor.data, weights);
    ck_assert_int_eq(n.graph->nodes[0].attrs[0].i, 1);
    ck_assert_int_eq(n.graph->outputs[0], n.last);
    ck_assert_uint_eq(n.graph->node_count, 3);
    ck_assert_int_eq(cop_graph_find(n.graph, "new"), -1);
    cop_graph_free(copy);
    cop_arena_free(&arena);
    net_close(&n);
}
END_TEST

START_TEST(added_constants_get_names_of_their_own) {
    net n;
    chain(&n);
    coppice_tensor t = {.type = COPPICE_TYPE_FLOAT, .rank = 1, .dims = {6}, .data = weights};
    int added = cop_graph_add_constant(n.graph, "w", &t);
    ck_assert_int_ne(added, cop_graph_find(n.graph, "w"));
    ck_assert_str_eq(n.graph->values[added].name, "w.1");
    ck_assert_uint_eq(n.graph->values[added].constant->bytes, sizeof weights);
    net_close(&n);
}
END_TEST

/* A net whose If node reads "a_out" inside its branch only. */
static cop_graph *with_branch(net *outer, net *inner) {
    net_open(outer, NULL, "main");
    add_node(outer, "Relu", "a", -1);
    int a = outer->last;
    outer->last = cop_graph_find(outer->graph, "x");
    net_open(inner, outer, "branch");
    inner->last = cop_graph_value(inner->graph, "a_out");
    add_node(inner, "Relu", "in", -1);
    inner->graph->outputs = cop_arena_copy(&outer->arena, &inner->last, sizeof(int));
    inner->graph->output_count = 1;
    cop_node *node = cop_graph_add_node(outer->graph, "If", 1, 1, 1);
    node->inputs[0] = cop_graph_find(outer->graph, "x");
    node->attrs[0] =
        (cop_attr){.name = "then_branch", .kind = COP_ATTR_GRAPH, .graph = inner->graph};
    int y = cop_graph_value(outer->graph, "y");
    node->outputs[0] = y;
    set_outputs(outer, 1, y);
    ck_assert_int_eq(use_count(outer->graph, a), 1);
    return outer->graph;
}

START_TEST(uses_inside_sub_graphs_count) {
    net outer, inner;
    cop_graph *graph = with_branch(&outer, &inner);
    ck_assert(cop_graph_remove_dead(graph));
    ck_assert_uint_eq(graph->node_count, 2);
    int a = cop_graph_find(graph, "a_out"), x = cop_graph_find(graph, "x");
    ck_assert(cop_graph_replace_value(graph, a, x)); /* in the branch too */
    ck_assert_int_eq(use_count(graph, a), 0);
    ck_assert_int_eq(use_count(graph, x), 3);
    ck_assert(cop_graph_remove_dead(graph));
    ck_assert_uint_eq(graph->node_count, 1);
    ck_assert_msg(cop_graph_connect(graph, &err) == COPPICE_OK, "%s", err.message);
    net_close(&outer);
}
END_TEST

/* An If in the branch `inner` whose own branch reads `name` of `graph`. */
static void nest_branch(cop_graph *graph, net *inner, net *innermost, const char *name) {
    net_open(innermost, inner, "innermost");
    innermost->last = cop_graph_value(innermost->graph, name);
    add_node(innermost, "Relu", "deep", -1);
    cop_node *node = cop_graph_add_node(inner->graph, "If", 1, 1, 1);
    node->inputs[0] = inner->last;
    node->outputs[0] = cop_graph_value(inner->graph, "nested");
    node->attrs[0] =
        (cop_attr){.name = "then_branch", .kind = COP_ATTR_GRAPH, .graph = innermost->graph};
    ck_assert_msg(cop_graph_connect(graph, &err) == COPPICE_OK, "%s", err.message);
}

START_TEST(uses_inside_sub_graphs_of_sub_graphs_count) {
    net outer, inner, innermost;
    cop_graph *graph = with_branch(&outer, &inner);
    int a = cop_graph_find(graph, "a_out");
    nest_branch(graph, &inner, &innermost, "a_out");
    ck_assert_int_eq(use_count(graph, a), 2);
    ck_assert(cop_graph_replace_value(graph, a, cop_graph_find(graph, "x")));
    ck_assert_int_eq(use_count(graph, a), 0);
    net_close(&outer);
}
END_TEST

START_TEST(values_that_came_to_mean_the_same_are_replaced_together) {
    net outer, inner;
    cop_graph *graph = with_branch(&outer, &inner);
    int a = cop_graph_find(graph, "a_out"), x = cop_graph_find(graph, "x");
    cop_node *node = cop_graph_add_node(inner.graph, "Add", 2, 1, 0);
    node->inputs[0] = cop_graph_value(inner.graph, "x");
    node->inputs[1] = cop_graph_value(inner.graph, "a_out");
    node->outputs[0] = cop_graph_value(inner.graph, "sum");
    ck_assert_msg(cop_graph_connect(graph, &err) == COPPICE_OK, "%s", err.message);
    ck_assert(cop_graph_replace_value(graph, a, x)); /* two values of the branch are "x" now */
    int z = cop_graph_value(graph, "z");
    graph->values[z].is_input = true;
    ck_assert(cop_graph_replace_value(graph, x, z));
    ck_assert_int_eq(use_count(graph, x), 0);
    ck_assert(cop_graph_replace_value(graph, a, x)); /* nothing reads it any more */
    ck_assert_int_eq(use_count(graph, x), 0);
    net_close(&outer);
}
END_TEST

START_TEST(names_that_a_graph_between_hides_are_not_replaced) {
    net outer, inner, innermost;
    cop_graph *graph = with_branch(&outer, &inner);
    int a = cop_graph_value(graph, "b_out"), z = cop_graph_value(graph, "in_out");
    graph->values[a].is_input = true; /* which the branch does not mention */
    graph->values[z].is_input = true; /* "in_out" is a value of the branch's own, too */
    nest_branch(graph, &inner, &innermost, "b_out");
    ck_assert(!cop_graph_replace_value(graph, a, z));
    ck_assert_int_ge(use_count(graph, a), 1);
    net_close(&outer);
}
END_TEST

START_TEST(copies_of_sub_graphs_hang_at_the_copy) {
    net outer, inner;
    cop_graph *graph = with_branch(&outer, &inner);
    cop_arena arena = {0};
    cop_graph *copy = cop_graph_copy(graph, &arena, &err);
    cop_graph *branch = copy->nodes[1].attrs[0].graph;
    ck_assert_ptr_ne(branch, inner.graph);
    ck_assert_ptr_eq(branch->parent, copy);
    int a = cop_graph_find(copy, "a_out"), x = cop_graph_find(copy, "x");
    ck_assert(cop_graph_replace_value(copy, a, x));
    ck_assert_int_eq(use_count(graph, a), 1);
    cop_graph_free(copy);
    cop_arena_free(&arena);
    net_close(&outer);
}
END_TEST

START_TEST(constants_are_found_behind_identities_and_in_outer_graphs) {
    net n;
    net_open(&n, NULL, "main");
    int w = add_weight(&n, "w", COPPICE_TYPE_FLOAT, weights, 1, 6), x = n.last;
    n.last = w;
    add_node(&n, "Identity", "i", -1);
    add_node(&n, "Identity", "j", -1);
    int through = n.last;
    n.last = x;
    add_node(&n, "MatMul", "m", through);
    set_outputs(&n, 1, n.last);
    int source = -1;
    const cop_graph *owner = NULL;
    ck_assert_ptr_eq(cop_graph_constant(n.graph, through, &owner, &source),
                     n.graph->values[w].constant);
    ck_assert_int_eq(source, w);
    ck_assert_ptr_eq(owner, n.graph);
    ck_assert_ptr_null(cop_graph_constant(n.graph, n.last, NULL, NULL));
    ck_assert_ptr_null(cop_graph_constant(n.graph, x, NULL, NULL));
    net_close(&n);
}
END_TEST

START_TEST(errors_name_the_node) {
    net n;
    chain(&n);
    n.graph->opsets = &(cop_opset){"", 13};
    n.graph->opset_count = 1;
    cop_fail(&err, COPPICE_UNSUPPORTED, "reason");
    cop_error_at_node(&err, n.graph, &n.graph->nodes[0]);
    ck_assert_str_eq(err.message, "node 'a' (MatMul, opset 13): reason");
    ck_assert_str_eq(err.node, "a");
    n.graph->nodes[0].name = "";
    ck_assert_str_eq(cop_node_label(n.graph, &n.graph->nodes[0]), "a_out");
    net_close(&n);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("graph");
    tcase_add_test(tests, every_half_survives_the_way_through_float);
    tcase_add_test(tests, halves_round_to_nearest_even);
    tcase_add_test(tests, bfloats_round_to_nearest_even);
    tcase_add_test(tests, elements_of_every_type_are_numbers);
    tcase_add_test(tests, attributes_have_defaults_and_kinds);
    tcase_add_test(tests, dead_nodes_go_and_the_rest_keeps_its_order);
    tcase_add_test(tests, a_replaced_value_is_read_nowhere_any_more);
    tcase_add_test(tests, a_copy_may_be_changed_without_touching_the_original);
    tcase_add_test(tests, added_constants_get_names_of_their_own);
    tcase_add_test(tests, uses_inside_sub_graphs_count);
    tcase_add_test(tests, uses_inside_sub_graphs_of_sub_graphs_count);
    tcase_add_test(tests, values_that_came_to_mean_the_same_are_replaced_together);
    tcase_add_test(tests, names_that_a_graph_between_hides_are_not_replaced);
    tcase_add_test(tests, copies_of_sub_graphs_hang_at_the_copy);
    tcase_add_test(tests, constants_are_found_behind_identities_and_in_outer_graphs);
    tcase_add_test(tests, errors_name_the_node);
    return unit_run("graph", tests);
}
