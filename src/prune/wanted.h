/* Patterns that zeros are to have: blocks, or N of M consecutive weights kept. */
#ifndef COP_PRUNE_WANTED_H
#define COP_PRUNE_WANTED_H

#include "prune/targets.h"

enum { COP_LARGEST_BLOCK = 64 };

typedef struct cop_wanted_pattern {
    int64_t rows, columns; /* of a block of output by input channels; 1 by 1: unstructured */
    int64_t kept, of;      /* N:M; 0: not */
} cop_wanted_pattern;

/* "unstructured", "RxC", "N:M". INVALID_ARGUMENT for anything else. */
coppice_status cop_wanted_parse(const char *text, cop_wanted_pattern *out, coppice_error *err);

/* Scores by which cop_prune_choose makes the pattern, one per element of the constant: the mean
 * magnitude of an element's block, or with N:M less than 1 for what goes. */
void cop_wanted_scores(const cop_wanted_pattern *pattern, const cop_weight_view *view,
                       const cop_constant *constant, float *scores);

#endif
