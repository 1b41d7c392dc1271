/* SPDX-License-Identifier: Apache-2.0
 *
 * What the text forms and casts of values share. */
#ifndef LAMINA_CATALOG_VALUE_IMPL_H
#define LAMINA_CATALOG_VALUE_IMPL_H

#include "catalog/value.h"

/* How reading a text form ended; the caller makes the error, knowing the type. */
enum text_result {
    TEXT_OK,
    TEXT_BAD,   /* not of the form */
    TEXT_RANGE, /* of the form, but no such value */
};

/* Whether `s` is `word`, which is in lower case, in any case; ASCII only, whatever the locale. */
static inline bool text_is_word(struct lam_slice s, const char *word) {
    size_t i = 0;
    for (; i < s.size && word[i]; i++) {
        uint8_t c = s.data[i];
        if ((char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c) != word[i])
            return false;
    }
    return i == s.size && !word[i];
}

/* --- float_text.c --- */

#define FLOAT_DIGITS_MAX 17

/* A finite number as digits times a power of ten, without trailing zeros. */
struct float_digits {
    bool negative;
    char digits[FLOAT_DIGITS_MAX + 1]; /* "0" for zero */
    int count;
    int exponent; /* of the last digit */
};
/* The shortest digits that read back as `v` (as a float if `single`); v is finite. */
void float_shortest(double v, bool single, struct float_digits *out);
/* Appends the text form of `v`, a float widened to double if `single`. `out` has room for 32. */
void float_text(double v, bool single, char *out);
/* Reads a number, NaN or Infinity, correctly rounded. RANGE on overflow, and on underflow to 0. */
enum text_result float_parse(struct lam_slice text, bool single, double *out);

/* --- decimal_text.c --- */

#define DECIMAL_TEXT_MAX 48
/* Text with all digits of the scale; NUL-terminated. Returns its length. */
size_t decimal_format(int128 v, unsigned scale, char *out);
/* Reads [sign] digits [.digits] [e exponent] as `type`, rounding half away from zero. Precision 0
 * in `type` is replaced by what the text has. */
enum text_result decimal_parse(struct lam_slice text, struct coltype *type, int128 *out);
/* From shortest digits; false beyond 38 digits. */
bool decimal_from_digits(const struct float_digits *digits, unsigned scale, int128 *out);

/* --- datetime_text.c; text without blanks around it --- */

#define DATETIME_TEXT_MAX 40
size_t date_format(int32_t days, char *out);
size_t time_format(int64_t micros, char *out);
size_t timestamp_format(int64_t micros, char *out);
enum text_result date_parse(struct lam_slice text, int64_t *days_out);
enum text_result time_parse(struct lam_slice text, int64_t *micros_out);
enum text_result timestamp_parse(struct lam_slice text, int64_t *micros_out);

#endif
