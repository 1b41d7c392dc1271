/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds where a statement ends in text that arrives in pieces: at a semicolon outside quotes,
 * comments, dollar quotes and parentheses. Knows the lexical rules of Lamina's SQL. */
#ifndef LAMINA_SHELL_SPLIT_H
#define LAMINA_SHELL_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

enum split_state {
    SPLIT_PLAIN,
    SPLIT_NAME,    /* in a name or number: E' does not start a string here */
    SPLIT_STRING,  /* '...' */
    SPLIT_ESTRING, /* E'...' */
    SPLIT_QUOTED,  /* "..." */
    SPLIT_DOLLAR,  /* $tag$...$tag$ */
    SPLIT_LINE,    /* -- comment */
    SPLIT_BLOCK,   /* comment of slashes and stars; nests */
};

/* How far the text of one statement has been looked at. All-zero is the start of a statement. */
struct splitter {
    size_t at;              /* byte looked at next, from the statement's start */
    enum split_state state; /* what `at` is in */
    bool content;           /* something other than blanks and comments was seen */
    size_t tag_at;          /* DOLLAR: its tag */
    size_t tag_size;
    size_t depth;  /* BLOCK: nesting */
    size_t parens; /* open parentheses */
};

enum split_result {
    SPLIT_MORE,      /* no end yet */
    SPLIT_STATEMENT, /* `at` is after the semicolon */
    SPLIT_DOT,       /* the first thing is a '.', at `at`: a shell command */
};

/* Looks on in `text`, which starts where the statement does and has grown by any amount since the
 * last call. `last`: nothing will follow. */
enum split_result split_scan(struct splitter *s, const char *text, size_t size, bool last);

#endif
