/* SPDX-License-Identifier: Apache-2.0
 *
 * A strict reader of JSON (RFC 8259) for the machine protocol: pulls one value after another from a
 * text. The text must be UTF-8; nesting is limited. */
#ifndef LAMINA_SHELL_JSON_H
#define LAMINA_SHELL_JSON_H

#include "shell/text.h"

#define JSON_DEPTH_MAX 100

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_INTEGER, /* fits int64 */
    JSON_DIGITS,  /* whole number beyond int64: as text in `string` */
    JSON_DOUBLE,  /* has a fraction or an exponent */
    JSON_STRING,
    JSON_ARRAY,  /* only `raw` */
    JSON_OBJECT, /* only `raw` */
};

/* A value; `raw` is borrowed from the text read, the string stands in the reader's `strings`. */
struct json_value {
    enum json_kind kind;
    const char *raw; /* as written */
    size_t raw_size;
    int64_t integer;
    double number;
    size_t string_at; /* offset in the reader's `strings` */
    size_t string_size;
};

struct json_reader {
    const char *text; /* borrowed */
    size_t size;
    size_t at;            /* next byte */
    struct text *strings; /* borrowed; decoded strings are appended */
    const char *problem;  /* what was wrong; static; NULL: nothing */
    size_t problem_at;    /* byte offset */
};

void json_init(struct json_reader *r, const char *text, size_t size, struct text *strings);
/* Reads one value of any kind; arrays and objects are checked whole. */
bool json_read(struct json_reader *r, struct json_value *out);
/* Enters an array ('[') or object ('{'). */
bool json_enter(struct json_reader *r, char bracket);
/* Whether another element or member follows, stepping over the comma or the closing bracket.
 * `first`: none was read so far. False in *more_out at the end. */
bool json_next(struct json_reader *r, char close, bool first, bool *more_out);
/* Reads a member's name and colon. */
bool json_key(struct json_reader *r, struct json_value *key_out);
/* Whether nothing but blanks is left. */
bool json_finish(struct json_reader *r);

#endif
