/* SPDX-License-Identifier: Apache-2.0
 *
 * Events and log lines: what is told, in which order, from where, and that callbacks can neither
 * hold up the engine nor write what would be lost. */
#include <stdatomic.h>

#include "base/env.h"
#include "base/thread.h"
#include "lsm/lsm.h"
#include "tests/support/env_fault.h"
#include "tests/support/test.h"

#define S(text) lam_slice_str(text)

static lam_env *mem, *env;
static lam_db *db;
static lam_partition *part;
static struct lam_error err;
static struct lam_options opts;

/* --- what was heard ------------------------------------------------------------------------- */

struct heard {
    struct lam_event e;
    char partition[64];
    char message[256];
};
static struct heard events[4096];
static struct heard_line {
    enum lam_log_level level;
    char text[512];
} lines[64];
static struct mutex mu; /* RANK_LEAF; for the three below */
static struct cond heard_more;
static size_t event_count, line_count;

static void on_event(void *arg, const struct lam_event *e) {
    ck_assert_ptr_eq(arg, &opts);
    mutex_lock(&mu);
    struct heard *h = &events[event_count++];
    h->e = *e;
    if (e->partition)
        snprintf(h->partition, sizeof h->partition, "%s", e->partition);
    snprintf(h->message, sizeof h->message, "%s", e->message);
    cond_broadcast(&heard_more);
    mutex_unlock(&mu);
}

static void on_log(void *arg, enum lam_log_level level, const char *text) {
    ck_assert_ptr_eq(arg, &lines);
    mutex_lock(&mu);
    lines[line_count].level = level;
    snprintf(lines[line_count++].text, sizeof lines[0].text, "%s", text);
    mutex_unlock(&mu);
}

/* Waits for the first event of a kind from `from` on; its place. */
static size_t wait_for(enum lam_event_kind kind, size_t from) {
    mutex_lock(&mu);
    for (;;) {
        for (size_t i = from; i < event_count; i++)
            if (events[i].e.kind == kind) {
                mutex_unlock(&mu);
                return i;
            }
        cond_wait(&heard_more, &mu);
    }
}

static void listen(void) {
    mutex_init(&mu, RANK_LEAF);
    cond_init(&heard_more);
    opts.on_event = on_event;
    opts.event_arg = &opts;
    opts.on_log = on_log;
    opts.log_arg = &lines;
}

static void start(void) {
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    env = env_fault_new(mem);
    opts.env = env;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
}

static void stop(void) {
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    env_fault_free(env);
    lam_env_mem_free(mem);
}

static void put(const char *key, const char *value) {
    ck_ok(lam_put(db, NULL, part, S(key), S(value), &err), &err);
}

/* --- events --------------------------------------------------------------------------------- */

START_TEST(work_is_told_with_its_figures_in_order) {
    listen();
    opts.manual_background = true;
    start();
    put("a", "1");
    put("b", "2");
    ck_assert_uint_eq(event_count, 0);
    ck_ok(lam_db_dump(db, &err), &err);
    struct lam_stats s;
    lam_db_stats(db, &s);
    ck_assert_uint_eq(event_count, 2);
    ck_assert_int_eq(events[0].e.kind, LAM_EVENT_DUMP_BEGIN);
    ck_assert_uint_eq(events[0].e.input_files, 1);
    ck_assert_uint_gt(events[0].e.input_bytes, 0);
    ck_assert_ptr_null(events[0].e.partition);
    ck_assert_int_eq(events[1].e.kind, LAM_EVENT_DUMP_END);
    ck_assert_int_eq(events[1].e.code, LAM_OK);
    ck_assert_uint_eq(events[1].e.output_files, 1);
    ck_assert_uint_eq(events[1].e.output_bytes, s.dump_bytes);
    ck_assert_str_eq(events[1].message, "");
    ck_assert_uint_eq(events[1].e.number, events[0].e.number + 1);
    ck_assert_int_ge(events[1].e.time_us, events[0].e.time_us);
    put("a", "3");
    ck_ok(lam_db_compact(db, part, &err), &err);
    lam_db_stats(db, &s);
    ck_assert_uint_eq(event_count, 6);
    struct lam_event *b = &events[4].e, *e = &events[5].e;
    ck_assert_int_eq(b->kind, LAM_EVENT_COMPACTION_BEGIN);
    ck_assert_int_eq(e->kind, LAM_EVENT_COMPACTION_END);
    ck_assert_str_eq(events[5].partition, "p");
    ck_assert_int_eq(e->job, LAM_COMPACTION_MERGE);
    ck_assert_uint_eq(e->level, 0);
    ck_assert_uint_eq(e->target, 6);
    ck_assert_uint_eq(b->input_files, 2);
    ck_assert_uint_eq(b->output_files, 0);
    ck_assert_uint_eq(b->input_bytes, s.compaction_read_bytes);
    ck_assert_uint_eq(e->output_files, 1);
    ck_assert_uint_eq(e->output_bytes, s.compaction_write_bytes);
    ck_ok(lam_partition_drop(db, part, &err), &err);
    ck_assert_uint_eq(event_count, 7);
    ck_assert_int_eq(events[6].e.kind, LAM_EVENT_PARTITION_DROP);
    ck_assert_str_eq(events[6].partition, "p");
    stop();
}
END_TEST

START_TEST(files_dropped_unread_are_told_as_such) {
    listen();
    opts.manual_background = true;
    start();
    lam_batch *b;
    put("a", "1");
    ck_ok(lam_db_compact(db, part, &err), &err);
    size_t before = event_count;
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_batch_delete_range(b, part, S("a"), S("b"), LAM_SEQUENCE_MAX, &err), &err);
    ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
    lam_batch_free(b);
    ck_ok(lam_db_dump(db, &err), &err);
    size_t i = wait_for(LAM_EVENT_COMPACTION_END, before);
    ck_assert_int_eq(events[i].e.job, LAM_COMPACTION_DROP);
    ck_assert_uint_eq(events[i].e.input_files, 1);
    ck_assert_uint_eq(events[i].e.output_bytes, 0);
    stop();
}
END_TEST

/* An environment that keeps the dumps' task back until it is let go. */
static struct lam_env_ops held_ops;
static const struct lam_env_ops *held_inner;
static _Atomic bool holding;
static lam_task_fn held_fn; /* what is kept back; read after the writer has stalled */
static void *held_arg;

static enum lam_code hold_dump(lam_env *e, enum lam_lane lane, uint64_t delay_us, lam_task_fn fn,
                               void *arg, struct lam_error *error) {
    if (lane != LAM_LANE_DUMP || !atomic_load(&holding))
        return held_inner->submit(e, lane, delay_us, fn, arg, error);
    held_fn = fn;
    held_arg = arg;
    return LAM_OK;
}

static void start_holding(void) {
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    held_inner = mem->ops;
    held_ops = *mem->ops;
    held_ops.submit = hold_dump;
    mem->ops = &held_ops;
    env = mem;
    opts.env = mem;
    opts.memory_budget = 4u << 20;
    atomic_store(&holding, true);
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
}

static void let_go(void) {
    atomic_store(&holding, false);
    if (held_fn)
        ck_ok(held_inner->submit(mem, LAM_LANE_DUMP, 0, held_fn, held_arg, &err), &err);
}

static void stop_holding(void) {
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    mem->ops = held_inner;
    lam_env_mem_free(mem);
}

static _Atomic int filled;

static void fill(void *arg) {
    char key[16], value[4000];
    struct lam_error e;
    memset(value, 'v', sizeof value);
    for (int i = 0; i < (int)(intptr_t)arg; i++) {
        snprintf(key, sizeof key, "k%06d", i);
        ck_ok(lam_put(db, NULL, part, S(key), lam_slice_of(value, sizeof value), &e), &e);
        atomic_fetch_add(&filled, 1);
    }
}

START_TEST(a_stall_is_told_while_it_lasts_and_counted) {
    struct lam_stats s;
    struct thread writer;
    listen();
    start_holding();
    ck_ok(thread_start(&writer, fill, (void *)(intptr_t)700, &err), &err);
    size_t begin = wait_for(LAM_EVENT_STALL_BEGIN, 0);
    /* Three memtables of a sixth of 4 MiB are full, and nothing was dumped. */
    ck_assert_int_eq(events[begin].e.stall, LAM_STALL_MEMTABLES);
    ck_assert_int_lt(atomic_load(&filled), 700);
    ck_assert_int_gt(atomic_load(&filled), 300);
    lam_db_stats(db, &s);
    ck_assert_uint_eq(s.stalls, 1);
    ck_assert_uint_eq(s.dumps, 0);
    let_go();
    size_t end = wait_for(LAM_EVENT_STALL_END, begin);
    thread_join(&writer);
    ck_assert_int_eq(events[end].e.stall, LAM_STALL_MEMTABLES);
    lam_db_stats(db, &s);
    uint64_t begins = 0, told_us = 0;
    ck_ok(lam_db_dump(db, &err), &err);
    stop_holding();
    for (size_t i = 0; i < event_count; i++) {
        if (events[i].e.stall != LAM_STALL_MEMTABLES)
            continue;
        begins += events[i].e.kind == LAM_EVENT_STALL_BEGIN;
        told_us += events[i].e.kind == LAM_EVENT_STALL_END ? events[i].e.duration_us : 0;
    }
    ck_assert_uint_eq(begins, s.stalls);
    ck_assert_uint_gt(told_us, 0);
    ck_assert_uint_le(told_us, s.stall_us); /* which includes the delays of pacing */
}
END_TEST

/* --- failures ------------------------------------------------------------------------------- */

START_TEST(failed_background_work_is_told_counted_and_logged) {
    listen();
    opts.manual_background = true;
    opts.memory_budget = 4u << 20;
    start();
    struct lam_stats s;
    static char value[100000]; /* seven are a memtable, and more than a segment */
    memset(value, 'v', sizeof value);
    env_fault_arm(env, FAULT_NAME, 0, LAM_IO, false);
    uint64_t i = 0;
    for (lam_db_stats(db, &s); s.memtable_bytes < (4u << 20) / 6; lam_db_stats(db, &s), i++)
        ck_ok(lam_put(db, NULL, part, lam_slice_of(&i, sizeof i), lam_slice_of(value, sizeof value),
                      &err),
              &err);
    /* The next one rotates: a log segment is made, then the SST can't be. */
    env_fault_arm(env, FAULT_NAME, 2, LAM_IO, false);
    put("a", "1");
    ck_assert_uint_eq(env_fault_fired(env), 1);
    size_t end = wait_for(LAM_EVENT_DUMP_END, 0);
    ck_assert_int_eq(events[end].e.code, LAM_IO);
    ck_assert_uint_eq(events[end].e.output_files, 0);
    size_t error = wait_for(LAM_EVENT_BACKGROUND_ERROR, 0);
    ck_assert_int_eq(events[error].e.code, LAM_IO);
    ck_assert_str_eq(events[error].message, events[end].message);
    ck_assert_uint_gt(strlen(events[error].message), 10);
    lam_db_stats(db, &s);
    ck_assert_uint_eq(s.background_errors, 1);
    ck_assert_uint_eq(s.dumps, 0);
    ck_assert_uint_eq(line_count, 2);
    ck_assert_int_eq(lines[1].level, LAM_LOG_ERROR);
    ck_contains(lines[1].text, "a dump failed: ");
    ck_ok(lam_db_dump(db, &err), &err);
    stop();
}
END_TEST

START_TEST(the_end_of_writes_is_told_with_its_cause) {
    listen();
    opts.manual_background = true;
    start();
    struct lam_write_options sync = {.durability = LAM_DURABILITY_SYNC};
    env_fault_arm(env, FAULT_SYNC, 1, LAM_IO, false);
    ck_code(lam_put(db, &sync, part, S("a"), S("1"), &err), LAM_UNKNOWN_OUTCOME);
    size_t i = wait_for(LAM_EVENT_WRITES_STOPPED, 0);
    ck_assert_int_eq(events[i].e.code, LAM_IO);
    ck_contains(err.message, events[i].message);
    ck_assert_int_eq(lines[line_count - 1].level, LAM_LOG_ERROR);
    ck_contains(lines[line_count - 1].text, "takes no more writes");
    lam_partition_release(part);
    ck_code(lam_db_close(db, &err), LAM_READ_ONLY);
    ck_contains(lines[line_count - 1].text, "not closed cleanly");
    env_fault_free(env);
    lam_env_mem_free(mem);
}
END_TEST

/* --- log lines ------------------------------------------------------------------------------ */

START_TEST(opening_and_closing_are_logged) {
    listen();
    start();
    put("a", "1");
    ck_assert_uint_eq(line_count, 1);
    ck_assert_int_eq(lines[0].level, LAM_LOG_INFO);
    ck_contains(lines[0].text, "/db is open after ");
    ck_contains(lines[0].text, " 0 operations replayed");
    struct lam_error busy;
    lam_db *second;
    ck_code(lam_db_open("/db", &opts, &second, &busy), LAM_BUSY);
    ck_assert_int_eq(lines[1].level, LAM_LOG_ERROR);
    ck_contains(lines[1].text, busy.message);
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    ck_assert_uint_eq(line_count, 3);
    ck_contains(lines[2].text, "/db is closed");
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_contains(lines[3].text, "1 partitions, 0 SSTs of 0 bytes, 1 operations replayed");
    ck_ok(lam_partition_open(db, "p", &part, &err), &err);
    stop();
}
END_TEST

START_TEST(a_dropped_log_end_is_a_warning) {
    lam_env *image;
    listen();
    start();
    put("a", "1");
    put("b", "2");
    /* Half of the next record is all that a crash leaves. */
    env_fault_arm(env, FAULT_WRITE | FAULT_TORN, 1, LAM_IO, true);
    enum lam_code torn = lam_put(db, NULL, part, S("c"), S("3"), &err);
    ck_assert_int_ne(torn, LAM_OK);
    ck_ok(lam_env_mem_crash(mem, LAM_CRASH_PROCESS, 1, &image, &err), &err);
    lam_partition_release(part);
    ck_assert_int_ne(lam_db_close(db, &err), LAM_OK);
    line_count = 0;
    opts.env = image;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    struct lam_stats s;
    lam_db_stats(db, &s);
    ck_assert(s.recovered_torn_tail);
    ck_assert_uint_eq(line_count, 2);
    ck_assert_int_eq(lines[0].level, LAM_LOG_WARNING);
    ck_contains(lines[0].text, "was dropped");
    ck_assert_int_eq(lines[1].level, LAM_LOG_INFO);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(image);
    env_fault_free(env);
    lam_env_mem_free(mem);
}
END_TEST

/* --- callbacks that do things --------------------------------------------------------------- */

static _Atomic int calls;
static lam_partition *notes;

/* Reads, writes durably, iterates, asks for statistics and dumps, in the middle of a load that
 * stalls. */
static void busy_callback(void *arg, const struct lam_event *e) {
    (void)arg;
    struct lam_error x;
    struct lam_value v = {0};
    struct lam_stats s;
    struct lam_write_options sync = {.durability = LAM_DURABILITY_SYNC};
    lam_iter *it;
    if (!notes)
        return;
    ck_ok(lam_put(db, &sync, notes, lam_slice_of(&e->number, sizeof e->number), S("seen"), &x), &x);
    ck_ok(lam_get(db, NULL, notes, lam_slice_of(&e->number, sizeof e->number), &v, &x), &x);
    lam_value_release(&v);
    ck_ok(lam_iter_new(db, NULL, part, &it, &x), &x);
    lam_iter_seek_first(it);
    lam_iter_free(it);
    lam_db_stats(db, &s);
    ck_code(lam_db_close(db, &x), LAM_BUSY);
    ck_contains(x.message, "callback");
    if (atomic_fetch_add(&calls, 1) < 3) {
        ck_ok(lam_db_dump(db, &x), &x);
        ck_ok(lam_db_compact(db, part, &x), &x);
    }
}

static void load_with_busy_callback(void) {
    opts.on_event = busy_callback;
    opts.memory_budget = 4u << 20;
    start();
    ck_ok(lam_partition_create(db, "notes", NULL, &notes, &err), &err);
    fill((void *)(intptr_t)3000);
    ck_ok(lam_db_dump(db, &err), &err);
    lam_partition *mine = notes;
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    lam_partition_release(mine);
    stop();
    ck_assert_int_gt(atomic_load(&calls), 10);
}

START_TEST(a_callback_may_use_the_database) {
    load_with_busy_callback();
}
END_TEST

START_TEST(a_callback_may_use_the_database_without_background_threads) {
    opts.manual_background = true;
    load_with_busy_callback();
}
END_TEST

static struct cond release;
static bool released; /* under `mu` */

static void slow_callback(void *arg, const struct lam_event *e) {
    mutex_lock(&mu);
    while (!released)
        cond_wait(&release, &mu);
    mutex_unlock(&mu);
    on_event(arg, e);
}

START_TEST(a_slow_callback_holds_nothing_up_and_what_it_misses_is_counted) {
    listen();
    cond_init(&release);
    opts.on_event = slow_callback;
    opts.on_log = NULL;
    start();
    struct lam_stats s;
    for (int i = 0; i < 200; i++) {
        put("a", "1");
        ck_ok(lam_db_dump(db, &err), &err);
    }
    lam_db_stats(db, &s);
    ck_assert_uint_eq(s.dumps, 200);
    ck_assert_uint_gt(s.events_lost, 200);
    mutex_lock(&mu);
    released = true;
    cond_broadcast(&release);
    mutex_unlock(&mu);
    stop();
    /* One was in the callback's hands, a queue full waited. */
    ck_assert_uint_ge(event_count, LAM_EVENT_QUEUE);
    for (size_t i = 1; i <= LAM_EVENT_QUEUE - 1; i++)
        ck_assert_uint_eq(events[i].e.number, i + 1);
}
END_TEST

static enum lam_code late_put, late_get;

static void write_when_closed(void *arg, enum lam_log_level level, const char *text) {
    (void)arg, (void)level;
    struct lam_value v = {0};
    struct lam_error x;
    if (!strstr(text, "is closed"))
        return;
    late_put = lam_put(db, NULL, part, S("late"), S("1"), &x);
    late_get = lam_get(db, NULL, part, S("a"), &v, &x);
    lam_value_release(&v);
    lam_partition_release(part);
}

START_TEST(a_callback_at_the_end_of_close_reads_but_cannot_write) {
    struct lam_value v = {0};
    opts.on_log = write_when_closed;
    start();
    put("a", "1");
    ck_ok(lam_db_close(db, &err), &err);
    ck_assert_int_eq(late_put, LAM_READ_ONLY);
    ck_assert_int_eq(late_get, LAM_OK);
    opts.on_log = NULL;
    ck_ok(lam_db_open("/db", &opts, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &part, &err), &err);
    ck_ok(lam_get(db, NULL, part, S("a"), &v, &err), &err);
    ck_code(lam_get(db, NULL, part, S("late"), &v, &err), LAM_NOT_FOUND);
    lam_value_release(&v);
    stop();
}
END_TEST

TEST_MAIN("lsm/events", work_is_told_with_its_figures_in_order,
          files_dropped_unread_are_told_as_such, a_stall_is_told_while_it_lasts_and_counted,
          failed_background_work_is_told_counted_and_logged,
          the_end_of_writes_is_told_with_its_cause, opening_and_closing_are_logged,
          a_dropped_log_end_is_a_warning, a_callback_may_use_the_database,
          a_callback_may_use_the_database_without_background_threads,
          a_slow_callback_holds_nothing_up_and_what_it_misses_is_counted,
          a_callback_at_the_end_of_close_reads_but_cannot_write)
