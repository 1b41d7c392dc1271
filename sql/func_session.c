/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of the session and of the database: who asks, fresh ids, randomness. */
#include "base/assert.h"
#include "lsm/lsm.h"
#include "sql/func.h"

#define FUNC(name)                                                                                 \
    static enum lam_code name(struct call *c, const struct value *args, struct value *out,         \
                              struct lam_error *err)
#define UNUSED_CALL ((void)c, (void)args, (void)err)

FUNC(current_user) {
    UNUSED_CALL;
    out->as.bytes = c->run->user;
    return LAM_OK;
}

FUNC(current_role) {
    UNUSED_CALL;
    out->as.bytes = lam_slice_str(role_name(c->run->role));
    return LAM_OK;
}

FUNC(snowflake_id) {
    (void)args;
    return catalog_next_id(c->run->catalog, &out->as.i64, err);
}

FUNC(uuid_v7) {
    UNUSED_CALL;
    catalog_uuid_v7(c->run->catalog, out->as.uuid);
    return LAM_OK;
}

static void random_bytes(struct call *c, void *data, size_t size) {
    lam_env *env = c->run->catalog ? db_env(catalog_db(c->run->catalog)) : lam_env_posix();
    env->ops->random_bytes(env, data, size);
}

/* Version 4 of RFC 9562. */
FUNC(uuid_v4) {
    UNUSED_CALL;
    random_bytes(c, out->as.uuid, sizeof out->as.uuid);
    out->as.uuid[6] = (uint8_t)((out->as.uuid[6] & 0x0F) | 0x40);
    out->as.uuid[8] = (uint8_t)((out->as.uuid[8] & 0x3F) | 0x80);
    return LAM_OK;
}

FUNC(ulid) {
    (void)args;
    char text[27];
    catalog_ulid(c->run->catalog, text);
    TRY(buf_append(c->scratch, text, 26, err));
    out->as.bytes = buf_slice(c->scratch);
    return LAM_OK;
}

/* Uniform in [0, 1) with 53 bits. */
FUNC(random_f64) {
    UNUSED_CALL;
    uint64_t bits;
    random_bytes(c, &bits, sizeof bits);
    out->as.f64 = (double)(bits >> 11) * 0x1p-53;
    return LAM_OK;
}

FUNC(version) {
    UNUSED_CALL;
    out->as.bytes = lam_slice_str("Lamina " LAM_VERSION_STRING);
    return LAM_OK;
}

#define F(name, flags, result, run)                                                                \
    { name, 0, flags, RESULT_FIXED, result, {0}, run }

static const struct func funcs[] = {
    F("current_user", FUNC_RUN, LAM_TYPE_TEXT, current_user),
    F("current_role", FUNC_RUN, LAM_TYPE_TEXT, current_role),
    F("snowflake_id", FUNC_VOLATILE, LAM_TYPE_BIGINT, snowflake_id),
    F("uuid_v7", FUNC_VOLATILE, LAM_TYPE_UUID, uuid_v7),
    F("uuidv7", FUNC_VOLATILE, LAM_TYPE_UUID, uuid_v7),
    F("gen_random_uuid", FUNC_VOLATILE, LAM_TYPE_UUID, uuid_v4),
    F("uuid_v4", FUNC_VOLATILE, LAM_TYPE_UUID, uuid_v4),
    F("ulid", FUNC_VOLATILE, LAM_TYPE_TEXT, ulid),
    F("random", FUNC_VOLATILE, LAM_TYPE_DOUBLE, random_f64),
    F("version", 0, LAM_TYPE_TEXT, version),
};

const struct func_table func_session_table = {funcs, sizeof funcs / sizeof funcs[0]};
