/* SPDX-License-Identifier: Apache-2.0
 *
 * The tools' command line. */
#include "shell/tool.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "shell/diag.h"

enum option_letter {
    OPT_HELP = 'h',
    OPT_KEYS_ONLY = 256,
    OPT_HEX,
    OPT_LIMIT,
    OPT_LIST,
    OPT_VERIFY,
    OPT_DELETE,
    OPT_KEEP,
    OPT_ID,
};

struct command {
    const char *name;
    bool (*run)(const struct tool_call *c);
    int least, most; /* arguments; -1: any number */
    const struct option *options;
    const char *help;
};

#define HELP_OPTION                                                                                \
    {"help", no_argument, NULL, OPT_HELP}, {                                                       \
        NULL, 0, NULL, 0                                                                           \
    }
static const struct option no_options[] = {HELP_OPTION};
static const struct option dump_options[] = {{"keys-only", no_argument, NULL, OPT_KEYS_ONLY},
                                             {"hex", no_argument, NULL, OPT_HEX},
                                             {"limit", required_argument, NULL, OPT_LIMIT},
                                             HELP_OPTION};
static const struct option manifest_options[] = {{"limit", required_argument, NULL, OPT_LIMIT},
                                                 HELP_OPTION};
static const struct option backup_options[] = {
    {"list", no_argument, NULL, OPT_LIST},           {"verify", no_argument, NULL, OPT_VERIFY},
    {"delete", required_argument, NULL, OPT_DELETE}, {"keep", required_argument, NULL, OPT_KEEP},
    {"id", required_argument, NULL, OPT_ID},         HELP_OPTION};
static const struct option restore_options[] = {{"id", required_argument, NULL, OPT_ID},
                                                HELP_OPTION};

#define BYTES_HELP                                                                                 \
    "Bytes are printable ASCII; others, blanks and '\\' are \\xHH.\n"                              \
    "\n"                                                                                           \
    "      --keys-only   leave values out\n"                                                       \
    "      --hex         all bytes as hexadecimal digits\n"                                        \
    "      --limit N     at most N operations of each file\n"

static const struct command commands[] = {
    {"stats", tool_stats, 1, 1, no_options,
     "DIR\n\nPrints sizes and counts of the database in DIR, then of each partition under its "
     "name,\n"
     "as the library gives them (lamina/stats.h). Counts of work are those of this reading. DIR\n"
     "must not be open elsewhere; nothing is changed.\n"},
    {"check", tool_check, 1, 1, no_options,
     "DIR\n\nVerifies the database in DIR, which must not be open elsewhere, and changes nothing: "
     "root,\n"
     "manifest, log, every block of every SST; the catalog; every row with its index entries;\n"
     "every cold file with its statistics. Prints FILE:OFFSET: PROBLEM for each finding, with\n"
     "the partition's name in place of the file where it is about records, and\n"
     "note: FILE: TEXT for what a crash left and the next open removes.\n"
     "Exit status 0 without findings, 1 with any or if it could not be checked.\n"},
    {"compact", tool_compact, 1, -1, no_options,
     "DIR [PARTITION...]\n\nCompacts the partitions named, or all, down to their last level.\n"},
    {"dump-sst", tool_dump_sst, 1, -1, dump_options,
     "FILE|DIR...\n\nPrints what SSTs hold, those of a directory by number: a line about the "
     "file,\n"
     "then an operation a line. " BYTES_HELP},
    {"dump-wal", tool_dump_wal, 1, -1, dump_options,
     "FILE|DIR...\n\nPrints what log segments hold, those of a directory by number: an operation "
     "a\n"
     "line in order of commit, then a line about the file. " BYTES_HELP},
    {"dump-manifest", tool_dump_manifest, 1, -1, manifest_options,
     "FILE|DIR...\n\nPrints the edits of manifests, a change a line; of a directory its root and\n"
     "the manifest that this names.\n"
     "\n"
     "      --limit N     at most N lines of each file\n"},
    {"checkpoint", tool_checkpoint, 2, 2, no_options,
     "DIR TARGET\n\nMakes TARGET a copy of the database in DIR, by hard links where the file "
     "system\n"
     "has them. TARGET must not exist.\n"},
    {"backup", tool_backup, 1, 2, backup_options,
     "DIR BACKUPS\n       lamina db backup --list|--verify|--delete ID|--keep N BACKUPS\n\n"
     "Adds a backup of the database in DIR to directory BACKUPS, which is made if it is\n"
     "missing, and prints its number. Files that an earlier one has are not copied again.\n"
     "\n"
     "      --list        print the backups, one a line\n"
     "      --verify      read all files of a backup and compare their checksums\n"
     "      --id ID       of --verify: which backup (default: the newest)\n"
     "      --delete ID   remove a backup\n"
     "      --keep N      remove all but the newest N, after the new one if there is a DIR\n"},
    {"restore", tool_restore, 2, 2, restore_options,
     "BACKUPS TARGET\n\nMakes TARGET the database that a backup holds. TARGET must not exist.\n"
     "\n"
     "      --id ID       which backup (default: the newest)\n"},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void print_commands(FILE *out) {
    fputs("Usage: lamina db COMMAND ARGUMENTS\n\nCommands:\n", out);
    for (size_t i = 0; i < COMMANDS; i++) {
        const char *end = strchr(commands[i].help, '\n');
        fprintf(out, "  %-14s %.*s\n", commands[i].name, (int)(end - commands[i].help),
                commands[i].help);
    }
    fputs("\n`lamina db COMMAND --help` tells more. (A database in a directory named db is ./db.)\n"
          "\nExit status: 0 fine, 1 a problem was found or something failed, 2 wrong usage.\n",
          out);
}

int tool_misused(const char *command, const char *what, const char *value) {
    fprintf(stderr, "lamina db%s%s: %s%s%s%s\nTry: lamina db%s%s --help\n", command ? " " : "",
            command ? command : "", what, value ? " \"" : "", value ? value : "", value ? "\"" : "",
            command ? " " : "", command ? command : "");
    return 2;
}

/* A number from 1; `zero` allows 0, too. */
static bool parse_number(const char *text, bool zero, uint64_t *out) {
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    *out = n;
    return *text >= '0' && *text <= '9' && !*end && errno == 0 && (zero || n > 0);
}

/* 0 to go on. */
static int take_option(const struct command *cmd, struct tool_call *c, int letter) {
    switch (letter) {
    case OPT_KEYS_ONLY:
        c->keys_only = true;
        return 0;
    case OPT_HEX:
        c->hex = true;
        return 0;
    case OPT_LIST:
        c->list = true;
        return 0;
    case OPT_VERIFY:
        c->verify = true;
        return 0;
    case OPT_LIMIT:
        return parse_number(optarg, true, &c->limit)
                   ? 0
                   : tool_misused(cmd->name, "--limit wants a number, not", optarg);
    case OPT_DELETE:
        return parse_number(optarg, false, &c->delete)
                   ? 0
                   : tool_misused(cmd->name, "--delete wants the number of a backup, not", optarg);
    case OPT_KEEP:
        return parse_number(optarg, false, &c->keep)
                   ? 0
                   : tool_misused(cmd->name, "--keep wants a number from 1, not", optarg);
    case OPT_ID:
        return parse_number(optarg, false, &c->id)
                   ? 0
                   : tool_misused(cmd->name, "--id wants the number of a backup, not", optarg);
    default: /* getopt_long has said what is wrong */
        fprintf(stderr, "Try: lamina db %s --help\n", cmd->name);
        return 2;
    }
}

/* Of `backup`, what is not said by the number of arguments alone. */
static const char *check_backup(const struct tool_call *c) {
    int asked = c->list + c->verify + (c->delete != 0) + (c->keep != 0);
    if (asked > 1)
        return "only one of --list, --verify, --delete and --keep";
    if (c->id && !c->verify)
        return "--id goes with --verify";
    if (c->arg_count == 2 && (c->list || c->verify || c->delete))
        return "--list, --verify and --delete take only the directory of backups";
    if (c->arg_count == 1 && asked == 0)
        return "no directory of backups given";
    return NULL;
}

static int run_command(const struct command *cmd, int argc, char **argv) {
    struct tool_call c = {.limit = UINT64_MAX};
    char name[40];
    int letter;
    snprintf(name, sizeof name, "lamina db %s", cmd->name);
    argv[0] = name; /* getopt_long's messages begin with it */
    optind = 1;
    while ((letter = getopt_long(argc, argv, "h", cmd->options, NULL)) != -1) {
        if (letter == OPT_HELP) {
            printf("Usage: lamina db %s %s", cmd->name, cmd->help);
            return 0;
        }
        int bad = take_option(cmd, &c, letter);
        if (bad)
            return bad;
    }
    c.args = argv + optind;
    c.arg_count = argc - optind;
    if (c.arg_count < cmd->least)
        return tool_misused(cmd->name, "an argument is missing", NULL);
    if (cmd->most >= 0 && c.arg_count > cmd->most)
        return tool_misused(cmd->name, "one argument too many:", c.args[cmd->most]);
    const char *wrong = cmd->run == tool_backup ? check_backup(&c) : NULL;
    if (wrong)
        return tool_misused(cmd->name, wrong, NULL);
    return cmd->run(&c) ? 0 : 1;
}

int tool_run(int argc, char **argv) {
    const char *names[COMMANDS + 1];
    if (argc < 1) {
        print_commands(stderr);
        return 2;
    }
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        print_commands(stdout);
        return 0;
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[0], commands[i].name) == 0)
            return run_command(&commands[i], argc, argv);
        names[i] = commands[i].name;
    }
    names[COMMANDS] = NULL;
    const char *near = nearest_name(argv[0], names);
    if (near)
        fprintf(stderr, "lamina db: there is no command \"%s\"; did you mean %s?\n", argv[0], near);
    else
        tool_misused(NULL, "there is no command", argv[0]);
    return 2;
}

void tool_error(const struct lam_error *err) {
    fflush(stdout); /* what was readable stands before the error */
    fputs("lamina db: ", stderr);
    diag_text(err);
}

/* --- databases ------------------------------------------------------------------------------ */

lam_db *tool_open(const char *directory, bool read_only) {
    struct lam_error err = {0};
    struct lam_options options = {.must_exist = true, .read_only = read_only};
    lam_db *db;
    if (lam_db_open(directory, &options, &db, &err) == LAM_OK)
        return db;
    tool_error(&err);
    return NULL;
}

bool tool_close(lam_db *db) {
    struct lam_error err = {0};
    if (lam_db_close(db, &err) == LAM_OK)
        return true;
    tool_error(&err);
    return false;
}

/* --- progress ------------------------------------------------------------------------------- */

#define QUIET_MS 1000
#define EACH_MS  100

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool tool_progress(void *arg, const struct lam_progress *now) {
    struct tool_progress *p = arg;
    int64_t ms = now_ms();
    if (!p->started_ms)
        p->started_ms = ms;
    if (!isatty(STDERR_FILENO) || ms - p->started_ms < QUIET_MS || ms - p->shown_ms < EACH_MS)
        return true;
    p->shown_ms = ms;
    p->shown = true;
    unsigned percent = now->bytes_total && now->bytes_done < now->bytes_total
                           ? (unsigned)(100.0 * (double)now->bytes_done / (double)now->bytes_total)
                           : 100;
    fprintf(stderr, "\r\033[K%3u%%  %llu of %llu files, %llu of %llu MiB", percent,
            (unsigned long long)now->files_done, (unsigned long long)now->files_total,
            (unsigned long long)now->bytes_done >> 20, (unsigned long long)now->bytes_total >> 20);
    return true;
}

void tool_progress_end(struct tool_progress *p) {
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}
