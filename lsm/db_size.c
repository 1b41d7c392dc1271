/* SPDX-License-Identifier: Apache-2.0
 *
 * How much of a partition lies in a range, from metadata, indexes and memtables. */
#include "base/assert.h"
#include "lsm/db_impl.h"

struct range {
    struct lam_slice from; /* empty: no bound */
    struct lam_slice to;   /* exclusive; empty: no bound */
    uint64_t bytes;
    uint64_t entries;
};

static bool begins_in(const struct range *r, const struct file_meta *f) {
    return slice_cmp(f->smallest, r->from) >= 0;
}

static bool ends_in(const struct range *r, const struct file_meta *f) {
    return r->to.size == 0 || (!f->largest_open && slice_cmp(f->largest, r->to) < 0);
}

static bool is_apart(const struct range *r, const struct file_meta *f) {
    return (!f->largest_open && slice_cmp(f->largest, r->from) < 0) ||
           (r->to.size > 0 && slice_cmp(f->smallest, r->to) >= 0);
}

static enum lam_code add_file(lam_db *db, struct range *r, struct file_meta *f,
                              struct lam_error *err) {
    if (is_apart(r, f))
        return LAM_OK;
    if (begins_in(r, f) && ends_in(r, f)) {
        r->bytes += f->size_bytes;
        r->entries += f->properties.entries;
        return LAM_OK;
    }
    OWNED(sst_unref_at) struct sst *s = NULL;
    TRY(sst_cache_get(&db->ssts, f, &s, err));
    uint64_t all, part = sst_range_bytes(s, r->from, r->to, &all);
    if (all > 0) {
        double share = (double)part / (double)all;
        r->bytes += (uint64_t)((double)f->size_bytes * share + 0.5);
        r->entries += (uint64_t)((double)f->properties.entries * share + 0.5);
    }
    return LAM_OK;
}

static enum lam_code add_level(lam_db *db, struct range *r, const struct version_level *l,
                               bool sorted, struct lam_error *err) {
    size_t at = sorted ? version_floor(l, r->from) : 0;
    for (at = at == l->count ? 0 : at; at < l->count; at++) {
        if (sorted && r->to.size > 0 && slice_cmp(l->files[at]->smallest, r->to) >= 0)
            break;
        TRY(add_file(db, r, l->files[at], err));
    }
    return LAM_OK;
}

static enum lam_code add_memtable(struct range *r, struct memtable *m, struct lam_error *err) {
    OWNED(cursor_iter_drop) struct cursor_iter *it = NULL;
    if (!m)
        return LAM_OK;
    TRY(memtable_iter_new(m, &it, err));
    for (it->ops->seek(it, r->from, LAM_SEQUENCE_MAX); it->valid; it->ops->next(it)) {
        if (r->to.size > 0 && slice_cmp(it->entry.key, r->to) >= 0)
            break;
        r->bytes += it->entry.key.size + it->entry.value.size;
        r->entries++;
    }
    return LAM_OK;
}

static enum lam_code add_state(lam_db *db, struct range *r, const struct read_state *s,
                               struct lam_error *err) {
    TRY(add_memtable(r, s->active, err));
    for (uint32_t i = 0; i < s->sealed_count; i++)
        TRY(add_memtable(r, s->sealed[i], err));
    for (uint32_t level = 0; level < VERSION_LEVELS; level++)
        TRY(add_level(db, r, s->version->levels[level], level > 0, err));
    return LAM_OK;
}

/* The partition's state now; NULL if it is dropped. */
static struct read_state *state_of(lam_db *db, const lam_partition *p) {
    mutex_lock(&db->state);
    struct read_state *s = p->state ? read_state_ref(p->state) : NULL;
    mutex_unlock(&db->state);
    return s;
}

enum lam_code lam_partition_size(lam_db *db, lam_partition *partition, struct lam_slice from,
                                 struct lam_slice to, uint64_t *bytes_out, uint64_t *entries_out,
                                 struct lam_error *err) {
    TRY(db_check_partition(db, partition, "lam_partition_size", err));
    if ((from.size && !from.data) || (to.size && !to.data))
        return ERR(err, LAM_INVALID, "lam_partition_size: a bound with a size is NULL");
    struct range r = {.from = from, .to = to};
    struct read_state *s = state_of(db, partition);
    if (!s)
        return ERR(err, LAM_NOT_FOUND, "partition \"%s\" is dropped", partition->name);
    enum lam_code rc = LAM_OK;
    if (to.size == 0 || slice_cmp(from, to) < 0)
        rc = add_state(db, &r, s, err);
    read_state_unref(s);
    gc_drain(&db->gc);
    TRY(rc);
    if (bytes_out)
        *bytes_out = r.bytes;
    if (entries_out)
        *entries_out = r.entries;
    return LAM_OK;
}
