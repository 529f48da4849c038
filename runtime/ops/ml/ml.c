/* Operators of ai.onnx.ml: ArrayFeatureExtractor, Binarizer, LabelEncoder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/ops/ops.h"
#include "runtime/ops/shape/index.h"

#define ML "ai.onnx.ml"

/* ---- ArrayFeatureExtractor ---- */

static coppice_status arrayfeatureextractor_infer(cop_call *call) {
    coppice_tensor shape = *cop_in(call, 0);
    int64_t count = coppice_tensor_count(cop_in(call, 1));
    COP_TRY(cop_need_indices(call, 1));
    if (shape.rank == 0 || count == 0)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input %s and %lld indices",
                        cop_shape_text(&shape).s, (long long)count);
    if (shape.rank == 1) {
        shape.rank = 2;
        shape.dims[0] = 1;
    }
    shape.dims[shape.rank - 1] = count;
    cop_set_out(call, 0, shape.type, shape.rank, shape.dims);
    return COPPICE_OK;
}

static coppice_status arrayfeatureextractor_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0), *indices = cop_in(call, 1);
    char *out = cop_out(call, 0)->data;
    int64_t dim = in->dims[in->rank - 1], count = coppice_tensor_count(indices);
    int64_t rows = dim ? coppice_tensor_count(in) / dim : 0;
    size_t bytes = cop_type_bytes(in->type);
    COP_TRY(cop_check_indices(call, 1, &dim, 1));
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < count; i++, out += bytes)
            memcpy(out,
                   (const char *)in->data +
                       (size_t)(r * dim + cop_index_at(indices, i, dim)) * bytes,
                   bytes);
    }
    return COPPICE_OK;
}

/* ---- Binarizer ---- */

#define BINARIZE(T, TYPE)                                                                          \
    case COPPICE_TYPE_##TYPE:                                                                      \
        for (int64_t i = 0; i < count; i++)                                                        \
            ((T *)out)[i] = (double)((const T *)in->data)[i] > (double)threshold;                  \
        break;

static coppice_status binarizer_infer(cop_call *call) {
    return cop_infer_same(call);
}

static coppice_status binarizer_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    void *out = cop_out(call, 0)->data;
    int64_t count = coppice_tensor_count(in);
    float threshold;
    COP_TRY(cop_node_float(call->node, "threshold", 0, &threshold, call->err));
    switch ((int)in->type) {
        BINARIZE(float, FLOAT)
        BINARIZE(double, DOUBLE)
        BINARIZE(int32_t, INT32)
        BINARIZE(int64_t, INT64)
    }
    return COPPICE_OK;
}

/* ---- LabelEncoder: lists ---- */

/* Keys or values: of an attribute, whichever kind it is of. */
typedef struct label_list {
    coppice_type type; /* UNDEFINED: not given */
    size_t count;
    const cop_attr *attr;
} label_list;

static coppice_status find_list(const cop_call *call, const char *prefix, label_list *list) {
    static const struct {
        const char *suffix;
        cop_attr_kind kind;
        coppice_type type;
    } kinds[] = {{"strings", COP_ATTR_STRINGS, COPPICE_TYPE_STRING},
                 {"int64s", COP_ATTR_INTS, COPPICE_TYPE_INT64},
                 {"floats", COP_ATTR_FLOATS, COPPICE_TYPE_FLOAT},
                 {"tensor", COP_ATTR_TENSOR, COPPICE_TYPE_UNDEFINED}};
    char name[32];
    *list = (label_list){0};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        snprintf(name, sizeof name, "%s%s", prefix, kinds[i].suffix);
        const cop_attr *attr = cop_node_attr(call->node, name);
        if (!attr)
            continue;
        bool tensor = kinds[i].kind == COP_ATTR_TENSOR;
        if (attr->kind != kinds[i].kind || list->attr)
            return cop_fail(call->err, COPPICE_BAD_MODEL,
                            "attribute '%s' is of another kind, or one of several", name);
        int64_t count = tensor ? coppice_tensor_count(&attr->tensor->tensor) : (int64_t)attr->count;
        *list =
            (label_list){tensor ? attr->tensor->tensor.type : kinds[i].type, (size_t)count, attr};
        if (count < 0 || (tensor && count && !attr->tensor->tensor.data))
            return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute '%s' cannot be read", name);
    }
    return COPPICE_OK;
}

static coppice_string string_at(const label_list *list, size_t i) {
    coppice_string text;
    if (list->attr->kind == COP_ATTR_STRINGS)
        return (coppice_string){list->attr->strings[i].data, list->attr->strings[i].length};
    memcpy(&text, (const char *)list->attr->tensor->tensor.data + i * sizeof text, sizeof text);
    return text;
}

static double number_at(const label_list *list, size_t i) {
    if (list->attr->kind == COP_ATTR_FLOATS)
        return (double)list->attr->floats[i];
    return cop_tensor_get(&list->attr->tensor->tensor, (int64_t)i);
}

static int64_t integer_at(const label_list *list, size_t i) {
    if (list->attr->kind == COP_ATTR_INTS)
        return list->attr->ints[i];
    return cop_tensor_get_int(&list->attr->tensor->tensor, (int64_t)i);
}

/* ---- LabelEncoder ---- */

typedef struct encoder_params {
    label_list keys, values;
    const cop_attr *default_tensor;
} encoder_params;

/* Opset 1 has one list of strings; the input's type says in which direction it maps. */
static coppice_status labelencoder_parse(const cop_call *call, void *params) {
    encoder_params *p = params;
    if (call->opset < 2) {
        COP_TRY(find_list(call, "classes_", &p->keys));
        return COPPICE_OK;
    }
    COP_TRY(find_list(call, "keys_", &p->keys));
    COP_TRY(find_list(call, "values_", &p->values));
    p->default_tensor = cop_node_attr(call->node, "default_tensor");
    if (p->default_tensor && (p->default_tensor->kind != COP_ATTR_TENSOR ||
                              coppice_tensor_count(&p->default_tensor->tensor->tensor) != 1 ||
                              !p->default_tensor->tensor->tensor.data ||
                              p->default_tensor->tensor->tensor.type != p->values.type))
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "attribute 'default_tensor' is no single value of the type of the values");
    if (p->keys.attr && p->values.attr && p->keys.count == p->values.count)
        return COPPICE_OK;
    return cop_fail(call->err, COPPICE_BAD_MODEL, "%zu keys for %zu values", p->keys.count,
                    p->values.count);
}

static coppice_status labelencoder_infer(cop_call *call) {
    const encoder_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    coppice_type wanted = p->keys.type, made = p->values.type;
    if (call->opset < 2) {
        wanted = in->type;
        made = in->type == COPPICE_TYPE_STRING ? COPPICE_TYPE_INT64 : COPPICE_TYPE_STRING;
        if (p->keys.type != COPPICE_TYPE_STRING)
            return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'classes_strings' is missing");
    }
    if (in->type != wanted || !cop_type_bytes(made))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input '%s' is %s, the keys are %s",
                        cop_in_name(call, 0), coppice_type_name(in->type),
                        coppice_type_name(wanted));
    cop_set_out(call, 0, made, in->rank, in->dims);
    return COPPICE_OK;
}

/* A key and its place in the list. */
typedef struct label_key {
    coppice_string text;
    double number;
    int64_t integer;
    size_t at;
} label_key;

/* Only one member of a key counts, the others are all the same. NaNs are equal. */
static int by_key(const label_key *x, const label_key *y) {
    size_t n = cop_smaller(x->text.length, y->text.length);
    int order = n ? memcmp(x->text.data, y->text.data, n) : 0;
    if (order || x->text.length != y->text.length)
        return order ? order : x->text.length < y->text.length ? -1 : 1;
    if (x->integer != y->integer)
        return x->integer < y->integer ? -1 : 1;
    bool x_nan = x->number != x->number, y_nan = y->number != y->number;
    if (x_nan || y_nan)
        return (int)x_nan - (int)y_nan;
    return x->number < y->number ? -1 : x->number > y->number;
}

static int by_key_and_place(const void *a, const void *b) {
    const label_key *x = a, *y = b;
    int order = by_key(x, y);
    return order ? order : x->at < y->at ? -1 : x->at > y->at;
}

/* The last of equal keys; NULL when there is none. */
static const label_key *find_key(const label_key *keys, size_t count, const label_key *wanted) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (by_key(&keys[middle], wanted) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low && by_key(&keys[low - 1], wanted) == 0 ? &keys[low - 1] : NULL;
}

static label_key key_of(const coppice_tensor *t, int64_t i) {
    label_key key = {.text = {"", 0}};
    if (t->type == COPPICE_TYPE_STRING)
        key.text = ((const coppice_string *)t->data)[i];
    else if (cop_is_float_type(t->type))
        key.number = cop_tensor_get(t, i);
    else
        key.integer = cop_tensor_get_int(t, i);
    return key;
}

static size_t labelencoder_scratch(const cop_call *call) {
    const encoder_params *p = call->params;
    return (p->keys.count + 1) * sizeof(label_key);
}

static size_t sorted_keys(const cop_call *call, label_key *keys) {
    const encoder_params *p = call->params;
    for (size_t i = 0; i < p->keys.count; i++) {
        keys[i] = (label_key){.text = {"", 0}, .at = i};
        if (p->keys.type == COPPICE_TYPE_STRING)
            keys[i].text = string_at(&p->keys, i);
        else if (cop_is_float_type(p->keys.type))
            keys[i].number = number_at(&p->keys, i);
        else
            keys[i].integer = integer_at(&p->keys, i);
    }
    qsort(keys, p->keys.count, sizeof *keys, by_key_and_place);
    return p->keys.count;
}

/* An element of the output, from place `at` of the values; SIZE_MAX: the default. */
typedef struct label_value {
    coppice_string text;
    double number;
    int64_t integer;
} label_value;

static coppice_status default_value(const cop_call *call, label_value *out) {
    const encoder_params *p = call->params;
    float number;
    const cop_attr *text = cop_node_attr(call->node, "default_string");
    COP_TRY(cop_node_int(call->node, "default_int64", -1, &out->integer, call->err));
    COP_TRY(cop_node_float(call->node, "default_float", -0.0f, &number, call->err));
    out->number = (double)number;
    out->text = (coppice_string){"_Unused", 7};
    if (text && text->kind == COP_ATTR_STRING)
        out->text = (coppice_string){text->s.data, text->s.length};
    if (!p->default_tensor)
        return COPPICE_OK;
    const label_list one = {p->values.type, 1, p->default_tensor};
    if (one.type == COPPICE_TYPE_STRING) {
        out->text = string_at(&one, 0);
        return COPPICE_OK;
    }
    out->number = number_at(&one, 0);
    out->integer = integer_at(&one, 0);
    return COPPICE_OK;
}

static void store_value(const coppice_tensor *out, int64_t i, const label_value *v) {
    switch ((int)out->type) {
    case COPPICE_TYPE_STRING:
        ((coppice_string *)out->data)[i] = v->text;
        break;
    case COPPICE_TYPE_FLOAT:
        ((float *)out->data)[i] = (float)v->number;
        break;
    case COPPICE_TYPE_DOUBLE:
        ((double *)out->data)[i] = v->number;
        break;
    case COPPICE_TYPE_INT64:
        ((int64_t *)out->data)[i] = v->integer;
        break;
    case COPPICE_TYPE_INT32:
        ((int32_t *)out->data)[i] = (int32_t)v->integer;
        break;
    case COPPICE_TYPE_INT16:
        ((int16_t *)out->data)[i] = (int16_t)v->integer;
        break;
    }
}

static label_value value_at(const label_list *values, size_t at) {
    label_value v = {.text = {"", 0}};
    if (values->type == COPPICE_TYPE_STRING)
        v.text = string_at(values, at);
    else if (cop_is_float_type(values->type))
        v.number = number_at(values, at);
    else
        v.integer = integer_at(values, at);
    return v;
}

static coppice_status labelencoder_run(const cop_call *call) {
    const encoder_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    label_key *keys = call->scratch;
    label_value absent, value;
    size_t count = sorted_keys(call, keys);
    COP_TRY(default_value(call, &absent));
    for (int64_t i = 0; i < coppice_tensor_count(in); i++) {
        value = absent;
        label_key wanted = key_of(in, i);
        if (call->opset < 2 && in->type != COPPICE_TYPE_STRING) {
            if (wanted.integer >= 0 && (uint64_t)wanted.integer < count)
                value.text = string_at(&p->keys, (size_t)wanted.integer);
            store_value(cop_out(call, 0), i, &value);
            continue;
        }
        const label_key *found = find_key(keys, count, &wanted);
        if (found && call->opset < 2)
            value.integer = (int64_t)found->at;
        else if (found)
            value = value_at(&p->values, found->at);
        store_value(cop_out(call, 0), i, &value);
    }
    return COPPICE_OK;
}

/* ---- rows of the operator table ---- */

#define LABELS                                                                                     \
    (FLOATS | COP_TYPE_BIT(STRING) | COP_TYPE_BIT(INT64) | COP_TYPE_BIT(INT32) |                   \
     COP_TYPE_BIT(INT16))

/* clang-format off */
const cop_op cop_ops_ml[] = {
    {.domain = ML, .name = "ArrayFeatureExtractor", .since = 1, .min_inputs = 2, .max_inputs = 2,
     .max_outputs = 1, .types = WHOLE_BYTES, INFER(arrayfeatureextractor),
     RUN(arrayfeatureextractor)},
    {.domain = ML, .name = "Binarizer", .since = 1, ONE_TO_ONE,
     .types = FLOATS | COP_TYPE_BIT(INT32) | COP_TYPE_BIT(INT64), INFER(binarizer),
     RUN(binarizer)},
    {.domain = ML, .name = "LabelEncoder", .since = 1, ONE_TO_ONE, .types = LABELS,
     PARSE(labelencoder, encoder_params), INFER(labelencoder), RUN(labelencoder),
     .scratch = labelencoder_scratch},
    {.name = NULL},
};
/* clang-format on */
