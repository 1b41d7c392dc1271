/* SPDX-License-Identifier: Apache-2.0
 *
 * Compactions over the whole engine: shapes of levels that a job has to cope with. */
#include "base/env.h"
#include "lsm/lsm.h"
#include "lsm/sst_format.h"
#include "tests/support/test.h"

static lam_env *env;
static lam_db *db;
static lam_partition *part;
static struct lam_error err;

static void start(void) {
    ck_ok(lam_env_mem_new(&env, &err), &err);
    struct lam_options options = {.env = env, .memory_budget = 4u << 20, .manual_background = true};
    ck_ok(lam_db_open("/db", &options, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
}

static void stop(void) {
    lam_partition_release(part);
    ck_ok(lam_db_check(db, NULL, NULL, &err), &err);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(env);
}

static void put(const char *key) {
    ck_ok(lam_put(db, NULL, part, lam_slice_str(key), lam_slice_str(key), &err), &err);
}

static void dump(void) {
    ck_ok(lam_db_dump(db, &err), &err);
}

static void compact(void) {
    ck_ok(lam_db_compact(db, part, &err), &err);
}

static void expect(const char *keys) {
    struct lam_value value = {0};
    for (char key[2] = {0}; *keys; keys++) {
        key[0] = *keys;
        ck_ok(lam_get(db, NULL, part, lam_slice_str(key), &value, &err), &err);
    }
    lam_value_release(&value);
}

/* Two files of level 0 with a gap between them, in which a file of the last level lies. */
START_TEST(file_in_the_gap_between_inputs_is_merged_too) {
    start();
    put("m");
    put("n");
    dump();
    compact();
    put("a");
    dump();
    put("z");
    dump();
    compact();
    expect("amnz");
    stop();
}
END_TEST

static bool take_sst(void *arg, const char *name) {
    char *path = arg;
    if (strstr(name, ".sst"))
        snprintf(path, 64, "/db/%.40s", name);
    return !*path;
}

/* Changes each byte `a` of the first block of a file to `b` and the other way round; its checksum
 * holds then. */
static void swap_in_first_block(const char *path, uint8_t a, uint8_t b) {
    struct buf bytes = {0};
    lam_file *f;
    ck_ok(env_read_file(env, path, SIZE_MAX, &bytes, &err), &err);
    const uint8_t *footer = bytes.data + bytes.size - SST_FOOTER_BYTES;
    uint64_t seed = sst_file_seed(footer + 16, get_le64(footer + 32));
    struct sst_stored stored;
    size_t size = SST_TRAILER_BYTES;
    while (sst_block_check(seed, 0, lam_slice_of(bytes.data, size), SST_BLOCK_DATA, &stored,
                           &err) != LAM_OK)
        ck_assert_uint_lt(++size, bytes.size);
    size -= SST_TRAILER_BYTES;
    for (size_t i = 0; i < size; i++)
        if (bytes.data[i] == a || bytes.data[i] == b)
            bytes.data[i] = bytes.data[i] == a ? b : a;
    sst_trailer_encode(seed, 0, lam_slice_of(bytes.data, size), stored.raw_bytes, SST_BLOCK_DATA,
                       stored.compression, bytes.data + size);
    ck_ok(env_file_open(env, path, LAM_OPEN_WRITE, &f, &err), &err);
    ck_ok(env_file_write(f, 0, bytes.data, bytes.size, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    buf_fini(&bytes);
}

/* Of a file that somebody made so, with checksums that hold. */
START_TEST(entries_out_of_order_are_corrupt) {
    struct lam_options options = {
        .env = NULL, .memory_budget = 4u << 20, .manual_background = true};
    char path[64] = "";
    start();
    put("q");
    put("z");
    dump();
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    ck_ok(env_dir_list(env, "/db", take_sst, path, &err), &err);
    swap_in_first_block(path, 'q', 'z');
    options.env = env;
    ck_ok(lam_db_open("/db", &options, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &part, &err), &err);
    put("m");
    dump();
    ck_code(lam_db_compact(db, part, &err), LAM_CORRUPT);
    ck_contains(err.message, path);
    ck_contains(err.message, "offset 0");
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(env);
}
END_TEST

TEST_MAIN("lsm/compact", file_in_the_gap_between_inputs_is_merged_too,
          entries_out_of_order_are_corrupt)
