/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "tests/flush/world.h"

/* --- types --- */

static const struct coltype types[] = {
    {.type = LAM_TYPE_BOOLEAN},
    {.type = LAM_TYPE_SMALLINT},
    {.type = LAM_TYPE_INT},
    {.type = LAM_TYPE_BIGINT},
    {.type = LAM_TYPE_FLOAT},
    {.type = LAM_TYPE_DOUBLE},
    {.type = LAM_TYPE_DECIMAL, .precision = 38, .scale = 10},
    {.type = LAM_TYPE_TEXT},
    {.type = LAM_TYPE_BYTES},
    {.type = LAM_TYPE_TIMESTAMP},
    {.type = LAM_TYPE_DATE},
    {.type = LAM_TYPE_TIME},
    {.type = LAM_TYPE_UUID},
    {.type = LAM_TYPE_JSON},
    {.type = LAM_TYPE_TEXT, .length = 5},
};
#define TYPES (sizeof types / sizeof types[0])

static const char *const texts[][3] = {
    {"true", "false", "true"},
    {"-32768", "32767", "0"},
    {"-2147483648", "2147483647", "0"},
    {"-9223372036854775808", "9223372036854775807", "0"},
    {"NaN", "-Infinity", "3.4028235e38"},
    {"NaN", "5e-324", "-1.7976931348623157e308"},
    {"9999999999999999999999999999.9999999999", "-9999999999999999999999999999.9999999999", "0"},
    {"", "\xc3\xa9t\xc3\xa9", "a|b"},
    {"\\x", "\\x00ff00", "\\x61"},
    {"0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "1970-01-01 00:00:00"},
    {"0001-01-01", "9999-12-31", "1970-01-01"},
    {"00:00:00", "23:59:59.999999", "12:00:00"},
    {"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
     "12345678-1234-1234-1234-123456789abc"},
    {"null", "{\"a\": [1, 2]}", "\"x\""},
    {"abcde", "", "\xe2\x82\xac"},
};

static void make_types_table(struct world *w) {
    struct column_spec columns[TYPES + 1] = {col("id", LAM_TYPE_BIGINT, false)};
    char names[TYPES][8];
    for (size_t i = 0; i < TYPES; i++) {
        snprintf(names[i], sizeof names[i], "c%zu", i);
        columns[i + 1] = col(names[i], types[i].type, true);
        columns[i + 1].type = types[i];
    }
    world_create(w, "t", TABLE_SHARED, columns, TYPES + 1, NULL);
}

START_TEST(every_type_reads_cold_as_it_read_hot) {
    struct world w;
    struct arena arena = {0};
    world_open(&w);
    make_types_table(&w);
    struct provider *p = world_provider(&w, "t");
    for (int row = 0; row < 4; row++) {
        struct value values[TYPES + 1] = {value_i64(LAM_TYPE_BIGINT, row)};
        for (size_t i = 0; i < TYPES; i++) {
            if (row == 3)
                values[i + 1] = value_null(types[i]);
            else
                ck_ok(value_parse(S(texts[i][row]), types[i], &arena, &values[i + 1], &w.err),
                      &w.err);
        }
        world_put_values(&w, p, "", values, false);
    }
    char *hot = world_dump(&w, p, "", true);
    world_flush(&w, p);
    ck_assert_uint_eq(world_hot_rows(&w, p), 0);
    char *cold = world_dump(&w, p, "", true);
    ck_assert_str_eq(hot, cold);
    ck_contains(hot, "ffffffff-ffff-ffff-ffff-ffffffffffff");
    mem_free(cold);
    provider_unref(p);
    world_reopen(&w);
    p = world_provider(&w, "t");
    cold = world_dump(&w, p, "", true);
    ck_assert_str_eq(hot, cold);
    provider_unref(p);
    mem_free(hot);
    mem_free(cold);
    arena_fini(&arena);
    world_close(&w);
}
END_TEST

/* One table per type of key; every key is found, hot and cold, and hidden by its newer version. */
START_TEST(every_type_works_as_key) {
    struct world w;
    struct arena arena = {0};
    world_open(&w);
    for (size_t i = 0; i < TYPES; i++) {
        if (types[i].type == LAM_TYPE_JSON)
            continue; /* not allowed in a key */
        struct column_spec columns[2] = {col("k", types[i].type, false),
                                         col("v", LAM_TYPE_INT, true)};
        columns[0].type = types[i];
        char name[8];
        snprintf(name, sizeof name, "k%zu", i);
        world_create(&w, name, TABLE_SHARED, columns, 2, NULL);
        struct provider *p = world_provider(&w, name);
        size_t count = types[i].type == LAM_TYPE_BOOLEAN ? 2 : 3;
        struct value keys[3];
        for (int round = 0; round < 3; round++) {
            for (size_t k = 0; k < count; k++) {
                struct value values[2];
                ck_ok(value_parse(S(texts[i][k]), types[i], &arena, &keys[k], &w.err), &w.err);
                values[0] = keys[k];
                values[1] = value_i64(LAM_TYPE_INT, (int64_t)k * 10 + round);
                if (round != 2 || k == 0)
                    world_put_values(&w, p, "", values, false);
            }
            if (round < 2)
                world_flush(&w, p);
        }
        /* Key 0 is hot in round 2, the others cold in round 1; what came before is dead. */
        lam_snapshot *snapshot;
        ck_ok(lam_snapshot_new(w.db, &snapshot, &w.err), &w.err);
        for (size_t k = 0; k < count; k++) {
            struct buf key = {0};
            struct row_found found;
            ck_ok(row_key(p->schema, p->kind, SLICE_EMPTY, &keys[k], &key, &w.err), &w.err);
            ck_ok(row_find(p, snapshot, SLICE_EMPTY, buf_slice(&key), 0, &arena, &found, &w.err),
                  &w.err);
            ck_assert(found.found && found.hot == (k == 0));
            ck_assert_int_eq(found.values[1].as.i64, (int64_t)k * 10 + (k == 0 ? 2 : 1));
            buf_fini(&key);
        }
        lam_snapshot_free(snapshot);
        char *dump = world_dump(&w, p, "", false);
        size_t lines = 0;
        for (char *at = dump; *at; at++)
            lines += *at == '\n';
        ck_assert_uint_eq(lines, count);
        mem_free(dump);
        provider_unref(p);
    }
    arena_fini(&arena);
    world_close(&w);
}
END_TEST

/* --- versions --- */

START_TEST(newer_versions_hide_cold_ones_and_kill_them_at_the_next_flush) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_SHARED, NULL);
    struct provider *p = world_provider(&w, "t");
    for (int i = 1; i <= 5; i++)
        world_put(&w, p, "", i, "old", i);
    world_flush(&w, p);
    world_put(&w, p, "", 2, "new", 22);
    world_delete(&w, p, "", 3);
    world_check(&w, p, "", "1|old|1\n2|new|22\n4|old|4\n5|old|5\n");
    world_flush(&w, p);
    ck_assert_uint_eq(world_hot_rows(&w, p), 0);
    world_check(&w, p, "", "1|old|1\n2|new|22\n4|old|4\n5|old|5\n");
    world_put(&w, p, "", 3, "again", 33);
    world_put(&w, p, "", 2, "newest", 222);
    world_flush(&w, p);
    world_check(&w, p, "", "1|old|1\n2|newest|222\n3|again|33\n4|old|4\n5|old|5\n");
    provider_unref(p);
    world_reopen(&w);
    p = world_provider(&w, "t");
    world_check(&w, p, "", "1|old|1\n2|newest|222\n3|again|33\n4|old|4\n5|old|5\n");
    provider_unref(p);
    world_close(&w);
}
END_TEST

/* The row deleted goes cold in one flush together with a live row: nothing comes back to life. */
START_TEST(deleted_row_stays_deleted_after_a_flush_with_live_rows) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_USER, NULL);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "u", 1, "one", 1);
    world_flush(&w, p);
    world_delete(&w, p, "u", 1);
    world_put(&w, p, "u", 2, "two", 2);
    world_flush(&w, p);
    world_check(&w, p, "u", "2|two|2\n");
    world_delete(&w, p, "u", 2);
    struct flush_result r = world_flush(&w, p);
    ck_assert_str_eq(r.status, "completed");
    ck_assert_uint_eq(world_hot_rows(&w, p), 0);
    world_check(&w, p, "u", "");
    provider_unref(p);
    world_close(&w);
}
END_TEST

START_TEST(older_snapshot_sees_what_was_before_the_flush) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_SHARED, NULL);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "", 1, "a", 1);
    world_flush(&w, p);
    world_put(&w, p, "", 1, "b", 2);
    lam_snapshot *snapshot;
    ck_ok(lam_snapshot_new(w.db, &snapshot, &w.err), &w.err);
    world_put(&w, p, "", 1, "c", 3);
    world_put(&w, p, "", 2, "d", 4);
    world_flush(&w, p);
    uint32_t ids[3];
    struct buf out = {0};
    struct scan_request rq = {
        .provider = p, .snapshot = snapshot, .column_ids = ids, .column_count = all_ids(p, ids, 0)};
    ck_ok(scan_rows(&rq, &out, NULL, &w.err), &w.err);
    ck_assert(slice_eq_str(buf_slice(&out), "1|b|2\n"));
    world_check(&w, p, "", "1|c|3\n2|d|4\n");
    buf_fini(&out);
    lam_snapshot_free(snapshot);
    provider_unref(p);
    world_close(&w);
}
END_TEST

/* --- schema changes --- */

static void alter(struct world *w, struct provider **p, struct alter_spec spec) {
    bool changed;
    provider_unref(*p);
    ck_ok(catalog_alter_table(w->c, &world_root, S("default"), S("t"), &spec, &changed, &w->err),
          &w->err);
    ck_assert(changed);
    *p = world_provider(w, "t");
}

static void check_hot_and_cold(struct world *w, struct provider *p, const char *expected) {
    world_check(w, p, "", expected);
    provider_unref(provider_ref(p));
}

START_TEST(schema_changes_show_cold_rows_as_hot_ones) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_SHARED, NULL);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "", 1, "cold", 1);
    world_flush(&w, p);
    world_put(&w, p, "", 2, "hot", 2);

    struct alter_spec add = {.kind = ALTER_ADD_COLUMN, .added = col("extra", LAM_TYPE_TEXT, true)};
    add.added.on_insert = (struct column_default){DEFAULT_VALUE, value_text("dflt")};
    alter(&w, &p, add);
    check_hot_and_cold(&w, p, "1|cold|1|dflt\n2|hot|2|dflt\n");

    alter(&w, &p,
          (struct alter_spec){
              .kind = ALTER_RENAME_COLUMN, .column = S("name"), .new_name = S("title")});
    check_hot_and_cold(&w, p, "1|cold|1|dflt\n2|hot|2|dflt\n");

    alter(&w, &p,
          (struct alter_spec){
              .kind = ALTER_COLUMN_TYPE, .column = S("n"), .type = {.type = LAM_TYPE_BIGINT}});
    check_hot_and_cold(&w, p, "1|cold|1|dflt\n2|hot|2|dflt\n");

    /* Dropped and added again under its name: another column. */
    alter(&w, &p, (struct alter_spec){.kind = ALTER_DROP_COLUMN, .column = S("title")});
    check_hot_and_cold(&w, p, "1|1|dflt\n2|2|dflt\n");
    alter(
        &w, &p,
        (struct alter_spec){.kind = ALTER_ADD_COLUMN, .added = col("title", LAM_TYPE_TEXT, true)});
    check_hot_and_cold(&w, p, "1|1|dflt|NULL\n2|2|dflt|NULL\n");

    world_flush(&w, p);
    check_hot_and_cold(&w, p, "1|1|dflt|NULL\n2|2|dflt|NULL\n");
    /* Point reads too. */
    lam_snapshot *snapshot;
    struct arena arena = {0};
    struct row_found found;
    struct buf key = {0};
    struct value id = value_i64(LAM_TYPE_BIGINT, 1);
    ck_ok(lam_snapshot_new(w.db, &snapshot, &w.err), &w.err);
    ck_ok(row_key(p->schema, p->kind, SLICE_EMPTY, &id, &key, &w.err), &w.err);
    ck_ok(row_find(p, snapshot, SLICE_EMPTY, buf_slice(&key), 0, &arena, &found, &w.err), &w.err);
    ck_assert(found.found && !found.hot);
    ck_assert_int_eq(found.values[1].as.i64, 1);
    ck_assert_int_eq(found.values[1].type.type, LAM_TYPE_BIGINT);
    ck_assert(slice_eq_str(found.values[2].as.bytes, "dflt"));
    ck_assert(found.values[3].is_null);
    lam_snapshot_free(snapshot);
    buf_fini(&key);
    arena_fini(&arena);
    provider_unref(p);
    world_close(&w);
}
END_TEST

/* --- pruning --- */

START_TEST(bounds_and_key_ranges_prune_segments) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_SHARED, NULL);
    struct provider *p = world_provider(&w, "t");
    for (int file = 0; file < 4; file++) {
        for (int i = 0; i < 10; i++)
            world_put(&w, p, "", file * 10 + i, file == 2 ? NULL : "x", file * 100 + i);
        world_flush(&w, p);
    }
    uint32_t ids[3];
    struct scan_stats stats;
    struct buf out = {0};
    struct scan_request rq = {
        .provider = p, .column_ids = ids, .column_count = all_ids(p, ids, false)};
    ck_ok(scan_rows(&rq, &out, &stats, &w.err), &w.err);
    ck_assert_uint_eq(stats.segments, 4);
    ck_assert_uint_eq(stats.segments_pruned, 0);
    ck_assert_uint_eq(stats.cold_rows, 40);

    struct scan_predicate ge = {p->schema->columns[2].id, SCAN_GE, value_i64(LAM_TYPE_INT, 300)};
    rq.predicates = &ge;
    rq.predicate_count = 1;
    ck_ok(scan_rows(&rq, &out, &stats, &w.err), &w.err);
    ck_assert_uint_eq(stats.segments_pruned, 3);
    ck_assert_uint_eq(stats.cold_rows, 10);

    struct scan_predicate name = {p->schema->columns[1].id, SCAN_EQ, value_text("x")};
    rq.predicates = &name;
    ck_ok(scan_rows(&rq, &out, &stats, &w.err), &w.err);
    ck_assert_uint_eq(stats.segments_pruned, 1); /* all NULL */

    struct buf lower = {0}, upper = {0};
    struct value from = value_i64(LAM_TYPE_BIGINT, 5), to = value_i64(LAM_TYPE_BIGINT, 12);
    ck_ok(row_key(p->schema, p->kind, SLICE_EMPTY, &from, &lower, &w.err), &w.err);
    ck_ok(row_key(p->schema, p->kind, SLICE_EMPTY, &to, &upper, &w.err), &w.err);
    rq.predicate_count = 0;
    rq.key_lower = buf_slice(&lower);
    rq.key_upper = buf_slice(&upper);
    ck_ok(scan_rows(&rq, &out, &stats, &w.err), &w.err);
    ck_assert_uint_eq(stats.segments_pruned, 2);
    ck_assert_uint_eq(stats.cold_rows, 7);
    buf_fini(&lower);
    buf_fini(&upper);
    buf_fini(&out);
    provider_unref(p);
    world_close(&w);
}
END_TEST

/* Pruning by a value must not let the version that is hidden win. */
START_TEST(predicate_does_not_bring_back_an_older_version) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_SHARED, NULL);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "", 1, "match", 1);
    world_flush(&w, p);
    world_put(&w, p, "", 1, "other", 2);
    uint32_t ids[3];
    struct buf out = {0};
    struct scan_predicate eq = {p->schema->columns[1].id, SCAN_EQ, value_text("match")};
    struct scan_request rq = {.provider = p,
                              .column_ids = ids,
                              .column_count = all_ids(p, ids, false),
                              .predicates = &eq,
                              .predicate_count = 1};
    for (int round = 0; round < 2; round++) {
        buf_reset(&out);
        ck_ok(scan_rows(&rq, &out, NULL, &w.err), &w.err);
        struct lam_slice got = buf_slice(&out);
        ck_assert_msg(!got.size || slice_eq_str(got, "1|other|2\n"), "%.*s", (int)got.size,
                      (const char *)got.data);
        world_flush(&w, p);
    }
    buf_fini(&out);
    provider_unref(p);
    world_close(&w);
}
END_TEST

/* More rows than a row group, with holes made by hot rows and dead ones. */
START_TEST(large_segments_are_masked_row_by_row) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_SHARED, NULL);
    struct provider *p = world_provider(&w, "t");
    enum { ROWS = 150000 };
    lam_batch *batch;
    struct seq_stamps stamps = {0};
    ck_ok(lam_batch_new(w.db, &batch, &w.err), &w.err);
    for (int i = 0; i < ROWS; i++) {
        struct value values[3] = {value_i64(LAM_TYPE_BIGINT, i), value_text("row"),
                                  value_i64(LAM_TYPE_INT, i % 1000)};
        ck_ok(row_batch_put(p, batch, &stamps, SLICE_EMPTY, values, false, NULL, &w.err), &w.err);
    }
    ck_ok(catalog_commit(w.c, batch, &stamps, LAM_DURABILITY_OS, NULL, &w.err), &w.err);
    world_flush(&w, p);
    for (int i = 0; i < ROWS; i += 997) /* 151 keys: merged, not looked up */
        world_put(&w, p, "", i, "new", 1);
    for (int round = 0; round < 2; round++) {
        uint32_t id = p->schema->columns[0].id;
        struct scan_request rq = {.provider = p, .column_ids = &id, .column_count = 1};
        struct scan *s;
        struct colbatch *b;
        static uint8_t seen[ROWS];
        memset(seen, 0, sizeof seen);
        ck_ok(scan_open(&rq, &s, &w.err), &w.err);
        for (;;) {
            ck_ok(scan_next(s, &b, &w.err), &w.err);
            if (!b)
                break;
            for (uint32_t i = 0; i < b->rows; i++)
                seen[column_i64(&b->columns[0], i)]++;
        }
        for (int i = 0; i < ROWS; i++)
            ck_assert_uint_eq(seen[i], 1);
        struct scan_stats stats;
        scan_get_stats(s, &stats);
        ck_assert_uint_eq(stats.hot_rows, round ? 0 : 151);
        scan_close(s);
        world_flush(&w, p);
    }
    /* One page is enough for one key. */
    struct scan_predicate eq = {p->schema->columns[0].id, SCAN_EQ, value_i64(LAM_TYPE_BIGINT, 5)};
    uint32_t id = p->schema->columns[0].id;
    struct scan_request rq = {.provider = p,
                              .column_ids = &id,
                              .column_count = 1,
                              .predicates = &eq,
                              .predicate_count = 1};
    struct scan_stats stats;
    struct buf out = {0};
    ck_ok(scan_rows(&rq, &out, &stats, &w.err), &w.err);
    ck_assert_uint_eq(stats.row_groups, 3);
    ck_assert_uint_eq(stats.row_groups_pruned, 2);
    ck_assert_uint_lt(stats.cold_rows, 21000);
    buf_fini(&out);
    lam_batch_free(batch);
    seq_stamps_fini(&stamps);
    provider_unref(p);
    world_close(&w);
}
END_TEST

START_TEST(scan_without_columns_counts_rows) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_USER, NULL);
    struct provider *p = world_provider(&w, "t");
    for (int i = 0; i < 7; i++)
        world_put(&w, p, "u", i, "x", i);
    world_flush(&w, p);
    world_put(&w, p, "u", 3, "y", 3);
    world_put(&w, p, "u", 9, "z", 9);
    struct scan_request rq = {.provider = p, .user = S("u")};
    struct scan *s;
    struct colbatch *b;
    uint64_t rows = 0;
    ck_ok(scan_open(&rq, &s, &w.err), &w.err);
    for (;;) {
        ck_ok(scan_next(s, &b, &w.err), &w.err);
        if (!b)
            break;
        rows += b->rows;
    }
    ck_assert_uint_eq(rows, 8);
    scan_close(s);
    rq.user = SLICE_EMPTY;
    ck_code(scan_open(&rq, &s, &w.err), LAM_INVALID);
    provider_unref(p);
    world_close(&w);
}
END_TEST

START_TEST(expired_stream_rows_are_hidden) {
    struct world w;
    world_open(&w);
    struct table_options options;
    table_options_init(&options);
    options.ttl_seconds = 60;
    world_table(&w, "t", TABLE_STREAM, &options);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "u", 1, "x", 1);
    uint32_t ids[3];
    struct buf out = {0};
    struct scan_request rq = {.provider = p,
                              .user = S("u"),
                              .column_ids = ids,
                              .column_count = all_ids(p, ids, false),
                              .now_us = catalog_now_us(w.c) + 59 * 1000000};
    ck_ok(scan_rows(&rq, &out, NULL, &w.err), &w.err);
    ck_assert(slice_eq_str(buf_slice(&out), "1|x|1\n"));
    buf_reset(&out);
    rq.now_us += 2 * 1000000;
    ck_ok(scan_rows(&rq, &out, NULL, &w.err), &w.err);
    ck_assert_uint_eq(out.size, 0);
    struct flush_result r;
    ck_code(flush_table(w.f, p, &r, &w.err), LAM_SQL);
    ck_assert_str_eq(w.err.sqlstate, "0A000");
    buf_fini(&out);
    provider_unref(p);
    world_close(&w);
}
END_TEST

/* --- questions about all rows --- */

static bool exists(struct world *w, struct provider *p, uint32_t column) {
    bool exist;
    ck_ok(rows_exist(p, column, &exist, &w->err), &w->err);
    return exist;
}

START_TEST(rows_and_nulls_are_found_hot_and_cold) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_USER, NULL);
    struct provider *p = world_provider(&w, "t");
    uint32_t name = p->schema->columns[1].id;
    ck_assert(!exists(&w, p, 0));
    world_put(&w, p, "u", 1, "x", 1);
    world_put(&w, p, "v", 1, NULL, 1);
    ck_assert(exists(&w, p, 0));
    ck_assert(exists(&w, p, name));
    world_flush(&w, p);
    ck_assert(exists(&w, p, 0));
    ck_assert(exists(&w, p, name));
    world_put(&w, p, "v", 1, "y", 1);
    ck_assert(!exists(&w, p, name));
    world_flush(&w, p);
    ck_assert(!exists(&w, p, name));
    provider_unref(p);
    world_close(&w);
}
END_TEST

START_TEST(unique_values_are_looked_for_in_both_tiers) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_USER, NULL);
    struct lam_slice column = S("name");
    struct index_spec spec = {.name = S("t_name"),
                              .namespace_name = S("default"),
                              .table = S("t"),
                              .unique = true,
                              .columns = &column,
                              .column_count = 1};
    bool created;
    ck_ok(catalog_create_index(w.c, &world_root, &spec, &created, &w.err), &w.err);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "u", 1, "taken", 1);
    for (int round = 0; round < 2; round++) {
        static const struct {
            const char *user;
            int64_t id;
            const char *name;
            bool conflict;
        } cases[] = {{"u", 2, "taken", true},
                     {"u", 1, "taken", false},
                     {"v", 2, "taken", false},
                     {"u", 2, "other", false},
                     {"u", 2, NULL, false}};
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            lam_snapshot *snapshot;
            struct buf key = {0};
            bool conflict;
            struct value values[3] = {value_i64(LAM_TYPE_BIGINT, cases[i].id),
                                      cases[i].name ? value_text(cases[i].name)
                                                    : value_null(coltype_of(LAM_TYPE_TEXT)),
                                      value_i64(LAM_TYPE_INT, 0)};
            ck_ok(lam_snapshot_new(w.db, &snapshot, &w.err), &w.err);
            ck_ok(row_key(p->schema, p->kind, S(cases[i].user), values, &key, &w.err), &w.err);
            ck_ok(unique_conflict(p, &p->indexes[0], snapshot, S(cases[i].user), values,
                                  buf_slice(&key), &conflict, &w.err),
                  &w.err);
            ck_assert_msg(conflict == cases[i].conflict, "case %zu, round %d", i, round);
            lam_snapshot_free(snapshot);
            buf_fini(&key);
        }
        world_flush(&w, p);
    }
    bool duplicate;
    world_put(&w, p, "v", 1, "taken", 1);
    ck_ok(index_has_duplicates(p, &p->indexes[0], &duplicate, &w.err), &w.err);
    ck_assert(!duplicate);
    world_put(&w, p, "u", 5, "taken", 1);
    ck_ok(index_has_duplicates(p, &p->indexes[0], &duplicate, &w.err), &w.err);
    ck_assert(duplicate);
    world_delete(&w, p, "u", 1);
    ck_ok(index_has_duplicates(p, &p->indexes[0], &duplicate, &w.err), &w.err);
    ck_assert(!duplicate);
    provider_unref(p);
    world_close(&w);
}
END_TEST

TEST_MAIN("flush/scan", every_type_reads_cold_as_it_read_hot, every_type_works_as_key,
          newer_versions_hide_cold_ones_and_kill_them_at_the_next_flush,
          deleted_row_stays_deleted_after_a_flush_with_live_rows,
          older_snapshot_sees_what_was_before_the_flush, schema_changes_show_cold_rows_as_hot_ones,
          bounds_and_key_ranges_prune_segments, predicate_does_not_bring_back_an_older_version,
          large_segments_are_masked_row_by_row, scan_without_columns_counts_rows,
          expired_stream_rows_are_hidden, rows_and_nulls_are_found_hot_and_cold,
          unique_values_are_looked_for_in_both_tiers)
