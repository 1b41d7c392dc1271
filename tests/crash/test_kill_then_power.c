/* SPDX-License-Identifier: Apache-2.0
 *
 * A process dies, the next opens what it left in the system's memory, and the power goes meanwhile
 * or after: what the dead one had not made durable, its successor may not build on. Each moment of
 * a session is taken with all that is pending, and opened with images around every change. */
#include "tests/crash/museum.h"

struct moment {
    struct simfs *fs;
    unsigned durable, acked, tried;
};
#define MOMENTS_MAX 600
static struct moment moments[MOMENTS_MAX];
static size_t moment_count, events_seen;
static size_t every_nth;

static void keep_moment(void *arg, const struct simfs_event *event) {
    struct simfs *of = arg;
    (void)event;
    if (events_seen++ % every_nth != 0)
        return;
    ck_assert_uint_lt(moment_count, MOMENTS_MAX);
    moments[moment_count++] = (struct moment){simfs_clone(of), durable, acked, tried};
}

/* Around each change of the successor's: the worst that a power loss leaves, and `draws` more. */
static unsigned draws;
static void draw_images(void *arg, const struct simfs_event *event) {
    struct simfs *of = arg;
    (void)event;
    keep_image(simfs_crash_old(of), durable);
    for (unsigned i = 0; i < draws; i++)
        keep_image(simfs_crash(of, SIMFS_POWER, &image_choice), durable);
}

/* What was acknowledged is there without a power loss; with one, what was durable, or what the
 * successor has shown. */
static void go_on_from(struct moment *m) {
    struct lam_options o = museum_options(m->fs);
    lam_db *of;
    durable = m->durable;
    tried = m->tried;
    simfs_observe(m->fs, draw_images, m->fs);
    ck_ok(lam_db_open(DIR, &o, &of, &err), &err);
    simfs_observe(m->fs, NULL, NULL);
    unsigned held = held_by(of);
    ck_assert_msg(held >= m->acked && held <= m->tried, "%u commits, between %u and %u", held,
                  m->acked, m->tried);
    check_images();
    check_image(simfs_crash_old(m->fs), held, held);
    for (int i = 0; i < 3; i++)
        check_image(simfs_crash(m->fs, SIMFS_POWER, &image_choice), held, held);
    ck_ok(lam_db_close(of, &err), &err);
    simfs_free(m->fs);
}

static void go_on_from_all(size_t least) {
    struct simfs *session = fs;
    simfs_observe(fs, NULL, NULL);
    ck_assert_uint_gt(moment_count, least);
    for (size_t i = 0; i < moment_count; i++)
        go_on_from(&moments[i]);
    moment_count = events_seen = 0;
    fs = session;
}

START_TEST(killed_creation_is_not_built_on_before_it_is_durable) {
    every_nth = 1;
    draws = 12;
    for (int names = 0; names < 2; names++) {
        make_disk(names ? SIMFS_SUBSET : SIMFS_PREFIX, 64);
        struct lam_options o = museum_options(fs);
        simfs_observe(fs, keep_moment, fs);
        ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
        go_on_from_all(10);
        ck_ok(lam_db_close(db, &err), &err);
        drop_disk();
    }
}
END_TEST

static void session(void) {
    commits(6, 3);
    ck_ok(lam_db_dump(db, &err), &err);
    create_partitions();
    commits(12, 5);
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    commits(3, 2);
}

START_TEST(killed_session_is_not_built_on_before_it_is_durable) {
#ifdef __SANITIZE_THREAD__
    every_nth = 29; /* one thread runs */
#else
    every_nth = 7;
#endif
    draws = 1;
    start(SIMFS_SUBSET, 64);
    simfs_observe(fs, keep_moment, fs);
    session();
    unsigned last[] = {durable, acked, tried};
    go_on_from_all(10);
    durable = last[0], acked = last[1], tried = last[2];
    check_held(acked, acked);
    finish();
}
END_TEST

/* What a killed process acknowledged and did not sync has no later witness: a read of the log that
 * goes wrong once must not pass for its end. */
START_TEST(one_wrong_read_of_the_log_loses_nothing) {
    start(SIMFS_SUBSET, 64);
    commits(20, 7);
    struct simfs *session = fs, *killed = simfs_crash(fs, SIMFS_KILL, &image_choice);
    ck_ok(close_db(), &err);
    unsigned wrong = 0;
    for (uint64_t nth = 1; nth <= 8; nth++)
        for (unsigned i = 0; i < 16; i++) {
            fs = simfs_clone(killed);
            arm(SIMFS_READ, ".wal", nth, SIMFS_FLIP, LAM_IO);
            ck_ok(open_on(fs), &err);
            wrong += fired();
            check_held(acked, acked);
            ck_ok(close_db(), &err);
            simfs_free(fs);
        }
    ck_assert_uint_gt(wrong, 30);
    simfs_free(killed);
    fs = session;
    drop_disk();
}
END_TEST

TEST_MAIN("crash/kill_then_power", killed_creation_is_not_built_on_before_it_is_durable,
          killed_session_is_not_built_on_before_it_is_durable,
          one_wrong_read_of_the_log_loses_nothing)
