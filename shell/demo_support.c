/* SPDX-License-Identifier: Apache-2.0
 *
 * What every step of the demo needs: time, memory, steps and their table, SQL that must succeed. */
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "shell/demo.h"

double demo_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

_Noreturn void demo_die(const char *format, ...) {
    va_list args;
    fflush(stdout);
    fputs("lamina-demo: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

void demo_must(enum lam_code rc, const struct lam_error *err, const char *what) {
    if (rc != LAM_OK)
        demo_die("%s: %s%s%s", what, err->message, err->hint[0] ? "\nHINT: " : "", err->hint);
}

void *demo_resize(void *block, size_t size) {
    void *grown = realloc(block, size);
    if (!grown)
        demo_die("out of memory (%zu bytes wanted)", size);
    return grown;
}

const char *demo_copy(const char *text, size_t size) {
    char *copy = demo_resize(NULL, size + 1);
    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

uint64_t demo_random(struct demo *d) {
    d->random ^= d->random << 13;
    d->random ^= d->random >> 7;
    d->random ^= d->random << 17;
    return d->random;
}

/* A number with commas, in one of a few static buffers. */
const char *demo_grouped(unsigned long long n) {
    static char buffers[8][32];
    static unsigned turn;
    char digits[32], *out = buffers[turn++ % 8];
    int count = snprintf(digits, sizeof digits, "%llu", n);
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

void demo_begin(struct demo *d, const char *what) {
    printf("\n%zu. %s\n", d->step_count + 1, what);
    fflush(stdout);
    d->steps[d->step_count].what = what;
    d->step_started = demo_now();
}

/* `per`: what the rate counts; 0 for none. */
void demo_end(struct demo *d, size_t per, const char *format, ...) {
    struct step *s = &d->steps[d->step_count++];
    va_list args;
    s->seconds = demo_now() - d->step_started;
    s->rate = per > 0 && s->seconds > 0 ? (double)per / s->seconds : 0;
    va_start(args, format);
    vsnprintf(s->amount, sizeof s->amount, format, args);
    va_end(args);
    printf("   %s in %.2f s", s->amount, s->seconds);
    if (s->rate > 0)
        printf(", %s a second", demo_grouped((unsigned long long)s->rate));
    printf("\n");
    fflush(stdout);
}

void demo_progress(size_t done, size_t all, double *shown_at) {
    bool terminal = isatty(STDOUT_FILENO);
    double t = demo_now();
    if (t - *shown_at < (terminal ? 0.1 : 2.0) && done < all)
        return;
    *shown_at = t;
    printf(terminal ? "\r   %s of %s" : "   %s of %s\n", demo_grouped(done), demo_grouped(all));
    if (terminal && done == all)
        printf("\r%40s\r", "");
    fflush(stdout);
}

lam_session *demo_open_user(struct demo *d, const char *user) {
    struct lam_error err = {0};
    lam_session *s;
    demo_must(lam_session_open_user(d->db, user, &s, &err), &err, "open session");
    return s;
}

void demo_close_session(lam_session *s) {
    struct lam_error err = {0};
    demo_must(lam_session_close(s, &err), &err, "close session");
}

lam_stmt *demo_prepare(lam_session *s, const char *sql) {
    struct lam_error err = {0};
    lam_stmt *stmt;
    demo_must(lam_prepare(s, sql, strlen(sql), &stmt, NULL, &err), &err, sql);
    return stmt;
}

bool demo_step(lam_stmt *stmt, const char *what) {
    struct lam_error err = {0};
    bool row;
    demo_must(lam_step(stmt, &row, &err), &err, what);
    return row;
}

void demo_bind_text(lam_stmt *stmt, uint32_t index, const char *text) {
    struct lam_error err = {0};
    demo_must(lam_bind_text(stmt, index, text, strlen(text), &err), &err, "bind");
}

void demo_bind_int(lam_stmt *stmt, uint32_t index, long long value) {
    struct lam_error err = {0};
    demo_must(lam_bind_int64(stmt, index, value, &err), &err, "bind");
}

uint64_t demo_run(lam_session *s, const char *sql) {
    struct lam_error err = {0};
    uint64_t changes = 0;
    demo_must(lam_exec(s, sql, strlen(sql), NULL, NULL, &changes, &err), &err, sql);
    return changes;
}

/* First column of the first row. */
long long demo_ask_number(lam_session *s, const char *sql, const char *text) {
    lam_stmt *stmt = demo_prepare(s, sql);
    if (text)
        demo_bind_text(stmt, 1, text);
    if (!demo_step(stmt, sql))
        demo_die("no row: %s", sql);
    long long n = lam_column_int64(stmt, 0);
    lam_finalize(stmt);
    return n;
}

bool demo_same_text(lam_stmt *row, uint32_t column, const char *expected) {
    struct lam_slice s = lam_column_text(row, column);
    return !lam_column_is_null(row, column) && s.size == strlen(expected) &&
           memcmp(s.data, expected, s.size) == 0;
}
