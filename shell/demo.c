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
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell/demo.h"

/* What the walk over the database directory has found; nftw takes no argument for it. */
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
    lam_stmt *stmt = demo_prepare(d->system, sql);
    if (!demo_step(stmt, sql))
        demo_die("no row: %s", sql);
    unsigned long long rows = (unsigned long long)lam_column_int64(stmt, 4);
    struct lam_slice job = lam_column_text(stmt, 0);
    printf("   %s\n   -> job %.*s", sql, (int)job.size, (const char *)job.data);
    printf(": %s rows, files written: %s\n", demo_grouped(rows),
           demo_grouped((unsigned long long)lam_column_int64(stmt, 5)));
    lam_finalize(stmt);
    return rows;
}

static void flush_tables(struct demo *d) {
    demo_begin(d, "Flush to Parquet, a file for each user");
    unsigned long long rows = flush_table(d, "STORAGE FLUSH TABLE debian.packages") +
                              flush_table(d, "STORAGE FLUSH TABLE debian.sections");
    if (rows != d->package_count + d->section_count)
        demo_die("the flush wrote %llu rows, expected %zu", rows,
                 d->package_count + d->section_count);
    nftw(d->directory, visit_file, 32, FTW_PHYS);
    if (found.files < d->owner_count)
        demo_die("%llu Parquet files for %zu users", found.files, d->owner_count);
    printf("   %s Parquet files, %s bytes; the largest:\n   %s, %s bytes\n",
           demo_grouped(found.files), demo_grouped(found.bytes),
           found.largest + strlen(d->directory) + 1,
           demo_grouped((unsigned long long)found.largest_bytes));
    demo_end(d, rows, "%s rows, %s files", demo_grouped(rows), demo_grouped(found.files));
}

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
            demo_die("make directory %s: %s", given, strerror(errno));
        return;
    }
    snprintf(d->directory, sizeof d->directory, "%s/lamina-demo-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(d->directory))
        demo_die("make a temporary directory %s: %s", d->directory, strerror(errno));
    d->temporary = true;
}

static void print_table(struct demo *d) {
    printf("\n%-54s %-42s %8s %12s\n", "step", "amount", "seconds", "per second");
    for (size_t i = 0; i < d->step_count; i++) {
        const struct step *s = &d->steps[i];
        printf("%-54s %-42s %8.2f %12s\n", s->what, s->amount, s->seconds,
               s->rate > 0 ? demo_grouped((unsigned long long)s->rate) : "");
    }
    printf("%-54s %-42s %8.2f\n", "all", "every answer as expected", demo_now() - d->started);
}

static void run_steps(struct demo *d, const char *file, const char *given) {
    demo_load_index(d, file);
    make_directory(d, given);
    printf("\nDatabase: %s%s\n", d->directory, d->temporary ? " (removed at the end)" : "");
    demo_open(d);
    demo_make_tables(d);
    demo_load_rows(d);
    demo_ask_all(d, "all rows hot");
    demo_show_isolation(d);
    flush_tables(d);
    demo_rewrite_some(d);
    demo_ask_all(d, "hot and cold");
    demo_kill_writers(d);
    demo_close(d);
    print_table(d);
}

int main(int argc, char **argv) {
    const char *file = NULL, *given = NULL;
    if (argc == 4 && strcmp(argv[1], "--writer") == 0)
        return demo_run_writer(argv[2], atoll(argv[3]));
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--packages") == 0 && i + 1 < argc)
            file = argv[++i];
        else if (argv[i][0] != '-' && !given)
            given = argv[i];
        else
            demo_die("usage: lamina-demo [--packages FILE] [DIR]");
    }
    struct demo d = {.started = demo_now()};
    printf("Lamina %s: Debian's package index, each maintainer a user of his own\n",
           LAM_VERSION_STRING);
    run_steps(&d, file, given);
    if (d.temporary)
        nftw(d.directory, remove_one, 32, FTW_DEPTH | FTW_PHYS);
    return fflush(stdout) == 0 ? 0 : 1;
}