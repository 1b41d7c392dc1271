/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking into SSTs, log segments and ROOT from outside of any database. What says whose a file is
 * comes from the file itself: its checksums tell accidents, not forgers. */
#include "lamina/inspect.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "lsm/inspect.h"
#include "lsm/sst_format.h"
#include "lsm/superblock.h"
#include "lsm/write_batch.h"

static enum lam_code check_path(const char *path, const char *call, struct lam_error *err) {
    if (path && *path)
        return LAM_OK;
    return ERR(err, LAM_INVALID, "%s: path must not be NULL or empty", call);
}

/* Reads `size` bytes at the beginning or the end. */
static enum lam_code read_bytes(lam_env *env, const char *path, bool from_end, uint8_t *out,
                                size_t size, uint64_t *file_bytes, struct lam_error *err) {
    lam_file *file;
    TRY(env_file_open(env, path, LAM_OPEN_READ, &file, err));
    enum lam_code rc = env_file_size(file, file_bytes, err);
    if (rc == LAM_OK && *file_bytes < size)
        rc = ERR(err, LAM_CORRUPT, "%s: offset %llu: too short to be one", path,
                 (unsigned long long)*file_bytes);
    if (rc == LAM_OK)
        rc = env_file_read_exact(file, path, from_end ? *file_bytes - size : 0, out, size, err);
    IGNORE(env_file_close(file, NULL), "it was only read");
    return rc;
}

/* --- SSTs ----------------------------------------------------------------------------------- */

static enum lam_code read_footer(lam_env *env, const char *path, struct sst_footer *out,
                                 struct lam_error *err) {
    enum { FOOTER_DB_ID = 16, FOOTER_NUMBER = 32 };
    uint8_t bytes[SST_FOOTER_BYTES];
    uint64_t file_bytes = 0;
    TRY(read_bytes(env, path, true, bytes, sizeof bytes, &file_bytes, err));
    enum lam_code rc = sst_footer_decode(bytes, bytes + FOOTER_DB_ID,
                                         get_le64(bytes + FOOTER_NUMBER), file_bytes, out, err);
    return rc == LAM_OK ? rc
                        : error_context(err, rc, "%s: offset %llu", path,
                                        (unsigned long long)(file_bytes - sizeof bytes));
}

static bool give_ranges(const struct sst *s, lam_operation_fn fn, void *arg) {
    size_t count;
    const struct range_tombstone *ranges = sst_ranges(s, &count);
    for (size_t i = 0; i < count; i++) {
        struct lam_operation r = {.kind = LAM_OPERATION_DELETE_RANGE,
                                  .sequence = ranges[i].sequence,
                                  .key = ranges[i].from,
                                  .to = ranges[i].to,
                                  .upto = ranges[i].upto};
        if (!fn(arg, &r))
            return false;
    }
    return true;
}

static enum lam_code give_entries(struct sst *s, lam_operation_fn fn, void *arg,
                                  struct lam_error *err) {
    struct cursor_iter *it;
    TRY(sst_iter_new(s, false, &it, err));
    bool more = true;
    for (it->ops->seek_first(it); it->valid && more; it->ops->next(it)) {
        bool put = it->entry.kind == ENTRY_PUT;
        struct lam_operation r = {.kind = put ? LAM_OPERATION_PUT : LAM_OPERATION_DELETE,
                                  .sequence = it->entry.sequence,
                                  .key = it->entry.key,
                                  .value = it->entry.value};
        more = fn(arg, &r);
    }
    enum lam_code rc = more ? it->code : LAM_OK;
    if (rc != LAM_OK && err)
        *err = it->error;
    it->ops->free(it);
    return rc;
}

enum lam_code lam_inspect_sst(const char *path, lam_env *env, struct lam_sst_info *info_out,
                              lam_operation_fn fn, void *arg, struct lam_error *err) {
    struct sst_footer footer;
    struct sst *s = NULL;
    TRY(check_path(path, "lam_inspect_sst", err));
    if (!env)
        env = lam_env_posix();
    TRY(read_footer(env, path, &footer, err));
    TRY(sst_open(env, path, footer.db_id, footer.number, footer.file_bytes, footer.checksum, NULL,
                 &s, err));
    const struct sst_properties *p = sst_get_properties(s);
    struct lam_sst_info info = {.number = footer.number,
                                .bytes = footer.file_bytes,
                                .entries = p->entries,
                                .deletes = p->deletes,
                                .range_deletes = p->range_tombstones,
                                .raw_bytes = p->raw_bytes,
                                .sequence_min = p->sequence_min,
                                .sequence_max = p->sequence_max,
                                .written_us = p->written_us};
    memcpy(info.database, footer.db_id, sizeof info.database);
    if (info_out)
        *info_out = info;
    enum lam_code rc = LAM_OK;
    if (fn && give_ranges(s, fn, arg))
        rc = give_entries(s, fn, arg, err);
    sst_unref(s);
    return rc;
}

/* --- log segments --------------------------------------------------------------------------- */

struct segment {
    const char *path;
    lam_operation_fn fn; /* may be NULL */
    void *arg;
    bool ended; /* by fn */
};

static enum lam_code give_batch(void *arg, const struct log_record *record,
                                struct lam_slice payload, struct lam_error *err) {
    struct segment *s = arg;
    struct batch_reader b;
    struct batch_op op;
    enum lam_code rc = batch_reader_init(&b, payload, err);
    for (uint32_t i = 0; rc == LAM_OK && i < b.count && !s->ended; i++) {
        rc = batch_reader_next(&b, &op, err);
        if (rc != LAM_OK)
            break;
        bool range = op.kind == ENTRY_DELETE_RANGE;
        struct lam_operation r = {.kind = range                  ? LAM_OPERATION_DELETE_RANGE
                                          : op.kind == ENTRY_PUT ? LAM_OPERATION_PUT
                                                                 : LAM_OPERATION_DELETE,
                                  .sequence = record->sequence + i,
                                  .partition = op.partition,
                                  .key = op.key,
                                  .value = op.kind == ENTRY_PUT ? op.value : SLICE_EMPTY,
                                  .to = range ? op.to : SLICE_EMPTY,
                                  .upto = range ? op.upto : 0};
        s->ended = s->fn && !s->fn(s->arg, &r);
    }
    if (rc == LAM_OK && !s->ended)
        rc = batch_reader_finish(&b, err);
    if (rc != LAM_OK)
        return error_context(err, rc, "%s: offset %llu", s->path,
                             (unsigned long long)record->offset);
    /* What stops the reading is an error; it is taken back below. */
    return s->ended ? ERR(NULL, LAM_BUSY, "ended") : LAM_OK;
}

/* Identity of a log from its own header. */
static enum lam_code read_identity(lam_env *env, const char *path, const char *magic,
                                   uint8_t *db_id, uint64_t *number_out, uint64_t *file_bytes,
                                   struct lam_error *err) {
    uint8_t header[LOG_HEADER_BYTES];
    TRY(read_bytes(env, path, false, header, sizeof header, file_bytes, err));
    if (memcmp(header, magic, 8) != 0)
        return ERR(err, LAM_CORRUPT, "%s: offset 0: no readable header", path);
    memcpy(db_id, header + 16, 16);
    *number_out = get_le64(header + 32);
    return LAM_OK;
}

enum lam_code inspect_log(lam_env *env, const char *path, const char *magic, log_record_fn fn,
                          void *arg, const bool *ended, uint8_t *db_id, uint64_t *number_out,
                          struct log_read_result *out, struct lam_error *err) {
    struct log_identity id = {magic, NULL, 0};
    struct lam_error local = {0};
    memset(out, 0, sizeof *out);
    TRY(read_identity(env, path, magic, db_id, number_out, &out->file_bytes, err));
    id.number = *number_out;
    enum lam_code rc = log_read(env, path, &id, 0, fn, arg, out, &local);
    if (*ended)
        return LAM_OK;
    if (rc == LAM_OK && out->header_missing)
        return ERR(err, LAM_CORRUPT, "%s: offset 0: no readable header", path);
    return error_pass(err, rc, &local);
}

enum lam_code lam_inspect_wal(const char *path, lam_env *env, struct lam_wal_info *info_out,
                              lam_operation_fn fn, void *arg, struct lam_error *err) {
    struct lam_wal_info info = {0};
    struct segment s = {path, fn, arg, false};
    struct log_read_result res;
    TRY(check_path(path, "lam_inspect_wal", err));
    enum lam_code rc = inspect_log(env ? env : lam_env_posix(), path, LOG_MAGIC_WAL, give_batch, &s,
                                   &s.ended, info.database, &info.number, &res, err);
    info.bytes = res.file_bytes;
    info.batches = res.records;
    info.end = res.end;
    info.torn = res.torn;
    if (info_out)
        *info_out = info;
    return rc;
}

/* --- ROOT ----------------------------------------------------------------------------------- */

enum lam_code lam_inspect_root(const char *path, lam_env *env, struct lam_root_info *info_out,
                               struct lam_error *err) {
    struct superblock sb;
    TRY(check_path(path, "lam_inspect_root", err));
    if (!info_out)
        return ERR(err, LAM_INVALID, "lam_inspect_root: info_out must not be NULL");
    enum lam_code rc = superblock_read(env ? env : lam_env_posix(), path, &sb, err);
    if (rc == LAM_NOT_FOUND)
        return ERR(err, rc, "%s: no database here", path);
    TRY(rc);
    *info_out = (struct lam_root_info){.generation = sb.generation,
                                       .manifest = sb.manifest_number,
                                       .sealed = superblock_is_sealed(&sb)};
    memcpy(info_out->database, sb.db_id, sizeof info_out->database);
    return LAM_OK;
}
