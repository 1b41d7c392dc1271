/* SPDX-License-Identifier: Apache-2.0
 *
 * Random expressions of a type, in both dialects at once. */
#include "tests/sql/diff/diff.h"

static const char *const lam_types[TYPES] = {"BIGINT",  "DOUBLE", "DECIMAL(20,2)", "TEXT",
                                             "BOOLEAN", "DATE",   "TIMESTAMP",     "BYTES",
                                             "UUID",    "FLOAT"};

bool chance(struct generator *g, int percent) {
    return below(&g->random, 100) < percent;
}

static int roll(struct generator *g, int n) {
    return below(&g->random, n);
}

#define PICK(g, ...)                                                                               \
    (((const char *const[]){__VA_ARGS__})[roll(                                                    \
        g, (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)))])

void null_of(struct generator *g, enum type type) {
    char lam[60];
    snprintf(lam, sizeof lam, "CAST(NULL AS %s)", lam_types[type]);
    each(g, lam, "NULL");
}

/* Writes a literal, or a parameter of its value. */
static void constant(struct generator *g, enum type type, const char *value, const char *lam,
                     const char *lite) {
    if (!g->bind || g->step->parameters == PARAMETERS_MAX || chance(g, 50)) {
        each(g, lam, lite);
        return;
    }
    struct parameter *p = &g->step->parameter[g->step->parameters++];
    char text[60];
    p->is_int = type == INT;
    snprintf(p->value, sizeof p->value, "%s", value);
    snprintf(text, sizeof text, "CAST($%d AS %s)", g->step->parameters, lam_types[type]);
    each(g, text, lite);
}

static void int_literal(struct generator *g) {
    static const char *const odd[] = {"100000",     "2147483647",          "-2147483648",
                                      "2147483648", "9223372036854775807", "1000000000000"};
    char text[30];
    if (chance(g, 2))
        snprintf(text, sizeof text, "%s", odd[roll(g, 6)]);
    else
        snprintf(text, sizeof text, "%d", chance(g, 80) ? roll(g, 24) : roll(g, 60) - 30);
    char quoted[40];
    snprintf(quoted, sizeof quoted, *text == '-' ? "(%s)" : "%s", text);
    constant(g, INT, text, quoted, quoted);
}

static void fraction_literal(struct generator *g, enum type type) {
    char value[30], lam[60];
    if (type == DECIMAL)
        snprintf(value, sizeof value, "%.2f", (roll(g, 60) - 20) * 0.25);
    else
        snprintf(value, sizeof value, "%.3f", (roll(g, 60) - 20) * 0.125);
    if (type == DECIMAL)
        snprintf(lam, sizeof lam, "(%s)", value);
    else
        snprintf(lam, sizeof lam, "CAST(%s AS %s)", value, lam_types[type]);
    char lite[40];
    snprintf(lite, sizeof lite, "(%s)", value);
    constant(g, type, value, lam, lite);
}

static void text_literal(struct generator *g) {
    const char *value = PICK(g, "", "a", "b", "ab", "abc", "A", "B", "Ab", "%", "a%", "_", "a_c",
                             "it's", "日本", "x日", "zz", " a", "a ", "back\\slash", "hello world",
                             "12", "-3", "aaaaaaaaaaaaaaaaaa");
    char quoted[80], *to = quoted;
    *to++ = '\'';
    for (const char *from = value; *from; from++) {
        if (*from == '\'')
            *to++ = '\'';
        *to++ = *from;
    }
    *to++ = '\'';
    *to = 0;
    constant(g, TEXT, value, quoted, quoted);
}

static void day_literal(struct generator *g, enum type type) {
    char value[30], lam[60], lite[40];
    int n = snprintf(value, sizeof value, "20%02d-%02d-%02d", 20 + roll(g, 3), 1 + roll(g, 3),
                     1 + roll(g, 4));
    if (type == TIMESTAMP)
        snprintf(value + n, sizeof value - (size_t)n, " %02d:00:00", roll(g, 3) * 10);
    snprintf(lam, sizeof lam, "%s '%s'", lam_types[type], value);
    snprintf(lite, sizeof lite, "'%s'", value);
    constant(g, type, value, lam, lite);
}

static void bytes_literal(struct generator *g) {
    const char *hex = PICK(g, "", "00", "0001", "ff", "ff00", "61", "6162", "80");
    char value[30], lam[60], lite[40];
    snprintf(value, sizeof value, "\\x%s", hex);
    snprintf(lam, sizeof lam, "CAST('\\x%s' AS BYTES)", hex);
    snprintf(lite, sizeof lite, "x'%s'", hex);
    constant(g, BYTES, value, lam, lite);
}

static void uuid_literal(struct generator *g) {
    char value[40], lam[80], lite[60];
    snprintf(value, sizeof value, "%02x000000-0000-4000-8000-0000000000%02x", roll(g, 4) * 60,
             roll(g, 3));
    snprintf(lam, sizeof lam, "CAST('%s' AS UUID)", value);
    snprintf(lite, sizeof lite, "'%s'", value);
    constant(g, UUID, value, lam, lite);
}

void literal(struct generator *g, enum type type) {
    switch (type) {
    case INT:
        int_literal(g);
        break;
    case DOUBLE:
    case FLOAT:
    case DECIMAL:
        fraction_literal(g, type);
        break;
    case TEXT:
        text_literal(g);
        break;
    case BOOL:
        both(g, "%s", chance(g, 50) ? "TRUE" : "FALSE");
        break;
    case DATE:
    case TIMESTAMP:
        day_literal(g, type);
        break;
    case BYTES:
        bytes_literal(g);
        break;
    case UUID:
    default:
        uuid_literal(g);
        break;
    }
}

static bool column_of(struct generator *g, enum type type) {
    int found = -1, seen = 0;
    for (int i = 0; g->scope && i < g->scope->columns; i++)
        if (g->scope->column[i].type == type && roll(g, ++seen) == 0)
            found = i;
    if (found < 0)
        return false;
    if (g->qualifier)
        both(g, "%s", g->qualifier);
    both(g, "%s", g->scope->column[found].name);
    return true;
}

static void leaf(struct generator *g, enum type type) {
    if (chance(g, 4))
        null_of(g, type);
    else if (chance(g, 30) || !column_of(g, type))
        literal(g, type);
}

static void list(struct generator *g, enum type type, int count, int depth) {
    for (int i = 0; i < count; i++) {
        both(g, i ? ", " : "");
        expression(g, type, depth);
    }
}

static void searched_case(struct generator *g, enum type type, int depth) {
    int arms = 1 + roll(g, 2);
    both(g, "CASE");
    for (int i = 0; i < arms; i++) {
        both(g, " WHEN ");
        condition(g, depth);
        both(g, " THEN ");
        expression(g, type, depth);
    }
    if (chance(g, 70)) {
        both(g, " ELSE ");
        expression(g, type, depth);
    }
    both(g, " END");
}

static void simple_case(struct generator *g, enum type type, int depth) {
    enum type on = chance(g, 50) ? INT : TEXT;
    both(g, "CASE ");
    expression(g, on, depth);
    for (int i = 1 + roll(g, 2); i > 0; i--) {
        both(g, " WHEN ");
        expression(g, on, 0);
        both(g, " THEN ");
        expression(g, type, depth);
    }
    both(g, " ELSE ");
    expression(g, type, depth);
    both(g, " END");
}

/* What every type has. */
static void general(struct generator *g, enum type type, int depth) {
    switch (roll(g, 5)) {
    case 0:
        searched_case(g, type, depth);
        break;
    case 1:
        simple_case(g, type, depth);
        break;
    case 2:
        both(g, "COALESCE(");
        list(g, type, 2 + roll(g, 2), depth);
        both(g, ")");
        break;
    case 3:
        both(g, "NULLIF(");
        list(g, type, 2, depth);
        both(g, ")");
        break;
    default: { /* SQLite's max(a, b) is NULL when one is */
        bool most = chance(g, 50);
        each(g, most ? "GREATEST(" : "LEAST(", most ? "max(" : "min(");
        for (int i = 0; i < 2; i++) {
            both(g, i ? ", COALESCE(" : "COALESCE(");
            expression(g, type, depth);
            both(g, ", ");
            literal(g, type);
            both(g, ")");
        }
        both(g, ")");
    }
    }
}

static void binary(struct generator *g, enum type left, const char *op, enum type right,
                   int depth) {
    bool bare = chance(g, 25); /* + - * / % bind alike in both */
    both(g, bare ? "" : "(");
    expression(g, left, depth);
    both(g, "%s", op);
    expression(g, right, depth);
    both(g, bare ? "" : ")");
}

static void int_expression(struct generator *g, int depth) {
    switch (roll(g, 14)) {
    case 0:
    case 1:
        binary(g, INT, " + ", INT, depth);
        break;
    case 2:
        binary(g, INT, " - ", INT, depth);
        break;
    case 3:
        binary(g, INT, " * ", INT, depth);
        break;
    case 4:
    case 5: {
        both(g, "(");
        expression(g, INT, depth);
        both(g, "%s", chance(g, 50) ? " / " : " % ");
        both(g, "NULLIF(");
        expression(g, INT, depth);
        both(g, ", 0))");
        break;
    }
    case 6:
        both(g, "-(");
        expression(g, INT, depth);
        both(g, ")");
        break;
    case 7:
        both(g, "abs(");
        expression(g, INT, depth);
        both(g, ")");
        break;
    case 8:
        both(g, "length(");
        expression(g, TEXT, depth);
        both(g, ")");
        break;
    case 9:
        each(g, "strpos(", "instr(");
        list(g, TEXT, 2, depth);
        both(g, ")");
        break;
    case 10:
        both(g, "CAST(");
        expression(g, BOOL, depth);
        both(g, " AS INT)");
        break;
    default:
        general(g, INT, depth);
    }
}

static void double_expression(struct generator *g, int depth) {
    switch (roll(g, g->exact ? 5 : 9)) {
    case 0:
        binary(g, DOUBLE, " + ", DOUBLE, depth);
        break;
    case 1:
        binary(g, DOUBLE, " - ", chance(g, 50) ? INT : DOUBLE, depth);
        break;
    case 2:
        both(g, "CAST(");
        expression(g, INT, depth);
        both(g, " AS DOUBLE)");
        break;
    case 3:
        both(g, "abs(");
        expression(g, DOUBLE, depth);
        both(g, ")");
        break;
    case 5:
        binary(g, DOUBLE, " * ", chance(g, 50) ? INT : DOUBLE, depth);
        break;
    case 6:
        both(g, "(");
        expression(g, DOUBLE, depth);
        both(g, " / NULLIF(");
        expression(g, DOUBLE, depth);
        both(g, ", 0))");
        break;
    case 7:
        both(g, "-(");
        expression(g, DOUBLE, depth);
        both(g, ")");
        break;
    default:
        general(g, DOUBLE, depth);
    }
}

static void decimal_expression(struct generator *g, int depth) {
    switch (roll(g, 6)) {
    case 0:
        both(g, "(");
        expression(g, DECIMAL, depth);
        both(g, " + %d)", roll(g, 20)); /* SQLite's doubles hold no large integer and fraction */
        break;
    case 1:
        binary(g, DECIMAL, " - ", DECIMAL, depth);
        break;
    case 2:
        both(g, "abs(");
        expression(g, DECIMAL, depth);
        both(g, ")");
        break;
    case 3:
        both(g, "(");
        expression(g, DECIMAL, depth);
        both(g, " * %d)", roll(g, 5));
        break;
    case 4:
        both(g, "-(");
        expression(g, DECIMAL, depth);
        both(g, ")");
        break;
    default:
        general(g, DECIMAL, depth);
    }
}

static void text_expression(struct generator *g, int depth) {
    switch (roll(g, 10)) {
    case 0:
    case 1:
        both(g, "(");
        expression(g, TEXT, depth);
        both(g, " || ");
        expression(g, TEXT, depth);
        both(g, ")");
        break;
    case 2:
        both(g, "%s(", chance(g, 50) ? "upper" : "lower");
        expression(g, TEXT, depth);
        both(g, ")");
        break;
    case 3:
        both(g, "substr(");
        expression(g, TEXT, depth);
        both(g, ", %d", 1 + roll(g, 4));
        if (chance(g, 70))
            both(g, ", %d", roll(g, 5));
        both(g, ")");
        break;
    case 4:
        both(g, "replace(");
        list(g, TEXT, 2, depth - 1);
        both(g, ", ");
        literal(g, TEXT); /* SQLite ignores a NULL here when the pattern is empty */
        both(g, ")");
        break;
    case 5:
        both(g, "%s(", PICK(g, "trim", "ltrim", "rtrim"));
        expression(g, TEXT, depth);
        both(g, ")");
        break;
    case 6:
        both(g, "%s(", PICK(g, "ltrim", "rtrim"));
        list(g, TEXT, 2, depth - 1);
        both(g, ")");
        break;
    case 7:
        both(g, "CAST(");
        expression(g, INT, depth);
        both(g, " AS TEXT)");
        break;
    default:
        general(g, TEXT, depth);
    }
}

static void like(struct generator *g, int depth) {
    both(g, "(");
    expression(g, TEXT, depth);
    both(g, "%s", chance(g, 25) ? " NOT LIKE " : " LIKE ");
    if (chance(g, 15))
        both(g, "%s",
             PICK(g, "'a!%%' ESCAPE '!'", "'!_%' ESCAPE '!'", "'%\\\\%' ESCAPE '\\'",
                  "'a!_c' ESCAPE '!'"));
    else
        both(g, "%s",
             PICK(g, "'a%'", "'%a'", "'%a%'", "'_'", "'__'", "'a_'", "'%'", "''", "'_b%'", "'A%'",
                  "'%日%'", "'_日'", "'ab'", "'%b%c%'", "'it''s'", "'% %'"));
    both(g, ")");
}

static void membership(struct generator *g, enum type type, int depth) {
    both(g, "(");
    expression(g, type, depth);
    both(g, "%s", chance(g, 25) ? " NOT IN (" : " IN (");
    int count = 1 + roll(g, 5);
    for (int i = 0; i < count; i++) {
        both(g, i ? ", " : "");
        if (chance(g, 5))
            both(g, "NULL");
        else
            expression(g, type, chance(g, 85) ? 0 : depth);
    }
    both(g, "))");
}

/* Types that compare with `type`. */
static enum type comparable(struct generator *g, enum type type) {
    static const enum type numbers[] = {INT, DOUBLE, DECIMAL, FLOAT};
    bool number = type == INT || type == DOUBLE || type == DECIMAL || type == FLOAT;
    return number && chance(g, 20) ? numbers[roll(g, 4)] : type;
}

static enum type any_type(struct generator *g) {
    if (g->scope && chance(g, 80))
        return g->scope->column[roll(g, g->scope->columns)].type;
    return (enum type)roll(g, TYPES);
}

static void comparison(struct generator *g, int depth) {
    enum type type = any_type(g);
    switch (roll(g, 12)) {
    case 0:
        both(g, "(");
        expression(g, type, depth);
        both(g, chance(g, 50) ? " IS NULL)" : " IS NOT NULL)");
        break;
    case 1:
    case 2:
        membership(g, type, depth);
        break;
    case 3:
        both(g, "(");
        expression(g, type, depth);
        both(g, chance(g, 25) ? " NOT BETWEEN " : " BETWEEN ");
        expression(g, comparable(g, type), depth > 1 ? 1 : 0);
        both(g, " AND ");
        expression(g, comparable(g, type), depth > 1 ? 1 : 0);
        both(g, ")");
        break;
    case 4:
        like(g, depth);
        break;
    case 5:
        both(g, "(");
        expression(g, type, depth);
        both(g, chance(g, 50) ? " IS DISTINCT FROM " : " IS NOT DISTINCT FROM ");
        expression(g, comparable(g, type), depth);
        both(g, ")");
        break;
    default:
        both(g, "(");
        expression(g, type, depth);
        both(g, "%s", PICK(g, " = ", " = ", " <> ", " != ", " < ", " <= ", " > ", " >= "));
        expression(g, comparable(g, type), depth);
        both(g, ")");
    }
}

static void bool_expression(struct generator *g, int depth) {
    bool bare;
    switch (roll(g, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        bare = chance(g, 30); /* NOT, AND, OR bind alike in both */
        both(g, bare ? "" : "(");
        expression(g, BOOL, depth);
        both(g, chance(g, 55) ? " AND " : " OR ");
        expression(g, BOOL, depth);
        both(g, bare ? "" : ")");
        break;
    case 4:
        both(g, "(NOT ");
        comparison(g, depth);
        both(g, ")");
        break;
    case 5:
        both(g, "((");
        expression(g, BOOL, depth);
        both(g, ")%s)",
             PICK(g, " IS TRUE", " IS FALSE", " IS NOT TRUE", " IS NOT FALSE", " IS NULL"));
        break;
    case 6:
        general(g, BOOL, depth);
        break;
    default:
        comparison(g, depth);
    }
}

void expression(struct generator *g, enum type type, int depth) {
    if (depth <= 0 || chance(g, 15)) {
        leaf(g, type);
        return;
    }
    switch (type) {
    case INT:
        int_expression(g, depth - 1);
        break;
    case DOUBLE:
        double_expression(g, depth - 1);
        break;
    case DECIMAL:
        decimal_expression(g, depth - 1);
        break;
    case TEXT:
        text_expression(g, depth - 1);
        break;
    case BOOL:
        both(g, "(");
        bool_expression(g, depth - 1);
        both(g, ")");
        break;
    case FLOAT:
    default:
        if (chance(g, 60))
            leaf(g, type);
        else
            general(g, type, depth - 1);
    }
}

void condition(struct generator *g, int depth) {
    if (depth <= 1 || chance(g, 40))
        comparison(g, depth);
    else
        bool_expression(g, depth);
}
