/* Every row of the kernel table on values that are easily got wrong: denormals, NaN and infinities;
 * and when memory is short. */
#include <check.h>

#include "base/memory.h"
#include "tests/kernels/harness.h"
#include "tests/unit/unit.h"

static void check_zero(const instance *in, const char *name) {
    for (size_t i = 0; cop_conv_kernels[i]; i++)
        for (unsigned threads = 1; threads <= 2; threads++) {
            guarded got;
            if (!run_kernel(cop_conv_kernels[i], in, NULL, threads, &got))
                continue;
            for (size_t j = 0; j < got.count; j++)
                if (got.data[j] != 0)
                    ck_abort_msg("%s, %s: output %zu is %g", cop_conv_kernels[i]->name, name, j,
                                 (double)got.data[j]);
            guarded_free(&got);
        }
}

/* 1e-40 * 1e20 is 1e-20 where denormals count, 0 where they are flushed. */
START_TEST(every_kernel_takes_denormals_for_zero) {
    const problem *p = &problems[_i * 4 + 3]; /* every fourth is enough */
    instance in = instance_new(p);
    in.conv.bias = NULL;
    in.conv.min = -INFINITY;
    in.conv.max = INFINITY;
    for (size_t i = 0; i < in.input.count; i++)
        in.input.data[i] = 1e-40f;
    for (size_t i = 0; i < in.weights.count; i++)
        in.weights.data[i] *= 1e20f;
    check_zero(&in, p->name);
    for (size_t i = 0; i < in.input.count; i++)
        in.input.data[i] = 1e20f;
    for (size_t i = 0; i < in.weights.count; i++)
        in.weights.data[i] = in.weights.data[i] == 0 ? 0 : 1e-40f;
    check_zero(&in, p->name);
    instance_free(&in);
}
END_TEST

/* Input channel 0 is NaN, and every weight on it is zero. */
START_TEST(sparse_kernels_skip_inputs_under_pruned_weights) {
    const problem *p = &problems[_i * 2 + 1]; /* every second is enough */
    instance in = instance_new(p);
    cop_conv *c = &in.conv;
    size_t taps = c->kernel_h * c->kernel_w, plane = c->in_h * c->in_w;
    for (size_t o = 0; o < c->out_channels / c->groups; o++)
        for (size_t t = 0; t < taps; t++)
            in.weights.data[o * in.row + t] = 0.0f;
    for (size_t n = 0; n < c->batch; n++)
        for (size_t i = 0; i < plane; i++)
            in.input.data[n * c->in_channels * plane + i] = NAN;
    for (size_t i = 0; cop_conv_kernels[i]; i++) {
        guarded got;
        if (!cop_conv_kernels[i]->sparse || !run_kernel(cop_conv_kernels[i], &in, NULL, 1, &got))
            continue;
        for (size_t j = 0; j < got.count; j++)
            if (isnan(got.data[j]))
                ck_abort_msg("%s, %s", cop_conv_kernels[i]->name, p->name);
        guarded_free(&got);
    }
    instance_free(&in);
}
END_TEST

/* The last input channel of each group has a NaN and an infinity in it. Blocks of four output
 * channels (of a group) have turn about all weights on that channel and none. */
static void put_odd_values(instance *in) {
    cop_conv *c = &in->conv;
    size_t taps = c->kernel_h * c->kernel_w, plane = c->in_h * c->in_w;
    size_t rows = c->out_channels / c->groups, channels = c->in_channels / c->groups;
    for (size_t o = 0; o < c->out_channels; o++)
        for (size_t t = in->row - taps; t < in->row; t++)
            in->weights.data[o * in->row + t] = o % rows / 4 % 2 == 0 ? 0.5f : 0.0f;
    c->nonzeros = 0;
    for (size_t i = 0; i < in->weights.count; i++)
        c->nonzeros += in->weights.data[i] != 0;
    for (size_t i = 0; i < c->batch * c->groups; i++) {
        float *last = in->input.data + ((i + 1) * channels - 1) * plane;
        last[plane / 2] = INFINITY;
        last[plane - 1] = NAN;
    }
}

/* NaN or the same number, so that infinities are equal too. */
static bool same(float a, float b) {
    return isnan(a) ? isnan(b) : a == b;
}

START_TEST(infinities_and_nan_come_through_where_a_weight_is_kept_and_only_there) {
    const problem *p = &problems[_i];
    instance in = instance_new(p);
    put_odd_values(&in);
    cop_conv_reference(&in.conv, false, in.input.data, in.expected.data, NULL);
    guarded finite = guarded_new(in.expected.count); /* as it were without clamp */
    cop_conv unclamped = in.conv;
    unclamped.min = -INFINITY;
    unclamped.max = INFINITY;
    cop_conv_reference(&unclamped, false, in.input.data, finite.data, NULL);
    for (size_t i = 0; cop_conv_kernels[i]; i++) {
        const cop_conv_kernel *k = cop_conv_kernels[i];
        guarded got;
        if (k->backend == COPPICE_BACKEND_XNNPACK || !run_kernel(k, &in, NULL, 1, &got))
            continue;
        for (size_t j = 0; j < got.count; j++) {
            bool odd = !isfinite(finite.data[j]);
            if (odd && !same(got.data[j], in.expected.data[j]))
                ck_abort_msg("%s, %s: output %zu is %g, expected %g", k->name, p->name, j,
                             (double)got.data[j], (double)in.expected.data[j]);
            if (!odd && k->sparse && !isfinite(got.data[j]))
                ck_abort_msg("%s, %s: output %zu is %g, all its inputs are finite", k->name,
                             p->name, j, (double)got.data[j]);
        }
        guarded_free(&got);
    }
    guarded_free(&finite);
    instance_free(&in);
}
END_TEST

/* A heap whose call number `fail_at` fails; `live` blocks are not freed yet. */
typedef struct short_heap {
    int calls, fail_at, live;
} short_heap;

static void *allocate(void *cookie, void *block, size_t bytes) {
    short_heap *heap = cookie;
    if (bytes == 0) {
        heap->live -= block != NULL;
        free(block);
        return NULL;
    }
    if (++heap->calls == heap->fail_at)
        return NULL;
    heap->live += block == NULL;
    return realloc(block, bytes);
}

START_TEST(kernels_are_not_made_when_memory_is_short_and_leave_nothing) {
    const problem *p = &problems[_i * 5 + 1]; /* every fifth is enough */
    instance in = instance_new(p);
    const coppice_threadpool *pool = pool_of(2);
    for (size_t i = 0; cop_conv_kernels[i]; i++) {
        const cop_conv_kernel *k = cop_conv_kernels[i];
        if (!kernel_applies(k, &in.conv) || k->backend == COPPICE_BACKEND_XNNPACK)
            continue;
        coppice_status status = COPPICE_OUT_OF_MEMORY;
        for (int at = 1; status == COPPICE_OUT_OF_MEMORY; at++) {
            short_heap heap = {.fail_at = at};
            const coppice_host host = {.cookie = &heap, .allocate = allocate};
            const coppice_host *before = cop_memory_enter(&host);
            coppice_error err = {0};
            void *state = NULL;
            status = k->create(&in.conv, pool, &state, &err);
            ck_assert_msg(status == COPPICE_OK || !state, "%s, %s", k->name, p->name);
            if (status == COPPICE_OK)
                k->destroy(state);
            cop_memory_enter(before);
            ck_assert_msg(heap.live == 0, "%s, %s: %d blocks are left when allocation %d fails",
                          k->name, p->name, heap.live, at);
        }
        ck_assert(status == COPPICE_OK || status == COPPICE_UNSUPPORTED);
    }
    instance_free(&in);
}
END_TEST

int main(void) {
    TCase *values = tcase_create("values");
    tcase_set_timeout(values, 120);
    tcase_add_loop_test(values, every_kernel_takes_denormals_for_zero, 0, problem_count / 4);
    tcase_add_loop_test(values, sparse_kernels_skip_inputs_under_pruned_weights, 0,
                        problem_count / 2);
    tcase_add_loop_test(values,
                        infinities_and_nan_come_through_where_a_weight_is_kept_and_only_there, 0,
                        problem_count);
    tcase_add_loop_test(values, kernels_are_not_made_when_memory_is_short_and_leave_nothing, 0,
                        problem_count / 5);
    return unit_run("conv_values", values);
}
