/* SPDX-License-Identifier: Apache-2.0
 *
 * Smallest and greatest value of pages, chunks and files, and what of them may be stored:
 *
 *  - decimals compare as numbers, also where they are stored as bytes; text and bytes compare
 *    unsigned;
 *  - a NaN anywhere leaves no bounds, for engines disagree on its place;
 *  - a zero is stored as -0.0 below and +0.0 above;
 *  - long text is cut: the lower bound to a prefix, the upper to a prefix made greater. */
#ifndef LAMINA_FLUSH_PARQUET_BOUNDS_H
#define LAMINA_FLUSH_PARQUET_BOUNDS_H

#include "base/arena.h"
#include "flush/parquet/values.h"

enum pq_bounds_state {
    PQ_BOUNDS_EMPTY = 0,   /* no values yet */
    PQ_BOUNDS_KNOWN = 1,   /* min and max hold */
    PQ_BOUNDS_UNKNOWN = 2, /* values without bounds */
};

struct pq_bounds {
    enum pq_bounds_state state;
    bool min_exact;
    bool max_exact;
    struct parquet_value min; /* bytes borrowed from the values */
    struct parquet_value max;
};

/* Bounds of values [first, first + count). */
struct pq_bounds pq_bounds_of(const struct pq_values *v, enum lam_type type,
                              const struct pq_leaf *leaf, uint32_t first, uint32_t count);
/* Widens `into` by `b`; borrows b's bytes. */
void pq_bounds_merge(struct pq_bounds *into, enum lam_type type, const struct pq_bounds *b);
/* The same bounds as they are stored: cut and with signs of zero, bytes copied to the arena.
 * UNKNOWN if a bound can't be stored at a sane size. */
MUST_CHECK enum lam_code pq_bounds_settle(const struct pq_bounds *b, enum lam_type type,
                                          struct arena *a, struct pq_bounds *out,
                                          struct lam_error *err);

/* Tells the boundary order of a run of pages' settled bounds. All-zero to begin. */
struct pq_order {
    bool has_last;
    bool descends; /* some bound fell */
    bool ascends;  /* some bound rose */
    struct parquet_value last_min;
    struct parquet_value last_max;
};
void pq_order_add(struct pq_order *o, enum lam_type type, const struct pq_bounds *b);
enum pq_boundary_order pq_order_result(const struct pq_order *o);

#endif
