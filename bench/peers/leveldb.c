/* SPDX-License-Identifier: Apache-2.0
 *
 * LevelDB under the workloads: bloom filters of 10 bits, its Snappy compression, a write buffer of
 * an eighth of the memory (there are two), a cache of the rest. It has no partitions, no dump, no
 * multi-get and no range delete, for which the entries are walked and deleted by batches. */
#include <leveldb/c.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/engine.h"
#include "bench/harness.h"

#define DELETES_PER_BATCH 1000

struct engine {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
    leveldb_writeoptions_t *write, *sync;
    leveldb_readoptions_t *read;
};

struct cursor {
    leveldb_iterator_t *iter;
    bool backward;
};

static void check(char *err) {
    if (err)
        fatal("leveldb: %s", err);
}

static const char *version(void) {
    static char text[24];
    snprintf(text, sizeof text, "%d.%d", leveldb_major_version(), leveldb_minor_version());
    return text;
}

static struct engine *open_engine(const struct engine_options *o) {
    struct engine *e = need(sizeof *e);
    size_t buffer = o->memory_bytes / 8;
    char *err = NULL;
    e->options = leveldb_options_create();
    e->cache = leveldb_cache_create_lru(o->memory_bytes - 2 * buffer);
    e->filter = leveldb_filterpolicy_create_bloom(10);
    leveldb_options_set_create_if_missing(e->options, 1);
    leveldb_options_set_write_buffer_size(e->options, buffer);
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

static leveldb_writebatch_t *empty_batch(void) {
    static _Thread_local leveldb_writebatch_t *batch;
    if (!batch)
        batch = leveldb_writebatch_create();
    leveldb_writebatch_clear(batch);
    return batch;
}

static void write_ops(struct engine *e, const struct write_op *ops, size_t count, bool sync) {
    char *err = NULL;
    leveldb_writeoptions_t *w = sync ? e->sync : e->write;
    if (count == 1 && ops->value) {
        leveldb_put(e->db, w, ops->key, ops->key_size, ops->value, ops->value_size, &err);
    } else if (count == 1) {
        leveldb_delete(e->db, w, ops->key, ops->key_size, &err);
    } else {
        leveldb_writebatch_t *batch = empty_batch();
        for (size_t i = 0; i < count; i++)
            leveldb_writebatch_put(batch, ops[i].key, ops[i].key_size, ops[i].value,
                                   ops[i].value_size);
        leveldb_write(e->db, w, batch, &err);
    }
    check(err);
}

static bool get(struct engine *e, const void *key, size_t key_size, struct touched *t) {
    char *err = NULL;
    size_t size;
    char *data = leveldb_get(e->db, e->read, key, key_size, &size, &err);
    check(err);
    if (!data)
        return false;
    touch_value(t, data, size);
    leveldb_free(data);
    return true;
}

static struct cursor *cursor_open(struct engine *e, const void *key, size_t key_size,
                                  bool backward) {
    struct cursor *c = need(sizeof *c);
    c->iter = leveldb_create_iterator(e->db, e->read);
    c->backward = backward;
    if (key)
        leveldb_iter_seek(c->iter, key, key_size);
    else if (backward)
        leveldb_iter_seek_to_last(c->iter);
    else
        leveldb_iter_seek_to_first(c->iter);
    return c;
}

static size_t cursor_read(struct cursor *c, size_t count, struct touched *t) {
    size_t seen = 0, key_size, size;
    char *err = NULL;
    for (; seen < count && leveldb_iter_valid(c->iter); seen++) {
        const char *value = leveldb_iter_value(c->iter, &size);
        touch_entry(t, leveldb_iter_key(c->iter, &key_size), value, size);
        if (c->backward)
            leveldb_iter_prev(c->iter);
        else
            leveldb_iter_next(c->iter);
    }
    leveldb_iter_get_error(c->iter, &err);
    check(err);
    return seen;
}

static void cursor_close(struct cursor *c) {
    leveldb_iter_destroy(c->iter);
    free(c);
}

static void delete_range(struct engine *e, const void *from, const void *to, size_t key_size) {
    leveldb_iterator_t *it = leveldb_create_iterator(e->db, e->read);
    leveldb_writebatch_t *batch = empty_batch();
    char *err = NULL;
    size_t size, pending = 0;
    for (leveldb_iter_seek(it, from, key_size); leveldb_iter_valid(it); leveldb_iter_next(it)) {
        const char *key = leveldb_iter_key(it, &size);
        if (memcmp(key, to, key_size) >= 0)
            break;
        leveldb_writebatch_delete(batch, key, size);
        if (++pending % DELETES_PER_BATCH == 0) {
            leveldb_write(e->db, e->write, batch, &err);
            check(err);
            leveldb_writebatch_clear(batch);
        }
    }
    leveldb_write(e->db, e->write, batch, &err);
    check(err);
    leveldb_iter_destroy(it);
}

static void compact(struct engine *e) {
    leveldb_compact_range(e->db, NULL, 0, NULL, 0);
}

const struct engine_ops engine_leveldb = {
    .name = "leveldb",
    .version = version,
    .open = open_engine,
    .close = close_engine,
    .write = write_ops,
    .get = get,
    .cursor_open = cursor_open,
    .cursor_read = cursor_read,
    .cursor_close = cursor_close,
    .delete_range = delete_range,
    .compact = compact,
};
