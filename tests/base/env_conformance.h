/* SPDX-License-Identifier: Apache-2.0
 *
 * What every environment must do, run against each of them: the includer defines conformance_env(),
 * which gives the environment, and conformance_root(), an empty directory in it, then lists
 * CONFORMANCE_TESTS in its TEST_MAIN. */
#ifndef LAMINA_TESTS_BASE_ENV_CONFORMANCE_H
#define LAMINA_TESTS_BASE_ENV_CONFORMANCE_H

#include "base/env.h"
#include "base/rng.h"
#include "tests/support/test.h"

static lam_env *conformance_env(void);
static const char *conformance_root(void);

static struct lam_error err;
static lam_env *env;

enum {
    READ = LAM_OPEN_READ,
    WRITE = LAM_OPEN_WRITE,
    CREATE = LAM_OPEN_CREATE,
    FRESH = LAM_OPEN_CREATE | LAM_OPEN_EXCLUSIVE,
    TRUNCATE = LAM_OPEN_TRUNCATE,
};

/* "<root>/<name>" in one of a few static buffers. */
static const char *at(const char *name) {
    static char paths[4][600];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", conformance_root(), name);
    return path;
}

static lam_file *open_file(const char *name, unsigned flags) {
    lam_file *f = NULL;
    ck_ok(env_file_open(env, at(name), flags, &f, &err), &err);
    return f;
}

static enum lam_code open_code(const char *name, unsigned flags) {
    lam_file *f = NULL;
    enum lam_code rc = env_file_open(env, at(name), flags, &f, &err);
    if (rc == LAM_OK)
        ck_ok(env_file_close(f, &err), &err);
    return rc;
}

static void write_text(const char *name, const char *text) {
    lam_file *f = open_file(name, WRITE | CREATE | TRUNCATE);
    ck_ok(env_file_write(f, 0, text, strlen(text), &err), &err);
    ck_ok(env_file_close(f, &err), &err);
}

/* The file's content as text, in a static buffer; "<none>" if there is no such file. */
static const char *text_in(lam_env *e, const char *path) {
    static struct buf content;
    buf_reset(&content);
    enum lam_code rc = env_read_file(e, path, 1 << 20, &content, &err);
    if (rc == LAM_NOT_FOUND)
        return "<none>";
    ck_ok(rc, &err);
    const char *text;
    ck_ok(buf_cstr(&content, &text, &err), &err);
    return text;
}

static const char *text_of(const char *name) {
    return text_in(env, at(name));
}

static enum lam_path_kind kind_of(const char *name) {
    enum lam_path_kind kind;
    ck_ok(env_path_kind(env, at(name), &kind, &err), &err);
    return kind;
}

static enum lam_code make_dir(const char *name) {
    return env->ops->dir_create(env, at(name), &err);
}
static enum lam_code remove_dir(const char *name) {
    return env->ops->dir_remove(env, at(name), &err);
}
static enum lam_code rename_to(const char *from, const char *to) {
    return env_path_rename(env, at(from), at(to), &err);
}
static enum lam_code link_to(const char *from, const char *to) {
    return env->ops->path_link(env, at(from), at(to), &err);
}
static enum lam_code remove_file(const char *name) {
    return env_file_remove(env, at(name), &err);
}

static void conformance_setup(void) {
    env = conformance_env();
}

START_TEST(open_flags_do_what_they_say) {
    conformance_setup();
    ck_code(open_code("f", READ), LAM_NOT_FOUND);
    ck_contains(err.message, "f");
    ck_code(open_code("f", WRITE), LAM_NOT_FOUND);
    ck_code(open_code("no/f", WRITE | CREATE), LAM_NOT_FOUND);
    ck_code(open_code("f", WRITE | FRESH), LAM_OK);
    ck_code(open_code("f", WRITE | FRESH), LAM_EXISTS);
    write_text("f", "text");
    ck_code(open_code("f", WRITE | CREATE), LAM_OK);
    ck_assert_str_eq(text_of("f"), "text");
    ck_code(open_code("f", WRITE | TRUNCATE), LAM_OK);
    ck_assert_str_eq(text_of("f"), "");
    ck_code(make_dir("d"), LAM_OK);
    ck_code(open_code("d", READ), LAM_INVALID);
    ck_code(open_code("d", WRITE | CREATE), LAM_INVALID);
    ck_code(open_code("f/x", READ), LAM_INVALID);
}
END_TEST

START_TEST(read_only_handles_refuse_writes) {
    conformance_setup();
    write_text("f", "text");
    lam_file *f = open_file("f", READ);
    ck_code(env_file_write(f, 0, "x", 1, &err), LAM_INVALID);
    ck_code(env_file_truncate(f, 0, &err), LAM_INVALID);
    ck_code(env_file_allocate(f, 10, &err), LAM_INVALID);
    ck_ok(env_file_close(f, &err), &err);
    ck_assert_str_eq(text_of("f"), "text");
}
END_TEST

START_TEST(reads_are_short_only_at_the_end) {
    conformance_setup();
    write_text("f", "0123456789");
    lam_file *f = open_file("f", READ);
    char data[20];
    size_t got = 99;
    ck_ok(env_file_read(f, 2, data, 5, &got, &err), &err);
    ck_assert_uint_eq(got, 5);
    ck_assert_mem_eq(data, "23456", 5);
    ck_ok(env_file_read(f, 7, data, 20, &got, &err), &err);
    ck_assert_uint_eq(got, 3);
    ck_ok(env_file_read(f, 10, data, 20, &got, &err), &err);
    ck_assert_uint_eq(got, 0);
    ck_ok(env_file_read(f, 1000, data, 20, &got, &err), &err);
    ck_assert_uint_eq(got, 0);
    ck_code(env_file_read_exact(f, "name", 7, data, 4, &err), LAM_CORRUPT);
    ck_contains(err.message, "name");
    ck_contains(err.message, "10");
    ck_ok(env_file_close(f, &err), &err);
}
END_TEST

START_TEST(gaps_and_growth_read_as_zeros) {
    conformance_setup();
    lam_file *f = open_file("f", WRITE | FRESH);
    uint64_t size = 99;
    ck_ok(env_file_size(f, &size, &err), &err);
    ck_assert_uint_eq(size, 0);
    ck_ok(env_file_write(f, 1000, "x", 1, &err), &err);
    ck_ok(env_file_truncate(f, 500, &err), &err);
    ck_ok(env_file_truncate(f, 2000, &err), &err);
    ck_ok(env_file_allocate(f, 3000, &err), &err);
    ck_ok(env_file_allocate(f, 100, &err), &err);
    ck_ok(env_file_size(f, &size, &err), &err);
    ck_assert_uint_eq(size, 3000);
    uint8_t data[3000];
    ck_ok(env_file_read_exact(f, "f", 0, data, sizeof data, &err), &err);
    for (size_t i = 0; i < sizeof data; i++)
        if (data[i] != 0)
            ck_abort_msg("byte %zu is %02x", i, data[i]);
    ck_ok(env_file_sync(f, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
}
END_TEST

/* Model: an array. */
START_TEST(random_writes_and_truncations_equal_a_model) {
    conformance_setup();
    struct rng rng;
    rng_init(&rng, test_seed("random_writes_and_truncations_equal_a_model"));
    enum { MAX = 20000 };
    static uint8_t model[MAX], data[MAX];
    size_t size = 0;
    lam_file *f = open_file("f", WRITE | FRESH);
    for (int round = 0; round < 500; round++) {
        size_t offset = (size_t)rng_below(&rng, MAX), length = (size_t)rng_below(&rng, 3000);
        if (length > MAX - offset)
            length = MAX - offset;
        switch (rng_below(&rng, 4)) {
        case 0:
            ck_ok(env_file_truncate(f, offset, &err), &err);
            if (offset < size)
                memset(model + offset, 0, size - offset);
            size = offset;
            break;
        case 1:
            ck_ok(env_file_sync(f, &err), &err);
            break;
        default:
            memset(model + offset, round & 0xFF, length);
            ck_ok(env_file_write(f, offset, model + offset, length, &err), &err);
            if (length > 0 && offset + length > size)
                size = offset + length;
        }
        size_t got;
        ck_ok(env_file_read(f, 0, data, MAX, &got, &err), &err);
        ck_assert_uint_eq(got, size);
        ck_assert(memcmp(data, model, size) == 0);
    }
    ck_ok(env_file_close(f, &err), &err);
}
END_TEST

START_TEST(kinds_are_told_apart) {
    conformance_setup();
    write_text("f", "");
    ck_code(make_dir("d"), LAM_OK);
    ck_assert_int_eq(kind_of("f"), LAM_PATH_FILE);
    ck_assert_int_eq(kind_of("d"), LAM_PATH_DIRECTORY);
    ck_assert_int_eq(kind_of("none"), LAM_PATH_NONE);
    ck_assert_int_eq(kind_of("none/none"), LAM_PATH_NONE);
    ck_assert_int_eq(kind_of("f/none"), LAM_PATH_NONE);
}
END_TEST

START_TEST(rename_replaces_and_moves) {
    conformance_setup();
    write_text("a", "new");
    write_text("b", "old");
    lam_file *old = open_file("b", READ);
    ck_code(rename_to("a", "b"), LAM_OK);
    ck_assert_str_eq(text_of("b"), "new");
    ck_assert_int_eq(kind_of("a"), LAM_PATH_NONE);
    char data[3];
    ck_ok(env_file_read_exact(old, "b", 0, data, 3, &err), &err);
    ck_assert_mem_eq(data, "old", 3);
    ck_ok(env_file_close(old, &err), &err);
    ck_code(make_dir("d"), LAM_OK);
    ck_code(rename_to("b", "d/c"), LAM_OK);
    ck_assert_str_eq(text_of("d/c"), "new");
    ck_assert_int_eq(kind_of("b"), LAM_PATH_NONE);
    ck_code(rename_to("d", "e"), LAM_OK);
    ck_assert_str_eq(text_of("e/c"), "new");
}
END_TEST

START_TEST(rename_refuses_what_it_must) {
    conformance_setup();
    write_text("f", "f");
    ck_code(make_dir("d"), LAM_OK);
    ck_code(make_dir("full"), LAM_OK);
    write_text("full/x", "x");
    ck_code(rename_to("none", "x"), LAM_NOT_FOUND);
    ck_code(rename_to("f", "none/x"), LAM_NOT_FOUND);
    ck_code(rename_to("f", "d"), LAM_INVALID);
    ck_code(rename_to("d", "f"), LAM_INVALID);
    ck_code(rename_to("d", "full"), LAM_EXISTS);
    ck_code(rename_to("d", "d/inside"), LAM_INVALID);
    ck_code(rename_to("f", "f"), LAM_OK);
    ck_code(rename_to("full", "d"), LAM_OK);
    ck_assert_str_eq(text_of("f"), "f");
    ck_assert_str_eq(text_of("d/x"), "x");
}
END_TEST

START_TEST(link_gives_a_second_name) {
    conformance_setup();
    write_text("a", "text");
    lam_file *f = open_file("a", WRITE);
    ck_code(make_dir("d"), LAM_OK);
    ck_code(link_to("a", "d/b"), LAM_OK);
    ck_code(link_to("a", "d/b"), LAM_EXISTS);
    ck_code(link_to("none", "x"), LAM_NOT_FOUND);
    ck_code(link_to("d", "x"), LAM_INVALID);
    ck_ok(env_file_write(f, 4, "!", 1, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    ck_assert_str_eq(text_of("d/b"), "text!");
    ck_code(rename_to("a", "d/b"), LAM_OK);
    ck_assert_str_eq(text_of("a"), "text!");
    ck_code(remove_file("a"), LAM_OK);
    ck_assert_str_eq(text_of("d/b"), "text!");
}
END_TEST

START_TEST(removed_file_lives_until_closed) {
    conformance_setup();
    write_text("f", "text");
    lam_file *f = open_file("f", WRITE);
    ck_code(remove_file("f"), LAM_OK);
    ck_code(remove_file("f"), LAM_NOT_FOUND);
    ck_assert_int_eq(kind_of("f"), LAM_PATH_NONE);
    ck_ok(env_file_write(f, 4, "!", 1, &err), &err);
    char data[5];
    ck_ok(env_file_read_exact(f, "f", 0, data, 5, &err), &err);
    ck_assert_mem_eq(data, "text!", 5);
    write_text("f", "other");
    ck_ok(env_file_close(f, &err), &err);
    ck_assert_str_eq(text_of("f"), "other");
}
END_TEST

START_TEST(directories_are_made_and_removed_empty) {
    conformance_setup();
    ck_code(make_dir("d"), LAM_OK);
    ck_code(make_dir("d"), LAM_EXISTS);
    ck_code(make_dir("none/d"), LAM_NOT_FOUND);
    write_text("d/f", "x");
    ck_code(make_dir("d/f"), LAM_EXISTS);
    ck_code(remove_dir("d"), LAM_EXISTS);
    ck_code(remove_dir("d/f"), LAM_INVALID);
    ck_code(remove_dir("none"), LAM_NOT_FOUND);
    ck_code(remove_file("d"), LAM_INVALID);
    ck_code(remove_file("d/f"), LAM_OK);
    ck_code(remove_dir("d"), LAM_OK);
    ck_assert_int_eq(kind_of("d"), LAM_PATH_NONE);
    ck_code(env_dir_sync(env, at("none"), &err), LAM_NOT_FOUND);
    ck_code(env_dir_sync(env, at(""), &err), LAM_OK);
}
END_TEST

struct listing {
    unsigned seen; /* bit n: file "f<n>" */
    unsigned calls;
    unsigned stop_after;
};

static bool note_name(void *arg, const char *name) {
    struct listing *l = arg;
    ck_assert_int_eq(name[0], 'f');
    l->seen |= 1u << atoi(name + 1);
    /* The environment may be used meanwhile. */
    if (l->stop_after == 0)
        ck_assert_int_ne(kind_of(name), LAM_PATH_NONE);
    return ++l->calls != l->stop_after;
}

START_TEST(listing_gives_each_name_once_and_can_be_stopped) {
    conformance_setup();
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        write_text(name, "");
    }
    struct listing all = {0};
    ck_ok(env_dir_list(env, conformance_root(), note_name, &all, &err), &err);
    ck_assert_uint_eq(all.calls, 20);
    ck_assert_uint_eq(all.seen, (1u << 20) - 1);
    struct listing some = {.stop_after = 3};
    ck_ok(env_dir_list(env, conformance_root(), note_name, &some, &err), &err);
    ck_assert_uint_eq(some.calls, 3);
    ck_code(env_dir_list(env, at("none"), note_name, &all, &err), LAM_NOT_FOUND);
    ck_code(env_dir_list(env, at("f1"), note_name, &all, &err), LAM_INVALID);
}
END_TEST

START_TEST(lock_is_exclusive_by_any_name_until_unlocked) {
    conformance_setup();
    lam_file_lock *lock = NULL, *second = NULL;
    ck_code(env->ops->file_lock(env, at("none/L"), &lock, &err), LAM_NOT_FOUND);
    ck_ok(env->ops->file_lock(env, at("L"), &lock, &err), &err);
    ck_assert_int_eq(kind_of("L"), LAM_PATH_FILE);
    ck_code(env->ops->file_lock(env, at("L"), &second, &err), LAM_BUSY);
    ck_contains(err.message, "L");
    ck_code(link_to("L", "other"), LAM_OK);
    ck_code(env->ops->file_lock(env, at("other"), &second, &err), LAM_BUSY);
    /* Opening and closing the file is no unlocking. */
    ck_code(open_code("L", LAM_OPEN_READ), LAM_OK);
    ck_code(env->ops->file_lock(env, at("L"), &second, &err), LAM_BUSY);
    env->ops->file_unlock(lock);
    ck_ok(env->ops->file_lock(env, at("other"), &second, &err), &err);
    env->ops->file_unlock(second);
}
END_TEST

START_TEST(whole_files_are_read_and_replaced) {
    conformance_setup();
    ck_ok(env_write_file(env, at("f"), lam_slice_str("one"), &err), &err);
    ck_ok(env_write_file(env, at("f"), lam_slice_str("two"), &err), &err);
    ck_assert_str_eq(text_of("f"), "two");
    ck_assert_int_eq(kind_of("f.tmp"), LAM_PATH_NONE);
    struct buf b = {0};
    ck_ok(buf_append_str(&b, "<", &err), &err);
    ck_ok(env_read_file(env, at("f"), 3, &b, &err), &err);
    ck_assert_mem_eq(b.data, "<two", 4);
    ck_code(env_read_file(env, at("f"), 2, &b, &err), LAM_LIMIT);
    ck_code(env_read_file(env, at("none"), 2, &b, &err), LAM_NOT_FOUND);
    ck_assert_uint_eq(b.size, 4);
    ck_ok(env_write_file(env, at("f"), SLICE_EMPTY, &err), &err);
    ck_assert_str_eq(text_of("f"), "");
    ck_code(env_write_file(env, at("none/f"), SLICE_EMPTY, &err), LAM_NOT_FOUND);
    buf_fini(&b);
}
END_TEST

START_TEST(directory_trees_are_made_whole) {
    conformance_setup();
    ck_ok(env_dir_create_all(env, at("a/b//c/"), &err), &err);
    ck_assert_int_eq(kind_of("a/b/c"), LAM_PATH_DIRECTORY);
    ck_ok(env_dir_create_all(env, at("a/b/c"), &err), &err);
    write_text("a/f", "");
    ck_code(env_dir_create_all(env, at("a/f"), &err), LAM_EXISTS);
    ck_assert_int_ne(env_dir_create_all(env, at("a/f/x"), &err), LAM_OK);
}
END_TEST

START_TEST(clock_and_randomness_work) {
    conformance_setup();
    uint64_t before = env_monotonic_ns(env);
    ck_assert_uint_le(before, env_monotonic_ns(env));
    ck_assert_int_gt(env_now_us(env), INT64_C(1600000000000000));
    uint8_t a[32] = {0}, b[32] = {0};
    env->ops->random_bytes(env, a, sizeof a);
    env->ops->random_bytes(env, b, sizeof b);
    ck_assert_mem_ne(a, b, sizeof a);
    ck_assert_uint_ne(env->ops->process_id(env), 0);
}
END_TEST

#define CONFORMANCE_TESTS                                                                          \
    open_flags_do_what_they_say, read_only_handles_refuse_writes, reads_are_short_only_at_the_end, \
        gaps_and_growth_read_as_zeros, random_writes_and_truncations_equal_a_model,                \
        kinds_are_told_apart, rename_replaces_and_moves, rename_refuses_what_it_must,              \
        link_gives_a_second_name, removed_file_lives_until_closed,                                 \
        directories_are_made_and_removed_empty, listing_gives_each_name_once_and_can_be_stopped,   \
        lock_is_exclusive_by_any_name_until_unlocked, whole_files_are_read_and_replaced,           \
        directory_trees_are_made_whole, clock_and_randomness_work

#endif
