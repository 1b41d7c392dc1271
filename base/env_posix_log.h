/* SPDX-License-Identifier: Apache-2.0
 *
 * Small writes to a log file without a system call. A window of the file is mapped, and a write
 * into it is a copy: the same page cache, so the same readers, the same syncs and the same survival
 * of the process's death as with pwrite.
 *
 * A store to a mapped page can fail only by SIGBUS, which nobody may have to expect of a library.
 * So it happens only where the kernel has said just before that the page is there and may be
 * written (MADV_POPULATE_WRITE), in a range whose blocks are reserved, on a file system that then
 * needs no others to write them back. A sync takes that leave back from the pages it cleans; they
 * are asked for again. Whatever is refused, the file is written by pwrite from there on, which says
 * why in an error.
 *
 * All calls are the file's one writer's, but posix_map_synced. */
#ifndef LAMINA_BASE_ENV_POSIX_LOG_H
#define LAMINA_BASE_ENV_POSIX_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct posix_map {
    uint8_t *window;     /* NULL: none is mapped */
    uint64_t start;      /* of the window in the file; at a page */
    uint64_t page;       /* bytes of one */
    size_t size;         /* of the window */
    uint64_t limit;      /* bytes of the file that may be mapped; 0: it is written by pwrite */
    uint64_t from, to;   /* part of the file that may be stored to */
    uint64_t begun;      /* end of the pages that were ever made ready: what lies behind is made
                            ready in larger portions */
    atomic_bool cleaned; /* set by the syncer, taken by the writer: `from` and `to` are void */
};

/* The first `limit` bytes of the file have blocks of their own. */
void posix_map_begin(struct posix_map *m, int fd, uint64_t limit);
/* Writes what is small and lies in the mapped range; false: nothing sure is written, use pwrite. */
bool posix_map_write(struct posix_map *m, int fd, uint64_t offset, const void *data, size_t size);
/* Another thread may be writing. */
void posix_map_synced(struct posix_map *m);
/* Gives the window up; pwrite is used until posix_map_begin is called again. */
void posix_map_end(struct posix_map *m);

#endif
