/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "tests/catalog/fixture.h"

static uint64_t allocations;
static void *counting_resize(void *arg, void *ptr, size_t size) {
    (void)arg;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
    return realloc(ptr, size);
}

START_TEST(hundred_users_share_one_provider_per_table) {
    struct fixture f;
    char name[16];
    struct provider *held[100];
    fixture_open(&f);
    for (int t = 0; t < 10; t++) {
        snprintf(name, sizeof name, "t%d", t);
        ck_ok(make_people(&f, name, TABLE_USER), &f.err);
    }
    for (int t = 0; t < 10; t++) {
        snprintf(name, sizeof name, "t%d", t);
        for (int user = 0; user < 100; user++) {
            held[user] = get_table(&f, name);
            ck_assert_ptr_eq(held[user], held[0]);
        }
        for (int user = 0; user < 100; user++)
            provider_unref(held[user]);
    }
    ck_assert_uint_eq(catalog_provider_count(f.c), 10);
    fixture_close(&f);
}
END_TEST

START_TEST(a_cached_fetch_allocates_nothing) {
    static const struct lam_allocator counting = {counting_resize, NULL};
    struct fixture f;
    struct timespec begin, end;
    lam_set_allocator(&counting);
    fixture_open(&f);
    for (int t = 0; t < 200; t++) {
        char name[24];
        snprintf(name, sizeof name, "table_%d", t);
        if (t % 10 == 0)
            ck_ok(make_people(&f, name, TABLE_SHARED), &f.err);
    }
    provider_unref(get_table(&f, "table_50"));
    /* Background work of the engine is over before counting: nothing was written since. */
    uint64_t before = __atomic_load_n(&allocations, __ATOMIC_RELAXED);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    enum { FETCHES = 1000000 };
    for (int i = 0; i < FETCHES; i++)
        provider_unref(get_table(&f, "table_50"));
    clock_gettime(CLOCK_MONOTONIC, &end);
    uint64_t made = __atomic_load_n(&allocations, __ATOMIC_RELAXED) - before;
    double ns =
        ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) /
        FETCHES;
    printf("cached provider fetch: %.1f ns\n", ns);
    ck_assert_uint_eq(made, 0);
    ck_assert_msg(ns < 10000, "%.1f ns", ns);
    fixture_close(&f);
}
END_TEST

START_TEST(missing_names_are_told_apart_with_hints) {
    struct fixture f;
    struct provider *p = NULL;
    fixture_open(&f);
    ck_ok(make_people(&f, "messages", TABLE_SHARED), &f.err);
    ck_state(&f, catalog_provider(f.c, S("default"), S("mesages"), &p, &f.err), "42P01");
    ck_contains(f.err.hint, "messages");
    ck_state(&f, catalog_provider(f.c, S("default"), S("zzz"), &p, &f.err), "42P01");
    ck_assert_str_eq(f.err.hint, "");
    ck_state(&f, catalog_provider(f.c, S("chat"), S("t"), &p, &f.err), "3F000");
    ck_contains(f.err.hint, "CREATE NAMESPACE chat");
    ck_code(catalog_provider_by_id(f.c, (struct table_id){99}, &p, NULL), LAM_NOT_FOUND);
    fixture_close(&f);
}
END_TEST

struct names {
    char text[256];
};
static bool list_name(void *arg, struct provider *p) {
    struct names *n = arg;
    strcat(n->text, p->namespace_name);
    strcat(n->text, ".");
    strcat(n->text, p->name);
    strcat(n->text, " ");
    return true;
}

START_TEST(providers_are_walked_by_name) {
    struct fixture f;
    struct names names = {""};
    fixture_open(&f);
    ck_ok(make_people(&f, "b", TABLE_SHARED), &f.err);
    ck_ok(make_people(&f, "a", TABLE_USER), &f.err);
    ck_ok(make_people(&f, "c", TABLE_STREAM), &f.err);
    ck_ok(catalog_each_provider(f.c, list_name, &names, &f.err), &f.err);
    ck_assert_str_eq(names.text, "default.a default.b default.c ");
    fixture_close(&f);
}
END_TEST

START_TEST(a_held_provider_outlives_its_table) {
    struct fixture f;
    struct provider *p, *q = NULL;
    unsigned stripe;
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    p = get_table(&f, "t");
    ck_ok(catalog_drop_table(f.c, &root, S("default"), S("t"), 0, false, NULL, &f.err), &f.err);
    ck_assert_str_eq(p->name, "t");
    ck_assert_uint_eq(catalog_provider_count(f.c), 1);
    ck_state(&f, provider_write_lock(p, SLICE_EMPTY, &stripe, &f.err), "42P01");
    ck_code(catalog_provider_by_id(f.c, p->table, &q, NULL), LAM_NOT_FOUND);
    provider_unref(p);
    ck_assert_uint_eq(catalog_provider_count(f.c), 0);
    fixture_close(&f);
}
END_TEST

START_TEST(every_schema_change_raises_the_version) {
    struct fixture f;
    fixture_open(&f);
    uint64_t v0 = catalog_version(f.c);
    ck_ok(catalog_create_namespace(f.c, &root, S("n"), false, NULL, &f.err), &f.err);
    uint64_t v1 = catalog_version(f.c);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    uint64_t v2 = catalog_version(f.c);
    ck_ok(catalog_drop_table(f.c, &root, S("default"), S("t"), 0, false, NULL, &f.err), &f.err);
    uint64_t v3 = catalog_version(f.c);
    ck_assert(v0 < v1 && v1 < v2 && v2 < v3);
    ck_ok(catalog_drop_table(f.c, &root, S("default"), S("t"), 0, true, NULL, &f.err), &f.err);
    ck_assert_uint_eq(catalog_version(f.c), v3);
    fixture_close(&f);
}
END_TEST

struct fetcher {
    struct fixture *f;
    atomic_bool *stop;
    int fetched, missing;
};
static void fetch_on(void *arg) {
    struct fetcher *w = arg;
    while (!atomic_load(w->stop)) {
        struct provider *p = NULL;
        if (catalog_provider(w->f->c, S("default"), S("t"), &p, NULL) == LAM_OK) {
            ck_assert_str_eq(p->name, "t");
            w->fetched++;
            provider_unref(p);
        } else {
            w->missing++;
        }
        thread_yield();
    }
}

START_TEST(fetching_goes_on_beside_create_and_drop) {
    struct fixture f;
    atomic_bool stop = false;
    struct thread threads[2];
    fixture_open(&f);
    struct fetcher workers[2] = {{&f, &stop, 0, 0}, {&f, &stop, 0, 0}};
    for (int i = 0; i < 2; i++)
        ck_ok(thread_start(&threads[i], fetch_on, &workers[i], &f.err), &f.err);
    for (int i = 0; i < 20; i++) {
        ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
        thread_yield();
        ck_ok(catalog_drop_table(f.c, &root, S("default"), S("t"), 0, false, NULL, &f.err), &f.err);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        thread_join(&threads[i]);
    ck_assert_uint_eq(catalog_provider_count(f.c), 0);
    fixture_close(&f);
}
END_TEST

TEST_MAIN("catalog/registry", hundred_users_share_one_provider_per_table,
          a_cached_fetch_allocates_nothing, missing_names_are_told_apart_with_hints,
          providers_are_walked_by_name, a_held_provider_outlives_its_table,
          every_schema_change_raises_the_version, fetching_goes_on_beside_create_and_drop)
