/* SPDX-License-Identifier: Apache-2.0
 *
 * The kill test. A life is a process that opens the database, compares it with a model, then writes
 * through many threads until its parent kills it: while it opens, while it works at something
 * named, while it closes, or at any moment. What it acknowledged and the model lie in memory shared
 * with the parent, so they outlive it.
 *
 * A writer does a deterministic series of changes: change `i` is begun, done and acknowledged
 * before change `i + 1` begins. So after a kill the state must be the one after the last
 * acknowledged change, or the one after the last begun change. Whichever a verification finds is
 * final: it makes a model of that state beside the old one and switches to it with one store, so
 * that it may be killed itself. */
#ifndef LAMINA_TESTS_CRASH_KILL_H
#define LAMINA_TESTS_CRASH_KILL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lamina/lamina.h"

#define ENGINE_WRITERS 3
#define ENGINE_SLOTS   120
#define SQL_WRITERS    3 /* two users of app.t, one writer of app.s */
#define SQL_IDS        160
#define ENTITY_WRITERS 2
#define ENTITY_IDS     60

/* splitmix64: the program knows the public headers only. */
struct rng {
    uint64_t x;
};
static inline uint64_t rng_next(struct rng *r) {
    uint64_t z = r->x += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
static inline uint64_t rng_below(struct rng *r, uint64_t n) {
    return rng_next(r) % n;
}

/* What one writer has done; written by the living, read by the next life. */
struct progress {
    _Atomic uint64_t begun;
    _Atomic uint64_t acked;
};

struct sql_row {
    bool present;
    int32_t a;
    int64_t n;
    uint64_t b; /* the change that gave column b */
};

struct record {
    bool present;
    int32_t a;
    uint64_t n; /* the change that wrote it */
};

/* The state that a verification found, and what was done since. */
struct model {
    struct progress engine[ENGINE_WRITERS];
    struct progress churn; /* creates and drops a partition */
    struct progress sql[SQL_WRITERS];
    struct progress schema; /* creates, alters and drops tables and indexes */
    struct progress entity[ENTITY_WRITERS];
    /* Changes whose effect the state below holds. */
    uint64_t engine_applied[ENGINE_WRITERS];
    uint64_t sql_applied[SQL_WRITERS];
    uint64_t entity_applied[ENTITY_WRITERS];
    uint64_t slots[ENGINE_WRITERS][ENGINE_SLOTS]; /* 0: no such key */
    uint64_t single[ENGINE_WRITERS];
    struct sql_row rows[SQL_WRITERS][SQL_IDS];
    struct record records[ENTITY_WRITERS][ENTITY_IDS];
};

/* What a life can be at when it is killed. */
enum work {
    WORK_OPEN,
    WORK_VERIFY,
    WORK_LOAD, /* anything after that */
    WORK_DUMP,
    WORK_COMPACT,
    WORK_FLUSH,
    WORK_SCHEMA,
    WORK_CLOSE,
    WORK_COUNT,
};

/* In shared memory. */
struct shared {
    uint64_t seed; /* of the changes to this database */
    struct model models[2];
    _Atomic uint32_t current;             /* the model that holds */
    _Atomic uint32_t at_work[WORK_COUNT]; /* threads of the living at it */
    _Atomic uint64_t open_us, close_us;   /* what the last took */
    _Atomic bool close_asked;             /* by the parent */
    _Atomic uint64_t done[WORK_COUNT];    /* over all lives */
    _Atomic uint64_t unacked;             /* changes found though not acknowledged */
};

enum part { PART_ENGINE = 1, PART_SQL = 2, PART_ENTITY = 4, PART_ALL = 7 };

/* A life. */
struct load {
    lam_db *db;
    struct shared *shared;
    struct model *model; /* while verifying: the one being made */
    uint64_t number;     /* differs for each life */
    unsigned parts;      /* mask of enum part: what it writes */
    bool full;           /* verify every row by every path */
    _Atomic bool stop;
};

/* Ends the process with a message; the parent takes it for a failure of the test. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void must(enum lam_code code, const struct lam_error *err, const char *what);
void *must_alloc(size_t size); /* zeroed */
/* A generator for something named by three numbers. */
void rng_for(struct rng *r, const struct shared *s, uint64_t kind, uint64_t a, uint64_t b);
/* Starts a thread of a life. It ends soon after `stopping`. */
void start(void *(*work)(void *), void *arg);
static inline bool stopping(const struct load *l) {
    return atomic_load_explicit(&l->stop, memory_order_relaxed);
}
/* Around a piece of work. */
void work_begin(struct load *l, enum work work);
void work_end(struct load *l, enum work work);

/* Make what the part needs and start its threads. */
void engine_start(struct load *l);
void sql_start(struct load *l);
void entity_start(struct load *l);
/* Compare the database with the model and move the model to what was found. */
void engine_verify(struct load *l);
void sql_verify(struct load *l);
void entity_verify(struct load *l);
/* Gives back the handle that entity_verify took, so that the database can be closed. */
void entity_stop(void);

#endif
