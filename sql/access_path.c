/* SPDX-License-Identifier: Apache-2.0
 *
 * The choice of an access path: a pure function of schema, indexes and comparisons. */
#include "sql/plan.h"

static int find_term(const struct access_term *terms, uint32_t count, uint32_t column,
                     enum expr_op a, enum expr_op b) {
    for (uint32_t i = 0; i < count; i++)
        if (terms[i].column == column && (terms[i].op == a || terms[i].op == b))
            return (int)i;
    return -1;
}

static void key_path(const struct schema *s, const struct access_term *terms, uint32_t count,
                     struct access_path *out) {
    *out = (struct access_path){.kind = PATH_SCAN, .lower = -1, .upper = -1};
    while (out->eq_count < s->key_count) {
        int t = find_term(terms, count, s->key[out->eq_count], OP_EQ, OP_EQ);
        if (t < 0)
            break;
        out->eq[out->eq_count++] = (uint32_t)t;
    }
    if (out->eq_count == s->key_count) {
        out->kind = PATH_KEY;
        return;
    }
    out->lower = find_term(terms, count, s->key[out->eq_count], OP_GT, OP_GE);
    out->upper = find_term(terms, count, s->key[out->eq_count], OP_LT, OP_LE);
    if (out->eq_count > 0 || out->lower >= 0 || out->upper >= 0)
        out->kind = PATH_KEY_RANGE;
}

static void index_path(const struct schema *s, const struct table_index *index, uint32_t number,
                       const struct access_term *terms, uint32_t count, struct access_path *out) {
    *out = (struct access_path){.kind = PATH_INDEX, .index = number, .lower = -1, .upper = -1};
    while (out->eq_count < index->column_count) {
        int column = schema_find_id(s, index->column_ids[out->eq_count]);
        int t = column < 0 ? -1 : find_term(terms, count, (uint32_t)column, OP_EQ, OP_EQ);
        if (t < 0)
            break;
        out->eq[out->eq_count++] = (uint32_t)t;
    }
}

void access_choose(const struct schema *schema, const struct table_index *indexes,
                   uint32_t index_count, bool indexes_allowed, const struct access_term *terms,
                   uint32_t term_count, struct access_path *out) {
    key_path(schema, terms, term_count, out);
    if (out->kind == PATH_KEY || !indexes_allowed)
        return;
    for (uint32_t i = 0; i < index_count; i++) {
        struct access_path path;
        index_path(schema, &indexes[i], i, terms, term_count, &path);
        bool one_row = indexes[i].unique && path.eq_count == indexes[i].column_count;
        bool has_one_row = out->kind == PATH_INDEX && indexes[out->index].unique &&
                           out->eq_count == indexes[out->index].column_count;
        if (has_one_row)
            return;
        if (path.eq_count > 0 && (one_row || path.eq_count > out->eq_count))
            *out = path;
    }
}
