/* SPDX-License-Identifier: Apache-2.0
 *
 * Public cells to internal values and back, with the checks that SQL's casts do for rows: what is
 * not a value of the field's type is refused, never bent. */
#include <math.h>

#include "base/utf8.h"
#include "catalog/entity_api.h"

#define CELL_ERR(...) cell_error(def, field, err, __VA_ARGS__)

static enum lam_code __attribute__((format(printf, 4, 5)))
cell_error(const struct entity_def *def, const struct entity_field *field, struct lam_error *err,
           const char *format, ...) {
    OWNED(buf_fini) struct buf text = {0};
    const char *what = "not a value of the field";
    va_list args;
    va_start(args, format);
    if (buf_append_vformat(&text, NULL, format, args) == LAM_OK)
        IGNORE(buf_cstr(&text, &what, NULL), "the message is shorter then");
    va_end(args);
    return ERR(err, LAM_INVALID, "%s%s: field \"%s\": %s", entity_label(def), def->name,
               field->name, what);
}

static void range_of(enum lam_type type, int64_t *low, int64_t *high) {
    switch (type) {
    case LAM_TYPE_SMALLINT:
        *low = INT16_MIN, *high = INT16_MAX;
        return;
    case LAM_TYPE_INT:
        *low = INT32_MIN, *high = INT32_MAX;
        return;
    case LAM_TYPE_DATE:
        *low = DATE_MIN, *high = DATE_MAX;
        return;
    case LAM_TYPE_TIME:
        *low = 0, *high = DAY_MICROS - 1;
        return;
    case LAM_TYPE_TIMESTAMP:
        *low = TIMESTAMP_MIN, *high = TIMESTAMP_MAX;
        return;
    default:
        *low = INT64_MIN, *high = INT64_MAX;
    }
}

static enum lam_code decimal_of_text(const struct entity_def *def, const struct entity_field *field,
                                     struct lam_slice text, struct arena *arena, struct value *out,
                                     struct lam_error *err) {
    struct value v = {0};
    int128 scaled, back;
    struct lam_error parse = {0};
    /* Precision 0 takes the digits that the text has: none is rounded away unseen. */
    enum lam_code rc = value_parse(text, coltype_of(LAM_TYPE_DECIMAL), arena, &v, &parse);
    if (rc == LAM_NO_MEMORY)
        return mem_fail(err, text.size);
    if (rc != LAM_OK)
        return CELL_ERR("%s", parse.message);
    unsigned had = v.type.scale;
    if (!decimal_rescale(v.as.i128, had, field->scale, &scaled) ||
        !decimal_rescale(scaled, field->scale, had, &back) || back != v.as.i128 ||
        !decimal_fits(scaled, field->precision))
        return CELL_ERR("%.*s does not fit DECIMAL(%u,%u)", (int)(text.size > 80 ? 80 : text.size),
                        (const char *)text.data, field->precision, field->scale);
    *out = value_decimal(scaled, field->precision, field->scale);
    return LAM_OK;
}

static enum lam_code bytes_of(const struct entity_def *def, const struct entity_field *field,
                              const struct lam_cell *cell, struct arena *arena, struct value *out,
                              struct lam_error *err) {
    struct lam_slice bytes = cell->as.bytes;
    size_t bad = 0;
    if (bytes.size && !bytes.data)
        return CELL_ERR("%zu bytes at NULL", bytes.size);
    if (field->type != LAM_TYPE_BYTES && !utf8_valid(bytes, &bad))
        return CELL_ERR("byte %zu is not UTF-8", bad);
    if (field->type == LAM_TYPE_DECIMAL)
        return decimal_of_text(def, field, bytes, arena, out, err);
    if (field->type == LAM_TYPE_JSON && !json_valid(bytes, &bad))
        return CELL_ERR("not JSON at byte %zu", bad);
    *out = value_bytes(field->type, bytes);
    return LAM_OK;
}

enum lam_code cell_to_value(const struct entity_def *def, const struct entity_field *field,
                            const struct lam_cell *cell, struct arena *arena, struct value *out,
                            struct lam_error *err) {
    if (cell->is_null) {
        *out = value_null(entity_field_type(field));
        return field->nullable ? LAM_OK : CELL_ERR("may not be NULL");
    }
    if (cell->type != field->type) {
        char want[32], got[32] = "of no type";
        coltype_name(entity_field_type(field), want);
        if (cell->type > LAM_TYPE_NULL && cell->type <= LAM_TYPE_JSON)
            coltype_name(coltype_of(cell->type), got);
        return CELL_ERR("is %s, the cell is %s", want,
                        cell->type == LAM_TYPE_DECIMAL ? "DECIMAL" : got);
    }
    switch (field->type) {
    case LAM_TYPE_BOOLEAN:
        *out = value_bool(cell->as.boolean);
        return LAM_OK;
    case LAM_TYPE_UUID:
        *out = value_uuid(cell->as.uuid);
        return LAM_OK;
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE: {
        double v = cell->as.float64;
        if (field->type == LAM_TYPE_FLOAT && isfinite(v) && !isfinite((float)v))
            return CELL_ERR("%g is out of range", v);
        *out = value_f64(field->type, field->type == LAM_TYPE_FLOAT ? (double)(float)v : v);
        return LAM_OK;
    }
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
    case LAM_TYPE_DECIMAL:
        return bytes_of(def, field, cell, arena, out, err);
    default: {
        int64_t low, high, v = cell->as.int64;
        range_of(field->type, &low, &high);
        if (v < low || v > high)
            return CELL_ERR("%lld is out of range", (long long)v);
        *out = value_i64(field->type, v);
        return LAM_OK;
    }
    }
}

static enum lam_code decimal_text(const struct value *v, struct arena *arena, struct lam_slice *out,
                                  struct lam_error *err) {
    OWNED(buf_fini) struct buf text = {0};
    TRY(value_format(v, &text, err));
    uint8_t *copy = arena_dup(arena, text.data, text.size);
    if (!copy)
        TRY(mem_fail(err, text.size));
    *out = lam_slice_of(copy, text.size);
    return LAM_OK;
}

enum lam_code cell_from_value(const struct value *v, struct arena *arena, struct lam_cell *out,
                              struct lam_error *err) {
    *out = (struct lam_cell){.type = v->type.type, .is_null = v->is_null};
    if (v->is_null)
        return LAM_OK;
    switch (v->type.type) {
    case LAM_TYPE_BOOLEAN:
        out->as.boolean = v->as.boolean;
        return LAM_OK;
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        out->as.float64 = v->as.f64;
        return LAM_OK;
    case LAM_TYPE_UUID:
        memcpy(out->as.uuid, v->as.uuid, sizeof out->as.uuid);
        return LAM_OK;
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
        out->as.bytes = v->as.bytes;
        return LAM_OK;
    case LAM_TYPE_DECIMAL:
        return decimal_text(v, arena, &out->as.bytes, err);
    default:
        out->as.int64 = v->as.i64;
        return LAM_OK;
    }
}

enum lam_code cells_of_record(const struct entity_def *def, const struct value *record,
                              struct arena *arena, struct lam_cell **out, struct lam_error *err) {
    struct lam_cell *cells = arena_calloc(arena, def->field_count, sizeof *cells);
    if (!cells)
        return mem_fail(err, def->field_count * sizeof *cells);
    for (uint32_t i = 0; i < def->field_count; i++)
        TRY(cell_from_value(&record[i], arena, &cells[i], err));
    *out = cells;
    return LAM_OK;
}
