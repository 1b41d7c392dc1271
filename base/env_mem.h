/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the in-memory environment: a tree of inodes that remembers, beside what is, what a
 * power loss would leave.
 *
 * Content: an inode keeps its bytes, the size at the last sync and, for each 512-byte unit changed
 * since, the unit as it was synced (`undo`). M1: a unit that starts below synced_size and has no
 * undo entry is the same now as it was synced. One that starts at or past it was never synced: it
 * was zeros.
 *
 * Names: a directory keeps its entries, those at its last dir_sync, and the changes between in
 * order. M2: applying all `pending` to `synced` gives `entries`.
 *
 * All inodes hang on one list of the environment; one is freed when no entry, pending change or
 * handle refers to it. */
#ifndef LAMINA_BASE_ENV_MEM_H
#define LAMINA_BASE_ENV_MEM_H

#include "base/env.h"
#include "base/thread.h"

#define MEM_UNIT 512

struct inode;

struct dir_entry {
    char *name;          /* owned */
    struct inode *inode; /* a reference */
};

struct dir_table {
    struct dir_entry *items; /* by name; owned */
    size_t count;
    size_t capacity;
};

/* One atomic step in a directory: `removed` goes (may be NULL), `added` comes (may be NULL),
 * replacing what had the name. */
struct name_change {
    char *removed;       /* owned */
    char *added;         /* owned */
    struct inode *inode; /* of `added`; a reference */
};

struct unit_undo {
    uint64_t unit;           /* number of the unit */
    uint8_t bytes[MEM_UNIT]; /* as last synced, zeros past the synced size */
};

struct inode {
    struct inode *prev; /* list of all inodes of the environment */
    struct inode *next;
    enum lam_path_kind kind;
    size_t refs; /* entries, pending changes, open handles */
    bool locked; /* by file_lock */
    /* --- a file --- */
    uint8_t *data; /* owned */
    size_t size;
    size_t capacity;
    size_t synced_size;
    struct unit_undo *undo; /* owned; in order of first change */
    size_t undo_count;
    size_t undo_capacity;
    uint8_t *changed; /* bitmap: units of [0, synced_size) with an undo entry; owned */
    size_t changed_capacity;
    /* --- a directory --- */
    struct dir_table entries;
    struct dir_table synced;
    struct name_change *pending; /* oldest first; owned */
    size_t pending_count;
    size_t pending_capacity;
    /* --- while an image is made --- */
    struct inode *image; /* counterpart there, or NULL */
};

struct mem_env {
    struct lam_env base;
    struct lam_env_ops ops;
    struct mutex mu; /* RANK_ENV */
    struct mem_env_guarded {
        struct inode *inodes; /* all of them; owned */
        struct inode *root;   /* one reference */
        uint64_t ops;         /* mutating operations so far */
    } guarded_;               /* by mu */
};

static inline struct mem_env_guarded *mem_state(struct mem_env *env) REQUIRES(env->mu) {
    return &env->guarded_;
}
static inline struct mem_env *mem_env_of(lam_env *env) {
    return (struct mem_env *)env;
}

/* --- inodes and tables (env_mem_inode.c); the environment's mutex is held --- */

/* Returns an inode with one reference, or NULL. */
struct inode *mem_inode_new(struct mem_env_guarded *s, enum lam_path_kind kind);
void mem_inode_unref(struct mem_env_guarded *s, struct inode *n);
/* Frees it whatever refers to it. */
void mem_inode_free(struct mem_env_guarded *s, struct inode *n);

MUST_CHECK enum lam_code mem_inode_write(struct inode *n, uint64_t offset, const void *data,
                                         size_t size, struct lam_error *err);
MUST_CHECK enum lam_code mem_inode_resize(struct inode *n, uint64_t size, struct lam_error *err);
void mem_inode_sync(struct inode *n);

struct inode *mem_table_get(const struct dir_table *t, struct lam_slice name);
/* Names `n` (which gains a reference), replacing what has the name. */
MUST_CHECK enum lam_code mem_table_put(struct mem_env_guarded *s, struct dir_table *t,
                                       struct lam_slice name, struct inode *n,
                                       struct lam_error *err);
void mem_table_remove(struct mem_env_guarded *s, struct dir_table *t, struct lam_slice name);

/* Removes and adds names in a directory, now and, once synced, for good. On failure nothing has
 * changed. `removed` and `added` may be empty, `n` is of `added`. */
MUST_CHECK enum lam_code mem_dir_change(struct mem_env_guarded *s, struct inode *dir,
                                        struct lam_slice removed, struct lam_slice added,
                                        struct inode *n, struct lam_error *err);
/* Applies all pending changes to the synced names. */
MUST_CHECK enum lam_code mem_dir_sync(struct mem_env_guarded *s, struct inode *dir,
                                      struct lam_error *err);

#endif
