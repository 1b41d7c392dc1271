/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line. */
#include "shell/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "shell/text.h"

const char *const role_names[] = {"anonymous", "user", "service", "dba", "system", NULL};
const char *const mode_names[] = {"table", "csv", "json", "line", NULL};

static const char help[] =
    "Usage: lamina [options] DIR [SQL]\n"
    "       lamina db COMMAND ...   (see lamina db --help)\n"
    "\n"
    "Opens the database in directory DIR, made if it is missing, or one in memory with\n"
    ":memory:. Runs SQL from the argument, from -c and -f in the order given, or from\n"
    "standard input; asks for statements when that is a terminal.\n"
    "\n"
    "  -c, --command SQL   run SQL (may be repeated)\n"
    "  -f, --file FILE     run the statements of FILE (may be repeated; - is standard input)\n"
    "  -u, --user NAME     open the session as this user (default: system)\n"
    "  -r, --role ROLE     anonymous, user, service, dba or system (default: what system.users\n"
    "                      gives the user of --user; system without --user)\n"
    "  -m, --mode MODE     table, csv, json or line (default: table)\n"
    "      --batch         machine protocol: a JSON object a line in, JSON lines out\n"
    "      --read-only     open for reading only\n"
    "      --sync          acknowledge a write only when it survives a power loss\n"
    "      --check         verify the whole database and report; run nothing\n"
    "  -V, --version       print the version\n"
    "  -h, --help          print this\n"
    "\n"
    "Exit status: 0 all done, 1 after an error, 2 wrong usage.\n";

static bool name_index(const char *const *names, const char *name, int *index_out) {
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], name) == 0) {
            *index_out = i;
            return true;
        }
    }
    return false;
}

bool role_parse(const char *name, enum lam_role *role_out) {
    int index;
    if (!name_index(role_names, name, &index))
        return false;
    *role_out = (enum lam_role)index;
    return true;
}

bool mode_parse(const char *name, enum output_mode *mode_out) {
    int index;
    if (!name_index(mode_names, name, &index))
        return false;
    *mode_out = (enum output_mode)index;
    return true;
}

const char *role_name(enum lam_role role) {
    return role_names[role];
}

static enum options_result bad_usage(const char *what, const char *value) {
    fprintf(stderr, "lamina: %s%s%s%s\nTry: lamina --help\n", what, value ? " \"" : "",
            value ? value : "", value ? "\"" : "");
    return OPTIONS_BAD;
}

static void add_input(struct shell_options *o, bool is_file, const char *text) {
    o->inputs = memory_resize(o->inputs, (o->input_count + 1) * sizeof *o->inputs);
    o->inputs[o->input_count++] = (struct input){.is_file = is_file, .text = text};
}

enum long_option { OPT_BATCH = 256, OPT_READ_ONLY, OPT_SYNC, OPT_CHECK };

static const struct option long_options[] = {
    {"command", required_argument, NULL, 'c'},
    {"file", required_argument, NULL, 'f'},
    {"user", required_argument, NULL, 'u'},
    {"role", required_argument, NULL, 'r'},
    {"mode", required_argument, NULL, 'm'},
    {"batch", no_argument, NULL, OPT_BATCH},
    {"read-only", no_argument, NULL, OPT_READ_ONLY},
    {"sync", no_argument, NULL, OPT_SYNC},
    {"check", no_argument, NULL, OPT_CHECK},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static enum options_result take_option(struct shell_options *o, int letter) {
    switch (letter) {
    case 'c':
    case 'f':
        add_input(o, letter == 'f', optarg);
        return OPTIONS_RUN;
    case 'u':
        o->user = optarg;
        return OPTIONS_RUN;
    case 'r':
        o->has_role = role_parse(optarg, &o->role);
        return o->has_role ? OPTIONS_RUN : bad_usage("there is no role", optarg);
    case 'm':
        return mode_parse(optarg, &o->mode) ? OPTIONS_RUN : bad_usage("there is no mode", optarg);
    case OPT_BATCH:
        o->batch = true;
        return OPTIONS_RUN;
    case OPT_READ_ONLY:
        o->read_only = true;
        return OPTIONS_RUN;
    case OPT_SYNC:
        o->sync = true;
        return OPTIONS_RUN;
    case OPT_CHECK:
        o->check = true;
        return OPTIONS_RUN;
    case 'V':
        printf("lamina %s\n", LAM_VERSION_STRING);
        return OPTIONS_DONE;
    case 'h':
        fputs(help, stdout);
        return OPTIONS_DONE;
    default: /* getopt_long has said what is wrong */
        fputs("Try: lamina --help\n", stderr);
        return OPTIONS_BAD;
    }
}

static enum options_result check_usage(const struct shell_options *o) {
    if (o->batch && o->input_count > 0)
        return bad_usage("--batch reads standard input: no SQL, -c or -f beside it", NULL);
    if (o->check && (o->batch || o->input_count > 0))
        return bad_usage("--check runs nothing: no SQL, -c, -f or --batch beside it", NULL);
    if (o->check && strcmp(o->directory, ":memory:") == 0)
        return bad_usage("--check: a database in memory has no files", NULL);
    return OPTIONS_RUN;
}

enum options_result options_parse(int argc, char **argv, struct shell_options *out) {
    *out = (struct shell_options){.role = LAM_ROLE_SYSTEM};
    int letter;
    while ((letter = getopt_long(argc, argv, "c:f:u:r:m:Vh", long_options, NULL)) != -1) {
        enum options_result result = take_option(out, letter);
        if (result != OPTIONS_RUN)
            return result;
    }
    if (optind == argc)
        return bad_usage("no database directory given", NULL);
    out->directory = argv[optind++];
    if (optind < argc)
        add_input(out, false, argv[optind++]);
    if (optind < argc)
        return bad_usage("one argument too many:", argv[optind]);
    return check_usage(out);
}

void options_fini(struct shell_options *o) {
    free(o->inputs);
    o->inputs = NULL;
    o->input_count = 0;
}
