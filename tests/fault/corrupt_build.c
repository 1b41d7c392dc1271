/* SPDX-License-Identifier: Apache-2.0
 *
 * The database to be damaged: engine partitions with several levels, range tombstones, both
 * compressions and a value larger than a block; tables of every kind with indexes, segments, dead
 * rows and an older schema version; records left in the log. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fault/corrupt.h"
#include "tests/sim/tuning.h"

struct builder {
    struct corrupt_shape shape;
    bool sibling; /* other content of the same sizes */
    struct simfs *fs;
    lam_db *db;
    lam_session *root;
    struct lam_error err;
};

#define S(text) lam_slice_str(text)

static void must(struct builder *b, enum lam_code code, const char *what) {
    if (code == LAM_OK)
        return;
    fprintf(stderr, "building a database to damage: %s: %s: %s\n", what, lam_code_name(code),
            b->err.message);
    abort();
}

struct lam_options corrupt_options(lam_env *env, bool read_only) {
    return (struct lam_options){
        .env = env,
        .must_exist = true,
        .read_only = read_only,
        .memory_budget = 4u << 20,
        .block_bytes = 512,
        .manual_background = true,
    };
}

/* Small files, and a log that is kept at close. */
static const struct db_tuning tiny = {
    .rotate_bytes = 1u << 20,
    .segment_bytes = 3u << 10,
    .base_bytes = 2u << 10,
    .dump_file_bytes = 2u << 10,
    .close_dump_bytes = 64u << 10,
    .manifest_rewrite_bytes = 64u << 10,
};

static void open_db(struct builder *b) {
    struct lam_options o = corrupt_options(simfs_env(b->fs), false);
    o.must_exist = false;
    must(b, lam_db_open(CORRUPT_DIR, &o, &b->db, &b->err), "open");
}

static void open_root(struct builder *b) {
    must(b, lam_session_open(b->db, "root", LAM_ROLE_SYSTEM, &b->root, &b->err), "session");
}

static void close_db(struct builder *b) {
    must(b, lam_session_close(b->root, &b->err), "session close");
    must(b, lam_db_close(b->db, &b->err), "close");
}

static void sql_as(struct builder *b, lam_session *s, const char *text) {
    must(b, lam_exec(s, text, strlen(text), NULL, NULL, NULL, &b->err), text);
}

static void sql(struct builder *b, const char *text) {
    sql_as(b, b->root, text);
}

static void user_sql(struct builder *b, const char *user, const char *text) {
    lam_session *s;
    must(b, lam_session_open(b->db, user, LAM_ROLE_USER, &s, &b->err), user);
    sql_as(b, s, text);
    must(b, lam_session_close(s, &b->err), user);
}

/* --- the engine's own ----------------------------------------------------------------------- */

static lam_partition *partition(struct builder *b, const char *name, enum lam_compression c) {
    lam_partition *p;
    if (lam_partition_open(b->db, name, &p, &b->err) == LAM_OK)
        return p;
    struct lam_partition_options o = {.compression = c};
    must(b, lam_partition_create(b->db, name, &o, &p, &b->err), name);
    return p;
}

/* Values that compress, of every length up to some, and one longer than a block. */
static void put(struct builder *b, lam_partition *p, unsigned i, enum lam_durability d) {
    char key[24], value[1200];
    size_t size = i % 16 == 5 ? 1100 : i * 7 % 60;
    snprintf(key, sizeof key, "key-%05u", i * 37 % 1000);
    for (size_t k = 0; k < size; k++)
        value[k] = (char)('a' + (i + k / 9 + b->sibling) % 26);
    struct lam_write_options o = {d};
    must(b, lam_put(b->db, &o, p, S(key), lam_slice_of(value, size), &b->err), "put");
}

static void erase(struct builder *b, lam_partition *p, const char *from, const char *to) {
    lam_batch *batch;
    must(b, lam_batch_new(b->db, &batch, &b->err), "batch");
    must(b,
         lam_batch_delete_range(batch, p, S(from), to ? S(to) : (struct lam_slice){0},
                                LAM_SEQUENCE_MAX, &b->err),
         "delete range");
    must(b, lam_batch_put(batch, p, S("marker"), S(from), &b->err), "put");
    must(b, lam_write(b->db, NULL, batch, NULL, &b->err), "write");
    lam_batch_free(batch);
}

static void put_some(struct builder *b, lam_partition *p, unsigned from, unsigned count) {
    for (unsigned i = from; i < from + count; i++)
        put(b, p, i, LAM_DURABILITY_OS);
}

static void engine_part(struct builder *b) {
    unsigned n = b->shape.large ? 150 : 14;
    lam_partition *packed = partition(b, "packed", LAM_COMPRESSION_LZ4);
    lam_partition *plain = partition(b, "plain", LAM_COMPRESSION_NONE);
    put_some(b, packed, 0, n);
    put_some(b, plain, 0, n / 2);
    must(b, lam_db_dump(b->db, &b->err), "dump");
    must(b, lam_db_compact(b->db, packed, &b->err), "compact");
    put_some(b, packed, n, n / 2);
    erase(b, packed, "key-00300", "key-00450");
    erase(b, plain, "key-00900", NULL);
    put_some(b, plain, n, n / 4);
    must(b, lam_delete(b->db, NULL, plain, S("key-00037"), &b->err), "delete");
    must(b, lam_db_dump(b->db, &b->err), "dump");
    lam_partition_release(packed);
    lam_partition_release(plain);
}

/* What stays in the log. */
static void engine_tail(struct builder *b) {
    lam_partition *packed = partition(b, "packed", LAM_COMPRESSION_LZ4);
    put_some(b, packed, 400, b->shape.large ? 40 : 4);
    erase(b, packed, "key-00100", "key-00150");
    lam_partition_release(packed);
}

/* --- tables --------------------------------------------------------------------------------- */

static void insert_notes(struct builder *b, unsigned from, unsigned count) {
    char text[256];
    for (unsigned i = from; i < from + count; i++) {
        snprintf(text, sizeof text, "INSERT INTO notes (id, title, n) VALUES (%u, '%s %u', %u)", i,
                 b->sibling ? "other" : "title", i * i, (i + b->sibling) % 5);
        sql(b, text);
    }
}

static void insert_mail(struct builder *b, const char *user, unsigned from, unsigned count) {
    char text[256];
    for (unsigned i = from; i < from + count; i++) {
        snprintf(text, sizeof text, "INSERT INTO mail VALUES (%u, '%s to %c')", i, user,
                 'a' + (int)((i + b->sibling) % 3));
        user_sql(b, user, text);
    }
}

static void sql_part(struct builder *b) {
    unsigned n = b->shape.large ? 60 : 8;
    sql(b, "CREATE TABLE notes (id BIGINT PRIMARY KEY, title TEXT, n INT)");
    sql(b, "CREATE INDEX notes_n ON notes (n)");
    sql(b, "CREATE USER TABLE mail (id INT PRIMARY KEY, body TEXT) WITH (compression = 'none')");
    insert_notes(b, 1, n);
    insert_mail(b, "ann", 1, n / 2);
    if (b->shape.large)
        insert_mail(b, "bob", 1, n / 4);
    sql(b, "STORAGE FLUSH TABLE notes; STORAGE FLUSH TABLE mail");
    sql(b, "ALTER TABLE notes ADD COLUMN done BOOLEAN DEFAULT false");
    sql(b, "UPDATE notes SET done = true WHERE id IN (2, 3)");
    sql(b, "DELETE FROM notes WHERE id = 4");
    insert_notes(b, n + 1, n / 2);
    /* A second segment, and dead rows in the first. */
    sql(b, "STORAGE FLUSH TABLE notes");
}

/* The last session: rows that stay hot, some of them newer than cold ones. */
static void sql_tail(struct builder *b) {
    unsigned n = b->shape.large ? 60 : 8;
    sql(b, "CREATE STREAM TABLE events (id INT PRIMARY KEY, what TEXT) WITH (ttl_seconds = "
           "1000000000)");
    user_sql(b, "ann", "INSERT INTO events VALUES (1, 'woke'), (2, 'slept')");
    sql(b, "UPDATE notes SET title = 'renamed' WHERE id IN (1, 5)");
    insert_notes(b, 100, n / 2);
    insert_mail(b, "bob", 50, 2);
}

/* --- all of it ------------------------------------------------------------------------------ */

static void first_part(struct builder *b) {
    open_db(b);
    engine_part(b); /* before the catalog's partitions are there: each would have a file more */
    open_root(b);
    sql_part(b);
    must(b, lam_db_dump(b->db, &b->err), "dump");
    close_db(b);
}

static void last_part(struct builder *b) {
    open_db(b);
    open_root(b);
    sql_tail(b);
    engine_tail(b);
    close_db(b);
}

void corrupt_build(const struct corrupt_shape *shape, struct corrupt_built *out) {
    struct builder b = {.shape = *shape}, sibling = {.shape = *shape, .sibling = true};
    memset(out, 0, sizeof *out);
    out->choice = calloc(1, sizeof *out->choice);
    if (!out->choice)
        abort();
    choice_seed(out->choice, shape->seed);
    sim_tuning_set(&tiny);
    b.fs = simfs_new(&(struct simfs_options){0}, out->choice);
    open_db(&b);
    must(&b, lam_db_close(b.db, &b.err), "close");
    sibling.fs = simfs_clone(b.fs);
    first_part(&b);
    out->old = simfs_clone(b.fs);
    last_part(&b);
    out->now = b.fs;
    first_part(&sibling);
    last_part(&sibling);
    out->sibling = sibling.fs;
}

void corrupt_built_fini(struct corrupt_built *b) {
    simfs_free(b->sibling);
    simfs_free(b->old);
    simfs_free(b->now);
    choice_fini(b->choice);
    free(b->choice);
}
