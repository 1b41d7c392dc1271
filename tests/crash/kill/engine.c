/* SPDX-License-Identifier: Apache-2.0
 *
 * Load on the engine: batches over several partitions with values that span log segments, range
 * deletions, single puts, partitions made and dropped, readers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/kill/kill.h"

#define PARTITIONS 4
#define OPS_MAX    8

static lam_partition *partitions[PARTITIONS];

struct writer {
    struct load *load;
    uint64_t number;
};
static struct writer writers[ENGINE_WRITERS];

/* --- changes -------------------------------------------------------------------------------- */

enum op_kind { OP_PUT, OP_DELETE, OP_RANGE, OP_SINGLE };
struct op {
    enum op_kind kind;
    uint32_t slot;
    uint32_t end; /* of a range */
};

/* The operations of a writer's change. */
static uint32_t change_ops(const struct shared *s, uint64_t writer, uint64_t change,
                           struct op *ops) {
    struct rng r;
    rng_for(&r, s, 1, writer, change);
    if (rng_below(&r, 5) == 0) {
        ops[0] = (struct op){.kind = OP_SINGLE};
        return 1;
    }
    uint32_t count = 1 + (uint32_t)rng_below(&r, OPS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t kind = rng_below(&r, 20);
        uint32_t slot = (uint32_t)rng_below(&r, ENGINE_SLOTS);
        ops[i] = (struct op){kind < 15   ? OP_PUT
                             : kind < 18 ? OP_DELETE
                                         : OP_RANGE,
                             slot, slot + 1 + (uint32_t)rng_below(&r, 12)};
    }
    return count;
}

static void apply_change(const struct shared *s, uint64_t writer, uint64_t change, uint64_t *slots,
                         uint64_t *single) {
    struct op ops[OPS_MAX];
    uint32_t count = change_ops(s, writer, change, ops);
    for (uint32_t i = 0; i < count; i++) {
        if (ops[i].kind == OP_SINGLE)
            *single = change;
        else if (ops[i].kind == OP_PUT)
            slots[ops[i].slot] = change;
        else if (ops[i].kind == OP_DELETE)
            slots[ops[i].slot] = 0;
        else
            for (uint32_t k = ops[i].slot; k < ops[i].end && k < ENGINE_SLOTS; k++)
                slots[k] = 0;
    }
}

static struct lam_slice slot_key(char *out, uint64_t writer, uint32_t slot) {
    int n = snprintf(out, 32, "%llu/%05u", (unsigned long long)writer, slot);
    return (struct lam_slice){(const uint8_t *)out, (size_t)n};
}

/* Bytes that only this change can have put there. The caller frees. */
static struct lam_slice make_value(const struct shared *s, uint64_t partition, uint64_t writer,
                                   uint64_t change, uint32_t slot) {
    struct rng r;
    rng_for(&r, s, 2 + partition, writer << 32 | slot, change);
    uint64_t size = 16 + rng_below(&r, 180);
    if (rng_below(&r, 12) == 0)
        size = 2000 + rng_below(&r, 6000);
    if (rng_below(&r, 400) == 0)
        size = 60000 + rng_below(&r, 300000);
    uint64_t words = (size + 7) / 8;
    uint64_t *data = must_alloc(words * 8);
    data[0] = change;
    for (uint64_t i = 1; i < words; i++)
        data[i] = rng_next(&r);
    return (struct lam_slice){(const uint8_t *)data, size};
}

static void add_op(struct load *l, lam_batch *batch, uint64_t writer, uint64_t change,
                   const struct op *op) {
    struct lam_error err;
    char from[32], to[32];
    struct lam_slice key = slot_key(from, writer, op->slot);
    for (uint64_t p = 0; p < PARTITIONS; p++) {
        enum lam_code rc;
        if (op->kind == OP_PUT) {
            struct lam_slice value = make_value(l->shared, p, writer, change, op->slot);
            rc = lam_batch_put(batch, partitions[p], key, value, &err);
            free((void *)(uintptr_t)value.data);
        } else if (op->kind == OP_DELETE) {
            rc = lam_batch_delete(batch, partitions[p], key, &err);
        } else {
            uint32_t end = op->end < ENGINE_SLOTS ? op->end : ENGINE_SLOTS;
            rc = lam_batch_delete_range(batch, partitions[p], key, slot_key(to, writer, end),
                                        LAM_SEQUENCE_MAX, &err);
        }
        must(rc, &err, "batch");
    }
}

static lam_partition *single_partition(uint64_t writer) {
    return partitions[writer % PARTITIONS];
}

static struct lam_slice single_key(char *out, uint64_t writer) {
    int n = snprintf(out, 32, "single/%llu", (unsigned long long)writer);
    return (struct lam_slice){(const uint8_t *)out, (size_t)n};
}

static void do_change(struct load *l, lam_batch *batch, uint64_t writer, uint64_t change) {
    struct lam_error err;
    struct op ops[OPS_MAX];
    char key[32];
    uint32_t count = change_ops(l->shared, writer, change, ops);
    struct lam_write_options options = {.durability =
                                            change % 16 ? LAM_DURABILITY_OS : LAM_DURABILITY_SYNC};
    if (ops[0].kind == OP_SINGLE) {
        struct lam_slice value = {(const uint8_t *)&change, sizeof change};
        must(lam_put(l->db, &options, single_partition(writer), single_key(key, writer), value,
                     &err),
             &err, "put");
        return;
    }
    lam_batch_reset(batch);
    for (uint32_t i = 0; i < count; i++)
        add_op(l, batch, writer, change, &ops[i]);
    must(lam_write(l->db, &options, batch, NULL, &err), &err, "write");
}

static void *write_changes(void *arg) {
    const struct writer *w = arg;
    struct progress *p = &w->load->model->engine[w->number];
    struct lam_error err;
    lam_batch *batch;
    must(lam_batch_new(w->load->db, &batch, &err), &err, "batch");
    while (!stopping(w->load)) {
        uint64_t change = atomic_load(&p->acked) + 1;
        atomic_store(&p->begun, change);
        do_change(w->load, batch, w->number, change);
        atomic_store(&p->acked, change);
    }
    lam_batch_free(batch);
    return NULL;
}

/* --- the others ----------------------------------------------------------------------------- */

static void put_number(lam_batch *batch, lam_partition *p, const char *key, uint64_t number) {
    struct lam_error err;
    must(lam_batch_put(batch, p, lam_slice_str(key),
                       (struct lam_slice){(const uint8_t *)&number, sizeof number}, &err),
         &err, "batch");
}

/* Makes a partition, writes to it and to a lasting one in one batch, drops it. */
static void *churn(void *arg) {
    struct load *l = arg;
    struct progress *p = &l->model->churn;
    struct lam_error err;
    lam_batch *batch;
    must(lam_batch_new(l->db, &batch, &err), &err, "batch");
    while (!stopping(l)) {
        uint64_t change = atomic_load(&p->acked) + 1;
        lam_partition *c;
        enum lam_code rc = lam_partition_open(l->db, "churn", &c, &err);
        if (rc == LAM_NOT_FOUND)
            rc = lam_partition_create(l->db, "churn", NULL, &c, &err);
        must(rc, &err, "churn");
        atomic_store(&p->begun, change);
        lam_batch_reset(batch);
        put_number(batch, c, "k", change);
        put_number(batch, partitions[0], "churn", change);
        must(lam_write(l->db, NULL, batch, NULL, &err), &err, "write");
        atomic_store(&p->acked, change);
        must(lam_partition_drop(l->db, c, &err), &err, "drop");
        lam_partition_release(c);
        lam_batch_reset(batch);
    }
    lam_batch_free(batch);
    return NULL;
}

static uint64_t stamp_of(struct load *l, const lam_snapshot *snapshot, lam_partition *p,
                         struct lam_slice key, struct lam_value *value) {
    struct lam_error err;
    struct lam_read_options options = {.snapshot = snapshot};
    uint64_t stamp = 0;
    enum lam_code rc = lam_get(l->db, &options, p, key, value, &err);
    if (rc == LAM_NOT_FOUND)
        return 0;
    must(rc, &err, "get");
    memcpy(&stamp, value->bytes.data, sizeof stamp);
    return stamp;
}

/* All partitions say the same of a key at a snapshot. */
static void *read_stamps(void *arg) {
    struct load *l = arg;
    struct lam_error err;
    struct lam_value value = {0};
    struct rng r;
    char key[32];
    rng_for(&r, l->shared, 101, l->number, 0);
    while (!stopping(l)) {
        lam_snapshot *snapshot;
        must(lam_snapshot_new(l->db, &snapshot, &err), &err, "snapshot");
        for (int i = 0; i < 20; i++) {
            struct lam_slice k =
                slot_key(key, rng_below(&r, ENGINE_WRITERS), (uint32_t)rng_below(&r, ENGINE_SLOTS));
            uint64_t stamp = stamp_of(l, snapshot, partitions[0], k, &value);
            for (int p = 1; p < PARTITIONS; p++) {
                uint64_t other = stamp_of(l, snapshot, partitions[p], k, &value);
                if (other != stamp)
                    fail("half a batch is visible: key %s, change %llu and %llu", key,
                         (unsigned long long)stamp, (unsigned long long)other);
            }
        }
        lam_snapshot_free(snapshot);
    }
    lam_value_release(&value);
    return NULL;
}

static void open_partitions(struct load *l) {
    struct lam_error err;
    for (int i = 0; i < PARTITIONS; i++) {
        char name[8];
        snprintf(name, sizeof name, "p%d", i);
        enum lam_code rc = lam_partition_open(l->db, name, &partitions[i], &err);
        if (rc == LAM_NOT_FOUND)
            rc = lam_partition_create(l->db, name, NULL, &partitions[i], &err);
        must(rc, &err, name);
    }
}

void engine_start(struct load *l) {
    for (uint64_t i = 0; i < ENGINE_WRITERS; i++) {
        writers[i] = (struct writer){l, i};
        start(write_changes, &writers[i]);
    }
    start(churn, l);
    start(read_stamps, l);
}

/* --- verification --------------------------------------------------------------------------- */

/* What the partitions hold, as stamps. */
struct found {
    uint64_t slots[PARTITIONS][ENGINE_WRITERS][ENGINE_SLOTS];
    uint64_t single[ENGINE_WRITERS];
    uint64_t churn;
};

static uint64_t stamp(struct lam_slice value) {
    uint64_t s;
    if (value.size < sizeof s)
        fail("a value of %zu bytes", value.size);
    memcpy(&s, value.data, sizeof s);
    return s;
}

static void note_entry(struct load *l, int p, struct lam_slice key, struct lam_slice value,
                       struct found *f) {
    char text[40];
    unsigned long long writer;
    unsigned slot;
    if (key.size >= sizeof text)
        fail("a key of %zu bytes", key.size);
    memcpy(text, key.data, key.size);
    text[key.size] = 0;
    if (!strcmp(text, "churn")) {
        f->churn = stamp(value);
    } else if (sscanf(text, "single/%llu", &writer) == 1 && writer < ENGINE_WRITERS) {
        f->single[writer] = stamp(value);
    } else if (sscanf(text, "%llu/%u", &writer, &slot) == 2 && writer < ENGINE_WRITERS &&
               slot < ENGINE_SLOTS) {
        struct lam_slice expected = make_value(l->shared, (uint64_t)p, writer, stamp(value), slot);
        if (value.size != expected.size || memcmp(value.data, expected.data, value.size) != 0)
            fail("partition p%d: the value of %s was never written", p, text);
        free((void *)(uintptr_t)expected.data);
        f->slots[p][writer][slot] = stamp(value);
    } else {
        fail("partition p%d: key %s was never written", p, text);
    }
}

static void scan(struct load *l, int p, struct found *f) {
    struct lam_error err;
    lam_iter *it;
    must(lam_iter_new(l->db, NULL, partitions[p], &it, &err), &err, "iterator");
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it))
        note_entry(l, p, lam_iter_key(it), lam_iter_value(it), f);
    must(lam_iter_status(it, &err), &err, "scan");
    lam_iter_free(it);
}

/* Point reads say what the scan said. */
static void compare_gets(struct load *l, const struct found *f) {
    struct lam_value value = {0};
    char key[32];
    for (int p = 0; p < PARTITIONS; p++)
        for (uint64_t w = 0; w < ENGINE_WRITERS; w++)
            for (uint32_t slot = 0; slot < ENGINE_SLOTS; slot++) {
                uint64_t got = stamp_of(l, NULL, partitions[p], slot_key(key, w, slot), &value);
                if (got != f->slots[p][w][slot])
                    fail("p%d %s: a read gives change %llu, a scan %llu", p, key,
                         (unsigned long long)got, (unsigned long long)f->slots[p][w][slot]);
            }
    lam_value_release(&value);
}

static bool matches(const struct found *f, uint64_t w, const uint64_t *slots, uint64_t single) {
    if (f->single[w] != single)
        return false;
    for (int p = 0; p < PARTITIONS; p++)
        if (memcmp(f->slots[p][w], slots, sizeof f->slots[p][w]) != 0)
            return false;
    return true;
}

static void explain(const struct found *f, uint64_t w, const uint64_t *slots, uint64_t single) {
    fprintf(stderr, "writer %llu: single %llu, expected %llu\n", (unsigned long long)w,
            (unsigned long long)f->single[w], (unsigned long long)single);
    for (int p = 0; p < PARTITIONS; p++)
        for (uint32_t i = 0; i < ENGINE_SLOTS; i++)
            if (f->slots[p][w][i] != slots[i])
                fprintf(stderr, "  p%d slot %u: change %llu, expected %llu\n", p, i,
                        (unsigned long long)f->slots[p][w][i], (unsigned long long)slots[i]);
}

static void verify_writer(struct load *l, uint64_t w, const struct found *f) {
    struct model *m = l->model;
    struct progress *p = &m->engine[w];
    uint64_t acked = atomic_load(&p->acked), begun = atomic_load(&p->begun);
    uint64_t *slots = m->slots[w], *single = &m->single[w];
    for (uint64_t i = m->engine_applied[w] + 1; i <= acked; i++)
        apply_change(l->shared, w, i, slots, single);
    if (begun > acked && !matches(f, w, slots, *single)) {
        apply_change(l->shared, w, begun, slots, single);
        acked = begun;
        atomic_fetch_add(&l->shared->unacked, 1);
    }
    if (!matches(f, w, slots, *single)) {
        explain(f, w, slots, *single);
        fail("writer %llu: not the state after change %llu (acknowledged: %llu, begun: %llu)",
             (unsigned long long)w, (unsigned long long)acked,
             (unsigned long long)atomic_load(&p->acked), (unsigned long long)begun);
    }
    m->engine_applied[w] = acked;
    atomic_store(&p->acked, acked);
    atomic_store(&p->begun, acked);
}

static void verify_churn(struct load *l, const struct found *f) {
    struct progress *p = &l->model->churn;
    uint64_t acked = atomic_load(&p->acked), begun = atomic_load(&p->begun);
    struct lam_error err;
    struct lam_value value = {0};
    lam_partition *c;
    if (f->churn != acked && f->churn != begun)
        fail("churn: change %llu, expected %llu or %llu", (unsigned long long)f->churn,
             (unsigned long long)acked, (unsigned long long)begun);
    enum lam_code rc = lam_partition_open(l->db, "churn", &c, &err);
    if (rc == LAM_OK) {
        uint64_t there = stamp_of(l, NULL, c, lam_slice_str("k"), &value);
        if (there != 0 && there != f->churn)
            fail("churn: half a batch: %llu and %llu", (unsigned long long)there,
                 (unsigned long long)f->churn);
        lam_value_release(&value);
        lam_partition_release(c);
    } else if (rc != LAM_NOT_FOUND) {
        must(rc, &err, "churn");
    }
    atomic_store(&p->acked, f->churn);
    atomic_store(&p->begun, f->churn);
}

void engine_verify(struct load *l) {
    struct found *f = must_alloc(sizeof *f);
    open_partitions(l);
    for (int p = 0; p < PARTITIONS; p++)
        scan(l, p, f);
    if (l->full)
        compare_gets(l, f);
    for (uint64_t w = 0; w < ENGINE_WRITERS; w++)
        verify_writer(l, w, f);
    verify_churn(l, f);
    free(f);
}
