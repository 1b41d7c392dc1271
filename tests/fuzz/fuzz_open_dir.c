/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole database directory, changed. The input picks an image (of the engine or of SQL, closed or
 * crashed), says how its files are changed, and whether checksums are put right: not at all, in
 * each file, or also where files speak of each other. The result is checked, opened for reading
 * and for writing, read to its end, changed and closed: with answers, in bounded time and memory.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lsm/filename.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/fuzz/mend.h"

#define FILES_MAX 128
#define FILE_MAX  (1u << 16)
#define EDITS_MAX 24

struct file {
    char path[160];
    enum file_type type;
    uint64_t number;
    struct buf bytes;
    struct lam_slice before; /* as in the image; empty if the harness made the file */
    bool gone, changed;
    struct mended_log log; /* of a mended log */
    uint64_t footer;       /* of a mended SST */
};

/* The files of an image, by path. */
struct image {
    struct file files[FILES_MAX];
    size_t count;
};
static struct image originals[IMAGE_COUNT];

struct listing {
    lam_env *env;
    struct image *image;
    const char *dir;
};

static bool list_name(void *arg, const char *name) {
    struct listing *l = arg;
    char path[160];
    enum lam_path_kind kind;
    snprintf(path, sizeof path, "%s/%s", l->dir, name);
    fuzz_ok(env_path_kind(l->env, path, &kind, NULL), NULL);
    REQUIRE(l->image->count < FILES_MAX);
    struct file *f = &l->image->files[l->image->count++];
    memcpy(f->path, path, sizeof path);
    f->type = kind == LAM_PATH_DIRECTORY ? FILE_OTHER : filename_parse(name, &f->number);
    f->gone = kind == LAM_PATH_DIRECTORY;
    return true;
}

static int by_path(const void *a, const void *b) {
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

static void load_original(enum image_kind kind) {
    struct image *image = &originals[kind];
    lam_env *env = image_copy(kind);
    struct listing l = {env, image, IMAGE_DIR};
    fuzz_ok(env_dir_list(env, IMAGE_DIR, list_name, &l, NULL), NULL);
    for (size_t i = 0; i < image->count; i++) {
        l.dir = image->files[i].path;
        if (image->files[i].gone)
            fuzz_ok(env_dir_list(env, l.dir, list_name, &l, NULL), NULL);
    }
    size_t kept = 0;
    for (size_t i = 0; i < image->count; i++)
        if (!image->files[i].gone)
            image->files[kept++] = image->files[i];
    image->count = kept;
    qsort(image->files, kept, sizeof image->files[0], by_path);
    for (size_t i = 0; i < kept; i++) {
        struct file *f = &image->files[i];
        fuzz_file_read(env, f->path, &f->bytes);
        f->before = buf_slice(&f->bytes);
    }
    fuzz_env_free(env);
}

/* --- edits ----------------------------------------------------------------------------------- */

static void make_own(struct file *f) {
    if (f->changed)
        return;
    struct buf copy = {0};
    fuzz_put(&copy, f->bytes.data, f->bytes.size);
    f->bytes = copy;
    f->changed = true;
}

static void overwrite(struct file *f, size_t at, struct lam_slice with) {
    for (size_t i = 0; i < with.size && at + i < f->bytes.size; i++)
        f->bytes.data[at + i] = with.data[i];
}

static void put_in(struct file *f, size_t at, struct lam_slice with) {
    if (with.size == 0 || f->bytes.size + with.size > FILE_MAX)
        return;
    fuzz_put(&f->bytes, with.data, with.size);
    memmove(f->bytes.data + at + with.size, f->bytes.data + at, f->bytes.size - with.size - at);
    overwrite(f, at, with);
}

static void take_out(struct file *f, size_t at, size_t size) {
    size = size < f->bytes.size - at ? size : f->bytes.size - at;
    if (size == 0)
        return;
    memmove(f->bytes.data + at, f->bytes.data + at + size, f->bytes.size - at - size);
    f->bytes.size -= size;
}

static void add_file(struct image *image, struct cursor *c) {
    static const char *const names[] = {"ROOT.tmp",
                                        "LOCK",
                                        "000001.wal",
                                        "000009.wal",
                                        "000009.sst",
                                        "000001.sst",
                                        "MANIFEST-000001",
                                        "MANIFEST-000099",
                                        "99999999999999999999.sst",
                                        "x"};
    const char *name = names[cursor_u8(c) % (sizeof names / sizeof names[0])];
    struct lam_slice content = fuzz_take(c, cursor_u8(c));
    if (image->count == FILES_MAX)
        return;
    struct file *f = &image->files[image->count];
    *f = (struct file){.changed = true};
    snprintf(f->path, sizeof f->path, "%s/%s", IMAGE_DIR, name);
    for (size_t i = 0; i < image->count; i++)
        if (strcmp(image->files[i].path, f->path) == 0)
            return;
    fuzz_put(&f->bytes, content.data, content.size);
    image->count++;
}

static void swap_files(struct file *f, struct file *g) {
    make_own(f);
    make_own(g);
    struct buf b = f->bytes;
    f->bytes = g->bytes;
    g->bytes = b;
}

/* One edit. Numbers lie in the input so that a mutation of one changes one thing. */
static void edit(struct image *image, struct cursor *c) {
    uint8_t op = cursor_u8(c);
    struct file *f = &image->files[cursor_u8(c) % image->count];
    size_t where = cursor_le16(c), at = f->bytes.size ? where % f->bytes.size : 0;
    if (op & 0x80) /* from the end */
        at = f->bytes.size ? f->bytes.size - 1 - at : 0;
    if (op % 16 != 15)
        make_own(f);
    uint8_t n = op % 16 == 15 ? 0 : cursor_u8(c);
    static const uint8_t zeros[256];
    switch (op % 16) {
    case 0:
    case 1:
    case 2:
        overwrite(f, at, lam_slice_of(&(uint8_t){f->bytes.size ? f->bytes.data[at] ^ n : 0}, 1));
        break;
    case 3:
    case 4:
        overwrite(f, at, fuzz_take(c, n % 16 + 1));
        break;
    case 5:
        overwrite(f, at, lam_slice_of(zeros, n));
        break;
    case 6:
        f->bytes.size = at;
        break;
    case 7:
        put_in(f, f->bytes.size, lam_slice_of(zeros, n));
        break;
    case 8:
        put_in(f, at, fuzz_take(c, n % 32 + 1));
        break;
    case 9:
        take_out(f, at, n + 1u);
        break;
    case 10:
        swap_files(f, &image->files[n % image->count]);
        break;
    case 11:
        f->gone = true;
        break;
    case 12: { /* a piece of another file, or of another place */
        struct file *g = &image->files[n % image->count];
        size_t from = g->bytes.size ? cursor_le16(c) % g->bytes.size : 0;
        size_t size = g->bytes.size - from < 64 ? g->bytes.size - from : 64;
        uint8_t piece[64];
        if (size > 0)
            memcpy(piece, g->bytes.data + from, size);
        overwrite(f, at, lam_slice_of(piece, size));
        break;
    }
    case 13: { /* an old state of a file under another number */
        struct file *g = &image->files[n % image->count];
        f->bytes.size = 0;
        fuzz_put(&f->bytes, g->before.data, g->before.size);
        break;
    }
    case 14: { /* a number of 8 bytes: extremes */
        static const uint64_t extremes[] = {0,          1,          127,        128,
                                            0x7fffffff, 0xffffffff, INT64_MAX,  UINT64_MAX,
                                            1ull << 56, 0x80000000, 1ull << 32, 0xff};
        uint8_t bytes[8];
        put_le64(bytes, extremes[n % 12]);
        overwrite(f, at, lam_slice_of(bytes, n & 0x80 ? 4 : 8));
        break;
    }
    default:
        add_file(image, c);
        break;
    }
}

/* --- mending --------------------------------------------------------------------------------- */

static struct file *find_file(struct image *image, enum file_type type, uint64_t number) {
    for (size_t i = 0; i < image->count; i++) {
        struct file *f = &image->files[i];
        if (f->type == type && f->number == number && !f->gone)
            return f;
    }
    return NULL;
}

static bool name_sst(void *arg, uint64_t number, uint64_t *size_out, uint64_t *checksum_out) {
    const struct file *f = find_file(arg, FILE_SST, number);
    if (!f || !f->changed)
        return false;
    *size_out = f->bytes.size;
    if (f->footer)
        *checksum_out = f->footer;
    return true;
}

static bool name_wal(void *arg, uint64_t number, struct mended_log *out) {
    const struct file *f = find_file(arg, FILE_WAL, number);
    if (!f || !f->changed)
        return false;
    *out = f->log;
    return true;
}

/* Each file for itself. */
static void mend_files(struct image *image) {
    for (size_t i = 0; i < image->count; i++) {
        struct file *f = &image->files[i];
        if (!f->changed || f->gone || !f->before.size)
            continue;
        if (f->type == FILE_SST)
            f->footer = mend_sst(&f->bytes, f->before);
        if (f->type == FILE_WAL || f->type == FILE_MANIFEST)
            f->log = mend_log(&f->bytes, f->before);
        if (f->type == FILE_ROOT)
            mend_root(&f->bytes, 0, 0);
    }
}

/* Manifest and ROOT, which name the others. */
static void mend_names(struct image *image) {
    struct mended_log log = {0};
    for (size_t i = 0; i < image->count; i++) {
        struct file *f = &image->files[i];
        if (f->type != FILE_MANIFEST || f->gone || !f->before.size)
            continue;
        make_own(f);
        log = mend_manifest(&f->bytes, name_sst, name_wal, image);
    }
    struct file *root = find_file(image, FILE_ROOT, 0);
    if (!root || root->bytes.size != root->before.size)
        return;
    make_own(root);
    mend_root(&root->bytes, log.end, log.hash);
}

/* --- use ------------------------------------------------------------------------------------- */

static void store(const struct image *image, lam_env *env) {
    for (size_t i = 0; i < image->count; i++) {
        const struct file *f = &image->files[i];
        if (f->gone && f->before.data)
            fuzz_ok(env_file_remove(env, f->path, NULL), NULL);
        else if (f->changed && !f->gone)
            fuzz_file_write(env, f->path, buf_slice(&f->bytes));
    }
}

static bool is_open_answer(enum lam_code rc) {
    return fuzz_is_answer(rc) || rc == LAM_NOT_FOUND;
}

static void check_dir(lam_env *env) {
    struct lam_error err = {0};
    REQUIRE(
        is_open_answer(lam_check_full(IMAGE_DIR, &(struct lam_check_options){.env = env}, &err)));
}

static void open_and_use(lam_env *env, enum image_kind kind, bool read_only, uint16_t which) {
    struct lam_options o = image_options(env);
    struct lam_error err = {0};
    lam_db *db = NULL;
    o.read_only = read_only;
    o.must_exist = true;
    enum lam_code rc = lam_db_open(IMAGE_DIR, &o, &db, &err);
    if (!is_open_answer(rc))
        fprintf(stderr, "open: %s: %s\n", lam_code_name(rc), err.message);
    REQUIRE(is_open_answer(rc));
    REQUIRE(rc != LAM_CORRUPT || err.message[0]);
    if (rc != LAM_OK)
        return;
    image_read_engine(db);
    if (image_has_sql(kind))
        image_read_sql(db, read_only, which);
    if (!read_only && which & 0x8000) {
        rc = lam_db_compact(db, NULL, &err);
        REQUIRE(fuzz_is_answer(rc) || rc == LAM_READ_ONLY);
    }
    rc = lam_db_close(db, &err);
    if (!fuzz_is_answer(rc) && rc != LAM_READ_ONLY)
        fprintf(stderr, "close: %s: %s\n", lam_code_name(rc), err.message);
    REQUIRE(fuzz_is_answer(rc) || rc == LAM_READ_ONLY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct image image;
    struct cursor c = cursor_of(lam_slice_of(data, size));
    uint8_t how = cursor_u8(&c);
    uint16_t which = cursor_le16(&c);
    enum image_kind kind = (enum image_kind)(how % IMAGE_COUNT);
    if (!originals[kind].count)
        load_original(kind);
    image = originals[kind];
    for (size_t i = 0; i < EDITS_MAX && cursor_left(&c) > 0; i++)
        edit(&image, &c);
    unsigned mending = how / IMAGE_COUNT % 4; /* 0: none */
    if (mending > 0)
        mend_files(&image);
    if (mending > 1)
        mend_names(&image);
    lam_env *env = image_copy(kind);
    store(&image, env);
    if (how & 0x40)
        check_dir(env);
    if (how & 0x20)
        open_and_use(env, kind, true, which);
    open_and_use(env, kind, false, which);
    if (how & 0x80)
        open_and_use(env, kind, true, which);
    fuzz_env_free(env);
    for (size_t i = 0; i < image.count; i++)
        if (image.files[i].changed)
            buf_fini(&image.files[i].bytes);
    return 0;
}
