/* SPDX-License-Identifier: Apache-2.0
 *
 * LIKE patterns against a matcher that tries everything. The input is a flag byte, the pattern, a
 * zero byte and the text. */
#include "base/utf8.h"
#include "sql/like.h"
#include "tests/fuzz/fuzz.h"

#define ITEMS_MAX 200
#define TEXT_MAX  300

enum item { ITEM_CHAR, ITEM_ONE, ITEM_ANY };

struct plain_pattern {
    enum item kinds[ITEMS_MAX];
    uint32_t codes[ITEMS_MAX];
    size_t count;
};

/* False if the pattern ends in the escape or is too long to try. */
static bool read_pattern(struct lam_slice pattern, uint32_t escape, struct plain_pattern *p) {
    p->count = 0;
    for (size_t at = 0; at < pattern.size;) {
        uint32_t code = utf8_next(pattern, &at);
        enum item kind = code == '%' ? ITEM_ANY : code == '_' ? ITEM_ONE : ITEM_CHAR;
        if (escape && code == escape) {
            if (at == pattern.size)
                return false;
            code = utf8_next(pattern, &at);
            kind = ITEM_CHAR;
        }
        if (p->count == ITEMS_MAX)
            return false;
        p->kinds[p->count] = kind;
        p->codes[p->count++] = code;
    }
    return true;
}

/* reached[i]: the first i items match the text so far. */
static bool match_plain(const struct plain_pattern *p, struct lam_slice text) {
    bool reached[ITEMS_MAX + 1] = {true};
    for (size_t i = 0; i < p->count && p->kinds[i] == ITEM_ANY; i++)
        reached[i + 1] = true;
    for (size_t at = 0; at < text.size;) {
        uint32_t code = utf8_next(text, &at);
        bool next[ITEMS_MAX + 1] = {false};
        for (size_t i = 0; i < p->count; i++) {
            if (p->kinds[i] == ITEM_ANY)
                next[i] = next[i] || reached[i];
            else if (reached[i] && (p->kinds[i] == ITEM_ONE || p->codes[i] == code))
                next[i + 1] = true;
        }
        for (size_t i = 0; i < p->count; i++)
            if (p->kinds[i] == ITEM_ANY && (next[i] || reached[i + 1]))
                next[i + 1] = true;
        memcpy(reached, next, sizeof reached);
    }
    return reached[p->count];
}

static void check(struct lam_slice pattern, struct lam_slice escape, bool fold,
                  struct lam_slice text, const struct plain_pattern *plain, bool readable) {
    struct arena arena = {0};
    struct like_scratch scratch = {0};
    const struct like_pattern *p;
    bool match;
    enum lam_code rc = like_compile(pattern, escape, fold, &arena, &p, NULL);
    REQUIRE(rc == LAM_OK || rc == LAM_SQL);
    if (rc == LAM_OK) {
        fuzz_ok(like_match(p, text, &scratch, &match, NULL), NULL);
        if (readable)
            REQUIRE(match == match_plain(plain, text));
    }
    like_scratch_fini(&scratch);
    arena_fini(&arena);
}

/* ILIKE is LIKE of both sides folded. */
static void check_folded(struct lam_slice pattern, struct lam_slice escape, struct lam_slice text) {
    static struct plain_pattern plain;
    struct buf low_pattern = {0}, low_text = {0};
    size_t at = 0;
    uint32_t mark = escape.size ? utf8_next(escape, &at) : 0;
    fuzz_ok(text_lower(pattern, &low_pattern, NULL), NULL);
    fuzz_ok(text_lower(text, &low_text, NULL), NULL);
    bool readable = read_pattern(buf_slice(&low_pattern), mark, &plain);
    struct arena arena = {0};
    struct like_scratch scratch = {0};
    const struct like_pattern *p;
    bool match;
    if (like_compile(pattern, escape, true, &arena, &p, NULL) == LAM_OK) {
        fuzz_ok(like_match(p, text, &scratch, &match, NULL), NULL);
        if (readable)
            REQUIRE(match == match_plain(&plain, buf_slice(&low_text)));
    }
    like_scratch_fini(&scratch);
    arena_fini(&arena);
    buf_fini(&low_pattern);
    buf_fini(&low_text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct plain_pattern plain;
    static const char *const escapes[] = {"",  "\\", "!",        "%",
                                          "_", "a",  "\xc3\xa4", "\xf0\x9f\x98\x80"};
    struct cursor c = cursor_of(lam_slice_of(data, size));
    uint8_t flags = cursor_u8(&c);
    struct lam_slice rest = fuzz_rest(&c);
    const uint8_t *zero = rest.size ? memchr(rest.data, 0, rest.size) : NULL;
    if (!zero)
        return 0;
    struct lam_slice pattern = lam_slice_of(rest.data, (size_t)(zero - rest.data));
    struct lam_slice text = lam_slice_of(zero + 1, rest.size - pattern.size - 1);
    struct lam_slice escape = lam_slice_str(escapes[flags % 8]);
    if (text.size > TEXT_MAX || !utf8_valid(pattern, NULL) || !utf8_valid(text, NULL))
        return 0;
    size_t at = 0;
    uint32_t mark = escape.size ? utf8_next(escape, &at) : 0;
    bool readable = read_pattern(pattern, mark, &plain);
    check(pattern, escape, false, text, &plain, readable);
    if (flags & 8)
        check_folded(pattern, flags % 8 == 5 ? SLICE_EMPTY : escape, text);
    return 0;
}
