/* SPDX-License-Identifier: Apache-2.0
 *
 * Results on stdout in one of four forms. Use: output_begin, output_row for each row, output_end.
 *
 *   table  aligned by display width, numbers right, NULL as NULL. Columns get the widths of the
 *          first rows (TABLE_ROWS or TABLE_BYTES of them are held back); later wider values push
 *          their line out and are never cut
 *   csv    RFC 4180 with a header, lines ended by LF; NULL is empty, the empty text is ""
 *   json   an array of objects for each result
 *   line   name = value, a blank line between rows */
#ifndef LAMINA_SHELL_OUTPUT_H
#define LAMINA_SHELL_OUTPUT_H

#include "shell/options.h"
#include "shell/text.h"

#define TABLE_ROWS  5000
#define TABLE_BYTES (4u << 20)

/* One result being printed. */
struct output {
    enum output_mode mode;
    lam_stmt *stmt; /* borrowed */
    uint32_t columns;
    uint64_t rows;      /* so far */
    bool started;       /* the header is out */
    struct text line;   /* scratch */
    struct text cells;  /* table: held back rows, as visible text */
    size_t *cell_ends;  /* table: [cell_count], offsets in `cells`; owned */
    size_t *cell_width; /* table: [cell_count], display columns; owned */
    size_t cell_count;
    size_t cell_capacity;
    size_t *widths; /* table, line: [columns]; owned */
};

void output_begin(struct output *o, enum output_mode mode, lam_stmt *stmt);
/* Prints the statement's current row; false if stdout takes no more. */
bool output_row(struct output *o);
/* Ends the result and frees what it held. `failed`: the statement did not come to its end. */
void output_end(struct output *o, bool failed);

#endif
