/* SPDX-License-Identifier: Apache-2.0
 *
 * Dot commands: one table of names, arguments and functions. */
#include "shell/shell.h"

#define WORDS_MAX 4

/* A command line cut into words. */
struct words {
    char *word[WORDS_MAX];
    size_t count;
};

struct command {
    const char *name;
    const char *arguments;
    const char *what;
    size_t least, most; /* number of arguments */
    bool (*run)(struct shell *sh, const struct words *w);
};

static const struct command commands[];

static bool complain(const char *what, const char *word, const char *hint) {
    fflush(stdout);
    fprintf(stderr, "ERROR: %s \"%s\"\n", what, word);
    if (hint)
        fprintf(stderr, "HINT: did you mean \"%s\"?\n", hint);
    return false;
}

static bool run_made(struct shell *sh, struct text *sql) {
    struct place place = {.name = "dot command", .line = 1, .column = 1};
    bool ok = shell_run(sh, sql->data, sql->size, &place);
    text_fini(sql);
    return ok;
}

/* Names come as the user writes them in SQL; anything else would run as SQL. */
static bool check_name(const char *name) {
    for (const char *p = name; *p; p++) {
        bool fine = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                    (*p >= '0' && *p <= '9') || *p == '_' || *p == '.';
        if (!fine)
            return complain("not a name:", name, NULL);
    }
    return true;
}

static bool run_tables(struct shell *sh, const struct words *w) {
    struct text sql = {0};
    if (w->count > 1 && !check_name(w->word[1]))
        return false;
    text_add_str(&sql, "SHOW TABLES");
    if (w->count > 1)
        text_add_format(&sql, " IN %s", w->word[1]);
    return run_made(sh, &sql);
}

/* Prints the indexes of table `name` of namespace `ns`. */
static bool list_index(lam_stmt *row, const char *ns, const char *name) {
    struct lam_slice row_ns = lam_column_text(row, 0), row_name = lam_column_text(row, 1);
    if (row_ns.size != strlen(ns) || strncasecmp((const char *)row_ns.data, ns, row_ns.size) != 0 ||
        row_name.size != strlen(name) ||
        strncasecmp((const char *)row_name.data, name, row_name.size) != 0)
        return false;
    struct lam_slice index = lam_column_text(row, 2), columns = lam_column_text(row, 4);
    printf("%s %.*s (%.*s)\n", lam_column_bool(row, 3) ? "UNIQUE INDEX" : "INDEX", (int)index.size,
           (const char *)index.data, (int)columns.size, (const char *)columns.data);
    return true;
}

struct index_search {
    const char *ns, *name;
};

static bool index_row(void *arg, lam_stmt *row) {
    const struct index_search *s = arg;
    list_index(row, s->ns, s->name);
    return true;
}

static bool run_schema(struct shell *sh, const struct words *w) {
    struct text sql = {0};
    char *name = w->word[1];
    if (!check_name(name))
        return false;
    text_add_format(&sql, "DESCRIBE %s", name);
    if (!run_made(sh, &sql))
        return false;
    static const char show[] = "SHOW INDEXES";
    struct index_search search = {.ns = lam_session_namespace(sh->session), .name = name};
    char *dot = strchr(name, '.');
    if (dot) {
        *dot = '\0';
        search = (struct index_search){.ns = name, .name = dot + 1};
    }
    struct lam_error err = {0};
    bool is_table = sh->mode == OUTPUT_TABLE;
    if (is_table &&
        lam_exec(sh->session, show, strlen(show), index_row, &search, NULL, &err) != LAM_OK) {
        diag_error(&err);
        return false;
    }
    return true;
}

static bool run_user(struct shell *sh, const struct words *w) {
    enum lam_role role;
    bool has_role = w->count > 2;
    if (has_role && !role_parse(w->word[2], &role))
        return complain("there is no role", w->word[2], nearest_name(w->word[2], role_names));
    lam_session *old = sh->session;
    sh->session = NULL;
    if (!shell_open_session(sh, w->word[1], has_role ? &role : NULL)) {
        sh->session = old;
        return false;
    }
    struct lam_error err = {0};
    if (lam_session_close(old, &err) != LAM_OK)
        diag_error(&err);
    if (sh->mode == OUTPUT_TABLE)
        printf("Now %s with role %s.\n", lam_session_user(sh->session),
               role_name(lam_session_role(sh->session)));
    return true;
}

static bool run_mode(struct shell *sh, const struct words *w) {
    if (mode_parse(w->word[1], &sh->mode))
        return true;
    return complain("there is no mode", w->word[1], nearest_name(w->word[1], mode_names));
}

static bool run_timer(struct shell *sh, const struct words *w) {
    bool on = strcmp(w->word[1], "on") == 0;
    if (!on && strcmp(w->word[1], "off") != 0)
        return complain("the timer is on or off, not", w->word[1], NULL);
    sh->timer = on;
    return true;
}

static bool run_read(struct shell *sh, const struct words *w) {
    return feed_file(sh, w->word[1]);
}

static bool run_quit(struct shell *sh, const struct words *w) {
    (void)w;
    sh->quit = true;
    return true;
}

static bool run_help(struct shell *sh, const struct words *w);

static const struct command commands[] = {
    {".help", "", "this list", 0, 0, run_help},
    {".mode", "table|csv|json|line", "form of results", 1, 1, run_mode},
    {".quit", "", "leave (also Ctrl-D)", 0, 0, run_quit},
    {".read", "FILE", "run the statements of a file", 1, 1, run_read},
    {".schema", "TABLE", "columns and indexes of a table", 1, 1, run_schema},
    {".tables", "[NAMESPACE]", "tables, of all namespaces or one", 0, 1, run_tables},
    {".timer", "on|off", "time of each statement", 1, 1, run_timer},
    {".user", "NAME [ROLE]", "go on as another user", 1, 2, run_user},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static bool run_help(struct shell *sh, const struct words *w) {
    (void)sh;
    (void)w;
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("%-8s %-20s %s\n", commands[i].name, commands[i].arguments, commands[i].what);
    puts("Anything else is SQL and ends with a semicolon.");
    return true;
}

/* Words are parted by blanks; '...' and "..." hold blanks. False if there are too many. */
static bool cut_words(char *line, struct words *out) {
    *out = (struct words){.count = 0};
    for (char *p = line;;) {
        p += strspn(p, " \t\r");
        if (!*p)
            return true;
        if (out->count == WORDS_MAX)
            return false;
        char quote = *p == '\'' || *p == '"' ? *p : '\0';
        char *start = quote ? p + 1 : p;
        char *end = quote ? strchr(start, quote) : start + strcspn(start, " \t\r");
        out->word[out->count++] = start;
        if (!end || !*end)
            return true;
        *end = '\0';
        p = end + 1;
    }
}

static bool unknown_command(const char *word) {
    const char *names[COMMAND_COUNT + 1];
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i].name;
    names[COMMAND_COUNT] = NULL;
    const char *hint = nearest_name(word, names);
    return complain("there is no command", word, hint ? hint : ".help");
}

bool dot_run(struct shell *sh, const char *line) {
    struct text copy = {0};
    struct words w;
    text_add_str(&copy, line);
    text_str(&copy);
    /* A semicolon at the end is a habit, not a part of the last word. */
    while (copy.size > 0 && strchr("; \t\r", copy.data[copy.size - 1]))
        copy.data[--copy.size] = '\0';
    bool fits = cut_words(copy.data, &w);
    const struct command *found = NULL;
    for (size_t i = 0; i < COMMAND_COUNT && w.count > 0; i++)
        if (strcmp(commands[i].name, w.word[0]) == 0)
            found = &commands[i];
    bool ok;
    if (!found) {
        ok = unknown_command(w.count > 0 ? w.word[0] : ".");
    } else if (!fits || w.count - 1 < found->least || w.count - 1 > found->most) {
        fflush(stdout);
        fprintf(stderr, "ERROR: usage: %s %s\n", found->name, found->arguments);
        ok = false;
    } else {
        ok = found->run(sh, &w);
    }
    text_fini(&copy);
    return ok;
}
