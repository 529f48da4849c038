/* Writing weights in chunks. */
#include "onnx/stream.h"

#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "graph/constants.h"

/* As much as the writer passes on without a copy of its own. */
enum { CHUNK_BYTES = 1 << 20 };

coppice_status cop_streams_open(cop_streams *streams, size_t capacity, coppice_error *err) {
    *streams = (cop_streams){.capacity = capacity};
    streams->items = cop_calloc(capacity, sizeof *streams->items);
    streams->chunk = cop_malloc(CHUNK_BYTES);
    if (!streams->items || !streams->chunk)
        return cop_fail_memory(err, capacity * sizeof *streams->items + CHUNK_BYTES);
    return COPPICE_OK;
}

void cop_streams_free(cop_streams *streams) {
    cop_free(streams->items);
    cop_free(streams->chunk);
    *streams = (cop_streams){0};
}

unsigned char *cop_streams_add(cop_streams *streams, cop_stream stream) {
    cop_stream *added = &streams->items[streams->count++];
    *added = stream;
    return (unsigned char *)added;
}

static const cop_stream *find(const cop_streams *streams, const unsigned char *data) {
    uintptr_t at = (uintptr_t)data, first = (uintptr_t)streams->items;
    bool inside = streams->items && at >= first && at < first + streams->count * sizeof(cop_stream);
    return inside ? &streams->items[(at - first) / sizeof(cop_stream)] : NULL;
}

static void write_masked(const cop_streams *streams, const cop_stream *stream, cop_writer *writer) {
    const unsigned char *data = stream->constant->tensor.data;
    int64_t count = (int64_t)(stream->bytes / stream->width);
    int64_t room = (int64_t)(CHUNK_BYTES / stream->width);
    for (int64_t first = 0; first < count && !cop_interrupted(); first += room) {
        int64_t n = count - first < room ? count - first : room;
        cop_mask_copy(stream->mask, first, n, stream->width, data + (size_t)first * stream->width,
                      streams->chunk);
        cop_writer_write(writer, streams->chunk, (size_t)n * stream->width);
        cop_constant_release(stream->constant, first, n);
    }
}

/* What an interrupt leaves out is missed by nobody: nothing is committed then. */
void cop_streams_write(const cop_streams *streams, const unsigned char *data, size_t bytes,
                       cop_writer *writer) {
    const cop_stream *stream = find(streams, data);
    if (cop_interrupted())
        return;
    if (!stream)
        cop_writer_write(writer, data, bytes);
    else
        write_masked(streams, stream, writer);
}
