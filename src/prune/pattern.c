/* Recognises the pattern that the zeros of a weight form. */
#include "prune/pattern.h"

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "graph/constants.h"
#include "graph/quantized.h"

enum { GROUP_SIZES = 4, LARGEST_GROUP = 16, RELEASE_EVERY = 1 << 20 };

static const int group_sizes[GROUP_SIZES] = {2, 4, 8, 16};

/* Blocks looked for, large ones first: a matrix of 4x1 blocks is one of 2x1 blocks too. */
static const struct {
    int64_t rows, columns;
} blocks[] = {{8, 8}, {4, 4}, {16, 1}, {1, 16}, {8, 1}, {1, 8},
              {2, 2}, {4, 1}, {1, 4},  {2, 1},  {1, 2}};

int64_t cop_nonzero_map(const cop_weight *weight, int64_t count, uint8_t *nonzero) {
    const coppice_tensor *tensor = &weight->constant->tensor;
    double zero = weight->constant->quantized ? (double)weight->constant->quantized->zero : 0;
    int64_t zeros = 0;
    if (!tensor->data)
        return 0;
    for (int64_t i = 0; i < count; i++) {
        bool is_zero;
        if (tensor->type == COPPICE_TYPE_FLOAT) {
            uint32_t bits;
            memcpy(&bits, (const unsigned char *)tensor->data + 4 * i, sizeof bits);
            is_zero = (bits & 0x7fffffffu) == 0;
        } else {
            is_zero = cop_tensor_get(tensor, i) == zero;
        }
        if (weight->mask)
            is_zero |= cop_tensor_get(&weight->mask->tensor, i) == 0;
        zeros += is_zero;
        if (nonzero)
            nonzero[i] = !is_zero;
        if ((i + 1) % RELEASE_EVERY == 0)
            cop_constant_release(weight->constant, i + 1 - RELEASE_EVERY, RELEASE_EVERY);
    }
    cop_constant_release(weight->constant, 0, count);
    return zeros;
}

static int64_t offset_of(const cop_weight_view *v, int64_t group, int64_t row, int64_t column,
                         int64_t tap) {
    return group * v->group_stride + row * v->row_stride + column * v->column_stride +
           tap * v->tap_stride;
}

/* Non-zeros and size of one block, cut at the edges. */
static int64_t count_block(const cop_weight_view *v, const uint8_t *nonzero, int64_t first,
                           int64_t rows, int64_t columns) {
    int64_t count = 0;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            count += nonzero[first + r * v->row_stride + c * v->column_stride];
    return count;
}

/* What looking at blocks or channels one by one has shown so far. */
typedef struct tally {
    int64_t mixed;  /* non-zeros in blocks that have zeros */
    int64_t strewn; /* zeros in those blocks */
} tally;

/* What may break the rule. */
typedef struct tolerance {
    int64_t mixed, strewn;
} tolerance;

/* False as soon as too much breaks it: the rest need not be looked at. */
static bool add_block(tally *t, int64_t nonzeros, int64_t size, const tolerance *allowed) {
    if (nonzeros > 0 && nonzeros < size) {
        t->mixed += nonzeros;
        t->strewn += size - nonzeros;
    }
    return t->mixed <= allowed->mixed && t->strewn <= allowed->strewn;
}

static bool is_blocked(const cop_weight_view *v, const uint8_t *nonzero, int64_t rows,
                       int64_t columns, const tolerance *allowed) {
    tally found = {0};
    if (rows > v->rows || columns > v->columns)
        return false;
    for (int64_t g = 0; g < v->groups; g++)
        for (int64_t r = 0; r < v->rows; r += rows)
            for (int64_t c = 0; c < v->columns; c += columns)
                for (int64_t t = 0; t < v->taps; t++) {
                    int64_t high = cop_i64_smaller(rows, v->rows - r);
                    int64_t wide = cop_i64_smaller(columns, v->columns - c);
                    int64_t count = count_block(v, nonzero, offset_of(v, g, r, c, t), high, wide);
                    if (!add_block(&found, count, high * wide, allowed))
                        return false;
                }
    return true;
}

/* Like a block of one row, all columns and all taps. */
static bool is_channelwise(const cop_weight_view *v, const uint8_t *nonzero,
                           const tolerance *allowed) {
    tally found = {0};
    for (int64_t g = 0; g < v->groups; g++)
        for (int64_t r = 0; r < v->rows; r++) {
            int64_t count = 0;
            for (int64_t c = 0; c < v->columns; c++)
                for (int64_t t = 0; t < v->taps; t++)
                    count += nonzero[offset_of(v, g, r, c, t)];
            if (!add_block(&found, count, v->columns * v->taps, allowed))
                return false;
        }
    return true;
}

/* most[i]: the most non-zeros in a full group of group_sizes[i]. Groups smaller than 16 are parts
 * of one of 16. False as soon as every size has a group without a zero. */
static bool count_groups(const cop_weight_view *v, const uint8_t *nonzero, int64_t first,
                         int64_t columns, int *most) {
    int in_group[GROUP_SIZES] = {0};
    for (int64_t c = 0; c < columns; c++) {
        int one = nonzero[first + c * v->column_stride];
        for (int i = 0; i < GROUP_SIZES; i++) {
            in_group[i] += one;
            if ((c + 1) % group_sizes[i] != 0)
                continue;
            if (in_group[i] > most[i])
                most[i] = in_group[i];
            in_group[i] = 0;
        }
    }
    for (int i = 0; i < GROUP_SIZES; i++)
        if (most[i] < group_sizes[i])
            return true;
    return false;
}

static bool find_groups(const cop_weight_view *v, const uint8_t *nonzero, int64_t count,
                        int64_t nonzeros, cop_pattern_name *name) {
    int most[GROUP_SIZES] = {0};
    for (int64_t g = 0; g < v->groups; g++)
        for (int64_t c = 0; c < v->columns; c += LARGEST_GROUP)
            for (int64_t r = 0; r < v->rows; r++)
                for (int64_t t = 0; t < v->taps; t++)
                    if (!count_groups(v, nonzero, offset_of(v, g, r, c, t),
                                      cop_i64_smaller(LARGEST_GROUP, v->columns - c), most))
                        return false;
    for (int i = 0; i < GROUP_SIZES; i++) {
        int size = group_sizes[i];
        bool tight = (double)nonzeros * size >= 0.9 * most[i] * (double)count;
        if (v->columns < size || most[i] == 0 || most[i] == size || !tight)
            continue;
        snprintf(name->text, sizeof name->text, "%d:%d", most[i], size);
        return true;
    }
    return false;
}

cop_pattern_name cop_pattern_of(const cop_weight_view *view, const uint8_t *nonzero, int64_t count,
                                int64_t zeros) {
    cop_pattern_name name = {"dense"};
    if (zeros == 0)
        return name;
    int64_t nonzeros = count - zeros;
    tolerance allowed = {.mixed = nonzeros / 100, .strewn = zeros / 10};
    snprintf(name.text, sizeof name.text, "unstructured");
    if (!view)
        return name;
    if (is_channelwise(view, nonzero, &allowed)) {
        snprintf(name.text, sizeof name.text, "channels");
        return name;
    }
    if (find_groups(view, nonzero, count, nonzeros, &name))
        return name;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (is_blocked(view, nonzero, blocks[i].rows, blocks[i].columns, &allowed)) {
            snprintf(name.text, sizeof name.text, "%dx%d", (int)blocks[i].rows,
                     (int)blocks[i].columns);
            return name;
        }
    return name;
}
