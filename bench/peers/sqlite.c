/* SPDX-License-Identifier: Apache-2.0
 *
 * SQLite under the workloads: WAL, a WITHOUT ROWID table a partition, prepared statements, and for
 * each thread one connection to read and write keys and one to scan, both with the cache that was
 * given. synchronous = OFF for OS durability, FULL for synced commits. No compression. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "bench/engine.h"
#include "bench/harness.h"

struct engine {
    char path[4096];
    size_t memory_bytes;
    unsigned generation;
};

/* What a thread keeps open; made anew when the engine was reopened. */
struct connection {
    unsigned generation;
    sqlite3 *db, *scans;
    sqlite3_stmt *put[PARTITIONS], *erase, *erase_range, *get, *begin, *commit, *first, *last,
        *seek;
    bool synchronous;
};
static _Thread_local struct connection mine;
static unsigned generations;
static pthread_key_t at_exit;

/* The statement it walks by; idle ones stay prepared. */
struct cursor {
    sqlite3_stmt *statement;
    int rc; /* of the last step */
};

static void check(sqlite3 *db, int rc) {
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW)
        fatal("sqlite: %s", sqlite3_errmsg(db));
}

static const char *version(void) {
    return sqlite3_libversion();
}

static void exec(sqlite3 *db, const char *sql) {
    check(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *s;
    check(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL));
    return s;
}

static void close_db(sqlite3 *db) {
    sqlite3_stmt *s;
    while ((s = sqlite3_next_stmt(db, NULL)))
        sqlite3_finalize(s);
    sqlite3_close(db);
}

static void disconnect(void) {
    if (!mine.db)
        return;
    close_db(mine.scans);
    close_db(mine.db);
    memset(&mine, 0, sizeof mine);
}

static void thread_ends(void *unused) {
    (void)unused;
    disconnect();
}

static sqlite3 *open_db(struct engine *e) {
    char sql[64];
    sqlite3 *db;
    check(NULL, sqlite3_open(e->path, &db));
    sqlite3_busy_timeout(db, 60000);
    exec(db, "PRAGMA journal_mode=WAL");
    exec(db, "PRAGMA synchronous=OFF");
    snprintf(sql, sizeof sql, "PRAGMA cache_size=-%zu", e->memory_bytes >> 10);
    exec(db, sql);
    return db;
}

static void make_table(sqlite3 *db, unsigned number) {
    char sql[100];
    snprintf(sql, sizeof sql,
             "CREATE TABLE IF NOT EXISTS p%u (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID", number);
    exec(db, sql);
}

static void connect(struct engine *e) {
    char sql[200];
    if (mine.generation == e->generation)
        return;
    disconnect();
    mine.generation = e->generation;
    mine.db = open_db(e);
    pthread_setspecific(at_exit, &mine);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        make_table(mine.db, i);
        snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO p%u VALUES (?, ?)", i);
        mine.put[i] = prepare(mine.db, sql);
    }
    mine.erase = prepare(mine.db, "DELETE FROM p0 WHERE k = ?");
    mine.erase_range = prepare(mine.db, "DELETE FROM p0 WHERE k >= ? AND k < ?");
    mine.get = prepare(mine.db, "SELECT v FROM p0 WHERE k = ?");
    mine.begin = prepare(mine.db, "BEGIN IMMEDIATE");
    mine.commit = prepare(mine.db, "COMMIT");
    mine.scans = open_db(e);
    mine.first = prepare(mine.scans, "SELECT k, v FROM p0 ORDER BY k");
    mine.last = prepare(mine.scans, "SELECT k, v FROM p0 ORDER BY k DESC");
    mine.seek = prepare(mine.scans, "SELECT k, v FROM p0 WHERE k >= ? ORDER BY k");
}

static struct engine *open_engine(const struct engine_options *o) {
    static bool keyed;
    struct engine *e = need(sizeof *e);
    if (!keyed && pthread_key_create(&at_exit, thread_ends) != 0)
        fatal("sqlite: no thread key");
    keyed = true;
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

static void set_synchronous(bool sync) {
    if (mine.synchronous != sync)
        exec(mine.db, sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF");
    mine.synchronous = sync;
}

static void partition_make(struct engine *e, unsigned number) {
    connect(e);
    set_synchronous(true);
    make_table(mine.db, number);
}

static void step_once(sqlite3_stmt *s) {
    check(mine.db, sqlite3_step(s));
    check(mine.db, sqlite3_reset(s));
}

static void bind_key(sqlite3_stmt *s, int at, const void *key, size_t size) {
    check(mine.db, sqlite3_bind_blob(s, at, key, (int)size, SQLITE_STATIC));
}

static void write_ops(struct engine *e, const struct write_op *ops, size_t count, bool sync) {
    connect(e);
    set_synchronous(sync);
    if (count > 1)
        step_once(mine.begin);
    for (size_t i = 0; i < count; i++) {
        sqlite3_stmt *s = ops[i].value ? mine.put[ops[i].partition] : mine.erase;
        bind_key(s, 1, ops[i].key, ops[i].key_size);
        if (ops[i].value)
            bind_key(s, 2, ops[i].value, ops[i].value_size);
        step_once(s);
    }
    if (count > 1)
        step_once(mine.commit);
}

static bool get(struct engine *e, const void *key, size_t key_size, struct touched *t) {
    connect(e);
    bind_key(mine.get, 1, key, key_size);
    int rc = sqlite3_step(mine.get);
    check(mine.db, rc);
    if (rc == SQLITE_ROW)
        touch_value(t, sqlite3_column_blob(mine.get, 0), (size_t)sqlite3_column_bytes(mine.get, 0));
    sqlite3_reset(mine.get);
    return rc == SQLITE_ROW;
}

static struct cursor *cursor_open(struct engine *e, const void *key, size_t key_size,
                                  bool backward) {
    struct cursor *c = need(sizeof *c);
    connect(e);
    c->statement = key ? mine.seek : backward ? mine.last : mine.first;
    if (key)
        check(mine.scans, sqlite3_bind_blob(c->statement, 1, key, (int)key_size, SQLITE_TRANSIENT));
    c->rc = sqlite3_step(c->statement);
    check(mine.scans, c->rc);
    return c;
}

static size_t cursor_read(struct cursor *c, size_t count, struct touched *t) {
    size_t seen = 0;
    for (; c->rc == SQLITE_ROW && seen < count; seen++) {
        touch_entry(t, sqlite3_column_blob(c->statement, 0), sqlite3_column_blob(c->statement, 1),
                    (size_t)sqlite3_column_bytes(c->statement, 1));
        c->rc = sqlite3_step(c->statement);
    }
    check(mine.scans, c->rc);
    return seen;
}

static void cursor_close(struct cursor *c) {
    check(mine.scans, sqlite3_reset(c->statement));
    free(c);
}

static void delete_range(struct engine *e, const void *from, const void *to, size_t key_size) {
    connect(e);
    set_synchronous(false);
    bind_key(mine.erase_range, 1, from, key_size);
    bind_key(mine.erase_range, 2, to, key_size);
    step_once(mine.erase_range);
}

static void dump(struct engine *e) {
    connect(e);
    check(mine.db,
          sqlite3_wal_checkpoint_v2(mine.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));
}

const struct engine_ops engine_sqlite = {
    .name = "sqlite",
    .version = version,
    .open = open_engine,
    .close = close_engine,
    .write = write_ops,
    .get = get,
    .cursor_open = cursor_open,
    .cursor_read = cursor_read,
    .cursor_close = cursor_close,
    .delete_range = delete_range,
    .dump = dump,
    .partition_make = partition_make,
};
