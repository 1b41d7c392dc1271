/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, at most U+10FFFF. */
#ifndef LAMINA_BASE_UTF8_H
#define LAMINA_BASE_UTF8_H

#include "base/bytes.h"

/* Whether all of `s` is valid; `*bad_out` (may be NULL) gets the offset of the first bad byte. */
bool utf8_valid(struct lam_slice s, size_t *bad_out);
/* Number of characters in valid text. */
size_t utf8_length(struct lam_slice s);
/* Byte offset of character `index` (0-based) in valid text; s.size if there are fewer. */
size_t utf8_offset(struct lam_slice s, size_t index);
/* Decodes the character at `*at`, moving past it; invalid bytes give U+FFFD and move by one. */
uint32_t utf8_next(struct lam_slice s, size_t *at);
/* Encodes a code point into `out` (room for 4); returns the bytes used. */
size_t utf8_put(uint8_t *out, uint32_t code_point);

#endif
