/* SPDX-License-Identifier: Apache-2.0
 *
 * Pruning against brute force: no wanted row is ever pruned, and sorted columns are pruned well. */
#include "flush/parquet/reader.h"
#include "tests/parquet/table.h"

static bool is_wanted(const struct column *c, uint32_t row, const struct parquet_range *range) {
    enum lam_type type = c->type.type;
    if (column_is_null(c, row))
        return range->nulls;
    if (range->no_values)
        return false;
    struct parquet_value v = parquet_value_of(c, row);
    if ((type == LAM_TYPE_FLOAT || type == LAM_TYPE_DOUBLE) && isnan(v.f64))
        return true;
    if (range->lower) {
        int order = parquet_value_compare(type, v, *range->lower);
        if (order < 0 || (order == 0 && range->lower_open))
            return false;
    }
    if (range->upper) {
        int order = parquet_value_compare(type, v, *range->upper);
        if (order > 0 || (order == 0 && range->upper_open))
            return false;
    }
    return true;
}

static bool in_ranges(const struct parquet_row_ranges *l, uint32_t row) {
    for (size_t i = 0; i < l->count; i++)
        if (row >= l->items[i].first && row - l->items[i].first < l->items[i].count)
            return true;
    return false;
}

/* A value of the column, if it has one that can bound a range. */
static bool pick_value(const struct column *c, struct rng *r, struct parquet_value *out) {
    for (int attempt = 0; attempt < 20; attempt++) {
        uint32_t row = (uint32_t)rng_below(r, c->rows);
        if (column_is_null(c, row))
            continue;
        *out = parquet_value_of(c, row);
        bool is_float = c->type.type == LAM_TYPE_FLOAT || c->type.type == LAM_TYPE_DOUBLE;
        if (!is_float || !isnan(out->f64))
            return true;
    }
    return false;
}

static void check_range(struct table *t, struct parquet_reader *r, uint32_t field,
                        const struct parquet_range *range) {
    const struct column *c = &t->rows.columns[field];
    struct parquet_row_ranges pages = {0};
    uint32_t first = 0;
    for (uint32_t g = 0; g < parquet_reader_group_count(r); g++) {
        uint32_t rows = parquet_reader_group_rows(r, g);
        bool may = parquet_prune(r, g, field, range);
        ck_ok(parquet_prune_pages(r, g, field, range, &pages, &err), &err);
        for (uint32_t i = 0; i < rows; i++) {
            if (!is_wanted(c, first + i, range))
                continue;
            ck_assert_msg(may && in_ranges(&pages, i), "field %s row %u is pruned",
                          t->fields[field].name, first + i);
        }
        first += rows;
    }
    parquet_row_ranges_fini(&pages);
}

START_TEST(no_wanted_row_is_pruned) {
    struct rng r;
    rng_init(&r, test_seed("no_wanted_row_is_pruned"));
    for (int kind = SAMPLE_WILD; kind <= SAMPLE_SIGNED; kind++) {
        struct table t;
        table_sample(&t, &r, (enum sample_kind)kind, 400);
        table_save(&t, &(struct parquet_write_options){.row_group_rows = 90, .page_rows = 11}, 400);
        struct parquet_reader *reader = table_open(&t);
        for (uint32_t f = 0; f < t.field_count; f++) {
            for (int round = 0; round < 30; round++) {
                struct parquet_value low, high;
                bool has = pick_value(&t.rows.columns[f], &r, &low) &&
                           pick_value(&t.rows.columns[f], &r, &high);
                struct parquet_range range = {.lower = has && rng_below(&r, 3) ? &low : NULL,
                                              .upper = has && rng_below(&r, 3) ? &high : NULL,
                                              .lower_open = rng_below(&r, 2),
                                              .upper_open = rng_below(&r, 2),
                                              .no_values = rng_below(&r, 8) == 0,
                                              .nulls = rng_below(&r, 2)};
                check_range(&t, reader, f, &range);
            }
        }
        parquet_reader_close(reader);
        table_fini(&t);
    }
}
END_TEST

START_TEST(stored_bounds_hold_for_every_page_and_chunk) {
    struct rng r;
    rng_init(&r, test_seed("stored_bounds_hold_for_every_page_and_chunk"));
    for (int kind = SAMPLE_WILD; kind <= SAMPLE_SIGNED; kind++) {
        struct table t;
        table_sample(&t, &r, (enum sample_kind)kind, 300);
        table_save(&t, &(struct parquet_write_options){.row_group_rows = 70, .page_rows = 9}, 300);
        struct parquet_reader *reader = table_open(&t);
        for (uint32_t f = 0; f < t.field_count; f++) {
            uint32_t row = 0;
            const struct column *c = &t.rows.columns[f];
            enum lam_type type = c->type.type;
            for (uint32_t g = 0; g < parquet_reader_group_count(reader); g++) {
                const struct pq_reader_chunk *chunk = pq_reader_chunk(reader, g, f);
                const struct parquet_bounds *b = parquet_bounds_of(reader, g, f);
                uint32_t rows = parquet_reader_group_rows(reader, g), nulls = 0, page = 0;
                int64_t page_nulls = 0;
                ck_assert_ptr_nonnull(chunk->pages);
                for (uint32_t i = 0; i < rows; i++, row++) {
                    while (page + 1 < chunk->page_count && chunk->pages[page + 1].first_row <= i) {
                        if (chunk->page_bounds)
                            ck_assert_int_eq(chunk->page_bounds[page].nulls, page_nulls);
                        page++;
                        page_nulls = 0;
                    }
                    if (column_is_null(c, row)) {
                        nulls++;
                        page_nulls++;
                        continue;
                    }
                    struct parquet_value v = parquet_value_of(c, row);
                    if (b->present)
                        ck_assert(parquet_value_compare(type, b->min, v) <= 0 &&
                                  parquet_value_compare(type, b->max, v) >= 0);
                    if (!chunk->page_bounds)
                        continue;
                    const struct pq_page_bounds *p = &chunk->page_bounds[page];
                    ck_assert(!p->is_null && p->present);
                    ck_assert(parquet_value_compare(type, p->min, v) <= 0 &&
                              parquet_value_compare(type, p->max, v) >= 0);
                }
                ck_assert(b->has_null_count);
                ck_assert_uint_eq(b->null_count, nulls);
            }
        }
        parquet_reader_close(reader);
        table_fini(&t);
    }
}
END_TEST

START_TEST(point_in_sorted_column_leaves_one_page) {
    struct rng r;
    struct table t;
    struct parquet_row_ranges pages = {0};
    rng_init(&r, 2);
    table_sample(&t, &r, SAMPLE_SORTED, 1000);
    table_save(&t, &(struct parquet_write_options){.row_group_rows = 500, .page_rows = 20}, 1000);
    struct parquet_reader *reader = table_open(&t);
    static const uint32_t sorted[] = {6, 10, 20, 22, 26, 28, 34}; /* NOT NULL, no repeats */
    for (size_t i = 0; i < sizeof sorted / sizeof sorted[0]; i++) {
        uint32_t f = sorted[i];
        struct parquet_value v = parquet_value_of(&t.rows.columns[f], 730);
        struct parquet_range range = {.lower = &v, .upper = &v};
        ck_assert(!parquet_prune(reader, 0, f, &range));
        ck_assert(parquet_prune(reader, 1, f, &range));
        ck_ok(parquet_prune_pages(reader, 0, f, &range, &pages, &err), &err);
        ck_assert_uint_eq(pages.count, 0);
        ck_ok(parquet_prune_pages(reader, 1, f, &range, &pages, &err), &err);
        ck_assert_uint_eq(pages.count, 1);
        ck_assert_uint_eq(pages.items[0].first, 220);
        ck_assert_uint_eq(pages.items[0].count, 20);
    }
    parquet_row_ranges_fini(&pages);
    parquet_reader_close(reader);
    table_fini(&t);
}
END_TEST

START_TEST(chunks_of_nulls_match_only_nulls) {
    struct rng r;
    struct table t;
    rng_init(&r, 2);
    table_sample(&t, &r, SAMPLE_NULLS, 100);
    table_save(&t, NULL, 100);
    struct parquet_reader *reader = table_open(&t);
    struct parquet_range all = {0}, nulls = {.nulls = true, .no_values = true};
    for (uint32_t f = 0; f < t.field_count; f++) {
        ck_assert_int_eq(parquet_prune(reader, 0, f, &all), f % 2 == 0);
        ck_assert_int_eq(parquet_prune(reader, 0, f, &nulls), f % 2 == 1);
    }
    parquet_reader_close(reader);
    table_fini(&t);
}
END_TEST

START_TEST(bloom_filters_find_what_is_there_and_exclude_the_rest) {
    struct rng r;
    rng_init(&r, test_seed("bloom_filters_find_what_is_there_and_exclude_the_rest"));
    static const enum sample_kind kinds[] = {SAMPLE_WILD, SAMPLE_FEW, SAMPLE_SORTED};
    for (int k = 0; k < 3; k++) {
        struct table t;
        table_sample(&t, &r, kinds[k], 500);
        table_save(&t, &(struct parquet_write_options){.row_group_rows = 200}, 500);
        struct parquet_reader *reader = table_open(&t);
        for (uint32_t f = 0; f < t.field_count; f++) {
            const struct column *c = &t.rows.columns[f];
            for (uint32_t row = 0; row < 500; row++) {
                bool may;
                if (column_is_null(c, row))
                    continue;
                struct parquet_value v = parquet_value_of(c, row);
                ck_ok(parquet_reader_may_contain(reader, row / 200, f, v, &may, &err), &err);
                ck_assert_msg(may, "%s row %u", t.fields[f].name, row);
            }
        }
        uint32_t excluded = 0;
        for (int64_t i = 0; i < 1000; i++) {
            bool may;
            struct parquet_value v = {.i64 = i * 7919 + 3};
            ck_ok(parquet_reader_may_contain(reader, 0, 6, v, &may, &err), &err);
            excluded += !may;
        }
        ck_assert_uint_gt(excluded, 900);
        parquet_reader_close(reader);
        table_fini(&t);
    }
}
END_TEST

START_TEST(ranges_intersect_as_sets) {
    struct rng r;
    rng_init(&r, test_seed("ranges_intersect_as_sets"));
    for (int round = 0; round < 500; round++) {
        struct parquet_row_ranges lists[2] = {{0}, {0}}, out = {0};
        bool sets[2][100] = {{0}};
        for (int k = 0; k < 2; k++) {
            for (uint32_t at = 0; at < 100;) {
                uint32_t count = (uint32_t)rng_below(&r, 12);
                count = count < 100 - at ? count : 100 - at;
                if (rng_below(&r, 2)) {
                    ck_ok(parquet_row_ranges_add(&lists[k], at, count, &err), &err);
                    memset(&sets[k][at], 1, count);
                }
                at += count;
            }
        }
        ck_ok(parquet_row_ranges_intersect(&lists[0], &lists[1], &out, &err), &err);
        for (uint32_t i = 0; i < 100; i++)
            ck_assert_int_eq(in_ranges(&out, i), sets[0][i] && sets[1][i]);
        for (size_t i = 1; i < out.count; i++)
            ck_assert_uint_gt(out.items[i].first, out.items[i - 1].first + out.items[i - 1].count);
        parquet_row_ranges_fini(&lists[0]);
        parquet_row_ranges_fini(&lists[1]);
        parquet_row_ranges_fini(&out);
    }
}
END_TEST

TEST_MAIN("parquet/prune", no_wanted_row_is_pruned, stored_bounds_hold_for_every_page_and_chunk,
          point_in_sorted_column_leaves_one_page, chunks_of_nulls_match_only_nulls,
          bloom_filters_find_what_is_there_and_exclude_the_rest, ranges_intersect_as_sets)
