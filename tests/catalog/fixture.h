/* SPDX-License-Identifier: Apache-2.0
 *
 * A database in memory with its catalog, and short forms of what catalog tests do all the time. */
#ifndef LAMINA_TESTS_CATALOG_FIXTURE_H
#define LAMINA_TESTS_CATALOG_FIXTURE_H

#include "base/env.h"
#include "catalog/catalog.h"
#include "tests/support/test.h"

struct fixture {
    lam_env *env;
    lam_db *db;
    struct catalog *c;
    struct lam_error err;
};

#define S(text) lam_slice_str(text)

static const struct actor root
    __attribute__((unused)) = {{(const uint8_t *)"root", 4}, LAM_ROLE_SYSTEM};

static void __attribute__((unused)) fixture_open_db(struct fixture *f) {
    struct lam_options options = {.env = f->env, .memory_budget = 8u << 20};
    ck_ok(lam_db_open("/db", &options, &f->db, &f->err), &f->err);
    ck_ok(catalog_of(f->db, &f->c, &f->err), &f->err);
}

static void __attribute__((unused)) fixture_open(struct fixture *f) {
    memset(f, 0, sizeof *f);
    ck_ok(lam_env_mem_new(&f->env, &f->err), &f->err);
    fixture_open_db(f);
}

static void __attribute__((unused)) fixture_close_db(struct fixture *f) {
    ck_ok(lam_db_close(f->db, &f->err), &f->err);
    f->db = NULL;
    f->c = NULL;
}

static void __attribute__((unused)) fixture_reopen(struct fixture *f) {
    fixture_close_db(f);
    fixture_open_db(f);
}

static void __attribute__((unused)) fixture_close(struct fixture *f) {
    fixture_close_db(f);
    lam_env_mem_free(f->env);
}

/* `expr` fails with this SQLSTATE. */
#define ck_state(f, expr, state)                                                                   \
    do {                                                                                           \
        memset(&(f)->err, 0, sizeof(f)->err);                                                      \
        enum lam_code ck_rc_ = (expr);                                                             \
        ck_assert_msg(ck_rc_ != LAM_OK, "%s: expected %s, got OK", #expr, state);                  \
        ck_assert_msg(strcmp((f)->err.sqlstate, state) == 0, "%s: expected %s, got %s: %s", #expr, \
                      state, (f)->err.sqlstate, (f)->err.message);                                 \
    } while (0)

static struct column_spec __attribute__((unused))
column_of(const char *name, enum lam_type type, bool nullable) {
    return (struct column_spec){.name = S(name), .type = {.type = type}, .nullable = nullable};
}

/* id BIGINT key, name TEXT, age INT in namespace default. */
static enum lam_code __attribute__((unused))
make_people(struct fixture *f, const char *name, enum table_kind kind) {
    struct column_spec columns[] = {
        column_of("id", LAM_TYPE_BIGINT, false),
        column_of("name", LAM_TYPE_TEXT, true),
        column_of("age", LAM_TYPE_INT, true),
    };
    struct table_spec spec = {
        .namespace_name = S("default"),
        .name = S(name),
        .kind = kind,
        .columns = columns,
        .column_count = 3,
        .key_count = 1,
        .key = {0},
    };
    table_options_init(&spec.options);
    if (kind == TABLE_STREAM)
        spec.options.ttl_seconds = 60;
    return catalog_create_table(f->c, &root, &spec, NULL, &f->err);
}

static __attribute__((unused)) struct provider *get_table(struct fixture *f, const char *name) {
    struct provider *p = NULL;
    ck_ok(catalog_provider(f->c, S("default"), S(name), &p, &f->err), &f->err);
    return p;
}

/* A person's row; NULL name is a NULL. */
static void __attribute__((unused))
person(struct value *out, int64_t id, const char *name, int64_t age) {
    out[0] = value_i64(LAM_TYPE_BIGINT, id);
    out[1] = name ? value_text(name) : value_null(coltype_of(LAM_TYPE_TEXT));
    out[2] = value_i64(LAM_TYPE_INT, age);
}

/* Commits one row put; its _seq. */
static int64_t __attribute__((unused))
put_row(struct fixture *f, struct provider *p, const char *user, const struct value *values,
        bool deleted, const struct value *old) {
    lam_batch *batch = NULL;
    struct seq_stamps stamps = {0};
    unsigned stripe;
    ck_ok(lam_batch_new(f->db, &batch, &f->err), &f->err);
    ck_ok(provider_write_lock(p, S(user), &stripe, &f->err), &f->err);
    ck_ok(row_batch_put(p, batch, &stamps, S(user), values, deleted, old, &f->err), &f->err);
    ck_ok(catalog_commit(f->c, batch, &stamps, LAM_DURABILITY_DEFAULT, NULL, &f->err), &f->err);
    provider_write_unlock(p, stripe);
    int64_t seq = stamps.last_seq;
    seq_stamps_fini(&stamps);
    lam_batch_free(batch);
    return seq;
}

struct name_counter {
    const char *prefix;
    const char *exact;
    int count;
};
static bool __attribute__((unused)) count_name(void *arg, const char *name) {
    struct name_counter *n = arg;
    n->count +=
        n->prefix ? strncmp(name, n->prefix, strlen(n->prefix)) == 0 : strcmp(name, n->exact) == 0;
    return true;
}
static int __attribute__((unused)) partitions_starting(struct fixture *f, const char *prefix) {
    struct name_counter n = {.prefix = prefix};
    ck_ok(lam_partition_list(f->db, count_name, &n, &f->err), &f->err);
    return n.count;
}
static bool __attribute__((unused)) has_partition(struct fixture *f, const char *name) {
    struct name_counter n = {.exact = name};
    ck_ok(lam_partition_list(f->db, count_name, &n, &f->err), &f->err);
    return n.count == 1;
}

static int __attribute__((unused)) count_keys(struct fixture *f, lam_partition *partition) {
    lam_iter *it = NULL;
    int n = 0;
    ck_ok(lam_iter_new(f->db, NULL, partition, &it, &f->err), &f->err);
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it))
        n++;
    ck_ok(lam_iter_status(it, &f->err), &f->err);
    lam_iter_free(it);
    return n;
}

#endif
