/* SPDX-License-Identifier: Apache-2.0
 *
 * XXH3 and XXH64 from libxxhash; CRC-32 by slicing-by-8. CRC is linear over GF(2), so each table
 * entry is the XOR of its index's single-bit entries: the compiler builds the tables from 64
 * numbers. */
#include "base/hash.h"

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/simd.h"

/* Pairs up to this size are put together on the stack: cheaper than a streaming state. */
#define PAIR_STACK_BYTES 240

/* Vectors serve runs that are longer. */
#define SHORT_BYTES 240

uint64_t hash_xxh3(const void *data, size_t size, uint64_t seed) {
#ifdef SIMD_HAS_AVX2
    if (size > SHORT_BYTES && simd_use_avx2())
        return simd_xxh3_avx2(data, size, seed);
#endif
    return XXH3_64bits_withSeed(data, size, seed);
}

uint64_t hash_xxh3_pair(struct lam_slice a, struct lam_slice b, uint64_t seed) {
    if (b.size == 0)
        return hash_xxh3(a.data, a.size, seed);
    if (a.size == 0)
        return hash_xxh3(b.data, b.size, seed);
    if (a.size <= PAIR_STACK_BYTES && b.size <= PAIR_STACK_BYTES - a.size) {
        uint8_t both[PAIR_STACK_BYTES];
        memcpy(both, a.data, a.size);
        memcpy(both + a.size, b.data, b.size);
        return hash_xxh3(both, a.size + b.size, seed);
    }
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH_errorcode rc = XXH3_64bits_reset_withSeed(&state, seed);
    if (rc == XXH_OK)
        rc = XXH3_64bits_update(&state, a.data, a.size);
    if (rc == XXH_OK)
        rc = XXH3_64bits_update(&state, b.data, b.size);
    LAM_ASSERT(rc == XXH_OK);
    return XXH3_64bits_digest(&state);
}

uint64_t hash_xxh64(const void *data, size_t size) {
    return XXH64(data, size, 0);
}

#define ENTRY(i, b0, b1, b2, b3, b4, b5, b6, b7)                                                   \
    (((i)&1 ? b0 : 0) ^ ((i)&2 ? b1 : 0) ^ ((i)&4 ? b2 : 0) ^ ((i)&8 ? b3 : 0) ^                   \
     ((i)&16 ? b4 : 0) ^ ((i)&32 ? b5 : 0) ^ ((i)&64 ? b6 : 0) ^ ((i)&128 ? b7 : 0))
#define ENTRIES4(i, ...)                                                                           \
    ENTRY(i, __VA_ARGS__), ENTRY((i) + 1, __VA_ARGS__), ENTRY((i) + 2, __VA_ARGS__),               \
        ENTRY((i) + 3, __VA_ARGS__)
#define ENTRIES16(i, ...)                                                                          \
    ENTRIES4(i, __VA_ARGS__), ENTRIES4((i) + 4, __VA_ARGS__), ENTRIES4((i) + 8, __VA_ARGS__),      \
        ENTRIES4((i) + 12, __VA_ARGS__)
#define ENTRIES64(i, ...)                                                                          \
    ENTRIES16(i, __VA_ARGS__), ENTRIES16((i) + 16, __VA_ARGS__), ENTRIES16((i) + 32, __VA_ARGS__), \
        ENTRIES16((i) + 48, __VA_ARGS__)
#define ROW(...)                                                                                   \
    {                                                                                              \
        ENTRIES64(0, __VA_ARGS__), ENTRIES64(64, __VA_ARGS__), ENTRIES64(128, __VA_ARGS__),        \
            ENTRIES64(192, __VA_ARGS__)                                                            \
    }

/* crc_tables[k][i]: the CRC step of byte i followed by k zero bytes. */
static const uint32_t crc_tables[8][256] = {
    ROW(0x77073096u, 0xee0e612cu, 0x076dc419u, 0x0edb8832u, 0x1db71064u, 0x3b6e20c8u, 0x76dc4190u,
        0xedb88320u),
    ROW(0x191b3141u, 0x32366282u, 0x646cc504u, 0xc8d98a08u, 0x4ac21251u, 0x958424a2u, 0xf0794f05u,
        0x3b83984bu),
    ROW(0x01c26a37u, 0x0384d46eu, 0x0709a8dcu, 0x0e1351b8u, 0x1c26a370u, 0x384d46e0u, 0x709a8dc0u,
        0xe1351b80u),
    ROW(0xb8bc6765u, 0xaa09c88bu, 0x8f629757u, 0xc5b428efu, 0x5019579fu, 0xa032af3eu, 0x9b14583du,
        0xed59b63bu),
    ROW(0x3d6029b0u, 0x7ac05360u, 0xf580a6c0u, 0x30704bc1u, 0x60e09782u, 0xc1c12f04u, 0x58f35849u,
        0xb1e6b092u),
    ROW(0xcb5cd3a5u, 0x4dc8a10bu, 0x9b914216u, 0xec53826du, 0x03d6029bu, 0x07ac0536u, 0x0f580a6cu,
        0x1eb014d8u),
    ROW(0xa6770bb4u, 0x979f1129u, 0xf44f2413u, 0x33ef4e67u, 0x67de9cceu, 0xcfbd399cu, 0x440b7579u,
        0x8816eaf2u),
    ROW(0xccaa009eu, 0x4225077du, 0x844a0efau, 0xd3e51bb5u, 0x7cbb312bu, 0xf9766256u, 0x299dc2edu,
        0x533b85dau),
};

static uint32_t crc_byte(uint32_t crc, uint8_t byte) {
    return (crc >> 8) ^ crc_tables[0][(crc ^ byte) & 0xFF];
}

uint32_t hash_crc32(uint32_t crc, const void *data, size_t size) {
    const uint8_t *p = data;
    crc = ~crc;
    for (; size >= 8; size -= 8, p += 8) {
        uint32_t low = get_le32(p) ^ crc;
        uint32_t high = get_le32(p + 4);
        crc = crc_tables[7][low & 0xFF] ^ crc_tables[6][low >> 8 & 0xFF] ^
              crc_tables[5][low >> 16 & 0xFF] ^ crc_tables[4][low >> 24] ^
              crc_tables[3][high & 0xFF] ^ crc_tables[2][high >> 8 & 0xFF] ^
              crc_tables[1][high >> 16 & 0xFF] ^ crc_tables[0][high >> 24];
    }
    while (size-- > 0)
        crc = crc_byte(crc, *p++);
    return ~crc;
}

/* The finaliser of splitmix64 over a sum that keeps (a, b) and (b, a) apart. */
uint64_t hash_mix(uint64_t a, uint64_t b) {
    uint64_t z = a * UINT64_C(0x9E3779B97F4A7C15) + (b ^ UINT64_C(0xD1B54A32D192ED03));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}
