/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans as text, one operator a line, the last to run first, children indented. */
#include "base/assert.h"
#include "sql/exec.h"

struct lines {
    struct rowlist *rows;
    struct buf text;
    int depth;
};

static enum lam_code begin_line(struct lines *l, struct lam_error *err) {
    buf_reset(&l->text);
    for (int i = 0; i < l->depth; i++)
        TRY(buf_append_str(&l->text, "  ", err));
    return LAM_OK;
}

static enum lam_code end_line(struct lines *l, struct lam_error *err) {
    struct value v = value_bytes(LAM_TYPE_TEXT, buf_slice(&l->text));
    TRY(rowlist_add(l->rows, &v, err));
    l->depth++;
    return LAM_OK;
}

static enum lam_code line(struct lines *l, const char *text, struct lam_error *err) {
    TRY(begin_line(l, err));
    TRY(buf_append_str(&l->text, text, err));
    return end_line(l, err);
}

static const char *op_text(enum expr_op op) {
    switch ((int)op) {
    case OP_EQ:
        return "=";
    case OP_LT:
        return "<";
    case OP_LE:
        return "<=";
    case OP_GT:
        return ">";
    case OP_GE:
        return ">=";
    default:
        return "?";
    }
}

static enum lam_code term(struct lines *l, const struct source_plan *s, uint32_t i, bool *first,
                          struct lam_error *err) {
    const struct access_term *t = &s->terms[i];
    struct value constant;
    TRY(buf_append_format(&l->text, err, "%s%.*s %s ", *first ? " (" : " AND ",
                          (int)s->ref.scope.columns[t->column].name.size,
                          (const char *)s->ref.scope.columns[t->column].name.data, op_text(t->op)));
    *first = false;
    if (!bound_constant(t->value, &constant))
        return buf_append_str(&l->text, "?", err);
    if (constant.is_null)
        return buf_append_str(&l->text, "NULL", err);
    bool quoted = coltype_is_variable(constant.type.type);
    TRY(buf_append_str(&l->text, quoted ? "'" : "", err));
    TRY(value_format(&constant, &l->text, err));
    return buf_append_str(&l->text, quoted ? "'" : "", err);
}

static enum lam_code path_terms(struct lines *l, const struct source_plan *s,
                                struct lam_error *err) {
    bool first = true;
    for (uint32_t i = 0; i < s->path.eq_count; i++)
        TRY(term(l, s, s->path.eq[i], &first, err));
    if (s->path.lower >= 0)
        TRY(term(l, s, (uint32_t)s->path.lower, &first, err));
    if (s->path.upper >= 0)
        TRY(term(l, s, (uint32_t)s->path.upper, &first, err));
    return first ? LAM_OK : buf_append_str(&l->text, ")", err);
}

static enum lam_code table_line(struct lines *l, const struct source_plan *s,
                                struct lam_error *err) {
    const struct provider *p = s->ref.provider;
    TRY(begin_line(l, err));
    if (s->path.kind == PATH_SCAN)
        TRY(buf_append_format(&l->text, err, "Scan on %s", s->ref.display));
    else if (s->path.kind == PATH_KEY)
        TRY(buf_append_format(&l->text, err, "Key lookup on %s", s->ref.display));
    else if (s->path.kind == PATH_KEY_RANGE)
        TRY(buf_append_format(&l->text, err, "Key range on %s", s->ref.display));
    else
        TRY(buf_append_format(&l->text, err, "Index scan on %s using %s", s->ref.display,
                              p->indexes[s->path.index].name));
    if (s->path.kind != PATH_SCAN)
        TRY(path_terms(l, s, err));
    if (p->kind == TABLE_USER || p->kind == TABLE_STREAM)
        TRY(buf_append_str(&l->text, " of the current user", err));
    return end_line(l, err);
}

static enum lam_code source_lines(struct lines *l, const struct source_plan *s,
                                  struct lam_error *err) {
    if (s->filter)
        TRY(line(l, "Filter", err));
    if (s->ref.kind == SOURCE_NONE)
        return line(l, "One row", err);
    if (s->ref.kind == SOURCE_TABLE)
        return table_line(l, s, err);
    TRY(begin_line(l, err));
    TRY(buf_append_format(&l->text, err, "Scan on %s", s->ref.display));
    return end_line(l, err);
}

static enum lam_code select_lines(struct lines *l, const struct select_plan *p,
                                  struct lam_error *err) {
    if (p->limit || p->offset)
        TRY(line(l, "Limit", err));
    if (p->sort_count > 0)
        TRY(line(l, "Sort", err));
    if (p->distinct)
        TRY(line(l, "Distinct", err));
    TRY(line(l, "Project", err));
    if (p->having)
        TRY(line(l, "Filter (HAVING)", err));
    if (p->aggregated)
        TRY(line(l, p->group_count > 0 ? "Hash aggregate" : "Aggregate", err));
    return source_lines(l, &p->source, err);
}

static enum lam_code insert_lines(struct lines *l, const struct insert_plan *p,
                                  struct lam_error *err) {
    static const char *const suffixes[] = {[CONFLICT_ERROR] = "",
                                           [CONFLICT_NOTHING] = " (on conflict do nothing)",
                                           [CONFLICT_UPDATE] = " (on conflict do update)"};
    TRY(begin_line(l, err));
    TRY(buf_append_format(&l->text, err, "Insert into %s%s", p->ref.display,
                          suffixes[p->on_conflict]));
    TRY(end_line(l, err));
    if (p->select)
        return select_lines(l, p->select, err);
    TRY(begin_line(l, err));
    TRY(buf_append_format(&l->text, err, "Values (%u row%s)", p->row_count,
                          p->row_count == 1 ? "" : "s"));
    return end_line(l, err);
}

static enum lam_code plan_lines(struct lines *l, const struct plan *plan, struct lam_error *err) {
    if (plan->select)
        return select_lines(l, plan->select, err);
    if (plan->insert)
        return insert_lines(l, plan->insert, err);
    TRY(begin_line(l, err));
    TRY(buf_append_format(&l->text, err, "%s %s",
                          plan->change->is_delete ? "Delete from" : "Update",
                          plan->change->source.ref.display));
    TRY(end_line(l, err));
    return source_lines(l, &plan->change->source, err);
}

enum lam_code explain_plan(const struct plan *plan, struct rowlist *rows, struct lam_error *err) {
    struct lines l = {.rows = rows};
    enum lam_code rc = plan_lines(&l, plan, err);
    buf_fini(&l.text);
    return rc;
}
