/* Chains of Reshape, Transpose, Expand and their like, seen as one: where in the elements of the
 * value that a chain begins with each element of its end lies. */
#ifndef COP_PASSES_VIEWS_H
#define COP_PASSES_VIEWS_H

#include "runtime/passes/shaped.h"

enum { COP_VIEW_FACTORS = 24 };

/* A dimension, or a part of one: `size` > 1 steps of `stride` elements. `dim` is the dimension of
 * the view that it belongs to. */
typedef struct cop_factor {
    int64_t size, stride;
    int dim;
} cop_factor;

/* Element (i0, i1, ...) of the view is element (sum of i * stride over the factors) of the elements
 * of `base` in their order, times `scale`. A dimension is the product of its factors, which come
 * outermost first; a dimension of 1 has none. Expand makes factors of stride 0. */
typedef struct cop_view {
    int base; /* value */
    double scale;
    uint32_t rank;
    int64_t dims[COPPICE_MAX_RANK];
    int count;
    cop_factor factors[COP_VIEW_FACTORS];
} cop_view;

/* What a view may look through besides Reshape, Transpose, Squeeze, Unsqueeze and Flatten. */
enum { COP_VIEW_EXPAND = 1, COP_VIEW_SCALE = 2 };

/* True for a node that a view with these flags looks through. */
bool cop_view_looks_through(const cop_shaped *p, const cop_node *node, unsigned flags);

/* The view of `value` back to where its chain begins, or cannot be followed further. False when the
 * shape is not known or has no elements. */
bool cop_view_of(const cop_shaped *p, int value, unsigned flags, cop_view *out);

/* The same from the value `base`; false when that is not on the chain. */
bool cop_view_from(const cop_shaped *p, int value, int base, unsigned flags, cop_view *out);

/* `value` itself. */
bool cop_view_start(const cop_shaped *p, int value, cop_view *out);

/* Exchanges dimensions as Transpose does; gives other dimensions with the same elements, false when
 * a boundary falls into a factor. */
void cop_view_permute(cop_view *view, const int64_t *perm);
bool cop_view_reshape(cop_view *view, uint32_t rank, const int64_t *dims);

/* Makes one factor of neighbours of one dimension that are evenly apart; with `across`, of
 * neighbours of all dimensions. */
void cop_view_merge(cop_view *view, bool across);

/* After merging across dimensions: are the elements those of the base in their order? */
bool cop_view_in_order(const cop_view *view);

#endif
