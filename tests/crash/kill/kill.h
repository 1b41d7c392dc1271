/* SPDX-License-Identifier: Apache-2.0
 *
 * The kill test: a process that writes through many threads is killed at random moments, also while
 * it opens; what it acknowledged and the model of what must be there live in memory shared with its
 * parent. Each load has writers that do a deterministic series of changes; a writer's change `i` is
 * begun, done and acknowledged before change `i + 1` begins. So after a kill the state must be the
 * one after the last acknowledged change, or the one after the last begun change. */
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
#define WRITERS        (ENGINE_WRITERS + SQL_WRITERS + 2)

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

/* What one writer has done; written by the child, read by the parent after its death. */
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

/* In shared memory. */
struct shared {
    uint64_t seed;
    struct progress engine[ENGINE_WRITERS];
    struct progress churn; /* creates and drops a partition */
    struct progress sql[SQL_WRITERS];
    struct progress ddl; /* creates and drops a table and an index */
    /* The model: the state after change `applied`; kept by verification. 0: no such key. */
    uint64_t engine_applied[ENGINE_WRITERS];
    uint64_t sql_applied[SQL_WRITERS];
    uint64_t slots[ENGINE_WRITERS][ENGINE_SLOTS];
    uint64_t single[ENGINE_WRITERS];
    struct sql_row rows[SQL_WRITERS][SQL_IDS];
    /* What went on, over all rounds: a kind that stays at zero makes the test worthless. */
    _Atomic uint64_t dumps, compactions, flushes, schema_changes, unacked;
};

struct load {
    lam_db *db;
    struct shared *shared;
    uint64_t round; /* differs for each child */
};

/* Ends the process with a message; the parent takes it for a failure of the test. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void must(enum lam_code code, const struct lam_error *err, const char *what);
/* A generator for something named by three numbers. */
void rng_for(struct rng *r, const struct shared *s, uint64_t kind, uint64_t a, uint64_t b);
/* Starts a thread that runs for ever. */
void start(void *(*work)(void *), void *arg);

/* Make what the load needs and start its threads. */
void engine_start(struct load *l);
void sql_start(struct load *l);
/* Compare the database with the model and move the model to what was found. */
void engine_verify(struct load *l);
void sql_verify(struct load *l);

#endif
