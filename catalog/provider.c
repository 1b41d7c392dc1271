/* SPDX-License-Identifier: Apache-2.0
 *
 * Providers: building versions, references, and the write stripes that all versions of a table
 * share. */
#include <stdio.h>

#include "catalog/catalog_impl.h"

void table_options_init(struct table_options *o) {
    memset(o, 0, sizeof *o);
    memcpy(o->storage, STORAGE_BUILT_IN, sizeof STORAGE_BUILT_IN);
    o->deleted_retention_hours = 168;
    o->lz4 = true;
}

/* --- shared state --- */

static struct table_shared *shared_new(void) {
    struct table_shared *s = mem_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    atomic_init(&s->refs, 1);
    for (unsigned i = 0; i < WRITE_STRIPES; i++)
        mutex_init(&s->stripes[i], RANK_STRIPE);
    return s;
}

static void shared_unref(struct table_shared *s) {
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    void *cold = atomic_load_explicit(&s->cold, memory_order_acquire);
    if (cold && s->cold_free)
        s->cold_free(cold);
    for (unsigned i = 0; i < WRITE_STRIPES; i++)
        mutex_fini(&s->stripes[i]);
    mem_free(s);
}

/* --- making --- */

static struct provider *provider_alloc(struct catalog *c) {
    struct provider *p = mem_calloc(1, sizeof *p);
    if (!p)
        return NULL;
    atomic_init(&p->refs, 1);
    p->catalog = c;
    atomic_fetch_add_explicit(&c->providers, 1, memory_order_relaxed);
    return p;
}

enum lam_code provider_new(struct catalog *c, struct provider **provider_out,
                           struct lam_error *err) {
    struct provider *p = provider_alloc(c);
    if (!p)
        return mem_fail(err, sizeof *p);
    p->shared = shared_new();
    if (!p->shared) {
        provider_unref(p);
        return mem_fail(err, sizeof *p->shared);
    }
    table_options_init(&p->options);
    p->next_index_number = 1;
    *provider_out = p;
    return LAM_OK;
}

static enum lam_code clone_parts(const struct provider *from, struct provider *p,
                                 struct lam_error *err) {
    if (from->options.location) {
        p->options.location = mem_strdup(from->options.location);
        if (!p->options.location)
            return mem_fail(err, strlen(from->options.location));
    }
    for (uint32_t i = 0; i < from->schema_count; i++)
        TRY(provider_add_schema(p, schema_ref(from->schemas[i]), err));
    for (uint32_t i = 0; i < from->index_count; i++) {
        struct table_index index = from->indexes[i];
        index.partition = NULL;
        TRY(provider_add_index(p, &index, err));
    }
    return provider_open_partitions(p, err);
}

enum lam_code provider_clone(const struct provider *from, struct provider **provider_out,
                             struct lam_error *err) {
    struct provider *p = provider_alloc(from->catalog);
    if (!p)
        return mem_fail(err, sizeof *p);
    p->table = from->table;
    memcpy(p->namespace_name, from->namespace_name, sizeof p->namespace_name);
    memcpy(p->name, from->name, sizeof p->name);
    p->kind = from->kind;
    p->options = from->options;
    p->options.location = NULL;
    p->created_us = from->created_us;
    p->next_index_number = from->next_index_number;
    atomic_fetch_add_explicit(&from->shared->refs, 1, memory_order_relaxed);
    p->shared = from->shared;
    enum lam_code rc = clone_parts(from, p, err);
    if (rc != LAM_OK) {
        provider_unref(p);
        return rc;
    }
    *provider_out = p;
    return LAM_OK;
}

enum lam_code provider_add_schema(struct provider *p, struct schema *schema,
                                  struct lam_error *err) {
    struct schema **grown =
        mem_realloc(p->schemas, (p->schema_count + 1) * sizeof(struct schema *));
    if (!grown) {
        schema_unref(schema);
        return mem_fail(err, (p->schema_count + 1) * sizeof(struct schema *));
    }
    LAM_ASSERT(schema->version == p->schema_count + 1);
    p->schemas = grown;
    p->schemas[p->schema_count++] = schema;
    schema_unref(p->schema);
    p->schema = schema_ref(schema);
    return LAM_OK;
}

enum lam_code provider_add_index(struct provider *p, const struct table_index *index,
                                 struct lam_error *err) {
    struct table_index *grown = mem_realloc(p->indexes, (p->index_count + 1) * sizeof *p->indexes);
    if (!grown)
        return mem_fail(err, (p->index_count + 1) * sizeof *p->indexes);
    p->indexes = grown;
    p->indexes[p->index_count++] = *index;
    return LAM_OK;
}

void provider_remove_index(struct provider *p, uint32_t position) {
    LAM_ASSERT(position < p->index_count);
    lam_partition_release(p->indexes[position].partition);
    p->index_count--;
    memmove(p->indexes + position, p->indexes + position + 1,
            (p->index_count - position) * sizeof *p->indexes);
}

int provider_find_index(const struct provider *p, struct lam_slice name) {
    for (uint32_t i = 0; i < p->index_count; i++) {
        if (slice_eq_str(name, p->indexes[i].name))
            return (int)i;
    }
    return -1;
}

void hot_partition_name(const struct provider *p, char *out) {
    snprintf(out, PARTITION_NAME_BYTES, "%s:%s:%s", table_kind_name(p->kind), p->namespace_name,
             p->name);
}

void segments_partition_name(const struct provider *p, char *out) {
    snprintf(out, PARTITION_NAME_BYTES, "%s:%s:%s@segments", table_kind_name(p->kind),
             p->namespace_name, p->name);
}

void index_partition_name(const struct provider *p, const char *index, char *out) {
    snprintf(out, PARTITION_NAME_BYTES, "%s:%s:%s#%s", table_kind_name(p->kind), p->namespace_name,
             p->name, index);
}

static enum lam_code open_named(struct provider *p, const char *name, lam_partition **out,
                                struct lam_error *err) {
    if (*out)
        return LAM_OK;
    struct lam_error missing = {0};
    enum lam_code rc = lam_partition_open(p->catalog->db, name, out, &missing);
    if (rc == LAM_NOT_FOUND)
        return ERR(err, LAM_CORRUPT, "table %s.%s: its partition %s is missing", p->namespace_name,
                   p->name, name);
    return error_pass(err, rc, &missing);
}

enum lam_code provider_open_partitions(struct provider *p, struct lam_error *err) {
    char name[PARTITION_NAME_BYTES];
    hot_partition_name(p, name);
    TRY(open_named(p, name, &p->hot, err));
    if (p->kind != TABLE_STREAM) {
        segments_partition_name(p, name);
        TRY(open_named(p, name, &p->segments, err));
    }
    for (uint32_t i = 0; i < p->index_count; i++) {
        index_partition_name(p, p->indexes[i].name, name);
        TRY(open_named(p, name, &p->indexes[i].partition, err));
    }
    return LAM_OK;
}

/* --- references --- */

struct provider *provider_ref(struct provider *p) {
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void provider_unref(struct provider *p) {
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < p->index_count; i++)
        lam_partition_release(p->indexes[i].partition);
    mem_free(p->indexes);
    lam_partition_release(p->hot);
    lam_partition_release(p->segments);
    for (uint32_t i = 0; i < p->schema_count; i++)
        schema_unref(p->schemas[i]);
    mem_free(p->schemas);
    schema_unref(p->schema);
    mem_free(p->options.location);
    shared_unref(p->shared);
    atomic_fetch_sub_explicit(&p->catalog->providers, 1, memory_order_relaxed);
    mem_free(p);
}

uint64_t catalog_provider_count(const struct catalog *c) {
    return atomic_load_explicit(&c->providers, memory_order_relaxed);
}

const struct schema *provider_schema(const struct provider *p, uint32_t version) {
    return version >= 1 && version <= p->schema_count ? p->schemas[version - 1] : NULL;
}

/* --- stripes --- */

enum lam_code provider_write_lock(struct provider *p, struct lam_slice user, unsigned *stripe_out,
                                  struct lam_error *err) {
    unsigned stripe = 0;
    if (p->kind == TABLE_USER || p->kind == TABLE_STREAM)
        stripe = (unsigned)(hash_xxh3(user.data, user.size, 0) % WRITE_STRIPES);
    struct table_shared *s = p->shared;
    mutex_lock(&s->stripes[stripe]);
    bool dropped = atomic_load_explicit(&s->dropped, memory_order_acquire);
    if (!dropped && atomic_load_explicit(&s->generation, memory_order_acquire) == p->generation) {
        *stripe_out = stripe;
        return LAM_OK;
    }
    mutex_unlock(&s->stripes[stripe]);
    if (dropped)
        return ERR_SQL(err, "42P01", 0, "table %s.%s was dropped", p->namespace_name, p->name);
    return ERR(err, LAM_CONFLICT, "table %s.%s was altered; prepare the statement again",
               p->namespace_name, p->name);
}

void provider_write_unlock(struct provider *p, unsigned stripe) {
    LAM_ASSERT(stripe < WRITE_STRIPES);
    mutex_unlock(&p->shared->stripes[stripe]);
}

void provider_lock_all(struct provider *p) {
    for (unsigned i = 0; i < WRITE_STRIPES; i++)
        mutex_lock(&p->shared->stripes[i]);
}

void provider_unlock_all(struct provider *p) {
    for (unsigned i = WRITE_STRIPES; i-- > 0;)
        mutex_unlock(&p->shared->stripes[i]);
}

void provider_advance(struct provider *p) {
    p->generation = atomic_load_explicit(&p->shared->generation, memory_order_relaxed) + 1;
    atomic_store_explicit(&p->shared->current_version, p->schema->version, memory_order_relaxed);
    atomic_store_explicit(&p->shared->generation, p->generation, memory_order_release);
}
