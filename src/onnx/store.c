/* Bringing edits, masks and the wanted form of constants into the message. */
#include <string.h>

#include "base/shape.h"
#include "graph/quantized.h"
#include "onnx/save.h"

/* Larger tensors of a mapped file are written in chunks, whose pages are given back. */
static const size_t large_bytes = (size_t)1 << 20;

/* ---- masks ---- */

static coppice_status find_mask(cop_saver *saver, const cop_mask *mask) {
    const cop_constant *constant = cop_constants_find(&saver->model->tensors, mask->name);
    if (!constant)
        return cop_fail(saver->err, COPPICE_INVALID_ARGUMENT,
                        "mask '%s': the model has no initializer of this name", mask->name);
    const coppice_tensor *tensor = &constant->tensor;
    if (!cop_mask_fits(mask, tensor))
        return cop_fail(saver->err, COPPICE_INVALID_ARGUMENT,
                        "mask '%s' has shape %s, the initializer has %s", mask->name,
                        cop_dims_text(mask->rank, mask->dims).s, cop_shape_text(tensor).s);
    if (!cop_constant_maskable(constant))
        return cop_fail(saver->err, COPPICE_INVALID_ARGUMENT,
                        "mask '%s': the initializer is %s; only floats and quantized weights are "
                        "pruned",
                        mask->name, coppice_type_name(tensor->type));
    if (mask->zeros && tensor->data)
        ((cop_origin *)constant->origin)->mask = mask;
    return COPPICE_OK;
}

coppice_status cop_saver_find_masks(cop_saver *saver) {
    const coppice_masks *masks = saver->options->masks;
    for (size_t i = 0; masks && i < masks->count; i++)
        COP_TRY(find_mask(saver, &masks->items[i]));
    return COPPICE_OK;
}

/* ---- dense tensors ---- */

static unsigned width_of(const cop_constant *constant) {
    return coppice_type_bits(constant->tensor.type) / 8;
}

/* Is it written by a stream even though it stays dense? */
static bool is_streamed(const cop_origin *origin) {
    const cop_constant *constant = origin->constant;
    return origin->mask || (constant->mapped && !constant->dirty && width_of(constant) > 0 &&
                            constant->bytes >= large_bytes);
}

void cop_saver_stream_dense(cop_saver *saver, const cop_origin *origin, Onnx__TensorProto *tensor) {
    const cop_constant *constant = origin->constant;
    unsigned char *data = constant->tensor.data;
    if (is_streamed(origin))
        data = cop_streams_add(
            &saver->streams,
            (cop_stream){.elements = {constant, origin->mask, false}, .bytes = constant->bytes});
    cop_tensor_set_raw(tensor, data, constant->bytes);
}

/* Masks data of the message in place, until it is packed. */
static coppice_status mask_alias(cop_saver *saver, const cop_origin *origin) {
    const cop_constant *constant = origin->constant;
    unsigned char *data = constant->tensor.data;
    COP_TRY(cop_saver_remember(saver, data, constant->bytes));
    cop_mask_copy(origin->mask, constant, 0, origin->mask->count, data, data);
    return COPPICE_OK;
}

/* A masked tensor with typed fields becomes one with raw_data, as those are what a stream can stand
 * for. */
static coppice_status store_dense(cop_saver *saver, cop_origin *origin) {
    if (origin->constant->dirty)
        cop_tensor_store(origin->constant, origin->tensor);
    if (!is_streamed(origin))
        return COPPICE_OK;
    COP_TRY(cop_saver_remember(saver, origin->tensor, sizeof *origin->tensor));
    cop_saver_stream_dense(saver, origin, origin->tensor);
    return COPPICE_OK;
}

/* ---- all ---- */

static coppice_status store(cop_saver *saver, cop_origin *origin) {
    bool changed = origin->constant->dirty || origin->mask;
    if (origin->kind == COP_ORIGIN_ALIAS)
        return origin->mask ? mask_alias(saver, origin) : COPPICE_OK;
    if (origin->kind == COP_ORIGIN_TENSOR)
        COP_TRY(store_dense(saver, origin));
    if (origin->graph)
        return origin->listed ? cop_saver_choose_form(saver, origin) : COPPICE_OK;
    if (origin->kind == COP_ORIGIN_SPARSE && changed)
        return cop_saver_store_sparse_value(saver, origin);
    return COPPICE_OK;
}

/* A constant needs at most three streams: as it stands, and values and indices. One that is sparse
 * may become dense later. */
static coppice_status open_streams(cop_saver *saver) {
    bool sparse = saver->options->weights == COPPICE_WEIGHTS_SPARSE;
    size_t count = 0;
    for (const cop_origin *origin = saver->model->constants; origin; origin = origin->next) {
        if (is_streamed(origin) || origin->kind == COP_ORIGIN_SPARSE ||
            (sparse && cop_saver_may_be_sparse(origin)))
            count += 4;
    }
    return cop_streams_open(&saver->streams, count, saver->err);
}

coppice_status cop_saver_store(cop_saver *saver) {
    COP_TRY(open_streams(saver));
    COP_TRY(cop_saver_find_listed(saver));
    COP_TRY(cop_saver_bring_in(saver));
    for (cop_origin *origin = saver->model->constants; origin; origin = origin->next)
        COP_TRY(store(saver, origin));
    return cop_saver_update_graphs(saver);
}
