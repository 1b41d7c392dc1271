/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include "catalog/access.h"
#include "tests/support/test.h"

/* Weakest role that may, by action: rows of the access table. */
static const struct {
    enum action action;
    enum table_kind kind;
    enum lam_role weakest;
} rules[] = {
    {ACTION_READ_SYSTEM, TABLE_SYSTEM, LAM_ROLE_DBA},
    {ACTION_CREATE_USER_TABLE, TABLE_USER, LAM_ROLE_USER},
    {ACTION_CREATE_USER_TABLE, TABLE_STREAM, LAM_ROLE_USER},
    {ACTION_CREATE_SHARED_TABLE, TABLE_SHARED, LAM_ROLE_SERVICE},
    {ACTION_ALTER_TABLE, TABLE_USER, LAM_ROLE_USER},
    {ACTION_ALTER_TABLE, TABLE_STREAM, LAM_ROLE_USER},
    {ACTION_ALTER_TABLE, TABLE_SHARED, LAM_ROLE_SERVICE},
    {ACTION_ALTER_TABLE, TABLE_SYSTEM, LAM_ROLE_DBA},
    {ACTION_CREATE_INDEX, TABLE_USER, LAM_ROLE_USER},
    {ACTION_CREATE_INDEX, TABLE_SHARED, LAM_ROLE_SERVICE},
    {ACTION_DROP_TABLE, TABLE_USER, LAM_ROLE_DBA},
    {ACTION_DROP_TABLE, TABLE_SHARED, LAM_ROLE_DBA},
    {ACTION_MANAGE_NAMESPACE, TABLE_SHARED, LAM_ROLE_DBA},
    {ACTION_MANAGE_STORAGE, TABLE_SHARED, LAM_ROLE_DBA},
    {ACTION_MANAGE_USER, TABLE_SHARED, LAM_ROLE_DBA},
    {ACTION_KILL_JOB, TABLE_SHARED, LAM_ROLE_DBA},
    {ACTION_FLUSH, TABLE_USER, LAM_ROLE_SERVICE},
    {ACTION_SET_ACCESS_LEVEL, TABLE_SHARED, LAM_ROLE_SERVICE},
};

START_TEST(actions_start_at_their_role) {
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        for (int role = LAM_ROLE_ANONYMOUS; role <= LAM_ROLE_SYSTEM; role++)
            ck_assert_msg(access_may((enum lam_role)role, rules[i].action, rules[i].kind) ==
                              (role >= (int)rules[i].weakest),
                          "rule %zu role %d", i, role);
    }
}
END_TEST

START_TEST(rows_are_read_and_written_by_level) {
    static const struct {
        enum table_kind kind;
        enum access_level level;
        int reads, writes; /* weakest role; 9: none */
    } table[] = {
        {TABLE_SHARED, ACCESS_PUBLIC, LAM_ROLE_ANONYMOUS, LAM_ROLE_SERVICE},
        {TABLE_SHARED, ACCESS_PRIVATE, LAM_ROLE_SERVICE, LAM_ROLE_SERVICE},
        {TABLE_SHARED, ACCESS_RESTRICTED, LAM_ROLE_SERVICE, LAM_ROLE_SERVICE},
        {TABLE_SHARED, ACCESS_DBA, LAM_ROLE_DBA, LAM_ROLE_DBA},
        {TABLE_USER, ACCESS_NONE, LAM_ROLE_USER, LAM_ROLE_USER},
        {TABLE_STREAM, ACCESS_NONE, LAM_ROLE_USER, LAM_ROLE_USER},
        {TABLE_SYSTEM, ACCESS_NONE, LAM_ROLE_DBA, 9},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (int role = LAM_ROLE_ANONYMOUS; role <= LAM_ROLE_SYSTEM; role++) {
            enum lam_role r = (enum lam_role)role;
            ck_assert_int_eq(access_may_read(r, table[i].kind, table[i].level),
                             role >= table[i].reads);
            ck_assert_int_eq(access_may_write(r, table[i].kind, table[i].level),
                             role >= table[i].writes);
        }
    }
}
END_TEST

START_TEST(execute_as_reaches_no_higher_role) {
    struct lam_slice a = lam_slice_str("a"), b = lam_slice_str("b");
    ck_assert(access_may_execute_as(LAM_ROLE_USER, a, LAM_ROLE_USER, a));
    ck_assert(!access_may_execute_as(LAM_ROLE_USER, a, LAM_ROLE_USER, b));
    ck_assert(!access_may_execute_as(LAM_ROLE_USER, a, LAM_ROLE_DBA, a));
    ck_assert(access_may_execute_as(LAM_ROLE_SERVICE, a, LAM_ROLE_SERVICE, b));
    ck_assert(!access_may_execute_as(LAM_ROLE_SERVICE, a, LAM_ROLE_DBA, b));
    ck_assert(access_may_execute_as(LAM_ROLE_DBA, a, LAM_ROLE_DBA, b));
    ck_assert(!access_may_execute_as(LAM_ROLE_DBA, a, LAM_ROLE_SYSTEM, b));
    ck_assert(access_may_execute_as(LAM_ROLE_SYSTEM, a, LAM_ROLE_SYSTEM, b));
    ck_assert(!access_may_execute_as(LAM_ROLE_ANONYMOUS, a, LAM_ROLE_ANONYMOUS, a));
}
END_TEST

START_TEST(names_are_found_in_any_case_with_aliases) {
    enum lam_role role;
    enum access_level level;
    ck_assert(role_lookup(lam_slice_str("DBA"), &role) && role == LAM_ROLE_DBA);
    ck_assert(role_lookup(lam_slice_str("Admin"), &role) && role == LAM_ROLE_DBA);
    ck_assert(role_lookup(lam_slice_str("analyst"), &role) && role == LAM_ROLE_SERVICE);
    ck_assert(role_lookup(lam_slice_str("readonly"), &role) && role == LAM_ROLE_USER);
    ck_assert(!role_lookup(lam_slice_str("boss"), &role));
    ck_assert(!role_lookup(lam_slice_str(""), &role));
    ck_assert(access_level_lookup(lam_slice_str("Restricted"), &level) &&
              level == ACCESS_RESTRICTED);
    ck_assert(!access_level_lookup(lam_slice_str("none"), &level));
    for (int r = LAM_ROLE_ANONYMOUS; r <= LAM_ROLE_SYSTEM; r++) {
        ck_assert(role_lookup(lam_slice_str(role_name((enum lam_role)r)), &role));
        ck_assert_int_eq((int)role, r);
    }
}
END_TEST

START_TEST(denial_names_user_role_and_act) {
    struct lam_error err = {0};
    ck_code(access_denied(&err, lam_slice_str("ann"), LAM_ROLE_USER, "drop table %s", "t"),
            LAM_DENIED);
    ck_assert_int_eq(err.code, LAM_DENIED);
    ck_assert_str_eq(err.sqlstate, "42501");
    ck_assert_str_eq(err.message, "user \"ann\" (role user) may not drop table t");
}
END_TEST

TEST_MAIN("catalog/access", actions_start_at_their_role, rows_are_read_and_written_by_level,
          execute_as_reaches_no_higher_role, names_are_found_in_any_case_with_aliases,
          denial_names_user_role_and_act)
