/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening: after a kill, after a clean close, with many partitions. What is opened is made by a
 * child process, so that nothing of it is in the memory of the one that measures. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"

#define RECOVER_BYTES ((size_t)4 << 30) /* memory with which no engine leaves its log */
#define OPENINGS      5
#define PARTS_LEAST   100
#define PARTS_MAX     10000

static uint64_t parts_of(const struct run *r) {
    uint64_t parts = r->config->n / 100;
    return parts < PARTS_LEAST ? PARTS_LEAST : parts > PARTS_MAX ? PARTS_MAX : parts;
}

static struct engine *open_parts(struct run *r, unsigned parts) {
    struct engine_options options = {
        .dir = r->path, .memory_bytes = r->memory_bytes, .partitions = parts, .room = PARTS_MAX};
    return r->ops->open(&options);
}

static void make_parts(struct run *r) {
    struct meter m;
    unsigned parts = (unsigned)parts_of(r);
    remove_tree(r->path);
    r->engine = open_parts(r, 1);
    struct row row = row_begin("part_create", parts - 1);
    meter_start(&m, r->config->limit_ns, NULL);
    for (unsigned i = 1; i < parts; i++) {
        r->ops->partition_make(r->engine, i);
        if (!meter_tick(&m))
            break;
    }
    row_end(r, &row, &m);
    run_close(r);
    char note[4200];
    snprintf(note, sizeof note, "%s.parts", r->path);
    FILE *f = fopen(note, "w");
    if (!f || fprintf(f, "%llu\n", 1 + (unsigned long long)m.operations) < 0)
        fatal("%s: cannot write", note);
    fclose(f);
}

void child_phase(struct run *r, const char *phase) {
    if (strcmp(phase, "parts") == 0) {
        make_parts(r);
        return;
    }
    bool killed = strcmp(phase, "kill") == 0;
    r->memory_bytes = RECOVER_BYTES;
    run_open(r, true);
    load(r, NULL, r->config->n, true);
    expect(r, "recover", "keys loaded in time", r->loaded, r->config->n);
    if (killed)
        kill(getpid(), SIGKILL);
    run_close(r);
}

static void run_child(struct run *r, const char *phase, bool killed) {
    const struct bench_config *c = r->config;
    char n[32], memory[32], round[32], limit[32];
    snprintf(n, sizeof n, "%llu", (unsigned long long)c->n);
    snprintf(memory, sizeof memory, "%zu", c->memory_bytes >> 20);
    snprintf(round, sizeof round, "%u", c->round);
    snprintf(limit, sizeof limit, "%llu", (unsigned long long)(c->limit_ns / 1000000000u));
    const char *arguments[] = {"-e",
                               c->engine,
                               "-n",
                               n,
                               "-d",
                               c->dir,
                               "-m",
                               memory,
                               "-r",
                               round,
                               "-l",
                               limit,
                               "-w",
                               r->group,
                               "-P",
                               phase,
                               c->csv ? "-o" : NULL,
                               c->csv,
                               NULL};
    int status = run_self(arguments);
    bool was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (killed ? !was_killed : status != 0)
        fatal("%s: the child for %s ended with status %d", r->ops->name, phase, status);
}

static void check_all(struct run *r, const char *name) {
    struct touched t = {0};
    expect(r, name, "entries", scan(r, NULL, SIZE_MAX, false, &t), r->config->n);
    expect(r, name, "sum of tags", t.tags, tag_sum(0, r->config->n, 0));
}

/* The log of a killed process, then what a clean close leaves. */
void group_recover(struct run *r) {
    struct meter m;
    r->memory_bytes = RECOVER_BYTES;
    if (run_wants(r, "recover")) {
        run_child(r, "kill", true);
        struct row row = row_begin("recover", r->config->n);
        run_open(r, false);
        row.user_bytes = r->config->n * (KEY_SIZE + r->value_size);
        row_end_call(r, &row, r->config->n);
        check_all(r, "recover");
        run_close(r);
    } else {
        run_child(r, "close", false);
    }
    if (!run_wants(r, "open"))
        return;
    struct row row = row_begin("open", OPENINGS);
    meter_start(&m, r->config->limit_ns, NULL);
    for (unsigned i = 0; i < OPENINGS; i++) {
        run_open(r, false);
        meter_tick(&m);
        meter_stop(&m);
        if (i == OPENINGS - 1)
            check_all(r, "open");
        run_close(r);
        meter_go_on(&m);
    }
    row_end(r, &row, &m);
}

void group_partitions(struct run *r) {
    char note[4200];
    unsigned parts = 0;
    if (!r->ops->partition_make)
        return;
    run_child(r, "parts", false);
    snprintf(note, sizeof note, "%s.parts", r->path);
    FILE *f = fopen(note, "r");
    if (!f || fscanf(f, "%u", &parts) != 1)
        fatal("%s: cannot read", note);
    fclose(f);
    remove(note);
    uint64_t before = anonymous_rss();
    struct row row = row_begin("part_open", parts);
    r->engine = open_parts(r, parts);
    struct meter m = {.begin = row.begin.wall_ns, .last = now_ns(), .operations = parts};
    settle(r->config->limit_ns);
    uint64_t after = anonymous_rss();
    row.anon_bytes = after > before ? after - before : 1;
    row_end(r, &row, &m);
    run_close(r);
}
