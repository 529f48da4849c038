/* Running a node whose shapes depend on data: infer, make room, run. */
#include "runtime/eager.h"

#include <string.h>

#include "base/interrupt.h"
#include "base/memory.h"
#include "runtime/ops/util.h"

/* ---- spare blocks ---- */

void cop_spare_free(cop_spare *spare) {
    for (size_t i = 0; i < spare->count; i++)
        cop_block_release(spare->blocks[i]);
    spare->count = 0;
}

void cop_spare_release(cop_spare *spare, cop_operand *operand) {
    cop_block *block = operand->block;
    if (spare && block && block->refs == 1) {
        if (spare->count == COP_SPARE_BLOCKS) { /* the one that was spare longest goes */
            cop_block_release(spare->blocks[0]);
            spare->count--;
            memmove(spare->blocks, spare->blocks + 1, spare->count * sizeof *spare->blocks);
        }
        spare->blocks[spare->count++] = block;
        operand->block = NULL;
    }
    cop_operand_release(operand);
}

/* The smallest block that is large enough and at most twice as large, or a new one. */
cop_block *cop_spare_take(cop_spare *spare, size_t bytes) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; spare && i < spare->count; i++) {
        size_t has = spare->blocks[i]->bytes;
        if (has >= bytes && has / 2 <= bytes + 2048 &&
            (best == SIZE_MAX || has < spare->blocks[best]->bytes))
            best = i;
    }
    if (best == SIZE_MAX)
        return cop_block_new(bytes);
    cop_block *block = spare->blocks[best];
    spare->count--;
    memmove(spare->blocks + best, spare->blocks + best + 1,
            (spare->count - best) * sizeof *spare->blocks);
    return block;
}

/* ---- one node ---- */

coppice_status cop_eager_run(const cop_op *op, cop_call *call, cop_spare *spare) {
    size_t bytes = op->scratch ? op->scratch(call) : 0;
    cop_operand scratch = {.block = bytes ? cop_spare_take(spare, bytes) : NULL};
    if (bytes && !scratch.block)
        return cop_fail_memory(call->err, bytes);
    call->scratch = bytes ? scratch.block->data : NULL;
    coppice_status status = op->run(call);
    cop_spare_release(spare, &scratch);
    return cop_check_interrupt(call->err) ? COPPICE_INTERRUPTED : status;
}

coppice_status cop_eager_outputs(cop_call *call, cop_spare *spare) {
    for (int i = 0; i < call->node->output_count; i++) {
        cop_operand *out = &call->out[i];
        int64_t bytes = coppice_tensor_bytes(&out->t);
        if (bytes < 0)
            return cop_fail(call->err, COPPICE_LIMIT, "the output %s has too many elements",
                            cop_shape_text(&out->t).s);
        if (i > 0 && call->node->outputs[i] < 0)
            continue;
        out->block = cop_spare_take(spare, (size_t)bytes);
        if (!out->block)
            return cop_fail_memory(call->err, (size_t)bytes);
        out->t.data = out->block->data;
    }
    return COPPICE_OK;
}

/* Output 0 refers to the bytes of input 0, which must be counted. */
static void share_view(cop_call *call) {
    cop_block *block = call->in[0]->block;
    block->refs++;
    call->out[0].block = block;
    call->out[0].t.data = call->in[0]->t.data;
}

/* While the model runs every input is there. */
static coppice_status check_all_there(const cop_call *call) {
    for (int i = 0; i < call->node->input_count; i++) {
        const cop_operand *in = call->in[i];
        if (in && in->kind == COPPICE_KIND_TENSOR && !in->t.type)
            return cop_fail(call->err, COPPICE_INVALID_ARGUMENT, "input '%s' has no value",
                            cop_in_name(call, i));
    }
    return COPPICE_OK;
}

coppice_status cop_eager_call(const cop_op *op, cop_call *call, cop_spare *spare) {
    COP_TRY(check_all_there(call));
    COP_TRY(cop_check_operands(op, call));
    if (op->flags & COP_OP_VIEW && call->in[0]->kind != COPPICE_KIND_TENSOR)
        return cop_out_share(call, 0, call->in[0]);
    coppice_status status = op->infer ? op->infer(call) : COPPICE_OK;
    if (status == COP_NEEDS_DATA)
        return cop_fail(call->err, COPPICE_INTERNAL, "the shape is not known with all data there");
    COP_TRY(status);
    if (op->flags & COP_OP_DYNAMIC) {
        memset(call->out, 0, (size_t)call->node->output_count * sizeof *call->out);
        COP_TRY(cop_eager_run(op, call, spare));
        if (!(op->flags & COP_OP_ANY_KIND))
            cop_settle_narrow(call);
        return COPPICE_OK;
    }
    cop_settle_narrow(call);
    if (op->flags & COP_OP_VIEW && call->node->output_count == 1 && call->in[0]->block) {
        share_view(call);
        return COPPICE_OK;
    }
    COP_TRY(cop_eager_outputs(call, spare));
    return cop_eager_run(op, call, spare);
}
