/* SPDX-License-Identifier: Apache-2.0
 *
 * The bug museum's rooms of recovery, of tables and of memory: what a crash finds while it is being
 * recovered from, when a database is made, between an index and its table (test_museum.c has the
 * others). */
#include "tests/crash/museum.h"
#include "tests/support/oom.h"

/* --- crashes in recovery --------------------------------------------------------------------- */

/* Images of one recovery that are opened in turn: one thread runs, ThreadSanitizer sees few. */
#ifdef __SANITIZE_THREAD__
#define NESTED 5
#else
#define NESTED 20
#endif

/* Opens an image with crashes on the way, and the images of these the same way. */
static void open_and_crash(struct simfs *image, unsigned least, unsigned most, unsigned depth) {
    struct image nested[2 * NESTED];
    size_t count = 0;
    struct lam_options o = museum_options(image);
    lam_db *of;
    simfs_observe(image, take_images, image);
    ck_ok(lam_db_open(DIR, &o, &of, &err), &err);
    unsigned held = held_by(of);
    ck_assert(held >= least && held <= most);
    simfs_observe(image, NULL, NULL);
    /* Some of them; what an open has shown is not taken back by a later crash. */
    for (size_t i = 0; i < image_count; i++)
        if (count < 2 * NESTED && i % (image_count / NESTED + 1) == 0)
            nested[count++] = images[i];
        else
            simfs_free(images[i].fs);
    image_count = 0;
    struct simfs *after = simfs_crash_old(image);
    check_image(after, held, held);
    ck_ok(lam_db_close(of, &err), &err);
    simfs_free(image);
    for (size_t i = 0; i < count; i++)
        if (depth > 1)
            open_and_crash(nested[i].fs, least, most, depth - 1);
        else
            check_image(nested[i].fs, least, most);
}

/* redb 4: a crash while a crash was being recovered from rolled back commits that were durable.
 * Three crashes deep. Seen if recovery removes or overwrites anything of the old state before the
 * new one is named. */
START_TEST(h17_crash_in_recovery_in_recovery_loses_nothing) {
    static const enum simfs_names names[] = {SIMFS_PREFIX, SIMFS_SUBSET};
    for (int i = 0; i < 2; i++) {
        start(names[i], 64);
        commits(9, 3);
        ck_ok(lam_db_dump(db, &err), &err);
        commits(14, 5);
        open_and_crash(simfs_crash(fs, SIMFS_POWER, &image_choice), durable, tried, 3);
        open_and_crash(simfs_crash_old(fs), durable, tried, 2);
        ck_ok(close_db(), &err);
        /* After a clean close, too. */
        open_and_crash(simfs_clone(fs), acked, acked, 2);
        drop_disk();
    }
}
END_TEST

/* Before a write of ROOT nothing of a manifest may be at risk. */
static void check_root_write(void *arg, const struct simfs_event *event) {
    unsigned *roots = arg;
    if (event->op != SIMFS_WRITE || event->phase != 0 || !strstr(event->path, "ROOT"))
        return;
    struct simfs *disk = simfs_crash_old(fs), *memory = simfs_clone(fs);
    for (size_t i = 0; i < simfs_file_count(memory); i++) {
        const char *path = simfs_file_path(memory, i);
        size_t size, there;
        const uint8_t *bytes = simfs_file_bytes(memory, path, &size);
        if (!strstr(path, "MANIFEST"))
            continue;
        const uint8_t *on_disk = simfs_file_bytes(disk, path, &there);
        ck_assert_msg(on_disk && there == size && memcmp(on_disk, bytes, size) == 0,
                      "%s is not durable when ROOT is written", path);
    }
    simfs_free(disk);
    simfs_free(memory);
    ++*roots;
}

/* WiredTiger SERVER-18316: the root of the metadata was written before what it points to was
 * synced. Seen if make_current comes before the syncs of manifest_new, or the seal before that of
 * the last edit. */
START_TEST(h18_root_is_written_after_what_it_names_is_durable) {
    unsigned roots = 0;
    make_disk(SIMFS_SUBSET, 64);
    simfs_observe(fs, check_root_write, &roots);
    ck_ok(open_on(fs), &err);
    for (int round = 0; round < 4; round++) {
        commits(12, 4);
        ck_ok(lam_db_dump(db, &err), &err);
        create_partitions(); /* edits enough for the manifest to be rewritten */
        reopen();
    }
    simfs_observe(fs, NULL, NULL);
    ck_assert_uint_gt(roots, 20);
    finish();
}
END_TEST

/* sled #1527: a half-written temporary file of a snapshot kept the database from opening. Seen if
 * an open reads, or trips over, a name that ends in .tmp. */
START_TEST(h19_half_written_temporary_files_are_removed) {
    static const char *const names[] = {"ROOT.tmp", "MANIFEST-000077.tmp", "000078.sst.tmp",
                                        "000079.wal.tmp"};
    uint8_t noise[600];
    memset(noise, 0x5a, sizeof noise);
    for (size_t size = 0; size <= sizeof noise; size += 200) {
        start(SIMFS_PREFIX, 64);
        commits(4, 2);
        ck_ok(close_db(), &err);
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            char path[64];
            snprintf(path, sizeof path, DIR "/%s", names[i]);
            simfs_file_set(fs, path, noise, size);
        }
        ck_ok(lam_check(DIR, simfs_env(fs), NULL, NULL, &err), &err);
        ck_ok(open_on(fs), &err);
        check_held(acked, acked);
        ck_assert_ptr_null(find_file(fs, ".tmp"));
        finish();
    }
}
END_TEST

/* etcd #16596: the first write of a new database was larger than a page and was torn; it never
 * started again. Every image of a creation, torn at 16 bytes with noise, opens as no database or as
 * a whole one. Seen if what judge_rootless takes for an unfinished creation is CORRUPT. */
START_TEST(h20_torn_first_writes_leave_a_database_or_none) {
    unsigned none = 0, whole = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        make_disk(seed % 2 ? SIMFS_PREFIX : SIMFS_SUBSET, 16);
        choice_fini(&image_choice);
        choice_seed(&image_choice, seed);
        simfs_observe(fs, take_images, fs);
        struct lam_options o = museum_options(fs);
        ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
        simfs_observe(fs, NULL, NULL);
        for (size_t i = 0; i < image_count; i++) {
            lam_db *of;
            o = museum_options(images[i].fs);
            o.must_exist = true;
            enum lam_code rc = lam_db_open(DIR, &o, &of, &err);
            ck_assert_msg(rc == LAM_OK || rc == LAM_NOT_FOUND, "%s", err.message);
            none += rc == LAM_NOT_FOUND;
            whole += rc == LAM_OK;
            if (rc == LAM_OK)
                ck_ok(lam_db_close(of, &err), &err);
            check_image(images[i].fs, 0, 0);
        }
        image_count = 0;
        ck_ok(lam_db_close(db, &err), &err);
        drop_disk();
    }
    ck_assert_uint_gt(none, 50);
    ck_assert_uint_gt(whole, 50);
}
END_TEST

/* What a look at an image, which changes nothing, finds in files and in the log. */
static void check_parts(struct simfs *image, const struct lam_stats *before, unsigned in_log) {
    struct lam_options o = museum_options(image);
    struct lam_stats stats;
    lam_db *of;
    o.read_only = true;
    ck_ok(lam_db_open(DIR, &o, &of, &err), &err);
    lam_db_stats(of, &stats);
    ck_ok(lam_db_close(of, &err), &err);
    bool dumped = stats.sst_files > before->sst_files;
    ck_assert_msg(stats.recovered_operations == (dumped ? 0 : in_log),
                  "%u operations from the log, %u files and then %u",
                  (unsigned)stats.recovered_operations, (unsigned)before->sst_files,
                  (unsigned)stats.sst_files);
}

/* etcd 3.5: how far the log had been applied was saved apart from the data, so that entries were
 * applied twice or not at all. Here one edit adds a dump's files and moves the floor of the log:
 * operations are in files or in the log, never in both; the toggle of the odd commits shows one too
 * many or too few. Seen if the floor goes into an edit of its own, before or behind that of the
 * files, or the edit leaves the last sequence out. */
START_TEST(h21_dumped_operations_and_the_floor_of_the_log_change_together) {
    struct lam_stats before;
    for (uint32_t granule = 16; granule <= 256; granule *= 4) {
        start(SIMFS_SUBSET, granule);
        for (int round = 0; round < 2; round++) { /* too few for a compaction */
            commits(5, 5);
            lam_db_stats(db, &before);
            simfs_observe(fs, take_images, fs);
            ck_ok(lam_db_dump(db, &err), &err);
            simfs_observe(fs, NULL, NULL);
            for (size_t i = 0; i < image_count; i++)
                check_parts(images[i].fs, &before, 5 * 4);
            ck_assert_uint_gt(check_images(), 30);
        }
        finish();
    }
}
END_TEST

/* --- tables ------------------------------------------------------------------------------------
 */

static lam_session *session;

static void sql(const char *text) {
    ck_ok(lam_exec(session, text, strlen(text), NULL, NULL, NULL, &err), &err);
}

static bool count_row(void *arg, lam_stmt *stmt) {
    *(int64_t *)arg += lam_column_int64(stmt, 0);
    return true;
}

/* Rows by value of the indexed column, through the index and by reading all. */
static void check_index(lam_session *s, int64_t *rows_out) {
    int64_t by_index = 0;
    *rows_out = 0;
    const char *all = "SELECT count(*) FROM t";
    ck_ok(lam_exec(s, all, strlen(all), count_row, rows_out, NULL, &err), &err);
    for (int v = 0; v < 4; v++) {
        char text[80];
        int64_t scanned = 0, found = 0;
        snprintf(text, sizeof text, "SELECT count(*) FROM t WHERE v + 0 = %d", v);
        ck_ok(lam_exec(s, text, strlen(text), count_row, &scanned, NULL, &err), &err);
        snprintf(text, sizeof text, "SELECT count(*) FROM t WHERE v = %d", v);
        ck_ok(lam_exec(s, text, strlen(text), count_row, &found, NULL, &err), &err);
        ck_assert_int_eq(scanned, found);
        by_index += found;
    }
    ck_assert_int_eq(by_index, *rows_out);
}

static void check_table_image(struct simfs *image, int64_t least) {
    struct lam_options o = museum_options(image);
    lam_db *of;
    lam_session *s;
    int64_t rows;
    ck_ok(lam_db_open(DIR, &o, &of, &err), &err);
    ck_ok(lam_session_open(of, "root", LAM_ROLE_SYSTEM, &s, &err), &err);
    check_index(s, &rows);
    ck_assert_int_ge(rows, least);
    ck_ok(lam_session_close(s, &err), &err);
    ck_ok(lam_db_close(of, &err), &err);
    simfs_free(image);
}

static int64_t rows_done; /* rows that acknowledged statements have left */

static void take_some_images(void *arg, const struct simfs_event *event) {
    struct simfs *of = arg;
    if (event->number % 3 == 0 && event->phase == 0)
        keep_image(simfs_crash(of, SIMFS_KILL, &image_choice), (unsigned)rows_done);
    if (event->number % 3 == 1 && event->phase == 0)
        keep_image(simfs_crash(of, SIMFS_POWER, &image_choice), (unsigned)rows_done);
}

static void check_table_images(void) {
    for (size_t i = 0; i < image_count; i++)
        check_table_image(images[i].fs, images[i].least);
    images_seen += image_count;
    image_count = 0;
}

/* OrioleDB #855: a secondary index and its table were checkpointed at different points. Rows are
 * inserted, moved to other values, deleted and flushed to segments, with crashes in all of it. Seen
 * if entries go in a batch of their own, or a flush removes rows and entries apart. */
START_TEST(h24_index_and_table_recover_to_the_same_point) {
    char text[120];
    make_disk(SIMFS_SUBSET, 64);
    struct lam_options o = museum_options(fs);
    o.durability = LAM_DURABILITY_SYNC;
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    ck_ok(lam_session_open(db, "root", LAM_ROLE_SYSTEM, &session, &err), &err);
    sql("CREATE TABLE t (id INT PRIMARY KEY, v INT); CREATE INDEX t_v ON t (v)");
    rows_done = 0;
    images_seen = 0;
    simfs_observe(fs, take_some_images, fs);
    for (int i = 0; i < 24; i++) {
        snprintf(text, sizeof text, "INSERT INTO t VALUES (%d, %d)", i, i % 4);
        sql(text);
        rows_done++;
        snprintf(text, sizeof text, "UPDATE t SET v = %d WHERE id = %d", (i + 1) % 4, i / 2);
        sql(text);
        if (i % 8 == 7) {
            sql("STORAGE FLUSH TABLE t");
            check_table_images();
            rows_done--; /* while the next statement runs */
            snprintf(text, sizeof text, "DELETE FROM t WHERE id = %d", i - 3);
            sql(text);
        }
        check_table_images();
    }
    simfs_observe(fs, NULL, NULL);
    ck_assert_uint_gt(images_seen, 150);
    int64_t rows;
    check_index(session, &rows);
    ck_assert_int_eq(rows, rows_done);
    ck_ok(lam_session_close(session, &err), &err);
    ck_ok(lam_db_close(db, &err), &err);
    drop_disk();
}
END_TEST

/* TidesDB 7.0.10: when a record of the log could not be made, the commit went on without it. Each
 * allocation of each durable commit fails, also of those that begin a segment of the log or want
 * more room in a memtable, until the commit succeeds. Seen if a failed append or reserve is
 * ignored. */
START_TEST(h25_commit_without_memory_for_its_record_is_an_error) {
    unsigned failures = 0;
    size_t most = 0;
    start(SIMFS_SUBSET, 64);
    while (acked < 150) {
        size_t nth = 0;
        enum lam_code rc;
        do {
            oom_arm(++nth);
            rc = commit(LAM_DURABILITY_SYNC);
            bool hit = oom.seen >= nth;
            oom_arm(0);
            ck_assert(rc == LAM_OK || (hit && rc == LAM_NO_MEMORY));
            ck_assert_uint_eq(tried, acked);
            check_held(acked, acked);
            failures += rc != LAM_OK;
        } while (rc != LAM_OK);
        most = nth > most ? nth : most;
        if (nth > 4 || acked % 8 == 0)
            check_image(simfs_crash_old(fs), acked, acked);
    }
    ck_assert_uint_gt(failures, 300);
    ck_assert_uint_gt(most, 8);
    finish();
}
END_TEST

/* etcd on Pebble: the parent directory was not synced when a snapshot was put in place, and after a
 * power loss the database opened as an empty one. Seen if the database directory's own name is not
 * made durable (env_parent_sync), or a missing ROOT beside other files means a new database. */
START_TEST(h27_lost_root_or_directory_is_never_an_empty_database) {
    start(SIMFS_SUBSET, 64);
    commits(3, 1);
    crash_here(200); /* each with all three commits */
    commits(2, 5);
    ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(close_db(), &err);
    struct simfs *image = simfs_clone(fs);
    simfs_file_drop(image, DIR "/ROOT");
    struct lam_options o = museum_options(image);
    ck_code(lam_db_open(DIR, &o, &db, &err), LAM_CORRUPT);
    ck_contains(err.message, "ROOT");
    simfs_free(image);
    drop_disk();
}
END_TEST

TEST_MAIN("crash/museum_recovery", h17_crash_in_recovery_in_recovery_loses_nothing,
          h18_root_is_written_after_what_it_names_is_durable,
          h19_half_written_temporary_files_are_removed,
          h20_torn_first_writes_leave_a_database_or_none,
          h21_dumped_operations_and_the_floor_of_the_log_change_together,
          h24_index_and_table_recover_to_the_same_point,
          h25_commit_without_memory_for_its_record_is_an_error,
          h27_lost_root_or_directory_is_never_an_empty_database)
