/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/like.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/utf8.h"

#define ANY_CHAR UINT32_MAX

/* What stands between two '%'s. */
struct piece {
    const uint8_t *bytes; /* the characters, '_' left out */
    size_t size;
    const uint32_t *chars; /* with ANY_CHAR for '_' */
    uint32_t count;
    bool wild; /* has '_' */
    const uint64_t
        *mask; /* wild: rows of `words`, one for each of `alphabet`, then one for others */
    const uint32_t *alphabet; /* sorted */
    uint32_t letters;
    uint32_t words;
};

struct like_pattern {
    struct piece *pieces;
    uint32_t count; /* at least 1; count - 1 is the number of '%' runs */
    bool fold;
};

/* --- case --- */

static uint32_t char_lower(uint32_t c) {
    if (c >= 'A' && c <= 'Z')
        return c + 32;
    if (c < 0x80)
        return c;
    if ((c >= 0xC0 && c <= 0xDE && c != 0xD7) || (c >= 0x410 && c <= 0x42F) ||
        (c >= 0x391 && c <= 0x3A9 && c != 0x3A2))
        return c + 32;
    return c >= 0x400 && c <= 0x40F ? c + 80 : c;
}

static uint32_t char_upper(uint32_t c) {
    if (c >= 'a' && c <= 'z')
        return c - 32;
    if (c < 0x80)
        return c;
    if ((c >= 0xE0 && c <= 0xFE && c != 0xF7) || (c >= 0x430 && c <= 0x44F) ||
        (c >= 0x3B1 && c <= 0x3C9 && c != 0x3C2))
        return c - 32;
    return c >= 0x450 && c <= 0x45F ? c - 80 : c;
}

static enum lam_code map_case(struct lam_slice text, uint32_t (*map)(uint32_t), struct buf *out,
                              struct lam_error *err) {
    /* Folding keeps the encoded size of every letter that it knows. */
    TRY(buf_reserve(out, text.size + 4, err));
    uint8_t *to = out->data + out->size;
    size_t n = 0;
    for (size_t i = 0; i < text.size;) {
        if (text.data[i] < 0x80)
            to[n++] = (uint8_t)map(text.data[i++]);
        else
            n += utf8_put(to + n, map(utf8_next(text, &i)));
    }
    LAM_ASSERT(n <= text.size);
    out->size += n;
    return LAM_OK;
}

enum lam_code text_lower(struct lam_slice text, struct buf *out, struct lam_error *err) {
    return map_case(text, char_lower, out, err);
}

enum lam_code text_upper(struct lam_slice text, struct buf *out, struct lam_error *err) {
    return map_case(text, char_upper, out, err);
}

/* --- compiling --- */

static int compare_chars(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t letter_row(const struct piece *p, uint32_t c) {
    uint32_t low = 0, high = p->letters;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (p->alphabet[mid] == c)
            return mid;
        if (p->alphabet[mid] < c)
            low = mid + 1;
        else
            high = mid;
    }
    return p->letters;
}

/* Bit i of a letter's row: position i of the piece takes the letter. */
static enum lam_code build_masks(struct piece *p, struct arena *arena, struct lam_error *err) {
    uint32_t *alphabet = arena_calloc(arena, p->count, sizeof *alphabet);
    p->words = (p->count + 63) / 64;
    if (!alphabet)
        return mem_fail(err, p->count * sizeof *alphabet);
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->count; i++)
        if (p->chars[i] != ANY_CHAR)
            alphabet[n++] = p->chars[i];
    qsort(alphabet, n, sizeof *alphabet, compare_chars);
    uint32_t unique = 0;
    for (uint32_t i = 0; i < n; i++)
        if (unique == 0 || alphabet[unique - 1] != alphabet[i])
            alphabet[unique++] = alphabet[i];
    p->alphabet = alphabet;
    p->letters = unique;
    uint64_t *mask = arena_calloc(arena, ((size_t)unique + 1) * p->words, sizeof *mask);
    if (!mask)
        return mem_fail(err, ((size_t)unique + 1) * p->words * sizeof *mask);
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->chars[i] != ANY_CHAR) {
            mask[(size_t)letter_row(p, p->chars[i]) * p->words + i / 64] |= 1ull << (i & 63);
            continue;
        }
        for (uint32_t row = 0; row <= unique; row++)
            mask[(size_t)row * p->words + i / 64] |= 1ull << (i & 63);
    }
    p->mask = mask;
    return LAM_OK;
}

struct compiler {
    struct like_pattern *out;
    uint32_t *chars; /* room for the whole pattern */
    uint8_t *bytes;
    uint32_t char_count;
    size_t byte_count;
    struct piece now;
};

static enum lam_code end_piece(struct compiler *c, bool masks, struct arena *arena,
                               struct lam_error *err) {
    c->now.count = (uint32_t)(c->chars + c->char_count - c->now.chars);
    c->now.size = (size_t)(c->bytes + c->byte_count - c->now.bytes);
    if (c->now.wild && masks)
        TRY(build_masks(&c->now, arena, err));
    c->out->pieces[c->out->count++] = c->now;
    c->now = (struct piece){.bytes = c->bytes + c->byte_count, .chars = c->chars + c->char_count};
    return LAM_OK;
}

static void add_char(struct compiler *c, uint32_t ch) {
    c->chars[c->char_count++] = ch;
    if (ch == ANY_CHAR)
        c->now.wild = true;
    else
        c->byte_count += utf8_put(c->bytes + c->byte_count, ch);
}

static enum lam_code compile(struct compiler *c, struct lam_slice pattern, struct lam_slice escape,
                             struct arena *arena, struct lam_error *err) {
    size_t at = 0;
    uint32_t escape_char = escape.size ? utf8_next(escape, &at) : ANY_CHAR;
    for (size_t i = 0; i < pattern.size;) {
        uint32_t ch = utf8_next(pattern, &i);
        if (ch == escape_char) {
            if (i >= pattern.size)
                return ERR_SQL(err, "22025", 0, "LIKE pattern must not end with the escape");
            add_char(c, utf8_next(pattern, &i));
        } else if (ch == '%') {
            if (c->out->count == 0 || c->chars + c->char_count > c->now.chars)
                TRY(end_piece(c, c->out->count > 0, arena, err));
        } else {
            add_char(c, ch == '_' ? ANY_CHAR : ch);
        }
    }
    return end_piece(c, false, arena, err);
}

enum lam_code like_compile(struct lam_slice pattern, struct lam_slice escape, bool fold_case,
                           struct arena *arena, const struct like_pattern **out,
                           struct lam_error *err) {
    OWNED(buf_fini) struct buf folded = {0};
    struct compiler c = {.out = arena_alloc(arena, sizeof *c.out)};
    if (fold_case) {
        TRY(text_lower(pattern, &folded, err));
        pattern = buf_slice(&folded);
    }
    c.chars = arena_calloc(arena, pattern.size + 1, sizeof *c.chars);
    c.bytes = arena_alloc(arena, pattern.size + 4);
    size_t pieces = 2;
    for (size_t i = 0; i < pattern.size; i++)
        pieces += pattern.data[i] == '%';
    if (c.out)
        c.out->pieces = arena_calloc(arena, pieces, sizeof *c.out->pieces);
    if (!c.out || !c.chars || !c.bytes || !c.out->pieces)
        return mem_fail(err, pattern.size * 5);
    c.out->fold = fold_case;
    c.now = (struct piece){.bytes = c.bytes, .chars = c.chars};
    TRY(compile(&c, pattern, escape, arena, err));
    *out = c.out;
    return LAM_OK;
}

/* --- matching --- */

/* Whether the piece stands at *at; moves past it. */
static bool match_here(const struct piece *p, struct lam_slice text, size_t *at) {
    if (!p->wild) {
        if (text.size - *at < p->size ||
            (p->size && memcmp(text.data + *at, p->bytes, p->size) != 0))
            return false;
        *at += p->size;
        return true;
    }
    size_t i = *at;
    for (uint32_t k = 0; k < p->count; k++) {
        if (i >= text.size)
            return false;
        uint32_t c = utf8_next(text, &i);
        if (p->chars[k] != ANY_CHAR && p->chars[k] != c)
            return false;
    }
    *at = i;
    return true;
}

/* Shift-and: bit i of the state says that the piece's first i + 1 characters end here. */
static enum lam_code find_wild(const struct piece *p, struct lam_slice text, size_t *at,
                               struct buf *scratch, bool *found, struct lam_error *err) {
    uint64_t one = 0, *state = &one;
    if (p->words > 1) {
        buf_reset(scratch);
        TRY(buf_append_zeros(scratch, p->words * sizeof *state + 8, err));
        state = (uint64_t *)(((uintptr_t)scratch->data + 7) & ~(uintptr_t)7);
    }
    uint32_t last = p->count - 1;
    for (size_t i = *at; i < text.size;) {
        const uint64_t *mask = p->mask + (size_t)letter_row(p, utf8_next(text, &i)) * p->words;
        uint64_t carry = 1;
        for (uint32_t w = 0; w < p->words; w++) {
            uint64_t top = state[w] >> 63;
            state[w] = ((state[w] << 1) | carry) & mask[w];
            carry = top;
        }
        if ((state[last / 64] >> (last & 63)) & 1) {
            *at = i;
            *found = true;
            return LAM_OK;
        }
    }
    *found = false;
    return LAM_OK;
}

/* Moves past the leftmost place of the piece from *at on. */
static enum lam_code find_piece(const struct piece *p, struct lam_slice text, size_t *at,
                                struct buf *scratch, bool *found, struct lam_error *err) {
    *found = true;
    if (p->count == 0)
        return LAM_OK;
    if (p->wild)
        return find_wild(p, text, at, scratch, found, err);
    const uint8_t *hit = text.size - *at < p->size
                             ? NULL
                             : memmem(text.data + *at, text.size - *at, p->bytes, p->size);
    *found = hit != NULL;
    if (hit)
        *at = (size_t)(hit - text.data) + p->size;
    return LAM_OK;
}

/* Whether the piece ends the text, beginning at `at` or later. */
static bool match_end(const struct piece *p, struct lam_slice text, size_t at) {
    if (!p->wild)
        return text.size - at >= p->size &&
               (p->size == 0 || memcmp(text.data + text.size - p->size, p->bytes, p->size) == 0);
    size_t start = text.size;
    for (uint32_t k = 0; k < p->count; k++) {
        if (start <= at)
            return false;
        do
            start--;
        while (start > at && (text.data[start] & 0xC0) == 0x80);
    }
    return match_here(p, text, &start) && start == text.size;
}

void like_scratch_fini(struct like_scratch *s) {
    buf_fini(&s->folded);
    buf_fini(&s->state);
}

enum lam_code like_match(const struct like_pattern *p, struct lam_slice text,
                         struct like_scratch *scratch, bool *match_out, struct lam_error *err) {
    size_t at = 0;
    bool found = false;
    *match_out = false;
    if (p->fold) {
        buf_reset(&scratch->folded);
        TRY(text_lower(text, &scratch->folded, err));
        text = buf_slice(&scratch->folded);
    }
    if (!match_here(&p->pieces[0], text, &at))
        return LAM_OK;
    if (p->count == 1) {
        *match_out = at == text.size;
        return LAM_OK;
    }
    for (uint32_t i = 1; i + 1 < p->count; i++) {
        TRY(find_piece(&p->pieces[i], text, &at, &scratch->state, &found, err));
        if (!found)
            return LAM_OK;
    }
    *match_out = match_end(&p->pieces[p->count - 1], text, at);
    return LAM_OK;
}
