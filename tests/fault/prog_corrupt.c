/* SPDX-License-Identifier: Apache-2.0
 *
 * The corruption sweep. Mutations run in portions, each in a child process, so that an abort, a
 * hang or a huge allocation is one failed mutation; the portion then goes on behind it.
 *
 *     corrupt [--count FLIPS] [--seed HEX] [--long] [--jobs N] [--show N]
 *             [--sweep bits|lengths|bytes|files|reading|crashed] [--only NAME:INDEX] */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fault/corrupt.h"
#include "tests/support/gate.h"

#define PORTION        256
#define JOBS_MAX       16
#define SECONDS        60          /* a portion that takes longer hangs */
#define ALLOCATION_MAX (96u << 20) /* one allocation; the databases are smaller than 100 KiB */
#define SHOWN          10          /* failures of a portion told in full */

/* --- what all trials need ------------------------------------------------------------------- */

static struct {
    uint64_t seed;
    bool large;
    unsigned jobs;
    unsigned show; /* failures printed in full */
    struct corrupt_built built, other;
    struct corrupt_target *target;
    struct corrupt_answers *answers;
    uint64_t reads; /* that a survey of a whole database makes */
    struct corrupt_crashed crashed[CRASHED_SHAPES];
    struct corrupt_target *crashed_targets[CRASHED_SHAPES];
    int64_t allocations; /* of the product, not freed */
} all;

static void *counting_resize(void *arg, void *ptr, size_t size) {
    (void)arg;
    if (size > ALLOCATION_MAX) {
        fprintf(stderr, "an allocation of %zu bytes\n", size);
        abort();
    }
    if (size == 0) {
        all.allocations -= ptr != NULL;
        free(ptr);
        return NULL;
    }
    void *p = realloc(ptr, size);
    all.allocations += p && !ptr;
    return p;
}

/* --- trials --------------------------------------------------------------------------------- */

enum family { FAMILY_SEALED, FAMILY_READING, FAMILY_CRASHED };

/* A run of trials of one sort. */
struct batch {
    enum family family;
    enum corrupt_kind kind;   /* SEALED; the others flip bits */
    unsigned shape;           /* CRASHED */
    enum simfs_effect effect; /* READING */
    uint64_t count;           /* trials */
    uint64_t of;              /* mutations there are; trials are spread evenly over them */
};

static uint64_t mutation_of(const struct batch *b, uint64_t trial) {
    return b->count == b->of ? trial : (uint64_t)((unsigned __int128)trial * b->of / b->count);
}

/* A side for each mutation, whichever of them a stride takes. */
static bool reads_only(uint64_t index) {
    return index * UINT64_C(0x9e3779b97f4a7c15) >> 63;
}

/* All temporary files of ours are gone after an open for writing. */
static void check_tidy(struct simfs *fs, struct corrupt_finding *finding) {
    for (size_t i = 0; i < simfs_file_count(fs) && finding->verdict != CORRUPT_HARM; i++) {
        const char *path = simfs_file_path(fs, i);
        size_t size = strlen(path);
        if (size > 4 && strcmp(path + size - 4, ".tmp") == 0 && !strstr(path, "/.tmp") &&
            !strstr(path, "json.tmp")) {
            finding->verdict = CORRUPT_HARM;
            snprintf(finding->text, sizeof finding->text, "%s is still there", path);
        }
    }
}

static bool try_sealed(const struct batch *b, uint64_t index, struct corrupt_finding *finding,
                       struct corrupt_damage *damage) {
    struct simfs *fs = corrupt_apply(all.target, b->kind, index, damage);
    struct corrupt_how how = {
        .read_only = reads_only(index),
        .any_error = b->kind == CORRUPT_DIRECTORY,
        .named = damage->path[0] ? damage->path : NULL,
        .portion = all.large || b->kind >= CORRUPT_REMOVE ? 1 : 8,
        .turn = index / 2,
    };
    if (!damage->none) {
        corrupt_verify(fs, all.answers, &how, finding);
        if (b->kind == CORRUPT_STRAY && !how.read_only)
            check_tidy(fs, finding);
        if (b->kind >= CORRUPT_REMOVE && finding->verdict != CORRUPT_HARM) {
            simfs_free(fs);
            fs = corrupt_apply(all.target, b->kind, index, damage);
            how.read_only = !how.read_only;
            corrupt_verify(fs, all.answers, &how, finding);
        }
    }
    simfs_free(fs);
    return !damage->none;
}

/* One read gives something else than what is on the disk, so that another asking must find all as
 * it was, whatever the first one has written. */
static bool try_reading(const struct batch *b, uint64_t index, struct corrupt_finding *finding,
                        struct corrupt_damage *damage) {
    struct simfs *fs = simfs_clone(all.built.now);
    struct choice choice;
    choice_seed(&choice, all.seed * 31 + index);
    simfs_set_choice(fs, &choice);
    struct simfs_fault fault = {
        .ops = SIMFS_READ, .nth = 1 + index % all.reads, .effect = b->effect, .code = LAM_IO};
    struct corrupt_how how = {.read_only = index / all.reads % 2, .transient = true, .portion = 1};
    struct corrupt_finding after;
    snprintf(damage->text, sizeof damage->text, "read %" PRIu64 " %s", fault.nth,
             b->effect == SIMFS_FLIP    ? "has a bit flipped"
             : b->effect == SIMFS_SHORT ? "ends early"
                                        : "is of another place");
    simfs_arm(fs, 0, &fault);
    corrupt_verify(fs, all.answers, &how, finding);
    bool fired = simfs_fired(fs, 0) > 0;
    simfs_disarm(fs);
    how = (struct corrupt_how){.read_only = true, .transient = true, .tables_only = true};
    corrupt_verify(fs, all.answers, &how, &after);
    if (finding->verdict != CORRUPT_HARM && after.verdict != CORRUPT_RIGHT) {
        finding->verdict = CORRUPT_HARM;
        snprintf(finding->text, sizeof finding->text, "afterwards: %.1400s", after.text);
    }
    simfs_free(fs);
    choice_fini(&choice);
    return fired;
}

static bool try_crashed(const struct batch *b, uint64_t index, struct corrupt_finding *finding,
                        struct corrupt_damage *damage) {
    struct simfs *fs = corrupt_apply(all.crashed_targets[b->shape], CORRUPT_BIT, index, damage);
    corrupt_verify_crashed(fs, &all.crashed[b->shape], reads_only(index), finding);
    simfs_free(fs);
    return true;
}

/* False: the mutation changes nothing. */
static bool try_one(const struct batch *b, uint64_t index, struct corrupt_finding *finding,
                    struct corrupt_damage *damage) {
    int64_t before = all.allocations;
    bool done = true;
    memset(finding, 0, sizeof *finding);
    memset(damage, 0, sizeof *damage);
    if (b->family == FAMILY_SEALED)
        done = try_sealed(b, index, finding, damage);
    else if (b->family == FAMILY_READING)
        done = try_reading(b, index, finding, damage);
    else
        done = try_crashed(b, index, finding, damage);
    if (all.allocations != before && finding->verdict != CORRUPT_HARM) {
        char text[sizeof finding->text];
        memcpy(text, finding->text, sizeof text);
        finding->verdict = CORRUPT_HARM;
        snprintf(finding->text, sizeof finding->text, "%" PRId64 " allocations leaked (%.1400s)",
                 all.allocations - before, text);
    }
    return done;
}

/* --- portions ------------------------------------------------------------------------------- */

/* What a child tells, in shared memory. */
struct slot {
    pid_t pid;      /* 0: free */
    uint64_t next;  /* trial being made */
    uint64_t until; /* end of the portion */
    uint64_t verdicts[CORRUPT_VERDICTS];
    uint64_t none;            /* changed nothing */
    uint32_t shown;           /* texts filled */
    uint64_t shown_at[SHOWN]; /* their mutations */
    char texts[SHOWN][2048];
};

struct totals {
    uint64_t verdicts[CORRUPT_VERDICTS];
    uint64_t none;
};

static struct slot *slots; /* [JOBS_MAX], shared */
static unsigned shown;     /* failures printed */

static void run_portion(const struct batch *b, struct slot *s) {
    struct corrupt_finding finding;
    struct corrupt_damage damage;
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    alarm(SECONDS);
    for (; s->next < s->until; s->next++) {
        uint64_t index = mutation_of(b, s->next);
        if (!try_one(b, index, &finding, &damage))
            s->none++;
        else
            s->verdicts[finding.verdict]++;
        if (finding.verdict == CORRUPT_HARM && s->shown < SHOWN) {
            s->shown_at[s->shown] = index;
            snprintf(s->texts[s->shown++], sizeof s->texts[0], "%.390s: %.1500s", damage.text,
                     finding.text);
        }
    }
    gate_child_exit(0);
}

static const char *gate_of(const struct batch *b, char *out, size_t size) {
    if (b->family == FAMILY_READING)
        return b->effect == SIMFS_FLIP    ? "flipped-read"
               : b->effect == SIMFS_SHORT ? "short-read"
                                          : "misread";
    if (b->family == FAMILY_SEALED)
        return corrupt_kind_name(b->kind);
    snprintf(out, size, "crashed-%u", b->shape);
    return out;
}

static void show(const struct batch *b, uint64_t index, const char *text) {
    char name[32];
    if (shown++ >= all.show)
        return;
    printf("%s\n", text);
    gate_replay("make sim-programs && build/release/fault/corrupt --seed 0x%" PRIx64
                "%s --only %s:%" PRIu64,
                all.seed, all.large ? " --long" : "", gate_of(b, name, sizeof name), index);
}

static void start_portion(const struct batch *b, struct slot *s) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        abort();
    if (pid == 0)
        run_portion(b, s);
    s->pid = pid;
}

/* Takes what a child has told; goes on behind a mutation that it died of. */
static void take_portion(const struct batch *b, struct slot *s, int status, struct totals *t) {
    for (uint32_t i = 0; i < s->shown; i++)
        show(b, s->shown_at[i], s->texts[i]);
    s->shown = 0;
    s->pid = 0;
    if (s->next < s->until) {
        char text[200];
        snprintf(text, sizeof text, "%s (signal %d)",
                 WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "hangs" : "kills the process",
                 WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        show(b, mutation_of(b, s->next), text);
        s->verdicts[CORRUPT_HARM]++;
        if (++s->next < s->until) {
            start_portion(b, s);
            return;
        }
    }
    for (int v = 0; v < CORRUPT_VERDICTS; v++)
        t->verdicts[v] += s->verdicts[v];
    t->none += s->none;
}

static struct slot *free_slot(void) {
    for (unsigned i = 0; i < all.jobs; i++)
        if (slots[i].pid == 0)
            return &slots[i];
    return NULL;
}

static void run_batch(const struct batch *b, struct totals *t) {
    uint64_t next = 0;
    unsigned running = 0;
    char name[32];
    struct totals own = {0};
    while (next < b->count || running > 0) {
        struct slot *s = next < b->count ? free_slot() : NULL;
        if (s) {
            memset(s, 0, sizeof *s);
            s->next = next;
            next = s->until = b->count - next < PORTION ? b->count : next + PORTION;
            start_portion(b, s);
            running++;
            continue;
        }
        int status;
        pid_t pid = wait(&status);
        for (unsigned i = 0; i < all.jobs; i++)
            if (pid > 0 && slots[i].pid == pid) {
                take_portion(b, &slots[i], status, &own);
                running -= slots[i].pid == 0;
            }
    }
    printf("%-12s %8" PRIu64 " trials: %" PRIu64 " right, %" PRIu64 " detected, %" PRIu64
           " harmful; %" PRIu64 " changed nothing\n",
           gate_of(b, name, sizeof name), b->count, own.verdicts[CORRUPT_RIGHT],
           own.verdicts[CORRUPT_DETECTED], own.verdicts[CORRUPT_HARM], own.none);
    for (int v = 0; v < CORRUPT_VERDICTS; v++)
        t->verdicts[v] += own.verdicts[v];
    t->none += own.none;
}

/* --- gates ---------------------------------------------------------------------------------- */

static uint64_t reached(const struct totals *t) {
    uint64_t n = 0;
    for (int v = 0; v < CORRUPT_VERDICTS; v++)
        n += t->verdicts[v];
    return n;
}

static bool report(const char *gate, uint64_t required, const struct totals *t) {
    return gate_report(gate, required, reached(t), t->verdicts[CORRUPT_HARM], all.seed);
}

static struct batch sealed_batch(enum corrupt_kind kind) {
    uint64_t n = corrupt_count(all.target, kind);
    return (struct batch){.family = FAMILY_SEALED, .kind = kind, .count = n, .of = n};
}

static bool sweep_bits(uint64_t count) {
    struct batch b = sealed_batch(CORRUPT_BIT);
    struct totals t = {0};
    uint64_t required = all.large ? 524288 : 131072;
    if (count && count < b.count)
        b.count = required = count;
    run_batch(&b, &t);
    bool ok = report("bit flips in a sealed database", required, &t);
    /* The rest is in preallocated blocks, or in bytes of which this trial asked nothing. */
    return gate_report("bit flips in a sealed database that are noticed", required / 4 * 3,
                       t.verdicts[CORRUPT_DETECTED], t.verdicts[CORRUPT_HARM], all.seed) &&
           ok;
}

/* Of each kind of file there must be one to damage. */
static bool report_files(void) {
    unsigned kinds = corrupt_file_kinds(all.target);
    return gate_report("kinds of files in the damaged database", CORRUPT_FILE_KINDS, kinds, 0,
                       all.seed);
}

/* `required`: somewhat fewer than there are; each of the kinds must be among them. */
static bool sweep_kinds(const char *gate, const enum corrupt_kind *kinds, size_t count,
                        uint64_t required) {
    struct totals t = {0};
    uint64_t missing = 0;
    for (size_t i = 0; i < count; i++) {
        struct batch b = sealed_batch(kinds[i]);
        /* Every byte takes one value of three, every pair of pieces one turn of several. */
        if (!all.large && kinds[i] == CORRUPT_BYTE)
            b.count = b.of / 3;
        if (!all.large && kinds[i] == CORRUPT_SECTOR)
            b.count = b.of / 4;
        uint64_t before = reached(&t);
        run_batch(&b, &t);
        missing += reached(&t) == before;
    }
    return gate_report(gate, required, reached(&t), t.verdicts[CORRUPT_HARM] + missing, all.seed);
}

static bool sweep_reading(void) {
    static const enum simfs_effect effects[] = {SIMFS_FLIP, SIMFS_SHORT, SIMFS_MISDIRECT};
    struct totals t = {0};
    for (size_t i = 0; i < sizeof effects / sizeof effects[0]; i++) {
        struct batch b = {.family = FAMILY_READING, .effect = effects[i]};
        b.count = b.of = all.reads * (all.large ? 32 : i == 0 ? 12 : 4);
        run_batch(&b, &t);
    }
    /* An open for reading makes fewer reads: some faults come too late. */
    return report("reads that give other bytes, once", all.large ? 45000 : 9000, &t);
}

static bool sweep_crashed(void) {
    struct totals t = {0};
    for (unsigned i = 0; i < CRASHED_SHAPES; i++) {
        struct batch b = {.family = FAMILY_CRASHED, .shape = i};
        b.of = corrupt_count(all.crashed_targets[i], CORRUPT_BIT);
        b.count = all.large ? b.of : b.of / 3;
        run_batch(&b, &t);
    }
    return report("bit flips in a crashed database", all.large ? 540000 : 180000, &t);
}

/* `name`: only this sweep; NULL: all. */
static bool sweep(const char *name, uint64_t count) {
    static const enum corrupt_kind lengths[] = {CORRUPT_TRUNCATE, CORRUPT_EXTEND};
    static const enum corrupt_kind bytes[] = {CORRUPT_BYTE, CORRUPT_ZEROS, CORRUPT_SECTOR};
    static const enum corrupt_kind files[] = {
        CORRUPT_REMOVE,  CORRUPT_REMOVE_2, CORRUPT_SWAP,      CORRUPT_DOUBLE, CORRUPT_STALE,
        CORRUPT_SIBLING, CORRUPT_FOREIGN,  CORRUPT_DIRECTORY, CORRUPT_STRAY,  CORRUPT_NO_DIRECTORY,
    };
    bool ok = true;
    if (!name || strcmp(name, "bits") == 0)
        ok &= sweep_bits(count);
    if (!name || strcmp(name, "lengths") == 0)
        ok &= sweep_kinds("truncations and extensions", lengths, 2, all.large ? 65536 : 32768);
    if (!name || strcmp(name, "bytes") == 0)
        ok &= sweep_kinds("bytes set, zeroed and moved", bytes, 3, all.large ? 150000 : 31000);
    if (!name || strcmp(name, "files") == 0)
        ok &= sweep_kinds("files removed, swapped, stale, foreign", files,
                          sizeof files / sizeof files[0], all.large ? 3200 : 1500) &
              report_files();
    if (!name || strcmp(name, "reading") == 0)
        ok &= sweep_reading();
    if (!name || strcmp(name, "crashed") == 0)
        ok &= sweep_crashed();
    return ok;
}

/* Names a batch as the output does; false if there is none of that name. */
static bool find_batch(const char *name, size_t size, struct batch *out) {
    static const enum simfs_effect effects[] = {SIMFS_FLIP, SIMFS_SHORT, SIMFS_MISDIRECT};
    struct batch all_batches[CORRUPT_KINDS + CRASHED_SHAPES + 3];
    char text[32];
    size_t n = 0;
    for (int k = 0; k < CORRUPT_KINDS; k++)
        all_batches[n++] = sealed_batch((enum corrupt_kind)k);
    for (unsigned i = 0; i < CRASHED_SHAPES; i++)
        all_batches[n++] = (struct batch){.family = FAMILY_CRASHED, .shape = i};
    for (int i = 0; i < 3; i++)
        all_batches[n++] = (struct batch){.family = FAMILY_READING, .effect = effects[i]};
    for (size_t i = 0; i < n; i++) {
        const char *own = gate_of(&all_batches[i], text, sizeof text);
        if (strlen(own) == size && memcmp(own, name, size) == 0) {
            *out = all_batches[i];
            return true;
        }
    }
    return false;
}

/* One mutation in this process: "BIT:17", "short-read:5", "crashed-2:99". */
static int replay(const char *only) {
    static const char *const verdicts[] = {"right", "detected", "harm"};
    const char *colon = strchr(only, ':');
    struct batch b;
    struct corrupt_finding finding;
    struct corrupt_damage damage;
    if (!colon || !find_batch(only, (size_t)(colon - only), &b))
        return 2;
    bool done = try_one(&b, strtoull(colon + 1, NULL, 10), &finding, &damage);
    printf("%s\n%s%s%s\n", damage.text, done ? "" : "changes nothing; ", verdicts[finding.verdict],
           finding.text[0] ? ":" : "");
    printf("%s\n", finding.text);
    return finding.verdict == CORRUPT_HARM;
}

/* --- life ----------------------------------------------------------------------------------- */

static void prepare(void) {
    struct corrupt_shape shape = {.large = all.large, .seed = all.seed};
    struct corrupt_shape another = {.large = all.large, .seed = all.seed + 1};
    lam_set_allocator(&(struct lam_allocator){counting_resize, NULL});
    corrupt_build(&shape, &all.built);
    corrupt_build(&another, &all.other);
    all.target = corrupt_target_new(all.built.now, all.built.old, all.built.sibling, all.other.now);
    all.answers = corrupt_answers_new();
    corrupt_learn(all.built.now, all.answers);
    struct simfs *fs = simfs_clone(all.built.now);
    struct simfs_fault count = {.ops = SIMFS_READ, .code = LAM_IO};
    struct corrupt_how how = {.portion = 1};
    struct corrupt_finding finding;
    simfs_arm(fs, 0, &count);
    corrupt_verify(fs, all.answers, &how, &finding);
    all.reads = simfs_seen(fs, 0);
    simfs_free(fs);
    if (finding.verdict != CORRUPT_RIGHT) {
        fprintf(stderr, "a whole database: %s\n", finding.text);
        abort();
    }
    for (unsigned i = 0; i < CRASHED_SHAPES; i++) {
        corrupt_build_crashed(i, all.seed, &all.crashed[i]);
        all.crashed_targets[i] = corrupt_target_new(all.crashed[i].fs, NULL, NULL, NULL);
    }
}

static void tidy(void) {
    for (unsigned i = 0; i < CRASHED_SHAPES; i++) {
        corrupt_target_free(all.crashed_targets[i]);
        corrupt_crashed_fini(&all.crashed[i]);
    }
    corrupt_target_free(all.target);
    corrupt_answers_free(all.answers);
    corrupt_built_fini(&all.built);
    corrupt_built_fini(&all.other);
}

int main(int argc, char **argv) {
    uint64_t count = 0;
    const char *only = NULL, *sweep_only = NULL;
    all.seed = 1;
    all.jobs = 1;
    all.show = 10;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "0";
        if (strcmp(argv[i], "--long") == 0) {
            all.large = true;
            continue;
        }
        if (strcmp(argv[i], "--count") == 0)
            count = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--seed") == 0)
            all.seed = strtoull(value, NULL, 16);
        else if (strcmp(argv[i], "--jobs") == 0)
            all.jobs = (unsigned)strtoul(value, NULL, 0);
        else if (strcmp(argv[i], "--show") == 0)
            all.show = (unsigned)strtoul(value, NULL, 0);
        else if (strcmp(argv[i], "--sweep") == 0)
            sweep_only = value;
        else if (strcmp(argv[i], "--only") == 0)
            only = value;
        else
            return fprintf(stderr, "corrupt: unknown option %s\n", argv[i]), 2;
        i++;
    }
    all.jobs = all.jobs < 1 ? 1 : all.jobs > JOBS_MAX ? JOBS_MAX : all.jobs;
    slots = mmap(NULL, JOBS_MAX * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                 -1, 0);
    if (slots == MAP_FAILED)
        return 2;
    prepare();
    int status = only ? replay(only) : !sweep(sweep_only, count);
    tidy();
    return status;
}
