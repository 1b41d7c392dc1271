/* SPDX-License-Identifier: Apache-2.0
 *
 * Owned, growing bytes. All-zero is the empty buffer. Every append is checked for memory; on
 * failure the buffer is as it was. */
#ifndef LAMINA_BASE_BUF_H
#define LAMINA_BASE_BUF_H

#include <stdarg.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"

struct buf {
    uint8_t *data; /* owned */
    size_t size;
    size_t capacity;
};

void buf_fini(struct buf *b);
/* Empty, memory kept. */
static inline void buf_reset(struct buf *b) {
    b->size = 0;
}
/* The content; valid until the buffer changes. */
static inline struct lam_slice buf_slice(const struct buf *b) {
    return lam_slice_of(b->data, b->size);
}
/* Makes room for `extra` more bytes. */
MUST_CHECK enum lam_code buf_reserve(struct buf *b, size_t extra, struct lam_error *err);
MUST_CHECK enum lam_code buf_append(struct buf *b, const void *data, size_t size,
                                    struct lam_error *err);
MUST_CHECK enum lam_code buf_append_slice(struct buf *b, struct lam_slice s, struct lam_error *err);
MUST_CHECK enum lam_code buf_append_str(struct buf *b, const char *text, struct lam_error *err);
MUST_CHECK enum lam_code buf_append_u8(struct buf *b, uint8_t v, struct lam_error *err);
MUST_CHECK enum lam_code buf_append_le16(struct buf *b, uint16_t v, struct lam_error *err);
MUST_CHECK enum lam_code buf_append_le32(struct buf *b, uint32_t v, struct lam_error *err);
MUST_CHECK enum lam_code buf_append_le64(struct buf *b, uint64_t v, struct lam_error *err);
MUST_CHECK enum lam_code buf_append_varint(struct buf *b, uint64_t v, struct lam_error *err);
/* Varint length, then the bytes. */
MUST_CHECK enum lam_code buf_append_prefixed(struct buf *b, struct lam_slice s,
                                             struct lam_error *err);
/* `size` zero bytes. */
MUST_CHECK enum lam_code buf_append_zeros(struct buf *b, size_t size, struct lam_error *err);
MUST_CHECK enum lam_code buf_append_format(struct buf *b, struct lam_error *err, const char *format,
                                           ...) __attribute__((format(printf, 3, 4)));
MUST_CHECK enum lam_code buf_append_vformat(struct buf *b, struct lam_error *err,
                                            const char *format, va_list args);
/* The content with a NUL after it that is not counted; valid until the buffer changes. */
MUST_CHECK enum lam_code buf_cstr(struct buf *b, const char **text_out, struct lam_error *err);

#endif
