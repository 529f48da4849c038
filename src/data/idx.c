/* The idx format of MNIST, plain or gzip-compressed. */
#include <limits.h>
#include <string.h>
#include <zlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/array.h"
#include "data/convert.h"

enum { HEADER_MAX = 4 + 4 * COPPICE_MAX_RANK };

/* Element types by the third byte of the file; numbers are big-endian. */
static const struct {
    unsigned char code;
    coppice_type type;
} codes[] = {{0x08, COPPICE_TYPE_UINT8}, {0x09, COPPICE_TYPE_INT8},  {0x0b, COPPICE_TYPE_INT16},
             {0x0c, COPPICE_TYPE_INT32}, {0x0d, COPPICE_TYPE_FLOAT}, {0x0e, COPPICE_TYPE_DOUBLE}};

static coppice_status parse_header(const unsigned char *bytes, size_t size, const char *what,
                                   coppice_tensor *out, size_t *header_bytes, coppice_error *err) {
    *out = (coppice_tensor){0};
    if (size < 4 || bytes[0] != 0 || bytes[1] != 0)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: not an idx file", what);
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i].code == bytes[2])
            out->type = codes[i].type;
    }
    out->rank = bytes[3];
    if (out->type == COPPICE_TYPE_UNDEFINED || out->rank == 0 || out->rank > COPPICE_MAX_RANK)
        return cop_fail(err, COPPICE_BAD_DATA,
                        "%s: an idx header with element type 0x%02x and %u dimensions", what,
                        bytes[2], bytes[3]);
    *header_bytes = 4 + 4 * (size_t)out->rank;
    if (size < *header_bytes)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: the idx header is cut short", what);
    for (uint32_t i = 0; i < out->rank; i++) {
        const unsigned char *at = bytes + 4 + 4 * i;
        out->dims[i] = (int64_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
    }
    if (coppice_tensor_bytes(out) < 0)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: the shape overflows", what);
    return COPPICE_OK;
}

static coppice_status wrong_length(const coppice_tensor *tensor, const char *what,
                                   const char *relation, coppice_error *err) {
    return cop_fail(err, COPPICE_BAD_DATA,
                    "%s: there is %s data than the %lld bytes of the idx header's shape; the file "
                    "is damaged or incomplete",
                    what, relation, (long long)coppice_tensor_bytes(tensor));
}

/* Fills `size` bytes from the stream; *got says how many came before the end or an error. */
static int inflate_some(z_stream *stream, unsigned char *out, size_t size, size_t *got) {
    int code = Z_OK;
    *got = 0;
    while (*got < size && code == Z_OK) {
        size_t left = size - *got;
        stream->next_out = out + *got;
        stream->avail_out = left > INT_MAX ? INT_MAX : (uInt)left;
        uInt asked = stream->avail_out;
        code = inflate(stream, Z_NO_FLUSH);
        *got += asked - stream->avail_out;
    }
    return code;
}

static coppice_status inflate_all(z_stream *stream, const char *what, coppice_tensor *out,
                                  coppice_error *err) {
    unsigned char header[HEADER_MAX], extra;
    size_t got, header_bytes, surplus;
    int code = inflate_some(stream, header, 4, &got);
    size_t rest = got == 4 && header[3] <= COPPICE_MAX_RANK ? 4 * (size_t)header[3] : 0;
    size_t more = 0;
    if (code == Z_OK && rest)
        code = inflate_some(stream, header + 4, rest, &more);
    if (code != Z_OK && code != Z_STREAM_END)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: damaged gzip data", what);
    COP_TRY(parse_header(header, got + more, what, out, &header_bytes, err));

    size_t bytes = (size_t)coppice_tensor_bytes(out);
    /* deflate never shrinks data by more than 1032, so a header cannot ask for more than that */
    if (bytes / 1032 > (size_t)stream->avail_in + 1024)
        return wrong_length(out, what, "less", err);
    out->data = cop_malloc(bytes ? bytes : 1);
    if (!out->data)
        return cop_fail_memory(err, bytes);
    if (code == Z_OK)
        code = inflate_some(stream, out->data, bytes, &got);
    else
        got = 0;
    if (got < bytes)
        return wrong_length(out, what, "less", err);
    if (code == Z_OK)
        code = inflate_some(stream, &extra, 1, &surplus);
    else
        surplus = 0;
    if (surplus)
        return wrong_length(out, what, "more", err);
    if (code != Z_STREAM_END)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: damaged gzip data", what);
    return COPPICE_OK;
}

static coppice_status decode_gzip(const unsigned char *bytes, size_t size, const char *what,
                                  coppice_tensor *out, coppice_error *err) {
    if (size > UINT_MAX)
        return cop_fail(err, COPPICE_LIMIT, "%s: a gzip file of more than 4 GB; unpack it first",
                        what);
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)size};
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
        return cop_fail_memory(err, sizeof stream);
    coppice_status status = inflate_all(&stream, what, out, err);
    inflateEnd(&stream);
    return status;
}

static coppice_status decode_plain(const unsigned char *bytes, size_t size, const char *what,
                                   coppice_tensor *out, coppice_error *err) {
    size_t header_bytes;
    COP_TRY(parse_header(bytes, size, what, out, &header_bytes, err));
    size_t wanted = (size_t)coppice_tensor_bytes(out);
    if (size - header_bytes != wanted)
        return wrong_length(out, what, size - header_bytes < wanted ? "less" : "more", err);
    out->data = cop_malloc(wanted ? wanted : 1);
    if (!out->data)
        return cop_fail_memory(err, wanted);
    memcpy(out->data, bytes + header_bytes, wanted);
    return COPPICE_OK;
}

coppice_status cop_idx_decode(const unsigned char *bytes, size_t size, const char *what,
                              coppice_tensor *out, coppice_error *err) {
    *out = (coppice_tensor){0};
    bool gzip = size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
    coppice_status status =
        gzip ? decode_gzip(bytes, size, what, out, err) : decode_plain(bytes, size, what, out, err);
    if (status != COPPICE_OK) {
        cop_free(out->data);
        *out = (coppice_tensor){0};
        return status;
    }
    size_t unit = coppice_type_bits(out->type) / 8;
    if (unit > 1)
        cop_swap_bytes(out->data, (size_t)coppice_tensor_bytes(out) / unit, unit);
    return COPPICE_OK;
}
