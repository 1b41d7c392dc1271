/* SPDX-License-Identifier: Apache-2.0
 *
 * Load by SQL: rows of two users and of a shared table, inserted, updated and deleted by key and by
 * index, while tables are flushed and indexes and tables come and go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/kill/kill.h"

#define A_VALUES    12
#define ROWS_MAX    10
#define BIG_B_BYTES 3000

struct writer {
    struct load *load;
    uint64_t number;
};
static struct writer writers[SQL_WRITERS];

static const char *user_of(uint64_t w) {
    static const char *names[SQL_WRITERS] = {"ann", "bob", "carl"};
    return names[w];
}

static const char *table_of(uint64_t w) {
    return w < 2 ? "app.t" : "app.s";
}

static lam_session *session_of(struct load *l, const char *user, enum lam_role role) {
    struct lam_error err;
    lam_session *s;
    must(lam_session_open(l->db, user, role, &s, &err), &err, "session");
    return s;
}

static void end_session(lam_session *s) {
    struct lam_error err;
    must(lam_session_close(s, &err), &err, "session");
}

static void run(lam_session *s, const char *sql) {
    struct lam_error err = {0};
    must(lam_exec(s, sql, strlen(sql), NULL, NULL, NULL, &err), &err, sql);
}

/* --- changes -------------------------------------------------------------------------------- */

enum change_kind { UPSERT, UPDATE_RANGE, UPDATE_A, DELETE_RANGE, DELETE_A };

struct change {
    enum change_kind kind;
    uint64_t number;
    uint32_t ids[ROWS_MAX]; /* of an upsert, distinct */
    int32_t as[ROWS_MAX];
    uint32_t count;
    uint32_t low, high; /* ids of a range */
    int32_t a;          /* looked for, or set by UPDATE_RANGE */
};

static bool has_id(const struct change *c, uint32_t id) {
    for (uint32_t i = 0; i < c->count; i++)
        if (c->ids[i] == id)
            return true;
    return false;
}

static void describe_change(const struct shared *s, uint64_t writer, uint64_t number,
                            struct change *c) {
    struct rng r;
    rng_for(&r, s, 50, writer, number);
    uint64_t kind = rng_below(&r, 20);
    *c = (struct change){.number = number};
    c->kind = kind < 11   ? UPSERT
              : kind < 14 ? UPDATE_RANGE
              : kind < 17 ? UPDATE_A
              : kind < 19 ? DELETE_RANGE
                          : DELETE_A;
    uint32_t want = 1 + (uint32_t)rng_below(&r, ROWS_MAX);
    while (c->count < want) {
        uint32_t id = (uint32_t)rng_below(&r, SQL_IDS);
        if (has_id(c, id))
            continue;
        c->as[c->count] = (int32_t)rng_below(&r, A_VALUES);
        c->ids[c->count++] = id;
    }
    c->low = (uint32_t)rng_below(&r, SQL_IDS);
    c->high = c->low + (uint32_t)rng_below(&r, 20);
    c->a = (int32_t)rng_below(&r, A_VALUES);
}

static void apply_change(const struct change *c, struct sql_row *rows) {
    for (uint32_t i = 0; c->kind == UPSERT && i < c->count; i++)
        rows[c->ids[i]] = (struct sql_row){true, c->as[i], (int64_t)c->number, c->number};
    for (uint32_t id = 0; c->kind != UPSERT && id < SQL_IDS; id++) {
        struct sql_row *row = &rows[id];
        bool by_range = c->kind == UPDATE_RANGE || c->kind == DELETE_RANGE;
        bool hit = row->present && (by_range ? id >= c->low && id <= c->high : row->a == c->a);
        if (!hit)
            continue;
        if (c->kind == DELETE_RANGE || c->kind == DELETE_A) {
            *row = (struct sql_row){0};
            continue;
        }
        row->n = (int64_t)c->number;
        if (c->kind == UPDATE_RANGE)
            row->a = c->a;
    }
}

/* Column b: says which change wrote it; unique among a writer's rows. */
static void make_b(char *out, uint64_t writer, uint32_t id, uint64_t change) {
    int n = snprintf(out, BIG_B_BYTES, "%llu-%u-%llu-", (unsigned long long)writer, id,
                     (unsigned long long)change);
    size_t more = (id + change) % 15 == 0 ? BIG_B_BYTES - 100 : (id + change) % 40;
    memset(out + n, 'a' + (int)(change % 26), more);
    out[(size_t)n + more] = 0;
}

static size_t write_upsert(char *sql, size_t size, uint64_t w, const struct change *c) {
    static _Thread_local char b[BIG_B_BYTES];
    size_t n = (size_t)snprintf(sql, size, "INSERT INTO %s (id, a, b, n) VALUES ", table_of(w));
    for (uint32_t i = 0; i < c->count; i++) {
        make_b(b, w, c->ids[i], c->number);
        n += (size_t)snprintf(sql + n, size - n, "%s(%u, %d, '%s', %llu)", i ? ", " : "", c->ids[i],
                              c->as[i], b, (unsigned long long)c->number);
    }
    return n + (size_t)snprintf(sql + n, size - n,
                                " ON CONFLICT (id) DO UPDATE SET a = excluded.a, b = excluded.b, "
                                "n = excluded.n");
}

static void write_sql(char *sql, size_t size, uint64_t w, const struct change *c) {
    unsigned long long number = c->number;
    const char *t = table_of(w);
    switch (c->kind) {
    case UPSERT:
        write_upsert(sql, size, w, c);
        break;
    case UPDATE_RANGE:
        snprintf(sql, size, "UPDATE %s SET a = %d, n = %llu WHERE id >= %u AND id <= %u", t, c->a,
                 number, c->low, c->high);
        break;
    case UPDATE_A:
        snprintf(sql, size, "UPDATE %s SET n = %llu WHERE a = %d", t, number, c->a);
        break;
    case DELETE_RANGE:
        snprintf(sql, size, "DELETE FROM %s WHERE id BETWEEN %u AND %u", t, c->low, c->high);
        break;
    case DELETE_A:
        snprintf(sql, size, "DELETE FROM %s WHERE a = %d", t, c->a);
        break;
    }
}

static void *write_changes(void *arg) {
    const struct writer *w = arg;
    struct progress *p = &w->load->model->sql[w->number];
    lam_session *s =
        session_of(w->load, user_of(w->number), w->number < 2 ? LAM_ROLE_USER : LAM_ROLE_SERVICE);
    size_t size = (BIG_B_BYTES + 100) * (ROWS_MAX + 1);
    char *sql = must_alloc(size);
    while (!stopping(w->load)) {
        struct change c;
        uint64_t number = atomic_load(&p->acked) + 1;
        describe_change(w->load->shared, w->number, number, &c);
        write_sql(sql, size, w->number, &c);
        lam_session_set_durability(s, number % 16 ? LAM_DURABILITY_OS : LAM_DURABILITY_SYNC);
        atomic_store(&p->begun, number);
        run(s, sql);
        atomic_store(&p->acked, number);
    }
    free(sql);
    end_session(s);
    return NULL;
}

/* --- the others ----------------------------------------------------------------------------- */

static void flush(struct load *l, lam_session *s, const char *sql) {
    work_begin(l, WORK_FLUSH);
    run(s, sql);
    work_end(l, WORK_FLUSH);
}

static void *flush_tables(void *arg) {
    struct load *l = arg;
    lam_session *s = session_of(l, "root", LAM_ROLE_SYSTEM);
    while (!stopping(l)) {
        flush(l, s, "STORAGE FLUSH TABLE app.t");
        flush(l, s, "STORAGE FLUSH TABLE app.s");
    }
    end_session(s);
    return NULL;
}

/* A round of schema changes; what stands after change `i` is that of its place in the round. */
static const struct step {
    const char *sql;
    bool index;    /* app.t has index t_n */
    bool table;    /* app.x is there */
    bool t_more;   /* app.t has column more */
    bool x_w;      /* app.x has column w */
    bool x_rename; /* app.x's column v is called u */
} steps[] = {
    {"ALTER TABLE app.t DROP COLUMN more", .table = true, .x_w = true},
    {"ALTER TABLE app.x RENAME COLUMN v TO u", .table = true, .x_w = true, .x_rename = true},
    {"DROP TABLE app.x", .index = false},
    {"CREATE INDEX t_n ON app.t (n)", .index = true},
    {"CREATE SHARED TABLE app.x (id INT PRIMARY KEY, v TEXT)", .index = true, .table = true},
    {"ALTER TABLE app.t ADD COLUMN more INT DEFAULT 7", .index = true, .table = true,
     .t_more = true},
    {"ALTER TABLE app.x ADD COLUMN w INT DEFAULT 5", .index = true, .table = true, .t_more = true,
     .x_w = true},
    {"USE app; DROP INDEX t_n", .table = true, .t_more = true, .x_w = true},
};
#define STEPS (sizeof steps / sizeof steps[0])
/* Change 1 is the first that a fresh database can take. */
static const struct step *step_of(uint64_t change) {
    return &steps[(change + 2) % STEPS];
}

static void *change_schema(void *arg) {
    struct load *l = arg;
    struct progress *p = &l->model->schema;
    lam_session *s = session_of(l, "root", LAM_ROLE_SYSTEM);
    while (!stopping(l)) {
        uint64_t change = atomic_load(&p->acked) + 1;
        atomic_store(&p->begun, change);
        work_begin(l, WORK_SCHEMA);
        run(s, step_of(change)->sql);
        atomic_store(&p->acked, change);
        work_end(l, WORK_SCHEMA);
        if (step_of(change)->table) {
            run(s, "INSERT INTO app.x (id) VALUES (1) ON CONFLICT DO NOTHING");
            flush(l, s, "STORAGE FLUSH TABLE app.x");
        }
    }
    end_session(s);
    return NULL;
}

static void make_tables(struct load *l) {
    lam_session *s = session_of(l, "root", LAM_ROLE_SYSTEM);
    run(s, "CREATE NAMESPACE IF NOT EXISTS app;"
           "CREATE USER TABLE IF NOT EXISTS app.t (id BIGINT PRIMARY KEY, a INT, b TEXT, n BIGINT);"
           "CREATE SHARED TABLE IF NOT EXISTS app.s (id BIGINT PRIMARY KEY, a INT, b TEXT, "
           "n BIGINT) WITH (access_level = 'public');"
           "CREATE INDEX IF NOT EXISTS t_a ON app.t (a);"
           "CREATE UNIQUE INDEX IF NOT EXISTS t_b ON app.t (b);"
           "CREATE INDEX IF NOT EXISTS s_a ON app.s (a)");
    end_session(s);
}

void sql_start(struct load *l) {
    for (uint64_t i = 0; i < SQL_WRITERS; i++) {
        writers[i] = (struct writer){l, i};
        start(write_changes, &writers[i]);
    }
    start(flush_tables, l);
    start(change_schema, l);
}

/* --- verification --------------------------------------------------------------------------- */

struct result {
    struct sql_row rows[SQL_IDS];
    uint64_t writer;
    uint64_t count;
};

static bool note_row(void *arg, lam_stmt *stmt) {
    struct result *r = arg;
    char expected[BIG_B_BYTES];
    int64_t id = lam_column_int64(stmt, 0);
    struct lam_slice b = lam_column_text(stmt, 2);
    if (id < 0 || id >= SQL_IDS)
        fail("a row of id %lld was never written", (long long)id);
    struct sql_row *row = &r->rows[id];
    if (row->present)
        fail("%s: the row of id %lld comes twice", table_of(r->writer), (long long)id);
    unsigned long long writer, change;
    unsigned b_id;
    char head[80] = {0};
    memcpy(head, b.data, b.size < sizeof head ? b.size : sizeof head - 1);
    if (sscanf(head, "%llu-%u-%llu-", &writer, &b_id, &change) != 3 || writer != r->writer ||
        b_id != id)
        fail("%s: the row of id %lld has another's value %s", table_of(r->writer), (long long)id,
             head);
    make_b(expected, writer, b_id, change);
    if (b.size != strlen(expected) || memcmp(b.data, expected, b.size) != 0)
        fail("%s: column b of id %lld was never written", table_of(r->writer), (long long)id);
    *row = (struct sql_row){true, (int32_t)lam_column_int64(stmt, 1), lam_column_int64(stmt, 3),
                            change};
    r->count++;
    return true;
}

static void query(lam_session *s, uint64_t w, const char *where, struct result *out) {
    struct lam_error err = {0};
    char sql[200];
    memset(out, 0, sizeof *out);
    out->writer = w;
    snprintf(sql, sizeof sql, "SELECT id, a, b, n FROM %s %s", table_of(w), where);
    must(lam_exec(s, sql, strlen(sql), note_row, out, NULL, &err), &err, sql);
}

static bool same_row(const struct sql_row *x, const struct sql_row *y) {
    return x->present == y->present &&
           (!x->present || (x->a == y->a && x->n == y->n && x->b == y->b));
}

static bool same_rows(const struct sql_row *x, const struct sql_row *y) {
    for (uint32_t i = 0; i < SQL_IDS; i++)
        if (!same_row(&x[i], &y[i]))
            return false;
    return true;
}

static void explain(const struct sql_row *found, const struct sql_row *expected) {
    for (uint32_t i = 0; i < SQL_IDS; i++) {
        const struct sql_row *f = &found[i], *e = &expected[i];
        if (!same_row(f, e))
            fprintf(stderr, "  id %u: present %d a %d n %lld b %llu, expected %d %d %lld %llu\n", i,
                    f->present, f->a, (long long)f->n, (unsigned long long)f->b, e->present, e->a,
                    (long long)e->n, (unsigned long long)e->b);
    }
}

/* The scan against the model. */
static void verify_rows(struct load *l, uint64_t w, const struct result *all) {
    struct model *m = l->model;
    struct progress *p = &m->sql[w];
    struct change c;
    uint64_t acked = atomic_load(&p->acked), begun = atomic_load(&p->begun);
    struct sql_row *rows = m->rows[w];
    for (uint64_t i = m->sql_applied[w] + 1; i <= acked; i++) {
        describe_change(l->shared, w, i, &c);
        apply_change(&c, rows);
    }
    if (begun > acked && !same_rows(all->rows, rows)) {
        describe_change(l->shared, w, begun, &c);
        apply_change(&c, rows);
        acked = begun;
        atomic_fetch_add(&l->shared->unacked, 1);
    }
    if (!same_rows(all->rows, rows)) {
        explain(all->rows, rows);
        fail("%s of %s: not the state after statement %llu (acknowledged: %llu, begun: %llu)",
             table_of(w), user_of(w), (unsigned long long)acked,
             (unsigned long long)atomic_load(&p->acked), (unsigned long long)begun);
    }
    m->sql_applied[w] = acked;
    atomic_store(&p->acked, acked);
    atomic_store(&p->begun, acked);
}

/* What the indexes find is what the scan found. */
static void verify_indexes(lam_session *s, uint64_t w, const struct result *all) {
    struct result *part = must_alloc(sizeof *part);
    char where[BIG_B_BYTES + 40], b[BIG_B_BYTES];
    uint64_t total = 0;
    for (int32_t a = 0; a < A_VALUES; a++) {
        snprintf(where, sizeof where, "WHERE a = %d", a);
        query(s, w, where, part);
        for (uint32_t i = 0; i < SQL_IDS; i++)
            if (part->rows[i].present &&
                (!same_row(&part->rows[i], &all->rows[i]) || all->rows[i].a != a))
                fail("%s %s: id %u differs from the scan", table_of(w), where, i);
        total += part->count;
    }
    if (total != all->count)
        fail("%s of %s: %llu rows by index, %llu by scan", table_of(w), user_of(w),
             (unsigned long long)total, (unsigned long long)all->count);
    for (uint32_t i = 0; i < SQL_IDS; i += 7) {
        make_b(b, w, i, all->rows[i].b);
        if (!all->rows[i].present || strlen(b) > 100)
            continue;
        snprintf(where, sizeof where, "WHERE b = '%s'", b);
        query(s, w, where, part);
        if (part->count != 1 || !same_row(&part->rows[i], &all->rows[i]))
            fail("%s %s: %llu rows, expected id %u", table_of(w), where,
                 (unsigned long long)part->count, i);
        snprintf(where, sizeof where, "WHERE id = %u", i);
        query(s, w, where, part);
        if (part->count != 1 || !same_row(&part->rows[i], &all->rows[i]))
            fail("%s %s: not what the scan says", table_of(w), where);
    }
    free(part);
}

/* Entries of a partition; of a hot one, live rows only. */
static uint64_t count_entries(struct load *l, const char *name, bool hot) {
    struct lam_error err;
    lam_partition *p;
    lam_iter *it;
    uint64_t count = 0;
    must(lam_partition_open(l->db, name, &p, &err), &err, name);
    must(lam_iter_new(l->db, NULL, p, &it, &err), &err, name);
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
        struct lam_slice value = lam_iter_value(it);
        count += !hot || (value.size > 0 && !(value.data[0] & 1));
    }
    must(lam_iter_status(it, &err), &err, name);
    lam_iter_free(it);
    lam_partition_release(p);
    return count;
}

static void verify_entries(struct load *l, const char *table, const char *index) {
    char name[100];
    uint64_t rows = count_entries(l, table, true);
    snprintf(name, sizeof name, "%s#%s", table, index);
    uint64_t entries = count_entries(l, name, false);
    if (entries != rows)
        fail("%s: %llu entries for %llu live hot rows", name, (unsigned long long)entries,
             (unsigned long long)rows);
}

static bool has_partition(struct load *l, const char *name) {
    struct lam_error err;
    lam_partition *p;
    enum lam_code rc = lam_partition_open(l->db, name, &p, &err);
    if (rc == LAM_NOT_FOUND)
        return false;
    must(rc, &err, name);
    lam_partition_release(p);
    return true;
}

/* Whether a table has a column. */
static bool has_column(lam_session *s, const char *table, const char *column) {
    struct lam_error err = {0};
    lam_stmt *stmt;
    char sql[100];
    snprintf(sql, sizeof sql, "SELECT %s FROM %s", column, table);
    enum lam_code rc = lam_prepare(s, sql, strlen(sql), &stmt, NULL, &err);
    if (rc == LAM_SQL && (!strcmp(err.sqlstate, "42703") || !strcmp(err.sqlstate, "42P01")))
        return false;
    must(rc, &err, sql);
    lam_finalize(stmt);
    return true;
}

static bool is_at(const struct step *now, uint64_t change) {
    const struct step *e = step_of(change);
    return now->index == e->index && now->table == e->table && now->t_more == e->t_more &&
           now->x_w == e->x_w && now->x_rename == e->x_rename;
}

static void verify_schema(struct load *l) {
    struct progress *p = &l->model->schema;
    uint64_t acked = atomic_load(&p->acked), begun = atomic_load(&p->begun);
    lam_session *s = session_of(l, "root", LAM_ROLE_SYSTEM);
    struct step now = {
        .index = has_partition(l, "user:app:t#t_n"),
        .table = has_partition(l, "shared:app:x"),
        .t_more = has_column(s, "app.t", "more"),
        .x_w = has_column(s, "app.x", "w"),
        .x_rename = has_column(s, "app.x", "u"),
    };
    if (now.table != has_partition(l, "shared:app:x@segments"))
        fail("half of table app.x is there");
    end_session(s);
    uint64_t change = is_at(&now, acked) ? acked : begun;
    if (!is_at(&now, change))
        fail("index t_n %d, table app.x %d, columns more %d, w %d, u %d after schema change %llu "
             "(begun: %llu)",
             now.index, now.table, now.t_more, now.x_w, now.x_rename, (unsigned long long)acked,
             (unsigned long long)begun);
    if (now.index)
        verify_entries(l, "user:app:t", "t_n");
    atomic_store(&p->acked, change);
    atomic_store(&p->begun, change);
}

static void verify_writer(struct load *l, uint64_t w, struct result *all) {
    lam_session *s = session_of(l, user_of(w), w < 2 ? LAM_ROLE_USER : LAM_ROLE_SERVICE);
    query(s, w, "", all);
    verify_rows(l, w, all);
    if (l->full)
        verify_indexes(s, w, all);
    end_session(s);
}

void sql_verify(struct load *l) {
    struct result *all = must_alloc(sizeof *all);
    make_tables(l);
    for (uint64_t w = 0; w < SQL_WRITERS; w++)
        verify_writer(l, w, all);
    verify_entries(l, "user:app:t", "t_a");
    verify_entries(l, "user:app:t", "t_b");
    verify_entries(l, "shared:app:s", "s_a");
    verify_schema(l);
    free(all);
}
