/* SPDX-License-Identifier: Apache-2.0
 *
 * ROOT. The input says what the two slots hold, as fields with a checksum that holds, which of
 * their bytes are changed behind the checksum's back, and where a slot is torn to another content.
 * What is read is one of the contents written, and publishing goes on from it. */
#include "base/hash.h"
#include "lsm/filename.h"
#include "lsm/superblock.h"
#include "tests/fuzz/fuzz.h"

#define UNIT 16

static void mend(uint8_t *slot) {
    uint64_t before = hash_xxh3(slot, 40, 0);
    put_le64(slot + 40, hash_xxh3(slot + 48, SUPERBLOCK_SLOT_BYTES - 48, before));
}

/* A slot from 8 bytes of input: small numbers, so that two of them often belong together. */
static void make_slot(struct cursor *c, uint8_t *slot) {
    memset(slot, 0, SUPERBLOCK_SLOT_BYTES);
    memcpy(slot, "LAMROOT\n", 8);
    uint8_t odd = cursor_u8(c);
    slot[8] = odd & 1 ? cursor_u8(c) : 1;
    memset(slot + 16, odd & 2 ? 'x' : 'i', 16);
    put_le64(slot + 32, odd & 4 ? cursor_le64(c) : cursor_u8(c) % 8);
    bool sealed = odd & 8;
    put_le64(slot + 48, sealed ? cursor_u8(c) % 4 : 0);
    put_le64(slot + 56, sealed ? cursor_u8(c) % 4 : 0);
    put_le64(slot + 64, odd & 16 ? cursor_le64(c) : cursor_u8(c) % 4);
    for (uint8_t n = odd >> 5; n > 0; n--) {
        uint16_t where = cursor_le16(c);
        slot[(odd & 1 ? where : where % 96) % SUPERBLOCK_SLOT_BYTES] ^= cursor_u8(c);
    }
    mend(slot);
}

/* Takes units of another content over the slot, or changes a byte of it. */
static void tear(struct cursor *c, uint8_t *slot, const uint8_t *other) {
    uint8_t how = cursor_u8(c);
    size_t at = cursor_u8(c) % 6 * UNIT;
    if (how % 4 == 1) {
        memcpy(slot + at, other + at, SUPERBLOCK_SLOT_BYTES - at);
    } else if (how % 4 == 2) {
        memcpy(slot + at, other + at, UNIT);
    } else if (how % 4 == 3) {
        slot[cursor_le16(c) % SUPERBLOCK_SLOT_BYTES] ^= cursor_u8(c);
    }
}

static bool slot_says(const uint8_t *slot, const struct superblock *sb) {
    return memcmp(slot + 16, sb->db_id, 16) == 0 && get_le64(slot + 32) == sb->generation &&
           get_le64(slot + 48) == sb->manifest_bytes &&
           get_le64(slot + 56) == sb->manifest_checksum &&
           get_le64(slot + 64) == sb->manifest_number;
}

static void publish_on(lam_env *env, struct superblock sb) {
    struct superblock seen;
    if (sb.generation > UINT64_MAX - 2)
        return;
    sb.manifest_number ^= 5;
    sb.manifest_bytes = sb.manifest_checksum = 0;
    fuzz_ok(superblock_publish(env, "/", &sb, NULL), NULL);
    fuzz_ok(superblock_read(env, "/", &seen, NULL), NULL);
    REQUIRE(memcmp(&seen, &sb, sizeof seen) == 0);
}

static void try_names(struct lam_slice bytes) {
    char name[48], again[FILENAME_MAX_BYTES];
    uint64_t number = 0;
    size_t size = bytes.size < sizeof name - 1 ? bytes.size : sizeof name - 1;
    memset(name, 0, sizeof name);
    if (size > 0)
        memcpy(name, bytes.data, size);
    enum file_type type = filename_parse(name, &number);
    if (type == FILE_OTHER || type == FILE_TEMP)
        return;
    filename_make(type, number, again);
    REQUIRE(strcmp(name, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t root[SUPERBLOCK_BYTES], spare[SUPERBLOCK_SLOT_BYTES];
    static lam_env *env;
    if (!env)
        env = fuzz_env_new();
    struct cursor c = cursor_of(lam_slice_of(data, size));
    try_names(lam_slice_of(data, size));
    make_slot(&c, root);
    make_slot(&c, root + SUPERBLOCK_SLOT_BYTES);
    make_slot(&c, spare);
    tear(&c, root, spare);
    tear(&c, root + SUPERBLOCK_SLOT_BYTES, spare);
    size_t bytes = cursor_u8(&c) == 1 ? cursor_le16(&c) % (SUPERBLOCK_BYTES + 1) : SUPERBLOCK_BYTES;
    fuzz_file_write(env, "/ROOT", lam_slice_of(root, bytes));
    struct superblock sb = {0};
    struct lam_error err = {0};
    enum lam_code rc = superblock_read(env, "/", &sb, &err);
    REQUIRE(rc == LAM_OK || rc == LAM_CORRUPT || rc == LAM_UNSUPPORTED);
    REQUIRE(rc == LAM_OK || strstr(err.message, "ROOT"));
    if (rc != LAM_OK)
        return 0;
    REQUIRE(bytes == SUPERBLOCK_BYTES);
    REQUIRE(slot_says(root, &sb) || slot_says(root + SUPERBLOCK_SLOT_BYTES, &sb));
    publish_on(env, sb);
    return 0;
}
