/* SPDX-License-Identifier: Apache-2.0
 *
 * A database under SQL statements on a simulated file system, with a model beside it. Every
 * statement may be interrupted: at the operations it asks of the environment, images are taken of
 * what a kill or a power loss would leave then; when it has returned, each image is opened and must
 * hold, as a whole, a state of the history that the crash may leave: tables, columns, indexes, rows
 * of all users, users, storages, entity records, jobs, files. Indexes must agree with their tables.
 *
 * A history is a list of states. After a power loss any state from `floor` on may be there, `floor`
 * being the last that was acknowledged as durable; after a kill, the newest one, and until the next
 * process has shown it a power loss may still take it. A statement under way may be there wholly or
 * not at all. One that failed is not there, unless its error said UNKNOWN_OUTCOME. */
#ifndef LAMINA_TESTS_SIM_WORLD_SQL_H
#define LAMINA_TESTS_SIM_WORLD_SQL_H

#include "lamina/check.h"
#include "lamina/entity.h"
#include "lamina/sql.h"
#include "tests/sim/choice.h"
#include "tests/sim/model_sql.h"
#include "tests/sim/simfs.h"

#define WSQL_KINDS(X)                                                                              \
    X(CREATE_NAMESPACE, "CREATE NAMESPACE")                                                        \
    X(DROP_NAMESPACE, "DROP NAMESPACE")                                                            \
    X(CREATE_TABLE, "CREATE TABLE")                                                                \
    X(DROP_TABLE, "DROP TABLE")                                                                    \
    X(CREATE_INDEX, "CREATE INDEX")                                                                \
    X(DROP_INDEX, "DROP INDEX")                                                                    \
    X(ADD_COLUMN, "ADD COLUMN")                                                                    \
    X(DROP_COLUMN, "DROP COLUMN")                                                                  \
    X(RENAME_COLUMN, "RENAME COLUMN")                                                              \
    X(RETYPE_COLUMN, "ALTER COLUMN TYPE")                                                          \
    X(SET_DEFAULT, "SET DEFAULT")                                                                  \
    X(SET_NULL, "SET NOT NULL")                                                                    \
    X(INSERT, "INSERT")                                                                            \
    X(UPSERT, "ON CONFLICT")                                                                       \
    X(UPDATE, "UPDATE")                                                                            \
    X(DELETE, "DELETE")                                                                            \
    X(EXECUTE_AS, "EXECUTE AS USER")                                                               \
    X(FLUSH, "STORAGE FLUSH TABLE")                                                                \
    X(FLUSH_ALL, "STORAGE FLUSH ALL")                                                              \
    X(CREATE_USER, "CREATE USER")                                                                  \
    X(DROP_USER, "DROP USER")                                                                      \
    X(CREATE_STORAGE, "CREATE STORAGE")                                                            \
    X(DROP_STORAGE, "DROP STORAGE")                                                                \
    X(THING_PUT, "entity put")                                                                     \
    X(THING_DELETE, "entity delete")                                                               \
    X(THING_DROP, "entity drop")                                                                   \
    X(DUMP, "dump")                                                                                \
    X(COMPACT, "compact")                                                                          \
    X(TICK, "background tasks")                                                                    \
    X(CLOCK, "clock")                                                                              \
    X(EXPIRE, "expiry of STREAM rows")                                                             \
    X(REOPEN, "reopen")                                                                            \
    X(CRASH, "crash")

enum wsql_kind {
#define X(name, text) WSQL_##name,
    WSQL_KINDS(X)
#undef X
        WSQL_KIND_COUNT
};
const char *wsql_kind_name(enum wsql_kind kind);

enum wsql_expect { WSQL_OK, WSQL_REFUSED, WSQL_EITHER };

struct wsql_text {
    char *data; /* owned, ends in NUL */
    size_t size, capacity;
};

/* A statement, or something else that is done to the database. */
struct wsql_step {
    enum wsql_kind kind;
    struct wsql_text sql;
    int who;                        /* the owner whose session runs it; -1: root */
    enum lam_durability durability; /* of what is not a schema change */
    bool synced;                    /* durable once acknowledged, whatever `durability` says */
    enum wsql_expect expect;
    struct msql_state *after; /* owned; NULL: REFUSED, or nothing changes */
    struct msql_row *thing;   /* THING_*: the record, or its key */
    bool insert;              /* THING_PUT: must not be there */
};

struct wsql_options {
    unsigned images; /* most images a statement; 0: none */
    unsigned every;  /* so many at each operation, without other limit; 0: some operations */
    unsigned depth;  /* crashes within recoveries */
    unsigned faults; /* one statement in so many has a failing operation; 0: none */
    unsigned skip;   /* operations that lie (enum simfs_op): they succeed and do nothing */
    const char *skip_pattern; /* of paths; NULL: any */
    bool verbose;             /* print statements */
    bool plain;               /* the product's own sizes */
};

struct wsql_stats {
    uint64_t images;          /* opened and compared */
    uint64_t nested;          /* of those, of a crash within or after a recovery */
    uint64_t same;            /* not opened: equal to one that was */
    uint64_t points;          /* operations of statements at which images were taken */
    uint64_t flush_points;    /* of those in flushes and schema changes */
    uint64_t index_checks;    /* index entries followed, and queries by index or key compared */
    uint64_t index_paths;     /* of those queries, planned as index scans */
    uint64_t user_rows;       /* rows read in a user's session, each with his canary */
    uint64_t leaks;           /* rows of another */
    uint64_t cold_files;      /* Parquet files looked through for foreign canaries */
    uint64_t deaths;          /* of those, of a process only: what is pending stays so */
    uint64_t deaths_power;    /* and the power went in the next one's opening */
    uint64_t expired;         /* images in which STREAM rows expired */
    uint64_t faults;          /* failing operations */
    uint64_t faults_survived; /* of those, the statement succeeded */
    uint64_t unknown;         /* statements with UNKNOWN_OUTCOME */
    uint64_t read_only;       /* images looked at without changing them */
    uint64_t done[WSQL_KIND_COUNT];
    uint64_t refused[WSQL_KIND_COUNT];
};

/* KILL: all that was written is durable. DEATH: what was pending stays so. */
enum wsql_crash { WSQL_POWER_LOSS, WSQL_KILL, WSQL_DEATH };

struct wsql;

/* An open database to look at: the world's, or an image. */
struct wsql_view {
    struct wsql *w;
    struct simfs *fs;
    lam_db *db; /* NULL: closed */
    lam_session *root, *sessions[MSQL_OWNERS];
    lam_entity *things; /* NULL: not opened */
    bool read_only;
    const char *what; /* for messages */
};

/* What a crash at some moment left, and what may be in it. */
struct wsql_image {
    struct simfs *fs; /* owned */
    char what[160];
    struct msql_state **may; /* states that may be there, in order; references; owned array */
    size_t count;
    size_t from;  /* of these, the first that may be there now */
    bool killed;  /* everything that was written is there */
    bool pending; /* but until the next process has opened it, a power loss may take what is
                     not durable: then `may` from 0 on */
    uint64_t flushes_more; /* completed jobs that may be there beyond those of the last */
    uint64_t flushes_lost; /* and beyond those of any: jobs of statements that failed */
};
struct wsql_images {
    struct wsql_image *items; /* owned */
    size_t count, capacity;
    uint64_t offered; /* moments so far, for the choice among them */
};

struct wsql {
    struct choice *choice;       /* of statements */
    struct choice *image_choice; /* of crashes and what follows them; may be the same */
    struct wsql_options options;
    struct wsql_stats *stats; /* borrowed */
    struct wsql_view live;
    char owners[MSQL_OWNERS][300];
    bool manual;
    bool made;                      /* the database is there whatever a crash takes */
    enum lam_durability durability; /* as opened */
    bool has_things;                /* the entity was made */

    /* [first, first + count): the states since `floor`, the newest last. References. */
    struct msql_state **states;
    size_t first, count, capacity;
    size_t floor;                  /* a power loss keeps at least this one */
    size_t kill_floor;             /* and a kill this one: the newest, unless that is not certain */
    const struct msql_state *base; /* what statements are made for; NULL: the newest state */
    uint64_t number;               /* statements so far: stamps of rows */
    unsigned expiries;             /* jumps of the clock */
    int64_t begun_us;              /* the clock at first */
    bool broken;                   /* a failure may have made the database read-only */
    bool flush_failed;             /* one that flushes: some of its jobs may have completed */

    struct wsql_images images;
    const struct wsql_step *step; /* under way: images are taken. NULL: none */
    uint64_t step_ops;            /* mutating operations of it */
    uint64_t *seen;               /* hashes of images opened for this step */
    size_t seen_count, seen_capacity;
    bool failed;
    const char *check; /* which: the words of its message; static */
    char message[4096];
};

/* `image_choice`: for crashes and what follows them; NULL: the same as for statements. */
struct wsql *wsql_new(struct choice *choice, struct choice *image_choice,
                      const struct wsql_options *options, struct wsql_stats *stats);
void wsql_free(struct wsql *w);
/* Makes a statement of a kind; false if there is nothing to do it to. */
bool wsql_generate(struct wsql *w, enum wsql_kind kind, struct wsql_step *step);
/* Any kind. */
void wsql_draw(struct wsql *w, struct wsql_step *step);
void wsql_step_fini(struct wsql_step *step);
/* Runs it, compares, opens all images. */
void wsql_do(struct wsql *w, struct wsql_step *step);
/* A whole random history. */
void wsql_history(struct wsql *w, unsigned steps);
/* A fixed history that has every kind of statement, rows hot and cold. `fn` (may be NULL) is called
 * before each step. */
void wsql_canonical(struct wsql *w, void (*fn)(struct wsql *w, struct wsql_step *step));
/* Runs a step on copies of the database, with each operation of the environment failing once, or
 * each `stride`th. Returns their number. */
uint64_t wsql_sweep(struct wsql *w, struct wsql_step *step, const struct simfs_fault *form,
                    unsigned stride);
/* Closes and reopens once more, compares. */
void wsql_end(struct wsql *w);

/* --- inside --------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) void wsql_fail(struct wsql *w, const char *format, ...);
const struct msql_state *wsql_now(const struct wsql *w);

__attribute__((format(printf, 2, 3))) void wsql_put(struct wsql_text *t, const char *format, ...);
/* A literal of a value, and a name or user in quotes. */
void wsql_put_value(struct wsql_text *t, const struct msql_type *type, const struct msql_value *v);
void wsql_put_quoted(struct wsql_text *t, const char *text, size_t size, char quote);
/* namespace.table */
void wsql_put_table(struct wsql_text *t, const struct msql_table *table);
/* Rows of STREAM tables live for two years. Clocks are set back and forth, by one year at each
 * crash at most; when rows are to expire the clock jumps further than all of that. */
#define WSQL_TTL_SECONDS INT64_C(63072000)
#define WSQL_EXPIRY_US   (3 * WSQL_TTL_SECONDS * 1000000)
/* From now on rows of STREAM tables that are there are not, whatever happens. */
void wsql_expire(struct wsql *w);
extern const char *const wsql_spaces[MSQL_NAMESPACES];
extern const char *const wsql_storages[MSQL_STORAGES];
/* What every row of an owner holds in its column `own`. */
const char *wsql_canary(enum msql_kind kind, unsigned owner);
const struct lam_entity_desc *wsql_things(void);

enum lam_code wsql_view_open(struct wsql_view *v, struct lam_error *err);
/* False: the database could not be closed, which only matters where `err` does. */
enum lam_code wsql_view_close(struct wsql_view *v, struct lam_error *err);
/* Everything there is as a state; NULL: failed. */
struct msql_state *wsql_read(struct wsql_view *v, bool with_things);
/* Completed flushes that system.jobs tells of. */
uint64_t wsql_flushes(struct wsql_view *v);
/* Index partitions against hot rows, queries by index and key against the rows found. */
void wsql_check_indexes(struct wsql_view *v, const struct msql_state *found, bool queries);
/* Files, jobs, segments, partitions. */
enum wsql_tidy {
    WSQL_RUNNING, /* what is named is there */
    WSQL_ENDED,   /* and no file that is not named */
    WSQL_FRESH,   /* just opened: nothing at all is left over */
};
void wsql_check_tidy(struct wsql_view *v, enum wsql_tidy tidy);
/* Segments' files that are there, as numbers and tags; and that no table would use one of these
 * numbers again. */
struct wsql_numbers {
    struct wsql_number {
        uint64_t number;
        uint32_t tag;
    } * items; /* owned */
    size_t count, capacity;
};
void wsql_note_numbers(struct simfs *fs, struct wsql_numbers *out);
void wsql_check_numbers(struct wsql_view *v, const struct wsql_numbers *numbers);
/* What system tables say against what the registry has. */
void wsql_check_system(struct wsql_view *v, const struct msql_state *found);
/* Prints how two states differ, into the world's message. */
void wsql_explain(struct wsql *w, const struct msql_state *found, const struct msql_state *wanted);
/* Runs a statement of sessions or of the entity; the completed flushes it tells. */
enum lam_code wsql_run(struct wsql_view *v, const struct wsql_step *step, uint64_t *flushed_out,
                       struct lam_error *err);
/* The state among those that an image may hold, or NULL. */
struct msql_state *wsql_match(const struct wsql_image *image, const struct msql_state *found);
/* Offers a moment: maybe takes an image of `fs`, at most `most` of them in all. `form` says what
 * may be there; its states are borrowed. */
void wsql_offer(struct wsql *w, struct wsql_images *images, unsigned most, struct simfs *fs,
                enum wsql_crash kind, const struct wsql_image *form);
void wsql_images_fini(struct wsql_images *images);
/* Opens an image and compares; `depth` more crashes may follow. */
void wsql_check_image(struct wsql *w, struct wsql_image *image, unsigned depth);

#endif
