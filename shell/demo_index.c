/* SPDX-License-Identifier: Apache-2.0
 *
 * Debian's package index: records of "Field: value" lines parted by empty lines. */
#include <errno.h>
#include <stdlib.h>

#include "shell/demo.h"

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
    const char *user = close && close > open + 1 ? demo_copy(open + 1, (size_t)(close - open - 1))
                                                 : or_unknown(maintainer);
    return strlen(user) <= 256 ? user : "unknown";
}

static void add_package(struct demo *d, const struct package *p, const char *maintainer) {
    if (!p->name)
        return;
    if (d->package_count == d->package_capacity) {
        d->package_capacity = d->package_capacity ? d->package_capacity * 2 : 4096;
        d->packages = demo_resize(d->packages, d->package_capacity * sizeof *d->packages);
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
            p.name = demo_copy(v, strlen(v));
        } else if ((v = field(line, "Version"))) {
            p.version = demo_copy(v, strlen(v));
        } else if ((v = field(line, "Section"))) {
            p.section = demo_copy(v, strlen(v));
        } else if ((v = field(line, "Architecture"))) {
            p.architecture = demo_copy(v, strlen(v));
        } else if ((v = field(line, "Maintainer"))) {
            maintainer = demo_copy(v, strlen(v));
        } else if ((v = field(line, "Description")) || (v = field(line, "Description-en"))) {
            p.description = demo_copy(v, strlen(v));
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
    d->owners = demo_resize(NULL, kept * sizeof *d->owners);
    for (size_t i = 0; i < kept; i++) {
        struct owner *o = d->owner_count ? &d->owners[d->owner_count - 1] : NULL;
        if (o && strcmp(o->user, d->packages[i].user) == 0)
            o->count++;
        else
            d->owners[d->owner_count++] = (struct owner){d->packages[i].user, i, 1};
    }
    qsort(d->owners, d->owner_count, sizeof *d->owners, busiest_first);
}

void demo_load_index(struct demo *d, const char *file) {
    demo_begin(d, "Read the package index");
    FILE *in = file ? fopen(file, "r") : popen("apt-cache dumpavail 2>/dev/null", "r");
    if (!in)
        demo_die("open %s: %s", file ? file : "apt-cache dumpavail", strerror(errno));
    read_packages(d, in);
    if (file)
        fclose(in);
    else
        pclose(in);
    if (d->package_count == 0)
        demo_die(
            file ? "%s has no package records"
                 : "%s gave no records: run apt-get update first, or give a file with --packages",
            file ? file : "apt-cache dumpavail");
    sort_packages(d);
    demo_end(d, d->package_count, "%s packages of %s maintainers", demo_grouped(d->package_count),
             demo_grouped(d->owner_count));
}
