/* Regular expressions: from text to a tree. */
#include <string.h>

#include "base/error.h"
#include "runtime/ops/text/regex_internal.h"

enum { MAX_DEPTH = 200, MAX_REPEAT = 1000, LAST_CHARACTER = 0x1100ff };

typedef struct flags {
    bool ignore_case, lines, dot_all; /* i, m, s */
} flags;

typedef struct parser {
    const char *text;
    size_t length, at;
    flags flags;
    int depth;
    cop_arena *arena;
    coppice_error *err;
} parser;

static coppice_status refuse(const parser *p, const char *what) {
    return cop_fail(p->err, COPPICE_BAD_MODEL, "pattern '%.*s': %s (byte %zu)", (int)p->length,
                    p->text, what, p->at);
}

static bool more(const parser *p) {
    return p->at < p->length;
}

/* Whether `text` comes next, which is then taken. */
static bool take(parser *p, const char *text) {
    size_t n = strlen(text);
    if (p->length - p->at < n || memcmp(p->text + p->at, text, n) != 0)
        return false;
    p->at += n;
    return true;
}

static coppice_status new_node(const parser *p, regex_kind kind, regex_node **out) {
    *out = cop_arena_alloc(p->arena, sizeof **out);
    if (!*out)
        return cop_fail_memory(p->err, sizeof **out);
    (*out)->kind = kind;
    (*out)->set.ignore_case = p->flags.ignore_case;
    return COPPICE_OK;
}

static coppice_status add_range(const parser *p, regex_set *set, int32_t first, int32_t last) {
    regex_range *range = cop_arena_alloc(p->arena, sizeof *range);
    if (!range)
        return cop_fail_memory(p->err, sizeof *range);
    *range = (regex_range){first, last, set->ranges};
    set->ranges = range;
    return COPPICE_OK;
}

/* ---- classes ---- */

typedef struct named_class {
    const char *name;
    const char *ranges; /* pairs of ASCII characters, ascending */
} named_class;

static const named_class letters[] = {{"d", "09"}, {"s", "\t\n\f\r  "}, {"w", "09AZ__az"}};

static const named_class names[] = {
    {"[:alnum:]", "09AZaz"},
    {"[:alpha:]", "AZaz"},
    {"[:ascii:]", "\001\177"},
    {"[:blank:]", "\t\t  "},
    {"[:cntrl:]", "\001\037\177\177"},
    {"[:digit:]", "09"},
    {"[:graph:]", "!~"},
    {"[:lower:]", "az"},
    {"[:print:]", " ~"},
    {"[:punct:]", "!/:@[`{~"},
    {"[:space:]", "\t\r  "},
    {"[:upper:]", "AZ"},
    {"[:word:]", "09AZ__az"},
    {"[:xdigit:]", "09AFaf"},
};

/* The ranges of a class, or all that is outside of them. */
static coppice_status add_class(const parser *p, regex_set *set, const char *ranges, bool outside) {
    int32_t begin = 0;
    for (; *ranges; ranges += 2) {
        if (!outside)
            COP_TRY(add_range(p, set, ranges[0], ranges[1]));
        else if (ranges[0] > begin)
            COP_TRY(add_range(p, set, begin, ranges[0] - 1));
        begin = ranges[1] + 1;
    }
    return outside ? add_range(p, set, begin, LAST_CHARACTER) : COPPICE_OK;
}

/* \d and its kin; *found false when something else comes next. */
static coppice_status class_escape(parser *p, regex_set *set, bool *found) {
    *found = false;
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
        char c = letters[i].name[0];
        char small[] = {'\\', c, 0}, large[] = {'\\', (char)(c - 'a' + 'A'), 0};
        bool outside = take(p, large);
        *found = outside || take(p, small);
        if (*found)
            return add_class(p, set, letters[i].ranges, outside);
    }
    return COPPICE_OK;
}

static coppice_status hex_escape(parser *p, int32_t *out) {
    bool braces = take(p, "{");
    int digits = 0;
    for (*out = 0; more(p) && (braces ? digits < 6 : digits < 2); p->at++, digits++) {
        const char *hex = "0123456789abcdef", *found;
        found = p->text[p->at] ? strchr(hex, p->text[p->at] | 0x20) : NULL;
        if (!found || (p->text[p->at] < '0'))
            break;
        *out = *out * 16 + (int32_t)(found - hex);
    }
    if (digits == 0 || (!braces && digits != 2) || (braces && !take(p, "}")) || *out > 0x10ffff)
        return refuse(p, "\\x is not followed by a character's number");
    return COPPICE_OK;
}

/* A character, possibly escaped. */
static coppice_status character(parser *p, int32_t *out) {
    static const char from[] = "ntrfva", to[] = "\n\t\r\f\v\a";
    if (!take(p, "\\")) {
        *out = cop_utf8_next(p->text, p->length, &p->at);
        return COPPICE_OK;
    }
    if (!more(p))
        return refuse(p, "nothing behind the last \\");
    char c = p->text[p->at];
    const char *known = c ? strchr(from, c) : NULL;
    bool word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (take(p, "x"))
        return hex_escape(p, out);
    if (word && !known)
        return refuse(p, "an escape that is not known");
    *out = cop_utf8_next(p->text, p->length, &p->at);
    if (known)
        *out = to[known - from];
    return COPPICE_OK;
}

static coppice_status named(parser *p, regex_set *set, bool *found) {
    *found = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (take(p, names[i].name)) {
            *found = true;
            return add_class(p, set, names[i].ranges, false);
        }
    }
    return COPPICE_OK;
}

/* Behind "[". */
static coppice_status bracket(parser *p, regex_node **out) {
    COP_TRY(new_node(p, REGEX_SET, out));
    regex_set *set = &(*out)->set;
    set->negated = take(p, "^");
    for (bool begin = true; begin || !take(p, "]"); begin = false) {
        int32_t first, last;
        bool found;
        if (!more(p))
            return refuse(p, "[ without ]");
        COP_TRY(class_escape(p, set, &found));
        if (!found)
            COP_TRY(named(p, set, &found));
        if (found)
            continue;
        COP_TRY(character(p, &first));
        last = first;
        bool range = p->length - p->at >= 2 && p->text[p->at] == '-' && p->text[p->at + 1] != ']';
        if (range) {
            p->at++;
            COP_TRY(character(p, &last));
        }
        if (last < first)
            return refuse(p, "a range that ends before it begins");
        COP_TRY(add_range(p, set, first, last));
    }
    return COPPICE_OK;
}

/* ---- atoms ---- */

static coppice_status parse_either(parser *p, regex_node **out);

/* Behind "(": flags or a group. */
static coppice_status group(parser *p, regex_node **out) {
    flags outer = p->flags, inner = outer;
    bool only_flags = false, on = true;
    *out = NULL;
    if (take(p, "?P<") || (take(p, "?<"))) {
        while (more(p) && !take(p, ">"))
            p->at++;
    } else if (take(p, "?")) {
        for (; !take(p, ":") && !(only_flags = take(p, ")"));) {
            if (take(p, "i"))
                inner.ignore_case = on;
            else if (take(p, "m"))
                inner.lines = on;
            else if (take(p, "s"))
                inner.dot_all = on;
            else if (take(p, "-"))
                on = false;
            else if (!take(p, "U"))
                return refuse(p, "a group of a kind that is not known");
        }
    }
    p->flags = inner;
    if (only_flags)
        return new_node(p, REGEX_SEQUENCE, out); /* flags hold to the end of the group around */
    if (++p->depth > MAX_DEPTH)
        return refuse(p, "groups nest too deep");
    COP_TRY(parse_either(p, out));
    if (!take(p, ")"))
        return refuse(p, "( without )");
    p->depth--;
    p->flags = outer;
    return COPPICE_OK;
}

static coppice_status assertion(parser *p, regex_node **out) {
    static const struct {
        const char *text;
        regex_assertion kind, lines;
    } all[] = {{"^", REGEX_TEXT_BEGIN, REGEX_LINE_BEGIN},
               {"$", REGEX_TEXT_END, REGEX_LINE_END},
               {"\\A", REGEX_TEXT_BEGIN, REGEX_TEXT_BEGIN},
               {"\\z", REGEX_TEXT_END, REGEX_TEXT_END},
               {"\\b", REGEX_WORD_EDGE, REGEX_WORD_EDGE},
               {"\\B", REGEX_NO_WORD_EDGE, REGEX_NO_WORD_EDGE}};
    *out = NULL;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (!take(p, all[i].text))
            continue;
        COP_TRY(new_node(p, REGEX_ASSERT, out));
        (*out)->assertion = p->flags.lines ? all[i].lines : all[i].kind;
        return COPPICE_OK;
    }
    return COPPICE_OK;
}

static coppice_status literal(parser *p, regex_node **out) {
    int32_t c = cop_utf8_next(p->text, p->length, &p->at);
    COP_TRY(new_node(p, REGEX_SET, out));
    return add_range(p, &(*out)->set, c, c);
}

static coppice_status atom(parser *p, regex_node **out) {
    bool found;
    int32_t c;
    COP_TRY(assertion(p, out));
    if (*out)
        return COPPICE_OK;
    if (take(p, "("))
        return group(p, out);
    if (take(p, "["))
        return bracket(p, out);
    if (strchr("*+?", p->text[p->at]) && p->text[p->at])
        return refuse(p, "nothing to repeat");
    COP_TRY(new_node(p, REGEX_SET, out));
    regex_set *set = &(*out)->set;
    if (take(p, "."))
        return add_class(p, set, p->flags.dot_all ? "" : "\n\n", true);
    COP_TRY(class_escape(p, set, &found));
    if (found)
        return COPPICE_OK;
    COP_TRY(character(p, &c));
    return add_range(p, set, c, c);
}

/* ---- repetition and sequences ---- */

static int number(const char *text, size_t length, size_t *at) {
    int value = -1;
    for (; *at < length && text[*at] >= '0' && text[*at] <= '9' && value <= MAX_REPEAT; ++*at)
        value = (value < 0 ? 0 : value * 10) + text[*at] - '0';
    return value;
}

/* {n}, {n,} or {n,m}; anything else in braces is literal. */
static bool braces(parser *p, int *least, int *most) {
    size_t at = p->at + 1;
    if (!more(p) || p->text[p->at] != '{')
        return false;
    *least = *most = number(p->text, p->length, &at);
    if (*least >= 0 && at < p->length && p->text[at] == ',') {
        at++;
        *most = number(p->text, p->length, &at);
    }
    if (*least < 0 || at >= p->length || p->text[at] != '}')
        return false;
    p->at = at + 1;
    return true;
}

static coppice_status repeated(parser *p, regex_node **item) {
    int least = 0, most = -1;
    if (take(p, "+"))
        least = 1;
    else if (take(p, "?"))
        most = 1;
    else if (!take(p, "*") && !braces(p, &least, &most))
        return COPPICE_OK;
    take(p, "?"); /* lazy: the same where all of the text must match */
    if (least > MAX_REPEAT || most > MAX_REPEAT || (most >= 0 && most < least))
        return refuse(p, "a repetition that is larger than 1000 or ends before it begins");
    int spare[2];
    if (more(p) && p->text[p->at] &&
        (strchr("*+?", p->text[p->at]) || braces(p, &spare[0], &spare[1])))
        return refuse(p, "a repetition of a repetition");
    regex_node *child = *item;
    COP_TRY(new_node(p, REGEX_REPEAT, item));
    (*item)->children = child;
    (*item)->least = least;
    (*item)->most = most;
    return COPPICE_OK;
}

static coppice_status parse_sequence(parser *p, regex_node **out) {
    COP_TRY(new_node(p, REGEX_SEQUENCE, out));
    regex_node **end = &(*out)->children;
    for (bool quoted = false;;) {
        quoted = quoted || take(p, "\\Q"); /* up to \E all is literal */
        if (quoted && take(p, "\\E"))
            quoted = false;
        if (!more(p) || (!quoted && (p->text[p->at] == '|' || p->text[p->at] == ')')))
            return COPPICE_OK;
        COP_TRY(quoted ? literal(p, end) : atom(p, end));
        quoted = quoted && !take(p, "\\E");
        if (!quoted)
            COP_TRY(repeated(p, end));
        end = &(*end)->next;
    }
}

static coppice_status parse_either(parser *p, regex_node **out) {
    COP_TRY(new_node(p, REGEX_EITHER, out));
    regex_node **end = &(*out)->children;
    do {
        COP_TRY(parse_sequence(p, end));
        end = &(*end)->next;
    } while (take(p, "|"));
    return COPPICE_OK;
}

coppice_status cop_regex_parse(const char *pattern, size_t length, cop_arena *arena,
                               regex_node **out, coppice_error *err) {
    parser p = {.text = pattern, .length = length, .arena = arena, .err = err};
    COP_TRY(parse_either(&p, out));
    return more(&p) ? refuse(&p, ") without (") : COPPICE_OK;
}
