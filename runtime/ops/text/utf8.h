/* Characters of UTF-8 text, one after another. */
#ifndef COP_OPS_UTF8_H
#define COP_OPS_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The character at text[*at], which must be below `length`, and moves *at behind it. A byte that is
 * not valid UTF-8 gives itself as a character above all real ones, so that it can be put back. */
static inline int32_t cop_utf8_next(const char *text, size_t length, size_t *at) {
    const unsigned char *p = (const unsigned char *)text + *at;
    size_t left = length - *at, more = p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : 1;
    static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (p[0] < 0x80) {
        ++*at;
        return p[0];
    }
    int32_t value = p[0] & (0x3f >> more);
    bool valid = p[0] >= 0xc2 && p[0] <= 0xf4 && more < left;
    for (size_t i = 1; valid && i <= more; i++) {
        valid = (p[i] & 0xc0) == 0x80;
        value = value << 6 | (p[i] & 0x3f);
    }
    if (!valid || value < least[more] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
        ++*at;
        return 0x110000 + p[0];
    }
    *at += more + 1;
    return value;
}

/* Writes a character as cop_utf8_next gave it; returns how many bytes, at most 4. */
static inline size_t cop_utf8_put(int32_t value, char *to) {
    if (value < 0x80 || value >= 0x110000) {
        *to = (char)(value & 0xff);
        return 1;
    }
    size_t more = value < 0x800 ? 1 : value < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
    for (size_t i = more; i > 0; i--, value >>= 6)
        to[i] = (char)(0x80 | (value & 0x3f));
    to[0] = (char)(lead[more] | value);
    return more + 1;
}

#endif
