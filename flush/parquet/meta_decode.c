/* SPDX-License-Identifier: Apache-2.0
 *
 * Thrift to metadata structs. Unknown fields are skipped; what makes a file unreadable here
 * (nesting, encryption, data in other files) is told apart from what makes it corrupt. */
#include "flush/parquet/meta.h"

#include <stdlib.h>

#include "flush/parquet/thrift.h"

/* State of one footer's decoding. */
struct footer {
    struct pq_thrift_reader r;
    struct arena *arena;
    struct pq_meta *out;
    enum lam_code code;      /* failure other than malformed bytes */
    const char *unsupported; /* why, if code is UNSUPPORTED */
};

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

static char *get_name(struct footer *f) {
    struct lam_slice s = pq_thrift_get_binary(&f->r);
    if (s.size && memchr(s.data, 0, s.size)) {
        refuse(f, "column name with a NUL");
        return NULL;
    }
    char *name = take(f, s.size + 1, 1);
    if (name && s.size)
        memcpy(name, s.data, s.size);
    return name;
}

static uint8_t get_unit(struct pq_thrift_reader *r) {
    uint8_t unit = PQ_UNIT_NONE;
    if (!pq_thrift_is_struct(r))
        return unit;
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        if (r->id >= PQ_UNIT_MILLIS && r->id <= PQ_UNIT_NANOS)
            unit = (uint8_t)r->id;
        pq_thrift_skip(r);
    }
    pq_thrift_leave(r, outer);
    return unit;
}

/* Content of one member of LogicalType. */
static void get_logical_member(struct pq_thrift_reader *r, struct pq_leaf *leaf) {
    if (!pq_thrift_is_struct(r))
        return;
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        bool is_time = leaf->logical == PQ_LOGICAL_TIME || leaf->logical == PQ_LOGICAL_TIMESTAMP;
        if (leaf->logical == PQ_LOGICAL_DECIMAL && r->id == 1)
            leaf->scale = pq_thrift_get_u32(r);
        else if (leaf->logical == PQ_LOGICAL_DECIMAL && r->id == 2)
            leaf->precision = pq_thrift_get_u32(r);
        else if (is_time && r->id == 1)
            leaf->utc = pq_thrift_get_bool(r);
        else if (is_time && r->id == 2)
            leaf->unit = get_unit(r);
        else if (leaf->logical == PQ_LOGICAL_INTEGER && r->id == 1)
            leaf->int_bits = (uint8_t)pq_thrift_get_int(r);
        else if (leaf->logical == PQ_LOGICAL_INTEGER && r->id == 2)
            leaf->int_signed = pq_thrift_get_bool(r);
        else
            pq_thrift_skip(r);
    }
    pq_thrift_leave(r, outer);
}

static void get_logical(struct pq_thrift_reader *r, struct pq_leaf *leaf) {
    if (!pq_thrift_is_struct(r))
        return;
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        if (r->id > 0) {
            leaf->logical = (enum pq_logical)r->id;
            get_logical_member(r, leaf);
        } else {
            pq_thrift_skip(r); /* no type has such an id */
        }
    }
    pq_thrift_leave(r, outer);
}

/* One SchemaElement; returns its number of children. */
static uint32_t get_leaf(struct footer *f, struct pq_leaf *leaf) {
    struct pq_thrift_reader *r = &f->r;
    uint32_t children = 0;
    bool has_type = false;
    *leaf = (struct pq_leaf){.field_id = PARQUET_NO_FIELD_ID, .converted = PQ_NONE};
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        switch (r->id) {
        case 1:
            leaf->physical = (enum pq_physical)pq_thrift_get_u32(r);
            has_type = true;
            break;
        case 2:
            leaf->type_length = pq_thrift_get_u32(r);
            break;
        case 3: {
            uint32_t repetition = pq_thrift_get_u32(r);
            leaf->optional = repetition == 1;
            if (repetition > 1)
                refuse(f, "repeated columns");
            break;
        }
        case 4:
            leaf->name = get_name(f);
            break;
        case 5:
            children = pq_thrift_get_u32(r);
            break;
        case 6:
            leaf->converted = (int32_t)pq_thrift_get_int(r);
            break;
        case 7:
            leaf->scale = pq_thrift_get_u32(r);
            break;
        case 8:
            leaf->precision = pq_thrift_get_u32(r);
            break;
        case 9: {
            int64_t id = pq_thrift_get_int(r);
            leaf->field_id = id >= 0 && id <= INT32_MAX ? (int32_t)id : PARQUET_NO_FIELD_ID;
            break;
        }
        case 10:
            get_logical(r, leaf);
            break;
        default:
            pq_thrift_skip(r);
        }
    }
    pq_thrift_leave(r, outer);
    if (!leaf->name || (children == 0 && !has_type))
        r->in.failed = true;
    return children;
}

static void get_schema(struct footer *f) {
    uint32_t count = pq_thrift_get_list(&f->r, PQ_THRIFT_STRUCT);
    struct pq_leaf root;
    if (count == 0 || f->out->leaves) {
        f->r.in.failed = true;
        return;
    }
    uint32_t children = get_leaf(f, &root);
    struct pq_leaf *leaves = take(f, count, sizeof *leaves);
    bool nested = children != count - 1;
    for (uint32_t i = 0; i + 1 < count && !f->r.in.failed; i++)
        nested |= get_leaf(f, &leaves[i]) > 0;
    if (nested && !f->r.in.failed)
        refuse(f, "nested columns");
    f->out->leaves = leaves;
    f->out->leaf_count = count - 1;
}

static void get_stats(struct pq_thrift_reader *r, struct pq_stats *s) {
    bool has_min = false, has_max = false;
    if (!pq_thrift_is_struct(r))
        return;
    /* Without the flags a bound may be cut; as a bound it is good either way. */
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        switch (r->id) {
        case 3:
            s->null_count = pq_thrift_get_int(r);
            break;
        case 4:
            s->distinct = pq_thrift_get_int(r);
            break;
        case 5:
            s->max = pq_thrift_get_binary(r);
            has_max = true;
            break;
        case 6:
            s->min = pq_thrift_get_binary(r);
            has_min = true;
            break;
        case 7:
            s->max_exact = pq_thrift_get_bool(r);
            break;
        case 8:
            s->min_exact = pq_thrift_get_bool(r);
            break;
        default:
            pq_thrift_skip(r);
        }
    }
    pq_thrift_leave(r, outer);
    s->has_bounds = has_min && has_max;
}

static struct parquet_pair get_pair(struct pq_thrift_reader *r) {
    struct parquet_pair pair = {SLICE_EMPTY, SLICE_EMPTY};
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        if (r->id == 1)
            pair.key = pq_thrift_get_binary(r);
        else if (r->id == 2)
            pair.value = pq_thrift_get_binary(r);
        else
            pq_thrift_skip(r);
    }
    pq_thrift_leave(r, outer);
    return pair;
}

static bool parse_hex64(struct lam_slice s, uint64_t *out) {
    char text[17] = {0};
    char *end;
    if (s.size != 16)
        return false;
    for (size_t i = 0; i < 16; i++)
        if (!((s.data[i] >= '0' && s.data[i] <= '9') || (s.data[i] >= 'a' && s.data[i] <= 'f')))
            return false;
    memcpy(text, s.data, 16);
    *out = strtoull(text, &end, 16);
    return true;
}

static void get_chunk_pairs(struct pq_thrift_reader *r, struct pq_chunk *c) {
    uint32_t count = pq_thrift_get_list(r, PQ_THRIFT_STRUCT);
    for (uint32_t i = 0; i < count && !r->in.failed; i++) {
        struct parquet_pair pair = get_pair(r);
        if (!slice_eq_str(pair.key, PQ_KEY_BLOOM))
            continue;
        c->has_bloom_hash = true;
        if (!parse_hex64(pair.value, &c->bloom_hash))
            r->in.failed = true;
    }
}

static void get_encodings(struct pq_thrift_reader *r, struct pq_chunk *c) {
    uint32_t count = pq_thrift_get_list(r, PQ_THRIFT_I32);
    for (uint32_t i = 0; i < count && !r->in.failed; i++) {
        int64_t encoding = pq_thrift_get_item_int(r);
        if (encoding >= 0 && encoding < 32)
            c->encodings |= 1u << encoding;
    }
}

static int64_t get_raw_bytes(struct pq_thrift_reader *r) {
    int64_t bytes = PQ_NONE;
    if (!pq_thrift_is_struct(r))
        return bytes;
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        if (r->id == 1)
            bytes = pq_thrift_get_int(r);
        else
            pq_thrift_skip(r);
    }
    pq_thrift_leave(r, outer);
    return bytes < 0 ? PQ_NONE : bytes;
}

/* The path must be the leaf's name alone. */
static void get_path(struct footer *f, const struct pq_leaf *leaf) {
    uint32_t count = pq_thrift_get_list(&f->r, PQ_THRIFT_BINARY);
    struct lam_slice name = count == 1 ? pq_thrift_get_item_binary(&f->r) : SLICE_EMPTY;
    if (count != 1 || !slice_eq_str(name, leaf->name))
        f->r.in.failed = true;
}

static void get_chunk_meta(struct footer *f, struct pq_chunk *c, const struct pq_leaf *leaf) {
    struct pq_thrift_reader *r = &f->r;
    if (!pq_thrift_is_struct(r))
        return;
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        switch (r->id) {
        case 1:
            c->physical = (enum pq_physical)pq_thrift_get_u32(r);
            break;
        case 2:
            get_encodings(r, c);
            break;
        case 3:
            get_path(f, leaf);
            break;
        case 4:
            c->codec = (enum pq_codec)pq_thrift_get_u32(r);
            break;
        case 5:
            c->values = pq_thrift_get_int(r);
            break;
        case 6:
            c->uncompressed_bytes = pq_thrift_get_int(r);
            break;
        case 7:
            c->compressed_bytes = pq_thrift_get_int(r);
            break;
        case 8:
            get_chunk_pairs(r, c);
            break;
        case 9:
            c->data_offset = pq_thrift_get_int(r);
            break;
        case 11: /* some writers say 0, or the offset of the magic, for "none" */
            c->dictionary_offset = pq_thrift_get_int(r);
            c->dictionary_offset = c->dictionary_offset < PQ_MAGIC_BYTES ? 0 : c->dictionary_offset;
            break;
        case 12:
            get_stats(r, &c->stats);
            break;
        case 14:
            c->bloom_offset = pq_thrift_get_int(r);
            break;
        case 15:
            c->bloom_bytes = pq_thrift_get_int(r);
            break;
        case 16:
            c->raw_bytes = get_raw_bytes(r);
            break;
        default:
            pq_thrift_skip(r);
        }
    }
    pq_thrift_leave(r, outer);
}

static void get_chunk(struct footer *f, struct pq_chunk *c, const struct pq_leaf *leaf) {
    struct pq_thrift_reader *r = &f->r;
    bool has_meta = false;
    c->stats.null_count = c->stats.distinct = c->raw_bytes = PQ_NONE;
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        switch (r->id) {
        case 1:
            if (pq_thrift_get_binary(r).size)
                refuse(f, "column data in another file");
            break;
        case 3:
            get_chunk_meta(f, c, leaf);
            has_meta = true;
            break;
        case 4:
            c->offset_index_offset = pq_thrift_get_int(r);
            break;
        case 5:
            c->offset_index_bytes = pq_thrift_get_int(r);
            break;
        case 6:
            c->column_index_offset = pq_thrift_get_int(r);
            break;
        case 7:
            c->column_index_bytes = pq_thrift_get_int(r);
            break;
        case 8:
        case 9:
            refuse(f, "encrypted columns");
            break;
        default:
            pq_thrift_skip(r);
        }
    }
    pq_thrift_leave(r, outer);
    if (!has_meta)
        r->in.failed = true;
}

static void get_group(struct footer *f, struct pq_group *g) {
    struct pq_thrift_reader *r = &f->r;
    const struct pq_meta *m = f->out;
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        if (r->id == 1) {
            uint32_t count = pq_thrift_get_list(r, PQ_THRIFT_STRUCT);
            if (count != m->leaf_count || g->chunks) {
                r->in.failed = true;
                break;
            }
            g->chunks = take(f, count, sizeof *g->chunks);
            for (uint32_t i = 0; i < count && !r->in.failed; i++)
                get_chunk(f, &g->chunks[i], &m->leaves[i]);
        } else if (r->id == 2) {
            g->uncompressed_bytes = pq_thrift_get_int(r);
        } else if (r->id == 3) {
            g->rows = pq_thrift_get_int(r);
        } else if (r->id == 5) {
            g->file_offset = pq_thrift_get_int(r);
        } else if (r->id == 6) {
            g->compressed_bytes = pq_thrift_get_int(r);
        } else {
            pq_thrift_skip(r);
        }
    }
    pq_thrift_leave(r, outer);
    if (!g->chunks)
        r->in.failed = true;
}

static void get_groups(struct footer *f) {
    uint32_t count = pq_thrift_get_list(&f->r, PQ_THRIFT_STRUCT);
    /* The schema comes first by field id; groups can't be read without it. */
    if (!f->out->leaves || f->out->groups) {
        f->r.in.failed = true;
        return;
    }
    f->out->groups = take(f, count, sizeof *f->out->groups);
    f->out->group_count = count;
    for (uint32_t i = 0; i < count && !f->r.in.failed; i++)
        get_group(f, &f->out->groups[i]);
}

static void get_pairs(struct footer *f) {
    uint32_t count = pq_thrift_get_list(&f->r, PQ_THRIFT_STRUCT);
    struct parquet_pair *pairs = take(f, count, sizeof *pairs);
    for (uint32_t i = 0; i < count && !f->r.in.failed; i++)
        pairs[i] = get_pair(&f->r);
    f->out->pairs = pairs;
    f->out->pair_count = count;
}

static bool get_column_order(struct pq_thrift_reader *r) {
    bool type_ordered = false;
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        type_ordered = r->id == 1;
        pq_thrift_skip(r);
    }
    pq_thrift_leave(r, outer);
    return type_ordered;
}

static void get_column_orders(struct footer *f) {
    uint32_t count = pq_thrift_get_list(&f->r, PQ_THRIFT_STRUCT);
    if (!f->out->leaves || count != f->out->leaf_count) {
        f->r.in.failed = true;
        return;
    }
    f->out->type_ordered = take(f, count, sizeof *f->out->type_ordered);
    for (uint32_t i = 0; i < count && !f->r.in.failed; i++)
        f->out->type_ordered[i] = get_column_order(&f->r);
}

static void get_footer(struct footer *f) {
    struct pq_thrift_reader *r = &f->r;
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        switch (r->id) {
        case 2:
            get_schema(f);
            break;
        case 3:
            f->out->rows = pq_thrift_get_int(r);
            break;
        case 4:
            get_groups(f);
            break;
        case 5:
            get_pairs(f);
            break;
        case 6:
            f->out->created_by = pq_thrift_get_binary(r);
            break;
        case 7:
            get_column_orders(f);
            break;
        case 8:
        case 9:
            refuse(f, "encryption");
            break;
        default:
            pq_thrift_skip(r);
        }
    }
    pq_thrift_leave(r, outer);
    if (!f->out->leaves || !f->out->groups)
        r->in.failed = true;
}

enum lam_code pq_meta_decode(struct lam_slice bytes, const char *path, uint64_t offset,
                             struct arena *a, struct pq_meta *out, struct lam_error *err) {
    struct footer f = {.r = pq_thrift_reader_of(bytes), .arena = a, .out = out};
    *out = (struct pq_meta){0};
    get_footer(&f);
    if (f.code == LAM_UNSUPPORTED)
        return ERR(err, LAM_UNSUPPORTED, "%s: Parquet footer: %s not supported", path,
                   f.unsupported);
    if (f.code == LAM_NO_MEMORY)
        return mem_fail(err, bytes.size);
    if (f.r.in.failed)
        return ERR(err, LAM_CORRUPT, "%s: malformed Parquet footer near offset %llu", path,
                   (unsigned long long)(offset + cursor_offset(&f.r.in)));
    return LAM_OK;
}
