/* What timing one layer says about others. Nothing here depends on how long anything takes. */
#include "runtime/measure.h"
#include "unit.h"

enum { CHANNELS = 16 };

/* A 1x1 convolution over images of width x width. */
static cop_conv conv_of(size_t width, const float *weights) {
    cop_conv conv = cop_conv_of_product(width, CHANNELS, CHANNELS);
    conv.in_h = conv.out_h = width;
    conv.weights = weights;
    conv.nonzeros = CHANNELS * CHANNELS;
    conv.tokens = false;
    return conv;
}

static cop_node_choices tile_kernels(const cop_conv *conv) {
    cop_node_choices choices = {0};
    for (const cop_conv_kernel *const *k = cop_conv_kernels; *k && choices.count < 2; k++) {
        if ((*k)->form == COP_FORM_TILES && cop_isa_allows(COPPICE_ISA_SCALAR, (*k)->isa) &&
            (*k)->supports(conv))
            choices.list[choices.count++] = (cop_choice){.kernel = *k, .layout = COP_LAYOUT_TILES};
    }
    ck_assert_int_gt(choices.count, 0);
    return choices;
}

/* Squeeze-excite blocks hold a 1x1 convolution over one position between large ones. */
START_TEST(one_position_says_nothing_about_images) {
    static float weights[CHANNELS * CHANNELS];
    for (size_t i = 0; i < CHANNELS * CHANNELS; i++)
        weights[i] = (float)(i % 7) - 3.5f;
    const cop_settings settings = {.isa = COPPICE_ISA_SCALAR, .tune = COPPICE_TUNE_FAST};
    coppice_error err;
    cop_tuner tuner = {.settings = &settings, .err = &err};
    const cop_conv vector = conv_of(1, weights), image = conv_of(9, weights),
                   larger = conv_of(14, weights);
    cop_node_choices choices = tile_kernels(&image);
    ck_assert_int_eq(cop_tuner_measure(&tuner, &vector, &choices), COPPICE_OK);
    ck_assert(cop_tuner_knows(&tuner, &vector, &choices));
    ck_assert(!cop_tuner_knows(&tuner, &image, &choices));
    ck_assert_int_eq(cop_tuner_measure(&tuner, &image, &choices), COPPICE_OK);
    ck_assert(cop_tuner_knows(&tuner, &larger, &choices));
    cop_tuner_free(&tuner);
}
END_TEST

/* A depthwise convolution that skips every other pixel loads what it does not use. */
START_TEST(strides_run_at_rates_of_their_own) {
    static const float weights[CHANNELS * CHANNELS] = {1};
    const cop_settings settings = {.isa = COPPICE_ISA_SCALAR, .tune = COPPICE_TUNE_FAST};
    coppice_error err;
    cop_tuner tuner = {.settings = &settings, .err = &err};
    cop_conv even = conv_of(10, weights), strided = even;
    strided.stride_h = strided.stride_w = 2;
    strided.out_h = strided.out_w = 5;
    cop_node_choices choices = tile_kernels(&strided);
    ck_assert_int_eq(cop_tuner_measure(&tuner, &strided, &choices), COPPICE_OK);
    ck_assert(cop_tuner_knows(&tuner, &strided, &choices));
    ck_assert(!cop_tuner_knows(&tuner, &even, &choices));
    cop_tuner_free(&tuner);
}
END_TEST

/* A layer whose weights are in blocks of four outputs is not one whose weights are not. */
START_TEST(weights_are_known_whichever_way_they_lie) {
    static float weights[CHANNELS * CHANNELS], turned[CHANNELS * CHANNELS];
    for (size_t out = 0; out < CHANNELS; out++)
        for (size_t in = 0; in < CHANNELS; in++)
            weights[out * CHANNELS + in] = turned[in * CHANNELS + out] =
                (out / 4 + in) % 4 ? 0.0f : 1.5f;
    const cop_settings settings = {.isa = COPPICE_ISA_SCALAR, .tune = COPPICE_TUNE_FAST};
    coppice_error err;
    cop_tuner tuner = {.settings = &settings, .err = &err};
    cop_conv conv = conv_of(9, weights);
    conv.nonzeros = CHANNELS * CHANNELS / 4;
    cop_node_choices choices = tile_kernels(&conv);
    ck_assert_int_eq(cop_tuner_recall(&tuner, &conv, &choices), COP_TUNE_UNKNOWN);
    ck_assert_int_eq(cop_tuner_measure(&tuner, &conv, &choices), COPPICE_OK);
    ck_assert_int_ne(cop_tuner_recall(&tuner, &conv, &choices), COP_TUNE_UNKNOWN);
    conv.weights = turned;
    ck_assert_int_eq(cop_tuner_recall(&tuner, &conv, &choices), COP_TUNE_UNKNOWN);
    conv.weights = NULL;
    conv.turned = turned;
    ck_assert_int_ne(cop_tuner_recall(&tuner, &conv, &choices), COP_TUNE_UNKNOWN);
    cop_tuner_free(&tuner);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("tuner");
    tcase_add_test(tests, one_position_says_nothing_about_images);
    tcase_add_test(tests, strides_run_at_rates_of_their_own);
    tcase_add_test(tests, weights_are_known_whichever_way_they_lie);
    return unit_run("tuner", tests);
}
