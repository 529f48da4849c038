/* What operators share: operands and their shapes, constant inputs, axes, broadcasting, and walking
 * over strided tensors. All errors go to call->err. */
#ifndef COP_OPS_UTIL_H
#define COP_OPS_UTIL_H

#include "base/error.h"
#include "base/shape.h"
#include "base/size.h"
#include "base/type.h"
#include "runtime/op.h"

/* ---- operands ---- */

/* Input `i` of a call, NULL when it is left out. */
const coppice_tensor *cop_in(const cop_call *call, int i);

/* Output `i`, NULL when the node has fewer outputs. Its data is NULL when nothing reads it. */
coppice_tensor *cop_out(const cop_call *call, int i);

/* Name of the value at input `i`, for messages. */
const char *cop_in_name(const cop_call *call, int i);

/* Sets type, rank and dims of output `i`; nothing when the node has no such output. */
void cop_set_out(cop_call *call, int i, coppice_type type, uint32_t rank, const int64_t *dims);

/* Output 0 gets type and shape of input 0. */
coppice_status cop_infer_same(cop_call *call);

/* BAD_MODEL unless input `i` has one of the types in `types`. */
coppice_status cop_need_type(const cop_call *call, int i, uint32_t types);

/* BAD_MODEL unless input `i` has exactly this rank. */
coppice_status cop_need_rank(const cop_call *call, int i, uint32_t rank);

/* Bytes of one element, of STRING those of a coppice_string; 0 for types without whole bytes. */
size_t cop_type_bytes(coppice_type type);

/* Element `at` of a FLOAT or DOUBLE tensor. */
static inline double cop_float_at(const coppice_tensor *t, size_t at) {
    return t->type == COPPICE_TYPE_FLOAT ? (double)((const float *)t->data)[at]
                                         : ((const double *)t->data)[at];
}

/* Sets it; nothing happens to an output that is left out or that nothing reads. */
static inline void cop_set_float(const coppice_tensor *t, size_t at, double value) {
    if (!t || !t->data)
        return;
    if (t->type == COPPICE_TYPE_FLOAT)
        ((float *)t->data)[at] = (float)value;
    else
        ((double *)t->data)[at] = value;
}

/* Sets element `at` of a tensor of numbers or bools, from a number in its range. */
void cop_set_number(const coppice_tensor *t, size_t at, double value);

/* ---- outputs of rows that size them while running (COP_OP_DYNAMIC) ---- */

/* Output `i` becomes a tensor with memory of its own, to be filled. Nothing happens when the node
 * has no such output or nothing reads it: then cop_out(call, i) has no data either. */
coppice_status cop_out_tensor(const cop_call *call, int i, coppice_type type, uint32_t rank,
                              const int64_t *dims);

/* Output `i` becomes the value that *src is. */
coppice_status cop_out_share(const cop_call *call, int i, const cop_operand *src);

/* Output `i` becomes a sequence or an optional of `count` elements of type `type`, to be set one by
 * one with cop_operand_share(&(*list)[k], ...). */
coppice_status cop_out_items(const cop_call *call, int i, coppice_kind kind, coppice_type type,
                             size_t count, cop_operand **list);

/* Copies bytes that an output's string is to have. data NULL: no memory. */
coppice_string cop_call_string(const cop_call *call, const char *data, size_t length);

/* COP_NEEDS_DATA unless input `i` is left out, has no elements, or has its data. */
coppice_status cop_need_data(const cop_call *call, int i);

/* The inner loops for `run`; plain C where there are no others. */
const struct cop_kernels *cop_call_kernels(const cop_call *call);

/* ---- numbers from attributes and constant inputs ---- */

/* The integers of constant input `i`, at most `max`. *count is -1 when the input is left out.
 * COP_NEEDS_DATA when its data is not there yet, BAD_MODEL when it is no integer tensor of rank 0
 * or 1. */
coppice_status cop_input_ints(const cop_call *call, int i, int64_t *out, int max, int *count);

/* The integers of an attribute, at most `max`; *count is -1 when the node does not have it. */
coppice_status cop_attr_ints(const cop_call *call, const char *name, int64_t *out, int max,
                             int *count);

/* A single integer attribute that must be 0 or 1. */
coppice_status cop_attr_bool(const cop_call *call, const char *name, bool absent, bool *out);

/* Element 0 of constant input `i` as a number; *present false when it is left out. */
coppice_status cop_input_number(const cop_call *call, int i, double *out, bool *present);

/* ---- axes ---- */

/* `axis` counted from the front: -rank .. rank-1 is allowed. */
coppice_status cop_axis(const cop_call *call, int64_t axis, int64_t rank, int *out);

/* A set of distinct axes as flags: on[rank]. */
coppice_status cop_axis_set(const cop_call *call, const int64_t *axes, int count, int64_t rank,
                            bool *on);

/* ---- broadcasting ---- */

/* Grows *shape (rank, dims) by numpy's rules so that it also covers `other`. */
coppice_status cop_broadcast(const cop_call *call, coppice_tensor *shape,
                             const coppice_tensor *other);

/* Strides of an operand with `rank` dims over the last dims of a shape of `out_rank` that it is
 * broadcast to: 0 where it repeats. */
void cop_broadcast_strides(int rank, const int64_t *dims, const int64_t *strides, int out_rank,
                           int64_t *out);

/* Layouts of operators that treat each element alone. */
unsigned cop_elementwise_layouts(const cop_call *call);

/* The two kinds of tiles that output 0 and the first `inputs` inputs can be in at once: float32 all
 * of them, and where they are of one rank. */
unsigned cop_tile_layouts(const cop_call *call, int inputs);

/* The dim of an operand in tiles that its channels are. */
uint32_t cop_channel_axis(const cop_operand *operand);

/* Elements of memory that an operand takes, in tiles with those behind the last position. */
size_t cop_memory_count(const cop_operand *operand);

/* ---- walking over strided tensors ---- */

enum { COP_WALK_INPUTS = 3 };

/* Rows of elements: out[j * stride[0]] from in[k][j * stride[k + 1]], for j below n. Pointers are
 * to elements of whatever type the function knows; strides count elements. */
typedef void (*cop_walk_fn)(const void *context, size_t n, void *out, const void *const *in,
                            const ptrdiff_t *strides);

/* A loop nest over one output and up to COP_WALK_INPUTS inputs. */
typedef struct cop_walk {
    int rank, inputs;
    int64_t dims[COPPICE_MAX_RANK];
    int64_t strides[COP_WALK_INPUTS + 1][COPPICE_MAX_RANK]; /* [0]: the output's; may be 0 or < 0 */
    size_t element[COP_WALK_INPUTS + 1];                    /* bytes */
    void *out;
    const void *in[COP_WALK_INPUTS];
} cop_walk;

/* Runs over all elements, in rows as long as the strides allow. The order of dims is free: it is
 * sorted by the output's strides. */
void cop_walk_run(const cop_walk *walk, cop_walk_fn fn, const void *context,
                  const coppice_threadpool *pool);

/* Runs `fn` over the output with inputs broadcast to its shape, in any layout. When the output is
 * dense, as here, rows have stride[0] == 1. */
void cop_walk_broadcast(const cop_operand *out, const cop_operand *const *in, int inputs,
                        cop_walk_fn fn, const void *context, const coppice_threadpool *pool);

/* The same for an output in tiles; what cop_walk_broadcast does with one. */
void cop_walk_tiles(const cop_operand *out, const cop_operand *const *in, int inputs,
                    cop_walk_fn fn, const void *context, const coppice_threadpool *pool);

/* Float32: x, of the output's shape and layout, times a factor, and where there is a shift, plus
 * that, clamped. Both are broadcast to x. */
typedef struct cop_scaling {
    const cop_operand *x, *factor, *shift; /* shift NULL: none, and no clamp */
    float low, high;
    const struct cop_kernels *kernels;
} cop_scaling;

/* In any layout; fast where factor and shift have one element for each channel of an image. */
void cop_walk_scaled(const cop_operand *out, const cop_scaling *scaling,
                     const coppice_threadpool *pool);

/* Makes `out`, in tiles, of the elements start + step * i of each dim of `in`, in tiles of the same
 * kind or of one position. */
void cop_slice_tiles(const cop_operand *out, const cop_operand *in, const int64_t *start,
                     const int64_t *step, const coppice_threadpool *pool);

/* Copies `part` to or from where it belongs in `whole`, `offset` along the axis. One of them is in
 * tiles, the other as well unless it has one position. */
void cop_copy_part_tiles(const cop_operand *whole, const cop_operand *part, uint32_t axis,
                         size_t offset, bool into_whole, const coppice_threadpool *pool);

/* Copies elements along the strides of a walk with one input. */
void cop_walk_copy(const cop_walk *walk, const coppice_threadpool *pool);

/* Row-major strides in elements. */
void cop_plain_strides(uint32_t rank, const int64_t *dims, int64_t *strides);

/* How many items of `each` elements make a task that is worth a thread. */
size_t cop_grain(size_t each);

#endif
