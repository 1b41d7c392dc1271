/* SPDX-License-Identifier: Apache-2.0
 *
 * Partitions: names, life cycle, many of them, space that comes back, files by age. */
#include "base/env.h"
#include "lsm/db_impl.h"
#include "lsm/filename.h"
#include "tests/support/env_fault.h"
#include "tests/support/oom.h"
#include "tests/support/test.h"

static lam_env *mem;
static lam_db *db;
static struct lam_error err;
static struct lam_options opts;

#define S(text) lam_slice_str(text)

static void start(void) {
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    opts.env = mem;
    opts.manual_background = true;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
}

static void stop(void) {
    ck_ok(lam_db_close(db, &err), &err);
    ck_ok(lam_check("/db", mem, NULL, NULL, &err), &err);
    lam_env_mem_free(mem);
}

static lam_partition *make(const char *name) {
    lam_partition *p;
    ck_ok(lam_partition_create(db, name, NULL, &p, &err), &err);
    return p;
}

static void put(lam_partition *p, const char *key, const char *value) {
    ck_ok(lam_put(db, NULL, p, S(key), S(value), &err), &err);
}

START_TEST(names_are_checked) {
    start();
    lam_partition *p;
    char name[LAM_PARTITION_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[LAM_PARTITION_NAME_MAX + 1] = 0;
    ck_code(lam_partition_create(db, "", NULL, &p, &err), LAM_INVALID);
    ck_code(lam_partition_create(db, name, NULL, &p, &err), LAM_LIMIT);
    ck_contains(err.message, "513");
    name[LAM_PARTITION_NAME_MAX] = 0;
    p = make(name);
    ck_assert_str_eq(lam_partition_name(p), name);
    lam_partition_release(p);
    ck_code(lam_partition_create(db, "bad\xff", NULL, &p, &err), LAM_INVALID);
    ck_code(lam_partition_create(db, NULL, NULL, &p, &err), LAM_INVALID);
    ck_code(lam_partition_create(db, "x", NULL, NULL, &err), LAM_INVALID);
    ck_code(lam_partition_create(
                db, "x", &(struct lam_partition_options){.compression = (enum lam_compression)7},
                &p, &err),
            LAM_INVALID);
    lam_partition_release(make("dup"));
    ck_code(lam_partition_create(db, "dup", NULL, &p, &err), LAM_EXISTS);
    ck_code(lam_partition_open(db, "absent", &p, &err), LAM_NOT_FOUND);
    ck_contains(err.message, "absent");
    stop();
}
END_TEST

static bool collect(void *arg, const char *name) {
    strcat(arg, name);
    strcat(arg, ",");
    return strcmp(name, "stop") != 0;
}

START_TEST(list_goes_by_name_until_told_to_stop) {
    start();
    char out[100] = "";
    lam_partition_release(make("zeta"));
    lam_partition_release(make("alpha"));
    lam_partition_release(make("mu"));
    ck_ok(lam_partition_list(db, collect, out, &err), &err);
    ck_assert_str_eq(out, "alpha,mu,zeta,");
    lam_partition_release(make("stop"));
    out[0] = 0;
    ck_ok(lam_partition_list(db, collect, out, &err), &err);
    ck_assert_str_eq(out, "alpha,mu,stop,");
    stop();
}
END_TEST

static bool count_ssts(void *arg, const char *name) {
    uint64_t number;
    if (filename_parse(name, &number) == FILE_SST)
        ++*(int *)arg;
    return true;
}

static int ssts(void) {
    int n = 0;
    ck_ok(env_dir_list(mem, "/db", count_ssts, &n, &err), &err);
    return n;
}

START_TEST(drop_is_seen_at_once_and_iterators_read_on) {
    start();
    lam_partition *p = make("p"), *second;
    put(p, "a", "1");
    ck_ok(lam_db_dump(db, &err), &err);
    put(p, "b", "2");
    lam_batch *b;
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_batch_put(b, p, S("c"), S("3"), &err), &err);
    lam_iter *it;
    ck_ok(lam_iter_new(db, NULL, p, &it, &err), &err);
    ck_ok(lam_partition_open(db, "p", &second, &err), &err);
    ck_assert_int_eq(ssts(), 1);
    ck_ok(lam_partition_drop(db, p, &err), &err);
    ck_code(lam_partition_drop(db, second, &err), LAM_NOT_FOUND);
    struct lam_value v = {0};
    ck_code(lam_get(db, NULL, second, S("a"), &v, &err), LAM_NOT_FOUND);
    ck_contains(err.message, "\"p\"");
    ck_code(lam_write(db, NULL, b, NULL, &err), LAM_NOT_FOUND);
    ck_contains(err.message, "\"p\"");
    int seen = 0;
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it))
        seen++;
    ck_ok(lam_iter_status(it, &err), &err);
    ck_assert_int_eq(seen, 2);
    ck_assert_int_eq(ssts(), 1);
    lam_iter_free(it);
    ck_assert_int_eq(ssts(), 0);
    lam_batch_free(b);
    lam_partition_release(p);
    lam_partition_release(second);
    /* The name is free again, and nothing of the old one shows. */
    p = make("p");
    ck_code(lam_get(db, NULL, p, S("a"), &v, &err), LAM_NOT_FOUND);
    lam_partition_release(p);
    stop();
}
END_TEST

START_TEST(many_partitions_survive_reopening_and_cost_no_file) {
    start();
    char name[32];
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "part-%04d", i);
        lam_partition_release(make(name));
    }
    ck_ok(lam_db_dump(db, &err), &err);
    ck_assert_int_eq(ssts(), 0);
    lam_batch *b;
    ck_ok(lam_batch_new(db, &b, &err), &err);
    for (int i = 0; i < 2000; i += 10) {
        lam_partition *p;
        snprintf(name, sizeof name, "part-%04d", i);
        ck_ok(lam_partition_open(db, name, &p, &err), &err);
        ck_ok(lam_batch_put(b, p, S("name"), S(name), &err), &err);
        lam_partition_release(p);
    }
    ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
    lam_batch_free(b);
    struct lam_stats s;
    ck_ok(lam_db_close(db, &err), &err);
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    lam_db_stats(db, &s);
    ck_assert_uint_eq(s.partitions, 2000);
    for (int i = 0; i < 2000; i++) {
        lam_partition *p;
        struct lam_value v = {0};
        snprintf(name, sizeof name, "part-%04d", i);
        ck_ok(lam_partition_open(db, name, &p, &err), &err);
        enum lam_code rc = lam_get(db, NULL, p, S("name"), &v, &err);
        ck_assert_int_eq(rc, i % 10 ? LAM_NOT_FOUND : LAM_OK);
        ck_assert(i % 10 || memcmp(v.bytes.data, name, strlen(name)) == 0);
        lam_value_release(&v);
        lam_partition_release(p);
    }
    stop();
}
END_TEST

/* --- many at once ------------------------------------------------------------------------------
 */

static void list_all(char *out) {
    out[0] = 0;
    ck_ok(lam_partition_list(db, collect, out, &err), &err);
}

START_TEST(many_are_made_at_once_or_none) {
    start();
    char out[200];
    lam_partition *p[4] = {0};
    const char *const names[] = {"m", "c", "x", "a"};
    const char *const more[] = {"b", "x2", "c"};
    const char *const twice[] = {"t", "u", "t"};
    const char *const bad[] = {"fine", ""};
    lam_partition_release(make("k"));
    struct lam_partition_options o = {.ttl_seconds = 7};
    ck_ok(lam_partition_create_many(db, names, 4, &o, p, &err), &err);
    for (int i = 0; i < 4; i++) {
        ck_assert_str_eq(lam_partition_name(p[i]), names[i]);
        put(p[i], "name", names[i]);
        lam_partition_release(p[i]);
    }
    ck_code(lam_partition_create_many(db, more, 3, NULL, p, &err), LAM_EXISTS);
    ck_contains(err.message, "\"c\"");
    ck_code(lam_partition_create_many(db, twice, 3, NULL, p, &err), LAM_INVALID);
    ck_contains(err.message, "\"t\" is to be made twice");
    ck_code(lam_partition_create_many(db, bad, 2, NULL, p, &err), LAM_INVALID);
    ck_code(lam_partition_create_many(db, NULL, 2, NULL, p, &err), LAM_INVALID);
    ck_ok(lam_partition_create_many(db, more, 0, NULL, NULL, &err), &err);
    list_all(out);
    ck_assert_str_eq(out, "a,c,k,m,x,");
    ck_ok(lam_partition_create_many(db, more, 2, NULL, NULL, &err), &err);
    ck_ok(lam_db_close(db, &err), &err);
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    list_all(out);
    ck_assert_str_eq(out, "a,b,c,k,m,x,x2,");
    for (int i = 0; i < 4; i++) {
        struct lam_value v = {0};
        ck_ok(lam_partition_open(db, names[i], &p[i], &err), &err);
        ck_ok(lam_get(db, NULL, p[i], S("name"), &v, &err), &err);
        ck_assert(slice_eq_str(v.bytes, names[i]));
        lam_value_release(&v);
        lam_partition_release(p[i]);
    }
    stop();
}
END_TEST

START_TEST(many_are_made_whole_when_memory_runs_out) {
    start();
    char text[40][8], out[400];
    const char *names[40];
    for (int i = 0; i < 40; i++) {
        snprintf(text[i], sizeof text[i], "n%02d", i * 7 % 40);
        names[i] = text[i];
    }
    lam_partition_release(make("n10x"));
    size_t nth = 1;
    for (;; nth++) {
        oom_arm_once(nth);
        enum lam_code rc = lam_partition_create_many(db, names, 40, NULL, NULL, &err);
        bool fired = oom_fired();
        if (rc == LAM_OK)
            break;
        ck_assert(fired);
        if (rc == LAM_UNKNOWN_OUTCOME) { /* it was the file's memory */
            ck_code(lam_db_close(db, &err), LAM_READ_ONLY);
            ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
        } else {
            ck_code(rc, LAM_NO_MEMORY);
        }
        list_all(out);
        ck_assert_str_eq(out, "n10x,");
    }
    ck_assert_uint_gt(nth, 40);
    list_all(out);
    ck_contains(out, "n10,n10x,n11,");
    ck_assert_uint_eq(strlen(out), 40 * 4 + 5);
    stop();
}
END_TEST

/* Bytes that the library has out. */
static int64_t heap_bytes;

static void *count_resize(void *arg, void *ptr, size_t size) {
    size_t *block = ptr ? (size_t *)ptr - 2 : NULL;
    (void)arg;
    heap_bytes -= block ? (int64_t)block[0] : 0;
    if (size == 0) {
        free(block);
        return NULL;
    }
    block = realloc(block, size + 2 * sizeof *block);
    ck_assert(block);
    block[0] = size;
    heap_bytes += (int64_t)size;
    return block + 2;
}

/* Makes a partition with 100 KiB in memory and as much in a file. */
static lam_partition *make_full(void) {
    char key[16], value[1024];
    memset(value, 'v', sizeof value);
    lam_partition *p = make("full");
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "%d", i);
        ck_ok(lam_put(db, NULL, p, S(key), lam_slice_of(value, sizeof value), &err), &err);
        if (i == 100)
            ck_ok(lam_db_dump(db, &err), &err);
    }
    return p;
}

START_TEST(memory_and_files_of_a_dropped_partition_go_with_its_last_reader) {
    lam_set_allocator(&(struct lam_allocator){count_resize, NULL});
    start();
    int64_t before = 0, full;
    for (int round = 0; round < 3; round++) {
        lam_partition *p = make_full();
        lam_iter *it;
        ck_ok(lam_iter_new(db, NULL, p, &it, &err), &err);
        lam_iter_seek_first(it);
        ck_ok(lam_sync(db, LAM_SEQUENCE_MAX, &err), &err); /* the files' own memory shrinks */
        full = heap_bytes;
        ck_ok(lam_partition_drop(db, p, &err), &err);
        lam_partition_release(p);
        ck_assert_int_eq(ssts(), 1);
        ck_assert_int_gt(heap_bytes, full - 20000);
        lam_iter_free(it);
        ck_assert_int_eq(ssts(), 0);
        ck_assert_int_lt(heap_bytes, full - 90000);
        if (round == 0)
            before = heap_bytes;
    }
    /* Of the rounds themselves nothing stays but what the in-memory files hold of log and manifest.
     */
    struct lam_stats s;
    lam_db_stats(db, &s);
    ck_assert_uint_eq(s.memtable_bytes, 0);
    ck_assert_uint_eq(s.cache_bytes, 0);
    ck_assert_int_lt(heap_bytes, before + 700000);
    stop();
    lam_set_allocator(NULL);
}
END_TEST

/* --- a clock that the test sets ----------------------------------------------------------------
 */

static int64_t clock_us = 1000000000000;
static struct lam_env_ops clock_ops;

static int64_t test_now(lam_env *env) {
    (void)env;
    return clock_us;
}

START_TEST(expired_files_go_whole_and_unread) {
    start();
    ck_ok(lam_db_close(db, &err), &err);
    clock_ops = *mem->ops;
    clock_ops.now_us = test_now;
    mem->ops = &clock_ops;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    lam_partition *ttl, *plain;
    struct lam_partition_options o = {.ttl_seconds = 100};
    ck_ok(lam_partition_create(db, "ttl", &o, &ttl, &err), &err);
    plain = make("plain");
    put(ttl, "old", "1");
    put(plain, "old", "1");
    ck_ok(lam_db_dump(db, &err), &err);
    clock_us += 99 * 1000000ll;
    put(ttl, "young", "2");
    ck_ok(lam_db_dump(db, &err), &err);
    struct lam_value v = {0};
    ck_ok(lam_get(db, NULL, ttl, S("old"), &v, &err), &err);
    clock_us += 2 * 1000000ll;
    put(plain, "more", "2");
    ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(lam_db_compact(db, ttl, &err), &err);
    ck_code(lam_get(db, NULL, ttl, S("old"), &v, &err), LAM_NOT_FOUND);
    ck_ok(lam_get(db, NULL, ttl, S("young"), &v, &err), &err);
    ck_ok(lam_get(db, NULL, plain, S("old"), &v, &err), &err);
    lam_value_release(&v);
    lam_partition_release(ttl);
    lam_partition_release(plain);
    stop();
}
END_TEST

/* --- calls at the same time --- */

#define CALLS 6u
struct call {
    const char *name;
    struct lam_partition_options options;
    enum lam_code rc; /* out, and the rest */
    lam_partition *partition;
    struct lam_error err;
};

static void run_call(void *arg) {
    struct call *c = arg;
    c->rc = lam_partition_create(db, c->name, &c->options, &c->partition, &c->err);
}

static size_t calls_waiting(void) {
    size_t count = 0;
    mutex_lock(&db->state);
    for (const struct db_creation *c = db_state(db)->creations; c; c = c->next)
        count++;
    mutex_unlock(&db->state);
    return count;
}

/* Runs them all at once; the syncs they take, the `fails`th of which fails. */
static uint64_t call_at_once(lam_env *env, struct call *calls, uint64_t fails) {
    struct thread threads[CALLS];
    mutex_lock(&db->partitions);
    for (size_t i = 0; i < CALLS; i++)
        ck_ok(thread_start(&threads[i], run_call, &calls[i], &err), &err);
    while (calls_waiting() < CALLS)
        thread_yield();
    env_fault_arm(env, FAULT_SYNC, fails, LAM_IO, false);
    mutex_unlock(&db->partitions);
    for (size_t i = 0; i < CALLS; i++)
        thread_join(&threads[i]);
    for (size_t i = 0; i < CALLS; i++)
        lam_partition_release(calls[i].partition);
    return env_fault_count(env);
}

START_TEST(calls_at_the_same_time_share_a_sync_but_no_failure) {
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    lam_env *env = env_fault_new(mem);
    struct lam_options o = {.env = env};
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    struct call good[CALLS] = {{.name = "a"}, {.name = "b"}, {.name = "c"},
                               {.name = "d"}, {.name = "e"}, {.name = "f"}};
    ck_assert_uint_eq(call_at_once(env, good, 0), 1);
    for (size_t i = 0; i < CALLS; i++) {
        ck_ok(good[i].rc, &good[i].err);
        put(good[i].partition, "key", good[i].name);
    }
    ck_ok(lam_sync(db, LAM_SEQUENCE_MAX, &err), &err);
    /* Two want the same name, two may share one. */
    const struct lam_partition_options shared = {.may_exist = true};
    struct call odd[CALLS] = {{.name = "g"},
                              {.name = "same"},
                              {.name = "same"},
                              {"both", .options = shared},
                              {"both", .options = shared},
                              {.name = "h"}};
    call_at_once(env, odd, 0);
    ck_assert_int_eq(odd[1].rc + odd[2].rc, LAM_EXISTS);
    ck_ok(odd[0].rc, &odd[0].err);
    ck_ok(odd[3].rc, &odd[3].err);
    ck_ok(odd[4].rc, &odd[4].err);
    ck_ok(odd[5].rc, &odd[5].err);
    ck_assert_ptr_eq(odd[3].partition, odd[4].partition);
    /* What may be on disk all are told. */
    struct call lost[CALLS] = {{.name = "i"}, {.name = "j"}, {.name = "k"},
                               {.name = "l"}, {.name = "m"}, {.name = "n"}};
    call_at_once(env, lost, 1);
    for (size_t i = 0; i < CALLS; i++)
        ck_assert_int_eq(lost[i].rc, LAM_UNKNOWN_OUTCOME);
    ck_code(lam_db_close(db, &err), LAM_READ_ONLY);
    o.env = mem;
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    char out[100] = "";
    ck_ok(lam_partition_list(db, collect, out, &err), &err);
    ck_assert(strncmp(out, "a,b,both,c,d,e,f,g,h,", 21) == 0);
    env_fault_free(env);
    stop();
}
END_TEST

TEST_MAIN("lsm/db_partition", names_are_checked, list_goes_by_name_until_told_to_stop,
          drop_is_seen_at_once_and_iterators_read_on,
          many_partitions_survive_reopening_and_cost_no_file, many_are_made_at_once_or_none,
          calls_at_the_same_time_share_a_sync_but_no_failure,
          many_are_made_whole_when_memory_runs_out,
          memory_and_files_of_a_dropped_partition_go_with_its_last_reader,
          expired_files_go_whole_and_unread)
