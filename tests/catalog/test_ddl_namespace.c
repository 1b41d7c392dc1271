/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/catalog/fixture.h"
#include "tests/support/env_fault.h"

static enum lam_code create(struct fixture *f, const char *name) {
    return catalog_create_namespace(f->c, &root, S(name), false, NULL, &f->err);
}

static enum lam_code table_in(struct fixture *f, const char *ns, const char *name) {
    struct column_spec column = column_of("id", LAM_TYPE_BIGINT, false);
    struct table_spec spec = {.namespace_name = S(ns),
                              .name = S(name),
                              .kind = TABLE_SHARED,
                              .columns = &column,
                              .column_count = 1};
    table_options_init(&spec.options);
    return catalog_create_table(f->c, &root, &spec, NULL, &f->err);
}

static int64_t table_count(struct fixture *f, const char *ns) {
    struct value record[ENTITY_FIELDS_MAX], key = value_text(ns);
    struct arena arena = {0};
    ck_ok(entity_get(catalog_entity(f->c, ENTITY_NAMESPACES), NULL, &key, &arena, record, &f->err),
          &f->err);
    arena_fini(&arena);
    return record[NAMESPACES_TABLE_COUNT].as.i64;
}

START_TEST(namespaces_are_made_once_and_stay) {
    struct fixture f;
    bool created = true;
    fixture_open(&f);
    ck_ok(create(&f, "chat"), &f.err);
    ck_state(&f, create(&f, "chat"), "42P06");
    ck_ok(catalog_create_namespace(f.c, &root, S("chat"), true, &created, &f.err), &f.err);
    ck_assert(!created);
    fixture_reopen(&f);
    ck_assert(catalog_has_namespace(f.c, S("chat")));
    fixture_close(&f);
}
END_TEST

START_TEST(bad_and_reserved_names_are_refused) {
    struct fixture f;
    static const char *const reserved[] = {
        "system", "information_schema", "pg_catalog", "sys", "root", "lamina"};
    static const char *const bad[] = {"", "1a", "_a", "A", "a-b", "a b", "a:b", "\xc3\xa4"};
    char longest[66];
    fixture_open(&f);
    for (size_t i = 0; i < 6; i++) {
        ck_state(&f, create(&f, reserved[i]), "42939");
        ck_state(&f, catalog_drop_namespace(f.c, &root, S(reserved[i]), false, true, NULL, &f.err),
                 "42939");
    }
    for (size_t i = 0; i < 8; i++)
        ck_state(&f, create(&f, bad[i]), "42602");
    memset(longest, 'a', 65);
    longest[65] = 0;
    ck_state(&f, create(&f, longest), "42602");
    longest[64] = 0;
    ck_ok(create(&f, longest), &f.err);
    fixture_close(&f);
}
END_TEST

START_TEST(dropping_needs_an_empty_namespace_or_cascade) {
    struct fixture f;
    bool dropped = false;
    struct provider *p = NULL;
    fixture_open(&f);
    ck_ok(create(&f, "n"), &f.err);
    ck_ok(table_in(&f, "n", "first"), &f.err);
    ck_ok(table_in(&f, "n", "second"), &f.err);
    ck_assert_int_eq(table_count(&f, "n"), 2);
    ck_state(&f, catalog_drop_namespace(f.c, &root, S("n"), false, false, &dropped, &f.err),
             "2BP01");
    ck_contains(f.err.message, "first, second");
    ck_ok(catalog_drop_table(f.c, &root, S("n"), S("first"), 0, false, NULL, &f.err), &f.err);
    ck_assert_int_eq(table_count(&f, "n"), 1);
    ck_ok(catalog_drop_namespace(f.c, &root, S("n"), false, true, &dropped, &f.err), &f.err);
    ck_assert(dropped);
    ck_assert_int_eq(partitions_starting(&f, "shared:"), 0);
    ck_state(&f, catalog_provider(f.c, S("n"), S("second"), &p, &f.err), "3F000");
    fixture_reopen(&f);
    ck_assert(!catalog_has_namespace(f.c, S("n")));
    ck_ok(create(&f, "n"), &f.err);
    ck_assert_int_eq(table_count(&f, "n"), 0);
    fixture_close(&f);
}
END_TEST

START_TEST(default_stays_and_missing_ones_are_told) {
    struct fixture f;
    bool dropped = true;
    fixture_open(&f);
    ck_state(&f, catalog_drop_namespace(f.c, &root, S("default"), false, true, NULL, &f.err),
             "2BP01");
    ck_state(&f, catalog_drop_namespace(f.c, &root, S("none"), false, false, NULL, &f.err),
             "3F000");
    ck_ok(catalog_drop_namespace(f.c, &root, S("none"), true, false, &dropped, &f.err), &f.err);
    ck_assert(!dropped);
    fixture_close(&f);
}
END_TEST

START_TEST(only_dba_and_system_manage_namespaces) {
    struct fixture f;
    struct actor who = {S("sam"), LAM_ROLE_SERVICE};
    fixture_open(&f);
    ck_code(catalog_create_namespace(f.c, &who, S("n"), false, NULL, &f.err), LAM_DENIED);
    ck_assert_str_eq(f.err.sqlstate, "42501");
    ck_code(catalog_drop_namespace(f.c, &who, S("n"), true, false, NULL, &f.err), LAM_DENIED);
    who.role = LAM_ROLE_DBA;
    ck_ok(catalog_create_namespace(f.c, &who, S("n"), false, NULL, &f.err), &f.err);
    fixture_close(&f);
}
END_TEST

static bool has_record(struct fixture *f, enum entity_id id, struct value key) {
    struct value record[ENTITY_FIELDS_MAX];
    struct arena arena = {0};
    enum lam_code rc = entity_get(catalog_entity(f->c, id), NULL, &key, &arena, record, &f->err);
    arena_fini(&arena);
    ck_assert(rc == LAM_OK || rc == LAM_NOT_FOUND);
    return rc == LAM_OK;
}

/* The records are gone for every reader; what is kept in memory says no other. */
START_TEST(catalog_agrees_with_its_records_after_a_failed_sync) {
    struct fixture f = {0};
    struct provider *p = NULL;
    lam_env *inner;
    ck_ok(lam_env_mem_new(&inner, &f.err), &f.err);
    f.env = env_fault_new(inner);
    fixture_open_db(&f);
    ck_ok(create(&f, "chat"), &f.err);
    ck_ok(table_in(&f, "chat", "a"), &f.err);
    ck_ok(catalog_provider(f.c, S("chat"), S("a"), &p, &f.err), &f.err);
    struct value number = value_i64(LAM_TYPE_BIGINT, (int64_t)p->table.number);
    provider_unref(p);
    env_fault_arm(f.env, FAULT_SYNC, 1, LAM_IO, false);
    ck_code(catalog_drop_namespace(f.c, &root, S("chat"), false, true, NULL, &f.err),
            LAM_UNKNOWN_OUTCOME);
    ck_assert_uint_eq(env_fault_fired(f.env), 1);
    ck_assert(!has_record(&f, ENTITY_NAMESPACES, value_text("chat")));
    ck_assert(!has_record(&f, ENTITY_TABLES, number));
    ck_assert(!catalog_has_namespace(f.c, S("chat")));
    ck_state(&f, catalog_provider(f.c, S("chat"), S("a"), &p, &f.err), "3F000");
    ck_code(lam_db_close(f.db, &f.err), LAM_READ_ONLY);
    fixture_open_db(&f); /* nothing was lost, so the drop is done */
    ck_assert(!catalog_has_namespace(f.c, S("chat")));
    fixture_close_db(&f);
    env_fault_free(f.env);
    lam_env_mem_free(inner);
}
END_TEST

START_TEST(count_of_tables_that_cannot_be_is_corrupt) {
    static const int64_t counts[] = {0, -1, INT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        struct fixture f;
        struct value record[ENTITY_FIELDS_MAX], key = value_text("chat");
        struct arena arena = {0};
        fixture_open(&f);
        ck_ok(create(&f, "chat"), &f.err);
        ck_ok(table_in(&f, "chat", "a"), &f.err);
        struct entity_store *store = catalog_entity(f.c, ENTITY_NAMESPACES);
        ck_ok(entity_get(store, NULL, &key, &arena, record, &f.err), &f.err);
        record[NAMESPACES_TABLE_COUNT].as.i64 = counts[i];
        ck_ok(entity_update(store, record, LAM_DURABILITY_OS, &f.err), &f.err);
        enum lam_code rc = counts[i] > 0 ? table_in(&f, "chat", "b")
                                         : catalog_drop_table(f.c, &root, S("chat"), S("a"),
                                                              TABLE_SHARED, false, NULL, &f.err);
        ck_code(rc, LAM_CORRUPT);
        ck_contains(f.err.message, "chat");
        arena_fini(&arena);
        fixture_close(&f);
    }
}
END_TEST

TEST_MAIN("catalog/ddl_namespace", catalog_agrees_with_its_records_after_a_failed_sync,
          count_of_tables_that_cannot_be_is_corrupt, namespaces_are_made_once_and_stay,
          bad_and_reserved_names_are_refused, dropping_needs_an_empty_namespace_or_cascade,
          default_stays_and_missing_ones_are_told, only_dba_and_system_manage_namespaces)
