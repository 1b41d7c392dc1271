/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifest edits and the superblock. An edit that decodes must encode to the same bytes: there is
 * one form of each. The input also makes a ROOT, whose checksums are put right, and is the one edit
 * of the manifest beside it. */
#include "base/arena.h"
#include "lsm/log_format.h"
#include "lsm/manifest.h"
#include "lsm/superblock.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mend.h"

static const uint8_t db_id[16] = "0123456789abcdef";

static void decode_and_encode(struct lam_slice bytes) {
    struct arena arena = {0};
    struct manifest_edit edit;
    if (manifest_edit_decode(bytes, &arena, &edit, NULL) == LAM_OK) {
        struct buf again = {0};
        REQUIRE(manifest_edit_encode(&edit, &again, NULL) == LAM_OK);
        REQUIRE(slice_eq(buf_slice(&again), bytes));
        buf_fini(&again);
    }
    arena_fini(&arena);
}

/* Two whole slots, changed by the input, with checksums that hold. */
static void write_root(lam_env *env, struct lam_slice patch) {
    struct superblock sb = {.manifest_number = 3};
    memcpy(sb.db_id, db_id, sizeof db_id);
    REQUIRE(superblock_create(env, "/", &sb, NULL) == LAM_OK);
    struct buf root = {0};
    fuzz_file_read(env, "/ROOT", &root);
    for (size_t i = 0; i + 1 < patch.size; i += 2) {
        size_t slot = patch.data[i] >= 128 ? SUPERBLOCK_SLOT_BYTES : 0;
        root.data[slot + patch.data[i] % 128] ^= patch.data[i + 1];
    }
    mend_root(&root, 0, 0);
    fuzz_file_write(env, "/ROOT", buf_slice(&root));
    buf_fini(&root);
}

static void write_manifest(lam_env *env, struct lam_slice edit) {
    struct log_identity id = {LOG_MAGIC_MANIFEST, db_id, 3};
    struct log_record record = {.offset = LOG_HEADER_BYTES, .sequence = 1};
    struct buf file = {0};
    uint8_t header[LOG_HEADER_BYTES];
    uint8_t framing[LOG_RECORD_BYTES];
    uint64_t seed = log_header_encode(&id, 1, header);
    record.length = (uint32_t)edit.size;
    log_record_encode(&record, seed, edit, framing);
    fuzz_put(&file, header, sizeof header);
    fuzz_put(&file, framing, sizeof framing);
    fuzz_put(&file, edit.data, edit.size);
    fuzz_file_write(env, "/MANIFEST-000003", buf_slice(&file));
    buf_fini(&file);
}

static enum lam_code take_edit(void *arg, const struct manifest_edit *edit, struct lam_error *err) {
    (void)edit;
    (void)err;
    ++*(uint64_t *)arg;
    return LAM_OK;
}

static void load_root(struct lam_slice patch, struct lam_slice edit) {
    lam_env *env = fuzz_env_new();
    write_root(env, patch);
    write_manifest(env, edit);
    struct manifest_root root;
    struct lam_error err = {0};
    uint64_t edits = 0;
    enum lam_code rc = manifest_load(env, "/", &root, take_edit, &edits, &err);
    REQUIRE(rc == LAM_OK || rc == LAM_CORRUPT || rc == LAM_UNSUPPORTED);
    REQUIRE(rc != LAM_OK || edits == 1);
    fuzz_env_free(env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct lam_slice all = lam_slice_of(data, size);
    decode_and_encode(all);
    struct cursor c = cursor_of(all);
    size_t patch = cursor_u8(&c) % 16;
    if (cursor_left(&c) < patch)
        return 0;
    struct lam_slice first = cursor_bytes(&c, patch);
    load_root(first, cursor_bytes(&c, cursor_left(&c)));
    return 0;
}
