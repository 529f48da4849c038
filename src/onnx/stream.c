/* Writing weights in chunks: dense, masked, or as values and indices of a sparse tensor. */
#include "onnx/stream.h"

#include <string.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/type.h"
#include "graph/constants.h"
#include "onnx/varint.h"

enum {
    CHUNK_BYTES = 1 << 20, /* as much as the writer passes on without a copy of its own */
    BLOCK = 4096,          /* elements whose positions are found at once */
    MAX_VARINT = 10
};

coppice_status cop_streams_open(cop_streams *streams, size_t capacity, coppice_error *err) {
    *streams = (cop_streams){.capacity = capacity};
    streams->items = cop_calloc(capacity + 1, sizeof *streams->items);
    streams->elements = cop_malloc(CHUNK_BYTES);
    streams->encoded = cop_malloc(CHUNK_BYTES);
    if (!streams->items || !streams->elements || !streams->encoded)
        return cop_fail_memory(err, capacity * sizeof *streams->items + 2 * CHUNK_BYTES);
    return COPPICE_OK;
}

void cop_streams_free(cop_streams *streams) {
    cop_free(streams->items);
    cop_free(streams->elements);
    cop_free(streams->encoded);
    *streams = (cop_streams){0};
}

unsigned char *cop_streams_add(cop_streams *streams, cop_stream stream) {
    cop_stream *added = &streams->items[streams->count++];
    *added = stream;
    return (unsigned char *)added;
}

/* ---- elements ---- */

/* A run of elements of a constant, and where it stands. */
typedef struct run {
    const cop_constant *constant;
    const unsigned char *data;
    int64_t first, n; /* `first` is a multiple of BLOCK */
    size_t width;
} run;

typedef void take_run(const run *r, void *context);

#define DEFINE_SIGNS(name, type)                                                                   \
    static void name(const unsigned char *from, int64_t n, unsigned char *to) {                    \
        const type negative_zero = (type)((type)1 << (8 * sizeof(type) - 1));                      \
        for (int64_t i = 0; i < n; i++) {                                                          \
            type element;                                                                          \
            memcpy(&element, from + (size_t)i * sizeof element, sizeof element);                   \
            element = element == negative_zero ? 0 : element;                                      \
            memcpy(to + (size_t)i * sizeof element, &element, sizeof element);                     \
        }                                                                                          \
    }

DEFINE_SIGNS(drop_signs_16, uint16_t)
DEFINE_SIGNS(drop_signs_32, uint32_t)
DEFINE_SIGNS(drop_signs_64, uint64_t)

static void drop_signs(const unsigned char *from, int64_t n, size_t width, unsigned char *to) {
    if (width == 4)
        drop_signs_32(from, n, to);
    else if (width == 2)
        drop_signs_16(from, n, to);
    else
        drop_signs_64(from, n, to);
}

/* Hands over all elements, masked, and gives the pages of a mapped file back. What an interrupt
 * leaves out is missed by nobody: nothing is committed then. */
static void each_run(const cop_streams *streams, cop_elements elements, take_run *take,
                     void *context) {
    const cop_constant *constant = elements.constant;
    size_t width = coppice_type_bits(constant->tensor.type) / 8;
    const unsigned char *data = constant->tensor.data;
    int64_t count = (int64_t)(constant->bytes / width), room = (int64_t)(CHUNK_BYTES / width);
    for (int64_t first = 0; first < count && !cop_interrupted(); first += room) {
        int64_t n = count - first < room ? count - first : room;
        run r = {constant, data + (size_t)first * width, first, n, width};
        if (elements.mask) {
            cop_mask_copy(elements.mask, constant, first, n, r.data, streams->elements);
            r.data = streams->elements;
        }
        if (elements.positive_zeros && cop_is_float_type(constant->tensor.type)) {
            drop_signs(r.data, n, width, streams->elements);
            r.data = streams->elements;
        }
        take(&r, context);
        cop_constant_release(constant, first, n);
    }
}

#define DEFINE_FIND(name, type)                                                                    \
    static size_t name(const unsigned char *data, size_t n, uint16_t *found) {                     \
        size_t count = 0;                                                                          \
        for (size_t i = 0; i < n; i++) {                                                           \
            type element;                                                                          \
            memcpy(&element, data + i * sizeof element, sizeof element);                           \
            found[count] = (uint16_t)i;                                                            \
            count += element != 0;                                                                 \
        }                                                                                          \
        return count;                                                                              \
    }

DEFINE_FIND(find_8, uint8_t)
DEFINE_FIND(find_16, uint16_t)
DEFINE_FIND(find_32, uint32_t)
DEFINE_FIND(find_64, uint64_t)

/* Positions, from `start` of a run on, of elements among the next BLOCK that have a bit set. */
static size_t find_values(const run *r, int64_t start, uint16_t *found) {
    const unsigned char *data = r->data + (size_t)start * r->width;
    size_t n = (size_t)(r->n - start < BLOCK ? r->n - start : BLOCK);
    return r->width == 4   ? find_32(data, n, found)
           : r->width == 2 ? find_16(data, n, found)
           : r->width == 1 ? find_8(data, n, found)
                           : find_64(data, n, found);
}

/* ---- indices ---- */

/* The index of every dimension of linear position `at`. */
static void split(const coppice_tensor *tensor, int64_t at, int64_t *indices) {
    for (uint32_t d = tensor->rank; d-- > 0;) {
        indices[d] = at % tensor->dims[d];
        at /= tensor->dims[d];
    }
}

/* Is only the sign bit set? Little-endian, as all of ONNX's data. */
static bool is_negative_zero(const unsigned char *element, size_t width) {
    uint64_t bits = 0;
    memcpy(&bits, element, width);
    return bits == (uint64_t)1 << (8 * width - 1);
}

static void measure_linear(const run *r, void *context) {
    cop_sparse_size *size = context;
    uint16_t found[BLOCK];
    for (int64_t start = 0; start < r->n; start += BLOCK) {
        const unsigned char *block = r->data + (size_t)start * r->width;
        size_t count = find_values(r, start, found);
        uint64_t first = (uint64_t)(r->first + start);
        size->values += count;
        for (size_t i = 0; i < count; i++) {
            size->linear += cop_varint_bytes(first + found[i]);
            size->negative_zeros += is_negative_zero(block + found[i] * r->width, r->width);
        }
    }
}

static void measure_tuples(const run *r, void *context) {
    cop_sparse_size *size = context;
    uint16_t found[BLOCK];
    int64_t indices[COPPICE_MAX_RANK];
    for (int64_t start = 0; start < r->n; start += BLOCK) {
        size_t count = find_values(r, start, found);
        for (size_t i = 0; i < count; i++) {
            split(&r->constant->tensor, r->first + start + found[i], indices);
            for (uint32_t d = 0; d < r->constant->tensor.rank; d++)
                size->tuples += cop_varint_bytes((uint64_t)indices[d]);
        }
    }
}

/* Tuples take a byte per dimension at least, so that for most tensors it is clear without a look
 * that they are not smaller. */
cop_sparse_size cop_streams_measure(const cop_streams *streams, cop_elements elements) {
    cop_sparse_size size = {0};
    each_run(streams, elements, measure_linear, &size);
    if (size.values * elements.constant->tensor.rank < size.linear)
        each_run(streams, elements, measure_tuples, &size);
    else
        size.tuples = SIZE_MAX;
    return size;
}

/* ---- writing ---- */

typedef struct output {
    cop_writer *writer;
    unsigned char *encoded;
} output;

static void write_dense(const run *r, void *context) {
    output *out = context;
    cop_writer_write(out->writer, r->data, (size_t)r->n * r->width);
}

static void write_values(const run *r, void *context) {
    output *out = context;
    uint16_t found[BLOCK];
    unsigned char *to = out->encoded; /* a run fits, as it does before */
    for (int64_t start = 0; start < r->n; start += BLOCK) {
        const unsigned char *block = r->data + (size_t)start * r->width;
        size_t count = find_values(r, start, found);
        for (size_t i = 0; i < count; i++, to += r->width)
            memcpy(to, block + found[i] * r->width, r->width);
    }
    cop_writer_write(out->writer, out->encoded, (size_t)(to - out->encoded));
}

static void write_linear(const run *r, void *context) {
    output *out = context;
    uint16_t found[BLOCK];
    for (int64_t start = 0; start < r->n; start += BLOCK) {
        size_t count = find_values(r, start, found);
        unsigned char *to = out->encoded; /* room for BLOCK times MAX_VARINT bytes */
        for (size_t i = 0; i < count; i++)
            to = cop_varint_write(to, (uint64_t)(r->first + start + found[i]));
        cop_writer_write(out->writer, out->encoded, (size_t)(to - out->encoded));
    }
}

static void write_tuples(const run *r, void *context) {
    output *out = context;
    const coppice_tensor *tensor = &r->constant->tensor;
    uint16_t found[BLOCK];
    int64_t indices[COPPICE_MAX_RANK];
    for (int64_t start = 0; start < r->n; start += BLOCK) {
        size_t count = find_values(r, start, found);
        unsigned char *to = out->encoded; /* room for COPPICE_MAX_RANK times as much, too */
        for (size_t i = 0; i < count; i++) {
            split(tensor, r->first + start + found[i], indices);
            for (uint32_t d = 0; d < tensor->rank; d++)
                to = cop_varint_write(to, (uint64_t)indices[d]);
        }
        cop_writer_write(out->writer, out->encoded, (size_t)(to - out->encoded));
    }
}

_Static_assert(CHUNK_BYTES >= BLOCK * MAX_VARINT * COPPICE_MAX_RANK, "a block of tuples fits");

static const cop_stream *find_stream(const cop_streams *streams, const unsigned char *data) {
    uintptr_t at = (uintptr_t)data, first = (uintptr_t)streams->items;
    bool inside = streams->items && at >= first && at < first + streams->count * sizeof(cop_stream);
    return inside ? &streams->items[(at - first) / sizeof(cop_stream)] : NULL;
}

void cop_streams_write(const cop_streams *streams, const unsigned char *data, size_t bytes,
                       cop_writer *writer) {
    static take_run *const writers[] = {[COP_STREAM_DENSE] = write_dense,
                                        [COP_STREAM_VALUES] = write_values,
                                        [COP_STREAM_LINEAR] = write_linear,
                                        [COP_STREAM_TUPLES] = write_tuples};
    const cop_stream *stream = find_stream(streams, data);
    if (cop_interrupted())
        return;
    if (!stream) {
        cop_writer_write(writer, data, bytes);
        return;
    }
    if (stream->payload) {
        unsigned char length[MAX_VARINT];
        cop_writer_write(writer, length,
                         (size_t)(cop_varint_write(length, stream->payload) - length));
    }
    output out = {writer, streams->encoded};
    each_run(streams, stream->elements, writers[stream->kind], &out);
}
