/* Selection where weights go together: blocks, output channels, groups of N:M. */
#ifndef COP_PRUNE_UNITS_H
#define COP_PRUNE_UNITS_H

#include "prune/select.h"
#include "prune/wanted.h"

/* As cop_select_smallest, with a pattern that is not free; views[i] says where the rows, columns
 * and taps of items[i] are.
 * - RxC and channels: the units of the smallest mean importance go (|w|, or the score where the
 *   item has scores; a weight that is zero counts as 0), until the number of zeros is as near to
 *   `zeros` as whole units come. Units at an edge that is no multiple of R or C are smaller.
 * - N:M: in each group of M consecutive columns at one row and tap the N most important weights
 *   stay, of equal ones the later; of a smaller group at the end, the same share, rounded up.
 *   `zeros` is not looked at.
 * Weights that are zero already are masked too, unless `zeros` is 0 with RxC or channels. */
coppice_status cop_select_units(const cop_wanted_pattern *pattern, cop_pool_item *items,
                                const cop_weight_view *views, size_t count, int64_t zeros,
                                cop_tally *tally, coppice_error *err);

#endif
