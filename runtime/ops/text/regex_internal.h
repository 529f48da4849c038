/* What the parser of regular expressions hands to the compiler. */
#ifndef COP_OPS_REGEX_INTERNAL_H
#define COP_OPS_REGEX_INTERNAL_H

#include <stdint.h>

#include "base/arena.h"
#include "runtime/ops/text/regex.h"
#include "runtime/ops/text/utf8.h"

typedef enum regex_assertion {
    REGEX_TEXT_BEGIN,
    REGEX_TEXT_END,
    REGEX_LINE_BEGIN,
    REGEX_LINE_END,
    REGEX_WORD_EDGE,
    REGEX_NO_WORD_EDGE
} regex_assertion;

typedef enum regex_kind {
    REGEX_EITHER,   /* one of its children, which are sequences */
    REGEX_SEQUENCE, /* its children one after another */
    REGEX_REPEAT,   /* its only child `least` to `most` times */
    REGEX_SET,      /* one character */
    REGEX_ASSERT
} regex_kind;

typedef struct regex_range {
    int32_t first, last;
    struct regex_range *next;
} regex_range;

typedef struct regex_set {
    regex_range *ranges;
    bool negated, ignore_case;
} regex_set;

typedef struct regex_node {
    regex_kind kind;
    struct regex_node *children, *next;
    int least, most; /* most -1: any number */
    regex_set set;
    regex_assertion assertion;
} regex_node;

/* The tree of a pattern, in `arena`. */
coppice_status cop_regex_parse(const char *pattern, size_t length, cop_arena *arena,
                               regex_node **out, coppice_error *err);

#endif
