/* SPDX-License-Identifier: Apache-2.0
 *
 * What the workloads share: configuration, keys and values, the run of one engine, rows of results.
 *
 * Keys are 16 bytes. A value begins with a tag that tells its key and version, so that every read
 * can be checked; the rest is half compressible. All engines get the same keys in the same order.
 */
#ifndef LAMINA_BENCH_BENCH_H
#define LAMINA_BENCH_BENCH_H

#include "bench/engine.h"
#include "bench/harness.h"
#include "bench/system.h"

#define KEY_SIZE 16

struct bench_config {
    uint64_t n;             /* keys */
    uint64_t most;          /* operations of a row that no other row builds upon */
    const char *engine;     /* name */
    const char *dir;        /* parent of the databases made and removed */
    const char *only;       /* comma-separated groups and rows; NULL: all */
    const char *csv;        /* file of results that is added to; NULL: none */
    const char *timeline;   /* file of figures over time that is added to; NULL: none */
    size_t value_size;      /* of rows that do not name another */
    size_t memory_bytes;    /* per engine */
    uint64_t limit_ns;      /* of one row */
    uint64_t fill_limit_ns; /* of a fill that other rows build upon */
    unsigned round;
};

/* One engine in one group of workloads. */
struct run {
    const struct engine_ops *ops;
    const struct bench_config *config;
    const char *group;
    struct engine *engine;
    char path[4096];
    size_t value_size, memory_bytes;
    uint8_t *pool;           /* values to be tagged */
    size_t slots;            /* values in it */
    uint64_t loaded;         /* keys 0 .. loaded-1 are there */
    unsigned oldest, newest; /* versions that values may have */
};

bool run_wants(const struct run *r, const char *row);
/* `count`, or the most that a row may do. */
uint64_t at_most(const struct run *r, uint64_t count);
void run_values(struct run *r, size_t value_size);
void run_open(struct run *r, bool fresh);
void run_close(struct run *r);

void sequential_key(uint8_t *out, uint64_t i);
/* Key number i in random order; `salt` 1 gives keys that are never written. */
void random_key(uint8_t *out, uint64_t i, uint64_t salt);
/* A permutation of 0 .. n-1 other than that of random_key. */
uint64_t permuted(uint64_t i, uint64_t n);
uint64_t tag_of(uint64_t i, unsigned version);
/* The value of key i: in `scratch` (4096 bytes), or in the pool if it is larger. */
const uint8_t *value_of(struct run *r, uint8_t *scratch, uint64_t i, unsigned version);
/* Whether a value may be that of key i. */
bool tag_fits(const struct run *r, uint64_t i, uint64_t tag);
/* The sum of the tags of keys from..to-1, all of one version. */
uint64_t tag_sum(uint64_t from, uint64_t to, unsigned version);
void put_key(struct run *r, const uint8_t *key, uint64_t i, unsigned version, bool sync);
void delete_key(struct run *r, const uint8_t *key);
/* Reads from a key on (NULL: all from an end). */
size_t scan(struct run *r, const uint8_t *key, size_t count, bool backward, struct touched *t);
/* Fails unless `seen` is `wanted`. */
void expect(const struct run *r, const char *row, const char *what, uint64_t seen, uint64_t wanted);

/* A row that is being measured. */
struct row {
    const char *name;
    struct usage begin;
    uint64_t cpu_ns;     /* instead of the process's; 0: the process's */
    uint64_t anon_bytes; /* instead of what there is at the end */
    uint64_t per_tick;   /* operations of one tick; 0: 1 */
    uint64_t wanted;     /* ticks that make it whole */
    uint64_t user_bytes; /* written by the user; 0: unknown */
    bool settles;        /* background work that it left is waited for and counted */
    struct timeline *timeline;
};
struct row row_begin(const char *name, uint64_t wanted);
void row_end(struct run *r, struct row *row, const struct meter *m);
/* A row of one call: began at row_begin, ends now; `operations` of work. */
void row_end_call(struct run *r, struct row *row, uint64_t operations);

/* Loads keys 0 .. count-1 as version 0, within the limit of fills; untimed if `name` is not wanted
 * or NULL. */
void load(struct run *r, const char *name, uint64_t count, bool random);
/* Reads that several groups have; a row is named `name` and what is appended. */
void read_rows(struct run *r, const char *suffix);

/* The groups. */
void group_seq(struct run *r);
void group_main(struct run *r);
void group_mem(struct run *r);
void group_batch(struct run *r);
void group_sync(struct run *r);
void group_recover(struct run *r);
void group_partitions(struct run *r);
void group_large(struct run *r);
void group_cold(struct run *r);
void group_limited(struct run *r);
void group_sustained(struct run *r);
void ycsb_rows(struct run *r);

/* What a child process does for group_recover and group_partitions. */
void child_phase(struct run *r, const char *phase);

/* Lamina's SQL, flush and cold scan; nothing for other engines. */
void group_sql(struct run *r);

#endif
