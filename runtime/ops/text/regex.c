/* Regular expressions: from a tree to a program, and all its threads run at once over the text. */
#include "runtime/ops/text/regex.h"

#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "runtime/ops/text/regex_internal.h"

enum { MAX_CODE = 1 << 16, MAX_WORK = 1 << 20, POLL_CHARACTERS = 4096 };

typedef enum regex_op { OP_SET, OP_ASSERT, OP_SPLIT, OP_JUMP, OP_MATCH } regex_op;

typedef struct instruction {
    regex_op op;
    int x, y; /* of OP_SPLIT and OP_JUMP: where it goes on */
    const regex_set *set;
    regex_assertion assertion;
} instruction;

struct cop_regex {
    cop_arena arena;
    instruction *code;
    size_t count, capacity;
    int work;                    /* nodes that were compiled, also to nothing */
    int *threads, *next, *stack; /* count each */
    size_t thread_count, next_count;
    unsigned *seen, round; /* seen[i] == round: thread i is there already */
};

/* ---- compiling ---- */

static coppice_status emit(cop_regex *r, instruction i, coppice_error *err) {
    if (r->count >= MAX_CODE)
        return cop_fail(err, COPPICE_LIMIT, "the pattern is too large");
    if (cop_grow(&r->code, r->count, &r->capacity, sizeof *r->code) != 0)
        return cop_fail_memory(err, sizeof *r->code);
    r->code[r->count++] = i;
    return COPPICE_OK;
}

static coppice_status compile(cop_regex *r, const regex_node *node, coppice_error *err);

/* The jumps to the end are chained by `x` until it is known. */
static coppice_status compile_either(cop_regex *r, const regex_node *node, coppice_error *err) {
    int last_jump = -1;
    for (const regex_node *child = node->children; child; child = child->next) {
        size_t split = r->count;
        if (child->next)
            COP_TRY(emit(r, (instruction){.op = OP_SPLIT, .x = (int)split + 1}, err));
        COP_TRY(compile(r, child, err));
        if (!child->next)
            break;
        COP_TRY(emit(r, (instruction){.op = OP_JUMP, .x = last_jump}, err));
        last_jump = (int)r->count - 1;
        r->code[split].y = (int)r->count;
    }
    while (last_jump >= 0) {
        int before = r->code[last_jump].x;
        r->code[last_jump].x = (int)r->count;
        last_jump = before;
    }
    return COPPICE_OK;
}

static coppice_status compile_repeat(cop_regex *r, const regex_node *node, coppice_error *err) {
    for (int i = 0; i < node->least; i++)
        COP_TRY(compile(r, node->children, err));
    if (node->most < 0) {
        size_t split = r->count;
        COP_TRY(emit(r, (instruction){.op = OP_SPLIT, .x = (int)split + 1}, err));
        COP_TRY(compile(r, node->children, err));
        COP_TRY(emit(r, (instruction){.op = OP_JUMP, .x = (int)split}, err));
        r->code[split].y = (int)r->count;
        return COPPICE_OK;
    }
    for (int i = node->least; i < node->most; i++) {
        size_t split = r->count;
        COP_TRY(emit(r, (instruction){.op = OP_SPLIT, .x = (int)split + 1}, err));
        COP_TRY(compile(r, node->children, err));
        r->code[split].y = (int)r->count;
    }
    return COPPICE_OK;
}

/* As deep as groups and repetitions nest, which the parser limits. */
static coppice_status compile(cop_regex *r, const regex_node *node, coppice_error *err) {
    if (++r->work > MAX_WORK)
        return cop_fail(err, COPPICE_LIMIT, "the pattern is too large");
    switch (node->kind) {
    case REGEX_EITHER:
        return compile_either(r, node, err);
    case REGEX_REPEAT:
        return compile_repeat(r, node, err);
    case REGEX_SET:
        return emit(r, (instruction){.op = OP_SET, .set = &node->set}, err);
    case REGEX_ASSERT:
        return emit(r, (instruction){.op = OP_ASSERT, .assertion = node->assertion}, err);
    case REGEX_SEQUENCE:
        break;
    }
    for (const regex_node *child = node->children; child; child = child->next)
        COP_TRY(compile(r, child, err));
    return COPPICE_OK;
}

static coppice_status build(cop_regex *r, const char *pattern, size_t length, coppice_error *err) {
    regex_node *tree;
    COP_TRY(cop_regex_parse(pattern, length, &r->arena, &tree, err));
    COP_TRY(compile(r, tree, err));
    COP_TRY(emit(r, (instruction){.op = OP_MATCH}, err));
    r->threads = cop_arena_array(&r->arena, r->count, sizeof *r->threads);
    r->next = cop_arena_array(&r->arena, r->count, sizeof *r->next);
    r->stack = cop_arena_array(&r->arena, r->count, sizeof *r->stack);
    r->seen = cop_arena_array(&r->arena, r->count, sizeof *r->seen);
    if (!r->threads || !r->next || !r->stack || !r->seen)
        return cop_fail_memory(err, r->count * sizeof *r->threads);
    return COPPICE_OK;
}

coppice_status cop_regex_compile(const char *pattern, size_t length, cop_regex **out,
                                 coppice_error *err) {
    *out = cop_calloc(1, sizeof **out);
    if (!*out)
        return cop_fail_memory(err, sizeof **out);
    coppice_status status = build(*out, pattern, length, err);
    if (!status)
        return COPPICE_OK;
    cop_regex_free(*out);
    *out = NULL;
    return status;
}

void cop_regex_free(cop_regex *regex) {
    if (!regex)
        return;
    cop_arena_free(&regex->arena);
    cop_free(regex->code);
    cop_free(regex);
}

/* ---- matching ---- */

enum { NO_CHARACTER = -1 };

static bool is_word(int32_t c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool holds(regex_assertion assertion, int32_t before, int32_t after) {
    switch (assertion) {
    case REGEX_TEXT_BEGIN:
        return before == NO_CHARACTER;
    case REGEX_TEXT_END:
        return after == NO_CHARACTER;
    case REGEX_LINE_BEGIN:
        return before == NO_CHARACTER || before == '\n';
    case REGEX_LINE_END:
        return after == NO_CHARACTER || after == '\n';
    case REGEX_WORD_EDGE:
        return is_word(before) != is_word(after);
    case REGEX_NO_WORD_EDGE:
        return is_word(before) == is_word(after);
    }
    return false;
}

static bool in_ranges(const regex_set *set, int32_t c) {
    for (const regex_range *range = set->ranges; range; range = range->next) {
        if (c >= range->first && c <= range->last)
            return true;
    }
    return false;
}

/* Ignoring the case is for the letters of ASCII. */
static bool in_set(const regex_set *set, int32_t c) {
    bool inside = in_ranges(set, c);
    bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (!inside && set->ignore_case && letter)
        inside = in_ranges(set, c ^ 0x20);
    return inside != set->negated;
}

static void push(cop_regex *r, int at, size_t *depth) {
    if (r->seen[at] == r->round)
        return;
    r->seen[at] = r->round;
    r->stack[(*depth)++] = at;
}

/* Adds a thread at `start`, and where it goes on without taking a character, to r->next. */
static void add_threads(cop_regex *r, int start, int32_t before, int32_t after) {
    size_t depth = 0;
    push(r, start, &depth);
    while (depth > 0) {
        int at = r->stack[--depth];
        const instruction *i = &r->code[at];
        if (i->op == OP_JUMP || i->op == OP_SPLIT)
            push(r, i->x, &depth);
        if (i->op == OP_SPLIT)
            push(r, i->y, &depth);
        if (i->op == OP_ASSERT && holds(i->assertion, before, after))
            push(r, at + 1, &depth);
        if (i->op == OP_SET || i->op == OP_MATCH)
            r->next[r->next_count++] = at;
    }
}

/* A new round of threads; marks of old ones are gone. */
static void begin_round(cop_regex *r) {
    int *swap = r->threads;
    r->threads = r->next;
    r->thread_count = r->next_count;
    r->next = swap;
    r->next_count = 0;
    if (++r->round == 0) {
        for (size_t i = 0; i < r->count; i++)
            r->seen[i] = 0;
        r->round = 1;
    }
}

static int32_t peek(const char *text, size_t length, size_t at) {
    return at < length ? cop_utf8_next(text, length, &at) : NO_CHARACTER;
}

coppice_status cop_regex_match(cop_regex *r, const char *text, size_t length, bool *matches,
                               coppice_error *err) {
    size_t at = 0;
    *matches = false;
    r->next_count = 0;
    begin_round(r);
    add_threads(r, 0, NO_CHARACTER, peek(text, length, 0));
    for (size_t n = 0; at < length && r->next_count; n++) {
        if (n % POLL_CHARACTERS == POLL_CHARACTERS - 1)
            COP_TRY(cop_check_interrupt(err));
        int32_t c = cop_utf8_next(text, length, &at);
        int32_t after = peek(text, length, at);
        begin_round(r);
        for (size_t i = 0; i < r->thread_count; i++) {
            const instruction *step = &r->code[r->threads[i]];
            if (step->op == OP_SET && in_set(step->set, c))
                add_threads(r, r->threads[i] + 1, c, after);
        }
    }
    for (size_t i = 0; at == length && i < r->next_count; i++)
        *matches |= r->code[r->next[i]].op == OP_MATCH;
    return COPPICE_OK;
}
