/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of checkpoints and backups: a database of two partitions with rows in SSTs, in
 * memtables and in the log, one dropped and one range deleted, and a look at what a copy of it
 * shows. */
#ifndef LAMINA_TESTS_LSM_COPIES_H
#define LAMINA_TESTS_LSM_COPIES_H

#include "base/env.h"
#include "lamina/backup.h"
#include "lsm/copy.h"
#include "lsm/lsm.h"
#include "tests/support/sweep.h"

#define S(text) lam_slice_str(text)
#define DIR     "/db"
#define COPY    "/copy"
#define BACKUPS "/backups"
#define USED    static __attribute__((unused))

static lam_env *mem;
static lam_db *db;
static lam_partition *p, *q;
static struct lam_error err;

USED void put(lam_partition *to, const char *key, const char *value) {
    ck_ok(lam_put(db, NULL, to, S(key), S(value), &err), &err);
}

/* Opens DIR in an environment. */
USED enum lam_code open_in(lam_env *env) {
    struct lam_options o = {
        .env = env, .manual_background = true, .memory_budget = 4u << 20, .must_exist = true};
    enum lam_code rc = lam_db_open(DIR, &o, &db, &err);
    if (rc == LAM_OK)
        rc = lam_partition_open(db, "p", &p, &err);
    return rc == LAM_OK ? lam_partition_open(db, "q", &q, &err) : rc;
}

USED enum lam_code try_close(void) {
    lam_partition_release(p);
    lam_partition_release(q);
    return lam_db_close(db, &err);
}
USED void close_db(void) {
    ck_ok(try_close(), &err);
}

/* Makes the database in an environment and leaves it open. */
USED void fill(lam_env *env) {
    struct lam_options o = {.env = env, .manual_background = true, .memory_budget = 4u << 20};
    lam_partition *dropped;
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    ck_ok(lam_partition_create(db, "dropped", NULL, &dropped, &err), &err);
    put(dropped, "gone", "x");
    put(p, "a", "1");
    put(p, "b", "1");
    ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(lam_partition_create(db, "q", NULL, &q, &err), &err);
    put(q, "a", "q1");
    put(p, "b", "2");
    ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(lam_partition_drop(db, dropped, &err), &err);
    lam_partition_release(dropped);
    put(p, "c", "only in the log");
    lam_batch *b;
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_batch_delete_range(b, p, S("a"), S("b"), LAM_SEQUENCE_MAX, &err), &err);
    ck_ok(lam_batch_put(b, q, S("z"), S("last"), &err), &err);
    ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
    lam_batch_free(b);
}
USED void start(void) {
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    fill(mem);
}
#define START_SHOWS "p:b=2 c=only in the log q:a=q1 z=last "

/* Files of a layer above: in folders of their own, one as long as a run of a copy, one named twice,
 * one that is gone. */
static const struct db_outer_file outer_files[] = {
    {"cold/a/b/two", COPY_RUN_BYTES, 5, false},
    {"cold/a/one", 100, 7, false},
    {"cold/a/one", 100, 7, true},
    {"cold/gone", 9, 9, true},
    {"cold/unknown", 0, 0, false},
    {"colder/only/by/three", 3, 3, false},
};
#define OUTER_COUNT (sizeof outer_files / sizeof *outer_files)

USED enum lam_code list_outer(void *arg, db_outer_file_fn fn, void *fn_arg, struct lam_error *e) {
    (void)arg;
    for (size_t i = OUTER_COUNT; i-- > 0;)
        TRY(fn(fn_arg, &outer_files[i], e));
    return LAM_OK;
}
static const struct db_outer_files outer = {list_outer, NULL};

USED struct lam_slice outer_bytes(const struct db_outer_file *f) {
    static uint8_t bytes[COPY_RUN_BYTES];
    memset(bytes, (int)strlen(f->name), sizeof bytes);
    return lam_slice_of(bytes, f->size ? f->size : 50);
}
USED const char *outer_path(const char *dir, const struct db_outer_file *f) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, f->name);
    return path;
}
USED void make_outer(lam_env *env) {
    ck_ok(env_dir_create_all(env, DIR "/cold/a/b", &err), &err);
    ck_ok(env_dir_create_all(env, DIR "/colder/only/by", &err), &err);
    ck_ok(env_dir_sync(env, DIR "/colder/only", &err), &err);
    ck_ok(env_dir_sync(env, DIR "/colder", &err), &err);
    ck_ok(env_dir_sync(env, DIR, &err), &err);
    for (size_t i = 0; i < OUTER_COUNT; i++)
        if (strcmp(outer_files[i].name, "cold/gone") != 0)
            ck_ok(env_write_file(env, outer_path(DIR, &outer_files[i]),
                                 outer_bytes(&outer_files[i]), &err),
                  &err);
}
USED void check_outer(lam_env *env, const char *dir) {
    for (size_t i = 0; i < OUTER_COUNT; i++) {
        struct buf got = {0};
        if (strcmp(outer_files[i].name, "cold/gone") == 0)
            continue;
        const char *path = outer_path(dir, &outer_files[i]);
        ck_ok(env_read_file(env, path, 1u << 20, &got, &err), &err);
        ck_assert_msg(slice_eq(buf_slice(&got), outer_bytes(&outer_files[i])), "%s", path);
        buf_fini(&got);
    }
}

/* For sweeps: a database in order, a change of it that no reader sees. */
USED void make_db(lam_env *env) {
    fill(env);
    make_outer(env);
    close_db();
}
USED enum lam_code use_db(void) {
    return lam_db_dump(db, NULL);
}

/* All rows of an open database as text; static storage. */
USED const char *rows_of(lam_db *of) {
    static char text[4096];
    size_t at = 0;
    const char *names[] = {"p", "q"};
    for (int i = 0; i < 2; i++) {
        lam_partition *part;
        lam_iter *it;
        ck_ok(lam_partition_open(of, names[i], &part, &err), &err);
        ck_ok(lam_iter_new(of, NULL, part, &it, &err), &err);
        at += (size_t)snprintf(text + at, sizeof text - at, "%s:", names[i]);
        for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
            struct lam_slice k = lam_iter_key(it), v = lam_iter_value(it);
            at += (size_t)snprintf(text + at, sizeof text - at, "%.*s=%.*s ", (int)k.size, k.data,
                                   (int)v.size, v.data);
        }
        ck_ok(lam_iter_status(it, &err), &err);
        lam_iter_free(it);
        lam_partition_release(part);
    }
    lam_partition *part;
    ck_code(lam_partition_open(of, "dropped", &part, NULL), LAM_NOT_FOUND);
    return text;
}

/* What the database in `dir` shows when it is opened; it must be whole. */
USED const char *shown_by(lam_env *env, const char *dir, bool read_only) {
    struct lam_options o = {
        .env = env, .must_exist = true, .read_only = read_only, .manual_background = true};
    lam_db *copy;
    ck_ok(lam_check(dir, env, NULL, NULL, &err), &err);
    ck_ok(lam_db_open(dir, &o, &copy, &err), &err);
    const char *text = rows_of(copy);
    ck_ok(lam_db_close(copy, &err), &err);
    return text;
}

USED bool is_there(lam_env *env, const char *path) {
    enum lam_path_kind kind;
    ck_ok(env_path_kind(env, path, &kind, &err), &err);
    return kind != LAM_PATH_NONE;
}

static size_t name_count;
static bool count_name(void *arg, const char *name) {
    const char *end = arg;
    size_t size = strlen(name), tail = strlen(end);
    name_count += size >= tail && strcmp(name + size - tail, end) == 0;
    return true;
}
/* Files of a directory whose names end so. */
USED size_t files_of(lam_env *env, const char *dir, const char *end) {
    name_count = 0;
    ck_ok(env_dir_list(env, dir, count_name, (void *)(uintptr_t)end, &err), &err);
    return name_count;
}

USED void flip(lam_env *env, const char *path, uint64_t offset) {
    lam_file *f;
    uint8_t byte;
    ck_ok(env_file_open(env, path, LAM_OPEN_WRITE, &f, &err), &err);
    ck_ok(env_file_read_exact(f, path, offset, &byte, 1, &err), &err);
    byte ^= 1;
    ck_ok(env_file_write(f, offset, &byte, 1, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
}

#endif
