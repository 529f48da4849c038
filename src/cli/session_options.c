/* Options of run, bench and compare that say how a model is executed and on which shapes. */
#include "session_options.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define SESSION(member) offsetof(cli_session_flags, member)
#define SHAPE(member) offsetof(cli_shape_flags, member)

const cli_option cli_session_rows[] = {
    {"backend", 0, CLI_TEXT, SESSION(backend), "NAME",
     "auto (default): the fastest kernel of each layer, measured;\n"
     "native, xnnpack, reference: that one where it has a kernel"},
    {"sparse", 0, CLI_TEXT, SESSION(sparse), "USE",
     "auto (default): sparse kernels where they are faster; never; always"},
    {"isa", 0, CLI_TEXT, SESSION(isa), "ISA",
     "scalar, sse2, avx2, avx512 or neon: the most that our kernels use\n"
     "(default: what the CPU has, or COPPICE_ISA); XNNPACK, which always\n"
     "uses what the CPU has, is left to --backend xnnpack then"},
    {"tune", 0, CLI_TEXT, SESSION(tune), "HOW",
     "measuring of kernels: fast (default), full, or none:\n"
     "a fixed choice, the same on every run"},
    {"no-cache", 0, CLI_FLAG, SESSION(no_cache), NULL,
     "measure anew, and do not keep what was measured (COPPICE_CACHE says\nwhere it is kept)"},
    {0}};

const cli_option cli_shape_rows[] = {
    {"batch", 0, CLI_COUNT, SHAPE(batch), "N", "size of the free batch dimension (default 1)"},
    {"dim", 0, CLI_LIST, SHAPE(dims), "NAME=N", "size of a free dimension by its name; repeatable"},
    {"shape", 0, CLI_LIST, SHAPE(shapes), "INPUT:AxBxC",
     "shape of an input, as in x:1x3x224x224 or x:[1,3,224,224]; repeatable"},
    {0}};

bool cli_session_options(cli_context *cli, const cli_session_flags *flags,
                         coppice_session_options *out) {
    coppice_session_options_init(out);
    coppice_error *error = &cli->error;
    if (flags->backend && coppice_backend_parse(flags->backend, &out->backend, error))
        return false;
    if (flags->sparse && coppice_sparse_use_parse(flags->sparse, &out->sparse, error))
        return false;
    if (flags->tune && coppice_tune_parse(flags->tune, &out->tune, error))
        return false;
    if (flags->isa && coppice_isa_parse(flags->isa, &out->isa, error))
        return false;
    out->cache = !flags->no_cache;
    out->threads = cli->threads > UINT_MAX ? UINT_MAX : (unsigned)cli->threads;
    return true;
}

/* The part of `text` before `at`, copied. */
static char *head(cli_context *cli, const char *text, const char *at) {
    size_t length = (size_t)(at - text);
    char *copy = cli_alloc(cli, length + 1);
    if (copy)
        memcpy(copy, text, length);
    return copy;
}

/* "1x3x224x224" or "[1,3,224,224]" */
static bool parse_dims(const char *text, coppice_input_shape *shape) {
    bool bracketed = *text == '[';
    char separator = bracketed ? ',' : 'x';
    text += bracketed;
    shape->rank = 0;
    if (bracketed && strcmp(text, "]") == 0)
        return true; /* a scalar */
    for (;;) {
        char *end;
        if (*text < '0' || *text > '9' || shape->rank == COPPICE_MAX_RANK)
            return false;
        long long size = strtoll(text, &end, 10);
        if (size > INT32_MAX)
            return false;
        shape->dims[shape->rank++] = size;
        if (*end != separator)
            return bracketed ? strcmp(end, "]") == 0 : *end == '\0';
        text = end + 1;
        while (bracketed && *text == ' ')
            text++;
    }
}

static bool parse_shapes(cli_context *cli, const cli_list *list, coppice_shape_options *out) {
    coppice_input_shape *shapes = cli_alloc(cli, (list->count + 1) * sizeof *shapes);
    if (!shapes)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->items[i], *colon = strrchr(text, ':'); /* names may have colons */
        if (!colon || colon == text || !parse_dims(colon + 1, &shapes[i])) {
            cli_usage(cli, "--shape '%s' is not like INPUT:1x3x224x224", text);
            return false;
        }
        shapes[i].name = head(cli, text, colon);
        if (!shapes[i].name)
            return false;
    }
    out->shapes = shapes;
    out->shape_count = list->count;
    return true;
}

static bool parse_dim_values(cli_context *cli, const cli_list *list, coppice_shape_options *out) {
    coppice_dim_value *dims = cli_alloc(cli, (list->count + 1) * sizeof *dims);
    if (!dims)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->items[i], *equals = strrchr(text, '=');
        if (!equals || equals == text) {
            cli_usage(cli, "--dim '%s' is not like N=8", text);
            return false;
        }
        dims[i].symbol = head(cli, text, equals);
        if (!dims[i].symbol || !cli_parse_count(cli, "--dim", equals + 1, &dims[i].size))
            return false;
    }
    out->dims = dims;
    out->dim_count = list->count;
    return true;
}

bool cli_shape_options(cli_context *cli, const cli_shape_flags *flags, coppice_shape_options *out) {
    *out = (coppice_shape_options){0};
    if (flags->batch == 0) {
        cli_usage(cli, "--batch must be at least 1");
        return false;
    }
    out->batch = flags->batch > 0 ? flags->batch : 0;
    return parse_shapes(cli, &flags->shapes, out) && parse_dim_values(cli, &flags->dims, out);
}

cli_text cli_format_declared(const coppice_value_info *info) {
    cli_text out = {"[...]"};
    size_t size = sizeof out.text;
    if (info->rank < 0)
        return out;
    size_t used = (size_t)snprintf(out.text, size, "[");
    for (int i = 0; i < info->rank && used < size; i++) {
        if (i)
            used += (size_t)snprintf(out.text + used, size - used, ",");
        if (used < size && info->dims[i] >= 0)
            used +=
                (size_t)snprintf(out.text + used, size - used, "%lld", (long long)info->dims[i]);
        else if (used < size)
            used += (size_t)snprintf(out.text + used, size - used, "%s",
                                     info->symbols[i] ? info->symbols[i] : "?");
    }
    if (used < size)
        snprintf(out.text + used, size - used, "]");
    return out;
}
