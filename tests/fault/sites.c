/* SPDX-License-Identifier: Apache-2.0
 *
 * Who called: walks the chain of frame pointers, which all modes of the build keep. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/hash.h"
#include "tests/fault/watch.h"

#define PRINTED_MAX 10u

struct site {
    uint64_t hash; /* 0: free */
    uint64_t failed;
    uint32_t kind;
    bool reached;
    uint32_t callers[WATCH_DEPTH]; /* offsets in the program; 0: none */
};

extern const char __executable_start[];

static struct site *tables[SITES_TABLES]; /* SITES_MAX each, shared memory */
static struct sites_log *logs[SITES_TABLES];
static const void *stack_top;
static bool recording;

void sites_init(void) {
    for (int i = 0; i < SITES_TABLES; i++) {
        tables[i] = mmap(NULL, SITES_MAX * sizeof(struct site), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (tables[i] == MAP_FAILED)
            abort();
    }
}

void sites_record(bool on) {
    recording = on;
}

bool sites_wanted(enum sites_table table) {
    return recording || logs[table];
}

void sites_set_top(const void *frame) {
    stack_top = frame;
}

static void walk(void **frame, uint32_t *callers, unsigned depth) {
    for (unsigned i = 0; i < depth; i++) {
        void **next = frame[0];
        if ((const void *)next <= (const void *)frame || (const void *)next >= stack_top ||
            (uintptr_t)next % sizeof(void *))
            return;
        callers[i] = (uint32_t)((const char *)frame[1] - __executable_start);
        frame = next;
    }
}

void sites_log_add(struct sites_log *l, uint32_t id) {
    if (l->count == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 1024;
        l->ids = realloc(l->ids, l->capacity * sizeof *l->ids);
        if (!l->ids)
            abort();
    }
    l->ids[l->count++] = id;
}

uint32_t sites_note(enum sites_table table, unsigned kind, bool failed) {
    uint32_t callers[WATCH_DEPTH + 1] = {0};
    if (!tables[table])
        return 0;
    /* The first return address is in the door itself: the environment's or the allocator's. */
    walk(__builtin_frame_address(0), callers, WATCH_DEPTH + 1);
    uint64_t hash = hash_xxh3(callers + 1, WATCH_DEPTH * sizeof *callers, kind + 1) | 1;
    uint32_t at = (uint32_t)hash_mix(hash, 1) % SITES_MAX;
    struct site *s = &tables[table][at];
    while (s->hash && s->hash != hash) {
        at = (at + 1) % SITES_MAX;
        s = &tables[table][at];
    }
    if (!s->hash) {
        s->hash = hash;
        s->kind = kind;
        memcpy(s->callers, callers + 1, sizeof s->callers);
    }
    s->reached = s->reached || recording;
    s->failed += failed;
    if (logs[table])
        sites_log_add(logs[table], at | kind << 16);
    return at;
}

struct sites_totals sites_count(enum sites_table table) {
    struct sites_totals t = {0};
    for (uint32_t i = 0; i < SITES_MAX; i++) {
        const struct site *s = &tables[table][i];
        t.reached += s->reached;
        t.failed += s->reached && s->failed;
    }
    return t;
}

void sites_print_missed(enum sites_table table) {
    unsigned printed = 0;
    for (uint32_t i = 0; i < SITES_MAX; i++) {
        const struct site *s = &tables[table][i];
        if (!s->reached || s->failed || printed++ >= PRINTED_MAX)
            continue;
        printf("never failed: %s from",
               table == SITES_HEAP ? "allocation" : watch_kind_name(s->kind));
        for (unsigned j = 0; j < WATCH_DEPTH && s->callers[j]; j++)
            printf(" 0x%x", s->callers[j]);
        printf("\n");
    }
}

void sites_log(enum sites_table table, struct sites_log *log) {
    logs[table] = log;
}
