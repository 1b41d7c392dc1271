/* SPDX-License-Identifier: Apache-2.0
 *
 * A forked child with its parent's handles: every call fails cleanly and takes no lock that died
 * with another thread, nothing that it frees or exits with touches a file, and the parent goes on
 * unharmed. */
#include "tests/process/process.h"

/* One open handle of every kind; global, so that leak checkers of children see them held. */
static struct {
    lam_db *db;
    lam_partition *partition;
    lam_snapshot *snapshot;
    lam_iter *iter;
    lam_batch *batch;
    lam_batch *indexed;
    lam_txn *txn;
    lam_session *session;
    lam_stmt *running, *ready, *streamed;
    struct ArrowArrayStream stream;
    lam_entity *entity;
    struct lam_pinned pinned;
} all;

static const struct lam_entity_field fields[] = {
    {.name = "id", .type = LAM_TYPE_BIGINT, .key = true},
    {.name = "a", .type = LAM_TYPE_INT},
};
static const struct lam_entity_part parts[] = {{"a", false}};
static const struct lam_entity_index indexes[] = {
    {.name = "by_a", .parts = parts, .part_count = 1}};
static const struct lam_entity_desc desc = {"things", fields, 2, indexes, 1};

static const struct lam_slice key = {(const uint8_t *)"key", 3};

static void prepare(const char *sql, lam_stmt **out) {
    ck_ok(lam_prepare(all.session, sql, strlen(sql), out, NULL, &err), &err);
}

static void open_all(const char *path) {
    bool row;
    struct lam_cell record[2] = {lam_cell_int64(LAM_TYPE_BIGINT, 1),
                                 lam_cell_int64(LAM_TYPE_INT, 2)};
    all.db = open_db(path);
    fill_db(all.db);
    ck_ok(lam_partition_create(all.db, "p", NULL, &all.partition, &err), &err);
    ck_ok(lam_put(all.db, NULL, all.partition, key, key, &err), &err);
    uint8_t large[1000] = {1};
    struct lam_slice other = lam_slice_str("large");
    ck_ok(lam_put(all.db, NULL, all.partition, other, lam_slice_of(large, sizeof large), &err),
          &err);
    ck_ok(lam_db_dump(all.db, &err), &err);
    ck_ok(lam_get_pinned(all.db, NULL, all.partition, other, &all.pinned, &err), &err);
    ck_assert_ptr_nonnull(all.pinned.block);
    ck_ok(lam_snapshot_new(all.db, &all.snapshot, &err), &err);
    ck_ok(lam_iter_new(all.db, NULL, all.partition, &all.iter, &err), &err);
    lam_iter_seek_first(all.iter);
    ck_ok(lam_batch_new(all.db, &all.batch, &err), &err);
    ck_ok(lam_batch_put(all.batch, all.partition, key, key, &err), &err);
    ck_ok(lam_batch_new_indexed(all.db, &all.indexed, &err), &err);
    ck_ok(lam_txn_begin(all.db, NULL, &all.txn, &err), &err);
    ck_ok(lam_txn_put(all.txn, all.partition, key, key, &err), &err);
    all.session = session_of(all.db, "ann", LAM_ROLE_USER);
    prepare("SELECT id, b FROM app.t", &all.running);
    ck_ok(lam_step(all.running, &row, &err), &err);
    prepare("INSERT INTO app.t VALUES (999, $1, 'x')", &all.ready);
    prepare("SELECT id, b FROM app.t WHERE a = 3", &all.streamed);
    ck_ok(lam_query_arrow(all.streamed, &all.stream, &err), &err);
    ck_ok(lam_entity_open(all.db, &desc, &all.entity, &err), &err);
    ck_ok(lam_entity_put(all.entity, record, LAM_DURABILITY_OS, &err), &err);
}

static void close_all(void) {
    all.stream.release(&all.stream);
    lam_entity_close(all.entity);
    lam_finalize(all.running);
    lam_finalize(all.ready);
    lam_finalize(all.streamed);
    ck_ok(lam_session_close(all.session, &err), &err);
    lam_batch_free(all.batch);
    lam_batch_free(all.indexed);
    lam_txn_rollback(all.txn);
    lam_iter_free(all.iter);
    lam_snapshot_free(all.snapshot);
    lam_pinned_release(&all.pinned);
    lam_partition_release(all.partition);
    ck_ok(lam_db_close(all.db, &err), &err);
}

static bool keep_row(void *arg, const struct lam_cell *record) {
    (void)arg;
    (void)record;
    return true;
}

/* --- the child ------------------------------------------------------------------------------ */

#define refused(call) child_check((call) == LAM_INVALID && strstr(err.message, "process"))

static void call_engine(void) {
    lam_partition *p;
    lam_snapshot *s;
    lam_iter *it;
    lam_batch *b;
    struct lam_value value = {0};
    struct lam_pinned pinned;
    struct lam_stats stats = {.writes = 1};
    refused(lam_partition_create(all.db, "q", NULL, &p, &err));
    refused(lam_partition_create_many(all.db, (const char *[]){"q"}, 1, NULL, &p, &err));
    refused(lam_partition_open(all.db, "p", &p, &err));
    refused(lam_partition_drop(all.db, all.partition, &err));
    refused(lam_partition_list(all.db, (lam_partition_fn)keep_row, NULL, &err));
    refused(lam_batch_new(all.db, &b, &err));
    refused(lam_batch_put(all.batch, all.partition, key, key, &err));
    refused(lam_batch_delete(all.batch, all.partition, key, &err));
    refused(lam_batch_delete_range(all.batch, all.partition, key, key, LAM_SEQUENCE_MAX, &err));
    refused(lam_write(all.db, NULL, all.batch, NULL, &err));
    refused(lam_put(all.db, NULL, all.partition, key, key, &err));
    refused(lam_delete(all.db, NULL, all.partition, key, &err));
    refused(lam_sync(all.db, 1, &err));
    refused(lam_get(all.db, NULL, all.partition, key, &value, &err));
    refused(lam_get_pinned(all.db, NULL, all.partition, key, &pinned, &err));
    refused(lam_snapshot_new(all.db, &s, &err));
    refused(lam_iter_new(all.db, NULL, all.partition, &it, &err));
    refused(lam_batch_new_indexed(all.db, &b, &err));
    refused(lam_batch_get(all.indexed, NULL, all.partition, key, &value, &err));
    refused(lam_batch_iter_new(all.indexed, NULL, all.partition, &it, &err));
    refused(lam_db_dump(all.db, &err));
    refused(lam_db_compact(all.db, NULL, &err));
    refused(lam_db_check(all.db, NULL, NULL, &err));
    lam_db_stats(all.db, &stats);
    child_check(stats.writes == 0);
    lam_iter_seek_first(all.iter);
    child_check(!lam_iter_valid(all.iter));
    refused(lam_iter_status(all.iter, &err));
    lam_iter_seek(all.iter, key);
    lam_iter_seek_last(all.iter);
    lam_iter_seek_for_prev(all.iter, key);
    lam_iter_next(all.iter);
    refused(lam_iter_status(all.iter, &err));
}

static void call_transaction(void) {
    lam_txn *txn;
    lam_iter *it;
    uint32_t savepoint;
    struct lam_value value = {0};
    refused(lam_txn_begin(all.db, NULL, &txn, &err));
    refused(lam_txn_get(all.txn, all.partition, key, &value, &err));
    refused(lam_txn_get_for_update(all.txn, all.partition, key, &value, &err));
    refused(lam_txn_iter_new(all.txn, NULL, all.partition, &it, &err));
    refused(lam_txn_put(all.txn, all.partition, key, key, &err));
    refused(lam_txn_delete(all.txn, all.partition, key, &err));
    refused(lam_txn_delete_range(all.txn, all.partition, key, key, &err));
    refused(lam_txn_savepoint(all.txn, &savepoint, &err));
    refused(lam_txn_rollback_to(all.txn, 0, &err));
    refused(lam_txn_commit(all.txn, NULL, NULL, &err));
}

static void call_sql(void) {
    lam_session *s;
    lam_stmt *stmt;
    bool row;
    struct ArrowArray array;
    struct ArrowArrayStream stream;
    enum lam_role role;
    refused(lam_session_open(all.db, "ann", LAM_ROLE_USER, &s, &err));
    refused(lam_session_open_user(all.db, "ann", &s, &err));
    refused(lam_prepare(all.session, "SELECT 1", 8, &stmt, NULL, &err));
    refused(lam_step(all.running, &row, &err));
    refused(lam_step(all.ready, &row, &err));
    refused(lam_bind_null(all.ready, 1, &err));
    refused(lam_bind_int64(all.ready, 1, 5, &err));
    refused(lam_bind_text(all.ready, 1, "5", 1, &err));
    refused(lam_query_arrow(all.ready, &stream, &err));
    refused(lam_exec(all.session, "SELECT 1", 8, NULL, NULL, NULL, &err));
    refused(lam_authorize(all.session, "SELECT 1", 8, &err));
    refused(lam_user_role(all.db, lam_slice_str("ann"), &role, &err));
    refused(lam_user_verify_password(all.db, lam_slice_str("ann"), key, &err));
    child_check(all.stream.get_next(&all.stream, &array) != 0);
    child_check(strstr(all.stream.get_last_error(&all.stream), "process"));
}

static void call_entity(void) {
    lam_entity *other;
    struct lam_record found;
    struct lam_cell record[2] = {lam_cell_int64(LAM_TYPE_BIGINT, 1),
                                 lam_cell_int64(LAM_TYPE_INT, 2)};
    refused(lam_entity_open(all.db, &desc, &other, &err));
    refused(lam_entity_drop(all.db, "things", &err));
    refused(lam_entity_insert(all.entity, record, LAM_DURABILITY_OS, &err));
    refused(lam_entity_update(all.entity, record, LAM_DURABILITY_OS, &err));
    refused(lam_entity_put(all.entity, record, LAM_DURABILITY_OS, &err));
    refused(lam_entity_delete(all.entity, record, LAM_DURABILITY_OS, &err));
    refused(lam_entity_get(all.entity, NULL, record, &found, &err));
    refused(lam_entity_scan(all.entity, NULL, NULL, 0, keep_row, NULL, &err));
    refused(lam_entity_scan_index(all.entity, NULL, "by_a", NULL, 0, keep_row, NULL, &err));
}

/* What an exit handler of an application may do. */
static void free_and_close(void) {
    all.stream.release(&all.stream);
    lam_entity_close(all.entity);
    lam_reset(all.running);
    lam_finalize(all.running);
    lam_finalize(all.ready);
    lam_finalize(all.streamed);
    refused(lam_session_close(all.session, &err));
    lam_batch_reset(all.batch);
    lam_batch_free(all.batch);
    lam_batch_free(all.indexed);
    lam_txn_rollback(all.txn);
    lam_iter_free(all.iter);
    lam_snapshot_free(all.snapshot);
    lam_pinned_release(&all.pinned);
    lam_partition_release(all.partition);
    refused(lam_db_close(all.db, &err));
}

/* A hang is ended by the alarm, and a failure. */
static int misuse_all(void *arg) {
    const bool *by_exit = arg;
    alarm(120);
    call_engine();
    call_transaction();
    call_sql();
    call_entity();
    if (*by_exit) {
        atexit(free_and_close);
        exit(0);
    }
    free_and_close();
    return 0;
}

/* --- tests ---------------------------------------------------------------------------------- */

START_TEST(forked_child_can_do_nothing_and_changes_no_file) {
    const char *path = at("db");
    open_all(path);
    uint64_t before = sum_of(path);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(in_child(misuse_all, &(bool){i % 2}), 0);
    ck_assert_uint_eq(sum_of(path), before);
    bool row;
    size_t count = 0;
    for (;; count++) {
        ck_ok(lam_step(all.running, &row, &err), &err);
        if (!row)
            break;
    }
    ck_assert_uint_eq(count + 1, SETTLED_ROWS);
    struct lam_value value = {0};
    ck_ok(lam_write(all.db, NULL, all.batch, NULL, &err), &err);
    ck_ok(lam_get(all.db, NULL, all.partition, key, &value, &err), &err);
    lam_value_release(&value);
    ck_assert(filled_db_is_whole(all.db));
    check_db(all.db);
    close_all();
    lam_db *db = open_db(path);
    ck_assert(filled_db_is_whole(db));
    close_db(db);
}
END_TEST

#define FORKS 60

static _Atomic bool stop;

static void *keep_writing(void *arg) {
    lam_session *s = arg;
    struct lam_error e;
    char sql[100];
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        snprintf(sql, sizeof sql, "INSERT INTO app.s VALUES (%u, 1, 'busy')", 200000 + i);
        enum lam_code rc = lam_exec(s, sql, strlen(sql), NULL, NULL, NULL, &e);
        if (rc == LAM_OK && i % 20 == 19)
            rc = lam_db_dump(all.db, &e);
        if (rc == LAM_OK && i % 50 == 49)
            rc = lam_exec(s, "STORAGE FLUSH TABLE app.s", 25, NULL, NULL, NULL, &e);
        if (rc != LAM_OK) {
            fprintf(stderr, "%s\n", e.message);
            abort();
        }
    }
    return NULL;
}

static void *keep_reading(void *arg) {
    lam_session *s = arg;
    struct lam_error e;
    while (!atomic_load(&stop)) {
        lam_snapshot *snapshot;
        if (lam_snapshot_new(all.db, &snapshot, &e) != LAM_OK ||
            lam_exec(s, "SELECT COUNT(*) FROM app.s", 26, NULL, NULL, NULL, &e) != LAM_OK)
            abort();
        lam_snapshot_free(snapshot);
    }
    return NULL;
}

/* Whatever mutex another thread held at the fork, the child does not wait for it. */
START_TEST(fork_in_the_middle_of_other_threads_work_harms_nobody) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    /* The sanitizers' own allocators hold mutexes that are not whole in the child. */
    return;
#endif
    open_all(at("db"));
    lam_session *sessions[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        sessions[i] = session_of(all.db, "root", LAM_ROLE_SYSTEM);
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, i ? keep_reading : keep_writing, sessions[i]), 0);
    }
    for (int i = 0; i < FORKS; i++)
        ck_assert_int_eq(in_child(misuse_all, &(bool){false}), 0);
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_ok(lam_session_close(sessions[i], &err), &err);
    }
    ck_assert(filled_db_is_whole(all.db));
    check_db(all.db);
    close_all();
}
END_TEST

static int use_own(void *arg) {
    lam_db *db = NULL;
    alarm(120);
    child_check(open_code(arg, &db) == LAM_OK);
    fill_db(db);
    child_check(filled_db_is_whole(db));
    child_check(lam_db_close(db, &err) == LAM_OK);
    return 0;
}

START_TEST(forked_child_can_use_a_database_of_its_own) {
    lam_db *db = open_db(at("db"));
    fill_db(db);
    ck_assert_int_eq(in_child(use_own, (void *)at("other")), 0);
    /* The parent's again once it was closed. */
    close_db(db);
    ck_assert_int_eq(in_child(use_own, (void *)at("third")), 0);
    db = open_db(at("other"));
    ck_assert(filled_db_is_whole(db));
    close_db(db);
}
END_TEST

TEST_MAIN("process/fork", forked_child_can_do_nothing_and_changes_no_file,
          fork_in_the_middle_of_other_threads_work_harms_nobody,
          forked_child_can_use_a_database_of_its_own)
