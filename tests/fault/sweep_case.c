/* SPDX-License-Identifier: Apache-2.0
 *
 * One failure and what comes of it. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fault/heap.h"
#include "tests/fault/sweep_impl.h"

/* What the run believes: readers see what they saw after one of the steps from `low` to `high`;
 * those up to `synced` would survive a power loss. -1: before the first. */
struct belief {
    int low, high, synced;
};

struct run {
    const struct sweep_plan *plan;
    const struct sweep_case *c;
    struct sweep_world *w;
    struct script *s;
    struct belief is;
    int lowest;        /* after a reopen readers may see this much less */
    bool refuses;      /* takes no writes until it is reopened */
    uint64_t *refused; /* counts handles that took no more writes */
    bool show;
    bool failed;
};

static void __attribute__((format(printf, 2, 3))) wrong(struct run *r, const char *format, ...) {
    if (r->show && !r->failed) {
        va_list args;
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        printf("\n");
    }
    r->failed = true;
}

static const char *why(const struct run *r, enum lam_code rc) {
    static char text[1400];
    snprintf(text, sizeof text, "%s: %s %s", lam_code_name(rc), r->s->err.message,
             r->s->err.sqlstate);
    return text;
}

/* --- what may come out ---------------------------------------------------------------------- */

/* The fault changes what a read gives, in silence. */
static bool is_lie(const struct sweep_case *c) {
    return c->what == SWEEP_ENV && (c->fault.ops & SIMFS_READ) && c->fault.effect != SIMFS_FAIL;
}

static bool is_lasting(const struct sweep_case *c) {
    return c->what == SWEEP_QUOTA || (c->what == SWEEP_ENV && c->fault.sticky) ||
           (c->what == SWEEP_HEAP && c->count > 1);
}

static bool is_allowed(const struct sweep_case *c, enum lam_code rc) {
    if (rc == LAM_UNKNOWN_OUTCOME || rc == LAM_READ_ONLY)
        return true;
    if (c->what == SWEEP_HEAP)
        return rc == LAM_NO_MEMORY;
    if (c->what == SWEEP_QUOTA)
        return rc == LAM_NO_SPACE;
    if (is_lie(c))
        return rc == LAM_CORRUPT;
    if (c->fault.ops & SIMFS_OPEN && c->fault.code == LAM_BUSY)
        return rc == LAM_BUSY || rc == LAM_IO;
    if (c->fault.ops & SIMFS_CREATE && c->fault.code == LAM_BUSY)
        return rc == LAM_IO;
    return rc == c->fault.code;
}

static void check_error(struct run *r, const char *what, enum lam_code rc) {
    if (rc == LAM_OK)
        return;
    if (!is_allowed(r->c, rc))
        wrong(r, "%s gives %s", what, why(r, rc));
    if (r->s->err.message[0] == 0)
        wrong(r, "%s gives %s without a message", what, lam_code_name(rc));
    if (rc == LAM_READ_ONLY)
        r->refuses = true;
}

/* --- looking -------------------------------------------------------------------------------- */

static const char *seen_after(const struct run *r, int step) {
    return r->plan->step[step < 0 ? 0 : step].seen;
}

static void print_difference(const char *want, const char *got) {
    size_t i = 0, line = 0;
    for (; want[i] && want[i] == got[i]; i++)
        if (want[i] == '\n')
            line = i + 1;
    printf("expected: %.300s\n...\ngot: %.300s\n...\n", want + line, got + line);
}

/* What is seen is one of the believed states; which one, or -2. */
static int find_seen(struct run *r, const struct belief *is, const char *text, const char *when) {
    for (int i = is->high; i >= is->low; i--)
        if (strcmp(text, seen_after(r, i)) == 0)
            return i;
    if (r->show && !r->failed) {
        printf("%s: not what was there after step %d", when, is->high);
        if (is->low != is->high)
            printf(" nor any since %d", is->low);
        printf("\n");
        print_difference(seen_after(r, is->high), text);
        for (unsigned i = 0; i < r->plan->steps; i++)
            if (strcmp(text, r->plan->step[i].seen) == 0)
                printf("it is what was there after step %u\n", i);
    }
    r->failed = true;
    return -2;
}

/* Length of the answer to one question of a dump: up to the next line with a ": ". */
static size_t answer_length(const char *text) {
    const char *at = strchr(text, '\n');
    while (at && at[1]) {
        const char *end = strchr(at + 1, '\n'), *mark = strstr(at + 1, ": ");
        if (mark && (!end || mark < end))
            return (size_t)(at + 1 - text);
        at = end;
    }
    return strlen(text);
}

/* Each answer is that of before or that of after. A handle that does not know the outcome of its
 * last change of a schema may give some of both until it is reopened. */
static bool mixes(const char *text, const char *before, const char *after) {
    while (*text && *before && *after) {
        size_t n = answer_length(text), b = answer_length(before), a = answer_length(after);
        if ((n != b || memcmp(text, before, n) != 0) && (n != a || memcmp(text, after, n) != 0))
            return false;
        text += n;
        before += b;
        after += a;
    }
    return !*text && !*before && !*after;
}

/* Reads all; an error is allowed only while the failure lasts. */
static void look(struct run *r, bool may_fail, const char *when) {
    if (!r->s->db)
        return;
    char *text = script_dump(r->s);
    if (text && r->is.low != r->is.high &&
        mixes(text, seen_after(r, r->is.low), seen_after(r, r->is.high))) {
        free(text);
    } else if (text) {
        find_seen(r, &r->is, text, when);
        free(text);
    } else if (!may_fail) {
        wrong(r, "%s: reading gives %s", when, why(r, r->s->err.code));
    } else {
        check_error(r, "reading", r->s->err.code);
    }
}

/* A write that has nothing to do with the step. */
static void probe(struct run *r, bool may_fail, const char *when) {
    if (!r->s->db)
        return;
    enum lam_code rc = script_probe(r->s);
    if (rc == LAM_OK || rc == LAM_NOT_FOUND)
        return;
    check_error(r, "writing", rc);
    if (rc == LAM_READ_ONLY && !strstr(r->s->err.message, "since"))
        wrong(r, "%s: a refusal that does not say since when: %s", when, r->s->err.message);
    if (rc != LAM_READ_ONLY && !may_fail)
        wrong(r, "%s: writing gives %s", when, why(r, rc));
}

static void check_probe(struct run *r, const char *when) {
    uint64_t value = 0;
    enum lam_code rc = script_probe_read(r->s, &value);
    if (rc != LAM_OK && rc != LAM_NOT_FOUND)
        wrong(r, "%s: reading the probe gives %s", when, why(r, rc));
    else if (value < r->s->probe || value > r->s->probe_tried)
        wrong(r, "%s: %" PRIu64 " was acknowledged, %" PRIu64 " tried, %" PRIu64 " is there", when,
              r->s->probe, r->s->probe_tried, value);
}

static void check_leaks(struct run *r, const char *when) {
    if (r->s->leaked)
        wrong(r, "%s: %" PRIu64 " blocks of memory are left", when, r->s->leaked);
}

/* --- steps ---------------------------------------------------------------------------------- */

static enum lam_code do_step(struct run *r, unsigned step) {
    sites_set_top(__builtin_frame_address(0));
    enum lam_code rc = script_step(r->s, step);
    if (rc == LAM_OK) {
        r->is.low = r->is.high = (int)step;
        if (script_step_syncs(r->plan->part, step))
            r->is.synced = (int)step;
    }
    return rc;
}

static void arm(struct run *r) {
    if (r->c->what == SWEEP_ENV)
        watch_arm(&r->w->watch, &r->c->fault);
    else if (r->c->what == SWEEP_HEAP)
        heap_arm(r->c->nth, r->c->count);
    else
        simfs_set_quota(r->w->fs, r->c->quota);
}

static void disarm(struct run *r) {
    if (r->c->what == SWEEP_ENV)
        watch_disarm(&r->w->watch);
    else if (r->c->what == SWEEP_HEAP)
        heap_arm(0, 0);
    else
        simfs_set_quota(r->w->fs, 0);
}

static bool was_hit(const struct run *r) {
    if (r->c->what == SWEEP_ENV)
        return watch_fired(&r->w->watch) > 0;
    return r->c->what == SWEEP_QUOTA || heap_failed() > 0;
}

static void do_failing_step(struct run *r) {
    unsigned step = r->c->step;
    arm(r);
    enum lam_code rc = do_step(r, step);
    if (!was_hit(r))
        wrong(r, "the failure was not reached");
    check_error(r, "the step", rc);
    check_leaks(r, "after the step");
    if (rc == LAM_OK)
        return;
    if (rc == LAM_UNKNOWN_OUTCOME || script_step_marked(r->plan->part, step))
        r->is.high = (int)step;
}

/* --- a power loss --------------------------------------------------------------------------- */

static void check_image(struct run *r, struct simfs *image, const char *when) {
    struct sweep_world w = {.fs = image};
    struct run copy = *r;
    choice_seed(&w.choice, r->plan->seed);
    simfs_set_choice(image, &w.choice);
    watch_init(&w.watch, image);
    script_init(&w.script, r->plan->part, &w.watch.base);
    copy.w = &w;
    copy.s = &w.script;
    copy.is.low = r->is.synced;
    enum lam_code rc = script_open(&w.script);
    if (rc != LAM_OK) {
        wrong(&copy, "%s: the image does not open: %s", when, why(&copy, rc));
    } else {
        char *text = script_dump(&w.script);
        if (!text)
            wrong(&copy, "%s: reading gives %s", when, why(&copy, w.script.err.code));
        else
            find_seen(&copy, &copy.is, text, when);
        free(text);
        rc = script_probe(&w.script);
        if (rc != LAM_OK && rc != LAM_NOT_FOUND)
            wrong(&copy, "%s: writing gives %s", when, why(&copy, rc));
        rc = script_close(&w.script);
        if (rc != LAM_OK)
            wrong(&copy, "%s: closing gives %s", when, why(&copy, rc));
        if (r->c->care == SWEEP_WHOLLY && !script_check_files(&w.script))
            wrong(&copy, "%s: the check has findings", when);
    }
    r->failed = r->failed || copy.failed;
    simfs_free(image);
    choice_fini(&w.choice);
}

static void lose_power(struct run *r, const char *when) {
    struct choice choice;
    if (!r->c->power || r->is.synced < 0)
        return;
    check_image(r, simfs_crash_old(r->w->fs), when);
    for (uint64_t i = 0; i < (r->c->care == SWEEP_WHOLLY ? 2 : 1); i++) {
        choice_seed(&choice, r->plan->seed + r->c->fault.nth * 8 + i + 1);
        check_image(r, simfs_crash(r->w->fs, SIMFS_POWER, &choice), when);
        choice_fini(&choice);
    }
}

/* --- the whole case ------------------------------------------------------------------------- */

/* The failure lasts: whatever is tried fails cleanly or succeeds. */
static void live_with_it(struct run *r) {
    look(r, true, "while it lasts");
    probe(r, true, "while it lasts");
    if (r->s->db)
        check_error(r, "upkeep", script_upkeep(r->s));
    look(r, true, "after upkeep");
    if (r->c->what == SWEEP_QUOTA && r->c->quota / 512 % 2)
        return;
    enum lam_code rc = script_close(r->s);
    check_error(r, "closing", rc);
    check_leaks(r, "closing");
    rc = script_open(r->s);
    check_error(r, "opening", rc);
    check_leaks(r, "opening");
    r->refuses = false;
    look(r, true, "opened while it lasts");
    probe(r, true, "opened while it lasts");
}

/* The failure is over: the same handle goes on, or says that it does not. */
static void go_on(struct run *r) {
    look(r, false, "after it");
    if (!r->refuses)
        probe(r, false, "after it");
    if (r->is.low == (int)r->c->step || r->is.low != r->is.high || r->refuses || !r->s->db)
        return;
    enum lam_code rc = do_step(r, r->c->step);
    if (rc == LAM_READ_ONLY)
        r->refuses = true;
    else if (rc != LAM_OK)
        wrong(r, "the step tried again gives %s", why(r, rc));
}

/* Reopens what refuses writes or whose state is not known, and settles what it is. */
static void reopen(struct run *r) {
    /* Btrfs takes back what a failed sync was for, though not what was synced before. */
    bool takes_back = r->c->what == SWEEP_ENV && r->c->fault.effect == SIMFS_FSYNC_BTRFS;
    bool refused = r->refuses || r->is.low != r->is.high;
    *r->refused += r->refuses;
    if (r->s->db && refused) {
        enum lam_code rc = script_upkeep(r->s);
        if (rc == LAM_OK && r->refuses)
            wrong(r, "it refuses writes and does upkeep");
        check_error(r, "closing what refuses writes", script_close(r->s));
        check_leaks(r, "closing");
    }
    if (r->s->db)
        return;
    enum lam_code rc = script_open(r->s);
    if (rc != LAM_OK) {
        wrong(r, "opening gives %s", why(r, rc));
        return;
    }
    r->refuses = false;
    char *text = script_dump(r->s);
    if (!text) {
        wrong(r, "opened again: reading gives %s", why(r, r->s->err.code));
        return;
    }
    struct belief is = {takes_back && refused ? r->is.synced : r->is.low, r->is.high, 0};
    int at = find_seen(r, &is, text, "opened again");
    free(text);
    if (at >= -1)
        r->is.low = r->is.high = at;
    check_probe(r, "opened again");
}

static void do_rest(struct run *r) {
    unsigned last = r->c->step + (r->c->care == SWEEP_BRIEFLY ? 0 : r->c->tail);
    for (unsigned step = (unsigned)(r->is.high + 1); step <= last && step < r->plan->steps;
         step++) {
        enum lam_code rc = do_step(r, step);
        if (rc != LAM_OK) {
            wrong(r, "step %u (%s) after it gives %s", step, script_step_name(r->plan->part, step),
                  why(r, rc));
            return;
        }
    }
}

static void close_at_end(struct run *r, const char *when) {
    enum lam_code rc = script_close(r->s);
    if (rc != LAM_OK)
        wrong(r, "%s: closing gives %s", when, why(r, rc));
    check_leaks(r, when);
    if (simfs_open_handles(r->w->fs))
        wrong(r, "%s: %zu files are open", when, simfs_open_handles(r->w->fs));
    if (simfs_violation(r->w->fs))
        wrong(r, "%s: %s", when, simfs_violation(r->w->fs));
}

static void finish(struct run *r) {
    enum lam_code rc = script_open(r->s);
    if (rc == LAM_OK && r->c->care == SWEEP_WHOLLY)
        rc = script_upkeep(r->s);
    if (rc != LAM_OK)
        wrong(r, "upkeep at the end gives %s", why(r, rc));
    probe(r, false, "at the end");
    if (r->refuses)
        wrong(r, "at the end writes are refused: %s", r->s->err.message);
    if (r->c->care == SWEEP_BRIEFLY)
        look(r, false, "at the end");
    close_at_end(r, "at the end");
    if (r->c->care == SWEEP_BRIEFLY)
        return;
    if (r->c->care == SWEEP_WHOLLY && !script_check_files(r->s))
        wrong(r, "the check has findings");
    rc = script_open(r->s);
    if (rc != LAM_OK) {
        wrong(r, "the last open gives %s", why(r, rc));
        return;
    }
    look(r, false, "at last");
    check_probe(r, "at last");
    close_at_end(r, "at last");
}

static void begin(struct run *r, struct sweep *s, const struct sweep_case *c, bool show) {
    *r = (struct run){.plan = s->plan,
                      .c = c,
                      .w = &s->world,
                      .s = &s->world.script,
                      .refused = s->refused,
                      .show = show,
                      .is = {(int)c->step - 1, (int)c->step - 1, -1}};
    for (int i = (int)c->step - 1; i >= 0 && r->is.synced < 0; i--)
        if (script_step_syncs(s->plan->part, (unsigned)i))
            r->is.synced = i;
}

/* The step fails cleanly, so it can be tried with the next failure. */
bool ladder_holds(struct sweep *s, struct sweep_case *c, uint64_t *at, uint64_t end, bool show) {
    struct run r;
    uint64_t *nth = c->what == SWEEP_HEAP ? &c->nth : &c->fault.nth;
    const uint64_t from = *at;
    begin(&r, s, c, show);
    for (*nth = from; !r.failed && r.is.low < (int)c->step && *nth <= end; ++*nth) {
        *at = *nth;
        arm(&r);
        enum lam_code rc = do_step(&r, c->step);
        bool hit = was_hit(&r);
        disarm(&r);
        check_error(&r, "the step", rc);
        check_leaks(&r, "after the step");
        if (!hit && rc != LAM_OK)
            wrong(&r, "without any failure the step gives %s", why(&r, rc));
        if (!hit && *nth == from)
            wrong(&r, "the failure was not reached");
        /* What the tries before have opened needs no opening: it takes a fresh start. */
        if (!hit && *nth > from)
            *at = *nth - 1;
        if (rc == LAM_OK)
            break;
        if (rc == LAM_UNKNOWN_OUTCOME || script_step_marked(r.plan->part, c->step))
            r.is.high = (int)c->step;
        if (*nth % 4 == 0 || r.is.high > r.is.low)
            look(&r, false, "after it");
        reopen(&r);
    }
    if (!r.failed && !r.refuses)
        probe(&r, false, "after it");
    if (!r.failed)
        reopen(&r);
    if (!r.failed)
        do_rest(&r);
    if (!r.failed)
        finish(&r);
    return !r.failed;
}

bool case_holds(struct sweep *s, const struct sweep_case *c, bool show) {
    struct run r;
    begin(&r, s, c, show);
    do_failing_step(&r);
    if (!r.failed && is_lasting(c))
        live_with_it(&r);
    if (!r.failed) {
        disarm(&r);
        go_on(&r);
    }
    if (!r.failed)
        lose_power(&r, "power lost after the failure");
    if (!r.failed)
        reopen(&r);
    if (!r.failed)
        do_rest(&r);
    if (!r.failed)
        lose_power(&r, "power lost some steps later");
    if (!r.failed)
        finish(&r);
    return !r.failed;
}
