/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps of the canonical workload that copy the whole database. Each begins with removing what an
 * earlier try has left, so it may be tried again. */
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "tests/fault/script_impl.h"

#define NAMES_MAX 256

struct names {
    char items[NAMES_MAX][64];
    size_t count;
};

static bool note_name(void *arg, const char *name) {
    struct names *n = arg;
    if (n->count == NAMES_MAX || strlen(name) >= sizeof n->items[0])
        abort();
    strcpy(n->items[n->count++], name);
    return true;
}

static enum lam_code remove_tree(struct script *s, const char *path) {
    enum lam_path_kind kind;
    enum lam_code rc = env_path_kind(s->env, path, &kind, &s->err);
    if (rc != LAM_OK || kind == LAM_PATH_NONE)
        return rc;
    if (kind != LAM_PATH_DIRECTORY)
        return env_file_remove(s->env, path, &s->err);
    struct names *names = calloc(1, sizeof *names);
    if (!names)
        abort();
    rc = env_dir_list(s->env, path, note_name, names, &s->err);
    for (size_t i = 0; i < names->count && rc == LAM_OK; i++) {
        char child[1024];
        snprintf(child, sizeof child, "%s/%s", path, names->items[i]);
        rc = remove_tree(s, child);
    }
    free(names);
    return rc == LAM_OK ? s->env->ops->dir_remove(s->env, path, &s->err) : rc;
}

/* "<directory of the database>-<what>" */
static const char *beside(const struct script *s, const char *what, char out[600]) {
    snprintf(out, 600, "%s-%s", s->dir, what);
    return out;
}

static enum lam_code remove_copies(struct script *s) {
    static const char *const all[] = {"copy", "copy.unfinished", "backups"};
    enum lam_code rc = LAM_OK;
    char path[600];
    for (size_t i = 0; i < sizeof all / sizeof *all && rc == LAM_OK; i++)
        rc = remove_tree(s, beside(s, all[i], path));
    return rc;
}

enum lam_code script_checkpoint(struct script *s, unsigned arg) {
    char path[600];
    (void)arg;
    beside(s, "copy", path);
    enum lam_code rc = remove_copies(s);
    if (rc == LAM_OK)
        rc = lam_db_checkpoint(s->db, path, &s->err);
    if (rc == LAM_OK)
        rc = lam_check_full(path, &(struct lam_check_options){.env = s->env}, &s->err);
    return rc == LAM_OK ? remove_copies(s) : rc;
}

enum lam_code script_backup(struct script *s, unsigned arg) {
    char dir[600], path[600];
    uint64_t first = 0, second = 0;
    (void)arg;
    beside(s, "backups", dir);
    beside(s, "copy", path);
    enum lam_code rc = remove_copies(s);
    if (rc == LAM_OK)
        rc = lam_db_backup(s->db, dir, NULL, NULL, &first, &s->err);
    if (rc == LAM_OK)
        rc = lam_db_backup(s->db, dir, NULL, NULL, &second, &s->err);
    if (rc == LAM_OK && (first != 1 || second != 2))
        abort();
    if (rc == LAM_OK)
        rc = lam_backup_delete(dir, s->env, first, &s->err);
    if (rc == LAM_OK)
        rc = lam_backup_restore(dir, s->env, 0, path, NULL, NULL, &s->err);
    if (rc == LAM_OK)
        rc = lam_check_full(path, &(struct lam_check_options){.env = s->env}, &s->err);
    return rc == LAM_OK ? remove_copies(s) : rc;
}
