/* Varints, as protobuf's wire format has them: seven bits a byte, the lowest first, the highest bit
 * of a byte saying that another follows (protobuf.dev, "Encoding"). */
#ifndef COP_ONNX_VARINT_H
#define COP_ONNX_VARINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { COP_VARINT_BYTES = 10 }; /* at most */

/* Reads one of at most `max` bytes (up to COP_VARINT_BYTES) before `end` and moves *at behind what
 * was read. False when it does not end. */
static inline bool cop_varint_read(const unsigned char **at, const unsigned char *end, int max,
                                   uint64_t *value) {
    *value = 0;
    for (int i = 0; i < max && *at < end; i++) {
        unsigned char byte = *(*at)++;
        *value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

/* Writes one, at most COP_VARINT_BYTES; where the next byte goes. */
static inline unsigned char *cop_varint_write(unsigned char *to, uint64_t value) {
    for (; value > 0x7f; value >>= 7)
        *to++ = (unsigned char)(value | 0x80);
    *to++ = (unsigned char)value;
    return to;
}

/* How many bytes it takes. */
static inline size_t cop_varint_bytes(uint64_t value) {
    size_t bytes = 1;
    for (; value > 0x7f; value >>= 7)
        bytes++;
    return bytes;
}

#endif
