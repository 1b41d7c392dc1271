/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs SQL scripts with expected output, each in four modes that must give the same answers: all
 * rows hot; everything flushed after each statement; reopened after each statement; both.
 *
 *     run_slt [-m hot|flush|reopen|both] FILE.slt ...
 *
 * A script is blocks with empty lines between them; '#' starts a comment line.
 *
 *     user NAME [ROLE]        the following blocks run as this user (default: system); a name in
 *                             double quotes may hold anything else
 *     ok                      a statement that succeeds
 *     count N                 a statement that succeeds and changes N rows
 *     query [sorted]          a query; after a line "----" its rows, values joined by '|', NULL as
 *                             NULL, the empty text as (empty); `sorted`: rows compared as a set
 *     error SQLSTATE [@POS] [TEXT]
 *                             a statement that fails so, at character POS, with TEXT in message or
 *                             hint
 *     skip MODE ...           the whole script is not run in these modes
 *
 * The statement stands on the lines below the first and may be several. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lamina/lamina.h"

#define SESSIONS_MAX 16
#define ROWS_MAX     4096

struct session {
    char user[300];
    enum lam_role role;
    bool has_role;
    char current[80]; /* namespace to go back to after a reopen */
    lam_session *handle;
};

struct script {
    const char *path;
    int line; /* of the block at hand */
    bool flush, reopen;
    lam_env *env;
    lam_db *db;
    struct session sessions[SESSIONS_MAX];
    int session_count;
    int current;
    char *rows[ROWS_MAX];
    size_t row_count;
    bool failed;
};

static void fail(struct script *s, const char *what, const char *detail) {
    fprintf(stderr, "%s:%d: [%s%s%s] %s%s%s\n", s->path, s->line, s->flush ? "flush" : "",
            s->reopen ? "reopen" : "", !s->flush && !s->reopen ? "hot" : "", what,
            *detail ? ": " : "", detail);
    s->failed = true;
}

static void die(struct script *s, const char *what, const struct lam_error *err) {
    fail(s, what, err->message);
    exit(2);
}

static const char *const role_names[] = {"anonymous", "user", "service", "dba", "system"};

static void open_session(struct script *s, struct session *x) {
    struct lam_error err = {0};
    enum lam_code rc = x->has_role ? lam_session_open(s->db, x->user, x->role, &x->handle, &err)
                                   : lam_session_open_user(s->db, x->user, &x->handle, &err);
    if (rc != LAM_OK)
        die(s, "open session", &err);
    if (x->current[0] && strcmp(x->current, "default") != 0) {
        char sql[100];
        snprintf(sql, sizeof sql, "USE %s", x->current);
        if (lam_exec(x->handle, sql, strlen(sql), NULL, NULL, NULL, &err) != LAM_OK)
            x->current[0] = 0; /* dropped meanwhile */
    }
}

static lam_session *session_of(struct script *s) {
    struct session *x = &s->sessions[s->current];
    if (!x->handle)
        open_session(s, x);
    return x->handle;
}

static void use_session(struct script *s, const char *user, const char *role) {
    bool has_role = role && *role;
    enum lam_role number = LAM_ROLE_USER;
    for (int i = 0; has_role && i <= LAM_ROLE_SYSTEM; i++)
        if (strcmp(role_names[i], role) == 0)
            number = (enum lam_role)i;
    for (s->current = 0; s->current < s->session_count; s->current++) {
        struct session *x = &s->sessions[s->current];
        if (strcmp(x->user, user) == 0 && x->has_role == has_role && x->role == number)
            return;
    }
    if (s->session_count == SESSIONS_MAX) {
        fprintf(stderr, "%s:%d: too many users\n", s->path, s->line);
        exit(2);
    }
    struct session *x = &s->sessions[s->session_count++];
    *x = (struct session){.role = number, .has_role = has_role};
    snprintf(x->user, sizeof x->user, "%s", user);
}

static void close_sessions(struct script *s) {
    struct lam_error err = {0};
    for (int i = 0; i < s->session_count; i++) {
        struct session *x = &s->sessions[i];
        if (!x->handle)
            continue;
        snprintf(x->current, sizeof x->current, "%s", lam_session_namespace(x->handle));
        if (lam_session_close(x->handle, &err) != LAM_OK)
            die(s, "close session", &err);
        x->handle = NULL;
    }
}

static void open_db(struct script *s) {
    struct lam_error err = {0};
    struct lam_options options = {.env = s->env, .memory_budget = 8u << 20};
    if (lam_db_open("db", &options, &s->db, &err) != LAM_OK)
        die(s, "open", &err);
}

static void close_db(struct script *s) {
    struct lam_error err = {0};
    close_sessions(s);
    if (lam_db_close(s->db, &err) != LAM_OK)
        die(s, "close", &err);
    s->db = NULL;
}

static void between_statements(struct script *s) {
    static const char flush_all[] = "STORAGE FLUSH ALL";
    struct lam_error err = {0};
    if (s->flush) {
        lam_session *system;
        if (lam_session_open(s->db, "flusher", LAM_ROLE_SYSTEM, &system, &err) != LAM_OK ||
            lam_exec(system, flush_all, strlen(flush_all), NULL, NULL, NULL, &err) != LAM_OK ||
            lam_session_close(system, &err) != LAM_OK)
            die(s, "flush", &err);
    }
    if (s->reopen) {
        close_db(s);
        open_db(s);
    }
}

static void clear_rows(struct script *s) {
    for (size_t i = 0; i < s->row_count; i++)
        free(s->rows[i]);
    s->row_count = 0;
}

static bool keep_row(void *arg, lam_stmt *stmt) {
    struct script *s = arg;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (uint32_t i = 0; i < lam_column_count(stmt); i++) {
        struct lam_slice v = lam_column_text(stmt, i);
        if (i > 0)
            fputc('|', out);
        if (lam_column_is_null(stmt, i))
            fputs("NULL", out);
        else if (v.size == 0)
            fputs("(empty)", out);
        else
            fwrite(v.data, 1, v.size, out);
    }
    fclose(out);
    if (s->row_count == ROWS_MAX) {
        fprintf(stderr, "%s:%d: more than %d rows\n", s->path, s->line, ROWS_MAX);
        exit(2);
    }
    s->rows[s->row_count++] = text;
    return true;
}

static int compare_rows(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One block of a script: its first line, statement and expected rows, cut in place. */
struct block {
    char *head;
    char *sql;
    char *expected; /* NULL without "----" */
};

static void check_rows(struct script *s, const struct block *b, bool sorted) {
    char *want[ROWS_MAX];
    size_t count = 0;
    for (char *line = b->expected ? strtok(b->expected, "\n") : NULL; line && count < ROWS_MAX;
         line = strtok(NULL, "\n"))
        want[count++] = line;
    if (sorted) {
        qsort(s->rows, s->row_count, sizeof *s->rows, compare_rows);
        qsort(want, count, sizeof *want, compare_rows);
    }
    for (size_t i = 0; i < count || i < s->row_count; i++) {
        const char *w = i < count ? want[i] : "(no row)";
        const char *g = i < s->row_count ? s->rows[i] : "(no row)";
        if (strcmp(w, g) == 0)
            continue;
        char text[2200];
        snprintf(text, sizeof text, "row %zu: expected %.1000s, got %.1000s", i + 1, w, g);
        fail(s, b->sql, text);
        return;
    }
}

static void expect_error(struct script *s, const struct block *b, enum lam_code rc,
                         const struct lam_error *err) {
    char state[16] = "", rest[300] = "";
    const char *text = rest;
    unsigned pos = 0;
    sscanf(b->head, "error %15s %299[^\n]", state, rest);
    if (*rest == '@') {
        pos = (unsigned)strtoul(rest + 1, (char **)&text, 10);
        text += strspn(text, " ");
    }
    if (rc == LAM_OK)
        fail(s, b->sql, "succeeded, an error was expected");
    else if (strcmp(err->sqlstate, state) != 0) {
        char detail[1200];
        snprintf(detail, sizeof detail, "expected %s, got %s: %.1000s", state, err->sqlstate,
                 err->message);
        fail(s, b->sql, detail);
    } else if (*text && !strstr(err->message, text) && !strstr(err->hint, text)) {
        fail(s, "error text", err->message);
    } else if (pos > 0 && err->pos != pos) {
        char detail[1200];
        snprintf(detail, sizeof detail, "expected at %u, got at %u: %.1000s", pos, err->pos,
                 err->message);
        fail(s, b->sql, detail);
    }
}

static void run_block(struct script *s, const struct block *b) {
    struct lam_error err = {0};
    uint64_t changes = 0;
    clear_rows(s);
    enum lam_code rc = lam_exec(session_of(s), b->sql, strlen(b->sql), keep_row, s, &changes, &err);
    if (strncmp(b->head, "error", 5) == 0) {
        expect_error(s, b, rc, &err);
    } else if (rc != LAM_OK) {
        char detail[1200];
        snprintf(detail, sizeof detail, "%s %.1000s", err.sqlstate, err.message);
        fail(s, b->sql, detail);
    } else if (strncmp(b->head, "query", 5) == 0) {
        check_rows(s, b, strstr(b->head, "sorted") != NULL);
    } else if (strncmp(b->head, "count", 5) == 0) {
        char detail[80];
        unsigned long long want = strtoull(b->head + 5, NULL, 10);
        snprintf(detail, sizeof detail, "changed %llu rows, expected %llu",
                 (unsigned long long)changes, want);
        if (changes != want)
            fail(s, b->sql, detail);
    } else if (strcmp(b->head, "ok") != 0) {
        fail(s, "unknown directive", b->head);
    }
    if (strncmp(b->head, "query", 5) != 0)
        between_statements(s);
}

static bool is_skipped(const char *head, const struct script *s) {
    const char *mode = s->flush ? (s->reopen ? "both" : "flush") : s->reopen ? "reopen" : "hot";
    return strncmp(head, "skip ", 5) == 0 && strstr(head + 5, mode);
}

/* Cuts the next block off `*at`; false at the end. */
static bool next_block(char **at, int *line, struct block *b) {
    char *p = *at;
    while (*p == '\n' || *p == '#') {
        char *end = strchr(p, '\n');
        if (!end)
            return false;
        p = end + 1;
        ++*line;
    }
    if (!*p)
        return false;
    char *end = strstr(p, "\n\n");
    *at = end ? end + 2 : p + strlen(p);
    if (end)
        *end = 0;
    b->head = p;
    char *body = strchr(p, '\n');
    if (body)
        *body++ = 0;
    b->sql = body ? body : p + strlen(p);
    b->expected = strstr(b->sql, "\n----");
    if (b->expected) {
        *b->expected = 0;
        b->expected = strchr(b->expected + 1, '\n');
        b->expected = b->expected ? b->expected + 1 : NULL;
    }
    return true;
}

static int count_lines(const char *from, const char *to) {
    int n = 0;
    for (; from < to; from++)
        n += *from == '\n';
    return n;
}

static bool run_script(const char *path, const char *text, bool flush, bool reopen, bool *ran) {
    struct script *s = calloc(1, sizeof *s);
    struct lam_error err = {0};
    char *copy = strdup(text), *at = copy;
    s->path = path;
    s->flush = flush;
    s->reopen = reopen;
    if (lam_env_mem_new(&s->env, &err) != LAM_OK)
        die(s, "memory environment", &err);
    open_db(s);
    use_session(s, "system", "system");
    struct block b;
    *ran = true;
    for (int ignored = 0; next_block(&at, &ignored, &b);) {
        s->line = 1 + count_lines(text, text + (b.head - copy));
        if (strncmp(b.head, "user ", 5) == 0) {
            char user[300] = "", role[20] = "";
            if (b.head[5] == '"')
                sscanf(b.head, "user \"%299[^\"]\" %19s", user, role);
            else
                sscanf(b.head, "user %299s %19s", user, role);
            use_session(s, user, role);
        } else if (is_skipped(b.head, s)) {
            *ran = false;
            break;
        } else if (strncmp(b.head, "skip ", 5) != 0) {
            run_block(s, &b);
        }
    }
    clear_rows(s);
    close_db(s);
    if (lam_check_full("db", &(struct lam_check_options){.env = s->env}, &err) != LAM_OK)
        fail(s, "check", err.message);
    lam_env_mem_free(s->env);
    bool ok = !s->failed;
    free(copy);
    free(s);
    return ok;
}

static char *read_text(const char *path) {
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    size_t size = 0;
    if (!f) {
        perror(path);
        exit(2);
    }
    FILE *out = open_memstream(&text, &size);
    char chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        fwrite(chunk, 1, n, out);
    fclose(f);
    fclose(out);
    return text;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        bool flush, reopen;
    } modes[] = {{"hot", false, false},
                 {"flush", true, false},
                 {"reopen", false, true},
                 {"both", true, true}};
    const char *only = NULL;
    int passed = 0, failed = 0, first = 1;
    if (argc > 2 && strcmp(argv[1], "-m") == 0) {
        only = argv[2];
        first = 3;
    }
    for (int i = first; i < argc; i++) {
        char *text = read_text(argv[i]);
        for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
            bool ran;
            if (only && strcmp(only, modes[m].name) != 0)
                continue;
            bool ok = run_script(argv[i], text, modes[m].flush, modes[m].reopen, &ran);
            passed += ok && ran;
            failed += !ok;
        }
        free(text);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
