/* SPDX-License-Identifier: Apache-2.0
 *
 * lam_check_full: a database with something of every kind is clean; whatever is then done to it
 * behind its back is found, with the file or partition and the place. */
#include "flush/flush_impl.h"
#include "tests/flush/world.h"
#include "tests/sql/database.h"
#include "tests/support/oom.h"

static struct database d;
static struct catalog *c;
static struct lam_error err;

/* --- checking -------------------------------------------------------------------------------- */

#define FINDINGS 64
static struct finding {
    char file[256];
    char problem[512];
} findings[FINDINGS], notes[FINDINGS];
static size_t finding_count, note_count;
static uint64_t files_done, files_total;

static void add(struct finding *list, size_t *count, const char *file, const char *problem) {
    ck_assert_uint_lt(*count, FINDINGS);
    snprintf(list[*count].file, sizeof list->file, "%s", file);
    snprintf(list[(*count)++].problem, sizeof list->problem, "%s", problem);
}
static void note_finding(void *arg, const char *file, uint64_t offset, const char *problem) {
    (void)arg;
    (void)offset;
    add(findings, &finding_count, file, problem);
}
static void note_note(void *arg, const char *file, uint64_t offset, const char *problem) {
    (void)arg;
    ck_assert_uint_eq(offset, 0);
    add(notes, &note_count, file, problem);
}
static bool note_progress(void *arg, const struct lam_progress *now) {
    files_done = now->files_done;
    files_total = now->files_total;
    return arg == NULL;
}

static enum lam_code check(void) {
    struct lam_check_options o = {
        .env = d.env, .finding = note_finding, .progress = note_progress, .note = note_note};
    finding_count = note_count = 0;
    memset(&err, 0, sizeof err);
    return lam_check_full("db", &o, &err);
}

static void close_db(void) {
    ck_ok(lam_session_close(d.s, &err), &err);
    ck_ok(lam_db_close(d.db, &err), &err);
    d.db = NULL;
}

static bool is_told(const struct finding *list, size_t count, const char *file, const char *text) {
    for (size_t i = 0; i < count; i++)
        if (strstr(list[i].file, file) && strstr(list[i].problem, text))
            return true;
    return false;
}

/* Closes the damaged database, which is found to be so. */
static void expect(const char *file, const char *problem) {
    if (d.db)
        close_db();
    enum lam_code rc = check();
    for (size_t i = 0; i < finding_count && rc != LAM_CORRUPT; i++)
        printf("%s: %s\n", findings[i].file, findings[i].problem);
    ck_assert_msg(rc == LAM_CORRUPT, "%s: %s: %s %s", file, problem, lam_code_name(rc),
                  err.message);
    if (!is_told(findings, finding_count, file, problem))
        ck_abort_msg("not told: %s: %s; but %s", file, problem, err.message);
}

static void clean(void) {
    if (d.db)
        close_db();
    ck_ok(check(), &err);
    ck_assert_uint_eq(finding_count, 0);
}

/* --- the database ---------------------------------------------------------------------------- */

static void open_db(void) {
    database_open(&d);
    ck_ok(catalog_of(d.db, &c, &err), &err);
}

static bool wants_old(void *arg, const struct lam_cell *cells) {
    (void)arg;
    return !cells[3].is_null && cells[3].as.int64 > 30;
}
/* An entity of the embedder with indexes of every kind. */
static void put_things(void) {
    static const struct lam_entity_field fields[] = {
        {.name = "id", .type = LAM_TYPE_BIGINT, .key = true},
        {.name = "k", .type = LAM_TYPE_TEXT, .key = true},
        {.name = "email", .type = LAM_TYPE_TEXT, .nullable = true},
        {.name = "age", .type = LAM_TYPE_INT, .nullable = true},
        {.name = "pay", .type = LAM_TYPE_DECIMAL, .precision = 10, .scale = 2},
    };
    static const struct lam_entity_part email[] = {{.field = "email"}};
    static const struct lam_entity_part age_pay[] = {{"age", true}, {"pay", false}};
    static const struct lam_entity_index indexes[] = {
        {.name = "by_email", .unique = true, .parts = email, .part_count = 1},
        {.name = "by_age", .parts = age_pay, .part_count = 2},
        {.name = "old", .unique = true, .parts = email, .part_count = 1, .wants = wants_old},
    };
    static const struct lam_entity_desc things = {"things", fields, 5, indexes, 3};
    lam_entity *e;
    ck_ok(lam_entity_open(d.db, &things, &e, &err), &err);
    for (int i = 0; i < 6; i++) {
        char text[20];
        snprintf(text, sizeof text, "%d@x", i);
        struct lam_cell cells[] = {lam_cell_int64(LAM_TYPE_BIGINT, i), lam_cell_text("k"),
                                   i % 3 ? lam_cell_text(text) : lam_cell_null(),
                                   i == 4 ? lam_cell_null() : lam_cell_int64(LAM_TYPE_INT, 10 * i),
                                   lam_cell_bytes(LAM_TYPE_DECIMAL, S("12.50"))};
        ck_ok(lam_entity_put(e, cells, LAM_DURABILITY_SYNC, &err), &err);
    }
    lam_entity_close(e);
}

static void start(void) {
    open_db();
    put_things();
    run(&d, "CREATE NAMESPACE app; CREATE USER ann; CREATE USER bob ROLE service;"
            "CREATE STORAGE arch TYPE 'filesystem' BASE_DIRECTORY 'archive';"
            "CREATE USER TABLE app.u (id BIGINT PRIMARY KEY, name TEXT, n INT);"
            "CREATE INDEX u_n ON app.u (n); CREATE UNIQUE INDEX u_name ON app.u (name);"
            "CREATE STREAM TABLE app.st (id INT PRIMARY KEY, v TEXT) TTL 86400;"
            "CREATE INDEX st_v ON app.st (v)");
    run(&d,
        "INSERT INTO app.u VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', NULL), (4, NULL, 1);"
        "EXECUTE AS USER 'ann' (INSERT INTO app.u VALUES (1, 'one', 1), (7, 'x', 2));"
        "INSERT INTO app.st VALUES (1, 'a'), (2, 'b'); DELETE FROM app.st WHERE id = 1;"
        "DELETE FROM app.u WHERE id = 4; STORAGE FLUSH TABLE app.u");
    run(&d, "UPDATE app.u SET n = 20 WHERE id = 2; INSERT INTO app.u VALUES (5, 'five', 5);"
            "STORAGE FLUSH TABLE app.u; ALTER TABLE app.u ADD COLUMN tag TEXT DEFAULT 'none';"
            "INSERT INTO app.u VALUES (8, 'eight', 8, 't'), (9, 'nine', 8, NULL);"
            "UPDATE app.u SET name = 'uno' WHERE id = 1; DELETE FROM app.u WHERE id = 3");
}

static lam_partition *open_part(const char *name) {
    lam_partition *p;
    ck_ok(lam_partition_open(d.db, name, &p, &err), &err);
    return p;
}

/* The key at a position of a partition, with its value. */
static void record_at(const char *name, unsigned position, struct buf *key_out,
                      struct buf *value_out) {
    lam_partition *p = open_part(name);
    lam_iter *it;
    ck_ok(lam_iter_new(d.db, NULL, p, &it, &err), &err);
    lam_iter_seek_first(it);
    for (unsigned i = 0; i < position && lam_iter_valid(it); i++)
        lam_iter_next(it);
    ck_assert_msg(lam_iter_valid(it), "%s has no record %u", name, position);
    buf_reset(key_out);
    buf_reset(value_out);
    ck_ok(buf_append_slice(key_out, lam_iter_key(it), &err), &err);
    ck_ok(buf_append_slice(value_out, lam_iter_value(it), &err), &err);
    lam_iter_free(it);
    lam_partition_release(p);
}
static void put_record(const char *name, struct lam_slice key, struct lam_slice value) {
    lam_partition *p = open_part(name);
    ck_ok(lam_put(d.db, NULL, p, key, value, &err), &err);
    lam_partition_release(p);
}
static void delete_record(const char *name, struct lam_slice key) {
    lam_partition *p = open_part(name);
    ck_ok(lam_delete(d.db, NULL, p, key, &err), &err);
    lam_partition_release(p);
}

START_TEST(a_database_with_something_of_every_kind_is_clean) {
    start();
    run(&d,
        "CREATE TABLE app.s (k TEXT, id INT, b BOOLEAN, s SMALLINT, f FLOAT, d DOUBLE, "
        "n DECIMAL(20,3), m DECIMAL(5,1), y BYTES, ts TIMESTAMP, da DATE, ti TIME, u UUID, "
        "j JSON, PRIMARY KEY (k, id)) STORAGE arch;"
        "CREATE INDEX s_all ON app.s (b, f, d, n, y, ts, da, ti, u);"
        "INSERT INTO app.s (k, id) VALUES ('', 0), ('only nulls', 0);"
        "INSERT INTO app.s VALUES ('a', 1, true, -5, 1.5, -0.0, 12345678901234567.125, -3.5, "
        "'\\x00ff', '2024-02-29 12:00:00', '2024-02-29', '23:59:59.5', "
        "'7fffffff-0000-0000-0000-000000000000', '{\"a\": [1]}'),"
        "('a', -1, false, 5, 'NaN', 'Infinity', -0.001, 9999.9, '\\x', '0001-01-01', '9999-12-31',"
        " '00:00', '80000000-0000-0000-0000-000000000000', 'null')");
    char sql[400];
    for (int i = 0; i < 300; i++) {
        snprintf(sql, sizeof sql,
                 "INSERT INTO app.s (k, id, f, d, n) VALUES ('%0*d', %d, %d, 1.0, %d)", i % 100 + 1,
                 i, i * 7919 % 1000, i % 7, i % 5 - 2);
        run(&d, sql);
    }
    run(&d, "STORAGE FLUSH ALL; INSERT INTO app.s (k, id) VALUES ('hot', 1); DROP TABLE app.st;"
            "DROP USER bob; CREATE TABLE gone (id INT PRIMARY KEY); DROP TABLE gone");
    clean();
    ck_assert_uint_eq(note_count, 0);
    ck_assert_uint_eq(files_done, files_total);
    ck_assert_uint_gt(files_done, 4);
    database_reopen(&d);
    run(&d, "DELETE FROM app.s WHERE id < 100; STORAGE FLUSH ALL; DROP INDEX app.u_n");
    clean();
    database_reopen(&d);
    database_close(&d);
}
END_TEST

START_TEST(a_database_without_tables_is_checked_as_the_engine_does) {
    struct lam_options options = {0};
    ck_ok(lam_env_mem_new(&d.env, &err), &err);
    options.env = d.env;
    ck_ok(lam_db_open("db", &options, &d.db, &err), &err);
    ck_ok(lam_db_close(d.db, &err), &err);
    ck_ok(check(), &err);
    lam_env_mem_free(d.env);
}
END_TEST

START_TEST(a_database_that_is_open_or_absent_is_not_checked) {
    start();
    ck_code(check(), LAM_BUSY);
    ck_contains(err.message, "is open already, here or in another process");
    close_db();
    ck_code(lam_check_full(NULL, NULL, &err), LAM_INVALID);
    struct lam_check_options o = {.env = d.env};
    ck_code(lam_check_full("absent", &o, &err), LAM_NOT_FOUND);
    o.progress = note_progress;
    o.arg = &o;
    ck_code(lam_check_full("db", &o, &err), LAM_BUSY);
    lam_env_mem_free(d.env);
}
END_TEST

/* A record read to be changed. */
static struct buf key, value;
static void take(const char *name, unsigned position) {
    record_at(name, position, &key, &value);
}

/* --- rows and indexes ------------------------------------------------------------------------ */

static void delete_row(void) {
    take("user:app:u", 2);
    delete_record("user:app:u", buf_slice(&key));
}
static void put_garbage_row(void) {
    take("user:app:u", 2);
    put_record("user:app:u", buf_slice(&key), S("\x10garbage"));
}
static void put_row_elsewhere(void) {
    take("user:app:u", 2);
    key.data[key.size - 1] ^= 0x40;
    put_record("user:app:u", buf_slice(&key), buf_slice(&value));
}
static void delete_entry(void) {
    take("user:app:u#u_n", 0);
    delete_record("user:app:u#u_n", buf_slice(&key));
}
static void forge_entry(void) {
    take("user:app:u#u_name", 0);
    key.data[key.size - 1] ^= 0x40;
    put_record("user:app:u#u_name", buf_slice(&key), SLICE_EMPTY);
}
/* One entry gone, another one too many: as many entries as rows. */
static void change_entry(void) {
    take("user:app:u#u_n", 0);
    delete_record("user:app:u#u_n", buf_slice(&key));
    key.data[key.size - 10] ^= 1; /* of n */
    put_record("user:app:u#u_n", buf_slice(&key), SLICE_EMPTY);
}
static void put_entry_with_value(void) {
    take("user:app:u#u_n", 0);
    put_record("user:app:u#u_n", buf_slice(&key), S("x"));
}
static void put_malformed_entry(void) {
    put_record("user:app:u#u_n", S("root\0\1\7"), SLICE_EMPTY);
}
static void delete_stream_entry(void) {
    take("stream:app:st#st_v", 0);
    delete_record("stream:app:st#st_v", buf_slice(&key));
}

/* --- the catalog ----------------------------------------------------------------------------- */

/* A record of the catalog, read to be changed. */
static struct value record[ENTITY_FIELDS_MAX];
static struct arena memory;
static void read_record(enum entity_id id, const struct value *at) {
    ck_ok(entity_get(catalog_entity(c, id), NULL, at, &memory, record, &err), &err);
}
static void write_record(enum entity_id id) {
    ck_ok(entity_put(catalog_entity(c, id), record, LAM_DURABILITY_SYNC, &err), &err);
}
static void change_count(void) {
    struct value id = value_text("app");
    read_record(ENTITY_NAMESPACES, &id);
    record[NAMESPACES_TABLE_COUNT].as.i64++;
    write_record(ENTITY_NAMESPACES);
}
static void change_role(void) {
    struct value id = value_text("ann");
    read_record(ENTITY_USERS, &id);
    record[USERS_ROLE] = value_text("king");
    write_record(ENTITY_USERS);
}
static void change_storage(void) {
    struct value id = value_text("arch");
    read_record(ENTITY_STORAGES, &id);
    record[STORAGES_STORAGE_TYPE] = value_text("tape");
    write_record(ENTITY_STORAGES);
}
static struct value table_id_of_u(void) {
    struct provider *p;
    ck_ok(catalog_provider(c, S("app"), S("u"), &p, &err), &err);
    struct value id = value_i64(LAM_TYPE_BIGINT, (int64_t)p->table.number);
    provider_unref(p);
    return id;
}
static void change_options(void) {
    struct value id = table_id_of_u();
    read_record(ENTITY_TABLES, &id);
    record[TABLES_OPTIONS] = value_bytes(LAM_TYPE_JSON, S("{}"));
    write_record(ENTITY_TABLES);
}
static void change_schema(void) {
    struct value id[2] = {table_id_of_u(), value_i64(LAM_TYPE_INT, 1)};
    read_record(ENTITY_TABLE_SCHEMAS, id);
    record[TABLE_SCHEMAS_IS_LATEST].as.boolean = true;
    write_record(ENTITY_TABLE_SCHEMAS);
}
static void add_schema(void) {
    struct value id[2] = {table_id_of_u(), value_i64(LAM_TYPE_INT, 1)};
    read_record(ENTITY_TABLE_SCHEMAS, id);
    record[TABLE_SCHEMAS_TABLE_ID].as.i64 = 77;
    write_record(ENTITY_TABLE_SCHEMAS);
}
static bool keep_job(void *arg, const struct value *job) {
    *(char **)arg = arena_strdup_slice(&memory, job[JOBS_JOB_ID].as.bytes);
    return false;
}
static void change_job(void) {
    char *text = NULL;
    ck_ok(entity_scan(catalog_entity(c, ENTITY_JOBS), NULL, NULL, 0, keep_job, &text, &err), &err);
    struct value id = value_text(text);
    read_record(ENTITY_JOBS, &id);
    record[JOBS_FINISHED_AT] = value_null(coltype_of(LAM_TYPE_TIMESTAMP));
    write_record(ENTITY_JOBS);
}
static void delete_user_entry(void) {
    take("system_users#username", 0);
    delete_record("system_users#username", buf_slice(&key));
}
static void forge_user_entry(void) {
    take("system_users#role", 0);
    key.data[0] ^= 1;
    put_record("system_users#role", buf_slice(&key), buf_slice(&value));
}
static void drop_partition(void) {
    lam_partition *p = open_part("user:app:u#u_n");
    ck_ok(lam_partition_drop(d.db, p, &err), &err);
    lam_partition_release(p);
}

/* --- the embedder's entities ----------------------------------------------------------------- */

static void delete_thing(void) {
    take("entity:things", 5); /* it is in each index */
    delete_record("entity:things", buf_slice(&key));
}
static void delete_thing_entry(void) {
    take("entity:things#by_age", 1);
    delete_record("entity:things#by_age", buf_slice(&key));
}
static void forge_old_thing(void) {
    take("entity:things#old", 0);
    key.data[1] ^= 1;
    put_record("entity:things#old", buf_slice(&key), buf_slice(&value));
}
static void change_description(void) {
    take("entity:#descriptions", 0);
    value.data[value.size - 2] = '(';
    put_record("entity:#descriptions", buf_slice(&key), buf_slice(&value));
}

/* --- the segments partition ------------------------------------------------------------------ */

static void put_dead_of_none(void) {
    buf_reset(&key);
    ck_ok(segment_key(S("root"), SEGMENT_KIND_DEAD, 999, &key, &err), &err);
    put_record("user:app:u@segments", buf_slice(&key), S("\1\1\4\0"));
}
static void put_bad_dead(void) {
    buf_reset(&key);
    ck_ok(segment_key(S("root"), SEGMENT_KIND_DEAD, 2, &key, &err), &err);
    put_record("user:app:u@segments", buf_slice(&key), S("dead"));
}
static void lower_next(void) {
    put_record("user:app:u@segments", segment_next_key(), lam_slice_of("\2\0\0\0\0\0\0\0", 8));
}
static void put_strange_key(void) {
    put_record("user:app:u@segments", lam_slice_of("\0X", 2), SLICE_EMPTY);
}

static const struct {
    void (*damage)(void);
    const char *file, *problem;
} damages[] = {
    {delete_row, "user:app:u#u_n", "leads to no row"},
    {put_garbage_row, "user:app:u", "row of 8 bytes has no right head"},
    {put_row_elsewhere, "user:app:u", "it is the row of another key"},
    {delete_entry, "user:app:u", "has no entry in index \"u_n\""},
    {forge_entry, "user:app:u#u_name", "leads to no row"},
    {forge_entry, "user:app:u#u_name", "has the values of the one before"},
    {change_entry, "user:app:u", "has no entry in index \"u_n\""},
    {change_entry, "user:app:u#u_n", "is not that of the row it leads to"},
    {put_entry_with_value, "user:app:u", "has no empty entry in index \"u_n\""},
    {put_malformed_entry, "user:app:u#u_n", "malformed"},
    {delete_stream_entry, "stream:app:st", "has no entry in index \"st_v\""},
    {change_count, "system_namespaces", "the record of app says 3 tables, it has 2"},
    {change_role, "system_users", "\"ann\""},
    {change_storage, "system_storages", "tape"},
    {change_options, "system_tables", "app.u disagrees"},
    {change_schema, "system_table_schemas", "app.u disagrees"},
    {add_schema, "system_table_schemas", "there is no table 77"},
    {change_job, "system_jobs", "can't be completed as it stands"},
    {delete_user_entry, "system_users", "has no entry of its own in index \"username\""},
    {forge_user_entry, "system_users#role", "is not that of the record it leads to"},
    {drop_partition, "db", "its partition user:app:u#u_n is missing"},
    {delete_thing, "entity:things#by_email", "leads to no record"},
    {delete_thing, "entity:things#by_age", "leads to no record"},
    {delete_thing, "entity:things#old", "leads to no record"},
    {delete_thing_entry, "entity:things", "no entry of its own in index \"by_age\""},
    {forge_old_thing, "entity:things#old", "is not that of the record it leads to"},
    {change_description, "entity:#descriptions", "entity \"things\""},
    {put_dead_of_none, "user:app:u@segments", "belongs to no segment"},
    {put_bad_dead, "user:app:u@segments", "malformed head of dead rows"},
    {lower_next, "user:app:u@segments", "belongs to no segment"},
    {put_strange_key, "user:app:u@segments", "belongs to no segment"},
};

START_TEST(what_is_done_to_records_is_found) {
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        start();
        damages[i].damage();
        expect(damages[i].file, damages[i].problem);
        lam_env_mem_free(d.env);
        free(d.text);
    }
    arena_fini(&memory);
}
END_TEST

START_TEST(many_problems_of_a_partition_are_counted) {
    open_db();
    run(&d, "CREATE TABLE t (id INT PRIMARY KEY, n INT); CREATE INDEX t_n ON t (n)");
    char sql[100];
    for (int i = 0; i < 30; i++) {
        snprintf(sql, sizeof sql, "INSERT INTO t VALUES (%d, %d)", i, i);
        run(&d, sql);
    }
    lam_partition *p = open_part("shared:default:t#t_n");
    ck_ok(lam_delete_range(d.db, NULL, p, S(""), S(""), &err), &err);
    lam_partition_release(p);
    expect("shared:default:t", "14 problems more");
    ck_assert_uint_eq(finding_count, 17);
    lam_env_mem_free(d.env);
}
END_TEST

/* --- entries of segments --------------------------------------------------------------------- */

/* What an altered entry of segment 1 says; the checksums of the engine are right. */
static const struct {
    const char *file, *problem;
} altered[] = {
    {"/batch-3-", "not as many rows as were written"},
    {"/batch-3-", "another number of deleted rows"},
    {"/batch-3-", "bytes"},
    {"/batch-3-", "not the footer that was written"},
    {"/batch-3-", "schema version does not exist"},
    {"/batch-3-", "of another table, user or time"},
    {"/batch-3-", "of another table, user or time"},
    {"/batch-3-", "first key is another one"},
    {"/batch-3-", "last key is another one"},
    {"/batch-3-", "the name of its file is another one's"},
    {"user:app:u@segments", "storage none"},
    {"/batch-3-", "its entry is not that of column \"n\""},
    {"/batch-3-", "its entry is not that of column \"id\""},
    {"/batch-3-", "its entry is not that of column \"id\""},
    {"/batch-3-", "its entry is not that of column \"_seq\""},
    {"/batch-3-", "columns are not those of its schema version"},
    {"user:app:u@segments", "belongs to no segment"},
};

static void alter(int how, struct segment *s) {
    static uint8_t longer[64];
    memcpy(longer, s->last_key.data, s->last_key.size);
    longer[s->last_key.size] = 1;
    switch (how) {
    case 0:
        s->rows++;
        break;
    case 1:
        s->deleted_rows++;
        break;
    case 2:
        s->bytes++;
        break;
    case 3:
        s->footer_hash ^= 1;
        break;
    case 4:
        s->schema_version = 9;
        break;
    case 5:
        s->min_seq--;
        break;
    case 6:
        s->max_seq++;
        break;
    case 7:
        s->first_key.size--;
        break;
    case 8:
        s->last_key = lam_slice_of(longer, s->last_key.size + 1);
        break;
    case 9:
        s->path.size -= 3;
        break;
    case 10:
        s->storage = S("none");
        break;
    case 11:
        s->columns[2].null_count++;
        break;
    case 12:
        s->columns[0].min.size--;
        break;
    case 13: /* a bound below the greatest value */
        s->columns[0].max = s->columns[0].min;
        s->columns[0].max_exact = false;
        break;
    case 14:
        s->columns[3].type = coltype_of(LAM_TYPE_TIMESTAMP);
        break;
    case 15:
        s->column_count--;
        break;
    default:
        s->number++;
    }
}

static void alter_entry(int how) {
    struct buf out = {0};
    struct arena arena = {0};
    struct segment s;
    buf_reset(&key);
    ck_ok(segment_key(S("root"), SEGMENT_KIND_ENTRY, 3, &out, &err), &err);
    for (unsigned i = 0; !slice_eq(buf_slice(&key), buf_slice(&out)); i++)
        take("user:app:u@segments", i);
    ck_ok(segment_decode(buf_slice(&value), "x", &arena, &s, &err), &err);
    alter(how, &s);
    buf_reset(&out);
    ck_ok(segment_encode(&s, &out, &err), &err);
    put_record("user:app:u@segments", buf_slice(&key), buf_slice(&out));
    arena_fini(&arena);
    buf_fini(&out);
}

START_TEST(an_altered_entry_of_a_segment_is_found) {
    for (int i = 0; i < (int)(sizeof altered / sizeof altered[0]); i++) {
        start();
        alter_entry(i);
        expect(altered[i].file, altered[i].problem);
        lam_env_mem_free(d.env);
        free(d.text);
    }
}
END_TEST

/* --- files ----------------------------------------------------------------------------------- */

static char files[64][512];
static size_t file_count;
static void list_files(void) {
    file_count = 0;
    walk_files(d.env, "db/cold", files, &file_count, 64);
}
static const char *segment_file(void) {
    list_files();
    for (size_t i = 0; i < file_count; i++)
        if (strstr(files[i], ".parquet"))
            return files[i];
    ck_abort_msg("no segment");
}

static void flip(const char *path, uint64_t offset, uint8_t bits) {
    lam_file *f;
    uint8_t byte;
    ck_ok(env_file_open(d.env, path, LAM_OPEN_WRITE, &f, &err), &err);
    ck_ok(env_file_read_exact(f, path, offset, &byte, 1, &err), &err);
    byte ^= bits;
    ck_ok(env_file_write(f, offset, &byte, 1, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
}

static void write_file(const char *path, const void *bytes, size_t size) {
    lam_file *f;
    ck_ok(
        env_file_open(d.env, path, LAM_OPEN_WRITE | LAM_OPEN_CREATE | LAM_OPEN_TRUNCATE, &f, &err),
        &err);
    ck_ok(env_file_write(f, 0, bytes, size, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
}

START_TEST(every_byte_of_a_segment_counts) {
    open_db();
    run(&d, "CREATE TABLE t (id INT PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'one'), "
            "(2, 'two'), (3, NULL), (4, 'two'), (5, 'two'), (6, 'two'), (7, 'two'), (8, 'two');"
            "STORAGE FLUSH TABLE t");
    close_db();
    const char *path = segment_file();
    lam_file *f;
    uint64_t size;
    ck_ok(env_file_open(d.env, path, LAM_OPEN_READ, &f, &err), &err);
    ck_ok(env_file_size(f, &size, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    ck_assert_uint_gt(size, 1000);
    for (uint64_t i = 0; i < size; i++) {
        flip(path, i, (uint8_t)(1u << i % 8));
        enum lam_code rc = check();
        if (rc != LAM_CORRUPT || finding_count != 1 || !strstr(err.message, path))
            ck_abort_msg("byte %llu of %llu: %s: %s", (unsigned long long)i,
                         (unsigned long long)size, lam_code_name(rc), err.message);
        flip(path, i, (uint8_t)(1u << i % 8));
    }
    clean();
    lam_env_mem_free(d.env);
}
END_TEST

START_TEST(a_missing_file_is_found_and_one_too_many_is_noted) {
    start();
    close_db();
    char extra[600], half[600];
    const char *path = segment_file();
    const char *end = strrchr(path, '/');
    snprintf(extra, sizeof extra, "%.*s/batch-77-0badcafe.parquet", (int)(end - path), path);
    snprintf(half, sizeof half, "%.*s/batch-78-0badcafe.parquet.tmp", (int)(end - path), path);
    write_file(extra, "PAR1", 4);
    write_file(half, "PAR1", 4);
    clean();
    ck_assert_uint_eq(note_count, 2);
    ck_assert(is_told(notes, note_count, extra, "nothing names"));
    ck_assert(is_told(notes, note_count, half, "nothing names"));
    ck_ok(env_file_remove(d.env, path, &err), &err);
    expect(path, "is missing");
    ck_contains(err.message, path);
    lam_env_mem_free(d.env);
}
END_TEST

START_TEST(a_partition_of_no_table_is_noted) {
    lam_partition *p;
    start();
    ck_ok(lam_partition_create(d.db, "user:app:left", NULL, &p, &err), &err);
    lam_partition_release(p);
    clean();
    ck_assert_uint_eq(note_count, 1);
    ck_assert(is_told(notes, 1, "user:app:left", "partition of no table"));
    lam_env_mem_free(d.env);
}
END_TEST

START_TEST(want_of_memory_is_no_damage) {
    start();
    close_db();
    bool done = false;
    size_t failures = 0;
    for (size_t nth = 1; !done; nth += 1 + nth / 32, failures++) {
        oom_arm(nth);
        enum lam_code rc = check();
        done = oom.seen < nth;
        oom_arm(0);
        ck_code(rc, done ? LAM_OK : LAM_NO_MEMORY);
        ck_assert_uint_eq(finding_count, 0);
    }
    ck_assert_uint_gt(failures, 50);
    lam_env_mem_free(d.env);
}
END_TEST

TEST_MAIN("sql/check", a_database_with_something_of_every_kind_is_clean,
          a_database_without_tables_is_checked_as_the_engine_does,
          a_database_that_is_open_or_absent_is_not_checked, what_is_done_to_records_is_found,
          many_problems_of_a_partition_are_counted, an_altered_entry_of_a_segment_is_found,
          every_byte_of_a_segment_counts, a_missing_file_is_found_and_one_too_many_is_noted,
          a_partition_of_no_table_is_noted, want_of_memory_is_no_damage)
