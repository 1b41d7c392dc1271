/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes, leaves and versions of the tree of art.h, and how readers search them.
 *
 * A link is 0, a node, or a leaf with the lowest bit set. Bytes of linear nodes are packed into two
 * words, so that they are read with two atomic loads and compared all at once. */
#ifndef LAMINA_LSM_ART_NODE_H
#define LAMINA_LSM_ART_NODE_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/simd.h"
#include "lsm/art.h"

#define ART_LINEAR_MAX 16
#define ART_48_MAX     48

struct art_version {
    uint64_t sequence : 56;
    uint64_t kind : 8;
    uint32_t value_size;
    uint32_t skip; /* bytes of `data` before the value: a leaf's key, or a struct art_below */
    uint8_t data[];
};

/* Where a chain goes on below a version, and a way to a far older one, so that a long chain is
 * searched in O(log n): see make_jump. */
struct art_below {
    _Atomic(struct art_version *) older; /* next lower sequence; release by the writer */
    const struct art_version *jump;      /* one that is lower still, or the same; or NULL */
    uint32_t rank;                       /* versions below it when it came */
};

/* The version that came first stands in the leaf and in no chain, so that a leaf of one version is
 * small. It is the oldest, unless versions came out of order. */
struct art_leaf {
    _Atomic(struct art_version *) newest; /* of the chain of the others; release by the writer */
    struct art_version first;             /* its data begins with the key */
};

struct art_node {
    uint32_t depth; /* key bytes shared below; never changes */
    uint8_t type;   /* enum art_type */
    /* Children of a linear node or ART_48: release by the writer after the child's byte and link,
     * acquire by readers of a linear node. */
    _Atomic uint8_t count;
    /* A leaf below, which has the shared bytes; with the lowest bit set it is the node's own. */
    _Atomic(uintptr_t) sample;
};

/* ART_5 and ART_16: one word or two with the byte of child i in bits 8 * (i % 8) of word i / 8,
 * then the links. Two words are read of either: the second is ignored, as all bytes from `count`
 * on. */
struct art_linear {
    struct art_node head;
    _Atomic(uintptr_t) words[];
};
_Static_assert(sizeof(uintptr_t) == 8, "a word has eight bytes");

struct art_48 {
    struct art_node head;
    _Atomic uint8_t places[256]; /* 1 + index in links; 0: none. Release by the writer */
    _Atomic(uintptr_t) links[ART_48_MAX];
};

struct art_256 {
    struct art_node head;
    _Atomic(uintptr_t) links[256];
};

static inline bool art_is_leaf(uintptr_t link) {
    return link & 1;
}
static inline const struct art_leaf *art_leaf_of(uintptr_t link) {
    return (const struct art_leaf *)(link & ~(uintptr_t)1);
}
static inline const struct art_node *art_node_of(uintptr_t link) {
    return (const struct art_node *)link;
}
static inline struct lam_slice art_leaf_key(const struct art_leaf *l) {
    return lam_slice_of(l->first.data, l->first.skip);
}
static inline uintptr_t art_load(const _Atomic(uintptr_t) *link) {
    return atomic_load_explicit(link, memory_order_acquire);
}
/* The link of the leaf whose key ends here, or 0. */
static inline uintptr_t art_own_leaf(const struct art_node *n) {
    uintptr_t sample = art_load(&n->sample);
    return art_is_leaf(sample) ? sample : 0;
}
/* Key of some leaf below: its first `depth` bytes are those of all. */
static inline struct lam_slice art_sample_key(const struct art_node *n) {
    return art_leaf_key(art_leaf_of(art_load(&n->sample)));
}

/* Length of the common prefix, of which `from` bytes are known. */
static inline size_t art_common(struct lam_slice a, struct lam_slice b, size_t from) {
    size_t n = a.size < b.size ? a.size : b.size;
    size_t i = from;
    while (i + 8 <= n) {
        uint64_t differ = get_le64(a.data + i) ^ get_le64(b.data + i);
        if (differ)
            return i + (size_t)__builtin_ctzll(differ) / 8;
        i += 8;
    }
    while (i < n && a.data[i] == b.data[i])
        i++;
    return i;
}

/* --- bytes of a linear node ------------------------------------------------------------------
 * Index of the byte equal to `byte`, of the smallest above or the largest below `at`, among the
 * first `count` of the sixteen in `words`; -1 if there is none. */

static inline int art_lane_plain(const uint64_t words[2], unsigned count, uint8_t byte) {
    for (unsigned i = 0; i < count; i++)
        if ((uint8_t)(words[i / 8] >> (8 * (i % 8))) == byte)
            return (int)i;
    return -1;
}
static inline int art_lane_above_plain(const uint64_t words[2], unsigned count, int at) {
    int found = -1, best = 256;
    for (unsigned i = 0; i < count; i++) {
        int byte = (uint8_t)(words[i / 8] >> (8 * (i % 8)));
        if (byte > at && byte < best) {
            best = byte;
            found = (int)i;
        }
    }
    return found;
}
static inline int art_lane_below_plain(const uint64_t words[2], unsigned count, int at) {
    int found = -1, best = -1;
    for (unsigned i = 0; i < count; i++) {
        int byte = (uint8_t)(words[i / 8] >> (8 * (i % 8)));
        if (byte < at && byte > best) {
            best = byte;
            found = (int)i;
        }
    }
    return found;
}

#ifdef __SSE2__
static inline int art_lane_sse2(const uint64_t words[2], unsigned count, uint8_t byte) {
    __m128i v = _mm_set_epi64x((long long)words[1], (long long)words[0]);
    __m128i same = _mm_cmpeq_epi8(v, _mm_set1_epi8((char)byte));
    unsigned mask = (unsigned)_mm_movemask_epi8(same) & ((1u << count) - 1);
    return mask ? __builtin_ctz(mask) : -1;
}
/* All ones in the first `count` lanes. */
static inline __m128i art_lanes_used(unsigned count) {
    __m128i index = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm_cmplt_epi8(index, _mm_set1_epi8((char)count));
}
static inline int art_lane_above_sse2(const uint64_t words[2], unsigned count, int at) {
    if (at >= 255)
        return -1;
    __m128i v = _mm_set_epi64x((long long)words[1], (long long)words[0]);
    __m128i least = _mm_set1_epi8((char)(at + 1));
    __m128i fits = _mm_and_si128(_mm_cmpeq_epi8(_mm_max_epu8(v, least), v), art_lanes_used(count));
    /* The smallest of those that fit: the others are raised to 255. */
    __m128i low = _mm_or_si128(v, _mm_xor_si128(fits, _mm_set1_epi8(-1)));
    low = _mm_min_epu8(low, _mm_srli_si128(low, 8));
    low = _mm_min_epu8(low, _mm_srli_si128(low, 4));
    low = _mm_min_epu8(low, _mm_srli_si128(low, 2));
    low = _mm_min_epu8(low, _mm_srli_si128(low, 1));
    __m128i is = _mm_cmpeq_epi8(v, _mm_set1_epi8((char)_mm_cvtsi128_si32(low)));
    unsigned mask = (unsigned)_mm_movemask_epi8(_mm_and_si128(is, fits));
    return mask ? __builtin_ctz(mask) : -1;
}
static inline int art_lane_below_sse2(const uint64_t words[2], unsigned count, int at) {
    if (at <= 0)
        return -1;
    __m128i v = _mm_set_epi64x((long long)words[1], (long long)words[0]);
    __m128i most = _mm_set1_epi8((char)(at - 1));
    __m128i fits = _mm_and_si128(_mm_cmpeq_epi8(_mm_min_epu8(v, most), v), art_lanes_used(count));
    __m128i high = _mm_and_si128(v, fits);
    high = _mm_max_epu8(high, _mm_srli_si128(high, 8));
    high = _mm_max_epu8(high, _mm_srli_si128(high, 4));
    high = _mm_max_epu8(high, _mm_srli_si128(high, 2));
    high = _mm_max_epu8(high, _mm_srli_si128(high, 1));
    __m128i is = _mm_cmpeq_epi8(v, _mm_set1_epi8((char)_mm_cvtsi128_si32(high)));
    unsigned mask = (unsigned)_mm_movemask_epi8(_mm_and_si128(is, fits));
    return mask ? __builtin_ctz(mask) : -1;
}
#define ART_LANE(fn, ...) (simd_use_sse2() ? fn##_sse2(__VA_ARGS__) : fn##_plain(__VA_ARGS__))
#else
#define ART_LANE(fn, ...) fn##_plain(__VA_ARGS__)
#endif

static inline const _Atomic(uintptr_t) *art_linear_links(const struct art_linear *n) {
    return &n->words[n->head.type == ART_5 ? 1 : 2];
}
/* Reads the bytes; gives how many there are. */
static inline unsigned art_linear_bytes(const struct art_linear *n, uint64_t words[2]) {
    unsigned count = atomic_load_explicit(&n->head.count, memory_order_acquire);
    words[0] = atomic_load_explicit(&n->words[0], memory_order_relaxed);
    words[1] = atomic_load_explicit(&n->words[1], memory_order_relaxed);
    return count;
}

/* 1 + index of the child's link; 0: none. */
static inline unsigned art_48_place(const struct art_48 *n, uint8_t byte) {
    return atomic_load_explicit(&n->places[byte], memory_order_acquire);
}

/* Place of the link to the child at `byte`; NULL if it was never filled (ART_256: it may be 0). */
static inline const _Atomic(uintptr_t) *art_place(const struct art_node *n, uint8_t byte) {
    if (n->type <= ART_16) {
        const struct art_linear *l = (const struct art_linear *)n;
        uint64_t words[2];
        unsigned count = art_linear_bytes(l, words);
        int lane = ART_LANE(art_lane, words, count, byte);
        return lane < 0 ? NULL : &art_linear_links(l)[lane];
    }
    if (n->type == ART_48) {
        const struct art_48 *m = (const struct art_48 *)n;
        unsigned place = art_48_place(m, byte);
        return place ? &m->links[place - 1] : NULL;
    }
    return &((const struct art_256 *)n)->links[byte];
}

static inline uintptr_t art_child(const struct art_node *n, uint8_t byte) {
    const _Atomic(uintptr_t) *place = art_place(n, byte);
    return place ? art_load(place) : 0;
}

/* Newest version with sequence <= `snapshot`, or NULL. */
const struct art_version *art_version_upto(const struct art_leaf *l, uint64_t snapshot);
/* Oldest version with sequence > `snapshot`, or NULL. */
const struct art_version *art_version_above(const struct art_leaf *l, uint64_t snapshot);
const struct art_version *art_version_newest(const struct art_leaf *l);
const struct art_version *art_version_oldest(const struct art_leaf *l);
/* The next older one, or NULL. */
const struct art_version *art_version_older(const struct art_leaf *l, const struct art_version *v);
void art_entry_of(const struct art_leaf *l, const struct art_version *v, struct entry *out);

#endif
