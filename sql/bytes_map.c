/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers encoded keys in order of arrival: open addressing with linear probing over XXH3 hashes.
 */
#include "base/arena.h"
#include "base/hash.h"
#include "base/mem.h"
#include "sql/exec.h"

#define SLOTS_MIN 64u

void bytes_map_fini(struct bytes_map *m) {
    arena_fini(&m->arena);
    mem_free(m->keys);
    mem_free(m->hashes);
    mem_free(m->slots);
    *m = (struct bytes_map){0};
}

static size_t probe(const struct bytes_map *m, struct lam_slice key, uint64_t hash) {
    size_t mask = m->slot_count - 1;
    size_t slot = (size_t)hash & mask;
    while (m->slots[slot] != 0) {
        uint32_t number = m->slots[slot] - 1;
        if (m->hashes[number] == hash && slice_eq(m->keys[number], key))
            break;
        slot = (slot + 1) & mask;
    }
    return slot;
}

static enum lam_code rehash(struct bytes_map *m, struct lam_error *err) {
    size_t slot_count = m->slot_count ? m->slot_count * 2 : SLOTS_MIN;
    uint32_t *slots = mem_calloc(slot_count, sizeof *slots);
    if (!slots)
        return mem_fail(err, slot_count * sizeof *slots);
    mem_free(m->slots);
    m->slots = slots;
    m->slot_count = slot_count;
    for (size_t i = 0; i < m->count; i++) {
        size_t slot = (size_t)m->hashes[i] & (slot_count - 1);
        while (slots[slot] != 0)
            slot = (slot + 1) & (slot_count - 1);
        slots[slot] = (uint32_t)i + 1;
    }
    return LAM_OK;
}

static enum lam_code grow_entries(struct bytes_map *m, struct lam_error *err) {
    if (m->count < m->capacity)
        return LAM_OK;
    size_t capacity = m->capacity ? m->capacity * 2 : SLOTS_MIN;
    void *keys = mem_realloc(m->keys, capacity * sizeof *m->keys);
    if (!keys)
        return mem_fail(err, capacity * sizeof *m->keys);
    m->keys = keys;
    void *hashes = mem_realloc(m->hashes, capacity * sizeof *m->hashes);
    if (!hashes)
        return mem_fail(err, capacity * sizeof *m->hashes);
    m->hashes = hashes;
    m->capacity = capacity;
    return LAM_OK;
}

enum lam_code bytes_map_add(struct bytes_map *m, struct lam_slice key, uint32_t *number_out,
                            bool *added_out, struct lam_error *err) {
    if (m->count * 2 >= m->slot_count)
        TRY(rehash(m, err));
    uint64_t hash = hash_xxh3(key.data, key.size, 0);
    size_t slot = probe(m, key, hash);
    *added_out = m->slots[slot] == 0;
    if (!*added_out) {
        *number_out = m->slots[slot] - 1;
        return LAM_OK;
    }
    if (m->count >= UINT32_MAX - 1)
        return ERR(err, LAM_LIMIT, "more than %u distinct keys in one statement", UINT32_MAX - 1);
    TRY(grow_entries(m, err));
    uint8_t *copy = NULL;
    if (key.size > 0) {
        copy = arena_dup(&m->arena, key.data, key.size);
        if (!copy)
            return mem_fail(err, key.size);
    }
    m->keys[m->count] = lam_slice_of(copy, key.size);
    m->hashes[m->count] = hash;
    *number_out = (uint32_t)m->count++;
    m->slots[slot] = *number_out + 1;
    return LAM_OK;
}

bool bytes_map_find(const struct bytes_map *m, struct lam_slice key, uint32_t *number_out) {
    if (m->slot_count == 0)
        return false;
    size_t slot = probe(m, key, hash_xxh3(key.data, key.size, 0));
    if (m->slots[slot] == 0)
        return false;
    *number_out = m->slots[slot] - 1;
    return true;
}
