/* SPDX-License-Identifier: Apache-2.0
 *
 * The values of one page, decoded a few at a time. */
#ifndef LAMINA_FLUSH_PARQUET_DECODE_H
#define LAMINA_FLUSH_PARQUET_DECODE_H

#include "flush/parquet/delta.h"
#include "flush/parquet/hybrid.h"
#include "flush/parquet/reader.h"

/* A chunk's dictionary. */
struct pq_dictionary {
    struct pq_page page; /* holds the bytes */
    uint32_t count;
    uint32_t *starts; /* byte arrays: where each entry's length stands in the page; owned */
    size_t starts_capacity;
    bool is_loaded;
};
void pq_dictionary_fini(struct pq_dictionary *d);
/* Takes the page in d->page; false if it is no dictionary of such values. */
MUST_CHECK enum lam_code pq_dictionary_take(struct pq_dictionary *d, const struct pq_leaf *leaf,
                                            bool *good_out, struct lam_error *err);

struct pq_decoder {
    enum pq_encoding encoding; /* PLAIN, RLE_DICTIONARY, DELTA_BINARY_PACKED or RLE (BOOLEAN) */
    enum pq_physical physical;
    uint32_t width;                   /* as pq_leaf_width */
    uint32_t left;                    /* values not yet handed out */
    uint64_t bit;                     /* PLAIN booleans: of the next value */
    const uint8_t *at;                /* PLAIN: next byte */
    const uint8_t *end;               /* PLAIN */
    struct pq_hybrid codes;           /* dictionary indexes or RLE booleans */
    struct pq_delta delta;            /* DELTA_BINARY_PACKED */
    const struct pq_dictionary *dict; /* RLE_DICTIONARY */
};

/* Starts on the values section of a page. False if it is malformed; `dict` may be NULL. */
bool pq_decoder_start(struct pq_decoder *d, const struct pq_leaf *leaf, enum pq_encoding encoding,
                      struct lam_slice body, uint32_t values, const struct pq_dictionary *dict);
/* Whether pages of such a column may have this encoding here. */
bool pq_decoder_knows(const struct pq_leaf *leaf, enum pq_encoding encoding);

/* The next `count` values, at most PQ_CHUNK_VALUES and no more than are left; false if the page is
 * malformed. Fixed-width values one after another; booleans as bytes 0 and 1; byte arrays as
 * slices that live as long as page and dictionary. */
bool pq_decoder_fixed(struct pq_decoder *d, uint8_t *out, uint32_t count);
bool pq_decoder_bools(struct pq_decoder *d, uint8_t *out, uint32_t count);
bool pq_decoder_slices(struct pq_decoder *d, struct lam_slice *out, uint32_t count);
/* Passes over values, any number up to what is left. */
bool pq_decoder_skip(struct pq_decoder *d, uint32_t count);

#endif
