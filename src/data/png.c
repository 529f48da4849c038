/* PNG decoding with libpng. */
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/image.h"

enum { MAX_CHUNKS = 1000, MAX_CHUNK_BYTES = 8 << 20 };

typedef struct decoder {
    png_structp png;
    png_infop info;
    const unsigned char *at, *end;
    png_bytep *rows;
    jmp_buf failed;
    char message[128];
} decoder;

static void on_error(png_structp png, png_const_charp message) {
    decoder *d = png_get_error_ptr(png);
    snprintf(d->message, sizeof d->message, "%s", message);
    longjmp(d->failed, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static void on_read(png_structp png, png_bytep out, size_t bytes) {
    decoder *d = png_get_io_ptr(png);
    if (bytes > (size_t)(d->end - d->at))
        png_error(png, "the file ends too early");
    memcpy(out, d->at, bytes);
    d->at += bytes;
}

static coppice_status read_image(decoder *d, const char *what, cop_scratch *store, cop_pixels *out,
                                 coppice_error *err) {
    png_set_user_limits(d->png, COP_MAX_SIDE, COP_MAX_SIDE);
    png_set_chunk_cache_max(d->png, MAX_CHUNKS);
    png_set_chunk_malloc_max(d->png, MAX_CHUNK_BYTES);
    png_set_read_fn(d->png, d, on_read);
    png_read_info(d->png, d->info);
    bool grey = !(png_get_color_type(d->png, d->info) & PNG_COLOR_MASK_COLOR);
    png_set_strip_16(d->png);
    png_set_palette_to_rgb(d->png);
    png_set_expand_gray_1_2_4_to_8(d->png);
    png_set_strip_alpha(d->png);
    png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->info);
    int64_t height = png_get_image_height(d->png, d->info);
    COP_TRY(cop_pixels_make(out, store, false, height, png_get_image_width(d->png, d->info),
                            grey ? 1 : 3, what, err));
    if (png_get_rowbytes(d->png, d->info) != (size_t)out->row)
        return cop_fail(err, COPPICE_UNSUPPORTED, "%s: a PNG of an unusual pixel format", what);
    d->rows = cop_malloc((size_t)height * sizeof *d->rows);
    if (!d->rows)
        return cop_fail_memory(err, (size_t)height * sizeof *d->rows);
    for (int64_t y = 0; y < height; y++)
        d->rows[y] = (png_bytep)store->data + y * out->row;
    png_read_image(d->png, d->rows);
    png_read_end(d->png, NULL);
    return COPPICE_OK;
}

bool cop_is_png(const unsigned char *bytes, size_t size) {
    return size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0;
}

coppice_status cop_png_decode(const unsigned char *bytes, size_t size, const char *what,
                              cop_scratch *store, cop_pixels *out, coppice_error *err) {
    /* on the heap: locals that change between setjmp and longjmp would be lost */
    decoder *d = cop_calloc(1, sizeof *d);
    if (!d)
        return cop_fail_memory(err, sizeof *d);
    coppice_status status;
    d->at = bytes;
    d->end = bytes + size;
    if (setjmp(d->failed) == 0) {
        d->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, d, on_error, on_warning);
        d->info = d->png ? png_create_info_struct(d->png) : NULL;
        status = d->info ? read_image(d, what, store, out, err) : cop_fail_memory(err, sizeof *d);
    } else {
        status = cop_fail(err, COPPICE_BAD_DATA, "%s: not a valid PNG image: %s", what, d->message);
    }
    png_destroy_read_struct(&d->png, &d->info, NULL);
    cop_free(d->rows);
    cop_free(d);
    return status;
}
