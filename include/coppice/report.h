/* Reports: one HTML page that holds all it needs, of facts, tables and bars.
 *
 * Texts may hold anything: they are escaped. Functions that add do nothing once memory was short;
 * coppice_html_write says so. Threads: a page is used by one thread at a time. */
#ifndef COPPICE_REPORT_H
#define COPPICE_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include <coppice/export.h>
#include <coppice/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct coppice_html coppice_html;

/* An empty page. Owned by the caller, free with coppice_html_free; NULL on failure. */
COPPICE_API coppice_status coppice_html_create(const char *title, coppice_html **out,
                                               coppice_error *error);
COPPICE_API void coppice_html_free(coppice_html *page);

/* A line "name: value" at the place it is added. */
COPPICE_API void coppice_html_fact(coppice_html *page, const char *name, const char *value);

/* cells: [rows][columns]; a NULL is an empty one. */
COPPICE_API void coppice_html_table(coppice_html *page, const char *title,
                                    const char *const *titles, size_t columns,
                                    const char *const *cells, size_t rows);

/* One bar per label and series, side by side. */
typedef struct coppice_html_series {
    const char *name;
    const double *values; /* one per label; negative or NaN: no bar */
} coppice_html_series;
COPPICE_API void coppice_html_bars(coppice_html *page, const char *title, const char *unit,
                                   const char *const *labels, size_t count,
                                   const coppice_html_series *series, size_t series_count);

/* The file appears complete or not at all. Errors: EXISTS (without `overwrite`), IO, OUT_OF_MEMORY.
 */
COPPICE_API coppice_status coppice_html_write(const coppice_html *page, const char *path,
                                              bool overwrite, coppice_error *error);

#ifdef __cplusplus
}
#endif

#endif
