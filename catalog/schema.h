/* SPDX-License-Identifier: Apache-2.0
 *
 * Table definitions: immutable, versioned, reference-counted schemas and the options beside them.
 * A column's id is never reused in its table; rows and segments are read by id. */
#ifndef LAMINA_CATALOG_SCHEMA_H
#define LAMINA_CATALOG_SCHEMA_H

#include <stdatomic.h>

#include "catalog/key.h"

#define COLUMNS_MAX       1000
#define KEY_COLUMNS_MAX   16
#define INDEX_COLUMNS_MAX 16

enum table_kind {
    TABLE_USER = 1,
    TABLE_SHARED = 2,
    TABLE_STREAM = 3,
    TABLE_SYSTEM = 4, /* entities; never stored */
};
enum access_level {
    ACCESS_NONE = 0, /* USER, STREAM */
    ACCESS_PUBLIC = 1,
    ACCESS_PRIVATE = 2,
    ACCESS_RESTRICTED = 3,
    ACCESS_DBA = 4,
};

/* System columns have fixed ids, also as Parquet field ids. User columns count from 1. */
#define COLUMN_ID_SEQ     1000000001u /* _seq BIGINT */
#define COLUMN_ID_UPDATED 1000000002u /* _updated TIMESTAMP, the time in _seq */
#define COLUMN_ID_DELETED 1000000003u /* _deleted BOOLEAN */

/* What a missing value becomes. */
enum default_kind {
    DEFAULT_NONE = 0, /* NULL, or an error where NULL may not be */
    DEFAULT_VALUE = 1,
    DEFAULT_SNOWFLAKE = 2,
    DEFAULT_NOW = 3, /* TIMESTAMP; DATE and TIME cut it */
    DEFAULT_CURRENT_USER = 4,
    DEFAULT_CURRENT_ROLE = 5,
    DEFAULT_UUID_V7 = 6,
    DEFAULT_ULID = 7,
};
struct column_default {
    enum default_kind kind;
    struct value value; /* kind VALUE: already of the column's type; bytes owned by the schema */
};

struct schema_column {
    uint32_t id;
    const char *name; /* folded */
    struct coltype type;
    bool nullable;
    int key_position;                /* 0-based in the primary key, -1 outside */
    struct column_default on_insert; /* for rows written now */
    struct value initial; /* for rows written before the column was there: frozen at ADD COLUMN */
    uint32_t ordinal;     /* 1-based position at creation; DROP leaves a hole */
};

/* One version of a table's columns. Immutable once made; free of user and session. */
struct schema {
    atomic_uint refs; /* any thread; acquire-release */
    struct table_id table;
    uint32_t version; /* from 1 */
    uint32_t column_count;
    struct schema_column *columns; /* in order of SELECT * */
    uint32_t key_count;
    uint32_t key[KEY_COLUMNS_MAX]; /* indexes into columns, in key order */
    uint32_t next_column_id;
    uint32_t next_ordinal;
    struct arena arena;        /* owns names and default bytes */
    struct row_layout *layout; /* what schema_seal worked out; in the arena; NULL before */
};

/* Fresh schema of version 1 with one reference, no columns and room for `columns`. Fill it (and
 * column_count), seal it, then treat it as immutable. */
MUST_CHECK enum lam_code schema_new(uint32_t columns, struct schema **schema_out,
                                    struct lam_error *err);
/* Works out the row layout and the indexes of schema_find from the columns, once all of them and
 * `version` are in place: whoever builds a schema calls it before rows are coded under it.
 * schema_decode has done so. */
MUST_CHECK enum lam_code schema_seal(struct schema *s, struct lam_error *err);
/* Whether everything in the schema is as the rules want it: LAM_INVALID says what is not.
 * schema_encode refuses what this refuses. */
MUST_CHECK enum lam_code schema_check(const struct schema *s, struct lam_error *err);
struct schema *schema_ref(struct schema *s);
void schema_unref(struct schema *s);
/* Index of a column by folded name or by id; -1 if there is none. System columns are not here. */
int schema_find(const struct schema *s, struct lam_slice name);
int schema_find_id(const struct schema *s, uint32_t id);
/* Binary form for system.table_schemas; decoding checks everything. */
MUST_CHECK enum lam_code schema_encode(const struct schema *s, struct buf *out,
                                       struct lam_error *err);
MUST_CHECK enum lam_code schema_decode(struct lam_slice bytes, struct schema **schema_out,
                                       struct lam_error *err);
/* JSON array of columns, for system.table_schemas and schema_v<N>.json. */
MUST_CHECK enum lam_code schema_to_json(const struct schema *s, struct buf *out,
                                        struct lam_error *err);

/* --- rows (catalog/row.c). Bytes: docs/FORMAT.md "Row" --- */

#define ROW_SEQ_OFFSET                                                                             \
    1 /* _seq, 8 bytes little-endian, lies here, so that a commit can stamp it                     \
       */

/* Appends a row: `values[i]` for schema->columns[i]; types must match, NULLs where allowed. */
MUST_CHECK enum lam_code row_encode(const struct schema *s, const struct value *values, int64_t seq,
                                    bool deleted, struct buf *out, struct lam_error *err);
/* Header of a row. CORRUPT if it is not one. */
struct row_header {
    int64_t seq;
    bool deleted;
    uint32_t schema_version;
};
MUST_CHECK enum lam_code row_header_decode(struct lam_slice row, struct row_header *out,
                                           struct lam_error *err);
/* One column of a row written under schema `written`, as seen by `now`'s column `index`: its value,
 * widened if the type was, or the column's `initial` if it was not there. Bytes borrow `row` or the
 * schema. */
MUST_CHECK enum lam_code row_column(struct lam_slice row, const struct schema *written,
                                    const struct schema *now, uint32_t index, struct value *out,
                                    struct lam_error *err);
/* All columns of `now`, into values[now->column_count]. */
MUST_CHECK enum lam_code row_decode(struct lam_slice row, const struct schema *written,
                                    const struct schema *now, struct value *values,
                                    struct lam_error *err);
/* Appends chosen columns (by column id, system columns too) of a row to columns of a batch, which
 * have the types of `now` (or of the system column). After an error some columns may have a row
 * more than others. */
MUST_CHECK enum lam_code row_append_columns(struct lam_slice row, const struct schema *written,
                                            const struct schema *now, const uint32_t *column_ids,
                                            uint32_t count, struct column *columns,
                                            struct lam_error *err);

/* Type of a system column by id; false if it is none. */
bool system_column_type(uint32_t column_id, struct coltype *type_out);

/* Primary key bytes of a row: [user id for USER and STREAM] then key columns, appended. */
MUST_CHECK enum lam_code row_key(const struct schema *s, enum table_kind kind,
                                 struct lam_slice user, const struct value *values, struct buf *out,
                                 struct lam_error *err);

/* A _seq or snowflake: 41 bits of milliseconds since 2024-01-01 UTC, then the bits of the worker
 * and of the counter. */
#define SEQ_EPOCH_MS    INT64_C(1704067200000)
#define SEQ_TIME_SHIFT  22
#define SEQ_TIME_MS_MAX ((INT64_C(1) << 41) - 1)

/* Snowflake time: microseconds since 1970 of a _seq. */
int64_t seq_time_us(int64_t seq);

#endif
