/* SPDX-License-Identifier: Apache-2.0
 *
 * CREATE and DROP INDEX. An index is built while all stripes of its table are held: first its
 * partition and the entries of all hot rows, then the table's record that names it, synced. The log
 * keeps that order, so after a crash an index either has no record, and its partition is removed by
 * the next attach, or it is whole. */
#include "catalog/catalog_impl.h"

/* Entries committed at a time while building. */
#define BUILD_BATCH_BYTES (4u << 20)

struct owner_search {
    struct lam_slice namespace_name, name;
    struct provider *found; /* reference */
};

static bool has_index(void *arg, struct provider *p) {
    struct owner_search *s = arg;
    if (slice_eq_str(s->namespace_name, p->namespace_name) && provider_find_index(p, s->name) >= 0)
        s->found = provider_ref(p);
    return s->found == NULL;
}

/* The table that has an index of this name: a reference, or NULL. */
static enum lam_code find_owner(struct catalog *c, struct lam_slice namespace_name,
                                struct lam_slice name, struct provider **owner_out,
                                struct lam_error *err) {
    struct owner_search s = {.namespace_name = namespace_name, .name = name};
    TRY(catalog_each_provider(c, has_index, &s, err));
    *owner_out = s.found;
    return LAM_OK;
}

static enum lam_code describe(const struct provider *p, const struct index_spec *spec,
                              struct table_index *out, struct lam_error *err) {
    memset(out, 0, sizeof *out);
    if (spec->column_count == 0 || spec->column_count > INDEX_COLUMNS_MAX)
        return ERR_SQL(err, "54011", 0, "an index has 1 to %d columns, not %u", INDEX_COLUMNS_MAX,
                       spec->column_count);
    out->number = p->next_index_number;
    memcpy(out->name, spec->name.data, spec->name.size);
    out->unique = spec->unique;
    out->column_count = spec->column_count;
    for (uint32_t i = 0; i < spec->column_count; i++) {
        int column = schema_find(p->schema, spec->columns[i]);
        if (column < 0)
            return column_missing(p, spec->columns[i], err);
        out->column_ids[i] = p->schema->columns[column].id;
        for (uint32_t k = 0; k < i; k++) {
            if (out->column_ids[k] == out->column_ids[i])
                return ERR_SQL(err, "42701", 0, "column \"%s\" is twice in index \"%s\"",
                               p->schema->columns[column].name, out->name);
        }
    }
    return LAM_OK;
}

/* --- building --- */

struct build {
    struct provider *p;              /* the version that has the index, not published */
    const struct table_index *index; /* in `p` */
    lam_batch *batch;
    struct buf entry;
};

static enum lam_code flush_batch(struct build *b, struct lam_error *err) {
    if (lam_batch_count(b->batch) == 0)
        return LAM_OK;
    TRY(lam_write(b->p->catalog->db, NULL, b->batch, NULL, err));
    lam_batch_reset(b->batch);
    return LAM_OK;
}

static enum lam_code add_row(struct build *b, struct lam_slice key, struct lam_slice row,
                             struct lam_error *err) {
    const struct provider *p = b->p;
    struct row_header header;
    struct value values[INDEX_COLUMNS_MAX];
    TRY(row_header_decode(row, &header, err));
    if (header.deleted)
        return LAM_OK;
    const struct schema *written = provider_schema(p, header.schema_version);
    if (!written)
        return ERR(err, LAM_CORRUPT, "partition %s: a row of schema version %u; there are %u",
                   lam_partition_name(p->hot), header.schema_version, p->schema_count);
    for (uint32_t i = 0; i < b->index->column_count; i++) {
        int column = schema_find_id(p->schema, b->index->column_ids[i]);
        TRY(row_column(row, written, p->schema, (uint32_t)column, &values[i], err));
    }
    /* The row's key is [user], then primary key: both parts of the entry. */
    struct lam_slice user_part = SLICE_EMPTY;
    if (p->kind != TABLE_SHARED)
        TRY(row_key_user_part(key, &user_part, err));
    buf_reset(&b->entry);
    TRY(buf_append_slice(&b->entry, user_part, err));
    for (uint32_t i = 0; i < b->index->column_count; i++)
        TRY(key_put_value(&b->entry, &values[i], true, false, err));
    TRY(buf_append(&b->entry, key.data + user_part.size, key.size - user_part.size, err));
    TRY(lam_batch_put(b->batch, b->index->partition, buf_slice(&b->entry), SLICE_EMPTY, err));
    return lam_batch_bytes(b->batch) < BUILD_BATCH_BYTES ? LAM_OK : flush_batch(b, err);
}

static enum lam_code build_entries(struct provider *p, const struct table_index *index,
                                   struct lam_error *err) {
    struct build b = {.p = p, .index = index};
    lam_iter *it = NULL;
    enum lam_code rc = LAM_OK;
    TRY_GOTO(lam_batch_new(p->catalog->db, &b.batch, err));
    TRY_GOTO(lam_iter_new(p->catalog->db, NULL, p->hot, &it, err));
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it))
        TRY_GOTO(add_row(&b, lam_iter_key(it), lam_iter_value(it), err));
    TRY_GOTO(lam_iter_status(it, err));
    rc = flush_batch(&b, err);
out:
    lam_iter_free(it);
    lam_batch_free(b.batch);
    buf_fini(&b.entry);
    return rc;
}

/* Whether two neighbouring entries agree in all but the primary key: hot rows only. */
static enum lam_code hot_duplicates(struct provider *p, const struct table_index *index,
                                    bool *duplicate_out, struct lam_error *err) {
    struct lam_read_options options = {.keys_only = true};
    struct buf last = {0};
    lam_iter *it = NULL;
    enum lam_code rc = LAM_OK;
    bool has_last = false;
    *duplicate_out = false;
    TRY_GOTO(lam_iter_new(p->catalog->db, &options, index->partition, &it, err));
    for (lam_iter_seek_first(it); !*duplicate_out && lam_iter_valid(it); lam_iter_next(it)) {
        struct lam_slice columns;
        bool has_null;
        TRY_GOTO(index_entry_columns(p, index, lam_iter_key(it), &columns, &has_null, err));
        *duplicate_out = has_last && !has_null && slice_eq(columns, buf_slice(&last));
        has_last = !has_null;
        buf_reset(&last);
        TRY_GOTO(buf_append_slice(&last, columns, err));
    }
    if (!*duplicate_out)
        rc = lam_iter_status(it, err);
out:
    lam_iter_free(it);
    buf_fini(&last);
    return rc;
}

static enum lam_code check_unique(struct provider *p, const struct index_spec *spec,
                                  const struct table_index *index, struct lam_error *err) {
    bool duplicate = false;
    if (!index->unique)
        return LAM_OK;
    if (spec->duplicate)
        TRY(spec->duplicate(spec->duplicate_arg, p, index, &duplicate, err));
    else
        TRY(hot_duplicates(p, index, &duplicate, err));
    if (duplicate)
        return ERR_SQL(err, "23505", 0,
                       "index \"%s\" can't be unique: rows of %s.%s share its values", index->name,
                       p->namespace_name, p->name);
    return LAM_OK;
}

/* --- create --- */

static enum lam_code commit_indexes(struct provider *next, bool *visible_out,
                                    struct lam_error *err) {
    struct catalog *c = next->catalog;
    lam_batch *batch = NULL;
    enum lam_code rc = LAM_OK;
    TRY_GOTO(registry_reserve(&c->registry, err));
    TRY_GOTO(lam_batch_new(c->db, &batch, err));
    TRY_GOTO(table_record_put(next, batch, err));
    rc = ddl_commit(c, batch, visible_out, err);
out:
    lam_batch_free(batch);
    return rc;
}

static void publish(struct provider *next) {
    provider_advance(next);
    registry_publish(&next->catalog->registry, next);
    catalog_bump(next->catalog);
}

/* The caller holds all stripes of `p`. */
static enum lam_code create_striped(struct provider *p, const struct index_spec *spec,
                                    struct lam_error *err) {
    struct catalog *c = p->catalog;
    struct provider *next = NULL;
    struct table_index index;
    struct lam_partition_options options = {.ttl_seconds = (uint32_t)p->options.ttl_seconds};
    char name[PARTITION_NAME_BYTES];
    bool made = false, visible = false;
    TRY(describe(p, spec, &index, err));
    TRY(provider_clone(p, &next, err));
    index_partition_name(p, index.name, name);
    enum lam_code rc = LAM_OK;
    TRY_GOTO(partition_make(c, name, &options, &index.partition, err));
    made = true;
    rc = provider_add_index(next, &index, err);
    if (rc != LAM_OK) {
        lam_partition_release(index.partition);
        goto out;
    }
    next->next_index_number++;
    const struct table_index *built = &next->indexes[next->index_count - 1];
    TRY_GOTO(build_entries(next, built, err));
    TRY_GOTO(check_unique(next, spec, built, err));
    rc = commit_indexes(next, &visible, err);
    if (visible) {
        publish(next);
        return rc;
    }
out:
    provider_unref(next);
    if (made && rc != LAM_UNKNOWN_OUTCOME)
        IGNORE(partition_discard(c, name, NULL), "no table names it; the next attach removes it");
    return rc;
}

static enum lam_code create_locked(struct catalog *c, const struct actor *who,
                                   const struct index_spec *spec, bool *created_out,
                                   struct lam_error *err) REQUIRES(c->ddl) {
    struct provider *owner = NULL, *p = NULL;
    TRY(catalog_provider(c, spec->namespace_name, spec->table, &p, err));
    enum lam_code rc = LAM_OK;
    if (!access_may(who->role, ACTION_CREATE_INDEX, p->kind))
        TRY_GOTO(access_denied(err, who->user, who->role, "create an index on %s table %s.%s",
                               table_kind_name(p->kind), p->namespace_name, p->name));
    TRY_GOTO(find_owner(c, spec->namespace_name, spec->name, &owner, err));
    if (owner) {
        if (!spec->if_not_exists)
            rc = ERR_SQL(err, "42P07", 0, "index \"%.*s\" exists already, on table %s.%s",
                         (int)spec->name.size, spec->name.data, owner->namespace_name, owner->name);
        goto out;
    }
    provider_lock_all(p);
    rc = create_striped(p, spec, err);
    provider_unlock_all(p);
    *created_out = rc == LAM_OK;
out:
    provider_unref(owner);
    provider_unref(p);
    return rc;
}

enum lam_code catalog_create_index(struct catalog *c, const struct actor *who,
                                   const struct index_spec *spec, bool *created_out,
                                   struct lam_error *err) {
    bool created = false;
    TRY(namespace_require(c, spec->namespace_name, err));
    TRY(identifier_check(spec->name, "index", err));
    mutex_lock(&c->ddl);
    enum lam_code rc = create_locked(c, who, spec, &created, err);
    mutex_unlock(&c->ddl);
    if (rc == LAM_OK && created_out)
        *created_out = created;
    return rc;
}

/* --- drop --- */

/* The caller holds all stripes of `p`. */
static enum lam_code drop_striped(struct provider *p, uint32_t position, struct lam_error *err) {
    struct provider *next = NULL;
    TRY(provider_clone(p, &next, err));
    provider_remove_index(next, position);
    bool visible = false;
    enum lam_code rc = commit_indexes(next, &visible, err);
    if (!visible) {
        provider_unref(next);
        return rc;
    }
    publish(next);
    if (rc == LAM_OK)
        IGNORE(lam_partition_drop(p->catalog->db, p->indexes[position].partition, NULL),
               "no table names it any more: the next attach removes it");
    return rc;
}

static enum lam_code drop_locked(struct catalog *c, const struct actor *who,
                                 struct lam_slice namespace_name, struct lam_slice name,
                                 bool if_exists, bool *dropped_out, struct lam_error *err)
    REQUIRES(c->ddl) {
    struct provider *p = NULL;
    TRY(find_owner(c, namespace_name, name, &p, err));
    if (!p && if_exists)
        return LAM_OK;
    if (!p)
        return ERR_SQL(err, "42704", 0, "there is no index \"%.*s\" in namespace \"%.*s\"",
                       name.size > IDENTIFIER_MAX ? IDENTIFIER_MAX : (int)name.size, name.data,
                       (int)namespace_name.size, namespace_name.data);
    enum lam_code rc;
    if (!access_may(who->role, ACTION_CREATE_INDEX, p->kind)) {
        rc = access_denied(err, who->user, who->role, "drop an index of %s table %s.%s",
                           table_kind_name(p->kind), p->namespace_name, p->name);
    } else {
        provider_lock_all(p);
        rc = drop_striped(p, (uint32_t)provider_find_index(p, name), err);
        provider_unlock_all(p);
    }
    *dropped_out = rc == LAM_OK;
    provider_unref(p);
    return rc;
}

enum lam_code catalog_drop_index(struct catalog *c, const struct actor *who,
                                 struct lam_slice namespace_name, struct lam_slice name,
                                 bool if_exists, bool *dropped_out, struct lam_error *err) {
    bool dropped = false;
    TRY(namespace_require(c, namespace_name, err));
    mutex_lock(&c->ddl);
    enum lam_code rc = drop_locked(c, who, namespace_name, name, if_exists, &dropped, err);
    mutex_unlock(&c->ddl);
    if (rc == LAM_OK && dropped_out)
        *dropped_out = dropped;
    return rc;
}
