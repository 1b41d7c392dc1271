/* SPDX-License-Identifier: Apache-2.0
 *
 * Bulk ingest: what it shows when, what it hides, where its files lie, and that failures and
 * crashes leave all of it or nothing. */
#include "base/rng.h"
#include "base/thread.h"
#include "lamina/txn.h"
#include "lsm/filename.h"
#include "tests/lsm/copies.h"

static lam_ingest *begin(void) {
    lam_ingest *g;
    ck_ok(lam_ingest_new(db, p, &g, &err), &err);
    return g;
}
static void add(lam_ingest *g, const char *key, const char *value) {
    ck_ok(lam_ingest_put(g, S(key), S(value), &err), &err);
}
static uint64_t finish(lam_ingest *g) {
    uint64_t sequence = 0;
    ck_ok(lam_ingest_finish(g, &sequence, &err), &err);
    return sequence;
}
static void end(void) {
    ck_ok(lam_db_check(db, NULL, NULL, &err), &err);
    close_db();
    lam_env_mem_free(mem);
}
static void reopen(void) {
    close_db();
    ck_ok(lam_check(DIR, mem, NULL, NULL, &err), &err);
    ck_ok(open_in(mem), &err);
}

START_TEST(rows_appear_at_once_and_hide_what_was_before) {
    start();
    lam_ingest *g = begin();
    lam_snapshot *before;
    add(g, "a", "ingested");
    add(g, "c", "ingested");
    put(p, "c", "put meanwhile");
    put(p, "e", "put meanwhile");
    add(g, "d", "ingested");
    ck_assert_str_eq(rows_of(db), "p:b=2 c=put meanwhile e=put meanwhile q:a=q1 z=last ");
    ck_ok(lam_snapshot_new(db, &before, &err), &err);
    uint64_t at = lam_snapshot_sequence(before);
    ck_assert_uint_gt(finish(g), at);
    const char *all = "p:a=ingested b=2 c=ingested d=ingested e=put meanwhile q:a=q1 z=last ";
    ck_assert_str_eq(rows_of(db), all);
    struct lam_read_options o = {.snapshot = before};
    struct lam_value v = {0};
    ck_code(lam_get(db, &o, p, S("a"), &v, &err), LAM_NOT_FOUND);
    ck_ok(lam_get(db, &o, p, S("c"), &v, &err), &err);
    ck_assert_uint_eq(v.bytes.size, strlen("put meanwhile"));
    lam_value_release(&v);
    lam_snapshot_free(before);
    reopen();
    ck_assert_str_eq(rows_of(db), all);
    put(p, "a", "newer");
    ck_ok(lam_delete(db, NULL, p, S("d"), &err), &err);
    const char *newer = "p:a=newer b=2 c=ingested e=put meanwhile q:a=q1 z=last ";
    ck_assert_str_eq(rows_of(db), newer);
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    ck_assert_str_eq(rows_of(db), newer);
    reopen();
    ck_assert_str_eq(rows_of(db), newer);
    end();
}
END_TEST

START_TEST(rows_hide_older_files_with_higher_numbers) {
    start();
    lam_ingest *g = begin();
    add(g, "b", "ingested");
    for (int i = 0; i < 3; i++) {
        put(p, "b", "older");
        ck_ok(lam_db_dump(db, &err), &err);
    }
    finish(g);
    struct lam_value v = {0};
    for (int i = 0; i < 3; i++) {
        ck_ok(lam_get(db, NULL, p, S("b"), &v, &err), &err);
        ck_assert_uint_eq(v.bytes.size, strlen("ingested"));
        if (i == 0)
            reopen();
        else
            ck_ok(lam_db_compact(db, NULL, &err), &err);
    }
    lam_value_release(&v);
    end();
}
END_TEST

START_TEST(keys_out_of_order_are_refused_by_the_number_of_their_row) {
    start();
    lam_ingest *g = begin();
    add(g, "m", "1");
    ck_code(lam_ingest_put(g, S("m"), S("2"), &err), LAM_INVALID);
    ck_contains(err.message, "the key of row 2 is not above that of row 1");
    ck_code(lam_ingest_put(g, S("a"), S("2"), &err), LAM_INVALID);
    ck_code(lam_ingest_put(g, S(""), S("2"), &err), LAM_INVALID);
    ck_contains(err.message, "row 2");
    ck_code(lam_ingest_put(g, S("n"), lam_slice_of("", (size_t)LAM_VALUE_MAX + 1), &err),
            LAM_LIMIT);
    ck_contains(err.message, "row 2: value of");
    ck_code(lam_ingest_put(g, S("n"), lam_slice_of(NULL, 1), &err), LAM_INVALID);
    add(g, "n", "2");
    finish(g);
    ck_assert_str_eq(rows_of(db), "p:b=2 c=only in the log m=1 n=2 q:a=q1 z=last ");
    end();
}
END_TEST

START_TEST(nothing_is_left_of_what_is_aborted_empty_or_dropped) {
    start();
    size_t files = files_of(mem, DIR, ".sst");
    lam_ingest *g = begin();
    add(g, "x", "1");
    lam_ingest_abort(g);
    lam_ingest_abort(NULL);
    finish(begin());
    ck_assert_uint_eq(files_of(mem, DIR, ".sst"), files);
    lam_partition *r;
    ck_ok(lam_partition_create(db, "r", NULL, &r, &err), &err);
    ck_ok(lam_ingest_new(db, r, &g, &err), &err);
    add(g, "x", "1");
    ck_ok(lam_partition_drop(db, r, &err), &err);
    ck_code(lam_ingest_finish(g, NULL, &err), LAM_NOT_FOUND);
    ck_code(lam_ingest_new(db, r, &g, &err), LAM_NOT_FOUND);
    lam_partition_release(r);
    ck_assert_uint_eq(files_of(mem, DIR, ".sst"), files);
    ck_code(lam_ingest_new(NULL, p, &g, &err), LAM_INVALID);
    ck_code(lam_ingest_new(db, NULL, &g, &err), LAM_INVALID);
    ck_code(lam_ingest_new(db, p, NULL, &err), LAM_INVALID);
    ck_code(lam_ingest_put(NULL, S("a"), S("b"), &err), LAM_INVALID);
    ck_code(lam_ingest_finish(NULL, NULL, &err), LAM_INVALID);
    close_db();
    struct lam_options o = {.env = mem, .read_only = true};
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &p, &err), &err);
    ck_code(lam_ingest_new(db, p, &g, &err), LAM_READ_ONLY);
    lam_partition_release(p);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(mem);
}
END_TEST

START_TEST(large_ingests_make_several_files_in_the_last_level) {
    struct lam_stats s;
    start();
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    lam_ingest *g = begin();
    static char value[1001];
    for (int i = 0; i < 5000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%06d", i);
        struct rng rng;
        rng_init(&rng, (uint64_t)i);
        for (int j = 0; j < 1000; j++)
            value[j] = (char)('a' + rng_next(&rng) % 26);
        ck_ok(lam_ingest_put(g, S(key), S(value), &err), &err);
    }
    finish(g);
    lam_db_stats(db, &s);
    ck_assert_uint_gt(s.sst_files, 4);
    uint64_t files = s.sst_files;
    /* Nothing lies above or in it, so nothing has to be compacted. */
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    lam_db_stats(db, &s);
    ck_assert_uint_le(s.sst_files, files);
    for (int round = 0; round < 2; round++) {
        struct lam_value v = {0};
        for (int i = 0; i < 5000; i += 97) {
            char key[16];
            snprintf(key, sizeof key, "k%06d", i);
            ck_ok(lam_get(db, NULL, p, S(key), &v, &err), &err);
            ck_assert_uint_eq(v.bytes.size, 1000);
        }
        ck_code(lam_get(db, NULL, p, S("k0000005"), &v, &err), LAM_NOT_FOUND);
        lam_value_release(&v);
        reopen();
    }
    end();
}
END_TEST

START_TEST(copies_and_recovery_hold_what_was_ingested) {
    start();
    ck_ok(lam_db_dump(db, &err), &err);
    lam_ingest *g = begin();
    add(g, "y", "ingested");
    finish(g);
    const char *all = "p:b=2 c=only in the log y=ingested q:a=q1 z=last ";
    ck_ok(db_checkpoint(db, COPY, NULL, &err), &err);
    ck_assert_str_eq(shown_by(mem, COPY, true), all);
    ck_assert_str_eq(shown_by(mem, COPY, false), all);
    ck_ok(db_backup(db, BACKUPS, NULL, NULL, NULL, NULL, &err), &err);
    ck_ok(lam_backup_restore(BACKUPS, mem, 0, "/restored", NULL, NULL, &err), &err);
    ck_assert_str_eq(shown_by(mem, "/restored", true), all);
    lam_env *image;
    for (int mode = 0; mode < 3; mode++) {
        ck_ok(lam_env_mem_crash(mem, (enum lam_crash_mode)mode, 7, &image, &err), &err);
        ck_assert_str_eq(shown_by(image, DIR, true), all);
        ck_assert_str_eq(shown_by(image, DIR, false), all);
        lam_env_mem_free(image);
    }
    end();
}
END_TEST

START_TEST(transactions_conflict_with_what_was_ingested_since) {
    start();
    lam_txn *t;
    lam_ingest *g = begin();
    add(g, "b", "ingested");
    ck_ok(lam_txn_begin(db, NULL, &t, &err), &err);
    ck_ok(lam_txn_put(t, p, S("b"), S("mine"), &err), &err);
    finish(g);
    ck_code(lam_txn_commit(t, NULL, NULL, &err), LAM_CONFLICT);
    ck_assert_str_eq(rows_of(db), "p:b=ingested c=only in the log q:a=q1 z=last ");
    end();
}
END_TEST

/* Random puts, deletes, range deletes, ingests, dumps and compactions against an array. */
START_TEST(ingests_among_other_writes_equal_a_sorted_array) {
    enum { KEYS = 60 };
    static uint32_t want[KEYS];
    struct rng rng;
    rng_init(&rng, test_seed("ingest/model"));
    start();
    ck_ok(lam_partition_drop(db, p, &err), &err);
    lam_partition_release(p);
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    for (uint32_t step = 1; step < 1500; step++) {
        uint32_t kind = rng_next(&rng) % 20, k = rng_next(&rng) % KEYS;
        char key[16], to[16], value[16];
        snprintf(key, sizeof key, "k%02u", k);
        snprintf(value, sizeof value, "%u", step);
        if (kind < 8) {
            put(p, key, value);
            want[k] = step;
        } else if (kind < 10) {
            ck_ok(lam_delete(db, NULL, p, S(key), &err), &err);
            want[k] = 0;
        } else if (kind < 11) {
            uint32_t last = k + rng_next(&rng) % 10;
            lam_batch *b;
            snprintf(to, sizeof to, "k%02u", last);
            ck_ok(lam_batch_new(db, &b, &err), &err);
            ck_ok(lam_batch_delete_range(b, p, S(key), S(to), LAM_SEQUENCE_MAX, &err), &err);
            ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
            lam_batch_free(b);
            for (; k < last && k < KEYS; k++)
                want[k] = 0;
        } else if (kind < 15) {
            lam_ingest *g = begin();
            for (; k < KEYS; k += 1 + rng_next(&rng) % 4) {
                snprintf(key, sizeof key, "k%02u", k);
                add(g, key, value);
                want[k] = step;
                if (rng_next(&rng) % 8 == 0)
                    break;
            }
            finish(g);
        } else if (kind < 17) {
            ck_ok(lam_db_dump(db, &err), &err);
        } else if (kind < 18) {
            ck_ok(lam_db_compact(db, p, &err), &err);
        } else if (kind < 19 && step % 5 == 0) {
            reopen();
        }
        if (step % 10)
            continue;
        lam_iter *it;
        ck_ok(lam_iter_new(db, NULL, p, &it, &err), &err);
        lam_iter_seek_first(it);
        for (uint32_t i = 0; i < KEYS; i++) {
            struct lam_value v = {0};
            snprintf(key, sizeof key, "k%02u", i);
            snprintf(value, sizeof value, "%u", want[i]);
            enum lam_code rc = lam_get(db, NULL, p, S(key), &v, &err);
            ck_assert_msg(rc == (want[i] ? LAM_OK : LAM_NOT_FOUND), "step %u, %s", step, key);
            if (!want[i])
                continue;
            ck_assert_msg(v.bytes.size == strlen(value) &&
                              memcmp(v.bytes.data, value, v.bytes.size) == 0,
                          "step %u, %s: %.*s instead of %s", step, key, (int)v.bytes.size,
                          v.bytes.data, value);
            lam_value_release(&v);
            ck_assert(lam_iter_valid(it));
            ck_assert_int_eq(memcmp(lam_iter_key(it).data, key, 3), 0);
            ck_assert_int_eq(memcmp(lam_iter_value(it).data, value, strlen(value)), 0);
            lam_iter_next(it);
        }
        ck_assert(!lam_iter_valid(it));
        ck_ok(lam_iter_status(it, &err), &err);
        lam_iter_free(it);
    }
    end();
}
END_TEST

/* Another writer's put comes whenever an SST is made, so that memtables are always in the way. */
static struct lam_env_ops busy_ops;
static const struct lam_env_ops *plain_ops;
static unsigned puts_left;
static enum lam_code put_and_open(lam_env *env, const char *path, unsigned flags, lam_file **out,
                                  struct lam_error *e) {
    size_t n = strlen(path);
    if ((flags & LAM_OPEN_CREATE) && n > 4 && strcmp(path + n - 4, ".sst") == 0 && puts_left > 0) {
        puts_left--;
        put(p, "b", "3");
    }
    return plain_ops->file_open(env, path, flags, out, e);
}

START_TEST(ingest_waits_for_writers_and_gives_up_in_the_end) {
    for (int forever = 0; forever < 2; forever++) {
        start();
        plain_ops = mem->ops;
        busy_ops = *plain_ops;
        busy_ops.file_open = put_and_open;
        lam_ingest *g = begin();
        add(g, "b", "ingested");
        put(p, "b", "3");
        mem->ops = &busy_ops;
        puts_left = forever ? 1000 : 5;
        enum lam_code rc = lam_ingest_finish(g, NULL, &err);
        mem->ops = plain_ops;
        ck_code(rc, forever ? LAM_BUSY : LAM_OK);
        if (forever)
            ck_contains(err.message, "partition \"p\" is written to all the time");
        ck_assert_str_eq(rows_of(db), forever ? "p:b=3 c=only in the log q:a=q1 z=last "
                                              : "p:b=ingested c=only in the log q:a=q1 z=last ");
        end();
    }
}
END_TEST

START_TEST(failed_ingest_takes_no_more_rows) {
    start();
    close_db();
    lam_env *env = env_fault_new(mem);
    ck_ok(open_in(env), &err);
    lam_ingest *g = begin();
    env_fault_arm(env, FAULT_MUTATE, 1, LAM_NO_SPACE, true);
    ck_code(lam_ingest_put(g, S("b"), S("ingested"), &err), LAM_NO_SPACE);
    env_fault_arm(env, 0, 0, LAM_OK, false);
    ck_code(lam_ingest_put(g, S("c"), S("ingested"), &err), LAM_INVALID);
    ck_contains(err.message, "an earlier call has failed");
    ck_code(lam_ingest_finish(g, NULL, &err), LAM_INVALID);
    ck_contains(err.message, "an earlier call has failed");
    ck_assert_str_eq(rows_of(db), START_SHOWS);
    ck_ok(lam_db_check(db, NULL, NULL, &err), &err);
    close_db();
    env_fault_free(env);
    lam_env_mem_free(mem);
}
END_TEST

/* --- failures and crashes --------------------------------------------------------------------- */

#define BEFORE START_SHOWS
#define AFTER  "p:b=ingested c=only in the log d=ingested q:a=q1 z=last "

static enum lam_code ingest(void) {
    lam_ingest *g;
    memset(&err, 0, sizeof err);
    enum lam_code rc = lam_ingest_new(db, p, &g, &err);
    if (rc != LAM_OK)
        return rc;
    rc = lam_ingest_put(g, S("b"), S("ingested"), &err);
    if (rc == LAM_OK)
        rc = lam_ingest_put(g, S("d"), S("ingested"), &err);
    if (rc == LAM_OK)
        return lam_ingest_finish(g, NULL, &err);
    lam_ingest_abort(g);
    return rc;
}

static enum lam_code ingest_in(lam_env *env) {
    (void)env;
    return ingest();
}
/* All rows or none; what a failed call has left open shows none. */
static uint64_t with, without;
static void check_rows(lam_env *env, enum lam_code was, bool opened) {
    const char *shows = rows_of(db);
    bool all = strcmp(shows, AFTER) == 0, unknown = was == LAM_UNKNOWN_OUTCOME && opened;
    (void)env;
    with += all;
    without += !all;
    ck_assert_msg(all || strcmp(shows, BEFORE) == 0, "%s: %s", sweep_at, shows);
    ck_assert_msg(all ? was == LAM_OK || unknown : was != LAM_OK, "%s: %s", sweep_at, shows);
}
/* Reading alone shows it, too. */
static void check_image(lam_env *image) {
    const char *shows = shown_by(image, DIR, true);
    ck_assert_msg(!strcmp(shows, AFTER) || !strcmp(shows, BEFORE), "%s: %s", sweep_at, shows);
}
static const struct sweep ingesting = {.make = make_db,
                                       .open = open_in,
                                       .call = ingest_in,
                                       .check = check_rows,
                                       .use = use_db,
                                       .close = try_close,
                                       .image = check_image,
                                       .dir = DIR,
                                       .err = &err};

START_TEST(each_call_that_fails_leaves_all_rows_or_none) {
    ck_assert_uint_gt(sweep_failures(&ingesting, &SWEEP_IO), 10);
    ck_assert_uint_gt(sweep_failures(&ingesting, &SWEEP_IO_ALL), 10);
    ck_assert_uint_gt(sweep_failures(&ingesting, &SWEEP_SPACE), 5);
}
END_TEST

START_TEST(each_allocation_that_fails_leaves_all_rows_or_none) {
    ck_assert_uint_gt(sweep_failures(&ingesting, &SWEEP_MEMORY), 20);
    ck_assert_uint_gt(sweep_failures(&ingesting, &SWEEP_MEMORY_ALL), 20);
}
END_TEST

/* Memtables lie in the way, and what came before them is not synced. */
static enum lam_code ingest_over_pending(lam_env *env) {
    enum lam_code rc = lam_put(db, NULL, p, S("b"), S("2"), &err);
    return rc == LAM_OK ? ingest_in(env) : rc;
}

START_TEST(crashes_leave_all_rows_or_none) {
    struct sweep over = ingesting;
    over.call = ingest_over_pending;
    sweep_crashes(&ingesting, 8);
    sweep_crashes(&over, 4);
    ck_assert_uint_gt(with, 5);
    ck_assert_uint_gt(without, 5);
    sweep_failures(&over, &SWEEP_IO);
    sweep_failures(&over, &SWEEP_MEMORY);
}
END_TEST

START_TEST(what_came_before_in_older_segments_survives_with_it) {
    size_t size = 34u << 20; /* more than a segment, less than a memtable */
    char *large = calloc(1, size);
    ck_assert_ptr_nonnull(large);
    start();
    close_db();
    struct lam_options o = {.env = mem, .manual_background = true};
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &p, &err), &err);
    ck_ok(lam_partition_open(db, "q", &q, &err), &err);
    put(p, "e", "before");
    ck_ok(lam_put(db, NULL, q, S("large"), lam_slice_of(large, size), &err), &err);
    free(large);
    ck_ok(ingest(), &err);
    lam_env *image;
    ck_ok(lam_env_mem_crash(mem, LAM_CRASH_POWER, 1, &image, &err), &err);
    close_db();
    lam_env_mem_free(mem);
    mem = image;
    ck_ok(open_in(mem), &err);
    struct lam_value v = {0};
    ck_ok(lam_get(db, NULL, p, S("d"), &v, &err), &err);
    ck_ok(lam_get(db, NULL, p, S("e"), &v, &err), &err);
    ck_ok(lam_get(db, NULL, q, S("large"), &v, &err), &err);
    lam_value_release(&v);
    end();
}
END_TEST

/* --- threads ---------------------------------------------------------------------------------- */

static _Atomic bool stop;

static void write_others(void *arg) {
    (void)arg;
    for (uint32_t n = 0; !stop; n++) {
        char key[16];
        struct lam_error e;
        snprintf(key, sizeof key, "z%08u", n);
        if (lam_put(db, NULL, p, S(key), S("v"), &e) != LAM_OK ||
            lam_put(db, NULL, q, S(key), S("v"), &e) != LAM_OK)
            abort();
    }
}

START_TEST(ingests_run_beside_writers_and_readers) {
    struct thread writer;
    struct lam_options o = {.memory_budget = 4u << 20};
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    o.env = mem;
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    ck_ok(lam_partition_create(db, "q", NULL, &q, &err), &err);
    ck_ok(thread_start(&writer, write_others, NULL, &err), &err);
    for (int i = 0; i < 30; i++) {
        char key[16], value[16];
        snprintf(value, sizeof value, "%d", i);
        lam_ingest *g = begin();
        for (int k = 0; k < 20; k++) {
            snprintf(key, sizeof key, "k%02d", k);
            add(g, key, value);
        }
        finish(g);
        struct lam_value v = {0};
        ck_ok(lam_get(db, NULL, p, S("k07"), &v, &err), &err);
        ck_assert_int_eq(memcmp(v.bytes.data, value, strlen(value)), 0);
        lam_value_release(&v);
    }
    stop = true;
    thread_join(&writer);
    end();
}
END_TEST

TEST_MAIN("lsm/ingest", rows_appear_at_once_and_hide_what_was_before,
          rows_hide_older_files_with_higher_numbers,
          keys_out_of_order_are_refused_by_the_number_of_their_row,
          nothing_is_left_of_what_is_aborted_empty_or_dropped,
          large_ingests_make_several_files_in_the_last_level,
          copies_and_recovery_hold_what_was_ingested,
          transactions_conflict_with_what_was_ingested_since,
          ingests_among_other_writes_equal_a_sorted_array,
          ingest_waits_for_writers_and_gives_up_in_the_end, failed_ingest_takes_no_more_rows,
          each_call_that_fails_leaves_all_rows_or_none,
          each_allocation_that_fails_leaves_all_rows_or_none, crashes_leave_all_rows_or_none,
          what_came_before_in_older_segments_survives_with_it,
          ingests_run_beside_writers_and_readers)
