/* SPDX-License-Identifier: Apache-2.0
 *
 * From a syntax tree to the plan of its kind, with the columns of its result. */
#include "sql/plan.h"

#include "base/arena.h"

static enum lam_code describe_result(struct planner *pl, const char *const *names,
                                     struct bound *const *items, uint32_t count,
                                     struct result_column **columns_out, uint32_t *count_out,
                                     struct lam_error *err) {
    struct result_column *columns = arena_calloc(pl->arena, count + 1, sizeof *columns);
    if (!columns)
        return plan_out_of_memory(err);
    for (uint32_t i = 0; i < count; i++) {
        struct coltype type = bound_type(items[i]);
        if (type.type == LAM_TYPE_NULL)
            type = coltype_of(LAM_TYPE_TEXT);
        columns[i] = (struct result_column){names[i], type};
    }
    *columns_out = columns;
    *count_out = count;
    return LAM_OK;
}

static enum lam_code plan_kind(struct planner *pl, const struct stmt *ast,
                               struct result_column **columns_out, uint32_t *count_out,
                               struct lam_error *err) {
    struct plan *plan = pl->plan;
    const struct returning_plan *returning;
    if (ast->kind == STMT_SELECT) {
        TRY(plan_select(pl, ast->as.select, &plan->select, err));
        return describe_result(pl, plan->select->names, plan->select->items,
                               plan->select->output_count, columns_out, count_out, err);
    }
    if (ast->kind == STMT_INSERT) {
        TRY(plan_insert(pl, ast->as.insert, &plan->insert, err));
        returning = &plan->insert->returning;
    } else {
        TRY(ast->kind == STMT_UPDATE ? plan_update(pl, ast->as.update, &plan->change, err)
                                     : plan_delete(pl, ast->as.delete_, &plan->change, err));
        returning = &plan->change->returning;
    }
    return describe_result(pl, returning->names, returning->items, returning->count, columns_out,
                           count_out, err);
}

enum lam_code plan_statement(struct planner *pl, const struct stmt *ast,
                             struct result_column **columns_out, uint32_t *count_out,
                             struct lam_error *err) {
    pl->plan = arena_calloc(pl->arena, 1, sizeof *pl->plan);
    if (!pl->plan)
        return plan_out_of_memory(err);
    pl->plan->kind = ast->kind;
    enum lam_code rc = plan_kind(pl, ast, columns_out, count_out, err);
    if (rc != LAM_OK) {
        plan_release(pl->plan);
        pl->plan = NULL;
    }
    return rc;
}
