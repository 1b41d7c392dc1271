/* SPDX-License-Identifier: Apache-2.0
 *
 * Parquet files as tests make them and look at them. */
#ifndef LAMINA_TESTS_SUPPORT_PARQUET_H
#define LAMINA_TESTS_SUPPORT_PARQUET_H

#include "flush/parquet/parquet.h"
#include "flush/parquet/reader.h"

/* Writes what is left to the file at `path`, syncs and closes it. A failure leaves none. `s` may be
 * NULL. */
static inline enum lam_code parquet_finish(lam_env *env, const char *path, struct parquet_writer *w,
                                           struct parquet_summary *s, struct lam_error *err_out) {
    lam_file *file;
    TRY(parquet_writer_release(w, s, &file, err_out));
    enum lam_code rc = env_file_end(file, LAM_OK, err_out);
    if (rc != LAM_OK)
        IGNORE(env_file_remove(env, path, NULL), "a leftover is the caller's orphan");
    if (rc != LAM_OK && s)
        parquet_summary_fini(s);
    return rc;
}

/* Bounds of one column chunk. */
static inline const struct parquet_bounds *parquet_bounds_of(const struct parquet_reader *r,
                                                             uint32_t group, uint32_t field) {
    return &pq_reader_chunk(r, group, field)->bounds;
}

#endif
