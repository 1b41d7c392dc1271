/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/choice.h"
#include "tests/support/test.h"

static struct choice c;

START_TEST(one_seed_gives_one_sequence_within_range) {
    struct choice same, other;
    choice_seed(&c, 7);
    choice_seed(&same, 7);
    choice_seed(&other, 8);
    unsigned seen[10] = {0}, differ = 0;
    for (int i = 0; i < 1000; i++) {
        uint32_t value = choose(&c, 10);
        ck_assert_uint_lt(value, 10);
        ck_assert_uint_eq(value, choose(&same, 10));
        differ += value != choose(&other, 10);
        seen[value]++;
    }
    for (int i = 0; i < 10; i++)
        ck_assert_uint_gt(seen[i], 50);
    ck_assert_uint_gt(differ, 500);
    ck_assert_uint_eq(c.made_count, 0);
    choice_fini(&c);
}
END_TEST

START_TEST(a_range_of_one_is_no_question) {
    choice_seed(&c, 1);
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(choose(&c, 1), 0);
    ck_assert(choose_one_in(&c, 1));
}
END_TEST

START_TEST(kept_choices_replay_as_a_list) {
    uint32_t values[50];
    choice_seed(&c, 99);
    c.keep = true;
    for (uint32_t i = 0; i < 50; i++)
        values[i] = choose(&c, i + 1);
    ck_assert_uint_eq(c.made_count, 50);
    uint32_t list[50];
    for (size_t i = 0; i < 50; i++) {
        ck_assert_uint_eq(c.made[i].of, i + 1);
        list[i] = c.made[i].value;
    }
    struct choice replay;
    choice_list(&replay, list, 50);
    replay.keep = true;
    for (uint32_t i = 0; i < 50; i++)
        ck_assert_uint_eq(choose(&replay, i + 1), values[i]);
    ck_assert_uint_eq(choose(&replay, 1000), 0);
    ck_assert_uint_eq(replay.made_count, 51);
    choice_fini(&c);
    choice_fini(&replay);
}
END_TEST

START_TEST(a_list_is_reduced_to_the_range) {
    const uint32_t list[] = {7, 100, UINT32_MAX};
    choice_list(&c, list, 3);
    ck_assert_uint_eq(choose(&c, 10), 7);
    ck_assert_uint_eq(choose(&c, 10), 0);
    ck_assert_uint_eq(choose(&c, 2), 1);
    ck_assert_uint_eq(choose(&c, 2), 0);
}
END_TEST

START_TEST(bytes_are_used_as_wide_as_the_range_needs) {
    const uint8_t bytes[] = {5, 1, 2, 0, 1, 0, 0, 9};
    choice_bytes(&c, bytes, sizeof bytes);
    ck_assert_uint_eq(choose(&c, 256), 5);
    ck_assert_uint_eq(choose(&c, 65536), 0x0102);
    ck_assert_uint_eq(choose(&c, 1u << 20), 0x00010000);
    ck_assert_uint_eq(choose(&c, 4), 9 % 4);
    ck_assert_uint_eq(choose(&c, 4), 0);
    ck_assert_uint_eq(choose(&c, 1u << 31), 0);
}
END_TEST

START_TEST(an_odometer_gives_every_combination_once) {
    bool seen[3][4][2] = {0};
    unsigned runs = 0;
    choice_odometer(&c);
    do {
        uint32_t i = choose(&c, 3), j = choose(&c, 4), k = choose(&c, 2);
        ck_assert(!seen[i][j][k]);
        seen[i][j][k] = true;
        runs++;
    } while (choice_next(&c));
    ck_assert_uint_eq(runs, 24);
    choice_fini(&c);
}
END_TEST

/* How many questions there are, and how wide, may hang on earlier answers. */
START_TEST(an_odometer_follows_dependent_choices) {
    unsigned runs = 0, expected = 0;
    choice_odometer(&c);
    do {
        uint32_t n = choose(&c, 4), product = 1;
        for (uint32_t i = 0; i < n; i++)
            product = product * 8 + choose(&c, i + 1) + 1;
        runs++;
    } while (choice_next(&c));
    for (unsigned n = 0, product = 1; n < 4; product *= ++n)
        expected += product;
    ck_assert_uint_eq(runs, expected);
    choice_fini(&c);
}
END_TEST

START_TEST(an_odometer_without_choices_runs_once) {
    choice_odometer(&c);
    ck_assert(!choice_next(&c));
    choice_fini(&c);
}
END_TEST

START_TEST(one_in_n_is_rare_and_zero_is_tame) {
    choice_seed(&c, 3);
    unsigned hits = 0;
    for (int i = 0; i < 10000; i++)
        hits += choose_one_in(&c, 10);
    ck_assert_uint_gt(hits, 700);
    ck_assert_uint_lt(hits, 1300);
    choice_list(&c, NULL, 0);
    for (uint32_t n = 2; n < 20; n++)
        ck_assert(!choose_one_in(&c, n));
}
END_TEST

START_TEST(salts_differ_and_replay) {
    choice_seed(&c, 5);
    c.keep = true;
    uint64_t a = choose_salt(&c), b = choose_salt(&c);
    ck_assert_uint_ne(a, b);
    ck_assert_uint_gt(a | b, UINT32_MAX);
    ck_assert_uint_eq(c.made_count, 2);
    const uint32_t list[] = {c.made[0].value, c.made[1].value};
    struct choice replay;
    choice_list(&replay, list, 2);
    ck_assert_uint_eq(choose_salt(&replay), a);
    ck_assert_uint_eq(choose_salt(&replay), b);
    choice_fini(&c);
}
END_TEST

TEST_MAIN("sim/choice", one_seed_gives_one_sequence_within_range, a_range_of_one_is_no_question,
          kept_choices_replay_as_a_list, a_list_is_reduced_to_the_range,
          bytes_are_used_as_wide_as_the_range_needs, an_odometer_gives_every_combination_once,
          an_odometer_follows_dependent_choices, an_odometer_without_choices_runs_once,
          one_in_n_is_rare_and_zero_is_tame, salts_differ_and_replay)
