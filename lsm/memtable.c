/* SPDX-License-Identifier: Apache-2.0
 *
 * Range tombstones stand in blocks of doubling size, so that they never move. A reader looks them
 * up in immutable sets over runs of them, plus a short tail not yet in a set. Runs merge like the
 * digits of a binary counter, so there are O(log n) of them and all sets ever built take
 * O(n log n) memory; superseded ones live until the memtable dies, since readers may hold them. */
#include "lsm/memtable.h"

#include "base/assert.h"
#include "base/mem.h"
#include "lsm/art.h"
#include "lsm/pool.h"
#include "lsm/range_set.h"

#define RANGE_BLOCK_FIRST 32u
#define RANGE_BLOCKS      24u
#define RANGE_TAIL        32u
#define RANGE_RUNS_MAX    32u

/* Sets over tombstones [starts[i], starts[i+1]); immutable once published. */
struct range_runs {
    struct range_runs *older; /* superseded, kept for readers; owned */
    struct range_set *built;  /* the one set made with this; owned */
    uint32_t count;
    uint32_t covered; /* tombstones in the sets */
    const struct range_set *sets[RANGE_RUNS_MAX];
    uint32_t starts[RANGE_RUNS_MAX];
};

struct memtable {
    _Atomic uint32_t refs;
    struct pool pool; /* the writer's */
    struct art entries;
    _Atomic size_t bytes; /* of pool and sets; written by the writer */
    _Atomic uint32_t entry_count;
    _Atomic uint64_t passed; /* by iterators; a count to go by */
    /* Written by the writer: block, then count with release; readers acquire the count. */
    struct range_tombstone *range_blocks[RANGE_BLOCKS];
    _Atomic uint32_t range_count;
    _Atomic(struct range_runs *) runs; /* release by the writer, acquire by readers */
};

enum lam_code memtable_new(struct memtable **out, struct lam_error *err) {
    struct memtable *m = mem_calloc(1, sizeof *m);
    if (!m)
        return mem_fail(err, sizeof *m);
    atomic_init(&m->refs, 1);
    art_init(&m->entries, &m->pool);
    atomic_init(&m->bytes, sizeof *m);
    *out = m;
    return LAM_OK;
}

struct memtable *memtable_ref(struct memtable *m) {
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void memtable_unref(struct memtable *m) {
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct range_runs *r = atomic_load_explicit(&m->runs, memory_order_relaxed);
    while (r) {
        struct range_runs *older = r->older;
        range_set_free(r->built);
        mem_free(r);
        r = older;
    }
    for (uint32_t i = 0; i < RANGE_BLOCKS; i++)
        mem_free(m->range_blocks[i]);
    pool_fini(&m->pool);
    mem_free(m);
}

size_t memtable_put_bound(size_t key_size, size_t value_size) {
    return art_put_bound(key_size, value_size);
}

size_t memtable_range_bound(size_t from_size, size_t to_size) {
    return from_size + to_size + 16 + sizeof(struct range_tombstone);
}

/* Block and place in it of tombstone `index`. */
static uint32_t range_place(uint32_t index, uint32_t *block_out) {
    uint32_t block = 31u - (uint32_t)__builtin_clz(index / RANGE_BLOCK_FIRST + 1);
    *block_out = block;
    return index - RANGE_BLOCK_FIRST * ((1u << block) - 1);
}

/* Every range takes at least sizeof(struct range_tombstone) of the bound, so `bytes` limits how
 * many can come. */
static enum lam_code reserve_ranges(struct memtable *m, size_t bytes, struct lam_error *err) {
    uint32_t have = atomic_load_explicit(&m->range_count, memory_order_relaxed);
    size_t more = bytes / sizeof(struct range_tombstone);
    uint32_t block;
    if (have + more >= RANGE_BLOCK_FIRST * ((1ull << RANGE_BLOCKS) - 1))
        return ERR(err, LAM_LIMIT, "memtable: %u range tombstones are too many", have);
    range_place((uint32_t)(have + more), &block);
    for (uint32_t i = 0; i <= block; i++) {
        if (m->range_blocks[i])
            continue;
        size_t n = (size_t)RANGE_BLOCK_FIRST << i;
        m->range_blocks[i] = mem_calloc(n, sizeof(struct range_tombstone));
        if (!m->range_blocks[i])
            return mem_fail(err, n * sizeof(struct range_tombstone));
        atomic_fetch_add_explicit(&m->bytes, n * sizeof(struct range_tombstone),
                                  memory_order_relaxed);
    }
    return LAM_OK;
}

enum lam_code memtable_reserve(struct memtable *m, size_t bytes, size_t range_bytes,
                               struct lam_error *err) {
    size_t before = m->pool.bytes;
    TRY(art_reserve(&m->entries, bytes, range_bytes, err));
    atomic_fetch_add_explicit(&m->bytes, m->pool.bytes - before, memory_order_relaxed);
    return range_bytes ? reserve_ranges(m, range_bytes, err) : LAM_OK;
}

void memtable_insert(struct memtable *m, const struct entry *e) {
    LAM_ASSERT(e->kind == ENTRY_PUT || e->kind == ENTRY_DELETE);
    if (art_insert(&m->entries, e))
        atomic_fetch_add_explicit(&m->entry_count, 1, memory_order_relaxed);
}

static struct lam_slice copy_slice(struct memtable *m, struct lam_slice s) {
    if (s.size == 0)
        return SLICE_EMPTY;
    uint8_t *data = pool_take(&m->pool, s.size);
    memcpy(data, s.data, s.size);
    return lam_slice_of(data, s.size);
}

/* Puts the tail into a set, merged with the runs before it that are no longer than it. Failing is
 * harmless: the tail stays a tail and the next tombstone tries again. */
static enum lam_code extend_runs(struct memtable *m, uint32_t total) {
    struct range_runs *old = atomic_load_explicit(&m->runs, memory_order_relaxed);
    struct range_runs *r = mem_calloc(1, sizeof *r);
    if (!r)
        return LAM_NO_MEMORY;
    uint32_t start = old ? old->covered : 0;
    uint32_t keep = old ? old->count : 0;
    while (keep > 0 && start - old->starts[keep - 1] <= total - start)
        start = old->starts[--keep];
    LAM_ASSERT(keep < RANGE_RUNS_MAX);
    for (uint32_t i = 0; i < keep; i++) {
        r->sets[i] = old->sets[i];
        r->starts[i] = old->starts[i];
    }
    size_t n = total - start;
    struct range_tombstone *items = mem_calloc(n, sizeof *items);
    enum lam_code rc = LAM_NO_MEMORY;
    if (items) {
        for (size_t i = 0; i < n; i++)
            items[i] = *memtable_range(m, start + (uint32_t)i);
        rc = range_set_new(items, n, &r->built, NULL);
    }
    mem_free(items);
    if (rc != LAM_OK) {
        mem_free(r);
        return rc;
    }
    r->sets[keep] = r->built;
    r->starts[keep] = start;
    r->count = keep + 1;
    r->covered = total;
    r->older = old;
    atomic_fetch_add_explicit(&m->bytes, n * 2 * sizeof(struct range_tombstone),
                              memory_order_relaxed);
    atomic_store_explicit(&m->runs, r, memory_order_release);
    return LAM_OK;
}

void memtable_insert_range(struct memtable *m, const struct range_tombstone *t) {
    uint32_t index = atomic_load_explicit(&m->range_count, memory_order_relaxed);
    uint32_t block, place = range_place(index, &block);
    LAM_ASSERT(block < RANGE_BLOCKS && m->range_blocks[block]);
    struct range_tombstone *slot = &m->range_blocks[block][place];
    slot->from = copy_slice(m, t->from);
    slot->to = copy_slice(m, t->to);
    slot->upto = t->upto;
    slot->sequence = t->sequence;
    /* Pairs with the acquire load in memtable_range_count. */
    atomic_store_explicit(&m->range_count, index + 1, memory_order_release);
    struct range_runs *r = atomic_load_explicit(&m->runs, memory_order_relaxed);
    if (index + 1 - (r ? r->covered : 0) >= RANGE_TAIL)
        IGNORE(extend_runs(m, index + 1), "a longer tail is only slower");
}

size_t memtable_bytes(const struct memtable *m) {
    return atomic_load_explicit(&m->bytes, memory_order_relaxed);
}

uint32_t memtable_entries(const struct memtable *m) {
    return atomic_load_explicit(&m->entry_count, memory_order_relaxed);
}

uint64_t memtable_passed(const struct memtable *m) {
    return atomic_load_explicit(&m->passed, memory_order_relaxed);
}

bool memtable_get(const struct memtable *m, struct lam_slice key, uint64_t snapshot,
                  struct entry *out) {
    return art_get(&m->entries, key, snapshot, out);
}

void memtable_get_many(const struct memtable *m, struct art_ask *asks, size_t n,
                       uint64_t snapshot) {
    art_get_many(&m->entries, asks, n, snapshot);
}

uint32_t memtable_range_count(const struct memtable *m) {
    return atomic_load_explicit(&m->range_count, memory_order_acquire);
}

const struct range_tombstone *memtable_range(const struct memtable *m, uint32_t index) {
    uint32_t block, place = range_place(index, &block);
    return &m->range_blocks[block][place];
}

uint64_t memtable_hidden_upto(const struct memtable *m, struct lam_slice key, uint64_t snapshot) {
    uint32_t count = memtable_range_count(m);
    if (count == 0)
        return 0;
    uint64_t best = 0;
    const struct range_runs *r = atomic_load_explicit(&m->runs, memory_order_acquire);
    for (uint32_t i = 0; r && i < r->count; i++) {
        uint64_t upto = range_set_upto(r->sets[i], key, snapshot);
        best = upto > best ? upto : best;
    }
    for (uint32_t i = r ? r->covered : 0; i < count; i++) {
        const struct range_tombstone *t = memtable_range(m, i);
        if (t->sequence <= snapshot && t->upto > best && range_tombstone_covers(t, key))
            best = t->upto;
    }
    return best;
}

uint64_t memtable_newest_range(const struct memtable *m, struct lam_slice key) {
    /* In commit order, so the last one that covers the key; the tail first. */
    uint32_t count = memtable_range_count(m);
    if (count == 0)
        return 0;
    const struct range_runs *r = atomic_load_explicit(&m->runs, memory_order_acquire);
    for (uint32_t i = count, covered = r ? r->covered : 0; i > covered; i--) {
        const struct range_tombstone *t = memtable_range(m, i - 1);
        if (range_tombstone_covers(t, key))
            return t->sequence;
    }
    uint64_t best = 0;
    for (uint32_t i = r ? r->count : 0; i-- > 0 && best == 0;)
        best = range_set_newest(r->sets[i], key);
    return best;
}

uint64_t memtable_cover(const struct memtable *m, struct lam_slice key, uint64_t snapshot,
                        struct range_cover *out) {
    uint32_t count = memtable_range_count(m);
    uint64_t best = 0;
    struct range_cover cover;
    const struct range_runs *r = atomic_load_explicit(&m->runs, memory_order_acquire);
    for (uint32_t i = 0; r && i < r->count; i++)
        if (range_set_cover(r->sets[i], key, snapshot, &cover) > best) {
            best = cover.upto;
            *out = cover;
        }
    for (uint32_t i = r ? r->covered : 0; i < count; i++) {
        const struct range_tombstone *t = memtable_range(m, i);
        if (t->sequence <= snapshot && t->upto > best && range_tombstone_covers(t, key)) {
            best = t->upto;
            *out = (struct range_cover){t->from, t->to, t->upto};
        }
    }
    return best;
}

struct memtable_iter {
    struct cursor_iter base;
    struct memtable *memtable; /* owned reference; NULL: borrowed */
    struct art_iter at;
};

static struct art_iter *place_of(struct cursor_iter *it) {
    return &((struct memtable_iter *)it)->at;
}

static void show(struct cursor_iter *it, bool valid) {
    it->valid = valid;
    if (valid)
        art_iter_entry(place_of(it), &it->entry);
}

static void iter_seek_first(struct cursor_iter *it) {
    show(it, art_iter_first(place_of(it)));
}

static void iter_seek_last(struct cursor_iter *it) {
    show(it, art_iter_last(place_of(it)));
}

static void iter_seek(struct cursor_iter *it, struct lam_slice key, uint64_t sequence) {
    show(it, art_iter_seek(place_of(it), key, sequence));
}

static void iter_seek_before(struct cursor_iter *it, struct lam_slice key, uint64_t sequence) {
    show(it, art_iter_before(place_of(it), key, sequence));
}

static void iter_next(struct cursor_iter *it) {
    show(it, art_iter_next(place_of(it)));
}

static void iter_prev(struct cursor_iter *it) {
    show(it, art_iter_prev(place_of(it)));
}

static void iter_next_key(struct cursor_iter *it) {
    show(it, art_iter_next_key(place_of(it)));
}

static bool iter_is_newest(const struct cursor_iter *it) {
    return art_iter_is_newest(&((const struct memtable_iter *)it)->at);
}

static void iter_free(struct cursor_iter *it) {
    memtable_unref(((struct memtable_iter *)it)->memtable);
    if (!it->embedded)
        mem_free(it);
}

static const struct iter_ops memtable_iter_ops = {
    .seek_first = iter_seek_first,
    .seek_last = iter_seek_last,
    .seek = iter_seek,
    .seek_before = iter_seek_before,
    .next = iter_next,
    .prev = iter_prev,
    .next_key = iter_next_key,
    .is_newest = iter_is_newest,
    .free = iter_free,
};

size_t memtable_iter_bytes(void) {
    return sizeof(struct memtable_iter);
}

struct cursor_iter *memtable_iter_init(void *at, struct memtable *m) {
    struct memtable_iter *it = at;
    cursor_iter_init(&it->base, &memtable_iter_ops);
    it->base.passed = &m->passed;
    it->base.embedded = true;
    it->memtable = NULL;
    art_iter_init(&it->at, &m->entries);
    return &it->base;
}

enum lam_code memtable_iter_new(struct memtable *m, struct cursor_iter **it_out,
                                struct lam_error *err) {
    struct memtable_iter *it = mem_alloc(sizeof *it);
    if (!it)
        return mem_fail(err, sizeof *it);
    *it_out = memtable_iter_init(it, m);
    it->base.embedded = false;
    it->memtable = memtable_ref(m);
    return LAM_OK;
}
