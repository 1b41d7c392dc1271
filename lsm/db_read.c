/* SPDX-License-Identifier: Apache-2.0
 *
 * Point reads. Range tombstones of every source are asked first: `hidden` is the highest sequence
 * they hide of this key. The first version found, newest source first, is the newest; if it is
 * hidden, all older ones are. */
#include "base/assert.h"
#include "base/mem.h"
#include "lsm/db_impl.h"

struct lookup {
    lam_db *db;
    struct lam_slice key;
    uint64_t sequence; /* of the read */
    uint64_t hidden;
    bool found;
    enum entry_kind kind;
    uint64_t version_sequence;
    struct buf *value;
};

static enum lam_code look_in_memtable(struct lookup *l, const struct memtable *m,
                                      struct lam_error *err) {
    struct entry e;
    if (!memtable_get(m, l->key, l->sequence, &e))
        return LAM_OK;
    l->found = true;
    l->kind = e.kind;
    l->version_sequence = e.sequence;
    if (e.kind != ENTRY_PUT || e.sequence <= l->hidden)
        return LAM_OK;
    buf_reset(l->value);
    return buf_append_slice(l->value, e.value, err);
}

static enum lam_code look_in_file(struct lookup *l, struct file_meta *f, struct lam_error *err) {
    struct sst *s;
    bool negative = false;
    TRY(sst_cache_get(&l->db->ssts, f, &s, err));
    enum lam_code rc = sst_get(s, l->key, l->sequence, &l->found, &l->kind, &l->version_sequence,
                               l->value, &negative, err);
    sst_unref(s);
    atomic_fetch_add_explicit(&l->db->filter_checks, 1, memory_order_relaxed);
    if (negative)
        atomic_fetch_add_explicit(&l->db->filter_negatives, 1, memory_order_relaxed);
    return rc;
}

static enum lam_code look_in_version(struct lookup *l, const struct version *v,
                                     struct lam_error *err) {
    const struct version_level *l0 = &v->levels[0];
    for (size_t i = 0; i < l0->count && !l->found; i++)
        if (file_meta_overlaps(l0->files[i], l->key, l->key, false))
            TRY(look_in_file(l, l0->files[i], err));
    for (uint32_t level = 1; level < VERSION_LEVELS && !l->found; level++) {
        if (v->levels[level].count == 0)
            continue;
        struct file_meta *f = version_find(&v->levels[level], l->key);
        if (f)
            TRY(look_in_file(l, f, err));
    }
    return LAM_OK;
}

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

static enum lam_code look_up(struct lookup *l, const struct read_state *s, struct lam_error *err) {
    l->hidden = highest_hidden(s, l->key, l->sequence);
    if (s->active)
        TRY(look_in_memtable(l, s->active, err));
    for (uint32_t i = 0; i < s->sealed_count && !l->found; i++)
        TRY(look_in_memtable(l, s->sealed[i], err));
    if (!l->found)
        TRY(look_in_version(l, s->version, err));
    if (!l->found || l->kind != ENTRY_PUT || l->version_sequence <= l->hidden)
        return ERR(err, LAM_NOT_FOUND, "no such key");
    return LAM_OK;
}

enum lam_code lam_get(lam_db *db, const struct lam_read_options *options, lam_partition *partition,
                      struct lam_slice key, struct lam_value *value, struct lam_error *err) {
    TRY(db_check_partition(db, partition, "lam_get", err));
    TRY(db_check_key(key, err));
    if (!value)
        return ERR(err, LAM_INVALID, "lam_get: value must not be NULL");
    const lam_snapshot *snapshot = options ? options->snapshot : NULL;
    if (snapshot && snapshot->db != db)
        return ERR(err, LAM_INVALID, "lam_get: the snapshot belongs to another database");
    struct read_state *state;
    struct buf bytes = {value->memory, 0, value->capacity};
    struct lookup l = {.db = db, .key = key, .value = &bytes};
    TRY(db_read_begin(db, partition, snapshot, false, &state, &l.sequence, err));
    enum lam_code rc = look_up(&l, state, err);
    read_state_unref(state);
    /* An older version may have been read before it was known to be hidden: who came with an empty
     * value and gets none has nothing to release. */
    if (rc != LAM_OK && !value->memory)
        buf_fini(&bytes);
    value->memory = bytes.data;
    value->capacity = bytes.capacity;
    value->bytes = rc == LAM_OK ? buf_slice(&bytes) : SLICE_EMPTY;
    return rc;
}

void lam_value_release(struct lam_value *value) {
    if (!value)
        return;
    mem_free(value->memory);
    memset(value, 0, sizeof *value);
}
