/* Percentiles of measured times. */
#include "base/statistics.h"

#include <stdlib.h>

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void cop_sort_doubles(double *values, size_t count) {
    qsort(values, count, sizeof *values, ascending);
}

double cop_percentile(const double *sorted, size_t count, double share) {
    double rank = share * (double)(count - 1);
    size_t low = (size_t)rank;
    if (low + 1 >= count)
        return sorted[count - 1];
    return sorted[low] + (rank - (double)low) * (sorted[low + 1] - sorted[low]);
}
