/* SPDX-License-Identifier: Apache-2.0
 *
 * Open segment files, shared by all readers of a database: a bounded list, the one unused for the
 * longest time goes first. Its footer is parsed once; readers may hold on to a file that the list
 * has let go of. */
#include "flush/cold_set.h"

/* Files held open while nobody reads them. */
#define OPEN_FILES_MAX 256

void cold_file_unref(struct cold_file *file) {
    if (!file || atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel) != 1)
        return;
    parquet_reader_close(file->reader);
    mem_free(file);
}

static struct cold_file *ref(struct cold_file *file) {
    atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
    return file;
}

static struct cold_file *find_locked(struct flush *f, struct table_id table, uint64_t number)
    REQUIRES(f->files_mu) {
    struct flush_files_guarded *g = flush_files(f);
    for (size_t i = 0; i < g->count; i++) {
        if (g->items[i]->table == table.number && g->items[i]->number == number) {
            g->items[i]->used = ++g->clock;
            return ref(g->items[i]);
        }
    }
    return NULL;
}

/* Takes a place in the list; gives the file that lost its own, if any. */
static struct cold_file *insert_locked(struct flush *f, struct cold_file *file)
    REQUIRES(f->files_mu) {
    struct flush_files_guarded *g = flush_files(f);
    size_t at = 0;
    if (g->count < OPEN_FILES_MAX) {
        if (MEM_GROW(&g->items, &g->capacity, g->count + 1, NULL) != LAM_OK)
            return NULL; /* then it is open for this reader only */
        at = g->count++;
        g->items[at] = NULL;
    } else {
        for (size_t i = 1; i < g->count; i++)
            at = g->items[i]->used < g->items[at]->used ? i : at;
    }
    struct cold_file *evicted = g->items[at];
    file->used = ++g->clock;
    g->items[at] = ref(file);
    return evicted;
}

static enum lam_code open_file(struct flush *f, struct table_id table, const struct segment *s,
                               struct cold_file **out, struct lam_error *err) {
    OWNED(cold_file_unref_at) struct cold_file *file = mem_calloc(1, sizeof *file);
    if (!file)
        return mem_fail(err, sizeof *file);
    atomic_init(&file->refs, 1);
    file->table = table.number;
    file->number = s->number;
    struct parquet_identity written = {s->bytes, s->rows, s->footer_hash};
    enum lam_code rc = parquet_reader_open(f->env, s->full_path, &written, &file->reader, err);
    if (rc == LAM_NOT_FOUND)
        return ERR(err, LAM_CORRUPT, "cold file %s is missing", s->full_path);
    if (rc != LAM_OK)
        return error_context(err, rc, "cold file");
    *out = file;
    file = NULL;
    return LAM_OK;
}

/* Takes the file of `table` (0: any) out of the list that was unused for longest; NULL if there is
 * none. */
static struct cold_file *take_oldest(struct flush *f, uint64_t table) {
    struct cold_file *taken = NULL;
    mutex_lock(&f->files_mu);
    struct flush_files_guarded *g = flush_files(f);
    size_t at = g->count;
    for (size_t i = 0; i < g->count; i++)
        if ((!table || g->items[i]->table == table) &&
            (at == g->count || g->items[i]->used < g->items[at]->used))
            at = i;
    if (at < g->count) {
        taken = g->items[at];
        g->items[at] = g->items[--g->count];
    }
    mutex_unlock(&f->files_mu);
    return taken;
}

/* When the process has no descriptor left, one after another of those that only this list and the
 * engine's hold is given up for it. */
static enum lam_code open_file_or_evict(struct flush *f, struct table_id table,
                                        const struct segment *s, struct cold_file **out,
                                        struct lam_error *err) {
    struct lam_error local = {0};
    enum lam_code rc = open_file(f, table, s, out, &local);
    for (bool last = false; rc != LAM_OK && error_is_out_of_files(&local) && !last;) {
        struct cold_file *oldest = take_oldest(f, 0);
        last = !oldest;
        if (last)
            db_close_idle_files(f->db);
        cold_file_unref(oldest);
        local = (struct lam_error){0};
        rc = open_file(f, table, s, out, &local);
    }
    return error_pass(err, rc, &local);
}

enum lam_code cold_file_get(struct flush *f, struct table_id table, const struct segment *segment,
                            struct cold_file **out, struct lam_error *err) {
    mutex_lock(&f->files_mu);
    *out = find_locked(f, table, segment->number);
    mutex_unlock(&f->files_mu);
    if (*out)
        return LAM_OK;
    struct cold_file *file = NULL, *evicted = NULL;
    TRY(open_file_or_evict(f, table, segment, &file, err));
    mutex_lock(&f->files_mu);
    *out = find_locked(f, table, segment->number);
    if (!*out) {
        evicted = insert_locked(f, file);
        *out = ref(file);
    }
    mutex_unlock(&f->files_mu);
    cold_file_unref(evicted);
    cold_file_unref(file);
    return LAM_OK;
}

void cold_files_forget(struct flush *f, struct table_id table) {
    LAM_ASSERT(table.number != 0);
    struct cold_file *file;
    while ((file = take_oldest(f, table.number)))
        cold_file_unref(file);
}

void cold_files_close_idle(void *flush) {
    struct cold_file *file;
    while ((file = take_oldest(flush, 0)))
        cold_file_unref(file);
}

static void free_list(struct flush *f) NO_THREAD_SAFETY {
    mem_free(flush_files(f)->items);
    flush_files(f)->items = NULL;
    flush_files(f)->capacity = 0;
}

void cold_files_fini(struct flush *f) {
    cold_files_close_idle(f);
    free_list(f);
}
