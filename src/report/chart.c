/* Chart.js, where the build found it. */
#include "report/chart.h"

#ifdef COP_CHART_JS
__asm__(".pushsection .rodata\n"
        ".hidden cop_chart_text\n"
        ".hidden cop_chart_end\n"
        ".global cop_chart_text\n"
        ".global cop_chart_end\n"
        "cop_chart_text:\n"
        ".incbin \"" COP_CHART_JS "\"\n"
        "cop_chart_end:\n"
        ".popsection\n");
extern const char cop_chart_text[] __attribute__((visibility("hidden")));
extern const char cop_chart_end[] __attribute__((visibility("hidden")));

const char *cop_chart_js(size_t *bytes) {
    *bytes = (size_t)(cop_chart_end - cop_chart_text);
    return cop_chart_text;
}
#else
const char *cop_chart_js(size_t *bytes) {
    *bytes = 0;
    return NULL;
}
#endif
