/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions about all rows of a table: unique values, NULLs, any row at all. */
#include <stdlib.h>

#include "base/hash.h"
#include "flush/scan.h"

/* --- one row's unique values --- */

static enum lam_code entry_is_live(struct provider *p, const lam_snapshot *snapshot,
                                   struct lam_slice key, bool *live_out, struct lam_error *err) {
    *live_out = true;
    if (p->kind != TABLE_STREAM)
        return LAM_OK;
    struct lam_read_options options = {.snapshot = snapshot};
    OWNED(lam_value_release) struct lam_value value = {0};
    struct row_header header;
    *live_out = false;
    enum lam_code rc = lam_get(catalog_db(p->catalog), &options, p->hot, key, &value, err);
    if (rc == LAM_NOT_FOUND)
        return LAM_OK;
    TRY(rc);
    TRY(row_header_decode(value.bytes, &header, err));
    *live_out = !hot_row_expired(p, header.seq, catalog_expiry_us(p->catalog));
    return LAM_OK;
}

static enum lam_code conflict_hot(struct provider *p, const struct table_index *index,
                                  const lam_snapshot *snapshot, struct lam_slice prefix,
                                  struct lam_slice own_key, bool *conflict_out,
                                  struct lam_error *err) {
    struct lam_read_options options = {.snapshot = snapshot, .prefix = prefix, .keys_only = true};
    OWNED(buf_fini) struct buf key = {0};
    OWNED(lam_iter_free_at) lam_iter *it = NULL;
    TRY(lam_iter_new(catalog_db(p->catalog), &options, index->partition, &it, err));
    for (lam_iter_seek_first(it); lam_iter_valid(it) && !*conflict_out; lam_iter_next(it)) {
        buf_reset(&key);
        TRY(index_entry_row_key(p, index, lam_iter_key(it), lam_iter_value(it), &key, err));
        if (slice_eq(buf_slice(&key), own_key))
            continue;
        TRY(entry_is_live(p, snapshot, buf_slice(&key), conflict_out, err));
    }
    return *conflict_out ? LAM_OK : lam_iter_status(it, err);
}

/* Column ids of an index, then those of the key. */
static uint32_t index_and_key_ids(const struct provider *p, const struct table_index *index,
                                  uint32_t *ids) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < index->column_count; i++)
        ids[count++] = index->column_ids[i];
    for (uint32_t i = 0; i < p->schema->key_count; i++)
        ids[count++] = p->schema->columns[p->schema->key[i]].id;
    return count;
}

/* Appends the row key that columns [at, at + key_count) of a batch's row make. */
static enum lam_code batch_row_key(const struct provider *p, struct lam_slice user,
                                   const struct colbatch *b, uint32_t at, uint32_t row,
                                   struct buf *out, struct lam_error *err) {
    buf_reset(out);
    if (user.size)
        TRY(key_put_string(out, user, err));
    for (uint32_t i = 0; i < p->schema->key_count; i++) {
        struct value v = column_value(&b->columns[at + i], row);
        TRY(key_put_value(out, &v, false, false, err));
    }
    return LAM_OK;
}

static enum lam_code row_conflicts(const struct provider *p, const struct table_index *index,
                                   struct lam_slice user, const struct value *wanted,
                                   struct lam_slice own_key, const struct colbatch *b, uint32_t row,
                                   struct buf *key, bool *conflict_out, struct lam_error *err) {
    for (uint32_t i = 0; i < index->column_count; i++) {
        struct value v = column_value(&b->columns[i], row);
        if (v.is_null || value_cmp(&v, &wanted[i]) != 0)
            return LAM_OK;
    }
    TRY(batch_row_key(p, user, b, index->column_count, row, key, err));
    *conflict_out = !slice_eq(buf_slice(key), own_key);
    return LAM_OK;
}

static enum lam_code conflict_cold(struct provider *p, const struct table_index *index,
                                   const lam_snapshot *snapshot, struct lam_slice user,
                                   const struct value *wanted, struct lam_slice own_key,
                                   bool *conflict_out, struct lam_error *err) {
    struct scan_predicate predicates[INDEX_COLUMNS_MAX];
    uint32_t ids[INDEX_COLUMNS_MAX + KEY_COLUMNS_MAX];
    for (uint32_t i = 0; i < index->column_count; i++)
        predicates[i] = (struct scan_predicate){index->column_ids[i], SCAN_EQ, wanted[i]};
    struct scan_request rq = {.provider = p,
                              .user = user,
                              .snapshot = snapshot,
                              .column_ids = ids,
                              .column_count = index_and_key_ids(p, index, ids),
                              .predicates = predicates,
                              .predicate_count = index->column_count};
    OWNED(scan_close_at) struct scan *s = NULL;
    struct colbatch *b;
    OWNED(buf_fini) struct buf key = {0};
    TRY(scan_open_parts(&rq, false, true, &s, err));
    for (;;) {
        TRY(scan_next(s, &b, err));
        if (!b || *conflict_out)
            break;
        for (uint32_t i = 0; i < b->rows && !*conflict_out; i++)
            TRY(row_conflicts(p, index, user, wanted, own_key, b, i, &key, conflict_out, err));
    }
    return LAM_OK;
}

enum lam_code unique_conflict(struct provider *p, const struct table_index *index,
                              const lam_snapshot *snapshot, struct lam_slice user,
                              const struct value *values, struct lam_slice own_key,
                              bool *conflict_out, struct lam_error *err) {
    struct value wanted[INDEX_COLUMNS_MAX];
    struct buf prefix = {0};
    *conflict_out = false;
    for (uint32_t i = 0; i < index->column_count; i++) {
        int column = schema_find_id(p->schema, index->column_ids[i]);
        LAM_ASSERT(column >= 0);
        wanted[i] = values[column];
        if (wanted[i].is_null)
            return LAM_OK;
        wanted[i].type = p->schema->columns[column].type;
    }
    enum lam_code rc = index_prefix(p, index, user, wanted, index->column_count, &prefix, err);
    if (rc == LAM_OK)
        rc = conflict_hot(p, index, snapshot, buf_slice(&prefix), own_key, conflict_out, err);
    buf_fini(&prefix);
    if (rc == LAM_OK && !*conflict_out && p->kind != TABLE_STREAM)
        rc = conflict_cold(p, index, snapshot, user, wanted, own_key, conflict_out, err);
    return rc;
}

/* --- all users --- */

/* First user at or behind the one that the iterator stands at; NULL user at the end. */
static enum lam_code user_at(lam_iter *it, struct lam_slice after, struct arena *arena,
                             struct lam_slice *user_out, struct lam_error *err) {
    lam_iter_seek(it, after);
    *user_out = SLICE_EMPTY;
    if (!lam_iter_valid(it))
        return lam_iter_status(it, err);
    struct cursor c = cursor_of(lam_iter_key(it));
    return key_get_string(&c, arena, user_out, err);
}

typedef enum lam_code (*user_fn)(void *arg, struct lam_slice user, bool *stop,
                                 struct lam_error *err);

/* Calls `fn` for each user with a row, hot or cold; once with no user for a SHARED table. */
static enum lam_code each_user(struct provider *p, const lam_snapshot *snapshot, user_fn fn,
                               void *arg, struct lam_error *err) {
    struct lam_read_options options = {.snapshot = snapshot, .keys_only = true};
    OWNED(lam_iter_free_at) lam_iter *hot = NULL, *cold = NULL;
    OWNED(buf_fini) struct buf after = {0};
    OWNED(arena_fini) struct arena arena = {0};
    bool stop = false;
    if (!table_has_users(p))
        return fn(arg, SLICE_EMPTY, &stop, err);
    TRY(lam_iter_new(catalog_db(p->catalog), &options, p->hot, &hot, err));
    if (p->segments)
        TRY(lam_iter_new(catalog_db(p->catalog), &options, p->segments, &cold, err));
    TRY(buf_append_u8(&after, 1, err)); /* behind the segments partition's own keys */
    while (!stop && after.size) {
        struct lam_slice a, b = SLICE_EMPTY;
        arena_reset(&arena);
        TRY(user_at(hot, buf_slice(&after), &arena, &a, err));
        if (cold)
            TRY(user_at(cold, buf_slice(&after), &arena, &b, err));
        struct lam_slice user = !a.size ? b : !b.size || slice_cmp(a, b) < 0 ? a : b;
        if (!user.size)
            break;
        TRY(fn(arg, user, &stop, err));
        buf_reset(&after);
        TRY(key_put_string(&after, user, err));
        key_prefix_end(&after);
    }
    return LAM_OK;
}

/* --- rows_exist --- */

struct exist_search {
    struct provider *p;
    const lam_snapshot *snapshot;
    uint32_t null_column; /* 0: any row */
    bool found;
};

static bool batch_has(const struct exist_search *search, const struct colbatch *b) {
    return search->null_column ? b->columns[0].null_count > 0 : b->rows > 0;
}

static enum lam_code search_user(void *arg, struct lam_slice user, bool *stop,
                                 struct lam_error *err) {
    struct exist_search *search = arg;
    struct scan_request rq = {.provider = search->p,
                              .user = user,
                              .snapshot = search->snapshot,
                              .column_ids = &search->null_column,
                              .column_count = search->null_column != 0,
                              .with_deleted = true,
                              .now_us = catalog_expiry_us(search->p->catalog)};
    OWNED(scan_close_at) struct scan *s = NULL;
    struct colbatch *b;
    TRY(scan_open(&rq, &s, err));
    do {
        TRY(scan_next(s, &b, err));
        search->found = b && batch_has(search, b);
    } while (b && !search->found);
    *stop = search->found;
    return LAM_OK;
}

enum lam_code rows_exist(struct provider *p, uint32_t null_column_id, bool *exist_out,
                         struct lam_error *err) {
    lam_snapshot *snapshot;
    TRY(lam_snapshot_new(catalog_db(p->catalog), &snapshot, err));
    struct exist_search search = {p, snapshot, null_column_id, false};
    enum lam_code rc = each_user(p, snapshot, search_user, &search, err);
    lam_snapshot_free(snapshot);
    *exist_out = search.found;
    return rc;
}

/* --- index_has_duplicates: pass 1 hashes all values of a user; if two hashes are equal, pass 2
 * compares the values behind those hashes --- */

struct duplicate_search {
    struct provider *p;
    const struct table_index *index;
    const lam_snapshot *snapshot;
    uint64_t *hashes; /* owned; after pass 1: those seen twice, sorted */
    size_t count, capacity;
    struct arena arena; /* values of pass 2 */
    struct lam_slice *keys;
    size_t key_count, key_capacity;
    struct buf key;
    bool second_pass;
    bool found;
};

static int compare_hashes(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int compare_slices(const void *a, const void *b) {
    return slice_cmp(*(const struct lam_slice *)a, *(const struct lam_slice *)b);
}

static enum lam_code note_values(struct duplicate_search *d, struct lam_error *err) {
    uint64_t hash = hash_xxh3(d->key.data, d->key.size, 0);
    if (!d->second_pass) {
        TRY(MEM_GROW(&d->hashes, &d->capacity, d->count + 1, err));
        d->hashes[d->count++] = hash;
        return LAM_OK;
    }
    if (!bsearch(&hash, d->hashes, d->count, sizeof hash, compare_hashes))
        return LAM_OK;
    TRY(MEM_GROW(&d->keys, &d->key_capacity, d->key_count + 1, err));
    uint8_t *copy = arena_dup(&d->arena, d->key.data, d->key.size);
    if (!copy)
        return mem_fail(err, d->key.size);
    d->keys[d->key_count++] = lam_slice_of(copy, d->key.size);
    return LAM_OK;
}

static enum lam_code note_batch(struct duplicate_search *d, const struct colbatch *b,
                                struct lam_error *err) {
    for (uint32_t row = 0; row < b->rows; row++) {
        bool has_null = false;
        buf_reset(&d->key);
        for (uint32_t i = 0; i < d->index->column_count; i++) {
            struct value v = column_value(&b->columns[i], row);
            has_null |= v.is_null;
            TRY(key_put_value(&d->key, &v, true, false, err));
        }
        if (!has_null)
            TRY(note_values(d, err));
    }
    return LAM_OK;
}

static enum lam_code pass(struct duplicate_search *d, struct lam_slice user,
                          struct lam_error *err) {
    struct scan_request rq = {.provider = d->p,
                              .user = user,
                              .snapshot = d->snapshot,
                              .column_ids = d->index->column_ids,
                              .column_count = d->index->column_count,
                              .now_us = catalog_expiry_us(d->p->catalog)};
    OWNED(scan_close_at) struct scan *s = NULL;
    struct colbatch *b;
    TRY(scan_open(&rq, &s, err));
    for (;;) {
        TRY(scan_next(s, &b, err));
        if (!b)
            break;
        TRY(note_batch(d, b, err));
    }
    return LAM_OK;
}

/* Leaves only hashes that occur twice. */
static void keep_repeated(struct duplicate_search *d) {
    size_t kept = 0;
    if (d->count)
        qsort(d->hashes, d->count, sizeof *d->hashes, compare_hashes);
    for (size_t i = 1; i < d->count; i++) {
        if (d->hashes[i] == d->hashes[i - 1])
            d->hashes[kept++] = d->hashes[i];
    }
    d->count = kept;
}

static enum lam_code duplicates_of_user(void *arg, struct lam_slice user, bool *stop,
                                        struct lam_error *err) {
    struct duplicate_search *d = arg;
    d->second_pass = false;
    d->count = d->key_count = 0;
    arena_reset(&d->arena);
    TRY(pass(d, user, err));
    keep_repeated(d);
    if (d->count == 0)
        return LAM_OK;
    d->second_pass = true;
    TRY(pass(d, user, err));
    if (d->key_count)
        qsort(d->keys, d->key_count, sizeof *d->keys, compare_slices);
    for (size_t i = 1; i < d->key_count && !d->found; i++)
        d->found = slice_eq(d->keys[i], d->keys[i - 1]);
    *stop = d->found;
    return LAM_OK;
}

enum lam_code index_has_duplicates(struct provider *p, const struct table_index *index,
                                   bool *duplicate_out, struct lam_error *err) {
    lam_snapshot *snapshot;
    TRY(lam_snapshot_new(catalog_db(p->catalog), &snapshot, err));
    struct duplicate_search d = {.p = p, .index = index, .snapshot = snapshot};
    enum lam_code rc = each_user(p, snapshot, duplicates_of_user, &d, err);
    lam_snapshot_free(snapshot);
    mem_free(d.hashes);
    mem_free(d.keys);
    arena_fini(&d.arena);
    buf_fini(&d.key);
    *duplicate_out = d.found;
    return rc;
}
