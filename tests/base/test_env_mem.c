/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"
#include "tests/base/env_conformance.h"
#include "tests/support/oom.h"

static lam_env *conformance_env(void) {
    lam_env *made = NULL;
    ck_ok(lam_env_mem_new(&made, &err), &err);
    ck_ok(made->ops->dir_create(made, "/root", &err), &err);
    ck_ok(env_dir_sync(made, "/", &err), &err);
    return made;
}
static const char *conformance_root(void) {
    return "/root";
}

static lam_env *crash(enum lam_crash_mode mode, uint64_t seed) {
    lam_env *image = NULL;
    ck_ok(lam_env_mem_crash(env, mode, seed, &image, &err), &err);
    return image;
}

/* Text of a file as a crash leaves it; static. */
static const char *text_after(enum lam_crash_mode mode, uint64_t seed, const char *name) {
    lam_env *image = crash(mode, seed);
    const char *text = text_in(image, at(name));
    lam_env_mem_free(image);
    return text;
}

static void sync_dir(const char *name) {
    ck_ok(env_dir_sync(env, at(name), &err), &err);
}

static void sync_file(const char *name) {
    lam_file *f = open_file(name, WRITE);
    ck_ok(env_file_sync(f, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
}

START_TEST(process_crash_keeps_everything) {
    conformance_setup();
    write_text("a", "unsynced");
    ck_code(make_dir("d"), LAM_OK);
    ck_code(rename_to("a", "d/b"), LAM_OK);
    ck_code(link_to("d/b", "c"), LAM_OK);
    lam_env *image = crash(LAM_CRASH_PROCESS, 0);
    ck_assert_str_eq(text_in(image, at("d/b")), "unsynced");
    ck_assert_str_eq(text_in(image, at("a")), "<none>");
    /* Still one file with two names, and one the original knows nothing of. */
    lam_file *f = NULL;
    ck_ok(env_file_open(image, at("c"), WRITE, &f, &err), &err);
    ck_ok(env_file_write(f, 0, "UN", 2, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    ck_assert_str_eq(text_in(image, at("d/b")), "UNsynced");
    ck_assert_str_eq(text_of("c"), "unsynced");
    lam_env_mem_free(image);
    lam_env_mem_free(env);
}
END_TEST

START_TEST(power_loss_keeps_just_what_was_synced) {
    conformance_setup();
    write_text("f", "one");
    ck_assert_str_eq(text_after(LAM_CRASH_POWER, 0, "f"), "<none>");
    sync_file("f");
    ck_assert_str_eq(text_after(LAM_CRASH_POWER, 0, "f"), "<none>");
    sync_dir("");
    ck_assert_str_eq(text_after(LAM_CRASH_POWER, 0, "f"), "one");
    lam_file *f = open_file("f", WRITE);
    ck_ok(env_file_write(f, 0, "TWOTWO", 6, &err), &err);
    ck_assert_str_eq(text_after(LAM_CRASH_POWER, 0, "f"), "one");
    ck_ok(env_file_truncate(f, 1, &err), &err);
    ck_assert_str_eq(text_after(LAM_CRASH_POWER, 0, "f"), "one");
    ck_ok(env_file_sync(f, &err), &err);
    ck_assert_str_eq(text_after(LAM_CRASH_POWER, 0, "f"), "T");
    ck_ok(env_file_close(f, &err), &err);
    ck_code(remove_file("f"), LAM_OK);
    ck_assert_str_eq(text_after(LAM_CRASH_POWER, 0, "f"), "T");
    sync_dir("");
    ck_assert_str_eq(text_after(LAM_CRASH_POWER, 0, "f"), "<none>");
    lam_env_mem_free(env);
}
END_TEST

START_TEST(name_without_synced_content_is_an_empty_file) {
    conformance_setup();
    write_text("f", "never synced");
    sync_dir("");
    ck_assert_str_eq(text_after(LAM_CRASH_POWER, 0, "f"), "");
    ck_code(rename_to("f", "g"), LAM_OK);
    sync_dir("");
    ck_assert_str_eq(text_after(LAM_CRASH_POWER, 0, "g"), "");
    ck_assert_str_eq(text_after(LAM_CRASH_POWER, 0, "f"), "<none>");
    lam_env_mem_free(env);
}
END_TEST

START_TEST(directory_needs_its_parent_synced) {
    conformance_setup();
    ck_code(make_dir("d"), LAM_OK);
    ck_ok(env_write_file(env, at("d/f"), lam_slice_str("x"), &err), &err);
    ck_assert_str_eq(text_after(LAM_CRASH_POWER, 0, "d/f"), "<none>");
    sync_dir("");
    ck_assert_str_eq(text_after(LAM_CRASH_POWER, 0, "d/f"), "x");
    ck_ok(env_dir_create_all(env, at("p/q"), &err), &err);
    ck_ok(env_write_file(env, at("p/q/f"), lam_slice_str("y"), &err), &err);
    sync_dir("p");
    ck_assert_str_eq(text_after(LAM_CRASH_POWER, 0, "p/q/f"), "<none>");
    sync_dir("");
    ck_assert_str_eq(text_after(LAM_CRASH_POWER, 0, "p/q/f"), "y");
    lam_env_mem_free(env);
}
END_TEST

/* The pattern of every small durable file: old or new, by the seed, never anything else. */
START_TEST(synced_rename_is_old_or_new) {
    conformance_setup();
    ck_ok(env_write_file(env, at("f"), lam_slice_str("old"), &err), &err);
    write_text("f.tmp", "new");
    sync_file("f.tmp");
    ck_code(rename_to("f.tmp", "f"), LAM_OK);
    unsigned olds = 0, news = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        lam_env *image = crash(LAM_CRASH_POWER_ANY, seed);
        const char *text = text_in(image, at("f"));
        bool is_new = strcmp(text, "new") == 0;
        ck_assert_msg(is_new || strcmp(text, "old") == 0, "seed %u: %s", (unsigned)seed, text);
        enum lam_path_kind kind;
        ck_ok(env_path_kind(image, at("f.tmp"), &kind, &err), &err);
        if (is_new)
            ck_assert_int_eq(kind, LAM_PATH_NONE);
        news += is_new;
        olds += !is_new;
        lam_env_mem_free(image);
    }
    ck_assert_uint_gt(olds, 10);
    ck_assert_uint_gt(news, 10);
    lam_env_mem_free(env);
}
END_TEST

START_TEST(names_are_lost_from_the_newest_back) {
    conformance_setup();
    for (int i = 0; i < 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        write_text(name, "");
    }
    unsigned counts[11] = {0};
    for (uint64_t seed = 0; seed < 500; seed++) {
        lam_env *image = crash(LAM_CRASH_POWER_ANY, seed);
        struct listing l = {.stop_after = 100};
        ck_ok(env_dir_list(image, conformance_root(), note_name, &l, &err), &err);
        ck_assert_uint_le(l.calls, 10);
        ck_assert_uint_eq(l.seen, (1u << l.calls) - 1);
        counts[l.calls]++;
        lam_env_mem_free(image);
    }
    for (int i = 0; i <= 10; i++)
        ck_assert_uint_gt(counts[i], 0);
    lam_env_mem_free(env);
}
END_TEST

enum { UNITS = 8 };

/* Overwrites of synced units, and appended units: each comes out old or new as a whole, the size
 * old, new or between; every combination of one unit and another is met. */
START_TEST(unsynced_units_and_size_are_kept_or_lost) {
    conformance_setup();
    static char old[UNITS * 512], new[2 * UNITS * 512];
    memset(old, 'o', sizeof old);
    memset(new, 'n', sizeof new);
    lam_file *f = open_file("f", WRITE | FRESH);
    ck_ok(env_file_write(f, 0, old, sizeof old, &err), &err);
    ck_ok(env_file_sync(f, &err), &err);
    sync_dir("");
    ck_ok(env_file_write(f, 512, new, sizeof new - 512, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    unsigned pairs[4] = {0}, shorter = 0, between = 0, full = 0, holes = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct buf b = {0};
        lam_env *image = crash(LAM_CRASH_POWER_ANY, seed);
        ck_ok(env_read_file(image, at("f"), 1 << 20, &b, &err), &err);
        lam_env_mem_free(image);
        ck_assert_uint_ge(b.size, sizeof old);
        ck_assert_uint_le(b.size, sizeof new);
        shorter += b.size == sizeof old;
        full += b.size == sizeof new;
        between += b.size > sizeof old && b.size < sizeof new;
        for (size_t i = 0; i < b.size; i++) {
            uint8_t first = b.data[i / 512 * 512];
            bool known = first == 'n' || first == (i < sizeof old ? 'o' : 0);
            if (b.data[i] != first || !known)
                ck_abort_msg("seed %u byte %zu: %02x", (unsigned)seed, i, b.data[i]);
            holes += first == 0;
        }
        ck_assert_uint_eq(b.data[0], 'o');
        pairs[(b.data[512] == 'n') * 2 + (b.data[1024] == 'n')]++;
        buf_fini(&b);
    }
    ck_assert(shorter > 0 && between > 0 && full > 0 && holes > 0);
    for (int i = 0; i < 4; i++)
        ck_assert_uint_gt(pairs[i], 40);
    lam_env_mem_free(env);
}
END_TEST

START_TEST(tail_after_the_synced_size_in_its_unit_may_be_lost) {
    conformance_setup();
    write_text("f", "head");
    sync_file("f");
    sync_dir("");
    lam_file *f = open_file("f", WRITE);
    ck_ok(env_file_write(f, 4, "tail", 4, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    unsigned kept = 0, zeroed = 0, cut = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct buf b = {0};
        lam_env *image = crash(LAM_CRASH_POWER_ANY, seed);
        ck_ok(env_read_file(image, at("f"), 100, &b, &err), &err);
        lam_env_mem_free(image);
        ck_assert_mem_eq(b.data, "head", 4);
        kept += b.size == 8 && memcmp(b.data + 4, "tail", 4) == 0;
        zeroed += b.size == 8 && memcmp(b.data + 4, "\0\0\0\0", 4) == 0;
        cut += b.size == 4;
        buf_fini(&b);
    }
    ck_assert(kept > 10 && zeroed > 10 && cut > 10);
    lam_env_mem_free(env);
}
END_TEST

/* Model: the content at the last sync. Whatever was done since, a power loss brings it back, and
 * POWER_ANY gives in each byte the synced value, the newest or zero. */
START_TEST(synced_content_comes_back_after_any_changes) {
    conformance_setup();
    struct rng rng;
    rng_init(&rng, test_seed("synced_content_comes_back_after_any_changes"));
    enum { MAX = 5000 };
    static uint8_t synced[MAX], now[MAX];
    size_t synced_size = 0, size = 0;
    lam_file *f = open_file("f", WRITE | FRESH);
    sync_dir("");
    for (int round = 0; round < 1500; round++) {
        size_t offset = (size_t)rng_below(&rng, MAX), length = (size_t)rng_below(&rng, 1200);
        if (length > MAX - offset)
            length = MAX - offset;
        switch (rng_below(&rng, 6)) {
        case 0:
            ck_ok(env_file_sync(f, &err), &err);
            memcpy(synced, now, MAX);
            synced_size = size;
            break;
        case 1:
        case 2:
            ck_ok(env_file_truncate(f, offset, &err), &err);
            if (offset < size)
                memset(now + offset, 0, size - offset);
            size = offset;
            break;
        default:
            memset(now + offset, (int)(1 + rng_below(&rng, 255)), length);
            ck_ok(env_file_write(f, offset, now + offset, length, &err), &err);
            if (length > 0 && offset + length > size)
                size = offset + length;
        }
        struct buf b = {0};
        lam_env *image = crash(LAM_CRASH_POWER, 0);
        ck_ok(env_read_file(image, at("f"), MAX, &b, &err), &err);
        lam_env_mem_free(image);
        ck_assert_uint_eq(b.size, synced_size);
        ck_assert(synced_size == 0 || memcmp(b.data, synced, synced_size) == 0);
        buf_reset(&b);
        image = crash(LAM_CRASH_POWER_ANY, rng_next(&rng));
        ck_ok(env_read_file(image, at("f"), MAX, &b, &err), &err);
        lam_env_mem_free(image);
        for (size_t i = 0; i < b.size; i++) {
            uint8_t before = i < synced_size ? synced[i] : 0;
            uint8_t after = i < size ? now[i] : 0;
            if (b.data[i] != before && b.data[i] != after)
                ck_abort_msg("round %d byte %zu: %02x", round, i, b.data[i]);
        }
        buf_fini(&b);
    }
    ck_ok(env_file_close(f, &err), &err);
    lam_env_mem_free(env);
}
END_TEST

START_TEST(image_is_as_durable_as_a_disk_after_a_reboot) {
    conformance_setup();
    write_text("f", "text");
    lam_env *first = crash(LAM_CRASH_PROCESS, 0);
    lam_env *second = NULL;
    ck_ok(lam_env_mem_crash(first, LAM_CRASH_POWER, 0, &second, &err), &err);
    lam_env_mem_free(first);
    ck_assert_str_eq(text_in(second, at("f")), "text");
    lam_env_mem_free(second);
    lam_env_mem_free(env);
}
END_TEST

START_TEST(image_holds_no_locks_and_outlives_the_original) {
    conformance_setup();
    lam_file_lock *lock = NULL, *again = NULL;
    ck_ok(env->ops->file_lock(env, at("L"), &lock, &err), &err);
    lam_env *image = crash(LAM_CRASH_PROCESS, 0);
    ck_ok(image->ops->file_lock(image, at("L"), &again, &err), &err);
    env->ops->file_unlock(lock);
    lam_env_mem_free(env);
    image->ops->file_unlock(again);
    ck_assert_str_eq(text_in(image, at("L")), "");
    lam_env_mem_free(image);
}
END_TEST

/* A removal that a crash keeps must not take along what a later name brings back. */
START_TEST(random_name_changes_crash_to_consistent_trees) {
    struct rng rng;
    rng_init(&rng, test_seed("random_name_changes_crash_to_consistent_trees"));
    static const char *const names[] = {"a", "b", "d/a", "d/b", "e/a", "e/b"};
    for (int round = 0; round < 60; round++) {
        conformance_setup();
        ck_code(make_dir("d"), LAM_OK);
        ck_code(make_dir("e"), LAM_OK);
        sync_dir("");
        for (int step = 0; step < 30; step++) {
            const char *from = names[rng_below(&rng, 6)], *to = names[rng_below(&rng, 6)];
            switch (rng_below(&rng, 6)) {
            case 0:
                IGNORE(remove_file(from), "it may be missing");
                break;
            case 1:
                IGNORE(link_to(from, to), "either may be in the way");
                break;
            case 2:
                IGNORE(rename_to(from, to), "it may be missing");
                break;
            case 3:
                sync_dir(rng_below(&rng, 2) ? "d" : "e");
                break;
            default:
                write_text(from, from);
            }
            lam_env *image = crash(LAM_CRASH_POWER_ANY, rng_next(&rng));
            for (size_t i = 0; i < 6; i++)
                ck_assert_uint_le(strlen(text_in(image, at(names[i]))), 6);
            lam_env_mem_free(image);
        }
        lam_env_mem_free(env);
    }
}
END_TEST

START_TEST(paths_are_one_tree_however_written) {
    conformance_setup();
    write_text("f", "x");
    ck_assert_str_eq(text_in(env, "root/f"), "x");
    ck_assert_str_eq(text_in(env, "//root/./f"), "x");
    enum lam_path_kind kind;
    ck_ok(env_path_kind(env, ".", &kind, &err), &err);
    ck_assert_int_eq(kind, LAM_PATH_DIRECTORY);
    ck_code(env_path_kind(env, "/root/../root", &kind, &err), LAM_UNSUPPORTED);
    ck_ok(env_path_kind(env, "/root/..f", &kind, &err), &err);
    ck_assert_int_eq(kind, LAM_PATH_NONE);
    lam_env_mem_free(env);
}
END_TEST

START_TEST(mutating_operations_are_counted) {
    conformance_setup();
    uint64_t before = env_mem_op_count(env);
    lam_file *f = open_file("f", WRITE | FRESH);
    ck_ok(env_file_write(f, 0, "x", 1, &err), &err);
    ck_ok(env_file_sync(f, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    ck_code(rename_to("f", "g"), LAM_OK);
    sync_dir("");
    ck_assert_uint_eq(env_mem_op_count(env) - before, 5);
    ck_assert_str_eq(text_of("g"), "x");
    ck_assert_int_eq(kind_of("f"), LAM_PATH_NONE);
    ck_assert_uint_eq(env_mem_op_count(env) - before, 5);
    lam_env_mem_free(env);
}
END_TEST

/* Every allocation of a run of operations fails once: no leak (asan), and what failed can be done
 * again. */
START_TEST(out_of_memory_leaves_a_tree_that_works) {
    for (size_t nth = 1; nth < 200; nth++) {
        conformance_setup();
        write_text("a", "a");
        lam_file *f = NULL;
        lam_env *image = NULL;
        oom_arm(nth);
        enum lam_code made = make_dir("d");
        enum lam_code moved = rename_to("a", "b");
        enum lam_code opened = env_file_open(env, at("d/f"), WRITE | CREATE, &f, &err);
        enum lam_code written = opened == LAM_OK ? env_file_write(f, 0, "text", 4, &err) : opened;
        enum lam_code crashed = lam_env_mem_crash(env, LAM_CRASH_PROCESS, 0, &image, &err);
        bool failed = oom.seen >= nth;
        oom_arm(0);
        ck_assert(failed || (made == LAM_OK && moved == LAM_OK && written == LAM_OK));
        ck_assert_str_eq(text_of(moved == LAM_OK ? "b" : "a"), "a");
        if (made != LAM_OK)
            ck_code(make_dir("d"), LAM_OK);
        if (opened == LAM_OK)
            ck_ok(env_file_close(f, &err), &err);
        write_text("d/f", "again");
        ck_assert_str_eq(text_of("d/f"), "again");
        if (crashed == LAM_OK)
            lam_env_mem_free(image);
        lam_env_mem_free(env);
        if (!failed)
            return;
    }
    ck_abort_msg("still failing after 200 allocations");
}
END_TEST

static void churn(void *arg) {
    const char *name = arg;
    struct lam_error own;
    for (int i = 0; i < 300; i++)
        ck_ok(env_write_file(env, name, lam_slice_str(name), &own), &own);
}

START_TEST(crashing_an_environment_in_use_is_safe) {
    conformance_setup();
    static char a[] = "/root/aaa", b[] = "/root/bbb";
    struct thread threads[2];
    ck_ok(thread_start(&threads[0], churn, a, &err), &err);
    ck_ok(thread_start(&threads[1], churn, b, &err), &err);
    for (uint64_t seed = 0; seed < 100; seed++) {
        lam_env *image = crash(LAM_CRASH_POWER_ANY, seed);
        const char *text = text_in(image, a);
        ck_assert_msg(strcmp(text, a) == 0 || strcmp(text, "<none>") == 0, "%s", text);
        lam_env_mem_free(image);
    }
    thread_join(&threads[0]);
    thread_join(&threads[1]);
    lam_env_mem_free(env);
}
END_TEST

TEST_MAIN("base/env_mem", CONFORMANCE_TESTS, process_crash_keeps_everything,
          power_loss_keeps_just_what_was_synced, name_without_synced_content_is_an_empty_file,
          directory_needs_its_parent_synced, synced_rename_is_old_or_new,
          names_are_lost_from_the_newest_back, unsynced_units_and_size_are_kept_or_lost,
          tail_after_the_synced_size_in_its_unit_may_be_lost,
          synced_content_comes_back_after_any_changes, image_is_as_durable_as_a_disk_after_a_reboot,
          image_holds_no_locks_and_outlives_the_original,
          random_name_changes_crash_to_consistent_trees, paths_are_one_tree_however_written,
          mutating_operations_are_counted, out_of_memory_leaves_a_tree_that_works,
          crashing_an_environment_in_use_is_safe)
