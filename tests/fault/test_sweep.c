/* SPDX-License-Identifier: Apache-2.0
 *
 * The sweeps' own machinery: that it counts, that it fails the call it was told to fail, and that
 * it notices a commit that is lost, memory that leaks and an error that the failure does not
 * explain. Where a sweep must turn red, the workload or what is expected of it is spoilt on
 * purpose. */
#include "base/env.h"
#include "base/mem.h"
#include "tests/fault/heap.h"
#include "tests/fault/sweep.h"
#include "tests/support/test.h"

#define BATCH 6 /* step of the engine's workload: "synced batch" */

static struct lam_error err;
static struct sweep_plan plan;
static struct sweep sweep;

/* What is done before a step; set by each test. */
static void (*at_step)(struct sweep *s);
static unsigned wanted;
static bool visited;

static void visit(void *arg, struct sweep *s, unsigned step) {
    (void)arg;
    if (step != wanted)
        return;
    visited = true;
    at_step(s);
}

/* The engine's workload up to its end, with `fn` before one step. */
static void visit_step(unsigned step, void (*fn)(struct sweep *s)) {
    wanted = step;
    at_step = fn;
    sweep = (struct sweep){.options.only = UINT64_MAX, .program = "test"};
    sweep_run(&sweep, &plan, visit, NULL);
    ck_assert(visited);
}

static void prepare(void) {
    heap_install(0xA5);
    sites_init();
    sweep_plan_make(&plan, SCRIPT_ENGINE, 1);
}

static unsigned kind_of(enum simfs_op op) {
    return (unsigned)__builtin_ctz(op);
}

static struct sweep_case failing(enum simfs_op op, uint64_t nth) {
    return (struct sweep_case){
        .step = wanted,
        .fault = {.ops = op, .nth = nth, .effect = SIMFS_FAIL, .code = LAM_IO},
        .tail = 1,
        .care = SWEEP_PLAINLY,
    };
}

START_TEST(watch_counts_calls_by_kind_and_fails_the_one_asked_for) {
    struct sweep_world w;
    lam_file *f;
    heap_install(0xA5);
    sweep_world_init(&w, SCRIPT_ENGINE, 1);
    lam_env *env = &w.watch.base;
    ck_ok(env_file_open(env, "/f", LAM_OPEN_WRITE | LAM_OPEN_CREATE, &f, &err), &err);
    watch_arm(&w.watch, &(struct simfs_fault){
                            .ops = SIMFS_WRITE, .nth = 2, .effect = SIMFS_FAIL, .code = LAM_IO});
    ck_ok(env_file_write(f, 0, "a", 1, &err), &err);
    ck_assert_uint_eq(watch_fired(&w.watch), 0);
    ck_code(env_file_write(f, 1, "b", 1, &err), LAM_IO);
    ck_assert_uint_eq(watch_fired(&w.watch), 1);
    ck_ok(env_file_write(f, 1, "c", 1, &err), &err);
    ck_ok(env_file_sync(f, &err), &err);
    ck_assert_uint_eq(watch_fired(&w.watch), 1);
    ck_assert_uint_eq(w.watch.counts[kind_of(SIMFS_WRITE)], 3);
    ck_assert_uint_eq(w.watch.counts[kind_of(SIMFS_SYNC)], 1);
    ck_assert_uint_eq(w.watch.counts[kind_of(SIMFS_CREATE)], 1);
    watch_arm(&w.watch, &(struct simfs_fault){
                            .ops = SIMFS_SYNC, .nth = 1, .sticky = true, .code = LAM_NO_SPACE});
    ck_code(env_file_sync(f, &err), LAM_NO_SPACE);
    ck_code(env_file_sync(f, &err), LAM_NO_SPACE);
    watch_disarm(&w.watch);
    ck_ok(env_file_sync(f, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    sweep_world_fini(&w);
}
END_TEST

START_TEST(heap_counts_allocations_and_fails_those_asked_for) {
    heap_install(0xA5);
    uint64_t live = heap_live();
    uint8_t *blocks[5];
    heap_arm(2, 2);
    for (int i = 0; i < 5; i++)
        blocks[i] = mem_alloc(8);
    ck_assert_ptr_nonnull(blocks[0]);
    ck_assert_ptr_null(blocks[1]);
    ck_assert_ptr_null(blocks[2]);
    ck_assert_ptr_nonnull(blocks[3]);
    ck_assert_uint_eq(blocks[3][7], 0xA5);
    ck_assert_uint_eq(heap_seen(), 5);
    ck_assert_uint_eq(heap_failed(), 2);
    ck_assert_uint_eq(heap_live(), live + 3);
    heap_arm(1, UINT64_MAX);
    ck_assert_ptr_null(mem_alloc(1));
    ck_assert_ptr_null(mem_alloc(1));
    heap_arm(0, 0);
    for (int i = 0; i < 5; i++)
        mem_free(blocks[i]);
    ck_assert_uint_eq(heap_live(), live);
}
END_TEST

static void note(bool fails) {
    sites_note(SITES_HEAP, 0, fails);
}
/* Counting keeps their frames on the stack. */
static volatile unsigned made;
static __attribute__((noinline)) void *one_site(void) {
    void *block = mem_alloc(1);
    made++;
    return block;
}
static __attribute__((noinline)) void *other_site(void) {
    void *block = mem_alloc(2);
    made++;
    return block;
}

START_TEST(sites_tell_reached_from_failed) {
    heap_install(0xA5);
    sites_init();
    sites_set_top(__builtin_frame_address(0));
    heap_observe(note);
    sites_record(true);
    for (int i = 0; i < 4; i++) {
        heap_arm(i == 3, 1);
        mem_free(one_site());
        heap_arm(0, 0);
    }
    uint64_t one = sites_count(SITES_HEAP).reached;
    mem_free(other_site());
    sites_record(false);
    ck_assert_uint_eq(one, 1);
    ck_assert_uint_eq(sites_count(SITES_HEAP).reached, 2);
    ck_assert_uint_eq(sites_count(SITES_HEAP).failed, 1);
    heap_observe(NULL);
}
END_TEST

/* --- cases ---------------------------------------------------------------------------------- */

static void fail_each_in_turn(struct sweep *s) {
    const struct sweep_step *p = &plan.step[wanted];
    uint64_t writes = p->counts[kind_of(SIMFS_WRITE)], run = s->run;
    ck_assert_uint_ge(writes, 1);
    for (uint64_t nth = 1; nth <= writes; nth++) {
        struct sweep_case c = failing(SIMFS_WRITE, nth);
        ck_assert(sweep_case(s, &c, false));
    }
    ck_assert_uint_eq(s->run, run + writes);
    struct sweep_case heap = {
        .step = wanted, .what = SWEEP_HEAP, .count = 1, .care = SWEEP_BRIEFLY};
    ck_assert_uint_ge(p->allocations, 3);
    sweep_ladder(s, &heap, p->allocations);
    ck_assert_uint_eq(s->run, run + writes + p->allocations);
    ck_assert_uint_eq(s->failures, 0);
}
START_TEST(every_failure_of_a_sound_step_holds_and_is_counted) {
    prepare();
    visit_step(BATCH, fail_each_in_turn);
}
END_TEST

static void fail_past_the_last(struct sweep *s) {
    const struct sweep_step *p = &plan.step[wanted];
    struct sweep_case c = failing(SIMFS_WRITE, p->counts[kind_of(SIMFS_WRITE)] + 1);
    ck_assert(!sweep_case(s, &c, false));
    struct sweep_case heap = {
        .step = wanted, .what = SWEEP_HEAP, .count = 1, .care = SWEEP_BRIEFLY};
    sweep_ladder(s, &heap, p->allocations + 1);
    ck_assert_uint_eq(s->failures, 2);
}
START_TEST(a_failure_that_is_not_reached_is_noticed) {
    prepare();
    visit_step(BATCH, fail_past_the_last);
}
END_TEST

/* The plan believes in a commit more than there was. */
static void lose_a_commit(struct sweep *s) {
    struct sweep_case c = failing(SIMFS_WRITE, 1);
    ck_assert(sweep_case(s, &c, false));
    char *real = plan.step[wanted - 1].seen, *more;
    ck_assert_int_gt(asprintf(&more, "%salpha key999 7\n", real), 0);
    plan.step[wanted - 1].seen = more;
    ck_assert(!sweep_case(s, &c, false));
    plan.step[wanted - 1].seen = real;
    free(more);
    ck_assert(sweep_case(s, &c, false));
}
START_TEST(a_lost_commit_is_noticed) {
    prepare();
    visit_step(BATCH, lose_a_commit);
}
END_TEST

static void leak(struct sweep *s) {
    struct sweep_case c = failing(SIMFS_WRITE, 1);
    void *block = mem_alloc(40);
    ck_assert(!sweep_case(s, &c, false));
    mem_free(block);
    ck_assert(sweep_case(s, &c, false));
}
START_TEST(a_block_that_is_left_over_is_noticed) {
    prepare();
    visit_step(BATCH, leak);
}
END_TEST

/* The disk has room for all and the write fails for another reason. */
static void give_another_error(struct sweep *s) {
    struct sweep_case c = {
        .step = wanted, .what = SWEEP_QUOTA, .quota = 1u << 30, .care = SWEEP_PLAINLY};
    ck_assert(sweep_case(s, &c, false));
    simfs_arm(
        s->world.fs, 1,
        &(struct simfs_fault){.ops = SIMFS_WRITE, .nth = 1, .effect = SIMFS_FAIL, .code = LAM_IO});
    ck_assert(!sweep_case(s, &c, false));
    simfs_disarm(s->world.fs);
    ck_assert(sweep_case(s, &c, false));
}
START_TEST(an_error_that_the_failure_does_not_explain_is_noticed) {
    prepare();
    visit_step(BATCH, give_another_error);
}
END_TEST

static void crash_it(struct sweep *s) {
    struct sweep_case c = failing(SIMFS_WRITE, 1);
    struct sweep_world *w = &s->world;
    c.tail = SWEEP_STEPS_MAX;
    ck_assert(sweep_case(s, &c, false));
    w->script.hooks.arg = NULL; /* the crash of a later step reads it */
    ck_assert(!sweep_case(s, &c, false));
    w->script.hooks.arg = w;
    ck_assert_uint_eq(s->failures, 1);
}
START_TEST(a_crash_is_one_failed_case) {
    prepare();
    visit_step(BATCH, crash_it);
}
END_TEST

TEST_MAIN("fault/sweep", watch_counts_calls_by_kind_and_fails_the_one_asked_for,
          heap_counts_allocations_and_fails_those_asked_for, sites_tell_reached_from_failed,
          every_failure_of_a_sound_step_holds_and_is_counted,
          a_failure_that_is_not_reached_is_noticed, a_lost_commit_is_noticed,
          a_block_that_is_left_over_is_noticed,
          an_error_that_the_failure_does_not_explain_is_noticed, a_crash_is_one_failed_case)
