/* Values as users see them, to operands and back. */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "runtime/value.h"

enum { MAX_NESTING = 32 };

static coppice_status check_nested(const coppice_value *value, const char *name, int depth,
                                   coppice_error *err) {
    if (depth > MAX_NESTING)
        return cop_fail(err, COPPICE_LIMIT, "input '%s' nests deeper than %d", name, MAX_NESTING);
    if (value->kind == COPPICE_KIND_TENSOR) {
        const coppice_tensor *t = &value->tensor;
        int64_t bytes = t->rank > COPPICE_MAX_RANK ? -1 : coppice_tensor_bytes(t);
        if (bytes < 0 || (bytes > 0 && !t->data))
            return cop_fail(err, COPPICE_INVALID_ARGUMENT, "input '%s' is not a valid tensor",
                            name);
        return COPPICE_OK;
    }
    if (value->kind != COPPICE_KIND_SEQUENCE && value->kind != COPPICE_KIND_OPTIONAL)
        return cop_fail(err, COPPICE_UNSUPPORTED, "input '%s' is a %s", name,
                        coppice_kind_name(value->kind));
    if ((value->count > 0 && !value->items) ||
        (value->kind == COPPICE_KIND_OPTIONAL && value->count > 1))
        return cop_fail(err, COPPICE_INVALID_ARGUMENT, "input '%s' is not a valid %s", name,
                        coppice_kind_name(value->kind));
    for (size_t i = 0; i < value->count; i++)
        COP_TRY(check_nested(&value->items[i], name, depth + 1, err));
    return COPPICE_OK;
}

coppice_status cop_check_value(const coppice_value *value, const char *name, coppice_error *err) {
    return check_nested(value, name, 0, err);
}

/* ---- to operands ---- */

/* A tensor of strings in a block, its bytes in the arena. */
static coppice_status take_strings(const coppice_tensor *t, cop_arena *strings, cop_operand *out,
                                   coppice_error *err) {
    size_t count = (size_t)coppice_tensor_count(t);
    const coppice_string *from = t->data;
    cop_block *block = cop_block_new((size_t)coppice_tensor_bytes(t));
    if (!block)
        return cop_fail_memory(err, count * sizeof *from);
    *out = (cop_operand){.t = *t, .block = block};
    coppice_string *to = out->t.data = block->data;
    for (size_t i = 0; i < count; i++) {
        to[i] = (coppice_string){cop_arena_strndup(strings, from[i].data, from[i].length),
                                 from[i].length};
        if (!to[i].data)
            return cop_fail_memory(err, from[i].length);
    }
    return COPPICE_OK;
}

static coppice_status take_items(const coppice_value *value, cop_arena *strings, cop_operand *out,
                                 coppice_error *err) {
    cop_items *items = cop_items_new(value->count);
    if (!items)
        return cop_fail_memory(err, value->count);
    *out = (cop_operand){.t = {.type = value->tensor.type}, .kind = value->kind, .items = items};
    for (size_t i = 0; i < value->count; i++) {
        cop_operand item;
        coppice_status status = cop_operand_from_value(&value->items[i], strings, &item, err);
        if (!status)
            status = cop_operand_share(&items->list[i], &item, err);
        cop_operand_release(&item);
        COP_TRY(status);
    }
    return COPPICE_OK;
}

coppice_status cop_operand_from_value(const coppice_value *value, cop_arena *strings,
                                      cop_operand *out, coppice_error *err) {
    *out = (cop_operand){0};
    if (value->kind != COPPICE_KIND_TENSOR)
        return take_items(value, strings, out, err);
    if (value->tensor.type == COPPICE_TYPE_STRING)
        return take_strings(&value->tensor, strings, out, err);
    return cop_operand_hold(&value->tensor, out, err);
}

/* ---- back ---- */

coppice_status cop_value_from_operand(const cop_operand *operand, cop_arena *arena,
                                      coppice_value *out, coppice_error *err) {
    *out = (coppice_value){.kind = operand->kind, .tensor = {.type = cop_onnx_type(operand)}};
    if (operand->kind == COPPICE_KIND_TENSOR)
        return cop_operand_return(operand, arena, &out->tensor, err);
    size_t count = operand->items ? operand->items->count : 0;
    if (!count)
        return COPPICE_OK;
    coppice_value *list = cop_arena_array(arena, count, sizeof *list);
    if (!list)
        return cop_fail_memory(err, count * sizeof *list);
    for (size_t i = 0; i < count; i++)
        COP_TRY(cop_value_from_operand(&operand->items->list[i], arena, &list[i], err));
    out->items = list;
    out->count = count;
    return COPPICE_OK;
}
