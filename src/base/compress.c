/* How large a file is when compressed, without keeping the result. */
#include <coppice/file.h>

#include <zlib.h>

#ifdef COP_HAVE_ZSTD
#include <zstd.h>
#endif

#include "base/error.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/memory.h"

enum { CHUNK = 1 << 20, GZIP_WRAPPER = 16, GZIP_LEVEL = 6, GZIP_MEMORY = 8, ZSTD_LEVEL = 3 };

static size_t chunk_at(size_t at, size_t bytes) {
    return bytes - at < CHUNK ? bytes - at : CHUNK;
}

static coppice_status gzip_bytes(const cop_mapping *file, unsigned char *buffer, int64_t *bytes,
                                 coppice_error *err) {
    z_stream z = {0};
    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, MAX_WBITS + GZIP_WRAPPER, GZIP_MEMORY,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return cop_fail_memory(err, CHUNK);
    int result = Z_OK;
    for (size_t at = 0; result != Z_STREAM_END && !cop_interrupted();) {
        size_t n = chunk_at(at, file->bytes);
        z.next_in = n ? file->data + at : buffer;
        z.avail_in = (uInt)n;
        at += n;
        do {
            z.next_out = buffer;
            z.avail_out = CHUNK;
            result = deflate(&z, at == file->bytes ? Z_FINISH : Z_NO_FLUSH);
            *bytes += CHUNK - (int64_t)z.avail_out;
        } while (z.avail_out == 0);
    }
    deflateEnd(&z);
    return COPPICE_OK;
}

#ifdef COP_HAVE_ZSTD
static coppice_status zstd_bytes(const cop_mapping *file, unsigned char *buffer, int64_t *bytes,
                                 coppice_error *err) {
    ZSTD_CCtx *context = ZSTD_createCCtx();
    if (!context)
        return cop_fail_memory(err, CHUNK);
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, ZSTD_LEVEL);
    coppice_status status = COPPICE_OK;
    size_t left = 1;
    for (size_t at = 0; left != 0 && !cop_interrupted();) {
        size_t n = chunk_at(at, file->bytes);
        ZSTD_inBuffer in = {n ? file->data + at : buffer, n, 0};
        at += n;
        do {
            ZSTD_outBuffer out = {buffer, CHUNK, 0};
            left = ZSTD_compressStream2(context, &out, &in,
                                        at == file->bytes ? ZSTD_e_end : ZSTD_e_continue);
            *bytes += (int64_t)out.pos;
        } while (!ZSTD_isError(left) && (in.pos < in.size || (at == file->bytes && left != 0)));
        if (ZSTD_isError(left)) {
            status = cop_fail(err, COPPICE_INTERNAL, "zstd: %s", ZSTD_getErrorName(left));
            break;
        }
        left = at < file->bytes;
    }
    ZSTD_freeCCtx(context);
    return status;
}
#else
static coppice_status zstd_bytes(const cop_mapping *file, unsigned char *buffer, int64_t *bytes,
                                 coppice_error *err) {
    (void)file, (void)buffer, (void)bytes;
    return cop_fail(err, COPPICE_UNSUPPORTED, "built without zstd");
}
#endif

coppice_status coppice_file_compressed_bytes(const char *path, coppice_compression compression,
                                             int64_t *bytes, coppice_error *error) {
    *bytes = 0;
    cop_mapping file;
    COP_TRY(cop_mapping_open(path, &file, error));
    unsigned char *buffer = cop_malloc(CHUNK);
    coppice_status status;
    if (!buffer)
        status = cop_fail_memory(error, CHUNK);
    else if (compression == COPPICE_COMPRESSION_GZIP)
        status = gzip_bytes(&file, buffer, bytes, error);
    else
        status = zstd_bytes(&file, buffer, bytes, error);
    if (status == COPPICE_OK)
        status = cop_check_interrupt(error);
    cop_free(buffer);
    cop_mapping_close(&file);
    return status;
}
