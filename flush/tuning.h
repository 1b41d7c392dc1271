/* SPDX-License-Identifier: Apache-2.0
 *
 * Sizes by which rows go cold. In an object of their own so that a simulator can link another: with
 * small ones a few rows make several files, pages and publications. */
#ifndef LAMINA_FLUSH_TUNING_H
#define LAMINA_FLUSH_TUNING_H

#include <stdint.h>

struct flush_tuning {
    uint64_t cut_rows;         /* a file is cut after so many rows */
    uint64_t cut_bytes;        /* or bytes written */
    uint32_t batch_rows;       /* rows are handed to the file so many at a time; whether it is to be
                                  cut is asked then */
    uint32_t row_group_rows;   /* most rows of a row group; 0: the format's default */
    uint32_t page_rows;        /* most rows of a page. One row is read by decoding its pages up to
                                  it, so small columns get pages smaller than their bytes would ask
                                  for */
    uint32_t publish_files;    /* finished files that wait, open, to be published together */
    uint32_t numbers_reserved; /* noted as taken at a time, so that a crash never lets one be used
                                  again */
    uint32_t lookups_max;      /* up to so many keys in an older segment's range are looked up; more
                                  are merged */
};

/* Thread-safe. */
void flush_tuning_get(struct flush_tuning *out);

#endif
