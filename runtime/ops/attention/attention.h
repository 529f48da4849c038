/* Scaled dot-product attention, for the operators that are made of it: scores of a block of rows at
 * a time, so that memory does not grow with the square of a sequence. */
#ifndef COP_OPS_ATTENTION_H
#define COP_OPS_ATTENTION_H

#include "runtime/ops/matrix/product.h"
#include "runtime/ops/util.h"

enum { COP_ATTENTION_ROWS = 64, COP_ATTENTION_SLOTS = 16 };

/* What output qk holds. */
typedef enum cop_attention_mode {
    COP_ATTENTION_RAW,
    COP_ATTENTION_CAPPED,
    COP_ATTENTION_BIASED,
    COP_ATTENTION_SOFTMAX
} cop_attention_mode;

/* Steps of work on a block of rows. */
enum { COP_ATTENTION_SCORE = 1, COP_ATTENTION_NORMALIZE = 2, COP_ATTENTION_SUM = 4 };

/* Matrices of rows of `head` or `value_head` elements: with strides over batch, heads, rows, the
 * elements beside each other; or in tiles of tokens (layout.h), where a head is a range of
 * channels. */
typedef struct cop_attention_matrix {
    const void *data;
    int64_t strides[3];
    size_t tile;               /* floats of a stripe; 0: strides */
    size_t channels, sequence; /* of tiles: of a token, and tokens of an element of the batch */
} cop_attention_matrix;

typedef struct cop_attention {
    coppice_type type; /* FLOAT or DOUBLE */
    size_t batch, heads, kv_heads, rows, keys, head, value_head;
    cop_attention_matrix q, k, v, y;
    double scale, softcap;       /* softcap 0: none */
    const coppice_tensor *mask;  /* NULL: none; BOOL or `type` */
    int64_t mask_strides[4];     /* 0 where it repeats */
    int64_t mask_keys;           /* keys behind are not seen */
    int64_t left, right;         /* keys beside the own position that are seen; -1: all */
    int64_t offset;              /* position of row 0 */
    const coppice_tensor *valid; /* [batch]: keys that are there; NULL: all */
    bool offset_by_valid;        /* offset is valid[b] - rows */
    bool nan_rows;               /* rows that see nothing are not numbers, as of Softmax; else 0 */
    cop_attention_mode mode;
    void *qk;     /* [batch][heads][rows][keys] or NULL */
    void *scores; /* a slot of [block of rows][keys] for each task at a time */
    bool whole;   /* scores hold all rows of all heads: steps may be done one after another */
    const cop_kernels *kernels;
} cop_attention;

/* Keys [*first, *last) that a row may see, but for the mask. */
void cop_attention_seen(const cop_attention *a, size_t batch, size_t row, int64_t *first,
                        int64_t *last);

/* Elements of scores that cop_attention_run needs; SIZE_MAX: more than there can be. */
size_t cop_attention_elements(const cop_attention *a);

/* All steps on all rows. */
void cop_attention_run(const cop_attention *a, const coppice_threadpool *pool);

/* Some steps; `whole` must be set unless they are all. */
void cop_attention_steps(const cop_attention *a, unsigned steps, const coppice_threadpool *pool);

/* ---- queries as lanes (attention_lanes.c): float32, any layout, no scores are kept ---- */

/* Is it possible, and better? */
bool cop_attention_has_lanes(const cop_attention *a);

/* As cop_attention_elements and cop_attention_run. */
size_t cop_attention_lanes_elements(const cop_attention *a);
void cop_attention_lanes_run(const cop_attention *a, const coppice_threadpool *pool);

#endif
