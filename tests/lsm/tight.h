/* SPDX-License-Identifier: Apache-2.0
 *
 * For encoders that append to a buffer: runs one with every amount of room left and no more memory
 * to be had. It must say so, and the bytes are the same when there is room. */
#ifndef LAMINA_TESTS_LSM_TIGHT_H
#define LAMINA_TESTS_LSM_TIGHT_H

#include "base/buf.h"
#include "tests/support/oom.h"
#include "tests/support/test.h"

typedef enum lam_code (*tight_encoder)(const void *arg, struct buf *out, struct lam_error *e);

static inline void tight_sweep(tight_encoder encode, const void *arg) {
    struct lam_error e = {0};
    struct buf whole = {0};
    ck_ok(encode(arg, &whole, &e), &e);
    size_t refused = 0;
    /* A varint asks for its longest form, so a little more than the bytes may be wanted. */
    for (size_t room = 0; room <= whole.size + VARINT_MAX; room++) {
        struct buf out = {0};
        ck_ok(buf_reserve(&out, room + 1, &e), &e);
        out.size = out.capacity - room;
        memset(out.data, 0, out.size);
        size_t before = out.size;
        oom_arm(1);
        enum lam_code rc = encode(arg, &out, &e);
        bool fired = oom_fired();
        ck_assert_int_eq(rc, fired ? LAM_NO_MEMORY : LAM_OK);
        refused += fired;
        if (!fired) {
            struct lam_slice made = lam_slice_of(out.data + before, out.size - before);
            ck_assert(slice_eq(made, buf_slice(&whole)));
        }
        ck_assert(fired || room >= whole.size);
        buf_fini(&out);
    }
    ck_assert_uint_ge(refused, whole.size);
    buf_fini(&whole);
}

#endif
