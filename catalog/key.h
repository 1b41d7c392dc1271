/* SPDX-License-Identifier: Apache-2.0
 *
 * Order-preserving tuple encoding, and the typed keys of the catalog.
 *
 * memcmp of two encodings orders as the tuples do, and the encoding of a tuple's first parts is a
 * byte prefix of the whole. Integers, dates and times: big-endian with flipped sign, by width of
 * the type (2, 4, 8); BOOLEAN one byte; floats: IEEE bits flipped to order, -0 as +0, one NaN,
 * last; DECIMAL: 16 bytes like an integer; UUID: 16 bytes; TEXT, BYTES, JSON: 00 -> 00 FF, end 00
 * 01. A nullable part is led by 01 (present) or 02 (NULL): nulls sort last. Descending parts are
 * the ascending bytes inverted. Decoders answer CORRUPT for what no encoder makes. */
#ifndef LAMINA_CATALOG_KEY_H
#define LAMINA_CATALOG_KEY_H

#include "catalog/value.h"

#define USER_ID_MAX 256

/* Appends one part. `nullable` says whether the part has a null marker (index columns do, key
 * columns do not; a NULL without marker is asserted). */
MUST_CHECK enum lam_code key_put_value(struct buf *out, const struct value *v, bool nullable,
                                       bool descending, struct lam_error *err);
MUST_CHECK enum lam_code key_put_u64(struct buf *out, uint64_t v, struct lam_error *err);
MUST_CHECK enum lam_code key_put_u32(struct buf *out, uint32_t v, struct lam_error *err);
MUST_CHECK enum lam_code key_put_string(struct buf *out, struct lam_slice v, struct lam_error *err);

/* Decodes one part; moved-over bytes of strings are unescaped into `arena`. */
MUST_CHECK enum lam_code key_get_value(struct cursor *c, struct coltype type, bool nullable,
                                       bool descending, struct arena *arena, struct value *out,
                                       struct lam_error *err);
MUST_CHECK enum lam_code key_get_u64(struct cursor *c, uint64_t *out, struct lam_error *err);
MUST_CHECK enum lam_code key_get_u32(struct cursor *c, uint32_t *out, struct lam_error *err);
MUST_CHECK enum lam_code key_get_string(struct cursor *c, struct arena *arena,
                                        struct lam_slice *out, struct lam_error *err);
/* Makes `key` the smallest key after all that start with it: the end of a prefix range. Empties it
 * when there is no end (all FF). */
void key_prefix_end(struct buf *key);

/* A distinct struct, so that another number does not compile. */
struct table_id {
    uint64_t number;
}; /* never reused */

/* Whether bytes may be a user id; INVALID says what is wrong (empty, too long, NUL, not UTF-8). */
MUST_CHECK enum lam_code user_id_check(struct lam_slice bytes, struct lam_error *err);
/* Whether a name is an identifier of ours ([a-z][a-z0-9_]*, at most 64), after folding. Error 42602
 * says what is wrong. `what` names it in the message ("table", "column", "namespace"). */
MUST_CHECK enum lam_code identifier_check(struct lam_slice name, const char *what,
                                          struct lam_error *err);
#define IDENTIFIER_MAX 64

#endif
