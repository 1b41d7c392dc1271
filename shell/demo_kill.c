/* SPDX-License-Identifier: Apache-2.0
 *
 * A writer that is killed, and what it leaves. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shell/demo.h"

/* The child: inserts rows from `first` on and tells of each acknowledged one on stdout, flushing
 * now and then, until it is killed. */
int demo_run_writer(const char *directory, long long first) {
    struct demo d = {.random = 1};
    snprintf(d.directory, sizeof d.directory, "%s", directory);
    demo_open(&d);
    lam_session *s = demo_open_user(&d, "writer");
    lam_stmt *stmt = demo_prepare(s, "INSERT INTO debian.journal VALUES ($1, $2)");
    for (long long id = first;; id++) {
        char note[64];
        snprintf(note, sizeof note, "row %lld, written before the kill", id);
        demo_bind_int(stmt, 1, id);
        demo_bind_text(stmt, 2, note);
        demo_step(stmt, "write journal");
        lam_reset(stmt);
        if (write(STDOUT_FILENO, &id, sizeof id) != sizeof id)
            return 1; /* the parent is gone */
        if (id % WRITER_FLUSH == 0)
            demo_run(d.system, "STORAGE FLUSH TABLE debian.journal");
    }
}

static pid_t start_writer(struct demo *d, long long first, int *acks_out) {
    int ends[2];
    char number[32];
    if (pipe(ends) != 0)
        demo_die("pipe: %s", strerror(errno));
    snprintf(number, sizeof number, "%lld", first);
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        demo_die("fork: %s", strerror(errno));
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl("/proc/self/exe", "lamina-demo", "--writer", d->directory, number, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    *acks_out = ends[0];
    return pid;
}

/* Reads acknowledgements until the end of the pipe; kills the writer after `kill_after` of them.
 * Returns the last acknowledged id. */
static long long watch_writer(pid_t pid, int acks, long long last, size_t kill_after) {
    long long ids[512];
    size_t seen = 0;
    bool killed = false;
    ssize_t got;
    while ((got = read(acks, ids, sizeof ids)) > 0) {
        for (size_t i = 0; i < (size_t)got / sizeof ids[0]; i++) {
            if (ids[i] != last + 1)
                demo_die("the writer acknowledged %lld after %lld", ids[i], last);
            last = ids[i];
            seen++;
        }
        if (!killed && seen >= kill_after) {
            kill(pid, SIGKILL);
            killed = true;
        }
    }
    int status;
    close(acks);
    waitpid(pid, &status, 0);
    if (!killed || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        demo_die("the writer ended before it was killed (%s %d)",
                 WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return last;
}

/* Returns the newest row there is: the acknowledged ones, and at most one the kill overtook. */
static long long check_journal(struct demo *d, long long acked) {
    lam_session *s = demo_open_user(d, "writer");
    lam_stmt *stmt = demo_prepare(s, "SELECT id, note FROM debian.journal ORDER BY id");
    long long id = 0;
    while (demo_step(stmt, "read journal")) {
        char note[64];
        snprintf(note, sizeof note, "row %lld, written before the kill", ++id);
        if (lam_column_int64(stmt, 0) != id || !demo_same_text(stmt, 1, note))
            demo_die("row %lld of the journal is missing or wrong", id);
    }
    lam_finalize(stmt);
    demo_close_session(s);
    if (id < acked)
        demo_die("%lld rows were acknowledged, %lld are there", acked, id);
    if (id > acked + 1)
        demo_die("%lld rows were written, but only %lld acknowledged", id, acked);
    return id;
}

void demo_kill_writers(struct demo *d) {
    long long last = 0;
    demo_begin(d, "Kill a writer with SIGKILL in mid-work and reopen");
    demo_close(d);
    for (int round = 1; round <= KILL_ROUNDS; round++) {
        int acks;
        pid_t pid = start_writer(d, last + 1, &acks);
        long long acked = watch_writer(pid, acks, last, 500 + demo_random(d) % 15000);
        double opened = demo_now();
        demo_open(d);
        double open_ms = (demo_now() - opened) * 1e3;
        struct lam_stats stats;
        lam_db_stats(d->db, &stats);
        long long there = check_journal(d, acked);
        printf("   round %d: killed after %s acknowledged rows; opened in %.0f ms, %s operations "
               "from the log;\n            all %s rows there%s\n",
               round, demo_grouped((unsigned long long)(acked - last)), open_ms,
               demo_grouped(stats.recovered_operations), demo_grouped((unsigned long long)there),
               there > acked ? ", the last one committed but not yet acknowledged" : "");
        last = there;
        if (round < KILL_ROUNDS)
            demo_close(d);
    }
    demo_check_totals(d, &d->owners[0], false);
    demo_end(d, 0, "%s rows, none lost", demo_grouped((unsigned long long)last));
}
