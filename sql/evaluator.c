/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs bound expressions over batches. Each node answers for the rows of a selection; its result is
 * a dense column in the order of the selection, a column of the batch seen through the selection,
 * or one value for all rows (row-free nodes, evaluated once and only when a row asks). */
#include "base/assert.h"
#include "sql/kern.h"

/* --- life --- */

static void free_node(struct node *n) {
    if (!n)
        return;
    for (uint32_t i = 0; n->args && i < n->arg_count; i++)
        free_node(n->args[i]);
    column_fini(&n->out);
    mem_free(n->args);
    mem_free(n);
}

static enum lam_code new_node(const struct bound *b, struct node **out, struct lam_error *err) {
    struct node *n = mem_calloc(1, sizeof *n);
    if (!n)
        return mem_fail(err, sizeof *n);
    *out = n;
    n->b = b;
    column_init(&n->out, b->type);
    if (b->arg_count == 0)
        return LAM_OK;
    n->args = mem_calloc(b->arg_count, sizeof *n->args);
    if (!n->args)
        return mem_fail(err, b->arg_count * sizeof *n->args);
    n->arg_count = b->arg_count;
    for (uint32_t i = 0; i < b->arg_count; i++)
        TRY(new_node(b->args[i], &n->args[i], err));
    return LAM_OK;
}

enum lam_code evaluator_new(const struct bound *b, struct evaluator **out, struct lam_error *err) {
    struct evaluator *e = mem_calloc(1, sizeof *e);
    if (!e)
        return mem_fail(err, sizeof *e);
    enum lam_code rc = new_node(b, &e->root, err);
    if (rc != LAM_OK) {
        evaluator_free(e);
        return rc;
    }
    *out = e;
    return LAM_OK;
}

void evaluator_free(struct evaluator *e) {
    if (!e)
        return;
    free_node(e->root);
    arena_fini(&e->arena);
    buf_fini(&e->scratch);
    like_scratch_fini(&e->like);
    mem_free(e);
}

/* --- selections --- */

enum lam_code subset_of(struct evaluator *e, const uint32_t *sel, uint32_t count,
                        const uint8_t *marks, struct subset *out, struct lam_error *err) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++)
        n += marks[i] != 0;
    *out = (struct subset){.rows = (uint32_t *)sel, .count = n};
    if (n == count || n == 0)
        return LAM_OK;
    out->rows = kern_alloc(e, (size_t)count + 1, sizeof *out->rows, err);
    out->places = kern_alloc(e, (size_t)count + 1, sizeof *out->places, err);
    if (!out->rows || !out->places)
        return LAM_NO_MEMORY;
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) { /* without a branch: the last write may be overwritten */
        out->rows[at] = sel ? sel[i] : i;
        out->places[at] = i;
        at += marks[i] != 0;
    }
    LAM_ASSERT(at == n);
    return LAM_OK;
}

/* --- nodes --- */

static enum lam_code eval_value(struct node *n, const struct value *v, struct vec *out,
                                struct lam_error *err) {
    column_reset(&n->out);
    n->out.type = n->b->type;
    *out = (struct vec){.col = &n->out, .constant = true};
    if (v->is_null)
        return column_append_null(&n->out, err);
    struct value typed = *v;
    typed.type = n->b->type;
    return column_append_value(&n->out, &typed, err);
}

static enum lam_code eval_parameter(struct evaluator *e, struct node *n, struct vec *out,
                                    struct lam_error *err) {
    const struct bound *b = n->b;
    struct value null = value_null(b->type), cast;
    const struct value *v = &null;
    if (b->index < e->run->parameter_count && !e->run->parameters[b->index].is_null)
        v = &e->run->parameters[b->index];
    if (!v->is_null && !coltype_eq(v->type, b->type)) {
        /* The caller's type is another place's of the same parameter. */
        TRY(error_at(err, value_cast(v, b->type, CAST_EXPLICIT, &e->arena, &cast, err), b->pos));
        v = &cast;
    }
    return eval_value(n, v, out, err);
}

/* Which result, and which row of it, each row of a CASE or COALESCE takes. */
struct choice {
    struct vec vec;
    uint32_t row;
};

static enum lam_code eval_choices(struct node *n, const struct choice *choices, uint32_t count,
                                  struct lam_error *err) {
    column_reset(&n->out);
    n->out.type = n->b->type;
    for (uint32_t i = 0; i < count; i++) {
        const struct choice *c = &choices[i];
        if (!c->vec.col)
            TRY(column_append_null(&n->out, err));
        else
            TRY(column_copy_row(&n->out, c->vec.col, vec_row(&c->vec, c->row), err));
    }
    return LAM_OK;
}

static inline uint32_t place(const struct subset *s, uint32_t i) {
    return s->places ? s->places[i] : i;
}

/* Evaluates a result for some rows and notes it as their choice. */
static enum lam_code choose(struct evaluator *e, struct node *n, const struct subset *rows,
                            struct choice *choices, struct lam_error *err) {
    struct vec v;
    if (rows->count == 0)
        return LAM_OK;
    TRY(eval(e, n, rows->rows, rows->count, &v, err));
    for (uint32_t i = 0; i < rows->count; i++)
        choices[place(rows, i)] = (struct choice){v, i};
    return LAM_OK;
}

static enum lam_code eval_case(struct evaluator *e, struct node *n, const uint32_t *sel,
                               uint32_t count, struct lam_error *err) {
    struct choice *choices = kern_alloc(e, count, sizeof *choices, err);
    uint8_t *open = kern_alloc(e, count, 1, err), *tri = kern_alloc(e, count, 1, err);
    uint8_t *hits = kern_alloc(e, count, 1, err);
    struct subset rows;
    if (!choices || !open || !tri || !hits)
        return LAM_NO_MEMORY;
    memset(open, 1, count);
    for (uint32_t k = 0; k + 1 < n->arg_count; k += 2) {
        TRY(subset_of(e, sel, count, open, &rows, err));
        if (rows.count == 0)
            break;
        TRY(eval_tri(e, n->args[k], rows.rows, rows.count, tri, err));
        memset(hits, 0, count);
        for (uint32_t i = 0; i < rows.count; i++)
            if (tri[i] == TRI_TRUE) {
                hits[place(&rows, i)] = 1;
                open[place(&rows, i)] = 0;
            }
        TRY(subset_of(e, sel, count, hits, &rows, err));
        TRY(choose(e, n->args[k + 1], &rows, choices, err));
    }
    TRY(subset_of(e, sel, count, open, &rows, err));
    TRY(choose(e, n->args[n->arg_count - 1], &rows, choices, err));
    return eval_choices(n, choices, count, err);
}

static enum lam_code eval_coalesce(struct evaluator *e, struct node *n, const uint32_t *sel,
                                   uint32_t count, struct lam_error *err) {
    struct choice *choices = kern_alloc(e, count, sizeof *choices, err);
    uint8_t *open = kern_alloc(e, count, 1, err);
    if (!choices || !open)
        return LAM_NO_MEMORY;
    memset(open, 1, count);
    for (uint32_t k = 0; k < n->arg_count; k++) {
        struct subset rows;
        TRY(subset_of(e, sel, count, open, &rows, err));
        if (rows.count == 0)
            break;
        TRY(choose(e, n->args[k], &rows, choices, err));
        for (uint32_t i = 0; i < rows.count; i++) {
            const struct choice *c = &choices[place(&rows, i)];
            open[place(&rows, i)] = vec_is_null(&c->vec, c->row);
        }
    }
    return eval_choices(n, choices, count, err);
}

static enum lam_code call_row(struct evaluator *e, struct node *n, struct call *c,
                              const struct vec *args, struct value *values, uint32_t i,
                              struct lam_error *err) {
    const struct func *f = n->b->func;
    struct value out = {.type = n->b->type};
    for (uint32_t k = 0; k < n->arg_count; k++) {
        values[k] = column_value(args[k].col, vec_row(&args[k], i));
        if (values[k].is_null && !(f->flags & FUNC_NULLS))
            return column_append_null(&n->out, err);
    }
    buf_reset(&e->scratch);
    TRY(error_at(err, f->run(c, values, &out, err), n->b->pos));
    if (out.is_null)
        return column_append_null(&n->out, err);
    out.type = n->b->type;
    return column_append_value(&n->out, &out, err);
}

static enum lam_code eval_call(struct evaluator *e, struct node *n, const uint32_t *sel,
                               uint32_t count, struct lam_error *err) {
    struct vec *args = kern_alloc(e, n->arg_count, sizeof *args, err);
    struct value *values = kern_alloc(e, n->arg_count, sizeof *values, err);
    struct call c = {.run = e->run,
                     .type = n->b->type,
                     .arg_count = n->arg_count,
                     .arena = &e->arena,
                     .scratch = &e->scratch};
    if (!args || !values)
        return LAM_NO_MEMORY;
    for (uint32_t k = 0; k < n->arg_count; k++)
        TRY(eval(e, n->args[k], sel, count, &args[k], err));
    column_reset(&n->out);
    n->out.type = n->b->type;
    for (uint32_t i = 0; i < count; i++)
        TRY(call_row(e, n, &c, args, values, i, err));
    return LAM_OK;
}

static enum lam_code eval_numbers(struct evaluator *e, struct node *n, const uint32_t *sel,
                                  uint32_t count, struct lam_error *err) {
    struct vec a, b;
    TRY(eval(e, n->args[0], sel, count, &a, err));
    if (n->b->kind == BOUND_CAST)
        return kern_cast(e, n, &a, count, err);
    if (n->b->kind == BOUND_NEG)
        return kern_negate(e, n, &a, count, err);
    TRY(eval(e, n->args[1], sel, count, &b, err));
    return kern_arith(e, n, &a, &b, count, err);
}

static enum lam_code eval_inner(struct evaluator *e, struct node *n, const uint32_t *sel,
                                uint32_t count, struct lam_error *err) {
    uint8_t *tri;
    switch (n->b->kind) {
    case BOUND_NEG:
    case BOUND_ARITH:
    case BOUND_CAST:
        return eval_numbers(e, n, sel, count, err);
    case BOUND_CASE:
        return eval_case(e, n, sel, count, err);
    case BOUND_COALESCE:
        return eval_coalesce(e, n, sel, count, err);
    case BOUND_CALL:
        return eval_call(e, n, sel, count, err);
    default:
        tri = kern_alloc(e, count, 1, err);
        if (!tri)
            return LAM_NO_MEMORY;
        TRY(eval_tri(e, n, sel, count, tri, err));
        return column_from_tri(&n->out, tri, count, err);
    }
}

enum lam_code eval(struct evaluator *e, struct node *n, const uint32_t *sel, uint32_t count,
                   struct vec *out, struct lam_error *err) {
    const struct bound *b = n->b;
    switch (b->kind) {
    case BOUND_CONSTANT:
        return eval_value(n, &b->constant, out, err);
    case BOUND_PARAMETER:
        return eval_parameter(e, n, out, err);
    case BOUND_COLUMN:
        LAM_ASSERT(e->batch && b->index < e->batch->column_count);
        *out = (struct vec){.col = &e->batch->columns[b->index], .map = sel};
        return LAM_OK;
    default:
        break;
    }
    *out = (struct vec){.col = &n->out, .constant = b->row_free};
    return eval_inner(e, n, b->row_free ? NULL : sel, b->row_free ? 1 : count, err);
}

/* --- runs --- */

static void start_run(struct evaluator *e, struct run_context *run, const struct colbatch *batch) {
    arena_reset(&e->arena);
    e->run = run;
    e->batch = batch;
}

static enum lam_code keep_value(struct arena *arena, const struct value *v, struct value *out,
                                struct lam_error *err) {
    *out = *v;
    if (v->is_null || !coltype_is_variable(v->type.type) || v->as.bytes.size == 0)
        return LAM_OK;
    void *copy = arena_dup(arena, v->as.bytes.data, v->as.bytes.size);
    if (!copy)
        return mem_fail(err, v->as.bytes.size);
    out->as.bytes = lam_slice_of(copy, v->as.bytes.size);
    return LAM_OK;
}

/* Row 0 for all rows. The bytes are copied first: appending may move the column's. */
static enum lam_code repeat_first(struct evaluator *e, struct column *c, uint32_t count,
                                  struct lam_error *err) {
    struct value first = column_value(c, 0), v;
    TRY(keep_value(&e->arena, &first, &v, err));
    while (c->rows < count)
        TRY(column_append_value(c, &v, err));
    return LAM_OK;
}

enum lam_code evaluator_run(struct evaluator *e, struct run_context *run,
                            const struct colbatch *batch, const uint32_t *sel, uint32_t count,
                            const struct column **result_out, struct lam_error *err) {
    struct vec v = {.col = &e->root->out};
    start_run(e, run, batch);
    *result_out = &e->root->out;
    if (count == 0) {
        column_reset(&e->root->out);
        e->root->out.type = e->root->b->type;
        return LAM_OK;
    }
    TRY(eval(e, e->root, sel, count, &v, err));
    if (v.col != &e->root->out) {
        if (!v.map && v.col->rows == count) {
            *result_out = v.col;
            return LAM_OK;
        }
        return vec_gather(&v, count, &e->root->out, err);
    }
    if (v.constant)
        TRY(repeat_first(e, &e->root->out, count, err));
    LAM_ASSERT(e->root->out.rows == count);
    return LAM_OK;
}

enum lam_code evaluator_filter(struct evaluator *e, struct run_context *run,
                               const struct colbatch *batch, const uint32_t *sel, uint32_t count,
                               uint32_t *sel_out, uint32_t *count_out, struct lam_error *err) {
    start_run(e, run, batch);
    LAM_ASSERT(e->root->b->type.type == LAM_TYPE_BOOLEAN);
    *count_out = 0;
    if (count == 0)
        return LAM_OK;
    uint8_t *tri = kern_alloc(e, count, 1, err);
    if (!tri)
        return LAM_NO_MEMORY;
    TRY(eval_tri(e, e->root, sel, count, tri, err));
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        /* sel_out may be sel: place n is never ahead of i. */
        sel_out[n] = sel ? sel[i] : i;
        n += tri[i] == TRI_TRUE;
    }
    *count_out = n;
    return LAM_OK;
}

enum lam_code bound_value(struct run_context *run, const struct bound *b, struct value *out,
                          struct lam_error *err) {
    const struct column *result = NULL;
    struct evaluator *e = NULL;
    if (b->kind == BOUND_CONSTANT) {
        *out = b->constant;
        return LAM_OK;
    }
    if (b->kind == BOUND_PARAMETER && b->index < run->parameter_count &&
        (run->parameters[b->index].is_null ||
         coltype_eq(run->parameters[b->index].type, b->type))) {
        *out = run->parameters[b->index];
        out->type = b->type;
        return LAM_OK;
    }
    TRY(evaluator_new(b, &e, err));
    enum lam_code rc = evaluator_run(e, run, NULL, NULL, 1, &result, err);
    if (rc == LAM_OK) {
        struct value v = column_value(result, 0);
        rc = keep_value(run->arena, &v, out, err);
    }
    evaluator_free(e);
    return rc;
}
