/* SPDX-License-Identifier: Apache-2.0
 *
 * What the operating system tells of the process and its files. */
#ifndef LAMINA_BENCH_SYSTEM_H
#define LAMINA_BENCH_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct usage {
    uint64_t wall_ns, cpu_ns;
    uint64_t
        written_bytes;   /* pages made dirty, mapped ones too: the same measure for all engines */
    uint64_t read_bytes; /* fetched from the device */
    uint64_t syncs;      /* fsync, fdatasync, msync and the like, by whatever library */
};
struct usage usage_now(void);

uint64_t peak_rss(void);      /* bytes since the last reset; mapped file pages count */
void reset_peak_rss(void);    /* where the kernel allows */
uint64_t anonymous_rss(void); /* bytes now, without file pages */
double load_average(void);    /* of the last minute */

/* Waits until no other thread of the process runs or waits for the disk, at most limit_ns. */
void settle(uint64_t limit_ns);

/* Removes a directory tree; a missing one is fine. */
void remove_tree(const char *path);
/* Bytes that the files of a tree take on the disk. */
uint64_t disk_bytes(const char *path);
/* Writes the files of a tree back and asks the kernel to forget their pages; pages that are mapped
 * stay. */
void drop_page_cache(const char *path);

/* Keeps the page cache of a tree to about `bytes`, as a small machine would: another process looks
 * each few milliseconds and drops pages at random. Pages that are mapped stay, dirty ones until
 * they are written. Returns its id for page_limit_end. Called before there are threads. */
int page_limit_begin(const char *path, size_t bytes);
void page_limit_end(int process);

/* Runs this program again with the given arguments (NULL at the end, without argv[0]) and waits;
 * returns its wait status. */
int run_self(const char *const *arguments);

#endif
