/* SPDX-License-Identifier: Apache-2.0
 *
 * SQL, flush and cold reads: prepared point SELECT and INSERT, the flush to Parquet, an aggregate
 * over the flushed rows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness.h"
#include "bench/kv.h"
#include "lamina/lamina.h"

#define ROWS_PER_INSERT 1000

struct sql_run {
    const struct bench_config *config;
    lam_db *db;
    lam_session *session;
    uint64_t wall, cpu, written;
};

static void check(enum lam_code code, const struct lam_error *err) {
    if (code != LAM_OK)
        fatal("lamina: %s: %s %s", lam_code_name(code), err->sqlstate, err->message);
}

static void exec(struct sql_run *r, const char *sql) {
    struct lam_error err = {0};
    check(lam_exec(r->session, sql, strlen(sql), NULL, NULL, NULL, &err), &err);
}

static uint64_t written(const struct sql_run *r) {
    struct lam_stats s;
    lam_db_stats(r->db, &s);
    return s.wal_bytes + s.dump_bytes + s.compaction_write_bytes;
}

static void start(struct sql_run *r) {
    reset_peak_rss();
    r->wall = now_ns();
    r->cpu = cpu_ns();
    r->written = written(r);
}

static void finish(struct sql_run *r, const char *workload, uint64_t operations,
                   const struct histogram *latency) {
    struct result result = {
        .engine = "lamina",
        .workload = workload,
        .operations = operations,
        .wall_ns = now_ns() - r->wall,
        .cpu_ns = cpu_ns() - r->cpu,
        .peak_bytes = peak_rss(),
        .written_bytes = written(r) - r->written,
    };
    if (latency)
        result.latency = *latency;
    report(&result);
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

static void insert_single(struct sql_run *r, uint64_t n) {
    struct histogram *latency = calloc(1, sizeof *latency);
    lam_stmt *s = prepare(r, "INSERT INTO t VALUES ($1, $2, $3, $4)");
    struct lam_error err = {0};
    char text[64];
    memset(text, 'x', sizeof text);
    start(r);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t before = now_ns();
        bind_int(s, 1, (int64_t)i);
        bind_int(s, 2, (int64_t)(scramble(i) % 10));
        check(lam_bind_double(s, 3, (double)(scramble(i) % 100000) / 100, &err), &err);
        check(lam_bind_text(s, 4, text, sizeof text, &err), &err);
        step(s);
        lam_reset(s);
        histogram_add(latency, now_ns() - before);
    }
    finish(r, "sql-insert", n, latency);
    lam_finalize(s);
    free(latency);
}

/* The rest of the rows, by statements of many rows: the table of the flush. */
static void insert_many(struct sql_run *r, uint64_t from, uint64_t to) {
    char *sql = NULL;
    size_t size = 0;
    start(r);
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
    finish(r, "sql-insert-1000", to - from, NULL);
}

static void point_select(struct sql_run *r, const char *workload, uint64_t count) {
    struct histogram *latency = calloc(1, sizeof *latency);
    lam_stmt *s = prepare(r, "SELECT score, body FROM t WHERE id = $1");
    uint64_t found = 0;
    start(r);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t before = now_ns();
        bind_int(s, 1, (int64_t)(scramble(i) % r->config->n));
        found += step(s);
        lam_reset(s);
        histogram_add(latency, now_ns() - before);
    }
    finish(r, workload, count, latency);
    if (found != count)
        fatal("%s: found %llu of %llu", workload, (unsigned long long)found,
              (unsigned long long)count);
    lam_finalize(s);
    free(latency);
}

static void aggregate(struct sql_run *r, const char *workload, const char *sql) {
    lam_stmt *s = prepare(r, sql);
    start(r);
    while (step(s))
        ;
    finish(r, workload, r->config->n, NULL);
    lam_finalize(s);
}

static void run_all(struct sql_run *r) {
    const struct bench_config *c = r->config;
    uint64_t single = c->n / 5;
    exec(r, "CREATE USER TABLE t (id BIGINT PRIMARY KEY, kind INT, score DOUBLE, body TEXT)");
    insert_single(r, single);
    insert_many(r, single, c->n);
    point_select(r, "sql-point-select", c->n / 5);
    aggregate(r, "hot-scan-sum", "SELECT count(*), sum(score) FROM t WHERE kind < 5");
    start(r);
    exec(r, "STORAGE FLUSH TABLE t");
    finish(r, "flush-parquet", c->n, NULL);
    aggregate(r, "cold-scan-sum", "SELECT count(*), sum(score) FROM t WHERE kind < 5");
    aggregate(r, "cold-scan-group", "SELECT kind, count(*), sum(score) FROM t GROUP BY kind");
    point_select(r, "cold-point-select", c->n / 500 + 1);
}

void bench_sql(const struct bench_config *config) {
    struct sql_run r = {.config = config};
    struct lam_error err = {0};
    char path[4096];
    if (!bench_wants(config, "sql"))
        return;
    snprintf(path, sizeof path, "%s/bench-sql", config->dir);
    remove_tree(path);
    struct lam_options options = {.memory_budget = config->memory_bytes};
    check(lam_db_open(path, &options, &r.db, &err), &err);
    check(lam_session_open(r.db, "bench", LAM_ROLE_SYSTEM, &r.session, &err), &err);
    run_all(&r);
    check(lam_session_close(r.session, &err), &err);
    check(lam_db_close(r.db, &err), &err);
    remove_tree(path);
}
