/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may do what: pure functions over roles, table kinds and access levels. The table is BRIEF
 * section 5, repeated in DESIGN.md. */
#ifndef LAMINA_CATALOG_ACCESS_H
#define LAMINA_CATALOG_ACCESS_H

#include "catalog/schema.h"

enum action {
    ACTION_READ_SYSTEM,       /* system.* */
    ACTION_CREATE_USER_TABLE, /* USER and STREAM */
    ACTION_CREATE_SHARED_TABLE,
    ACTION_ALTER_TABLE, /* needs the kind */
    ACTION_DROP_TABLE,
    ACTION_MANAGE_NAMESPACE,
    ACTION_MANAGE_STORAGE,
    ACTION_MANAGE_USER,
    ACTION_KILL_JOB,
    ACTION_FLUSH, /* and compact */
    ACTION_SET_ACCESS_LEVEL,
    ACTION_CREATE_INDEX, /* as ALTER */
};
bool access_may(enum lam_role role, enum action action, enum table_kind kind);
bool access_may_read(enum lam_role role, enum table_kind kind, enum access_level level);
bool access_may_write(enum lam_role role, enum table_kind kind, enum access_level level);
/* Whether `actor` may act as a user of role `subject`. */
bool access_may_execute_as(enum lam_role actor, struct lam_slice actor_user, enum lam_role subject,
                           struct lam_slice subject_user);
/* Whether a role may grant or touch another: never one above its own. */
bool access_may_touch_role(enum lam_role actor, enum lam_role subject);
const char *role_name(enum lam_role role);
/* Any case; aliases admin, developer, analyst, viewer, readonly. */
bool role_lookup(struct lam_slice name, enum lam_role *role_out);
const char *access_level_name(enum access_level level);
bool access_level_lookup(struct lam_slice name, enum access_level *level_out);
const char *table_kind_name(enum table_kind kind);
/* Raises LAM_DENIED with SQLSTATE 42501: "user X (role Y) may not <what>". */
enum lam_code access_denied(struct lam_error *err, struct lam_slice user, enum lam_role role,
                            const char *what_format, ...) __attribute__((format(printf, 4, 5)));

#endif
