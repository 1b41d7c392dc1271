/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks for changes source by source: memtables, then files that hold anything late enough. */
#include "lsm/conflict.h"

#include <stdio.h>

#include "base/mem.h"

/* Bytes of a key that a message shows. */
#define SHOWN_BYTES 32u

struct search {
    lam_db *db;
    const lam_partition *partition;
    const struct read_state *state;
    enum conflict_scope scope;
    uint64_t after;
};

static void show_key(struct lam_slice key, char out[4 * SHOWN_BYTES + 4]) {
    char *at = out;
    for (size_t i = 0; i < key.size && i < SHOWN_BYTES; i++) {
        uint8_t c = key.data[i];
        if (c >= 0x20 && c < 0x7f && c != '\\' && c != '"')
            *at++ = (char)c;
        else
            at += snprintf(at, 5, "\\x%02x", c);
    }
    memcpy(at, key.size > SHOWN_BYTES ? "..." : "", key.size > SHOWN_BYTES ? 4 : 1);
}

/* A version, or a range tombstone over `key`, of `sequence`. */
static enum lam_code weigh(const struct search *s, struct lam_slice key, uint64_t sequence,
                           struct lam_error *err) {
    if (sequence <= s->after)
        return LAM_OK;
    char shown[4 * SHOWN_BYTES + 4];
    show_key(key, shown);
    return ERR(err, LAM_CONFLICT,
               "key \"%s\" of partition \"%s\" was changed by another commit (sequence %llu, after "
               "%llu)",
               shown, s->partition->name, (unsigned long long)sequence,
               (unsigned long long)s->after);
}

static enum lam_code weigh_in_memtable(const struct search *s, const struct memtable *m,
                                       struct lam_slice key, struct lam_error *err) {
    struct entry e;
    if (!m)
        return LAM_OK;
    if (memtable_get(m, key, LAM_SEQUENCE_MAX, &e))
        TRY(weigh(s, key, e.sequence, err));
    return weigh(s, key, memtable_newest_range(m, key), err);
}

static bool is_late(const struct search *s, const struct file_meta *f) {
    return f->properties.sequence_max > s->after;
}

static enum lam_code weigh_in_file(struct search *s, struct file_meta *f, struct lam_slice key,
                                   struct lam_error *err) {
    OWNED(sst_unref_at) struct sst *sst = NULL;
    struct sst_found found = {0};
    struct cached_block *block = NULL;
    uint64_t hash = sst_key_hash(s->db->key_seed, key);
    if (!is_late(s, f) || !file_meta_overlaps(f, key, key, false))
        return LAM_OK;
    TRY(sst_cache_get(&s->db->ssts, f, &sst, err));
    if (!sst_may_contain(sst, hash))
        return LAM_OK;
    enum lam_code rc = sst_get(sst, key, hash, LAM_SEQUENCE_MAX, &found, &block, err);
    sst_block_unref(block);
    TRY(rc);
    return found.some ? weigh(s, key, found.sequence, err) : LAM_OK;
}

static enum lam_code check_key(struct search *s, struct lam_slice key, struct lam_error *err) {
    TRY(weigh_in_memtable(s, s->state->active, key, err));
    for (uint32_t i = 0; i < s->state->sealed_count; i++)
        TRY(weigh_in_memtable(s, s->state->sealed[i], key, err));
    if (s->scope == CONFLICT_MEMORY)
        return LAM_OK;
    const struct version *v = s->state->version;
    TRY(weigh(s, key, range_set_newest(v->ranges, key), err));
    for (size_t i = 0; i < v->levels[0]->count; i++)
        TRY(weigh_in_file(s, v->levels[0]->files[i], key, err));
    for (uint32_t level = 1; level < VERSION_LEVELS; level++) {
        struct file_meta *f =
            v->levels[level]->count > 0 ? version_find(v->levels[level], key) : NULL;
        if (f)
            TRY(weigh_in_file(s, f, key, err));
    }
    return LAM_OK;
}

/* Takes over `it`. */
static enum lam_code scan(struct search *s, struct cursor_iter *it,
                          const struct range_tombstone *range, struct lam_error *err) {
    for (it->ops->seek(it, range->from, LAM_SEQUENCE_MAX);
         it->valid && range_tombstone_covers(range, it->entry.key); it->ops->next(it))
        TRY(weigh(s, it->entry.key, it->entry.sequence, err));
    return cursor_iter_status(it, err);
}

/* The later of two beginnings, if the ranges share a key. */
static enum lam_code weigh_overlap(const struct search *s, const struct range_tombstone *range,
                                   const struct range_tombstone *t, struct lam_error *err) {
    struct lam_slice from = slice_cmp(range->from, t->from) < 0 ? t->from : range->from;
    if (!range_tombstone_covers(range, from) || !range_tombstone_covers(t, from))
        return LAM_OK;
    return weigh(s, from, t->sequence, err);
}

static enum lam_code scan_memtable(struct search *s, struct memtable *m,
                                   const struct range_tombstone *range, struct lam_error *err) {
    if (!m)
        return LAM_OK;
    for (uint32_t i = memtable_range_count(m); i-- > 0;) {
        const struct range_tombstone *t = memtable_range(m, i);
        if (t->sequence <= s->after)
            break; /* they stand in commit order */
        TRY(weigh_overlap(s, range, t, err));
    }
    OWNED(cursor_iter_drop) struct cursor_iter *it = NULL;
    TRY(memtable_iter_new(m, &it, err));
    return scan(s, it, range, err);
}

static enum lam_code scan_file(struct search *s, struct file_meta *f,
                               const struct range_tombstone *range, struct lam_error *err) {
    OWNED(sst_unref_at) struct sst *sst = NULL;
    OWNED(cursor_iter_drop) struct cursor_iter *it = NULL;
    if (!is_late(s, f) || !file_meta_overlaps(f, range->from, range->to, range->to.size == 0))
        return LAM_OK;
    TRY(sst_cache_get(&s->db->ssts, f, &sst, err));
    TRY(sst_iter_new(sst, false, &it, err));
    return scan(s, it, range, err);
}

static enum lam_code check_range(struct search *s, const struct range_tombstone *range,
                                 struct lam_error *err) {
    TRY(scan_memtable(s, s->state->active, range, err));
    for (uint32_t i = 0; i < s->state->sealed_count; i++)
        TRY(scan_memtable(s, s->state->sealed[i], range, err));
    if (s->scope == CONFLICT_MEMORY)
        return LAM_OK;
    const struct version *v = s->state->version;
    size_t count;
    const struct range_tombstone *items = range_set_items(v->ranges, &count);
    while (count-- > 0 && items[count].sequence > s->after)
        TRY(weigh_overlap(s, range, &items[count], err));
    for (uint32_t level = 0; level < VERSION_LEVELS; level++)
        for (size_t i = 0; i < v->levels[level]->count; i++)
            TRY(scan_file(s, v->levels[level]->files[i], range, err));
    return LAM_OK;
}

/* -------------------------------------------------------------------------------------------- */

static enum lam_code check_keys(struct search *s, struct memtable *index, struct lam_error *err) {
    OWNED(cursor_iter_drop) struct cursor_iter *it = NULL;
    struct lam_slice last = SLICE_EMPTY;
    TRY(memtable_iter_new(index, &it, err));
    for (it->ops->seek_first(it); it->valid; it->ops->next(it)) {
        if (last.size && slice_eq(last, it->entry.key))
            continue; /* written more than once */
        last = it->entry.key;
        TRY(check_key(s, last, err));
    }
    return LAM_OK;
}

enum lam_code conflict_check(lam_db *db, const struct batch_partition *touched,
                             const struct read_state *state, enum conflict_scope scope,
                             uint64_t after, struct lam_error *err) {
    struct search s = {
        .db = db, .partition = touched->partition, .state = state, .scope = scope, .after = after};
    TRY(check_keys(&s, touched->index, err));
    for (uint32_t i = 0; i < memtable_range_count(touched->index); i++)
        TRY(check_range(&s, memtable_range(touched->index, i), err));
    return LAM_OK;
}
