/* Percentiles of measured times. */
#ifndef COP_BASE_STATISTICS_H
#define COP_BASE_STATISTICS_H

#include <stddef.h>

/* Sorts in place, smallest first. No value may be NaN. */
void cop_sort_doubles(double *values, size_t count);

/* The value that `share` (0 .. 1) of the sorted values, at least one, lie below: interpolated
 * linearly between the two nearest ranks. 0.5: the median. */
double cop_percentile(const double *sorted, size_t count, double share);

#endif
