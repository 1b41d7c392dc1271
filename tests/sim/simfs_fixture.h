/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the simulated file system have in common: one file system `fs` with the
 * directory "d", short calls that must succeed, and images as texts. */
#ifndef LAMINA_TESTS_SIM_SIMFS_FIXTURE_H
#define LAMINA_TESTS_SIM_SIMFS_FIXTURE_H

#include "base/env.h"
#include "tests/sim/simfs.h"
#include "tests/support/test.h"

static struct choice choice;
static struct simfs *fs;
static lam_env *env;
static struct lam_error err;

/* Units of 16 bytes. */
static inline void make_fs(enum simfs_names names, bool garbage) {
    choice_seed(&choice, 1);
    fs = simfs_new(&(struct simfs_options){.granule = 16, .names = names, .garbage = garbage},
                   &choice);
    env = simfs_env(fs);
    ck_ok(env->ops->dir_create(env, "d", &err), &err);
    ck_ok(env_dir_sync(env, "/", &err), &err);
}

static inline void free_fs(void) {
    ck_assert_uint_eq(simfs_open_handles(fs), 0);
    ck_assert_ptr_null(simfs_violation(fs));
    simfs_free(fs);
    choice_fini(&choice);
}

static inline lam_file *open_at(const char *path, unsigned flags) {
    lam_file *f = NULL;
    ck_ok(env_file_open(env, path, flags, &f, &err), &err);
    return f;
}

static inline lam_file *create(const char *path) {
    return open_at(path, LAM_OPEN_WRITE | LAM_OPEN_CREATE);
}

static inline void write_at(lam_file *f, uint64_t offset, const char *text) {
    ck_ok(env_file_write(f, offset, text, strlen(text), &err), &err);
}

static inline void sync_file(lam_file *f) {
    ck_ok(env_file_sync(f, &err), &err);
}

static inline void close_file(lam_file *f) {
    ck_ok(env_file_close(f, &err), &err);
}

static inline void sync_dir(const char *path) {
    ck_ok(env_dir_sync(env, path, &err), &err);
}

static inline void rename_file(const char *from, const char *to) {
    ck_ok(env_path_rename(env, from, to, &err), &err);
}

static inline void remove_at(const char *path) {
    ck_ok(env_file_remove(env, path, &err), &err);
}

/* A file with synced content; its name is not. */
static inline void put(const char *path, const char *text) {
    lam_file *f = open_at(path, LAM_OPEN_WRITE | LAM_OPEN_CREATE | LAM_OPEN_TRUNCATE);
    write_at(f, 0, text);
    sync_file(f);
    close_file(f);
}

/* The same, with all of "d" durable. */
static inline void put_durable(const char *path, const char *text) {
    put(path, text);
    sync_dir("d");
}

/* Bytes of a file as text, zeros as '.', others not printable as '#'; "<none>" if there is no such
 * file. In one of a few static buffers. */
static inline const char *text_in(struct simfs *in, const char *path) {
    static char texts[8][4096];
    static int turn;
    char *text = texts[turn++ % 8];
    lam_file *f = NULL;
    lam_env *e = simfs_env(in);
    enum lam_code rc = env_file_open(e, path, LAM_OPEN_READ, &f, &err);
    if (rc == LAM_NOT_FOUND)
        return "<none>";
    ck_ok(rc, &err);
    size_t got = 0;
    ck_ok(env_file_read(f, 0, text, sizeof texts[0] - 1, &got, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    for (size_t i = 0; i < got; i++)
        text[i] = text[i] == 0 ? '.' : text[i] >= ' ' && text[i] <= '~' ? text[i] : '#';
    text[got] = '\0';
    return text;
}

/* All files as "path=text " in order of paths. */
static inline const char *files_in(struct simfs *in) {
    static char text[16384];
    size_t size = 0;
    text[0] = '\0';
    for (size_t i = 0; i < simfs_file_count(in); i++) {
        const char *path = simfs_file_path(in, i);
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%s=%s", i ? " " : "", path,
                                 text_in(in, path));
        ck_assert_uint_lt(size, sizeof text);
    }
    return text;
}

/* The distinct images of the present state, as texts, and how often each came. */
enum { IMAGES_MAX = 4096 };
static struct images {
    size_t count;
    char *texts[IMAGES_MAX];
    unsigned times[IMAGES_MAX];
} images;

static inline void images_reset(void) {
    for (size_t i = 0; i < images.count; i++)
        free(images.texts[i]);
    images.count = 0;
}

static inline void images_add(struct simfs *image) {
    const char *text = files_in(image);
    for (size_t i = 0; i < images.count; i++)
        if (strcmp(images.texts[i], text) == 0) {
            images.times[i]++;
            return;
        }
    ck_assert_uint_lt(images.count, IMAGES_MAX);
    images.texts[images.count] = strdup(text);
    images.times[images.count++] = 1;
}

static inline void draw_images(enum simfs_crash kind, unsigned count) {
    images_reset();
    for (unsigned i = 0; i < count; i++) {
        struct simfs *image = simfs_crash(fs, kind, &choice);
        images_add(image);
        simfs_free(image);
    }
}

/* Every image there is; checks that there are simfs_crash_width of them. */
static inline void enumerate_images(void) {
    struct choice odometer;
    uint64_t width = simfs_crash_width(fs), runs = 0;
    images_reset();
    choice_odometer(&odometer);
    do {
        struct simfs *image = simfs_crash(fs, SIMFS_POWER, &odometer);
        images_add(image);
        simfs_free(image);
        runs++;
    } while (choice_next(&odometer));
    choice_fini(&odometer);
    ck_assert_uint_eq(runs, width);
}

/* How often an image with just this text came. */
static inline unsigned times_of(const char *text) {
    for (size_t i = 0; i < images.count; i++)
        if (strcmp(images.texts[i], text) == 0)
            return images.times[i];
    return 0;
}

/* Exactly the images of the list (ending in NULL) came, whatever how often. */
static inline void expect_images(const char *const *expected) {
    size_t count = 0;
    for (; expected[count]; count++)
        if (times_of(expected[count]) == 0)
            ck_abort_msg("image \"%s\" never came", expected[count]);
    for (size_t i = 0; i < images.count && images.count != count; i++) {
        bool known = false;
        for (size_t j = 0; j < count; j++)
            known |= strcmp(images.texts[i], expected[j]) == 0;
        if (!known)
            ck_abort_msg("image \"%s\" is not expected", images.texts[i]);
    }
}
#define EXPECT_IMAGES(...) expect_images((const char *const[]){__VA_ARGS__, NULL})

#endif
