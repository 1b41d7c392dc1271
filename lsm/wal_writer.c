/* SPDX-License-Identifier: Apache-2.0
 *
 * Appending to a WAL segment. A small record is copied behind its header and written in one call; a
 * large one writes its payload first and the header last, so that a failed write leaves no header.
 *
 * `end` is written by the appender (release) and read by syncers (acquire): bytes below the value
 * read were handed to the environment before the sync began. `synced_end` goes the other way. */
#include <inttypes.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/thread.h"
#include "lsm/log_format.h"
#include "lsm/wal.h"

_Static_assert(WAL_RECORD_OVERHEAD == LOG_RECORD_BYTES, "the contract names the framing's size");

/* Payloads up to this are copied behind their header. */
#define STAGING_BYTES (64u << 10)

struct wal_writer {
    lam_file *file;
    char *path;                  /* owned */
    uint64_t number;             /* of the segment */
    uint64_t seed;               /* of its checksums */
    uint64_t capacity;           /* preallocated bytes */
    uint64_t checksum;           /* running hash; the appender's */
    _Atomic uint64_t end;        /* after the last record; written by the appender */
    _Atomic uint64_t synced_end; /* known to be durable; raised by syncers */
    bool append_failed;          /* takes no more records; the appender's */
    atomic_bool sync_failed;     /* never synced again; set by any syncer, read by all */
    uint8_t *staging;            /* LOG_RECORD_BYTES + STAGING_BYTES, owned */
};

static void writer_free(struct wal_writer *w) {
    if (!w)
        return;
    mem_free(w->path);
    mem_free(w->staging);
    mem_free(w);
}

static enum lam_code writer_new(const char *path, uint64_t number, struct wal_writer **out,
                                struct lam_error *err) {
    struct wal_writer *w = mem_calloc(1, sizeof *w);
    if (!w)
        return mem_fail(err, sizeof *w);
    w->number = number;
    w->path = mem_strdup(path);
    w->staging = mem_alloc(LOG_RECORD_BYTES + STAGING_BYTES);
    if (!w->path || !w->staging) {
        writer_free(w);
        return mem_fail(err, LOG_RECORD_BYTES + STAGING_BYTES);
    }
    *out = w;
    return LAM_OK;
}

/* Reserves the blocks, then writes and syncs the header: a segment whose header reads back has all
 * the room it was promised. */
static enum lam_code prepare_file(lam_env *env, struct wal_writer *w, const uint8_t *db_id,
                                  uint64_t want, struct lam_error *err) {
    struct log_identity id = {LOG_MAGIC_WAL, db_id, w->number};
    uint8_t header[LOG_HEADER_BYTES];
    uint64_t salt;
    env->ops->random_bytes(env, &salt, sizeof salt);
    w->seed = log_header_encode(&id, salt, header);
    uint64_t have;
    TRY(env_file_size(w->file, &have, err));
    w->capacity = have > want ? have : want;
    if (w->capacity > LOG_MAX_BYTES)
        w->capacity = LOG_MAX_BYTES;
    /* Of a recycled file, too: the environment learns what it may rely on. */
    TRY(env_file_allocate(w->file, w->capacity, err));
    TRY(env_file_write(w->file, 0, header, sizeof header, err));
    TRY(env_file_sync(w->file, err));
    w->checksum = w->seed;
    atomic_init(&w->end, LOG_HEADER_BYTES);
    atomic_init(&w->synced_end, LOG_HEADER_BYTES);
    return LAM_OK;
}

enum lam_code wal_writer_open(lam_env *env, const char *dir, const char *path,
                              const char *recycle_from, const uint8_t *db_id, uint64_t number,
                              uint64_t min_bytes, struct wal_writer **writer_out,
                              struct lam_error *err) {
    if (min_bytes > LOG_MAX_BYTES - LOG_HEADER_BYTES - LOG_RECORD_BYTES)
        return ERR(err, LAM_LIMIT, "%s: a log segment can't hold %" PRIu64 " bytes", path,
                   min_bytes);
    uint64_t want = min_bytes ? min_bytes + LOG_HEADER_BYTES + LOG_RECORD_BYTES : WAL_SEGMENT_BYTES;
    struct wal_writer *w = NULL;
    TRY(writer_new(path, number, &w, err));
    bool exists = false;
    enum lam_code rc;
    if (recycle_from) {
        TRY_GOTO(env_path_rename(env, recycle_from, path, err));
        exists = true;
    }
    unsigned flags = LAM_OPEN_WRITE | LAM_OPEN_LOG;
    if (!recycle_from)
        flags |= LAM_OPEN_CREATE | LAM_OPEN_EXCLUSIVE;
    TRY_GOTO(env_file_open(env, path, flags, &w->file, err));
    exists = true;
    TRY_GOTO(prepare_file(env, w, db_id, want, err));
    TRY_GOTO(env_dir_sync(env, dir, err));
    *writer_out = w;
    return LAM_OK;
out:
    IGNORE(env_file_close(w->file, NULL), "the file goes");
    if (exists)
        IGNORE(env_file_remove(env, path, NULL), "an orphan without records; the open failed");
    writer_free(w);
    return rc;
}

bool wal_writer_fits(const struct wal_writer *w, uint64_t payload_bytes) {
    uint64_t end = atomic_load_explicit(&w->end, memory_order_relaxed);
    if (end == LOG_HEADER_BYTES)
        return true;
    uint64_t left = w->capacity - (end < w->capacity ? end : w->capacity);
    return left >= LOG_RECORD_BYTES && payload_bytes <= left - LOG_RECORD_BYTES;
}

bool wal_writer_trim(struct wal_writer *w, uint64_t bytes) {
    if (w->append_failed || bytes < wal_writer_end(w) || bytes >= w->capacity)
        return false;
    w->capacity = bytes; /* also if it fails: there is no less than that */
    if (env_file_truncate(w->file, bytes, NULL) == LAM_OK)
        IGNORE(env_file_allocate(w->file, bytes, NULL), "no more is asked for than there is");
    return true;
}

static enum lam_code write_small(struct wal_writer *w, struct log_record *record,
                                 struct lam_slice payload, struct lam_error *err) {
    if (payload.size > 0)
        memcpy(w->staging + LOG_RECORD_BYTES, payload.data, payload.size);
    log_record_encode_in_place(record, w->seed, w->staging);
    return env_file_write(w->file, record->offset, w->staging, LOG_RECORD_BYTES + payload.size,
                          err);
}

/* `*headed` tells whether any byte of the header may have been written. */
static enum lam_code write_large(struct wal_writer *w, struct log_record *record,
                                 struct lam_slice payload, bool *headed, struct lam_error *err) {
    *headed = false;
    TRY(env_file_write(w->file, record->offset + LOG_RECORD_BYTES, payload.data, payload.size,
                       err));
    log_record_encode(record, w->seed, payload, w->staging);
    *headed = true;
    return env_file_write(w->file, record->offset, w->staging, LOG_RECORD_BYTES, err);
}

/* Makes sure that the record whose write failed can't be read back, now or after a power loss. */
static bool wipe_header(struct wal_writer *w, uint64_t offset) {
    static const uint8_t zeros[LOG_RECORD_BYTES];
    return env_file_write(w->file, offset, zeros, sizeof zeros, NULL) == LAM_OK &&
           wal_writer_sync(w, NULL) == LAM_OK;
}

enum lam_code wal_writer_append(struct wal_writer *w, uint64_t sequence, uint64_t durable_upto,
                                struct lam_slice payload, bool *clean_out, struct lam_error *err) {
    uint64_t end = atomic_load_explicit(&w->end, memory_order_relaxed);
    *clean_out = true;
    if (w->append_failed || atomic_load_explicit(&w->sync_failed, memory_order_acquire))
        return ERR(err, LAM_READ_ONLY, "%s: takes no more records after a failure", w->path);
    if (payload.size > LOG_MAX_BYTES - LOG_RECORD_BYTES - LOG_HEADER_BYTES ||
        end + LOG_RECORD_BYTES + payload.size > LOG_MAX_BYTES)
        return ERR(err, LAM_LIMIT, "%s: a record of %zu bytes does not fit a log segment", w->path,
                   payload.size);
    LAM_ASSERT(wal_writer_fits(w, payload.size));
    struct log_record record = {
        .offset = end,
        .length = (uint32_t)payload.size,
        .durable_end = (uint32_t)atomic_load_explicit(&w->synced_end, memory_order_acquire),
        .sequence = sequence,
        .durable_upto = durable_upto,
    };
    bool headed = true;
    enum lam_code rc = payload.size <= STAGING_BYTES
                           ? write_small(w, &record, payload, err)
                           : write_large(w, &record, payload, &headed, err);
    if (rc != LAM_OK) {
        w->append_failed = true;
        *clean_out = !headed || wipe_header(w, end);
        return rc;
    }
    w->checksum = hash_mix(w->checksum, record.checksum);
    atomic_store_explicit(&w->end, end + LOG_RECORD_BYTES + payload.size, memory_order_release);
    return LAM_OK;
}

enum lam_code wal_writer_sync(struct wal_writer *w, struct lam_error *err) {
    if (atomic_load_explicit(&w->sync_failed, memory_order_acquire))
        return ERR(err, LAM_READ_ONLY, "%s: can't be synced after a failed sync", w->path);
    uint64_t end = atomic_load_explicit(&w->end, memory_order_acquire);
    enum lam_code rc = env_file_sync(w->file, err);
    if (rc != LAM_OK) {
        atomic_store_explicit(&w->sync_failed, true, memory_order_release);
        return rc;
    }
    uint64_t known = atomic_load_explicit(&w->synced_end, memory_order_relaxed);
    while (known < end && !atomic_compare_exchange_weak(&w->synced_end, &known, end))
        ;
    return LAM_OK;
}

uint64_t wal_writer_end(const struct wal_writer *w) {
    return atomic_load_explicit(&w->end, memory_order_acquire);
}

uint64_t wal_writer_checksum(const struct wal_writer *w) {
    return w->checksum;
}

void wal_writer_close(struct wal_writer *w) {
    if (!w)
        return;
    IGNORE(env_file_close(w->file, NULL), "what must last was synced by the caller");
    writer_free(w);
}
