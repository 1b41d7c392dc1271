/* SPDX-License-Identifier: Apache-2.0
 *
 * The shell's state, and how it runs SQL: what main, the prompt, the dot commands and the files
 * share. */
#ifndef LAMINA_SHELL_SHELL_H
#define LAMINA_SHELL_SHELL_H

#include <stdio.h>

#include "shell/diag.h"
#include "shell/options.h"
#include "shell/split.h"
#include "shell/text.h"

struct shell {
    const struct shell_options *options;
    lam_env *env;         /* owned; NULL unless in memory */
    lam_db *db;           /* owned */
    lam_session *session; /* owned; .user replaces it */
    enum output_mode mode;
    bool timer;
    bool quit;           /* .quit was given */
    unsigned read_depth; /* files being read from within files */
};

/* --- run.c --- */

/* Opens and closes the session of the shell; errors are said on stderr. `user` NULL: the default
 * one. Without a role the user has the one that system.users gives him. */
bool shell_open_session(struct shell *sh, const char *user, const enum lam_role *role);
bool shell_close_session(struct shell *sh);

/* Runs all statements of a text that starts at `place`, printing results on stdout; the whole text
 * is authorised before the first runs. False after an error, which has been printed. */
bool shell_run(struct shell *sh, const char *sql, size_t size, const struct place *place);

/* --- feed.c --- */

/* Statements and dot commands from text that comes in pieces; one statement is held at a time. */
struct feed {
    struct shell *shell; /* borrowed */
    struct text pending; /* not yet run */
    struct splitter split;
    struct place place; /* where `pending` starts */
    bool failed;        /* something has failed */
};
void feed_init(struct feed *f, struct shell *sh, const char *name);
void feed_fini(struct feed *f);
/* Takes text and runs what is complete; false at the first error or .quit. */
bool feed_add(struct feed *f, const char *data, size_t size);
/* Runs what is left without its semicolon. */
bool feed_finish(struct feed *f);
/* Whether a statement has begun and not ended. */
bool feed_inside(const struct feed *f);
/* Forgets what is pending. */
void feed_drop(struct feed *f);
/* Runs a whole stream; `name` for messages, NULL for standard input. False after an error. */
bool feed_stream(struct shell *sh, int fd, const char *name);
bool feed_file(struct shell *sh, const char *path);

/* --- dot.c --- */

/* Runs a dot command, `line` without its newline; false after an error, which has been printed. */
bool dot_run(struct shell *sh, const char *line);

/* --- repl.c --- */

/* Asks for statements until Ctrl-D or .quit. */
void repl_run(struct shell *sh);

/* --- interrupt.c --- */

/* Makes Ctrl-C interrupt the session's statement instead of ending the program. */
void interrupt_install(void);
/* Which session a Ctrl-C is for; NULL: none. */
void interrupt_watch(lam_session *session);
/* Whether Ctrl-C came since interrupt_clear. */
bool interrupt_seen(void);
void interrupt_clear(void);
/* While set, Ctrl-C jumps there (a sigjmp_buf) with 1 instead. */
void interrupt_jump(void *sigjmp);

#endif
