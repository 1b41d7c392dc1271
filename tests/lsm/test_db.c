/* SPDX-License-Identifier: Apache-2.0
 *
 * The public calls of the engine: arguments and limits, batches, snapshots, durability, locks,
 * attachments, statistics, background work on threads. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/env.h"
#include "base/rng.h"
#include "base/thread.h"
#include "lsm/lsm.h"
#include "tests/support/env_fault.h"
#include "tests/support/oom.h"
#include "tests/support/test.h"

static lam_env *mem;
static lam_db *db;
static lam_partition *part;
static struct lam_error err;
static struct lam_options opts;

#define S(text) lam_slice_str(text)

static void start(void) {
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    opts.env = mem;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
}

static void stop(void) {
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    ck_ok(lam_check("/db", mem, NULL, NULL, &err), &err);
    lam_env_mem_free(mem);
}

static void expect(lam_partition *p, const char *key, const char *value) {
    struct lam_value v = {0};
    enum lam_code rc = lam_get(db, NULL, p, S(key), &v, &err);
    if (value) {
        ck_ok(rc, &err);
        ck_assert_uint_eq(v.bytes.size, strlen(value));
        ck_assert(v.bytes.size == 0 || memcmp(v.bytes.data, value, v.bytes.size) == 0);
    } else {
        ck_code(rc, LAM_NOT_FOUND);
        ck_assert_int_eq(err.code, LAM_NOT_FOUND);
        ck_assert_uint_eq(v.bytes.size, 0);
    }
    lam_value_release(&v);
}

static void put(const char *key, const char *value) {
    ck_ok(lam_put(db, NULL, part, S(key), S(value), &err), &err);
}

/* --- values, keys, limits --------------------------------------------------------------------- */

START_TEST(put_get_delete_round_trip) {
    start();
    expect(part, "a", NULL);
    put("a", "1");
    put("b", "");
    put("a", "2");
    expect(part, "a", "2");
    expect(part, "b", "");
    ck_ok(lam_delete(db, NULL, part, S("a"), &err), &err);
    expect(part, "a", NULL);
    ck_ok(lam_db_dump(db, &err), &err);
    expect(part, "a", NULL);
    expect(part, "b", "");
    put("a", "3");
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    expect(part, "a", "3");
    stop();
}
END_TEST

START_TEST(value_memory_is_reused_without_release) {
    start();
    put("long", "0123456789012345678901234567890123456789");
    put("short", "x");
    struct lam_value v = {0};
    ck_ok(lam_get(db, NULL, part, S("long"), &v, &err), &err);
    void *memory = v.memory;
    ck_ok(lam_get(db, NULL, part, S("short"), &v, &err), &err);
    ck_assert_ptr_eq(memory, v.memory);
    ck_assert_uint_eq(v.bytes.size, 1);
    lam_value_release(&v);
    lam_value_release(&v);
    lam_value_release(NULL);
    stop();
}
END_TEST

START_TEST(read_of_a_hidden_value_leaves_no_memory_behind) {
    start();
    struct lam_value v = {0};
    lam_batch *b;
    put("k", "an older version, in a file");
    ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_batch_delete_range(b, part, S("a"), S("z"), LAM_SEQUENCE_MAX, &err), &err);
    ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
    lam_batch_free(b);
    ck_code(lam_get(db, NULL, part, S("k"), &v, &err), LAM_NOT_FOUND);
    ck_assert_ptr_null(v.memory);
    ck_assert_uint_eq(v.capacity, 0);
    stop();
}
END_TEST

START_TEST(keys_up_to_64_KiB_are_taken_and_longer_ones_refused_by_name) {
    start();
    uint8_t *key = malloc(LAM_KEY_MAX + 1);
    memset(key, 'k', LAM_KEY_MAX + 1);
    struct lam_slice most = lam_slice_of(key, LAM_KEY_MAX),
                     over = lam_slice_of(key, LAM_KEY_MAX + 1);
    struct lam_value v = {0};
    ck_ok(lam_put(db, NULL, part, most, S("v"), &err), &err);
    ck_ok(lam_put(db, NULL, part, lam_slice_of(key, LAM_KEY_MAX - 1), S("w"), &err), &err);
    ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(lam_get(db, NULL, part, most, &v, &err), &err);
    ck_code(lam_put(db, NULL, part, over, S("v"), &err), LAM_LIMIT);
    ck_contains(err.message, "65537");
    ck_contains(err.message, "65536");
    ck_code(lam_get(db, NULL, part, over, &v, &err), LAM_LIMIT);
    ck_code(lam_delete(db, NULL, part, over, &err), LAM_LIMIT);
    ck_code(lam_put(db, NULL, part, S(""), S("v"), &err), LAM_INVALID);
    ck_contains(err.message, "empty");
    ck_code(lam_put(db, NULL, part, lam_slice_of(NULL, 5), S("v"), &err), LAM_INVALID);
    lam_value_release(&v);
    free(key);
    stop();
}
END_TEST

START_TEST(large_values_go_through_and_larger_than_a_gibibyte_are_refused) {
    start();
    size_t size = 64u << 20;
    uint8_t *bytes = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    ck_ok(lam_put(db, NULL, part, S("big"), lam_slice_of(bytes, size), &err), &err);
    struct lam_value v = {0};
    for (int round = 0; round < 2; round++) {
        ck_ok(lam_get(db, NULL, part, S("big"), &v, &err), &err);
        ck_assert_uint_eq(v.bytes.size, size);
        ck_assert(memcmp(v.bytes.data, bytes, size) == 0);
        ck_ok(lam_db_compact(db, NULL, &err), &err);
    }
    lam_value_release(&v);
    /* The size is refused before a byte is read. */
    ck_code(lam_put(db, NULL, part, S("k"), lam_slice_of(bytes, (size_t)LAM_VALUE_MAX + 1), &err),
            LAM_LIMIT);
    ck_contains(err.message, "1073741825");
    free(bytes);
    stop();
}
END_TEST

START_TEST(arguments_are_checked) {
    start();
    struct lam_value v = {0};
    lam_batch *b;
    lam_iter *it;
    lam_snapshot *s;
    lam_db *other;
    lam_partition *foreign;
    ck_code(lam_get(NULL, NULL, part, S("a"), &v, &err), LAM_INVALID);
    ck_code(lam_get(db, NULL, NULL, S("a"), &v, &err), LAM_INVALID);
    ck_code(lam_get(db, NULL, part, S("a"), NULL, &err), LAM_INVALID);
    ck_code(lam_put(NULL, NULL, part, S("a"), S("b"), NULL), LAM_INVALID);
    ck_code(lam_put(db, NULL, NULL, S("a"), S("b"), NULL), LAM_INVALID);
    ck_code(lam_write(db, NULL, NULL, NULL, &err), LAM_INVALID);
    ck_code(lam_batch_new(NULL, &b, &err), LAM_INVALID);
    ck_code(lam_snapshot_new(NULL, &s, &err), LAM_INVALID);
    ck_code(lam_iter_new(db, NULL, NULL, &it, &err), LAM_INVALID);
    ck_code(lam_iter_new(db, NULL, part, NULL, &err), LAM_INVALID);
    ck_code(lam_sync(NULL, 1, &err), LAM_INVALID);
    ck_code(lam_db_dump(NULL, &err), LAM_INVALID);
    ck_code(lam_db_compact(NULL, NULL, &err), LAM_INVALID);
    ck_code(lam_db_open(NULL, &opts, &other, &err), LAM_INVALID);
    ck_code(lam_db_open("/x", &(struct lam_options){.env = mem, .memory_budget = 1}, &other, &err),
            LAM_INVALID);
    ck_code(lam_db_open(
                "/x", &(struct lam_options){.env = mem, .must_exist = true, .must_not_exist = true},
                &other, &err),
            LAM_INVALID);
    ck_code(lam_put(db, &(struct lam_write_options){(enum lam_durability)9}, part, S("a"), S("b"),
                    &err),
            LAM_INVALID);
    lam_db_close(NULL, NULL);
    lam_iter_free(NULL);
    lam_snapshot_free(NULL);
    lam_batch_free(NULL);
    lam_partition_release(NULL);
    ck_ok(lam_db_open("/other", &opts, &other, &err), &err);
    ck_ok(lam_partition_create(other, "p", NULL, &foreign, &err), &err);
    ck_ok(lam_snapshot_new(other, &s, &err), &err);
    struct lam_read_options o = {.snapshot = s};
    ck_code(lam_get(db, &o, part, S("a"), &v, &err), LAM_INVALID);
    ck_code(lam_iter_new(db, &o, part, &it, &err), LAM_INVALID);
    ck_code(lam_get(db, NULL, foreign, S("a"), &v, &err), LAM_INVALID);
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_code(lam_batch_put(b, foreign, S("a"), S("b"), &err), LAM_INVALID);
    ck_contains(err.message, "another database");
    ck_code(lam_write(other, NULL, b, NULL, &err), LAM_INVALID);
    ck_code(lam_batch_delete_range(b, part, S("b"), S("a"), 1, &err), LAM_INVALID);
    ck_code(lam_batch_delete_range(b, part, S("a"), S("b"), UINT64_MAX, &err), LAM_INVALID);
    ck_assert_uint_eq(lam_batch_count(b), 0);
    lam_batch_free(b);
    lam_snapshot_free(s);
    lam_partition_release(foreign);
    ck_ok(lam_db_close(other, &err), &err);
    stop();
}
END_TEST

/* --- batches, snapshots, range deletes ---------------------------------------------------------
 */

START_TEST(batch_takes_consecutive_sequences_and_later_operations_win) {
    start();
    lam_batch *b;
    uint64_t first, last;
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_write(db, NULL, b, &first, &err), &err);
    ck_ok(lam_batch_put(b, part, S("a"), S("1"), &err), &err);
    ck_ok(lam_batch_put(b, part, S("a"), S("2"), &err), &err);
    ck_ok(lam_batch_delete(b, part, S("b"), &err), &err);
    ck_ok(lam_batch_put(b, part, S("b"), S("3"), &err), &err);
    ck_assert_uint_eq(lam_batch_count(b), 4);
    ck_ok(lam_write(db, NULL, b, &last, &err), &err);
    ck_assert_uint_eq(last, first + 4);
    expect(part, "a", "2");
    expect(part, "b", "3");
    lam_batch_reset(b);
    ck_assert_uint_eq(lam_batch_count(b), 0);
    ck_assert_uint_eq(lam_batch_bytes(b), 0);
    /* A range delete hides what its own batch wrote before, not after. */
    ck_ok(lam_batch_put(b, part, S("c"), S("4"), &err), &err);
    ck_ok(lam_batch_delete_range(b, part, S("a"), S("z"), LAM_SEQUENCE_MAX, &err), &err);
    ck_ok(lam_batch_put(b, part, S("d"), S("5"), &err), &err);
    ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
    expect(part, "a", NULL);
    expect(part, "c", NULL);
    expect(part, "d", "5");
    lam_batch_free(b);
    stop();
}
END_TEST

START_TEST(bounded_range_delete_spares_what_is_newer) {
    start();
    lam_batch *b;
    uint64_t bound;
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_batch_put(b, part, S("a"), S("old"), &err), &err);
    ck_ok(lam_batch_put(b, part, S("b"), S("old"), &err), &err);
    ck_ok(lam_write(db, NULL, b, &bound, &err), &err);
    put("a", "new");
    lam_snapshot *before;
    ck_ok(lam_snapshot_new(db, &before, &err), &err);
    lam_batch_reset(b);
    ck_ok(lam_batch_delete_range(b, part, S("a"), S(""), bound, &err), &err);
    ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
    for (int round = 0; round < 3; round++) {
        expect(part, "a", "new");
        expect(part, "b", NULL);
        struct lam_read_options o = {.snapshot = before};
        struct lam_value v = {0};
        ck_ok(lam_get(db, &o, part, S("b"), &v, &err), &err);
        lam_value_release(&v);
        if (round == 0)
            ck_ok(lam_db_dump(db, &err), &err);
        else
            ck_ok(lam_db_compact(db, NULL, &err), &err);
    }
    lam_snapshot_free(before);
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    struct lam_stats s;
    lam_db_stats(db, &s);
    expect(part, "a", "new");
    expect(part, "b", NULL);
    lam_batch_free(b);
    stop();
}
END_TEST

START_TEST(covered_files_are_dropped_without_being_read) {
    opts.manual_background = true;
    start();
    char key[16], value[2000];
    for (int i = 0; i < 500; i++) {
        for (size_t j = 0; j < sizeof value; j++)
            value[j] = (char)(((size_t)i * 7919 + j) * 2654435761u >> 11);
        snprintf(key, sizeof key, "k%04d", i);
        ck_ok(lam_put(db, NULL, part, S(key), lam_slice_of(value, sizeof value), &err), &err);
    }
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    lam_batch *b;
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_batch_delete_range(b, part, S("k"), S("l"), LAM_SEQUENCE_MAX, &err), &err);
    ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
    lam_batch_free(b);
    struct lam_stats before, after;
    lam_db_stats(db, &before);
    ck_assert_uint_gt(before.sst_bytes, 100000);
    ck_ok(lam_db_dump(db, &err), &err);
    lam_db_stats(db, &after);
    ck_assert_uint_lt(after.sst_bytes, 10000);
    ck_assert_uint_eq(after.compaction_read_bytes, before.compaction_read_bytes);
    expect(part, "k0001", NULL);
    stop();
}
END_TEST

START_TEST(deleted_space_comes_back_when_everything_is_deleted) {
    start();
    char key[16];
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "k%05d", i);
        put(key, "some value or other");
    }
    ck_ok(lam_db_compact(db, part, &err), &err);
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "k%05d", i);
        ck_ok(lam_delete(db, NULL, part, S(key), &err), &err);
    }
    ck_ok(lam_db_compact(db, part, &err), &err);
    struct lam_stats s;
    lam_db_stats(db, &s);
    ck_assert_uint_eq(s.sst_files, 0);
    stop();
}
END_TEST

START_TEST(close_is_refused_while_snapshots_and_iterators_are_open) {
    start();
    lam_snapshot *s1, *s2;
    lam_iter *it;
    ck_ok(lam_snapshot_new(db, &s1, &err), &err);
    ck_ok(lam_snapshot_new(db, &s2, &err), &err);
    ck_ok(lam_iter_new(db, NULL, part, &it, &err), &err);
    ck_code(lam_db_close(db, &err), LAM_BUSY);
    ck_contains(err.message, "2 snapshots, 1 iterators");
    put("still", "works");
    lam_snapshot_free(s1);
    lam_snapshot_free(s2);
    ck_code(lam_db_close(db, &err), LAM_BUSY);
    lam_iter_free(it);
    stop();
}
END_TEST

/* --- opening -----------------------------------------------------------------------------------
 */

START_TEST(second_open_is_busy_here_and_in_another_process) {
    char path[600];
    snprintf(path, sizeof path, "%s/db", test_dir());
    lam_db *again;
    ck_ok(lam_db_open(path, NULL, &db, &err), &err);
    ck_code(lam_db_open(path, NULL, &again, &err), LAM_BUSY);
    ck_contains(err.message, path);
    ck_code(lam_check(path, NULL, NULL, NULL, &err), LAM_BUSY);
    ck_code(lam_db_open(path, &(struct lam_options){.read_only = true}, &again, &err), LAM_BUSY);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct lam_stats s;
        int bad = lam_db_open(path, NULL, &again, NULL) != LAM_BUSY;
        bad |= lam_db_dump(db, NULL) != LAM_INVALID;
        bad |= lam_db_close(db, NULL) != LAM_INVALID;
        lam_db_stats(db, &s);
        _exit(bad);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_ok(lam_db_close(db, &err), &err);
    ck_ok(lam_db_open(path, NULL, &db, &err), &err);
    ck_ok(lam_db_close(db, &err), &err);
}
END_TEST

START_TEST(open_options_say_what_must_be_there) {
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    struct lam_options o = {.env = mem, .must_exist = true};
    ck_code(lam_db_open("/db", &o, &db, &err), LAM_NOT_FOUND);
    o = (struct lam_options){.env = mem, .read_only = true};
    ck_code(lam_db_open("/db", &o, &db, &err), LAM_NOT_FOUND);
    o = (struct lam_options){.env = mem};
    ck_code(lam_db_open("/no/parent", &o, &db, &err), LAM_NOT_FOUND);
    o.must_not_exist = true;
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    ck_ok(lam_db_close(db, &err), &err);
    ck_code(lam_db_open("/db", &o, &db, &err), LAM_EXISTS);
    lam_env_mem_free(mem);
}
END_TEST

START_TEST(read_only_reads_everything_and_changes_nothing) {
    start();
    put("in", "sst");
    ck_ok(lam_db_dump(db, &err), &err);
    put("in-log", "log");
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env *fault = env_fault_new(mem);
    env_fault_arm(fault, FAULT_MUTATE, 0, LAM_IO, false);
    struct lam_options o = {.env = fault, .read_only = true};
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &part, &err), &err);
    expect(part, "in", "sst");
    expect(part, "in-log", "log");
    ck_code(lam_put(db, NULL, part, S("a"), S("b"), &err), LAM_READ_ONLY);
    lam_batch *batch;
    ck_ok(lam_batch_new(db, &batch, &err), &err);
    ck_ok(lam_batch_put(batch, part, S("a"), S("b"), &err), &err);
    ck_code(lam_write(db, NULL, batch, NULL, &err), LAM_READ_ONLY);
    lam_batch_free(batch);
    ck_code(lam_partition_create(db, "q", NULL, &part, &err), LAM_READ_ONLY);
    ck_code(lam_db_dump(db, &err), LAM_READ_ONLY);
    ck_ok(lam_sync(db, 5, &err), &err);
    ck_ok(lam_db_check(db, NULL, NULL, &err), &err);
    ck_ok(lam_db_close(db, &err), &err);
    ck_assert_uint_eq(env_fault_count(fault), 0);
    env_fault_free(fault);
    lam_env_mem_free(mem);
}
END_TEST

/* --- stamps and attachments --------------------------------------------------------------------
 */

struct stamp {
    lam_partition *partition;
    uint64_t offset;
    bool fail;
};

static enum lam_code stamp_batch(void *arg, lam_batch *batch, struct lam_error *e) {
    struct stamp *s = arg;
    if (s->fail)
        return LAM_CONFLICT;
    memcpy(db_batch_value(batch, s->offset), "STAMP", 5);
    return lam_batch_put(batch, s->partition, S("added"), S("by stamp"), e);
}

START_TEST(stamp_patches_values_appends_and_aborts) {
    start();
    lam_batch *b;
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_batch_put(b, part, S("k"), S("-----tail"), &err), &err);
    struct stamp s = {part, db_batch_value_offset(b), true};
    ck_ok(lam_batch_put(b, part, S("l"), S("other"), &err), &err);
    ck_code(db_write_stamped(db, NULL, b, stamp_batch, &s, NULL, &err), LAM_CONFLICT);
    expect(part, "k", NULL);
    s.fail = false;
    ck_ok(db_write_stamped(db, NULL, b, stamp_batch, &s, NULL, &err), &err);
    expect(part, "k", "STAMPtail");
    expect(part, "l", "other");
    expect(part, "added", "by stamp");
    lam_batch_free(b);
    stop();
}
END_TEST

static char order[16];
static bool refuse;
static int upper_object, lower_object;

static enum lam_code open_lower(lam_db *d, void **object, struct lam_error *e) {
    (void)e;
    ck_ok(lam_put(d, NULL, part, S("made"), S("lower"), &err), &err);
    strcat(order, "l");
    *object = &lower_object;
    return LAM_OK;
}
static enum lam_code closing(void *object, struct lam_error *e) {
    (void)object;
    return refuse ? ({
        e->code = LAM_BUSY;
        LAM_BUSY;
    })
                  : LAM_OK;
}
static void close_lower(void *object) {
    ck_assert_ptr_eq(object, &lower_object);
    strcat(order, "L");
}
static const struct db_attachment lower = {DB_LAYER_CATALOG, open_lower, closing, close_lower};
static enum lam_code open_upper(lam_db *d, void **object, struct lam_error *e) {
    void *below;
    enum lam_code rc = db_attach(d, &lower, &below, e);
    ck_assert_ptr_eq(below, &lower_object);
    strcat(order, "u");
    *object = &upper_object;
    return rc;
}
static void close_upper(void *object) {
    ck_assert_ptr_eq(object, &upper_object);
    strcat(order, "U");
}
static const struct db_attachment upper = {DB_LAYER_SQL, open_upper, NULL, close_upper};

START_TEST(layers_are_made_once_from_below_and_closed_from_above) {
    start();
    void *a, *b;
    ck_ok(db_attach(db, &upper, &a, &err), &err);
    ck_ok(db_attach(db, &upper, &b, &err), &err);
    ck_assert_ptr_eq(a, b);
    refuse = true;
    ck_code(lam_db_close(db, &err), LAM_BUSY);
    expect(part, "made", "lower");
    refuse = false;
    stop();
    ck_assert_str_eq(order, "luUL");
}
END_TEST

/* --- durability --------------------------------------------------------------------------------
 */

START_TEST(failed_log_sync_is_final) {
    start();
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env *fault = env_fault_new(mem);
    opts.env = fault;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &part, &err), &err);
    put("before", "1");
    struct lam_write_options sync = {LAM_DURABILITY_SYNC};
    env_fault_arm(fault, FAULT_SYNC, 1, LAM_IO, false);
    ck_code(lam_put(db, &sync, part, S("k"), S("v"), &err), LAM_UNKNOWN_OUTCOME);
    /* Visible, not acknowledged; nothing is synced again though it would succeed now. */
    expect(part, "k", "v");
    env_fault_arm(fault, FAULT_MUTATE, 0, LAM_IO, false);
    ck_code(lam_put(db, NULL, part, S("l"), S("v"), &err), LAM_READ_ONLY);
    ck_code(lam_sync(db, LAM_SEQUENCE_MAX, &err), LAM_UNKNOWN_OUTCOME);
    ck_code(lam_partition_create(db, "q", NULL, &part, &err), LAM_READ_ONLY);
    expect(part, "before", "1");
    ck_assert_uint_eq(env_fault_count(fault), 0);
    lam_partition_release(part);
    ck_code(lam_db_close(db, &err), LAM_READ_ONLY);
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &part, &err), &err);
    expect(part, "before", "1");
    put("after", "2");
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    env_fault_free(fault);
    lam_env_mem_free(mem);
}
END_TEST

/* The engine's handle on `fault`, an environment over `mem`. */
static lam_env *start_over_faults(void) {
    start();
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env *fault = env_fault_new(mem);
    opts.env = fault;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &part, &err), &err);
    return fault;
}

static void stop_over_faults(lam_env *fault) {
    lam_partition_release(part);
    IGNORE(lam_db_close(db, &err), "it may refuse writes");
    env_fault_free(fault);
    lam_env_mem_free(mem);
}

/* Two sets of memtables wait to be dumped, the disk being full; then the third rotation's dump
 * gets as far as the manifest. The write that waits for it has not happened, and says so. */
START_TEST(write_that_waits_for_a_dump_has_no_unknown_outcome) {
    opts.memory_budget = 4u << 20;
    opts.manual_background = true;
    bool refused = false;
    for (uint64_t nth = 1; nth < 12 && !refused; nth++) {
        lam_env *fault = start_over_faults();
        uint8_t *value = calloc(1, 100000);
        char key[16];
        enum lam_code rc = LAM_OK;
        env_fault_arm(fault, FAULT_NAME, 1, LAM_NO_SPACE, true);
        for (int i = 0; i < 100 && rc == LAM_OK; i++) {
            snprintf(key, sizeof key, "k%03d", i);
            rc = lam_put(db, NULL, part, S(key), lam_slice_of(value, 100000), &err);
        }
        ck_code(rc, LAM_NO_SPACE);
        env_fault_arm(fault, FAULT_SYNC, nth, LAM_IO, true);
        for (int i = 0; i < 100 && (rc == LAM_OK || rc == LAM_NO_SPACE || rc == LAM_IO); i++) {
            rc = lam_put(db, NULL, part, S("next"), lam_slice_of(value, 100000), &err);
            ck_assert_int_ne(rc, LAM_UNKNOWN_OUTCOME);
        }
        refused = rc == LAM_READ_ONLY;
        if (refused)
            ck_contains(err.message, "since");
        free(value);
        stop_over_faults(fault);
    }
    ck_assert(refused);
}
END_TEST

/* No memory for an edit of the manifest, of which not a byte was written. On real files, which take
 * no memory of the library's. */
START_TEST(manifest_edit_without_memory_is_clean_and_writes_resume) {
    char path[300], name[400];
    unsigned failed = 0;
    bool reached = true;
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    opts = (struct lam_options){.manual_background = true};
    for (size_t nth = 1; reached; nth++) {
        snprintf(path, sizeof path, "%s/db%zu", test_dir(), nth);
        ck_ok(lam_db_open(path, &opts, &db, &err), &err);
        oom_arm_once(nth);
        enum lam_code rc = lam_partition_create(db, name, NULL, &part, &err);
        reached = oom.seen >= nth;
        oom_arm(0);
        if (rc != LAM_OK) {
            ck_code(rc, LAM_NO_MEMORY);
            ck_ok(lam_partition_create(db, name, NULL, &part, &err), &err);
            failed++;
        }
        put("k", "v");
        expect(part, "k", "v");
        lam_partition_release(part);
        ck_ok(lam_db_close(db, &err), &err);
    }
    ck_assert_uint_gt(failed, 3);
}
END_TEST

/* A manifest too long is rewritten: what fails before ROOT is touched is tried again later. */
START_TEST(disk_full_for_a_fresh_manifest_stops_no_writes) {
    opts.manual_background = true;
    lam_env *fault = start_over_faults();
    char name[400];
    lam_partition *p;
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    /* Edits of a few hundred bytes that leave nothing behind. */
    for (int i = 0; i < 11000; i++) {
        ck_ok(lam_partition_create(db, name, NULL, &p, &err), &err);
        ck_ok(lam_partition_drop(db, p, &err), &err);
        lam_partition_release(p);
    }
    put("k", "v");
    /* Made anew: a segment of the log, an SST, then the manifest. */
    env_fault_arm(fault, FAULT_NAME, 3, LAM_NO_SPACE, false);
    ck_ok(lam_db_dump(db, &err), &err);
    ck_assert_uint_eq(env_fault_fired(fault), 1);
    put("after", "1");
    ck_ok(lam_db_dump(db, &err), &err);
    expect(part, "after", "1");
    stop_over_faults(fault);
}
END_TEST

/* Descriptors that the environment still gives out; files that are open. */
static struct lam_env_ops counting;
static const struct lam_env_ops *uncounted;
static int open_now, open_most;

static enum lam_code counted_open(lam_env *env, const char *path, unsigned flags, lam_file **out,
                                  struct lam_error *e) {
    if (open_now >= open_most) {
        enum lam_code rc = ERR(e, LAM_IO, "opening %s: too many open files", path);
        if (e)
            e->os_errno = EMFILE;
        return rc;
    }
    enum lam_code rc = uncounted->file_open(env, path, flags, out, e);
    open_now += rc == LAM_OK;
    return rc;
}
static enum lam_code counted_close(lam_file *file, struct lam_error *e) {
    open_now--;
    return uncounted->file_close(file, e);
}

START_TEST(log_and_dumps_take_descriptors_from_cached_files) {
    opts.manual_background = true;
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    uncounted = mem->ops;
    counting = *mem->ops;
    counting.file_open = counted_open;
    counting.file_close = counted_close;
    mem->ops = &counting;
    open_now = 0;
    open_most = 1000;
    opts.env = mem;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    /* A file a partition, all of them open for readers. */
    for (int i = 0; i < 8; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", i);
        ck_ok(lam_partition_create(db, name, NULL, &part, &err), &err);
        put("k", "v");
        ck_ok(lam_db_dump(db, &err), &err);
        expect(part, "k", "v");
        lam_partition_release(part);
    }
    ck_ok(lam_partition_open(db, "p0", &part, &err), &err);
    open_most = open_now;
    for (int i = 0; i < 3; i++) {
        put("late", "w");
        ck_ok(lam_db_dump(db, &err), &err);
    }
    expect(part, "late", "w");
    open_most = 1000;
    stop();
}
END_TEST

START_TEST(failed_append_is_clean_and_writes_resume) {
    start();
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env *fault = env_fault_new(mem);
    opts.env = fault;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &part, &err), &err);
    put("a", "1");
    env_fault_arm(fault, FAULT_WRITE, 1, LAM_NO_SPACE, false);
    ck_code(lam_put(db, NULL, part, S("b"), S("2"), &err), LAM_NO_SPACE);
    expect(part, "b", NULL);
    put("c", "3");
    lam_env *image;
    ck_ok(lam_env_mem_crash(mem, LAM_CRASH_PROCESS, 0, &image, &err), &err);
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    opts.env = image;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &part, &err), &err);
    expect(part, "a", "1");
    expect(part, "b", NULL);
    expect(part, "c", "3");
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(image);
    env_fault_free(fault);
    lam_env_mem_free(mem);
}
END_TEST

START_TEST(failed_dump_is_told_and_tried_again) {
    opts.memory_budget = 4u << 20;
    opts.manual_background = true;
    start();
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env *fault = env_fault_new(mem);
    opts.env = fault;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &part, &err), &err);
    uint8_t *value = calloc(1, 100000);
    enum lam_code rc = LAM_OK;
    char key[16];
    int good = 0;
    /* The disk is full for new files only: the log goes on in its segments for a while. */
    env_fault_arm(fault, FAULT_NAME, 1, LAM_NO_SPACE, true);
    for (; good < 100 && rc == LAM_OK; good++) {
        snprintf(key, sizeof key, "k%03d", good);
        rc = lam_put(db, NULL, part, S(key), lam_slice_of(value, 100000), &err);
    }
    ck_assert_int_eq(rc, LAM_NO_SPACE);
    env_fault_arm(fault, FAULT_NAME, 0, LAM_IO, false);
    for (int i = good - 1; i < 100; i++) {
        snprintf(key, sizeof key, "k%03d", i);
        ck_ok(lam_put(db, NULL, part, S(key), lam_slice_of(value, 100000), &err), &err);
    }
    struct lam_stats s;
    lam_db_stats(db, &s);
    ck_assert_uint_gt(s.dumps, 5);
    for (int i = 0; i < 100; i++) {
        struct lam_value v = {0};
        snprintf(key, sizeof key, "k%03d", i);
        ck_ok(lam_get(db, NULL, part, S(key), &v, &err), &err);
        lam_value_release(&v);
    }
    free(value);
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    env_fault_free(fault);
    lam_env_mem_free(mem);
}
END_TEST

START_TEST(unreadable_file_is_an_error_and_never_not_found) {
    opts.manual_background = true;
    start();
    put("k", "v");
    ck_ok(lam_db_dump(db, &err), &err);
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env *fault = env_fault_new(mem);
    opts.env = fault;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &part, &err), &err);
    struct lam_value v = {0};
    lam_iter *it;
    env_fault_arm(fault, FAULT_OPEN | FAULT_READ, 1, LAM_IO, true);
    ck_code(lam_get(db, NULL, part, S("k"), &v, &err), LAM_IO);
    ck_ok(lam_iter_new(db, NULL, part, &it, &err), &err);
    lam_iter_seek_first(it);
    ck_assert(!lam_iter_valid(it));
    ck_code(lam_iter_status(it, &err), LAM_IO);
    env_fault_arm(fault, FAULT_OPEN, 0, LAM_IO, false);
    lam_iter_seek_last(it);
    ck_assert(lam_iter_valid(it));
    ck_ok(lam_iter_status(it, &err), &err);
    lam_iter_free(it);
    expect(part, "k", "v");
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    /* What could not be read is not called corrupt. */
    env_fault_arm(fault, FAULT_READ, 2, LAM_IO, true);
    ck_ok(lam_check("/db", mem, NULL, NULL, &err), &err);
    enum lam_code checked = lam_check("/db", fault, NULL, NULL, &err);
    ck_code(checked, LAM_IO);
    env_fault_free(fault);
    lam_env_mem_free(mem);
}
END_TEST

/* --- threads -----------------------------------------------------------------------------------
 */

#define THREADS 4
static atomic_bool stopping;
static atomic_uint_fast64_t operations;

struct worker {
    struct thread thread;
    uint64_t seed;
    int index;
};

static void sync_writer(void *arg) {
    struct worker *w = arg;
    struct lam_write_options sync = {LAM_DURABILITY_SYNC};
    struct lam_error e = {0};
    char key[32];
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "w%d-%04d", w->index, i);
        ck_ok(lam_put(db, &sync, part, S(key), S("v"), &e), &e);
    }
}

START_TEST(sync_commits_of_many_threads_share_syncs_and_survive_a_power_loss) {
    start();
    struct worker w[THREADS];
    for (int i = 0; i < THREADS; i++) {
        w[i].index = i;
        ck_ok(thread_start(&w[i].thread, sync_writer, &w[i], &err), &err);
    }
    for (int i = 0; i < THREADS; i++)
        thread_join(&w[i].thread);
    struct lam_stats s;
    lam_db_stats(db, &s);
    ck_assert_uint_ge(s.sync_waits, 1);
    ck_assert_uint_le(s.wal_syncs, s.sync_waits + 1);
    lam_env *image;
    ck_ok(lam_env_mem_crash(mem, LAM_CRASH_POWER, 0, &image, &err), &err);
    stop();
    opts.env = image;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &part, &err), &err);
    lam_db_stats(db, &s);
    ck_assert_uint_eq(s.recovered_operations, THREADS * 200);
    expect(part, "w3-0199", "v");
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(image);
}
END_TEST

/* Every batch writes one number under two keys in two partitions: readers must see it twice. */
static lam_partition *twin;

static void twin_writer(void *arg) {
    struct worker *w = arg;
    struct lam_error e = {0};
    struct rng rng;
    rng_init(&rng, w->seed);
    lam_batch *b;
    ck_ok(lam_batch_new(db, &b, &e), &e);
    uint8_t value[600];
    memset(value, 'x', sizeof value);
    for (int i = 0; i < 6000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%03u", (unsigned)rng_below(&rng, 300));
        uint64_t number = rng_next(&rng);
        memcpy(value, &number, 8);
        lam_batch_reset(b);
        if (i % 50 == 49) {
            ck_ok(lam_batch_delete_range(b, part, S("k1"), S("k2"), LAM_SEQUENCE_MAX, &e), &e);
            ck_ok(lam_batch_delete_range(b, twin, S("k1"), S("k2"), LAM_SEQUENCE_MAX, &e), &e);
        } else {
            ck_ok(lam_batch_put(b, part, S(key), lam_slice_of(value, sizeof value), &e), &e);
            ck_ok(lam_batch_put(b, twin, S(key), lam_slice_of(value, sizeof value), &e), &e);
        }
        ck_ok(lam_write(db, NULL, b, NULL, &e), &e);
        if (i % 1000 == 500)
            ck_ok(lam_db_compact(db, NULL, &e), &e);
    }
    lam_batch_free(b);
    atomic_store(&stopping, true);
}

static void twin_reader(void *arg) {
    struct worker *w = arg;
    struct lam_error e = {0};
    struct rng rng;
    rng_init(&rng, w->seed);
    while (!atomic_load(&stopping)) {
        lam_snapshot *s;
        lam_iter *a, *b;
        ck_ok(lam_snapshot_new(db, &s, &e), &e);
        struct lam_read_options o = {.snapshot = s};
        ck_ok(lam_iter_new(db, &o, part, &a, &e), &e);
        ck_ok(lam_iter_new(db, &o, twin, &b, &e), &e);
        lam_iter_seek_first(a);
        lam_iter_seek_first(b);
        while (lam_iter_valid(a)) {
            ck_assert(lam_iter_valid(b));
            struct lam_slice x = lam_iter_value(a), y = lam_iter_value(b);
            ck_assert(lam_iter_key(a).size == lam_iter_key(b).size &&
                      memcmp(lam_iter_key(a).data, lam_iter_key(b).data, lam_iter_key(a).size) ==
                          0);
            ck_assert(x.size == y.size && memcmp(x.data, y.data, x.size) == 0);
            lam_iter_next(a);
            lam_iter_next(b);
            atomic_fetch_add(&operations, 1);
        }
        ck_assert(!lam_iter_valid(b));
        ck_ok(lam_iter_status(a, &e), &e);
        ck_ok(lam_iter_status(b, &e), &e);
        char key[16];
        snprintf(key, sizeof key, "k%03u", (unsigned)rng_below(&rng, 300));
        struct lam_value x = {0}, y = {0};
        enum lam_code rx = lam_get(db, &o, part, S(key), &x, &e);
        enum lam_code ry = lam_get(db, &o, twin, S(key), &y, &e);
        ck_assert_int_eq(rx, ry);
        ck_assert(x.bytes.size == y.bytes.size);
        ck_assert(x.bytes.size == 0 || memcmp(x.bytes.data, y.bytes.data, x.bytes.size) == 0);
        lam_value_release(&x);
        lam_value_release(&y);
        lam_iter_free(a);
        lam_iter_free(b);
        lam_snapshot_free(s);
    }
}

static void dropper(void *arg) {
    struct worker *w = arg;
    struct lam_error e = {0};
    for (int i = 0; !atomic_load(&stopping); i++) {
        char name[32];
        snprintf(name, sizeof name, "temp-%d-%d", w->index, i);
        lam_partition *p;
        ck_ok(lam_partition_create(db, name, NULL, &p, &e), &e);
        for (int k = 0; k < 20; k++) {
            char key[16];
            snprintf(key, sizeof key, "%d", k);
            ck_ok(lam_put(db, NULL, p, S(key), S(name), &e), &e);
        }
        lam_iter *it;
        ck_ok(lam_iter_new(db, NULL, p, &it, &e), &e);
        ck_ok(lam_partition_drop(db, p, &e), &e);
        int seen = 0;
        for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it))
            seen++;
        ck_assert_int_eq(seen, 20);
        lam_iter_free(it);
        lam_partition_release(p);
    }
}

START_TEST(readers_see_whole_batches_during_writes_dumps_compactions_and_drops) {
    opts.memory_budget = 4u << 20;
    start();
    ck_ok(lam_partition_create(db, "twin", NULL, &twin, &err), &err);
    struct worker w[4] = {{.seed = 1}, {.seed = 2}, {.seed = 3}, {.index = 3}};
    ck_ok(thread_start(&w[0].thread, twin_writer, &w[0], &err), &err);
    ck_ok(thread_start(&w[1].thread, twin_reader, &w[1], &err), &err);
    ck_ok(thread_start(&w[2].thread, twin_reader, &w[2], &err), &err);
    ck_ok(thread_start(&w[3].thread, dropper, &w[3], &err), &err);
    for (int i = 0; i < 4; i++)
        thread_join(&w[i].thread);
    struct lam_stats s;
    lam_db_stats(db, &s);
    ck_assert_uint_gt(s.dumps, 3);
    ck_assert_uint_gt(s.compactions, 3);
    ck_assert_uint_gt(atomic_load(&operations), 100);
    ck_ok(lam_db_check(db, NULL, NULL, &err), &err);
    lam_partition_release(twin);
    stop();
}
END_TEST

START_TEST(statistics_count) {
    opts.manual_background = true;
    start();
    for (int i = 0; i < 10; i++)
        put("k", "v");
    expect(part, "k", "v");
    expect(part, "none", NULL);
    ck_ok(lam_db_dump(db, &err), &err);
    expect(part, "none", NULL);
    struct lam_stats s;
    lam_db_stats(db, &s);
    ck_assert_uint_eq(s.sequence, 10);
    ck_assert_uint_eq(s.writes, 10);
    ck_assert_uint_eq(s.operations, 10);
    ck_assert_uint_eq(s.gets, 3);
    ck_assert_uint_eq(s.partitions, 1);
    ck_assert_uint_eq(s.dumps, 1);
    ck_assert_uint_eq(s.sst_files, 1);
    ck_assert_uint_gt(s.sst_bytes, 0);
    ck_assert_uint_gt(s.wal_bytes, 400);
    stop();
}
END_TEST

TEST_MAIN("lsm/db", put_get_delete_round_trip, value_memory_is_reused_without_release,
          read_of_a_hidden_value_leaves_no_memory_behind,
          keys_up_to_64_KiB_are_taken_and_longer_ones_refused_by_name,
          large_values_go_through_and_larger_than_a_gibibyte_are_refused, arguments_are_checked,
          batch_takes_consecutive_sequences_and_later_operations_win,
          bounded_range_delete_spares_what_is_newer, covered_files_are_dropped_without_being_read,
          deleted_space_comes_back_when_everything_is_deleted,
          close_is_refused_while_snapshots_and_iterators_are_open,
          second_open_is_busy_here_and_in_another_process, open_options_say_what_must_be_there,
          read_only_reads_everything_and_changes_nothing, stamp_patches_values_appends_and_aborts,
          layers_are_made_once_from_below_and_closed_from_above, failed_log_sync_is_final,
          failed_append_is_clean_and_writes_resume,
          write_that_waits_for_a_dump_has_no_unknown_outcome,
          manifest_edit_without_memory_is_clean_and_writes_resume,
          disk_full_for_a_fresh_manifest_stops_no_writes,
          log_and_dumps_take_descriptors_from_cached_files, failed_dump_is_told_and_tried_again,
          unreadable_file_is_an_error_and_never_not_found,
          sync_commits_of_many_threads_share_syncs_and_survive_a_power_loss,
          readers_see_whole_batches_during_writes_dumps_compactions_and_drops, statistics_count)
