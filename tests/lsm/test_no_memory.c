/* SPDX-License-Identifier: Apache-2.0
 *
 * Every allocation of every call fails once. The call says NO_MEMORY, or does without; nothing that
 * was there before is lost or changed, and the same call succeeds as soon as there is memory. */
#include "base/buf.h"
#include "base/env.h"
#include "lsm/lsm.h"
#include "tests/support/oom.h"
#include "tests/support/test.h"

#define S(text)    lam_slice_str(text)
#define PARTITIONS 20 /* more than a batch looks through one by one */
#define KEYS       90

static lam_env *mem;
static lam_db *db;
static lam_partition *part;
static lam_partition *parts[PARTITIONS]; /* further ones */
static lam_snapshot *moment;
static struct lam_error err;

/* --- a database with something everywhere ---------------------------------------------------- */

static struct lam_options options(void) {
    return (struct lam_options){
        .env = mem, .memory_budget = 4u << 20, .block_bytes = 1024, .manual_background = true};
}

/* Keys get longer, so that a buffer that holds them must grow on the way. */
static struct lam_slice key_of(int i, char *out, size_t size) {
    int n = snprintf(out, size, "k%03d", i);
    memset(out + n, 'x', (size_t)i * 3);
    return lam_slice_of(out, (size_t)n + (size_t)i * 3);
}

static struct lam_slice value_of(int i, int round, char *out, size_t size) {
    int n = snprintf(out, size, "%d/%d:", i, round);
    size_t more = (size_t)(i * 7 + round) % 300;
    for (size_t j = 0; j < more; j++)
        out[(size_t)n + j] = (char)('a' + (i * 31 + (int)j * (round + 1)) % 26);
    return lam_slice_of(out, (size_t)n + more);
}

static void fill(int round, int step) {
    char key[512], value[512];
    for (int i = round; i < KEYS; i += step)
        if (i % 7 == round)
            ck_ok(lam_delete(db, NULL, part, key_of(i, key, sizeof key), &err), &err);
        else
            ck_ok(lam_put(db, NULL, part, key_of(i, key, sizeof key),
                          value_of(i, round, value, sizeof value), &err),
                  &err);
}

static void delete_range(const char *from, const char *to) {
    lam_batch *b;
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_batch_delete_range(b, part, S(from), S(to), LAM_SEQUENCE_MAX, &err), &err);
    ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
    lam_batch_free(b);
}

static enum lam_code open_all(void) {
    struct lam_options o = options();
    char name[16];
    enum lam_code rc = lam_db_open("/db", &o, &db, &err);
    if (rc != LAM_OK)
        return rc;
    rc = lam_partition_open(db, "p", &part, &err);
    for (int i = 0; i < PARTITIONS && rc == LAM_OK; i++) {
        snprintf(name, sizeof name, "more%d", i);
        rc = lam_partition_open(db, name, &parts[i], &err);
    }
    return rc;
}

static enum lam_code close_all(void) {
    lam_snapshot_free(moment);
    moment = NULL;
    lam_partition_release(part);
    part = NULL;
    for (int i = 0; i < PARTITIONS; i++) {
        lam_partition_release(parts[i]);
        parts[i] = NULL;
    }
    enum lam_code rc = lam_db_close(db, &err);
    db = NULL;
    return rc;
}

/* Rows in the last level, in two files above it, and in memory; range tombstones in each. */
static void start(void) {
    char name[16];
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    struct lam_options o = options();
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
    for (int i = 0; i < PARTITIONS; i++) {
        snprintf(name, sizeof name, "more%d", i);
        ck_ok(lam_partition_create(db, name, NULL, &parts[i], &err), &err);
    }
    fill(0, 1);
    ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    fill(1, 2);
    delete_range("k010", "k013");
    ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(lam_snapshot_new(db, &moment, &err), &err);
    fill(2, 3);
    delete_range("k070", "");
    ck_ok(lam_db_dump(db, &err), &err);
    fill(3, 5);
    delete_range("k020", "k022");
}

static void stop(void) {
    ck_ok(close_all(), &err);
    ck_ok(lam_check("/db", mem, NULL, NULL, &err), &err);
    lam_env_mem_free(mem);
}

/* --- what readers see ------------------------------------------------------------------------ */

static void mix(uint64_t *hash, struct lam_slice s) {
    for (size_t i = 0; i < s.size; i++)
        *hash = (*hash ^ s.data[i]) * 1099511628211u;
    *hash = (*hash ^ s.size) * 1099511628211u;
}

static enum lam_code see_all(const struct lam_read_options *o, bool backward, uint64_t *hash) {
    lam_iter *it;
    enum lam_code rc = lam_iter_new(db, o, part, &it, &err);
    if (rc != LAM_OK)
        return rc;
    for (backward ? lam_iter_seek_last(it) : lam_iter_seek_first(it); lam_iter_valid(it);
         backward ? lam_iter_prev(it) : lam_iter_next(it)) {
        mix(hash, lam_iter_key(it));
        mix(hash, lam_iter_value(it));
    }
    rc = lam_iter_status(it, &err);
    lam_iter_free(it);
    return rc;
}

static enum lam_code get_all(uint64_t *hash) {
    char key[512];
    enum lam_code rc = LAM_OK;
    for (int i = 0; i < KEYS && rc == LAM_OK; i++) {
        struct lam_value v = {0};
        rc = lam_get(db, NULL, part, key_of(i, key, sizeof key), &v, &err);
        if (rc == LAM_OK)
            mix(hash, v.bytes);
        else if (rc == LAM_NOT_FOUND)
            rc = LAM_OK;
        lam_value_release(&v);
    }
    for (int i = 0; i < KEYS && rc == LAM_OK; i++) {
        struct lam_pinned p;
        rc = lam_get_pinned(db, NULL, part, key_of(i, key, sizeof key), &p, &err);
        mix(hash, p.bytes);
        if (rc == LAM_NOT_FOUND)
            rc = LAM_OK;
        lam_pinned_release(&p);
    }
    return rc;
}

/* --- sweeps over reading --------------------------------------------------------------------- */

typedef enum lam_code (*reader)(uint64_t *hash);

/* A read says the same each time, or that there is no memory. Returns how many allocations failed.
 */
static size_t sweep_reads(reader read) {
    uint64_t want = 0;
    ck_ok(read(&want), &err);
    for (size_t nth = 1;; nth++) {
        uint64_t seen = 0;
        memset(&err, 0, sizeof err);
        oom_arm_once(nth);
        enum lam_code rc = read(&seen);
        if (!oom_fired()) {
            ck_ok(rc, &err);
            ck_assert_uint_eq(seen, want);
            return nth - 1;
        }
        if (rc == LAM_OK) {
            ck_assert_uint_eq(seen, want);
        } else {
            ck_code(rc, LAM_NO_MEMORY);
            ck_assert_int_eq(err.code, LAM_NO_MEMORY);
            ck_assert_uint_gt(strlen(err.message), 0);
        }
    }
}

static enum lam_code walk_forward(uint64_t *hash) {
    return see_all(NULL, false, hash);
}
static enum lam_code walk_backward(uint64_t *hash) {
    struct lam_read_options o = {.snapshot = moment, .keys_only = true};
    return see_all(&o, true, hash);
}
static enum lam_code walk_bounded(uint64_t *hash) {
    struct lam_read_options o = {.lower = S("k005"), .upper = S("k060"), .prefix = S("k")};
    enum lam_code rc = see_all(&o, false, hash);
    return rc == LAM_OK ? see_all(&o, true, hash) : rc;
}

START_TEST(scans_without_memory_stop_with_an_error) {
    start();
    ck_assert_uint_gt(sweep_reads(walk_forward), 10);
    ck_assert_uint_gt(sweep_reads(walk_backward), 3);
    ck_assert_uint_gt(sweep_reads(walk_bounded), 3);
    stop();
}
END_TEST

static enum lam_code look(lam_iter *it, uint64_t *hash) {
    if (lam_iter_valid(it)) {
        mix(hash, lam_iter_key(it));
        mix(hash, lam_iter_value(it));
    }
    return lam_iter_status(it, &err);
}

/* One step of an iterator that has no buffers yet, or has them for shorter keys. */
static int step_kind;
static enum lam_code step_once(uint64_t *hash) {
    char key[512];
    lam_iter *it;
    size_t nth = oom.nth;
    bool armed = nth != 0;
    oom_arm(0);
    ck_ok(lam_iter_new(db, NULL, part, &it, &err), &err);
    if (step_kind >= 4 && step_kind % 2 == 0)
        lam_iter_seek_last(it);
    else if (step_kind >= 4)
        lam_iter_seek_first(it);
    if (armed)
        oom_arm_once(nth);
    switch (step_kind) {
    case 0:
        lam_iter_seek_first(it);
        break;
    case 1:
        lam_iter_seek_last(it);
        break;
    case 2:
        lam_iter_seek(it, key_of(33, key, sizeof key));
        break;
    case 3:
        lam_iter_seek_for_prev(it, key_of(33, key, sizeof key));
        break;
    case 4: /* from the last row */
    case 5: /* from the first */
        lam_iter_next(it);
        break;
    default:
        lam_iter_prev(it);
    }
    enum lam_code rc = look(it, hash);
    lam_iter_free(it);
    return rc;
}

START_TEST(steps_of_an_iterator_without_memory_are_errors_until_the_next_seek) {
    start();
    for (step_kind = 0; step_kind < 8; step_kind++)
        sweep_reads(step_once);
    /* After the error a seek begins anew. */
    lam_iter *it;
    ck_ok(lam_iter_new(db, NULL, part, &it, &err), &err);
    oom_arm(1);
    lam_iter_seek_first(it);
    enum lam_code rc = lam_iter_status(it, &err);
    ck_assert(!lam_iter_valid(it));
    lam_iter_next(it);
    lam_iter_prev(it);
    ck_assert(!lam_iter_valid(it));
    ck_assert(oom_fired());
    ck_code(rc, LAM_NO_MEMORY);
    lam_iter_seek_first(it);
    ck_assert(lam_iter_valid(it));
    ck_ok(lam_iter_status(it, &err), &err);
    lam_iter_free(it);
    stop();
}
END_TEST

static enum lam_code check_open(uint64_t *hash) {
    (void)hash;
    return lam_db_check(db, NULL, NULL, &err);
}
static enum lam_code take_snapshot(uint64_t *hash) {
    lam_snapshot *s = NULL;
    enum lam_code rc = lam_snapshot_new(db, &s, &err);
    if (rc == LAM_OK)
        *hash = lam_snapshot_sequence(s);
    lam_snapshot_free(s);
    return rc;
}
static bool mix_name(void *arg, const char *name) {
    mix(arg, S(name));
    return true;
}
static enum lam_code list_names(uint64_t *hash) {
    return lam_partition_list(db, mix_name, hash, &err);
}
static enum lam_code fill_batch(uint64_t *hash) {
    lam_batch *b = NULL;
    char key[512];
    enum lam_code rc = lam_batch_new(db, &b, &err);
    for (int i = 0; i < PARTITIONS && rc == LAM_OK; i++) {
        rc = lam_batch_put(b, parts[i], key_of(i, key, sizeof key), S("v"), &err);
        if (rc == LAM_OK)
            rc = lam_batch_delete(b, parts[i], key_of(i * 3, key, sizeof key), &err);
        if (rc == LAM_OK)
            rc = lam_batch_delete_range(b, parts[i], S("a"), key_of(80, key, sizeof key), 1, &err);
    }
    *hash = lam_batch_bytes(b) + lam_batch_count(b);
    lam_batch_free(b);
    return rc;
}

START_TEST(gets_lists_snapshots_batches_and_checks_say_that_memory_is_missing) {
    start();
    ck_assert_uint_gt(sweep_reads(get_all), 20);
    ck_assert_uint_ge(sweep_reads(take_snapshot), 1);
    ck_assert_uint_ge(sweep_reads(list_names), 1);
    ck_assert_uint_gt(sweep_reads(fill_batch), 5);
    ck_assert_uint_gt(sweep_reads(check_open), 20);
    stop();
}
END_TEST

static enum lam_code check_closed(uint64_t *hash) {
    (void)hash;
    return lam_check("/db", mem, NULL, NULL, &err);
}

START_TEST(check_of_a_closed_database_says_that_memory_is_missing) {
    start();
    ck_ok(close_all(), &err);
    ck_assert_uint_gt(sweep_reads(check_closed), 20);
    ck_ok(open_all(), &err);
    stop();
}
END_TEST

/* --- sweeps over changes --------------------------------------------------------------------- */

/* A change that may be made again. */
struct change {
    void (*prepare)(void);
    enum lam_code (*make)(void);
};

static uint64_t see_whole(void) {
    uint64_t hash = 0;
    ck_ok(see_all(NULL, false, &hash), &err);
    ck_ok(get_all(&hash), &err);
    return hash;
}

/* Whatever fails, rows stay as they are: no change here changes any row. */
static size_t sweep_changes(const struct change *c) {
    uint64_t want = see_whole();
    for (size_t nth = 1;; nth++) {
        if (c->prepare)
            c->prepare();
        oom_arm_once(nth);
        enum lam_code rc = c->make();
        bool fired = oom_fired();
        if (!fired)
            ck_ok(rc, &err);
        /* READ_ONLY: a sync that had to come before it failed, and it was not begun. */
        if (rc == LAM_READ_ONLY)
            rc = LAM_UNKNOWN_OUTCOME;
        ck_assert_msg(rc == LAM_OK || rc == LAM_NO_MEMORY || rc == LAM_UNKNOWN_OUTCOME,
                      "allocation %zu: %s", nth, lam_code_name(rc));
        if (rc == LAM_UNKNOWN_OUTCOME) /* no more writes until it is reopened */
            ck_code(lam_put(db, NULL, part, S("k000"), S("x"), &err), LAM_READ_ONLY);
        ck_assert_uint_eq(see_whole(), want);
        if (rc == LAM_UNKNOWN_OUTCOME || nth % 16 == 0) {
            if (rc == LAM_UNKNOWN_OUTCOME)
                (void)!close_all(); /* may tell the failure once more */
            else
                ck_ok(close_all(), &err);
            ck_ok(lam_check("/db", mem, NULL, NULL, &err), &err);
            ck_ok(open_all(), &err);
            ck_assert_uint_eq(see_whole(), want);
        }
        if (!fired)
            return nth - 1;
    }
}

static enum lam_code put_again(void) {
    char key[512], value[512];
    enum lam_code rc = lam_put(db, NULL, part, key_of(0, key, sizeof key),
                               value_of(0, 9, value, sizeof value), &err);
    if (rc == LAM_OK)
        rc = lam_delete(db, NULL, parts[0], S("not there"), &err);
    return rc;
}

static enum lam_code write_everywhere(void) {
    lam_batch *b;
    char key[512];
    struct lam_write_options sync = {LAM_DURABILITY_SYNC};
    enum lam_code rc = lam_batch_new(db, &b, &err);
    if (rc != LAM_OK)
        return rc;
    for (int i = 0; i < PARTITIONS && rc == LAM_OK; i++)
        rc = lam_batch_put(b, parts[i], key_of(i, key, sizeof key), S("v"), &err);
    if (rc == LAM_OK)
        rc = lam_batch_delete_range(b, parts[3], S("a"), S("b"), 1, &err);
    if (rc == LAM_OK)
        rc = lam_write(db, &sync, b, NULL, &err);
    lam_batch_free(b);
    return rc;
}

static void dump_first(void) {
    ck_ok(lam_db_dump(db, &err), &err);
}

START_TEST(writes_without_memory_are_refused_and_leave_nothing) {
    start();
    ck_ok(put_again(), &err);
    static const struct change changes[] = {
        {dump_first, put_again}, {NULL, write_everywhere}, {dump_first, write_everywhere}};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        ck_assert_uint_ge(sweep_changes(&changes[i]), 1);
    stop();
}
END_TEST

static void something_to_dump(void) {
    ck_ok(put_again(), &err);
    delete_range("x", "y");
    ck_ok(write_everywhere(), &err);
}
static enum lam_code dump(void) {
    return lam_db_dump(db, &err);
}
static void something_to_compact(void) {
    /* Not so many files that the dump has them compacted. */
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    something_to_dump();
    ck_ok(lam_db_dump(db, &err), &err);
    if (!moment)
        ck_ok(lam_snapshot_new(db, &moment, &err), &err);
}
static enum lam_code compact(void) {
    return lam_db_compact(db, NULL, &err);
}

START_TEST(dumps_and_compactions_without_memory_change_nothing) {
    start();
    ck_ok(put_again(), &err);
    static const struct change changes[] = {{something_to_dump, dump},
                                            {something_to_compact, compact}};
    for (size_t i = 0; i < 2; i++)
        ck_assert_uint_gt(sweep_changes(&changes[i]), 50);
    stop();
}
END_TEST

static void none_passing(void) {
    lam_partition *p;
    enum lam_code rc = lam_partition_open(db, "passing", &p, &err);
    if (rc == LAM_NOT_FOUND)
        return;
    ck_ok(rc, &err); /* dropping failed the last time */
    ck_ok(lam_partition_drop(db, p, &err), &err);
    lam_partition_release(p);
}
static enum lam_code create_and_drop(void) {
    static const struct lam_partition_options ttl = {.ttl_seconds = 1000};
    lam_partition *p = NULL;
    enum lam_code rc = lam_partition_create(db, "passing", &ttl, &p, &err);
    if (rc == LAM_OK)
        rc = lam_put(db, NULL, p, S("a"), S("b"), &err);
    if (rc == LAM_OK)
        rc = lam_partition_drop(db, p, &err);
    lam_partition_release(p);
    return rc;
}

START_TEST(partitions_are_made_and_dropped_whole_or_not_at_all) {
    start();
    static const struct change change = {none_passing, create_and_drop};
    ck_assert_uint_gt(sweep_changes(&change), 10);
    stop();
}
END_TEST

/* --- opening and closing --------------------------------------------------------------------- */

/* `crashed`: with a log to be replayed; else closed in order. */
static void sweep_opens(bool crashed) {
    uint64_t want = see_whole();
    for (size_t nth = 1;; nth++) {
        lam_env *after = NULL;
        if (crashed) {
            ck_ok(lam_env_mem_crash(mem, LAM_CRASH_PROCESS, 0, &after, &err), &err);
            lam_env *before = mem;
            (void)!close_all();
            lam_env_mem_free(before);
            mem = after;
        } else {
            ck_ok(close_all(), &err);
        }
        oom_arm_once(nth);
        enum lam_code rc = open_all();
        bool fired = oom_fired();
        if (rc != LAM_OK) {
            ck_assert(fired);
            ck_code(rc, LAM_NO_MEMORY);
            if (db)
                (void)!close_all();
            ck_ok(open_all(), &err);
        }
        ck_assert_uint_eq(see_whole(), want);
        ck_ok(lam_sync(db, 1, &err), &err);
        if (!fired)
            return;
    }
}

START_TEST(opening_without_memory_fails_and_then_finds_everything) {
    start();
    sweep_opens(false);
    sweep_opens(true);
    stop();
}
END_TEST

TEST_MAIN("lsm/no_memory", scans_without_memory_stop_with_an_error,
          steps_of_an_iterator_without_memory_are_errors_until_the_next_seek,
          gets_lists_snapshots_batches_and_checks_say_that_memory_is_missing,
          check_of_a_closed_database_says_that_memory_is_missing,
          writes_without_memory_are_refused_and_leave_nothing,
          dumps_and_compactions_without_memory_change_nothing,
          partitions_are_made_and_dropped_whole_or_not_at_all,
          opening_without_memory_fails_and_then_finds_everything)
