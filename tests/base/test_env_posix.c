/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/base/env_conformance.h"

static lam_env *conformance_env(void) {
    return lam_env_posix();
}
static const char *conformance_root(void) {
    return test_dir();
}

START_TEST(files_and_directories_are_private) {
    conformance_setup();
    write_text("f", "x");
    ck_code(make_dir("d"), LAM_OK);
    struct stat st;
    ck_assert_int_eq(stat(at("f"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(stat(at("d"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0700);
}
END_TEST

START_TEST(symbolic_links_and_special_files_are_refused) {
    conformance_setup();
    write_text("f", "x");
    ck_code(make_dir("d"), LAM_OK);
    ck_assert_int_eq(symlink(at("f"), at("link")), 0);
    ck_assert_int_eq(symlink(at("d"), at("dirlink")), 0);
    ck_assert_int_eq(mkfifo(at("fifo"), 0600), 0);
    ck_code(open_code("link", READ), LAM_INVALID);
    ck_contains(err.message, "link");
    ck_code(open_code("link", WRITE | CREATE | TRUNCATE), LAM_INVALID);
    ck_code(open_code("fifo", READ), LAM_INVALID);
    ck_code(open_code("fifo", WRITE), LAM_INVALID);
    ck_assert_int_eq(kind_of("link"), LAM_PATH_OTHER);
    ck_assert_int_eq(kind_of("fifo"), LAM_PATH_OTHER);
    ck_assert_int_eq(kind_of("dirlink"), LAM_PATH_DIRECTORY);
    ck_assert_str_eq(text_of("f"), "x");
}
END_TEST

START_TEST(errors_name_the_attempt_the_path_and_errno) {
    conformance_setup();
    ck_code(open_code("none", READ), LAM_NOT_FOUND);
    ck_contains(err.message, "opening ");
    ck_contains(err.message, at("none"));
    ck_contains(err.message, "No such file");
    ck_assert_int_ne(err.os_errno, 0);
    ck_code(rename_to("none", "other"), LAM_NOT_FOUND);
    ck_contains(err.message, at("other"));
}
END_TEST

/* A write past RLIMIT_FSIZE is cut short first and fails then: the loop must see both. */
START_TEST(write_stopped_by_a_limit_is_an_error) {
    conformance_setup();
    signal(SIGXFSZ, SIG_IGN);
    lam_file *f = open_file("f", WRITE | FRESH);
    struct rlimit limit = {10000, 10000};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    static uint8_t data[20000];
    ck_code(env_file_write(f, 0, data, sizeof data, &err), LAM_IO);
    ck_contains(err.message, "writing");
    uint64_t size = 0;
    ck_ok(env_file_size(f, &size, &err), &err);
    ck_assert_uint_eq(size, 10000);
    ck_ok(env_file_close(f, &err), &err);
}
END_TEST

START_TEST(devices_are_refused) {
    conformance_setup();
    lam_file *f = NULL;
    ck_code(env_file_open(env, "/dev/null", WRITE, &f, &err), LAM_INVALID);
    ck_contains(err.message, "not a regular file");
}
END_TEST

START_TEST(lock_is_seen_through_a_linked_directory) {
    conformance_setup();
    ck_code(make_dir("d"), LAM_OK);
    ck_assert_int_eq(symlink(at("d"), at("s")), 0);
    lam_file_lock *lock = NULL, *second = NULL;
    ck_ok(env->ops->file_lock(env, at("d/L"), &lock, &err), &err);
    ck_code(env->ops->file_lock(env, at("s/L"), &second, &err), LAM_BUSY);
    env->ops->file_unlock(lock);
    ck_ok(env->ops->file_lock(env, at("s/L"), &second, &err), &err);
    env->ops->file_unlock(second);
}
END_TEST

/* Exit status of a child that runs `fn`. */
static int in_child(int (*fn)(void *arg), void *arg) {
    fflush(stdout);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(fn(arg));
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int lock_code(void *arg) {
    (void)arg;
    lam_file_lock *lock = NULL;
    return env->ops->file_lock(env, at("L"), &lock, NULL);
}

static int unlock_code(void *arg) {
    env->ops->file_unlock(arg);
    return 0;
}

static bool take_no_name(void *arg, const char *name) {
    (void)arg;
    (void)name;
    return true;
}

/* A lock holds its directory: what lies in it is found there whatever its path means by now, and
 * never through a link. */
START_TEST(path_in_a_held_directory_follows_no_link_and_no_renaming) {
    conformance_setup();
    lam_file_lock *lock = NULL;
    ck_code(make_dir("d"), LAM_OK);
    ck_code(make_dir("d/in"), LAM_OK);
    ck_code(make_dir("out"), LAM_OK);
    write_text("out/f", "x");
    ck_assert_int_eq(symlink(at("out"), at("d/link")), 0);
    ck_assert_int_eq(kind_of("d/link"), LAM_PATH_DIRECTORY);
    ck_ok(env->ops->dir_sync(env, at("d/link"), &err), &err);
    ck_ok(env->ops->file_lock(env, at("d/L"), &lock, &err), &err);
    ck_assert_int_eq(kind_of("d/link"), LAM_PATH_OTHER);
    ck_assert_int_ne(env->ops->dir_sync(env, at("d/link"), &err), LAM_OK);
    ck_assert_int_ne(env->ops->dir_list(env, at("d/link"), take_no_name, NULL, &err), LAM_OK);
    ck_assert_int_ne(open_code("d/link/f", READ), LAM_OK);
    ck_assert_int_ne(open_code("d/link/g", WRITE | CREATE), LAM_OK);
    ck_assert_int_ne(make_dir("d/link/h"), LAM_OK);
    ck_ok(env->ops->dir_list(env, at("d/in"), take_no_name, NULL, &err), &err);
    /* Who climbs out again takes the path as it stands. */
    ck_code(open_code("d/../out/f", READ), LAM_OK);
    ck_assert_int_eq(rename(at("d"), at("e")), 0);
    ck_assert_int_eq(kind_of("d/in"), LAM_PATH_DIRECTORY);
    ck_code(open_code("d/../out/f", READ), LAM_NOT_FOUND);
    env->ops->file_unlock(lock);
    ck_assert_int_eq(kind_of("d/in"), LAM_PATH_NONE);
    ck_assert_int_eq(kind_of("e/link"), LAM_PATH_DIRECTORY);
    ck_assert_int_eq(kind_of("out/g"), LAM_PATH_NONE);
    ck_assert_int_eq(kind_of("out/h"), LAM_PATH_NONE);
}
END_TEST

START_TEST(lock_is_seen_by_a_forked_child_that_cannot_undo_it) {
    conformance_setup();
    lam_file_lock *lock = NULL;
    ck_ok(env->ops->file_lock(env, at("L"), &lock, &err), &err);
    ck_assert_int_eq(in_child(lock_code, NULL), LAM_BUSY);
    ck_assert_int_eq(in_child(unlock_code, lock), 0);
    ck_assert_int_eq(in_child(lock_code, NULL), LAM_BUSY);
    env->ops->file_unlock(lock);
    ck_assert_int_eq(in_child(lock_code, NULL), LAM_OK);
    /* The child died with the lock. */
    ck_ok(env->ops->file_lock(env, at("L"), &lock, &err), &err);
    env->ops->file_unlock(lock);
}
END_TEST

/* As somebody who may read the lock file only. */
static int lock_unwritable(void *arg) {
    lam_file_lock *lock = NULL, *second = NULL;
    (void)arg;
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
        return -1;
    enum lam_code rc = env->ops->file_lock(env, at("L"), &lock, NULL);
    return rc ? rc : env->ops->file_lock(env, at("L"), &second, NULL);
}

START_TEST(unwritable_lock_file_is_shared_and_keeps_writers_out) {
    conformance_setup();
    lam_file_lock *lock = NULL;
    write_text("L", "");
    ck_assert_int_eq(chmod(test_dir(), 0755), 0);
    ck_assert_int_eq(chmod(at("."), 0755), 0);
    ck_ok(env->ops->file_lock(env, at("L"), &lock, &err), &err);
    ck_assert_int_eq(chmod(at("L"), 0444), 0);
    ck_assert_int_eq(in_child(lock_unwritable, NULL), LAM_BUSY);
    env->ops->file_unlock(lock);
    ck_assert_int_eq(in_child(lock_unwritable, NULL), LAM_OK);
}
END_TEST

/* Files opened while 0 to 2 are closed must not take their place: what is printed then would land
 * in them. */
static int print_with_closed_streams(void) {
    lam_file *f;
    lam_file_lock *lock;
    for (int fd = 0; fd <= 2; fd++)
        close(fd);
    if (env->ops->file_lock(env, at("L"), &lock, NULL) != LAM_OK ||
        env_file_open(env, at("f"), WRITE, &f, NULL) != LAM_OK)
        return 2;
    bool written = false;
    for (int fd = 0; fd <= 2; fd++)
        written = written || write(fd, "text of a warning", 17) >= 0;
    env->ops->file_unlock(lock);
    return env_file_close(f, NULL) != LAM_OK ? 3 : written;
}

START_TEST(files_never_take_the_descriptors_of_the_standard_streams) {
    conformance_setup();
    write_text("f", "content");
    write_text("L", "");
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(print_with_closed_streams());
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert_str_eq(text_of("f"), "content");
    ck_assert_str_eq(text_of("L"), "");
}
END_TEST

TEST_MAIN("base/env_posix", CONFORMANCE_TESTS, files_and_directories_are_private,
          symbolic_links_and_special_files_are_refused, errors_name_the_attempt_the_path_and_errno,
          write_stopped_by_a_limit_is_an_error, devices_are_refused,
          lock_is_seen_through_a_linked_directory,
          path_in_a_held_directory_follows_no_link_and_no_renaming,
          lock_is_seen_by_a_forked_child_that_cannot_undo_it,
          unwritable_lock_file_is_shared_and_keeps_writers_out,
          files_never_take_the_descriptors_of_the_standard_streams)
