/* SPDX-License-Identifier: Apache-2.0
 *
 * LevelDB under the workloads: bloom filter of 10 bits, its Snappy compression, one cache and a
 * write buffer within the same memory. It has no partitions. */
#include <leveldb/c.h>
#include <stdlib.h>

#include "bench/engine.h"
#include "bench/harness.h"

struct engine {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
    leveldb_writeoptions_t *write, *sync;
    leveldb_readoptions_t *read;
};

static void check(char *err) {
    if (err)
        fatal("leveldb: %s", err);
}

static struct engine *open_engine(const struct engine_options *o) {
    struct engine *e = calloc(1, sizeof *e);
    char *err = NULL;
    if (!e)
        fatal("no memory");
    e->options = leveldb_options_create();
    e->cache = leveldb_cache_create_lru(o->memory_bytes);
    e->filter = leveldb_filterpolicy_create_bloom(10);
    leveldb_options_set_create_if_missing(e->options, 1);
    leveldb_options_set_write_buffer_size(e->options, 64 << 20);
    leveldb_options_set_cache(e->options, e->cache);
    leveldb_options_set_filter_policy(e->options, e->filter);
    leveldb_options_set_compression(e->options, leveldb_snappy_compression);
    e->db = leveldb_open(e->options, o->dir, &err);
    check(err);
    e->write = leveldb_writeoptions_create();
    e->sync = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(e->sync, 1);
    e->read = leveldb_readoptions_create();
    return e;
}

static void close_engine(struct engine *e) {
    leveldb_close(e->db);
    leveldb_writeoptions_destroy(e->write);
    leveldb_writeoptions_destroy(e->sync);
    leveldb_readoptions_destroy(e->read);
    leveldb_options_destroy(e->options);
    leveldb_cache_destroy(e->cache);
    leveldb_filterpolicy_destroy(e->filter);
    free(e);
}

static void write_ops(struct engine *e, const struct write_op *ops, size_t count, bool sync) {
    char *err = NULL;
    leveldb_writeoptions_t *w = sync ? e->sync : e->write;
    if (count == 1) {
        leveldb_put(e->db, w, ops->key, ops->key_size, ops->value, ops->value_size, &err);
        check(err);
        return;
    }
    static _Thread_local leveldb_writebatch_t *batch;
    if (!batch)
        batch = leveldb_writebatch_create();
    leveldb_writebatch_clear(batch);
    for (size_t i = 0; i < count; i++)
        leveldb_writebatch_put(batch, ops[i].key, ops[i].key_size, ops[i].value, ops[i].value_size);
    leveldb_write(e->db, w, batch, &err);
    check(err);
}

static bool get(struct engine *e, const void *key, size_t key_size) {
    static _Thread_local volatile uint64_t touched;
    char *err = NULL;
    size_t size;
    char *data = leveldb_get(e->db, e->read, key, key_size, &size, &err);
    check(err);
    if (!data)
        return false;
    touched += (uint8_t)data[size - 1];
    leveldb_free(data);
    return true;
}

static size_t scan(struct engine *e, const void *key, size_t key_size, size_t count,
                   bool backward) {
    static _Thread_local volatile uint64_t touched;
    leveldb_iterator_t *it = leveldb_create_iterator(e->db, e->read);
    size_t seen = 0, size;
    if (key)
        leveldb_iter_seek(it, key, key_size);
    else if (backward)
        leveldb_iter_seek_to_last(it);
    else
        leveldb_iter_seek_to_first(it);
    for (; seen < count && leveldb_iter_valid(it); seen++) {
        touched += (uint8_t)leveldb_iter_key(it, &size)[0];
        touched += (uint8_t)leveldb_iter_value(it, &size)[0];
        if (backward)
            leveldb_iter_prev(it);
        else
            leveldb_iter_next(it);
    }
    char *err = NULL;
    leveldb_iter_get_error(it, &err);
    check(err);
    leveldb_iter_destroy(it);
    return seen;
}

static uint64_t bytes_written(struct engine *e) {
    (void)e;
    return 0;
}

const struct engine_ops engine_leveldb = {
    .name = "leveldb",
    .open = open_engine,
    .close = close_engine,
    .write = write_ops,
    .get = get,
    .scan = scan,
    .bytes_written = bytes_written,
};
