/* SPDX-License-Identifier: Apache-2.0
 *
 * LZ4 blocks over liblz4; its sizes are ints, ours are checked before they get there. */
#include "base/codec.h"

#include <limits.h>
#include <lz4.h>

#include "base/assert.h"

enum lam_code codec_lz4_compress(struct lam_slice in, struct buf *out, struct lam_error *err) {
    if (in.size > LZ4_MAX_INPUT_SIZE)
        return ERR(err, LAM_LIMIT, "lz4: %zu bytes to compress, at most %d are possible", in.size,
                   LZ4_MAX_INPUT_SIZE);
    int bound = LZ4_compressBound((int)in.size);
    TRY(buf_reserve(out, (size_t)bound, err));
    const char *from = in.size ? (const char *)in.data : "";
    int size = LZ4_compress_default(from, (char *)out->data + out->size, (int)in.size, bound);
    LAM_ASSERT(size > 0 && size <= bound);
    out->size += (size_t)size;
    return LAM_OK;
}

enum lam_code codec_lz4_decompress(struct lam_slice in, uint8_t *out, size_t size,
                                   struct lam_error *err) {
    if (in.size == 0 || in.size > INT_MAX || size > INT_MAX)
        return ERR(err, LAM_CORRUPT, "lz4: block of %zu bytes said to hold %zu", in.size, size);
    char none;
    int got = LZ4_decompress_safe((const char *)in.data, size ? (char *)out : &none, (int)in.size,
                                  (int)size);
    if (got < 0 || (size_t)got != size)
        return ERR(err, LAM_CORRUPT, "lz4: block of %zu bytes does not decompress to %zu bytes",
                   in.size, size);
    return LAM_OK;
}
