/* SPDX-License-Identifier: Apache-2.0
 *
 * Sweeps: a call is made again and again, and each time another of its calls of the environment or
 * another of its allocations fails, or the machine stops before it, until none is left to fail.
 * After each failure the world is looked at, and the call made once more, which must succeed.
 *
 *     static const struct sweep s = {make, open, call, ...};
 *     sweep_failures(&s, &SWEEP_IO);
 *     sweep_failures(&s, &SWEEP_MEMORY);
 *     sweep_crashes(&s, 4);
 *
 * One thread. What does not hold ends the test; `sweep_at` says where. */
#ifndef LAMINA_TESTS_SUPPORT_SWEEP_H
#define LAMINA_TESTS_SUPPORT_SWEEP_H

#include "base/env.h"
#include "lamina/db.h"
#include "tests/support/env_fault.h"
#include "tests/support/oom.h"
#include "tests/support/test.h"

#define SWEEP_USED static __attribute__((unused))

/* A small world and a call in it. What gives a code fills `err`. */
struct sweep {
    void (*make)(lam_env *env);          /* its files, closed; no failure comes here */
    enum lam_code (*open)(lam_env *env); /* what the call needs; NULL: nothing */
    enum lam_code (*call)(lam_env *env);
    enum lam_code (*again)(lam_env *env); /* after a failure; NULL: `call` */
    /* What must hold after a call that gave `was`; after a crash that is UNKNOWN_OUTCOME. `opened`:
     * the world was, since the call. */
    void (*check)(lam_env *env, enum lam_code was, bool opened);
    enum lam_code (*use)(void); /* a change: once it fails, the world is closed and opened again */
    enum lam_code (*close)(void);
    void (*image)(lam_env *env); /* looks at what a crash left, before it is opened; may be NULL */
    const char *dir;             /* of the database; lam_check finds nothing at the end */
    struct lam_error *err;
};

/* What fails: calls of the environment, or, without `kinds`, allocations. */
struct sweep_fault {
    const char *name;
    unsigned kinds;     /* of enum fault_kind */
    enum lam_code code; /* that they give */
    bool sticky;        /* all that follow, too */
};
SWEEP_USED const struct sweep_fault SWEEP_IO = {"call", FAULT_ALL, LAM_IO, false},
                                    SWEEP_IO_ALL = {"calls from", FAULT_ALL, LAM_IO, true},
                                    SWEEP_SPACE = {"no space at", FAULT_MUTATE, LAM_NO_SPACE,
                                                   false},
                                    SWEEP_SPACE_ALL = {"no space from", FAULT_MUTATE, LAM_NO_SPACE,
                                                       true},
                                    SWEEP_FLIP = {"flipped read", FAULT_FLIP, LAM_CORRUPT, false},
                                    SWEEP_MEMORY = {"allocation", 0, LAM_NO_MEMORY, false},
                                    SWEEP_MEMORY_ALL = {"allocations from", 0, LAM_NO_MEMORY, true};

/* Which failure is on, for messages: "allocation 7". */
static char sweep_at[64];

SWEEP_USED void sweep_arm(lam_env *env, const struct sweep_fault *f, uint64_t nth) {
    snprintf(sweep_at, sizeof sweep_at, "%s %llu", f->name, (unsigned long long)nth);
    if (f->kinds)
        env_fault_arm(env, f->kinds, nth, f->code, f->sticky);
    else if (f->sticky)
        oom_arm((size_t)nth);
    else
        oom_arm_once((size_t)nth);
}

/* Whether the failure came. */
SWEEP_USED bool sweep_disarm(lam_env *env, const struct sweep_fault *f) {
    bool fired = f->kinds ? env_fault_fired(env) > 0 : oom_fired();
    if (f->kinds)
        env_fault_arm(env, 0, 0, LAM_OK, false);
    return fired;
}

/* An error comes of a failure, and says what it is. */
SWEEP_USED void sweep_check_error(enum lam_code rc, bool fired, const struct lam_error *e) {
    if (rc != LAM_OK)
        ck_assert_msg(fired && e->code == rc && e->message[0], "%s: %s, the error says %s: %s",
                      sweep_at, lam_code_name(rc), lam_code_name(e->code), e->message);
}

SWEEP_USED void sweep_ok(const struct sweep *s, enum lam_code rc, const char *what) {
    ck_assert_msg(rc == LAM_OK, "%s: %s: %s: %s", sweep_at, what, lam_code_name(rc),
                  s->err->message);
}

/* What was failed can be done, and all is whole. */
SWEEP_USED void sweep_finish(const struct sweep *s, lam_env *env, enum lam_code was) {
    if (was != LAM_OK) {
        sweep_ok(s, s->again ? s->again(env) : s->call(env), "again");
        s->check(env, LAM_OK, true);
    }
    if (s->close)
        sweep_ok(s, s->close(), "close");
    if (s->dir)
        sweep_ok(s, lam_check(s->dir, env, NULL, NULL, s->err), s->dir);
}

SWEEP_USED lam_env *sweep_world(const struct sweep *s, lam_env **mem_out) {
    ck_ok(lam_env_mem_new(mem_out, s->err), s->err);
    s->make(*mem_out);
    lam_env *env = env_fault_new(*mem_out);
    ck_assert_ptr_nonnull(env);
    env_fault_arm(env, 0, 0, LAM_OK, false);
    if (s->open)
        ck_ok(s->open(env), s->err);
    memset(s->err, 0, sizeof *s->err);
    return env;
}

/* Lets each fail in turn. Returns how many did. */
SWEEP_USED uint64_t sweep_failures(const struct sweep *s, const struct sweep_fault *f) {
    for (uint64_t nth = 1;; nth++) {
        lam_env *mem, *env = sweep_world(s, &mem);
        sweep_arm(env, f, nth);
        enum lam_code rc = s->call(env);
        bool fired = sweep_disarm(env, f);
        sweep_check_error(rc, fired, s->err);
        s->check(env, rc, false);
        if (s->use && s->use() != LAM_OK) {
            IGNORE(s->close(), "it says what could not be written");
            sweep_ok(s, s->open(env), "open");
            s->check(env, rc, true);
        }
        sweep_finish(s, env, rc);
        env_fault_free(env);
        lam_env_mem_free(mem);
        if (!fired)
            return nth - 1;
    }
}

/* Stops the machine before each change in turn, and goes on with `images` of what may be left: of
 * a kill, of a power loss, and others of a power loss. Returns how many images there were. */
SWEEP_USED uint64_t sweep_crashes(const struct sweep *s, unsigned images) {
    for (uint64_t nth = 1, seen = 0;; nth++) {
        lam_env *mem, *image, *env = sweep_world(s, &mem);
        snprintf(sweep_at, sizeof sweep_at, "crash %llu", (unsigned long long)nth);
        env_fault_arm(env, FAULT_MUTATE, nth, LAM_IO, true);
        enum lam_code rc = s->call(env);
        bool fired = env_fault_fired(env) > 0;
        sweep_check_error(rc, fired, s->err);
        env_fault_arm(env, FAULT_MUTATE, 1, LAM_IO, true);
        if (s->close)
            IGNORE(s->close(), "the machine is dead");
        for (unsigned i = 0; i < images; i++, seen++) {
            enum lam_crash_mode mode = i < 2 ? (enum lam_crash_mode)i : LAM_CRASH_POWER_ANY;
            enum lam_code was = rc == LAM_OK ? rc : LAM_UNKNOWN_OUTCOME;
            ck_ok(lam_env_mem_crash(mem, mode, nth * 10 + i, &image, s->err), s->err);
            snprintf(sweep_at, sizeof sweep_at, "crash %llu, image %u", (unsigned long long)nth, i);
            if (s->image)
                s->image(image);
            if (s->open)
                sweep_ok(s, s->open(image), "open");
            s->check(image, was, true);
            sweep_finish(s, image, was);
            lam_env_mem_free(image);
        }
        env_fault_free(env);
        lam_env_mem_free(mem);
        if (!fired)
            return seen;
    }
}

/* Something that is only looked at: says the same each time, or that something failed. Returns how
 * many did. `env` has the faults. */
typedef enum lam_code (*sweep_reader)(uint64_t *hash);
SWEEP_USED uint64_t sweep_reads(lam_env *env, const struct sweep_fault *f, sweep_reader read,
                                struct lam_error *e) {
    uint64_t want = 0;
    ck_ok(read(&want), e);
    for (uint64_t nth = 1;; nth++) {
        uint64_t seen = 0;
        memset(e, 0, sizeof *e);
        sweep_arm(env, f, nth);
        enum lam_code rc = read(&seen);
        bool fired = sweep_disarm(env, f);
        sweep_check_error(rc, fired, e);
        if (rc == LAM_OK)
            ck_assert_msg(seen == want, "%s: it reads otherwise", sweep_at);
        else
            ck_code(rc, f->code);
        if (!fired)
            return nth - 1;
    }
}

SWEEP_USED void sweep_mix(uint64_t *hash, struct lam_slice s) {
    for (size_t i = 0; i < s.size; i++)
        *hash = (*hash ^ s.data[i]) * 1099511628211u;
    *hash = (*hash ^ s.size) * 1099511628211u;
}

#endif
