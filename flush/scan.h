/* SPDX-License-Identifier: Apache-2.0
 *
 * Scans of one tier, for what asks the other tier itself. */
#ifndef LAMINA_FLUSH_SCAN_H
#define LAMINA_FLUSH_SCAN_H

#include "flush/cold_scan.h"
#include "flush/hot_scan.h"

/* scan_open over the chosen parts. Cold rows are masked by hot keys in any case. */
MUST_CHECK enum lam_code scan_open_parts(const struct scan_request *request, bool hot, bool cold,
                                         struct scan **scan_out, struct lam_error *err);

#endif
