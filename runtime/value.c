/* How values are held: in wider types than a model has, in counted blocks where nobody planned. */
#include "runtime/value.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/narrow.h"
#include "base/size.h"

enum { BLOCK_ALIGNMENT = 64, SLACK = 64 /* kernels may read behind the end */ };

coppice_type cop_onnx_type(const cop_operand *operand) {
    return operand->narrow ? operand->narrow : operand->t.type;
}

/* ---- blocks ---- */

cop_block *cop_block_new(size_t bytes) {
    cop_block *block = cop_calloc(1, sizeof *block);
    if (!block)
        return NULL;
    *block = (cop_block){.refs = 1, .bytes = cop_round_up(bytes ? bytes : 1, BLOCK_ALIGNMENT)};
    size_t all;
    if (block->bytes >= bytes && cop_size_add(block->bytes, SLACK, &all))
        block->data = cop_aligned_alloc(BLOCK_ALIGNMENT, all);
    if (block->data)
        return block;
    cop_free(block);
    return NULL;
}

void cop_block_release(cop_block *block) {
    if (!block || --block->refs)
        return;
    cop_free(block->data);
    cop_free(block);
}

/* ---- ends of a model ---- */

cop_operand cop_operand_of(const coppice_tensor *tensor) {
    cop_operand held = {.t = *tensor};
    held.t.data = NULL;
    held.t.type = cop_wide_type(tensor->type);
    held.narrow = cop_is_narrow_type(tensor->type) ? tensor->type : COPPICE_TYPE_UNDEFINED;
    return held;
}

void cop_operand_fill(const cop_operand *held, const coppice_tensor *tensor) {
    int64_t bytes = coppice_tensor_bytes(tensor);
    if (cop_is_narrow_type(held->narrow))
        cop_narrow_unpack(held->narrow, tensor->data, 0, (size_t)coppice_tensor_count(tensor),
                          held->t.data);
    else if (bytes > 0)
        memcpy(held->t.data, tensor->data, (size_t)bytes);
}

coppice_status cop_operand_hold(const coppice_tensor *tensor, cop_operand *held,
                                coppice_error *err) {
    *held = cop_operand_of(tensor);
    if (!held->narrow) {
        held->t.data = tensor->data;
        return COPPICE_OK;
    }
    int64_t bytes = coppice_tensor_bytes(&held->t);
    held->block = bytes < 0 ? NULL : cop_block_new((size_t)bytes);
    if (!held->block)
        return cop_fail_memory(err, (size_t)bytes);
    held->t.data = held->block->data;
    cop_operand_fill(held, tensor);
    return COPPICE_OK;
}

coppice_status cop_operand_return(const cop_operand *held, cop_arena *arena, coppice_tensor *out,
                                  coppice_error *err) {
    *out = held->t;
    out->type = cop_onnx_type(held);
    if (!cop_is_narrow_type(out->type))
        return COPPICE_OK;
    size_t bytes = (size_t)coppice_tensor_bytes(out);
    out->data = cop_arena_alloc(arena, bytes);
    if (!out->data)
        return cop_fail_memory(err, bytes);
    cop_narrow_pack(out->type, held->t.data, 0, (size_t)coppice_tensor_count(out), out->data);
    return COPPICE_OK;
}

/* ---- operands ---- */

cop_items *cop_items_new(size_t count) {
    size_t bytes;
    cop_items *items = NULL;
    if (cop_size_mul(count, sizeof *items->list, &bytes) &&
        cop_size_add(bytes, sizeof *items, &bytes))
        items = cop_calloc(1, bytes);
    if (items)
        *items = (cop_items){.refs = 1, .count = count, .list = (cop_operand *)(items + 1)};
    return items;
}

/* Sequences nest as deep as their type says, which the schema limits: recursion is bounded. */
static void release_items(cop_items *items) {
    if (!items || --items->refs)
        return;
    for (size_t i = 0; i < items->count; i++)
        cop_operand_release(&items->list[i]);
    cop_free(items);
}

void cop_operand_release(cop_operand *operand) {
    cop_block_release(operand->block);
    release_items(operand->items);
    *operand = (cop_operand){0};
}

static coppice_status copy_borrowed(cop_operand *dst, const cop_operand *src, coppice_error *err) {
    int64_t bytes = coppice_tensor_bytes(&src->t);
    if (bytes < 0)
        return cop_fail(err, COPPICE_LIMIT, "a tensor has too many elements");
    dst->block = cop_block_new((size_t)bytes);
    if (!dst->block)
        return cop_fail_memory(err, (size_t)bytes);
    if (bytes && src->t.data)
        memcpy(dst->block->data, src->t.data, (size_t)bytes);
    dst->t.data = dst->block->data;
    return COPPICE_OK;
}

coppice_status cop_operand_share(cop_operand *dst, const cop_operand *src, coppice_error *err) {
    *dst = *src;
    if (src->items)
        src->items->refs++;
    if (src->block)
        src->block->refs++;
    if (src->kind != COPPICE_KIND_TENSOR || src->block)
        return COPPICE_OK;
    coppice_status status = copy_borrowed(dst, src, err);
    if (status)
        *dst = (cop_operand){0};
    return status;
}
