/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of the SQL interface in any order that its contract allows, with statements made up from
 * the input: sessions, statements at any stage, results as rows and as Arrow batches, parameters,
 * schema changes and flushes between them, reopening and crashing. Codes are those the headers
 * promise; counts agree with rows, and a scan with an index. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/sim/choice.h"

#define SESSIONS   3
#define STATEMENTS 5
#define CALLS_MAX  60
#define TEXT_MAX   1500

struct statement {
    lam_stmt *stmt;
    unsigned session;
    struct ArrowArrayStream stream; /* released: none */
};

struct world {
    struct choice c;
    lam_env *env;
    lam_db *db;
    lam_session *sessions[SESSIONS];
    struct statement statements[STATEMENTS];
    struct lam_error err;
    char text[TEXT_MAX];
    size_t size;
};

/* --- texts ----------------------------------------------------------------------------------- */

static __attribute__((format(printf, 2, 3))) void put(struct world *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(w->text + w->size, TEXT_MAX - w->size, format, args);
    va_end(args);
    w->size = w->size + (size_t)n < TEXT_MAX ? w->size + (size_t)n : TEXT_MAX - 1;
}

#define PICK(w, list) ((list)[choose(&(w)->c, sizeof(list) / sizeof(list)[0])])

static const char *const tables[] = {"n.t", "n.s", "n.w", "n.u", "system.tables", "system.users"};
static const char *const columns[] = {"id", "a", "b", "c", "d", "e", "f", "g", "h",    "i",
                                      "j",  "l", "m", "z", "x", "y", "v", "q", "_seq", "_updated"};
static const char *const literals[] = {"0",
                                       "1",
                                       "2",
                                       "-1",
                                       "NULL",
                                       "'one'",
                                       "'a'",
                                       "''",
                                       "1.5",
                                       "true",
                                       "$1",
                                       "$2",
                                       "$3",
                                       "9223372036854775807",
                                       "'NaN'",
                                       "'{\"a\":[1]}'",
                                       "'2024-01-02'",
                                       "'12:00'",
                                       "'\\x00ff'",
                                       "'00000000-0000-4000-8000-000000000001'"};
static const char *const operators[] = {"+",
                                        "-",
                                        "*",
                                        "/",
                                        "%",
                                        "=",
                                        "<>",
                                        "<",
                                        "<=",
                                        ">",
                                        ">=",
                                        "AND",
                                        "OR",
                                        "||",
                                        "LIKE",
                                        "ILIKE",
                                        "->",
                                        "->>",
                                        "IS DISTINCT FROM",
                                        "^"};
static const char *const functions[] = {
    "count",       "sum",          "min",      "max",      "avg",         "length",
    "upper",       "abs",          "coalesce", "round",    "substr",      "now",
    "json_typeof", "to_timestamp", "nullif",   "greatest", "random_uuid", "date_trunc"};
static const char *const types[] = {"BIGINT", "INT",       "TEXT",     "DOUBLE", "DECIMAL(10,2)",
                                    "JSON",   "TIMESTAMP", "DATE",     "TIME",   "UUID",
                                    "BYTES",  "BOOLEAN",   "SMALLINT", "FLOAT",  "VARCHAR(3)"};

static void put_expression(struct world *w, unsigned depth) {
    switch (choose(&w->c, depth ? 10 : 3)) {
    case 0:
    case 1:
        put(w, "%s", PICK(w, columns));
        break;
    case 2:
        put(w, "%s", PICK(w, literals));
        break;
    case 3:
    case 4:
        put(w, "(");
        put_expression(w, depth - 1);
        put(w, " %s ", PICK(w, operators));
        put_expression(w, depth - 1);
        put(w, ")");
        break;
    case 5:
        put(w, "%s(", PICK(w, functions));
        if (choose_one_in(&w->c, 4))
            put(w, "*");
        for (uint32_t n = choose(&w->c, 3); n > 0; n--) {
            put_expression(w, depth - 1);
            put(w, "%s", n > 1 ? ", " : "");
        }
        put(w, ")");
        break;
    case 6:
        put(w, "CAST(");
        put_expression(w, depth - 1);
        put(w, " AS %s)", PICK(w, types));
        break;
    case 7:
        put(w, "CASE WHEN ");
        put_expression(w, depth - 1);
        put(w, " THEN ");
        put_expression(w, depth - 1);
        put(w, " END");
        break;
    case 8:
        put(w, "(");
        put_expression(w, depth - 1);
        put(w, choose(&w->c, 2) ? " IS NOT NULL)" : " IN (1, 'one', $1))");
        break;
    default:
        put(w, "NOT ");
        put_expression(w, depth - 1);
        break;
    }
}

static void put_where(struct world *w) {
    static const char *const plain[] = {"id = 1",          "id > $1",  "a = 5",
                                        "b = 'one'",       "x = 'a'",  "x = 'a' AND y = 1",
                                        "id IN (1, 2, 3)", "a IS NULL"};
    if (choose_one_in(&w->c, 4))
        return;
    put(w, " WHERE ");
    if (choose(&w->c, 2))
        put(w, "%s", PICK(w, plain));
    else
        put_expression(w, 2);
}

static void put_select(struct world *w) {
    put(w, "SELECT %s", choose_one_in(&w->c, 6) ? "DISTINCT " : "");
    if (choose(&w->c, 3) == 0) {
        put(w, "*");
    } else {
        for (uint32_t n = 1 + choose(&w->c, 4); n > 0; n--) {
            put_expression(w, 2);
            put(w, "%s", n > 1 ? ", " : "");
        }
    }
    if (choose_one_in(&w->c, 8))
        return;
    put(w, " FROM %s", PICK(w, tables));
    put_where(w);
    if (choose_one_in(&w->c, 4)) {
        put(w, " GROUP BY ");
        put_expression(w, 1);
        if (choose(&w->c, 2))
            put(w, " HAVING count(*) > 0");
    }
    if (choose_one_in(&w->c, 3)) {
        put(w, " ORDER BY ");
        put_expression(w, 1);
        put(w, "%s", choose(&w->c, 2) ? " DESC NULLS LAST" : "");
    }
    if (choose_one_in(&w->c, 4))
        put(w, " LIMIT %u OFFSET %u", choose(&w->c, 5), choose(&w->c, 3));
}

static void put_change(struct world *w) {
    static const char *const inserts[] = {
        "INSERT INTO n.t (id, a, b) VALUES (%u, %u, 'r%u')",
        "INSERT INTO n.t (id, a, b) VALUES (%u, $1, $2), (%u, 7, 'q%u')",
        "INSERT INTO n.s (x, y) VALUES ('k', %u) ON CONFLICT DO NOTHING",
        "INSERT INTO n.s VALUES ('k%u', %u, 'n') ON CONFLICT (x, y) DO UPDATE SET z = excluded.z",
        "INSERT INTO n.w (v) VALUES ('x%u')",
        "INSERT INTO n.u (q) SELECT a FROM n.t LIMIT %u"};
    uint32_t k = choose(&w->c, 12);
    switch (choose(&w->c, 5)) {
    case 0:
    case 1:
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        put(w, PICK(w, inserts), k, k + 1, k);
#pragma GCC diagnostic pop
        break;
    case 2:
        put(w, "INSERT INTO %s VALUES (", PICK(w, tables));
        for (uint32_t n = 1 + choose(&w->c, 4); n > 0; n--) {
            put_expression(w, 1);
            put(w, "%s", n > 1 ? ", " : ")");
        }
        break;
    case 3:
        put(w, "UPDATE %s SET %s = ", PICK(w, tables), PICK(w, columns));
        put_expression(w, 2);
        put_where(w);
        break;
    default:
        put(w, "DELETE FROM %s", PICK(w, tables));
        put_where(w);
        break;
    }
    if (choose_one_in(&w->c, 3))
        put(w, " RETURNING *, 1 + 1");
}

static void put_schema(struct world *w) {
    static const char *const fixed[] = {
        "CREATE SHARED TABLE n.u (id BIGINT DEFAULT SNOWFLAKE_ID() PRIMARY KEY, q INT)",
        "CREATE USER TABLE n.u (id UUID PRIMARY KEY DEFAULT UUID_V7(), q TEXT) WITH (FLUSH_POLICY "
        "= "
        "'rows:2')",
        "DROP TABLE IF EXISTS n.u",
        "DROP TABLE n.w",
        "CREATE INDEX u_q ON n.u (q)",
        "CREATE UNIQUE INDEX t_l ON n.t (l)",
        "DROP INDEX t_a ON n.t",
        "CREATE INDEX t_a ON n.t (a)",
        "ALTER TABLE n.t ALTER COLUMN a TYPE BIGINT",
        "ALTER TABLE n.t RENAME COLUMN b TO x",
        "ALTER TABLE n.t ALTER COLUMN z SET DEFAULT 5",
        "ALTER TABLE n.s ALTER COLUMN z SET NOT NULL",
        "STORAGE FLUSH TABLE n.t",
        "STORAGE FLUSH TABLE n.s",
        "STORAGE FLUSH ALL",
        "CREATE NAMESPACE m",
        "DROP NAMESPACE n CASCADE",
        "USE n",
        "SHOW TABLES",
        "SHOW JOBS",
        "DESCRIBE n.t",
        "CREATE USER 'w' WITH ROLE user",
        "DROP USER 'w'",
    };
    switch (choose(&w->c, 4)) {
    case 0:
    case 1:
        put(w, "%s", PICK(w, fixed));
        break;
    case 2:
        put(w, "ALTER TABLE %s ADD COLUMN %s %s", PICK(w, tables), PICK(w, columns),
            PICK(w, types));
        if (choose_one_in(&w->c, 3))
            put(w, " DEFAULT %s", PICK(w, literals));
        break;
    default:
        put(w, "ALTER TABLE %s DROP COLUMN %s", PICK(w, tables), PICK(w, columns));
        break;
    }
}

/* Bytes of the input as they are. */
static void put_raw(struct world *w) {
    for (uint32_t n = choose(&w->c, 120); n > 0; n--) {
        uint8_t byte = (uint8_t)choose(&w->c, 256);
        put(w, "%c", byte ? byte : ' ');
    }
}

static void make_text(struct world *w) {
    w->size = 0;
    uint32_t kind = choose(&w->c, 12);
    if (kind == 11)
        put(w, "EXPLAIN %s", choose(&w->c, 2) ? "ANALYZE " : "");
    if (kind == 10)
        put(w, "EXECUTE AS USER 'v' (");
    switch (kind) {
    case 0:
    case 1:
    case 2:
    case 10:
    case 11:
        put_select(w);
        break;
    case 3:
    case 4:
    case 5:
        put_change(w);
        break;
    case 6:
    case 7:
    case 8:
        put_schema(w);
        break;
    default:
        put_raw(w);
        break;
    }
    if (kind == 10)
        put(w, ")");
}

/* --- calls ----------------------------------------------------------------------------------- */

/* What a statement may come to in a sound database. */
static void check_code(struct world *w, enum lam_code rc, const char *call) {
    bool good = rc == LAM_OK || rc == LAM_SQL || rc == LAM_DENIED || rc == LAM_LIMIT ||
                rc == LAM_CONFLICT || rc == LAM_EXISTS || rc == LAM_NOT_FOUND ||
                rc == LAM_UNSUPPORTED;
    if (!good)
        fprintf(stderr, "%s: %s: %s\n%.*s\n", call, lam_code_name(rc), w->err.message, (int)w->size,
                w->text);
    REQUIRE(good);
    REQUIRE(rc == LAM_OK || w->err.message[0]);
    REQUIRE(rc != LAM_SQL || strlen(w->err.sqlstate) == 5);
    w->err = (struct lam_error){0};
}

static struct statement *pick_statement(struct world *w) {
    struct statement *s = &w->statements[choose(&w->c, STATEMENTS)];
    return s->stmt ? s : NULL;
}

static void finalize(struct world *w, struct statement *s) {
    struct ArrowArray array;
    /* A stream may outlive its run, and must say that it is over unless it had come to its end. */
    lam_reset(s->stmt);
    if (s->stream.release) {
        bool failed = s->stream.get_next(&s->stream, &array) != 0;
        REQUIRE(failed == (s->stream.get_last_error(&s->stream) != NULL));
        REQUIRE(!array.release);
        if (choose(&w->c, 2)) {
            s->stream.release(&s->stream);
            lam_finalize(s->stmt);
        } else {
            lam_finalize(s->stmt);
            s->stream.release(&s->stream);
        }
    } else {
        lam_finalize(s->stmt);
    }
    *s = (struct statement){0};
}

static void do_prepare(struct world *w) {
    struct statement *s = &w->statements[choose(&w->c, STATEMENTS)];
    unsigned session = choose(&w->c, SESSIONS);
    size_t tail = 0;
    if (s->stmt)
        finalize(w, s);
    if (!w->sessions[session])
        return;
    make_text(w);
    enum lam_code rc =
        lam_prepare(w->sessions[session], w->text, w->size, &s->stmt, &tail, &w->err);
    check_code(w, rc, "prepare");
    REQUIRE(rc != LAM_OK || tail <= w->size);
    if (rc != LAM_OK)
        s->stmt = NULL;
    s->session = session;
}

static void do_bind(struct world *w) {
    struct statement *s = pick_statement(w);
    if (!s)
        return;
    uint32_t count = lam_parameter_count(s->stmt), index = choose(&w->c, 4);
    uint64_t number = choose_salt(&w->c);
    double real;
    memcpy(&real, &number, sizeof real);
    enum lam_code rc;
    switch (choose(&w->c, 6)) {
    case 0:
        rc = lam_bind_null(s->stmt, index, &w->err);
        break;
    case 1:
        rc = lam_bind_bool(s->stmt, index, number & 1, &w->err);
        break;
    case 2:
        rc = lam_bind_int64(s->stmt, index, (int64_t)number, &w->err);
        break;
    case 3:
        rc = lam_bind_double(s->stmt, index, real, &w->err);
        break;
    case 4:
        rc = lam_bind_bytes(s->stmt, index, &number, sizeof number, &w->err);
        break;
    default: {
        const char *text = PICK(w, literals);
        rc = lam_bind_text(s->stmt, index, text, strlen(text), &w->err);
        break;
    }
    }
    if (index == 0 || index > count)
        REQUIRE(rc == LAM_INVALID);
    else
        REQUIRE(rc == LAM_OK || rc == LAM_INVALID || rc == LAM_SQL); /* INVALID: it is running */
}

static void look_at_row(lam_stmt *stmt) {
    uint32_t count = lam_column_count(stmt);
    for (uint32_t i = 0; i <= count; i++) {
        bool null = lam_column_is_null(stmt, i);
        struct lam_slice text = lam_column_text(stmt, i), bytes = lam_column_bytes(stmt, i);
        (void)lam_column_bool(stmt, i);
        (void)lam_column_int64(stmt, i);
        (void)lam_column_double(stmt, i);
        REQUIRE(lam_column_name(stmt, i));
        REQUIRE(i < count || (null && lam_column_type(stmt, i) == LAM_TYPE_NULL));
        REQUIRE(!null || (text.size == 0 && bytes.size == 0));
        REQUIRE(text.size == 0 || text.data);
    }
}

static void do_step(struct world *w) {
    struct statement *s = pick_statement(w);
    if (!s)
        return;
    bool row = true, first = true;
    for (uint32_t n = 1 + choose(&w->c, 20); n > 0 && row; n--, first = false) {
        enum lam_code rc = lam_step(s->stmt, &row, &w->err);
        /* It has ended before, or a stream reads it. */
        if (rc == LAM_INVALID && first)
            return;
        check_code(w, rc, "step");
        if (rc != LAM_OK) {
            REQUIRE(lam_step(s->stmt, &row, &w->err) == LAM_INVALID);
            return;
        }
        if (row)
            look_at_row(s->stmt);
    }
    REQUIRE(lam_command_tag(s->stmt));
    (void)lam_changes(s->stmt);
}

static void check_array(const struct ArrowSchema *schema, struct ArrowArray *array) {
    REQUIRE(array->length >= 0 && array->n_children == schema->n_children && array->offset == 0);
    for (int64_t i = 0; i < array->n_children; i++) {
        const struct ArrowArray *child = array->children[i];
        REQUIRE(child->length >= array->length && child->n_buffers >= 2);
        if (strcmp(schema->children[i]->format, "u") != 0 || array->length == 0)
            continue;
        const int32_t *offsets = child->buffers[1];
        for (int64_t row = 0; row < array->length; row++)
            REQUIRE(offsets[row] >= 0 && offsets[row] <= offsets[row + 1]);
    }
}

static void do_arrow(struct world *w) {
    struct statement *s = pick_statement(w);
    struct ArrowSchema schema;
    struct ArrowArray array;
    if (!s)
        return;
    if (!s->stream.release) {
        enum lam_code rc = lam_query_arrow(s->stmt, &s->stream, &w->err);
        if (rc == LAM_INVALID)
            return;
        check_code(w, rc, "query_arrow");
        REQUIRE((rc == LAM_OK) == (s->stream.release != NULL));
    }
    if (!s->stream.release || s->stream.get_schema(&s->stream, &schema) != 0)
        return;
    REQUIRE(schema.n_children == lam_column_count(s->stmt));
    for (uint32_t n = choose(&w->c, 4); n > 0; n--) {
        if (s->stream.get_next(&s->stream, &array) != 0) {
            REQUIRE(s->stream.get_last_error(&s->stream));
            break;
        }
        if (!array.release)
            break;
        check_array(&schema, &array);
        array.release(&array);
    }
    schema.release(&schema);
    if (choose(&w->c, 2))
        s->stream.release(&s->stream);
}

static void do_session(struct world *w) {
    static const char *const users[] = {"u", "v", "ann", "\xc3\xbc/.."};
    static const enum lam_role roles[] = {LAM_ROLE_SYSTEM, LAM_ROLE_DBA, LAM_ROLE_SERVICE,
                                          LAM_ROLE_USER, LAM_ROLE_ANONYMOUS};
    unsigned at = choose(&w->c, SESSIONS);
    bool busy = false;
    for (size_t i = 0; i < STATEMENTS; i++)
        busy = busy || (w->statements[i].stmt && w->statements[i].session == at);
    if (w->sessions[at]) {
        enum lam_code rc = lam_session_close(w->sessions[at], &w->err);
        REQUIRE(rc == (busy ? LAM_BUSY : LAM_OK));
        if (!busy)
            w->sessions[at] = NULL;
        return;
    }
    const char *user = PICK(w, users);
    enum lam_role role = PICK(w, roles);
    enum lam_code rc = choose_one_in(&w->c, 3)
                           ? lam_session_open_user(w->db, user, &w->sessions[at], &w->err)
                           : lam_session_open(w->db, user, role, &w->sessions[at], &w->err);
    fuzz_ok(rc, &w->err);
    REQUIRE(strcmp(lam_session_user(w->sessions[at]), user) == 0);
}

static void do_exec(struct world *w) {
    lam_session *s = w->sessions[choose(&w->c, SESSIONS)];
    uint64_t changes = 0;
    if (!s)
        return;
    make_text(w);
    if (choose_one_in(&w->c, 8))
        lam_session_interrupt(s);
    check_code(w, lam_authorize(s, w->text, w->size, &w->err), "authorize");
    check_code(w, lam_exec(s, w->text, w->size, NULL, NULL, &changes, &w->err), "exec");
}

/* --- checks ---------------------------------------------------------------------------------- */

static bool count_row(void *arg, lam_stmt *stmt) {
    (void)stmt;
    ++*(uint64_t *)arg;
    return true;
}
static bool take_number(void *arg, lam_stmt *stmt) {
    *(uint64_t *)arg = (uint64_t)lam_column_int64(stmt, 0);
    return true;
}

/* False: the table or the column is not there any more. */
static bool ask(struct world *w, const char *sql, lam_row_fn fn, uint64_t *out) {
    *out = 0;
    enum lam_code rc = lam_exec(w->sessions[0], sql, strlen(sql), fn, out, NULL, &w->err);
    check_code(w, rc, sql);
    return rc == LAM_OK;
}

static void check_tables(struct world *w) {
    static const char *const pairs[][2] = {
        {"SELECT 1 FROM n.t", "SELECT count(*) FROM n.t"},
        {"SELECT * FROM n.s", "SELECT count(*) FROM n.s"},
        {"SELECT id FROM n.t WHERE a = 5", "SELECT count(*) FROM n.t WHERE a + 0 = 5"},
        {"SELECT id FROM n.t WHERE b = 'one'", "SELECT count(*) FROM n.t WHERE b || '' = 'one'"},
        {"SELECT id FROM n.t WHERE id >= 2", "SELECT count(*) FROM n.t WHERE id + 0 >= 2"},
        {"SELECT x FROM n.s WHERE x = 'a'", "SELECT count(*) FROM n.s WHERE x || '' = 'a'"},
    };
    uint64_t rows, count;
    if (!w->sessions[0])
        return;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (ask(w, pairs[i][0], count_row, &rows) && ask(w, pairs[i][1], take_number, &count))
            REQUIRE(rows == count);
}

/* --- the world ------------------------------------------------------------------------------- */

static void open_world(struct world *w) {
    struct lam_options o = image_options(w->env);
    fuzz_ok(lam_db_open(IMAGE_DIR, &o, &w->db, &w->err), &w->err);
    fuzz_ok(lam_session_open(w->db, "u", LAM_ROLE_SYSTEM, &w->sessions[0], &w->err), &w->err);
}

static void close_world(struct world *w) {
    for (size_t i = 0; i < STATEMENTS; i++)
        if (w->statements[i].stmt)
            finalize(w, &w->statements[i]);
    for (size_t i = 0; i < SESSIONS; i++) {
        fuzz_ok(lam_session_close(w->sessions[i], &w->err), &w->err);
        w->sessions[i] = NULL;
    }
    fuzz_ok(lam_db_close(w->db, &w->err), &w->err);
}

static void reopen(struct world *w, bool crash) {
    lam_env *image = crash ? fuzz_env_copy(w->env) : NULL;
    if (!crash && w->sessions[0])
        REQUIRE(lam_db_close(w->db, &w->err) == LAM_BUSY);
    close_world(w);
    if (crash) {
        fuzz_env_free(w->env);
        w->env = image;
    }
    open_world(w);
    check_tables(w);
}

static void do_call(struct world *w) {
    struct statement *s;
    switch (choose(&w->c, 20)) {
    case 0:
    case 1:
    case 2:
    case 3:
        do_exec(w);
        break;
    case 4:
    case 5:
    case 6:
        do_prepare(w);
        break;
    case 7:
        do_bind(w);
        break;
    case 8:
    case 9:
    case 10:
    case 11:
        do_step(w);
        break;
    case 12:
        if ((s = pick_statement(w)))
            lam_reset(s->stmt);
        break;
    case 13:
        if ((s = pick_statement(w)))
            finalize(w, s);
        break;
    case 14:
    case 15:
        do_arrow(w);
        break;
    case 16:
        do_session(w);
        break;
    case 17:
        fuzz_ok(choose(&w->c, 2) ? lam_db_dump(w->db, &w->err)
                                 : lam_db_compact(w->db, NULL, &w->err),
                &w->err);
        break;
    case 18:
        check_tables(w);
        break;
    default:
        reopen(w, choose(&w->c, 2));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct world w;
    w = (struct world){.env = image_copy(IMAGE_SQL_SEALED)};
    choice_bytes(&w.c, data, size);
    open_world(&w);
    for (unsigned i = 0; i < CALLS_MAX && w.c.at < size; i++)
        do_call(&w);
    if (!w.sessions[0])
        fuzz_ok(lam_session_open(w.db, "u", LAM_ROLE_SYSTEM, &w.sessions[0], &w.err), &w.err);
    check_tables(&w);
    close_world(&w);
    fuzz_env_free(w.env);
    choice_fini(&w.c);
    return 0;
}
