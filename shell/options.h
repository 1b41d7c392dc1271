/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line. */
#ifndef LAMINA_SHELL_OPTIONS_H
#define LAMINA_SHELL_OPTIONS_H

#include "lamina/lamina.h"

enum output_mode {
    OUTPUT_TABLE,
    OUTPUT_CSV,
    OUTPUT_JSON,
    OUTPUT_LINE,
};

/* SQL of the command line, in the order given. Strings belong to argv. */
struct input {
    bool is_file;
    const char *text; /* SQL, or the file's path */
};

struct shell_options {
    const char *directory; /* ":memory:" for none */
    const char *user;      /* NULL: not given */
    bool has_role;
    enum lam_role role;
    enum output_mode mode;
    bool batch;
    bool read_only;
    bool sync;
    bool check;
    struct input *inputs; /* owned */
    size_t input_count;
};

enum options_result {
    OPTIONS_RUN,  /* go on */
    OPTIONS_DONE, /* --help or --version was answered */
    OPTIONS_BAD,  /* wrong usage, said on stderr */
};

enum options_result options_parse(int argc, char **argv, struct shell_options *out);
void options_fini(struct shell_options *o);

/* Names to numbers; false if there is none such. */
bool role_parse(const char *name, enum lam_role *role_out);
bool mode_parse(const char *name, enum output_mode *mode_out);
const char *role_name(enum lam_role role);
/* Names ended by NULL, for hints. */
extern const char *const role_names[];
extern const char *const mode_names[];

#endif
