/* SPDX-License-Identifier: Apache-2.0
 *
 * Sources of choices. Memory is the C library's: sweeps may make the product's allocator fail. */
#include "tests/sim/choice.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

void choice_seed(struct choice *c, uint64_t seed) {
    *c = (struct choice){.source = CHOICE_SEED};
    rng_init(&c->rng, seed);
}

void choice_list(struct choice *c, const uint32_t *list, size_t count) {
    *c = (struct choice){.source = CHOICE_LIST, .list = list, .list_count = count};
}

void choice_bytes(struct choice *c, const uint8_t *bytes, size_t count) {
    *c = (struct choice){.source = CHOICE_BYTES, .bytes = bytes, .bytes_count = count};
}

void choice_odometer(struct choice *c) {
    *c = (struct choice){.source = CHOICE_ODOMETER};
}

bool choice_next(struct choice *c) {
    LAM_ASSERT(c->source == CHOICE_ODOMETER);
    c->at = 0;
    while (c->made_count > 0) {
        struct choice_made *last = &c->made[c->made_count - 1];
        if (last->value + 1 < last->of) {
            last->value++;
            return true;
        }
        c->made_count--;
    }
    return false;
}

void choice_fini(struct choice *c) {
    free(c->made);
    *c = (struct choice){0};
}

static void record(struct choice *c, uint32_t value, uint32_t of) {
    if (c->made_count == c->made_capacity) {
        c->made_capacity = c->made_capacity ? 2 * c->made_capacity : 256;
        c->made = realloc(c->made, c->made_capacity * sizeof *c->made);
        LAM_ASSERT(c->made);
    }
    c->made[c->made_count++] = (struct choice_made){value, of};
}

static uint32_t from_bytes(struct choice *c, uint32_t n) {
    size_t want = n <= 256 ? 1 : n <= 65536 ? 2 : 4;
    uint32_t v = 0;
    for (size_t i = 0; i < want && c->at < c->bytes_count; i++)
        v = v << 8 | c->bytes[c->at++];
    return v % n;
}

static uint32_t from_odometer(struct choice *c, uint32_t n) {
    if (c->at == c->made_count)
        record(c, 0, n);
    LAM_ASSERT(c->made[c->at].of == n);
    return c->made[c->at++].value;
}

uint32_t choose(struct choice *c, uint32_t n) {
    LAM_ASSERT(n >= 1);
    uint32_t value = 0;
    switch (c->source) {
    case CHOICE_ODOMETER:
        return from_odometer(c, n);
    case CHOICE_SEED:
        value = (uint32_t)rng_below(&c->rng, n);
        break;
    case CHOICE_LIST:
        if (c->at < c->list_count)
            value = c->list[c->at++] % n;
        break;
    case CHOICE_BYTES:
        value = from_bytes(c, n);
        break;
    }
    if (c->keep)
        record(c, value, n);
    return value;
}

bool choose_one_in(struct choice *c, uint32_t n) {
    return choose(c, n) == n - 1;
}

uint64_t choose_salt(struct choice *c) {
    struct rng r;
    rng_init(&r, choose(c, UINT32_MAX));
    return rng_next(&r);
}
