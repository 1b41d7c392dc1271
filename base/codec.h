/* SPDX-License-Identifier: Apache-2.0
 *
 * LZ4 block compression (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md, liblz4). */
#ifndef LAMINA_BASE_CODEC_H
#define LAMINA_BASE_CODEC_H

#include "base/buf.h"

/* Appends the compressed form of `in` to `out`; at most 2 GB. */
MUST_CHECK enum lam_code codec_lz4_compress(struct lam_slice in, struct buf *out,
                                            struct lam_error *err);
/* Decompresses `in` into `out`, which must come out as exactly `size` bytes; else LAM_CORRUPT. */
MUST_CHECK enum lam_code codec_lz4_decompress(struct lam_slice in, uint8_t *out, size_t size,
                                              struct lam_error *err);

#endif
