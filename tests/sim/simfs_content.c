/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of files: page maps over reference-counted chunks, copied before they are written. */
#include "tests/sim/simfs_impl.h"

void *sim_alloc(size_t size) {
    void *p = malloc(size);
    LAM_ASSERT(p);
    return p;
}

void *sim_grow(void *items, uint32_t *capacity, size_t need, size_t item) {
    if (need <= *capacity)
        return items;
    size_t want = *capacity ? 2 * (size_t)*capacity : 8;
    if (want < need)
        want = need;
    LAM_ASSERT(want < UINT32_MAX);
    items = realloc(items, want * item);
    LAM_ASSERT(items);
    *capacity = (uint32_t)want;
    return items;
}

/* --- chunks and maps ------------------------------------------------------------------------- */

static struct chunk *chunk_new(size_t pages) {
    struct chunk *c = sim_alloc(sizeof *c + pages * PAGE_BYTES);
    *c = (struct chunk){.refs = 1};
    return c;
}

static void page_drop(struct page *p) {
    if (p->chunk && --p->chunk->refs == 0)
        free(p->chunk);
    *p = (struct page){0};
}

static struct page page_ref(const struct page *p) {
    if (p->chunk)
        p->chunk->refs++;
    return *p;
}

static void map_drop(struct map *m) {
    if (!m || --m->refs > 0)
        return;
    for (uint32_t i = 0; i < m->count; i++)
        page_drop(&m->pages[i]);
    free(m);
}

static struct map *map_new(uint32_t capacity) {
    struct map *m = sim_alloc(sizeof *m + capacity * sizeof m->pages[0]);
    *m = (struct map){.refs = 1, .capacity = capacity};
    return m;
}

/* The content's map, its own, with at least `count` pages. */
static struct map *map_edit(struct content *c, uint32_t count) {
    struct map *m = c->map;
    uint32_t have = m ? m->count : 0;
    uint32_t want = have > count ? have : count;
    if (!m || m->refs > 1 || m->capacity < want) {
        uint32_t capacity = m && m->capacity >= want ? want : want + want / 2;
        struct map *own = map_new(capacity < 4 ? 4 : capacity);
        if (m && m->refs == 1) {
            memcpy(own->pages, m->pages, have * sizeof m->pages[0]);
            m->count = 0;
        } else {
            for (uint32_t i = 0; i < have; i++)
                own->pages[i] = page_ref(&m->pages[i]);
        }
        own->count = have;
        map_drop(m);
        c->map = m = own;
    }
    if (m->count < want) {
        memset(m->pages + m->count, 0, (want - m->count) * sizeof m->pages[0]);
        m->count = want;
    }
    return m;
}

/* The page's bytes, for writing; with `whole` their present content is of no interest. */
static uint8_t *page_edit(struct page *p, bool whole) {
    if (p->chunk && p->chunk->refs == 1) {
        p->chunk->hashed = false;
        return p->bytes;
    }
    struct chunk *own = chunk_new(1);
    if (!whole) {
        if (p->chunk)
            memcpy(own->bytes, p->bytes, PAGE_BYTES);
        else
            memset(own->bytes, 0, PAGE_BYTES);
    }
    page_drop(p);
    *p = (struct page){own, own->bytes};
    return p->bytes;
}

static const uint8_t *page_at(const struct content *c, uint64_t index) {
    return c->map && index < c->map->count && c->map->pages[index].chunk
               ? c->map->pages[index].bytes
               : NULL;
}

/* --- content --------------------------------------------------------------------------------- */

struct content content_ref(const struct content *c) {
    if (c->map)
        c->map->refs++;
    return *c;
}

void content_drop(struct content *c) {
    map_drop(c->map);
    *c = (struct content){0};
}

void content_read(const struct content *c, uint64_t offset, void *data, size_t size) {
    uint8_t *to = data;
    while (size > 0) {
        size_t at = offset % PAGE_BYTES;
        size_t part = PAGE_BYTES - at < size ? PAGE_BYTES - at : size;
        const uint8_t *page = page_at(c, offset / PAGE_BYTES);
        if (page)
            memcpy(to, page + at, part);
        else
            memset(to, 0, part);
        to += part;
        offset += part;
        size -= part;
    }
}

void content_write(struct content *c, uint64_t offset, const void *data, size_t size) {
    LAM_ASSERT(offset + size <= c->size);
    if (size == 0)
        return;
    const uint8_t *from = data;
    struct map *m = map_edit(c, (uint32_t)((offset + size - 1) / PAGE_BYTES) + 1);
    while (size > 0) {
        size_t at = offset % PAGE_BYTES;
        size_t part = PAGE_BYTES - at < size ? PAGE_BYTES - at : size;
        struct page *page = &m->pages[offset / PAGE_BYTES];
        if (from) {
            memcpy(page_edit(page, part == PAGE_BYTES) + at, from, part);
            from += part;
        } else if (part == PAGE_BYTES) {
            page_drop(page);
        } else if (page->chunk) {
            memset(page_edit(page, false) + at, 0, part);
        }
        offset += part;
        size -= part;
    }
}

void content_resize(struct content *c, uint64_t size) {
    LAM_ASSERT(size <= FILE_BYTES_MAX);
    uint32_t pages = (uint32_t)((size + PAGE_BYTES - 1) / PAGE_BYTES);
    if (size < c->size && c->map) {
        if (pages < c->map->count) {
            struct map *m = map_edit(c, 0);
            while (m->count > pages)
                page_drop(&m->pages[--m->count]);
        }
        size_t tail = size % PAGE_BYTES;
        if (tail > 0 && page_at(c, pages - 1)) {
            struct map *m = map_edit(c, 0);
            memset(page_edit(&m->pages[pages - 1], false) + tail, 0, PAGE_BYTES - tail);
        }
    }
    c->size = size;
}

void content_copy(struct content *dst, const struct content *src, uint64_t from, uint64_t to) {
    LAM_ASSERT(from <= to && to <= dst->size);
    while (from < to) {
        size_t at = from % PAGE_BYTES;
        uint64_t index = from / PAGE_BYTES;
        size_t part = PAGE_BYTES - at < to - from ? PAGE_BYTES - at : (size_t)(to - from);
        const uint8_t *page = page_at(src, index);
        /* The last page up to both ends is a whole one: zeros follow. */
        bool whole = at == 0 && (part == PAGE_BYTES || (to == dst->size && to >= src->size));
        if (whole && page) {
            struct map *m = map_edit(dst, (uint32_t)index + 1);
            struct page shared = page_ref(&src->map->pages[index]);
            page_drop(&m->pages[index]);
            m->pages[index] = shared;
        } else if (page || page_at(dst, index)) {
            content_write(dst, from, page ? page + at : NULL, part);
        }
        from += part;
    }
}

static bool bytes_are_zero(const uint8_t *p, size_t size) {
    return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

bool content_is_zero(const struct content *c, uint64_t from, uint64_t to) {
    while (from < to) {
        size_t at = from % PAGE_BYTES;
        size_t part = PAGE_BYTES - at < to - from ? PAGE_BYTES - at : (size_t)(to - from);
        const uint8_t *page = page_at(c, from / PAGE_BYTES);
        if (page && !bytes_are_zero(page + at, part))
            return false;
        from += part;
    }
    return true;
}

bool content_same(const struct content *a, const struct content *b, uint64_t from, uint64_t to) {
    while (from < to) {
        size_t at = from % PAGE_BYTES;
        size_t part = PAGE_BYTES - at < to - from ? PAGE_BYTES - at : (size_t)(to - from);
        const uint8_t *p = page_at(a, from / PAGE_BYTES), *q = page_at(b, from / PAGE_BYTES);
        bool same = p && q   ? p == q || memcmp(p + at, q + at, part) == 0
                    : p || q ? bytes_are_zero((p ? p : q) + at, part)
                             : true;
        if (!same)
            return false;
        from += part;
    }
    return true;
}

static uint64_t zero_page_hash(void) {
    static uint64_t hash;
    if (hash == 0) {
        static const uint8_t zeros[PAGE_BYTES];
        hash = hash_xxh3(zeros, PAGE_BYTES, 0);
    }
    return hash;
}

static uint64_t page_hash(const struct page *p) {
    struct chunk *c = p->chunk;
    if (!c)
        return zero_page_hash();
    if (c->exposed)
        return hash_xxh3(p->bytes, PAGE_BYTES, 0);
    if (!c->hashed) {
        c->hash = hash_xxh3(p->bytes, PAGE_BYTES, 0);
        c->hashed = true;
    }
    return c->hash;
}

/* Zero pages at the end are as good as none. */
uint64_t content_hash(const struct content *c) {
    uint64_t h = hash_mix(c->size, 0);
    uint64_t zeros = 0;
    for (uint32_t i = 0; c->map && i < c->map->count; i++) {
        uint64_t page = page_hash(&c->map->pages[i]);
        if (page == zero_page_hash()) {
            zeros++;
            continue;
        }
        h = hash_mix(h + zeros, page);
        zeros = 0;
    }
    return h;
}

uint8_t *content_flatten(struct content *c) {
    uint32_t pages = (uint32_t)((c->size + PAGE_BYTES - 1) / PAGE_BYTES);
    struct chunk *flat = chunk_new(pages ? pages : 1);
    struct map *m = map_new(pages ? pages : 1);
    flat->exposed = true;
    flat->refs = pages ? pages : 1;
    memset(flat->bytes, 0, (size_t)(pages ? pages : 1) * PAGE_BYTES);
    content_read(c, 0, flat->bytes, (size_t)c->size);
    for (uint32_t i = 0; i < (pages ? pages : 1); i++)
        m->pages[i] = (struct page){flat, flat->bytes + (size_t)i * PAGE_BYTES};
    m->count = pages ? pages : 1;
    map_drop(c->map);
    c->map = m;
    return flat->bytes;
}
