/* Counted memory of values that nobody could plan. */
#include "runtime/value.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

enum { BLOCK_ALIGNMENT = 64, SLACK = 64 /* kernels may read behind the end */ };

coppice_type cop_held_type(coppice_type type) {
    switch (type) {
    case COPPICE_TYPE_FLOAT16:
    case COPPICE_TYPE_BFLOAT16:
    case COPPICE_TYPE_FLOAT8E4M3FN:
    case COPPICE_TYPE_FLOAT8E4M3FNUZ:
    case COPPICE_TYPE_FLOAT8E5M2:
    case COPPICE_TYPE_FLOAT8E5M2FNUZ:
    case COPPICE_TYPE_FLOAT8E8M0:
    case COPPICE_TYPE_FLOAT4E2M1:
        return COPPICE_TYPE_FLOAT;
    case COPPICE_TYPE_INT4:
    case COPPICE_TYPE_INT2:
        return COPPICE_TYPE_INT8;
    case COPPICE_TYPE_UINT4:
    case COPPICE_TYPE_UINT2:
        return COPPICE_TYPE_UINT8;
    default:
        return type;
    }
}

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

/* ---- operands ---- */

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
