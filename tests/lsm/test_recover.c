/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening after clean closes and crashes: what counts of the log, what is corruption, what is
 * tidied away, which numbers are never used again. */
#include "base/env.h"
#include "base/rng.h"
#include "lsm/filename.h"
#include "lsm/lsm.h"
#include "tests/support/test.h"

static lam_env *mem;
static lam_db *db;
static lam_partition *part;
static struct lam_error err;
static struct lam_options opts;

#define S(text) lam_slice_str(text)

static enum lam_code drop_task(lam_env *e, enum lam_lane lane, uint64_t delay_us, lam_task_fn fn,
                               void *arg, struct lam_error *error) {
    (void)e, (void)lane, (void)delay_us, (void)fn, (void)arg, (void)error;
    return LAM_OK;
}

static enum lam_code open_db(lam_env *env) {
    opts.env = env;
    opts.memory_budget = opts.memory_budget ? opts.memory_budget : 4u << 20;
    opts.manual_background = env->ops->submit != drop_task;
    enum lam_code rc = lam_db_open("/db", &opts, &db, &err);
    if (rc == LAM_OK && lam_partition_open(db, "p", &part, NULL) != LAM_OK)
        rc = lam_partition_create(db, "p", NULL, &part, &err);
    return rc;
}

static enum lam_code close_db(void) {
    lam_partition_release(part);
    return lam_db_close(db, &err);
}

static void start(void) {
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    ck_ok(open_db(mem), &err);
}

static void put_number(uint32_t i, size_t size, enum lam_durability d) {
    char key[16];
    uint8_t value[20000];
    struct rng rng;
    rng_init(&rng, i);
    for (size_t at = 0; at + 8 <= sizeof value; at += 8) {
        uint64_t word = rng_next(&rng);
        memcpy(value + at, &word, 8);
    }
    struct lam_write_options o = {d};
    snprintf(key, sizeof key, "k%06u", i);
    ck_ok(lam_put(db, &o, part, S(key), lam_slice_of(value, size), &err), &err);
}

struct names {
    int type[8];
    uint64_t highest;
    char wal[64];
    char sst[64];
};

static bool note(void *arg, const char *name) {
    struct names *n = arg;
    uint64_t number;
    enum file_type t = filename_parse(name, &number);
    n->type[t]++;
    if (number > n->highest)
        n->highest = number;
    if (t == FILE_WAL)
        snprintf(n->wal, sizeof n->wal, "/db/%s", name);
    if (t == FILE_SST)
        snprintf(n->sst, sizeof n->sst, "/db/%s", name);
    return true;
}

static struct names list(lam_env *env) {
    struct names n = {0};
    ck_ok(env_dir_list(env, "/db", note, &n, &err), &err);
    return n;
}

/* Keys k00000.. must be there without a hole; returns how many. */
static uint32_t count_prefix(void) {
    uint32_t n = 0;
    lam_iter *it;
    ck_ok(lam_iter_new(db, NULL, part, &it, &err), &err);
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
        char key[16];
        snprintf(key, sizeof key, "k%06u", n++);
        struct lam_slice k = lam_iter_key(it);
        ck_assert_msg(k.size == 7 && memcmp(k.data, key, 7) == 0, "hole before %.7s", k.data);
    }
    ck_ok(lam_iter_status(it, &err), &err);
    lam_iter_free(it);
    return n;
}

/* Durable commits until a segment of the log is nearly full, then commits that are not durable into
 * its end and into the next one; nothing is dumped. Returns how many are durable. */
static uint32_t fill_two_segments(uint32_t *total_out) {
    static struct lam_env_ops ops;
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    ops = *mem->ops;
    ops.submit = drop_task;
    mem->ops = &ops;
    opts.memory_budget = 32u << 20;
    ck_ok(open_db(mem), &err);
    uint32_t n = 0;
    struct lam_stats s = {0};
    for (; s.wal_bytes < (4u << 20) - 5000; n++) {
        put_number(n, 300, LAM_DURABILITY_OS);
        lam_db_stats(db, &s);
    }
    ck_ok(lam_sync(db, LAM_SEQUENCE_MAX, &err), &err);
    uint32_t durable = n;
    for (; list(mem).type[FILE_WAL] < 2; n++)
        put_number(n, 300, LAM_DURABILITY_OS);
    for (int i = 0; i < 10; i++)
        put_number(n++, 300, LAM_DURABILITY_OS);
    ck_assert_uint_gt(n, durable + 12);
    *total_out = n;
    return durable;
}

START_TEST(loss_in_an_older_segment_ends_the_log_there) {
    uint32_t total, durable = fill_two_segments(&total);
    uint32_t shortest = UINT32_MAX, longest = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        lam_env *image;
        lam_db *live = db;
        lam_partition *live_part = part;
        ck_ok(lam_env_mem_crash(mem, LAM_CRASH_POWER_ANY, seed, &image, &err), &err);
        ck_ok(open_db(image), &err);
        uint32_t n = count_prefix();
        ck_assert_uint_ge(n, durable);
        shortest = n < shortest ? n : shortest;
        longest = n > longest ? n : longest;
        ck_ok(close_db(), &err);
        lam_env_mem_free(image);
        db = live;
        part = live_part;
    }
    ck_assert_uint_lt(shortest, durable + 4);
    ck_assert_uint_gt(longest, durable);
    ck_assert_uint_lt(longest, total);
    ck_ok(close_db(), &err);
    lam_env_mem_free(mem);
}
END_TEST

static bool lowest_wal(void *arg, const char *name) {
    uint64_t number, *lowest = arg;
    if (filename_parse(name, &number) == FILE_WAL && number < *lowest)
        *lowest = number;
    return true;
}

START_TEST(damage_in_an_older_segment_that_was_synced_is_corrupt) {
    lam_env *image;
    uint32_t total;
    fill_two_segments(&total);
    ck_ok(lam_sync(db, LAM_SEQUENCE_MAX, &err), &err);
    /* This record says how far the log was durable. */
    put_number(total, 300, LAM_DURABILITY_OS);
    ck_ok(lam_env_mem_crash(mem, LAM_CRASH_PROCESS, 0, &image, &err), &err);
    ck_ok(close_db(), &err);
    uint64_t number = UINT64_MAX;
    char path[64] = "/db/";
    ck_ok(env_dir_list(image, "/db", lowest_wal, &number, &err), &err);
    filename_make(FILE_WAL, number, path + 4);
    lam_file *f;
    uint8_t zeros[64] = {0};
    ck_ok(env_file_open(image, path, LAM_OPEN_WRITE, &f, &err), &err);
    /* The end of the first segment's last record. */
    struct buf bytes = {0};
    ck_ok(env_read_file(image, path, 64u << 20, &bytes, &err), &err);
    size_t end = bytes.size;
    while (bytes.data[end - 1] == 0)
        end--;
    buf_fini(&bytes);
    ck_ok(env_file_write(f, end - sizeof zeros, zeros, sizeof zeros, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    opts.env = image;
    ck_code(lam_db_open("/db", &opts, &db, &err), LAM_CORRUPT);
    ck_contains(err.message, "durable");
    ck_code(lam_check("/db", image, NULL, NULL, &err), LAM_CORRUPT);
    lam_env_mem_free(image);
    lam_env_mem_free(mem);
}
END_TEST

/* Copies the database's directory to a fresh environment. */
struct copying {
    lam_env *from, *to;
    const char *skip; /* name left out */
};

static bool copy_one(void *arg, const char *name) {
    struct copying *c = arg;
    char path[100];
    struct buf bytes = {0};
    if (c->skip && strcmp(c->skip, name) == 0)
        return true;
    snprintf(path, sizeof path, "/db/%s", name);
    ck_ok(env_read_file(c->from, path, 64u << 20, &bytes, &err), &err);
    lam_file *f;
    ck_ok(env_file_open(c->to, path, LAM_OPEN_WRITE | LAM_OPEN_CREATE, &f, &err), &err);
    if (bytes.size)
        ck_ok(env_file_write(f, 0, bytes.data, bytes.size, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    buf_fini(&bytes);
    return true;
}

static lam_env *copy_without(const char *skip) {
    struct copying c = {mem, NULL, skip};
    ck_ok(lam_env_mem_new(&c.to, &err), &err);
    ck_ok(c.to->ops->dir_create(c.to, "/db", &err), &err);
    ck_ok(env_dir_list(mem, "/db", copy_one, &c, &err), &err);
    return c.to;
}

static void fill_and_close(void) {
    start();
    for (uint32_t i = 0; i < 30; i++)
        put_number(i, 1000, LAM_DURABILITY_OS);
    ck_ok(lam_db_dump(db, &err), &err);
    for (uint32_t i = 30; i < 40; i++)
        put_number(i, 100, LAM_DURABILITY_OS);
    ck_ok(close_db(), &err);
}

START_TEST(closed_database_misses_no_file_silently) {
    fill_and_close();
    struct names n = list(mem);
    ck_assert_int_eq(n.type[FILE_ROOT], 1);
    ck_assert_int_eq(n.type[FILE_MANIFEST], 1);
    ck_assert_int_ge(n.type[FILE_WAL], 1);
    ck_assert_int_ge(n.type[FILE_SST], 1);
    char manifest[40];
    const char *gone[] = {n.wal + 4, n.sst + 4, "ROOT", manifest};
    for (uint64_t i = 0; i < 100; i++) {
        filename_make(FILE_MANIFEST, i, manifest);
        char path[80];
        enum lam_path_kind kind;
        snprintf(path, sizeof path, "/db/%s", manifest);
        ck_ok(env_path_kind(mem, path, &kind, &err), &err);
        if (kind == LAM_PATH_FILE)
            break;
    }
    for (size_t i = 0; i < 4; i++) {
        lam_env *copy = copy_without(gone[i]);
        opts.env = copy;
        ck_code(lam_check("/db", copy, NULL, NULL, &err), LAM_CORRUPT);
        ck_code(lam_db_open("/db", &opts, &db, &err), LAM_CORRUPT);
        ck_contains(err.message, gone[i]);
        lam_env_mem_free(copy);
    }
    lam_env *copy = copy_without(NULL);
    ck_ok(open_db(copy), &err);
    ck_assert_uint_eq(count_prefix(), 40);
    ck_ok(close_db(), &err);
    lam_env_mem_free(copy);
    lam_env_mem_free(mem);
}
END_TEST

/* Reads every row; the code of the first failure. */
static enum lam_code read_all(void) {
    lam_iter *it;
    enum lam_code rc = lam_iter_new(db, NULL, part, &it, &err);
    if (rc != LAM_OK)
        return rc;
    uint32_t n = 0;
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it))
        n++;
    rc = lam_iter_status(it, &err);
    lam_iter_free(it);
    if (rc == LAM_OK)
        ck_assert_uint_eq(n, 40);
    return rc;
}

static void flip_file(const char *path, struct rng *rng, int flips) {
    for (int i = 0; i < flips; i++) {
        lam_env *copy = copy_without(NULL);
        lam_file *f;
        uint64_t size, at;
        uint8_t byte;
        size_t got;
        ck_ok(env_file_open(copy, path, LAM_OPEN_WRITE, &f, &err), &err);
        ck_ok(env_file_size(f, &size, &err), &err);
        /* The log is preallocated: aim at what was written. */
        at = rng_below(rng, size < 2500 ? size : 2500);
        ck_ok(env_file_read(f, at, &byte, 1, &got, &err), &err);
        byte ^= (uint8_t)(1u << rng_below(rng, 8));
        ck_ok(env_file_write(f, at, &byte, 1, &err), &err);
        ck_ok(env_file_close(f, &err), &err);
        opts.env = copy;
        bool noticed = lam_check("/db", copy, NULL, NULL, &err) == LAM_CORRUPT;
        enum lam_code rc = lam_db_open("/db", &opts, &db, &err);
        if (rc == LAM_OK) {
            ck_ok(lam_partition_open(db, "p", &part, &err), &err);
            rc = read_all();
            ck_ok(close_db(), &err);
        }
        /* Either the answer is right (bytes that say nothing) or the damage is told. */
        ck_assert_msg(rc == LAM_OK || rc == LAM_CORRUPT, "%s at %llu: %s", path,
                      (unsigned long long)at, lam_code_name(rc));
        ck_assert(rc == LAM_OK || noticed);
        lam_env_mem_free(copy);
    }
}

START_TEST(flipped_bits_of_a_closed_database_never_change_an_answer) {
    fill_and_close();
    struct names n = list(mem);
    struct rng rng;
    rng_init(&rng, test_seed("recover/flips"));
    flip_file(n.wal, &rng, 120);
    flip_file(n.sst, &rng, 120);
    flip_file("/db/ROOT", &rng, 60);
    lam_env_mem_free(mem);
}
END_TEST

START_TEST(reopening_leaves_only_what_is_needed) {
    fill_and_close();
    for (int round = 0; round < 3; round++) {
        ck_ok(open_db(mem), &err);
        ck_assert_uint_eq(count_prefix(), 40);
        struct names n = list(mem);
        ck_assert_int_eq(n.type[FILE_MANIFEST], 1);
        ck_assert_int_eq(n.type[FILE_WAL], 1);
        ck_assert_int_eq(n.type[FILE_SST], 1);
        ck_assert_int_eq(n.type[FILE_TEMP], 0);
        ck_ok(close_db(), &err);
    }
    lam_env_mem_free(mem);
}
END_TEST

static void touch(const char *path) {
    lam_file *f;
    ck_ok(env_file_open(mem, path, LAM_OPEN_WRITE | LAM_OPEN_CREATE, &f, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
}

START_TEST(orphans_go_and_their_numbers_are_not_used_again) {
    fill_and_close();
    touch("/db/000777.sst");
    touch("/db/000778.wal");
    touch("/db/MANIFEST-000779");
    touch("/db/ROOT.tmp");
    touch("/db/notes.txt");
    ck_ok(open_db(mem), &err);
    struct names n = list(mem);
    ck_assert_int_eq(n.type[FILE_SST], 1);
    ck_assert_int_eq(n.type[FILE_WAL], 1);
    ck_assert_int_eq(n.type[FILE_MANIFEST], 1);
    ck_assert_int_eq(n.type[FILE_TEMP], 0);
    ck_assert_uint_gt(n.highest, 779);
    enum lam_path_kind kind;
    ck_ok(env_path_kind(mem, "/db/notes.txt", &kind, &err), &err);
    ck_assert_int_eq(kind, LAM_PATH_FILE);
    ck_assert_uint_eq(count_prefix(), 40);
    ck_ok(close_db(), &err);
    lam_env_mem_free(mem);
}
END_TEST

START_TEST(sequences_lost_in_a_crash_are_not_given_out_again) {
    start();
    for (uint32_t i = 0; i < 30; i++)
        put_number(i, 100, LAM_DURABILITY_OS);
    struct lam_stats before, after;
    lam_db_stats(db, &before);
    lam_env *image;
    ck_ok(lam_env_mem_crash(mem, LAM_CRASH_POWER, 0, &image, &err), &err);
    ck_ok(close_db(), &err);
    ck_ok(open_db(image), &err);
    ck_assert_uint_lt(count_prefix(), 30);
    lam_db_stats(db, &after);
    ck_assert_uint_ge(after.sequence, before.sequence);
    ck_ok(close_db(), &err);
    lam_env_mem_free(image);
    lam_env_mem_free(mem);
}
END_TEST

START_TEST(clean_reopening_keeps_the_sequence_and_replays_the_log) {
    start();
    for (uint32_t i = 0; i < 30; i++)
        put_number(i, 100, LAM_DURABILITY_OS);
    struct lam_stats s;
    ck_ok(close_db(), &err);
    for (int round = 0; round < 3; round++) {
        ck_ok(open_db(mem), &err);
        lam_db_stats(db, &s);
        ck_assert_uint_eq(s.sequence, 30);
        ck_assert_uint_eq(s.recovered_operations, 30);
        ck_assert(!s.recovered_torn_tail);
        ck_assert_uint_eq(s.sst_files, 0);
        ck_ok(close_db(), &err);
    }
    lam_env_mem_free(mem);
}
END_TEST

START_TEST(records_of_dropped_partitions_are_skipped) {
    start();
    lam_partition *gone;
    ck_ok(lam_partition_create(db, "gone", NULL, &gone, &err), &err);
    lam_batch *b;
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_batch_put(b, gone, S("x"), S("y"), &err), &err);
    ck_ok(lam_batch_put(b, part, S("k000000"), S("stays"), &err), &err);
    ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
    lam_batch_free(b);
    ck_ok(lam_partition_drop(db, gone, &err), &err);
    lam_partition_release(gone);
    lam_env *image;
    ck_ok(lam_env_mem_crash(mem, LAM_CRASH_PROCESS, 0, &image, &err), &err);
    ck_ok(close_db(), &err);
    ck_ok(open_db(image), &err);
    ck_assert_uint_eq(count_prefix(), 1);
    ck_code(lam_partition_open(db, "gone", &gone, &err), LAM_NOT_FOUND);
    ck_ok(close_db(), &err);
    lam_env_mem_free(image);
    lam_env_mem_free(mem);
}
END_TEST

START_TEST(crash_with_a_full_log_is_dumped_piece_by_piece) {
    start();
    opts.manual_background = false;
    for (uint32_t i = 0; i < 300; i++)
        put_number(i, 19000, LAM_DURABILITY_OS);
    lam_env *image;
    ck_ok(lam_env_mem_crash(mem, LAM_CRASH_PROCESS, 0, &image, &err), &err);
    ck_ok(close_db(), &err);
    ck_ok(open_db(image), &err);
    ck_assert_uint_eq(count_prefix(), 300);
    ck_ok(lam_db_check(db, NULL, NULL, &err), &err);
    ck_ok(close_db(), &err);
    ck_ok(lam_check("/db", image, NULL, NULL, &err), &err);
    lam_env_mem_free(image);
    lam_env_mem_free(mem);
}
END_TEST

/* Changes a byte of a file: the one `back` bytes before its last that is not zero. */
static void damage(lam_env *env, const char *path, size_t back) {
    struct buf bytes = {0};
    lam_file *f;
    ck_ok(env_read_file(env, path, 64u << 20, &bytes, &err), &err);
    size_t at = bytes.size;
    while (at > 0 && bytes.data[at - 1] == 0)
        at--;
    ck_assert_uint_gt(at, back);
    at -= back + 1;
    bytes.data[at] ^= 4;
    ck_ok(env_file_open(env, path, LAM_OPEN_WRITE, &f, &err), &err);
    ck_ok(env_file_write(f, at, &bytes.data[at], 1, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    buf_fini(&bytes);
}

static bool find_manifest(void *arg, const char *name) {
    uint64_t number;
    if (filename_parse(name, &number) == FILE_MANIFEST)
        snprintf(arg, 64, "/db/%s", name);
    return true;
}

static const char *manifest_path(lam_env *env) {
    static char path[64];
    ck_ok(env_dir_list(env, "/db", find_manifest, path, &err), &err);
    return path;
}

static lam_env *kill_process(void) {
    lam_env *image;
    ck_ok(lam_env_mem_crash(mem, LAM_CRASH_PROCESS, 0, &image, &err), &err);
    ck_ok(close_db(), &err);
    lam_env_mem_free(mem);
    return image;
}

static bool torn(void) {
    struct lam_stats s;
    lam_db_stats(db, &s);
    return s.recovered_torn_tail;
}

START_TEST(every_damaged_byte_of_the_last_record_is_told_as_a_dropped_end) {
    const size_t record = 40 + 4 + 1 + 1 + 1 + 7 + 1 + 100; /* header, count, put, key, value */
    for (size_t back = 0; back < record; back++) {
        start();
        for (uint32_t i = 0; i < 3; i++)
            put_number(i, 100, LAM_DURABILITY_OS);
        struct names n = list(mem);
        lam_env *image = kill_process();
        damage(image, n.wal, back);
        ck_ok(open_db(image), &err);
        ck_assert_uint_eq(count_prefix(), 2);
        ck_assert_msg(torn(), "byte %zu from the end", back);
        ck_ok(close_db(), &err);
        lam_env_mem_free(image);
    }
}
END_TEST

START_TEST(dropped_end_of_the_manifest_is_told) {
    start();
    put_number(0, 100, LAM_DURABILITY_SYNC);
    lam_partition *q;
    ck_ok(lam_partition_create(db, "q", NULL, &q, &err), &err);
    lam_partition_release(q);
    lam_env *image = kill_process();
    damage(image, manifest_path(image), 0);
    ck_ok(open_db(image), &err);
    ck_code(lam_partition_open(db, "q", &q, &err), LAM_NOT_FOUND);
    ck_assert(torn());
    ck_assert_uint_eq(count_prefix(), 1);
    ck_ok(close_db(), &err);
    lam_env_mem_free(image);
}
END_TEST

/* The last edit names the segment that the newest commits are in. */
START_TEST(records_in_a_segment_that_the_manifest_lost_are_corruption) {
    uint32_t total;
    fill_two_segments(&total);
    ck_ok(lam_sync(db, LAM_SEQUENCE_MAX, &err), &err);
    lam_env *image = kill_process();
    damage(image, manifest_path(image), 0);
    ck_code(lam_check("/db", image, NULL, NULL, &err), LAM_CORRUPT);
    opts.env = image;
    ck_code(lam_db_open("/db", &opts, &db, &err), LAM_CORRUPT);
    ck_contains(err.message, ".wal: offset 0: holds a record");
    lam_env_mem_free(image);
}
END_TEST

/* An orphan's number is above that of the partition whose edit is lost, so that the partition could
 * pass for one that was dropped. */
START_TEST(records_of_a_partition_that_the_manifest_lost_are_corruption) {
    start();
    put_number(0, 100, LAM_DURABILITY_SYNC);
    lam_partition *q;
    ck_ok(lam_partition_create(db, "q", NULL, &q, &err), &err);
    ck_ok(lam_put(db, NULL, q, S("k"), S("v"), &err), &err);
    lam_partition_release(q);
    touch("/db/000900.sst");
    lam_env *image = kill_process();
    damage(image, manifest_path(image), 0);
    opts.env = image;
    ck_code(lam_db_open("/db", &opts, &db, &err), LAM_CORRUPT);
    ck_contains(err.message, "which never was");
    lam_env_mem_free(image);
}
END_TEST

TEST_MAIN("lsm/recover", loss_in_an_older_segment_ends_the_log_there,
          damage_in_an_older_segment_that_was_synced_is_corrupt,
          closed_database_misses_no_file_silently,
          flipped_bits_of_a_closed_database_never_change_an_answer,
          reopening_leaves_only_what_is_needed, orphans_go_and_their_numbers_are_not_used_again,
          sequences_lost_in_a_crash_are_not_given_out_again,
          clean_reopening_keeps_the_sequence_and_replays_the_log,
          records_of_dropped_partitions_are_skipped, crash_with_a_full_log_is_dumped_piece_by_piece,
          every_damaged_byte_of_the_last_record_is_told_as_a_dropped_end,
          dropped_end_of_the_manifest_is_told,
          records_in_a_segment_that_the_manifest_lost_are_corruption,
          records_of_a_partition_that_the_manifest_lost_are_corruption)
