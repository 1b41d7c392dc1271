/* SPDX-License-Identifier: Apache-2.0
 *
 * The access table as functions. */
#include "catalog/access.h"

#include <stdio.h>

#include "base/assert.h"

bool access_may(enum lam_role role, enum action action, enum table_kind kind) {
    switch (action) {
    case ACTION_CREATE_USER_TABLE:
        return role >= LAM_ROLE_USER;
    case ACTION_CREATE_SHARED_TABLE:
    case ACTION_FLUSH:
    case ACTION_SET_ACCESS_LEVEL:
        return role >= LAM_ROLE_SERVICE;
    case ACTION_ALTER_TABLE:
    case ACTION_CREATE_INDEX:
        if (kind == TABLE_SYSTEM)
            return role >= LAM_ROLE_DBA;
        if (kind == TABLE_SHARED)
            return role >= LAM_ROLE_SERVICE;
        return role >= LAM_ROLE_USER;
    case ACTION_READ_SYSTEM:
    case ACTION_DROP_TABLE:
    case ACTION_MANAGE_NAMESPACE:
    case ACTION_MANAGE_STORAGE:
    case ACTION_MANAGE_USER:
    case ACTION_KILL_JOB:
        return role >= LAM_ROLE_DBA;
    }
    UNREACHABLE();
}

static bool may_use_shared(enum lam_role role, enum access_level level, bool write) {
    switch (level) {
    case ACCESS_PUBLIC:
        return !write || role >= LAM_ROLE_SERVICE;
    case ACCESS_PRIVATE:
    case ACCESS_RESTRICTED:
        return role >= LAM_ROLE_SERVICE;
    case ACCESS_DBA:
        return role >= LAM_ROLE_DBA;
    case ACCESS_NONE:
        break;
    }
    return false;
}

bool access_may_read(enum lam_role role, enum table_kind kind, enum access_level level) {
    switch (kind) {
    case TABLE_USER:
    case TABLE_STREAM:
        return role >= LAM_ROLE_USER;
    case TABLE_SHARED:
        return may_use_shared(role, level, false);
    case TABLE_SYSTEM:
        return role >= LAM_ROLE_DBA;
    }
    return false;
}

bool access_may_write(enum lam_role role, enum table_kind kind, enum access_level level) {
    switch (kind) {
    case TABLE_USER:
    case TABLE_STREAM:
        return role >= LAM_ROLE_USER;
    case TABLE_SHARED:
        return may_use_shared(role, level, true);
    case TABLE_SYSTEM:
        return false;
    }
    return false;
}

bool access_may_execute_as(enum lam_role actor, struct lam_slice actor_user, enum lam_role subject,
                           struct lam_slice subject_user) {
    if (actor == LAM_ROLE_ANONYMOUS)
        return false;
    if (slice_eq(actor_user, subject_user))
        return subject <= actor;
    return actor >= LAM_ROLE_SERVICE && subject <= actor;
}

bool access_may_touch_role(enum lam_role actor, enum lam_role subject) {
    return subject <= actor;
}

static const char *const role_names[] = {"anonymous", "user", "service", "dba", "system"};

const char *role_name(enum lam_role role) {
    LAM_ASSERT((unsigned)role < sizeof role_names / sizeof role_names[0]);
    return role_names[role];
}

/* ASCII only: role and level names have no other letters. */
static bool eq_any_case(struct lam_slice s, const char *lower) {
    if (s.size != strlen(lower))
        return false;
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        if (c >= 'A' && c <= 'Z')
            c = (uint8_t)(c + 32);
        if (c != (uint8_t)lower[i])
            return false;
    }
    return true;
}

bool role_lookup(struct lam_slice name, enum lam_role *role_out) {
    static const struct {
        const char *name;
        enum lam_role role;
    } aliases[] = {
        {"admin", LAM_ROLE_DBA},   {"developer", LAM_ROLE_SERVICE}, {"analyst", LAM_ROLE_SERVICE},
        {"viewer", LAM_ROLE_USER}, {"readonly", LAM_ROLE_USER},
    };
    for (unsigned i = 0; i < sizeof role_names / sizeof role_names[0]; i++) {
        if (eq_any_case(name, role_names[i])) {
            *role_out = (enum lam_role)i;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (eq_any_case(name, aliases[i].name)) {
            *role_out = aliases[i].role;
            return true;
        }
    }
    return false;
}

static const char *const level_names[] = {"none", "public", "private", "restricted", "dba"};

const char *access_level_name(enum access_level level) {
    LAM_ASSERT((unsigned)level < sizeof level_names / sizeof level_names[0]);
    return level_names[level];
}

bool access_level_lookup(struct lam_slice name, enum access_level *level_out) {
    for (unsigned i = ACCESS_PUBLIC; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (eq_any_case(name, level_names[i])) {
            *level_out = (enum access_level)i;
            return true;
        }
    }
    return false;
}

const char *table_kind_name(enum table_kind kind) {
    switch (kind) {
    case TABLE_USER:
        return "user";
    case TABLE_SHARED:
        return "shared";
    case TABLE_STREAM:
        return "stream";
    case TABLE_SYSTEM:
        return "system";
    }
    UNREACHABLE();
}

enum lam_code access_denied(struct lam_error *err, struct lam_slice user, enum lam_role role,
                            const char *what_format, ...) {
    char what[256];
    va_list args;
    va_start(args, what_format);
    int length = vsnprintf(what, sizeof what, what_format, args);
    va_end(args);
    if (length < 0)
        what[0] = 0;
    else if ((size_t)length >= sizeof what)
        memcpy(what + sizeof what - 4, "...", 4);
    int shown = user.size > 100 ? 100 : (int)user.size;
    (void)ERR_SQL(err, "42501", 0, "user \"%.*s%s\" (role %s) may not %s", shown,
                  user.data ? (const char *)user.data : "", user.size > 100 ? "..." : "",
                  role_name(role), what);
    if (err)
        err->code = LAM_DENIED;
    return LAM_DENIED;
}
