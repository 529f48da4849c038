/* Names of the patterns that zeros are to have. */
#include "prune/wanted.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

static bool parse_pair(const char *text, char between, int64_t *a, int64_t *b) {
    char found, rest;
    int x, y;
    if (sscanf(text, "%3d%c%3d%c", &x, &found, &y, &rest) != 3 || found != between)
        return false;
    *a = x;
    *b = y;
    return x >= 1 && y >= 1 && x <= COP_LARGEST_BLOCK && y <= COP_LARGEST_BLOCK;
}

coppice_status cop_wanted_parse(const char *text, cop_wanted_pattern *out, coppice_error *err) {
    *out = (cop_wanted_pattern){.rows = 1, .columns = 1};
    if (!text || strcmp(text, "unstructured") == 0)
        return COPPICE_OK;
    out->channels = strcmp(text, "channels") == 0;
    if (out->channels || parse_pair(text, 'x', &out->rows, &out->columns) ||
        (parse_pair(text, ':', &out->kept, &out->of) && out->kept < out->of))
        return COPPICE_OK;
    return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                    "pattern '%s' is none of: unstructured; RxC, as 4x1; N:M with N below M, as "
                    "2:4; channels",
                    text);
}

bool cop_wanted_is_free(const cop_wanted_pattern *p) {
    return !p->channels && !p->of && p->rows * p->columns == 1;
}
