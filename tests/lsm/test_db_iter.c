/* SPDX-License-Identifier: Apache-2.0
 *
 * Public iterators: bounds, prefixes, turning round, deleted rows, one moment. */
#include "lamina/txn.h"
#include "lsm/lsm.h"
#include "tests/support/test.h"

static lam_env *mem;
static lam_db *db;
static lam_partition *part;
static struct lam_error err;

#define S(text) lam_slice_str(text)

static void start(void) {
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    struct lam_options o = {.env = mem, .manual_background = true};
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
}

static void stop(void) {
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(mem);
}

static void put(const char *key, const char *value) {
    ck_ok(lam_put(db, NULL, part, S(key), S(value), &err), &err);
}

static lam_iter *iter(const struct lam_read_options *o) {
    lam_iter *it;
    ck_ok(lam_iter_new(db, o, part, &it, &err), &err);
    return it;
}

/* "k=v " for each row forward, then "|", then backward. Frees the iterator. */
static const char *walk_over(lam_iter *it) {
    static char out[500];
    out[0] = 0;
    for (int way = 0; way < 2; way++) {
        for (way ? lam_iter_seek_last(it) : lam_iter_seek_first(it); lam_iter_valid(it);
             way ? lam_iter_prev(it) : lam_iter_next(it)) {
            struct lam_slice k = lam_iter_key(it), v = lam_iter_value(it);
            snprintf(out + strlen(out), sizeof out - strlen(out), "%.*s=%.*s ", (int)k.size, k.data,
                     (int)v.size, v.data);
        }
        ck_ok(lam_iter_status(it, &err), &err);
        if (way == 0)
            strcat(out, "|");
    }
    lam_iter_free(it);
    return out;
}

static const char *walk(const struct lam_read_options *o) {
    return walk_over(iter(o));
}

START_TEST(rows_of_memtables_and_files_come_merged_both_ways) {
    start();
    ck_assert_str_eq(walk(NULL), "|");
    put("b", "old");
    put("d", "4");
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    put("a", "1");
    put("b", "2");
    ck_ok(lam_db_dump(db, &err), &err);
    put("c", "3");
    ck_ok(lam_delete(db, NULL, part, S("d"), &err), &err);
    put("e", "5");
    ck_assert_str_eq(walk(NULL), "a=1 b=2 c=3 e=5 |e=5 c=3 b=2 a=1 ");
    stop();
}
END_TEST

START_TEST(bounds_and_prefix_narrow_each_other) {
    start();
    put("a", "");
    put("ba", "");
    put("bb", "");
    put("bc", "");
    put("b\xff", "");
    put("b\xff\xff", "");
    put("c", "");
    ck_assert_str_eq(walk(&(struct lam_read_options){.lower = S("bb")}),
                     "bb= bc= b\xff= b\xff\xff= c= |c= b\xff\xff= b\xff= bc= bb= ");
    ck_assert_str_eq(walk(&(struct lam_read_options){.upper = S("bb")}), "a= ba= |ba= a= ");
    ck_assert_str_eq(
        walk(&(struct lam_read_options){.prefix = S("b"), .lower = S("a"), .upper = S("bc")}),
        "ba= bb= |bb= ba= ");
    ck_assert_str_eq(walk(&(struct lam_read_options){.prefix = S("b\xff")}),
                     "b\xff= b\xff\xff= |b\xff\xff= b\xff= ");
    ck_assert_str_eq(walk(&(struct lam_read_options){.prefix = S("\xff")}), "|");
    ck_assert_str_eq(walk(&(struct lam_read_options){.lower = S("c"), .upper = S("b")}), "|");
    ck_assert_str_eq(
        walk(&(struct lam_read_options){.prefix = S("b"), .lower = S("bd"), .upper = S("z")}),
        "b\xff= b\xff\xff= |b\xff\xff= b\xff= ");
    stop();
}
END_TEST

static void expect_key(lam_iter *it, const char *key) {
    if (!key) {
        ck_assert(!lam_iter_valid(it));
        ck_assert_uint_eq(lam_iter_key(it).size, 0);
        return;
    }
    ck_assert(lam_iter_valid(it));
    ck_assert_uint_eq(lam_iter_key(it).size, strlen(key));
    ck_assert(memcmp(lam_iter_key(it).data, key, strlen(key)) == 0);
}

START_TEST(seeks_land_on_neighbours_and_stay_in_bounds) {
    start();
    put("b", "");
    put("d", "");
    put("f", "");
    put("h", "");
    lam_iter *it = iter(&(struct lam_read_options){.lower = S("c"), .upper = S("h")});
    lam_iter_seek(it, S("a"));
    expect_key(it, "d");
    lam_iter_seek(it, S("d"));
    expect_key(it, "d");
    lam_iter_seek(it, S("e"));
    expect_key(it, "f");
    lam_iter_seek(it, S("g"));
    expect_key(it, NULL);
    lam_iter_seek_for_prev(it, S("z"));
    expect_key(it, "f");
    lam_iter_seek_for_prev(it, S("f"));
    expect_key(it, "f");
    lam_iter_seek_for_prev(it, S("e"));
    expect_key(it, "d");
    lam_iter_seek_for_prev(it, S("c"));
    expect_key(it, NULL);
    /* With what the iterator itself handed out. */
    lam_iter_seek_first(it);
    lam_iter_seek(it, lam_iter_key(it));
    expect_key(it, "d");
    lam_iter_seek_for_prev(it, lam_iter_key(it));
    expect_key(it, "d");
    lam_iter_free(it);
    stop();
}
END_TEST

START_TEST(turning_round_steps_to_the_neighbour) {
    start();
    put("a", "1");
    put("b", "1");
    put("b", "2");
    put("c", "3");
    lam_iter *it = iter(NULL);
    lam_iter_seek(it, S("b"));
    lam_iter_prev(it);
    expect_key(it, "a");
    lam_iter_next(it);
    expect_key(it, "b");
    ck_assert(memcmp(lam_iter_value(it).data, "2", 1) == 0);
    lam_iter_next(it);
    expect_key(it, "c");
    lam_iter_prev(it);
    expect_key(it, "b");
    ck_assert(memcmp(lam_iter_value(it).data, "2", 1) == 0);
    lam_iter_prev(it);
    lam_iter_prev(it);
    expect_key(it, NULL);
    /* Past the end it stays there until the next seek. */
    lam_iter_next(it);
    expect_key(it, NULL);
    lam_iter_free(it);
    stop();
}
END_TEST

START_TEST(iterator_sees_one_moment) {
    start();
    put("a", "1");
    put("b", "1");
    lam_iter *it = iter(NULL);
    lam_snapshot *s;
    ck_ok(lam_snapshot_new(db, &s, &err), &err);
    put("a", "2");
    put("c", "2");
    lam_batch *b;
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_batch_delete_range(b, part, S("b"), S("c"), LAM_SEQUENCE_MAX, &err), &err);
    ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
    lam_batch_free(b);
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    lam_iter_seek_first(it);
    expect_key(it, "a");
    ck_assert(memcmp(lam_iter_value(it).data, "1", 1) == 0);
    lam_iter_next(it);
    expect_key(it, "b");
    lam_iter_next(it);
    expect_key(it, NULL);
    lam_iter_free(it);
    ck_assert_str_eq(walk(&(struct lam_read_options){.snapshot = s}), "a=1 b=1 |b=1 a=1 ");
    ck_assert_str_eq(walk(NULL), "a=2 c=2 |c=2 a=2 ");
    lam_snapshot_free(s);
    stop();
}
END_TEST

/* Fewer versions than are gone over one by one, and more. */
START_TEST(versions_of_a_key_are_one_row_however_many) {
    for (int versions = 1; versions <= 201; versions += 25) {
        lam_snapshot *at[3];
        lam_batch *b;
        lam_iter *it;
        char value[16], want[3][100];
        start();
        for (int round = 0; round < 3; round++) {
            ck_ok(lam_snapshot_new(db, &at[round], &err), &err);
            for (int i = 1; i <= versions; i++) {
                snprintf(value, sizeof value, "%d", round * 1000 + i);
                put("a", value);
                put("b", i % 2 ? value : "");
                put("c", value);
            }
            ck_ok(lam_delete(db, NULL, part, S("c"), &err), &err);
            const char *b_value = versions % 2 ? value : "";
            snprintf(want[round], sizeof want[round], "a=%s b=%s |b=%s a=%s ", value, b_value,
                     b_value, value);
            if (round == 1)
                ck_ok(lam_db_dump(db, &err), &err);
        }
        ck_assert_str_eq(walk(&(struct lam_read_options){.snapshot = at[0]}), "|");
        ck_assert_str_eq(walk(&(struct lam_read_options){.snapshot = at[1]}), want[0]);
        ck_assert_str_eq(walk(&(struct lam_read_options){.snapshot = at[2]}), want[1]);
        ck_assert_str_eq(walk(NULL), want[2]);
        ck_ok(lam_batch_new_indexed(db, &b, &err), &err);
        for (int i = 1; i <= versions; i++) {
            snprintf(value, sizeof value, "%d", i);
            ck_ok(lam_batch_put(b, part, S("b"), S(value), &err), &err);
            ck_ok(lam_batch_delete(b, part, S("a"), &err), &err);
            ck_ok(lam_batch_put(b, part, S("c"), S(value), &err), &err);
        }
        ck_ok(lam_batch_iter_new(b, &(struct lam_read_options){.snapshot = at[1]}, part, &it, &err),
              &err);
        snprintf(want[0], sizeof want[0], "b=%s c=%s |c=%s b=%s ", value, value, value, value);
        ck_assert_str_eq(walk_over(it), want[0]);
        lam_batch_free(b);
        for (int round = 0; round < 3; round++)
            lam_snapshot_free(at[round]);
        stop();
    }
}
END_TEST

START_TEST(long_runs_of_deleted_rows_are_stepped_over) {
    start();
    char key[16];
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "k%05d", i);
        put(key, "v");
        if (i != 0 && i != 4999)
            ck_ok(lam_delete(db, NULL, part, S(key), &err), &err);
    }
    ck_assert_str_eq(walk(NULL), "k00000=v k04999=v |k04999=v k00000=v ");
    ck_ok(lam_db_dump(db, &err), &err);
    ck_assert_str_eq(walk(NULL), "k00000=v k04999=v |k04999=v k00000=v ");
    stop();
}
END_TEST

static void number(char *key, int i) {
    snprintf(key, 16, "%08d", i);
}

/* Walks to the first row, which is `expected`, so many times. */
static void find_first(int times, int expected) {
    char key[16];
    number(key, expected);
    for (int i = 0; i < times; i++) {
        lam_iter *it = iter(NULL);
        lam_iter_seek_first(it);
        ck_assert(slice_eq_str(lam_iter_key(it), key));
        lam_iter_free(it);
    }
}

static struct lam_stats stats(void) {
    struct lam_stats s;
    lam_db_stats(db, &s);
    return s;
}

/* Rows 0 to `rows`, those below `gone` deleted. */
static void make_queue(int rows, int gone) {
    char key[16];
    for (int i = 0; i < rows; i++) {
        number(key, i);
        put(key, key);
    }
    for (int i = 0; i < gone; i++) {
        number(key, i);
        ck_ok(lam_delete(db, NULL, part, S(key), &err), &err);
    }
}

/* A queue whose head was taken: the walk over it is paid only so many times. */
START_TEST(rows_that_walks_step_over_are_written_anew_without_them) {
    enum { ROWS = 12000, GONE = 10000 };
    start();
    make_queue(ROWS, GONE);
    find_first(1, GONE);
    put("9", "");
    ck_assert_uint_eq(stats().dumps, 0);
    find_first(4, GONE);
    put("9", "");
    ck_assert_uint_eq(stats().dumps, 1);
    find_first(5, GONE);
    ck_assert_uint_eq(stats().compactions, 0);
    put("9", "");
    ck_ok(lam_db_dump(db, &err), &err);
    ck_assert_uint_eq(stats().compactions, 1);
    find_first(20, GONE);
    put("9", "");
    ck_ok(lam_db_dump(db, &err), &err);
    ck_assert_uint_eq(stats().dumps, 3);
    ck_assert_uint_eq(stats().compactions, 1);
    stop();
}
END_TEST

/* The same by background tasks, with nobody writing: walks alone bring it about. */
START_TEST(walks_alone_have_hidden_rows_written_anew) {
    enum { ROWS = 12000, GONE = 10000, WALKS = 1000000 };
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    struct lam_options o = {.env = mem};
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
    make_queue(ROWS, GONE);
    int walks = 0;
    for (; walks < WALKS && stats().compactions == 0; walks++)
        find_first(1, GONE);
    ck_assert_int_lt(walks, WALKS);
    ck_assert_uint_eq(stats().dumps, 1);
    find_first(1, GONE);
    stop();
}
END_TEST

/* Files of older rows under a range are left by a few seeks, both ways; newer rows in it are seen.
 */
START_TEST(a_deleted_range_is_left_at_its_end) {
    enum { ROWS = 5000 };
    char key[16];
    start();
    for (int i = 0; i < ROWS; i++) {
        number(key, i);
        put(key, key);
    }
    ck_ok(lam_db_dump(db, &err), &err);
    lam_batch *batch;
    ck_ok(lam_batch_new(db, &batch, &err), &err);
    ck_ok(lam_batch_delete_range(batch, part, S("00000001"), S("00004999"), LAM_SEQUENCE_MAX, &err),
          &err);
    ck_ok(lam_write(db, NULL, batch, NULL, &err), &err);
    lam_batch_free(batch);
    put("00002000", "again");
    struct lam_stats before = stats();
    ck_assert_str_eq(walk(NULL), "00000000=00000000 00002000=again 00004999=00004999 |"
                                 "00004999=00004999 00002000=again 00000000=00000000 ");
    struct lam_stats after = stats();
    ck_assert_uint_lt(
        after.cache_hits + after.cache_misses - before.cache_hits - before.cache_misses, 20);
    stop();
}
END_TEST

TEST_MAIN("lsm/db_iter", rows_of_memtables_and_files_come_merged_both_ways,
          bounds_and_prefix_narrow_each_other, seeks_land_on_neighbours_and_stay_in_bounds,
          turning_round_steps_to_the_neighbour, iterator_sees_one_moment,
          versions_of_a_key_are_one_row_however_many, long_runs_of_deleted_rows_are_stepped_over,
          rows_that_walks_step_over_are_written_anew_without_them,
          walks_alone_have_hidden_rows_written_anew, a_deleted_range_is_left_at_its_end)
