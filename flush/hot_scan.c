/* SPDX-License-Identifier: Apache-2.0
 *
 * Hot rows into batches. */
#include "flush/hot_scan.h"

bool hot_row_expired(const struct provider *p, int64_t seq, int64_t now_us) {
    return p->kind == TABLE_STREAM && p->options.ttl_seconds > 0 &&
           (now_us - seq_time_us(seq)) / 1000000 >= (int64_t)p->options.ttl_seconds;
}

enum lam_code hot_row_schema(const struct provider *p, const struct row_header *header,
                             const struct schema **schema_out, struct lam_error *err) {
    *schema_out = provider_schema(p, header->schema_version);
    if (*schema_out)
        return LAM_OK;
    /* A row of a later version than the provider's: its reader planned before an ALTER. */
    if (header->schema_version > p->schema_count &&
        header->schema_version <= atomic_load(&p->shared->current_version))
        return ERR(err, LAM_CONFLICT, "table %s.%s was altered; prepare the statement again",
                   p->namespace_name, p->name);
    return ERR(err, LAM_CORRUPT, "partition %s: a row of schema version %u, which does not exist",
               lam_partition_name(p->hot), header->schema_version);
}

enum lam_code hot_scan_open(struct hot_scan *h, const struct scan_request *request,
                            struct lam_slice lower, struct lam_slice upper, struct lam_error *err) {
    struct provider *p = request->provider;
    struct lam_read_options options = {.snapshot = request->snapshot};
    memset(h, 0, sizeof *h);
    h->request = request;
    h->lower = lower;
    h->upper = upper;
    if (request->index) {
        options.prefix = request->index_prefix;
        options.keys_only = true;
        return lam_iter_new(catalog_db(p->catalog), &options, request->index->partition, &h->it,
                            err);
    }
    options.lower = lower;
    options.upper = upper;
    return lam_iter_new(catalog_db(p->catalog), &options, p->hot, &h->it, err);
}

void hot_scan_fini(struct hot_scan *h) {
    lam_iter_free(h->it);
    buf_fini(&h->key);
    lam_value_release(&h->value);
    memset(h, 0, sizeof *h);
}

/* The row that an index entry leads to; an empty slice if it is outside of the bounds or, in a
 * STREAM table, already gone. */
static enum lam_code row_of_entry(struct hot_scan *h, struct lam_slice *row_out,
                                  struct lam_error *err) {
    const struct scan_request *rq = h->request;
    struct provider *p = rq->provider;
    *row_out = SLICE_EMPTY;
    buf_reset(&h->key);
    TRY(index_entry_row_key(p, rq->index, lam_iter_key(h->it), lam_iter_value(h->it), &h->key,
                            err));
    struct lam_slice key = buf_slice(&h->key);
    if (slice_cmp(key, h->lower) < 0 || (h->upper.size && slice_cmp(key, h->upper) >= 0))
        return LAM_OK;
    struct lam_read_options options = {.snapshot = rq->snapshot};
    struct lam_error missing = {0};
    enum lam_code rc = lam_get(catalog_db(p->catalog), &options, p->hot, key, &h->value, &missing);
    if (rc == LAM_OK) {
        *row_out = h->value.bytes;
        return LAM_OK;
    }
    if (rc == LAM_NOT_FOUND && atomic_load(&p->shared->dropped))
        return ERR_SQL(err, "42P01", 0, "table %s.%s was dropped", p->namespace_name, p->name);
    /* Files of a STREAM table's rows and of its index expire each on its own. */
    if (rc == LAM_NOT_FOUND && p->kind == TABLE_STREAM)
        return LAM_OK;
    if (rc == LAM_NOT_FOUND)
        return ERR(err, LAM_CORRUPT, "partition %s: an entry leads to no row",
                   lam_partition_name(rq->index->partition));
    return error_pass(err, rc, &missing);
}

static enum lam_code append_row(struct hot_scan *h, struct lam_slice row, struct colbatch *batch,
                                struct lam_error *err) {
    const struct scan_request *rq = h->request;
    struct provider *p = rq->provider;
    struct row_header header;
    const struct schema *written;
    TRY(row_header_decode(row, &header, err));
    if ((header.deleted && !rq->with_deleted) || hot_row_expired(p, header.seq, rq->now_us))
        return LAM_OK;
    TRY(hot_row_schema(p, &header, &written, err));
    TRY(row_append_columns(row, written, p->schema, rq->column_ids, rq->column_count,
                           batch->columns, err));
    batch->rows++;
    return LAM_OK;
}

enum lam_code hot_scan_fill(struct hot_scan *h, struct colbatch *batch, struct lam_error *err) {
    LAM_ASSERT(batch->rows == 0);
    if (!h->started) {
        lam_iter_seek_first(h->it);
        h->started = true;
    }
    for (; lam_iter_valid(h->it) && !colbatch_is_full(batch); lam_iter_next(h->it)) {
        struct lam_slice row = lam_iter_value(h->it);
        if (h->request->index)
            TRY(row_of_entry(h, &row, err));
        if (row.size)
            TRY(append_row(h, row, batch, err));
    }
    return lam_iter_valid(h->it) ? LAM_OK : lam_iter_status(h->it, err);
}
