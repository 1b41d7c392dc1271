/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows as bytes (docs/FORMAT.md "Row"). A step says how one wanted column comes out of rows of one
 * schema: from where, or as which constant. Single reads make a step on the stack, scans keep them
 * in a plan.
 *
 * Invariant: open_row has checked the head, the size and the last end before a step touches a row,
 * so fixed offsets are inside it; a step checks its own ends. */
#include "base/assert.h"
#include "catalog/schema.h"
#include "catalog/schema_impl.h"

#define ROW_FORMAT   0x10 /* version 1 in the high four bits */
#define FLAG_DELETED 0x01

/* --- out --- */

static bool suits(const struct value *v, const struct schema_column *c, bool deleted) {
    if (v->is_null)
        return c->nullable || deleted; /* a deleted row may be older than NOT NULL */
    if (v->type.type != c->type.type)
        return false;
    switch (c->type.type) {
    case LAM_TYPE_SMALLINT:
        return v->as.i64 >= INT16_MIN && v->as.i64 <= INT16_MAX;
    case LAM_TYPE_INT:
    case LAM_TYPE_DATE:
        return v->as.i64 >= INT32_MIN && v->as.i64 <= INT32_MAX;
    case LAM_TYPE_DECIMAL:
        return v->type.scale == c->type.scale && decimal_fits(v->as.i128, c->type.precision);
    default:
        return true;
    }
}

static void put_fixed(uint8_t *out, const struct value *v) {
    float single;
    switch (v->type.type) {
    case LAM_TYPE_BOOLEAN:
        *out = v->as.boolean;
        return;
    case LAM_TYPE_SMALLINT:
        put_le16(out, (uint16_t)v->as.i64);
        return;
    case LAM_TYPE_INT:
    case LAM_TYPE_DATE:
        put_le32(out, (uint32_t)v->as.i64);
        return;
    case LAM_TYPE_FLOAT:
        single = (float)v->as.f64;
        memcpy(out, &single, 4);
        return;
    case LAM_TYPE_DECIMAL:
    case LAM_TYPE_UUID:
        memcpy(out, &v->as, 16);
        return;
    default: /* BIGINT, TIMESTAMP, TIME, DOUBLE */
        memcpy(out, &v->as, 8);
    }
}

static enum lam_code variable_size(const struct schema *s, const struct value *values,
                                   size_t *size_out, struct lam_error *err) {
    size_t size = 0;
    for (uint32_t i = 0; i < s->column_count; i++) {
        if (!coltype_is_variable(s->columns[i].type.type) || values[i].is_null)
            continue;
        if (!size_add(size, values[i].as.bytes.size, &size) || size > UINT32_MAX)
            return ERR(err, LAM_LIMIT, "row has more than %u bytes of variable width", UINT32_MAX);
    }
    *size_out = size;
    return LAM_OK;
}

/* Values into a zeroed row of the layout's size. */
static void put_values(const struct schema *s, const struct value *values, bool deleted,
                       uint8_t *row) {
    const struct row_layout *l = s->layout;
    uint32_t end = 0;
    for (uint32_t i = 0; i < s->column_count; i++) {
        const struct value *v = &values[i];
        LAM_ASSERT(suits(v, &s->columns[i], deleted));
        if (v->is_null)
            bitmap_set(row + l->nulls, i);
        if (coltype_is_variable(s->columns[i].type.type)) {
            if (!v->is_null && v->as.bytes.size) {
                memcpy(row + l->variable + end, v->as.bytes.data, v->as.bytes.size);
                end += (uint32_t)v->as.bytes.size;
            }
            put_le32(row + l->slots[i], end);
        } else if (!v->is_null) {
            put_fixed(row + l->slots[i], v);
        }
    }
}

enum lam_code row_encode(const struct schema *s, const struct value *values, int64_t seq,
                         bool deleted, struct buf *out, struct lam_error *err) {
    const struct row_layout *l = s->layout;
    LAM_ASSERT(l);
    size_t variable = 0, size;
    TRY(variable_size(s, values, &variable, err));
    if (!size_add(l->variable, variable, &size))
        return mem_fail(err, variable);
    TRY(buf_reserve(out, size, err));
    uint8_t *row = out->data + out->size;
    memset(row, 0, l->variable);
    row[0] = ROW_FORMAT | (deleted ? FLAG_DELETED : 0);
    put_le64(row + ROW_SEQ_OFFSET, (uint64_t)seq);
    memcpy(row + ROW_SEQ_OFFSET + 8, l->version, l->version_size);
    put_values(s, values, deleted, row);
    out->size += size;
    return LAM_OK;
}

/* --- in --- */

enum lam_code row_header_decode(struct lam_slice row, struct row_header *out,
                                struct lam_error *err) {
    struct cursor c = cursor_of(row);
    uint8_t head = cursor_u8(&c);
    struct row_header header = {
        .seq = (int64_t)cursor_le64(&c), .deleted = head & FLAG_DELETED, .schema_version = 0};
    header.schema_version = cursor_varint32(&c);
    if (c.failed || (head & ~FLAG_DELETED) != ROW_FORMAT || header.schema_version == 0)
        return ERR(err, LAM_CORRUPT, "row of %zu bytes has no right head (first byte 0x%02x)",
                   row.size, head);
    *out = header;
    return LAM_OK;
}

static __attribute__((noinline, cold)) enum lam_code
fail_open(struct lam_slice row, const struct schema *s, struct lam_error *err) {
    struct row_header header;
    TRY(row_header_decode(row, &header, err));
    if (header.schema_version != s->version)
        return ERR(err, LAM_CORRUPT, "row of schema version %u read as version %u",
                   header.schema_version, s->version);
    return ERR(err, LAM_CORRUPT, "row of %zu bytes does not fit schema version %u of table %llu",
               row.size, s->version, (unsigned long long)s->table.number);
}

/* Checks all that lies at fixed places. */
static inline enum lam_code open_row(struct lam_slice row, const struct schema *s,
                                     struct lam_error *err) {
    const struct row_layout *l = s->layout;
    DEBUG_ASSERT(l);
    if (row.size < l->variable || (row.data[0] & ~FLAG_DELETED) != ROW_FORMAT ||
        memcmp(row.data + ROW_SEQ_OFFSET + 8, l->version, l->version_size) != 0)
        return fail_open(row, s, err);
    size_t end = l->variable_count ? get_le32(row.data + l->variable - 4) : 0;
    if (row.size - l->variable != end)
        return fail_open(row, s, err);
    return LAM_OK;
}

enum step_kind {
    STEP_STORED,  /* at `slot` of the row */
    STEP_INITIAL, /* the row is older than the column */
    STEP_SEQ,
    STEP_UPDATED,
    STEP_DELETED,
};
struct row_step {
    enum step_kind kind;
    uint32_t column;             /* STORED: index in the row's schema */
    uint32_t slot;               /* STORED: offset of the value, or of its end */
    bool first;                  /* STORED, variable: starts where the variable bytes do */
    bool is_key;                 /* is never NULL */
    struct coltype from;         /* STORED: as written */
    struct coltype to;           /* as wanted */
    const struct value *initial; /* INITIAL: borrowed from the wanted schema */
};

bool system_column_type(uint32_t column_id, struct coltype *type_out) {
    if (column_id != COLUMN_ID_SEQ && column_id != COLUMN_ID_UPDATED &&
        column_id != COLUMN_ID_DELETED)
        return false;
    *type_out = coltype_of(column_id == COLUMN_ID_SEQ       ? LAM_TYPE_BIGINT
                           : column_id == COLUMN_ID_UPDATED ? LAM_TYPE_TIMESTAMP
                                                            : LAM_TYPE_BOOLEAN);
    return true;
}

static enum lam_code step_to_column(struct row_step *step, const struct schema *written,
                                    const struct schema_column *wanted, struct lam_error *err) {
    int index = schema_find_id(written, wanted->id);
    *step =
        (struct row_step){.kind = STEP_INITIAL, .to = wanted->type, .initial = &wanted->initial};
    step->is_key = wanted->key_position >= 0;
    if (index < 0 && step->is_key)
        return ERR(err, LAM_CORRUPT, "schema version %u of table %llu lacks the key column %s",
                   written->version, (unsigned long long)written->table.number, wanted->name);
    if (index < 0)
        return LAM_OK;
    const struct row_layout *l = written->layout;
    step->kind = STEP_STORED;
    step->column = (uint32_t)index;
    step->slot = l->slots[index];
    step->first = step->slot == l->ends;
    step->from = written->columns[index].type;
    if (!coltype_widens(step->from, step->to))
        return ERR(err, LAM_CORRUPT,
                   "column %s of table %llu changed its type between schema versions in a way that "
                   "none may",
                   wanted->name, (unsigned long long)written->table.number);
    return LAM_OK;
}

static enum lam_code step_to_id(struct row_step *step, const struct schema *written,
                                const struct schema *now, uint32_t id, struct lam_error *err) {
    *step = (struct row_step){0};
    if (system_column_type(id, &step->to)) {
        step->kind = id == COLUMN_ID_SEQ       ? STEP_SEQ
                     : id == COLUMN_ID_UPDATED ? STEP_UPDATED
                                               : STEP_DELETED;
        return LAM_OK;
    }
    int index = schema_find_id(now, id);
    if (index < 0)
        return ERR(err, LAM_INVALID, "table %llu has no column of id %u",
                   (unsigned long long)now->table.number, id);
    return step_to_column(step, written, &now->columns[index], err);
}

static __attribute__((noinline, cold)) enum lam_code
fail_value(const struct row_step *step, struct lam_slice row, struct lam_error *err) {
    return ERR(err, LAM_CORRUPT, "row of %zu bytes: column %u at byte %u is not a value of type %d",
               row.size, step->column, step->slot, (int)step->from.type);
}

static inline int64_t read_i64(const uint8_t *p, enum lam_type type) {
    switch (type) {
    case LAM_TYPE_SMALLINT:
        return (int16_t)get_le16(p);
    case LAM_TYPE_INT:
    case LAM_TYPE_DATE:
        return (int32_t)get_le32(p);
    default:
        return (int64_t)get_le64(p);
    }
}

static inline double read_f64(const uint8_t *p, enum lam_type type) {
    double d;
    if (type == LAM_TYPE_FLOAT) {
        float f;
        memcpy(&f, p, sizeof f);
        return (double)f;
    }
    memcpy(&d, p, sizeof d);
    return d;
}

static inline enum lam_code read_bytes(const struct row_step *step, const struct row_layout *l,
                                       struct lam_slice row, struct lam_slice *out,
                                       struct lam_error *err) {
    uint32_t start = step->first ? 0 : get_le32(row.data + step->slot - 4);
    uint32_t end = get_le32(row.data + step->slot);
    if (start > end || end > row.size - l->variable)
        return fail_value(step, row, err);
    *out = lam_slice_of(row.data + l->variable + start, end - start);
    return LAM_OK;
}

static inline bool is_stored_null(const struct row_step *step, const struct row_layout *l,
                                  struct lam_slice row) {
    return bitmap_get(row.data + l->nulls, step->column);
}

/* A stored value that is not NULL. */
static enum lam_code read_stored(const struct row_step *step, const struct row_layout *l,
                                 struct lam_slice row, struct value *out, struct lam_error *err) {
    const uint8_t *p = row.data + step->slot;
    switch (step->from.type) {
    case LAM_TYPE_BOOLEAN:
        if (*p > 1)
            return fail_value(step, row, err);
        out->as.boolean = *p;
        return LAM_OK;
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        out->as.f64 = read_f64(p, step->from.type);
        return LAM_OK;
    case LAM_TYPE_DECIMAL:
        memcpy(&out->as.i128, p, 16);
        return decimal_fits(out->as.i128, step->from.precision) ? LAM_OK
                                                                : fail_value(step, row, err);
    case LAM_TYPE_UUID:
        memcpy(out->as.uuid, p, 16);
        return LAM_OK;
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
        return read_bytes(step, l, row, &out->as.bytes, err);
    default:
        out->as.i64 = read_i64(p, step->from.type);
        return LAM_OK;
    }
}

/* The wanted value from an opened row. */
static enum lam_code step_value(const struct row_step *step, const struct schema *written,
                                struct lam_slice row, struct value *out, struct lam_error *err) {
    struct value v = {.type = step->to};
    int64_t seq = (int64_t)get_le64(row.data + ROW_SEQ_OFFSET);
    switch (step->kind) {
    case STEP_INITIAL:
        v = *step->initial;
        v.type = step->to;
        break;
    case STEP_SEQ:
        v.as.i64 = seq;
        break;
    case STEP_UPDATED:
        v.as.i64 = seq_time_us(seq);
        break;
    case STEP_DELETED:
        v.as.boolean = row.data[0] & FLAG_DELETED;
        break;
    case STEP_STORED:
        if (!is_stored_null(step, written->layout, row))
            TRY(read_stored(step, written->layout, row, &v, err));
        else if (step->is_key)
            return fail_value(step, row, err);
        else
            v.is_null = true;
        break;
    }
    *out = v;
    return LAM_OK;
}

/* As step_value, straight into a column: what a scan does most goes first. */
static inline enum lam_code step_append(const struct row_step *step, const struct schema *written,
                                        struct lam_slice row, struct column *column,
                                        struct lam_error *err) {
    const struct row_layout *l = written->layout;
    LAM_ASSERT(column->type.type == step->to.type);
    if (step->kind != STEP_STORED) {
        struct value v;
        TRY(step_value(step, written, row, &v, err));
        return column_append_value(column, &v, err);
    }
    if (is_stored_null(step, l, row))
        return step->is_key ? fail_value(step, row, err) : column_append_null(column, err);
    const uint8_t *p = row.data + step->slot;
    struct lam_slice bytes;
    struct value v;
    switch (step->from.type) {
    case LAM_TYPE_SMALLINT:
    case LAM_TYPE_INT:
    case LAM_TYPE_BIGINT:
    case LAM_TYPE_TIMESTAMP:
    case LAM_TYPE_DATE:
    case LAM_TYPE_TIME:
        return column_append_i64(column, read_i64(p, step->from.type), err);
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        return column_append_f64(column, read_f64(p, step->from.type), err);
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
        TRY(read_bytes(step, l, row, &bytes, err));
        return column_append_bytes(column, bytes, err);
    default:
        v.type = step->to;
        v.is_null = false;
        TRY(read_stored(step, l, row, &v, err));
        return column_append_value(column, &v, err);
    }
}

enum lam_code row_column(struct lam_slice row, const struct schema *written,
                         const struct schema *now, uint32_t index, struct value *out,
                         struct lam_error *err) {
    LAM_ASSERT(index < now->column_count);
    struct row_step step;
    TRY(open_row(row, written, err));
    TRY(step_to_column(&step, written, &now->columns[index], err));
    return step_value(&step, written, row, out, err);
}

enum lam_code row_decode(struct lam_slice row, const struct schema *written,
                         const struct schema *now, struct value *values, struct lam_error *err) {
    TRY(open_row(row, written, err));
    for (uint32_t i = 0; i < now->column_count; i++) {
        struct row_step step;
        TRY(step_to_column(&step, written, &now->columns[i], err));
        TRY(step_value(&step, written, row, &values[i], err));
    }
    return LAM_OK;
}

enum lam_code row_append_columns(struct lam_slice row, const struct schema *written,
                                 const struct schema *now, const uint32_t *column_ids,
                                 uint32_t count, struct column *columns, struct lam_error *err) {
    TRY(open_row(row, written, err));
    for (uint32_t i = 0; i < count; i++) {
        struct row_step step;
        TRY(step_to_id(&step, written, now, column_ids[i], err));
        TRY(step_append(&step, written, row, &columns[i], err));
    }
    return LAM_OK;
}

/* --- keys and times --- */

enum lam_code row_key(const struct schema *s, enum table_kind kind, struct lam_slice user,
                      const struct value *values, struct buf *out, struct lam_error *err) {
    LAM_ASSERT(kind == TABLE_USER || kind == TABLE_SHARED || kind == TABLE_STREAM);
    if (kind != TABLE_SHARED)
        TRY(key_put_string(out, user, err));
    for (uint32_t k = 0; k < s->key_count; k++)
        TRY(key_put_value(out, &values[s->key[k]], false, false, err));
    return LAM_OK;
}

int64_t seq_time_us(int64_t seq) {
    return ((seq >> SEQ_TIME_SHIFT) + SEQ_EPOCH_MS) * 1000;
}
