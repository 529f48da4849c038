/* Configure-time test: the installed archive's sparse microkernel computes what backend/xnnpack.c
 * expects of it. Two rows over three channels of 33 pixels, clamped to 300. */
#include <stddef.h>
#include <stdint.h>

struct minmax {
    float min, max;
};

void xnn_f32_spmm_minmax_ukernel_32x1__sse(size_t mc, size_t nc, const float *input,
                                           const float *weights, const int32_t *widx_dmap,
                                           const uint32_t *nidx_nnzmap, float *output,
                                           size_t output_stride, const struct minmax *params);

enum { PIXELS = 33, CHANNELS = 3, ROWS = 2 };

int main(void) {
    static float input[CHANNELS * PIXELS + 16], output[ROWS * PIXELS];
    for (int i = 0; i < CHANNELS * PIXELS; i++)
        input[i] = (float)i;
    /* Row 0: 1 + 2 * channel 0 + 3 * channel 2; row 1: 5 + 4 * channel 1. */
    static const float weights[] = {1, 2, 3, 5, 4};
    enum { STEP = PIXELS * sizeof(float) };
    static const int32_t steps[] = {2 * STEP, -1 * STEP, -1 * STEP};
    static const uint32_t counts[] = {2, 1};
    const struct minmax limits = {-1000.0f, 300.0f};
    xnn_f32_spmm_minmax_ukernel_32x1__sse(PIXELS * sizeof(float), ROWS, input, weights, steps,
                                          counts, output, STEP, &limits);
    for (int p = 0; p < PIXELS; p++) {
        float first = 1 + 2 * input[p] + 3 * input[2 * PIXELS + p];
        float second = 5 + 4 * input[PIXELS + p];
        if (output[p] != (first > 300 ? 300 : first) ||
            output[PIXELS + p] != (second > 300 ? 300 : second))
            return 1;
    }
    return 0;
}
