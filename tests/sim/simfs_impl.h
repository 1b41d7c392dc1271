/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the simulated file system. Everything big is shared by reference count between a file
 * system and its clones and images, and copied before it is written: chunks of 4 KB, page maps,
 * name tables, whole nodes. So an image costs what differs, not what there is.
 *
 * Content of a file. `data` is what a read gives, `synced` what the disk has for sure, `dirty` the
 * byte ranges that differ because they were written (or cut off) since the last sync.
 * S1: outside of `dirty`, below both sizes, data and synced are the same, unless `lost`.
 * S2: dirty ranges are sorted, disjoint and not empty.
 * S3: page bytes at or past a content's size are zero.
 * `mid` is one state between the last sync and now, kept when unsynced bytes were written over: a
 * disk may have got that version and not the newest.
 *
 * Names. A directory keeps its entries, those at its last sync and the changes between in order.
 * S4: all `pending` applied to `synced_names` gives `entries`. */
#ifndef LAMINA_TESTS_SIM_SIMFS_IMPL_H
#define LAMINA_TESTS_SIM_SIMFS_IMPL_H

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/env.h"
#include "base/hash.h"
#include "base/rng.h"
#include "tests/sim/sched.h"
#include "tests/sim/simfs.h"

#define PAGE_BYTES 4096u
/* A larger file does not fit the simulated disk. */
#define FILE_BYTES_MAX (UINT64_C(1) << 32)
#define NO_INO         UINT32_MAX
#define ROOT_INO       0u
#define FAULT_SLOTS    4

/* --- content (simfs_content.c) --------------------------------------------------------------- */

struct chunk {
    uint32_t refs; /* pages of maps */
    bool exposed;  /* a caller may edit the bytes behind our back: the hash is not kept */
    bool hashed;
    uint64_t hash; /* of the one page, if hashed */
    uint8_t bytes[];
};

struct page {
    struct chunk *chunk; /* a reference; NULL: zeros */
    uint8_t *bytes;      /* in it */
};

struct map {
    uint32_t refs;
    uint32_t count; /* pages; those past them are zeros */
    uint32_t capacity;
    struct page pages[];
};

struct content {
    struct map *map; /* a reference; NULL: zeros */
    uint64_t size;
};

void *sim_alloc(size_t size);
/* Room for `need` items of `item` bytes. */
void *sim_grow(void *items, uint32_t *capacity, size_t need, size_t item);

struct content content_ref(const struct content *c);
void content_drop(struct content *c);
/* Zeros past the end. */
void content_read(const struct content *c, uint64_t offset, void *data, size_t size);
/* Does not grow the size, which covers the range. NULL: zeros. */
void content_write(struct content *c, uint64_t offset, const void *data, size_t size);
void content_resize(struct content *c, uint64_t size);
/* Bytes [from, to) as in `src`; both sizes stay, `to` is within the size of `dst`. */
void content_copy(struct content *dst, const struct content *src, uint64_t from, uint64_t to);
bool content_same(const struct content *a, const struct content *b, uint64_t from, uint64_t to);
bool content_is_zero(const struct content *c, uint64_t from, uint64_t to);
uint64_t content_hash(const struct content *c);
/* All bytes in one piece, for editing in place until the next write. */
uint8_t *content_flatten(struct content *c);

/* --- nodes and names (simfs_node.c) ---------------------------------------------------------- */

struct name {
    uint32_t refs;
    uint32_t length;
    char text[];
};

struct entry {
    struct name *name; /* a reference */
    uint32_t ino;
};

struct table {
    uint32_t refs;
    uint32_t count;
    uint32_t capacity;
    struct entry items[]; /* by name */
};

/* One step in a directory. Create, link: `added`. Remove: `removed`. Rename: both. A rename to
 * another directory is a step with `added` there, which decides, and one with `removed` here, which
 * `follows`. */
struct change {
    struct name *removed; /* a reference, or NULL */
    struct name *added;   /* a reference, or NULL */
    uint32_t ino;         /* what the name names */
    uint32_t peer;        /* the other directory of a rename, or NO_INO */
    uint64_t id;          /* the same in both */
    bool follows;
};

struct extent {
    uint64_t from, to;
};

/* A file or a directory, shared between file systems: edited only by node_edit. */
struct node {
    uint32_t refs;
    enum lam_path_kind kind;
    /* --- a file --- */
    struct content data;
    struct content synced;
    struct content mid; /* size 0: none */
    struct extent *dirty;
    uint32_t dirty_count, dirty_capacity;
    bool lost; /* a failed sync dropped changes: memory has what the disk lacks */
    /* --- a directory --- */
    struct table *entries; /* a reference; NULL: empty */
    struct table *synced_names;
    struct change *pending;
    uint32_t pending_count, pending_capacity;
};

/* What one file system knows of the node with that number. */
struct slot {
    struct node *node; /* a reference; NULL: free */
    uint32_t links;    /* entries that name it */
    uint32_t opens;    /* handles and locks */
    uint32_t mark;     /* last collection that reached it */
    uint32_t next_free;
    bool locked;
    bool sync_failed; /* since when it has been open */
};

struct fault_slot {
    struct simfs_fault fault;
    uint64_t seen, fired;
};

struct handle {
    struct lam_file base;
    struct simfs *fs;
    struct handle *next; /* of fs->handles: open, or closed and kept to notice later use */
    uint32_t ino;
    bool writable;
    bool closed;
    char path[];
};

struct lam_file_lock {
    struct simfs *fs;
    uint32_t ino;               /* NO_INO: a skipped lock, which excludes nobody */
    struct lam_file_lock *next; /* of all that are held */
};

struct sim_task {
    uint64_t due_ns;
    uint64_t number; /* order of submission */
    enum lam_lane lane;
    lam_task_fn fn;
    void *arg;
};

struct simfs {
    struct lam_env base;
    struct simfs_options options;
    struct choice *choice;
    /* --- nodes --- */
    struct slot *slots; /* by ino */
    uint32_t slot_count, slot_capacity;
    uint32_t free_ino;    /* list through next_free; NO_INO: none */
    uint32_t since_sweep; /* slots taken since garbage was last collected */
    uint32_t sweep;
    uint64_t used; /* bytes of files that have a name or a handle */
    uint64_t change_id;
    /* --- handles --- */
    struct handle *handles;
    uint32_t handle_count;      /* open and closed */
    struct lam_file_lock *held; /* owned by their holders, and when these are gone by us */
    uint32_t open_files, locks;
    bool abandoned, frozen;
    /* --- faults and watching --- */
    struct fault_slot faults[FAULT_SLOTS];
    bool armed; /* any of them */
    simfs_observer observer;
    void *observer_arg;
    uint64_t mutations;
    uint64_t trace;
    char violation[256];
    /* The write that is about to be done, in a phase-0 call; else ino is NO_INO. */
    struct {
        uint32_t ino;
        uint64_t offset;
        const void *data;
        size_t size;
    } inflight;
    /* --- clock, randomness, tasks --- */
    int64_t wall_us;
    uint64_t mono_ns;
    uint64_t sched_seen_ns; /* the scheduler's clock when last looked at */
    uint64_t random_count;
    struct sim_task *tasks;
    uint32_t task_count, task_capacity;
    uint64_t task_number;
    /* --- list of files for editing --- */
    char **paths;
    uint32_t path_count, path_capacity;
    bool paths_valid;
};

static inline struct simfs *simfs_of(lam_env *env) {
    return (struct simfs *)env;
}
static inline struct node *node_of(const struct simfs *fs, uint32_t ino) {
    LAM_ASSERT(ino < fs->slot_count && fs->slots[ino].node);
    return fs->slots[ino].node;
}

/* A file system without options, clock or root. */
struct simfs *simfs_alloc(void);
struct node *node_new(enum lam_path_kind kind);
void node_unref(struct node *n);
/* The node, no longer shared. */
struct node *node_edit(struct simfs *fs, uint32_t ino);
/* Puts a node (whose reference it takes) into a free slot. */
uint32_t slot_take(struct simfs *fs, struct node *n);
/* The names or handles of a slot went by one: a file without any is no longer counted as used. */
void slot_release(struct simfs *fs, uint32_t ino);

struct name *name_new(const char *text, size_t length);
struct table *table_ref(struct table *t);
void table_drop(struct table **t);
uint32_t table_get(const struct table *t, const char *name, size_t length); /* or NO_INO */
void table_put(struct table **t, struct name *name, uint32_t ino);
void table_remove(struct table **t, const struct name *name);
static inline uint32_t table_count(const struct table *t) {
    return t ? t->count : 0;
}

/* Does a change to names of `dir`; skipped (false) when it makes no sense there. */
bool change_apply(struct table **t, const struct change *change);
void change_drop(struct change *change);
/* Changes the entries and keeps the change as pending. Names are borrowed; NULL: none. */
void dir_change(struct simfs *fs, uint32_t dir, struct change change);
void dir_sync_names(struct simfs *fs, uint32_t dir);

/* --- files (simfs_node.c) --- */
void file_mark_dirty(struct node *n, uint64_t from, uint64_t to);
/* Writes, growing the file. */
void file_write_at(struct simfs *fs, uint32_t ino, uint64_t offset, const void *data, size_t size);
void file_resize(struct simfs *fs, uint32_t ino, uint64_t size);
void file_make_durable(struct simfs *fs, uint32_t ino);
static inline bool file_is_dirty(const struct node *n) {
    return n->dirty_count > 0 || n->data.size != n->synced.size;
}

/* --- operations in common (simfs_fault.c) ---------------------------------------------------- */

/* One operation on its way. */
struct call {
    struct simfs *fs;
    enum simfs_op op;
    const char *path, *to;
    uint64_t offset, size;
    uint64_t detail; /* hash of what it read or wrote, for the trace */
    bool hit;        /* by a fault of `effect` */
    enum simfs_effect effect;
    enum lam_code code;
    uint64_t number; /* of a mutation */
    bool dead;       /* frozen */
    uint32_t ino;    /* write: where */
    const void *data;
};

/* Lets others run, counts, shows the operation to the observer; an error if the operation is not to
 * be done. call_end is due whatever it gives. */
enum lam_code call_begin(struct call *c, struct lam_error *err);
enum lam_code call_end(struct call *c, enum lam_code rc, struct lam_error *err);
static inline bool call_skips(const struct call *c) {
    return c->hit && c->effect == SIMFS_SKIP;
}
void violate(struct simfs *fs, const char *format, ...) __attribute__((format(printf, 2, 3)));

extern const struct lam_env_ops simfs_ops;

/* --- open files (simfs_file.c) --- */
struct handle *handle_new(struct simfs *fs, const char *path, uint32_t ino, bool writable);
/* It is open no more. */
void handle_release(struct handle *h);
enum lam_code sim_file_close(lam_file *file, struct lam_error *err);
enum lam_code sim_file_read(lam_file *file, uint64_t offset, void *data, size_t size,
                            size_t *read_out, struct lam_error *err);
enum lam_code sim_file_size(lam_file *file, uint64_t *size_out, struct lam_error *err);
enum lam_code sim_file_write(lam_file *file, uint64_t offset, const void *data, size_t size,
                             struct lam_error *err);
enum lam_code sim_file_truncate(lam_file *file, uint64_t size, struct lam_error *err);
enum lam_code sim_file_allocate(lam_file *file, uint64_t size, struct lam_error *err);
enum lam_code sim_file_sync(lam_file *file, struct lam_error *err);

/* --- clock, randomness, tasks (simfs_clock.c) --- */
void sim_tick(struct simfs *fs);
int64_t sim_now_us(lam_env *env);
uint64_t sim_monotonic_ns(lam_env *env);
void sim_random_bytes(lam_env *env, void *data, size_t size);
enum lam_code sim_submit(lam_env *env, enum lam_lane lane, uint64_t delay_us, lam_task_fn fn,
                         void *arg, struct lam_error *err);
void sim_cancel(lam_env *env, void *arg);
/* A number in [0, n): by choice, but 0 with an odometer, which is for images only. */
uint32_t sim_choose(struct simfs *fs, uint32_t n);

#endif
