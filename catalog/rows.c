/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of tables into batches, together with their index entries.
 *
 * Index entry: key = [user id, for USER and STREAM] + the indexed columns, each with null marker +
 * primary key; no value. Only live rows have entries, so all entries of a unique index that share
 * user and columns belong to different rows; uniqueness is checked before by asking whether the
 * prefix has an entry of another row. */
#include "catalog/catalog_impl.h"

static bool has_user(const struct provider *p) {
    return p->kind == TABLE_USER || p->kind == TABLE_STREAM;
}

void seq_stamps_fini(struct seq_stamps *s) {
    mem_free(s->offsets);
    buf_fini(&s->key);
    buf_fini(&s->row);
    buf_fini(&s->entry);
    buf_fini(&s->old_entry);
    memset(s, 0, sizeof *s);
}

void seq_stamps_reset(struct seq_stamps *s) {
    s->count = 0;
    s->first_seq = s->last_seq = 0;
}

enum lam_code index_prefix(const struct provider *p, const struct table_index *index,
                           struct lam_slice user, const struct value *values, uint32_t count,
                           struct buf *out, struct lam_error *err) {
    LAM_ASSERT(count <= index->column_count);
    if (has_user(p))
        TRY(key_put_string(out, user, err));
    for (uint32_t i = 0; i < count; i++)
        TRY(key_put_value(out, &values[i], true, false, err));
    return LAM_OK;
}

/* Values of an index's columns from a row in schema order. */
static void index_values(const struct provider *p, const struct table_index *index,
                         const struct value *row, struct value *out) {
    for (uint32_t i = 0; i < index->column_count; i++) {
        int column = schema_find_id(p->schema, index->column_ids[i]);
        LAM_ASSERT(column >= 0); /* a column in an index cannot be dropped */
        out[i] = row[column];
    }
}

enum lam_code index_entry(const struct provider *p, const struct table_index *index,
                          struct lam_slice user, const struct value *row, struct buf *out,
                          struct lam_error *err) {
    struct value values[INDEX_COLUMNS_MAX];
    index_values(p, index, row, values);
    buf_reset(out);
    TRY(index_prefix(p, index, user, values, index->column_count, out, err));
    for (uint32_t i = 0; i < p->schema->key_count; i++)
        TRY(key_put_value(out, &row[p->schema->key[i]], false, false, err));
    return LAM_OK;
}

/* Bytes of an encoded part; 0 for those that end by themselves. */
static size_t key_width(enum lam_type type) {
    return type == LAM_TYPE_BOOLEAN ? 1 : coltype_width(type);
}

static void skip_string(struct cursor *c) {
    while (!c->failed) {
        if (c->at == c->end) {
            c->failed = true;
            return;
        }
        const uint8_t *zero = memchr(c->at, 0, (size_t)(c->end - c->at));
        if (!zero || c->end - zero < 2) {
            c->failed = true;
            return;
        }
        c->at = zero + 2;
        if (zero[1] == 1)
            return;
        if (zero[1] != 0xff) {
            c->failed = true;
            return;
        }
    }
}

/* Moves past one part with null marker, without decoding it; whether it is a NULL. */
static bool skip_part(struct cursor *c, enum lam_type type) {
    uint8_t marker = cursor_u8(c);
    if (c->failed || marker == 2)
        return true;
    size_t width = key_width(type);
    if (marker != 1)
        c->failed = true;
    else if (width)
        cursor_bytes(c, width);
    else
        skip_string(c);
    return false;
}

static enum lam_code malformed(lam_partition *partition, size_t size, struct lam_error *err) {
    return ERR(err, LAM_CORRUPT, "partition %s: a key of %zu bytes is malformed",
               lam_partition_name(partition), size);
}

enum lam_code row_key_user_part(struct lam_slice key, struct lam_slice *part_out,
                                struct lam_error *err) {
    struct cursor c = cursor_of(key);
    skip_string(&c);
    if (c.failed || cursor_left(&c) == 0)
        return ERR(err, LAM_CORRUPT, "a row key of %zu bytes names no user", key.size);
    *part_out = lam_slice_of(key.data, cursor_offset(&c));
    return LAM_OK;
}

/* Offsets at which the columns and the primary key of an entry begin. */
static enum lam_code split_entry(const struct provider *p, const struct table_index *index,
                                 struct lam_slice key, size_t *columns_out, size_t *row_out,
                                 bool *has_null_out, struct lam_error *err) {
    struct cursor c = cursor_of(key);
    *has_null_out = false;
    if (has_user(p))
        skip_string(&c);
    *columns_out = c.failed ? 0 : cursor_offset(&c);
    for (uint32_t i = 0; i < index->column_count && !c.failed; i++) {
        int column = schema_find_id(p->schema, index->column_ids[i]);
        LAM_ASSERT(column >= 0);
        *has_null_out |= skip_part(&c, p->schema->columns[column].type.type);
    }
    if (cursor_left(&c) == 0)
        return malformed(index->partition, key.size, err);
    *row_out = cursor_offset(&c);
    return LAM_OK;
}

enum lam_code index_entry_columns(const struct provider *p, const struct table_index *index,
                                  struct lam_slice key, struct lam_slice *columns_out,
                                  bool *has_null_out, struct lam_error *err) {
    size_t columns = 0, row = 0;
    TRY(split_entry(p, index, key, &columns, &row, has_null_out, err));
    *columns_out = lam_slice_of(key.data, row);
    return LAM_OK;
}

enum lam_code index_entry_row_key(const struct provider *p, const struct table_index *index,
                                  struct lam_slice key, struct lam_slice value, struct buf *out,
                                  struct lam_error *err) {
    size_t columns = 0, row = 0;
    bool has_null;
    (void)value;
    TRY(split_entry(p, index, key, &columns, &row, &has_null, err));
    TRY(buf_append(out, key.data, columns, err));
    return buf_append(out, key.data + row, key.size - row, err);
}

/* Entries of a live row are put even where the old row had the same: `old_values` may be of a
 * version that was deleted or went cold, and then it has no entries. */
static enum lam_code put_entries(struct provider *p, lam_batch *batch, struct seq_stamps *scratch,
                                 struct lam_slice user, const struct value *now,
                                 const struct value *old, struct lam_error *err) {
    for (uint32_t i = 0; i < p->index_count; i++) {
        const struct table_index *index = &p->indexes[i];
        if (now)
            TRY(index_entry(p, index, user, now, &scratch->entry, err));
        if (old)
            TRY(index_entry(p, index, user, old, &scratch->old_entry, err));
        bool same =
            now && old && slice_eq(buf_slice(&scratch->entry), buf_slice(&scratch->old_entry));
        if (old && !same)
            TRY(lam_batch_delete(batch, index->partition, buf_slice(&scratch->old_entry), err));
        if (now)
            TRY(lam_batch_put(batch, index->partition, buf_slice(&scratch->entry), SLICE_EMPTY,
                              err));
    }
    return LAM_OK;
}

enum lam_code row_batch_put(struct provider *p, lam_batch *batch, struct seq_stamps *stamps,
                            struct lam_slice user, const struct value *values, bool deleted,
                            const struct value *old_values, struct lam_error *err) {
    LAM_ASSERT(!has_user(p) || user.size > 0);
    buf_reset(&stamps->key);
    buf_reset(&stamps->row);
    TRY(row_key(p->schema, p->kind, user, values, &stamps->key, err));
    TRY(row_encode(p->schema, values, 0, deleted, &stamps->row, err));
    TRY(MEM_GROW(&stamps->offsets, &stamps->capacity, stamps->count + 1, err));
    TRY(lam_batch_put(batch, p->hot, buf_slice(&stamps->key), buf_slice(&stamps->row), err));
    stamps->offsets[stamps->count++] = db_batch_value_offset(batch) + ROW_SEQ_OFFSET;
    stamps->catalog = p->catalog;
    return put_entries(p, batch, stamps, user, deleted ? NULL : values, old_values, err);
}

enum lam_code row_batch_remove(struct provider *p, lam_batch *batch, struct lam_slice user,
                               const struct value *old_values, struct lam_error *err) {
    LAM_ASSERT(!has_user(p) || user.size > 0);
    struct seq_stamps scratch = {0};
    enum lam_code rc = LAM_OK;
    TRY_GOTO(row_key(p->schema, p->kind, user, old_values, &scratch.key, err));
    TRY_GOTO(lam_batch_delete(batch, p->hot, buf_slice(&scratch.key), err));
    rc = put_entries(p, batch, &scratch, user, NULL, old_values, err);
out:
    seq_stamps_fini(&scratch);
    return rc;
}
