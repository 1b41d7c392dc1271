/* SPDX-License-Identifier: Apache-2.0
 *
 * Thrift to metadata structs, by tables of their fields. Unknown fields are skipped; what makes a
 * file unreadable here (nesting, encryption, data in other files) is told apart from what makes it
 * corrupt. */
#include "flush/parquet/meta.h"

#include <stdlib.h>

#include "flush/parquet/thrift.h"

/* State of one footer's decoding. */
struct footer {
    struct pq_thrift_reader r; /* first: the functions of tables get it */
    struct arena *arena;
    struct pq_meta *out;
    const struct pq_leaf *leaf; /* of the chunk at hand */
    enum lam_code code;         /* failure other than malformed bytes */
    const char *unsupported;    /* why, if code is UNSUPPORTED */
};

static struct footer *footer_of(struct pq_thrift_reader *r) {
    return (struct footer *)r;
}

static void *take(struct footer *f, size_t count, size_t size) {
    void *p = arena_calloc(f->arena, count ? count : 1, size);
    if (!p) {
        f->code = LAM_NO_MEMORY;
        f->r.in.failed = true;
    }
    return p;
}

static void refuse(struct footer *f, const char *why) {
    if (f->code == LAM_OK) {
        f->code = LAM_UNSUPPORTED;
        f->unsupported = why;
    }
    f->r.in.failed = true;
}

/* --- the schema --- */

/* One SchemaElement. */
struct element {
    struct pq_leaf leaf;
    uint32_t repetition;
    uint32_t children;
    int64_t field_id;
};

static void get_name(struct pq_thrift_reader *r, void *out) {
    struct element *e = out;
    struct lam_slice s = pq_thrift_get_binary(r);
    if (s.size && memchr(s.data, 0, s.size)) {
        refuse(footer_of(r), "column name with a NUL");
        return;
    }
    char *name = take(footer_of(r), s.size + 1, 1);
    if (name && s.size)
        memcpy(name, s.data, s.size);
    e->leaf.name = name;
}

static void get_unit(struct pq_thrift_reader *r, void *out) {
    int16_t unit = pq_thrift_is_struct(r) ? pq_thrift_get_choice(r) : 0;
    ((struct pq_leaf *)out)->unit =
        unit >= PQ_UNIT_MILLIS && unit <= PQ_UNIT_NANOS ? (uint8_t)unit : PQ_UNIT_NONE;
}

#define LEAF(id, get, member)                                                                      \
    { id, get, offsetof(struct pq_leaf, member), NULL, NULL }
static const struct pq_thrift_field no_fields[] = {{0}};
static const struct pq_thrift_field decimal_fields[] = {
    LEAF(1, PQ_GET_U32, scale), LEAF(2, PQ_GET_U32, precision), {0}};
static const struct pq_thrift_field time_fields[] = {
    LEAF(1, PQ_GET_BOOL, utc), {2, PQ_GET_CALL, 0, get_unit, NULL}, {0}};
static const struct pq_thrift_field integer_fields[] = {
    LEAF(1, PQ_GET_U8, int_bits), LEAF(2, PQ_GET_BOOL, int_signed), {0}};

static const struct pq_thrift_field *logical_fields(enum pq_logical logical) {
    switch (logical) {
    case PQ_LOGICAL_DECIMAL:
        return decimal_fields;
    case PQ_LOGICAL_TIME:
    case PQ_LOGICAL_TIMESTAMP:
        return time_fields;
    case PQ_LOGICAL_INTEGER:
        return integer_fields;
    default:
        return no_fields;
    }
}

static void get_logical(struct pq_thrift_reader *r, void *out) {
    struct pq_leaf *leaf = out;
    if (!pq_thrift_is_struct(r))
        return;
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        if (r->id <= 0) {
            pq_thrift_skip(r); /* no type has such an id */
            continue;
        }
        leaf->logical = (enum pq_logical)r->id;
        if (pq_thrift_is_struct(r))
            pq_thrift_get_struct(r, logical_fields(leaf->logical), leaf);
    }
    pq_thrift_leave(r, outer);
}

#define ELEMENT(id, get, member)                                                                   \
    { id, get, offsetof(struct element, member), NULL, NULL }
static const struct pq_thrift_field element_fields[] = {
    ELEMENT(1, PQ_GET_U32, leaf.physical),
    ELEMENT(2, PQ_GET_U32, leaf.type_length),
    ELEMENT(3, PQ_GET_U32, repetition),
    {4, PQ_GET_CALL, 0, get_name, NULL},
    ELEMENT(5, PQ_GET_U32, children),
    ELEMENT(6, PQ_GET_I32, leaf.converted),
    ELEMENT(7, PQ_GET_U32, leaf.scale),
    ELEMENT(8, PQ_GET_U32, leaf.precision),
    ELEMENT(9, PQ_GET_I64, field_id),
    {10, PQ_GET_CALL, offsetof(struct element, leaf), get_logical, NULL},
    {0}};

/* Returns the element's number of children. */
static uint32_t get_leaf(struct footer *f, struct pq_leaf *leaf) {
    struct element e = {.leaf.converted = PQ_NONE, .field_id = PARQUET_NO_FIELD_ID};
    uint64_t seen = pq_thrift_get_struct(&f->r, element_fields, &e);
    if (e.repetition > 1)
        refuse(f, "repeated columns");
    e.leaf.optional = e.repetition == 1;
    e.leaf.field_id =
        e.field_id >= 0 && e.field_id <= INT32_MAX ? (int32_t)e.field_id : PARQUET_NO_FIELD_ID;
    if (!e.leaf.name || (e.children == 0 && !pq_thrift_has(seen, 1)))
        f->r.in.failed = true;
    *leaf = e.leaf;
    return e.children;
}

static void get_schema(struct pq_thrift_reader *r, void *out) {
    struct footer *f = footer_of(r);
    struct pq_meta *m = out;
    uint32_t count = pq_thrift_get_list(r, PQ_THRIFT_STRUCT);
    struct pq_leaf root;
    if (count == 0 || m->leaves) {
        r->in.failed = true;
        return;
    }
    uint32_t children = get_leaf(f, &root);
    struct pq_leaf *leaves = take(f, count, sizeof *leaves);
    bool nested = children != count - 1;
    for (uint32_t i = 0; i + 1 < count && !r->in.failed; i++)
        nested |= get_leaf(f, &leaves[i]) > 0;
    if (nested && !r->in.failed)
        refuse(f, "nested columns");
    m->leaves = leaves;
    m->leaf_count = count - 1;
}

/* --- row groups --- */

static const struct pq_thrift_field pair_fields[] = {
    {1, PQ_GET_BINARY, offsetof(struct parquet_pair, key), NULL, NULL},
    {2, PQ_GET_BINARY, offsetof(struct parquet_pair, value), NULL, NULL},
    {0}};

static bool parse_hex64(struct lam_slice s, uint64_t *out) {
    char text[17] = {0};
    if (s.size != 16)
        return false;
    for (size_t i = 0; i < 16; i++) {
        if (!((s.data[i] >= '0' && s.data[i] <= '9') || (s.data[i] >= 'a' && s.data[i] <= 'f')))
            return false;
        text[i] = (char)s.data[i];
    }
    *out = strtoull(text, NULL, 16);
    return true;
}

static void get_chunk_pairs(struct pq_thrift_reader *r, void *out) {
    struct pq_chunk *c = out;
    uint32_t count = pq_thrift_get_list(r, PQ_THRIFT_STRUCT);
    for (uint32_t i = 0; i < count && !r->in.failed; i++) {
        struct parquet_pair pair = {0};
        pq_thrift_get_struct(r, pair_fields, &pair);
        if (!slice_eq_str(pair.key, PQ_KEY_BLOOM))
            continue;
        c->has_bloom_hash = true;
        if (!parse_hex64(pair.value, &c->bloom_hash))
            r->in.failed = true;
    }
}

static void get_encodings(struct pq_thrift_reader *r, void *out) {
    struct pq_chunk *c = out;
    uint32_t count = pq_thrift_get_list(r, PQ_THRIFT_I32);
    for (uint32_t i = 0; i < count && !r->in.failed; i++) {
        int64_t encoding = pq_thrift_get_item_int(r);
        if (encoding >= 0 && encoding < 32)
            c->encodings |= 1u << encoding;
    }
}

/* The path must be the leaf's name alone. */
static void get_path(struct pq_thrift_reader *r, void *out) {
    (void)out;
    uint32_t count = pq_thrift_get_list(r, PQ_THRIFT_BINARY);
    struct lam_slice name = count == 1 ? pq_thrift_get_item_binary(r) : SLICE_EMPTY;
    if (count != 1 || !slice_eq_str(name, footer_of(r)->leaf->name))
        r->in.failed = true;
}

static void get_file_path(struct pq_thrift_reader *r, void *out) {
    (void)out;
    if (pq_thrift_get_binary(r).size)
        refuse(footer_of(r), "column data in another file");
}

/* Without the flags a bound may be cut; as a bound it is good either way. */
#define STATS(id, get, member)                                                                     \
    { id, get, offsetof(struct pq_stats, member), NULL, NULL }
static const struct pq_thrift_field stats_fields[] = {STATS(3, PQ_GET_I64, null_count),
                                                      STATS(4, PQ_GET_I64, distinct),
                                                      STATS(5, PQ_GET_BINARY, max),
                                                      STATS(6, PQ_GET_BINARY, min),
                                                      STATS(7, PQ_GET_BOOL, max_exact),
                                                      STATS(8, PQ_GET_BOOL, min_exact),
                                                      {0}};
static const struct pq_thrift_field size_fields[] = {{1, PQ_GET_I64, 0, NULL, NULL}, {0}};

#define CHUNK(id, get, member)                                                                     \
    { id, get, offsetof(struct pq_chunk, member), NULL, NULL }
static const struct pq_thrift_field chunk_meta_fields[] = {
    CHUNK(1, PQ_GET_U32, physical),
    {2, PQ_GET_CALL, 0, get_encodings, NULL},
    {3, PQ_GET_CALL, 0, get_path, NULL},
    CHUNK(4, PQ_GET_U32, codec),
    CHUNK(5, PQ_GET_I64, values),
    CHUNK(6, PQ_GET_I64, uncompressed_bytes),
    CHUNK(7, PQ_GET_I64, compressed_bytes),
    {8, PQ_GET_CALL, 0, get_chunk_pairs, NULL},
    CHUNK(9, PQ_GET_I64, data_offset),
    CHUNK(11, PQ_GET_I64, dictionary_offset),
    {12, PQ_GET_STRUCT, offsetof(struct pq_chunk, stats), NULL, stats_fields},
    CHUNK(14, PQ_GET_I64, bloom_offset),
    CHUNK(15, PQ_GET_I64, bloom_bytes),
    {16, PQ_GET_STRUCT, offsetof(struct pq_chunk, raw_bytes), NULL, size_fields},
    {0}};
static const struct pq_thrift_field chunk_fields[] = {
    {1, PQ_GET_CALL, 0, get_file_path, NULL},
    {3, PQ_GET_STRUCT, 0, NULL, chunk_meta_fields},
    CHUNK(4, PQ_GET_I64, offset_index_offset),
    CHUNK(5, PQ_GET_I64, offset_index_bytes),
    CHUNK(6, PQ_GET_I64, column_index_offset),
    CHUNK(7, PQ_GET_I64, column_index_bytes),
    {0}};

static void get_chunk(struct footer *f, struct pq_chunk *c) {
    c->stats.null_count = c->stats.distinct = c->raw_bytes = PQ_NONE;
    uint64_t seen = pq_thrift_get_struct(&f->r, chunk_fields, c);
    if (pq_thrift_has(seen, 8) || pq_thrift_has(seen, 9))
        refuse(f, "encrypted columns");
    if (!pq_thrift_has(seen, 3))
        f->r.in.failed = true;
    c->stats.has_bounds = c->stats.min.data && c->stats.max.data;
    if (c->raw_bytes < 0)
        c->raw_bytes = PQ_NONE;
    /* Some writers say 0, or the offset of the magic, for "none". */
    if (c->dictionary_offset < PQ_MAGIC_BYTES)
        c->dictionary_offset = 0;
}

static void get_chunks(struct pq_thrift_reader *r, void *out) {
    struct footer *f = footer_of(r);
    struct pq_group *g = out;
    uint32_t count = pq_thrift_get_list(r, PQ_THRIFT_STRUCT);
    if (count != f->out->leaf_count || g->chunks) {
        r->in.failed = true;
        return;
    }
    g->chunks = take(f, count, sizeof *g->chunks);
    for (uint32_t i = 0; i < count && !r->in.failed; i++) {
        f->leaf = &f->out->leaves[i];
        get_chunk(f, &g->chunks[i]);
    }
}

#define GROUP(id, member)                                                                          \
    { id, PQ_GET_I64, offsetof(struct pq_group, member), NULL, NULL }
static const struct pq_thrift_field group_fields[] = {{1, PQ_GET_CALL, 0, get_chunks, NULL},
                                                      GROUP(2, uncompressed_bytes),
                                                      GROUP(3, rows),
                                                      GROUP(5, file_offset),
                                                      GROUP(6, compressed_bytes),
                                                      {0}};

static void get_groups(struct pq_thrift_reader *r, void *out) {
    struct pq_meta *m = out;
    uint32_t count = pq_thrift_get_list(r, PQ_THRIFT_STRUCT);
    /* The schema comes first by field id; groups can't be read without it. */
    if (!m->leaves || m->groups) {
        r->in.failed = true;
        return;
    }
    m->groups = take(footer_of(r), count, sizeof *m->groups);
    m->group_count = count;
    for (uint32_t i = 0; i < count && !r->in.failed; i++) {
        pq_thrift_get_struct(r, group_fields, &m->groups[i]);
        if (!m->groups[i].chunks)
            r->in.failed = true;
    }
}

/* --- the footer --- */

static void get_pairs(struct pq_thrift_reader *r, void *out) {
    struct pq_meta *m = out;
    uint32_t count = pq_thrift_get_list(r, PQ_THRIFT_STRUCT);
    struct parquet_pair *pairs = take(footer_of(r), count, sizeof *pairs);
    for (uint32_t i = 0; i < count && !r->in.failed; i++)
        pq_thrift_get_struct(r, pair_fields, &pairs[i]);
    m->pairs = pairs;
    m->pair_count = count;
}

static void get_column_orders(struct pq_thrift_reader *r, void *out) {
    struct pq_meta *m = out;
    uint32_t count = pq_thrift_get_list(r, PQ_THRIFT_STRUCT);
    if (!m->leaves || count != m->leaf_count) {
        r->in.failed = true;
        return;
    }
    m->type_ordered = take(footer_of(r), count, sizeof *m->type_ordered);
    for (uint32_t i = 0; i < count && !r->in.failed; i++)
        m->type_ordered[i] = pq_thrift_get_choice(r) == 1;
}

static const struct pq_thrift_field footer_fields[] = {
    {2, PQ_GET_CALL, 0, get_schema, NULL},
    {3, PQ_GET_I64, offsetof(struct pq_meta, rows), NULL, NULL},
    {4, PQ_GET_CALL, 0, get_groups, NULL},
    {5, PQ_GET_CALL, 0, get_pairs, NULL},
    {6, PQ_GET_BINARY, offsetof(struct pq_meta, created_by), NULL, NULL},
    {7, PQ_GET_CALL, 0, get_column_orders, NULL},
    {0}};

enum lam_code pq_meta_decode(struct lam_slice bytes, const char *path, uint64_t offset,
                             struct arena *a, struct pq_meta *out, struct lam_error *err) {
    struct footer f = {.r = pq_thrift_reader_of(bytes), .arena = a, .out = out};
    *out = (struct pq_meta){0};
    uint64_t seen = pq_thrift_get_struct(&f.r, footer_fields, out);
    if (pq_thrift_has(seen, 8) || pq_thrift_has(seen, 9))
        refuse(&f, "encryption");
    if (f.code == LAM_UNSUPPORTED)
        return ERR(err, LAM_UNSUPPORTED, "%s: Parquet footer: %s not supported", path,
                   f.unsupported);
    if (f.code == LAM_NO_MEMORY)
        return mem_fail(err, bytes.size);
    if (f.r.in.failed || !out->leaves || !out->groups)
        return ERR(err, LAM_CORRUPT, "%s: malformed Parquet footer near offset %llu", path,
                   (unsigned long long)(offset + cursor_offset(&f.r.in)));
    return LAM_OK;
}
