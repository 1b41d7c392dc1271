/* SPDX-License-Identifier: Apache-2.0
 *
 * Public calls of the entity store. Which entities are open is kept per database: two stores of one
 * entity would be two mutexes, and their writers no longer one at a time.
 *
 * Making: the description is stored, durably, before the first partition. Dropping: it is first
 * marked, then the partitions go, then it goes; whoever meets the mark finishes the drop. */
#include <stdio.h>

#include "base/assert.h"
#include "catalog/entity_api.h"

#define DESCRIPTION_FORMAT 1

enum description_state {
    STATE_LIVE = 1,
    STATE_DROPPING = 2,
};

struct entity_layer {
    lam_db *db;      /* borrowed */
    struct mutex mu; /* RANK_REGISTRY: one open, close or drop at a time */
    struct entity_layer_guarded {
        struct lam_entity *open; /* list */
    } guarded_;
};

static inline struct entity_layer_guarded *guarded(struct entity_layer *l) REQUIRES(l->mu) {
    return &l->guarded_;
}

static enum lam_code layer_open(lam_db *db, void **object_out, struct lam_error *err) {
    struct entity_layer *l = mem_calloc(1, sizeof *l);
    if (!l)
        return mem_fail(err, sizeof *l);
    l->db = db;
    mutex_init(&l->mu, RANK_REGISTRY);
    *object_out = l;
    return LAM_OK;
}

static enum lam_code layer_closing(void *object, struct lam_error *err) {
    struct entity_layer *l = object;
    uint32_t count = 0;
    const char *name = NULL;
    mutex_lock(&l->mu);
    for (struct lam_entity *e = guarded(l)->open; e; e = e->next, count++)
        name = e->def.name;
    mutex_unlock(&l->mu);
    if (count == 0)
        return LAM_OK;
    return ERR(err, LAM_BUSY, "%u entit%s open, one of them \"%s\"", count,
               count == 1 ? "y is" : "ies are", name);
}

static void layer_free(void *object) {
    struct entity_layer *l = object;
    mutex_fini(&l->mu);
    mem_free(l);
}

static enum lam_code layer_of(lam_db *db, struct entity_layer **out, struct lam_error *err) {
    static const struct db_attachment attachment = {
        .layer = DB_LAYER_ENTITY,
        .open = layer_open,
        .closing = layer_closing,
        .close = layer_free,
    };
    void *object = NULL;
    TRY(db_attach(db, &attachment, &object, err));
    *out = object;
    return LAM_OK;
}

static bool is_open(struct entity_layer *l, const char *name) REQUIRES(l->mu) {
    for (struct lam_entity *e = guarded(l)->open; e; e = e->next)
        if (strcmp(e->def.name, name) == 0)
            return true;
    return false;
}

/* --- stored descriptions --- */

/* `*text_out` points into `value`. NOT_FOUND if there is none. */
static enum lam_code load_description(lam_db *db, lam_partition *descriptions, const char *name,
                                      struct lam_value *value, enum description_state *state_out,
                                      struct lam_slice *text_out, struct lam_error *err) {
    TRY(lam_get(db, NULL, descriptions, lam_slice_str(name), value, err));
    struct cursor c = cursor_of(value->bytes);
    uint8_t format = cursor_u8(&c), state = cursor_u8(&c);
    if (c.failed || format != DESCRIPTION_FORMAT || state < STATE_LIVE || state > STATE_DROPPING)
        return ERR(err, LAM_CORRUPT, "partition %s: the description of \"%s\" has a bad header",
                   ENTITY_DESCRIPTIONS, name);
    *state_out = (enum description_state)state;
    *text_out = cursor_bytes(&c, cursor_left(&c));
    if (text_out->size == 0 || text_out->data[text_out->size - 1] != '\n')
        return ERR(err, LAM_CORRUPT, "partition %s: the description of \"%s\" is cut off",
                   ENTITY_DESCRIPTIONS, name);
    return LAM_OK;
}

static enum lam_code save_description(lam_db *db, lam_partition *descriptions, const char *name,
                                      enum description_state state, struct lam_slice text,
                                      struct lam_error *err) {
    struct lam_write_options options = {.durability = LAM_DURABILITY_SYNC};
    struct buf value = {0};
    enum lam_code rc = LAM_OK;
    TRY_GOTO(buf_append_u8(&value, DESCRIPTION_FORMAT, err));
    TRY_GOTO(buf_append_u8(&value, (uint8_t)state, err));
    TRY_GOTO(buf_append_slice(&value, text, err));
    rc = lam_put(db, &options, descriptions, lam_slice_str(name), buf_slice(&value), err);
out:
    buf_fini(&value);
    return rc;
}

/* Opens the partition of descriptions; NOT_FOUND if there is none and it may not be made. */
static enum lam_code open_descriptions(lam_db *db, bool may_make, lam_partition **out,
                                       struct lam_error *err) {
    struct lam_error missing = {0};
    enum lam_code rc = lam_partition_open(db, ENTITY_DESCRIPTIONS, out, &missing);
    if (rc == LAM_NOT_FOUND && may_make)
        return lam_partition_create(db, ENTITY_DESCRIPTIONS, NULL, out, err);
    return error_pass(err, rc, &missing);
}

/* --- dropping --- */

struct name_list {
    const char *entity;
    struct arena arena;
    struct listed {
        struct listed *next;
        char *name;
    } * first;
    bool no_memory;
};

static bool list_own(void *arg, const char *name) {
    struct name_list *list = arg;
    size_t prefix = strlen(ENTITY_PREFIX), size = strlen(list->entity);
    if (strncmp(name, ENTITY_PREFIX, prefix) != 0 ||
        strncmp(name + prefix, list->entity, size) != 0 ||
        (name[prefix + size] != '\0' && name[prefix + size] != '#'))
        return true;
    struct listed *item = arena_calloc(&list->arena, 1, sizeof *item);
    if (item)
        item->name = arena_strdup(&list->arena, name);
    list->no_memory = !item || !item->name;
    if (list->no_memory)
        return false;
    item->next = list->first;
    list->first = item;
    return true;
}

static enum lam_code drop_partitions(lam_db *db, const char *name, struct lam_error *err) {
    struct name_list list = {.entity = name};
    enum lam_code rc = LAM_OK;
    TRY_GOTO(lam_partition_list(db, list_own, &list, err));
    if (list.no_memory)
        TRY_GOTO(mem_fail(err, strlen(name)));
    for (struct listed *item = list.first; item; item = item->next) {
        lam_partition *partition = NULL;
        TRY_GOTO(lam_partition_open(db, item->name, &partition, err));
        rc = lam_partition_drop(db, partition, err);
        lam_partition_release(partition);
        if (rc != LAM_OK)
            goto out;
    }
out:
    arena_fini(&list.arena);
    return rc;
}

static enum lam_code finish_drop(lam_db *db, lam_partition *descriptions, const char *name,
                                 struct lam_error *err) {
    struct lam_write_options options = {.durability = LAM_DURABILITY_SYNC};
    TRY(drop_partitions(db, name, err));
    return lam_delete(db, &options, descriptions, lam_slice_str(name), err);
}

static enum lam_code drop_locked(struct entity_layer *l, const char *name, struct lam_error *err)
    REQUIRES(l->mu) {
    lam_partition *descriptions = NULL;
    struct lam_value value = {0};
    struct lam_slice text;
    enum description_state state;
    enum lam_code rc = LAM_OK;
    if (is_open(l, name))
        return ERR(err, LAM_BUSY, "entity \"%s\" is open: it can't be dropped", name);
    rc = open_descriptions(l->db, false, &descriptions, err);
    if (rc == LAM_OK)
        rc = load_description(l->db, descriptions, name, &value, &state, &text, err);
    if (rc == LAM_NOT_FOUND)
        TRY_GOTO(ERR(err, LAM_NOT_FOUND, "no entity \"%s\"", name));
    TRY_GOTO(rc);
    if (state == STATE_LIVE)
        TRY_GOTO(save_description(l->db, descriptions, name, STATE_DROPPING, text, err));
    rc = finish_drop(l->db, descriptions, name, err);
out:
    lam_value_release(&value);
    lam_partition_release(descriptions);
    return rc;
}

enum lam_code lam_entity_drop(lam_db *db, const char *name, struct lam_error *err) {
    struct entity_layer *l;
    if (!db || !entity_name_valid(name))
        return ERR(err, LAM_INVALID, "drop of an entity: %s", db ? "no valid name" : "db is NULL");
    TRY(layer_of(db, &l, err));
    mutex_lock(&l->mu);
    enum lam_code rc = drop_locked(l, name, err);
    mutex_unlock(&l->mu);
    return rc;
}

/* --- opening --- */

/* Stores the description of an entity that has none, or compares it with the one it has. */
static enum lam_code agree(lam_db *db, const struct lam_entity *e, struct lam_error *err) {
    lam_partition *descriptions = NULL;
    struct lam_value value = {0};
    struct lam_error missing = {0};
    struct lam_slice stored;
    struct buf text = {0};
    enum description_state state;
    enum lam_code rc = LAM_OK;
    const char *name = e->def.name;
    bool read_only = db_is_read_only(db);
    TRY_GOTO(entity_description(e, &text, err));
    rc = open_descriptions(db, !read_only, &descriptions, &missing);
    if (rc == LAM_OK)
        rc = load_description(db, descriptions, name, &value, &state, &stored, &missing);
    if (rc == LAM_OK && state == STATE_DROPPING) {
        if (!read_only)
            TRY_GOTO(finish_drop(db, descriptions, name, err));
        rc = LAM_NOT_FOUND;
    } else if (rc == LAM_OK) {
        TRY_GOTO(entity_compare(name, buf_slice(&text), stored, err));
    }
    if (rc == LAM_NOT_FOUND && read_only)
        rc = ERR(err, LAM_READ_ONLY, "entity \"%s\" cannot be made: opened read-only", name);
    else if (rc == LAM_NOT_FOUND)
        rc = save_description(db, descriptions, name, STATE_LIVE, buf_slice(&text), err);
    else if (rc != LAM_OK && err)
        *err = missing;
out:
    lam_value_release(&value);
    lam_partition_release(descriptions);
    buf_fini(&text);
    return rc;
}

static void free_entity(struct lam_entity *e) {
    entity_store_close(e->store);
    arena_fini(&e->memory);
    mem_free(e);
}

static enum lam_code open_locked(struct entity_layer *l, struct lam_entity *e,
                                 struct lam_error *err) REQUIRES(l->mu) {
    if (is_open(l, e->def.name))
        return ERR(err, LAM_BUSY, "entity \"%s\" is open already: share its handle", e->def.name);
    TRY(agree(l->db, e, err));
    TRY(entity_store_open(l->db, &e->def, &e->store, err));
    e->next = guarded(l)->open;
    guarded(l)->open = e;
    return LAM_OK;
}

enum lam_code lam_entity_open(lam_db *db, const struct lam_entity_desc *desc,
                              lam_entity **entity_out, struct lam_error *err) {
    if (!entity_out)
        return ERR(err, LAM_INVALID, "open of an entity: entity_out is NULL");
    *entity_out = NULL;
    if (!db || !desc)
        return ERR(err, LAM_INVALID, "open of an entity: %s is NULL", db ? "desc" : "db");
    struct lam_entity *e = mem_calloc(1, sizeof *e);
    if (!e)
        return mem_fail(err, sizeof *e);
    enum lam_code rc = LAM_OK;
    TRY_GOTO(entity_describe(e, desc, err));
    TRY_GOTO(layer_of(db, &e->layer, err));
    mutex_lock(&e->layer->mu);
    rc = open_locked(e->layer, e, err);
    mutex_unlock(&e->layer->mu);
out:
    if (rc != LAM_OK) {
        free_entity(e);
        return rc;
    }
    *entity_out = e;
    return LAM_OK;
}

void lam_entity_close(lam_entity *e) {
    if (!e || db_is_foreign(e->layer->db))
        return;
    struct entity_layer *l = e->layer;
    mutex_lock(&l->mu);
    struct lam_entity **at = &guarded(l)->open;
    while (*at != e) {
        LAM_ASSERT(*at);
        at = &(*at)->next;
    }
    *at = e->next;
    free_entity(e);
    mutex_unlock(&l->mu);
}

/* --- changes --- */

static enum lam_code check_call(const lam_entity *e, const void *cells, const char *what,
                                struct lam_error *err) {
    if (!e || !cells)
        return ERR(err, LAM_INVALID, "%s is NULL", e ? what : "entity");
    return db_check_process(e->layer->db, err);
}

static enum lam_code make_record(const lam_entity *e, const struct lam_cell *cells,
                                 struct arena *arena, struct value **out, struct lam_error *err) {
    struct value *record = arena_calloc(arena, e->def.field_count, sizeof *record);
    if (!record)
        return mem_fail(err, e->def.field_count * sizeof *record);
    for (uint32_t i = 0; i < e->def.field_count; i++)
        TRY(cell_to_value(&e->def, &e->def.fields[i], &cells[i], arena, &record[i], err));
    *out = record;
    return LAM_OK;
}

/* The first `count` key fields. */
static enum lam_code make_key(const lam_entity *e, const struct lam_cell *cells, uint32_t count,
                              struct arena *arena, struct value **out, struct lam_error *err) {
    uint32_t at = 0;
    if (count > record_key_count(&e->def))
        return ERR(err, LAM_INVALID, "%s%s: %u cells for a key of %u fields", e->def.prefix,
                   e->def.name, count, record_key_count(&e->def));
    struct value *key = arena_calloc(arena, (size_t)count + 1, sizeof *key);
    if (!key)
        return mem_fail(err, count * sizeof *key);
    for (uint32_t i = 0; at < count; i++) {
        if (!e->def.fields[i].key)
            continue;
        TRY(cell_to_value(&e->def, &e->def.fields[i], &cells[at], arena, &key[at], err));
        at++;
    }
    *out = key;
    return LAM_OK;
}

typedef enum lam_code (*change_fn)(struct entity_store *s, const struct value *values,
                                   enum lam_durability durability, struct lam_error *err);

static enum lam_code change(lam_entity *e, change_fn fn, const struct lam_cell *cells,
                            bool key_only, enum lam_durability durability, struct lam_error *err) {
    struct arena arena = {0};
    struct value *values = NULL;
    enum lam_code rc = LAM_OK;
    TRY(check_call(e, cells, key_only ? "key" : "record", err));
    if (key_only)
        TRY_GOTO(make_key(e, cells, record_key_count(&e->def), &arena, &values, err));
    else
        TRY_GOTO(make_record(e, cells, &arena, &values, err));
    rc = fn(e->store, values, durability, err);
out:
    arena_fini(&arena);
    return rc;
}

enum lam_code lam_entity_insert(lam_entity *e, const struct lam_cell *record,
                                enum lam_durability durability, struct lam_error *err) {
    return change(e, entity_insert, record, false, durability, err);
}
enum lam_code lam_entity_update(lam_entity *e, const struct lam_cell *record,
                                enum lam_durability durability, struct lam_error *err) {
    return change(e, entity_update, record, false, durability, err);
}
enum lam_code lam_entity_put(lam_entity *e, const struct lam_cell *record,
                             enum lam_durability durability, struct lam_error *err) {
    return change(e, entity_put, record, false, durability, err);
}
enum lam_code lam_entity_delete(lam_entity *e, const struct lam_cell *key,
                                enum lam_durability durability, struct lam_error *err) {
    return change(e, entity_delete, key, true, durability, err);
}

/* --- reads --- */

void lam_record_release(struct lam_record *record) {
    if (!record)
        return;
    struct arena *arena = record->memory;
    if (arena)
        arena_fini(arena);
    mem_free(arena);
    *record = (struct lam_record){0};
}

enum lam_code lam_entity_get(lam_entity *e, const lam_snapshot *snapshot,
                             const struct lam_cell *key, struct lam_record *record_out,
                             struct lam_error *err) {
    struct value *values, *record;
    struct lam_cell *cells;
    enum lam_code rc = LAM_OK;
    TRY(check_call(e, key, "key", err));
    if (!record_out)
        return ERR(err, LAM_INVALID, "record_out is NULL");
    struct arena *arena = mem_calloc(1, sizeof *arena);
    if (!arena)
        return mem_fail(err, sizeof *arena);
    TRY_GOTO(make_key(e, key, record_key_count(&e->def), arena, &values, err));
    record = arena_calloc(arena, e->def.field_count, sizeof *record);
    if (!record)
        TRY_GOTO(mem_fail(err, e->def.field_count * sizeof *record));
    TRY_GOTO(entity_get(e->store, snapshot, values, arena, record, err));
    TRY_GOTO(cells_of_record(&e->def, record, arena, &cells, err));
    *record_out = (struct lam_record){cells, e->def.field_count, arena};
    return LAM_OK;
out:
    arena_fini(arena);
    mem_free(arena);
    return rc;
}

/* What a scan hands to the caller's function. */
struct scan {
    const lam_entity *e;
    lam_entity_fn fn;
    void *arg;
    struct arena arena; /* one record's cells */
    enum lam_code rc;
    struct lam_error *err;
};

static bool hand_over(void *arg, const struct value *record) {
    struct scan *scan = arg;
    struct lam_cell *cells;
    arena_reset(&scan->arena);
    scan->rc = cells_of_record(&scan->e->def, record, &scan->arena, &cells, scan->err);
    return scan->rc == LAM_OK && scan->fn(scan->arg, cells);
}

enum lam_code lam_entity_scan(lam_entity *e, const lam_snapshot *snapshot,
                              const struct lam_cell *prefix, uint32_t prefix_count,
                              lam_entity_fn fn, void *arg, struct lam_error *err) {
    struct scan scan = {.e = e, .fn = fn, .arg = arg, .err = err};
    struct arena arena = {0};
    struct value *key;
    enum lam_code rc = LAM_OK;
    TRY(check_call(e, prefix_count == 0 ? (const void *)e : prefix, "prefix", err));
    if (!fn)
        return ERR(err, LAM_INVALID, "fn is NULL");
    TRY_GOTO(make_key(e, prefix, prefix_count, &arena, &key, err));
    TRY_GOTO(entity_scan(e->store, snapshot, key, prefix_count, hand_over, &scan, err));
    rc = scan.rc;
out:
    arena_fini(&scan.arena);
    arena_fini(&arena);
    return rc;
}

static enum lam_code find_plan(const lam_entity *e, const char *index,
                               const struct index_plan **out, struct lam_error *err) {
    for (uint32_t i = 0; index && i < e->def.index_count; i++)
        if (strcmp(e->def.indexes[i].name, index) == 0) {
            *out = &e->plans[i];
            return LAM_OK;
        }
    return ERR(err, LAM_INVALID, "%s%s has no index \"%.80s\"", e->def.prefix, e->def.name,
               index ? index : "(null)");
}

/* The front of the entries whose first `count` parts equal the cells. A NULL is asked for as such
 * where the field may be NULL, as entries have it. */
static enum lam_code index_prefix(const lam_entity *e, const char *index,
                                  const struct lam_cell *cells, uint32_t count, struct buf *out,
                                  struct lam_error *err) {
    const struct index_plan *plan;
    struct arena arena = {0};
    enum lam_code rc = LAM_OK;
    TRY(find_plan(e, index, &plan, err));
    if (count > plan->part_count)
        return ERR(err, LAM_INVALID, "%s%s: %u cells for index \"%s\" of %u parts", e->def.prefix,
                   e->def.name, count, index, plan->part_count);
    for (uint32_t i = 0; i < count; i++) {
        const struct entity_field *field = &e->def.fields[plan->parts[i].field];
        struct value v;
        TRY_GOTO(cell_to_value(&e->def, field, &cells[i], &arena, &v, err));
        TRY_GOTO(key_put_value(out, &v, field->nullable, plan->parts[i].descending, err));
    }
out:
    arena_fini(&arena);
    return rc;
}

enum lam_code lam_entity_scan_index(lam_entity *e, const lam_snapshot *snapshot, const char *index,
                                    const struct lam_cell *prefix, uint32_t prefix_count,
                                    lam_entity_fn fn, void *arg, struct lam_error *err) {
    struct scan scan = {.e = e, .fn = fn, .arg = arg, .err = err};
    struct buf bytes = {0};
    enum lam_code rc = LAM_OK;
    TRY(check_call(e, prefix_count == 0 ? (const void *)e : prefix, "prefix", err));
    if (!fn)
        return ERR(err, LAM_INVALID, "fn is NULL");
    TRY_GOTO(index_prefix(e, index, prefix, prefix_count, &bytes, err));
    TRY_GOTO(
        entity_scan_index(e->store, snapshot, index, buf_slice(&bytes), hand_over, &scan, err));
    rc = scan.rc;
out:
    arena_fini(&scan.arena);
    buf_fini(&bytes);
    return rc;
}
