/* SPDX-License-Identifier: Apache-2.0
 *
 * Codec of manifest edits: tagged parts in rising order of tag, each at most once. */
#include "base/arena.h"
#include "base/assert.h"
#include "base/utf8.h"
#include "lamina/db.h"
#include "lsm/manifest.h"

/* Stored; never renumbered. */
enum edit_tag {
    TAG_NEXT_NUMBER = 1,
    TAG_LAST_SEQUENCE = 2,
    TAG_WAL_FLOOR = 3,
    TAG_CLEAN_CLOSE = 4,
    TAG_CREATED = 5,
    TAG_DROPPED = 6,
    TAG_ADDED = 7,
    TAG_REMOVED = 8,
    TAG_WALS = 9,
};

/* --- encoding ------------------------------------------------------------------------------ */

static enum lam_code put_number(struct buf *out, enum edit_tag tag, uint64_t v,
                                struct lam_error *err) {
    TRY(buf_append_varint(out, tag, err));
    return buf_append_varint(out, v, err);
}

static bool name_is_sound(struct lam_slice name) {
    return name.size > 0 && name.size <= LAM_PARTITION_NAME_MAX &&
           !memchr(name.data, 0, name.size) && utf8_valid(name, NULL);
}

static bool options_are_sound(uint64_t compression) {
    return compression <= LAM_COMPRESSION_LZ4;
}

static enum lam_code put_created(struct buf *out, const struct manifest_partition *p,
                                 struct lam_error *err) {
    if (!name_is_sound(p->name) || !options_are_sound(p->options.compression))
        return ERR(err, LAM_INVALID, "partition %llu: bad name or options",
                   (unsigned long long)p->number);
    TRY(buf_append_varint(out, p->number, err));
    TRY(buf_append_prefixed(out, p->name, err));
    TRY(buf_append_varint(out, p->options.compression, err));
    return buf_append_varint(out, p->options.ttl_seconds, err);
}

static enum lam_code put_properties(struct buf *out, const struct sst_properties *p,
                                    struct lam_error *err) {
    TRY(buf_append_varint(out, p->entries, err));
    TRY(buf_append_varint(out, p->deletes, err));
    TRY(buf_append_varint(out, p->range_tombstones, err));
    TRY(buf_append_varint(out, p->raw_bytes, err));
    TRY(buf_append_varint(out, p->sequence_min, err));
    TRY(buf_append_varint(out, p->sequence_max, err));
    return buf_append_varint(out, zigzag_encode(p->written_us), err);
}

static enum lam_code put_added(struct buf *out, const struct manifest_file *f,
                               struct lam_error *err) {
    TRY(buf_append_varint(out, f->partition, err));
    TRY(buf_append_varint(out, f->level, err));
    TRY(buf_append_varint(out, f->number, err));
    TRY(buf_append_varint(out, f->size_bytes, err));
    TRY(buf_append_le64(out, f->footer_checksum, err));
    TRY(buf_append_prefixed(out, f->smallest, err));
    TRY(buf_append_prefixed(out, f->largest, err));
    TRY(buf_append_u8(out, f->largest_open, err));
    return put_properties(out, &f->properties, err);
}

static enum lam_code put_removed(struct buf *out, const struct manifest_removed *r,
                                 struct lam_error *err) {
    TRY(buf_append_varint(out, r->partition, err));
    TRY(buf_append_varint(out, r->level, err));
    return buf_append_varint(out, r->number, err);
}

static enum lam_code put_wal(struct buf *out, const struct manifest_wal *w, struct lam_error *err) {
    TRY(buf_append_varint(out, w->number, err));
    TRY(buf_append_varint(out, w->end, err));
    return buf_append_le64(out, w->checksum, err);
}

static enum lam_code put_lists(struct buf *out, const struct manifest_edit *e,
                               struct lam_error *err) {
    if (e->created_count > 0)
        TRY(put_number(out, TAG_CREATED, e->created_count, err));
    for (size_t i = 0; i < e->created_count; i++)
        TRY(put_created(out, &e->created[i], err));
    if (e->dropped_count > 0)
        TRY(put_number(out, TAG_DROPPED, e->dropped_count, err));
    for (size_t i = 0; i < e->dropped_count; i++)
        TRY(buf_append_varint(out, e->dropped[i], err));
    if (e->added_count > 0)
        TRY(put_number(out, TAG_ADDED, e->added_count, err));
    for (size_t i = 0; i < e->added_count; i++)
        TRY(put_added(out, &e->added[i], err));
    if (e->removed_count > 0)
        TRY(put_number(out, TAG_REMOVED, e->removed_count, err));
    for (size_t i = 0; i < e->removed_count; i++)
        TRY(put_removed(out, &e->removed[i], err));
    if (e->wals_count > 0)
        TRY(put_number(out, TAG_WALS, e->wals_count, err));
    for (size_t i = 0; i < e->wals_count; i++)
        TRY(put_wal(out, &e->wals[i], err));
    return LAM_OK;
}

enum lam_code manifest_edit_encode(const struct manifest_edit *edit, struct buf *out,
                                   struct lam_error *err) {
    if (edit->has_next_number)
        TRY(put_number(out, TAG_NEXT_NUMBER, edit->next_number, err));
    if (edit->has_last_sequence)
        TRY(put_number(out, TAG_LAST_SEQUENCE, edit->last_sequence, err));
    if (edit->has_wal_floor)
        TRY(put_number(out, TAG_WAL_FLOOR, edit->wal_floor, err));
    if (edit->clean_close)
        TRY(buf_append_varint(out, TAG_CLEAN_CLOSE, err));
    return put_lists(out, edit, err);
}

/* --- decoding ------------------------------------------------------------------------------ */

struct decoder {
    struct cursor c;
    struct arena *arena;
    struct lam_error *err;
};

static enum lam_code malformed(struct decoder *d, const char *what) {
    return ERR(d->err, LAM_CORRUPT, "manifest edit: malformed %s at byte %zu", what,
               cursor_offset(&d->c));
}

/* Reads a list's count, of elements that take at least `least` bytes, and allocates the array. */
static enum lam_code begin_list(struct decoder *d, size_t least, size_t elem, void **array,
                                size_t *count) {
    uint64_t n = cursor_varint(&d->c);
    if (d->c.failed || n == 0 || n > cursor_left(&d->c) / least)
        return malformed(d, "list");
    *array = arena_calloc(d->arena, (size_t)n, elem);
    if (!*array)
        return mem_fail(d->err, (size_t)n * elem);
    *count = (size_t)n;
    return LAM_OK;
}

static enum lam_code get_created(struct decoder *d, struct manifest_edit *out) {
    struct manifest_partition *list;
    TRY(begin_list(d, 5, sizeof *list, (void **)&list, &out->created_count));
    out->created = list;
    for (size_t i = 0; i < out->created_count; i++) {
        list[i].number = cursor_varint(&d->c);
        list[i].name = cursor_prefixed(&d->c);
        uint64_t compression = cursor_varint(&d->c);
        list[i].options.ttl_seconds = cursor_varint32(&d->c);
        if (d->c.failed || !name_is_sound(list[i].name) || !options_are_sound(compression))
            return malformed(d, "partition");
        list[i].options.compression = (enum lam_compression)compression;
    }
    return LAM_OK;
}

static enum lam_code get_dropped(struct decoder *d, struct manifest_edit *out) {
    uint64_t *list;
    TRY(begin_list(d, 1, sizeof *list, (void **)&list, &out->dropped_count));
    out->dropped = list;
    for (size_t i = 0; i < out->dropped_count; i++)
        list[i] = cursor_varint(&d->c);
    return LAM_OK;
}

static void get_properties(struct cursor *c, struct sst_properties *p) {
    p->entries = cursor_varint(c);
    p->deletes = cursor_varint(c);
    p->range_tombstones = cursor_varint(c);
    p->raw_bytes = cursor_varint(c);
    p->sequence_min = cursor_varint(c);
    p->sequence_max = cursor_varint(c);
    p->written_us = zigzag_decode(cursor_varint(c));
}

static enum lam_code get_added(struct decoder *d, struct manifest_edit *out) {
    struct manifest_file *list;
    TRY(begin_list(d, 22, sizeof *list, (void **)&list, &out->added_count));
    out->added = list;
    for (size_t i = 0; i < out->added_count; i++) {
        struct manifest_file *f = &list[i];
        f->partition = cursor_varint(&d->c);
        f->level = cursor_varint32(&d->c);
        f->number = cursor_varint(&d->c);
        f->size_bytes = cursor_varint(&d->c);
        f->footer_checksum = cursor_le64(&d->c);
        f->smallest = cursor_prefixed(&d->c);
        f->largest = cursor_prefixed(&d->c);
        uint8_t open = cursor_u8(&d->c);
        get_properties(&d->c, &f->properties);
        if (d->c.failed || open > 1)
            return malformed(d, "file");
        f->largest_open = open;
    }
    return LAM_OK;
}

static enum lam_code get_removed(struct decoder *d, struct manifest_edit *out) {
    struct manifest_removed *list;
    TRY(begin_list(d, 3, sizeof *list, (void **)&list, &out->removed_count));
    out->removed = list;
    for (size_t i = 0; i < out->removed_count; i++) {
        list[i].partition = cursor_varint(&d->c);
        list[i].level = cursor_varint32(&d->c);
        list[i].number = cursor_varint(&d->c);
    }
    return LAM_OK;
}

static enum lam_code get_wals(struct decoder *d, struct manifest_edit *out) {
    struct manifest_wal *list;
    TRY(begin_list(d, 10, sizeof *list, (void **)&list, &out->wals_count));
    out->wals = list;
    for (size_t i = 0; i < out->wals_count; i++) {
        list[i].number = cursor_varint(&d->c);
        list[i].end = cursor_varint(&d->c);
        list[i].checksum = cursor_le64(&d->c);
    }
    return LAM_OK;
}

static enum lam_code get_part(struct decoder *d, uint64_t tag, struct manifest_edit *out) {
    switch (tag) {
    case TAG_NEXT_NUMBER:
        out->has_next_number = true;
        out->next_number = cursor_varint(&d->c);
        return LAM_OK;
    case TAG_LAST_SEQUENCE:
        out->has_last_sequence = true;
        out->last_sequence = cursor_varint(&d->c);
        return LAM_OK;
    case TAG_WAL_FLOOR:
        out->has_wal_floor = true;
        out->wal_floor = cursor_varint(&d->c);
        return LAM_OK;
    case TAG_CLEAN_CLOSE:
        out->clean_close = true;
        return LAM_OK;
    case TAG_CREATED:
        return get_created(d, out);
    case TAG_DROPPED:
        return get_dropped(d, out);
    case TAG_ADDED:
        return get_added(d, out);
    case TAG_REMOVED:
        return get_removed(d, out);
    case TAG_WALS:
        return get_wals(d, out);
    default:
        return malformed(d, "tag");
    }
}

enum lam_code manifest_edit_decode(struct lam_slice bytes, struct arena *arena,
                                   struct manifest_edit *edit_out, struct lam_error *err) {
    struct decoder d = {cursor_of(bytes), arena, err};
    uint64_t last = 0;
    memset(edit_out, 0, sizeof *edit_out);
    while (cursor_left(&d.c) > 0) {
        uint64_t tag = cursor_varint(&d.c);
        if (d.c.failed || tag <= last)
            return malformed(&d, "tag");
        TRY(get_part(&d, tag, edit_out));
        last = tag;
    }
    return d.c.failed ? malformed(&d, "end") : LAM_OK;
}
