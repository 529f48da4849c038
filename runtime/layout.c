/* Layouts of values: when two are the same bytes, and turning one into another. */
#include "runtime/layout.h"

#include <string.h>

enum { BLOCK = 16 }; /* elements in a square that stays in the L1 cache */

/* Both channel-innermost and channel-outermost forms of a tensor are `batch` matrices of `rows` by
 * `columns`; a change of layout transposes each. */
typedef struct transposition {
    size_t batch, rows, columns, element;
    const unsigned char *from;
    unsigned char *to;
} transposition;

const char *cop_layout_name(cop_layout layout) {
    static const char *const names[COP_LAYOUT_COUNT] = {"plain", "nhwc", "channels-first"};
    return names[layout];
}

bool cop_layout_fits(cop_layout layout, const coppice_tensor *tensor) {
    switch (layout) {
    case COP_LAYOUT_NHWC:
        return tensor->rank >= 3;
    case COP_LAYOUT_CHANNELS_FIRST:
        return tensor->rank >= 2;
    default:
        return true;
    }
}

static size_t product(const coppice_tensor *tensor, uint32_t begin, uint32_t end) {
    size_t count = 1;
    for (uint32_t i = begin; i < end; i++)
        count *= (size_t)tensor->dims[i];
    return count;
}

/* The matrices that turn `plain` into `layout`. */
static transposition matrices(const coppice_tensor *tensor, cop_layout layout) {
    transposition t = {
        .batch = 1, .rows = 1, .columns = 1, .element = coppice_type_bits(tensor->type) / 8};
    if (layout == COP_LAYOUT_NHWC) {
        t.batch = (size_t)tensor->dims[0];
        t.rows = (size_t)tensor->dims[1];
        t.columns = product(tensor, 2, tensor->rank);
    } else if (layout == COP_LAYOUT_CHANNELS_FIRST) {
        t.rows = product(tensor, 0, tensor->rank - 1);
        t.columns = (size_t)tensor->dims[tensor->rank - 1];
    }
    return t;
}

bool cop_layout_same(const coppice_tensor *tensor, cop_layout a, cop_layout b) {
    if (a == b)
        return true;
    if (a != COP_LAYOUT_PLAIN && b != COP_LAYOUT_PLAIN)
        return cop_layout_same(tensor, a, COP_LAYOUT_PLAIN) &&
               cop_layout_same(tensor, b, COP_LAYOUT_PLAIN);
    transposition t = matrices(tensor, a == COP_LAYOUT_PLAIN ? b : a);
    return t.rows <= 1 || t.columns <= 1;
}

#define TRANSPOSE_BLOCK(type)                                                                      \
    static void transpose_##type(const transposition *t, size_t matrix, size_t row, size_t rows) { \
        size_t plane = t->rows * t->columns;                                                       \
        const type *from = (const type *)t->from + matrix * plane;                                 \
        type *to = (type *)t->to + matrix * plane;                                                 \
        for (size_t column = 0; column < t->columns; column += BLOCK) {                            \
            size_t columns = t->columns - column < BLOCK ? t->columns - column : BLOCK;            \
            for (size_t c = column; c < column + columns; c++) {                                   \
                for (size_t r = row; r < row + rows; r++)                                          \
                    to[c * t->rows + r] = from[r * t->columns + c];                                \
            }                                                                                      \
        }                                                                                          \
    }

TRANSPOSE_BLOCK(uint8_t)
TRANSPOSE_BLOCK(uint16_t)
TRANSPOSE_BLOCK(uint32_t)
TRANSPOSE_BLOCK(uint64_t)

/* Items are bands of BLOCK rows. */
static void transpose_bands(void *context, size_t begin, size_t end) {
    const transposition *t = context;
    size_t bands = (t->rows + BLOCK - 1) / BLOCK;
    for (size_t i = begin; i < end; i++) {
        size_t row = i % bands * BLOCK;
        size_t rows = t->rows - row < BLOCK ? t->rows - row : BLOCK;
        switch (t->element) {
        case 1:
            transpose_uint8_t(t, i / bands, row, rows);
            break;
        case 2:
            transpose_uint16_t(t, i / bands, row, rows);
            break;
        case 4:
            transpose_uint32_t(t, i / bands, row, rows);
            break;
        default:
            transpose_uint64_t(t, i / bands, row, rows);
        }
    }
}

static void transpose(const coppice_tensor *tensor, cop_layout layout, bool to_plain,
                      const void *from, void *to, const coppice_threadpool *pool) {
    transposition t = matrices(tensor, layout);
    t.from = from;
    t.to = to;
    if (to_plain) {
        size_t rows = t.rows;
        t.rows = t.columns;
        t.columns = rows;
    }
    size_t bands = (t.rows + BLOCK - 1) / BLOCK;
    if (t.columns > 0)
        cop_parallel_for(pool, t.batch * bands, 1, transpose_bands, &t);
}

/* The planner never asks for a change between two layouts that are both not plain. */
void cop_layout_convert(const cop_operand *from, cop_operand *to, const coppice_threadpool *pool) {
    if (cop_layout_same(&from->t, from->layout, to->layout)) {
        size_t bytes = (size_t)coppice_tensor_bytes(&from->t);
        if (bytes)
            memcpy(to->t.data, from->t.data, bytes);
        return;
    }
    bool to_plain = to->layout == COP_LAYOUT_PLAIN;
    transpose(&from->t, to_plain ? from->layout : to->layout, to_plain, from->t.data, to->t.data,
              pool);
}
