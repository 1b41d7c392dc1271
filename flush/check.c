/* SPDX-License-Identifier: Apache-2.0
 *
 * Verification of a whole database: the engine's check of its files; then, with the database open
 * read-only, the catalog, each table's rows, indexes and segments, and what lies in the folders. */
#include "lamina/check.h"

#include "flush/cold_set.h"
#include "flush/hot_scan.h"
#include "flush/path.h"

struct table_check {
    struct db_check *check;
    struct flush *flush;
    struct provider *p;
    int64_t now_us;
    struct arena arena; /* the row or entry at hand */
    struct buf key, entry, last;
    struct lam_value value;
    uint64_t live; /* hot rows that have index entries */
};

/* --- hot rows and their indexes --- */

static enum lam_code decode(struct table_check *t, struct lam_slice key, struct lam_slice row,
                            struct row_header *header, struct lam_slice *user, struct value *values,
                            struct lam_error *err) {
    const struct provider *p = t->p;
    const struct schema *written;
    struct cursor c = cursor_of(key);
    TRY(row_header_decode(row, header, err));
    TRY(hot_row_schema(p, header, &written, err));
    TRY(row_decode(row, written, p->schema, values, err));
    for (uint32_t i = 0; i < p->schema->column_count; i++) {
        const struct schema_column *column = &p->schema->columns[i];
        /* What ALTER did not see may be older than NOT NULL: deleted rows and, whatever the clock
         * says by now, expired ones. */
        bool may = column->nullable || header->deleted || p->kind == TABLE_STREAM;
        if (values[i].is_null && (column->key_position >= 0 || !may))
            return ERR(err, LAM_CORRUPT, "NULL in column \"%s\"", column->name);
    }
    if (table_has_users(p)) {
        TRY(key_get_string(&c, &t->arena, user, err));
        TRY(user_id_check(*user, err));
    }
    buf_reset(&t->key);
    TRY(row_key(p->schema, p->kind, *user, values, &t->key, err));
    if (slice_eq(buf_slice(&t->key), key))
        return LAM_OK;
    return ERR(err, LAM_CORRUPT, "it is the row of another key");
}

/* A row's values and, by its key, whose it is. */
static enum lam_code decode_row(struct table_check *t, struct lam_slice key, struct lam_slice row,
                                struct row_header *header, struct lam_slice *user,
                                struct value **values, struct lam_error *err) {
    char text[DB_KEY_TEXT];
    size_t count = t->p->schema->column_count;
    *user = SLICE_EMPTY;
    *values = arena_calloc(&t->arena, count, sizeof **values);
    if (!*values)
        return mem_fail(err, count * sizeof **values);
    enum lam_code rc = decode(t, key, row, header, user, *values, err);
    return rc == LAM_OK ? rc : error_context(err, rc, "row %s", db_key_text(key, text));
}

static enum lam_code check_entries(struct table_check *t, struct lam_slice key,
                                   struct lam_slice user, const struct value *values,
                                   struct lam_error *err) {
    char text[DB_KEY_TEXT];
    for (uint32_t i = 0; i < t->p->index_count; i++) {
        const struct table_index *index = &t->p->indexes[i];
        struct lam_error missing = {0};
        TRY(index_entry(t->p, index, user, values, &t->entry, err));
        enum lam_code rc = lam_get(t->flush->db, NULL, index->partition, buf_slice(&t->entry),
                                   &t->value, &missing);
        if (rc == LAM_NOT_FOUND || (rc == LAM_OK && t->value.bytes.size))
            return ERR(err, LAM_CORRUPT, "row %s has no %s in index \"%s\"", db_key_text(key, text),
                       rc == LAM_OK ? "empty entry" : "entry", index->name);
        TRY(error_pass(err, rc, &missing));
    }
    return LAM_OK;
}

static enum lam_code check_row(struct table_check *t, const void *arg, struct lam_slice key,
                               struct lam_slice row, struct lam_error *err) {
    struct row_header header;
    struct lam_slice user;
    struct value *values;
    (void)arg;
    TRY(decode_row(t, key, row, &header, &user, &values, err));
    if (header.deleted || hot_row_expired(t->p, header.seq, t->now_us))
        return LAM_OK;
    t->live++;
    return check_entries(t, key, user, values, err);
}

/* By itself: that its form is right, and that no other entry of a unique index is like it. */
static enum lam_code check_entry_form(struct table_check *t, const void *arg,
                                      struct lam_slice entry, struct lam_slice value,
                                      struct lam_error *err) {
    const struct table_index *index = arg;
    struct lam_slice columns;
    bool has_null;
    char text[DB_KEY_TEXT];
    (void)value;
    TRY(index_entry_columns(t->p, index, entry, &columns, &has_null, err));
    /* Entries of expired rows may stand beside later ones. */
    bool is_unique = index->unique && !has_null && t->p->kind != TABLE_STREAM;
    if (is_unique && slice_eq(columns, buf_slice(&t->last)))
        return ERR(err, LAM_CORRUPT, "entry %s of a unique index has the values of the one before",
                   db_key_text(entry, text));
    buf_reset(&t->last);
    return is_unique ? buf_append_slice(&t->last, columns, err) : LAM_OK;
}

/* With its row. */
static enum lam_code check_entry(struct table_check *t, const void *arg, struct lam_slice entry,
                                 struct lam_slice value, struct lam_error *err) {
    const struct table_index *index = arg;
    struct row_header header;
    struct lam_slice user;
    struct value *values;
    struct lam_error missing = {0};
    char text[DB_KEY_TEXT];
    buf_reset(&t->last);
    TRY(index_entry_row_key(t->p, index, entry, value, &t->last, err));
    enum lam_code rc =
        lam_get(t->flush->db, NULL, t->p->hot, buf_slice(&t->last), &t->value, &missing);
    if (rc == LAM_NOT_FOUND && t->p->kind == TABLE_STREAM)
        return LAM_OK; /* files of rows and of entries expire each on its own */
    if (rc == LAM_NOT_FOUND)
        return ERR(err, LAM_CORRUPT, "entry %s leads to no row", db_key_text(entry, text));
    TRY(error_pass(err, rc, &missing));
    TRY(decode_row(t, buf_slice(&t->last), t->value.bytes, &header, &user, &values, err));
    TRY(index_entry(t->p, index, user, values, &t->entry, err));
    if (header.deleted || !slice_eq(buf_slice(&t->entry), entry))
        return ERR(err, LAM_CORRUPT, "entry %s is not that of the row it leads to",
                   db_key_text(entry, text));
    return LAM_OK;
}

typedef enum lam_code (*pair_fn)(struct table_check *t, const void *arg, struct lam_slice key,
                                 struct lam_slice value, struct lam_error *err);

/* All of a partition; gives how many problems there were, `*count_out` how many records. */
static uint64_t walk(struct table_check *t, lam_partition *partition, bool keys_only, pair_fn fn,
                     const void *arg, uint64_t *count_out) {
    struct db_check_place place = {.check = t->check, .name = lam_partition_name(partition)};
    struct lam_read_options options = {.keys_only = keys_only};
    struct lam_error e = {0};
    lam_iter *it = NULL;
    uint64_t count = 0;
    bool more = true;
    enum lam_code rc = lam_iter_new(t->flush->db, &options, partition, &it, &e);
    if (rc == LAM_OK)
        lam_iter_seek_first(it);
    buf_reset(&t->last);
    for (; more && rc == LAM_OK && lam_iter_valid(it); count++) {
        struct lam_error problem = {0};
        arena_reset(&t->arena);
        enum lam_code found =
            fn(t, arg, lam_iter_key(it), keys_only ? SLICE_EMPTY : lam_iter_value(it), &problem);
        more = db_check_record(&place, found, &problem);
        lam_iter_next(it);
    }
    if (rc == LAM_OK && more)
        rc = lam_iter_status(it, &e);
    if (more)
        db_check_record(&place, rc, &e);
    db_check_place_end(&place);
    lam_iter_free(it);
    *count_out = count;
    return place.problems;
}

static void check_indexes(struct table_check *t, uint64_t problems) {
    for (uint32_t i = 0; i < t->p->index_count && t->check->stop == LAM_OK; i++) {
        const struct table_index *index = &t->p->indexes[i];
        uint64_t count;
        problems += walk(t, index->partition, true, check_entry_form, index, &count);
        /* Each row has its entry, so as many entries as rows are just those. */
        if ((problems || count != t->live) && t->check->stop == LAM_OK)
            walk(t, index->partition, false, check_entry, index, &count);
    }
}

/* --- segments --- */

static enum lam_code load_dead(struct table_check *t, struct segment *s, struct lam_slice user,
                               struct lam_error *err) {
    const char *where = lam_partition_name(t->p->segments);
    struct lam_error missing = {0};
    uint8_t *bits;
    buf_reset(&t->entry);
    TRY(segment_key(user, SEGMENT_KIND_DEAD, s->number, &t->entry, err));
    enum lam_code rc =
        lam_get(t->flush->db, NULL, t->p->segments, buf_slice(&t->entry), &t->value, &missing);
    if (rc == LAM_NOT_FOUND)
        return LAM_OK;
    TRY(error_pass(err, rc, &missing));
    return dead_rows_decode(t->value.bytes, s->rows, where, &t->arena, &bits, &s->dead_rows, err);
}

static enum lam_code check_segment(struct table_check *t, struct segment *s, struct lam_slice user,
                                   struct lam_error *err) {
    struct lam_progress *now = &t->check->now;
    struct lam_error e = {0};
    struct storage_place place;
    TRY(load_dead(t, s, user, err));
    TRY(storage_place_get(t->flush, s->storage, &t->arena, &place, err));
    buf_reset(&t->key);
    TRY(path_in_base(t->flush->directory, place.base, s->path, &t->key, err));
    TRY(buf_cstr(&t->key, &s->full_path, err));
    now->files_total++;
    now->bytes_total += s->bytes;
    if (!db_check_tell(t->check, s->full_path))
        return LAM_OK;
    db_check_judge(t->check, s->full_path, segment_check(t->flush, t->p, s, &e), &e);
    now->files_done++;
    now->bytes_done += s->bytes;
    return LAM_OK;
}

/* A key of the segments partition with what lies under it. */
static enum lam_code check_cold(struct table_check *t, const void *arg, struct lam_slice key,
                                struct lam_slice value, struct lam_error *err) {
    const uint64_t *next = arg;
    const char *where = lam_partition_name(t->p->segments);
    char kind, text[DB_KEY_TEXT];
    struct lam_slice user;
    struct segment s;
    uint64_t number;
    TRY(segment_key_decode(key, t->p->kind == TABLE_USER, where, &t->arena, &user, &kind, &number,
                           err));
    if (kind == 0 && slice_eq(key, segment_next_key()) && value.size == 8)
        return LAM_OK;
    if (kind == SEGMENT_KIND_ENTRY) {
        TRY(segment_decode(value, where, &t->arena, &s, err));
        if (s.number == number && slice_eq(s.user, user) && number < *next)
            return check_segment(t, &s, user, err);
    } else if (kind == SEGMENT_KIND_DEAD) {
        buf_reset(&t->entry);
        TRY(segment_key(user, SEGMENT_KIND_ENTRY, number, &t->entry, err));
        struct lam_error missing = {0};
        enum lam_code rc =
            lam_get(t->flush->db, NULL, t->p->segments, buf_slice(&t->entry), &t->value, &missing);
        if (rc != LAM_NOT_FOUND)
            return error_pass(err, rc, &missing);
    }
    return ERR(err, LAM_CORRUPT, "what lies under key %s belongs to no segment of it",
               db_key_text(key, text));
}

static enum lam_code next_number(struct table_check *t, uint64_t *out, struct lam_error *err) {
    struct lam_error missing = {0};
    enum lam_code rc =
        lam_get(t->flush->db, NULL, t->p->segments, segment_next_key(), &t->value, &missing);
    *out = rc == LAM_OK && t->value.bytes.size == 8 ? get_le64(t->value.bytes.data) : 1;
    return rc == LAM_NOT_FOUND ? LAM_OK : error_pass(err, rc, &missing);
}

/* --- the whole --- */

static bool check_table(void *arg, struct provider *p) {
    struct table_check *t = arg;
    struct lam_error e = {0};
    uint64_t count, next = 1;
    t->p = p;
    t->live = 0;
    check_indexes(t, walk(t, p->hot, false, check_row, NULL, &count));
    if (p->segments && t->check->stop == LAM_OK) {
        enum lam_code rc = next_number(t, &next, &e);
        db_check_judge(t->check, lam_partition_name(p->segments), rc, &e);
        next = rc == LAM_OK ? next : UINT64_MAX; /* not known: any will do */
        walk(t, p->segments, false, check_cold, &next, &count);
    }
    return t->check->stop == LAM_OK;
}

static bool find_table(void *arg, const char *name) {
    bool *found = arg;
    *found = strncmp(name, "user:", 5) == 0 || strncmp(name, "shared:", 7) == 0 ||
             strncmp(name, "stream:", 7) == 0;
    return !*found;
}

/* A catalog that is not finished is one that a crash left while it was made, before any table. */
static enum lam_code check_unfinished(lam_db *db, struct lam_error *err) {
    bool found = false;
    struct lam_error e = {0};
    TRY(error_pass(err, lam_partition_list(db, find_table, &found, &e), &e));
    return found ? LAM_CORRUPT : LAM_OK;
}

static void check_tables(lam_db *db, struct db_check *check) {
    struct table_check t = {.check = check};
    struct catalog *c;
    struct lam_error e = {0};
    enum lam_code rc = catalog_of(db, &c, &e);
    if (rc == LAM_OK)
        rc = flush_object(db, &t.flush, &e);
    if (rc == LAM_READ_ONLY) {
        rc = check_unfinished(db, &e);
    } else if (rc == LAM_OK) {
        t.now_us = catalog_expiry_us(c);
        catalog_check(c, check);
        rc = catalog_each_provider(c, check_table, &t, &e);
    }
    uint64_t findings = check->findings;
    if (rc == LAM_OK && check->stop == LAM_OK && t.flush) {
        rc = orphans_remove(t.flush, check, &e);
        if (findings && rc != LAM_NO_MEMORY)
            rc = LAM_OK; /* what it could not read has been told */
    }
    db_check_judge(check, check->dir, rc, &e);
    arena_fini(&t.arena);
    buf_fini(&t.key);
    buf_fini(&t.entry);
    buf_fini(&t.last);
    lam_value_release(&t.value);
}

/* The database as it is when it is opened to be read only. */
static enum lam_code check_opened(struct db_check *check, struct lam_error *err) {
    struct lam_options options = {
        .env = check->env, .read_only = true, .must_exist = true, .manual_background = true};
    struct lam_error e = {0};
    lam_db *db = NULL;
    bool there = false;
    enum lam_code rc = lam_db_open(check->dir, &options, &db, &e);
    if (rc == LAM_BUSY || rc == LAM_NOT_FOUND)
        return error_pass(err, rc, &e);
    if (rc != LAM_OK && check->findings && rc != LAM_NO_MEMORY)
        return LAM_OK; /* for what has been told */
    if (rc == LAM_OK)
        rc = catalog_is_there(db, &there, &e);
    db_check_judge(check, check->dir, rc, &e);
    if (there)
        check_tables(db, check);
    if (rc == LAM_OK && check->stop == LAM_OK)
        entities_check(db, check);
    if (db)
        IGNORE(lam_db_close(db, NULL), "nothing was written");
    return LAM_OK;
}

enum lam_code lam_check_full(const char *path, const struct lam_check_options *options,
                             struct lam_error *err) {
    struct db_check check;
    TRY(db_check_directory(path, options, &check, err));
    if (check.stop == LAM_OK)
        TRY(check_opened(&check, err));
    db_check_tell(&check, check.dir);
    return db_check_conclude(&check, err);
}
