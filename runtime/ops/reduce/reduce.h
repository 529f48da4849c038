/* What reductions share: the loop nest, and the fast ways for floats. */
#ifndef COP_OPS_REDUCE_H
#define COP_OPS_REDUCE_H

#include "runtime/op.h"

/* The loop nest of a reduction, collapsed: kept and reduced dims apart. */
typedef struct cop_reduction {
    int kept_rank, rank;
    int64_t kept[COPPICE_MAX_RANK], kept_stride[COPPICE_MAX_RANK];
    int64_t dims[COPPICE_MAX_RANK], stride[COPPICE_MAX_RANK];
    size_t count;    /* elements that make one */
    size_t row;      /* of them in the innermost reduced dim */
    int64_t step;    /* from one to the next there */
    bool by_columns; /* neighbouring outputs are made of neighbouring inputs */
    const void *in;
    void *out;
} cop_reduction;

/* Where element `index` of collapsed dims lies. */
int64_t cop_reduction_place(int rank, const int64_t *dims, const int64_t *strides, size_t index);

/* What the instruction set has loops for. */
typedef enum cop_fold { COP_FOLD_NONE, COP_FOLD_SUM, COP_FOLD_MEAN, COP_FOLD_MAX } cop_fold;

/* Makes `outputs` floats of a nest with elements. */
void cop_fold_floats(const cop_call *call, const cop_reduction *nest, cop_fold fold,
                     size_t outputs);

/* True when the reduction of input 0 over the dims that are `on` can work in tiles: over all
 * channels, or over the last of the positions. */
bool cop_folds_tiles(const cop_call *call, cop_layout layout, const bool *on);

/* Reduces input 0, which is in such tiles. */
void cop_fold_tiles(const cop_call *call, cop_fold fold, const bool *on);

#endif
