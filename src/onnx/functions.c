/* Model-local functions and the scopes of calls. */
#include "onnx/functions.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "onnx/varint.h"

enum {
    MAX_DEPTH = 100,         /* calls inside calls */
    MAX_NODES = 200000,      /* that all calls of a model may become */
    MAX_TEXT = 64 << 20,     /* bytes of names made for them */
    MAX_LABEL = 200,         /* of a call's name in a prefix */
    FIELD_DEFAULTS = 11,     /* FunctionProto.attribute_proto */
    FIELD_OVERLOAD = 13,     /* FunctionProto.overload */
    FIELD_NODE_OVERLOAD = 8, /* NodeProto.overload */
};

static const char *plain_domain(const char *domain) {
    return !domain || !strcmp(domain, "ai.onnx") ? "" : domain;
}

/* ---- fields that the installed schema may not know ---- */

/* Bytes of a message on the wire that remain to be read. */
typedef struct wire {
    const uint8_t *at, *end;
    bool bad;
} wire;

static uint64_t read_varint(wire *w) {
    uint64_t value;
    if (cop_varint_read(&w->at, w->end, COP_VARINT_BYTES, &value))
        return value;
    w->bad = true;
    return 0;
}

static wire read_span(wire *w) {
    uint64_t length = read_varint(w);
    if (w->bad || length > (uint64_t)(w->end - w->at)) {
        w->bad = true;
        return (wire){w->end, w->end, true};
    }
    wire span = {w->at, w->at + length, false};
    w->at += length;
    return span;
}

static void read_fixed(wire *w, void *to, size_t bytes) {
    if ((size_t)(w->end - w->at) < bytes) {
        w->bad = true;
        return;
    }
    memcpy(to, w->at, bytes);
    w->at += bytes;
}

static char *text_of(cop_arena *arena, wire span) {
    return cop_arena_strndup(arena, (const char *)span.at, (size_t)(span.end - span.at));
}

/* A string field: as the schema has it, or unknown to it. "" without one; NULL: no memory. */
static const char *string_field(cop_arena *arena, const ProtobufCMessage *message, unsigned tag) {
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(message->descriptor, tag);
    if (field)
        return cop_or_empty(*(char *const *)((const char *)message + field->offset));
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *unknown = &message->unknown_fields[i];
        wire w = {unknown->data, unknown->data + unknown->len, false};
        if (unknown->tag == tag && unknown->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            return text_of(arena, read_span(&w));
    }
    return "";
}

/* ---- defaults of attributes ---- */

/* Fields of AttributeProto. */
enum {
    FIELD_NAME = 1,
    FIELD_F = 2,
    FIELD_I = 3,
    FIELD_S = 4,
    FIELD_FLOATS = 7,
    FIELD_INTS = 8,
    FIELD_STRINGS = 9,
    FIELD_TYPE = 20,
};

static bool grow_list(cop_arena *arena, void **list, size_t count, size_t each) {
    if (count & (count + 1) && count) /* full at 1, 3, 7, ... */
        return true;
    void *more = cop_arena_array(arena, 2 * count + 2, each);
    if (more && count)
        memcpy(more, *list, count * each);
    *list = more;
    return more != NULL;
}

/* One number of a repeated field, which may be packed. */
static void read_numbers(cop_arena *arena, wire *w, unsigned type, Onnx__AttributeProto *a,
                         bool floats) {
    wire span = type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED ? read_span(w) : *w;
    wire *from = type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED ? &span : w;
    do {
        if (from->at >= from->end)
            break;
        bool room = floats ? grow_list(arena, (void **)&a->floats, a->n_floats, sizeof(float))
                           : grow_list(arena, (void **)&a->ints, a->n_ints, sizeof(int64_t));
        if (!room) {
            w->bad = true;
            return;
        }
        if (floats)
            read_fixed(from, &a->floats[a->n_floats++], sizeof(float));
        else
            a->ints[a->n_ints++] = (int64_t)read_varint(from);
    } while (from == &span && !from->bad);
    w->bad |= from->bad;
}

static void skip_field(wire *w, unsigned type) {
    uint64_t ignored;
    if (type == PROTOBUF_C_WIRE_TYPE_VARINT)
        read_varint(w);
    else if (type == PROTOBUF_C_WIRE_TYPE_64BIT)
        read_fixed(w, &ignored, 8);
    else if (type == PROTOBUF_C_WIRE_TYPE_32BIT)
        read_fixed(w, &ignored, 4);
    else if (type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
        read_span(w);
    else
        w->bad = true;
}

static void read_field(cop_arena *arena, wire *w, Onnx__AttributeProto *a) {
    uint64_t key = read_varint(w);
    unsigned type = (unsigned)key & 7;
    switch (key >> 3) {
    case FIELD_NAME:
        a->name = text_of(arena, read_span(w));
        return;
    case FIELD_F:
        read_fixed(w, &a->f, sizeof a->f);
        a->has_f = 1;
        return;
    case FIELD_I:
        a->i = (int64_t)read_varint(w);
        a->has_i = 1;
        return;
    case FIELD_S: {
        wire span = read_span(w);
        a->s = (ProtobufCBinaryData){(size_t)(span.end - span.at), (uint8_t *)span.at};
        a->has_s = 1;
        return;
    }
    case FIELD_FLOATS:
    case FIELD_INTS:
        read_numbers(arena, w, type, a, key >> 3 == FIELD_FLOATS);
        return;
    case FIELD_STRINGS: {
        wire span = read_span(w);
        if (!grow_list(arena, (void **)&a->strings, a->n_strings, sizeof *a->strings))
            w->bad = true;
        else
            a->strings[a->n_strings++] =
                (ProtobufCBinaryData){(size_t)(span.end - span.at), (uint8_t *)span.at};
        return;
    }
    case FIELD_TYPE:
        a->type = (Onnx__AttributeProto__AttributeType)read_varint(w);
        a->has_type = 1;
        return;
    default:
        skip_field(w, type);
    }
}

/* Not by protobuf-c, which would recurse into what no scan has seen. Tensors and graphs are left
 * out: list_defaults refuses them. */
static Onnx__AttributeProto *read_default(cop_arena *arena,
                                          const ProtobufCMessageUnknownField *field) {
    Onnx__AttributeProto *a = cop_arena_alloc(arena, sizeof *a);
    if (!a)
        return NULL;
    onnx__attribute_proto__init(a);
    wire outside = {field->data, field->data + field->len, false}, w = read_span(&outside);
    while (!w.bad && w.at < w.end)
        read_field(arena, &w, a);
    return w.bad ? NULL : a;
}

static bool is_simple(const Onnx__AttributeProto *a) {
    return !a->has_type || a->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT ||
           a->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT ||
           a->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING ||
           a->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS ||
           a->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS ||
           a->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS;
}

static coppice_status list_unknown(coppice_model *model, cop_function *f, coppice_error *err) {
    const ProtobufCMessage *message = &f->proto->base;
    f->defaults = cop_arena_array(&model->arena, message->n_unknown_fields, sizeof *f->defaults);
    if (!f->defaults)
        return cop_fail_memory(err, message->n_unknown_fields);
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *unknown = &message->unknown_fields[i];
        if (unknown->tag != FIELD_DEFAULTS ||
            unknown->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            continue;
        Onnx__AttributeProto *a = read_default(&model->arena, unknown);
        if (!a)
            return cop_fail(err, COPPICE_BAD_MODEL,
                            "function '%s': default %zu of an attribute is damaged", f->name,
                            f->default_count);
        f->defaults[f->default_count++] = a;
    }
    return COPPICE_OK;
}

static coppice_status list_defaults(coppice_model *model, cop_function *f, coppice_error *err) {
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(f->proto->base.descriptor, FIELD_DEFAULTS);
    if (field) {
        const char *message = (const char *)f->proto;
        f->default_count = *(const size_t *)(message + field->quantifier_offset);
        f->defaults = *(Onnx__AttributeProto ***)(message + field->offset);
    } else {
        COP_TRY(list_unknown(model, f, err));
    }
    for (size_t i = 0; i < f->default_count; i++) {
        if (!is_simple(f->defaults[i]))
            return cop_fail(err, COPPICE_UNSUPPORTED,
                            "function '%s': the default of attribute '%s' is a tensor or a graph",
                            f->name, cop_or_empty(f->defaults[i]->name));
    }
    return COPPICE_OK;
}

/* ---- the functions of a model ---- */

static coppice_status take_names(ProtobufCMessage *message, void *context) {
    cop_functions *functions = context;
    bool done = true;
    if (message->descriptor == &onnx__node_proto__descriptor) {
        const Onnx__NodeProto *node = (const Onnx__NodeProto *)message;
        for (size_t i = 0; i < node->n_output && done; i++)
            done = cop_map_set(&functions->taken, node->output[i], 1);
    } else if (message->descriptor == &onnx__value_info_proto__descriptor) {
        const char *name = ((const Onnx__ValueInfoProto *)message)->name;
        done = cop_map_set(&functions->taken, cop_or_empty(name), 1);
    } else if (message->descriptor == &onnx__tensor_proto__descriptor) {
        const char *name = ((const Onnx__TensorProto *)message)->name;
        done = cop_map_set(&functions->taken, cop_or_empty(name), 1);
    }
    return done ? COPPICE_OK : COPPICE_OUT_OF_MEMORY;
}

static const char *key_of(cop_arena *arena, const char *domain, const char *name,
                          const char *overload) {
    return domain && name && overload
               ? cop_arena_printf(arena, "%s:%s:%s", plain_domain(domain), name, overload)
               : NULL;
}

static coppice_status read_function(coppice_model *model, Onnx__FunctionProto *proto,
                                    cop_functions *out, coppice_error *err) {
    cop_function *f = &out->items[out->count];
    *f = (cop_function){.proto = proto,
                        .domain = plain_domain(proto->domain),
                        .name = cop_or_empty(proto->name),
                        .overload = string_field(&model->arena, &proto->base, FIELD_OVERLOAD)};
    const char *key = key_of(&model->arena, f->domain, f->name, f->overload);
    if (!key)
        return cop_fail_memory(err, sizeof *f);
    if (!f->name[0])
        return cop_fail(err, COPPICE_BAD_MODEL, "function %zu has no name", out->count);
    if (cop_map_get(&out->by_key, key, -1) >= 0)
        return cop_fail(err, COPPICE_BAD_MODEL, "two functions are named '%s' in domain '%s'",
                        f->name, f->domain);
    COP_TRY(list_defaults(model, f, err));
    if (!cop_map_set(&out->by_key, key, (int64_t)out->count++))
        return cop_fail_memory(err, sizeof *f);
    return COPPICE_OK;
}

coppice_status cop_functions_read(coppice_model *model, cop_functions *out, coppice_error *err) {
    Onnx__ModelProto *proto = model->proto;
    if (!proto->n_functions)
        return COPPICE_OK;
    out->items = cop_arena_array(&model->arena, proto->n_functions, sizeof *out->items);
    if (!out->items)
        return cop_fail_memory(err, proto->n_functions * sizeof *out->items);
    for (size_t i = 0; i < proto->n_functions; i++)
        COP_TRY(read_function(model, proto->functions[i], out, err));
    if (cop_visit_messages(proto, take_names, out) != COPPICE_OK)
        return cop_fail_memory(err, 0);
    return COPPICE_OK;
}

void cop_functions_free(cop_functions *functions) {
    cop_map_free(&functions->by_key);
    cop_map_free(&functions->taken);
}

const cop_function *cop_functions_find(const cop_functions *functions,
                                       const Onnx__NodeProto *node) {
    if (!functions->count)
        return NULL;
    cop_arena arena = {0};
    const char *overload = string_field(&arena, &node->base, FIELD_NODE_OVERLOAD);
    const char *key = key_of(&arena, plain_domain(node->domain), cop_or_empty(node->op_type),
                             overload ? overload : "");
    int64_t at = key ? cop_map_get(&functions->by_key, key, -1) : -1;
    cop_arena_free(&arena);
    return at < 0 ? NULL : &functions->items[at];
}

/* ---- scopes ---- */

static bool bind(cop_scope *scope, const char *name, const char *actual) {
    return actual && cop_map_set(&scope->names, name, (int64_t)(intptr_t)actual);
}

static const char *bound(const cop_scope *scope, const char *name) {
    return (const char *)(intptr_t)cop_map_get(&scope->names, name, 0);
}

/* Counts text that is made, which a small file may ask for without end. */
static const char *joined(coppice_model *model, cop_functions *functions, const char *a,
                          const char *b) {
    functions->text += strlen(a) + strlen(b) + 1;
    return functions->text > MAX_TEXT ? NULL : cop_arena_printf(&model->arena, "%s%s", a, b);
}

static bool prefix_is_free(coppice_model *model, cop_functions *functions, const cop_scope *scope,
                           const char *prefix) {
    const Onnx__FunctionProto *f = scope->function->proto;
    if (cop_map_get(&functions->taken, prefix, 0))
        return false;
    for (size_t i = 0; i < f->n_node; i++) {
        for (size_t k = 0; k < f->node[i]->n_output; k++) {
            const char *name = joined(model, functions, prefix, f->node[i]->output[k]);
            if (name && cop_map_get(&functions->taken, name, 0))
                return false;
        }
    }
    return true;
}

/* "around/call/", with "#2" and so on where two calls have the same name. */
static const char *make_prefix(coppice_model *model, cop_functions *functions,
                               const cop_scope *scope) {
    const Onnx__NodeProto *call = scope->call;
    const char *label = cop_or_empty(call->name);
    for (size_t i = 0; !label[0] && i < call->n_output; i++)
        label = call->output[i];
    if (!label[0])
        label = scope->function->name;
    const char *around = scope->outer ? scope->outer->prefix : "";
    const char *prefix = NULL;
    for (unsigned n = 1; !prefix; n++) {
        char own[MAX_LABEL + 16];
        if (n == 1)
            snprintf(own, sizeof own, "%.*s/", MAX_LABEL, label);
        else
            snprintf(own, sizeof own, "%.*s#%u/", MAX_LABEL, label, n);
        prefix = joined(model, functions, around, own);
        if (!prefix)
            return NULL;
        if (!prefix_is_free(model, functions, scope, prefix))
            prefix = NULL;
    }
    return cop_map_set(&functions->taken, prefix, 1) ? prefix : NULL;
}

static coppice_status check_call(const cop_functions *functions, const cop_scope *scope,
                                 coppice_error *err) {
    const cop_function *f = scope->function;
    for (const cop_scope *outer = scope->outer; outer; outer = outer->outer) {
        if (outer->function == f)
            return cop_fail(err, COPPICE_BAD_MODEL, "function '%s' of domain '%s' calls itself",
                            f->name, f->domain);
    }
    if (scope->depth > MAX_DEPTH)
        return cop_fail(err, COPPICE_LIMIT, "more than %d calls of functions inside each other",
                        MAX_DEPTH);
    if (functions->nodes > MAX_NODES)
        return cop_fail(err, COPPICE_LIMIT, "calls of functions become more than %d nodes",
                        MAX_NODES);
    if (scope->call->n_input > f->proto->n_input || scope->call->n_output > f->proto->n_output)
        return cop_fail(err, COPPICE_BAD_MODEL,
                        "has %zu inputs and %zu outputs, function '%s' has %zu and %zu",
                        scope->call->n_input, scope->call->n_output, f->name, f->proto->n_input,
                        f->proto->n_output);
    return COPPICE_OK;
}

static bool bind_ends(coppice_model *model, cop_functions *functions, cop_scope *scope) {
    const Onnx__FunctionProto *f = scope->function->proto;
    const Onnx__NodeProto *call = scope->call;
    cop_scope *outer = (cop_scope *)scope->outer;
    for (size_t i = 0; i < f->n_input; i++) {
        const char *given = i < call->n_input ? call->input[i] : "";
        if (!bind(scope, f->input[i], cop_scope_name(model, functions, outer, given)))
            return false;
    }
    for (size_t i = 0; i < f->n_output && i < call->n_output; i++) {
        if (!call->output[i][0] || cop_scope_hands_through(scope, i))
            continue;
        if (!bind(scope, f->output[i], cop_scope_name(model, functions, outer, call->output[i])))
            return false;
    }
    return true;
}

coppice_status cop_scope_enter(coppice_model *model, cop_functions *functions,
                               const cop_scope *outer, const cop_function *function,
                               const Onnx__NodeProto *call, cop_scope *scope, coppice_error *err) {
    *scope = (cop_scope){
        .outer = outer, .function = function, .call = call, .depth = outer ? outer->depth + 1 : 1};
    functions->nodes += 1 + function->proto->n_node;
    COP_TRY(check_call(functions, scope, err));
    scope->prefix = make_prefix(model, functions, scope);
    if (scope->prefix && bind_ends(model, functions, scope))
        return COPPICE_OK;
    if (functions->text > MAX_TEXT)
        return cop_fail(err, COPPICE_LIMIT, "the names in calls of functions take more than %d MB",
                        MAX_TEXT >> 20);
    return cop_fail_memory(err, 0);
}

void cop_scope_leave(cop_scope *scope) {
    cop_map_free(&scope->names);
}

const char *cop_scope_name(coppice_model *model, cop_functions *functions, cop_scope *scope,
                           const char *name) {
    if (!scope || !name[0])
        return name;
    const char *actual = bound(scope, name);
    if (actual)
        return actual;
    actual = joined(model, functions, scope->prefix, name);
    return bind(scope, name, actual) ? actual : NULL;
}

bool cop_scope_hands_through(const cop_scope *scope, size_t i) {
    const Onnx__FunctionProto *f = scope->function->proto;
    for (size_t k = 0; k < f->n_input; k++)
        if (!strcmp(f->input[k], f->output[i]))
            return true;
    for (size_t k = 0; k < i; k++)
        if (!strcmp(f->output[k], f->output[i]))
            return true;
    return false;
}

static Onnx__AttributeProto *find_attribute(Onnx__AttributeProto **list, size_t count,
                                            const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(cop_or_empty(list[i]->name), name))
            return list[i];
    }
    return NULL;
}

Onnx__AttributeProto *cop_scope_attribute(cop_scope *scope, Onnx__AttributeProto *attribute,
                                          cop_scope **where) {
    *where = scope;
    while (scope && attribute && cop_or_empty(attribute->ref_attr_name)[0]) {
        const char *name = attribute->ref_attr_name;
        attribute = find_attribute(scope->call->attribute, scope->call->n_attribute, name);
        if (!attribute) {
            *where = scope;
            return find_attribute(scope->function->defaults, scope->function->default_count, name);
        }
        scope = *where = (cop_scope *)scope->outer;
    }
    return attribute;
}

int64_t cop_scope_opset(const cop_scope *scope, const char *domain) {
    const Onnx__FunctionProto *f = scope->function->proto;
    for (size_t i = 0; i < f->n_opset_import; i++) {
        if (!strcmp(plain_domain(f->opset_import[i]->domain), plain_domain(domain)))
            return f->opset_import[i]->version;
    }
    return 0;
}
