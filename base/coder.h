/* SPDX-License-Identifier: Apache-2.0
 *
 * One description of a record's fields for both directions: each call appends the field to the
 * record, which leaves it alone, or reads it back. A failure is sticky, and is asked for once after
 * a group of fields: `code` when encoding, `in.failed` when decoding. */
#ifndef LAMINA_BASE_CODER_H
#define LAMINA_BASE_CODER_H

#include "base/buf.h"

struct coder {
    struct buf *out;       /* encoding: where to; NULL: decoding */
    struct cursor in;      /* decoding: what from */
    enum lam_code code;    /* encoding: the first failure */
    struct lam_error *err; /* of that; may be NULL */
};
static inline struct coder coder_to(struct buf *out, struct lam_error *err) {
    return (struct coder){.out = out, .err = err};
}
static inline struct coder coder_from(struct lam_slice bytes) {
    return (struct coder){.in = cursor_of(bytes)};
}

#define CODE_FIELD(name, type, read, append)                                                       \
    static inline void code_##name(struct coder *c, type *v) {                                     \
        if (!c->out)                                                                               \
            *v = read(&c->in);                                                                     \
        else if (c->code == LAM_OK)                                                                \
            c->code = append(c->out, *v, c->err);                                                  \
    }
CODE_FIELD(u8, uint8_t, cursor_u8, buf_append_u8)
CODE_FIELD(le64, uint64_t, cursor_le64, buf_append_le64)
CODE_FIELD(varint, uint64_t, cursor_varint, buf_append_varint)
CODE_FIELD(varint32, uint32_t, cursor_varint32, buf_append_varint)
/* Bytes read borrow what they are read from. */
CODE_FIELD(prefixed, struct lam_slice, cursor_prefixed, buf_append_prefixed)
#undef CODE_FIELD

static inline void code_zigzag(struct coder *c, int64_t *v) {
    uint64_t coded = zigzag_encode(*v);
    code_varint(c, &coded);
    if (!c->out)
        *v = zigzag_decode(coded);
}
/* A byte that is 0 or 1. */
static inline void code_bool(struct coder *c, bool *v) {
    uint8_t coded = *v;
    code_u8(c, &coded);
    c->in.failed |= coded > 1;
    if (!c->out)
        *v = coded == 1;
}

#endif
