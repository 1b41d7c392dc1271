/* SPDX-License-Identifier: Apache-2.0
 *
 * Schemas: references, looking columns up, the layout of their rows, and what is a right one. */
#include "catalog/schema.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "catalog/schema_impl.h"

enum lam_code schema_new(uint32_t columns, struct schema **schema_out, struct lam_error *err) {
    LAM_ASSERT(columns >= 1);
    struct schema *s = mem_calloc(1, sizeof *s);
    if (!s)
        return mem_fail(err, sizeof *s);
    s->columns = arena_calloc(&s->arena, columns, sizeof *s->columns);
    if (!s->columns) {
        mem_free(s);
        return mem_fail(err, columns * sizeof *s->columns);
    }
    atomic_init(&s->refs, 1);
    s->version = 1;
    for (uint32_t i = 0; i < columns; i++)
        s->columns[i].key_position = -1;
    *schema_out = s;
    return LAM_OK;
}

struct schema *schema_ref(struct schema *s) {
    unsigned before = atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    LAM_ASSERT(before > 0);
    return s;
}

void schema_unref(struct schema *s) {
    if (!s)
        return;
    /* Release: what this thread did with it comes before its end; acquire: so do the others'. */
    unsigned before = atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel);
    LAM_ASSERT(before > 0);
    if (before > 1)
        return;
    arena_fini(&s->arena);
    mem_free(s);
}

/* --- sealing --- */

static int cmp_names(const void *a, const void *b) {
    return strcmp(((const struct column_name *)a)->name, ((const struct column_name *)b)->name);
}

static int cmp_ids(const void *a, const void *b) {
    uint32_t x = ((const struct column_id *)a)->id, y = ((const struct column_id *)b)->id;
    return x < y ? -1 : x > y;
}

static void lay_out(const struct schema *s, struct row_layout *l) {
    l->version_size = (uint32_t)varint_put(l->version, s->version);
    l->nulls = ROW_SEQ_OFFSET + 8 + l->version_size;
    l->fixed = l->nulls + (s->column_count + 7) / 8;
    uint32_t at = l->fixed;
    for (uint32_t i = 0; i < s->column_count; i++) {
        enum lam_type type = s->columns[i].type.type;
        if (coltype_is_variable(type)) {
            l->variable_count++;
            continue;
        }
        l->slots[i] = at;
        at += (uint32_t)row_width(type);
    }
    l->ends = at;
    for (uint32_t i = 0; i < s->column_count; i++) {
        if (!coltype_is_variable(s->columns[i].type.type))
            continue;
        l->slots[i] = at;
        at += 4;
    }
    l->variable = at;
}

enum lam_code schema_seal(struct schema *s, struct lam_error *err) {
    LAM_ASSERT(s->version >= 1 && s->column_count >= 1);
    uint32_t n = s->column_count;
    struct row_layout *l = arena_alloc(&s->arena, sizeof *l);
    if (!l)
        return mem_fail(err, sizeof *l);
    l->slots = arena_calloc(&s->arena, n, sizeof *l->slots);
    l->names = arena_calloc(&s->arena, n, sizeof *l->names);
    l->ids = arena_calloc(&s->arena, n, sizeof *l->ids);
    if (!l->slots || !l->names || !l->ids)
        return mem_fail(err, n * sizeof *l->names);
    lay_out(s, l);
    for (uint32_t i = 0; i < n; i++) {
        LAM_ASSERT(s->columns[i].name);
        l->names[i] = (struct column_name){s->columns[i].name, i};
        l->ids[i] = (struct column_id){s->columns[i].id, i};
    }
    qsort(l->names, n, sizeof *l->names, cmp_names);
    qsort(l->ids, n, sizeof *l->ids, cmp_ids);
    s->layout = l;
    return LAM_OK;
}

/* --- looking up --- */

int schema_find(const struct schema *s, struct lam_slice name) {
    const struct row_layout *l = s->layout;
    if (!l) { /* still being built */
        for (uint32_t i = 0; i < s->column_count; i++)
            if (s->columns[i].name && slice_eq_str(name, s->columns[i].name))
                return (int)i;
        return -1;
    }
    uint32_t low = 0, high = s->column_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int c = slice_cmp(lam_slice_str(l->names[middle].name), name);
        if (c == 0)
            return (int)l->names[middle].index;
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

int schema_find_id(const struct schema *s, uint32_t id) {
    const struct row_layout *l = s->layout;
    if (!l) {
        for (uint32_t i = 0; i < s->column_count; i++)
            if (s->columns[i].id == id)
                return (int)i;
        return -1;
    }
    uint32_t low = 0, high = s->column_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (l->ids[middle].id == id)
            return (int)l->ids[middle].index;
        if (l->ids[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* --- checking --- */

/* Whether a value may stand for a column of the type. */
static bool value_suits(const struct value *v, struct coltype type) {
    if (v->is_null)
        return v->type.type == LAM_TYPE_NULL || v->type.type == type.type;
    if (v->type.type != type.type || !value_in_range(v))
        return false;
    if (type.type == LAM_TYPE_DECIMAL)
        return v->type.scale == type.scale && decimal_fits(v->as.i128, type.precision);
    if (type.type == LAM_TYPE_TEXT)
        return utf8_valid(v->as.bytes, NULL) &&
               (type.length == 0 || utf8_length(v->as.bytes) <= type.length);
    return type.type != LAM_TYPE_JSON || json_valid(v->as.bytes, NULL);
}

static enum lam_code check_column(const struct schema *s, const struct schema_column *c,
                                  struct lam_error *err) {
    if (!c->name)
        return ERR(err, LAM_INVALID, "a column has no name");
    struct lam_error name_error;
    if (identifier_check(lam_slice_str(c->name), "column", &name_error) != LAM_OK)
        return ERR(err, LAM_INVALID, "%s", name_error.message);
    if (!coltype_valid(c->type))
        return ERR(err, LAM_INVALID, "column %s has no right type (%d)", c->name,
                   (int)c->type.type);
    if (c->id < 1 || c->id >= s->next_column_id || c->ordinal < 1 || c->ordinal >= s->next_ordinal)
        return ERR(err, LAM_INVALID, "column %s has id %u of %u and ordinal %u of %u", c->name,
                   c->id, s->next_column_id, c->ordinal, s->next_ordinal);
    if (c->on_insert.kind > DEFAULT_ULID ||
        (c->on_insert.kind == DEFAULT_VALUE && !value_suits(&c->on_insert.value, c->type)))
        return ERR(err, LAM_INVALID, "column %s has a default that does not suit it", c->name);
    if (!value_suits(&c->initial, c->type))
        return ERR(err, LAM_INVALID, "column %s has an initial value that does not suit it",
                   c->name);
    return LAM_OK;
}

static enum lam_code check_key(const struct schema *s, struct lam_error *err) {
    if (s->key_count < 1 || s->key_count > KEY_COLUMNS_MAX)
        return ERR(err, LAM_INVALID, "the key has %u columns, not 1 to %d", s->key_count,
                   KEY_COLUMNS_MAX);
    uint32_t in_key = 0;
    for (uint32_t i = 0; i < s->column_count; i++)
        in_key += s->columns[i].key_position >= 0;
    if (in_key != s->key_count)
        return ERR(err, LAM_INVALID, "%u columns say they are in a key of %u", in_key,
                   s->key_count);
    for (uint32_t k = 0; k < s->key_count; k++) {
        if (s->key[k] >= s->column_count)
            return ERR(err, LAM_INVALID, "key column %u is column %u of %u", k, s->key[k],
                       s->column_count);
        const struct schema_column *c = &s->columns[s->key[k]];
        if (c->key_position != (int)k || c->nullable)
            return ERR(err, LAM_INVALID, "key column %s is nullable or at another place (%d)",
                       c->name, c->key_position);
    }
    return LAM_OK;
}

/* Names, ids and ordinals occur once. The schema is sealed, so equal ones are neighbours. */
static enum lam_code check_unique(const struct schema *s, struct lam_error *err) {
    const struct row_layout *l = s->layout;
    for (uint32_t i = 1; i < s->column_count; i++) {
        if (strcmp(l->names[i - 1].name, l->names[i].name) == 0)
            return ERR(err, LAM_INVALID, "two columns are named %s", l->names[i].name);
        if (l->ids[i - 1].id == l->ids[i].id)
            return ERR(err, LAM_INVALID, "two columns have id %u", l->ids[i].id);
    }
    /* At most COLUMNS_MAX, and only when a schema is made or loaded. */
    for (uint32_t i = 1; i < s->column_count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (s->columns[i].ordinal == s->columns[j].ordinal)
                return ERR(err, LAM_INVALID, "two columns have ordinal %u", s->columns[i].ordinal);
    return LAM_OK;
}

enum lam_code schema_check(const struct schema *s, struct lam_error *err) {
    LAM_ASSERT(s->layout);
    if (s->column_count > COLUMNS_MAX || s->next_column_id >= COLUMN_ID_SEQ)
        return ERR(err, LAM_INVALID, "%u columns with ids up to %u", s->column_count,
                   s->next_column_id);
    for (uint32_t i = 0; i < s->column_count; i++)
        TRY(check_column(s, &s->columns[i], err));
    TRY(check_key(s, err));
    return check_unique(s, err);
}
