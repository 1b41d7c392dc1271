/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that should not be: no handle, no place for the answer, handles in the wrong order or of
 * another database. Each is an error that says what is wrong, or does nothing. */
#include "tests/process/process.h"

static const struct lam_slice key = {(const uint8_t *)"key", 3};
static const struct lam_slice no_bytes = {NULL, 3}; /* a size without bytes */

static const struct lam_entity_field fields[] = {
    {.name = "id", .type = LAM_TYPE_BIGINT, .key = true},
    {.name = "a", .type = LAM_TYPE_INT},
    {.name = "b", .type = LAM_TYPE_TEXT, .nullable = true},
};
static const struct lam_entity_desc desc = {"things", fields, 3, NULL, 0};

/* INVALID, with a text. */
#define invalid(call)                                                                              \
    do {                                                                                           \
        err = (struct lam_error){0};                                                               \
        ck_code(call, LAM_INVALID);                                                                \
        ck_assert_msg(err.message[0] != 0, "%s: no message", #call);                               \
    } while (0)

static bool take_name(void *arg, const char *name) {
    (void)arg;
    (void)name;
    return true;
}
static bool take_record(void *arg, const struct lam_cell *cells) {
    (void)arg;
    (void)cells;
    return true;
}

static void null_to_transactions(lam_db *db, lam_partition *p) {
    lam_batch *b;
    lam_txn *t;
    lam_iter *it;
    uint32_t savepoint;
    struct lam_value value = {0};
    invalid(lam_batch_new_indexed(NULL, &b, &err));
    invalid(lam_batch_new_indexed(db, NULL, &err));
    ck_ok(lam_batch_new_indexed(db, &b, &err), &err);
    invalid(lam_batch_get(NULL, NULL, p, key, &value, &err));
    invalid(lam_batch_get(b, NULL, NULL, key, &value, &err));
    invalid(lam_batch_get(b, NULL, p, no_bytes, &value, &err));
    invalid(lam_batch_get(b, NULL, p, key, NULL, &err));
    invalid(lam_batch_iter_new(NULL, NULL, p, &it, &err));
    invalid(lam_batch_iter_new(b, NULL, NULL, &it, &err));
    invalid(lam_batch_iter_new(b, NULL, p, NULL, &err));
    lam_batch_free(b);
    invalid(lam_txn_begin(NULL, NULL, &t, &err));
    invalid(lam_txn_begin(db, NULL, NULL, &err));
    ck_ok(lam_txn_begin(db, NULL, &t, &err), &err);
    invalid(lam_txn_get(NULL, p, key, &value, &err));
    invalid(lam_txn_get(t, NULL, key, &value, &err));
    invalid(lam_txn_get(t, p, no_bytes, &value, &err));
    invalid(lam_txn_get(t, p, key, NULL, &err));
    invalid(lam_txn_get_for_update(NULL, p, key, &value, &err));
    invalid(lam_txn_get_for_update(t, NULL, key, &value, &err));
    invalid(lam_txn_get_for_update(t, p, key, NULL, &err));
    invalid(lam_txn_get_for_update(t, p, no_bytes, &value, &err));
    invalid(lam_txn_iter_new(NULL, NULL, p, &it, &err));
    invalid(lam_txn_iter_new(t, NULL, NULL, &it, &err));
    invalid(lam_txn_iter_new(t, NULL, p, NULL, &err));
    invalid(lam_txn_put(NULL, p, key, key, &err));
    invalid(lam_txn_put(t, NULL, key, key, &err));
    invalid(lam_txn_delete(NULL, p, key, &err));
    invalid(lam_txn_delete(t, NULL, key, &err));
    invalid(lam_txn_delete_range(NULL, p, key, key, &err));
    invalid(lam_txn_delete_range(t, p, no_bytes, key, &err));
    invalid(lam_txn_savepoint(NULL, &savepoint, &err));
    invalid(lam_txn_savepoint(t, NULL, &err));
    invalid(lam_txn_rollback_to(NULL, 0, &err));
    invalid(lam_txn_rollback_to(t, 0, &err));
    invalid(lam_txn_commit(NULL, NULL, NULL, &err));
    ck_assert(!lam_txn_snapshot(NULL));
    lam_txn_rollback(t);
    lam_txn_rollback(NULL);
}

START_TEST(null_is_refused_by_every_call_of_the_engine) {
    lam_db *db = NULL;
    lam_partition *p = NULL;
    lam_batch *b = NULL;
    lam_snapshot *s = NULL;
    lam_iter *it = NULL;
    struct lam_value value = {0};
    invalid(lam_db_open(NULL, NULL, &db, &err));
    invalid(lam_db_open("", NULL, &db, &err));
    invalid(lam_db_open(at("db"), NULL, NULL, &err));
    db = open_db(at("db"));
    invalid(lam_partition_create(NULL, "p", NULL, &p, &err));
    invalid(lam_partition_create(db, NULL, NULL, &p, &err));
    invalid(lam_partition_create(db, "p", NULL, NULL, &err));
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    invalid(lam_partition_create_many(NULL, (const char *[]){"q"}, 1, NULL, NULL, &err));
    invalid(lam_partition_create_many(db, NULL, 1, NULL, NULL, &err));
    invalid(lam_partition_create_many(db, (const char *[]){"q", NULL}, 2, NULL, NULL, &err));
    invalid(lam_partition_open(NULL, "p", &p, &err));
    invalid(lam_partition_open(db, NULL, &p, &err));
    invalid(lam_partition_open(db, "p", NULL, &err));
    invalid(lam_partition_drop(NULL, p, &err));
    invalid(lam_partition_drop(db, NULL, &err));
    invalid(lam_partition_list(NULL, take_name, NULL, &err));
    invalid(lam_partition_list(db, NULL, NULL, &err));
    invalid(lam_batch_new(NULL, &b, &err));
    invalid(lam_batch_new(db, NULL, &err));
    ck_ok(lam_batch_new(db, &b, &err), &err);
    invalid(lam_batch_put(NULL, p, key, key, &err));
    invalid(lam_batch_put(b, NULL, key, key, &err));
    invalid(lam_batch_put(b, p, no_bytes, key, &err));
    invalid(lam_batch_put(b, p, key, no_bytes, &err));
    invalid(lam_batch_put(b, p, (struct lam_slice){0}, key, &err));
    invalid(lam_batch_delete(NULL, p, key, &err));
    invalid(lam_batch_delete(b, NULL, key, &err));
    invalid(lam_batch_delete(b, p, no_bytes, &err));
    invalid(lam_batch_delete_range(NULL, p, key, key, 1, &err));
    invalid(lam_batch_delete_range(b, p, no_bytes, key, 1, &err));
    invalid(lam_batch_delete_range(b, p, key, key, UINT64_MAX, &err));
    ck_assert_uint_eq(lam_batch_count(b), 0);
    invalid(lam_write(NULL, NULL, b, NULL, &err));
    invalid(lam_write(db, NULL, NULL, NULL, &err));
    invalid(lam_put(NULL, NULL, p, key, key, &err));
    invalid(lam_put(db, NULL, NULL, key, key, &err));
    invalid(lam_put(db, NULL, p, no_bytes, key, &err));
    invalid(lam_put(db, NULL, p, key, no_bytes, &err));
    invalid(lam_delete(NULL, NULL, p, key, &err));
    invalid(lam_delete(db, NULL, NULL, key, &err));
    invalid(lam_sync(NULL, 1, &err));
    invalid(lam_get(NULL, NULL, p, key, &value, &err));
    invalid(lam_get(db, NULL, NULL, key, &value, &err));
    invalid(lam_get(db, NULL, p, key, NULL, &err));
    invalid(lam_get(db, NULL, p, no_bytes, &value, &err));
    struct lam_pinned pinned;
    memset(&pinned, 0xa5, sizeof pinned);
    invalid(lam_get_pinned(NULL, NULL, p, key, &pinned, &err));
    ck_assert(pinned.bytes.size == 0 && !pinned.block && !pinned.memory);
    invalid(lam_get_pinned(db, NULL, NULL, key, &pinned, &err));
    invalid(lam_get_pinned(db, NULL, p, key, NULL, &err));
    invalid(lam_get_pinned(db, NULL, p, no_bytes, &pinned, &err));
    lam_pinned_release(&pinned);
    lam_pinned_release(NULL);
    invalid(lam_snapshot_new(NULL, &s, &err));
    invalid(lam_snapshot_new(db, NULL, &err));
    invalid(lam_iter_new(NULL, NULL, p, &it, &err));
    invalid(lam_iter_new(db, NULL, NULL, &it, &err));
    invalid(lam_iter_new(db, NULL, p, NULL, &err));
    struct lam_read_options bounds = {.lower = no_bytes};
    invalid(lam_iter_new(db, &bounds, p, &it, &err));
    invalid(lam_iter_status(NULL, &err));
    ck_ok(lam_iter_new(db, NULL, p, &it, &err), &err);
    lam_iter_seek(it, no_bytes);
    invalid(lam_iter_status(it, &err));
    lam_iter_seek_for_prev(it, no_bytes);
    invalid(lam_iter_status(it, &err));
    lam_iter_seek_first(it);
    ck_ok(lam_iter_status(it, &err), &err);
    lam_iter_free(it);
    null_to_transactions(db, p);
    invalid(lam_db_dump(NULL, &err));
    invalid(lam_db_compact(NULL, NULL, &err));
    invalid(lam_db_check(NULL, NULL, NULL, &err));
    invalid(lam_check(NULL, NULL, NULL, NULL, &err));
    /* What gives nothing back does nothing. */
    lam_iter_seek_first(NULL);
    lam_iter_seek_last(NULL);
    lam_iter_seek(NULL, key);
    lam_iter_seek_for_prev(NULL, key);
    lam_iter_next(NULL);
    lam_iter_prev(NULL);
    ck_assert(!lam_iter_valid(NULL));
    ck_assert_uint_eq(lam_iter_key(NULL).size + lam_iter_value(NULL).size, 0);
    ck_assert_uint_eq(lam_snapshot_sequence(NULL) + lam_batch_count(NULL) + lam_batch_bytes(NULL),
                      0);
    ck_assert(lam_partition_name(NULL) == NULL);
    lam_batch_reset(NULL);
    lam_batch_free(NULL);
    lam_iter_free(NULL);
    lam_snapshot_free(NULL);
    lam_partition_release(NULL);
    lam_value_release(NULL);
    lam_db_stats(db, NULL);
    lam_db_stats(NULL, NULL);
    ck_ok(lam_db_close(NULL, &err), &err);
    lam_batch_free(b);
    lam_partition_release(p);
    close_db(db);
}
END_TEST

START_TEST(null_is_refused_by_every_call_of_sql_and_users) {
    lam_db *db = open_db(at("db"));
    lam_session *s = NULL;
    lam_stmt *stmt = NULL;
    bool row;
    enum lam_role role;
    struct ArrowArrayStream stream;
    invalid(lam_session_open(NULL, "ann", LAM_ROLE_USER, &s, &err));
    invalid(lam_session_open(db, NULL, LAM_ROLE_USER, &s, &err));
    invalid(lam_session_open(db, "ann", LAM_ROLE_USER, NULL, &err));
    invalid(lam_session_open(db, "ann", (enum lam_role)9, &s, &err));
    invalid(lam_session_open(db, "ann", (enum lam_role) - 1, &s, &err));
    invalid(lam_session_open_user(NULL, "ann", &s, &err));
    invalid(lam_session_open_user(db, NULL, &s, &err));
    invalid(lam_session_open_user(db, "ann", NULL, &err));
    s = session_of(db, "root", LAM_ROLE_SYSTEM);
    invalid(lam_prepare(NULL, "SELECT 1", 8, &stmt, NULL, &err));
    invalid(lam_prepare(s, NULL, 8, &stmt, NULL, &err));
    invalid(lam_prepare(s, "SELECT 1", 8, NULL, NULL, &err));
    invalid(lam_exec(NULL, "SELECT 1", 8, NULL, NULL, NULL, &err));
    invalid(lam_exec(s, NULL, 8, NULL, NULL, NULL, &err));
    invalid(lam_authorize(NULL, "SELECT 1", 8, &err));
    invalid(lam_authorize(s, NULL, 8, &err));
    invalid(lam_step(NULL, &row, &err));
    invalid(lam_bind_null(NULL, 1, &err));
    invalid(lam_bind_int64(NULL, 1, 1, &err));
    invalid(lam_query_arrow(NULL, &stream, &err));
    ck_ok(lam_prepare(s, "SELECT $1", 9, &stmt, NULL, &err), &err);
    invalid(lam_step(stmt, NULL, &err));
    invalid(lam_query_arrow(stmt, NULL, &err));
    invalid(lam_bind_null(stmt, 0, &err));
    invalid(lam_bind_null(stmt, 2, &err));
    invalid(lam_bind_text(stmt, 1, NULL, 5, &err));
    invalid(lam_bind_bytes(stmt, 1, NULL, 5, &err));
    invalid(lam_user_role(NULL, key, &role, &err));
    invalid(lam_user_role(db, key, NULL, &err));
    invalid(lam_user_role(db, no_bytes, &role, &err));
    invalid(lam_user_verify_password(NULL, key, key, &err));
    invalid(lam_user_verify_password(db, key, no_bytes, &err));
    ck_assert_uint_eq(lam_column_count(NULL) + lam_parameter_count(NULL) + lam_changes(NULL), 0);
    ck_assert_str_eq(lam_column_name(NULL, 0), "");
    ck_assert_str_eq(lam_column_name(stmt, 7), "");
    ck_assert(lam_column_is_null(NULL, 0) && lam_column_is_null(stmt, 0));
    ck_assert_int_eq(lam_column_int64(stmt, 7), 0);
    ck_assert_uint_eq(lam_column_text(NULL, 0).size + lam_column_bytes(stmt, 7).size, 0);
    lam_reset(NULL);
    lam_finalize(NULL);
    lam_session_interrupt(NULL);
    lam_session_set_durability(NULL, LAM_DURABILITY_OS);
    ck_ok(lam_session_close(NULL, &err), &err);
    lam_finalize(stmt);
    ck_ok(lam_session_close(s, &err), &err);
    close_db(db);
}
END_TEST

START_TEST(null_is_refused_by_every_call_of_entities) {
    lam_db *db = open_db(at("db"));
    lam_entity *e = NULL;
    struct lam_record record;
    struct lam_cell cells[3] = {lam_cell_int64(LAM_TYPE_BIGINT, 1), lam_cell_int64(LAM_TYPE_INT, 1),
                                lam_cell_bytes(LAM_TYPE_TEXT, no_bytes)};
    invalid(lam_entity_open(NULL, &desc, &e, &err));
    invalid(lam_entity_open(db, NULL, &e, &err));
    invalid(lam_entity_open(db, &desc, NULL, &err));
    invalid(lam_entity_open(db, &(struct lam_entity_desc){0}, &e, &err));
    ck_ok(lam_entity_open(db, &desc, &e, &err), &err);
    invalid(lam_entity_insert(NULL, cells, LAM_DURABILITY_OS, &err));
    invalid(lam_entity_insert(e, NULL, LAM_DURABILITY_OS, &err));
    invalid(lam_entity_insert(e, cells, LAM_DURABILITY_OS, &err));
    invalid(lam_entity_update(e, NULL, LAM_DURABILITY_OS, &err));
    invalid(lam_entity_put(e, NULL, LAM_DURABILITY_OS, &err));
    invalid(lam_entity_delete(e, NULL, LAM_DURABILITY_OS, &err));
    invalid(lam_entity_get(e, NULL, NULL, &record, &err));
    invalid(lam_entity_get(e, NULL, cells, NULL, &err));
    invalid(lam_entity_scan(e, NULL, NULL, 1, take_record, NULL, &err));
    invalid(lam_entity_scan(e, NULL, NULL, 0, NULL, NULL, &err));
    invalid(lam_entity_scan_index(e, NULL, NULL, NULL, 0, take_record, NULL, &err));
    invalid(lam_entity_drop(NULL, "things", &err));
    invalid(lam_entity_drop(db, NULL, &err));
    lam_record_release(NULL);
    lam_entity_close(NULL);
    lam_entity_close(e);
    close_db(db);
}
END_TEST

/* --- order ---------------------------------------------------------------------------------- */

static void refuse_close(lam_db *db, const char *why) {
    ck_code(lam_db_close(db, &err), LAM_BUSY);
    ck_contains(err.message, why);
    lam_partition *p;
    ck_ok(lam_partition_open(db, "p", &p, &err), &err);
    ck_ok(lam_put(db, NULL, p, key, key, &err), &err);
    lam_partition_release(p);
}

START_TEST(close_waits_for_all_that_was_opened) {
    lam_db *db = open_db(at("db"));
    lam_partition *p;
    lam_snapshot *snapshot;
    lam_iter *it;
    lam_entity *e;
    lam_stmt *stmt;
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    ck_ok(lam_snapshot_new(db, &snapshot, &err), &err);
    refuse_close(db, "1 snapshots");
    lam_snapshot_free(snapshot);
    ck_ok(lam_iter_new(db, NULL, p, &it, &err), &err);
    refuse_close(db, "1 iterators");
    lam_iter_free(it);
    ck_ok(lam_entity_open(db, &desc, &e, &err), &err);
    refuse_close(db, "things");
    lam_entity_close(e);
    lam_session *s = session_of(db, "root", LAM_ROLE_SYSTEM);
    refuse_close(db, "session");
    ck_ok(lam_prepare(s, "SELECT 1", 8, &stmt, NULL, &err), &err);
    ck_code(lam_session_close(s, &err), LAM_BUSY);
    ck_contains(err.message, "statement");
    lam_finalize(stmt);
    ck_ok(lam_session_close(s, &err), &err);
    lam_partition_release(p);
    close_db(db);
}
END_TEST

/* The iterator keeps what it needs: neither the snapshot's end nor a compaction takes it away. */
START_TEST(iterator_outlives_its_snapshot) {
    lam_db *db = open_db(at("db"));
    lam_partition *p;
    lam_snapshot *snapshot;
    lam_iter *it;
    char text[20];
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    for (int i = 0; i < 500; i++) {
        snprintf(text, sizeof text, "%04d", i);
        ck_ok(lam_put(db, NULL, p, lam_slice_str(text), key, &err), &err);
    }
    ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(lam_snapshot_new(db, &snapshot, &err), &err);
    struct lam_read_options options = {.snapshot = snapshot};
    ck_ok(lam_iter_new(db, &options, p, &it, &err), &err);
    lam_iter_seek_first(it);
    lam_snapshot_free(snapshot);
    for (int i = 0; i < 500; i++) {
        snprintf(text, sizeof text, "%04d", i);
        ck_ok(lam_delete(db, NULL, p, lam_slice_str(text), &err), &err);
    }
    ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(lam_db_compact(db, p, &err), &err);
    ck_ok(lam_partition_drop(db, p, &err), &err);
    for (int i = 0; i < 500; i++, lam_iter_next(it)) {
        snprintf(text, sizeof text, "%04d", i);
        ck_assert(lam_iter_valid(it));
        ck_assert_int_eq(memcmp(lam_iter_key(it).data, text, 4), 0);
    }
    ck_assert(!lam_iter_valid(it));
    ck_ok(lam_iter_status(it, &err), &err);
    lam_iter_free(it);
    lam_partition_release(p);
    close_db(db);
}
END_TEST

START_TEST(handles_of_another_database_are_refused) {
    lam_db *db = open_db(at("db")), *other = open_db(at("other"));
    lam_partition *p, *foreign;
    lam_snapshot *snapshot;
    lam_batch *batch;
    lam_iter *it;
    struct lam_value value = {0};
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    ck_ok(lam_partition_create(other, "p", NULL, &foreign, &err), &err);
    ck_ok(lam_snapshot_new(other, &snapshot, &err), &err);
    ck_ok(lam_batch_new(other, &batch, &err), &err);
    struct lam_read_options options = {.snapshot = snapshot};
    invalid(lam_put(db, NULL, foreign, key, key, &err));
    invalid(lam_get(db, NULL, foreign, key, &value, &err));
    invalid(lam_get(db, &options, p, key, &value, &err));
    struct lam_pinned pinned;
    invalid(lam_get_pinned(db, NULL, foreign, key, &pinned, &err));
    invalid(lam_get_pinned(db, &options, p, key, &pinned, &err));
    invalid(lam_iter_new(db, &options, p, &it, &err));
    invalid(lam_batch_put(batch, p, key, key, &err));
    invalid(lam_write(db, NULL, batch, NULL, &err));
    invalid(lam_partition_drop(db, foreign, &err));
    invalid(lam_db_compact(db, foreign, &err));
    lam_batch_free(batch);
    lam_snapshot_free(snapshot);
    lam_partition_release(p);
    lam_partition_release(foreign);
    close_db(db);
    close_db(other);
}
END_TEST

START_TEST(handle_of_a_dropped_partition_finds_nothing) {
    lam_db *db = open_db(at("db"));
    lam_partition *p, *again;
    lam_batch *batch;
    lam_iter *it;
    struct lam_value value = {0};
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    ck_ok(lam_batch_new(db, &batch, &err), &err);
    ck_ok(lam_batch_put(batch, p, key, key, &err), &err);
    ck_ok(lam_partition_drop(db, p, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &again, &err), &err);
    ck_code(lam_partition_drop(db, p, &err), LAM_NOT_FOUND);
    ck_code(lam_write(db, NULL, batch, NULL, &err), LAM_NOT_FOUND);
    ck_code(lam_put(db, NULL, p, key, key, &err), LAM_NOT_FOUND);
    ck_code(lam_get(db, NULL, p, key, &value, &err), LAM_NOT_FOUND);
    ck_code(lam_iter_new(db, NULL, p, &it, &err), LAM_NOT_FOUND);
    ck_code(lam_get(db, NULL, again, key, &value, &err), LAM_NOT_FOUND);
    ck_assert_str_eq(lam_partition_name(p), "p");
    lam_batch_free(batch);
    lam_partition_release(p);
    lam_partition_release(again);
    close_db(db);
}
END_TEST

TEST_MAIN("process/misuse", null_is_refused_by_every_call_of_the_engine,
          null_is_refused_by_every_call_of_sql_and_users, null_is_refused_by_every_call_of_entities,
          close_waits_for_all_that_was_opened, iterator_outlives_its_snapshot,
          handles_of_another_database_are_refused, handle_of_a_dropped_partition_finds_nothing)
