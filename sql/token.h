/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens of SQL text: offsets into it, never copies. Most keywords are ordinary names as well; the
 * class beside each says where it is not. */
#ifndef LAMINA_SQL_TOKEN_H
#define LAMINA_SQL_TOKEN_H

#include "lamina/types.h"

enum token_kind {
    TOK_END = 0,
    TOK_NAME,    /* unquoted; `keyword` if it is one */
    TOK_QUOTED,  /* "..." */
    TOK_STRING,  /* '...' with '' */
    TOK_ESTRING, /* E'...' with backslashes */
    TOK_DOLLAR,  /* $tag$...$tag$ */
    TOK_INTEGER,
    TOK_DECIMAL,   /* digits with a point */
    TOK_FLOAT,     /* digits with an exponent */
    TOK_PARAMETER, /* $n */
    TOK_QUESTION,  /* ? */
    TOK_LPAREN,
    TOK_RPAREN,
    TOK_LBRACKET,
    TOK_RBRACKET,
    TOK_COMMA,
    TOK_SEMICOLON,
    TOK_DOT,
    TOK_PLUS,
    TOK_MINUS,
    TOK_STAR,
    TOK_SLASH,
    TOK_PERCENT,
    TOK_CARET,
    TOK_CONCAT, /* || */
    TOK_EQ,     /* = or == */
    TOK_NE,     /* <> or != */
    TOK_LT,
    TOK_LE,
    TOK_GT,
    TOK_GE,
    TOK_CAST,       /* :: */
    TOK_ARROW,      /* -> */
    TOK_ARROW_TEXT, /* ->> */
    TOK_OTHER,      /* an operator that SQL has and this dialect has not: ~ # & | @ ! : */
};

/* Where a keyword may stand as a name. */
enum keyword_class {
    KEYWORD_FREE = 0,     /* anywhere */
    KEYWORD_NO_ALIAS = 1, /* anywhere but as an alias without AS */
    KEYWORD_RESERVED = 2, /* only in quotes */
};

/* Sorted by name: found by binary search. X(name, class) */
#define KEYWORDS(X)                                                                                \
    X(ACCESS, FREE)                                                                                \
    X(ADD, FREE)                                                                                   \
    X(ALL, RESERVED)                                                                               \
    X(ALTER, FREE)                                                                                 \
    X(ALWAYS, FREE)                                                                                \
    X(ANALYZE, FREE)                                                                               \
    X(AND, RESERVED)                                                                               \
    X(ANY, RESERVED)                                                                               \
    X(ARRAY, RESERVED)                                                                             \
    X(AS, RESERVED)                                                                                \
    X(ASC, RESERVED)                                                                               \
    X(AT, NO_ALIAS)                                                                                \
    X(AUTO_INCREMENT, FREE)                                                                        \
    X(BASE_DIRECTORY, FREE)                                                                        \
    X(BEGIN, FREE)                                                                                 \
    X(BETWEEN, RESERVED)                                                                           \
    X(BOTH, NO_ALIAS)                                                                              \
    X(BY, FREE)                                                                                    \
    X(CASCADE, FREE)                                                                               \
    X(CASE, RESERVED)                                                                              \
    X(CAST, RESERVED)                                                                              \
    X(CHECK, RESERVED)                                                                             \
    X(COLLATE, RESERVED)                                                                           \
    X(COLUMN, FREE)                                                                                \
    X(COMMIT, FREE)                                                                                \
    X(COMPACT, FREE)                                                                               \
    X(CONFLICT, FREE)                                                                              \
    X(CONSTRAINT, RESERVED)                                                                        \
    X(COPY, FREE)                                                                                  \
    X(CREATE, RESERVED)                                                                            \
    X(CROSS, RESERVED)                                                                             \
    X(CURRENT_DATE, RESERVED)                                                                      \
    X(CURRENT_ROLE, RESERVED)                                                                      \
    X(CURRENT_TIME, RESERVED)                                                                      \
    X(CURRENT_TIMESTAMP, RESERVED)                                                                 \
    X(CURRENT_USER, RESERVED)                                                                      \
    X(DATA, FREE)                                                                                  \
    X(DEFAULT, RESERVED)                                                                           \
    X(DELETE, FREE)                                                                                \
    X(DELETED_RETENTION, FREE)                                                                     \
    X(DESC, RESERVED)                                                                              \
    X(DESCRIBE, FREE)                                                                              \
    X(DISTINCT, RESERVED)                                                                          \
    X(DO, FREE)                                                                                    \
    X(DROP, FREE)                                                                                  \
    X(ELSE, RESERVED)                                                                              \
    X(EMAIL, FREE)                                                                                 \
    X(END, RESERVED)                                                                               \
    X(ESCAPE, NO_ALIAS)                                                                            \
    X(EXCEPT, RESERVED)                                                                            \
    X(EXECUTE, FREE)                                                                               \
    X(EXISTS, FREE)                                                                                \
    X(EXPLAIN, FREE)                                                                               \
    X(FALSE, RESERVED)                                                                             \
    X(FETCH, RESERVED)                                                                             \
    X(FILTER, NO_ALIAS)                                                                            \
    X(FIRST, FREE)                                                                                 \
    X(FLUSH, FREE)                                                                                 \
    X(FOR, RESERVED)                                                                               \
    X(FOREIGN, RESERVED)                                                                           \
    X(FROM, RESERVED)                                                                              \
    X(FULL, NO_ALIAS)                                                                              \
    X(GENERATED, FREE)                                                                             \
    X(GROUP, RESERVED)                                                                             \
    X(HAVING, RESERVED)                                                                            \
    X(IDENTITY, FREE)                                                                              \
    X(IF, FREE)                                                                                    \
    X(ILIKE, RESERVED)                                                                             \
    X(IN, RESERVED)                                                                                \
    X(INDEX, FREE)                                                                                 \
    X(INDEXES, FREE)                                                                               \
    X(INNER, NO_ALIAS)                                                                             \
    X(INSERT, FREE)                                                                                \
    X(INTERSECT, RESERVED)                                                                         \
    X(INTERVAL, FREE)                                                                              \
    X(INTO, RESERVED)                                                                              \
    X(IS, RESERVED)                                                                                \
    X(ISNULL, RESERVED)                                                                            \
    X(JOBS, FREE)                                                                                  \
    X(JOIN, NO_ALIAS)                                                                              \
    X(KEY, FREE)                                                                                   \
    X(KILL, FREE)                                                                                  \
    X(LAST, FREE)                                                                                  \
    X(LATERAL, RESERVED)                                                                           \
    X(LEADING, NO_ALIAS)                                                                           \
    X(LEFT, NO_ALIAS)                                                                              \
    X(LEVEL, FREE)                                                                                 \
    X(LIKE, RESERVED)                                                                              \
    X(LIMIT, RESERVED)                                                                             \
    X(LOCATION, FREE)                                                                              \
    X(NAMESPACE, FREE)                                                                             \
    X(NAMESPACES, FREE)                                                                            \
    X(NATURAL, NO_ALIAS)                                                                           \
    X(NEXT, FREE)                                                                                  \
    X(NO, FREE)                                                                                    \
    X(NOT, RESERVED)                                                                               \
    X(NOTHING, FREE)                                                                               \
    X(NOTNULL, RESERVED)                                                                           \
    X(NULL, RESERVED)                                                                              \
    X(NULLS, NO_ALIAS)                                                                             \
    X(OFFSET, RESERVED)                                                                            \
    X(ON, RESERVED)                                                                                \
    X(ONLY, FREE)                                                                                  \
    X(OR, RESERVED)                                                                                \
    X(ORDER, RESERVED)                                                                             \
    X(OVER, NO_ALIAS)                                                                              \
    X(PASSWORD, FREE)                                                                              \
    X(POLICY, FREE)                                                                                \
    X(PRIMARY, RESERVED)                                                                           \
    X(REFERENCE, FREE)                                                                             \
    X(REFERENCES, RESERVED)                                                                        \
    X(RENAME, FREE)                                                                                \
    X(RESTRICT, FREE)                                                                              \
    X(RETURNING, RESERVED)                                                                         \
    X(RIGHT, NO_ALIAS)                                                                             \
    X(ROLE, FREE)                                                                                  \
    X(ROLLBACK, FREE)                                                                              \
    X(ROW, FREE)                                                                                   \
    X(ROWS, FREE)                                                                                  \
    X(SAVEPOINT, FREE)                                                                             \
    X(SCHEMA, FREE)                                                                                \
    X(SCHEMAS, FREE)                                                                               \
    X(SELECT, RESERVED)                                                                            \
    X(SET, NO_ALIAS)                                                                               \
    X(SHARED, FREE)                                                                                \
    X(SHARED_TABLES_TEMPLATE, FREE)                                                                \
    X(SHOW, FREE)                                                                                  \
    X(SOME, RESERVED)                                                                              \
    X(START, FREE)                                                                                 \
    X(STORAGE, FREE)                                                                               \
    X(STORAGES, FREE)                                                                              \
    X(STREAM, FREE)                                                                                \
    X(TABLE, RESERVED)                                                                             \
    X(TABLES, FREE)                                                                                \
    X(THEN, RESERVED)                                                                              \
    X(TO, RESERVED)                                                                                \
    X(TRAILING, NO_ALIAS)                                                                          \
    X(TRUE, RESERVED)                                                                              \
    X(TTL, FREE)                                                                                   \
    X(TYPE, FREE)                                                                                  \
    X(UNION, RESERVED)                                                                             \
    X(UNIQUE, RESERVED)                                                                            \
    X(UNKNOWN, FREE)                                                                               \
    X(UPDATE, FREE)                                                                                \
    X(USE, FREE)                                                                                   \
    X(USER, FREE)                                                                                  \
    X(USERS, FREE)                                                                                 \
    X(USER_TABLES_TEMPLATE, FREE)                                                                  \
    X(USING, RESERVED)                                                                             \
    X(VALUES, NO_ALIAS)                                                                            \
    X(VIEW, FREE)                                                                                  \
    X(WHEN, RESERVED)                                                                              \
    X(WHERE, RESERVED)                                                                             \
    X(WINDOW, RESERVED)                                                                            \
    X(WITH, RESERVED)

enum keyword {
    KW_NONE = 0,
#define KEYWORD_ENUM(name, cls) KW_##name,
    KEYWORDS(KEYWORD_ENUM)
#undef KEYWORD_ENUM
        KW_COUNT
};

struct token {
    enum token_kind kind;
    enum keyword keyword; /* NAME */
    uint32_t pos;         /* 1-based character */
    size_t offset, size;  /* bytes in the text, quotes included */
};

#endif
