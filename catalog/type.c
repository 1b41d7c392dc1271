/* SPDX-License-Identifier: Apache-2.0
 *
 * Types: their SQL names, what belongs together, which may follow which. */
#include <stdio.h>

#include "base/assert.h"
#include "catalog/value.h"

#define TYPE_NAME_MAX 31

static const char *const canonical_names[] = {
    [LAM_TYPE_NULL] = "NULL",           [LAM_TYPE_BOOLEAN] = "BOOLEAN",
    [LAM_TYPE_SMALLINT] = "SMALLINT",   [LAM_TYPE_INT] = "INT",
    [LAM_TYPE_BIGINT] = "BIGINT",       [LAM_TYPE_FLOAT] = "FLOAT",
    [LAM_TYPE_DOUBLE] = "DOUBLE",       [LAM_TYPE_DECIMAL] = "DECIMAL",
    [LAM_TYPE_TEXT] = "TEXT",           [LAM_TYPE_BYTES] = "BYTES",
    [LAM_TYPE_TIMESTAMP] = "TIMESTAMP", [LAM_TYPE_DATE] = "DATE",
    [LAM_TYPE_TIME] = "TIME",           [LAM_TYPE_UUID] = "UUID",
    [LAM_TYPE_JSON] = "JSON",
};

/* Lower case, words one blank apart. FLOAT is the 32-bit type (as is REAL); FLOAT8 and DOUBLE are
 * the 64-bit one. */
static const struct {
    const char *name;
    enum lam_type type;
} aliases[] = {
    {"boolean", LAM_TYPE_BOOLEAN},
    {"bool", LAM_TYPE_BOOLEAN},
    {"smallint", LAM_TYPE_SMALLINT},
    {"int2", LAM_TYPE_SMALLINT},
    {"int16", LAM_TYPE_SMALLINT},
    {"tinyint", LAM_TYPE_SMALLINT},
    {"int", LAM_TYPE_INT},
    {"int4", LAM_TYPE_INT},
    {"int32", LAM_TYPE_INT},
    {"integer", LAM_TYPE_INT},
    {"mediumint", LAM_TYPE_INT},
    {"bigint", LAM_TYPE_BIGINT},
    {"int8", LAM_TYPE_BIGINT},
    {"int64", LAM_TYPE_BIGINT},
    {"float", LAM_TYPE_FLOAT},
    {"float4", LAM_TYPE_FLOAT},
    {"float32", LAM_TYPE_FLOAT},
    {"real", LAM_TYPE_FLOAT},
    {"double", LAM_TYPE_DOUBLE},
    {"double precision", LAM_TYPE_DOUBLE},
    {"float8", LAM_TYPE_DOUBLE},
    {"float64", LAM_TYPE_DOUBLE},
    {"decimal", LAM_TYPE_DECIMAL},
    {"numeric", LAM_TYPE_DECIMAL},
    {"dec", LAM_TYPE_DECIMAL},
    {"text", LAM_TYPE_TEXT},
    {"string", LAM_TYPE_TEXT},
    {"utf8", LAM_TYPE_TEXT},
    {"varchar", LAM_TYPE_TEXT},
    {"character varying", LAM_TYPE_TEXT},
    {"char varying", LAM_TYPE_TEXT},
    {"nvarchar", LAM_TYPE_TEXT},
    {"char", LAM_TYPE_TEXT},
    {"character", LAM_TYPE_TEXT},
    {"bpchar", LAM_TYPE_TEXT},
    {"clob", LAM_TYPE_TEXT},
    {"bytes", LAM_TYPE_BYTES},
    {"bytea", LAM_TYPE_BYTES},
    {"blob", LAM_TYPE_BYTES},
    {"binary", LAM_TYPE_BYTES},
    {"varbinary", LAM_TYPE_BYTES},
    {"timestamp", LAM_TYPE_TIMESTAMP},
    {"timestamptz", LAM_TYPE_TIMESTAMP},
    {"timestamp with time zone", LAM_TYPE_TIMESTAMP},
    {"timestamp without time zone", LAM_TYPE_TIMESTAMP},
    {"datetime", LAM_TYPE_TIMESTAMP},
    {"date", LAM_TYPE_DATE},
    {"time", LAM_TYPE_TIME},
    {"time without time zone", LAM_TYPE_TIME},
    {"uuid", LAM_TYPE_UUID},
    {"json", LAM_TYPE_JSON},
    {"jsonb", LAM_TYPE_JSON},
};

static bool is_blank(uint8_t c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Folds case and runs of blanks into `out`; false if it is too long for any name. */
static bool fold_name(struct lam_slice name, char *out) {
    size_t size = 0;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        if (is_blank(c)) {
            if (size == 0 || out[size - 1] == ' ')
                continue;
            c = ' ';
        }
        if (size == TYPE_NAME_MAX)
            return false;
        out[size++] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    if (size > 0 && out[size - 1] == ' ')
        size--;
    out[size] = '\0';
    return strlen(out) == size;
}

bool coltype_lookup(struct lam_slice name, enum lam_type *type_out) {
    char folded[TYPE_NAME_MAX + 1];
    if (!fold_name(name, folded))
        return false;
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (strcmp(folded, aliases[i].name) == 0) {
            *type_out = aliases[i].type;
            return true;
        }
    }
    return false;
}

void coltype_name(struct coltype type, char *out) {
    LAM_ASSERT((size_t)type.type < sizeof canonical_names / sizeof canonical_names[0]);
    if (type.type == LAM_TYPE_DECIMAL && type.precision)
        snprintf(out, 32, "DECIMAL(%u,%u)", type.precision, type.scale);
    else if (type.type == LAM_TYPE_TEXT && type.length)
        snprintf(out, 32, "VARCHAR(%u)", type.length);
    else
        snprintf(out, 32, "%s", canonical_names[type.type]);
}

bool coltype_eq(struct coltype a, struct coltype b) {
    if (a.type != b.type)
        return false;
    if (a.type == LAM_TYPE_DECIMAL)
        return a.precision == b.precision && a.scale == b.scale;
    return a.type != LAM_TYPE_TEXT || a.length == b.length;
}

bool coltype_is_integer(enum lam_type type) {
    return type == LAM_TYPE_SMALLINT || type == LAM_TYPE_INT || type == LAM_TYPE_BIGINT;
}

bool coltype_is_float(enum lam_type type) {
    return type == LAM_TYPE_FLOAT || type == LAM_TYPE_DOUBLE;
}

bool coltype_is_number(enum lam_type type) {
    return coltype_is_integer(type) || coltype_is_float(type) || type == LAM_TYPE_DECIMAL;
}

bool coltype_widens(struct coltype from, struct coltype to) {
    if (coltype_is_integer(from.type) && coltype_is_integer(to.type))
        return from.type <= to.type;
    if (coltype_is_float(from.type) && coltype_is_float(to.type))
        return from.type <= to.type;
    if (from.type != to.type)
        return false;
    if (from.type == LAM_TYPE_DECIMAL)
        return from.scale == to.scale && from.precision <= to.precision;
    if (from.type == LAM_TYPE_TEXT)
        return to.length == 0 || (from.length != 0 && from.length <= to.length);
    return true;
}

bool coltype_valid(struct coltype type) {
    if (type.type < LAM_TYPE_BOOLEAN || type.type > LAM_TYPE_JSON)
        return false;
    if (type.type == LAM_TYPE_DECIMAL)
        return type.length == 0 && type.precision >= 1 && type.precision <= DECIMAL_PRECISION_MAX &&
               type.scale <= type.precision;
    return type.precision == 0 && type.scale == 0 &&
           (type.length == 0 || type.type == LAM_TYPE_TEXT);
}
