/* JPEG decoding with libjpeg-turbo. */
#include <setjmp.h>
#include <stdio.h>
#include <jpeglib.h>
#include <jerror.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/image.h"

/* A progressive file of a few kilobytes can ask for hours of work with scans that add nothing. */
enum { MAX_SCANS = 200, MAX_MEMORY = 1 << 30 };

typedef struct decoder {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    char message[JMSG_LENGTH_MAX];
    unsigned char *line; /* CMYK samples of one row */
} decoder;

static decoder *decoder_of(j_common_ptr common) {
    return common->client_data;
}

static void on_error(j_common_ptr common) {
    decoder *d = decoder_of(common);
    common->err->format_message(common, d->message);
    longjmp(d->failed, 1);
}

/* libjpeg fills the missing part of a truncated file with grey and only warns. */
static void on_message(j_common_ptr common, int level) {
    if (level < 0 && common->err->msg_code == JWRN_JPEG_EOF)
        on_error(common);
}

static void on_progress(j_common_ptr common) {
    decoder *d = decoder_of(common);
    if (d->info.input_scan_number > MAX_SCANS) {
        snprintf(d->message, sizeof d->message, "more than %d scans", MAX_SCANS);
        longjmp(d->failed, 1);
    }
}

static unsigned char multiply(unsigned a, unsigned b) {
    unsigned product = a * b + 128;
    return (unsigned char)((product + (product >> 8)) >> 8);
}

/* Stored inverted: 255 is no ink. */
static void cmyk_to_rgb(const unsigned char *cmyk, size_t width, unsigned char *rgb) {
    for (size_t x = 0; x < width; x++, cmyk += 4, rgb += 3) {
        for (int c = 0; c < 3; c++) {
            unsigned char ink = multiply(255u - cmyk[c], cmyk[3]);
            rgb[c] = ink < cmyk[3] ? (unsigned char)(cmyk[3] - ink) : 0;
        }
    }
}

static coppice_status start(decoder *d, const char *what, cop_scratch *store, cop_pixels *out,
                            coppice_error *err) {
    struct jpeg_decompress_struct *info = &d->info;
    jpeg_read_header(info, TRUE);
    bool grey = info->jpeg_color_space == JCS_GRAYSCALE;
    bool inks = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
    info->out_color_space = grey ? JCS_GRAYSCALE : inks ? JCS_CMYK : JCS_RGB;
    COP_TRY(cop_pixels_make(out, store, false, info->image_height, info->image_width, grey ? 1 : 3,
                            what, err));
    if (inks && !(d->line = cop_malloc((size_t)info->image_width * 4)))
        return cop_fail_memory(err, (size_t)info->image_width * 4);
    jpeg_start_decompress(info);
    return COPPICE_OK;
}

static void read_lines(decoder *d, const cop_pixels *out, unsigned char *pixels) {
    struct jpeg_decompress_struct *info = &d->info;
    while (info->output_scanline < info->output_height) {
        unsigned char *target = pixels + (size_t)info->output_scanline * (size_t)out->row;
        JSAMPROW row = d->line ? d->line : target;
        jpeg_read_scanlines(info, &row, 1);
        if (d->line)
            cmyk_to_rgb(d->line, info->output_width, target);
    }
    jpeg_finish_decompress(info);
}

bool cop_is_jpeg(const unsigned char *bytes, size_t size) {
    return size >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

coppice_status cop_jpeg_decode(const unsigned char *bytes, size_t size, const char *what,
                               cop_scratch *store, cop_pixels *out, coppice_error *err) {
    /* on the heap: locals that change between setjmp and longjmp would be lost */
    decoder *d = cop_calloc(1, sizeof *d);
    if (!d)
        return cop_fail_memory(err, sizeof *d);
    d->info.err = jpeg_std_error(&d->errors);
    d->errors.error_exit = on_error;
    d->errors.emit_message = on_message;
    d->info.client_data = d;
    coppice_status status;
    if (setjmp(d->failed) == 0) {
        jpeg_create_decompress(&d->info);
        d->info.client_data = d;
        d->info.mem->max_memory_to_use = MAX_MEMORY;
        d->progress.progress_monitor = on_progress;
        d->info.progress = &d->progress;
        jpeg_mem_src(&d->info, bytes, size);
        status = start(d, what, store, out, err);
        if (status == COPPICE_OK)
            read_lines(d, out, store->data);
    } else {
        status =
            cop_fail(err, COPPICE_BAD_DATA, "%s: not a valid JPEG image: %s", what, d->message);
    }
    jpeg_destroy_decompress(&d->info);
    cop_free(d->line);
    cop_free(d);
    return status;
}
