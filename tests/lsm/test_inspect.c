/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking into single files, and checks that tell how far they are. */
#include "lamina/inspect.h"

#include "lsm/filename.h"
#include "tests/lsm/copies.h"

static char text[8192];
static size_t text_size, line_count, line_limit;

static bool keep(const char *line) {
    if (text_size < sizeof text)
        text_size += (size_t)snprintf(text + text_size, sizeof text - text_size, "%s\n", line);
    return ++line_count != line_limit;
}
static bool take_operation(void *arg, const struct lam_operation *o) {
    char line[256];
    ck_assert_ptr_eq(arg, text);
    snprintf(line, sizeof line, "%d p%u %.*s=%.*s..%.*s", (int)o->kind, (unsigned)o->partition,
             (int)o->key.size, o->key.data, (int)o->value.size, o->value.data, (int)o->to.size,
             o->to.data);
    return keep(line);
}
static bool take_line(void *arg, const char *line) {
    ck_assert_ptr_eq(arg, text);
    return keep(line);
}
static void clear(size_t limit) {
    text[0] = 0;
    text_size = line_count = 0;
    line_limit = limit;
    memset(&err, 0, sizeof err);
}

static char found[64];
static enum file_type wanted;
static bool find(void *arg, const char *name) {
    uint64_t number;
    (void)arg;
    if (filename_parse(name, &number) == wanted)
        snprintf(found, sizeof found, DIR "/%s", name);
    return true;
}
/* The last listed file of a kind. */
static const char *file_of(enum file_type type) {
    wanted = type;
    found[0] = 0;
    ck_ok(env_dir_list(mem, DIR, find, NULL, &err), &err);
    ck_assert(found[0]);
    return found;
}

START_TEST(ssts_are_given_with_their_range_deletions) {
    struct lam_sst_info info;
    start();
    lam_batch *b;
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_batch_delete_range(b, p, S("x"), S("y"), LAM_SEQUENCE_MAX, &err), &err);
    ck_ok(lam_batch_delete(b, p, S("b"), &err), &err);
    ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
    lam_batch_free(b);
    ck_ok(lam_db_dump(db, &err), &err);
    size_t seen = 0;
    for (unsigned n = 1; n < 60; n++) {
        char path[64];
        snprintf(path, sizeof path, DIR "/%06u.sst", n);
        if (!is_there(mem, path))
            continue;
        clear(0);
        ck_ok(lam_inspect_sst(path, mem, &info, take_operation, text, &err), &err);
        ck_assert_uint_eq(info.number, n);
        ck_assert_uint_eq(line_count, info.entries + info.range_deletes);
        ck_assert_uint_le(info.sequence_min, info.sequence_max);
        if (info.range_deletes > 1) {
            ck_contains(text, "3 p0 a=..b\n");
            ck_contains(text, "3 p0 x=..y\n");
            ck_contains(text, "2 p0 b=..\n");
            ck_contains(text, "1 p0 c=only in the log..\n");
            seen++;
            clear(1);
            ck_ok(lam_inspect_sst(path, mem, NULL, take_operation, text, &err), &err);
            ck_assert_uint_eq(line_count, 1);
            clear(3);
            ck_ok(lam_inspect_sst(path, mem, NULL, take_operation, text, &err), &err);
            ck_assert_uint_eq(line_count, 3);
            ck_ok(lam_inspect_sst(path, mem, NULL, NULL, NULL, &err), &err);
        }
    }
    ck_assert_uint_eq(seen, 1);
    close_db();
    lam_env_mem_free(mem);
}
END_TEST

START_TEST(log_of_an_open_database_is_given_up_to_its_end) {
    struct lam_wal_info info;
    start();
    clear(0);
    ck_ok(lam_inspect_wal(file_of(FILE_WAL), mem, &info, take_operation, text, &err), &err);
    ck_contains(text, "=only in the log..");
    ck_contains(text, "3 p");
    ck_contains(text, " z=last..");
    ck_assert_uint_eq(info.batches, 2);
    ck_assert_uint_eq(line_count, 3);
    ck_assert(!info.torn);
    ck_assert_uint_gt(info.bytes, info.end);
    clear(2);
    ck_ok(lam_inspect_wal(file_of(FILE_WAL), mem, NULL, take_operation, text, &err), &err);
    ck_assert_uint_eq(line_count, 2);
    ck_ok(lam_inspect_wal(file_of(FILE_WAL), mem, &info, NULL, NULL, &err), &err);
    /* An end that was not synced is torn; what a later record calls durable is damaged. */
    flip(mem, file_of(FILE_WAL), info.end - 1);
    clear(0);
    ck_ok(lam_inspect_wal(found, mem, &info, take_operation, text, &err), &err);
    ck_assert(info.torn);
    ck_assert_uint_eq(line_count, 1);
    flip(mem, found, info.end - 1);
    flip(mem, found, 3);
    clear(0);
    ck_code(lam_inspect_wal(found, mem, &info, take_operation, text, &err), LAM_CORRUPT);
    ck_contains(err.message, ".wal: offset 0");
    ck_assert_uint_eq(line_count, 0);
    flip(mem, found, 3);
    close_db();
    lam_env_mem_free(mem);
}
END_TEST

START_TEST(manifest_is_given_as_lines) {
    struct lam_root_info root;
    start();
    lam_partition *odd;
    ck_ok(lam_partition_create(db, "a b\\", NULL, &odd, &err), &err);
    lam_partition_release(odd);
    clear(0);
    ck_ok(lam_inspect_manifest(file_of(FILE_MANIFEST), mem, take_line, text, &err), &err);
    ck_contains(text, "edit 1 next_number=2\n");
    ck_contains(text, " create partition=3 name=p compression=0 ttl_seconds=0\n");
    ck_contains(text, " name=a\\x20b\\x5c ");
    ck_contains(text, " drop partition=");
    ck_contains(text, " level=0 file=");
    ck_contains(text, " smallest=a largest=b ");
    ck_contains(text, " log segment=");
    ck_ok(lam_inspect_root(DIR, mem, &root, &err), &err);
    ck_assert_uint_eq(root.manifest, 1);
    ck_assert(!root.sealed);
    clear(2);
    ck_ok(lam_inspect_manifest(found, mem, take_line, text, &err), &err);
    ck_assert_uint_eq(line_count, 2);
    close_db();
    ck_ok(lam_inspect_root(DIR, mem, &root, &err), &err);
    ck_assert(root.sealed);
    clear(0);
    ck_ok(lam_inspect_manifest(file_of(FILE_MANIFEST), mem, take_line, text, &err), &err);
    ck_contains(text, " close\n");
    ck_contains(text, " seal segment=");
    lam_env_mem_free(mem);
}
END_TEST

START_TEST(what_is_readable_before_a_damage_is_given) {
    start();
    for (int i = 0; i < 3000; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%05d", i);
        ck_ok(lam_put(db, NULL, p, S(key), S("value"), &err), &err);
    }
    ck_ok(lam_db_compact(db, p, &err), &err);
    char path[64] = "";
    struct lam_sst_info info = {0};
    for (unsigned n = 1; n < 60 && info.entries < 3000; n++) {
        snprintf(path, sizeof path, DIR "/%06u.sst", n);
        if (is_there(mem, path))
            ck_ok(lam_inspect_sst(path, mem, &info, NULL, NULL, &err), &err);
    }
    ck_assert_uint_ge(info.entries, 3000);
    struct lam_sst_info again;
    flip(mem, path, info.bytes / 2);
    clear(0);
    struct lam_error e = {0};
    enum lam_code rc = lam_inspect_sst(path, mem, &again, NULL, NULL, &e);
    if (rc == LAM_OK)
        rc = lam_inspect_sst(path, mem, NULL, take_operation, text, &e);
    ck_code(rc, LAM_CORRUPT);
    ck_contains(e.message, path);
    ck_contains(e.message, "offset ");
    ck_assert_uint_gt(line_count, 100);
    ck_assert_uint_lt(line_count, 3000);
    close_db();
    lam_env_mem_free(mem);
}
END_TEST

START_TEST(other_files_and_bad_arguments_are_refused) {
    uint64_t sum;
    start();
    struct lam_root_info root;
    ck_code(lam_inspect_sst(DIR "/ROOT", mem, NULL, NULL, NULL, &err), LAM_CORRUPT);
    ck_contains(err.message, DIR "/ROOT: offset ");
    ck_code(lam_inspect_wal(DIR "/ROOT", mem, NULL, NULL, NULL, &err), LAM_CORRUPT);
    ck_code(lam_inspect_manifest(file_of(FILE_WAL), mem, take_line, &sum, &err), LAM_CORRUPT);
    ck_code(lam_inspect_sst(DIR "/LOCK", mem, NULL, NULL, NULL, &err), LAM_CORRUPT);
    ck_code(lam_inspect_sst(DIR "/absent", mem, NULL, NULL, NULL, &err), LAM_NOT_FOUND);
    ck_code(lam_inspect_wal("/absent", mem, NULL, NULL, NULL, &err), LAM_NOT_FOUND);
    ck_code(lam_inspect_manifest("/absent", mem, take_line, &sum, &err), LAM_NOT_FOUND);
    ck_code(lam_inspect_root("/", mem, &root, &err), LAM_NOT_FOUND);
    ck_code(lam_inspect_sst(NULL, mem, NULL, NULL, NULL, &err), LAM_INVALID);
    ck_code(lam_inspect_wal("", mem, NULL, NULL, NULL, &err), LAM_INVALID);
    ck_code(lam_inspect_manifest(found, mem, NULL, NULL, &err), LAM_INVALID);
    ck_code(lam_inspect_root(DIR, mem, NULL, &err), LAM_INVALID);
    close_db();
    lam_env_mem_free(mem);
}
END_TEST

/* --- progress of a check ---------------------------------------------------------------------- */

static struct lam_progress last;
static unsigned calls, stop_at;
static bool watch(void *arg, const struct lam_progress *now) {
    ck_assert_ptr_eq(arg, &calls);
    ck_assert_uint_ge(now->files_done, last.files_done);
    last = *now;
    return ++calls != stop_at;
}

START_TEST(check_tells_how_far_it_is_and_can_be_ended) {
    start();
    close_db();
    struct lam_check_options o = {.env = mem, .progress = watch, .arg = &calls};
    ck_ok(lam_check_with(DIR, &o, &err), &err);
    ck_assert_uint_gt(last.files_total, 1);
    ck_assert_uint_eq(last.files_done, last.files_total);
    ck_assert_uint_eq(last.bytes_done, last.bytes_total);
    unsigned all = calls;
    for (stop_at = 1; stop_at <= all; stop_at++) {
        calls = 0;
        memset(&last, 0, sizeof last);
        ck_code(lam_check_with(DIR, &o, &err), LAM_BUSY);
        ck_assert_uint_eq(calls, stop_at);
    }
    ck_code(lam_check_with("/absent", &o, &err), LAM_NOT_FOUND);
    ck_code(lam_check_with(NULL, &o, &err), LAM_INVALID);
    lam_env_mem_free(mem);
}
END_TEST

TEST_MAIN("lsm/inspect", ssts_are_given_with_their_range_deletions,
          log_of_an_open_database_is_given_up_to_its_end, manifest_is_given_as_lines,
          what_is_readable_before_a_damage_is_given, other_files_and_bad_arguments_are_refused,
          check_tells_how_far_it_is_and_can_be_ended)
