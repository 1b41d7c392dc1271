/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of partitions with a TTL come due by time alone: who looks, and when. Every start of
 * background work looks; in a database at rest a delayed task does, at the time the next file
 * expires. Which files may go is pick.c's. */
#include "lsm/db_impl.h"

#define LOOK_SOONEST_US 1000000
#define LOOK_LATEST_US  3600000000
/* What has expired but is held back, by a snapshot most likely, is looked at again after this. */
#define LOOK_AGAIN_US 60000000

/* One partition with a TTL, referenced. */
static lam_partition *ttl_partition(lam_db *db, size_t *at) {
    lam_partition *found = NULL;
    mutex_lock(&db->state);
    const struct db_state *s = db_state(db);
    for (; *at < s->count && !found; (*at)++)
        if (s->by_number[*at]->options.ttl_seconds)
            found = db_partition_ref(s->by_number[*at]);
    mutex_unlock(&db->state);
    return found;
}

/* When the first file of a version expires; INT64_MAX: it has none, or never. */
static int64_t first_expiry(const struct version *v, uint32_t ttl_seconds) {
    int64_t first = INT64_MAX, at;
    for (uint32_t level = 0; level < VERSION_LEVELS; level++)
        for (size_t i = 0; i < v->levels[level]->count; i++)
            if (!__builtin_add_overflow(v->levels[level]->files[i]->properties.written_us,
                                        (int64_t)ttl_seconds * 1000000, &at) &&
                at < first)
                first = at;
    return first;
}

/* Scores all partitions with a TTL anew; gives when the next of their files expires. */
static int64_t rescore(lam_db *db) {
    lam_partition *p;
    int64_t next = INT64_MAX;
    for (size_t at = 0; (p = ttl_partition(db, &at)) != NULL; db_partition_unref(p)) {
        struct version *v = db_version_of(p);
        if (!v)
            continue;
        int64_t first = first_expiry(v, p->options.ttl_seconds);
        next = first < next ? first : next;
        version_unref(v);
        db_rescore(db, p);
    }
    return next;
}

static void look_task(void *arg) {
    lam_db *db = ((struct db_task *)arg)->db;
    mutex_lock(&db->state);
    db_state(db)->ttl_look_us = INT64_MAX;
    mutex_unlock(&db->state);
    db_bg_kick(db, false);
}

/* Has a look queued for the time `next`, unless one is queued for then or earlier. */
static void arm(lam_db *db, int64_t next) {
    int64_t now = db_clock_us(db), delay = LOOK_AGAIN_US;
    if (next > now)
        delay = next - now < LOOK_LATEST_US ? next - now + LOOK_SOONEST_US : LOOK_LATEST_US;
    mutex_lock(&db->state);
    struct db_state *s = db_state(db);
    bool due = now + delay < s->ttl_look_us && !atomic_load(&db->closing);
    if (due)
        s->ttl_look_us = now + delay;
    mutex_unlock(&db->state);
    /* Without an executor's thread nothing is queued; then starts of other work look. */
    if (due)
        IGNORE(
            env_submit(db->env, LAM_LANE_COMPACT, (uint64_t)delay, look_task, &db->ttl_task, NULL),
            "files stay a little longer");
}

void db_ttl_look(lam_db *db) {
    int64_t next = rescore(db);
    if (next != INT64_MAX && !db->options.manual_background)
        arm(db, next);
}
