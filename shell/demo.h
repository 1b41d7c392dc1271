/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of lamina-demo share. A step that meets a wrong answer or an error says so and
 * ends the program with status 1. */
#ifndef LAMINA_SHELL_DEMO_H
#define LAMINA_SHELL_DEMO_H

#include <stdio.h>

#include "lamina/lamina.h"

#define BUSIEST       8     /* users whose aggregates are printed */
#define ASKED_USERS   200   /* users that read */
#define POINT_READS   50000 /* by key, over those */
#define INSERT_ROWS   64    /* of one INSERT at most */
#define KILL_ROUNDS   3     /* writers killed */
#define WRITER_FLUSH  2000  /* rows after which the writer flushes, too */
#define STEPS_MAX     16
#define QUESTION_SEED 88172645463325252u /* the questions are the same each time */

/* One package; strings live as long as the program. */
struct package {
    const char *name, *version, *section, *architecture, *description;
    const char *user; /* e-mail of the maintainer */
    long long installed_kb;
};

/* The packages of one maintainer: [first, first + count) of the sorted index. */
struct owner {
    const char *user;
    size_t first, count;
};

/* A line of the closing table. */
struct step {
    const char *what;
    char amount[64];
    double seconds;
    double rate; /* per second; 0: none to tell */
};

struct demo {
    char directory[4096];
    bool temporary;
    lam_db *db;
    lam_session *system;
    struct package *packages;
    size_t package_count, package_capacity;
    struct owner *owners; /* busiest first */
    size_t owner_count;
    size_t section_count;
    size_t index_rows; /* what the reads by index gave the first time; 0: not asked yet */
    struct step steps[STEPS_MAX];
    size_t step_count;
    double started, step_started;
    uint64_t random; /* state of the generator */
};
/* --- demo_support.c --- */

double demo_now(void); /* seconds */
_Noreturn void demo_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void demo_must(enum lam_code rc, const struct lam_error *err, const char *what);
void *demo_resize(void *block, size_t size);
/* A NUL-terminated copy that is never freed. */
const char *demo_copy(const char *text, size_t size);
/* Next of the fixed sequence that starts at d->random, which is not 0. */
uint64_t demo_random(struct demo *d);
/* A number with commas, in one of a few static buffers. */
const char *demo_grouped(unsigned long long n);
void demo_begin(struct demo *d, const char *what);
/* Ends the step; `per` is what its rate counts, 0 for none. */
void demo_end(struct demo *d, size_t per, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Shows how far a step is, now and then. */
void demo_progress(size_t done, size_t all, double *shown_at);

lam_session *demo_open_user(struct demo *d, const char *user);
void demo_close_session(lam_session *s);
lam_stmt *demo_prepare(lam_session *s, const char *sql);
/* Steps; whether there is a row. */
bool demo_step(lam_stmt *stmt, const char *what);
void demo_bind_text(lam_stmt *stmt, uint32_t index, const char *text);
void demo_bind_int(lam_stmt *stmt, uint32_t index, long long value);
uint64_t demo_run(lam_session *s, const char *sql);
/* First column of the first row; `text` is bound to $1 unless NULL. */
long long demo_ask_number(lam_session *s, const char *sql, const char *text);
bool demo_same_text(lam_stmt *row, uint32_t column, const char *expected);

/* --- the steps --- */

/* Reads the index from a file, or from apt-cache if it is NULL; sorts it by user and name. */
void demo_load_index(struct demo *d, const char *file);
void demo_open(struct demo *d);
void demo_close(struct demo *d);
void demo_make_tables(struct demo *d);
void demo_load_rows(struct demo *d);
/* Each asked user deletes a tenth of his packages and inserts them again, so that hot rows stand
 * before cold ones and the answers stay what they were. */
void demo_rewrite_some(struct demo *d);
size_t demo_asked_users(const struct demo *d);
void demo_check_totals(struct demo *d, const struct owner *o, bool print);
/* All questions, the same ones each time; `tier` says where the rows are. */
void demo_ask_all(struct demo *d, const char *tier);
void demo_show_isolation(struct demo *d);
/* Kills writers in mid-work; `d` is open before and after. */
void demo_kill_writers(struct demo *d);
/* The writer itself: inserts rows from `first` on and tells of each acknowledged one on stdout,
 * flushing now and then, until it is killed. */
int demo_run_writer(const char *directory, long long first);

#endif
