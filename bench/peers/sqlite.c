/* SPDX-License-Identifier: Apache-2.0
 *
 * SQLite under the workloads: WAL, a WITHOUT ROWID table a partition, prepared statements, one
 * connection a thread. synchronous = OFF for OS durability, FULL for fillsync. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/engine.h"
#include "bench/harness.h"

#define PARTITIONS 4

struct engine {
    char path[4096];
    size_t memory_bytes;
    unsigned generation;
};

/* What a thread keeps open; made anew when the engine was reopened. */
struct connection {
    unsigned generation;
    sqlite3 *db;
    sqlite3_stmt *put[PARTITIONS], *get, *begin, *commit, *first, *last, *seek;
    bool synchronous;
};
static _Thread_local struct connection mine;
static unsigned generations;

static void check(sqlite3 *db, int rc) {
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW)
        fatal("sqlite: %s", sqlite3_errmsg(db));
}

static void exec(sqlite3 *db, const char *sql) {
    check(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *s;
    check(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL));
    return s;
}

static void disconnect(void) {
    if (!mine.db)
        return;
    sqlite3_stmt *s;
    while ((s = sqlite3_next_stmt(mine.db, NULL)))
        sqlite3_finalize(s);
    sqlite3_close(mine.db);
    memset(&mine, 0, sizeof mine);
}

static void connect(struct engine *e) {
    char sql[200];
    if (mine.generation == e->generation)
        return;
    disconnect();
    check(NULL, sqlite3_open(e->path, &mine.db));
    mine.generation = e->generation;
    sqlite3_busy_timeout(mine.db, 60000);
    exec(mine.db, "PRAGMA journal_mode=WAL");
    exec(mine.db, "PRAGMA synchronous=OFF");
    snprintf(sql, sizeof sql, "PRAGMA cache_size=-%zu", e->memory_bytes >> 10);
    exec(mine.db, sql);
    for (int i = 0; i < PARTITIONS; i++) {
        snprintf(sql, sizeof sql,
                 "CREATE TABLE IF NOT EXISTS p%d (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID", i);
        exec(mine.db, sql);
        snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO p%d VALUES (?, ?)", i);
        mine.put[i] = prepare(mine.db, sql);
    }
    mine.get = prepare(mine.db, "SELECT v FROM p0 WHERE k = ?");
    mine.begin = prepare(mine.db, "BEGIN IMMEDIATE");
    mine.commit = prepare(mine.db, "COMMIT");
    mine.first = prepare(mine.db, "SELECT k, v FROM p0 ORDER BY k");
    mine.last = prepare(mine.db, "SELECT k, v FROM p0 ORDER BY k DESC");
    mine.seek = prepare(mine.db, "SELECT k, v FROM p0 WHERE k >= ? ORDER BY k");
}

static struct engine *open_engine(const struct engine_options *o) {
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        fatal("no memory");
    mkdir(o->dir, 0700);
    snprintf(e->path, sizeof e->path, "%s/db", o->dir);
    e->memory_bytes = o->memory_bytes;
    e->generation = ++generations;
    connect(e);
    return e;
}

static void close_engine(struct engine *e) {
    disconnect();
    free(e);
}

static void step_once(sqlite3_stmt *s) {
    check(mine.db, sqlite3_step(s));
    check(mine.db, sqlite3_reset(s));
}

static void write_ops(struct engine *e, const struct write_op *ops, size_t count, bool sync) {
    connect(e);
    if (mine.synchronous != sync) {
        exec(mine.db, sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF");
        mine.synchronous = sync;
    }
    if (count > 1)
        step_once(mine.begin);
    for (size_t i = 0; i < count; i++) {
        sqlite3_stmt *s = mine.put[ops[i].partition];
        sqlite3_bind_blob(s, 1, ops[i].key, (int)ops[i].key_size, SQLITE_STATIC);
        sqlite3_bind_blob(s, 2, ops[i].value, (int)ops[i].value_size, SQLITE_STATIC);
        step_once(s);
    }
    if (count > 1)
        step_once(mine.commit);
}

static bool get(struct engine *e, const void *key, size_t key_size) {
    static _Thread_local volatile uint64_t touched;
    connect(e);
    sqlite3_bind_blob(mine.get, 1, key, (int)key_size, SQLITE_STATIC);
    int rc = sqlite3_step(mine.get);
    check(mine.db, rc);
    if (rc == SQLITE_ROW)
        touched += ((const uint8_t *)sqlite3_column_blob(mine.get, 0))[0];
    sqlite3_reset(mine.get);
    return rc == SQLITE_ROW;
}

static size_t scan(struct engine *e, const void *key, size_t key_size, size_t count,
                   bool backward) {
    static _Thread_local volatile uint64_t touched;
    connect(e);
    sqlite3_stmt *s = key ? mine.seek : backward ? mine.last : mine.first;
    size_t seen = 0;
    if (key)
        sqlite3_bind_blob(s, 1, key, (int)key_size, SQLITE_STATIC);
    while (seen < count && sqlite3_step(s) == SQLITE_ROW) {
        touched += ((const uint8_t *)sqlite3_column_blob(s, 0))[0];
        touched += ((const uint8_t *)sqlite3_column_blob(s, 1))[0];
        seen++;
    }
    check(mine.db, sqlite3_reset(s));
    return seen;
}

static uint64_t bytes_written(struct engine *e) {
    (void)e;
    return 0;
}

const struct engine_ops engine_sqlite = {
    .name = "sqlite",
    .open = open_engine,
    .close = close_engine,
    .write = write_ops,
    .get = get,
    .scan = scan,
    .bytes_written = bytes_written,
    .has_partitions = true,
};
