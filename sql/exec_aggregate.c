/* SPDX-License-Identifier: Apache-2.0
 *
 * Hash aggregation: rows to groups by their encoded group values, one flat run of states a group.
 * Output columns: the group expressions, then the aggregates. */
#include "base/assert.h"
#include "base/mem.h"
#include "sql/exec.h"

struct aggregate_op {
    struct exec_operator base;
    const struct select_plan *plan;  /* borrowed */
    struct evaluator **group_values; /* [group_count]; owned */
    const struct column **values;    /* [group_count] of the batch at hand; array owned */
    struct evaluator **arguments;    /* [aggregate_count]; NULL entry: count(*); owned */
    struct evaluator **arguments2;
    struct evaluator **filters;
    struct bytes_map *distinct; /* [aggregate_count]: (group, value) seen; owned */
    size_t *state_offsets;      /* [aggregate_count] in a group's states */
    size_t state_size;          /* of a group */
    struct bytes_map groups;
    struct arena arena; /* states and what they hold */
    void **states;      /* [groups] */
    size_t states_capacity;
    struct column *group_columns; /* [group_count] first values of each group; owned */
    struct buf key;
    uint32_t *numbers; /* group of each row of the batch */
    size_t numbers_capacity;
    uint32_t *rows; /* rows that count for one aggregate */
    size_t rows_capacity;
    void **targets; /* their states */
    size_t targets_capacity;
    bool consumed;
    struct colbatch out; /* owned */
    size_t at;           /* next group to hand over */
};

static void free_evaluators(struct evaluator **list, uint32_t count) {
    for (uint32_t i = 0; list && i < count; i++)
        evaluator_free(list[i]);
    mem_free(list);
}

static void aggregate_free(struct exec_operator *op) {
    struct aggregate_op *self = (struct aggregate_op *)op;
    const struct select_plan *plan = self->plan;
    operator_free(op->child);
    free_evaluators(self->group_values, plan->group_count);
    free_evaluators(self->arguments, plan->aggregate_count);
    free_evaluators(self->arguments2, plan->aggregate_count);
    free_evaluators(self->filters, plan->aggregate_count);
    for (uint32_t i = 0; self->distinct && i < plan->aggregate_count; i++)
        bytes_map_fini(&self->distinct[i]);
    for (uint32_t i = 0; self->group_columns && i < plan->group_count; i++)
        column_fini(&self->group_columns[i]);
    mem_free(self->values);
    mem_free(self->distinct);
    mem_free(self->state_offsets);
    mem_free(self->group_columns);
    bytes_map_fini(&self->groups);
    arena_fini(&self->arena);
    buf_fini(&self->key);
    colbatch_fini(&self->out);
    mem_free(self->states);
    mem_free(self->numbers);
    mem_free(self->rows);
    mem_free(self->targets);
    mem_free(self);
}

static enum lam_code add_group(struct aggregate_op *self, struct lam_error *err) {
    size_t number = self->groups.count - 1;
    TRY(MEM_GROW(&self->states, &self->states_capacity, number + 1, err));
    uint8_t *state = arena_alloc(&self->arena, self->state_size);
    if (!state)
        return mem_fail(err, self->state_size);
    for (uint32_t i = 0; i < self->plan->aggregate_count; i++)
        aggregate_init(self->plan->aggregates[i], state + self->state_offsets[i]);
    self->states[number] = state;
    return LAM_OK;
}

/* Finds or makes the group of each row. */
static enum lam_code number_rows(struct aggregate_op *self, struct run_context *run,
                                 const struct rowset *in, struct lam_error *err) {
    uint32_t group_count = self->plan->group_count;
    const struct column **values = self->values;
    for (uint32_t g = 0; g < group_count; g++)
        TRY(evaluator_run(self->group_values[g], run, in->batch, in->sel, in->count, &values[g],
                          err));
    TRY(MEM_GROW(&self->numbers, &self->numbers_capacity, in->count, err));
    for (uint32_t i = 0; i < in->count; i++) {
        buf_reset(&self->key);
        for (uint32_t g = 0; g < group_count; g++) {
            struct value v = column_value(values[g], i);
            TRY(key_put_value(&self->key, &v, true, false, err));
        }
        bool added;
        TRY(bytes_map_add(&self->groups, buf_slice(&self->key), &self->numbers[i], &added, err));
        if (!added)
            continue;
        TRY(add_group(self, err));
        for (uint32_t g = 0; g < group_count; g++)
            TRY(column_append_row(&self->group_columns[g], values[g], i, err));
    }
    return LAM_OK;
}

/* Places (0-based in the rowset) whose row an aggregate counts: FILTER, then DISTINCT. */
static enum lam_code choose_rows(struct aggregate_op *self, struct run_context *run, uint32_t a,
                                 const struct rowset *in, const struct column *argument,
                                 uint32_t *count_out, struct lam_error *err) {
    TRY(MEM_GROW(&self->rows, &self->rows_capacity, in->count, err));
    const struct column *passes = NULL;
    if (self->filters[a])
        TRY(evaluator_run(self->filters[a], run, in->batch, in->sel, in->count, &passes, err));
    uint32_t count = 0;
    for (uint32_t i = 0; i < in->count; i++) {
        if (passes && (column_is_null(passes, i) || !column_bool(passes, i)))
            continue;
        if (self->plan->aggregates[a]->distinct && argument) {
            if (column_is_null(argument, i))
                continue;
            struct value v = column_value(argument, i);
            uint32_t number;
            bool added;
            buf_reset(&self->key);
            TRY(key_put_u32(&self->key, self->numbers[i], err));
            TRY(key_put_value(&self->key, &v, false, false, err));
            TRY(bytes_map_add(&self->distinct[a], buf_slice(&self->key), &number, &added, err));
            if (!added)
                continue;
        }
        self->rows[count++] = i;
    }
    *count_out = count;
    return LAM_OK;
}

static enum lam_code gather_argument(const struct column *from, const uint32_t *rows,
                                     uint32_t count, struct column *to, struct lam_error *err) {
    column_init(to, from->type);
    return column_append_rows(to, from, rows, count, err);
}

static enum lam_code update_chosen(struct aggregate_op *self, uint32_t a,
                                   const struct column *argument, const struct column *argument2,
                                   uint32_t chosen, uint32_t total, struct lam_error *err) {
    TRY(MEM_GROW(&self->targets, &self->targets_capacity, chosen, err));
    for (uint32_t i = 0; i < chosen; i++)
        self->targets[i] =
            (uint8_t *)self->states[self->numbers[self->rows[i]]] + self->state_offsets[a];
    const struct bound_aggregate *agg = self->plan->aggregates[a];
    if (chosen == total)
        return aggregate_update(agg, self->targets, argument, argument2, chosen, &self->arena, err);
    OWNED(column_fini) struct column kept = {0}, kept2 = {0};
    if (argument)
        TRY(gather_argument(argument, self->rows, chosen, &kept, err));
    if (argument2)
        TRY(gather_argument(argument2, self->rows, chosen, &kept2, err));
    return aggregate_update(agg, self->targets, argument ? &kept : NULL, argument2 ? &kept2 : NULL,
                            chosen, &self->arena, err);
}

static enum lam_code consume(struct aggregate_op *self, struct run_context *run,
                             const struct rowset *in, struct lam_error *err) {
    TRY(number_rows(self, run, in, err));
    for (uint32_t a = 0; a < self->plan->aggregate_count; a++) {
        const struct column *argument = NULL, *argument2 = NULL;
        if (self->arguments[a])
            TRY(evaluator_run(self->arguments[a], run, in->batch, in->sel, in->count, &argument,
                              err));
        if (self->arguments2[a])
            TRY(evaluator_run(self->arguments2[a], run, in->batch, in->sel, in->count, &argument2,
                              err));
        uint32_t chosen = 0;
        TRY(choose_rows(self, run, a, in, argument, &chosen, err));
        if (chosen > 0)
            TRY(update_chosen(self, a, argument, argument2, chosen, in->count, err));
    }
    return LAM_OK;
}

static enum lam_code consume_all(struct aggregate_op *self, struct run_context *run,
                                 struct lam_error *err) {
    for (;;) {
        struct rowset in;
        TRY(operator_next(self->base.child, run, &in, err));
        if (!in.batch)
            break;
        TRY(consume(self, run, &in, err));
    }
    if (self->plan->group_count == 0 && self->groups.count == 0) {
        uint32_t number;
        bool added;
        TRY(bytes_map_add(&self->groups, SLICE_EMPTY, &number, &added, err));
        TRY(add_group(self, err));
    }
    self->consumed = true;
    return LAM_OK;
}

static enum lam_code aggregate_next(struct exec_operator *op, struct run_context *run,
                                    struct rowset *out, struct lam_error *err) {
    struct aggregate_op *self = (struct aggregate_op *)op;
    *out = (struct rowset){0};
    if (!self->consumed)
        TRY(consume_all(self, run, err));
    if (self->at == self->groups.count)
        return LAM_OK;
    colbatch_reset(&self->out);
    uint32_t group_count = self->plan->group_count;
    while (self->at < self->groups.count && !colbatch_is_full(&self->out)) {
        uint32_t group = (uint32_t)self->at++;
        for (uint32_t g = 0; g < group_count; g++)
            TRY(column_append_row(&self->out.columns[g], &self->group_columns[g], group, err));
        for (uint32_t a = 0; a < self->plan->aggregate_count; a++)
            TRY(aggregate_result(self->plan->aggregates[a],
                                 (uint8_t *)self->states[group] + self->state_offsets[a],
                                 &self->out.columns[group_count + a], err));
        self->out.rows++;
    }
    *out = (struct rowset){&self->out, NULL, self->out.rows};
    return LAM_OK;
}

static enum lam_code make_evaluator(const struct bound *b, struct evaluator **out,
                                    struct lam_error *err) {
    return b ? evaluator_new(b, out, err) : LAM_OK;
}

static enum lam_code init_aggregates(struct aggregate_op *self, struct coltype *types,
                                     struct lam_error *err) {
    const struct select_plan *plan = self->plan;
    for (uint32_t i = 0; i < plan->aggregate_count; i++) {
        const struct bound_aggregate *a = plan->aggregates[i];
        TRY(make_evaluator(a->argument, &self->arguments[i], err));
        TRY(make_evaluator(a->argument2, &self->arguments2[i], err));
        TRY(make_evaluator(a->filter, &self->filters[i], err));
        self->state_offsets[i] = self->state_size;
        self->state_size += (aggregate_state_size(a) + 15) & ~(size_t)15;
        types[plan->group_count + i] = a->type;
    }
    if (self->state_size == 0)
        self->state_size = 1;
    return LAM_OK;
}

static enum lam_code aggregate_open(struct aggregate_op *self, struct lam_error *err) {
    const struct select_plan *plan = self->plan;
    uint32_t n = plan->aggregate_count, groups = plan->group_count;
    self->group_values = mem_calloc(groups + 1, sizeof *self->group_values);
    self->group_columns = mem_calloc(groups + 1, sizeof *self->group_columns);
    self->values = mem_calloc(groups + 1, sizeof *self->values);
    self->arguments = mem_calloc(n + 1, sizeof *self->arguments);
    self->arguments2 = mem_calloc(n + 1, sizeof *self->arguments2);
    self->filters = mem_calloc(n + 1, sizeof *self->filters);
    self->distinct = mem_calloc(n + 1, sizeof *self->distinct);
    self->state_offsets = mem_calloc(n + 1, sizeof *self->state_offsets);
    OWNED(mem_free_at) struct coltype *types = mem_calloc(groups + n + 1, sizeof *types);
    if (!self->group_values || !self->group_columns || !self->values || !self->arguments ||
        !self->arguments2 || !self->filters || !self->distinct || !self->state_offsets || !types)
        TRY(mem_fail(err, (groups + n + 1) * sizeof *types));
    for (uint32_t g = 0; g < groups; g++) {
        types[g] = bound_type(plan->groups[g]);
        column_init(&self->group_columns[g], types[g]);
        TRY(evaluator_new(plan->groups[g], &self->group_values[g], err));
    }
    TRY(init_aggregates(self, types, err));
    return colbatch_init(&self->out, types, groups + n, err);
}

enum lam_code aggregate_operator(struct exec_operator *child, const struct select_plan *plan,
                                 struct exec_operator **out, struct lam_error *err) {
    static const struct operator_ops ops = {aggregate_next, aggregate_free};
    struct aggregate_op *self = operator_new(sizeof *self, &ops, child, err);
    if (!self)
        return LAM_NO_MEMORY;
    self->plan = plan;
    enum lam_code rc = aggregate_open(self, err);
    if (rc != LAM_OK) {
        aggregate_free(&self->base);
        return rc;
    }
    *out = &self->base;
    return LAM_OK;
}
