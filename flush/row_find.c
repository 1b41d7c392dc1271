/* SPDX-License-Identifier: Apache-2.0
 *
 * One row by key: the hot partition first; else the one segment that has it alive. */
#include "flush/cold_scan.h"
#include "flush/cold_set.h"
#include "flush/hot_scan.h"

static enum lam_code find_hot(struct provider *p, const lam_snapshot *snapshot,
                              struct lam_slice key, int64_t now_us, struct arena *arena,
                              struct row_found *out, struct lam_error *err) {
    struct lam_read_options options = {.snapshot = snapshot};
    struct lam_value value = {0};
    struct lam_error failed = {0};
    enum lam_code rc = lam_get(catalog_db(p->catalog), &options, p->hot, key, &value, &failed);
    if (rc == LAM_NOT_FOUND && atomic_load(&p->shared->dropped))
        return ERR_SQL(err, "42P01", 0, "table %s.%s was dropped", p->namespace_name, p->name);
    if (rc == LAM_NOT_FOUND)
        return LAM_OK;
    TRY(error_pass(err, rc, &failed));
    struct row_header header;
    const struct schema *written;
    uint8_t *row = arena_dup(arena, value.bytes.data, value.bytes.size);
    out->values = arena_calloc(arena, p->schema->column_count, sizeof *out->values);
    size_t size = value.bytes.size;
    lam_value_release(&value);
    if (!row || !out->values)
        return mem_fail(err, size);
    TRY(row_header_decode(lam_slice_of(row, size), &header, err));
    TRY(hot_row_schema(p, &header, &written, err));
    TRY(row_decode(lam_slice_of(row, size), written, p->schema, out->values, err));
    out->hot = true;
    out->found = !hot_row_expired(p, header.seq, now_us);
    out->deleted = header.deleted;
    out->seq = header.seq;
    return LAM_OK;
}

/* Reads one value of a row; `type` is the column's now. */
static enum lam_code read_value(const struct segment *s, const struct parquet_reader *reader,
                                const struct row_place *at, uint32_t id, struct coltype type,
                                const struct value *initial, struct arena *arena, struct value *out,
                                struct lam_error *err) {
    int32_t field;
    struct coltype stored;
    TRY(cold_column_find(reader, s, id, type, initial, &field, &stored, err));
    if (field < 0) {
        *out = *initial;
        out->type = type;
        return LAM_OK;
    }
    OWNED(column_fini) struct column c = {0};
    column_init(&c, stored);
    TRY(parquet_reader_read(reader, at->group, (uint32_t)field, at->row, 1, &c, err));
    *out = column_value(&c, 0);
    out->type = type;
    if (out->is_null || !coltype_is_variable(type.type))
        return LAM_OK;
    size_t size = out->as.bytes.size;
    out->as.bytes.data = size ? arena_dup(arena, out->as.bytes.data, size) : (const uint8_t *)"";
    return out->as.bytes.data ? LAM_OK : mem_fail(err, size);
}

static enum lam_code read_row(struct provider *p, const struct segment *s,
                              const struct parquet_reader *reader, const struct row_place *at,
                              struct arena *arena, struct row_found *out, struct lam_error *err) {
    const struct schema *schema = p->schema;
    struct value v;
    out->values = arena_calloc(arena, schema->column_count, sizeof *out->values);
    if (!out->values)
        return mem_fail(err, schema->column_count * sizeof *out->values);
    for (uint32_t i = 0; i < schema->column_count; i++) {
        const struct schema_column *c = &schema->columns[i];
        TRY(read_value(s, reader, at, c->id, c->type, &c->initial, arena, &out->values[i], err));
    }
    TRY(read_value(s, reader, at, COLUMN_ID_SEQ, coltype_of(LAM_TYPE_BIGINT), NULL, arena, &v,
                   err));
    out->seq = v.as.i64;
    TRY(read_value(s, reader, at, COLUMN_ID_DELETED, coltype_of(LAM_TYPE_BOOLEAN), NULL, arena, &v,
                   err));
    out->deleted = !v.is_null && v.as.boolean;
    out->found = true;
    return LAM_OK;
}

static enum lam_code find_in_set(struct provider *p, struct table_cold *table,
                                 const struct segment_set *set, struct lam_slice key,
                                 struct arena *arena, struct row_found *out,
                                 struct lam_error *err) {
    struct key_probe probe;
    bool ready = false;
    for (size_t i = set->count; i-- > 0 && !out->found;) {
        const struct segment *s = &set->items[i];
        if (slice_cmp(key, s->first_key) < 0 || slice_cmp(key, s->last_key) > 0)
            continue;
        if (!ready)
            TRY(key_probe_init(&probe, p->schema, key, arena, err));
        ready = true;
        OWNED(cold_file_unref_at) struct cold_file *file = NULL;
        struct row_place at;
        TRY(cold_file_get(table->flush, p->table, s, &file, err));
        TRY(segment_find(s, p->schema, file->reader, &probe, &at, err));
        if (at.found && !(s->dead && bitmap_get(s->dead, (size_t)at.number)))
            TRY(read_row(p, s, file->reader, &at, arena, out, err));
    }
    return LAM_OK;
}

static enum lam_code find_cold(struct provider *p, const lam_snapshot *snapshot,
                               struct lam_slice user, struct lam_slice key, struct arena *arena,
                               struct row_found *out, struct lam_error *err) {
    struct table_cold *table;
    struct segment_set *set = NULL;
    TRY(table_cold_of(p, &table, err));
    TRY(table_cold_enter(table, p, err));
    enum lam_code rc = segment_set_get(table, p, snapshot, user, &set, err);
    if (rc == LAM_OK && set) {
        struct cursor c = cursor_of(key);
        struct lam_slice decoded;
        if (p->kind == TABLE_USER)
            rc = key_get_string(&c, arena, &decoded, err);
        if (rc == LAM_OK)
            rc = find_in_set(p, table, set, lam_slice_of(c.at, cursor_left(&c)), arena, out, err);
    }
    segment_set_unref(set);
    table_cold_leave(table, p);
    return rc;
}

enum lam_code row_find(struct provider *p, const lam_snapshot *snapshot, struct lam_slice user,
                       struct lam_slice key, int64_t now_us, struct arena *arena,
                       struct row_found *out, struct lam_error *err) {
    LAM_ASSERT(table_has_users(p) == (user.size > 0) && snapshot);
    memset(out, 0, sizeof *out);
    TRY(find_hot(p, snapshot, key, now_us, arena, out, err));
    if (out->hot || p->kind == TABLE_STREAM)
        return LAM_OK;
    return find_cold(p, snapshot, user, key, arena, out, err);
}
