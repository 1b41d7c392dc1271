/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's world in small: the model against a naive one, histories with all their checks, the
 * proof that they can fail, and what they have found, by name. */
#include "base/rng.h"
#include "lamina/db.h"
#include "tests/sim/model.h"
#include "tests/sim/shrink.h"
#include "tests/sim/tuning.h"
#include "tests/sim/world_engine.h"
#include "tests/support/test.h"

/* --- the model ------------------------------------------------------------------------------- */

#define PARTS   3
#define KEYS    9
#define COMMITS 60

struct naive {
    bool exists[PARTS];
    uint32_t value[PARTS][KEYS]; /* 0: no row */
    uint64_t sequence[PARTS][KEYS];
};

static struct lam_slice key_of(uint32_t k) {
    static const char *const keys[KEYS] = {"a", "aa", "aab", "ab", "b", "ba", "c", "ca", "cb"};
    return lam_slice_str(keys[k]);
}

static struct lam_slice value_of(uint32_t id) {
    static char texts[4][16];
    static unsigned turn;
    char *text = texts[turn++ % 4];
    return lam_slice_of(text, (size_t)snprintf(text, 16, "v%u", id));
}

static void change(struct model *m, struct naive *n, struct rng *r, uint64_t sequence) {
    unsigned p = (unsigned)rng_below(r, PARTS);
    uint32_t k = (uint32_t)rng_below(r, KEYS), to = (uint32_t)rng_below(r, KEYS + 1);
    switch (n->exists[p] ? rng_below(r, 12) : 0) {
    case 0:
        if (n->exists[p])
            model_drop(m, p);
        else
            model_create(m, p);
        n->exists[p] = !n->exists[p];
        memset(n->value[p], 0, sizeof n->value[p]);
        break;
    case 1:
    case 2: {
        uint64_t upto = rng_below(r, 2) ? UINT64_MAX : sequence - rng_below(r, sequence);
        struct lam_slice end = to == KEYS ? (struct lam_slice){0} : key_of(to);
        model_delete_range(m, p, key_of(k), end, upto, sequence);
        for (uint32_t i = k; i < to; i++)
            if (n->sequence[p][i] <= upto)
                n->value[p][i] = 0;
        break;
    }
    case 3:
    case 4:
        model_delete(m, p, key_of(k), sequence);
        n->value[p][k] = 0;
        break;
    default:
        n->value[p][k] = (uint32_t)sequence;
        n->sequence[p][k] = sequence;
        model_put(m, p, key_of(k), value_of((uint32_t)sequence), sequence);
        break;
    }
}

static void view_of(const struct naive *n, struct model_view *v) {
    model_view_init(v, true);
    for (unsigned p = 0; p < PARTS; p++) {
        if (n->exists[p])
            model_view_partition(v, p);
        for (uint32_t k = KEYS; k-- > 0;)
            if (n->exists[p] && n->value[p][k])
                model_view_row(v, p, key_of(k), value_of(n->value[p][k]));
    }
}

static void compare_rows(const struct model *m, size_t prefix, const struct naive *n, unsigned p) {
    struct model_cursor c, back;
    size_t rows = 0;
    model_cursor_init(&c, m, prefix, p);
    model_cursor_init(&back, m, prefix, p);
    model_cursor_first(&c);
    for (uint32_t k = 0; k < KEYS; k++) {
        struct lam_slice got;
        bool there = n->exists[p] && n->value[p][k] != 0;
        ck_assert(model_get(m, prefix, p, key_of(k), &got) == there);
        model_cursor_seek_for_prev(&back, key_of(k));
        ck_assert(!there || (back.valid && model_sequence(m, prefix, p, back.key) != 0));
        if (!there)
            continue;
        struct lam_slice want = value_of(n->value[p][k]);
        ck_assert(got.size == want.size && memcmp(got.data, want.data, got.size) == 0);
        ck_assert(c.valid && c.key.size == key_of(k).size &&
                  memcmp(c.key.data, key_of(k).data, c.key.size) == 0);
        ck_assert_uint_eq(model_sequence(m, prefix, p, c.key), n->sequence[p][k]);
        model_cursor_next(&c);
        rows++;
    }
    ck_assert(!c.valid);
    ck_assert_uint_eq(model_rows(m, prefix, p), rows);
}

START_TEST(model_agrees_with_a_naive_one_at_every_prefix) {
    struct rng r;
    rng_init(&r, test_seed("model_agrees_with_a_naive_one_at_every_prefix"));
    for (int round = 0; round < 40; round++) {
        static struct naive states[COMMITS + 1];
        struct model *m = model_new();
        uint64_t sequence = 0;
        states[0] = (struct naive){0};
        for (size_t i = 1; i <= COMMITS; i++) {
            if (i > 20 && rng_below(&r, 9) == 0) {
                i -= rng_below(&r, 10);
                model_truncate(m, i - 1);
            }
            states[i] = states[i - 1];
            model_begin(m);
            for (uint64_t n = rng_below(&r, 5); n > 0; n--)
                change(m, &states[i], &r, ++sequence);
            ck_assert_uint_eq(model_end(m), i);
        }
        for (size_t i = 0; i <= COMMITS; i++) {
            struct model_view v;
            size_t found;
            view_of(&states[i], &v);
            for (unsigned p = 0; p < PARTS; p++) {
                ck_assert(model_exists(m, i, p) == states[i].exists[p]);
                compare_rows(m, i, &states[i], p);
            }
            ck_assert(model_find(m, &v, i, i, &found) && found == i);
            ck_assert_uint_eq(model_diff(m, i, &v, NULL), 0);
            ck_assert_uint_eq(model_diff(m, model_nearest(m, &v, 0, COMMITS), &v, NULL), 0);
            model_view_fini(&v);
        }
        model_free(m);
    }
}
END_TEST

START_TEST(one_changed_row_makes_another_state) {
    struct model *m = model_new();
    struct model_view v;
    size_t found;
    model_begin(m);
    model_create(m, 0);
    model_put(m, 0, lam_slice_str("k"), lam_slice_str("v"), 1);
    model_put(m, 0, lam_slice_str("l"), lam_slice_str("w"), 2);
    model_end(m);
    static const char *const rows[][4] = {
        {"k", "w", "l", "v"}, {"k", "v", "l", "x"}, {"k", "v", "k", "v"}, {"kl", "", "v", "w"}};
    for (size_t i = 0; i < 4; i++) {
        model_view_init(&v, true);
        model_view_partition(&v, 0);
        model_view_row(&v, 0, lam_slice_str(rows[i][0]), lam_slice_str(rows[i][1]));
        model_view_row(&v, 0, lam_slice_str(rows[i][2]), lam_slice_str(rows[i][3]));
        ck_assert(!model_find(m, &v, 0, 1, &found));
        model_view_fini(&v);
    }
    model_view_init(&v, true);
    model_view_partition(&v, 1);
    model_view_row(&v, 1, lam_slice_str("k"), lam_slice_str("v"));
    model_view_row(&v, 1, lam_slice_str("l"), lam_slice_str("w"));
    ck_assert(!model_find(m, &v, 0, 1, &found));
    ck_assert_uint_eq(model_diff(m, 1, &v, NULL), 6);
    model_view_fini(&v);
    model_free(m);
}
END_TEST

/* --- shrinking ------------------------------------------------------------------------------- */

/* Fails when some choice of 100 is at least 70 and one after it at least 30. */
static const char *toy(void *arg, struct choice *c) {
    (void)arg;
    bool first = false;
    for (int i = 0; i < 40; i++) {
        uint32_t n = choose(c, 100);
        if (first && n >= 30)
            return "toy";
        first = first || n >= 70;
    }
    return "";
}

START_TEST(shrinking_finds_the_smallest_list) {
    struct choice c;
    struct shrink_list l = {0};
    uint64_t seed = 0;
    do {
        choice_seed(&c, ++seed);
    } while (toy(NULL, &c)[0] == 0);
    choice_seed(&c, seed);
    c.keep = true;
    ck_assert_str_eq(toy(NULL, &c), "toy");
    l.values = calloc(c.made_count, sizeof *l.values);
    ck_assert(l.values != NULL);
    for (; l.count < c.made_count; l.count++)
        l.values[l.count] = c.made[l.count].value;
    choice_fini(&c);
    shrink(&l, "toy", toy, NULL, 2000);
    ck_assert_uint_eq(l.count, 2);
    ck_assert_uint_eq(l.values[0], 70);
    ck_assert_uint_eq(l.values[1], 30);
    shrink_list_fini(&l);
}
END_TEST

/* --- histories ------------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IMAGES 6000
#else
#define IMAGES 8000
#endif

static bool run_histories(const struct world_options *options, uint64_t seed, uint64_t images,
                          struct world_report *r) {
    *r = (struct world_report){0};
    for (uint64_t i = 0; r->images < images && !r->failed; i++) {
        struct choice c;
        struct world_options o = *options;
        o.images_max = r->images + 150;
        choice_seed(&c, seed * 1000003 + i);
        world_engine_run(&c, &o, r);
        choice_fini(&c);
    }
    return !r->failed;
}

START_TEST(histories_lose_nothing) {
    static struct world_report r;
    struct world_options o = {0};
    bool ok = run_histories(&o, 1, IMAGES, &r);
    ck_assert_msg(ok, "%s: %s", r.check, r.message);
    ck_assert_uint_gt(r.depth[1], 100);
    ck_assert_uint_gt(r.operations, 100);
}
END_TEST

START_TEST(histories_are_the_same_when_run_again) {
    static struct world_report a, b;
    struct world_options o = {0};
    ck_assert(run_histories(&o, 77, 1000, &a) && run_histories(&o, 77, 1000, &b));
    ck_assert_uint_eq(a.trace, b.trace);
    ck_assert_uint_eq(a.images, b.images);
    ck_assert_uint_eq(a.operations, b.operations);
}
END_TEST

/* What does nothing though it says so must be noticed soon. */
static void check_noticed(unsigned ops, const char *pattern) {
    static struct world_report r;
    struct simfs_fault skip = {.ops = ops,
                               .pattern = pattern,
                               .nth = 1,
                               .sticky = true,
                               .effect = SIMFS_SKIP,
                               .code = LAM_IO};
    struct world_options o = {.permanent = &skip};
    ck_assert_msg(!run_histories(&o, 5, 3000, &r), "operation %u on %s left out: not noticed", ops,
                  pattern ? pattern : "any");
}

START_TEST(syncs_left_out_are_noticed) {
    check_noticed(SIMFS_SYNC, ".wal");
    check_noticed(SIMFS_SYNC, ".sst");
    check_noticed(SIMFS_SYNC, "MANIFEST");
    check_noticed(SIMFS_SYNC, "ROOT");
    check_noticed(SIMFS_DIR_SYNC, NULL);
}
END_TEST

START_TEST(files_not_removed_are_noticed) {
    check_noticed(SIMFS_REMOVE, ".sst");
    check_noticed(SIMFS_REMOVE, ".wal");
    check_noticed(SIMFS_REMOVE, "MANIFEST");
}
END_TEST

START_TEST(cases_hold) {
    static const char *const cases[] = {"tests/sim/cases/root-sync-failed.choices"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct world_report r;
        struct shrink_list l;
        struct choice c;
        struct world_options o = {0};
        if (!shrink_load(cases[i], &l))
            continue; /* not run from the root of the tree */
        r = (struct world_report){0};
        choice_list(&c, l.values, l.count);
        ck_assert_msg(world_engine_run(&c, &o, &r), "%s: %s: %s", cases[i], r.check, r.message);
        choice_fini(&c);
        shrink_list_fini(&l);
    }
}
END_TEST

/* --- found by histories ---------------------------------------------------------------------- */

struct watch {
    struct simfs *fs;
    struct simfs *images[64];
    size_t count;
};

static void take_old(void *arg, const struct simfs_event *e) {
    struct watch *w = arg;
    if (e->phase == 0 && w->count < 64)
        w->images[w->count++] = simfs_crash_old(w->fs);
}

static void check_row(struct simfs *fs, const char *what) {
    struct lam_error err = {0};
    struct lam_options o = {.env = simfs_env(fs), .manual_background = true, .must_exist = true};
    struct lam_value v = {0};
    lam_partition *p;
    lam_db *db;
    enum lam_code rc = lam_db_open("/db", &o, &db, &err);
    ck_assert_msg(rc == LAM_OK, "%s: %s", what, err.message);
    ck_ok(lam_partition_open(db, "p", &p, &err), &err);
    ck_ok(lam_get(db, NULL, p, lam_slice_str("k"), &v, &err), &err);
    lam_value_release(&v);
    lam_partition_release(p);
    ck_ok(lam_db_close(db, &err), &err);
}

static struct simfs *database_with_a_row(struct choice *c) {
    struct lam_error err = {0};
    struct simfs_options options = {0};
    struct simfs *fs = simfs_new(&options, c);
    struct lam_options o = {.env = simfs_env(fs), .manual_background = true};
    lam_partition *p;
    lam_db *db;
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    ck_ok(lam_put(db, NULL, p, lam_slice_str("k"), lam_slice_str("v"), &err), &err);
    lam_partition_release(p);
    ck_ok(lam_db_close(db, &err), &err);
    return fs;
}

/* The system shows a slot of ROOT whose sync failed though the disk has the old one; the next open
 * must not write over the other slot first. */
START_TEST(slot_whose_sync_failed_is_confirmed_before_the_other_is_written) {
    for (unsigned nth = 1; nth <= 5; nth++) {
        struct choice c;
        struct lam_error err = {0};
        choice_seed(&c, nth);
        struct simfs *fs = database_with_a_row(&c);
        struct simfs_fault fault = {.ops = SIMFS_SYNC,
                                    .pattern = "ROOT",
                                    .nth = nth,
                                    .effect = SIMFS_FSYNC_EXT4,
                                    .code = LAM_IO};
        struct lam_options o = {.env = simfs_env(fs), .manual_background = true};
        lam_db *db = NULL;
        simfs_arm(fs, 0, &fault);
        if (lam_db_open("/db", &o, &db, &err) == LAM_OK)
            ck_assert_uint_eq(simfs_fired(fs, 0), 0);
        if (db)
            lam_db_close(db, NULL);
        fault.nth = 0;
        simfs_arm(fs, 0, &fault);
        struct watch w = {.fs = fs};
        simfs_observe(fs, take_old, &w);
        check_row(fs, "the open after a failed one");
        simfs_observe(fs, NULL, NULL);
        ck_assert_uint_gt(w.count, 5);
        for (size_t i = 0; i < w.count; i++) {
            check_row(w.images[i], "an image of the open after a failed one");
            simfs_free(w.images[i]);
        }
        simfs_free(fs);
        choice_fini(&c);
    }
}
END_TEST

TEST_MAIN("sim/world", model_agrees_with_a_naive_one_at_every_prefix,
          one_changed_row_makes_another_state, shrinking_finds_the_smallest_list,
          histories_lose_nothing, histories_are_the_same_when_run_again, syncs_left_out_are_noticed,
          files_not_removed_are_noticed, cases_hold,
          slot_whose_sync_failed_is_confirmed_before_the_other_is_written)
