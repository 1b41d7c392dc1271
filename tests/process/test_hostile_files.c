/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile files whose checksums are right: forged log records, manifest edits, SST parts and
 * Parquet files that claim huge counts, lengths and sizes. Each is an answer or a clean error; no
 * reader takes more than MEMORY_MAX for a file of some kilobytes, and the work of thousands of them
 * ends within the test's time. */
#include "base/buf.h"
#include "base/env.h"
#include "base/hash.h"
#include "base/rng.h"
#include "lsm/entry.h"
#include "lsm/log_format.h"
#include "lsm/sst_format.h"
#include "tests/process/process.h"
#include "tests/support/parquet.h"

#define MEMORY_MAX (64u << 20)

/* --- an allocator that has no more than MEMORY_MAX -------------------------------------------- */

static size_t held, asked; /* one thread */

static void *capped_resize(void *arg, void *ptr, size_t size) {
    size_t *old = ptr ? (size_t *)ptr - 2 : NULL;
    size_t before = old ? *old : 0;
    (void)arg;
    if (size > 0 && held - before + size > MEMORY_MAX) {
        asked = size;
        return NULL;
    }
    held -= before;
    if (size == 0) {
        free(old);
        return NULL;
    }
    size_t *p = realloc(old, size + 2 * sizeof *p);
    if (!p)
        abort();
    *p = size;
    held += size;
    return p + 2;
}

static void cap_memory(void) {
    held = asked = 0;
    lam_set_allocator(&(struct lam_allocator){capped_resize, NULL});
}

/* Check notes every assertion in a file: in loops only the failing one is made. */
static void expect_clean(enum lam_code rc, const char *what, size_t at) {
    if (asked)
        ck_abort_msg("%s at %zu: %zu bytes of memory were asked for", what, at, asked);
    if (rc != LAM_OK && rc != LAM_CORRUPT && rc != LAM_UNSUPPORTED && rc != LAM_LIMIT &&
        rc != LAM_INVALID && rc != LAM_NOT_FOUND)
        ck_abort_msg("%s at %zu: %s: %s", what, at, lam_code_name(rc), err.message);
}

/* What is written over the bytes at a place: little-endian and varint numbers at their edges. */
static const struct forgery {
    uint8_t size;
    uint8_t bytes[10];
} forgeries[] = {
    {1, {0xff}},
    {1, {0x00}},
    {1, {0x7f}},
    {1, {0x80}},
    {4, {0xff, 0xff, 0xff, 0xff}},
    {4, {0xff, 0xff, 0xff, 0x7f}},
    {4, {0x00, 0x00, 0x00, 0x80}},
    {4, {0x00, 0x00, 0x00, 0x40}},
    {5, {0xff, 0xff, 0xff, 0xff, 0x0f}}, /* 2^32 - 1 */
    {5, {0xff, 0xff, 0xff, 0xff, 0x07}}, /* 2^31 - 1 */
    {5, {0x80, 0x80, 0x80, 0x80, 0x08}}, /* 2^31 */
    {8, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {8, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}},
    {10, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}}, /* 2^64 - 1 */
    {9, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}},        /* 2^63 - 1 */
};
#define FORGERIES (sizeof forgeries / sizeof forgeries[0])

/* A copy of `from` with a forgery at `at`; false if it does not fit. */
static bool forge(struct lam_slice from, size_t at, const struct forgery *f, struct buf *out) {
    if (at + f->size > from.size)
        return false;
    buf_reset(out);
    if (buf_append_slice(out, from, &err) != LAM_OK)
        return false;
    memcpy(out->data + at, f->bytes, f->size);
    return true;
}

static void put_file(lam_env *env, const char *path, struct lam_slice bytes) {
    lam_file *f = NULL;
    unsigned flags = LAM_OPEN_WRITE | LAM_OPEN_CREATE | LAM_OPEN_TRUNCATE;
    if (env_file_open(env, path, flags, &f, &err) != LAM_OK ||
        env_file_write(f, 0, bytes.data, bytes.size, &err) != LAM_OK ||
        env_file_close(f, &err) != LAM_OK)
        ck_abort_msg("%s: %s", path, err.message);
}

static void get_file(lam_env *env, const char *path, struct buf *out) {
    buf_reset(out);
    ck_ok(env_read_file(env, path, 1 << 30, out, &err), &err);
}

/* --- log and manifest ---------------------------------------------------------------------------
 */

#define DIR_PATH "/db"

static char newest_log[100], manifest[100];
static bool note_newest(void *arg, const char *name) {
    const char *dot = strrchr(name, '.');
    (void)arg;
    if (dot && strcmp(dot, ".wal") == 0 && strcmp(name, newest_log + strlen(DIR_PATH "/")) > 0)
        snprintf(newest_log, sizeof newest_log, DIR_PATH "/%s", name);
    if (strncmp(name, "MANIFEST-", 9) == 0)
        snprintf(manifest, sizeof manifest, DIR_PATH "/%s", name);
    return true;
}

/* A database as the death of its process leaves it, small. */
static lam_env *crashed_db(void) {
    lam_env *env, *image;
    lam_db *db;
    lam_partition *p;
    ck_ok(lam_env_mem_new(&env, &err), &err);
    struct lam_options o = {.env = env, .memory_budget = 4u << 20, .manual_background = true};
    ck_ok(lam_db_open(DIR_PATH, &o, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    for (int i = 0; i < 3; i++) {
        ck_ok(lam_put(db, NULL, p, lam_slice_str("a"), lam_slice_str("value"), &err), &err);
        if (i == 1)
            ck_ok(lam_db_dump(db, &err), &err);
    }
    ck_ok(lam_env_mem_crash(env, LAM_CRASH_PROCESS, 1, &image, &err), &err);
    lam_partition_release(p);
    close_db(db);
    lam_env_mem_free(env);
    newest_log[0] = manifest[0] = 0;
    snprintf(newest_log, sizeof newest_log, DIR_PATH "/");
    ck_ok(env_dir_list(image, DIR_PATH, note_newest, NULL, &err), &err);
    ck_assert(strstr(newest_log, ".wal") && manifest[0]);
    return image;
}

/* The records of a log: where they end, and what the last one was. */
struct log_end {
    uint64_t seed;
    struct log_record last;
    struct lam_slice payload; /* of the last; borrows */
};
static struct log_end end_of(struct lam_slice log) {
    struct log_end e = {.seed = get_le64(log.data + 56)};
    uint64_t at = LOG_HEADER_BYTES;
    while (at + LOG_RECORD_BYTES <= log.size && get_le32(log.data + at) == log_marker(e.seed)) {
        struct log_record r = {.offset = at};
        if (!log_record_decode(&r, e.seed, log.data + at))
            break;
        e.last = r;
        e.payload = lam_slice_of(log.data + at + LOG_RECORD_BYTES, r.length);
        at += LOG_RECORD_BYTES + r.length;
    }
    ck_assert_uint_gt(e.last.length, 0);
    return e;
}

/* Puts a record behind the last one, or in its place, with all its checksums right. */
static void forge_record(const struct buf *log, const struct log_end *e, bool behind,
                         uint64_t sequence, struct lam_slice payload, struct buf *out) {
    struct log_record r = e->last;
    if (behind)
        r.offset += LOG_RECORD_BYTES + r.length;
    r.length = (uint32_t)payload.size;
    r.sequence = sequence;
    size_t end = (size_t)r.offset + LOG_RECORD_BYTES + payload.size;
    buf_reset(out);
    ck_ok(buf_append_slice(out, lam_slice_of(log->data, (size_t)r.offset), &err), &err);
    ck_ok(buf_reserve(out, LOG_RECORD_BYTES + payload.size, &err), &err);
    if (payload.size)
        memcpy(out->data + r.offset + LOG_RECORD_BYTES, payload.data, payload.size);
    log_record_encode(&r, e->seed, payload, out->data + r.offset);
    out->size = end;
}

static enum lam_code open_and_read(lam_env *env) {
    lam_db *db = NULL;
    struct lam_options o = {.env = env, .memory_budget = 4u << 20, .manual_background = true};
    enum lam_code rc = lam_db_open(DIR_PATH, &o, &db, &err);
    if (rc != LAM_OK)
        return rc;
    rc = lam_db_check(db, NULL, NULL, &err);
    enum lam_code closed = lam_db_close(db, NULL);
    return rc == LAM_OK ? closed : rc;
}

/* Every forgery at every byte of the last record's payload, in the record's place and behind it. */
static void forge_log(bool of_manifest) {
    struct buf log = {0}, forged = {0}, payload = {0};
    size_t refused = 0, tried = 0;
    cap_memory();
    lam_env *base = crashed_db();
    const char *path = of_manifest ? manifest : newest_log;
    get_file(base, path, &log);
    struct log_end e = end_of(buf_slice(&log));
    for (size_t at = 0; at < e.payload.size; at++)
        for (size_t f = 0; f < 2 * FORGERIES; f++) {
            lam_env *env;
            bool behind = f >= FORGERIES;
            uint64_t sequence = e.last.sequence + behind;
            if (!forge(e.payload, at, &forgeries[f % FORGERIES], &payload))
                continue;
            forge_record(&log, &e, behind, sequence, buf_slice(&payload), &forged);
            if (lam_env_mem_crash(base, LAM_CRASH_PROCESS, 1, &env, &err) != LAM_OK)
                ck_abort_msg("%s", err.message);
            put_file(env, path, buf_slice(&forged));
            enum lam_code rc = open_and_read(env);
            expect_clean(rc, path, at);
            refused += rc != LAM_OK;
            tried++;
            lam_env_mem_free(env);
        }
    /* Most of what is forged makes no sense, and is found out. */
    ck_assert_uint_gt(refused, tried / 4);
    lam_env_mem_free(base);
    buf_fini(&log);
    buf_fini(&forged);
    buf_fini(&payload);
    ck_assert_uint_eq(held, 0);
}

START_TEST(forged_log_records_are_refused_in_little_memory) {
    forge_log(false);
}
END_TEST

START_TEST(forged_manifest_edits_are_refused_in_little_memory) {
    forge_log(true);
}
END_TEST

/* --- SST
 * ------------------------------------------------------------------------------------------ */

#define SST_PATH "/000007.sst"
static const uint8_t db_id[16] = {1, 2, 3};

static void build_sst(lam_env *env, struct sst_summary *sum) {
    struct sst_builder_options o = {
        .number = 7, .block_bytes = 512, .filter_bits_per_key = 10, .lz4 = true};
    struct sst_builder *b;
    char key[20], value[120];
    memcpy(o.db_id, db_id, sizeof db_id);
    ck_ok(sst_builder_open(env, SST_PATH, &o, &b, &err), &err);
    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "key %04d", i);
        memset(value, 'a' + i % 5, sizeof value);
        struct entry e = {lam_slice_str(key), (uint64_t)i + 1, ENTRY_PUT,
                          lam_slice_of(value, sizeof value)};
        ck_ok(sst_builder_add(b, &e, &err), &err);
    }
    struct range_tombstone t = {lam_slice_str("b"), lam_slice_str("c"), 70, 60};
    ck_ok(sst_builder_add_range(b, &t, &err), &err);
    ck_ok(sst_builder_finish(b, sum, &err), &err);
}

static enum lam_code read_sst(lam_env *env, uint64_t bytes, uint64_t checksum) {
    struct sst *s = NULL;
    struct cursor_iter *it = NULL;
    struct sst_found found;
    struct cached_block *block;
    struct lam_slice key = lam_slice_str("key 0033");
    TRY(sst_open(env, SST_PATH, db_id, 7, bytes, checksum, NULL, &s, &err));
    enum lam_code rc = sst_iter_new(s, false, &it, &err);
    if (rc == LAM_OK) {
        for (it->ops->seek_first(it); it->valid; it->ops->next(it))
            continue;
        rc = it->code;
        err = it->error;
        it->ops->free(it);
    }
    IGNORE_CODE(
        sst_get(s, key, sst_key_hash(sst_key_seed(db_id), key), 1000, &found, &block, &err));
    sst_block_unref(block);
    IGNORE_CODE(sst_verify(s, SST_PATH, &err));
    sst_unref(s);
    return rc;
}

/* Puts the trailer of a block right. `raw` 0: the raw size as it is. */
static void seal_block(uint8_t *file, struct sst_handle h, enum sst_block_type type, uint32_t raw) {
    size_t stored = (size_t)h.size - SST_TRAILER_BYTES;
    uint8_t *trailer = file + h.offset + stored;
    enum sst_compression compression = (enum sst_compression)trailer[5];
    if (raw == 0)
        raw = get_le32(trailer);
    sst_trailer_encode(sst_file_seed(db_id, 7), h.offset, lam_slice_of(file + h.offset, stored),
                       raw, type, compression, trailer);
}

START_TEST(forged_sst_parts_are_refused_in_little_memory) {
    struct sst_summary sum = {0};
    struct sst_footer footer;
    struct buf file = {0}, forged = {0};
    cap_memory();
    lam_env *env;
    ck_ok(lam_env_mem_new(&env, &err), &err);
    build_sst(env, &sum);
    get_file(env, SST_PATH, &file);
    ck_ok(sst_footer_decode(file.data + file.size - SST_FOOTER_BYTES, db_id, 7, file.size, &footer,
                            &err),
          &err);
    const struct sst_handle parts[] = {
        {0, 0}, footer.ranges, footer.filter, footer.index, footer.properties};
    for (int part = 1; part < 5; part++)
        for (uint64_t at = 0; at + SST_TRAILER_BYTES < parts[part].size; at++)
            for (size_t f = 0; f < FORGERIES; f++) {
                if (!forge(buf_slice(&file), (size_t)(parts[part].offset + at), &forgeries[f],
                           &forged))
                    continue;
                seal_block(forged.data, parts[part], (enum sst_block_type)(part + 1), 0);
                put_file(env, SST_PATH, buf_slice(&forged));
                expect_clean(read_sst(env, file.size, sum.footer_checksum), "part", (size_t)at);
            }
    /* The footer's own numbers. */
    for (size_t at = 0; at + 8 < SST_FOOTER_BYTES; at += 8)
        for (size_t f = 0; f < FORGERIES; f++) {
            if (!forge(buf_slice(&file), file.size - SST_FOOTER_BYTES + at, &forgeries[f], &forged))
                continue;
            uint8_t *end = forged.data + file.size - SST_FOOTER_BYTES;
            put_le64(end + SST_FOOTER_BYTES - 8, hash_xxh3(end, SST_FOOTER_BYTES - 8, 0));
            put_file(env, SST_PATH, buf_slice(&forged));
            expect_clean(read_sst(env, file.size, get_le64(end + SST_FOOTER_BYTES - 8)), "footer",
                         at);
        }
    sst_summary_fini(&sum);
    buf_fini(&file);
    buf_fini(&forged);
    lam_env_mem_free(env);
    ck_assert_uint_eq(held, 0);
}
END_TEST

/* A compressed block is said to hold 4 GiB, or as much as the format has, or a forgery's worth. */
START_TEST(forged_sst_blocks_are_refused_in_little_memory) {
    static const uint32_t sizes[] = {0xffffffff, 0x80000000, 0x7fffffff, 0x40100000, 0x40000000,
                                     1u << 24,   70000,      1,          0};
    struct sst_summary sum = {0};
    struct buf file = {0}, forged = {0};
    size_t refused = 0;
    cap_memory();
    lam_env *env;
    ck_ok(lam_env_mem_new(&env, &err), &err);
    build_sst(env, &sum);
    get_file(env, SST_PATH, &file);
    /* The first block ends where a trailer says so: its stored size is what the index gives. */
    size_t first = 0;
    for (size_t n = 20; n < 2000 && first == 0; n++) {
        struct sst_stored stored;
        if (sst_block_check(sst_file_seed(db_id, 7), 0, lam_slice_of(file.data, n), SST_BLOCK_DATA,
                            &stored, &err) == LAM_OK)
            first = n;
    }
    ck_assert_uint_gt(first, SST_TRAILER_BYTES);
    struct sst_handle block = {0, first};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        buf_reset(&forged);
        ck_ok(buf_append_slice(&forged, buf_slice(&file), &err), &err);
        seal_block(forged.data, block, SST_BLOCK_DATA, sizes[i]);
        put_file(env, SST_PATH, buf_slice(&forged));
        enum lam_code rc = read_sst(env, file.size, sum.footer_checksum);
        expect_clean(rc, "raw size", sizes[i]);
        refused += rc == LAM_CORRUPT;
    }
    ck_assert_uint_ge(refused, sizeof sizes / sizeof sizes[0] - 1);
    for (size_t at = 0; at < first - SST_TRAILER_BYTES; at++)
        for (size_t f = 0; f < FORGERIES; f++) {
            if (!forge(buf_slice(&file), at, &forgeries[f], &forged))
                continue;
            seal_block(forged.data, block, SST_BLOCK_DATA, 0);
            put_file(env, SST_PATH, buf_slice(&forged));
            expect_clean(read_sst(env, file.size, sum.footer_checksum), "block", at);
        }
    sst_summary_fini(&sum);
    buf_fini(&file);
    buf_fini(&forged);
    lam_env_mem_free(env);
    ck_assert_uint_eq(held, 0);
}
END_TEST

/* --- Parquet
 * -------------------------------------------------------------------------------------- */

#define PARQUET_PATH "/x.parquet"

static void build_parquet(lam_env *env) {
    struct parquet_field fields[3] = {
        {.name = "id", .type = {.type = LAM_TYPE_BIGINT}, .field_id = 1, .is_bloom = true},
        {.name = "t", .type = {.type = LAM_TYPE_TEXT}, .nullable = true, .field_id = 2},
        {.name = "few", .type = {.type = LAM_TYPE_TEXT}, .field_id = 3},
    };
    struct coltype types[3];
    struct colbatch b;
    struct parquet_writer *w;
    char text[40];
    for (int i = 0; i < 3; i++)
        types[i] = fields[i].type;
    ck_ok(colbatch_init(&b, types, 3, &err), &err);
    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "text of row %d", i);
        ck_ok(column_append_i64(&b.columns[0], i, &err), &err);
        if (i % 5)
            ck_ok(column_append_bytes(&b.columns[1], lam_slice_str(text), &err), &err);
        else
            ck_ok(column_append_null(&b.columns[1], &err), &err);
        ck_ok(column_append_bytes(&b.columns[2], lam_slice_str(i % 3 ? "one" : "other"), &err),
              &err);
    }
    b.rows = 40;
    struct parquet_write_options o = {.lz4 = true, .page_rows = 10};
    ck_ok(parquet_writer_open(env, PARQUET_PATH, fields, 3, &o, &w, &err), &err);
    ck_ok(parquet_writer_append(w, &b, &err), &err);
    ck_ok(parquet_finish(env, PARQUET_PATH, w, NULL, &err), &err);
    colbatch_fini(&b);
}

/* As a cold scan does: all rows, some at a time, of every column. */
static enum lam_code read_parquet(lam_env *env) {
    struct parquet_reader *r;
    uint32_t count;
    TRY(parquet_reader_open(env, PARQUET_PATH, NULL, &r, &err));
    const struct parquet_field *fields = parquet_reader_fields(r, &count);
    enum lam_code rc = LAM_OK;
    for (uint32_t g = 0; g < parquet_reader_group_count(r) && rc == LAM_OK; g++)
        for (uint32_t f = 0; f < count && rc == LAM_OK; f++) {
            uint32_t rows = parquet_reader_group_rows(r, g), step = rows < 2048 ? rows : 2048;
            struct column c;
            column_init(&c, fields[f].type);
            rc = parquet_reader_read(r, g, f, 0, step, &c, &err);
            column_fini(&c);
        }
    parquet_reader_close(r);
    return rc;
}

START_TEST(forged_parquet_files_are_refused_in_little_memory) {
    struct buf file = {0}, forged = {0};
    size_t refused = 0, tried = 0;
    cap_memory();
    lam_env *env;
    ck_ok(lam_env_mem_new(&env, &err), &err);
    build_parquet(env);
    get_file(env, PARQUET_PATH, &file);
    for (size_t at = 0; at < file.size; at++)
        for (size_t f = 0; f < FORGERIES; f++) {
            if (!forge(buf_slice(&file), at, &forgeries[f], &forged))
                continue;
            put_file(env, PARQUET_PATH, buf_slice(&forged));
            enum lam_code rc = read_parquet(env);
            expect_clean(rc, "parquet", at);
            refused += rc != LAM_OK;
            tried++;
        }
    ck_assert_uint_gt(refused, tried / 2);
    buf_fini(&file);
    buf_fini(&forged);
    lam_env_mem_free(env);
    ck_assert_uint_eq(held, 0);
}
END_TEST

TEST_MAIN("process/hostile_files", forged_log_records_are_refused_in_little_memory,
          forged_manifest_edits_are_refused_in_little_memory,
          forged_sst_parts_are_refused_in_little_memory,
          forged_sst_blocks_are_refused_in_little_memory,
          forged_parquet_files_are_refused_in_little_memory)
