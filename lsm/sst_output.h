/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes a sorted run of entries, and the range tombstones that go with it, into one or more SSTs.
 * A cut falls between two keys; each file gets the part of every range tombstone that lies in its
 * own stretch of the key space, so the files of a run are disjoint in what they hide, too. */
#ifndef LAMINA_LSM_SST_OUTPUT_H
#define LAMINA_LSM_SST_OUTPUT_H

#include "lsm/sst_cache.h"
#include "lsm/version.h"

/* Says by which name and number the next file goes. Never fails, never repeats. */
typedef uint64_t (*sst_output_number_fn)(void *arg);

struct sst_output_options {
    lam_env *env;
    const char *dir;
    struct sst_builder_options builder; /* `number` is set for each file */
    uint64_t partition;
    sst_output_number_fn number;
    void *number_arg;
    struct sst_cache *cache; /* for the file_metas it makes */
    struct gc *gc;
};

struct sst_output {
    struct sst_output_options options;
    const struct range_tombstone *ranges; /* of the whole run; borrowed */
    size_t range_count;
    struct sst_builder *builder; /* the file being written; NULL: none */
    uint64_t number;             /* its number */
    struct buf lower;            /* first key of its stretch; meaningless for the first file */
    bool has_lower;
    struct file_meta **files; /* finished; owned references */
    size_t file_count;
    size_t file_capacity;
    uint64_t bytes; /* written, in finished files */
};

void sst_output_init(struct sst_output *o, const struct sst_output_options *options,
                     const struct range_tombstone *ranges, size_t range_count);
/* Removes what was written unless sst_output_keep took it, and frees. */
void sst_output_fini(struct sst_output *o);
/* Entries in order. `cut`: begin a new file with this entry, whose key differs from the last. */
MUST_CHECK enum lam_code sst_output_add(struct sst_output *o, const struct entry *e, bool cut,
                                        struct lam_error *err);
/* Bytes of the file being written; 0 if there is none. */
uint64_t sst_output_size(const struct sst_output *o);
/* When what is in the file being written, and comes into it, was written at the latest. */
void sst_output_set_written(struct sst_output *o, int64_t written_us);
/* Completes the last file; `files` then holds all, in key order, synced (names are not). */
MUST_CHECK enum lam_code sst_output_finish(struct sst_output *o, struct lam_error *err);
/* The files are in a manifest: fini leaves them alone. */
void sst_output_keep(struct sst_output *o);

#endif
