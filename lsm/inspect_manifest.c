/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests as lines of text. */
#include <inttypes.h>

#include "base/arena.h"
#include "lamina/inspect.h"
#include "lsm/inspect.h"
#include "lsm/manifest.h"

struct telling {
    const char *path;
    lam_line_fn fn;
    void *arg;
    struct arena arena;
    struct buf line;
    uint64_t edit;
    bool ended;
};

/* --- words ---------------------------------------------------------------------------------- */

static enum lam_code put_bytes(struct buf *out, struct lam_slice bytes, struct lam_error *err) {
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t b = bytes.data[i];
        if (b > 0x20 && b < 0x7f && b != '\\')
            TRY(buf_append_u8(out, b, err));
        else
            TRY(buf_append_format(out, err, "\\x%02x", b));
    }
    return LAM_OK;
}

static enum lam_code begin(struct telling *t, const char *what, struct lam_error *err) {
    buf_reset(&t->line);
    return buf_append_format(&t->line, err, "edit %" PRIu64 " %s", t->edit, what);
}

static enum lam_code number(struct telling *t, const char *name, uint64_t value,
                            struct lam_error *err) {
    return buf_append_format(&t->line, err, " %s=%" PRIu64, name, value);
}

static enum lam_code bytes(struct telling *t, const char *name, struct lam_slice value,
                           struct lam_error *err) {
    TRY(buf_append_format(&t->line, err, " %s=", name));
    return put_bytes(&t->line, value, err);
}

static enum lam_code end(struct telling *t, struct lam_error *err) {
    const char *text;
    TRY(buf_cstr(&t->line, &text, err));
    t->ended = !t->fn(t->arg, text);
    /* What stops the reading is an error; inspect_log takes it back. */
    return t->ended ? ERR(NULL, LAM_BUSY, "ended") : LAM_OK;
}

static enum lam_code tell_number(struct telling *t, const char *what, uint64_t value,
                                 struct lam_error *err) {
    TRY(begin(t, what, err));
    TRY(buf_append_format(&t->line, err, "=%" PRIu64, value));
    return end(t, err);
}

/* --- parts of an edit ----------------------------------------------------------------------- */

static enum lam_code tell_created(struct telling *t, const struct manifest_partition *p,
                                  struct lam_error *err) {
    TRY(begin(t, "create", err));
    TRY(number(t, "partition", p->number, err));
    TRY(bytes(t, "name", p->name, err));
    TRY(number(t, "compression", (uint64_t)p->options.compression, err));
    TRY(number(t, "ttl_seconds", p->options.ttl_seconds, err));
    return end(t, err);
}

static enum lam_code tell_added(struct telling *t, const struct manifest_file *f,
                                struct lam_error *err) {
    TRY(begin(t, "add", err));
    TRY(number(t, "partition", f->partition, err));
    TRY(number(t, "level", f->level, err));
    TRY(number(t, "file", f->number, err));
    TRY(number(t, "bytes", f->size_bytes, err));
    TRY(bytes(t, "smallest", f->smallest, err));
    TRY(bytes(t, "largest", f->largest, err));
    TRY(number(t, "open", f->largest_open, err));
    TRY(number(t, "entries", f->properties.entries, err));
    TRY(number(t, "deletes", f->properties.deletes, err));
    TRY(number(t, "range_deletes", f->properties.range_tombstones, err));
    TRY(number(t, "sequence_min", f->properties.sequence_min, err));
    TRY(number(t, "sequence_max", f->properties.sequence_max, err));
    return end(t, err);
}

static enum lam_code tell_removed(struct telling *t, const struct manifest_removed *f,
                                  struct lam_error *err) {
    TRY(begin(t, "remove", err));
    TRY(number(t, "partition", f->partition, err));
    TRY(number(t, "level", f->level, err));
    TRY(number(t, "file", f->number, err));
    return end(t, err);
}

static enum lam_code tell_wal(struct telling *t, const struct manifest_wal *w,
                              struct lam_error *err) {
    TRY(begin(t, w->end ? "seal" : "log", err));
    TRY(number(t, "segment", w->number, err));
    if (w->end)
        TRY(number(t, "end", w->end, err));
    return end(t, err);
}

static enum lam_code tell_edit(struct telling *t, const struct manifest_edit *e,
                               struct lam_error *err) {
    if (e->has_next_number)
        TRY(tell_number(t, "next_number", e->next_number, err));
    if (e->has_last_sequence)
        TRY(tell_number(t, "last_sequence", e->last_sequence, err));
    if (e->has_wal_floor)
        TRY(tell_number(t, "wal_floor", e->wal_floor, err));
    for (size_t i = 0; i < e->created_count; i++)
        TRY(tell_created(t, &e->created[i], err));
    for (size_t i = 0; i < e->dropped_count; i++) {
        TRY(begin(t, "drop", err));
        TRY(number(t, "partition", e->dropped[i], err));
        TRY(end(t, err));
    }
    for (size_t i = 0; i < e->added_count; i++)
        TRY(tell_added(t, &e->added[i], err));
    for (size_t i = 0; i < e->removed_count; i++)
        TRY(tell_removed(t, &e->removed[i], err));
    for (size_t i = 0; i < e->wals_count; i++)
        TRY(tell_wal(t, &e->wals[i], err));
    if (!e->clean_close)
        return LAM_OK;
    TRY(begin(t, "close", err));
    return end(t, err);
}

static enum lam_code tell_record(void *arg, const struct log_record *record,
                                 struct lam_slice payload, struct lam_error *err) {
    struct telling *t = arg;
    struct manifest_edit edit;
    t->edit = record->sequence;
    arena_reset(&t->arena);
    enum lam_code rc = manifest_edit_decode(payload, &t->arena, &edit, err);
    if (rc != LAM_OK)
        return error_context(err, rc, "%s: offset %" PRIu64, t->path, record->offset);
    return tell_edit(t, &edit, err);
}

enum lam_code lam_inspect_manifest(const char *path, lam_env *env, lam_line_fn fn, void *arg,
                                   struct lam_error *err) {
    struct telling t = {.path = path, .fn = fn, .arg = arg};
    struct log_read_result res;
    uint8_t db_id[16];
    uint64_t file;
    if (!path || !*path || !fn)
        return ERR(err, LAM_INVALID,
                   "lam_inspect_manifest: path and fn must not be NULL, nor path empty");
    enum lam_code rc = inspect_log(env ? env : lam_env_posix(), path, LOG_MAGIC_MANIFEST,
                                   tell_record, &t, &t.ended, db_id, &file, &res, err);
    arena_fini(&t.arena);
    buf_fini(&t.line);
    return rc;
}
