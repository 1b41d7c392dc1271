/* SPDX-License-Identifier: Apache-2.0
 *
 * Column batches: rows as columns in Arrow's memory layout
 * (https://arrow.apache.org/docs/format/Columnar.html). A column is both builder and view: append
 * to it, read it, reset it. What flows between storage, SQL operators and the Parquet writer.
 *
 * Layout by type: see enum lam_type. Validity bitmaps are least-significant-bit first, 1 = present;
 * no bitmap means no nulls. Values under a null are zero (variable width: empty).
 * All-zero `struct column` with a type set is an empty column. One thread at a time. */
#ifndef LAMINA_BASE_COLBATCH_H
#define LAMINA_BASE_COLBATCH_H

#include "base/bytes.h"
#include "base/error.h"

typedef __int128 int128;

/* Rows an operator hands over at a time. */
#define COLBATCH_ROWS 2048
/* A producer closes a batch early when a column's variable bytes pass this. */
#define COLBATCH_BYTES (16u << 20)

/* Type with its parameters. All-zero is the type of an untyped NULL. */
struct coltype {
    enum lam_type type;
    uint8_t precision; /* DECIMAL: 1 to 38 digits */
    uint8_t scale;     /* DECIMAL: 0 to precision */
    uint32_t length;   /* TEXT from VARCHAR(n): most characters; 0: unlimited */
};

struct column {
    struct coltype type;
    uint32_t rows;            /* appended so far */
    uint32_t null_count;      /* of those */
    uint8_t *validity;        /* bitmap or NULL when null_count is 0; owned */
    uint8_t *data;            /* fixed-width values, bits (BOOLEAN) or variable bytes; owned */
    int32_t *offsets;         /* variable width: rows + 1 entries once a row exists; owned */
    size_t validity_capacity; /* bytes */
    size_t data_capacity;     /* bytes */
    size_t offsets_capacity;  /* entries */
};

struct colbatch {
    struct column *columns; /* owned array */
    uint32_t column_count;
    uint32_t rows; /* all columns have as many */
};

/* Bytes of a value: 0 for variable width and for BOOLEAN (a bit). */
size_t coltype_width(enum lam_type type);
bool coltype_is_variable(enum lam_type type);

void column_init(struct column *c, struct coltype type);
void column_fini(struct column *c);
/* No rows, memory kept. */
void column_reset(struct column *c);

/* Makes room for `extra` rows, some of them null if `nulls`, for who fills a column by hand; but
 * not for their variable bytes. Bits past the last row are zero. */
MUST_CHECK enum lam_code column_reserve(struct column *c, size_t extra, bool nulls,
                                        struct lam_error *err);

/* Appends. The value must suit the column's type: i64 for SMALLINT, INT, BIGINT, TIMESTAMP, DATE,
 * TIME (in range: asserted); f64 for FLOAT and DOUBLE; bytes for TEXT, BYTES, JSON, and 16 bytes
 * for UUID. LAM_LIMIT when variable bytes would pass 2^31-1. */
MUST_CHECK enum lam_code column_append_null(struct column *c, struct lam_error *err);
MUST_CHECK enum lam_code column_append_bool(struct column *c, bool v, struct lam_error *err);
MUST_CHECK enum lam_code column_append_i64(struct column *c, int64_t v, struct lam_error *err);
MUST_CHECK enum lam_code column_append_f64(struct column *c, double v, struct lam_error *err);
MUST_CHECK enum lam_code column_append_i128(struct column *c, int128 v, struct lam_error *err);
MUST_CHECK enum lam_code column_append_bytes(struct column *c, struct lam_slice v,
                                             struct lam_error *err);
/* Appends row `row` of `from`, a column of the same type. */
MUST_CHECK enum lam_code column_append_row(struct column *c, const struct column *from,
                                           uint32_t row, struct lam_error *err);
/* Appends rows `sel[0..count)` of `from`; sel NULL means rows 0..count. */
MUST_CHECK enum lam_code column_append_rows(struct column *c, const struct column *from,
                                            const uint32_t *sel, uint32_t count,
                                            struct lam_error *err);

static inline bool bitmap_get(const uint8_t *bits, size_t i) {
    return (bits[i >> 3] >> (i & 7)) & 1;
}
static inline void bitmap_set(uint8_t *bits, size_t i) {
    bits[i >> 3] |= (uint8_t)(1u << (i & 7));
}
static inline void bitmap_clear(uint8_t *bits, size_t i) {
    bits[i >> 3] &= (uint8_t) ~(1u << (i & 7));
}
/* Number of ones among the first `n` bits. */
size_t bitmap_count(const uint8_t *bits, size_t n);

/* Reading. row < rows; the value must not be null (zero or empty if it is). */
static inline bool column_is_null(const struct column *c, uint32_t row) {
    return c->validity && !bitmap_get(c->validity, row);
}
static inline bool column_bool(const struct column *c, uint32_t row) {
    return bitmap_get(c->data, row);
}
/* SMALLINT, INT, BIGINT, TIMESTAMP, DATE, TIME. */
int64_t column_i64(const struct column *c, uint32_t row);
/* FLOAT, DOUBLE. */
double column_f64(const struct column *c, uint32_t row);
static inline int128 column_i128(const struct column *c, uint32_t row) {
    int128 v;
    memcpy(&v, c->data + (size_t)row * 16, 16);
    return v;
}
/* TEXT, BYTES, JSON; UUID gives its 16 bytes. Valid until the column changes. */
static inline struct lam_slice column_bytes(const struct column *c, uint32_t row) {
    if (c->offsets)
        return lam_slice_of(c->data + c->offsets[row],
                            (size_t)(c->offsets[row + 1] - c->offsets[row]));
    return lam_slice_of(c->data + (size_t)row * 16, 16);
}
/* Bytes of variable data so far. */
static inline size_t column_var_bytes(const struct column *c) {
    return c->offsets && c->rows ? (size_t)c->offsets[c->rows] : 0;
}

/* Makes `count` empty columns of the given types. */
MUST_CHECK enum lam_code colbatch_init(struct colbatch *b, const struct coltype *types,
                                       uint32_t count, struct lam_error *err);
void colbatch_fini(struct colbatch *b);
void colbatch_reset(struct colbatch *b);
/* Whether a producer should hand the batch over now. */
bool colbatch_is_full(const struct colbatch *b);

#endif
