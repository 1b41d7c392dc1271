/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading, merging and searching keys of segments. */
#include "flush/cold_keys.h"

/* Steps of an iterator before a seek is the faster way forward. */
#define NEXT_STEPS 8
/* Rows whose keys a search reads at a time. */
#define SEARCH_ROWS 2048

enum lam_code key_reader_init(struct key_reader *k, const struct schema *schema,
                              const struct parquet_reader *reader, const char *path,
                              struct lam_error *err) {
    memset(k, 0, sizeof *k);
    k->schema = schema;
    k->reader = reader;
    for (uint32_t i = 0; i < schema->key_count; i++) {
        const struct schema_column *c = &schema->columns[schema->key[i]];
        int32_t field = parquet_reader_find_field(reader, (int32_t)c->id);
        if (field < 0)
            return ERR(err, LAM_CORRUPT, "%s: key column %u (%s) is missing", path, c->id, c->name);
        k->fields[i] = (uint32_t)field;
        column_init(&k->columns[i], c->type);
    }
    return LAM_OK;
}

void key_reader_fini(struct key_reader *k) {
    if (!k->schema)
        return;
    for (uint32_t i = 0; i < k->schema->key_count; i++) {
        parquet_cursor_close(k->cursors[i]);
        column_fini(&k->columns[i]);
    }
    buf_fini(&k->key);
    buf_fini(&k->last);
    memset(k, 0, sizeof *k);
}

enum lam_code key_reader_fetch(struct key_reader *k, uint32_t group, uint32_t first, uint32_t count,
                               struct lam_error *err) {
    k->rows = 0;
    for (uint32_t i = 0; i < k->schema->key_count; i++) {
        if (!k->cursors[i])
            TRY(parquet_cursor_open(k->reader, group, k->fields[i], &k->cursors[i], err));
        column_reset(&k->columns[i]);
        TRY(parquet_cursor_seek(k->cursors[i], group, first, err));
        TRY(parquet_cursor_next(k->cursors[i], count, &k->columns[i], err));
    }
    k->rows = count;
    return LAM_OK;
}

enum lam_code key_reader_encode(struct key_reader *k, uint32_t row, struct buf *out,
                                struct lam_error *err) {
    LAM_ASSERT(row < k->rows && k->schema->key_count > 0);
    buf_reset(out);
    for (uint32_t i = 0; i < k->schema->key_count; i++) {
        struct value v = column_value(&k->columns[i], row);
        if (v.is_null)
            return ERR(err, LAM_CORRUPT, "a cold file of table %llu has a NULL in key column %s",
                       (unsigned long long)k->schema->table.number,
                       k->schema->columns[k->schema->key[i]].name);
        TRY(key_put_value(out, &v, false, false, err));
    }
    return LAM_OK;
}

enum lam_code key_reader_lower_bound(struct key_reader *k, struct lam_slice key, uint32_t *row_out,
                                     struct lam_error *err) {
    uint32_t low = 0, high = k->rows;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        TRY(key_reader_encode(k, middle, &k->key, err));
        if (slice_cmp(buf_slice(&k->key), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *row_out = low;
    return LAM_OK;
}

static struct lam_slice key_tail(lam_iter *it, size_t skip) {
    struct lam_slice key = lam_iter_key(it);
    LAM_ASSERT(key.size >= skip);
    return lam_slice_of(key.data + skip, key.size - skip);
}

/* Moves to the first key >= prefix + `to`. */
static enum lam_code advance(lam_iter *it, struct lam_slice prefix, struct lam_slice to,
                             struct buf *scratch, struct lam_error *err) {
    for (int i = 0; i < NEXT_STEPS && lam_iter_valid(it); i++) {
        if (slice_cmp(key_tail(it, prefix.size), to) >= 0)
            return LAM_OK;
        lam_iter_next(it);
    }
    if (!lam_iter_valid(it))
        return lam_iter_status(it, err);
    if (slice_cmp(key_tail(it, prefix.size), to) >= 0)
        return LAM_OK;
    buf_reset(scratch);
    TRY(buf_append_slice(scratch, prefix, err));
    TRY(buf_append_slice(scratch, to, err));
    lam_iter_seek(it, buf_slice(scratch));
    return lam_iter_valid(it) ? LAM_OK : lam_iter_status(it, err);
}

enum lam_code key_reader_match(struct key_reader *k, lam_iter *it, struct lam_slice prefix,
                               uint8_t *hits, bool *any_out, struct lam_error *err) {
    *any_out = false;
    if (k->rows == 0 || !lam_iter_valid(it))
        return LAM_OK;
    OWNED(buf_fini) struct buf seek = {0};
    enum lam_code rc = LAM_OK;
    uint32_t row = 0;
    TRY(key_reader_encode(k, 0, &k->key, err));
    TRY(advance(it, prefix, buf_slice(&k->key), &seek, err));
    TRY(key_reader_encode(k, k->rows - 1, &k->last, err));
    while (lam_iter_valid(it) && row < k->rows) {
        struct lam_slice hot = key_tail(it, prefix.size);
        if (slice_cmp(hot, buf_slice(&k->last)) > 0)
            break;
        int c = 1;
        for (; row < k->rows; row++) {
            TRY(key_reader_encode(k, row, &k->key, err));
            c = slice_cmp(buf_slice(&k->key), hot);
            if (c >= 0)
                break;
        }
        if (row == k->rows)
            break;
        if (c == 0) {
            bitmap_set(hits, row++);
            *any_out = true;
            lam_iter_next(it);
        } else {
            TRY(advance(it, prefix, buf_slice(&k->key), &seek, err));
        }
    }
    if (!lam_iter_valid(it))
        rc = lam_iter_status(it, err);
    return rc;
}

/* --- lookups --- */

enum lam_code segment_bound_encode(struct coltype type, struct parquet_value v, struct buf *out,
                                   struct lam_error *err) {
    struct value value = {.type = type};
    enum parquet_member member = parquet_member_of(type.type);
    if (member == PARQUET_F64)
        value.as.f64 = v.f64;
    else if (member == PARQUET_I128)
        value.as.i128 = v.i128;
    else if (type.type == LAM_TYPE_UUID)
        memcpy(value.as.uuid, v.bytes.data, 16);
    else if (member == PARQUET_BYTES)
        value = value_bytes(LAM_TYPE_BYTES, v.bytes);
    else if (type.type == LAM_TYPE_BOOLEAN)
        value.as.boolean = v.i64 != 0;
    else
        value.as.i64 = v.i64;
    return key_put_value(out, &value, false, false, err);
}

enum lam_code key_probe_init(struct key_probe *probe, const struct schema *schema,
                             struct lam_slice key, struct arena *arena, struct lam_error *err) {
    struct cursor c = cursor_of(key);
    probe->key = key;
    for (uint32_t i = 0; i < schema->key_count; i++)
        TRY(key_get_value(&c, schema->columns[schema->key[i]].type, false, false, arena,
                          &probe->values[i], err));
    return LAM_OK;
}

/* Rows of a group that may have the key. */
static enum lam_code candidate_rows(const struct key_reader *k, const struct key_probe *probe,
                                    uint32_t group, struct parquet_row_ranges *out,
                                    struct lam_error *err) {
    out->count = 0;
    TRY(parquet_row_ranges_add(out, 0, parquet_reader_group_rows(k->reader, group), err));
    for (uint32_t i = 0; i < k->schema->key_count && out->count; i++)
        TRY(cold_narrow(k->reader, group, k->fields[i], SCAN_EQ, &probe->values[i], out, err));
    return LAM_OK;
}

/* Searches one run of rows; `*past_out`: the key lies before its end, so no later row has it. */
static enum lam_code search_run(struct key_reader *k, const struct key_probe *probe, uint32_t group,
                                struct parquet_row_range run, struct row_place *out, bool *past_out,
                                struct lam_error *err) {
    *past_out = false;
    while (run.count > 0 && !*past_out) {
        uint32_t count = run.count < SEARCH_ROWS ? run.count : SEARCH_ROWS, row;
        TRY(key_reader_fetch(k, group, run.first, count, err));
        TRY(key_reader_lower_bound(k, probe->key, &row, err));
        if (row < count) {
            *past_out = true;
            TRY(key_reader_encode(k, row, &k->key, err));
            out->found = slice_eq(buf_slice(&k->key), probe->key);
            out->group = group;
            out->row = run.first + row;
        }
        run.first += count;
        run.count -= count;
    }
    return LAM_OK;
}

enum lam_code segment_find(const struct segment *s, const struct schema *schema,
                           const struct parquet_reader *reader, const struct key_probe *probe,
                           struct row_place *out, struct lam_error *err) {
    OWNED(parquet_row_ranges_fini) struct parquet_row_ranges runs = {0};
    OWNED(key_reader_fini) struct key_reader k = {0};
    uint64_t before = 0;
    bool past = false;
    memset(out, 0, sizeof *out);
    if (slice_cmp(probe->key, s->first_key) < 0 || slice_cmp(probe->key, s->last_key) > 0)
        return LAM_OK;
    TRY(key_reader_init(&k, schema, reader, s->full_path, err));
    for (uint32_t g = 0; g < parquet_reader_group_count(reader) && !past; g++) {
        TRY(candidate_rows(&k, probe, g, &runs, err));
        for (size_t i = 0; i < runs.count && !past; i++)
            TRY(search_run(&k, probe, g, runs.items[i], out, &past, err));
        if (out->found)
            out->number = before + out->row;
        before += parquet_reader_group_rows(reader, g);
    }
    return LAM_OK;
}
