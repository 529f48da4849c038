/* The pre-scan: everything about the wire format that protobuf-c takes on trust is checked here. */
#ifndef COP_ONNX_SCAN_H
#define COP_ONNX_SCAN_H

#include <stddef.h>

#include <coppice/status.h>

/* Messages nest at most this deep; protobuf-c recurses once per level. */
#define COP_SCAN_MAX_NESTING 100

/* Where the bytes of a large raw_data lie in the file. */
typedef struct cop_span {
    size_t offset, bytes;
} cop_span;

/* A raw_data of at least this many bytes stands as a cop_span in the compact copy; shorter ones
 * stand there as they are, so each raw_data of exactly this length is a span. */
#define COP_SCAN_SPAN_BYTES sizeof(cop_span)

/* Fields that nothing here reads (unknown ones, metadata_props) stand in the copy as unknown fields
 * of their number plus this; their data are a length byte and a cop_span of length and content. */
#define COP_SCAN_OPAQUE_FIELD (1u << 28)

/* The message without its weights. Zero-initialise; free with cop_compact_free. */
typedef struct cop_compact {
    unsigned char *data; /* allocated */
    size_t bytes, capacity;
} cop_compact;

/* Checks `bytes` bytes as a ModelProto: nesting, lengths, varints, wire types, the memory that
 * unpacking will take; and writes the compact copy. Does not recurse. Errors, with the byte offset:
 * BAD_MODEL; LIMIT for too much memory or more than 2 GB; OUT_OF_MEMORY. */
coppice_status cop_scan_model(const unsigned char *data, size_t bytes, cop_compact *out,
                              coppice_error *err);

void cop_compact_free(cop_compact *compact);

#endif
