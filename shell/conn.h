/* SPDX-License-Identifier: Apache-2.0
 *
 * The machine protocol's sessions by name, each with its most recently used statements prepared. */
#ifndef LAMINA_SHELL_CONN_H
#define LAMINA_SHELL_CONN_H

#include "shell/options.h"

#define CONN_STATEMENTS 64

/* A prepared statement kept for its text. */
struct kept {
    uint64_t hash;
    char *sql; /* owned */
    size_t size;
    lam_stmt *stmt; /* owned */
    uint64_t used;  /* the connection's clock at the last use */
};

struct conn {
    char *name; /* owned */
    size_t name_size;
    lam_session *session; /* owned; NULL until it could be opened */
    struct kept kept[CONN_STATEMENTS];
    size_t kept_count;
    uint64_t clock;
    struct conn *next; /* of the same bucket */
};

struct conn_table {
    lam_db *db;                          /* borrowed */
    const struct shell_options *options; /* borrowed; identity of plain names */
    struct conn **buckets;               /* owned; a power of two of them */
    size_t bucket_count;
    size_t count;
};

void conn_table_init(struct conn_table *t, lam_db *db, const struct shell_options *options);
/* Closes all sessions; false if one could not be closed, which is said on stderr. */
bool conn_table_fini(struct conn_table *t);
/* The connection of a name with its session open and its role up to date. */
enum lam_code conn_get(struct conn_table *t, const char *name, size_t size, struct conn **out,
                       struct lam_error *err);
/* The statement kept for a text, NULL if there is none. */
lam_stmt *conn_find(struct conn *c, const char *sql, size_t size);
/* Keeps a statement, which becomes the connection's; the least recently used one may go. */
void conn_keep(struct conn *c, const char *sql, size_t size, lam_stmt *stmt);

#endif
