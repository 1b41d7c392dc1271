/* SPDX-License-Identifier: Apache-2.0
 *
 * TTL of partitions through the engine's own calls: files go as a whole, never early, never while
 * a snapshot is open, never from under what they hide; also in a database at rest. And how files
 * are compressed, level by level. */
#include "lsm/lsm.h"
#include "tests/lsm/clock.h"

#define S(text) lam_slice_str(text)
#define TTL     1000
#define SECOND  1000000ll

static lam_env *env;
static lam_db *db;
static lam_partition *part, *plain;
static struct lam_error err;
static struct lam_options opts;

static void open_db(void) {
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_open(db, "short", &part, &err), &err);
    ck_ok(lam_partition_open(db, "plain", &plain, &err), &err);
}

static void close_db(void) {
    lam_partition_release(part);
    lam_partition_release(plain);
    ck_ok(lam_db_close(db, &err), &err);
}

static void start(void) {
    struct lam_partition_options o = {.ttl_seconds = TTL};
    env = clock_env_new();
    opts.env = env;
    opts.manual_background = true;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_create(db, "short", &o, &part, &err), &err);
    ck_ok(lam_partition_create(db, "plain", NULL, &plain, &err), &err);
}

static void stop(void) {
    close_db();
    ck_ok(lam_check("/db", env, NULL, NULL, &err), &err);
    clock_env_free(env);
}

static void put(lam_partition *p, const char *key) {
    ck_ok(lam_put(db, NULL, p, S(key), S("value"), &err), &err);
}

static void delete_range(const char *from, const char *to) {
    lam_batch *b;
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_batch_delete_range(b, part, S(from), S(to), LAM_SEQUENCE_MAX, &err), &err);
    ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
    lam_batch_free(b);
}

static void dump(void) {
    ck_ok(lam_db_dump(db, &err), &err);
}

static bool has(const char *key, const lam_snapshot *at) {
    struct lam_read_options o = {.snapshot = at};
    struct lam_value v = {0};
    enum lam_code rc = lam_get(db, &o, part, S(key), &v, &err);
    lam_value_release(&v);
    ck_assert(rc == LAM_OK || rc == LAM_NOT_FOUND);
    return rc == LAM_OK;
}

static struct lam_partition_stats stats_of(lam_partition *p) {
    struct lam_partition_stats s;
    ck_ok(lam_partition_stats(db, p, &s, &err), &err);
    return s;
}

static bool count_sst(void *arg, const char *name) {
    size_t size = strlen(name);
    *(int *)arg += size > 4 && strcmp(name + size - 4, ".sst") == 0;
    return true;
}

static int ssts_on_disk(void) {
    int n = 0;
    ck_ok(env_dir_list(env, "/db", count_sst, &n, &err), &err);
    return n;
}

START_TEST(files_go_whole_and_unread_once_their_newest_write_is_older) {
    start();
    put(part, "a");
    clock_wall_us += 100 * SECOND;
    put(part, "b");
    put(plain, "a");
    dump();
    ck_assert_int_eq(ssts_on_disk(), 2);
    clock_wall_us += TTL * SECOND;
    dump(); /* to the microsecond: not older yet */
    ck_assert(has("a", NULL) && has("b", NULL));
    clock_wall_us += 1;
    dump();
    ck_assert(!has("a", NULL) && !has("b", NULL));
    ck_assert_uint_eq(stats_of(part).sst_files, 0);
    ck_assert_uint_eq(stats_of(part).compactions, 1);
    ck_assert_uint_eq(stats_of(part).compaction_read_bytes, 0);
    ck_assert_uint_eq(stats_of(plain).sst_files, 1);
    ck_assert_int_eq(ssts_on_disk(), 1);
    close_db();
    open_db();
    ck_assert(!has("a", NULL));
    stop();
}
END_TEST

START_TEST(compacted_files_live_as_long_as_the_newest_of_their_inputs) {
    start();
    put(part, "a");
    dump();
    clock_wall_us += 600 * SECOND;
    put(part, "b");
    ck_ok(lam_db_compact(db, part, &err), &err);
    ck_assert_uint_eq(stats_of(part).levels[6].files, 1);
    clock_wall_us += 500 * SECOND;
    dump();
    ck_assert(has("a", NULL) && has("b", NULL));
    clock_wall_us += 501 * SECOND;
    dump();
    ck_assert(!has("a", NULL) && !has("b", NULL));
    stop();
}
END_TEST

/* An ingest may be under way for long. */
START_TEST(ingested_rows_live_from_their_put_on) {
    lam_ingest *g;
    start();
    ck_ok(lam_ingest_new(db, part, &g, &err), &err);
    clock_wall_us += 2 * TTL * SECOND;
    ck_ok(lam_ingest_put(g, S("a"), S("value"), &err), &err);
    clock_wall_us += 2 * TTL * SECOND;
    ck_ok(lam_ingest_put(g, S("b"), S("value"), &err), &err);
    ck_ok(lam_ingest_finish(g, NULL, &err), &err);
    clock_wall_us += TTL * SECOND;
    dump();
    ck_assert(has("b", NULL));
    clock_wall_us += 1;
    dump();
    ck_assert(!has("a", NULL) && !has("b", NULL));
    stop();
}
END_TEST

START_TEST(what_is_in_memory_stays) {
    start();
    put(part, "a");
    clock_wall_us += 2 * TTL * SECOND;
    put(plain, "x");
    ck_assert(has("a", NULL));
    dump(); /* dated by its dump */
    ck_assert(has("a", NULL));
    clock_wall_us += TTL * SECOND + 1;
    dump();
    ck_assert(!has("a", NULL));
    stop();
}
END_TEST

START_TEST(clock_set_back_makes_nothing_go_early) {
    start();
    put(part, "a");
    dump();
    clock_wall_us -= 86400 * SECOND;
    put(part, "b");
    dump();
    ck_assert(has("a", NULL) && has("b", NULL));
    close_db();
    open_db(); /* the highest time is found again in the files */
    put(part, "c");
    dump();
    clock_wall_us += 86400 * SECOND + TTL * SECOND;
    dump();
    ck_assert(has("a", NULL) && has("b", NULL) && has("c", NULL));
    clock_wall_us += 1;
    dump();
    ck_assert(!has("a", NULL) && !has("b", NULL) && !has("c", NULL));
    stop();
}
END_TEST

START_TEST(an_open_snapshot_holds_files_back_until_it_is_freed) {
    start();
    lam_snapshot *snap;
    lam_iter *it;
    put(part, "a");
    dump();
    ck_ok(lam_snapshot_new(db, &snap, &err), &err);
    clock_wall_us += 2 * TTL * SECOND;
    dump();
    ck_assert(has("a", NULL) && has("a", snap));
    ck_ok(lam_iter_new(db, NULL, part, &it, &err), &err);
    lam_snapshot_free(snap);
    dump();
    ck_assert(!has("a", NULL));
    /* An iterator goes on with the files it began with. */
    lam_iter_seek_first(it);
    ck_assert(lam_iter_valid(it));
    ck_assert_int_eq(ssts_on_disk(), 1);
    lam_iter_free(it);
    ck_assert_int_eq(ssts_on_disk(), 0);
    stop();
}
END_TEST

START_TEST(range_tombstones_go_with_what_they_hide_or_after_it) {
    start();
    for (char key[] = "k0"; key[1] <= '9'; key[1]++)
        put(part, key);
    ck_ok(lam_db_compact(db, part, &err), &err);
    clock_wall_us += 400 * SECOND;
    delete_range("k2", "k5");
    dump();
    ck_assert_uint_eq(stats_of(part).levels[0].range_tombstones, 1);
    ck_assert_uint_eq(stats_of(part).levels[6].entries, 10);
    clock_wall_us += 601 * SECOND; /* the data expires before the tombstone */
    dump();
    ck_assert_uint_eq(stats_of(part).levels[6].files, 0);
    ck_assert_uint_eq(stats_of(part).levels[0].range_tombstones, 1);
    ck_assert(!has("k0", NULL) && !has("k3", NULL));
    put(part, "k3"); /* is newer than the tombstone */
    dump();
    ck_assert(has("k3", NULL));
    clock_wall_us += 400 * SECOND;
    dump();
    ck_assert_uint_eq(stats_of(part).levels[0].range_tombstones, 0);
    ck_assert(has("k3", NULL) && !has("k2", NULL));
    stop();
}
END_TEST

START_TEST(what_an_expired_file_hides_never_shows_again) {
    start();
    put(part, "k1");
    put(part, "k3");
    dump();
    clock_wall_us += 10 * SECOND;
    delete_range("k2", "k4");
    ck_ok(lam_delete(db, NULL, part, S("k1"), &err), &err);
    dump();
    for (int i = 0; i < 12; i++) {
        clock_wall_us += 100 * SECOND;
        dump();
        ck_assert(!has("k1", NULL) && !has("k3", NULL));
    }
    ck_assert_uint_eq(stats_of(part).sst_files, 0);
    stop();
}
END_TEST

/* --- at rest -------------------------------------------------------------------------------- */

static struct queued {
    enum lam_lane lane;
    uint64_t delay_us;
    lam_task_fn fn;
    void *arg;
} tasks[16];
static size_t task_count;

static enum lam_code queue(lam_env *e, enum lam_lane lane, uint64_t delay_us, lam_task_fn fn,
                           void *arg, struct lam_error *error) {
    (void)e, (void)error;
    tasks[task_count++] = (struct queued){lane, delay_us, fn, arg};
    return LAM_OK;
}

static void cancel(lam_env *e, void *arg) {
    (void)e;
    for (size_t i = task_count; i-- > 0;)
        if (tasks[i].arg == arg)
            tasks[i] = tasks[--task_count];
}

static void run_last(void) {
    struct queued t = tasks[--task_count];
    t.fn(t.arg);
}

START_TEST(a_database_at_rest_looks_when_the_next_file_expires) {
    start();
    close_db();
    opts.manual_background = false;
    clock_ops.submit = queue;
    clock_ops.cancel = cancel;
    open_db();
    ck_assert_uint_eq(task_count, 0); /* no file, nothing to wait for */
    put(plain, "a");
    dump();
    ck_assert_uint_eq(task_count, 0);
    put(part, "a");
    dump();
    ck_assert_uint_eq(task_count, 1);
    ck_assert_int_eq(tasks[0].lane, LAM_LANE_COMPACT);
    ck_assert_uint_eq(tasks[0].delay_us, (TTL + 1) * SECOND);
    put(part, "b");
    dump(); /* one look is enough */
    ck_assert_uint_eq(task_count, 1);
    close_db();
    ck_assert_uint_eq(task_count, 0);
    clock_wall_us += 10 * SECOND;
    open_db();
    ck_assert_uint_eq(task_count, 1);
    ck_assert_uint_eq(tasks[0].delay_us, (TTL - 10 + 1) * SECOND);
    lam_snapshot *snap;
    ck_ok(lam_snapshot_new(db, &snap, &err), &err);
    clock_wall_us += (int64_t)tasks[0].delay_us;
    run_last(); /* the snapshot is in the way: a minute later again */
    ck_assert_uint_eq(task_count, 1);
    ck_assert_uint_eq(tasks[0].delay_us, 60 * SECOND);
    ck_assert(has("a", NULL));
    lam_snapshot_free(snap);
    clock_wall_us += 60 * SECOND;
    run_last(); /* asks for a compaction */
    ck_assert_uint_eq(task_count, 2);
    ck_assert_uint_eq(tasks[1].delay_us, 0);
    run_last();
    ck_assert(!has("a", NULL) && !has("b", NULL));
    run_last();
    ck_assert_uint_eq(task_count, 0); /* at rest for good */
    ck_assert_uint_eq(stats_of(plain).sst_files, 1);
    stop();
}
END_TEST

/* --- compression ---------------------------------------------------------------------------- */

static void check_levels(enum lam_compression compression, bool top_small, bool bottom_small) {
    struct lam_partition_options o = {.compression = compression};
    lam_partition *p;
    char key[16], value[1000];
    memset(value, 'z', sizeof value);
    ck_ok(lam_partition_create(db, "c", &o, &p, &err), &err);
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "k%04d", i);
        ck_ok(lam_put(db, NULL, p, S(key), lam_slice_of(value, sizeof value), &err), &err);
    }
    dump();
    ck_assert((stats_of(p).levels[0].bytes < 100000) == top_small);
    ck_ok(lam_db_compact(db, p, &err), &err);
    ck_assert_uint_eq(stats_of(p).levels[6].entries, 200);
    ck_assert((stats_of(p).levels[6].bytes < 100000) == bottom_small);
    ck_ok(lam_partition_drop(db, p, &err), &err);
    lam_partition_release(p);
}

START_TEST(each_level_is_compressed_as_its_partition_says) {
    start();
    check_levels(LAM_COMPRESSION_NONE, false, false);
    check_levels(LAM_COMPRESSION_LZ4, true, true);
    check_levels(LAM_COMPRESSION_DEFAULT, true, true);
    close_db();
    opts.compression = LAM_COMPRESSION_NONE; /* for those that do not say */
    open_db();
    check_levels(LAM_COMPRESSION_DEFAULT, false, false);
    check_levels(LAM_COMPRESSION_LZ4, true, true);
    close_db();
    opts.compression = LAM_COMPRESSION_LZ4;
    open_db();
    check_levels(LAM_COMPRESSION_DEFAULT, true, true);
    check_levels(LAM_COMPRESSION_NONE, false, false);
    struct lam_partition_options bad = {.compression = (enum lam_compression)3};
    lam_partition *p;
    ck_code(lam_partition_create(db, "bad", &bad, &p, &err), LAM_INVALID);
    ck_contains(err.message, "compression 3");
    stop();
}
END_TEST

TEST_MAIN("lsm/ttl", files_go_whole_and_unread_once_their_newest_write_is_older,
          compacted_files_live_as_long_as_the_newest_of_their_inputs,
          ingested_rows_live_from_their_put_on, what_is_in_memory_stays,
          clock_set_back_makes_nothing_go_early,
          an_open_snapshot_holds_files_back_until_it_is_freed,
          range_tombstones_go_with_what_they_hide_or_after_it,
          what_an_expired_file_hides_never_shows_again,
          a_database_at_rest_looks_when_the_next_file_expires,
          each_level_is_compressed_as_its_partition_says)
