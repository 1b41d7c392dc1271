/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/catalog/fixture.h"

static enum lam_code alter(struct fixture *f, const struct alter_spec *spec, bool *changed) {
    return catalog_alter_table(f->c, &root, S("default"), S("t"), spec, changed, &f->err);
}

static struct alter_spec on_column(enum alter_kind kind, const char *column) {
    return (struct alter_spec){.kind = kind, .column = S(column)};
}

static struct alter_spec add(const char *name, enum lam_type type) {
    return (struct alter_spec){.kind = ALTER_ADD_COLUMN, .added = column_of(name, type, true)};
}

static uint32_t version(struct fixture *f) {
    struct provider *p = get_table(f, "t");
    uint32_t v = p->schema->version;
    ck_assert_uint_eq(p->schema_count, v);
    provider_unref(p);
    return v;
}

static struct value read_row(struct fixture *f, struct provider *p, int64_t id,
                             const char *column) {
    struct value key[3], out;
    static struct lam_value row;
    struct buf k = {0};
    struct row_header header;
    person(key, id, NULL, 0);
    ck_ok(row_key(p->schemas[0], p->kind, S("ann"), key, &k, &f->err), &f->err);
    ck_ok(lam_get(f->db, NULL, p->hot, buf_slice(&k), &row, &f->err), &f->err);
    ck_ok(row_header_decode(row.bytes, &header, &f->err), &f->err);
    int index = schema_find(p->schema, S(column));
    ck_assert_int_ge(index, 0);
    ck_ok(row_column(row.bytes, provider_schema(p, header.schema_version), p->schema,
                     (uint32_t)index, &out, &f->err),
          &f->err);
    buf_fini(&k);
    return out;
}

START_TEST(effective_changes_make_versions_and_no_ops_make_none) {
    struct fixture f;
    bool changed = false;
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    struct alter_spec spec = add("city", LAM_TYPE_TEXT);
    ck_ok(alter(&f, &spec, &changed), &f.err);
    ck_assert(changed);
    ck_assert_uint_eq(version(&f), 2);
    spec.if_not_exists = true;
    ck_ok(alter(&f, &spec, &changed), &f.err);
    ck_assert(!changed);
    spec = on_column(ALTER_DROP_COLUMN, "nothing");
    spec.if_exists = true;
    ck_ok(alter(&f, &spec, &changed), &f.err);
    ck_assert(!changed);
    spec = on_column(ALTER_RENAME_COLUMN, "city");
    spec.new_name = S("city");
    ck_ok(alter(&f, &spec, &changed), &f.err);
    ck_assert(!changed);
    spec = on_column(ALTER_DROP_DEFAULT, "city");
    ck_ok(alter(&f, &spec, &changed), &f.err);
    ck_assert(!changed);
    spec = on_column(ALTER_DROP_NOT_NULL, "city");
    ck_ok(alter(&f, &spec, &changed), &f.err);
    ck_assert(!changed);
    spec = (struct alter_spec){.kind = ALTER_ACCESS_LEVEL, .access = ACCESS_PRIVATE};
    ck_ok(alter(&f, &spec, &changed), &f.err);
    ck_assert(!changed);
    ck_assert_uint_eq(version(&f), 2);
    spec.access = ACCESS_PUBLIC;
    ck_ok(alter(&f, &spec, &changed), &f.err);
    ck_assert(changed);
    ck_assert_uint_eq(version(&f), 3);
    fixture_reopen(&f);
    ck_assert_uint_eq(version(&f), 3);
    struct provider *p = get_table(&f, "t");
    ck_assert_int_eq(p->options.access, ACCESS_PUBLIC);
    ck_assert_uint_eq(p->schemas[0]->column_count, 3);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

START_TEST(older_rows_show_the_default_of_a_later_column) {
    struct fixture f;
    struct value row[3], got;
    bool changed;
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_USER), &f.err);
    struct provider *p = get_table(&f, "t");
    person(row, 1, "x", 2);
    put_row(&f, p, "ann", row, false, NULL);
    provider_unref(p);
    struct alter_spec spec = add("score", LAM_TYPE_BIGINT);
    spec.added.nullable = false;
    spec.added.on_insert = (struct column_default){DEFAULT_VALUE, value_i64(LAM_TYPE_INT, 42)};
    ck_ok(alter(&f, &spec, &changed), &f.err);
    spec = add("seen", LAM_TYPE_TIMESTAMP);
    spec.added.on_insert.kind = DEFAULT_NOW;
    ck_ok(alter(&f, &spec, &changed), &f.err);
    spec = on_column(ALTER_SET_DEFAULT, "score");
    spec.on_insert = (struct column_default){DEFAULT_VALUE, value_i64(LAM_TYPE_INT, 7)};
    ck_ok(alter(&f, &spec, &changed), &f.err);
    fixture_reopen(&f);
    p = get_table(&f, "t");
    got = read_row(&f, p, 1, "score");
    ck_assert_int_eq(got.as.i64, 42);
    got = read_row(&f, p, 1, "seen");
    ck_assert(!got.is_null && got.as.i64 > 0);
    int score = schema_find(p->schema, S("score"));
    ck_assert_int_eq(p->schema->columns[score].on_insert.value.as.i64, 7);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

START_TEST(a_column_added_again_does_not_bring_old_values_back) {
    struct fixture f;
    struct value row[3];
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_USER), &f.err);
    struct provider *p = get_table(&f, "t");
    person(row, 1, "x", 2);
    put_row(&f, p, "ann", row, false, NULL);
    provider_unref(p);
    struct alter_spec spec = on_column(ALTER_RENAME_COLUMN, "name");
    spec.new_name = S("title");
    ck_ok(alter(&f, &spec, NULL), &f.err);
    p = get_table(&f, "t");
    ck_assert(slice_eq_str(read_row(&f, p, 1, "title").as.bytes, "x"));
    provider_unref(p);
    spec = on_column(ALTER_DROP_COLUMN, "title");
    ck_ok(alter(&f, &spec, NULL), &f.err);
    spec = add("title", LAM_TYPE_TEXT);
    ck_ok(alter(&f, &spec, NULL), &f.err);
    p = get_table(&f, "t");
    ck_assert(read_row(&f, p, 1, "title").is_null);
    int title = schema_find(p->schema, S("title"));
    ck_assert_uint_eq(p->schema->columns[title].id, 4);
    ck_assert_uint_eq(p->schema->columns[title].ordinal, 4);
    ck_assert_int_eq(schema_find(p->schema, S("age")), 1);
    ck_assert_uint_eq(p->schema->columns[1].ordinal, 3);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

START_TEST(not_null_needs_a_default_or_no_rows) {
    struct fixture f;
    struct value row[3];
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_USER), &f.err);
    struct alter_spec spec = add("a", LAM_TYPE_TEXT);
    spec.added.nullable = false;
    ck_ok(alter(&f, &spec, NULL), &f.err);
    spec = on_column(ALTER_DROP_COLUMN, "a");
    ck_ok(alter(&f, &spec, NULL), &f.err);
    struct provider *p = get_table(&f, "t");
    person(row, 1, "x", 2);
    put_row(&f, p, "ann", row, false, NULL);
    provider_unref(p);
    spec = add("a", LAM_TYPE_TEXT);
    spec.added.nullable = false;
    ck_state(&f, alter(&f, &spec, NULL), "23502");
    spec.added.on_insert.kind = DEFAULT_ULID; /* has no one value for old rows */
    ck_state(&f, alter(&f, &spec, NULL), "23502");
    spec.added.nullable = true;
    ck_ok(alter(&f, &spec, NULL), &f.err);
    spec = on_column(ALTER_SET_NOT_NULL, "age");
    ck_state(&f, alter(&f, &spec, NULL), "23502");
    fixture_close(&f);
}
END_TEST

static enum lam_code never_blocked(void *arg, struct provider *p, const struct alter_spec *spec,
                                   bool *blocked_out, struct lam_error *err) {
    (void)p;
    (void)spec;
    (void)err;
    ++*(int *)arg;
    *blocked_out = false;
    return LAM_OK;
}

START_TEST(the_caller_decides_whether_rows_stand_in_the_way) {
    struct fixture f;
    struct value row[3];
    int asked = 0;
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_USER), &f.err);
    struct provider *p = get_table(&f, "t");
    person(row, 1, "x", 2);
    put_row(&f, p, "ann", row, false, NULL);
    provider_unref(p);
    struct alter_spec spec = on_column(ALTER_SET_NOT_NULL, "age");
    spec.blocked = never_blocked;
    spec.blocked_arg = &asked;
    ck_ok(alter(&f, &spec, NULL), &f.err);
    ck_assert_int_eq(asked, 1);
    p = get_table(&f, "t");
    ck_assert(!p->schema->columns[2].nullable);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

START_TEST(types_only_widen) {
    struct fixture f;
    struct value row[3];
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_USER), &f.err);
    struct provider *p = get_table(&f, "t");
    person(row, 1, "x", -7);
    put_row(&f, p, "ann", row, false, NULL);
    provider_unref(p);
    struct alter_spec spec = on_column(ALTER_COLUMN_TYPE, "age");
    spec.type = coltype_of(LAM_TYPE_SMALLINT);
    ck_state(&f, alter(&f, &spec, NULL), "42804");
    spec.type = coltype_of(LAM_TYPE_TEXT);
    ck_state(&f, alter(&f, &spec, NULL), "42804");
    spec.type = coltype_of(LAM_TYPE_BIGINT);
    ck_ok(alter(&f, &spec, NULL), &f.err);
    p = get_table(&f, "t");
    struct value got = read_row(&f, p, 1, "age");
    ck_assert_int_eq(got.type.type, LAM_TYPE_BIGINT);
    ck_assert_int_eq(got.as.i64, -7);
    provider_unref(p);
    spec.column = S("id");
    spec.type = coltype_of(LAM_TYPE_TEXT);
    ck_state(&f, alter(&f, &spec, NULL), "42P16");
    fixture_close(&f);
}
END_TEST

START_TEST(the_key_can_only_be_renamed) {
    struct fixture f;
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    struct alter_spec spec = on_column(ALTER_DROP_COLUMN, "id");
    ck_state(&f, alter(&f, &spec, NULL), "42P16");
    spec = on_column(ALTER_DROP_NOT_NULL, "id");
    ck_state(&f, alter(&f, &spec, NULL), "42P16");
    spec = on_column(ALTER_RENAME_COLUMN, "id");
    spec.new_name = S("name");
    ck_state(&f, alter(&f, &spec, NULL), "42701");
    spec.new_name = S("_x");
    ck_state(&f, alter(&f, &spec, NULL), "42602");
    spec.new_name = S("number");
    ck_ok(alter(&f, &spec, NULL), &f.err);
    struct provider *p = get_table(&f, "t");
    ck_assert_str_eq(p->schema->columns[p->schema->key[0]].name, "number");
    provider_unref(p);
    spec = on_column(ALTER_DROP_COLUMN, "nmae");
    ck_state(&f, alter(&f, &spec, NULL), "42703");
    ck_contains(f.err.hint, "\"name\"");
    fixture_close(&f);
}
END_TEST

START_TEST(an_indexed_column_can_not_go) {
    struct fixture f;
    struct lam_slice columns[] = {S("age")};
    struct index_spec index = {.name = S("by_age"),
                               .namespace_name = S("default"),
                               .table = S("t"),
                               .columns = columns,
                               .column_count = 1};
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    ck_ok(catalog_create_index(f.c, &root, &index, NULL, &f.err), &f.err);
    struct alter_spec spec = on_column(ALTER_DROP_COLUMN, "age");
    ck_state(&f, alter(&f, &spec, NULL), "2BP01");
    ck_contains(f.err.message, "by_age");
    spec = on_column(ALTER_COLUMN_TYPE, "age");
    spec.type = coltype_of(LAM_TYPE_BIGINT);
    ck_state(&f, alter(&f, &spec, NULL), "2BP01");
    spec = on_column(ALTER_RENAME_COLUMN, "age");
    spec.new_name = S("years");
    ck_ok(alter(&f, &spec, NULL), &f.err);
    fixture_close(&f);
}
END_TEST

START_TEST(roles_and_kinds_limit_alter) {
    struct fixture f;
    struct actor who = {S("ann"), LAM_ROLE_USER};
    struct alter_spec spec = add("x", LAM_TYPE_INT);
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    ck_ok(make_people(&f, "u", TABLE_USER), &f.err);
    ck_ok(make_people(&f, "e", TABLE_STREAM), &f.err);
    ck_code(catalog_alter_table(f.c, &who, S("default"), S("t"), &spec, NULL, &f.err), LAM_DENIED);
    ck_ok(catalog_alter_table(f.c, &who, S("default"), S("u"), &spec, NULL, &f.err), &f.err);
    ck_ok(catalog_alter_table(f.c, &who, S("default"), S("e"), &spec, NULL, &f.err), &f.err);
    spec = (struct alter_spec){.kind = ALTER_ACCESS_LEVEL, .access = ACCESS_PUBLIC};
    ck_code(catalog_alter_table(f.c, &who, S("default"), S("t"), &spec, NULL, &f.err), LAM_DENIED);
    ck_state(&f, catalog_alter_table(f.c, &root, S("default"), S("u"), &spec, NULL, &f.err),
             "42P16");
    spec = on_column(ALTER_RENAME_COLUMN, "id");
    spec.new_name = S("number");
    ck_state(&f, catalog_alter_table(f.c, &root, S("default"), S("e"), &spec, NULL, &f.err),
             "42P16");
    ck_state(&f, catalog_alter_table(f.c, &root, S("default"), S("none"), &spec, NULL, &f.err),
             "42P01");
    fixture_close(&f);
}
END_TEST

START_TEST(writers_of_an_older_version_are_told_to_prepare_again) {
    struct fixture f;
    unsigned stripe;
    struct alter_spec spec = add("x", LAM_TYPE_INT);
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    struct provider *old = get_table(&f, "t");
    ck_ok(provider_write_lock(old, SLICE_EMPTY, &stripe, &f.err), &f.err);
    provider_write_unlock(old, stripe);
    ck_ok(alter(&f, &spec, NULL), &f.err);
    ck_code(provider_write_lock(old, SLICE_EMPTY, &stripe, &f.err), LAM_CONFLICT);
    ck_assert_uint_eq(old->schema->column_count, 3);
    struct provider *now = get_table(&f, "t");
    ck_assert_ptr_eq(now->shared, old->shared);
    ck_ok(provider_write_lock(now, SLICE_EMPTY, &stripe, &f.err), &f.err);
    provider_write_unlock(now, stripe);
    provider_unref(now);
    provider_unref(old);
    fixture_close(&f);
}
END_TEST

struct latest {
    int rows, latest;
    int64_t version;
};
static bool note_version(void *arg, const struct value *record) {
    struct latest *l = arg;
    l->rows++;
    if (record[TABLE_SCHEMAS_IS_LATEST].as.boolean) {
        l->latest++;
        l->version = record[TABLE_SCHEMAS_SCHEMA_VERSION].as.i64;
    }
    return true;
}

START_TEST(schema_history_names_one_latest_version) {
    struct fixture f;
    struct latest l = {0};
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    struct alter_spec spec = add("x", LAM_TYPE_INT);
    ck_ok(alter(&f, &spec, NULL), &f.err);
    spec = add("y", LAM_TYPE_INT);
    ck_ok(alter(&f, &spec, NULL), &f.err);
    ck_ok(entity_scan(catalog_entity(f.c, ENTITY_TABLE_SCHEMAS), NULL, NULL, 0, note_version, &l,
                      &f.err),
          &f.err);
    ck_assert_int_eq(l.rows, 3);
    ck_assert_int_eq(l.latest, 1);
    ck_assert_int_eq(l.version, 3);
    fixture_close(&f);
}
END_TEST

TEST_MAIN("catalog/ddl_alter", effective_changes_make_versions_and_no_ops_make_none,
          older_rows_show_the_default_of_a_later_column,
          a_column_added_again_does_not_bring_old_values_back, not_null_needs_a_default_or_no_rows,
          the_caller_decides_whether_rows_stand_in_the_way, types_only_widen,
          the_key_can_only_be_renamed, an_indexed_column_can_not_go, roles_and_kinds_limit_alter,
          writers_of_an_older_version_are_told_to_prepare_again,
          schema_history_names_one_latest_version)
