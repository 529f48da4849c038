/* coppice_model_inspect on whole models: tied users, shares of the model, the forecast. */
#include <stdarg.h>

#include <coppice/prune.h>

#include "tiny_model.h"
#include "tune/inventory.h"
#include "unit.h"

/* Adds a node: names of inputs up to a NULL, then one output. */
static void add_node(wire *graph, const char *op, const char *output, ...) {
    wire node = {.used = 0};
    va_list args;
    va_start(args, output);
    for (const char *input; (input = va_arg(args, const char *));)
        wire_text(&node, 1, input);
    va_end(args);
    wire_text(&node, 2, output);
    wire_text(&node, 3, output); /* named as what it gives */
    wire_text(&node, 4, op);
    wire_message(graph, 1, &node);
}

/* Adds an initializer with the values 0.5, 1.5, ...; dims up to a 0. */
static void add_tensor(wire *graph, const char *name, ...) {
    wire tensor = {.used = 0};
    float data[256];
    size_t count = 1;
    va_list args;
    va_start(args, name);
    for (int dim; (dim = va_arg(args, int));) {
        wire_int(&tensor, 1, (uint64_t)dim);
        count *= (size_t)dim;
    }
    va_end(args);
    ck_assert_uint_le(count, 256);
    for (size_t i = 0; i < count; i++)
        data[i] = 0.5f + (float)i;
    wire_int(&tensor, 2, COPPICE_TYPE_FLOAT);
    wire_text(&tensor, 8, name);
    wire_bytes(&tensor, 9, data, count * sizeof *data);
    wire_message(graph, 5, &tensor);
}

static coppice_model *load(const wire *graph) {
    wire model = {.used = 0}, opset = {.used = 0};
    coppice_error error;
    coppice_model *out = NULL;
    wire_int(&model, 1, 8);
    wire_message(&model, 7, graph);
    wire_text(&opset, 1, "");
    wire_int(&opset, 2, 13);
    wire_message(&model, 8, &opset);
    ck_assert_msg(coppice_model_load_memory(model.bytes, model.used, NULL, &out, &error) ==
                      COPPICE_OK,
                  "%s", error.message);
    return out;
}

static coppice_inspection *inspect(const coppice_model *model) {
    coppice_inspection *in;
    coppice_error error;
    ck_assert_msg(coppice_model_inspect(model, &in, &error) == COPPICE_OK, "%s", error.message);
    return in;
}

/* y = ((x W) W + bias) V: W is square and used twice. */
static coppice_model *tied_model(void) {
    wire graph = {.used = 0};
    add_node(&graph, "MatMul", "a", "x", "W", NULL);
    add_node(&graph, "MatMul", "b", "a", "W", NULL);
    add_node(&graph, "Add", "c", "b", "bias", NULL);
    add_node(&graph, "MatMul", "y", "c", "V", NULL);
    wire_text(&graph, 2, "tied");
    add_tensor(&graph, "W", 16, 16, 0);
    add_tensor(&graph, "bias", 16, 0);
    add_tensor(&graph, "V", 16, 4, 0);
    wire_value(&graph, 11, "x", 5, 16);
    wire_value(&graph, 12, "y", 5, 4);
    return load(&graph);
}

START_TEST(a_tied_weight_is_one_row_with_all_its_users) {
    coppice_model *model = tied_model();
    coppice_inspection *in = inspect(model);
    ck_assert_uint_eq(in->weight_count, 2);
    const coppice_weight_info *w = &in->weights[0];
    ck_assert_str_eq(w->initializer, "W");
    ck_assert_uint_eq(w->user_count, 2);
    ck_assert_str_eq(w->users[0].node, "a");
    ck_assert_str_eq(w->users[1].node, "b");
    ck_assert_int_eq(w->users[1].macs, 5 * 256);
    ck_assert_int_eq(w->macs, 2 * 5 * 256);
    ck_assert_int_eq(w->bytes, 1024);
    ck_assert(w->prunable);
    ck_assert_ptr_null(w->kept_dense);
    ck_assert_str_eq(in->weights[1].kept_dense, "last layer");
    coppice_inspection_free(in);
    coppice_model_free(model);
}
END_TEST

START_TEST(weights_and_other_parameters_add_up_to_the_model) {
    coppice_model *model = tied_model();
    coppice_inspection *in = inspect(model);
    ck_assert_int_eq(in->parameters, 256 + 64);
    ck_assert_int_eq(in->prunable, 256);
    ck_assert_str_eq(in->others[0].kind, "biases");
    ck_assert_int_eq(in->others[0].parameters, 16);
    ck_assert_int_eq(in->model_parameters, 256 + 64 + 16);
    ck_assert_int_eq(in->macs, 2 * 5 * 256 + 5 * 64);
    ck_assert_int_eq(in->macs_prunable, 2 * 5 * 256);
    ck_assert_int_eq(in->macs_other, 0);
    coppice_inspection_free(in);
    coppice_model_free(model);
}
END_TEST

START_TEST(the_forecast_is_what_prune_then_does) {
    coppice_model *model = tied_model();
    coppice_inspection *in = inspect(model);
    int64_t file = coppice_model_file_bytes(model);
    for (int i = 0; i < COPPICE_FORECASTS; i++) {
        coppice_prune_options options;
        coppice_prune_options_init(&options);
        options.sparsity = in->forecasts[i].sparsity;
        options.dry_run = true;
        coppice_prune_report *report;
        coppice_error error;
        ck_assert_int_eq(coppice_prune(model, &options, &report, &error), COPPICE_OK);
        ck_assert_int_eq(in->forecasts[i].zeros, report->zeros);
        ck_assert_int_eq(in->forecasts[i].macs_left, report->macs_left);
        coppice_prune_report_free(report);
        ck_assert_int_eq(in->forecasts[i].bytes_dense, file);
        ck_assert_int_le(in->forecasts[i].bytes_sparse, file);
    }
    ck_assert_int_lt(in->forecasts[3].bytes_sparse, file - 1024 * 7 / 10);
    coppice_inspection_free(in);
    coppice_model_free(model);
}
END_TEST

START_TEST(an_index_costs_a_byte_for_every_seven_bits) {
    ck_assert_int_eq(cop_sparse_bytes(128, 128, 4), 128 * 5);
    ck_assert_int_eq(cop_sparse_bytes(129, 129, 4), 129 * 4 + 128 + 2);
    ck_assert_int_eq(cop_sparse_bytes(16384, 16384, 0), 128 + 2 * (16384 - 128));
    ck_assert_int_eq(cop_sparse_bytes(16385, 16385, 0), 128 + 2 * (16384 - 128) + 3);
    ck_assert_int_eq(cop_sparse_bytes(128, 32, 4), 32 * 5);
    ck_assert_int_eq(cop_sparse_bytes(0, 0, 4), 0);
}
END_TEST

/* y = V applied to what an LSTM gives; three steps of two samples. */
START_TEST(macs_of_a_recurrent_node_and_of_what_follows_are_known) {
    wire graph = {.used = 0};
    add_node(&graph, "LSTM", "states", "x", "W", "R", NULL);
    add_node(&graph, "MatMul", "y", "states", "V", NULL);
    wire_text(&graph, 2, "recurrent");
    add_tensor(&graph, "W", 1, 8, 5, 0);
    add_tensor(&graph, "R", 1, 8, 2, 0);
    add_tensor(&graph, "V", 2, 4, 0);
    wire shape = {.used = 0}, tensor = {.used = 0}, type = {.used = 0}, value = {.used = 0};
    static const uint64_t dims[] = {3, 2, 5};
    for (int i = 0; i < 3; i++) {
        wire dim = {.used = 0};
        wire_int(&dim, 1, dims[i]);
        wire_message(&shape, 1, &dim);
    }
    wire_int(&tensor, 1, COPPICE_TYPE_FLOAT);
    wire_message(&tensor, 2, &shape);
    wire_message(&type, 1, &tensor);
    wire_text(&value, 1, "x");
    wire_message(&value, 2, &type);
    wire_message(&graph, 11, &value);
    wire_value(&graph, 12, "y", 0, 4);
    coppice_model *model = load(&graph);
    coppice_inspection *in = inspect(model);
    ck_assert_uint_eq(in->weight_count, 3);
    ck_assert_int_eq(in->weights[0].macs, 3 * 2 * 40);
    ck_assert_int_eq(in->weights[1].macs, 3 * 2 * 16);
    ck_assert_int_eq(in->weights[2].macs, 3 * 2 * 8);
    ck_assert_uint_eq(in->macs_unknown, 0);
    ck_assert_str_eq(in->weights[0].kept_dense, "recurrent weight");
    coppice_inspection_free(in);
    coppice_model_free(model);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("inspection");
    tcase_add_test(tests, a_tied_weight_is_one_row_with_all_its_users);
    tcase_add_test(tests, weights_and_other_parameters_add_up_to_the_model);
    tcase_add_test(tests, the_forecast_is_what_prune_then_does);
    tcase_add_test(tests, an_index_costs_a_byte_for_every_seven_bits);
    tcase_add_test(tests, macs_of_a_recurrent_node_and_of_what_follows_are_known);
    return unit_run("inspection", tests);
}
