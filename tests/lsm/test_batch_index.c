/* SPDX-License-Identifier: Apache-2.0
 *
 * Indexed batches: what they show before they are written is what everybody sees after. */
#include "base/env.h"
#include "base/rng.h"
#include "lamina/txn.h"
#include "lsm/lsm.h"
#include "lsm/write_batch.h"
#include "tests/support/oom.h"
#include "tests/support/test.h"

#define S(text) lam_slice_str(text)
#define KEYS    40

static lam_env *mem;
static lam_db *db;
static lam_partition *part, *other;
static lam_batch *batch;
static struct lam_error err;

static void start(void) {
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    struct lam_options o = {.env = mem, .manual_background = true};
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
    ck_ok(lam_partition_create(db, "q", NULL, &other, &err), &err);
    ck_ok(lam_batch_new_indexed(db, &batch, &err), &err);
}

static void stop(void) {
    lam_batch_free(batch);
    lam_partition_release(part);
    lam_partition_release(other);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(mem);
}

/* What the batch shows of a key; "-" if there is none. Static. */
static const char *batch_has(lam_partition *p, const struct lam_read_options *o, const char *key) {
    static char text[64];
    struct lam_value v = {0};
    enum lam_code rc = lam_batch_get(batch, o, p, S(key), &v, &err);
    if (rc != LAM_NOT_FOUND)
        ck_ok(rc, &err);
    snprintf(text, sizeof text, "%.*s", rc == LAM_OK ? (int)v.bytes.size : 1,
             rc == LAM_OK ? (const char *)v.bytes.data : "-");
    lam_value_release(&v);
    return text;
}

/* "key=value " of all that an iterator shows, either way. Static. */
static const char *walk(lam_iter *it, bool backward) {
    static char text[512];
    size_t n = 0;
    text[0] = 0;
    for (backward ? lam_iter_seek_last(it) : lam_iter_seek_first(it); lam_iter_valid(it);
         backward ? lam_iter_prev(it) : lam_iter_next(it)) {
        struct lam_slice k = lam_iter_key(it), v = lam_iter_value(it);
        n += (size_t)snprintf(text + n, sizeof text - n, "%.*s=%.*s ", (int)k.size, k.data,
                              (int)v.size, v.data);
    }
    ck_ok(lam_iter_status(it, &err), &err);
    return text;
}

static void put(const char *key, const char *value) {
    ck_ok(lam_put(db, NULL, part, S(key), S(value), &err), &err);
}

static void batch_put(const char *key, const char *value) {
    ck_ok(lam_batch_put(batch, part, S(key), S(value), &err), &err);
}

START_TEST(batch_reads_its_own_writes_over_the_database) {
    start();
    put("a", "old");
    put("b", "old");
    ck_assert_str_eq(batch_has(part, NULL, "a"), "old");
    batch_put("a", "new");
    ck_ok(lam_batch_delete(batch, part, S("b"), &err), &err);
    batch_put("c", "");
    ck_assert_str_eq(batch_has(part, NULL, "a"), "new");
    ck_assert_str_eq(batch_has(part, NULL, "b"), "-");
    ck_assert_str_eq(batch_has(part, NULL, "c"), "");
    ck_assert_str_eq(batch_has(other, NULL, "a"), "-");
    batch_put("a", "newer");
    ck_assert_str_eq(batch_has(part, NULL, "a"), "newer");
    struct lam_value v = {0};
    ck_ok(lam_get(db, NULL, part, S("a"), &v, &err), &err);
    ck_assert(slice_eq_str(v.bytes, "old"));
    ck_ok(lam_write(db, NULL, batch, NULL, &err), &err);
    ck_ok(lam_get(db, NULL, part, S("a"), &v, &err), &err);
    ck_assert(slice_eq_str(v.bytes, "newer"));
    lam_value_release(&v);
    stop();
}
END_TEST

START_TEST(batch_reads_over_a_snapshot) {
    start();
    lam_snapshot *s;
    put("a", "1");
    ck_ok(lam_snapshot_new(db, &s, &err), &err);
    put("a", "2");
    put("b", "2");
    batch_put("c", "mine");
    struct lam_read_options o = {.snapshot = s};
    ck_assert_str_eq(batch_has(part, &o, "a"), "1");
    ck_assert_str_eq(batch_has(part, NULL, "a"), "2");
    lam_iter *it;
    ck_ok(lam_batch_iter_new(batch, &o, part, &it, &err), &err);
    ck_assert_str_eq(walk(it, false), "a=1 c=mine ");
    lam_iter_free(it);
    ck_ok(lam_batch_iter_new(batch, NULL, part, &it, &err), &err);
    ck_assert_str_eq(walk(it, true), "c=mine b=2 a=2 ");
    lam_iter_free(it);
    lam_snapshot_free(s);
    stop();
}
END_TEST

START_TEST(range_deletes_of_a_batch_hide_what_came_before_them) {
    start();
    put("a", "db");
    put("b", "db");
    put("d", "db");
    batch_put("b1", "batch");
    ck_ok(lam_batch_delete_range(batch, part, S("b"), S("d"), LAM_SEQUENCE_MAX, &err), &err);
    batch_put("c", "after");
    ck_assert_str_eq(batch_has(part, NULL, "b"), "-");
    ck_assert_str_eq(batch_has(part, NULL, "b1"), "-");
    ck_assert_str_eq(batch_has(part, NULL, "c"), "after");
    ck_assert_str_eq(batch_has(part, NULL, "d"), "db");
    lam_iter *it;
    ck_ok(lam_batch_iter_new(batch, NULL, part, &it, &err), &err);
    ck_assert_str_eq(walk(it, false), "a=db c=after d=db ");
    ck_assert_str_eq(walk(it, true), "d=db c=after a=db ");
    lam_iter_free(it);
    stop();
}
END_TEST

/* Puts and bounded range deletes, checked as the batch and again when it is committed. */
START_TEST(bounds_of_range_deletes_count_as_they_will_at_the_commit) {
    const uint64_t bounds[] = {0, 1, 2, 3, 4, 5, 6, 100, LAM_SEQUENCE_MAX};
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        char want[512];
        lam_iter *it;
        start();
        put("a", "1");
        put("b", "2");
        put("c", "3");
        batch_put("d", "4");
        batch_put("e", "5");
        ck_ok(lam_batch_delete_range(batch, part, S(""), S(""), bounds[i], &err), &err);
        batch_put("f", "7");
        ck_ok(lam_batch_iter_new(batch, NULL, part, &it, &err), &err);
        snprintf(want, sizeof want, "%s", walk(it, false));
        lam_iter_free(it);
        for (const char *k = "abcdef"; *k; k++)
            ck_assert(!strstr(want, (char[]){*k, '=', 0}) ==
                      (strcmp(batch_has(part, NULL, (char[]){*k, 0}), "-") == 0));
        ck_ok(lam_write(db, NULL, batch, NULL, &err), &err);
        ck_ok(lam_iter_new(db, NULL, part, &it, &err), &err);
        ck_assert_str_eq(walk(it, false), want);
        lam_iter_free(it);
        stop();
    }
}
END_TEST

START_TEST(open_iterator_sees_later_operations_after_a_seek_until_a_reset) {
    start();
    put("b", "db");
    lam_iter *it;
    ck_ok(lam_batch_iter_new(batch, NULL, part, &it, &err), &err);
    ck_assert_str_eq(walk(it, false), "b=db ");
    batch_put("a", "batch");
    ck_ok(lam_batch_delete(batch, part, S("b"), &err), &err);
    ck_assert_str_eq(walk(it, false), "a=batch ");
    ck_ok(lam_batch_delete_range(batch, part, S("a"), S("b"), LAM_SEQUENCE_MAX, &err), &err);
    ck_assert_str_eq(walk(it, true), "");
    lam_batch_reset(batch);
    ck_assert_str_eq(walk(it, true), "");
    ck_assert_str_eq(batch_has(part, NULL, "b"), "db");
    lam_iter_free(it);
    stop();
}
END_TEST

START_TEST(partition_that_a_batch_only_reads_may_be_dropped) {
    start();
    lam_iter *it;
    ck_ok(lam_batch_iter_new(batch, NULL, other, &it, &err), &err);
    lam_iter_free(it);
    batch_put("a", "1");
    ck_ok(lam_partition_drop(db, other, &err), &err);
    ck_ok(lam_write(db, NULL, batch, NULL, &err), &err);
    struct lam_value v = {0};
    ck_code(lam_batch_get(batch, NULL, other, S("a"), &v, &err), LAM_NOT_FOUND);
    stop();
}
END_TEST

START_TEST(plain_batch_cannot_be_read) {
    start();
    lam_batch *plain;
    lam_iter *it;
    struct lam_value v = {0};
    ck_ok(lam_batch_new(db, &plain, &err), &err);
    ck_code(lam_batch_get(plain, NULL, part, S("a"), &v, &err), LAM_INVALID);
    ck_contains(err.message, "without an index");
    ck_code(lam_batch_iter_new(plain, NULL, part, &it, &err), LAM_INVALID);
    lam_batch_free(plain);
    stop();
}
END_TEST

/* --- going back ------------------------------------------------------------------------------ */

START_TEST(rewound_batch_is_as_it_was) {
    start();
    lam_partition *more[20];
    struct batch_mark mark, begin;
    put("a", "db");
    batch_index_mark(batch, &begin);
    batch_put("a", "1");
    ck_ok(lam_batch_delete_range(batch, part, S("b"), S("c"), LAM_SEQUENCE_MAX, &err), &err);
    uint64_t bytes = lam_batch_bytes(batch);
    batch_index_mark(batch, &mark);
    batch_put("a", "2");
    batch_put("b", "2");
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        ck_ok(lam_partition_create(db, name, NULL, &more[i], &err), &err);
        ck_ok(lam_batch_put(batch, more[i], S("k"), S(name), &err), &err);
    }
    ck_ok(batch_index_rewind(batch, &mark, &err), &err);
    ck_assert_uint_eq(lam_batch_bytes(batch), bytes);
    ck_assert_uint_eq(lam_batch_count(batch), 2);
    ck_assert_str_eq(batch_has(part, NULL, "a"), "1");
    ck_assert_str_eq(batch_has(part, NULL, "b"), "-");
    ck_assert_str_eq(batch_has(more[7], NULL, "k"), "-");
    ck_ok(lam_batch_put(batch, more[7], S("k"), S("again"), &err), &err);
    ck_assert_str_eq(batch_has(more[7], NULL, "k"), "again");
    ck_ok(lam_partition_drop(db, more[3], &err), &err); /* not in the batch any more */
    ck_ok(lam_write(db, NULL, batch, NULL, &err), &err);
    ck_ok(batch_index_rewind(batch, &begin, &err), &err);
    ck_assert_uint_eq(lam_batch_count(batch), 0);
    ck_assert_str_eq(batch_has(part, NULL, "a"), "1");
    for (int i = 0; i < 20; i++)
        lam_partition_release(more[i]);
    stop();
}
END_TEST

START_TEST(rewinding_without_memory_changes_nothing) {
    start();
    struct batch_mark mark;
    size_t nth = 0;
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%02d", i);
        batch_put(key, "first");
        if (i == KEYS / 2)
            batch_index_mark(batch, &mark);
    }
    ck_ok(lam_batch_delete(batch, other, S("x"), &err), &err);
    for (;;) {
        oom_arm(++nth);
        enum lam_code rc = batch_index_rewind(batch, &mark, &err);
        if (!oom_fired()) {
            ck_ok(rc, &err);
            break;
        }
        ck_code(rc, LAM_NO_MEMORY);
        ck_assert_uint_eq(lam_batch_count(batch), KEYS + 1);
        ck_assert_str_eq(batch_has(part, NULL, "k39"), "first");
    }
    ck_assert_uint_gt(nth, 3);
    ck_assert_uint_eq(lam_batch_count(batch), KEYS / 2 + 1);
    ck_assert_str_eq(batch_has(part, NULL, "k20"), "first");
    ck_assert_str_eq(batch_has(part, NULL, "k21"), "-");
    stop();
}
END_TEST

TEST_MAIN("lsm/batch_index", batch_reads_its_own_writes_over_the_database,
          batch_reads_over_a_snapshot, range_deletes_of_a_batch_hide_what_came_before_them,
          bounds_of_range_deletes_count_as_they_will_at_the_commit,
          open_iterator_sees_later_operations_after_a_seek_until_a_reset,
          partition_that_a_batch_only_reads_may_be_dropped, plain_batch_cannot_be_read,
          rewound_batch_is_as_it_was, rewinding_without_memory_changes_nothing)
