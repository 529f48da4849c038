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

/* The elements of a constant, with zeros where a mask prunes them. */
typedef struct cop_stream {
    const cop_constant *constant;
    const cop_mask *mask; /* NULL: none */
    size_t width;         /* of an element */
    size_t bytes;         /* that are written */
} cop_stream;

/* All streams of one saving. Zero-initialise; free with cop_streams_free. */
typedef struct cop_streams {
    cop_stream *items;
    size_t count, capacity;
    unsigned char *chunk; /* elements on their way */
} cop_streams;

/* Makes room for `capacity` streams, which do not move then. */
coppice_status cop_streams_open(cop_streams *streams, size_t capacity, coppice_error *err);
void cop_streams_free(cop_streams *streams);

/* Adds a stream; its address stands for its bytes in the message. */
unsigned char *cop_streams_add(cop_streams *streams, cop_stream stream);

/* Writes `bytes` bytes at `data`, or what the stream of this address stands for. */
void cop_streams_write(const cop_streams *streams, const unsigned char *data, size_t bytes,
                       cop_writer *writer);

#endif
