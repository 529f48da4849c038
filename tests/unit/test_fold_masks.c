/* Masks inside a model: folded into the weights where that changes nothing, left alone elsewhere.
 */
#include <coppice/masks.h>

#include <unistd.h>

#include "wire.h"

static const float weights[] = {1, -2, 3, -4};
static const uint8_t kept[] = {1, 0, 0, 1};
static const float folded_weights[] = {1, 0, 0, -4};

static wire square(const char *name, int type, const void *data, size_t bytes) {
    wire t = wire_tensor(name, type, 2, 2, 2);
    wire_bytes(&t, TENSOR_RAW, data, bytes);
    return t;
}

/* Initializers "w" and "mask" (bool), which a Cast makes the float "m"; their product is "p". */
static wire masked_graph(void) {
    wire g = {0};
    wire_text(&g, GRAPH_NAME, "g");
    wire_message(&g, GRAPH_INPUT, wire_value("x", "N"));
    wire_message(&g, GRAPH_INITIALIZER, square("w", COPPICE_TYPE_FLOAT, weights, sizeof weights));
    wire_message(&g, GRAPH_INITIALIZER, square("mask", COPPICE_TYPE_BOOL, kept, sizeof kept));
    wire cast = wire_node("cast", "Cast", "mask", NULL, "m"), to = wire_attr("to", 2);
    wire_int(&to, ATTR_I, COPPICE_TYPE_FLOAT);
    wire_message(&cast, NODE_ATTR, to);
    wire_message(&g, GRAPH_NODE, cast);
    wire_message(&g, GRAPH_NODE, wire_node("mul", "Mul", "w", "m", "p"));
    wire_message(&g, GRAPH_VALUE_INFO, wire_value("p", "N"));
    return g;
}

static void add_node(wire *g, const char *op, const char *a, const char *b, const char *output) {
    wire_message(g, GRAPH_NODE, wire_node(output, op, a, b, output));
}

static void add_output(wire *g, const char *name) {
    wire_message(g, GRAPH_OUTPUT, wire_value(name, "N"));
}

static void expect_weights(coppice_model *model, const char *name, const float *expected) {
    float found[4];
    int64_t index = coppice_model_tensor_find(model, name);
    ck_assert_int_ge(index, 0);
    ck_assert_int_eq(coppice_model_tensor_read(model, (size_t)index, found, NULL), COPPICE_OK);
    ck_assert_mem_eq(found, expected, sizeof found);
}

/* Saves the model and loads the copy in its place. */
static coppice_model *saved_again(coppice_model *model) {
    char path[] = "/tmp/coppice-fold-XXXXXX";
    int fd = mkstemp(path);
    coppice_save_options options;
    coppice_error err;
    coppice_save_options_init(&options);
    options.overwrite = true;
    ck_assert_int_eq(coppice_model_save(model, path, &options, NULL, &err), COPPICE_OK);
    coppice_model_free(model);
    ck_assert_msg(coppice_model_load(path, NULL, &model, &err) == COPPICE_OK, "%s", err.message);
    close(fd);
    unlink(path);
    return model;
}

/* Folds a graph, which is taken over; the number of nodes left is checked, also after saving. */
static coppice_model *fold(wire graph, int64_t products, size_t nodes) {
    coppice_model *model = wire_load(wire_model(graph));
    coppice_error err;
    int64_t folded;
    ck_assert_msg(coppice_model_fold_masks(model, &folded, &err) == COPPICE_OK, "%s", err.message);
    ck_assert_int_eq(folded, products);
    ck_assert_uint_eq(cop_model_graph(model)->node_count, nodes);
    ck_assert_uint_eq(coppice_model_output_count(model), 1);
    model = saved_again(model);
    ck_assert_uint_eq(cop_model_graph(model)->node_count, nodes);
    return model;
}

START_TEST(a_mask_becomes_zeros_and_leaves_the_graph) {
    wire g = masked_graph();
    wire_message(&g, GRAPH_INPUT, wire_value("mask", "N")); /* keep_initializers_as_inputs */
    add_node(&g, "MatMul", "x", "p", "y");
    add_node(&g, "MatMul", "y", "p", "z");
    add_output(&g, "z");
    coppice_model *model = fold(g, 1, 2);
    expect_weights(model, "w", folded_weights);
    ck_assert_int_lt(coppice_model_tensor_find(model, "mask"), 0);
    ck_assert_uint_eq(coppice_model_input_count(model), 1);
    ck_assert_uint_eq(cop_model_graph(model)->input_count, 1);
    coppice_model_free(model);
}
END_TEST

START_TEST(a_mask_that_is_read_elsewhere_stays) {
    wire g = masked_graph();
    add_node(&g, "MatMul", "x", "p", "y");
    add_node(&g, "MatMul", "y", "m", "z");
    add_output(&g, "z");
    coppice_model *model = fold(g, 1, 3);
    expect_weights(model, "w", folded_weights);
    ck_assert_int_ge(coppice_model_tensor_find(model, "mask"), 0);
    coppice_model_free(model);
}
END_TEST

START_TEST(two_products_of_one_weight_and_mask_go_together) {
    wire g = masked_graph();
    add_node(&g, "Identity", "w", NULL, "w2");
    add_node(&g, "Mul", "m", "w2", "q");
    add_node(&g, "MatMul", "x", "p", "y");
    add_node(&g, "MatMul", "y", "q", "z");
    add_output(&g, "z");
    coppice_model *model = fold(g, 2, 3); /* the Identity stays */
    expect_weights(model, "w", folded_weights);
    ck_assert_int_lt(coppice_model_tensor_find(model, "mask"), 0);
    coppice_model_free(model);
}
END_TEST

START_TEST(a_weight_that_is_also_read_without_its_mask_keeps_its_values) {
    wire g = masked_graph();
    add_node(&g, "Identity", "w", NULL, "w2");
    add_node(&g, "MatMul", "x", "p", "y");
    add_node(&g, "MatMul", "y", "w2", "z");
    add_output(&g, "z");
    coppice_model *model = fold(g, 0, 5);
    expect_weights(model, "w", weights);
    coppice_model_free(model);
}
END_TEST

START_TEST(weights_with_two_masks_and_products_that_are_outputs_stay) {
    static const float other[] = {1, 1, 0, 1};
    wire g = masked_graph();
    wire_message(&g, GRAPH_INITIALIZER, square("o", COPPICE_TYPE_FLOAT, other, sizeof other));
    add_node(&g, "Mul", "w", "o", "q");
    add_node(&g, "MatMul", "p", "q", "z");
    add_output(&g, "z");
    coppice_model *model = fold(g, 0, 4);
    expect_weights(model, "w", weights);
    coppice_model_free(model);
    g = masked_graph();
    add_output(&g, "p");
    model = fold(g, 0, 2);
    expect_weights(model, "w", weights);
    coppice_model_free(model);
}
END_TEST

START_TEST(a_mask_upon_a_mask_is_folded_too) {
    static const float other[] = {0, 1, 1, 1}, both[] = {0, 0, 0, -4};
    wire g = masked_graph();
    wire_message(&g, GRAPH_INITIALIZER, square("o", COPPICE_TYPE_FLOAT, other, sizeof other));
    add_node(&g, "Mul", "p", "o", "q");
    add_node(&g, "MatMul", "x", "q", "z");
    add_output(&g, "z");
    coppice_model *model = fold(g, 2, 1);
    expect_weights(model, "w", both);
    coppice_model_free(model);
}
END_TEST

/* A graph that multiplies "w" of the graph around it by `mask` and has the product's double as its
 * output. */
static wire branch(const char *name, const char *mask) {
    wire g = {0};
    wire_text(&g, GRAPH_NAME, name);
    wire_message(&g, GRAPH_NODE, wire_node("inner_mul", "Mul", "w", mask, "inner_p"));
    wire_message(&g, GRAPH_NODE, wire_node("add", "Add", "inner_p", "inner_p", name));
    add_output(&g, name);
    return g;
}

static wire if_node(wire yes, wire no) {
    wire node = wire_node("if", "If", "c", NULL, "z");
    wire a = wire_attr("then_branch", 5), b = wire_attr("else_branch", 5);
    wire_message(&a, ATTR_G, yes);
    wire_message(&b, ATTR_G, no);
    wire_message(&node, NODE_ATTR, a);
    wire_message(&node, NODE_ATTR, b);
    return node;
}

START_TEST(products_in_sub_graphs_are_folded_unless_the_weight_is_read_outside) {
    static const uint8_t yes = 1;
    for (int outside = 0; outside < 2; outside++) {
        wire g = masked_graph();
        wire_message(&g, GRAPH_INITIALIZER, wire_raw_tensor("c", COPPICE_TYPE_BOOL, 1, &yes, 1));
        add_node(&g, "MatMul", "x", "p", "y");
        wire_message(&g, GRAPH_NODE, if_node(branch("a", "m"), branch("b", "m")));
        if (outside)
            add_node(&g, "MatMul", "y", "w", "v");
        add_output(&g, "z");
        coppice_model *model = outside ? fold(g, 0, 5) : fold(g, 3, 2);
        expect_weights(model, "w", outside ? weights : folded_weights);
        ck_assert_int_eq(coppice_model_tensor_find(model, "mask") >= 0, outside);
        coppice_model_free(model);
    }
}
END_TEST

START_TEST(edits_before_and_after_folding_are_saved) {
    static const float mine[] = {5, 6, 7, 8}, later[] = {9, 9, 9, 9};
    static const int64_t indices[] = {0, 2, 5};
    wire g = masked_graph();
    wire_message(&g, GRAPH_SPARSE, wire_sparse("s", 3, 0, indices));
    add_node(&g, "MatMul", "x", "p", "y");
    add_node(&g, "MatMul", "y", "s", "z");
    add_output(&g, "z");
    coppice_model *model = wire_load(wire_model(g));
    float sparse[6], expected[6] = {0, 0, 0, 0, 0, 4};
    size_t s = (size_t)coppice_model_tensor_find(model, "s");
    size_t w = (size_t)coppice_model_tensor_find(model, "w");
    ck_assert_int_eq(coppice_model_tensor_write(model, w, mine, NULL), COPPICE_OK);
    ck_assert_int_eq(coppice_model_tensor_write(model, s, expected, NULL), COPPICE_OK);
    ck_assert_int_eq(coppice_model_fold_masks(model, NULL, NULL), COPPICE_OK);
    static const float zeroed[] = {5, 0, 0, 8};
    expect_weights(model, "w", zeroed);
    model = saved_again(model);
    s = (size_t)coppice_model_tensor_find(model, "s");
    ck_assert_int_eq(coppice_model_tensor_read(model, s, sparse, NULL), COPPICE_OK);
    ck_assert_mem_eq(sparse, expected, sizeof sparse);
    w = (size_t)coppice_model_tensor_find(model, "w");
    ck_assert_int_eq(coppice_model_tensor_write(model, w, later, NULL), COPPICE_OK);
    model = saved_again(model);
    expect_weights(model, "w", later);
    coppice_model_free(model);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("fold masks");
    tcase_add_test(tests, a_mask_becomes_zeros_and_leaves_the_graph);
    tcase_add_test(tests, a_mask_that_is_read_elsewhere_stays);
    tcase_add_test(tests, two_products_of_one_weight_and_mask_go_together);
    tcase_add_test(tests, a_weight_that_is_also_read_without_its_mask_keeps_its_values);
    tcase_add_test(tests, weights_with_two_masks_and_products_that_are_outputs_stay);
    tcase_add_test(tests, a_mask_upon_a_mask_is_folded_too);
    tcase_add_test(tests, products_in_sub_graphs_are_folded_unless_the_weight_is_read_outside);
    tcase_add_test(tests, edits_before_and_after_folding_are_saved);
    return unit_run("fold masks", tests);
}
