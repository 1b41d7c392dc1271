/* SPDX-License-Identifier: Apache-2.0
 *
 * Parquet's numbers and metadata as C structs
 * (https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift), as far as
 * flat columns need them. meta.h turns them into bytes and back. */
#ifndef LAMINA_FLUSH_PARQUET_FORMAT_H
#define LAMINA_FLUSH_PARQUET_FORMAT_H

#include "flush/parquet/parquet.h"

#define PQ_MAGIC        "PAR1"
#define PQ_MAGIC_CRYPT  "PARE" /* encrypted footer */
#define PQ_MAGIC_BYTES  4
#define PQ_TAIL_BYTES   8 /* footer length and magic */
#define PQ_CREATOR      "lamina version "
#define PQ_CREATED_BY   PQ_CREATOR LAM_VERSION_STRING " (build 0)"
#define PQ_NONE         (-1)
#define PQ_MAX_PAGE     0x7e000000u /* a page's size either way; LZ4's own limit */
#define PQ_CHUNK_VALUES 1024        /* values that decoders hand over at a time */
#define PQ_KEY_INDEX    "lamina.index"
#define PQ_KEY_PAGES    "lamina.pages"
#define PQ_KEY_BLOOM    "lamina.bloom"

enum pq_physical {
    PQ_BOOLEAN = 0,
    PQ_INT32 = 1,
    PQ_INT64 = 2,
    PQ_INT96 = 3,
    PQ_FLOAT = 4,
    PQ_DOUBLE = 5,
    PQ_BYTE_ARRAY = 6,
    PQ_FIXED = 7,
};

enum pq_encoding {
    PQ_PLAIN = 0,
    PQ_PLAIN_DICTIONARY = 2,
    PQ_RLE = 3,
    PQ_BIT_PACKED = 4,
    PQ_DELTA_BINARY_PACKED = 5,
    PQ_RLE_DICTIONARY = 8,
};

enum pq_codec {
    PQ_UNCOMPRESSED = 0,
    PQ_LZ4_RAW = 7,
};

enum pq_page_type {
    PQ_DATA_PAGE = 0,
    PQ_INDEX_PAGE = 1,
    PQ_DICTIONARY_PAGE = 2,
    PQ_DATA_PAGE_V2 = 3,
};

enum pq_converted {
    PQ_CONVERTED_UTF8 = 0,
    PQ_CONVERTED_ENUM = 4,
    PQ_CONVERTED_DECIMAL = 5,
    PQ_CONVERTED_DATE = 6,
    PQ_CONVERTED_TIME_MICROS = 8,
    PQ_CONVERTED_TIMESTAMP_MICROS = 10,
    PQ_CONVERTED_INT_8 = 15,
    PQ_CONVERTED_INT_16 = 16,
    PQ_CONVERTED_INT_32 = 17,
    PQ_CONVERTED_INT_64 = 18,
    PQ_CONVERTED_JSON = 19,
    PQ_CONVERTED_BSON = 20,
};

/* Field ids of the union LogicalType. */
enum pq_logical {
    PQ_LOGICAL_NONE = 0,
    PQ_LOGICAL_STRING = 1,
    PQ_LOGICAL_ENUM = 4,
    PQ_LOGICAL_DECIMAL = 5,
    PQ_LOGICAL_DATE = 6,
    PQ_LOGICAL_TIME = 7,
    PQ_LOGICAL_TIMESTAMP = 8,
    PQ_LOGICAL_INTEGER = 10,
    PQ_LOGICAL_UNKNOWN = 11,
    PQ_LOGICAL_JSON = 12,
    PQ_LOGICAL_BSON = 13,
    PQ_LOGICAL_UUID = 14,
    PQ_LOGICAL_FLOAT16 = 15,
};

enum pq_unit {
    PQ_UNIT_NONE = 0,
    PQ_UNIT_MILLIS = 1,
    PQ_UNIT_MICROS = 2,
    PQ_UNIT_NANOS = 3,
};

enum pq_boundary_order {
    PQ_UNORDERED = 0,
    PQ_ASCENDING = 1,
    PQ_DESCENDING = 2,
};

/* A column in the schema. */
struct pq_leaf {
    const char *name;          /* NUL-terminated */
    enum pq_physical physical; /* storage */
    uint32_t type_length;      /* PQ_FIXED: bytes of a value */
    bool optional;             /* else required */
    int32_t field_id;          /* or PARQUET_NO_FIELD_ID */
    int32_t converted;         /* enum pq_converted or PQ_NONE */
    uint32_t scale;            /* of a decimal */
    uint32_t precision;        /* of a decimal */
    enum pq_logical logical;   /* or PQ_LOGICAL_NONE; unknown ids are kept */
    uint8_t unit;              /* enum pq_unit of a time or timestamp */
    bool utc;                  /* of a time or timestamp */
    uint8_t int_bits;          /* of an integer */
    bool int_signed;           /* of an integer */
};

/* Statistics as stored. */
struct pq_stats {
    bool has_bounds;      /* min and max (both or neither) */
    bool min_exact;       /* min occurs */
    bool max_exact;       /* max occurs */
    struct lam_slice min; /* plain bytes; borrowed */
    struct lam_slice max; /* plain bytes; borrowed */
    int64_t null_count;   /* or PQ_NONE */
    int64_t distinct;     /* or PQ_NONE */
};

/* ColumnChunk and its ColumnMetaData. */
struct pq_chunk {
    enum pq_physical physical;
    uint32_t encodings; /* set of 1 << enum pq_encoding */
    enum pq_codec codec;
    enum pq_encoding data_encoding; /* writer: of all data pages */
    uint32_t data_pages;            /* writer */
    int64_t values;                 /* nulls included */
    int64_t uncompressed_bytes;     /* page headers included */
    int64_t compressed_bytes;       /* the same, as stored */
    int64_t data_offset;            /* first data page */
    int64_t dictionary_offset;      /* 0: none */
    struct pq_stats stats;
    int64_t bloom_offset;        /* 0: none */
    int64_t bloom_bytes;         /* 0: unknown */
    bool has_bloom_hash;         /* bloom_hash is stored (PQ_KEY_BLOOM) */
    uint64_t bloom_hash;         /* XXH3 of the filter with its header */
    int64_t raw_bytes;           /* of byte arrays before encoding, or PQ_NONE */
    int64_t offset_index_offset; /* 0: none */
    int64_t offset_index_bytes;
    int64_t column_index_offset; /* 0: none */
    int64_t column_index_bytes;
};

struct pq_group {
    struct pq_chunk *chunks; /* one a leaf */
    int64_t rows;
    int64_t uncompressed_bytes;
    int64_t compressed_bytes;
    int64_t file_offset; /* first page */
};

/* FileMetaData. Pointers are borrowed or of the arena it was decoded into. */
struct pq_meta {
    struct pq_leaf *leaves;
    uint32_t leaf_count;
    bool *type_ordered; /* by leaf: bounds follow the type-defined order */
    struct pq_group *groups;
    uint32_t group_count;
    int64_t rows;
    const struct parquet_pair *pairs;
    uint32_t pair_count;
    struct lam_slice created_by;
    const uint32_t *sort; /* writer: leaves that rows are sorted by */
    uint32_t sort_count;
};

struct pq_page_header {
    enum pq_page_type type;
    uint32_t uncompressed_bytes;
    uint32_t compressed_bytes;
    bool has_crc;
    uint32_t crc;
    uint32_t values;           /* nulls included; of a dictionary: entries */
    enum pq_encoding encoding; /* of the values */
    enum pq_encoding levels;   /* v1: of definition levels */
    /* Data page v2 only. */
    uint32_t rows;
    uint32_t nulls;
    uint32_t definition_bytes;
    uint32_t repetition_bytes;
    bool is_compressed;
};

/* One page of a chunk's OffsetIndex. */
struct pq_page_ref {
    uint64_t offset;    /* of the page header */
    uint32_t bytes;     /* header included */
    uint32_t first_row; /* in its row group */
};

/* One page of a chunk's ColumnIndex, as stored. */
struct pq_page_stats {
    bool is_null; /* no value but nulls: min and max are empty */
    int64_t null_count;
    struct lam_slice min;
    struct lam_slice max;
};

#endif
