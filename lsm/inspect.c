/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking into SSTs, log segments, manifests and ROOT from outside of any database. What says whose
 * a file is comes from the file itself: its checksums tell accidents, not forgers. */
#include "lamina/inspect.h"

#include <inttypes.h>
#include <stdarg.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "lsm/log_format.h"
#include "lsm/manifest.h"
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
    OWNED(env_file_drop) lam_file *file = NULL;
    TRY(env_file_open(env, path, LAM_OPEN_READ, &file, err));
    TRY(env_file_size(file, file_bytes, err));
    if (*file_bytes < size)
        return ERR(err, LAM_CORRUPT, "%s: offset %llu: too short to be one", path,
                   (unsigned long long)*file_bytes);
    return env_file_read_exact(file, path, from_end ? *file_bytes - size : 0, out, size, err);
}

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
    OWNED(cursor_iter_drop) struct cursor_iter *it = NULL;
    TRY(sst_iter_new(s, false, &it, err));
    for (it->ops->seek_first(it); it->valid; it->ops->next(it)) {
        bool put = it->entry.kind == ENTRY_PUT;
        struct lam_operation r = {.kind = put ? LAM_OPERATION_PUT : LAM_OPERATION_DELETE,
                                  .sequence = it->entry.sequence,
                                  .key = it->entry.key,
                                  .value = it->entry.value};
        if (!fn(arg, &r))
            return LAM_OK;
    }
    return cursor_iter_status(it, err);
}

enum lam_code lam_inspect_sst(const char *path, lam_env *env, struct lam_sst_info *info_out,
                              lam_operation_fn fn, void *arg, struct lam_error *err) {
    struct sst_footer footer;
    OWNED(sst_unref_at) struct sst *s = NULL;
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
    return fn && give_ranges(s, fn, arg) ? give_entries(s, fn, arg, err) : LAM_OK;
}

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

/* Reads a log whose identity only its own header tells. `fn` stops the reading by an error, which
 * is none if `*ended` is set by then. */
static enum lam_code read_log(lam_env *env, const char *path, const char *magic, log_record_fn fn,
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
    enum lam_code rc = read_log(env ? env : lam_env_posix(), path, LOG_MAGIC_WAL, give_batch, &s,
                                &s.ended, info.database, &info.number, &res, err);
    info.bytes = res.file_bytes;
    info.batches = res.records;
    info.end = res.end;
    info.torn = res.torn;
    if (info_out)
        *info_out = info;
    return rc;
}

struct telling {
    const char *path;
    lam_line_fn fn;
    void *arg;
    struct arena arena;
    struct buf line;
    uint64_t edit;
    bool ended;
    enum lam_code code; /* of the first word that had no room; ends the telling */
    struct lam_error *err;
};

static void telling_fini(struct telling *t) {
    arena_fini(&t->arena);
    buf_fini(&t->line);
}

static void __attribute__((format(printf, 2, 3))) put(struct telling *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    if (t->code == LAM_OK)
        t->code = buf_append_vformat(&t->line, t->err, format, args);
    va_end(args);
}

static void begin(struct telling *t, const char *what) {
    buf_reset(&t->line);
    put(t, "edit %" PRIu64 " %s", t->edit, what);
}

static void number(struct telling *t, const char *name, uint64_t value) {
    put(t, " %s=%" PRIu64, name, value);
}

static void bytes(struct telling *t, const char *name, struct lam_slice value) {
    put(t, " %s=", name);
    for (size_t i = 0; i < value.size; i++) {
        uint8_t b = value.data[i];
        put(t, b > 0x20 && b < 0x7f && b != '\\' ? "%c" : "\\x%02x", b);
    }
}

static void end(struct telling *t) {
    const char *text;
    if (t->code == LAM_OK)
        t->code = buf_cstr(&t->line, &text, t->err);
    if (t->code != LAM_OK)
        return;
    t->ended = !t->fn(t->arg, text);
    /* What stops the reading is an error; read_log takes it back. */
    if (t->ended)
        t->code = ERR(NULL, LAM_BUSY, "ended");
}

static void tell_number(struct telling *t, const char *what, uint64_t value) {
    begin(t, what);
    put(t, "=%" PRIu64, value);
    end(t);
}

static void tell_created(struct telling *t, const struct manifest_partition *p) {
    begin(t, "create");
    number(t, "partition", p->number);
    bytes(t, "name", p->name);
    number(t, "compression", (uint64_t)p->options.compression);
    number(t, "ttl_seconds", p->options.ttl_seconds);
    end(t);
}

static void tell_added(struct telling *t, const struct manifest_file *f) {
    begin(t, "add");
    number(t, "partition", f->partition);
    number(t, "level", f->level);
    number(t, "file", f->number);
    number(t, "bytes", f->size_bytes);
    bytes(t, "smallest", f->smallest);
    bytes(t, "largest", f->largest);
    number(t, "open", f->largest_open);
    number(t, "entries", f->properties.entries);
    number(t, "deletes", f->properties.deletes);
    number(t, "range_deletes", f->properties.range_tombstones);
    number(t, "sequence_min", f->properties.sequence_min);
    number(t, "sequence_max", f->properties.sequence_max);
    end(t);
}

static void tell_removed(struct telling *t, const struct manifest_removed *f) {
    begin(t, "remove");
    number(t, "partition", f->partition);
    number(t, "level", f->level);
    number(t, "file", f->number);
    end(t);
}

static void tell_dropped(struct telling *t, uint64_t partition) {
    begin(t, "drop");
    number(t, "partition", partition);
    end(t);
}

static void tell_wal(struct telling *t, const struct manifest_wal *w) {
    begin(t, w->end ? "seal" : "log");
    number(t, "segment", w->number);
    if (w->end)
        number(t, "end", w->end);
    end(t);
}

static void tell_edit(struct telling *t, const struct manifest_edit *e) {
    if (e->has_next_number)
        tell_number(t, "next_number", e->next_number);
    if (e->has_last_sequence)
        tell_number(t, "last_sequence", e->last_sequence);
    if (e->has_wal_floor)
        tell_number(t, "wal_floor", e->wal_floor);
    for (size_t i = 0; i < e->created_count; i++)
        tell_created(t, &e->created[i]);
    for (size_t i = 0; i < e->dropped_count; i++)
        tell_dropped(t, e->dropped[i]);
    for (size_t i = 0; i < e->added_count; i++)
        tell_added(t, &e->added[i]);
    for (size_t i = 0; i < e->removed_count; i++)
        tell_removed(t, &e->removed[i]);
    for (size_t i = 0; i < e->wals_count; i++)
        tell_wal(t, &e->wals[i]);
    if (e->clean_close) {
        begin(t, "close");
        end(t);
    }
}

static enum lam_code tell_record(void *arg, const struct log_record *record,
                                 struct lam_slice payload, struct lam_error *err) {
    struct telling *t = arg;
    struct manifest_edit edit;
    t->edit = record->sequence;
    t->err = err;
    arena_reset(&t->arena);
    enum lam_code rc = manifest_edit_decode(payload, &t->arena, &edit, err);
    if (rc != LAM_OK)
        return error_context(err, rc, "%s: offset %" PRIu64, t->path, record->offset);
    tell_edit(t, &edit);
    return t->code;
}

enum lam_code lam_inspect_manifest(const char *path, lam_env *env, lam_line_fn fn, void *arg,
                                   struct lam_error *err) {
    OWNED(telling_fini) struct telling t = {.path = path, .fn = fn, .arg = arg};
    struct log_read_result res;
    uint8_t db_id[16];
    uint64_t file;
    TRY(check_path(path, "lam_inspect_manifest", err));
    if (!fn)
        return ERR(err, LAM_INVALID, "lam_inspect_manifest: fn must not be NULL");
    return read_log(env ? env : lam_env_posix(), path, LOG_MAGIC_MANIFEST, tell_record, &t,
                    &t.ended, db_id, &file, &res, err);
}

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
