/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading logs. The file is read in big pieces; a record's length is believed only after its
 * header's checksum held and it was found to end within the file.
 *
 * The look-ahead after the first bad record hashes the 24 header bytes at offsets where the file's
 * marker stands and nothing else: a header that verifies is as good a witness for its
 * `durable_end` as a whole record. So the work is linear in the file's size, whatever lengths a
 * crafted file claims. */
#include "lsm/log_format.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#define READ_BYTES (1u << 20)

struct reader {
    lam_file *file;
    const char *path;
    uint64_t file_bytes;
    uint64_t until; /* what lies behind is read only when it is asked for */
    uint64_t seed;
    uint32_t marker;
    uint8_t *window;        /* owned */
    size_t window_capacity; /* bytes */
    uint64_t window_start;  /* offset in the file */
    size_t window_size;     /* bytes read */
};

/* Gives `size` bytes at `offset`, which lie within the file. Valid until the next fetch. */
static enum lam_code fetch(struct reader *r, uint64_t offset, size_t size, const uint8_t **out,
                           struct lam_error *err) {
    LAM_ASSERT(offset <= r->file_bytes && size <= r->file_bytes - offset);
    if (offset >= r->window_start && offset - r->window_start <= r->window_size &&
        size <= r->window_size - (size_t)(offset - r->window_start)) {
        *out = r->window + (offset - r->window_start);
        return LAM_OK;
    }
    size_t want = size > READ_BYTES ? size : READ_BYTES;
    uint64_t end = offset + size < r->until ? r->until : r->file_bytes;
    if (want > end - offset)
        want = (size_t)(end - offset);
    if (want > r->window_capacity) {
        uint8_t *window = mem_alloc(want);
        if (!window)
            return mem_fail(err, want);
        mem_free(r->window);
        r->window = window;
        r->window_capacity = want;
    }
    r->window_size = 0;
    TRY(env_file_read_exact(r->file, r->path, offset, r->window, want, err));
    r->window_start = offset;
    r->window_size = want;
    *out = r->window;
    return LAM_OK;
}

/* What is fetched next comes from the file. */
static void forget(struct reader *r) {
    r->window_size = 0;
    r->window_start = UINT64_MAX;
}

enum record_state {
    RECORD_NONE,   /* nothing of this file begins here */
    RECORD_BEGUN,  /* the marker only */
    RECORD_HEADED, /* a good header; the marker or the payload is damaged, or that is missing */
    RECORD_GOOD,
};

/* Looks at `record->offset`. `payload` is given when GOOD. */
static enum lam_code parse(struct reader *r, struct log_record *record, enum record_state *state,
                           struct lam_slice *payload, struct lam_error *err) {
    const uint8_t *at;
    *state = RECORD_NONE;
    uint64_t left = r->file_bytes - record->offset;
    if (left < 4)
        return LAM_OK;
    TRY(fetch(r, record->offset, left < LOG_RECORD_BYTES ? (size_t)left : LOG_RECORD_BYTES, &at,
              err));
    bool marked = get_le32(at) == r->marker;
    if (marked)
        *state = RECORD_BEGUN;
    if (left < LOG_RECORD_BYTES || !log_record_decode(record, r->seed, at))
        return LAM_OK;
    /* The check tells a record whose marker alone is damaged from the end of the log. */
    *state = RECORD_HEADED;
    if (!marked || record->length > left - LOG_RECORD_BYTES)
        return LAM_OK;
    TRY(fetch(r, record->offset, LOG_RECORD_BYTES + (size_t)record->length, &at, err));
    if (!log_record_verify(record, r->seed, at))
        return LAM_OK;
    *state = RECORD_GOOD;
    *payload = lam_slice_of(at + LOG_RECORD_BYTES, record->length);
    return LAM_OK;
}

/* What the readable headers after the end say. */
struct claims {
    bool found;
    uint64_t durable_upto; /* highest */
    uint64_t durable_end;  /* highest */
    uint64_t end_at;       /* offset of the record that says durable_end */
    uint64_t upto_at;      /* and durable_upto */
};

static void note_claim(struct claims *c, const struct log_record *record) {
    if (!c->found || record->durable_upto > c->durable_upto) {
        c->durable_upto = record->durable_upto;
        c->upto_at = record->offset;
    }
    if (!c->found || record->durable_end > c->durable_end) {
        c->durable_end = record->durable_end;
        c->end_at = record->offset;
    }
    c->found = true;
}

/* Looks for record headers that begin in `bytes`, which lie at `offset`. */
static void scan_piece(const struct reader *r, uint64_t offset, const uint8_t *bytes, size_t starts,
                       struct claims *c) {
    uint8_t first = (uint8_t)r->marker;
    const uint8_t *end = bytes + starts;
    for (const uint8_t *at = bytes; at < end; at++) {
        at = memchr(at, first, (size_t)(end - at));
        if (!at)
            return;
        struct log_record record = {.offset = offset + (uint64_t)(at - bytes)};
        if (get_le32(at) == r->marker && log_record_decode(&record, r->seed, at))
            note_claim(c, &record);
    }
}

static enum lam_code scan(struct reader *r, uint64_t from, struct claims *c,
                          struct lam_error *err) {
    while (from < r->file_bytes && r->file_bytes - from >= LOG_RECORD_BYTES) {
        uint64_t left = r->file_bytes - from;
        size_t size = left < READ_BYTES ? (size_t)left : READ_BYTES;
        const uint8_t *bytes;
        TRY(fetch(r, from, size, &bytes, err));
        size_t starts = size - LOG_RECORD_BYTES + 1;
        scan_piece(r, from, bytes, starts, c);
        from += starts;
    }
    return LAM_OK;
}

/* Decides what the bytes after the last good record are: nothing, a torn tail, or damage. */
static enum lam_code judge_tail(struct reader *r, const struct log_record *bad,
                                enum record_state state, struct log_read_result *res,
                                struct lam_error *err) {
    struct claims c = {0};
    if (state == RECORD_HEADED)
        note_claim(&c, bad);
    TRY(scan(r, res->end + 1, &c, err));
    res->torn = state != RECORD_NONE || c.found;
    if (!c.found)
        return LAM_OK;
    if (c.durable_upto > res->durable_claim)
        res->durable_claim = c.durable_upto;
    if (c.durable_end > res->end)
        return ERR(err, LAM_CORRUPT,
                   "%s: no readable record at offset %" PRIu64 ", but the record at offset %" PRIu64
                   " was written after a sync of the first %" PRIu64 " bytes",
                   r->path, res->end, c.end_at, c.durable_end);
    if (state == RECORD_HEADED && c.durable_upto >= bad->sequence)
        return ERR(err, LAM_CORRUPT,
                   "%s: the record at offset %" PRIu64 " (sequence %" PRIu64
                   ") is damaged, but the record at offset %" PRIu64
                   " was written after a sync of sequence %" PRIu64,
                   r->path, res->end, bad->sequence, c.upto_at, c.durable_upto);
    return LAM_OK;
}

/* Before a log is said to end, its bytes are read once more: a read that went wrong on its way must
 * not cost what nothing later shows to be durable. */
static enum lam_code read_records(struct reader *r, uint64_t sealed_end, log_record_fn fn,
                                  void *arg, struct log_read_result *res, struct lam_error *err) {
    bool again = false;
    for (;;) {
        struct log_record record = {.offset = res->end};
        struct lam_slice payload;
        enum record_state state;
        TRY(parse(r, &record, &state, &payload, err));
        if (state == RECORD_NONE && res->end == sealed_end)
            return LAM_OK; /* preallocated bytes follow */
        if (state != RECORD_GOOD && again)
            return judge_tail(r, &record, state, res, err);
        again = state != RECORD_GOOD;
        if (again) {
            forget(r);
            continue;
        }
        TRY(fn(arg, &record, payload, err));
        res->records++;
        res->end += LOG_RECORD_BYTES + (uint64_t)record.length;
        res->checksum = hash_mix(res->checksum, record.checksum);
        if (record.durable_upto > res->durable_claim)
            res->durable_claim = record.durable_upto;
    }
}

static enum lam_code read_header(struct reader *r, const struct log_identity *id,
                                 struct log_read_result *res, struct lam_error *err) {
    res->header_missing = true;
    if (r->file_bytes < LOG_HEADER_BYTES)
        return LAM_OK;
    const uint8_t *header = NULL;
    enum log_header_state state = LOG_HEADER_BAD;
    for (int i = 0; i < 2 && state == LOG_HEADER_BAD; i++) {
        forget(r);
        TRY(fetch(r, 0, LOG_HEADER_BYTES, &header, err));
        state = log_header_decode(id, header, &r->seed);
    }
    switch (state) {
    case LOG_HEADER_BAD:
        return LAM_OK;
    case LOG_HEADER_VERSION:
        return ERR(err, LAM_UNSUPPORTED, "%s: format version is not %d", r->path, LOG_VERSION);
    case LOG_HEADER_GOOD:
        break;
    }
    res->header_missing = false;
    res->end = LOG_HEADER_BYTES;
    res->checksum = r->seed;
    r->marker = log_marker(r->seed);
    return LAM_OK;
}

static void reader_fini(struct reader *r) {
    mem_free(r->window);
    env_file_drop(&r->file);
}

enum lam_code log_read(lam_env *env, const char *path, const struct log_identity *id,
                       uint64_t sealed_end, log_record_fn fn, void *arg,
                       struct log_read_result *result_out, struct lam_error *err) {
    OWNED(reader_fini) struct reader r = {.path = path};
    memset(result_out, 0, sizeof *result_out);
    TRY(env_file_open(env, path, LAM_OPEN_READ, &r.file, err));
    TRY(env_file_size(r.file, &r.file_bytes, err));
    result_out->file_bytes = r.file_bytes;
    /* Preallocated bytes that nobody wrote to need not be read. */
    bool sealed = sealed_end > 0 && sealed_end + LOG_RECORD_BYTES < r.file_bytes;
    r.until = sealed ? sealed_end + LOG_RECORD_BYTES : r.file_bytes;
    TRY(read_header(&r, id, result_out, err));
    return result_out->header_missing ? LAM_OK
                                      : read_records(&r, sealed_end, fn, arg, result_out, err);
}
