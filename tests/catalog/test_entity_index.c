/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"
#include "tests/catalog/fixture.h"

enum { ITEM_ID, ITEM_COLOUR, ITEM_SERIAL };
static const struct entity_field item_fields[] = {
    {.name = "id", .type = LAM_TYPE_BIGINT, .key = true},
    {.name = "colour", .type = LAM_TYPE_BIGINT},
    {.name = "serial", .type = LAM_TYPE_BIGINT, .nullable = true},
};
static enum lam_code by_colour(const void *context, const struct value *r, struct buf *out,
                               bool *none, struct lam_error *err) {
    (void)context;
    (void)none;
    return key_put_value(out, &r[ITEM_COLOUR], false, false, err);
}
static enum lam_code by_serial(const void *context, const struct value *r, struct buf *out,
                               bool *none, struct lam_error *err) {
    (void)context;
    *none = r[ITEM_SERIAL].is_null;
    return *none ? LAM_OK : key_put_value(out, &r[ITEM_SERIAL], false, false, err);
}
static const struct entity_index item_indexes[] = {
    {.name = "colour", .unique = false, .extract = by_colour},
    {.name = "serial", .unique = true, .extract = by_serial},
};
static const struct entity_def items = {.name = "test_items",
                                        .fields = item_fields,
                                        .field_count = 3,
                                        .indexes = item_indexes,
                                        .index_count = 2};

static void item(struct value *r, int64_t id, int64_t colour, int64_t serial) {
    entity_record_init(&items, r);
    r[ITEM_ID] = value_i64(LAM_TYPE_BIGINT, id);
    r[ITEM_COLOUR] = value_i64(LAM_TYPE_BIGINT, colour);
    if (serial)
        r[ITEM_SERIAL] = value_i64(LAM_TYPE_BIGINT, serial);
}

struct ids {
    int64_t ids[256];
    int count;
};
static bool collect(void *arg, const struct value *record) {
    struct ids *got = arg;
    got->ids[got->count++] = record[ITEM_ID].as.i64;
    return true;
}

static struct ids find(struct fixture *f, struct entity_store *s, const char *index, int64_t v) {
    struct ids got = {.count = 0};
    struct buf prefix = {0};
    struct value value = value_i64(LAM_TYPE_BIGINT, v);
    ck_ok(key_put_value(&prefix, &value, false, false, &f->err), &f->err);
    ck_ok(entity_scan_index(s, NULL, index, buf_slice(&prefix), collect, &got, &f->err), &f->err);
    buf_fini(&prefix);
    return got;
}

START_TEST(entries_follow_their_records) {
    struct fixture f;
    struct entity_store *s = NULL;
    struct value r[3];
    fixture_open(&f);
    ck_ok(entity_store_open(f.db, &items, &s, &f.err), &f.err);
    for (int64_t id = 1; id <= 6; id++) {
        item(r, id, id % 2, 0);
        ck_ok(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    }
    struct ids odd = find(&f, s, "colour", 1);
    ck_assert_int_eq(odd.count, 3);
    ck_assert_int_eq(odd.ids[0], 1);
    ck_assert_int_eq(odd.ids[2], 5);
    item(r, 3, 0, 0);
    ck_ok(entity_update(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    item(r, 5, 0, 0);
    ck_ok(entity_delete(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    ck_assert_int_eq(find(&f, s, "colour", 1).count, 1);
    ck_assert_int_eq(find(&f, s, "colour", 0).count, 4);
    entity_store_close(s);
    fixture_close(&f);
}
END_TEST

START_TEST(unique_refuses_a_second_record) {
    struct fixture f;
    struct entity_store *s = NULL;
    struct value r[3];
    fixture_open(&f);
    ck_ok(entity_store_open(f.db, &items, &s, &f.err), &f.err);
    item(r, 1, 0, 77);
    ck_ok(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    item(r, 2, 0, 77);
    ck_code(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), LAM_EXISTS);
    ck_contains(f.err.message, "\"serial\"");
    ck_assert_int_eq(find(&f, s, "colour", 0).count, 1);
    item(r, 1, 5, 77);
    ck_ok(entity_update(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    item(r, 1, 5, 78);
    ck_ok(entity_update(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    item(r, 2, 0, 77);
    ck_ok(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    item(r, 2, 0, 78);
    ck_code(entity_put(s, r, LAM_DURABILITY_OS, NULL), LAM_EXISTS);
    entity_store_close(s);
    fixture_close(&f);
}
END_TEST

START_TEST(partial_index_leaves_out_nulls) {
    struct fixture f;
    struct entity_store *s = NULL;
    struct value r[3];
    lam_partition *serials = NULL;
    fixture_open(&f);
    ck_ok(entity_store_open(f.db, &items, &s, &f.err), &f.err);
    ck_ok(lam_partition_open(f.db, "system_test_items#serial", &serials, &f.err), &f.err);
    for (int64_t id = 1; id <= 4; id++) {
        item(r, id, 0, id == 3 ? 9 : 0);
        ck_ok(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    }
    ck_assert_int_eq(count_keys(&f, serials), 1);
    item(r, 3, 0, 0);
    ck_ok(entity_put(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    ck_assert_int_eq(count_keys(&f, serials), 0);
    lam_partition_release(serials);
    entity_store_close(s);
    fixture_close(&f);
}
END_TEST

START_TEST(an_entry_that_leads_nowhere_is_corrupt) {
    struct fixture f;
    struct entity_store *s = NULL;
    struct value r[3];
    lam_partition *raw = NULL;
    struct buf key = {0}, prefix = {0};
    struct ids got = {.count = 0};
    fixture_open(&f);
    ck_ok(entity_store_open(f.db, &items, &s, &f.err), &f.err);
    item(r, 1, 4, 0);
    ck_ok(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    ck_ok(lam_partition_open(f.db, "system_test_items", &raw, &f.err), &f.err);
    ck_ok(key_put_value(&key, &r[ITEM_ID], false, false, &f.err), &f.err);
    ck_ok(lam_delete(f.db, NULL, raw, buf_slice(&key), &f.err), &f.err);
    ck_code(entity_scan_index(s, NULL, "colour", buf_slice(&prefix), collect, &got, &f.err),
            LAM_CORRUPT);
    ck_contains(f.err.message, "system_test_items#colour");
    buf_fini(&key);
    lam_partition_release(raw);
    entity_store_close(s);
    fixture_close(&f);
}
END_TEST

START_TEST(an_entry_without_a_key_is_corrupt) {
    static uint8_t longer[LAM_KEY_MAX + 1];
    struct fixture f;
    struct entity_store *s = NULL;
    struct value r[3];
    lam_partition *index = NULL;
    lam_iter *it = NULL;
    struct ids got = {.count = 0};
    fixture_open(&f);
    ck_ok(entity_store_open(f.db, &items, &s, &f.err), &f.err);
    item(r, 1, 4, 0);
    ck_ok(entity_insert(s, r, LAM_DURABILITY_OS, &f.err), &f.err);
    ck_ok(lam_partition_open(f.db, "system_test_items#colour", &index, &f.err), &f.err);
    ck_ok(lam_iter_new(f.db, NULL, index, &it, &f.err), &f.err);
    lam_iter_seek_first(it);
    ck_assert(lam_iter_valid(it));
    for (size_t size = 0; size < sizeof longer + 1; size += sizeof longer) {
        struct lam_slice value = lam_slice_of(longer, size);
        ck_ok(lam_put(f.db, NULL, index, lam_iter_key(it), value, &f.err), &f.err);
        ck_code(entity_scan_index(s, NULL, "colour", SLICE_EMPTY, collect, &got, &f.err),
                LAM_CORRUPT);
        ck_contains(f.err.message, "system_test_items#colour");
    }
    lam_iter_free(it);
    lam_partition_release(index);
    entity_store_close(s);
    fixture_close(&f);
}
END_TEST

/* --- threads --- */

#define THREADS 4
#define ROUNDS  300
#define KEYS    5

struct worker {
    struct fixture *f;
    struct entity_store *s;
    uint64_t seed;
    int won;
    enum lam_code rc; /* first that is neither OK nor expected */
};

static void change_at_random(void *arg) {
    struct worker *w = arg;
    struct rng rng;
    struct value r[3];
    rng_init(&rng, w->seed);
    for (int i = 0; i < ROUNDS; i++) {
        item(r, (int64_t)rng_below(&rng, KEYS), (int64_t)rng_below(&rng, 3),
             (int64_t)rng_below(&rng, 4));
        enum lam_code rc = rng_below(&rng, 4) == 0 ? entity_delete(w->s, r, LAM_DURABILITY_OS, NULL)
                                                   : entity_put(w->s, r, LAM_DURABILITY_OS, NULL);
        if (rc != LAM_OK && rc != LAM_NOT_FOUND && rc != LAM_EXISTS && w->rc == LAM_OK)
            w->rc = rc;
    }
}

struct expectation {
    int records, serials;
    struct fixture *f;
    struct entity_store *s;
};
static bool check_entries(void *arg, const struct value *record) {
    struct expectation *e = arg;
    e->records++;
    struct ids same = find(e->f, e->s, "colour", record[ITEM_COLOUR].as.i64);
    int seen = 0;
    for (int i = 0; i < same.count; i++)
        seen += same.ids[i] == record[ITEM_ID].as.i64;
    ck_assert_int_eq(seen, 1);
    if (!record[ITEM_SERIAL].is_null) {
        e->serials++;
        same = find(e->f, e->s, "serial", record[ITEM_SERIAL].as.i64);
        ck_assert_int_eq(same.count, 1);
        ck_assert_int_eq(same.ids[0], record[ITEM_ID].as.i64);
    }
    return true;
}

START_TEST(concurrent_writers_of_one_key_leave_no_stale_entry) {
    struct fixture f;
    struct entity_store *s = NULL;
    struct worker workers[THREADS];
    struct thread threads[THREADS];
    lam_partition *colours = NULL, *serials = NULL;
    uint64_t seed = test_seed("concurrent_writers");
    fixture_open(&f);
    ck_ok(entity_store_open(f.db, &items, &s, &f.err), &f.err);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.f = &f, .s = s, .seed = seed + (uint64_t)i};
        ck_ok(thread_start(&threads[i], change_at_random, &workers[i], &f.err), &f.err);
    }
    for (int i = 0; i < THREADS; i++) {
        thread_join(threads + i);
        ck_code(workers[i].rc, LAM_OK);
    }
    struct expectation e = {.f = &f, .s = s};
    ck_ok(entity_scan(s, NULL, NULL, 0, check_entries, &e, &f.err), &f.err);
    ck_ok(lam_partition_open(f.db, "system_test_items#colour", &colours, &f.err), &f.err);
    ck_ok(lam_partition_open(f.db, "system_test_items#serial", &serials, &f.err), &f.err);
    ck_assert_int_eq(count_keys(&f, colours), e.records);
    ck_assert_int_eq(count_keys(&f, serials), e.serials);
    lam_partition_release(colours);
    lam_partition_release(serials);
    entity_store_close(s);
    fixture_close(&f);
}
END_TEST

static void insert_same_serials(void *arg) {
    struct worker *w = arg;
    struct value r[3];
    for (int64_t serial = 1; serial <= 50; serial++) {
        item(r, (int64_t)w->seed * 1000 + serial, 0, serial);
        enum lam_code rc = entity_insert(w->s, r, LAM_DURABILITY_OS, NULL);
        w->won += rc == LAM_OK;
        if (rc != LAM_OK && rc != LAM_EXISTS && w->rc == LAM_OK)
            w->rc = rc;
    }
}

START_TEST(unique_stays_unique_under_concurrency) {
    struct fixture f;
    struct entity_store *s = NULL;
    struct worker workers[THREADS];
    struct thread threads[THREADS];
    fixture_open(&f);
    ck_ok(entity_store_open(f.db, &items, &s, &f.err), &f.err);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.f = &f, .s = s, .seed = (uint64_t)i};
        ck_ok(thread_start(&threads[i], insert_same_serials, &workers[i], &f.err), &f.err);
    }
    int won = 0;
    for (int i = 0; i < THREADS; i++) {
        thread_join(threads + i);
        ck_code(workers[i].rc, LAM_OK);
        won += workers[i].won;
    }
    ck_assert_int_eq(won, 50);
    ck_assert_int_eq(find(&f, s, "colour", 0).count, 50);
    entity_store_close(s);
    fixture_close(&f);
}
END_TEST

TEST_MAIN("catalog/entity_index", entries_follow_their_records, unique_refuses_a_second_record,
          partial_index_leaves_out_nulls, an_entry_that_leads_nowhere_is_corrupt,
          an_entry_without_a_key_is_corrupt, concurrent_writers_of_one_key_leave_no_stale_entry,
          unique_stays_unique_under_concurrency)
