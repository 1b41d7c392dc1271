/* SPDX-License-Identifier: Apache-2.0
 *
 * A database killed in the midst of commits, and what damage to its files may cost: the end of the
 * log that nothing later shows to be durable, and that never silently (docs/FORMAT.md, "Logs"). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fault/corrupt.h"
#include "tests/sim/tuning.h"

#define BASE_ROWS 12
#define S(text)   lam_slice_str(text)

static const struct db_tuning tiny = {
    .rotate_bytes = 1u << 20,
    .segment_bytes = 2500,
    .base_bytes = 1u << 10,
    .dump_file_bytes = 2u << 10,
    .close_dump_bytes = 64u << 10,
    .manifest_rewrite_bytes = 64u << 10,
};

static void must(enum lam_code code, const struct lam_error *err) {
    if (code == LAM_OK)
        return;
    fprintf(stderr, "building a crashed database: %s: %s\n", lam_code_name(code), err->message);
    abort();
}

struct two {
    lam_db *db;
    lam_partition *left, *right;
    struct lam_error err;
};

static size_t value_of(unsigned i, char *out, size_t size) {
    int n = snprintf(out, size, "value %u ", i);
    for (size_t at = (size_t)n; at < (size_t)n + i * 13 % 70; at++)
        out[at] = (char)('a' + at % 26);
    return (size_t)n + i * 13 % 70;
}

/* Keys b... are there before the last dump, c... are the numbered commits. */
static void commit(struct two *t, char letter, unsigned i, bool sync) {
    char key[16], value[128];
    lam_batch *b;
    snprintf(key, sizeof key, "%c%04u", letter, i);
    struct lam_slice v = lam_slice_of(value, value_of(i, value, sizeof value));
    must(lam_batch_new(t->db, &b, &t->err), &t->err);
    must(lam_batch_put(b, t->left, S(key), v, &t->err), &t->err);
    must(lam_batch_put(b, t->right, S(key), v, &t->err), &t->err);
    must(lam_write(t->db, NULL, b, NULL, &t->err), &t->err);
    lam_batch_free(b);
    if (sync)
        must(lam_sync(t->db, LAM_SEQUENCE_MAX, &t->err), &t->err);
}

static void commits(struct two *t, struct corrupt_crashed *c, unsigned from, unsigned to) {
    for (unsigned i = from; i <= to; i++) {
        c->synced[i] = i == 4 || i == 9 || i == 15 || i == 20;
        commit(t, 'c', i, c->synced[i]);
    }
}

static lam_partition *create(struct two *t, const char *name) {
    lam_partition *p;
    must(lam_partition_create(t->db, name, NULL, &p, &t->err), &t->err);
    return p;
}

static void base_rows(struct two *t) {
    lam_partition *dropped = create(t, "dropped");
    t->left = create(t, "left");
    t->right = create(t, "right");
    for (unsigned i = 1; i <= BASE_ROWS / 2; i++)
        commit(t, 'b', i, false);
    must(lam_put(t->db, NULL, dropped, S("k"), S("v"), &t->err), &t->err);
    must(lam_db_dump(t->db, &t->err), &t->err);
    for (unsigned i = BASE_ROWS / 2 + 1; i <= BASE_ROWS; i++)
        commit(t, 'b', i, false);
    must(lam_db_dump(t->db, &t->err), &t->err);
    lam_partition_release(dropped);
}

static void drop(struct two *t, const char *name) {
    lam_partition *p;
    must(lam_partition_open(t->db, name, &p, &t->err), &t->err);
    must(lam_partition_drop(t->db, p, &t->err), &t->err);
    lam_partition_release(p);
}

/* The log's segment is full before the last commit, so that its successor's name comes to the
 * manifest among them; the last edit is made where it can be told by the shape. */
static void work(struct two *t, struct corrupt_crashed *c) {
    unsigned before = c->shape == 1 ? CRASHED_COMMITS : 2;
    if (c->shape == 0)
        before = 8;
    base_rows(t);
    commits(t, c, 1, before);
    if (c->shape == 2)
        lam_partition_release(create(t, "made"));
    if (c->shape == 3)
        drop(t, "dropped");
    if (c->shape == 4)
        must(lam_db_compact(t->db, t->left, &t->err), &t->err);
    if (c->shape >= 2)
        commits(t, c, before + 1, 10);
}

static unsigned commits_of(unsigned shape) {
    return shape == 0 ? 8 : shape == 1 ? CRASHED_COMMITS : 10;
}

void corrupt_build_crashed(unsigned shape, uint64_t seed, struct corrupt_crashed *out) {
    struct two t = {0};
    memset(out, 0, sizeof *out);
    out->shape = shape;
    out->choice = calloc(1, sizeof *out->choice);
    if (!out->choice)
        abort();
    choice_seed(out->choice, seed);
    struct simfs *fs = simfs_new(&(struct simfs_options){0}, out->choice);
    sim_tuning_set(&tiny);
    struct lam_options o = corrupt_options(simfs_env(fs), false);
    o.must_exist = false;
    must(lam_db_open(CORRUPT_DIR, &o, &t.db, &t.err), &t.err);
    work(&t, out);
    out->fs = simfs_crash(fs, SIMFS_KILL, out->choice);
    lam_partition_release(t.left);
    lam_partition_release(t.right);
    must(lam_db_close(t.db, &t.err), &t.err);
    simfs_free(fs);
}

void corrupt_crashed_fini(struct corrupt_crashed *c) {
    simfs_free(c->fs);
    choice_fini(c->choice);
    free(c->choice);
}

/* --- looking -------------------------------------------------------------------------------- */

struct looking {
    const struct corrupt_crashed *c;
    struct corrupt_finding *out;
    struct lam_error err;
    lam_db *db;
    bool torn;     /* open said so */
    unsigned kept; /* commits, of the first partition read */
    bool counted;
};

__attribute__((format(printf, 2, 3))) static void harm(struct looking *l, const char *format, ...) {
    char before[400];
    va_list args;
    if (l->out->verdict == CORRUPT_HARM)
        return;
    snprintf(before, sizeof before, "%.399s", l->out->text);
    va_start(args, format);
    int n = vsnprintf(l->out->text, sizeof l->out->text, format, args);
    va_end(args);
    if (before[0])
        snprintf(l->out->text + n, sizeof l->out->text - (size_t)n, " (%s)", before);
    l->out->verdict = CORRUPT_HARM;
}

static void take_error(struct looking *l, const char *what, enum lam_code code) {
    bool proper = code == LAM_CORRUPT && strstr(l->err.message, CORRUPT_DIR "/");
    if (l->out->verdict == CORRUPT_HARM || (proper && l->out->verdict == CORRUPT_DETECTED))
        return;
    l->out->verdict = proper ? CORRUPT_DETECTED : CORRUPT_HARM;
    snprintf(l->out->text, sizeof l->out->text, "%s: %s: %s", what, lam_code_name(code),
             l->err.message);
}

/* Rows b0001.. all, then c0001.. without a hole; how many of the latter. False: an error. */
static bool read_rows(struct looking *l, lam_partition *p, unsigned *count_out) {
    lam_iter *it = NULL;
    unsigned n = 0;
    bool right = true;
    enum lam_code rc = lam_iter_new(l->db, NULL, p, &it, &l->err);
    if (rc == LAM_OK) {
        lam_iter_seek_first(it);
        for (; lam_iter_valid(it) && right; lam_iter_next(it), n++) {
            char key[16], value[128];
            bool base = n < BASE_ROWS;
            unsigned i = base ? n + 1 : n - BASE_ROWS + 1;
            snprintf(key, sizeof key, "%c%04u", base ? 'b' : 'c', i);
            struct lam_slice k = lam_iter_key(it), v = lam_iter_value(it);
            size_t size = value_of(i, value, sizeof value);
            right = k.size == 5 && memcmp(k.data, key, 5) == 0 && v.size == size &&
                    memcmp(v.data, value, size) == 0;
        }
        rc = lam_iter_status(it, &l->err);
    }
    lam_iter_free(it);
    if (!right)
        harm(l, "%s: row %u is not what it was", lam_partition_name(p), n);
    else if (rc != LAM_OK)
        take_error(l, "scan", rc);
    else if (n < BASE_ROWS)
        harm(l, "%s: %u rows, %u were dumped", lam_partition_name(p), n, BASE_ROWS);
    *count_out = n - BASE_ROWS;
    return right && rc == LAM_OK && n >= BASE_ROWS;
}

static void look_at(struct looking *l, const char *name) {
    lam_partition *p;
    unsigned count;
    enum lam_code rc = lam_partition_open(l->db, name, &p, &l->err);
    if (rc != LAM_OK) {
        take_error(l, name, rc);
        return;
    }
    if (read_rows(l, p, &count)) {
        if (l->counted && count != l->kept)
            harm(l, "%s has %u commits, the other partition %u", name, count, l->kept);
        l->kept = count;
        l->counted = true;
    }
    lam_partition_release(p);
}

static void judge(struct looking *l) {
    unsigned all = commits_of(l->c->shape);
    if (!l->counted || l->kept == all)
        return;
    if (l->kept > all || !l->torn)
        harm(l, "%u of %u commits, without a word", l->kept, all);
    for (unsigned i = l->kept + 1; i < all; i++)
        if (l->c->synced[i])
            harm(l, "%u commits, though the record after %u shows that one durable", l->kept, i);
}

/* Partitions made and dropped last: their edit may go as the last of the manifest, with a word. */
static void look_at_edits(struct looking *l) {
    lam_partition *p = NULL;
    bool made = lam_partition_open(l->db, "made", &p, &l->err) == LAM_OK;
    lam_partition_release(p);
    p = NULL;
    bool dropped = lam_partition_open(l->db, "dropped", &p, &l->err) == LAM_OK;
    lam_partition_release(p);
    if (made != (l->c->shape == 2) && !l->torn)
        harm(l, "partition `made` is %sthere, without a word", made ? "" : "not ");
    if (dropped != (l->c->shape != 3) && !l->torn)
        harm(l, "partition `dropped` is %sthere, without a word", dropped ? "" : "not ");
}

static bool look(struct looking *l, lam_env *env, bool read_only) {
    struct lam_options o = corrupt_options(env, read_only);
    struct lam_stats stats;
    o.must_exist = read_only;
    enum lam_code rc = lam_db_open(CORRUPT_DIR, &o, &l->db, &l->err);
    if (rc != LAM_OK) {
        take_error(l, "open", rc);
        return false;
    }
    lam_db_stats(l->db, &stats);
    l->torn = l->torn || stats.recovered_torn_tail;
    look_at(l, "left");
    look_at(l, "right");
    look_at_edits(l);
    judge(l);
    rc = lam_db_close(l->db, &l->err);
    if (rc != LAM_OK)
        take_error(l, "close", rc);
    return true;
}

void corrupt_verify_crashed(struct simfs *fs, const struct corrupt_crashed *c, bool read_only,
                            struct corrupt_finding *out) {
    struct looking l = {.c = c, .out = out};
    memset(out, 0, sizeof *out);
    enum lam_code checked = lam_check(CORRUPT_DIR, simfs_env(fs), NULL, NULL, &l.err);
    if (checked != LAM_OK)
        take_error(&l, "lam_check", checked);
    if (look(&l, simfs_env(fs), read_only) && !read_only)
        look(&l, simfs_env(fs), true);
    if (checked == LAM_OK && out->verdict == CORRUPT_DETECTED)
        harm(&l, "lam_check saw nothing of it");
    if (simfs_open_handles(fs) > 0)
        harm(&l, "a file or a lock is still held");
}
