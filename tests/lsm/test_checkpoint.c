/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints: what they hold, that neither database disturbs the other, and that failures and
 * crashes leave a whole one or none. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/thread.h"
#include "lsm/filename.h"
#include "tests/lsm/copies.h"

static bool with_outer;

static enum lam_code checkpoint(const char *path) {
    memset(&err, 0, sizeof err);
    return db_checkpoint(db, path, with_outer ? &outer : NULL, &err);
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
static const struct lam_env_ops *unlinking_plain;
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

/* A process without a descriptor left gives up those that lie idle, and then copies. */
static unsigned refusals;
static enum lam_code link_without_files(lam_env *env, const char *from, const char *to,
                                        struct lam_error *e) {
    if (refusals == 0)
        return unlinking_plain->path_link(env, from, to, e);
    refusals--;
    enum lam_code rc = ERR(e, LAM_BUSY, "linking %s to %s: too many open files", from, to);
    e->os_errno = EMFILE;
    return rc;
}
static enum lam_code keep_all(lam_env *env, const char *path, struct lam_error *e) {
    (void)env;
    return ERR(e, LAM_IO, "%s: nothing is removed here", path);
}

START_TEST(links_that_fail_are_tried_again_and_made_as_copies) {
    start();
    unlinking_plain = mem->ops;
    unlinking_ops = *mem->ops;
    unlinking_ops.path_link = link_without_files;
    mem->ops = &unlinking_ops;
    refusals = 1;
    ck_ok(checkpoint(COPY), &err);
    refusals = 2;
    ck_ok(checkpoint("/second"), &err);
    /* What the name of a link holds must go before the copy comes. */
    refusals = 2;
    unlinking_ops.file_remove = keep_all;
    ck_code(checkpoint("/third"), LAM_IO);
    ck_contains(err.message, "nothing is removed here");
    mem->ops = unlinking_plain;
    refusals = 0;
    ck_assert_str_eq(shown_by(mem, COPY, false), START_SHOWS);
    ck_assert_str_eq(shown_by(mem, "/second", false), START_SHOWS);
    ck_assert(!is_there(mem, "/third"));
    ck_ok(checkpoint("/third"), &err);
    end();
}
END_TEST

START_TEST(file_that_the_database_names_and_has_not_is_told) {
    char path[64] = "";
    start();
    ck_ok(lam_db_dump(db, &err), &err);
    for (unsigned n = 1; n < 60; n++) {
        char at[64];
        snprintf(at, sizeof at, DIR "/%06u.sst", n);
        if (is_there(mem, at))
            strcpy(path, at);
    }
    ck_ok(env_path_rename(mem, path, "/away", &err), &err);
    ck_code(checkpoint(COPY), LAM_CORRUPT);
    ck_contains(err.message, path);
    ck_contains(err.message, "missing");
    ck_assert(!is_there(mem, COPY) && !is_there(mem, COPY ".unfinished"));
    ck_ok(env_path_rename(mem, "/away", path, &err), &err);
    ck_ok(checkpoint(COPY), &err);
    end();
}
END_TEST

START_TEST(names_of_unfinished_ones_that_are_something_else_stay) {
    start();
    make_file(COPY ".unfinished");
    ck_code(checkpoint(COPY), LAM_EXISTS);
    ck_contains(err.message, COPY ".unfinished is there");
    ck_code(checkpoint("/"), LAM_EXISTS);
    /* Deeper than anything that a call makes. */
    char deep[400] = "/deep.unfinished";
    ck_ok(mem->ops->dir_create(mem, deep, &err), &err);
    make_file("/deep.unfinished/UNFINISHED");
    for (int i = 0; i < 70; i++) {
        strcat(deep, "/d");
        ck_ok(mem->ops->dir_create(mem, deep, &err), &err);
    }
    ck_code(checkpoint("/deep"), LAM_LIMIT);
    ck_contains(err.message, "directories in each other");
    ck_assert(is_there(mem, deep));
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

static bool name_may_stay; /* of a failed call: nothing could take it back */
static uint64_t whole, none;

static void check_copy(lam_env *env, enum lam_code was, bool opened) {
    bool there = is_there(env, COPY);
    (void)opened;
    whole += there;
    none += !there;
    ck_assert_msg(there ? was == LAM_OK || name_may_stay : was != LAM_OK, "%s: %s", sweep_at,
                  err.message);
    if (there) {
        ck_assert_str_eq(shown_by(env, COPY, true), START_SHOWS);
        check_outer(env, COPY);
    }
    ck_assert_str_eq(rows_of(db), START_SHOWS);
    ck_assert(was != LAM_OK || !is_there(env, COPY ".unfinished"));
}
static enum lam_code copy_db(lam_env *env) {
    (void)env;
    with_outer = true;
    return checkpoint(COPY);
}
static enum lam_code copy_unless_there(lam_env *env) {
    return is_there(env, COPY) ? LAM_OK : checkpoint(COPY);
}
static const struct sweep copying = {.make = make_db,
                                     .open = open_in,
                                     .call = copy_db,
                                     .again = copy_unless_there,
                                     .check = check_copy,
                                     .use = use_db,
                                     .close = try_close,
                                     .dir = DIR,
                                     .err = &err};

/* A tree that an earlier call has left, removed before anything else. */
static void make_leftover(lam_env *env) {
    make_db(env);
    ck_ok(env_dir_create_all(env, COPY ".unfinished/cold/a/b", &err), &err);
    mem = env;
    make_file(COPY ".unfinished/UNFINISHED");
    make_file(COPY ".unfinished/cold/a/b/two");
    make_file(COPY ".unfinished/ROOT");
}

START_TEST(each_call_that_fails_over_a_leftover_leaves_a_whole_checkpoint_or_none) {
    struct sweep over = copying;
    over.make = make_leftover;
    ck_assert_uint_gt(sweep_failures(&over, &SWEEP_IO), 50);
    ck_assert_uint_gt(sweep_failures(&over, &SWEEP_MEMORY), 50);
}
END_TEST

START_TEST(each_call_that_fails_leaves_a_whole_checkpoint_or_none) {
    ck_assert_uint_gt(sweep_failures(&copying, &SWEEP_IO), 50);
    name_may_stay = true;
    ck_assert_uint_gt(sweep_failures(&copying, &SWEEP_IO_ALL), 50);
    ck_assert_uint_gt(sweep_failures(&copying, &SWEEP_SPACE_ALL), 20);
}
END_TEST

START_TEST(each_allocation_that_fails_leaves_a_whole_checkpoint_or_none) {
    ck_assert_uint_gt(sweep_failures(&copying, &SWEEP_MEMORY), 50);
}
END_TEST

START_TEST(crashes_leave_a_whole_checkpoint_or_one_that_is_made_again) {
    name_may_stay = true;
    ck_assert_uint_gt(sweep_crashes(&copying, 4), 50);
    ck_assert_uint_gt(whole, none + 4);
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
          links_that_fail_are_tried_again_and_made_as_copies,
          file_that_the_database_names_and_has_not_is_told,
          names_of_unfinished_ones_that_are_something_else_stay,
          each_call_that_fails_leaves_a_whole_checkpoint_or_none,
          each_call_that_fails_over_a_leftover_leaves_a_whole_checkpoint_or_none,
          each_allocation_that_fails_leaves_a_whole_checkpoint_or_none,
          crashes_leave_a_whole_checkpoint_or_one_that_is_made_again,
          checkpoints_under_writers_are_prefixes_over_all_partitions)
