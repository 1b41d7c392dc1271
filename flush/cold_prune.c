/* SPDX-License-Identifier: Apache-2.0
 *
 * What of a segment need not be read. Pruning below the merge is right here because cold rows are
 * winners among themselves and hot rows mask by key, not by value. */
#include <math.h>

#include "flush/cold_scan.h"

static bool is_text(enum lam_type t) {
    return t == LAM_TYPE_TEXT || t == LAM_TYPE_JSON || t == LAM_TYPE_BYTES;
}

bool cold_type_fits(struct coltype from, struct coltype to) {
    if (is_text(from.type) && is_text(to.type))
        return true;
    if (from.type == LAM_TYPE_DECIMAL && to.type == LAM_TYPE_DECIMAL)
        return from.scale == to.scale && from.precision <= to.precision;
    if (from.type == to.type)
        return true;
    if (from.type == LAM_TYPE_SMALLINT)
        return to.type == LAM_TYPE_INT || to.type == LAM_TYPE_BIGINT;
    if (from.type == LAM_TYPE_INT)
        return to.type == LAM_TYPE_BIGINT;
    return from.type == LAM_TYPE_FLOAT && to.type == LAM_TYPE_DOUBLE;
}

static bool is_nan_value(const struct value *v) {
    return coltype_is_float(v->type.type) && isnan(v->as.f64);
}

/* Whether key encodings of the two types compare bytewise. */
static bool same_encoding(struct coltype a, struct coltype b) {
    if (is_text(a.type) && is_text(b.type))
        return true;
    return a.type == b.type && (a.type != LAM_TYPE_DECIMAL || a.scale == b.scale);
}

static bool bounds_may_match(const struct segment_column *c, enum scan_op op,
                             struct lam_slice value) {
    int to_min = slice_cmp(value, c->min), to_max = slice_cmp(value, c->max);
    switch (op) {
    case SCAN_EQ:
        return to_min >= 0 && to_max <= 0;
    case SCAN_LT:
        return to_min > 0;
    case SCAN_LE:
        return to_min >= 0;
    case SCAN_GT:
        return to_max < 0;
    case SCAN_GE:
        return to_max <= 0;
    }
    return true;
}

enum lam_code segment_may_match(const struct segment *s, const struct scan_predicate *predicates,
                                uint32_t count, bool *may_out, struct lam_error *err) {
    OWNED(buf_fini) struct buf key = {0};
    *may_out = true;
    for (uint32_t i = 0; i < count && *may_out; i++) {
        const struct scan_predicate *p = &predicates[i];
        const struct segment_column *c = NULL;
        for (uint32_t k = 0; k < s->column_count && !c; k++)
            c = s->columns[k].column_id == p->column_id ? &s->columns[k] : NULL;
        if (!c || is_nan_value(&p->value) || !same_encoding(c->type, p->value.type))
            continue;
        if (c->has_null_count && c->null_count == s->rows) {
            *may_out = false; /* a comparison with NULL is never true */
            break;
        }
        if (!c->has_bounds)
            continue;
        buf_reset(&key);
        TRY(key_put_value(&key, &p->value, false, false, err));
        *may_out = bounds_may_match(c, p->op, buf_slice(&key));
    }
    return LAM_OK;
}

static struct parquet_range range_of(enum scan_op op, const struct parquet_value *v) {
    struct parquet_range r = {0};
    if (op == SCAN_EQ || op == SCAN_GT || op == SCAN_GE)
        r.lower = v;
    if (op == SCAN_EQ || op == SCAN_LT || op == SCAN_LE)
        r.upper = v;
    r.lower_open = op == SCAN_GT;
    r.upper_open = op == SCAN_LT;
    return r;
}

static struct parquet_value value_of(const struct value *v) {
    LAM_ASSERT(!v->is_null);
    switch (parquet_member_of(v->type.type)) {
    case PARQUET_F64:
        return (struct parquet_value){.f64 = v->as.f64};
    case PARQUET_I128:
        return (struct parquet_value){.i128 = v->as.i128};
    case PARQUET_BYTES:
        return (struct parquet_value){
            .bytes = v->type.type == LAM_TYPE_UUID ? lam_slice_of(v->as.uuid, 16) : v->as.bytes};
    case PARQUET_I64:
        break;
    }
    bool is_bool = v->type.type == LAM_TYPE_BOOLEAN;
    return (struct parquet_value){.i64 = is_bool ? v->as.boolean : v->as.i64};
}

enum lam_code cold_narrow(const struct parquet_reader *reader, uint32_t group, uint32_t field,
                          enum scan_op op, const struct value *value,
                          struct parquet_row_ranges *rows, struct lam_error *err) {
    uint32_t fields;
    const struct parquet_field *f = &parquet_reader_fields(reader, &fields)[field];
    if (is_nan_value(value) || !cold_type_fits(f->type, value->type))
        return LAM_OK;
    struct parquet_value v = value_of(value);
    struct parquet_range range = range_of(op, &v);
    bool may = parquet_prune(reader, group, field, &range);
    if (may && op == SCAN_EQ && f->is_bloom)
        TRY(parquet_reader_may_contain(reader, group, field, v, &may, err));
    if (!may) {
        rows->count = 0;
        return LAM_OK;
    }
    OWNED(parquet_row_ranges_fini) struct parquet_row_ranges pages = {0}, both = {0};
    TRY(parquet_prune_pages(reader, group, field, &range, &pages, err));
    TRY(parquet_row_ranges_intersect(rows, &pages, &both, err));
    struct parquet_row_ranges swap = *rows;
    *rows = both;
    both = swap;
    return LAM_OK;
}

enum lam_code group_candidates(const struct parquet_reader *reader, uint32_t group,
                               const struct scan_predicate *predicates, uint32_t count,
                               uint32_t first_key_field, const struct value *first_lower,
                               const struct value *first_upper, struct parquet_row_ranges *out,
                               struct lam_error *err) {
    out->count = 0;
    TRY(parquet_row_ranges_add(out, 0, parquet_reader_group_rows(reader, group), err));
    if (first_lower)
        TRY(cold_narrow(reader, group, first_key_field, SCAN_GE, first_lower, out, err));
    if (first_upper && out->count)
        TRY(cold_narrow(reader, group, first_key_field, SCAN_LE, first_upper, out, err));
    for (uint32_t i = 0; i < count && out->count; i++) {
        int32_t field = parquet_reader_find_field(reader, (int32_t)predicates[i].column_id);
        if (field >= 0)
            TRY(cold_narrow(reader, group, (uint32_t)field, predicates[i].op, &predicates[i].value,
                            out, err));
    }
    return LAM_OK;
}
