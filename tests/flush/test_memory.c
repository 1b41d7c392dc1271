/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory running out at any moment of a flush, a scan or a lookup: an error, nothing lost. */
#include "tests/flush/world.h"
#include "tests/support/oom.h"

static void prepare(struct world *w) {
    memset(w, 0, sizeof *w);
    ck_ok(lam_env_mem_new(&w->env, &w->err), &w->err);
    w->manual = true;
    world_open_db(w);
    world_table(w, "t", TABLE_USER, NULL);
    struct provider *p = world_provider(w, "t");
    for (int i = 0; i < 6; i++)
        world_put(w, p, "a", i, "old", i);
    world_flush(w, p);
    world_put(w, p, "a", 2, "new", 2);
    world_delete(w, p, "a", 3);
    world_put(w, p, "b", 1, "other", 1);
    provider_unref(p);
}

static const char rows_a[] = "0|old|0\n1|old|1\n2|new|2\n4|old|4\n5|old|5\n";

/* Sweeps wider and wider: failures early in an operation are the many different ones. */
static size_t after(size_t nth) {
    return nth + 1 + nth / 16;
}

START_TEST(flush_survives_any_failed_allocation) {
    bool done = false;
    for (size_t nth = 1; !done; nth = after(nth)) {
        struct world w;
        struct flush_result r;
        prepare(&w);
        struct provider *p = world_provider(&w, "t");
        oom_arm(nth);
        enum lam_code rc = flush_table(w.f, p, &r, &w.err);
        done = oom.seen < nth;
        oom_arm(0);
        if (done)
            ck_assert_int_eq(rc, LAM_OK);
        world_check(&w, p, "a", rows_a);
        world_check(&w, p, "b", "1|other|1\n");
        ck_ok(flush_table(w.f, p, &r, &w.err), &w.err);
        ck_assert_uint_eq(world_hot_rows(&w, p), 0);
        world_check(&w, p, "a", rows_a);
        world_check(&w, p, "b", "1|other|1\n");
        provider_unref(p);
        world_reopen(&w);
        p = world_provider(&w, "t");
        world_check(&w, p, "a", rows_a);
        ck_assert_uint_eq(count_cold(w.env, ".parquet"), count_segments(&w, p));
        provider_unref(p);
        world_close(&w);
    }
}
END_TEST

START_TEST(reads_survive_any_failed_allocation) {
    struct world w;
    prepare(&w);
    bool done = false;
    for (size_t nth = 1; !done; nth = after(nth)) {
        world_reopen(&w); /* forgets open files and segment sets */
        struct provider *p = world_provider(&w, "t");
        lam_snapshot *snapshot;
        struct arena arena = {0};
        struct buf key = {0};
        struct row_found found = {0};
        struct scan *s = NULL;
        struct colbatch *b = NULL;
        struct value id = value_i64(LAM_TYPE_BIGINT, 4);
        struct scan_predicate eq = {p->schema->columns[1].id, SCAN_EQ, value_text("old")};
        uint32_t ids[3];
        uint64_t rows = 0;
        ck_ok(lam_snapshot_new(w.db, &snapshot, &w.err), &w.err);
        ck_ok(row_key(p->schema, p->kind, S("a"), &id, &key, &w.err), &w.err);
        struct scan_request rq = {.provider = p,
                                  .user = S("a"),
                                  .snapshot = snapshot,
                                  .column_ids = ids,
                                  .column_count = all_ids(p, ids, false),
                                  .predicates = &eq,
                                  .predicate_count = 1};
        oom_arm(nth);
        enum lam_code rc =
            row_find(p, snapshot, S("a"), buf_slice(&key), 0, &arena, &found, &w.err);
        if (rc == LAM_OK)
            rc = scan_open(&rq, &s, &w.err);
        while (rc == LAM_OK) {
            rc = scan_next(s, &b, &w.err);
            if (rc != LAM_OK || !b)
                break;
            rows += b->rows;
        }
        done = oom.seen < nth;
        oom_arm(0);
        scan_close(s);
        ck_assert_int_eq(rc, done ? LAM_OK : rc == LAM_OK ? LAM_OK : LAM_NO_MEMORY);
        if (rc == LAM_OK) {
            ck_assert(found.found && !found.hot);
            ck_assert_uint_eq(rows, 5);
        }
        buf_fini(&key);
        arena_fini(&arena);
        lam_snapshot_free(snapshot);
        provider_unref(p);
    }
    world_close(&w);
}
END_TEST

TEST_MAIN("flush/memory", flush_survives_any_failed_allocation, reads_survive_any_failed_allocation)
