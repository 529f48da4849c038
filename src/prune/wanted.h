/* Patterns that zeros are to have: units of weights that go together, or N of M kept. */
#ifndef COP_PRUNE_WANTED_H
#define COP_PRUNE_WANTED_H

#include "prune/targets.h"

enum { COP_LARGEST_BLOCK = 64 };

typedef struct cop_wanted_pattern {
    int64_t rows, columns; /* of a block of output by input channels at one tap; 1 by 1: single
                              weights */
    bool channels;         /* all weights of an output channel go together, instead of a block */
    int64_t kept, of;      /* N:M; 0: not */
} cop_wanted_pattern;

/* "unstructured" (or NULL), "RxC", "channels", "N:M". INVALID_ARGUMENT for anything else. */
coppice_status cop_wanted_parse(const char *text, cop_wanted_pattern *out, coppice_error *err);

/* Is every weight chosen by itself? */
bool cop_wanted_is_free(const cop_wanted_pattern *pattern);

#endif
