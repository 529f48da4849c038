/* How a value that is a constant behind a chain of nodes lies in the elements of that constant. */
#ifndef COP_PRUNE_VIEW_H
#define COP_PRUNE_VIEW_H

#include "prune/constant.h"

/* Element (i0, i1, ...) of the value is element i0*strides[0] + i1*strides[1] + ... of the
 * constant. */
typedef struct cop_seen {
    bool known; /* false: it is only a part, or no strides can say it */
    uint32_t rank;
    int64_t dims[COPPICE_MAX_RANK], strides[COPPICE_MAX_RANK];
} cop_seen;

/* The value that a node reads, by the chain that cop_find_constant followed. */
cop_seen cop_see_through(const cop_found *found);

/* Dims `from` to `to` - 1 as one of *size elements, *stride apart; false when they are not evenly
 * apart. *stride is 0 where there is one element. */
bool cop_seen_merge(const cop_seen *seen, uint32_t from, uint32_t to, int64_t *size,
                    int64_t *stride);

#endif
