/* SPDX-License-Identifier: Apache-2.0
 *
 * Growing bytes. Appends test the room inline and leave growth to one cold function. */
#include "base/buf.h"

#include <stdio.h>

#include "base/assert.h"

void buf_fini(struct buf *b) {
    mem_free(b->data);
    *b = (struct buf){0};
}

static __attribute__((noinline, cold)) enum lam_code grow(struct buf *b, size_t extra,
                                                          struct lam_error *err) {
    size_t need;
    if (!size_add(b->size, extra, &need))
        return mem_fail(err, SIZE_MAX);
    return MEM_GROW(&b->data, &b->capacity, need, err);
}

static inline enum lam_code make_room(struct buf *b, size_t extra, struct lam_error *err) {
    DEBUG_ASSERT(b->size <= b->capacity);
    if (__builtin_expect(b->capacity - b->size >= extra, 1))
        return LAM_OK;
    return grow(b, extra, err);
}

enum lam_code buf_reserve(struct buf *b, size_t extra, struct lam_error *err) {
    return make_room(b, extra, err);
}

enum lam_code buf_append(struct buf *b, const void *data, size_t size, struct lam_error *err) {
    if (size == 0)
        return LAM_OK;
    TRY(make_room(b, size, err));
    memcpy(b->data + b->size, data, size);
    b->size += size;
    return LAM_OK;
}

enum lam_code buf_append_slice(struct buf *b, struct lam_slice s, struct lam_error *err) {
    return buf_append(b, s.data, s.size, err);
}

enum lam_code buf_append_str(struct buf *b, const char *text, struct lam_error *err) {
    return buf_append(b, text, strlen(text), err);
}

enum lam_code buf_append_u8(struct buf *b, uint8_t v, struct lam_error *err) {
    TRY(make_room(b, 1, err));
    b->data[b->size++] = v;
    return LAM_OK;
}

#define APPEND_LE(bits)                                                                            \
    enum lam_code buf_append_le##bits(struct buf *b, uint##bits##_t v, struct lam_error *err) {    \
        TRY(make_room(b, sizeof v, err));                                                          \
        put_le##bits(b->data + b->size, v);                                                        \
        b->size += sizeof v;                                                                       \
        return LAM_OK;                                                                             \
    }
APPEND_LE(16)
APPEND_LE(32)
APPEND_LE(64)
#undef APPEND_LE

enum lam_code buf_append_varint(struct buf *b, uint64_t v, struct lam_error *err) {
    TRY(make_room(b, VARINT_MAX, err));
    b->size += varint_put(b->data + b->size, v);
    return LAM_OK;
}

enum lam_code buf_append_prefixed(struct buf *b, struct lam_slice s, struct lam_error *err) {
    size_t need;
    if (!size_add(s.size, VARINT_MAX, &need))
        return mem_fail(err, SIZE_MAX);
    TRY(make_room(b, need, err));
    b->size += varint_put(b->data + b->size, s.size);
    if (s.size > 0)
        memcpy(b->data + b->size, s.data, s.size);
    b->size += s.size;
    return LAM_OK;
}

enum lam_code buf_append_zeros(struct buf *b, size_t size, struct lam_error *err) {
    if (size == 0)
        return LAM_OK;
    TRY(make_room(b, size, err));
    memset(b->data + b->size, 0, size);
    b->size += size;
    return LAM_OK;
}

enum lam_code buf_append_format(struct buf *b, struct lam_error *err, const char *format, ...) {
    va_list args;
    va_start(args, format);
    enum lam_code rc = buf_append_vformat(b, err, format, args);
    va_end(args);
    return rc;
}

__attribute__((format(printf, 3, 0))) enum lam_code
buf_append_vformat(struct buf *b, struct lam_error *err, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    size_t room = b->capacity - b->size;
    int length = vsnprintf(room ? (char *)b->data + b->size : NULL, room, format, args);
    LAM_ASSERT(length >= 0);
    enum lam_code rc = LAM_OK;
    if ((size_t)length >= room) {
        rc = make_room(b, (size_t)length + 1, err);
        if (rc == LAM_OK)
            vsnprintf((char *)b->data + b->size, (size_t)length + 1, format, again);
    }
    va_end(again);
    if (rc == LAM_OK)
        b->size += (size_t)length;
    return rc;
}

enum lam_code buf_cstr(struct buf *b, const char **text_out, struct lam_error *err) {
    TRY(make_room(b, 1, err));
    b->data[b->size] = '\0';
    *text_out = (const char *)b->data;
    return LAM_OK;
}
