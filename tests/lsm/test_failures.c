/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of one database, each with every call of the environment and every allocation failing in
 * turn: it says what failed, has happened wholly or not at all, and can be done again. */
#include "lamina/inspect.h"
#include "lamina/stats.h"
#include "lamina/txn.h"
#include "lsm/filename.h"
#include "tests/lsm/copies.h"

#define SYNC (&(struct lam_write_options){LAM_DURABILITY_SYNC})

/* --- changes ---------------------------------------------------------------------------------- */

/* What readers see before and after the call. */
static const char *before, *after;

/* All partitions and rows. */
static char world[4096];
static bool note_partition(void *arg, const char *name) {
    lam_partition *part;
    lam_iter *it;
    size_t *at = arg;
    ck_ok(lam_partition_open(db, name, &part, &err), &err);
    ck_ok(lam_iter_new(db, NULL, part, &it, &err), &err);
    *at += (size_t)snprintf(world + *at, sizeof world - *at, "%s:", name);
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it))
        *at += (size_t)snprintf(world + *at, sizeof world - *at, "%.*s=%.*s ",
                                (int)lam_iter_key(it).size, lam_iter_key(it).data,
                                (int)lam_iter_value(it).size, lam_iter_value(it).data);
    ck_ok(lam_iter_status(it, &err), &err);
    lam_iter_free(it);
    lam_partition_release(part);
    return true;
}
static const char *see(void) {
    size_t at = 0;
    ck_ok(lam_partition_list(db, note_partition, &at, &err), &err);
    return world;
}

static void check_change(lam_env *env, enum lam_code was, bool opened) {
    const char *seen = see();
    bool done = strcmp(seen, after) == 0;
    bool unknown = was == LAM_UNKNOWN_OUTCOME;
    (void)env;
    (void)opened;
    ck_assert_msg(done || strcmp(seen, before) == 0, "%s: %s", sweep_at, seen);
    if (strcmp(before, after) != 0)
        ck_assert_msg(done ? was == LAM_OK || unknown : was != LAM_OK, "%s: %s", sweep_at, seen);
}

static enum lam_code create_many(lam_env *env) {
    static const char *const names[] = {"x", "y", "z"};
    static const struct lam_partition_options o = {.ttl_seconds = 100};
    lam_partition *made[3];
    (void)env;
    enum lam_code rc = lam_partition_create_many(db, names, 3, &o, made, &err);
    for (int i = 0; rc == LAM_OK && i < 3; i++)
        lam_partition_release(made[i]);
    return rc;
}
static enum lam_code create_if_none(lam_env *env) {
    enum lam_code rc = create_many(env);
    return rc == LAM_EXISTS ? LAM_OK : rc;
}

static enum lam_code drop_q(lam_env *env) {
    (void)env;
    return lam_partition_drop(db, q, &err);
}
static enum lam_code drop_if_there(lam_env *env) {
    return q ? drop_q(env) : LAM_OK;
}
/* `q` may be dropped. */
static enum lam_code open_some(lam_env *env) {
    enum lam_code rc = open_in(env);
    if (rc != LAM_NOT_FOUND)
        return rc;
    q = NULL;
    return LAM_OK;
}

static enum lam_code compact_range(lam_env *env) {
    (void)env;
    return lam_db_compact_range(db, p, S("a"), S("c"), NULL, NULL, &err);
}

/* A key and a range that were read, a put, a delete and a deleted range, over two partitions. */
static enum lam_code fill_txn(lam_txn *t) {
    struct lam_value v = {0};
    lam_iter *it = NULL;
    enum lam_code rc = lam_txn_get_for_update(t, p, S("b"), &v, &err);
    lam_value_release(&v);
    struct lam_read_options o = {.lower = S("a"), .upper = S("bb")};
    if (rc == LAM_OK)
        rc = lam_txn_iter_new(t, &o, p, &it, &err);
    if (rc == LAM_OK) {
        for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it))
            ;
        rc = lam_iter_status(it, &err);
    }
    lam_iter_free(it);
    if (rc == LAM_OK)
        rc = lam_txn_put(t, p, S("e"), S("txn"), &err);
    if (rc == LAM_OK)
        rc = lam_txn_delete(t, q, S("z"), &err);
    return rc == LAM_OK ? lam_txn_delete_range(t, q, S("a"), S("b"), &err) : rc;
}
static enum lam_code begin_txn(lam_txn **t) {
    enum lam_code rc = lam_txn_begin(db, &(struct lam_txn_options){.serializable = true}, t, &err);
    if (rc != LAM_OK)
        return rc;
    rc = fill_txn(*t);
    if (rc != LAM_OK)
        lam_txn_rollback(*t);
    return rc;
}
static enum lam_code commit_txn(lam_env *env) {
    lam_txn *t;
    (void)env;
    enum lam_code rc = begin_txn(&t);
    return rc == LAM_OK ? lam_txn_commit(t, SYNC, NULL, &err) : rc;
}

/* What comes between is in no way of the transaction, but in a file that it must look into. */
static enum lam_code dump_between(const char *key, const char *value) {
    lam_batch *b;
    enum lam_code rc = lam_batch_new(db, &b, &err);
    if (rc != LAM_OK)
        return rc;
    /* Around all keys of the transaction, and far from them. */
    rc = lam_batch_put(b, p, S(key), S(value), &err);
    if (rc == LAM_OK)
        rc = lam_batch_delete(b, p, S("0"), &err);
    if (rc == LAM_OK)
        rc = lam_batch_delete(b, p, S("zz"), &err);
    if (rc == LAM_OK)
        rc = lam_batch_delete_range(b, p, S("zz"), S("zzz"), LAM_SEQUENCE_MAX, &err);
    if (rc == LAM_OK)
        rc = lam_write(db, NULL, b, NULL, &err);
    lam_batch_free(b);
    return rc == LAM_OK ? lam_db_dump(db, &err) : rc;
}
static enum lam_code commit_past_files(lam_env *env) {
    lam_txn *t;
    (void)env;
    enum lam_code rc = begin_txn(&t);
    if (rc != LAM_OK)
        return rc;
    rc = dump_between("c", "only in the log");
    if (rc == LAM_OK)
        rc = lam_delete(db, NULL, p, S("zz"), &err); /* and a memtable */
    if (rc == LAM_OK)
        return lam_txn_commit(t, SYNC, NULL, &err);
    lam_txn_rollback(t);
    return rc;
}
static enum lam_code conflict_in_files(lam_env *env) {
    lam_txn *t;
    (void)env;
    enum lam_code rc = begin_txn(&t);
    if (rc != LAM_OK)
        return rc;
    rc = dump_between("b", "2");
    if (rc == LAM_OK) {
        rc = lam_txn_commit(t, SYNC, NULL, &err);
        ck_assert_int_ne(rc, LAM_OK);
        return rc == LAM_CONFLICT ? LAM_OK : rc;
    }
    lam_txn_rollback(t);
    return rc;
}

static enum lam_code dump_and_compact(lam_env *env) {
    (void)env;
    enum lam_code rc = lam_put(db, NULL, p, S("b"), S("2"), &err);
    if (rc == LAM_OK)
        rc = lam_db_dump(db, &err);
    return rc == LAM_OK ? lam_db_compact(db, NULL, &err) : rc;
}

/* Of a range that files reach out of, so that their indexes are looked at. */
static enum lam_code measure(lam_env *env) {
    uint64_t bytes = 0, entries = 0;
    (void)env;
    enum lam_code rc = lam_put(db, NULL, p, S("b"), S("2"), &err);
    return rc == LAM_OK ? lam_partition_size(db, p, S("aa"), S("bb"), &bytes, &entries, &err) : rc;
}

/* What a batch hides up to a bound is asked of an iterator. */
static enum lam_code read_batch(lam_env *env) {
    struct lam_value v = {0};
    lam_batch *b;
    (void)env;
    enum lam_code rc = lam_batch_new_indexed(db, &b, &err);
    if (rc != LAM_OK)
        return rc;
    rc = lam_batch_delete_range(b, p, S("a"), S("z"), 1, &err);
    if (rc == LAM_OK)
        rc = lam_batch_get(b, NULL, p, S("b"), &v, &err);
    if (rc == LAM_OK)
        ck_assert(slice_eq(v.bytes, S("2")));
    if (rc == LAM_OK) {
        rc = lam_batch_get(b, NULL, p, S("bb"), &v, &err);
        ck_assert_int_ne(rc, LAM_OK);
        rc = rc == LAM_NOT_FOUND ? LAM_OK : rc;
    }
    lam_value_release(&v);
    lam_batch_free(b);
    return rc;
}

#define BEFORE "p:b=2 c=only in the log q:a=q1 z=last "
#define COMMIT "p:b=2 c=only in the log e=txn q:"
#define CHANGE(what, what_again)                                                                   \
    {                                                                                              \
        .make = make_db, .open = open_some, .call = what, .again = what_again,                     \
        .check = check_change, .use = use_db, .close = try_close, .dir = DIR, .err = &err          \
    }
static const struct {
    struct sweep sweep;
    const char *after;
} changes[] = {
    {CHANGE(create_many, create_if_none), BEFORE "x:y:z:"},
    {CHANGE(drop_q, drop_if_there), "p:b=2 c=only in the log "},
    {CHANGE(compact_range, NULL), BEFORE},
    {CHANGE(dump_and_compact, NULL), BEFORE},
    {CHANGE(measure, NULL), BEFORE},
    {CHANGE(read_batch, NULL), BEFORE},
    {CHANGE(commit_txn, NULL), COMMIT},
    {CHANGE(commit_past_files, NULL), COMMIT},
    {CHANGE(conflict_in_files, NULL), BEFORE},
};
#define CHANGES (sizeof changes / sizeof *changes)

static void sweep_changes(const struct sweep_fault *f) {
    for (size_t i = 0; i < CHANGES; i++) {
        before = BEFORE;
        after = changes[i].after;
        uint64_t failed = sweep_failures(&changes[i].sweep, f);
        ck_assert(failed > 0 || f == &SWEEP_SPACE); /* some need none */
    }
}

START_TEST(changes_whose_calls_fail_happen_wholly_or_not_at_all) {
    sweep_changes(&SWEEP_IO);
}
END_TEST
START_TEST(changes_whose_calls_fail_from_then_on_happen_wholly_or_not_at_all) {
    sweep_changes(&SWEEP_IO_ALL);
    sweep_changes(&SWEEP_SPACE);
}
END_TEST
START_TEST(changes_whose_allocations_fail_happen_wholly_or_not_at_all) {
    sweep_changes(&SWEEP_MEMORY);
}
END_TEST
START_TEST(changes_that_a_crash_cuts_happen_wholly_or_not_at_all) {
    for (size_t i = 0; i < CHANGES; i++) {
        before = BEFORE;
        after = changes[i].after;
        sweep_crashes(&changes[i].sweep, 4);
    }
}
END_TEST

/* --- sizes ------------------------------------------------------------------------------------ */

static uint64_t entries_in(const char *from, const char *to) {
    uint64_t bytes, entries;
    ck_ok(lam_partition_size(db, p, S(from), S(to), &bytes, &entries, &err), &err);
    ck_assert_int_eq(bytes > 0, entries > 0);
    return entries;
}

START_TEST(wider_ranges_are_no_smaller) {
    static const char *const bounds[] = {"", "a", "aa", "b", "bb", "c", "f", "k", "x", "y", "zz"};
    enum { N = sizeof bounds / sizeof *bounds };
    start();
    for (int round = 0; round < 4; round++) {
        uint64_t all = entries_in("", ""), size[N][N];
        ck_assert_uint_gt(all, 0);
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                size[i][j] = entries_in(bounds[i], bounds[j]);
                ck_assert_uint_le(size[i][j], all);
                ck_assert(j == 0 || i < j || size[i][j] == 0);
                if (i > 0)
                    ck_assert(size[i][j] <= size[i - 1][j]);
                if (j > 1)
                    ck_assert(size[i][j] >= size[i][j - 1]);
            }
        /* An open end, a level above another, a file of its own, all in one level. */
        lam_batch *b;
        ck_ok(lam_batch_new(db, &b, &err), &err);
        if (round < 2)
            ck_ok(lam_batch_delete_range(b, p, S("y"), S(""), LAM_SEQUENCE_MAX, &err), &err);
        ck_ok(lam_batch_put(b, p, S(round ? "x" : "f"), S("1"), &err), &err);
        ck_ok(lam_batch_put(b, p, S(round ? "k" : "e"), S("1"), &err), &err);
        ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
        lam_batch_free(b);
        ck_ok(round == 1 ? lam_db_compact(db, NULL, &err) : lam_db_dump(db, &err), &err);
    }
    ck_code(lam_partition_size(db, p, S(""), lam_slice_of(NULL, 1), NULL, NULL, &err), LAM_INVALID);
    ck_code(lam_partition_size(db, p, lam_slice_of(NULL, 1), S(""), NULL, NULL, &err), LAM_INVALID);
    close_db();
    lam_env_mem_free(mem);
}
END_TEST

/* --- the last sequence ------------------------------------------------------------------------ */

START_TEST(database_whose_sequences_are_used_up_is_read_and_takes_no_commit) {
    struct manifest_edit state = {.has_next_number = true,
                                  .next_number = 2,
                                  .has_last_sequence = true,
                                  .last_sequence = LAM_SEQUENCE_MAX,
                                  .has_wal_floor = true};
    struct lam_options o = {.manual_background = true};
    struct lam_value v = {0};
    lam_ingest *g;
    lam_batch *b;
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    ck_ok(mem->ops->dir_create(mem, DIR, &err), &err);
    ck_ok(copy_make_root(mem, DIR, (const uint8_t *)"0123456789abcdef", &state, &err), &err);
    o.env = mem;
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    q = NULL;
    ck_code(lam_put(db, NULL, p, S("a"), S("1"), &err), LAM_LIMIT);
    ck_contains(err.message, "sequences");
    ck_ok(lam_ingest_new(db, p, &g, &err), &err);
    ck_ok(lam_ingest_put(g, S("a"), S("1"), &err), &err);
    ck_code(lam_ingest_finish(g, NULL, &err), LAM_LIMIT);
    ck_contains(err.message, "sequences");
    ck_ok(lam_batch_new_indexed(db, &b, &err), &err);
    ck_code(lam_batch_get(b, NULL, p, S("a"), &v, &err), LAM_LIMIT);
    lam_batch_free(b);
    ck_code(lam_get(db, NULL, p, S("a"), &v, &err), LAM_NOT_FOUND);
    close_db();
    ck_ok(lam_check(DIR, mem, NULL, NULL, &err), &err);
    lam_env_mem_free(mem);
}
END_TEST

/* --- looking ---------------------------------------------------------------------------------- */

static lam_env *faulty; /* over `mem` */
static char path[64];
static enum file_type wanted;
static bool find(void *arg, const char *name) {
    uint64_t number;
    (void)arg;
    if (filename_parse(name, &number) == wanted)
        snprintf(path, sizeof path, DIR "/%s", name);
    return true;
}

static bool mix_operation(void *arg, const struct lam_operation *o) {
    sweep_mix(arg, o->key);
    sweep_mix(arg, o->value);
    sweep_mix(arg, o->to);
    return true;
}
static bool mix_line(void *arg, const char *line) {
    sweep_mix(arg, S(line));
    return true;
}
static bool mix_backup(void *arg, const struct lam_backup *b) {
    sweep_mix(arg, lam_slice_of(b, sizeof *b));
    return true;
}

static struct lam_error *told = &err; /* NULL: the caller does not want to know */
static enum lam_code look_into_sst(uint64_t *hash) {
    return lam_inspect_sst(path, faulty, NULL, mix_operation, hash, told);
}
static enum lam_code look_into_wal(uint64_t *hash) {
    return lam_inspect_wal(path, faulty, NULL, mix_operation, hash, told);
}
static enum lam_code look_into_manifest(uint64_t *hash) {
    return lam_inspect_manifest(path, faulty, mix_line, hash, told);
}
static enum lam_code look_into_root(uint64_t *hash) {
    struct lam_root_info info;
    enum lam_code rc = lam_inspect_root(DIR, faulty, &info, told);
    if (rc == LAM_OK)
        sweep_mix(hash, lam_slice_of(info.database, sizeof info.database));
    return rc;
}
static enum lam_code list_backups(uint64_t *hash) {
    return lam_backup_list(BACKUPS, faulty, mix_backup, hash, told);
}
static enum lam_code verify_backup(uint64_t *hash) {
    (void)hash;
    return lam_backup_verify(BACKUPS, faulty, 0, NULL, NULL, told);
}
static enum lam_code check_db(uint64_t *hash) {
    (void)hash;
    return lam_check(DIR, faulty, NULL, NULL, told);
}

static const struct {
    sweep_reader read;
    enum file_type type; /* that it looks into */
    bool flips;          /* and finds each bit */
} looks[] = {
    {look_into_sst, FILE_SST, true},   {look_into_wal, FILE_WAL, false},
    {look_into_root, FILE_SST, false}, {look_into_manifest, FILE_MANIFEST, false},
    {list_backups, FILE_SST, true},    {verify_backup, FILE_SST, true},
    {check_db, FILE_SST, false},
};

/* With a log that was not closed, and a manifest that holds every kind of edit and name. */
static void make_image(void) {
    lam_partition *odd;
    start();
    make_outer(mem);
    ck_ok(db_backup(db, BACKUPS, &outer, NULL, NULL, NULL, &err), &err);
    char name[LAM_PARTITION_NAME_MAX + 1] = "";
    for (size_t i = 0; i + 1 < sizeof name; i += 9) {
        memset(name, i % 2 ? 'n' : ' ', i + 1);
        name[i + 1] = 0;
        ck_ok(lam_partition_create(db, name, NULL, &odd, &err), &err);
        lam_partition_release(odd);
    }
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    put(p, "d", "in the log");
    ck_ok(lam_delete(db, NULL, q, S("d"), &err), &err);
    lam_env *image;
    ck_ok(lam_env_mem_crash(mem, LAM_CRASH_PROCESS, 0, &image, &err), &err);
    close_db();
    lam_env_mem_free(mem);
    mem = image;
    faulty = env_fault_new(mem);
    ck_assert_ptr_nonnull(faulty);
    env_fault_arm(faulty, 0, 0, LAM_OK, false);
}

static void look_at(size_t i) {
    wanted = looks[i].type;
    ck_ok(env_dir_list(mem, DIR, find, NULL, &err), &err);
}

START_TEST(looks_that_fail_say_so_and_the_next_one_sees_the_same) {
    make_image();
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
        look_at(i);
        ck_assert_uint_gt(sweep_reads(faulty, &SWEEP_IO, looks[i].read, &err), 1);
        ck_assert_uint_gt(sweep_reads(faulty, &SWEEP_MEMORY, looks[i].read, &err), 0);
        if (looks[i].flips)
            ck_assert_uint_gt(sweep_reads(faulty, &SWEEP_FLIP, looks[i].read, &err), 1);
    }
    env_fault_free(faulty);
    lam_env_mem_free(mem);
}
END_TEST

/* --- who does not ask ------------------------------------------------------------------------- */

static enum lam_code copy_somewhere(uint64_t *hash) {
    static unsigned number;
    char to[32];
    (void)hash;
    snprintf(to, sizeof to, "/copy%u", number++);
    return db_checkpoint(db, to, &outer, told);
}
static enum lam_code back_up(uint64_t *hash) {
    (void)hash;
    return db_backup(db, BACKUPS, &outer, NULL, NULL, NULL, told);
}
static enum lam_code dump_something(uint64_t *hash) {
    (void)hash;
    enum lam_code rc = lam_put(db, NULL, p, S("b"), S("2"), told);
    return rc == LAM_OK ? lam_db_dump(db, told) : rc;
}
static enum lam_code compact_something(uint64_t *hash) {
    enum lam_code rc = dump_something(hash);
    return rc == LAM_OK ? lam_db_compact(db, NULL, told) : rc;
}
static enum lam_code see_conflict(uint64_t *hash) {
    lam_txn *t;
    (void)hash;
    enum lam_code rc = lam_txn_begin(db, &(struct lam_txn_options){.serializable = true}, &t, told);
    if (rc != LAM_OK)
        return rc;
    rc = lam_txn_delete_range(t, p, S("a"), S("z"), told);
    if (rc == LAM_OK)
        rc = dump_something(hash);
    if (rc != LAM_OK)
        lam_txn_rollback(t);
    else if ((rc = lam_txn_commit(t, NULL, NULL, told)) == LAM_CONFLICT)
        rc = LAM_OK;
    return rc;
}

/* A failure gives the same code whether or not the caller wants its words. */
static void sweep_untold(lam_env *env, const struct sweep_fault *f, sweep_reader read) {
    for (uint64_t nth = 1, hash = 0;; nth++) {
        told = NULL;
        sweep_arm(env, f, nth);
        enum lam_code rc = read(&hash);
        bool fired = sweep_disarm(env, f);
        told = &err;
        ck_assert_msg(fired || rc == LAM_OK, "%s: %s", sweep_at, lam_code_name(rc));
        if (!fired)
            return;
        /* Backups cost what there is of them. */
        IGNORE(lam_backup_purge(BACKUPS, mem, 1, NULL), "then the next one does it");
        if (db && lam_db_dump(db, NULL) != LAM_OK) {
            IGNORE(try_close(), "it says what could not be written");
            ck_ok(open_in(env), &err);
        }
    }
}

START_TEST(failures_need_no_error_struct) {
    static const sweep_reader calls[] = {copy_somewhere, back_up, dump_something, compact_something,
                                         see_conflict};
    make_image();
    db = NULL;
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
        look_at(i);
        sweep_untold(faulty, &SWEEP_IO, looks[i].read);
        sweep_untold(faulty, &SWEEP_MEMORY, looks[i].read);
    }
    ck_ok(open_in(faulty), &err);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        sweep_untold(faulty, &SWEEP_IO, calls[i]);
        sweep_untold(faulty, &SWEEP_MEMORY, calls[i]);
    }
    ck_assert_str_eq(rows_of(db), "p:b=2 c=only in the log d=in the log q:a=q1 z=last ");
    close_db();
    ck_ok(lam_check(DIR, mem, NULL, NULL, &err), &err);
    env_fault_free(faulty);
    lam_env_mem_free(mem);
}
END_TEST

TEST_MAIN("lsm/failures", changes_whose_calls_fail_happen_wholly_or_not_at_all,
          changes_whose_calls_fail_from_then_on_happen_wholly_or_not_at_all,
          changes_whose_allocations_fail_happen_wholly_or_not_at_all,
          changes_that_a_crash_cuts_happen_wholly_or_not_at_all, wider_ranges_are_no_smaller,
          database_whose_sequences_are_used_up_is_read_and_takes_no_commit,
          looks_that_fail_say_so_and_the_next_one_sees_the_same, failures_need_no_error_struct)
