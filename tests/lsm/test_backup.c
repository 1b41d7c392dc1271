/* SPDX-License-Identifier: Apache-2.0
 *
 * Backups: sharing, listing, removing, verifying, restoring; failures, crashes and damage. */
#include "base/hash.h"
#include "lsm/backup_dir.h"
#include "tests/lsm/copies.h"

static bool with_outer;

static enum lam_code backup(uint64_t *id_out) {
    memset(&err, 0, sizeof err);
    return db_backup(db, BACKUPS, with_outer ? &outer : NULL, NULL, NULL, id_out, &err);
}
static enum lam_code restore(lam_env *env, uint64_t id, const char *target) {
    memset(&err, 0, sizeof err);
    return lam_backup_restore(BACKUPS, env, id, target, NULL, NULL, &err);
}
static void end(void) {
    close_db();
    lam_env_mem_free(mem);
}

static struct lam_backup listed[8];
static size_t listed_count;
static bool note(void *arg, const struct lam_backup *b) {
    ck_assert_ptr_eq(arg, &listed_count);
    ck_assert_uint_lt(listed_count, 8);
    listed[listed_count++] = *b;
    return true;
}
static void list(lam_env *env) {
    listed_count = 0;
    ck_ok(lam_backup_list(BACKUPS, env, note, &listed_count, &err), &err);
}

START_TEST(backups_share_files_and_each_is_restored_as_it_was) {
    uint64_t id;
    start();
    ck_ok(backup(&id), &err);
    ck_assert_uint_eq(id, 1);
    size_t first = files_of(mem, BACKUPS, ".data");
    ck_ok(backup(&id), &err);
    ck_assert_uint_eq(id, 2);
    ck_assert_uint_eq(files_of(mem, BACKUPS, ".data"), first); /* nothing was copied */
    put(p, "later", "x");
    ck_ok(backup(&id), &err);
    ck_assert_uint_eq(files_of(mem, BACKUPS, ".data"), first + 1);
    list(mem);
    ck_assert_uint_eq(listed_count, 3);
    ck_assert_uint_eq(listed[0].id, 1);
    ck_assert_uint_eq(listed[0].files, first);
    ck_assert_uint_eq(listed[1].own_bytes, 0);
    ck_assert_uint_gt(listed[2].own_bytes, 0);
    ck_assert_uint_lt(listed[2].own_bytes, listed[2].bytes);
    ck_assert_uint_gt(listed[2].sequence, listed[1].sequence);
    ck_ok(lam_backup_verify(BACKUPS, mem, 0, NULL, NULL, &err), &err);
    ck_ok(restore(mem, 2, COPY), &err);
    ck_assert_str_eq(shown_by(mem, COPY, false), START_SHOWS);
    ck_ok(restore(mem, 0, "/newest"), &err);
    ck_assert_str_eq(shown_by(mem, "/newest", false),
                     "p:b=2 c=only in the log later=x q:a=q1 z=last ");
    ck_code(restore(mem, 1, COPY), LAM_EXISTS);
    ck_code(restore(mem, 9, "/none"), LAM_NOT_FOUND);
    ck_contains(err.message, "no backup 9");
    ck_assert(!is_there(mem, "/none"));
    end();
}
END_TEST

START_TEST(restored_database_is_backed_up_beside_its_source) {
    start();
    ck_ok(backup(NULL), &err);
    put(p, "d", "source");
    ck_ok(backup(NULL), &err);
    close_db();
    ck_ok(restore(mem, 1, COPY), &err);
    struct lam_options o = {.env = mem, .manual_background = true};
    ck_ok(lam_db_open(COPY, &o, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &p, &err), &err);
    ck_ok(lam_partition_open(db, "q", &q, &err), &err);
    put(p, "d", "restored");
    ck_ok(backup(NULL), &err);
    ck_ok(restore(mem, 2, "/two"), &err);
    ck_ok(restore(mem, 3, "/three"), &err);
    ck_assert_str_eq(shown_by(mem, "/two", true),
                     "p:b=2 c=only in the log d=source q:a=q1 z=last ");
    ck_assert_str_eq(shown_by(mem, "/three", true),
                     "p:b=2 c=only in the log d=restored q:a=q1 z=last ");
    end();
}
END_TEST

START_TEST(deleting_and_purging_free_what_no_other_backup_has) {
    start();
    ck_ok(backup(NULL), &err);
    size_t first = files_of(mem, BACKUPS, ".data");
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    put(p, "later", "x");
    ck_ok(backup(NULL), &err);
    ck_assert_uint_gt(files_of(mem, BACKUPS, ".data"), first);
    size_t second = files_of(mem, BACKUPS, ".data") - first;
    ck_ok(backup(NULL), &err);
    ck_ok(lam_backup_delete(BACKUPS, mem, 1, &err), &err);
    ck_assert_uint_eq(files_of(mem, BACKUPS, ".data"), second);
    ck_code(lam_backup_delete(BACKUPS, mem, 1, &err), LAM_NOT_FOUND);
    ck_ok(lam_backup_purge(BACKUPS, mem, 1, &err), &err);
    list(mem);
    ck_assert_uint_eq(listed_count, 1);
    ck_assert_uint_eq(listed[0].id, 3);
    ck_assert_uint_eq(files_of(mem, BACKUPS, ".data"), second);
    ck_ok(restore(mem, 0, COPY), &err);
    ck_assert_str_eq(shown_by(mem, COPY, false), "p:b=2 c=only in the log later=x q:a=q1 z=last ");
    ck_ok(lam_backup_delete(BACKUPS, mem, 3, &err), &err);
    ck_assert_uint_eq(files_of(mem, BACKUPS, ".data"), 0);
    ck_code(restore(mem, 0, "/x"), LAM_NOT_FOUND);
    ck_ok(backup(NULL), &err);
    ck_ok(lam_backup_verify(BACKUPS, mem, 0, NULL, NULL, &err), &err);
    end();
}
END_TEST

START_TEST(directories_of_others_and_bad_arguments_are_refused) {
    start();
    ck_code(db_backup(db, DIR, NULL, NULL, NULL, NULL, &err), LAM_EXISTS);
    ck_contains(err.message, "something else");
    ck_code(db_backup(db, DIR "/ROOT", NULL, NULL, NULL, NULL, &err), LAM_EXISTS);
    ck_code(db_backup(db, "/no/parent", NULL, NULL, NULL, NULL, &err), LAM_NOT_FOUND);
    ck_code(lam_backup_list(DIR, mem, note, &listed_count, &err), LAM_NOT_FOUND);
    ck_code(lam_backup_list("/none", mem, note, &listed_count, &err), LAM_NOT_FOUND);
    ck_code(lam_backup_list(NULL, mem, note, &listed_count, &err), LAM_INVALID);
    ck_code(lam_backup_list(BACKUPS, mem, NULL, NULL, &err), LAM_INVALID);
    ck_code(lam_backup_delete(BACKUPS, mem, 0, &err), LAM_INVALID);
    ck_code(lam_backup_purge(BACKUPS, mem, 0, &err), LAM_INVALID);
    ck_code(lam_backup_restore(BACKUPS, mem, 0, "", NULL, NULL, &err), LAM_INVALID);
    ck_code(lam_backup_restore(BACKUPS, mem, 0, NULL, NULL, NULL, &err), LAM_INVALID);
    ck_code(lam_backup_restore("", mem, 0, COPY, NULL, NULL, &err), LAM_INVALID);
    ck_code(lam_backup_verify("", mem, 0, NULL, NULL, &err), LAM_INVALID);
    ck_code(lam_backup_delete("", mem, 1, &err), LAM_INVALID);
    ck_code(lam_backup_purge("", mem, 1, &err), LAM_INVALID);
    ck_ok(backup(NULL), &err);
    struct lam_options o = {.env = mem};
    lam_db *other;
    ck_ok(lam_db_open("/other", &o, &other, &err), &err);
    ck_code(db_backup(other, BACKUPS, NULL, NULL, NULL, NULL, &err), LAM_EXISTS);
    ck_contains(err.message, "another database");
    ck_ok(lam_db_close(other, &err), &err);
    lam_file_lock *lock;
    ck_ok(mem->ops->file_lock(mem, BACKUPS "/LOCK", &lock, &err), &err);
    ck_code(backup(NULL), LAM_BUSY);
    ck_code(restore(mem, 0, COPY), LAM_BUSY);
    mem->ops->file_unlock(lock);
    ck_ok(backup(NULL), &err);
    end();
}
END_TEST

/* --- progress --------------------------------------------------------------------------------- */

static uint64_t calls, cancel_at;
static struct lam_progress last;
static bool watch(void *arg, const struct lam_progress *now) {
    ck_assert_ptr_eq(arg, &calls);
    ck_assert_uint_ge(now->bytes_done, last.bytes_done);
    ck_assert_uint_ge(now->files_done, last.files_done);
    ck_assert(now->file != NULL);
    last = *now;
    return ++calls != cancel_at;
}
static void watch_from(uint64_t cancel) {
    calls = 0;
    cancel_at = cancel;
    memset(&last, 0, sizeof last);
}

START_TEST(progress_comes_to_its_totals_and_may_end_the_call) {
    start();
    watch_from(0);
    ck_ok(db_backup(db, BACKUPS, NULL, watch, &calls, NULL, &err), &err);
    ck_assert_uint_gt(last.files_total, 2);
    ck_assert_uint_eq(last.files_done, last.files_total);
    ck_assert_uint_eq(last.bytes_done, last.bytes_total);
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    uint64_t n = calls;
    for (uint64_t at = 1; at <= n; at++) {
        watch_from(at);
        enum lam_code rc = db_backup(db, BACKUPS, NULL, watch, &calls, NULL, &err);
        if (calls < at) {
            ck_ok(rc, &err);
            break;
        }
        ck_code(rc, LAM_BUSY);
        ck_contains(err.message, "progress function");
        list(mem);
        ck_assert_uint_eq(listed_count, 1);
    }
    watch_from(0);
    ck_ok(lam_backup_restore(BACKUPS, mem, 1, COPY, watch, &calls, &err), &err);
    ck_assert_uint_eq(last.bytes_done, last.bytes_total);
    n = calls;
    for (uint64_t at = 1; at <= n; at++) {
        watch_from(at);
        ck_code(lam_backup_restore(BACKUPS, mem, 1, "/other", watch, &calls, &err), LAM_BUSY);
        ck_assert(!is_there(mem, "/other") && !is_there(mem, "/other.unfinished"));
    }
    watch_from(2);
    ck_code(lam_backup_verify(BACKUPS, mem, 1, watch, &calls, &err), LAM_BUSY);
    end();
}
END_TEST

/* --- damage ----------------------------------------------------------------------------------- */

static char damaged[64];
static bool pick_data(void *arg, const char *name) {
    const char *kind = arg;
    size_t size = strlen(name);
    if (size > strlen(kind) && strcmp(name + size - strlen(kind), kind) == 0)
        snprintf(damaged, sizeof damaged, BACKUPS "/%s", name);
    return true;
}

static struct lam_env_ops ops;
static const struct lam_env_ops *real;
static lam_db *other;

/* Another database's backup comes between the look at a directory and its lock. */
static enum lam_code late_lock(lam_env *env, const char *path, lam_file_lock **out,
                               struct lam_error *error) {
    struct lam_options o = {.env = env, .manual_background = true};
    env->ops = real;
    ck_ok(lam_db_open("/other", &o, &other, &err), &err);
    ck_ok(db_backup(other, BACKUPS, NULL, NULL, NULL, NULL, &err), &err);
    ck_ok(lam_db_close(other, &err), &err);
    return env->ops->file_lock(env, path, out, error);
}

START_TEST(two_databases_that_make_one_directory_at_once_do_not_share_it) {
    start();
    real = mem->ops;
    ops = *real;
    ops.file_lock = late_lock;
    mem->ops = &ops;
    ck_code(backup(NULL), LAM_EXISTS);
    ck_contains(err.message, "another database");
    ck_ok(lam_backup_verify(BACKUPS, mem, 1, NULL, NULL, &err), &err);
    end();
}
END_TEST

START_TEST(damaged_file_of_a_backup_is_found_and_named_and_nothing_is_restored) {
    start();
    ck_ok(backup(NULL), &err);
    ck_ok(env_dir_list(mem, BACKUPS, pick_data, (void *)(uintptr_t) ".data", &err), &err);
    flip(mem, damaged, 20);
    ck_code(lam_backup_verify(BACKUPS, mem, 1, NULL, NULL, &err), LAM_CORRUPT);
    ck_contains(err.message, damaged);
    ck_code(restore(mem, 1, COPY), LAM_CORRUPT);
    ck_contains(err.message, damaged);
    ck_assert(!is_there(mem, COPY) && !is_there(mem, COPY ".unfinished"));
    flip(mem, damaged, 20);
    ck_ok(lam_backup_verify(BACKUPS, mem, 1, NULL, NULL, &err), &err);
    ck_ok(env_file_remove(mem, damaged, &err), &err);
    ck_code(restore(mem, 1, COPY), LAM_CORRUPT);
    ck_contains(err.message, "missing");
    /* What was lost is copied again. */
    ck_ok(backup(NULL), &err);
    ck_ok(restore(mem, 2, COPY), &err);
    ck_assert_str_eq(shown_by(mem, COPY, false), START_SHOWS);
    end();
}
END_TEST

START_TEST(damaged_description_hides_no_other_backup_and_frees_no_file) {
    start();
    ck_ok(backup(NULL), &err);
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    ck_ok(backup(NULL), &err);
    size_t all = files_of(mem, BACKUPS, ".data");
    flip(mem, BACKUPS "/000001.backup", 100);
    ck_code(lam_backup_list(BACKUPS, mem, note, &listed_count, &err), LAM_CORRUPT);
    ck_contains(err.message, BACKUPS "/000001.backup: offset 0");
    ck_code(restore(mem, 1, COPY), LAM_CORRUPT);
    ck_ok(restore(mem, 2, COPY), &err);
    ck_ok(backup(NULL), &err);
    ck_assert_str_eq(err.message, ""); /* what it got over is no error */
    ck_assert_uint_eq(files_of(mem, BACKUPS, ".data"), all);
    ck_ok(lam_backup_delete(BACKUPS, mem, 2, &err), &err);
    ck_assert_str_eq(err.message, "");
    ck_assert_uint_eq(files_of(mem, BACKUPS, ".data"), all);
    ck_ok(lam_backup_delete(BACKUPS, mem, 1, &err), &err);
    ck_assert_uint_lt(files_of(mem, BACKUPS, ".data"), all);
    list(mem);
    ck_assert_uint_eq(listed_count, 1);
    flip(mem, BACKUPS "/BACKUPS", 20);
    ck_code(lam_backup_list(BACKUPS, mem, note, &listed_count, &err), LAM_CORRUPT);
    ck_code(backup(NULL), LAM_CORRUPT);
    end();
}
END_TEST

START_TEST(damage_of_the_source_is_found_when_it_is_backed_up) {
    start();
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    char path[64] = "";
    struct lam_error e;
    for (unsigned n = 1; n < 100 && !path[0]; n++) {
        enum lam_path_kind kind;
        char at[64];
        snprintf(at, sizeof at, DIR "/%06u.sst", n);
        ck_ok(env_path_kind(mem, at, &kind, &e), &e);
        if (kind == LAM_PATH_FILE)
            strcpy(path, at);
    }
    flip(mem, path, 30);
    ck_code(backup(NULL), LAM_CORRUPT);
    ck_contains(err.message, path);
    list(mem);
    ck_assert_uint_eq(listed_count, 0);
    ck_assert(!is_there(mem, BACKUPS "/000001.backup"));
    end();
}
END_TEST

/* --- what lies in a directory ----------------------------------------------------------------- */

static struct buf bytes_of(const char *path) {
    struct buf out = {0};
    ck_ok(env_read_file(mem, path, 1u << 20, &out, &err), &err);
    return out;
}
static void write_bytes(const char *path, struct lam_slice bytes) {
    ck_ok(env_write_file(mem, path, bytes, &err), &err);
}

START_TEST(names_that_no_backup_has_are_passed_over) {
    const char *others[] = {
        "0000001.data", "000000.data", "000001.backup.old", "99999999999999999999999.data",
        "12345.data",   "BACKUPS.tmp", "000009.backup.tmp", "18446744073709551616.backup"};
    char path[80];
    start();
    ck_ok(mem->ops->dir_create(mem, "/blank", &err), &err);
    write_bytes("/blank/BACKUPS.tmp", S("half"));
    write_bytes("/blank/LOCK", S(""));
    ck_ok(db_backup(db, "/blank", NULL, NULL, NULL, NULL, &err), &err);
    ck_ok(mem->ops->dir_create(mem, "/data", &err), &err);
    write_bytes("/data/000001.data", S("somebody's"));
    ck_code(db_backup(db, "/data", NULL, NULL, NULL, NULL, &err), LAM_EXISTS);
    ck_ok(backup(NULL), &err);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(path, sizeof path, BACKUPS "/%s", others[i]);
        write_bytes(path, S("other"));
    }
    ck_ok(env_file_remove(mem, BACKUPS "/LOCK", &err), &err);
    list(mem); /* nothing may be written here */
    ck_assert_uint_eq(listed_count, 1);
    ck_ok(backup(NULL), &err);
    ck_ok(lam_backup_purge(BACKUPS, mem, 1, &err), &err);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(path, sizeof path, BACKUPS "/%s", others[i]);
        ck_assert_msg(is_there(mem, path), "%s", path);
    }
    ck_ok(restore(mem, 0, COPY), &err);
    end();
}
END_TEST

START_TEST(roots_and_descriptions_of_others_are_refused) {
    start();
    ck_ok(backup(NULL), &err);
    struct buf root = bytes_of(BACKUPS "/BACKUPS"), one = bytes_of(BACKUPS "/000001.backup");
    /* A description under another's number. */
    write_bytes(BACKUPS "/000007.backup", buf_slice(&one));
    ck_code(lam_backup_list(BACKUPS, mem, note, &listed_count, &err), LAM_CORRUPT);
    ck_contains(err.message, BACKUPS "/000007.backup: offset 0: describes another backup");
    ck_ok(lam_backup_delete(BACKUPS, mem, 7, &err), &err);
    /* Of a later version: nothing is removed that it may name. */
    put_le32(one.data + 8, BACKUP_VERSION + 1);
    put_le64(one.data + 72, hash_xxh3_pair(lam_slice_of(one.data, 72),
                                           lam_slice_of(one.data + 80, one.size - 80), 0));
    write_bytes(BACKUPS "/000003.backup", buf_slice(&one));
    size_t files = files_of(mem, BACKUPS, ".data");
    ck_code(restore(mem, 3, COPY), LAM_UNSUPPORTED);
    ck_contains(err.message, "format version");
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    ck_ok(backup(NULL), &err);
    ck_ok(lam_backup_delete(BACKUPS, mem, 1, &err), &err);
    ck_assert_uint_ge(files_of(mem, BACKUPS, ".data"), files);
    ck_ok(lam_backup_delete(BACKUPS, mem, 3, &err), &err);
    list(mem);
    ck_assert_uint_eq(listed_count, 1);
    /* The root: another length, another version. */
    ck_ok(buf_append_zeros(&root, 1, &err), &err);
    write_bytes(BACKUPS "/BACKUPS", buf_slice(&root));
    ck_code(backup(NULL), LAM_CORRUPT);
    write_bytes(BACKUPS "/BACKUPS", lam_slice_of(root.data, 39));
    ck_code(backup(NULL), LAM_CORRUPT);
    ck_contains(err.message, BACKUPS "/BACKUPS: offset 0");
    for (int at = 8; at <= 12; at += 4) {
        root.data[at]++;
        put_le64(root.data + 32, hash_xxh3(root.data, 32, 0));
        write_bytes(BACKUPS "/BACKUPS", lam_slice_of(root.data, 40));
        ck_code(backup(NULL), LAM_UNSUPPORTED);
        ck_code(lam_backup_list(BACKUPS, mem, note, &listed_count, &err), LAM_UNSUPPORTED);
        root.data[at]--;
    }
    root.data[0]++;
    put_le64(root.data + 32, hash_xxh3(root.data, 32, 0));
    write_bytes(BACKUPS "/BACKUPS", lam_slice_of(root.data, 40));
    ck_code(restore(mem, 0, COPY), LAM_CORRUPT);
    buf_fini(&root);
    buf_fini(&one);
    end();
}
END_TEST

/* --- files of layers above -------------------------------------------------------------------- */

static struct db_outer_file told_file;
static enum lam_code list_told(void *arg, db_outer_file_fn fn, void *fn_arg, struct lam_error *e) {
    (void)arg;
    return fn(fn_arg, &told_file, e);
}
static enum lam_code backup_with(const char *name, uint64_t size, uint64_t fingerprint) {
    static const struct db_outer_files one = {list_told, NULL};
    told_file = (struct db_outer_file){name, size, fingerprint, false};
    memset(&err, 0, sizeof err);
    return db_backup(db, BACKUPS, &one, NULL, NULL, NULL, &err);
}

START_TEST(outer_files_are_shared_while_nothing_says_that_they_differ) {
    struct lam_options o = {.manual_background = true};
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    o.env = mem;
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    p = q = NULL;
    make_outer(mem);
    ck_ok(backup(NULL), &err); /* of nothing */
    ck_assert_uint_eq(files_of(mem, BACKUPS, ".data"), 0);
    ck_ok(backup_with("cold/a/one", 100, 7), &err);
    ck_ok(backup_with("cold/a/one", 100, 7), &err);
    ck_assert_uint_eq(files_of(mem, BACKUPS, ".data"), 1);
    ck_ok(backup_with("cold/a/one", 100, 8), &err); /* made anew under its name */
    ck_ok(backup_with("cold/a/one", 100, 0), &err); /* not known */
    ck_ok(backup_with("cold/a/one", 0, 7), &err);
    ck_assert_uint_eq(files_of(mem, BACKUPS, ".data"), 4);
    /* One that was cut is copied again. */
    lam_file *f;
    ck_ok(env_file_open(mem, BACKUPS "/000001.data", LAM_OPEN_WRITE, &f, &err), &err);
    ck_ok(env_file_truncate(f, 50, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    ck_ok(backup_with("cold/a/one", 100, 7), &err);
    ck_ok(lam_backup_verify(BACKUPS, mem, 0, NULL, NULL, &err), &err);
    ck_code(lam_backup_verify(BACKUPS, mem, 2, NULL, NULL, &err), LAM_CORRUPT);
    ck_contains(err.message, "000001.data: offset 50: not the bytes");
    /* What is not as it is told makes no backup. */
    ck_code(backup_with("cold/a/one", 101, 9), LAM_CORRUPT);
    ck_contains(err.message, DIR "/cold/a/one: offset 100: 100 bytes, expected 101");
    ck_code(backup_with("cold/none", 100, 9), LAM_CORRUPT);
    ck_contains(err.message, DIR "/cold/none: offset 0: missing");
    ck_code(backup_with("../out", 100, 9), LAM_UNSUPPORTED);
    ck_contains(err.message, "../out");
    list(mem);
    ck_assert_uint_eq(listed_count, 7);
    end();
}
END_TEST

START_TEST(names_that_lead_out_are_no_names) {
    const char *bad[] = {"", "/a", "..", "../a", "a/../b", "a/..", "a/", "a//..", "a/b/"};
    const char *good[] = {"a", "a/b", "..a", "a..", "./a", "a/...", "cold/ns/t/batch-1.parquet"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!backup_name_is_safe(bad[i]), "%s", bad[i]);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(backup_name_is_safe(good[i]), "%s", good[i]);
    static char name[BACKUP_NAME_MAX + 2];
    memset(name, 'n', BACKUP_NAME_MAX);
    ck_assert(backup_name_is_safe(name));
    name[BACKUP_NAME_MAX] = 'n';
    ck_assert(!backup_name_is_safe(name));
}
END_TEST

START_TEST(descriptions_are_read_as_written_and_refused_when_changed) {
    uint8_t id[16] = "0123456789abcdef";
    struct manifest_file added = {.partition = 2,
                                  .number = 7,
                                  .size_bytes = 300,
                                  .smallest = S("a"),
                                  .largest = S("b"),
                                  .properties = {.entries = 1}};
    struct manifest_partition created = {.number = 2, .name = S("p")};
    struct manifest_removed removed = {.partition = 2, .number = 3};
    struct manifest_wal wal = {.number = 4};
    uint64_t dropped = 1;
    struct backup_file files[] = {{"000007.sst", 1, 300, 5, 6}, {"cold/x", 2, 40, 7, 0}};
    struct backup_description d = {.id = 3,
                                   .created_us = -5,
                                   .sequence = 9,
                                   .files = files,
                                   .count = 2},
                              got;
    struct buf bytes = {0};
    struct arena arena = {0};
    memcpy(d.db_id, id, 16);
    d.edit = (struct manifest_edit){.has_next_number = true,
                                    .next_number = 8,
                                    .has_last_sequence = true,
                                    .last_sequence = 9,
                                    .has_wal_floor = true,
                                    .created = &created,
                                    .created_count = 1,
                                    .added = &added,
                                    .added_count = 1,
                                    .removed = &removed,
                                    .dropped = &dropped,
                                    .wals = &wal};
    ck_ok(backup_encode(&d, &bytes, &err), &err);
    ck_ok(backup_decode(buf_slice(&bytes), "f", &arena, &got, &err), &err);
    ck_assert_uint_eq(got.count, 2);
    ck_assert_str_eq(got.files[1].name, "cold/x");
    ck_assert_int_eq(got.created_us, -5);
    ck_assert_uint_eq(got.edit.added[0].size_bytes, 300);
    for (size_t i = 0; i < bytes.size; i++) {
        bytes.data[i] ^= 4;
        enum lam_code rc = backup_decode(buf_slice(&bytes), "f", &arena, &got, &err);
        ck_assert_msg(rc == LAM_CORRUPT, "byte %zu", i);
        bytes.data[i] ^= 4;
        ck_code(backup_decode(lam_slice_of(bytes.data, i), "f", &arena, &got, &err), LAM_CORRUPT);
    }
    /* Whole, but contradicting itself. */
    struct {
        void *at;
        size_t size;
        uint64_t value;
        const char *says;
    } wrong[] = {
        {&files[0].size, 8, 301, "not as the edit says"},
        {&added.number, 8, 8, "not as the edit says"},
        {&d.edit.added_count, sizeof(size_t), 0, "the edit names 0"},
        {&d.edit.clean_close, 1, 1, "not a whole state"},
        {&d.edit.last_sequence, 8, 8, "not a whole state"},
        {&d.edit.next_number, 8, 1, "not a whole state"},
        {&d.edit.has_next_number, 1, 0, "not a whole state"},
        {&d.edit.has_last_sequence, 1, 0, "not a whole state"},
        {&d.edit.has_wal_floor, 1, 0, "not a whole state"},
        {&d.edit.removed_count, sizeof(size_t), 1, "not a whole state"},
        {&d.edit.dropped_count, sizeof(size_t), 1, "not a whole state"},
        {&d.edit.wals_count, sizeof(size_t), 1, "not a whole state"},
        {&d.id, 8, 0, "no such header"},
        {&added.number, 8, 6, "not as the edit says"},
        {&files[0].name, sizeof(char *), (uintptr_t) "ROOT", "none of a backup"},
        {&files[1].name, sizeof(char *), (uintptr_t) "000000/x", "out of order"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t kept[8];
        memcpy(kept, wrong[i].at, wrong[i].size);
        memcpy(wrong[i].at, &wrong[i].value, wrong[i].size);
        buf_reset(&bytes);
        ck_ok(backup_encode(&d, &bytes, &err), &err);
        ck_code(backup_decode(buf_slice(&bytes), "f", &arena, &got, &err), LAM_CORRUPT);
        ck_contains(err.message, wrong[i].says);
        memcpy(wrong[i].at, kept, wrong[i].size);
    }
    /* Whole by its checksum, and never written. */
    struct {
        size_t at;
        uint8_t with; /* xor */
        const char *says;
    } forged[] = {
        {12, 1, "no such header"}, {64, 1, "no such header"}, {80, 0x7e, "offset 80"},
        {81, 10, "offset 80"},     {81, 0x7f, "offset 80"},   {82, '0', "offset 80"},
    };
    buf_reset(&bytes);
    ck_ok(backup_encode(&d, &bytes, &err), &err);
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        struct buf copy = {0};
        ck_ok(buf_append_slice(&copy, buf_slice(&bytes), &err), &err);
        copy.data[forged[i].at] ^= forged[i].with;
        put_le64(copy.data + 72, hash_xxh3_pair(lam_slice_of(copy.data, 72),
                                                lam_slice_of(copy.data + 80, copy.size - 80), 0));
        ck_code(backup_decode(buf_slice(&copy), "f", &arena, &got, &err), LAM_CORRUPT);
        ck_contains(err.message, forged[i].says);
        buf_fini(&copy);
    }
    /* Without memory: names of each length let another part need it. */
    static char name[200] = "cold/";
    files[1].name = name;
    for (size_t n = strlen(name); n + 1 < sizeof name; n++) {
        name[n] = 'n';
        for (size_t nth = 1;; nth++) {
            struct buf out = {0};
            oom_arm_once(nth);
            enum lam_code rc = backup_encode(&d, &out, &err);
            bool fired = oom_fired();
            ck_assert_int_eq(rc, fired ? LAM_NO_MEMORY : LAM_OK);
            buf_fini(&out);
            if (!fired)
                break;
        }
    }
    buf_reset(&bytes);
    ck_ok(backup_encode(&d, &bytes, &err), &err);
    for (size_t nth = 1;; nth++) {
        arena_fini(&arena);
        memset(&arena, 0, sizeof arena);
        oom_arm_once(nth);
        enum lam_code rc = backup_decode(buf_slice(&bytes), "f", &arena, &got, &err);
        bool fired = oom_fired();
        ck_assert_msg(rc == (fired ? LAM_NO_MEMORY : LAM_OK), "%s", err.message);
        if (!fired)
            break;
    }
    buf_fini(&bytes);
    arena_fini(&arena);
}
END_TEST

/* --- failures and crashes --------------------------------------------------------------------- */

static size_t kept; /* backups that no failure takes */

/* Each backup that is listed is whole, the database is as it was, and another backup can be made
 * and restored. */
static void check_backups(lam_env *env, enum lam_code was, bool opened) {
    (void)opened;
    ck_assert_str_eq(rows_of(db), START_SHOWS);
    listed_count = 0;
    enum lam_code rc = lam_backup_list(BACKUPS, env, note, &listed_count, &err);
    if (rc == LAM_NOT_FOUND && was != LAM_OK && kept == 0)
        return;
    ck_ok(rc, &err);
    ck_assert_uint_ge(listed_count, kept);
    for (size_t i = 0; i < listed_count; i++)
        sweep_ok(&(struct sweep){.err = &err},
                 lam_backup_verify(BACKUPS, env, listed[i].id, NULL, NULL, &err), "verify");
    if (is_there(env, COPY)) {
        ck_assert_str_eq(shown_by(env, COPY, true), START_SHOWS);
        check_outer(env, COPY);
    }
    if (was != LAM_OK || is_there(env, "/again"))
        return;
    ck_ok(backup(NULL), &err);
    ck_ok(restore(env, 0, "/again"), &err);
    ck_assert_str_eq(shown_by(env, "/again", true), START_SHOWS);
}

static enum lam_code back_up(lam_env *env) {
    (void)env;
    return backup(NULL);
}
static enum lam_code make_restore(lam_env *env) {
    return restore(env, 1, COPY);
}
static enum lam_code restore_unless_there(lam_env *env) {
    return is_there(env, COPY) ? LAM_OK : make_restore(env);
}
static enum lam_code delete_first(lam_env *env) {
    memset(&err, 0, sizeof err);
    return lam_backup_delete(BACKUPS, env, 1, &err);
}
static enum lam_code delete_if_there(lam_env *env) {
    enum lam_code rc = delete_first(env);
    return rc == LAM_NOT_FOUND ? LAM_OK : rc;
}
static enum lam_code purge_others(lam_env *env) {
    memset(&err, 0, sizeof err);
    return lam_backup_purge(BACKUPS, env, 1, &err);
}

static void make_none(lam_env *env) {
    with_outer = true;
    make_db(env);
}
static void make_one(lam_env *env) {
    make_none(env);
    ck_ok(open_in(env), &err);
    ck_ok(backup(NULL), &err);
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    close_db();
}
static void make_two(lam_env *env) {
    make_one(env);
    ck_ok(open_in(env), &err);
    ck_ok(backup(NULL), &err);
    close_db();
}

#define SWEEP(prepare, what, what_again)                                                           \
    {                                                                                              \
        .make = prepare, .open = open_in, .call = what, .again = what_again,                       \
        .check = check_backups, .use = use_db, .close = try_close, .dir = DIR, .err = &err         \
    }
static const struct sweep first = SWEEP(make_none, back_up, NULL),
                          second = SWEEP(make_one, back_up, NULL),
                          restoring = SWEEP(make_two, make_restore, restore_unless_there),
                          deleting = SWEEP(make_two, delete_first, delete_if_there),
                          purging = SWEEP(make_two, purge_others, NULL);

START_TEST(calls_that_fail_while_a_backup_is_made_harm_nothing) {
    ck_assert_uint_gt(sweep_failures(&first, &SWEEP_IO), 20);
    ck_assert_uint_gt(sweep_failures(&first, &SWEEP_IO_ALL), 20);
    kept = 1;
    ck_assert_uint_gt(sweep_failures(&second, &SWEEP_IO), 20);
    ck_assert_uint_gt(sweep_failures(&second, &SWEEP_SPACE_ALL), 10);
}
END_TEST
START_TEST(calls_that_fail_while_one_is_restored_harm_nothing) {
    kept = 2;
    ck_assert_uint_gt(sweep_failures(&restoring, &SWEEP_IO), 20);
    ck_assert_uint_gt(sweep_failures(&restoring, &SWEEP_SPACE_ALL), 10);
}
END_TEST
START_TEST(calls_that_fail_while_one_is_deleted_harm_nothing) {
    kept = 1;
    ck_assert_uint_gt(sweep_failures(&deleting, &SWEEP_IO), 10);
    ck_assert_uint_gt(sweep_failures(&deleting, &SWEEP_IO_ALL), 10);
    ck_assert_uint_gt(sweep_failures(&purging, &SWEEP_IO), 10);
}
END_TEST
START_TEST(allocations_that_fail_harm_no_backup) {
    ck_assert_uint_gt(sweep_failures(&first, &SWEEP_MEMORY), 50);
    kept = 1;
    ck_assert_uint_gt(sweep_failures(&second, &SWEEP_MEMORY), 50);
    ck_assert_uint_gt(sweep_failures(&restoring, &SWEEP_MEMORY), 50);
    ck_assert_uint_gt(sweep_failures(&deleting, &SWEEP_MEMORY), 10);
    ck_assert_uint_gt(sweep_failures(&purging, &SWEEP_MEMORY), 10);
}
END_TEST
/* What a disk gives once and wrongly gets into no backup, and out of none. */
START_TEST(reads_that_lie_are_found) {
    ck_assert_uint_gt(sweep_failures(&first, &SWEEP_FLIP), 5);
    kept = 2;
    ck_assert_uint_gt(sweep_failures(&restoring, &SWEEP_FLIP), 5);
    kept = 1;
    sweep_failures(&deleting, &SWEEP_FLIP);
}
END_TEST
START_TEST(crashes_while_a_backup_is_made_leave_whole_ones) {
    sweep_crashes(&first, 3);
    kept = 1;
    sweep_crashes(&second, 3);
}
END_TEST
START_TEST(crashes_while_one_is_restored_leave_a_database_or_none) {
    kept = 2;
    sweep_crashes(&restoring, 3);
}
END_TEST
START_TEST(crashes_while_one_is_deleted_leave_whole_ones) {
    kept = 1;
    sweep_crashes(&deleting, 3);
}
END_TEST

TEST_MAIN("lsm/backup", backups_share_files_and_each_is_restored_as_it_was,
          restored_database_is_backed_up_beside_its_source,
          deleting_and_purging_free_what_no_other_backup_has,
          directories_of_others_and_bad_arguments_are_refused,
          progress_comes_to_its_totals_and_may_end_the_call,
          damaged_file_of_a_backup_is_found_and_named_and_nothing_is_restored,
          damaged_description_hides_no_other_backup_and_frees_no_file,
          names_that_no_backup_has_are_passed_over, roots_and_descriptions_of_others_are_refused,
          outer_files_are_shared_while_nothing_says_that_they_differ,
          damage_of_the_source_is_found_when_it_is_backed_up,
          two_databases_that_make_one_directory_at_once_do_not_share_it,
          names_that_lead_out_are_no_names,
          descriptions_are_read_as_written_and_refused_when_changed,
          calls_that_fail_while_a_backup_is_made_harm_nothing,
          calls_that_fail_while_one_is_restored_harm_nothing,
          calls_that_fail_while_one_is_deleted_harm_nothing, allocations_that_fail_harm_no_backup,
          reads_that_lie_are_found, crashes_while_a_backup_is_made_leave_whole_ones,
          crashes_while_one_is_restored_leave_a_database_or_none,
          crashes_while_one_is_deleted_leave_whole_ones)
