/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests and logs whose checksums hold and which contradict themselves: made with our own
 * writers, told to write nonsense. Opening and checking must say what is wrong and where. */
#include "base/buf.h"
#include "base/hash.h"
#include "lsm/log_format.h"
#include "lsm/lsm.h"
#include "lsm/recover_state.h"
#include "lsm/version.h"
#include "tests/lsm/files.h"
#include "tests/lsm/manifests.h"
#include "tests/support/env_fault.h"
#include "tests/support/oom.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define WAL7     DIR "/000007.wal"
#define WAL8     DIR "/000008.wal"

/* --- what is found --------------------------------------------------------------------------- */

static struct {
    unsigned count;
    char file[256];
    uint64_t offset;
    char problem[512];
} found;

static void note(void *arg, const char *file, uint64_t offset, const char *problem) {
    (void)arg;
    if (found.count++ == 0) {
        snprintf(found.file, sizeof found.file, "%s", file);
        found.offset = offset;
        snprintf(found.problem, sizeof found.problem, "%s", problem);
    }
}

/* Opening refuses, and checking tells its caller once. */
static void expect_corrupt(const char *says) {
    struct lam_options o = {.env = env, .manual_background = true};
    lam_db *db;
    memset(&found, 0, sizeof found);
    memset(&err, 0, sizeof err);
    ck_code(lam_check(DIR, env, note, NULL, &err), LAM_CORRUPT);
    ck_assert_uint_eq(found.count, 1);
    ck_contains(found.problem, says);
    ck_contains(err.message, says);
    ck_contains(err.message, "1 problems");
    ck_code(lam_check(DIR, env, NULL, NULL, NULL), LAM_CORRUPT);
    ck_code(lam_db_open(DIR, &o, &db, &err), LAM_CORRUPT);
    ck_contains(err.message, says);
}

static void expect_good(void) {
    ck_ok(lam_check(DIR, env, note, NULL, &err), &err);
}

/* --- manifests ------------------------------------------------------------------------------- */

static const struct manifest_partition two[] = {{2, {(const uint8_t *)"p", 1}, {0}},
                                                {4, {(const uint8_t *)"q", 1}, {0}}};
static const struct manifest_edit initial = {
    .has_next_number = true, .next_number = 20, .created = two, .created_count = 2};

/* A database whose manifest says `initial` and then `e`. */
static struct manifest *begin(const struct manifest_edit *e) {
    struct manifest *m;
    env_start();
    ck_ok(manifest_create(env, DIR, db_id, &initial, &m, &err), &err);
    if (e)
        ck_ok(manifest_append(m, e, &err), &err);
    return m;
}

static void contradiction(const struct manifest_edit *e, const char *says) {
    manifest_close(begin(e));
    expect_corrupt(says);
    ck_contains(found.file, DIR);
    env_end();
}

START_TEST(edits_that_contradict_the_state_are_corrupt) {
    static const struct manifest_partition third = {4, {(const uint8_t *)"r", 1}, {0}};
    static const uint64_t above = 5, between = 3;
    contradiction(&(struct manifest_edit){.created = &third, .created_count = 1},
                  "creates a partition out of order, 4");
    contradiction(&(struct manifest_edit){.dropped = &above, .dropped_count = 1},
                  "drops an unknown partition, 5");
    contradiction(&(struct manifest_edit){.dropped = &between, .dropped_count = 1},
                  "drops an unknown partition, 3");
    contradiction(&(struct manifest_edit){.has_next_number = true, .next_number = 19},
                  "number counter goes back to 19");
    struct manifest_edit forth = {
        .has_last_sequence = true, .last_sequence = 8, .has_wal_floor = true, .wal_floor = 6};
    struct manifest_edit back = {.has_last_sequence = true, .last_sequence = 7};
    struct manifest *m = begin(&forth);
    ck_ok(manifest_append(m, &back, &err), &err);
    manifest_close(m);
    expect_corrupt("sequence goes back to 7");
    env_end();
    back = (struct manifest_edit){.has_wal_floor = true, .wal_floor = 5};
    m = begin(&forth);
    ck_ok(manifest_append(m, &back, &err), &err);
    manifest_close(m);
    expect_corrupt("log floor goes back to 5");
    env_end();
}
END_TEST

START_TEST(edits_on_files_that_never_were_are_corrupt) {
    struct manifest_file f = {.partition = 3, .level = 1, .number = 9};
    struct manifest_edit add = {.added = &f, .added_count = 1};
    contradiction(&add, "adds a file to an unknown partition, 3");
    f.partition = 2;
    f.level = VERSION_LEVELS;
    contradiction(&add, "puts a file on an unknown level, 9");
    struct manifest_removed r = {3, 1, 9};
    struct manifest_edit away = {.removed = &r, .removed_count = 1};
    contradiction(&away, "removes a file from an unknown partition, 3");
    f.level = 1;
    static const struct manifest_removed unknown[] = {{2, 1, 10}, {2, 2, 9}, {4, 1, 9}};
    for (size_t i = 0; i < COUNT(unknown); i++) {
        r = unknown[i];
        struct manifest *m = begin(&add);
        ck_ok(manifest_append(m, &away, &err), &err);
        manifest_close(m);
        expect_corrupt("removes an unknown file");
        env_end();
    }
    r = (struct manifest_removed){2, 1, 9};
    struct manifest *m = begin(&add);
    ck_ok(manifest_append(m, &away, &err), &err);
    manifest_close(m);
    expect_good();
    env_end();
}
END_TEST

START_TEST(log_segments_are_named_in_order) {
    static const struct manifest_wal nine = {9, 0, 0}, seven = {7, 0, 0};
    struct manifest_edit e = {.wals = &nine, .wals_count = 1};
    struct manifest *m = begin(&e);
    e.wals = &seven;
    ck_ok(manifest_append(m, &e, &err), &err);
    manifest_close(m);
    expect_corrupt("names a log segment out of order, 7");
    env_end();
}
END_TEST

START_TEST(edits_with_malformed_bytes_are_located) {
    manifest_close(begin(NULL));
    struct buf file = file_bytes(DIR "/MANIFEST-000001", 1u << 16);
    struct log_identity id = {LOG_MAGIC_MANIFEST, db_id, 1};
    uint64_t seed;
    ck_assert_int_eq(log_header_decode(&id, file.data, &seed), LOG_HEADER_GOOD);
    static const struct {
        uint64_t number;
        const char *payload;
        const char *says;
    } cases[] = {{2, "\x7f", "malformed tag"}, {3, "\x04", "edit 3 after edit 1"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t size = file.size;
        struct lam_slice payload = lam_slice_str(cases[i].payload);
        struct log_record r = {
            .offset = size, .length = (uint32_t)payload.size, .sequence = cases[i].number};
        uint8_t head[LOG_RECORD_BYTES];
        log_record_encode(&r, seed, payload, head);
        ck_ok(buf_append(&file, head, sizeof head, &err), &err);
        ck_ok(buf_append_slice(&file, payload, &err), &err);
        set_file(DIR "/MANIFEST-000001", file.data, file.size);
        expect_corrupt(cases[i].says);
        ck_contains(found.problem, "MANIFEST-000001: offset ");
        ck_assert_uint_eq(found.offset, size);
        file.size = size;
    }
    buf_fini(&file);
    env_end();
}
END_TEST

/* Of two manifests of the same edits only the salt differs. */
START_TEST(sealed_manifest_is_the_one_that_was_sealed) {
    static const struct manifest_edit closing = {.clean_close = true};
    struct manifest *m = begin(NULL);
    ck_ok(manifest_seal(m, &closing, &err), &err);
    manifest_close(m);
    struct buf other = file_bytes(DIR "/MANIFEST-000001", 1u << 16);
    env_end();
    m = begin(NULL);
    ck_ok(manifest_append(m, &closing, &err), &err);
    ck_ok(env_file_remove(env, DIR "/MANIFEST-000001", &err), &err);
    manifest_close(m);
    ck_ok(manifest_create(env, DIR, db_id, &initial, &m, &err), &err);
    ck_ok(manifest_seal(m, &closing, &err), &err);
    manifest_close(m);
    expect_good();
    struct buf own = file_bytes(DIR "/MANIFEST-000001", 1u << 16);
    ck_assert_uint_eq(own.size, other.size);
    if (slice_eq(buf_slice(&own), buf_slice(&other)))
        other.data[0] ^= 1; /* both environments drew the same salt: damage it plainly */
    set_file(DIR "/MANIFEST-000001", other.data, other.size);
    memset(&found, 0, sizeof found);
    ck_code(lam_check(DIR, env, note, NULL, &err), LAM_CORRUPT);
    ck_contains(found.problem, "MANIFEST-000001");
    buf_fini(&own);
    buf_fini(&other);
    env_end();
}
END_TEST

START_TEST(rewriting_needs_the_root_it_was_loaded_from) {
    struct manifest *m, *fresh;
    struct manifest_root root = {.manifest_number = 1};
    memcpy(root.db_id, db_id, 16);
    m = begin(NULL);
    manifest_close(m);
    ck_code(manifest_rewrite(env, DIR, &root, 1, &initial, &fresh, &err), LAM_CORRUPT);
    ck_contains(err.message, "number 1 for a manifest after 1");
    memcpy(root.db_id, other_id, 16);
    ck_code(manifest_rewrite(env, DIR, &root, 30, &initial, &fresh, &err), LAM_CORRUPT);
    ck_contains(err.message, "of another database");
    memcpy(root.db_id, db_id, 16);
    /* The counter in it is below its own number, which is burnt all the same. */
    ck_ok(manifest_rewrite(env, DIR, &root, 30, &initial, &fresh, &err), &err);
    manifest_close(fresh);
    struct recovered r;
    recovered_init(&r, env, DIR);
    ck_ok(recovered_load(&r, &err), &err);
    ck_assert_uint_eq(r.next_number, 31);
    ck_assert_uint_eq(r.granted_number, 20);
    recovered_fini(&r);
    ck_ok(env_file_remove(env, DIR "/ROOT", &err), &err);
    ck_code(manifest_rewrite(env, DIR, &root, 40, &initial, &fresh, &err), LAM_CORRUPT);
    ck_contains(err.message, "ROOT is gone");
    env_end();
}
END_TEST

/* --- logs ------------------------------------------------------------------------------------ */

static const struct manifest_wal seven = {7, 0, 0};
static const struct manifest_edit with_wal = {.wals = &seven, .wals_count = 1};

struct record {
    uint64_t sequence;
    uint64_t durable_upto;
    const char *payload;
    size_t size;
};

#define RECORD(sequence, text)                                                                     \
    { (sequence), 0, (text), sizeof(text) - 1 }
#define PUT_A                                                                                      \
    "\x01\0\0\0\x01\x02\x01"                                                                       \
    "a\x01x" /* one operation: put a = x into partition 2 */

static void write_segment(const char *path, uint64_t number, const struct record *records, size_t n,
                          struct manifest_wal *seal) {
    struct wal_writer *w;
    bool clean;
    ck_ok(wal_writer_open(env, DIR, path, NULL, db_id, number, 4096, &w, &err), &err);
    for (size_t i = 0; i < n; i++)
        ck_ok(wal_writer_append(w, records[i].sequence, records[i].durable_upto,
                                lam_slice_of(records[i].payload, records[i].size), &clean, &err),
              &err);
    if (seal)
        *seal = (struct manifest_wal){number, wal_writer_end(w), wal_writer_checksum(w)};
    wal_writer_close(w);
}

static void expect_bad_record(struct record r, const char *says) {
    manifest_close(begin(&with_wal));
    write_segment(WAL7, 7, &r, 1, NULL);
    expect_corrupt(says);
    ck_contains(found.problem, "000007.wal");
    env_end();
}

START_TEST(records_that_no_batch_makes_are_corrupt) {
    static const struct record bad[] = {
        RECORD(1, ""),
        RECORD(1, "\x01\0\0"),
        RECORD(1, "\x00\0\0\0"), /* no operation */
        RECORD(1, "\x01\0\0\0\x07\x02\x01"
                  "a"),                           /* unknown kind */
        RECORD(1, "\x01\0\0\0\x01\x02\x00\x01x"), /* put without key */
        RECORD(1, "\x01\0\0\0\x01\x02\x01"
                  "a\x02x"),                 /* cut short */
        RECORD(1, "\x01\0\0\0\x02\x02\x00"), /* delete without key */
        RECORD(1, "\x01\0\0\0\x03\x02\x01"
                  "b\x01"
                  "a\x05"), /* range from after to */
        RECORD(1, "\x01\0\0\0\x03\x02\x01"
                  "a\x01"
                  "b\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
        RECORD(1, "\x02\0\0\0\x01\x02\x01"
                  "a\x01x"),  /* fewer than it says */
        RECORD(1, PUT_A "y"), /* more than it says */
        RECORD(1, "\x01\0\0\0\x01\x14\x01"
                  "a\x01x"), /* partition 20 */
        RECORD(0, PUT_A),    /* sequence from before */
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        expect_bad_record(bad[i], "sequence");
    static const struct record good[] = {
        RECORD(1, PUT_A),
        RECORD(2, "\x01\0\0\0\x02\x03\x01"
                  "a"),                              /* of a dropped partition */
        RECORD(3, "\x01\0\0\0\x03\x02\x00\x00\x05"), /* everything */
        RECORD(4, "\x01\0\0\0\x03\x02\x01"
                  "a\x01"
                  "a\x05"), /* nothing */
    };
    manifest_close(begin(&with_wal));
    write_segment(WAL7, 7, good, COUNT(good), NULL);
    expect_good();
    env_end();
}
END_TEST

START_TEST(records_with_keys_longer_than_any_are_corrupt) {
    for (int which = 0; which < 4; which++) {
        struct buf payload = {0}, key = {0};
        ck_ok(buf_append_zeros(&key, LAM_KEY_MAX + 1, &err), &err);
        struct lam_slice longest = buf_slice(&key);
        ck_ok(buf_append_le32(&payload, 1, &err), &err);
        ck_ok(buf_append_u8(&payload, (uint8_t)(which < 2 ? which + 1 : 3), &err), &err);
        ck_ok(buf_append_varint(&payload, 2, &err), &err);
        ck_ok(buf_append_prefixed(&payload, which == 3 ? SLICE_EMPTY : longest, &err), &err);
        if (which != 1)
            ck_ok(buf_append_prefixed(&payload, which == 3 ? longest : SLICE_EMPTY, &err), &err);
        if (which >= 2)
            ck_ok(buf_append_varint(&payload, 1, &err), &err);
        expect_bad_record((struct record){1, 0, (const char *)payload.data, payload.size},
                          "malformed operation");
        buf_fini(&payload);
        buf_fini(&key);
    }
}
END_TEST

/* What comes after a hole does not count, unless something says that the hole was durable. */
START_TEST(log_ends_at_a_missing_sequence) {
    struct record records[] = {RECORD(1, PUT_A), RECORD(3, PUT_A), RECORD(4, PUT_A),
                               RECORD(2, PUT_A)};
    manifest_close(begin(&with_wal));
    write_segment(WAL7, 7, records, COUNT(records), NULL);
    expect_good();
    struct lam_options o = {.env = env, .manual_background = true};
    lam_db *db;
    struct lam_stats stats;
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    lam_db_stats(db, &stats);
    ck_assert_uint_eq(stats.recovered_operations, 1);
    ck_assert(stats.recovered_torn_tail);
    ck_ok(lam_db_close(db, &err), &err);
    env_end();
    records[2].durable_upto = 2;
    manifest_close(begin(&with_wal));
    write_segment(WAL7, 7, records, COUNT(records), NULL);
    expect_corrupt("but says that 2 was durable");
    env_end();
}
END_TEST

START_TEST(segments_that_are_not_what_the_manifest_says_are_corrupt) {
    static const struct record one[] = {RECORD(1, PUT_A)};
    /* Missing; and of another file, which reads as no header. */
    manifest_close(begin(&with_wal));
    expect_corrupt("000007.wal: offset 0: missing");
    write_segment(WAL8, 8, one, 1, NULL);
    ck_ok(env->ops->path_rename(env, WAL8, WAL7, &err), &err);
    expect_corrupt("no readable header");
    env_end();
    /* Sealed, with other records of the same length. */
    struct manifest_wal seal = {0};
    struct manifest_edit e = {.wals = &seal, .wals_count = 1};
    struct manifest *m = begin(NULL);
    write_segment(WAL7, 7, one, 1, &seal);
    ck_ok(manifest_append(m, &e, &err), &err);
    manifest_close(m);
    expect_good();
    env_end();
    m = begin(NULL);
    write_segment(WAL7, 7, one, 1, &seal);
    seal.checksum ^= 1;
    ck_ok(manifest_append(m, &e, &err), &err);
    manifest_close(m);
    expect_corrupt("not the records that were sealed");
    env_end();
    /* In a sealed database every segment is sealed. */
    m = begin(&with_wal);
    write_segment(WAL7, 7, one, 1, NULL);
    static const struct manifest_edit closing = {.clean_close = true};
    ck_ok(manifest_seal(m, &closing, &err), &err);
    manifest_close(m);
    expect_corrupt("open in a sealed database");
    env_end();
}
END_TEST

START_TEST(segments_that_nobody_named_may_be_empty_only) {
    static const struct record one[] = {RECORD(1, PUT_A)};
    static const struct manifest_edit floor = {.has_wal_floor = true, .wal_floor = 8};
    manifest_close(begin(&floor));
    write_segment(WAL7, 7, one, 1, NULL); /* below the floor: only not yet removed */
    ck_ok(env->ops->dir_create(env, DIR "/000009.wal", &err), &err);
    write_segment(WAL8, 8, NULL, 0, NULL);
    expect_good();
    ck_ok(env_file_remove(env, WAL8, &err), &err);
    write_segment(WAL8, 8, one, 1, NULL);
    ck_ok(env->ops->dir_remove(env, DIR "/000009.wal", &err), &err);
    expect_corrupt("000008.wal: offset 0: holds a record of sequence 1");
    env_end();
}
END_TEST

/* --- failures on the way --------------------------------------------------------------------- */

static enum lam_code ignore(void *arg, uint64_t sequence, uint32_t count, struct lam_slice payload,
                            struct lam_error *e) {
    (void)arg;
    (void)sequence;
    (void)count;
    (void)payload;
    (void)e;
    return LAM_OK;
}

static enum lam_code load(lam_env *in) {
    struct recovered r;
    struct recovered_log log;
    recovered_init(&r, in, DIR);
    enum lam_code rc = recovered_load(&r, &err);
    if (rc == LAM_OK)
        rc = recovered_check_file(&r, FILE_WAL, 7, 64, &err);
    if (rc == LAM_CORRUPT) /* it is longer than the 64 bytes of its header */
        rc = recovered_read_log(&r, ignore, NULL, &log, &err);
    recovered_fini(&r);
    return rc;
}

START_TEST(reads_and_memory_that_fail_are_not_called_corrupt) {
    /* A torn end, so that what follows it is looked through; and more than one window of it. */
    static const struct record records[] = {RECORD(1, PUT_A), RECORD(2, PUT_A)};
    struct buf large = {0};
    ck_ok(buf_append_zeros(&large, 3u << 20, &err), &err);
    static const struct manifest_wal two_wals[] = {{7, 0, 0}, {8, 0, 0}};
    struct manifest_edit e = {.wals = two_wals, .wals_count = 2};
    manifest_close(begin(&e));
    write_segment(WAL7, 7, records, COUNT(records), NULL);
    put_le32(large.data, 1);
    large.data[4] = 1;
    large.data[5] = 2;
    size_t key = varint_put(large.data + 6, 1);
    large.data[6 + key] = 'k';
    size_t rest = large.size - (6 + key + 1) - 4;
    ck_assert_uint_eq(varint_put(large.data + 6 + key + 1, rest), 4);
    struct record big = {3, 0, (const char *)large.data, large.size};
    write_segment(WAL8, 8, &big, 1, NULL);
    /* A third of it, cut in its payload. */
    struct buf cut = file_bytes(WAL8, 8u << 20);
    set_file(WAL8, cut.data, 2u << 20);
    lam_env *mem = env;
    env = env_fault_new(mem);
    for (uint64_t nth = 1;; nth++) {
        env_fault_arm(env, FAULT_READ | FAULT_OPEN, nth, LAM_IO, false);
        enum lam_code rc = load(env);
        if (env_fault_fired(env) == 0) {
            ck_ok(rc, &err);
            ck_assert_uint_gt(nth, 15);
            break;
        }
        ck_code(rc, LAM_IO);
    }
    env_fault_arm(env, FAULT_READ, 0, LAM_OK, false);
    for (size_t nth = 1;; nth++) {
        oom_arm_once(nth);
        enum lam_code rc = load(env);
        if (!oom_fired()) {
            ck_ok(rc, &err);
            break;
        }
        ck_code(rc, LAM_NO_MEMORY);
    }
    env_fault_free(env);
    env = mem;
    buf_fini(&cut);
    buf_fini(&large);
    env_end();
}
END_TEST

TEST_MAIN("lsm/forged", edits_that_contradict_the_state_are_corrupt,
          edits_on_files_that_never_were_are_corrupt, log_segments_are_named_in_order,
          edits_with_malformed_bytes_are_located, sealed_manifest_is_the_one_that_was_sealed,
          rewriting_needs_the_root_it_was_loaded_from, records_that_no_batch_makes_are_corrupt,
          records_with_keys_longer_than_any_are_corrupt, log_ends_at_a_missing_sequence,
          segments_that_are_not_what_the_manifest_says_are_corrupt,
          segments_that_nobody_named_may_be_empty_only,
          reads_and_memory_that_fail_are_not_called_corrupt)
