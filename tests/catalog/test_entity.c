/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/entity_impl.h"
#include "tests/catalog/fixture.h"

enum { THING_GROUP, THING_NUMBER, THING_NOTE, THING_FLAG, THING_RATIO, THING_UUID, THING_BLOB };
static const struct entity_field thing_fields[] = {
    {.name = "grp", .type = LAM_TYPE_TEXT, .key = true},
    {.name = "number", .type = LAM_TYPE_BIGINT, .key = true},
    {.name = "note", .type = LAM_TYPE_TEXT, .nullable = true},
    {.name = "flag", .type = LAM_TYPE_BOOLEAN},
    {.name = "ratio", .type = LAM_TYPE_DOUBLE, .nullable = true},
    {.name = "uuid", .type = LAM_TYPE_UUID, .nullable = true},
    {.name = "blob", .type = LAM_TYPE_BYTES, .nullable = true},
};
static const struct entity_def things = {
    .name = "test_things", .fields = thing_fields, .field_count = 7};

static void thing(struct value *r, const char *group, int64_t number, const char *note) {
    entity_record_init(&things, r);
    r[THING_GROUP] = value_text(group);
    r[THING_NUMBER] = value_i64(LAM_TYPE_BIGINT, number);
    if (note)
        r[THING_NOTE] = value_text(note);
    r[THING_FLAG] = value_bool(number % 2 == 0);
}

static struct entity_store *open_things(struct fixture *f, const struct entity_def *def) {
    struct entity_store *s = NULL;
    ck_ok(entity_store_open(f->db, def, &s, &f->err), &f->err);
    return s;
}

START_TEST(records_come_back_whole) {
    struct fixture f;
    fixture_open(&f);
    struct entity_store *s = open_things(&f, &things);
    struct value r[7], got[7];
    struct arena arena = {0};
    uint8_t uuid[16] = {1, 2, 3};
    thing(r, "a\0b", -5, "hello");
    r[THING_GROUP] = value_bytes(LAM_TYPE_TEXT, lam_slice_of("a\0b", 3));
    r[THING_RATIO] = value_f64(LAM_TYPE_DOUBLE, -2.5);
    r[THING_UUID] = value_uuid(uuid);
    r[THING_BLOB] = value_bytes(LAM_TYPE_BYTES, lam_slice_of("\xff\x00", 2));
    ck_ok(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    ck_ok(entity_get(s, NULL, r, &arena, got, &f.err), &f.err);
    for (int i = 0; i < 7; i++) {
        ck_assert(!got[i].is_null);
        ck_assert_int_eq(value_cmp(&got[i], &r[i]), 0);
    }
    entity_store_close(s);
    fixture_reopen(&f);
    s = open_things(&f, &things);
    r[THING_NOTE] = value_null(coltype_of(LAM_TYPE_TEXT));
    ck_ok(entity_update(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    ck_ok(entity_get(s, NULL, r, &arena, got, &f.err), &f.err);
    ck_assert(got[THING_NOTE].is_null);
    ck_assert_int_eq(value_cmp(&got[THING_BLOB], &r[THING_BLOB]), 0);
    arena_fini(&arena);
    entity_store_close(s);
    fixture_close(&f);
}
END_TEST

START_TEST(insert_update_put_and_delete_check_presence) {
    struct fixture f;
    fixture_open(&f);
    struct entity_store *s = open_things(&f, &things);
    struct value r[7], got[7];
    struct arena arena = {0};
    thing(r, "g", 1, "one");
    ck_code(entity_update(s, r, LAM_DURABILITY_OS, NULL), LAM_NOT_FOUND);
    ck_code(entity_delete(s, r, LAM_DURABILITY_OS, NULL), LAM_NOT_FOUND);
    ck_ok(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    ck_code(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), LAM_EXISTS);
    ck_contains(f.err.message, "test_things");
    thing(r, "g", 1, "uno");
    ck_ok(entity_put(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    ck_ok(entity_get(s, NULL, r, &arena, got, &f.err), &f.err);
    ck_assert(slice_eq_str(got[THING_NOTE].as.bytes, "uno"));
    ck_ok(entity_delete(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    ck_code(entity_get(s, NULL, r, &arena, got, NULL), LAM_NOT_FOUND);
    arena_fini(&arena);
    entity_store_close(s);
    fixture_close(&f);
}
END_TEST

START_TEST(nulls_and_types_are_checked) {
    struct fixture f;
    fixture_open(&f);
    struct entity_store *s = open_things(&f, &things);
    struct value r[7];
    thing(r, "g", 1, NULL);
    r[THING_FLAG] = value_null(coltype_of(LAM_TYPE_BOOLEAN));
    ck_code(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), LAM_INVALID);
    ck_contains(f.err.message, "flag");
    thing(r, "g", 1, NULL);
    r[THING_NOTE] = value_i64(LAM_TYPE_BIGINT, 1);
    ck_code(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), LAM_INVALID);
    ck_contains(f.err.message, "note");
    entity_store_close(s);
    fixture_close(&f);
}
END_TEST

struct collected {
    int64_t numbers[32];
    int count, stop_after;
};
static bool collect(void *arg, const struct value *record) {
    struct collected *c = arg;
    c->numbers[c->count++] = record[THING_NUMBER].as.i64;
    return c->count != c->stop_after;
}

START_TEST(scans_go_by_key_prefix_in_order) {
    struct fixture f;
    fixture_open(&f);
    struct entity_store *s = open_things(&f, &things);
    struct value r[7], prefix = value_text("b");
    static const int64_t numbers[] = {7, -3, 0, 12};
    for (int i = 0; i < 4; i++) {
        thing(r, "b", numbers[i], NULL);
        ck_ok(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
        thing(r, i % 2 ? "a" : "bb", numbers[i], NULL);
        ck_ok(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    }
    struct collected got = {.stop_after = -1};
    ck_ok(entity_scan(s, NULL, &prefix, 1, collect, &got, &f.err), &f.err);
    ck_assert_int_eq(got.count, 4);
    static const int64_t sorted[] = {-3, 0, 7, 12};
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(got.numbers[i], sorted[i]);
    got = (struct collected){.stop_after = 3};
    ck_ok(entity_scan(s, NULL, NULL, 0, collect, &got, &f.err), &f.err);
    ck_assert_int_eq(got.count, 3);
    entity_store_close(s);
    fixture_close(&f);
}
END_TEST

START_TEST(records_without_a_later_field_read_it_as_null) {
    struct fixture f;
    fixture_open(&f);
    struct entity_def older = things;
    older.field_count = 6;
    struct entity_store *s = open_things(&f, &older);
    struct value r[7], got[7];
    struct arena arena = {0};
    thing(r, "g", 3, "old");
    ck_ok(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    entity_store_close(s);
    s = open_things(&f, &things);
    ck_ok(entity_get(s, NULL, r, &arena, got, &f.err), &f.err);
    ck_assert(got[THING_BLOB].is_null);
    ck_assert(slice_eq_str(got[THING_NOTE].as.bytes, "old"));
    arena_fini(&arena);
    entity_store_close(s);
    fixture_close(&f);
}
END_TEST

START_TEST(damaged_records_are_corrupt_not_absent) {
    struct fixture f;
    fixture_open(&f);
    struct entity_store *s = open_things(&f, &things);
    lam_partition *raw = NULL;
    lam_iter *it = NULL;
    struct value r[7], got[7];
    struct arena arena = {0};
    uint8_t good[256], bad[257];
    thing(r, "g", 4, "note");
    r[THING_RATIO] = value_f64(LAM_TYPE_DOUBLE, 1);
    ck_ok(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    ck_ok(lam_partition_open(f.db, "system_test_things", &raw, &f.err), &f.err);
    ck_ok(lam_iter_new(f.db, NULL, raw, &it, &f.err), &f.err);
    lam_iter_seek_first(it);
    size_t size = lam_iter_value(it).size, key_size = lam_iter_key(it).size;
    uint8_t key[64];
    memcpy(good, lam_iter_value(it).data, size);
    memcpy(key, lam_iter_key(it).data, key_size);
    lam_iter_free(it);
    struct lam_slice k = lam_slice_of(key, key_size);
    for (size_t cut = 0; cut < size; cut++) {
        ck_ok(lam_put(f.db, NULL, raw, k, lam_slice_of(good, cut), &f.err), &f.err);
        ck_code(entity_get(s, NULL, r, &arena, got, &f.err), LAM_CORRUPT);
    }
    memcpy(bad, good, size);
    bad[size] = 0;
    ck_ok(lam_put(f.db, NULL, raw, k, lam_slice_of(bad, size + 1), &f.err), &f.err);
    ck_code(entity_get(s, NULL, r, &arena, got, &f.err), LAM_CORRUPT);
    ck_contains(f.err.message, "system_test_things");
    arena_fini(&arena);
    lam_partition_release(raw);
    entity_store_close(s);
    fixture_close(&f);
}
END_TEST

/* Whose checksums hold, but which nothing here writes: a column of INT has no room for them. */
START_TEST(records_with_values_beyond_their_type_are_corrupt) {
    static const struct {
        struct entity_field field;
        const char *bytes;
        size_t size;
    } cases[] = {
        {{.name = "v", .type = LAM_TYPE_SMALLINT}, "\x80\x80\x04", 3},
        {{.name = "v", .type = LAM_TYPE_INT}, "\x80\x80\x80\x80\x10", 5},
        {{.name = "v", .type = LAM_TYPE_DATE}, "\x80\x80\x80\x80\x10", 5},
        {{.name = "v", .type = LAM_TYPE_TIME}, "\x01", 1},
        {{.name = "v", .type = LAM_TYPE_FLOAT}, "\x01\0\0\0\0\0\xf0\x3f", 8},
        {{.name = "v", .type = LAM_TYPE_DECIMAL, .precision = 2},
         "d\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
         16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct entity_field fields[] = {{.name = "k", .type = LAM_TYPE_BOOLEAN, .key = true},
                                        cases[i].field};
        struct entity_def def = {.name = "odd", .fields = fields, .field_count = 2};
        struct arena arena = {0};
        struct value got[2];
        struct buf record = {0};
        ck_assert(buf_append(&record, "\1\1\1", 3, NULL) == LAM_OK);
        ck_assert(buf_append(&record, cases[i].bytes, cases[i].size, NULL) == LAM_OK);
        ck_code(record_decode(&def, "odd", lam_slice_of("\1", 1), buf_slice(&record), &arena, got,
                              NULL),
                LAM_CORRUPT);
        buf_fini(&record);
        arena_fini(&arena);
    }
}
END_TEST

START_TEST(records_with_bits_for_no_field_are_corrupt) {
    static const struct entity_field fields[] = {
        {.name = "k", .type = LAM_TYPE_BOOLEAN, .key = true},
        {.name = "v", .type = LAM_TYPE_BOOLEAN, .nullable = true}};
    static const struct entity_def def = {.name = "odd", .fields = fields, .field_count = 2};
    struct arena arena = {0};
    struct value got[2];
    struct lam_slice key = lam_slice_of("\1", 1);
    ck_assert(record_decode(&def, "odd", key, lam_slice_of("\1\1\0", 3), &arena, got, NULL) ==
              LAM_OK);
    ck_code(record_decode(&def, "odd", key, lam_slice_of("\1\1\2", 3), &arena, got, NULL),
            LAM_CORRUPT);
    arena_fini(&arena);
}
END_TEST

START_TEST(snapshots_see_records_of_their_moment) {
    struct fixture f;
    fixture_open(&f);
    struct entity_store *s = open_things(&f, &things);
    struct value r[7], got[7];
    struct arena arena = {0};
    lam_snapshot *before = NULL;
    thing(r, "g", 1, "old");
    ck_ok(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    ck_ok(lam_snapshot_new(f.db, &before, &f.err), &f.err);
    thing(r, "g", 1, "young");
    ck_ok(entity_update(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    ck_ok(entity_get(s, before, r, &arena, got, &f.err), &f.err);
    ck_assert(slice_eq_str(got[THING_NOTE].as.bytes, "old"));
    lam_snapshot_free(before);
    arena_fini(&arena);
    entity_store_close(s);
    fixture_close(&f);
}
END_TEST

TEST_MAIN("catalog/entity", records_come_back_whole, insert_update_put_and_delete_check_presence,
          nulls_and_types_are_checked, scans_go_by_key_prefix_in_order,
          records_without_a_later_field_read_it_as_null, damaged_records_are_corrupt_not_absent,
          records_with_bits_for_no_field_are_corrupt,
          records_with_values_beyond_their_type_are_corrupt, snapshots_see_records_of_their_moment)
