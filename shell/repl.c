/* SPDX-License-Identifier: Apache-2.0
 *
 * The prompt: line editing and history by libedit. Ctrl-C at the prompt jumps out of the editor,
 * since it would otherwise swallow the first one. */
#include <editline/readline.h>
#include <setjmp.h>
#include <stdlib.h>
#include <unistd.h>

#include "shell/shell.h"

#define HISTORY_LINES 5000

static sigjmp_buf prompt_jump;

static void history_path(struct text *out) {
    const char *path = getenv("LAMINA_HISTORY"), *home = getenv("HOME");
    if (path)
        text_add_str(out, path);
    else if (home)
        text_add_format(out, "%s/.lamina_history", home);
}

/* "user@namespace> ", or as many columns that end in "...> " inside a statement. */
static void make_prompt(struct shell *sh, bool inside, struct text *out) {
    const char *user = lam_session_user(sh->session), *ns = lam_session_namespace(sh->session);
    text_reset(out);
    size_t columns = text_add_visible(out, user, strlen(user)) + strlen(ns) + 3;
    if (inside) {
        text_reset(out);
        text_fill(out, ' ', columns > 5 ? columns - 5 : 0);
        text_add_str(out, "...> ");
    } else {
        text_add_format(out, "@%s> ", ns);
    }
}

/* A line without its newline, owned; NULL at the end. `*cleared_out`: Ctrl-C instead. */
static char *read_line(const char *prompt, bool *cleared_out) {
    *cleared_out = false;
    if (sigsetjmp(prompt_jump, 1) != 0) {
        *cleared_out = true;
        return NULL;
    }
    interrupt_jump(&prompt_jump);
    char *line = readline(prompt);
    interrupt_jump(NULL);
    return line;
}

/* Keeps a statement; one of many lines becomes one line unless a newline may be part of a string or
 * the end of a comment. Passwords are not kept. */
static void remember(struct text *entry) {
    while (entry->size > 0 && strchr(" \n", entry->data[entry->size - 1]))
        entry->size--;
    bool one_line = !strpbrk(text_str(entry), "'\"$") && !strstr(text_str(entry), "--");
    for (size_t i = 0; i < entry->size && one_line; i++)
        if (entry->data[i] == '\n')
            entry->data[i] = ' ';
    if (entry->size > 0 && !strcasestr(text_str(entry), "password"))
        add_history(text_str(entry));
    text_reset(entry);
}

static void take_line(struct feed *f, const char *line, struct text *entry) {
    text_add_str(entry, line);
    text_add_char(entry, '\n');
    interrupt_clear();
    bool ok = feed_add(f, line, strlen(line)) && feed_add(f, "\n", 1);
    if (!ok)
        feed_drop(f);
    if (!feed_inside(f)) {
        f->place = (struct place){.line = 1, .column = 1};
        feed_drop(f);
        remember(entry);
    }
    fflush(stdout);
}

void repl_run(struct shell *sh) {
    struct feed f;
    struct text prompt = {0}, entry = {0}, path = {0};
    feed_init(&f, sh, NULL);
    history_path(&path);
    using_history();
    stifle_history(HISTORY_LINES);
    if (path.size > 0)
        read_history(text_str(&path));
    printf("Lamina %s, %s. Statements end with ; and .help lists commands.\n", LAM_VERSION_STRING,
           sh->options->directory);
    fflush(stdout);
    while (!sh->quit && !ferror(stdout)) {
        bool cleared;
        make_prompt(sh, feed_inside(&f), &prompt);
        char *line = read_line(text_str(&prompt), &cleared);
        if (cleared) {
            feed_drop(&f);
            text_reset(&entry);
            fputs("^C\n", stdout);
            continue;
        }
        if (!line) {
            fputs("\n", stdout);
            break;
        }
        take_line(&f, line, &entry);
        free(line);
    }
    if (path.size > 0)
        write_history(text_str(&path));
    text_fini(&prompt);
    text_fini(&entry);
    text_fini(&path);
    feed_fini(&f);
}
