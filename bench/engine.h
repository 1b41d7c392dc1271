/* SPDX-License-Identifier: Apache-2.0
 *
 * What a key-value engine must do to be measured. Lamina and each peer implement it; the workloads
 * are the same code for all. Calls abort with a message on any error: a benchmark has no fallback.
 * Every key and value that is read is touched, and the workloads check what was touched. */
#ifndef LAMINA_BENCH_ENGINE_H
#define LAMINA_BENCH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PARTITIONS 4 /* of an engine opened without a wish */

struct engine; /* an open database; each engine's own */
struct cursor; /* a walk over partition 0 at one moment; each engine's own */

struct engine_options {
    const char *dir;     /* fresh or existing directory */
    size_t memory_bytes; /* memtables and caches together */
    unsigned partitions; /* opened, and made where missing; 0: PARTITIONS */
    unsigned room;       /* partitions that may come beyond; for engines that must know */
};

struct write_op {
    const void *key;
    size_t key_size;
    const void *value; /* NULL: a delete */
    size_t value_size;
    unsigned partition; /* 0 .. 3 */
};

/* What reads saw. Sums, so that order does not matter. */
struct touched {
    uint64_t keys;  /* of the first 8 bytes of each key */
    uint64_t tags;  /* of the first 8 bytes of each value */
    uint64_t bytes; /* of 8 bytes in each cache line of the values */
};

static inline uint64_t load_8(const void *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* Reads through a value of at least 8 bytes, a word a cache line. */
static inline void touch_value(struct touched *t, const void *value, size_t size) {
    const uint8_t *p = value;
    uint64_t sum = load_8(p + size - 8);
    for (size_t i = 64; i + 8 <= size; i += 64)
        sum += load_8(p + i);
    t->tags += load_8(p);
    t->bytes += sum;
}

/* Keys have at least 8 bytes. */
static inline void touch_entry(struct touched *t, const void *key, const void *value, size_t size) {
    t->keys += load_8(key);
    touch_value(t, value, size);
}

/* A call that is NULL is one the engine does not have; its rows are left out. */
struct engine_ops {
    const char *name;
    const char *(*version)(void);
    struct engine *(*open)(const struct engine_options *options);
    void (*close)(struct engine *e);
    /* One atomic batch; partitions above 0 only where partition_make is there. With `sync` it
     * survives a power loss on return, without it a kill of the process. */
    void (*write)(struct engine *e, const struct write_op *ops, size_t count, bool sync);
    /* True if found in partition 0. */
    bool (*get)(struct engine *e, const void *key, size_t key_size, struct touched *t);
    /* The engine's call for many keys of `key_size` bytes, one behind the other; returns how many
     * were found. */
    size_t (*multi_get)(struct engine *e, const void *keys, size_t key_size, size_t count,
                        struct touched *t);
    /* Stands on the first key >= `key`, or at an end if it is NULL. */
    struct cursor *(*cursor_open)(struct engine *e, const void *key, size_t key_size,
                                  bool backward);
    /* Takes up to `count` entries; fewer only at the end. */
    size_t (*cursor_read)(struct cursor *c, size_t count, struct touched *t);
    void (*cursor_close)(struct cursor *c);
    /* Deletes [from, to) of partition 0 by one call. */
    void (*delete_range)(struct engine *e, const void *from, const void *to, size_t key_size);
    /* Memory to sorted files. */
    void (*dump)(struct engine *e);
    /* All of partition 0 into one sorted run. */
    void (*compact)(struct engine *e);
    /* Makes one partition more. */
    void (*partition_make)(struct engine *e, unsigned number);
};

extern const struct engine_ops engine_lamina, engine_rocksdb, engine_leveldb, engine_lmdb,
    engine_sqlite, engine_wiredtiger;

#endif
