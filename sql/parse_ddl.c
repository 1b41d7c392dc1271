/* SPDX-License-Identifier: Apache-2.0
 *
 * CREATE, DROP and ALTER. Constraints that nothing would enforce are refused, never ignored. */
#include "sql/parse.h"

#include "base/assert.h"

/* --- columns --- */

static enum lam_code refuse_constraint(struct parser *p, struct lam_error *err) {
    enum lam_code rc;
    switch (p->tok.kind == TOK_NAME ? p->tok.keyword : KW_NONE) {
    case KW_UNIQUE:
        rc = parser_unsupported(p->tok.pos, "a UNIQUE constraint", err);
        return error_hint(err, rc, "CREATE UNIQUE INDEX does the same");
    case KW_CHECK:
        return parser_unsupported(p->tok.pos, "a CHECK constraint", err);
    case KW_REFERENCES:
        return parser_unsupported(p->tok.pos, "a REFERENCES constraint", err);
    case KW_FOREIGN:
        return parser_unsupported(p->tok.pos, "a FOREIGN KEY constraint", err);
    default:
        return LAM_OK;
    }
}

/* GENERATED {ALWAYS|BY DEFAULT} AS IDENTITY */
static enum lam_code parse_generated(struct parser *p, struct column_decl *c,
                                     struct lam_error *err) {
    TRY(parser_next(p, err));
    if (parser_at_keyword(p, KW_BY)) {
        TRY(parser_next(p, err));
        TRY(parser_expect_keyword(p, KW_DEFAULT, err));
    } else if (parser_at_keyword(p, KW_ALWAYS)) {
        TRY(parser_next(p, err));
    } else {
        return parser_fail(p, "ALWAYS or BY DEFAULT", err);
    }
    TRY(parser_expect_keyword(p, KW_AS, err));
    if (parser_at(p, TOK_LPAREN))
        return parser_unsupported(p->tok.pos, "a generated column", err);
    TRY(parser_expect_keyword(p, KW_IDENTITY, err));
    c->auto_increment = true;
    return LAM_OK;
}

/* One option behind a column's type; `*done` when none follows. */
static enum lam_code parse_column_option(struct parser *p, struct column_decl *c, bool *null_given,
                                         bool *done, struct lam_error *err) {
    uint32_t pos = p->tok.pos;
    TRY(refuse_constraint(p, err));
    switch (p->tok.kind == TOK_NAME ? p->tok.keyword : KW_NONE) {
    case KW_NOT:
        TRY(parser_next(p, err));
        c->not_null = true;
        TRY(parser_expect_keyword(p, KW_NULL, err));
        break;
    case KW_NULL:
        *null_given = true;
        TRY(parser_next(p, err));
        break;
    case KW_DEFAULT:
        if (c->default_expr)
            return ERR_SQL(err, "42601", pos, "column \"%.*s\" has two defaults", (int)c->name.size,
                           (const char *)c->name.data);
        TRY(parser_next(p, err));
        return parse_expr(p, &c->default_expr, err);
    case KW_PRIMARY:
        TRY(parser_next(p, err));
        c->primary_key = true;
        return parser_expect_keyword(p, KW_KEY, err);
    case KW_AUTO_INCREMENT:
        c->auto_increment = true;
        return parser_next(p, err);
    case KW_GENERATED:
        return parse_generated(p, c, err);
    case KW_COLLATE:
        return parser_unsupported(pos, "COLLATE", err);
    default:
        *done = true;
        return LAM_OK;
    }
    if (c->not_null && *null_given)
        return ERR_SQL(err, "42601", pos, "column \"%.*s\" is declared both NULL and NOT NULL",
                       (int)c->name.size, (const char *)c->name.data);
    return LAM_OK;
}

static enum lam_code parse_column(struct parser *p, struct column_decl *c, struct lam_error *err) {
    bool done = false, null_given = false;
    TRY(parse_name(p, "a column name", &c->name, &c->pos, err));
    TRY(parse_type(p, &c->type, &c->auto_increment, err));
    while (!done) {
        bool named = false;
        TRY(parser_accept_keyword(p, KW_CONSTRAINT, &named, err));
        struct lam_slice name;
        if (named)
            TRY(parse_name(p, "a constraint name", &name, NULL, err));
        TRY(parse_column_option(p, c, &null_given, &done, err));
        if (named && done)
            return parser_fail(p, "a constraint", err);
    }
    if (c->auto_increment && c->default_expr)
        return ERR_SQL(err, "42601", c->pos,
                       "column \"%.*s\" has both a DEFAULT and an automatic value",
                       (int)c->name.size, (const char *)c->name.data);
    return LAM_OK;
}

/* --- CREATE TABLE --- */

static enum lam_code parse_table_key(struct parser *p, struct create_table_stmt *t,
                                     struct lam_error *err) {
    uint32_t pos = p->tok.pos;
    TRY(parser_next(p, err));
    TRY(parser_expect_keyword(p, KW_KEY, err));
    if (t->key)
        return ERR_SQL(err, "42P16", pos, "a table has one PRIMARY KEY");
    return parse_name_list(p, "a column name", &t->key, &t->key_pos, &t->key_count, err);
}

/* One column or table constraint. */
static enum lam_code parse_element(struct parser *p, struct create_table_stmt *t,
                                   struct list *columns, struct lam_error *err) {
    bool named = false;
    struct lam_slice name;
    TRY(parser_accept_keyword(p, KW_CONSTRAINT, &named, err));
    if (named)
        TRY(parse_name(p, "a constraint name", &name, NULL, err));
    TRY(refuse_constraint(p, err));
    if (parser_at_keyword(p, KW_PRIMARY))
        return parse_table_key(p, t, err);
    if (named)
        return parser_fail(p, "PRIMARY KEY", err);
    if (parser_at_keyword(p, KW_LIKE))
        return parser_unsupported(p->tok.pos, "CREATE TABLE (LIKE ...)", err);
    struct column_decl c = {0};
    void *slot;
    TRY(parse_column(p, &c, err));
    TRY(list_add(p->arena, columns, sizeof c, &slot, err));
    memcpy(slot, &c, sizeof c);
    return LAM_OK;
}

static enum lam_code parse_create_table(struct parser *p, enum table_kind kind, struct stmt *s,
                                        struct lam_error *err) {
    struct create_table_stmt *t = arena_alloc(p->arena, sizeof *t);
    struct list columns = {0};
    bool more = true;
    if (!t)
        return mem_fail(err, sizeof *t);
    s->kind = STMT_CREATE_TABLE;
    s->as.create_table = t;
    t->kind_given = kind != 0;
    t->kind = kind ? kind : TABLE_SHARED;
    TRY(parser_next(p, err));
    TRY(parse_if_not_exists(p, &t->if_not_exists, err));
    TRY(parse_name_ref(p, "a table name", &t->table, err));
    if (parser_at_keyword(p, KW_AS))
        return parser_unsupported(p->tok.pos, "CREATE TABLE AS", err);
    TRY(parser_expect(p, TOK_LPAREN, "( and the columns", err));
    while (more) {
        TRY(parse_element(p, t, &columns, err));
        TRY(parser_accept(p, TOK_COMMA, &more, err));
    }
    TRY(parser_expect(p, TOK_RPAREN, ", or )", err));
    t->columns = columns.items;
    t->column_count = columns.count;
    TRY(parse_table_options(p, t, err));
    if (parser_at_keyword(p, KW_AS))
        return parser_unsupported(p->tok.pos, "CREATE TABLE AS", err);
    return LAM_OK;
}

/* --- other CREATE --- */

static enum lam_code parse_create_index(struct parser *p, bool unique, struct stmt *s,
                                        struct lam_error *err) {
    struct create_index_stmt *x = arena_alloc(p->arena, sizeof *x);
    if (!x)
        return mem_fail(err, sizeof *x);
    s->kind = STMT_CREATE_INDEX;
    s->as.create_index = x;
    x->unique = unique;
    TRY(parser_next(p, err));
    TRY(parse_if_not_exists(p, &x->if_not_exists, err));
    TRY(parse_name(p, "an index name", &x->name, &x->name_pos, err));
    TRY(parser_expect_keyword(p, KW_ON, err));
    TRY(parse_name_ref(p, "a table name", &x->table, err));
    if (parser_at_keyword(p, KW_USING))
        return parser_unsupported(p->tok.pos, "an index method", err);
    struct parser before = *p; /* an expression in the list is refused by name, not as bad syntax */
    enum lam_code rc =
        parse_name_list(p, "a column name", &x->columns, &x->column_pos, &x->column_count, err);
    if (rc == LAM_SQL && before.tok.kind == TOK_LPAREN &&
        (parser_at(p, TOK_LPAREN) || parser_at_keyword(p, KW_ASC) || parser_at_keyword(p, KW_DESC)))
        return parser_unsupported(p->tok.pos, "an index on an expression or with an order", err);
    TRY(rc);
    if (parser_at_keyword(p, KW_WHERE))
        return parser_unsupported(p->tok.pos, "a partial index", err);
    return LAM_OK;
}

static enum lam_code fail_twice(uint32_t pos, const char *what, struct lam_error *err) {
    return ERR_SQL(err, "42601", pos, "%s is given twice", what);
}

static enum lam_code parse_create_user(struct parser *p, struct stmt *s, struct lam_error *err) {
    struct create_user_stmt *u = arena_alloc(p->arena, sizeof *u);
    bool with = false;
    if (!u)
        return mem_fail(err, sizeof *u);
    s->kind = STMT_CREATE_USER;
    s->as.create_user = u;
    TRY(parse_if_not_exists(p, &u->if_not_exists, err));
    TRY(parse_name_or_string(p, "a user name", &u->name, NULL, err));
    TRY(parser_accept_keyword(p, KW_WITH, &with, err));
    for (;;) {
        uint32_t pos = p->tok.pos;
        if (parser_at_keyword(p, KW_PASSWORD)) {
            if (u->has_password)
                return fail_twice(pos, "PASSWORD", err);
            TRY(parser_next(p, err));
            TRY(parse_string(p, "a password in quotes", &u->password, err));
            u->has_password = true;
        } else if (parser_at_keyword(p, KW_ROLE)) {
            if (u->role.size)
                return fail_twice(pos, "ROLE", err);
            TRY(parser_next(p, err));
            TRY(parse_name_or_string(p, "a role", &u->role, &u->role_pos, err));
        } else if (parser_at_keyword(p, KW_EMAIL)) {
            if (u->email.size)
                return fail_twice(pos, "EMAIL", err);
            TRY(parser_next(p, err));
            TRY(parse_string(p, "an e-mail address in quotes", &u->email, err));
        } else {
            return with && !u->has_password && !u->role.size && !u->email.size
                       ? parser_fail(p, "PASSWORD, ROLE or EMAIL", err)
                       : LAM_OK;
        }
    }
}

static enum lam_code parse_create_storage(struct parser *p, struct stmt *s, struct lam_error *err) {
    struct create_storage_stmt *t = arena_alloc(p->arena, sizeof *t);
    if (!t)
        return mem_fail(err, sizeof *t);
    s->kind = STMT_CREATE_STORAGE;
    s->as.create_storage = t;
    TRY(parser_next(p, err));
    TRY(parse_if_not_exists(p, &t->if_not_exists, err));
    TRY(parse_name_or_string(p, "a storage id", &t->name, &t->pos, err));
    const struct {
        enum keyword word;
        struct lam_slice *out;
    } clauses[] = {{KW_TYPE, &t->type},
                   {KW_BASE_DIRECTORY, &t->base_directory},
                   {KW_SHARED_TABLES_TEMPLATE, &t->shared_template},
                   {KW_USER_TABLES_TEMPLATE, &t->user_template}};
    for (size_t i = 0; i < 4;) {
        if (!parser_at_keyword(p, clauses[i].word)) {
            i++;
            continue;
        }
        if (clauses[i].out->data)
            return fail_twice(p->tok.pos, keyword_name(clauses[i].word), err);
        TRY(parser_next(p, err));
        TRY(i == 0 ? parse_name_or_string(p, "a storage type", clauses[i].out, NULL, err)
                   : parse_string(p, "a path in quotes", clauses[i].out, err));
        i = 0;
    }
    return LAM_OK;
}

static enum lam_code parse_create_namespace(struct parser *p, struct stmt *s,
                                            struct lam_error *err) {
    s->kind = STMT_CREATE_NAMESPACE;
    TRY(parser_next(p, err));
    TRY(parse_if_not_exists(p, &s->as.create_namespace.if_not_exists, err));
    return parse_namespace(p, &s->as.create_namespace.name.name, &s->as.create_namespace.name.pos,
                           err);
}

static enum lam_code parse_create_user_or_table(struct parser *p, struct stmt *s,
                                                struct lam_error *err) {
    TRY(parser_next(p, err));
    if (parser_at_keyword(p, KW_TABLE))
        return parse_create_table(p, TABLE_USER, s, err);
    return parse_create_user(p, s, err);
}

enum lam_code parse_create(struct parser *p, struct stmt *s, struct lam_error *err) {
    enum keyword k;
    TRY(parser_next(p, err));
    switch (k = p->tok.kind == TOK_NAME ? p->tok.keyword : KW_NONE) {
    case KW_TABLE:
        return parse_create_table(p, 0, s, err);
    case KW_USER:
        return parse_create_user_or_table(p, s, err);
    case KW_SHARED:
    case KW_STREAM:
        TRY(parser_next(p, err));
        if (!parser_at_keyword(p, KW_TABLE))
            return parser_fail(p, "TABLE", err);
        return parse_create_table(p, k == KW_SHARED ? TABLE_SHARED : TABLE_STREAM, s, err);
    case KW_UNIQUE:
        TRY(parser_next(p, err));
        if (!parser_at_keyword(p, KW_INDEX))
            return parser_fail(p, "INDEX", err);
        return parse_create_index(p, true, s, err);
    case KW_INDEX:
        return parse_create_index(p, false, s, err);
    case KW_NAMESPACE:
    case KW_SCHEMA:
        return parse_create_namespace(p, s, err);
    case KW_STORAGE:
        return parse_create_storage(p, s, err);
    case KW_VIEW:
        return parser_unsupported(p->tok.pos, "CREATE VIEW", err);
    default:
        return parser_fail(p, "TABLE, USER, SHARED, STREAM, INDEX, NAMESPACE or STORAGE", err);
    }
}

/* --- DROP --- */

static enum lam_code parse_cascade(struct parser *p, bool *out, struct lam_error *err) {
    bool restricted = false;
    TRY(parser_accept_keyword(p, KW_CASCADE, out, err));
    return *out ? LAM_OK : parser_accept_keyword(p, KW_RESTRICT, &restricted, err);
}

static enum lam_code parse_drop_kind(struct parser *p, struct stmt *s, struct drop_stmt *d,
                                     struct lam_error *err) {
    enum keyword k = p->tok.kind == TOK_NAME ? p->tok.keyword : KW_NONE;
    struct token ahead;
    TRY(parser_peek(p, &ahead, err));
    if ((k == KW_USER || k == KW_SHARED || k == KW_STREAM) && ahead.keyword == KW_TABLE) {
        d->kind = k == KW_USER ? TABLE_USER : k == KW_SHARED ? TABLE_SHARED : TABLE_STREAM;
        TRY(parser_next(p, err));
        k = KW_TABLE;
    }
    static const struct {
        enum keyword word;
        enum stmt_kind kind;
    } kinds[] = {{KW_TABLE, STMT_DROP_TABLE},         {KW_INDEX, STMT_DROP_INDEX},
                 {KW_NAMESPACE, STMT_DROP_NAMESPACE}, {KW_SCHEMA, STMT_DROP_NAMESPACE},
                 {KW_USER, STMT_DROP_USER},           {KW_STORAGE, STMT_DROP_STORAGE}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].word == k) {
            s->kind = kinds[i].kind;
            return parser_next(p, err);
        }
    if (k == KW_VIEW)
        return parser_unsupported(p->tok.pos, "DROP VIEW", err);
    return parser_fail(p, "TABLE, INDEX, NAMESPACE, USER or STORAGE", err);
}

enum lam_code parse_drop(struct parser *p, struct stmt *s, struct lam_error *err) {
    struct drop_stmt *d = arena_alloc(p->arena, sizeof *d);
    if (!d)
        return mem_fail(err, sizeof *d);
    s->as.drop = d;
    TRY(parser_next(p, err));
    TRY(parse_drop_kind(p, s, d, err));
    TRY(parse_if_exists(p, &d->if_exists, err));
    if (s->kind == STMT_DROP_TABLE || s->kind == STMT_DROP_INDEX)
        TRY(parse_name_ref(p, "a name", &d->name, err));
    else if (s->kind == STMT_DROP_NAMESPACE)
        TRY(parse_namespace(p, &d->name.name, &d->name.pos, err));
    else
        TRY(parse_name_or_string(p, "a name", &d->name.name, &d->name.pos, err));
    if (parser_at(p, TOK_COMMA))
        return parser_unsupported(p->tok.pos, "DROP of a list", err);
    return s->kind == STMT_DROP_NAMESPACE || s->kind == STMT_DROP_TABLE
               ? parse_cascade(p, &d->cascade, err)
               : LAM_OK;
}

/* --- ALTER TABLE --- */

static enum lam_code parse_add(struct parser *p, struct alter_table_stmt *a,
                               struct lam_error *err) {
    bool word = false;
    a->kind = ALTER_ADD_COLUMN;
    TRY(parser_next(p, err));
    TRY(refuse_constraint(p, err));
    if (parser_at_keyword(p, KW_CONSTRAINT) || parser_at_keyword(p, KW_PRIMARY))
        return parser_unsupported(p->tok.pos, "ADD CONSTRAINT", err);
    TRY(parser_accept_keyword(p, KW_COLUMN, &word, err));
    TRY(parse_if_not_exists(p, &a->if_not_exists, err));
    TRY(parse_column(p, &a->column, err));
    if (a->column.primary_key)
        return ERR_SQL(err, "0A000", a->column.pos,
                       "an added column can't be the PRIMARY KEY: the key of a table is fixed");
    return LAM_OK;
}

static enum lam_code parse_drop_column(struct parser *p, struct alter_table_stmt *a,
                                       struct lam_error *err) {
    bool word = false;
    a->kind = ALTER_DROP_COLUMN;
    TRY(parser_next(p, err));
    if (parser_at_keyword(p, KW_CONSTRAINT))
        return parser_unsupported(p->tok.pos, "DROP CONSTRAINT", err);
    TRY(parser_accept_keyword(p, KW_COLUMN, &word, err));
    TRY(parse_if_exists(p, &a->if_exists, err));
    TRY(parse_name(p, "a column name", &a->column.name, &a->column.pos, err));
    bool cascade = false;
    return parse_cascade(p, &cascade, err);
}

static enum lam_code parse_rename(struct parser *p, struct alter_table_stmt *a,
                                  struct lam_error *err) {
    bool word = false;
    a->kind = ALTER_RENAME_COLUMN;
    TRY(parser_next(p, err));
    if (parser_at_keyword(p, KW_TO))
        return parser_unsupported(p->tok.pos, "renaming a table", err);
    TRY(parser_accept_keyword(p, KW_COLUMN, &word, err));
    TRY(parse_name(p, "a column name", &a->column.name, &a->column.pos, err));
    TRY(parser_expect_keyword(p, KW_TO, err));
    return parse_name(p, "a column name", &a->new_name, &a->new_name_pos, err);
}

static enum lam_code parse_alter_column(struct parser *p, struct alter_table_stmt *a,
                                        struct lam_error *err) {
    bool word = false, set = false, not_null = false;
    TRY(parser_next(p, err));
    TRY(parser_accept_keyword(p, KW_COLUMN, &word, err));
    TRY(parse_name(p, "a column name", &a->column.name, &a->column.pos, err));
    TRY(parser_accept_keyword(p, KW_SET, &set, err));
    if (set && parser_at_keyword(p, KW_DATA)) {
        TRY(parser_next(p, err));
        set = false;
        if (!parser_at_keyword(p, KW_TYPE))
            return parser_fail(p, "TYPE", err);
    }
    if (!set && parser_at_keyword(p, KW_TYPE)) {
        a->kind = ALTER_COLUMN_TYPE;
        TRY(parser_next(p, err));
        TRY(parse_type(p, &a->type, NULL, err));
        if (parser_at_keyword(p, KW_USING))
            return parser_unsupported(p->tok.pos, "ALTER COLUMN TYPE ... USING", err);
        return LAM_OK;
    }
    if (!set && !parser_at_keyword(p, KW_DROP))
        return parser_fail(p, "TYPE, SET or DROP", err);
    if (!set)
        TRY(parser_next(p, err));
    if (parser_at_keyword(p, KW_DEFAULT)) {
        a->kind = set ? ALTER_SET_DEFAULT : ALTER_DROP_DEFAULT;
        TRY(parser_next(p, err));
        return set ? parse_expr(p, &a->default_expr, err) : LAM_OK;
    }
    TRY(parser_accept_keyword(p, KW_NOT, &not_null, err));
    if (!not_null)
        return parser_fail(p, "DEFAULT or NOT NULL", err);
    a->kind = set ? ALTER_SET_NOT_NULL : ALTER_DROP_NOT_NULL;
    return parser_expect_keyword(p, KW_NULL, err);
}

static enum lam_code parse_set_access(struct parser *p, struct alter_table_stmt *a,
                                      struct lam_error *err) {
    bool word = false;
    a->kind = ALTER_ACCESS_LEVEL;
    TRY(parser_next(p, err));
    TRY(parser_expect_keyword(p, KW_ACCESS, err));
    TRY(parser_accept_keyword(p, KW_LEVEL, &word, err));
    return parse_name_or_string(p, "an access level (public, private, restricted, dba)",
                                &a->access_level, &a->access_pos, err);
}

enum lam_code parse_alter(struct parser *p, struct stmt *s, struct lam_error *err) {
    struct alter_table_stmt *a = arena_alloc(p->arena, sizeof *a);
    if (!a)
        return mem_fail(err, sizeof *a);
    s->kind = STMT_ALTER_TABLE;
    s->as.alter_table = a;
    TRY(parser_next(p, err));
    struct token ahead;
    TRY(parser_peek(p, &ahead, err));
    bool kind = parser_at_keyword(p, KW_USER) || parser_at_keyword(p, KW_SHARED) ||
                parser_at_keyword(p, KW_STREAM);
    if (kind && ahead.keyword == KW_TABLE)
        TRY(parser_next(p, err));
    if (parser_at_keyword(p, KW_USER) || parser_at_keyword(p, KW_NAMESPACE) ||
        parser_at_keyword(p, KW_SCHEMA) || parser_at_keyword(p, KW_STORAGE) ||
        parser_at_keyword(p, KW_INDEX) || parser_at_keyword(p, KW_VIEW))
        return parser_unsupported(p->tok.pos, "ALTER of anything but a table", err);
    TRY(parser_expect_keyword(p, KW_TABLE, err));
    TRY(parse_if_exists(p, &a->if_exists_table, err));
    TRY(parse_name_ref(p, "a table name", &a->table, err));
    enum lam_code rc;
    if (parser_at_keyword(p, KW_ADD))
        rc = parse_add(p, a, err);
    else if (parser_at_keyword(p, KW_DROP))
        rc = parse_drop_column(p, a, err);
    else if (parser_at_keyword(p, KW_RENAME))
        rc = parse_rename(p, a, err);
    else if (parser_at_keyword(p, KW_ALTER))
        rc = parse_alter_column(p, a, err);
    else if (parser_at_keyword(p, KW_SET))
        rc = parse_set_access(p, a, err);
    else
        return parser_fail(p, "ADD, DROP, RENAME, ALTER or SET", err);
    TRY(rc);
    return parser_at(p, TOK_COMMA)
               ? parser_unsupported(p->tok.pos, "ALTER TABLE with several actions", err)
               : LAM_OK;
}
