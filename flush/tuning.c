/* SPDX-License-Identifier: Apache-2.0
 *
 * The product's sizes. */
#include "flush/tuning.h"

void flush_tuning_get(struct flush_tuning *out) {
    *out = (struct flush_tuning){
        .cut_rows = 2000000,
        .cut_bytes = 256u << 20,
        .batch_rows = UINT32_MAX,
        .page_rows = 8192,
        .publish_files = 128,
        .numbers_reserved = 1024,
        .lookups_max = 64,
    };
}
