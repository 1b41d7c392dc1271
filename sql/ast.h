/* SPDX-License-Identifier: Apache-2.0
 *
 * Syntax trees. All nodes live in the statement's arena; names are folded slices of it. `pos` is
 * the 1-based character position in the SQL text. The parser checks form only: names, types of
 * expressions and rights are the binder's. */
#ifndef LAMINA_SQL_AST_H
#define LAMINA_SQL_AST_H

#include "catalog/catalog.h"

/* Depth of expressions and of nested statements. */
#define AST_DEPTH_MAX 200
/* Result columns, after `*` was expanded; also entries of GROUP BY and of ORDER BY. Each costs a
 * buffer of a whole batch. */
#define SELECT_LIST_MAX 4096

enum expr_kind {
    EXPR_LITERAL,   /* value; a string literal is TEXT with `untyped` */
    EXPR_PARAMETER, /* $n */
    EXPR_COLUMN,    /* [[namespace.]table.]name */
    EXPR_STAR,      /* * or t.* in a select list, count(*) */
    EXPR_UNARY,     /* left */
    EXPR_BINARY,    /* left, right */
    EXPR_IS_NULL,   /* left; negated: IS NOT NULL */
    EXPR_IS_BOOL,   /* left IS [NOT] TRUE/FALSE/UNKNOWN: op holds which */
    EXPR_DISTINCT,  /* left IS [NOT] DISTINCT FROM right */
    EXPR_BETWEEN,   /* left BETWEEN args[0] AND args[1] */
    EXPR_IN,        /* left IN (args...) */
    EXPR_LIKE,      /* left LIKE right [ESCAPE args[0]]; ILIKE by op */
    EXPR_CASE,     /* left: operand or NULL; args: when, then, when, then ..; right: ELSE or NULL */
    EXPR_CAST,     /* left AS type; TRY_CAST by op */
    EXPR_CALL,     /* name(args), [DISTINCT], [FILTER (WHERE right)] */
    EXPR_SUBQUERY, /* reserved for joins and subqueries: the parser answers 0A000 */
};

enum expr_op {
    OP_NONE = 0,
    OP_NEG,
    OP_PLUS,
    OP_NOT,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_POW,
    OP_CONCAT,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_AND,
    OP_OR,
    OP_JSON_GET,
    OP_JSON_TEXT,
    OP_JSON_HAS, /* -> ->> ? */
    OP_LIKE,
    OP_ILIKE,
    OP_IS_TRUE,
    OP_IS_FALSE,
    OP_IS_UNKNOWN,
    OP_TRY,
};

struct expr {
    enum expr_kind kind;
    enum expr_op op;
    uint32_t pos;
    uint16_t height;    /* of the tree below, 1 for a leaf; the parser keeps it bounded */
    bool negated;       /* NOT IN, NOT LIKE, NOT BETWEEN, IS NOT ... */
    bool distinct;      /* aggregate(DISTINCT ..) */
    bool untyped;       /* LITERAL: a string that takes the other side's type */
    uint32_t parameter; /* PARAMETER: number from 1 */
    struct lam_slice namespace_name, table, name; /* COLUMN, STAR, CALL (name) */
    struct value literal;
    struct coltype type; /* CAST */
    struct expr *left, *right;
    struct expr **args;
    uint32_t arg_count;
};

struct name_ref {                    /* [namespace.]name */
    struct lam_slice namespace_name; /* empty: the session's */
    struct lam_slice name;
    uint32_t pos;
};

struct select_item {
    struct expr *expr;
    struct lam_slice alias; /* empty: none */
};
struct order_item {
    struct expr *expr;
    bool descending;
    bool nulls_first; /* resolved: default first for DESC, last for ASC */
};

/* One FROM entry. A list of them with join kinds comes with joins; today at most one. */
struct from_item {
    struct name_ref table;
    struct lam_slice alias;
};

struct select_stmt {
    bool distinct;
    struct select_item *items;
    uint32_t item_count;
    struct from_item *from; /* NULL: no FROM */
    struct expr *where;
    struct expr **group;
    uint32_t group_count;
    struct expr *having;
    struct order_item *order;
    uint32_t order_count;
    struct expr *limit, *offset;
    uint32_t pos;
};

struct assignment {
    struct lam_slice column;
    uint32_t pos;
    struct expr *value; /* NULL: DEFAULT */
};
enum conflict_action { CONFLICT_ERROR = 0, CONFLICT_NOTHING, CONFLICT_UPDATE };
struct insert_stmt {
    struct name_ref table;
    struct lam_slice alias;    /* empty: none */
    struct lam_slice *columns; /* NULL: all user columns */
    uint32_t *column_pos;
    uint32_t column_count;
    struct expr ***rows; /* rows[i][j]; NULL expr: DEFAULT */
    uint32_t row_count;
    uint32_t row_width;
    bool default_values;        /* INSERT INTO t DEFAULT VALUES */
    struct select_stmt *select; /* INSERT .. SELECT, or NULL */
    enum conflict_action on_conflict;
    struct lam_slice *conflict_columns; /* may be empty for DO NOTHING */
    uint32_t conflict_column_count;
    struct assignment *conflict_set; /* `excluded.c` names the proposed row */
    uint32_t conflict_set_count;
    struct expr *conflict_where;
    struct select_item *returning;
    uint32_t returning_count;
};
struct update_stmt {
    struct name_ref table;
    struct lam_slice alias;
    struct assignment *set;
    uint32_t set_count;
    struct expr *where;
    struct select_item *returning;
    uint32_t returning_count;
};
struct delete_stmt {
    struct name_ref table;
    struct lam_slice alias;
    struct expr *where;
    struct select_item *returning;
    uint32_t returning_count;
};

struct option { /* WITH (name = value) and the seeds' clauses, put in the same form */
    struct lam_slice
        name; /* folded, canonical: storage, location, flush_policy, deleted_retention_hours,
                 ttl_seconds, access_level, compression, type */
    struct value value;
    uint32_t pos;
};
struct column_decl {
    struct lam_slice name;
    uint32_t pos;
    struct coltype type;
    bool not_null;
    bool primary_key;
    bool auto_increment; /* AUTO_INCREMENT, SERIAL, GENERATED AS IDENTITY: snowflake default */
    struct expr *default_expr;
};
struct create_table_stmt {
    struct name_ref table;
    enum table_kind kind; /* SHARED if none is written */
    bool kind_given;
    bool if_not_exists;
    struct column_decl *columns;
    uint32_t column_count;
    struct lam_slice *key; /* PRIMARY KEY (..), or NULL */
    uint32_t *key_pos;
    uint32_t key_count;
    struct option *options;
    uint32_t option_count;
};
struct alter_table_stmt {
    struct name_ref table;
    enum alter_kind kind;
    bool if_exists_table;
    bool if_not_exists, if_exists; /* of the column */
    struct column_decl column;     /* ADD; name for the others */
    struct lam_slice new_name;
    uint32_t new_name_pos;
    struct coltype type;
    struct expr *default_expr;
    struct lam_slice access_level;
    uint32_t access_pos;
};
struct create_index_stmt {
    struct name_ref table;
    struct lam_slice name;
    uint32_t name_pos;
    bool unique, if_not_exists;
    struct lam_slice *columns;
    uint32_t *column_pos;
    uint32_t column_count;
};
struct create_user_stmt {
    struct lam_slice name;
    struct lam_slice password;
    bool has_password;
    struct lam_slice role; /* empty: user */
    uint32_t role_pos;
    struct lam_slice email;
    bool if_not_exists;
};
struct drop_stmt { /* NAMESPACE, TABLE, INDEX, USER, STORAGE */
    struct name_ref name;
    enum table_kind kind; /* DROP USER TABLE; 0: any */
    bool if_exists, cascade;
};
struct create_storage_stmt {
    struct lam_slice name;
    uint32_t pos;
    struct lam_slice type, base_directory, shared_template, user_template;
    bool if_not_exists;
};

enum show_kind { SHOW_TABLES, SHOW_NAMESPACES, SHOW_JOBS, SHOW_USERS, SHOW_STORAGES, SHOW_INDEXES };

enum stmt_kind {
    STMT_SELECT,
    STMT_INSERT,
    STMT_UPDATE,
    STMT_DELETE,
    STMT_CREATE_NAMESPACE,
    STMT_DROP_NAMESPACE,
    STMT_CREATE_TABLE,
    STMT_DROP_TABLE,
    STMT_ALTER_TABLE,
    STMT_CREATE_INDEX,
    STMT_DROP_INDEX,
    STMT_CREATE_USER,
    STMT_DROP_USER,
    STMT_CREATE_STORAGE,
    STMT_DROP_STORAGE,
    STMT_EXPLAIN,
    STMT_SHOW,
    STMT_DESCRIBE,
    STMT_USE,
    STMT_FLUSH_TABLE,
    STMT_FLUSH_ALL,
    STMT_EXECUTE_AS,
};

struct stmt {
    enum stmt_kind kind;
    uint32_t pos;
    uint32_t parameter_count; /* highest $n */
    union {
        struct select_stmt *select;
        struct insert_stmt *insert;
        struct update_stmt *update;
        struct delete_stmt *delete_;
        struct create_table_stmt *create_table;
        struct alter_table_stmt *alter_table;
        struct create_index_stmt *create_index;
        struct create_user_stmt *create_user;
        struct create_storage_stmt *create_storage;
        struct drop_stmt *drop;
        struct {
            struct name_ref name;
            bool if_not_exists;
        } create_namespace;
        struct {
            struct stmt *inner;
            bool analyze;
        } explain;
        struct {
            enum show_kind kind;
            struct lam_slice namespace_name; /* SHOW TABLES IN ns; empty: all readable */
        } show;
        struct name_ref target; /* DESCRIBE, USE (name), FLUSH TABLE */
        struct {
            struct lam_slice user;
            uint32_t user_pos;
            struct stmt *inner;
        } execute_as;
    } as;
};

/* Parses the first statement of `sql`. `*stmt_out` is NULL when there is only space; `*tail_out`
 * gets the byte offset after the statement and its semicolon. 42601 with position and what was
 * expected; 54001 too deep; 54000 too long. Nodes live as long as `arena`, and borrow nothing of
 * `sql`. */
MUST_CHECK enum lam_code parse_statement(struct lam_slice sql, struct arena *arena,
                                         struct stmt **stmt_out, size_t *tail_out,
                                         struct lam_error *err);
/* Parses one expression that must span all of `text`; for tests and stored defaults. */
MUST_CHECK enum lam_code parse_expression(struct lam_slice text, struct arena *arena,
                                          struct expr **expr_out, struct lam_error *err);
/* The comparison that says the same of its sides swapped. */
enum expr_op expr_op_mirrored(enum expr_op op);
/* Whether two expressions are written alike: names, operators, literals. Positions don't count. */
bool expr_same(const struct expr *a, const struct expr *b);
/* The same with column references compared by a function. */
typedef bool (*expr_column_fn)(void *arg, const struct expr *a, const struct expr *b);
bool expr_same_by(const struct expr *a, const struct expr *b, expr_column_fn same_column,
                  void *arg);
/* Default column name of a select item without alias: column name, function name, "case",
 * "?column?". */
struct lam_slice select_item_name(const struct select_item *item);

#endif
