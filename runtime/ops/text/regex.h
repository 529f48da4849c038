/* Regular expressions in the syntax of RE2, matched in time linear in the text: no pattern can make
 * a match take long.
 *
 * Known: literals, . [] [^] with ranges, \d \w \s \D \W \S and [:names:], () (?:) (?P<n>), flags
 * (?ims), | * + ? {n,m} and their lazy forms, ^ $ \A \z \b \B, \n \t \r \f \v \a \x41 \x{20ac}
 * \Q..\E. Not known, and refused: \p classes and octal numbers. Text is UTF-8. */
#ifndef COP_OPS_REGEX_H
#define COP_OPS_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include <coppice/status.h>

typedef struct cop_regex cop_regex;

/* BAD_MODEL with what is wrong and where; LIMIT when the pattern is too large. */
coppice_status cop_regex_compile(const char *pattern, size_t length, cop_regex **out,
                                 coppice_error *err);
void cop_regex_free(cop_regex *regex);

/* Whether all of the text matches. Not for several threads at once. Errors: INTERRUPTED. */
coppice_status cop_regex_match(cop_regex *regex, const char *text, size_t length, bool *matches,
                               coppice_error *err);

#endif
