/* SPDX-License-Identifier: Apache-2.0
 *
 * The operator tree of a SELECT: source, filter, aggregate, having, project, distinct, sort, limit.
 */
#include "sql/exec.h"

static enum lam_code limit_value(struct run_context *run, const struct bound *b, const char *what,
                                 const char *sqlstate, int64_t *out, struct lam_error *err) {
    struct value v;
    if (!b)
        return LAM_OK;
    TRY(bound_value(run, b, &v, err));
    if (v.is_null)
        return LAM_OK;
    if (v.as.i64 < 0)
        return ERR_SQL(err, sqlstate, 0, "%s must not be negative", what);
    *out = v.as.i64;
    return LAM_OK;
}

static enum lam_code add_limit(const struct select_plan *plan, lam_stmt *stmt,
                               struct exec_operator **op, struct lam_error *err) {
    int64_t limit = -1, offset = 0;
    enum lam_code rc = limit_value(&stmt->run, plan->limit, "LIMIT", "2201W", &limit, err);
    if (rc == LAM_OK)
        rc = limit_value(&stmt->run, plan->offset, "OFFSET", "2201X", &offset, err);
    if (rc != LAM_OK) {
        operator_free(*op);
        return rc;
    }
    if (limit < 0 && offset == 0)
        return LAM_OK;
    return limit_operator(*op, limit, offset, op, err);
}

enum lam_code select_operator(const struct select_plan *plan, lam_stmt *stmt,
                              struct exec_operator **out, struct lam_error *err) {
    struct exec_operator *op;
    TRY(source_operator(&plan->source, stmt, &op, err));
    if (plan->aggregated)
        TRY(aggregate_operator(op, plan, &op, err));
    if (plan->having)
        TRY(filter_operator(op, plan->having, &op, err));
    TRY(project_operator(op, plan->items, plan->item_count, &op, err));
    if (plan->distinct)
        TRY(distinct_operator(op, plan->output_count, &op, err));
    if (plan->sort_count > 0)
        TRY(sort_operator(op, plan->sort, plan->sort_count, &op, err));
    TRY(add_limit(plan, stmt, &op, err));
    *out = op;
    return LAM_OK;
}
