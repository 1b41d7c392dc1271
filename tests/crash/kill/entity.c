/* SPDX-License-Identifier: Apache-2.0
 *
 * Load on the entity store: records with a unique and an ordered index, put, updated and deleted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/kill/kill.h"

#define A_VALUES 9

struct writer {
    struct load *load;
    uint64_t number;
};
static struct writer writers[ENTITY_WRITERS];
static lam_entity *notes;

enum { FIELD_OWNER, FIELD_ID, FIELD_A, FIELD_B, FIELD_N, FIELDS };
static const struct lam_entity_field fields[FIELDS] = {
    {.name = "owner", .type = LAM_TYPE_BIGINT, .key = true},
    {.name = "id", .type = LAM_TYPE_BIGINT, .key = true},
    {.name = "a", .type = LAM_TYPE_INT},
    {.name = "b", .type = LAM_TYPE_TEXT, .nullable = true},
    {.name = "n", .type = LAM_TYPE_BIGINT},
};
static const struct lam_entity_part part_a[] = {{"a", false}, {"n", true}};
static const struct lam_entity_part part_b[] = {{"b", false}};
static const struct lam_entity_index indexes[] = {
    {.name = "by_a", .parts = part_a, .part_count = 2},
    {.name = "by_b", .unique = true, .parts = part_b, .part_count = 1},
};
static const struct lam_entity_desc desc = {"notes", fields, FIELDS, indexes, 2};

enum change_kind { PUT, UPDATE, DELETE };
struct change {
    enum change_kind kind;
    uint64_t number;
    uint64_t id;
    int32_t a;
};

static void describe_change(const struct shared *s, uint64_t writer, uint64_t number,
                            struct change *c) {
    struct rng r;
    rng_for(&r, s, 70, writer, number);
    uint64_t kind = rng_below(&r, 10);
    *c = (struct change){kind < 5   ? PUT
                         : kind < 8 ? UPDATE
                                    : DELETE,
                         number, rng_below(&r, ENTITY_IDS), (int32_t)rng_below(&r, A_VALUES)};
}

static void apply_change(const struct change *c, struct record *records) {
    struct record *r = &records[c->id];
    if (c->kind == DELETE)
        *r = (struct record){0};
    else if (c->kind == PUT || r->present)
        *r = (struct record){true, c->a, c->number};
}

/* Column b: a NULL now and then, else what only this change can have written. */
static struct lam_cell cell_b(char *text, size_t size, uint64_t writer, uint64_t id, uint64_t n) {
    if (n % 5 == 0)
        return lam_cell_null();
    snprintf(text, size, "%llu/%llu/%llu", (unsigned long long)writer, (unsigned long long)id,
             (unsigned long long)n);
    return lam_cell_text(text);
}

static void do_change(uint64_t writer, const struct change *c) {
    struct lam_error err = {0};
    char text[80];
    struct lam_cell record[FIELDS] = {
        lam_cell_int64(LAM_TYPE_BIGINT, (int64_t)writer),
        lam_cell_int64(LAM_TYPE_BIGINT, (int64_t)c->id),
        lam_cell_int64(LAM_TYPE_INT, c->a),
        cell_b(text, sizeof text, writer, c->id, c->number),
        lam_cell_int64(LAM_TYPE_BIGINT, (int64_t)c->number),
    };
    enum lam_durability durability = c->number % 16 ? LAM_DURABILITY_OS : LAM_DURABILITY_SYNC;
    enum lam_code rc = c->kind == PUT      ? lam_entity_put(notes, record, durability, &err)
                       : c->kind == UPDATE ? lam_entity_update(notes, record, durability, &err)
                                           : lam_entity_delete(notes, record, durability, &err);
    if (rc != LAM_NOT_FOUND || c->kind == PUT)
        must(rc, &err, "entity");
}

static void *write_changes(void *arg) {
    const struct writer *w = arg;
    struct progress *p = &w->load->model->entity[w->number];
    while (!stopping(w->load)) {
        struct change c;
        uint64_t number = atomic_load(&p->acked) + 1;
        describe_change(w->load->shared, w->number, number, &c);
        atomic_store(&p->begun, number);
        do_change(w->number, &c);
        atomic_store(&p->acked, number);
    }
    return NULL;
}

static void open_notes(struct load *l) {
    struct lam_error err;
    must(lam_entity_open(l->db, &desc, &notes, &err), &err, "entity");
}

void entity_start(struct load *l) {
    for (uint64_t i = 0; i < ENTITY_WRITERS; i++) {
        writers[i] = (struct writer){l, i};
        start(write_changes, &writers[i]);
    }
}

/* --- verification --------------------------------------------------------------------------- */

struct found {
    struct record records[ENTITY_WRITERS][ENTITY_IDS];
    uint64_t count;
};

static bool note_record(void *arg, const struct lam_cell *r) {
    struct found *f = arg;
    char text[80];
    uint64_t owner = (uint64_t)r[FIELD_OWNER].as.int64, id = (uint64_t)r[FIELD_ID].as.int64;
    uint64_t n = (uint64_t)r[FIELD_N].as.int64;
    if (owner >= ENTITY_WRITERS || id >= ENTITY_IDS)
        fail("a record (%llu, %llu) was never written", (unsigned long long)owner,
             (unsigned long long)id);
    struct record *record = &f->records[owner][id];
    struct lam_cell b = cell_b(text, sizeof text, owner, id, n);
    if (record->present)
        fail("record (%llu, %llu) comes twice", (unsigned long long)owner, (unsigned long long)id);
    if (b.is_null != r[FIELD_B].is_null ||
        (!b.is_null && (b.as.bytes.size != r[FIELD_B].as.bytes.size ||
                        memcmp(b.as.bytes.data, r[FIELD_B].as.bytes.data, b.as.bytes.size) != 0)))
        fail("record (%llu, %llu): field b was never written", (unsigned long long)owner,
             (unsigned long long)id);
    *record = (struct record){true, (int32_t)r[FIELD_A].as.int64, n};
    f->count++;
    return true;
}

static bool same_records(const struct record *x, const struct record *y) {
    for (int i = 0; i < ENTITY_IDS; i++)
        if (x[i].present != y[i].present ||
            (x[i].present && (x[i].a != y[i].a || x[i].n != y[i].n)))
            return false;
    return true;
}

static void verify_writer(struct load *l, uint64_t w, const struct found *f) {
    struct model *m = l->model;
    struct progress *p = &m->entity[w];
    struct change c;
    uint64_t acked = atomic_load(&p->acked), begun = atomic_load(&p->begun);
    for (uint64_t i = m->entity_applied[w] + 1; i <= acked; i++) {
        describe_change(l->shared, w, i, &c);
        apply_change(&c, m->records[w]);
    }
    if (begun > acked && !same_records(f->records[w], m->records[w])) {
        describe_change(l->shared, w, begun, &c);
        apply_change(&c, m->records[w]);
        acked = begun;
        atomic_fetch_add(&l->shared->unacked, 1);
    }
    if (!same_records(f->records[w], m->records[w]))
        fail("records of writer %llu: not the state after change %llu (begun: %llu)",
             (unsigned long long)w, (unsigned long long)acked, (unsigned long long)begun);
    m->entity_applied[w] = acked;
    atomic_store(&p->acked, acked);
    atomic_store(&p->begun, acked);
}

static void verify_index(const char *index, const struct found *all) {
    struct lam_error err;
    struct found *f = must_alloc(sizeof *f);
    must(lam_entity_scan_index(notes, NULL, index, NULL, 0, note_record, f, &err), &err, index);
    for (int w = 0; w < ENTITY_WRITERS; w++)
        if (!same_records(f->records[w], all->records[w]))
            fail("index %s: %llu records of %llu, or others", index, (unsigned long long)f->count,
                 (unsigned long long)all->count);
    free(f);
}

void entity_verify(struct load *l) {
    struct lam_error err;
    struct found *f = must_alloc(sizeof *f);
    open_notes(l);
    must(lam_entity_scan(notes, NULL, NULL, 0, note_record, f, &err), &err, "scan");
    for (uint64_t w = 0; w < ENTITY_WRITERS; w++)
        verify_writer(l, w, f);
    verify_index("by_a", f);
    verify_index("by_b", f);
    free(f);
}

void entity_stop(void) {
    lam_entity_close(notes);
    notes = NULL;
}
