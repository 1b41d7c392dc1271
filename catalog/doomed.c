/* SPDX-License-Identifier: Apache-2.0
 *
 * Cold files that outlived their table: DROP TABLE lists them in `system_doomed` in its own batch
 * (key: path, value: when), and the flush layer removes files, then their entries. */
#include "catalog/catalog_impl.h"

enum lam_code catalog_each_doomed(struct catalog *c, doomed_fn fn, void *arg,
                                  struct lam_error *err) {
    OWNED(buf_fini) struct buf path = {0};
    OWNED(lam_iter_free_at) lam_iter *it = NULL;
    const char *text = NULL;
    struct lam_read_options options = {.keys_only = true};
    TRY(lam_iter_new(c->db, &options, c->doomed, &it, err));
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
        buf_reset(&path);
        TRY(buf_append_slice(&path, lam_iter_key(it), err));
        TRY(buf_cstr(&path, &text, err));
        TRY(fn(arg, text, err));
    }
    return lam_iter_status(it, err);
}

enum lam_code catalog_forget_doomed(struct catalog *c, const char *path, struct lam_error *err) {
    return lam_delete(c->db, NULL, c->doomed, lam_slice_str(path), err);
}
