/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/catalog/fixture.h"
#include "tests/support/env_fault.h"

static struct table_spec spec_of(const char *name, enum table_kind kind,
                                 const struct column_spec *columns, uint32_t count) {
    struct table_spec spec = {.namespace_name = S("default"),
                              .name = S(name),
                              .kind = kind,
                              .columns = columns,
                              .column_count = count};
    table_options_init(&spec.options);
    if (kind == TABLE_STREAM)
        spec.options.ttl_seconds = 60;
    return spec;
}

static enum lam_code create(struct fixture *f, const struct table_spec *spec) {
    return catalog_create_table(f->c, &root, spec, NULL, &f->err);
}

static enum lam_code drop(struct fixture *f, const char *name) {
    return catalog_drop_table(f->c, &root, S("default"), S(name), 0, false, NULL, &f->err);
}

static const struct column_spec plain[] = {
    {.name = {(const uint8_t *)"id", 2}, .type = {.type = LAM_TYPE_BIGINT}, .nullable = true},
    {.name = {(const uint8_t *)"v", 1}, .type = {.type = LAM_TYPE_TEXT}, .nullable = true},
};

START_TEST(kinds_get_their_partitions) {
    struct fixture f;
    fixture_open(&f);
    ck_ok(make_people(&f, "u", TABLE_USER), &f.err);
    ck_ok(make_people(&f, "s", TABLE_SHARED), &f.err);
    ck_ok(make_people(&f, "e", TABLE_STREAM), &f.err);
    static const char *const names[] = {"user:default:u", "user:default:u@segments",
                                        "shared:default:s", "shared:default:s@segments",
                                        "stream:default:e"};
    for (size_t i = 0; i < 5; i++)
        ck_assert_msg(has_partition(&f, names[i]), "%s", names[i]);
    ck_assert(!has_partition(&f, "stream:default:e@segments"));
    struct provider *p = get_table(&f, "e");
    ck_assert_ptr_null(p->segments);
    ck_assert_uint_eq(p->options.ttl_seconds, 60);
    ck_assert_int_eq(p->options.access, ACCESS_NONE);
    provider_unref(p);
    p = get_table(&f, "s");
    ck_assert_int_eq(p->options.access, ACCESS_PRIVATE);
    ck_assert_str_eq(p->options.storage, "local");
    ck_assert_uint_eq(p->options.deleted_retention_hours, 168);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

START_TEST(reopening_keeps_everything_of_a_table) {
    struct fixture f;
    struct column_spec columns[] = {
        column_of("a", LAM_TYPE_TEXT, true),
        column_of("b", LAM_TYPE_DECIMAL, true),
        column_of("c", LAM_TYPE_TIMESTAMP, false),
    };
    columns[1].type.precision = 12;
    columns[1].type.scale = 3;
    columns[1].on_insert = (struct column_default){DEFAULT_VALUE, value_i64(LAM_TYPE_BIGINT, 5)};
    columns[2].on_insert.kind = DEFAULT_NOW;
    struct table_spec spec = spec_of("t", TABLE_USER, columns, 3);
    spec.key_count = 2;
    spec.key[0] = 2;
    spec.key[1] = 0;
    spec.options.location = (char *)"x/${user_id}/";
    spec.options.flush_rows = 1000;
    spec.options.flush_interval_s = 60;
    spec.options.deleted_retention_hours = 7;
    spec.options.lz4 = false;
    fixture_open(&f);
    ck_ok(create(&f, &spec), &f.err);
    struct provider *p = get_table(&f, "t");
    uint64_t number = p->table.number;
    int64_t created = p->created_us;
    provider_unref(p);
    fixture_reopen(&f);
    p = get_table(&f, "t");
    ck_assert_uint_eq(p->table.number, number);
    ck_assert_int_eq(p->created_us, created);
    ck_assert_int_eq(p->kind, TABLE_USER);
    ck_assert_str_eq(p->options.location, "x/${user_id}/");
    ck_assert_uint_eq(p->options.flush_rows, 1000);
    ck_assert_uint_eq(p->options.flush_interval_s, 60);
    ck_assert_uint_eq(p->options.deleted_retention_hours, 7);
    ck_assert(!p->options.lz4);
    const struct schema *s = p->schema;
    ck_assert_uint_eq(s->version, 1);
    ck_assert_uint_eq(s->column_count, 3);
    ck_assert_uint_eq(s->key_count, 2);
    ck_assert_uint_eq(s->key[0], 2);
    ck_assert(!s->columns[0].nullable && !s->columns[2].nullable && s->columns[1].nullable);
    ck_assert_int_eq(s->columns[1].on_insert.kind, DEFAULT_VALUE);
    ck_assert(s->columns[1].on_insert.value.as.i128 == 5000);
    ck_assert_int_eq(s->columns[2].on_insert.kind, DEFAULT_NOW);
    ck_assert_uint_eq(s->columns[2].id, 3);
    ck_assert_uint_eq(s->columns[2].ordinal, 3);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

START_TEST(an_id_column_is_the_key_or_is_made) {
    struct fixture f;
    struct column_spec none[] = {column_of("v", LAM_TYPE_TEXT, true)};
    struct column_spec late[] = {column_of("v", LAM_TYPE_TEXT, true),
                                 column_of("id", LAM_TYPE_TEXT, true)};
    struct table_spec spec = spec_of("made", TABLE_SHARED, none, 1);
    fixture_open(&f);
    ck_ok(create(&f, &spec), &f.err);
    struct provider *p = get_table(&f, "made");
    ck_assert_uint_eq(p->schema->column_count, 2);
    ck_assert_str_eq(p->schema->columns[0].name, "id");
    ck_assert_int_eq(p->schema->columns[0].type.type, LAM_TYPE_BIGINT);
    ck_assert_int_eq(p->schema->columns[0].on_insert.kind, DEFAULT_SNOWFLAKE);
    ck_assert(!p->schema->columns[0].nullable);
    ck_assert_uint_eq(p->schema->key[0], 0);
    provider_unref(p);
    spec = spec_of("late", TABLE_SHARED, late, 2);
    ck_ok(create(&f, &spec), &f.err);
    p = get_table(&f, "late");
    ck_assert_uint_eq(p->schema->column_count, 2);
    ck_assert_uint_eq(p->schema->key[0], 1);
    ck_assert(!p->schema->columns[1].nullable);
    ck_assert_int_eq(p->schema->columns[1].on_insert.kind, DEFAULT_NONE);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

START_TEST(bad_columns_are_refused) {
    struct fixture f;
    struct column_spec columns[3] = {plain[0], plain[1], plain[1]};
    struct table_spec spec = spec_of("t", TABLE_SHARED, columns, 3);
    fixture_open(&f);
    ck_state(&f, create(&f, &spec), "42701");
    columns[2].name = S("_seq");
    ck_state(&f, create(&f, &spec), "42602");
    columns[2].name = S("Mixed");
    ck_state(&f, create(&f, &spec), "42602");
    columns[2] = column_of("d", LAM_TYPE_DECIMAL, true);
    ck_state(&f, create(&f, &spec), "22023");
    columns[2] = column_of("d", LAM_TYPE_INT, true);
    columns[2].on_insert.kind = DEFAULT_SNOWFLAKE;
    ck_state(&f, create(&f, &spec), "42804");
    columns[2].on_insert = (struct column_default){DEFAULT_VALUE, value_text("x")};
    ck_code(create(&f, &spec), LAM_SQL);
    columns[2].on_insert.kind = DEFAULT_NONE;
    spec.key_count = 1;
    spec.key[0] = 3;
    ck_state(&f, create(&f, &spec), "42703");
    spec.key_count = 2;
    spec.key[0] = spec.key[1] = 1;
    ck_state(&f, create(&f, &spec), "42701");
    spec.column_count = 0;
    ck_state(&f, create(&f, &spec), "42P16");
    ck_assert_int_eq(partitions_starting(&f, "shared:"), 0);
    fixture_close(&f);
}
END_TEST

START_TEST(options_are_checked_against_the_kind) {
    struct fixture f;
    struct table_spec spec = spec_of("t", TABLE_STREAM, plain, 2);
    fixture_open(&f);
    spec.options.ttl_seconds = 0;
    ck_state(&f, create(&f, &spec), "42P16");
    ck_contains(f.err.message, "ttl_seconds");
    spec.options.ttl_seconds = 1;
    spec.options.flush_rows = 1;
    ck_state(&f, create(&f, &spec), "42P16");
    ck_contains(f.err.message, "flush_policy");
    spec = spec_of("t", TABLE_USER, plain, 2);
    spec.options.ttl_seconds = 5;
    ck_state(&f, create(&f, &spec), "42P16");
    spec.options.ttl_seconds = 0;
    spec.options.access = ACCESS_PUBLIC;
    ck_state(&f, create(&f, &spec), "42P16");
    ck_contains(f.err.message, "access_level");
    spec.options.access = ACCESS_NONE;
    spec.options.location = (char *)"cold/plain/";
    ck_state(&f, create(&f, &spec), "22023");
    spec.options.location = (char *)"../${user_id}/";
    ck_state(&f, create(&f, &spec), "22023");
    spec.options.location = (char *)"s3://b/${user_id}/";
    ck_state(&f, create(&f, &spec), "0A000");
    spec.options.location = NULL;
    spec.options.flush_rows = 1000000001;
    ck_state(&f, create(&f, &spec), "22023");
    spec.options.flush_rows = 1000000000;
    spec.options.flush_interval_s = 31536001;
    ck_state(&f, create(&f, &spec), "22023");
    spec.options.flush_interval_s = 31536000;
    strcpy(spec.options.storage, "nowhere");
    ck_state(&f, create(&f, &spec), "42704");
    strcpy(spec.options.storage, "local");
    ck_ok(create(&f, &spec), &f.err);
    fixture_close(&f);
}
END_TEST

START_TEST(names_are_taken_once) {
    struct fixture f;
    struct table_spec spec = spec_of("t", TABLE_SHARED, plain, 2);
    bool created = true;
    fixture_open(&f);
    ck_ok(create(&f, &spec), &f.err);
    ck_state(&f, create(&f, &spec), "42P07");
    spec.kind = TABLE_USER;
    spec.if_not_exists = true;
    ck_ok(catalog_create_table(f.c, &root, &spec, &created, &f.err), &f.err);
    ck_assert(!created);
    spec.namespace_name = S("chat");
    ck_state(&f, create(&f, &spec), "3F000");
    ck_assert_str_eq(f.err.hint, "create it first with CREATE NAMESPACE chat");
    spec.namespace_name = S("system");
    ck_state(&f, create(&f, &spec), "42939");
    fixture_close(&f);
}
END_TEST

START_TEST(roles_limit_create_and_drop) {
    struct fixture f;
    struct table_spec user_table = spec_of("u", TABLE_USER, plain, 2);
    struct table_spec shared_table = spec_of("s", TABLE_SHARED, plain, 2);
    struct actor who = {S("ann"), LAM_ROLE_ANONYMOUS};
    fixture_open(&f);
    ck_code(catalog_create_table(f.c, &who, &user_table, NULL, &f.err), LAM_DENIED);
    who.role = LAM_ROLE_USER;
    ck_ok(catalog_create_table(f.c, &who, &user_table, NULL, &f.err), &f.err);
    ck_code(catalog_create_table(f.c, &who, &shared_table, NULL, &f.err), LAM_DENIED);
    who.role = LAM_ROLE_SERVICE;
    ck_ok(catalog_create_table(f.c, &who, &shared_table, NULL, &f.err), &f.err);
    ck_code(catalog_drop_table(f.c, &who, S("default"), S("u"), 0, false, NULL, &f.err),
            LAM_DENIED);
    who.role = LAM_ROLE_DBA;
    ck_ok(catalog_drop_table(f.c, &who, S("default"), S("u"), 0, false, NULL, &f.err), &f.err);
    fixture_close(&f);
}
END_TEST

START_TEST(dropping_removes_all_of_a_table) {
    struct fixture f;
    struct value row[3];
    bool dropped = true;
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_USER), &f.err);
    struct provider *p = get_table(&f, "t");
    uint64_t number = p->table.number;
    person(row, 1, "x", 2);
    put_row(&f, p, "ann", row, false, NULL);
    provider_unref(p);
    ck_state(
        &f, catalog_drop_table(f.c, &root, S("default"), S("t"), TABLE_SHARED, false, NULL, &f.err),
        "42809");
    ck_ok(drop(&f, "t"), &f.err);
    ck_state(&f, drop(&f, "t"), "42P01");
    ck_ok(catalog_drop_table(f.c, &root, S("default"), S("t"), 0, true, &dropped, &f.err), &f.err);
    ck_assert(!dropped);
    ck_ok(catalog_drop_table(f.c, &root, S("nons"), S("t"), 0, true, &dropped, &f.err), &f.err);
    ck_assert_int_eq(partitions_starting(&f, "user:"), 0);
    ck_ok(make_people(&f, "t", TABLE_USER), &f.err);
    p = get_table(&f, "t");
    ck_assert_uint_gt(p->table.number, number);
    ck_assert_int_eq(count_keys(&f, p->hot), 0);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

/* --- cold files of dropped tables --- */

static enum lam_code two_files(struct provider *p, doomed_fn fn, void *arg, struct lam_error *err) {
    char path[128];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "cold/%s/batch-%d.parquet", p->name, i);
        TRY(fn(arg, path, err));
    }
    return LAM_OK;
}
static int told;
static void note_dropped(struct catalog *c) {
    (void)c;
    told++;
}
struct doomed_list {
    char text[256];
    struct fixture *f;
    bool forget;
};
static enum lam_code list_doomed(void *arg, const char *path, struct lam_error *err) {
    struct doomed_list *l = arg;
    strcat(strcat(l->text, path), " ");
    return l->forget ? catalog_forget_doomed(l->f->c, path, err) : LAM_OK;
}

START_TEST(cold_files_of_a_dropped_table_are_kept_until_removed) {
    struct fixture f;
    struct catalog_flush_hooks hooks = {two_files, note_dropped};
    struct doomed_list list = {.text = "", .f = &f, .forget = true};
    fixture_open(&f);
    catalog_set_flush_hooks(f.c, &hooks);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    ck_ok(make_people(&f, "e", TABLE_STREAM), &f.err);
    ck_ok(drop(&f, "t"), &f.err);
    ck_ok(drop(&f, "e"), &f.err);
    ck_assert_int_eq(told, 2);
    fixture_reopen(&f);
    list.f = &f;
    ck_ok(catalog_each_doomed(f.c, list_doomed, &list, &f.err), &f.err);
    ck_assert_str_eq(list.text, "cold/t/batch-0.parquet cold/t/batch-1.parquet ");
    list.text[0] = 0;
    ck_ok(catalog_each_doomed(f.c, list_doomed, &list, &f.err), &f.err);
    ck_assert_str_eq(list.text, "");
    fixture_close(&f);
}
END_TEST

/* --- crashes --- */

/* What a crash before the n-th change of a file leaves: the table whole or not at all, and no
 * partition without owner. Returns whether the table is there. */
static bool check_image(lam_env *inner, enum lam_crash_mode mode, uint64_t seed) {
    struct fixture f = {0};
    bool whole = false;
    ck_ok(lam_env_mem_crash(inner, mode, seed, &f.env, &f.err), &f.err);
    fixture_open_db(&f);
    struct provider *p = NULL;
    if (catalog_provider(f.c, S("default"), S("t"), &p, NULL) == LAM_OK) {
        whole = true;
        ck_assert(has_partition(&f, "user:default:t"));
        ck_assert(has_partition(&f, "user:default:t@segments"));
        ck_assert_int_eq(partitions_starting(&f, "user:"), 2 + (int)p->index_count);
        provider_unref(p);
        ck_ok(drop(&f, "t"), &f.err);
    } else {
        ck_assert_int_eq(partitions_starting(&f, "user:"), 0);
    }
    ck_ok(make_people(&f, "t", TABLE_USER), &f.err);
    fixture_close(&f);
    return whole;
}

/* Runs one change and crashes before each of its file operations, in all modes. */
static void crash_sweep(enum lam_code (*setup)(struct fixture *f),
                        enum lam_code (*change)(struct fixture *f), bool before, bool after) {
    int there = 0, absent = 0;
    for (uint64_t n = 1;; n++) {
        struct fixture f = {0};
        lam_env *inner = NULL;
        ck_ok(lam_env_mem_new(&inner, &f.err), &f.err);
        f.env = env_fault_new(inner);
        struct lam_options options = {
            .env = f.env, .memory_budget = 8u << 20, .manual_background = true};
        ck_ok(lam_db_open("/db", &options, &f.db, &f.err), &f.err);
        ck_ok(catalog_of(f.db, &f.c, &f.err), &f.err);
        if (setup)
            ck_ok(setup(&f), &f.err);
        env_fault_arm(f.env, FAULT_MUTATE, n, LAM_IO, true);
        enum lam_code rc = change(&f);
        bool reached = env_fault_count(f.env) >= n;
        for (int mode = LAM_CRASH_PROCESS; mode <= LAM_CRASH_POWER_ANY; mode++) {
            bool whole = check_image(inner, (enum lam_crash_mode)mode, n);
            there += whole;
            absent += !whole;
            if (rc == LAM_OK)
                ck_assert_int_eq(whole, after); /* acknowledged: survives a power loss */
            if (n == 1)
                ck_assert_int_eq(whole, before);
        }
        env_fault_arm(f.env, FAULT_MUTATE, 0, LAM_IO, false);
        lam_db_close(f.db, NULL);
        env_fault_free(f.env);
        lam_env_mem_free(inner);
        if (!reached)
            break;
        ck_assert_uint_lt(n, 1000);
    }
    ck_assert_int_gt(there, 0);
    ck_assert_int_gt(absent, 0);
}

static enum lam_code make_t(struct fixture *f) {
    return make_people(f, "t", TABLE_USER);
}
static enum lam_code drop_t(struct fixture *f) {
    return drop(f, "t");
}

START_TEST(a_crash_in_create_leaves_a_whole_table_or_none) {
    crash_sweep(NULL, make_t, false, true);
}
END_TEST

START_TEST(a_crash_in_drop_leaves_a_whole_table_or_none) {
    crash_sweep(make_t, drop_t, true, false);
}
END_TEST

START_TEST(a_failed_create_can_be_tried_again) {
    struct fixture f = {0};
    lam_env *inner = NULL;
    lam_partition *orphan = NULL;
    ck_ok(lam_env_mem_new(&inner, &f.err), &f.err);
    f.env = inner;
    fixture_open_db(&f);
    ck_ok(lam_partition_create(f.db, "user:default:t", NULL, &orphan, &f.err), &f.err);
    ck_ok(lam_put(f.db, NULL, orphan, S("k"), S("old"), &f.err), &f.err);
    lam_partition_release(orphan);
    ck_ok(make_t(&f), &f.err);
    struct provider *p = get_table(&f, "t");
    ck_assert_int_eq(count_keys(&f, p->hot), 0);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

TEST_MAIN("catalog/ddl_table", kinds_get_their_partitions, reopening_keeps_everything_of_a_table,
          an_id_column_is_the_key_or_is_made, bad_columns_are_refused,
          options_are_checked_against_the_kind, names_are_taken_once, roles_limit_create_and_drop,
          dropping_removes_all_of_a_table, cold_files_of_a_dropped_table_are_kept_until_removed,
          a_crash_in_create_leaves_a_whole_table_or_none,
          a_crash_in_drop_leaves_a_whole_table_or_none, a_failed_create_can_be_tried_again)
