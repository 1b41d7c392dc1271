/* SPDX-License-Identifier: Apache-2.0
 *
 * Tools that print what single files hold. What is readable before a damage is printed, then the
 * damage is said on stderr. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "shell/tool.h"

struct dump {
    const struct tool_call *call;
    struct text line;
    uint64_t count; /* lines so far of the file */
    bool with_partition;
};

/* --- lines ---------------------------------------------------------------------------------- */

static void add_bytes(struct dump *d, const char *name, struct lam_slice s) {
    static const char digits[] = "0123456789abcdef";
    text_add_format(&d->line, " %s=", name);
    for (size_t i = 0; i < s.size; i++) {
        unsigned char b = s.data[i];
        if (!d->call->hex && b > 0x20 && b < 0x7f && b != '\\') {
            text_add_char(&d->line, (char)b);
            continue;
        }
        if (!d->call->hex)
            text_add(&d->line, "\\x", 2);
        text_add_char(&d->line, digits[b >> 4]);
        text_add_char(&d->line, digits[b & 15]);
    }
}

/* False when standard output takes no more. */
static bool put_line(struct dump *d) {
    text_add_char(&d->line, '\n');
    return fwrite(d->line.data, 1, d->line.size, stdout) == d->line.size;
}

static bool print_operation(void *arg, const struct lam_operation *o) {
    static const char *const kinds[] = {"?", "put", "delete", "delete-range"};
    struct dump *d = arg;
    if (d->count++ >= d->call->limit)
        return false;
    text_reset(&d->line);
    text_add_format(&d->line, "%s sequence=%" PRIu64, kinds[o->kind], o->sequence);
    if (d->with_partition)
        text_add_format(&d->line, " partition=%" PRIu64, o->partition);
    if (o->kind == LAM_OPERATION_DELETE_RANGE) {
        add_bytes(d, "from", o->key);
        add_bytes(d, "to", o->to);
        text_add_format(&d->line, " upto=%" PRIu64, o->upto);
    } else {
        add_bytes(d, "key", o->key);
    }
    if (o->kind == LAM_OPERATION_PUT && !d->call->keys_only)
        add_bytes(d, "value", o->value);
    return put_line(d);
}

static bool print_line(void *arg, const char *line) {
    struct dump *d = arg;
    if (d->count++ >= d->call->limit)
        return false;
    text_reset(&d->line);
    text_add_str(&d->line, line);
    return put_line(d);
}

static void print_database(const uint8_t *id) {
    printf(" database=");
    for (int i = 0; i < 16; i++)
        printf("%02x", id[i]);
    printf("\n");
}

/* --- files ---------------------------------------------------------------------------------- */

static bool dump_sst(struct dump *d, const char *path, struct lam_error *err) {
    struct lam_sst_info i;
    if (lam_inspect_sst(path, NULL, &i, NULL, NULL, err) != LAM_OK)
        return false;
    printf("sst %s number=%" PRIu64 " bytes=%" PRIu64 " entries=%" PRIu64 " deletes=%" PRIu64
           " range_deletes=%" PRIu64 " raw_bytes=%" PRIu64 " sequence_min=%" PRIu64
           " sequence_max=%" PRIu64 " written_us=%" PRId64,
           path, i.number, i.bytes, i.entries, i.deletes, i.range_deletes, i.raw_bytes,
           i.sequence_min, i.sequence_max, i.written_us);
    print_database(i.database);
    return lam_inspect_sst(path, NULL, NULL, print_operation, d, err) == LAM_OK;
}

static bool dump_wal(struct dump *d, const char *path, struct lam_error *err) {
    struct lam_wal_info i = {0};
    d->with_partition = true;
    enum lam_code rc = lam_inspect_wal(path, NULL, &i, print_operation, d, err);
    if (rc != LAM_OK && i.end == 0)
        return false;
    printf("wal %s number=%" PRIu64 " bytes=%" PRIu64 " batches=%" PRIu64 " end=%" PRIu64
           " torn=%d",
           path, i.number, i.bytes, i.batches, i.end, i.torn);
    print_database(i.database);
    return rc == LAM_OK;
}

static bool dump_manifest(struct dump *d, const char *path, struct lam_error *err) {
    return lam_inspect_manifest(path, NULL, print_line, d, err) == LAM_OK;
}

typedef bool (*dump_fn)(struct dump *d, const char *path, struct lam_error *err);

static bool dump_file(const struct tool_call *c, dump_fn fn, const char *path) {
    struct dump d = {.call = c};
    struct lam_error err = {0};
    bool ok = fn(&d, path, &err);
    text_fini(&d.line);
    if (!ok)
        tool_error(&err);
    return ok;
}

/* --- directories ---------------------------------------------------------------------------- */

static int compare_paths(const void *a, const void *b) {
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    size_t n = strlen(x), m = strlen(y);
    return n != m ? (n < m ? -1 : 1) : strcmp(x, y); /* numbers have no more zeros than they need */
}

/* All files of a directory whose names end so, by number. */
static bool dump_all(const struct tool_call *c, dump_fn fn, const char *dir, const char *end) {
    char **paths = NULL;
    size_t count = 0;
    bool ok = true;
    DIR *d = opendir(dir);
    if (!d) {
        fprintf(stderr, "lamina db: opening directory %s: %s\n", dir, strerror(errno));
        return false;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        size_t size = strlen(e->d_name), tail = strlen(end);
        if (size <= tail || strcmp(e->d_name + size - tail, end) != 0)
            continue;
        struct text path = {0};
        text_add_format(&path, "%s/%s", dir, e->d_name);
        paths = memory_resize(paths, (count + 1) * sizeof *paths);
        text_str(&path);
        paths[count++] = path.data;
    }
    closedir(d);
    struct lam_error err = {0};
    struct lam_root_info r;
    if (count == 0 && lam_inspect_root(dir, NULL, &r, &err) != LAM_OK) {
        tool_error(&err); /* nothing to print is fine in a database alone */
        return false;
    }
    if (count > 0)
        qsort(paths, count, sizeof *paths, compare_paths);
    for (size_t i = 0; i < count; i++) {
        ok = dump_file(c, fn, paths[i]) && ok;
        free(paths[i]);
    }
    free(paths);
    return ok;
}

static bool dump_current_manifest(const struct tool_call *c, const char *dir) {
    struct lam_error err = {0};
    struct lam_root_info r;
    if (lam_inspect_root(dir, NULL, &r, &err) != LAM_OK) {
        tool_error(&err);
        return false;
    }
    printf("root generation=%" PRIu64 " manifest=%" PRIu64 " sealed=%d", r.generation, r.manifest,
           r.sealed);
    print_database(r.database);
    struct text path = {0};
    text_add_format(&path, "%s/MANIFEST-%06" PRIu64, dir, r.manifest);
    bool ok = dump_file(c, dump_manifest, text_str(&path));
    text_fini(&path);
    return ok;
}

static bool is_directory(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* `end`: of the files' names in a directory; NULL: the manifest that its root names. */
static bool dump_each(const struct tool_call *c, dump_fn fn, const char *end) {
    bool ok = true;
    for (int i = 0; i < c->arg_count; i++) {
        const char *path = c->args[i];
        bool good = !is_directory(path) ? dump_file(c, fn, path)
                    : end               ? dump_all(c, fn, path, end)
                                        : dump_current_manifest(c, path);
        ok = ok && good;
    }
    return ok;
}

bool tool_dump_sst(const struct tool_call *c) {
    return dump_each(c, dump_sst, ".sst");
}

bool tool_dump_wal(const struct tool_call *c) {
    return dump_each(c, dump_wal, ".wal");
}

bool tool_dump_manifest(const struct tool_call *c) {
    return dump_each(c, dump_manifest, NULL);
}
