/* SPDX-License-Identifier: Apache-2.0
 *
 * The choice of an access path, from schema, indexes and comparisons alone. */
#include "sql/plan.h"
#include "tests/support/test.h"

/* Columns a (key 0), b (key 1), c, d, e with ids 1 to 5. Values of terms are not looked at. */
enum { A, B, C, D, E };

static struct schema_column columns[5];
static struct schema schema;

static void setup(void) {
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    for (int i = 0; i < 5; i++)
        columns[i] = (struct schema_column){
            .id = (uint32_t)i + 1, .name = names[i], .type = coltype_of(LAM_TYPE_INT)};
    schema = (struct schema){.columns = columns, .column_count = 5, .key_count = 2};
    schema.key[0] = A;
    schema.key[1] = B;
}

static struct access_path choose(const struct table_index *indexes, uint32_t index_count,
                                 bool allowed, const struct access_term *terms, uint32_t count) {
    struct access_path path;
    setup();
    access_choose(&schema, indexes, index_count, allowed, terms, count, &path);
    return path;
}
#define CHOOSE(indexes, n, ...)                                                                    \
    choose(indexes, n, true, (struct access_term[]){__VA_ARGS__},                                  \
           sizeof((struct access_term[]){__VA_ARGS__}) / sizeof(struct access_term))
#define EQ(c)                                                                                      \
    { c, OP_EQ, NULL }
#define GT(c)                                                                                      \
    { c, OP_GT, NULL }
#define LE(c)                                                                                      \
    { c, OP_LE, NULL }

START_TEST(without_comparisons_all_is_scanned) {
    struct access_path p = choose(NULL, 0, true, NULL, 0);
    ck_assert_int_eq(p.kind, PATH_SCAN);
    ck_assert_int_eq(p.lower, -1);
    ck_assert_int_eq(p.upper, -1);
}
END_TEST

START_TEST(the_whole_key_is_a_lookup_in_any_order_of_terms) {
    struct access_path p = CHOOSE(NULL, 0, EQ(B), GT(C), EQ(A));
    ck_assert_int_eq(p.kind, PATH_KEY);
    ck_assert_uint_eq(p.eq_count, 2);
    ck_assert_uint_eq(p.eq[0], 2);
    ck_assert_uint_eq(p.eq[1], 0);
}
END_TEST

START_TEST(a_leading_key_column_with_bounds_on_the_next_is_a_range) {
    struct access_path p = CHOOSE(NULL, 0, LE(B), EQ(A), GT(B));
    ck_assert_int_eq(p.kind, PATH_KEY_RANGE);
    ck_assert_uint_eq(p.eq_count, 1);
    ck_assert_uint_eq(p.eq[0], 1);
    ck_assert_int_eq(p.lower, 2);
    ck_assert_int_eq(p.upper, 0);
}
END_TEST

START_TEST(one_bound_on_the_first_key_column_is_a_range) {
    struct access_path p = CHOOSE(NULL, 0, GT(A));
    ck_assert_int_eq(p.kind, PATH_KEY_RANGE);
    ck_assert_uint_eq(p.eq_count, 0);
    ck_assert_int_eq(p.lower, 0);
    ck_assert_int_eq(p.upper, -1);
}
END_TEST

START_TEST(a_later_key_column_alone_helps_nothing) {
    ck_assert_int_eq(CHOOSE(NULL, 0, EQ(B)).kind, PATH_SCAN);
    ck_assert_int_eq(CHOOSE(NULL, 0, GT(B), EQ(D)).kind, PATH_SCAN);
}
END_TEST

static const struct table_index by_c = {.column_count = 1, .column_ids = {C + 1}};
static const struct table_index by_cd = {.column_count = 2, .column_ids = {C + 1, D + 1}};
static const struct table_index unique_e = {
    .unique = true, .column_count = 1, .column_ids = {E + 1}};
static const struct table_index unique_cd = {
    .unique = true, .column_count = 2, .column_ids = {C + 1, D + 1}};

START_TEST(equality_on_an_indexed_column_takes_the_index) {
    struct access_path p = CHOOSE(&by_c, 1, EQ(C));
    ck_assert_int_eq(p.kind, PATH_INDEX);
    ck_assert_uint_eq(p.index, 0);
    ck_assert_uint_eq(p.eq_count, 1);
    ck_assert_int_eq(CHOOSE(&by_c, 1, GT(C)).kind, PATH_SCAN);
}
END_TEST

START_TEST(the_longest_prefix_wins_and_a_full_unique_index_over_it) {
    struct table_index indexes[] = {by_c, by_cd, unique_e};
    ck_assert_uint_eq(CHOOSE(indexes, 3, EQ(C), EQ(D)).index, 1);
    ck_assert_uint_eq(CHOOSE(indexes, 3, EQ(C), EQ(D), EQ(E)).index, 2);
    ck_assert_uint_eq(CHOOSE(indexes, 3, EQ(C)).index, 0);
}
END_TEST

START_TEST(a_unique_index_in_part_is_like_any_other) {
    struct table_index indexes[] = {by_c, unique_cd};
    ck_assert_uint_eq(CHOOSE(indexes, 2, EQ(C)).index, 0);
    ck_assert_uint_eq(CHOOSE(indexes, 2, EQ(C), EQ(D)).index, 1);
}
END_TEST

START_TEST(the_key_wins_over_indexes_of_equal_use) {
    struct table_index indexes[] = {by_c, unique_e};
    ck_assert_int_eq(CHOOSE(indexes, 2, EQ(A), EQ(B), EQ(E)).kind, PATH_KEY);
    ck_assert_int_eq(CHOOSE(indexes, 2, EQ(A), EQ(C)).kind, PATH_KEY_RANGE);
    ck_assert_int_eq(CHOOSE(indexes, 2, EQ(A), EQ(E)).kind, PATH_INDEX);
    ck_assert_int_eq(CHOOSE(indexes, 2, GT(A), EQ(C)).kind, PATH_INDEX);
}
END_TEST

START_TEST(indexes_may_be_forbidden) {
    struct access_term terms[] = {EQ(C)};
    ck_assert_int_eq(choose(&by_c, 1, false, terms, 1).kind, PATH_SCAN);
}
END_TEST

START_TEST(comparisons_of_system_columns_take_no_path) {
    ck_assert_int_eq(CHOOSE(&by_c, 1, EQ(5), GT(6), EQ(7)).kind, PATH_SCAN);
}
END_TEST

TEST_MAIN("sql/access_path", without_comparisons_all_is_scanned,
          the_whole_key_is_a_lookup_in_any_order_of_terms,
          a_leading_key_column_with_bounds_on_the_next_is_a_range,
          one_bound_on_the_first_key_column_is_a_range, a_later_key_column_alone_helps_nothing,
          equality_on_an_indexed_column_takes_the_index,
          the_longest_prefix_wins_and_a_full_unique_index_over_it,
          a_unique_index_in_part_is_like_any_other, the_key_wins_over_indexes_of_equal_use,
          indexes_may_be_forbidden, comparisons_of_system_columns_take_no_path)
