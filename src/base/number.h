/* Numbers as text, the same in every locale. */
#ifndef COP_BASE_NUMBER_H
#define COP_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { COP_NUMBER_TEXT = 40 };

/* The number that all of `text` is: "1", "-2.5e3", "inf", "nan", in any case, with blanks around
 * it. False when it is none. */
bool cop_number_parse(const char *text, size_t length, double *out);

/* As above for integers of up to 64 bits; false also when there are digits behind the point. */
bool cop_integer_parse(const char *text, size_t length, int64_t *out);

/* The shortest text that reads as `value` again once rounded to float when `single`: "0.1", "1.0",
 * "1e-07", "nan". Returns its length. */
size_t cop_number_format(double value, bool single, char text[COP_NUMBER_TEXT]);

#endif
