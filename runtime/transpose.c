/* Rows into columns, four by four in registers. */
#include "runtime/transpose.h"

#include <string.h>

#include "base/size.h"

/* Blocks are cache lines both ways. Rows that are whole pages apart share the ways of the cache, so
 * that few of them are read at a time. */
enum { SQUARE = 4, LINE = 16, WAYS = 8 };

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define HAVE_SHUFFLE 1
#endif
#endif

#if defined(HAVE_SHUFFLE)
typedef uint32_t four __attribute__((vector_size(16)));

static inline four load(const unsigned char *from) {
    four v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline void store(uint32_t *to, four v) {
    memcpy(to, &v, sizeof v);
}

static inline void square(uint32_t *to, size_t to_step, const unsigned char *from, size_t pitch) {
    four a = load(from), b = load(from + pitch);
    four c = load(from + 2 * pitch), d = load(from + 3 * pitch);
    four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5),
         cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    four AB = __builtin_shufflevector(a, b, 2, 6, 3, 7),
         CD = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    store(to, __builtin_shufflevector(ab, cd, 0, 1, 4, 5));
    store(to + to_step, __builtin_shufflevector(ab, cd, 2, 3, 6, 7));
    store(to + 2 * to_step, __builtin_shufflevector(AB, CD, 0, 1, 4, 5));
    store(to + 3 * to_step, __builtin_shufflevector(AB, CD, 2, 3, 6, 7));
}
#else
static inline void square(uint32_t *to, size_t to_step, const unsigned char *from, size_t pitch) {
    for (size_t r = 0; r < SQUARE; r++)
        for (size_t c = 0; c < SQUARE; c++)
            memcpy(&to[c * to_step + r], from + r * pitch + c * sizeof *to, sizeof *to);
}
#endif

static void squares(uint32_t *to, size_t to_step, const unsigned char *from, size_t pitch,
                    size_t rows, size_t columns) {
    for (size_t c = 0; c < columns; c += SQUARE)
        for (size_t r = 0; r < rows; r += SQUARE)
            square(to + c * to_step + r, to_step, from + r * pitch + c * sizeof *to, pitch);
}

void cop_transpose_4(uint32_t *to, size_t to_step, const void *from, size_t from_step, size_t rows,
                     size_t columns) {
    const unsigned char *bytes = from;
    size_t pitch = from_step * sizeof *to;
    size_t whole_rows = rows / SQUARE * SQUARE, whole_columns = columns / SQUARE * SQUARE;
    size_t high = to_step > from_step ? LINE : WAYS, wide = to_step > from_step ? WAYS : LINE;
    for (size_t band = 0; band < whole_rows; band += LINE)
        for (size_t block = 0; block < whole_columns; block += wide) {
            size_t last = cop_smaller(band + LINE, whole_rows);
            for (size_t r = band; r < last; r += high)
                squares(to + block * to_step + r, to_step, bytes + r * pitch + block * sizeof *to,
                        pitch, cop_smaller(last - r, high),
                        cop_smaller(whole_columns - block, wide));
        }
    for (size_t r = 0; r < rows; r++)
        for (size_t c = r < whole_rows ? whole_columns : 0; c < columns; c++)
            memcpy(&to[c * to_step + r], bytes + r * pitch + c * sizeof *to, sizeof *to);
}
