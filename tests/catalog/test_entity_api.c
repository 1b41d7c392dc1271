/* SPDX-License-Identifier: Apache-2.0 */
#include "lamina/entity.h"

#include <math.h>

#include "base/rng.h"
#include "tests/catalog/fixture.h"
#include "tests/support/oom.h"

#define D    LAM_DURABILITY_DEFAULT
#define I(v) lam_cell_int64(LAM_TYPE_BIGINT, (v))

/* --- notes: two key fields, a unique, a partial and a descending index --- */

enum { NOTE_OWNER, NOTE_ID, NOTE_SERIAL, NOTE_ACTIVE, NOTE_RANK, NOTE_FIELDS };
static const struct lam_entity_field note_fields[] = {
    {.name = "owner", .type = LAM_TYPE_TEXT, .key = true},
    {.name = "id", .type = LAM_TYPE_BIGINT, .key = true},
    {.name = "serial", .type = LAM_TYPE_BIGINT, .nullable = true},
    {.name = "active", .type = LAM_TYPE_BOOLEAN},
    {.name = "rank", .type = LAM_TYPE_BIGINT, .nullable = true},
};
static const struct lam_entity_part serial_parts[] = {{.field = "serial"}};
static const struct lam_entity_part rank_parts[] = {{.field = "owner"},
                                                    {.field = "rank", .descending = true}};
static bool wants_active(void *arg, const struct lam_cell *record) {
    ck_assert_ptr_eq(arg, &note_fields);
    return record[NOTE_ACTIVE].as.boolean;
}
static const struct lam_entity_index note_indexes[] = {
    {.name = "by_serial", .unique = true, .parts = serial_parts, .part_count = 1},
    {.name = "ranked",
     .parts = rank_parts,
     .part_count = 2,
     .wants = wants_active,
     .arg = (void *)&note_fields},
};
static const struct lam_entity_desc notes = {"notes", note_fields, NOTE_FIELDS, note_indexes, 2};

struct note {
    const char *owner;
    int64_t id;
    int64_t serial; /* 0: NULL */
    bool active;
    int64_t rank; /* 0: NULL */
};
static void cells_of(const struct note *n, struct lam_cell *out) {
    out[NOTE_OWNER] = lam_cell_text(n->owner);
    out[NOTE_ID] = I(n->id);
    out[NOTE_SERIAL] = n->serial ? I(n->serial) : lam_cell_null();
    out[NOTE_ACTIVE] = lam_cell_bool(n->active);
    out[NOTE_RANK] = n->rank ? I(n->rank) : lam_cell_null();
}

static lam_entity *open_entity(struct fixture *f, const struct lam_entity_desc *desc) {
    lam_entity *e = NULL;
    ck_ok(lam_entity_open(f->db, desc, &e, &f->err), &f->err);
    return e;
}

static void put(struct fixture *f, lam_entity *e, struct note n) {
    struct lam_cell cells[NOTE_FIELDS];
    cells_of(&n, cells);
    ck_ok(lam_entity_put(e, cells, D, &f->err), &f->err);
}

struct found {
    int64_t ids[512];
    int count, stop_at;
};
static bool collect(void *arg, const struct lam_cell *record) {
    struct found *found = arg;
    found->ids[found->count++] = record[NOTE_ID].as.int64;
    return found->count != found->stop_at;
}
static struct found scan(struct fixture *f, lam_entity *e, const struct lam_cell *prefix,
                         uint32_t count) {
    struct found found = {.count = 0};
    ck_ok(lam_entity_scan(e, NULL, prefix, count, collect, &found, &f->err), &f->err);
    return found;
}
static struct found scan_index(struct fixture *f, lam_entity *e, const char *index,
                               const struct lam_cell *prefix, uint32_t count) {
    struct found found = {.count = 0};
    ck_ok(lam_entity_scan_index(e, NULL, index, prefix, count, collect, &found, &f->err), &f->err);
    return found;
}
static int raw_count(struct fixture *f, const char *partition) {
    lam_partition *p = NULL;
    ck_ok(lam_partition_open(f->db, partition, &p, &f->err), &f->err);
    int n = count_keys(f, p);
    lam_partition_release(p);
    return n;
}

/* --- values --- */

enum {
    ALL_ID,
    ALL_BOOLEAN,
    ALL_SMALLINT,
    ALL_INT,
    ALL_BIGINT,
    ALL_FLOAT,
    ALL_DOUBLE,
    ALL_DECIMAL,
    ALL_TEXT,
    ALL_BYTES,
    ALL_TIMESTAMP,
    ALL_DATE,
    ALL_TIME,
    ALL_UUID,
    ALL_JSON,
    ALL_FIELDS
};
#define NULLABLE(n, t)                                                                             \
    { .name = n, .type = LAM_TYPE_##t, .nullable = true }
static const struct lam_entity_field all_fields[] = {
    {.name = "id", .type = LAM_TYPE_BIGINT, .key = true},
    NULLABLE("b", BOOLEAN),
    NULLABLE("s", SMALLINT),
    NULLABLE("i", INT),
    NULLABLE("l", BIGINT),
    NULLABLE("f", FLOAT),
    NULLABLE("g", DOUBLE),
    {.name = "d", .type = LAM_TYPE_DECIMAL, .precision = 10, .scale = 3, .nullable = true},
    NULLABLE("t", TEXT),
    NULLABLE("z", BYTES),
    NULLABLE("ts", TIMESTAMP),
    NULLABLE("dt", DATE),
    NULLABLE("tm", TIME),
    NULLABLE("u", UUID),
    NULLABLE("j", JSON),
};
/* One index over each field, in order and backwards: every type is an index part too. */
static const struct lam_entity_part all_parts[] = {
    {"b", true},  {"s", false},  {"i", true},  {"l", false}, {"f", true},
    {"g", false}, {"d", true},   {"t", false}, {"z", true},  {"ts", false},
    {"dt", true}, {"tm", false}, {"u", true},  {"j", false},
};
static const struct lam_entity_index all_indexes[] = {
    {.name = "everything", .parts = all_parts, .part_count = 14},
};
static const struct lam_entity_desc all_types = {"all_types", all_fields, ALL_FIELDS, all_indexes,
                                                 1};

static const uint8_t some_uuid[16] = {1, 2, 3, 0xff, 0, 9};

static void fill(struct lam_cell *c, int64_t id) {
    c[ALL_ID] = I(id);
    c[ALL_BOOLEAN] = lam_cell_bool(true);
    c[ALL_SMALLINT] = lam_cell_int64(LAM_TYPE_SMALLINT, INT16_MIN);
    c[ALL_INT] = lam_cell_int64(LAM_TYPE_INT, INT32_MAX);
    c[ALL_BIGINT] = I(INT64_MIN);
    c[ALL_FLOAT] = lam_cell_double(LAM_TYPE_FLOAT, 0.1);
    c[ALL_DOUBLE] = lam_cell_double(LAM_TYPE_DOUBLE, -2.5e300);
    c[ALL_DECIMAL] = lam_cell_bytes(LAM_TYPE_DECIMAL, S("-1234567.5"));
    c[ALL_TEXT] = lam_cell_bytes(LAM_TYPE_TEXT, lam_slice_of("h\xc3\xb6\0x", 5));
    c[ALL_BYTES] = lam_cell_bytes(LAM_TYPE_BYTES, lam_slice_of("\xff\x00\x01", 3));
    c[ALL_TIMESTAMP] = lam_cell_int64(LAM_TYPE_TIMESTAMP, -1);
    c[ALL_DATE] = lam_cell_int64(LAM_TYPE_DATE, 20000);
    c[ALL_TIME] = lam_cell_int64(LAM_TYPE_TIME, DAY_MICROS - 1);
    c[ALL_UUID] = lam_cell_uuid(some_uuid);
    c[ALL_JSON] = lam_cell_bytes(LAM_TYPE_JSON, S("{\"a\": [1, null]}"));
}

static void check_filled(const struct lam_cell *c) {
    for (int i = 0; i < ALL_FIELDS; i++) {
        ck_assert(!c[i].is_null);
        ck_assert_int_eq(c[i].type, all_fields[i].type);
    }
    ck_assert(c[ALL_BOOLEAN].as.boolean);
    ck_assert_int_eq(c[ALL_SMALLINT].as.int64, INT16_MIN);
    ck_assert_int_eq(c[ALL_INT].as.int64, INT32_MAX);
    ck_assert_int_eq(c[ALL_BIGINT].as.int64, INT64_MIN);
    ck_assert(c[ALL_FLOAT].as.float64 == (double)0.1f);
    ck_assert(c[ALL_DOUBLE].as.float64 == -2.5e300);
    ck_assert(slice_eq_str(c[ALL_DECIMAL].as.bytes, "-1234567.500"));
    ck_assert(slice_eq(c[ALL_TEXT].as.bytes, lam_slice_of("h\xc3\xb6\0x", 5)));
    ck_assert(slice_eq(c[ALL_BYTES].as.bytes, lam_slice_of("\xff\x00\x01", 3)));
    ck_assert_int_eq(c[ALL_TIMESTAMP].as.int64, -1);
    ck_assert_int_eq(c[ALL_DATE].as.int64, 20000);
    ck_assert_int_eq(c[ALL_TIME].as.int64, DAY_MICROS - 1);
    ck_assert(memcmp(c[ALL_UUID].as.uuid, some_uuid, 16) == 0);
    ck_assert(slice_eq_str(c[ALL_JSON].as.bytes, "{\"a\": [1, null]}"));
}

static bool check_and_count(void *arg, const struct lam_cell *record) {
    check_filled(record);
    ++*(int *)arg;
    return true;
}

START_TEST(cells_of_every_type_come_back) {
    struct fixture f;
    struct lam_cell c[ALL_FIELDS];
    struct lam_record r = {0};
    fixture_open(&f);
    lam_entity *e = open_entity(&f, &all_types);
    fill(c, 1);
    ck_ok(lam_entity_insert(e, c, D, &f.err), &f.err);
    for (int i = 1; i < ALL_FIELDS; i++)
        c[i] = lam_cell_null();
    c[ALL_ID] = I(2);
    ck_ok(lam_entity_insert(e, c, D, &f.err), &f.err);
    lam_entity_close(e);
    fixture_reopen(&f);
    e = open_entity(&f, &all_types);
    ck_ok(lam_entity_get(e, NULL, &(struct lam_cell){.type = LAM_TYPE_BIGINT, .as.int64 = 1}, &r,
                         &f.err),
          &f.err);
    ck_assert_uint_eq(r.count, ALL_FIELDS);
    check_filled(r.cells);
    lam_record_release(&r);
    ck_assert_ptr_null(r.cells);
    ck_ok(lam_entity_get(e, NULL, c, &r, &f.err), &f.err);
    for (int i = 1; i < ALL_FIELDS; i++)
        ck_assert(r.cells[i].is_null);
    lam_record_release(&r);
    fill(c, 0);
    for (uint32_t parts = 1; parts <= 14; parts++) {
        int seen = 0;
        ck_ok(lam_entity_scan_index(e, NULL, "everything", c + 1, parts, check_and_count, &seen,
                                    &f.err),
              &f.err);
        ck_assert_int_eq(seen, 1);
    }
    lam_entity_close(e);
    fixture_close(&f);
}
END_TEST

START_TEST(cells_that_do_not_fit_are_refused_by_name) {
    static const struct {
        int field;
        struct lam_cell cell;
        const char *message;
    } bad[] = {
        {ALL_SMALLINT, {.type = LAM_TYPE_SMALLINT, .as.int64 = 32768}, "32768 is out of range"},
        {ALL_INT, {.type = LAM_TYPE_INT, .as.int64 = INT64_C(-2147483649)}, "\"i\""},
        {ALL_INT, {.type = LAM_TYPE_BIGINT, .as.int64 = 1}, "is INT, the cell is BIGINT"},
        {ALL_INT, {.type = (enum lam_type)99}, "of no type"},
        {ALL_FLOAT, {.type = LAM_TYPE_FLOAT, .as.float64 = 1e39}, "out of range"},
        {ALL_TIME, {.type = LAM_TYPE_TIME, .as.int64 = -1}, "\"tm\""},
        {ALL_DATE, {.type = LAM_TYPE_DATE, .as.int64 = 5000000}, "\"dt\""},
        {ALL_TIMESTAMP, {.type = LAM_TYPE_TIMESTAMP, .as.int64 = INT64_MAX}, "\"ts\""},
        {ALL_TEXT, {.type = LAM_TYPE_TEXT, .as.bytes = {(const uint8_t *)"a\xff", 2}}, "byte 1"},
        {ALL_TEXT, {.type = LAM_TYPE_TEXT, .as.bytes = {NULL, 2}}, "2 bytes at NULL"},
        {ALL_JSON, {.type = LAM_TYPE_JSON, .as.bytes = {(const uint8_t *)"{]", 2}}, "not JSON"},
        {ALL_DECIMAL,
         {.type = LAM_TYPE_DECIMAL, .as.bytes = {(const uint8_t *)"1.2345", 6}},
         "does not fit DECIMAL(10,3)"},
        {ALL_DECIMAL,
         {.type = LAM_TYPE_DECIMAL, .as.bytes = {(const uint8_t *)"12345678", 8}},
         "12345678 does not fit"},
        {ALL_DECIMAL, {.type = LAM_TYPE_DECIMAL, .as.bytes = {(const uint8_t *)"one", 3}}, "\"d\""},
        {ALL_ID, {.is_null = true}, "field \"id\": may not be NULL"},
    };
    struct fixture f;
    struct lam_cell c[ALL_FIELDS];
    fixture_open(&f);
    lam_entity *e = open_entity(&f, &all_types);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fill(c, 1);
        c[bad[i].field] = bad[i].cell;
        ck_code(lam_entity_put(e, c, D, &f.err), LAM_INVALID);
        ck_contains(f.err.message, "entity:all_types");
        ck_contains(f.err.message, bad[i].message);
    }
    ck_assert_int_eq(scan(&f, e, NULL, 0).count, 0);
    fill(c, 1);
    c[ALL_DECIMAL] = lam_cell_bytes(LAM_TYPE_DECIMAL, S("1.2300000"));
    ck_ok(lam_entity_put(e, c, D, &f.err), &f.err);
    lam_entity_close(e);
    fixture_close(&f);
}
END_TEST

/* --- changes and indexes --- */

START_TEST(insert_update_put_and_delete_check_presence) {
    struct fixture f;
    struct lam_cell c[NOTE_FIELDS];
    struct lam_record r = {0};
    fixture_open(&f);
    lam_entity *e = open_entity(&f, &notes);
    cells_of(&(struct note){"ann", 1, 0, true, 0}, c);
    ck_code(lam_entity_update(e, c, D, &f.err), LAM_NOT_FOUND);
    ck_code(lam_entity_delete(e, c, D, NULL), LAM_NOT_FOUND);
    ck_code(lam_entity_get(e, NULL, c, &r, &f.err), LAM_NOT_FOUND);
    ck_ok(lam_entity_insert(e, c, D, &f.err), &f.err);
    ck_code(lam_entity_insert(e, c, D, &f.err), LAM_EXISTS);
    ck_contains(f.err.message, "entity:notes");
    cells_of(&(struct note){"ann", 1, 5, false, 0}, c);
    ck_ok(lam_entity_update(e, c, D, &f.err), &f.err);
    ck_ok(lam_entity_get(e, NULL, c, &r, &f.err), &f.err);
    ck_assert_int_eq(r.cells[NOTE_SERIAL].as.int64, 5);
    lam_record_release(&r);
    ck_ok(lam_entity_delete(e, c, D, &f.err), &f.err);
    ck_assert_int_eq(scan(&f, e, NULL, 0).count, 0);
    ck_assert_int_eq(raw_count(&f, "entity:notes#by_serial"), 0);
    lam_entity_close(e);
    fixture_close(&f);
}
END_TEST

START_TEST(unique_refuses_a_second_record_but_not_a_second_null) {
    struct fixture f;
    struct lam_cell c[NOTE_FIELDS], serial[] = {I(7)}, none[] = {lam_cell_null()};
    fixture_open(&f);
    lam_entity *e = open_entity(&f, &notes);
    put(&f, e, (struct note){"ann", 1, 7, true, 0});
    put(&f, e, (struct note){"ann", 2, 0, true, 0});
    put(&f, e, (struct note){"bob", 3, 0, true, 0});
    cells_of(&(struct note){"bob", 1, 7, true, 0}, c);
    ck_code(lam_entity_insert(e, c, D, &f.err), LAM_EXISTS);
    ck_contains(f.err.message, "\"by_serial\"");
    ck_code(lam_entity_put(e, c, D, NULL), LAM_EXISTS);
    ck_assert_int_eq(scan(&f, e, NULL, 0).count, 3);
    ck_assert_int_eq(scan_index(&f, e, "by_serial", serial, 1).count, 1);
    struct found nulls = scan_index(&f, e, "by_serial", none, 1);
    ck_assert_int_eq(nulls.count, 2);
    ck_assert_int_eq(nulls.ids[0], 2);
    ck_assert_int_eq(nulls.ids[1], 3);
    put(&f, e, (struct note){"ann", 1, 8, true, 0});
    ck_ok(lam_entity_insert(e, c, D, &f.err), &f.err);
    ck_assert_int_eq(raw_count(&f, "entity:notes#by_serial"), 4);
    lam_entity_close(e);
    fixture_close(&f);
}
END_TEST

START_TEST(partial_index_holds_what_it_wants_in_its_order) {
    struct fixture f;
    struct lam_cell ann[] = {lam_cell_text("ann"), I(30)};
    fixture_open(&f);
    lam_entity *e = open_entity(&f, &notes);
    put(&f, e, (struct note){"ann", 1, 0, true, 10});
    put(&f, e, (struct note){"ann", 2, 0, true, 30});
    put(&f, e, (struct note){"ann", 3, 0, false, 20});
    put(&f, e, (struct note){"ann", 4, 0, true, 0});
    put(&f, e, (struct note){"bob", 5, 0, true, 99});
    struct found all = scan_index(&f, e, "ranked", ann, 1);
    ck_assert_int_eq(all.count, 3);
    ck_assert_int_eq(all.ids[0], 4);
    ck_assert_int_eq(all.ids[1], 2);
    ck_assert_int_eq(all.ids[2], 1);
    ck_assert_int_eq(scan_index(&f, e, "ranked", ann, 2).ids[0], 2);
    put(&f, e, (struct note){"ann", 3, 0, true, 20});
    put(&f, e, (struct note){"ann", 1, 0, false, 10});
    all = scan_index(&f, e, "ranked", ann, 1);
    ck_assert_int_eq(all.count, 3);
    ck_assert_int_eq(all.ids[2], 3);
    lam_entity_close(e);
    fixture_close(&f);
}
END_TEST

START_TEST(key_prefixes_select_records_in_key_order) {
    struct fixture f;
    struct lam_cell key[2] = {lam_cell_text("b"), I(2)};
    lam_snapshot *snapshot = NULL;
    fixture_open(&f);
    lam_entity *e = open_entity(&f, &notes);
    for (int64_t id = 3; id >= -1; id--) {
        put(&f, e, (struct note){"a", id, 0, true, 0});
        put(&f, e, (struct note){"b", id, 0, true, 0});
        put(&f, e, (struct note){"ba", id, 0, true, 0});
    }
    ck_assert_int_eq(scan(&f, e, NULL, 0).count, 15);
    struct found b = scan(&f, e, key, 1);
    ck_assert_int_eq(b.count, 5);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(b.ids[i], i - 1);
    ck_assert_int_eq(scan(&f, e, key, 2).count, 1);
    struct found two = {.stop_at = 2};
    ck_ok(lam_entity_scan(e, NULL, key, 1, collect, &two, &f.err), &f.err);
    ck_assert_int_eq(two.count, 2);
    ck_ok(lam_snapshot_new(f.db, &snapshot, &f.err), &f.err);
    ck_ok(lam_entity_delete(e, key, D, &f.err), &f.err);
    ck_assert_int_eq(scan(&f, e, key, 1).count, 4);
    struct found old = {.count = 0};
    ck_ok(lam_entity_scan(e, snapshot, key, 1, collect, &old, &f.err), &f.err);
    ck_assert_int_eq(old.count, 5);
    lam_snapshot_free(snapshot);
    lam_entity_close(e);
    fixture_close(&f);
}
END_TEST

/* A scan may change what it scans. */
struct eraser {
    lam_entity *e;
    int erased;
};
static bool erase(void *arg, const struct lam_cell *record) {
    struct eraser *eraser = arg;
    ck_code(lam_entity_delete(eraser->e, record, D, NULL), LAM_OK);
    eraser->erased++;
    return true;
}
START_TEST(a_scan_may_delete_what_it_sees) {
    struct fixture f;
    fixture_open(&f);
    lam_entity *e = open_entity(&f, &notes);
    for (int64_t id = 0; id < 20; id++)
        put(&f, e, (struct note){"a", id, 0, true, id});
    struct eraser eraser = {e, 0};
    ck_ok(lam_entity_scan_index(e, NULL, "ranked", NULL, 0, erase, &eraser, &f.err), &f.err);
    ck_assert_int_eq(eraser.erased, 20);
    ck_assert_int_eq(raw_count(&f, "entity:notes#ranked"), 0);
    ck_assert_int_eq(raw_count(&f, "entity:notes"), 0);
    lam_entity_close(e);
    fixture_close(&f);
}
END_TEST

/* --- model --- */

#define OWNERS 3
#define IDS    8
static const char *const owners[OWNERS] = {"a", "a\x01", "b"};

struct model {
    bool present[OWNERS][IDS];
    struct note notes[OWNERS][IDS];
};

static bool serial_taken(const struct model *m, const struct note *n) {
    for (int o = 0; o < OWNERS; o++)
        for (int i = 0; i < IDS; i++)
            if (m->present[o][i] && n->serial && m->notes[o][i].serial == n->serial &&
                !(strcmp(owners[o], n->owner) == 0 && i == n->id))
                return true;
    return false;
}

static void change_one(struct fixture *f, lam_entity *e, struct model *m, struct rng *rng) {
    int o = (int)rng_below(rng, OWNERS), i = (int)rng_below(rng, IDS);
    struct note n = {owners[o], i, (int64_t)rng_below(rng, 12), rng_below(rng, 2),
                     (int64_t)rng_below(rng, 4)};
    struct lam_cell c[NOTE_FIELDS];
    enum lam_code expected, got;
    bool was = m->present[o][i];
    cells_of(&n, c);
    switch (rng_below(rng, 4)) {
    case 0:
        got = lam_entity_delete(e, c, D, &f->err);
        ck_code(got, was ? LAM_OK : LAM_NOT_FOUND);
        m->present[o][i] = false;
        return;
    case 1:
        expected = was || serial_taken(m, &n) ? LAM_EXISTS : LAM_OK;
        got = lam_entity_insert(e, c, D, &f->err);
        break;
    case 2:
        expected = !was ? LAM_NOT_FOUND : serial_taken(m, &n) ? LAM_EXISTS : LAM_OK;
        got = lam_entity_update(e, c, D, &f->err);
        break;
    default:
        expected = serial_taken(m, &n) ? LAM_EXISTS : LAM_OK;
        got = lam_entity_put(e, c, D, &f->err);
    }
    ck_code(got, expected);
    if (got == LAM_OK) {
        m->present[o][i] = true;
        m->notes[o][i] = n;
    }
}

static void check_model(struct fixture *f, lam_entity *e, const struct model *m) {
    int records = 0, active = 0;
    for (int o = 0; o < OWNERS; o++) {
        struct lam_cell owner[2] = {lam_cell_text(owners[o])};
        struct found found = scan(f, e, owner, 1);
        int at = 0;
        for (int i = 0; i < IDS; i++) {
            if (!m->present[o][i])
                continue;
            const struct note *n = &m->notes[o][i];
            struct lam_cell c[NOTE_FIELDS];
            cells_of(n, c);
            ck_assert_int_lt(at, found.count);
            ck_assert_int_eq(found.ids[at++], i);
            records++;
            active += n->active;
            if (n->serial)
                ck_assert_int_eq(scan_index(f, e, "by_serial", &c[NOTE_SERIAL], 1).count, 1);
            owner[1] = c[NOTE_RANK];
            struct found ranked = scan_index(f, e, "ranked", owner, 2);
            int seen = 0;
            for (int k = 0; k < ranked.count; k++)
                seen += ranked.ids[k] == i;
            ck_assert_int_eq(seen, n->active);
        }
        ck_assert_int_eq(found.count, at);
    }
    ck_assert_int_eq(raw_count(f, "entity:notes"), records);
    ck_assert_int_eq(raw_count(f, "entity:notes#by_serial"), records);
    ck_assert_int_eq(raw_count(f, "entity:notes#ranked"), active);
}

START_TEST(indexes_stay_in_step_with_a_model) {
    struct fixture f;
    struct rng rng;
    static struct model m;
    rng_init(&rng, test_seed("entity model"));
    fixture_open(&f);
    lam_entity *e = open_entity(&f, &notes);
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 40; i++)
            change_one(&f, e, &m, &rng);
        if (round % 10 == 9) {
            lam_entity_close(e);
            fixture_reopen(&f);
            e = open_entity(&f, &notes);
        }
        check_model(&f, e, &m);
    }
    lam_entity_close(e);
    fixture_close(&f);
}
END_TEST

/* --- threads --- */

#define THREADS 4
struct worker {
    lam_entity *e;
    uint64_t seed;
    int won;
    enum lam_code rc; /* first that is not expected */
};

static void change_at_random(void *arg) {
    struct worker *w = arg;
    struct rng rng;
    rng_init(&rng, w->seed);
    for (int i = 0; i < 300; i++) {
        struct note n = {owners[0], (int64_t)rng_below(&rng, 4), (int64_t)rng_below(&rng, 4),
                         rng_below(&rng, 2), (int64_t)rng_below(&rng, 3)};
        struct lam_cell c[NOTE_FIELDS];
        struct found found = {.count = 0};
        cells_of(&n, c);
        enum lam_code rc = rng_below(&rng, 4) == 0 ? lam_entity_delete(w->e, c, D, NULL)
                                                   : lam_entity_put(w->e, c, D, NULL);
        if (rc == LAM_OK || rc == LAM_NOT_FOUND || rc == LAM_EXISTS)
            rc = lam_entity_scan_index(w->e, NULL, "ranked", c, 1, collect, &found, NULL);
        if (rc != LAM_OK && w->rc == LAM_OK)
            w->rc = rc;
    }
}

static void run_threads(struct fixture *f, lam_entity *e, void (*fn)(void *),
                        struct worker *workers) {
    struct thread threads[THREADS];
    uint64_t seed = test_seed("entity threads");
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.e = e, .seed = seed + (uint64_t)i};
        ck_ok(thread_start(&threads[i], fn, &workers[i], &f->err), &f->err);
    }
    for (int i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
        ck_code(workers[i].rc, LAM_OK);
    }
}

/* The model of what is there, so that check_model can look at the indexes. */
static bool learn(void *arg, const struct lam_cell *record) {
    struct model *m = arg;
    int64_t id = record[NOTE_ID].as.int64;
    m->present[0][id] = true;
    m->notes[0][id] = (struct note){
        owners[0], id, record[NOTE_SERIAL].is_null ? 0 : record[NOTE_SERIAL].as.int64,
        record[NOTE_ACTIVE].as.boolean, record[NOTE_RANK].is_null ? 0 : record[NOTE_RANK].as.int64};
    return true;
}

START_TEST(concurrent_writers_of_one_key_leave_no_stale_entry) {
    struct fixture f;
    struct worker workers[THREADS];
    static struct model m;
    fixture_open(&f);
    lam_entity *e = open_entity(&f, &notes);
    run_threads(&f, e, change_at_random, workers);
    ck_ok(lam_entity_scan(e, NULL, NULL, 0, learn, &m, &f.err), &f.err);
    check_model(&f, e, &m);
    lam_entity_close(e);
    fixture_close(&f);
}
END_TEST

static void insert_same_serials(void *arg) {
    struct worker *w = arg;
    for (int64_t serial = 1; serial <= 50; serial++) {
        struct lam_cell c[NOTE_FIELDS];
        cells_of(&(struct note){"x", (int64_t)(w->seed % 1000) * 1000 + serial, serial, true, 0},
                 c);
        enum lam_code rc = lam_entity_insert(w->e, c, D, NULL);
        w->won += rc == LAM_OK;
        if (rc != LAM_OK && rc != LAM_EXISTS && w->rc == LAM_OK)
            w->rc = rc;
    }
}

START_TEST(unique_stays_unique_under_concurrency) {
    struct fixture f;
    struct worker workers[THREADS];
    int won = 0;
    fixture_open(&f);
    lam_entity *e = open_entity(&f, &notes);
    run_threads(&f, e, insert_same_serials, workers);
    for (int i = 0; i < THREADS; i++)
        won += workers[i].won;
    ck_assert_int_eq(won, 50);
    ck_assert_int_eq(scan(&f, e, NULL, 0).count, 50);
    lam_entity_close(e);
    fixture_close(&f);
}
END_TEST

static void open_and_close(void *arg) {
    struct worker *w = arg;
    for (int i = 0; i < 20; i++) {
        lam_entity *e = NULL;
        enum lam_code rc = lam_entity_open((lam_db *)w->e, &notes, &e, NULL);
        w->won += rc == LAM_OK;
        lam_entity_close(e);
        if (rc != LAM_OK && rc != LAM_BUSY && w->rc == LAM_OK)
            w->rc = rc;
    }
}

START_TEST(threads_may_race_to_make_an_entity) {
    struct fixture f;
    struct worker workers[THREADS];
    int won = 0;
    fixture_open(&f);
    run_threads(&f, (lam_entity *)f.db, open_and_close, workers);
    for (int i = 0; i < THREADS; i++)
        won += workers[i].won;
    ck_assert_int_gt(won, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(running_out_of_memory_anywhere_leaks_nothing_and_keeps_step) {
    struct fixture f;
    struct lam_cell c[NOTE_FIELDS];
    static struct model m;
    bool whole = false;
    size_t nth;
    fixture_open(&f);
    lam_entity_close(open_entity(&f, &notes));
    for (nth = 1; !whole; nth++) {
        lam_entity *e = NULL;
        struct lam_record r = {0};
        struct found found = {.count = 0};
        cells_of(&(struct note){owners[0], (int64_t)(nth % IDS), 0, true, (int64_t)nth}, c);
        oom_arm(nth);
        enum lam_code rc = lam_entity_open(f.db, &notes, &e, NULL);
        if (rc == LAM_OK)
            rc = lam_entity_put(e, c, D, NULL);
        if (rc == LAM_OK)
            rc = lam_entity_get(e, NULL, c, &r, NULL);
        if (rc == LAM_OK)
            rc = lam_entity_scan_index(e, NULL, "ranked", c, 1, collect, &found, NULL);
        oom_arm(0);
        whole = rc == LAM_OK;
        ck_assert(whole || rc == LAM_NO_MEMORY || rc == LAM_UNKNOWN_OUTCOME);
        lam_record_release(&r);
        lam_entity_close(e);
        /* The disk is in memory too. It had none for the log: no more writes until a reopen. */
        if (rc == LAM_UNKNOWN_OUTCOME) {
            ck_code(lam_db_close(f.db, &f.err), LAM_READ_ONLY);
            fixture_open_db(&f);
        }
    }
    ck_assert_uint_gt(nth, 30);
    lam_entity *e = open_entity(&f, &notes);
    ck_ok(lam_entity_scan(e, NULL, NULL, 0, learn, &m, &f.err), &f.err);
    check_model(&f, e, &m);
    lam_entity_close(e);
    fixture_close(&f);
}
END_TEST

/* --- opening --- */

static void refuse(struct fixture *f, const struct lam_entity_desc *desc, enum lam_code code,
                   const char *message) {
    lam_entity *e = (lam_entity *)f;
    ck_code(lam_entity_open(f->db, desc, &e, &f->err), code);
    ck_contains(f->err.message, message);
    ck_assert_ptr_null(e);
}

START_TEST(faulty_descriptions_are_invalid) {
    static const struct lam_entity_field key = {.name = "id", .type = LAM_TYPE_BIGINT, .key = true};
    static const struct {
        struct lam_entity_field field;
        const char *message;
    } fields[] = {
        {{.name = "Id", .type = LAM_TYPE_INT}, "\"Id\""},
        {{.name = "_x", .type = LAM_TYPE_INT}, "\"_x\""},
        {{.name = NULL, .type = LAM_TYPE_INT}, "(null)"},
        {{.name = "id", .type = LAM_TYPE_INT}, "two fields \"id\""},
        {{.name = "n", .type = LAM_TYPE_NULL}, "\"n\" has type 0"},
        {{.name = "n", .type = (enum lam_type)15}, "has type 15"},
        {{.name = "n", .type = LAM_TYPE_DECIMAL}, "precision 0"},
        {{.name = "n", .type = LAM_TYPE_DECIMAL, .precision = 3, .scale = 4}, "scale 4"},
        {{.name = "n", .type = LAM_TYPE_INT, .precision = 3}, "type 3 with precision 3"},
        {{.name = "n", .type = LAM_TYPE_INT, .key = true, .nullable = true}, "part of the key"},
    };
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct lam_entity_field two[] = {key, fields[i].field};
        refuse(&f, &(struct lam_entity_desc){"x", two, 2, NULL, 0}, LAM_INVALID, fields[i].message);
    }
    struct lam_entity_field plain = {.name = "n", .type = LAM_TYPE_INT};
    refuse(&f, &(struct lam_entity_desc){"x", &plain, 1, NULL, 0}, LAM_INVALID, "no field is part");
    refuse(&f, &(struct lam_entity_desc){"x", NULL, 0, NULL, 0}, LAM_INVALID, "no field is part");
    refuse(&f, &(struct lam_entity_desc){"x", NULL, 2, NULL, 0}, LAM_INVALID, "fields is NULL");
    refuse(&f, &(struct lam_entity_desc){"x#y", &key, 1, NULL, 0}, LAM_INVALID, "\"x#y\"");
    refuse(&f, &(struct lam_entity_desc){NULL, &key, 1, NULL, 0}, LAM_INVALID, "(null)");
    refuse(&f, &(struct lam_entity_desc){"x", &key, 1001, NULL, 0}, LAM_LIMIT, "1001 fields");
    refuse(&f, &(struct lam_entity_desc){"x", &key, 1, NULL, 1}, LAM_INVALID, "indexes is NULL");
    static const struct lam_entity_part good = {.field = "id"}, bad = {.field = "nope"};
    static const struct lam_entity_part twice[] = {{.field = "id"}, {.field = "id"}};
    struct lam_entity_index index = {.name = "i"};
    struct lam_entity_desc desc = {"x", &key, 1, &index, 1};
    refuse(&f, &desc, LAM_INVALID, "has no parts");
    index.parts = &bad;
    index.part_count = 1;
    refuse(&f, &desc, LAM_INVALID, "no field \"nope\"");
    index.parts = twice;
    index.part_count = 2;
    refuse(&f, &desc, LAM_INVALID, "more parts than fields");
    struct lam_entity_field pair[] = {key, plain};
    desc.fields = pair;
    desc.field_count = 2;
    refuse(&f, &desc, LAM_INVALID, "\"id\" twice");
    index.parts = &good;
    index.part_count = 1;
    index.name = "I";
    refuse(&f, &desc, LAM_INVALID, "\"I\"");
    struct lam_entity_index both[] = {{.name = "i", .parts = &good, .part_count = 1},
                                      {.name = "i", .parts = &good, .part_count = 1}};
    refuse(&f, &(struct lam_entity_desc){"x", &key, 1, both, 2}, LAM_INVALID, "two indexes \"i\"");
    ck_assert_int_eq(partitions_starting(&f, "entity:x"), 0);
    fixture_close(&f);
}
END_TEST

START_TEST(calls_with_missing_arguments_are_invalid) {
    struct fixture f;
    struct lam_cell c[3] = {lam_cell_text("a"), I(1), I(2)};
    struct lam_record r;
    struct found found = {.count = 0};
    fixture_open(&f);
    lam_entity *e = NULL;
    ck_code(lam_entity_open(NULL, &notes, &e, &f.err), LAM_INVALID);
    ck_code(lam_entity_open(f.db, NULL, &e, &f.err), LAM_INVALID);
    ck_code(lam_entity_open(f.db, &notes, NULL, &f.err), LAM_INVALID);
    ck_code(lam_entity_drop(f.db, "no such name", &f.err), LAM_INVALID);
    e = open_entity(&f, &notes);
    ck_code(lam_entity_insert(NULL, c, D, &f.err), LAM_INVALID);
    ck_code(lam_entity_insert(e, NULL, D, &f.err), LAM_INVALID);
    ck_contains(f.err.message, "record is NULL");
    ck_code(lam_entity_delete(e, NULL, D, &f.err), LAM_INVALID);
    ck_code(lam_entity_get(e, NULL, c, NULL, &f.err), LAM_INVALID);
    ck_code(lam_entity_get(NULL, NULL, c, &r, &f.err), LAM_INVALID);
    ck_code(lam_entity_scan(e, NULL, c, 3, collect, &found, &f.err), LAM_INVALID);
    ck_contains(f.err.message, "3 cells for a key of 2 fields");
    ck_code(lam_entity_scan(e, NULL, NULL, 1, collect, &found, &f.err), LAM_INVALID);
    ck_code(lam_entity_scan(e, NULL, c, 1, NULL, NULL, &f.err), LAM_INVALID);
    ck_code(lam_entity_scan_index(e, NULL, "nope", c, 1, collect, &found, &f.err), LAM_INVALID);
    ck_contains(f.err.message, "no index \"nope\"");
    ck_code(lam_entity_scan_index(e, NULL, "by_serial", c, 1, collect, &found, &f.err),
            LAM_INVALID);
    ck_contains(f.err.message, "is BIGINT, the cell is TEXT");
    ck_code(lam_entity_scan_index(e, NULL, "ranked", c, 3, collect, &found, &f.err), LAM_INVALID);
    ck_contains(f.err.message, "3 cells for index \"ranked\" of 2 parts");
    lam_entity_close(e);
    lam_entity_close(NULL);
    lam_record_release(NULL);
    fixture_close(&f);
}
END_TEST

START_TEST(another_description_is_refused_naming_the_difference) {
    struct fixture f;
    fixture_open(&f);
    lam_entity_close(open_entity(&f, &notes));
    fixture_reopen(&f);
    struct lam_entity_field fields[NOTE_FIELDS + 1];
    memcpy(fields, note_fields, sizeof note_fields);
    fields[NOTE_FIELDS] = (struct lam_entity_field){.name = "extra", .type = LAM_TYPE_UUID};
    struct lam_entity_desc desc = notes;
    desc.fields = fields;
    fields[NOTE_SERIAL].type = LAM_TYPE_INT;
    refuse(&f, &desc, LAM_INVALID, "\"field serial INT\" here, \"field serial BIGINT\" there");
    fields[NOTE_SERIAL] = note_fields[NOTE_SERIAL];
    desc.field_count++;
    refuse(&f, &desc, LAM_INVALID, "\"field extra UUID NOT NULL\" here");
    desc.field_count--;
    desc.index_count = 1;
    refuse(&f, &desc, LAM_INVALID,
           "\"nothing\" here, \"partial index ranked (owner, rank DESC)\" there");
    struct lam_entity_index indexes[2] = {note_indexes[0], note_indexes[1]};
    desc.indexes = indexes;
    desc.index_count = 2;
    indexes[0].unique = false;
    refuse(&f, &desc, LAM_INVALID, "\"index by_serial (serial)\" here");
    indexes[0].unique = true;
    lam_entity_close(open_entity(&f, &desc));
    fixture_close(&f);
}
END_TEST

START_TEST(an_open_entity_is_not_opened_dropped_or_closed_over) {
    struct fixture f;
    fixture_open(&f);
    lam_entity *e = open_entity(&f, &notes);
    lam_entity *other = open_entity(&f, &all_types);
    refuse(&f, &notes, LAM_BUSY, "open already");
    ck_code(lam_entity_drop(f.db, "notes", &f.err), LAM_BUSY);
    ck_code(lam_db_close(f.db, &f.err), LAM_BUSY);
    ck_contains(f.err.message, "2 entities are open");
    put(&f, e, (struct note){"ann", 1, 1, true, 1});
    lam_entity_close(e);
    lam_entity_close(other);
    fixture_close(&f);
}
END_TEST

START_TEST(a_dropped_entity_leaves_nothing_and_may_be_made_otherwise) {
    struct fixture f;
    fixture_open(&f);
    struct lam_entity_desc longer = {"notes_too", note_fields, NOTE_FIELDS, note_indexes, 2};
    lam_entity *e = open_entity(&f, &notes), *kept = open_entity(&f, &longer);
    put(&f, e, (struct note){"ann", 1, 1, true, 1});
    put(&f, kept, (struct note){"ann", 1, 1, true, 1});
    lam_entity_close(e);
    ck_ok(lam_entity_drop(f.db, "notes", &f.err), &f.err);
    ck_code(lam_entity_drop(f.db, "notes", &f.err), LAM_NOT_FOUND);
    ck_assert(!has_partition(&f, "entity:notes"));
    ck_assert(!has_partition(&f, "entity:notes#ranked"));
    ck_assert_int_eq(scan(&f, kept, NULL, 0).count, 1);
    struct lam_entity_desc fewer = {"notes", note_fields, 2, NULL, 0};
    e = open_entity(&f, &fewer);
    ck_assert_int_eq(scan(&f, e, NULL, 0).count, 0);
    lam_entity_close(e);
    lam_entity_close(kept);
    fixture_close(&f);
}
END_TEST

/* What a crash in the middle of a drop leaves: the mark, and some of the partitions. */
START_TEST(a_drop_cut_short_is_finished_by_the_next_open) {
    struct fixture f;
    lam_partition *p = NULL;
    struct lam_value v = {0};
    uint8_t marked[512];
    fixture_open(&f);
    lam_entity *e = open_entity(&f, &notes);
    put(&f, e, (struct note){"ann", 1, 1, true, 1});
    lam_entity_close(e);
    ck_ok(lam_partition_open(f.db, "entity:#descriptions", &p, &f.err), &f.err);
    ck_ok(lam_get(f.db, NULL, p, S("notes"), &v, &f.err), &f.err);
    ck_assert_uint_lt(v.bytes.size, sizeof marked);
    memcpy(marked, v.bytes.data, v.bytes.size);
    marked[1] = 2;
    ck_ok(lam_put(f.db, NULL, p, S("notes"), lam_slice_of(marked, v.bytes.size), &f.err), &f.err);
    lam_partition_release(p);
    ck_ok(lam_partition_open(f.db, "entity:notes", &p, &f.err), &f.err);
    ck_ok(lam_partition_drop(f.db, p, &f.err), &f.err);
    lam_partition_release(p);
    fixture_reopen(&f);
    e = open_entity(&f, &notes);
    ck_assert_int_eq(scan(&f, e, NULL, 0).count, 0);
    ck_assert_int_eq(raw_count(&f, "entity:notes#by_serial"), 0);
    put(&f, e, (struct note){"bob", 1, 1, true, 1});
    lam_entity_close(e);
    struct lam_entity_desc fewer = {"notes", note_fields, 2, NULL, 0};
    refuse(&f, &fewer, LAM_INVALID, "notes"); /* the description is there again */
    marked[1] = 9;
    ck_ok(lam_partition_open(f.db, "entity:#descriptions", &p, &f.err), &f.err);
    ck_ok(lam_put(f.db, NULL, p, S("notes"), lam_slice_of(marked, v.bytes.size), &f.err), &f.err);
    lam_partition_release(p);
    refuse(&f, &notes, LAM_CORRUPT, "entity:#descriptions");
    lam_value_release(&v);
    fixture_close(&f);
}
END_TEST

START_TEST(description_that_is_cut_off_is_corrupt) {
    struct fixture f;
    lam_partition *p = NULL;
    struct lam_value v = {0};
    fixture_open(&f);
    lam_entity_close(open_entity(&f, &notes));
    ck_ok(lam_partition_open(f.db, "entity:#descriptions", &p, &f.err), &f.err);
    ck_ok(lam_get(f.db, NULL, p, S("notes"), &v, &f.err), &f.err);
    struct lam_entity_desc fewer = {"notes", note_fields, 2, NULL, 0};
    for (size_t size = 0; size < v.bytes.size; size++) {
        struct lam_slice cut = lam_slice_of(v.bytes.data, size);
        ck_ok(lam_put(f.db, NULL, p, S("notes"), cut, &f.err), &f.err);
        /* At the end of a line it is whole, and another one. */
        bool whole = size > 2 && v.bytes.data[size - 1] == '\n';
        refuse(&f, &notes, whole ? LAM_INVALID : LAM_CORRUPT,
               whole ? "\"nothing\" there" : "entity:#descriptions");
        /* All of its lines are those of the cut one, which goes on. */
        lam_entity *e = NULL;
        enum lam_code rc = lam_entity_open(f.db, &fewer, &e, &f.err);
        if (rc == LAM_OK)
            lam_entity_close(e);
        else
            ck_code(rc, whole ? LAM_INVALID : LAM_CORRUPT);
        ck_assert(rc != LAM_OK || whole);
    }
    lam_partition_release(p);
    lam_value_release(&v);
    fixture_close(&f);
}
END_TEST

START_TEST(names_of_the_catalog_are_free_for_entities) {
    struct fixture f;
    fixture_open(&f);
    struct lam_entity_desc users = {"users", note_fields, NOTE_FIELDS, note_indexes, 2};
    int system = partitions_starting(&f, "system_");
    lam_entity *e = open_entity(&f, &users);
    put(&f, e, (struct note){"ann", 1, 1, true, 1});
    ck_assert(has_partition(&f, "entity:users"));
    ck_assert(has_partition(&f, "entity:users#ranked"));
    ck_assert_int_eq(partitions_starting(&f, "system_"), system);
    ck_assert_int_eq(raw_count(&f, "system_users"), 0);
    lam_entity_close(e);
    fixture_close(&f);
}
END_TEST

START_TEST(a_read_only_database_gives_what_is_there) {
    struct fixture f;
    fixture_open(&f);
    struct lam_options options = {.env = f.env, .read_only = true};
    lam_entity *e = open_entity(&f, &notes);
    put(&f, e, (struct note){"ann", 1, 1, true, 1});
    lam_entity_close(e);
    fixture_close_db(&f);
    ck_ok(lam_db_open("/db", &options, &f.db, &f.err), &f.err);
    refuse(&f, &all_types, LAM_READ_ONLY, "all_types");
    e = open_entity(&f, &notes);
    struct lam_cell c[NOTE_FIELDS];
    ck_assert_int_eq(scan(&f, e, NULL, 0).count, 1);
    cells_of(&(struct note){"bob", 1, 2, true, 1}, c);
    ck_code(lam_entity_put(e, c, D, &f.err), LAM_READ_ONLY);
    lam_entity_close(e);
    fixture_close(&f);
}
END_TEST

TEST_MAIN("catalog/entity_api", cells_of_every_type_come_back,
          cells_that_do_not_fit_are_refused_by_name, insert_update_put_and_delete_check_presence,
          unique_refuses_a_second_record_but_not_a_second_null,
          partial_index_holds_what_it_wants_in_its_order, key_prefixes_select_records_in_key_order,
          a_scan_may_delete_what_it_sees, indexes_stay_in_step_with_a_model,
          concurrent_writers_of_one_key_leave_no_stale_entry, unique_stays_unique_under_concurrency,
          threads_may_race_to_make_an_entity,
          running_out_of_memory_anywhere_leaks_nothing_and_keeps_step,
          faulty_descriptions_are_invalid, calls_with_missing_arguments_are_invalid,
          another_description_is_refused_naming_the_difference,
          description_that_is_cut_off_is_corrupt,
          an_open_entity_is_not_opened_dropped_or_closed_over,
          a_dropped_entity_leaves_nothing_and_may_be_made_otherwise,
          a_drop_cut_short_is_finished_by_the_next_open, names_of_the_catalog_are_free_for_entities,
          a_read_only_database_gives_what_is_there)
