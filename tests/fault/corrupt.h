/* SPDX-License-Identifier: Apache-2.0
 *
 * Damage to the files of a closed or crashed database, and what may come of it.
 *
 * corrupt_build makes a small database that holds every kind of file. A survey asks all that can be
 * asked of it - every partition forward, backward and key by key, every table, user, index and
 * aggregate - and keeps the answers; asked again of a damaged copy, each answer must be the same or
 * an error LAM_CORRUPT that names a file. A scan may give the first of its rows before the error.
 * Anything else is harm: another answer, a row that is missing without an error, another error, an
 * abort, a hang, an allocation out of all proportion.
 *
 * A mutation is a kind and an index below the kind's count, so that a failure is replayed by them.
 * All memory here is the C library's; whatever can't be helped aborts. */
#ifndef LAMINA_TESTS_FAULT_CORRUPT_H
#define LAMINA_TESTS_FAULT_CORRUPT_H

#include "lamina/lamina.h"
#include "tests/sim/simfs.h"

#define CORRUPT_DIR "/db"

/* --- the database -------------------------------------------------------------------------- */

struct corrupt_shape {
    bool large;    /* some 70 KiB instead of some 35 */
    uint64_t seed; /* of ids and salts: another seed is another database of the same content */
};

/* Two moments of one database, `old` closed earlier and `now` last; and what became of a copy of it
 * that was taken when it was empty and filled with other content of the same sizes: the same
 * database id, the same file numbers. */
struct corrupt_built {
    struct simfs *now;
    struct simfs *old;
    struct simfs *sibling;
    struct choice *choice; /* that they borrow */
};
void corrupt_build(const struct corrupt_shape *shape, struct corrupt_built *out);
void corrupt_built_fini(struct corrupt_built *b);
/* How every open here is made. */
struct lam_options corrupt_options(lam_env *env, bool read_only);

/* --- a crashed database -------------------------------------------------------------------- */

/* A database that the process was killed in. Commits are numbered from 1; each is a batch that puts
 * the same key into partitions `left` and `right`. By the shape the last edit of the manifest is
 * another: a dump's, the name of a log segment, a partition made or dropped, a compaction's. */
#define CRASHED_SHAPES  5
#define CRASHED_COMMITS 24
struct corrupt_crashed {
    struct simfs *fs;
    struct choice *choice; /* that it borrows */
    unsigned shape;
    bool synced[CRASHED_COMMITS + 1]; /* the log was synced after this commit */
};
void corrupt_build_crashed(unsigned shape, uint64_t seed, struct corrupt_crashed *out);
void corrupt_crashed_fini(struct corrupt_crashed *c);
struct corrupt_finding;
/* Opens a damaged copy. It must say CORRUPT, or hold the first so many commits in both partitions:
 * all of them unless open says that it dropped the end of the log, and never fewer than a later
 * record shows to be durable. What it holds stays the same over another close and open. */
void corrupt_verify_crashed(struct simfs *fs, const struct corrupt_crashed *c, bool read_only,
                            struct corrupt_finding *out);

/* --- asking -------------------------------------------------------------------------------- */

struct corrupt_answers;
struct corrupt_answers *corrupt_answers_new(void);
void corrupt_answers_free(struct corrupt_answers *a);
size_t corrupt_answers_count(const struct corrupt_answers *a);

enum corrupt_verdict {
    CORRUPT_RIGHT,    /* every answer as it was */
    CORRUPT_DETECTED, /* some answers were errors as they must be */
    CORRUPT_HARM,
    CORRUPT_VERDICTS,
};
struct corrupt_finding {
    enum corrupt_verdict verdict;
    char text[1536]; /* HARM: which question, and what came; DETECTED: the first error */
};

/* How to ask. */
struct corrupt_how {
    bool read_only;    /* nothing is written */
    bool transient;    /* lam_check_full and reads may differ: the damage is not on the disk */
    bool tables_only;  /* partitions were written to since */
    bool any_error;    /* errors of other codes are fine if they name a file, e.g. INVALID for a
                          directory where a file should be */
    const char *named; /* what errors must contain: the damaged file's path; NULL: a file's */
    unsigned portion;  /* besides what reads every byte once, only one in so many questions */
    uint64_t turn;     /* which of them */
};

/* Asks everything and keeps the answers. Aborts on an error. */
void corrupt_learn(struct simfs *fs, struct corrupt_answers *a);
/* lam_check_full, open, ask, close; unless read_only, lam_check_full and ask again what it left. */
void corrupt_verify(struct simfs *fs, const struct corrupt_answers *a,
                    const struct corrupt_how *how, struct corrupt_finding *out);

/* --- mutations ----------------------------------------------------------------------------- */

/* X(name, what it does) */
#define CORRUPT_KIND_LIST(X)                                                                       \
    X(BIT, "a bit is flipped")                                                                     \
    X(TRUNCATE, "a file is cut, at every length")                                                  \
    X(EXTEND, "1, 512 or 4096 zero or noise bytes come behind a file")                             \
    X(BYTE, "a byte is 00, FF or one more")                                                        \
    X(ZEROS, "16 bytes are zero")                                                                  \
    X(SECTOR, "bytes come from elsewhere in the file, in 512 or 64")                               \
    X(REMOVE, "a file is gone")                                                                    \
    X(REMOVE_2, "two files are gone")                                                              \
    X(SWAP, "two files have changed places")                                                       \
    X(DOUBLE, "a file is also there under another number")                                         \
    X(STALE, "a file is an older one of its kind")                                                 \
    X(FOREIGN, "a file is another database's of its kind")                                         \
    X(SIBLING, "a file is the one of its name of a copy that went another way")                    \
    X(DIRECTORY, "a directory is where a file was")                                                \
    X(STRAY, "a file of a foreign, temporary or orphan name has come")                             \
    X(NO_DIRECTORY, "a directory is gone with all in it")

enum corrupt_kind {
#define CORRUPT_ENUM(name, text) CORRUPT_##name,
    CORRUPT_KIND_LIST(CORRUPT_ENUM)
#undef CORRUPT_ENUM
        CORRUPT_KINDS
};
const char *corrupt_kind_name(enum corrupt_kind kind);

/* What there is to damage, and where its parts come from. */
struct corrupt_target;
/* Borrows all; the other ones may be NULL. */
struct corrupt_target *corrupt_target_new(struct simfs *now, struct simfs *old,
                                          struct simfs *sibling, struct simfs *foreign);
void corrupt_target_free(struct corrupt_target *t);
uint64_t corrupt_count(const struct corrupt_target *t, enum corrupt_kind kind);
/* How many kinds of files are among those to damage, of all that a closed database may have. Aborts
 * if one is of another kind: it wants mutations, and a place here. */
#define CORRUPT_FILE_KINDS 10
unsigned corrupt_file_kinds(const struct corrupt_target *t);

struct corrupt_damage {
    char path[200]; /* the damaged file, if it is one; else empty */
    char text[520]; /* what was done */
    bool none;      /* it changed nothing */
};
/* A damaged copy of `now`; owned. */
struct simfs *corrupt_apply(const struct corrupt_target *t, enum corrupt_kind kind, uint64_t index,
                            struct corrupt_damage *out);

#endif
