/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches in log form: what is put in is read back, what cannot have been made is refused. */
#include "lsm/write_batch.h"

#include "base/rng.h"
#include "lsm/lsm.h"
#include "tests/support/test.h"

static lam_env *mem;
static lam_db *db;
static struct lam_error err;

#define S(text) lam_slice_str(text)

static void start(void) {
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    ck_ok(lam_db_open("/db", &(struct lam_options){.env = mem}, &db, &err), &err);
}

static void stop(void) {
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(mem);
}

START_TEST(operations_are_read_back_in_order) {
    start();
    lam_partition *p, *q;
    lam_batch *b;
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    ck_ok(lam_partition_create(db, "q", NULL, &q, &err), &err);
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_batch_put(b, p, S("key"), S("value"), &err), &err);
    ck_assert(memcmp(db_batch_value(b, db_batch_value_offset(b)), "value", 5) == 0);
    ck_ok(lam_batch_delete(b, q, S("gone"), &err), &err);
    ck_ok(lam_batch_delete_range(b, p, S("a"), S(""), 77, &err), &err);
    ck_assert(memcmp(db_batch_value(b, db_batch_value_offset(b)), "value", 5) == 0);
    struct batch_reader r;
    struct batch_op op;
    ck_ok(batch_reader_init(&r, buf_slice(&b->payload), &err), &err);
    ck_assert_uint_eq(r.count, 3);
    ck_ok(batch_reader_next(&r, &op, &err), &err);
    ck_assert(op.kind == ENTRY_PUT && slice_eq_str(op.key, "key") &&
              slice_eq_str(op.value, "value"));
    uint64_t first = op.partition;
    ck_ok(batch_reader_next(&r, &op, &err), &err);
    ck_assert(op.kind == ENTRY_DELETE && slice_eq_str(op.key, "gone") && op.partition != first);
    ck_ok(batch_reader_next(&r, &op, &err), &err);
    ck_assert(op.kind == ENTRY_DELETE_RANGE && slice_eq_str(op.key, "a") && op.to.size == 0);
    ck_assert_uint_eq(op.upto, 77);
    ck_assert_uint_eq(op.partition, first);
    ck_ok(batch_reader_finish(&r, &err), &err);
    lam_batch_free(b);
    lam_partition_release(p);
    lam_partition_release(q);
    stop();
}
END_TEST

START_TEST(partitions_of_a_large_batch_are_found) {
    start();
    lam_partition *p[100];
    lam_batch *b;
    ck_ok(lam_batch_new(db, &b, &err), &err);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 100; i++) {
            char name[16];
            snprintf(name, sizeof name, "p%d", i);
            if (round == 0)
                ck_ok(lam_partition_create(db, name, NULL, &p[i], &err), &err);
            ck_ok(
                lam_batch_put(b, p[i * 37 % 100 > i ? i : i * 37 % 100], S("other"), S("v"), &err),
                &err);
            ck_ok(lam_batch_put(b, p[i], S("k"), S(name), &err), &err);
        }
        ck_assert_uint_eq(b->touched_count, 100);
        for (int i = 0; i < 100; i++)
            ck_assert_ptr_eq(write_batch_find(b, b->touched[i].number), &b->touched[i]);
        ck_assert_ptr_null(write_batch_find(b, 1u << 30));
        ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
        lam_batch_reset(b);
        ck_assert_ptr_null(write_batch_find(b, 3));
    }
    for (int i = 0; i < 100; i++) {
        char name[16];
        struct lam_value v = {0};
        snprintf(name, sizeof name, "p%d", i);
        ck_ok(lam_get(db, NULL, p[i], S("k"), &v, &err), &err);
        ck_assert(slice_eq_str(v.bytes, name));
        lam_value_release(&v);
        lam_partition_release(p[i]);
    }
    lam_batch_free(b);
    stop();
}
END_TEST

static enum lam_code read_all(struct lam_slice payload) {
    struct batch_reader r;
    struct batch_op op;
    enum lam_code rc = batch_reader_init(&r, payload, NULL);
    for (uint32_t i = 0; rc == LAM_OK && i < r.count; i++)
        rc = batch_reader_next(&r, &op, NULL);
    return rc == LAM_OK ? batch_reader_finish(&r, NULL) : rc;
}

START_TEST(malformed_payloads_are_corrupt) {
    static const uint8_t good[] = {1, 0, 0, 0, 1, 3, 1, 'k', 1, 'v'};
    static const uint8_t empty_key[] = {1, 0, 0, 0, 1, 3, 0, 1, 'v'};
    static const uint8_t bad_kind[] = {1, 0, 0, 0, 9, 3, 1, 'k'};
    static const uint8_t turned[] = {1, 0, 0, 0, 3, 3, 1, 'b', 1, 'a', 5};
    ck_code(read_all(lam_slice_of(good, sizeof good)), LAM_OK);
    for (size_t n = 0; n < sizeof good; n++)
        ck_code(read_all(lam_slice_of(good, n)), LAM_CORRUPT);
    uint8_t longer[sizeof good + 1] = {0};
    memcpy(longer, good, sizeof good);
    ck_code(read_all(lam_slice_of(longer, sizeof longer)), LAM_CORRUPT);
    ck_code(read_all(lam_slice_of(empty_key, sizeof empty_key)), LAM_CORRUPT);
    ck_code(read_all(lam_slice_of(bad_kind, sizeof bad_kind)), LAM_CORRUPT);
    ck_code(read_all(lam_slice_of(turned, sizeof turned)), LAM_CORRUPT);
}
END_TEST

START_TEST(bound_never_reaches_the_operation_itself) {
    ck_assert_uint_eq(batch_clamp_upto(LAM_SEQUENCE_MAX, 10), 9);
    ck_assert_uint_eq(batch_clamp_upto(10, 10), 9);
    ck_assert_uint_eq(batch_clamp_upto(9, 10), 9);
    ck_assert_uint_eq(batch_clamp_upto(3, 10), 3);
}
END_TEST

TEST_MAIN("lsm/write_batch", operations_are_read_back_in_order,
          partitions_of_a_large_batch_are_found, malformed_payloads_are_corrupt,
          bound_never_reaches_the_operation_itself)
