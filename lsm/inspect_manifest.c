/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests as lines of text. */
#include <inttypes.h>
#include <stdarg.h>

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
    enum lam_code code; /* of the first word that had no room; ends the telling */
    struct lam_error *err;
};

/* --- words ---------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 2, 3))) add(struct telling *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    if (t->code == LAM_OK)
        t->code = buf_append_vformat(&t->line, t->err, format, args);
    va_end(args);
}

static void begin(struct telling *t, const char *what) {
    buf_reset(&t->line);
    add(t, "edit %" PRIu64 " %s", t->edit, what);
}

static void number(struct telling *t, const char *name, uint64_t value) {
    add(t, " %s=%" PRIu64, name, value);
}

static void bytes(struct telling *t, const char *name, struct lam_slice value) {
    add(t, " %s=", name);
    for (size_t i = 0; i < value.size; i++) {
        uint8_t b = value.data[i];
        add(t, b > 0x20 && b < 0x7f && b != '\\' ? "%c" : "\\x%02x", b);
    }
}

static void end(struct telling *t) {
    const char *text;
    if (t->code == LAM_OK)
        t->code = buf_cstr(&t->line, &text, t->err);
    if (t->code != LAM_OK)
        return;
    t->ended = !t->fn(t->arg, text);
    /* What stops the reading is an error; inspect_log takes it back. */
    if (t->ended)
        t->code = ERR(NULL, LAM_BUSY, "ended");
}

static void tell_number(struct telling *t, const char *what, uint64_t value) {
    begin(t, what);
    add(t, "=%" PRIu64, value);
    end(t);
}

/* --- parts of an edit ----------------------------------------------------------------------- */

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
