/* SPDX-License-Identifier: Apache-2.0
 *
 * What the museum's tests share: an engine database on a simulated disk, filled by numbered commits
 * whose number alone says what the database must hold, and images of crashes that are looked at
 * when the call they fell into is over.
 *
 * Commit i puts key k<i> into both partitions, sets `last` to i in the left one, and in the right
 * one puts `toggle` if i is odd and deletes it if i is even. So a half batch, a hole, an operation
 * that was repeated or forgotten all show. */
#ifndef LAMINA_TESTS_CRASH_MUSEUM_H
#define LAMINA_TESTS_CRASH_MUSEUM_H

#include "base/env.h"
#include "lamina/lamina.h"
#include "tests/sim/sched.h"
#include "tests/sim/simfs.h"
#include "tests/sim/tuning.h"
#include "tests/support/test.h"

#define S(text) lam_slice_str(text)
#define DIR     "/db"
#define HELPER  static __attribute__((unused))

static struct choice fs_choice, image_choice;
static struct simfs *fs;
static lam_db *db;
static lam_partition *left, *right;
static struct lam_error err;
/* Commits tried, acknowledged, and acknowledged as durable. The next one is tried + 1, unless the
 * last one failed cleanly. */
static unsigned tried, acked, durable;

/* --- the disk and the database -------------------------------------------------------------- */

static const struct db_tuning tiny __attribute__((unused)) = {
    .rotate_bytes = 24u << 10, /* partitions' memtables have a least size */
    .segment_bytes = 1500,
    .base_bytes = 1024,
    .dump_file_bytes = 1024,
    .close_dump_bytes = 2048,
    .manifest_rewrite_bytes = 700,
};

HELPER struct lam_options museum_options(struct simfs *of) {
    return (struct lam_options){.env = simfs_env(of),
                                .memory_budget = 4u << 20,
                                .block_bytes = 512,
                                .manual_background = true};
}

HELPER enum lam_code open_on(struct simfs *of) {
    struct lam_options o = museum_options(of);
    lam_partition **parts[2] = {&left, &right};
    static const char *const names[2] = {"left", "right"};
    db = NULL;
    left = right = NULL;
    enum lam_code rc = lam_db_open(DIR, &o, &db, &err);
    for (int i = 0; i < 2 && rc == LAM_OK; i++) {
        rc = lam_partition_open(db, names[i], parts[i], &err);
        if (rc == LAM_NOT_FOUND)
            rc = lam_partition_create(db, names[i], NULL, parts[i], &err);
    }
    return rc;
}

HELPER enum lam_code close_db(void) {
    lam_partition_release(left);
    lam_partition_release(right);
    enum lam_code rc = lam_db_close(db, &err);
    db = NULL;
    return rc;
}

HELPER void make_disk(enum simfs_names names, uint32_t granule) {
    choice_seed(&fs_choice, 11);
    choice_seed(&image_choice, 12);
    struct simfs_options o = {.granule = granule, .names = names, .garbage = true};
    fs = simfs_new(&o, &fs_choice);
    tried = acked = durable = 0;
    sim_tuning_set(&tiny);
}

HELPER void start(enum simfs_names names, uint32_t granule) {
    make_disk(names, granule);
    ck_ok(open_on(fs), &err);
}

HELPER void drop_disk(void) {
    ck_assert_msg(!simfs_violation(fs), "%s", simfs_violation(fs));
    simfs_free(fs);
    choice_fini(&fs_choice);
    choice_fini(&image_choice);
}

HELPER void finish(void) {
    ck_ok(close_db(), &err);
    drop_disk();
}

/* A database that takes no writes any more is closed as far as it can be. */
HELPER void give_up(void) {
    enum lam_code rc = close_db();
    ck_assert(rc == LAM_OK || rc == LAM_READ_ONLY || rc == LAM_UNKNOWN_OUTCOME || rc == LAM_IO ||
              rc == LAM_NO_SPACE);
}

/* --- commits -------------------------------------------------------------------------------- */

HELPER struct lam_slice key_of(unsigned i, char *out) {
    return lam_slice_of(out, (size_t)snprintf(out, 16, "k%05u", i));
}

HELPER struct lam_slice value_of(unsigned i, char *out) {
    size_t n = (size_t)snprintf(out, 128, "value %u ", i);
    for (size_t end = n + i * 17 % 80; n < end; n++)
        out[n] = (char)('a' + n % 26);
    return lam_slice_of(out, n);
}

HELPER enum lam_code commit_as(unsigned i, enum lam_durability d) {
    char key[16], value[128];
    lam_batch *b = NULL;
    struct lam_write_options o = {d};
    struct lam_slice k = key_of(i, key), v = value_of(i, value);
    enum lam_code rc;
    TRY_GOTO(lam_batch_new(db, &b, &err));
    TRY_GOTO(lam_batch_put(b, left, k, v, &err));
    TRY_GOTO(lam_batch_put(b, left, S("last"), lam_slice_of(&i, sizeof i), &err));
    TRY_GOTO(lam_batch_put(b, right, k, v, &err));
    if (i % 2)
        TRY_GOTO(lam_batch_put(b, right, S("toggle"), S("on"), &err));
    else
        TRY_GOTO(lam_batch_delete(b, right, S("toggle"), &err));
    rc = lam_write(db, &o, b, NULL, &err);
out:
    lam_batch_free(b);
    return rc;
}

/* The next commit, and what its result says. */
HELPER enum lam_code commit(enum lam_durability d) {
    unsigned before = tried;
    tried = acked == tried ? tried + 1 : tried;
    enum lam_code rc = commit_as(tried, d);
    if (rc == LAM_OK) {
        acked = tried;
        if (d == LAM_DURABILITY_SYNC)
            durable = tried;
    } else if (rc != LAM_UNKNOWN_OUTCOME) {
        tried = before; /* cleanly failed: it must never appear */
    }
    return rc;
}

/* `count` commits; every `every`th is durable. */
HELPER void commits(unsigned count, unsigned every) {
    for (unsigned i = 1; i <= count; i++)
        ck_ok(commit(i % every ? LAM_DURABILITY_OS : LAM_DURABILITY_SYNC), &err);
}

HELPER void sync_all(void) {
    ck_ok(lam_sync(db, LAM_SEQUENCE_MAX, &err), &err);
    durable = acked;
}

/* --- what a database holds ------------------------------------------------------------------ */

struct held {
    unsigned keys; /* k00001 ... without a hole */
    unsigned last; /* what `last` says; 0: absent */
    bool toggle;   /* it is there */
    bool there;    /* the partition is */
};

HELPER struct held read_part(lam_db *of, const char *name) {
    struct held h = {.there = true};
    char key[16], value[128];
    lam_partition *p;
    lam_iter *it;
    if (lam_partition_open(of, name, &p, &err) == LAM_NOT_FOUND)
        return (struct held){0};
    ck_ok(lam_iter_new(of, NULL, p, &it, &err), &err);
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
        struct lam_slice k = lam_iter_key(it), v = lam_iter_value(it);
        if (slice_eq_str(k, "last"))
            memcpy(&h.last, v.data, sizeof h.last);
        else if (slice_eq_str(k, "toggle"))
            h.toggle = true;
        else {
            h.keys++;
            ck_assert_msg(slice_eq(k, key_of(h.keys, key)), "hole before %.*s", (int)k.size,
                          (const char *)k.data);
            ck_assert(slice_eq(v, value_of(h.keys, value)));
        }
    }
    ck_ok(lam_iter_status(it, &err), &err);
    lam_iter_free(it);
    lam_partition_release(p);
    return h;
}

/* The number of commits that an open database holds: all of each, over both partitions. */
HELPER unsigned held_by(lam_db *of) {
    struct held l = read_part(of, "left"), r = read_part(of, "right");
    ck_assert_uint_eq(l.keys, r.keys);
    ck_assert_uint_eq(l.last, l.keys);
    ck_assert_int_eq(r.toggle, r.keys % 2);
    return l.keys;
}

HELPER void check_held(unsigned least, unsigned most) {
    unsigned n = held_by(db);
    ck_assert_msg(n >= least && n <= most, "%u commits, between %u and %u were expected", n, least,
                  most);
}

/* Opens an image, which must succeed; the commits in it, which stay when it is closed and opened
 * again. */
HELPER unsigned check_disk(struct simfs *image, unsigned least, unsigned most) {
    struct lam_options o = museum_options(image);
    unsigned held[2];
    simfs_set_quota(image, 0); /* recovery may need room; what counts is that nothing is lost */
    for (int round = 0; round < 2; round++) {
        lam_db *of;
        ck_ok(lam_db_open(DIR, &o, &of, &err), &err);
        held[round] = held_by(of);
        ck_ok(lam_db_close(of, &err), &err);
        ck_ok(lam_check(DIR, simfs_env(image), NULL, NULL, &err), &err);
    }
    ck_assert_uint_eq(held[0], held[1]);
    ck_assert_msg(held[0] >= least && held[0] <= most,
                  "%u commits, between %u and %u were expected", held[0], least, most);
    ck_assert_msg(!simfs_violation(image), "%s", simfs_violation(image));
    return held[0];
}

HELPER unsigned check_image(struct simfs *image, unsigned least, unsigned most) {
    unsigned n = check_disk(image, least, most);
    simfs_free(image);
    return n;
}

/* --- images of crashes ---------------------------------------------------------------------- */

struct image {
    struct simfs *fs;
    unsigned least, most; /* commits that it must and may hold */
};
#define IMAGES_MAX 4096
static struct image images[IMAGES_MAX];
static size_t image_count;
static size_t images_seen; /* by check_images */

static inline void keep_image(struct simfs *image, unsigned least) {
    ck_assert_uint_lt(image_count, IMAGES_MAX);
    images[image_count++] = (struct image){image, least, tried};
}

/* Around each call that changes the disk: what a power loss leaves at its worst, one drawn, and
 * what a kill leaves. */
HELPER void take_images(void *arg, const struct simfs_event *event) {
    struct simfs *of = arg;
    (void)event;
    keep_image(simfs_crash_old(of), durable);
    keep_image(simfs_crash(of, SIMFS_POWER, &image_choice), durable);
    keep_image(simfs_crash(of, SIMFS_KILL, &image_choice), acked);
}

/* Looks at the images so far; how many there were. */
HELPER size_t check_images(void) {
    size_t n = image_count;
    image_count = 0;
    for (size_t i = 0; i < n; i++)
        check_image(images[i].fs, images[i].least, images[i].most);
    images_seen += n;
    return n;
}

/* Between calls: the worst that a power loss leaves, `count` drawn, and a kill. */
HELPER void crash_here(unsigned count) {
    check_image(simfs_crash_old(fs), durable, tried);
    for (unsigned i = 0; i < count; i++)
        check_image(simfs_crash(fs, SIMFS_POWER, &image_choice), durable, tried);
    check_image(simfs_crash(fs, SIMFS_KILL, &image_choice), acked, tried);
}

HELPER void arm(unsigned ops, const char *pattern, uint64_t nth, enum simfs_effect effect,
                enum lam_code code) {
    struct simfs_fault fault = {
        .ops = ops, .pattern = pattern, .nth = nth, .effect = effect, .code = code};
    simfs_arm(fs, 0, &fault);
}

HELPER bool fired(void) {
    return simfs_fired(fs, 0) > 0;
}

/* Runs `work` with images around every change of the disk; at least `least` of them. */
HELPER void watch(void (*work)(void), size_t least) {
    images_seen = 0;
    simfs_observe(fs, take_images, fs);
    work();
    simfs_observe(fs, NULL, NULL);
    check_images();
    ck_assert_uint_gt(images_seen, least);
}

HELPER void reopen(void) {
    ck_ok(close_db(), &err);
    durable = acked; /* a clean close is durable */
    ck_ok(open_on(fs), &err);
    check_held(acked, acked);
}

/* Edits of the manifest. */
HELPER void create_partitions(void) {
    lam_partition *p;
    char name[16];
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "p%d", i);
        ck_ok(lam_partition_create(db, name, NULL, &p, &err), &err);
        ck_ok(lam_partition_drop(db, p, &err), &err);
        lam_partition_release(p);
        ck_ok(commit(LAM_DURABILITY_SYNC), &err);
    }
}

HELPER const char *find_file(struct simfs *of, const char *end) {
    for (size_t i = 0; i < simfs_file_count(of); i++) {
        const char *path = simfs_file_path(of, i);
        size_t n = strlen(path), m = strlen(end);
        if (n > m && strcmp(path + n - m, end) == 0)
            return path;
    }
    return NULL;
}

#endif
