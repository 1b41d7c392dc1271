/* SPDX-License-Identifier: Apache-2.0
 *
 * lamina-demo: the main job on real input. Debian's package index becomes a table in which each
 * maintainer is a user who sees his own packages only; the program loads it, asks as many users,
 * flushes to Parquet, asks again and compares, and kills a writer in mid-work to count what was
 * acknowledged and is still there. Every answer is checked against the index in memory; a wrong one
 * ends the program with status 1.
 *
 *     lamina-demo [--packages FILE] [DIR]
 *
 * FILE has the form of `apt-cache dumpavail`, which is run without it. DIR must not exist and is
 * kept; without it a temporary one is used and removed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lamina/lamina.h"

#define BUSIEST      8      /* users whose aggregates are printed */
#define ASKED_USERS  200    /* users that read */
#define POINT_READS  100000 /* by key, over those */
#define INSERT_ROWS  64     /* of one INSERT at most */
#define KILL_ROUNDS  3      /* writers killed */
#define WRITER_FLUSH 2000   /* rows after which the writer flushes, too */
#define STEPS_MAX    16

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
    struct step steps[STEPS_MAX];
    size_t step_count;
    double started, step_started;
    uint64_t random; /* state of the generator; fixed start */
};

/* --- small things --- */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void die(const char *format, ...) {
    va_list args;
    fflush(stdout);
    fputs("lamina-demo: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static void must(enum lam_code rc, const struct lam_error *err, const char *what) {
    if (rc != LAM_OK)
        die("%s: %s%s%s", what, err->message, err->hint[0] ? "\nHINT: " : "", err->hint);
}

static void *must_resize(void *block, size_t size) {
    void *grown = realloc(block, size);
    if (!grown)
        die("out of memory (%zu bytes wanted)", size);
    return grown;
}

static const char *copy_text(const char *text, size_t size) {
    char *copy = must_resize(NULL, size + 1);
    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

static uint64_t next_random(struct demo *d) {
    d->random ^= d->random << 13;
    d->random ^= d->random >> 7;
    d->random ^= d->random << 17;
    return d->random;
}

/* A number with commas, in one of a few static buffers. */
static const char *grouped(unsigned long long n) {
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

static void begin_step(struct demo *d, const char *what) {
    printf("\n%zu. %s\n", d->step_count + 1, what);
    fflush(stdout);
    d->steps[d->step_count].what = what;
    d->step_started = now();
}

/* `per`: what the rate counts; 0 for none. */
static void end_step(struct demo *d, size_t per, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void end_step(struct demo *d, size_t per, const char *format, ...) {
    struct step *s = &d->steps[d->step_count++];
    va_list args;
    s->seconds = now() - d->step_started;
    s->rate = per > 0 && s->seconds > 0 ? (double)per / s->seconds : 0;
    va_start(args, format);
    vsnprintf(s->amount, sizeof s->amount, format, args);
    va_end(args);
    printf("   %s in %.2f s", s->amount, s->seconds);
    if (s->rate > 0)
        printf(", %s a second", grouped((unsigned long long)s->rate));
    printf("\n");
    fflush(stdout);
}

static void progress(size_t done, size_t all, double *shown_at) {
    bool terminal = isatty(STDOUT_FILENO);
    double t = now();
    if (t - *shown_at < (terminal ? 0.1 : 2.0) && done < all)
        return;
    *shown_at = t;
    printf(terminal ? "\r   %s of %s" : "   %s of %s\n", grouped(done), grouped(all));
    if (terminal && done == all)
        printf("\r%40s\r", "");
    fflush(stdout);
}

/* --- SQL --- */

static lam_session *open_user(struct demo *d, const char *user) {
    struct lam_error err = {0};
    lam_session *s;
    must(lam_session_open_user(d->db, user, &s, &err), &err, "open session");
    return s;
}

static void close_session(lam_session *s) {
    struct lam_error err = {0};
    must(lam_session_close(s, &err), &err, "close session");
}

static lam_stmt *prepare(lam_session *s, const char *sql) {
    struct lam_error err = {0};
    lam_stmt *stmt;
    must(lam_prepare(s, sql, strlen(sql), &stmt, NULL, &err), &err, sql);
    return stmt;
}

static bool step(lam_stmt *stmt, const char *what) {
    struct lam_error err = {0};
    bool row;
    must(lam_step(stmt, &row, &err), &err, what);
    return row;
}

static void bind_text(lam_stmt *stmt, uint32_t index, const char *text) {
    struct lam_error err = {0};
    must(lam_bind_text(stmt, index, text, strlen(text), &err), &err, "bind");
}

static void bind_int(lam_stmt *stmt, uint32_t index, long long value) {
    struct lam_error err = {0};
    must(lam_bind_int64(stmt, index, value, &err), &err, "bind");
}

static uint64_t run(lam_session *s, const char *sql) {
    struct lam_error err = {0};
    uint64_t changes = 0;
    must(lam_exec(s, sql, strlen(sql), NULL, NULL, &changes, &err), &err, sql);
    return changes;
}

/* First column of the first row. */
static long long ask_number(lam_session *s, const char *sql, const char *text) {
    lam_stmt *stmt = prepare(s, sql);
    if (text)
        bind_text(stmt, 1, text);
    if (!step(stmt, sql))
        die("no row: %s", sql);
    long long n = lam_column_int64(stmt, 0);
    lam_finalize(stmt);
    return n;
}

static bool same_text(lam_stmt *row, uint32_t column, const char *expected) {
    struct lam_slice s = lam_column_text(row, column);
    return !lam_column_is_null(row, column) && s.size == strlen(expected) &&
           memcmp(s.data, expected, s.size) == 0;
}

/* --- 1: the index --- */

/* The field's value if the line is that field. */
static const char *field(const char *line, const char *name) {
    size_t n = strlen(name);
    if (strncmp(line, name, n) != 0 || line[n] != ':')
        return NULL;
    line += n + 1;
    return line + strspn(line, " \t");
}

static const char *or_unknown(const char *text) {
    return text && *text ? text : "unknown";
}

/* Debian's policy: "Name <address>". The address is the user; without one, the name. */
static const char *user_of(const char *maintainer) {
    const char *open = maintainer ? strrchr(maintainer, '<') : NULL;
    const char *close = open ? strchr(open, '>') : NULL;
    const char *user = close && close > open + 1 ? copy_text(open + 1, (size_t)(close - open - 1))
                                                 : or_unknown(maintainer);
    return strlen(user) <= 256 ? user : "unknown";
}

static void add_package(struct demo *d, const struct package *p, const char *maintainer) {
    if (!p->name)
        return;
    if (d->package_count == d->package_capacity) {
        d->package_capacity = d->package_capacity ? d->package_capacity * 2 : 4096;
        d->packages = must_resize(d->packages, d->package_capacity * sizeof *d->packages);
    }
    struct package *to = &d->packages[d->package_count++];
    *to = *p;
    to->user = user_of(maintainer);
    to->version = or_unknown(p->version);
    to->section = or_unknown(p->section);
    to->architecture = or_unknown(p->architecture);
    to->description = p->description ? p->description : "";
}

static void read_packages(struct demo *d, FILE *in) {
    struct package p = {0};
    const char *maintainer = NULL, *v;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    while ((size = getline(&line, &capacity, in)) >= 0) {
        while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
            line[--size] = '\0';
        if (size == 0) {
            add_package(d, &p, maintainer);
            p = (struct package){0};
            maintainer = NULL;
        } else if ((v = field(line, "Package"))) {
            p.name = copy_text(v, strlen(v));
        } else if ((v = field(line, "Version"))) {
            p.version = copy_text(v, strlen(v));
        } else if ((v = field(line, "Section"))) {
            p.section = copy_text(v, strlen(v));
        } else if ((v = field(line, "Architecture"))) {
            p.architecture = copy_text(v, strlen(v));
        } else if ((v = field(line, "Maintainer"))) {
            maintainer = copy_text(v, strlen(v));
        } else if ((v = field(line, "Description")) || (v = field(line, "Description-en"))) {
            p.description = copy_text(v, strlen(v));
        } else if ((v = field(line, "Installed-Size"))) {
            p.installed_kb = atoll(v);
        }
    }
    add_package(d, &p, maintainer);
    free(line);
}

static int by_user_and_name(const void *a, const void *b) {
    const struct package *x = a, *y = b;
    int c = strcmp(x->user, y->user);
    if (c == 0)
        c = strcmp(x->name, y->name);
    return c ? c : strcmp(y->version, x->version);
}

static int by_section(const void *a, const void *b) {
    return strcmp((*(const struct package *const *)a)->section,
                  (*(const struct package *const *)b)->section);
}

static int busiest_first(const void *a, const void *b) {
    const struct owner *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count ? 1 : -1) : strcmp(x->user, y->user);
}

/* A package may be listed in several versions; a user has it once. */
static void sort_packages(struct demo *d) {
    size_t kept = 0;
    qsort(d->packages, d->package_count, sizeof *d->packages, by_user_and_name);
    for (size_t i = 0; i < d->package_count; i++) {
        const struct package *p = &d->packages[i], *last = kept ? &d->packages[kept - 1] : NULL;
        if (last && strcmp(last->user, p->user) == 0 && strcmp(last->name, p->name) == 0)
            continue;
        d->packages[kept++] = *p;
    }
    d->package_count = kept;
    d->owners = must_resize(NULL, kept * sizeof *d->owners);
    for (size_t i = 0; i < kept; i++) {
        struct owner *o = d->owner_count ? &d->owners[d->owner_count - 1] : NULL;
        if (o && strcmp(o->user, d->packages[i].user) == 0)
            o->count++;
        else
            d->owners[d->owner_count++] = (struct owner){d->packages[i].user, i, 1};
    }
    qsort(d->owners, d->owner_count, sizeof *d->owners, busiest_first);
}

static void load_index(struct demo *d, const char *file) {
    begin_step(d, "Read the package index");
    FILE *in = file ? fopen(file, "r") : popen("apt-cache dumpavail 2>/dev/null", "r");
    if (!in)
        die("open %s: %s", file ? file : "apt-cache dumpavail", strerror(errno));
    read_packages(d, in);
    if (file)
        fclose(in);
    else
        pclose(in);
    if (d->package_count == 0)
        die(file ? "%s has no package records"
                 : "%s gave no records: run apt-get update first, or give a file with --packages",
            file ? file : "apt-cache dumpavail");
    sort_packages(d);
    end_step(d, d->package_count, "%s packages of %s maintainers", grouped(d->package_count),
             grouped(d->owner_count));
}

/* --- 2: tables and rows --- */

static void open_database(struct demo *d) {
    struct lam_error err = {0};
    must(lam_db_open(d->directory, NULL, &d->db, &err), &err, "open database");
    must(lam_session_open(d->db, "demo", LAM_ROLE_SYSTEM, &d->system, &err), &err, "open session");
}

static void close_database(struct demo *d) {
    struct lam_error err = {0};
    close_session(d->system);
    must(lam_db_close(d->db, &err), &err, "close database");
    d->db = NULL;
    d->system = NULL;
}

static void make_tables(struct demo *d) {
    static const char *const statements[] = {
        "CREATE NAMESPACE debian",
        "CREATE USER TABLE debian.packages (name TEXT PRIMARY KEY, version TEXT NOT NULL, section "
        "TEXT NOT NULL, architecture TEXT NOT NULL, installed_kb BIGINT, description TEXT)",
        "CREATE INDEX packages_section ON debian.packages (section)",
        "CREATE SHARED TABLE debian.sections (section TEXT PRIMARY KEY, packages BIGINT NOT NULL, "
        "kb BIGINT NOT NULL) WITH (access_level = 'public')",
        "CREATE USER TABLE debian.journal (id BIGINT PRIMARY KEY, note TEXT NOT NULL)",
    };
    size_t count = sizeof statements / sizeof statements[0];
    begin_step(d, "Make a namespace, tables and an index");
    for (size_t i = 0; i < count; i++) {
        printf("   %s\n", statements[i]);
        run(d->system, statements[i]);
    }
    end_step(d, 0, "%zu statements", count);
}

static lam_stmt *prepare_insert(lam_session *s, size_t rows) {
    static char sql[INSERT_ROWS * 48 + 64];
    size_t at = (size_t)snprintf(sql, sizeof sql, "INSERT INTO debian.packages VALUES ");
    for (size_t r = 0; r < rows; r++)
        at += (size_t)snprintf(sql + at, sizeof sql - at, "%s($%zu,$%zu,$%zu,$%zu,$%zu,$%zu)",
                               r ? "," : "", 6 * r + 1, 6 * r + 2, 6 * r + 3, 6 * r + 4, 6 * r + 5,
                               6 * r + 6);
    return prepare(s, sql);
}

static void bind_package(lam_stmt *stmt, uint32_t first, const struct package *p) {
    bind_text(stmt, first, p->name);
    bind_text(stmt, first + 1, p->version);
    bind_text(stmt, first + 2, p->section);
    bind_text(stmt, first + 3, p->architecture);
    bind_int(stmt, first + 4, p->installed_kb);
    bind_text(stmt, first + 5, p->description);
}

/* The rows of one user, by statements of INSERT_ROWS rows and one of the rest. */
static void load_owner(struct demo *d, const struct owner *o) {
    lam_session *s = open_user(d, o->user);
    lam_stmt *stmt = NULL;
    size_t prepared = 0;
    for (size_t i = 0; i < o->count; i += prepared) {
        size_t rows = o->count - i < INSERT_ROWS ? o->count - i : INSERT_ROWS;
        if (rows != prepared) {
            lam_finalize(stmt);
            stmt = prepare_insert(s, rows);
            prepared = rows;
        }
        for (size_t r = 0; r < rows; r++)
            bind_package(stmt, (uint32_t)(6 * r + 1), &d->packages[o->first + i + r]);
        step(stmt, "insert packages");
        if (lam_changes(stmt) != rows)
            die("INSERT of %zu rows of %s says %llu", rows, o->user,
                (unsigned long long)lam_changes(stmt));
        lam_reset(stmt);
    }
    lam_finalize(stmt);
    close_session(s);
}

static void load_sections(struct demo *d) {
    struct package **sorted = must_resize(NULL, d->package_count * sizeof *sorted);
    lam_stmt *stmt = prepare(d->system, "INSERT INTO debian.sections VALUES ($1, $2, $3)");
    for (size_t i = 0; i < d->package_count; i++)
        sorted[i] = &d->packages[i];
    qsort(sorted, d->package_count, sizeof *sorted, by_section);
    for (size_t i = 0, next; i < d->package_count; i = next) {
        long long kb = 0;
        for (next = i;
             next < d->package_count && strcmp(sorted[i]->section, sorted[next]->section) == 0;
             next++)
            kb += sorted[next]->installed_kb;
        bind_text(stmt, 1, sorted[i]->section);
        bind_int(stmt, 2, (long long)(next - i));
        bind_int(stmt, 3, kb);
        step(stmt, "insert section");
        lam_reset(stmt);
        d->section_count++;
    }
    lam_finalize(stmt);
    free(sorted);
}

static void load_rows(struct demo *d) {
    double shown = now();
    size_t done = 0;
    begin_step(d, "Load by SQL, each maintainer in a session of his own");
    for (size_t i = 0; i < d->owner_count; i++) {
        load_owner(d, &d->owners[i]);
        done += d->owners[i].count;
        progress(done, d->package_count, &shown);
    }
    load_sections(d);
    end_step(d, d->package_count + d->section_count, "%s rows of %s users, %zu shared rows",
             grouped(d->package_count), grouped(d->owner_count), d->section_count);
}

/* --- 3: questions --- */

static size_t asked_users(const struct demo *d) {
    return d->owner_count < ASKED_USERS ? d->owner_count : ASKED_USERS;
}

static void read_points(struct demo *d, size_t reads) {
    size_t users = asked_users(d);
    lam_session **sessions = must_resize(NULL, users * sizeof *sessions);
    lam_stmt **stmts = must_resize(NULL, users * sizeof *stmts);
    for (size_t i = 0; i < users; i++) {
        sessions[i] = open_user(d, d->owners[i].user);
        stmts[i] = prepare(sessions[i], "SELECT version, section, installed_kb, description "
                                        "FROM debian.packages WHERE name = $1");
    }
    for (size_t i = 0; i < reads; i++) {
        size_t u = next_random(d) % users;
        const struct owner *o = &d->owners[u];
        const struct package *p = &d->packages[o->first + next_random(d) % o->count];
        bind_text(stmts[u], 1, p->name);
        if (!step(stmts[u], "point read"))
            die("%s does not see his package %s", o->user, p->name);
        if (!same_text(stmts[u], 0, p->version) || !same_text(stmts[u], 1, p->section) ||
            lam_column_int64(stmts[u], 2) != p->installed_kb ||
            !same_text(stmts[u], 3, p->description))
            die("package %s of %s came back with other values", p->name, o->user);
        lam_reset(stmts[u]);
    }
    for (size_t i = 0; i < users; i++) {
        lam_finalize(stmts[i]);
        close_session(sessions[i]);
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
    bind_text(stmt, 1, section);
    while (step(stmt, "indexed read")) {
        while (at < o->first + o->count && strcmp(d->packages[at].section, section) != 0)
            at++;
        if (at == o->first + o->count || !same_text(stmt, 0, d->packages[at].name) ||
            !same_text(stmt, 1, d->packages[at].version))
            die("section %s of %s: row %zu is not what was loaded", section, o->user, rows + 1);
        at++;
        rows++;
    }
    lam_reset(stmt);
    if (rows != count_section(d, o, section))
        die("section %s of %s: %zu rows, %zu were loaded", section, o->user, rows,
            count_section(d, o, section));
    return rows;
}

static size_t read_sections(struct demo *d, size_t *reads_out) {
    size_t rows = 0, users = asked_users(d);
    *reads_out = 0;
    for (size_t i = 0; i < users; i++) {
        const struct owner *o = &d->owners[i];
        lam_session *s = open_user(d, o->user);
        lam_stmt *stmt = prepare(s, BY_SECTION);
        for (int k = 0; k < 5; k++, ++*reads_out)
            rows +=
                read_section(d, stmt, o, d->packages[o->first + next_random(d) % o->count].section);
        lam_finalize(stmt);
        close_session(s);
    }
    return rows;
}

static void print_plan(lam_session *s) {
    lam_stmt *stmt = prepare(s, "EXPLAIN SELECT name, version FROM debian.packages WHERE section = "
                                "'libs' ORDER BY name");
    while (step(stmt, "explain")) {
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
    const char **sections = must_resize(NULL, o->count * sizeof *sections);
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

static void check_totals(struct demo *d, const struct owner *o, bool print) {
    struct totals want = expect_totals(d, o);
    lam_session *s = open_user(d, o->user);
    lam_stmt *stmt = prepare(s, "SELECT COUNT(*), SUM(installed_kb), MAX(installed_kb), "
                                "COUNT(DISTINCT section) FROM debian.packages");
    if (!step(stmt, "aggregate") || lam_column_int64(stmt, 0) != want.packages ||
        lam_column_int64(stmt, 1) != want.kb || lam_column_int64(stmt, 2) != want.largest ||
        lam_column_int64(stmt, 3) != (int64_t)want.sections)
        die("aggregates of %s: %lld packages, %lld kB, %lld, %lld; expected %lld, %lld, %lld, %zu",
            o->user, (long long)lam_column_int64(stmt, 0), (long long)lam_column_int64(stmt, 1),
            (long long)lam_column_int64(stmt, 2), (long long)lam_column_int64(stmt, 3),
            want.packages, want.kb, want.largest, want.sections);
    if (print)
        printf("   %-50s %8s %10s %9zu\n", o->user, grouped((unsigned long long)want.packages),
               grouped((unsigned long long)want.kb / 1024), want.sections);
    lam_finalize(stmt);
    close_session(s);
}

static void check_shared(struct demo *d) {
    lam_session *s = open_user(d, d->owners[0].user);
    long long packages = ask_number(s, "SELECT SUM(packages) FROM debian.sections", NULL);
    if (packages != (long long)d->package_count)
        die("the sections have %lld packages, expected %zu", packages, d->package_count);
    close_session(s);
}

/* All questions of this demo; the answers are compared with the index each time. */
static void ask_all(struct demo *d, const char *tier) {
    char what[4][64];
    static const char *const kinds[] = {"Point reads by key", "Reads by index",
                                        "Aggregates of every user"};
    for (int i = 0; i < 3; i++)
        snprintf(what[i], sizeof what[i], "%s, %s", kinds[i], tier);
    begin_step(d, copy_text(what[0], strlen(what[0])));
    read_points(d, POINT_READS);
    end_step(d, POINT_READS, "%s reads as %zu users", grouped(POINT_READS), asked_users(d));

    size_t reads;
    begin_step(d, copy_text(what[1], strlen(what[1])));
    print_plan(d->system);
    size_t rows = read_sections(d, &reads);
    end_step(d, rows, "%s rows by %s reads", grouped(rows), grouped(reads));

    begin_step(d, copy_text(what[2], strlen(what[2])));
    printf("   %-50s %8s %10s %9s\n", "user", "packages", "MB", "sections");
    for (size_t i = 0; i < d->owner_count; i++)
        check_totals(d, &d->owners[i], i < BUSIEST);
    printf("   ... and %s more, each as himself\n",
           grouped(d->owner_count > BUSIEST ? d->owner_count - BUSIEST : 0));
    check_shared(d);
    end_step(d, d->package_count, "%s rows read", grouped(d->package_count));
}

/* --- 4: isolation --- */

static void expect_denied(lam_session *s, const char *sql) {
    struct lam_error err = {0};
    enum lam_code rc = lam_exec(s, sql, strlen(sql), NULL, NULL, NULL, &err);
    if (rc == LAM_OK || strcmp(err.sqlstate, "42501") != 0)
        die("expected a denial, got %s: %s", rc == LAM_OK ? "success" : err.message, sql);
    printf("   %s\n   -> %s\n", sql, err.message);
}

static void show_isolation(struct demo *d) {
    if (d->owner_count < 2)
        return;
    const struct owner *a = &d->owners[0], *b = &d->owners[1];
    const char *name = d->packages[a->first].name;
    lam_session *s = open_user(d, b->user);
    begin_step(d, "One user sees nothing of another's");
    printf("   %s asks for %s of %s\n", b->user, name, a->user);
    long long seen = ask_number(s, "SELECT COUNT(*) FROM debian.packages WHERE name = $1", name);
    long long all = ask_number(s, "SELECT COUNT(*) FROM debian.packages", NULL);
    printf("   -> %lld rows; of %s in the table he sees his own %s\n", seen,
           grouped(d->package_count), grouped((unsigned long long)all));
    if (seen != 0 || all != (long long)b->count)
        die("%s sees rows of others", b->user);
    lam_stmt *stmt = prepare(s, "UPDATE debian.packages SET version = 'stolen' WHERE name = $1");
    bind_text(stmt, 1, name);
    step(stmt, "update");
    if (lam_changes(stmt) != 0)
        die("%s changed a row of %s", b->user, a->user);
    printf("   UPDATE of that package -> %llu rows\n", (unsigned long long)lam_changes(stmt));
    lam_finalize(stmt);
    expect_denied(s, "DELETE FROM debian.sections");
    expect_denied(s, "SELECT user_id FROM system.users");
    close_session(s);
    end_step(d, 0, "5 attempts");
}

/* --- 5: Parquet --- */

static struct {
    unsigned long long files, bytes;
    char largest[4096];
    off_t largest_bytes;
} found;

static int visit_file(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
    (void)ftw;
    size_t n = strlen(path);
    if (kind != FTW_F || n < 8 || strcmp(path + n - 8, ".parquet") != 0)
        return 0;
    found.files++;
    found.bytes += (unsigned long long)st->st_size;
    if (st->st_size > found.largest_bytes) {
        found.largest_bytes = st->st_size;
        snprintf(found.largest, sizeof found.largest, "%s", path);
    }
    return 0;
}

static unsigned long long flush_table(struct demo *d, const char *sql) {
    lam_stmt *stmt = prepare(d->system, sql);
    if (!step(stmt, sql))
        die("no row: %s", sql);
    unsigned long long rows = (unsigned long long)lam_column_int64(stmt, 4);
    struct lam_slice job = lam_column_text(stmt, 0);
    printf("   %s\n   -> job %.*s", sql, (int)job.size, (const char *)job.data);
    printf(": %s rows into %s files\n", grouped(rows),
           grouped((unsigned long long)lam_column_int64(stmt, 5)));
    lam_finalize(stmt);
    return rows;
}

static void flush_tables(struct demo *d) {
    begin_step(d, "Flush to Parquet, a file for each user");
    unsigned long long rows = flush_table(d, "STORAGE FLUSH TABLE debian.packages") +
                              flush_table(d, "STORAGE FLUSH TABLE debian.sections");
    if (rows != d->package_count + d->section_count)
        die("the flush wrote %llu rows, expected %zu", rows, d->package_count + d->section_count);
    nftw(d->directory, visit_file, 32, FTW_PHYS);
    if (found.files < d->owner_count)
        die("%llu Parquet files for %zu users", found.files, d->owner_count);
    printf("   %s Parquet files, %s bytes; the largest:\n   %s, %s bytes\n", grouped(found.files),
           grouped(found.bytes), found.largest + strlen(d->directory) + 1,
           grouped((unsigned long long)found.largest_bytes));
    end_step(d, rows, "%s rows, %s files", grouped(rows), grouped(found.files));
}

/* Each asked user deletes a tenth of his packages and inserts them again, so that hot rows stand
 * before cold ones and the answers stay what they were. */
static void rewrite_some(struct demo *d) {
    size_t rows = 0;
    begin_step(d, "Delete and insert again some rows, hot over cold");
    for (size_t i = 0; i < asked_users(d); i++) {
        const struct owner *o = &d->owners[i];
        lam_session *s = open_user(d, o->user);
        lam_stmt *erase = prepare(s, "DELETE FROM debian.packages WHERE name = $1");
        lam_stmt *insert = prepare_insert(s, 1);
        for (size_t k = 0; k < o->count; k += 10, rows++) {
            const struct package *p = &d->packages[o->first + k];
            bind_text(erase, 1, p->name);
            step(erase, "delete");
            if (lam_changes(erase) != 1)
                die("DELETE of %s of %s says %llu", p->name, o->user,
                    (unsigned long long)lam_changes(erase));
            lam_reset(erase);
            bind_package(insert, 1, p);
            step(insert, "insert again");
            lam_reset(insert);
        }
        lam_finalize(erase);
        lam_finalize(insert);
        close_session(s);
    }
    end_step(d, 2 * rows, "%s rows of %zu users", grouped(rows), asked_users(d));
}

/* --- 6: SIGKILL --- */

/* The child: inserts rows from `first` on and tells of each acknowledged one on stdout, flushing
 * now and then, until it is killed. */
static int run_writer(const char *directory, long long first) {
    struct demo d = {.random = 1};
    snprintf(d.directory, sizeof d.directory, "%s", directory);
    open_database(&d);
    lam_session *s = open_user(&d, "writer");
    lam_stmt *stmt = prepare(s, "INSERT INTO debian.journal VALUES ($1, $2)");
    for (long long id = first;; id++) {
        char note[64];
        snprintf(note, sizeof note, "row %lld, written before the kill", id);
        bind_int(stmt, 1, id);
        bind_text(stmt, 2, note);
        step(stmt, "write journal");
        lam_reset(stmt);
        if (write(STDOUT_FILENO, &id, sizeof id) != sizeof id)
            return 1; /* the parent is gone */
        if (id % WRITER_FLUSH == 0)
            run(d.system, "STORAGE FLUSH TABLE debian.journal");
    }
}

static pid_t start_writer(struct demo *d, long long first, int *acks_out) {
    int ends[2];
    char number[32];
    if (pipe(ends) != 0)
        die("pipe: %s", strerror(errno));
    snprintf(number, sizeof number, "%lld", first);
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        die("fork: %s", strerror(errno));
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl("/proc/self/exe", "lamina-demo", "--writer", d->directory, number, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    *acks_out = ends[0];
    return pid;
}

/* Reads acknowledgements until the end of the pipe; kills the writer after `kill_after` of them.
 * Returns the last acknowledged id. */
static long long watch_writer(pid_t pid, int acks, long long last, size_t kill_after) {
    long long ids[512];
    size_t seen = 0;
    bool killed = false;
    ssize_t got;
    while ((got = read(acks, ids, sizeof ids)) > 0) {
        for (size_t i = 0; i < (size_t)got / sizeof ids[0]; i++) {
            if (ids[i] != last + 1)
                die("the writer acknowledged %lld after %lld", ids[i], last);
            last = ids[i];
            seen++;
        }
        if (!killed && seen >= kill_after) {
            kill(pid, SIGKILL);
            killed = true;
        }
    }
    int status;
    close(acks);
    waitpid(pid, &status, 0);
    if (!killed || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        die("the writer ended before it was killed (%s %d)",
            WIFSIGNALED(status) ? "signal" : "status",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return last;
}

/* Returns the newest row there is: the acknowledged ones, and at most one the kill overtook. */
static long long check_journal(struct demo *d, long long acked) {
    lam_session *s = open_user(d, "writer");
    lam_stmt *stmt = prepare(s, "SELECT id, note FROM debian.journal ORDER BY id");
    long long id = 0;
    while (step(stmt, "read journal")) {
        char note[64];
        snprintf(note, sizeof note, "row %lld, written before the kill", ++id);
        if (lam_column_int64(stmt, 0) != id || !same_text(stmt, 1, note))
            die("row %lld of the journal is missing or wrong", id);
    }
    lam_finalize(stmt);
    close_session(s);
    if (id < acked)
        die("%lld rows were acknowledged, %lld are there", acked, id);
    if (id > acked + 1)
        die("%lld rows were written, but only %lld acknowledged", id, acked);
    return id;
}

static void kill_writers(struct demo *d) {
    long long last = 0;
    begin_step(d, "Kill a writer with SIGKILL in mid-work, open again, count");
    close_database(d);
    for (int round = 1; round <= KILL_ROUNDS; round++) {
        int acks;
        pid_t pid = start_writer(d, last + 1, &acks);
        long long acked = watch_writer(pid, acks, last, 500 + next_random(d) % 15000);
        double opened = now();
        open_database(d);
        double open_ms = (now() - opened) * 1e3;
        struct lam_stats stats;
        lam_db_stats(d->db, &stats);
        long long there = check_journal(d, acked);
        printf("   round %d: killed after %s acknowledged rows; opened in %.0f ms, %s operations "
               "from the log;\n            all %s rows there%s\n",
               round, grouped((unsigned long long)(acked - last)), open_ms,
               grouped(stats.recovered_operations), grouped((unsigned long long)there),
               there > acked ? ", the last one committed but not yet acknowledged" : "");
        last = there;
        if (round < KILL_ROUNDS)
            close_database(d);
    }
    check_totals(d, &d->owners[0], false);
    end_step(d, 0, "%s rows, none lost", grouped((unsigned long long)last));
}

/* --- all --- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void make_directory(struct demo *d, const char *given) {
    const char *base = getenv("TMPDIR");
    if (given) {
        snprintf(d->directory, sizeof d->directory, "%s", given);
        if (mkdir(given, 0700) != 0)
            die("make directory %s: %s", given, strerror(errno));
        return;
    }
    snprintf(d->directory, sizeof d->directory, "%s/lamina-demo-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(d->directory))
        die("make a temporary directory %s: %s", d->directory, strerror(errno));
    d->temporary = true;
}

static void print_table(struct demo *d) {
    printf("\n%-55s %-42s %8s %12s\n", "step", "amount", "seconds", "per second");
    for (size_t i = 0; i < d->step_count; i++) {
        const struct step *s = &d->steps[i];
        printf("%-55s %-42s %8.2f %12s\n", s->what, s->amount, s->seconds,
               s->rate > 0 ? grouped((unsigned long long)s->rate) : "");
    }
    printf("%-55s %-42s %8.2f\n", "all", "every answer as expected", now() - d->started);
}

static void run_demo(struct demo *d, const char *file) {
    load_index(d, file);
    open_database(d);
    make_tables(d);
    load_rows(d);
    ask_all(d, "all rows hot");
    show_isolation(d);
    flush_tables(d);
    rewrite_some(d);
    ask_all(d, "hot and cold");
    kill_writers(d);
    close_database(d);
    print_table(d);
}

int main(int argc, char **argv) {
    const char *file = NULL, *given = NULL;
    if (argc == 4 && strcmp(argv[1], "--writer") == 0)
        return run_writer(argv[2], atoll(argv[3]));
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--packages") == 0 && i + 1 < argc)
            file = argv[++i];
        else if (argv[i][0] != '-' && !given)
            given = argv[i];
        else
            die("usage: lamina-demo [--packages FILE] [DIR]");
    }
    struct demo d = {.started = now(), .random = 88172645463325252u};
    printf("Lamina %s: Debian's package index, each maintainer a user of his own\n",
           LAM_VERSION_STRING);
    make_directory(&d, given);
    printf("Database: %s%s\n", d.directory, d.temporary ? " (removed at the end)" : "");
    run_demo(&d, file);
    if (d.temporary)
        nftw(d.directory, remove_one, 32, FTW_DEPTH | FTW_PHYS);
    return fflush(stdout) == 0 ? 0 : 1;
}
