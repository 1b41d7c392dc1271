/* SPDX-License-Identifier: Apache-2.0
 *
 * Public iterators against a sorted array: random puts, deletes, runs of deletes, range deletes,
 * dumps, compactions and snapshots; then walks at random under bounds and prefixes, both ways,
 * while writes go on. */
#include "base/rng.h"
#include "lsm/lsm.h"
#include "tests/support/test.h"

#define KEYS      300
#define SNAPSHOTS 4

/* Which version of each key a moment sees; 0: none. */
struct moment {
    uint32_t version[KEYS];
};

struct world {
    struct rng rng;
    const char *stem; /* begins all keys */
    lam_env *env;
    lam_db *db;
    lam_partition *part;
    struct moment now;
    uint32_t last; /* newest version */
    lam_snapshot *snapshots[SNAPSHOTS];
    struct moment seen[SNAPSHOTS];
};

static struct lam_error err;

struct text {
    uint8_t bytes[400];
};

/* Key number i; `more`: one that lies between it and the next. */
static struct lam_slice key_of(const struct world *w, int i, bool more, struct text *t) {
    int n = snprintf((char *)t->bytes, sizeof t->bytes, "%s%c%02d%s", w->stem, 'a' + i / 40, i % 40,
                     i % 3 ? "" : "/long-tail-of-the-key");
    if (more)
        t->bytes[n++] = '!';
    return lam_slice_of(t->bytes, (size_t)n);
}

static struct lam_slice value_of(uint32_t version, struct text *t) {
    size_t size = 4 + version * 37 % 300;
    memset(t->bytes, (int)version, size);
    put_le32(t->bytes, version);
    return lam_slice_of(t->bytes, size);
}

static void put(struct world *w, int i) {
    struct text k, v;
    ck_ok(lam_put(w->db, NULL, w->part, key_of(w, i, false, &k), value_of(++w->last, &v), &err),
          &err);
    w->now.version[i] = w->last;
}

static void delete_one(struct world *w, int i) {
    struct text k;
    ck_ok(lam_delete(w->db, NULL, w->part, key_of(w, i, false, &k), &err), &err);
    w->now.version[i] = 0;
}

static void delete_range(struct world *w, int from, int to) {
    struct text a, b;
    lam_batch *batch;
    ck_ok(lam_batch_new(w->db, &batch, &err), &err);
    ck_ok(lam_batch_delete_range(batch, w->part, key_of(w, from, false, &a),
                                 to < KEYS ? key_of(w, to, false, &b) : lam_slice_of(NULL, 0),
                                 LAM_SEQUENCE_MAX, &err),
          &err);
    ck_ok(lam_write(w->db, NULL, batch, NULL, &err), &err);
    lam_batch_free(batch);
    for (int i = from; i < to; i++)
        w->now.version[i] = 0;
}

static void toggle_snapshot(struct world *w) {
    size_t at = rng_below(&w->rng, SNAPSHOTS);
    if (w->snapshots[at]) {
        lam_snapshot_free(w->snapshots[at]);
        w->snapshots[at] = NULL;
        return;
    }
    ck_ok(lam_snapshot_new(w->db, &w->snapshots[at], &err), &err);
    w->seen[at] = w->now;
}

static void change(struct world *w) {
    int i = (int)rng_below(&w->rng, KEYS);
    switch (rng_below(&w->rng, 60)) {
    case 0:
        ck_ok(lam_db_dump(w->db, &err), &err);
        break;
    case 1:
        if (rng_below(&w->rng, 3) == 0)
            ck_ok(lam_db_compact(w->db, w->part, &err), &err);
        break;
    case 2:
        delete_range(w, i, i + 1 + (int)rng_below(&w->rng, (uint64_t)(KEYS - i)));
        break;
    case 3:
        for (int end = i + (int)rng_below(&w->rng, 60); i < end && i < KEYS; i++)
            delete_one(w, i);
        break;
    case 4:
        toggle_snapshot(w);
        break;
    case 5:
    case 6:
    case 7:
    case 8:
        delete_one(w, i);
        break;
    case 9:
        for (int end = i + 60; i < end && i < KEYS; i++)
            put(w, i);
        break;
    default:
        put(w, i);
    }
}

/* What an iterator must show: the keys with versions in [lower, upper). */
struct view {
    struct moment at;
    int lower, upper;
    bool keys_only;
};

static int next_from(const struct view *v, int i) {
    for (i = i < v->lower ? v->lower : i; i < v->upper; i++)
        if (v->at.version[i])
            return i;
    return KEYS;
}

static int last_upto(const struct view *v, int i) {
    for (i = i >= v->upper ? v->upper - 1 : i; i >= v->lower; i--)
        if (v->at.version[i])
            return i;
    return -1;
}

static void check_at(const struct world *w, const struct view *v, const lam_iter *it, int at) {
    struct text k, val;
    ck_ok(lam_iter_status(it, &err), &err);
    ck_assert_int_eq(lam_iter_valid(it), at >= 0 && at < KEYS);
    if (at < 0 || at >= KEYS)
        return;
    struct lam_slice key = key_of(w, at, false, &k);
    ck_assert_msg(slice_eq(lam_iter_key(it), key), "at %.*s, expected %.*s",
                  (int)lam_iter_key(it).size, lam_iter_key(it).data, (int)key.size, key.data);
    if (v->keys_only)
        ck_assert_uint_eq(lam_iter_value(it).size, 0);
    else
        ck_assert(slice_eq(lam_iter_value(it), value_of(v->at.version[at], &val)));
}

/* One step from `at`; gives where it leads. */
static int step(struct world *w, const struct view *v, lam_iter *it, int at) {
    struct text k;
    int to = (int)rng_below(&w->rng, KEYS);
    bool more = rng_below(&w->rng, 3) == 0;
    switch (rng_below(&w->rng, 20)) {
    case 0:
        lam_iter_seek_first(it);
        return next_from(v, 0);
    case 1:
        lam_iter_seek_last(it);
        return last_upto(v, KEYS);
    case 2:
        lam_iter_seek(it, key_of(w, to, more, &k));
        return next_from(v, more ? to + 1 : to);
    case 3:
        lam_iter_seek_for_prev(it, key_of(w, to, more, &k));
        return last_upto(v, to);
    case 4:
        if (!lam_iter_valid(it))
            return at;
        lam_iter_seek(it, lam_iter_key(it)); /* its own key */
        return at;
    case 5:
        if (!lam_iter_valid(it))
            return at;
        lam_iter_seek_for_prev(it, lam_iter_key(it));
        return at;
    default:
        if (!lam_iter_valid(it))
            return at;
        bool back = rng_below(&w->rng, 8) == 0 ? at % 2 == 0 : to % 100 < 50;
        for (uint64_t n = rng_below(&w->rng, 8); n > 0 && lam_iter_valid(it); n--) {
            check_at(w, v, it, at);
            if (back)
                lam_iter_prev(it);
            else
                lam_iter_next(it);
            at = back ? last_upto(v, at - 1) : next_from(v, at + 1);
        }
        return at;
    }
}

static void walk(struct world *w) {
    struct text lower, upper, prefix;
    struct view v = {.at = w->now, .upper = KEYS, .keys_only = rng_below(&w->rng, 4) == 0};
    struct lam_read_options o = {.keys_only = v.keys_only};
    size_t s = rng_below(&w->rng, SNAPSHOTS);
    if (w->snapshots[s] && rng_below(&w->rng, 2)) {
        o.snapshot = w->snapshots[s];
        v.at = w->seen[s];
    }
    if (rng_below(&w->rng, 3) == 0) {
        v.lower = (int)rng_below(&w->rng, KEYS);
        o.lower = key_of(w, v.lower, false, &lower);
    }
    if (rng_below(&w->rng, 3) == 0) {
        v.upper = (int)rng_below(&w->rng, KEYS);
        o.upper = key_of(w, v.upper, false, &upper);
    }
    if (rng_below(&w->rng, 6) == 0) {
        int group = (int)rng_below(&w->rng, KEYS / 40);
        o.prefix = lam_slice_of(prefix.bytes, (size_t)snprintf((char *)prefix.bytes, 400, "%s%c",
                                                               w->stem, 'a' + group));
        v.lower = v.lower < group * 40 ? group * 40 : v.lower;
        v.upper = v.upper > group * 40 + 40 ? group * 40 + 40 : v.upper;
    }
    lam_iter *it;
    ck_ok(lam_iter_new(w->db, &o, w->part, &it, &err), &err);
    int at = KEYS;
    for (int i = 0; i < 60; i++) {
        at = step(w, &v, it, at);
        check_at(w, &v, it, at);
        if (rng_below(&w->rng, 4) == 0)
            change(w);
    }
    lam_iter_free(it);
}

static void run(const char *stem, int rounds) {
    struct world *w = calloc(1, sizeof *w);
    w->stem = stem;
    rng_init(&w->rng, test_seed("iter_model"));
    ck_ok(lam_env_mem_new(&w->env, &err), &err);
    struct lam_options o = {
        .env = w->env, .memory_budget = 4u << 20, .block_bytes = 1024, .manual_background = true};
    ck_ok(lam_db_open("/db", &o, &w->db, &err), &err);
    ck_ok(lam_partition_create(w->db, "p", NULL, &w->part, &err), &err);
    for (int i = 0; i < rounds; i++) {
        for (uint64_t n = rng_below(&w->rng, 40); n > 0; n--)
            change(w);
        walk(w);
    }
    for (size_t i = 0; i < SNAPSHOTS; i++)
        lam_snapshot_free(w->snapshots[i]);
    lam_partition_release(w->part);
    ck_ok(lam_db_check(w->db, NULL, NULL, &err), &err);
    ck_ok(lam_db_close(w->db, &err), &err);
    lam_env_mem_free(w->env);
    free(w);
}

START_TEST(iterators_show_what_a_sorted_array_does) {
    run("", 400);
}
END_TEST

/* Longer than the heads that merging compares first. */
START_TEST(keys_with_a_long_common_beginning_come_in_order_too) {
    run("partition/of/somebody/", 400);
}
END_TEST

TEST_MAIN("lsm/iter_model", iterators_show_what_a_sorted_array_does,
          keys_with_a_long_common_beginning_come_in_order_too)
