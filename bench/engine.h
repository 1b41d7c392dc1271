/* SPDX-License-Identifier: Apache-2.0
 *
 * What a key-value engine must do to be measured. Lamina and each peer implement it; the workloads
 * are the same code for all. Calls abort with a message on any error: a benchmark has no fallback.
 */
#ifndef LAMINA_BENCH_ENGINE_H
#define LAMINA_BENCH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine; /* an open database; each engine's own */

struct engine_options {
    const char *dir;     /* fresh or existing directory */
    size_t memory_bytes; /* memtables and cache together */
};

struct write_op {
    const void *key;
    size_t key_size;
    const void *value;
    size_t value_size;
    unsigned partition; /* 0 .. 3 */
};

struct engine_ops {
    const char *name;
    struct engine *(*open)(const struct engine_options *options);
    void (*close)(struct engine *e);
    /* One atomic batch; partitions above 0 only where has_partitions. */
    void (*write)(struct engine *e, const struct write_op *ops, size_t count, bool sync);
    /* True if found; the value's bytes are touched. */
    bool (*get)(struct engine *e, const void *key, size_t key_size);
    /* Walks up to `count` entries from `key` (NULL: from the end that the direction begins at),
     * touching keys and values; returns how many there were. */
    size_t (*scan)(struct engine *e, const void *key, size_t key_size, size_t count, bool backward);
    /* Bytes of the files written so far, if the engine counts them; else 0. */
    uint64_t (*bytes_written)(struct engine *e);
    bool has_partitions;
};

extern const struct engine_ops engine_lamina, engine_rocksdb, engine_leveldb, engine_lmdb,
    engine_sqlite;

#endif
