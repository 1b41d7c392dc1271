/* SPDX-License-Identifier: Apache-2.0
 *
 * RocksDB under the workloads, through its C interface: bloom filter of 10 bits, LZ4, one block
 * cache and write buffers within the same memory, two background threads. */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/engine.h"
#include "bench/harness.h"

#define PARTITIONS 4

struct engine {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_column_family_handle_t *cf[PARTITIONS];
    rocksdb_writeoptions_t *write, *sync;
    rocksdb_readoptions_t *read;
};

static void check(char *err) {
    if (err)
        fatal("rocksdb: %s", err);
}

static struct engine *open_engine(const struct engine_options *o) {
    static const char *const names[PARTITIONS] = {"default", "p1", "p2", "p3"};
    struct engine *e = calloc(1, sizeof *e);
    char *err = NULL;
    if (!e)
        fatal("no memory");
    e->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(e->options, 1);
    rocksdb_options_set_create_missing_column_families(e->options, 1);
    rocksdb_options_increase_parallelism(e->options, 2);
    rocksdb_options_set_write_buffer_size(e->options, 64 << 20);
    rocksdb_options_set_compression(e->options, rocksdb_lz4_compression);
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_filter_policy(table,
                                                  rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_cache_t *cache = rocksdb_cache_create_lru(o->memory_bytes);
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_options_set_block_based_table_factory(e->options, table);
    const rocksdb_options_t *all[PARTITIONS] = {e->options, e->options, e->options, e->options};
    e->db = rocksdb_open_column_families(e->options, o->dir, PARTITIONS, names, all, e->cf, &err);
    check(err);
    e->write = rocksdb_writeoptions_create();
    e->sync = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(e->sync, 1);
    e->read = rocksdb_readoptions_create();
    return e;
}

static void close_engine(struct engine *e) {
    for (int i = 0; i < PARTITIONS; i++)
        rocksdb_column_family_handle_destroy(e->cf[i]);
    rocksdb_close(e->db);
    rocksdb_writeoptions_destroy(e->write);
    rocksdb_writeoptions_destroy(e->sync);
    rocksdb_readoptions_destroy(e->read);
    rocksdb_options_destroy(e->options);
    free(e);
}

static void write_ops(struct engine *e, const struct write_op *ops, size_t count, bool sync) {
    char *err = NULL;
    rocksdb_writeoptions_t *w = sync ? e->sync : e->write;
    if (count == 1) {
        rocksdb_put_cf(e->db, w, e->cf[ops->partition], ops->key, ops->key_size, ops->value,
                       ops->value_size, &err);
        check(err);
        return;
    }
    static _Thread_local rocksdb_writebatch_t *batch;
    if (!batch)
        batch = rocksdb_writebatch_create();
    rocksdb_writebatch_clear(batch);
    for (size_t i = 0; i < count; i++)
        rocksdb_writebatch_put_cf(batch, e->cf[ops[i].partition], ops[i].key, ops[i].key_size,
                                  ops[i].value, ops[i].value_size);
    rocksdb_write(e->db, w, batch, &err);
    check(err);
}

static bool get(struct engine *e, const void *key, size_t key_size) {
    static _Thread_local volatile uint64_t touched;
    char *err = NULL;
    rocksdb_pinnableslice_t *v =
        rocksdb_get_pinned_cf(e->db, e->read, e->cf[0], key, key_size, &err);
    check(err);
    if (!v)
        return false;
    size_t size;
    const char *data = rocksdb_pinnableslice_value(v, &size);
    touched += (uint8_t)data[size - 1];
    rocksdb_pinnableslice_destroy(v);
    return true;
}

static size_t scan(struct engine *e, const void *key, size_t key_size, size_t count,
                   bool backward) {
    static _Thread_local volatile uint64_t touched;
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(e->db, e->read, e->cf[0]);
    size_t seen = 0, size;
    if (key)
        rocksdb_iter_seek(it, key, key_size);
    else if (backward)
        rocksdb_iter_seek_to_last(it);
    else
        rocksdb_iter_seek_to_first(it);
    for (; seen < count && rocksdb_iter_valid(it); seen++) {
        touched += (uint8_t)rocksdb_iter_key(it, &size)[0];
        touched += (uint8_t)rocksdb_iter_value(it, &size)[0];
        if (backward)
            rocksdb_iter_prev(it);
        else
            rocksdb_iter_next(it);
    }
    char *err = NULL;
    rocksdb_iter_get_error(it, &err);
    check(err);
    rocksdb_iter_destroy(it);
    return seen;
}

static uint64_t bytes_written(struct engine *e) {
    (void)e;
    return 0;
}

const struct engine_ops engine_rocksdb = {
    .name = "rocksdb",
    .open = open_engine,
    .close = close_engine,
    .write = write_ops,
    .get = get,
    .scan = scan,
    .bytes_written = bytes_written,
    .has_partitions = true,
};
