/* SPDX-License-Identifier: Apache-2.0
 *
 * Users of a database, for an application that authenticates its callers before it opens sessions
 * for them. Thread-safe. */
#ifndef LAMINA_CATALOG_H
#define LAMINA_CATALOG_H

#include "lamina/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* LAM_OK if `password` is that of user `name`. LAM_DENIED otherwise, after the same time whether
 * the user exists, was dropped, has no password or another one. Takes tens of milliseconds by
 * design. */
LAM_API LAM_MUST_CHECK enum lam_code lam_user_verify_password(lam_db *db, struct lam_slice name,
                                                              struct lam_slice password,
                                                              struct lam_error *err);
/* Role of a user made by CREATE USER and not dropped; NOT_FOUND otherwise. */
LAM_API LAM_MUST_CHECK enum lam_code lam_user_role(lam_db *db, struct lam_slice name,
                                                   enum lam_role *role_out, struct lam_error *err);

#ifdef __cplusplus
}
#endif
#endif
