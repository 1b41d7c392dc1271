/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints: what they hold, that neither database disturbs the other, and that failures and
 * crashes leave a whole one or none. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/thread.h"
#include "lsm/filename.h"
#include "tests/lsm/copies.h"

static enum lam_code checkpoint(const char *path) {
    memset(&err, 0, sizeof err);
    return db_checkpoint(db, path, NULL, &err);
}

static void end(void) {
    close_db();
    lam_env_mem_free(mem);
}

START_TEST(checkpoint_holds_all_that_was_committed_before) {
    start();
    ck_ok(checkpoint(COPY), &err);
    put(p, "later", "x");
    ck_ok(lam_db_compact(db, NULL, &err), &err); /* the source's files go */
    ck_assert_str_eq(shown_by(mem, COPY, true), START_SHOWS);
    ck_assert_str_eq(shown_by(mem, COPY, false), START_SHOWS);
    ck_assert_str_eq(rows_of(db), "p:b=2 c=only in the log later=x q:a=q1 z=last ");
    ck_assert(!is_there(mem, COPY ".unfinished"));
    ck_assert(!is_there(mem, COPY "/UNFINISHED"));
    end();
}
END_TEST

START_TEST(copy_and_source_go_on_apart) {
    start();
    ck_ok(checkpoint(COPY), &err);
    struct lam_options o = {.env = mem, .manual_background = true};
    lam_db *copy;
    lam_partition *cp;
    ck_ok(lam_db_open(COPY, &o, &copy, &err), &err);
    ck_ok(lam_partition_open(copy, "p", &cp, &err), &err);
    for (int i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%02d", i);
        ck_ok(lam_put(copy, NULL, cp, S(key), S("copy"), &err), &err);
        put(p, key, "source");
        if (i % 10 == 9) {
            ck_ok(lam_db_compact(copy, NULL, &err), &err);
            ck_ok(lam_db_compact(db, NULL, &err), &err);
        }
    }
    struct lam_value v = {0};
    ck_ok(lam_get(copy, NULL, cp, S("k07"), &v, &err), &err);
    ck_assert_int_eq(memcmp(v.bytes.data, "copy", 4), 0);
    ck_ok(lam_get(db, NULL, p, S("k07"), &v, &err), &err);
    ck_assert_int_eq(memcmp(v.bytes.data, "source", 6), 0);
    lam_value_release(&v);
    lam_partition_release(cp);
    ck_ok(lam_db_check(copy, NULL, NULL, &err), &err);
    ck_ok(lam_db_check(db, NULL, NULL, &err), &err);
    ck_ok(lam_db_close(copy, &err), &err);
    end();
}
END_TEST

START_TEST(copy_opens_read_only_while_the_writer_goes_on) {
    start();
    ck_ok(checkpoint(COPY), &err);
    struct lam_options o = {.env = mem, .read_only = true};
    lam_db *copy, *again;
    ck_ok(lam_db_open(COPY, &o, &copy, &err), &err);
    put(p, "later", "x");
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    ck_ok(lam_db_open(COPY, &o, &again, &err), &err);
    ck_assert_str_eq(rows_of(copy), START_SHOWS);
    ck_assert_str_eq(rows_of(again), START_SHOWS);
    ck_ok(lam_db_close(copy, &err), &err);
    ck_ok(lam_db_close(again, &err), &err);
    ck_assert(!is_there(mem, COPY "/LOCK"));
    end();
}
END_TEST

START_TEST(empty_database_and_checkpoint_of_a_checkpoint_are_copied) {
    struct lam_options o = {.manual_background = true};
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    o.env = mem;
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    ck_ok(checkpoint("/empty"), &err);
    ck_ok(lam_db_close(db, &err), &err);
    ck_ok(lam_check("/empty", mem, NULL, NULL, &err), &err);
    ck_ok(lam_db_open("/empty", &o, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    ck_ok(lam_partition_create(db, "q", NULL, &q, &err), &err);
    put(p, "b", "2");
    ck_ok(checkpoint("/second/"), &err);
    ck_assert_str_eq(shown_by(mem, "/second", false), "p:b=2 q:");
    end();
}
END_TEST

START_TEST(targets_that_are_there_and_sources_that_take_no_writes_are_refused) {
    start();
    ck_ok(mem->ops->dir_create(mem, COPY, &err), &err);
    ck_code(checkpoint(COPY), LAM_EXISTS);
    ck_contains(err.message, COPY " exists");
    ck_code(checkpoint(DIR), LAM_EXISTS);
    ck_code(checkpoint(DIR "/ROOT"), LAM_EXISTS);
    ck_code(checkpoint("/no/parent"), LAM_NOT_FOUND);
    ck_code(checkpoint("/a.unfinished"), LAM_INVALID);
    close_db();
    struct lam_options o = {.env = mem, .read_only = true};
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    ck_code(checkpoint("/other"), LAM_READ_ONLY);
    ck_assert(!is_there(mem, "/other") && !is_there(mem, "/other.unfinished"));
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(mem);
}
END_TEST

static void make_file(const char *path) {
    lam_file *f;
    ck_ok(env_file_open(mem, path, LAM_OPEN_WRITE | LAM_OPEN_CREATE, &f, &err), &err);
    ck_ok(env_file_write(f, 0, "x", 1, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
}

START_TEST(what_an_unfinished_call_left_is_removed_and_nothing_else) {
    start();
    ck_ok(mem->ops->dir_create(mem, COPY ".unfinished", &err), &err);
    make_file(COPY ".unfinished/mine");
    ck_code(checkpoint(COPY), LAM_EXISTS);
    ck_contains(err.message, COPY ".unfinished is there");
    ck_assert(is_there(mem, COPY ".unfinished/mine"));
    make_file(COPY ".unfinished/UNFINISHED");
    ck_ok(mem->ops->dir_create(mem, COPY ".unfinished/cold", &err), &err);
    make_file(COPY ".unfinished/cold/mine");
    ck_ok(checkpoint(COPY), &err);
    ck_assert_str_eq(shown_by(mem, COPY, true), START_SHOWS);
    ck_assert(!is_there(mem, COPY "/mine") && !is_there(mem, COPY "/cold"));
    /* One that is whole but for its name is told by its identity. */
    ck_ok(env_path_rename(mem, COPY, COPY ".unfinished", &err), &err);
    ck_ok(checkpoint(COPY), &err);
    ck_assert_str_eq(shown_by(mem, COPY, true), START_SHOWS);
    struct lam_options o = {.env = mem};
    lam_db *other;
    ck_ok(lam_db_open("/b.unfinished", &o, &other, &err), &err);
    ck_ok(lam_db_close(other, &err), &err);
    ck_code(checkpoint("/b"), LAM_EXISTS);
    ck_ok(lam_check("/b.unfinished", mem, NULL, NULL, &err), &err);
    lam_file_lock *lock;
    ck_ok(mem->ops->dir_create(mem, "/c.unfinished", &err), &err);
    ck_ok(mem->ops->file_lock(mem, "/c.unfinished/UNFINISHED", &lock, &err), &err);
    ck_code(checkpoint("/c"), LAM_BUSY);
    mem->ops->file_unlock(lock);
    ck_ok(checkpoint("/c"), &err);
    end();
}
END_TEST

/* --- links ------------------------------------------------------------------------------------ */

static struct lam_env_ops unlinking_ops;
static enum lam_code refuse_link(lam_env *env, const char *from, const char *to,
                                 struct lam_error *e) {
    (void)env;
    return ERR(e, LAM_IO, "linking %s to %s: another file system", from, to);
}

START_TEST(files_are_copied_where_links_are_refused) {
    start();
    const struct lam_env_ops *ops = mem->ops;
    unlinking_ops = *ops;
    unlinking_ops.path_link = refuse_link;
    mem->ops = &unlinking_ops;
    ck_ok(checkpoint(COPY), &err);
    mem->ops = ops;
    ck_assert_str_eq(shown_by(mem, COPY, false), START_SHOWS);
    end();
}
END_TEST

static nlink_t links;
static bool note_links(void *arg, const char *name) {
    char path[512];
    struct stat st;
    uint64_t number;
    if (filename_parse(name, &number) != FILE_SST)
        return true;
    snprintf(path, sizeof path, "%s/%s", (const char *)arg, name);
    ck_assert_int_eq(stat(path, &st), 0);
    links = st.st_nlink;
    return true;
}

START_TEST(files_of_the_system_are_linked_and_written_through_neither_name) {
    char source[256], copy[256];
    lam_env *env = lam_env_posix();
    snprintf(source, sizeof source, "%s/db", test_dir());
    snprintf(copy, sizeof copy, "%s/copy", test_dir());
    struct lam_options o = {.manual_background = true};
    ck_ok(lam_db_open(source, &o, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    ck_ok(lam_partition_create(db, "q", NULL, &q, &err), &err);
    put(p, "b", "2");
    ck_ok(checkpoint(copy), &err);
    ck_ok(env_dir_list(env, copy, note_links, copy, &err), &err);
    ck_assert_int_eq(links, 2);
    lam_db *both;
    ck_ok(lam_db_open(copy, &o, &both, &err), &err);
    put(p, "c", "3");
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    ck_ok(lam_db_compact(both, NULL, &err), &err);
    ck_assert_str_eq(rows_of(both), "p:b=2 q:");
    ck_ok(lam_db_check(both, NULL, NULL, &err), &err);
    ck_ok(lam_db_close(both, &err), &err);
    ck_assert_str_eq(rows_of(db), "p:b=2 c=3 q:");
    close_db();
    ck_assert_str_eq(shown_by(env, source, false), "p:b=2 c=3 q:");
    ck_assert_str_eq(shown_by(env, copy, false), "p:b=2 q:");
}
END_TEST

/* --- failures and crashes --------------------------------------------------------------------- */

/* One call fails, in turn: the checkpoint is there and whole, or not there; the source goes on, and
 * the next try succeeds. */
static void fail_each(unsigned kinds, enum lam_code code, bool sticky) {
    for (uint64_t nth = 1;; nth++) {
        start();
        close_db();
        lam_env *env = env_fault_new(mem);
        ck_ok(open_in(env), &err);
        env_fault_arm(env, kinds, nth, code, sticky);
        enum lam_code rc = checkpoint(COPY);
        bool fired = env_fault_fired(env) > 0;
        env_fault_arm(env, 0, 0, LAM_OK, false);
        if (rc != LAM_OK) {
            ck_assert(fired);
            ck_assert(err.message[0]);
            /* Its name is taken back, too, unless no call succeeds any more. */
            ck_assert_msg(!is_there(mem, COPY) || sticky, "%s", err.message);
        }
        if (is_there(mem, COPY))
            ck_assert_str_eq(shown_by(mem, COPY, true), START_SHOWS);
        else
            ck_assert(rc != LAM_OK);
        ck_assert_str_eq(rows_of(db), START_SHOWS);
        bool failed = lam_put(db, NULL, p, S("later"), S("x"), &err) == LAM_READ_ONLY;
        if (failed) {
            IGNORE(try_close(), "it says what could not be written");
            ck_ok(open_in(env), &err);
        }
        if (!is_there(mem, COPY))
            ck_ok(checkpoint(COPY), &err);
        ck_ok(lam_check(COPY, mem, NULL, NULL, &err), &err);
        ck_assert(!is_there(mem, COPY ".unfinished"));
        close_db();
        ck_ok(lam_check(DIR, mem, NULL, NULL, &err), &err);
        env_fault_free(env);
        lam_env_mem_free(mem);
        if (!fired)
            return;
    }
}

START_TEST(each_call_that_fails_once_leaves_a_whole_checkpoint_or_none) {
    fail_each(FAULT_ALL, LAM_IO, false);
}
END_TEST

START_TEST(each_call_that_fails_from_then_on_leaves_a_whole_checkpoint_or_none) {
    fail_each(FAULT_ALL, LAM_IO, true);
    fail_each(FAULT_MUTATE, LAM_NO_SPACE, true);
}
END_TEST

/* The machine stops before each change in turn. */
START_TEST(crashes_leave_a_whole_checkpoint_or_one_that_is_made_again) {
    uint64_t whole = 0, none = 0;
    for (uint64_t nth = 1;; nth++) {
        start();
        close_db();
        lam_env *env = env_fault_new(mem), *image;
        ck_ok(open_in(env), &err);
        env_fault_arm(env, FAULT_MUTATE, nth, LAM_IO, true);
        IGNORE(checkpoint(COPY), "the process is dead");
        bool fired = env_fault_fired(env) > 0;
        for (int mode = 0; mode < 4; mode++) {
            ck_ok(lam_env_mem_crash(mem, mode < 2 ? (enum lam_crash_mode)mode : LAM_CRASH_POWER_ANY,
                                    nth * 10 + (uint64_t)mode, &image, &err),
                  &err);
            bool there = is_there(image, COPY);
            whole += there;
            none += !there;
            ck_assert(there || fired);
            if (there)
                ck_assert_str_eq(shown_by(image, COPY, true), START_SHOWS);
            lam_db *kept = db;
            lam_partition *kept_p = p, *kept_q = q;
            ck_ok(open_in(image), &err);
            ck_assert_str_eq(rows_of(db), START_SHOWS);
            if (!there)
                ck_ok(checkpoint(COPY), &err);
            ck_assert_str_eq(shown_by(image, COPY, false), START_SHOWS);
            ck_assert(!is_there(image, COPY ".unfinished"));
            close_db();
            lam_env_mem_free(image);
            db = kept;
            p = kept_p;
            q = kept_q;
        }
        env_fault_arm(env, 0, 0, LAM_OK, false);
        IGNORE(try_close(), "after a failure it says so");
        env_fault_free(env);
        lam_env_mem_free(mem);
        if (!fired)
            break;
    }
    ck_assert_uint_ge(whole, 4);
    ck_assert_uint_gt(none, 50);
}
END_TEST

/* --- threads ---------------------------------------------------------------------------------- */

static _Atomic bool stop;

/* Pairs of rows in two partitions, one batch each. */
static void write_pairs(void *arg) {
    uint32_t n = 0;
    (void)arg;
    while (!stop) {
        char key[16];
        lam_batch *b;
        struct lam_error e;
        snprintf(key, sizeof key, "k%08u", n++);
        bool ok = lam_batch_new(db, &b, &e) == LAM_OK &&
                  lam_batch_put(b, p, S(key), S("v"), &e) == LAM_OK &&
                  lam_batch_put(b, q, S(key), S("v"), &e) == LAM_OK &&
                  lam_write(db, NULL, b, NULL, &e) == LAM_OK;
        lam_batch_free(b);
        if (!ok)
            abort();
    }
}

/* A row says that the partition of its name is there; it goes before the partition does. */
static void make_and_drop(void *arg) {
    struct lam_error e;
    (void)arg;
    while (!stop) {
        lam_partition *t;
        if (lam_partition_create(db, "turn", NULL, &t, &e) != LAM_OK ||
            lam_put(db, NULL, p, S("turn"), S("there"), &e) != LAM_OK ||
            lam_delete(db, NULL, p, S("turn"), &e) != LAM_OK ||
            lam_partition_drop(db, t, &e) != LAM_OK)
            abort();
        lam_partition_release(t);
    }
}

static uint64_t rows_in(lam_db *of, const char *name) {
    lam_partition *part;
    lam_iter *it;
    uint64_t n = 0;
    ck_ok(lam_partition_open(of, name, &part, &err), &err);
    ck_ok(lam_iter_new(of, NULL, part, &it, &err), &err);
    for (lam_iter_seek(it, S("k")); lam_iter_valid(it) && lam_iter_key(it).data[0] == 'k';
         lam_iter_next(it))
        n++;
    ck_ok(lam_iter_status(it, &err), &err);
    lam_iter_free(it);
    lam_partition_release(part);
    return n;
}

START_TEST(checkpoints_under_writers_are_prefixes_over_all_partitions) {
    struct thread writer, maker;
    struct lam_options o = {.memory_budget = 4u << 20};
    uint64_t before = 0;
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    o.env = mem;
    ck_ok(lam_db_open(DIR, &o, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    ck_ok(lam_partition_create(db, "q", NULL, &q, &err), &err);
    ck_ok(thread_start(&writer, write_pairs, NULL, &err), &err);
    ck_ok(thread_start(&maker, make_and_drop, NULL, &err), &err);
    for (int i = 0; i < 8; i++) {
        char path[32];
        lam_db *copy;
        lam_partition *cp, *turn;
        struct lam_value v = {0};
        snprintf(path, sizeof path, "/copy%d", i);
        ck_ok(checkpoint(path), &err);
        struct lam_options c = {.env = mem, .read_only = i % 2};
        ck_ok(lam_db_open(path, &c, &copy, &err), &err);
        uint64_t n = rows_in(copy, "p");
        ck_assert_uint_eq(rows_in(copy, "q"), n);
        ck_assert_uint_ge(n, before);
        before = n;
        ck_ok(lam_partition_open(copy, "p", &cp, &err), &err);
        if (lam_get(copy, NULL, cp, S("turn"), &v, &err) == LAM_OK) {
            ck_ok(lam_partition_open(copy, "turn", &turn, &err), &err);
            lam_partition_release(turn);
        }
        lam_value_release(&v);
        lam_partition_release(cp);
        ck_ok(lam_db_close(copy, &err), &err);
        ck_ok(lam_check(path, mem, NULL, NULL, &err), &err);
    }
    stop = true;
    thread_join(&writer);
    thread_join(&maker);
    ck_assert_uint_gt(before, 0);
    end();
}
END_TEST

TEST_MAIN("lsm/checkpoint", checkpoint_holds_all_that_was_committed_before,
          copy_and_source_go_on_apart, copy_opens_read_only_while_the_writer_goes_on,
          empty_database_and_checkpoint_of_a_checkpoint_are_copied,
          targets_that_are_there_and_sources_that_take_no_writes_are_refused,
          what_an_unfinished_call_left_is_removed_and_nothing_else,
          files_are_copied_where_links_are_refused,
          files_of_the_system_are_linked_and_written_through_neither_name,
          each_call_that_fails_once_leaves_a_whole_checkpoint_or_none,
          each_call_that_fails_from_then_on_leaves_a_whole_checkpoint_or_none,
          crashes_leave_a_whole_checkpoint_or_one_that_is_made_again,
          checkpoints_under_writers_are_prefixes_over_all_partitions)
