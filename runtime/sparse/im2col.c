/* im2col for any kernel, stride, dilation and padding, a few output rows at a time. */
#include "runtime/sparse/im2col.h"

#include <string.h>

enum { CHUNK = 128 }; /* pixels whose pieces are worked out at a time */

/* A piece of one output row under one tap: zeros, inputs, zeros. */
typedef struct piece {
    size_t output;              /* where it begins in the matrix row */
    size_t left, inside, right; /* lengths */
    size_t input;               /* index in the plane of the first input */
} piece;

/* How many of `n` steps x0, x0 + stride, ... lie below `limit`, when x0 may be negative. */
static size_t steps_below(ptrdiff_t x0, size_t stride, size_t n, ptrdiff_t limit) {
    if (x0 >= limit)
        return 0;
    size_t steps = ((size_t)(limit - x0) - 1) / stride + 1;
    return steps < n ? steps : n;
}

/* The pieces of the pixels for the tap (r, s). */
static size_t find_pieces(const cop_conv *conv, size_t r, size_t s, size_t pixel, size_t pixels,
                          piece *pieces) {
    size_t count = 0, done = 0;
    while (done < pixels) {
        size_t y = (pixel + done) / conv->out_w, x = (pixel + done) % conv->out_w;
        size_t n = conv->out_w - x < pixels - done ? conv->out_w - x : pixels - done;
        ptrdiff_t in_y =
            (ptrdiff_t)(y * conv->stride_h + r * conv->dilation_h) - (ptrdiff_t)conv->pad_top;
        ptrdiff_t in_x =
            (ptrdiff_t)(x * conv->stride_w + s * conv->dilation_w) - (ptrdiff_t)conv->pad_left;
        piece p = {.output = done, .left = n};
        if (in_y >= 0 && in_y < (ptrdiff_t)conv->in_h) {
            p.left = steps_below(in_x, conv->stride_w, n, 0);
            p.inside = steps_below(in_x, conv->stride_w, n, (ptrdiff_t)conv->in_w) - p.left;
            p.right = n - p.left - p.inside;
            if (p.inside)
                p.input = (size_t)in_y * conv->in_w +
                          (size_t)(in_x + (ptrdiff_t)(p.left * conv->stride_w));
        }
        pieces[count++] = p;
        done += n;
    }
    return count;
}

/* Pieces are short: calls of memcpy would take longer than the copies. */
static inline void copy_floats(float *to, const float *from, size_t n) {
    for (; n >= 8; n -= 8, to += 8, from += 8)
        memcpy(to, from, 8 * sizeof *to);
    if (n >= 4) {
        memcpy(to, from, 4 * sizeof *to);
        to += 4, from += 4, n -= 4;
    }
    if (n >= 2) {
        memcpy(to, from, 2 * sizeof *to);
        to += 2, from += 2, n -= 2;
    }
    if (n)
        *to = *from;
}

/* A loop of its own: with a constant stride the compiler makes vectors of it. */
static inline void copy_even(float *restrict to, const float *restrict from, size_t n) {
    for (size_t j = 0; j < n; j++)
        to[j] = from[2 * j];
}

/* Copies one channel's pieces into its matrix row. */
static void copy_pieces(const piece *pieces, size_t count, size_t stride, const float *plane,
                        float *row) {
    for (size_t i = 0; i < count; i++) {
        const piece *p = &pieces[i];
        float *to = row + p->output;
        for (size_t j = 0; j < p->left; j++)
            to[j] = 0.0f;
        to += p->left;
        const float *from = plane + p->input;
        if (stride == 1)
            copy_floats(to, from, p->inside);
        else if (stride == 2)
            copy_even(to, from, p->inside);
        else
            for (size_t j = 0; j < p->inside; j++)
                to[j] = from[j * stride];
        to += p->inside;
        for (size_t j = 0; j < p->right; j++)
            to[j] = 0.0f;
    }
}

static void copy_chunk(const cop_conv *conv, const float *input, size_t channels, size_t pixel,
                       size_t pixels, float *output, size_t pitch) {
    piece pieces[CHUNK];
    size_t plane = conv->in_h * conv->in_w, taps = conv->kernel_h * conv->kernel_w;
    for (size_t tap = 0; tap < taps; tap++) {
        size_t count =
            find_pieces(conv, tap / conv->kernel_w, tap % conv->kernel_w, pixel, pixels, pieces);
        for (size_t c = 0; c < channels; c++)
            copy_pieces(pieces, count, conv->stride_w, input + c * plane,
                        output + (c * taps + tap) * pitch);
    }
}

void cop_im2col(const cop_conv *conv, const float *input, size_t channel, size_t channels,
                size_t pixel, size_t pixels, float *output, size_t pitch) {
    size_t plane = conv->in_h * conv->in_w;
    input += channel * plane;
    if (cop_conv_is_pointwise(conv)) {
        for (size_t c = 0; c < channels; c++)
            memcpy(output + c * pitch, input + c * plane + pixel, pixels * sizeof *output);
        return;
    }
    for (size_t done = 0; done < pixels; done += CHUNK)
        copy_chunk(conv, input, channels, pixel + done,
                   pixels - done < CHUNK ? pixels - done : CHUNK, output + done, pitch);
}
