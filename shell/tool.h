/* SPDX-License-Identifier: Apache-2.0
 *
 * `lamina db COMMAND ...`: tools that work on a database's files or on the whole of it. Output is
 * plain, one thing a line, for people and scripts alike. */
#ifndef LAMINA_SHELL_TOOL_H
#define LAMINA_SHELL_TOOL_H

#include "lamina/lamina.h"
#include "shell/text.h"

/* What a command was called with. */
struct tool_call {
    char **args; /* without options */
    int arg_count;
    bool keys_only;
    bool hex;
    bool list;
    uint64_t limit;  /* UINT64_MAX: none */
    uint64_t id;     /* 0: not given */
    uint64_t keep;   /* 0: not given */
    uint64_t delete; /* 0: not given */
    bool verify;
};

/* Runs the command that argv[0] names; the exit status: 0 fine, 1 a problem or a failure, 2 wrong
 * usage. */
int tool_run(int argc, char **argv);

/* Says on stderr what is wrong with the usage of a command; returns 2. */
int tool_misused(const char *command, const char *what, const char *value);

/* --- commands; false after a problem, which has been said --- */
bool tool_stats(const struct tool_call *c);
bool tool_check(const struct tool_call *c);
bool tool_check_directory(const char *directory);
bool tool_compact(const struct tool_call *c);
bool tool_dump_sst(const struct tool_call *c);
bool tool_dump_wal(const struct tool_call *c);
bool tool_dump_manifest(const struct tool_call *c);
bool tool_checkpoint(const struct tool_call *c);
bool tool_backup(const struct tool_call *c);
bool tool_restore(const struct tool_call *c);

/* Prints an error of the library on stderr. */
void tool_error(const struct lam_error *err);
/* Opens the database of a tool, which makes none; NULL with the error said. */
lam_db *tool_open(const char *directory, bool read_only);
/* Closes it; false after an error, which has been said. */
bool tool_close(lam_db *db);

/* A lam_progress_fn for long work: when stderr is a terminal, a line that is written over, from the
 * second second on. `arg`: an all-zero struct. */
struct tool_progress {
    int64_t started_ms, shown_ms;
    bool shown;
};
bool tool_progress(void *arg, const struct lam_progress *now);
/* Takes the line away. */
void tool_progress_end(struct tool_progress *p);

#endif
