/* SPDX-License-Identifier: Apache-2.0
 *
 * The bug museum: how other databases have lost data, told again on Lamina. Each test makes the
 * circumstances of one failure (research of 27: H01 to H27) and says what would fail it here. Those
 * of recovery are in test_museum_recovery.c, those of the operating system in test_museum_os.c. */
#include "base/thread.h"
#include "tests/crash/museum.h"

/* --- syncs and writes that fail --------------------------------------------------------------- */

/* fsyncgate: PostgreSQL and others asked again after a failed fsync, were told that all is well,
 * and acknowledged what the kernel had dropped. Seen if a failed sync of the log is forgotten
 * (wal_writer_sync, lead_locked). */
START_TEST(h01_failed_then_succeeding_fsync_is_never_acknowledged) {
    static const enum simfs_effect effects[] = {SIMFS_FSYNC_EXT4, SIMFS_FSYNC_BTRFS};
    unsigned hits = 0, final = 0;
    for (int e = 0; e < 2; e++)
        for (uint64_t nth = 1; nth <= 12; nth++) {
            start(SIMFS_SUBSET, 64);
            commits(2, 2);
            arm(SIMFS_SYNC, ".wal", nth, effects[e], LAM_IO);
            for (int i = 0; i < 16; i++)
                if (commit(LAM_DURABILITY_SYNC) != LAM_OK)
                    IGNORE(lam_sync(db, LAM_SEQUENCE_MAX, &err), "asked again, and again");
            hits += fired();
            /* The sync of a segment without records may fail: another one is made. */
            if (fired() && commit(LAM_DURABILITY_SYNC) != LAM_OK) {
                final++;
                ck_code(commit(LAM_DURABILITY_SYNC), LAM_READ_ONLY);
                ck_code(lam_sync(db, LAM_SEQUENCE_MAX, &err), LAM_UNKNOWN_OUTCOME);
            }
            crash_here(10);
            give_up();
            drop_disk(); /* no file was synced again after its sync had failed */
        }
    ck_assert_uint_gt(hits, 16);
    ck_assert_uint_gt(final, 8);
}
END_TEST

/* LevelDB #161: a write or sync of the log failed, the error was dropped, and the record still read
 * back from memory. Seen if the result of an append is dropped (append_locked). */
START_TEST(h02_failed_log_write_is_an_error_and_its_record_is_not_read) {
    static const enum simfs_effect effects[] = {SIMFS_FAIL, SIMFS_SHORT, SIMFS_FAIL_DONE};
    unsigned hits = 0;
    for (int e = 0; e < 3; e++)
        for (uint64_t nth = 1; nth <= 12; nth++) {
            start(SIMFS_SUBSET, 64);
            arm(SIMFS_WRITE, ".wal", nth, effects[e], LAM_IO);
            for (int i = 0; i < 8; i++) {
                unsigned before = acked;
                bool was = fired();
                enum lam_code rc = commit(LAM_DURABILITY_SYNC);
                if (fired() && !was) {
                    hits++;
                    ck_assert_int_ne(rc, LAM_OK);
                    check_held(before, before);
                    crash_here(30);
                }
            }
            crash_here(10);
            give_up();
            drop_disk();
        }
    ck_assert_uint_gt(hits, 20);
}
END_TEST

/* LevelDB #1081: the result of close() was dropped, and with it a write error that the kernel had
 * kept for that moment. Here whatever must last is synced before a close, so that a failing close
 * costs nothing that was acknowledged; that of ROOT is told. Seen if a sync is left to the close,
 * or the close of write_slot ignored. */
START_TEST(h03_failing_close_loses_nothing_and_is_told_where_it_matters) {
    unsigned hits = 0, told = 0;
    for (uint64_t nth = 1;; nth++) {
        make_disk(SIMFS_SUBSET, 64);
        arm(SIMFS_CLOSE, NULL, nth, SIMFS_FAIL, LAM_IO);
        enum lam_code opened = open_on(fs);
        if (opened == LAM_OK) {
            for (int i = 0; i < 6; i++)
                IGNORE(commit(LAM_DURABILITY_SYNC), "counted by its result");
            IGNORE(lam_db_dump(db, &err), "counted by what is there");
            IGNORE(commit(LAM_DURABILITY_SYNC), "counted by its result");
            check_held(acked, tried);
            crash_here(4);
            told += close_db() != LAM_OK;
        } else {
            lam_partition_release(left);
            lam_partition_release(right);
            IGNORE(lam_db_close(db, &err), "what could be opened is closed");
        }
        told += opened != LAM_OK;
        bool hit = fired();
        hits += hit;
        simfs_disarm(fs);
        check_disk(fs, durable, tried);
        drop_disk();
        if (!hit)
            break;
    }
    ck_assert_uint_gt(hits, 7);
    ck_assert_uint_gt(told, 2);
    /* The closes of ROOT at a clean end, by name. */
    start(SIMFS_SUBSET, 64);
    arm(SIMFS_CLOSE, "ROOT", 1, SIMFS_FAIL, LAM_IO);
    ck_code(close_db(), LAM_IO);
    ck_assert(fired());
    drop_disk();
}
END_TEST

/* LevelDB #193, RocksDB #10560: a sync reached the newest log file and not the one before, so that
 * a power loss left a hole. Seen if lead_locked syncs only the segment at hand. */
START_TEST(h04_durable_commit_makes_older_log_segments_durable) {
    start(SIMFS_SUBSET, 64);
    for (int round = 0; round < 12; round++) {
        unsigned many = 3 + (unsigned)round * 2; /* up to several segments */
        for (unsigned i = 0; i < many; i++)
            ck_ok(commit(LAM_DURABILITY_OS), &err);
        ck_ok(commit(LAM_DURABILITY_SYNC), &err);
        ck_assert_uint_eq(durable, tried);
        crash_here(10);
    }
    finish();
}
END_TEST

/* --- names and the root ----------------------------------------------------------------------- */

static void reopen_twice(void) {
    reopen();
    commits(3, 2);
    check_images();
    reopen();
}

/* LevelDB #195: the rename to CURRENT landed after the unlink of the old manifest. Seen if old
 * files go before ROOT is durable (remove_old, make_current). */
START_TEST(h05_old_manifest_goes_only_after_the_root_names_the_next) {
    start(SIMFS_SUBSET, 64);
    commits(5, 2);
    watch(reopen_twice, 100);
    finish();
}
END_TEST

static void create_and_commit(void) {
    ck_ok(open_on(fs), &err);
    commits(2, 1);
}

/* LevelDB #189 and #604: the first manifest of a new database was not synced. Seen if manifest_new
 * does not sync content or directory. */
START_TEST(h06_first_manifest_is_durable_before_anything_counts_on_it) {
    static const enum simfs_names names[] = {SIMFS_PREFIX, SIMFS_SUBSET};
    for (int i = 0; i < 2; i++) {
        make_disk(names[i], 16);
        watch(create_and_commit, 60);
        finish();
    }
}
END_TEST

static void dump_and_compact(void) {
    for (int round = 0; round < 3; round++) {
        commits(6, 3);
        ck_ok(lam_db_dump(db, &err), &err);
        check_images();
    }
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    commits(2, 2);
}

/* RocksDB #10573 and #5287, Pebble #125, WiredTiger WT-2008: a directory was not synced after a new
 * file or a rename in it. Seen if a dump, a compaction or a recovery leaves out env_dir_sync. */
START_TEST(h07_names_of_new_files_are_durable_before_the_manifest_names_them) {
    start(SIMFS_SUBSET, 64);
    watch(dump_and_compact, 200);
    finish();
    /* The files that a recovery makes of a crashed log. */
    start(SIMFS_SUBSET, 64);
    commits(20, 5);
    struct simfs *crashed = simfs_crash(fs, SIMFS_KILL, &image_choice), *live = fs;
    unsigned kept = acked;
    ck_ok(close_db(), &err);
    simfs_free(live);
    fs = crashed;
    durable = kept; /* all of it is on the disk after the kill */
    watch(create_and_commit, 60);
    finish();
}
END_TEST

/* LevelDB #160 and #75, RocksDB #8682: a torn end of the manifest, or an empty CURRENT, and the
 * database would not open. Seen if a torn last edit is an error (check_loaded), or if ROOT is
 * written in place and read whole. */
START_TEST(h08_torn_manifest_or_root_does_not_keep_the_database_shut) {
    start(SIMFS_PREFIX, 16);
    commits(2, 2);
    watch(create_partitions, 200);
    watch(reopen_twice, 100);
    finish();
    /* What a crash leaves of a ROOT that was being made. */
    for (size_t size = 0; size <= 8192; size += 1024) {
        uint8_t zeros[8192] = {0};
        make_disk(SIMFS_PREFIX, 64);
        ck_ok(simfs_env(fs)->ops->dir_create(simfs_env(fs), DIR, &err), &err);
        simfs_file_set(fs, DIR "/ROOT.tmp", zeros, size);
        ck_ok(open_on(fs), &err);
        commits(1, 1);
        finish();
    }
}
END_TEST

/* LevelDB #251: a repair wrote a damaged value into a fresh file with a fresh checksum. There is no
 * repair here; compaction is what rewrites. Seen if a merge takes blocks unverified. */
START_TEST(h09_rewriting_files_never_makes_damage_look_whole) {
    unsigned refused = 0;
    start(SIMFS_PREFIX, 512);
    commits(8, 4);
    ck_ok(lam_db_dump(db, &err), &err);
    commits(8, 4);
    ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(close_db(), &err);
    const char *sst = find_file(fs, ".sst");
    ck_assert_ptr_nonnull(sst);
    size_t size;
    ck_assert_ptr_nonnull(simfs_file_bytes(fs, sst, &size));
    for (size_t at = 0; at < size; at += 7) {
        struct simfs *image = simfs_clone(fs);
        simfs_file_bytes(image, sst, &size)[at] ^= 0x20;
        struct lam_options o = museum_options(image);
        lam_db *of;
        enum lam_code rc = lam_db_open(DIR, &o, &of, &err);
        if (rc == LAM_OK) {
            rc = lam_db_compact(of, NULL, &err);
            ck_ok(lam_db_close(of, &err), &err);
        }
        ck_assert_int_eq(rc, LAM_CORRUPT);
        ck_contains(err.message, sst);
        refused++;
        /* It is as damaged as before, and says so. */
        ck_code(lam_check(DIR, simfs_env(image), NULL, NULL, &err), LAM_CORRUPT);
        simfs_free(image);
    }
    ck_assert_uint_gt(refused, 50);
    drop_disk();
}
END_TEST

/* --- the manifest ------------------------------------------------------------------------------
 */

/* Dumps until the `nth` sync of the manifest fails, by which its edit is on the disk or not. */
static bool dump_with_failing_manifest(uint64_t nth, enum simfs_effect effect) {
    start(SIMFS_SUBSET, 64);
    commits(6, 3);
    arm(SIMFS_SYNC, "MANIFEST", nth, effect, LAM_IO);
    enum lam_code rc = LAM_OK;
    for (int i = 0; i < 3 && rc == LAM_OK; i++) {
        rc = lam_db_dump(db, &err);
        for (int k = 0; k < 4 && rc == LAM_OK; k++)
            rc = commit(LAM_DURABILITY_SYNC);
    }
    ck_assert(!fired() || rc != LAM_OK);
    return fired();
}

/* RocksDB #5379: the sync of the manifest failed, so the new file was deleted; but the edit that
 * names it had reached the disk. Seen if a dump removes its output after an edit of unknown
 * outcome. */
START_TEST(h10_file_of_an_edit_of_unknown_outcome_stays) {
    static const enum simfs_effect effects[] = {SIMFS_FAIL, SIMFS_FAIL_DONE, SIMFS_FSYNC_EXT4,
                                                SIMFS_FSYNC_BTRFS};
    unsigned hits = 0;
    for (int e = 0; e < 4; e++)
        for (uint64_t nth = 1; nth <= 6; nth++) {
            hits += dump_with_failing_manifest(nth, effects[e]);
            check_held(acked, tried);
            crash_here(20);
            give_up();
            crash_here(20);
            drop_disk();
        }
    ck_assert_uint_gt(hits, 15);
}
END_TEST

/* Names of files made since `watch_numbers`; none may come twice. */
static struct {
    char names[400][40];
    size_t count;
} made;

static void note_made(void *arg, const struct simfs_event *event) {
    const char *name = strrchr(event->path, '/') + 1;
    (void)arg;
    if (event->op != SIMFS_CREATE || event->phase != 1 || event->result != LAM_OK ||
        !strpbrk(name, "0123456789"))
        return;
    for (size_t i = 0; i < made.count; i++)
        ck_assert_msg(strcmp(made.names[i], name) != 0, "%s was made twice", name);
    ck_assert_uint_lt(made.count, 400);
    snprintf(made.names[made.count++], sizeof made.names[0], "%s", name);
}

/* RocksDB #7621 and #7607, Pebble #984: after a failed sync of the manifest its file number was
 * used again; then the first edit turned out to be on the disk and named another file's bytes. Two
 * crashes. Seen if a failed dump gives its number back, or an open does not count orphans. */
START_TEST(h11_file_numbers_are_never_used_again) {
    static const enum simfs_effect effects[] = {SIMFS_FAIL, SIMFS_FAIL_DONE};
    for (int e = 0; e < 2; e++)
        for (uint64_t nth = 1; nth <= 5; nth++) {
            if (!dump_with_failing_manifest(nth, effects[e])) {
                finish();
                continue;
            }
            /* Everything that was written is found, the edit too; the orphans stay. */
            struct simfs *image = simfs_crash(fs, SIMFS_KILL, &image_choice), *first = fs;
            made.count = 0;
            for (size_t i = 0; i < simfs_file_count(image); i++) {
                const char *name = strrchr(simfs_file_path(image, i), '/') + 1;
                if (strpbrk(name, "0123456789"))
                    snprintf(made.names[made.count++], sizeof made.names[0], "%s", name);
            }
            give_up();
            simfs_free(first);
            fs = image;
            simfs_observe(fs, note_made, NULL);
            ck_ok(open_on(fs), &err);
            tried = acked = held_by(db);
            sync_all();
            commits(6, 2);
            ck_ok(lam_db_dump(db, &err), &err);
            ck_ok(lam_db_compact(db, NULL, &err), &err);
            commits(4, 2);
            simfs_observe(fs, NULL, NULL);
            crash_here(20);
            finish();
        }
}
END_TEST

/* --- many writers ------------------------------------------------------------------------------
 */

#define WRITERS 4
#define WRITES  6
static struct {
    bool acked[WRITERS][WRITES];
    bool unacked; /* some write failed */
} group;

static struct lam_slice group_key(unsigned w, unsigned i, char *out) {
    return lam_slice_of(out, (size_t)snprintf(out, 16, "w%u-%u", w, i));
}

static void write_group(void *arg) {
    unsigned w = (unsigned)(uintptr_t)arg;
    struct lam_write_options o = {LAM_DURABILITY_SYNC};
    struct lam_error e;
    for (unsigned i = 0; i < WRITES; i++) {
        char key[16];
        enum lam_code rc = lam_put(db, &o, left, group_key(w, i, key), S("value"), &e);
        group.acked[w][i] = rc == LAM_OK;
        group.unacked |= rc != LAM_OK;
    }
}

static void run_group(void *arg) {
    struct thread threads[WRITERS];
    (void)arg;
    for (unsigned w = 0; w < WRITERS; w++)
        ck_ok(thread_start(&threads[w], write_group, (void *)(uintptr_t)w, &err), &err);
    for (unsigned w = 0; w < WRITERS; w++)
        thread_join(&threads[w]);
}

static void check_group(struct simfs *image) {
    struct lam_options o = museum_options(image);
    lam_db *of;
    lam_partition *p;
    struct lam_value v = {0};
    ck_ok(lam_db_open(DIR, &o, &of, &err), &err);
    ck_ok(lam_partition_open(of, "left", &p, &err), &err);
    for (unsigned w = 0; w < WRITERS; w++)
        for (unsigned i = 0; i < WRITES; i++) {
            char key[16];
            if (group.acked[w][i])
                ck_ok(lam_get(of, NULL, p, group_key(w, i, key), &v, &err), &err);
        }
    lam_value_release(&v);
    lam_partition_release(p);
    ck_ok(lam_db_close(of, &err), &err);
    simfs_free(image);
}

/* RocksDB #3096: the leader's write or sync failed, and those who had waited for him were told that
 * all is well. Seen if db_sync_to does not hand a failure to every waiter. */
START_TEST(h12_followers_of_a_failed_leader_are_not_acknowledged) {
    static const unsigned ops[] = {SIMFS_SYNC, SIMFS_WRITE};
    unsigned hits = 0;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        struct choice schedule;
        struct sched_options options = {.policy = SCHED_RANDOM};
        choice_seed(&schedule, seed);
        start(SIMFS_SUBSET, 64);
        memset(&group, 0, sizeof group);
        arm(ops[seed % 2], ".wal", 1 + seed % 11, SIMFS_FSYNC_EXT4, LAM_IO);
        sched_run(&schedule, &options, run_group, NULL);
        hits += fired();
        ck_assert(!fired() || group.unacked);
        check_group(simfs_crash_old(fs));
        check_group(simfs_crash(fs, SIMFS_POWER, &image_choice));
        give_up();
        drop_disk();
        choice_fini(&schedule);
    }
    ck_assert_uint_gt(hits, 80);
}
END_TEST

/* RocksDB #12995: the log failed in the middle of a batch, one of its column families was flushed,
 * and after the crash half of the batch was there. Seen if inserts come before the append, or a
 * dump takes what the log has not. */
START_TEST(h13_dump_after_a_failed_log_write_shows_no_half_batch) {
    static const enum simfs_effect effects[] = {SIMFS_FAIL, SIMFS_SHORT, SIMFS_FAIL_DONE};
    unsigned hits = 0;
    for (int e = 0; e < 3; e++)
        for (uint64_t nth = 1; nth <= 10; nth++) {
            start(SIMFS_SUBSET, 64);
            commits(3, 2);
            arm(SIMFS_WRITE, ".wal", nth, effects[e], LAM_NO_SPACE);
            for (int i = 0; i < 10 && !fired(); i++)
                IGNORE(commit(LAM_DURABILITY_OS), "counted by its result");
            hits += fired();
            IGNORE(lam_db_dump(db, &err), "it may refuse");
            check_held(acked, tried);
            crash_here(10);
            IGNORE(commit(LAM_DURABILITY_SYNC), "counted by its result");
            crash_here(10);
            give_up();
            drop_disk();
        }
    ck_assert_uint_gt(hits, 25);
}
END_TEST

static void check_sequence(struct simfs *image, uint64_t least) {
    struct lam_options o = museum_options(image);
    struct lam_stats stats;
    lam_db *of;
    ck_ok(lam_db_open(DIR, &o, &of, &err), &err);
    lam_db_stats(of, &stats);
    ck_assert_uint_ge(stats.sequence, least);
    ck_ok(lam_db_close(of, &err), &err);
    simfs_free(image);
}

/* RocksDB #12873 and #15193: a write failed, its sequence number went to the next one, and both
 * were in the log. Seen if the log goes on behind a record whose write failed, or recovery gives
 * out a sequence that a lost record had. */
START_TEST(h14_sequence_of_a_failed_write_never_names_two) {
    unsigned unknown = 0, clean = 0;
    for (uint64_t nth = 1; nth <= 16; nth++) {
        start(SIMFS_SUBSET, 16);
        commits(3, 3);
        struct lam_stats before, after;
        /* The second fault keeps the failed record from being wiped. */
        arm(SIMFS_WRITE, ".wal", nth, SIMFS_FAIL_DONE, LAM_IO);
        struct simfs_fault also = {.ops = SIMFS_WRITE,
                                   .pattern = ".wal",
                                   .nth = nth + 1,
                                   .effect = SIMFS_FAIL,
                                   .code = LAM_IO};
        if (nth % 2)
            simfs_arm(fs, 1, &also);
        enum lam_code rc = LAM_OK;
        for (int i = 0; i < 12 && !fired(); i++)
            rc = commit(LAM_DURABILITY_OS);
        unknown += rc == LAM_UNKNOWN_OUTCOME;
        clean += rc == LAM_IO;
        lam_db_stats(db, &before);
        /* It goes on, or takes no more until it is reopened. */
        rc = commit(LAM_DURABILITY_SYNC);
        ck_assert(rc == LAM_OK || rc == LAM_READ_ONLY || rc == LAM_IO);
        crash_here(10);
        /* Nor are those of commits that a power loss took. */
        check_sequence(simfs_crash_old(fs), before.sequence);
        struct simfs *image = simfs_crash(fs, SIMFS_KILL, &image_choice), *first = fs;
        unsigned most = tried, least = acked;
        give_up();
        simfs_disarm(first);
        simfs_free(first);
        fs = image;
        ck_ok(open_on(fs), &err);
        check_held(least, most);
        lam_db_stats(db, &after);
        /* Four operations a commit: the failed one's are not given out again. */
        ck_assert_uint_ge(after.sequence, before.sequence + (most > least ? 4 : 0));
        tried = acked = held_by(db);
        commits(3, 1);
        crash_here(10);
        finish();
    }
    ck_assert_uint_gt(unknown, 3);
    ck_assert_uint_gt(clean, 3);
}
END_TEST

/* RocksDB #11643, #12998, #9762 and #7784: the disk was full once and the database never took a
 * write again, or did not open. Seen if a log segment that could not be made is final, or
 * recovery drops what it has no room to copy. */
START_TEST(h15_writes_go_on_when_there_is_space_again) {
    unsigned without_reopening = 0, full = 0;
    for (uint64_t room = 0; room < 9000; room += 250) {
        start(SIMFS_SUBSET, 64);
        commits(3, 2);
        simfs_set_quota(fs, simfs_used(fs) + room);
        for (int i = 0; i < 30; i++) {
            enum lam_code rc = commit(i % 3 ? LAM_DURABILITY_OS : LAM_DURABILITY_SYNC);
            ck_assert(rc == LAM_OK || rc == LAM_NO_SPACE || rc == LAM_UNKNOWN_OUTCOME ||
                      rc == LAM_READ_ONLY);
            if (rc == LAM_NO_SPACE && full++ % 4 == 0)
                IGNORE(lam_db_dump(db, &err), "it may lack space, too");
            check_held(acked, tried);
        }
        crash_here(3);
        simfs_set_quota(fs, 0);
        if (commit(LAM_DURABILITY_SYNC) == LAM_OK) {
            without_reopening++;
        } else {
            give_up();
            ck_ok(open_on(fs), &err);
            tried = acked = held_by(db);
            commits(1, 1);
        }
        crash_here(3);
        finish();
    }
    ck_assert_uint_gt(full, 20);
    ck_assert_uint_gt(without_reopening, 10);
}
END_TEST

/* --- what is known to be durable ------------------------------------------------------------- */

static bool appended_all;
static unsigned while_syncing; /* commits whose whole course lay in that of a sync */

static void append_while_syncing(void *arg) {
    (void)arg;
    for (int i = 0; i < 40; i++)
        ck_ok(commit(LAM_DURABILITY_OS), &err);
    appended_all = true;
}

/* As soon as there is something to sync. */
static void sync_while_appending(void *arg) {
    struct lam_error e;
    (void)arg;
    while (!appended_all) {
        unsigned before = acked, begun = tried;
        if (before > durable) {
            ck_ok(lam_sync(db, LAM_SEQUENCE_MAX, &e), &e);
            durable = before;
            while_syncing += acked > begun ? acked - begun : 0;
        }
        sched_point();
    }
}

static void append_and_sync(void *arg) {
    struct thread appender, syncer;
    (void)arg;
    ck_ok(thread_start(&appender, append_while_syncing, NULL, &err), &err);
    ck_ok(thread_start(&syncer, sync_while_appending, NULL, &err), &err);
    thread_join(&appender);
    thread_join(&syncer);
}

/* Whoever syncs is slow to see that it is done. */
static void take_images_and_dawdle(void *arg, const struct simfs_event *event) {
    take_images(arg, event);
    for (int i = 0; i < 40 && event->op == SIMFS_SYNC && event->phase == 1; i++)
        sched_point();
}

/* RocksDB #10185: bytes that were appended while a sync ran counted as synced. Here such a claim in
 * the log makes a legal crash look like corruption. Seen if wal_writer_sync or lead_locked reads
 * its end after the sync. */
START_TEST(h16_what_counts_as_synced_was_appended_before_the_sync) {
    /* A record says up to where its segment was synced before: there must be several in one. */
    struct db_tuning roomy = tiny;
    roomy.segment_bytes = 64u << 10;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct choice schedule;
        struct sched_options options = {.policy = SCHED_RANDOM, .one_in = 1 + seed % 3};
        choice_seed(&schedule, seed);
        make_disk(SIMFS_PREFIX, seed % 2 ? 64 : 256);
        sim_tuning_set(&roomy);
        ck_ok(open_on(fs), &err);
        appended_all = false;
        simfs_observe(fs, take_images_and_dawdle, fs);
        sched_run(&schedule, &options, append_and_sync, NULL);
        simfs_observe(fs, NULL, NULL);
        ck_assert_uint_gt(check_images(), 100);
        finish();
        choice_fini(&schedule);
    }
    ck_assert_uint_gt(while_syncing, 50);
}
END_TEST

TEST_MAIN("crash/museum", h01_failed_then_succeeding_fsync_is_never_acknowledged,
          h02_failed_log_write_is_an_error_and_its_record_is_not_read,
          h03_failing_close_loses_nothing_and_is_told_where_it_matters,
          h04_durable_commit_makes_older_log_segments_durable,
          h05_old_manifest_goes_only_after_the_root_names_the_next,
          h06_first_manifest_is_durable_before_anything_counts_on_it,
          h07_names_of_new_files_are_durable_before_the_manifest_names_them,
          h08_torn_manifest_or_root_does_not_keep_the_database_shut,
          h09_rewriting_files_never_makes_damage_look_whole,
          h10_file_of_an_edit_of_unknown_outcome_stays, h11_file_numbers_are_never_used_again,
          h12_followers_of_a_failed_leader_are_not_acknowledged,
          h13_dump_after_a_failed_log_write_shows_no_half_batch,
          h14_sequence_of_a_failed_write_never_names_two,
          h15_writes_go_on_when_there_is_space_again,
          h16_what_counts_as_synced_was_appended_before_the_sync)
