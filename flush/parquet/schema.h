/* SPDX-License-Identifier: Apache-2.0
 *
 * Column types to Parquet's physical, logical and converted types and back. Every logical type is
 * written together with the converted type that exists for it. JSON goes as STRING, which all
 * readers show as text. */
#ifndef LAMINA_FLUSH_PARQUET_SCHEMA_H
#define LAMINA_FLUSH_PARQUET_SCHEMA_H

#include "flush/parquet/format.h"

/* The leaf of a field; its name is borrowed. */
struct pq_leaf pq_leaf_of(const struct parquet_field *f);
/* The column type of a leaf; false if there is none. */
bool pq_leaf_type(const struct pq_leaf *leaf, struct coltype *out);
/* Bytes of a fixed-width value: 0 for booleans (bits) and byte arrays. */
uint32_t pq_leaf_width(const struct pq_leaf *leaf);
/* 10 to the power of `digits`, at most 38. */
int128 pq_power_of_ten(uint32_t digits);
/* Whether a scaled decimal has at most `precision` digits. */
static inline bool pq_decimal_fits(int128 v, int128 limit) {
    return v < limit && v > -limit;
}

/* Big-endian two's complement of `width` bytes (1 to 16). */
void pq_decimal_store(int128 v, uint8_t *out, uint32_t width);
int128 pq_decimal_load(const uint8_t *bytes, uint32_t width);

/* Plain bytes of a value, as statistics and bloom filters have them (no length before byte
 * arrays), into `room` unless they are the value's own. Valid as long as both. */
struct lam_slice pq_value_store(const struct pq_leaf *leaf, enum lam_type type,
                                struct parquet_value v, uint8_t room[16]);
/* Reads such bytes back; false if they have the wrong size or are a NaN. Borrows them. */
bool pq_value_load(const struct pq_leaf *leaf, enum lam_type type, struct lam_slice bytes,
                   struct parquet_value *out);

#endif
