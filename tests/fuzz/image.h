/* SPDX-License-Identifier: Apache-2.0
 *
 * Small databases in memory that harnesses start from. Each is made once a process, the same in
 * every process, with sizes of a few kilobytes so that it has several log segments, SSTs on two
 * levels, range tombstones and, of the SQL ones, cold segments with dead rows. */
#ifndef LAMINA_TESTS_FUZZ_IMAGE_H
#define LAMINA_TESTS_FUZZ_IMAGE_H

#include "lamina/lamina.h"

#define IMAGE_DIR "/db"

enum image_kind {
    IMAGE_ENGINE_SEALED,
    IMAGE_ENGINE_CRASHED,
    IMAGE_SQL_SEALED,
    IMAGE_SQL_CRASHED,
    IMAGE_COUNT,
};

/* A copy, nothing open, clock and randomness rewound; fuzz_env_free. */
lam_env *image_copy(enum image_kind kind);
static inline bool image_has_sql(enum image_kind kind) {
    return kind >= IMAGE_SQL_SEALED;
}
/* How a database of an image is opened. */
struct lam_options image_options(lam_env *env);

/* Runs a text as user `u`, service role dba, and asks that it succeeds. */
void image_run(lam_db *db, const char *sql);

/* Does what a reader can do with an open database, and answers for each that it is an answer to
 * hostile bytes: all partitions forth and back, gets, stats, check. */
void image_read_engine(lam_db *db);
/* The same through SQL, as user `u` with all rights or as user `v`: of the questions and, unless
 * `read_only`, of the changes those whose bit of `which` is set (they share 16 bits). Bit 14: an
 * entity of the embedder, too. */
void image_read_sql(lam_db *db, bool read_only, uint16_t which);

#endif
