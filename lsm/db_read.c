/* SPDX-License-Identifier: Apache-2.0
 *
 * Point reads. Range tombstones of every source are asked first: `hidden` is the highest sequence
 * they hide of this key. The first version found, newest source first, is the newest; if it is
 * hidden, all older ones are.
 *
 * A lookup is tried inside an epoch, with what is in memory and without a lock or a reference
 * (D8). If a file or block is missing, it goes on outside from that file, where it can read. */
#include "base/assert.h"
#include "base/mem.h"
#include "lsm/art.h"
#include "lsm/db_impl.h"

/* Files of a key whose filters are begun together. */
#define FILES_AHEAD 8u

struct lookup {
    lam_db *db;
    struct epoch_reader *reader; /* whose epoch it began in */
    lam_partition *partition;
    struct lam_slice key;
    uint64_t head; /* key_head of it, with `hash` once files are asked */
    uint64_t hash;
    uint64_t sequence; /* of the read */
    uint64_t hidden;
    struct sst_found found;
    struct file_meta *wants; /* of this file something has to be read first; NULL: nothing */
    bool wants_block;        /* its filter was asked already */
    uint64_t filter_checks;
    uint64_t filter_negatives;
};

static struct sst_found found_in_memtable(const struct entry *e) {
    return (struct sst_found){
        .some = true, .kind = e->kind, .sequence = e->sequence, .value = e->value};
}

static void look_in_memtable(struct lookup *l, const struct memtable *m) {
    struct entry e;
    if (memtable_get(m, l->key, l->sequence, &e))
        l->found = found_in_memtable(&e);
}

/* Files that may hold the key, newest first. */
struct candidates {
    const struct version *version;
    size_t at;      /* next in level 0 */
    uint32_t level; /* next, once level 0 is done */
};

static struct file_meta *next_candidate(struct candidates *c, const struct lookup *l) {
    const struct version_level *l0 = c->version->levels[0];
    while (c->at < l0->count) {
        struct file_meta *f = l0->files[c->at++];
        if (file_meta_spans(f, l->key, l->head))
            return f;
    }
    while (++c->level < c->version->level_count) {
        const struct version_level *level = c->version->levels[c->level];
        struct file_meta *f = level->count ? version_find(level, l->key) : NULL;
        if (f)
            return f;
    }
    return NULL;
}

static bool at_end(const struct candidates *c) {
    return c->at == c->version->levels[0]->count && c->level + 1 >= c->version->level_count;
}

static void prefetch_filter(const struct lookup *l, struct file_meta *f) {
    const struct sst *s = sst_cache_peek(f);
    if (s)
        sst_prefetch_filter(s, l->hash);
}

static bool filter_passes(struct lookup *l, const struct sst *s) {
    bool passes = sst_may_contain(s, l->hash);
    l->filter_checks++;
    l->filter_negatives += !passes;
    return passes;
}

static void want(struct lookup *l, struct file_meta *f, bool block) {
    l->wants = f;
    l->wants_block = block;
}

/* Each filter costs a cache miss: all of them are begun before the first is waited for. */
static void look_in_cached(struct lookup *l, const struct version *v) {
    struct file_meta *ahead[FILES_AHEAD];
    struct candidates c = {v, 0, 0};
    for (bool more = true; more && !l->found.some;) {
        size_t n = 0;
        for (; n < FILES_AHEAD && (ahead[n] = next_candidate(&c, l)); n++)
            prefetch_filter(l, ahead[n]);
        more = n == FILES_AHEAD;
        for (size_t i = 0; i < n && !l->found.some; i++) {
            const struct sst *s = sst_cache_peek(ahead[i]);
            if (s && !filter_passes(l, s))
                continue;
            if (!s || !sst_get_cached(s, l->reader, l->key, l->hash, l->sequence, &l->found)) {
                want(l, ahead[i], s != NULL);
                return;
            }
        }
    }
}

/* From the file on that it wants. `*block_out` holds what was found; owned reference. */
static enum lam_code look_in_files(struct lookup *l, const struct version *v,
                                   struct cached_block **block_out, struct lam_error *err) {
    struct candidates c = {v, 0, 0};
    struct file_meta *f;
    do {
        f = next_candidate(&c, l);
        LAM_ASSERT(f);
    } while (f != l->wants);
    for (bool asked = l->wants_block; f && !l->found.some; f = next_candidate(&c, l)) {
        struct sst *s;
        TRY(sst_cache_get(&l->db->ssts, f, &s, err));
        enum lam_code rc = LAM_OK;
        if (asked || filter_passes(l, s))
            rc = sst_get(s, l->key, l->hash, l->sequence, &l->found, block_out, err);
        sst_unref(s);
        TRY(rc);
        asked = false;
    }
    return LAM_OK;
}

static uint64_t highest_hidden(const struct read_state *s, struct lam_slice key,
                               uint64_t sequence) {
    const struct range_set *ranges = s->version->ranges;
    uint64_t best = ranges ? range_set_upto(ranges, key, sequence) : 0;
    if (s->active) {
        uint64_t upto = memtable_hidden_upto(s->active, key, sequence);
        best = upto > best ? upto : best;
    }
    for (uint32_t i = 0; i < s->sealed_count; i++) {
        uint64_t upto = memtable_hidden_upto(s->sealed[i], key, sequence);
        best = upto > best ? upto : best;
    }
    return best;
}

/* Makes ready what files are asked with. */
static void face_files(struct lookup *l) {
    l->head = key_head(l->key);
    l->hash = sst_key_hash(l->db->key_seed, l->key);
}

/* Inside an epoch. Fills l->found, or l->wants. */
static void look_up(struct lookup *l, const struct read_state *s) {
    l->hidden = highest_hidden(s, l->key, l->sequence);
    if (s->active)
        look_in_memtable(l, s->active);
    for (uint32_t i = 0; i < s->sealed_count && !l->found.some; i++)
        look_in_memtable(l, s->sealed[i]);
    if (l->found.some)
        return;
    face_files(l);
    look_in_cached(l, s->version);
}

/* Where an answer goes: one of them. */
struct answer {
    struct lam_value *value;
    struct lam_pinned *pinned;
};

static enum lam_code copy(struct lam_slice found, struct lam_value *value, struct lam_error *err) {
    if (found.size > 0 && found.size <= value->capacity) {
        memcpy(value->memory, found.data, found.size);
        value->bytes = lam_slice_of(value->memory, found.size);
        return LAM_OK;
    }
    struct buf bytes = {value->memory, 0, value->capacity};
    enum lam_code rc = buf_append_slice(&bytes, found, err);
    value->memory = bytes.data;
    value->capacity = bytes.capacity;
    if (rc == LAM_OK)
        value->bytes = buf_slice(&bytes);
    return rc;
}

/* Takes a reference where that is cheaper than a copy. Nothing holds a memtable: it is large, and
 * a value may be kept for long. */
static enum lam_code pin(const struct lookup *l, struct lam_pinned *p, struct lam_error *err) {
    struct lam_slice found = l->found.value;
    const void *bytes = p->small;
    if (found.size <= sizeof p->small) {
        if (found.size > 0)
            memcpy(p->small, found.data, found.size);
    } else if (l->found.block) {
        db_handle_begin(l->db, DB_PINNED);
        p->db = l->db;
        p->block = sst_block_ref(l->found.block);
        bytes = found.data;
    } else {
        bytes = p->memory = mem_dup(found.data, found.size);
        if (!bytes)
            return mem_fail(err, found.size);
    }
    p->bytes = lam_slice_of(bytes, found.size);
    return LAM_OK;
}

/* Hands over what was found, to an answer that is empty. */
static enum lam_code give(const struct lookup *l, const struct answer *to, struct lam_error *err) {
    if (!l->found.some || l->found.kind != ENTRY_PUT || l->found.sequence <= l->hidden)
        return ERR_TEXT(err, LAM_NOT_FOUND, "no such key");
    return to->pinned ? pin(l, to->pinned, err) : copy(l->found.value, to->value, err);
}

/* Counts lookups once: those that go on outside are counted there. */
struct tally {
    uint64_t gets;
    uint64_t filter_checks;
    uint64_t filter_negatives;
};

static void tally_add(struct tally *t, const struct lookup *l) {
    if (l->wants)
        return;
    t->gets++;
    t->filter_checks += l->filter_checks;
    t->filter_negatives += l->filter_negatives;
}

static void tally_count(const struct tally *t, lam_db *db, lam_partition *p,
                        struct epoch_reader *r) {
    if (t->gets == 0)
        return;
    epoch_count(r, EPOCH_GETS, t->gets);
    epoch_count(r, EPOCH_FILTER_CHECKS, t->filter_checks);
    epoch_count(r, EPOCH_FILTER_NEGATIVES, t->filter_negatives);
    counters_add_gets(&p->counters, &db->epochs, r, t->gets, t->filter_checks, t->filter_negatives);
}

static void count(const struct lookup *l, struct epoch_reader *r) {
    struct tally t = {0};
    tally_add(&t, l);
    tally_count(&t, l->db, l->partition, r);
}

/* Goes on where a file or block is wanted; `s` is held by a reference. */
static enum lam_code get_outside(struct lookup *l, const struct read_state *s,
                                 const struct answer *to, struct lam_error *err) {
    struct cached_block *block = NULL;
    enum lam_code rc = look_in_files(l, s->version, &block, err);
    l->wants = NULL;
    if (rc == LAM_OK)
        rc = give(l, to, err);
    sst_block_unref(block);
    struct epoch_reader *r = epoch_enter(&l->db->epochs);
    count(l, r);
    epoch_leave(&l->db->epochs, r);
    return rc;
}

static enum lam_code dropped(const lam_partition *p, struct lam_error *err) {
    return ERR(err, LAM_NOT_FOUND, "partition \"%s\" is dropped", p->name);
}

static uint64_t sequence_for(lam_db *db, const struct lam_read_options *options) {
    return options && options->snapshot ? options->snapshot->sequence : db_published(db);
}

static enum lam_code get(lam_db *db, const struct lam_read_options *options, lam_partition *p,
                         struct lam_slice key, const struct answer *to, uint64_t *start_ns_out,
                         struct lam_error *err) {
    struct epoch_reader *r = epoch_enter(&db->epochs);
    *start_ns_out = counters_begin_get(db->env, &p->counters, &db->epochs, r);
    struct lookup l = {.db = db, .reader = r, .partition = p, .key = key};
    struct read_state *s = atomic_load(&p->state);
    enum lam_code rc = LAM_OK;
    if (s) {
        l.sequence = sequence_for(db, options); /* D5: after the state */
        look_up(&l, s);
        if (l.wants)
            read_state_ref(s);
        else
            rc = give(&l, to, err);
        count(&l, r);
    }
    epoch_leave(&db->epochs, r);
    if (!s)
        return dropped(p, err);
    if (!l.wants)
        return rc;
    rc = get_outside(&l, s, to, err);
    read_state_unref(s);
    return rc;
}

static enum lam_code check_read(lam_db *db, const struct lam_read_options *options,
                                const lam_partition *partition, const char *call,
                                struct lam_error *err) {
    TRY(db_check_partition(db, partition, call, err));
    if (options && options->snapshot && options->snapshot->db != db)
        return ERR(err, LAM_INVALID, "%s: the snapshot belongs to another database", call);
    return LAM_OK;
}

enum lam_code lam_get(lam_db *db, const struct lam_read_options *options, lam_partition *partition,
                      struct lam_slice key, struct lam_value *value, struct lam_error *err) {
    TRY(check_read(db, options, partition, "lam_get", err));
    TRY(db_check_key(key, err));
    if (!value)
        return ERR(err, LAM_INVALID, "lam_get: value must not be NULL");
    value->bytes = SLICE_EMPTY;
    uint64_t start_ns;
    enum lam_code rc =
        get(db, options, partition, key, &(struct answer){.value = value}, &start_ns, err);
    db_note_latency(db, partition, COUNTERS_GET, start_ns);
    return rc;
}

void lam_value_release(struct lam_value *value) {
    if (!value)
        return;
    mem_free(value->memory);
    memset(value, 0, sizeof *value);
}

static void clear(struct lam_pinned *p) {
    p->bytes = SLICE_EMPTY;
    p->db = NULL;
    p->block = p->memory = NULL;
}

enum lam_code lam_get_pinned(lam_db *db, const struct lam_read_options *options,
                             lam_partition *partition, struct lam_slice key,
                             struct lam_pinned *pinned, struct lam_error *err) {
    if (!pinned)
        return ERR(err, LAM_INVALID, "lam_get_pinned: pinned must not be NULL");
    clear(pinned);
    TRY(check_read(db, options, partition, "lam_get_pinned", err));
    TRY(db_check_key(key, err));
    uint64_t start_ns;
    enum lam_code rc =
        get(db, options, partition, key, &(struct answer){.pinned = pinned}, &start_ns, err);
    db_note_latency(db, partition, COUNTERS_GET, start_ns);
    return rc;
}

void lam_pinned_release(struct lam_pinned *pinned) {
    if (!pinned)
        return;
    mem_free(pinned->memory);
    /* The cache's lock may be held by a thread that the forked child does not have. */
    if (pinned->block && !db_is_foreign(pinned->db)) {
        sst_block_unref(pinned->block);
        db_handle_end(pinned->db, DB_PINNED);
    }
    clear(pinned);
}

/* Keys looked up side by side: enough to have a cache miss of each under way. */
#define MULTI_KEYS 32u
/* Of those so many make a step together. */
#define SIDE_BY_SIDE 8u

/* One key's way through the files. */
struct multi {
    struct lookup l;
    struct candidates candidates;
    struct file_meta *files[FILES_AHEAD]; /* that come next */
    uint8_t at;
    uint8_t count;
    bool done;
    struct sst_probe probe; /* in the file that is looked into in this round */
};

static void stop(struct multi *m, bool block) {
    want(&m->l, m->files[m->at - 1], block);
    m->done = true;
}

/* Finds the next files that may hold the key and fetches their filters' lines. */
static void begin_files(struct multi *m) {
    m->at = m->count = 0;
    while (m->count < FILES_AHEAD && !at_end(&m->candidates)) {
        struct file_meta *f = next_candidate(&m->candidates, &m->l);
        if (!f)
            break;
        prefetch_filter(&m->l, f);
        m->files[m->count++] = f;
    }
    m->done = m->count == 0;
}

/* Whether one of these files is to be looked into: the next one that its filter does not spare. */
static bool ask_filters(struct multi *m) {
    while (m->at < m->count) {
        m->probe.sst = sst_cache_peek(m->files[m->at++]);
        if (!m->probe.sst) {
            stop(m, false);
            return false;
        }
        if (filter_passes(&m->l, m->probe.sst))
            return true;
    }
    return false;
}

/* The steps from there to an entry. Each fetches what the next one looks at. */
static void find_blocks(struct multi *const *of, size_t n) {
    struct sst_probe *probes[SIDE_BY_SIDE];
    for (size_t i = 0; i < n; i++)
        probes[i] = &of[i]->probe;
    sst_probe_index(probes, n, of[0]->l.sequence);
}

static void fetch_blocks(struct multi *const *of, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!sst_probe_block(&of[i]->probe))
            stop(of[i], true);
}

static void fetch_entries(struct multi *const *of, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!of[i]->done)
            sst_probe_entry(&of[i]->probe);
}

static void find_entries(struct multi *const *of, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct lookup *l = &of[i]->l;
        if (of[i]->done)
            continue;
        if (sst_probe_find(&of[i]->probe, l->reader, l->sequence, &l->found))
            of[i]->done = l->found.some;
        else
            stop(of[i], true);
    }
}

static void (*const steps[])(struct multi *const *of, size_t n) = {find_blocks, fetch_blocks,
                                                                   fetch_entries, find_entries};
#define STEPS (sizeof steps / sizeof steps[0])

/* Looks into a file for each. Some keys make a step while what others need for theirs arrives. */
static void look_into(struct multi *const *of, size_t n) {
    for (size_t begun = 0; begun < n + (STEPS - 1) * SIDE_BY_SIDE; begun += SIDE_BY_SIDE) {
        for (size_t step = STEPS; step-- > 0;) {
            size_t at = begun - step * SIDE_BY_SIDE; /* too large: those have not begun */
            if (at < n)
                steps[step](of + at, n - at < SIDE_BY_SIDE ? n - at : SIDE_BY_SIDE);
        }
    }
}

/* The next file for each key that is not done. False: all are done. */
static bool look_in_next_files(struct multi *items, size_t n) {
    struct multi *of[MULTI_KEYS];
    size_t count = 0;
    bool some = false;
    for (size_t i = 0; i < n; i++)
        if (!items[i].done && items[i].at == items[i].count)
            begin_files(&items[i]);
    for (size_t i = 0; i < n; i++) {
        if (items[i].done)
            continue;
        some = true;
        if (ask_filters(&items[i]))
            of[count++] = &items[i];
    }
    look_into(of, count);
    return some;
}

/* A call of lam_multi_get. */
struct multi_get {
    lam_db *db;
    lam_partition *partition;
    struct read_state *state; /* owned reference: one epoch is for one group of keys */
    uint64_t sequence;
    struct multi items[MULTI_KEYS];
};

static void keep_first(enum lam_code *first, enum lam_code rc, struct lam_error *err,
                       const struct lam_error *cause) {
    if (rc == LAM_OK || rc == LAM_NOT_FOUND || *first != LAM_OK)
        return;
    *first = rc;
    if (err)
        *err = *cause;
}

/* Asks a memtable for all keys that are not found yet. */
static void look_in_memtable_for(struct multi_get *g, size_t n, const struct memtable *m) {
    struct art_ask asks[MULTI_KEYS];
    struct multi *of[MULTI_KEYS];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (g->items[i].done)
            continue;
        of[count] = &g->items[i];
        asks[count++].key = g->items[i].l.key;
    }
    memtable_get_many(m, asks, count, g->sequence);
    for (size_t i = 0; i < count; i++) {
        of[i]->done = asks[i].found;
        if (asks[i].found)
            of[i]->l.found = found_in_memtable(&asks[i].entry);
    }
}

/* Up to MULTI_KEYS keys, inside an epoch. */
static void look_up_group(struct multi_get *g, const struct lam_slice *keys, size_t n,
                          struct epoch_reader *r) {
    const struct read_state *s = g->state;
    for (size_t i = 0; i < n; i++) {
        struct multi *m = &g->items[i];
        struct lookup *l = &m->l;
        l->db = g->db;
        l->reader = r;
        l->partition = g->partition;
        l->key = keys[i];
        l->sequence = g->sequence;
        l->hidden = highest_hidden(s, keys[i], g->sequence);
        l->found.some = false;
        l->wants = NULL;
        l->filter_checks = l->filter_negatives = 0;
        m->candidates = (struct candidates){s->version, 0, 0};
        m->at = m->count = 0;
        m->done = false;
    }
    if (s->active)
        look_in_memtable_for(g, n, s->active);
    for (uint32_t i = 0; i < s->sealed_count; i++)
        look_in_memtable_for(g, n, s->sealed[i]);
    for (size_t i = 0; i < n; i++) {
        struct multi *m = &g->items[i];
        if (m->done)
            continue;
        face_files(&m->l);
        m->probe.key = keys[i];
        m->probe.hash = m->l.hash;
    }
    while (look_in_next_files(g->items, n))
        continue;
}

static enum lam_code get_group(struct multi_get *g, const struct lam_slice *keys, size_t n,
                               struct lam_value *values, enum lam_code *codes,
                               struct lam_error *err) {
    enum lam_code first = LAM_OK;
    struct lam_error cause;
    struct tally tally = {0};
    struct epoch_reader *r = epoch_enter(&g->db->epochs);
    look_up_group(g, keys, n, r);
    for (size_t i = 0; i < n; i++) {
        const struct lookup *l = &g->items[i].l;
        values[i].bytes = SLICE_EMPTY;
        tally_add(&tally, l);
        if (l->wants)
            continue;
        codes[i] = give(l, &(struct answer){.value = &values[i]}, &cause);
        keep_first(&first, codes[i], err, &cause);
    }
    tally_count(&tally, g->db, g->partition, r);
    epoch_leave(&g->db->epochs, r);
    for (size_t i = 0; i < n; i++) {
        if (!g->items[i].l.wants)
            continue;
        codes[i] =
            get_outside(&g->items[i].l, g->state, &(struct answer){.value = &values[i]}, &cause);
        keep_first(&first, codes[i], err, &cause);
    }
    return first;
}

static enum lam_code multi_get(lam_db *db, const struct lam_read_options *options, lam_partition *p,
                               const struct lam_slice *keys, size_t n, struct lam_value *values,
                               enum lam_code *codes, struct lam_error *err) {
    struct multi_get g;
    g.db = db;
    g.partition = p;
    TRY(db_read_begin(db, p, options ? options->snapshot : NULL, &g.state, &g.sequence, err));
    enum lam_code first = LAM_OK;
    struct lam_error cause;
    for (size_t at = 0; at < n; at += MULTI_KEYS) {
        size_t some = n - at < MULTI_KEYS ? n - at : MULTI_KEYS;
        enum lam_code rc = get_group(&g, keys + at, some, values + at, codes + at, &cause);
        keep_first(&first, rc, err, &cause);
    }
    read_state_unref(g.state);
    return first;
}

enum lam_code lam_multi_get(lam_db *db, const struct lam_read_options *options,
                            lam_partition *partition, const struct lam_slice *keys, size_t count,
                            struct lam_value *values, enum lam_code *codes, struct lam_error *err) {
    TRY(check_read(db, options, partition, "lam_multi_get", err));
    if (count > 0 && (!keys || !values || !codes))
        return ERR(err, LAM_INVALID, "lam_multi_get: keys, values and codes must not be NULL");
    for (size_t i = 0; i < count; i++)
        TRY(db_check_key(keys[i], err));
    return multi_get(db, options, partition, keys, count, values, codes, err);
}
