/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables' cold state: users' segment sets and counts. */
#include "flush/cold_set.h"

#include "base/hash.h"
#include "flush/path.h"

/* Users remembered per table; beyond, all are forgotten and read or counted again. */
#define USERS_MAX 16384

/* --- tables --- */

static void slots_free(struct user_state *slots, size_t count) {
    for (size_t i = 0; i < count; i++) {
        mem_free(slots[i].user);
        segment_set_unref(slots[i].set);
    }
    mem_free(slots);
}

static void free_unlocked(struct table_cold *t) NO_THREAD_SAFETY {
    struct table_cold_guarded *g = table_cold_state(t);
    slots_free(g->slots, g->slot_count);
    env_names_fini(&g->pending);
    mutex_fini(&t->mu);
    mem_free(t);
}

struct table_cold *table_cold_ref(struct table_cold *t) {
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void table_cold_unref(struct table_cold *t) {
    if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1)
        free_unlocked(t);
}

static void free_with_table(void *cold) {
    table_cold_unref(cold);
}

/* Whether the partition holds more than the table's own keys, and the next number. */
static enum lam_code read_partition(struct flush *f, struct provider *p, bool *has_out,
                                    uint64_t *next_out, struct lam_error *err) {
    struct lam_read_options options = {.lower = lam_slice_of("\1", 1), .keys_only = true};
    OWNED(lam_value_release) struct lam_value value = {0};
    OWNED(lam_iter_free_at) lam_iter *it = NULL;
    *next_out = 1;
    TRY(lam_iter_new(f->db, &options, p->segments, &it, err));
    lam_iter_seek_first(it);
    *has_out = lam_iter_valid(it);
    TRY(lam_iter_status(it, err));
    enum lam_code rc = lam_get(f->db, NULL, p->segments, segment_next_key(), &value, err);
    if (rc == LAM_NOT_FOUND)
        return LAM_OK;
    TRY(rc);
    if (value.bytes.size != 8)
        return ERR(err, LAM_CORRUPT, "partition %s: next number of %zu bytes",
                   lam_partition_name(p->segments), value.bytes.size);
    *next_out = get_le64(value.bytes.data);
    return LAM_OK;
}

static enum lam_code table_cold_new(struct flush *f, struct provider *p, struct table_cold **out,
                                    struct lam_error *err) NO_THREAD_SAFETY {
    bool has = false;
    uint64_t next = 1;
    TRY(read_partition(f, p, &has, &next, err));
    struct table_cold *t = mem_calloc(1, sizeof *t);
    if (!t)
        return mem_fail(err, sizeof *t);
    atomic_init(&t->refs, 2); /* the table's and the registry's */
    t->flush = f;
    t->table = p->table;
    atomic_init(&t->has_segments, has);
    mutex_init(&t->mu, RANK_COLD);
    table_cold_state(t)->next_number = next;
    table_cold_state(t)->reserved_number = next;
    *out = t;
    return LAM_OK;
}

/* Publishes `t` unless another thread was first; gives the one that counts. */
static enum lam_code publish(struct flush *f, struct table_shared *shared, struct table_cold *t,
                             struct table_cold **out, struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    mutex_lock(&f->tables_mu);
    struct flush_tables_guarded *g = flush_tables(f);
    struct table_cold *other = atomic_load_explicit(&shared->cold, memory_order_acquire);
    if (!other)
        rc = MEM_GROW(&g->items, &g->capacity, g->count + 1, err);
    if (!other && rc == LAM_OK) {
        g->items[g->count++] = t;
        shared->cold_free = free_with_table;
        atomic_store_explicit(&shared->cold, t, memory_order_release);
    }
    mutex_unlock(&f->tables_mu);
    if (other || rc != LAM_OK) {
        table_cold_unref(t);
        table_cold_unref(t);
        t = other;
    }
    *out = t;
    return rc;
}

enum lam_code table_cold_of(struct provider *p, struct table_cold **out, struct lam_error *err) {
    LAM_ASSERT(p->kind != TABLE_STREAM && p->segments);
    struct table_cold *t = atomic_load_explicit(&p->shared->cold, memory_order_acquire);
    if (t) {
        *out = t;
        return LAM_OK;
    }
    struct flush *f;
    TRY(flush_object(catalog_db(p->catalog), &f, err));
    TRY(table_cold_new(f, p, &t, err));
    return publish(f, p->shared, t, out, err);
}

enum lam_code table_cold_enter(struct table_cold *t, struct provider *p, struct lam_error *err) {
    atomic_fetch_add(&t->readers, 1);
    if (!atomic_load(&p->shared->dropped))
        return LAM_OK;
    table_cold_leave(t, p);
    return ERR_SQL(err, "42P01", 0, "table %s.%s was dropped", p->namespace_name, p->name);
}

void table_cold_leave(struct table_cold *t, struct provider *p) {
    if (atomic_fetch_sub(&t->readers, 1) != 1 || !atomic_load(&p->shared->dropped))
        return;
    IGNORE(doomed_remove(t->flush, NULL), "what stays is removed at the next open");
}

/* --- users --- */

static struct user_state *find_slot(struct user_state *slots, size_t count, struct lam_slice user) {
    size_t i = (size_t)hash_xxh3(user.data, user.size, 0) & (count - 1);
    while (slots[i].user && !slice_eq(lam_slice_of(slots[i].user, slots[i].user_size), user))
        i = (i + 1) & (count - 1);
    return &slots[i];
}

static bool grow(struct table_cold_guarded *g) {
    size_t count = g->slot_count ? g->slot_count * 2 : 8;
    struct user_state *slots = mem_calloc(count, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < g->slot_count; i++) {
        struct user_state *u = &g->slots[i];
        if (u->user)
            *find_slot(slots, count, lam_slice_of(u->user, u->user_size)) = *u;
    }
    mem_free(g->slots);
    g->slots = slots;
    g->slot_count = count;
    return true;
}

static void forget_users(struct table_cold_guarded *g) {
    slots_free(g->slots, g->slot_count);
    g->slots = NULL;
    g->slot_count = g->used = 0;
    g->all_known = false;
}

struct user_state *table_cold_user(struct table_cold *t, struct lam_slice user) {
    struct table_cold_guarded *g = table_cold_state(t);
    if (g->slot_count) {
        struct user_state *u = find_slot(g->slots, g->slot_count, user);
        if (u->user)
            return u;
    }
    if (g->used >= USERS_MAX)
        forget_users(g);
    if (g->used * 2 >= g->slot_count && !grow(g))
        return NULL;
    struct user_state *u = find_slot(g->slots, g->slot_count, user);
    u->user = mem_alloc(user.size + 1);
    if (!u->user)
        return NULL;
    if (user.size)
        memcpy(u->user, user.data, user.size);
    u->user_size = user.size;
    u->counted = g->all_known;
    g->used++;
    return u;
}

/* --- segment sets --- */

void segment_set_unref(struct segment_set *s) {
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    arena_fini(&s->arena);
    mem_free(s);
}

enum lam_code storage_place_get(struct flush *f, struct lam_slice storage, struct arena *arena,
                                struct storage_place *out, struct lam_error *err) {
    struct entity_store *store = catalog_entity(f->catalog, ENTITY_STORAGES);
    struct value record[ENTITY_FIELDS_MAX];
    struct value key = value_bytes(LAM_TYPE_TEXT, storage);
    enum lam_code rc = entity_get(store, NULL, &key, arena, record, err);
    if (rc == LAM_NOT_FOUND)
        return ERR(err, LAM_CORRUPT, "storage %.*s of a table is missing", (int)storage.size,
                   (const char *)storage.data);
    if (rc != LAM_OK)
        return rc;
    out->base = arena_strdup_slice(arena, record[STORAGES_BASE_DIRECTORY].as.bytes);
    out->shared_template =
        arena_strdup_slice(arena, record[STORAGES_SHARED_TABLES_TEMPLATE].as.bytes);
    out->user_template = arena_strdup_slice(arena, record[STORAGES_USER_TABLES_TEMPLATE].as.bytes);
    if (!out->base || !out->shared_template || !out->user_template)
        return mem_fail(err, 1);
    return LAM_OK;
}

/* Full paths; all segments of a set mostly share one storage. */
static enum lam_code resolve_paths(struct flush *f, struct segment_set *set,
                                   struct lam_error *err) {
    struct storage_place place = {0};
    struct lam_slice known = SLICE_EMPTY;
    OWNED(buf_fini) struct buf path = {0};
    for (size_t i = 0; i < set->count; i++) {
        struct segment *s = &set->items[i];
        if (!place.base || !slice_eq(known, s->storage))
            TRY(storage_place_get(f, s->storage, &set->arena, &place, err));
        known = s->storage;
        buf_reset(&path);
        TRY(path_in_base(f->directory, place.base, s->path, &path, err));
        s->full_path = arena_strdup_slice(&set->arena, buf_slice(&path));
        if (!s->full_path)
            return mem_fail(err, path.size);
    }
    return LAM_OK;
}

enum lam_code segments_each(struct flush *f, struct provider *p, segment_fn fn, void *arg,
                            struct lam_error *err) {
    const char *where = lam_partition_name(p->segments);
    OWNED(lam_iter_free_at) lam_iter *it = NULL;
    OWNED(arena_fini) struct arena arena = {0};
    TRY(lam_iter_new(f->db, NULL, p->segments, &it, err));
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
        struct storage_place place;
        struct lam_slice user;
        struct segment s;
        uint64_t number;
        char kind;
        arena_reset(&arena);
        TRY(segment_key_decode(lam_iter_key(it), p->kind == TABLE_USER, where, &arena, &user, &kind,
                               &number, err));
        if (kind != SEGMENT_KIND_ENTRY)
            continue;
        TRY(segment_decode(lam_iter_value(it), where, &arena, &s, err));
        TRY(storage_place_get(f, s.storage, &arena, &place, err));
        TRY(fn(arg, &s, place.base, err));
    }
    return lam_iter_status(it, err);
}

static enum lam_code load_entries(struct segment_set *set, lam_iter *it, const char *where,
                                  struct lam_slice user, struct lam_error *err) {
    OWNED(mem_free_at) struct segment *items = NULL;
    size_t capacity = 0;
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
        struct lam_slice bytes = lam_iter_value(it), key = lam_iter_key(it);
        TRY(MEM_GROW(&items, &capacity, set->count + 1, err));
        uint8_t *copy = arena_dup(&set->arena, bytes.data, bytes.size);
        if (!copy)
            return mem_fail(err, bytes.size);
        struct segment *s = &items[set->count];
        TRY(segment_decode(lam_slice_of(copy, bytes.size), where, &set->arena, s, err));
        if (key.size < 8 || get_be64(key.data + key.size - 8) != s->number ||
            !slice_eq(s->user, user))
            return ERR(err, LAM_CORRUPT, "%s: segment %llu lies under another's key", where,
                       (unsigned long long)s->number);
        set->count++;
    }
    TRY(lam_iter_status(it, err));
    if (set->count)
        set->items = arena_dup(&set->arena, items, set->count * sizeof *items);
    if (set->count && !set->items)
        return mem_fail(err, set->count * sizeof *items);
    return LAM_OK;
}

static enum lam_code load_dead(struct segment_set *set, lam_iter *it, const char *where,
                               struct lam_error *err) {
    size_t at = 0;
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
        struct lam_slice key = lam_iter_key(it);
        uint64_t number = key.size >= 8 ? get_be64(key.data + key.size - 8) : 0;
        while (at < set->count && set->items[at].number < number)
            at++;
        if (at == set->count || set->items[at].number != number)
            return ERR(err, LAM_CORRUPT, "%s: dead rows of segment %llu, which is missing", where,
                       (unsigned long long)number);
        struct segment *s = &set->items[at];
        uint8_t *bits;
        TRY(dead_rows_decode(lam_iter_value(it), s->rows, where, &set->arena, &bits, &s->dead_rows,
                             err));
        s->dead = bits;
    }
    return lam_iter_status(it, err);
}

static enum lam_code open_kind(struct flush *f, struct provider *p, const lam_snapshot *snapshot,
                               struct lam_slice user, char kind, lam_iter **it_out,
                               struct lam_error *err) {
    OWNED(buf_fini) struct buf prefix = {0};
    TRY(segment_key_prefix(user, kind, &prefix, err));
    struct lam_read_options options = {.snapshot = snapshot, .prefix = buf_slice(&prefix)};
    return lam_iter_new(f->db, &options, p->segments, it_out, err);
}

enum lam_code segment_set_load(struct flush *f, struct provider *p, const lam_snapshot *snapshot,
                               struct lam_slice user, struct segment_set **set_out,
                               struct lam_error *err) {
    const char *where = lam_partition_name(p->segments);
    OWNED(lam_iter_free_at) lam_iter *entries = NULL, *dead = NULL;
    LAM_ASSERT(snapshot && (p->kind != TABLE_USER || user.size > 0));
    *set_out = NULL;
    OWNED(segment_set_unref_at) struct segment_set *set = mem_calloc(1, sizeof *set);
    if (!set)
        return mem_fail(err, sizeof *set);
    atomic_init(&set->refs, 1);
    TRY(open_kind(f, p, snapshot, user, SEGMENT_KIND_ENTRY, &entries, err));
    TRY(load_entries(set, entries, where, user, err));
    if (set->count) {
        TRY(open_kind(f, p, snapshot, user, SEGMENT_KIND_DEAD, &dead, err));
        TRY(load_dead(set, dead, where, err));
        TRY(resolve_paths(f, set, err));
    }
    *set_out = set;
    set = NULL;
    return LAM_OK;
}

static struct segment_set *cached_set(struct table_cold *t, struct lam_slice user, uint64_t epoch) {
    struct segment_set *set = NULL;
    mutex_lock(&t->mu);
    struct table_cold_guarded *g = table_cold_state(t);
    struct user_state *u = g->slot_count ? find_slot(g->slots, g->slot_count, user) : NULL;
    if (u && u->user && u->set && u->set_epoch == epoch) {
        set = u->set;
        atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    }
    mutex_unlock(&t->mu);
    return set;
}

static void cache_set(struct table_cold *t, struct lam_slice user, uint64_t epoch,
                      struct segment_set *set) {
    struct segment_set *old = NULL;
    mutex_lock(&t->mu);
    struct user_state *u = table_cold_user(t, user);
    if (u && (!u->set || u->set_epoch <= epoch)) {
        old = u->set;
        u->set = set;
        u->set_epoch = epoch;
        atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    }
    mutex_unlock(&t->mu);
    segment_set_unref(old);
}

enum lam_code segment_set_get(struct table_cold *t, struct provider *p,
                              const lam_snapshot *snapshot, struct lam_slice user,
                              struct segment_set **set_out, struct lam_error *err) {
    *set_out = NULL;
    if (!atomic_load_explicit(&t->has_segments, memory_order_acquire))
        return LAM_OK;
    uint64_t epoch = atomic_load_explicit(&t->epoch, memory_order_acquire);
    uint64_t commit = atomic_load_explicit(&t->last_commit, memory_order_acquire);
    bool cacheable = epoch % 2 == 0 && lam_snapshot_sequence(snapshot) >= commit &&
                     atomic_load_explicit(&t->epoch, memory_order_acquire) == epoch;
    struct segment_set *set = cacheable ? cached_set(t, user, epoch) : NULL;
    if (!set) {
        TRY(segment_set_load(t->flush, p, snapshot, user, &set, err));
        if (cacheable)
            cache_set(t, user, epoch, set);
    }
    if (set->count == 0) {
        segment_set_unref(set);
        set = NULL;
    }
    *set_out = set;
    return LAM_OK;
}
