/* SPDX-License-Identifier: Apache-2.0
 *
 * Files, jobs and system tables: nothing is missing, nothing is left over, and what is told twice
 * is told alike. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog/catalog.h"
#include "flush/flush_impl.h"
#include "flush/path.h"
#include "flush/segment.h"
#include "tests/sim/check_sql.h"

/* --- segments -------------------------------------------------------------------------------- */

struct live_file {
    char *path; /* owned */
    enum msql_kind kind;
    unsigned owner;
};

/* What jobs tell of the flushes of a table that is there. */
struct told {
    char space[IDENTIFIER_MAX + 1], name[IDENTIFIER_MAX + 1];
    int64_t table; /* its number */
    uint64_t jobs, job_files;
    uint64_t entries; /* of segments */
    uint64_t next;    /* segment number */
};

struct tidy {
    struct wsql_view *view;
    enum wsql_tidy tidy;
    struct live_file *files; /* owned */
    size_t file_count, file_capacity;
    struct told *tables; /* owned */
    size_t table_count, table_capacity;
    uint64_t live_jobs;
    struct arena arena;
};

static void *more_room(void *items, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 16;
    items = realloc(items, *capacity * size);
    if (!items)
        abort();
    return items;
}

static const char *base_of(struct lam_slice storage) {
    static const char *const bases[MSQL_STORAGES] = {"/db/cold", "/db/cold2/deep", "/outside"};
    for (unsigned i = 0; i < MSQL_STORAGES; i++)
        if (slice_eq_str(storage, wsql_storages[i]))
            return bases[i];
    return "?";
}

static unsigned owner_of(const struct wsql *w, struct lam_slice user) {
    unsigned o = 0;
    while (o < MSQL_OWNERS && !slice_eq_str(user, w->owners[o]))
        o++;
    return o;
}

/* The file that an entry names must be there, as long as the entry says. */
static void note_segment(struct tidy *t, const struct provider *p, const struct segment *s,
                         struct lam_slice user) {
    struct wsql_view *v = t->view;
    char path[1200];
    size_t size = 0;
    snprintf(path, sizeof path, "%s/%.*s", base_of(s->storage), (int)s->path.size,
             (const char *)s->path.data);
    if (!simfs_file_bytes(v->fs, path, &size) || size != s->bytes)
        wsql_fail(v->w, "%s: %s, which a segment of %s names, has %zu bytes, not %llu", v->what,
                  path, p->name, size, (unsigned long long)s->bytes);
    t->files = more_room(t->files, t->file_count, &t->file_capacity, sizeof *t->files);
    t->files[t->file_count++] =
        (struct live_file){strdup(path), (enum msql_kind)p->kind, owner_of(v->w, user)};
}

static enum lam_code note_entry(struct tidy *t, struct told *told, struct provider *p, lam_iter *it,
                                struct lam_error *err) {
    const char *where = lam_partition_name(p->segments);
    struct lam_slice user;
    struct segment s;
    uint64_t number;
    char kind;
    arena_reset(&t->arena);
    TRY(segment_key_decode(lam_iter_key(it), p->kind == TABLE_USER, where, &t->arena, &user, &kind,
                           &number, err));
    if (kind == 0)
        told->next = get_le64(lam_iter_value(it).data);
    if (kind != SEGMENT_KIND_ENTRY)
        return LAM_OK;
    TRY(segment_decode(lam_iter_value(it), where, &t->arena, &s, err));
    told->entries++;
    if (number >= told->next)
        wsql_fail(t->view->w, "%s: segment %llu of %s is beyond the next number %llu",
                  t->view->what, (unsigned long long)number, p->name,
                  (unsigned long long)told->next);
    note_segment(t, p, &s, user);
    return LAM_OK;
}

static bool note_table(void *arg, struct provider *p) {
    struct tidy *t = arg;
    struct lam_error err = {0};
    lam_iter *it = NULL;
    t->tables = more_room(t->tables, t->table_count, &t->table_capacity, sizeof *t->tables);
    struct told *told = &t->tables[t->table_count++];
    *told = (struct told){.table = (int64_t)p->table.number};
    memcpy(told->space, p->namespace_name, sizeof told->space);
    memcpy(told->name, p->name, sizeof told->name);
    if (!p->segments)
        return true;
    enum lam_code rc = lam_iter_new(t->view->db, NULL, p->segments, &it, &err);
    if (rc == LAM_OK) {
        for (lam_iter_seek_first(it); rc == LAM_OK && lam_iter_valid(it); lam_iter_next(it))
            rc = note_entry(t, told, p, it, &err);
        if (rc == LAM_OK)
            rc = lam_iter_status(it, &err);
    }
    lam_iter_free(it);
    if (rc != LAM_OK)
        wsql_fail(t->view->w, "%s: segments of %s: %s", t->view->what, p->name, err.message);
    return !t->view->w->failed;
}

/* --- files ----------------------------------------------------------------------------------- */

static const struct live_file *find_live(const struct tidy *t, const char *path) {
    for (size_t i = 0; i < t->file_count; i++)
        if (!strcmp(t->files[i].path, path))
            return &t->files[i];
    return NULL;
}

static bool ends_in(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* A user's file holds no other's mark. */
static void check_marks(struct tidy *t, const struct live_file *f) {
    struct wsql_view *v = t->view;
    size_t size;
    const uint8_t *bytes = simfs_file_bytes(v->fs, f->path, &size);
    v->w->stats->cold_files++;
    for (unsigned o = 0; o <= MSQL_OWNERS; o++) {
        const char *mark = wsql_canary(o < MSQL_OWNERS ? MSQL_USER : MSQL_SHARED, o);
        bool own = f->kind == MSQL_USER ? o == f->owner : o == MSQL_OWNERS;
        if (!own && memmem(bytes, size, mark, strlen(mark))) {
            v->w->stats->leaks++;
            wsql_fail(v->w, "%s: %s of user %u holds the mark of %u", v->what, f->path, f->owner,
                      o);
        }
    }
}

static void check_files(struct tidy *t) {
    struct wsql_view *v = t->view;
    for (size_t i = 0; i < simfs_file_count(v->fs) && !v->w->failed; i++) {
        const char *path = simfs_file_path(v->fs, i);
        /* Outside of the database a half-written export stays until the next one replaces it. */
        bool inside = strstr(path, "/cold") != NULL, outside = strstr(path, "/outside") != NULL;
        bool segment = ends_in(path, ".parquet") || ends_in(path, ".parquet.tmp");
        if (!((inside || outside) && segment) && !(inside && ends_in(path, ".tmp")))
            continue;
        const struct live_file *f = find_live(t, path);
        if (f)
            check_marks(t, f);
        else if (t->tidy != WSQL_RUNNING)
            wsql_fail(v->w, "%s: %s is left over", v->what, path);
    }
}

/* --- jobs ------------------------------------------------------------------------------------ */

static int64_t metric(struct lam_slice json, const char *name) {
    const char *at = memmem(json.data, json.size, name, strlen(name));
    return at ? strtoll(at + strlen(name), NULL, 10) : -1;
}

/* status, namespace, table_name, metrics, job_id */
static bool note_job(void *arg, lam_stmt *stmt) {
    struct tidy *t = arg;
    struct lam_slice status = lam_column_text(stmt, 0);
    t->live_jobs += slice_eq_str(status, "new") || slice_eq_str(status, "queued") ||
                    slice_eq_str(status, "running") || slice_eq_str(status, "retrying");
    if (!slice_eq_str(status, "completed"))
        return true;
    char id[64] = {0};
    struct lam_slice text = lam_column_text(stmt, 4);
    memcpy(id, text.data, text.size < sizeof id ? text.size : sizeof id - 1);
    int64_t number = strtoll(id + 3, NULL, 10); /* after "FL-"; rises as the tables' numbers do */
    for (size_t i = 0; i < t->table_count; i++) {
        struct told *told = &t->tables[i];
        if (number < told->table || !slice_eq_str(lam_column_text(stmt, 1), told->space) ||
            !slice_eq_str(lam_column_text(stmt, 2), told->name))
            continue;
        told->jobs++;
        told->job_files += (uint64_t)metric(lam_column_text(stmt, 3), "\"files\":");
    }
    return true;
}

/* A flush is one event: its job says completed just when its segments are named. */
static void check_jobs(struct tidy *t) {
    struct wsql_view *v = t->view;
    if (!check_query(v, v->root,
                     "SELECT status, namespace, table_name, metrics, job_id FROM system.jobs",
                     note_job, t))
        return;
    if (t->tidy == WSQL_FRESH && t->live_jobs)
        wsql_fail(v->w, "%s: %llu jobs are said to run", v->what, (unsigned long long)t->live_jobs);
    for (size_t i = 0; i < t->table_count; i++)
        if (t->tables[i].job_files != t->tables[i].entries)
            wsql_fail(v->w, "%s: %llu flushes of %s made %llu files, %llu segments are named",
                      v->what, (unsigned long long)t->tables[i].jobs, t->tables[i].name,
                      (unsigned long long)t->tables[i].job_files,
                      (unsigned long long)t->tables[i].entries);
}

static enum lam_code note_doomed(void *arg, const char *path, struct lam_error *err) {
    struct wsql_view *v = arg;
    (void)err;
    wsql_fail(v->w, "%s: %s is still on the list of files to be removed", v->what, path);
    return LAM_OK;
}

static void note_problem(void *arg, const char *file, uint64_t offset, const char *problem) {
    struct wsql_view *v = arg;
    wsql_fail(v->w, "%s: check: %s at %llu: %s", v->what, file, (unsigned long long)offset,
              problem);
}

/* --- partitions ------------------------------------------------------------------------------ */

static bool note_partition(void *arg, const char *name) {
    uint64_t *count = arg;
    *count +=
        !strncmp(name, "user:", 5) || !strncmp(name, "shared:", 7) || !strncmp(name, "stream:", 7);
    return true;
}

static bool count_partitions(void *arg, struct provider *p) {
    uint64_t *count = arg;
    *count += 1u + (p->segments != NULL) + p->index_count;
    return true;
}

/* All are open, so there are at least those that the tables have. */
static void check_partitions(struct wsql_view *v, struct catalog *c) {
    struct lam_error err = {0};
    uint64_t there = 0, owned = 0;
    enum lam_code rc = lam_partition_list(v->db, note_partition, &there, &err);
    if (rc == LAM_OK)
        rc = catalog_each_provider(c, count_partitions, &owned, &err);
    if (rc != LAM_OK || there != owned)
        wsql_fail(v->w, "%s: tables have %llu partitions, there are %llu %s", v->what,
                  (unsigned long long)owned, (unsigned long long)there, err.message);
}

static void check_fresh(struct wsql_view *v, struct catalog *c) {
    struct lam_error err = {0};
    check_partitions(v, c);
    if (catalog_each_doomed(c, note_doomed, v, &err) != LAM_OK)
        wsql_fail(v->w, "%s: files to be removed: %s", v->what, err.message);
    if (choose_one_in(v->w->choice, 4) && lam_db_check(v->db, note_problem, v, &err) != LAM_OK)
        wsql_fail(v->w, "%s: check: %s", v->what, err.message);
}

void wsql_check_tidy(struct wsql_view *v, enum wsql_tidy tidy) {
    struct tidy t = {.view = v, .tidy = tidy};
    struct catalog *c = NULL;
    struct lam_error err = {0};
    enum lam_code rc = catalog_of(v->db, &c, &err);
    if (rc == LAM_OK)
        rc = catalog_each_provider(c, note_table, &t, &err);
    if (rc != LAM_OK)
        wsql_fail(v->w, "%s: the catalog: %s", v->what, err.message);
    check_files(&t);
    check_jobs(&t);
    if (tidy == WSQL_FRESH && !v->w->failed)
        check_fresh(v, c);
    for (size_t i = 0; i < t.file_count; i++)
        free(t.files[i].path);
    free(t.files);
    free(t.tables);
    arena_fini(&t.arena);
}

/* --- numbers --------------------------------------------------------------------------------- */

void wsql_note_numbers(struct simfs *fs, struct wsql_numbers *out) {
    for (size_t i = 0; i < simfs_file_count(fs); i++) {
        const char *path = simfs_file_path(fs, i), *name = strrchr(path, '/');
        struct wsql_number n;
        if (!path_file_name_parse(name ? name + 1 : path, &n.number, &n.tag))
            continue;
        out->items = more_room(out->items, out->count, &out->capacity, sizeof *out->items);
        out->items[out->count++] = n;
    }
}

struct numbering {
    struct wsql_view *view;
    const struct wsql_numbers *numbers;
    struct flush *flush;
};

static bool check_numbering(void *arg, struct provider *p) {
    struct numbering *g = arg;
    struct lam_value value = {0};
    uint64_t next = 1;
    if (!p->segments)
        return true;
    if (lam_get(g->view->db, NULL, p->segments, segment_next_key(), &value, NULL) == LAM_OK)
        next = get_le64(value.bytes.data);
    lam_value_release(&value);
    for (size_t i = 0; i < g->numbers->count; i++) {
        const struct wsql_number *n = &g->numbers->items[i];
        if (n->number >= next && n->tag == segment_file_tag(g->flush, p->table, n->number))
            wsql_fail(g->view->w, "%s: %s will use number %llu again (next is %llu)", g->view->what,
                      p->name, (unsigned long long)n->number, (unsigned long long)next);
    }
    return true;
}

void wsql_check_numbers(struct wsql_view *v, const struct wsql_numbers *numbers) {
    struct numbering g = {.view = v, .numbers = numbers};
    struct catalog *c;
    struct lam_error err = {0};
    if (numbers->count == 0)
        return;
    enum lam_code rc = flush_object(v->db, &g.flush, &err);
    if (rc == LAM_OK)
        rc = catalog_of(v->db, &c, &err);
    if (rc == LAM_OK)
        rc = catalog_each_provider(c, check_numbering, &g, &err);
    if (rc != LAM_OK)
        wsql_fail(v->w, "%s: numbers: %s", v->what, err.message);
}

/* --- system tables --------------------------------------------------------------------------- */

struct listing {
    struct wsql_view *view;
    const struct msql_state *state;
    uint64_t rows, known;
    uint64_t spaces[MSQL_NAMESPACES]; /* tables of each, as the record says */
};

static const struct msql_table *table_named(const struct msql_state *s, struct lam_slice space,
                                            struct lam_slice name) {
    for (unsigned i = 0; i < MSQL_TABLES; i++)
        if (s->tables[i] && slice_eq_str(name, s->tables[i]->name) &&
            slice_eq_str(space, wsql_spaces[s->tables[i]->space]))
            return s->tables[i];
    return NULL;
}

static bool list_table(void *arg, lam_stmt *stmt) {
    struct listing *l = arg;
    l->rows++;
    l->known += table_named(l->state, lam_column_text(stmt, 0), lam_column_text(stmt, 1)) != NULL;
    return true;
}

static bool list_column(void *arg, lam_stmt *stmt) {
    struct listing *l = arg;
    struct lam_slice column = lam_column_text(stmt, 2);
    const struct msql_table *t =
        table_named(l->state, lam_column_text(stmt, 0), lam_column_text(stmt, 1));
    l->rows++;
    for (uint32_t i = 0; t && i < t->column_count; i++)
        l->known += slice_eq_str(column, t->columns[i].name) &&
                    slice_eq_str(lam_column_text(stmt, 3), t->columns[i].nullable ? "YES" : "NO");
    return true;
}

static bool list_index(void *arg, lam_stmt *stmt) {
    struct listing *l = arg;
    struct lam_slice name = lam_column_text(stmt, 2);
    const struct msql_table *t =
        table_named(l->state, lam_column_text(stmt, 0), lam_column_text(stmt, 1));
    l->rows++;
    for (uint32_t i = 0; t && i < t->index_count; i++)
        l->known += slice_eq_str(name, t->indexes[i].name) &&
                    lam_column_bool(stmt, 3) == t->indexes[i].unique;
    return true;
}

static bool list_space(void *arg, lam_stmt *stmt) {
    struct listing *l = arg;
    for (unsigned i = 0; i < MSQL_NAMESPACES; i++)
        if (slice_eq_str(lam_column_text(stmt, 0), wsql_spaces[i]))
            l->spaces[i] = (uint64_t)lam_column_int64(stmt, 1);
    return true;
}

static void list(struct listing *l, const char *sql, lam_row_fn fn, uint64_t wanted) {
    struct wsql_view *v = l->view;
    l->rows = l->known = 0;
    if (!v->w->failed && check_query(v, v->root, sql, fn, l) &&
        (l->rows != wanted || l->known != wanted))
        wsql_fail(v->w, "%s: %s: %llu rows, %llu of them known, wanted %llu", v->what, sql,
                  (unsigned long long)l->rows, (unsigned long long)l->known,
                  (unsigned long long)wanted);
}

void wsql_check_system(struct wsql_view *v, const struct msql_state *found) {
    struct listing l = {.view = v, .state = found};
    uint64_t tables = 0, columns = 0, indexes = 0, spaces[MSQL_NAMESPACES] = {0};
    for (unsigned i = 0; i < MSQL_TABLES; i++) {
        const struct msql_table *t = found->tables[i];
        tables += t != NULL;
        columns += t ? t->column_count : 0;
        indexes += t ? t->index_count : 0;
        if (t)
            spaces[t->space]++;
    }
    list(&l, "SELECT namespace, table_name FROM system.tables", list_table, tables);
    list(&l, "SELECT namespace, table_name FROM system.table_schemas WHERE is_latest", list_table,
         tables);
    list(&l,
         "SELECT table_schema, table_name, column_name, is_nullable FROM "
         "information_schema.columns",
         list_column, columns);
    list(&l, "SHOW INDEXES", list_index, indexes);
    if (!v->w->failed)
        check_query(v, v->root, "SELECT namespace_id, table_count FROM system.namespaces",
                    list_space, &l);
    for (unsigned i = 0; i < MSQL_NAMESPACES; i++)
        if (!v->w->failed && l.spaces[i] != spaces[i])
            wsql_fail(v->w, "%s: namespace %s says it has %llu tables, and has %llu", v->what,
                      wsql_spaces[i], (unsigned long long)l.spaces[i],
                      (unsigned long long)spaces[i]);
}
