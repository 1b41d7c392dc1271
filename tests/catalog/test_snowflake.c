/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"
#include "tests/catalog/fixture.h"

/* The environment's clock, replaced in place. */
static _Atomic int64_t fake_us;
static struct lam_env_ops fake_ops;
static int64_t fake_now(lam_env *env) {
    (void)env;
    return fake_us;
}
static void fake_clock(lam_env *env, int64_t us) {
    fake_us = us;
    fake_ops = *env->ops;
    fake_ops.now_us = fake_now;
    env->ops = &fake_ops;
}

#define T2026 INT64_C(1767225600000000)

static void open_with_clock(struct fixture *f) {
    memset(f, 0, sizeof *f);
    ck_ok(lam_env_mem_new(&f->env, &f->err), &f->err);
    fake_clock(f->env, T2026);
    fixture_open_db(f);
}

static int64_t next(struct fixture *f) {
    int64_t id = 0;
    ck_ok(catalog_next_id(f->c, &id, &f->err), &f->err);
    return id;
}

START_TEST(ids_rise_within_and_beyond_a_millisecond) {
    struct fixture f;
    open_with_clock(&f);
    int64_t last = next(&f);
    ck_assert_int_eq(seq_time_us(last) / 1000, T2026 / 1000);
    for (int i = 0; i < 20000; i++) { /* 4096 fit one millisecond; the clock stands */
        int64_t id = next(&f);
        ck_assert_int_gt(id, last);
        last = id;
    }
    ck_assert_int_eq(seq_time_us(last) / 1000 - T2026 / 1000, 20000 / 4096);
    fixture_close(&f);
}
END_TEST

START_TEST(ids_never_go_back_with_the_clock) {
    struct fixture f;
    uint64_t seed = test_seed("clock_back");
    struct rng rng;
    rng_init(&rng, seed);
    open_with_clock(&f);
    int64_t last = 0;
    for (int i = 0; i < 3000; i++) {
        fake_us = T2026 + (int64_t)rng_below(&rng, 20000000) - 10000000;
        int64_t id = next(&f);
        ck_assert_int_gt(id, last);
        last = id;
    }
    fixture_close(&f);
}
END_TEST

START_TEST(ids_rise_over_clean_restarts_with_the_clock_set_back) {
    struct fixture f;
    open_with_clock(&f);
    int64_t last = 0;
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 10; k++) {
            int64_t id = next(&f);
            ck_assert_int_gt(id, last);
            last = id;
        }
        fake_us -= INT64_C(3600000000);
        fixture_reopen(&f);
    }
    /* A clean close keeps the exact time: no leap ahead by the reserve. */
    ck_assert_int_lt(seq_time_us(last) - T2026, 100000);
    fixture_close(&f);
}
END_TEST

START_TEST(ids_rise_over_crashes) {
    struct fixture f;
    struct value row[3];
    int64_t last = 0;
    open_with_clock(&f);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    for (int i = 0; i < 6; i++) {
        struct provider *p = get_table(&f, "t");
        for (int k = 0; k < 50; k++) {
            fake_us += 100000; /* 5 s in all: beyond any reserve */
            person(row, k, "x", i);
            int64_t seq = put_row(&f, p, "", row, false, NULL);
            ck_assert_int_gt(seq, last);
            last = seq;
            if (k % 7 == 0) {
                int64_t id = next(&f);
                ck_assert_int_gt(id, last);
                last = id;
            }
        }
        provider_unref(p);
        fake_us -= INT64_C(7200000000);
        struct fixture image = {0};
        ck_ok(lam_env_mem_crash(f.env, LAM_CRASH_PROCESS, 1, &image.env, &f.err), &f.err);
        image.env->ops = &fake_ops;
        fixture_close(&f);
        fixture_open_db(&image);
        f = image;
    }
    fixture_close(&f);
}
END_TEST

START_TEST(a_power_loss_never_repeats_a_kept_seq) {
    struct fixture f;
    struct value row[3];
    open_with_clock(&f);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    struct provider *p = get_table(&f, "t");
    for (int k = 0; k < 40; k++) {
        fake_us += 200000;
        person(row, k, "x", 1);
        put_row(&f, p, "", row, false, NULL);
    }
    provider_unref(p);
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct fixture image = {0};
        lam_iter *it = NULL;
        int64_t newest = 0;
        ck_ok(lam_env_mem_crash(f.env, LAM_CRASH_POWER_ANY, seed, &image.env, &f.err), &f.err);
        image.env->ops = &fake_ops;
        int64_t now = fake_us;
        fake_us = T2026;
        fixture_open_db(&image);
        p = get_table(&image, "t");
        ck_ok(lam_iter_new(image.db, NULL, p->hot, &it, &image.err), &image.err);
        for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
            struct row_header h;
            ck_ok(row_header_decode(lam_iter_value(it), &h, &image.err), &image.err);
            if (h.seq > newest)
                newest = h.seq;
        }
        ck_ok(lam_iter_status(it, &image.err), &image.err);
        lam_iter_free(it);
        provider_unref(p);
        ck_assert_int_gt(next(&image), newest);
        fixture_close(&image);
        fake_us = now;
    }
    fixture_close(&f);
}
END_TEST

/* --- threads --- */

#define THREADS 4
#define EACH    5000
struct taker {
    struct fixture *f;
    int64_t ids[EACH];
    enum lam_code rc;
};
static void take(void *arg) {
    struct taker *t = arg;
    for (int i = 0; i < EACH && t->rc == LAM_OK; i++)
        t->rc = catalog_next_id(t->f->c, &t->ids[i], NULL);
}
static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

START_TEST(threads_never_get_the_same_id) {
    static struct taker takers[THREADS];
    static int64_t all[THREADS * EACH];
    struct thread threads[THREADS];
    struct fixture f;
    fixture_open(&f);
    for (int i = 0; i < THREADS; i++) {
        takers[i] = (struct taker){.f = &f};
        ck_ok(thread_start(&threads[i], take, &takers[i], &f.err), &f.err);
    }
    for (int i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
        ck_code(takers[i].rc, LAM_OK);
        for (int k = 1; k < EACH; k++)
            ck_assert_int_gt(takers[i].ids[k], takers[i].ids[k - 1]);
        memcpy(all + i * EACH, takers[i].ids, sizeof takers[i].ids);
    }
    qsort(all, THREADS * EACH, sizeof all[0], by_number);
    for (int i = 1; i < THREADS * EACH; i++)
        ck_assert_int_ne(all[i], all[i - 1]);
    fixture_close(&f);
}
END_TEST

START_TEST(other_ids_have_their_forms) {
    struct fixture f;
    uint8_t a[16], b[16];
    char x[27], y[27];
    open_with_clock(&f);
    catalog_uuid_v7(f.c, a);
    fake_us += 1000;
    catalog_uuid_v7(f.c, b);
    ck_assert_int_eq(a[6] >> 4, 7);
    ck_assert_int_eq(a[8] >> 6, 2);
    ck_assert_int_lt(memcmp(a, b, 6), 0);
    catalog_ulid(f.c, x);
    fake_us += 1000;
    catalog_ulid(f.c, y);
    ck_assert_uint_eq(strlen(x), 26);
    ck_assert_int_lt(strcmp(x, y), 0);
    ck_assert_uint_eq(strspn(x, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 26);
    /* 2026-01-01T00:00:00.001Z, the time digits of its ULID. */
    fake_us = INT64_C(1767225600001000);
    catalog_ulid(f.c, x);
    ck_assert_int_eq(strncmp(x, "01KDVDNA01", 10), 0);
    fixture_close(&f);
}
END_TEST

TEST_MAIN("catalog/snowflake", ids_rise_within_and_beyond_a_millisecond,
          ids_never_go_back_with_the_clock, ids_rise_over_clean_restarts_with_the_clock_set_back,
          ids_rise_over_crashes, a_power_loss_never_repeats_a_kept_seq,
          threads_never_get_the_same_id, other_ids_have_their_forms)
