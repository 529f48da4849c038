/* Which tensor a mask belongs to: as given, by name, by content, or not to be said.
 *
 * The figures behind the limits are in docs/masks.md: the agreement of a mask with its own tensor
 * was 0.61 or more in all pairs of exports, with other tensors of trained networks up to 0.27. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "prune/match.h"

static const double strong = 0.45;    /* a mask's own tensor has at least this */
static const double weak = 0.3;       /* one that has less is another one */
static const double min_margin = 0.2; /* of the best over the second best */
static const double sure = 5;         /* standard deviations that are no accident */

static double agreement(const cop_match_group *g, size_t m, size_t c) {
    return g->agreement[m * g->candidate_count + c];
}

static double margin(const cop_match_group *g) {
    return fmax(min_margin, sure * g->noise);
}

static const cop_constant *constant_of(const cop_matcher *x, const cop_match_group *g, size_t c) {
    return x->constants->items[g->candidates[c].tensor];
}

static coppice_match_row *row_of(cop_matcher *x, const cop_match_group *g, size_t m) {
    return &x->match.rows[g->masks[m]];
}

static void point_at(cop_matcher *x, const cop_match_group *g, size_t m, size_t c) {
    coppice_match_row *row = row_of(x, g, m);
    row->initializer = constant_of(x, g, c)->key;
    row->transposed = cop_mask_turned(g, &x->masks->items[g->masks[m]]) != g->candidates[c].turned;
    row->agreement = agreement(g, m, c);
}

static void settle(cop_matcher *x, const cop_match_group *g, size_t m, size_t c,
                   coppice_match_kind kind) {
    point_at(x, g, m, c);
    row_of(x, g, m)->kind = kind;
    x->claimed[g->candidates[c].tensor] = true;
    x->settled[g->masks[m]] = true;
}

static coppice_status refuse(cop_matcher *x, const cop_match_group *g, size_t m,
                             coppice_match_kind kind, const char *reason, coppice_error *err) {
    coppice_match_row *row = row_of(x, g, m);
    if (!reason)
        return cop_fail_memory(err, 0);
    row->kind = kind;
    row->reason = reason;
    x->settled[g->masks[m]] = true;
    x->match.refused++;
    return COPPICE_OK;
}

/* The unclaimed candidate, other than `except`, that agrees best with a mask; -1: there is none, or
 * the mask says nothing. */
static int64_t best(const cop_matcher *x, const cop_match_group *g, size_t m, int64_t except) {
    int64_t found = -1;
    for (size_t c = 0; c < g->candidate_count; c++) {
        if (x->claimed[g->candidates[c].tensor] || (int64_t)c == except ||
            isnan(agreement(g, m, c)))
            continue;
        if (found < 0 || agreement(g, m, c) > agreement(g, m, (size_t)found))
            found = (int64_t)c;
    }
    return found;
}

/* ---- given pairs ---- */

static void settle_given(cop_matcher *x, const cop_match_group *g) {
    for (size_t m = 0; m < g->mask_count; m++) {
        int64_t given = x->given[g->masks[m]], found = -1;
        bool turned = cop_mask_turned(g, &x->masks->items[g->masks[m]]);
        for (size_t c = 0; c < g->candidate_count; c++) {
            if ((int64_t)g->candidates[c].tensor != given)
                continue;
            bool better =
                found >= 0 && agreement(g, m, c) > agreement(g, m, (size_t)found) + margin(g);
            bool as_it_is = g->candidates[c].turned == turned;
            if (found < 0 || better ||
                (as_it_is && !(agreement(g, m, (size_t)found) > agreement(g, m, c) + margin(g))))
                found = (int64_t)c;
        }
        if (found >= 0)
            settle(x, g, m, (size_t)found, COPPICE_MATCH_GIVEN);
        else if (given == COP_GIVEN_SKIP)
            x->settled[g->masks[m]] = true;
    }
}

/* ---- names ---- */

/* A name that the exporter made by counting: another export gives it to another tensor. */
static bool is_numbered(const char *name) {
    static const char *const stems[] = {"", "val_", "Constant_", "constant_", NULL};
    size_t length = strlen(name), stem = length;
    while (stem > 0 && isdigit((unsigned char)name[stem - 1]))
        stem--;
    if (stem == length)
        return false;
    if (strncmp(name, "onnx::", 6) == 0)
        return true;
    for (size_t i = 0; stems[i]; i++)
        if (strlen(stems[i]) == stem && strncmp(name, stems[i], stem) == 0)
            return true;
    return false;
}

/* The candidate of the mask's own name and shape; -1: none. */
static int64_t namesake(const cop_matcher *x, const cop_match_group *g, size_t m) {
    const cop_mask *mask = &x->masks->items[g->masks[m]];
    for (size_t c = 0; c < g->candidate_count; c++)
        if (g->candidates[c].turned == cop_mask_turned(g, mask) &&
            !x->claimed[g->candidates[c].tensor] &&
            strcmp(constant_of(x, g, c)->key, mask->name) == 0)
            return (int64_t)c;
    return -1;
}

/* Does this mask say that `c` is not its tensor? False when the tensor is too small to tell. */
static bool speaks_against(const cop_match_group *g, size_t m, size_t c) {
    return agreement(g, m, c) < weak - (sure - 1) * g->noise;
}

/* What the masks say of the tensors of their names, all together. */
typedef struct votes {
    size_t named, agree, against; /* masks */
    size_t tensors;               /* of the shapes that they have */
} votes;

/* A tensor that no mask has; the candidates of a square one stand side by side and count once. */
static bool is_free_tensor(const cop_matcher *x, const cop_match_group *g, size_t c) {
    bool again = c > 0 && g->candidates[c - 1].tensor == g->candidates[c].tensor;
    return !again && !x->claimed[g->candidates[c].tensor];
}

static votes count_votes(const cop_matcher *x) {
    votes v = {0};
    for (size_t i = 0; i < x->group_count; i++) {
        const cop_match_group *g = &x->groups[i];
        for (size_t c = 0; c < g->candidate_count; c++)
            v.tensors += is_free_tensor(x, g, c);
        for (size_t m = 0; m < g->mask_count; m++) {
            int64_t c = x->settled[g->masks[m]] ? -1 : namesake(x, g, m);
            if (c < 0)
                continue;
            v.named++;
            v.against += speaks_against(g, m, (size_t)c);
            v.agree += agreement(g, m, (size_t)c) >= fmax(weak, sure * g->noise);
        }
    }
    return v;
}

/* Names are believed, as masks need not be made by magnitude; but not when most of several masks
 * speak against theirs and leave most tensors of their shapes alone: a smaller network's masks. */
static bool names_hold(const votes *v) {
    enum { SEVERAL = 3 };
    return v->agree >= v->against || v->against < SEVERAL || 2 * v->named >= v->tensors;
}

/* Takes the tensor of the mask's name, unless its content has something against it; then masks with
 * a numbered name stay open for another tensor. */
static coppice_status settle_name(cop_matcher *x, const cop_match_group *g, size_t m, bool believed,
                                  coppice_error *err) {
    int64_t c = namesake(x, g, m);
    if (c < 0)
        return COPPICE_OK;
    const char *name = x->masks->items[g->masks[m]].name;
    int64_t other = best(x, g, m, c);
    double own = agreement(g, m, (size_t)c);
    bool other_fits = other >= 0 && agreement(g, m, (size_t)other) >= strong &&
                      agreement(g, m, (size_t)other) - own >= margin(g);
    bool against = speaks_against(g, m, (size_t)c) && (!believed || is_numbered(name));
    if (isnan(own) || (!other_fits && !against)) {
        settle(x, g, m, (size_t)c, COPPICE_MATCH_NAME);
        return COPPICE_OK;
    }
    if (is_numbered(name))
        return COPPICE_OK;
    point_at(x, g, m, (size_t)(other_fits ? other : c));
    const char *reason =
        other_fits
            ? cop_arena_printf(&x->arena,
                               "the small weights that it prunes are those of '%s' (agreement "
                               "%.2f), not of the initializer of its name (%.2f)",
                               constant_of(x, g, (size_t)other)->key,
                               agreement(g, m, (size_t)other), own)
            : "the weights that it prunes are not the small ones of the initializer of its name: "
              "made for another network, or not by magnitude";
    return refuse(x, g, m, COPPICE_MATCH_DOUBTFUL, reason, err);
}

/* ---- content ---- */

/* Is no other open mask as close to the candidate? */
static bool is_chosen_by(const cop_matcher *x, const cop_match_group *g, size_t c, size_t m) {
    for (size_t other = 0; other < g->mask_count; other++)
        if (other != m && !x->settled[g->masks[other]] &&
            agreement(g, other, c) >= agreement(g, m, c))
            return false;
    return true;
}

static bool settle_content(cop_matcher *x, const cop_match_group *g, size_t m) {
    int64_t c = best(x, g, m, -1);
    if (c < 0 || agreement(g, m, (size_t)c) < fmax(strong, sure * g->noise))
        return false;
    int64_t second = best(x, g, m, c);
    if (second >= 0 && agreement(g, m, (size_t)c) - agreement(g, m, (size_t)second) < margin(g))
        return false;
    if (!is_chosen_by(x, g, (size_t)c, m))
        return false;
    settle(x, g, m, (size_t)c, COPPICE_MATCH_CONTENT);
    return true;
}

/* A tensor that is taken is no rival any more, so that masks may become clear one after another.
 * Returns whether there was any. */
static bool settle_contents(cop_matcher *x, const cop_match_group *g) {
    bool any = false;
    for (bool more = true; more;) {
        more = false;
        for (size_t m = 0; m < g->mask_count; m++)
            if (!x->settled[g->masks[m]])
                more |= settle_content(x, g, m);
        any |= more;
    }
    return any;
}

/* Masks that prune (or keep) everything are all the same; when as many of them are left as tensors,
 * it does not matter which goes where. */
static void settle_left_over(cop_matcher *x, const cop_match_group *g) {
    size_t open = 0, tensors = 0;
    int64_t zeros = -1;
    for (size_t m = 0; m < g->mask_count; m++) {
        const cop_mask *mask = &x->masks->items[g->masks[m]];
        if (x->settled[g->masks[m]])
            continue;
        if ((mask->zeros && mask->zeros != mask->count) || (zeros >= 0 && zeros != mask->zeros))
            return;
        zeros = mask->zeros;
        open++;
    }
    for (size_t c = 0; c < g->candidate_count; c++)
        tensors += is_free_tensor(x, g, c);
    if (open != tensors)
        return;
    for (size_t m = 0, c = 0; m < g->mask_count; m++) {
        if (x->settled[g->masks[m]])
            continue;
        while (!is_free_tensor(x, g, c))
            c++;
        settle(x, g, m, c, COPPICE_MATCH_CONTENT);
    }
}

static coppice_status refuse_rest(cop_matcher *x, const cop_match_group *g, size_t m,
                                  coppice_error *err) {
    bool any = false;
    for (size_t c = 0; c < g->candidate_count; c++)
        any |= !x->claimed[g->candidates[c].tensor];
    if (!any)
        return refuse(x, g, m, COPPICE_MATCH_NONE,
                      g->candidate_count ? "every initializer of this shape has a mask already"
                                         : "the model has no float initializer of this shape",
                      err);
    int64_t c = best(x, g, m, -1);
    if (c < 0)
        return refuse(x, g, m, COPPICE_MATCH_DOUBTFUL,
                      "it keeps or prunes every weight, so its content says nothing", err);
    point_at(x, g, m, (size_t)c);
    int64_t second = best(x, g, m, c);
    if (agreement(g, m, (size_t)c) < fmax(strong, sure * g->noise) || second < 0)
        return refuse(x, g, m, COPPICE_MATCH_DOUBTFUL,
                      "the weights that it prunes are not clearly the small ones of any "
                      "initializer of this shape",
                      err);
    const char *rival = constant_of(x, g, (size_t)second)->key;
    return refuse(x, g, m, COPPICE_MATCH_DOUBTFUL,
                  cop_arena_printf(&x->arena, "'%s' fits as well (agreement %.2f)", rival,
                                   agreement(g, m, (size_t)second)),
                  err);
}

coppice_status cop_match_decide(cop_matcher *x, coppice_error *err) {
    for (size_t i = 0; i < x->group_count; i++)
        settle_given(x, &x->groups[i]);
    votes v = count_votes(x);
    bool believed = names_hold(&v);
    for (size_t i = 0; i < x->group_count; i++)
        for (size_t m = 0; m < x->groups[i].mask_count; m++)
            if (!x->settled[x->groups[i].masks[m]])
                COP_TRY(settle_name(x, &x->groups[i], m, believed, err));
    bool same_network = v.agree > 0;
    for (size_t i = 0; i < x->group_count; i++)
        same_network |= settle_contents(x, &x->groups[i]);
    for (size_t i = 0; i < x->group_count; i++) {
        const cop_match_group *g = &x->groups[i];
        if (same_network)
            settle_left_over(x, g);
        for (size_t m = 0; m < g->mask_count; m++)
            if (!x->settled[g->masks[m]])
                COP_TRY(refuse_rest(x, g, m, err));
    }
    return COPPICE_OK;
}
