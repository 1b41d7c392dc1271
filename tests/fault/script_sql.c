/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQL part of the canonical workload: every class of statement, over hot and cold rows, by
 * several users; entities; Arrow results. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/env.h"
#include "catalog/catalog.h"
#include "flush/flush.h"
#include "tests/fault/script_impl.h"

enum { ROOT, ANN, BOB, ACTORS };
static const char *const users[ACTORS] = {"root", "ann", "bob"};

#define LONG_TEXT 70000

/* --- statements ----------------------------------------------------------------------------- */

static void print_value(FILE *out, lam_stmt *stmt, uint32_t column) {
    struct lam_slice v = lam_column_text(stmt, column);
    if (lam_column_is_null(stmt, column)) {
        fputs("NULL", out);
    } else if (v.size < 200) {
        fwrite(v.data, 1, v.size, out);
    } else {
        uint64_t sum = 0;
        for (size_t i = 0; i < v.size; i++)
            sum = sum * 31 + v.data[i];
        fprintf(out, "%zu bytes, %llx", v.size, (unsigned long long)sum);
    }
}

static bool print_row(void *arg, lam_stmt *stmt) {
    FILE *out = arg;
    for (uint32_t i = 0; i < lam_column_count(stmt); i++) {
        if (i > 0)
            fputc('|', out);
        print_value(out, stmt, i);
    }
    fputc('\n', out);
    return true;
}

static enum lam_code exec(struct script *s, int actor, const char *sql, FILE *out) {
    return lam_exec(s->sessions[actor], sql, strlen(sql), out ? print_row : NULL, out, NULL,
                    &s->err);
}

static bool is_answer(enum lam_code rc) {
    return rc == LAM_OK || rc == LAM_SQL || rc == LAM_DENIED;
}

/* Prints the rows, or the SQLSTATE: an answer like another. */
static enum lam_code show(struct script *s, int actor, const char *sql, FILE *out) {
    fprintf(out, "%s: %s\n", users[actor], sql);
    enum lam_code rc = exec(s, actor, sql, out);
    if (rc != LAM_OK && is_answer(rc)) {
        fprintf(out, "%s\n", s->err.sqlstate);
        rc = LAM_OK;
    }
    return rc;
}

/* --- steps that are more than a statement --------------------------------------------------- */

static const struct lam_entity_field fields[] = {
    {.name = "id", .type = LAM_TYPE_BIGINT, .key = true},
    {.name = "email", .type = LAM_TYPE_TEXT, .nullable = true},
    {.name = "age", .type = LAM_TYPE_INT, .nullable = true},
};
static const struct lam_entity_part by_email[] = {{.field = "email"}};
static const struct lam_entity_part by_age[] = {{.field = "age", .descending = true}};
static const struct lam_entity_index entity_indexes[] = {
    {.name = "by_email", .unique = true, .parts = by_email, .part_count = 1},
    {.name = "by_age", .parts = by_age, .part_count = 1},
};
static const struct lam_entity_desc contacts = {"contacts", fields, 3, entity_indexes, 2};

static enum lam_code contact_open(struct script *s, unsigned arg) {
    (void)arg;
    return s->entity ? LAM_OK : lam_entity_open(s->db, &contacts, &s->entity, &s->err);
}
static enum lam_code contact_put(struct script *s, unsigned id) {
    char email[32];
    snprintf(email, sizeof email, "%u@example", id);
    struct lam_cell record[] = {lam_cell_int64(LAM_TYPE_BIGINT, id), lam_cell_text(email),
                                lam_cell_int64(LAM_TYPE_INT, 20 + id % 3)};
    return lam_entity_put(s->entity, record, id % 2 ? LAM_DURABILITY_SYNC : LAM_DURABILITY_OS,
                          &s->err);
}
static enum lam_code contact_update(struct script *s, unsigned id) {
    struct lam_cell record[] = {lam_cell_int64(LAM_TYPE_BIGINT, id), lam_cell_null(),
                                lam_cell_int64(LAM_TYPE_INT, 99)};
    return lam_entity_update(s->entity, record, LAM_DURABILITY_OS, &s->err);
}
static enum lam_code contact_delete(struct script *s, unsigned id) {
    struct lam_cell key = lam_cell_int64(LAM_TYPE_BIGINT, id);
    return lam_entity_delete(s->entity, &key, LAM_DURABILITY_OS, &s->err);
}
static enum lam_code contact_get(struct script *s, unsigned id) {
    struct lam_cell key = lam_cell_int64(LAM_TYPE_BIGINT, id);
    struct lam_record record;
    enum lam_code rc = lam_entity_get(s->entity, NULL, &key, &record, &s->err);
    if (rc == LAM_OK)
        lam_record_release(&record);
    return rc;
}
static enum lam_code contact_drop(struct script *s, unsigned arg) {
    (void)arg;
    lam_entity_close(s->entity);
    s->entity = NULL;
    enum lam_code rc = lam_entity_drop(s->db, contacts.name, &s->err);
    return rc == LAM_NOT_FOUND ? LAM_OK : rc; /* a try before has finished it */
}

/* A prepared statement, run twice with other parameters, one of them too long for a log record of
 * one piece. */
static enum lam_code insert_bound(struct script *s, unsigned id) {
    static char text[LONG_TEXT];
    static const char sql[] = "INSERT INTO app.notes (id, body, n) VALUES ($1, $2, $3)";
    lam_stmt *stmt;
    bool row;
    memset(text, 'a' + (int)(id % 26), sizeof text);
    enum lam_code rc = lam_prepare(s->sessions[BOB], sql, sizeof sql - 1, &stmt, NULL, &s->err);
    if (rc != LAM_OK)
        return rc;
    rc = lam_bind_int64(stmt, 1, id, &s->err);
    if (rc == LAM_OK)
        rc = lam_bind_text(stmt, 2, text, sizeof text, &s->err);
    if (rc == LAM_OK)
        rc = lam_bind_double(stmt, 3, 7.0, &s->err);
    if (rc == LAM_OK)
        rc = lam_step(stmt, &row, &s->err);
    lam_finalize(stmt);
    return rc;
}

/* A stream has errno values and a text for what the library's codes say. */
static enum lam_code arrow_failed(struct script *s, struct ArrowArrayStream *stream, int number) {
    const char *text = stream->get_last_error(stream);
    snprintf(s->err.message, sizeof s->err.message, "%s", text ? text : "");
    if (number == ENOMEM)
        return LAM_NO_MEMORY;
    return strncmp(s->err.message, "corrupt", 7) == 0 ? LAM_CORRUPT : LAM_IO;
}

static enum lam_code take_batches(struct script *s, struct ArrowArrayStream *stream) {
    struct ArrowSchema schema = {0};
    int number = stream->get_schema(stream, &schema);
    if (number != 0)
        return arrow_failed(s, stream, number);
    schema.release(&schema);
    for (;;) {
        struct ArrowArray array = {0};
        number = stream->get_next(stream, &array);
        if (number != 0)
            return arrow_failed(s, stream, number);
        if (!array.release)
            return LAM_OK;
        array.release(&array);
    }
}

static enum lam_code arrow(struct script *s, unsigned arg) {
    (void)arg;
    static const char sql[] = "SELECT id, body, n FROM app.notes";
    lam_stmt *stmt;
    struct ArrowArrayStream stream;
    enum lam_code rc = lam_prepare(s->sessions[ANN], sql, sizeof sql - 1, &stmt, NULL, &s->err);
    if (rc != LAM_OK)
        return rc;
    rc = lam_query_arrow(stmt, &stream, &s->err);
    if (rc == LAM_OK) {
        rc = take_batches(s, &stream);
        stream.release(&stream);
    }
    lam_finalize(stmt);
    return rc;
}

static enum lam_code verify_password(struct script *s, unsigned arg) {
    (void)arg;
    return lam_user_verify_password(s->db, lam_slice_str("bob"), lam_slice_str("a good secret"),
                                    &s->err);
}
static enum lam_code open_as_stored(struct script *s, unsigned arg) {
    (void)arg;
    lam_session *session;
    enum lam_code rc = lam_session_open_user(s->db, "ann", &session, &s->err);
    return rc == LAM_OK ? lam_session_close(session, &s->err) : rc;
}
static enum lam_code authorize(struct script *s, unsigned arg) {
    (void)arg;
    static const char sql[] = "SELECT * FROM app.notes; DELETE FROM app.notes";
    return lam_authorize(s->sessions[ANN], sql, sizeof sql - 1, &s->err);
}

static enum lam_code nothing(struct script *s, unsigned arg) {
    (void)s;
    (void)arg;
    return LAM_OK;
}
static enum lam_code reopen(struct script *s, unsigned arg) {
    (void)arg;
    return script_reopen(s);
}
static enum lam_code killed(struct script *s, unsigned arg) {
    (void)arg;
    return script_die(s, false);
}
static enum lam_code power_loss(struct script *s, unsigned arg) {
    (void)arg;
    enum lam_code rc = lam_sync(s->db, UINT64_MAX, &s->err);
    return rc == LAM_OK ? script_die(s, true) : rc;
}
static enum lam_code to_background(struct script *s, unsigned on) {
    enum lam_code rc = script_close(s);
    s->background = on;
    return rc == LAM_OK ? script_open(s) : rc;
}
static enum lam_code close_all(struct script *s, unsigned arg) {
    (void)arg;
    return script_close(s);
}
static enum lam_code check_closed(struct script *s, unsigned arg) {
    (void)arg;
    enum lam_code rc = script_close(s);
    if (rc == LAM_OK)
        rc = lam_check_full(s->dir, &(struct lam_check_options){.env = s->env}, &s->err);
    return rc;
}
static enum lam_code let_time_pass(struct script *s, unsigned us) {
    if (s->hooks.advance)
        s->hooks.advance(s->hooks.arg, us);
    return LAM_OK;
}
static enum lam_code scan_contacts(struct script *s);
/* A reader's view of everything, with cold caches, as a step of its own so that all its reads fail,
 * too. */
static enum lam_code reopen_and_look(struct script *s, unsigned arg) {
    enum lam_code rc = script_reopen(s);
    if (rc == LAM_OK)
        rc = contact_open(s, arg);
    if (rc != LAM_OK)
        return rc;
    char *text = script_dump(s);
    if (!text)
        return s->err.code;
    free(text);
    return scan_contacts(s);
}

/* --- the list ------------------------------------------------------------------------------- */

struct step {
    const char *name; /* NULL: the statement is the name */
    int actor;
    const char *sql; /* NULL: a function */
    unsigned flags;
    enum lam_code (*run)(struct script *, unsigned);
    unsigned arg;
};

#define SQL(actor, text)                                                                           \
    { NULL, actor, text, 0, NULL, 0 }
#define DDL(text)                                                                                  \
    { NULL, ROOT, text, STEP_SYNCS, NULL, 0 }
#define CALL(name, fn, arg)                                                                        \
    { name, 0, NULL, 0, fn, arg }
#define MARK(name, fn, arg)                                                                        \
    { name, 0, NULL, STEP_SYNCS, fn, arg }

static const struct step steps[] = {
    MARK("make the database", nothing, 0),
    DDL("CREATE TABLE probe (id INT PRIMARY KEY, value BIGINT) ACCESS public"),
    DDL("CREATE NAMESPACE app"),
    DDL("CREATE USER ann ROLE user"),
    {NULL, ROOT, "CREATE USER bob PASSWORD 'a good secret' EMAIL 'bob@x'", STEP_SYNCS | STEP_SLOW,
     NULL, 0},
    DDL("CREATE USER eve ROLE service"),
    DDL("CREATE STORAGE arch TYPE 'filesystem' BASE_DIRECTORY 'archive'"),
    DDL("CREATE TABLE app.prices (id INT PRIMARY KEY, name TEXT NOT NULL, price DECIMAL(9,2), "
        "tags JSON) ACCESS public"),
    DDL("CREATE USER TABLE app.notes (id BIGINT PRIMARY KEY, body TEXT, n INT)"),
    DDL("CREATE STREAM TABLE app.events (id INT PRIMARY KEY, v TEXT) TTL 86400"),
    DDL("CREATE USER TABLE app.feed (k TEXT, id INT, v DOUBLE, PRIMARY KEY (k, id)) "
        "WITH (storage = 'arch', flush_policy = 'rows:3', compression = 'none')"),
    DDL("CREATE TABLE app.auto (v INT, at TIMESTAMP DEFAULT NOW()) ACCESS public"),
    DDL("CREATE UNIQUE INDEX prices_name ON app.prices (name)"),
    DDL("CREATE INDEX notes_n ON app.notes (n)"),
    SQL(ROOT, "INSERT INTO app.prices VALUES (1, 'tea', 2.50, '[1]'), (2, 'jam', 3.75, NULL), "
              "(3, 'rye', 1.10, '{\"a\": 2}')"),
    SQL(ANN, "INSERT INTO app.notes VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3), "
             "(4, 'four', 1)"),
    SQL(BOB, "INSERT INTO app.notes VALUES (1, 'bob one', 1), (7, 'bob seven', 2)"),
    SQL(ANN, "INSERT INTO app.events VALUES (1, 'a'), (2, 'b')"),
    SQL(ROOT, "INSERT INTO app.auto (v) VALUES (5), (6)"),
    SQL(ANN, "UPDATE app.notes SET body = body || '!', n = n + 10 WHERE n = 1 RETURNING id, _seq"),
    SQL(BOB, "DELETE FROM app.notes WHERE id = 7 RETURNING body"),
    SQL(ROOT, "INSERT INTO app.prices VALUES (2, 'jam', 4.00, NULL), (9, 'oil', 9.99, NULL) "
              "ON CONFLICT (id) DO UPDATE SET price = excluded.price"),
    SQL(ROOT, "INSERT INTO app.prices VALUES (1, 'x', 0, NULL) ON CONFLICT DO NOTHING"),
    SQL(ANN, "INSERT INTO app.notes SELECT id + 100, body, n FROM app.notes WHERE id < 3"),
    SQL(ANN, "DELETE FROM app.events WHERE id = 1"),
    SQL(ANN, "INSERT INTO app.feed VALUES ('a', 1, 0.5), ('a', 2, 1.5)"),
    CALL("insert a long text", insert_bound, 40),
    CALL("open the entity", contact_open, 0),
    CALL("put a record", contact_put, 1),
    CALL("put a record", contact_put, 2),
    CALL("put a record", contact_put, 3),
    MARK("reopen", reopen, 0),
    CALL("open the entity", contact_open, 0),
    CALL("update a record", contact_update, 2),
    MARK("flush notes", NULL, 0),
    MARK("reopen and look", reopen_and_look, 0),
    SQL(ANN, "UPDATE app.notes SET n = n * 2 WHERE id IN (2, 3)"),
    SQL(ANN, "DELETE FROM app.notes WHERE id = 4"),
    SQL(BOB, "UPDATE app.notes SET body = 'short again' WHERE id = 40"),
    SQL(ANN, "INSERT INTO app.notes VALUES (4, 'again', 44), (5, 'five', 5)"),
    CALL("process killed", killed, 0),
    CALL("open the entity", contact_open, 0),
    DDL("ALTER TABLE app.notes ADD COLUMN tag TEXT DEFAULT 'none'"),
    SQL(ANN, "UPDATE app.notes SET tag = 'set' WHERE id = 1"),
    DDL("STORAGE FLUSH TABLE app.notes"),
    DDL("STORAGE FLUSH TABLE app.prices"),
    CALL("checkpoint", script_checkpoint, 0),
    CALL("backup", script_backup, 0),
    SQL(ROOT, "UPDATE app.prices SET name = name || '2' WHERE price > 3"),
    SQL(ROOT, "DELETE FROM app.prices WHERE id = 3"),
    DDL("CREATE INDEX prices_price ON app.prices (price)"),
    DDL("ALTER TABLE app.prices RENAME COLUMN tags TO labels"),
    DDL("ALTER TABLE app.notes DROP COLUMN tag"),
    DDL("DROP INDEX app.notes_n"),
    DDL("ALTER TABLE app.notes ALTER COLUMN n TYPE BIGINT"),
    MARK("reopen and look", reopen_and_look, 0),
    MARK("close and check", check_closed, 0),
    SQL(ANN, "EXPLAIN SELECT * FROM app.notes WHERE id = 1"),
    SQL(ANN, "EXPLAIN ANALYZE SELECT n, count(*), sum(id) FROM app.notes WHERE id > 0 GROUP BY n "
             "HAVING count(*) > 0 ORDER BY n DESC LIMIT 3"),
    SQL(ROOT, "SELECT DISTINCT upper(name), json_typeof(labels) FROM app.prices WHERE name LIKE "
              "'%a%' OR price BETWEEN 1 AND 4 ORDER BY 1"),
    SQL(ROOT, "SELECT count(*) FROM system.jobs"),
    SQL(ROOT, "SELECT * FROM system.table_schemas"),
    SQL(ROOT, "SELECT * FROM information_schema.columns"),
    SQL(ROOT, "SHOW STORAGES"),
    SQL(ROOT, "DESCRIBE app.prices"),
    CALL("arrow", arrow, 0),
    CALL("authorize", authorize, 0),
    CALL("session by stored role", open_as_stored, 0),
    {"verify a password", 0, NULL, STEP_SLOW, verify_password, 0},
    SQL(ROOT, "EXECUTE AS USER 'ann' (INSERT INTO app.notes VALUES (60, 'by root', 0))"),
    CALL("read a record", contact_get, 3),
    CALL("delete a record", contact_delete, 1),
    MARK("power loss", power_loss, 0),
    MARK("work in the background", to_background, 1),
    CALL("open the entity", contact_open, 0),
    SQL(ANN, "INSERT INTO app.feed VALUES ('b', 1, 2.5), ('b', 2, -1)"),
    SQL(BOB, "INSERT INTO app.feed VALUES ('b', 1, 1), ('c', 1, 2), ('c', 2, 3), ('d', 1, 4)"),
    CALL("time passes", let_time_pass, 120000000u),
    SQL(ANN, "UPDATE app.feed SET v = v + 1 WHERE k = 'a'"),
    SQL(BOB, "DELETE FROM app.feed WHERE k = 'c'"),
    MARK("work by hand", to_background, 0),
    DDL("STORAGE FLUSH ALL"),
    {"drop the entity", 0, NULL, STEP_SYNCS | STEP_MARKED, contact_drop, 0},
    DDL("DROP TABLE app.prices"),
    DDL("CREATE TABLE app.prices (id INT PRIMARY KEY, other DOUBLE) ACCESS public"),
    SQL(ROOT, "INSERT INTO app.prices VALUES (1, 1.5)"),
    DDL("DROP USER eve"),
    DDL("DROP TABLE app.feed"),
    MARK("reopen", reopen, 0),
    DDL("CREATE NAMESPACE old"),
    DDL("CREATE TABLE old.t (id INT PRIMARY KEY)"),
    DDL("DROP NAMESPACE old CASCADE"),
    MARK("close", close_all, 0),
};
#define STEPS (sizeof steps / sizeof steps[0])

static const char *step_name(unsigned step) {
    return steps[step].name ? steps[step].name : steps[step].sql;
}
static unsigned step_flags(unsigned step) {
    return steps[step].flags;
}
static enum lam_code run_step(struct script *s, unsigned step) {
    const struct step *p = &steps[step];
    if (p->run) {
        /* Opening the database lost the handle of the entity: who opens it again is the script. */
        if ((p->run == contact_put || p->run == contact_update || p->run == contact_delete ||
             p->run == contact_get) &&
            !s->entity) {
            enum lam_code rc = contact_open(s, 0);
            if (rc != LAM_OK)
                return rc;
        }
        return p->run(s, p->arg);
    }
    return exec(s, p->actor, p->sql ? p->sql : "STORAGE FLUSH TABLE app.notes", NULL);
}

/* --- handles -------------------------------------------------------------------------------- */

static enum lam_code opened(struct script *s) {
    static const enum lam_role roles[ACTORS] = {LAM_ROLE_SYSTEM, LAM_ROLE_USER, LAM_ROLE_USER};
    for (int i = 0; i < ACTORS; i++) {
        enum lam_code rc = lam_session_open(s->db, users[i], roles[i], &s->sessions[i], &s->err);
        if (rc != LAM_OK) {
            s->sessions[i] = NULL;
            return rc;
        }
    }
    return LAM_OK;
}

static void forget(struct script *s) {
    memset(s->sessions, 0, sizeof s->sessions);
    s->entity = NULL;
}

static void closing(struct script *s) {
    for (int i = 0; i < ACTORS; i++)
        if (s->sessions[i] && lam_session_close(s->sessions[i], &s->err) != LAM_OK) {
            fprintf(stderr, "script: %s\n", s->err.message);
            abort();
        }
    lam_entity_close(s->entity);
    forget(s);
}

/* --- looking -------------------------------------------------------------------------------- */

static bool count_contact(void *arg, const struct lam_cell *record) {
    (void)record;
    ++*(unsigned *)arg;
    return true;
}

/* Both indexes hold just the records. */
static enum lam_code scan_contacts(struct script *s) {
    unsigned all = 0, by_mail = 0, by_years = 0;
    if (!s->entity)
        return LAM_OK;
    enum lam_code rc = lam_entity_scan(s->entity, NULL, NULL, 0, count_contact, &all, &s->err);
    if (rc == LAM_OK)
        rc = lam_entity_scan_index(s->entity, NULL, "by_email", NULL, 0, count_contact, &by_mail,
                                   &s->err);
    if (rc == LAM_OK)
        rc = lam_entity_scan_index(s->entity, NULL, "by_age", NULL, 0, count_contact, &by_years,
                                   &s->err);
    if (rc == LAM_OK && (all != by_mail || all != by_years)) {
        printf("%u contacts, %u by email, %u by age\n", all, by_mail, by_years);
        fflush(stdout);
        abort();
    }
    return rc;
}

struct raw_dump {
    struct script *s;
    FILE *out;
    enum lam_code rc;
};

static void print_bytes(FILE *out, struct lam_slice bytes) {
    for (size_t i = 0; i < bytes.size; i++)
        fprintf(out, "%02x", bytes.data[i]);
}

/* Contents of the entity's partitions as they are stored: reading them needs no handle of the
 * entity, which making one might write. */
static bool dump_raw(void *arg, const char *name) {
    struct raw_dump *d = arg;
    lam_partition *p;
    lam_iter *it;
    if (strncmp(name, "entity:", 7) != 0 || name[7] == '#')
        return true;
    d->rc = lam_partition_open(d->s->db, name, &p, &d->s->err);
    if (d->rc != LAM_OK)
        return false;
    d->rc = lam_iter_new(d->s->db, NULL, p, &it, &d->s->err);
    if (d->rc == LAM_OK) {
        for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
            fputs("contact ", d->out);
            print_bytes(d->out, lam_iter_key(it));
            fputc(' ', d->out);
            print_bytes(d->out, lam_iter_value(it));
            fputc('\n', d->out);
        }
        d->rc = lam_iter_status(it, &d->s->err);
        lam_iter_free(it);
    }
    lam_partition_release(p);
    return d->rc == LAM_OK;
}

/* An entity is there as long as its description says so; then its partitions go one by one. */
static enum lam_code is_live(struct script *s, bool *live_out) {
    lam_partition *p;
    struct lam_value v = {0};
    *live_out = false;
    enum lam_code rc = lam_partition_open(s->db, "entity:#descriptions", &p, &s->err);
    if (rc != LAM_OK)
        return rc == LAM_NOT_FOUND ? LAM_OK : rc;
    rc = lam_get(s->db, NULL, p, lam_slice_str(contacts.name), &v, &s->err);
    *live_out = rc == LAM_OK && v.bytes.size > 1 && v.bytes.data[1] == 1;
    lam_value_release(&v);
    lam_partition_release(p);
    return rc == LAM_NOT_FOUND ? LAM_OK : rc;
}

static enum lam_code dump_contacts(struct script *s, FILE *out) {
    struct raw_dump d = {s, out, LAM_OK};
    bool live;
    enum lam_code rc = is_live(s, &live);
    if (rc == LAM_OK && live)
        rc = lam_partition_list(s->db, dump_raw, &d, &s->err);
    return rc == LAM_OK ? d.rc : rc;
}

static enum lam_code dump(struct script *s, FILE *out) {
    static const struct {
        int actor;
        const char *sql;
    } queries[] = {
        {ROOT, "SHOW NAMESPACES"},
        {ROOT, "SELECT namespace, table_name, table_type, storage_id, access_level, "
               "schema_version FROM system.tables ORDER BY 1, 2"},
        {ROOT, "SHOW INDEXES"},
        {ROOT, "SELECT user_id, role, email FROM system.users ORDER BY 1"},
        {ROOT, "SELECT storage_id, base_directory FROM system.storages ORDER BY 1"},
        {ROOT, "SELECT * FROM app.prices ORDER BY id"},
        {ROOT, "SELECT id FROM app.prices WHERE name = 'jam2'"},
        {ROOT, "SELECT id FROM app.prices WHERE price = 4.00"},
        {ROOT, "SELECT v FROM app.auto ORDER BY v"},
        {ANN, "SELECT * FROM app.notes ORDER BY id"},
        {BOB, "SELECT * FROM app.notes ORDER BY id"},
        {ANN, "SELECT id FROM app.notes WHERE n = 11 ORDER BY id"},
        {ANN, "SELECT id FROM app.notes WHERE _deleted ORDER BY id"},
        {ANN, "SELECT id, body FROM app.notes WHERE id = 2"},
        {ANN, "SELECT id, v FROM app.events ORDER BY id"},
        {ANN, "SELECT * FROM app.feed ORDER BY k, id"},
        {BOB, "SELECT * FROM app.feed ORDER BY k, id"},
    };
    enum lam_code rc = LAM_OK;
    for (size_t i = 0; i < sizeof queries / sizeof queries[0] && rc == LAM_OK; i++)
        rc = show(s, queries[i].actor, queries[i].sql, out);
    return rc == LAM_OK ? dump_contacts(s, out) : rc;
}

static enum lam_code probe(struct script *s, uint64_t value) {
    char sql[128];
    snprintf(sql, sizeof sql,
             "INSERT INTO probe VALUES (1, %llu) ON CONFLICT (id) DO UPDATE SET value = "
             "excluded.value",
             (unsigned long long)value);
    enum lam_code rc = exec(s, ROOT, sql, NULL);
    return rc == LAM_SQL && strcmp(s->err.sqlstate, "42P01") == 0 ? LAM_NOT_FOUND : rc;
}

static bool note_number(void *arg, lam_stmt *stmt) {
    *(uint64_t *)arg = (uint64_t)lam_column_int64(stmt, 0);
    return true;
}

static enum lam_code probe_read(struct script *s, uint64_t *value_out) {
    static const char sql[] = "SELECT value FROM probe WHERE id = 1";
    uint64_t value = 0;
    enum lam_code rc =
        lam_exec(s->sessions[ROOT], sql, sizeof sql - 1, note_number, &value, NULL, &s->err);
    if (rc == LAM_OK && value == 0)
        rc = LAM_NOT_FOUND;
    *value_out = value;
    return rc == LAM_SQL && strcmp(s->err.sqlstate, "42P01") == 0 ? LAM_NOT_FOUND : rc;
}

static enum lam_code upkeep(struct script *s) {
    enum lam_code rc = exec(s, ROOT, "STORAGE FLUSH ALL", NULL);
    return rc == LAM_OK ? lam_db_dump(s->db, &s->err) : rc;
}

/* --- files ---------------------------------------------------------------------------------- */

struct walk {
    struct script *s;
    char path[512];
    uint64_t parquet, temporary;
    bool failed;
};

static bool visit(void *arg, const char *name);

static void walk(struct walk *w, const char *path) {
    enum lam_path_kind kind;
    struct walk inner = {.s = w->s};
    LAM_ASSERT(strlen(path) < sizeof inner.path);
    if (env_path_kind(w->s->env, path, &kind, &w->s->err) != LAM_OK) {
        w->failed = true;
        return;
    }
    if (kind == LAM_PATH_DIRECTORY) {
        memcpy(inner.path, path, strlen(path) + 1);
        inner.failed = env_dir_list(w->s->env, path, visit, &inner, &w->s->err) != LAM_OK;
    }
    w->parquet += inner.parquet;
    w->temporary += inner.temporary;
    w->failed = w->failed || inner.failed;
}

static bool visit(void *arg, const char *name) {
    struct walk *w = arg;
    char path[1024];
    size_t size = strlen(name);
    if (size > 8 && strcmp(name + size - 8, ".parquet") == 0) {
        w->parquet++;
    } else if (size > 4 && strcmp(name + size - 4, ".tmp") == 0) {
        printf("left over: %s/%s\n", w->path, name);
        w->temporary++;
    } else {
        int length = snprintf(path, sizeof path, "%s/%s", w->path, name);
        LAM_ASSERT(length > 0 && (size_t)length < sizeof path);
        walk(w, path);
    }
    return true;
}

/* Segments that the table's entries name, all users. */
static enum lam_code count_segments(struct script *s, const char *space, const char *table,
                                    uint64_t *count) {
    struct catalog *c;
    struct provider *p;
    lam_iter *it;
    enum lam_code rc = catalog_of(s->db, &c, &s->err);
    if (rc == LAM_OK)
        rc = catalog_provider(c, lam_slice_str(space), lam_slice_str(table), &p, &s->err);
    if (rc != LAM_OK)
        return rc == LAM_SQL ? LAM_OK : rc; /* it is not there */
    if (p->segments) {
        rc = lam_iter_new(s->db, NULL, p->segments, &it, &s->err);
        if (rc == LAM_OK) {
            for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
                struct lam_slice key = lam_iter_key(it);
                *count += key.data[0] != 0 && key.data[key.size - 9] == 'S';
            }
            rc = lam_iter_status(it, &s->err);
            lam_iter_free(it);
        }
    }
    provider_unref(p);
    return rc;
}

static bool files(struct script *s) {
    struct walk w = {.s = s};
    uint64_t named = 0;
    static const char *const tables[][2] = {{"default", "probe"},
                                            {"app", "prices"},
                                            {"app", "notes"},
                                            {"app", "feed"},
                                            {"app", "auto"}};
    /* Opening a session does the catalog's share of an open, the first query the flush layer's. */
    enum lam_code rc = exec(s, ROOT, "SELECT count(*) FROM probe", NULL);
    if (rc == LAM_SQL)
        rc = LAM_OK;
    struct flush *f;
    if (rc == LAM_OK)
        rc = flush_of(s->db, &f, &s->err);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0] && rc == LAM_OK; i++)
        rc = count_segments(s, tables[i][0], tables[i][1], &named);
    walk(&w, s->dir);
    if (rc != LAM_OK || w.failed)
        printf("files: %s: %s\n", lam_code_name(rc), s->err.message);
    if (w.parquet != named)
        printf("%llu Parquet files, %llu segments\n", (unsigned long long)w.parquet,
               (unsigned long long)named);
    return rc == LAM_OK && !w.failed && w.parquet == named && w.temporary == 0;
}

const struct script_part_ops script_sql = {
    .steps = STEPS,
    .name = step_name,
    .flags = step_flags,
    .run = run_step,
    .opened = opened,
    .closing = closing,
    .forget = forget,
    .dump = dump,
    .probe = probe,
    .probe_read = probe_read,
    .upkeep = upkeep,
    .files = files,
};
