/* SPDX-License-Identifier: Apache-2.0
 *
 * The merge of several memtables against one sorted array, walked at random; failing sources. */
#include "lsm/merge_iter.h"

#include "base/mem.h"
#include "lsm/memtable.h"
#include "tests/lsm/entries.h"
#include "tests/support/oom.h"

#define SOURCES 6

static struct lam_error err;

static void check_at(const struct cursor_iter *it, const struct model *model, long at) {
    ck_assert_int_eq(it->code, LAM_OK);
    bool in = at >= 0 && at < (long)model->count;
    ck_assert_int_eq(it->valid, in);
    if (!in)
        return;
    ck_assert(slice_eq(it->entry.key, model->items[at].key));
    ck_assert_uint_eq(it->entry.sequence, model->items[at].sequence);
    ck_assert(slice_eq(it->entry.value, model->items[at].value));
}

static long place_of(const struct model *m, struct lam_slice key, uint64_t sequence) {
    long at = 0;
    while (at < (long)m->count &&
           entry_cmp(m->items[at].key, m->items[at].sequence, key, sequence) < 0)
        at++;
    return at;
}

START_TEST(merge_walks_like_one_sorted_array) {
    struct rng rng;
    rng_init(&rng, test_seed("merge_iter"));
    for (size_t sources = 0; sources <= SOURCES; sources++) {
        struct model_options o = {.count = 300,
                                  .key_max = 10,
                                  .prefix = "",
                                  .alphabet = 3,
                                  .value_max = 10,
                                  .sequence_max = 100,
                                  .versions = 4};
        struct model model;
        model_make(&model, &rng, &o);
        if (sources == 0)
            model.count = 0;
        struct memtable *m[SOURCES];
        struct cursor_iter *list[SOURCES], *it;
        for (size_t i = 0; i < sources; i++)
            ck_ok(memtable_new(&m[i], &err), &err);
        for (size_t i = 0; i < model.count; i++) {
            struct memtable *to = m[rng_below(&rng, sources)];
            const struct entry *e = &model.items[i];
            ck_ok(memtable_reserve(to, memtable_put_bound(e->key.size, e->value.size), 0, &err),
                  &err);
            memtable_insert(to, e);
        }
        for (size_t i = 0; i < sources; i++)
            ck_ok(memtable_iter_new(m[i], &list[i], &err), &err);
        ck_ok(merge_iter_new(list, sources, &it, &err), &err);
        long at = -1;
        for (int step = 0; step < 3000; step++) {
            struct lam_slice key = SLICE_EMPTY;
            if (model.count)
                key = model.items[rng_below(&rng, model.count)].key;
            uint64_t sequence = rng_below(&rng, 110);
            switch (rng_below(&rng, 12)) {
            case 0:
                it->ops->seek_first(it);
                at = 0;
                break;
            case 1:
                it->ops->seek_last(it);
                at = (long)model.count - 1;
                break;
            case 2:
                it->ops->seek(it, key, sequence);
                at = place_of(&model, key, sequence);
                break;
            case 3:
                it->ops->seek_before(it, key, sequence);
                at = place_of(&model, key, sequence) - 1;
                break;
            default:
                if (!it->valid)
                    continue;
                if (rng_below(&rng, 2)) {
                    it->ops->next(it);
                    at++;
                } else {
                    it->ops->prev(it);
                    at--;
                }
            }
            check_at(it, &model, at);
        }
        it->ops->free(it);
        for (size_t i = 0; i < sources; i++)
            memtable_unref(m[i]);
        model_fini(&model);
    }
}
END_TEST

/* A source that fails after `left` steps. */
struct failing {
    struct cursor_iter base;
    int left;
    uint8_t key[4];
};

static void failing_step(struct cursor_iter *it) {
    struct failing *f = (struct failing *)it;
    it->valid = f->left-- > 0;
    if (!it->valid) {
        it->code = ERR(&it->error, LAM_CORRUPT, "broken on purpose");
        return;
    }
    put_be32(f->key, (uint32_t)(1000 - f->left));
    it->entry = (struct entry){lam_slice_of(f->key, 4), 1, ENTRY_PUT, SLICE_EMPTY};
}
static void failing_seek(struct cursor_iter *it, struct lam_slice key, uint64_t sequence) {
    (void)key;
    (void)sequence;
    failing_step(it);
}
static void failing_free(struct cursor_iter *it) {
    mem_free(it);
}
static bool failing_is_newest(const struct cursor_iter *it) {
    return it->valid;
}
static const struct iter_ops failing_ops = {
    .seek_first = failing_step,
    .seek_last = failing_step,
    .seek = failing_seek,
    .seek_before = failing_seek,
    .next = failing_step,
    .prev = failing_step,
    .next_key = failing_step,
    .is_newest = failing_is_newest,
    .free = failing_free,
};

START_TEST(failure_of_a_source_ends_the_merge_with_its_error) {
    struct failing *f = mem_calloc(1, sizeof *f);
    f->base.ops = &failing_ops;
    f->left = 3;
    struct cursor_iter *list[1] = {&f->base}, *it;
    ck_ok(merge_iter_new(list, 1, &it, &err), &err);
    it->ops->seek_first(it);
    int n = 0;
    for (; it->valid; it->ops->next(it))
        n++;
    ck_assert_int_eq(n, 3);
    ck_code(it->code, LAM_CORRUPT);
    ck_contains(it->error.message, "on purpose");
    it->ops->free(it);
}
END_TEST

static struct cursor_iter *source(const struct entry *entries, size_t n) {
    struct memtable *m;
    struct cursor_iter *it;
    ck_ok(memtable_new(&m, &err), &err);
    for (size_t i = 0; i < n; i++) {
        const struct entry *e = &entries[i];
        ck_ok(memtable_reserve(m, memtable_put_bound(e->key.size, e->value.size), 0, &err), &err);
        memtable_insert(m, e);
    }
    ck_ok(memtable_iter_new(m, &it, &err), &err);
    memtable_unref(m);
    return it;
}

/* The same entry in two sources, as when a log is replayed over what was dumped: each once, in the
 * order of the sources, and both are passed on turning round. */
START_TEST(entries_that_two_sources_have_come_from_the_first_of_them) {
    const struct entry a = {lam_slice_str("a"), 1, ENTRY_PUT, lam_slice_str("first")};
    const struct entry b[] = {{lam_slice_str("a"), 1, ENTRY_PUT, lam_slice_str("second")},
                              {lam_slice_str("b"), 2, ENTRY_PUT, lam_slice_str("v")}};
    struct cursor_iter *list[] = {source(&a, 1), source(b, 2)}, *it;
    ck_ok(merge_iter_new(list, 2, &it, &err), &err);
    it->ops->seek_first(it);
    ck_assert(slice_eq_str(it->entry.value, "first"));
    it->ops->next(it);
    ck_assert(slice_eq_str(it->entry.value, "second"));
    it->ops->next(it);
    ck_assert(slice_eq_str(it->entry.key, "b"));
    it->ops->prev(it);
    ck_assert(slice_eq_str(it->entry.value, "second"));
    it->ops->prev(it);
    ck_assert(slice_eq_str(it->entry.value, "first"));
    it->ops->next(it);
    ck_assert(slice_eq_str(it->entry.key, "b"));
    it->ops->free(it);
}
END_TEST

START_TEST(merge_that_cannot_keep_its_place_ends_with_an_error) {
    const struct entry entries[] = {{lam_slice_str("a"), 1, ENTRY_PUT, lam_slice_str("v")},
                                    {lam_slice_str("b"), 2, ENTRY_PUT, lam_slice_str("v")}};
    for (int backward = 0; backward < 2; backward++) {
        struct cursor_iter *list[] = {source(entries, 1), source(entries + 1, 1)}, *it;
        ck_ok(merge_iter_new(list, 2, &it, &err), &err);
        if (backward)
            it->ops->seek_last(it);
        else
            it->ops->seek_first(it);
        oom_arm(1);
        if (backward)
            it->ops->next(it);
        else
            it->ops->prev(it);
        ck_assert(oom_fired());
        ck_assert(!it->valid);
        ck_code(it->code, LAM_NO_MEMORY);
        it->ops->seek_first(it);
        ck_assert(it->valid);
        ck_assert_int_eq(it->code, LAM_OK);
        it->ops->free(it);
    }
    struct cursor_iter *list[] = {source(entries, 2), source(entries, 1)}, *it;
    oom_arm_once(1);
    enum lam_code rc = merge_iter_new(list, 2, &it, &err); /* takes the sources either way */
    ck_assert(oom_fired());
    ck_code(rc, LAM_NO_MEMORY);
}
END_TEST

TEST_MAIN("lsm/merge_iter", merge_walks_like_one_sorted_array,
          failure_of_a_source_ends_the_merge_with_its_error,
          entries_that_two_sources_have_come_from_the_first_of_them,
          merge_that_cannot_keep_its_place_ends_with_an_error)
