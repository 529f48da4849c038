/* Operators on strings: RegexFullMatch, StringConcat, StringNormalizer, StringSplit. Text is UTF-8;
 * what only takes strings apart makes no copies of their bytes. */
#include <locale.h>
#include <pthread.h>
#include <string.h>
#include <wctype.h>

#include "base/memory.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/text/regex.h"
#include "runtime/ops/text/utf8.h"
#include "runtime/ops/util.h"

#define STRINGS COP_TYPE_BIT(STRING)

/* ---- StringConcat ---- */

static coppice_status stringconcat_infer(cop_call *call) {
    coppice_tensor shape = *cop_in(call, 0);
    COP_TRY(cop_need_type(call, 1, STRINGS));
    COP_TRY(cop_broadcast(call, &shape, cop_in(call, 1)));
    cop_set_out(call, 0, COPPICE_TYPE_STRING, shape.rank, shape.dims);
    return COPPICE_OK;
}

typedef struct concat_job {
    cop_arena *strings;
    bool failed;
} concat_job;

static void concat_row(const void *context, size_t n, void *to, const void *const *from,
                       const ptrdiff_t *strides) {
    concat_job *const *job = context;
    const coppice_string *a = from[0], *b = from[1];
    coppice_string *out = to;
    for (ptrdiff_t i = 0; i < (ptrdiff_t)n; i++) {
        coppice_string x = a[i * strides[1]], y = b[i * strides[2]];
        size_t length;
        char *text = NULL;
        if (cop_size_add(x.length, y.length, &length) && length < SIZE_MAX)
            text = cop_arena_alloc((*job)->strings, length + 1);
        if (!text) {
            (*job)->failed = true;
            return;
        }
        if (x.length)
            memcpy(text, x.data, x.length);
        if (y.length)
            memcpy(text + x.length, y.data, y.length);
        out[i * strides[0]] = (coppice_string){text, length};
    }
}

static coppice_status stringconcat_run(const cop_call *call) {
    concat_job job = {call->strings, false}, *pointer = &job;
    /* Without the pool: an arena is for one thread. */
    cop_walk_broadcast(&call->out[0], call->in, 2, concat_row, &pointer, NULL);
    return job.failed ? cop_fail_memory(call->err, 0) : COPPICE_OK;
}

/* ---- StringSplit ---- */

typedef struct split_params {
    const char *delimiter; /* NULL: runs of white space */
    size_t length;
    int64_t most; /* splits; -1: any number */
} split_params;

static coppice_status stringsplit_parse(const cop_call *call, void *params) {
    split_params *p = params;
    const cop_attr *attr = cop_node_attr(call->node, "delimiter");
    const char *text;
    COP_TRY(cop_node_string(call->node, "delimiter", "", &text, call->err));
    if (attr && attr->s.length) {
        p->delimiter = attr->s.data;
        p->length = attr->s.length;
    }
    COP_TRY(cop_node_int(call->node, "maxsplit", -1, &p->most, call->err));
    p->most = p->most < 0 ? -1 : p->most;
    return COPPICE_OK;
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What is left of a string, and how many pieces were taken. */
typedef struct split_state {
    const char *at, *end;
    int64_t taken;
    bool done;
} split_state;

/* The next piece, by the rules of Python's str.split; false behind the last. */
static bool next_piece(const split_params *p, split_state *s, coppice_string *piece) {
    if (!p->delimiter) {
        while (s->at < s->end && is_space(*s->at))
            s->at++;
        s->done |= s->at == s->end;
    }
    if (s->done)
        return false;
    const char *end = s->end, *next = NULL;
    if (p->most < 0 || s->taken < p->most) {
        for (end = s->at; !p->delimiter && end < s->end && !is_space(*end);)
            end++;
        if (!p->delimiter)
            next = end;
        else if ((next = s->at == s->end
                             ? NULL
                             : memmem(s->at, (size_t)(s->end - s->at), p->delimiter, p->length)))
            end = next;
        else
            end = s->end;
    }
    *piece = (coppice_string){s->at, (size_t)(end - s->at)};
    s->taken++;
    if (next)
        s->at = next + p->length;
    else
        s->done = true;
    return true;
}

static split_state begin_split(coppice_string text) {
    static const char nothing[1];
    const char *data = text.data ? text.data : nothing;
    return (split_state){.at = data, .end = data + text.length};
}

static coppice_status stringsplit_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    const coppice_string *texts = in->data;
    coppice_tensor shape = *in;
    coppice_string piece;
    int64_t count = coppice_tensor_count(in), most = 0;
    if (in->rank >= COPPICE_MAX_RANK)
        return cop_fail(call->err, COPPICE_LIMIT, "%u dimensions; at most %d are supported",
                        in->rank + 1, COPPICE_MAX_RANK);
    COP_TRY(cop_out_tensor(call, 1, COPPICE_TYPE_INT64, in->rank, in->dims));
    int64_t *lengths = cop_out(call, 1) ? cop_out(call, 1)->data : NULL;
    for (int64_t i = 0; i < count; i++) {
        split_state s = begin_split(texts[i]);
        while (next_piece(call->params, &s, &piece))
            ;
        most = s.taken > most ? s.taken : most;
        if (lengths)
            lengths[i] = s.taken;
    }
    shape.dims[shape.rank++] = most;
    COP_TRY(cop_out_tensor(call, 0, COPPICE_TYPE_STRING, shape.rank, shape.dims));
    coppice_string *out = cop_out(call, 0)->data;
    for (int64_t i = 0; out && i < count; i++, out += most) {
        split_state s = begin_split(texts[i]);
        for (int64_t k = 0; k < most; k++)
            out[k] = next_piece(call->params, &s, &piece) ? piece : (coppice_string){"", 0};
    }
    return COPPICE_OK;
}

/* ---- RegexFullMatch ---- */

static coppice_status compile_pattern(const cop_call *call, cop_regex **regex) {
    const char *text;
    const cop_attr *attr = cop_node_attr(call->node, "pattern");
    COP_TRY(cop_node_string(call->node, "pattern", "", &text, call->err));
    if (!attr)
        return cop_fail(call->err, COPPICE_BAD_MODEL, "attribute 'pattern' is missing");
    return cop_regex_compile(attr->s.data, attr->s.length, regex, call->err);
}

static coppice_status regexfullmatch_infer(cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    cop_regex *regex;
    COP_TRY(compile_pattern(call, &regex)); /* so that a bad one is refused early */
    cop_regex_free(regex);
    cop_set_out(call, 0, COPPICE_TYPE_BOOL, in->rank, in->dims);
    return COPPICE_OK;
}

static coppice_status regexfullmatch_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    const coppice_string *texts = in->data;
    uint8_t *out = cop_out(call, 0)->data;
    int64_t count = coppice_tensor_count(in);
    cop_regex *regex;
    COP_TRY(compile_pattern(call, &regex));
    coppice_status status = COPPICE_OK;
    for (int64_t i = 0; !status && i < count; i++) {
        bool matches;
        status = cop_regex_match(regex, texts[i].data, texts[i].length, &matches, call->err);
        out[i] = matches;
    }
    cop_regex_free(regex);
    return status;
}

/* ---- StringNormalizer ---- */

typedef enum case_change { CASE_NONE, CASE_LOWER, CASE_UPPER, CASE_CHANGES } case_change;

typedef struct normalizer_params {
    case_change change;
    bool case_sensitive;
} normalizer_params;

/* Letters of all scripts, whatever the locale of the process. */
static locale_t unicode;

static void make_unicode(void) {
    unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static int32_t change_letter(int32_t c, case_change change) {
    if (c >= 0x110000)
        return c;
    if (c < 0x80 || !unicode) {
        bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z';
        return (lower && change == CASE_UPPER) || (upper && change == CASE_LOWER) ? c ^ 0x20 : c;
    }
    return change == CASE_UPPER ? (int32_t)towupper_l((wint_t)c, unicode)
                                : (int32_t)towlower_l((wint_t)c, unicode);
}

/* A copy in `arena` with the case changed. A letter may become up to twice as long. */
static coppice_status change_case(const cop_call *call, cop_arena *arena, coppice_string text,
                                  case_change change, coppice_string *out) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_unicode);
    size_t bytes, used = 0;
    *out = text;
    if (change == CASE_NONE || text.length == 0)
        return COPPICE_OK;
    if (!cop_size_mul(text.length, 4, &bytes))
        return cop_fail_memory(call->err, text.length);
    char *copy = cop_arena_alloc(arena, bytes);
    if (!copy)
        return cop_fail_memory(call->err, bytes);
    for (size_t at = 0; at < text.length;)
        used += cop_utf8_put(change_letter(cop_utf8_next(text.data, text.length, &at), change),
                             copy + used);
    *out = (coppice_string){copy, used};
    return COPPICE_OK;
}

static coppice_status stringnormalizer_parse(const cop_call *call, void *params) {
    static const char *const changes[] = {"NONE", "LOWER", "UPPER"};
    normalizer_params *p = params;
    const char *name;
    COP_TRY(cop_attr_bool(call, "is_case_sensitive", false, &p->case_sensitive));
    COP_TRY(cop_node_string(call->node, "case_change_action", "NONE", &name, call->err));
    for (int i = 0; i < CASE_CHANGES; i++) {
        p->change = (case_change)i;
        if (!strcmp(name, changes[i]))
            return COPPICE_OK;
    }
    return cop_fail(call->err, COPPICE_BAD_MODEL,
                    "attribute 'case_change_action' is '%s', expected NONE, LOWER or UPPER", name);
}

/* Stop words as they are compared: in lower case unless the case counts. */
typedef struct stop_words {
    coppice_string *words;
    size_t count;
    cop_arena arena;
} stop_words;

static coppice_status read_stop_words(const cop_call *call, stop_words *stop) {
    const normalizer_params *p = call->params;
    const cop_attr *attr = cop_node_attr(call->node, "stopwords");
    if (!attr || (attr->kind != COP_ATTR_STRINGS && attr->count == 0))
        return COPPICE_OK;
    if (attr->kind != COP_ATTR_STRINGS)
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "attribute 'stopwords' is no list of strings");
    stop->words = cop_arena_array(&stop->arena, attr->count, sizeof *stop->words);
    if (!stop->words)
        return cop_fail_memory(call->err, attr->count);
    for (size_t i = 0; i < attr->count; i++) {
        coppice_string word = {attr->strings[i].data, attr->strings[i].length};
        COP_TRY(change_case(call, &stop->arena, word, p->case_sensitive ? CASE_NONE : CASE_LOWER,
                            &stop->words[i]));
    }
    stop->count = attr->count;
    return COPPICE_OK;
}

static coppice_status is_stopped(const cop_call *call, stop_words *stop, coppice_string text,
                                 bool *stopped) {
    const normalizer_params *p = call->params;
    *stopped = false;
    if (!stop->count)
        return COPPICE_OK;
    coppice_string word;
    COP_TRY(
        change_case(call, &stop->arena, text, p->case_sensitive ? CASE_NONE : CASE_LOWER, &word));
    for (size_t i = 0; i < stop->count && !*stopped; i++)
        *stopped = cop_same_string(word, stop->words[i]);
    return COPPICE_OK;
}

/* kept[i] = the i-th string that stays, changed. */
static coppice_status normalize(const cop_call *call, stop_words *stop, coppice_string *kept,
                                int64_t *count) {
    const normalizer_params *p = call->params;
    const coppice_tensor *in = cop_in(call, 0);
    const coppice_string *texts = in->data;
    int64_t all = coppice_tensor_count(in);
    bool stopped;
    COP_TRY(read_stop_words(call, stop));
    for (int64_t i = 0; i < all; i++) {
        COP_TRY(is_stopped(call, stop, texts[i], &stopped));
        if (!stopped)
            COP_TRY(change_case(call, call->strings, texts[i], p->change, &kept[(*count)++]));
    }
    return COPPICE_OK;
}

/* [C] or [1,C] strings; when none stays, one empty one. */
static coppice_status stringnormalizer_run(const cop_call *call) {
    const coppice_tensor *in = cop_in(call, 0);
    stop_words stop = {0};
    int64_t count = 0, all = coppice_tensor_count(in);
    if (in->rank < 1 || in->rank > 2 || (in->rank == 2 && in->dims[0] != 1))
        return cop_fail(call->err, COPPICE_BAD_MODEL, "input '%s' is %s, expected [C] or [1,C]",
                        cop_in_name(call, 0), cop_shape_text(in).s);
    coppice_string *kept = cop_calloc((size_t)all + 1, sizeof *kept);
    if (!kept)
        return cop_fail_memory(call->err, (size_t)all);
    coppice_status status = normalize(call, &stop, kept, &count);
    if (count == 0)
        kept[count++] = (coppice_string){"", 0};
    int64_t dims[2] = {1, count};
    if (!status)
        status =
            cop_out_tensor(call, 0, COPPICE_TYPE_STRING, in->rank, in->rank == 1 ? dims + 1 : dims);
    if (!status && cop_out(call, 0)->data)
        memcpy(cop_out(call, 0)->data, kept, (size_t)count * sizeof *kept);
    cop_free(kept);
    cop_arena_free(&stop.arena);
    return status;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_string[] = {
    {.name = "RegexFullMatch", .since = 20, ONE_TO_ONE, .types = STRINGS, INFER(regexfullmatch),
     RUN(regexfullmatch)},
    {.name = "StringConcat", .since = 20, .min_inputs = 2, .max_inputs = 2, .max_outputs = 1,
     .types = STRINGS, INFER(stringconcat), RUN(stringconcat)},
    {.name = "StringNormalizer", .since = 10, ONE_TO_ONE, .types = STRINGS,
     .flags = COP_OP_DYNAMIC, PARSE(stringnormalizer, normalizer_params), RUN(stringnormalizer)},
    {.name = "StringSplit", .since = 20, .min_inputs = 1, .max_inputs = 1, .max_outputs = 2,
     .types = STRINGS, .flags = COP_OP_DYNAMIC, PARSE(stringsplit, split_params),
     RUN(stringsplit)},
    {.name = NULL},
};
/* clang-format on */
