/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/flush/world.h"

START_TEST(flushed_rows_leave_the_hot_tier_and_stay_readable) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_SHARED, NULL);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "", 1, "a", 10);
    world_put(&w, p, "", 2, NULL, 20);
    world_put(&w, p, "", 3, "c", 30);
    char *before = world_dump(&w, p, "", true);
    struct flush_result r = world_flush(&w, p);
    ck_assert_str_eq(r.status, "completed");
    ck_assert_uint_eq(r.rows, 3);
    ck_assert_uint_eq(r.files, 1);
    ck_assert_uint_eq(world_hot_rows(&w, p), 0);
    ck_assert_uint_eq(count_cold(w.env, ".parquet"), 1);
    char *after = world_dump(&w, p, "", true);
    ck_assert_str_eq(before, after);
    world_check(&w, p, "", "1|a|10\n2|NULL|20\n3|c|30\n");
    mem_free(before);
    mem_free(after);
    provider_unref(p);
    world_close(&w);
}
END_TEST

TEST_MAIN("flush/flush", flushed_rows_leave_the_hot_tier_and_stay_readable)
