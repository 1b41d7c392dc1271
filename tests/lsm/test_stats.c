/* SPDX-License-Identifier: Apache-2.0
 *
 * Statistics against work whose figures are known: operations, bytes, levels, amplification,
 * filters, caches, snapshots, latencies; the text; the estimate of a range. */
#include "base/rng.h"
#include "lsm/counters.h"
#include "lsm/lsm.h"
#include "lsm/wal.h"
#include "tests/lsm/clock.h"

#define S(text) lam_slice_str(text)

static lam_env *env;
static lam_db *db;
static lam_partition *part, *other;
static struct lam_error err;
static struct lam_options opts;

static void start(void) {
    env = clock_env_new();
    opts.env = env;
    opts.manual_background = true;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
    ck_ok(lam_partition_create(db, "q", NULL, &other, &err), &err);
}

static void stop(void) {
    lam_partition_release(part);
    lam_partition_release(other);
    ck_ok(lam_db_close(db, &err), &err);
    clock_env_free(env);
}

static struct lam_stats stats(void) {
    struct lam_stats s;
    lam_db_stats(db, &s);
    return s;
}

static struct lam_partition_stats stats_of(lam_partition *p) {
    struct lam_partition_stats s;
    ck_ok(lam_partition_stats(db, p, &s, &err), &err);
    return s;
}

/* Keys of 8 bytes, values of 100. */
static void put_numbers(lam_partition *p, int from, int to) {
    char key[16], value[100];
    memset(value, 'v', sizeof value);
    for (int i = from; i < to; i++) {
        snprintf(key, sizeof key, "k%07d", i);
        ck_ok(lam_put(db, NULL, p, S(key), lam_slice_of(value, sizeof value), &err), &err);
    }
}

static void get_number(lam_partition *p, int i, bool there) {
    char key[16];
    struct lam_value v = {0};
    snprintf(key, sizeof key, "k%07d", i);
    ck_code(lam_get(db, NULL, p, S(key), &v, &err), there ? LAM_OK : LAM_NOT_FOUND);
    lam_value_release(&v);
}

START_TEST(commits_are_counted_by_operation_and_byte) {
    start();
    lam_batch *b;
    put_numbers(part, 0, 10);
    ck_ok(lam_delete(db, NULL, part, S("k0000003"), &err), &err);
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_batch_put(b, part, S("ab"), S("cde"), &err), &err);
    ck_ok(lam_batch_delete_range(b, other, S("x"), S("yz"), LAM_SEQUENCE_MAX, &err), &err);
    ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
    struct lam_partition_stats p = stats_of(part), q = stats_of(other);
    ck_assert_uint_eq(p.puts, 11);
    ck_assert_uint_eq(p.deletes, 1);
    ck_assert_uint_eq(p.range_deletes, 0);
    ck_assert_uint_eq(p.put_bytes, 10 * 108 + 8 + 5);
    /* kind, partition, length and key, length and value. */
    ck_assert_uint_eq(p.wal_bytes, 10 * (1 + 1 + 1 + 8 + 1 + 100) + (1 + 1 + 1 + 8) + 9);
    ck_assert_uint_eq(p.memtable_entries, 12);
    ck_assert_uint_eq(q.range_deletes, 1);
    ck_assert_uint_eq(q.puts + q.deletes, 0);
    ck_assert_uint_eq(q.put_bytes, 3);
    ck_assert_uint_eq(q.memtable_entries, 0);
    struct lam_stats s = stats();
    ck_assert_uint_eq(s.writes, 12);
    ck_assert_uint_eq(s.operations, 13);
    ck_assert_uint_eq(s.put_bytes, p.put_bytes + q.put_bytes);
    ck_assert_uint_eq(s.wal_bytes, p.wal_bytes + q.wal_bytes + 12 * (WAL_RECORD_OVERHEAD + 4));
    ck_assert_uint_eq(s.memtable_bytes, p.memtable_bytes + q.memtable_bytes);
    lam_batch_free(b);
    stop();
}
END_TEST

START_TEST(levels_and_amplification_follow_dump_and_compaction) {
    start();
    lam_batch *b;
    put_numbers(part, 0, 500);
    for (int i = 0; i < 100; i++)
        ck_ok(lam_delete(db, NULL, part, S("never there"), &err), &err);
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_batch_delete_range(b, part, S("k0000000"), S("k0000100"), LAM_SEQUENCE_MAX, &err),
          &err);
    ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
    put_numbers(other, 0, 50);
    ck_ok(lam_db_dump(db, &err), &err);
    struct lam_partition_stats p = stats_of(part), q = stats_of(other);
    struct lam_stats s = stats();
    ck_assert_uint_eq(p.levels[0].files, 1);
    /* The range hid a hundred, which nobody sees, and one delete hides the rest of its key. */
    ck_assert_uint_eq(p.levels[0].entries, 401);
    ck_assert_uint_eq(p.levels[0].deletes, 1);
    ck_assert_uint_eq(p.levels[0].range_tombstones, 1);
    ck_assert_uint_eq(p.dumps, 1);
    ck_assert_uint_eq(p.dump_bytes, p.levels[0].bytes);
    ck_assert_uint_eq(p.memtable_bytes, 0);
    ck_assert_uint_eq(s.dumps, 1);
    ck_assert_uint_eq(s.dump_bytes, p.dump_bytes + q.dump_bytes);
    ck_assert_uint_eq(s.levels[0].files, 2);
    ck_assert_uint_eq(s.levels[0].entries, 451);
    ck_assert_uint_eq(s.levels[0].bytes, s.sst_bytes);
    ck_assert_uint_eq(s.dump.count, 1);
    ck_ok(lam_db_compact(db, part, &err), &err);
    p = stats_of(part);
    s = stats();
    ck_assert_uint_eq(p.levels[0].files, 0);
    ck_assert_uint_eq(p.levels[6].entries, 400);
    ck_assert_uint_eq(p.levels[6].deletes, 0);
    ck_assert_uint_eq(p.levels[6].range_tombstones, 0);
    ck_assert_uint_eq(p.compactions, 1);
    ck_assert_uint_eq(p.compaction_read_bytes, p.dump_bytes);
    ck_assert_uint_eq(p.compaction_write_bytes, p.levels[6].bytes);
    ck_assert_uint_eq(p.sst_bytes, p.levels[6].bytes);
    ck_assert_double_eq_tol(p.write_amplification,
                            (double)(p.wal_bytes + p.dump_bytes + p.compaction_write_bytes) /
                                (double)p.put_bytes,
                            1e-9);
    ck_assert_uint_eq(s.compactions, 1);
    ck_assert_uint_eq(s.compaction_write_bytes, p.compaction_write_bytes);
    ck_assert_uint_eq(s.compaction.count, 1);
    ck_assert_double_eq_tol(s.write_amplification,
                            (double)(s.wal_bytes + s.dump_bytes + s.compaction_write_bytes) /
                                (double)s.put_bytes,
                            1e-9);
    ck_assert_uint_eq(stats_of(other).compactions, 0);
    lam_batch_free(b);
    stop();
}
END_TEST

START_TEST(reads_pass_filters_and_caches_as_counted) {
    start();
    put_numbers(part, 0, 50); /* one block */
    ck_ok(lam_db_dump(db, &err), &err);
    for (int i = 0; i < 50; i++)
        get_number(part, i, true);
    for (int i = 1000; i < 1200; i++)
        get_number(part, i, false); /* outside the file's keys: no filter is asked */
    struct lam_partition_stats p = stats_of(part);
    struct lam_stats s = stats();
    ck_assert_uint_eq(p.gets, 250);
    ck_assert_uint_eq(p.filter_checks, 50);
    ck_assert_uint_eq(p.filter_negatives, 0);
    ck_assert_uint_eq(s.gets, 250);
    ck_assert_uint_eq(s.cache_misses, 1);
    ck_assert_uint_eq(s.cache_hits, 49);
    ck_assert_uint_eq(s.table_files, 1);
    ck_assert_uint_gt(s.table_bytes, 50 * 10 / 8);
    ck_assert_uint_eq(s.memory_bytes, s.memtable_bytes + s.cache_bytes + s.table_bytes);
    ck_assert_uint_eq(s.memory_budget, 256u << 20);
    char key[16];
    struct lam_value v = {0};
    for (int i = 0; i < 49; i++) {
        snprintf(key, sizeof key, "k%07dx", i); /* between two keys */
        ck_code(lam_get(db, NULL, part, S(key), &v, &err), LAM_NOT_FOUND);
    }
    p = stats_of(part);
    s = stats();
    ck_assert_uint_eq(p.filter_checks, 99);
    ck_assert_uint_eq(s.filter_checks, 99);
    ck_assert_uint_eq(s.filter_negatives, p.filter_negatives);
    ck_assert_uint_ge(p.filter_negatives, 40);
    ck_assert_uint_eq(s.cache_hits + s.cache_misses, 99 - p.filter_negatives);
    ck_ok(lam_partition_drop(db, part, &err), &err);
    s = stats();
    ck_assert_uint_eq(s.gets, 299);
    ck_assert_uint_eq(s.filter_checks, 99);
    ck_assert_uint_eq(s.table_files, 0);
    ck_assert_uint_eq(s.table_bytes, 0);
    ck_assert_uint_eq(s.sst_files, 0);
    struct lam_partition_stats none;
    ck_code(lam_partition_stats(db, part, &none, &err), LAM_NOT_FOUND);
    stop();
}
END_TEST

START_TEST(iterators_and_their_seeks_are_counted) {
    start();
    put_numbers(part, 0, 10);
    lam_iter *it;
    for (int i = 0; i < 3; i++) {
        ck_ok(lam_iter_new(db, NULL, part, &it, &err), &err);
        lam_iter_seek_first(it);
        lam_iter_seek_last(it);
        lam_iter_seek(it, S("k0000005"));
        lam_iter_seek_for_prev(it, S("k0000007"));
        lam_iter_next(it);
        lam_iter_prev(it);
        ck_assert(lam_iter_valid(it));
        lam_iter_free(it);
    }
    ck_assert_uint_eq(stats_of(part).iterators, 3);
    ck_assert_uint_eq(stats_of(part).seeks, 12);
    ck_assert_uint_eq(stats().iterators, 3);
    ck_assert_uint_eq(stats().seeks, 12);
    ck_assert_uint_eq(stats_of(part).seek.count, 1);
    ck_assert_uint_eq(stats_of(other).iterators, 0);
    stop();
}
END_TEST

START_TEST(an_iterator_may_outlive_its_partition) {
    start();
    put_numbers(part, 0, 10);
    lam_iter *it;
    ck_ok(lam_iter_new(db, NULL, part, &it, &err), &err);
    ck_ok(lam_partition_drop(db, part, &err), &err);
    lam_partition_release(part);
    part = NULL;
    for (int i = 0; i < 200; i++)
        lam_iter_seek_first(it);
    ck_assert(lam_iter_valid(it));
    lam_iter_free(it);
    stop();
}
END_TEST

START_TEST(one_call_in_64_is_timed_and_every_sync) {
    start();
    uint64_t timed = 0, first = stats().sequence;
    for (uint64_t i = 0; i < 1000; i++)
        timed += counters_is_timed(first + i);
    put_numbers(part, 0, 1000);
    ck_assert_uint_ge(timed, 10);
    ck_assert_uint_le(timed, 21);
    for (int i = 0; i < 129; i++)
        get_number(part, i, true);
    struct lam_partition_stats p = stats_of(part);
    ck_assert_uint_eq(p.put.count, timed);
    ck_assert_uint_eq(p.get.count, 3);
    /* Each look at this clock takes a microsecond. */
    ck_assert_uint_eq(p.get.mean_ns, 1000);
    ck_assert_uint_eq(p.get.max_ns, 1000);
    ck_assert_uint_eq(p.get.p50_ns, 992); /* middle of 960 to 1023 */
    ck_assert_uint_eq(stats().get.count, 3);
    ck_assert_uint_eq(stats().put.count, timed);
    ck_assert_uint_eq(stats_of(other).get.count, 0);
    uint64_t syncs = stats().sync.count;
    struct lam_write_options sync = {.durability = LAM_DURABILITY_SYNC};
    for (int i = 0; i < 5; i++)
        ck_ok(lam_put(db, &sync, part, S("k"), S("v"), &err), &err);
    ck_assert_uint_eq(stats().sync.count, syncs + 5);
    ck_assert_uint_eq(stats().sync_waits, syncs + 5);
    stop();
}
END_TEST

/* Of more readers than have stripes, before there are any and after. */
START_TEST(gets_are_all_counted_wherever_their_reader_stands) {
    struct epochs epochs;
    struct counters c = {0};
    struct epoch_reader *r[EPOCH_READERS + 8];
    uint64_t gets, checks, negatives, rounds = COUNTERS_MANY_GETS / EPOCH_READERS;
    uint64_t readers = EPOCH_READERS + 8;
    epochs_init(&epochs);
    for (size_t i = 0; i < readers; i++)
        r[i] = epoch_enter(&epochs);
    for (uint64_t round = 0; round < 3 * rounds; round++) {
        for (size_t i = 0; i < readers; i++)
            counters_add_gets(&c, &epochs, r[i], 1, i, i % 2);
        if (round == 1)
            ck_assert_ptr_null(atomic_load(&c.read.stripes));
    }
    struct get_stripe *stripes = atomic_load(&c.read.stripes);
    ck_assert_ptr_nonnull(stripes);
    for (size_t i = 0; i < EPOCH_READERS; i++)
        ck_assert_uint_gt(atomic_load(&stripes[i].counts.gets), rounds);
    counters_gets(&c, &gets, &checks, &negatives);
    ck_assert_uint_eq(gets, 3 * rounds * readers);
    ck_assert_uint_eq(checks, 3 * rounds * (readers * (readers - 1) / 2));
    ck_assert_uint_eq(negatives, 3 * rounds * (readers / 2));
    for (size_t i = 0; i < readers; i++)
        epoch_leave(&epochs, r[i]);
    counters_fini(&c);
    epochs_fini(&epochs);
}
END_TEST

START_TEST(steps_of_any_size_through_the_sequences_are_timed_alike) {
    for (uint64_t step = 1; step <= 300; step++) {
        uint64_t timed = 0;
        for (uint64_t i = 0; i < 64000; i++)
            timed += counters_is_timed(i * step);
        ck_assert_uint_ge(timed, 800);
        ck_assert_uint_le(timed, 1200);
    }
}
END_TEST

START_TEST(the_oldest_snapshot_is_told_with_its_age_and_what_it_pins) {
    start();
    lam_snapshot *a, *b;
    put_numbers(part, 0, 100);
    ck_assert_uint_eq(stats().oldest_sequence, 0);
    ck_assert_uint_eq(stats().oldest_age_us, 0);
    ck_ok(lam_snapshot_new(db, &a, &err), &err);
    put_numbers(part, 0, 100);
    ck_ok(lam_snapshot_new(db, &b, &err), &err);
    clock_mono_ns += 5000000000ull;
    struct lam_stats s = stats();
    ck_assert_uint_eq(s.snapshots, 2);
    ck_assert_uint_eq(s.oldest_sequence, 100);
    ck_assert_uint_ge(s.oldest_age_us, 5000000);
    ck_assert_uint_lt(s.oldest_age_us, 5010000);
    ck_ok(lam_db_dump(db, &err), &err);
    ck_assert_uint_eq(stats_of(part).levels[0].entries, 200);
    ck_assert_uint_eq(stats_of(part).pinned_bytes, stats_of(part).sst_bytes);
    lam_snapshot_free(a);
    ck_assert_uint_eq(stats().oldest_sequence, 200);
    ck_assert_uint_eq(stats_of(part).pinned_bytes, 0);
    lam_snapshot_free(b);
    stop();
}
END_TEST

static enum lam_code never(lam_env *e, enum lam_lane lane, uint64_t delay_us, lam_task_fn fn,
                           void *arg, struct lam_error *error) {
    (void)e, (void)lane, (void)delay_us, (void)fn, (void)arg, (void)error;
    return LAM_OK;
}

START_TEST(debt_is_what_level_zero_holds_past_its_files) {
    start();
    lam_partition_release(part);
    lam_partition_release(other);
    other = NULL;
    ck_ok(lam_db_close(db, &err), &err);
    opts.manual_background = false;
    clock_ops.submit = never;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &part, &err), &err);
    for (uint32_t i = 1; i <= 6; i++) {
        put_numbers(part, 0, 10);
        ck_ok(lam_db_dump(db, &err), &err);
        struct lam_partition_stats p = stats_of(part);
        ck_assert_uint_eq(p.levels[0].files, i);
        ck_assert_uint_eq(p.debt_bytes, i > 4 ? p.levels[0].bytes : 0);
        ck_assert_uint_eq(stats().debt_bytes, p.debt_bytes);
    }
    ck_ok(lam_db_compact(db, part, &err), &err);
    ck_assert_uint_eq(stats().debt_bytes, 0);
    stop();
}
END_TEST

/* --- text ----------------------------------------------------------------------------------- */

/* The number after `words` at the start of a line. */
static unsigned long long number_after(const char *text, const char *words) {
    const char *at = text;
    size_t size = strlen(words);
    while (at && !(strncmp(at, words, size) == 0 && at[size] == ' ')) {
        at = strchr(at, '\n');
        at = at && at[1] ? at + 1 : NULL;
    }
    if (!at)
        ck_abort_msg("no line \"%s\" in\n%s", words, text);
    return strtoull(at + size, NULL, 10);
}

START_TEST(text_says_what_the_struct_says) {
    start();
    char text[LAM_STATS_TEXT_MAX];
    size_t size;
    put_numbers(part, 0, 300);
    ck_ok(lam_db_dump(db, &err), &err);
    for (int i = 0; i < 300; i++)
        get_number(part, i, true);
    ck_ok(lam_db_stats_text(db, text, sizeof text, &size, &err), &err);
    struct lam_stats s = stats();
    ck_assert_uint_eq(size, strlen(text));
    ck_assert_uint_eq(number_after(text, "sequence"), 300);
    ck_assert_uint_eq(number_after(text, "put_bytes"), s.put_bytes);
    ck_assert_uint_eq(number_after(text, "dump_bytes"), s.dump_bytes);
    ck_assert_uint_eq(number_after(text, "cache_hits"), s.cache_hits);
    ck_assert_uint_eq(number_after(text, "memory_budget"), s.memory_budget);
    ck_assert_uint_eq(number_after(text, "recovered_torn_tail"), 0);
    ck_assert_uint_eq(number_after(text, "level 0 files"), 1);
    ck_assert_uint_eq(number_after(text, "level 6 files"), 0);
    ck_assert_uint_eq(number_after(text, "latency get count"), s.get.count);
    ck_contains(text, "\nwrite_amplification 1.");
    ck_ok(lam_partition_stats_text(db, part, text, sizeof text, &size, &err), &err);
    ck_assert_uint_eq(size, strlen(text));
    ck_assert_uint_eq(number_after(text, "puts"), 300);
    ck_assert_uint_eq(number_after(text, "gets"), 300);
    ck_assert_uint_eq(number_after(text, "sst_files"), 1);
    ck_assert_uint_eq(number_after(text, "level 0 files"), 1);
    ck_assert_uint_eq(number_after(text, "latency put count"), stats_of(part).put.count);
    stop();
}
END_TEST

START_TEST(text_that_does_not_fit_is_cut_and_its_size_told) {
    start();
    char whole[LAM_STATS_TEXT_MAX], text[100];
    size_t all, size;
    ck_ok(lam_partition_stats_text(db, part, whole, sizeof whole, &all, &err), &err);
    memset(text, '#', sizeof text);
    ck_ok(lam_partition_stats_text(db, part, text, 50, &size, &err), &err);
    ck_assert_uint_eq(size, all);
    ck_assert_uint_eq(strlen(text), 49);
    ck_assert_int_eq(memcmp(text, whole, 49), 0);
    ck_assert_int_eq(text[50], '#');
    ck_ok(lam_partition_stats_text(db, part, NULL, 0, &size, &err), &err);
    ck_assert_uint_eq(size, all);
    ck_ok(lam_partition_stats_text(db, part, whole, sizeof whole, NULL, &err), &err);
    ck_code(lam_partition_stats_text(db, part, NULL, 5, &size, &err), LAM_INVALID);
    ck_code(lam_db_stats_text(db, NULL, 5, &size, &err), LAM_INVALID);
    ck_code(lam_db_stats_text(NULL, text, 5, &size, &err), LAM_INVALID);
    ck_code(lam_partition_stats(db, part, NULL, &err), LAM_INVALID);
    stop();
}
END_TEST

/* --- sizes of ranges ------------------------------------------------------------------------ */

static uint64_t bytes, entries;

static void measure(const char *from, const char *to) {
    ck_ok(lam_partition_size(db, part, S(from), S(to), &bytes, &entries, &err), &err);
}

START_TEST(size_of_memtables_is_exact) {
    start();
    put_numbers(part, 0, 1000);
    ck_ok(lam_delete(db, NULL, part, S("k0000500"), &err), &err);
    measure("", "");
    ck_assert_uint_eq(entries, 1001);
    ck_assert_uint_eq(bytes, 1000 * 108 + 8);
    measure("k0000100", "k0000200");
    ck_assert_uint_eq(entries, 100);
    ck_assert_uint_eq(bytes, 100 * 108);
    measure("k0000500", "k0000501");
    ck_assert_uint_eq(entries, 2);
    measure("k0000999", "");
    ck_assert_uint_eq(entries, 1);
    measure("", "k0000001");
    ck_assert_uint_eq(entries, 1);
    measure("k0000200", "k0000100");
    ck_assert_uint_eq(entries, 0);
    measure("x", "");
    ck_assert_uint_eq(bytes, 0);
    ck_ok(lam_partition_size(db, part, S(""), S(""), NULL, NULL, &err), &err);
    ck_code(lam_partition_size(db, part, lam_slice_of(NULL, 3), S(""), NULL, NULL, &err),
            LAM_INVALID);
    stop();
}
END_TEST

/* Entries of `from` to `to` in files of equal entries are off by two blocks of each cut file. */
static void check_estimate(int from, int to, uint64_t block_entries, uint64_t file_bytes) {
    char a[16], b[16];
    snprintf(a, sizeof a, "k%07d", from);
    snprintf(b, sizeof b, "k%07d", to);
    measure(a, b);
    uint64_t wanted = (uint64_t)(to - from), off = 2 * block_entries;
    if (entries + off < wanted || entries > wanted + off)
        ck_abort_msg("%d to %d: %llu entries, off by more than %llu", from, to,
                     (unsigned long long)entries, (unsigned long long)off);
    uint64_t share = file_bytes * wanted / 20000, share_off = file_bytes * off / 20000 + 4096;
    ck_assert_uint_le(bytes, share + share_off);
    ck_assert_uint_ge(bytes + share_off, share);
}

START_TEST(size_of_files_is_off_by_a_block_at_each_end_and_reads_no_data) {
    start();
    struct rng r;
    rng_init(&r, test_seed("sizes"));
    put_numbers(part, 0, 20000);
    ck_ok(lam_db_dump(db, &err), &err);
    for (int round = 0; round < 2; round++) {
        struct lam_stats before = stats();
        uint64_t file_bytes = stats_of(part).sst_bytes;
        for (int i = 0; i < 500; i++) {
            int from = (int)(rng_next(&r) % 20000);
            int to = from + 1 + (int)(rng_next(&r) % (uint64_t)(20000 - from));
            check_estimate(from, to, 8192 / 100, file_bytes);
        }
        measure("", "");
        ck_assert_uint_eq(entries, 20000);
        ck_assert_uint_eq(bytes, file_bytes);
        measure("k", "l");
        ck_assert_uint_eq(entries, 20000);
        measure("a", "k");
        ck_assert_uint_eq(entries, 0);
        measure("k9", "");
        ck_assert_uint_eq(entries, 0);
        /* An empty range between two keys of one block is that block at most. */
        measure("k0010000a", "k0010000b");
        ck_assert_uint_le(entries, 90);
        struct lam_stats after = stats();
        ck_assert_uint_eq(after.cache_misses + after.cache_hits,
                          before.cache_misses + before.cache_hits);
        ck_ok(lam_db_compact(db, part, &err), &err);
    }
    put_numbers(part, 0, 100); /* memtable and file together */
    measure("k0000000", "");
    ck_assert_uint_eq(entries, 20100);
    ck_ok(lam_partition_drop(db, part, &err), &err);
    ck_code(lam_partition_size(db, part, S(""), S(""), NULL, NULL, &err), LAM_NOT_FOUND);
    stop();
}
END_TEST

/* Indexes and filters that are as large as the blocks, and larger. */
static void read_within_budget(int rows, uint32_t filter_bits, uint32_t block_bytes) {
    opts = (struct lam_options){
        .memory_budget = 4u << 20, .filter_bits_per_key = filter_bits, .block_bytes = block_bytes};
    start();
    uint64_t cached = opts.memory_budget / 2, most = 0, tables = 0;
    put_numbers(part, 0, rows);
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    for (int i = 0; i < 20000; i++) {
        get_number(part, (int)((unsigned)i * 7919u % (unsigned)rows), true);
        struct lam_stats s = stats();
        ck_assert_uint_le(s.memory_bytes, opts.memory_budget);
        most = s.cache_bytes + s.table_bytes > most ? s.cache_bytes + s.table_bytes : most;
        tables = s.table_bytes > tables ? s.table_bytes : tables;
        ck_assert_uint_gt(i < 100 ? 1 : s.cache_bytes, 0);
    }
    ck_assert_uint_gt(tables, cached / 8);
    ck_assert_uint_gt(most, cached / 2);
    ck_assert_uint_le(most, cached);
    memset(&opts, 0, sizeof opts);
    stop();
}

START_TEST(what_open_files_hold_is_taken_from_the_blocks) {
    read_within_budget(60000, 32, 1024);
}
END_TEST

START_TEST(files_that_hold_more_than_they_may_are_closed_in_turn) {
    read_within_budget(150000, 64, 512);
}
END_TEST

TEST_MAIN("lsm/stats", commits_are_counted_by_operation_and_byte,
          levels_and_amplification_follow_dump_and_compaction,
          reads_pass_filters_and_caches_as_counted, iterators_and_their_seeks_are_counted,
          an_iterator_may_outlive_its_partition, one_call_in_64_is_timed_and_every_sync,
          gets_are_all_counted_wherever_their_reader_stands,
          steps_of_any_size_through_the_sequences_are_timed_alike,
          the_oldest_snapshot_is_told_with_its_age_and_what_it_pins,
          debt_is_what_level_zero_holds_past_its_files, text_says_what_the_struct_says,
          text_that_does_not_fit_is_cut_and_its_size_told, size_of_memtables_is_exact,
          size_of_files_is_off_by_a_block_at_each_end_and_reads_no_data,
          what_open_files_hold_is_taken_from_the_blocks,
          files_that_hold_more_than_they_may_are_closed_in_turn)
