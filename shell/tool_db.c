/* SPDX-License-Identifier: Apache-2.0
 *
 * Tools that work on a whole database: stats, check, compact, checkpoint, backup, restore. */
#include <stdio.h>
#include <time.h>

#include "shell/tool.h"

/* Says the error; whether there was none. */
static bool fine(enum lam_code rc, const struct lam_error *err) {
    if (rc != LAM_OK)
        tool_error(err);
    return rc == LAM_OK;
}

/* The same after work with progress, which is taken away. */
static bool done(struct tool_progress *p, enum lam_code rc, const struct lam_error *err) {
    tool_progress_end(p);
    return fine(rc, err);
}

/* --- stats ---------------------------------------------------------------------------------- */

struct stats {
    lam_db *db;
    enum lam_code code;
    struct lam_error err;
};

/* A line with the name, then the partition's own. */
static bool print_partition(void *arg, const char *name) {
    struct stats *s = arg;
    char text[LAM_STATS_TEXT_MAX];
    size_t size;
    lam_partition *p = NULL;
    struct text shown = {0};
    s->code = lam_partition_open(s->db, name, &p, &s->err);
    if (s->code == LAM_OK)
        s->code = lam_partition_stats_text(s->db, p, text, sizeof text, &size, &s->err);
    lam_partition_release(p);
    if (s->code == LAM_OK) {
        text_add_visible(&shown, name, strlen(name));
        printf("partition %s\n%s", text_str(&shown), text);
    }
    text_fini(&shown);
    return s->code == LAM_OK;
}

bool tool_stats(const struct tool_call *c) {
    char text[LAM_STATS_TEXT_MAX];
    size_t size;
    struct stats s = {.db = tool_open(c->args[0], true)};
    if (!s.db)
        return false;
    enum lam_code rc = lam_db_stats_text(s.db, text, sizeof text, &size, &s.err);
    if (rc == LAM_OK) {
        printf("%s", text);
        rc = lam_partition_list(s.db, print_partition, &s, &s.err);
    }
    if (rc == LAM_OK)
        rc = s.code;
    bool ok = fine(rc, &s.err);
    return tool_close(s.db) && ok;
}

/* --- check ---------------------------------------------------------------------------------- */

struct check {
    struct tool_progress progress; /* first: tool_progress gets the whole */
    uint64_t findings;
};

static void print_finding(void *arg, const char *file, uint64_t offset, const char *problem) {
    struct check *k = arg;
    size_t size = strlen(file);
    tool_progress_end(&k->progress);
    k->findings++;
    /* Most say the place themselves. */
    if (strncmp(problem, file, size) == 0 && strncmp(problem + size, ": offset ", 9) == 0) {
        const char *colon = strstr(problem + size + 9, ": ");
        problem = colon ? colon + 2 : problem;
    }
    printf("%s:%llu: %s\n", file, (unsigned long long)offset, problem);
}

static void print_note(void *arg, const char *file, uint64_t offset, const char *what) {
    struct check *k = arg;
    (void)offset;
    tool_progress_end(&k->progress);
    printf("note: %s: %s\n", file, what);
}

bool tool_check(const struct tool_call *c) {
    return tool_check_directory(c->args[0]);
}

bool tool_check_directory(const char *directory) {
    struct lam_error err = {0};
    struct check k = {0};
    struct lam_check_options o = {
        .finding = print_finding, .progress = tool_progress, .arg = &k, .note = print_note};
    enum lam_code rc = lam_check_full(directory, &o, &err);
    tool_progress_end(&k.progress);
    if (rc == LAM_OK)
        printf("%s: no problem found\n", directory);
    else if (k.findings > 0)
        printf("%s: %llu problem%s found\n", directory, (unsigned long long)k.findings,
               k.findings == 1 ? "" : "s");
    else
        tool_error(&err);
    return rc == LAM_OK;
}

/* --- compact -------------------------------------------------------------------------------- */

/* `name` NULL: every partition. */
static bool compact_one(lam_db *db, const char *name) {
    struct lam_error err = {0};
    struct tool_progress progress = {0};
    struct lam_slice none = {0};
    lam_partition *p = NULL;
    enum lam_code rc = LAM_OK;
    if (name)
        rc = lam_partition_open(db, name, &p, &err);
    if (rc == LAM_OK)
        rc = lam_db_compact_range(db, p, none, none, tool_progress, &progress, &err);
    lam_partition_release(p);
    return done(&progress, rc, &err);
}

bool tool_compact(const struct tool_call *c) {
    lam_db *db = tool_open(c->args[0], false);
    if (!db)
        return false;
    bool ok = c->arg_count > 1 || compact_one(db, NULL);
    for (int i = 1; i < c->arg_count && ok; i++)
        ok = compact_one(db, c->args[i]);
    return tool_close(db) && ok;
}

/* --- copies --------------------------------------------------------------------------------- */

bool tool_checkpoint(const struct tool_call *c) {
    struct lam_error err = {0};
    lam_db *db = tool_open(c->args[0], false);
    if (!db)
        return false;
    bool ok = fine(lam_db_checkpoint(db, c->args[1], &err), &err);
    return tool_close(db) && ok;
}

static bool print_backup(void *arg, const struct lam_backup *b) {
    (void)arg;
    char when[32] = "?";
    time_t seconds = (time_t)(b->created_us / 1000000);
    struct tm utc;
    if (gmtime_r(&seconds, &utc))
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    printf("backup %llu created=%s sequence=%llu files=%llu bytes=%llu own_bytes=%llu\n",
           (unsigned long long)b->id, when, (unsigned long long)b->sequence,
           (unsigned long long)b->files, (unsigned long long)b->bytes,
           (unsigned long long)b->own_bytes);
    return true;
}

static bool add_backup(const struct tool_call *c) {
    struct lam_error err = {0};
    struct tool_progress progress = {0};
    uint64_t id = 0;
    lam_db *db = tool_open(c->args[0], false);
    if (!db)
        return false;
    enum lam_code rc = lam_db_backup(db, c->args[1], tool_progress, &progress, &id, &err);
    bool ok = done(&progress, rc, &err);
    if (ok)
        printf("backup %llu\n", (unsigned long long)id);
    if (!tool_close(db) || !ok)
        return false;
    return !c->keep || done(&progress, lam_backup_purge(c->args[1], NULL, c->keep, &err), &err);
}

bool tool_backup(const struct tool_call *c) {
    struct lam_error err = {0};
    struct tool_progress progress = {0};
    const char *dir = c->args[0];
    enum lam_code rc;
    if (c->arg_count == 2)
        return add_backup(c);
    if (c->list)
        rc = lam_backup_list(dir, NULL, print_backup, NULL, &err);
    else if (c->verify)
        rc = lam_backup_verify(dir, NULL, c->id, tool_progress, &progress, &err);
    else if (c->delete)
        rc = lam_backup_delete(dir, NULL, c->delete, &err);
    else
        rc = lam_backup_purge(dir, NULL, c->keep, &err);
    return done(&progress, rc, &err);
}

bool tool_restore(const struct tool_call *c) {
    struct lam_error err = {0};
    struct tool_progress progress = {0};
    return done(
        &progress,
        lam_backup_restore(c->args[0], NULL, c->id, c->args[1], tool_progress, &progress, &err),
        &err);
}
