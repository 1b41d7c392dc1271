/* SPDX-License-Identifier: Apache-2.0
 *
 * Single SQL values and their types: names, text forms, comparison, casts. Columns of values are
 * base/colbatch.h; the two agree on meaning.
 *
 * Text forms (in and out): integers, floats in the shortest form that reads back (NaN, Infinity,
 * -Infinity), decimals with all digits of their scale, booleans true/false, dates 2026-01-31, times
 * 23:59:59[.ffffff], timestamps "2026-01-31 23:59:59[.ffffff]" in UTC (input also takes 'T', 'Z'
 * and an offset), UUIDs in lower-case 8-4-4-4-12, bytes as \x hex (input also takes plain hex
 * behind \x only), JSON as given. Dates run from 0001-01-01 to 9999-12-31. */
#ifndef LAMINA_CATALOG_VALUE_H
#define LAMINA_CATALOG_VALUE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/colbatch.h"

struct value {
    struct coltype type; /* LAM_TYPE_NULL: an untyped NULL */
    bool is_null;
    union {
        bool boolean;
        int64_t i64; /* SMALLINT, INT, BIGINT, TIMESTAMP, DATE, TIME */
        double f64;  /* FLOAT (already rounded to float), DOUBLE */
        int128 i128; /* DECIMAL: value times 10^scale */
        uint8_t uuid[16];
        struct lam_slice bytes; /* TEXT, BYTES, JSON; borrowed */
    } as;
};

#define DECIMAL_PRECISION_MAX 38

/* Constructors. */
struct value value_null(struct coltype type);
struct value value_bool(bool v);
struct value value_i64(enum lam_type type, int64_t v);
struct value value_f64(enum lam_type type, double v);
struct value value_decimal(int128 v, uint8_t precision, uint8_t scale);
struct value value_bytes(enum lam_type type, struct lam_slice v); /* TEXT, BYTES, JSON */
struct value value_text(const char *text);
struct value value_uuid(const uint8_t *bytes);

/* --- types --- */
static inline struct coltype coltype_of(enum lam_type type) {
    return (struct coltype){.type = type};
}
/* Type of a SQL name without parameters, any case, aliases included (BOOL, INT4, INTEGER, FLOAT8,
 * STRING, VARCHAR, CHAR, BYTEA, BLOB, DATETIME, TIMESTAMPTZ, JSONB, NUMERIC, "double precision"
 * ...). False if there is none. */
bool coltype_lookup(struct lam_slice name, enum lam_type *type_out);
/* Canonical name with parameters: "DECIMAL(10,2)", "VARCHAR(5)", "BIGINT". `out` has room for 32.
 */
void coltype_name(struct coltype type, char *out);
bool coltype_eq(struct coltype a, struct coltype b);
bool coltype_is_integer(enum lam_type type);
bool coltype_is_number(enum lam_type type); /* integers, decimal, floats */
bool coltype_is_float(enum lam_type type);
/* Whether values of `from` are read as `to` without loss once a column's type is altered: SMALLINT
 * to INT to BIGINT, FLOAT to DOUBLE, DECIMAL of the same scale and no less precision, VARCHAR to
 * one as long or longer; or the same type. */
bool coltype_widens(struct coltype from, struct coltype to);
/* Whether a column may have this type: known, DECIMAL(1..38, 0..precision), a length on TEXT only.
 */
bool coltype_valid(struct coltype type);

/* --- order and identity: of two values of one type (DECIMAL: any scales); nulls are not compared.
 * Floats: NaN equals itself and sorts above everything; -0 equals +0. JSON and TEXT bytewise. ---
 */
int value_cmp(const struct value *a, const struct value *b);
uint64_t value_hash(const struct value *v, uint64_t seed); /* equal values hash alike */

/* Whether a number, date or time that is not NULL is one that its type can hold. */
bool value_in_range(const struct value *v);

/* --- text --- */
/* Appends the text form; NULL appends nothing. */
MUST_CHECK enum lam_code value_format(const struct value *v, struct buf *out,
                                      struct lam_error *err);
/* Reads text as a type; bytes that must live go to `arena`. Errors are SQL: 22P02 (bad form), 22003
 * (range), 22001 (too long), 22007/22008 (date and time), 22021 (not UTF-8). Leading and trailing
 * blanks are allowed but for TEXT, where they count. DECIMAL of precision 0 takes the precision and
 * scale that the text has. */
MUST_CHECK enum lam_code value_parse(struct lam_slice text, struct coltype type,
                                     struct arena *arena, struct value *out, struct lam_error *err);

/* --- casts --- */
enum cast_kind {
    CAST_IMPLICIT = 0,   /* widening only: what an operator may do unasked */
    CAST_ASSIGNMENT = 1, /* into a column: also narrowing with range check, number to DECIMAL */
    CAST_EXPLICIT = 2,   /* CAST and :: */
};
/* Whether a cast exists at all, for the binder. */
bool cast_allowed(enum lam_type from, enum lam_type to, enum cast_kind kind);
/* Casts one value; NULL stays NULL with the new type. 22003 out of range, 22P02, 22001, 42846 (no
 * such cast), 42804 (only an explicit cast would do). DECIMAL of precision 0 takes what the value
 * needs. Fractions round half away from zero from DECIMAL, half to even from floats; an explicit
 * cast to VARCHAR(n) cuts, an assignment does not. Bytes of the result borrow `v` or the arena. */
MUST_CHECK enum lam_code value_cast(const struct value *v, struct coltype to, enum cast_kind kind,
                                    struct arena *arena, struct value *out, struct lam_error *err);

/* --- columns --- */
MUST_CHECK enum lam_code column_append_value(struct column *c, const struct value *v,
                                             struct lam_error *err); /* types must match */
/* Bytes borrow the column. */
struct value column_value(const struct column *c, uint32_t row);

/* --- decimals (catalog/decimal.c) --- */
/* 10^n, n in 0..38. */
int128 decimal_pow10(unsigned n);
/* Changes scale, rounding half away from zero; false if it leaves 38 digits. */
bool decimal_rescale(int128 v, unsigned from_scale, unsigned to_scale, int128 *out);
/* Checked; false on overflow of 38 digits. mul: result has scale a+b; div: of given result scale.
 */
bool decimal_add(int128 a, int128 b, int128 *out);
bool decimal_mul(int128 a, int128 b, int128 *out);
bool decimal_div(int128 a, unsigned a_scale, int128 b, unsigned b_scale, unsigned scale,
                 int128 *out);
/* Order of two decimals of any scales. */
int decimal_cmp(int128 a, unsigned a_scale, int128 b, unsigned b_scale);
/* Digits of a decimal's magnitude, at least 1. */
unsigned decimal_digits(int128 v);
/* The nearest double. */
double decimal_to_double(int128 v, unsigned scale);
/* From the shortest text of the double (0.1 is 0.1), rounding half away from zero; false for NaN,
 * infinities and beyond 38 digits. */
bool decimal_from_double(double v, unsigned scale, int128 *out);
bool decimal_fits(int128 v, unsigned precision);

/* --- dates and times (catalog/datetime.c), proleptic Gregorian, UTC --- */
struct civil {
    int year, month, day, hour, minute, second, micros;
};
int32_t date_from_civil(int year, int month, int day);
void date_to_civil(int32_t days, struct civil *out); /* date fields; times zero */
void timestamp_to_civil(int64_t micros, struct civil *out);
int64_t timestamp_from_civil(const struct civil *c);
bool civil_valid(const struct civil *c);
/* The range of DATE and TIMESTAMP: 0001-01-01 to 9999-12-31, to the last microsecond. Arithmetic
 * that leaves it is 22008. */
#define DATE_MIN      (-719162)
#define DATE_MAX      2932896
#define DAY_MICROS    INT64_C(86400000000)
#define TIMESTAMP_MIN (DATE_MIN * DAY_MICROS)
#define TIMESTAMP_MAX ((DATE_MAX + 1) * DAY_MICROS - 1)
/* Days since 1970 and microseconds in the day (0 to DAY_MICROS - 1) of a timestamp. */
int32_t timestamp_date(int64_t micros);
int64_t timestamp_time(int64_t micros);

/* Whether text is one JSON value (RFC 8259), nesting at most 200; `*bad_out` gets the offset. */
bool json_valid(struct lam_slice text, size_t *bad_out);
/* Appends text, which is UTF-8, as a JSON string. */
MUST_CHECK enum lam_code json_append_string(struct buf *out, struct lam_slice text,
                                            struct lam_error *err);

/* Shortest decimal text that reads back as the same double (float), in PostgreSQL's form: 1, 0.1,
 * 1e+20, 1e-05; a JSON number but for NaN, Infinity, -Infinity. `out` has room for 32. Never asks
 * the locale. */
void double_format(double v, char *out);
void float_format(float v, char *out);

#endif
