/* SPDX-License-Identifier: Apache-2.0
 *
 * Growable bytes and characters of UTF-8, for the shell. Running out of memory ends the program
 * with a message: the shell has nothing better to do. */
#ifndef LAMINA_SHELL_TEXT_H
#define LAMINA_SHELL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Owned bytes; all-zero is empty. */
struct text {
    char *data;
    size_t size;
    size_t capacity;
};

/* Resizes a heap block as realloc does; never NULL for a size above 0. */
void *memory_resize(void *block, size_t size);

void text_add(struct text *t, const void *data, size_t size);
void text_add_str(struct text *t, const char *text);
void text_add_format(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* `count` times `c`. */
void text_fill(struct text *t, char c, size_t count);
/* Drops the first `size` bytes. */
void text_cut(struct text *t, size_t size);
/* Empty again, memory kept. */
void text_reset(struct text *t);
void text_fini(struct text *t);
/* The bytes with a NUL after them; valid until `t` changes. */
const char *text_str(struct text *t);

static inline void text_add_char(struct text *t, char c) {
    if (t->size < t->capacity)
        t->data[t->size++] = c;
    else
        text_add(t, &c, 1);
}

/* Characters of UTF-8 in `size` bytes. */
size_t utf8_count(const char *data, size_t size);
/* Bytes that the first `count` characters take. */
size_t utf8_offset(const char *data, size_t size, size_t count);
/* Decodes the character at `data`; an invalid byte is 0xFFFD of one byte. Returns its bytes. */
size_t utf8_decode(const char *data, size_t size, uint32_t *code_out);

/* Appends bytes as a terminal can show them on one line: control characters, and those that would
 * change the direction or hide, become escapes such as \n or \u{202e}. Returns the columns they
 * take. */
size_t text_add_visible(struct text *t, const char *data, size_t size);

/* Number of edits that turn `a` into `b`; names are short. */
size_t edit_distance(const char *a, const char *b);
/* The name closest to `word`, NULL if none is close. `names` ends with NULL. */
const char *nearest_name(const char *word, const char *const *names);

#endif
