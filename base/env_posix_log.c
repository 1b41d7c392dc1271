/* SPDX-License-Identifier: Apache-2.0
 *
 * The sliding window through which a log file is written. */
#include "base/env_posix_log.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/env_posix.h"

/* Address space and resident memory of a log are one window, however long it is. */
#define WINDOW_BYTES (1u << 20)
/* Beyond this a call's price is lost in the copy's, and the kernel copies to fresh pages faster. */
#define SMALL_BYTES 8192u
/* Bytes behind a write that are made ready with it, so that the kernel is asked once for many
 * records, and one sync turns the reserved blocks of many into written ones. More would save little
 * and be felt as the delay of one write. */
#define AHEAD_BYTES (16u << 10)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; older ones refuse it */
#endif

/* File systems that overwrite in place: reserved blocks stay the file's, so writing a page back
 * needs no space. Not btrfs, ZFS, bcachefs (copy on write), overlays and network file systems. */
static bool keeps_blocks(int fd) {
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0)
        return false;
    switch ((unsigned long)fs.f_type) {
    case 0xEF53:     /* ext4 */
    case 0x58465342: /* XFS */
    case 0x01021994: /* tmpfs */
        return true;
    default:
        return false;
    }
}

void posix_map_begin(struct posix_map *m, int fd, uint64_t limit) {
    if (m->window)
        posix_map_end(m);
    m->limit = keeps_blocks(fd) ? limit : 0;
    m->page = (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool slide(struct posix_map *m, int fd, uint64_t offset) {
    uint64_t start = offset / m->page * m->page;
    uint64_t size = m->limit - start < WINDOW_BYTES ? m->limit - start : WINDOW_BYTES;
    if (m->window)
        munmap(m->window, m->size);
    m->window = NULL;
    void *at = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)start);
    if (at == MAP_FAILED)
        return false;
    m->window = at;
    m->start = start;
    m->size = (size_t)size;
    m->from = m->to = start;
    return true;
}

static bool make_ready(struct posix_map *m, uint64_t offset, uint64_t end) {
    uint64_t from = offset / m->page * m->page;
    uint64_t to = end > m->begun ? end + AHEAD_BYTES : end;
    to = (to + m->page - 1) / m->page * m->page;
    if (to > m->start + m->size)
        to = m->start + m->size;
    uint8_t *at = m->window + (from - m->start);
    if (POSIX_RETRY(madvise(at, (size_t)(to - from), MADV_POPULATE_WRITE)) != 0)
        return false;
    m->from = from;
    m->to = to;
    if (to > m->begun)
        m->begun = to;
    return true;
}

bool posix_map_write(struct posix_map *m, int fd, uint64_t offset, const void *data, size_t size) {
    /* Of a log that gets a header and nothing else no page is read ahead. */
    if (offset == 0 || size > SMALL_BYTES || offset > m->limit || size > m->limit - offset)
        return false;
    uint64_t end = offset + size;
    bool mapped = m->window && offset >= m->start && end <= m->start + m->size;
    /* Relaxed: the flag stands for nothing else in memory. Missed, the store is a page fault. */
    if (atomic_load_explicit(&m->cleaned, memory_order_relaxed)) {
        atomic_store_explicit(&m->cleaned, false, memory_order_relaxed);
        m->from = m->to = m->start;
    }
    if ((!mapped && !slide(m, fd, offset)) ||
        ((offset < m->from || end > m->to) && !make_ready(m, offset, end))) {
        posix_map_end(m);
        return false;
    }
    LAM_ASSERT(offset >= m->start && end <= m->start + m->size);
    memcpy(m->window + (offset - m->start), data, size);
    return true;
}

void posix_map_synced(struct posix_map *m) {
    atomic_store_explicit(&m->cleaned, true, memory_order_relaxed);
}

void posix_map_end(struct posix_map *m) {
    if (m->window)
        munmap(m->window, m->size);
    m->window = NULL;
    m->limit = 0;
    m->from = m->to = m->begun = 0;
}
