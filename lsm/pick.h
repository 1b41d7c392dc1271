/* SPDX-License-Identifier: Apache-2.0
 *
 * Chooses what to compact: a pure function of a version and a few numbers.
 *
 * Levels are sized from the bottom: the deepest level may hold what it holds, each one above a
 * tenth of it, down to the base level, the first whose target would pass `base_bytes`. Level 0 is
 * compacted into the base level. A level's score is its bytes (files weigh more for their deletes
 * and range tombstones, which hold back space below) over its target; level 0's is its number of
 * files over PICK_L0_FILES. */
#ifndef LAMINA_LSM_PICK_H
#define LAMINA_LSM_PICK_H

#include "lsm/version.h"

#define PICK_L0_FILES 4u

/* Bytes to be written again that one step over a hidden row outweighs: few, since they wear out
 * the disk besides taking time. */
#define PICK_STEP_BYTES 8u

struct pick_input {
    const struct version *version;
    uint64_t oldest_snapshot; /* of those open; UINT64_MAX: none is */
    int64_t now_us;           /* wall clock, for TTL */
    uint32_t ttl_seconds;     /* the partition's; 0: none */
    uint64_t base_bytes;      /* target of the base level at most */
    uint64_t file_bytes;      /* size of an output file */
    uint64_t passed_steps;    /* db_tuning's */
    uint64_t rest_share; /* db_tuning's while nothing is written: level 0 and half of the levels
                            between are merged when they are over one in so many of the last
                            level, and of the base level's target; else 0 */
    bool joins;          /* small files are joined rather than moved to the last level */
};

enum pick_kind {
    PICK_NONE = 0,
    PICK_DROP = 1,  /* inputs[0] holds nothing any reader can see */
    PICK_MOVE = 2,  /* inputs[0] goes to `target` as it is */
    PICK_MERGE = 3, /* inputs[0] of `level` with inputs[1] of `target` into `target` */
};

struct pick_files {
    struct file_meta **files; /* owned array; references are the version's; in version order */
    size_t count;
    size_t capacity;
    uint64_t bytes;
};
struct pick_job {
    enum pick_kind kind;
    uint32_t level;
    uint32_t target;
    double score;                /* of the level picked */
    struct pick_files inputs[2]; /* DROP: files of any level in inputs[0], levels in `levels` */
    uint32_t *levels;            /* level of each of inputs[0]; owned */
    size_t levels_capacity;
};
void pick_job_fini(struct pick_job *job);

/* Level that level 0 goes to, and the byte target of each level (0: not in use). */
uint32_t pick_targets(const struct version *v, uint64_t base_bytes,
                      uint64_t targets[VERSION_LEVELS]);
/* Score of the level most in need; 1 and more is due. Also due when files can be dropped. */
double pick_score(const struct pick_input *in);
/* Bytes that compaction is behind by: how much pacing slows writers. */
uint64_t pick_debt(const struct version *v, uint64_t base_bytes);
MUST_CHECK enum lam_code pick_choose(const struct pick_input *in, struct pick_job *job_out,
                                     struct lam_error *err);

/* Keys of [from, to) (empty: no bound) as of a sequence. */
struct pick_range {
    struct lam_slice from;
    struct lam_slice to;
    uint64_t sequence;
};
/* A step that drops what can be dropped unread, brings what a range held at its sequence towards
 * the last level, or rewrites what it holds of tombstones there. After finitely many it is NONE:
 * each takes older data down. */
MUST_CHECK enum lam_code pick_in_range(const struct pick_input *in, const struct pick_range *range,
                                       struct pick_job *job_out, struct lam_error *err);
/* What such steps are yet wanted for: at least so much is read. */
void pick_range_left(const struct pick_input *in, const struct pick_range *range,
                     uint64_t *files_out, uint64_t *bytes_out);

#endif
