/* SPDX-License-Identifier: Apache-2.0
 *
 * The calendar, against counting days one by one, and sequence times. */
#include "base/rng.h"
#include "catalog/schema.h"
#include "tests/support/test.h"

static bool is_leap(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

START_TEST(every_day_from_year_1_to_9999_converts_both_ways) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int32_t expected = DATE_MIN;
    for (int year = 1; year <= 9999; year++) {
        for (int month = 1; month <= 12; month++) {
            int last = days[month - 1] + (month == 2 && is_leap(year));
            for (int day = 1; day <= last; day++, expected++) {
                struct civil c;
                date_to_civil(expected, &c);
                if (date_from_civil(year, month, day) != expected || c.year != year ||
                    c.month != month || c.day != day)
                    ck_abort_msg("%04d-%02d-%02d is not day %d", year, month, day, expected);
            }
        }
    }
    ck_assert_int_eq(expected, DATE_MAX + 1);
}
END_TEST

START_TEST(known_days) {
    ck_assert_int_eq(date_from_civil(1970, 1, 1), 0);
    ck_assert_int_eq(date_from_civil(2000, 3, 1), 11017);
    ck_assert_int_eq(date_from_civil(1969, 12, 31), -1);
    ck_assert_int_eq(date_from_civil(1, 1, 1), DATE_MIN);
    ck_assert_int_eq(date_from_civil(9999, 12, 31), DATE_MAX);
}
END_TEST

START_TEST(dates_far_outside_the_range_still_convert_both_ways) {
    struct civil c;
    date_to_civil(INT32_MIN, &c);
    ck_assert_int_eq(date_from_civil(c.year, c.month, c.day), INT32_MIN);
    date_to_civil(INT32_MAX, &c);
    ck_assert_int_eq(date_from_civil(c.year, c.month, c.day), INT32_MAX);
    timestamp_to_civil(INT64_MIN, &c);
    ck_assert_int_ge(c.micros, 0);
    timestamp_to_civil(INT64_MAX, &c);
    ck_assert_int_eq(timestamp_from_civil(&c) == INT64_MAX, 1);
}
END_TEST

START_TEST(timestamps_before_1970_floor) {
    struct civil c;
    timestamp_to_civil(-1, &c);
    ck_assert(c.year == 1969 && c.month == 12 && c.day == 31 && c.hour == 23 && c.minute == 59 &&
              c.second == 59 && c.micros == 999999);
    ck_assert_int_eq(timestamp_date(-1), -1);
    ck_assert_int_eq(timestamp_time(-1), DAY_MICROS - 1);
    ck_assert_int_eq(timestamp_date(-DAY_MICROS), -1);
    ck_assert_int_eq(timestamp_time(-DAY_MICROS), 0);
}
END_TEST

START_TEST(random_timestamps_convert_both_ways) {
    struct rng r;
    rng_init(&r, test_seed("timestamps"));
    for (int i = 0; i < 100000; i++) {
        int64_t t = TIMESTAMP_MIN +
                    (int64_t)rng_below(&r, (uint64_t)TIMESTAMP_MAX - (uint64_t)TIMESTAMP_MIN + 1);
        struct civil c;
        timestamp_to_civil(t, &c);
        ck_assert(civil_valid(&c));
        ck_assert_int_eq(timestamp_from_civil(&c), t);
    }
}
END_TEST

START_TEST(fields_out_of_range_are_told) {
    struct civil good = {2024, 2, 29, 23, 59, 59, 999999}, c;
    ck_assert(civil_valid(&good));
    c = good, c.year = 2023, ck_assert(!civil_valid(&c));
    c = good, c.year = 1900, ck_assert(!civil_valid(&c));
    c = good, c.year = 2000, ck_assert(civil_valid(&c));
    c = good, c.year = 0, ck_assert(!civil_valid(&c));
    c = good, c.year = 10000, ck_assert(!civil_valid(&c));
    c = good, c.month = 13, ck_assert(!civil_valid(&c));
    c = good, c.month = 0, ck_assert(!civil_valid(&c));
    c = good, c.day = 0, ck_assert(!civil_valid(&c));
    c = good, c.hour = 24, ck_assert(!civil_valid(&c));
    c = good, c.minute = 60, ck_assert(!civil_valid(&c));
    c = good, c.second = 60, ck_assert(!civil_valid(&c));
    c = good, c.micros = 1000000, ck_assert(!civil_valid(&c));
}
END_TEST

START_TEST(sequence_times_meet_their_bounds) {
    ck_assert_int_eq(seq_time_us(0), SEQ_EPOCH_MS * 1000);
    ck_assert_int_eq(seq_time_us(((INT64_C(1) << SEQ_TIME_SHIFT) - 1)), SEQ_EPOCH_MS * 1000);
    ck_assert_int_eq(seq_time_us(INT64_C(1) << SEQ_TIME_SHIFT), (SEQ_EPOCH_MS + 1) * 1000);
    ck_assert_int_eq(seq_time_us(INT64_MAX), (SEQ_EPOCH_MS + SEQ_TIME_MS_MAX) * 1000);
}
END_TEST

TEST_MAIN("catalog/datetime", every_day_from_year_1_to_9999_converts_both_ways, known_days,
          dates_far_outside_the_range_still_convert_both_ways, timestamps_before_1970_floor,
          random_timestamps_convert_both_ways, fields_out_of_range_are_told,
          sequence_times_meet_their_bounds)
