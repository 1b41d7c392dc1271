/* SPDX-License-Identifier: Apache-2.0
 *
 * Open addressing over 32-bit slots; entries are compared in their encoded form. */
#include "flush/parquet/dict.h"

#include "base/assert.h"
#include "base/hash.h"

#define MAX_BYTES     (1u << 20) /* of the dictionary page */
#define FIRST_BITS    10         /* log2 of the slots to begin with */
#define MIN_REPEAT    5          /* a value must occur that often on average */
#define PROBE_VALUES  8192       /* after these, hopeless columns are given up ... */
#define PROBE_PERCENT 95         /* ... if at least so many were distinct */

void pq_dict_fini(struct pq_dict *d) {
    buf_fini(&d->plain);
    mem_free(d->codes);
    mem_free(d->starts);
    mem_free(d->slots);
    *d = (struct pq_dict){0};
}

static inline uint64_t hash_value(struct lam_slice s, uint32_t width) {
    if (width == 8)
        return hash_mix(get_le64(s.data), 0);
    if (width == 4)
        return hash_mix(get_le32(s.data), 0);
    return hash_xxh3(s.data, s.size, 0);
}

static inline struct lam_slice entry(const struct pq_dict *d, uint32_t code, uint32_t width) {
    if (width)
        return lam_slice_of(d->plain.data + (size_t)code * width, width);
    const uint8_t *p = d->plain.data + d->starts[code];
    return lam_slice_of(p + 4, get_le32(p));
}

static inline bool same(struct lam_slice a, struct lam_slice b, uint32_t width) {
    if (width == 8)
        return get_le64(a.data) == get_le64(b.data);
    if (width == 4)
        return get_le32(a.data) == get_le32(b.data);
    return slice_eq(a, b);
}

/* The slot that holds the value or would. */
static inline uint32_t *find_slot(const struct pq_dict *d, struct lam_slice s, uint32_t width) {
    size_t mask = ((size_t)1 << d->slot_bits) - 1;
    size_t at = (size_t)(hash_value(s, width) >> (64 - d->slot_bits));
    while (d->slots[at] != 0 && !same(entry(d, d->slots[at] - 1, width), s, width))
        at = (at + 1) & mask;
    return &d->slots[at];
}

static enum lam_code set_slots(struct pq_dict *d, uint32_t bits, uint32_t width,
                               struct lam_error *err) {
    size_t count = (size_t)1 << bits;
    TRY(MEM_GROW(&d->slots, &d->slots_capacity, count, err));
    memset(d->slots, 0, count * sizeof *d->slots);
    d->slot_bits = bits;
    for (uint32_t code = 0; code < d->count; code++)
        *find_slot(d, entry(d, code, width), width) = code + 1;
    return LAM_OK;
}

static enum lam_code add_entry(struct pq_dict *d, struct lam_slice s, uint32_t width,
                               struct lam_error *err) {
    if (width == 0) {
        TRY(MEM_GROW(&d->starts, &d->starts_capacity, (size_t)d->count + 1, err));
        d->starts[d->count] = (uint32_t)d->plain.size;
        TRY(buf_append_le32(&d->plain, (uint32_t)s.size, err));
    }
    TRY(buf_append_slice(&d->plain, s, err));
    d->count++;
    /* At most half of the slots are taken. */
    if ((uint64_t)d->count * 2 > UINT64_C(1) << d->slot_bits)
        TRY(set_slots(d, d->slot_bits + 1, width, err));
    return LAM_OK;
}

/* Whether value `i`, which would be the next entry, ends the attempt. */
static bool is_hopeless(const struct pq_dict *d, const struct pq_values *v, uint32_t i,
                        struct lam_slice s) {
    if (d->plain.size + 4 + s.size > MAX_BYTES)
        return true;
    if (((uint64_t)d->count + 1) * MIN_REPEAT > v->count)
        return true;
    return i == PROBE_VALUES && (uint64_t)d->count * 100 >= (uint64_t)PROBE_VALUES * PROBE_PERCENT;
}

static uint32_t bits_of(uint32_t count) {
    return count <= 2 ? 1 : 32 - (uint32_t)__builtin_clz(count - 1);
}

/* One loop for each width, so that hashing and comparing become a few instructions. */
static inline __attribute__((always_inline)) enum lam_code build(struct pq_dict *d,
                                                                 const struct pq_values *v,
                                                                 uint32_t width, bool *built_out,
                                                                 struct lam_error *err) {
    struct lam_slice last = SLICE_EMPTY;
    uint32_t last_code = 0;
    for (uint32_t i = 0; i < v->count; i++) {
        struct lam_slice s =
            width ? lam_slice_of(v->data + (size_t)i * width, width) : pq_values_bytes(v, i);
        if (i > 0 && same(s, last, width)) {
            d->codes[i] = last_code;
            continue;
        }
        uint32_t *slot = find_slot(d, s, width);
        if (*slot == 0) {
            if (is_hopeless(d, v, i, s))
                return LAM_OK;
            *slot = d->count + 1;
            last_code = d->count;
            TRY(add_entry(d, s, width, err));
        } else {
            last_code = *slot - 1;
        }
        d->codes[i] = last_code;
        last = s;
    }
    *built_out = true;
    return LAM_OK;
}

enum lam_code pq_dict_build(struct pq_dict *d, const struct pq_values *v, bool *built_out,
                            struct lam_error *err) {
    LAM_ASSERT(v->offsets || v->width >= 4);
    *built_out = false;
    d->count = 0;
    buf_reset(&d->plain);
    if (v->count < MIN_REPEAT)
        return LAM_OK;
    TRY(set_slots(d, FIRST_BITS, v->width, err));
    TRY(MEM_GROW(&d->codes, &d->codes_capacity, v->count, err));
    if (v->width == 8)
        TRY(build(d, v, 8, built_out, err));
    else if (v->width == 4)
        TRY(build(d, v, 4, built_out, err));
    else
        TRY(build(d, v, v->offsets ? 0 : v->width, built_out, err));
    d->bits = bits_of(d->count);
    return LAM_OK;
}

uint64_t pq_dict_size(const struct pq_dict *d, uint32_t values) {
    return d->plain.size + (uint64_t)values * d->bits / 8;
}
