/* SPDX-License-Identifier: Apache-2.0
 *
 * What every operation goes through: the scheduler, armed faults, the observer, the trace; and the
 * audit of the protocol. */
#include <stdarg.h>
#include <stdio.h>

#include "tests/sim/simfs_impl.h"

void simfs_observe(struct simfs *fs, simfs_observer fn, void *arg) {
    fs->observer = fn;
    fs->observer_arg = arg;
}

void simfs_arm(struct simfs *fs, unsigned slot, const struct simfs_fault *fault) {
    LAM_ASSERT(slot < FAULT_SLOTS && fault->code != LAM_OK);
    fs->faults[slot] = (struct fault_slot){.fault = *fault};
    fs->armed = true;
}

void simfs_disarm(struct simfs *fs) {
    for (unsigned i = 0; i < FAULT_SLOTS; i++)
        fs->faults[i].fault = (struct simfs_fault){0};
    fs->armed = false;
}

uint64_t simfs_seen(const struct simfs *fs, unsigned slot) {
    LAM_ASSERT(slot < FAULT_SLOTS);
    return fs->faults[slot].seen;
}

uint64_t simfs_fired(const struct simfs *fs, unsigned slot) {
    LAM_ASSERT(slot < FAULT_SLOTS);
    return fs->faults[slot].fired;
}

void simfs_freeze(struct simfs *fs) {
    fs->frozen = true;
}

void simfs_abandon(struct simfs *fs) {
    fs->abandoned = true;
}

void violate(struct simfs *fs, const char *format, ...) {
    if (fs->violation[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(fs->violation, sizeof fs->violation, format, args);
    va_end(args);
}

const char *simfs_violation(const struct simfs *fs) {
    return fs->violation[0] ? fs->violation : NULL;
}

uint64_t simfs_trace(const struct simfs *fs) {
    return fs->trace;
}

/* --- one operation --------------------------------------------------------------------------- */

static bool matches(const struct simfs_fault *f, const struct call *c) {
    return (f->ops & (unsigned)c->op) &&
           (!f->pattern || strstr(c->path, f->pattern) || (c->to && strstr(c->to, f->pattern)));
}

/* Every matching slot counts; the first that fires decides. */
static void hit_faults(struct call *c) {
    for (unsigned i = 0; i < FAULT_SLOTS; i++) {
        struct fault_slot *s = &c->fs->faults[i];
        if (!matches(&s->fault, c))
            continue;
        s->seen++;
        uint64_t nth = s->fault.nth;
        if (nth == 0 || s->seen < nth || (s->seen > nth && !s->fault.sticky))
            continue;
        s->fired++;
        if (c->hit)
            continue;
        c->hit = true;
        c->effect = s->fault.effect;
        c->code = s->fault.code;
    }
}

/* The effect is to fail the operation before it does anything. */
static bool fails_outright(const struct call *c) {
    switch (c->effect) {
    case SIMFS_FAIL:
        return true;
    case SIMFS_SHORT:
        return !(c->op & (SIMFS_READ | SIMFS_WRITE));
    case SIMFS_FSYNC_EXT4:
    case SIMFS_FSYNC_BTRFS:
        return c->op != SIMFS_SYNC;
    default:
        return false;
    }
}

static void observe(const struct call *c, unsigned phase, enum lam_code result) {
    struct simfs *fs = c->fs;
    if (!fs->observer || !(c->op & SIMFS_MUTATE))
        return;
    struct simfs_event event = {
        .op = c->op,
        .phase = phase,
        .number = c->number,
        .path = c->path,
        .to = c->to,
        .offset = c->offset,
        .size = c->size,
        .result = result,
    };
    if (phase == 0 && c->op == SIMFS_WRITE && !c->hit) {
        fs->inflight.ino = c->ino;
        fs->inflight.offset = c->offset;
        fs->inflight.data = c->data;
        fs->inflight.size = (size_t)c->size;
    }
    fs->observer(fs->observer_arg, &event);
    fs->inflight.ino = NO_INO;
}

static enum lam_code injected(const struct call *c, struct lam_error *err) {
    return ERR(err, c->code, "%s: injected failure", c->path);
}

enum lam_code call_begin(struct call *c, struct lam_error *err) {
    struct simfs *fs = c->fs;
    sched_point();
    sim_tick(fs);
    if (fs->frozen) {
        c->dead = true;
        return ERR(err, LAM_IO, "%s: this process is dead", c->path);
    }
    if (c->op & SIMFS_MUTATE)
        c->number = ++fs->mutations;
    if (fs->armed)
        hit_faults(c);
    observe(c, 0, LAM_OK);
    /* The observer may have seen enough. */
    if (fs->frozen) {
        c->dead = true;
        return ERR(err, LAM_IO, "%s: this process is dead", c->path);
    }
    return c->hit && fails_outright(c) ? injected(c, err) : LAM_OK;
}

static void trace(const struct call *c, enum lam_code rc) {
    struct simfs *fs = c->fs;
    uint64_t h = hash_mix(fs->trace, (uint64_t)c->op << 8 | (uint64_t)rc);
    h = hash_mix(h, hash_xxh3(c->path, strlen(c->path), c->offset));
    if (c->to)
        h = hash_mix(h, hash_xxh3(c->to, strlen(c->to), 0));
    fs->trace = hash_mix(h, c->size ^ c->detail);
}

enum lam_code call_end(struct call *c, enum lam_code rc, struct lam_error *err) {
    if (!c->dead && c->hit && c->effect == SIMFS_FAIL_DONE && rc == LAM_OK)
        rc = injected(c, err);
    trace(c, rc);
    if (!c->dead)
        observe(c, 1, rc);
    /* Others may go on before the caller looks at what the sync has made durable. */
    if (c->op & (SIMFS_SYNC | SIMFS_DIR_SYNC))
        sched_point();
    return rc;
}
