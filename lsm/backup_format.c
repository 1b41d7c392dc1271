/* SPDX-License-Identifier: Apache-2.0
 *
 * Descriptions of backups, as bytes. */
#include "lsm/backup_format.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "lsm/filename.h"

enum {
    ROOT_VERSION = 8,
    ROOT_DB_ID = 16,
    ROOT_CHECKSUM = 32,
    HEAD_VERSION = 8,
    HEAD_DB_ID = 16,
    HEAD_ID = 32,
    HEAD_CREATED = 40,
    HEAD_SEQUENCE = 48,
    HEAD_BODY = 56, /* bytes that follow the header */
    HEAD_ZERO = 64,
    HEAD_CHECKSUM = 72,
};
/* Fewest bytes of a file's entry. */
#define FILE_BYTES_MIN 20

bool backup_name_is_safe(const char *name) {
    if (*name == 0 || *name == '/' || strlen(name) > BACKUP_NAME_MAX)
        return false;
    for (const char *at = name; at; at = strchr(at, '/')) {
        while (*at == '/')
            at++;
        size_t size = strcspn(at, "/");
        if (size == 0 || (size == 2 && memcmp(at, "..", 2) == 0))
            return false;
    }
    return true;
}

enum lam_code backup_root_encode(const uint8_t *db_id, struct buf *out, struct lam_error *err) {
    uint8_t bytes[BACKUP_ROOT_BYTES] = {0};
    memcpy(bytes, BACKUP_ROOT_MAGIC, 8);
    put_le32(bytes + ROOT_VERSION, BACKUP_VERSION);
    memcpy(bytes + ROOT_DB_ID, db_id, 16);
    put_le64(bytes + ROOT_CHECKSUM, hash_xxh3(bytes, ROOT_CHECKSUM, 0));
    return buf_append(out, bytes, sizeof bytes, err);
}

enum lam_code backup_root_decode(struct lam_slice bytes, const char *where, uint8_t *db_id_out,
                                 struct lam_error *err) {
    const uint8_t *at = bytes.data;
    if (bytes.size != BACKUP_ROOT_BYTES || memcmp(at, BACKUP_ROOT_MAGIC, 8) != 0 ||
        get_le64(at + ROOT_CHECKSUM) != hash_xxh3(at, ROOT_CHECKSUM, 0))
        return ERR(err, LAM_CORRUPT, "%s: offset 0: not the root of a directory of backups", where);
    if (get_le32(at + ROOT_VERSION) != BACKUP_VERSION || get_le32(at + ROOT_VERSION + 4) != 0)
        return ERR(err, LAM_UNSUPPORTED, "%s: format version is not %d", where, BACKUP_VERSION);
    memcpy(db_id_out, at + ROOT_DB_ID, 16);
    return LAM_OK;
}

static uint64_t checksum(struct lam_slice bytes) {
    return hash_xxh3_pair(
        lam_slice_of(bytes.data, HEAD_CHECKSUM),
        lam_slice_of(bytes.data + BACKUP_HEADER_BYTES, bytes.size - BACKUP_HEADER_BYTES), 0);
}

static enum lam_code put_body(const struct backup_description *d, struct buf *out,
                              struct lam_error *err) {
    TRY(buf_append_varint(out, d->count, err));
    for (size_t i = 0; i < d->count; i++) {
        const struct backup_file *f = &d->files[i];
        LAM_ASSERT(backup_name_is_safe(f->name));
        TRY(buf_append_prefixed(out, lam_slice_str(f->name), err));
        TRY(buf_append_varint(out, f->stored, err));
        TRY(buf_append_varint(out, f->size, err));
        TRY(buf_append_le64(out, f->checksum, err));
        TRY(buf_append_le64(out, f->fingerprint, err));
    }
    return manifest_edit_encode(&d->edit, out, err);
}

enum lam_code backup_encode(const struct backup_description *d, struct buf *out,
                            struct lam_error *err) {
    LAM_ASSERT(out->size == 0);
    TRY(buf_append_zeros(out, BACKUP_HEADER_BYTES, err));
    TRY(put_body(d, out, err));
    if (out->size > BACKUP_BYTES_MAX)
        return ERR(err, LAM_LIMIT, "a backup of %zu files has no room in its description",
                   d->count);
    memcpy(out->data, BACKUP_MAGIC, 8);
    put_le32(out->data + HEAD_VERSION, BACKUP_VERSION);
    memcpy(out->data + HEAD_DB_ID, d->db_id, 16);
    put_le64(out->data + HEAD_ID, d->id);
    put_le64(out->data + HEAD_CREATED, (uint64_t)d->created_us);
    put_le64(out->data + HEAD_SEQUENCE, d->sequence);
    put_le64(out->data + HEAD_BODY, out->size - BACKUP_HEADER_BYTES);
    put_le64(out->data + HEAD_CHECKSUM, checksum(buf_slice(out)));
    return LAM_OK;
}

static enum lam_code take_head(struct lam_slice bytes, const char *where,
                               struct backup_description *out, struct lam_error *err) {
    const uint8_t *at = bytes.data;
    if (bytes.size < BACKUP_HEADER_BYTES || memcmp(at, BACKUP_MAGIC, 8) != 0 ||
        get_le64(at + HEAD_BODY) != bytes.size - BACKUP_HEADER_BYTES ||
        get_le64(at + HEAD_CHECKSUM) != checksum(bytes))
        return ERR(err, LAM_CORRUPT, "%s: offset 0: not a whole description of a backup", where);
    if (get_le32(at + HEAD_VERSION) != BACKUP_VERSION)
        return ERR(err, LAM_UNSUPPORTED, "%s: format version is not %d", where, BACKUP_VERSION);
    memcpy(out->db_id, at + HEAD_DB_ID, 16);
    out->id = get_le64(at + HEAD_ID);
    out->created_us = (int64_t)get_le64(at + HEAD_CREATED);
    out->sequence = get_le64(at + HEAD_SEQUENCE);
    if (get_le32(at + HEAD_VERSION + 4) != 0 || get_le64(at + HEAD_ZERO) != 0 || out->id == 0)
        return ERR(err, LAM_CORRUPT, "%s: offset 0: no such header is written", where);
    return LAM_OK;
}

static enum lam_code take_files(struct cursor *c, struct arena *arena,
                                struct backup_description *out, struct lam_error *err) {
    uint64_t count = cursor_varint(c);
    if (c->failed || count > cursor_left(c) / FILE_BYTES_MIN)
        return ERR(err, LAM_CORRUPT, "a count of files that has no room");
    struct backup_file *files = arena_calloc(arena, (size_t)count + 1, sizeof *files);
    if (!files)
        return mem_fail(err, (size_t)count * sizeof *files);
    for (size_t i = 0; i < count; i++) {
        struct lam_slice name = cursor_prefixed(c);
        files[i].stored = cursor_varint(c);
        files[i].size = cursor_varint(c);
        files[i].checksum = cursor_le64(c);
        files[i].fingerprint = cursor_le64(c);
        if (c->failed || name.size == 0 || memchr(name.data, 0, name.size))
            return ERR(err, LAM_CORRUPT, "file %zu is cut short", i);
        files[i].name = arena_strdup_slice(arena, name);
        if (!files[i].name)
            return mem_fail(err, name.size);
        if (!backup_name_is_safe(files[i].name) ||
            (i > 0 && strcmp(files[i - 1].name, files[i].name) >= 0))
            return ERR(err, LAM_CORRUPT, "file %zu has a name that is none, or out of order", i);
    }
    out->files = files;
    out->count = (size_t)count;
    return LAM_OK;
}

static const struct backup_file *find_file(const struct backup_description *d, const char *name) {
    size_t low = 0, high = d->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(d->files[mid].name, name);
        if (order == 0)
            return &d->files[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* The edit is a whole state of a database without log, whose SSTs are among the files; what else
 * lies at the top is none of ours. */
static enum lam_code check_edit(const struct backup_description *d, struct lam_error *err) {
    const struct manifest_edit *e = &d->edit;
    size_t ssts = 0;
    if (!e->has_next_number || e->next_number < 2 || !e->has_last_sequence || !e->has_wal_floor ||
        e->clean_close || e->removed_count || e->dropped_count || e->wals_count ||
        e->last_sequence != d->sequence)
        return ERR(err, LAM_CORRUPT, "the edit is not a whole state");
    for (size_t i = 0; i < d->count; i++) {
        uint64_t number;
        if (strchr(d->files[i].name, '/'))
            continue;
        if (filename_parse(d->files[i].name, &number) != FILE_SST)
            return ERR(err, LAM_CORRUPT, "file %s is none of a backup", d->files[i].name);
        ssts++;
    }
    for (size_t i = 0; i < e->added_count; i++) {
        char name[FILENAME_MAX_BYTES];
        filename_make(FILE_SST, e->added[i].number, name);
        const struct backup_file *f = find_file(d, name);
        if (!f || f->size != e->added[i].size_bytes)
            return ERR(err, LAM_CORRUPT, "file %s is not as the edit says", name);
    }
    if (ssts != e->added_count)
        return ERR(err, LAM_CORRUPT, "%zu SSTs, the edit names %zu", ssts, e->added_count);
    return LAM_OK;
}

enum lam_code backup_decode(struct lam_slice bytes, const char *where, struct arena *arena,
                            struct backup_description *out, struct lam_error *err) {
    memset(out, 0, sizeof *out);
    TRY(take_head(bytes, where, out, err));
    struct cursor c =
        cursor_of(lam_slice_of(bytes.data + BACKUP_HEADER_BYTES, bytes.size - BACKUP_HEADER_BYTES));
    enum lam_code rc = take_files(&c, arena, out, err);
    if (rc == LAM_OK)
        rc = manifest_edit_decode(
            lam_slice_of(bytes.data + bytes.size - cursor_left(&c), cursor_left(&c)), arena,
            &out->edit, err);
    if (rc == LAM_OK)
        rc = check_edit(out, err);
    return rc == LAM_OK
               ? rc
               : error_context(err, rc, "%s: offset %zu", where, (size_t)BACKUP_HEADER_BYTES);
}
