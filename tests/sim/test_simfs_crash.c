/* SPDX-License-Identifier: Apache-2.0
 *
 * Every rule by which a crash keeps or loses something: that it can happen, and that nothing else
 * can. Units are 16 bytes. */
#include "base/rng.h"
#include "tests/sim/simfs_fixture.h"

#define A16 "aaaaaaaaaaaaaaaa"
#define B16 "bbbbbbbbbbbbbbbb"
#define C16 "cccccccccccccccc"
#define Z16 "................"

/* --- content --------------------------------------------------------------------------------- */

START_TEST(synced_content_and_name_survive_everything) {
    make_fs(SIMFS_SUBSET, true);
    put_durable("d/f", A16 B16);
    ck_assert_uint_eq(simfs_crash_width(fs), 1);
    draw_images(SIMFS_POWER, 200);
    EXPECT_IMAGES("/d/f=" A16 B16);
    draw_images(SIMFS_KILL, 20);
    EXPECT_IMAGES("/d/f=" A16 B16);
    free_fs();
}
END_TEST

START_TEST(each_unsynced_unit_is_old_or_new) {
    make_fs(SIMFS_PREFIX, true);
    put_durable("d/f", A16 A16 A16);
    lam_file *f = create("d/f");
    write_at(f, 0, B16);
    write_at(f, 32, C16);
    enumerate_images();
    ck_assert_uint_eq(simfs_crash_width(fs), 4);
    EXPECT_IMAGES("/d/f=" A16 A16 A16, "/d/f=" B16 A16 A16, "/d/f=" A16 A16 C16,
                  "/d/f=" B16 A16 C16);
    sync_file(f);
    enumerate_images();
    EXPECT_IMAGES("/d/f=" B16 A16 C16);
    close_file(f);
    free_fs();
}
END_TEST

/* What a unit holds beside the bytes written stays, whichever way the unit comes out. */
START_TEST(bytes_beside_the_written_ones_are_untouched) {
    make_fs(SIMFS_PREFIX, true);
    put_durable("d/f", A16 A16);
    lam_file *f = create("d/f");
    write_at(f, 12, "BBBBBBBB");
    draw_images(SIMFS_POWER, 5000);
    for (size_t i = 0; i < images.count; i++) {
        const char *text = images.texts[i] + strlen("/d/f=");
        ck_assert_uint_eq(strlen(text), 32);
        ck_assert_mem_eq(text, "aaaaaaaaaaaa", 12);
        ck_assert_mem_eq(text + 20, "aaaaaaaaaaaa", 12);
        ck_assert_uint_eq(strspn(text, "aB"), 32);
    }
    close_file(f);
    free_fs();
}
END_TEST

START_TEST(a_unit_may_be_torn_at_any_byte_from_either_end) {
    make_fs(SIMFS_PREFIX, false);
    put_durable("d/f", A16);
    lam_file *f = create("d/f");
    write_at(f, 0, B16);
    draw_images(SIMFS_POWER, 20000);
    for (size_t cut = 0; cut <= 16; cut++) {
        char front[64], back[64];
        snprintf(front, sizeof front, "/d/f=%.*s%.*s", (int)cut, B16, (int)(16 - cut), A16);
        snprintf(back, sizeof back, "/d/f=%.*s%.*s", (int)cut, A16, (int)(16 - cut), B16);
        ck_assert_uint_gt(times_of(front), 0);
        ck_assert_uint_gt(times_of(back), 0);
    }
    ck_assert_uint_eq(images.count, 2 * 17 - 2);
    close_file(f);
    free_fs();
}
END_TEST

START_TEST(size_of_an_append_is_old_new_or_between) {
    make_fs(SIMFS_PREFIX, false);
    put_durable("d/f", A16);
    lam_file *f = create("d/f");
    write_at(f, 16, "bbbb");
    enumerate_images();
    EXPECT_IMAGES("/d/f=" A16, "/d/f=" A16 "bbbb", "/d/f=" A16 "....");
    draw_images(SIMFS_POWER, 5000);
    bool sizes[32] = {0};
    for (size_t i = 0; i < images.count; i++) {
        const char *text = images.texts[i] + strlen("/d/f=");
        ck_assert_mem_eq(text, A16, 16);
        ck_assert_uint_eq(16 + strspn(text + 16, "b."), strlen(text));
        sizes[strlen(text)] = true;
    }
    for (size_t size = 16; size <= 20; size++)
        ck_assert(sizes[size]);
    close_file(f);
    free_fs();
}
END_TEST

START_TEST(a_lost_truncation_gives_back_the_old_bytes) {
    make_fs(SIMFS_PREFIX, true);
    put_durable("d/f", A16 B16);
    lam_file *f = create("d/f");
    ck_ok(env_file_truncate(f, 4, &err), &err);
    enumerate_images();
    EXPECT_IMAGES("/d/f=" A16 B16, "/d/f=aaaa");
    draw_images(SIMFS_POWER, 5000);
    for (size_t i = 0; i < images.count; i++) {
        const char *text = images.texts[i] + strlen("/d/f=");
        ck_assert_uint_ge(strlen(text), 4);
        ck_assert_mem_eq(text, A16 B16, strlen(text));
    }
    ck_assert_uint_eq(images.count, 32 - 4 + 1);
    sync_file(f);
    enumerate_images();
    EXPECT_IMAGES("/d/f=aaaa");
    close_file(f);
    free_fs();
}
END_TEST

START_TEST(bytes_cut_off_and_written_again_are_old_or_new) {
    make_fs(SIMFS_PREFIX, true);
    put_durable("d/f", A16 B16);
    lam_file *f = open_at("d/f", LAM_OPEN_WRITE | LAM_OPEN_TRUNCATE);
    write_at(f, 0, C16);
    enumerate_images();
    EXPECT_IMAGES("/d/f=" A16 B16, "/d/f=" C16 B16, "/d/f=" A16, "/d/f=" C16);
    ck_ok(env_file_truncate(f, 32, &err), &err);
    enumerate_images();
    EXPECT_IMAGES("/d/f=" A16 B16, "/d/f=" C16 B16, "/d/f=" A16 Z16, "/d/f=" C16 Z16);
    close_file(f);
    free_fs();
}
END_TEST

START_TEST(a_version_written_over_before_any_sync_may_come_back) {
    make_fs(SIMFS_PREFIX, false);
    put_durable("d/f", A16 A16);
    lam_file *f = create("d/f");
    write_at(f, 0, B16);
    enumerate_images();
    EXPECT_IMAGES("/d/f=" A16 A16, "/d/f=" B16 A16);
    write_at(f, 0, C16);
    enumerate_images();
    EXPECT_IMAGES("/d/f=" A16 A16, "/d/f=" B16 A16, "/d/f=" C16 A16);
    draw_images(SIMFS_POWER, 3000);
    ck_assert_uint_gt(times_of("/d/f=" B16 A16), 0);
    /* Back to what is synced: still the disk may have what was there between. */
    write_at(f, 0, A16);
    enumerate_images();
    EXPECT_IMAGES("/d/f=" A16 A16, "/d/f=" C16 A16);
    sync_file(f);
    enumerate_images();
    EXPECT_IMAGES("/d/f=" A16 A16);
    close_file(f);
    free_fs();
}
END_TEST

START_TEST(a_version_cut_off_before_any_sync_may_come_back) {
    make_fs(SIMFS_PREFIX, false);
    put_durable("d/f", A16);
    lam_file *f = create("d/f");
    write_at(f, 0, B16);
    ck_ok(env_file_truncate(f, 0, &err), &err);
    write_at(f, 0, C16);
    enumerate_images();
    EXPECT_IMAGES("/d/f=" A16, "/d/f=" B16, "/d/f=" C16);
    close_file(f);
    free_fs();
}
END_TEST

START_TEST(a_file_that_was_never_synced_may_be_empty_zeros_or_torn) {
    make_fs(SIMFS_PREFIX, false);
    lam_file *f = create("d/f");
    sync_dir("d");
    write_at(f, 0, A16 B16);
    enumerate_images();
    EXPECT_IMAGES("/d/f=", "/d/f=" Z16 Z16, "/d/f=" A16 Z16, "/d/f=" Z16 B16, "/d/f=" A16 B16);
    draw_images(SIMFS_POWER, 5000);
    for (size_t i = 0; i < images.count; i++) {
        const char *text = images.texts[i] + strlen("/d/f=");
        for (size_t at = 0; at < strlen(text); at++)
            ck_assert(text[at] == '.' || text[at] == (A16 B16)[at]);
    }
    close_file(f);
    free_fs();
}
END_TEST

static bool has_noise(const char *text) {
    return strspn(text, "abc.") < strlen(text);
}

static unsigned count_noise(size_t from, size_t to) {
    unsigned count = 0;
    for (size_t i = 0; i < images.count; i++) {
        const char *text = images.texts[i] + strlen("/d/f=");
        char part[64] = {0};
        if (strlen(text) > from)
            snprintf(part, sizeof part, "%.*s", (int)(to - from), text + from);
        count += has_noise(part);
    }
    return count;
}

START_TEST(noise_comes_only_past_the_synced_size_in_written_units) {
    make_fs(SIMFS_PREFIX, true);
    put_durable("d/f", A16 "bbbb");
    lam_file *f = create("d/f");
    write_at(f, 0, C16);    /* over synced bytes: no noise */
    write_at(f, 36, "ccc"); /* unit 2; unit 1 and 3 grow only */
    ck_ok(env_file_allocate(f, 64, &err), &err);
    draw_images(SIMFS_POWER, 4000);
    ck_assert_uint_eq(count_noise(0, 32), 0);
    ck_assert_uint_gt(count_noise(32, 48), 100);
    ck_assert_uint_eq(count_noise(48, 64), 0);
    write_at(f, 20, "c"); /* unit 1: four bytes of it were synced */
    draw_images(SIMFS_POWER, 4000);
    ck_assert_uint_eq(count_noise(0, 20), 0);
    ck_assert_uint_gt(count_noise(20, 32), 100);
    sync_file(f);
    draw_images(SIMFS_POWER, 500);
    ck_assert_uint_eq(count_noise(0, 64), 0);
    close_file(f);
    free_fs();
}
END_TEST

START_TEST(without_garbage_there_is_no_noise) {
    make_fs(SIMFS_PREFIX, false);
    lam_file *f = create("d/f");
    sync_dir("d");
    write_at(f, 0, A16 B16 C16);
    draw_images(SIMFS_POWER, 4000);
    ck_assert_uint_eq(count_noise(0, 48), 0);
    close_file(f);
    free_fs();
}
END_TEST

START_TEST(synced_preallocation_is_zeros_or_what_was_written) {
    make_fs(SIMFS_PREFIX, true);
    lam_file *f = create("d/f");
    ck_ok(env_file_allocate(f, 48, &err), &err);
    sync_file(f);
    sync_dir("d");
    write_at(f, 0, A16 B16);
    enumerate_images();
    EXPECT_IMAGES("/d/f=" Z16 Z16 Z16, "/d/f=" A16 Z16 Z16, "/d/f=" Z16 B16 Z16,
                  "/d/f=" A16 B16 Z16);
    draw_images(SIMFS_POWER, 3000);
    ck_assert_uint_eq(count_noise(0, 48), 0);
    close_file(f);
    free_fs();
}
END_TEST

START_TEST(a_kill_keeps_everything_issued) {
    make_fs(SIMFS_SUBSET, true);
    lam_file *f = create("d/f");
    write_at(f, 0, A16 B16);
    rename_file("d/f", "d/g");
    draw_images(SIMFS_KILL, 50);
    EXPECT_IMAGES("/d/g=" A16 B16);
    close_file(f);
    free_fs();
}
END_TEST

/* --- a write in flight ----------------------------------------------------------------------- */

static enum simfs_crash observed_kind;

static void draw_in_flight(void *arg, const struct simfs_event *event) {
    unsigned *phase = arg;
    if (event->op == SIMFS_WRITE && event->phase == *phase) {
        images_reset();
        for (unsigned i = 0; i < 2000; i++) {
            struct simfs *image = simfs_crash(fs, observed_kind, &choice);
            images_add(image);
            simfs_free(image);
        }
    }
}

START_TEST(a_kill_within_a_write_leaves_any_prefix_of_it) {
    make_fs(SIMFS_PREFIX, true);
    put_durable("d/f", A16);
    lam_file *f = create("d/f");
    unsigned phase = 0;
    simfs_observe(fs, draw_in_flight, &phase);
    write_at(f, 14, "bbbbbb");
    EXPECT_IMAGES("/d/f=" A16,
                  "/d/f=aaaaaaaaaaaaaab"
                  "a",
                  "/d/f=aaaaaaaaaaaaaabb", "/d/f=aaaaaaaaaaaaaabbb", "/d/f=aaaaaaaaaaaaaabbbb",
                  "/d/f=aaaaaaaaaaaaaabbbbb", "/d/f=aaaaaaaaaaaaaabbbbbb");
    phase = 1;
    write_at(f, 0, "cc");
    EXPECT_IMAGES("/d/f=ccaaaaaaaaaaaabbbbbb");
    /* A power loss before the write knows nothing of it. */
    sync_file(f);
    phase = 0;
    observed_kind = SIMFS_POWER;
    write_at(f, 0, "dddd");
    EXPECT_IMAGES("/d/f=ccaaaaaaaaaaaabbbbbb");
    observed_kind = SIMFS_KILL;
    simfs_observe(fs, NULL, NULL);
    close_file(f);
    free_fs();
}
END_TEST

static void enumerate_in_flight(void *arg, const struct simfs_event *event) {
    unsigned *runs = arg;
    if (event->op != SIMFS_WRITE || event->phase != 0)
        return;
    struct choice odometer;
    choice_odometer(&odometer);
    images_reset();
    do {
        struct simfs *image = simfs_crash(fs, SIMFS_KILL, &odometer);
        images_add(image);
        simfs_free(image);
        ++*runs;
    } while (choice_next(&odometer));
    choice_fini(&odometer);
}

START_TEST(an_odometer_cuts_a_write_in_flight_at_its_ends_and_middle) {
    make_fs(SIMFS_PREFIX, true);
    lam_file *f = create("d/f");
    unsigned runs = 0;
    simfs_observe(fs, enumerate_in_flight, &runs);
    write_at(f, 0, A16);
    ck_assert_uint_eq(runs, 5);
    EXPECT_IMAGES("/d/f=", "/d/f=a", "/d/f=aaaaaaaa", "/d/f=aaaaaaaaaaaaaaa", "/d/f=" A16);
    runs = 0;
    write_at(f, 16, "b");
    ck_assert_uint_eq(runs, 2);
    simfs_observe(fs, NULL, NULL);
    close_file(f);
    free_fs();
}
END_TEST

/* --- names ----------------------------------------------------------------------------------- */

START_TEST(syncing_a_file_does_not_keep_its_name_nor_a_directory_its_content) {
    make_fs(SIMFS_SUBSET, false);
    put("d/f", "a");
    enumerate_images();
    EXPECT_IMAGES("", "/d/f=a");
    lam_file *g = create("d/g");
    write_at(g, 0, "b");
    sync_dir("d");
    enumerate_images();
    EXPECT_IMAGES("/d/f=a /d/g=", "/d/f=a /d/g=.", "/d/f=a /d/g=b");
    close_file(g);
    free_fs();
}
END_TEST

START_TEST(a_prefix_of_names_is_a_moment_of_the_past) {
    make_fs(SIMFS_PREFIX, false);
    put_durable("d/a", "a");
    put("d/b", "b");
    rename_file("d/a", "d/c");
    remove_at("d/b");
    enumerate_images();
    EXPECT_IMAGES("/d/a=a", "/d/a=a /d/b=b", "/d/b=b /d/c=a", "/d/c=a");
    ck_assert_uint_eq(simfs_crash_width(fs), 4);
    sync_dir("d");
    enumerate_images();
    EXPECT_IMAGES("/d/c=a");
    free_fs();
}
END_TEST

START_TEST(a_subset_of_names_may_keep_later_changes_and_lose_earlier_ones) {
    make_fs(SIMFS_SUBSET, false);
    put("d/a", "a");
    put("d/b", "b");
    enumerate_images();
    EXPECT_IMAGES("", "/d/a=a", "/d/b=b", "/d/a=a /d/b=b");
    sync_dir("d");
    remove_at("d/a");
    put("d/c", "c");
    enumerate_images();
    EXPECT_IMAGES("/d/a=a /d/b=b", "/d/b=b", "/d/a=a /d/b=b /d/c=c", "/d/b=b /d/c=c");
    free_fs();
}
END_TEST

START_TEST(a_rename_is_old_or_new_and_never_both_or_none) {
    make_fs(SIMFS_SUBSET, false);
    put_durable("d/a", "a");
    put_durable("d/b", "b");
    rename_file("d/a", "d/b");
    enumerate_images();
    EXPECT_IMAGES("/d/a=a /d/b=b", "/d/b=a");
    sync_dir("d");
    /* A chain of renames stops anywhere, and is not skipped in the middle. */
    rename_file("d/b", "d/c");
    rename_file("d/c", "d/e");
    enumerate_images();
    EXPECT_IMAGES("/d/b=a", "/d/c=a", "/d/e=a");
    free_fs();
}
END_TEST

START_TEST(a_rename_is_lost_with_the_creation_of_its_source) {
    make_fs(SIMFS_SUBSET, false);
    put_durable("d/f", "old");
    put("d/f.tmp", "new");
    rename_file("d/f.tmp", "d/f");
    enumerate_images();
    EXPECT_IMAGES("/d/f=old", "/d/f=old /d/f.tmp=new", "/d/f=new");
    free_fs();
}
END_TEST

START_TEST(a_removal_may_be_durable_before_an_earlier_rename) {
    make_fs(SIMFS_SUBSET, false);
    put_durable("d/a", "a");
    put_durable("d/b", "b");
    rename_file("d/a", "d/b");
    remove_at("d/b");
    enumerate_images();
    EXPECT_IMAGES("/d/a=a /d/b=b", "/d/b=a", "/d/a=a", "");
    free_fs();
}
END_TEST

START_TEST(a_name_made_again_is_the_old_file_the_new_one_or_none) {
    make_fs(SIMFS_SUBSET, false);
    put_durable("d/a", "old");
    remove_at("d/a");
    put("d/a", "new");
    enumerate_images();
    EXPECT_IMAGES("/d/a=old", "", "/d/a=new");
    free_fs();
}
END_TEST

START_TEST(directories_lose_names_independently) {
    make_fs(SIMFS_PREFIX, false);
    ck_ok(env->ops->dir_create(env, "e", &err), &err);
    sync_dir("/");
    put("d/a", "a");
    put("e/b", "b");
    enumerate_images();
    EXPECT_IMAGES("", "/d/a=a", "/e/b=b", "/d/a=a /e/b=b");
    sync_dir("e");
    enumerate_images();
    EXPECT_IMAGES("/e/b=b", "/d/a=a /e/b=b");
    free_fs();
}
END_TEST

START_TEST(what_is_in_a_directory_without_a_durable_name_is_out_of_reach) {
    make_fs(SIMFS_SUBSET, false);
    ck_ok(env->ops->dir_create(env, "d/sub", &err), &err);
    put("d/sub/f", "a");
    sync_dir("d/sub");
    enumerate_images();
    EXPECT_IMAGES("", "/d/sub/f=a");
    ck_assert_uint_eq(simfs_crash_width(fs), 2);
    sync_dir("d");
    enumerate_images();
    EXPECT_IMAGES("/d/sub/f=a");
    free_fs();
}
END_TEST

START_TEST(a_removed_directory_comes_back_or_not) {
    make_fs(SIMFS_SUBSET, false);
    ck_ok(env->ops->dir_create(env, "d/sub", &err), &err);
    put("d/sub/f", "a");
    sync_dir("d/sub");
    sync_dir("d");
    remove_at("d/sub/f");
    ck_ok(env->ops->dir_remove(env, "d/sub", &err), &err);
    enumerate_images();
    EXPECT_IMAGES("", "/d/sub/f=a");
    sync_dir("d");
    enumerate_images();
    EXPECT_IMAGES("");
    free_fs();
}
END_TEST

START_TEST(a_second_name_is_lost_alone_and_shows_the_same_bytes) {
    make_fs(SIMFS_SUBSET, false);
    put_durable("d/a", A16);
    ck_ok(env->ops->path_link(env, "d/a", "d/b", &err), &err);
    lam_file *f = create("d/b");
    write_at(f, 0, B16);
    enumerate_images();
    EXPECT_IMAGES("/d/a=" A16, "/d/a=" B16, "/d/a=" A16 " /d/b=" A16, "/d/a=" B16 " /d/b=" B16);
    close_file(f);
    free_fs();
}
END_TEST

START_TEST(a_rename_across_directories_is_atomic) {
    for (int names = SIMFS_PREFIX; names <= SIMFS_SUBSET; names++) {
        make_fs((enum simfs_names)names, false);
        ck_ok(env->ops->dir_create(env, "e", &err), &err);
        sync_dir("/");
        put_durable("d/a", "a");
        put("e/before", "x");
        rename_file("d/a", "e/b");
        put("d/after", "y");
        draw_images(SIMFS_POWER, 3000);
        enumerate_images();
        for (size_t i = 0; i < images.count; i++)
            ck_assert((strstr(images.texts[i], "/d/a=a") != NULL) !=
                      (strstr(images.texts[i], "/e/b=a") != NULL));
        ck_assert_uint_gt(times_of("/d/a=a"), 0);
        ck_assert_uint_gt(times_of("/d/after=y /e/b=a /e/before=x"), 0);
        /* A sync of either directory takes both sides along. */
        struct simfs *other = simfs_clone(fs);
        ck_ok(env_dir_sync(simfs_env(other), "e", &err), &err);
        struct simfs *old = simfs_crash_old(other);
        ck_assert_str_eq(files_in(old), "/e/b=a /e/before=x");
        simfs_free(old);
        simfs_free(other);
        sync_dir("d");
        old = simfs_crash_old(fs);
        ck_assert_str_eq(files_in(old), "/d/after=y /e/b=a /e/before=x");
        simfs_free(old);
        free_fs();
        choice_fini(&choice);
    }
}
END_TEST

START_TEST(what_was_removed_and_synced_never_comes_back) {
    make_fs(SIMFS_SUBSET, true);
    put_durable("d/a", "a");
    remove_at("d/a");
    sync_dir("d");
    lam_file *f = create("d/b");
    remove_at("d/b");
    write_at(f, 0, "x");
    close_file(f);
    draw_images(SIMFS_POWER, 500);
    for (size_t i = 0; i < images.count; i++)
        ck_assert_ptr_null(strstr(images.texts[i], "/d/a"));
    free_fs();
}
END_TEST

/* --- images ---------------------------------------------------------------------------------- */

START_TEST(an_image_is_durable_and_its_own) {
    make_fs(SIMFS_SUBSET, true);
    put_durable("d/a", A16);
    put("d/b", B16);
    lam_file *f = create("d/a");
    write_at(f, 8, C16);
    uint64_t before = simfs_hash(fs);
    for (int i = 0; i < 200; i++) {
        struct simfs *image = simfs_crash(fs, SIMFS_POWER, &choice);
        ck_assert_uint_eq(simfs_crash_width(image), 1);
        ck_assert_uint_eq(simfs_open_handles(image), 0);
        struct simfs *again = simfs_crash(image, SIMFS_POWER, &choice);
        ck_assert_uint_eq(simfs_hash(again), simfs_hash(image));
        /* What happens to an image, the original does not see. */
        lam_file *g = NULL;
        ck_ok(env_file_open(simfs_env(image), "d/a", LAM_OPEN_WRITE, &g, &err), &err);
        ck_ok(env_file_write(g, 0, "zz", 2, &err), &err);
        ck_ok(env_file_close(g, &err), &err);
        ck_assert_uint_ne(simfs_hash(again), simfs_hash(image));
        simfs_free(again);
        simfs_free(image);
    }
    ck_assert_uint_eq(simfs_hash(fs), before);
    ck_assert_str_eq(text_in(fs, "d/a"), "aaaaaaaa" C16);
    close_file(f);
    free_fs();
}
END_TEST

START_TEST(the_oldest_image_is_what_is_durable) {
    make_fs(SIMFS_SUBSET, true);
    put_durable("d/a", A16);
    put("d/b", B16);
    lam_file *f = create("d/a");
    write_at(f, 0, C16 C16);
    struct simfs *old = simfs_crash_old(fs);
    ck_assert_str_eq(files_in(old), "/d/a=" A16);
    ck_assert_uint_eq(simfs_used(old), 16);
    simfs_free(old);
    close_file(f);
    free_fs();
}
END_TEST

START_TEST(an_image_is_later_and_counts_its_own_bytes) {
    make_fs(SIMFS_PREFIX, true);
    put_durable("d/a", A16);
    lam_file *f = create("d/a");
    remove_at("d/a");
    ck_assert_uint_eq(simfs_used(fs), 16);
    struct simfs *image = simfs_crash(fs, SIMFS_KILL, &choice);
    ck_assert_uint_eq(simfs_used(image), 0);
    ck_assert_int_gt(simfs_now_us(image), simfs_now_us(fs));
    simfs_free(image);
    close_file(f);
    ck_assert_uint_eq(simfs_used(fs), 0);
    free_fs();
}
END_TEST

START_TEST(a_clone_has_the_pending_changes_and_goes_its_own_way) {
    make_fs(SIMFS_PREFIX, false);
    put_durable("d/a", A16);
    lam_file *f = create("d/a");
    write_at(f, 0, B16);
    put("d/b", "b");
    struct simfs *clone = simfs_clone(fs);
    ck_assert_uint_eq(simfs_open_handles(clone), 0);
    ck_assert_uint_eq(simfs_hash(clone), simfs_hash(fs));
    ck_assert_uint_eq(simfs_used(clone), simfs_used(fs));
    ck_assert_uint_eq(simfs_crash_width(clone), simfs_crash_width(fs));
    ck_assert_uint_eq(simfs_crash_width(clone), 4);
    sync_file(f);
    sync_dir("d");
    ck_assert_uint_eq(simfs_crash_width(fs), 1);
    ck_assert_uint_eq(simfs_crash_width(clone), 4);
    write_at(f, 4, "cccc");
    ck_assert_str_eq(files_in(clone), "/d/a=" B16 " /d/b=b");
    remove_at("d/b");
    ck_assert_str_eq(files_in(clone), "/d/a=" B16 " /d/b=b");
    close_file(f);
    simfs_free(clone);
    free_fs();
}
END_TEST

START_TEST(equal_states_have_equal_hashes_whatever_their_past) {
    make_fs(SIMFS_PREFIX, false);
    struct simfs *other = simfs_new(&(struct simfs_options){.granule = 64}, &choice);
    simfs_file_set(other, "d/a", A16, 16);
    simfs_file_set(other, "d/b", "", 0);
    put_durable("d/x", "something else");
    rename_file("d/x", "d/a");
    put("d/a", A16);
    close_file(create("d/b"));
    ck_assert_uint_eq(simfs_hash(fs), simfs_hash(other));
    /* Pages of zeros are zeros, written or not. */
    static const char zeros[9000];
    simfs_file_set(other, "d/a", zeros, sizeof zeros);
    lam_file *f = open_at("d/a", LAM_OPEN_WRITE | LAM_OPEN_TRUNCATE);
    ck_ok(env_file_truncate(f, sizeof zeros, &err), &err);
    ck_assert_uint_eq(simfs_hash(fs), simfs_hash(other));
    write_at(f, 8000, "x");
    ck_assert_uint_ne(simfs_hash(fs), simfs_hash(other));
    close_file(f);
    simfs_free(other);
    free_fs();
}
END_TEST

START_TEST(every_difference_changes_the_hash) {
    make_fs(SIMFS_PREFIX, false);
    uint64_t seen[16];
    size_t count = 0;
    seen[count++] = simfs_hash(fs);
    put("d/a", "x");
    seen[count++] = simfs_hash(fs);
    put("d/a", "y");
    seen[count++] = simfs_hash(fs);
    rename_file("d/a", "d/b");
    seen[count++] = simfs_hash(fs);
    rename_file("d/b", "b");
    seen[count++] = simfs_hash(fs);
    lam_file *f = create("b");
    ck_ok(env_file_truncate(f, 2, &err), &err);
    seen[count++] = simfs_hash(fs);
    write_at(f, 1, "z");
    seen[count++] = simfs_hash(fs);
    write_at(f, 1, "Z");
    seen[count++] = simfs_hash(fs);
    close_file(f);
    ck_ok(env->ops->dir_create(env, "e", &err), &err);
    seen[count++] = simfs_hash(fs);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            ck_assert_uint_ne(seen[i], seen[j]);
    free_fs();
}
END_TEST

START_TEST(images_are_drawn_by_the_choice_alone) {
    make_fs(SIMFS_SUBSET, true);
    put_durable("d/a", A16);
    lam_file *f = create("d/a");
    for (int i = 0; i < 40; i++)
        write_at(f, (uint64_t)i * 16, C16);
    put("d/b", "b");
    for (uint64_t seed = 1; seed < 100; seed++) {
        struct choice one, two;
        choice_seed(&one, seed);
        choice_seed(&two, seed);
        one.keep = true;
        struct simfs *a = simfs_crash(fs, SIMFS_POWER, &one);
        struct simfs *b = simfs_crash(fs, SIMFS_POWER, &two);
        ck_assert_uint_eq(simfs_hash(a), simfs_hash(b));
        uint32_t list[256];
        ck_assert_uint_le(one.made_count, 256);
        for (size_t i = 0; i < one.made_count; i++)
            list[i] = one.made[i].value;
        struct choice replay;
        choice_list(&replay, list, one.made_count);
        struct simfs *c = simfs_crash(fs, SIMFS_POWER, &replay);
        ck_assert_uint_eq(simfs_hash(a), simfs_hash(c));
        simfs_free(a);
        simfs_free(b);
        simfs_free(c);
        choice_fini(&one);
    }
    /* The tame choices lose nothing. */
    struct choice tame;
    choice_list(&tame, NULL, 0);
    struct simfs *all = simfs_crash(fs, SIMFS_POWER, &tame);
    ck_assert_uint_eq(simfs_hash(all), simfs_hash(fs));
    simfs_free(all);
    close_file(f);
    free_fs();
}
END_TEST

START_TEST(simple_images_are_half_of_those_drawn) {
    make_fs(SIMFS_SUBSET, false);
    put_durable("d/a", A16 A16 A16);
    lam_file *f = create("d/a");
    write_at(f, 0, B16 B16 B16);
    put("d/b", "b");
    draw_images(SIMFS_POWER, 10000);
    ck_assert_uint_gt(times_of("/d/a=" A16 A16 A16), 500);
    ck_assert_uint_gt(times_of("/d/a=" B16 B16 B16), 500);
    ck_assert_uint_gt(times_of("/d/a=" A16 A16 A16 " /d/b=b"), 500);
    ck_assert_uint_gt(times_of("/d/a=" B16 B16 B16 " /d/b=b"), 500);
    ck_assert_uint_gt(times_of("/d/a=" A16 B16 A16 " /d/b=b"), 10);
    close_file(f);
    free_fs();
}
END_TEST

/* Else it would be one in thousands. */
START_TEST(one_directory_or_file_apart_from_the_others_is_drawn_often) {
    make_fs(SIMFS_PREFIX, false);
    ck_ok(env->ops->dir_create(env, "e", &err), &err);
    sync_dir("/");
    lam_file *files[4];
    for (int i = 0; i < 4; i++) {
        char path[16];
        snprintf(path, sizeof path, "d/%d", i);
        put(path, A16);
        snprintf(path, sizeof path, "e/%d", i);
        files[i] = create(path);
    }
    for (int i = 0; i < 4; i++)
        close_file(files[i]);
    draw_images(SIMFS_POWER, 5000);
    ck_assert_uint_gt(times_of("/e/0= /e/1= /e/2= /e/3="), 150);
    sync_dir("d");
    sync_dir("e");
    for (int i = 0; i < 4; i++) {
        char path[16];
        snprintf(path, sizeof path, "d/%d", i);
        files[i] = create(path);
        write_at(files[i], 0, B16);
    }
    draw_images(SIMFS_POWER, 5000);
    ck_assert_uint_gt(
        times_of("/d/0=" A16 " /d/1=" A16 " /d/2=" B16 " /d/3=" A16 " /e/0= /e/1= /e/2= /e/3="),
        40);
    ck_assert_uint_gt(
        times_of("/d/0=" B16 " /d/1=" B16 " /d/2=" A16 " /d/3=" B16 " /e/0= /e/1= /e/2= /e/3="),
        40);
    for (int i = 0; i < 4; i++)
        close_file(files[i]);
    free_fs();
}
END_TEST

START_TEST(a_width_past_counting_is_said_to_be_endless) {
    make_fs(SIMFS_SUBSET, false);
    for (int i = 0; i < 20; i++) {
        char path[16];
        snprintf(path, sizeof path, "d/%d", i);
        put(path, "x");
    }
    ck_assert_uint_eq(simfs_crash_width(fs), UINT64_MAX);
    sync_dir("d");
    lam_file *f = create("d/f");
    ck_ok(env_file_allocate(f, 2000, &err), &err);
    sync_file(f);
    sync_dir("d");
    for (int i = 0; i < 100; i++)
        write_at(f, (uint64_t)i * 16, "x");
    ck_assert_uint_eq(simfs_crash_width(fs), UINT64_MAX);
    sync_file(f);
    ck_assert_uint_eq(simfs_crash_width(fs), 1);
    close_file(f);
    free_fs();
}
END_TEST

/* --- the process alone ----------------------------------------------------------------------- */

static struct simfs *dead;
static void die_in_write(void *arg, const struct simfs_event *event) {
    (void)arg;
    if (event->op == SIMFS_WRITE && event->phase == 0 && !dead)
        dead = simfs_die(fs, &choice);
}

/* The next process finds all that was issued, and a power loss takes it yet. */
START_TEST(what_a_dead_process_left_pending_stays_so) {
    make_fs(SIMFS_PREFIX, true);
    put_durable("d/f", A16);
    put("d/named", B16);
    lam_file *f = create("d/f");
    write_at(f, 0, B16);
    simfs_observe(fs, die_in_write, NULL);
    write_at(f, 16, C16);
    simfs_observe(fs, NULL, NULL);
    ck_assert_ptr_nonnull(dead);
    ck_assert_int_eq(memcmp(text_in(dead, "/d/f"), B16 C16, 16), 0);
    ck_assert_str_eq(text_in(dead, "/d/named"), B16);
    ck_assert_uint_eq(simfs_open_handles(dead), 0);
    struct simfs *old = simfs_crash_old(dead);
    ck_assert_str_eq(files_in(old), "/d/f=" A16);
    simfs_free(old);
    old = simfs_crash_old(fs);
    ck_assert_str_eq(files_in(old), "/d/f=" A16);
    simfs_free(old);
    simfs_free(dead);
    close_file(f);
    free_fs();
}
END_TEST

TEST_MAIN(
    "sim/simfs_crash", synced_content_and_name_survive_everything, each_unsynced_unit_is_old_or_new,
    bytes_beside_the_written_ones_are_untouched, a_unit_may_be_torn_at_any_byte_from_either_end,
    size_of_an_append_is_old_new_or_between, a_lost_truncation_gives_back_the_old_bytes,
    bytes_cut_off_and_written_again_are_old_or_new,
    a_version_written_over_before_any_sync_may_come_back,
    a_version_cut_off_before_any_sync_may_come_back,
    a_file_that_was_never_synced_may_be_empty_zeros_or_torn,
    noise_comes_only_past_the_synced_size_in_written_units, without_garbage_there_is_no_noise,
    synced_preallocation_is_zeros_or_what_was_written, a_kill_keeps_everything_issued,
    a_kill_within_a_write_leaves_any_prefix_of_it,
    an_odometer_cuts_a_write_in_flight_at_its_ends_and_middle,
    syncing_a_file_does_not_keep_its_name_nor_a_directory_its_content,
    a_prefix_of_names_is_a_moment_of_the_past,
    a_subset_of_names_may_keep_later_changes_and_lose_earlier_ones,
    a_rename_is_old_or_new_and_never_both_or_none, a_rename_is_lost_with_the_creation_of_its_source,
    a_removal_may_be_durable_before_an_earlier_rename,
    a_name_made_again_is_the_old_file_the_new_one_or_none, directories_lose_names_independently,
    what_is_in_a_directory_without_a_durable_name_is_out_of_reach,
    a_removed_directory_comes_back_or_not, a_second_name_is_lost_alone_and_shows_the_same_bytes,
    a_rename_across_directories_is_atomic, what_was_removed_and_synced_never_comes_back,
    an_image_is_durable_and_its_own, the_oldest_image_is_what_is_durable,
    an_image_is_later_and_counts_its_own_bytes,
    a_clone_has_the_pending_changes_and_goes_its_own_way,
    equal_states_have_equal_hashes_whatever_their_past, every_difference_changes_the_hash,
    images_are_drawn_by_the_choice_alone, simple_images_are_half_of_those_drawn,
    one_directory_or_file_apart_from_the_others_is_drawn_often,
    a_width_past_counting_is_said_to_be_endless, what_a_dead_process_left_pending_stays_so)
