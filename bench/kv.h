/* SPDX-License-Identifier: Apache-2.0
 *
 * The key-value workloads. */
#ifndef LAMINA_BENCH_KV_H
#define LAMINA_BENCH_KV_H

#include "bench/engine.h"

struct bench_config {
    uint64_t n;          /* keys */
    unsigned threads;    /* of the read workloads and fillsync */
    const char *dir;     /* parent of the databases made and removed */
    const char *only;    /* comma-separated workloads; NULL: all */
    size_t value_size;   /* 100 */
    size_t memory_bytes; /* per engine */
};
/* Whether a workload was asked for. */
bool bench_wants(const struct bench_config *c, const char *workload);
void bench_kv(const struct engine_ops *ops, const struct bench_config *config);
/* Removes a directory tree; a missing one is fine. */
void remove_tree(const char *path);

/* bench/sql.c: Lamina's SQL, flush and cold scan. */
void bench_sql(const struct bench_config *config);

#endif
