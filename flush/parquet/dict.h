/* SPDX-License-Identifier: Apache-2.0
 *
 * Dictionary of one column chunk: distinct values in order of appearance, and each value's place
 * among them. Building gives up early where a dictionary can't pay. */
#ifndef LAMINA_FLUSH_PARQUET_DICT_H
#define LAMINA_FLUSH_PARQUET_DICT_H

#include "flush/parquet/values.h"

struct pq_dict {
    struct buf plain; /* the values in PLAIN encoding: the body of the dictionary page */
    uint32_t count;   /* of them */
    uint32_t bits;    /* bits of an index, at least 1 */
    uint32_t *codes;  /* index of each value of the chunk; owned */
    size_t codes_capacity;
    uint32_t *starts; /* byte arrays: offset in `plain` of each entry; owned */
    size_t starts_capacity;
    uint32_t *slots; /* hash table of index + 1; owned */
    size_t slots_capacity;
    uint32_t slot_bits; /* log2 of the slots in use */
};

void pq_dict_fini(struct pq_dict *d);
/* Builds the dictionary of byte arrays or of values of at least 4 bytes. `*built_out` is false if
 * it was given up. */
MUST_CHECK enum lam_code pq_dict_build(struct pq_dict *d, const struct pq_values *v,
                                       bool *built_out, struct lam_error *err);
/* Bytes of dictionary and indexes, near enough to compare. */
uint64_t pq_dict_size(const struct pq_dict *d, uint32_t values);

#endif
