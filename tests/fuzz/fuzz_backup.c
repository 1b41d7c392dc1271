/* SPDX-License-Identifier: Apache-2.0
 *
 * Descriptions of backups. The input is the body of one, under a header whose checksum is put
 * right: what decodes encodes to the same bytes and names no file outside. Then a directory of
 * backups is made of it, listed, verified and restored, and the input is looked into as each kind
 * of file. */
#include "base/arena.h"
#include "base/hash.h"
#include "lamina/backup.h"
#include "lamina/inspect.h"
#include "lsm/backup_format.h"
#include "tests/fuzz/fuzz.h"

static const uint8_t db_id[16] = "0123456789abcdef";

/* An empty description with this body in the place of its own. */
static void wrap(struct lam_slice body, uint64_t sequence, struct buf *out) {
    struct backup_description d = {.id = 1, .sequence = sequence};
    memcpy(d.db_id, db_id, sizeof db_id);
    REQUIRE(backup_encode(&d, out, NULL) == LAM_OK);
    out->size = BACKUP_HEADER_BYTES;
    fuzz_put(out, body.data, body.size);
    put_le64(out->data + 56, body.size);
    put_le64(out->data + 72,
             hash_xxh3_pair(lam_slice_of(out->data, 72),
                            lam_slice_of(out->data + BACKUP_HEADER_BYTES, body.size), 0));
}

static void decode_and_encode(struct lam_slice bytes) {
    struct arena arena = {0};
    struct backup_description d;
    enum lam_code rc = backup_decode(bytes, "f", &arena, &d, NULL);
    REQUIRE(rc == LAM_OK || rc == LAM_CORRUPT || rc == LAM_UNSUPPORTED);
    if (rc == LAM_OK) {
        struct buf again = {0};
        for (size_t i = 0; i < d.count; i++)
            REQUIRE(backup_name_is_safe(d.files[i].name));
        REQUIRE(backup_encode(&d, &again, NULL) == LAM_OK);
        REQUIRE(slice_eq(buf_slice(&again), bytes));
        buf_fini(&again);
    }
    arena_fini(&arena);
}

static bool take_backup(void *arg, const struct lam_backup *b) {
    (void)b;
    ++*(uint64_t *)arg;
    return true;
}
static bool take_operation(void *arg, const struct lam_operation *o) {
    *(uint64_t *)arg += o->key.size;
    return true;
}
static bool take_line(void *arg, const char *line) {
    *(uint64_t *)arg += strlen(line);
    return true;
}

static void use_directory(lam_env *env, struct lam_slice description) {
    struct buf root = {0};
    uint64_t count = 0;
    REQUIRE(env->ops->dir_create(env, "/b", NULL) == LAM_OK);
    REQUIRE(backup_root_encode(db_id, &root, NULL) == LAM_OK);
    fuzz_file_write(env, "/b/BACKUPS", buf_slice(&root));
    buf_fini(&root);
    fuzz_file_write(env, "/b/000001.backup", description);
    fuzz_file_write(env, "/b/000001.data", lam_slice_str("something"));
    REQUIRE(fuzz_is_answer(lam_backup_list("/b", env, take_backup, &count, NULL)));
    REQUIRE(fuzz_is_answer(lam_backup_verify("/b", env, 0, NULL, NULL, NULL)));
    enum lam_code rc = lam_backup_restore("/b", env, 0, "/r", NULL, NULL, NULL);
    enum lam_path_kind kind;
    REQUIRE(fuzz_is_answer(rc) || rc == LAM_EXISTS || rc == LAM_INVALID);
    REQUIRE(env_path_kind(env, "/r", &kind, NULL) == LAM_OK);
    REQUIRE((kind == LAM_PATH_NONE) == (rc != LAM_OK));
}

static void inspect(lam_env *env, struct lam_slice bytes) {
    uint64_t sum = 0;
    fuzz_file_write(env, "/f", bytes);
    REQUIRE(fuzz_is_answer(lam_inspect_sst("/f", env, NULL, take_operation, &sum, NULL)));
    REQUIRE(fuzz_is_answer(lam_inspect_wal("/f", env, NULL, take_operation, &sum, NULL)));
    REQUIRE(fuzz_is_answer(lam_inspect_manifest("/f", env, take_line, &sum, NULL)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cursor c = cursor_of(lam_slice_of(data, size));
    uint64_t sequence = cursor_u8(&c);
    struct lam_slice rest = fuzz_rest(&c);
    struct buf whole = {0};
    decode_and_encode(rest);
    wrap(rest, sequence, &whole);
    decode_and_encode(buf_slice(&whole));
    lam_env *env = fuzz_env_new();
    use_directory(env, buf_slice(&whole));
    inspect(env, rest);
    fuzz_env_free(env);
    buf_fini(&whole);
    return 0;
}
