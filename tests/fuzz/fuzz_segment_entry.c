/* SPDX-License-Identifier: Apache-2.0
 *
 * Segment entries, dead-row bitmaps and keys of the segments partition. What decodes must encode
 * and decode to the same again. */
#include "flush/segment.h"
#include "tests/fuzz/fuzz.h"

static void try_entry(struct lam_slice bytes) {
    struct arena arena = {0};
    struct segment s, again;
    struct buf out = {0};
    if (segment_decode(bytes, "fuzz", &arena, &s, NULL) == LAM_OK) {
        REQUIRE(segment_encode(&s, &out, NULL) == LAM_OK);
        REQUIRE(segment_decode(buf_slice(&out), "fuzz", &arena, &again, NULL) == LAM_OK);
        REQUIRE(again.rows == s.rows && again.column_count == s.column_count);
        REQUIRE(slice_eq(again.path, s.path) && slice_eq(again.last_key, s.last_key));
    }
    buf_fini(&out);
    arena_fini(&arena);
}

static void try_dead(uint64_t rows, struct lam_slice bytes) {
    struct arena arena = {0};
    uint8_t *bits, *again;
    uint64_t count, recount;
    struct buf out = {0};
    if (dead_rows_decode(bytes, rows, "fuzz", &arena, &bits, &count, NULL) == LAM_OK) {
        REQUIRE(count == bitmap_count(bits, (size_t)rows));
        REQUIRE(dead_rows_encode(bits, rows, &out, NULL) == LAM_OK);
        REQUIRE(dead_rows_decode(buf_slice(&out), rows, "fuzz", &arena, &again, &recount, NULL) ==
                LAM_OK);
        REQUIRE(recount == count && memcmp(bits, again, (size_t)((rows + 7) / 8)) == 0);
    }
    buf_fini(&out);
    arena_fini(&arena);
}

static void try_key(struct lam_slice key, bool has_user) {
    struct arena arena = {0};
    struct lam_slice user;
    struct buf out = {0};
    char kind;
    uint64_t number;
    if (segment_key_decode(key, has_user, "fuzz", &arena, &user, &kind, &number, NULL) == LAM_OK &&
        kind && (user.size > 0) == has_user) {
        REQUIRE(segment_key(user, kind, number, &out, NULL) == LAM_OK);
        REQUIRE(slice_eq(buf_slice(&out), key));
    }
    buf_fini(&out);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    struct lam_slice rest = lam_slice_of(data + 2, size - 2);
    switch (data[0] % 4) {
    case 0:
        try_entry(rest);
        break;
    case 1:
        try_dead(1 + data[1], rest);
        break;
    case 2:
        try_dead(1 + (uint64_t)data[1] * 997, rest);
        break;
    default:
        try_key(rest, data[1] & 1);
        break;
    }
    return 0;
}
