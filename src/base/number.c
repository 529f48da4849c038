/* Numbers as text. The C library's functions follow the locale of the host: not so here. */
#include "base/number.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longer numerals than this are none that anybody wrote. */
enum { LONGEST_NUMERAL = 400 };

/* Points and digits as in C, in this thread, until leave_c. */
static locale_t enter_c(locale_t *own) {
    *own = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    return *own ? uselocale(*own) : (locale_t)0;
}

static void leave_c(locale_t own, locale_t before) {
    if (!own)
        return;
    uselocale(before);
    freelocale(own);
}

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* `text` without blanks around it as a C string; false when it is empty or too long. */
static bool trimmed(const char *text, size_t length, char out[LONGEST_NUMERAL + 1]) {
    while (length && is_blank(text[0])) {
        text++;
        length--;
    }
    while (length && is_blank(text[length - 1]))
        length--;
    if (!length || length > LONGEST_NUMERAL || memchr(text, 0, length))
        return false;
    memcpy(out, text, length);
    out[length] = 0;
    return true;
}

bool cop_number_parse(const char *text, size_t length, double *out) {
    char numeral[LONGEST_NUMERAL + 1], *end;
    locale_t own;
    if (!trimmed(text, length, numeral))
        return false;
    locale_t before = enter_c(&own);
    *out = strtod(numeral, &end);
    leave_c(own, before);
    return *end == 0 && end != numeral;
}

bool cop_integer_parse(const char *text, size_t length, int64_t *out) {
    char numeral[LONGEST_NUMERAL + 1], *end;
    if (!trimmed(text, length, numeral))
        return false;
    errno = 0;
    *out = strtoll(numeral, &end, 10);
    if (errno == ERANGE && numeral[0] != '-') {
        errno = 0;
        *out = (int64_t)strtoull(numeral, &end, 10);
    }
    return *end == 0 && end != numeral && !errno;
}

static bool reads_again(const char *text, double value, bool single) {
    return single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value;
}

/* The fewest digits, in C's notation. */
static void shortest(double value, bool single, char text[COP_NUMBER_TEXT]) {
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, COP_NUMBER_TEXT, "%.*e", digits - 1, value);
        if (!reads_again(text, value, single))
            continue;
        int exponent = atoi(strchr(text, 'e') + 1);
        if (exponent >= -4 && exponent < 16) {
            int behind = digits - 1 - exponent;
            snprintf(text, COP_NUMBER_TEXT, "%.*f", behind > 1 ? behind : 1, value);
        }
        return;
    }
}

size_t cop_number_format(double value, bool single, char text[COP_NUMBER_TEXT]) {
    if (isnan(value) || isinf(value)) {
        strcpy(text, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return strlen(text);
    }
    locale_t own, before = enter_c(&own);
    shortest(value, single, text);
    leave_c(own, before);
    return strlen(text);
}
