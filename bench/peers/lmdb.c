/* SPDX-License-Identifier: Apache-2.0
 *
 * LMDB under the workloads: one named database a partition, MDB_NOSYNC for OS durability (pages are
 * written at commit), a sync of the environment for synced commits. Read transactions and cursors
 * are renewed, not made anew. It has no memory of its own and no compression; the page cache holds
 * it. Range deletes walk the entries in one transaction. */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "bench/engine.h"
#include "bench/harness.h"

#define MAP_BYTES ((size_t)64 << 30)

struct engine {
    MDB_env *env;
    MDB_dbi *dbi;
    unsigned count;
    unsigned generation;
};
static unsigned generations;

struct cursor {
    unsigned generation;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc; /* of the last step */
    bool backward;
};
static _Thread_local struct cursor *spare;

static void check(int rc) {
    if (rc != 0)
        fatal("lmdb: %s", mdb_strerror(rc));
}

static const char *version(void) {
    static char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", MDB_VERSION_MAJOR, MDB_VERSION_MINOR,
             MDB_VERSION_PATCH);
    return text;
}

static MDB_dbi open_dbi(MDB_txn *txn, unsigned number) {
    char name[16];
    MDB_dbi dbi;
    snprintf(name, sizeof name, "p%u", number);
    check(mdb_dbi_open(txn, name, MDB_CREATE, &dbi));
    return dbi;
}

static struct engine *open_engine(const struct engine_options *o) {
    struct engine *e = need(sizeof *e);
    MDB_txn *txn;
    e->count = o->partitions ? o->partitions : PARTITIONS;
    e->generation = ++generations;
    e->dbi = need((e->count + o->room) * sizeof e->dbi[0]);
    mkdir(o->dir, 0700);
    check(mdb_env_create(&e->env));
    check(mdb_env_set_maxdbs(e->env, e->count + o->room));
    check(mdb_env_set_mapsize(e->env, MAP_BYTES));
    check(mdb_env_open(e->env, o->dir, MDB_NOSYNC | MDB_NORDAHEAD | MDB_NOTLS, 0600));
    check(mdb_txn_begin(e->env, NULL, 0, &txn));
    for (unsigned i = 0; i < e->count; i++)
        e->dbi[i] = open_dbi(txn, i);
    check(mdb_txn_commit(txn));
    return e;
}

static void partition_make(struct engine *e, unsigned number) {
    MDB_txn *txn;
    check(mdb_txn_begin(e->env, NULL, 0, &txn));
    e->dbi[number] = open_dbi(txn, number);
    check(mdb_txn_commit(txn));
    check(mdb_env_sync(e->env, 1));
    e->count = number + 1;
}

static void close_engine(struct engine *e) {
    check(mdb_env_sync(e->env, 1));
    mdb_env_close(e->env);
    free(e->dbi);
    free(e);
}

static void write_ops(struct engine *e, const struct write_op *ops, size_t count, bool sync) {
    MDB_txn *txn;
    check(mdb_txn_begin(e->env, NULL, 0, &txn));
    for (size_t i = 0; i < count; i++) {
        MDB_val key = {ops[i].key_size, (void *)ops[i].key};
        MDB_val value = {ops[i].value_size, (void *)ops[i].value};
        MDB_dbi dbi = e->dbi[ops[i].partition];
        int rc = ops[i].value ? mdb_put(txn, dbi, &key, &value, 0) : mdb_del(txn, dbi, &key, NULL);
        if (rc != MDB_NOTFOUND)
            check(rc);
    }
    check(mdb_txn_commit(txn));
    if (sync)
        check(mdb_env_sync(e->env, 1));
}

static bool get(struct engine *e, const void *key, size_t key_size, struct touched *t) {
    static _Thread_local MDB_txn *txn;
    static _Thread_local unsigned generation;
    MDB_val k = {key_size, (void *)key}, v;
    if (generation != e->generation)
        check(mdb_txn_begin(e->env, NULL, MDB_RDONLY, &txn));
    else
        check(mdb_txn_renew(txn));
    generation = e->generation;
    int rc = mdb_get(txn, e->dbi[0], &k, &v);
    if (rc != MDB_NOTFOUND) {
        check(rc);
        touch_value(t, v.mv_data, v.mv_size);
    }
    mdb_txn_reset(txn);
    return rc == 0;
}

static struct cursor *cursor_open(struct engine *e, const void *key, size_t key_size,
                                  bool backward) {
    struct cursor *c = spare;
    spare = NULL;
    if (c && c->generation == e->generation) {
        check(mdb_txn_renew(c->txn));
        check(mdb_cursor_renew(c->txn, c->cursor));
    } else {
        free(c);
        c = need(sizeof *c);
        c->generation = e->generation;
        check(mdb_txn_begin(e->env, NULL, MDB_RDONLY, &c->txn));
        check(mdb_cursor_open(c->txn, e->dbi[0], &c->cursor));
    }
    c->backward = backward;
    c->key = (MDB_val){key_size, (void *)key};
    c->rc = mdb_cursor_get(c->cursor, &c->key, &c->value,
                           key        ? MDB_SET_RANGE
                           : backward ? MDB_LAST
                                      : MDB_FIRST);
    return c;
}

static size_t cursor_read(struct cursor *c, size_t count, struct touched *t) {
    size_t seen = 0;
    for (; c->rc == 0 && seen < count; seen++) {
        touch_entry(t, c->key.mv_data, c->value.mv_data, c->value.mv_size);
        c->rc = mdb_cursor_get(c->cursor, &c->key, &c->value, c->backward ? MDB_PREV : MDB_NEXT);
    }
    if (c->rc != MDB_NOTFOUND)
        check(c->rc);
    return seen;
}

static void cursor_close(struct cursor *c) {
    if (spare) {
        mdb_cursor_close(c->cursor);
        mdb_txn_abort(c->txn);
        free(c);
        return;
    }
    mdb_txn_reset(c->txn);
    spare = c;
}

static void delete_range(struct engine *e, const void *from, const void *to, size_t key_size) {
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key = {key_size, (void *)from}, value;
    check(mdb_txn_begin(e->env, NULL, 0, &txn));
    check(mdb_cursor_open(txn, e->dbi[0], &cursor));
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && memcmp(key.mv_data, to, key_size) < 0) {
        check(mdb_cursor_del(cursor, 0));
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    check(mdb_txn_commit(txn));
}

const struct engine_ops engine_lmdb = {
    .name = "lmdb",
    .version = version,
    .open = open_engine,
    .close = close_engine,
    .write = write_ops,
    .get = get,
    .cursor_open = cursor_open,
    .cursor_read = cursor_read,
    .cursor_close = cursor_close,
    .delete_range = delete_range,
    .partition_make = partition_make,
};
