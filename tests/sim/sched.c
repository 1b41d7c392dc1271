/* SPDX-License-Identifier: Apache-2.0
 *
 * Who runs next. Each simulated thread is carried by a real one of a pool, which sleeps on its
 * semaphore until the baton comes. A mutex knows its owner, a waiting thread what it waits for; so
 * every queue is a walk over the few threads alive, in the order of their start. */
#include "tests/sim/sched.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/sim/sched_impl.h"

#define STEPS_MAX   50000000u
#define LENGTH      1000u
#define START_NS    1000000000u
#define VICTIMS     6u
#define DEPTH_MAX   64u
#define BIND_RUNS   512u /* of so many runs ... */
#define BIND_FREE   8u   /* ... so many are not bound to a CPU */
#define SPURIOUS    32u  /* one wait in so many wakes without reason */
#define STALLS      16u  /* STALL: one point in so many, or in up to 2^4 times as many, as drawn */
#define STALL_LEAST UINT64_C(16)
#define STALL_BITS  11u    /* for up to 2^14 points */
#define FAIR        20000u /* a runnable thread is passed over for at most so many points */
#define LOW         (UINT64_C(1) << 32) /* priorities from here on were drawn, those below lowered */
#define SETJMP(buf) _setjmp(buf)

static struct sim {
    struct choice *choice;
    struct sched_options options;
    bool running;       /* a run is on; threads outside of it are none of its business */
    uint32_t suspended; /* nested sched_suspend */
    struct sim_thread *threads[SIM_THREADS_MAX]; /* of the run by index; owned */
    uint32_t count;
    struct sim_thread *first; /* runs main_fn, or killed who did: lanes end with it */
    struct sim_thread *live[SIM_THREADS_MAX]; /* not ended, in order of start */
    uint32_t live_count;
    uint64_t now_ns;
    uint64_t points, switches, hash;
    uint64_t stalled_until; /* STALL: the victim does not run before that point if another can */
    uint32_t stalls;        /* STALL: one point in so many */
    uint32_t victim;        /* STARVE, STALL: its index */
    uint64_t changes[DEPTH_MAX]; /* PRIORITIES: points at which the one that runs is lowered */
    uint32_t change_count;
    uint64_t lowest;                  /* PRIORITIES: below all given so far */
    struct sim_real *pool;            /* real threads without work */
    pthread_t reals[SIM_THREADS_MAX]; /* all ever made */
    uint32_t real_count;
    cpu_set_t cpus; /* where the process may run */
    int cpu;        /* which all run on while they are bound */
    bool is_bound;
    uint64_t runs;
    struct sim_real main; /* the caller of sched_run */
    sem_t done;           /* the last thread ended */
    sem_t dead;           /* a killed thread has let go */
} sim;

static _Thread_local struct sim_thread *self;

struct sim_thread *sim_self(void) {
    return self;
}
bool sched_active(void) {
    return self != NULL;
}
bool sim_suspended(void) {
    return sim.suspended > 0;
}
uint64_t sched_points(void) {
    return sim.points;
}
uint64_t sched_switches(void) {
    return sim.switches;
}
uint64_t sched_hash(void) {
    return sim.hash;
}
uint64_t sched_now_ns(void) {
    return sim.now_ns;
}

/* --- failures ------------------------------------------------------------------------------- */

static void print_thread(const struct sim_thread *t) {
    static const char *const names[] = {"can run", "wants", "waits", "joins", "ended"};
    fprintf(stderr, "  thread %" PRIu32 " %s", t->index, names[t->state]);
    if (t->state == SIM_LOCKING) {
        fprintf(stderr, " a mutex of rank %d", sim_rank(t->mutex));
        if (sim_owner(t->mutex))
            fprintf(stderr, " that thread %" PRIu32 " holds", sim_owner(t->mutex) - 1);
    } else if (t->state == SIM_WAITING && !t->cond) {
        fprintf(stderr, " for its time");
    } else if (t->state == SIM_WAITING) {
        fprintf(stderr, " on a condition with a mutex of rank %d", sim_rank(t->mutex));
    } else if (t->state == SIM_JOINING) {
        fprintf(stderr, " thread %" PRIu32, t->join->index);
    }
    const char *sep = "; holds ranks ";
    for (size_t i = 0; t->held && i < t->held->count; i++, sep = ", ")
        fprintf(stderr, "%s%d", sep, sim_rank(t->held->mutexes[i]));
    fprintf(stderr, "%s\n", t == self ? " (here)" : "");
}

void sim_fatal(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fprintf(stderr, "sched: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    for (uint32_t i = 0; i < sim.live_count; i++)
        print_thread(sim.live[i]);
    abort();
}

/* --- the baton ------------------------------------------------------------------------------ */

static void wait_sem(sem_t *sem) {
    while (sem_wait(sem) != 0)
        continue;
}

/* Why a thread jumps out of what it does: another killed it, or it killed all, itself last. */
enum { KILLED = 1, KILLED_LAST = 2 };

/* Sleeps until the baton comes. */
static void park(struct sim_real *r) {
    wait_sem(&r->sem);
    if (r->thread->killed)
        longjmp(r->base, KILLED);
}

static void give(struct sim_thread *to) {
    sim.switches++;
    sem_post(&to->real->sem);
}

static void put_real(struct sim_real *r) {
    r->next = sim.pool;
    sim.pool = r;
}

/* A killed thread has given back what it had. */
static void let_go(int how) {
    self = NULL;
    sem_post(how == KILLED ? &sim.dead : &sim.done);
}

static void end_thread(void);

static void *work(void *arg) {
    struct sim_real *r = arg;
    for (;;) {
        int how = SETJMP(r->base);
        if (how == 0) {
            park(r);
            self = r->thread;
            self->held = sim_held();
            self->fn(self->arg);
            end_thread();
        } else {
            *sim_held() = (struct sim_held){0};
            put_real(r);
            let_go(how);
        }
    }
    return NULL;
}

/* A forked child has none of the threads. */
static void forget_pool(void) {
    sim.pool = NULL;
    sim.real_count = 0;
}

/* The baton passes several times faster between threads of one CPU. Which one that is the kernel
 * chooses anew now and then, by a few runs that are not bound to any, lest two programs share one
 * for good. It costs only time when this can't be done. */
static void bind_to(pthread_t thread, bool bound) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)sim.cpu, &one);
    pthread_setaffinity_np(thread, sizeof one, bound ? &one : &sim.cpus);
}

static void bind_all(void) {
    uint64_t run = sim.runs++ % BIND_RUNS;
    if (run == 0)
        pthread_getaffinity_np(pthread_self(), sizeof sim.cpus, &sim.cpus);
    if (run == BIND_FREE) {
        int cpu = sched_getcpu();
        sim.cpu = cpu < 0 ? 0 : cpu;
    }
    for (uint32_t i = 0; (run == 0 || run == BIND_FREE) && i < sim.real_count; i++)
        bind_to(sim.reals[i], run != 0);
    sim.is_bound = run >= BIND_FREE;
    if (sim.is_bound)
        bind_to(pthread_self(), true);
}

/* The caller's own affairs are not bound, nor the threads that he makes. */
static void unbind(void) {
    if (sim.is_bound)
        bind_to(pthread_self(), false);
}

static struct sim_real *real_new(void) {
    struct sim_real *r = calloc(1, sizeof *r);
    LAM_ASSERT(r && sem_init(&r->sem, 0, 0) == 0);
    /* As the product's threads, but for what a fault of their own raises. */
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&all, own[i]);
    pthread_t thread;
    int rc = pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = rc ? rc : pthread_create(&thread, NULL, work, r);
    rc = rc ? rc : pthread_detach(thread);
    rc = rc ? rc : pthread_sigmask(SIG_SETMASK, &before, NULL);
    LAM_ASSERT(rc == 0);
    LAM_ASSERT(sim.real_count < SIM_THREADS_MAX);
    sim.reals[sim.real_count++] = thread;
    return r;
}

static struct sim_real *real_get(void) {
    struct sim_real *r = sim.pool;
    if (!r)
        return real_new();
    sim.pool = r->next;
    return r;
}

/* --- policies ------------------------------------------------------------------------------- */

static void lower(struct sim_thread *t) {
    t->priority = --sim.lowest;
}

static void draw_policy(void) {
    const struct sched_options *o = &sim.options;
    sim.lowest = LOW;
    sim.change_count = 0;
    if (o->policy == SCHED_STARVE)
        sim.victim = choose(sim.choice, VICTIMS);
    if (o->policy == SCHED_STALL)
        sim.stalls = STALLS << choose(sim.choice, 5);
    sim.stalled_until = 0;
    if (o->policy != SCHED_PRIORITIES)
        return;
    LAM_ASSERT(o->depth <= DEPTH_MAX);
    for (uint32_t i = 0; i < o->depth; i++)
        sim.changes[sim.change_count++] = 1 + choose(sim.choice, o->length ? o->length : LENGTH);
}

static void draw_priority(struct sim_thread *t) {
    if (sim.options.policy == SCHED_PRIORITIES)
        t->priority = LOW + choose(sim.choice, 1u << 20);
}

/* A change point hits the thread that runs. */
static void change_priority(void) {
    for (uint32_t i = 0; i < sim.change_count; i++)
        if (sim.changes[i] == sim.points)
            lower(self);
}

static struct sim_thread *highest(struct sim_thread **ready, uint32_t count) {
    struct sim_thread *best = ready[0];
    for (uint32_t i = 1; i < count; i++)
        if (ready[i]->priority > best->priority ||
            (ready[i]->priority == best->priority && ready[i]->index < best->index))
            best = ready[i];
    return best;
}

static struct sim_thread *next_in_turn(struct sim_thread **ready, uint32_t count) {
    struct sim_thread *first = ready[0], *after = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (ready[i]->index < first->index)
            first = ready[i];
        if (ready[i]->index > self->index && (!after || ready[i]->index < after->index))
            after = ready[i];
    }
    return after ? after : first;
}

/* Leaves a thread out if there is another. */
static uint32_t without(uint32_t index, struct sim_thread **ready, uint32_t count) {
    for (uint32_t i = 0; i < count && count > 1; i++)
        if (ready[i]->index == index) {
            memmove(&ready[i], &ready[i + 1], (count - i - 1) * sizeof *ready);
            return count - 1;
        }
    return count;
}

/* Before a lock or a call: after an unlock is the same as before what comes next. */
static bool stalls(enum sim_kind kind) {
    return (kind == POINT_LOCK || kind == POINT_ENV) && choose_one_in(sim.choice, sim.stalls);
}

static void stall(const struct sim_thread *t) {
    sim.victim = t->index;
    sim.stalled_until = sim.points + (STALL_LEAST << choose(sim.choice, STALL_BITS));
}

/* One of the runnable threads; the first is the present one if that is among them. */
static struct sim_thread *pick(struct sim_thread **ready, uint32_t count, enum sim_kind kind) {
    if (count == 1)
        return ready[0];
    for (uint32_t i = 0; i < count; i++)
        if (sim.points - ready[i]->ran > FAIR)
            return ready[i];
    bool leave = kind == POINT_YIELD && ready[0] == self;
    switch (sim.options.policy) {
    case SCHED_RUN_TO_BLOCK:
        if (leave)
            return ready[1 + choose(sim.choice, count - 1)];
        if (ready[0] == self)
            return self;
        break;
    case SCHED_PRIORITIES:
        if (leave)
            lower(self);
        return highest(ready, count);
    case SCHED_ROUND_ROBIN:
        return next_in_turn(ready, count);
    case SCHED_STARVE:
        count = without(sim.victim, ready, count);
        break;
    case SCHED_STALL:
        if (sim.points >= sim.stalled_until && ready[0] == self && stalls(kind))
            stall(self);
        if (sim.points < sim.stalled_until)
            count = without(sim.victim, ready, count);
        if (count == 1)
            return ready[0];
        /* fall through */
        __attribute__((fallthrough));
    case SCHED_RANDOM:
        if (ready[0] == self && !leave && sim.options.one_in > 1 &&
            !choose_one_in(sim.choice, sim.options.one_in))
            return self;
        break;
    case SCHED_POLICIES:
        break;
    }
    return ready[choose(sim.choice, count)];
}

static uint32_t collect(struct sim_thread **ready) {
    uint32_t n = 0;
    if (self->state == SIM_READY)
        ready[n++] = self;
    for (uint32_t i = 0; i < sim.live_count; i++)
        if (sim.live[i]->state == SIM_READY && sim.live[i] != self)
            ready[n++] = sim.live[i];
    return n;
}

/* All threads wait: time goes on to the first timeout. */
static bool advance_clock(void) {
    uint64_t first = SIM_NEVER;
    for (uint32_t i = 0; i < sim.live_count; i++)
        if (sim.live[i]->state == SIM_WAITING && sim.live[i]->deadline_ns < first)
            first = sim.live[i]->deadline_ns;
    if (first == SIM_NEVER)
        return false;
    sim.now_ns = first > sim.now_ns ? first : sim.now_ns;
    for (uint32_t i = 0; i < sim.live_count; i++) {
        struct sim_thread *t = sim.live[i];
        if (t->state == SIM_WAITING && t->deadline_ns <= sim.now_ns) {
            t->state = SIM_READY;
            t->timed_out = true;
        }
    }
    return true;
}

static struct sim_thread *next_thread(enum sim_kind kind) {
    if (sim.points++ >= sim.options.steps_max)
        sim_fatal("livelock: more than %" PRIu64 " switching points", sim.options.steps_max);
    change_priority();
    struct sim_thread *ready[SIM_THREADS_MAX];
    uint32_t n = collect(ready);
    if (n == 0 && advance_clock())
        n = collect(ready);
    if (n == 0)
        sim_fatal("deadlock: no thread can run");
    struct sim_thread *next = pick(ready, n, kind);
    next->ran = sim.points;
    sim.hash = (sim.hash ^ (next->index + 1) ^ (uint64_t)kind << 16) * 0x9e3779b97f4a7c15u;
    sim.hash ^= sim.hash >> 29;
    return next;
}

static void pass_baton(enum sim_kind kind) {
    struct sim_thread *next = next_thread(kind), *me = self;
    if (next == me)
        return;
    give(next);
    park(me->real);
}

void sim_point(enum sim_kind kind) {
    if (sim.suspended == 0)
        pass_baton(kind);
}

void sched_point(void) {
    if (self)
        sim_point(POINT_ENV);
}

/* --- mutexes and conditions ----------------------------------------------------------------- */

static void acquire(struct sim_thread *me, struct mutex *m) {
    while (sim_owner(m) != 0) {
        if (sim_owner(m) == me->index + 1)
            sim_fatal("thread %" PRIu32 " locks a mutex of rank %d that it holds", me->index,
                      sim_rank(m));
        if (sim.suspended)
            sim_fatal("thread %" PRIu32 " wants a mutex of rank %d that thread %" PRIu32
                      " holds, while scheduling is suspended",
                      me->index, sim_rank(m), sim_owner(m) - 1);
        me->state = SIM_LOCKING;
        me->mutex = m;
        pass_baton(POINT_LOCK);
    }
    sim_set_owner(m, me->index + 1);
}

static void release(struct sim_thread *me, struct mutex *m) {
    if (sim_owner(m) != me->index + 1)
        sim_fatal("thread %" PRIu32 " unlocks a mutex of rank %d that is not its own", me->index,
                  sim_rank(m));
    sim_set_owner(m, 0);
    for (uint32_t i = 0; i < sim.live_count; i++)
        if (sim.live[i]->state == SIM_LOCKING && sim.live[i]->mutex == m)
            sim.live[i]->state = SIM_READY;
}

void sim_lock(struct mutex *m) {
    sim_point(POINT_LOCK);
    acquire(self, m);
}

void sim_unlock(struct mutex *m) {
    release(self, m);
    sim_point(POINT_UNLOCK);
}

bool sim_wait(struct cond *c, struct mutex *m, uint64_t deadline_ns) {
    struct sim_thread *me = self;
    if (sim.suspended) {
        if (deadline_ns == SIM_NEVER)
            sim_fatal("thread %" PRIu32 " waits with a mutex of rank %d, while scheduling is "
                      "suspended",
                      me->index, sim_rank(m));
        return false;
    }
    me->timed_out = false;
    release(me, m);
    if (!choose_one_in(sim.choice, SPURIOUS)) {
        me->state = SIM_WAITING;
        me->cond = c;
        me->mutex = m;
        me->deadline_ns = deadline_ns;
    }
    pass_baton(POINT_WAIT);
    acquire(me, m);
    return !me->timed_out;
}

void sched_sleep_us(uint64_t us) {
    if (!self || sim.suspended)
        return;
    self->state = SIM_WAITING;
    self->cond = NULL;
    self->mutex = NULL;
    self->deadline_ns = sim.now_ns + us * 1000;
    pass_baton(POINT_WAIT);
}

bool sim_is_awaited(const struct cond *c) {
    for (uint32_t i = 0; i < sim.live_count; i++)
        if (sim.live[i]->state == SIM_WAITING && sim.live[i]->cond == c)
            return true;
    return false;
}

void sim_signal(struct cond *c, bool all) {
    struct sim_thread *waiters[SIM_THREADS_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < sim.live_count; i++)
        if (sim.live[i]->state == SIM_WAITING && sim.live[i]->cond == c)
            waiters[n++] = sim.live[i];
    if (n > 0 && !all) {
        waiters[0] = waiters[n > 1 ? choose(sim.choice, n) : 0];
        n = 1;
    }
    for (uint32_t i = 0; i < n; i++)
        waiters[i]->state = SIM_READY;
    sim_point(POINT_SIGNAL);
}

/* --- threads -------------------------------------------------------------------------------- */

static struct sim_thread *add_thread(struct sim_real *real) {
    if (sim.count == SIM_THREADS_MAX)
        sim_fatal("more than %d threads in one run", SIM_THREADS_MAX);
    struct sim_thread *t = calloc(1, sizeof *t);
    LAM_ASSERT(t);
    *t = (struct sim_thread){.index = sim.count, .real = real, .ran = sim.points};
    real->thread = t;
    sim.threads[sim.count++] = t;
    sim.live[sim.live_count++] = t;
    draw_priority(t);
    return t;
}

struct sim_thread *sim_start(void (*fn)(void *arg), void *arg) {
    if (sim.options.no_threads || sim.suspended)
        return NULL;
    struct sim_thread *t = add_thread(real_get());
    t->fn = fn;
    t->arg = arg;
    sim_point(POINT_START);
    return t;
}

void sim_join(uint32_t index) {
    LAM_ASSERT(index < sim.count && sim.threads[index] != self);
    struct sim_thread *t = sim.threads[index];
    if (sim.suspended && t->state != SIM_ENDED)
        sim_fatal("thread %" PRIu32 " joins another while scheduling is suspended", self->index);
    sim_point(POINT_JOIN);
    if (t->state == SIM_ENDED)
        return;
    self->state = SIM_JOINING;
    self->join = t;
    pass_baton(POINT_JOIN);
    LAM_ASSERT(t->state == SIM_ENDED);
}

static void remove_live(struct sim_thread *t) {
    uint32_t i = 0;
    while (sim.live[i] != t)
        i++;
    sim.live_count--;
    memmove(&sim.live[i], &sim.live[i + 1], (sim.live_count - i) * sizeof sim.live[0]);
}

/* The calling thread is through: it joins the pool before it lets the baton go, since nothing is
 * its own after that. */
static void end_thread(void) {
    struct sim_thread *me = self;
    if (sim_held()->count > sim_held()->base || sim.suspended)
        sim_fatal("thread %" PRIu32 " ends with a mutex held or scheduling suspended", me->index);
    if (me == sim.first)
        sim_exec_end();
    me->state = SIM_ENDED;
    me->held = NULL;
    remove_live(me);
    for (uint32_t i = 0; i < sim.live_count; i++)
        if (sim.live[i]->state == SIM_JOINING && sim.live[i]->join == me)
            sim.live[i]->state = SIM_READY;
    struct sim_thread *next = sim.live_count ? next_thread(POINT_END) : NULL;
    if (me->real != &sim.main)
        put_real(me->real);
    self = NULL;
    if (next)
        give(next);
    else
        sem_post(&sim.done);
}

/* --- runs ----------------------------------------------------------------------------------- */

static void init_once(void) {
    LAM_ASSERT(sem_init(&sim.main.sem, 0, 0) == 0 && sem_init(&sim.done, 0, 0) == 0 &&
               sem_init(&sim.dead, 0, 0) == 0);
    LAM_ASSERT(pthread_atfork(NULL, NULL, forget_pool) == 0);
}

static void begin(struct choice *choice, const struct sched_options *options) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    LAM_ASSERT(pthread_once(&once, init_once) == 0);
    LAM_ASSERT(!sim.running && !self && sim_held()->count == sim_held()->base);
    sim.running = true;
    sim.choice = choice;
    sim.options = options ? *options : (struct sched_options){0};
    if (sim.options.steps_max == 0)
        sim.options.steps_max = STEPS_MAX;
    sim.suspended = 0;
    sim.count = sim.live_count = 0;
    sim.now_ns = START_NS;
    sim.points = sim.switches = sim.hash = 0;
    draw_policy();
    self = sim.first = add_thread(&sim.main);
    self->held = sim_held();
    sim_exec_begin();
}

void sched_run(struct choice *choice, const struct sched_options *options, void (*main_fn)(void *),
               void *arg) {
    bind_all();
    begin(choice, options);
    /* Taken before by the caller, who runs this amid another database's work. */
    struct sim_held *h = sim_held();
    const size_t count = h->count, base = h->base, depth = h->depth;
    int how = SETJMP(sim.main.base);
    if (how == 0) {
        main_fn(arg);
        end_thread();
    } else {
        h = sim_held();
        h->count = count;
        h->base = base;
        h->depth = depth;
        let_go(how);
    }
    wait_sem(&sim.done);
    for (uint32_t i = 0; i < sim.count; i++)
        free(sim.threads[i]);
    sim.running = false;
    unbind();
}

void sched_suspend(void) {
    struct sim_held *h = sim_held();
    LAM_ASSERT(h->depth < BASES_MAX);
    h->bases[h->depth++] = h->base;
    h->base = h->count;
    if (self && sim.suspended++ == 0)
        sim_exec_suspend();
}

void sched_resume(void) {
    struct sim_held *h = sim_held();
    LAM_ASSERT(h->depth > 0 && h->count == h->base);
    h->base = h->bases[--h->depth];
    if (self && --sim.suspended == 0)
        sim_exec_resume();
}

void sched_kill_others(void) {
    LAM_ASSERT(self && sim.suspended == 0);
    struct sim_thread *me = self;
    for (uint32_t i = 0; i < sim.live_count; i++) {
        struct sim_thread *t = sim.live[i];
        if (t == me)
            continue;
        t->killed = true;
        t->state = SIM_ENDED;
        t->held = NULL;
        sem_post(&t->real->sem);
        wait_sem(&sim.dead);
    }
    sim.live[0] = sim.first = me;
    sim.live_count = 1;
    sim_exec_kill();
}

void sched_kill_all(void) {
    sched_kill_others();
    self->state = SIM_ENDED;
    self->held = NULL;
    sim.live_count = 0;
    longjmp(self->real->base, KILLED_LAST);
}
