/* SPDX-License-Identifier: Apache-2.0
 *
 * The log segment that is prepared before it is needed. Tasks of the environment are kept back and
 * run when a test says so. */
#include "base/env.h"
#include "lsm/db_impl.h"
#include "lsm/lsm.h"
#include "tests/support/test.h"

#define DIR         "/db"
#define VALUE_BYTES 10000u
/* Puts that fill more than an eighth of a segment, and half of one, with the least memory_budget.
 */
#define EIGHTH 7u
#define HALF   30u

static struct lam_error err;
static struct {
    struct lam_env_ops ops;
    enum lam_code (*file_open)(lam_env *env, const char *path, unsigned flags, lam_file **file_out,
                               struct lam_error *err);
    lam_task_fn fn;   /* of the log's lane, not run yet; NULL: none */
    void *arg;        /* its */
    unsigned asked;   /* tasks of that lane */
    unsigned made;    /* log segments made */
    bool no_space;    /* none can be */
    lam_db *failing;  /* stops to take writes while the next one is made; NULL: none */
    bool other_lanes; /* their tasks are run at once; else dropped */
} hook;

static bool is_log(const char *path) {
    size_t n = strlen(path);
    return n > 4 && strcmp(path + n - 4, ".wal") == 0;
}

static enum lam_code open_hooked(lam_env *env, const char *path, unsigned flags,
                                 lam_file **file_out, struct lam_error *e) {
    if (is_log(path) && (flags & LAM_OPEN_WRITE)) {
        hook.made++;
        if (hook.no_space)
            return ERR(e, LAM_NO_SPACE, "%s: no room in this test", path);
        if (hook.failing)
            db_fail(hook.failing, &(struct lam_error){.code = LAM_IO, .message = "test"});
        hook.failing = NULL;
    }
    return hook.file_open(env, path, flags, file_out, e);
}

static enum lam_code keep_task(lam_env *env, enum lam_lane lane, uint64_t delay_us, lam_task_fn fn,
                               void *arg, struct lam_error *e) {
    (void)env;
    (void)delay_us;
    (void)e;
    if (lane == LAM_LANE_LOG) {
        ck_assert_ptr_null(hook.fn);
        hook.fn = fn;
        hook.arg = arg;
        hook.asked++;
    } else if (hook.other_lanes) {
        fn(arg);
    }
    return LAM_OK;
}

static void drop_task(lam_env *env, void *arg) {
    (void)env;
    if (hook.fn && hook.arg == arg)
        hook.fn = NULL;
}

static void run_task(void) {
    lam_task_fn fn = hook.fn;
    ck_assert(fn != NULL);
    hook.fn = NULL;
    fn(hook.arg);
}

static lam_env *start(void) {
    lam_env *env;
    ck_ok(lam_env_mem_new(&env, &err), &err);
    memset(&hook, 0, sizeof hook);
    hook.ops = *env->ops;
    hook.file_open = env->ops->file_open;
    hook.ops.file_open = open_hooked;
    hook.ops.submit = keep_task;
    hook.ops.cancel = drop_task;
    hook.other_lanes = true;
    env->ops = &hook.ops;
    return env;
}

static lam_db *open_db(lam_env *env, lam_partition **p) {
    struct lam_options o = {.env = env, .memory_budget = 4u << 20};
    lam_db *db = NULL;
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    enum lam_code rc = lam_partition_open(db, "p", p, &err);
    if (rc == LAM_NOT_FOUND)
        ck_ok(lam_partition_create(db, "p", NULL, p, &err), &err);
    else
        ck_ok(rc, &err);
    return db;
}

static enum lam_code try_put(lam_db *db, lam_partition *p, unsigned number, size_t size) {
    static uint8_t value[2u << 20];
    char key[16];
    int n = snprintf(key, sizeof key, "%08u", number);
    memset(value, (int)(number % 251), size);
    return lam_put(db, NULL, p, lam_slice_of(key, (size_t)n), lam_slice_of(value, size), &err);
}
static void put(lam_db *db, lam_partition *p, unsigned number, size_t size) {
    ck_ok(try_put(db, p, number, size), &err);
}

static void put_many(lam_db *db, lam_partition *p, unsigned from, unsigned to) {
    for (unsigned i = from; i < to; i++)
        put(db, p, i, VALUE_BYTES);
}

/* Until a segment is asked for; gives how many there are then. */
static unsigned put_until_asked(lam_db *db, lam_partition *p, unsigned from) {
    unsigned asked = hook.asked;
    while (hook.asked == asked)
        put(db, p, from++, VALUE_BYTES);
    return from;
}

/* Keys 0 to `count` are there and no other. */
static void check_rows(lam_db *db, lam_partition *p, unsigned count) {
    lam_iter *it;
    unsigned n = 0;
    ck_ok(lam_iter_new(db, NULL, p, &it, &err), &err);
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it), n++) {
        struct lam_slice key = lam_iter_key(it), value = lam_iter_value(it);
        char text[16];
        snprintf(text, sizeof text, "%08u", n);
        ck_assert_uint_eq(key.size, 8);
        ck_assert(memcmp(key.data, text, 8) == 0);
        ck_assert_uint_eq(((const uint8_t *)value.data)[value.size - 1], n % 251);
    }
    ck_ok(lam_iter_status(it, &err), &err);
    lam_iter_free(it);
    ck_assert_uint_eq(n, count);
}

static void close_db(lam_db *db, lam_partition *p) {
    lam_partition_release(p);
    ck_ok(lam_db_close(db, &err), &err);
}

/* What lies in an environment opens with these rows, and is whole. */
static void check_files(lam_env *env, unsigned count) {
    lam_partition *p;
    lam_db *db = open_db(env, &p);
    check_rows(db, p, count);
    ck_ok(lam_db_check(db, NULL, NULL, &err), &err);
    close_db(db, p);
}

/* What a kill and what a power loss would leave opens with the same rows. */
static void check_images(lam_env *env, lam_db *db, unsigned count) {
    ck_ok(lam_sync(db, UINT64_MAX, &err), &err);
    for (int mode = LAM_CRASH_PROCESS; mode <= LAM_CRASH_POWER; mode++) {
        lam_env *image;
        ck_ok(lam_env_mem_crash(env, (enum lam_crash_mode)mode, 1, &image, &err), &err);
        check_files(image, count);
        lam_env_mem_free(image);
    }
}

static void end(lam_env *env, lam_db *db, lam_partition *p, unsigned count) {
    check_images(env, db, count);
    close_db(db, p);
    check_files(env, count);
    lam_env_mem_free(env);
}

START_TEST(next_segment_is_made_ahead_and_the_roll_makes_none) {
    lam_env *env = start();
    lam_partition *p;
    lam_db *db = open_db(env, &p);
    put_many(db, p, 0, EIGHTH - 1);
    ck_assert_uint_eq(hook.asked, 0);
    put_many(db, p, EIGHTH - 1, HALF);
    ck_assert_uint_eq(hook.asked, 1);
    unsigned made = hook.made;
    run_task();
    ck_assert_uint_eq(hook.made, made + 1);
    check_images(env, db, HALF);
    made = hook.made;
    unsigned count = put_until_asked(db, p, HALF);
    ck_assert_uint_eq(hook.made, made);
    end(env, db, p, count);
}
END_TEST

START_TEST(each_segment_asks_once_for_the_next) {
    lam_env *env = start();
    lam_partition *p;
    lam_db *db = open_db(env, &p);
    unsigned written = 0, made = hook.made;
    for (unsigned asked = 1; asked <= 8; asked++) {
        written = put_until_asked(db, p, written);
        ck_assert_uint_eq(hook.asked, asked);
        ck_assert_uint_eq(hook.made, made + asked - 1);
        run_task();
    }
    ck_assert_uint_ge(written, 4 * HALF);
    end(env, db, p, written);
}
END_TEST

START_TEST(roll_makes_its_own_when_the_task_is_late) {
    lam_env *env = start();
    lam_partition *p;
    lam_db *db = open_db(env, &p);
    put_many(db, p, 0, HALF);
    lam_task_fn late = hook.fn;
    void *arg = hook.arg;
    hook.fn = NULL;
    unsigned made = hook.made;
    unsigned count = put_until_asked(db, p, HALF);
    ck_assert_uint_eq(hook.made, made + 1);
    late(arg);
    ck_assert_uint_eq(hook.made, made + 2);
    late(arg); /* there is one */
    ck_assert_uint_eq(hook.made, made + 2);
    end(env, db, p, count);
}
END_TEST

START_TEST(failure_to_prepare_is_the_rolls_to_tell) {
    lam_env *env = start();
    lam_partition *p;
    lam_db *db = open_db(env, &p);
    put_many(db, p, 0, HALF);
    hook.no_space = true;
    run_task();
    put(db, p, HALF, VALUE_BYTES);
    enum lam_code rc = LAM_OK;
    unsigned i = HALF + 1;
    while (rc == LAM_OK && i < 200) {
        rc = try_put(db, p, i, VALUE_BYTES);
        i += rc == LAM_OK;
    }
    ck_code(rc, LAM_NO_SPACE);
    hook.no_space = false;
    put_many(db, p, i, i + 1);
    end(env, db, p, i + 1);
}
END_TEST

static uint64_t manifest_bytes(lam_env *env) {
    lam_file *file;
    uint64_t bytes = 0;
    ck_ok(env_file_open(env, DIR "/MANIFEST-000001", LAM_OPEN_READ, &file, &err), &err);
    ck_ok(env_file_size(file, &bytes, &err), &err);
    ck_ok(env_file_close(file, &err), &err);
    return bytes;
}

START_TEST(segment_is_not_named_after_a_failure_of_the_database) {
    lam_env *env = start();
    lam_partition *p;
    lam_db *db = open_db(env, &p);
    put_many(db, p, 0, HALF);
    uint64_t bytes = manifest_bytes(env);
    hook.failing = db;
    run_task();
    ck_assert_ptr_null(hook.failing);
    ck_assert_uint_eq(manifest_bytes(env), bytes);
    ck_code(try_put(db, p, HALF, VALUE_BYTES), LAM_READ_ONLY);
    lam_partition_release(p);
    ck_code(lam_db_close(db, &err), LAM_READ_ONLY);
    check_files(env, HALF);
    lam_env_mem_free(env);
}
END_TEST

START_TEST(record_larger_than_the_prepared_segment_keeps_the_order) {
    lam_env *env = start();
    lam_partition *p;
    lam_db *db = open_db(env, &p);
    hook.other_lanes = false; /* the log holds it all */
    put_many(db, p, 0, HALF);
    run_task();
    put(db, p, HALF, 1u << 20);
    put(db, p, HALF + 1, 100);
    put(db, p, HALF + 2, 100);
    check_images(env, db, HALF + 3);
    hook.other_lanes = true;
    end(env, db, p, HALF + 3);
}
END_TEST

START_TEST(prepared_segment_outlives_a_close_and_is_no_orphan) {
    lam_env *env = start();
    lam_partition *p;
    lam_db *db = open_db(env, &p);
    put_many(db, p, 0, HALF);
    run_task();
    end(env, db, p, HALF);
}
END_TEST

START_TEST(memtables_nearly_full_go_with_their_segment) {
    lam_env *env = start();
    lam_partition *p;
    lam_db *db = open_db(env, &p);
    unsigned n = 0;
    for (unsigned segments = 1; segments <= 5; segments++) {
        struct lam_stats stats;
        n = put_until_asked(db, p, n);
        run_task();
        lam_db_stats(db, &stats);
        ck_assert_uint_eq(stats.dumps, segments - 1);
    }
    ck_assert_uint_ge(n, 4 * HALF);
    end(env, db, p, n);
}
END_TEST

struct reserve {
    lam_env *env;
    unsigned files;
    uint64_t bytes;
};

static bool add_log(void *arg, const char *name) {
    struct reserve *r = arg;
    char path[64];
    lam_file *f;
    uint64_t size;
    if (!is_log(name))
        return true;
    snprintf(path, sizeof path, DIR "/%s", name);
    ck_ok(env_file_open(r->env, path, LAM_OPEN_READ, &f, &err), &err);
    ck_ok(env_file_size(f, &size, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    r->files++;
    r->bytes += size;
    return true;
}

static struct reserve reserve_of(lam_env *env) {
    struct reserve r = {.env = env};
    ck_ok(env_dir_list(env, DIR, add_log, &r, &err), &err);
    return r;
}

START_TEST(a_log_at_rest_gives_back_what_it_has_in_reserve) {
    lam_env *env = start();
    lam_partition *p;
    lam_db *db = open_db(env, &p);
    uint64_t whole = reserve_of(env).bytes;
    unsigned n = 0;
    for (int i = 0; i < 8; i++) { /* segments are released, and kept to be written over */
        n = put_until_asked(db, p, n);
        run_task();
    }
    ck_assert_uint_ge(reserve_of(env).bytes, 2 * whole);
    ck_ok(lam_db_dump(db, &err), &err);
    ck_assert_uint_eq(reserve_of(env).files, 1);
    ck_assert_uint_lt(reserve_of(env).bytes, whole / 31);
    check_images(env, db, n);
    n = put_until_asked(db, p, n);
    run_task();
    put_many(db, p, n, n + HALF);
    check_images(env, db, n + HALF);
    lam_partition_release(p);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(env);
}
END_TEST

START_TEST(a_closed_database_keeps_no_more_than_its_log) {
    lam_env *env = start();
    lam_partition *p;
    lam_db *db = open_db(env, &p);
    put_many(db, p, 0, HALF);
    run_task();
    close_db(db, p);
    struct reserve r = reserve_of(env);
    ck_assert_uint_eq(r.files, 2);
    ck_assert_uint_ge(r.bytes, HALF * VALUE_BYTES);
    ck_assert_uint_lt(r.bytes, HALF * (VALUE_BYTES + 100));
    check_files(env, HALF);
    lam_env_mem_free(env);
}
END_TEST

TEST_MAIN("lsm/wal_next", next_segment_is_made_ahead_and_the_roll_makes_none,
          each_segment_asks_once_for_the_next, roll_makes_its_own_when_the_task_is_late,
          failure_to_prepare_is_the_rolls_to_tell,
          segment_is_not_named_after_a_failure_of_the_database,
          record_larger_than_the_prepared_segment_keeps_the_order,
          prepared_segment_outlives_a_close_and_is_no_orphan,
          memtables_nearly_full_go_with_their_segment,
          a_log_at_rest_gives_back_what_it_has_in_reserve,
          a_closed_database_keeps_no_more_than_its_log)
