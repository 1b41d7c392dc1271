/* SPDX-License-Identifier: Apache-2.0
 *
 * What a database should hold: the reference that simulated histories are compared with. It shares
 * no code with the engine. Partitions are small numbers; every key keeps all its versions, so that
 * the state after any prefix of the commits can be read; a prefix is named by the number of commits
 * in it, 0 being the empty database.
 *
 * A state as a whole is compared by a 128-bit sum over its partitions and rows, which is the same
 * in whatever order they come: model_hash_at says what it should be, a model_view adds up what is
 * there. */
#ifndef LAMINA_TESTS_SIM_MODEL_H
#define LAMINA_TESTS_SIM_MODEL_H

#include <stdio.h>

#include "lamina/types.h"

#define MODEL_PARTITIONS 16u

struct model_hash {
    uint64_t low, high;
};
static inline bool model_hash_eq(struct model_hash a, struct model_hash b) {
    return a.low == b.low && a.high == b.high;
}
struct model_hash model_hash_add(struct model_hash a, struct model_hash b);
struct model_hash model_hash_sub(struct model_hash a, struct model_hash b);
/* What a partition's being there, and a row of it, add to the sum. */
struct model_hash model_hash_partition(unsigned partition);
struct model_hash model_hash_row(unsigned partition, struct lam_slice key, struct lam_slice value);

struct model;

/* Aborts without memory, as all of these. Owned. */
struct model *model_new(void);
void model_free(struct model *m);

/* --- commits --------------------------------------------------------------------------------- */

/* Begins the next commit; what follows belongs to it until model_end, which gives the number of
 * commits. Operations apply in order. Sequences rise. */
void model_begin(struct model *m);
size_t model_end(struct model *m);
/* The partition is not there before, or is. */
void model_create(struct model *m, unsigned partition);
void model_drop(struct model *m, unsigned partition);
void model_put(struct model *m, unsigned partition, struct lam_slice key, struct lam_slice value,
               uint64_t sequence);
void model_delete(struct model *m, unsigned partition, struct lam_slice key, uint64_t sequence);
/* Hides rows of [from, to) written by `upto` at the latest and before `sequence`; an empty `to` has
 * no end. */
void model_delete_range(struct model *m, unsigned partition, struct lam_slice from,
                        struct lam_slice to, uint64_t upto, uint64_t sequence);
/* Number of commits. */
size_t model_commits(const struct model *m);
/* Forgets the commits after the first `commits`: they never were. */
void model_truncate(struct model *m, size_t commits);
/* Of the whole state after a prefix; all of them, valid until the next commit. */
struct model_hash model_hash_at(const struct model *m, size_t prefix);
const struct model_hash *model_hashes(const struct model *m);

/* --- reading --------------------------------------------------------------------------------- */

bool model_exists(const struct model *m, size_t prefix, unsigned partition);
/* The prefix with which the partition that is there at `prefix` began, empty. */
size_t model_born(const struct model *m, size_t prefix, unsigned partition);
/* False: no such row. The value is the model's, until it is truncated. */
bool model_get(const struct model *m, size_t prefix, unsigned partition, struct lam_slice key,
               struct lam_slice *value_out);
/* Sequence of the row, 0 without one. */
uint64_t model_sequence(const struct model *m, size_t prefix, unsigned partition,
                        struct lam_slice key);
size_t model_rows(const struct model *m, size_t prefix, unsigned partition);

/* A place among the rows of a partition at a prefix, in order of keys; commits may follow. */
struct model_cursor {
    const struct model *m;
    size_t prefix;
    unsigned partition;
    bool valid;
    struct lam_slice key, value; /* while valid; the model's */
};
void model_cursor_init(struct model_cursor *c, const struct model *m, size_t prefix,
                       unsigned partition);
void model_cursor_first(struct model_cursor *c);
void model_cursor_last(struct model_cursor *c);
/* To the first key >= `key`; to the last <= `key`. */
void model_cursor_seek(struct model_cursor *c, struct lam_slice key);
void model_cursor_seek_for_prev(struct model_cursor *c, struct lam_slice key);
void model_cursor_next(struct model_cursor *c);
void model_cursor_prev(struct model_cursor *c);

/* --- comparing ------------------------------------------------------------------------------- */

struct model_row {
    unsigned partition;
    struct lam_slice key, value; /* owned */
};
/* A state that was found. With `keep` rows are kept, too, to tell differences. */
struct model_view {
    struct model_hash hash;
    size_t rows;
    bool exists[MODEL_PARTITIONS];
    bool keep;
    struct model_row *kept; /* owned; as they came */
    size_t kept_count, kept_capacity;
};
void model_view_init(struct model_view *v, bool keep);
void model_view_fini(struct model_view *v);
void model_view_partition(struct model_view *v, unsigned partition);
void model_view_row(struct model_view *v, unsigned partition, struct lam_slice key,
                    struct lam_slice value);
/* Number of the newest prefix in [low, high] that equals the view; false: none does. */
bool model_find(const struct model *m, const struct model_view *v, size_t low, size_t high,
                size_t *prefix_out);
/* Rows and partitions in which a kept view and the prefix differ; writes the first few of them, if
 * `out` is not NULL. */
size_t model_diff(const struct model *m, size_t prefix, const struct model_view *v, FILE *out);
/* The prefix in [low, high] with the fewest differences. */
size_t model_nearest(const struct model *m, const struct model_view *v, size_t low, size_t high);

/* Short text of bytes for messages; static storage, four at a time. */
const char *model_text(struct lam_slice bytes);

#endif
