/* SPDX-License-Identifier: Apache-2.0
 *
 * Public calls of the catalog. */
#include "lamina/catalog.h"

#include "catalog/catalog.h"

static enum lam_code check_arguments(lam_db *db, struct lam_slice name, struct lam_error *err) {
    if (!db)
        return ERR(err, LAM_INVALID, "db is NULL");
    if (name.size && !name.data)
        return ERR(err, LAM_INVALID, "the user's name has a size but no bytes");
    TRY(db_check_process(db, err));
    return user_id_check(name, err);
}

enum lam_code lam_user_verify_password(lam_db *db, struct lam_slice name, struct lam_slice password,
                                       struct lam_error *err) {
    struct catalog *c = NULL;
    TRY(check_arguments(db, name, err));
    if (password.size && !password.data)
        return ERR(err, LAM_INVALID, "password has a size but no bytes");
    TRY(catalog_of(db, &c, err));
    return catalog_verify_password(c, name, password, err);
}

enum lam_code lam_user_role(lam_db *db, struct lam_slice name, enum lam_role *role_out,
                            struct lam_error *err) {
    struct catalog *c = NULL;
    if (!role_out)
        return ERR(err, LAM_INVALID, "role_out is NULL");
    TRY(check_arguments(db, name, err));
    TRY(catalog_of(db, &c, err));
    return catalog_user_role(c, name, role_out, err);
}
