/* SPDX-License-Identifier: Apache-2.0
 *
 * lam_check and lam_db_check: what they tell, one by one, of databases with more than one thing
 * wrong; and the options and places that an open refuses. */
#include <stdio.h>

#include "base/buf.h"
#include "base/env.h"
#include "lsm/filename.h"
#include "lsm/lsm.h"
#include "lsm/manifest.h"
#include "lsm/recover_state.h"
#include "tests/lsm/manifests.h"
#include "tests/support/env_fault.h"
#include "tests/support/test.h"

#define S(text) lam_slice_str(text)
#define DIR     "/db"

static lam_env *mem;
static lam_db *db;
static lam_partition *part;
static struct lam_error err;

/* --- a database of three files, each on a level of its own ------------------------------------ */

static enum lam_code open_in(lam_env *env) {
    struct lam_options o = {.env = env, .manual_background = true};
    enum lam_code rc = lam_db_open(DIR, &o, &db, &err);
    return rc == LAM_OK ? lam_partition_open(db, "p", &part, &err) : rc;
}

static void close_db(void) {
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
}

static void dump_row(const char *key) {
    ck_ok(lam_put(db, NULL, part, S(key), S("value"), &err), &err);
    ck_ok(lam_db_dump(db, &err), &err);
}

static void start(void) {
    struct lam_options o = {.manual_background = true};
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    o.env = mem;
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
    dump_row("a");
    dump_row("b");
    dump_row("c");
}

static char paths[8][64];
static size_t path_count;

static bool note_path(void *arg, const char *name) {
    (void)arg;
    uint64_t number;
    if (filename_parse(name, &number) == FILE_SST && path_count < 8)
        snprintf(paths[path_count++], sizeof paths[0], DIR "/%s", name);
    return true;
}

static void list_files(void) {
    path_count = 0;
    ck_ok(env_dir_list(mem, DIR, note_path, NULL, &err), &err);
}

static void flip(const char *path, uint64_t offset) {
    lam_file *f;
    uint8_t byte;
    ck_ok(env_file_open(mem, path, LAM_OPEN_WRITE, &f, &err), &err);
    ck_ok(env_file_read_exact(f, path, offset, &byte, 1, &err), &err);
    byte ^= 1;
    ck_ok(env_file_write(f, offset, &byte, 1, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
}

static struct finding {
    char file[64];
    uint64_t offset;
    char problem[256];
} findings[8];
static size_t finding_count;

static void note(void *arg, const char *file, uint64_t offset, const char *problem) {
    ck_assert_ptr_eq(arg, &finding_count);
    ck_assert_uint_lt(finding_count, 8);
    struct finding *f = &findings[finding_count++];
    snprintf(f->file, sizeof f->file, "%s", file);
    f->offset = offset;
    snprintf(f->problem, sizeof f->problem, "%s", problem);
}

static enum lam_code check_in(lam_env *env) {
    finding_count = 0;
    memset(&err, 0, sizeof err);
    return lam_check(DIR, env, note, &finding_count, &err);
}

static enum lam_code check_open(void) {
    finding_count = 0;
    memset(&err, 0, sizeof err);
    return lam_db_check(db, note, &finding_count, &err);
}

/* --- findings --------------------------------------------------------------------------------- */

START_TEST(each_damaged_file_is_a_finding_with_its_place) {
    start();
    ck_ok(check_open(), &err);
    ck_assert_uint_eq(finding_count, 0);
    list_files();
    ck_assert_uint_eq(path_count, 3);
    flip(paths[0], 5);
    flip(paths[2], 5);
    ck_code(check_open(), LAM_CORRUPT);
    ck_assert_uint_eq(finding_count, 2);
    ck_contains(err.message, "2 problems, the first: ");
    close_db();
    ck_code(check_in(mem), LAM_CORRUPT);
    ck_assert_uint_eq(finding_count, 2);
    ck_contains(err.message, findings[0].problem);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_str_eq(findings[i].file, paths[i ? 2 : 0]);
        ck_assert_uint_eq(findings[i].offset, 0); /* of the block */
        ck_contains(findings[i].problem, "checksum");
    }
    /* One that is gone and one that is short are findings, too. */
    ck_ok(env_file_remove(mem, paths[1], &err), &err);
    lam_file *f;
    ck_ok(env_file_open(mem, paths[2], LAM_OPEN_WRITE, &f, &err), &err);
    ck_ok(env_file_truncate(f, 100, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    ck_code(check_in(mem), LAM_CORRUPT);
    ck_assert_uint_eq(finding_count, 3);
    ck_contains(findings[1].problem, "missing");
    ck_contains(findings[2].problem, "offset 100");
    ck_assert_uint_eq(findings[2].offset, 100);
    lam_env_mem_free(mem);
}
END_TEST

START_TEST(unreadable_files_alone_are_no_corruption) {
    start();
    close_db();
    lam_env *fault = env_fault_new(mem);
    env_fault_arm(fault, FAULT_READ, 0, LAM_IO, false);
    ck_ok(check_in(fault), &err);
    uint64_t reads = env_fault_count(fault);
    size_t found = 0;
    for (uint64_t nth = 1; nth <= reads; nth++) {
        env_fault_arm(fault, FAULT_READ, nth, LAM_IO, false);
        ck_code(check_in(fault), LAM_IO);
        found += finding_count;
    }
    ck_assert_uint_gt(found, reads / 2);
    /* With damage beside it, it is. */
    list_files();
    flip(paths[2], 5);
    size_t both = 0;
    for (uint64_t nth = 1; nth <= reads; nth++) {
        env_fault_arm(fault, FAULT_READ, nth, LAM_IO, false);
        enum lam_code rc = check_in(fault);
        ck_assert(rc == LAM_CORRUPT || rc == LAM_IO);
        both += rc == LAM_CORRUPT && finding_count == 2;
    }
    ck_assert_uint_gt(both, 2);
    env_fault_free(fault);
    lam_env_mem_free(mem);
}
END_TEST

/* The manifest of an open database, told something that its files do not say. */
static void append_edit(const struct manifest_edit *e) {
    struct recovered r;
    struct manifest *m;
    recovered_init(&r, mem, DIR);
    ck_ok(recovered_load(&r, &err), &err);
    struct manifest_partition p = r.partitions[0].about;
    struct manifest_edit whole = {.has_next_number = true,
                                  .next_number = 1000,
                                  .has_last_sequence = true,
                                  .last_sequence = r.last_sequence,
                                  .has_wal_floor = true,
                                  .wal_floor = r.wal_floor,
                                  .created = &p,
                                  .created_count = 1,
                                  .added = e->added,
                                  .added_count = e->added_count};
    ck_ok(manifest_rewrite(mem, DIR, &r.root, r.next_number, &whole, &m, &err), &err);
    manifest_close(m);
    recovered_fini(&r);
}

static struct manifest_file files[3];
static struct arena bytes;

static void take_files(void) {
    struct recovered r;
    recovered_init(&r, mem, DIR);
    ck_ok(recovered_load(&r, &err), &err);
    ck_assert_uint_eq(r.partitions[0].file_count, 3);
    for (size_t i = 0; i < 3; i++) {
        files[i] = r.partitions[0].files[i];
        struct lam_slice *keys[] = {&files[i].smallest, &files[i].largest};
        for (int j = 0; j < 2; j++)
            keys[j]->data = arena_dup(&bytes, keys[j]->data, keys[j]->size);
    }
    recovered_fini(&r);
}

START_TEST(manifest_that_describes_files_wrongly_is_a_finding) {
    start();
    close_db();
    take_files();
    files[1].properties.deletes++;
    append_edit(&(struct manifest_edit){.added = files, .added_count = 3});
    ck_code(check_in(mem), LAM_CORRUPT);
    ck_assert_uint_eq(finding_count, 1);
    ck_contains(findings[0].problem, "properties differ from the manifest's");
    files[1].properties.deletes--;
    append_edit(&(struct manifest_edit){.added = files, .added_count = 3});
    ck_ok(check_in(mem), &err);
    /* On one level, two files that reach over each other. */
    files[0].level = files[1].level = 3;
    append_edit(&(struct manifest_edit){.added = files, .added_count = 3});
    ck_ok(check_in(mem), &err);
    files[0].largest = files[1].largest = S("x");
    append_edit(&(struct manifest_edit){.added = files, .added_count = 3});
    ck_code(check_in(mem), LAM_CORRUPT);
    ck_contains(findings[finding_count - 1].problem, "overlap");
    arena_fini(&bytes);
    lam_env_mem_free(mem);
}
END_TEST

START_TEST(log_that_lost_commits_under_an_open_database_is_a_finding) {
    start();
    ck_ok(lam_put(db, NULL, part, S("d"), S("1"), &err), &err);
    ck_ok(check_open(), &err);
    struct recovered r;
    recovered_init(&r, mem, DIR);
    ck_ok(recovered_load(&r, &err), &err);
    struct buf path = {0};
    const char *text;
    ck_ok(filename_path(&path, DIR, FILE_WAL, r.wals[r.wal_count - 1].number, &text, &err), &err);
    flip(text, 64 + 20); /* in the first record's header */
    ck_code(check_open(), LAM_CORRUPT);
    ck_assert_uint_eq(finding_count, 1);
    ck_contains(findings[0].problem, "the log ends at sequence 3, 4 were committed");
    flip(text, 64 + 20);
    ck_ok(check_open(), &err);
    buf_fini(&path);
    recovered_fini(&r);
    close_db();
    lam_env_mem_free(mem);
}
END_TEST

/* A check of an open database says nothing of the log of one that takes no more writes: what its
 * end is, only a reopen tells. */
START_TEST(check_of_a_failed_database_looks_at_its_files_only) {
    start();
    close_db();
    lam_env *fault = env_fault_new(mem);
    ck_ok(open_in(fault), &err);
    struct lam_write_options sync = {LAM_DURABILITY_SYNC};
    env_fault_arm(fault, FAULT_SYNC, 1, LAM_IO, false);
    ck_code(lam_put(db, &sync, part, S("e"), S("1"), &err), LAM_UNKNOWN_OUTCOME);
    ck_ok(check_open(), &err);
    list_files();
    flip(paths[0], 5);
    ck_code(check_open(), LAM_CORRUPT);
    lam_partition_release(part);
    (void)!lam_db_close(db, &err);
    env_fault_free(fault);
    lam_env_mem_free(mem);
}
END_TEST

/* --- places and options ---------------------------------------------------------------------- */

START_TEST(checks_of_no_database_say_so) {
    start();
    close_db();
    ck_code(lam_check(NULL, mem, NULL, NULL, &err), LAM_INVALID);
    ck_code(lam_check("", mem, NULL, NULL, &err), LAM_INVALID);
    ck_code(lam_check("/none", mem, NULL, NULL, &err), LAM_NOT_FOUND);
    ck_code(lam_check(DIR "/LOCK", mem, NULL, NULL, &err), LAM_INVALID);
    ck_contains(err.message, "is not a directory");
    ck_ok(mem->ops->dir_create(mem, "/empty", &err), &err);
    ck_code(lam_check("/empty", mem, NULL, NULL, &err), LAM_NOT_FOUND);
    ck_contains(err.message, "no database here");
    ck_code(lam_check("/nonexistent/lamina", NULL, NULL, NULL, &err), LAM_NOT_FOUND);
    ck_code(lam_db_check(NULL, NULL, NULL, &err), LAM_INVALID);
    ck_ok(env_file_remove(mem, DIR "/LOCK", &err), &err); /* as in a copy of the files */
    ck_ok(check_in(mem), &err);
    ck_ok(open_in(mem), &err);
    ck_code(check_in(mem), LAM_BUSY);
    close_db();
    lam_env_mem_free(mem);
}
END_TEST

START_TEST(options_out_of_range_are_refused_by_name) {
    static const struct {
        struct lam_options options;
        const char *says; /* NULL: good */
    } cases[] = {
        {{.durability = (enum lam_durability)(LAM_DURABILITY_SYNC + 1)}, "durability 3"},
        {{.durability = (enum lam_durability) - 1}, "durability -1"},
        {{.must_exist = true, .must_not_exist = true}, "must_exist and must_not_exist"},
        {{.read_only = true, .must_not_exist = true}, "read_only and must_not_exist"},
        {{.block_bytes = 512u << 10, .memory_budget = 8u << 20},
         "block_bytes 524288 is above 262144, a 32-th of memory_budget 8388608"},
        {{.block_bytes = 256u << 10, .memory_budget = 8u << 20}, NULL},
        {{.filter_bits_per_key = 65}, "filter_bits_per_key 65 is above 64"},
        {{.filter_bits_per_key = 64}, NULL},
        {{.open_files = 15}, "open_files 15 is below 16"},
        {{.block_bytes = 511}, "block_bytes 511 is not between 512 and 1048576"},
        {{.durability = LAM_DURABILITY_SYNC}, NULL},
        {{.compression = (enum lam_compression)(LAM_COMPRESSION_LZ4 + 1)}, "compression 3"},
        {{.compression = LAM_COMPRESSION_LZ4}, NULL},
        {{.block_bytes = 1}, "block_bytes 1"},
        {{.block_bytes = UINT32_MAX}, "block_bytes 4294967295"},
        {{.block_bytes = 1024}, NULL},
        {{.filter_bits_per_key = UINT32_MAX}, "filter_bits_per_key"},
        {{.filter_bits_per_key = 5}, NULL},
        {{.open_files = 1}, "open_files 1"},
        {{.open_files = 100}, NULL},
        {{.memory_budget = 4u << 20}, NULL},
        {{.memory_budget = (4u << 20) - 1}, "memory_budget 4194303"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lam_options o = cases[i].options;
        ck_ok(lam_env_mem_new(&mem, &err), &err);
        o.env = mem;
        enum lam_code rc = lam_db_open(DIR, &o, &db, &err);
        if (cases[i].says) {
            ck_code(rc, LAM_INVALID);
            ck_contains(err.message, cases[i].says);
            enum lam_path_kind kind;
            ck_ok(env_path_kind(mem, DIR, &kind, &err), &err);
            ck_assert_int_eq(kind, LAM_PATH_NONE); /* nothing was made */
        } else {
            ck_ok(rc, &err);
            ck_ok(lam_db_close(db, &err), &err);
        }
        lam_env_mem_free(mem);
    }
}
END_TEST

static struct lam_env_ops limited_ops;
static uint64_t limit;
static uint64_t limited(lam_env *env) {
    (void)env;
    return limit;
}

START_TEST(open_files_fits_the_descriptors_of_the_process) {
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    const struct lam_env_ops *real = mem->ops;
    limited_ops = *mem->ops;
    limited_ops.descriptor_limit = limited;
    mem->ops = &limited_ops;
    struct lam_options o = {.env = mem, .open_files = 97};
    limit = 128;
    ck_code(lam_db_open(DIR, &o, &db, &err), LAM_INVALID);
    ck_contains(err.message, "open_files 97 is above 96");
    ck_contains(err.message, "128 descriptors");
    o.open_files = 96;
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    ck_ok(lam_db_close(db, &err), &err);
    limit = 0; /* none is known */
    o.open_files = 1u << 20;
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    ck_ok(lam_db_close(db, &err), &err);
    limit = 5; /* the default goes by the limit, and is never refused */
    o.open_files = 0;
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    ck_ok(lam_db_close(db, &err), &err);
    limit = 200;
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    ck_ok(lam_db_close(db, &err), &err);
    mem->ops = real;
    lam_env_mem_free(mem);
    lam_env *posix = lam_env_posix();
    ck_assert_uint_gt(posix->ops->descriptor_limit(posix), 16);
}
END_TEST

START_TEST(open_needs_a_directory_or_a_place_for_one) {
    start();
    close_db();
    struct lam_options o = {.env = mem};
    ck_code(lam_db_open(DIR "/ROOT", &o, &db, &err), LAM_INVALID);
    ck_contains(err.message, "not a directory");
    ck_code(lam_db_open("/no/parent", &o, &db, &err), LAM_NOT_FOUND);
    ck_code(lam_db_open("", &o, &db, &err), LAM_INVALID);
    ck_code(lam_db_open(DIR, &o, NULL, &err), LAM_INVALID);
    o.must_exist = true;
    ck_code(lam_db_open("/none", &o, &db, &err), LAM_NOT_FOUND);
    ck_contains(err.message, "no such directory");
    o.must_exist = false;
    o.read_only = true;
    ck_code(lam_db_open("/none", &o, &db, &err), LAM_NOT_FOUND);
    ck_ok(mem->ops->dir_create(mem, "/empty", &err), &err);
    ck_code(lam_db_open("/empty", &o, &db, &err), LAM_NOT_FOUND);
    lam_env_mem_free(mem);
}
END_TEST

TEST_MAIN("lsm/check", each_damaged_file_is_a_finding_with_its_place,
          unreadable_files_alone_are_no_corruption,
          manifest_that_describes_files_wrongly_is_a_finding,
          log_that_lost_commits_under_an_open_database_is_a_finding,
          check_of_a_failed_database_looks_at_its_files_only, checks_of_no_database_say_so,
          options_out_of_range_are_refused_by_name, open_files_fits_the_descriptors_of_the_process,
          open_needs_a_directory_or_a_place_for_one)
