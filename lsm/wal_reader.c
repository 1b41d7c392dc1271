/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a WAL segment: the log reader plus what a sealed segment must come to. */
#include <inttypes.h>

#include "lsm/log_format.h"
#include "lsm/wal.h"

struct forward {
    wal_record_fn fn;
    void *arg;
};

static enum lam_code forward_record(void *arg, const struct log_record *record,
                                    struct lam_slice payload, struct lam_error *err) {
    const struct forward *f = arg;
    return f->fn(f->arg, record->sequence, record->durable_upto, payload, err);
}

enum lam_code wal_read(lam_env *env, const char *path, const uint8_t *db_id, uint64_t number,
                       uint64_t sealed_end, wal_record_fn fn, void *arg,
                       struct wal_read_result *result_out, struct lam_error *err) {
    struct log_identity id = {LOG_MAGIC_WAL, db_id, number};
    struct forward f = {fn, arg};
    struct log_read_result res;
    enum lam_code rc = log_read(env, path, &id, sealed_end, forward_record, &f, &res, err);
    *result_out = (struct wal_read_result){
        .records = res.records,
        .end = res.end,
        .checksum = res.checksum,
        .torn = res.torn,
        .durable_claim = res.durable_claim,
        .header_missing = res.header_missing,
    };
    TRY(rc);
    if (sealed_end != 0 && res.header_missing)
        return ERR(err, LAM_CORRUPT, "%s: offset 0: no header of sealed log segment %" PRIu64, path,
                   number);
    if (sealed_end != 0 && res.end != sealed_end)
        return ERR(err, LAM_CORRUPT,
                   "%s: good records end at offset %" PRIu64
                   ", but the segment was sealed at %" PRIu64,
                   path, res.end, sealed_end);
    return LAM_OK;
}
