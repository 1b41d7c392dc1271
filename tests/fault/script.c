/* SPDX-License-Identifier: Apache-2.0
 *
 * What both parts share: opening, closing, counting what leaks. */
#include "tests/fault/script.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fault/heap.h"
#include "tests/fault/script_impl.h"

static const struct script_part_ops *ops_of(enum script_part part) {
    return part == SCRIPT_ENGINE ? &script_engine : &script_sql;
}

void script_init(struct script *s, enum script_part part, lam_env *env) {
    memset(s, 0, sizeof *s);
    s->part = part;
    s->env = env;
    s->dir = SCRIPT_DIR;
}

unsigned script_steps(enum script_part part) {
    return ops_of(part)->steps;
}
const char *script_step_name(enum script_part part, unsigned step) {
    return ops_of(part)->name(step);
}
bool script_step_syncs(enum script_part part, unsigned step) {
    return ops_of(part)->flags(step) & STEP_SYNCS;
}
bool script_step_slow(enum script_part part, unsigned step) {
    return ops_of(part)->flags(step) & STEP_SLOW;
}
bool script_step_marked(enum script_part part, unsigned step) {
    return ops_of(part)->flags(step) & STEP_MARKED;
}

static void note_leaks(struct script *s) {
    uint64_t live = heap_live();
    if (live != s->live_before) {
        s->leaked += live - s->live_before;
        printf("blocks left over:\n");
        heap_print_since(s->serial_before);
        fflush(stdout);
    }
    s->live_before = live;
}

static void note_stats(struct script *s) {
    struct lam_stats stats;
    lam_db_stats(s->db, &stats);
    s->done.dumps += stats.dumps;
    s->done.compactions += stats.compactions;
    s->done.trivial_moves += stats.trivial_moves;
    s->done.wal_syncs += stats.wal_syncs;
    s->done.torn_tails += stats.recovered_torn_tail;
    s->done.replayed += stats.recovered_operations;
}

enum lam_code script_open(struct script *s) {
    if (s->db)
        return LAM_OK;
    struct lam_options o = {
        .env = s->env,
        .memory_budget = 4u << 20,
        .block_bytes = 512,
        .open_files = 16,
        .manual_background = !s->background,
        .read_only = s->read_only,
    };
    s->live_before = heap_live();
    s->serial_before = heap_serial();
    enum lam_code rc = lam_db_open(s->dir, &o, &s->db, &s->err);
    if (rc != LAM_OK) {
        s->db = NULL;
        note_leaks(s);
        return rc;
    }
    rc = ops_of(s->part)->opened(s);
    if (rc != LAM_OK) {
        struct lam_error cause = s->err;
        (void)script_close(s);
        s->err = cause;
    }
    return rc;
}

enum lam_code script_close(struct script *s) {
    if (!s->db)
        return LAM_OK;
    ops_of(s->part)->closing(s);
    note_stats(s);
    enum lam_code rc = lam_db_close(s->db, &s->err);
    if (rc == LAM_BUSY) {
        fprintf(stderr, "script: %s\n", s->err.message);
        abort();
    }
    s->db = NULL;
    note_leaks(s);
    return rc;
}

void script_abandon(struct script *s) {
    if (s->db)
        note_stats(s);
    ops_of(s->part)->forget(s);
    s->db = NULL;
}

void script_fini(struct script *s) {
    free(s->held);
    s->held = NULL;
}

enum lam_code script_reopen(struct script *s) {
    enum lam_code rc = script_close(s);
    return rc == LAM_OK ? script_open(s) : rc;
}

enum lam_code script_die(struct script *s, bool power) {
    if (!s->hooks.crash)
        return script_reopen(s);
    script_abandon(s);
    s->hooks.crash(s->hooks.arg, power);
    return script_open(s);
}

enum lam_code script_step(struct script *s, unsigned step) {
    enum lam_code rc = script_open(s);
    return rc == LAM_OK ? ops_of(s->part)->run(s, step) : rc;
}

char *script_dump(struct script *s) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        abort();
    enum lam_code rc = ops_of(s->part)->dump(s, out);
    fclose(out);
    if (rc == LAM_OK)
        return text;
    free(text);
    return NULL;
}

enum lam_code script_probe(struct script *s) {
    s->probe_tried++;
    enum lam_code rc = ops_of(s->part)->probe(s, s->probe_tried);
    if (rc == LAM_OK)
        s->probe = s->probe_tried;
    return rc;
}

enum lam_code script_probe_read(struct script *s, uint64_t *value_out) {
    return ops_of(s->part)->probe_read(s, value_out);
}

enum lam_code script_upkeep(struct script *s) {
    return ops_of(s->part)->upkeep(s);
}

static void print_finding(void *arg, const char *file, uint64_t offset, const char *problem) {
    (void)arg;
    printf("lam_check_full: %s: offset %llu: %s\n", file, (unsigned long long)offset, problem);
}

bool script_check_files(struct script *s) {
    struct lam_check_options options = {.env = s->env, .finding = print_finding};
    enum lam_code rc = lam_check_full(s->dir, &options, &s->err);
    if (rc == LAM_OK)
        rc = script_open(s);
    if (rc != LAM_OK) {
        printf("check: %s: %s\n", lam_code_name(rc), s->err.message);
        return false;
    }
    bool tidy = ops_of(s->part)->files(s);
    rc = script_close(s);
    if (rc != LAM_OK)
        printf("close after the check: %s: %s\n", lam_code_name(rc), s->err.message);
    return tidy && rc == LAM_OK;
}
