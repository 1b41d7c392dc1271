/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated environment outside of crashes: the conformance tests of every environment, faults,
 * the observer, time, tasks, locks and the audit. */
#include "base/thread.h"
#include "tests/base/env_conformance.h"
#include "tests/sim/sched.h"
#include "tests/sim/simfs.h"

static struct choice choice;
static struct simfs *fs;

static lam_env *conformance_env(void) {
    choice_seed(&choice, 1);
    fs = simfs_new(&(struct simfs_options){.granule = 64}, &choice);
    ck_ok(env_dir_create_all(simfs_env(fs), "/root", &err), &err);
    ck_ok(env_dir_sync(simfs_env(fs), "/", &err), &err);
    return simfs_env(fs);
}

static const char *conformance_root(void) {
    return "/root";
}

static void free_fs(void) {
    ck_assert_uint_eq(simfs_open_handles(fs), 0);
    simfs_free(fs);
    choice_fini(&choice);
}

static void arm(unsigned slot, unsigned ops, uint64_t nth, bool sticky, enum simfs_effect effect,
                enum lam_code code) {
    simfs_arm(fs, slot,
              &(struct simfs_fault){
                  .ops = ops, .nth = nth, .sticky = sticky, .effect = effect, .code = code});
}

static enum lam_code write_code(lam_file *f, uint64_t offset, const char *text) {
    return env_file_write(f, offset, text, strlen(text), &err);
}

static void write_ok(lam_file *f, uint64_t offset, const char *text) {
    ck_ok(write_code(f, offset, text), &err);
}

/* What of "root/f" a power loss at its simplest leaves. */
static const char *durable_text(const char *name) {
    struct simfs *old = simfs_crash_old(fs);
    const char *text = text_in(simfs_env(old), at(name));
    simfs_free(old);
    return text;
}

static void put_durable(const char *name, const char *text) {
    write_text(name, text);
    lam_file *f = open_file(name, WRITE);
    ck_ok(env_file_sync(f, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    ck_ok(env_dir_sync(env, at(""), &err), &err);
}

/* --- faults ---------------------------------------------------------------------------------- */

START_TEST(a_fault_hits_the_nth_matching_operation) {
    conformance_setup();
    lam_file *f = open_file("f", WRITE | CREATE), *g = open_file("g", WRITE | CREATE);
    simfs_arm(
        fs, 2,
        &(struct simfs_fault){.ops = SIMFS_WRITE, .pattern = "/f", .nth = 2, .code = LAM_NO_SPACE});
    ck_code(write_code(f, 0, "a"), LAM_OK);
    ck_code(write_code(g, 0, "a"), LAM_OK);
    ck_code(env_file_sync(f, &err), LAM_OK);
    ck_assert_uint_eq(simfs_seen(fs, 2), 1);
    ck_code(write_code(f, 1, "b"), LAM_NO_SPACE);
    ck_contains(err.message, "root/f");
    ck_code(write_code(f, 1, "c"), LAM_OK);
    ck_assert_uint_eq(simfs_seen(fs, 2), 3);
    ck_assert_uint_eq(simfs_fired(fs, 2), 1);
    ck_assert_str_eq(text_of("f"), "ac");
    simfs_disarm(fs);
    ck_assert_uint_eq(simfs_fired(fs, 2), 1);
    ck_ok(env_file_close(f, &err), &err);
    ck_ok(env_file_close(g, &err), &err);
    free_fs();
}
END_TEST

START_TEST(a_sticky_fault_hits_all_that_follow) {
    conformance_setup();
    lam_file *f = open_file("f", WRITE | CREATE);
    arm(0, SIMFS_WRITE | SIMFS_SYNC, 2, true, SIMFS_FAIL, LAM_IO);
    ck_code(write_code(f, 0, "a"), LAM_OK);
    ck_code(write_code(f, 1, "b"), LAM_IO);
    ck_code(env_file_sync(f, &err), LAM_IO);
    ck_code(write_code(f, 1, "b"), LAM_IO);
    ck_assert_uint_eq(simfs_fired(fs, 0), 3);
    simfs_disarm(fs);
    ck_code(write_code(f, 1, "b"), LAM_OK);
    ck_assert_str_eq(text_of("f"), "ab");
    ck_ok(env_file_close(f, &err), &err);
    free_fs();
}
END_TEST

START_TEST(an_unarmed_fault_only_counts_and_the_first_that_fires_decides) {
    conformance_setup();
    lam_file *f = open_file("f", WRITE | CREATE);
    arm(0, SIMFS_ALL, 0, true, SIMFS_FAIL, LAM_IO);
    arm(1, SIMFS_WRITE, 1, false, SIMFS_FAIL, LAM_NO_SPACE);
    arm(2, SIMFS_WRITE, 1, true, SIMFS_FAIL, LAM_BUSY);
    ck_code(write_code(f, 0, "a"), LAM_NO_SPACE);
    ck_code(write_code(f, 0, "a"), LAM_BUSY);
    ck_assert_uint_eq(simfs_seen(fs, 0), 2);
    ck_assert_uint_eq(simfs_fired(fs, 0), 0);
    ck_assert_uint_eq(simfs_fired(fs, 1), 1);
    ck_assert_uint_eq(simfs_fired(fs, 2), 2);
    simfs_disarm(fs);
    ck_ok(env_file_close(f, &err), &err);
    free_fs();
}
END_TEST

/* One of each operation on files "f" and "g" and directory "d"; the first that fails is told. */
static enum lam_code do_one_of(enum simfs_op op, lam_file *f) {
    lam_file *opened = NULL;
    char data[4];
    size_t got;
    enum lam_path_kind kind;
    enum lam_code rc = LAM_OK;
    switch ((unsigned)op) {
    case SIMFS_OPEN:
        rc = env_file_open(env, at("g"), READ, &opened, &err);
        break;
    case SIMFS_CREATE:
        rc = env_file_open(env, at("new"), WRITE | CREATE, &opened, &err);
        break;
    case SIMFS_READ:
        return env_file_read(f, 0, data, sizeof data, &got, &err);
    case SIMFS_WRITE:
        return write_code(f, 0, "zz");
    case SIMFS_SYNC:
        return env_file_sync(f, &err);
    case SIMFS_TRUNCATE:
        return env_file_truncate(f, 1, &err);
    case SIMFS_RENAME:
        return rename_to("g", "moved");
    case SIMFS_REMOVE:
        return remove_file("g");
    case SIMFS_DIR_CREATE:
        return make_dir("made");
    case SIMFS_DIR_SYNC:
        return env_dir_sync(env, at(""), &err);
    case SIMFS_LOOK:
        return env_path_kind(env, at("g"), &kind, &err);
    default:
        ck_abort_msg("operation %u", op);
    }
    if (rc == LAM_OK)
        ck_ok(env_file_close(opened, &err), &err);
    return rc;
}

START_TEST(every_operation_can_fail_and_then_does_nothing) {
    for (unsigned op = SIMFS_OPEN; op <= SIMFS_LOOK; op <<= 1) {
        conformance_setup();
        put_durable("g", "g");
        lam_file *f = open_file("f", WRITE | CREATE);
        write_ok(f, 0, "text");
        uint64_t before = simfs_hash(fs);
        arm(0, op, 1, false, SIMFS_FAIL, LAM_NO_SPACE);
        ck_code(do_one_of((enum simfs_op)op, f), LAM_NO_SPACE);
        ck_assert_uint_eq(simfs_hash(fs), before);
        ck_assert_uint_eq(simfs_open_handles(fs), 1);
        ck_assert_str_eq(durable_text("f"), "<none>");
        simfs_disarm(fs);
        ck_ok(env_file_close(f, &err), &err);
        free_fs();
    }
}
END_TEST

START_TEST(every_operation_can_be_done_and_fail) {
    for (unsigned op = SIMFS_OPEN; op <= SIMFS_LOOK; op <<= 1) {
        conformance_setup();
        put_durable("g", "g");
        lam_file *f = open_file("f", WRITE | CREATE);
        write_ok(f, 0, "text");
        struct simfs *clone = simfs_clone(fs);
        uint64_t before = simfs_hash(fs), width = simfs_crash_width(fs);
        arm(0, op, 1, false, SIMFS_FAIL_DONE, LAM_IO);
        ck_code(do_one_of((enum simfs_op)op, f), LAM_IO);
        bool changes = (op & SIMFS_MUTATE) != 0;
        ck_assert((simfs_hash(fs) != before || simfs_crash_width(fs) != width) == changes);
        ck_assert_uint_eq(simfs_open_handles(fs), 1);
        simfs_disarm(fs);
        ck_ok(env_file_close(f, &err), &err);
        simfs_free(clone);
        free_fs();
    }
}
END_TEST

START_TEST(every_mutation_can_be_skipped_and_succeed) {
    for (unsigned op = SIMFS_CREATE; op <= SIMFS_DIR_SYNC; op <<= 1) {
        conformance_setup();
        put_durable("g", "g");
        lam_file *f = open_file("f", WRITE | CREATE);
        write_ok(f, 0, "text");
        uint64_t before = simfs_hash(fs), width = simfs_crash_width(fs);
        arm(0, op, 1, false, SIMFS_SKIP, LAM_IO);
        ck_code(do_one_of((enum simfs_op)op, f), LAM_OK);
        ck_assert_uint_eq(simfs_fired(fs, 0), 1);
        ck_assert_uint_eq(simfs_hash(fs), before);
        ck_assert_uint_eq(simfs_crash_width(fs), width);
        simfs_disarm(fs);
        ck_ok(env_file_close(f, &err), &err);
        free_fs();
    }
}
END_TEST

START_TEST(a_close_that_fails_closes) {
    conformance_setup();
    lam_file *f = open_file("f", WRITE | CREATE);
    arm(0, SIMFS_CLOSE, 1, false, SIMFS_FAIL, LAM_IO);
    ck_code(env_file_close(f, &err), LAM_IO);
    free_fs();
}
END_TEST

START_TEST(a_short_write_leaves_a_prefix_and_fails) {
    bool seen[5] = {0};
    for (int i = 0; i < 100; i++) {
        conformance_setup();
        choice_seed(&choice, (uint64_t)i);
        lam_file *f = open_file("f", WRITE | CREATE);
        arm(0, SIMFS_WRITE, 1, false, SIMFS_SHORT, LAM_NO_SPACE);
        ck_code(write_code(f, 0, "abcd"), LAM_NO_SPACE);
        const char *text = text_of("f");
        ck_assert_uint_lt(strlen(text), 4);
        ck_assert_mem_eq(text, "abcd", strlen(text));
        seen[strlen(text)] = true;
        ck_ok(env_file_close(f, &err), &err);
        free_fs();
    }
    for (int i = 0; i < 4; i++)
        ck_assert(seen[i]);
}
END_TEST

START_TEST(a_short_read_looks_like_a_shorter_file) {
    conformance_setup();
    write_text("f", "abcdefgh");
    lam_file *f = open_file("f", READ);
    char data[8];
    size_t got;
    for (int i = 0; i < 100; i++) {
        arm(0, SIMFS_READ, 1, false, SIMFS_SHORT, LAM_IO);
        ck_ok(env_file_read(f, 0, data, sizeof data, &got, &err), &err);
        ck_assert_uint_lt(got, 8);
        ck_assert_mem_eq(data, "abcdefgh", got);
    }
    simfs_disarm(fs);
    ck_ok(env_file_read(f, 0, data, sizeof data, &got, &err), &err);
    ck_assert_uint_eq(got, 8);
    ck_ok(env_file_close(f, &err), &err);
    free_fs();
}
END_TEST

START_TEST(a_flip_changes_one_bit_of_what_is_read_and_not_of_the_disk) {
    conformance_setup();
    write_text("f", "abcdefgh");
    lam_file *f = open_file("f", READ);
    char data[8];
    size_t got;
    unsigned places = 0;
    for (int i = 0; i < 500; i++) {
        arm(0, SIMFS_READ, 1, false, SIMFS_FLIP, LAM_IO);
        ck_ok(env_file_read(f, 0, data, sizeof data, &got, &err), &err);
        ck_assert_uint_eq(got, 8);
        unsigned bits = 0;
        for (int j = 0; j < 8; j++) {
            int changed = __builtin_popcount((uint8_t)(data[j] ^ "abcdefgh"[j]));
            bits += (unsigned)changed;
            places |= changed ? 1u << j : 0;
        }
        ck_assert_uint_eq(bits, 1);
        ck_assert_str_eq(text_of("f"), "abcdefgh");
    }
    ck_assert_uint_eq(places, 255);
    ck_ok(env_file_close(f, &err), &err);
    free_fs();
}
END_TEST

/* Two files of 2 KB and a third of another kind; each 512 bytes have a letter of their own. */
static void make_lettered(const char *name, char first) {
    char text[2049];
    for (int i = 0; i < 2048; i++)
        text[i] = (char)(first + i / 512);
    text[2048] = '\0';
    write_text(name, text);
}

START_TEST(a_misdirected_read_gives_another_place_or_another_file_of_its_kind) {
    conformance_setup();
    make_lettered("1.sst", 'a');
    make_lettered("2.sst", 'i');
    make_lettered("3.log", 'x');
    lam_file *f = open_file("1.sst", READ);
    char data[512];
    size_t got;
    bool seen[128] = {0};
    for (int i = 0; i < 300; i++) {
        arm(0, SIMFS_READ, 1, false, SIMFS_MISDIRECT, LAM_IO);
        ck_ok(env_file_read(f, 512, data, sizeof data, &got, &err), &err);
        ck_assert_uint_eq(got, sizeof data);
        for (int j = 1; j < 512; j++)
            ck_assert_int_eq(data[j], data[0]);
        seen[(unsigned char)data[0]] = true;
    }
    for (int letter = 'a'; letter <= 'z'; letter++)
        ck_assert_int_eq(seen[letter],
                         letter == 'a' || letter == 'c' || letter == 'd' || letter == 'j');
    ck_ok(env_file_close(f, &err), &err);
    free_fs();
}
END_TEST

START_TEST(a_misdirected_write_hits_another_place_and_not_its_own) {
    for (int i = 0; i < 100; i++) {
        conformance_setup();
        choice_seed(&choice, (uint64_t)i);
        make_lettered("1.sst", 'a');
        make_lettered("2.sst", 'i');
        make_lettered("3.log", 'x');
        lam_file *f = open_file("1.sst", WRITE);
        uint64_t before = simfs_hash(fs);
        arm(0, SIMFS_WRITE, 1, false, SIMFS_MISDIRECT, LAM_IO);
        ck_code(write_code(f, 512, "!"), LAM_OK);
        simfs_disarm(fs);
        ck_assert_uint_ne(simfs_hash(fs), before);
        ck_assert_int_eq(text_of("1.sst")[512], 'b');
        ck_assert_ptr_null(strchr(text_of("3.log"), '!'));
        ck_ok(env_file_close(f, &err), &err);
        free_fs();
    }
}
END_TEST

START_TEST(after_a_failed_ext4_sync_memory_has_what_the_disk_never_gets) {
    conformance_setup();
    put_durable("f", "old old old old ");
    lam_file *f = open_file("f", WRITE);
    write_ok(f, 0, "new");
    arm(0, SIMFS_SYNC, 1, false, SIMFS_FSYNC_EXT4, LAM_IO);
    ck_code(env_file_sync(f, &err), LAM_IO);
    ck_assert_str_eq(text_of("f"), "new old old old ");
    ck_assert_str_eq(durable_text("f"), "old old old old ");
    ck_assert_uint_eq(simfs_crash_width(fs), 1);
    /* Later syncs succeed and write only what changed since; unit of 64 bytes. */
    write_ok(f, 100, "more");
    ck_code(env_file_sync(f, &err), LAM_OK);
    const char *disk = durable_text("f");
    ck_assert_mem_eq(disk, "old old old old ", 16);
    ck_assert_mem_eq(disk + 100, "more", 4);
    ck_assert_mem_eq(text_of("f"), "new old", 7);
    /* A unit that is written again goes to the disk as a whole. */
    write_ok(f, 8, "OLD");
    ck_code(env_file_sync(f, &err), LAM_OK);
    ck_assert_mem_eq(durable_text("f"), "new old OLD", 11);
    /* A kill leaves what is in memory. */
    struct simfs *image = simfs_crash(fs, SIMFS_KILL, &choice);
    ck_assert_uint_eq(simfs_hash(image), simfs_hash(fs));
    simfs_free(image);
    ck_ok(env_file_close(f, &err), &err);
    free_fs();
}
END_TEST

START_TEST(after_a_failed_btrfs_sync_memory_is_old_too) {
    conformance_setup();
    put_durable("f", "old");
    lam_file *f = open_file("f", WRITE);
    write_ok(f, 0, "new and longer");
    arm(0, SIMFS_SYNC, 1, false, SIMFS_FSYNC_BTRFS, LAM_IO);
    ck_code(env_file_sync(f, &err), LAM_IO);
    ck_assert_str_eq(text_of("f"), "old");
    ck_assert_uint_eq(simfs_used(fs), 3);
    ck_assert_str_eq(durable_text("f"), "old");
    ck_assert_uint_eq(simfs_crash_width(fs), 1);
    ck_ok(env_file_close(f, &err), &err);
    free_fs();
}
END_TEST

START_TEST(a_sync_that_fails_plainly_may_have_kept_anything) {
    conformance_setup();
    put_durable("f", "old");
    lam_file *f = open_file("f", WRITE);
    write_ok(f, 0, "new");
    arm(0, SIMFS_SYNC, 1, false, SIMFS_FAIL, LAM_IO);
    ck_code(env_file_sync(f, &err), LAM_IO);
    ck_assert_uint_eq(simfs_crash_width(fs), 2);
    ck_assert_str_eq(text_of("f"), "new");
    ck_ok(env_file_close(f, &err), &err);
    free_fs();
}
END_TEST

/* --- quota ----------------------------------------------------------------------------------- */

START_TEST(a_full_disk_takes_what_fits_or_less) {
    bool seen[7] = {0};
    for (int i = 0; i < 100; i++) {
        conformance_setup();
        choice_seed(&choice, (uint64_t)i);
        write_text("g", "1234");
        simfs_set_quota(fs, 10);
        lam_file *f = open_file("f", WRITE | CREATE);
        ck_code(write_code(f, 0, "abcdefg"), LAM_NO_SPACE);
        const char *text = text_of("f");
        ck_assert_uint_le(strlen(text), 6);
        ck_assert_mem_eq(text, "abcdefg", strlen(text));
        seen[strlen(text)] = true;
        ck_assert_uint_eq(simfs_used(fs), 4 + strlen(text));
        ck_ok(env_file_close(f, &err), &err);
        free_fs();
    }
    ck_assert(seen[0] && seen[6] && (seen[2] || seen[3] || seen[4]));
}
END_TEST

START_TEST(a_full_disk_takes_overwrites_removals_and_then_more) {
    conformance_setup();
    write_text("g", "12345678");
    simfs_set_quota(fs, 10);
    lam_file *f = open_file("f", WRITE | CREATE), *g = open_file("g", WRITE);
    ck_code(write_code(f, 0, "ab"), LAM_OK);
    ck_code(write_code(f, 0, "AB"), LAM_OK);
    ck_code(env_file_allocate(f, 3, &err), LAM_NO_SPACE);
    ck_code(env_file_truncate(f, 3, &err), LAM_NO_SPACE);
    ck_assert_str_eq(text_of("f"), "AB");
    /* A removed file takes room until it is closed. */
    ck_code(remove_file("g"), LAM_OK);
    ck_code(env_file_allocate(f, 3, &err), LAM_NO_SPACE);
    ck_ok(env_file_close(g, &err), &err);
    ck_assert_uint_eq(simfs_used(fs), 2);
    ck_code(env_file_allocate(f, 10, &err), LAM_OK);
    ck_code(write_code(f, 10, "x"), LAM_NO_SPACE);
    simfs_set_quota(fs, 11);
    ck_code(write_code(f, 10, "x"), LAM_OK);
    ck_code(env_file_truncate(f, 1, &err), LAM_OK);
    ck_assert_uint_eq(simfs_used(fs), 1);
    ck_ok(env_file_close(f, &err), &err);
    free_fs();
}
END_TEST

/* --- observer, freeze, trace ----------------------------------------------------------------- */

struct seen {
    unsigned count;
    struct simfs_event events[64];
    uint64_t hashes[64];
    uint64_t freeze_at;
};

static void note_event(void *arg, const struct simfs_event *event) {
    struct seen *seen = arg;
    ck_assert_uint_lt(seen->count, 64);
    seen->hashes[seen->count] = simfs_hash(fs);
    seen->events[seen->count++] = *event;
    if (event->phase == 0 && event->number == seen->freeze_at)
        simfs_freeze(fs);
}

START_TEST(the_observer_sees_each_mutation_before_and_after) {
    conformance_setup();
    static struct seen seen;
    simfs_observe(fs, note_event, &seen);
    lam_file *f = open_file("f", WRITE | CREATE);
    write_ok(f, 3, "text");
    char byte;
    size_t got;
    ck_ok(env_file_read(f, 3, &byte, 1, &got, &err), &err);
    ck_ok(env_file_sync(f, &err), &err);
    ck_code(rename_to("f", "g"), LAM_OK);
    ck_code(remove_file("none"), LAM_NOT_FOUND);
    ck_ok(env_file_close(f, &err), &err);
    simfs_observe(fs, NULL, NULL);
    static const enum simfs_op ops[] = {SIMFS_CREATE, SIMFS_WRITE, SIMFS_SYNC, SIMFS_RENAME,
                                        SIMFS_REMOVE};
    ck_assert_uint_eq(seen.count, 10);
    uint64_t first = seen.events[0].number;
    for (unsigned i = 0; i < 10; i++) {
        ck_assert_int_eq(seen.events[i].op, ops[i / 2]);
        ck_assert_uint_eq(seen.events[i].phase, i % 2);
        ck_assert_uint_eq(seen.events[i].number, first + i / 2);
    }
    ck_assert_uint_ne(seen.hashes[0], seen.hashes[1]);
    ck_assert_uint_eq(seen.hashes[1], seen.hashes[2]);
    ck_assert_uint_ne(seen.hashes[2], seen.hashes[3]);
    ck_assert_uint_eq(seen.events[2].offset, 3);
    ck_assert_uint_eq(seen.events[2].size, 4);
    ck_assert_str_eq(seen.events[6].to, "/root/g");
    ck_assert_int_eq(seen.events[9].result, LAM_NOT_FOUND);
    ck_assert_int_eq(seen.events[7].result, LAM_OK);
    free_fs();
}
END_TEST

START_TEST(a_frozen_process_reaches_nothing_more) {
    conformance_setup();
    lam_file *f = open_file("f", WRITE | CREATE);
    lam_file_lock *lock = NULL;
    ck_ok(env->ops->file_lock(env, at("L"), &lock, &err), &err);
    write_ok(f, 0, "kept");
    uint64_t before = simfs_hash(fs);
    simfs_freeze(fs);
    for (unsigned op = SIMFS_OPEN; op <= SIMFS_LOOK; op <<= 1)
        ck_code(do_one_of((enum simfs_op)op, f), LAM_IO);
    ck_code(env_submit(env, LAM_LANE_DUMP, 0, NULL, NULL, &err), LAM_IO);
    ck_assert_uint_eq(simfs_hash(fs), before);
    ck_assert_ptr_null(simfs_violation(fs));
    env->ops->cancel(env, NULL);
    env->ops->file_unlock(lock);
    ck_ok(env_file_close(f, &err), &err);
    free_fs();
}
END_TEST

START_TEST(an_observer_that_freezes_stops_the_operation_it_sees) {
    conformance_setup();
    static struct seen seen;
    lam_file *f = open_file("f", WRITE | CREATE);
    simfs_observe(fs, note_event, &seen);
    write_ok(f, 0, "a");
    seen.freeze_at = seen.events[0].number + 1;
    ck_code(write_code(f, 1, "b"), LAM_IO);
    ck_code(write_code(f, 1, "b"), LAM_IO);
    ck_assert_uint_eq(seen.count, 3);
    struct simfs *image = simfs_crash(fs, SIMFS_KILL, &choice);
    ck_assert_str_eq(text_in(simfs_env(image), at("f")), "a");
    simfs_free(image);
    ck_ok(env_file_close(f, &err), &err);
    free_fs();
}
END_TEST

START_TEST(an_abandoned_file_system_goes_with_open_files_and_locks) {
    conformance_setup();
    open_file("f", WRITE | CREATE);
    lam_file_lock *lock = NULL;
    ck_ok(env->ops->file_lock(env, at("L"), &lock, &err), &err);
    ck_assert_uint_eq(simfs_open_handles(fs), 2);
    struct simfs *image = simfs_crash(fs, SIMFS_KILL, &choice);
    lam_file_lock *again = NULL;
    ck_ok(simfs_env(image)->ops->file_lock(simfs_env(image), at("L"), &again, &err), &err);
    simfs_env(image)->ops->file_unlock(again);
    simfs_free(image);
    env->ops->file_unlock(lock);
    simfs_abandon(fs);
    simfs_free(fs);
}
END_TEST

static uint64_t trace_of(uint64_t seed, const char *name, const char *text) {
    choice_seed(&choice, seed);
    fs = simfs_new(&(struct simfs_options){.quota = 20}, &choice);
    env = simfs_env(fs);
    ck_ok(env->ops->dir_create(env, "root", &err), &err);
    lam_file *f = open_file(name, WRITE | CREATE);
    for (int i = 0; i < 10; i++)
        IGNORE(env_file_write(f, (uint64_t)i * 3, text, strlen(text), &err), "it may not fit");
    arm(0, SIMFS_READ, 1, true, SIMFS_SHORT, LAM_IO);
    char data[8];
    size_t got;
    ck_ok(env_file_read(f, 0, data, sizeof data, &got, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    uint64_t trace = simfs_trace(fs);
    free_fs();
    return trace;
}

START_TEST(one_seed_gives_one_trace) {
    ck_assert_uint_eq(trace_of(1, "f", "abcd"), trace_of(1, "f", "abcd"));
    ck_assert_uint_ne(trace_of(1, "f", "abcd"), trace_of(1, "f", "abce"));
    ck_assert_uint_ne(trace_of(1, "f", "abcd"), trace_of(1, "g", "abcd"));
    bool differs = false;
    for (uint64_t seed = 2; seed < 20; seed++)
        differs |= trace_of(1, "f", "abcd") != trace_of(seed, "f", "abcd");
    ck_assert(differs);
}
END_TEST

/* --- audit ----------------------------------------------------------------------------------- */

START_TEST(a_sync_after_a_failed_sync_is_a_violation) {
    conformance_setup();
    lam_file *f = open_file("f", WRITE | CREATE), *other = open_file("f", WRITE);
    write_ok(f, 0, "a");
    arm(0, SIMFS_SYNC, 1, false, SIMFS_FAIL, LAM_IO);
    ck_code(env_file_sync(f, &err), LAM_IO);
    ck_assert_ptr_null(simfs_violation(fs));
    ck_code(env_file_sync(other, &err), LAM_OK);
    ck_contains(simfs_violation(fs), "root/f");
    ck_ok(env_file_close(f, &err), &err);
    ck_ok(env_file_close(other, &err), &err);
    free_fs();
}
END_TEST

START_TEST(a_file_opened_anew_after_a_failed_sync_may_be_synced) {
    conformance_setup();
    lam_file *f = open_file("f", WRITE | CREATE);
    write_ok(f, 0, "a");
    arm(0, SIMFS_SYNC, 1, false, SIMFS_FAIL_DONE, LAM_IO);
    ck_code(env_file_sync(f, &err), LAM_IO);
    ck_ok(env_file_close(f, &err), &err);
    f = open_file("f", WRITE);
    ck_code(env_file_sync(f, &err), LAM_OK);
    ck_assert_ptr_null(simfs_violation(fs));
    ck_ok(env_file_close(f, &err), &err);
    free_fs();
}
END_TEST

START_TEST(use_of_a_closed_file_is_a_violation) {
    conformance_setup();
    write_text("f", "text");
    lam_file *f = open_file("f", WRITE);
    ck_ok(env_file_close(f, &err), &err);
    ck_code(write_code(f, 0, "x"), LAM_INVALID);
    ck_contains(simfs_violation(fs), "closed");
    ck_code(env_file_sync(f, &err), LAM_INVALID);
    ck_code(env_file_close(f, &err), LAM_INVALID);
    ck_assert_str_eq(text_of("f"), "text");
    free_fs();
}
END_TEST

START_TEST(thousands_of_openings_leave_nothing_behind) {
    conformance_setup();
    write_text("f", "text");
    lam_file *kept = open_file("f", READ);
    for (int i = 0; i < 20000; i++)
        ck_code(open_code("f", READ), LAM_OK);
    char data[4];
    ck_ok(env_file_read_exact(kept, "f", 0, data, 4, &err), &err);
    ck_assert_uint_eq(simfs_open_handles(fs), 1);
    ck_ok(env_file_close(kept, &err), &err);
    ck_assert_ptr_null(simfs_violation(fs));
    free_fs();
}
END_TEST

/* --- clock, randomness, tasks ---------------------------------------------------------------- */

START_TEST(the_clock_advances_with_operations_and_by_hand) {
    conformance_setup();
    int64_t wall = simfs_now_us(fs);
    uint64_t mono = env_monotonic_ns(env);
    for (int i = 0; i < 100; i++)
        kind_of("f");
    ck_assert_int_eq(simfs_now_us(fs), wall + 101);
    ck_assert_uint_eq(env_monotonic_ns(env), mono + 101 * 1000);
    wall = simfs_now_us(fs);
    mono = env_monotonic_ns(env);
    simfs_advance_us(fs, 5000000);
    ck_assert_int_ge(simfs_now_us(fs), wall + 5000000);
    ck_assert_uint_ge(env_monotonic_ns(env), mono + 5000000000u);
    /* Only the wall clock is ever set back. */
    mono = env_monotonic_ns(env);
    wall = simfs_now_us(fs);
    simfs_advance_us(fs, -3600000000);
    ck_assert_int_eq(simfs_now_us(fs), wall - 3600000000);
    ck_assert_uint_ge(env_monotonic_ns(env), mono);
    free_fs();
}
END_TEST

START_TEST(randomness_follows_the_choice_and_never_repeats) {
    uint64_t a, b, c, d;
    conformance_setup();
    env->ops->random_bytes(env, &a, sizeof a);
    free_fs();
    conformance_setup();
    env->ops->random_bytes(env, &b, sizeof b);
    ck_assert_uint_eq(a, b);
    /* Where all choices are the same, and where an odometer counts images. */
    struct choice zeros, odometer;
    choice_list(&zeros, NULL, 0);
    simfs_set_choice(fs, &zeros);
    env->ops->random_bytes(env, &c, sizeof c);
    env->ops->random_bytes(env, &d, sizeof d);
    ck_assert_uint_ne(c, d);
    choice_odometer(&odometer);
    simfs_set_choice(fs, &odometer);
    env->ops->random_bytes(env, &c, sizeof c);
    env->ops->random_bytes(env, &d, sizeof d);
    ck_assert_uint_ne(c, d);
    struct listing all = {0};
    write_text("f1", "");
    write_text("f2", "");
    ck_ok(env_dir_list(env, conformance_root(), note_name, &all, &err), &err);
    ck_assert(!choice_next(&odometer));
    choice_fini(&odometer);
    free_fs();
}
END_TEST

static bool first_name(void *arg, const char *name) {
    *(int *)arg = atoi(name + 1);
    return false;
}

START_TEST(directories_are_listed_in_more_than_one_order) {
    conformance_setup();
    for (int i = 0; i < 5; i++) {
        char name[8];
        snprintf(name, sizeof name, "f%d", i);
        write_text(name, "");
    }
    unsigned firsts = 0;
    for (int i = 0; i < 100; i++) {
        int first;
        ck_ok(env_dir_list(env, conformance_root(), first_name, &first, &err), &err);
        firsts |= 1u << first;
    }
    ck_assert_uint_ge((unsigned)__builtin_popcount(firsts), 3);
    free_fs();
}
END_TEST

static char ran[32];

static void note_task(void *arg) {
    strncat(ran, arg, sizeof ran - strlen(ran) - 1);
}

static void again(void *arg) {
    note_task(arg);
    ck_ok(env_submit(env, LAM_LANE_FLUSH, 1000, again, arg, &err), &err);
}

START_TEST(tasks_wait_until_they_are_run_and_due) {
    conformance_setup();
    static char a[] = "a", b[] = "b", c[] = "c", d[] = "d";
    ran[0] = '\0';
    ck_ok(env_submit(env, LAM_LANE_DUMP, 1000000, note_task, c, &err), &err);
    ck_ok(env_submit(env, LAM_LANE_DUMP, 0, note_task, a, &err), &err);
    ck_ok(env_submit(env, LAM_LANE_DUMP, 0, note_task, b, &err), &err);
    ck_ok(env_submit(env, LAM_LANE_DUMP, 0, note_task, d, &err), &err);
    ck_assert_str_eq(ran, "");
    env->ops->cancel(env, d);
    simfs_run_tasks(fs, false);
    ck_assert_str_eq(ran, "ab");
    int64_t before = simfs_now_us(fs);
    simfs_run_tasks(fs, true);
    ck_assert_str_eq(ran, "abc");
    ck_assert_int_gt(simfs_now_us(fs), before + 900000);
    /* One that submits itself again runs once. */
    ck_ok(env_submit(env, LAM_LANE_FLUSH, 0, again, a, &err), &err);
    simfs_run_tasks(fs, true);
    ck_assert_str_eq(ran, "abca");
    simfs_advance_us(fs, 2000);
    simfs_run_tasks(fs, false);
    ck_assert_str_eq(ran, "abcaa");
    free_fs();
}
END_TEST

START_TEST(lanes_take_turns_by_choice) {
    static char a[] = "a", b[] = "b";
    bool seen[2] = {0};
    for (int i = 0; i < 50; i++) {
        conformance_setup();
        choice_seed(&choice, (uint64_t)i);
        ran[0] = '\0';
        ck_ok(env_submit(env, LAM_LANE_DUMP, 0, note_task, a, &err), &err);
        ck_ok(env_submit(env, LAM_LANE_COMPACT, 0, note_task, b, &err), &err);
        simfs_run_tasks(fs, false);
        ck_assert_uint_eq(strlen(ran), 2);
        seen[ran[0] == 'a'] = true;
        free_fs();
    }
    ck_assert(seen[0] && seen[1]);
}
END_TEST

START_TEST(a_submission_can_fail_or_get_lost) {
    conformance_setup();
    static char a[] = "a";
    ran[0] = '\0';
    arm(0, SIMFS_SUBMIT, 1, false, SIMFS_FAIL, LAM_BUSY);
    ck_code(env_submit(env, LAM_LANE_DUMP, 0, note_task, a, &err), LAM_BUSY);
    arm(0, SIMFS_SUBMIT, 1, false, SIMFS_SKIP, LAM_BUSY);
    ck_code(env_submit(env, LAM_LANE_DUMP, 0, note_task, a, &err), LAM_OK);
    simfs_run_tasks(fs, true);
    ck_assert_str_eq(ran, "");
    free_fs();
}
END_TEST

/* --- with the scheduler ---------------------------------------------------------------------- */

static void run_scheduled(void *arg) {
    static char a[] = "a", b[] = "b";
    uint64_t *waited_ns = arg, points = sched_points();
    write_text("f", "text");
    ck_assert_uint_ge(sched_points(), points + 3);
    ck_ok(env_submit(env, LAM_LANE_DUMP, 1000000, note_task, a, &err), &err);
    ck_ok(env_submit(env, LAM_LANE_DUMP, 2000000, note_task, b, &err), &err);
    env->ops->cancel(env, b);
    uint64_t before = env_monotonic_ns(env);
    struct mutex mu;
    struct cond never;
    mutex_init(&mu, RANK_LEAF);
    cond_init(&never);
    mutex_lock(&mu);
    while (cond_wait_for(&never, &mu, 5000000))
        ;
    mutex_unlock(&mu);
    cond_fini(&never);
    mutex_fini(&mu);
    *waited_ns = env_monotonic_ns(env) - before;
    ck_assert_str_eq(ran, "a");
}

START_TEST(tasks_and_time_are_the_schedulers_while_it_runs) {
    conformance_setup();
    ran[0] = '\0';
    uint64_t waited_ns = 0, mono = 0;
    for (int run = 0; run < 2; run++) {
        struct choice schedule;
        choice_seed(&schedule, 1);
        ran[0] = '\0';
        sched_run(&schedule, NULL, run_scheduled, &waited_ns);
        ck_assert_uint_ge(waited_ns, UINT64_C(5000000000));
        ck_assert_uint_lt(waited_ns, UINT64_C(5100000000));
        /* A new run's clock starts anew, the environment's does not. */
        ck_assert_uint_ge(env_monotonic_ns(env), mono + UINT64_C(5000000000));
        mono = env_monotonic_ns(env);
        choice_fini(&schedule);
    }
    ck_assert_str_eq(text_of("f"), "text");
    free_fs();
}
END_TEST

/* --- editing --------------------------------------------------------------------------------- */

START_TEST(files_are_listed_by_path_and_edited_in_place) {
    conformance_setup();
    write_text("b", "bbb");
    ck_code(make_dir("d"), LAM_OK);
    write_text("d/a", "aaa");
    simfs_file_set(fs, "/new/sub/c", "ccc", 3);
    ck_assert_uint_eq(simfs_file_count(fs), 3);
    ck_assert_str_eq(simfs_file_path(fs, 0), "/new/sub/c");
    ck_assert_str_eq(simfs_file_path(fs, 1), "/root/b");
    ck_assert_str_eq(simfs_file_path(fs, 2), "/root/d/a");
    size_t size = 0;
    uint8_t *bytes = simfs_file_bytes(fs, "/root/b", &size);
    ck_assert_uint_eq(size, 3);
    uint64_t before = simfs_hash(fs);
    struct simfs *clone = simfs_clone(fs);
    bytes = simfs_file_bytes(clone, "root/b", &size);
    bytes[1] ^= 3;
    ck_assert_str_eq(text_of("b"), "bbb");
    ck_assert_str_eq(text_in(simfs_env(clone), at("b")), "bab");
    ck_assert_uint_eq(simfs_hash(fs), before);
    ck_assert_uint_ne(simfs_hash(clone), before);
    bytes[1] ^= 3;
    ck_assert_uint_eq(simfs_hash(clone), before);
    simfs_free(clone);
    ck_assert_ptr_null(simfs_file_bytes(fs, "/root/none", &size));
    ck_assert_ptr_null(simfs_file_bytes(fs, "/none/x", &size));
    ck_assert_ptr_null(simfs_file_bytes(fs, "/root/d", &size));
    free_fs();
}
END_TEST

START_TEST(edits_are_durable) {
    conformance_setup();
    put_durable("a", "aaa");
    put_durable("b", "bbb");
    simfs_file_set(fs, at("a"), "x", 1);
    simfs_file_set(fs, at("c"), "ccc", 3);
    simfs_file_drop(fs, at("b"));
    size_t size = 0;
    simfs_file_bytes(fs, at("c"), &size)[0] = 'C';
    ck_assert_uint_eq(simfs_crash_width(fs), 1);
    ck_assert_str_eq(durable_text("a"), "x");
    ck_assert_str_eq(durable_text("b"), "<none>");
    ck_assert_str_eq(durable_text("c"), "Ccc");
    ck_assert_uint_eq(simfs_used(fs), 4);
    free_fs();
}
END_TEST

TEST_MAIN("sim/simfs", CONFORMANCE_TESTS, a_fault_hits_the_nth_matching_operation,
          a_sticky_fault_hits_all_that_follow,
          an_unarmed_fault_only_counts_and_the_first_that_fires_decides,
          every_operation_can_fail_and_then_does_nothing, every_operation_can_be_done_and_fail,
          every_mutation_can_be_skipped_and_succeed, a_close_that_fails_closes,
          a_short_write_leaves_a_prefix_and_fails, a_short_read_looks_like_a_shorter_file,
          a_flip_changes_one_bit_of_what_is_read_and_not_of_the_disk,
          a_misdirected_read_gives_another_place_or_another_file_of_its_kind,
          a_misdirected_write_hits_another_place_and_not_its_own,
          after_a_failed_ext4_sync_memory_has_what_the_disk_never_gets,
          after_a_failed_btrfs_sync_memory_is_old_too,
          a_sync_that_fails_plainly_may_have_kept_anything, a_full_disk_takes_what_fits_or_less,
          a_full_disk_takes_overwrites_removals_and_then_more,
          the_observer_sees_each_mutation_before_and_after, a_frozen_process_reaches_nothing_more,
          an_observer_that_freezes_stops_the_operation_it_sees,
          an_abandoned_file_system_goes_with_open_files_and_locks, one_seed_gives_one_trace,
          a_sync_after_a_failed_sync_is_a_violation,
          a_file_opened_anew_after_a_failed_sync_may_be_synced, use_of_a_closed_file_is_a_violation,
          thousands_of_openings_leave_nothing_behind,
          the_clock_advances_with_operations_and_by_hand,
          randomness_follows_the_choice_and_never_repeats,
          directories_are_listed_in_more_than_one_order, tasks_wait_until_they_are_run_and_due,
          lanes_take_turns_by_choice, a_submission_can_fail_or_get_lost,
          tasks_and_time_are_the_schedulers_while_it_runs,
          files_are_listed_by_path_and_edited_in_place, edits_are_durable)
