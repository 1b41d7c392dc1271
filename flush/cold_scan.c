/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks segments, row groups, ranges and chunks; a chunk is read at once. */
#include "flush/cold_scan.h"

bool cold_column_type(const struct schema *s, uint32_t id, struct coltype *type_out,
                      const struct value **initial_out) {
    int index = schema_find_id(s, id);
    *initial_out = index >= 0 ? &s->columns[index].initial : NULL;
    if (index >= 0)
        *type_out = s->columns[index].type;
    else if (id == COLUMN_ID_SEQ)
        *type_out = coltype_of(LAM_TYPE_BIGINT);
    else if (id == COLUMN_ID_UPDATED)
        *type_out = coltype_of(LAM_TYPE_TIMESTAMP);
    else if (id == COLUMN_ID_DELETED)
        *type_out = coltype_of(LAM_TYPE_BOOLEAN);
    else
        return false;
    return true;
}

enum lam_code cold_column_find(const struct parquet_reader *reader, const struct segment *s,
                               uint32_t id, struct coltype wanted, const struct value *initial,
                               int32_t *field_out, struct coltype *stored_out,
                               struct lam_error *err) {
    uint32_t count;
    *field_out = parquet_reader_find_field(reader, (int32_t)id);
    if (*field_out < 0 && !initial)
        return ERR(err, LAM_CORRUPT, "%s: system column %u is missing", s->full_path, id);
    if (*field_out < 0)
        return LAM_OK;
    *stored_out = parquet_reader_fields(reader, &count)[*field_out].type;
    if (!cold_type_fits(*stored_out, wanted))
        return ERR(err, LAM_CORRUPT, "%s: column %u has type %d, which does not fit the table's %d",
                   s->full_path, id, (int)stored_out->type, (int)wanted.type);
    return LAM_OK;
}

/* The first key column's part of a bound; NULL if it has none that is whole. */
static enum lam_code first_part(struct cold_scan *c, struct lam_slice bound,
                                const struct value **out, struct lam_error *err) {
    const struct schema *s = c->request->provider->schema;
    *out = NULL;
    if (bound.size == 0)
        return LAM_OK;
    struct value *v = arena_alloc(&c->arena, sizeof *v);
    if (!v)
        return mem_fail(err, sizeof *v);
    struct cursor cursor = cursor_of(bound);
    struct lam_error ignored = {0};
    enum lam_code rc =
        key_get_value(&cursor, s->columns[s->key[0]].type, false, false, &c->arena, v, &ignored);
    if (rc == LAM_NO_MEMORY)
        return mem_fail(err, bound.size);
    if (rc == LAM_OK)
        *out = v;
    return LAM_OK; /* a bound may end inside of a part */
}

static enum lam_code make_columns(struct cold_scan *c, struct lam_error *err) {
    const struct scan_request *rq = c->request;
    c->columns = mem_calloc(rq->column_count + 1u, sizeof *c->columns);
    c->sel = mem_calloc(COLBATCH_ROWS, sizeof *c->sel);
    if (!c->columns || !c->sel)
        return mem_fail(err, COLBATCH_ROWS * sizeof *c->sel);
    for (uint32_t i = 0; i < rq->column_count; i++) {
        bool there = cold_column_type(rq->provider->schema, rq->column_ids[i], &c->columns[i].type,
                                      &c->columns[i].initial);
        LAM_ASSERT(there);
    }
    return LAM_OK;
}

enum lam_code cold_scan_open(struct cold_scan *c, const struct scan_request *request,
                             struct table_cold *table, struct lam_slice lower,
                             struct lam_slice upper, struct scan_stats *stats,
                             struct lam_error *err) {
    memset(c, 0, sizeof *c);
    c->request = request;
    c->table = table;
    c->stats = stats;
    c->lower = lower;
    c->upper = upper;
    TRY(segment_set_get(table, request->provider, request->snapshot, request->user, &c->set, err));
    if (!c->set)
        return LAM_OK;
    stats->segments = c->set->count;
    if (request->user.size)
        TRY(key_put_string(&c->prefix, request->user, err));
    TRY(first_part(c, lower, &c->first_lower, err));
    TRY(first_part(c, upper, &c->first_upper, err));
    column_init(&c->deleted, coltype_of(LAM_TYPE_BOOLEAN));
    TRY(make_columns(c, err));
    /* Open from the start, so that a DROP TABLE meanwhile does not matter. */
    struct lam_read_options options = {
        .snapshot = request->snapshot, .prefix = buf_slice(&c->prefix), .keys_only = true};
    return lam_iter_new(catalog_db(request->provider->catalog), &options, request->provider->hot,
                        &c->hot, err);
}

static void close_segment(struct cold_scan *c) {
    for (uint32_t i = 0; c->columns && i < c->request->column_count; i++) {
        parquet_cursor_close(c->columns[i].cursor);
        c->columns[i].cursor = NULL;
        column_fini(&c->columns[i].scratch);
    }
    parquet_cursor_close(c->deleted_cursor);
    c->deleted_cursor = NULL;
    key_reader_fini(&c->keys);
    cold_file_unref(c->file);
    c->file = NULL;
    c->segment = NULL;
    c->ranges.count = 0;
}

void cold_scan_fini(struct cold_scan *c) {
    if (!c->request)
        return;
    close_segment(c);
    mem_free(c->columns);
    mem_free(c->sel);
    column_fini(&c->deleted);
    parquet_row_ranges_fini(&c->ranges);
    lam_iter_free(c->hot);
    buf_fini(&c->prefix);
    buf_fini(&c->key);
    arena_fini(&c->arena);
    segment_set_unref(c->set);
    memset(c, 0, sizeof *c);
}

/* --- opening a segment --- */

static enum lam_code is_pruned(const struct cold_scan *c, const struct segment *s, bool *pruned_out,
                               struct lam_error *err) {
    bool may = true;
    *pruned_out = true;
    if (s->dead_rows == s->rows || (!c->request->with_deleted && s->deleted_rows == s->rows))
        return LAM_OK;
    if (slice_cmp(s->last_key, c->lower) < 0 ||
        (c->upper.size && slice_cmp(s->first_key, c->upper) >= 0))
        return LAM_OK;
    TRY(segment_may_match(s, c->request->predicates, c->request->predicate_count, &may, err));
    *pruned_out = !may;
    return LAM_OK;
}

static enum lam_code bind_columns(struct cold_scan *c, struct lam_error *err) {
    for (uint32_t i = 0; i < c->request->column_count; i++) {
        struct cold_column *column = &c->columns[i];
        struct coltype type;
        TRY(cold_column_find(c->file->reader, c->segment, c->request->column_ids[i], column->type,
                             column->initial, &column->field, &type, err));
        if (column->field < 0)
            continue;
        column->is_direct = type.type == LAM_TYPE_DECIMAL
                                ? type.precision == column->type.precision
                                : type.type == column->type.type || type.type == LAM_TYPE_TEXT;
        column_init(&column->scratch, column->is_direct ? column->type : type);
    }
    return LAM_OK;
}

/* Whether a hot key lies between the iterator and the segment's last key. */
static enum lam_code check_mask(struct cold_scan *c, struct lam_error *err) {
    c->needs_mask = false;
    if (!lam_iter_valid(c->hot))
        return lam_iter_status(c->hot, err);
    struct lam_slice hot = lam_iter_key(c->hot);
    hot = lam_slice_of(hot.data + c->prefix.size, hot.size - c->prefix.size);
    c->needs_mask = slice_cmp(hot, c->segment->last_key) <= 0;
    return LAM_OK;
}

/* Puts the iterator of hot keys at the segment's first key and asks whether any lies in it. */
static enum lam_code place_mask(struct cold_scan *c, struct lam_error *err) {
    buf_reset(&c->key);
    TRY(buf_append_slice(&c->key, buf_slice(&c->prefix), err));
    TRY(buf_append_slice(&c->key, c->segment->first_key, err));
    lam_iter_seek(c->hot, buf_slice(&c->key));
    return check_mask(c, err);
}

static enum lam_code open_segment(struct cold_scan *c, const struct segment *s,
                                  struct lam_error *err) {
    struct provider *p = c->request->provider;
    TRY(cold_file_get(c->table->flush, p->table, s, &c->file, err));
    c->segment = s;
    TRY(key_reader_init(&c->keys, p->schema, c->file->reader, s->full_path, err));
    TRY(bind_columns(c, err));
    c->is_cut = slice_cmp(s->first_key, c->lower) < 0 ||
                (c->upper.size && slice_cmp(s->last_key, c->upper) >= 0);
    c->needs_deleted = s->deleted_rows > 0 && !c->request->with_deleted;
    c->group = UINT32_MAX;
    c->group_first = 0;
    c->range = 0;
    c->ranges.count = 0;
    return place_mask(c, err);
}

/* The next range of rows to look at, through groups; false at the segment's end. */
static enum lam_code next_range(struct cold_scan *c, bool *more_out, struct lam_error *err) {
    const struct scan_request *rq = c->request;
    const struct parquet_reader *reader = c->file->reader;
    while (c->range >= c->ranges.count) {
        if (c->group != UINT32_MAX)
            c->group_first += parquet_reader_group_rows(reader, c->group);
        c->group = c->group == UINT32_MAX ? 0 : c->group + 1;
        c->range = 0;
        c->ranges.count = 0;
        if (c->group >= parquet_reader_group_count(reader)) {
            *more_out = false;
            return LAM_OK;
        }
        TRY(group_candidates(reader, c->group, rq->predicates, rq->predicate_count,
                             c->keys.fields[0], c->is_cut ? c->first_lower : NULL,
                             c->is_cut ? c->first_upper : NULL, &c->ranges, err));
        c->stats->row_groups++;
        c->stats->row_groups_pruned += c->ranges.count == 0;
    }
    *more_out = true;
    return LAM_OK;
}

/* --- a chunk --- */

static bool in_bounds(const struct cold_scan *c, struct lam_slice key) {
    return slice_cmp(key, c->lower) >= 0 && (!c->upper.size || slice_cmp(key, c->upper) < 0);
}

/* Rows [first_out, end_out) of the chunk lie inside of the bounds. */
static enum lam_code cut_chunk(struct cold_scan *c, uint32_t *first_out, uint32_t *end_out,
                               struct lam_error *err) {
    *first_out = 0;
    *end_out = c->keys.rows;
    TRY(key_reader_encode(&c->keys, 0, &c->key, err));
    if (!in_bounds(c, buf_slice(&c->key)))
        TRY(key_reader_lower_bound(&c->keys, c->lower, first_out, err));
    TRY(key_reader_encode(&c->keys, c->keys.rows - 1, &c->key, err));
    if (c->upper.size && slice_cmp(buf_slice(&c->key), c->upper) >= 0)
        TRY(key_reader_lower_bound(&c->keys, c->upper, end_out, err));
    if (*end_out < *first_out)
        *end_out = *first_out;
    return LAM_OK;
}

static enum lam_code read_deleted(struct cold_scan *c, uint32_t first, uint32_t count,
                                  struct lam_error *err) {
    int32_t field = parquet_reader_find_field(c->file->reader, (int32_t)COLUMN_ID_DELETED);
    if (field < 0)
        return ERR(err, LAM_CORRUPT, "%s: column _deleted is missing", c->segment->full_path);
    if (!c->deleted_cursor)
        TRY(parquet_cursor_open(c->file->reader, c->group, (uint32_t)field, &c->deleted_cursor,
                                err));
    column_reset(&c->deleted);
    TRY(parquet_cursor_seek(c->deleted_cursor, c->group, first, err));
    return parquet_cursor_next(c->deleted_cursor, count, &c->deleted, err);
}

/* Rows of the chunk that are wanted, into `sel`. */
static enum lam_code select_rows(struct cold_scan *c, uint32_t first, uint32_t count,
                                 uint32_t *selected_out, struct lam_error *err) {
    uint8_t hits[COLBATCH_ROWS / 8] = {0};
    uint32_t from = 0, to = count, selected = 0;
    bool any_hot = false;
    const uint8_t *dead = c->segment->dead;
    if (c->needs_mask)
        TRY(check_mask(c, err));
    if (c->needs_mask || c->is_cut)
        TRY(key_reader_fetch(&c->keys, c->group, first, count, err));
    if (c->is_cut)
        TRY(cut_chunk(c, &from, &to, err));
    if (c->needs_mask && from < to)
        TRY(key_reader_match(&c->keys, c->hot, buf_slice(&c->prefix), hits, &any_hot, err));
    if (c->needs_deleted && from < to)
        TRY(read_deleted(c, first, count, err));
    uint64_t base = c->group_first + first;
    for (uint32_t i = from; i < to; i++) {
        bool gone = (dead && bitmap_get(dead, (size_t)(base + i))) ||
                    (any_hot && bitmap_get(hits, i)) ||
                    (c->needs_deleted && column_bool(&c->deleted, i));
        c->sel[selected] = i;
        selected += !gone;
    }
    *selected_out = selected;
    return LAM_OK;
}

/* Appends a value of the file or of the schema as the wanted type. */
static enum lam_code append_as(struct coltype type, struct value v, struct column *out,
                               struct lam_error *err) {
    v.type = type;
    return v.is_null ? column_append_null(out, err) : column_append_value(out, &v, err);
}

static enum lam_code append_column(struct cold_scan *c, struct cold_column *column, uint32_t first,
                                   uint32_t count, uint32_t selected, struct column *out,
                                   struct lam_error *err) {
    if (column->field < 0) {
        for (uint32_t i = 0; i < selected; i++)
            TRY(append_as(column->initial->type, *column->initial, out, err));
        return LAM_OK;
    }
    if (!column->cursor)
        TRY(parquet_cursor_open(c->file->reader, c->group, (uint32_t)column->field, &column->cursor,
                                err));
    TRY(parquet_cursor_seek(column->cursor, c->group, first, err));
    if (column->is_direct && selected == count)
        return parquet_cursor_next(column->cursor, count, out, err);
    column_reset(&column->scratch);
    TRY(parquet_cursor_next(column->cursor, count, &column->scratch, err));
    if (column->is_direct)
        return column_append_rows(out, &column->scratch, c->sel, selected, err);
    /* Its type was widened since. */
    for (uint32_t i = 0; i < selected; i++)
        TRY(append_as(column->type, column_value(&column->scratch, c->sel[i]), out, err));
    return LAM_OK;
}

static enum lam_code fill_chunk(struct cold_scan *c, struct colbatch *batch,
                                struct lam_error *err) {
    struct parquet_row_range *range = &c->ranges.items[c->range];
    uint32_t most = parquet_reader_batch_rows(c->file->reader, c->group), selected;
    uint32_t count = range->count < most ? range->count : most, first = range->first;
    LAM_ASSERT(count > 0 && count <= COLBATCH_ROWS);
    TRY(select_rows(c, first, count, &selected, err));
    for (uint32_t i = 0; selected && i < c->request->column_count; i++)
        TRY(append_column(c, &c->columns[i], first, count, selected, &batch->columns[i], err));
    batch->rows = selected;
    range->first += count;
    range->count -= count;
    if (range->count == 0)
        c->range++;
    return LAM_OK;
}

enum lam_code cold_scan_fill(struct cold_scan *c, struct colbatch *batch, struct lam_error *err) {
    LAM_ASSERT(batch->rows == 0);
    while (c->set && batch->rows == 0) {
        bool more = false;
        if (c->segment)
            TRY(next_range(c, &more, err));
        if (more) {
            TRY(fill_chunk(c, batch, err));
            continue;
        }
        close_segment(c);
        if (c->next_segment == c->set->count)
            break;
        const struct segment *s = &c->set->items[c->next_segment++];
        bool pruned;
        TRY(is_pruned(c, s, &pruned, err));
        c->stats->segments_pruned += pruned;
        if (!pruned)
            TRY(open_segment(c, s, err));
    }
    return LAM_OK;
}
