/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads everything that an open database holds, through sessions as a client would, into a state of
 * the model's kind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog/catalog.h"
#include "tests/sim/check_sql.h"

/* --- opening --------------------------------------------------------------------------------- */

enum lam_code wsql_view_open(struct wsql_view *v, struct lam_error *err) {
    struct wsql *w = v->w;
    struct lam_options options = {.env = simfs_env(v->fs),
                                  .memory_budget = 4u << 20,
                                  .durability = w->durability,
                                  .read_only = v->read_only,
                                  .manual_background = w->manual};
    enum lam_code rc = lam_db_open("/db", &options, &v->db, err);
    if (rc == LAM_OK)
        rc = lam_session_open(v->db, "root", LAM_ROLE_SYSTEM, &v->root, err);
    for (unsigned o = 0; rc == LAM_OK && o < MSQL_OWNERS; o++)
        rc = lam_session_open(v->db, w->owners[o], LAM_ROLE_USER, &v->sessions[o], err);
    if (rc != LAM_OK)
        wsql_view_close(v, NULL);
    return rc;
}

enum lam_code wsql_view_close(struct wsql_view *v, struct lam_error *err) {
    lam_entity_close(v->things);
    lam_session_close(v->root, NULL);
    for (unsigned o = 0; o < MSQL_OWNERS; o++) {
        lam_session_close(v->sessions[o], NULL);
        v->sessions[o] = NULL;
    }
    v->things = NULL;
    v->root = NULL;
    enum lam_code rc = lam_db_close(v->db, err);
    v->db = NULL;
    return rc;
}

/* --- definitions ----------------------------------------------------------------------------- */

struct reading {
    struct wsql_view *view;
    struct msql_state *state;
    const struct msql_table *table;
    unsigned owner;
};

static unsigned position(const char *const *names, unsigned count, const char *name) {
    unsigned i = 0;
    while (i < count && strcmp(names[i], name) != 0)
        i++;
    return i;
}

static struct msql_type type_of(struct coltype t) {
    return (struct msql_type){t.type, t.type == LAM_TYPE_DECIMAL ? t.precision : 0,
                              t.type == LAM_TYPE_DECIMAL ? t.scale : 0,
                              t.type == LAM_TYPE_TEXT ? t.length : 0};
}

/* A default as the model writes it. The text of a schema lives as long as the database is open,
 * which is long enough to be compared. */
static struct msql_value value_of(const struct value *v) {
    struct msql_value out = {.null = v->is_null};
    if (v->is_null)
        return out;
    switch (v->type.type) {
    case LAM_TYPE_BOOLEAN:
        out.n = v->as.boolean;
        break;
    case LAM_TYPE_DOUBLE:
        out.n = (int64_t)(v->as.f64 * 4);
        break;
    case LAM_TYPE_DECIMAL:
        out.n = (int64_t)v->as.i128;
        break;
    case LAM_TYPE_TEXT:
        out.text = (const char *)v->as.bytes.data;
        out.size = (uint32_t)v->as.bytes.size;
        break;
    default:
        out.n = v->as.i64;
        break;
    }
    return out;
}

static void note_columns(struct msql_table *t, const struct schema *s) {
    t->column_count = s->column_count;
    for (uint32_t i = 0; i < s->column_count; i++) {
        const struct schema_column *c = &s->columns[i];
        struct msql_column *out = &t->columns[i];
        snprintf(out->name, sizeof out->name, "%.15s", c->name);
        out->type = type_of(c->type);
        out->nullable = c->nullable;
        out->is_key = c->key_position >= 0;
        out->has_default = c->on_insert.kind == DEFAULT_VALUE;
        if (out->has_default)
            out->def = value_of(&c->on_insert.value);
    }
    t->key_count = s->key_count;
    for (uint32_t i = 0; i < s->key_count && i < MSQL_KEYS; i++)
        t->keys[i] = s->key[i];
}

static void note_indexes(struct msql_table *t, const struct provider *p) {
    t->index_count = p->index_count;
    for (uint32_t i = 0; i < p->index_count; i++) {
        const struct table_index *x = &p->indexes[i];
        struct msql_index *out = &t->indexes[i];
        snprintf(out->name, sizeof out->name, "%.15s", x->name);
        out->unique = x->unique;
        out->count = x->column_count;
        for (uint32_t k = 0; k < x->column_count; k++)
            out->columns[k] = (uint32_t)schema_find_id(p->schema, x->column_ids[k]);
    }
}

static bool note_table(void *arg, struct provider *p) {
    struct reading *r = arg;
    unsigned space = position(wsql_spaces, MSQL_NAMESPACES, p->namespace_name);
    bool known = space < MSQL_NAMESPACES && strlen(p->name) < MSQL_NAME &&
                 p->schema->column_count <= MSQL_COLUMNS && p->schema->key_count <= MSQL_KEYS &&
                 p->index_count <= MSQL_INDEXES;
    struct msql_table *t = known ? msql_table_add(r->state, space, p->name) : NULL;
    if (!t) {
        wsql_fail(r->view->w, "%s: a table %s.%s that was never made", r->view->what,
                  p->namespace_name, p->name);
        return false;
    }
    t->kind = (enum msql_kind)p->kind;
    t->storage = position(wsql_storages, MSQL_STORAGES, p->options.storage);
    note_columns(t, p->schema);
    note_indexes(t, p);
    return true;
}

/* --- rows ------------------------------------------------------------------------------------ */

/* "-12.50" as -1250; the model's decimals have two places. */
static int64_t scaled(struct lam_slice text) {
    int64_t n = 0;
    bool minus = text.size > 0 && text.data[0] == '-';
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] >= '0' && text.data[i] <= '9')
            n = n * 10 + (text.data[i] - '0');
    return minus ? -n : n;
}

static struct msql_value column_of(lam_stmt *stmt, uint32_t i, enum lam_type type) {
    struct msql_value v = {.null = lam_column_is_null(stmt, i)};
    if (v.null)
        return v;
    if (type == LAM_TYPE_TEXT) {
        struct lam_slice text = lam_column_bytes(stmt, i);
        v.text = text.data ? (const char *)text.data : "";
        v.size = (uint32_t)text.size;
    } else if (type == LAM_TYPE_DECIMAL) {
        v.n = scaled(lam_column_text(stmt, i));
    } else if (type == LAM_TYPE_DOUBLE) {
        v.n = (int64_t)(lam_column_double(stmt, i) * 4);
    } else {
        v.n = lam_column_int64(stmt, i);
    }
    return v;
}

struct msql_row *check_row_of(lam_stmt *stmt, const struct msql_table *t) {
    struct msql_value values[MSQL_COLUMNS];
    for (uint32_t i = 0; i < t->column_count; i++)
        values[i] = column_of(stmt, i, t->columns[i].type.type);
    struct msql_row *row = msql_row_new(values, t->column_count);
    row->seq = lam_column_int64(stmt, t->column_count);
    return row;
}

/* Every row a user sees must bear his mark. */
static void check_canary(struct reading *r, const struct msql_row *row) {
    const struct msql_table *t = r->table;
    struct wsql *w = r->view->w;
    const char *wanted = wsql_canary(t->kind, r->owner);
    int own = msql_column_find(t, "own");
    w->stats->user_rows++;
    const struct msql_value *v = own >= 0 ? &row->values[own] : NULL;
    if (v && !v->null && v->size == strlen(wanted) && memcmp(v->text, wanted, v->size) == 0)
        return;
    w->stats->leaks++;
    wsql_fail(w, "%s: user %u sees a row of table %s marked \"%.*s\"", r->view->what, r->owner,
              t->name, v && !v->null ? (int)v->size : 0, v && !v->null ? v->text : "");
}

static bool note_row(void *arg, lam_stmt *stmt) {
    struct reading *r = arg;
    struct msql_row *row = check_row_of(stmt, r->table);
    check_canary(r, row);
    msql_rows_add((struct msql_rows *)(uintptr_t)&r->table->rows[r->owner], row);
    return true;
}

void check_put_select(struct wsql_text *sql, const struct msql_table *t) {
    wsql_put(sql, "SELECT ");
    for (uint32_t i = 0; i < t->column_count; i++)
        wsql_put(sql, "%s, ", t->columns[i].name);
    wsql_put(sql, "_seq FROM ");
    wsql_put_table(sql, t);
}

lam_session *check_session(const struct wsql_view *v, const struct msql_table *t, unsigned owner) {
    return t->kind == MSQL_SHARED ? v->root : v->sessions[owner];
}

bool check_query(struct wsql_view *v, lam_session *s, const char *sql, lam_row_fn fn, void *arg) {
    struct lam_error err = {0};
    enum lam_code rc = lam_exec(s, sql, strlen(sql), fn, arg, NULL, &err);
    if (rc != LAM_OK)
        wsql_fail(v->w, "%s: %s: %s: %s", v->what, sql, lam_code_name(rc), err.message);
    return rc == LAM_OK;
}

static void read_rows(struct reading *r, const struct msql_table *t) {
    struct wsql_text sql = {0};
    unsigned owners = t->kind == MSQL_SHARED ? 1 : MSQL_OWNERS;
    check_put_select(&sql, t);
    r->table = t;
    for (r->owner = 0; r->owner < owners && !r->view->w->failed; r->owner++)
        check_query(r->view, check_session(r->view, t, r->owner), sql.data, note_row, r);
    free(sql.data);
}

/* --- the rest -------------------------------------------------------------------------------- */

static bool note_space(void *arg, lam_stmt *stmt) {
    struct reading *r = arg;
    struct lam_slice name = lam_column_text(stmt, 0);
    for (unsigned i = 0; i < MSQL_NAMESPACES; i++)
        if (slice_eq_str(name, wsql_spaces[i])) {
            r->state->spaces[i] = true;
            return true;
        }
    wsql_fail(r->view->w, "%s: a namespace that was never made", r->view->what);
    return true;
}

static bool note_storage(void *arg, lam_stmt *stmt) {
    struct reading *r = arg;
    struct lam_slice name = lam_column_text(stmt, 0);
    for (unsigned i = 0; i < MSQL_STORAGES; i++)
        if (slice_eq_str(name, wsql_storages[i])) {
            r->state->storages[i] = true;
            return true;
        }
    wsql_fail(r->view->w, "%s: a storage that was never made", r->view->what);
    return true;
}

static bool note_user(void *arg, lam_stmt *stmt) {
    struct reading *r = arg;
    struct lam_slice name = lam_column_text(stmt, 0);
    for (unsigned i = 0; i < MSQL_OWNERS; i++)
        if (slice_eq_str(name, r->view->w->owners[i])) {
            r->state->users[i] = lam_column_is_null(stmt, 1) ? MSQL_LIVE : MSQL_DROPPED;
            return true;
        }
    wsql_fail(r->view->w, "%s: a user who was never made", r->view->what);
    return true;
}

static bool note_job(void *arg, lam_stmt *stmt) {
    struct reading *r = arg;
    r->state->flushes += slice_eq_str(lam_column_text(stmt, 0), "completed");
    return true;
}

static bool count_job(void *arg, lam_stmt *stmt) {
    *(uint64_t *)arg += slice_eq_str(lam_column_text(stmt, 0), "completed");
    return true;
}

uint64_t wsql_flushes(struct wsql_view *v) {
    uint64_t count = 0;
    check_query(v, v->root, "SELECT status FROM system.jobs", count_job, &count);
    return count;
}

static bool note_audit(void *arg, lam_stmt *stmt) {
    struct reading *r = arg;
    (void)stmt;
    r->state->audits++;
    return true;
}

static struct msql_value value_of_cell(const struct lam_cell *c) {
    struct msql_value v = {.null = c->is_null};
    if (!v.null && c->type == LAM_TYPE_TEXT) {
        v.text = c->as.bytes.data ? (const char *)c->as.bytes.data : "";
        v.size = (uint32_t)c->as.bytes.size;
    } else if (!v.null) {
        v.n = c->as.int64;
    }
    return v;
}

static bool note_thing(void *arg, const struct lam_cell *cells) {
    struct msql_rows *rows = arg;
    struct msql_value values[3];
    for (unsigned i = 0; i < 3; i++)
        values[i] = value_of_cell(&cells[i]);
    msql_rows_add(rows, msql_row_new(values, 3));
    return true;
}

static struct msql_hash sum_of_things(const struct msql_rows *rows) {
    struct msql_hash sum = {0};
    for (size_t i = 0; i < rows->count; i++)
        msql_hash_add(&sum, msql_item_thing(rows->items[i]));
    return sum;
}

/* The records, and both indexes, which must have the same. */
static void read_things(struct reading *r) {
    struct wsql_view *v = r->view;
    struct lam_error err = {0};
    enum lam_code rc = LAM_OK;
    if (!v->things)
        rc = lam_entity_open(v->db, wsql_things(), &v->things, &err);
    if (rc == LAM_READ_ONLY && v->read_only)
        return; /* there is none */
    if (rc == LAM_OK)
        rc = lam_entity_scan(v->things, NULL, NULL, 0, note_thing, &r->state->things, &err);
    struct msql_hash sum = sum_of_things(&r->state->things);
    for (unsigned i = 0; rc == LAM_OK && i < 2; i++) {
        struct msql_rows by_index = {0};
        rc = lam_entity_scan_index(v->things, NULL, i ? "by_n" : "by_tag", NULL, 0, note_thing,
                                   &by_index, &err);
        if (rc == LAM_OK && !msql_hash_eq(sum_of_things(&by_index), sum))
            wsql_fail(v->w, "%s: index %s of the entity has not its records", v->what,
                      i ? "by_n" : "by_tag");
        v->w->stats->index_checks += by_index.count;
        msql_rows_fini(&by_index);
    }
    if (rc != LAM_OK)
        wsql_fail(v->w, "%s: the entity: %s: %s", v->what, lam_code_name(rc), err.message);
}

struct msql_state *wsql_read(struct wsql_view *v, bool with_things) {
    struct reading r = {.view = v, .state = msql_state_new()};
    struct catalog *c;
    struct lam_error err = {0};
    r.state->spaces[0] = r.state->storages[0] = false;
    enum lam_code rc = catalog_of(v->db, &c, &err);
    if (rc == LAM_OK)
        rc = catalog_each_provider(c, note_table, &r, &err);
    if (rc != LAM_OK)
        wsql_fail(v->w, "%s: the catalog: %s", v->what, err.message);
    for (unsigned i = 0; i < MSQL_TABLES && !v->w->failed; i++)
        if (r.state->tables[i])
            read_rows(&r, r.state->tables[i]);
    if (!v->w->failed &&
        check_query(v, v->root, "SELECT namespace_id FROM system.namespaces", note_space, &r) &&
        check_query(v, v->root, "SELECT storage_id FROM system.storages", note_storage, &r) &&
        check_query(v, v->root, "SELECT user_id, deleted_at FROM system.users", note_user, &r) &&
        check_query(v, v->root, "SELECT audit_id FROM system.audit_log", note_audit, &r) &&
        check_query(v, v->root, "SELECT status FROM system.jobs", note_job, &r) && with_things)
        read_things(&r);
    if (v->w->failed) {
        msql_state_unref(r.state);
        return NULL;
    }
    msql_state_seal(r.state);
    return r.state;
}

/* --- how two states differ ------------------------------------------------------------------- */

struct report {
    char *at;
    size_t left;
};

__attribute__((format(printf, 2, 3))) static void say(struct report *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(r->at, r->left, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < r->left) {
        r->at += n;
        r->left -= (size_t)n;
    }
}

static void say_row(struct report *out, const char *sign, const struct msql_table *t,
                    const struct msql_row *row) {
    struct wsql_text text = {0};
    for (uint32_t i = 0; i < row->count; i++) {
        wsql_put(&text, i ? ", " : "");
        if (t && i < t->column_count)
            wsql_put_value(&text, &t->columns[i].type, &row->values[i]);
    }
    say(out, "\n    %s (%.300s) seq %lld", sign, text.data ? text.data : "", (long long)row->seq);
    free(text.data);
}

static bool has_row(const struct msql_rows *rows, const struct msql_row *row) {
    for (size_t i = 0; i < rows->count; i++)
        if (msql_hash_eq(rows->items[i]->hash, row->hash) &&
            (rows->items[i]->seq == row->seq || !row->seq || !rows->items[i]->seq))
            return true;
    return false;
}

static void say_rows(struct report *out, const struct msql_table *found,
                     const struct msql_table *wanted) {
    for (unsigned o = 0; o < MSQL_OWNERS; o++) {
        const struct msql_rows *f = &found->rows[o], *n = &wanted->rows[o];
        if (f->count != n->count)
            say(out, "\n  %s user %u: %zu rows, not %zu", found->name, o, f->count, n->count);
        for (size_t i = 0; i < f->count; i++)
            if (!has_row(n, f->items[i]))
                say_row(out, "found ", found, f->items[i]);
        for (size_t i = 0; i < n->count; i++)
            if (!has_row(f, n->items[i]))
                say_row(out, "wanted", wanted, n->items[i]);
    }
}

static void say_table(struct report *out, const struct msql_table *found,
                      const struct msql_table *wanted) {
    if (!msql_hash_eq(msql_item_table(found), msql_item_table(wanted)))
        say(out, "\n  %s.%s is defined otherwise", wsql_spaces[found->space], found->name);
    if (found->index_count != wanted->index_count)
        say(out, "\n  %s has %u indexes, not %u", found->name, found->index_count,
            wanted->index_count);
    for (uint32_t i = 0; i < found->index_count && i < wanted->index_count; i++)
        if (!msql_hash_eq(msql_item_index(found, &found->indexes[i]),
                          msql_item_index(wanted, &wanted->indexes[i])))
            say(out, "\n  %s: index %s, not %s", found->name, found->indexes[i].name,
                wanted->indexes[i].name);
    say_rows(out, found, wanted);
}

void wsql_explain(struct wsql *w, const struct msql_state *found, const struct msql_state *wanted) {
    size_t used = strlen(w->message);
    struct report out = {w->message + used, sizeof w->message - used};
    for (unsigned i = 0; i < MSQL_NAMESPACES; i++)
        if (found->spaces[i] != wanted->spaces[i])
            say(&out, "\n  namespace %s: %d", wsql_spaces[i], found->spaces[i]);
    for (unsigned i = 0; i < MSQL_STORAGES; i++)
        if (found->storages[i] != wanted->storages[i])
            say(&out, "\n  storage %s: %d", wsql_storages[i], found->storages[i]);
    for (unsigned i = 0; i < MSQL_OWNERS; i++)
        if (found->users[i] != wanted->users[i])
            say(&out, "\n  user %u: %d, not %d", i, found->users[i], wanted->users[i]);
    for (size_t i = 0; i < found->things.count; i++)
        if (!has_row(&wanted->things, found->things.items[i]))
            say(&out, "\n  found thing %d", (int)found->things.items[i]->values[0].n);
    for (size_t i = 0; i < wanted->things.count; i++)
        if (!has_row(&found->things, wanted->things.items[i]))
            say(&out, "\n  wanted thing %d", (int)wanted->things.items[i]->values[0].n);
    for (unsigned i = 0; i < MSQL_TABLES; i++) {
        const struct msql_table *f = found->tables[i], *n = wanted->tables[i], *other;
        if (f && !msql_table_find(wanted, f->space, f->name))
            say(&out, "\n  found table %s.%s", wsql_spaces[f->space], f->name);
        if (n && !(other = msql_table_find(found, n->space, n->name)))
            say(&out, "\n  wanted table %s.%s", wsql_spaces[n->space], n->name);
        else if (n)
            say_table(&out, other, n);
    }
}
