/* Model-local functions: their nodes stand in the graph in place of calls, with names, attributes
 * and operator sets of the call. */
#include "graph/edit.h"
#include "wire.h"

enum {
    MODEL_FUNCTIONS = 25,
    FUNCTION_NAME = 1,
    FUNCTION_INPUT = 4,
    FUNCTION_OUTPUT = 5,
    FUNCTION_NODE = 7,
    FUNCTION_OPSET = 9,
    FUNCTION_DOMAIN = 10,
    FUNCTION_DEFAULT = 11,
    ATTR_REF = 21
};

/* A function of domain "my" from x to y that imports opset 17. */
static wire function_begin(const char *name) {
    wire f = {0}, plain = {0};
    wire_text(&f, FUNCTION_NAME, name);
    wire_text(&f, FUNCTION_DOMAIN, "my");
    wire_text(&f, FUNCTION_INPUT, "x");
    wire_text(&f, FUNCTION_OUTPUT, "y");
    wire_int(&plain, 2, 17);
    wire_message(&f, FUNCTION_OPSET, plain);
    return f;
}

static wire call_of(const char *label, const char *function, const char *from, const char *to) {
    wire node = wire_node(label, function, from, NULL, to);
    wire_text(&node, NODE_DOMAIN, "my");
    return node;
}

/* A graph from x to y, without nodes. */
static wire graph_begin(void) {
    wire g = {0};
    wire_text(&g, GRAPH_NAME, "g");
    wire_message(&g, GRAPH_INPUT, wire_value("x", "N"));
    wire_message(&g, GRAPH_OUTPUT, wire_value("y", "N"));
    return g;
}

static const cop_node *node_of(coppice_model *model, size_t index, const char *op) {
    const cop_graph *graph = cop_model_graph(model);
    ck_assert_uint_lt(index, graph->node_count);
    ck_assert_str_eq(graph->nodes[index].op, op);
    return &graph->nodes[index];
}

static const char *input_of(coppice_model *model, const cop_node *node, int i) {
    return cop_model_graph(model)->values[node->inputs[i]].name;
}

START_TEST(a_call_becomes_the_nodes_of_the_function) {
    wire f = function_begin("Twice"), g = graph_begin();
    wire_message(&f, FUNCTION_NODE, wire_node("first", "Neg", "x", NULL, "m"));
    wire_message(&f, FUNCTION_NODE, wire_node(NULL, "Abs", "m", NULL, "y"));
    wire_message(&g, GRAPH_NODE, call_of("a", "Twice", "x", "t"));
    wire_message(&g, GRAPH_NODE, call_of("a", "Twice", "t", "y"));
    wire m = wire_model(g);
    wire_message(&m, MODEL_FUNCTIONS, f);
    coppice_model *model = wire_load(m);
    ck_assert_uint_eq(cop_model_graph(model)->node_count, 4);
    const cop_node *first = node_of(model, 0, "Neg"), *last = node_of(model, 3, "Abs");
    ck_assert_str_eq(first->name, "a/first");
    ck_assert_int_eq(first->opset, 17);
    ck_assert_str_eq(input_of(model, first, 0), "x");
    ck_assert_str_eq(input_of(model, node_of(model, 1, "Abs"), 0), "a/m");
    ck_assert_str_eq(input_of(model, last, 0), "a#2/m");
    ck_assert_int_eq(last->outputs[0], cop_model_graph(model)->outputs[0]);
    coppice_model_free(model);
}
END_TEST

START_TEST(names_of_a_call_keep_clear_of_those_in_the_graph) {
    wire f = function_begin("Twice"), g = graph_begin();
    wire_message(&f, FUNCTION_NODE, wire_node(NULL, "Neg", "x", NULL, "m"));
    wire_message(&f, FUNCTION_NODE, wire_node(NULL, "Abs", "m", NULL, "y"));
    wire_message(&g, GRAPH_NODE, call_of("a", "Twice", "x", "t"));
    wire_message(&g, GRAPH_NODE, wire_node(NULL, "Neg", "t", NULL, "a/m"));
    wire_message(&g, GRAPH_NODE, wire_node(NULL, "Add", "t", "a/m", "y"));
    wire m = wire_model(g);
    wire_message(&m, MODEL_FUNCTIONS, f);
    coppice_model *model = wire_load(m);
    ck_assert_str_eq(input_of(model, node_of(model, 1, "Abs"), 0), "a#2/m");
    coppice_model_free(model);
}
END_TEST

START_TEST(attributes_come_from_the_call_or_the_default) {
    for (int given = 0; given < 2; given++) {
        wire f = function_begin("Leaky"), g = graph_begin();
        wire ref = wire_attr("alpha", 1), fallback = wire_attr("slope", 1), own = fallback;
        wire node = wire_node(NULL, "LeakyRelu", "x", NULL, "y");
        float half = 0.5f, quarter = 0.25f;
        own = wire_attr("slope", 1);
        wire_text(&ref, ATTR_REF, "slope");
        wire_message(&node, NODE_ATTR, ref);
        wire_message(&f, FUNCTION_NODE, node);
        wire_tag(&fallback, ATTR_F, 5);
        wire_append(&fallback, &half, 4);
        wire_message(&f, FUNCTION_DEFAULT, fallback);
        wire_tag(&own, ATTR_F, 5);
        wire_append(&own, &quarter, 4);
        wire call = call_of("a", "Leaky", "x", "y");
        if (given)
            wire_message(&call, NODE_ATTR, own);
        else
            free(own.data);
        wire_message(&g, GRAPH_NODE, call);
        wire m = wire_model(g);
        wire_message(&m, MODEL_FUNCTIONS, f);
        coppice_model *model = wire_load(m);
        float alpha;
        ck_assert_int_eq(cop_node_float(node_of(model, 0, "LeakyRelu"), "alpha", 9, &alpha, NULL),
                         COPPICE_OK);
        ck_assert_float_eq(alpha, given ? quarter : half);
        coppice_model_free(model);
    }
}
END_TEST

START_TEST(a_constant_of_a_function_is_one_weight_however_often_it_is_called) {
    wire f = function_begin("Weighted"), g = graph_begin(), value = wire_attr("value", 4);
    float weights[] = {1, 2, 3, 4};
    wire constant = wire_node(NULL, "Constant", NULL, NULL, "w");
    wire_message(&value, ATTR_T, wire_raw_tensor("w", COPPICE_TYPE_FLOAT, 4, weights, 16));
    wire_message(&constant, NODE_ATTR, value);
    wire_message(&f, FUNCTION_NODE, constant);
    wire_message(&f, FUNCTION_NODE, wire_node(NULL, "Mul", "x", "w", "y"));
    wire_message(&g, GRAPH_NODE, call_of("a", "Weighted", "x", "t"));
    wire_message(&g, GRAPH_NODE, call_of("b", "Weighted", "t", "y"));
    wire m = wire_model(g);
    wire_message(&m, MODEL_FUNCTIONS, f);
    coppice_model *model = wire_load(m);
    ck_assert_ptr_eq(wire_constant(model, "a/w"), wire_constant(model, "b/w"));
    ck_assert_uint_eq(coppice_model_tensor_count(model), 1);
    cop_arena arena = {0};
    cop_graph *copy = cop_graph_copy(cop_model_graph(model), &arena, NULL);
    ck_assert_ptr_eq(copy->values[cop_graph_find(copy, "a/w")].constant,
                     copy->values[cop_graph_find(copy, "b/w")].constant);
    cop_graph_free(copy);
    cop_arena_free(&arena);
    coppice_model_free(model);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused) {
    wire a = function_begin("A"), b = function_begin("B"), g = graph_begin();
    wire_message(&a, FUNCTION_NODE, call_of("in_a", "B", "x", "y"));
    wire_message(&b, FUNCTION_NODE, call_of("in_b", "A", "x", "y"));
    wire_message(&g, GRAPH_NODE, call_of("c", "A", "x", "y"));
    wire m = wire_model(g);
    wire_message(&m, MODEL_FUNCTIONS, a);
    wire_message(&m, MODEL_FUNCTIONS, b);
    wire_refuse(m, COPPICE_BAD_MODEL, "calls itself");

    g = graph_begin();
    wire call = call_of("c", "A", "x", "y");
    wire_text(&call, NODE_INPUT, "x");
    wire_message(&g, GRAPH_NODE, call);
    m = wire_model(g);
    wire_message(&m, MODEL_FUNCTIONS, function_begin("A"));
    wire_refuse(m, COPPICE_BAD_MODEL, "has 2 inputs");

    m = wire_model(graph_begin());
    wire_message(&m, MODEL_FUNCTIONS, function_begin("A"));
    wire_message(&m, MODEL_FUNCTIONS, function_begin("A"));
    wire_refuse(m, COPPICE_BAD_MODEL, "two functions are named 'A'");

    wire f = function_begin("A");
    wire_bytes(&f, FUNCTION_DEFAULT, "\x0a\x20", 2);
    m = wire_model(graph_begin());
    wire_message(&m, MODEL_FUNCTIONS, f);
    /* Before ONNX 1.13 the schema does not know the field: it is read later, by our own reader. */
    wire_refuse(m, COPPICE_BAD_MODEL, "function");
}
END_TEST

/* Each function calls the one before twice: 2^40 nodes if nobody stopped it. */
START_TEST(calls_that_multiply_are_refused) {
    wire g = graph_begin();
    wire_message(&g, GRAPH_NODE, call_of("c", "F39", "x", "y"));
    wire m = wire_model(g);
    for (int k = 0; k < 40; k++) {
        char name[8], before[8];
        sprintf(name, "F%d", k);
        sprintf(before, "F%d", k - 1);
        wire f = function_begin(name);
        wire_message(&f, FUNCTION_NODE,
                     k ? call_of("a", before, "x", "m") : wire_node(NULL, "Neg", "x", NULL, "m"));
        wire_message(&f, FUNCTION_NODE,
                     k ? call_of("b", before, "m", "y") : wire_node(NULL, "Neg", "m", NULL, "y"));
        wire_message(&m, MODEL_FUNCTIONS, f);
    }
    wire_refuse(m, COPPICE_LIMIT, "calls of functions become more than");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("functions");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_call_becomes_the_nodes_of_the_function);
    tcase_add_test(tests, names_of_a_call_keep_clear_of_those_in_the_graph);
    tcase_add_test(tests, attributes_come_from_the_call_or_the_default);
    tcase_add_test(tests, a_constant_of_a_function_is_one_weight_however_often_it_is_called);
    tcase_add_test(tests, what_makes_no_sense_is_refused);
    tcase_add_test(tests, calls_that_multiply_are_refused);
    return unit_run("functions", tests);
}
