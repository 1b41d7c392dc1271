/* SPDX-License-Identifier: Apache-2.0 */
#include "lamina/catalog.h"
#include "tests/catalog/fixture.h"

static bool count_record(void *arg, const struct value *record) {
    (void)record;
    ++*(int *)arg;
    return true;
}

START_TEST(a_fresh_database_has_the_built_ins) {
    struct fixture f;
    struct value record[ENTITY_FIELDS_MAX], key = value_text("local");
    struct arena arena = {0};
    fixture_open(&f);
    ck_assert(catalog_has_namespace(f.c, S("default")));
    ck_assert(!catalog_has_namespace(f.c, S("system")));
    ck_ok(entity_get(catalog_entity(f.c, ENTITY_STORAGES), NULL, &key, &arena, record, &f.err),
          &f.err);
    ck_assert(slice_eq_str(record[STORAGES_BASE_DIRECTORY].as.bytes, "cold/"));
    ck_assert(slice_eq_str(record[STORAGES_USER_TABLES_TEMPLATE].as.bytes,
                           "{namespace}/{table}/${user_id}/"));
    ck_assert_uint_eq(catalog_provider_count(f.c), 0);
    arena_fini(&arena);
    fixture_close(&f);
}
END_TEST

START_TEST(attaching_again_gives_the_same_catalog) {
    struct fixture f;
    struct catalog *again = NULL;
    fixture_open(&f);
    ck_ok(catalog_of(f.db, &again, &f.err), &f.err);
    ck_assert_ptr_eq(again, f.c);
    ck_assert_ptr_eq(catalog_db(again), f.db);
    fixture_close(&f);
}
END_TEST

START_TEST(reopening_makes_the_built_ins_once) {
    struct fixture f;
    int storages = 0, namespaces = 0;
    fixture_open(&f);
    fixture_reopen(&f);
    ck_ok(entity_scan(catalog_entity(f.c, ENTITY_STORAGES), NULL, NULL, 0, count_record, &storages,
                      &f.err),
          &f.err);
    ck_ok(entity_scan(catalog_entity(f.c, ENTITY_NAMESPACES), NULL, NULL, 0, count_record,
                      &namespaces, &f.err),
          &f.err);
    ck_assert_int_eq(storages, 1);
    ck_assert_int_eq(namespaces, 1);
    fixture_close(&f);
}
END_TEST

START_TEST(attach_removes_partitions_that_no_table_owns) {
    struct fixture f;
    static const char *const orphans[] = {"user:default:gone", "user:default:gone@segments",
                                          "shared:x:y", "stream:x:y", "shared:default:t#no_index"};
    static const char *const kept[] = {"mine", "userland", "system_extra"};
    lam_partition *p = NULL;
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    for (size_t i = 0; i < 5; i++) {
        ck_ok(lam_partition_create(f.db, orphans[i], NULL, &p, &f.err), &f.err);
        lam_partition_release(p);
    }
    for (size_t i = 0; i < 3; i++) {
        ck_ok(lam_partition_create(f.db, kept[i], NULL, &p, &f.err), &f.err);
        lam_partition_release(p);
    }
    fixture_reopen(&f);
    for (size_t i = 0; i < 5; i++)
        ck_assert_msg(!has_partition(&f, orphans[i]), "%s is still there", orphans[i]);
    for (size_t i = 0; i < 3; i++)
        ck_assert_msg(has_partition(&f, kept[i]), "%s is gone", kept[i]);
    ck_assert(has_partition(&f, "shared:default:t"));
    ck_assert(has_partition(&f, "shared:default:t@segments"));
    fixture_close(&f);
}
END_TEST

START_TEST(a_table_without_its_partition_is_corrupt) {
    struct fixture f;
    lam_partition *p = NULL;
    struct lam_options options = {0};
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    ck_ok(lam_partition_open(f.db, "shared:default:t", &p, &f.err), &f.err);
    ck_ok(lam_partition_drop(f.db, p, &f.err), &f.err);
    lam_partition_release(p);
    fixture_close_db(&f);
    options.env = f.env;
    ck_ok(lam_db_open("/db", &options, &f.db, &f.err), &f.err);
    ck_code(catalog_of(f.db, &f.c, &f.err), LAM_CORRUPT);
    ck_contains(f.err.message, "shared:default:t");
    fixture_close(&f);
}
END_TEST

START_TEST(a_table_whose_name_is_no_text_is_corrupt) {
    static const struct lam_slice names[] = {{(const uint8_t *)"t\xff", 2},
                                             {(const uint8_t *)"t\0u", 3}};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        struct arena arena = {0};
        struct value record[ENTITY_FIELDS_MAX];
        struct lam_options options = {0};
        fixture_open(&f);
        ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
        struct provider *p = get_table(&f, "t");
        struct value key = value_i64(LAM_TYPE_BIGINT, (int64_t)p->table.number);
        provider_unref(p);
        struct entity_store *store = catalog_entity(f.c, ENTITY_TABLES);
        ck_ok(entity_get(store, NULL, &key, &arena, record, &f.err), &f.err);
        record[TABLES_TABLE_NAME].as.bytes = names[i];
        ck_ok(entity_update(store, record, LAM_DURABILITY_OS, &f.err), &f.err);
        arena_fini(&arena);
        fixture_close_db(&f);
        options.env = f.env;
        ck_ok(lam_db_open("/db", &options, &f.db, &f.err), &f.err);
        ck_code(catalog_of(f.db, &f.c, &f.err), LAM_CORRUPT);
        ck_contains(f.err.message, "system.tables");
        fixture_close(&f);
    }
}
END_TEST

/* Puts a byte that is not UTF-8 at the end of a name in the definition of table t. */
static void spoil_definition(struct fixture *f, const char *name) {
    struct arena arena = {0};
    struct value record[ENTITY_FIELDS_MAX];
    struct provider *p = get_table(f, "t");
    struct value key = value_i64(LAM_TYPE_BIGINT, (int64_t)p->table.number);
    provider_unref(p);
    struct entity_store *store = catalog_entity(f->c, ENTITY_TABLES);
    ck_ok(entity_get(store, NULL, &key, &arena, record, &f->err), &f->err);
    struct lam_slice *bytes = &record[TABLES_DEFINITION].as.bytes;
    uint8_t copy[512];
    ck_assert_uint_le(bytes->size, sizeof copy);
    memcpy(copy, bytes->data, bytes->size);
    uint8_t *at = memmem(copy, bytes->size, name, strlen(name));
    ck_assert_ptr_nonnull(at);
    at[strlen(name) - 1] = 0xff;
    *bytes = lam_slice_of(copy, bytes->size);
    ck_ok(entity_update(store, record, LAM_DURABILITY_OS, &f->err), &f->err);
    arena_fini(&arena);
}

START_TEST(a_definition_with_a_name_that_is_no_text_is_corrupt) {
    static const char *const names[] = {"local", "by_age"};
    struct lam_slice column = S("age");
    struct index_spec spec = {.name = S("by_age"),
                              .namespace_name = S("default"),
                              .table = S("t"),
                              .columns = &column,
                              .column_count = 1};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        struct lam_options options = {0};
        fixture_open(&f);
        ck_ok(make_people(&f, "t", TABLE_USER), &f.err);
        ck_ok(catalog_create_index(f.c, &root, &spec, NULL, &f.err), &f.err);
        spoil_definition(&f, names[i]);
        fixture_close_db(&f);
        options.env = f.env;
        ck_ok(lam_db_open("/db", &options, &f.db, &f.err), &f.err);
        ck_code(catalog_of(f.db, &f.c, &f.err), LAM_CORRUPT);
        ck_contains(f.err.message, "definition of default.t");
        fixture_close(&f);
    }
}
END_TEST

START_TEST(a_read_only_database_attaches_and_refuses_changes) {
    struct fixture f;
    struct lam_options options = {.read_only = true};
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    fixture_close_db(&f);
    options.env = f.env;
    ck_ok(lam_db_open("/db", &options, &f.db, &f.err), &f.err);
    ck_ok(catalog_of(f.db, &f.c, &f.err), &f.err);
    struct provider *p = get_table(&f, "t");
    ck_assert_uint_eq(p->schema->column_count, 3);
    provider_unref(p);
    ck_code(make_people(&f, "u", TABLE_SHARED), LAM_READ_ONLY);
    fixture_close(&f);
}
END_TEST

START_TEST(public_calls_check_their_arguments) {
    struct fixture f;
    enum lam_role role;
    fixture_open(&f);
    ck_code(lam_user_role(NULL, S("a"), &role, NULL), LAM_INVALID);
    ck_code(lam_user_role(f.db, S("a"), NULL, NULL), LAM_INVALID);
    ck_code(lam_user_role(f.db, S("a"), &role, NULL), LAM_NOT_FOUND);
    ck_code(lam_user_verify_password(f.db, S("a"), lam_slice_of(NULL, 3), NULL), LAM_INVALID);
    fixture_close(&f);
}
END_TEST

TEST_MAIN("catalog/catalog", a_fresh_database_has_the_built_ins,
          attaching_again_gives_the_same_catalog, reopening_makes_the_built_ins_once,
          attach_removes_partitions_that_no_table_owns, a_table_without_its_partition_is_corrupt,
          a_table_whose_name_is_no_text_is_corrupt,
          a_definition_with_a_name_that_is_no_text_is_corrupt,
          a_read_only_database_attaches_and_refuses_changes, public_calls_check_their_arguments)
