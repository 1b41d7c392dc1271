/* SPDX-License-Identifier: Apache-2.0
 *
 * What a database tells while it works: events for programs, log lines for people. Both are asked
 * for in lam_options; without them nothing is said and nothing is printed.
 *
 * Callbacks run one at a time, in the order in which things happened, with no lock of the library
 * held: on the thread of LAM_LANE_EVENT; with manual_background on the thread whose call did the
 * work, before that call returns; and on the caller's thread at the ends of lam_db_open and
 * lam_db_close. Nothing waits for them: whatever a callback does, commits, syncs, dumps and
 * compactions go on. It may call any function of the library on the database but lam_db_close,
 * which is BUSY there. Up to LAM_EVENT_QUEUE notices wait for a slow callback; those that come
 * later are lost, counted in lam_stats.events_lost and by a gap in lam_event.number. */
#ifndef LAMINA_EVENT_H
#define LAMINA_EVENT_H

#include "lamina/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LAM_EVENT_QUEUE 128

enum lam_event_kind {
    LAM_EVENT_DUMP_BEGIN = 1,       /* input_files: memtables, input_bytes: their memory */
    LAM_EVENT_DUMP_END = 2,         /* also output_files, output_bytes, duration_us, code */
    LAM_EVENT_COMPACTION_BEGIN = 3, /* partition, job, levels, input_files, input_bytes */
    LAM_EVENT_COMPACTION_END = 4,   /* also output_files, output_bytes, duration_us, code */
    LAM_EVENT_STALL_BEGIN = 5,      /* stall */
    LAM_EVENT_STALL_END = 6,        /* stall, duration_us */
    LAM_EVENT_BACKGROUND_ERROR = 7, /* code, message: work that nobody waits for failed */
    LAM_EVENT_WRITES_STOPPED = 8,   /* code, message: READ_ONLY until it is reopened */
    LAM_EVENT_PARTITION_DROP = 9,   /* partition: dropped durably */
};

/* What a compaction does with its inputs. */
enum lam_compaction_job {
    LAM_COMPACTION_MERGE = 1, /* rewritten into the target level */
    LAM_COMPACTION_MOVE = 2,  /* given to the target level as they are */
    LAM_COMPACTION_DROP = 3,  /* nobody can see what they hold: removed unread */
};

/* Why writers are held up. */
enum lam_stall {
    LAM_STALL_MEMTABLES = 1, /* a commit waits until a memtable set is dumped */
    LAM_STALL_DEBT = 2,      /* commits are slowed since compaction is behind */
};

/* All of it is valid in the callback only. Fields that a kind does not name are 0. */
struct lam_event {
    enum lam_event_kind kind;
    uint64_t number;       /* of the notice, from 1: log lines count as well */
    int64_t time_us;       /* wall clock when it happened */
    const char *partition; /* name; NULL: the database's */
    enum lam_compaction_job job;
    enum lam_stall stall;
    uint32_t level; /* of the inputs; with MERGE files of `target` are inputs, too */
    uint32_t target;
    uint64_t input_files;
    uint64_t input_bytes;
    uint64_t output_files;
    uint64_t output_bytes;
    uint64_t duration_us;
    enum lam_code code;  /* LAM_OK: it went well */
    const char *message; /* of the failure; "" without one */
};
typedef void (*lam_event_fn)(void *arg, const struct lam_event *event);

enum lam_log_level {
    LAM_LOG_INFO = 1,    /* opened, closed, recovered, with durations */
    LAM_LOG_WARNING = 2, /* survived: an unfinished log end was dropped, descriptors ran out */
    LAM_LOG_ERROR = 3,   /* failed: opening, background work, a sync */
};
/* `text` is one line of UTF-8 without its end, valid in the callback. */
typedef void (*lam_log_fn)(void *arg, enum lam_log_level level, const char *text);

#ifdef __cplusplus
}
#endif
#endif
