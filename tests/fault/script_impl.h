/* SPDX-License-Identifier: Apache-2.0
 *
 * Between script.c and the two parts. */
#ifndef LAMINA_TESTS_FAULT_SCRIPT_IMPL_H
#define LAMINA_TESTS_FAULT_SCRIPT_IMPL_H

#include <stdio.h>

#include "tests/fault/script.h"

enum step_flags {
    STEP_SYNCS = 1,
    STEP_SLOW = 2,
    STEP_MARKED = 4, /* takes effect by a mark, and what fails after it is finished later */
};

struct script_part_ops {
    unsigned steps;
    const char *(*name)(unsigned step);
    unsigned (*flags)(unsigned step);
    enum lam_code (*run)(struct script *s, unsigned step);
    enum lam_code (*opened)(struct script *s); /* picks up handles */
    void (*closing)(struct script *s);         /* gives them back */
    void (*forget)(struct script *s);          /* they are dead */
    enum lam_code (*dump)(struct script *s, FILE *out);
    enum lam_code (*probe)(struct script *s, uint64_t value);
    enum lam_code (*probe_read)(struct script *s, uint64_t *value_out);
    enum lam_code (*upkeep)(struct script *s);
    /* With the database open: files that nothing names, or names without file. */
    bool (*files)(struct script *s);
};

extern const struct script_part_ops script_engine, script_sql;

/* Copies the database to a directory beside it, which must come out whole, and removes that
 * (script_copies.c): a checkpoint; two backups, one restored, one deleted. */
enum lam_code script_checkpoint(struct script *s, unsigned arg);
enum lam_code script_backup(struct script *s, unsigned arg);

/* Closes and opens again, with options. */
enum lam_code script_reopen(struct script *s);
enum lam_code script_die(struct script *s, bool power);

#endif
