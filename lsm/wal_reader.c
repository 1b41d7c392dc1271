/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a WAL segment: the log reader plus what a sealed segment must come to. */
#include <inttypes.h>

#include "lsm/wal.h"

enum lam_code wal_read(lam_env *env, const char *path, const uint8_t *db_id, uint64_t number,
                       uint64_t sealed_end, log_record_fn fn, void *arg,
                       struct log_read_result *result_out, struct lam_error *err) {
    struct log_identity id = {LOG_MAGIC_WAL, db_id, number};
    TRY(log_read(env, path, &id, sealed_end, fn, arg, result_out, err));
    if (sealed_end != 0 && result_out->header_missing)
        return ERR(err, LAM_CORRUPT, "%s: offset 0: no header of sealed log segment %" PRIu64, path,
                   number);
    if (sealed_end != 0 && result_out->end != sealed_end)
        return ERR(err, LAM_CORRUPT,
                   "%s: good records end at offset %" PRIu64
                   ", but the segment was sealed at %" PRIu64,
                   path, result_out->end, sealed_end);
    return LAM_OK;
}
