/* SPDX-License-Identifier: Apache-2.0
 *
 * The nearest of some names, for hints: Levenshtein distance with swaps of neighbours counted as
 * one. */
#include "catalog/catalog.h"

/* Longer names are not compared: no one mistypes them into something near. */
#define NAME_BYTES_MAX 64

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t distance(struct lam_slice a, struct lam_slice b) {
    size_t rows[3][NAME_BYTES_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b.size; j++)
        last[j] = before[j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t cost = a.data[i - 1] != b.data[j - 1];
            now[j] = least(least(last[j] + 1, now[j - 1] + 1), last[j - 1] + cost);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b.size];
}

void nearest_offer(struct nearest *n, struct lam_slice candidate) {
    size_t length = n->wanted.size;
    if (length == 0 || length > NAME_BYTES_MAX || candidate.size == 0 ||
        candidate.size > NAME_BYTES_MAX)
        return;
    /* One slip for short names, two for longer, three for long ones; never half the name. */
    size_t allowed = length < 3 ? 0 : length < 6 ? 1 : length < 12 ? 2 : 3;
    size_t d = distance(n->wanted, candidate);
    if (d > allowed || (n->name.size > 0 && d >= n->distance))
        return;
    n->distance = d;
    n->name = candidate;
}

bool nearest_name(struct lam_slice wanted, const struct lam_slice *names, size_t count,
                  struct lam_slice *out) {
    struct nearest n = {.wanted = wanted};
    for (size_t i = 0; i < count; i++)
        nearest_offer(&n, names[i]);
    *out = n.name.size > 0 ? n.name : *out;
    return n.name.size > 0;
}
