/* Running kernels between forbidden pages; see harness.h. */
#include "tests/kernels/harness.h"

#include <check.h>

#include "runtime/layout.h"

enum { RUNS = 2 };
static const uint32_t poisons[RUNS] = {0x7fc0dead, 0x7e8f1234}; /* NaN, 9.5e37 */

coppice_threadpool *pool_of(unsigned threads) {
    static coppice_threadpool *pools[3];
    if (!pools[threads])
        ck_assert_int_eq(coppice_threadpool_create(threads, &pools[threads], NULL), COPPICE_OK);
    return pools[threads];
}

bool kernel_applies(const cop_conv_kernel *k, const cop_conv *conv) {
    bool fused = conv->residual || conv->activation.there;
    return cop_isa_available(k->isa) && k->supports(conv) && (k->fuses || !fused);
}

/* A side of a convolution: images as a kernel's form has them. */
typedef struct images {
    cop_conv_form form;
    size_t batch, channels, pixels;
    bool tiled;
    cop_tiles tiles;
    size_t floats; /* with what lies behind the last position */
} images;

static images images_of(cop_conv_form form, size_t batch, size_t channels, size_t h, size_t w) {
    images s = {.form = form, .batch = batch, .channels = channels, .pixels = h * w};
    const coppice_tensor t = {.type = COPPICE_TYPE_FLOAT,
                              .rank = 4,
                              .dims = {(int64_t)batch, (int64_t)channels, (int64_t)h, (int64_t)w}};
    s.floats = batch * channels * h * w;
    s.tiled = form == COP_FORM_TILES && cop_layout_fits(COP_LAYOUT_TILES, &t);
    if (s.tiled) {
        s.tiles = cop_tiles_of(&t, COP_LAYOUT_TILES);
        s.floats = s.tiles.count * s.tiles.channels * s.tiles.tile;
    }
    return s;
}

/* Where element i of [batch][channels][pixels] is. */
static size_t place(const images *s, size_t i) {
    size_t image = i / (s->channels * s->pixels), c = i / s->pixels % s->channels;
    size_t q = image * s->pixels + i % s->pixels;
    if (s->tiled)
        return (q / s->tiles.tile * s->channels + c) * s->tiles.tile + q % s->tiles.tile;
    return s->form == COP_FORM_CHANNELS_LAST ? q * s->channels + c : i;
}

static guarded formed(const images *s, const guarded *plain, int run) {
    guarded g = guarded_new_as(s->floats, (guarded_side)run, poisons[run]);
    for (size_t i = 0; i < plain->count; i++)
        g.data[place(s, i)] = plain->data[i];
    return g;
}

static guarded plain(const images *s, const guarded *from) {
    guarded g = guarded_new(s->batch * s->channels * s->pixels);
    for (size_t i = 0; i < g.count; i++)
        g.data[i] = from->data[place(s, i)];
    return g;
}

static guarded run_once(const cop_conv_kernel *k, void *state, const instance *p,
                        const guarded *residual, const coppice_threadpool *pool, int run) {
    const cop_conv *c = &p->conv;
    images from = images_of(k->form, c->batch, c->in_channels, c->in_h, c->in_w);
    images to = images_of(k->form, c->batch, c->out_channels, c->out_h, c->out_w);
    guarded in = formed(&from, &p->input, run);
    guarded out = guarded_new_as(to.floats, (guarded_side)run, poisons[run]);
    guarded added = residual ? formed(&to, residual, run) : guarded_new(0);
    size_t scratch_bytes = k->scratch ? k->scratch(state) : 0;
    guarded scratch = guarded_new_as((scratch_bytes + 3) / 4, (guarded_side)run, poisons[run]);
    guarded *target = residual && run == 1 ? &added : &out;
    cop_conv_io io = {.input = in.data,
                      .residual = residual ? added.data : NULL,
                      .output = target->data,
                      .scratch = scratch_bytes ? scratch.data : NULL};
    coppice_error err = {0};
    ck_assert_msg(k->run(state, &io, pool, &err) == COPPICE_OK, "%s: %s", k->name, err.message);
    ck_assert_msg(guarded_intact(&in) && guarded_intact(&out) && guarded_intact(&added) &&
                      guarded_intact(&scratch),
                  "%s: wrote outside its buffers", k->name);
    guarded result = plain(&to, target);
    guarded_free(&in);
    guarded_free(&out);
    guarded_free(&added);
    guarded_free(&scratch);
    return result;
}

bool run_kernel(const cop_conv_kernel *k, const instance *in, const guarded *residual,
                unsigned threads, guarded *result) {
    const coppice_threadpool *pool = pool_of(threads);
    coppice_error err = {0};
    void *state = NULL;
    if (!kernel_applies(k, &in->conv))
        return false;
    coppice_status status = k->create(&in->conv, pool, &state, &err);
    if (status == COPPICE_UNSUPPORTED) {
        ck_assert_ptr_null(state);
        return false;
    }
    ck_assert_msg(status == COPPICE_OK, "%s: %s", k->name, err.message);
    guarded_allow(&in->weights, false);
    guarded_allow(&in->bias, false);
    *result = run_once(k, state, in, residual, pool, 0);
    guarded second = run_once(k, state, in, residual, pool, 1);
    guarded_allow(&in->weights, true);
    guarded_allow(&in->bias, true);
    ck_assert_msg(memcmp(result->data, second.data, second.count * sizeof(float)) == 0,
                  "%s: a second run differs, with other memory around it", k->name);
    guarded_free(&second);
    k->destroy(state);
    return true;
}

void check_close(const cop_conv_kernel *k, const char *name, const guarded *expected,
                 const guarded *bound, const guarded *got) {
    for (size_t i = 0; i < got->count; i++) {
        float difference = fabsf(got->data[i] - expected->data[i]);
        if (!(difference <= bound->data[i])) /* an assertion costs a write to a file */
            ck_abort_msg("%s, %s: output %zu is %g, expected %g within %g", k->name, name, i,
                         (double)got->data[i], (double)expected->data[i], (double)bound->data[i]);
    }
}
