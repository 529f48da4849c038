/* Bytes of the saved file that are made while they are written, so that no copy of a weight is ever
 * whole in memory.
 *
 * protobuf-c hands large fields to its buffer by a pointer and a length, and looks at neither. So
 * the message gets the address of a cop_stream as its data, and the buffer, which knows all
 * streams, writes what the stream stands for. */
#ifndef COP_ONNX_STREAM_H
#define COP_ONNX_STREAM_H

#include "base/file.h"
#include "graph/mask.h"

/* What is written of the elements of a constant. */
typedef enum cop_stream_kind {
    COP_STREAM_DENSE,  /* all of them */
    COP_STREAM_VALUES, /* those that are not all zero bits */
    COP_STREAM_LINEAR, /* the positions of these, as a packed field of varints with its length */
    COP_STREAM_TUPLES  /* the same as an index per dimension */
} cop_stream_kind;

/* The elements of a constant as they are written. */
typedef struct cop_elements {
    const cop_constant *constant;
    const cop_mask *mask; /* elements that it prunes are zeros; NULL: none */
    bool positive_zeros;  /* -0.0 is written as +0.0 */
} cop_elements;

typedef struct cop_stream {
    cop_stream_kind kind;
    cop_elements elements;
    size_t bytes;   /* that are written */
    size_t payload; /* of them, behind the length of a packed field */
} cop_stream;

/* All streams of one saving. Zero-initialise; free with cop_streams_free. */
typedef struct cop_streams {
    cop_stream *items;
    size_t count, capacity;
    unsigned char *elements, *encoded; /* chunks on their way */
} cop_streams;

/* Makes room for `capacity` streams, which do not move then. */
coppice_status cop_streams_open(cop_streams *streams, size_t capacity, coppice_error *err);
void cop_streams_free(cop_streams *streams);

/* Adds a stream; its address stands for its bytes in the message. */
unsigned char *cop_streams_add(cop_streams *streams, cop_stream stream);

/* Writes `bytes` bytes at `data`, or what the stream of this address stands for. */
void cop_streams_write(const cop_streams *streams, const unsigned char *data, size_t bytes,
                       cop_writer *writer);

/* How large a constant with elements of 1, 2, 4 or 8 bytes is as a sparse tensor. */
typedef struct cop_sparse_size {
    size_t values;         /* that are not all zero bits: -0.0 is a value */
    size_t negative_zeros; /* among them */
    size_t linear, tuples; /* bytes of their indices as varints */
} cop_sparse_size;

cop_sparse_size cop_streams_measure(const cop_streams *streams, cop_elements elements);

#endif
