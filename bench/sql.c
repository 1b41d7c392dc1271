/* SPDX-License-Identifier: Apache-2.0
 *
 * SQL, flush and cold reads: prepared point SELECT and INSERT, the flush to Parquet, an aggregate
 * over the flushed rows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "lamina/lamina.h"

#define ROWS_PER_INSERT 1000

struct sql_run {
    struct run *run;
    lam_db *db;
    lam_session *session;
    struct row row;
    struct meter meter;
};

static void check(enum lam_code code, const struct lam_error *err) {
    if (code != LAM_OK)
        fatal("lamina: %s: %s %s", lam_code_name(code), err->sqlstate, err->message);
}

static void exec(struct sql_run *r, const char *sql) {
    struct lam_error err = {0};
    check(lam_exec(r->session, sql, strlen(sql), NULL, NULL, NULL, &err), &err);
}

static void start(struct sql_run *r, const char *workload, uint64_t count) {
    r->row = row_begin(workload, count);
    meter_start(&r->meter, r->run->config->fill_limit_ns, NULL);
}

static void finish(struct sql_run *r) {
    row_end(r->run, &r->row, &r->meter);
}

static void finish_call(struct sql_run *r) {
    row_end_call(r->run, &r->row, r->row.wanted);
}

static lam_stmt *prepare(struct sql_run *r, const char *sql) {
    struct lam_error err = {0};
    lam_stmt *s;
    check(lam_prepare(r->session, sql, strlen(sql), &s, NULL, &err), &err);
    return s;
}

static bool step(lam_stmt *s) {
    struct lam_error err = {0};
    bool row;
    check(lam_step(s, &row, &err), &err);
    return row;
}

static void bind_int(lam_stmt *s, uint32_t i, int64_t v) {
    struct lam_error err = {0};
    check(lam_bind_int64(s, i, v, &err), &err);
}

static uint64_t insert_single(struct sql_run *r, uint64_t n) {
    lam_stmt *s = prepare(r, "INSERT INTO t VALUES ($1, $2, $3, $4)");
    struct lam_error err = {0};
    char text[64];
    memset(text, 'x', sizeof text);
    start(r, "sql-insert", n);
    for (uint64_t i = 0; i < n; i++) {
        bind_int(s, 1, (int64_t)i);
        bind_int(s, 2, (int64_t)(scramble(i) % 10));
        check(lam_bind_double(s, 3, (double)(scramble(i) % 100000) / 100, &err), &err);
        check(lam_bind_text(s, 4, text, sizeof text, &err), &err);
        step(s);
        lam_reset(s);
        if (!meter_tick(&r->meter))
            break;
    }
    finish(r);
    lam_finalize(s);
    return r->meter.operations;
}

/* The rest of the rows, by statements of many rows: the table of the flush. */
static void insert_many(struct sql_run *r, uint64_t from, uint64_t to) {
    char *sql = NULL;
    size_t size = 0;
    start(r, "sql-insert-1000", to - from);
    for (uint64_t i = from; i < to; i += ROWS_PER_INSERT) {
        FILE *out = open_memstream(&sql, &size);
        fputs("INSERT INTO t VALUES ", out);
        for (uint64_t k = i; k < i + ROWS_PER_INSERT && k < to; k++)
            fprintf(out, "%s(%llu, %llu, %.2f, 'message number %llu of the bench')",
                    k > i ? "," : "", (unsigned long long)k, (unsigned long long)(scramble(k) % 10),
                    (double)(scramble(k) % 100000) / 100, (unsigned long long)k);
        fclose(out);
        exec(r, sql);
        free(sql);
    }
    finish_call(r);
}

static void point_select(struct sql_run *r, const char *workload, uint64_t count) {
    lam_stmt *s = prepare(r, "SELECT score, body FROM t WHERE id = $1");
    uint64_t found = 0;
    start(r, workload, count);
    for (uint64_t i = 0; i < count; i++) {
        bind_int(s, 1, (int64_t)(scramble(i) % r->run->config->n));
        found += step(s);
        lam_reset(s);
        if (!meter_tick(&r->meter))
            break;
    }
    finish(r);
    expect(r->run, workload, "rows found", found, r->meter.operations);
    lam_finalize(s);
}

/* A query over all rows; the sum of its column `column` is what is expected. */
static void aggregate(struct sql_run *r, const char *workload, const char *sql, uint32_t column,
                      uint64_t expected) {
    uint64_t sum = 0;
    lam_stmt *s = prepare(r, sql);
    start(r, workload, r->run->config->n);
    while (step(s))
        sum += (uint64_t)lam_column_int64(s, column);
    finish_call(r);
    expect(r->run, workload, "rows counted", sum, expected);
    lam_finalize(s);
}

static void run_all(struct sql_run *r) {
    uint64_t n = r->run->config->n, below_five = 0;
    for (uint64_t i = 0; i < n; i++)
        below_five += scramble(i) % 10 < 5;
    exec(r, "CREATE USER TABLE t (id BIGINT PRIMARY KEY, kind INT, score DOUBLE, body TEXT)");
    uint64_t single = insert_single(r, n / 5);
    insert_many(r, single, n);
    point_select(r, "sql-point-select", n / 5);
    aggregate(r, "hot-scan-sum", "SELECT count(*), sum(score) FROM t WHERE kind < 5", 0,
              below_five);
    start(r, "flush-parquet", n);
    exec(r, "STORAGE FLUSH TABLE t");
    finish_call(r);
    aggregate(r, "cold-scan-sum", "SELECT count(*), sum(score) FROM t WHERE kind < 5", 0,
              below_five);
    aggregate(r, "cold-scan-group", "SELECT kind, count(*), sum(score) FROM t GROUP BY kind", 1, n);
    point_select(r, "cold-point-select", n / 500 + 1);
}

void group_sql(struct run *run) {
    struct sql_run r = {.run = run};
    struct lam_error err = {0};
    if (run->ops != &engine_lamina)
        return;
    remove_tree(run->path);
    struct lam_options options = {.memory_budget = run->memory_bytes};
    check(lam_db_open(run->path, &options, &r.db, &err), &err);
    check(lam_session_open(r.db, "bench", LAM_ROLE_SYSTEM, &r.session, &err), &err);
    run_all(&r);
    check(lam_session_close(r.session, &err), &err);
    check(lam_db_close(r.db, &err), &err);
}
