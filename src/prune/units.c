/* Pruning by units. Blocks and channels become a tensor of their means, of which the smallest are
 * selected as weights are; N:M is decided group by group. */
#include "prune/units.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/size.h"
#include "graph/constants.h"
#include "prune/keys.h"

/* ---- weights ---- */

static double magnitude_at(const cop_pool_item *item, int64_t at) {
    return cop_magnitude_of(item->constant, item->zeroed_by, at);
}

/* How much a weight of this magnitude, which is not 0, matters. */
static double importance_at(const cop_pool_item *item, int64_t at, double magnitude) {
    return item->scores ? cop_tensor_get(item->scores, at) : magnitude;
}

static void prune_at(cop_pool_item *item, int64_t at) {
    item->mask->kept[at / 64] &= ~((uint64_t)1 << (at % 64));
}

/* Masks what is zero already, counts the zeros. */
static void finish(cop_pool_item *item) {
    int64_t kept = 0;
    for (int64_t i = 0; i < item->count; i++) {
        if (cop_mask_keeps(item->mask, i) && magnitude_at(item, i) == 0)
            prune_at(item, i);
    }
    for (size_t i = 0; i < cop_mask_words(item->count); i++)
        kept += __builtin_popcountll(item->mask->kept[i]);
    item->zeros = item->mask->zeros = item->count - kept;
    cop_constant_release(item->constant, 0, item->count);
}

static coppice_status check(const cop_pool_item *item, coppice_error *err) {
    for (int64_t i = 0; i < item->count; i++) {
        double magnitude = magnitude_at(item, i);
        bool bad_score = item->scores && !isfinite(cop_tensor_get(item->scores, i));
        if (isnan(magnitude) || bad_score)
            return cop_fail_unordered(item->key, i, bad_score, err);
    }
    return COPPICE_OK;
}

/* ---- units ---- */

/* How a view is cut into units. */
typedef struct grid {
    const cop_weight_view *view;
    int64_t rows, columns, taps;   /* of a unit that no edge cuts */
    int64_t down, across, windows; /* units along rows, columns and taps */
    int64_t count;
} grid;

typedef struct unit {
    int64_t first; /* its first weight */
    int64_t rows, columns, taps;
} unit;

static int64_t parts(int64_t whole, int64_t part) {
    return part > 0 ? (whole + part - 1) / part : 0;
}

static grid grid_of(const cop_wanted_pattern *pattern, const cop_weight_view *v) {
    grid g = {.view = v, .rows = pattern->rows, .columns = pattern->columns, .taps = 1};
    if (pattern->channels) {
        g.rows = 1;
        g.columns = v->columns;
        g.taps = v->taps;
    } else if (pattern->of) {
        g.rows = 1;
        g.columns = pattern->of;
    }
    g.down = parts(v->rows, g.rows);
    g.across = parts(v->columns, g.columns);
    g.windows = parts(v->taps, g.taps);
    g.count = v->groups * g.down * g.across * g.windows;
    return g;
}

static unit unit_of(const grid *g, int64_t index) {
    const cop_weight_view *v = g->view;
    int64_t tap = index % g->windows * g->taps;
    index /= g->windows;
    int64_t column = index % g->across * g->columns;
    index /= g->across;
    int64_t row = index % g->down * g->rows, group = index / g->down;
    return (unit){.first = group * v->group_stride + row * v->row_stride +
                           column * v->column_stride + tap * v->tap_stride,
                  .rows = cop_i64_smaller(g->rows, v->rows - row),
                  .columns = cop_i64_smaller(g->columns, v->columns - column),
                  .taps = cop_i64_smaller(g->taps, v->taps - tap)};
}

static int64_t unit_size(const unit *u) {
    return u->rows * u->columns * u->taps;
}

/* Weight `i` of a unit. */
static int64_t weight_of(const grid *g, const unit *u, int64_t i) {
    const cop_weight_view *v = g->view;
    return u->first + i % u->taps * v->tap_stride + i / u->taps % u->columns * v->column_stride +
           i / u->taps / u->columns * v->row_stride;
}

/* ---- blocks and channels ---- */

/* The units of an item as weights of a tensor of their own. */
typedef struct unit_item {
    cop_pool_item *item;
    grid grid;
    cop_constant means;    /* of |w| */
    coppice_tensor scores; /* of the scores, where there are some */
    cop_mask mask;
} unit_item;

typedef struct unit_pool {
    unit_item *items;
    cop_pool_item *pool; /* items[i] as one of cop_select_smallest */
    size_t count;
    int64_t units, largest, smallest; /* weights in a unit */
    cop_arena arena;
} unit_pool;

static float narrow(double x) {
    return x > FLT_MAX ? FLT_MAX : x < -FLT_MAX ? -FLT_MAX : (float)x;
}

/* Never 0 but for a unit of zeros: those go before all others. */
static void score_unit(unit_item *u, int64_t index, const unit *one) {
    int64_t size = unit_size(one);
    double sum = 0, score = 0;
    for (int64_t i = 0; i < size; i++) {
        int64_t at = weight_of(&u->grid, one, i);
        double magnitude = magnitude_at(u->item, at);
        sum += magnitude;
        score += magnitude != 0 ? importance_at(u->item, at, magnitude) : 0;
    }
    float mean = narrow(sum / (double)size);
    ((float *)u->means.tensor.data)[index] = sum > 0 && mean == 0 ? FLT_MIN : mean;
    if (u->item->scores)
        ((float *)u->scores.data)[index] = narrow(score / (double)size);
}

static coppice_status make_item(unit_pool *p, unit_item *u, coppice_error *err) {
    int64_t count = u->grid.count;
    size_t bytes = (size_t)count * sizeof(float);
    u->means.tensor = (coppice_tensor){.type = COPPICE_TYPE_FLOAT, .rank = 1, .dims = {count}};
    u->means.tensor.data = cop_arena_array(&p->arena, (size_t)count, sizeof(float));
    u->scores = u->means.tensor;
    if (u->item->scores)
        u->scores.data = cop_arena_array(&p->arena, (size_t)count, sizeof(float));
    u->means.bytes = bytes;
    u->means.aligned = true;
    u->mask = (cop_mask){.rank = 1, .dims = {count}, .count = count};
    u->mask.kept = cop_arena_array(&p->arena, cop_mask_words(count), sizeof *u->mask.kept);
    if (!u->means.tensor.data || !u->scores.data || !u->mask.kept)
        return cop_fail_memory(err, bytes);
    for (int64_t i = 0; i < count; i++) {
        unit one = unit_of(&u->grid, i);
        int64_t size = unit_size(&one);
        p->largest = size > p->largest ? size : p->largest;
        p->smallest = size < p->smallest ? size : p->smallest;
        score_unit(u, i, &one);
    }
    p->units += count;
    return COPPICE_OK;
}

static coppice_status make_pool(unit_pool *p, const cop_wanted_pattern *pattern,
                                cop_pool_item *items, const cop_weight_view *views,
                                cop_tally *tally, coppice_error *err) {
    p->items = cop_arena_array(&p->arena, p->count, sizeof *p->items);
    p->pool = cop_arena_array(&p->arena, p->count, sizeof *p->pool);
    if (!p->items || !p->pool)
        return cop_fail_memory(err, p->count * sizeof *p->items);
    p->smallest = INT64_MAX;
    for (size_t i = 0; i < p->count; i++) {
        unit_item *u = &p->items[i];
        *u = (unit_item){.item = &items[i], .grid = grid_of(pattern, &views[i])};
        COP_TRY(check(u->item, err));
        COP_TRY(make_item(p, u, err));
        p->pool[i] = (cop_pool_item){.constant = &u->means,
                                     .scores = u->item->scores ? &u->scores : NULL,
                                     .key = u->item->key,
                                     .count = u->grid.count,
                                     .mask = &u->mask};
        COP_TRY(cop_tally_add(tally, u->item->count, err));
    }
    return COPPICE_OK;
}

/* Selects `units` of them; *zeros: the weights in them. */
static coppice_status select_count(unit_pool *p, int64_t units, int64_t *zeros,
                                   coppice_error *err) {
    COP_TRY(cop_select_smallest(p->pool, p->count, units, NULL, err));
    *zeros = 0;
    for (size_t i = 0; i < p->count; i++) {
        const unit_item *u = &p->items[i];
        if (p->largest == p->smallest) {
            *zeros += u->mask.zeros * p->largest;
            continue;
        }
        for (int64_t k = 0; k < u->grid.count; k++) {
            unit one = unit_of(&u->grid, k);
            *zeros += cop_mask_keeps(&u->mask, k) ? 0 : unit_size(&one);
        }
    }
    return COPPICE_OK;
}

/* The number of units whose weights are nearest to `wanted`: more units have more weights. */
static coppice_status select_nearest(unit_pool *p, int64_t wanted, coppice_error *err) {
    int64_t zeros, below = 0, above = p->units;
    if (p->largest == p->smallest)
        return select_count(p, (int64_t)nearbyint((double)wanted / (double)p->largest), &zeros,
                            err);
    while (above - below > 1) {
        int64_t middle = below + (above - below) / 2;
        COP_TRY(select_count(p, middle, &zeros, err));
        *(zeros <= wanted ? &below : &above) = middle;
    }
    int64_t fewer, more;
    COP_TRY(select_count(p, above, &more, err));
    COP_TRY(select_count(p, below, &fewer, err));
    return llabs(wanted - fewer) <= llabs(more - wanted) ? COPPICE_OK
                                                         : select_count(p, above, &zeros, err);
}

static void spread(unit_item *u) {
    cop_mask_keep_all(u->item->mask);
    for (int64_t k = 0; k < u->grid.count; k++) {
        unit one = unit_of(&u->grid, k);
        for (int64_t i = 0; !cop_mask_keeps(&u->mask, k) && i < unit_size(&one); i++)
            prune_at(u->item, weight_of(&u->grid, &one, i));
    }
}

static coppice_status select_blocks(unit_pool *p, int64_t zeros, cop_tally *tally,
                                    coppice_error *err) {
    COP_TRY(select_nearest(p, zeros, err));
    for (size_t i = 0; i < p->count; i++) {
        spread(&p->items[i]);
        finish(p->items[i].item);
        COP_TRY(cop_tally_add(tally, p->items[i].item->count, err));
    }
    return COPPICE_OK;
}

/* ---- N:M ---- */

static void prune_group(const cop_wanted_pattern *pattern, cop_pool_item *item, const grid *g,
                        int64_t index) {
    double values[COP_LARGEST_BLOCK];
    unit group = unit_of(g, index);
    int64_t kept = (group.columns * pattern->kept + pattern->of - 1) / pattern->of;
    for (int64_t i = 0; i < group.columns; i++) {
        int64_t at = weight_of(g, &group, i);
        double magnitude = magnitude_at(item, at);
        values[i] = magnitude != 0 ? importance_at(item, at, magnitude) : -INFINITY;
    }
    for (int64_t i = 0; i < group.columns; i++) {
        int64_t before = 0; /* those that are kept rather than this one */
        for (int64_t k = 0; k < group.columns; k++)
            before += values[k] > values[i] || (values[k] == values[i] && k > i);
        if (before >= kept)
            prune_at(item, weight_of(g, &group, i));
    }
}

static coppice_status select_groups(const cop_wanted_pattern *pattern, cop_pool_item *item,
                                    const cop_weight_view *view, cop_tally *tally,
                                    coppice_error *err) {
    grid g = grid_of(pattern, view);
    COP_TRY(check(item, err));
    cop_mask_keep_all(item->mask);
    for (int64_t i = 0; i < g.count; i++)
        prune_group(pattern, item, &g, i);
    finish(item);
    return cop_tally_add(tally, 2 * item->count, err);
}

/* ---- both ---- */

coppice_status cop_select_units(const cop_wanted_pattern *pattern, cop_pool_item *items,
                                const cop_weight_view *views, size_t count, int64_t zeros,
                                cop_tally *tally, coppice_error *err) {
    for (size_t i = 0; pattern->of && i < count; i++)
        COP_TRY(select_groups(pattern, &items[i], &views[i], tally, err));
    if (pattern->of)
        return COPPICE_OK;
    if (zeros == 0)
        return cop_select_smallest(items, count, 0, tally, err);
    unit_pool p = {.count = count};
    coppice_status status = make_pool(&p, pattern, items, views, tally, err);
    if (!status)
        status = select_blocks(&p, zeros, tally, err);
    cop_arena_free(&p.arena);
    return status;
}
