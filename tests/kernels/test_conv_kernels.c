/* Every row of the kernel table against the reference, on every problem of problems.h: results,
 * threads, what is fused into stores, sizes. */
#include <check.h>
#include <float.h>

#include "runtime/kernels/kernels.h"
#include "runtime/kernels/tile.h"
#include "runtime/plan.h"
#include "tests/kernels/harness.h"
#include "tests/unit/unit.h"

/* Every kernel that takes the instance, on 1 and 2 threads, is as close as in->bound says. */
static void check_kernels(const instance *in, const char *name, const guarded *residual) {
    for (size_t i = 0; cop_conv_kernels[i]; i++) {
        const cop_conv_kernel *k = cop_conv_kernels[i];
        guarded one, two;
        if (!run_kernel(k, in, residual, 1, &one))
            continue;
        check_close(k, name, &in->expected, &in->bound, &one);
        ck_assert(run_kernel(k, in, residual, 2, &two));
        ck_assert_msg(memcmp(one.data, two.data, one.count * sizeof(float)) == 0,
                      "%s, %s: 2 threads give another result than 1", k->name, name);
        guarded_free(&one);
        guarded_free(&two);
    }
}

START_TEST(every_kernel_agrees_with_the_reference_on_1_and_2_threads) {
    instance in = instance_new(&problems[_i]);
    check_kernels(&in, problems[_i].name, NULL);
    instance_free(&in);
}
END_TEST

static const cop_activation activations[] = {
    {true, COP_MAP_gelu, 0, 0},         {true, COP_MAP_swish, 1, 0},
    {true, COP_MAP_hardswish, 0, 0},    {true, COP_MAP_sigmoid, 0, 0},
    {true, COP_MAP_leakyrelu, 0.1f, 0}, {true, COP_MAP_hardsigmoid, 0.2f, 0.5f},
    {true, COP_MAP_relu, 0, 0},         {true, COP_MAP_tanh, 0, 0},
    {true, COP_MAP_gelu_tanh, 0, 0},    {true, COP_MAP_mish, 0, 0},
};
enum { ACTIVATIONS = sizeof activations / sizeof *activations };

/* Adds the residual, clamps and applies the activation to results that were made without. No
 * activation here is steeper than 2; a function is off by some units in the last place of its
 * result, or of its argument where it takes a difference. */
static void finish_expected(instance *in, const guarded *residual) {
    const cop_conv *c = &in->conv;
    const cop_kernels *kernels = cop_kernels_of(COPPICE_ISA_SCALAR);
    for (size_t i = 0; i < in->expected.count; i++) {
        float *x = &in->expected.data[i], *bound = &in->bound.data[i];
        if (residual) {
            *bound += FLT_EPSILON * (fabsf(*x) + fabsf(residual->data[i]));
            *x += residual->data[i];
        }
        *x = *x < c->min ? c->min : *x > c->max ? c->max : *x;
        if (!c->activation.there)
            continue;
        *bound = 2 * *bound + 16 * FLT_EPSILON * fabsf(*x);
        kernels->map_f32[c->activation.map](x, x, 1, c->activation.alpha, c->activation.beta);
        *bound += 16 * FLT_EPSILON * fabsf(*x) + FLT_MIN;
    }
}

/* `how`: 1 a residual, 2 an activation, 3 both. */
static void check_fused(const problem *p, int how) {
    instance in = instance_new(p);
    float min = in.conv.min, max = in.conv.max;
    in.conv.min = -INFINITY;
    in.conv.max = INFINITY;
    cop_conv_reference(&in.conv, false, in.input.data, in.expected.data, NULL);
    in.conv.min = min;
    in.conv.max = max;
    in.conv.residual = how & 1;
    if (how & 2)
        in.conv.activation = activations[(p - problems) % ACTIVATIONS];
    guarded residual = guarded_new(in.expected.count);
    for (size_t i = 0; i < residual.count; i++)
        residual.data[i] = (float)(8 * uniform() - 4);
    finish_expected(&in, in.conv.residual ? &residual : NULL);
    check_kernels(&in, p->name, in.conv.residual ? &residual : NULL);
    guarded_free(&residual);
    instance_free(&in);
}

START_TEST(kernels_that_fuse_add_the_residual_clamp_and_apply_the_activation) {
    check_fused(&problems[_i], 1 + _i % 3); /* in turns: threads that wait take long */
}
END_TEST

START_TEST(kernels_in_tiles_support_every_convolution) {
    for (int i = 0; i < problem_count; i++) {
        cop_conv c = conv_of(&problems[i]);
        ck_assert_msg(cop_tile_conv_supports(&c), "%s", problems[i].name);
    }
}
END_TEST

START_TEST(sizes_that_overflow_are_not_supported) {
    const size_t huge = SIZE_MAX / 3;
    cop_conv c = conv_of(&problems[16]);
    size_t *const sizes[] = {&c.batch,    &c.in_channels, &c.out_channels, &c.in_h,
                             &c.in_w,     &c.out_h,       &c.out_w,        &c.kernel_h,
                             &c.kernel_w, &c.stride_h,    &c.dilation_h,   &c.dilation_w,
                             &c.pad_top,  &c.pad_left,    &c.pad_bottom,   &c.pad_right};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t saved = *sizes[i];
        *sizes[i] = huge;
        for (size_t k = 0; cop_conv_kernels[k]; k++)
            ck_assert_msg(cop_conv_kernels[k]->backend != COPPICE_BACKEND_NATIVE ||
                              !cop_conv_kernels[k]->supports(&c),
                          "%s takes size %zu", cop_conv_kernels[k]->name, i);
        *sizes[i] = saved;
    }
}
END_TEST

/* Values of tokens are never turned around for kernels that want planes. */
START_TEST(several_tokens_do_not_lie_in_planes) {
    static const coppice_backend backends[] = {COPPICE_BACKEND_AUTO, COPPICE_BACKEND_XNNPACK,
                                               COPPICE_BACKEND_NATIVE, COPPICE_BACKEND_REFERENCE};
    const float weights[4 * 4] = {1, 0, 0, 2, 0, 3};
    cop_settings settings = {
        .backend = backends[_i], .sparse = COPPICE_SPARSE_ALWAYS, .tune = COPPICE_TUNE_NONE};
    coppice_error err;
    ck_assert(!cop_isa_resolve(COPPICE_ISA_BEST, &settings.isa, &err));
    for (size_t tokens = 1; tokens < 4; tokens++) {
        cop_conv c = cop_conv_of_product(tokens, 4, 4);
        c.weights = weights;
        c.nonzeros = 3;
        cop_node_choices choices;
        ck_assert(!cop_choose_kernel(&settings, &c, &choices, &err));
        ck_assert_int_gt(choices.count, 0);
        for (int i = 0; i < choices.count; i++)
            ck_assert_msg(tokens == 1 || choices.list[i].kernel->form != COP_FORM_PLANES, "%s",
                          choices.list[i].kernel->name);
    }
}
END_TEST

/* A kernel that supports none of the problems would pass unseen. */
START_TEST(every_kernel_supports_some_problem) {
    for (size_t i = 0; cop_conv_kernels[i]; i++) {
        int supported = 0;
        for (int j = 0; j < problem_count; j++) {
            cop_conv c = conv_of(&problems[j]);
            supported += cop_conv_kernels[i]->supports(&c);
        }
        ck_assert_msg(supported > 0, "%s", cop_conv_kernels[i]->name);
    }
}
END_TEST

int main(void) {
    TCase *kernels = tcase_create("kernels");
    tcase_set_timeout(kernels, 120);
    tcase_add_loop_test(kernels, every_kernel_agrees_with_the_reference_on_1_and_2_threads, 0,
                        problem_count);
    tcase_add_loop_test(kernels, kernels_that_fuse_add_the_residual_clamp_and_apply_the_activation,
                        0, problem_count);
    tcase_add_test(kernels, kernels_in_tiles_support_every_convolution);
    tcase_add_test(kernels, sizes_that_overflow_are_not_supported);
    tcase_add_loop_test(kernels, several_tokens_do_not_lie_in_planes, 0, 4);
    tcase_add_test(kernels, every_kernel_supports_some_problem);
    return unit_run("conv_kernels", kernels);
}
