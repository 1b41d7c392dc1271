/* SPDX-License-Identifier: Apache-2.0
 *
 * The non-null values of a column, one after another, in the form Parquet stores them. */
#ifndef LAMINA_FLUSH_PARQUET_VALUES_H
#define LAMINA_FLUSH_PARQUET_VALUES_H

#include "base/buf.h"
#include "flush/parquet/schema.h"

struct pq_values {
    uint32_t count;
    uint32_t width;         /* bytes of a value; 0: bits (BOOLEAN) or byte arrays */
    const uint8_t *data;    /* borrowed from the column or from the scratch */
    const int32_t *offsets; /* byte arrays: count + 1; else NULL */
};

/* Memory for values that differ in form from the column's. Kept from column to column. */
struct pq_values_scratch {
    struct buf data;
    int32_t *offsets; /* owned */
    size_t offsets_capacity;
};
void pq_values_scratch_fini(struct pq_values_scratch *s);

/* Takes the values of a column that suits the leaf. Valid until column or scratch change. INVALID
 * if a decimal has more digits than the leaf's precision. */
MUST_CHECK enum lam_code pq_values_take(const struct column *c, const struct pq_leaf *leaf,
                                        struct pq_values_scratch *s, struct pq_values *out,
                                        struct lam_error *err);

static inline struct lam_slice pq_values_bytes(const struct pq_values *v, uint32_t i) {
    if (v->offsets)
        return lam_slice_of(v->data + v->offsets[i], (size_t)(v->offsets[i + 1] - v->offsets[i]));
    return lam_slice_of(v->data + (size_t)i * v->width, v->width);
}

/* Bytes of values [first, first + count) in PLAIN encoding. */
uint64_t pq_values_plain_size(const struct pq_values *v, uint32_t first, uint32_t count);
MUST_CHECK enum lam_code pq_values_plain(const struct pq_values *v, uint32_t first, uint32_t count,
                                         struct buf *out, struct lam_error *err);

#endif
