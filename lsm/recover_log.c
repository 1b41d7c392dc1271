/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the log at open. Sequences without holes (D2 in db_impl.h) decide what counts: a torn end
 * of one segment is no end of the log when the next segment begins with the very sequence expected
 * (an append failed cleanly and the writer went on there), and whatever comes after a hole was
 * never acknowledged as durable, or this is corruption.
 *
 * A segment's name is durable in the manifest before its first record is written. So records in one
 * that the manifest does not name show that the end of the manifest is damaged, not torn. */
#include <inttypes.h>

#include "base/assert.h"
#include "lsm/recover_state.h"
#include "lsm/write_batch.h"

struct reading {
    struct recovered *r;
    recovered_record_fn fn;
    void *arg;
    const char *path;  /* of the segment being read */
    uint64_t expected; /* sequence of the next record that counts */
    bool hole;         /* a record is missing: nothing more counts */
    struct recovered_log *out;
};

/* Every operation is well-formed and names a partition that is, or that was dropped. */
static enum lam_code check_payload(struct reading *g, struct lam_slice payload, uint32_t *count_out,
                                   struct lam_error *err) {
    struct batch_reader b;
    struct batch_op op;
    TRY(batch_reader_init(&b, payload, err));
    if (b.count == 0)
        return ERR(err, LAM_CORRUPT, "a record without operations");
    for (uint32_t i = 0; i < b.count; i++) {
        TRY(batch_reader_next(&b, &op, err));
        if (op.partition >= g->r->granted_number)
            return ERR(err, LAM_CORRUPT, "an operation on partition %" PRIu64 ", which never was",
                       op.partition);
    }
    *count_out = b.count;
    return batch_reader_finish(&b, err);
}

static enum lam_code read_record(void *arg, const struct log_record *record,
                                 struct lam_slice payload, struct lam_error *err) {
    struct reading *g = arg;
    uint64_t sequence = record->sequence;
    uint32_t count = 0;
    if (g->hole)
        return LAM_OK;
    if (sequence < g->expected)
        return ERR(err, LAM_CORRUPT,
                   "%s: a record of sequence %" PRIu64 " where %" PRIu64 " comes next", g->path,
                   sequence, g->expected);
    if (sequence > g->expected) {
        g->hole = true;
        g->out->torn = true;
        return LAM_OK;
    }
    enum lam_code rc = check_payload(g, payload, &count, err);
    if (rc != LAM_OK)
        return error_context(err, rc, "%s: record of sequence %" PRIu64, g->path, sequence);
    TRY(g->fn(g->arg, sequence, count, payload, err));
    g->expected += count;
    g->out->operations += count;
    return LAM_OK;
}

static enum lam_code read_segment(struct reading *g, const struct manifest_wal *w, uint64_t *claim,
                                  struct lam_error *err) {
    struct log_read_result res = {0};
    TRY(recovered_check_file(g->r, FILE_WAL, w->number, 0, err));
    TRY(wal_read(g->r->env, g->path, g->r->root.db_id, w->number, w->end, read_record, g, &res,
                 err));
    if (res.header_missing)
        return ERR(err, LAM_CORRUPT, "%s: offset 0: no readable header", g->path);
    if (w->end != 0 && res.checksum != w->checksum)
        return ERR(err, LAM_CORRUPT, "%s: offset %" PRIu64 ": not the records that were sealed",
                   g->path, res.end);
    if (g->r->root.sealed && w->end == 0)
        return ERR(err, LAM_CORRUPT, "%s: open in a sealed database", g->path);
    g->out->torn = g->out->torn || (res.torn && w->end == 0);
    g->out->bytes += res.file_bytes;
    g->out->end += res.end;
    if (res.durable_claim > *claim)
        *claim = res.durable_claim;
    return LAM_OK;
}

static enum lam_code refuse_record(void *arg, const struct log_record *record,
                                   struct lam_slice payload, struct lam_error *err) {
    (void)payload;
    return ERR(err, LAM_CORRUPT,
               "%s: offset 0: holds a record of sequence %" PRIu64
               ", but the manifest does not name it",
               (const char *)arg, record->sequence);
}

/* An open that a crash cut short leaves copies of a closed database's records in segments that the
 * old manifest does not name. */
static enum lam_code check_unnamed(const struct recovered *r, struct buf *path,
                                   struct lam_error *err) {
    uint64_t last = r->wal_count > 0 ? r->wals[r->wal_count - 1].number : 0;
    if (r->root.sealed || r->closed)
        return LAM_OK;
    for (size_t i = 0; i < r->listed_count; i++) {
        const struct listed_file *l = &r->listed[i];
        struct log_read_result res;
        const char *text;
        if (l->type != FILE_WAL || l->number <= last || l->number < r->wal_floor)
            continue;
        TRY(filename_path(path, r->dir, FILE_WAL, l->number, &text, err));
        enum lam_code rc = wal_read(r->env, text, r->root.db_id, l->number, 0, refuse_record,
                                    (void *)(uintptr_t)text, &res, err);
        if (rc != LAM_OK && rc != LAM_INVALID) /* not a file, then not ours */
            return rc;
    }
    return LAM_OK;
}

enum lam_code recovered_read_log(struct recovered *r, recovered_record_fn fn, void *arg,
                                 struct recovered_log *out, struct lam_error *err) {
    struct reading g = {.r = r, .fn = fn, .arg = arg, .expected = r->last_sequence + 1, .out = out};
    struct buf path = {0};
    uint64_t claim = 0;
    enum lam_code rc = LAM_OK;
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < r->wal_count && rc == LAM_OK; i++) {
        rc = filename_path(&path, r->dir, FILE_WAL, r->wals[i].number, &g.path, err);
        if (rc == LAM_OK)
            rc = read_segment(&g, &r->wals[i], &claim, err);
    }
    if (rc == LAM_OK && claim >= g.expected)
        rc = ERR(err, LAM_CORRUPT,
                 "%s: the log ends before sequence %" PRIu64 ", but says that %" PRIu64
                 " was durable",
                 g.path, g.expected, claim);
    if (rc == LAM_OK)
        rc = check_unnamed(r, &path, err);
    buf_fini(&path);
    out->last_sequence = g.expected - 1;
    return rc;
}
