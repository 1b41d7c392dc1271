/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions by name in a chained hash table. */
#include "shell/conn.h"

#include <stdio.h>
#include <stdlib.h>

#include "shell/diag.h"
#include "shell/text.h"

#define USER_PREFIX "user:"

/* FNV-1a. */
static uint64_t hash_bytes(const char *data, size_t size) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ (unsigned char)data[i]) * 0x100000001b3u;
    return h;
}

void conn_table_init(struct conn_table *t, lam_db *db, const struct shell_options *options) {
    *t = (struct conn_table){.db = db, .options = options, .bucket_count = 64};
    t->buckets = memory_resize(NULL, t->bucket_count * sizeof *t->buckets);
    memset(t->buckets, 0, t->bucket_count * sizeof *t->buckets);
}

static void drop_statements(struct conn *c) {
    for (size_t i = 0; i < c->kept_count; i++) {
        lam_finalize(c->kept[i].stmt);
        free(c->kept[i].sql);
    }
    c->kept_count = 0;
}

bool conn_table_fini(struct conn_table *t) {
    bool ok = true;
    for (size_t i = 0; i < t->bucket_count; i++) {
        while (t->buckets[i]) {
            struct conn *c = t->buckets[i];
            struct lam_error err = {0};
            t->buckets[i] = c->next;
            drop_statements(c);
            if (lam_session_close(c->session, &err) != LAM_OK) {
                diag_error(&err);
                ok = false;
            }
            free(c->name);
            free(c);
        }
    }
    free(t->buckets);
    return ok;
}

static void grow(struct conn_table *t) {
    size_t wider = t->bucket_count * 2;
    struct conn **buckets = memory_resize(NULL, wider * sizeof *buckets);
    memset(buckets, 0, wider * sizeof *buckets);
    for (size_t i = 0; i < t->bucket_count; i++) {
        while (t->buckets[i]) {
            struct conn *c = t->buckets[i];
            struct conn **to = &buckets[hash_bytes(c->name, c->name_size) & (wider - 1)];
            t->buckets[i] = c->next;
            c->next = *to;
            *to = c;
        }
    }
    free(t->buckets);
    t->buckets = buckets;
    t->bucket_count = wider;
}

static struct conn *find_or_add(struct conn_table *t, const char *name, size_t size) {
    uint64_t hash = hash_bytes(name, size);
    struct conn *c = t->buckets[hash & (t->bucket_count - 1)];
    for (; c; c = c->next)
        if (c->name_size == size && memcmp(c->name, name, size) == 0)
            return c;
    if (t->count++ >= t->bucket_count)
        grow(t);
    c = memory_resize(NULL, sizeof *c);
    struct conn **to = &t->buckets[hash & (t->bucket_count - 1)];
    *c = (struct conn){.name = memory_resize(NULL, size + 1), .name_size = size, .next = *to};
    memcpy(c->name, name, size);
    c->name[size] = '\0';
    *to = c;
    return c;
}

static enum lam_code open_plain(struct conn_table *t, lam_session **out, struct lam_error *err) {
    const struct shell_options *o = t->options;
    if (o->user && !o->has_role)
        return lam_session_open_user(t->db, o->user, out, err);
    return lam_session_open(t->db, o->user ? o->user : "system", o->role, out, err);
}

/* Puts `session` in the place of the connection's; it goes on in the same namespace. */
static enum lam_code replace_session(struct conn *c, lam_session *session, struct lam_error *err) {
    char use[160] = "";
    drop_statements(c);
    if (c->session)
        snprintf(use, sizeof use, "USE \"%s\"", lam_session_namespace(c->session));
    enum lam_code rc = lam_session_close(c->session, err);
    c->session = session;
    /* The namespace may be gone or forbidden now: then it is the default one. */
    if (rc == LAM_OK && use[0] &&
        lam_exec(session, use, strlen(use), NULL, NULL, NULL, NULL) != LAM_OK)
        return LAM_OK;
    return rc;
}

static enum lam_code open_as_user(struct conn_table *t, struct conn *c, struct lam_error *err) {
    const char *user = c->name + strlen(USER_PREFIX);
    lam_session *session;
    enum lam_code rc = lam_session_open_user(t->db, user, &session, err);
    if (rc != LAM_OK)
        return rc;
    if (c->session && lam_session_role(c->session) == lam_session_role(session))
        return lam_session_close(session, err);
    return replace_session(c, session, err);
}

enum lam_code conn_get(struct conn_table *t, const char *name, size_t size, struct conn **out,
                       struct lam_error *err) {
    if (memchr(name, '\0', size)) {
        *err = (struct lam_error){.code = LAM_INVALID, .sqlstate = "22021"};
        snprintf(err->message, sizeof err->message, "conn has a zero byte");
        return LAM_INVALID;
    }
    struct conn *c = find_or_add(t, name, size);
    *out = c;
    if (strncmp(c->name, USER_PREFIX, strlen(USER_PREFIX)) == 0)
        return open_as_user(t, c, err);
    return c->session ? LAM_OK : open_plain(t, &c->session, err);
}

lam_stmt *conn_find(struct conn *c, const char *sql, size_t size) {
    uint64_t hash = hash_bytes(sql, size);
    for (size_t i = 0; i < c->kept_count; i++) {
        struct kept *k = &c->kept[i];
        if (k->hash == hash && k->size == size && memcmp(k->sql, sql, size) == 0) {
            k->used = ++c->clock;
            return k->stmt;
        }
    }
    return NULL;
}

void conn_keep(struct conn *c, const char *sql, size_t size, lam_stmt *stmt) {
    size_t at = c->kept_count;
    if (at == CONN_STATEMENTS) {
        at = 0;
        for (size_t i = 1; i < CONN_STATEMENTS; i++)
            if (c->kept[i].used < c->kept[at].used)
                at = i;
        lam_finalize(c->kept[at].stmt);
        free(c->kept[at].sql);
    } else {
        c->kept_count++;
    }
    struct kept *k = &c->kept[at];
    *k = (struct kept){.hash = hash_bytes(sql, size), .size = size, .stmt = stmt};
    k->sql = memory_resize(NULL, size + 1);
    memcpy(k->sql, sql, size);
    k->used = ++c->clock;
}
