/* SPDX-License-Identifier: Apache-2.0
 *
 * Compaction of a range: what moves and what stays, that it ends, cancelling, closing meanwhile. */
#include "base/rng.h"
#include "lsm/db_impl.h"
#include "tests/lsm/clock.h"

#define S(text) lam_slice_str(text)
#define KEYS    6000

static lam_env *env;
static lam_db *db;
static lam_partition *part;
static struct lam_error err;
static struct lam_options opts;

static void start(void) {
    env = clock_env_new();
    opts.env = env;
    opts.manual_background = true;
    opts.memory_budget = 4u << 20;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    db->tuning.rest_share = 0; /* what was dumped stays until it is asked for */
    ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
}

static void stop(void) {
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    ck_ok(lam_check("/db", env, NULL, NULL, &err), &err);
    clock_env_free(env);
}

static void key_of(int i, char key[16]) {
    snprintf(key, 16, "k%06d", i);
}

/* A kilobyte that does not compress. */
static void put_number(struct rng *rng, int i) {
    char key[16];
    uint64_t value[128];
    key_of(i, key);
    for (int j = 0; j < 128; j++)
        value[j] = rng_next(rng);
    ck_ok(lam_put(db, NULL, part, S(key), lam_slice_of(value, sizeof value), &err), &err);
}

static void put_all(uint64_t seed) {
    struct rng rng;
    rng_init(&rng, seed);
    for (int i = 0; i < KEYS; i++)
        put_number(&rng, i * 7 % KEYS);
}

static struct lam_partition_stats stats(void) {
    struct lam_partition_stats s;
    ck_ok(lam_partition_stats(db, part, &s, &err), &err);
    return s;
}

static void compact(int from, int to) {
    char a[16], b[16];
    key_of(from, a);
    key_of(to, b);
    ck_ok(lam_db_compact_range(db, part, S(a), S(b), NULL, NULL, &err), &err);
}

static void count_keys(int expected) {
    lam_iter *it;
    int n = 0;
    ck_ok(lam_iter_new(db, NULL, part, &it, &err), &err);
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it))
        n++;
    ck_ok(lam_iter_status(it, &err), &err);
    ck_assert_int_eq(n, expected);
    lam_iter_free(it);
}

static uint64_t above_last(const struct lam_partition_stats *s) {
    uint64_t files = 0;
    for (int level = 0; level < 6; level++)
        files += s->levels[level].files;
    return files;
}

START_TEST(all_of_an_endless_range_ends_in_the_last_level) {
    start();
    put_all(1);
    ck_ok(lam_db_compact_range(db, part, S(""), S(""), NULL, NULL, &err), &err);
    struct lam_partition_stats s = stats();
    ck_assert_uint_eq(above_last(&s), 0);
    ck_assert_uint_eq(s.levels[6].entries, KEYS);
    ck_assert_uint_gt(s.levels[6].files, 5);
    uint64_t written = s.compaction_write_bytes;
    ck_ok(lam_db_compact_range(db, part, S(""), S(""), NULL, NULL, &err), &err);
    ck_assert_uint_eq(stats().compaction_write_bytes, written); /* nothing is left to do */
    count_keys(KEYS);
    stop();
}
END_TEST

START_TEST(tombstones_go_in_the_range_and_stay_outside) {
    start();
    lam_snapshot *keep;
    char key[16];
    put_all(2);
    ck_ok(lam_snapshot_new(db, &keep, &err), &err);
    for (int i = 0; i < KEYS; i += 2) {
        key_of(i, key);
        ck_ok(lam_delete(db, NULL, part, S(key), &err), &err);
    }
    ck_ok(lam_db_compact(db, part, &err), &err);
    struct lam_partition_stats before = stats();
    ck_assert_uint_eq(before.levels[6].deletes, KEYS / 2);
    ck_assert_uint_eq(before.levels[6].entries, KEYS + KEYS / 2);
    compact(0, 1000);
    ck_assert_uint_eq(stats().levels[6].deletes, KEYS / 2); /* the snapshot wants them */
    lam_snapshot_free(keep);
    compact(0, 1000);
    struct lam_partition_stats s = stats();
    /* A file at the end of the range goes as a whole: half a megabyte. */
    ck_assert_uint_le(s.levels[6].deletes, KEYS / 2 - 500);
    ck_assert_uint_ge(s.levels[6].deletes, KEYS / 2 - 1000);
    ck_assert_uint_le(s.compaction_write_bytes - before.compaction_write_bytes, 2u << 20);
    count_keys(KEYS / 2);
    compact(0, KEYS);
    ck_assert_uint_eq(stats().levels[6].deletes, 0);
    ck_assert_uint_eq(stats().levels[6].entries, KEYS / 2);
    count_keys(KEYS / 2);
    stop();
}
END_TEST

START_TEST(empty_ranges_and_bad_arguments_do_nothing) {
    start();
    put_all(3);
    ck_ok(lam_db_compact(db, part, &err), &err);
    struct rng rng;
    rng_init(&rng, 4);
    put_number(&rng, 5);
    uint64_t dumps = stats().dumps;
    compact(100, 100);
    compact(200, 100);
    ck_assert_uint_eq(stats().dumps, dumps);
    ck_ok(lam_db_compact_range(db, NULL, S("x"), S("y"), NULL, NULL, &err), &err);
    ck_code(lam_db_compact_range(NULL, part, S(""), S(""), NULL, NULL, &err), LAM_INVALID);
    ck_code(lam_db_compact_range(db, part, lam_slice_of(NULL, 1), S(""), NULL, NULL, &err),
            LAM_INVALID);
    ck_ok(lam_partition_drop(db, part, &err), &err);
    ck_code(lam_db_compact_range(db, part, S(""), S(""), NULL, NULL, &err), LAM_NOT_FOUND);
    lam_db_compact_cancel(NULL);
    stop();
}
END_TEST

/* --- progress ------------------------------------------------------------------------------- */

struct seen {
    uint64_t calls, bytes;
    const char *names[3];
    int name_count;
    lam_partition *drop; /* when the first partition is told of */
    uint64_t stop_at;    /* call that ends it */
    struct lam_progress last;
};

static bool see(void *arg, const struct lam_progress *now) {
    struct seen *s = arg;
    ck_assert_uint_ge(now->bytes_done, s->bytes);
    ck_assert_uint_le(now->bytes_done, now->bytes_total);
    ck_assert_uint_le(now->files_done, now->files_total);
    s->bytes = now->bytes_done;
    s->last = *now;
    if (s->name_count == 0 || strcmp(s->names[s->name_count - 1], now->file) != 0)
        s->names[s->name_count++] = strcmp(now->file, "p") == 0 ? "p" : "second";
    if (s->drop)
        ck_ok(lam_partition_drop(db, s->drop, &err), &err);
    s->drop = NULL;
    return ++s->calls != s->stop_at;
}

START_TEST(progress_rises_to_its_totals_and_may_end_the_call) {
    struct seen s = {0};
    start();
    put_all(9);
    ck_ok(lam_db_dump(db, &err), &err);
    struct lam_partition_stats before = stats();
    ck_assert_uint_gt(above_last(&before), 0);
    ck_ok(lam_db_compact_range(db, NULL, S(""), S(""), see, &s, &err), &err);
    ck_assert_uint_gt(s.calls, 1);
    ck_assert_uint_ge(s.last.bytes_done, before.sst_bytes - before.levels[6].bytes);
    ck_assert_uint_eq(s.last.bytes_done, s.last.bytes_total);
    ck_assert_uint_eq(s.last.files_done, s.last.files_total);
    put_all(9);
    s = (struct seen){.stop_at = 1};
    ck_code(lam_db_compact_range(db, part, S(""), S(""), see, &s, &err), LAM_BUSY);
    ck_contains(err.message, "progress");
    ck_assert_uint_eq(s.calls, 1);
    count_keys(KEYS);
    stop();
}
END_TEST

START_TEST(a_partition_dropped_meanwhile_hides_no_other_from_compaction) {
    struct seen s = {0};
    lam_partition *second;
    struct lam_partition_stats of;
    start();
    ck_ok(lam_partition_create(db, "second", NULL, &second, &err), &err);
    put_all(10);
    ck_ok(lam_put(db, NULL, second, S("a"), S("1"), &err), &err);
    s.drop = part;
    ck_ok(lam_db_compact_range(db, NULL, S(""), S(""), see, &s, &err), &err);
    ck_assert_int_eq(s.name_count, 2);
    ck_assert_str_eq(s.names[1], "second");
    ck_ok(lam_partition_stats(db, second, &of, &err), &err);
    ck_assert_uint_eq(above_last(&of), 0);
    ck_assert_uint_eq(of.levels[6].files, 1);
    lam_partition_release(second);
    stop();
}
END_TEST

/* --- ended from outside --------------------------------------------------------------------- */

static enum lam_code (*real_write)(lam_file *file, uint64_t offset, const void *data, size_t size,
                                   struct lam_error *error);
static _Atomic bool armed;
static void (*at_write)(void);

/* Calls `at_write` once, before a write. */
static enum lam_code hooked_write(lam_file *file, uint64_t offset, const void *data, size_t size,
                                  struct lam_error *error) {
    if (atomic_exchange(&armed, false))
        at_write();
    return real_write(file, offset, data, size, error);
}

static void hook(void (*fn)(void)) {
    real_write = clock_ops.file_write;
    clock_ops.file_write = hooked_write;
    at_write = fn;
}

static void cancel(void) {
    lam_db_compact_cancel(db);
}

START_TEST(a_cancelled_call_is_busy_and_the_next_one_finishes) {
    start();
    put_all(5);
    ck_ok(lam_db_dump(db, &err), &err);
    lam_db_compact_cancel(db); /* of nothing */
    hook(cancel);
    atomic_store(&armed, true);
    ck_code(lam_db_compact_range(db, part, S(""), S(""), NULL, NULL, &err), LAM_BUSY);
    ck_contains(err.message, "cancelled");
    ck_assert(!atomic_load(&armed));
    count_keys(KEYS);
    ck_ok(lam_db_compact_range(db, part, S(""), S(""), NULL, NULL, &err), &err);
    struct lam_partition_stats s = stats();
    ck_assert_uint_eq(above_last(&s), 0);
    count_keys(KEYS);
    stop();
}
END_TEST

static struct thread closer;

static void close_db(void *arg) {
    (void)arg;
    ck_ok(lam_db_close(db, &err), &err);
}

static void begin_close(void) {
    struct lam_error e;
    ck_ok(thread_start(&closer, close_db, NULL, &e), &e);
    while (!atomic_load(&db->closing))
        thread_yield();
}

START_TEST(close_ends_the_call_and_waits_for_it) {
    struct lam_error e;
    start();
    put_all(6);
    ck_ok(lam_db_dump(db, &err), &err);
    hook(begin_close);
    atomic_store(&armed, true);
    ck_code(lam_db_compact_range(db, part, S(""), S(""), NULL, NULL, &e), LAM_BUSY);
    ck_contains(e.message, "closing");
    thread_join(&closer);
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &part, &err), &err);
    count_keys(KEYS);
    stop();
}
END_TEST

/* --- beside writers ------------------------------------------------------------------------- */

static _Atomic bool stop_writing;

static void write_on(void *arg) {
    struct rng rng;
    rng_init(&rng, (uint64_t)(uintptr_t)arg);
    char key[16], value[500];
    struct lam_error e;
    memset(value, 'w', sizeof value);
    while (!atomic_load(&stop_writing)) {
        key_of((int)(rng_next(&rng) % KEYS), key);
        ck_ok(lam_put(db, NULL, part, S(key), lam_slice_of(value, sizeof value), &e), &e);
    }
}

START_TEST(calls_beside_writers_end) {
    struct thread writer;
    opts.memory_budget = 4u << 20;
    ck_ok(lam_env_mem_new(&env, &err), &err);
    opts.env = env;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
    put_all(7);
    ck_ok(thread_start(&writer, write_on, (void *)8, &err), &err);
    for (int i = 0; i < 5; i++)
        compact(i * 1000, i * 1000 + 2000);
    atomic_store(&stop_writing, true);
    thread_join(&writer);
    count_keys(KEYS);
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    ck_ok(lam_check("/db", env, NULL, NULL, &err), &err);
    lam_env_mem_free(env);
}
END_TEST

TEST_MAIN("lsm/compact_range", all_of_an_endless_range_ends_in_the_last_level,
          tombstones_go_in_the_range_and_stay_outside, empty_ranges_and_bad_arguments_do_nothing,
          a_cancelled_call_is_busy_and_the_next_one_finishes, close_ends_the_call_and_waits_for_it,
          calls_beside_writers_end, progress_rises_to_its_totals_and_may_end_the_call,
          a_partition_dropped_meanwhile_hides_no_other_from_compaction)
