/* SPDX-License-Identifier: Apache-2.0
 *
 * Rights of a statement, told from its tree: by role and kind of statement, and by each table it
 * names. Row isolation is not here: no scan exists without a user. */
#include "base/arena.h"
#include "sql/plan.h"

enum lam_code authorise_table(const struct identity *who, const struct provider *p, bool write,
                              struct lam_error *err) {
    bool per_user = p->kind == TABLE_USER || p->kind == TABLE_STREAM;
    if (who->impersonated && !per_user)
        return ERR_SQL(err, "42501", 0,
                       "EXECUTE AS USER works on USER and STREAM tables only, %s.%s is %s",
                       p->namespace_name, p->name, table_kind_name(p->kind));
    bool ok = write ? access_may_write(who->role, p->kind, p->options.access)
                    : access_may_read(who->role, p->kind, p->options.access);
    return ok ? LAM_OK
              : access_denied(err, who->user, who->role, "%s %s.%s", write ? "write" : "read",
                              p->namespace_name, p->name);
}

static enum lam_code check_name(lam_session *session, const struct identity *who,
                                const struct name_ref *name, bool write, struct lam_error *err) {
    struct lam_slice ns =
        name->namespace_name.size ? name->namespace_name : lam_slice_str(session->namespace_name);
    if (slice_eq_str(ns, "information_schema"))
        return LAM_OK;
    if (slice_eq_str(ns, "system")) {
        if (!access_may(who->role, ACTION_READ_SYSTEM, TABLE_SYSTEM))
            return access_denied(err, who->user, who->role, "read system.%.*s",
                                 (int)name->name.size, (const char *)name->name.data);
        return LAM_OK;
    }
    struct provider *p;
    if (catalog_provider(session->catalog, ns, name->name, &p, NULL) != LAM_OK)
        return LAM_OK; /* made by an earlier statement of the text, or an error when it runs */
    enum lam_code rc = authorise_table(who, p, write, err);
    if (rc != LAM_OK && err)
        err->pos = name->pos;
    provider_unref(p);
    return rc;
}

static enum lam_code may(const struct identity *who, enum action action, enum table_kind kind,
                         const char *what, struct lam_error *err) {
    if (access_may(who->role, action, kind))
        return LAM_OK;
    return access_denied(err, who->user, who->role, "%s", what);
}

static enum table_kind kind_of(lam_session *session, const struct name_ref *name) {
    struct lam_slice ns =
        name->namespace_name.size ? name->namespace_name : lam_slice_str(session->namespace_name);
    struct provider *p;
    if (slice_eq_str(ns, "system"))
        return TABLE_SYSTEM;
    if (catalog_provider(session->catalog, ns, name->name, &p, NULL) != LAM_OK)
        return TABLE_USER; /* the least demanding; the change itself checks again */
    enum table_kind kind = p->kind;
    provider_unref(p);
    return kind;
}

static enum lam_code check_show(const struct identity *who, const struct stmt *ast,
                                struct lam_error *err) {
    if (ast->as.show.kind == SHOW_JOBS || ast->as.show.kind == SHOW_USERS ||
        ast->as.show.kind == SHOW_STORAGES)
        return may(who, ACTION_READ_SYSTEM, TABLE_SYSTEM, "read system tables", err);
    return LAM_OK;
}

static enum lam_code check_insert(lam_session *session, const struct identity *who,
                                  const struct insert_stmt *ast, struct lam_error *err) {
    TRY(check_name(session, who, &ast->table, true, err));
    if (ast->select && ast->select->from)
        return check_name(session, who, &ast->select->from->table, false, err);
    return LAM_OK;
}

static enum lam_code check_statement(lam_session *session, const struct identity *who,
                                     const struct stmt *ast, struct lam_error *err) {
    enum table_kind any = TABLE_SHARED;
    switch (ast->kind) {
    case STMT_SELECT:
        return ast->as.select->from
                   ? check_name(session, who, &ast->as.select->from->table, false, err)
                   : LAM_OK;
    case STMT_INSERT:
        return check_insert(session, who, ast->as.insert, err);
    case STMT_UPDATE:
        return check_name(session, who, &ast->as.update->table, true, err);
    case STMT_DELETE:
        return check_name(session, who, &ast->as.delete_->table, true, err);
    case STMT_EXPLAIN:
        return check_statement(session, who, ast->as.explain.inner, err);
    case STMT_CREATE_NAMESPACE:
    case STMT_DROP_NAMESPACE:
        return may(who, ACTION_MANAGE_NAMESPACE, any, "create or drop namespaces", err);
    case STMT_CREATE_TABLE:
        return ast->as.create_table->kind == TABLE_SHARED
                   ? may(who, ACTION_CREATE_SHARED_TABLE, any, "create SHARED tables", err)
                   : may(who, ACTION_CREATE_USER_TABLE, any, "create tables", err);
    case STMT_DROP_TABLE:
        return may(who, ACTION_DROP_TABLE, any, "drop tables", err);
    case STMT_ALTER_TABLE:
        if (ast->as.alter_table->kind == ALTER_ACCESS_LEVEL)
            return may(who, ACTION_SET_ACCESS_LEVEL, any, "change access levels", err);
        return may(who, ACTION_ALTER_TABLE, kind_of(session, &ast->as.alter_table->table),
                   "alter this table", err);
    case STMT_CREATE_INDEX:
        return may(who, ACTION_CREATE_INDEX, kind_of(session, &ast->as.create_index->table),
                   "create indexes on this table", err);
    case STMT_DROP_INDEX:
        return LAM_OK; /* by the index's table: the catalog checks */
    case STMT_CREATE_USER:
    case STMT_DROP_USER:
        return may(who, ACTION_MANAGE_USER, any, "create or drop users", err);
    case STMT_CREATE_STORAGE:
    case STMT_DROP_STORAGE:
        return may(who, ACTION_MANAGE_STORAGE, any, "create or drop storages", err);
    case STMT_FLUSH_TABLE:
    case STMT_FLUSH_ALL:
        return may(who, ACTION_FLUSH, any, "flush tables", err);
    case STMT_SHOW:
        return check_show(who, ast, err);
    case STMT_DESCRIBE:
        return check_name(session, who, &ast->as.target, false, err);
    case STMT_USE:
    case STMT_EXECUTE_AS:
        break;
    }
    return LAM_OK;
}

static bool may_run_as_another(const struct stmt *inner) {
    const struct stmt *s = inner->kind == STMT_EXPLAIN ? inner->as.explain.inner : inner;
    return s->kind == STMT_SELECT || s->kind == STMT_INSERT || s->kind == STMT_UPDATE ||
           s->kind == STMT_DELETE;
}

enum lam_code authorise_identity(lam_session *session, const struct stmt *ast, struct arena *arena,
                                 struct identity *identity_out, const struct stmt **inner_out,
                                 struct lam_error *err) {
    *identity_out = (struct identity){session->user, session->role, false};
    *inner_out = ast;
    if (ast->kind != STMT_EXECUTE_AS)
        return LAM_OK;
    const struct stmt *inner = ast->as.execute_as.inner;
    struct lam_slice subject = ast->as.execute_as.user;
    *inner_out = inner;
    if (!may_run_as_another(inner))
        return ERR_SQL(err, "0A000", inner->pos,
                       "EXECUTE AS USER runs SELECT, INSERT, UPDATE and DELETE only");
    /* Oneself is no other role, but the same rules hold and the same trace is left. */
    bool self = slice_eq(subject, session->user);
    enum lam_role role = session->role;
    enum lam_code rc = self ? LAM_OK : catalog_user_role(session->catalog, subject, &role, err);
    if (rc == LAM_NOT_FOUND)
        return ERR_SQL(err, "42704", ast->as.execute_as.user_pos, "user \"%.*s\" does not exist",
                       subject.size > USER_ID_MAX ? USER_ID_MAX : (int)subject.size,
                       (const char *)subject.data);
    TRY(rc);
    if (!access_may_execute_as(session->role, session->user, role, subject))
        return access_denied(err, session->user, session->role, "act as user %.*s (role %s)",
                             (int)subject.size, (const char *)subject.data, role_name(role));
    uint8_t *copy = arena_dup(arena, subject.data, subject.size);
    if (!copy)
        return plan_out_of_memory(err);
    *identity_out = (struct identity){lam_slice_of(copy, subject.size), role, true};
    return LAM_OK;
}

enum lam_code authorise_statement(lam_session *session, const struct stmt *ast,
                                  struct lam_error *err) {
    OWNED(arena_fini) struct arena arena = {0};
    struct identity who;
    const struct stmt *inner;
    TRY(authorise_identity(session, ast, &arena, &who, &inner, err));
    return check_statement(session, &who, inner, err);
}
