/* SPDX-License-Identifier: Apache-2.0
 *
 * A scan: hot rows, then the cold rows that no hot one hides, all of one snapshot. */
#include "flush/scan.h"

struct scan {
    struct scan_request request;
    struct scan_stats stats;
    struct table_cold *table; /* entered; NULL for STREAM and hot-only scans */
    lam_snapshot *own;        /* if the caller gave none */
    struct buf lower, upper;  /* row keys, user part included */
    struct hot_scan hot;
    struct cold_scan cold;
    bool hot_done;
    bool has_cold;
    struct colbatch batch;
};

/* Key range of the user cut with that of the request. */
static enum lam_code make_bounds(struct scan *s, size_t *prefix_out, struct lam_error *err) {
    const struct scan_request *rq = &s->request;
    *prefix_out = 0;
    if (table_has_users(rq->provider)) {
        TRY(key_put_string(&s->lower, rq->user, err));
        *prefix_out = s->lower.size;
        TRY(buf_append_slice(&s->upper, buf_slice(&s->lower), err));
        key_prefix_end(&s->upper);
    }
    if (rq->key_lower.size && slice_cmp(rq->key_lower, buf_slice(&s->lower)) > 0) {
        buf_reset(&s->lower);
        TRY(buf_append_slice(&s->lower, rq->key_lower, err));
    }
    if (rq->key_upper.size &&
        (!s->upper.size || slice_cmp(rq->key_upper, buf_slice(&s->upper)) < 0)) {
        buf_reset(&s->upper);
        TRY(buf_append_slice(&s->upper, rq->key_upper, err));
    }
    return LAM_OK;
}

static enum lam_code make_batch(struct scan *s, struct lam_error *err) {
    const struct provider *p = s->request.provider;
    uint32_t count = s->request.column_count;
    OWNED(mem_free_at) struct coltype *types = mem_calloc(count + 1u, sizeof *types);
    if (!types)
        return mem_fail(err, (count + 1u) * sizeof *types);
    for (uint32_t i = 0; i < count; i++) {
        const struct value *initial;
        uint32_t id = s->request.column_ids[i];
        if (!cold_column_type(p->schema, id, &types[i], &initial))
            return ERR(err, LAM_INVALID, "table %s.%s has no column of id %u", p->namespace_name,
                       p->name, id);
    }
    return colbatch_init(&s->batch, types, count, err);
}

/* The rest of a bound behind the user part; nothing if it lies at the user's end. */
static struct lam_slice without_user(const struct buf *bound, const struct buf *lower,
                                     size_t prefix) {
    struct lam_slice b = buf_slice(bound);
    if (b.size < prefix || (prefix && memcmp(b.data, lower->data, prefix) != 0))
        return SLICE_EMPTY;
    return b.size ? lam_slice_of(b.data + prefix, b.size - prefix) : SLICE_EMPTY;
}

static enum lam_code open_cold(struct scan *s, size_t prefix, struct lam_error *err) {
    struct provider *p = s->request.provider;
    struct table_cold *table;
    TRY(table_cold_of(p, &table, err));
    TRY(table_cold_enter(table, p, err));
    s->table = table;
    s->has_cold = true;
    return cold_scan_open(&s->cold, &s->request, table, without_user(&s->lower, &s->lower, prefix),
                          without_user(&s->upper, &s->lower, prefix), &s->stats, err);
}

static bool is_empty_range(const struct scan *s) {
    return s->upper.size && slice_cmp(buf_slice(&s->lower), buf_slice(&s->upper)) >= 0;
}

enum lam_code scan_open_parts(const struct scan_request *request, bool hot, bool cold,
                              struct scan **scan_out, struct lam_error *err) {
    struct provider *p = request->provider;
    if (table_has_users(p) != (request->user.size > 0))
        return ERR(err, LAM_INVALID, "a scan of %s.%s %s a user", p->namespace_name, p->name,
                   request->user.size ? "takes no" : "needs");
    OWNED(scan_close_at) struct scan *s = mem_calloc(1, sizeof *s);
    if (!s)
        return mem_fail(err, sizeof *s);
    size_t prefix;
    s->request = *request;
    if (!s->request.snapshot) {
        TRY(lam_snapshot_new(catalog_db(p->catalog), &s->own, err));
        s->request.snapshot = s->own;
    }
    TRY(make_bounds(s, &prefix, err));
    TRY(make_batch(s, err));
    bool none = is_empty_range(s);
    s->hot_done = !hot || none;
    if (!s->hot_done)
        TRY(hot_scan_open(&s->hot, &s->request, buf_slice(&s->lower), buf_slice(&s->upper), err));
    if (cold && !none && p->kind != TABLE_STREAM)
        TRY(open_cold(s, prefix, err));
    *scan_out = s;
    s = NULL;
    return LAM_OK;
}

enum lam_code scan_open(const struct scan_request *request, struct scan **scan_out,
                        struct lam_error *err) {
    return scan_open_parts(request, true, true, scan_out, err);
}

enum lam_code scan_next(struct scan *s, struct colbatch **batch_out, struct lam_error *err) {
    colbatch_reset(&s->batch);
    *batch_out = NULL;
    if (!s->hot_done) {
        TRY(hot_scan_fill(&s->hot, &s->batch, err));
        s->stats.hot_rows += s->batch.rows;
        if (s->batch.rows == 0)
            s->hot_done = true;
    }
    if (s->batch.rows == 0 && s->has_cold) {
        TRY(cold_scan_fill(&s->cold, &s->batch, err));
        s->stats.cold_rows += s->batch.rows;
    }
    if (s->batch.rows > 0)
        *batch_out = &s->batch;
    return LAM_OK;
}

void scan_get_stats(const struct scan *s, struct scan_stats *out) {
    *out = s->stats;
}

void scan_close(struct scan *s) {
    if (!s)
        return;
    if (s->hot.it)
        hot_scan_fini(&s->hot);
    cold_scan_fini(&s->cold);
    lam_snapshot_free(s->own);
    colbatch_fini(&s->batch);
    buf_fini(&s->lower);
    buf_fini(&s->upper);
    if (s->table)
        table_cold_leave(s->table, s->request.provider);
    mem_free(s);
}
