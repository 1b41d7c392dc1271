/* SPDX-License-Identifier: Apache-2.0
 *
 * User ids, templates and names in paths of cold files. A user id's part can be read back, so no
 * two ids share one; no template that is accepted leads out of its base directory or lets a file
 * name grow beyond what file systems take; names of files parse to what made them. */
#include "flush/path.h"
#include "tests/fuzz/fuzz.h"

#define NAME_MAX_BYTES 255

static int hex(uint8_t c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Undoes the encoding of an id that was not cut. */
static void read_back(struct lam_slice part, struct buf *out) {
    for (size_t i = 0; i < part.size; i++) {
        uint8_t c = part.data[i];
        if (c == '%') {
            REQUIRE(i + 2 < part.size && hex(part.data[i + 1]) >= 0 && hex(part.data[i + 2]) >= 0);
            c = (uint8_t)(hex(part.data[i + 1]) << 4 | hex(part.data[i + 2]));
            i += 2;
        } else {
            REQUIRE((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_');
        }
        fuzz_put(out, &c, 1);
    }
}

static void try_user(struct lam_slice user, struct buf *out) {
    struct buf back = {0};
    fuzz_ok(flush_path_user(user, out, NULL), NULL);
    struct lam_slice part = buf_slice(out);
    REQUIRE(part.size > 0 && part.size <= 120);
    if (part.data[0] != '_') {
        read_back(part, &back);
        REQUIRE(slice_eq(buf_slice(&back), user));
    } else {
        REQUIRE(part.size == 1 + 40 + 1 + 64 && !memchr(part.data, '/', part.size));
    }
    buf_fini(&back);
}

static void try_users(struct cursor *c) {
    struct lam_slice one = fuzz_take(c, 1 + (cursor_u8(c) % 128)), two = fuzz_rest(c);
    struct buf a = {0}, b = {0};
    if (one.size > 0 && two.size > 0) {
        try_user(one, &a);
        try_user(two, &b);
        REQUIRE(slice_eq(one, two) == slice_eq(buf_slice(&a), buf_slice(&b)));
    }
    buf_fini(&a);
    buf_fini(&b);
}

/* No empty component, no "." and "..", none too long; relative. */
static void check_relative(struct lam_slice path) {
    REQUIRE(path.size > 0 && path.data[0] != '/');
    size_t from = 0;
    for (size_t i = 0; i <= path.size; i++) {
        if (i < path.size && path.data[i] != '/')
            continue;
        struct lam_slice part = lam_slice_of(path.data + from, i - from);
        REQUIRE(part.size > 0 && part.size <= NAME_MAX_BYTES);
        REQUIRE(!slice_eq_str(part, ".") && !slice_eq_str(part, ".."));
        from = i + 1;
    }
}

static void try_template(struct cursor *c) {
    static struct provider p;
    char text[600];
    struct buf whole = {0}, root = {0};
    unsigned levels = 0;
    p.kind = cursor_u8(c) & 1 ? TABLE_USER : TABLE_SHARED;
    memset(p.namespace_name, 'n', IDENTIFIER_MAX);
    memset(p.name, 't', cursor_u8(c) % IDENTIFIER_MAX + 1);
    struct lam_slice user = fuzz_take(c, 1 + cursor_u8(c) % 64), t = fuzz_take(c, sizeof text - 1);
    if (user.size == 0)
        user = lam_slice_str("u");
    memset(text, 0, sizeof text);
    if (t.size > 0)
        memcpy(text, t.data, t.size);
    bool sound = flush_template_check(lam_slice_str(text), p.kind == TABLE_USER, NULL) == LAM_OK;
    REQUIRE((path_expand(text, &p, user, &whole, NULL) == LAM_OK) == sound);
    REQUIRE((path_expand_root(text, &p, &root, &levels, NULL) == LAM_OK) == sound);
    if (sound) {
        check_relative(buf_slice(&whole));
        REQUIRE(slice_starts_with(buf_slice(&whole), buf_slice(&root)));
        REQUIRE(p.kind == TABLE_USER ? levels > 0 : levels == 0);
        if (root.size > 0)
            check_relative(buf_slice(&root));
    }
    buf_fini(&whole);
    buf_fini(&root);
}

static void try_name(struct cursor *c) {
    char name[SEGMENT_NAME_BYTES] = {0}, again[SEGMENT_NAME_BYTES];
    uint64_t number, number2;
    uint32_t tag, tag2;
    struct lam_slice given = fuzz_take(c, sizeof name - 1);
    if (given.size > 0)
        memcpy(name, given.data, given.size);
    if (!path_file_name_parse(name, &number, &tag))
        return;
    path_file_name(number, tag, again);
    REQUIRE(path_file_name_parse(again, &number2, &tag2) && number2 == number && tag2 == tag);
}

static void try_base(struct cursor *c) {
    char base[64] = {0};
    struct buf out = {0};
    struct lam_slice given = fuzz_take(c, sizeof base - 1);
    if (given.size > 0)
        memcpy(base, given.data, given.size);
    bool ours = path_base_is_ours(base);
    for (const char *at = base; ours && *at; at += strcspn(at, "/"), at += *at == '/')
        REQUIRE(!(strcspn(at, "/") == 2 && memcmp(at, "..", 2) == 0));
    fuzz_ok(path_in_base("/db", base, lam_slice_str("a/b"), &out, NULL), NULL);
    REQUIRE(!ours || slice_starts_with(buf_slice(&out), lam_slice_str("/db/")));
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cursor c = cursor_of(lam_slice_of(data, size));
    switch (cursor_u8(&c) % 4) {
    case 0:
        try_users(&c);
        break;
    case 1:
        try_template(&c);
        break;
    case 2:
        try_name(&c);
        break;
    default:
        try_base(&c);
        break;
    }
    return 0;
}
