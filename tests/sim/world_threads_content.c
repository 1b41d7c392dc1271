/* SPDX-License-Identifier: Apache-2.0
 *
 * What the partitions of the concurrent world must hold: batches, keys and values as functions of
 * the seed; and reading and comparing all of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "tests/sim/world_threads_impl.h"

static void rng_of(const struct world *w, uint64_t a, uint64_t b, struct rng *out) {
    rng_init(out, hash_mix(w->salt, a << 32 | b));
}

uint32_t wt_steps(const struct world *w, uint32_t writer, uint32_t n, struct step *out) {
    struct rng r;
    rng_of(w, writer, n, &r);
    uint32_t count = 0;
    for (uint32_t p = 0; p < w->part_count; p++)
        out[count++] = (struct step){STEP_PUT, p, 0, 0};
    for (uint64_t slots = rng_below(&r, 4); slots > 0; slots--) {
        uint64_t kind = rng_below(&r, 6), mask = 1 + rng_below(&r, (1u << w->part_count) - 1);
        uint32_t key = 1 + (uint32_t)rng_below(&r, KEYS - 1);
        uint32_t to = key + 1 + (uint32_t)rng_below(&r, KEYS - key);
        for (uint32_t p = 0; p < w->part_count; p++)
            if (mask >> p & 1)
                out[count++] = (struct step){kind < 4    ? STEP_PUT
                                             : kind == 4 ? STEP_DELETE
                                                         : STEP_RANGE,
                                             p, key, to};
    }
    LAM_ASSERT(count <= STEPS_MAX);
    return count;
}

static void apply(struct writer_state *s, const struct step *step, uint32_t n) {
    uint32_t to = step->kind == STEP_RANGE ? step->to : step->key + 1;
    for (uint32_t k = step->key; k < to; k++)
        s->last[step->part][k] = step->kind == STEP_PUT ? (uint8_t)n : 0;
}

void wt_make_states(struct world *w) {
    for (uint32_t writer = 0; writer < w->writers; writer++)
        for (uint32_t n = 1; n <= BATCHES_MAX; n++) {
            struct step steps[STEPS_MAX];
            struct writer_state *s = &w->states[writer][n];
            *s = w->states[writer][n - 1];
            uint32_t count = wt_steps(w, writer, n, steps);
            for (uint32_t i = 0; i < count; i++)
                apply(s, &steps[i], n);
        }
}

struct lam_slice wt_key(uint32_t writer, uint32_t key, char *room) {
    int size = snprintf(room, 24, "writer-%u/%c", writer, key > 0 ? 's' : 'c');
    if (key > 0)
        size += snprintf(room + size, 8, "%u", key);
    return lam_slice_of(room, (size_t)size);
}

/* Its place and origin, then noise of a length that is mostly short. */
static struct lam_slice make_value(const struct world *w, const uint32_t *head, size_t words,
                                   uint8_t *room) {
    struct rng r;
    uint64_t h = w->salt;
    size_t at = 0;
    for (size_t i = 0; i < words; i++, at += 4) {
        h = hash_mix(h, head[i]);
        put_le32(room + at, head[i]);
    }
    rng_init(&r, h);
    uint64_t size = rng_below(&r, 12) ? rng_below(&r, 48) : rng_below(&r, 700);
    if (rng_below(&r, 100) == 0)
        size = 2000 + rng_below(&r, VALUE_MAX - 2100);
    for (uint64_t i = 0; i < size; i++)
        room[at++] = (uint8_t)(h >> (8 * (i & 7)));
    LAM_ASSERT(at <= VALUE_MAX);
    return (struct lam_slice){room, at};
}

struct lam_slice wt_value(const struct world *w, uint32_t writer, uint32_t n, uint32_t part,
                          uint32_t key, uint8_t *room) {
    uint32_t head[] = {n, writer, part, key, w->commits[writer][n].attempt};
    return make_value(w, head, 5, room);
}

void wt_temp_name(uint32_t temp, char *room) {
    snprintf(room, 16, "temp-%u", temp);
}

struct lam_slice wt_temp_key(uint32_t put, char *room) {
    return lam_slice_of(room, (size_t)snprintf(room, 24, "put-%02u", put));
}

struct lam_slice wt_temp_value(const struct world *w, uint32_t temp, uint32_t put, uint8_t *room) {
    uint32_t head[] = {temp, put};
    return make_value(w, head, 2, room);
}

/* --- reading --------------------------------------------------------------------------------- */

void wt_content_fini(struct content *c) {
    free(c->items);
    free(c->bytes);
    *c = (struct content){0};
}

void wt_content_begin(struct content *c) {
    c->count = 0;
    c->bytes_size = 0;
    memset(c->begin, 0, sizeof c->begin);
}

static uint32_t keep_bytes(struct content *c, struct lam_slice s) {
    if (c->bytes_size + s.size > c->bytes_capacity) {
        c->bytes_capacity = 2 * (c->bytes_size + s.size) + 1024;
        c->bytes = realloc(c->bytes, c->bytes_capacity);
        LAM_ASSERT(c->bytes);
    }
    if (s.size > 0)
        memcpy(c->bytes + c->bytes_size, s.data, s.size);
    c->bytes_size += s.size;
    return (uint32_t)(c->bytes_size - s.size);
}

void wt_content_add(struct world *w, struct content *c, lam_iter *iter, uint32_t part) {
    struct lam_error err = {0};
    c->begin[part] = c->count;
    for (lam_iter_seek_first(iter); lam_iter_valid(iter); lam_iter_next(iter)) {
        struct lam_slice key = lam_iter_key(iter), value = lam_iter_value(iter);
        if (c->count == c->capacity) {
            c->capacity = 2 * c->capacity + 64;
            c->items = realloc(c->items, c->capacity * sizeof *c->items);
            LAM_ASSERT(c->items);
        }
        struct content_item item = {.key_size = (uint32_t)key.size,
                                    .value_size = (uint32_t)value.size};
        item.key_at = keep_bytes(c, key);
        item.value_at = keep_bytes(c, value);
        c->items[c->count++] = item;
    }
    wt_must(w, lam_iter_status(iter, &err), &err, "an iterator");
    for (uint32_t p = part + 1; p <= PARTS_MAX; p++)
        c->begin[p] = c->count;
}

void wt_content_read(struct world *w, struct content *c, lam_db *db, lam_partition *const *parts,
                     const lam_snapshot *snapshot) {
    struct lam_read_options options = {.snapshot = snapshot};
    struct lam_error err = {0};
    wt_content_begin(c);
    for (uint32_t p = 0; p < w->part_count; p++) {
        lam_iter *iter = NULL;
        wt_must(w, lam_iter_new(db, &options, parts[p], &iter, &err), &err, "lam_iter_new");
        wt_content_add(w, c, iter, p);
        lam_iter_free(iter);
    }
}

bool wt_content_equal(const struct content *a, const struct content *b) {
    return a->count == b->count && memcmp(a->begin, b->begin, sizeof a->begin) == 0 &&
           (a->count == 0 || memcmp(a->items, b->items, a->count * sizeof *a->items) == 0) &&
           a->bytes_size == b->bytes_size &&
           (a->bytes_size == 0 || memcmp(a->bytes, b->bytes, a->bytes_size) == 0);
}

uint64_t wt_content_hash(const struct content *c) {
    return hash_xxh3(c->bytes, c->bytes_size, c->count);
}

/* --- comparing ------------------------------------------------------------------------------- */

static struct lam_slice item_key(const struct content *c, size_t i) {
    return (struct lam_slice){c->bytes + c->items[i].key_at, c->items[i].key_size};
}
static struct lam_slice item_value(const struct content *c, size_t i) {
    return (struct lam_slice){c->bytes + c->items[i].value_at, c->items[i].value_size};
}

static void read_counters(struct world *w, const struct content *c, uint32_t part,
                          struct vector *v) {
    for (uint32_t writer = 0; writer < w->writers; writer++) {
        char room[24];
        struct lam_slice key = wt_key(writer, 0, room);
        for (size_t i = c->begin[part]; i < c->begin[part + 1]; i++) {
            struct lam_slice value = item_value(c, i);
            if (!slice_eq(item_key(c, i), key))
                continue;
            v->n[writer] = value.size >= 4 ? get_le32(value.data) : UINT32_MAX;
            if (v->n[writer] == 0 || v->n[writer] > BATCHES_MAX)
                wt_fail(w, "partition %u: the counter of writer %u holds %u", part, writer,
                        v->n[writer]);
        }
    }
}

static void describe(struct lam_slice value, char *room, size_t size) {
    if (value.size >= 20)
        snprintf(room, size, "batch %u of writer %u, attempt %u, %zu bytes", get_le32(value.data),
                 get_le32(value.data + 4), get_le32(value.data + 16), value.size);
    else
        snprintf(room, size, "%zu bytes", value.size);
}

static void compare_item(struct world *w, const struct content *c, size_t i, uint32_t part,
                         struct lam_slice key, struct lam_slice value, const struct vector *v) {
    bool there = i < c->begin[part + 1];
    if (there && slice_eq(item_key(c, i), key) && slice_eq(item_value(c, i), value))
        return;
    char want[96], got[96] = "nothing";
    describe(value, want, sizeof want);
    if (there)
        describe(item_value(c, i), got, sizeof got);
    struct lam_slice found = there ? item_key(c, i) : SLICE_EMPTY;
    for (uint32_t writer = 0; writer < w->writers; writer++)
        printf("%s%u", writer ? ", " : "vector ", v->n[writer]);
    printf("\n");
    wt_fail(w, "partition %u: expected %.*s (%s), found %.*s (%s)", part, (int)key.size,
            (const char *)key.data, want, (int)found.size, (const char *)found.data, got);
}

static void compare_part(struct world *w, const struct content *c, uint32_t part,
                         const struct vector *v) {
    size_t i = c->begin[part];
    for (uint32_t writer = 0; writer < w->writers; writer++)
        for (uint32_t k = 0; k < KEYS; k++) {
            uint32_t n = w->states[writer][v->n[writer]].last[part][k];
            if (n == 0)
                continue;
            char key[24];
            uint8_t value[VALUE_MAX];
            compare_item(w, c, i++, part, wt_key(writer, k, key),
                         wt_value(w, writer, n, part, k, value), v);
        }
    if (i < c->begin[part + 1])
        wt_fail(w, "partition %u: %.*s is not to be there", part, (int)c->items[i].key_size,
                (const char *)c->bytes + c->items[i].key_at);
    w->report->operations += i - c->begin[part];
}

struct vector wt_content_vector(struct world *w, const struct content *c, uint32_t part,
                                uint32_t count) {
    struct vector v = {0};
    memset(v.temps, 0xff, sizeof v.temps);
    read_counters(w, c, part, &v);
    for (uint32_t p = part; p < part + count; p++)
        compare_part(w, c, p, &v);
    return v;
}

uint32_t wt_read_temp(struct world *w, lam_iter *iter, uint32_t temp) {
    struct lam_error err = {0};
    uint32_t put = 0;
    for (lam_iter_seek_first(iter); lam_iter_valid(iter); lam_iter_next(iter), put++) {
        char key[24];
        uint8_t value[VALUE_MAX];
        if (put >= PUTS_MAX || !slice_eq(lam_iter_key(iter), wt_temp_key(put, key)) ||
            !slice_eq(lam_iter_value(iter), wt_temp_value(w, temp, put, value)))
            wt_fail(w, "temporary partition %u: entry %u is not as it was put", temp, put);
    }
    wt_must(w, lam_iter_status(iter, &err), &err, "an iterator of a temporary partition");
    w->report->operations += put;
    return put;
}
