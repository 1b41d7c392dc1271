/* SPDX-License-Identifier: Apache-2.0
 *
 * By docs/FORMAT.md. */
#include "tests/fuzz/mend.h"

#include "base/arena.h"
#include "base/hash.h"
#include "lsm/log_format.h"
#include "lsm/manifest.h"
#include "lsm/sst_format.h"
#include "lsm/sst_index.h"
#include "lsm/superblock.h"
#include "tests/fuzz/fuzz.h"

/* --- ROOT ------------------------------------------------------------------------------------ */

void mend_root(struct buf *root, uint64_t sealed_bytes, uint64_t sealed_hash) {
    for (size_t at = 0; at + SUPERBLOCK_SLOT_BYTES <= root->size; at += SUPERBLOCK_SLOT_BYTES) {
        uint8_t *slot = root->data + at;
        if (sealed_bytes && get_le64(slot + 48) != 0) {
            put_le64(slot + 48, sealed_bytes);
            put_le64(slot + 56, sealed_hash);
        }
        uint64_t before = hash_xxh3(slot, 40, 0);
        put_le64(slot + 40, hash_xxh3(slot + 48, SUPERBLOCK_SLOT_BYTES - 48, before));
    }
}

/* --- logs ------------------------------------------------------------------------------------ */

static size_t count_records(struct lam_slice log) {
    size_t count = 0, at = LOG_HEADER_BYTES;
    if (log.size < LOG_HEADER_BYTES)
        return 0;
    uint32_t marker = log_marker(get_le64(log.data + 56));
    while (at + LOG_RECORD_BYTES <= log.size && get_le32(log.data + at) == marker) {
        at += LOG_RECORD_BYTES + get_le32(log.data + at + 16);
        count++;
    }
    return count;
}

static uint64_t mend_record(uint8_t *at, size_t offset, size_t length, uint64_t seed) {
    uint64_t own = hash_mix(seed, offset);
    put_le32(at, log_marker(seed));
    put_le32(at + 4, (uint32_t)hash_xxh3(at + 16, 24, own));
    put_le64(at + 8, hash_xxh3(at + 16, 24 + length, own));
    return get_le64(at + 8);
}

struct mended_log mend_log(struct buf *log, struct lam_slice before) {
    size_t count = count_records(before), at = LOG_HEADER_BYTES;
    if (log->size < LOG_HEADER_BYTES)
        return (struct mended_log){0};
    uint64_t seed = hash_xxh3(log->data, 56, 0), hash = seed;
    put_le64(log->data + 56, seed);
    for (; count > 0 && at + LOG_RECORD_BYTES <= log->size; count--) {
        size_t length = get_le32(log->data + at + 16), left = log->size - at - LOG_RECORD_BYTES;
        bool whole = length <= left;
        uint64_t checksum = mend_record(log->data + at, at, whole ? length : left, seed);
        if (!whole)
            break;
        hash = hash_mix(hash, checksum);
        at += LOG_RECORD_BYTES + length;
    }
    return (struct mended_log){at, hash};
}

/* --- SST ------------------------------------------------------------------------------------- */

struct sst_mending {
    struct buf *file;
    uint64_t seed, digest;
};

static void mend_block(struct sst_mending *m, uint64_t offset, uint64_t size) {
    uint8_t *block = m->file->data + offset;
    uint64_t checksum = hash_xxh3(block, (size_t)size - 8, hash_mix(m->seed, offset));
    put_le64(block + size - 8, checksum);
    m->digest = hash_mix(m->digest, checksum);
}

uint64_t mend_sst(struct buf *sst, struct lam_slice before) {
    struct sst_footer f;
    struct sst_index x;
    if (sst->size != before.size)
        return 0;
    const uint8_t *old = before.data + before.size - SST_FOOTER_BYTES;
    fuzz_ok(sst_footer_decode(old, old + 16, get_le64(old + 32), before.size, &f, NULL), NULL);
    struct lam_slice index =
        lam_slice_of(before.data + f.index.offset, (size_t)f.index.size - SST_TRAILER_BYTES);
    fuzz_ok(sst_index_decode(index, f.ranges.offset, 1u << 30, &x, NULL), NULL);
    uint64_t seed = sst_file_seed(f.db_id, f.number);
    struct sst_mending m = {sst, seed, seed};
    for (uint32_t i = 0; i < x.count; i++)
        mend_block(&m, x.offsets[i], x.offsets[i + 1] - x.offsets[i]);
    mend_block(&m, f.ranges.offset, f.ranges.size);
    mend_block(&m, f.filter.offset, f.filter.size);
    mend_block(&m, f.index.offset, f.index.size);
    mend_block(&m, f.properties.offset, f.properties.size);
    sst_index_fini(&x);
    uint8_t *footer = sst->data + sst->size - SST_FOOTER_BYTES;
    put_le64(footer + 104, m.digest);
    uint64_t own = sst_file_seed(footer + 16, get_le64(footer + 32));
    uint64_t checksum = hash_xxh3(footer, SST_FOOTER_BYTES - 8, own);
    put_le64(footer + SST_FOOTER_BYTES - 8, checksum);
    return checksum;
}

/* --- manifest -------------------------------------------------------------------------------- */

struct naming {
    mend_sst_fn sst;
    mend_wal_fn wal;
    void *arg;
};

/* Encodes an edit again with what the files are now; the bytes as they are if it is none. */
static void rename_files(const struct naming *n, struct lam_slice edit, struct buf *out) {
    struct arena arena = {0};
    struct manifest_edit e;
    size_t start = out->size;
    if (manifest_edit_decode(edit, &arena, &e, NULL) != LAM_OK) {
        fuzz_put(out, edit.data, edit.size);
        arena_fini(&arena);
        return;
    }
    /* The arrays are the arena's own. */
    struct manifest_file *files = (struct manifest_file *)(uintptr_t)e.added;
    struct manifest_wal *wals = (struct manifest_wal *)(uintptr_t)e.wals;
    for (size_t i = 0; i < e.added_count; i++)
        (void)n->sst(n->arg, files[i].number, &files[i].size_bytes, &files[i].footer_checksum);
    for (size_t i = 0; i < e.wals_count; i++) {
        struct mended_log log;
        if (wals[i].end == 0 || !n->wal(n->arg, wals[i].number, &log))
            continue;
        wals[i].end = log.end;
        wals[i].checksum = log.hash;
    }
    if (manifest_edit_encode(&e, out, NULL) != LAM_OK) {
        out->size = start;
        fuzz_put(out, edit.data, edit.size);
    }
    arena_fini(&arena);
}

struct mended_log mend_manifest(struct buf *manifest, mend_sst_fn sst, mend_wal_fn wal, void *arg) {
    struct naming n = {sst, wal, arg};
    struct buf out = {0};
    size_t at = LOG_HEADER_BYTES;
    if (manifest->size < LOG_HEADER_BYTES)
        return (struct mended_log){0};
    fuzz_put(&out, manifest->data, LOG_HEADER_BYTES);
    uint64_t seed = get_le64(out.data + 56), hash = seed;
    while (at + LOG_RECORD_BYTES <= manifest->size &&
           get_le32(manifest->data + at) == log_marker(seed)) {
        size_t length = get_le32(manifest->data + at + 16), start = out.size;
        if (length > manifest->size - at - LOG_RECORD_BYTES)
            break;
        fuzz_put(&out, manifest->data + at, LOG_RECORD_BYTES);
        rename_files(&n, lam_slice_of(manifest->data + at + LOG_RECORD_BYTES, length), &out);
        size_t grown = out.size - start - LOG_RECORD_BYTES;
        if (get_le32(out.data + start + 20) == at) /* as the format has it */
            put_le32(out.data + start + 20, (uint32_t)start);
        put_le32(out.data + start + 16, (uint32_t)grown);
        hash = hash_mix(hash, mend_record(out.data + start, start, grown, seed));
        at += LOG_RECORD_BYTES + length;
    }
    struct mended_log result = {out.size, hash};
    fuzz_put(&out, manifest->data + at, manifest->size - at);
    buf_fini(manifest);
    *manifest = out;
    return result;
}
