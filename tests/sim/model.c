/* SPDX-License-Identifier: Apache-2.0
 *
 * Versions by key. No cleverness: every question is a binary search for the key and a walk back
 * over its versions. */
#include "tests/sim/model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct version {
    size_t commit; /* number of the commit it came with */
    uint64_t sequence;
    bool live; /* else the row is gone */
    uint8_t *bytes;
    size_t size;
    struct model_hash hash; /* of the row */
};
struct key {
    uint8_t *bytes;
    size_t size;
    struct version *versions; /* oldest first */
    size_t count, capacity;
};
struct turn {
    size_t commit;
    bool exists;
};
struct part {
    struct key **keys; /* ascending */
    size_t count, capacity;
    struct turn *turns; /* when it came and went */
    size_t turn_count, turn_capacity;
};
struct model {
    struct part parts[MODEL_PARTITIONS];
    struct model_hash *hashes; /* of each prefix */
    size_t commits, capacity;
    struct model_hash now;
    bool begun;
};

/* --- memory and hashes ----------------------------------------------------------------------- */

static void *grow(void *list, size_t *capacity, size_t need, size_t size) {
    if (need <= *capacity)
        return list;
    *capacity = need > 2 * *capacity ? need + 3 : 2 * *capacity;
    list = realloc(list, *capacity * size);
    LAM_ASSERT(list);
    return list;
}

static uint8_t *copy(struct lam_slice s) {
    uint8_t *bytes = malloc(s.size ? s.size : 1);
    LAM_ASSERT(bytes);
    if (s.size)
        memcpy(bytes, s.data, s.size);
    return bytes;
}

static uint64_t fold(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static void stir(struct model_hash *h, uint64_t a, uint64_t b) {
    h->low = fold(a ^ UINT64_C(0x9FB21C651E98DF25) ^ h->low, b ^ UINT64_C(0xD6E8FEB86659FD93));
    h->high = fold(b ^ UINT64_C(0xA0761D6478BD642F) ^ h->high, a ^ UINT64_C(0xE7037ED1A0B428DB));
    h->low += h->high << 1 | 1;
}

static void stir_bytes(struct model_hash *h, struct lam_slice s) {
    stir(h, s.size, 7);
    size_t at = 0;
    for (uint64_t w[2]; at + 16 <= s.size; at += 16) {
        memcpy(w, s.data + at, 16);
        stir(h, w[0], w[1]);
    }
    if (at < s.size) {
        uint64_t w[2] = {0, 0};
        memcpy(w, s.data + at, s.size - at);
        stir(h, w[0], w[1]);
    }
}

struct model_hash model_hash_add(struct model_hash a, struct model_hash b) {
    uint64_t low = a.low + b.low;
    return (struct model_hash){low, a.high + b.high + (low < a.low)};
}

struct model_hash model_hash_sub(struct model_hash a, struct model_hash b) {
    return (struct model_hash){a.low - b.low, a.high - b.high - (a.low < b.low)};
}

struct model_hash model_hash_partition(unsigned partition) {
    struct model_hash h = {partition + 1, UINT64_C(0x8EBC6AF09C88C6E3)};
    stir(&h, partition, 3);
    stir(&h, 1, partition);
    return h;
}

struct model_hash model_hash_row(unsigned partition, struct lam_slice key, struct lam_slice value) {
    struct model_hash h = {UINT64_C(0x589965CC75374CC3) + partition, partition};
    stir_bytes(&h, key);
    stir_bytes(&h, value);
    stir(&h, key.size, value.size);
    return h;
}

static int compare(struct lam_slice a, const struct key *k) {
    size_t n = a.size < k->size ? a.size : k->size;
    int order = n ? memcmp(a.data, k->bytes, n) : 0;
    return order ? order : a.size < k->size ? -1 : a.size > k->size;
}

/* --- life ------------------------------------------------------------------------------------ */

struct model *model_new(void) {
    struct model *m = calloc(1, sizeof *m);
    LAM_ASSERT(m);
    m->hashes = grow(NULL, &m->capacity, 64, sizeof *m->hashes);
    m->hashes[0] = m->now;
    return m;
}

static void key_free(struct key *k) {
    for (size_t i = 0; i < k->count; i++)
        free(k->versions[i].bytes);
    free(k->versions);
    free(k->bytes);
    free(k);
}

void model_free(struct model *m) {
    if (!m)
        return;
    for (unsigned p = 0; p < MODEL_PARTITIONS; p++) {
        for (size_t i = 0; i < m->parts[p].count; i++)
            key_free(m->parts[p].keys[i]);
        free(m->parts[p].keys);
        free(m->parts[p].turns);
    }
    free(m->hashes);
    free(m);
}

/* --- finding --------------------------------------------------------------------------------- */

/* Index of the first key >= `key`. */
static size_t lower_bound(const struct part *p, struct lam_slice key) {
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare(key, p->keys[mid]) > 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct key *find_key(const struct part *p, struct lam_slice key) {
    size_t at = lower_bound(p, key);
    return at < p->count && compare(key, p->keys[at]) == 0 ? p->keys[at] : NULL;
}

static struct key *make_key(struct part *p, struct lam_slice key) {
    size_t at = lower_bound(p, key);
    if (at < p->count && compare(key, p->keys[at]) == 0)
        return p->keys[at];
    p->keys = grow(p->keys, &p->capacity, p->count + 1, sizeof *p->keys);
    memmove(p->keys + at + 1, p->keys + at, (p->count - at) * sizeof *p->keys);
    struct key *k = calloc(1, sizeof *k);
    LAM_ASSERT(k);
    k->bytes = copy(key);
    k->size = key.size;
    p->keys[at] = k;
    p->count++;
    return k;
}

/* The live version of a key at a prefix, or NULL. */
static const struct version *seen(const struct key *k, size_t prefix) {
    for (size_t i = k->count; i-- > 0;)
        if (k->versions[i].commit <= prefix)
            return k->versions[i].live ? &k->versions[i] : NULL;
    return NULL;
}

static struct version *newest(struct key *k) {
    return k->count > 0 && k->versions[k->count - 1].live ? &k->versions[k->count - 1] : NULL;
}

/* --- commits --------------------------------------------------------------------------------- */

void model_begin(struct model *m) {
    LAM_ASSERT(!m->begun);
    m->begun = true;
}

size_t model_end(struct model *m) {
    LAM_ASSERT(m->begun);
    m->begun = false;
    m->commits++;
    m->hashes = grow(m->hashes, &m->capacity, m->commits + 1, sizeof *m->hashes);
    m->hashes[m->commits] = m->now;
    return m->commits;
}

static bool exists_now(const struct model *m, unsigned partition) {
    const struct part *p = &m->parts[partition];
    return p->turn_count > 0 && p->turns[p->turn_count - 1].exists;
}

static void add_turn(struct model *m, unsigned partition, bool exists) {
    LAM_ASSERT(m->begun && partition < MODEL_PARTITIONS);
    LAM_ASSERT(exists_now(m, partition) != exists);
    struct part *p = &m->parts[partition];
    p->turns = grow(p->turns, &p->turn_capacity, p->turn_count + 1, sizeof *p->turns);
    p->turns[p->turn_count++] = (struct turn){m->commits + 1, exists};
}

static void add_version(struct model *m, struct key *k, const struct version *v) {
    struct version *before = newest(k);
    if (before)
        m->now = model_hash_sub(m->now, before->hash);
    if (v->live)
        m->now = model_hash_add(m->now, v->hash);
    k->versions = grow(k->versions, &k->capacity, k->count + 1, sizeof *k->versions);
    k->versions[k->count++] = *v;
}

static void remove_row(struct model *m, struct key *k, uint64_t sequence) {
    if (newest(k))
        add_version(m, k, &(struct version){.commit = m->commits + 1, .sequence = sequence});
}

void model_create(struct model *m, unsigned partition) {
    add_turn(m, partition, true);
    m->now = model_hash_add(m->now, model_hash_partition(partition));
}

void model_drop(struct model *m, unsigned partition) {
    add_turn(m, partition, false);
    m->now = model_hash_sub(m->now, model_hash_partition(partition));
    for (size_t i = 0; i < m->parts[partition].count; i++)
        remove_row(m, m->parts[partition].keys[i], 0);
}

void model_put(struct model *m, unsigned partition, struct lam_slice key, struct lam_slice value,
               uint64_t sequence) {
    LAM_ASSERT(m->begun && exists_now(m, partition));
    struct version v = {.commit = m->commits + 1,
                        .sequence = sequence,
                        .live = true,
                        .bytes = copy(value),
                        .size = value.size,
                        .hash = model_hash_row(partition, key, value)};
    add_version(m, make_key(&m->parts[partition], key), &v);
}

void model_delete(struct model *m, unsigned partition, struct lam_slice key, uint64_t sequence) {
    LAM_ASSERT(m->begun && exists_now(m, partition));
    struct key *k = find_key(&m->parts[partition], key);
    if (k)
        remove_row(m, k, sequence);
}

void model_delete_range(struct model *m, unsigned partition, struct lam_slice from,
                        struct lam_slice to, uint64_t upto, uint64_t sequence) {
    LAM_ASSERT(m->begun && exists_now(m, partition));
    struct part *p = &m->parts[partition];
    for (size_t i = lower_bound(p, from); i < p->count; i++) {
        if (to.size > 0 && compare(to, p->keys[i]) <= 0)
            break;
        struct version *v = newest(p->keys[i]);
        if (v && v->sequence <= upto && v->sequence < sequence)
            remove_row(m, p->keys[i], sequence);
    }
}

size_t model_commits(const struct model *m) {
    return m->commits;
}

void model_truncate(struct model *m, size_t commits) {
    LAM_ASSERT(!m->begun && commits <= m->commits);
    for (unsigned i = 0; i < MODEL_PARTITIONS; i++) {
        struct part *p = &m->parts[i];
        while (p->turn_count > 0 && p->turns[p->turn_count - 1].commit > commits)
            p->turn_count--;
        for (size_t j = 0; j < p->count; j++) {
            struct key *k = p->keys[j];
            while (k->count > 0 && k->versions[k->count - 1].commit > commits)
                free(k->versions[--k->count].bytes);
        }
    }
    m->commits = commits;
    m->now = m->hashes[commits];
}

struct model_hash model_hash_at(const struct model *m, size_t prefix) {
    LAM_ASSERT(prefix <= m->commits);
    return m->hashes[prefix];
}

const struct model_hash *model_hashes(const struct model *m) {
    return m->hashes;
}

/* --- reading --------------------------------------------------------------------------------- */

bool model_exists(const struct model *m, size_t prefix, unsigned partition) {
    const struct part *p = &m->parts[partition];
    for (size_t i = p->turn_count; i-- > 0;)
        if (p->turns[i].commit <= prefix)
            return p->turns[i].exists;
    return false;
}

size_t model_born(const struct model *m, size_t prefix, unsigned partition) {
    const struct part *p = &m->parts[partition];
    LAM_ASSERT(model_exists(m, prefix, partition));
    for (size_t i = p->turn_count; i-- > 0;)
        if (p->turns[i].commit <= prefix)
            return p->turns[i].commit;
    return 0;
}

bool model_get(const struct model *m, size_t prefix, unsigned partition, struct lam_slice key,
               struct lam_slice *value_out) {
    const struct key *k = find_key(&m->parts[partition], key);
    const struct version *v = k ? seen(k, prefix) : NULL;
    if (v)
        *value_out = lam_slice_of(v->bytes, v->size);
    return v != NULL;
}

uint64_t model_sequence(const struct model *m, size_t prefix, unsigned partition,
                        struct lam_slice key) {
    const struct key *k = find_key(&m->parts[partition], key);
    const struct version *v = k ? seen(k, prefix) : NULL;
    return v ? v->sequence : 0;
}

size_t model_rows(const struct model *m, size_t prefix, unsigned partition) {
    size_t n = 0;
    for (size_t i = 0; i < m->parts[partition].count; i++)
        n += seen(m->parts[partition].keys[i], prefix) != NULL;
    return n;
}

void model_cursor_init(struct model_cursor *c, const struct model *m, size_t prefix,
                       unsigned partition) {
    *c = (struct model_cursor){.m = m, .prefix = prefix, .partition = partition};
}

static bool show(struct model_cursor *c, size_t at) {
    const struct key *k = c->m->parts[c->partition].keys[at];
    const struct version *v = seen(k, c->prefix);
    if (!v)
        return false;
    c->valid = true;
    c->key = lam_slice_of(k->bytes, k->size);
    c->value = lam_slice_of(v->bytes, v->size);
    return true;
}

/* The first row at or after index `at`; the last one before it. */
static void forward(struct model_cursor *c, size_t at) {
    c->valid = false;
    while (at < c->m->parts[c->partition].count && !show(c, at))
        at++;
}

static void backward(struct model_cursor *c, size_t at) {
    c->valid = false;
    while (at > 0 && !show(c, at - 1))
        at--;
}

void model_cursor_first(struct model_cursor *c) {
    forward(c, 0);
}

void model_cursor_last(struct model_cursor *c) {
    backward(c, c->m->parts[c->partition].count);
}

void model_cursor_seek(struct model_cursor *c, struct lam_slice key) {
    forward(c, lower_bound(&c->m->parts[c->partition], key));
}

void model_cursor_seek_for_prev(struct model_cursor *c, struct lam_slice key) {
    const struct part *p = &c->m->parts[c->partition];
    size_t at = lower_bound(p, key);
    if (at < p->count && compare(key, p->keys[at]) == 0)
        at++;
    backward(c, at);
}

void model_cursor_next(struct model_cursor *c) {
    LAM_ASSERT(c->valid);
    /* Keys may have come since. */
    forward(c, lower_bound(&c->m->parts[c->partition], c->key) + 1);
}

void model_cursor_prev(struct model_cursor *c) {
    LAM_ASSERT(c->valid);
    backward(c, lower_bound(&c->m->parts[c->partition], c->key));
}

/* --- comparing ------------------------------------------------------------------------------- */

void model_view_init(struct model_view *v, bool keep) {
    *v = (struct model_view){.keep = keep};
}

void model_view_fini(struct model_view *v) {
    for (size_t i = 0; i < v->kept_count; i++) {
        free((void *)v->kept[i].key.data);
        free((void *)v->kept[i].value.data);
    }
    free(v->kept);
    *v = (struct model_view){0};
}

void model_view_partition(struct model_view *v, unsigned partition) {
    v->exists[partition] = true;
    v->hash = model_hash_add(v->hash, model_hash_partition(partition));
}

void model_view_row(struct model_view *v, unsigned partition, struct lam_slice key,
                    struct lam_slice value) {
    v->hash = model_hash_add(v->hash, model_hash_row(partition, key, value));
    v->rows++;
    if (!v->keep)
        return;
    v->kept = grow(v->kept, &v->kept_capacity, v->kept_count + 1, sizeof *v->kept);
    v->kept[v->kept_count++] = (struct model_row){partition, lam_slice_of(copy(key), key.size),
                                                  lam_slice_of(copy(value), value.size)};
}

bool model_find(const struct model *m, const struct model_view *v, size_t low, size_t high,
                size_t *prefix_out) {
    LAM_ASSERT(low <= high && high <= m->commits);
    for (size_t i = high + 1; i-- > low;)
        if (model_hash_eq(v->hash, m->hashes[i])) {
            *prefix_out = i;
            return true;
        }
    return false;
}

const char *model_text(struct lam_slice bytes) {
    static char texts[4][96];
    static unsigned turn;
    char *out = texts[turn++ % 4];
    size_t n = 0, shown = bytes.size < 24 ? bytes.size : 24;
    for (size_t i = 0; i < shown; i++) {
        uint8_t b = bytes.data[i];
        n += (size_t)(b > ' ' && b < 127 && b != '\\' ? snprintf(out + n, 96 - n, "%c", b)
                                                      : snprintf(out + n, 96 - n, "\\%02x", b));
    }
    if (shown < bytes.size)
        snprintf(out + n, 96 - n, "...(%zu)", bytes.size);
    return out;
}

/* Partitions that only one side has. */
static size_t diff_partitions(const struct model *m, size_t prefix, const struct model_view *v,
                              FILE *out) {
    size_t n = 0;
    for (unsigned p = 0; p < MODEL_PARTITIONS; p++) {
        bool expected = model_exists(m, prefix, p);
        if (expected == v->exists[p])
            continue;
        n++;
        if (out)
            fprintf(out, "  partition %u: %s\n", p, expected ? "missing" : "should not be there");
    }
    return n;
}

/* Rows found that the model has not, or has otherwise; counts those that agree. */
static size_t diff_found(const struct model *m, size_t prefix, const struct model_view *v,
                         FILE *out, size_t *agree) {
    size_t n = 0;
    for (size_t i = 0; i < v->kept_count; i++) {
        const struct model_row *r = &v->kept[i];
        struct lam_slice want;
        bool there = model_get(m, prefix, r->partition, r->key, &want);
        *agree += there;
        if (there && want.size == r->value.size &&
            (want.size == 0 || memcmp(want.data, r->value.data, want.size) == 0))
            continue;
        if (n++ < 8 && out)
            fprintf(out, "  partition %u key %s: found %s, expected %s\n", r->partition,
                    model_text(r->key), model_text(r->value), there ? model_text(want) : "no row");
    }
    return n;
}

static bool was_found(const struct model_view *v, unsigned partition, struct lam_slice key) {
    for (size_t i = 0; i < v->kept_count; i++)
        if (v->kept[i].partition == partition && v->kept[i].key.size == key.size &&
            memcmp(v->kept[i].key.data, key.data, key.size) == 0)
            return true;
    return false;
}

static size_t print_missing(const struct model *m, size_t prefix, const struct model_view *v,
                            FILE *out) {
    size_t n = 0;
    for (unsigned p = 0; p < MODEL_PARTITIONS; p++) {
        struct model_cursor c;
        model_cursor_init(&c, m, prefix, p);
        for (model_cursor_first(&c); c.valid; model_cursor_next(&c))
            if (!was_found(v, p, c.key) && n++ < 8)
                fprintf(out, "  partition %u key %s: missing, expected %s\n", p, model_text(c.key),
                        model_text(c.value));
    }
    return n;
}

size_t model_diff(const struct model *m, size_t prefix, const struct model_view *v, FILE *out) {
    LAM_ASSERT(v->keep);
    size_t agree = 0, rows = 0;
    size_t n = diff_partitions(m, prefix, v, out);
    n += diff_found(m, prefix, v, out, &agree);
    for (unsigned p = 0; p < MODEL_PARTITIONS; p++)
        rows += model_rows(m, prefix, p);
    n += rows > agree ? rows - agree : 0;
    if (out && rows > agree)
        print_missing(m, prefix, v, out);
    return n;
}

size_t model_nearest(const struct model *m, const struct model_view *v, size_t low, size_t high) {
    size_t best = high, fewest = SIZE_MAX;
    for (size_t i = high + 1; i-- > low;) {
        size_t n = model_diff(m, i, v, NULL);
        if (n < fewest) {
            fewest = n;
            best = i;
        }
    }
    return best;
}
