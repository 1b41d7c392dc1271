/* SPDX-License-Identifier: Apache-2.0
 *
 * Histograms of times: buckets, percentiles, recording from several threads. */
#include "lsm/histogram.h"

#include "base/rng.h"
#include "base/thread.h"
#include "tests/support/test.h"

static struct histogram h;

START_TEST(each_time_falls_into_a_bucket_an_eighth_as_wide_as_it_is_high) {
    struct rng rng;
    rng_init(&rng, test_seed("histogram"));
    uint32_t last = 0;
    for (uint32_t b = 1; b < HISTOGRAM_BUCKETS; b++) {
        ck_assert_uint_eq(histogram_bucket(histogram_floor(b)), b);
        ck_assert_uint_eq(histogram_bucket(histogram_floor(b) - 1), b - 1);
    }
    for (int i = 0; i < 100000; i++) {
        uint64_t ns = rng_next(&rng) >> (rng_next(&rng) % 64);
        uint32_t b = histogram_bucket(ns);
        ck_assert_uint_lt(b, HISTOGRAM_BUCKETS);
        if (b == HISTOGRAM_BUCKETS - 1) {
            last++;
            ck_assert_uint_ge(ns, histogram_floor(b));
            continue;
        }
        uint64_t from = histogram_floor(b), to = histogram_floor(b + 1);
        ck_assert(from <= ns && ns < to);
        ck_assert(to - from == 1 || (to - from) * 8 <= from);
    }
    ck_assert_uint_gt(last, 0);
}
END_TEST

static void near(uint64_t got, uint64_t wanted) {
    uint64_t off = got > wanted ? got - wanted : wanted - got;
    if (off * 16 > wanted)
        ck_abort_msg("%llu is not within 1/16 of %llu", (unsigned long long)got,
                     (unsigned long long)wanted);
}

START_TEST(percentiles_are_those_of_the_times_recorded) {
    struct lam_latency l;
    histogram_read(&h, &l);
    ck_assert_uint_eq(l.count, 0);
    ck_assert_uint_eq(l.max_ns, 0);
    histogram_read(NULL, &l);
    ck_assert_uint_eq(l.count, 0);
    for (uint64_t us = 1; us <= 1000; us++)
        histogram_record(&h, us * 1000);
    histogram_read(&h, &l);
    ck_assert_uint_eq(l.count, 1000);
    ck_assert_uint_eq(l.mean_ns, 500500);
    ck_assert_uint_eq(l.max_ns, 1000000);
    near(l.p50_ns, 500000);
    near(l.p90_ns, 900000);
    near(l.p99_ns, 990000);
    near(l.p999_ns, 999000);
}
END_TEST

START_TEST(one_slow_call_in_a_thousand_shows_in_the_last_percentile_only) {
    struct lam_latency l;
    for (int i = 0; i < 9980; i++)
        histogram_record(&h, 100);
    for (int i = 0; i < 20; i++)
        histogram_record(&h, 7000000);
    histogram_read(&h, &l);
    near(l.p50_ns, 100);
    near(l.p99_ns, 100);
    near(l.p999_ns, 7000000);
    ck_assert_uint_eq(l.mean_ns, (9980 * 100 + 20 * 7000000ull) / 10000);
}
END_TEST

START_TEST(a_percentile_is_never_above_the_longest_time) {
    struct lam_latency l;
    histogram_record(&h, 1024);
    histogram_read(&h, &l);
    ck_assert_uint_eq(l.p50_ns, 1024);
    ck_assert_uint_eq(l.p999_ns, 1024);
    ck_assert_uint_eq(l.max_ns, 1024);
}
END_TEST

static void record_many(void *arg) {
    for (uint64_t i = 0; i < 20000; i++)
        histogram_record(&h, (uint64_t)(uintptr_t)arg + i);
}

START_TEST(no_time_is_lost_between_threads) {
    struct thread t[4];
    struct lam_error err;
    struct lam_latency l;
    for (uintptr_t i = 0; i < 4; i++)
        ck_ok(thread_start(&t[i], record_many, (void *)(i * 100000), &err), &err);
    for (int i = 0; i < 4; i++)
        thread_join(&t[i]);
    histogram_read(&h, &l);
    ck_assert_uint_eq(l.count, 80000);
    ck_assert_uint_eq(l.max_ns, 319999);
    ck_assert_uint_eq(l.mean_ns, (0 + 100000 + 200000 + 300000) / 4 + 19999 / 2);
}
END_TEST

TEST_MAIN("lsm/histogram", each_time_falls_into_a_bucket_an_eighth_as_wide_as_it_is_high,
          percentiles_are_those_of_the_times_recorded,
          one_slow_call_in_a_thousand_shows_in_the_last_percentile_only,
          a_percentile_is_never_above_the_longest_time, no_time_is_lost_between_threads)
