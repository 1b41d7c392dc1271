/* SPDX-License-Identifier: Apache-2.0
 *
 * Indexes against their tables: entry by entry with the hot rows, and by queries, hot and cold
 * together, against the rows that a scan found. */
#include <stdlib.h>
#include <string.h>

#include "catalog/catalog.h"
#include "tests/sim/check_sql.h"

/* --- entries --------------------------------------------------------------------------------- */

struct entries {
    struct wsql_view *view;
    struct provider *p;
    const struct table_index *index;
    struct buf key, wanted; /* of the row, of its entry */
    struct arena arena;
    uint64_t rows, entries;
};

/* The entry that a hot row should have. */
static enum lam_code wanted_entry(struct entries *e, struct lam_slice row_key, struct lam_slice row,
                                  bool *live_out, struct lam_error *err) {
    struct value values[INDEX_COLUMNS_MAX];
    struct row_header header;
    struct cursor c = cursor_of(row_key);
    struct lam_slice user = SLICE_EMPTY;
    TRY(row_header_decode(row, &header, err));
    *live_out = !header.deleted;
    const struct schema *written = provider_schema(e->p, header.schema_version);
    if (!written)
        return ERR(err, LAM_CORRUPT, "no schema %u", header.schema_version);
    for (uint32_t i = 0; i < e->index->column_count; i++) {
        int column = schema_find_id(e->p->schema, e->index->column_ids[i]);
        TRY(row_column(row, written, e->p->schema, (uint32_t)column, &values[i], err));
    }
    arena_reset(&e->arena);
    if (e->p->kind != TABLE_SHARED)
        TRY(key_get_string(&c, &e->arena, &user, err));
    buf_reset(&e->wanted);
    TRY(index_prefix(e->p, e->index, user, values, e->index->column_count, &e->wanted, err));
    return buf_append(&e->wanted, row_key.data + cursor_offset(&c),
                      row_key.size - cursor_offset(&c), err);
}

/* Of a STREAM table files go one by one, so entries of expired rows may be there without them, and
 * they without entries. Rows are old enough or far from it. */
static bool is_expired(const struct entries *e, const struct row_header *header) {
    return e->p->kind == TABLE_STREAM &&
           simfs_now_us(e->view->fs) - seq_time_us(header->seq) > WSQL_TTL_SECONDS * 1000000;
}

static enum lam_code follow_entry(struct entries *e, struct lam_slice entry, bool *good_out,
                                  struct lam_error *err) {
    struct lam_value row = {0};
    struct row_header header = {0};
    bool live = false;
    *good_out = true;
    buf_reset(&e->key);
    TRY(index_entry_row_key(e->p, e->index, entry, SLICE_EMPTY, &e->key, err));
    enum lam_code rc = lam_get(e->view->db, NULL, e->p->hot, buf_slice(&e->key), &row, err);
    int64_t went_by = simfs_now_us(e->view->fs) - e->view->w->begun_us;
    if (rc == LAM_NOT_FOUND && e->p->kind == TABLE_STREAM && went_by > WSQL_TTL_SECONDS * 1000000)
        return LAM_OK;
    if (rc == LAM_OK)
        rc = wanted_entry(e, buf_slice(&e->key), row.bytes, &live, err);
    if (rc == LAM_OK)
        rc = row_header_decode(row.bytes, &header, err);
    if (rc == LAM_OK && !is_expired(e, &header)) {
        e->entries++;
        *good_out = live && slice_eq(buf_slice(&e->wanted), entry);
    }
    lam_value_release(&row);
    return rc;
}

/* Every entry leads to a live hot row that has it, and there are as many as such rows. */
static enum lam_code walk_entries(struct entries *e, bool *good_out, struct lam_error *err) {
    lam_iter *it = NULL;
    *good_out = true;
    TRY(lam_iter_new(e->view->db, NULL, e->index->partition, &it, err));
    enum lam_code rc = LAM_OK;
    for (lam_iter_seek_first(it); *good_out && rc == LAM_OK && lam_iter_valid(it);
         lam_iter_next(it))
        rc = follow_entry(e, lam_iter_key(it), good_out, err);
    if (rc == LAM_OK && *good_out)
        rc = lam_iter_status(it, err);
    lam_iter_free(it);
    return rc;
}

static enum lam_code count_rows(struct entries *e, struct lam_error *err) {
    lam_iter *it = NULL;
    TRY(lam_iter_new(e->view->db, NULL, e->p->hot, &it, err));
    enum lam_code rc = LAM_OK;
    for (lam_iter_seek_first(it); rc == LAM_OK && lam_iter_valid(it); lam_iter_next(it)) {
        struct row_header header;
        rc = row_header_decode(lam_iter_value(it), &header, err);
        e->rows += rc == LAM_OK && !header.deleted && !is_expired(e, &header);
    }
    if (rc == LAM_OK)
        rc = lam_iter_status(it, err);
    lam_iter_free(it);
    return rc;
}

static void check_entries(struct wsql_view *v, struct provider *p,
                          const struct table_index *index) {
    struct entries e = {.view = v, .p = p, .index = index};
    struct lam_error err = {0};
    bool good = false;
    enum lam_code rc = walk_entries(&e, &good, &err);
    if (rc == LAM_OK)
        rc = count_rows(&e, &err);
    v->w->stats->index_checks += e.entries;
    if (rc != LAM_OK)
        wsql_fail(v->w, "%s: index %s of %s: %s: %s", v->what, index->name, p->name,
                  lam_code_name(rc), err.message);
    else if (!good || e.entries != e.rows)
        wsql_fail(v->w, "%s: index %s of %s: %s (%llu entries, %llu live hot rows)", v->what,
                  index->name, p->name, good ? "entries and rows differ" : "an entry without row",
                  (unsigned long long)e.entries, (unsigned long long)e.rows);
    buf_fini(&e.key);
    buf_fini(&e.wanted);
    arena_fini(&e.arena);
}

static bool check_provider(void *arg, struct provider *p) {
    struct wsql_view *v = arg;
    for (uint32_t i = 0; i < p->index_count && !v->w->failed; i++)
        check_entries(v, p, &p->indexes[i]);
    return !v->w->failed;
}

/* --- queries --------------------------------------------------------------------------------- */

struct query {
    struct wsql_view *view;
    const struct msql_table *table;
    unsigned owner;
    struct wsql_text sql;
    struct msql_hash sum; /* of what it gave */
    uint64_t rows;
    bool by_index; /* EXPLAIN said so */
};

static bool add_row(void *arg, lam_stmt *stmt) {
    struct query *q = arg;
    struct msql_row *row = check_row_of(stmt, q->table);
    msql_hash_add(&q->sum, msql_item_row(q->table, q->owner, row, row->seq));
    q->rows++;
    msql_row_unref(row);
    return true;
}

static bool note_plan(void *arg, lam_stmt *stmt) {
    struct query *q = arg;
    struct lam_slice line = lam_column_text(stmt, 0);
    static const char mark[] = "Index scan on";
    for (size_t i = 0; i + sizeof mark - 1 <= line.size; i++)
        q->by_index = q->by_index || memcmp(line.data + i, mark, sizeof mark - 1) == 0;
    return true;
}

/* Runs SELECT ... WHERE columns = values and compares with the rows found by the scan. */
static void compare(struct query *q, const uint32_t *columns, const struct msql_value *values,
                    uint32_t count, bool explain) {
    const struct msql_table *t = q->table;
    const struct msql_rows *rows = &t->rows[q->owner];
    struct wsql *w = q->view->w;
    lam_session *s = check_session(q->view, t, q->owner);
    q->sql.size = 0;
    wsql_put(&q->sql, "EXPLAIN ");
    check_put_select(&q->sql, t);
    for (uint32_t i = 0; i < count; i++) {
        wsql_put(&q->sql, "%s%s = ", i ? " AND " : " WHERE ", t->columns[columns[i]].name);
        wsql_put_value(&q->sql, &t->columns[columns[i]].type, &values[i]);
    }
    q->by_index = false;
    if (explain && !check_query(q->view, s, q->sql.data, note_plan, q))
        return;
    w->stats->index_paths += q->by_index;
    q->sum = (struct msql_hash){0};
    q->rows = 0;
    if (!check_query(q->view, s, q->sql.data + strlen("EXPLAIN "), add_row, q))
        return;
    struct msql_hash wanted = {0};
    uint64_t wanted_rows = 0;
    for (size_t r = 0; r < rows->count; r++) {
        bool hit = true;
        for (uint32_t i = 0; i < count; i++) {
            const struct msql_value *v = &rows->items[r]->values[columns[i]];
            hit = hit && !v->null && !values[i].null && msql_value_eq(v, &values[i]);
        }
        if (!hit)
            continue;
        wanted_rows++;
        msql_hash_add(&wanted, msql_item_row(t, q->owner, rows->items[r], rows->items[r]->seq));
    }
    w->stats->index_checks++;
    if (!msql_hash_eq(wanted, q->sum))
        wsql_fail(w, "%s: user %u: %s: %llu rows, the scan has %llu", q->view->what, q->owner,
                  q->sql.data, (unsigned long long)q->rows, (unsigned long long)wanted_rows);
}

/* Values of some rows that are there, and of one that is not. */
static void query_columns(struct query *q, const uint32_t *columns, uint32_t count, bool explain) {
    static const struct msql_value absent = {.n = 29999};
    const struct msql_rows *rows = &q->table->rows[q->owner];
    struct msql_value values[MSQL_INDEX_COLUMNS];
    unsigned present = rows->count ? 2 : 0;
    for (unsigned k = 0; k < present && !q->view->w->failed; k++) {
        const struct msql_row *row = rows->items[choose(q->view->w->choice, (uint32_t)rows->count)];
        for (uint32_t i = 0; i < count; i++)
            values[i] = row->values[columns[i]];
        compare(q, columns, values, count, explain && k == 0);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct msql_column *c = &q->table->columns[columns[i]];
        values[i] = absent;
        if (c->type.type == LAM_TYPE_TEXT)
            values[i] = (struct msql_value){.text = "none such", .size = 9};
        else if (c->type.type == LAM_TYPE_BOOLEAN)
            values[i].n = 1;
        else if (c->type.type == LAM_TYPE_TIMESTAMP)
            values[i].n = INT64_C(1704067200000000) + 7;
    }
    if (!q->view->w->failed)
        compare(q, columns, values, count, false);
}

static void query_table(struct wsql_view *v, const struct msql_table *t, unsigned owner) {
    struct query q = {.view = v, .table = t, .owner = owner};
    query_columns(&q, t->keys, t->key_count, false);
    for (uint32_t i = 0; i < t->index_count && !v->w->failed; i++)
        query_columns(&q, t->indexes[i].columns, t->indexes[i].count, true);
    free(q.sql.data);
}

void wsql_check_indexes(struct wsql_view *v, const struct msql_state *found, bool queries) {
    struct catalog *c;
    struct lam_error err = {0};
    enum lam_code rc = catalog_of(v->db, &c, &err);
    if (rc == LAM_OK)
        rc = catalog_each_provider(c, check_provider, v, &err);
    if (rc != LAM_OK)
        wsql_fail(v->w, "%s: the catalog: %s", v->what, err.message);
    for (unsigned i = 0; queries && i < MSQL_TABLES; i++) {
        const struct msql_table *t = found->tables[i];
        for (unsigned o = 0; t && o < (t->kind == MSQL_SHARED ? 1 : MSQL_OWNERS); o++)
            if (!v->w->failed)
                query_table(v, t, o);
    }
}
