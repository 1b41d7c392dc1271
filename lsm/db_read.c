/* SPDX-License-Identifier: Apache-2.0
 *
 * Point reads. Range tombstones of every source are asked first: `hidden` is the highest sequence
 * they hide of this key. The first version found, newest source first, is the newest; if it is
 * hidden, all older ones are.
 *
 * A lookup is tried inside an epoch, with what is in memory and without a lock or a reference
 * (D8). If a file or block is missing, it is done again outside, where it can read. */
#include "base/assert.h"
#include "base/mem.h"
#include "lsm/art.h"
#include "lsm/db_impl.h"

/* Filters whose lines are fetched ahead of their use. */
#define FILTERS_AHEAD 16u

struct lookup {
    lam_db *db;
    struct epoch_reader *reader; /* NULL: outside of an epoch */
    lam_partition *partition;
    struct lam_slice key;
    uint64_t hash;
    uint64_t sequence; /* of the read */
    uint64_t hidden;
    struct sst_found found;
    struct cached_block *block; /* holds found.value when outside of an epoch; owned reference */
    bool incomplete;            /* inside: something has to be read first */
    uint64_t filter_checks;
    uint64_t filter_negatives;
};

static void look_in_memtable(struct lookup *l, const struct memtable *m) {
    struct entry e;
    if (!memtable_get(m, l->key, l->sequence, &e))
        return;
    l->found = (struct sst_found){true, e.kind, e.sequence, e.value};
}

/* --- files ---------------------------------------------------------------------------------- */

/* Files that may hold the key, newest first. */
struct candidates {
    const struct version *version;
    size_t at;      /* next in level 0 */
    uint32_t level; /* next, once level 0 is done */
};

static struct file_meta *next_candidate(struct candidates *c, struct lam_slice key) {
    const struct version_level *l0 = &c->version->levels[0];
    while (c->at < l0->count) {
        struct file_meta *f = l0->files[c->at++];
        if (file_meta_overlaps(f, key, key, false))
            return f;
    }
    while (++c->level < VERSION_LEVELS) {
        const struct version_level *level = &c->version->levels[c->level];
        struct file_meta *f = level->count ? version_find(level, key) : NULL;
        if (f)
            return f;
    }
    return NULL;
}

static bool filter_passes(struct lookup *l, const struct sst *s) {
    bool passes = sst_may_contain(s, l->hash);
    l->filter_checks++;
    l->filter_negatives += !passes;
    return passes;
}

/* Each filter costs a cache miss: all of them are begun before the first is waited for. */
static void look_in_cached(struct lookup *l, const struct version *v) {
    struct sst *ahead[FILTERS_AHEAD];
    struct candidates c = {v, 0, 0};
    for (bool more = true; more && !l->found.some;) {
        size_t n = 0;
        while (n < FILTERS_AHEAD) {
            struct file_meta *f = next_candidate(&c, l->key);
            more = f != NULL;
            if (!more)
                break;
            ahead[n] = sst_cache_peek(f);
            if (ahead[n])
                sst_prefetch_filter(ahead[n], l->hash);
            n++;
        }
        for (size_t i = 0; i < n && !l->found.some; i++) {
            if (ahead[i] && !filter_passes(l, ahead[i]))
                continue;
            if (!ahead[i] ||
                !sst_get_cached(ahead[i], l->reader, l->key, l->hash, l->sequence, &l->found)) {
                l->incomplete = true;
                return;
            }
        }
    }
}

static enum lam_code look_in_files(struct lookup *l, const struct version *v,
                                   struct lam_error *err) {
    struct candidates c = {v, 0, 0};
    for (struct file_meta *f; !l->found.some && (f = next_candidate(&c, l->key));) {
        struct sst *s;
        TRY(sst_cache_get(&l->db->ssts, f, &s, err));
        enum lam_code rc = LAM_OK;
        if (filter_passes(l, s))
            rc = sst_get(s, l->key, l->hash, l->sequence, &l->found, &l->block, err);
        sst_unref(s);
        TRY(rc);
    }
    return LAM_OK;
}

/* --- one key -------------------------------------------------------------------------------- */

static uint64_t highest_hidden(const struct read_state *s, struct lam_slice key,
                               uint64_t sequence) {
    uint64_t best = range_set_upto(s->version->ranges, key, sequence);
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

/* What comes before the files. */
static void look_in_memory(struct lookup *l, const struct read_state *s) {
    l->hidden = highest_hidden(s, l->key, l->sequence);
    if (s->active)
        look_in_memtable(l, s->active);
    for (uint32_t i = 0; i < s->sealed_count && !l->found.some; i++)
        look_in_memtable(l, s->sealed[i]);
    if (!l->found.some)
        l->hash = sst_key_hash(l->db->key_seed, l->key);
}

/* Fills l->found unless l->incomplete. */
static enum lam_code look_up(struct lookup *l, const struct read_state *s, struct lam_error *err) {
    look_in_memory(l, s);
    if (l->found.some)
        return LAM_OK;
    if (!l->reader)
        return look_in_files(l, s->version, err);
    look_in_cached(l, s->version);
    return LAM_OK;
}

/* Copies what was found. An empty value stays empty unless the result is OK. */
static enum lam_code give(const struct lookup *l, struct lam_value *value, struct lam_error *err) {
    value->bytes = SLICE_EMPTY;
    if (!l->found.some || l->found.kind != ENTRY_PUT || l->found.sequence <= l->hidden)
        return ERR_TEXT(err, LAM_NOT_FOUND, "no such key");
    struct buf bytes = {value->memory, 0, value->capacity};
    enum lam_code rc = buf_append_slice(&bytes, l->found.value, err);
    value->memory = bytes.data;
    value->capacity = bytes.capacity;
    if (rc == LAM_OK)
        value->bytes = buf_slice(&bytes);
    return rc;
}

/* Counts lookups once: those that have to be done again are counted then. */
struct tally {
    uint64_t gets;
    uint64_t filter_checks;
    uint64_t filter_negatives;
};

static void tally_add(struct tally *t, const struct lookup *l) {
    if (l->incomplete)
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

/* Again, reading what is not in memory; `s` is held by a reference. */
static enum lam_code get_outside(lam_db *db, lam_partition *p, const struct read_state *s,
                                 struct lam_slice key, uint64_t sequence, struct lam_value *value,
                                 struct lam_error *err) {
    struct lookup l = {.db = db, .partition = p, .key = key, .sequence = sequence};
    enum lam_code rc = look_up(&l, s, err);
    if (rc == LAM_OK)
        rc = give(&l, value, err);
    else
        value->bytes = SLICE_EMPTY;
    sst_block_unref(l.block);
    struct epoch_reader *r = epoch_enter(&db->epochs);
    count(&l, r);
    epoch_leave(&db->epochs, r);
    return rc;
}

static enum lam_code dropped(const lam_partition *p, struct lam_error *err) {
    return ERR(err, LAM_NOT_FOUND, "partition \"%s\" is dropped", p->name);
}

static uint64_t sequence_for(lam_db *db, const struct lam_read_options *options) {
    return options && options->snapshot ? options->snapshot->sequence : db_published(db);
}

static enum lam_code get(lam_db *db, const struct lam_read_options *options, lam_partition *p,
                         struct lam_slice key, struct lam_value *value, uint64_t *start_ns_out,
                         struct lam_error *err) {
    struct epoch_reader *r = epoch_enter(&db->epochs);
    *start_ns_out = counters_begin_get(db->env, &p->counters, &db->epochs, r);
    struct lookup l = {.db = db, .reader = r, .partition = p, .key = key};
    struct read_state *s = atomic_load(&p->state);
    enum lam_code rc = LAM_OK;
    if (s) {
        l.sequence = sequence_for(db, options); /* D5: after the state */
        rc = look_up(&l, s, err);
        LAM_ASSERT(rc == LAM_OK);
        if (l.incomplete)
            read_state_ref(s);
        else
            rc = give(&l, value, err);
        count(&l, r);
    }
    epoch_leave(&db->epochs, r);
    if (!s)
        return dropped(p, err);
    if (!l.incomplete)
        return rc;
    rc = get_outside(db, p, s, key, l.sequence, value, err);
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
    uint64_t start_ns;
    enum lam_code rc = get(db, options, partition, key, value, &start_ns, err);
    db_note_latency(db, partition, COUNTERS_GET, start_ns);
    return rc;
}

void lam_value_release(struct lam_value *value) {
    if (!value)
        return;
    mem_free(value->memory);
    memset(value, 0, sizeof *value);
}

/* --- many keys ------------------------------------------------------------------------------ */

/* Keys looked up side by side: enough to have a cache miss of each under way. */
#define MULTI_KEYS 32u

/* One key's way through the files. */
struct multi {
    struct lookup l;
    struct candidates candidates;
    const struct sst *sst; /* looked into in this round; NULL: the filter spared it, or done */
    struct sst_probe probe;
    bool done;
};

static void stop(struct multi *m, bool incomplete) {
    m->l.incomplete = incomplete;
    m->sst = NULL;
    m->done = true;
}

/* Moves to the next file that may hold the key and fetches the filter's line. */
static void begin_file(struct multi *m) {
    struct file_meta *f = next_candidate(&m->candidates, m->l.key);
    m->sst = f ? sst_cache_peek(f) : NULL;
    if (m->sst)
        sst_prefetch_filter(m->sst, m->l.hash);
    else
        stop(m, f != NULL);
}

static void ask_filter(struct multi *m) {
    if (filter_passes(&m->l, m->sst))
        sst_probe_index(m->sst, m->l.key, m->l.sequence, &m->probe);
    else
        m->sst = NULL;
}

static void find_block(struct multi *m) {
    if (!sst_probe_block(m->sst, &m->probe))
        stop(m, true);
}

static void find_entry(struct multi *m) {
    struct lookup *l = &m->l;
    if (!sst_probe_find(m->sst, &m->probe, l->reader, l->key, l->hash, l->sequence, &l->found))
        stop(m, true);
    else
        m->done = l->found.some;
    m->sst = NULL;
}

/* One file for each key that is not done. All keys make a step before any makes the next, so that
 * what a step needs has been fetched meanwhile. False: all are done. */
static bool look_in_next_files(struct multi *items, size_t n) {
    bool some = false;
    for (size_t i = 0; i < n; i++)
        if (!items[i].done) {
            begin_file(&items[i]);
            some = true;
        }
    for (size_t i = 0; i < n; i++)
        if (items[i].sst)
            ask_filter(&items[i]);
    for (size_t i = 0; i < n; i++)
        if (items[i].sst)
            find_block(&items[i]);
    for (size_t i = 0; i < n; i++)
        if (items[i].sst)
            sst_probe_entry(&items[i].probe, items[i].l.hash);
    for (size_t i = 0; i < n; i++)
        if (items[i].sst)
            find_entry(&items[i]);
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
        const struct entry *e = &asks[i].entry;
        of[i]->done = asks[i].found;
        if (asks[i].found)
            of[i]->l.found = (struct sst_found){true, e->kind, e->sequence, e->value};
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
        l->incomplete = false;
        l->filter_checks = l->filter_negatives = 0;
        m->candidates = (struct candidates){s->version, 0, 0};
        m->sst = NULL;
        m->done = false;
    }
    if (s->active)
        look_in_memtable_for(g, n, s->active);
    for (uint32_t i = 0; i < s->sealed_count; i++)
        look_in_memtable_for(g, n, s->sealed[i]);
    for (size_t i = 0; i < n; i++)
        if (!g->items[i].done)
            g->items[i].l.hash = sst_key_hash(g->db->key_seed, keys[i]);
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
        tally_add(&tally, &g->items[i].l);
        if (g->items[i].l.incomplete)
            continue;
        codes[i] = give(&g->items[i].l, &values[i], &cause);
        keep_first(&first, codes[i], err, &cause);
    }
    tally_count(&tally, g->db, g->partition, r);
    epoch_leave(&g->db->epochs, r);
    for (size_t i = 0; i < n; i++) {
        if (!g->items[i].l.incomplete)
            continue;
        codes[i] =
            get_outside(g->db, g->partition, g->state, keys[i], g->sequence, &values[i], &cause);
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
