/* SPDX-License-Identifier: Apache-2.0
 *
 * The questions of the demo and what must not be answered. Every answer is compared with the index
 * in memory. */
#include <stdlib.h>

#include "shell/demo.h"

size_t demo_asked_users(const struct demo *d) {
    return d->owner_count < ASKED_USERS ? d->owner_count : ASKED_USERS;
}

static void read_points(struct demo *d, size_t reads) {
    size_t users = demo_asked_users(d);
    lam_session **sessions = demo_resize(NULL, users * sizeof *sessions);
    lam_stmt **stmts = demo_resize(NULL, users * sizeof *stmts);
    for (size_t i = 0; i < users; i++) {
        sessions[i] = demo_open_user(d, d->owners[i].user);
        stmts[i] = demo_prepare(sessions[i], "SELECT version, section, installed_kb, description "
                                             "FROM debian.packages WHERE name = $1");
    }
    for (size_t i = 0; i < reads; i++) {
        size_t u = demo_random(d) % users;
        const struct owner *o = &d->owners[u];
        const struct package *p = &d->packages[o->first + demo_random(d) % o->count];
        demo_bind_text(stmts[u], 1, p->name);
        if (!demo_step(stmts[u], "point read"))
            demo_die("%s does not see his package %s", o->user, p->name);
        if (!demo_same_text(stmts[u], 0, p->version) || !demo_same_text(stmts[u], 1, p->section) ||
            lam_column_int64(stmts[u], 2) != p->installed_kb ||
            !demo_same_text(stmts[u], 3, p->description))
            demo_die("package %s of %s came back with other values", p->name, o->user);
        lam_reset(stmts[u]);
    }
    for (size_t i = 0; i < users; i++) {
        lam_finalize(stmts[i]);
        demo_close_session(sessions[i]);
    }
    free(stmts);
    free(sessions);
}

static size_t count_section(const struct demo *d, const struct owner *o, const char *section) {
    size_t n = 0;
    for (size_t i = 0; i < o->count; i++)
        n += strcmp(d->packages[o->first + i].section, section) == 0;
    return n;
}

#define BY_SECTION "SELECT name, version FROM debian.packages WHERE section = $1 ORDER BY name"

/* The names a user has in a section, in order, compared with the index. Returns the rows. */
static size_t read_section(struct demo *d, lam_stmt *stmt, const struct owner *o,
                           const char *section) {
    size_t rows = 0, at = o->first;
    demo_bind_text(stmt, 1, section);
    while (demo_step(stmt, "indexed read")) {
        while (at < o->first + o->count && strcmp(d->packages[at].section, section) != 0)
            at++;
        if (at == o->first + o->count || !demo_same_text(stmt, 0, d->packages[at].name) ||
            !demo_same_text(stmt, 1, d->packages[at].version))
            demo_die("section %s of %s: row %zu is not what was loaded", section, o->user,
                     rows + 1);
        at++;
        rows++;
    }
    lam_reset(stmt);
    if (rows != count_section(d, o, section))
        demo_die("section %s of %s: %zu rows, %zu were loaded", section, o->user, rows,
                 count_section(d, o, section));
    return rows;
}

static size_t read_sections(struct demo *d, size_t *reads_out) {
    size_t rows = 0, users = demo_asked_users(d);
    *reads_out = 0;
    for (size_t i = 0; i < users; i++) {
        const struct owner *o = &d->owners[i];
        lam_session *s = demo_open_user(d, o->user);
        lam_stmt *stmt = demo_prepare(s, BY_SECTION);
        for (int k = 0; k < 5; k++, ++*reads_out)
            rows +=
                read_section(d, stmt, o, d->packages[o->first + demo_random(d) % o->count].section);
        lam_finalize(stmt);
        demo_close_session(s);
    }
    return rows;
}

static void print_plan(lam_session *s) {
    lam_stmt *stmt =
        demo_prepare(s, "EXPLAIN SELECT name, version FROM debian.packages WHERE section = "
                        "'libs' ORDER BY name");
    while (demo_step(stmt, "explain")) {
        struct lam_slice line = lam_column_text(stmt, 0);
        printf("   %.*s\n", (int)line.size, (const char *)line.data);
    }
    lam_finalize(stmt);
}

/* What a user's packages come to; computed from the index, and asked by SQL. */
struct totals {
    long long packages, kb, largest;
    size_t sections;
};

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct totals expect_totals(const struct demo *d, const struct owner *o) {
    struct totals t = {.packages = (long long)o->count};
    const char **sections = demo_resize(NULL, o->count * sizeof *sections);
    for (size_t i = 0; i < o->count; i++) {
        const struct package *p = &d->packages[o->first + i];
        t.kb += p->installed_kb;
        t.largest = p->installed_kb > t.largest ? p->installed_kb : t.largest;
        sections[i] = p->section;
    }
    qsort(sections, o->count, sizeof *sections, by_text);
    for (size_t i = 0; i < o->count; i++)
        t.sections += i == 0 || strcmp(sections[i - 1], sections[i]) != 0;
    free(sections);
    return t;
}

void demo_check_totals(struct demo *d, const struct owner *o, bool print) {
    struct totals want = expect_totals(d, o);
    lam_session *s = demo_open_user(d, o->user);
    lam_stmt *stmt = demo_prepare(s, "SELECT COUNT(*), SUM(installed_kb), MAX(installed_kb), "
                                     "COUNT(DISTINCT section) FROM debian.packages");
    if (!demo_step(stmt, "aggregate") || lam_column_int64(stmt, 0) != want.packages ||
        lam_column_int64(stmt, 1) != want.kb || lam_column_int64(stmt, 2) != want.largest ||
        lam_column_int64(stmt, 3) != (int64_t)want.sections)
        demo_die(
            "aggregates of %s: %lld packages, %lld kB, %lld, %lld; expected %lld, %lld, %lld, %zu",
            o->user, (long long)lam_column_int64(stmt, 0), (long long)lam_column_int64(stmt, 1),
            (long long)lam_column_int64(stmt, 2), (long long)lam_column_int64(stmt, 3),
            want.packages, want.kb, want.largest, want.sections);
    if (print)
        printf("   %-50s %8s %10s %9zu\n", o->user, demo_grouped((unsigned long long)want.packages),
               demo_grouped((unsigned long long)want.kb / 1024), want.sections);
    lam_finalize(stmt);
    demo_close_session(s);
}

static void check_shared(struct demo *d) {
    lam_session *s = demo_open_user(d, d->owners[0].user);
    long long packages = demo_ask_number(s, "SELECT SUM(packages) FROM debian.sections", NULL);
    if (packages != (long long)d->package_count)
        demo_die("the sections have %lld packages, expected %zu", packages, d->package_count);
    demo_close_session(s);
}

/* The names of steps live as long as the demo. */
static const char *step_name(const char *what, const char *tier) {
    char name[96];
    int size = snprintf(name, sizeof name, "%s, %s", what, tier);
    return demo_copy(name, (size_t)size);
}

static void ask_by_key(struct demo *d, const char *tier) {
    demo_begin(d, step_name("Point reads by key", tier));
    read_points(d, POINT_READS);
    demo_end(d, POINT_READS, "%s reads as %zu users", demo_grouped(POINT_READS),
             demo_asked_users(d));
}

static void ask_by_index(struct demo *d, const char *tier) {
    size_t reads;
    demo_begin(d, step_name("Reads by index", tier));
    print_plan(d->system);
    size_t rows = read_sections(d, &reads);
    if (d->index_rows > 0 && rows != d->index_rows)
        demo_die("%zu rows by index, but %zu the first time", rows, d->index_rows);
    d->index_rows = rows;
    demo_end(d, rows, "%s rows by %s reads", demo_grouped(rows), demo_grouped(reads));
}

static void ask_totals(struct demo *d, const char *tier) {
    size_t rest = d->owner_count > BUSIEST ? d->owner_count - BUSIEST : 0;
    demo_begin(d, step_name("Aggregates of every user", tier));
    printf("   %-50s %8s %10s %9s\n", "user", "packages", "MB", "sections");
    for (size_t i = 0; i < d->owner_count; i++)
        demo_check_totals(d, &d->owners[i], i < BUSIEST);
    printf("   ... and %s more users, each asking for himself\n", demo_grouped(rest));
    check_shared(d);
    demo_end(d, d->package_count, "%s rows read", demo_grouped(d->package_count));
}

void demo_ask_all(struct demo *d, const char *tier) {
    d->random = QUESTION_SEED;
    ask_by_key(d, tier);
    ask_by_index(d, tier);
    ask_totals(d, tier);
}

static void expect_denied(lam_session *s, const char *sql) {
    struct lam_error err = {0};
    enum lam_code rc = lam_exec(s, sql, strlen(sql), NULL, NULL, NULL, &err);
    if (rc == LAM_OK || strcmp(err.sqlstate, "42501") != 0)
        demo_die("expected a denial, got %s: %s", rc == LAM_OK ? "success" : err.message, sql);
    printf("   %s\n   -> %s\n", sql, err.message);
}

void demo_show_isolation(struct demo *d) {
    if (d->owner_count < 2)
        return;
    const struct owner *a = &d->owners[0], *b = &d->owners[1];
    const char *name = d->packages[a->first].name;
    lam_session *s = demo_open_user(d, b->user);
    demo_begin(d, "One user sees nothing of another's");
    printf("   %s asks for %s of %s\n", b->user, name, a->user);
    long long seen =
        demo_ask_number(s, "SELECT COUNT(*) FROM debian.packages WHERE name = $1", name);
    long long all = demo_ask_number(s, "SELECT COUNT(*) FROM debian.packages", NULL);
    printf("   -> %lld rows; of %s in the table he sees his own %s\n", seen,
           demo_grouped(d->package_count), demo_grouped((unsigned long long)all));
    if (seen != 0 || all != (long long)b->count)
        demo_die("%s sees rows of others", b->user);
    lam_stmt *stmt =
        demo_prepare(s, "UPDATE debian.packages SET version = 'stolen' WHERE name = $1");
    demo_bind_text(stmt, 1, name);
    demo_step(stmt, "update");
    if (lam_changes(stmt) != 0)
        demo_die("%s changed a row of %s", b->user, a->user);
    printf("   UPDATE of that package -> %llu rows\n", (unsigned long long)lam_changes(stmt));
    lam_finalize(stmt);
    expect_denied(s, "DELETE FROM debian.sections");
    expect_denied(s, "SELECT user_id FROM system.users");
    demo_close_session(s);
    demo_end(d, 0, "5 attempts, none succeeded");
}
