/* SPDX-License-Identifier: Apache-2.0 */
#include "lsm/slab.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/oom.h"
#include "tests/support/test.h"

#define PIECES 2000

/* Pieces are filled with what tells them apart: none may overlap another. */
START_TEST(pieces_of_all_sizes_stay_apart_and_slabs_go_with_their_last_piece) {
    struct rng rng;
    rng_init(&rng, test_seed("slab"));
    static struct {
        uint8_t *at;
        size_t size;
        struct slab *slab;
        uint8_t mark;
    } have[PIECES];
    struct slabs s;
    slabs_init(&s);
    size_t bytes = 0, most = 0;
    for (int step = 0; step < 60000; step++) {
        size_t i = rng_below(&rng, PIECES);
        if (have[i].at) {
            for (size_t k = 0; k < have[i].size; k += 97)
                ck_assert_uint_eq(have[i].at[k], have[i].mark);
            slab_give_back(have[i].slab, have[i].at);
            bytes -= have[i].size;
            have[i].at = NULL;
        } else {
            size_t wanted = 1 + rng_below(&rng, SLAB_MOST + 2000), size = wanted;
            have[i].at = slabs_take(&s, SIZE_MAX, &size, &have[i].slab);
            ck_assert_int_eq(have[i].at != NULL, slab_has_class(wanted));
            if (!have[i].at)
                continue;
            ck_assert(size >= wanted && size < wanted + SLAB_STEP);
            have[i].size = size;
            have[i].mark = (uint8_t)step;
            memset(have[i].at, have[i].mark, size);
            bytes += size;
            most = bytes > most ? bytes : most;
            ck_assert_uint_le(slabs_count(&s) * MEM_HUGE_BYTES,
                              2 * most + (SLAB_CLASSES + 1) * MEM_HUGE_BYTES);
        }
    }
    for (size_t i = 0; i < PIECES; i++)
        if (have[i].at)
            slab_give_back(have[i].slab, have[i].at);
    ck_assert_uint_eq(slabs_count(&s), 1); /* the spare one */
    slabs_fini(&s);
}
END_TEST

START_TEST(without_memory_there_is_no_piece_and_later_there_is) {
    struct slabs s;
    struct slab *slab;
    size_t size = 9000;
    slabs_init(&s);
    oom_arm_once(1);
    ck_assert_ptr_null(slabs_take(&s, SIZE_MAX, &size, &slab));
    ck_assert(oom_fired());
    ck_assert_uint_eq(size, 9000);
    void *piece = slabs_take(&s, SIZE_MAX, &size, &slab);
    ck_assert_ptr_nonnull(piece);
    slab_give_back(slab, piece);
    slabs_fini(&s);
}
END_TEST

START_TEST(no_more_slabs_are_made_than_may_be) {
    struct slabs s;
    struct slab *of[2], *none;
    size_t small = SLAB_LEAST, large = SLAB_MOST;
    slabs_init(&s);
    void *first = slabs_take(&s, 1, &small, &of[0]);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_null(slabs_take(&s, 1, &large, &none));
    /* There is room in the one that is there, and an empty one serves any size. */
    void *second = slabs_take(&s, 0, &small, &of[1]);
    ck_assert_ptr_nonnull(second);
    ck_assert_ptr_eq(of[0], of[1]);
    slab_give_back(of[0], first);
    ck_assert_ptr_null(slabs_take(&s, 1, &large, &none));
    slab_give_back(of[1], second);
    first = slabs_take(&s, 1, &large, &of[0]);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_null(slabs_take(&s, 1, &small, &none));
    ck_assert_uint_eq(slabs_count(&s), 1);
    slab_give_back(of[0], first);
    slabs_fini(&s);
}
END_TEST

TEST_MAIN("lsm/slab", pieces_of_all_sizes_stay_apart_and_slabs_go_with_their_last_piece,
          no_more_slabs_are_made_than_may_be, without_memory_there_is_no_piece_and_later_there_is)
