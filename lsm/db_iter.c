/* SPDX-License-Identifier: Apache-2.0
 *
 * Public iterators: what a reader at one sequence sees of the merged sources.
 *
 * The merge stands on the entry shown, whose slices are handed out as they are. Only backward,
 * where a key's versions come oldest first, the newest visible one of several is known when the
 * merge has passed them all: then key and value are copied, and the merge stands before them.
 * Turning round seeks the merge anew. */
#include <stddef.h>

#include "base/assert.h"
#include "base/mem.h"
#include "lsm/db_impl.h"
#include "lsm/level_iter.h"
#include "lsm/merge_iter.h"

/* Rows stepped over by a walk before anybody is told. */
#define PASSED_LEAST 1000u
/* Hidden rows of a range that are stepped over before the rest is skipped. */
#define COVERED_STEPS 16u
/* Versions of a key that are gone over one by one before the one wanted is sought. */
#define VERSION_STEPS 8u
/* Versions that are too new for the iterator, of any keys, likewise. */
#define UNSEEN_STEPS 64u
/* Sources that are listed on the stack while an iterator is made. */
#define FEW_SOURCES 16u

struct lam_iter {
    lam_db *db;
    lam_partition *partition; /* owned reference */
    uint64_t seek_ns;         /* when the seek under way began; 0: it is not timed */
    struct read_state *state; /* owned reference */
    struct memtable *overlay; /* of an indexed batch, over the partition; may be NULL; owned */
    struct cursor_iter *merge;
    uint64_t sequence; /* what it sees */
    bool has_ranges;   /* some source holds range tombstones */
    bool keys_only;
    bool valid;
    bool reverse; /* it was moved backward last */
    bool copied;  /* going backward: the merge stands before the key shown */
    bool has_lower;
    bool has_upper;
    struct buf lower; /* first key */
    struct buf upper; /* end, exclusive */
    struct buf key;   /* copy of the key shown, when `copied` */
    struct buf value; /* the same of its value */
    struct buf scratch;
    _Atomic uint64_t *passed_at; /* where `passed` rows were stepped over; not yet told there */
    uint64_t passed;
    uint64_t passed_before; /* elsewhere, or told */
    uint32_t covered;       /* rows in a row that range tombstones hid */
    enum lam_code code;     /* sticky until the next seek */
    bool moved;             /* it has been sought: what a user holds may be of its entries */
    struct lam_error error; /* undefined while `code` is LAM_OK */
    _Alignas(max_align_t) uint8_t room[]; /* of the sources, then of the merge */
};

static bool is_seen(const struct lam_iter *it, uint64_t sequence) {
    return sequence <= it->sequence || (it->overlay && sequence >= BATCH_INDEX_FROM);
}

static uint64_t hidden_upto(const struct lam_iter *it, struct lam_slice key) {
    const struct read_state *s = it->state;
    uint64_t best = range_set_upto(s->version->ranges, key, it->sequence);
    if (s->active) {
        uint64_t upto = memtable_hidden_upto(s->active, key, it->sequence);
        best = upto > best ? upto : best;
    }
    for (uint32_t i = 0; i < s->sealed_count; i++) {
        uint64_t upto = memtable_hidden_upto(s->sealed[i], key, it->sequence);
        best = upto > best ? upto : best;
    }
    if (it->overlay) {
        uint64_t upto = memtable_hidden_upto(it->overlay, key, LAM_SEQUENCE_MAX);
        best = upto > best ? upto : best;
    }
    return best;
}

static bool is_live(const struct lam_iter *it, struct lam_slice key, enum entry_kind kind,
                    uint64_t sequence) {
    if (kind != ENTRY_PUT)
        return false;
    return !it->has_ranges || hidden_upto(it, key) < sequence;
}

static bool below_lower(const struct lam_iter *it, struct lam_slice key) {
    return it->has_lower && slice_cmp(key, buf_slice(&it->lower)) < 0;
}

static bool past_upper(const struct lam_iter *it, struct lam_slice key) {
    return it->has_upper && slice_cmp(key, buf_slice(&it->upper)) >= 0;
}

static void fail(struct lam_iter *it, enum lam_code code) {
    it->valid = false;
    it->code = code;
}

/* Copies into one of the iterator's buffers. */
static bool keep(struct lam_iter *it, struct buf *to, struct lam_slice from) {
    buf_reset(to);
    enum lam_code rc = buf_append_slice(to, from, &it->error);
    if (rc != LAM_OK)
        fail(it, rc);
    return rc == LAM_OK;
}

/* Whether the merge stands on an entry; takes over its failure. */
static bool merge_stands(struct lam_iter *it) {
    if (it->merge->valid)
        return true;
    it->valid = false;
    if (it->merge->code != LAM_OK) {
        it->error = it->merge->error;
        fail(it, it->merge->code);
    }
    return false;
}

/* Tells where rows were stepped over how many they were. */
static void tell_passed(struct lam_iter *it) {
    if (it->passed_at)
        atomic_fetch_add_explicit(it->passed_at, it->passed, memory_order_relaxed);
    it->passed_before += it->passed;
    it->passed = 0;
}

static void note_passed(struct lam_iter *it, _Atomic uint64_t *at) {
    if (at != it->passed_at) {
        tell_passed(it);
        it->passed_at = at;
    }
    it->passed++;
}

/* A walk is over. */
static void end_walk(struct lam_iter *it) {
    if (it->passed + it->passed_before < PASSED_LEAST)
        return;
    tell_passed(it);
    it->passed_before = 0;
    db_note_passed(it->db, it->partition, it->state);
}

static uint64_t find_cover(const struct lam_iter *it, struct lam_slice key,
                           struct range_cover *out) {
    const struct read_state *s = it->state;
    struct range_cover cover;
    uint64_t best = range_set_cover(s->version->ranges, key, it->sequence, out);
    for (uint32_t i = 0; i <= s->sealed_count; i++) {
        const struct memtable *m = i ? s->sealed[i - 1] : s->active;
        uint64_t upto = m ? memtable_cover(m, key, it->sequence, &cover) : 0;
        if (upto > best) {
            best = upto;
            *out = cover;
        }
    }
    return best;
}

/* After a number of rows that ranges hid: past all that the sources know to be hidden, too. */
static bool skip_covered(struct lam_iter *it, bool forward) {
    struct cursor_iter *merge = it->merge;
    struct range_cover cover;
    if (!it->has_ranges || ++it->covered % COVERED_STEPS != 0 || !merge->ops->skip)
        return false;
    if (find_cover(it, merge->entry.key, &cover) < merge->entry.sequence)
        return false;
    return merge->ops->skip(merge, forward ? cover.to : cover.from, cover.upto, forward);
}

/* From a version that is too new: to the next one, and after a number of them past the rest. */
static void pass_unseen(struct lam_iter *it, uint32_t *unseen) {
    struct cursor_iter *merge = it->merge;
    if (++*unseen % UNSEEN_STEPS != 0)
        merge->ops->next(merge);
    else if (keep(it, &it->scratch, merge->entry.key))
        merge->ops->seek(merge, buf_slice(&it->scratch), it->sequence);
}

/* Shows the first live key from where the merge stands. */
static void settle_forward(struct lam_iter *it) {
    struct cursor_iter *merge = it->merge;
    uint32_t unseen = 0;
    it->reverse = false;
    it->copied = false;
    it->valid = false;
    while (it->code == LAM_OK && merge_stands(it)) {
        const struct entry *e = &merge->entry;
        if (past_upper(it, e->key))
            return;
        if (!is_seen(it, e->sequence)) {
            pass_unseen(it, &unseen);
        } else if (is_live(it, e->key, e->kind, e->sequence)) {
            it->valid = true;
            return;
        } else {
            note_passed(it, merge->passed);
            if (!skip_covered(it, true))
                merge->ops->next_key(merge);
        }
    }
}

/* The newest version of a key that is seen, going back; DELETE before there is one. */
struct newest {
    enum entry_kind kind;
    uint64_t sequence;
};

/* Whether the merge stands on a version of the key in hand. */
static bool stands_on_key(const struct lam_iter *it) {
    return it->merge->valid && slice_eq(it->merge->entry.key, buf_slice(&it->key));
}

static bool take_version(struct lam_iter *it, struct newest *n) {
    const struct entry *e = &it->merge->entry;
    if (!is_seen(it, e->sequence))
        return true;
    n->kind = e->kind;
    n->sequence = e->sequence;
    return e->kind != ENTRY_PUT || it->keys_only || keep(it, &it->value, e->value);
}

/* Takes the newest version from the other side, then stands before the key. */
static bool seek_newest(struct lam_iter *it, struct newest *n) {
    struct cursor_iter *merge = it->merge;
    struct lam_slice key = buf_slice(&it->key);
    merge->ops->seek(merge, key, LAM_SEQUENCE_MAX); /* what a batch holds is newest of all */
    if (stands_on_key(it) && !is_seen(it, merge->entry.sequence))
        merge->ops->seek(merge, key, it->sequence);
    if (stands_on_key(it) && !take_version(it, n))
        return false;
    if (merge->code == LAM_OK)
        merge->ops->seek_before(merge, key, LAM_SEQUENCE_MAX);
    return true;
}

/* Goes back over the versions of the key the merge stands on; whether it has a live one. */
static bool take_key_backward(struct lam_iter *it) {
    struct newest n = {ENTRY_DELETE, 0};
    if (!keep(it, &it->key, it->merge->entry.key))
        return false;
    for (uint32_t steps = 0; stands_on_key(it); steps++) {
        if (steps == VERSION_STEPS) {
            if (!seek_newest(it, &n))
                return false;
            break;
        }
        if (!take_version(it, &n))
            return false;
        it->merge->ops->prev(it->merge);
    }
    if (it->merge->code != LAM_OK)
        return false;
    return is_live(it, buf_slice(&it->key), n.kind, n.sequence);
}

/* Shows the last live key up to where the merge stands. */
static void settle_backward(struct lam_iter *it) {
    struct cursor_iter *merge = it->merge;
    it->reverse = true;
    it->copied = false;
    it->valid = false;
    buf_reset(&it->value);
    while (it->code == LAM_OK && merge_stands(it)) {
        const struct entry *e = &merge->entry;
        if (below_lower(it, e->key))
            return;
        /* What a batch gets meanwhile may be newer than what stands alone now. */
        if (it->overlay || !merge->ops->is_newest(merge)) {
            _Atomic uint64_t *at = merge->passed;
            it->valid = it->copied = take_key_backward(it);
            if (!it->valid)
                note_passed(it, at);
        } else if (!is_seen(it, e->sequence)) {
            merge->ops->prev(merge);
        } else if (is_live(it, e->key, e->kind, e->sequence)) {
            it->valid = true;
        } else {
            note_passed(it, merge->passed);
            if (!skip_covered(it, false))
                merge->ops->prev(merge);
        }
        if (it->valid)
            return;
    }
}

/* Whether there is a key to seek. */
static bool check_sought(struct lam_iter *it, struct lam_slice key) {
    if (key.data || key.size == 0)
        return true;
    fail(it, ERR(&it->error, LAM_INVALID, "seek: a key of %zu bytes is NULL", key.size));
    return false;
}

/* False, with the error noted, in a forked child. There a step may still show what the block in
 * hand holds; loading another one fails. */
static bool begin_seek(struct lam_iter *it) {
    it->valid = false;
    it->code = db_check_process(it->db, &it->error);
    it->moved = true;
    if (it->code == LAM_OK) {
        end_walk(it);
        it->seek_ns = counters_begin(it->db->env, &it->partition->counters.read.seeks);
    }
    return it->code == LAM_OK;
}

/* Copies a key that may be what the iterator itself has handed out. */
static bool keep_sought(struct lam_iter *it, struct lam_slice *key) {
    if (!keep(it, &it->scratch, *key))
        return false;
    *key = buf_slice(&it->scratch);
    return true;
}

static void end_seek(struct lam_iter *it) {
    db_note_latency(it->db, it->partition, COUNTERS_SEEK, it->seek_ns);
}

void lam_iter_seek_first(lam_iter *it) {
    if (!it || !begin_seek(it))
        return;
    if (it->has_lower)
        it->merge->ops->seek(it->merge, buf_slice(&it->lower), LAM_SEQUENCE_MAX);
    else
        it->merge->ops->seek_first(it->merge);
    settle_forward(it);
    end_seek(it);
}

void lam_iter_seek_last(lam_iter *it) {
    if (!it || !begin_seek(it))
        return;
    if (it->has_upper)
        it->merge->ops->seek_before(it->merge, buf_slice(&it->upper), LAM_SEQUENCE_MAX);
    else
        it->merge->ops->seek_last(it->merge);
    settle_backward(it);
    end_seek(it);
}

void lam_iter_seek(lam_iter *it, struct lam_slice key) {
    if (!it || !check_sought(it, key))
        return;
    if (below_lower(it, key)) {
        lam_iter_seek_first(it);
        return;
    }
    bool first = !it->moved;
    if (!begin_seek(it) || (!first && !keep_sought(it, &key)))
        return;
    it->merge->ops->seek(it->merge, key, LAM_SEQUENCE_MAX);
    settle_forward(it);
    end_seek(it);
}

void lam_iter_seek_for_prev(lam_iter *it, struct lam_slice key) {
    if (!it || !check_sought(it, key))
        return;
    if (past_upper(it, key)) {
        lam_iter_seek_last(it);
        return;
    }
    if (!begin_seek(it) || !keep_sought(it, &key))
        return;
    /* Before (key, 0): that is after every version of the key. */
    it->merge->ops->seek_before(it->merge, key, 0);
    settle_backward(it);
    end_seek(it);
}

void lam_iter_next(lam_iter *it) {
    if (!it || !it->valid)
        return;
    if (it->reverse) {
        /* The merge's seek may not read from what its sources overwrite. */
        if (!keep(it, &it->scratch, lam_iter_key(it)))
            return;
        it->merge->ops->seek(it->merge, buf_slice(&it->scratch), 0);
    } else {
        it->merge->ops->next_key(it->merge);
    }
    settle_forward(it);
}

void lam_iter_prev(lam_iter *it) {
    if (!it || !it->valid)
        return;
    if (!it->reverse) {
        if (!keep(it, &it->scratch, lam_iter_key(it)))
            return;
        it->merge->ops->seek_before(it->merge, buf_slice(&it->scratch), LAM_SEQUENCE_MAX);
    } else if (!it->copied) {
        it->merge->ops->prev(it->merge);
    }
    settle_backward(it);
}

bool lam_iter_valid(const lam_iter *it) {
    return it && it->valid;
}

struct lam_slice lam_iter_key(const lam_iter *it) {
    if (!it || !it->valid)
        return SLICE_EMPTY;
    return it->copied ? buf_slice(&it->key) : it->merge->entry.key;
}

struct lam_slice lam_iter_value(const lam_iter *it) {
    if (!it || !it->valid || it->keys_only)
        return SLICE_EMPTY;
    return it->copied ? buf_slice(&it->value) : it->merge->entry.value;
}

enum lam_code lam_iter_status(const lam_iter *it, struct lam_error *err) {
    if (!it)
        return ERR(err, LAM_INVALID, "lam_iter_status: iter must not be NULL");
    return error_pass(err, it->code, &it->error);
}

/* Sources on the way into the room of an iterator, newest first. */
struct sources {
    struct cursor_iter **list; /* room for all; owned array */
    size_t count;
    uint8_t *at; /* where the next goes */
};

static size_t rounded(size_t bytes) {
    return (bytes + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
}

/* How many sources an iterator has at most, and the bytes of room they take. */
static size_t count_sources(const struct read_state *s, bool overlay, size_t *bytes_out) {
    size_t memtables = (size_t)s->sealed_count + 1 + overlay;
    size_t levels = s->version->levels[0]->count + VERSION_LEVELS - 1;
    *bytes_out = memtables * rounded(memtable_iter_bytes()) + levels * rounded(level_iter_bytes()) +
                 rounded(merge_iter_bytes(memtables + levels));
    return memtables + levels;
}

static void add_memtable(struct lam_iter *it, struct sources *s, struct memtable *m) {
    if (!m)
        return;
    s->list[s->count++] = memtable_iter_init(s->at, m);
    s->at += rounded(memtable_iter_bytes());
    it->has_ranges |= memtable_range_count(m) > 0;
}

/* Whether a file may hold keys between the iterator's bounds. */
static bool in_bounds(const struct lam_iter *it, const struct file_meta *f) {
    if (it->has_lower && !f->largest_open && slice_cmp(f->largest, buf_slice(&it->lower)) < 0)
        return false;
    return !it->has_upper || slice_cmp(f->smallest, buf_slice(&it->upper)) < 0;
}

static void add_files(struct lam_iter *it, struct sources *s, struct file_meta **files,
                      size_t count) {
    while (count > 0 && !in_bounds(it, files[0])) {
        files++;
        count--;
    }
    while (count > 0 && !in_bounds(it, files[count - 1]))
        count--;
    if (count == 0)
        return;
    s->list[s->count++] = level_iter_init(s->at, &it->db->ssts, files, count, true);
    s->at += rounded(level_iter_bytes());
}

static void add_sources(struct lam_iter *it, struct sources *s) {
    const struct read_state *state = it->state;
    add_memtable(it, s, it->overlay);
    add_memtable(it, s, state->active);
    for (uint32_t i = 0; i < state->sealed_count; i++)
        add_memtable(it, s, state->sealed[i]);
    struct version *v = state->version;
    for (size_t i = 0; i < v->levels[0]->count; i++)
        add_files(it, s, &v->levels[0]->files[i], 1);
    for (uint32_t level = 1; level < VERSION_LEVELS; level++)
        add_files(it, s, v->levels[level]->files, v->levels[level]->count);
    it->has_ranges |= v->ranges || it->overlay; /* a batch may yet get some */
}

/* Narrows the bounds to keys that start with `prefix`. */
static enum lam_code apply_prefix(struct lam_iter *it, struct lam_slice prefix,
                                  struct lam_error *err) {
    if (prefix.size == 0)
        return LAM_OK;
    if (!it->has_lower || slice_cmp(buf_slice(&it->lower), prefix) < 0) {
        buf_reset(&it->lower);
        TRY(buf_append_slice(&it->lower, prefix, err));
        it->has_lower = true;
    }
    /* The first key after all that start with it: the prefix with its last byte that is not FF
     * raised and what follows cut off. */
    size_t n = prefix.size;
    while (n > 0 && prefix.data[n - 1] == 0xff)
        n--;
    if (n == 0)
        return LAM_OK;
    struct buf end = {0};
    TRY(buf_append(&end, prefix.data, n, err));
    end.data[n - 1]++;
    if (it->has_upper && slice_cmp(buf_slice(&it->upper), buf_slice(&end)) <= 0) {
        buf_fini(&end);
        return LAM_OK;
    }
    buf_fini(&it->upper);
    it->upper = end;
    it->has_upper = true;
    return LAM_OK;
}

static enum lam_code apply_bounds(struct lam_iter *it, const struct lam_read_options *o,
                                  struct lam_error *err) {
    if (!o)
        return LAM_OK;
    it->keys_only = o->keys_only;
    it->has_lower = o->lower.size > 0;
    it->has_upper = o->upper.size > 0;
    TRY(buf_append_slice(&it->lower, o->lower, err));
    TRY(buf_append_slice(&it->upper, o->upper, err));
    return apply_prefix(it, o->prefix, err);
}

static enum lam_code check_options(const lam_db *db, const struct lam_read_options *o,
                                   struct lam_error *err) {
    if (!o)
        return LAM_OK;
    if (o->snapshot && o->snapshot->db != db)
        return ERR(err, LAM_INVALID, "lam_iter_new: the snapshot belongs to another database");
    if ((o->lower.size && !o->lower.data) || (o->upper.size && !o->upper.data) ||
        (o->prefix.size && !o->prefix.data))
        return ERR(err, LAM_INVALID, "lam_iter_new: a bound with a size is NULL");
    return LAM_OK;
}

static void iter_fini(struct lam_iter *it) {
    if (it->merge)
        it->merge->ops->free(it->merge);
    read_state_unref(it->state);
    memtable_unref(it->overlay);
    db_partition_unref(it->partition);
    buf_fini(&it->lower);
    buf_fini(&it->upper);
    buf_fini(&it->key);
    buf_fini(&it->value);
    buf_fini(&it->scratch);
}

void lam_iter_free(lam_iter *it) {
    if (!it || db_is_foreign(it->db))
        return;
    lam_db *db = it->db;
    end_walk(it);
    iter_fini(it);
    mem_free(it);
    gc_drain(&db->gc);
    db_handle_end(db, DB_ITERATORS);
}

void db_iter_bounds(const lam_iter *it, struct lam_slice *lower_out, struct lam_slice *upper_out) {
    *lower_out = it->has_lower ? buf_slice(&it->lower) : SLICE_EMPTY;
    *upper_out = it->has_upper ? buf_slice(&it->upper) : SLICE_EMPTY;
}

enum lam_code lam_iter_new(lam_db *db, const struct lam_read_options *options,
                           lam_partition *partition, lam_iter **iter_out, struct lam_error *err) {
    return db_iter_new(db, options, partition, NULL, iter_out, err);
}

enum lam_code db_iter_new(lam_db *db, const struct lam_read_options *options,
                          lam_partition *partition, struct memtable *overlay, lam_iter **iter_out,
                          struct lam_error *err) {
    TRY(db_check_partition(db, partition, "lam_iter_new", err));
    TRY(check_options(db, options, err));
    if (!iter_out)
        return ERR(err, LAM_INVALID, "lam_iter_new: iter_out must not be NULL");
    struct read_state *state;
    uint64_t sequence;
    TRY(db_read_begin(db, partition, options ? options->snapshot : NULL, &state, &sequence, err));
    struct cursor_iter *few[FEW_SOURCES];
    struct sources sources = {.list = few};
    size_t room;
    size_t most = count_sources(state, overlay != NULL, &room);
    struct lam_iter *it = mem_alloc(sizeof *it + room);
    if (it && most > FEW_SOURCES)
        sources.list = mem_alloc(most * sizeof *sources.list);
    if (!it || !sources.list) {
        mem_free(it);
        read_state_unref(state);
        return mem_fail(err, sizeof *it + room);
    }
    memset(it, 0, offsetof(struct lam_iter, error));
    it->db = db;
    it->state = state;
    it->sequence = sequence;
    it->overlay = overlay ? memtable_ref(overlay) : NULL;
    it->partition = db_partition_ref(partition);
    db_handle_begin(db, DB_ITERATORS);
    enum lam_code rc = apply_bounds(it, options, err);
    if (rc == LAM_OK) {
        sources.at = it->room;
        add_sources(it, &sources);
        it->merge = merge_iter_init(sources.at, sources.list, sources.count);
        atomic_fetch_add_explicit(&partition->counters.read.iterators, 1, memory_order_relaxed);
        *iter_out = it;
    } else {
        lam_iter_free(it);
    }
    if (sources.list != few)
        mem_free(sources.list);
    return rc;
}
