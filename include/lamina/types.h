/* SPDX-License-Identifier: Apache-2.0
 *
 * Types shared by every public header: byte slices, opaque handles and column types. */
#ifndef LAMINA_TYPES_H
#define LAMINA_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LAM_VERSION_MAJOR  0
#define LAM_VERSION_MINOR  1
#define LAM_VERSION_PATCH  0
#define LAM_VERSION_STRING "0.1.0"

/* Marks what leaves the library; everything else is hidden. */
#define LAM_API __attribute__((visibility("default")))
/* The caller must look at the result. */
#define LAM_MUST_CHECK __attribute__((warn_unused_result))

/* A borrowed run of bytes. Never owns; its maker says how long the bytes live. `data` may be NULL
 * only when `size` is 0. */
struct lam_slice {
    const uint8_t *data;
    size_t size;
};

/* A slice of `size` bytes at `data`; borrows them. */
static inline struct lam_slice lam_slice_of(const void *data, size_t size) {
    struct lam_slice s;
    s.data = (const uint8_t *)data;
    s.size = size;
    return s;
}

/* A slice of a NUL-terminated string without its NUL; borrows it. */
static inline struct lam_slice lam_slice_str(const char *text) {
    return lam_slice_of(text, text ? strlen(text) : 0);
}

typedef struct lam_env lam_env;
typedef struct lam_db lam_db;
typedef struct lam_partition lam_partition;
typedef struct lam_snapshot lam_snapshot;
typedef struct lam_batch lam_batch;
typedef struct lam_iter lam_iter;
typedef struct lam_ingest lam_ingest;
typedef struct lam_session lam_session;
typedef struct lam_stmt lam_stmt;

/* Column types. The numbers are stored in schemas and never change. In memory (column batches) and
 * in results they have the Arrow layout given beside each. */
enum lam_type {
    LAM_TYPE_NULL = 0,       /* type of an untyped NULL; never a column's type */
    LAM_TYPE_BOOLEAN = 1,    /* bit-packed, least significant bit first */
    LAM_TYPE_SMALLINT = 2,   /* int16 */
    LAM_TYPE_INT = 3,        /* int32 */
    LAM_TYPE_BIGINT = 4,     /* int64 */
    LAM_TYPE_FLOAT = 5,      /* IEEE binary32 */
    LAM_TYPE_DOUBLE = 6,     /* IEEE binary64 */
    LAM_TYPE_DECIMAL = 7,    /* decimal128: 16-byte little-endian two's complement, scaled */
    LAM_TYPE_TEXT = 8,       /* UTF-8, int32 offsets */
    LAM_TYPE_BYTES = 9,      /* int32 offsets */
    LAM_TYPE_TIMESTAMP = 10, /* int64 microseconds since 1970-01-01T00:00:00 UTC */
    LAM_TYPE_DATE = 11,      /* int32 days since 1970-01-01 */
    LAM_TYPE_TIME = 12,      /* int64 microseconds since midnight */
    LAM_TYPE_UUID = 13,      /* 16 bytes, as written */
    LAM_TYPE_JSON = 14,      /* UTF-8 text that parses as JSON, int32 offsets */
};

/* Roles, weakest first; a higher number may do more. Stored; never renumbered. */
enum lam_role {
    LAM_ROLE_ANONYMOUS = 0,
    LAM_ROLE_USER = 1,
    LAM_ROLE_SERVICE = 2,
    LAM_ROLE_DBA = 3,
    LAM_ROLE_SYSTEM = 4,
};

/* How much a commit survives once it is acknowledged. */
enum lam_durability {
    LAM_DURABILITY_DEFAULT = 0, /* what the database was opened with */
    LAM_DURABILITY_OS = 1,   /* a kill of the process; a power loss may drop the newest commits */
    LAM_DURABILITY_SYNC = 2, /* a power loss */
};

#ifdef __cplusplus
}
#endif
#endif
