/* SPDX-License-Identifier: Apache-2.0
 *
 * A database in memory with catalog and flush layer, and short forms of what flush tests do: make
 * tables, write rows as a statement would, read them all back sorted. */
#ifndef LAMINA_TESTS_FLUSH_WORLD_H
#define LAMINA_TESTS_FLUSH_WORLD_H

#include "base/env.h"
#include "flush/flush.h"
#include "tests/support/test.h"

#define S(text) lam_slice_str(text)
#define HELPER  static __attribute__((unused))

struct world {
    lam_env *env; /* of the database */
    lam_db *db;
    struct catalog *c;
    struct flush *f;
    bool manual; /* no background work of the engine */
    struct lam_error err;
};

static const struct actor world_root
    __attribute__((unused)) = {{(const uint8_t *)"root", 4}, LAM_ROLE_SYSTEM};

HELPER enum lam_code world_try_open(struct world *w) {
    struct lam_options options = {
        .env = w->env, .memory_budget = 8u << 20, .manual_background = w->manual};
    w->db = NULL;
    enum lam_code rc = lam_db_open("/db", &options, &w->db, &w->err);
    if (rc == LAM_OK)
        rc = catalog_of(w->db, &w->c, &w->err);
    if (rc == LAM_OK)
        rc = flush_of(w->db, &w->f, &w->err);
    return rc;
}
HELPER void world_open_db(struct world *w) {
    ck_ok(world_try_open(w), &w->err);
}
HELPER void world_close_db(struct world *w) {
    ck_ok(lam_db_close(w->db, &w->err), &w->err);
    w->db = NULL;
}
HELPER void world_reopen(struct world *w) {
    world_close_db(w);
    world_open_db(w);
}
HELPER void world_open(struct world *w) {
    memset(w, 0, sizeof *w);
    ck_ok(lam_env_mem_new(&w->env, &w->err), &w->err);
    world_open_db(w);
}
HELPER void world_close(struct world *w) {
    world_close_db(w);
    lam_env_mem_free(w->env);
}

HELPER struct column_spec col(const char *name, enum lam_type type, bool nullable) {
    return (struct column_spec){.name = S(name), .type = {.type = type}, .nullable = nullable};
}

HELPER void world_create(struct world *w, const char *name, enum table_kind kind,
                         const struct column_spec *columns, uint32_t count,
                         const struct table_options *options) {
    struct table_spec spec = {.namespace_name = S("default"),
                              .name = S(name),
                              .kind = kind,
                              .columns = columns,
                              .column_count = count,
                              .key_count = 1,
                              .key = {0}};
    bool created;
    table_options_init(&spec.options);
    if (options)
        spec.options = *options;
    if (kind == TABLE_SHARED && spec.options.access == ACCESS_NONE)
        spec.options.access = ACCESS_PUBLIC;
    if (kind == TABLE_STREAM && !spec.options.ttl_seconds)
        spec.options.ttl_seconds = 3600;
    ck_ok(catalog_create_table(w->c, &world_root, &spec, &created, &w->err), &w->err);
    ck_assert(created);
}
/* id BIGINT key, name TEXT, n INT. */
HELPER void world_table(struct world *w, const char *name, enum table_kind kind,
                        const struct table_options *options) {
    struct column_spec columns[] = {col("id", LAM_TYPE_BIGINT, false),
                                    col("name", LAM_TYPE_TEXT, true), col("n", LAM_TYPE_INT, true)};
    world_create(w, name, kind, columns, 3, options);
}
HELPER struct provider *world_provider(struct world *w, const char *name) {
    struct provider *p;
    ck_ok(catalog_provider(w->c, S("default"), S(name), &p, &w->err), &w->err);
    return p;
}

/* --- writing, as a statement does --- */

HELPER enum lam_code world_try_put(struct world *w, struct provider *p, struct lam_slice user,
                                   const struct value *values, bool deleted,
                                   struct lam_error *err) {
    struct arena arena = {0};
    struct seq_stamps stamps = {0};
    struct row_found old = {0};
    struct buf key = {0};
    lam_batch *batch = NULL;
    lam_snapshot *snapshot = NULL;
    unsigned stripe = 0;
    bool locked = false;
    enum lam_code rc = LAM_OK;
    TRY_GOTO(lam_batch_new(w->db, &batch, err));
    TRY_GOTO(provider_write_lock(p, user, &stripe, err));
    locked = true;
    TRY_GOTO(lam_snapshot_new(w->db, &snapshot, err));
    TRY_GOTO(row_key(p->schema, p->kind, user, values, &key, err));
    TRY_GOTO(row_find(p, snapshot, user, buf_slice(&key), catalog_now_us(w->c), &arena, &old, err));
    TRY_GOTO(
        row_batch_put(p, batch, &stamps, user, values, deleted, old.hot ? old.values : NULL, err));
    rc = catalog_commit(w->c, batch, &stamps, LAM_DURABILITY_DEFAULT, NULL, err);
out:
    if (locked)
        provider_write_unlock(p, stripe);
    if (rc == LAM_OK)
        flush_note_rows(w->f, p, user, 1);
    lam_snapshot_free(snapshot);
    lam_batch_free(batch);
    seq_stamps_fini(&stamps);
    buf_fini(&key);
    arena_fini(&arena);
    return rc;
}
HELPER void world_put_values(struct world *w, struct provider *p, const char *user,
                             const struct value *values, bool deleted) {
    ck_ok(world_try_put(w, p, S(user), values, deleted, &w->err), &w->err);
}
/* A row of world_table's columns; name NULL: NULL. */
HELPER void world_put(struct world *w, struct provider *p, const char *user, int64_t id,
                      const char *name, int64_t n) {
    struct value values[3] = {value_i64(LAM_TYPE_BIGINT, id),
                              name ? value_text(name) : value_null(coltype_of(LAM_TYPE_TEXT)),
                              value_i64(LAM_TYPE_INT, n)};
    world_put_values(w, p, user, values, false);
}
HELPER void world_delete(struct world *w, struct provider *p, const char *user, int64_t id) {
    struct value values[3] = {value_i64(LAM_TYPE_BIGINT, id), value_text("gone"),
                              value_i64(LAM_TYPE_INT, 0)};
    world_put_values(w, p, user, values, true);
}
HELPER struct flush_result world_flush(struct world *w, struct provider *p) {
    struct flush_result r;
    ck_ok(flush_table(w->f, p, &r, &w->err), &w->err);
    return r;
}

/* --- reading --- */

/* All columns of the table and _seq and _deleted, row by row as text, sorted; newline-ended.
 * Owned by the caller. */
HELPER int compare_lines(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}
HELPER enum lam_code scan_rows(const struct scan_request *rq, struct buf *out,
                               struct scan_stats *stats, struct lam_error *err) {
    struct scan *s = NULL;
    struct colbatch *b;
    char **lines = NULL;
    size_t count = 0, capacity = 0;
    struct buf line = {0};
    const char *text;
    enum lam_code rc = LAM_OK;
    TRY_GOTO(scan_open(rq, &s, err));
    for (;;) {
        TRY_GOTO(scan_next(s, &b, err));
        if (!b)
            break;
        ck_assert_uint_le(b->rows, COLBATCH_ROWS);
        ck_assert_uint_gt(b->rows, 0);
        for (uint32_t r = 0; r < b->rows; r++) {
            buf_reset(&line);
            for (uint32_t i = 0; i < rq->column_count; i++) {
                ck_assert_uint_eq(b->columns[i].rows, b->rows);
                struct value v = column_value(&b->columns[i], r);
                TRY_GOTO(buf_append_str(&line, i ? "|" : "", err));
                if (v.is_null)
                    TRY_GOTO(buf_append_str(&line, "NULL", err));
                else
                    TRY_GOTO(value_format(&v, &line, err));
            }
            TRY_GOTO(buf_append_u8(&line, '\n', err));
            TRY_GOTO(buf_cstr(&line, &text, err));
            TRY_GOTO(MEM_GROW(&lines, &capacity, count + 1, err));
            lines[count++] = mem_strdup(text);
        }
    }
    if (stats)
        scan_get_stats(s, stats);
    if (count)
        qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++)
        TRY_GOTO(buf_append_str(out, lines[i], err));
out:
    for (size_t i = 0; i < count; i++)
        mem_free(lines[i]);
    mem_free(lines);
    buf_fini(&line);
    scan_close(s);
    return rc;
}
HELPER uint32_t all_ids(const struct provider *p, uint32_t *ids, bool with_system) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->schema->column_count; i++)
        ids[n++] = p->schema->columns[i].id;
    if (with_system) {
        ids[n++] = COLUMN_ID_SEQ;
        ids[n++] = COLUMN_ID_UPDATED;
        ids[n++] = COLUMN_ID_DELETED;
    }
    return n;
}
/* Text of all rows, as scan_rows has it. Free with mem_free. */
HELPER char *world_dump(struct world *w, struct provider *p, const char *user, bool with_system) {
    uint32_t ids[COLUMNS_MAX + 3];
    struct buf out = {0};
    const char *text;
    struct scan_request rq = {.provider = p,
                              .user = S(user),
                              .column_ids = ids,
                              .column_count = all_ids(p, ids, with_system),
                              .with_deleted = with_system,
                              .now_us = catalog_now_us(w->c)};
    ck_ok(scan_rows(&rq, &out, NULL, &w->err), &w->err);
    ck_ok(buf_cstr(&out, &text, &w->err), &w->err);
    char *copy = mem_strdup(text);
    buf_fini(&out);
    return copy;
}
/* User columns of all live rows are just `expected`. */
HELPER void world_check(struct world *w, struct provider *p, const char *user,
                        const char *expected) {
    char *got = world_dump(w, p, user, false);
    ck_assert_str_eq(got, expected);
    mem_free(got);
}
HELPER uint64_t world_hot_rows(struct world *w, struct provider *p) {
    lam_iter *it;
    uint64_t n = 0;
    ck_ok(lam_iter_new(w->db, NULL, p->hot, &it, &w->err), &w->err);
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it))
        n++;
    ck_ok(lam_iter_status(it, &w->err), &w->err);
    lam_iter_free(it);
    return n;
}

/* --- files --- */

struct walk_names {
    char names[512][256];
    size_t count;
};
HELPER bool walk_note(void *arg, const char *name) {
    struct walk_names *n = arg;
    ck_assert_uint_lt(n->count, 512);
    snprintf(n->names[n->count++], 256, "%s", name);
    return true;
}
/* Paths of all files below a directory that is there or not. */
HELPER void walk_files(lam_env *env, const char *directory, char names[][512], size_t *count,
                       size_t max) {
    enum lam_path_kind kind;
    struct lam_error err;
    ck_ok(env_path_kind(env, directory, &kind, &err), &err);
    if (kind != LAM_PATH_DIRECTORY)
        return;
    struct walk_names *n = mem_calloc(1, sizeof *n);
    ck_ok(env_dir_list(env, directory, walk_note, n, &err), &err);
    for (size_t i = 0; i < n->count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", directory, n->names[i]);
        ck_ok(env_path_kind(env, path, &kind, &err), &err);
        if (kind == LAM_PATH_DIRECTORY) {
            walk_files(env, path, names, count, max);
        } else {
            ck_assert_uint_lt(*count, max);
            snprintf(names[(*count)++], 512, "%s", path);
        }
    }
    mem_free(n);
}
/* Files below a directory whose path has `part`. */
HELPER size_t count_files(lam_env *env, const char *directory, const char *part) {
    static char names[4096][512];
    size_t count = 0, found = 0;
    walk_files(env, directory, names, &count, 4096);
    for (size_t i = 0; i < count; i++)
        found += strstr(names[i], part) != NULL;
    return found;
}
/* The same of cold/. */
HELPER size_t count_cold(lam_env *env, const char *part) {
    return count_files(env, "/db/cold", part);
}
/* Segment entries of a table, all users. */
HELPER size_t count_segments(struct world *w, struct provider *p) {
    lam_iter *it;
    size_t n = 0;
    ck_ok(lam_iter_new(w->db, NULL, p->segments, &it, &w->err), &w->err);
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
        struct lam_slice key = lam_iter_key(it);
        n += key.data[0] != 0 && key.data[key.size - 9] == 'S';
    }
    ck_ok(lam_iter_status(it, &w->err), &w->err);
    lam_iter_free(it);
    return n;
}

#endif
