/* Strings between UTF-8 and NumPy's arrays of UCS-4. */
#include "data/npy_text.h"

#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

enum { UTF8_MAX = 4, RAW_FIRST = 0xdc80, RAW_LAST = 0xdcff };

/* ---- characters ---- */

/* The bytes of a character; a raw byte stands for itself. Returns how many. */
static size_t encode(uint32_t c, char out[UTF8_MAX]) {
    if (c < 0x80 || (c >= RAW_FIRST && c <= RAW_LAST)) {
        out[0] = (char)(c & 0xff);
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | (c >> 18 & 7));
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* The character at the start of `text` and its length in *used; a byte that begins none is raw. */
static uint32_t decode(const unsigned char *text, size_t left, size_t *used) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned first = text[0];
    size_t length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    uint32_t c = length == 1 ? first : first & (0x7fu >> length);
    bool good = (first < 0x80 || (first >= 0xc2 && first <= 0xf4)) && length <= left;
    for (size_t i = 1; good && i < length; i++) {
        good = (text[i] & 0xc0) == 0x80;
        c = c << 6 | (text[i] & 0x3f);
    }
    good = good && c >= least[length] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
    *used = good ? length : 1;
    return good ? c : 0xdc00 | first;
}

/* ---- reading ---- */

static uint32_t stored_character(const unsigned char *at, bool wide, bool swap) {
    if (!wide) /* bytes are kept as they are */
        return at[0] < 0x80 ? at[0] : 0xdc00u | at[0];
    return swap ? (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]
                : (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

/* Characters before the NULs at the end. */
static size_t text_length(const unsigned char *element, size_t width, bool wide) {
    size_t unit = wide ? 4 : 1;
    static const unsigned char nul[4];
    while (width > 0 && memcmp(element + (width - 1) * unit, nul, unit) == 0)
        width--;
    return width;
}

coppice_status cop_npy_text_read(const unsigned char *stored, size_t count, size_t width, bool wide,
                                 bool swap, void **out, coppice_error *err) {
    size_t unit = wide ? 4 : 1, bytes = 0, room;
    char buffer[UTF8_MAX];
    for (size_t i = 0; i < count; i++) {
        const unsigned char *element = stored + i * width * unit;
        for (size_t k = text_length(element, width, wide); k-- > 0;)
            bytes += encode(stored_character(element + k * unit, wide, swap), buffer);
    }
    if (!cop_size_mul(count, sizeof(coppice_string), &room) ||
        !cop_size_add(room, bytes + 1, &room))
        return cop_fail_memory(err, bytes);
    coppice_string *strings = cop_malloc(room);
    if (!strings)
        return cop_fail_memory(err, room);
    char *at = (char *)(strings + count);
    for (size_t i = 0; i < count; i++) {
        const unsigned char *element = stored + i * width * unit;
        size_t length = text_length(element, width, wide);
        strings[i].data = at;
        for (size_t k = 0; k < length; k++) {
            size_t n = encode(stored_character(element + k * unit, wide, swap), buffer);
            memcpy(at, buffer, n);
            at += n;
        }
        strings[i].length = (size_t)(at - strings[i].data);
    }
    *out = strings;
    return COPPICE_OK;
}

/* ---- writing ---- */

size_t cop_npy_text_width(const coppice_tensor *tensor) {
    const coppice_string *strings = tensor->data;
    int64_t count = coppice_tensor_count(tensor);
    size_t width = 1, used;
    for (int64_t i = 0; i < count; i++) {
        const unsigned char *text = (const unsigned char *)strings[i].data;
        size_t characters = 0;
        for (size_t at = 0; at < strings[i].length; at += used, characters++)
            decode(text + at, strings[i].length - at, &used);
        width = characters > width ? characters : width;
    }
    return width;
}

coppice_status cop_npy_text_write(const coppice_tensor *tensor, size_t width, void **out,
                                  coppice_error *err) {
    const coppice_string *strings = tensor->data;
    size_t count = (size_t)coppice_tensor_count(tensor), each, bytes, used;
    if (!cop_size_mul(width, 4, &each) || !cop_size_mul(each, count, &bytes))
        return cop_fail(err, COPPICE_LIMIT,
                        "%zu strings of %zu characters are too much for one array", count, width);
    unsigned char *stored = cop_calloc(bytes ? bytes : 1, 1);
    if (!stored)
        return cop_fail_memory(err, bytes);
    for (size_t i = 0; i < count; i++) {
        const unsigned char *text = (const unsigned char *)strings[i].data;
        unsigned char *to = stored + i * each;
        for (size_t at = 0; at < strings[i].length; at += used, to += 4) {
            uint32_t c = decode(text + at, strings[i].length - at, &used);
            for (int k = 0; k < 4; k++)
                to[k] = (unsigned char)(c >> (8 * k));
        }
    }
    *out = stored;
    return COPPICE_OK;
}
