/* SPDX-License-Identifier: Apache-2.0
 *
 * Query results as Arrow batches, through the Arrow C data and stream interfaces
 * (https://arrow.apache.org/docs/format/CDataInterface.html, .../CStreamInterface.html).
 *
 * The three structs are an ABI that every producer and consumer declares for itself, under the same
 * two guards; an application that has them from elsewhere includes either header first.
 *
 * Each batch is a struct array without nulls, one child a column:
 *
 *   BOOLEAN b | SMALLINT s | INT i | BIGINT l | FLOAT f | DOUBLE g | DECIMAL(p,s) d:p,s
 *   TEXT u | BYTES z | TIMESTAMP tsu:UTC | DATE tdD | TIME ttu
 *   UUID w:16, extension arrow.uuid | JSON u, extension arrow.json
 *
 * Every column is flagged nullable: an expression promises nothing else. */
#ifndef LAMINA_ARROW_H
#define LAMINA_ARROW_H

#include "lamina/sql.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE           2
#define ARROW_FLAG_MAP_KEYS_SORTED    4

/* A type: of a whole batch, or of one of its columns. */
struct ArrowSchema {
    const char *format;   /* type code */
    const char *name;     /* of the column; may be NULL */
    const char *metadata; /* counted pairs, native-endian int32 lengths; NULL: none */
    int64_t flags;        /* ARROW_FLAG_* */
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *); /* NULL: released, or moved elsewhere */
    void *private_data;
};

/* Values of a type. */
struct ArrowArray {
    int64_t length;     /* rows */
    int64_t null_count; /* among them; -1: not counted */
    int64_t offset;     /* rows to pass over at the front of each buffer */
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers; /* validity first; NULL there: no nulls */
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *); /* NULL: released, moved elsewhere, or the end */
    void *private_data;
};

#endif

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

/* Batches of one type, pulled by the consumer. The functions that return int give 0 or an errno. */
struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    /* An array with release NULL is the end. */
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    /* Text of the last failure, valid until the next call on the stream; NULL: none. */
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *); /* NULL: released, or moved elsewhere */
    void *private_data;
};

#endif

/* Starts a run of a statement that gives rows (its parameters as bound) and hands it over as a
 * stream. `*out` is overwritten; on success it is the caller's, who calls out->release; on failure
 * out->release is NULL. INVALID: the statement has no result columns, or a run of it is under way
 * or has ended (lam_reset first). What a statement does besides (INSERT ... RETURNING) is done when
 * this call returns.
 *
 * The stream reads one snapshot, that of this call, and holds the statement: until it is released
 * lam_step is INVALID. The statement and its session must outlive the stream, and calls on the
 * stream count as calls on the session: one thread's at a time, any thread. Should lam_reset or
 * lam_finalize come first after all, further get_next calls fail (EINVAL); nothing dangles.
 * Releasing the stream resets the statement, which then may run again, with its bindings.
 *
 * Schemas and arrays are the consumer's own: they share nothing with stream, statement or database,
 * outlive them, and may be released by any thread, in any order, children moved out of their
 * parents or not.
 *
 * An error ends the run: get_next gives its errno (ENOMEM, EACCES, ECANCELED for an interrupt,
 * EINVAL for other errors of the statement, EIO for the rest) from then on, and get_last_error its
 * text. Batches handed out before it stay good, but the result is not whole. */
LAM_API LAM_MUST_CHECK enum lam_code lam_query_arrow(lam_stmt *stmt, struct ArrowArrayStream *out,
                                                     struct lam_error *err);

#ifdef __cplusplus
}
#endif
#endif
