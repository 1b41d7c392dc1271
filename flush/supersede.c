/* SPDX-License-Identifier: Apache-2.0
 *
 * Merge on write: a key that goes cold kills the version that an older segment has. Keys beyond a
 * segment's range cost nothing, so rising ids skip at once; a few keys are looked up one by one
 * (bounds, bloom filter, page index); many are merged with the segment's key columns. */
#include "flush/cold_keys.h"
#include "flush/flush_job.h"

struct older {
    struct flush_job *job;
    const struct segment *segment;
    struct cold_file *file;     /* reference */
    struct buf prefix;          /* user part of hot keys */
    lam_iter *it;               /* keys of the flush in the segment's range; owned */
    struct dead_update *update; /* NULL before the first dead row */
    struct buf lower, upper;
};

static enum lam_code mark_dead(struct older *o, uint64_t row, struct lam_error *err) {
    struct flush_job *job = o->job;
    const struct segment *s = o->segment;
    LAM_ASSERT(row < s->rows);
    if (!o->update) {
        TRY(MEM_GROW(&job->dead, &job->dead_capacity, job->dead_count + 1, err));
        struct dead_update *u = &job->dead[job->dead_count];
        size_t size = (size_t)((s->rows + 7) / 8);
        void *user = arena_dup(&job->arena, s->user.data, s->user.size);
        *u = (struct dead_update){lam_slice_of(user, s->user.size), s->number, s->rows,
                                  arena_alloc(&job->arena, size)};
        if (!u->bits || !user)
            return mem_fail(err, size);
        if (s->dead)
            memcpy(u->bits, s->dead, size);
        job->dead_count++;
        o->update = u;
    }
    bitmap_set(o->update->bits, (size_t)row);
    return LAM_OK;
}

static bool is_dead(const struct segment *s, uint64_t row) {
    return s->dead && bitmap_get(s->dead, (size_t)row);
}

/* Looks up the keys at the iterator; `*many_out` if there are too many of them. */
static enum lam_code look_up(struct older *o, struct arena *arena, bool *many_out,
                             struct lam_error *err) {
    const struct schema *schema = o->job->provider->schema;
    unsigned count = 0;
    *many_out = false;
    for (lam_iter_seek_first(o->it); lam_iter_valid(o->it); lam_iter_next(o->it)) {
        if (++count > o->job->flush->tuning.lookups_max) {
            *many_out = true;
            return LAM_OK;
        }
    }
    TRY(lam_iter_status(o->it, err));
    for (lam_iter_seek_first(o->it); lam_iter_valid(o->it); lam_iter_next(o->it)) {
        struct lam_slice key = lam_iter_key(o->it);
        struct key_probe probe;
        struct row_place at;
        arena_reset(arena);
        key = lam_slice_of(key.data + o->prefix.size, key.size - o->prefix.size);
        TRY(key_probe_init(&probe, schema, key, arena, err));
        TRY(segment_find(o->segment, schema, o->file->reader, &probe, &at, err));
        if (at.found && !is_dead(o->segment, at.number))
            TRY(mark_dead(o, at.number, err));
    }
    return lam_iter_status(o->it, err);
}

static enum lam_code merge_chunk(struct older *o, struct key_reader *keys, uint64_t base,
                                 struct lam_error *err) {
    uint8_t hits[COLBATCH_ROWS / 8] = {0};
    bool any;
    TRY(key_reader_match(keys, o->it, buf_slice(&o->prefix), hits, &any, err));
    for (uint32_t i = 0; any && i < keys->rows; i++) {
        if (bitmap_get(hits, i) && !is_dead(o->segment, base + i))
            TRY(mark_dead(o, base + i, err));
    }
    return LAM_OK;
}

static enum lam_code merge(struct older *o, struct lam_error *err) {
    const struct parquet_reader *reader = o->file->reader;
    OWNED(key_reader_fini) struct key_reader keys = {0};
    uint64_t base = 0;
    lam_iter_seek_first(o->it);
    TRY(key_reader_init(&keys, o->job->provider->schema, reader, o->segment->full_path, err));
    for (uint32_t g = 0; g < parquet_reader_group_count(reader) && lam_iter_valid(o->it); g++) {
        uint32_t rows = parquet_reader_group_rows(reader, g);
        for (uint32_t at = 0; at < rows && lam_iter_valid(o->it); at += COLBATCH_ROWS) {
            uint32_t count = rows - at < COLBATCH_ROWS ? rows - at : COLBATCH_ROWS;
            TRY(key_reader_fetch(&keys, g, at, count, err));
            TRY(merge_chunk(o, &keys, base + at, err));
        }
        TRY(flush_check_stop(o->job, err));
        base += rows;
    }
    return lam_iter_valid(o->it) ? LAM_OK : lam_iter_status(o->it, err);
}

static enum lam_code open_keys(struct older *o, struct lam_error *err) {
    const struct segment *s = o->segment;
    if (s->user.size)
        TRY(key_put_string(&o->prefix, s->user, err));
    TRY(buf_append_slice(&o->lower, buf_slice(&o->prefix), err));
    TRY(buf_append_slice(&o->lower, s->first_key, err));
    TRY(buf_append_slice(&o->upper, buf_slice(&o->prefix), err));
    TRY(buf_append_slice(&o->upper, s->last_key, err));
    TRY(buf_append_u8(&o->upper, 0, err)); /* the last key itself is wanted */
    struct lam_read_options options = {.snapshot = o->job->snapshot,
                                       .lower = buf_slice(&o->lower),
                                       .upper = buf_slice(&o->upper),
                                       .keys_only = true};
    return lam_iter_new(o->job->flush->db, &options, o->job->provider->hot, &o->it, err);
}

static void older_fini(struct older *o) {
    lam_iter_free(o->it);
    cold_file_unref(o->file);
    buf_fini(&o->prefix);
    buf_fini(&o->lower);
    buf_fini(&o->upper);
}

static enum lam_code supersede_segment(struct flush_job *job, const struct segment *s,
                                       struct lam_error *err) {
    OWNED(older_fini) struct older o = {.job = job, .segment = s};
    OWNED(arena_fini) struct arena arena = {0};
    bool many = false;
    TRY(open_keys(&o, err));
    lam_iter_seek_first(o.it);
    if (!lam_iter_valid(o.it))
        return lam_iter_status(o.it, err);
    TRY(cold_file_get(job->flush, job->provider->table, s, &o.file, err));
    TRY(look_up(&o, &arena, &many, err));
    return many ? merge(&o, err) : LAM_OK;
}

/* Whether the user's new files, [first, end), reach into the key range of an older segment. */
static bool overlaps(const struct flush_job *job, size_t first, size_t end,
                     const struct segment *s) {
    return slice_cmp(job->files[first].entry.first_key, s->last_key) <= 0 &&
           slice_cmp(job->files[end - 1].entry.last_key, s->first_key) >= 0;
}

static enum lam_code supersede_user(struct flush_job *job, size_t first, size_t end,
                                    struct lam_error *err) {
    OWNED(segment_set_unref_at) struct segment_set *set = NULL;
    TRY(segment_set_get(job->table, job->provider, job->snapshot, job->files[first].entry.user,
                        &set, err));
    for (size_t i = 0; set && i < set->count; i++) {
        const struct segment *s = &set->items[i];
        if (s->dead_rows < s->rows && overlaps(job, first, end, s))
            TRY(supersede_segment(job, s, err));
    }
    return LAM_OK;
}

enum lam_code flush_supersede(struct flush_job *job, struct lam_error *err) {
    for (size_t first = 0, end; first < job->file_count; first = end) {
        for (end = first + 1; end < job->file_count; end++) {
            if (!slice_eq(job->files[end].entry.user, job->files[first].entry.user))
                break;
        }
        TRY(flush_check_stop(job, err));
        TRY(supersede_user(job, first, end, err));
    }
    return LAM_OK;
}
