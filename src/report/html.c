/* HTML pages of facts, tables and bars. */
#include <coppice/report.h>

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "report/chart.h"

struct coppice_html {
    char *text;
    size_t used, capacity;
    int charts;
    bool failed; /* memory was short */
};

static const char *const colours[] = {"#8a9bb0", "#2f7d4f", "#c7762b", "#7b4fa3"};
enum { COLOURS = sizeof colours / sizeof *colours };

/* ---- text ---- */

static void add_bytes(coppice_html *p, const char *bytes, size_t count) {
    if (p->failed)
        return;
    if (p->capacity - p->used < count) {
        size_t wanted = 2 * p->capacity + count + 4096;
        char *text = cop_realloc(p->text, wanted);
        if (!text) {
            p->failed = true;
            return;
        }
        p->text = text;
        p->capacity = wanted;
    }
    memcpy(p->text + p->used, bytes, count);
    p->used += count;
}

static void add(coppice_html *p, const char *text) {
    add_bytes(p, text, strlen(text));
}

static void add_format(coppice_html *p, const char *format, ...) COP_PRINTF(2, 3);
static void add_format(coppice_html *p, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    add(p, text);
}

/* Bytes of the UTF-8 character at `s`, 0 when it is none. */
static size_t character(const unsigned char *s) {
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
               : (s[0] & 0xf0) == 0xe0       ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                             : 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

/* Text that may stand anywhere, also between quotes and, with `script`, in a string of a script. */
static void add_safe(coppice_html *p, const char *text, bool script) {
    for (const unsigned char *s = (const unsigned char *)(text ? text : ""); *s;) {
        size_t n = character(s);
        if (n == 0)
            add(p, "\xef\xbf\xbd");
        else if (n > 1 && !(script && s[0] == 0xe2 && s[1] == 0x80)) /* U+2028 ends lines there */
            add_bytes(p, (const char *)s, n);
        else if (n > 1)
            add(p, " ");
        else if (*s < 0x20 || *s == 0x7f)
            add(p, " ");
        else if (strchr("<>&\"'\\", *s))
            add_format(p, script ? "\\u%04x" : "&#%d;", *s);
        else
            add_bytes(p, (const char *)s, 1);
        s += n ? n : 1;
    }
}

/* ---- the page ---- */

coppice_status coppice_html_create(const char *title, coppice_html **out, coppice_error *error) {
    coppice_html *p = cop_calloc(1, sizeof *p);
    *out = p;
    if (!p)
        return cop_fail_memory(error, sizeof *p);
    add(p, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>");
    add_safe(p, title, false);
    add(p, "</title>\n<style>body{font:14px sans-serif;margin:2em;color:#222}"
           "table{border-collapse:collapse;margin:1em 0}td,th{padding:2px 10px;text-align:left;"
           "border-bottom:1px solid #ddd;white-space:nowrap}.fact b{display:inline-block;"
           "min-width:8em}svg text{font:11px sans-serif}</style>\n");
    size_t bytes;
    const char *chart = cop_chart_js(&bytes);
    if (chart) {
        add(p, "<script>\n");
        add_bytes(p, chart, bytes);
        add(p, "\n</script>\n");
    }
    add(p, "</head><body>\n<h1>");
    add_safe(p, title, false);
    add(p, "</h1>\n");
    return COPPICE_OK;
}

void coppice_html_free(coppice_html *page) {
    if (!page)
        return;
    cop_free(page->text);
    cop_free(page);
}

void coppice_html_fact(coppice_html *p, const char *name, const char *value) {
    add(p, "<div class=\"fact\"><b>");
    add_safe(p, name, false);
    add(p, "</b> ");
    add_safe(p, value, false);
    add(p, "</div>\n");
}

static void add_title(coppice_html *p, const char *title) {
    add(p, "<h2>");
    add_safe(p, title, false);
    add(p, "</h2>\n");
}

void coppice_html_table(coppice_html *p, const char *title, const char *const *titles,
                        size_t columns, const char *const *cells, size_t rows) {
    add_title(p, title);
    add(p, "<table><tr>");
    for (size_t c = 0; c < columns; c++) {
        add(p, "<th>");
        add_safe(p, titles[c], false);
        add(p, "</th>");
    }
    for (size_t r = 0; r < rows; r++) {
        add(p, "</tr>\n<tr>");
        for (size_t c = 0; c < columns; c++) {
            add(p, "<td>");
            add_safe(p, cells[r * columns + c], false);
            add(p, "</td>");
        }
    }
    add(p, "</tr>\n</table>\n");
}

/* ---- bars ---- */

typedef struct bars {
    const char *unit;
    const char *const *labels;
    size_t count;
    const coppice_html_series *series;
    size_t series_count;
} bars;

static bool is_bar(double value) {
    return isfinite(value) && value >= 0;
}

/* Drawn without any script. */
static void add_svg(coppice_html *p, const bars *b) {
    enum { LEFT = 320, WIDTH = 560, BAR = 9 };
    double most = 0;
    for (size_t s = 0; s < b->series_count; s++)
        for (size_t i = 0; i < b->count; i++)
            most = is_bar(b->series[s].values[i]) ? fmax(most, b->series[s].values[i]) : most;
    size_t step = b->series_count * BAR + 6;
    add_format(p, "<svg width=\"%d\" height=\"%zu\">\n", LEFT + WIDTH + 90, b->count * step + 24);
    for (size_t s = 0; s < b->series_count; s++) {
        add_format(p, "<text x=\"%zu\" y=\"12\" fill=\"%s\">", LEFT + s * 120,
                   colours[s % COLOURS]);
        add_safe(p, b->series[s].name, false);
        add(p, "</text>");
    }
    for (size_t i = 0; i < b->count; i++) {
        add_format(p, "<text x=\"%d\" y=\"%zu\" text-anchor=\"end\">", LEFT - 6, i * step + 31);
        add_safe(p, b->labels[i], false);
        add(p, "</text>");
        for (size_t s = 0; s < b->series_count; s++) {
            double value = b->series[s].values[i];
            size_t y = 22 + i * step + s * BAR;
            double width = most > 0 && is_bar(value) ? WIDTH * value / most : 0;
            if (is_bar(value))
                add_format(p,
                           "<rect x=\"%d\" y=\"%zu\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>"
                           "<text x=\"%.1f\" y=\"%zu\">%.4g</text>\n",
                           LEFT, y, width, BAR - 1, colours[s % COLOURS], LEFT + width + 4, y + 8,
                           value);
        }
    }
    add(p, "</svg>\n");
}

static void add_canvas(coppice_html *p, const bars *b) {
    int id = ++p->charts;
    add_format(p,
               "<div style=\"width:1000px;height:%zupx\"><canvas id=\"chart%d\"></canvas></div>\n"
               "<script>new Chart(document.getElementById('chart%d'),{type:'bar',data:{labels:[",
               b->count * b->series_count * 11 + 90, id, id);
    for (size_t i = 0; i < b->count; i++) {
        add(p, i ? ",\"" : "\"");
        add_safe(p, b->labels[i], true);
        add(p, "\"");
    }
    add(p, "],datasets:[");
    for (size_t s = 0; s < b->series_count; s++) {
        add(p, s ? ",{label:\"" : "{label:\"");
        add_safe(p, b->series[s].name, true);
        add_format(p, "\",backgroundColor:'%s',data:[", colours[s % COLOURS]);
        for (size_t i = 0; i < b->count; i++) {
            double value = b->series[s].values[i];
            add_format(p, is_bar(value) ? "%s%.6g" : "%snull", i ? "," : "", value);
        }
        add(p, "]}");
    }
    add(p, "]},options:{indexAxis:'y',animation:false,maintainAspectRatio:false,scales:{y:{ticks:"
           "{autoSkip:false}},x:{title:{display:true,text:\"");
    add_safe(p, b->unit, true);
    add(p, "\"}}}}});</script>\n<noscript>\n");
    add_svg(p, b);
    add(p, "</noscript>\n");
}

void coppice_html_bars(coppice_html *p, const char *title, const char *unit,
                       const char *const *labels, size_t count, const coppice_html_series *series,
                       size_t series_count) {
    const bars b = {unit, labels, count, series, series_count};
    size_t bytes;
    add_title(p, title);
    if (cop_chart_js(&bytes))
        add_canvas(p, &b);
    else
        add_svg(p, &b);
}

coppice_status coppice_html_write(const coppice_html *page, const char *path, bool overwrite,
                                  coppice_error *error) {
    static const char end[] = "</body></html>\n";
    if (page->failed)
        return cop_fail_memory(error, page->capacity);
    cop_writer writer;
    COP_TRY(cop_writer_open(&writer, path, overwrite, error));
    cop_writer_write(&writer, page->text, page->used);
    cop_writer_write(&writer, end, sizeof end - 1);
    return cop_writer_commit(&writer, error);
}
