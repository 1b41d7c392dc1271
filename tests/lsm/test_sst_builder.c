/* SPDX-License-Identifier: Apache-2.0
 *
 * Building SSTs without memory, of nothing, of huge blocks; and the cache of open ones. */
#include "lsm/sst.h"

#include <errno.h>

#include "base/rng.h"
#include "lamina/db.h"
#include "lsm/filename.h"
#include "lsm/gc.h"
#include "lsm/sst_cache.h"
#include "lsm/version.h"
#include "tests/lsm/files.h"
#include "tests/support/env_fault.h"
#include "tests/support/oom.h"

#define SST    DIR "/000031.sst"
#define NUMBER 31

static struct sst_builder_options options_of(uint32_t block_bytes, bool lz4) {
    struct sst_builder_options o = {.number = NUMBER, .block_bytes = block_bytes, .lz4 = lz4};
    memcpy(o.db_id, db_id, 16);
    return o;
}

/* What a file is made of. */
struct content {
    size_t entries, value_bytes, key_bytes, ranges;
    bool lz4, random;
};

static enum lam_code build(const struct content *c, struct sst_summary *sum) {
    static uint8_t key[4096], value[4096];
    struct sst_builder_options o = options_of(512, c->lz4);
    struct sst_builder *b;
    struct rng rng;
    rng_init(&rng, 3);
    enum lam_code rc = sst_builder_open(env, SST, &o, &b, &err);
    if (rc != LAM_OK)
        return rc;
    memset(key, 'k', sizeof key);
    memset(value, 'v', sizeof value);
    for (size_t i = 0; i < c->value_bytes && c->random; i++)
        value[i] = (uint8_t)rng_next(&rng);
    for (size_t i = 0; i < c->entries && rc == LAM_OK; i++) {
        put_be32(key, (uint32_t)i);
        struct entry e = {lam_slice_of(key, c->key_bytes), 7, ENTRY_PUT,
                          lam_slice_of(value, c->value_bytes)};
        rc = sst_builder_add(b, &e, &err);
    }
    for (size_t i = 0; i < c->ranges && rc == LAM_OK; i++) {
        struct range_tombstone t = {lam_slice_of(key, 4 + i), SLICE_EMPTY, 1, 9};
        rc = sst_builder_add_range(b, &t, &err);
    }
    if (rc == LAM_OK)
        return sst_builder_finish(b, sum, &err);
    sst_builder_abandon(b);
    return rc;
}

static void expect_whole(const struct sst_summary *sum, size_t entries) {
    struct sst *s;
    ck_ok(sst_open(env, SST, db_id, NUMBER, sum->size_bytes, sum->footer_checksum, NULL, &s, &err),
          &err);
    ck_ok(sst_verify(s, SST, &err), &err);
    ck_assert_uint_eq(sst_get_properties(s)->entries, entries);
    sst_unref(s);
}

/* A buffer that is full at one place for one size of content is full at another for the next. */
START_TEST(file_without_memory_is_not_made_whatever_its_size) {
    env_start();
    uint64_t failures = 0;
    for (size_t size = 0; size < 320; size++) {
        struct content c = {.entries = size % 9,
                            .value_bytes = size * 3 / 2,
                            .key_bytes = 5 + size % 40,
                            .ranges = size % 4,
                            .lz4 = size % 3 == 0,
                            .random = size % 2};
        for (size_t nth = 1;; nth++) {
            struct sst_summary sum;
            oom_arm_once(nth);
            enum lam_code rc = build(&c, &sum);
            bool fired = oom_fired();
            if (rc == LAM_OK) {
                if (!fired)
                    expect_whole(&sum, c.entries);
                ck_ok(env_file_remove(env, SST, &err), &err);
                sst_summary_fini(&sum);
            } else {
                ck_code(rc, LAM_NO_MEMORY);
                failures++;
            }
            ck_assert(!file_exists(SST));
            if (!fired)
                break;
        }
    }
    ck_assert_uint_gt(failures, 3000);
    env_end();
}
END_TEST

START_TEST(file_of_nothing_is_a_file) {
    env_start();
    struct content nothing = {0};
    struct sst_summary sum;
    ck_ok(build(&nothing, &sum), &err);
    expect_whole(&sum, 0);
    ck_assert_uint_eq(sum.properties.sequence_min, 0);
    ck_assert_uint_eq(sum.properties.sequence_max, 0);
    ck_assert_uint_eq(sum.smallest.size, 0);
    sst_summary_fini(&sum);
    env_end();
}
END_TEST

START_TEST(finishing_after_a_failed_add_is_refused_and_removes_the_file) {
    env_start();
    lam_env *mem = env;
    env = env_fault_new(mem);
    struct sst_builder_options o = options_of(512, false);
    struct sst_builder *b;
    struct sst_summary sum;
    static uint8_t value[300000];
    struct entry e = {lam_slice_str("k"), 7, ENTRY_PUT, lam_slice_of(value, sizeof value)};
    ck_ok(sst_builder_open(env, SST, &o, &b, &err), &err);
    env_fault_arm(env, FAULT_WRITE, 1, LAM_NO_SPACE, false);
    ck_code(sst_builder_add(b, &e, &err), LAM_NO_SPACE);
    ck_code(sst_builder_finish(b, &sum, &err), LAM_IO);
    ck_contains(err.message, "earlier write");
    ck_assert(!file_exists(SST));
    env_fault_free(env);
    env = mem;
    env_end();
}
END_TEST

START_TEST(buffers_of_huge_blocks_are_given_back) {
    env_start();
    for (int lz4 = 0; lz4 < 2; lz4++) {
        struct sst_builder_options o = options_of(16u << 20, lz4);
        struct sst_builder *b;
        struct sst_summary sum;
        static uint8_t value[60000];
        char key[16];
        ck_ok(sst_builder_open(env, SST, &o, &b, &err), &err);
        for (int i = 0; i < 400; i++) { /* 24 MB: more than a block, in values that are copied */
            snprintf(key, sizeof key, "k%04d", i);
            value[0] = (uint8_t)i;
            struct entry e = {lam_slice_str(key), 7, ENTRY_PUT, lam_slice_of(value, sizeof value)};
            ck_ok(sst_builder_add(b, &e, &err), &err);
        }
        ck_ok(sst_builder_finish(b, &sum, &err), &err);
        expect_whole(&sum, 400);
        sst_summary_fini(&sum);
        ck_ok(env_file_remove(env, SST, &err), &err);
    }
    env_end();
}
END_TEST

/* --- the cache of open files ----------------------------------------------------------------- */

#define FILES 6

/* An environment whose opens fail for want of descriptors, so many times. */
static struct lam_env_ops starved_ops;
static struct lam_env starved;
static lam_env *real;
static unsigned starve, opens;
static int starve_errno;

static enum lam_code starved_open(lam_env *e, const char *path, unsigned flags, lam_file **out,
                                  struct lam_error *error) {
    (void)e;
    opens++;
    if (starve > 0) {
        starve--;
        ERR(error, LAM_IO, "%s: too many open files", path);
        error->os_errno = starve_errno;
        return LAM_IO;
    }
    return real->ops->file_open(real, path, flags, out, error);
}

static uint64_t process = 1;
static uint64_t starved_process(lam_env *e) {
    (void)e;
    return process;
}

static struct file_meta *metas[FILES];
static struct sst_cache cache;
static struct epochs epochs;

static void make_files(size_t limit) {
    env_start();
    real = env;
    starved_ops = *env->ops;
    starved_ops.file_open = starved_open;
    starved_ops.process_id = starved_process;
    starved = (struct lam_env){&starved_ops};
    epochs_init(&epochs);
    sst_cache_init(&cache, &starved, DIR, db_id, NULL, &epochs, limit, SIZE_MAX);
    for (uint64_t i = 0; i < FILES; i++) {
        struct buf path = {0};
        const char *text;
        struct sst_builder_options o = options_of(512, false);
        struct sst_builder *b;
        struct sst_summary sum;
        o.number = 40 + i;
        struct entry e = {lam_slice_str("k"), 7, ENTRY_PUT, lam_slice_str("v")};
        ck_ok(filename_path(&path, DIR, FILE_SST, o.number, &text, &err), &err);
        ck_ok(sst_builder_open(env, text, &o, &b, &err), &err);
        ck_ok(sst_builder_add(b, &e, &err), &err);
        ck_ok(sst_builder_finish(b, &sum, &err), &err);
        struct manifest_file f = {.partition = 1,
                                  .number = o.number,
                                  .size_bytes = sum.size_bytes,
                                  .footer_checksum = sum.footer_checksum,
                                  .smallest = buf_slice(&sum.smallest),
                                  .largest = buf_slice(&sum.largest),
                                  .properties = sum.properties};
        ck_ok(file_meta_new(&f, NULL, 0, &cache, NULL, &metas[i], &err), &err);
        sst_summary_fini(&sum);
        buf_fini(&path);
    }
}

static void drop_files(void) {
    for (size_t i = 0; i < FILES; i++)
        file_meta_unref(metas[i]);
    sst_cache_fini(&cache);
    epochs_fini(&epochs);
    env_end();
}

static enum lam_code get(size_t i) {
    struct sst *s;
    memset(&err, 0, sizeof err);
    enum lam_code rc = sst_cache_get(&cache, metas[i], &s, &err);
    if (rc == LAM_OK)
        sst_unref(s);
    return rc;
}

/* Files that have to be opened for the gets given, as indexes in text. */
static unsigned opens_for(const char *gets) {
    opens = 0;
    for (; *gets; gets++)
        ck_ok(get((size_t)(*gets - '0')), &err);
    return opens;
}

START_TEST(files_not_used_since_their_last_turn_are_closed_first) {
    make_files(3);
    ck_assert_uint_eq(opens_for("012"), 3);
    ck_assert_uint_eq(opens_for("012"), 0);
    ck_assert_uint_eq(opens_for("3"), 1); /* closes 0, the first: all were used */
    struct epoch_reader *r = epoch_enter(&epochs);
    ck_assert_ptr_null(sst_cache_peek(metas[0]));
    ck_assert_ptr_nonnull(sst_cache_peek(metas[1]));
    epoch_leave(&epochs, r);
    ck_assert_uint_eq(opens_for("0"), 1); /* closes 2, since 1 was used */
    ck_assert_uint_eq(opens_for("13"), 0);
    ck_assert_uint_eq(opens_for("0"), 0);
    sst_cache_halve(&cache);
    ck_assert_uint_eq(opens_for("1"), 0);
    ck_assert_uint_eq(opens_for("0"), 1);
    drop_files();
}
END_TEST

START_TEST(file_that_is_closed_serves_readers_inside_an_epoch_to_their_end) {
    make_files(100);
    ck_ok(get(0), &err);
    struct epoch_reader *r = epoch_enter(&epochs);
    struct sst *s = sst_cache_peek(metas[0]);
    ck_assert_ptr_nonnull(s);
    sst_cache_halve(&cache);
    ck_assert_ptr_null(sst_cache_peek(metas[0]));
    ck_assert_uint_eq(sst_get_properties(s)->entries, 1); /* the sanitizer knows if it is freed */
    epoch_leave(&epochs, r);
    ck_assert_uint_eq(opens_for("0"), 1);
    drop_files();
}
END_TEST

START_TEST(files_are_closed_when_the_process_has_no_more_descriptors) {
    make_files(100);
    ck_assert_uint_eq(opens_for("0123"), 4);
    starve = 1;
    starve_errno = EMFILE;
    ck_ok(get(4), &err);
    ck_assert_uint_eq(opens_for("234"), 0);
    ck_assert_uint_eq(opens_for("01"), 2); /* the older half went */
    starve = 1;
    starve_errno = ENFILE;
    ck_ok(get(5), &err);
    /* Twice is an error, and so is a failure of another kind at once. */
    opens_for("01234");
    sst_cache_forget(&cache, metas[5]);
    starve = 2;
    ck_code(get(5), LAM_IO);
    ck_assert_int_eq(err.os_errno, ENFILE);
    ck_assert_uint_eq(starve, 0);
    starve = 2;
    starve_errno = EIO;
    ck_code(get(5), LAM_IO);
    ck_assert_uint_eq(starve, 1);
    starve = 0;
    ck_ok(get(5), &err);
    drop_files();
}
END_TEST

START_TEST(missing_file_is_corruption_and_a_forked_process_gets_none) {
    make_files(100);
    ck_ok(env_file_remove(env, DIR "/000041.sst", &err), &err);
    ck_code(get(1), LAM_CORRUPT);
    ck_contains(err.message, "missing, but the manifest names it");
    ck_ok(get(0), &err);
    process = 2;
    ck_code(get(0), LAM_INVALID);
    process = 1;
    for (size_t nth = 1;; nth++) {
        oom_arm_once(nth);
        enum lam_code rc = get(2);
        if (!oom_fired()) {
            ck_ok(rc, &err);
            break;
        }
        ck_code(rc, LAM_NO_MEMORY);
        ck_assert_int_eq(err.code, LAM_NO_MEMORY);
    }
    drop_files();
}
END_TEST

TEST_MAIN("lsm/sst_builder", file_without_memory_is_not_made_whatever_its_size,
          file_of_nothing_is_a_file, finishing_after_a_failed_add_is_refused_and_removes_the_file,
          buffers_of_huge_blocks_are_given_back,
          files_not_used_since_their_last_turn_are_closed_first,
          file_that_is_closed_serves_readers_inside_an_epoch_to_their_end,
          files_are_closed_when_the_process_has_no_more_descriptors,
          missing_file_is_corruption_and_a_forked_process_gets_none)
