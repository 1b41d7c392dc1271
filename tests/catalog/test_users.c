/* SPDX-License-Identifier: Apache-2.0 */
#include "lamina/catalog.h"
#include "tests/catalog/fixture.h"

static struct user_spec user(const char *name, const char *password, enum lam_role role) {
    return (struct user_spec){.name = S(name), .password = S(password), .role = role};
}

static enum lam_code create(struct fixture *f, struct user_spec spec) {
    return catalog_create_user(f->c, &root, &spec, NULL, &f->err);
}

START_TEST(passwords_are_verified_and_kept_hashed) {
    struct fixture f;
    struct value record[ENTITY_FIELDS_MAX], key = value_text("ann");
    struct arena arena = {0};
    fixture_open(&f);
    ck_ok(create(&f, user("ann", "correct horse", LAM_ROLE_USER)), &f.err);
    ck_ok(create(&f, user("bob", "correct horse", LAM_ROLE_USER)), &f.err);
    fixture_reopen(&f);
    ck_ok(lam_user_verify_password(f.db, S("ann"), S("correct horse"), &f.err), &f.err);
    ck_code(lam_user_verify_password(f.db, S("ann"), S("correct hors"), &f.err), LAM_DENIED);
    ck_assert_str_eq(f.err.sqlstate, "28P01");
    ck_code(catalog_verify_password(f.c, S("eve"), S("correct horse"), &f.err), LAM_DENIED);
    ck_code(catalog_verify_password(f.c, S("ann"), SLICE_EMPTY, &f.err), LAM_DENIED);
    ck_ok(entity_get(catalog_entity(f.c, ENTITY_USERS), NULL, &key, &arena, record, &f.err),
          &f.err);
    struct lam_slice ann = record[USERS_PASSWORD_HASH].as.bytes;
    ck_assert(slice_starts_with(ann, S("$argon2id$v=19$m=19456,t=2,p=1$")));
    ck_assert(!record[USERS_LAST_LOGIN_AT].is_null);
    key = value_text("bob");
    struct value other[ENTITY_FIELDS_MAX];
    ck_ok(entity_get(catalog_entity(f.c, ENTITY_USERS), NULL, &key, &arena, other, &f.err), &f.err);
    ck_assert(!slice_eq(ann, other[USERS_PASSWORD_HASH].as.bytes));
    arena_fini(&arena);
    fixture_close(&f);
}
END_TEST

START_TEST(a_user_without_password_can_not_log_in) {
    struct fixture f;
    fixture_open(&f);
    ck_ok(create(&f, user("svc", "", LAM_ROLE_SERVICE)), &f.err);
    ck_code(catalog_verify_password(f.c, S("svc"), SLICE_EMPTY, NULL), LAM_DENIED);
    ck_code(catalog_verify_password(f.c, S("svc"), S("anything goes"), NULL), LAM_DENIED);
    fixture_close(&f);
}
END_TEST

START_TEST(names_and_passwords_are_bounded) {
    struct fixture f;
    static char longest[1026], name[258];
    memset(longest, 'p', 1025);
    memset(name, 'n', 257);
    fixture_open(&f);
    ck_state(&f, create(&f, user("a", "1234567", LAM_ROLE_USER)), "22023");
    ck_state(&f, create(&f, user("a", longest, LAM_ROLE_USER)), "22023");
    longest[1024] = 0;
    ck_ok(create(&f, user("a", longest, LAM_ROLE_USER)), &f.err);
    ck_ok(catalog_verify_password(f.c, S("a"), S(longest), &f.err), &f.err);
    ck_assert(create(&f, user("", "", LAM_ROLE_USER)) != LAM_OK);
    ck_assert(create(&f, user(name, "", LAM_ROLE_USER)) != LAM_OK);
    ck_assert(create(&f, user("\xff", "", LAM_ROLE_USER)) != LAM_OK);
    ck_ok(create(&f, user("../x", "", LAM_ROLE_USER)), &f.err);
    fixture_close(&f);
}
END_TEST

START_TEST(dropped_names_stay_reserved) {
    struct fixture f;
    enum lam_role role;
    bool dropped = false;
    struct user_spec spec = user("ann", "correct horse", LAM_ROLE_USER);
    fixture_open(&f);
    ck_ok(create(&f, spec), &f.err);
    ck_state(&f, create(&f, spec), "42710");
    ck_ok(catalog_user_role(f.c, S("ann"), &role, &f.err), &f.err);
    ck_ok(catalog_drop_user(f.c, &root, S("ann"), false, &dropped, &f.err), &f.err);
    ck_assert(dropped);
    ck_code(catalog_user_role(f.c, S("ann"), &role, NULL), LAM_NOT_FOUND);
    ck_code(catalog_verify_password(f.c, S("ann"), S("correct horse"), NULL), LAM_DENIED);
    ck_state(&f, create(&f, spec), "42710");
    spec.if_not_exists = true;
    ck_state(&f, create(&f, spec), "42710");
    ck_state(&f, catalog_drop_user(f.c, &root, S("ann"), false, &dropped, &f.err), "42704");
    ck_ok(catalog_drop_user(f.c, &root, S("ann"), true, &dropped, &f.err), &f.err);
    ck_assert(!dropped);
    fixture_reopen(&f);
    ck_state(&f, create(&f, spec), "42710");
    fixture_close(&f);
}
END_TEST

START_TEST(nobody_touches_a_role_above_his_own) {
    struct fixture f;
    struct actor dba = {S("d"), LAM_ROLE_DBA}, service = {S("s"), LAM_ROLE_SERVICE};
    struct user_spec spec = user("boss", "", LAM_ROLE_SYSTEM);
    fixture_open(&f);
    ck_code(catalog_create_user(f.c, &dba, &spec, NULL, &f.err), LAM_DENIED);
    ck_ok(create(&f, spec), &f.err);
    ck_code(catalog_drop_user(f.c, &dba, S("boss"), false, NULL, &f.err), LAM_DENIED);
    spec = user("boss", "new password", LAM_ROLE_USER);
    ck_code(catalog_alter_user(f.c, &dba, USER_SET_PASSWORD, &spec, &f.err), LAM_DENIED);
    spec = user("low", "", LAM_ROLE_USER);
    ck_code(catalog_create_user(f.c, &service, &spec, NULL, &f.err), LAM_DENIED);
    ck_ok(catalog_create_user(f.c, &dba, &spec, NULL, &f.err), &f.err);
    spec.role = LAM_ROLE_SYSTEM;
    ck_code(catalog_alter_user(f.c, &dba, USER_SET_ROLE, &spec, &f.err), LAM_DENIED);
    spec.role = LAM_ROLE_DBA;
    ck_ok(catalog_alter_user(f.c, &dba, USER_SET_ROLE, &spec, &f.err), &f.err);
    fixture_close(&f);
}
END_TEST

START_TEST(a_changed_role_is_seen_at_once) {
    struct fixture f;
    enum lam_role role;
    struct user_spec spec = user("ann", "", LAM_ROLE_USER);
    fixture_open(&f);
    ck_ok(create(&f, spec), &f.err);
    for (int i = 0; i < 2; i++) {
        ck_ok(catalog_user_role(f.c, S("ann"), &role, &f.err), &f.err);
        ck_assert_int_eq(role, LAM_ROLE_USER);
    }
    spec.role = LAM_ROLE_SERVICE;
    ck_ok(catalog_alter_user(f.c, &root, USER_SET_ROLE, &spec, &f.err), &f.err);
    ck_ok(lam_user_role(f.db, S("ann"), &role, &f.err), &f.err);
    ck_assert_int_eq(role, LAM_ROLE_SERVICE);
    fixture_close(&f);
}
END_TEST

START_TEST(a_user_changes_his_own_password) {
    struct fixture f;
    struct actor ann = {S("ann"), LAM_ROLE_USER};
    struct user_spec spec = user("ann", "second password", LAM_ROLE_USER);
    fixture_open(&f);
    ck_ok(create(&f, user("ann", "first password", LAM_ROLE_USER)), &f.err);
    ck_ok(catalog_alter_user(f.c, &ann, USER_SET_PASSWORD, &spec, &f.err), &f.err);
    ck_ok(catalog_verify_password(f.c, S("ann"), S("second password"), &f.err), &f.err);
    ck_code(catalog_verify_password(f.c, S("ann"), S("first password"), NULL), LAM_DENIED);
    spec.email = S("ann@example.org");
    ck_code(catalog_alter_user(f.c, &ann, USER_SET_EMAIL, &spec, &f.err), LAM_DENIED);
    ck_ok(catalog_alter_user(f.c, &root, USER_SET_EMAIL, &spec, &f.err), &f.err);
    fixture_close(&f);
}
END_TEST

static bool note_audit(void *arg, const struct value *record) {
    struct value *copy = arg;
    ck_assert(slice_eq_str(record[AUDIT_LOG_ACTOR].as.bytes, "svc"));
    ck_assert(slice_eq_str(record[AUDIT_LOG_SUBJECT].as.bytes, "ann"));
    ck_assert(slice_eq_str(record[AUDIT_LOG_ACTION].as.bytes, "INSERT"));
    ck_assert(slice_eq_str(record[AUDIT_LOG_TARGET].as.bytes, "default.t"));
    copy->as.i64++;
    return true;
}

START_TEST(audit_rows_are_kept) {
    struct fixture f;
    struct value count = value_i64(LAM_TYPE_BIGINT, 0);
    fixture_open(&f);
    for (int i = 0; i < 3; i++)
        ck_ok(catalog_audit(f.c, S("svc"), S("ann"), "INSERT", S("default.t"), &f.err), &f.err);
    fixture_reopen(&f);
    ck_ok(entity_scan(catalog_entity(f.c, ENTITY_AUDIT_LOG), NULL, NULL, 0, note_audit, &count,
                      &f.err),
          &f.err);
    ck_assert_int_eq(count.as.i64, 3);
    fixture_close(&f);
}
END_TEST

START_TEST(storages_are_made_used_and_dropped) {
    struct fixture f;
    struct storage_spec spec = {
        .id = S("arch"), .type = S("filesystem"), .base_directory = S("a/")};
    struct column_spec column = column_of("id", LAM_TYPE_BIGINT, false);
    struct table_spec table = {.namespace_name = S("default"),
                               .name = S("t"),
                               .kind = TABLE_SHARED,
                               .columns = &column,
                               .column_count = 1};
    fixture_open(&f);
    table_options_init(&table.options);
    strcpy(table.options.storage, "arch");
    spec.user_template = S("{namespace}/{table}/");
    ck_state(&f, catalog_create_storage(f.c, &root, &spec, NULL, &f.err), "22023");
    spec.user_template = SLICE_EMPTY;
    ck_ok(catalog_create_storage(f.c, &root, &spec, NULL, &f.err), &f.err);
    ck_state(&f, catalog_create_storage(f.c, &root, &spec, NULL, &f.err), "42710");
    ck_ok(catalog_create_table(f.c, &root, &table, NULL, &f.err), &f.err);
    ck_state(&f, catalog_drop_storage(f.c, &root, S("arch"), false, NULL, &f.err), "2BP01");
    ck_contains(f.err.message, "default.t");
    ck_state(&f, catalog_drop_storage(f.c, &root, S("local"), false, NULL, &f.err), "2BP01");
    ck_ok(catalog_drop_table(f.c, &root, S("default"), S("t"), 0, false, NULL, &f.err), &f.err);
    ck_ok(catalog_drop_storage(f.c, &root, S("arch"), false, NULL, &f.err), &f.err);
    ck_state(&f, catalog_drop_storage(f.c, &root, S("arch"), false, NULL, &f.err), "42704");
    fixture_close(&f);
}
END_TEST

TEST_MAIN("catalog/users", passwords_are_verified_and_kept_hashed,
          a_user_without_password_can_not_log_in, names_and_passwords_are_bounded,
          dropped_names_stay_reserved, nobody_touches_a_role_above_his_own,
          a_changed_role_is_seen_at_once, a_user_changes_his_own_password, audit_rows_are_kept,
          storages_are_made_used_and_dropped)
