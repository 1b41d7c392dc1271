/* SPDX-License-Identifier: Apache-2.0
 *
 * What INSERT, UPDATE and DELETE do to rows, by loops over all of them. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/model_sql.h"

static bool same_key(const struct msql_table *t, const struct msql_row *a,
                     const struct msql_row *b) {
    for (uint32_t i = 0; i < t->key_count; i++)
        if (!msql_value_eq(&a->values[t->keys[i]], &b->values[t->keys[i]]))
            return false;
    return true;
}

/* NULLs are like nothing. */
static bool same_index(const struct msql_index *x, const struct msql_row *a,
                       const struct msql_row *b) {
    for (uint32_t i = 0; i < x->count; i++) {
        const struct msql_value *v = &a->values[x->columns[i]], *w = &b->values[x->columns[i]];
        if (v->null || w->null || !msql_value_eq(v, w))
            return false;
    }
    return true;
}

static bool same_row(const struct msql_row *a, const struct msql_row *b) {
    return msql_hash_eq(a->hash, b->hash);
}

/* Whether `row` shares values of a unique index with a row other than `but`. */
static bool takes_unique(const struct msql_table *t, const struct msql_rows *rows,
                         const struct msql_row *row, const struct msql_row *but) {
    for (uint32_t k = 0; k < t->index_count; k++) {
        if (!t->indexes[k].unique)
            continue;
        for (size_t i = 0; i < rows->count; i++)
            if (rows->items[i] != row && rows->items[i] != but &&
                same_index(&t->indexes[k], row, rows->items[i]))
                return true;
    }
    return false;
}

bool msql_has_duplicates(const struct msql_table *t, const struct msql_index *index) {
    for (unsigned o = 0; o < MSQL_OWNERS; o++)
        for (size_t i = 0; i < t->rows[o].count; i++)
            for (size_t k = 0; k < i; k++)
                if (same_index(index, t->rows[o].items[i], t->rows[o].items[k]))
                    return true;
    return false;
}

/* --- conditions --- */

static bool is_less(const struct msql_value *a, const struct msql_value *b) {
    if (!a->text)
        return a->n < b->n;
    size_t size = a->size < b->size ? a->size : b->size;
    int c = memcmp(a->text, b->text, size);
    return c < 0 || (c == 0 && a->size < b->size);
}

bool msql_matches(const struct msql_table *t, const struct msql_row *row,
                  const struct msql_where *w) {
    const struct msql_value *v = &row->values[w->column];
    switch (w->cond) {
    case MSQL_ALL:
        return true;
    case MSQL_KEY:
        for (uint32_t i = 0; i < t->key_count; i++)
            if (!msql_value_eq(&row->values[t->keys[i]], &w->key[i]))
                return false;
        return true;
    case MSQL_RANGE:
        v = &row->values[t->keys[0]];
        return !is_less(v, &w->a) && !is_less(&w->b, v);
    case MSQL_EQ:
        return !v->null && !w->a.null && msql_value_eq(v, &w->a);
    case MSQL_IS_NULL:
        return v->null;
    case MSQL_LESS:
        return !v->null && !w->a.null && is_less(v, &w->a);
    }
    abort();
}

/* --- changes --- */

/* The row with columns set; the same row if nothing changes. `excluded`: the row proposed. */
static struct msql_row *row_set(struct msql_row *row, const struct msql_set *sets, size_t count,
                                const struct msql_row *excluded) {
    struct msql_value values[MSQL_COLUMNS];
    memcpy(values, row->values, row->count * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        const struct msql_set *s = &sets[i];
        const struct msql_value *old = &row->values[s->column];
        values[s->column] = s->excluded ? excluded->values[s->column] : s->value;
        if (s->add) {
            values[s->column] = *old;
            values[s->column].n += old->null ? 0 : s->value.n;
        }
    }
    struct msql_row *fresh = msql_row_new(values, row->count);
    if (!same_row(fresh, row))
        return fresh;
    msql_row_unref(fresh);
    return msql_row_ref(row);
}

static bool has_null(const struct msql_table *t, const struct msql_row *row) {
    for (uint32_t i = 0; i < t->column_count; i++)
        if (row->values[i].null && !t->columns[i].nullable)
            return true;
    return false;
}

static void replace(struct msql_rows *rows, size_t at, struct msql_row *row) {
    msql_row_unref(rows->items[at]);
    rows->items[at] = row;
}

/* One row of an INSERT. `first`: rows at and beyond it, or in `touched`, are this statement's. */
static bool insert_one(struct msql_table *t, struct msql_rows *rows, struct msql_row *row,
                       struct msql_rows *touched, enum msql_conflict conflict,
                       const struct msql_set *sets, size_t set_count) {
    if (has_null(t, row))
        return false;
    bool ignore = conflict == MSQL_NOTHING || conflict == MSQL_NOTHING_KEY;
    for (size_t i = 0; i < touched->count; i++)
        if (same_key(t, row, touched->items[i]))
            return ignore;
    for (size_t i = 0; i < rows->count; i++) {
        if (!same_key(t, row, rows->items[i]))
            continue;
        if (conflict != MSQL_DO_UPDATE)
            return ignore;
        struct msql_row *fresh = row_set(rows->items[i], sets, set_count, row);
        bool changed = fresh != rows->items[i];
        msql_rows_add(touched, msql_row_ref(fresh));
        if (changed && (has_null(t, fresh) || takes_unique(t, rows, fresh, rows->items[i]))) {
            msql_row_unref(fresh);
            return false;
        }
        replace(rows, i, fresh);
        return true;
    }
    if (takes_unique(t, rows, row, NULL))
        return conflict == MSQL_NOTHING;
    msql_rows_add(rows, msql_row_ref(row));
    msql_rows_add(touched, msql_row_ref(row));
    return true;
}

bool msql_insert(struct msql_table *t, unsigned owner, struct msql_row **rows, size_t count,
                 enum msql_conflict conflict, const struct msql_set *sets, size_t set_count) {
    struct msql_rows touched = {0};
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        good = good && insert_one(t, &t->rows[owner], rows[i], &touched, conflict, sets, set_count);
        msql_row_unref(rows[i]);
    }
    msql_rows_fini(&touched);
    return good;
}

bool msql_update(struct msql_table *t, unsigned owner, const struct msql_where *where,
                 const struct msql_set *sets, size_t set_count) {
    struct msql_rows *rows = &t->rows[owner];
    bool good = true;
    for (size_t i = 0; i < rows->count; i++) {
        if (!msql_matches(t, rows->items[i], where))
            continue;
        replace(rows, i, row_set(rows->items[i], sets, set_count, NULL));
        good = good && !has_null(t, rows->items[i]);
    }
    for (size_t i = 0; good && i < rows->count; i++) {
        for (size_t k = 0; good && k < i; k++)
            good = !same_key(t, rows->items[i], rows->items[k]);
        good = good && !takes_unique(t, rows, rows->items[i], NULL);
    }
    return good;
}

void msql_delete(struct msql_table *t, unsigned owner, const struct msql_where *where) {
    struct msql_rows *rows = &t->rows[owner];
    for (size_t i = rows->count; i > 0; i--)
        if (msql_matches(t, rows->items[i - 1], where))
            msql_rows_remove(rows, i - 1);
}

void msql_reshape(struct msql_table *t, uint32_t at, const struct msql_value *value) {
    struct msql_value values[MSQL_COLUMNS + 1];
    for (unsigned o = 0; o < MSQL_OWNERS; o++)
        for (size_t i = 0; i < t->rows[o].count; i++) {
            const struct msql_row *row = t->rows[o].items[i];
            uint32_t n = 0;
            for (uint32_t k = 0; k <= row->count; k++) {
                if (k == at && value)
                    values[n++] = *value;
                if (k < row->count && (k != at || value))
                    values[n++] = row->values[k];
            }
            struct msql_row *fresh = msql_row_new(values, n);
            fresh->seq = row->seq;
            replace(&t->rows[o], i, fresh);
        }
}
