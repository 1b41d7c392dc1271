/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking a database everything and comparing the answers with those it gave when it was whole.
 * Questions come in a fixed order, most of them made from what the first asking found. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fault/corrupt.h"

/* One question: its rows, end to end in `bytes`. */
struct answer {
    char label[96];
    uint8_t *bytes;
    size_t size, capacity;
    size_t *ends; /* where each row ends */
    size_t rows, rows_capacity;
};

struct corrupt_answers {
    struct answer *items;
    size_t count, capacity;
    size_t engine; /* how many are the engine's; the first lists its partitions */
};

static void *grow(void *old, size_t *capacity, size_t need, size_t item) {
    if (need <= *capacity)
        return old;
    *capacity = need * 2 > 16 ? need * 2 : 16;
    void *p = realloc(old, *capacity * item);
    if (!p)
        abort();
    return p;
}

struct corrupt_answers *corrupt_answers_new(void) {
    struct corrupt_answers *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    return a;
}

void corrupt_answers_free(struct corrupt_answers *a) {
    for (size_t i = 0; i < a->count; i++) {
        free(a->items[i].bytes);
        free(a->items[i].ends);
    }
    free(a->items);
    free(a);
}

size_t corrupt_answers_count(const struct corrupt_answers *a) {
    return a->count;
}

static struct lam_slice row_of(const struct answer *q, size_t row) {
    size_t from = row ? q->ends[row - 1] : 0;
    return lam_slice_of(q->bytes + from, q->ends[row] - from);
}

/* --- an asking ------------------------------------------------------------------------------ */

struct asking {
    struct corrupt_answers *learned; /* filled, if `learning` */
    bool learning;
    size_t at;    /* question being asked */
    size_t row;   /* rows of it given so far */
    bool told;    /* it has been found wrong */
    size_t named; /* errors seen that are as they must be */
    const struct corrupt_how *how;
    struct corrupt_finding *out;
    struct lam_error err;
};

static void harm(struct asking *k, const char *text) {
    char before[600];
    if (k->out->verdict == CORRUPT_HARM)
        return;
    k->out->verdict = CORRUPT_HARM;
    snprintf(before, sizeof before, "%.599s", k->out->text);
    snprintf(k->out->text, sizeof k->out->text, before[0] ? "%.900s (after: %s)" : "%.900s%s", text,
             before);
}

static void harm_at(struct asking *k, const char *what) {
    char text[1400];
    snprintf(text, sizeof text, "%s: row %zu: %s", k->learned->items[k->at].label, k->row, what);
    harm(k, text);
    k->told = true;
}

/* Whether the error is one that damage may cause. */
static bool is_proper(const struct asking *k, enum lam_code code, const struct lam_error *err) {
    const char *named = k->how->named ? k->how->named : CORRUPT_DIR "/";
    bool right_code =
        code == LAM_CORRUPT || (k->how->any_error && code != LAM_OK && code != LAM_NOT_FOUND);
    return right_code && strstr(err->message, named);
}

static void take_error(struct asking *k, const char *label, enum lam_code code,
                       const struct lam_error *err) {
    char text[1400];
    snprintf(text, sizeof text, "%s: %s: %.1100s", label, lam_code_name(code), err->message);
    if (k->learning) {
        fprintf(stderr, "a whole database: %s\n", text);
        abort();
    }
    if (!is_proper(k, code, err)) {
        harm(k, text);
        return;
    }
    k->named++;
    if (k->out->verdict == CORRUPT_RIGHT) {
        k->out->verdict = CORRUPT_DETECTED;
        snprintf(k->out->text, sizeof k->out->text, "%s", text);
    }
}

/* Whether question `at` is to be asked now; questions beyond what reads every byte take turns. */
static bool is_due(const struct asking *k, size_t at) {
    unsigned portion = k->learning ? 1 : k->how->portion;
    return portion <= 1 || at % portion == k->how->turn % portion;
}

/* Goes on to the next question if this one is not due. */
static bool pass_over(struct asking *k) {
    if (is_due(k, k->at))
        return false;
    k->at++;
    return true;
}

static void ask(struct asking *k, const char *label) {
    struct corrupt_answers *a = k->learned;
    if (k->learning) {
        a->items = grow(a->items, &a->capacity, a->count + 1, sizeof *a->items);
        memset(&a->items[a->count], 0, sizeof *a->items);
        snprintf(a->items[a->count].label, sizeof a->items[0].label, "%s", label);
        a->count++;
    }
    if (k->at >= a->count)
        abort();
    k->row = 0;
    k->told = false;
}

static void learn_row(struct answer *q, const void *bytes, size_t size) {
    q->bytes = grow(q->bytes, &q->capacity, q->size + size + 1, 1);
    if (size > 0)
        memcpy(q->bytes + q->size, bytes, size);
    q->size += size;
    q->ends = grow(q->ends, &q->rows_capacity, q->rows + 1, sizeof *q->ends);
    q->ends[q->rows++] = q->size;
}

static void give_row(struct asking *k, const void *bytes, size_t size) {
    struct answer *q = &k->learned->items[k->at];
    if (k->learning) {
        learn_row(q, bytes, size);
    } else if (!k->told) {
        if (k->row >= q->rows)
            harm_at(k, "there was none");
        else if (row_of(q, k->row).size != size ||
                 (size > 0 && memcmp(row_of(q, k->row).data, bytes, size) != 0))
            harm_at(k, "not what it was");
    }
    k->row++;
}

static void answered(struct asking *k, enum lam_code code) {
    const struct answer *q = &k->learned->items[k->at];
    if (code != LAM_OK)
        take_error(k, q->label, code, &k->err);
    else if (!k->learning && !k->told && k->row != q->rows)
        harm_at(k, "missing, without an error");
    k->at++;
}

/* --- the engine ----------------------------------------------------------------------------- */

static bool note_partition(void *arg, const char *name) {
    give_row(arg, name, strlen(name) + 1);
    return true;
}

/* An entry as a row: the key's length, the key, the value. */
static void give_entry(struct asking *k, const lam_iter *it) {
    uint8_t row[4096];
    struct lam_slice key = lam_iter_key(it), value = lam_iter_value(it);
    uint32_t size = (uint32_t)key.size;
    if (sizeof size + key.size + value.size > sizeof row)
        abort();
    memcpy(row, &size, sizeof size);
    memcpy(row + sizeof size, key.data, key.size);
    if (value.size > 0)
        memcpy(row + sizeof size + key.size, value.data, value.size);
    give_row(k, row, sizeof size + key.size + value.size);
}

static void ask_scan(struct asking *k, lam_db *db, lam_partition *p, bool forward) {
    char label[96];
    lam_iter *it = NULL;
    if (!forward && pass_over(k))
        return;
    snprintf(label, sizeof label, "%s %.80s", forward ? "forward" : "backward",
             lam_partition_name(p));
    ask(k, label);
    enum lam_code rc = lam_iter_new(db, NULL, p, &it, &k->err);
    if (rc == LAM_OK) {
        if (forward)
            lam_iter_seek_first(it);
        else
            lam_iter_seek_last(it);
        for (; lam_iter_valid(it); forward ? lam_iter_next(it) : lam_iter_prev(it))
            give_entry(k, it);
        rc = lam_iter_status(it, &k->err);
    }
    lam_iter_free(it);
    answered(k, rc);
}

static void ask_key(struct asking *k, lam_db *db, lam_partition *p, struct lam_slice key,
                    struct lam_value *value) {
    if (pass_over(k))
        return;
    ask(k, lam_partition_name(p));
    enum lam_code rc = lam_get(db, NULL, p, key, value, &k->err);
    if (rc == LAM_OK)
        give_row(k, value->bytes.data, value->bytes.size);
    answered(k, rc == LAM_NOT_FOUND ? LAM_OK : rc);
}

/* Every key that the scan found when all was well, and some beside them. */
static void ask_keys(struct asking *k, lam_db *db, lam_partition *p, size_t scan) {
    struct lam_value value = {0};
    uint8_t key[4096];
    for (size_t i = 0; i < k->learned->items[scan].rows; i++) {
        struct lam_slice row = row_of(&k->learned->items[scan], i);
        uint32_t size;
        memcpy(&size, row.data, sizeof size);
        memcpy(key, row.data + sizeof size, size);
        ask_key(k, db, p, lam_slice_of(key, size), &value);
        key[size] = 0x7f;
        if (i % 4 == 0)
            ask_key(k, db, p, lam_slice_of(key, size + 1), &value);
    }
    lam_value_release(&value);
}

static void ask_engine(struct asking *k, lam_db *db) {
    ask(k, "partitions");
    answered(k, lam_partition_list(db, note_partition, k, &k->err));
    size_t partitions = k->learned->items[0].rows;
    for (size_t i = 0; i < partitions; i++) {
        const char *name = (const char *)row_of(&k->learned->items[0], i).data;
        lam_partition *p;
        enum lam_code rc = lam_partition_open(db, name, &p, &k->err);
        if (rc != LAM_OK) {
            /* The list told already if it is gone; nothing below can be asked. */
            take_error(k, name, rc, &k->err);
            return;
        }
        size_t scan = k->at;
        ask_scan(k, db, p, true);
        ask_scan(k, db, p, false);
        ask_keys(k, db, p, scan);
        lam_partition_release(p);
    }
}

/* --- tables --------------------------------------------------------------------------------- */

struct query {
    const char *user; /* NULL: the system */
    const char *text;
    int64_t parameters; /* 0: none; else run with 1 to this */
    bool always;        /* reads all rows */
};

static const struct query queries[] = {
    {NULL, "SELECT * FROM notes ORDER BY id", 0, true},
    {NULL, "SELECT count(*), sum(n), min(title), max(title), avg(id) FROM notes", 0, false},
    {NULL, "SELECT n, count(*) FROM notes GROUP BY n ORDER BY n", 0, false},
    {NULL, "SELECT title, done FROM notes WHERE id = $1", 14, false},
    {NULL, "SELECT id FROM notes WHERE n = $1 ORDER BY id", 4, false},
    {NULL, "SELECT count(*) FROM notes WHERE title >= 'title 2' AND title < 'title 3'", 0, false},
    {"ann", "SELECT * FROM mail ORDER BY id", 0, true},
    {"bob", "SELECT * FROM mail ORDER BY id DESC", 0, true},
    {"bob", "SELECT body FROM mail WHERE id = $1", 3, false},
    {"eve", "SELECT count(*) FROM mail", 0, false},
    {"ann", "SELECT * FROM events ORDER BY id", 0, true},
    {NULL, "SELECT namespace, table_name, table_type, schema_version FROM system.tables", 0, true},
};

static void give_result_row(struct asking *k, lam_stmt *stmt) {
    uint8_t row[4096];
    size_t size = 0;
    for (uint32_t c = 0; c < lam_column_count(stmt); c++) {
        struct lam_slice text = lam_column_text(stmt, c);
        bool null = lam_column_is_null(stmt, c);
        if (size + text.size + 2 > sizeof row)
            abort();
        row[size++] = null ? 'N' : '|';
        if (!null && text.size > 0)
            memcpy(row + size, text.data, text.size);
        size += null ? 0 : text.size;
    }
    give_row(k, row, size);
}

static enum lam_code run(struct asking *k, lam_stmt *stmt) {
    bool row = false;
    for (;;) {
        enum lam_code rc = lam_step(stmt, &row, &k->err);
        if (rc != LAM_OK || !row)
            return rc;
        give_result_row(k, stmt);
    }
}

static void ask_query(struct asking *k, lam_session *s, const struct query *q) {
    lam_stmt *stmt = NULL;
    size_t tail;
    enum lam_code prepared = lam_prepare(s, q->text, strlen(q->text), &stmt, &tail, &k->err);
    for (int64_t i = q->parameters ? 1 : 0; i <= q->parameters; i++) {
        enum lam_code rc = prepared;
        if (!q->always && pass_over(k))
            continue;
        ask(k, q->text);
        if (rc == LAM_OK && i > 0)
            rc = lam_bind_int64(stmt, 1, i, &k->err);
        if (rc == LAM_OK)
            rc = run(k, stmt);
        if (prepared == LAM_OK)
            lam_reset(stmt);
        answered(k, rc);
    }
    lam_finalize(stmt);
}

static bool any_due(const struct asking *k, const struct query *q) {
    size_t n = q->parameters ? (size_t)q->parameters : 1;
    for (size_t i = 0; i < n; i++)
        if (is_due(k, k->at + i))
            return true;
    return q->always;
}

/* False if no session can be had. */
static bool ask_as(struct asking *k, lam_db *db, const struct query *q) {
    lam_session *s = NULL;
    enum lam_code rc = q->user ? lam_session_open(db, q->user, LAM_ROLE_USER, &s, &k->err)
                               : lam_session_open(db, "root", LAM_ROLE_SYSTEM, &s, &k->err);
    if (rc != LAM_OK) {
        take_error(k, "session", rc, &k->err);
        return false;
    }
    ask_query(k, s, q);
    rc = lam_session_close(s, &k->err);
    if (rc != LAM_OK)
        take_error(k, "session close", rc, &k->err);
    return true;
}

static void ask_tables(struct asking *k, lam_db *db) {
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        const struct query *q = &queries[i];
        if (!any_due(k, q))
            k->at += q->parameters ? (size_t)q->parameters : 1;
        else if (!ask_as(k, db, q))
            return;
    }
}

/* --- all of it ------------------------------------------------------------------------------ */

enum extent { ALL, TABLES_ONLY };

/* TABLES_ONLY: a database that was open for writing since may hold other bytes in its partitions,
 * but its tables say the same. */
static bool ask_all(struct asking *k, lam_env *env, bool read_only, enum extent extent) {
    struct lam_options o = corrupt_options(env, read_only);
    lam_db *db = NULL;
    /* A damaged database must not be taken for none, to be made afresh. */
    o.must_exist = read_only;
    enum lam_code rc = lam_db_open(CORRUPT_DIR, &o, &db, &k->err);
    if (rc != LAM_OK) {
        take_error(k, "open", rc, &k->err);
        return false;
    }
    k->at = 0;
    if (extent == ALL)
        ask_engine(k, db);
    if (k->learning)
        k->learned->engine = k->at;
    k->at = k->learned->engine; /* an asking that was cut short goes on here */
    ask_tables(k, db);
    rc = lam_db_close(db, &k->err);
    if (rc != LAM_OK)
        take_error(k, "close", rc, &k->err);
    return true;
}

static enum lam_code check(struct asking *k, lam_env *env, const char *label) {
    enum lam_code rc =
        lam_check_full(CORRUPT_DIR, &(struct lam_check_options){.env = env}, &k->err);
    if (rc != LAM_OK)
        take_error(k, label, rc, &k->err);
    return rc;
}

static void check_handles(struct asking *k, struct simfs *fs) {
    if (simfs_open_handles(fs) > 0)
        harm(k, "a file or a lock is still held");
}

void corrupt_learn(struct simfs *fs, struct corrupt_answers *a) {
    struct corrupt_finding out = {0};
    struct corrupt_how how = {0};
    struct asking k = {.learned = a, .learning = true, .how = &how, .out = &out};
    check(&k, simfs_env(fs), "lam_check_full");
    ask_all(&k, simfs_env(fs), true, ALL);
    check_handles(&k, fs);
}

/* What the asking left: damage that was seen is still seen, and nothing was made of it. */
static void look_again(struct asking *k, lam_env *env, enum lam_code before) {
    enum lam_code after = check(k, env, "lam_check_full after the close");
    if ((before == LAM_OK) != (after == LAM_OK))
        harm(k, before == LAM_OK ? "lam_check_full sees damage after a close, none before"
                                 : "the damage is gone from lam_check_full after a close");
    ask_all(k, env, true, TABLES_ONLY);
}

void corrupt_verify(struct simfs *fs, const struct corrupt_answers *a,
                    const struct corrupt_how *how, struct corrupt_finding *out) {
    memset(out, 0, sizeof *out);
    /* It learns nothing, so the answers stay as they are. */
    struct asking k = {.learned = (struct corrupt_answers *)(uintptr_t)a, .how = how, .out = out};
    lam_env *env = simfs_env(fs);
    enum lam_code before = check(&k, env, "lam_check_full");
    k.named = 0;
    bool opened = ask_all(&k, env, how->read_only, how->tables_only ? TABLES_ONLY : ALL);
    if (!how->transient && before == LAM_OK && k.named > 0)
        harm(&k, "lam_check_full saw nothing of it");
    if (!how->transient && !how->read_only && opened)
        look_again(&k, env, before);
    check_handles(&k, fs);
}
