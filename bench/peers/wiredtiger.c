/* SPDX-License-Identifier: Apache-2.0
 *
 * WiredTiger under the workloads: B-tree tables with Snappy (its package has no LZ4), the log on
 * and written to the system at each commit (method=none), flushed and synced after a synced commit,
 * checkpoints each minute, a cache of all the memory. Each thread keeps a session and its cursors.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <wiredtiger.h>

#include "bench/engine.h"
#include "bench/harness.h"

#define TABLE "key_format=u,value_format=u,block_compressor=snappy"

struct engine {
    WT_CONNECTION *connection;
    unsigned generation;
    unsigned count;
};
static unsigned generations;

/* What a thread keeps open. */
struct handles {
    unsigned generation;
    WT_SESSION *session;
    WT_CURSOR *tables[PARTITIONS];
};
static _Thread_local struct handles mine;

/* A session of its own, so that it keeps its moment. */
struct cursor {
    unsigned generation;
    WT_SESSION *session;
    WT_CURSOR *cursor;
    int rc; /* of the last step */
    bool backward;
};
static _Thread_local struct cursor *spare;

static void check(int rc) {
    if (rc != 0)
        fatal("wiredtiger: %s", wiredtiger_strerror(rc));
}

static const char *version(void) {
    static char text[32];
    int major, minor, patch;
    wiredtiger_version(&major, &minor, &patch);
    snprintf(text, sizeof text, "%d.%d.%d", major, minor, patch);
    return text;
}

static WT_CURSOR *open_table(WT_SESSION *session, unsigned number) {
    char name[32];
    WT_CURSOR *cursor;
    snprintf(name, sizeof name, "table:p%u", number);
    check(session->open_cursor(session, name, NULL, "overwrite=true", &cursor));
    return cursor;
}

static void make_table(WT_SESSION *session, unsigned number) {
    char name[32];
    snprintf(name, sizeof name, "table:p%u", number);
    check(session->create(session, name, TABLE));
}

static void connect(struct engine *e) {
    if (mine.generation == e->generation)
        return;
    mine.generation = e->generation;
    check(e->connection->open_session(e->connection, NULL, NULL, &mine.session));
    for (unsigned i = 0; i < PARTITIONS; i++) {
        make_table(mine.session, i);
        mine.tables[i] = open_table(mine.session, i);
    }
}

static struct engine *open_engine(const struct engine_options *o) {
    struct engine *e = need(sizeof *e);
    char config[400];
    mkdir(o->dir, 0700);
    snprintf(config, sizeof config,
             "create,cache_size=%zuM,session_max=200,checkpoint=(wait=60),"
             "eviction=(threads_min=1,threads_max=2),log=(enabled=true,file_max=32MB),"
             "transaction_sync=(enabled=true,method=none),"
             "extensions=[libwiredtiger_snappy.so=(entry=snappy_extension_init)]",
             o->memory_bytes >> 20);
    check(wiredtiger_open(o->dir, NULL, config, &e->connection));
    e->generation = ++generations;
    e->count = o->partitions ? o->partitions : PARTITIONS;
    connect(e);
    for (unsigned i = PARTITIONS; i < e->count; i++) {
        WT_CURSOR *cursor = open_table(mine.session, i);
        check(cursor->close(cursor));
    }
    return e;
}

static void partition_make(struct engine *e, unsigned number) {
    connect(e);
    make_table(mine.session, number);
    check(mine.session->log_flush(mine.session, "sync=on"));
    e->count = number + 1;
}

static void close_engine(struct engine *e) {
    check(e->connection->close(e->connection, NULL));
    free(e);
}

static void write_ops(struct engine *e, const struct write_op *ops, size_t count, bool sync) {
    connect(e);
    bool explicit = count > 1;
    if (explicit)
        check(mine.session->begin_transaction(mine.session, NULL));
    for (size_t i = 0; i < count; i++) {
        WT_CURSOR *cursor = mine.tables[ops[i].partition];
        WT_ITEM key = {.data = ops[i].key, .size = ops[i].key_size};
        WT_ITEM value = {.data = ops[i].value, .size = ops[i].value_size};
        cursor->set_key(cursor, &key);
        if (ops[i].value) {
            cursor->set_value(cursor, &value);
            check(cursor->insert(cursor));
        } else {
            check(cursor->remove(cursor));
        }
        check(cursor->reset(cursor));
    }
    if (explicit)
        check(mine.session->commit_transaction(mine.session, NULL));
    if (sync) /* a commit's own sync=on does nothing where the method is none */
        check(mine.session->log_flush(mine.session, "sync=on"));
}

static bool get(struct engine *e, const void *key, size_t key_size, struct touched *t) {
    connect(e);
    WT_CURSOR *cursor = mine.tables[0];
    WT_ITEM k = {.data = key, .size = key_size}, v;
    cursor->set_key(cursor, &k);
    int rc = cursor->search(cursor);
    if (rc == WT_NOTFOUND)
        return false;
    check(rc);
    check(cursor->get_value(cursor, &v));
    touch_value(t, v.data, v.size);
    check(cursor->reset(cursor));
    return true;
}

static int step(struct cursor *c) {
    return c->backward ? c->cursor->prev(c->cursor) : c->cursor->next(c->cursor);
}

static struct cursor *cursor_open(struct engine *e, const void *key, size_t key_size,
                                  bool backward) {
    struct cursor *c = spare;
    spare = NULL;
    if (!c || c->generation != e->generation) {
        free(c);
        c = need(sizeof *c);
        c->generation = e->generation;
        check(e->connection->open_session(e->connection, NULL, "isolation=snapshot", &c->session));
        c->cursor = open_table(c->session, 0);
    }
    check(c->session->begin_transaction(c->session, "isolation=snapshot"));
    c->backward = backward;
    if (!key) {
        c->rc = step(c);
        return c;
    }
    WT_ITEM k = {.data = key, .size = key_size};
    int exact;
    c->cursor->set_key(c->cursor, &k);
    c->rc = c->cursor->search_near(c->cursor, &exact);
    if (c->rc == 0 && exact < 0)
        c->rc = c->cursor->next(c->cursor);
    return c;
}

static size_t cursor_read(struct cursor *c, size_t count, struct touched *t) {
    size_t seen = 0;
    for (; c->rc == 0 && seen < count; seen++) {
        WT_ITEM key, value;
        check(c->cursor->get_key(c->cursor, &key));
        check(c->cursor->get_value(c->cursor, &value));
        touch_entry(t, key.data, value.data, value.size);
        c->rc = step(c);
    }
    if (c->rc != WT_NOTFOUND)
        check(c->rc);
    return seen;
}

static void cursor_close(struct cursor *c) {
    check(c->cursor->reset(c->cursor));
    check(c->session->rollback_transaction(c->session, NULL));
    if (spare) {
        check(c->session->close(c->session, NULL));
        free(c);
        return;
    }
    spare = c;
}

static void delete_range(struct engine *e, const void *from, const void *to, size_t key_size) {
    connect(e);
    WT_ITEM a = {.data = from, .size = key_size}, b = {.data = to, .size = key_size};
    WT_CURSOR *start = open_table(mine.session, 0), *stop = open_table(mine.session, 0);
    int exact;
    start->set_key(start, &a);
    check(start->search_near(start, &exact));
    if (exact < 0)
        check(start->next(start));
    stop->set_key(stop, &b);
    check(stop->search_near(stop, &exact));
    if (exact >= 0) /* truncate takes its last key too */
        check(stop->prev(stop));
    check(mine.session->truncate(mine.session, NULL, start, stop, NULL));
    check(start->close(start));
    check(stop->close(stop));
}

static void dump(struct engine *e) {
    connect(e);
    check(mine.session->checkpoint(mine.session, NULL));
}

const struct engine_ops engine_wiredtiger = {
    .name = "wiredtiger",
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
