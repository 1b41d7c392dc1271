/* SPDX-License-Identifier: Apache-2.0
 *
 * Mutations of files, each by its index. */
#include "tests/fault/corrupt.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#define UNIT   16
#define SECTOR 512
#define PIECE  64

enum file_kind { KIND_ROOT, KIND_LOCK, KIND_MANIFEST, KIND_WAL, KIND_SST, KIND_SEGMENT, KIND_JSON };

struct file {
    char path[200];
    enum file_kind kind;
    const uint8_t *bytes; /* borrowed from the file system */
    size_t size;
};

struct files {
    struct file *items; /* by path */
    size_t count;
};

struct pair {
    size_t a, b;
};

struct corrupt_target {
    struct simfs *now; /* borrowed, as are the others */
    struct files files, old_files, sibling_files, foreign_files;
    uint64_t bytes; /* of all files */
    struct pair *swaps, *stale, *siblings, *foreign;
    size_t swap_count, stale_count, sibling_count, foreign_count;
    char directories[16][200]; /* below the database's */
    size_t directory_count;
};

const char *corrupt_kind_name(enum corrupt_kind kind) {
    static const char *const names[CORRUPT_KINDS] = {
#define CORRUPT_NAME(name, text) #name,
        CORRUPT_KIND_LIST(CORRUPT_NAME)
#undef CORRUPT_NAME
    };
    return names[kind];
}

/* --- the files ------------------------------------------------------------------------------ */

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static enum file_kind kind_of(const char *path) {
    static const struct {
        const char *end;
        enum file_kind kind;
    } ends[] = {{"/ROOT", KIND_ROOT}, {"/LOCK", KIND_LOCK},       {".wal", KIND_WAL},
                {".sst", KIND_SST},   {".parquet", KIND_SEGMENT}, {".json", KIND_JSON}};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (ends_with(path, ends[i].end))
            return ends[i].kind;
    return KIND_MANIFEST;
}

static void list_files(struct simfs *fs, struct files *out) {
    out->count = simfs_file_count(fs);
    out->items = calloc(out->count + 1, sizeof *out->items);
    if (!out->items)
        abort();
    for (size_t i = 0; i < out->count; i++) {
        struct file *f = &out->items[i];
        snprintf(f->path, sizeof f->path, "%s", simfs_file_path(fs, i));
        f->kind = kind_of(f->path);
        f->bytes = simfs_file_bytes(fs, f->path, &f->size);
    }
}

static bool same_bytes(const struct file *a, const struct file *b) {
    return a->size == b->size && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

/* Pairs of files of one kind with different bytes. `ordered`: both ways round. */
static size_t pair_up(const struct files *to, const struct files *from, bool ordered,
                      struct pair **out) {
    size_t n = 0;
    *out = calloc(to->count * from->count + 1, sizeof **out);
    if (!*out)
        abort();
    for (size_t a = 0; a < to->count; a++)
        for (size_t b = ordered ? 0 : a + 1; b < from->count; b++)
            if (to->items[a].kind == from->items[b].kind &&
                !same_bytes(&to->items[a], &from->items[b]))
                (*out)[n++] = (struct pair){a, b};
    return n;
}

/* Pairs of files of one name with different bytes. */
static size_t pair_names(const struct files *to, const struct files *from, struct pair **out) {
    size_t n = 0;
    *out = calloc(to->count + 1, sizeof **out);
    if (!*out)
        abort();
    for (size_t a = 0; a < to->count; a++)
        for (size_t b = 0; b < from->count; b++)
            if (strcmp(to->items[a].path, from->items[b].path) == 0 &&
                !same_bytes(&to->items[a], &from->items[b]))
                (*out)[n++] = (struct pair){a, b};
    return n;
}

static void add_directory(struct corrupt_target *t, const char *path, size_t size) {
    for (size_t i = 0; i < t->directory_count; i++)
        if (strlen(t->directories[i]) == size && memcmp(t->directories[i], path, size) == 0)
            return;
    if (t->directory_count == sizeof t->directories / sizeof t->directories[0])
        abort();
    snprintf(t->directories[t->directory_count++], sizeof t->directories[0], "%.*s", (int)size,
             path);
}

static void list_directories(struct corrupt_target *t) {
    size_t base = strlen(CORRUPT_DIR);
    for (size_t i = 0; i < t->files.count; i++) {
        const char *path = t->files.items[i].path;
        for (const char *at = strchr(path + base + 1, '/'); at; at = strchr(at + 1, '/'))
            add_directory(t, path, (size_t)(at - path));
    }
}

struct corrupt_target *corrupt_target_new(struct simfs *now, struct simfs *old,
                                          struct simfs *sibling, struct simfs *foreign) {
    struct corrupt_target *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    t->now = now;
    list_files(now, &t->files);
    for (size_t i = 0; i < t->files.count; i++)
        t->bytes += t->files.items[i].size;
    t->swap_count = pair_up(&t->files, &t->files, false, &t->swaps);
    if (old) {
        list_files(old, &t->old_files);
        t->stale_count = pair_up(&t->files, &t->old_files, true, &t->stale);
    }
    if (sibling) {
        list_files(sibling, &t->sibling_files);
        t->sibling_count = pair_names(&t->files, &t->sibling_files, &t->siblings);
    }
    if (foreign) {
        list_files(foreign, &t->foreign_files);
        t->foreign_count = pair_up(&t->files, &t->foreign_files, true, &t->foreign);
    }
    list_directories(t);
    return t;
}

void corrupt_target_free(struct corrupt_target *t) {
    free(t->files.items);
    free(t->old_files.items);
    free(t->sibling_files.items);
    free(t->foreign_files.items);
    free(t->swaps);
    free(t->stale);
    free(t->siblings);
    free(t->foreign);
    free(t);
}

/* --- places in all files -------------------------------------------------------------------- */

static uint64_t pieces(const struct corrupt_target *t, size_t size) {
    uint64_t n = 0;
    for (size_t i = 0; i < t->files.count; i++)
        n += (t->files.items[i].size + size - 1) / size;
    return n;
}

/* The file that piece `index` of `size` bytes lies in; `*at` is its offset. */
static const struct file *find_piece(const struct corrupt_target *t, uint64_t index, size_t size,
                                     size_t *at) {
    for (size_t i = 0; i < t->files.count; i++) {
        uint64_t n = (t->files.items[i].size + size - 1) / size;
        if (index < n) {
            *at = (size_t)index * size;
            return &t->files.items[i];
        }
        index -= n;
    }
    abort();
}

/* Ordered pairs of different pieces of one file. */
static uint64_t piece_pairs(const struct corrupt_target *t, size_t size) {
    uint64_t n = 0;
    for (size_t i = 0; i < t->files.count; i++) {
        uint64_t k = (t->files.items[i].size + size - 1) / size;
        n += k > 1 ? k * (k - 1) : 0;
    }
    return n;
}

static const struct file *find_piece_pair(const struct corrupt_target *t, uint64_t index,
                                          size_t size, size_t *to, size_t *from) {
    for (size_t i = 0; i < t->files.count; i++) {
        uint64_t k = (t->files.items[i].size + size - 1) / size;
        uint64_t n = k > 1 ? k * (k - 1) : 0;
        if (index < n) {
            uint64_t a = index / (k - 1), b = index % (k - 1);
            *to = (size_t)a * size;
            *from = (size_t)(b + (b >= a)) * size;
            return &t->files.items[i];
        }
        index -= n;
    }
    abort();
}

/* --- strays --------------------------------------------------------------------------------- */

static const char *const strays[] = {
    "ROOT.tmp",
    "MANIFEST-009999",
    "MANIFEST-009999.tmp",
    "009999.sst",
    "009999.wal",
    "009999.sst.tmp",
    "009999.wal.tmp",
    "LOCK.tmp",
    "notes.txt",
    ".hidden",
    "000000.sst",
    "99999999999999.wal",
    "MANIFEST-",
    "x.sst",
    "ROOT.old",
    "cold/notes.txt",
    "cold/default/.tmp",
    "cold/default/notes/batch-99-00000000.parquet",
    "cold/default/notes/batch-99-00000000.parquet.tmp",
    "cold/default/notes/manifest.json.tmp",
    "cold/batch-1-00000000.parquet",
};
#define STRAYS         (sizeof strays / sizeof strays[0])
#define STRAY_FILLINGS 3 /* nothing, noise, a copy of a file of ours */

/* --- counting ------------------------------------------------------------------------------- */

#define EXTENSIONS 6

uint64_t corrupt_count(const struct corrupt_target *t, enum corrupt_kind kind) {
    uint64_t n = t->files.count;
    switch (kind) {
    case CORRUPT_BIT:
        return t->bytes * 8;
    case CORRUPT_TRUNCATE:
        return t->bytes;
    case CORRUPT_EXTEND:
        return n * EXTENSIONS;
    case CORRUPT_BYTE:
        return t->bytes * 3;
    case CORRUPT_ZEROS:
        return pieces(t, UNIT);
    case CORRUPT_SECTOR:
        return piece_pairs(t, SECTOR) + piece_pairs(t, PIECE);
    case CORRUPT_REMOVE:
    case CORRUPT_DIRECTORY:
        return n;
    case CORRUPT_REMOVE_2:
        return n * (n - 1) / 2;
    case CORRUPT_SWAP:
        return t->swap_count;
    case CORRUPT_DOUBLE:
        return n * 2;
    case CORRUPT_STALE:
        return t->stale_count;
    case CORRUPT_SIBLING:
        return t->sibling_count;
    case CORRUPT_FOREIGN:
        return t->foreign_count;
    case CORRUPT_STRAY:
        return STRAYS * STRAY_FILLINGS;
    case CORRUPT_NO_DIRECTORY:
        return t->directory_count;
    case CORRUPT_KINDS:
        break;
    }
    abort();
}

/* What a closed database may consist of (docs/FORMAT.md). */
static const char *const file_kinds[CORRUPT_FILE_KINDS] = {
    "*/ROOT",
    "*/LOCK",
    "*/MANIFEST-*",
    "*.wal",
    "*.sst",
    "*/notes/batch-*.parquet",
    "*/mail/*/batch-*.parquet",
    "*/schema_v*.json",
    "*/current.json",
    "*/manifest.json",
};

unsigned corrupt_file_kinds(const struct corrupt_target *t) {
    bool there[CORRUPT_FILE_KINDS] = {false};
    unsigned n = 0;
    for (size_t i = 0; i < t->files.count; i++) {
        size_t k = 0;
        while (k < CORRUPT_FILE_KINDS && fnmatch(file_kinds[k], t->files.items[i].path, 0) != 0)
            k++;
        if (k == CORRUPT_FILE_KINDS) {
            fprintf(stderr, "%s is of no kind that is known here\n", t->files.items[i].path);
            abort();
        }
        n += !there[k];
        there[k] = true;
    }
    return n;
}

/* --- doing ---------------------------------------------------------------------------------- */

/* A copy being damaged. */
struct damaging {
    const struct corrupt_target *t;
    struct simfs *fs;
    struct corrupt_damage *out;
};

static void say(struct damaging *d, const struct file *f, const char *text) {
    snprintf(d->out->path, sizeof d->out->path, "%s", f->path);
    snprintf(d->out->text, sizeof d->out->text, "%s: %s", f->path, text);
}

static uint8_t *bytes_of(struct damaging *d, const struct file *f) {
    size_t size;
    uint8_t *bytes = simfs_file_bytes(d->fs, f->path, &size);
    if (!bytes || size != f->size)
        abort();
    return bytes;
}

static void fill_noise(uint8_t *to, size_t size, uint64_t seed) {
    struct rng rng;
    rng_init(&rng, seed);
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)rng_next(&rng);
}

static void flip(struct damaging *d, uint64_t bit) {
    size_t at;
    char text[80];
    const struct file *f = find_piece(d->t, bit / 8, 1, &at);
    bytes_of(d, f)[at] ^= (uint8_t)(1u << bit % 8);
    snprintf(text, sizeof text, "bit %" PRIu64 " of byte %zu flipped", bit % 8, at);
    say(d, f, text);
}

static void truncate_file(struct damaging *d, uint64_t index) {
    size_t at;
    char text[80];
    const struct file *f = find_piece(d->t, index, 1, &at);
    simfs_file_set(d->fs, f->path, f->bytes, at);
    snprintf(text, sizeof text, "cut to %zu of %zu bytes", at, f->size);
    say(d, f, text);
}

static void extend(struct damaging *d, uint64_t index) {
    static const size_t sizes[] = {1, 512, 4096};
    const struct file *f = &d->t->files.items[index / EXTENSIONS];
    size_t more = sizes[index % EXTENSIONS / 2];
    bool noise = index % 2;
    char text[80];
    uint8_t *bytes = calloc(1, f->size + more);
    if (!bytes)
        abort();
    if (f->size > 0)
        memcpy(bytes, f->bytes, f->size);
    if (noise)
        fill_noise(bytes + f->size, more, index);
    simfs_file_set(d->fs, f->path, bytes, f->size + more);
    free(bytes);
    snprintf(text, sizeof text, "%zu bytes of %s behind it", more, noise ? "noise" : "zeros");
    say(d, f, text);
}

static void change_byte(struct damaging *d, uint64_t index) {
    size_t at;
    char text[80];
    const struct file *f = find_piece(d->t, index / 3, 1, &at);
    uint8_t *byte = &bytes_of(d, f)[at], was = *byte;
    /* Also a stride of three goes through all three. */
    uint64_t how = (index / 3 + index) % 3;
    *byte = how == 0 ? 0 : how == 1 ? 0xff : (uint8_t)(was + 1);
    d->out->none = *byte == was;
    snprintf(text, sizeof text, "byte %zu is %02x, was %02x", at, *byte, was);
    say(d, f, text);
}

static void zero_unit(struct damaging *d, uint64_t index) {
    static const uint8_t zeros[UNIT];
    size_t at;
    char text[80];
    const struct file *f = find_piece(d->t, index, UNIT, &at);
    size_t size = f->size - at < UNIT ? f->size - at : UNIT;
    d->out->none = memcmp(f->bytes + at, zeros, size) == 0;
    memset(bytes_of(d, f) + at, 0, size);
    snprintf(text, sizeof text, "%zu bytes from %zu on are zero", size, at);
    say(d, f, text);
}

static void copy_within(struct damaging *d, uint64_t index) {
    uint64_t sectors = piece_pairs(d->t, SECTOR);
    size_t size = index < sectors ? SECTOR : PIECE, to, from;
    char text[80];
    const struct file *f =
        find_piece_pair(d->t, index < sectors ? index : index - sectors, size, &to, &from);
    size_t last = to > from ? to : from, n = f->size - last < size ? f->size - last : size;
    d->out->none = memcmp(f->bytes + to, f->bytes + from, n) == 0;
    memcpy(bytes_of(d, f) + to, f->bytes + from, n);
    snprintf(text, sizeof text, "%zu bytes at %zu are those of %zu", n, to, from);
    say(d, f, text);
}

static void put_other(struct damaging *d, const struct files *from, const struct pair *p,
                      const char *whose) {
    const struct file *f = &d->t->files.items[p->a], *g = &from->items[p->b];
    char text[300];
    simfs_file_set(d->fs, f->path, g->bytes, g->size);
    snprintf(text, sizeof text, "is %s %s", whose, g->path);
    say(d, f, text);
    /* The error may name what the other file leads to. */
    d->out->path[0] = 0;
}

static void swap(struct damaging *d, uint64_t index) {
    const struct pair *p = &d->t->swaps[index], back = {p->b, p->a};
    put_other(d, &d->t->files, &back, "swapped with");
    put_other(d, &d->t->files, p, "swapped with");
}

static void remove_two(struct damaging *d, uint64_t index) {
    size_t a = 0, n = d->t->files.count;
    while (index >= n - 1 - a)
        index -= n - 1 - a++;
    const struct file *f = &d->t->files.items[a], *g = &d->t->files.items[a + 1 + index];
    simfs_file_drop(d->fs, f->path);
    simfs_file_drop(d->fs, g->path);
    snprintf(d->out->text, sizeof d->out->text, "%.190s and %.190s gone", f->path, g->path);
}

/* The same name with another number, where a name has one. */
static void double_file(struct damaging *d, uint64_t index) {
    const struct file *f = &d->t->files.items[index / 2];
    char path[240], text[300], tail[200];
    size_t at = strlen(CORRUPT_DIR) + 1;
    while (f->path[at] && (f->path[at] < '0' || f->path[at] > '9'))
        at++;
    if (!f->path[at] || f->kind == KIND_JSON) {
        snprintf(path, sizeof path, "%s.copy", f->path);
    } else {
        char *end;
        unsigned long number = strtoul(f->path + at, &end, 10);
        snprintf(tail, sizeof tail, "%s", end);
        int digits = (int)(end - (f->path + at));
        number = index % 2 ? number + 1 : number + 100000;
        snprintf(path, sizeof path, "%.*s%0*lu%s", (int)at, f->path, digits, number, tail);
    }
    size_t size;
    if (simfs_file_bytes(d->fs, path, &size))
        d->out->none = true;
    else
        simfs_file_set(d->fs, path, f->bytes, f->size);
    snprintf(text, sizeof text, "also there as %s", path);
    say(d, f, text);
    d->out->path[0] = 0;
}

static void make_directory(struct damaging *d, const char *path) {
    lam_env *env = simfs_env(d->fs);
    if (env->ops->dir_create(env, path, NULL) != LAM_OK)
        abort();
}

static void put_stray(struct damaging *d, uint64_t index) {
    const char *name = strays[index / STRAY_FILLINGS];
    uint8_t noise[700];
    char path[240];
    const struct files *files = &d->t->files;
    const struct file *copy = &files->items[0];
    snprintf(path, sizeof path, CORRUPT_DIR "/%s", name);
    for (size_t i = 0; i < files->count; i++)
        if (files->items[i].kind == kind_of(path))
            copy = &files->items[i];
    fill_noise(noise, sizeof noise, index);
    if (index % STRAY_FILLINGS == 0)
        simfs_file_set(d->fs, path, NULL, 0);
    else if (index % STRAY_FILLINGS == 1)
        simfs_file_set(d->fs, path, noise, sizeof noise);
    else
        simfs_file_set(d->fs, path, copy->bytes, copy->size);
    snprintf(d->out->text, sizeof d->out->text, "%.200s has come, filling %d", path,
             (int)(index % STRAY_FILLINGS));
}

static void remove_directory(struct damaging *d, const char *path) {
    lam_env *env = simfs_env(d->fs);
    size_t size = strlen(path);
    for (size_t i = 0; i < d->t->files.count; i++)
        if (strncmp(d->t->files.items[i].path, path, size) == 0 &&
            d->t->files.items[i].path[size] == '/')
            simfs_file_drop(d->fs, d->t->files.items[i].path);
    /* Deepest first: they were listed from the top. */
    for (size_t i = d->t->directory_count; i > 0; i--)
        if (strncmp(d->t->directories[i - 1], path, size) == 0 &&
            (d->t->directories[i - 1][size] == '/' || d->t->directories[i - 1][size] == 0) &&
            env->ops->dir_remove(env, d->t->directories[i - 1], NULL) != LAM_OK)
            abort();
    snprintf(d->out->text, sizeof d->out->text, "directory %.200s gone", path);
}

static void apply(struct damaging *d, enum corrupt_kind kind, uint64_t index) {
    const struct file *files = d->t->files.items;
    switch (kind) {
    case CORRUPT_BIT:
        flip(d, index);
        return;
    case CORRUPT_TRUNCATE:
        truncate_file(d, index);
        return;
    case CORRUPT_EXTEND:
        extend(d, index);
        return;
    case CORRUPT_BYTE:
        change_byte(d, index);
        return;
    case CORRUPT_ZEROS:
        zero_unit(d, index);
        return;
    case CORRUPT_SECTOR:
        copy_within(d, index);
        return;
    case CORRUPT_REMOVE:
        simfs_file_drop(d->fs, files[index].path);
        say(d, &files[index], "gone");
        return;
    case CORRUPT_REMOVE_2:
        remove_two(d, index);
        return;
    case CORRUPT_SWAP:
        swap(d, index);
        return;
    case CORRUPT_DOUBLE:
        double_file(d, index);
        return;
    case CORRUPT_STALE:
        put_other(d, &d->t->old_files, &d->t->stale[index], "the older");
        return;
    case CORRUPT_SIBLING:
        put_other(d, &d->t->sibling_files, &d->t->siblings[index], "a sibling's");
        return;
    case CORRUPT_FOREIGN:
        put_other(d, &d->t->foreign_files, &d->t->foreign[index], "another database's");
        return;
    case CORRUPT_DIRECTORY:
        simfs_file_drop(d->fs, files[index].path);
        make_directory(d, files[index].path);
        say(d, &files[index], "is a directory");
        return;
    case CORRUPT_STRAY:
        put_stray(d, index);
        return;
    case CORRUPT_NO_DIRECTORY:
        remove_directory(d, d->t->directories[index]);
        return;
    case CORRUPT_KINDS:
        break;
    }
    abort();
}

struct simfs *corrupt_apply(const struct corrupt_target *t, enum corrupt_kind kind, uint64_t index,
                            struct corrupt_damage *out) {
    struct damaging d = {t, simfs_clone(t->now), out};
    memset(out, 0, sizeof *out);
    apply(&d, kind, index);
    return d.fs;
}
