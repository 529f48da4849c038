/* Chart.js, where the build found it. */
#ifndef COP_REPORT_CHART_H
#define COP_REPORT_CHART_H

#include <stddef.h>

/* The text of the library with its licence note at the start; NULL: this build has none. */
const char *cop_chart_js(size_t *bytes);

#endif
