/* SPDX-License-Identifier: Apache-2.0
 *
 * Lamina's engine under the workloads: its defaults, with the memory budget that all have. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/engine.h"
#include "bench/harness.h"
#include "lamina/lamina.h"

#define MULTI_MAX 64

struct engine {
    lam_db *db;
    lam_partition **partitions;
    unsigned count;
    lam_batch *batch; /* of the one thread that writes several at once */
};

struct cursor {
    lam_iter *iter;
    bool backward;
};

static void check(enum lam_code code, const struct lam_error *err) {
    if (code != LAM_OK)
        fatal("lamina: %s: %s", lam_code_name(code), err->message);
}

static const char *version(void) {
    return LAM_VERSION_STRING;
}

static void partition_make(struct engine *e, unsigned number) {
    struct lam_error err;
    char name[16];
    e->partitions = realloc(e->partitions, (number + 1) * sizeof e->partitions[0]);
    if (!e->partitions)
        fatal("no memory");
    snprintf(name, sizeof name, "p%u", number);
    check(lam_partition_create(e->db, name, NULL, &e->partitions[number], &err), &err);
    e->count = number + 1;
}

static struct engine *open_engine(const struct engine_options *o) {
    struct lam_error err;
    struct engine *e = need(sizeof *e);
    struct lam_options options = {.memory_budget = o->memory_bytes};
    unsigned count = o->partitions ? o->partitions : PARTITIONS;
    check(lam_db_open(o->dir, &options, &e->db, &err), &err);
    e->partitions = need(count * sizeof e->partitions[0]);
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%u", i);
        enum lam_code rc = lam_partition_open(e->db, name, &e->partitions[i], &err);
        if (rc == LAM_NOT_FOUND)
            rc = lam_partition_create(e->db, name, NULL, &e->partitions[i], &err);
        check(rc, &err);
    }
    e->count = count;
    check(lam_batch_new(e->db, &e->batch, &err), &err);
    return e;
}

static void close_engine(struct engine *e) {
    struct lam_error err;
    lam_batch_free(e->batch);
    for (unsigned i = 0; i < e->count; i++)
        lam_partition_release(e->partitions[i]);
    check(lam_db_close(e->db, &err), &err);
    free(e->partitions);
    free(e);
}

static void write_one(struct engine *e, const struct lam_write_options *options,
                      const struct write_op *op) {
    struct lam_error err;
    lam_partition *p = e->partitions[op->partition];
    struct lam_slice key = lam_slice_of(op->key, op->key_size);
    if (op->value)
        check(lam_put(e->db, options, p, key, lam_slice_of(op->value, op->value_size), &err), &err);
    else
        check(lam_delete(e->db, options, p, key, &err), &err);
}

static lam_batch *empty_batch(struct engine *e) {
    lam_batch_reset(e->batch);
    return e->batch;
}

static void write_ops(struct engine *e, const struct write_op *ops, size_t count, bool sync) {
    struct lam_error err;
    struct lam_write_options options = {sync ? LAM_DURABILITY_SYNC : LAM_DURABILITY_OS};
    if (count == 1) {
        write_one(e, &options, ops);
        return;
    }
    lam_batch *batch = empty_batch(e);
    for (size_t i = 0; i < count; i++)
        check(lam_batch_put(batch, e->partitions[ops[i].partition],
                            lam_slice_of(ops[i].key, ops[i].key_size),
                            lam_slice_of(ops[i].value, ops[i].value_size), &err),
              &err);
    check(lam_write(e->db, &options, batch, NULL, &err), &err);
}

static bool get(struct engine *e, const void *key, size_t key_size, struct touched *t) {
    struct lam_pinned value;
    struct lam_error err;
    enum lam_code rc =
        lam_get_pinned(e->db, NULL, e->partitions[0], lam_slice_of(key, key_size), &value, &err);
    if (rc == LAM_NOT_FOUND)
        return false;
    check(rc, &err);
    touch_value(t, value.bytes.data, value.bytes.size);
    lam_pinned_release(&value);
    return true;
}

static size_t multi_get(struct engine *e, const void *keys, size_t key_size, size_t count,
                        struct touched *t) {
    static _Thread_local struct lam_value values[MULTI_MAX];
    struct lam_slice slices[MULTI_MAX] = {{0}};
    enum lam_code codes[MULTI_MAX];
    struct lam_error err;
    size_t found = 0;
    if (count > MULTI_MAX)
        fatal("lamina: a multi-get of %zu", count);
    for (size_t i = 0; i < count; i++)
        slices[i] = lam_slice_of((const uint8_t *)keys + i * key_size, key_size);
    check(lam_multi_get(e->db, NULL, e->partitions[0], slices, count, values, codes, &err), &err);
    for (size_t i = 0; i < count; i++)
        if (codes[i] == LAM_OK) {
            touch_value(t, values[i].bytes.data, values[i].bytes.size);
            found++;
        }
    return found;
}

static struct cursor *cursor_open(struct engine *e, const void *key, size_t key_size,
                                  bool backward) {
    struct lam_error err;
    struct cursor *c = need(sizeof *c);
    c->backward = backward;
    check(lam_iter_new(e->db, NULL, e->partitions[0], &c->iter, &err), &err);
    if (key)
        lam_iter_seek(c->iter, lam_slice_of(key, key_size));
    else if (backward)
        lam_iter_seek_last(c->iter);
    else
        lam_iter_seek_first(c->iter);
    return c;
}

static size_t cursor_read(struct cursor *c, size_t count, struct touched *t) {
    struct lam_error err;
    size_t seen = 0;
    for (; seen < count && lam_iter_valid(c->iter); seen++) {
        struct lam_slice value = lam_iter_value(c->iter);
        touch_entry(t, lam_iter_key(c->iter).data, value.data, value.size);
        if (c->backward)
            lam_iter_prev(c->iter);
        else
            lam_iter_next(c->iter);
    }
    check(lam_iter_status(c->iter, &err), &err);
    return seen;
}

static void cursor_close(struct cursor *c) {
    lam_iter_free(c->iter);
    free(c);
}

static void delete_range(struct engine *e, const void *from, const void *to, size_t key_size) {
    struct lam_error err;
    lam_batch *batch = empty_batch(e);
    check(lam_batch_delete_range(batch, e->partitions[0], lam_slice_of(from, key_size),
                                 lam_slice_of(to, key_size), LAM_SEQUENCE_MAX, &err),
          &err);
    check(lam_write(e->db, NULL, batch, NULL, &err), &err);
}

static void dump(struct engine *e) {
    struct lam_error err;
    check(lam_db_dump(e->db, &err), &err);
}

static void compact(struct engine *e) {
    struct lam_error err;
    check(lam_db_compact(e->db, e->partitions[0], &err), &err);
}

const struct engine_ops engine_lamina = {
    .name = "lamina",
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
