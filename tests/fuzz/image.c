/* SPDX-License-Identifier: Apache-2.0
 *
 * Making the images, and walking through what was opened. */
#include "tests/fuzz/image.h"

#include <stdio.h>

#include "tests/fuzz/fuzz.h"
#include "tests/sim/tuning.h"

#define BUDGET (4u << 20)

static lam_env *images[IMAGE_COUNT];

static void set_sizes(void) {
    static const struct db_tuning tiny = {
        .rotate_bytes = 1500,
        .segment_bytes = 4096,
        .base_bytes = 4096,
        .dump_file_bytes = 1500,
        .close_dump_bytes = 600,
        .manifest_rewrite_bytes = 1500,
    };
    sim_tuning_set(&tiny);
}

struct lam_options image_options(lam_env *env) {
    return (struct lam_options){.env = env,
                                .memory_budget = BUDGET,
                                .block_bytes = 512,
                                .open_files = 16,
                                .manual_background = true};
}

static lam_db *open_image(lam_env *env) {
    struct lam_options o = image_options(env);
    struct lam_error err = {0};
    lam_db *db;
    fuzz_ok(lam_db_open(IMAGE_DIR, &o, &db, &err), &err);
    return db;
}

/* --- engine ---------------------------------------------------------------------------------- */

static void put_some(lam_db *db, lam_partition *p, unsigned from, unsigned count, bool sync) {
    struct lam_write_options o = {sync ? LAM_DURABILITY_SYNC : LAM_DURABILITY_OS};
    for (unsigned i = from; i < from + count; i++) {
        char key[16], value[80];
        int k = snprintf(key, sizeof key, "key%04u", i * 7 % 100);
        int v = snprintf(value, sizeof value, "%u %.*s", i, (int)(i % 60),
                         "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefgh");
        fuzz_ok(
            lam_put(db, &o, p, lam_slice_of(key, (size_t)k), lam_slice_of(value, (size_t)v), NULL),
            NULL);
    }
}

static void delete_some(lam_db *db, lam_partition *p, const char *from, const char *to) {
    lam_batch *b;
    fuzz_ok(lam_batch_new(db, &b, NULL), NULL);
    fuzz_ok(lam_batch_delete_range(b, p, lam_slice_str(from), lam_slice_str(to), LAM_SEQUENCE_MAX,
                                   NULL),
            NULL);
    fuzz_ok(lam_batch_delete(b, p, lam_slice_str("key0050"), NULL), NULL);
    fuzz_ok(lam_write(db, NULL, b, NULL, NULL), NULL);
    lam_batch_free(b);
}

/* Gives it back open. */
static lam_db *make_engine(lam_env *env) {
    struct lam_partition_options lz4 = {.compression = LAM_COMPRESSION_LZ4};
    struct lam_partition_options brief = {.ttl_seconds = 3600};
    lam_partition *a, *b, *c;
    lam_db *db = open_image(env);
    fuzz_ok(lam_partition_create(db, "a", NULL, &a, NULL), NULL);
    fuzz_ok(lam_partition_create(db, "b", &lz4, &b, NULL), NULL);
    fuzz_ok(lam_partition_create(db, "c", &brief, &c, NULL), NULL);
    put_some(db, a, 0, 60, false);
    put_some(db, b, 0, 40, false);
    fuzz_ok(lam_db_dump(db, NULL), NULL);
    fuzz_ok(lam_db_compact(db, NULL, NULL), NULL);
    delete_some(db, a, "key0010", "key0030");
    put_some(db, a, 60, 30, true);
    fuzz_ok(lam_partition_drop(db, c, NULL), NULL);
    fuzz_ok(lam_db_dump(db, NULL), NULL);
    delete_some(db, b, "key0080", "");
    put_some(db, b, 40, 12, true);
    put_some(db, a, 90, 8, false);
    lam_partition_release(a);
    lam_partition_release(b);
    lam_partition_release(c);
    return db;
}

/* --- SQL ------------------------------------------------------------------------------------- */

void image_run(lam_db *db, const char *sql) {
    lam_session *s;
    struct lam_error err = {0};
    fuzz_ok(lam_session_open(db, "u", LAM_ROLE_SYSTEM, &s, &err), &err);
    fuzz_ok(lam_exec(s, sql, strlen(sql), NULL, NULL, NULL, &err), &err);
    fuzz_ok(lam_session_close(s, &err), &err);
}

static const char *const script[] = {
    "CREATE NAMESPACE n",
    "CREATE USER TABLE n.t (id BIGINT PRIMARY KEY, a INT, b TEXT, c DECIMAL(10,2), d TIMESTAMP, "
    "e JSON, f DOUBLE, g UUID, h BYTES, i BOOLEAN, j DATE, k TIME, l SMALLINT, m FLOAT)",
    "CREATE INDEX t_a ON n.t (a)",
    "CREATE UNIQUE INDEX t_b ON n.t (b)",
    "CREATE SHARED TABLE n.s (x TEXT, y INT, z TEXT DEFAULT 'none', PRIMARY KEY (x, y))",
    "CREATE STREAM TABLE n.w (id BIGINT DEFAULT SNOWFLAKE_ID() PRIMARY KEY, v TEXT) WITH "
    "(TTL_SECONDS = 3600)",
    "CREATE USER 'v' WITH ROLE user",
    "INSERT INTO n.t (id, a, b, c, d, e, f, g, h, i, j, k, l, m) VALUES "
    "(1, 1, 'one', 1.25, TIMESTAMP '2024-01-02 03:04:05', '{\"a\":[1,2]}', 0.5, "
    "'00000000-0000-4000-8000-000000000001', '\\x0102', true, DATE '2024-02-29', TIME "
    "'12:34:56', 7, 1.5), "
    "(2, 2, 'two', -2, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL), "
    "(3, NULL, NULL, NULL, NULL, '[]', 'NaN', NULL, NULL, NULL, NULL, NULL, 1, NULL)",
    "INSERT INTO n.s (x, y) VALUES ('a', 1), ('a', 2), ('b', 1), ('c', 9)",
    "INSERT INTO n.w (v) VALUES ('s1'), ('s2')",
    "STORAGE FLUSH TABLE n.t",
    "STORAGE FLUSH TABLE n.s",
    "UPDATE n.t SET a = 5, b = 'uno' WHERE id = 1",
    "DELETE FROM n.s WHERE x = 'b'",
    "ALTER TABLE n.t ADD COLUMN z BIGINT DEFAULT 42",
    "ALTER TABLE n.t DROP COLUMN k",
    "INSERT INTO n.t (id, a, b, z) VALUES (4, 4, 'four', 4), (5, 5, 'five', NULL)",
    "STORAGE FLUSH TABLE n.t",
    "EXECUTE AS USER 'v' (INSERT INTO n.t (id, a, b) VALUES (1, 11, 'vone'), (2, 12, 'vtwo'))",
    "UPDATE n.t SET a = 6 WHERE id = 4",
    "DELETE FROM n.t WHERE id = 2",
    "INSERT INTO n.s (x, y, z) VALUES ('d', 4, 'dd')",
};

static const struct lam_entity_field fields[] = {
    {.name = "id", .type = LAM_TYPE_BIGINT, .key = true},
    {.name = "email", .type = LAM_TYPE_TEXT, .nullable = true},
    {.name = "born", .type = LAM_TYPE_DATE, .nullable = true},
};
static const struct lam_entity_part by_email[] = {{.field = "email"}};
static const struct lam_entity_part by_age[] = {{.field = "born", .descending = true}};
static const struct lam_entity_index indexes[] = {
    {.name = "by_email", .unique = true, .parts = by_email, .part_count = 1},
    {.name = "by_age", .parts = by_age, .part_count = 1},
};
static const struct lam_entity_desc contacts = {"contacts", fields, 3, indexes, 2};

static void make_contacts(lam_db *db) {
    lam_entity *e;
    struct lam_error err = {0};
    fuzz_ok(lam_entity_open(db, &contacts, &e, &err), &err);
    for (int i = 0; i < 5; i++) {
        char email[20];
        snprintf(email, sizeof email, "m%d@example", i);
        struct lam_cell row[] = {lam_cell_int64(LAM_TYPE_BIGINT, i), lam_cell_text(email),
                                 lam_cell_int64(LAM_TYPE_DATE, 1000 * i)};
        if (i == 3)
            row[1] = lam_cell_null();
        fuzz_ok(lam_entity_insert(e, row, LAM_DURABILITY_OS, &err), &err);
    }
    lam_entity_close(e);
}

static lam_db *make_sql(lam_env *env) {
    lam_db *db = open_image(env);
    for (size_t i = 0; i < sizeof script / sizeof script[0]; i++)
        image_run(db, script[i]);
    make_contacts(db);
    return db;
}

/* --- images ---------------------------------------------------------------------------------- */

static void make_image(enum image_kind kind) {
    lam_env *env = fuzz_env_new();
    struct lam_error err = {0};
    set_sizes();
    fuzz_env_rewind();
    lam_db *db = image_has_sql(kind) ? make_sql(env) : make_engine(env);
    if (kind == IMAGE_ENGINE_CRASHED || kind == IMAGE_SQL_CRASHED)
        images[kind] = fuzz_env_copy(env);
    fuzz_ok(lam_db_close(db, &err), &err);
    if (images[kind])
        fuzz_env_free(env);
    else
        images[kind] = env;
}

lam_env *image_copy(enum image_kind kind) {
    if (!images[kind])
        make_image(kind);
    fuzz_env_rewind();
    return fuzz_env_copy(images[kind]);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void walk(lam_db *db, lam_partition *p) {
    lam_iter *it;
    struct lam_value value = {0};
    struct lam_error err = {0};
    uint64_t steps = 0;
    enum lam_code rc = lam_iter_new(db, NULL, p, &it, &err);
    REQUIRE(fuzz_is_answer(rc));
    if (rc != LAM_OK)
        return;
    for (lam_iter_seek_first(it); lam_iter_valid(it) && steps < 4000; lam_iter_next(it), steps++)
        if (steps % 5 == 0) {
            rc = lam_get(db, NULL, p, lam_iter_key(it), &value, &err);
            REQUIRE(fuzz_is_answer(rc) || rc == LAM_NOT_FOUND);
        }
    REQUIRE(fuzz_is_answer(lam_iter_status(it, &err)));
    for (lam_iter_seek_last(it); lam_iter_valid(it) && steps < 8000; lam_iter_prev(it))
        steps++;
    REQUIRE(fuzz_is_answer(lam_iter_status(it, &err)));
    lam_iter_seek(it, lam_slice_str("key0042"));
    REQUIRE(fuzz_is_answer(lam_iter_status(it, &err)));
    lam_iter_free(it);
    lam_value_release(&value);
}

struct names {
    char items[64][LAM_PARTITION_NAME_MAX + 1];
    size_t count;
};

static bool take_name(void *arg, const char *name) {
    struct names *n = arg;
    snprintf(n->items[n->count++], sizeof n->items[0], "%s", name);
    return n->count < 64;
}

void image_read_engine(lam_db *db) {
    static struct names names;
    struct lam_stats stats;
    struct lam_error err = {0};
    names.count = 0;
    fuzz_ok(lam_partition_list(db, take_name, &names, &err), &err);
    for (size_t i = 0; i < names.count; i++) {
        lam_partition *p;
        fuzz_ok(lam_partition_open(db, names.items[i], &p, &err), &err);
        walk(db, p);
        lam_partition_release(p);
    }
    lam_db_stats(db, &stats);
    REQUIRE(fuzz_is_answer(lam_db_check(db, NULL, NULL, &err)));
}

static const char *const questions[] = {
    "SELECT * FROM n.t ORDER BY id",
    "SELECT count(*), sum(a), min(b), max(c) FROM n.t",
    "SELECT * FROM n.t WHERE id = 1",
    "SELECT * FROM n.t WHERE a = 5",
    "SELECT * FROM n.t WHERE b = 'one' OR e -> 'a' IS NOT NULL",
    "SELECT *, _seq, _updated FROM n.s WHERE x >= 'a' AND y < 9",
    "SELECT * FROM n.s",
    "SELECT * FROM n.w",
    "SELECT * FROM system.namespaces",
    "SELECT * FROM system.tables",
    "SELECT * FROM system.table_schemas",
    "SELECT * FROM system.users",
    "SELECT * FROM system.storages",
    "SELECT * FROM system.jobs",
    "SELECT * FROM system.audit_log",
    "DESCRIBE n.t",
    "SHOW TABLES",
    "EXPLAIN SELECT * FROM n.t WHERE b = 'x'",
};

static const char *const changes[] = {
    "UPDATE n.t SET a = a + 1 WHERE id <= 3",
    ("INSERT INTO n.t (id, a, b) VALUES (1, 1, 'fresh') ON CONFLICT (id) DO UPDATE SET b = "
     "excluded.b"),
    "DELETE FROM n.s WHERE y = 1",
    "INSERT INTO n.s (x, y) VALUES ('z', 1)",
    "INSERT INTO n.w (v) VALUES ('late')",
    "STORAGE FLUSH TABLE n.t",
    "STORAGE FLUSH TABLE n.s",
    "ALTER TABLE n.s ADD COLUMN extra INT",
    "DROP TABLE n.w",
    "CREATE SHARED TABLE n.fresh (id BIGINT PRIMARY KEY)",
};

static bool is_sql_answer(enum lam_code rc) {
    return fuzz_is_answer(rc) || rc == LAM_SQL || rc == LAM_DENIED || rc == LAM_NOT_FOUND ||
           rc == LAM_EXISTS || rc == LAM_READ_ONLY || rc == LAM_CONFLICT;
}

static void expect_answer(enum lam_code rc, const char *what, const struct lam_error *err) {
    if (!is_sql_answer(rc))
        fprintf(stderr, "%s: %s: %s\n", what, lam_code_name(rc), err->message);
    REQUIRE(is_sql_answer(rc));
}

static bool look_at_row(void *arg, lam_stmt *stmt) {
    size_t *bytes = arg;
    for (uint32_t i = 0; i < lam_column_count(stmt); i++)
        *bytes += lam_column_text(stmt, i).size;
    return true;
}

static void ask(lam_session *s, const char *sql) {
    struct lam_error err = {0};
    size_t bytes = 0;
    enum lam_code rc = lam_exec(s, sql, strlen(sql), look_at_row, &bytes, NULL, &err);
    expect_answer(rc, sql, &err);
}

static void ask_some(lam_session *s, const char *const *texts, size_t count, uint16_t which) {
    for (size_t i = 0; i < count; i++)
        if (which >> i % 16 & 1)
            ask(s, texts[i]);
}

static bool count_record(void *arg, const struct lam_cell *record) {
    *(size_t *)arg += record[1].is_null ? 0 : record[1].as.bytes.size;
    return true;
}

static void read_contacts(lam_db *db, bool read_only) {
    lam_entity *e;
    struct lam_error err = {0};
    struct lam_record record = {0};
    struct lam_cell key = lam_cell_int64(LAM_TYPE_BIGINT, 2);
    struct lam_cell row[] = {key, lam_cell_text("new@example"), lam_cell_null()};
    size_t bytes = 0;
    enum lam_code rc = lam_entity_open(db, &contacts, &e, &err);
    /* INVALID: the description is another one. */
    REQUIRE(is_sql_answer(rc) || rc == LAM_INVALID);
    if (rc != LAM_OK)
        return;
    rc = lam_entity_scan(e, NULL, NULL, 0, count_record, &bytes, &err);
    expect_answer(rc, "scan", &err);
    rc = lam_entity_scan_index(e, NULL, "by_email", NULL, 0, count_record, &bytes, &err);
    expect_answer(rc, "scan of by_email", &err);
    rc = lam_entity_scan_index(e, NULL, "by_age", NULL, 0, count_record, &bytes, &err);
    expect_answer(rc, "scan of by_age", &err);
    rc = lam_entity_get(e, NULL, &key, &record, &err);
    expect_answer(rc, "get", &err);
    if (rc == LAM_OK)
        lam_record_release(&record);
    if (!read_only) {
        expect_answer(lam_entity_put(e, row, LAM_DURABILITY_OS, &err), "put", &err);
        expect_answer(lam_entity_delete(e, &key, LAM_DURABILITY_OS, &err), "delete", &err);
    }
    lam_entity_close(e);
    if (!read_only)
        expect_answer(lam_entity_drop(db, "contacts", &err), "drop", &err);
}

void image_read_sql(lam_db *db, bool read_only, uint16_t which) {
    bool limited = which & 1;
    lam_session *s;
    struct lam_error err = {0};
    enum lam_role role = limited ? LAM_ROLE_USER : LAM_ROLE_SYSTEM;
    enum lam_code rc = lam_session_open(db, limited ? "v" : "u", role, &s, &err);
    REQUIRE(is_sql_answer(rc));
    if (rc != LAM_OK)
        return;
    ask_some(s, questions, sizeof questions / sizeof questions[0], which);
    if (!read_only)
        ask_some(s, changes, sizeof changes / sizeof changes[0], which);
    fuzz_ok(lam_session_close(s, &err), &err);
    if (which & 0x4000)
        read_contacts(db, read_only);
}
