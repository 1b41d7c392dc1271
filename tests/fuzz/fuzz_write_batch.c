/* SPDX-License-Identifier: Apache-2.0
 *
 * Payloads of the log. What the reader takes to its end encodes to the very same bytes. */
#include "lsm/write_batch.h"
#include "tests/fuzz/fuzz.h"

static void put_again(const struct batch_op *op, struct buf *out) {
    fuzz_ok(buf_append_u8(out, (uint8_t)op->kind, NULL), NULL);
    fuzz_ok(buf_append_varint(out, op->partition, NULL), NULL);
    fuzz_ok(buf_append_prefixed(out, op->key, NULL), NULL);
    if (op->kind == ENTRY_PUT)
        fuzz_ok(buf_append_prefixed(out, op->value, NULL), NULL);
    if (op->kind != ENTRY_DELETE_RANGE)
        return;
    fuzz_ok(buf_append_prefixed(out, op->to, NULL), NULL);
    fuzz_ok(buf_append_varint(out, op->upto, NULL), NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct lam_slice payload = lam_slice_of(data, size);
    struct batch_reader r;
    struct batch_op op;
    struct buf again = {0};
    struct lam_error err = {0};
    enum lam_code rc = batch_reader_init(&r, payload, &err);
    if (rc == LAM_OK)
        fuzz_ok(buf_append_le32(&again, r.count, NULL), NULL);
    for (uint32_t i = 0; rc == LAM_OK && i < r.count; i++) {
        rc = batch_reader_next(&r, &op, &err);
        if (rc != LAM_OK)
            break;
        REQUIRE(op.kind == ENTRY_PUT || op.kind == ENTRY_DELETE || op.kind == ENTRY_DELETE_RANGE);
        REQUIRE(op.key.size <= LAM_KEY_MAX && op.key.data <= data + size);
        put_again(&op, &again);
    }
    if (rc == LAM_OK)
        rc = batch_reader_finish(&r, &err);
    REQUIRE(rc == LAM_OK || rc == LAM_CORRUPT);
    REQUIRE(rc == LAM_OK || err.message[0]);
    if (rc == LAM_OK)
        REQUIRE(slice_eq(buf_slice(&again), payload));
    buf_fini(&again);
    return 0;
}
