/* SPDX-License-Identifier: Apache-2.0
 *
 * Aggregate states. Integer and DECIMAL sums run in 128 bits and are checked at the end, so a sum
 * may pass through more than its type holds. Sums and averages of floats are plain doubles added in
 * the order of the rows. Without rows everything is NULL but counts, which are 0. */
#include "base/assert.h"
#include "sql/bound_node.h"

struct sum_state {
    int128 whole; /* integers, DECIMAL units */
    double real;  /* floats */
    uint64_t count;
    bool overflow; /* of 128 bits */
};
struct best_state {
    struct value value; /* type NULL: none yet */
    uint8_t *bytes;     /* room for variable-width values, in the arena */
    size_t capacity;
};
struct text_state {
    uint8_t *bytes;
    size_t size, capacity;
    bool any;
};
struct flag_state {
    bool any, value;
};

size_t aggregate_state_size(const struct bound_aggregate *a) {
    switch (a->kind) {
    case AGG_COUNT_STAR:
    case AGG_COUNT:
        return sizeof(uint64_t);
    case AGG_SUM:
    case AGG_AVG:
        return sizeof(struct sum_state);
    case AGG_MIN:
    case AGG_MAX:
        return sizeof(struct best_state);
    case AGG_BOOL_AND:
    case AGG_BOOL_OR:
        return sizeof(struct flag_state);
    case AGG_STRING_AGG:
        return sizeof(struct text_state);
    }
    UNREACHABLE();
}

void aggregate_init(const struct bound_aggregate *a, void *state) {
    memset(state, 0, aggregate_state_size(a));
    if (a->kind == AGG_BOOL_AND)
        ((struct flag_state *)state)->value = true;
}

/* --- counts and sums --- */

static void update_count(void **states, const struct column *x, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (!x || !column_is_null(x, i))
            (*(uint64_t *)states[i])++;
}

#define SUM_LOOP(T, FIELD)                                                                         \
    do {                                                                                           \
        const T *values = (const T *)(const void *)x->data;                                        \
        for (uint32_t i = 0; i < count; i++) {                                                     \
            if (x->null_count && column_is_null(x, i))                                             \
                continue;                                                                          \
            struct sum_state *s = states[i];                                                       \
            s->FIELD += values[i];                                                                 \
            s->count++;                                                                            \
        }                                                                                          \
    } while (0)

static void update_decimal_sum(void **states, const struct column *x, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (column_is_null(x, i))
            continue;
        struct sum_state *s = states[i];
        s->overflow |= __builtin_add_overflow(s->whole, column_i128(x, i), &s->whole);
        s->count++;
    }
}

static void update_sum(void **states, const struct column *x, uint32_t count) {
    switch (x->type.type) {
    case LAM_TYPE_SMALLINT:
        SUM_LOOP(int16_t, whole);
        break;
    case LAM_TYPE_INT:
        SUM_LOOP(int32_t, whole);
        break;
    case LAM_TYPE_BIGINT:
        SUM_LOOP(int64_t, whole);
        break;
    case LAM_TYPE_FLOAT:
        SUM_LOOP(float, real);
        break;
    case LAM_TYPE_DOUBLE:
        SUM_LOOP(double, real);
        break;
    default:
        LAM_ASSERT(x->type.type == LAM_TYPE_DECIMAL);
        update_decimal_sum(states, x, count);
    }
}

/* --- smallest and largest --- */

static enum lam_code keep_best(struct best_state *s, const struct value *v, struct arena *arena,
                               struct lam_error *err) {
    s->value = *v;
    if (!coltype_is_variable(v->type.type))
        return LAM_OK;
    size_t size = v->as.bytes.size;
    if (size > s->capacity) {
        s->capacity = size < 32 ? 32 : size * 2;
        s->bytes = arena_alloc(arena, s->capacity);
        if (!s->bytes)
            return mem_fail(err, s->capacity);
    }
    if (size)
        memcpy(s->bytes, v->as.bytes.data, size);
    s->value.as.bytes = lam_slice_of(s->bytes, size);
    return LAM_OK;
}

static enum lam_code update_best(int sign, void **states, const struct column *x, uint32_t count,
                                 struct arena *arena, struct lam_error *err) {
    for (uint32_t i = 0; i < count; i++) {
        if (column_is_null(x, i))
            continue;
        struct best_state *s = states[i];
        struct value v = column_value(x, i);
        if (s->value.type.type == LAM_TYPE_NULL || value_cmp(&v, &s->value) * sign > 0)
            TRY(keep_best(s, &v, arena, err));
    }
    return LAM_OK;
}

/* --- the others --- */

static void update_flag(bool all, void **states, const struct column *x, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (column_is_null(x, i))
            continue;
        struct flag_state *s = states[i];
        s->any = true;
        s->value = all ? s->value && column_bool(x, i) : s->value || column_bool(x, i);
    }
}

static enum lam_code append_text(struct text_state *s, struct lam_slice v, struct arena *arena,
                                 struct lam_error *err) {
    if (v.size > FUNC_TEXT_MAX - s->size)
        return ERR_SQL(err, "54000", 0, "string_agg would pass %u bytes", FUNC_TEXT_MAX);
    if (s->size + v.size > s->capacity) {
        size_t capacity = s->capacity * 2 > s->size + v.size ? s->capacity * 2 : s->size + v.size;
        capacity = capacity < 64 ? 64 : capacity;
        uint8_t *bytes = arena_alloc(arena, capacity);
        if (!bytes)
            return mem_fail(err, capacity);
        if (s->size)
            memcpy(bytes, s->bytes, s->size);
        s->bytes = bytes;
        s->capacity = capacity;
    }
    if (v.size)
        memcpy(s->bytes + s->size, v.data, v.size);
    s->size += v.size;
    return LAM_OK;
}

static enum lam_code update_text(void **states, const struct column *x, const struct column *mark,
                                 uint32_t count, struct arena *arena, struct lam_error *err) {
    for (uint32_t i = 0; i < count; i++) {
        struct text_state *s = states[i];
        if (column_is_null(x, i))
            continue;
        if (s->any && !column_is_null(mark, i))
            TRY(append_text(s, column_bytes(mark, i), arena, err));
        s->any = true;
        TRY(append_text(s, column_bytes(x, i), arena, err));
    }
    return LAM_OK;
}

enum lam_code aggregate_update(const struct bound_aggregate *a, void **states,
                               const struct column *argument, const struct column *argument2,
                               uint32_t count, struct arena *arena, struct lam_error *err) {
    LAM_ASSERT(a->kind == AGG_COUNT_STAR || argument);
    switch (a->kind) {
    case AGG_COUNT_STAR:
        update_count(states, NULL, count);
        return LAM_OK;
    case AGG_COUNT:
        update_count(states, argument, count);
        return LAM_OK;
    case AGG_SUM:
    case AGG_AVG:
        update_sum(states, argument, count);
        return LAM_OK;
    case AGG_MIN:
        return update_best(-1, states, argument, count, arena, err);
    case AGG_MAX:
        return update_best(1, states, argument, count, arena, err);
    case AGG_BOOL_AND:
    case AGG_BOOL_OR:
        update_flag(a->kind == AGG_BOOL_AND, states, argument, count);
        return LAM_OK;
    case AGG_STRING_AGG:
        return error_at(err, update_text(states, argument, argument2, count, arena, err), a->pos);
    }
    UNREACHABLE();
}

/* --- results --- */

static enum lam_code fail_range(const struct bound_aggregate *a, struct lam_error *err) {
    char type[40];
    coltype_name(a->type, type);
    return ERR_SQL(err, "22003", a->pos, "%s out of range in %s", type,
                   a->kind == AGG_SUM ? "sum" : "avg");
}

static enum lam_code sum_result(const struct bound_aggregate *a, const struct sum_state *s,
                                struct column *out, struct lam_error *err) {
    switch (a->type.type) {
    case LAM_TYPE_BIGINT:
        if (s->whole > INT64_MAX || s->whole < INT64_MIN)
            return fail_range(a, err);
        return column_append_i64(out, (int64_t)s->whole, err);
    case LAM_TYPE_DECIMAL:
        if (s->overflow || !decimal_fits(s->whole, DECIMAL_PRECISION_MAX))
            return fail_range(a, err);
        return column_append_i128(out, s->whole, err);
    default:
        return column_append_f64(out, s->real, err);
    }
}

static enum lam_code avg_result(const struct bound_aggregate *a, const struct sum_state *s,
                                struct column *out, struct lam_error *err) {
    struct coltype from = a->argument->type;
    int128 v;
    if (from.type == LAM_TYPE_DECIMAL) {
        if (s->overflow ||
            !decimal_div(s->whole, from.scale, (int128)s->count, 0, a->type.scale, &v))
            return fail_range(a, err);
        return column_append_i128(out, v, err);
    }
    double sum = coltype_is_float(from.type) ? s->real : (double)s->whole;
    return column_append_f64(out, sum / (double)s->count, err);
}

enum lam_code aggregate_result(const struct bound_aggregate *a, const void *state,
                               struct column *out, struct lam_error *err) {
    const struct sum_state *sum = state;
    const struct best_state *best = state;
    const struct flag_state *flag = state;
    const struct text_state *text = state;
    LAM_ASSERT(out->type.type == a->type.type);
    switch (a->kind) {
    case AGG_COUNT_STAR:
    case AGG_COUNT:
        return column_append_i64(out, (int64_t) * (const uint64_t *)state, err);
    case AGG_SUM:
        return sum->count ? sum_result(a, sum, out, err) : column_append_null(out, err);
    case AGG_AVG:
        return sum->count ? avg_result(a, sum, out, err) : column_append_null(out, err);
    case AGG_MIN:
    case AGG_MAX:
        return best->value.type.type != LAM_TYPE_NULL ? column_append_value(out, &best->value, err)
                                                      : column_append_null(out, err);
    case AGG_BOOL_AND:
    case AGG_BOOL_OR:
        return flag->any ? column_append_bool(out, flag->value, err) : column_append_null(out, err);
    case AGG_STRING_AGG:
        return text->any ? column_append_bytes(out, lam_slice_of(text->bytes, text->size), err)
                         : column_append_null(out, err);
    }
    UNREACHABLE();
}
