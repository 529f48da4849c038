/* ONNX's own node tests, for the operators of the table: each case through loading, shape inference
 * and the reference kernels. Needs the Debian package libonnx-testdata, or a folder of
 * cases in COPPICE_ONNX_NODE_TESTS; skips without. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>

#include <coppice/model.h>

#include "graph/model.h"
#include "interpret.h"
#include "onnx.pb-c.h"
#include "runtime/passes/passes.h"
#include "unit.h"

static const char *suite_folder(void) {
    const char *folder = getenv("COPPICE_ONNX_NODE_TESTS");
    return folder ? folder : "/usr/share/libonnx-testdata/data/node";
}

enum { MAX_TENSORS = 16 };

typedef struct tensors {
    coppice_tensor t[MAX_TENSORS];
    size_t count;
} tensors;

/* What the names of cases say that coppice does not do, and cases whose data are not what their
 * model says. */
static const char *const exceptions[] = {
    "training", "STRING", "double_expanded", /* MatMul is for float32 */
    "BFLOAT16",                              /* the data of 1.12 hold bfloat16 as uint16 */
};

static bool is_exception(const char *name) {
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++) {
        if (strstr(name, exceptions[i]))
            return true;
    }
    return false;
}

/* Newer suites have cases for 8-bit and 4-bit floats and the like. */
static bool is_numeric(const cop_value *value) {
    coppice_type type = value->type;
    return value->kind == COPPICE_KIND_TENSOR && type >= COPPICE_TYPE_FLOAT &&
           type <= COPPICE_TYPE_UINT64 && type != COPPICE_TYPE_STRING;
}

static unsigned char *read_file(const char *path, size_t *bytes) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    *bytes = (size_t)ftell(file);
    rewind(file);
    unsigned char *data = malloc(*bytes + 1);
    ck_assert_uint_eq(fread(data, 1, *bytes, file), *bytes);
    fclose(file);
    return data;
}

/* Elements of typed fields, which hold small types widened. */
static void copy_typed(const Onnx__TensorProto *p, coppice_tensor *t) {
    size_t each = coppice_type_bits(t->type) / 8;
    for (size_t i = 0; i < p->n_float_data; i++)
        memcpy((char *)t->data + i * each, &p->float_data[i], each);
    for (size_t i = 0; i < p->n_int32_data; i++)
        memcpy((char *)t->data + i * each, &p->int32_data[i], each);
    for (size_t i = 0; i < p->n_int64_data; i++)
        memcpy((char *)t->data + i * each, &p->int64_data[i], each);
    for (size_t i = 0; i < p->n_double_data; i++)
        memcpy((char *)t->data + i * each, &p->double_data[i], each);
    for (size_t i = 0; i < p->n_uint64_data; i++)
        memcpy((char *)t->data + i * each, &p->uint64_data[i], each);
}

/* Reads input_I.pb or output_I.pb; false when there is none, or it is no tensor. */
static bool read_tensor(const char *folder, const char *kind, size_t index, coppice_tensor *out) {
    char path[512];
    size_t bytes;
    snprintf(path, sizeof path, "%s/test_data_set_0/%s_%zu.pb", folder, kind, index);
    unsigned char *data = read_file(path, &bytes);
    if (!data)
        return false;
    Onnx__TensorProto *p = onnx__tensor_proto__unpack(NULL, bytes, data);
    free(data);
    if (!p)
        return false;
    *out = (coppice_tensor){.type = (coppice_type)p->data_type, .rank = (uint32_t)p->n_dims};
    for (size_t i = 0; i < p->n_dims && i < COPPICE_MAX_RANK; i++)
        out->dims[i] = p->dims[i];
    int64_t size = coppice_tensor_bytes(out);
    if (size >= 0) {
        out->data = malloc((size_t)size + 64);
        if (p->raw_data.len == (size_t)size && size)
            memcpy(out->data, p->raw_data.data, (size_t)size);
        else
            copy_typed(p, out);
    }
    onnx__tensor_proto__free_unpacked(p, NULL);
    return size >= 0;
}

static void read_tensors(const char *folder, const char *kind, tensors *out) {
    out->count = 0;
    while (out->count < MAX_TENSORS && read_tensor(folder, kind, out->count, &out->t[out->count]))
        out->count++;
}

static void free_tensors(tensors *list) {
    for (size_t i = 0; i < list->count; i++)
        free(list->t[i].data);
    list->count = 0;
}

static bool same_tensor(const coppice_tensor *got, const coppice_tensor *want, char *why) {
    if (got->type != want->type || got->rank != want->rank ||
        memcmp(got->dims, want->dims, want->rank * sizeof *want->dims)) {
        sprintf(why, "type %d rank %u, wanted type %d rank %u", (int)got->type, got->rank,
                (int)want->type, want->rank);
        return false;
    }
    double rtol = want->type == COPPICE_TYPE_FLOAT16 ? 1e-2 : 1e-3;
    for (int64_t i = 0; i < coppice_tensor_count(want); i++) {
        double a = cop_tensor_get(got, i), b = cop_tensor_get(want, i);
        if (a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-5 + rtol * fabs(b))
            continue;
        sprintf(why, "element %lld is %.9g, wanted %.9g", (long long)i, a, b);
        return false;
    }
    return true;
}

/* Inputs that shapes or windows depend on become constants, as exporters write them: everything
 * with integers, or all when `everything`. */
static size_t make_constant(cop_graph *graph, const tensors *in, bool everything,
                            coppice_tensor *rest) {
    static cop_constant constants[MAX_TENSORS];
    size_t left = 0;
    for (size_t i = 0; i < graph->input_count && i < in->count; i++) {
        cop_value *value = &graph->values[graph->inputs[i]];
        bool index = in->t[i].type == COPPICE_TYPE_INT64 || in->t[i].type == COPPICE_TYPE_BOOL;
        if (!everything && !(index && i > 0)) {
            rest[left++] = in->t[i];
            continue;
        }
        constants[i] = (cop_constant){
            .tensor = in->t[i], .bytes = (size_t)coppice_tensor_bytes(&in->t[i]), .aligned = true};
        value->constant = &constants[i];
    }
    return left;
}

/* Runs a case; `constant`: all inputs constant, so that everything is folded. */
static bool run_case(const char *folder, coppice_model *model, bool constant, char *why) {
    tensors in, want;
    coppice_tensor rest[MAX_TENSORS];
    coppice_error err = {0};
    cop_arena arena = {0};
    interpreter it = {0};
    read_tensors(folder, "input", &in);
    read_tensors(folder, "output", &want);
    cop_graph *graph = cop_graph_copy(cop_model_graph(model), &arena, &err);
    bool ok = graph && want.count == graph->output_count;
    if (!ok)
        sprintf(why, "%zu outputs that are tensors", want.count);
    size_t left = ok ? make_constant(graph, &in, constant, rest) : 0;
    coppice_status status = ok ? cop_passes_run(graph, &err) : COPPICE_OK;
    if (!status && ok)
        status = interpreter_run(&it, graph, rest, left, &err);
    if (status)
        strcpy(why, err.message);
    ok = ok && !status;
    for (size_t i = 0; ok && i < want.count; i++)
        ok = same_tensor(&it.shapes.values[graph->outputs[i]].t, &want.t[i], why);
    interpreter_free(&it);
    cop_graph_free(graph);
    cop_arena_free(&arena);
    free_tensors(&in);
    free_tensors(&want);
    return ok;
}

static bool in_table(const char *op) {
    for (const cop_op *const *row = cop_op_rows(); *row; row++) {
        if (!strcmp((*row)->name, op))
            return true;
    }
    return false;
}

/* True when every node is an operator that the table has, and every end a tensor of numbers. */
static bool relevant(const cop_graph *graph) {
    for (size_t i = 0; i < graph->input_count; i++) {
        if (!is_numeric(&graph->values[graph->inputs[i]]))
            return false;
    }
    for (size_t i = 0; i < graph->output_count; i++) {
        if (!is_numeric(&graph->values[graph->outputs[i]]))
            return false;
    }
    for (size_t i = 0; i < graph->node_count; i++) {
        if (graph->nodes[i].domain[0] || !in_table(graph->nodes[i].op))
            return false;
    }
    return graph->node_count > 0;
}

START_TEST(node_tests_of_known_operators_pass) {
    struct dirent **entries;
    int count = scandir(suite_folder(), &entries, NULL, alphasort), passed = 0, failed = 0,
        excused = 0;
    if (count < 0) {
        puts("SKIP: no ONNX node tests; install libonnx-testdata to run them");
        return;
    }
    for (int i = 0; i < count; i++) {
        char folder[400], path[512], why[1200] = "";
        snprintf(folder, sizeof folder, "%s/%s", suite_folder(), entries[i]->d_name);
        snprintf(path, sizeof path, "%s/model.onnx", folder);
        coppice_model *model = NULL;
        bool known = coppice_model_load(path, NULL, &model, NULL) == COPPICE_OK &&
                     relevant(cop_model_graph(model));
        if (known && is_exception(entries[i]->d_name)) {
            excused++;
        } else if (known) {
            bool ok = run_case(folder, model, false, why) || strstr(why, "depends on data");
            ok = ok && run_case(folder, model, true, why);
            passed += ok;
            failed += !ok;
            if (!ok)
                printf("FAIL %s: %s\n", entries[i]->d_name, why);
        }
        coppice_model_free(model);
        free(entries[i]);
    }
    free(entries);
    printf("%d node tests passed, %d failed, %d known not to be supported\n", passed, failed,
           excused);
    fflush(stdout);
    ck_assert_int_eq(failed, 0);
    ck_assert_int_gt(passed, 0);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("node_suite");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, node_tests_of_known_operators_pass);
    return unit_run("node_suite", tests);
}
