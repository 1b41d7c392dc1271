/* SPDX-License-Identifier: Apache-2.0
 *
 * One segment: its file is read whole and held against itself by the Parquet reader, then against
 * its entry, its table and the order of its keys. */
#include <stdio.h>

#include "flush/cold_keys.h"
#include "flush/cold_set.h"
#include "flush/path.h"

struct segment_rows {
    const struct segment *s;
    struct key_reader keys;
    struct parquet_cursor *cursors[3]; /* _seq, _updated, _deleted; owned */
    struct column columns[3];
    struct buf last, key;
    uint64_t deleted;
    int64_t min_seq, max_seq;
};
static const uint32_t system_ids[3] = {COLUMN_ID_SEQ, COLUMN_ID_UPDATED, COLUMN_ID_DELETED};
static const char *const system_names[3] = {"_seq", "_updated", "_deleted"};

static enum lam_code differs(const struct segment *s, const char *what, struct lam_error *err) {
    return ERR(err, LAM_CORRUPT, "%s: segment %llu: %s", s->full_path,
               (unsigned long long)s->number, what);
}

static enum lam_code check_name(const struct flush *f, const struct provider *p,
                                const struct segment *s, struct lam_error *err) {
    const char *name = strrchr(s->full_path, '/');
    char wanted[SEGMENT_NAME_BYTES];
    path_file_name(s->number, segment_file_tag(f, p->table, s->number), wanted);
    if (!name || strcmp(name + 1, wanted) != 0)
        return differs(s, "the name of its file is another one's", err);
    return LAM_OK;
}

static bool has_pair(const struct parquet_reader *r, const char *key, struct lam_slice wanted) {
    struct lam_slice value = SLICE_EMPTY;
    return parquet_reader_pair(r, key, &value) == (wanted.size > 0) && slice_eq(value, wanted);
}

static bool has_number(const struct parquet_reader *r, const char *key, int64_t wanted) {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)wanted);
    return has_pair(r, key, lam_slice_str(text));
}

static bool is_field(const struct parquet_field *f, uint32_t id, const char *name,
                     struct coltype type) {
    if (type.type == LAM_TYPE_JSON)
        type = coltype_of(LAM_TYPE_TEXT); /* as it comes back */
    return f->field_id == (int32_t)id && strcmp(f->name, name) == 0 && f->type.type == type.type &&
           f->type.precision == type.precision && f->type.scale == type.scale;
}

/* The file has the columns of its schema version, and says whose it is. */
static enum lam_code check_schema(const struct provider *p, const struct segment *s,
                                  const struct parquet_reader *r, struct lam_error *err) {
    uint32_t count;
    const struct parquet_field *fields = parquet_reader_fields(r, &count);
    const struct schema *schema = provider_schema(p, s->schema_version);
    if (!schema)
        return differs(s, "its schema version does not exist", err);
    bool same = count == schema->column_count + 3 && count == s->column_count;
    for (uint32_t i = 0; same && i < schema->column_count; i++)
        same = is_field(&fields[i], schema->columns[i].id, schema->columns[i].name,
                        schema->columns[i].type);
    for (uint32_t i = 0; same && i < 3; i++) {
        struct coltype type = {0};
        same = system_column_type(system_ids[i], &type) &&
               is_field(&fields[schema->column_count + i], system_ids[i], system_names[i], type);
    }
    if (!same)
        return differs(s, "its columns are not those of its schema version", err);
    if (!has_number(r, "lamina.table_id", (int64_t)p->table.number) ||
        !has_number(r, "lamina.schema_version", s->schema_version) ||
        !has_number(r, "lamina.min_seq", s->min_seq) ||
        !has_number(r, "lamina.max_seq", s->max_seq) || !has_pair(r, "lamina.user", s->user))
        return differs(s, "the file says that it is of another table, user or time", err);
    return LAM_OK;
}

/* --- columns --- */

static enum lam_code check_bound(struct coltype type, struct parquet_value actual,
                                 struct lam_slice bound, bool exact, int side, bool *holds,
                                 struct lam_error *err) {
    OWNED(buf_fini) struct buf key = {0};
    TRY(segment_bound_encode(type, actual, &key, err));
    int c = slice_cmp(buf_slice(&key), bound) * side;
    *holds = *holds && (exact ? c == 0 : c >= 0);
    return LAM_OK;
}

/* `b`: of all values. */
static enum lam_code check_column(const struct segment *s, const struct segment_column *c,
                                  const struct parquet_field *f, const struct parquet_bounds *b,
                                  struct lam_error *err) {
    bool holds = is_field(f, c->column_id, f->name, c->type) &&
                 (!c->has_null_count || c->null_count == b->null_count) &&
                 (!c->has_bounds || b->present);
    if (holds && c->has_bounds) {
        TRY(check_bound(c->type, b->min, c->min, c->min_exact, 1, &holds, err));
        TRY(check_bound(c->type, b->max, c->max, c->max_exact, -1, &holds, err));
    }
    if (holds)
        return LAM_OK;
    return ERR(err, LAM_CORRUPT, "%s: segment %llu: its entry is not that of column \"%s\"",
               s->full_path, (unsigned long long)s->number, f->name);
}

static enum lam_code check_columns(const struct segment *s, const struct parquet_reader *r,
                                   const struct parquet_summary *actual, struct lam_error *err) {
    uint32_t count;
    const struct parquet_field *fields = parquet_reader_fields(r, &count);
    LAM_ASSERT(count == s->column_count && count == actual->field_count);
    for (uint32_t i = 0; i < count; i++)
        TRY(check_column(s, &s->columns[i], &fields[i], &actual->bounds[i], err));
    return LAM_OK;
}

/* --- rows --- */

static enum lam_code add_row(struct segment_rows *k, uint32_t row, bool is_first,
                             struct lam_error *err) {
    TRY(key_reader_encode(&k->keys, row, &k->key, err));
    if (!is_first && slice_cmp(buf_slice(&k->last), buf_slice(&k->key)) >= 0)
        return differs(k->s, "its rows are not in the order of their keys", err);
    if (is_first && !slice_eq(buf_slice(&k->key), k->s->first_key))
        return differs(k->s, "its first key is another one", err);
    struct buf spare = k->last;
    k->last = k->key;
    k->key = spare;
    for (int i = 0; i < 3; i++)
        if (column_is_null(&k->columns[i], row))
            return differs(k->s, "a row without version", err);
    int64_t seq = column_i64(&k->columns[0], row);
    if (seq_time_us(seq) != column_i64(&k->columns[1], row))
        return differs(k->s, "the version of a row is of another time", err);
    k->min_seq = seq < k->min_seq ? seq : k->min_seq;
    k->max_seq = seq > k->max_seq ? seq : k->max_seq;
    k->deleted += column_bool(&k->columns[2], row);
    return LAM_OK;
}

static enum lam_code add_group(struct segment_rows *k, const struct parquet_reader *r,
                               uint32_t group, struct lam_error *err) {
    uint32_t rows = parquet_reader_group_rows(r, group), step = parquet_reader_batch_rows(r, group);
    for (int i = 0; i < 3; i++)
        TRY(parquet_cursor_seek(k->cursors[i], group, 0, err));
    for (uint32_t first = 0; first < rows; first += step) {
        uint32_t n = rows - first < step ? rows - first : step;
        TRY(key_reader_fetch(&k->keys, group, first, n, err));
        for (int i = 0; i < 3; i++) {
            column_reset(&k->columns[i]);
            TRY(parquet_cursor_next(k->cursors[i], n, &k->columns[i], err));
        }
        for (uint32_t row = 0; row < n; row++)
            TRY(add_row(k, row, group == 0 && first + row == 0, err));
    }
    return LAM_OK;
}

static enum lam_code check_rows(const struct provider *p, const struct segment *s,
                                const struct parquet_reader *r, struct lam_error *err) {
    struct segment_rows k = {.s = s, .min_seq = INT64_MAX, .max_seq = INT64_MIN};
    uint32_t fields = s->column_count - 3; /* the system's are the last ones */
    enum lam_code rc = LAM_OK;
    TRY_GOTO(key_reader_init(&k.keys, p->schema, r, s->full_path, err));
    for (uint32_t i = 0; i < 3; i++) {
        struct coltype type = {0};
        system_column_type(system_ids[i], &type);
        column_init(&k.columns[i], type);
        TRY_GOTO(parquet_cursor_open(r, 0, fields + i, &k.cursors[i], err));
    }
    for (uint32_t g = 0; g < parquet_reader_group_count(r); g++)
        TRY_GOTO(add_group(&k, r, g, err));
    if (!slice_eq(buf_slice(&k.last), s->last_key))
        rc = differs(s, "its last key is another one", err);
    else if (k.deleted != s->deleted_rows)
        rc = differs(s, "another number of deleted rows", err);
    else if (k.min_seq != s->min_seq || k.max_seq != s->max_seq)
        rc = differs(s, "its rows have other versions", err);
out:
    for (int i = 0; i < 3; i++) {
        parquet_cursor_close(k.cursors[i]);
        column_fini(&k.columns[i]);
    }
    key_reader_fini(&k.keys);
    buf_fini(&k.last);
    buf_fini(&k.key);
    return rc;
}

enum lam_code segment_check(struct flush *f, struct provider *p, const struct segment *s,
                            struct lam_error *err) {
    struct parquet_summary actual = {0};
    struct cold_file *file = NULL;
    enum lam_code rc = LAM_OK;
    TRY(check_name(f, p, s, err));
    TRY_GOTO(cold_file_get(f, p->table, s, &file, err));
    TRY_GOTO(parquet_reader_verify(file->reader, &actual, err));
    TRY_GOTO(check_schema(p, s, file->reader, err));
    TRY_GOTO(check_columns(s, file->reader, &actual, err));
    rc = check_rows(p, s, file->reader, err);
out:
    parquet_summary_fini(&actual);
    cold_file_unref(file);
    cold_files_forget(f, p->table); /* no one reads it a second time */
    return rc;
}
