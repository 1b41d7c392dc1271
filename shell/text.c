/* SPDX-License-Identifier: Apache-2.0
 *
 * Growable bytes, UTF-8 and display width. Widths come from the C library's wcwidth, whose locale
 * main sets to a UTF-8 one. */
#include "shell/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

void *memory_resize(void *block, size_t size) {
    if (size == 0) {
        free(block);
        return NULL;
    }
    void *grown = realloc(block, size);
    if (!grown) {
        fprintf(stderr, "lamina: out of memory (%zu bytes wanted)\n", size);
        exit(1);
    }
    return grown;
}

static void reserve(struct text *t, size_t more) {
    if (t->capacity - t->size >= more)
        return;
    size_t capacity = t->capacity ? t->capacity * 2 : 64;
    while (capacity - t->size < more)
        capacity *= 2;
    t->data = memory_resize(t->data, capacity);
    t->capacity = capacity;
}

void text_add(struct text *t, const void *data, size_t size) {
    if (size == 0)
        return;
    reserve(t, size);
    memcpy(t->data + t->size, data, size);
    t->size += size;
}

void text_add_str(struct text *t, const char *text) {
    text_add(t, text, strlen(text));
}

void text_add_format(struct text *t, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size > 0) {
        reserve(t, (size_t)size + 1);
        vsnprintf(t->data + t->size, (size_t)size + 1, format, again);
        t->size += (size_t)size;
    }
    va_end(again);
}

void text_fill(struct text *t, char c, size_t count) {
    if (count == 0)
        return;
    reserve(t, count);
    memset(t->data + t->size, c, count);
    t->size += count;
}

void text_cut(struct text *t, size_t size) {
    if (size == 0)
        return;
    memmove(t->data, t->data + size, t->size - size);
    t->size -= size;
}

void text_reset(struct text *t) {
    t->size = 0;
}

void text_fini(struct text *t) {
    free(t->data);
    *t = (struct text){0};
}

const char *text_str(struct text *t) {
    reserve(t, 1);
    t->data[t->size] = '\0';
    return t->data;
}

size_t utf8_count(const char *data, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < size; i++)
        n += ((unsigned char)data[i] & 0xC0) != 0x80;
    return n;
}

size_t utf8_offset(const char *data, size_t size, size_t count) {
    size_t at = 0;
    while (at < size && count > 0) {
        at++;
        while (at < size && ((unsigned char)data[at] & 0xC0) == 0x80)
            at++;
        count--;
    }
    return at;
}

size_t utf8_decode(const char *data, size_t size, uint32_t *code_out) {
    const unsigned char *p = (const unsigned char *)data;
    size_t length = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    *code_out = 0xFFFD;
    if (length == 0 || length > size || p[0] > 0xF4)
        return 1;
    uint32_t code = length == 1 ? p[0] : p[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 1;
        code = code << 6 | (p[i] & 0x3F);
    }
    if (code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return 1;
    *code_out = code;
    return length;
}

/* Characters without a picture that would move or reorder what stands around them. */
static bool is_unseen(uint32_t code) {
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0x200E || code == 0x200F || code == 0xFEFF;
}

static size_t add_escape(struct text *t, uint32_t code) {
    size_t before = t->size;
    if (code == '\n')
        text_add_str(t, "\\n");
    else if (code == '\t')
        text_add_str(t, "\\t");
    else if (code == '\r')
        text_add_str(t, "\\r");
    else if (code < 0x100)
        text_add_format(t, "\\x%02x", code);
    else
        text_add_format(t, "\\u{%x}", code);
    return t->size - before;
}

size_t text_add_visible(struct text *t, const char *data, size_t size) {
    size_t columns = 0;
    for (size_t i = 0; i < size;) {
        unsigned char c = (unsigned char)data[i];
        if (c >= 0x20 && c < 0x7F) {
            text_add_char(t, data[i++]);
            columns++;
            continue;
        }
        uint32_t code;
        size_t length = utf8_decode(data + i, size - i, &code);
        if (is_unseen(code)) {
            columns += add_escape(t, code);
        } else if (code == 0xFFFD && length == 1) {
            columns += add_escape(t, c);
        } else {
            int width = wcwidth((wchar_t)code);
            text_add(t, data + i, length);
            columns += width >= 0 ? (size_t)width : 1;
        }
        i += length;
    }
    return columns;
}

#define NAME_MAX_COMPARED 64

size_t edit_distance(const char *a, const char *b) {
    size_t rows[2][NAME_MAX_COMPARED + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > NAME_MAX_COMPARED || m > NAME_MAX_COMPARED)
        return n + m;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        const size_t *above = rows[(i - 1) % 2];
        size_t *row = rows[i % 2];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return rows[n % 2][m];
}

const char *nearest_name(const char *word, const char *const *names) {
    const char *best = NULL;
    size_t best_distance = strlen(word) < 4 ? 2 : 3;
    for (; *names; names++) {
        size_t d =
            strncmp(*names, word, strlen(word)) == 0 && *word ? 1 : edit_distance(word, *names);
        if (d < best_distance) {
            best_distance = d;
            best = *names;
        }
    }
    return best;
}
