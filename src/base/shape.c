/* Shapes: compared, and as text for messages. */
#include "base/shape.h"

#include <stdio.h>
#include <string.h>

#include "base/size.h"

cop_text cop_declared_text(int rank, const int64_t *dims, const char *const *symbols) {
    cop_text text = {"["};
    const size_t room = sizeof text.s - 1; /* for the bracket at the end */
    size_t used = 1;
    for (int i = 0; i < rank && i < COPPICE_MAX_RANK; i++) {
        const char *comma = i ? "," : "", *symbol = symbols && symbols[i] ? symbols[i] : "?";
        int n = dims[i] < 0
                    ? snprintf(text.s + used, room - used, "%s%s", comma, symbol)
                    : snprintf(text.s + used, room - used, "%s%lld", comma, (long long)dims[i]);
        used = cop_smaller(used + (n > 0 ? (size_t)n : 0), room - 1);
    }
    snprintf(text.s + used, sizeof text.s - used, "]");
    return text;
}

cop_text cop_dims_text(uint32_t rank, const int64_t *dims) {
    cop_text text = {"["};
    size_t used = 1;
    for (uint32_t i = 0; i < rank && i < COPPICE_MAX_RANK; i++)
        used += (size_t)snprintf(text.s + used, sizeof text.s - used, "%s%lld", i ? "," : "",
                                 (long long)dims[i]);
    snprintf(text.s + used, sizeof text.s - used, "]");
    return text;
}

cop_text cop_shape_text(const coppice_tensor *tensor) {
    return cop_dims_text(tensor->rank, tensor->dims);
}

bool cop_same_shape(const coppice_tensor *a, const coppice_tensor *b) {
    return a->rank == b->rank && memcmp(a->dims, b->dims, a->rank * sizeof *a->dims) == 0;
}

size_t cop_dims_product(const int64_t *dims, uint32_t begin, uint32_t end) {
    size_t count = 1;
    for (uint32_t i = begin; i < end; i++)
        count *= (size_t)dims[i];
    return count;
}
