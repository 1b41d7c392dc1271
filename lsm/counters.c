/* SPDX-License-Identifier: Apache-2.0
 *
 * Stripes and histograms of a partition, made when they are needed. */
#include "lsm/counters.h"

#include "base/mem.h"

void counters_fini(struct counters *c) {
    for (int i = 0; i < COUNTERS_KINDS; i++)
        mem_free(atomic_load_explicit(&c->latency[i], memory_order_acquire));
    mem_free(atomic_load_explicit(&c->read.stripes, memory_order_acquire));
}

static void make_stripes(struct read_counters *c) {
    struct get_stripe *none = NULL, *made = mem_calloc(EPOCH_READERS, sizeof *made);
    if (made && !atomic_compare_exchange_strong_explicit(
                    &c->stripes, &none, made, memory_order_acq_rel, memory_order_acquire))
        mem_free(made);
}

static void add(_Atomic uint64_t *count, uint64_t n, bool own) {
    if (!own)
        atomic_fetch_add_explicit(count, n, memory_order_relaxed);
    else
        atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n,
                              memory_order_relaxed);
}

void counters_add_gets(struct counters *c, const struct epochs *e, const struct epoch_reader *r,
                       uint64_t gets, uint64_t filter_checks, uint64_t filter_negatives) {
    bool own;
    struct get_counters *of = counters_of_place(c, e, r, &own);
    add(&of->gets, gets, own);
    if (filter_checks > 0) {
        add(&of->filter_checks, filter_checks, own);
        add(&of->filter_negatives, filter_negatives, own);
    }
    if (!own && atomic_load_explicit(&of->gets, memory_order_relaxed) > COUNTERS_MANY_GETS &&
        !atomic_load_explicit(&c->read.stripes, memory_order_relaxed))
        make_stripes(&c->read);
}

static void sum(const struct get_counters *of, uint64_t sums[3]) {
    sums[0] += atomic_load_explicit(&of->gets, memory_order_relaxed);
    sums[1] += atomic_load_explicit(&of->filter_checks, memory_order_relaxed);
    sums[2] += atomic_load_explicit(&of->filter_negatives, memory_order_relaxed);
}

void counters_gets(const struct counters *c, uint64_t *gets_out, uint64_t *filter_checks_out,
                   uint64_t *filter_negatives_out) {
    uint64_t sums[3] = {0};
    const struct get_stripe *s = atomic_load_explicit(&c->read.stripes, memory_order_acquire);
    sum(&c->read.gets, sums);
    for (size_t i = 0; s && i < EPOCH_READERS; i++)
        sum(&s[i].counts, sums);
    *gets_out = sums[0];
    *filter_checks_out = sums[1];
    *filter_negatives_out = sums[2];
}

void counters_record(struct counters *c, enum counters_kind kind, uint64_t ns) {
    struct histogram *h = atomic_load_explicit(&c->latency[kind], memory_order_acquire);
    if (!h) {
        struct histogram *made = mem_calloc(1, sizeof *made);
        if (!made)
            return;
        /* Release pairs with the acquire of who finds it. */
        if (atomic_compare_exchange_strong_explicit(&c->latency[kind], &h, made,
                                                    memory_order_acq_rel, memory_order_acquire))
            h = made;
        else
            mem_free(made);
    }
    histogram_record(h, ns);
}
