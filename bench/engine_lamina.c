/* SPDX-License-Identifier: Apache-2.0
 *
 * Lamina's engine under the workloads. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/engine.h"
#include "bench/harness.h"
#include "lamina/lamina.h"

#define PARTITIONS 4

struct engine {
    lam_db *db;
    lam_partition *partitions[PARTITIONS];
};

static void check(enum lam_code code, const struct lam_error *err) {
    if (code != LAM_OK)
        fatal("lamina: %s: %s", lam_code_name(code), err->message);
}

static struct engine *open_engine(const struct engine_options *o) {
    struct lam_error err = {0};
    struct engine *e = calloc(1, sizeof *e);
    struct lam_options options = {.memory_budget = o->memory_bytes};
    if (!e)
        fatal("no memory");
    check(lam_db_open(o->dir, &options, &e->db, &err), &err);
    for (int i = 0; i < PARTITIONS; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", i);
        enum lam_code rc = lam_partition_create(e->db, name, NULL, &e->partitions[i], &err);
        if (rc == LAM_EXISTS)
            rc = lam_partition_open(e->db, name, &e->partitions[i], &err);
        check(rc, &err);
    }
    return e;
}

static void close_engine(struct engine *e) {
    struct lam_error err = {0};
    for (int i = 0; i < PARTITIONS; i++)
        lam_partition_release(e->partitions[i]);
    check(lam_db_close(e->db, &err), &err);
    free(e);
}

static void write_ops(struct engine *e, const struct write_op *ops, size_t count, bool sync) {
    struct lam_error err = {0};
    struct lam_write_options options = {sync ? LAM_DURABILITY_SYNC : LAM_DURABILITY_OS};
    if (count == 1) {
        check(lam_put(e->db, &options, e->partitions[ops->partition],
                      lam_slice_of(ops->key, ops->key_size),
                      lam_slice_of(ops->value, ops->value_size), &err),
              &err);
        return;
    }
    static _Thread_local lam_batch *batch;
    static _Thread_local lam_db *owner;
    if (owner != e->db) {
        lam_batch_free(batch);
        check(lam_batch_new(e->db, &batch, &err), &err);
        owner = e->db;
    }
    lam_batch_reset(batch);
    for (size_t i = 0; i < count; i++)
        check(lam_batch_put(batch, e->partitions[ops[i].partition],
                            lam_slice_of(ops[i].key, ops[i].key_size),
                            lam_slice_of(ops[i].value, ops[i].value_size), &err),
              &err);
    check(lam_write(e->db, &options, batch, NULL, &err), &err);
}

static bool get(struct engine *e, const void *key, size_t key_size) {
    static _Thread_local struct lam_value value;
    static _Thread_local volatile uint64_t touched;
    struct lam_error err = {0};
    enum lam_code rc =
        lam_get(e->db, NULL, e->partitions[0], lam_slice_of(key, key_size), &value, &err);
    if (rc == LAM_NOT_FOUND)
        return false;
    check(rc, &err);
    touched += value.bytes.data[value.bytes.size - 1];
    return true;
}

static size_t scan(struct engine *e, const void *key, size_t key_size, size_t count,
                   bool backward) {
    static _Thread_local volatile uint64_t touched;
    struct lam_error err = {0};
    lam_iter *it;
    size_t seen = 0;
    uint64_t sum = 0;
    check(lam_iter_new(e->db, NULL, e->partitions[0], &it, &err), &err);
    if (key)
        lam_iter_seek(it, lam_slice_of(key, key_size));
    else if (backward)
        lam_iter_seek_last(it);
    else
        lam_iter_seek_first(it);
    while (seen < count && lam_iter_valid(it)) {
        sum += lam_iter_key(it).data[0] + lam_iter_value(it).data[0];
        seen++;
        if (backward)
            lam_iter_prev(it);
        else
            lam_iter_next(it);
    }
    check(lam_iter_status(it, &err), &err);
    lam_iter_free(it);
    touched += sum;
    return seen;
}

static uint64_t bytes_written(struct engine *e) {
    struct lam_stats s;
    lam_db_stats(e->db, &s);
    return s.wal_bytes + s.dump_bytes + s.compaction_write_bytes;
}

const struct engine_ops engine_lamina = {
    .name = "lamina",
    .open = open_engine,
    .close = close_engine,
    .write = write_ops,
    .get = get,
    .scan = scan,
    .bytes_written = bytes_written,
    .has_partitions = true,
};
