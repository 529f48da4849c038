/* Reads equations of Einsum: "bsd,df->bsf". */
#include "prune/einsum.h"

#include <string.h>

#include "base/size.h"

enum { LETTERS = 128, ELLIPSIS = '.' };

/* The letters of both operands and of the output; '.' stands for "...". */
typedef struct equation {
    char terms[2][COPPICE_MAX_RANK + 2];
    bool in_output[LETTERS];
} equation;

static bool has_letter(const char *term, char letter) {
    return strchr(term, letter) != NULL;
}

/* Appends one character of a term; false: no letter, one that is there already, or too many. */
static bool append(char *term, const char **at) {
    char c = **at;
    size_t length = strlen(term);
    bool ellipsis = strncmp(*at, "...", 3) == 0;
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (length > COPPICE_MAX_RANK || has_letter(term, c) || !(letter || ellipsis))
        return false;
    *at += ellipsis ? 3 : 1;
    term[length] = c;
    term[length + 1] = 0;
    return true;
}

static bool parse(const cop_node *node, equation *e) {
    const char *text;
    int term = 0;
    *e = (equation){0};
    if (node->input_count != 2 || cop_node_string(node, "equation", "", &text, NULL))
        return false;
    for (; *text && *text != '-';) {
        if (*text == ' ') {
            text++;
        } else if (*text == ',') {
            text++;
            if (++term > 1)
                return false;
        } else if (!append(e->terms[term], &text)) {
            return false;
        }
    }
    if (term != 1)
        return false;
    if (strncmp(text, "->", 2) == 0) {
        for (text += 2; *text; text++)
            if (*text > 0)
                e->in_output[(int)*text] = true;
        return true;
    }
    for (int t = 0; !*text && t < 2; t++) /* letters that are there once, and "..." */
        for (const char *c = e->terms[t]; *c; c++)
            e->in_output[(int)*c] = *c == ELLIPSIS || !has_letter(e->terms[!t], *c);
    return !*text;
}

bool cop_einsum_is_product(const cop_node *node) {
    equation e;
    return parse(node, &e);
}

/* The wanted dims as one; false: not evenly apart. */
static bool merge_wanted(const cop_seen *seen, const bool *wanted, int64_t *size, int64_t *stride) {
    cop_seen some = {.known = true};
    for (uint32_t d = 0; d < seen->rank; d++) {
        if (!wanted[d])
            continue;
        some.dims[some.rank] = seen->dims[d];
        some.strides[some.rank++] = seen->strides[d];
    }
    return cop_seen_merge(&some, 0, some.rank, size, stride);
}

bool cop_einsum_view(const cop_weight_use *use, cop_weight_view *out) {
    enum { ROW, COLUMN, GROUP };
    equation e;
    if (!parse(&use->graph->nodes[use->node], &e))
        return false;
    const char *mine = e.terms[use->input != 0], *other = e.terms[use->input == 0];
    const cop_seen *seen = &use->seen;
    bool is[3][COPPICE_MAX_RANK] = {{false}};
    if (strlen(mine) != seen->rank || has_letter(mine, ELLIPSIS))
        return false;
    for (uint32_t d = 0; d < seen->rank; d++) {
        bool shared = has_letter(other, mine[d]);
        is[e.in_output[(int)mine[d]] ? (shared ? GROUP : ROW) : COLUMN][d] = true;
    }
    *out = (cop_weight_view){.taps = 1};
    return merge_wanted(seen, is[ROW], &out->rows, &out->row_stride) &&
           merge_wanted(seen, is[COLUMN], &out->columns, &out->column_stride) &&
           merge_wanted(seen, is[GROUP], &out->groups, &out->group_stride);
}

/* Multiplies the sizes of the letters of an operand that `done` has not; "..." are what is left of
 * its dims. */
static bool multiply(const char *term, const coppice_tensor *t, bool *done, int64_t *product) {
    size_t letters = strlen(term) - has_letter(term, ELLIPSIS);
    if (t->rank < letters || (t->rank > letters && !has_letter(term, ELLIPSIS)))
        return false;
    uint32_t d = 0;
    for (const char *c = term; *c; c++) {
        uint32_t n = *c == ELLIPSIS ? t->rank - (uint32_t)letters : 1;
        for (uint32_t i = 0; i < n; i++, d++)
            if (!done[(int)*c] && !cop_i64_mul(*product, t->dims[d], product))
                return false;
        done[(int)*c] = true;
    }
    return true;
}

int64_t cop_einsum_macs(const cop_node *node, const coppice_tensor *a, const coppice_tensor *b) {
    equation e;
    bool done[LETTERS] = {false};
    int64_t product = 1;
    return parse(node, &e) && multiply(e.terms[0], a, done, &product) &&
                   multiply(e.terms[1], b, done, &product)
               ? product
               : -1;
}
