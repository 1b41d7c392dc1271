/* SPDX-License-Identifier: Apache-2.0
 *
 * Partitions: registry, creation, dropping, and the read states that readers pick up. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "lsm/db_impl.h"

struct read_state *read_state_new(struct lam_error *err) {
    struct read_state *s = mem_calloc(1, sizeof *s);
    if (!s) {
        IGNORE(mem_fail(err, sizeof *s), "NULL says it");
        return NULL;
    }
    atomic_init(&s->refs, 1);
    return s;
}

void read_state_unref(struct read_state *s) {
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    memtable_unref(s->active);
    for (uint32_t i = 0; i < s->sealed_count; i++)
        memtable_unref(s->sealed[i]);
    version_unref(s->version);
    mem_free(s);
}

static void unref_waiting(struct epoch_node *node) {
    read_state_unref((struct read_state *)((uint8_t *)node - offsetof(struct read_state, waiting)));
}

void read_state_defer_unref(lam_db *db, struct read_state *s) {
    epoch_defer(&db->epochs, &s->waiting, unref_waiting);
}

void read_state_copy_locked(lam_db *db, struct read_state *to, const lam_partition *p) {
    LAM_ASSERT(p->db == db);
    const struct read_state *from = p->state;
    LAM_ASSERT(from && !to->version);
    to->active = from->active ? memtable_ref(from->active) : NULL;
    to->sealed_count = from->sealed_count;
    for (uint32_t i = 0; i < from->sealed_count; i++)
        to->sealed[i] = memtable_ref(from->sealed[i]);
    to->version = version_ref(from->version);
}

static void free_parts(lam_partition *p) {
    read_state_unref(p->state);
    counters_fini(&p->counters);
    mem_free(p);
}

enum lam_code db_partition_new(lam_db *db, uint64_t number, struct lam_slice name,
                               const struct lam_partition_options *options, lam_partition **out,
                               struct lam_error *err) {
    struct lam_partition *p = mem_calloc(1, sizeof *p + name.size + 1);
    if (!p)
        return mem_fail(err, sizeof *p + name.size + 1);
    atomic_init(&p->refs, 1);
    p->db = db;
    p->number = number;
    memcpy(p->name, name.data, name.size);
    p->state = read_state_new(err);
    if (!p->state) {
        free_parts(p);
        return LAM_NO_MEMORY;
    }
    p->state->version = version_ref(db->empty_version);
    if (options)
        p->options = *options;
    p->options.may_exist = false;
    mutex_lock(&db->state);
    p->all_next = db_state(db)->all;
    if (p->all_next)
        p->all_next->all_prev = p;
    db_state(db)->all = p;
    mutex_unlock(&db->state);
    *out = p;
    return LAM_OK;
}

lam_partition *db_partition_ref(lam_partition *p) {
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void db_partition_free(lam_partition *p) {
    lam_db *db = p->db;
    mutex_lock(&db->state);
    if (p->all_prev)
        p->all_prev->all_next = p->all_next;
    else
        db_state(db)->all = p->all_next;
    if (p->all_next)
        p->all_next->all_prev = p->all_prev;
    mutex_unlock(&db->state);
    free_parts(p);
}

void db_partition_unref(lam_partition *p) {
    if (p && atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
        db_partition_free(p);
}

/* Index of the first of `count` partitions whose name is >= `name`. */
static size_t name_position(const struct db_state *s, size_t count, const char *name) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(s->by_name[mid]->name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static size_t number_position(const struct db_state *s, size_t count, uint64_t number) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->by_number[mid]->number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

lam_partition *db_find_name_locked(lam_db *db, const char *name) {
    struct db_state *s = db_state(db);
    size_t at = name_position(s, s->count, name);
    return at < s->count && strcmp(s->by_name[at]->name, name) == 0 ? s->by_name[at] : NULL;
}

lam_partition *db_find_number_locked(lam_db *db, uint64_t number) {
    struct db_state *s = db_state(db);
    size_t at = number_position(s, s->count, number);
    return at < s->count && s->by_number[at]->number == number ? s->by_number[at] : NULL;
}

static enum lam_code reserve_registry_locked(lam_db *db, size_t more, struct lam_error *err)
    REQUIRES(&db->state) {
    struct db_state *s = db_state(db);
    TRY(MEM_GROW(&s->by_number, &s->by_number_capacity, s->count + more, err));
    return MEM_GROW(&s->by_name, &s->by_name_capacity, s->count + more, err);
}

/* Moves what list[at .. end) holds up by `by` and puts `p` before it. */
static void insert_at(lam_partition **list, size_t at, size_t end, size_t by, lam_partition *p) {
    memmove(list + at + by, list + at, (end - at) * sizeof *list);
    list[at + by - 1] = p;
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(lam_partition *const *)a)->name, (*(lam_partition *const *)b)->name);
}

static void remove_at(lam_partition **list, size_t count, size_t at) {
    memmove(list + at, list + at + 1, (count - at - 1) * sizeof *list);
}

/* The same partitions in two orders. Each one that is there is moved once, however many come. */
static void register_reserved_locked(lam_db *db, lam_partition **numbered, lam_partition **named,
                                     size_t count) REQUIRES(&db->state) {
    struct db_state *s = db_state(db);
    LAM_ASSERT(s->by_name_capacity >= s->count + count &&
               s->by_number_capacity >= s->count + count);
    for (size_t i = count, end = s->count; i-- > 0;) {
        size_t at = number_position(s, end, numbered[i]->number);
        insert_at(s->by_number, at, end, i + 1, numbered[i]);
        end = at;
    }
    for (size_t i = count, end = s->count; i-- > 0;) {
        size_t at = name_position(s, end, named[i]->name);
        insert_at(s->by_name, at, end, i + 1, named[i]);
        end = at;
    }
    s->count += count;
}

enum lam_code db_register_locked(lam_db *db, lam_partition *p, struct lam_error *err) {
    TRY(reserve_registry_locked(db, 1, err));
    register_reserved_locked(db, &p, &p, 1);
    return LAM_OK;
}

static void unregister_locked(lam_db *db, lam_partition *p) REQUIRES(&db->state) {
    struct db_state *s = db_state(db);
    size_t at = name_position(s, s->count, p->name);
    LAM_ASSERT(at < s->count && s->by_name[at] == p);
    remove_at(s->by_name, s->count, at);
    at = number_position(s, s->count, p->number);
    LAM_ASSERT(at < s->count && s->by_number[at] == p);
    remove_at(s->by_number, s->count, at);
    s->count--;
}

enum lam_code db_read_begin(lam_db *db, lam_partition *p, const lam_snapshot *snapshot,
                            struct read_state **state_out, uint64_t *sequence_out,
                            struct lam_error *err) {
    struct epoch_reader *r = epoch_enter(&db->epochs);
    struct read_state *s = atomic_load(&p->state);
    if (s)
        read_state_ref(s);
    epoch_leave(&db->epochs, r);
    if (!s)
        return ERR(err, LAM_NOT_FOUND, "partition \"%s\" is dropped", p->name);
    *state_out = s;
    *sequence_out = snapshot ? snapshot->sequence : db_published(db); /* D5: after the state */
    return LAM_OK;
}

lam_partition *db_partition_after(lam_db *db, uint64_t *number) {
    mutex_lock(&db->state);
    const struct db_state *s = db_state(db);
    size_t at = number_position(s, s->count, *number + 1);
    lam_partition *p = at < s->count ? db_partition_ref(s->by_number[at]) : NULL;
    mutex_unlock(&db->state);
    if (p)
        *number = p->number;
    return p;
}

struct version *db_version_of(lam_partition *p) {
    struct version *v = NULL;
    mutex_lock(&p->db->state);
    if (p->state)
        v = version_ref(p->state->version);
    mutex_unlock(&p->db->state);
    return v;
}

static enum lam_code check_name(const lam_db *db, const char *name, const char *call,
                                struct lam_error *err) {
    if (!db || !name)
        return ERR(err, LAM_INVALID, "%s: db and name must not be NULL", call);
    TRY(db_check_process(db, err));
    size_t size = strlen(name), bad;
    if (size == 0)
        return ERR(err, LAM_INVALID, "%s: the partition name is empty", call);
    if (size > LAM_PARTITION_NAME_MAX)
        return ERR(err, LAM_LIMIT, "%s: partition name of %zu bytes, at most %d are allowed", call,
                   size, LAM_PARTITION_NAME_MAX);
    if (!utf8_valid(lam_slice_of(name, size), &bad))
        return ERR(err, LAM_INVALID, "%s: the partition name is not UTF-8 at byte %zu", call, bad);
    return LAM_OK;
}

/* Referenced; NULL: there is none. */
static lam_partition *find(lam_db *db, const char *name) {
    mutex_lock(&db->state);
    lam_partition *p = db_find_name_locked(db, name);
    if (p)
        db_partition_ref(p);
    mutex_unlock(&db->state);
    return p;
}

/* Partitions on their way into the registry, of one call or several. */
struct making {
    lam_partition *
        *given; /* `count` for the callers, those that were there among them; references */
    size_t count;
    lam_partition **fresh; /* by number, in the callers' order; references until registered */
    lam_partition **named; /* the same by name */
    struct manifest_partition *edits;
    size_t made;
};

static void making_fini(struct making *m) {
    for (size_t i = 0; i < m->made; i++)
        db_partition_unref(m->fresh[i]);
    for (size_t i = 0; m->given && i < m->count; i++)
        db_partition_unref(m->given[i]);
    mem_free(m->given);
    mem_free(m->fresh);
    mem_free(m->named);
    mem_free(m->edits);
}

static enum lam_code sort_names(struct making *m, struct lam_error *err) {
    memcpy(m->named, m->fresh, m->made * sizeof *m->named);
    qsort(m->named, m->made, sizeof *m->named, by_name);
    for (size_t i = 1; i < m->made; i++)
        if (strcmp(m->named[i - 1]->name, m->named[i]->name) == 0)
            return ERR(err, LAM_INVALID, "partition \"%s\" is to be made twice", m->named[i]->name);
    return LAM_OK;
}

static enum lam_code make_call(lam_db *db, const struct db_creation *call, struct making *m,
                               struct lam_error *err) {
    for (size_t i = 0; i < call->count; i++) {
        struct lam_slice name = lam_slice_str(call->names[i]);
        lam_partition **p = &m->fresh[m->made], **given = &m->given[m->count++];
        *given = find(db, call->names[i]);
        if (*given && !(call->options && call->options->may_exist))
            return ERR(err, LAM_EXISTS, "partition \"%s\" exists", call->names[i]);
        if (*given)
            continue;
        TRY(db_partition_new(db, db_next_number(db), name, call->options, p, err));
        m->edits[m->made++] = (struct manifest_partition){(*p)->number, name, (*p)->options};
        *given = db_partition_ref(*p);
    }
    return LAM_OK;
}

static enum lam_code make_fresh(lam_db *db, const struct db_creation *calls, struct making *m,
                                struct lam_error *err) {
    size_t most = 0;
    for (const struct db_creation *call = calls; call; call = call->next)
        most += call->count;
    m->given = mem_calloc(most, sizeof *m->given);
    m->fresh = mem_calloc(most, sizeof *m->fresh);
    m->named = mem_calloc(most, sizeof *m->named);
    m->edits = mem_calloc(most, sizeof *m->edits);
    if (!m->given || !m->fresh || !m->named || !m->edits)
        return mem_fail(err, most * sizeof *m->edits);
    for (; calls; calls = calls->next)
        TRY(make_call(db, calls, m, err));
    return sort_names(m, err);
}

static enum lam_code create_locked(lam_db *db, struct making *m, struct lam_error *err)
    REQUIRES(&db->manifest) {
    /* Room first: once the edit is durable the partitions must get into the registry. Only holders
     * of `manifest` add, so it stays. */
    mutex_lock(&db->state);
    enum lam_code rc = reserve_registry_locked(db, m->made, err);
    mutex_unlock(&db->state);
    struct manifest_edit edit = {.created = m->edits, .created_count = m->made};
    TRY(rc);
    TRY(db_manifest_append_locked(db, &edit, err));
    mutex_lock(&db->state);
    register_reserved_locked(db, m->fresh, m->named, m->made);
    mutex_unlock(&db->state);
    return LAM_OK;
}

/* All of the calls, or none. */
static enum lam_code create_durably(lam_db *db, const struct db_creation *calls,
                                    struct lam_error *err) REQUIRES(&db->partitions) {
    struct making m = {0};
    /* What was committed before must not be lost while this survives. */
    TRY(db_not_done(db, db_sync_to(db, db_published(db), err), err));
    mutex_lock(&db->manifest);
    enum lam_code rc = db_check_writable(db, err);
    if (rc == LAM_OK)
        rc = make_fresh(db, calls, &m, err);
    if (rc == LAM_OK && m.made > 0)
        rc = create_locked(db, &m, err);
    mutex_unlock(&db->manifest);
    if (rc == LAM_OK) {
        m.made = 0; /* the references are the registry's */
        for (size_t at = 0; calls; at += calls->count, calls = calls->next) {
            if (!calls->out)
                continue;
            memcpy(calls->out, m.given + at, calls->count * sizeof *m.given);
            memset(m.given + at, 0, calls->count * sizeof *m.given);
        }
    }
    making_fini(&m);
    return rc;
}

/* By one edit; if that can't be, each by its own, so that no call fails for another's reason. */
static void create_calls(lam_db *db, struct db_creation *calls) REQUIRES(&db->partitions) {
    struct lam_error cause = {0};
    enum lam_code rc = create_durably(db, calls, &cause);
    bool apart = calls->next && rc != LAM_OK && rc != LAM_UNKNOWN_OUTCOME;
    while (calls) {
        struct db_creation *next = calls->next;
        calls->next = NULL;
        if (apart)
            calls->rc = create_durably(db, calls, calls->err);
        else
            calls->rc = rc == LAM_OK ? rc : error_pass(calls->err, rc, &cause);
        calls->done = true;
        calls = next;
    }
}

/* Who comes while another is at it waits, and then makes what all others want who wait, too: like
 * synced commits, partitions made by several threads share a sync. */
static enum lam_code create(lam_db *db, struct db_creation *call) {
    TRY(db_check_writable(db, call->err));
    mutex_lock(&db->state);
    call->next = db_state(db)->creations;
    db_state(db)->creations = call;
    mutex_unlock(&db->state);
    mutex_lock(&db->partitions);
    if (!call->done) {
        mutex_lock(&db->state);
        struct db_creation *calls = db_state(db)->creations;
        db_state(db)->creations = NULL;
        mutex_unlock(&db->state);
        create_calls(db, calls);
        LAM_ASSERT(call->done);
    }
    mutex_unlock(&db->partitions);
    return call->rc;
}

enum lam_code lam_partition_create(lam_db *db, const char *name,
                                   const struct lam_partition_options *options,
                                   lam_partition **partition_out, struct lam_error *err) {
    TRY(check_name(db, name, "lam_partition_create", err));
    TRY(db_options_check_partition(options, "lam_partition_create", err));
    if (!partition_out)
        return ERR(err, LAM_INVALID, "lam_partition_create: partition_out must not be NULL");
    lam_partition *there = find(db, name);
    if (!there)
        return create(
            db,
            &(struct db_creation){
                .names = &name, .count = 1, .options = options, .out = partition_out, .err = err});
    if (options && options->may_exist) {
        *partition_out = there;
        return LAM_OK;
    }
    db_partition_unref(there);
    TRY(db_check_writable(db, err));
    return ERR(err, LAM_EXISTS, "partition \"%s\" exists", name);
}

enum lam_code lam_partition_create_many(lam_db *db, const char *const *names, size_t count,
                                        const struct lam_partition_options *options,
                                        lam_partition **partitions_out, struct lam_error *err) {
    if (!db || !names)
        return ERR(err, LAM_INVALID, "lam_partition_create_many: db and names must not be NULL");
    TRY(db_check_process(db, err));
    TRY(db_options_check_partition(options, "lam_partition_create_many", err));
    for (size_t i = 0; i < count; i++)
        TRY(check_name(db, names[i], "lam_partition_create_many", err));
    struct db_creation call = {
        .names = names, .count = count, .options = options, .out = partitions_out, .err = err};
    return count > 0 ? create(db, &call) : db_check_writable(db, err);
}

enum lam_code lam_partition_open(lam_db *db, const char *name, lam_partition **partition_out,
                                 struct lam_error *err) {
    TRY(check_name(db, name, "lam_partition_open", err));
    if (!partition_out)
        return ERR(err, LAM_INVALID, "lam_partition_open: partition_out must not be NULL");
    lam_partition *p = find(db, name);
    if (!p)
        return ERR(err, LAM_NOT_FOUND, "there is no partition \"%s\"", name);
    *partition_out = p;
    return LAM_OK;
}

/* Stops or allows writes to a partition; false if it was so already. */
static bool set_dropping(lam_db *db, lam_partition *p, bool dropping) {
    mutex_lock(&db->commit);
    bool was = atomic_exchange(&p->dropping, dropping);
    mutex_unlock(&db->commit);
    return was != dropping;
}

/* Takes a dropped partition out of the writers' list. */
static void forget_active(lam_db *db, lam_partition *p) {
    bool found = false;
    mutex_lock(&db->commit);
    struct db_commit *c = db_commit(db);
    for (size_t i = 0; p->is_active && i < c->active_count; i++) {
        if (c->active[i] != p)
            continue;
        c->active[i] = c->active[--c->active_count];
        size_t bytes = memtable_bytes(p->active);
        c->active_bytes -= bytes < c->active_bytes ? bytes : c->active_bytes;
        found = true;
        break;
    }
    p->is_active = false;
    p->active = NULL;
    mutex_unlock(&db->commit);
    if (found)
        db_partition_unref(p);
}

static void mark_obsolete(const struct version *v) {
    for (uint32_t level = 0; level < VERSION_LEVELS; level++)
        for (size_t i = 0; i < v->levels[level]->count; i++)
            atomic_store_explicit(&v->levels[level]->files[i]->obsolete, true,
                                  memory_order_release);
}

static enum lam_code drop_registered(lam_db *db, lam_partition *p, struct lam_error *err)
    REQUIRES(&db->partitions) {
    TRY(db_not_done(db, db_sync_to(db, db_published(db), err), err));
    struct read_state *old = NULL;
    mutex_lock(&db->manifest);
    struct manifest_edit edit = {.dropped = &p->number, .dropped_count = 1};
    enum lam_code rc = db_manifest_append_locked(db, &edit, err);
    if (rc == LAM_OK) {
        mutex_lock(&db->state);
        unregister_locked(db, p);
        db_note_gone_locked(db, p);
        db_unscore_locked(db, p);
        db_pace_locked(db);
        old = p->state;
        p->state = NULL;
        atomic_store(&p->dropped, true);
        mutex_unlock(&db->state);
    }
    mutex_unlock(&db->manifest);
    if (rc != LAM_OK)
        return rc;
    mark_obsolete(old->version);
    forget_active(db, p);
    read_state_defer_unref(db, old);
    epoch_reclaim(&db->epochs);
    db_partition_unref(p); /* the registry's */
    gc_drain(&db->gc);
    notify_event(&db->notify,
                 &(struct lam_event){.kind = LAM_EVENT_PARTITION_DROP, .partition = p->name});
    notify_end_call(&db->notify);
    return LAM_OK;
}

enum lam_code lam_partition_drop(lam_db *db, lam_partition *partition, struct lam_error *err) {
    TRY(db_check_partition(db, partition, "lam_partition_drop", err));
    TRY(db_check_writable(db, err));
    if (!set_dropping(db, partition, true))
        return ERR(err, LAM_NOT_FOUND, "partition \"%s\" is dropped", partition->name);
    mutex_lock(&db->partitions);
    enum lam_code rc = drop_registered(db, partition, err);
    mutex_unlock(&db->partitions);
    if (rc != LAM_OK)
        set_dropping(db, partition, false);
    return rc;
}

void lam_partition_release(lam_partition *partition) {
    if (partition && !db_is_foreign(partition->db))
        db_partition_unref(partition);
}

const char *lam_partition_name(const lam_partition *partition) {
    return partition ? partition->name : NULL;
}

/* Copies all names, so that `fn` runs without a lock. */
static enum lam_code copy_names(lam_db *db, struct buf *out, struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    mutex_lock(&db->state);
    struct db_state *s = db_state(db);
    for (size_t i = 0; i < s->count && rc == LAM_OK; i++)
        rc = buf_append(out, s->by_name[i]->name, strlen(s->by_name[i]->name) + 1, err);
    mutex_unlock(&db->state);
    return rc;
}

enum lam_code lam_partition_list(lam_db *db, lam_partition_fn fn, void *arg,
                                 struct lam_error *err) {
    if (!db || !fn)
        return ERR(err, LAM_INVALID, "lam_partition_list: db and fn must not be NULL");
    TRY(db_check_process(db, err));
    struct buf names = {0};
    enum lam_code rc = copy_names(db, &names, err);
    for (size_t at = 0; rc == LAM_OK && at < names.size;) {
        const char *name = (const char *)names.data + at;
        if (!fn(arg, name))
            break;
        at += strlen(name) + 1;
    }
    buf_fini(&names);
    return rc;
}
