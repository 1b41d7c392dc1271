/* SPDX-License-Identifier: Apache-2.0
 *
 * Prepared statements: parse, plan, bind, step, and plan again when the catalog moved on. */
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "sql/exec.h"

/* How often a run may find that the table was altered between planning and locking. */
#define REPLAN_MAX 16

static bool needs_plan(const struct stmt *ast) {
    return ast->kind == STMT_SELECT || ast->kind == STMT_INSERT || ast->kind == STMT_UPDATE ||
           ast->kind == STMT_DELETE;
}

/* EXPLAIN plans what it explains. */
static const struct stmt *planned_ast(const struct stmt *ast) {
    return ast->kind == STMT_EXPLAIN ? ast->as.explain.inner : ast;
}

static void drop_plan(lam_stmt *s) {
    plan_release(s->plan);
    s->plan = NULL;
    arena_reset(&s->plan_arena);
    s->columns = NULL;
    s->column_count = 0;
}

static enum lam_code fixed_columns(lam_stmt *s, const struct stmt *ast, struct lam_error *err) {
    const char *const *names;
    const enum lam_type *types;
    uint32_t count;
    if (!show_columns(ast, &names, &types, &count))
        return LAM_OK;
    s->columns = arena_calloc(&s->plan_arena, count, sizeof *s->columns);
    if (!s->columns)
        return plan_out_of_memory(err);
    for (uint32_t i = 0; i < count; i++)
        s->columns[i] = (struct result_column){names[i], coltype_of(types[i])};
    s->column_count = count;
    return LAM_OK;
}

/* No catalog has this version: a statement of it has no plan and gets one before it runs. */
#define NOT_PLANNED UINT64_MAX

static enum lam_code make_plan(lam_stmt *s, struct lam_error *err) {
    drop_plan(s);
    s->planned_version = NOT_PLANNED;
    uint64_t version = catalog_version(s->session->catalog);
    const struct stmt *ast;
    TRY(authorise_identity(s->session, s->ast, &s->plan_arena, &s->identity, &ast, err));
    TRY(authorise_statement(s->session, s->ast, err));
    const struct stmt *target = planned_ast(ast);
    if (!needs_plan(target)) {
        TRY(fixed_columns(s, ast, err));
        s->planned_version = version;
        return LAM_OK;
    }
    s->parameter_types =
        arena_calloc(&s->plan_arena, s->parameter_count + 1, sizeof *s->parameter_types);
    if (!s->parameter_types)
        return plan_out_of_memory(err);
    memcpy(s->parameter_types, s->preset_types, s->parameter_count * sizeof *s->preset_types);
    struct planner pl = {.session = s->session,
                         .who = &s->identity,
                         .arena = &s->plan_arena,
                         .parameter_types = s->parameter_types,
                         .parameter_count = s->parameter_count};
    TRY(plan_statement(&pl, target, &s->columns, &s->column_count, err));
    s->plan = pl.plan;
    for (uint32_t i = 0; i < s->parameter_count; i++)
        if (s->parameter_types[i].type == LAM_TYPE_NULL)
            s->parameter_types[i] = coltype_of(LAM_TYPE_TEXT);
    if (ast->kind == STMT_EXPLAIN)
        TRY(fixed_columns(s, ast, err));
    s->planned_version = version;
    return LAM_OK;
}

static enum lam_code init_parameters(lam_stmt *s, struct lam_error *err) {
    uint32_t n = s->ast->parameter_count;
    if (n > LAM_PARAMETERS_MAX)
        return ERR_SQL(err, "54000", s->ast->pos, "more than %d parameters", LAM_PARAMETERS_MAX);
    s->preset_types = arena_calloc(&s->ast_arena, n + 1, sizeof *s->preset_types);
    s->parameters = mem_calloc(n + 1, sizeof *s->parameters);
    if (!s->preset_types || !s->parameters)
        return plan_out_of_memory(err);
    s->parameter_count = n;
    for (uint32_t i = 0; i < n; i++)
        s->parameters[i].value = value_null(coltype_of(LAM_TYPE_NULL));
    return LAM_OK;
}

enum lam_code lam_prepare(lam_session *session, const char *sql, size_t size, lam_stmt **stmt_out,
                          size_t *tail_out, struct lam_error *err) {
    if (!stmt_out)
        return ERR(err, LAM_INVALID, "prepare: stmt_out is NULL");
    *stmt_out = NULL;
    if (tail_out)
        *tail_out = 0;
    if (!session || (!sql && size > 0))
        return ERR(err, LAM_INVALID, "prepare: %s is NULL", session ? "sql" : "session");
    TRY(db_check_process(session->db, err));
    lam_stmt *s = mem_calloc(1, sizeof *s);
    if (!s)
        return mem_fail(err, sizeof *s);
    s->session = session;
    session->open_statements++;
    size_t tail = 0;
    enum lam_code rc = parse_statement(lam_slice_of(sql, size), &s->ast_arena, &s->ast, &tail, err);
    if (rc == LAM_OK && s->ast)
        rc = init_parameters(s, err);
    if (rc == LAM_OK && s->ast)
        rc = make_plan(s, err);
    if (rc != LAM_OK || !s->ast) {
        lam_finalize(s);
        s = NULL;
    }
    if (tail_out && rc == LAM_OK)
        *tail_out = tail;
    *stmt_out = s;
    return rc;
}

/* --- parameters --- */

uint32_t lam_parameter_count(const lam_stmt *s) {
    return s ? s->parameter_count : 0;
}

static enum lam_code parameter_slot(lam_stmt *s, uint32_t index, struct parameter **out,
                                    struct lam_error *err) {
    if (!s)
        return ERR(err, LAM_INVALID, "bind: statement is NULL");
    TRY(db_check_process(s->session->db, err));
    if (index < 1 || index > s->parameter_count)
        return ERR(err, LAM_INVALID, "bind: $%u: the statement has %u parameter%s", index,
                   s->parameter_count, s->parameter_count == 1 ? "" : "s");
    if (s->state == STMT_RUNNING)
        return ERR(err, LAM_INVALID, "bind: $%u: the statement is running: lam_reset first", index);
    *out = &s->parameters[index - 1];
    return LAM_OK;
}

static enum lam_code set_parameter(lam_stmt *s, uint32_t index, struct value v, bool is_text,
                                   struct lam_error *err) {
    struct parameter *p;
    TRY(parameter_slot(s, index, &p, err));
    p->value = v;
    p->is_text = is_text;
    return LAM_OK;
}

enum lam_code lam_bind_null(lam_stmt *s, uint32_t index, struct lam_error *err) {
    return set_parameter(s, index, value_null(coltype_of(LAM_TYPE_NULL)), false, err);
}
enum lam_code lam_bind_bool(lam_stmt *s, uint32_t index, bool value, struct lam_error *err) {
    return set_parameter(s, index, value_bool(value), false, err);
}
enum lam_code lam_bind_int64(lam_stmt *s, uint32_t index, int64_t value, struct lam_error *err) {
    return set_parameter(s, index, value_i64(LAM_TYPE_BIGINT, value), false, err);
}
enum lam_code lam_bind_double(lam_stmt *s, uint32_t index, double value, struct lam_error *err) {
    return set_parameter(s, index, value_f64(LAM_TYPE_DOUBLE, value), false, err);
}

/* What a text literal may hold: UTF-8 without NUL. */
static enum lam_code check_text(struct lam_slice text, uint32_t index, struct lam_error *err) {
    size_t bad;
    if (text.size > 0 && memchr(text.data, 0, text.size))
        return ERR_SQL(err, "22021", 0, "$%u: text has a zero byte", index);
    if (!utf8_valid(text, &bad))
        return ERR_SQL(err, "22021", 0, "$%u: text is not valid UTF-8 at byte %zu", index, bad + 1);
    return LAM_OK;
}

static enum lam_code bind_run(lam_stmt *s, uint32_t index, enum lam_type type, const void *data,
                              size_t size, struct lam_error *err) {
    struct parameter *p;
    TRY(parameter_slot(s, index, &p, err));
    if (!data && size > 0)
        return ERR(err, LAM_INVALID, "bind: $%u: data is NULL", index);
    if (size > LAM_VALUE_MAX)
        return ERR(err, LAM_LIMIT, "bind: $%u: %zu bytes, the limit is %u", index, size,
                   LAM_VALUE_MAX);
    if (type == LAM_TYPE_TEXT)
        TRY(check_text(lam_slice_of(data, size), index, err));
    buf_reset(&p->bytes);
    TRY(buf_append(&p->bytes, data, size, err));
    p->value = value_bytes(type, buf_slice(&p->bytes));
    p->is_text = type == LAM_TYPE_TEXT;
    return LAM_OK;
}

enum lam_code lam_bind_text(lam_stmt *s, uint32_t index, const char *text, size_t size,
                            struct lam_error *err) {
    return bind_run(s, index, LAM_TYPE_TEXT, text, size, err);
}
enum lam_code lam_bind_bytes(lam_stmt *s, uint32_t index, const void *data, size_t size,
                             struct lam_error *err) {
    return bind_run(s, index, LAM_TYPE_BYTES, data, size, err);
}

/* Values with a type of their own keep it in the plan; text and NULL take that of their place. */
static bool presets_moved(lam_stmt *s) {
    bool moved = false;
    for (uint32_t i = 0; i < s->parameter_count; i++) {
        const struct parameter *p = &s->parameters[i];
        if (p->value.is_null)
            continue; /* NULL fits any plan */
        struct coltype want = p->is_text ? coltype_of(LAM_TYPE_NULL) : p->value.type;
        moved |= want.type != s->preset_types[i].type;
        s->preset_types[i] = want;
    }
    return moved;
}

static enum lam_code run_parameters(lam_stmt *s, struct lam_error *err) {
    struct value *values = arena_calloc(&s->run_arena, s->parameter_count + 1, sizeof *values);
    if (!values)
        return mem_fail(err, (s->parameter_count + 1) * sizeof *values);
    for (uint32_t i = 0; i < s->parameter_count; i++) {
        const struct parameter *p = &s->parameters[i];
        struct coltype type = s->parameter_types ? s->parameter_types[i] : p->value.type;
        enum lam_code rc = LAM_OK;
        if (p->value.is_null)
            values[i] = value_null(type);
        else if (p->is_text)
            rc = value_parse(p->value.as.bytes, type, &s->run_arena, &values[i], err);
        else
            rc = value_cast(&p->value, type, CAST_ASSIGNMENT, &s->run_arena, &values[i], err);
        if (rc != LAM_OK)
            return error_context(err, rc, "parameter $%u", i + 1);
    }
    s->run.parameters = values;
    s->run.parameter_count = s->parameter_count;
    return LAM_OK;
}

/* --- running --- */

static void end_run(lam_stmt *s) {
    operator_free(s->root);
    s->root = NULL;
    lam_snapshot_free(s->snapshot);
    s->snapshot = NULL;
    s->batch = NULL;
    s->primed = false;
    s->sel = NULL;
    s->batch_rows = s->row = 0;
    arena_reset(&s->run_arena);
}

static enum lam_code root_from_rows(lam_stmt *s, struct rowlist *rows, struct lam_error *err) {
    enum lam_code rc = rows_operator(rows, &s->root, err);
    rowlist_fini(rows);
    return rc;
}

static enum lam_code start_show(lam_stmt *s, const struct stmt *ast, struct lam_error *err) {
    struct rowlist rows = {0};
    enum lam_code rc = show_run(s, ast, &rows, err);
    if (rc != LAM_OK) {
        rowlist_fini(&rows);
        return rc;
    }
    return root_from_rows(s, &rows, err);
}

static enum lam_code start_dml(lam_stmt *s, struct lam_error *err) {
    OWNED(rowlist_fini) struct rowlist returned = {0};
    /* Made before the commit: after it nothing may fail. */
    if (s->column_count > 0)
        TRY(rows_operator(&returned, &s->root, err));
    enum lam_code rc = s->plan->kind == STMT_INSERT
                           ? insert_run(s, s->plan->insert, &returned, err)
                           : change_run(s, s->plan->change, &returned, err);
    if (rc == LAM_OK && s->root)
        rows_operator_fill(s->root, &returned);
    return rc;
}

static enum lam_code audit_impersonation(lam_stmt *s, struct lam_error *err) {
    static const char *const actions[] = {
        [STMT_SELECT] = "SELECT",
        [STMT_INSERT] = "INSERT",
        [STMT_UPDATE] = "UPDATE",
        [STMT_DELETE] = "DELETE",
    };
    if (!s->identity.impersonated || !s->plan || s->plan->provider_count == 0)
        return LAM_OK;
    const struct stmt *ast = s->ast->as.execute_as.inner;
    const struct provider *p = s->plan->providers[0];
    char target[2 * IDENTIFIER_MAX + 2];
    snprintf(target, sizeof target, "%s.%s", p->namespace_name, p->name);
    return catalog_audit(s->session->catalog, s->session->user, s->identity.user,
                         actions[planned_ast(ast)->kind], lam_slice_str(target), err);
}

/* Whether a table of the plan was altered, indexed or dropped since. Asked after the snapshot was
 * taken: what the snapshot shows was then written under versions that the plan knows. */
static bool tables_moved(const lam_stmt *s) {
    for (uint32_t i = 0; s->plan && i < s->plan->provider_count; i++) {
        const struct provider *p = s->plan->providers[i];
        if (atomic_load(&p->shared->generation) != p->generation)
            return true;
    }
    return false;
}

static enum lam_code run_once(lam_stmt *s, struct lam_error *err) {
    const struct stmt *ast = s->ast->kind == STMT_EXECUTE_AS ? s->ast->as.execute_as.inner : s->ast;
    s->run = (struct run_context){
        .catalog = s->session->catalog,
        .user = s->identity.user,
        .role = s->identity.role,
        .now_us = catalog_now_us(s->session->catalog),
        .arena = &s->run_arena,
        .interrupted = &s->session->interrupted,
    };
    TRY(run_parameters(s, err));
    TRY(lam_snapshot_new(s->session->db, &s->snapshot, err));
    if (tables_moved(s))
        return ERR(err, LAM_CONFLICT, "a table was altered; prepare the statement again");
    s->changes = 0;
    const char *const *names;
    const enum lam_type *types;
    uint32_t count;
    if (show_columns(ast, &names, &types, &count))
        return start_show(s, ast, err);
    if (!s->plan)
        return ddl_run(s, ast, err);
    if (s->plan->kind == STMT_SELECT)
        return select_operator(s->plan->select, s, &s->root, err);
    return start_dml(s, err);
}

/* The next rows of the run; none at its end. */
static enum lam_code pull(lam_stmt *s, struct lam_error *err) {
    struct rowset set = {0};
    if (s->root)
        TRY(operator_next(s->root, &s->run, &set, err));
    s->batch = set.batch;
    s->sel = set.sel;
    s->batch_rows = set.count;
    s->row = 0;
    return LAM_OK;
}

/* Starts a run and pulls its first rows. */
static enum lam_code start_run(lam_stmt *s, struct lam_error *err) {
    atomic_store(&s->session->interrupted, false);
    enum lam_code rc = LAM_OK;
    bool stale = presets_moved(s);
    for (int tries = 0; tries < REPLAN_MAX; tries++) {
        if (stale || s->planned_version != catalog_version(s->session->catalog))
            TRY(make_plan(s, err));
        if (tries == 0)
            TRY(audit_impersonation(s, err));
        rc = run_once(s, err);
        if (rc == LAM_OK)
            rc = pull(s, err);
        /* NOT_FOUND: an index or table went away before it was opened. */
        stale = rc == LAM_CONFLICT || (rc == LAM_NOT_FOUND && tables_moved(s));
        if (!stale)
            break;
        end_run(s);
    }
    s->primed = rc == LAM_OK;
    return rc;
}

/* Moves to the next row of the run; false at its end. */
static enum lam_code advance(lam_stmt *s, bool *row_out, struct lam_error *err) {
    bool primed = s->primed;
    s->primed = false;
    if (!primed && s->batch && s->row + 1 < s->batch_rows)
        s->row++;
    else if (!primed)
        TRY(pull(s, err));
    *row_out = s->batch != NULL;
    return LAM_OK;
}

enum lam_code stmt_start(lam_stmt *s, struct lam_error *err) {
    LAM_ASSERT(s->state == STMT_READY);
    enum lam_code rc = start_run(s, err);
    s->state = STMT_RUNNING;
    if (rc != LAM_OK)
        stmt_end(s);
    return rc;
}

enum lam_code stmt_next_rows(lam_stmt *s, struct rowset *out, struct lam_error *err) {
    LAM_ASSERT(s->state == STMT_RUNNING);
    enum lam_code rc = s->primed ? LAM_OK : pull(s, err);
    s->primed = false;
    *out = (struct rowset){s->batch, s->sel, s->batch_rows};
    if (rc == LAM_OK && out->batch && (!s->plan || s->plan->kind == STMT_SELECT))
        s->changes += out->count;
    return rc;
}

void stmt_end(lam_stmt *s) {
    end_run(s);
    s->state = STMT_DONE;
}

/* A table dropped under a running statement takes its partitions away: says so. */
static enum lam_code explain_failure(const lam_stmt *s, enum lam_code rc, struct lam_error *err) {
    if (rc == LAM_OK || rc == LAM_SQL || rc == LAM_DENIED || !s->plan)
        return rc;
    for (uint32_t i = 0; i < s->plan->provider_count; i++) {
        const struct provider *p = s->plan->providers[i];
        if (atomic_load(&p->shared->dropped))
            return ERR_SQL(err, "42P01", 0, "table %s.%s was dropped", p->namespace_name, p->name);
    }
    return rc;
}

enum lam_code lam_step(lam_stmt *s, bool *row_out, struct lam_error *err) {
    if (!s || !row_out)
        return ERR(err, LAM_INVALID, "step: %s is NULL", s ? "row_out" : "statement");
    *row_out = false;
    TRY(db_check_process(s->session->db, err));
    if (s->stream)
        return ERR(err, LAM_INVALID, "step: an Arrow stream reads the statement: release it first");
    if (s->state == STMT_DONE)
        return ERR(err, LAM_INVALID, "step: the statement has ended: lam_reset first");
    enum lam_code rc = s->state == STMT_READY ? start_run(s, err) : LAM_OK;
    s->state = STMT_RUNNING;
    if (rc == LAM_OK)
        rc = advance(s, row_out, err);
    bool is_query = s->plan && s->plan->kind == STMT_SELECT;
    if (rc == LAM_OK && *row_out) {
        if (is_query || !s->plan)
            s->changes++;
        return LAM_OK;
    }
    rc = explain_failure(s, rc, err);
    end_run(s);
    s->state = STMT_DONE;
    return rc;
}

void lam_reset(lam_stmt *s) {
    if (!s || db_is_foreign(s->session->db))
        return;
    arrow_stream_detach(s);
    end_run(s);
    s->state = STMT_READY;
}

void lam_finalize(lam_stmt *s) {
    if (!s || db_is_foreign(s->session->db))
        return;
    arrow_stream_detach(s);
    end_run(s);
    plan_release(s->plan);
    for (uint32_t i = 0; s->parameters && i < s->parameter_count; i++)
        buf_fini(&s->parameters[i].bytes);
    mem_free(s->parameters);
    for (uint32_t i = 0; i < s->text_count; i++)
        buf_fini(&s->texts[i]);
    mem_free(s->texts);
    arena_fini(&s->run_arena);
    arena_fini(&s->plan_arena);
    arena_fini(&s->ast_arena);
    s->session->open_statements--;
    mem_free(s);
}

uint64_t lam_changes(const lam_stmt *s) {
    return s ? s->changes : 0;
}

const char *lam_command_tag(const lam_stmt *s) {
    static const char *const tags[] = {
        [STMT_SELECT] = "SELECT",
        [STMT_INSERT] = "INSERT",
        [STMT_UPDATE] = "UPDATE",
        [STMT_DELETE] = "DELETE",
        [STMT_CREATE_NAMESPACE] = "CREATE NAMESPACE",
        [STMT_DROP_NAMESPACE] = "DROP NAMESPACE",
        [STMT_CREATE_TABLE] = "CREATE TABLE",
        [STMT_DROP_TABLE] = "DROP TABLE",
        [STMT_ALTER_TABLE] = "ALTER TABLE",
        [STMT_CREATE_INDEX] = "CREATE INDEX",
        [STMT_DROP_INDEX] = "DROP INDEX",
        [STMT_CREATE_USER] = "CREATE USER",
        [STMT_DROP_USER] = "DROP USER",
        [STMT_CREATE_STORAGE] = "CREATE STORAGE",
        [STMT_DROP_STORAGE] = "DROP STORAGE",
        [STMT_EXPLAIN] = "EXPLAIN",
        [STMT_SHOW] = "SHOW",
        [STMT_DESCRIBE] = "DESCRIBE",
        [STMT_USE] = "USE",
        [STMT_FLUSH_TABLE] = "STORAGE FLUSH",
        [STMT_FLUSH_ALL] = "STORAGE FLUSH",
    };
    if (!s)
        return "";
    const struct stmt *ast = s->ast->kind == STMT_EXECUTE_AS ? s->ast->as.execute_as.inner : s->ast;
    return tags[ast->kind];
}

/* --- whole texts --- */

/* Characters of valid text; pos counts from the start of the whole text. */
static uint32_t characters(const char *sql, size_t size) {
    uint32_t n = 0;
    for (size_t i = 0; i < size; i++)
        n += ((uint8_t)sql[i] & 0xC0) != 0x80;
    return n;
}

enum lam_code lam_authorize(lam_session *session, const char *sql, size_t size,
                            struct lam_error *err) {
    if (!session || (!sql && size > 0))
        return ERR(err, LAM_INVALID, "authorize: %s is NULL", session ? "sql" : "session");
    TRY(db_check_process(session->db, err));
    OWNED(arena_fini) struct arena arena = {0};
    enum lam_code rc = LAM_OK;
    size_t at = 0;
    while (rc == LAM_OK && at < size) {
        struct stmt *ast;
        size_t tail;
        /* A statement that does not parse is reported when its turn comes. */
        if (parse_statement(lam_slice_of(sql + at, size - at), &arena, &ast, &tail, NULL) != LAM_OK)
            break;
        if (!ast)
            break;
        rc = authorise_statement(session, ast, err);
        if (rc != LAM_OK && err && err->pos > 0)
            err->pos += characters(sql, at);
        arena_reset(&arena);
        at += tail;
    }
    return rc;
}

static enum lam_code run_all_rows(lam_stmt *s, lam_row_fn fn, void *arg, struct lam_error *err) {
    for (;;) {
        bool row;
        TRY(lam_step(s, &row, err));
        if (!row)
            return LAM_OK;
        if (fn && !fn(arg, s))
            return ERR_SQL(err, "57014", 0, "stopped by the row callback");
    }
}

enum lam_code lam_exec(lam_session *session, const char *sql, size_t size, lam_row_fn fn, void *arg,
                       uint64_t *changes_out, struct lam_error *err) {
    if (changes_out)
        *changes_out = 0;
    TRY(lam_authorize(session, sql, size, err));
    size_t at = 0;
    while (at < size) {
        lam_stmt *s;
        size_t tail;
        enum lam_code rc = lam_prepare(session, sql + at, size - at, &s, &tail, err);
        if (rc == LAM_OK && !s)
            return LAM_OK;
        if (rc == LAM_OK)
            rc = run_all_rows(s, fn, arg, err);
        if (changes_out && rc == LAM_OK)
            *changes_out = s->changes;
        lam_finalize(s);
        if (rc != LAM_OK) {
            if (err && err->pos > 0)
                err->pos += characters(sql, at);
            return rc;
        }
        at += tail;
    }
    return LAM_OK;
}
