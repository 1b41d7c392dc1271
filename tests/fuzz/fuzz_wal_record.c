/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading of WAL segments. The input is a program that writes a segment piece by piece: good
 * records, record headers whose fields are anything but whose checksums hold, and raw bytes. Good
 * records at the start must come back; nothing may crash, hang or read past the file. */
#include "base/hash.h"
#include "lsm/log_format.h"
#include "lsm/wal.h"
#include "tests/fuzz/fuzz.h"

#define PATH "/000007.wal"

static const uint8_t db_id[16] = "0123456789abcdef";

struct count {
    uint64_t records;
    uint64_t bytes;
};

static enum lam_code count_record(void *arg, const struct log_record *record,
                                  struct lam_slice payload, struct lam_error *err) {
    struct count *c = arg;
    (void)record;
    (void)err;
    c->records++;
    c->bytes += payload.size;
    hash_xxh3(payload.data, payload.size, 0);
    return LAM_OK;
}

static void add_good(struct buf *out, uint64_t seed, uint64_t sequence, struct lam_slice payload) {
    struct log_record record = {
        .offset = out->size,
        .length = (uint32_t)payload.size,
        .sequence = sequence,
        .durable_upto = sequence - 1,
    };
    uint8_t header[LOG_RECORD_BYTES];
    log_record_encode(&record, seed, payload, header);
    fuzz_put(out, header, sizeof header);
    fuzz_put(out, payload.data, payload.size);
}

/* A header with the 24 bytes of fields as given and a check that holds. */
static void add_headed(struct buf *out, uint64_t seed, struct lam_slice fields) {
    uint8_t header[LOG_RECORD_BYTES] = {0};
    put_le32(header, log_marker(seed));
    memcpy(header + 16, fields.data, fields.size);
    put_le32(header + 4, (uint32_t)hash_xxh3(header + 16, 24, hash_mix(seed, out->size)));
    fuzz_put(out, header, sizeof header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cursor c = cursor_of(lam_slice_of(data, size));
    struct log_identity id = {LOG_MAGIC_WAL, db_id, 7};
    struct buf file = {0};
    uint8_t header[LOG_HEADER_BYTES];
    uint64_t seed = log_header_encode(&id, cursor_u8(&c), header);
    fuzz_put(&file, header, sizeof header);
    uint64_t good = 0;
    bool all_good = true;
    for (uint64_t sequence = 1; cursor_left(&c) > 0; sequence++) {
        uint8_t op = cursor_u8(&c);
        size_t most = cursor_left(&c);
        size_t take = (op >> 2) < most ? (size_t)(op >> 2) : most;
        if (op % 4 < 2) {
            add_good(&file, seed, sequence, cursor_bytes(&c, take));
            good += all_good;
            continue;
        }
        all_good = false;
        if (op % 4 == 2)
            add_headed(&file, seed, cursor_bytes(&c, take < 24 ? take : 24));
        else
            fuzz_put(&file, cursor_bytes(&c, take).data, cursor_left(&c) < most ? take : 0);
    }
    lam_env *env = fuzz_env_new();
    fuzz_file_write(env, PATH, buf_slice(&file));
    struct count count = {0};
    struct log_read_result res;
    struct lam_error err = {0};
    enum lam_code rc = wal_read(env, PATH, db_id, 7, 0, count_record, &count, &res, &err);
    REQUIRE(rc == LAM_OK || rc == LAM_CORRUPT);
    REQUIRE(!res.header_missing && res.records == count.records && count.records >= good);
    REQUIRE(res.end == LOG_HEADER_BYTES + count.bytes + count.records * LOG_RECORD_BYTES);
    REQUIRE(res.end <= file.size);
    REQUIRE(rc == LAM_CORRUPT || !all_good || res.end == file.size);
    fuzz_env_free(env);
    buf_fini(&file);
    return 0;
}
