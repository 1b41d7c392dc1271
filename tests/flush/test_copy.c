/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints and backups of databases with cold rows. */
#include "lamina/backup.h"
#include "lamina/check.h"
#include "tests/flush/world.h"

static struct world w;

/* Two tables with hot rows, cold rows, and cold rows that hot ones replaced or deleted. */
static void start(void) {
    world_open(&w);
    world_table(&w, "u", TABLE_USER, NULL);
    world_table(&w, "s", TABLE_SHARED, NULL);
    struct provider *u = world_provider(&w, "u"), *s = world_provider(&w, "s");
    world_put(&w, u, "ann", 1, "cold", 1);
    world_put(&w, u, "ann", 2, "old", 2);
    world_put(&w, u, "bob", 1, "cold", 3);
    world_put(&w, s, "", 1, "cold", 4);
    world_flush(&w, u);
    world_flush(&w, s);
    world_put(&w, u, "ann", 2, "cold too", 2);
    world_flush(&w, u);
    world_put(&w, u, "ann", 3, "hot", 5);
    world_delete(&w, u, "bob", 1);
    world_put(&w, s, "", 1, "hot", 6);
    provider_unref(u);
    provider_unref(s);
}

static void open_at(struct world *at, const char *path) {
    struct lam_options o = {.env = w.env, .memory_budget = 8u << 20};
    *at = (struct world){.env = w.env};
    ck_ok(lam_db_open(path, &o, &at->db, &at->err), &at->err);
    ck_ok(catalog_of(at->db, &at->c, &at->err), &at->err);
    ck_ok(flush_of(at->db, &at->f, &at->err), &at->err);
}

/* The rows of start, with all that is stored of them. */
static void check_rows(struct world *at) {
    struct provider *u = world_provider(at, "u"), *s = world_provider(at, "s");
    world_check(at, u, "ann", "1|cold|1\n2|cold too|2\n3|hot|5\n");
    world_check(at, u, "bob", "");
    world_check(at, s, "", "1|hot|6\n");
    provider_unref(u);
    provider_unref(s);
}

static void check_copy(const char *path) {
    struct world copy;
    struct lam_check_options options = {.env = w.env};
    ck_ok(lam_check_full(path, &options, &w.err), &w.err);
    open_at(&copy, path);
    check_rows(&copy);
    struct provider *mine = world_provider(&w, "u"), *its = world_provider(&copy, "u");
    char *a = world_dump(&w, mine, "ann", true), *b = world_dump(&copy, its, "ann", true);
    ck_assert_str_eq(a, b);
    mem_free(a);
    mem_free(b);
    provider_unref(mine);
    provider_unref(its);
    world_close_db(&copy);
}

START_TEST(hot_and_cold_rows_are_the_same_in_a_checkpoint) {
    start();
    size_t segments = count_cold(w.env, ".parquet");
    ck_ok(lam_db_checkpoint(w.db, "/copy", &w.err), &w.err);
    ck_assert_uint_eq(count_files(w.env, "/copy/cold", ".parquet"), segments);
    check_copy("/copy");
    ck_assert_uint_eq(count_files(w.env, "/copy/cold", ".parquet"), segments);
    /* Each goes on without the other. */
    struct world copy;
    open_at(&copy, "/copy");
    struct provider *u = world_provider(&copy, "u");
    world_flush(&copy, u);
    provider_unref(u);
    bool dropped;
    ck_ok(catalog_drop_table(w.c, &world_root, S("default"), S("u"), TABLE_USER, false, &dropped,
                             &w.err),
          &w.err);
    ck_assert_uint_eq(count_cold(w.env, "/u/"), 0);
    check_rows(&copy);
    world_close_db(&copy);
    open_at(&copy, "/copy");
    check_rows(&copy);
    world_close_db(&copy);
    world_close(&w);
}
END_TEST

START_TEST(hot_and_cold_rows_are_the_same_in_a_restored_backup) {
    start();
    size_t segments = count_cold(w.env, ".parquet");
    ck_ok(lam_db_backup(w.db, "/backups", NULL, NULL, NULL, &w.err), &w.err);
    size_t files = count_files(w.env, "/backups", ".data");
    ck_ok(lam_db_backup(w.db, "/backups", NULL, NULL, NULL, &w.err), &w.err);
    ck_assert_uint_eq(count_files(w.env, "/backups", ".data"), files);
    ck_ok(lam_backup_restore("/backups", w.env, 0, "/copy", NULL, NULL, &w.err), &w.err);
    ck_assert_uint_eq(count_files(w.env, "/copy/cold", ".parquet"), segments);
    check_copy("/copy");
    world_close(&w);
}
END_TEST

/* --- what happens meanwhile ------------------------------------------------------------------- */

static unsigned calls;

/* The copied state is chosen by then. */
static bool drop_and_flush(void *arg, const struct lam_progress *now) {
    (void)now;
    bool dropped;
    if (calls++ > 0)
        return true;
    struct provider *s = world_provider(&w, "s");
    world_put(&w, s, "", 9, "younger", 9);
    world_flush(&w, s);
    provider_unref(s);
    ck_ok(catalog_drop_table(w.c, &world_root, S("default"), S("u"), TABLE_USER, false, &dropped,
                             &w.err),
          &w.err);
    *(size_t *)arg = count_cold(w.env, "/u/");
    return true;
}

/* Folders of cold files lie deep: each needs its name in the one above. */
START_TEST(power_loss_takes_nothing_of_a_finished_copy) {
    uint64_t seed = test_seed("copy crash"), id;
    start();
    ck_ok(lam_db_checkpoint(w.db, "/copy", &w.err), &w.err);
    ck_ok(lam_db_backup(w.db, "/backups", NULL, NULL, &id, &w.err), &w.err);
    ck_ok(lam_backup_restore("/backups", w.env, id, "/restored", NULL, NULL, &w.err), &w.err);
    lam_env *live = w.env;
    for (uint64_t i = 0; i < 8; i++) {
        static const char *const copies[] = {"/copy", "/restored"};
        enum lam_crash_mode mode = i ? LAM_CRASH_POWER_ANY : LAM_CRASH_POWER;
        ck_ok(lam_env_mem_crash(live, mode, seed + i, &w.env, &w.err), &w.err);
        for (int c = 0; c < 2; c++) {
            struct world copy;
            open_at(&copy, copies[c]);
            check_rows(&copy);
            world_close_db(&copy);
        }
        lam_env_mem_free(w.env);
    }
    w.env = live;
    world_close(&w);
}
END_TEST

START_TEST(files_of_a_table_dropped_meanwhile_stay_until_the_copy_is_made) {
    start();
    size_t during = 0, before = count_cold(w.env, "/u/");
    ck_ok(lam_db_backup(w.db, "/backups", drop_and_flush, &during, NULL, &w.err), &w.err);
    ck_assert_uint_eq(during, before);
    ck_assert_uint_eq(count_cold(w.env, "/u/"), 0);
    ck_ok(lam_backup_restore("/backups", w.env, 0, "/copy", NULL, NULL, &w.err), &w.err);
    struct world copy;
    open_at(&copy, "/copy");
    check_rows(&copy);
    world_close_db(&copy);
    world_reopen(&w);
    world_close(&w);
}
END_TEST

/* --- what is not copied ----------------------------------------------------------------------- */

START_TEST(storages_outside_of_the_directory_are_refused_by_name) {
    start();
    bool created, dropped;
    struct storage_spec near = {
        .id = S("near"), .type = S("filesystem"), .base_directory = S("attic/deep")};
    struct storage_spec far = {
        .id = S("far"), .type = S("filesystem"), .base_directory = S("/elsewhere")};
    ck_ok(catalog_create_storage(w.c, &world_root, &near, &created, &w.err), &w.err);
    struct table_options o;
    table_options_init(&o);
    snprintf(o.storage, sizeof o.storage, "near");
    world_table(&w, "n", TABLE_SHARED, &o);
    struct provider *n = world_provider(&w, "n");
    world_put(&w, n, "", 1, "near", 1);
    world_flush(&w, n);
    provider_unref(n);
    ck_ok(catalog_create_storage(w.c, &world_root, &far, &created, &w.err), &w.err);
    ck_code(lam_db_checkpoint(w.db, "/copy", &w.err), LAM_UNSUPPORTED);
    ck_contains(w.err.message, "storage far lies outside of it, in /elsewhere");
    ck_code(lam_db_backup(w.db, "/backups", NULL, NULL, NULL, &w.err), LAM_UNSUPPORTED);
    ck_ok(catalog_drop_storage(w.c, &world_root, S("far"), false, &dropped, &w.err), &w.err);
    ck_ok(lam_db_checkpoint(w.db, "/copy", &w.err), &w.err);
    struct world copy;
    open_at(&copy, "/copy");
    n = world_provider(&copy, "n");
    world_check(&copy, n, "", "1|near|1\n");
    ck_assert_uint_eq(count_files(w.env, "/copy/attic/deep", ".parquet"), 1);
    provider_unref(n);
    world_close_db(&copy);
    world_close(&w);
}
END_TEST

START_TEST(missing_cold_file_fails_the_copy_and_is_named) {
    start();
    static char names[64][512];
    size_t count = 0, at = 0;
    walk_files(w.env, "/db/cold", names, &count, 64);
    while (!strstr(names[at], ".parquet"))
        at++;
    ck_ok(env_file_remove(w.env, names[at], &w.err), &w.err);
    ck_code(lam_db_checkpoint(w.db, "/copy", &w.err), LAM_CORRUPT);
    ck_contains(w.err.message, names[at]);
    ck_code(lam_db_backup(w.db, "/backups", NULL, NULL, NULL, &w.err), LAM_CORRUPT);
    ck_contains(w.err.message, names[at]);
    enum lam_path_kind kind;
    ck_ok(env_path_kind(w.env, "/copy", &kind, &w.err), &w.err);
    ck_assert_int_eq(kind, LAM_PATH_NONE);
    world_close(&w);
}
END_TEST

static bool count_partition(void *arg, const char *name) {
    (void)name;
    ++*(size_t *)arg;
    return true;
}

START_TEST(copies_make_no_catalog_and_refuse_bad_arguments) {
    lam_env *env;
    lam_db *db;
    struct lam_error err = {0};
    size_t count = 0;
    ck_ok(lam_env_mem_new(&env, &err), &err);
    struct lam_options o = {.env = env};
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    ck_ok(lam_db_checkpoint(db, "/copy", &err), &err);
    ck_ok(lam_db_backup(db, "/backups", NULL, NULL, NULL, &err), &err);
    ck_ok(lam_partition_list(db, count_partition, &count, &err), &err);
    ck_assert_uint_eq(count, 0);
    ck_code(lam_db_checkpoint(NULL, "/x", &err), LAM_INVALID);
    ck_code(lam_db_checkpoint(db, NULL, &err), LAM_INVALID);
    ck_code(lam_db_checkpoint(db, "", &err), LAM_INVALID);
    ck_code(lam_db_backup(NULL, "/x", NULL, NULL, NULL, &err), LAM_INVALID);
    ck_code(lam_db_backup(db, "", NULL, NULL, NULL, &err), LAM_INVALID);
    ck_ok(lam_db_close(db, &err), &err);
    o.read_only = true;
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    ck_code(lam_db_checkpoint(db, "/x", &err), LAM_READ_ONLY);
    ck_code(lam_db_backup(db, "/x", NULL, NULL, NULL, &err), LAM_READ_ONLY);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(env);
}
END_TEST

TEST_MAIN("flush/copy", hot_and_cold_rows_are_the_same_in_a_checkpoint,
          hot_and_cold_rows_are_the_same_in_a_restored_backup,
          power_loss_takes_nothing_of_a_finished_copy,
          files_of_a_table_dropped_meanwhile_stay_until_the_copy_is_made,
          storages_outside_of_the_directory_are_refused_by_name,
          missing_cold_file_fails_the_copy_and_is_named,
          copies_make_no_catalog_and_refuse_bad_arguments)
