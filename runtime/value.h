/* Values as operators see them: tensors in a layout, sequences and optionals, and who owns them.
 *
 * Narrow types are held wide. No kernel computes in float16, bfloat16, float8, float4 or in 4-bit
 * and 2-bit integers: such values lie in memory as float32, int8 or uint8 (cop_wide_type), with the
 * type by ONNX in `narrow`. They change at the ends of a model, in its constants, and where an
 * operator says so (Cast, QuantizeLinear, BitCast); in between nothing is rounded.
 *
 * Memory is counted where nobody could plan it: data in a block, elements of a sequence in items.
 * Both are immutable once others can see them, so that sharing is enough; not for several threads
 * at once. What has no block is borrowed: constants, inputs, planned memory. */
#ifndef COP_RUNTIME_VALUE_H
#define COP_RUNTIME_VALUE_H

#include <stddef.h>

#include <coppice/status.h>
#include <coppice/tensor.h>
#include <coppice/value.h>

#include "base/arena.h"
#include "base/narrow.h"

/* How the elements of a value lie in memory. Dimensions are always given as ONNX has them; only the
 * order of the bytes differs. */
typedef enum cop_layout {
    COP_LAYOUT_PLAIN,       /* row-major, as in ONNX: images are N,C,H,W */
    COP_LAYOUT_NHWC,        /* rank 3 and up: channels (dim 1) innermost */
    COP_LAYOUT_TILES,       /* rank >= 3, float32: tiles of pixels, see cop_tiles (layout.h) */
    COP_LAYOUT_TOKEN_TILES, /* rank >= 2, float32: tiles of tokens; channels are the last dim */
    COP_LAYOUT_COUNT
} cop_layout;

typedef struct cop_block cop_block;
typedef struct cop_items cop_items;

typedef struct cop_operand {
    coppice_tensor t; /* of sequences and optionals: `type` of the elements, if known; no data */
    cop_layout layout;
    coppice_type narrow; /* the type by ONNX where t holds it in a wider one; else UNDEFINED */
    coppice_kind kind;
    cop_block *block; /* what t.data lies in; NULL: borrowed */
    cop_items *items; /* of sequences and optionals; NULL: none */
} cop_operand;

struct cop_block {
    size_t refs, bytes;
    void *data; /* 64-byte aligned */
};

struct cop_items {
    size_t refs, count;
    cop_operand *list; /* each owns what it refers to: nothing in it is borrowed but constants */
};

/* The type by ONNX. */
coppice_type cop_onnx_type(const cop_operand *operand);

/* ---- the ends of a model, where narrow types are as ONNX has them ---- */

/* What is held of a tensor of this type and shape: no data yet. */
cop_operand cop_operand_of(const coppice_tensor *tensor);

/* Copies `tensor` into the memory of `held`, which has its shape and type. */
void cop_operand_fill(const cop_operand *held, const coppice_tensor *tensor);

/* *held becomes the tensor as it is held: borrowed, or in a block where its type is narrow. */
coppice_status cop_operand_hold(const coppice_tensor *tensor, cop_operand *held,
                                coppice_error *err);

/* The operand with its type by ONNX: borrowed, or in the arena where that is narrow. */
coppice_status cop_operand_return(const cop_operand *held, cop_arena *arena, coppice_tensor *out,
                                  coppice_error *err);

/* ---- memory ---- */

/* A block of at least one byte with one reference. NULL: no memory. */
cop_block *cop_block_new(size_t bytes);
void cop_block_release(cop_block *block);

/* Elements, all empty, with one reference. NULL: no memory. */
cop_items *cop_items_new(size_t count);

/* Drops what the operand owns and zeroes it. */
void cop_operand_release(cop_operand *operand);

/* *dst, which must be empty, becomes another reference to the elements of *src; borrowed data are
 * copied. Needs plain layout. */
coppice_status cop_operand_share(cop_operand *dst, const cop_operand *src, coppice_error *err);

/* ---- values as users see them ---- */

/* INVALID_ARGUMENT with the input's name when a value, or what is in it, is not valid. */
coppice_status cop_check_value(const coppice_value *value, const char *name, coppice_error *err);

/* *out borrows the data of a tensor, but not of its strings, which are copied to `strings`. What is
 * in a sequence or an optional is copied. Release *out. */
coppice_status cop_operand_from_value(const coppice_value *value, cop_arena *strings,
                                      cop_operand *out, coppice_error *err);

/* *out borrows all data from the operand; lists are in `arena`. */
coppice_status cop_value_from_operand(const cop_operand *operand, cop_arena *arena,
                                      coppice_value *out, coppice_error *err);

#endif
