/* SPDX-License-Identifier: Apache-2.0
 *
 * Codec of manifest edits: tagged parts in rising order of tag, each at most once. A list is its
 * count and its elements, each described once for both directions. */
#include "base/arena.h"
#include "base/coder.h"
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

static bool partition_is_sound(const struct manifest_partition *p) {
    struct lam_slice name = p->name;
    return name.size > 0 && name.size <= LAM_PARTITION_NAME_MAX &&
           !memchr(name.data, 0, name.size) && utf8_valid(name, NULL) &&
           (unsigned)p->options.compression <= LAM_COMPRESSION_LZ4;
}

static void code_created(struct coder *c, void *element) {
    struct manifest_partition *p = element;
    uint64_t compression = p->options.compression;
    code_varint(c, &p->number);
    code_prefixed(c, &p->name);
    code_varint(c, &compression);
    code_varint32(c, &p->options.ttl_seconds);
    if (c->out)
        return;
    c->in.failed |= compression > LAM_COMPRESSION_LZ4;
    p->options.compression = (enum lam_compression)compression;
    c->in.failed |= !partition_is_sound(p);
}

static void code_dropped(struct coder *c, void *element) {
    code_varint(c, element);
}

static void code_added(struct coder *c, void *element) {
    struct manifest_file *f = element;
    struct sst_properties *p = &f->properties;
    code_varint(c, &f->partition);
    code_varint32(c, &f->level);
    code_varint(c, &f->number);
    code_varint(c, &f->size_bytes);
    code_le64(c, &f->footer_checksum);
    code_prefixed(c, &f->smallest);
    code_prefixed(c, &f->largest);
    code_bool(c, &f->largest_open);
    code_varint(c, &p->entries);
    code_varint(c, &p->deletes);
    code_varint(c, &p->range_tombstones);
    code_varint(c, &p->raw_bytes);
    code_varint(c, &p->sequence_min);
    code_varint(c, &p->sequence_max);
    code_zigzag(c, &p->written_us);
}

static void code_removed(struct coder *c, void *element) {
    struct manifest_removed *r = element;
    code_varint(c, &r->partition);
    code_varint32(c, &r->level);
    code_varint(c, &r->number);
}

static void code_wal(struct coder *c, void *element) {
    struct manifest_wal *w = element;
    code_varint(c, &w->number);
    code_varint(c, &w->end);
    code_le64(c, &w->checksum);
}

#define LIST(tag, member, fn, element, least)                                                      \
    [tag] = {offsetof(struct manifest_edit, member),                                               \
             offsetof(struct manifest_edit, member##_count), fn, sizeof(element), least}
static const struct list {
    size_t array, count; /* where they are in an edit */
    void (*code)(struct coder *c, void *element);
    size_t size;  /* of an element */
    size_t least; /* bytes that one takes */
} lists[] = {
    LIST(TAG_CREATED, created, code_created, struct manifest_partition, 5),
    LIST(TAG_DROPPED, dropped, code_dropped, uint64_t, 1),
    LIST(TAG_ADDED, added, code_added, struct manifest_file, 22),
    LIST(TAG_REMOVED, removed, code_removed, struct manifest_removed, 3),
    LIST(TAG_WALS, wals, code_wal, struct manifest_wal, 10),
};

static void put_number(struct coder *c, uint64_t tag, uint64_t v) {
    code_varint(c, &tag);
    code_varint(c, &v);
}

static void put_list(struct coder *c, enum edit_tag tag, const struct manifest_edit *e) {
    const struct list *l = &lists[tag];
    uint8_t *array = *(uint8_t *const *)((const uint8_t *)e + l->array);
    size_t count = *(const size_t *)((const uint8_t *)e + l->count);
    if (count > 0)
        put_number(c, tag, count);
    for (size_t i = 0; i < count; i++)
        l->code(c, array + i * l->size);
}

enum lam_code manifest_edit_encode(const struct manifest_edit *edit, struct buf *out,
                                   struct lam_error *err) {
    struct coder c = coder_to(out, err);
    for (size_t i = 0; i < edit->created_count; i++)
        if (!partition_is_sound(&edit->created[i]))
            return ERR(err, LAM_INVALID, "partition %llu: bad name or options",
                       (unsigned long long)edit->created[i].number);
    if (edit->has_next_number)
        put_number(&c, TAG_NEXT_NUMBER, edit->next_number);
    if (edit->has_last_sequence)
        put_number(&c, TAG_LAST_SEQUENCE, edit->last_sequence);
    if (edit->has_wal_floor)
        put_number(&c, TAG_WAL_FLOOR, edit->wal_floor);
    uint64_t close = TAG_CLEAN_CLOSE;
    if (edit->clean_close)
        code_varint(&c, &close);
    for (enum edit_tag tag = TAG_CREATED; tag <= TAG_WALS; tag++)
        put_list(&c, tag, edit);
    return c.code;
}

static enum lam_code malformed(struct coder *c, const char *what) {
    return ERR(c->err, LAM_CORRUPT, "manifest edit: malformed %s at byte %zu", what,
               cursor_offset(&c->in));
}

static enum lam_code get_list(struct coder *c, enum edit_tag tag, struct arena *arena,
                              struct manifest_edit *out) {
    const struct list *l = &lists[tag];
    uint64_t n = cursor_varint(&c->in);
    if (c->in.failed || n == 0 || n > cursor_left(&c->in) / l->least)
        return malformed(c, "list");
    uint8_t *array = arena_calloc(arena, (size_t)n, l->size);
    if (!array)
        return mem_fail(c->err, (size_t)n * l->size);
    *(uint8_t **)((uint8_t *)out + l->array) = array;
    *(size_t *)((uint8_t *)out + l->count) = (size_t)n;
    for (size_t i = 0; i < n && !c->in.failed; i++)
        l->code(c, array + i * l->size);
    return c->in.failed ? malformed(c, "list") : LAM_OK;
}

static enum lam_code get_part(struct coder *c, uint64_t tag, struct arena *arena,
                              struct manifest_edit *out) {
    switch (tag) {
    case TAG_NEXT_NUMBER:
        out->has_next_number = true;
        out->next_number = cursor_varint(&c->in);
        return LAM_OK;
    case TAG_LAST_SEQUENCE:
        out->has_last_sequence = true;
        out->last_sequence = cursor_varint(&c->in);
        return LAM_OK;
    case TAG_WAL_FLOOR:
        out->has_wal_floor = true;
        out->wal_floor = cursor_varint(&c->in);
        return LAM_OK;
    case TAG_CLEAN_CLOSE:
        out->clean_close = true;
        return LAM_OK;
    default:
        return tag <= TAG_WALS ? get_list(c, (enum edit_tag)tag, arena, out) : malformed(c, "tag");
    }
}

enum lam_code manifest_edit_decode(struct lam_slice bytes, struct arena *arena,
                                   struct manifest_edit *edit_out, struct lam_error *err) {
    struct coder c = coder_from(bytes);
    uint64_t last = 0;
    c.err = err;
    memset(edit_out, 0, sizeof *edit_out);
    while (cursor_left(&c.in) > 0) {
        uint64_t tag = cursor_varint(&c.in);
        if (c.in.failed || tag <= last)
            return malformed(&c, "tag");
        TRY(get_part(&c, tag, arena, edit_out));
        last = tag;
    }
    return c.in.failed ? malformed(&c, "end") : LAM_OK;
}
