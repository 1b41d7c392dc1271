/* SPDX-License-Identifier: Apache-2.0
 *
 * States of a database and their sums. */
#include "tests/sim/model_sql.h"

#include <stdlib.h>
#include <string.h>

static void *grab(size_t size) {
    void *p = calloc(1, size ? size : 1);
    if (!p)
        abort();
    return p;
}

/* --- sums --- */

static uint64_t mix(uint64_t h, uint64_t v) {
    h = (h ^ v) * UINT64_C(0x9fb21c651e98df25);
    return h ^ (h >> 35);
}

void msql_hash_u64(struct msql_hash *h, uint64_t value) {
    h->low = mix(h->low + UINT64_C(0x632be59bd9b4e019), value);
    h->high = mix(h->high + UINT64_C(0x9e3779b97f4a7c15), value * UINT64_C(0xff51afd7ed558ccd));
}

void msql_hash_bytes(struct msql_hash *h, const void *data, size_t size) {
    const uint8_t *at = data;
    msql_hash_u64(h, size);
    for (; size >= 8; at += 8, size -= 8) {
        uint64_t v;
        memcpy(&v, at, 8);
        msql_hash_u64(h, v);
    }
    uint64_t v = 0;
    if (size)
        memcpy(&v, at, size);
    msql_hash_u64(h, v);
}

void msql_hash_add(struct msql_hash *sum, struct msql_hash item) {
    msql_hash_u64(&item, 1);
    sum->low += item.low;
    sum->high += item.high;
}

/* --- rows --- */

bool msql_value_eq(const struct msql_value *a, const struct msql_value *b) {
    if (a->null || b->null)
        return a->null == b->null;
    if (a->n != b->n || a->size != b->size || !a->text != !b->text)
        return false;
    return !a->text || memcmp(a->text, b->text, a->size) == 0;
}

static void hash_value(struct msql_hash *h, const struct msql_value *v) {
    msql_hash_u64(h, v->null ? 1 : v->text ? 2 : 3);
    if (!v->null && v->text)
        msql_hash_bytes(h, v->text, v->size);
    else if (!v->null)
        msql_hash_u64(h, (uint64_t)v->n);
}

struct msql_row *msql_row_new(const struct msql_value *values, uint32_t count) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        bytes += values[i].text && !values[i].null ? values[i].size : 0;
    struct msql_row *row = grab(sizeof *row + count * sizeof *values + bytes);
    char *at = (char *)&row->values[count];
    row->refs = 1;
    row->count = count;
    for (uint32_t i = 0; i < count; i++) {
        row->values[i] = values[i];
        if (values[i].null) {
            row->values[i] = (struct msql_value){.null = true};
        } else if (values[i].text) {
            memcpy(at, values[i].text, values[i].size);
            row->values[i].text = at;
            at += values[i].size;
        }
        hash_value(&row->hash, &row->values[i]);
    }
    return row;
}

struct msql_row *msql_row_ref(struct msql_row *row) {
    row->refs++;
    return row;
}

void msql_row_unref(struct msql_row *row) {
    if (row && --row->refs == 0)
        free(row);
}

void msql_rows_add(struct msql_rows *rows, struct msql_row *row) {
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity ? rows->capacity * 2 : 8;
        rows->items = realloc(rows->items, rows->capacity * sizeof(struct msql_row *));
        if (!rows->items)
            abort();
    }
    rows->items[rows->count++] = row;
}

void msql_rows_remove(struct msql_rows *rows, size_t at) {
    msql_row_unref(rows->items[at]);
    rows->items[at] = rows->items[--rows->count];
}

void msql_rows_fini(struct msql_rows *rows) {
    for (size_t i = 0; i < rows->count; i++)
        msql_row_unref(rows->items[i]);
    free(rows->items);
    *rows = (struct msql_rows){0};
}

static void rows_copy(struct msql_rows *rows) {
    struct msql_row **from = rows->items;
    size_t count = rows->count;
    *rows = (struct msql_rows){0};
    if (count == 0)
        return;
    rows->items = grab(count * sizeof(struct msql_row *));
    rows->count = rows->capacity = count;
    for (size_t i = 0; i < count; i++)
        rows->items[i] = msql_row_ref(from[i]);
}

/* --- tables --- */

static void table_free(struct msql_table *t) {
    for (unsigned o = 0; t && o < MSQL_OWNERS; o++)
        msql_rows_fini(&t->rows[o]);
    free(t);
}

struct msql_table *msql_table_find(const struct msql_state *s, unsigned space, const char *name) {
    for (unsigned i = 0; i < MSQL_TABLES; i++)
        if (s->tables[i] && s->tables[i]->space == space && !strcmp(s->tables[i]->name, name))
            return s->tables[i];
    return NULL;
}

struct msql_table *msql_table_add(struct msql_state *s, unsigned space, const char *name) {
    for (unsigned i = 0; i < MSQL_TABLES; i++)
        if (!s->tables[i]) {
            struct msql_table *t = s->tables[i] = grab(sizeof *t);
            t->space = space;
            strncpy(t->name, name, MSQL_NAME - 1);
            return t;
        }
    return NULL;
}

void msql_table_remove(struct msql_state *s, struct msql_table *t) {
    for (unsigned i = 0; i < MSQL_TABLES; i++)
        if (s->tables[i] == t)
            s->tables[i] = NULL;
    table_free(t);
}

int msql_column_find(const struct msql_table *t, const char *name) {
    for (uint32_t i = 0; i < t->column_count; i++)
        if (!strcmp(t->columns[i].name, name))
            return (int)i;
    return -1;
}

int msql_index_with(const struct msql_table *t, uint32_t column) {
    for (uint32_t i = 0; i < t->index_count; i++)
        for (uint32_t k = 0; k < t->indexes[i].count; k++)
            if (t->indexes[i].columns[k] == column)
                return (int)i;
    return -1;
}

size_t msql_table_rows(const struct msql_table *t) {
    size_t count = 0;
    for (unsigned o = 0; o < MSQL_OWNERS; o++)
        count += t->rows[o].count;
    return count;
}

/* --- states --- */

struct msql_state *msql_state_new(void) {
    struct msql_state *s = grab(sizeof *s);
    s->refs = 1;
    s->spaces[0] = s->storages[0] = true;
    msql_state_seal(s);
    return s;
}

struct msql_state *msql_state_copy(const struct msql_state *from) {
    struct msql_state *s = grab(sizeof *s);
    *s = *from;
    s->refs = 1;
    rows_copy(&s->things);
    for (unsigned i = 0; i < MSQL_TABLES; i++) {
        if (!from->tables[i])
            continue;
        s->tables[i] = grab(sizeof *s->tables[i]);
        *s->tables[i] = *from->tables[i];
        for (unsigned o = 0; o < MSQL_OWNERS; o++)
            rows_copy(&s->tables[i]->rows[o]);
    }
    return s;
}

struct msql_state *msql_state_expired(const struct msql_state *from) {
    struct msql_state *s = msql_state_copy(from);
    for (unsigned i = 0; i < MSQL_TABLES; i++)
        for (unsigned o = 0; s->tables[i] && o < MSQL_OWNERS; o++)
            if (s->tables[i]->kind == MSQL_STREAM)
                msql_rows_fini(&s->tables[i]->rows[o]);
    msql_state_seal(s);
    return s;
}

size_t msql_state_stream_rows(const struct msql_state *s) {
    size_t count = 0;
    for (unsigned i = 0; i < MSQL_TABLES; i++)
        if (s->tables[i] && s->tables[i]->kind == MSQL_STREAM)
            count += msql_table_rows(s->tables[i]);
    return count;
}

struct msql_state *msql_state_ref(struct msql_state *s) {
    s->refs++;
    return s;
}

void msql_state_unref(struct msql_state *s) {
    if (!s || --s->refs > 0)
        return;
    for (unsigned i = 0; i < MSQL_TABLES; i++)
        table_free(s->tables[i]);
    msql_rows_fini(&s->things);
    free(s);
}

/* --- items --- */

struct msql_hash msql_item_name(char kind, const char *name, uint64_t number) {
    struct msql_hash h = {0};
    msql_hash_u64(&h, (uint64_t)kind);
    msql_hash_bytes(&h, name, strlen(name));
    msql_hash_u64(&h, number);
    return h;
}

static struct msql_hash table_name(const struct msql_table *t) {
    return msql_item_name('T', t->name, t->space);
}

struct msql_hash msql_item_table(const struct msql_table *t) {
    struct msql_hash h = table_name(t);
    msql_hash_u64(&h, t->kind);
    msql_hash_u64(&h, t->storage);
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct msql_column *c = &t->columns[i];
        msql_hash_bytes(&h, c->name, strlen(c->name));
        msql_hash_u64(&h, (uint64_t)c->type.type << 48 | (uint64_t)c->type.precision << 40 |
                              (uint64_t)c->type.scale << 32 | c->type.length);
        msql_hash_u64(&h, (uint64_t)c->nullable << 1 | c->is_key);
        if (c->has_default)
            hash_value(&h, &c->def);
    }
    for (uint32_t i = 0; i < t->key_count; i++)
        msql_hash_u64(&h, t->keys[i]);
    return h;
}

struct msql_hash msql_item_index(const struct msql_table *t, const struct msql_index *index) {
    struct msql_hash h = table_name(t);
    msql_hash_bytes(&h, index->name, strlen(index->name));
    msql_hash_u64(&h, index->unique);
    for (uint32_t i = 0; i < index->count; i++)
        msql_hash_u64(&h, index->columns[i]);
    return h;
}

static struct msql_hash row_item(struct msql_hash table, unsigned owner, const struct msql_row *row,
                                 int64_t seq) {
    msql_hash_u64(&table, owner);
    msql_hash_u64(&table, row->hash.low);
    msql_hash_u64(&table, row->hash.high);
    msql_hash_u64(&table, (uint64_t)seq);
    return table;
}

struct msql_hash msql_item_row(const struct msql_table *t, unsigned owner,
                               const struct msql_row *row, int64_t seq) {
    return row_item(table_name(t), owner, row, seq);
}

struct msql_hash msql_item_thing(const struct msql_row *row) {
    return row_item(msql_item_name('E', "things", 0), 0, row, 0);
}

static void seal_rows(struct msql_state *s, const struct msql_table *t) {
    struct msql_hash name = table_name(t);
    for (unsigned o = 0; o < MSQL_OWNERS; o++)
        for (size_t i = 0; i < t->rows[o].count; i++) {
            const struct msql_row *row = t->rows[o].items[i];
            msql_hash_add(&s->plain, row_item(name, o, row, 0));
            msql_hash_add(&s->with_seq, row_item(name, o, row, row->seq));
            s->seq_known = s->seq_known && row->seq != 0;
        }
}

void msql_state_seal(struct msql_state *s) {
    struct msql_hash sum = {0};
    for (unsigned i = 0; i < MSQL_NAMESPACES; i++)
        if (s->spaces[i])
            msql_hash_add(&sum, msql_item_name('N', "", i));
    for (unsigned i = 0; i < MSQL_STORAGES; i++)
        if (s->storages[i])
            msql_hash_add(&sum, msql_item_name('S', "", i));
    for (unsigned i = 0; i < MSQL_OWNERS; i++)
        if (s->users[i])
            msql_hash_add(&sum, msql_item_name('U', s->users[i] == MSQL_LIVE ? "live" : "", i));
    for (size_t i = 0; i < s->things.count; i++)
        msql_hash_add(&sum, msql_item_thing(s->things.items[i]));
    for (unsigned i = 0; i < MSQL_TABLES; i++) {
        const struct msql_table *t = s->tables[i];
        if (!t)
            continue;
        msql_hash_add(&sum, msql_item_table(t));
        for (uint32_t k = 0; k < t->index_count; k++)
            msql_hash_add(&sum, msql_item_index(t, &t->indexes[k]));
    }
    s->plain = s->with_seq = sum;
    s->seq_known = true;
    for (unsigned i = 0; i < MSQL_TABLES; i++)
        if (s->tables[i])
            seal_rows(s, s->tables[i]);
}
