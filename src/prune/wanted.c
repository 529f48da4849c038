/* Patterns that zeros are to have, as scores of weights. */
#include "prune/wanted.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "graph/quantized.h"

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
    if (strcmp(text, "unstructured") == 0 || parse_pair(text, 'x', &out->rows, &out->columns) ||
        (parse_pair(text, ':', &out->kept, &out->of) && out->kept < out->of))
        return COPPICE_OK;
    return cop_fail(
        err, COPPICE_INVALID_ARGUMENT,
        "pattern '%s' is none of: unstructured; RxC, as 4x1; N:M with N below M, as 2:4", text);
}

typedef struct scorer {
    const cop_weight_view *view;
    const cop_constant *constant;
    float *scores;
} scorer;

static float magnitude(const scorer *s, int64_t at) {
    double zero = s->constant->quantized ? (double)s->constant->quantized->zero : 0;
    double value = fabs(cop_tensor_get(&s->constant->tensor, at) - zero);
    return value > FLT_MAX ? FLT_MAX : (float)value;
}

static void score_block(const scorer *s, int64_t first, int64_t rows, int64_t columns) {
    const cop_weight_view *v = s->view;
    double sum = 0;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            sum += (double)magnitude(s, first + r * v->row_stride + c * v->column_stride);
    float mean = (float)(sum / (double)(rows * columns));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            s->scores[first + r * v->row_stride + c * v->column_stride] = mean;
}

/* What is kept scores from 1 on, the rest 0. A group at the end that is smaller keeps its share. */
static void score_group(const scorer *s, int64_t first, int64_t size,
                        const cop_wanted_pattern *pattern) {
    float values[COP_LARGEST_BLOCK];
    int64_t kept = (size * pattern->kept + pattern->of - 1) / pattern->of;
    for (int64_t i = 0; i < size; i++)
        values[i] = magnitude(s, first + i * s->view->column_stride);
    for (int64_t i = 0; i < size; i++) {
        int64_t larger = 0;
        for (int64_t k = 0; k < size; k++)
            larger += values[k] > values[i] || (values[k] == values[i] && k < i);
        bool stays = larger < kept;
        s->scores[first + i * s->view->column_stride] = stays ? fminf(1 + values[i], FLT_MAX) : 0;
    }
}

void cop_wanted_scores(const cop_wanted_pattern *pattern, const cop_weight_view *v,
                       const cop_constant *constant, float *scores) {
    const scorer s = {v, constant, scores};
    int64_t rows = pattern->of ? 1 : pattern->rows, columns = pattern->of;
    columns = columns ? columns : pattern->columns;
    for (int64_t g = 0; g < v->groups; g++)
        for (int64_t r = 0; r < v->rows; r += rows)
            for (int64_t c = 0; c < v->columns; c += columns)
                for (int64_t t = 0; t < v->taps; t++) {
                    int64_t first = g * v->group_stride + r * v->row_stride + c * v->column_stride +
                                    t * v->tap_stride;
                    int64_t wide = columns < v->columns - c ? columns : v->columns - c;
                    int64_t high = rows < v->rows - r ? rows : v->rows - r;
                    if (pattern->of)
                        score_group(&s, first, wide, pattern);
                    else
                        score_block(&s, first, high, wide);
                }
}
