/* NumPy's .npy format: parse and make headers, turn stored data into plain row-major arrays. */
#include "base/memory.h"
#include "data/array.h"

#include <stdio.h>
#include <string.h>

#include <coppice/data.h>

#include "base/error.h"
#include "base/narrow.h"
#include "base/size.h"
#include "data/convert.h"
#include "data/npy_text.h"

static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* Kind and size as in a descr without its byte order; also the order of preference for writing. */
static const struct {
    const char *code;
    coppice_type type;
    size_t word; /* bytes of the unit that byte order applies to */
} codes[] = {
    {"b1", COPPICE_TYPE_BOOL, 1},      {"u1", COPPICE_TYPE_UINT8, 1},
    {"i1", COPPICE_TYPE_INT8, 1},      {"u2", COPPICE_TYPE_UINT16, 2},
    {"i2", COPPICE_TYPE_INT16, 2},     {"u4", COPPICE_TYPE_UINT32, 4},
    {"i4", COPPICE_TYPE_INT32, 4},     {"u8", COPPICE_TYPE_UINT64, 8},
    {"i8", COPPICE_TYPE_INT64, 8},     {"f2", COPPICE_TYPE_FLOAT16, 2},
    {"f4", COPPICE_TYPE_FLOAT, 4},     {"f8", COPPICE_TYPE_DOUBLE, 8},
    {"c8", COPPICE_TYPE_COMPLEX64, 4}, {"c16", COPPICE_TYPE_COMPLEX128, 8},
};

enum { CODE_COUNT = sizeof codes / sizeof codes[0] };

static int code_of_type(coppice_type type) {
    for (int i = 0; i < CODE_COUNT; i++) {
        if (codes[i].type == type)
            return i;
    }
    return -1;
}

bool cop_is_npy(const unsigned char *bytes, size_t size) {
    return size >= sizeof magic && memcmp(bytes, magic, sizeof magic) == 0;
}

coppice_status cop_npy_header_length(const unsigned char *bytes, size_t size, const char *what,
                                     size_t *length, coppice_error *err) {
    if (!cop_is_npy(bytes, size))
        return cop_fail(err, COPPICE_BAD_DATA, "%s: not a .npy array", what);
    if (size < COP_NPY_PREFIX)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: the .npy header is cut short", what);
    unsigned version = bytes[6];
    if (version < 1 || version > 3)
        return cop_fail(err, COPPICE_UNSUPPORTED, "%s: .npy format %u.%u is not known", what,
                        version, bytes[7]);
    *length = 10 + (size_t)(bytes[8] | bytes[9] << 8);
    if (version > 1)
        *length = 12 + (bytes[8] | (size_t)bytes[9] << 8 | (size_t)bytes[10] << 16 |
                        (size_t)bytes[11] << 24);
    if (*length > COP_NPY_HEADER_LIMIT)
        return cop_fail(err, COPPICE_LIMIT, "%s: a .npy header of %zu bytes", what, *length);
    return COPPICE_OK;
}

/* ---- the header's text: a Python dict literal ---- */

typedef struct cursor {
    const char *at, *end;
} cursor;

static void skip_spaces(cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t'))
        c->at++;
}

static bool take(cursor *c, char wanted) {
    skip_spaces(c);
    if (c->at >= c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool take_word(cursor *c, const char *word) {
    skip_spaces(c);
    size_t length = strlen(word);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0)
        return false;
    c->at += length;
    return true;
}

/* A quoted string without escapes. */
static bool take_string(cursor *c, char *out, size_t capacity) {
    skip_spaces(c);
    if (c->at >= c->end || (*c->at != '\'' && *c->at != '"'))
        return false;
    char quote = *c->at++;
    size_t used = 0;
    for (; c->at < c->end && *c->at != quote; c->at++) {
        if (*c->at == '\\' || used + 1 >= capacity)
            return false;
        out[used++] = *c->at;
    }
    out[used] = '\0';
    return take(c, quote);
}

/* A decimal number, with the L that Python 2 wrote. */
static bool take_number(cursor *c, int64_t *out) {
    skip_spaces(c);
    if (c->at >= c->end || *c->at < '0' || *c->at > '9')
        return false;
    int64_t value = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        if (!cop_i64_mul(value, 10, &value) || !cop_i64_add(value, *c->at - '0', &value))
            return false;
    }
    if (c->at < c->end && *c->at == 'L')
        c->at++;
    *out = value;
    return true;
}

static coppice_status bad_header(const char *what, const char *part, coppice_error *err) {
    return cop_fail(err, COPPICE_BAD_DATA, "%s: the .npy header has no valid %s", what, part);
}

/* "U12" or "S5": strings of so many characters or bytes. */
static bool parse_text(const char *code, cop_npy_header *out) {
    if (code[0] != 'U' && code[0] != 'S')
        return false;
    cursor c = {code + 1, code + strlen(code)};
    int64_t width;
    if (!take_number(&c, &width) || c.at != c.end || width > INT32_MAX)
        return false;
    out->wide = code[0] == 'U';
    out->unit = (size_t)width * (out->wide ? 4 : 1);
    out->tensor.type = COPPICE_TYPE_STRING;
    return true;
}

static coppice_status parse_descr(cursor *c, const char *what, cop_npy_header *out,
                                  coppice_error *err) {
    char descr[32];
    skip_spaces(c);
    if (c->at < c->end && *c->at == '[')
        return cop_fail(err, COPPICE_UNSUPPORTED,
                        "%s: holds structures (a list of fields); save plain arrays", what);
    if (!take_string(c, descr, sizeof descr) || !descr[0])
        return bad_header(what, "'descr'", err);
    if (strchr(descr, 'O'))
        return cop_fail(
            err, COPPICE_UNSUPPORTED,
            "%s: holds Python objects (pickle), which coppice never loads; save it with "
            "a numeric dtype",
            what);
    const char *code = strchr("<>=|", descr[0]) ? descr + 1 : descr;
    if (parse_text(code, out)) {
        out->swap = descr[0] == '>';
        return COPPICE_OK;
    }
    for (int i = 0; i < CODE_COUNT; i++) {
        if (strcmp(code, codes[i].code) == 0) {
            out->tensor.type = codes[i].type;
            out->unit = coppice_type_bits(codes[i].type) / 8;
            out->swap = descr[0] == '>' && codes[i].word > 1;
            return COPPICE_OK;
        }
    }
    return cop_fail(err, COPPICE_UNSUPPORTED,
                    "%s: dtype '%s' is not supported; save it with a numeric dtype", what, descr);
}

static coppice_status parse_shape(cursor *c, const char *what, cop_npy_header *out,
                                  coppice_error *err) {
    if (!take(c, '('))
        return bad_header(what, "'shape'", err);
    while (!take(c, ')')) {
        int64_t dim;
        if (!take_number(c, &dim))
            return bad_header(what, "'shape'", err);
        if (out->tensor.rank == COPPICE_MAX_RANK)
            return cop_fail(err, COPPICE_LIMIT, "%s: more than %d dimensions", what,
                            COPPICE_MAX_RANK);
        out->tensor.dims[out->tensor.rank++] = dim;
        skip_spaces(c);
        if (!take(c, ',') && (c->at >= c->end || *c->at != ')'))
            return bad_header(what, "'shape'", err);
    }
    return COPPICE_OK;
}

static coppice_status parse_order(cursor *c, const char *what, cop_npy_header *out,
                                  coppice_error *err) {
    out->fortran = take_word(c, "True");
    if (!out->fortran && !take_word(c, "False"))
        return bad_header(what, "'fortran_order'", err);
    return COPPICE_OK;
}

static const struct {
    const char *key;
    coppice_status (*parse)(cursor *c, const char *what, cop_npy_header *out, coppice_error *err);
} keys[] = {{"descr", parse_descr}, {"fortran_order", parse_order}, {"shape", parse_shape}};

enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

static coppice_status parse_dict(cursor c, const char *what, cop_npy_header *out,
                                 coppice_error *err) {
    bool seen[KEY_COUNT] = {false};
    if (!take(&c, '{'))
        return bad_header(what, "dictionary", err);
    while (!take(&c, '}')) {
        char key[32];
        int row = 0;
        if (!take_string(&c, key, sizeof key) || !take(&c, ':'))
            return bad_header(what, "dictionary", err);
        while (row < KEY_COUNT && strcmp(key, keys[row].key) != 0)
            row++;
        if (row == KEY_COUNT || seen[row])
            return bad_header(what, "set of keys", err);
        seen[row] = true;
        COP_TRY(keys[row].parse(&c, what, out, err));
        skip_spaces(&c);
        if (!take(&c, ',') && (c.at >= c.end || *c.at != '}'))
            return bad_header(what, "dictionary", err);
    }
    for (int i = 0; i < KEY_COUNT; i++) {
        if (!seen[i])
            return cop_fail(err, COPPICE_BAD_DATA, "%s: the .npy header lacks '%s'", what,
                            keys[i].key);
    }
    return COPPICE_OK;
}

coppice_status cop_npy_parse(const unsigned char *bytes, size_t size, uint64_t total,
                             const char *what, cop_npy_header *out, coppice_error *err) {
    *out = (cop_npy_header){0};
    COP_TRY(cop_npy_header_length(bytes, size, what, &out->header_bytes, err));
    size_t text = bytes[6] == 1 ? 10 : 12;
    if (out->header_bytes > size)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: the .npy header is cut short", what);
    cursor c = {(const char *)bytes + text, (const char *)bytes + out->header_bytes};
    COP_TRY(parse_dict(c, what, out, err));
    int64_t count = coppice_tensor_count(&out->tensor), data;
    if (coppice_tensor_bytes(&out->tensor) < 0 || !cop_i64_mul(count, (int64_t)out->unit, &data))
        return cop_fail(err, COPPICE_BAD_DATA, "%s: the shape overflows", what);
    if (count > 0 && out->unit == 0)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: strings of no characters", what);
    if (total - out->header_bytes != (uint64_t)data)
        return cop_fail(err, COPPICE_BAD_DATA,
                        "%s: the shape needs %lld bytes of data, but there are %llu; the file is "
                        "damaged or incomplete",
                        what, (long long)data, (unsigned long long)(total - out->header_bytes));
    out->data_bytes = (size_t)data;
    return COPPICE_OK;
}

/* Copies Fortran order to C order: an odometer over the target's indices. */
static void transpose(const coppice_tensor *shape, size_t unit, const unsigned char *from,
                      unsigned char *to) {
    size_t stride[COPPICE_MAX_RANK], offset = 0;
    int64_t index[COPPICE_MAX_RANK] = {0};
    size_t step = unit;
    for (uint32_t i = 0; i < shape->rank; i++) {
        stride[i] = step;
        step *= (size_t)shape->dims[i];
    }
    int64_t count = coppice_tensor_count(shape);
    for (int64_t n = 0; n < count; n++, to += unit) {
        memcpy(to, from + offset, unit);
        for (uint32_t i = shape->rank; i-- > 0;) {
            offset += stride[i];
            if (++index[i] < shape->dims[i])
                break;
            offset -= stride[i] * (size_t)shape->dims[i];
            index[i] = 0;
        }
    }
}

static coppice_status normalise_text(const cop_npy_header *header, void **data,
                                     coppice_error *err) {
    size_t width = header->unit / (header->wide ? 4 : 1);
    void *strings = NULL;
    COP_TRY(cop_npy_text_read(*data, (size_t)coppice_tensor_count(&header->tensor), width,
                              header->wide, header->swap, &strings, err));
    cop_free(*data);
    *data = strings;
    return COPPICE_OK;
}

coppice_status cop_npy_normalise(const cop_npy_header *header, void **data, coppice_error *err) {
    const coppice_tensor *shape = &header->tensor;
    if (header->fortran && shape->rank > 1 && header->data_bytes > 0) {
        unsigned char *turned = cop_malloc(header->data_bytes);
        if (!turned)
            return cop_fail_memory(err, header->data_bytes);
        transpose(shape, header->unit, *data, turned);
        cop_free(*data);
        *data = turned;
    }
    if (shape->type == COPPICE_TYPE_STRING)
        return normalise_text(header, data, err);
    size_t word = codes[code_of_type(shape->type)].word;
    if (header->swap)
        cop_swap_bytes(*data, header->data_bytes / word, word);
    unsigned char *flags = *data;
    for (size_t i = 0; shape->type == COPPICE_TYPE_BOOL && i < header->data_bytes; i++)
        flags[i] = flags[i] != 0;
    return COPPICE_OK;
}

/* ---- writing ---- */

static coppice_status widen(const coppice_tensor *tensor, cop_npy_form *out, coppice_error *err) {
    size_t count = (size_t)coppice_tensor_count(tensor);
    out->shape.type = cop_wide_type(tensor->type);
    out->unit = coppice_type_bits(out->shape.type) / 8;
    if (!cop_size_mul(count, out->unit, &out->bytes))
        return cop_fail(err, COPPICE_LIMIT, "%zu elements are too many", count);
    out->owned = cop_malloc(out->bytes ? out->bytes : 1);
    if (!out->owned)
        return cop_fail_memory(err, out->bytes);
    cop_narrow_unpack(tensor->type, tensor->data, 0, count, out->owned);
    out->data = out->owned;
    return COPPICE_OK;
}

static coppice_status spell(const coppice_tensor *tensor, cop_npy_form *out, coppice_error *err) {
    size_t width = cop_npy_text_width(tensor);
    COP_TRY(cop_npy_text_write(tensor, width, &out->owned, err));
    out->unit = 4 * width;
    out->bytes = out->unit * (size_t)coppice_tensor_count(tensor);
    out->data = out->owned;
    return COPPICE_OK;
}

coppice_status cop_npy_form_of(const coppice_tensor *tensor, const char *what, cop_npy_form *out,
                               coppice_error *err) {
    int64_t size = tensor->rank <= COPPICE_MAX_RANK ? coppice_tensor_bytes(tensor) : -1;
    if (size < 0 || (size > 0 && !tensor->data))
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "%s: an array of type %s with an invalid shape or without data", what,
                        coppice_type_name(tensor->type));
    *out = (cop_npy_form){.shape = *tensor,
                          .unit = coppice_type_bits(tensor->type) / 8,
                          .data = tensor->data,
                          .bytes = (size_t)size};
    out->shape.data = NULL;
    coppice_status status = COPPICE_OK;
    if (tensor->type == COPPICE_TYPE_STRING)
        status = spell(tensor, out, err);
    else if (cop_is_narrow_type(tensor->type) && tensor->type != COPPICE_TYPE_FLOAT16)
        status = widen(tensor, out, err);
    if (status)
        cop_error_prefix(err, "%s", what);
    return status;
}

coppice_status cop_npy_make_header(const coppice_tensor *tensor, size_t unit, const char *what,
                                   unsigned char header[COP_NPY_HEADER_MAX], size_t *length,
                                   coppice_error *err) {
    char descr[32];
    int code = code_of_type(tensor->type);
    if (tensor->type == COPPICE_TYPE_STRING)
        snprintf(descr, sizeof descr, "<U%zu", unit / 4);
    else if (code >= 0)
        snprintf(descr, sizeof descr, "%c%s", codes[code].word == 1 ? '|' : '<', codes[code].code);
    else
        return cop_fail(err, COPPICE_UNSUPPORTED, "%s: NumPy has no type %s", what,
                        coppice_type_name(tensor->type));
    char *text = (char *)header + 10;
    size_t room = COP_NPY_HEADER_MAX - 10 - 64; /* 16 dimensions of 20 digits stay far below */
    int used = snprintf(text, room, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (uint32_t i = 0; i < tensor->rank; i++)
        used += snprintf(text + used, room - (size_t)used, "%lld,%s", (long long)tensor->dims[i],
                         i + 1 < tensor->rank ? " " : "");
    if (tensor->rank > 1)
        used--; /* only a tuple of one keeps its comma */
    used += snprintf(text + used, room - (size_t)used, "), }");
    *length = cop_round_up((size_t)used + 11, 64);
    size_t text_bytes = *length - 10;
    memset(text + used, ' ', text_bytes - (size_t)used);
    text[text_bytes - 1] = '\n';
    memcpy(header, magic, sizeof magic);
    header[6] = 1;
    header[7] = 0;
    header[8] = (unsigned char)(text_bytes & 0xff);
    header[9] = (unsigned char)(text_bytes >> 8);
    return COPPICE_OK;
}

coppice_status coppice_npy_write(const char *path, const coppice_tensor *tensor, bool overwrite,
                                 coppice_error *error) {
    unsigned char header[COP_NPY_HEADER_MAX];
    size_t length;
    cop_npy_form form = {0};
    cop_writer writer = {0};
    coppice_status status = cop_npy_form_of(tensor, path, &form, error);
    if (status == COPPICE_OK)
        status = cop_npy_make_header(&form.shape, form.unit, path, header, &length, error);
    if (status == COPPICE_OK)
        status = cop_writer_open(&writer, path, overwrite, error);
    if (status == COPPICE_OK) {
        cop_writer_write(&writer, header, length);
        cop_writer_write(&writer, form.data, form.bytes);
        status = cop_writer_commit(&writer, error);
    }
    cop_free(form.owned);
    return status;
}
