/* SPDX-License-Identifier: Apache-2.0
 *
 * RocksDB under the workloads, through its C interface, with the options that its tuning guide
 * gives for production: bloom filters of 10 bits, LZ4 below level 0, level sizes from the last
 * level up, background threads for both processors, files synced as they grow. Write buffers of an
 * eighth of the memory, three at most, and a block cache of the rest. */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/engine.h"
#include "bench/harness.h"

#define LEVELS    7
#define MULTI_MAX 64

struct engine {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_column_family_handle_t **cf;
    unsigned count;
    rocksdb_writeoptions_t *write, *sync;
    rocksdb_readoptions_t *read;
};

struct cursor {
    rocksdb_iterator_t *iter;
    bool backward;
};

static void check(char *err) {
    if (err)
        fatal("rocksdb: %s", err);
}

/* Its version header is C++: the build reads it. */
static const char *version(void) {
    return ROCKSDB_VERSION;
}

static rocksdb_options_t *make_options(size_t memory_bytes) {
    static const int compression[LEVELS] = {rocksdb_no_compression,  rocksdb_lz4_compression,
                                            rocksdb_lz4_compression, rocksdb_lz4_compression,
                                            rocksdb_lz4_compression, rocksdb_lz4_compression,
                                            rocksdb_lz4_compression};
    rocksdb_options_t *o = rocksdb_options_create();
    size_t buffer = memory_bytes / 8;
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_create_missing_column_families(o, 1);
    rocksdb_options_increase_parallelism(o, 4);
    rocksdb_options_set_write_buffer_size(o, buffer);
    rocksdb_options_set_max_write_buffer_number(o, 3);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    rocksdb_options_set_compression_per_level(o, compression, LEVELS);
    rocksdb_options_set_bytes_per_sync(o, 1 << 20);
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_filter_policy(table,
                                                  rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_cache_t *cache = rocksdb_cache_create_lru(memory_bytes - 3 * buffer);
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_cache_destroy(cache); /* the table keeps it */
    rocksdb_options_set_block_based_table_factory(o, table);
    rocksdb_block_based_options_destroy(table);
    return o;
}

static struct engine *open_engine(const struct engine_options *o) {
    struct engine *e = need(sizeof *e);
    unsigned count = o->partitions ? o->partitions : PARTITIONS;
    const char **names = need(count * sizeof *names);
    const rocksdb_options_t **options = need(count * sizeof *options);
    char *err = NULL;
    e->options = make_options(o->memory_bytes);
    for (unsigned i = 0; i < count; i++) {
        char *name = need(16);
        snprintf(name, 16, i ? "p%u" : "default", i);
        names[i] = name;
        options[i] = e->options;
    }
    e->cf = need(count * sizeof e->cf[0]);
    e->count = count;
    e->db =
        rocksdb_open_column_families(e->options, o->dir, (int)count, names, options, e->cf, &err);
    check(err);
    for (unsigned i = 0; i < count; i++)
        free((char *)names[i]);
    free(names);
    free(options);
    e->write = rocksdb_writeoptions_create();
    e->sync = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(e->sync, 1);
    e->read = rocksdb_readoptions_create();
    return e;
}

static void partition_make(struct engine *e, unsigned number) {
    char name[16], *err = NULL;
    snprintf(name, sizeof name, "p%u", number);
    e->cf = realloc(e->cf, (number + 1) * sizeof e->cf[0]);
    if (!e->cf)
        fatal("no memory");
    e->cf[number] = rocksdb_create_column_family(e->db, e->options, name, &err);
    check(err);
    e->count = number + 1;
}

static void close_engine(struct engine *e) {
    for (unsigned i = 0; i < e->count; i++)
        rocksdb_column_family_handle_destroy(e->cf[i]);
    rocksdb_close(e->db);
    rocksdb_writeoptions_destroy(e->write);
    rocksdb_writeoptions_destroy(e->sync);
    rocksdb_readoptions_destroy(e->read);
    rocksdb_options_destroy(e->options);
    free(e->cf);
    free(e);
}

static void write_ops(struct engine *e, const struct write_op *ops, size_t count, bool sync) {
    char *err = NULL;
    rocksdb_writeoptions_t *w = sync ? e->sync : e->write;
    if (count == 1) {
        rocksdb_column_family_handle_t *cf = e->cf[ops->partition];
        if (ops->value)
            rocksdb_put_cf(e->db, w, cf, ops->key, ops->key_size, ops->value, ops->value_size,
                           &err);
        else
            rocksdb_delete_cf(e->db, w, cf, ops->key, ops->key_size, &err);
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

static bool get(struct engine *e, const void *key, size_t key_size, struct touched *t) {
    char *err = NULL;
    rocksdb_pinnableslice_t *v =
        rocksdb_get_pinned_cf(e->db, e->read, e->cf[0], key, key_size, &err);
    check(err);
    if (!v)
        return false;
    size_t size;
    const char *data = rocksdb_pinnableslice_value(v, &size);
    touch_value(t, data, size);
    rocksdb_pinnableslice_destroy(v);
    return true;
}

static size_t multi_get(struct engine *e, const void *keys, size_t key_size, size_t count,
                        struct touched *t) {
    const char *list[MULTI_MAX] = {NULL};
    size_t sizes[MULTI_MAX] = {0}, found = 0;
    rocksdb_pinnableslice_t *values[MULTI_MAX];
    char *errs[MULTI_MAX];
    if (count > MULTI_MAX)
        fatal("rocksdb: a multi-get of %zu", count);
    for (size_t i = 0; i < count; i++) {
        list[i] = (const char *)keys + i * key_size;
        sizes[i] = key_size;
    }
    rocksdb_batched_multi_get_cf(e->db, e->read, e->cf[0], count, list, sizes, values, errs, false);
    for (size_t i = 0; i < count; i++) {
        check(errs[i]);
        if (!values[i])
            continue;
        size_t size;
        const char *data = rocksdb_pinnableslice_value(values[i], &size);
        touch_value(t, data, size);
        rocksdb_pinnableslice_destroy(values[i]);
        found++;
    }
    return found;
}

static struct cursor *cursor_open(struct engine *e, const void *key, size_t key_size,
                                  bool backward) {
    struct cursor *c = need(sizeof *c);
    c->iter = rocksdb_create_iterator_cf(e->db, e->read, e->cf[0]);
    c->backward = backward;
    if (key)
        rocksdb_iter_seek(c->iter, key, key_size);
    else if (backward)
        rocksdb_iter_seek_to_last(c->iter);
    else
        rocksdb_iter_seek_to_first(c->iter);
    return c;
}

static size_t cursor_read(struct cursor *c, size_t count, struct touched *t) {
    size_t seen = 0, key_size, size;
    char *err = NULL;
    for (; seen < count && rocksdb_iter_valid(c->iter); seen++) {
        const char *value = rocksdb_iter_value(c->iter, &size);
        touch_entry(t, rocksdb_iter_key(c->iter, &key_size), value, size);
        if (c->backward)
            rocksdb_iter_prev(c->iter);
        else
            rocksdb_iter_next(c->iter);
    }
    rocksdb_iter_get_error(c->iter, &err);
    check(err);
    return seen;
}

static void cursor_close(struct cursor *c) {
    rocksdb_iter_destroy(c->iter);
    free(c);
}

static void delete_range(struct engine *e, const void *from, const void *to, size_t key_size) {
    char *err = NULL;
    rocksdb_delete_range_cf(e->db, e->write, e->cf[0], from, key_size, to, key_size, &err);
    check(err);
}

static void dump(struct engine *e) {
    char *err = NULL;
    rocksdb_flushoptions_t *o = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(o, 1);
    rocksdb_flush_cf(e->db, o, e->cf[0], &err);
    check(err);
    rocksdb_flushoptions_destroy(o);
}

static void compact(struct engine *e) {
    rocksdb_compactoptions_t *o = rocksdb_compactoptions_create();
    rocksdb_compact_range_cf_opt(e->db, e->cf[0], o, NULL, 0, NULL, 0);
    rocksdb_compactoptions_destroy(o);
}

const struct engine_ops engine_rocksdb = {
    .name = "rocksdb",
    .version = version,
    .open = open_engine,
    .close = close_engine,
    .write = write_ops,
    .get = get,
    .multi_get = multi_get,
    .cursor_open = cursor_open,
    .cursor_read = cursor_read,
    .cursor_close = cursor_close,
    .delete_range = delete_range,
    .dump = dump,
    .compact = compact,
    .partition_make = partition_make,
};
