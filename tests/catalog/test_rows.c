/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"
#include "tests/catalog/fixture.h"

static struct lam_slice age_column[] = {{(const uint8_t *)"age", 3}};
static struct lam_slice name_column[] = {{(const uint8_t *)"name", 4}};

static void make_index(struct fixture *f, const char *name, const struct lam_slice *columns,
                       bool unique) {
    struct index_spec spec = {.name = S(name),
                              .namespace_name = S("default"),
                              .table = S("t"),
                              .unique = unique,
                              .columns = columns,
                              .column_count = 1};
    ck_ok(catalog_create_index(f->c, &root, &spec, NULL, &f->err), &f->err);
}

static void indexed_table(struct fixture *f, enum table_kind kind) {
    fixture_open(f);
    ck_ok(make_people(f, "t", kind), &f->err);
    make_index(f, "by_age", age_column, false);
    make_index(f, "by_name", name_column, true);
}

START_TEST(a_commit_stamps_rows_in_order) {
    struct fixture f;
    struct value row[3];
    lam_batch *batch = NULL;
    struct seq_stamps stamps = {0};
    unsigned stripe;
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_SHARED), &f.err);
    struct provider *p = get_table(&f, "t");
    ck_ok(lam_batch_new(f.db, &batch, &f.err), &f.err);
    ck_ok(provider_write_lock(p, SLICE_EMPTY, &stripe, &f.err), &f.err);
    for (int i = 0; i < 1000; i++) {
        person(row, i, "somebody with a name of some length", i);
        ck_ok(row_batch_put(p, batch, &stamps, SLICE_EMPTY, row, i % 2, NULL, &f.err), &f.err);
    }
    ck_ok(catalog_commit(f.c, batch, &stamps, LAM_DURABILITY_SYNC, NULL, &f.err), &f.err);
    provider_write_unlock(p, stripe);
    ck_assert_int_gt(stamps.first_seq, 0);
    ck_assert_int_gt(stamps.last_seq, stamps.first_seq);
    int64_t last = 0;
    lam_iter *it = NULL;
    int i = 0;
    ck_ok(lam_iter_new(f.db, NULL, p->hot, &it, &f.err), &f.err);
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it), i++) {
        struct row_header h;
        struct value got[3];
        ck_ok(row_header_decode(lam_iter_value(it), &h, &f.err), &f.err);
        ck_assert_int_gt(h.seq, last);
        ck_assert_int_eq(h.deleted, i % 2);
        last = h.seq;
        ck_ok(row_decode(lam_iter_value(it), p->schema, p->schema, got, &f.err), &f.err);
        ck_assert_int_eq(got[0].as.i64, i);
        ck_assert_int_eq(got[2].as.i64, i);
    }
    ck_assert_int_eq(i, 1000);
    ck_assert_int_eq(last, stamps.last_seq);
    lam_iter_free(it);
    /* The same batch and stamps serve again. */
    lam_batch_reset(batch);
    seq_stamps_reset(&stamps);
    ck_ok(row_batch_put(p, batch, &stamps, SLICE_EMPTY, row, false, NULL, &f.err), &f.err);
    ck_ok(catalog_commit(f.c, batch, &stamps, LAM_DURABILITY_OS, NULL, &f.err), &f.err);
    ck_assert_int_gt(stamps.first_seq, last);
    ck_assert_int_eq(stamps.first_seq, stamps.last_seq);
    seq_stamps_fini(&stamps);
    lam_batch_free(batch);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

START_TEST(entries_follow_update_delete_and_return) {
    struct fixture f;
    struct value old[3], now[3];
    indexed_table(&f, TABLE_USER);
    struct provider *p = get_table(&f, "t");
    lam_partition *by_age = p->indexes[0].partition;
    person(old, 1, "x", 10);
    put_row(&f, p, "ann", old, false, NULL);
    put_row(&f, p, "bob", old, false, NULL);
    ck_assert_int_eq(count_keys(&f, by_age), 2);
    person(now, 1, "x", 11);
    put_row(&f, p, "ann", now, false, old);
    ck_assert_int_eq(count_keys(&f, by_age), 2);
    put_row(&f, p, "ann", now, true, now);
    ck_assert_int_eq(count_keys(&f, by_age), 1);
    /* The deleted version is handed in as the old one: its entry must come back all the same. */
    put_row(&f, p, "ann", now, false, now);
    ck_assert_int_eq(count_keys(&f, by_age), 2);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

START_TEST(removing_takes_row_and_entries) {
    struct fixture f;
    struct value row[3];
    lam_batch *batch = NULL;
    indexed_table(&f, TABLE_STREAM);
    struct provider *p = get_table(&f, "t");
    person(row, 1, "x", 10);
    put_row(&f, p, "ann", row, false, NULL);
    ck_ok(lam_batch_new(f.db, &batch, &f.err), &f.err);
    ck_ok(row_batch_remove(p, batch, S("ann"), row, &f.err), &f.err);
    ck_ok(catalog_commit(f.c, batch, NULL, LAM_DURABILITY_OS, NULL, &f.err), &f.err);
    lam_batch_free(batch);
    ck_assert_int_eq(count_keys(&f, p->hot), 0);
    ck_assert_int_eq(count_keys(&f, p->indexes[0].partition), 0);
    ck_assert_int_eq(count_keys(&f, p->indexes[1].partition), 0);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

/* --- random changes against the entries they should leave --- */

#define MODEL_KEYS 12
struct model_row {
    bool there, deleted, named;
    int64_t age;
};

START_TEST(indexes_agree_with_rows_after_random_changes) {
    struct fixture f;
    struct rng rng;
    struct model_row model[2][MODEL_KEYS] = {0};
    static const char *const users[] = {"ann", "b\001b"};
    rng_init(&rng, test_seed("rows_model"));
    indexed_table(&f, TABLE_USER);
    struct provider *p = get_table(&f, "t");
    for (int i = 0; i < 1500; i++) {
        struct value old[3], now[3];
        unsigned u = (unsigned)rng_below(&rng, 2), k = (unsigned)rng_below(&rng, MODEL_KEYS);
        struct model_row *m = &model[u][k];
        char name[16], old_name[16];
        snprintf(old_name, sizeof old_name, "n%u", k);
        snprintf(name, sizeof name, "n%u", k);
        person(old, k, m->named ? old_name : NULL, m->age);
        struct model_row to = {true, rng_below(&rng, 4) == 0, rng_below(&rng, 3) != 0,
                               (int64_t)rng_below(&rng, 3)};
        person(now, k, to.named ? name : NULL, to.age);
        put_row(&f, p, users[u], now, to.deleted, m->there ? old : NULL);
        *m = to;
        if (i == 700) {
            provider_unref(p);
            fixture_reopen(&f);
            p = get_table(&f, "t");
        }
    }
    int live = 0;
    for (int u = 0; u < 2; u++) {
        for (unsigned k = 0; k < MODEL_KEYS; k++) {
            const struct model_row *m = &model[u][k];
            live += m->there && !m->deleted;
            struct buf prefix = {0}, key = {0}, want = {0};
            struct value row[3];
            person(row, k, NULL, m->age);
            ck_ok(index_prefix(p, &p->indexes[0], S(users[u]), &row[2], 1, &prefix, &f.err),
                  &f.err);
            ck_ok(row_key(p->schema, p->kind, S(users[u]), row, &want, &f.err), &f.err);
            struct lam_read_options options = {.prefix = buf_slice(&prefix)};
            lam_iter *it = NULL;
            int seen = 0;
            ck_ok(lam_iter_new(f.db, &options, p->indexes[0].partition, &it, &f.err), &f.err);
            for (lam_iter_seek_last(it); lam_iter_valid(it); lam_iter_prev(it)) {
                buf_reset(&key);
                ck_ok(index_entry_row_key(p, &p->indexes[0], lam_iter_key(it), lam_iter_value(it),
                                          &key, &f.err),
                      &f.err);
                seen += slice_eq(buf_slice(&key), buf_slice(&want));
            }
            ck_assert_int_eq(seen, m->there && !m->deleted);
            lam_iter_free(it);
            buf_fini(&prefix);
            buf_fini(&key);
            buf_fini(&want);
        }
    }
    ck_assert_int_eq(count_keys(&f, p->indexes[0].partition), live);
    ck_assert_int_eq(count_keys(&f, p->indexes[1].partition), live);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

START_TEST(malformed_entries_are_corrupt) {
    struct fixture f;
    struct value row[3];
    struct buf key = {0};
    lam_iter *it = NULL;
    indexed_table(&f, TABLE_USER);
    struct provider *p = get_table(&f, "t");
    const struct table_index *by_name = &p->indexes[1];
    person(row, 1, "xyz", 10);
    put_row(&f, p, "ann", row, false, NULL);
    ck_ok(lam_iter_new(f.db, NULL, by_name->partition, &it, &f.err), &f.err);
    lam_iter_seek_first(it);
    struct lam_slice entry = lam_iter_key(it);
    size_t pk_bytes = 8;
    for (size_t cut = 0; cut <= entry.size - pk_bytes; cut++)
        ck_code(
            index_entry_row_key(p, by_name, lam_slice_of(entry.data, cut), SLICE_EMPTY, &key, NULL),
            LAM_CORRUPT);
    ck_ok(index_entry_row_key(p, by_name, entry, SLICE_EMPTY, &key, &f.err), &f.err);
    lam_iter_free(it);
    buf_fini(&key);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

START_TEST(defaults_have_the_column_s_type) {
    struct fixture f;
    struct arena arena = {0};
    struct value v;
    static const struct {
        enum default_kind kind;
        enum lam_type type;
    } cases[] = {
        {DEFAULT_SNOWFLAKE, LAM_TYPE_BIGINT},  {DEFAULT_SNOWFLAKE, LAM_TYPE_TEXT},
        {DEFAULT_NOW, LAM_TYPE_TIMESTAMP},     {DEFAULT_NOW, LAM_TYPE_DATE},
        {DEFAULT_NOW, LAM_TYPE_TIME},          {DEFAULT_NOW, LAM_TYPE_TEXT},
        {DEFAULT_CURRENT_USER, LAM_TYPE_TEXT}, {DEFAULT_CURRENT_ROLE, LAM_TYPE_TEXT},
        {DEFAULT_UUID_V7, LAM_TYPE_UUID},      {DEFAULT_UUID_V7, LAM_TYPE_TEXT},
        {DEFAULT_ULID, LAM_TYPE_TEXT},         {DEFAULT_NONE, LAM_TYPE_INT},
    };
    fixture_open(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct schema_column column = {.name = "c",
                                       .type = {.type = cases[i].type},
                                       .nullable = true,
                                       .on_insert = {.kind = cases[i].kind}};
        ck_ok(column_default_value(f.c, &column, S("ann"), LAM_ROLE_DBA, &arena, &v, &f.err),
              &f.err);
        ck_assert_int_eq(v.type.type, cases[i].type);
        ck_assert_int_eq(v.is_null, cases[i].kind == DEFAULT_NONE);
        if (cases[i].kind == DEFAULT_CURRENT_USER)
            ck_assert(slice_eq_str(v.as.bytes, "ann"));
        if (cases[i].kind == DEFAULT_CURRENT_ROLE)
            ck_assert(slice_eq_str(v.as.bytes, "dba"));
        if (cases[i].type == LAM_TYPE_TIME)
            ck_assert(v.as.i64 >= 0 && v.as.i64 < INT64_C(86400000000));
    }
    arena_fini(&arena);
    fixture_close(&f);
}
END_TEST

/* --- threads: DDL beside writers loses and misplaces no entry --- */

struct writer {
    struct fixture *f;
    int number, written;
    enum lam_code rc;
};
static void write_rows(void *arg) {
    struct writer *w = arg;
    for (int i = 0; i < 200; i++) {
        struct provider *p = NULL;
        struct value row[3];
        lam_batch *batch = NULL;
        struct seq_stamps stamps = {0};
        unsigned stripe;
        person(row, w->number * 1000 + i, NULL, i % 7);
        enum lam_code rc = catalog_provider(w->f->c, S("default"), S("t"), &p, NULL);
        if (rc == LAM_OK)
            rc = lam_batch_new(w->f->db, &batch, NULL);
        if (rc == LAM_OK)
            rc = provider_write_lock(p, S("ann"), &stripe, NULL);
        if (rc == LAM_OK) {
            rc = row_batch_put(p, batch, &stamps, S("ann"), row, false, NULL, NULL);
            if (rc == LAM_OK)
                rc = catalog_commit(w->f->c, batch, &stamps, LAM_DURABILITY_OS, NULL, NULL);
            provider_write_unlock(p, stripe);
        }
        w->written += rc == LAM_OK;
        if (rc == LAM_CONFLICT)
            i--; /* prepared under an older version: again */
        else if (rc != LAM_OK)
            w->rc = rc;
        seq_stamps_fini(&stamps);
        lam_batch_free(batch);
        provider_unref(p);
    }
}

START_TEST(an_index_made_beside_writers_misses_no_row) {
    struct fixture f;
    struct writer writers[3];
    struct thread threads[3];
    fixture_open(&f);
    ck_ok(make_people(&f, "t", TABLE_USER), &f.err);
    for (int i = 0; i < 3; i++) {
        writers[i] = (struct writer){.f = &f, .number = i};
        ck_ok(thread_start(&threads[i], write_rows, &writers[i], &f.err), &f.err);
    }
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "i%d", i);
        make_index(&f, name, age_column, false);
    }
    for (int i = 0; i < 3; i++) {
        thread_join(&threads[i]);
        ck_code(writers[i].rc, LAM_OK);
        ck_assert_int_eq(writers[i].written, 200);
    }
    struct provider *p = get_table(&f, "t");
    ck_assert_uint_eq(p->index_count, 4);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(count_keys(&f, p->indexes[i].partition), 600);
    provider_unref(p);
    fixture_close(&f);
}
END_TEST

TEST_MAIN("catalog/rows", a_commit_stamps_rows_in_order, entries_follow_update_delete_and_return,
          removing_takes_row_and_entries, indexes_agree_with_rows_after_random_changes,
          malformed_entries_are_corrupt, defaults_have_the_column_s_type,
          an_index_made_beside_writers_misses_no_row)
