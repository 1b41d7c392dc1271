/* SPDX-License-Identifier: Apache-2.0
 *
 * LMDB under the workloads: one named database a partition, MDB_NOSYNC for OS durability, a sync of
 * the environment for fillsync. */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "bench/engine.h"
#include "bench/harness.h"

#define PARTITIONS 4
#define MAP_BYTES  ((size_t)64 << 30)

struct engine {
    MDB_env *env;
    MDB_dbi dbi[PARTITIONS];
};

static void check(int rc) {
    if (rc != 0)
        fatal("lmdb: %s", mdb_strerror(rc));
}

static struct engine *open_engine(const struct engine_options *o) {
    struct engine *e = calloc(1, sizeof *e);
    MDB_txn *txn;
    if (!e)
        fatal("no memory");
    mkdir(o->dir, 0700);
    check(mdb_env_create(&e->env));
    check(mdb_env_set_maxdbs(e->env, PARTITIONS));
    check(mdb_env_set_mapsize(e->env, MAP_BYTES));
    check(mdb_env_open(e->env, o->dir, MDB_NOSYNC | MDB_NORDAHEAD, 0600));
    check(mdb_txn_begin(e->env, NULL, 0, &txn));
    for (int i = 0; i < PARTITIONS; i++) {
        char name[8];
        snprintf(name, sizeof name, "p%d", i);
        check(mdb_dbi_open(txn, name, MDB_CREATE, &e->dbi[i]));
    }
    check(mdb_txn_commit(txn));
    return e;
}

static void close_engine(struct engine *e) {
    mdb_env_close(e->env);
    free(e);
}

static void write_ops(struct engine *e, const struct write_op *ops, size_t count, bool sync) {
    MDB_txn *txn;
    check(mdb_txn_begin(e->env, NULL, 0, &txn));
    for (size_t i = 0; i < count; i++) {
        MDB_val key = {ops[i].key_size, (void *)ops[i].key};
        MDB_val value = {ops[i].value_size, (void *)ops[i].value};
        check(mdb_put(txn, e->dbi[ops[i].partition], &key, &value, 0));
    }
    check(mdb_txn_commit(txn));
    if (sync)
        check(mdb_env_sync(e->env, 1));
}

static MDB_txn *reader(struct engine *e) {
    static _Thread_local MDB_txn *txn;
    static _Thread_local MDB_env *env;
    if (env != e->env) {
        check(mdb_txn_begin(e->env, NULL, MDB_RDONLY, &txn));
        env = e->env;
    } else {
        mdb_txn_reset(txn);
        check(mdb_txn_renew(txn));
    }
    return txn;
}

static bool get(struct engine *e, const void *key, size_t key_size) {
    static _Thread_local volatile uint64_t touched;
    MDB_val k = {key_size, (void *)key}, v;
    int rc = mdb_get(reader(e), e->dbi[0], &k, &v);
    if (rc == MDB_NOTFOUND)
        return false;
    check(rc);
    touched += ((const uint8_t *)v.mv_data)[v.mv_size - 1];
    return true;
}

static size_t scan(struct engine *e, const void *key, size_t key_size, size_t count,
                   bool backward) {
    static _Thread_local volatile uint64_t touched;
    MDB_cursor *cursor;
    MDB_val k = {key_size, (void *)key}, v;
    size_t seen = 0;
    check(mdb_cursor_open(reader(e), e->dbi[0], &cursor));
    int rc = mdb_cursor_get(cursor, &k, &v, key ? MDB_SET_RANGE : backward ? MDB_LAST : MDB_FIRST);
    for (; rc == 0 && seen < count; seen++) {
        touched += ((const uint8_t *)k.mv_data)[0] + ((const uint8_t *)v.mv_data)[0];
        rc = mdb_cursor_get(cursor, &k, &v, backward ? MDB_PREV : MDB_NEXT);
    }
    if (rc != MDB_NOTFOUND)
        check(rc);
    mdb_cursor_close(cursor);
    return seen;
}

static uint64_t bytes_written(struct engine *e) {
    (void)e;
    return 0;
}

const struct engine_ops engine_lmdb = {
    .name = "lmdb",
    .open = open_engine,
    .close = close_engine,
    .write = write_ops,
    .get = get,
    .scan = scan,
    .bytes_written = bytes_written,
    .has_partitions = true,
};
