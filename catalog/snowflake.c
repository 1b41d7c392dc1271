/* SPDX-License-Identifier: Apache-2.0
 *
 * The one generator of row versions and ids, and the commit that stamps them.
 *
 * An id is (ms << 22 | worker << 12 | counter), ms since 2024-01-01 UTC. The clock here is a
 * logical one: it follows the wall clock forward, stays when that one goes back, and steps to the
 * next millisecond by itself when 4096 ids of one are used up. So it never waits. A wall clock of
 * the last year that 41 bits can tell, or beyond, is wrong and not followed: whoever followed it
 * would soon have no ids left.
 *
 * Persistence: `system_meta` holds a bound of the milliseconds of all ids that left. A commit that
 * stamps beyond the bound carries the next bound itself, in the same batch; an id outside of
 * commits beyond it waits for a write of the bound. Only a bound that is committed counts: after a
 * write that failed, the next one tries again. A restart begins above the bound. */
#include "catalog/catalog_impl.h"

#define EPOCH_MS       1704067200000
#define COUNTER_BITS   12
#define WORKER_BITS    10
#define TIME_SHIFT     (COUNTER_BITS + WORKER_BITS)
#define COUNTER_MASK   ((1 << COUNTER_BITS) - 1)
#define MS_MAX         ((INT64_C(1) << 41) - 1)
#define MS_FOLLOWED    (MS_MAX - (INT64_C(1) << 35))
#define BOUND_AHEAD_MS 1000
#define BOUND_KEY      "clock"
#define BOUND_BYTES    8

static inline struct lam_slice bound_key(void) {
    return lam_slice_of(BOUND_KEY, sizeof BOUND_KEY - 1);
}

/* Of the ids' epoch; 0 for a time that ids do not follow. */
static int64_t wall_ms(int64_t now_us) {
    int64_t ms = now_us / 1000 - EPOCH_MS;
    return ms < 0 || ms > MS_FOLLOWED ? 0 : ms;
}

static inline int64_t *last_of(struct clock *clock) REQUIRES(clock->mu) {
    return &clock->guarded_.last;
}
static inline int64_t *bound_of(struct clock *clock) REQUIRES(clock->mu) {
    return &clock->guarded_.bound_ms;
}

/* Whether there are `count` more ids. */
static enum lam_code check_left_locked(struct clock *clock, int64_t now_ms, size_t count,
                                       struct lam_error *err) REQUIRES(clock->mu) {
    int64_t last = *last_of(clock);
    if (now_ms > last >> COUNTER_BITS)
        last = now_ms << COUNTER_BITS;
    if ((uint64_t)((MS_MAX << COUNTER_BITS | COUNTER_MASK) - last) >= count)
        return LAM_OK;
    return ERR(err, LAM_LIMIT, "no ids are left: the newest is of the last millisecond there is");
}

static int64_t bound_after(int64_t ms) {
    return ms > MS_MAX - BOUND_AHEAD_MS ? MS_MAX : ms + BOUND_AHEAD_MS;
}

static int64_t next_locked(struct clock *clock, int64_t now_ms) REQUIRES(clock->mu) {
    int64_t *last = last_of(clock);
    if (now_ms > *last >> COUNTER_BITS)
        *last = now_ms << COUNTER_BITS;
    else
        (*last)++; /* a full counter carries into the milliseconds */
    LAM_ASSERT(*last >> COUNTER_BITS <= MS_MAX);
    return (*last >> COUNTER_BITS) << TIME_SHIFT | clock->worker << COUNTER_BITS |
           (*last & COUNTER_MASK);
}

static enum lam_code put_bound(struct catalog *c, lam_batch *batch, int64_t bound_ms,
                               struct lam_error *err) {
    uint8_t bytes[BOUND_BYTES];
    put_le64(bytes, (uint64_t)bound_ms);
    return lam_batch_put(batch, c->meta, bound_key(), lam_slice_of(bytes, sizeof bytes), err);
}

struct stamping {
    struct catalog *c;
    struct seq_stamps *stamps; /* NULL: only the bound */
    int64_t bound_ms;          /* put into the batch; 0: none */
};

static enum lam_code stamp_rows(void *arg, lam_batch *batch, struct lam_error *err) {
    struct stamping *s = arg;
    struct clock *clock = &s->c->clock;
    int64_t now_ms = wall_ms(env_now_us(s->c->env));
    s->bound_ms = 0;
    mutex_lock(&clock->mu);
    enum lam_code rc = check_left_locked(clock, now_ms, s->stamps->count, err);
    for (size_t i = 0; i < s->stamps->count && rc == LAM_OK; i++) {
        int64_t seq = next_locked(clock, now_ms);
        put_le64(db_batch_value(batch, s->stamps->offsets[i]), (uint64_t)seq);
        if (i == 0)
            s->stamps->first_seq = seq;
        s->stamps->last_seq = seq;
    }
    int64_t last_ms = *last_of(clock) >> COUNTER_BITS;
    if (last_ms > *bound_of(clock))
        s->bound_ms = bound_after(last_ms);
    mutex_unlock(&clock->mu);
    TRY(rc);
    return s->bound_ms ? put_bound(s->c, batch, s->bound_ms, err) : LAM_OK;
}

/* Bounds are computed under the commit mutex, so they reach the log in rising order. */
static enum lam_code stamp_bound(void *arg, lam_batch *batch, struct lam_error *err) {
    struct stamping *s = arg;
    struct clock *clock = &s->c->clock;
    int64_t now_ms = wall_ms(env_now_us(s->c->env));
    mutex_lock(&clock->mu);
    int64_t last_ms = *last_of(clock) >> COUNTER_BITS;
    mutex_unlock(&clock->mu);
    s->bound_ms = bound_after(now_ms > last_ms ? now_ms : last_ms);
    return put_bound(s->c, batch, s->bound_ms, err);
}

static void bound_committed(struct clock *clock, int64_t bound_ms) {
    mutex_lock(&clock->mu);
    if (bound_ms > *bound_of(clock))
        *bound_of(clock) = bound_ms;
    mutex_unlock(&clock->mu);
}

enum lam_code catalog_commit(struct catalog *c, lam_batch *batch, struct seq_stamps *stamps,
                             enum lam_durability durability, uint64_t *sequence_out,
                             struct lam_error *err) {
    struct lam_write_options options = {.durability = durability};
    if (!stamps || stamps->count == 0)
        return lam_write(c->db, &options, batch, sequence_out, err);
    struct stamping s = {.c = c, .stamps = stamps};
    TRY(db_write_stamped(c->db, &options, batch, stamp_rows, &s, sequence_out, err));
    if (s.bound_ms)
        bound_committed(&c->clock, s.bound_ms);
    return LAM_OK;
}

static enum lam_code raise_bound(struct catalog *c, struct lam_error *err) {
    struct stamping s = {.c = c};
    lam_batch *batch = NULL;
    TRY(lam_batch_new(c->db, &batch, err));
    enum lam_code rc = db_write_stamped(c->db, NULL, batch, stamp_bound, &s, NULL, err);
    lam_batch_free(batch);
    if (rc == LAM_OK)
        bound_committed(&c->clock, s.bound_ms);
    return rc;
}

enum lam_code catalog_next_id(struct catalog *c, int64_t *id_out, struct lam_error *err) {
    for (;;) {
        int64_t now_ms = wall_ms(env_now_us(c->env));
        mutex_lock(&c->clock.mu);
        int64_t next = *last_of(&c->clock) + 1;
        int64_t ms = now_ms > next >> COUNTER_BITS ? now_ms : next >> COUNTER_BITS;
        enum lam_code rc = check_left_locked(&c->clock, now_ms, 1, err);
        bool covered = ms <= *bound_of(&c->clock);
        if (rc == LAM_OK && covered)
            *id_out = next_locked(&c->clock, now_ms);
        mutex_unlock(&c->clock.mu);
        TRY(rc);
        if (covered)
            return LAM_OK;
        TRY(raise_bound(c, err));
    }
}

int64_t catalog_expiry_us(struct catalog *c) {
    int64_t now_us = env_now_us(c->env), now_ms = wall_ms(now_us);
    mutex_lock(&c->clock.mu);
    int64_t last_ms = *last_of(&c->clock) >> COUNTER_BITS;
    mutex_unlock(&c->clock.mu);
    return now_ms > last_ms ? now_us : (EPOCH_MS + last_ms) * 1000;
}

void clock_init(struct clock *clock) {
    mutex_init(&clock->mu, RANK_CLOCK);
}

enum lam_code clock_open(struct catalog *c, struct lam_error *err) {
    uint8_t identity[16];
    db_identity(c->db, identity);
    c->clock.worker = get_le16(identity) & ((1 << WORKER_BITS) - 1);
    struct lam_value value = {0};
    struct lam_error missing = {0};
    int64_t bound_ms = 0;
    enum lam_code rc = lam_get(c->db, NULL, c->meta, bound_key(), &value, &missing);
    if (rc == LAM_OK) {
        uint64_t stored = value.bytes.size == BOUND_BYTES ? get_le64(value.bytes.data) : UINT64_MAX;
        lam_value_release(&value);
        if (stored > (uint64_t)MS_MAX)
            return ERR(err, LAM_CORRUPT, "partition %s: key \"%s\" holds no time", PARTITION_META,
                       BOUND_KEY);
        bound_ms = (int64_t)stored;
    } else if (rc != LAM_NOT_FOUND)
        return error_pass(err, rc, &missing);
    mutex_lock(&c->clock.mu);
    *last_of(&c->clock) = bound_ms << COUNTER_BITS | COUNTER_MASK;
    *bound_of(&c->clock) = bound_ms;
    mutex_unlock(&c->clock.mu);
    return LAM_OK;
}

void clock_fini(struct clock *clock) {
    mutex_fini(&clock->mu);
}

static enum lam_code stamp_exact(void *arg, lam_batch *batch, struct lam_error *err) {
    struct stamping *s = arg;
    struct clock *clock = &s->c->clock;
    mutex_lock(&clock->mu);
    s->bound_ms = *last_of(clock) >> COUNTER_BITS;
    /* From here on ids beyond it write a bound again, should the database stay open after all. */
    *bound_of(clock) = s->bound_ms;
    mutex_unlock(&clock->mu);
    return put_bound(s->c, batch, s->bound_ms, err);
}

enum lam_code clock_save(struct catalog *c, struct lam_error *err) {
    if (db_is_read_only(c->db))
        return LAM_OK;
    struct stamping s = {.c = c};
    OWNED(lam_batch_free_at) lam_batch *batch = NULL;
    TRY(lam_batch_new(c->db, &batch, err));
    return db_write_stamped(c->db, NULL, batch, stamp_exact, &s, NULL, err);
}
