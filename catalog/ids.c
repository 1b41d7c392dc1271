/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids of other makes (UUID version 7: RFC 9562; ULID: https://github.com/ulid/spec) and the values
 * of column defaults. */
#include "catalog/catalog_impl.h"

int64_t catalog_now_us(struct catalog *c) {
    return env_now_us(c->env);
}

/* 48 bits of milliseconds, big-endian, then random bytes. */
static void time_and_random(struct catalog *c, uint8_t *out16) {
    uint64_t ms = (uint64_t)(env_now_us(c->env) / 1000);
    uint8_t be[8];
    put_be64(be, ms);
    memcpy(out16, be + 2, 6);
    c->env->ops->random_bytes(c->env, out16 + 6, 10);
}

void catalog_uuid_v7(struct catalog *c, uint8_t *out16) {
    time_and_random(c, out16);
    out16[6] = (uint8_t)(0x70 | (out16[6] & 0x0f));
    out16[8] = (uint8_t)(0x80 | (out16[8] & 0x3f));
}

void catalog_ulid(struct catalog *c, char *out27) {
    static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint8_t bytes[16];
    time_and_random(c, bytes);
    /* 128 bits in 26 digits of 5: the first digit holds the top 3. */
    for (int digit = 0; digit < 26; digit++) {
        int low = 125 - digit * 5;
        unsigned v = 0;
        for (int bit = low + 4; bit >= low; bit--) {
            unsigned b = bit > 127 ? 0 : (bytes[15 - bit / 8] >> (bit % 8)) & 1u;
            v = v << 1 | b;
        }
        out27[digit] = crockford[v];
    }
    out27[26] = 0;
}

#define DAY_US INT64_C(86400000000)

static struct value now_value(struct catalog *c, enum lam_type type) {
    int64_t us = env_now_us(c->env);
    int64_t days = us / DAY_US - (us % DAY_US < 0);
    if (type == LAM_TYPE_DATE)
        return value_i64(LAM_TYPE_DATE, days);
    if (type == LAM_TYPE_TIME)
        return value_i64(LAM_TYPE_TIME, us - days * DAY_US);
    return value_timestamp(us);
}

static enum lam_code text_value(struct arena *arena, struct lam_slice text, struct value *out,
                                struct lam_error *err) {
    uint8_t *copy = arena_dup(arena, text.data, text.size);
    if (text.size && !copy)
        return mem_fail(err, text.size);
    *out = value_slice(lam_slice_of(copy, text.size));
    return LAM_OK;
}

static enum lam_code generate(struct catalog *c, const struct schema_column *column,
                              struct lam_slice user, enum lam_role role, struct arena *arena,
                              struct value *out, struct lam_error *err) {
    switch (column->on_insert.kind) {
    case DEFAULT_NONE:
        *out = value_null(column->type);
        return LAM_OK;
    case DEFAULT_VALUE:
        *out = column->on_insert.value;
        return LAM_OK;
    case DEFAULT_SNOWFLAKE: {
        int64_t id = 0;
        TRY(catalog_next_id(c, &id, err));
        *out = value_i64(LAM_TYPE_BIGINT, id);
        return LAM_OK;
    }
    case DEFAULT_NOW:
        *out = now_value(c, column->type.type);
        return LAM_OK;
    case DEFAULT_CURRENT_USER:
        return text_value(arena, user, out, err);
    case DEFAULT_CURRENT_ROLE:
        *out = value_text(role_name(role));
        return LAM_OK;
    case DEFAULT_UUID_V7: {
        uint8_t uuid[16];
        catalog_uuid_v7(c, uuid);
        *out = value_uuid(uuid);
        return LAM_OK;
    }
    case DEFAULT_ULID: {
        char ulid[27];
        catalog_ulid(c, ulid);
        return text_value(arena, lam_slice_str(ulid), out, err);
    }
    }
    UNREACHABLE();
}

enum lam_code column_default_value(struct catalog *c, const struct schema_column *column,
                                   struct lam_slice user, enum lam_role role, struct arena *arena,
                                   struct value *out, struct lam_error *err) {
    struct value v;
    TRY(generate(c, column, user, role, arena, &v, err));
    if (v.is_null || coltype_eq(v.type, column->type)) {
        *out = v;
        return LAM_OK;
    }
    enum cast_kind kind = column->type.type == LAM_TYPE_TEXT ? CAST_EXPLICIT : CAST_ASSIGNMENT;
    return value_cast(&v, column->type, kind, arena, out, err);
}
