/* SPDX-License-Identifier: Apache-2.0
 *
 * Crashes and failures of the engine at every operation that changes a file. A canonical workload
 * runs in memory over an environment that freezes (or fails once) at the n-th operation; what is
 * left must open and hold the state after some prefix of the commits, with every acknowledged one
 * in it, batches whole over all partitions. */
#include "base/env.h"
#include "base/rng.h"
#include "lsm/lsm.h"
#include "tests/support/env_fault.h"
#include "tests/support/oom.h"
#include "tests/support/test.h"

#define PARTITIONS 3
#define KEYS       24
#define STEPS      70
#define DIR        "/db"

/* One thread runs here: ThreadSanitizer sees a sample. */
#ifdef __SANITIZE_THREAD__
#define STRIDE 20
#else
#define STRIDE 1
#endif

/* --- the model ------------------------------------------------------------------------------ */

struct state {
    bool exists[PARTITIONS];
    uint32_t value[PARTITIONS][KEYS]; /* id of the value; 0: no row */
    uint64_t sequence[PARTITIONS][KEYS];
};

/* The runs's history: states[i] is after step i - 1; a step that failed cleanly repeats the state.
 */
struct run {
    lam_env *env;
    lam_db *db;
    lam_partition *partitions[PARTITIONS];
    struct state states[STEPS + 1];
    int done;          /* steps tried: states[0..done] are filled */
    int acked;         /* last index whose step was acknowledged */
    int synced;        /* the same, durably */
    bool unknown;      /* the last step tried may or may not have happened */
    uint64_t sequence; /* last one given out */
    struct lam_error err;
};

static uint32_t value_size(uint32_t id) {
    return id % 5 == 0 ? 50000 + id : 20 + id % 100;
}

static uint8_t buffer[60000];

static struct lam_slice value_of(uint32_t id) {
    uint32_t size = value_size(id);
    struct rng rng;
    rng_init(&rng, id);
    for (uint32_t i = 0; i < size; i += 8) {
        uint64_t word = rng_next(&rng);
        memcpy(buffer + i, &word, size - i < 8 ? size - i : 8);
    }
    memcpy(buffer, &id, 4);
    return lam_slice_of(buffer, size);
}

static struct lam_slice key_of(uint32_t k, char *out) {
    return lam_slice_of(out, (size_t)snprintf(out, 16, "key%02u", k));
}

static const char *name_of(int p) {
    static const char *names[PARTITIONS] = {"alpha", "beta", "gamma"};
    return names[p];
}

/* --- the workload ---------------------------------------------------------------------------- */

enum step_kind { STEP_BATCH, STEP_CREATE, STEP_DROP, STEP_DUMP, STEP_COMPACT, STEP_REOPEN };

static enum step_kind kind_of(int step) {
    switch (step) {
    case 0:
    case 1:
    case 30:
        return STEP_CREATE;
    case 45:
        return STEP_DROP;
    case 12:
    case 40:
    case 58:
        return STEP_DUMP;
    case 25:
    case 62:
        return STEP_COMPACT;
    case 20:
    case 50:
        return STEP_REOPEN;
    default:
        return STEP_BATCH;
    }
}

static bool is_sync(int step) {
    return step % 6 == 0;
}

static struct lam_options options_for(lam_env *env) {
    return (struct lam_options){
        .env = env, .memory_budget = 4u << 20, .block_bytes = 1024, .manual_background = true};
}

static enum lam_code open_run(struct run *r) {
    struct lam_options o = options_for(r->env);
    enum lam_code rc = lam_db_open(DIR, &o, &r->db, &r->err);
    const struct state *s = &r->states[r->done];
    for (int p = 0; p < PARTITIONS && rc == LAM_OK; p++)
        if (s->exists[p])
            rc = lam_partition_open(r->db, name_of(p), &r->partitions[p], &r->err);
    return rc;
}

static enum lam_code close_run(struct run *r) {
    for (int p = 0; p < PARTITIONS; p++) {
        lam_partition_release(r->partitions[p]);
        r->partitions[p] = NULL;
    }
    enum lam_code rc = lam_db_close(r->db, &r->err);
    r->db = NULL;
    return rc;
}

/* Builds the batch of a step and what it makes of the state. */
static enum lam_code plan_batch(struct run *r, int step, struct state *next, lam_batch *b) {
    struct rng rng;
    rng_init(&rng, 1000u + (unsigned)step);
    uint64_t sequence = r->sequence;
    uint32_t n = 2 + (uint32_t)rng_below(&rng, 7);
    for (uint32_t i = 0; i < n; i++) {
        int p = (int)rng_below(&rng, PARTITIONS);
        uint32_t k = (uint32_t)rng_below(&rng, KEYS), dice = (uint32_t)rng_below(&rng, 10);
        uint32_t to = k + (uint32_t)rng_below(&rng, 8);
        uint64_t back = rng_below(&rng, 60);
        if (!next->exists[p])
            continue;
        char k1[16], k2[16];
        sequence++;
        if (dice < 7) {
            uint32_t id = (uint32_t)step * 16 + i + 1;
            TRY(lam_batch_put(b, r->partitions[p], key_of(k, k1), value_of(id), &r->err));
            next->value[p][k] = id;
            next->sequence[p][k] = sequence;
        } else if (dice < 9) {
            TRY(lam_batch_delete(b, r->partitions[p], key_of(k, k1), &r->err));
            next->value[p][k] = 0;
        } else {
            uint64_t upto = sequence > back ? sequence - back : 0;
            TRY(lam_batch_delete_range(b, r->partitions[p], key_of(k, k1), key_of(to, k2), upto,
                                       &r->err));
            for (uint32_t j = k; j < to && j < KEYS; j++)
                if (next->sequence[p][j] <= (upto < sequence ? upto : sequence - 1))
                    next->value[p][j] = 0;
        }
    }
    return LAM_OK;
}

static enum lam_code do_batch(struct run *r, int step, struct state *next) {
    lam_batch *b;
    enum lam_code rc = lam_batch_new(r->db, &b, &r->err);
    if (rc != LAM_OK)
        return rc;
    rc = plan_batch(r, step, next, b);
    if (rc != LAM_OK) {
        /* Not even tried. */
        *next = r->states[r->done];
        lam_batch_free(b);
        return rc;
    }
    struct lam_write_options o = {is_sync(step) ? LAM_DURABILITY_SYNC : LAM_DURABILITY_OS};
    uint64_t last = r->sequence;
    rc = lam_write(r->db, &o, b, &last, &r->err);
    if (rc == LAM_OK)
        r->sequence = last;
    lam_batch_free(b);
    return rc;
}

static enum lam_code do_step(struct run *r, int step, struct state *next) {
    int p = step == 45 ? 1 : step == 30 ? 2 : step;
    enum lam_code rc;
    switch (kind_of(step)) {
    case STEP_CREATE:
        next->exists[p] = true;
        return lam_partition_create(r->db, name_of(p), NULL, &r->partitions[p], &r->err);
    case STEP_DROP:
        next->exists[p] = false;
        memset(next->value[p], 0, sizeof next->value[p]);
        rc = lam_partition_drop(r->db, r->partitions[p], &r->err);
        if (rc == LAM_OK) {
            lam_partition_release(r->partitions[p]);
            r->partitions[p] = NULL;
        }
        return rc;
    case STEP_DUMP:
        return lam_db_dump(r->db, &r->err);
    case STEP_COMPACT:
        return lam_db_compact(r->db, NULL, &r->err);
    case STEP_REOPEN:
        rc = close_run(r);
        if (rc == LAM_OK) {
            rc = open_run(r);
            /* A reopened database may go on at a higher sequence. */
            struct lam_stats s;
            lam_db_stats(r->db, &s);
            r->sequence = s.sequence;
        }
        return rc;
    case STEP_BATCH:
        return do_batch(r, step, next);
    }
    return LAM_OK;
}

static bool changes_state(enum step_kind k) {
    return k == STEP_BATCH || k == STEP_CREATE || k == STEP_DROP;
}

/* Runs until the first error; the environment is frozen then. */
static void run_until_frozen(struct run *r) {
    enum lam_code rc = open_run(r);
    for (int step = 0; step < STEPS && rc == LAM_OK; step++) {
        struct state next = r->states[r->done];
        rc = do_step(r, step, &next);
        if (!changes_state(kind_of(step))) {
            /* A close that succeeded has synced everything. */
            if (rc == LAM_OK && kind_of(step) == STEP_REOPEN)
                r->synced = r->acked;
            continue;
        }
        r->states[++r->done] = next;
        if (rc == LAM_OK) {
            r->acked = r->done;
            if (kind_of(step) != STEP_BATCH || is_sync(step))
                r->synced = r->done;
        }
    }
    if (r->db)
        IGNORE(close_run(r), "the environment is frozen");
}

/* --- looking at what is left ------------------------------------------------------------------ */

static void read_partition(lam_db *db, lam_partition *p, uint32_t *values) {
    struct lam_error err = {0};
    lam_iter *it;
    ck_ok(lam_iter_new(db, NULL, p, &it, &err), &err);
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
        struct lam_slice k = lam_iter_key(it), v = lam_iter_value(it);
        ck_assert_uint_eq(k.size, 5);
        uint32_t index = (uint32_t)(k.data[3] - '0') * 10 + (uint32_t)(k.data[4] - '0'), id;
        ck_assert_uint_lt(index, KEYS);
        ck_assert_uint_ge(v.size, 4);
        memcpy(&id, v.data, 4);
        struct lam_slice want = value_of(id);
        ck_assert_uint_eq(v.size, want.size);
        ck_assert(memcmp(v.data, want.data, want.size) == 0);
        values[index] = id;
        struct lam_value got = {0};
        ck_ok(lam_get(db, NULL, p, k, &got, &err), &err);
        ck_assert_uint_eq(got.bytes.size, want.size);
        lam_value_release(&got);
    }
    ck_ok(lam_iter_status(it, &err), &err);
    lam_iter_free(it);
}

static void read_state(lam_db *db, struct state *out) {
    memset(out, 0, sizeof *out);
    for (int p = 0; p < PARTITIONS; p++) {
        lam_partition *part;
        if (lam_partition_open(db, name_of(p), &part, NULL) != LAM_OK)
            continue;
        out->exists[p] = true;
        read_partition(db, part, out->value[p]);
        lam_partition_release(part);
    }
}

static bool same_content(const struct state *a, const struct state *b) {
    return memcmp(a->exists, b->exists, sizeof a->exists) == 0 &&
           memcmp(a->value, b->value, sizeof a->value) == 0;
}

static void write_something(lam_db *db) {
    struct lam_error err = {0};
    lam_partition *p;
    enum lam_code rc = lam_partition_open(db, name_of(0), &p, &err);
    if (rc == LAM_NOT_FOUND)
        rc = lam_partition_create(db, name_of(0), NULL, &p, &err);
    ck_ok(rc, &err);
    ck_ok(lam_put(db, NULL, p, lam_slice_str("key00"), value_of(7), &err), &err);
    lam_partition_release(p);
}

/* Opens an image; its state is a prefix between `low` and `high`, survives a power loss right after
 * the open, and a second open. */
static void check_image(lam_env *image, const struct run *r, int low, int high, const char *what) {
    struct lam_error err = {0};
    struct lam_options o = options_for(image);
    lam_db *db;
    enum lam_code rc = lam_db_open(DIR, &o, &db, &err);
    if (rc == LAM_NOT_FOUND && low == 0) {
        /* The directory itself was lost: nothing had been acknowledged, and its parent is there. */
        return;
    }
    ck_assert_msg(rc == LAM_OK, "%s: open: %s: %s", what, lam_code_name(rc), err.message);
    struct state got, again;
    read_state(db, &got);
    int found = -1;
    for (int i = low; i <= high; i++)
        if (same_content(&got, &r->states[i]))
            found = i;
    ck_assert_msg(found >= 0, "%s: not a prefix between %d and %d", what, low, high);
    ck_ok(lam_db_check(db, NULL, NULL, &err), &err);
    lam_env *later;
    ck_ok(lam_env_mem_crash(image, LAM_CRASH_POWER, 0, &later, &err), &err);
    write_something(db);
    ck_ok(lam_db_close(db, &err), &err);
    ck_ok(lam_check(DIR, image, NULL, NULL, &err), &err);
    o.env = later;
    rc = lam_db_open(DIR, &o, &db, &err);
    ck_assert_msg(rc == LAM_OK, "%s: second open: %s", what, err.message);
    read_state(db, &again);
    ck_assert_msg(same_content(&got, &again), "%s: a crash after the open changed the state", what);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(later);
}

static void check_crash(lam_env *mem, const struct run *r, enum lam_crash_mode mode, uint64_t seed,
                        uint64_t nth) {
    static const char *names[] = {"process", "power", "power-any"};
    char what[80];
    struct lam_error err = {0};
    lam_env *image;
    snprintf(what, sizeof what, "%s crash at operation %llu, seed %llu", names[mode],
             (unsigned long long)nth, (unsigned long long)seed);
    ck_ok(lam_env_mem_crash(mem, mode, seed, &image, &err), &err);
    check_image(image, r, mode == LAM_CRASH_PROCESS ? r->acked : r->synced, r->done, what);
    lam_env_mem_free(image);
}

static struct run *new_run(lam_env *env) {
    struct run *r = calloc(1, sizeof *r);
    ck_assert(r != NULL);
    r->env = env;
    return r;
}

static lam_env *new_mem(void) {
    struct lam_error err = {0};
    lam_env *mem;
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    return mem;
}

/* Operations of `kinds` in a run without faults. */
static uint64_t count_operations(unsigned kinds) {
    lam_env *mem = new_mem(), *env = env_fault_new(mem);
    env_fault_arm(env, kinds, 0, LAM_IO, false);
    struct run *r = new_run(env);
    run_until_frozen(r);
    ck_assert_int_eq(r->done, r->acked);
    ck_assert_int_ge(r->acked, STEPS - 8);
    uint64_t n = env_fault_count(env);
    free(r);
    env_fault_free(env);
    lam_env_mem_free(mem);
    return n;
}

/* First of every `stride` operations is tested; one process takes each `first`. */
static void sweep_crashes(uint64_t first, uint64_t stride) {
    uint64_t n = count_operations(FAULT_MUTATE);
    ck_assert_uint_gt(n, 300);
    for (uint64_t i = first; i <= n; i += stride) {
        lam_env *mem = new_mem(), *env = env_fault_new(mem);
        env_fault_arm(env, FAULT_MUTATE, i, LAM_IO, true);
        struct run *r = new_run(env);
        run_until_frozen(r);
        check_crash(mem, r, LAM_CRASH_PROCESS, 0, i);
        check_crash(mem, r, LAM_CRASH_POWER, 0, i);
        check_crash(mem, r, LAM_CRASH_POWER_ANY, i, i);
        check_crash(mem, r, LAM_CRASH_POWER_ANY, i + 1000003, i);
        free(r);
        env_fault_free(env);
        lam_env_mem_free(mem);
    }
}

START_TEST(every_crash_leaves_a_prefix_with_all_acknowledged_commits_a) {
    sweep_crashes(1, 2 * STRIDE);
}
END_TEST

START_TEST(every_crash_leaves_a_prefix_with_all_acknowledged_commits_b) {
    sweep_crashes(2, 2 * STRIDE);
}
END_TEST

/* --- one failure, then all is well again ------------------------------------------------------ */

/* Goes on after errors. A step that failed cleanly must not have happened; after an unknown one the
 * database takes no more writes. */
static void run_through(struct run *r) {
    enum lam_code rc = open_run(r);
    if (rc != LAM_OK) {
        ck_assert(r->db == NULL || r->states[r->done].exists[0]);
        if (r->db)
            IGNORE(close_run(r), "the next open tells");
        rc = open_run(r);
        ck_assert_msg(rc == LAM_OK, "second open: %s", r->err.message);
    }
    for (int step = 0; step < STEPS; step++) {
        struct state next = r->states[r->done];
        if (kind_of(step) == STEP_DROP && !r->partitions[1])
            continue;
        rc = do_step(r, step, &next);
        if (!r->db || (kind_of(step) == STEP_REOPEN && rc != LAM_OK)) {
            if (r->db)
                IGNORE(close_run(r), "the next open tells");
            /* What was not synced may be gone only with the power, which stays on here. */
            rc = open_run(r);
            ck_assert_msg(rc == LAM_OK, "reopen: %s", r->err.message);
            struct lam_stats s;
            lam_db_stats(r->db, &s);
            r->sequence = s.sequence;
            continue;
        }
        if (!changes_state(kind_of(step)) || (rc != LAM_OK && rc != LAM_UNKNOWN_OUTCOME))
            continue;
        r->states[++r->done] = next;
        if (rc == LAM_UNKNOWN_OUTCOME) {
            r->unknown = true;
            return;
        }
        r->acked = r->done;
    }
}

static void check_read_only_then_close(struct run *r) {
    struct state live;
    read_state(r->db, &live);
    ck_assert(same_content(&live, &r->states[r->done]) ||
              (r->unknown && same_content(&live, &r->states[r->acked])));
    if (r->unknown) {
        struct lam_error err = {0};
        lam_partition *p = NULL;
        if (lam_partition_open(r->db, name_of(0), &p, NULL) == LAM_OK) {
            ck_code(lam_put(r->db, NULL, p, lam_slice_str("key00"), lam_slice_str("v"), &err),
                    LAM_READ_ONLY);
            ck_contains(err.message, "since");
            lam_partition_release(p);
        }
        ck_code(lam_db_dump(r->db, NULL), LAM_READ_ONLY);
    }
    IGNORE(close_run(r), "a failed close is told by the next open");
}

static void fail_once(unsigned kinds, uint64_t nth, enum lam_code code) {
    lam_env *mem = new_mem(), *env = env_fault_new(mem);
    env_fault_arm(env, kinds, nth, code, false);
    struct run *r = new_run(env);
    char what[80];
    snprintf(what, sizeof what, "failure of operation %llu", (unsigned long long)nth);
    run_through(r);
    check_read_only_then_close(r);
    env_fault_arm(env, kinds, 0, code, false);
    check_image(mem, r, r->acked, r->done, what);
    free(r);
    env_fault_free(env);
    lam_env_mem_free(mem);
}

START_TEST(one_failed_change_is_a_clean_error_or_survived) {
    uint64_t n = count_operations(FAULT_MUTATE);
    for (uint64_t i = 1; i <= n; i += STRIDE)
        fail_once(FAULT_MUTATE, i, i % 2 ? LAM_IO : LAM_NO_SPACE);
}
END_TEST

START_TEST(one_torn_write_is_a_clean_error_or_survived) {
    uint64_t n = count_operations(FAULT_WRITE);
    for (uint64_t i = 1; i <= n; i += STRIDE)
        fail_once(FAULT_WRITE | FAULT_TORN, i, LAM_NO_SPACE);
}
END_TEST

/* --- no memory ------------------------------------------------------------------------------- */

/* The n-th allocation and all after it fail until the run has stopped. */
static bool run_without_memory(size_t nth) {
    lam_env *mem = new_mem();
    struct run *r = new_run(mem);
    char what[80];
    snprintf(what, sizeof what, "no memory from allocation %zu on", nth);
    oom_arm(nth);
    run_until_frozen(r);
    bool reached = oom.seen >= nth;
    oom_arm(0);
    check_image(mem, r, r->acked, r->done, what);
    free(r);
    lam_env_mem_free(mem);
    return reached;
}

START_TEST(lack_of_memory_is_a_clean_error) {
    size_t nth = 1;
    for (; run_without_memory(nth); nth += (nth < 600 ? 1 : 37) * STRIDE)
        ;
    ck_assert_uint_gt(nth, 1000);
}
END_TEST

TEST_MAIN("crash/engine", every_crash_leaves_a_prefix_with_all_acknowledged_commits_a,
          every_crash_leaves_a_prefix_with_all_acknowledged_commits_b,
          one_failed_change_is_a_clean_error_or_survived,
          one_torn_write_is_a_clean_error_or_survived, lack_of_memory_is_a_clean_error)
