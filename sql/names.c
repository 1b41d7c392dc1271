/* SPDX-License-Identifier: Apache-2.0
 *
 * The nearest of some names, for hints: Levenshtein distance with swaps of neighbours counted as
 * one. */
#include "sql/bound.h"

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

bool nearest_name(struct lam_slice wanted, const struct lam_slice *names, size_t count,
                  struct lam_slice *out) {
    size_t best = SIZE_MAX;
    if (wanted.size == 0 || wanted.size > NAME_BYTES_MAX)
        return false;
    /* One slip for short names, two for longer, three for long ones; never half the name. */
    size_t allowed = wanted.size < 3 ? 0 : wanted.size < 6 ? 1 : wanted.size < 12 ? 2 : 3;
    for (size_t i = 0; i < count; i++) {
        if (names[i].size == 0 || names[i].size > NAME_BYTES_MAX)
            continue;
        size_t d = distance(wanted, names[i]);
        if (d <= allowed && d < best) {
            best = d;
            *out = names[i];
        }
    }
    return best != SIZE_MAX;
}
