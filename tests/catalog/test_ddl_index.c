/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/catalog/fixture.h"
#include "tests/support/env_fault.h"

static struct lam_slice age_column[] = {{(const uint8_t *)"age", 3}};
static struct lam_slice name_age[] = {{(const uint8_t *)"name", 4}, {(const uint8_t *)"age", 3}};

static struct index_spec index_on(const char *name, const struct lam_slice *columns, uint32_t n) {
    return (struct index_spec){.name = S(name),
                               .namespace_name = S("default"),
                               .table = S("t"),
                               .columns = columns,
                               .column_count = n};
}

static enum lam_code create(struct fixture *f, const struct index_spec *spec) {
    return catalog_create_index(f->c, &root, spec, NULL, &f->err);
}

static void fill(struct fixture *f, int count) {
    struct provider *p = get_table(f, "t");
    struct value row[3];
    for (int i = 0; i < count; i++) {
        person(row, i, i % 3 ? "someone" : NULL, i % 5);
        put_row(f, p, i % 2 ? "ann" : "bob", row, i == 7, NULL);
    }
    provider_unref(p);
}

START_TEST(building_covers_the_rows_that_live) {
    struct fixture f;
    struct index_spec spec = index_on("by_age", age_column, 1);
    bool created = false;
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_USER), &f.err);
    fill(&f, 50);
    ck_ok(catalog_create_index(f.c, &root, &spec, &created, &f.err), &f.err);
    ck_assert(created);
    ck_assert(has_partition(&f, "user:default:t#by_age"));
    fixture_reopen(&f);
    struct provider *p = get_table(&f, "t");
    ck_assert_uint_eq(p->index_count, 1);
    ck_assert_str_eq(p->indexes[0].name, "by_age");
    ck_assert_uint_eq(p->indexes[0].column_ids[0], 3);
    ck_assert_int_eq(count_keys(&f, p->indexes[0].partition), 49);
    ck_assert_uint_eq(p->schema->version, 1);
    /* Each entry leads to a row with its age. */
    struct buf prefix = {0}, key = {0};
    struct value age = value_i64(LAM_TYPE_INT, 3);
    lam_iter *it = NULL;
    int found = 0;
    ck_ok(index_prefix(p, &p->indexes[0], S("ann"), &age, 1, &prefix, &f.err), &f.err);
    struct lam_read_options options = {.prefix = buf_slice(&prefix)};
    ck_ok(lam_iter_new(f.db, &options, p->indexes[0].partition, &it, &f.err), &f.err);
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it), found++) {
        struct lam_value row = {0};
        struct value got[3];
        buf_reset(&key);
        ck_ok(index_entry_row_key(p, &p->indexes[0], lam_iter_key(it), lam_iter_value(it), &key,
                                  &f.err),
              &f.err);
        ck_ok(lam_get(f.db, NULL, p->hot, buf_slice(&key), &row, &f.err), &f.err);
        ck_ok(row_decode(row.bytes, p->schema, p->schema, got, &f.err), &f.err);
        ck_assert_int_eq(got[2].as.i64, 3);
        ck_assert_int_eq(got[0].as.i64 % 2, 1);
        lam_value_release(&row);
    }
    ck_assert_int_eq(found, 5);
    lam_iter_free(it);
    buf_fini(&prefix);
    buf_fini(&key);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

START_TEST(index_names_are_unique_in_a_namespace) {
    struct fixture f;
    struct index_spec spec = index_on("by_age", age_column, 1);
    bool created = true;
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    ck_ok(make_people(&f, "u", TABLE_SHARED), &f.err);
    ck_ok(create(&f, &spec), &f.err);
    spec.table = S("u");
    ck_state(&f, create(&f, &spec), "42P07");
    spec.if_not_exists = true;
    ck_ok(catalog_create_index(f.c, &root, &spec, &created, &f.err), &f.err);
    ck_assert(!created);
    fixture_close(&f);
}
END_TEST

START_TEST(bad_indexes_are_refused) {
    struct fixture f;
    struct lam_slice columns[2] = {S("age"), S("age")};
    struct index_spec spec = index_on("i", columns, 2);
    struct actor who = {S("ann"), LAM_ROLE_USER};
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    ck_state(&f, create(&f, &spec), "42701");
    columns[1] = S("aeg");
    ck_state(&f, create(&f, &spec), "42703");
    ck_contains(f.err.hint, "\"age\"");
    spec.column_count = 0;
    ck_state(&f, create(&f, &spec), "54011");
    spec.column_count = 1;
    spec.name = S("No");
    ck_state(&f, create(&f, &spec), "42602");
    spec.name = S("i");
    spec.table = S("none");
    ck_state(&f, create(&f, &spec), "42P01");
    spec.table = S("t");
    ck_code(catalog_create_index(f.c, &who, &spec, NULL, &f.err), LAM_DENIED);
    ck_assert_int_eq(partitions_starting(&f, "shared:default:t#"), 0);
    fixture_close(&f);
}
END_TEST

START_TEST(unique_is_checked_over_the_rows_that_live) {
    struct fixture f;
    struct value row[3];
    struct index_spec spec = index_on("u", name_age, 2);
    spec.unique = true;
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_USER), &f.err);
    struct provider *p = get_table(&f, "t");
    person(row, 1, "x", 1);
    put_row(&f, p, "ann", row, false, NULL);
    put_row(&f, p, "bob", row, false, NULL);
    person(row, 2, "x", 2);
    put_row(&f, p, "ann", row, false, NULL);
    person(row, 3, NULL, 1);
    put_row(&f, p, "ann", row, false, NULL);
    person(row, 4, NULL, 1);
    put_row(&f, p, "ann", row, false, NULL);
    person(row, 5, "x", 1);
    put_row(&f, p, "ann", row, true, NULL);
    ck_ok(create(&f, &spec), &f.err);
    ck_ok(catalog_drop_index(f.c, &root, S("default"), S("u"), false, NULL, &f.err), &f.err);
    provider_unref(p);
    p = get_table(&f, "t");
    person(row, 6, "x", 2);
    put_row(&f, p, "ann", row, false, NULL);
    provider_unref(p);
    ck_state(&f, create(&f, &spec), "23505");
    ck_assert(!has_partition(&f, "user:default:t#u"));
    fixture_close(&f);
}
END_TEST

static enum lam_code always_duplicate(void *arg, struct provider *p,
                                      const struct table_index *index, bool *out,
                                      struct lam_error *err) {
    (void)err;
    ck_assert_str_eq(index->name, "u");
    ck_assert_int_eq(count_keys(arg, index->partition), 0);
    ck_assert_str_eq(p->name, "t");
    *out = true;
    return LAM_OK;
}

START_TEST(the_caller_may_find_duplicates_elsewhere) {
    struct fixture f;
    struct index_spec spec = index_on("u", age_column, 1);
    fixture_open(&f);
    spec.unique = true;
    spec.duplicate = always_duplicate;
    spec.duplicate_arg = &f;
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    ck_state(&f, create(&f, &spec), "23505");
    fixture_close(&f);
}
END_TEST

START_TEST(dropping_forgets_the_index_and_its_number) {
    struct fixture f;
    struct index_spec spec = index_on("a", age_column, 1);
    bool dropped = true;
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    ck_ok(create(&f, &spec), &f.err);
    ck_ok(catalog_drop_index(f.c, &root, S("default"), S("a"), false, NULL, &f.err), &f.err);
    ck_assert(!has_partition(&f, "shared:default:t#a"));
    ck_state(&f, catalog_drop_index(f.c, &root, S("default"), S("a"), false, NULL, &f.err),
             "42704");
    ck_ok(catalog_drop_index(f.c, &root, S("default"), S("a"), true, &dropped, &f.err), &f.err);
    ck_assert(!dropped);
    ck_ok(create(&f, &spec), &f.err);
    fixture_reopen(&f);
    struct provider *p = get_table(&f, "t");
    ck_assert_uint_eq(p->indexes[0].number, 2);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

START_TEST(a_crash_while_building_leaves_a_whole_index_or_none) {
    struct index_spec spec = index_on("by_age", age_column, 1);
    int with = 0, without = 0;
    for (uint64_t n = 1;; n++) {
        struct fixture f = {0}, image = {0};
        lam_env *inner = NULL;
        ck_ok(lam_env_mem_new(&inner, &f.err), &f.err);
        f.env = env_fault_new(inner);
        struct lam_options options = {
            .env = f.env, .memory_budget = 8u << 20, .manual_background = true};
        ck_ok(lam_db_open("/db", &options, &f.db, &f.err), &f.err);
        ck_ok(catalog_of(f.db, &f.c, &f.err), &f.err);
        ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
        fill(&f, 20);
        ck_ok(lam_sync(f.db, LAM_SEQUENCE_MAX, &f.err), &f.err);
        env_fault_arm(f.env, FAULT_MUTATE, n, LAM_IO, true);
        enum lam_code rc = create(&f, &spec);
        bool reached = env_fault_count(f.env) >= n;
        ck_ok(lam_env_mem_crash(inner, LAM_CRASH_POWER, n, &image.env, &image.err), &image.err);
        fixture_open_db(&image);
        struct provider *p = get_table(&image, "t");
        if (p->index_count) {
            with++;
            ck_assert_int_eq(count_keys(&image, p->indexes[0].partition), 19);
        } else {
            without++;
            ck_assert(rc != LAM_OK);
            ck_assert(!has_partition(&image, "shared:default:t#by_age"));
        }
        provider_unref(p);
        fixture_close(&image);
        env_fault_arm(f.env, FAULT_MUTATE, 0, LAM_IO, false);
        lam_db_close(f.db, NULL);
        env_fault_free(f.env);
        lam_env_mem_free(inner);
        if (!reached)
            break;
    }
    ck_assert_int_gt(with, 0);
    ck_assert_int_gt(without, 0);
}
END_TEST

TEST_MAIN("catalog/ddl_index", building_covers_the_rows_that_live,
          index_names_are_unique_in_a_namespace, bad_indexes_are_refused,
          unique_is_checked_over_the_rows_that_live, the_caller_may_find_duplicates_elsewhere,
          dropping_forgets_the_index_and_its_number,
          a_crash_while_building_leaves_a_whole_index_or_none)
