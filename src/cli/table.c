/* Text tables in aligned columns, and numbers as people read them. */
#include "cli.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct cli_column {
    const char *title;
    cli_align align;
    size_t width;
};

void cli_table_column(cli_table *table, const char *title, cli_align align) {
    size_t bytes = (table->column_count + 1) * sizeof *table->columns;
    struct cli_column *columns = realloc(table->columns, bytes);
    if (!columns)
        return;
    table->columns = columns;
    columns[table->column_count++] = (struct cli_column){title, align, strlen(title)};
}

/* Takes `text` over; NULL is a lack of memory. */
static void add_cell(cli_table *table, char *text) {
    if (table->cell_count == table->cell_capacity) {
        size_t capacity = table->cell_capacity ? 2 * table->cell_capacity : 256;
        char **cells = realloc(table->cells, capacity * sizeof *cells);
        if (!cells) {
            free(text);
            return;
        }
        table->cells = cells;
        table->cell_capacity = capacity;
    }
    if (text && table->column_count) {
        struct cli_column *column = &table->columns[table->cell_count % table->column_count];
        size_t width = strlen(text);
        if (width > column->width)
            column->width = width;
    }
    table->cells[table->cell_count++] = text;
}

void cli_table_text(cli_table *table, const char *text) {
    add_cell(table, strdup(text ? text : ""));
}

void cli_table_end_of(cli_table *table, const char *text, size_t most) {
    size_t length = strlen(text);
    if (length <= most) {
        cli_table_text(table, text);
        return;
    }
    const char *end = text + length - (most - 3);
    while ((*end & 0xc0) == 0x80) /* not within a character */
        end++;
    cli_table_cell(table, "...%s", end);
}

void cli_table_cell(cli_table *table, const char *format, ...) {
    char *text;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    add_cell(table, text);
}

void cli_table_count(cli_table *table, int64_t value) {
    cli_table_text(table, value < 0 ? "-" : cli_format_count(value).text);
}

void cli_table_short(cli_table *table, int64_t value) {
    cli_table_text(table, value < 0 ? "-" : cli_format_short((double)value).text);
}

void cli_table_percent(cli_table *table, double fraction) {
    if (isfinite(fraction))
        cli_table_cell(table, "%.1f %%", 100 * fraction);
    else
        cli_table_text(table, "-");
}

void cli_table_bytes(cli_table *table, int64_t bytes) {
    cli_table_text(table, cli_format_bytes(bytes).text);
}

void cli_table_rule(cli_table *table) {
    size_t *rules = realloc(table->rules, (table->rule_count + 1) * sizeof *rules);
    if (!rules)
        return;
    table->rules = rules;
    if (!table->column_count)
        return;
    rules[table->rule_count++] = table->cell_count / table->column_count;
}

static void print_line(const cli_table *table, FILE *out) {
    size_t width = table->column_count ? 2 * (table->column_count - 1) : 0;
    for (size_t i = 0; i < table->column_count; i++)
        width += table->columns[i].width;
    while (width-- > 0)
        putc('-', out);
    putc('\n', out);
}

/* One line; `cells` NULL: the titles. Spaces are held back so that no line ends in some. */
static void print_row(const cli_table *table, char *const *cells, FILE *out) {
    size_t spaces = 0;
    for (size_t i = 0; i < table->column_count; i++) {
        const struct cli_column *column = &table->columns[i];
        const char *text = cells ? cells[i] : column->title;
        size_t length = text ? strlen(text) : 0, pad = column->width - length;
        if (column->align == CLI_RIGHT)
            spaces += pad;
        if (length) {
            fprintf(out, "%*s", (int)spaces, "");
            cli_print_safe(out, text);
            spaces = 0;
        }
        spaces += column->align == CLI_LEFT ? pad + 2 : 2;
    }
    putc('\n', out);
}

static void drop_rows(cli_table *table) {
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    table->cell_count = table->rule_count = 0;
    for (size_t i = 0; i < table->column_count; i++)
        table->columns[i].width = strlen(table->columns[i].title);
}

void cli_table_print(cli_table *table, FILE *out) {
    size_t rows = table->column_count ? table->cell_count / table->column_count : 0;
    if (out && table->column_count)
        print_row(table, NULL, out);
    if (out && rows)
        print_line(table, out);
    for (size_t row = 0, rule = 0; out && row < rows; row++) {
        for (; rule < table->rule_count && table->rules[rule] == row; rule++)
            if (row)
                print_line(table, out);
        print_row(table, table->cells + row * table->column_count, out);
    }
    drop_rows(table);
}

void cli_table_free(cli_table *table) {
    drop_rows(table);
    free(table->cells);
    free(table->columns);
    free(table->rules);
    *table = (cli_table){0};
}

cli_text cli_format_bytes(int64_t bytes) {
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    cli_text result;
    if (bytes < 0) {
        snprintf(result.text, sizeof result.text, "-");
        return result;
    }
    if (bytes < 1000) {
        snprintf(result.text, sizeof result.text, "%d B", (int)bytes);
        return result;
    }
    double value = (double)bytes / 1000;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000;
        unit++;
    }
    snprintf(result.text, sizeof result.text, "%.*f %s",
             value < 9.995   ? 2
             : value < 99.95 ? 1
                             : 0,
             value, units[unit]);
    return result;
}

cli_text cli_format_count(int64_t value) {
    char digits[32];
    snprintf(digits, sizeof digits, "%lld", (long long)value);
    cli_text result;
    size_t length = strlen(digits), used = 0, sign = digits[0] == '-';
    for (size_t i = 0; i < length; i++) {
        if (i > sign && (length - i) % 3 == 0)
            result.text[used++] = ',';
        result.text[used++] = digits[i];
    }
    result.text[used] = 0;
    return result;
}

cli_text cli_format_short(double value) {
    static const char *const units[] = {"", " k", " M", " G", " T"};
    size_t unit = 0;
    while (fabs(value) >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000;
        unit++;
    }
    cli_text result;
    int decimals = !unit ? 0 : fabs(value) < 9.995 ? 2 : fabs(value) < 99.95 ? 1 : 0;
    snprintf(result.text, sizeof result.text, "%.*f%s", decimals, value, units[unit]);
    return result;
}

cli_text cli_format_ms(double ms) {
    cli_text result;
    if (isfinite(ms))
        snprintf(result.text, sizeof result.text, "%.*f", ms < 0.1 ? 5 : ms < 1 ? 4 : 3, ms);
    else
        snprintf(result.text, sizeof result.text, "-");
    return result;
}

cli_text cli_format_shape(uint32_t rank, const int64_t *dims) {
    cli_text result;
    snprintf(result.text, sizeof result.text, "scalar");
    for (size_t i = 0, used = 0; i < rank && used < sizeof result.text; i++) {
        char *at = result.text + used;
        size_t room = sizeof result.text - used;
        const char *times = i ? "x" : "";
        used += (size_t)(dims[i] < 0 ? snprintf(at, room, "%s?", times)
                                     : snprintf(at, room, "%s%lld", times, (long long)dims[i]));
    }
    return result;
}
