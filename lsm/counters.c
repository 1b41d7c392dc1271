/* SPDX-License-Identifier: Apache-2.0
 *
 * Histograms of a partition, made when they are needed. */
#include "lsm/counters.h"

#include "base/mem.h"

void counters_fini(struct counters *c) {
    for (int i = 0; i < COUNTERS_KINDS; i++)
        mem_free(atomic_load_explicit(&c->latency[i], memory_order_acquire));
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
