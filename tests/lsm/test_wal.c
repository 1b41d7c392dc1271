/* SPDX-License-Identifier: Apache-2.0 */
#include "lsm/wal.h"

#include "base/rng.h"
#include "lsm/log_format.h"
#include "tests/lsm/files.h"
#include "tests/support/env_fault.h"

#define WAL   DIR "/000007.wal"
#define COPY  DIR "/000007.copy"
#define WAL_B DIR "/000008.wal"

/* What a reading gave. */
struct seen {
    uint64_t count;
    uint64_t last; /* sequence */
    uint64_t bytes;
};

static uint8_t payload_byte(uint64_t sequence, size_t i) {
    return (uint8_t)(sequence * 31 + i * 7);
}

static struct buf payload_of(uint64_t sequence, size_t size) {
    struct buf b = {0};
    ck_ok(buf_append_zeros(&b, size, &err), &err);
    for (size_t i = 0; i < size; i++)
        b.data[i] = payload_byte(sequence, i);
    return b;
}

static enum lam_code see(void *arg, const struct log_record *record, struct lam_slice payload,
                         struct lam_error *e) {
    struct seen *s = arg;
    uint64_t sequence = record->sequence;
    (void)e;
    ck_assert_uint_lt(record->durable_upto, sequence);
    ck_assert_uint_eq(sequence, s->last + 1);
    size_t same = 0;
    while (same < payload.size && payload.data[same] == payload_byte(sequence, same))
        same++;
    ck_assert_uint_eq(same, payload.size);
    s->count++;
    s->last = sequence;
    s->bytes += payload.size;
    return LAM_OK;
}

static struct wal_writer *open_writer(const char *path, const char *recycle, uint64_t number) {
    struct wal_writer *w;
    ck_ok(wal_writer_open(env, DIR, path, recycle, db_id, number, 0, &w, &err), &err);
    return w;
}

static void append(struct wal_writer *w, uint64_t sequence, uint64_t durable, size_t size) {
    struct buf p = payload_of(sequence, size);
    bool clean;
    ck_ok(wal_writer_append(w, sequence, durable, buf_slice(&p), &clean, &err), &err);
    buf_fini(&p);
}

static enum lam_code read_path(const char *path, uint64_t sealed_end, struct seen *s,
                               struct log_read_result *res) {
    *s = (struct seen){0};
    return wal_read(env, path, db_id, 7, sealed_end, see, s, res, &err);
}

/* A log of records of these sizes, unsynced unless `synced_after` is i + 1. Gives offsets of the
 * records, and the end at [count]. Leaves the first `end + slack` bytes in COPY and returns them.
 */
static struct buf make_log(const size_t *sizes, size_t count, size_t synced_after,
                           uint64_t *offsets, size_t slack) {
    struct wal_writer *w = open_writer(WAL, NULL, 7);
    uint64_t durable = 0;
    for (size_t i = 0; i < count; i++) {
        offsets[i] = wal_writer_end(w);
        append(w, i + 1, durable, sizes[i]);
        if (i + 1 == synced_after) {
            ck_ok(wal_writer_sync(w, &err), &err);
            durable = i + 1;
        }
    }
    offsets[count] = wal_writer_end(w);
    wal_writer_close(w);
    struct buf bytes = file_bytes(WAL, offsets[count] + slack);
    set_file(COPY, bytes.data, bytes.size);
    return bytes;
}

START_TEST(records_read_back_in_order) {
    env_start();
    struct wal_writer *w = open_writer(WAL, NULL, 7);
    static const size_t sizes[] = {0, 1, 39, 40, 4096, 65536, 65537, 3u << 20};
    uint64_t total = 0;
    for (size_t i = 0; i < 8; i++) {
        append(w, i + 1, i, sizes[i]);
        total += sizes[i];
    }
    struct seen s;
    struct log_read_result res;
    ck_ok(read_path(WAL, 0, &s, &res), &err);
    ck_assert_uint_eq(s.count, 8);
    ck_assert_uint_eq(s.bytes, total);
    ck_assert_uint_eq(res.records, 8);
    ck_assert_uint_eq(res.end, wal_writer_end(w));
    ck_assert_uint_eq(res.checksum, wal_writer_checksum(w));
    ck_assert_uint_eq(res.durable_claim, 7);
    ck_assert(!res.torn && !res.header_missing);
    ck_ok(read_path(WAL, wal_writer_end(w), &s, &res), &err);
    ck_code(read_path(WAL, wal_writer_end(w) - 1, &s, &res), LAM_CORRUPT);
    ck_contains(err.message, "000007.wal");
    wal_writer_close(w);
    env_end();
}
END_TEST

START_TEST(segment_is_preallocated_and_durable_with_its_name) {
    env_start();
    struct wal_writer *w = open_writer(WAL, NULL, 7);
    lam_env *image;
    ck_ok(lam_env_mem_crash(env, LAM_CRASH_POWER, 1, &image, &err), &err);
    struct seen s = {0};
    struct log_read_result res;
    ck_ok(wal_read(image, WAL, db_id, 7, 0, see, &s, &res, &err), &err);
    ck_assert(!res.header_missing);
    ck_assert_uint_eq(res.end, LOG_HEADER_BYTES);
    lam_file *f;
    uint64_t size;
    ck_ok(env_file_open(image, WAL, LAM_OPEN_READ, &f, &err), &err);
    ck_ok(env_file_size(f, &size, &err), &err);
    ck_assert_uint_eq(size, WAL_SEGMENT_BYTES);
    ck_ok(env_file_close(f, &err), &err);
    lam_env_mem_free(image);
    wal_writer_close(w);
    struct wal_writer *again;
    ck_code(wal_writer_open(env, DIR, WAL, NULL, db_id, 7, 0, &again, &err), LAM_EXISTS);
    env_end();
}
END_TEST

START_TEST(trimmed_segment_gives_blocks_back_and_takes_what_is_left) {
    env_start();
    struct wal_writer *w = open_writer(WAL, NULL, 7);
    lam_file *f;
    uint64_t size;
    ck_assert(!wal_writer_trim(w, WAL_SEGMENT_BYTES)); /* it has no more */
    ck_assert(wal_writer_trim(w, 4096));
    ck_ok(env_file_open(env, WAL, LAM_OPEN_READ, &f, &err), &err);
    ck_ok(env_file_size(f, &size, &err), &err);
    ck_assert_uint_eq(size, 4096);
    ck_ok(env_file_close(f, &err), &err);
    append(w, 1, 0, 100);
    ck_assert(!wal_writer_trim(w, wal_writer_end(w) - 1)); /* nor what records take */
    ck_assert(wal_writer_fits(w, 3000));
    ck_assert(!wal_writer_fits(w, 4000));
    append(w, 2, 0, 3000);
    wal_writer_close(w);
    struct seen s;
    struct log_read_result res;
    ck_ok(read_path(WAL, 0, &s, &res), &err);
    ck_assert_uint_eq(res.records, 2);
    env_end();
}
END_TEST

START_TEST(fits_counts_overhead_and_takes_one_large_record) {
    env_start();
    struct wal_writer *w;
    uint64_t large = WAL_SEGMENT_BYTES + 12345;
    ck_ok(wal_writer_open(env, DIR, WAL, NULL, db_id, 7, large, &w, &err), &err);
    ck_assert(wal_writer_fits(w, large));
    append(w, 1, 0, large);
    ck_assert(!wal_writer_fits(w, 1));
    wal_writer_close(w);
    struct seen s;
    struct log_read_result res;
    ck_ok(read_path(WAL, 0, &s, &res), &err);
    ck_assert_uint_eq(s.bytes, large);
    env_end();
    env_start();
    w = open_writer(WAL, NULL, 7);
    uint64_t most = WAL_SEGMENT_BYTES - LOG_HEADER_BYTES - 10 - 2 * WAL_RECORD_OVERHEAD;
    append(w, 1, 0, 10);
    ck_assert(wal_writer_fits(w, most));
    ck_assert(!wal_writer_fits(w, most + 1));
    wal_writer_close(w);
    ck_code(wal_writer_open(env, DIR, WAL_B, NULL, db_id, 8, 1ull << 32, &w, &err), LAM_LIMIT);
    env_end();
}
END_TEST

START_TEST(torn_tail_at_every_byte_drops_only_the_last_record) {
    env_start();
    static const size_t sizes[] = {10, 200, 33};
    uint64_t at[4];
    struct buf good = make_log(sizes, 3, 2, at, 100);
    for (uint64_t cut = at[2]; cut < at[3]; cut++) {
        struct buf torn = {0};
        ck_ok(buf_append_slice(&torn, buf_slice(&good), &err), &err);
        memset(torn.data + cut, 0, torn.size - cut);
        struct seen s;
        struct log_read_result res;
        for (int truncated = 0; truncated < 2; truncated++) {
            set_file(COPY, torn.data, truncated ? cut : torn.size);
            ck_ok(read_path(COPY, 0, &s, &res), &err);
            /* Trailing zeros of a payload can't be told from bytes never written. */
            bool whole = !truncated && memcmp(torn.data, good.data, good.size) == 0;
            ck_assert_uint_eq(res.records, whole ? 3 : 2);
            ck_assert_uint_eq(res.end, whole ? at[3] : at[2]);
            if (cut >= at[2] + 4 && !whole)
                ck_assert_msg(res.torn, "cut at %llu", (unsigned long long)cut);
            if (cut == at[2])
                ck_assert(!res.torn);
        }
        buf_fini(&torn);
    }
    buf_fini(&good);
    env_end();
}
END_TEST

START_TEST(flip_in_synced_part_is_corruption_and_in_unsynced_tail_is_torn) {
    env_start();
    static const size_t sizes[] = {10, 60, 33, 5};
    uint64_t at[5];
    /* Record 3 and 4 say that records 1 and 2 were synced. */
    struct buf good = make_log(sizes, 4, 2, at, 64);
    for (uint64_t bit = LOG_HEADER_BYTES * 8; bit < good.size * 8; bit++) {
        good.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        set_file(COPY, good.data, good.size);
        struct seen s;
        struct log_read_result res;
        enum lam_code rc = read_path(COPY, 0, &s, &res);
        if (bit / 8 < at[2]) {
            ck_assert_msg(rc == LAM_CORRUPT, "bit %llu", (unsigned long long)bit);
            ck_contains(err.message, "000007.copy");
            ck_contains(err.message, "offset");
        } else {
            ck_ok(rc, &err);
            ck_assert_uint_eq(res.records, bit / 8 < at[3] ? 2 : bit / 8 < at[4] ? 3 : 4);
            ck_assert(res.torn || bit / 8 >= at[3]);
            ck_assert_uint_eq(res.durable_claim, 2);
        }
        good.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    buf_fini(&good);
    env_end();
}
END_TEST

START_TEST(claim_of_a_missing_sequence_is_corruption_without_synced_bytes) {
    env_start();
    struct wal_writer *w = open_writer(WAL, NULL, 7);
    append(w, 1, 0, 10);
    uint64_t second = wal_writer_end(w);
    append(w, 2, 0, 10);
    append(w, 3, 2, 10);
    uint64_t end = wal_writer_end(w);
    wal_writer_close(w);
    struct buf bytes = file_bytes(WAL, end);
    bytes.data[second + LOG_RECORD_BYTES] ^= 1;
    set_file(COPY, bytes.data, bytes.size);
    struct seen s;
    struct log_read_result res;
    ck_code(read_path(COPY, 0, &s, &res), LAM_CORRUPT);
    ck_assert_uint_eq(res.durable_claim, 2);
    ck_assert_uint_eq(s.count, 1);
    buf_fini(&bytes);
    env_end();
}
END_TEST

START_TEST(damaged_or_foreign_header_gives_no_records) {
    env_start();
    static const size_t sizes[] = {10};
    uint64_t at[2];
    struct buf good = make_log(sizes, 1, 0, at, 64);
    struct seen s;
    struct log_read_result res;
    for (uint64_t bit = 0; bit < LOG_HEADER_BYTES * 8; bit++) {
        good.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        set_file(COPY, good.data, good.size);
        ck_ok(read_path(COPY, 0, &s, &res), &err);
        ck_assert(res.header_missing && s.count == 0);
        ck_code(read_path(COPY, at[1], &s, &res), LAM_CORRUPT);
        good.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t size = 0; size < LOG_HEADER_BYTES; size++) {
        set_file(COPY, good.data, size);
        ck_ok(read_path(COPY, 0, &s, &res), &err);
        ck_assert(res.header_missing);
    }
    ck_ok(wal_read(env, WAL, other_id, 7, 0, see, &s, &res, &err), &err);
    ck_assert(res.header_missing);
    ck_ok(wal_read(env, WAL, db_id, 8, 0, see, &s, &res, &err), &err);
    ck_assert(res.header_missing);
    ck_code(wal_read(env, DIR "/none", db_id, 8, 0, see, &s, &res, &err), LAM_NOT_FOUND);
    buf_fini(&good);
    env_end();
}
END_TEST

START_TEST(recycled_segment_never_shows_old_records) {
    env_start();
    struct wal_writer *w = open_writer(WAL, NULL, 7);
    for (uint64_t i = 1; i <= 50; i++)
        append(w, i, i - 1, 100);
    ck_ok(wal_writer_sync(w, &err), &err);
    append(w, 51, 50, 100);
    wal_writer_close(w);
    w = open_writer(WAL_B, WAL, 8);
    ck_assert(!file_exists(WAL));
    struct seen s = {0};
    struct log_read_result res;
    ck_ok(wal_read(env, WAL_B, db_id, 8, 0, see, &s, &res, &err), &err);
    ck_assert_uint_eq(res.records, 0);
    ck_assert_uint_eq(res.durable_claim, 0);
    ck_assert(!res.torn && !res.header_missing);
    /* Records of the same size end where old ones begin. */
    for (uint64_t i = 1; i <= 20; i++) {
        append(w, i, 0, 100);
        s = (struct seen){0};
        ck_ok(wal_read(env, WAL_B, db_id, 8, 0, see, &s, &res, &err), &err);
        ck_assert_uint_eq(res.records, i);
        ck_assert(!res.torn);
    }
    wal_writer_close(w);
    env_end();
}
END_TEST

static enum lam_code count_only(void *arg, const struct log_record *record,
                                struct lam_slice payload, struct lam_error *e) {
    (void)record;
    (void)payload;
    (void)e;
    ++*(uint64_t *)arg;
    return LAM_OK;
}

START_TEST(values_holding_copies_of_records_do_not_parse) {
    env_start();
    struct wal_writer *w = open_writer(WAL, NULL, 7);
    append(w, 1, 0, 20);
    ck_ok(wal_writer_sync(w, &err), &err);
    append(w, 2, 1, 20);
    uint64_t end = wal_writer_end(w);
    struct buf bytes = file_bytes(WAL, end);
    /* The payload is a run of records as they stand in this very file. */
    bool clean;
    ck_ok(wal_writer_append(w, 3, 1, buf_slice(&bytes), &clean, &err), &err);
    uint64_t last = wal_writer_end(w);
    wal_writer_close(w);
    struct buf torn = file_bytes(WAL, last);
    /* Marker and check of record 3, so that only its payload can testify. */
    torn.data[end] ^= 1;
    torn.data[end + 4] ^= 1;
    set_file(COPY, torn.data, torn.size);
    uint64_t n = 0;
    struct log_read_result res;
    ck_ok(wal_read(env, COPY, db_id, 7, 0, count_only, &n, &res, &err), &err);
    ck_assert_uint_eq(n, 2);
    ck_assert_uint_eq(res.end, end);
    ck_assert(!res.torn);
    /* Nor does a record that landed in the place of another one. */
    size_t record = LOG_RECORD_BYTES + 20;
    memcpy(torn.data + end, torn.data + end - record, record);
    set_file(COPY, torn.data, torn.size);
    n = 0;
    ck_ok(wal_read(env, COPY, db_id, 7, 0, count_only, &n, &res, &err), &err);
    ck_assert_uint_eq(n, 2);
    buf_fini(&bytes);
    buf_fini(&torn);
    env_end();
}
END_TEST

START_TEST(look_ahead_is_linear_in_the_file) {
    env_start();
    /* Every offset holds the marker: the worst a crafted file can do. */
    static const size_t sizes[] = {4};
    uint64_t at[2];
    struct buf good = make_log(sizes, 1, 0, at, 0);
    struct buf crafted = {0};
    ck_ok(buf_append_slice(&crafted, buf_slice(&good), &err), &err);
    crafted.size = at[0] + 4;
    while (crafted.size < 8u << 20)
        ck_ok(buf_append(&crafted, good.data + at[0], 4, &err), &err);
    set_file(COPY, crafted.data, crafted.size);
    struct seen s;
    struct log_read_result res;
    uint64_t start = env_monotonic_ns(env);
    ck_ok(read_path(COPY, 0, &s, &res), &err);
    ck_assert_uint_lt(env_monotonic_ns(env) - start, 20000000000ull);
    ck_assert(res.torn && res.records == 0);
    buf_fini(&good);
    buf_fini(&crafted);
    env_end();
}
END_TEST

START_TEST(crash_keeps_a_prefix_with_all_synced_records) {
    uint64_t seed = test_seed("crash_keeps_a_prefix_with_all_synced_records");
    struct rng rng;
    rng_init(&rng, seed);
    for (int round = 0; round < 6; round++) {
        env_start();
        struct wal_writer *w = open_writer(WAL, NULL, 7);
        uint64_t synced = 0;
        uint64_t count = 1 + rng_below(&rng, 60);
        for (uint64_t i = 1; i <= count; i++) {
            append(w, i, synced, rng_below(&rng, 3000));
            if (rng_below(&rng, 6) == 0) {
                ck_ok(wal_writer_sync(w, &err), &err);
                synced = i;
            }
        }
        for (int k = 0; k < 8; k++) {
            lam_env *image;
            ck_ok(lam_env_mem_crash(env, LAM_CRASH_POWER_ANY, rng_next(&rng), &image, &err), &err);
            struct seen s = {0};
            struct log_read_result res;
            ck_ok(wal_read(image, WAL, db_id, 7, 0, see, &s, &res, &err), &err);
            ck_assert_uint_ge(s.count, synced);
            ck_assert_uint_le(s.count, count);
            lam_env_mem_free(image);
        }
        wal_writer_close(w);
        env_end();
    }
}
END_TEST

/* Appends with the write failing, whole or torn. */
static void failed_append(size_t size, unsigned kinds) {
    env_start();
    lam_env *mem = env;
    env = env_fault_new(mem);
    struct wal_writer *w = open_writer(WAL, NULL, 7);
    append(w, 1, 0, 10);
    uint64_t end = wal_writer_end(w);
    struct buf p = payload_of(2, size);
    bool clean = false;
    env_fault_arm(env, kinds, 1, LAM_NO_SPACE, false);
    ck_code(wal_writer_append(w, 2, 0, buf_slice(&p), &clean, &err), LAM_NO_SPACE);
    ck_assert(clean);
    ck_code(wal_writer_append(w, 3, 0, buf_slice(&p), &clean, &err), LAM_READ_ONLY);
    ck_assert(clean);
    /* Commits before it may still be waiting for their sync. */
    ck_ok(wal_writer_sync(w, &err), &err);
    lam_env *image;
    ck_ok(lam_env_mem_crash(mem, LAM_CRASH_POWER, 0, &image, &err), &err);
    struct seen s = {0};
    struct log_read_result res;
    ck_ok(wal_read(image, WAL, db_id, 7, end, see, &s, &res, &err), &err);
    ck_assert_uint_eq(s.count, 1);
    lam_env_mem_free(image);
    buf_fini(&p);
    wal_writer_close(w);
    env_fault_free(env);
    env = mem;
    env_end();
}

START_TEST(failed_append_leaves_nothing_to_read_back) {
    failed_append(100, FAULT_WRITE);
    failed_append(100, FAULT_WRITE | FAULT_TORN);
    failed_append(200000, FAULT_WRITE);
    failed_append(200000, FAULT_WRITE | FAULT_TORN);
}
END_TEST

START_TEST(failed_sync_is_final_and_makes_a_later_failure_unclean) {
    env_start();
    lam_env *mem = env;
    env = env_fault_new(mem);
    struct wal_writer *w = open_writer(WAL, NULL, 7);
    append(w, 1, 0, 10);
    env_fault_arm(env, FAULT_SYNC, 1, LAM_IO, false);
    ck_code(wal_writer_sync(w, &err), LAM_IO);
    ck_code(wal_writer_sync(w, &err), LAM_READ_ONLY);
    bool clean = false;
    ck_code(wal_writer_append(w, 2, 0, lam_slice_str("x"), &clean, &err), LAM_READ_ONLY);
    ck_assert(clean);
    wal_writer_close(w);
    w = open_writer(WAL_B, NULL, 8);
    /* The write fails and so does the wipe's sync: whether the record lasts is unknown. */
    env_fault_arm(env, FAULT_WRITE | FAULT_SYNC, 1, LAM_IO, true);
    ck_code(wal_writer_append(w, 2, 0, lam_slice_str("x"), &clean, &err), LAM_IO);
    ck_assert(!clean);
    env_fault_arm(env, FAULT_WRITE, 0, LAM_OK, false);
    wal_writer_close(w);
    env_fault_free(env);
    env = mem;
    env_end();
}
END_TEST

START_TEST(failed_open_leaves_no_file) {
    env_start();
    lam_env *mem = env;
    env = env_fault_new(mem);
    struct wal_writer *w = open_writer(WAL, NULL, 7);
    wal_writer_close(w);
    env_fault_arm(env, FAULT_MUTATE, 0, LAM_OK, false);
    w = open_writer(WAL_B, NULL, 8);
    wal_writer_close(w);
    uint64_t steps = env_fault_count(env);
    ck_assert_uint_ge(steps, 4);
    ck_ok(env_file_remove(env, WAL_B, &err), &err);
    for (uint64_t i = 1; i <= steps; i++) {
        env_fault_arm(env, FAULT_MUTATE, i, LAM_NO_SPACE, false);
        ck_code(wal_writer_open(env, DIR, WAL_B, NULL, db_id, 8, 0, &w, &err), LAM_NO_SPACE);
        ck_assert(!file_exists(WAL_B));
    }
    env_fault_free(env);
    env = mem;
    env_end();
}
END_TEST

TEST_MAIN("lsm/wal", records_read_back_in_order, segment_is_preallocated_and_durable_with_its_name,
          trimmed_segment_gives_blocks_back_and_takes_what_is_left,
          fits_counts_overhead_and_takes_one_large_record,
          torn_tail_at_every_byte_drops_only_the_last_record,
          flip_in_synced_part_is_corruption_and_in_unsynced_tail_is_torn,
          claim_of_a_missing_sequence_is_corruption_without_synced_bytes,
          damaged_or_foreign_header_gives_no_records, recycled_segment_never_shows_old_records,
          values_holding_copies_of_records_do_not_parse, look_ahead_is_linear_in_the_file,
          crash_keeps_a_prefix_with_all_synced_records, failed_append_leaves_nothing_to_read_back,
          failed_sync_is_final_and_makes_a_later_failure_unclean, failed_open_leaves_no_file)
