/* The range of a tensor's values, whatever its type. */
#include <math.h>
#include <stdlib.h>

#include <coppice/metrics.h>

#include "base/narrow.h"
#include "data/convert.h"

/* Element `index` of a type that has numbers, else NaN. */
static double element(const coppice_tensor *tensor, int64_t index) {
    if (cop_is_numpy_float(tensor->type))
        return cop_load_float(tensor->type, tensor->data, index);
    if (tensor->type == COPPICE_TYPE_UINT64)
        return (double)((const uint64_t *)tensor->data)[index];
    if (cop_is_numpy_integer(tensor->type))
        return (double)cop_load_integer(tensor->type, tensor->data, index, NULL);
    if (!cop_is_narrow_type(tensor->type))
        return NAN;
    union {
        float number;
        int8_t is_signed;
        uint8_t is_unsigned;
    } wide;
    cop_narrow_unpack(tensor->type, tensor->data, (size_t)index, 1, &wide);
    coppice_type held = cop_wide_type(tensor->type);
    return held == COPPICE_TYPE_FLOAT  ? (double)wide.number
           : held == COPPICE_TYPE_INT8 ? (double)wide.is_signed
                                       : (double)wide.is_unsigned;
}

void coppice_tensor_range(const coppice_tensor *tensor, double *min, double *max, double *mean) {
    int64_t count = coppice_tensor_count(tensor);
    double low = INFINITY, high = -INFINITY, sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double value = element(tensor, i);
        low = value < low ? value : low;
        high = value > high ? value : high;
        sum += value;
    }
    bool numbers = count > 0 && !isnan(sum);
    *min = numbers ? low : NAN;
    *max = numbers ? high : NAN;
    *mean = numbers ? sum / (double)count : NAN;
}
