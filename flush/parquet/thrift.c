/* SPDX-License-Identifier: Apache-2.0
 *
 * Thrift compact protocol: sticky-failure writer and bounded reader. */
#include "flush/parquet/thrift.h"

#include "base/assert.h"

static void put_bytes(struct pq_thrift_writer *w, const void *data, size_t size) {
    if (w->code == LAM_OK)
        w->code = buf_append(w->out, data, size, w->err);
}

static void put_u8(struct pq_thrift_writer *w, uint8_t v) {
    put_bytes(w, &v, 1);
}

static void put_varint(struct pq_thrift_writer *w, uint64_t v) {
    uint8_t bytes[VARINT_MAX];
    put_bytes(w, bytes, varint_put(bytes, v));
}

static void put_header(struct pq_thrift_writer *w, int16_t id, enum pq_thrift_type type) {
    LAM_ASSERT(id > w->last_id);
    int delta = id - w->last_id;
    if (delta <= 15) {
        put_u8(w, (uint8_t)(delta << 4 | (int)type));
    } else {
        put_u8(w, (uint8_t)type);
        put_varint(w, zigzag_encode(id));
    }
    w->last_id = id;
}

void pq_thrift_bool(struct pq_thrift_writer *w, int16_t id, bool v) {
    put_header(w, id, v ? PQ_THRIFT_TRUE : PQ_THRIFT_FALSE);
}

void pq_thrift_i8(struct pq_thrift_writer *w, int16_t id, int8_t v) {
    put_header(w, id, PQ_THRIFT_I8);
    put_u8(w, (uint8_t)v);
}

void pq_thrift_i16(struct pq_thrift_writer *w, int16_t id, int16_t v) {
    put_header(w, id, PQ_THRIFT_I16);
    put_varint(w, zigzag_encode(v));
}

void pq_thrift_i32(struct pq_thrift_writer *w, int16_t id, int32_t v) {
    put_header(w, id, PQ_THRIFT_I32);
    put_varint(w, zigzag_encode(v));
}

void pq_thrift_i64(struct pq_thrift_writer *w, int16_t id, int64_t v) {
    put_header(w, id, PQ_THRIFT_I64);
    put_varint(w, zigzag_encode(v));
}

void pq_thrift_binary(struct pq_thrift_writer *w, int16_t id, struct lam_slice v) {
    put_header(w, id, PQ_THRIFT_BINARY);
    pq_thrift_item_binary(w, v);
}

int16_t pq_thrift_begin(struct pq_thrift_writer *w, int16_t id) {
    if (id != 0)
        put_header(w, id, PQ_THRIFT_STRUCT);
    int16_t outer_id = w->last_id;
    w->last_id = 0;
    return outer_id;
}

void pq_thrift_end(struct pq_thrift_writer *w, int16_t outer_id) {
    put_u8(w, PQ_THRIFT_STOP);
    w->last_id = outer_id;
}

void pq_thrift_empty(struct pq_thrift_writer *w, int16_t id) {
    int16_t outer_id = pq_thrift_begin(w, id);
    pq_thrift_end(w, outer_id);
}

void pq_thrift_list(struct pq_thrift_writer *w, int16_t id, enum pq_thrift_type type,
                    size_t count) {
    put_header(w, id, PQ_THRIFT_LIST);
    if (count < 15) {
        put_u8(w, (uint8_t)(count << 4 | (size_t)type));
    } else {
        put_u8(w, (uint8_t)(0xf0 | (int)type));
        put_varint(w, count);
    }
}

void pq_thrift_item_int(struct pq_thrift_writer *w, int64_t v) {
    put_varint(w, zigzag_encode(v));
}

void pq_thrift_item_bool(struct pq_thrift_writer *w, bool v) {
    put_u8(w, v ? 1 : 2);
}

void pq_thrift_item_binary(struct pq_thrift_writer *w, struct lam_slice v) {
    put_varint(w, v.size);
    if (v.size)
        put_bytes(w, v.data, v.size);
}

int16_t pq_thrift_enter(struct pq_thrift_reader *r) {
    if (++r->depth > PQ_THRIFT_MAX_DEPTH)
        r->in.failed = true;
    int16_t outer_id = r->last_id;
    r->last_id = 0;
    return outer_id;
}

void pq_thrift_leave(struct pq_thrift_reader *r, int16_t outer_id) {
    LAM_ASSERT(r->depth > 0);
    r->depth--;
    r->last_id = outer_id;
}

bool pq_thrift_next(struct pq_thrift_reader *r) {
    uint8_t head = cursor_u8(&r->in);
    if (r->in.failed || head == PQ_THRIFT_STOP)
        return false;
    int64_t id = (int64_t)r->last_id + (head >> 4);
    if (head >> 4 == 0)
        id = zigzag_decode(cursor_varint(&r->in));
    r->type = (enum pq_thrift_type)(head & 15);
    if (id < INT16_MIN || id > INT16_MAX || r->type == PQ_THRIFT_STOP || r->type > PQ_THRIFT_UUID)
        r->in.failed = true;
    if (r->in.failed)
        return false;
    r->id = r->last_id = (int16_t)id;
    return true;
}

bool pq_thrift_get_bool(struct pq_thrift_reader *r) {
    if (r->type != PQ_THRIFT_TRUE && r->type != PQ_THRIFT_FALSE)
        r->in.failed = true;
    return r->type == PQ_THRIFT_TRUE;
}

int64_t pq_thrift_get_int(struct pq_thrift_reader *r) {
    if (r->type == PQ_THRIFT_I8)
        return (int8_t)cursor_u8(&r->in);
    if (r->type != PQ_THRIFT_I16 && r->type != PQ_THRIFT_I32 && r->type != PQ_THRIFT_I64) {
        r->in.failed = true;
        return 0;
    }
    return pq_thrift_get_item_int(r);
}

uint32_t pq_thrift_get_u32(struct pq_thrift_reader *r) {
    int64_t v = pq_thrift_get_int(r);
    if (v < 0 || v > UINT32_MAX) {
        r->in.failed = true;
        return 0;
    }
    return (uint32_t)v;
}

struct lam_slice pq_thrift_get_binary(struct pq_thrift_reader *r) {
    if (r->type != PQ_THRIFT_BINARY) {
        r->in.failed = true;
        return SLICE_EMPTY;
    }
    return pq_thrift_get_item_binary(r);
}

bool pq_thrift_is_struct(struct pq_thrift_reader *r) {
    if (r->type != PQ_THRIFT_STRUCT)
        r->in.failed = true;
    return !r->in.failed;
}

/* Reads a list's head; every element takes at least one byte. */
static uint32_t get_list_head(struct pq_thrift_reader *r, enum pq_thrift_type *type_out) {
    uint8_t head = cursor_u8(&r->in);
    uint64_t count = head >> 4;
    if (count == 15)
        count = cursor_varint(&r->in);
    *type_out = (enum pq_thrift_type)(head & 15);
    if (count > cursor_left(&r->in) || count > UINT32_MAX)
        r->in.failed = true;
    return r->in.failed ? 0 : (uint32_t)count;
}

static enum pq_thrift_type item_type(enum pq_thrift_type type) {
    return type == PQ_THRIFT_FALSE ? PQ_THRIFT_TRUE : type;
}

uint32_t pq_thrift_get_list(struct pq_thrift_reader *r, enum pq_thrift_type type) {
    enum pq_thrift_type found = PQ_THRIFT_STOP;
    if (r->type != PQ_THRIFT_LIST) {
        r->in.failed = true;
        return 0;
    }
    uint32_t count = get_list_head(r, &found);
    if (count > 0 && item_type(found) != item_type(type)) {
        r->in.failed = true;
        return 0;
    }
    return count;
}

int64_t pq_thrift_get_item_int(struct pq_thrift_reader *r) {
    return zigzag_decode(cursor_varint(&r->in));
}

bool pq_thrift_get_item_bool(struct pq_thrift_reader *r) {
    return cursor_u8(&r->in) == 1;
}

struct lam_slice pq_thrift_get_item_binary(struct pq_thrift_reader *r) {
    return cursor_prefixed(&r->in);
}

static void skip_value(struct pq_thrift_reader *r, enum pq_thrift_type type, bool is_item);

static void skip_struct(struct pq_thrift_reader *r) {
    int16_t outer_id = pq_thrift_enter(r);
    while (pq_thrift_next(r))
        skip_value(r, r->type, false);
    pq_thrift_leave(r, outer_id);
}

static void skip_list(struct pq_thrift_reader *r) {
    enum pq_thrift_type type;
    uint32_t count = get_list_head(r, &type);
    if (++r->depth > PQ_THRIFT_MAX_DEPTH)
        r->in.failed = true;
    for (uint32_t i = 0; i < count && !r->in.failed; i++)
        skip_value(r, type, true);
    r->depth--;
}

static void skip_map(struct pq_thrift_reader *r) {
    uint64_t count = cursor_varint(&r->in);
    uint8_t types = count ? cursor_u8(&r->in) : 0;
    if (count > cursor_left(&r->in) || ++r->depth > PQ_THRIFT_MAX_DEPTH) {
        r->in.failed = true;
        return;
    }
    for (uint64_t i = 0; i < count && !r->in.failed; i++) {
        skip_value(r, (enum pq_thrift_type)(types >> 4), true);
        skip_value(r, (enum pq_thrift_type)(types & 15), true);
    }
    r->depth--;
}

static void skip_value(struct pq_thrift_reader *r, enum pq_thrift_type type, bool is_item) {
    switch (type) {
    case PQ_THRIFT_TRUE:
    case PQ_THRIFT_FALSE:
        if (is_item)
            (void)cursor_u8(&r->in);
        break;
    case PQ_THRIFT_I8:
        (void)cursor_u8(&r->in);
        break;
    case PQ_THRIFT_I16:
    case PQ_THRIFT_I32:
    case PQ_THRIFT_I64:
        (void)cursor_varint(&r->in);
        break;
    case PQ_THRIFT_DOUBLE:
        (void)cursor_bytes(&r->in, 8);
        break;
    case PQ_THRIFT_BINARY:
        (void)cursor_prefixed(&r->in);
        break;
    case PQ_THRIFT_LIST:
    case PQ_THRIFT_SET:
        skip_list(r);
        break;
    case PQ_THRIFT_MAP:
        skip_map(r);
        break;
    case PQ_THRIFT_STRUCT:
        skip_struct(r);
        break;
    case PQ_THRIFT_UUID:
        (void)cursor_bytes(&r->in, 16);
        break;
    case PQ_THRIFT_STOP:
    default:
        r->in.failed = true;
        break;
    }
}

void pq_thrift_skip(struct pq_thrift_reader *r) {
    skip_value(r, r->type, false);
}

int16_t pq_thrift_get_choice(struct pq_thrift_reader *r) {
    int16_t choice = 0, outer_id = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        choice = r->id;
        pq_thrift_skip(r);
    }
    pq_thrift_leave(r, outer_id);
    return choice;
}

static void get_field(struct pq_thrift_reader *r, const struct pq_thrift_field *f, void *member) {
    switch (f->get) {
    case PQ_GET_BOOL:
        *(bool *)member = pq_thrift_get_bool(r);
        break;
    case PQ_GET_U8:
        *(uint8_t *)member = (uint8_t)pq_thrift_get_int(r);
        break;
    case PQ_GET_I32:
        *(int32_t *)member = (int32_t)pq_thrift_get_int(r);
        break;
    case PQ_GET_U32:
        *(uint32_t *)member = pq_thrift_get_u32(r);
        break;
    case PQ_GET_I64:
        *(int64_t *)member = pq_thrift_get_int(r);
        break;
    case PQ_GET_BINARY:
        *(struct lam_slice *)member = pq_thrift_get_binary(r);
        break;
    case PQ_GET_STRUCT:
        if (pq_thrift_is_struct(r))
            pq_thrift_get_struct(r, f->fields, member);
        break;
    case PQ_GET_CALL:
        f->call(r, member);
        break;
    }
}

uint64_t pq_thrift_get_struct(struct pq_thrift_reader *r, const struct pq_thrift_field *fields,
                              void *out) {
    uint64_t seen = 0;
    int16_t outer_id = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        const struct pq_thrift_field *f = fields;
        while (f->id != 0 && f->id != r->id)
            f++;
        if (r->id > 0 && r->id < 64)
            seen |= 1ull << r->id;
        if (f->id == 0)
            pq_thrift_skip(r);
        else
            get_field(r, f, (uint8_t *)out + f->offset);
    }
    pq_thrift_leave(r, outer_id);
    return seen;
}
