/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that spare the user a second one, and closing under what he still holds. */
#include "lamina/txn.h"
#include "lsm/db_impl.h"
#include "tests/support/env_fault.h"
#include "tests/support/test.h"

#define S(text) lam_slice_str(text)

static lam_env *mem, *env;
static lam_db *db;
static lam_partition *part;
static struct lam_error err;
static struct lam_options opts = {.memory_budget = 4u << 20};

static void start(bool manual) {
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    env = env_fault_new(mem);
    opts.env = env;
    opts.manual_background = manual;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
}

static void stop(void) {
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    ck_ok(lam_check("/db", env, NULL, NULL, &err), &err);
    env_fault_free(env);
    lam_env_mem_free(mem);
}

static void put(const char *key) {
    ck_ok(lam_put(db, NULL, part, S(key), S("value"), &err), &err);
}

static const char *keys(const lam_snapshot *at) {
    static char text[200];
    struct lam_read_options o = {.snapshot = at};
    lam_iter *it;
    *text = 0;
    ck_ok(lam_iter_new(db, &o, part, &it, &err), &err);
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it))
        strncat(text, (const char *)lam_iter_key(it).data, lam_iter_key(it).size);
    ck_ok(lam_iter_status(it, &err), &err);
    lam_iter_free(it);
    return text;
}

/* --- range deletes -------------------------------------------------------------------------- */

START_TEST(delete_range_hides_its_keys_from_later_readers) {
    lam_snapshot *before;
    struct lam_write_options sync = {LAM_DURABILITY_SYNC};
    start(true);
    put("a");
    put("b");
    put("c");
    put("d");
    ck_ok(lam_snapshot_new(db, &before, &err), &err);
    ck_ok(lam_delete_range(db, &sync, part, S("b"), S("d"), &err), &err);
    ck_assert_str_eq(keys(NULL), "ad");
    ck_assert_str_eq(keys(before), "abcd");
    put("c");
    ck_assert_str_eq(keys(NULL), "acd");
    ck_ok(lam_delete_range(db, NULL, part, S("c"), S(""), &err), &err);
    ck_assert_str_eq(keys(NULL), "a");
    lam_snapshot_free(before);
    struct lam_stats s;
    lam_db_stats(db, &s);
    ck_assert_uint_eq(s.operations, 7);
    ck_code(lam_delete_range(db, NULL, part, S("c"), S("b"), &err), LAM_INVALID);
    ck_contains(err.message, "after");
    ck_code(lam_delete_range(db, NULL, part, lam_slice_of(NULL, 1), S(""), &err), LAM_INVALID);
    ck_code(lam_delete_range(db, NULL, NULL, S("a"), S("b"), &err), LAM_INVALID);
    ck_code(lam_delete_range(NULL, NULL, part, S("a"), S("b"), &err), LAM_INVALID);
    ck_code(lam_delete_range(db, &(struct lam_write_options){9}, part, S("a"), S(""), &err),
            LAM_INVALID);
    ck_assert_str_eq(keys(NULL), "a");
    stop();
}
END_TEST

START_TEST(a_range_may_have_an_open_start_and_crossed_ends_hold_nothing) {
    uint64_t bytes, entries;
    start(true);
    put("a");
    put("b");
    put("c");
    ck_ok(lam_partition_size(db, part, S("c"), S("a"), &bytes, &entries, &err), &err);
    ck_assert_uint_eq(bytes + entries, 0);
    ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(lam_partition_size(db, part, S("c"), S("a"), &bytes, &entries, &err), &err);
    ck_assert_uint_eq(bytes + entries, 0);
    ck_ok(lam_db_compact_range(db, part, S("c"), S("a"), NULL, NULL, &err), &err);
    struct lam_partition_stats s;
    ck_ok(lam_partition_stats(db, part, &s, &err), &err);
    ck_assert_uint_eq(s.levels[0].files, 1);
    ck_ok(lam_delete_range(db, NULL, part, S("b"), S("b"), &err), &err);
    ck_assert_str_eq(keys(NULL), "abc");
    ck_ok(lam_delete_range(db, NULL, part, S(""), S("c"), &err), &err);
    ck_assert_str_eq(keys(NULL), "c");
    stop();
}
END_TEST

/* --- partitions ----------------------------------------------------------------------------- */

START_TEST(a_partition_that_may_exist_is_made_once_and_then_opened) {
    struct lam_partition_options may = {.may_exist = true, .ttl_seconds = 7};
    const char *names[] = {"x", "p", "y"};
    lam_partition *made, *again, *three[3];
    start(true);
    put("a");
    ck_ok(lam_partition_create(db, "new", &may, &made, &err), &err);
    ck_ok(lam_partition_create(db, "new", &may, &again, &err), &err);
    ck_assert_ptr_eq(made, again);
    ck_assert_uint_eq(made->options.ttl_seconds, 7);
    lam_partition_release(again);
    ck_ok(lam_partition_create(db, "p", &may, &again, &err), &err);
    ck_assert_ptr_eq(again, part);
    ck_assert_uint_eq(part->options.ttl_seconds, 0);
    lam_partition_release(again);
    ck_code(lam_partition_create(db, "new", NULL, &again, &err), LAM_EXISTS);
    ck_code(lam_partition_create_many(db, names, 3, NULL, NULL, &err), LAM_EXISTS);
    ck_contains(err.message, "\"p\"");
    ck_code(lam_partition_open(db, "x", &again, &err), LAM_NOT_FOUND);
    for (int round = 0; round < 2; round++) {
        ck_ok(lam_partition_create_many(db, names, 3, &may, three, &err), &err);
        ck_assert_ptr_eq(three[1], part);
        ck_assert_str_eq(lam_partition_name(three[2]), "y");
        for (int i = 0; i < 3; i++)
            lam_partition_release(three[i]);
    }
    ck_ok(lam_partition_create_many(db, names, 3, &may, NULL, &err), &err);
    ck_assert_str_eq(keys(NULL), "a");
    lam_partition_release(made);
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    opts.read_only = true;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", &may, &part, &err), &err);
    ck_code(lam_partition_create(db, "p", NULL, &again, &err), LAM_READ_ONLY);
    ck_code(lam_partition_create(db, "z", &may, &again, &err), LAM_READ_ONLY);
    ck_assert_str_eq(keys(NULL), "a");
    stop();
}
END_TEST

/* --- closing -------------------------------------------------------------------------------- */

static void is_busy(const char *why) {
    ck_code(lam_db_close(db, &err), LAM_BUSY);
    ck_contains(err.message, why);
    put("still open");
}

START_TEST(close_refuses_under_every_kind_of_handle) {
    lam_batch *batch;
    lam_iter *it;
    lam_snapshot *snapshot;
    lam_txn *txn;
    lam_ingest *ingest;
    start(true);
    ck_ok(lam_batch_new(db, &batch, &err), &err);
    is_busy("1 batches");
    lam_batch_free(batch);
    ck_ok(lam_batch_new_indexed(db, &batch, &err), &err);
    ck_ok(lam_batch_iter_new(batch, NULL, part, &it, &err), &err);
    lam_batch_free(batch);
    is_busy("1 iterators, 0 batches");
    lam_iter_free(it);
    ck_ok(lam_snapshot_new(db, &snapshot, &err), &err);
    is_busy("0 transactions, 1 snapshots");
    lam_snapshot_free(snapshot);
    ck_ok(lam_txn_begin(db, NULL, &txn, &err), &err);
    is_busy("1 transactions, 0 snapshots");
    lam_txn_rollback(txn);
    ck_ok(lam_txn_begin(db, NULL, &txn, &err), &err);
    ck_ok(lam_txn_commit(txn, NULL, NULL, &err), &err);
    ck_ok(lam_ingest_new(db, part, &ingest, &err), &err);
    is_busy("1 ingests");
    lam_ingest_abort(ingest);
    ck_ok(lam_ingest_new(db, part, &ingest, &err), &err);
    ck_ok(lam_ingest_put(ingest, S("x"), S("y"), &err), &err);
    is_busy("1 ingests");
    ck_ok(lam_ingest_finish(ingest, NULL, &err), &err);
    ck_assert_str_eq(keys(NULL), "still openx");
    stop();
}
END_TEST

/* What could not be made is not counted. */
START_TEST(handles_of_failed_calls_do_not_keep_a_database_open) {
    lam_partition *gone;
    lam_ingest *ingest;
    lam_iter *it;
    start(true);
    ck_ok(lam_partition_create(db, "gone", NULL, &gone, &err), &err);
    ck_ok(lam_partition_drop(db, gone, &err), &err);
    ck_code(lam_iter_new(db, NULL, gone, &it, &err), LAM_NOT_FOUND);
    ck_code(lam_ingest_new(db, gone, &ingest, &err), LAM_NOT_FOUND);
    lam_partition_release(gone);
    stop();
}
END_TEST

/* --- waiting for background work ------------------------------------------------------------- */

static bool is_idle(void) {
    mutex_lock(&db->state);
    const struct db_state *s = db_state(db);
    bool idle = s->sealed_count == 0 && !s->due && !s->dump_running && !s->compact_running;
    mutex_unlock(&db->state);
    return idle;
}

static struct lam_env_ops held_ops;
static const struct lam_env_ops *free_ops;
static _Atomic bool holding;

/* A new SST waits until somebody waits for it. */
static enum lam_code held_open(lam_env *e, const char *path, unsigned flags, lam_file **out,
                               struct lam_error *error) {
    while (atomic_load(&holding) && (flags & LAM_OPEN_CREATE) && strstr(path, ".sst")) {
        mutex_lock(&db->state);
        if (db_state(db)->long_calls > 0)
            atomic_store(&holding, false);
        mutex_unlock(&db->state);
        thread_yield();
    }
    return free_ops->file_open(e, path, flags, out, error);
}

static void put_many(void) {
    char key[20], value[1000];
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 6000; i++) {
        snprintf(key, sizeof key, "%07d", i * 7919 % 6000);
        ck_ok(lam_put(db, NULL, part, S(key), lam_slice_of(value, sizeof value), &err), &err);
    }
}

START_TEST(wait_idle_returns_when_dumps_and_compactions_are_done) {
    struct lam_stats s;
    start(false);
    ck_ok(lam_db_wait_idle(db, &err), &err);
    put_many();
    ck_ok(lam_db_wait_idle(db, &err), &err);
    free_ops = env->ops;
    held_ops = *env->ops;
    held_ops.file_open = held_open;
    env->ops = &held_ops;
    atomic_store(&holding, true);
    mutex_lock(&db->commit);
    ck_ok(db_seal_locked(db, &err), &err);
    mutex_unlock(&db->commit);
    db_bg_kick(db, true);
    ck_ok(lam_db_wait_idle(db, &err), &err);
    ck_assert(!atomic_load(&holding));
    ck_assert(is_idle());
    lam_db_stats(db, &s);
    ck_assert_uint_gt(s.dumps, 0);
    ck_assert_uint_lt(s.levels[0].files, 4);
    ck_code(lam_db_wait_idle(NULL, &err), LAM_INVALID);
    env->ops = free_ops;
    stop();
}
END_TEST

START_TEST(wait_idle_tells_what_could_not_be_done) {
    start(false);
    put("a");
    mutex_lock(&db->commit);
    ck_ok(db_seal_locked(db, &err), &err);
    mutex_unlock(&db->commit);
    env_fault_arm(env, FAULT_NAME, 1, LAM_IO, true);
    ck_code(lam_db_wait_idle(db, &err), LAM_IO);
    ck_assert(!is_idle());
    env_fault_arm(env, 0, 0, LAM_OK, false);
    ck_ok(lam_db_wait_idle(db, &err), &err);
    ck_assert(is_idle());
    stop();
}
END_TEST

/* --- failures ------------------------------------------------------------------------------- */

static enum lam_code no_sync(lam_file *file, struct lam_error *error) {
    (void)file;
    enum lam_code rc = ERR(error, LAM_IO, "the disk is gone");
    if (error)
        error->os_errno = 5;
    return rc;
}

START_TEST(writes_after_a_failed_sync_name_its_cause_and_errno) {
    struct lam_write_options sync = {LAM_DURABILITY_SYNC};
    start(true);
    free_ops = env->ops;
    held_ops = *env->ops;
    held_ops.file_sync = no_sync;
    env->ops = &held_ops;
    ck_code(lam_put(db, &sync, part, S("a"), S("1"), &err), LAM_UNKNOWN_OUTCOME);
    ck_code(lam_put(db, NULL, part, S("a"), S("1"), &err), LAM_READ_ONLY);
    ck_contains(err.message, "the disk is gone");
    ck_assert_int_eq(err.os_errno, 5);
    ck_code(lam_db_wait_idle(db, &err), LAM_READ_ONLY);
    env->ops = free_ops;
    lam_partition_release(part);
    ck_code(lam_db_close(db, &err), LAM_READ_ONLY);
    env_fault_free(env);
    lam_env_mem_free(mem);
}
END_TEST

/* --- progress of a check --------------------------------------------------------------------- */

struct checking {
    uint64_t calls, files, bytes;
    lam_partition *drop; /* at the first call */
    uint64_t stop_at;
    char last[600];
};

static bool look(void *arg, const struct lam_progress *now) {
    struct checking *c = arg;
    ck_assert_uint_ge(now->files_done, c->files);
    ck_assert_uint_ge(now->bytes_done, c->bytes);
    ck_assert_uint_le(now->files_done, now->files_total);
    ck_assert_uint_le(now->bytes_done, now->bytes_total);
    c->files = now->files_done;
    c->bytes = now->bytes_done;
    snprintf(c->last, sizeof c->last, "%s", now->file);
    if (c->calls++ == 0 && c->drop)
        ck_ok(lam_partition_drop(db, c->drop, &err), &err);
    return c->calls != c->stop_at;
}

START_TEST(check_of_an_open_database_tells_its_progress_and_misses_none_for_a_drop) {
    lam_partition *second;
    start(true);
    ck_ok(lam_partition_create(db, "second", NULL, &second, &err), &err);
    put("a");
    ck_ok(lam_put(db, NULL, second, S("b"), S("1"), &err), &err);
    ck_ok(lam_db_dump(db, &err), &err);
    struct checking c = {.stop_at = 1};
    struct lam_check_options o = {.progress = look, .arg = &c};
    ck_code(lam_db_check_with(db, &o, &err), LAM_BUSY);
    c = (struct checking){.drop = part};
    ck_ok(lam_db_check_with(db, &o, &err), &err);
    ck_assert_uint_eq(c.files, 2); /* also that of the partition after the dropped one */
    ck_assert_uint_eq(c.calls, 3);
    ck_ok(lam_db_check_with(db, NULL, &err), &err);
    ck_code(lam_db_check_with(NULL, NULL, &err), LAM_INVALID);
    lam_partition_release(second);
    stop();
}
END_TEST

START_TEST(progress_never_passes_its_totals) {
    struct checking c = {0};
    struct progress p = {.fn = look, .arg = &c, .now = {.files_total = 2, .bytes_total = 10}};
    p.now.bytes_done = 50; /* of a file whose size was not known */
    ck_ok(progress_tell(&p, "f", &err), &err);
    ck_assert_uint_eq(p.now.bytes_total, 50);
    ck_assert_uint_eq(p.now.files_total, 2);
    p.now.files_done = 3;
    ck_ok(progress_tell(&p, "f", &err), &err);
    ck_assert_uint_eq(c.files, 3);
}
END_TEST

TEST_MAIN("lsm/calls", delete_range_hides_its_keys_from_later_readers,
          a_range_may_have_an_open_start_and_crossed_ends_hold_nothing,
          a_partition_that_may_exist_is_made_once_and_then_opened,
          close_refuses_under_every_kind_of_handle,
          handles_of_failed_calls_do_not_keep_a_database_open,
          wait_idle_returns_when_dumps_and_compactions_are_done,
          wait_idle_tells_what_could_not_be_done,
          writes_after_a_failed_sync_name_its_cause_and_errno,
          check_of_an_open_database_tells_its_progress_and_misses_none_for_a_drop,
          progress_never_passes_its_totals)
