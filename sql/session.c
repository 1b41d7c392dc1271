/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions: cheap pairs of user and role, counted so that the database stays open under them. */
#include "sql/sql.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/utf8.h"

/* What SQL keeps per database. */
struct sql_layer {
    atomic_uint sessions; /* open ones; any thread */
};

static enum lam_code open_layer(lam_db *db, void **object_out, struct lam_error *err) {
    (void)db;
    struct sql_layer *layer = mem_calloc(1, sizeof *layer);
    if (!layer)
        return mem_fail(err, sizeof *layer);
    *object_out = layer;
    return LAM_OK;
}

static enum lam_code layer_closing(void *object, struct lam_error *err) {
    struct sql_layer *layer = object;
    unsigned open = atomic_load(&layer->sessions);
    if (open > 0)
        return ERR(err, LAM_BUSY, "close database: %u session%s still open", open,
                   open == 1 ? " is" : "s are");
    return LAM_OK;
}

static void close_layer(void *object) {
    mem_free(object);
}

static const struct db_attachment attachment = {
    .layer = DB_LAYER_SQL,
    .open = open_layer,
    .closing = layer_closing,
    .close = close_layer,
};

static enum lam_code attach(lam_session *s, struct lam_error *err) {
    TRY(catalog_of(s->db, &s->catalog, err));
    TRY(flush_of(s->db, &s->flush, err));
    void *layer;
    TRY(db_attach(s->db, &attachment, &layer, err));
    s->layer = layer;
    return LAM_OK;
}

enum lam_code lam_session_open(lam_db *db, const char *user, enum lam_role role,
                               lam_session **session_out, struct lam_error *err) {
    if (!session_out)
        return ERR(err, LAM_INVALID, "open session: session_out is NULL");
    *session_out = NULL;
    if (!db || !user)
        return ERR(err, LAM_INVALID, "open session: %s is NULL", db ? "user" : "db");
    TRY(db_check_process(db, err));
    if ((int)role < LAM_ROLE_ANONYMOUS || role > LAM_ROLE_SYSTEM)
        return ERR(err, LAM_INVALID, "open session: %d is not a role", (int)role);
    TRY(user_id_check(lam_slice_str(user), err));
    lam_session *s = mem_calloc(1, sizeof *s);
    if (!s)
        return mem_fail(err, sizeof *s);
    s->db = db;
    s->role = role;
    memcpy(s->namespace_name, "default", sizeof "default");
    char *copy = mem_strdup(user);
    enum lam_code rc = copy ? attach(s, err) : mem_fail(err, strlen(user) + 1);
    if (rc != LAM_OK) {
        mem_free(copy);
        mem_free(s);
        return rc;
    }
    s->user = lam_slice_str(copy);
    atomic_fetch_add(&s->layer->sessions, 1);
    *session_out = s;
    return LAM_OK;
}

enum lam_code lam_session_open_user(lam_db *db, const char *user, lam_session **session_out,
                                    struct lam_error *err) {
    if (!session_out)
        return ERR(err, LAM_INVALID, "open session: session_out is NULL");
    *session_out = NULL;
    if (!db || !user)
        return ERR(err, LAM_INVALID, "open session: %s is NULL", db ? "user" : "db");
    TRY(db_check_process(db, err));
    struct catalog *catalog;
    TRY(catalog_of(db, &catalog, err));
    enum lam_role role = LAM_ROLE_USER;
    struct lam_error ignored = {0};
    enum lam_code rc = catalog_user_role(catalog, lam_slice_str(user), &role, &ignored);
    if (rc == LAM_NOT_FOUND)
        role = LAM_ROLE_USER;
    else
        TRY(error_pass(err, rc, &ignored));
    return lam_session_open(db, user, role, session_out, err);
}

enum lam_code lam_session_close(lam_session *session, struct lam_error *err) {
    if (!session)
        return LAM_OK;
    TRY(db_check_process(session->db, err));
    if (session->open_statements > 0)
        return ERR(err, LAM_BUSY, "close session: %u statement%s not finalized",
                   session->open_statements, session->open_statements == 1 ? " is" : "s are");
    atomic_fetch_sub(&session->layer->sessions, 1);
    mem_free((void *)session->user.data);
    mem_free(session);
    return LAM_OK;
}

const char *lam_session_user(const lam_session *session) {
    return session ? (const char *)session->user.data : "";
}

enum lam_role lam_session_role(const lam_session *session) {
    return session ? session->role : LAM_ROLE_ANONYMOUS;
}

const char *lam_session_namespace(const lam_session *session) {
    return session ? session->namespace_name : "";
}

void lam_session_set_durability(lam_session *session, enum lam_durability durability) {
    if (session)
        session->durability = durability;
}

void lam_session_interrupt(lam_session *session) {
    if (session)
        atomic_store(&session->interrupted, true);
}

int64_t run_expiry_us(const struct run_context *run, const struct provider *p) {
    return p->kind == TABLE_STREAM ? catalog_expiry_us(run->catalog) : run->now_us;
}

enum lam_code run_check(const struct run_context *run, struct lam_error *err) {
    if (run->interrupted && atomic_load_explicit(run->interrupted, memory_order_relaxed))
        return ERR_SQL(err, "57014", 0, "statement interrupted");
    return LAM_OK;
}
