/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the evaluator: operands as vectors, and the kernels that run over them.
 *
 * Invariants: a constant vector has its value in row 0 of its column. A mapped vector answers row i
 * from row map[i]. Values under a null are zero (empty), so arithmetic may run over them; a kernel
 * looks at nulls again only when it is about to raise an error. */
#ifndef LAMINA_SQL_KERN_H
#define LAMINA_SQL_KERN_H

#include "sql/bound_node.h"

struct vec {
    const struct column *col;
    const uint32_t *map; /* NULL: row i is row i */
    bool constant;
};

static inline uint32_t vec_row(const struct vec *v, uint32_t i) {
    return v->constant ? 0 : v->map ? v->map[i] : i;
}
static inline bool vec_is_null(const struct vec *v, uint32_t i) {
    return column_is_null(v->col, vec_row(v, i));
}

/* Truth values as bytes: what logic works on. */
enum { TRI_FALSE = 0, TRI_TRUE = 1, TRI_NULL = 2 };

/* One node of the evaluator's tree; mirrors the bound one. */
struct node {
    const struct bound *b;
    struct node **args; /* owned */
    uint32_t arg_count;
    struct column out; /* the node's result of this run, unless it passes one on; owned */
};

struct evaluator {
    struct node *root;  /* owned */
    struct arena arena; /* of one run */
    struct buf scratch; /* of one row */
    struct like_scratch like;
    struct run_context *run; /* during a run */
    const struct colbatch *batch;
};

/* --- vector.c --- */
void *kern_alloc(struct evaluator *e, size_t count, size_t size, struct lam_error *err);
/* `width`-byte values of a vector in row order: the column's own memory where it can be. */
MUST_CHECK enum lam_code vec_fixed(struct evaluator *e, const struct vec *v, size_t width,
                                   uint32_t count, const void **out, struct lam_error *err);
/* Bitmap of rows where all operands are present; NULL: all are. */
MUST_CHECK enum lam_code vec_validity(struct evaluator *e, const struct vec *const *vecs,
                                      unsigned n, uint32_t count, uint8_t **out,
                                      struct lam_error *err);
MUST_CHECK enum lam_code vec_read_tri(const struct vec *v, uint32_t count, uint8_t *tri);
/* Makes `out` hold `rows` rows of fixed-width values to be stored at out->data. */
MUST_CHECK enum lam_code column_shape(struct column *out, struct coltype type, uint32_t rows,
                                      struct lam_error *err);
/* Puts the nulls over a column just filled; values under them become zero. */
MUST_CHECK enum lam_code column_set_validity(struct column *out, const uint8_t *bits,
                                             struct lam_error *err);
MUST_CHECK enum lam_code column_from_tri(struct column *out, const uint8_t *tri, uint32_t count,
                                         struct lam_error *err);
/* Appends one row of another column, of the same layout. */
MUST_CHECK enum lam_code column_copy_row(struct column *out, const struct column *from,
                                         uint32_t row, struct lam_error *err);
/* Gathers a vector into a column of its own. */
MUST_CHECK enum lam_code vec_gather(const struct vec *v, uint32_t count, struct column *out,
                                    struct lam_error *err);

/* --- kern_arith.c --- */
MUST_CHECK enum lam_code kern_arith(struct evaluator *e, struct node *n, const struct vec *a,
                                    const struct vec *b, uint32_t count, struct lam_error *err);
MUST_CHECK enum lam_code kern_negate(struct evaluator *e, struct node *n, const struct vec *a,
                                     uint32_t count, struct lam_error *err);
/* --- kern_compare.c: tri[i] is 0 or 1, whatever the nulls --- */
MUST_CHECK enum lam_code kern_compare(struct evaluator *e, enum expr_op op, const struct vec *a,
                                      const struct vec *b, uint32_t count, uint8_t *tri,
                                      struct lam_error *err);
MUST_CHECK enum lam_code kern_in(struct evaluator *e, const struct bound *b, const struct vec *x,
                                 const struct vec *items, uint32_t item_count, uint32_t count,
                                 uint8_t *tri, struct lam_error *err);
MUST_CHECK enum lam_code kern_like(struct evaluator *e, const struct bound *b,
                                   const struct vec *args, uint32_t count, uint8_t *tri,
                                   struct lam_error *err);
/* --- kern_bool.c --- */
/* Truth values of a BOOLEAN node over rows; the way of predicates. */
MUST_CHECK enum lam_code eval_tri(struct evaluator *e, struct node *n, const uint32_t *sel,
                                  uint32_t count, uint8_t *tri, struct lam_error *err);
/* --- kern_cast.c --- */
MUST_CHECK enum lam_code kern_cast(struct evaluator *e, struct node *n, const struct vec *a,
                                   uint32_t count, struct lam_error *err);
/* --- evaluator.c --- */
MUST_CHECK enum lam_code eval(struct evaluator *e, struct node *n, const uint32_t *sel,
                              uint32_t count, struct vec *out, struct lam_error *err);
/* Rows of a selection whose mark is set: absolute rows, and their places in the selection. */
struct subset {
    uint32_t *rows, *places;
    uint32_t count;
};
MUST_CHECK enum lam_code subset_of(struct evaluator *e, const uint32_t *sel, uint32_t count,
                                   const uint8_t *marks, struct subset *out, struct lam_error *err);

#endif
