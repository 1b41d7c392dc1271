/* SPDX-License-Identifier: Apache-2.0
 *
 * lamina: SQL on a database from the command line, a script or a prompt. Knows only the public
 * headers. */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "shell/batch.h"
#include "shell/shell.h"
#include "shell/tool.h"

/* Text is UTF-8 whatever the terminal's locale says. */
static void set_locale(void) {
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static bool open_database(struct shell *sh) {
    const struct shell_options *o = sh->options;
    struct lam_error err = {0};
    struct lam_options options = {.read_only = o->read_only};
    options.durability = o->sync ? LAM_DURABILITY_SYNC : LAM_DURABILITY_DEFAULT;
    enum lam_code rc = LAM_OK;
    if (strcmp(o->directory, ":memory:") == 0)
        rc = lam_env_mem_new(&sh->env, &err);
    options.env = sh->env;
    if (rc == LAM_OK)
        rc = lam_db_open(sh->env ? "memory" : o->directory, &options, &sh->db, &err);
    if (rc == LAM_OK)
        return true;
    diag_error(&err);
    return false;
}

static bool close_database(struct shell *sh) {
    struct lam_error err = {0};
    bool ok = lam_db_close(sh->db, &err) == LAM_OK;
    if (!ok)
        diag_error(&err);
    if (sh->env && ok)
        lam_env_mem_free(sh->env);
    return ok;
}

static bool run_inputs(struct shell *sh) {
    bool ok = true;
    for (size_t i = 0; i < sh->options->input_count && ok && !sh->quit; i++) {
        const struct input *in = &sh->options->inputs[i];
        struct place place = {.line = 1, .column = 1};
        if (!in->is_file && in->text[0] == '.')
            ok = dot_run(sh, in->text);
        else if (!in->is_file)
            ok = shell_run(sh, in->text, strlen(in->text), &place);
        else if (strcmp(in->text, "-") == 0)
            ok = feed_stream(sh, STDIN_FILENO, NULL);
        else
            ok = feed_file(sh, in->text);
    }
    return ok;
}

static bool run_session(struct shell *sh) {
    const struct shell_options *o = sh->options;
    if (!shell_open_session(sh, o->user, o->has_role ? &o->role : NULL))
        return false;
    bool ok = true;
    interrupt_install();
    if (o->input_count > 0)
        ok = run_inputs(sh);
    else if (isatty(STDIN_FILENO))
        repl_run(sh);
    else
        ok = feed_stream(sh, STDIN_FILENO, NULL);
    return shell_close_session(sh) && ok;
}

/* Whether all output went out. A reader that has gone away wants no message. */
static bool flush_output(void) {
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    if (errno != EPIPE)
        fprintf(stderr, "lamina: write standard output: %s\n", strerror(errno));
    return false;
}

static bool run_database(const struct shell_options *o) {
    struct shell sh = {.options = o, .mode = o->mode};
    if (!open_database(&sh))
        return false;
    bool ok = o->batch ? batch_run(sh.db, o, stdin) : run_session(&sh);
    ok = flush_output() && ok;
    return close_database(&sh) && ok;
}

static bool run_check(const struct shell_options *o) {
    bool ok = tool_check_directory(o->directory);
    return flush_output() && ok;
}

int main(int argc, char **argv) {
    struct shell_options options;
    set_locale();
    signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && strcmp(argv[1], "db") == 0) {
        int status = tool_run(argc - 2, argv + 2);
        return flush_output() || status != 0 ? status : 1;
    }
    enum options_result parsed = options_parse(argc, argv, &options);
    bool ok = true;
    if (parsed == OPTIONS_RUN)
        ok = options.check ? run_check(&options) : run_database(&options);
    options_fini(&options);
    if (parsed == OPTIONS_BAD)
        return 2;
    if (interrupt_seen())
        return 130;
    return ok ? 0 : 1;
}
