/* SPDX-License-Identifier: Apache-2.0
 *
 * LIKE: '%' matches any run of characters, '_' any one; ESCAPE takes the meaning from the next. The
 * pattern is cut at its '%'s; the pieces are searched left to right, each at its leftmost place,
 * which is enough. A piece is found by memmem, or with '_' in it by bit-parallel shift-and, so a
 * match takes time linear in the text, times one for each 64 characters of the longest piece. ILIKE
 * folds case by like_fold on both sides. */
#ifndef LAMINA_SQL_LIKE_H
#define LAMINA_SQL_LIKE_H

#include "base/arena.h"
#include "base/buf.h"

struct like_pattern;

/* Compiles a pattern of valid UTF-8. `escape`: empty for none, else one character. 22025 if it ends
 * in the escape; the pattern lives in `arena` and borrows nothing. */
MUST_CHECK enum lam_code like_compile(struct lam_slice pattern, struct lam_slice escape,
                                      bool fold_case, struct arena *arena,
                                      const struct like_pattern **out, struct lam_error *err);
/* Memory that matches reuse; all-zero is empty. */
struct like_scratch {
    struct buf folded; /* the text of an ILIKE */
    struct buf state;  /* of a piece longer than 64 characters */
};
void like_scratch_fini(struct like_scratch *s);
MUST_CHECK enum lam_code like_match(const struct like_pattern *p, struct lam_slice text,
                                    struct like_scratch *scratch, bool *match_out,
                                    struct lam_error *err);

/* Appends `text` with each character folded to lower (upper) case: ASCII, Latin-1, Greek and
 * Cyrillic letters; others stay. */
MUST_CHECK enum lam_code text_lower(struct lam_slice text, struct buf *out, struct lam_error *err);
MUST_CHECK enum lam_code text_upper(struct lam_slice text, struct buf *out, struct lam_error *err);

#endif
