/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and writing the superblock. */
#include "lsm/superblock.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/hash.h"
#include "lsm/filename.h"

#define MAGIC      "LAMROOT\n"
#define UNIT_BYTES 16

/* Field offsets of a slot. */
enum {
    SLOT_VERSION = 8,
    SLOT_DB_ID = 16,
    SLOT_GENERATION = 32,
    SLOT_CHECKSUM = 40,
    SLOT_MANIFEST_BYTES = 48,
    SLOT_MANIFEST_CHECKSUM = 56,
    SLOT_MANIFEST_NUMBER = 64, /* zeros from 72 on */
};

static uint64_t slot_checksum(const uint8_t *slot) {
    uint64_t before = hash_xxh3(slot, SLOT_CHECKSUM, 0);
    return hash_xxh3(slot + SLOT_CHECKSUM + 8, SUPERBLOCK_SLOT_BYTES - SLOT_CHECKSUM - 8, before);
}

static void encode_slot(const struct superblock *sb, uint8_t *out) {
    memset(out, 0, SUPERBLOCK_SLOT_BYTES);
    memcpy(out, MAGIC, 8);
    put_le32(out + SLOT_VERSION, SUPERBLOCK_VERSION);
    memcpy(out + SLOT_DB_ID, sb->db_id, 16);
    put_le64(out + SLOT_GENERATION, sb->generation);
    put_le64(out + SLOT_MANIFEST_BYTES, sb->manifest_bytes);
    put_le64(out + SLOT_MANIFEST_CHECKSUM, sb->manifest_checksum);
    put_le64(out + SLOT_MANIFEST_NUMBER, sb->manifest_number);
    put_le64(out + SLOT_CHECKSUM, slot_checksum(out));
}

enum slot_state { SLOT_GOOD, SLOT_BAD, SLOT_OTHER_VERSION };

static enum slot_state decode_slot(const uint8_t *in, uint64_t slot, struct superblock *out) {
    if (memcmp(in, MAGIC, 8) != 0 || get_le64(in + SLOT_CHECKSUM) != slot_checksum(in))
        return SLOT_BAD;
    if (get_le32(in + SLOT_VERSION) != SUPERBLOCK_VERSION)
        return SLOT_OTHER_VERSION;
    memcpy(out->db_id, in + SLOT_DB_ID, 16);
    out->generation = get_le64(in + SLOT_GENERATION);
    out->manifest_bytes = get_le64(in + SLOT_MANIFEST_BYTES);
    out->manifest_checksum = get_le64(in + SLOT_MANIFEST_CHECKSUM);
    out->manifest_number = get_le64(in + SLOT_MANIFEST_NUMBER);
    /* Any byte that an encoder leaves zero and that is not would fail here. */
    uint8_t again[SUPERBLOCK_SLOT_BYTES];
    encode_slot(out, again);
    bool same = memcmp(again, in, sizeof again) == 0;
    return same && out->generation % 2 == slot ? SLOT_GOOD : SLOT_BAD;
}

static bool same_content(const struct superblock *a, const struct superblock *b) {
    return memcmp(a->db_id, b->db_id, sizeof a->db_id) == 0 &&
           a->manifest_number == b->manifest_number && a->manifest_bytes == b->manifest_bytes &&
           a->manifest_checksum == b->manifest_checksum;
}

/* Whether `unit` begins as `x` and ends as `y`. */
static bool is_cut(const uint8_t *unit, const uint8_t *x, const uint8_t *y) {
    size_t at = 0;
    while (at < UNIT_BYTES && unit[at] == x[at])
        at++;
    return memcmp(unit + at, y + at, UNIT_BYTES - at) == 0;
}

static bool is_mixture(const uint8_t *slot, const struct superblock *x,
                       const struct superblock *y) {
    uint8_t a[SUPERBLOCK_SLOT_BYTES];
    uint8_t b[SUPERBLOCK_SLOT_BYTES];
    encode_slot(x, a);
    encode_slot(y, b);
    for (size_t at = 0; at < SUPERBLOCK_SLOT_BYTES; at += UNIT_BYTES)
        if (!is_cut(slot + at, a + at, b + at) && !is_cut(slot + at, b + at, a + at))
            return false;
    return true;
}

/* Whether a crash can leave `slot` beside the whole sealed slot `sb` (S3). */
static bool is_torn_write(const uint8_t *slot, const struct superblock *sb) {
    struct superblock before = *sb;
    struct superblock after = *sb;
    before.generation--;
    after.generation++;
    struct superblock before_open = before;
    struct superblock after_open = after;
    before_open.manifest_bytes = before_open.manifest_checksum = 0;
    after_open.manifest_bytes = after_open.manifest_checksum = 0;
    /* Sealing; opening what is sealed; opening what a crash or a failure left half sealed. */
    return is_mixture(slot, &before_open, &after) || is_mixture(slot, &before, &after_open) ||
           is_mixture(slot, &before_open, &after_open);
}

/* Picks from two whole slots. */
static enum lam_code pick(const char *path, const struct superblock *slots, struct superblock *out,
                          struct lam_error *err) {
    bool second = slots[1].generation > slots[0].generation;
    const struct superblock *newer = &slots[second];
    const struct superblock *older = &slots[!second];
    if (newer->generation - older->generation != 1 ||
        memcmp(newer->db_id, older->db_id, sizeof newer->db_id) != 0)
        return ERR(err, LAM_CORRUPT,
                   "%s: offset 0: slots of generations %" PRIu64 " and %" PRIu64
                   " do not belong together",
                   path, slots[0].generation, slots[1].generation);
    /* A crash between the two writes that seal leaves an older slot that differs by the seal only.
     */
    struct superblock expected = *newer;
    if (superblock_is_sealed(newer) && !superblock_is_sealed(older))
        expected.manifest_bytes = expected.manifest_checksum = 0;
    if (superblock_is_sealed(newer) && !same_content(&expected, older))
        return ERR(err, LAM_CORRUPT, "%s: offset %u: slots of a sealed database differ", path,
                   second ? 0 : SUPERBLOCK_SLOT_BYTES);
    *out = *newer;
    return LAM_OK;
}

static enum lam_code choose(const char *path, const uint8_t *bytes, struct superblock *out,
                            struct lam_error *err) {
    struct superblock slots[2];
    enum slot_state states[2];
    for (uint64_t i = 0; i < 2; i++)
        states[i] = decode_slot(bytes + i * SUPERBLOCK_SLOT_BYTES, i, &slots[i]);
    if (states[0] == SLOT_OTHER_VERSION || states[1] == SLOT_OTHER_VERSION)
        return ERR(err, LAM_UNSUPPORTED, "%s: format version is not %d", path, SUPERBLOCK_VERSION);
    if (states[0] == SLOT_GOOD && states[1] == SLOT_GOOD)
        return pick(path, slots, out, err);
    if (states[0] == SLOT_BAD && states[1] == SLOT_BAD)
        return ERR(err, LAM_CORRUPT, "%s: offset 0: both slots are damaged", path);
    size_t good = states[0] == SLOT_GOOD ? 0 : 1;
    const uint8_t *bad = bytes + (1 - good) * SUPERBLOCK_SLOT_BYTES;
    if (superblock_is_sealed(&slots[good]) && !is_torn_write(bad, &slots[good]))
        return ERR(err, LAM_CORRUPT, "%s: offset %u: slot of a sealed database is damaged", path,
                   (unsigned)((1 - good) * SUPERBLOCK_SLOT_BYTES));
    *out = slots[good];
    return LAM_OK;
}

enum lam_code superblock_create(lam_env *env, const char *dir, struct superblock *sb,
                                struct lam_error *err) {
    uint8_t slots[SUPERBLOCK_BYTES];
    OWNED(buf_fini) struct buf path = {0};
    const char *text;
    /* Generation 1 stands in slot 1, 2 in slot 0. */
    for (sb->generation = 1; sb->generation <= 2; sb->generation++)
        encode_slot(sb, slots + sb->generation % 2 * SUPERBLOCK_SLOT_BYTES);
    sb->generation = 2;
    TRY(filename_path(&path, dir, FILE_ROOT, 0, &text, err));
    return env_write_file(env, text, lam_slice_of(slots, sizeof slots), err);
}

enum lam_code superblock_read(lam_env *env, const char *dir, struct superblock *sb_out,
                              struct lam_error *err) {
    OWNED(buf_fini) struct buf path = {0}, bytes = {0};
    const char *text;
    TRY(filename_path(&path, dir, FILE_ROOT, 0, &text, err));
    enum lam_code rc = env_read_file(env, text, SUPERBLOCK_BYTES, &bytes, err);
    if (rc == LAM_LIMIT || (rc == LAM_OK && bytes.size != SUPERBLOCK_BYTES))
        return ERR(err, LAM_CORRUPT, "%s: offset %zu: the file has not %u bytes", text, bytes.size,
                   SUPERBLOCK_BYTES);
    TRY(rc);
    return choose(text, bytes.data, sb_out, err);
}

static enum lam_code write_slot(lam_env *env, const char *path, const struct superblock *sb,
                                struct lam_error *err) {
    uint8_t slot[SUPERBLOCK_SLOT_BYTES];
    encode_slot(sb, slot);
    lam_file *file;
    TRY(env_file_open(env, path, LAM_OPEN_WRITE, &file, err));
    enum lam_code rc =
        env_file_write(file, sb->generation % 2 * SUPERBLOCK_SLOT_BYTES, slot, sizeof slot, err);
    return env_file_end(file, rc, err);
}

enum lam_code superblock_confirm(lam_env *env, const char *dir, const struct superblock *sb,
                                 struct lam_error *err) {
    OWNED(buf_fini) struct buf path = {0};
    const char *text;
    TRY(filename_path(&path, dir, FILE_ROOT, 0, &text, err));
    return write_slot(env, text, sb, err);
}

enum lam_code superblock_write(lam_env *env, const char *dir, struct superblock *sb,
                               struct lam_error *err) {
    sb->generation++;
    return superblock_confirm(env, dir, sb, err);
}

enum lam_code superblock_publish(lam_env *env, const char *dir, struct superblock *sb,
                                 struct lam_error *err) {
    TRY(superblock_write(env, dir, sb, err));
    return superblock_write(env, dir, sb, err);
}
