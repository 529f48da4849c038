/* Products of rows with constant weights inside of operators, by the kernel that is fastest. */
#include "runtime/row_product.h"

#include "base/error.h"
#include "base/memory.h"

const cop_choice *cop_plain_choice(const cop_node_choices *choices, const coppice_tensor *in,
                                   const coppice_tensor *out) {
    double change =
        COP_MOVE_MS_PER_BYTE * (double)(coppice_tensor_bytes(in) + coppice_tensor_bytes(out));
    const cop_choice *best = NULL;
    double least = 0;
    for (int i = 0; i < choices->count; i++) {
        const cop_choice *choice = &choices->list[i];
        bool plain = cop_layout_same(in, choice->layout, COP_LAYOUT_PLAIN) &&
                     cop_layout_same(out, choice->layout, COP_LAYOUT_PLAIN);
        double ms = choice->ms + (plain ? 0 : change);
        if (!best || ms < least) {
            best = choice;
            least = ms;
        }
    }
    return best;
}

void cop_row_product_free(cop_row_product *p) {
    if (p->state)
        p->kernel->destroy(p->state);
    cop_block_release(p->scratch);
    cop_block_release(p->tiled_in);
    cop_block_release(p->tiled_out);
    *p = (cop_row_product){0};
}

/* A block for `tensor` where it must change its layout. */
static coppice_status make_tiled(const cop_row_product *p, const coppice_tensor *tensor,
                                 cop_block **out, coppice_error *err) {
    if (cop_layout_same(tensor, p->layout, COP_LAYOUT_PLAIN))
        return COPPICE_OK;
    int64_t bytes = cop_layout_bytes(tensor, p->layout);
    *out = bytes < 0 ? NULL : cop_block_new((size_t)bytes);
    return *out ? COPPICE_OK : cop_fail_memory(err, bytes < 0 ? SIZE_MAX : (size_t)bytes);
}

static coppice_status make(cop_row_product *p, const cop_settings *settings, const cop_conv *conv,
                           coppice_error *err) {
    cop_node_choices choices;
    COP_TRY(cop_choose_kernel(settings, conv, &choices, err));
    const cop_choice *choice = cop_plain_choice(&choices, &p->in, &p->out);
    p->kernel = choice->kernel;
    p->layout = choice->layout;
    p->why = choices.why;
    p->dense_ms = choices.dense_ms;
    p->sparse_ms = choices.sparse_ms;
    p->pool = cop_conv_pool(settings, conv, p->kernel);
    COP_TRY(p->kernel->create(conv, p->pool, &p->state, err));
    COP_TRY(make_tiled(p, &p->in, &p->tiled_in, err));
    COP_TRY(make_tiled(p, &p->out, &p->tiled_out, err));
    size_t scratch = p->kernel->scratch ? p->kernel->scratch(p->state) : 0;
    p->scratch = cop_block_new(scratch);
    return p->scratch ? COPPICE_OK : cop_fail_memory(err, scratch);
}

coppice_status cop_row_product_new(const cop_settings *settings, const float *weights, size_t rows,
                                   size_t depth, size_t columns, cop_row_product *p,
                                   coppice_error *err) {
    cop_conv conv = cop_conv_of_product(rows, depth, columns);
    conv.weights = weights;
    conv.nonzeros = cop_count_nonzeros(weights, depth * columns);
    *p = (cop_row_product){.weights = depth * columns,
                           .nonzeros = conv.nonzeros,
                           .in = {COPPICE_TYPE_FLOAT, 2, {(int64_t)rows, (int64_t)depth}, NULL},
                           .out = {COPPICE_TYPE_FLOAT, 2, {(int64_t)rows, (int64_t)columns}, NULL}};
    coppice_status status = make(p, settings, &conv, err);
    if (!status)
        return COPPICE_OK;
    cop_row_product_free(p);
    return status == COPPICE_UNSUPPORTED ? COPPICE_OK : status;
}

coppice_status cop_row_product_run(const cop_row_product *p, const float *x, float *out) {
    cop_conv_io io = {.input = x, .output = out, .scratch = p->scratch->data};
    cop_operand from = {.t = p->in, .layout = COP_LAYOUT_PLAIN};
    cop_operand to = {.t = p->in, .layout = p->layout};
    if (p->tiled_in) {
        from.t.data = (void *)(uintptr_t)x;
        io.input = to.t.data = p->tiled_in->data;
        cop_layout_convert(&from, &to, p->pool);
    }
    if (p->tiled_out)
        io.output = p->tiled_out->data;
    COP_TRY(p->kernel->run(p->state, &io, p->pool, NULL));
    if (p->tiled_out) {
        from = (cop_operand){.t = p->out, .layout = p->layout};
        to = (cop_operand){.t = p->out, .layout = COP_LAYOUT_PLAIN};
        from.t.data = io.output;
        to.t.data = out;
        cop_layout_convert(&from, &to, p->pool);
    }
    return COPPICE_OK;
}
