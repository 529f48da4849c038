/* Images: decoded pixels as strided views, JPEG and PNG decoders, resizing, files of a folder. */
#ifndef COP_DATA_IMAGE_H
#define COP_DATA_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <coppice/status.h>

#include "base/arena.h"
#include "base/memory.h"

/* An image: 8-bit or float samples. Strides are in samples; the data belong to somebody else. A
 * channel stride of 0 repeats one channel. */
typedef struct cop_pixels {
    const void *data;
    bool is_float;
    int64_t height, width, channels;
    int64_t row, column, channel; /* strides */
} cop_pixels;

/* Memory that is used again and again. Zero-initialise; cop_free(data). */
typedef struct cop_scratch {
    void *data;
    size_t bytes;
} cop_scratch;

/* Makes room for `bytes` bytes; the content is lost. */
coppice_status cop_scratch_reserve(cop_scratch *buffer, size_t bytes, coppice_error *err);

/* Room for a height x width x channels image with samples of 1 or 4 bytes in `buffer`, and the view
 * of it with interleaved channels. Refuses more than COP_MAX_PIXELS. */
coppice_status cop_pixels_make(cop_pixels *pixels, cop_scratch *buffer, bool is_float,
                               int64_t height, int64_t width, int64_t channels, const char *what,
                               coppice_error *err);

enum { COP_MAX_PIXELS = 1 << 27, COP_MAX_SIDE = 65535 };

bool cop_is_jpeg(const unsigned char *bytes, size_t size);
bool cop_is_png(const unsigned char *bytes, size_t size);

/* Decodes a JPEG or PNG to 8-bit grey (1 channel) or RGB (3) in `store`. Alpha is dropped, 16-bit
 * samples keep their high byte, CMYK (inverted, as Adobe writes it) becomes RGB, EXIF orientation
 * is left alone. `what` names the file. */
coppice_status cop_jpeg_decode(const unsigned char *bytes, size_t size, const char *what,
                               cop_scratch *store, cop_pixels *out, coppice_error *err);
coppice_status cop_png_decode(const unsigned char *bytes, size_t size, const char *what,
                              cop_scratch *store, cop_pixels *out, coppice_error *err);

/* Resizes so that the short side has `side` pixels and the long one floor(side * long / short),
 * with a triangle filter that is widened when shrinking (antialiasing). 8-bit images go through
 * 8-bit intermediate rows and fixed-point weights, which gives the very pixels that Pillow's
 * BILINEAR gives. `scratch` and `store` hold the intermediate and the result. An image that has the
 * size already is left alone. */
coppice_status cop_resize(cop_pixels *pixels, int64_t side, const char *what, cop_scratch *scratch,
                          cop_scratch *store, coppice_error *err);

typedef struct cop_image_file {
    const char *path; /* to open */
    const char *name; /* relative to the folder: "a.jpg" or "class/a.jpg" */
    int64_t label;    /* rank of the class folder, -1 without */
} cop_image_file;

/* The images of a folder. Zero-initialise; free with cop_image_list_close. */
typedef struct cop_image_list {
    cop_arena arena;
    cop_image_file *files;
    size_t count, capacity;
} cop_image_list;

/* Lists a folder (at least one image, or BAD_DATA), or makes a list of one from an image file.
 * Anything else: OK, and the list is empty. */
coppice_status cop_image_list_open(cop_image_list *list, const char *path, coppice_error *err);
void cop_image_list_close(cop_image_list *list);

/* Reads labels for `count` samples: by name when `files` (NULL: no names) is there and the file at
 * `path` has names, otherwise in order. */
coppice_status cop_labels_read(const char *path, const cop_image_file *files, int64_t count,
                               int64_t *labels, coppice_error *err);

#endif
