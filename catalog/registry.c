/* SPDX-License-Identifier: Apache-2.0
 *
 * Current providers in two chained hash tables over the same entries. A lookup takes the mutex,
 * hashes two short names, compares and takes a reference; it allocates nothing. Changes come from
 * one schema change at a time, prepared by registry_reserve so that publishing cannot fail. */
#include <stdlib.h>

#include "catalog/catalog_impl.h"

static inline struct registry_guarded *state(struct registry *r) REQUIRES(r->mu) {
    return &r->guarded_;
}

static uint64_t hash_names(struct lam_slice namespace_name, struct lam_slice name) {
    return hash_mix(hash_xxh3(namespace_name.data, namespace_name.size, 0),
                    hash_xxh3(name.data, name.size, 0));
}

static uint64_t hash_id(struct table_id table) {
    return hash_mix(table.number, 0);
}

void registry_init(struct registry *r) {
    mutex_init(&r->mu, RANK_REGISTRY);
}

/* Runs when nobody else can hold the catalog. */
void registry_fini(struct registry *r) NO_THREAD_SAFETY {
    struct registry_guarded *g = &r->guarded_;
    for (size_t i = 0; i < g->bucket_count; i++) {
        while (g->by_name[i]) {
            struct registry_entry *e = g->by_name[i];
            g->by_name[i] = e->next_by_name;
            provider_unref(e->provider);
            mem_free(e);
        }
    }
    mem_free(g->by_name);
    mem_free(g->by_id);
    mem_free(g->spare);
    mem_free(g->namespaces);
    mutex_fini(&r->mu);
}

static struct registry_entry *find_name(struct registry *r, struct lam_slice namespace_name,
                                        struct lam_slice name) REQUIRES(r->mu) {
    struct registry_guarded *g = state(r);
    if (!g->bucket_count)
        return NULL;
    uint64_t hash = hash_names(namespace_name, name);
    struct registry_entry *e = g->by_name[hash & (g->bucket_count - 1)];
    for (; e; e = e->next_by_name) {
        if (e->name_hash == hash && slice_eq_str(name, e->provider->name) &&
            slice_eq_str(namespace_name, e->provider->namespace_name))
            return e;
    }
    return NULL;
}

static struct registry_entry *find_id(struct registry *r, struct table_id table) REQUIRES(r->mu) {
    struct registry_guarded *g = state(r);
    if (!g->bucket_count)
        return NULL;
    struct registry_entry *e = g->by_id[hash_id(table) & (g->bucket_count - 1)];
    while (e && e->provider->table.number != table.number)
        e = e->next_by_id;
    return e;
}

struct provider *registry_find(struct registry *r, struct lam_slice namespace_name,
                               struct lam_slice name) {
    mutex_lock(&r->mu);
    struct registry_entry *e = find_name(r, namespace_name, name);
    struct provider *p = e ? provider_ref(e->provider) : NULL;
    mutex_unlock(&r->mu);
    return p;
}

struct provider *registry_find_id(struct registry *r, struct table_id table) {
    mutex_lock(&r->mu);
    struct registry_entry *e = find_id(r, table);
    struct provider *p = e ? provider_ref(e->provider) : NULL;
    mutex_unlock(&r->mu);
    return p;
}

/* --- changes --- */

static void link_entry(struct registry_entry **by_name, struct registry_entry **by_id,
                       size_t buckets, struct registry_entry *e) {
    struct registry_entry **name_slot = &by_name[e->name_hash & (buckets - 1)];
    struct registry_entry **id_slot = &by_id[hash_id(e->provider->table) & (buckets - 1)];
    e->next_by_name = *name_slot;
    *name_slot = e;
    e->next_by_id = *id_slot;
    *id_slot = e;
}

static bool grow_locked(struct registry *r) REQUIRES(r->mu) {
    struct registry_guarded *g = state(r);
    size_t buckets = g->bucket_count ? g->bucket_count * 2 : 64;
    struct registry_entry **by_name = mem_calloc(buckets, sizeof *by_name);
    struct registry_entry **by_id = mem_calloc(buckets, sizeof *by_id);
    if (!by_name || !by_id) {
        mem_free(by_name);
        mem_free(by_id);
        return false;
    }
    for (size_t i = 0; i < g->bucket_count; i++) {
        struct registry_entry *next;
        for (struct registry_entry *e = g->by_name[i]; e; e = next) {
            next = e->next_by_name;
            link_entry(by_name, by_id, buckets, e);
        }
    }
    mem_free(g->by_name);
    mem_free(g->by_id);
    g->by_name = by_name;
    g->by_id = by_id;
    g->bucket_count = buckets;
    return true;
}

static enum lam_code reserve_locked(struct registry *r, struct lam_error *err) REQUIRES(r->mu) {
    struct registry_guarded *g = state(r);
    if (g->count >= g->bucket_count && !grow_locked(r))
        return mem_fail(err, (g->bucket_count ? g->bucket_count * 2 : 64) * sizeof(void *));
    if (!g->spare) {
        g->spare = mem_calloc(1, sizeof *g->spare);
        if (!g->spare)
            return mem_fail(err, sizeof *g->spare);
    }
    return MEM_GROW(&g->namespaces, &g->namespace_capacity, g->namespace_count + 1, err);
}

enum lam_code registry_reserve(struct registry *r, struct lam_error *err) {
    mutex_lock(&r->mu);
    enum lam_code rc = reserve_locked(r, err);
    mutex_unlock(&r->mu);
    return rc;
}

void registry_publish(struct registry *r, struct provider *p) {
    struct provider *old = NULL;
    mutex_lock(&r->mu);
    struct registry_guarded *g = state(r);
    struct registry_entry *e = find_id(r, p->table);
    if (e) {
        old = e->provider;
        e->provider = p;
    } else {
        e = g->spare;
        LAM_ASSERT(e && g->bucket_count);
        g->spare = NULL;
        e->provider = p;
        e->name_hash = hash_names(lam_slice_str(p->namespace_name), lam_slice_str(p->name));
        link_entry(g->by_name, g->by_id, g->bucket_count, e);
        g->count++;
    }
    mutex_unlock(&r->mu);
    provider_unref(old);
}

void registry_remove(struct registry *r, struct table_id table) {
    mutex_lock(&r->mu);
    struct registry_guarded *g = state(r);
    struct registry_entry *e = find_id(r, table);
    if (e) {
        struct registry_entry **at = &g->by_name[e->name_hash & (g->bucket_count - 1)];
        while (*at != e)
            at = &(*at)->next_by_name;
        *at = e->next_by_name;
        at = &g->by_id[hash_id(table) & (g->bucket_count - 1)];
        while (*at != e)
            at = &(*at)->next_by_id;
        *at = e->next_by_id;
        g->count--;
    }
    mutex_unlock(&r->mu);
    if (e) {
        provider_unref(e->provider);
        mem_free(e);
    }
}

/* --- namespaces --- */

/* Position of a name, or where it belongs. */
static size_t namespace_position(struct registry *r, struct lam_slice name, bool *found_out)
    REQUIRES(r->mu) {
    struct registry_guarded *g = state(r);
    size_t low = 0, high = g->namespace_count;
    *found_out = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_cmp(lam_slice_str(g->namespaces[middle].name), name);
        if (order == 0) {
            *found_out = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool registry_has_namespace(struct registry *r, struct lam_slice name) {
    bool found;
    mutex_lock(&r->mu);
    namespace_position(r, name, &found);
    mutex_unlock(&r->mu);
    return found;
}

void registry_add_namespace(struct registry *r, struct lam_slice name) {
    LAM_ASSERT(name.size > 0 && name.size <= IDENTIFIER_MAX);
    bool found;
    mutex_lock(&r->mu);
    struct registry_guarded *g = state(r);
    size_t at = namespace_position(r, name, &found);
    if (!found) {
        LAM_ASSERT(g->namespace_count < g->namespace_capacity);
        memmove(g->namespaces + at + 1, g->namespaces + at,
                (g->namespace_count - at) * sizeof *g->namespaces);
        memcpy(g->namespaces[at].name, name.data, name.size);
        g->namespaces[at].name[name.size] = 0;
        g->namespace_count++;
    }
    mutex_unlock(&r->mu);
}

void registry_remove_namespace(struct registry *r, struct lam_slice name) {
    bool found;
    mutex_lock(&r->mu);
    struct registry_guarded *g = state(r);
    size_t at = namespace_position(r, name, &found);
    if (found) {
        g->namespace_count--;
        memmove(g->namespaces + at, g->namespaces + at + 1,
                (g->namespace_count - at) * sizeof *g->namespaces);
    }
    mutex_unlock(&r->mu);
}

/* --- walks --- */

static int by_names(const void *a, const void *b) {
    const struct provider *p = *(struct provider *const *)a;
    const struct provider *q = *(struct provider *const *)b;
    int order = strcmp(p->namespace_name, q->namespace_name);
    return order ? order : strcmp(p->name, q->name);
}

enum lam_code registry_collect(struct registry *r, struct lam_slice namespace_name,
                               struct provider ***providers_out, size_t *count_out,
                               struct lam_error *err) {
    struct provider **providers = NULL;
    size_t count = 0;
    mutex_lock(&r->mu);
    struct registry_guarded *g = state(r);
    size_t room = g->count ? g->count : 1;
    providers = mem_calloc(room, sizeof(struct provider *));
    for (size_t i = 0; providers && i < g->bucket_count; i++) {
        for (struct registry_entry *e = g->by_name[i]; e; e = e->next_by_name) {
            if (namespace_name.size == 0 ||
                slice_eq_str(namespace_name, e->provider->namespace_name))
                providers[count++] = provider_ref(e->provider);
        }
    }
    mutex_unlock(&r->mu);
    if (!providers)
        return mem_fail(err, room * sizeof(struct provider *));
    qsort(providers, count, sizeof(struct provider *), by_names);
    *providers_out = providers;
    *count_out = count;
    return LAM_OK;
}

void providers_free(struct provider **providers, size_t count) {
    for (size_t i = 0; i < count; i++)
        provider_unref(providers[i]);
    mem_free(providers);
}

/* --- the door --- */

enum lam_code catalog_provider(struct catalog *c, struct lam_slice namespace_name,
                               struct lam_slice name, struct provider **provider_out,
                               struct lam_error *err) {
    struct provider *p = registry_find(&c->registry, namespace_name, name);
    if (!p)
        return table_missing(c, namespace_name, name, err);
    *provider_out = p;
    return LAM_OK;
}

enum lam_code catalog_provider_by_id(struct catalog *c, struct table_id table,
                                     struct provider **provider_out, struct lam_error *err) {
    struct provider *p = registry_find_id(&c->registry, table);
    if (!p)
        return ERR(err, LAM_NOT_FOUND, "there is no table number %llu",
                   (unsigned long long)table.number);
    *provider_out = p;
    return LAM_OK;
}

enum lam_code catalog_each_provider(struct catalog *c, provider_fn fn, void *arg,
                                    struct lam_error *err) {
    struct provider **providers = NULL;
    size_t count = 0;
    TRY(registry_collect(&c->registry, SLICE_EMPTY, &providers, &count, err));
    for (size_t i = 0; i < count && fn(arg, providers[i]); i++)
        continue;
    providers_free(providers, count);
    return LAM_OK;
}

bool catalog_has_namespace(struct catalog *c, struct lam_slice name) {
    return registry_has_namespace(&c->registry, name);
}
