/* SPDX-License-Identifier: Apache-2.0
 *
 * Random writes, deletes, flushes, reopens and schema changes against arrays. */
#include "base/rng.h"
#include "tests/flush/world.h"

#define USERS 3
#define KEYS  60

struct model_row {
    bool present, deleted;
    int n;
    char name[12];
};
static struct model_row model[2][USERS][KEYS]; /* [USER table, SHARED table] */
static const char *const users[USERS] = {"../x", "a/b", "bob"};

static void expect_rows(struct buf *out, const struct model_row *rows, bool with_deleted) {
    struct lam_error err;
    char *lines[KEYS];
    size_t count = 0;
    for (int k = 0; k < KEYS; k++) {
        const struct model_row *r = &rows[k];
        if (!r->present || (r->deleted && !with_deleted))
            continue;
        char line[64];
        snprintf(line, sizeof line, "%d|%s|%d%s\n", k, r->name, r->n,
                 !with_deleted ? ""
                 : r->deleted  ? "|true"
                               : "|false");
        lines[count++] = mem_strdup(line);
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++) {
        ck_ok(buf_append_str(out, lines[i], &err), &err);
        mem_free(lines[i]);
    }
}

static void check_scan(struct world *w, struct provider *p, const char *user,
                       const struct model_row *rows, bool with_deleted) {
    uint32_t ids[8];
    struct buf got = {0}, expected = {0};
    struct scan_request rq = {.provider = p,
                              .user = S(user),
                              .column_ids = ids,
                              .column_count = all_ids(p, ids, false),
                              .with_deleted = with_deleted};
    if (with_deleted)
        ids[rq.column_count++] = COLUMN_ID_DELETED;
    ck_ok(scan_rows(&rq, &got, NULL, &w->err), &w->err);
    expect_rows(&expected, rows, with_deleted);
    const char *a, *b;
    ck_ok(buf_cstr(&got, &a, &w->err), &w->err);
    ck_ok(buf_cstr(&expected, &b, &w->err), &w->err);
    ck_assert_str_eq(a, b);
    buf_fini(&got);
    buf_fini(&expected);
}

static void check_points(struct world *w, struct provider *p, const char *user,
                         const struct model_row *rows) {
    lam_snapshot *snapshot;
    struct arena arena = {0};
    ck_ok(lam_snapshot_new(w->db, &snapshot, &w->err), &w->err);
    for (int k = 0; k < KEYS; k++) {
        struct value values[3] = {value_i64(LAM_TYPE_BIGINT, k)};
        struct buf key = {0};
        struct row_found found;
        ck_ok(row_key(p->schema, p->kind, S(user), values, &key, &w->err), &w->err);
        ck_ok(row_find(p, snapshot, S(user), buf_slice(&key), 0, &arena, &found, &w->err), &w->err);
        ck_assert_int_eq(found.found, rows[k].present);
        if (found.found) {
            ck_assert_int_eq(found.deleted, rows[k].deleted);
            ck_assert_int_eq(found.values[0].as.i64, k);
            ck_assert(slice_eq_str(found.values[1].as.bytes, rows[k].name));
            ck_assert_int_eq(found.values[2].as.i64, rows[k].n);
        }
        buf_fini(&key);
    }
    arena_fini(&arena);
    lam_snapshot_free(snapshot);
}

/* A range of keys, and rows by the index on n. */
static void check_parts(struct world *w, struct provider *p, const char *user,
                        const struct model_row *rows, struct rng *r) {
    struct model_row part[KEYS];
    uint32_t ids[3], count = all_ids(p, ids, false);
    int from = (int)rng_below(r, KEYS), to = (int)rng_below(r, KEYS + 1);
    struct buf lower = {0}, upper = {0}, prefix = {0}, got = {0}, expected = {0};
    struct value a[3] = {value_i64(LAM_TYPE_BIGINT, from)}, b[3] = {value_i64(LAM_TYPE_BIGINT, to)};
    ck_ok(row_key(p->schema, p->kind, S(user), a, &lower, &w->err), &w->err);
    ck_ok(row_key(p->schema, p->kind, S(user), b, &upper, &w->err), &w->err);
    struct scan_request rq = {.provider = p,
                              .user = S(user),
                              .column_ids = ids,
                              .column_count = count,
                              .key_lower = buf_slice(&lower),
                              .key_upper = buf_slice(&upper)};
    ck_ok(scan_rows(&rq, &got, NULL, &w->err), &w->err);
    memcpy(part, rows, sizeof part);
    for (int k = 0; k < KEYS; k++)
        part[k].present &= k >= from && k < to;
    expect_rows(&expected, part, false);
    ck_assert_msg(slice_eq(buf_slice(&got), buf_slice(&expected)), "range %d to %d:\n%.*s\n%.*s",
                  from, to, (int)got.size, (const char *)got.data, (int)expected.size,
                  (const char *)expected.data);

    struct value n = value_i64(LAM_TYPE_INT, (int64_t)rng_below(r, 8));
    struct scan_predicate eq = {p->schema->columns[2].id, SCAN_EQ, n};
    ck_ok(index_prefix(p, &p->indexes[0], S(user), &n, 1, &prefix, &w->err), &w->err);
    rq = (struct scan_request){.provider = p,
                               .user = S(user),
                               .column_ids = ids,
                               .column_count = count,
                               .predicates = &eq,
                               .predicate_count = 1,
                               .index = &p->indexes[0],
                               .index_prefix = buf_slice(&prefix)};
    struct scan *s;
    struct colbatch *batch;
    bool seen[KEYS] = {0};
    ck_ok(scan_open(&rq, &s, &w->err), &w->err);
    for (;;) {
        ck_ok(scan_next(s, &batch, &w->err), &w->err);
        if (!batch)
            break;
        for (uint32_t i = 0; i < batch->rows; i++) {
            if (column_i64(&batch->columns[2], i) != n.as.i64)
                continue; /* cold rows are only pruned */
            int64_t id = column_i64(&batch->columns[0], i);
            ck_assert(!seen[id]);
            seen[id] = true;
        }
    }
    scan_close(s);
    for (int k = 0; k < KEYS; k++)
        ck_assert_int_eq(seen[k], rows[k].present && !rows[k].deleted && rows[k].n == n.as.i64);
    buf_fini(&lower);
    buf_fini(&upper);
    buf_fini(&prefix);
    buf_fini(&got);
    buf_fini(&expected);
}

static void check_all(struct world *w, struct provider *tables[2], struct rng *r) {
    for (int t = 0; t < 2; t++) {
        for (int u = 0; u < (t ? 1 : USERS); u++) {
            const char *user = t ? "" : users[u];
            check_scan(w, tables[t], user, model[t][u], false);
            check_scan(w, tables[t], user, model[t][u], true);
            check_points(w, tables[t], user, model[t][u]);
            check_parts(w, tables[t], user, model[t][u], r);
        }
    }
}

static void write_one(struct world *w, struct provider *tables[2], struct rng *r) {
    int t = (int)rng_below(r, 2), u = t ? 0 : (int)rng_below(r, USERS);
    int k = (int)rng_below(r, KEYS);
    struct model_row *row = &model[t][u][k];
    row->deleted = row->present && rng_below(r, 4) == 0;
    row->present = true;
    row->n = (int)rng_below(r, 8);
    snprintf(row->name, sizeof row->name, "v%d", (int)rng_below(r, 1000));
    struct value values[3] = {value_i64(LAM_TYPE_BIGINT, k), value_text(row->name),
                              value_i64(LAM_TYPE_INT, row->n)};
    world_put_values(w, tables[t], t ? "" : users[u], values, row->deleted);
}

static void open_tables(struct world *w, struct provider *tables[2]) {
    tables[0] = world_provider(w, "u");
    tables[1] = world_provider(w, "s");
}
static void close_tables(struct provider *tables[2]) {
    provider_unref(tables[0]);
    provider_unref(tables[1]);
}

static void make_index(struct world *w, const char *table, const char *name) {
    struct lam_slice column = S("n");
    struct index_spec spec = {.name = S(name),
                              .namespace_name = S("default"),
                              .table = S(table),
                              .columns = &column,
                              .column_count = 1};
    bool created;
    ck_ok(catalog_create_index(w->c, &world_root, &spec, &created, &w->err), &w->err);
}

START_TEST(rows_equal_a_model_over_random_flushes_and_reopens) {
    struct world w;
    struct rng r;
    struct provider *tables[2];
    rng_init(&r, test_seed("flush model"));
    world_open(&w);
    world_table(&w, "u", TABLE_USER, NULL);
    world_table(&w, "s", TABLE_SHARED, NULL);
    make_index(&w, "u", "u_n");
    make_index(&w, "s", "s_n");
    open_tables(&w, tables);
    for (int step = 0; step < 120; step++) {
        for (uint64_t i = 0, n = rng_below(&r, 40); i < n; i++)
            write_one(&w, tables, &r);
        if (rng_below(&r, 2) == 0)
            world_flush(&w, tables[rng_below(&r, 2)]);
        if (rng_below(&r, 12) == 0) {
            close_tables(tables);
            world_reopen(&w);
            open_tables(&w, tables);
        }
        check_all(&w, tables, &r);
    }
    ck_assert_uint_gt(count_segments(&w, tables[0]), 10);
    size_t segments = count_segments(&w, tables[0]) + count_segments(&w, tables[1]);
    ck_assert_uint_eq(count_cold(w.env, ".parquet"), segments);
    close_tables(tables);
    world_close(&w);
}
END_TEST

TEST_MAIN("flush/model", rows_equal_a_model_over_random_flushes_and_reopens)
