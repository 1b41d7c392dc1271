/* SPDX-License-Identifier: Apache-2.0
 *
 * Thrift's compact protocol, as far as Parquet needs it
 * (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
 * Writer and reader keep a sticky failure, so a group of calls is checked once at its end. The
 * reader trusts nothing: nesting, counts and lengths are held against the bytes that are left. */
#ifndef LAMINA_FLUSH_PARQUET_THRIFT_H
#define LAMINA_FLUSH_PARQUET_THRIFT_H

#include "base/buf.h"
#include "base/bytes.h"

enum pq_thrift_type {
    PQ_THRIFT_STOP = 0,
    PQ_THRIFT_TRUE = 1, /* as a list element: a bool of one byte */
    PQ_THRIFT_FALSE = 2,
    PQ_THRIFT_I8 = 3,
    PQ_THRIFT_I16 = 4,
    PQ_THRIFT_I32 = 5,
    PQ_THRIFT_I64 = 6,
    PQ_THRIFT_DOUBLE = 7,
    PQ_THRIFT_BINARY = 8,
    PQ_THRIFT_LIST = 9,
    PQ_THRIFT_SET = 10,
    PQ_THRIFT_MAP = 11,
    PQ_THRIFT_STRUCT = 12,
    PQ_THRIFT_UUID = 13,
};

struct pq_thrift_writer {
    struct buf *out;       /* borrowed */
    int16_t last_id;       /* id of the struct's previous field */
    enum lam_code code;    /* first failure */
    struct lam_error *err; /* where it is described; may be NULL */
};

static inline struct pq_thrift_writer pq_thrift_writer_of(struct buf *out, struct lam_error *err) {
    return (struct pq_thrift_writer){out, 0, LAM_OK, err};
}
/* Fields of the current struct; ids must rise. */
void pq_thrift_bool(struct pq_thrift_writer *w, int16_t id, bool v);
void pq_thrift_i8(struct pq_thrift_writer *w, int16_t id, int8_t v);
void pq_thrift_i16(struct pq_thrift_writer *w, int16_t id, int16_t v);
void pq_thrift_i32(struct pq_thrift_writer *w, int16_t id, int32_t v);
void pq_thrift_i64(struct pq_thrift_writer *w, int16_t id, int64_t v);
void pq_thrift_binary(struct pq_thrift_writer *w, int16_t id, struct lam_slice v);
/* Opens a struct field, or with id 0 a struct that is a list element or the outermost one; give the
 * result to pq_thrift_end. */
int16_t pq_thrift_begin(struct pq_thrift_writer *w, int16_t id);
void pq_thrift_end(struct pq_thrift_writer *w, int16_t outer_id);
/* A struct field without content. */
void pq_thrift_empty(struct pq_thrift_writer *w, int16_t id);
/* Opens a list of `count` elements, which follow. */
void pq_thrift_list(struct pq_thrift_writer *w, int16_t id, enum pq_thrift_type type, size_t count);
void pq_thrift_item_int(struct pq_thrift_writer *w, int64_t v);
void pq_thrift_item_bool(struct pq_thrift_writer *w, bool v);
void pq_thrift_item_binary(struct pq_thrift_writer *w, struct lam_slice v);

#define PQ_THRIFT_MAX_DEPTH 24

struct pq_thrift_reader {
    struct cursor in;         /* `in.failed` is the sticky failure */
    int16_t last_id;          /* id of the struct's previous field */
    uint32_t depth;           /* structs open */
    int16_t id;               /* the field that pq_thrift_next found */
    enum pq_thrift_type type; /* and its type */
};

static inline struct pq_thrift_reader pq_thrift_reader_of(struct lam_slice bytes) {
    return (struct pq_thrift_reader){cursor_of(bytes), 0, 0, 0, PQ_THRIFT_STOP};
}
/* Enters the struct at hand (a struct field, a list element or the outermost); give the result to
 * pq_thrift_leave after the loop over pq_thrift_next. */
int16_t pq_thrift_enter(struct pq_thrift_reader *r);
void pq_thrift_leave(struct pq_thrift_reader *r, int16_t outer_id);
/* Finds the next field; false at the struct's end or on failure. The field must then be read or
 * skipped. */
bool pq_thrift_next(struct pq_thrift_reader *r);
/* Read the field found. A field of another type fails the reader. */
bool pq_thrift_get_bool(struct pq_thrift_reader *r);
int64_t pq_thrift_get_int(struct pq_thrift_reader *r);
/* An int that must fit 32 bits and not be negative. */
uint32_t pq_thrift_get_u32(struct pq_thrift_reader *r);
/* Valid as long as the bytes. */
struct lam_slice pq_thrift_get_binary(struct pq_thrift_reader *r);
/* Whether the field found is a struct; fails the reader if not. */
bool pq_thrift_is_struct(struct pq_thrift_reader *r);
/* Opens the list found and returns its number of elements, never more than bytes are left. `type`
 * is what the elements must be (TRUE for bools). */
uint32_t pq_thrift_get_list(struct pq_thrift_reader *r, enum pq_thrift_type type);
int64_t pq_thrift_get_item_int(struct pq_thrift_reader *r);
bool pq_thrift_get_item_bool(struct pq_thrift_reader *r);
struct lam_slice pq_thrift_get_item_binary(struct pq_thrift_reader *r);
/* Reads the union at hand: the id of its member, whose content is passed over; 0: it has none. */
int16_t pq_thrift_get_choice(struct pq_thrift_reader *r);

/* How a field is read into a member of a C struct. */
enum pq_thrift_get {
    PQ_GET_BOOL,
    PQ_GET_U8,  /* of any int, cut */
    PQ_GET_I32, /* the same */
    PQ_GET_U32, /* as pq_thrift_get_u32 */
    PQ_GET_I64,
    PQ_GET_BINARY, /* struct lam_slice */
    PQ_GET_STRUCT, /* by `fields`, whose offsets count from the member */
    PQ_GET_CALL,   /* by `call`, which gets the member */
};
struct pq_thrift_field {
    int16_t id; /* 0: the table ends */
    enum pq_thrift_get get;
    size_t offset; /* of the member */
    void (*call)(struct pq_thrift_reader *r, void *member);
    const struct pq_thrift_field *fields;
};
/* Reads the struct at hand; what the table does not name is passed over. Gives the set of ids
 * seen. */
uint64_t pq_thrift_get_struct(struct pq_thrift_reader *r, const struct pq_thrift_field *fields,
                              void *out);
static inline bool pq_thrift_has(uint64_t seen, int16_t id) {
    return seen >> id & 1;
}
/* Passes over the field found. */
void pq_thrift_skip(struct pq_thrift_reader *r);

#endif
