/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/flush/world.h"

static char *read_text(lam_env *env, const char *path) {
    struct buf out = {0};
    struct lam_error err;
    const char *text;
    ck_ok(env_read_file(env, path, 1 << 20, &out, &err), &err);
    ck_ok(buf_cstr(&out, &text, &err), &err);
    char *copy = mem_strdup(text);
    buf_fini(&out);
    return copy;
}

static struct job job_of(struct world *w, const char *id, struct arena *arena) {
    struct job job;
    ck_ok(catalog_job_get(w->c, S(id), arena, &job, &w->err), &w->err);
    return job;
}

START_TEST(flushed_rows_leave_the_hot_tier_and_stay_readable) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_SHARED, NULL);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "", 1, "a", 10);
    world_put(&w, p, "", 2, NULL, 20);
    world_put(&w, p, "", 3, "c", 30);
    char *before = world_dump(&w, p, "", true);
    struct flush_result r = world_flush(&w, p);
    ck_assert_str_eq(r.status, "completed");
    ck_assert_uint_eq(r.rows, 3);
    ck_assert_uint_eq(r.files, 1);
    ck_assert_uint_eq(world_hot_rows(&w, p), 0);
    ck_assert_uint_eq(count_cold(w.env, ".parquet"), 1);
    char *after = world_dump(&w, p, "", true);
    ck_assert_str_eq(before, after);
    world_check(&w, p, "", "1|a|10\n2|NULL|20\n3|c|30\n");
    mem_free(before);
    mem_free(after);
    provider_unref(p);
    world_close(&w);
}
END_TEST

/* --- jobs --- */

START_TEST(job_row_tells_what_the_flush_did) {
    struct world w;
    struct arena arena = {0};
    world_open(&w);
    world_table(&w, "t", TABLE_USER, NULL);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "a", 1, "x", 1);
    world_put(&w, p, "b", 1, "y", 1);
    struct flush_result r = world_flush(&w, p);
    ck_assert_int_eq(strncmp(r.job_id, "FL-", 3), 0);
    struct job job = job_of(&w, r.job_id, &arena);
    ck_assert_int_eq(job.status, JOB_COMPLETED);
    ck_assert_str_eq(job.type, "flush");
    ck_assert_str_eq(job.table, "t");
    ck_assert_str_eq(job.message, "Flushed default.t successfully (2 rows, 2 files)");
    ck_assert_int_eq(job.rows, 2);
    ck_assert_int_eq(job.files, 2);
    ck_assert_int_eq(job.bytes, (int64_t)r.bytes);
    ck_assert(job.started_us >= job.created_us && job.finished_us >= job.started_us);

    r = world_flush(&w, p);
    ck_assert_str_eq(r.status, "skipped");
    job = job_of(&w, r.job_id, &arena);
    ck_assert_int_eq(job.status, JOB_SKIPPED);
    ck_assert_str_eq(job.message, "no hot rows");
    ck_assert_uint_eq(count_cold(w.env, ".parquet"), 2);
    arena_fini(&arena);
    provider_unref(p);
    world_close(&w);
}
END_TEST

START_TEST(failed_job_tells_why_and_leaves_no_file) {
    struct world w;
    struct arena arena = {0};
    struct flush_result r;
    world_open(&w);
    world_table(&w, "t", TABLE_SHARED, NULL);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "", 1, "x", 1);
    /* A file where a directory must be. */
    ck_ok(env_write_file(w.env, "/db/cold", S("in the way"), &w.err), &w.err);
    ck_assert_int_ne(flush_table(w.f, p, &r, &w.err), LAM_OK);
    struct job job = job_of(&w, r.job_id, &arena);
    ck_assert_int_eq(job.status, JOB_FAILED);
    ck_assert_ptr_nonnull(job.exception_trace);
    ck_contains(job.exception_trace, "cold");
    world_check(&w, p, "", "1|x|1\n");
    ck_ok(env_file_remove(w.env, "/db/cold", &w.err), &w.err);
    r = world_flush(&w, p);
    ck_assert_str_eq(r.status, "completed");
    world_check(&w, p, "", "1|x|1\n");
    arena_fini(&arena);
    provider_unref(p);
    world_close(&w);
}
END_TEST

static struct lam_env_ops real_ops, hooked_ops;
static unsigned taken_away;

/* As the removal of a dropped table's files does: takes an empty folder away before the first file
 * is made in it, with the one above. */
static enum lam_code open_without_folder(lam_env *env, const char *path, unsigned flags,
                                         lam_file **out, struct lam_error *err) {
    if (taken_away == 0 && strstr(path, ".parquet.tmp")) {
        taken_away++;
        ck_ok(real_ops.dir_remove(env, "/db/cold/default/t", err), err);
        ck_ok(real_ops.dir_remove(env, "/db/cold/default", err), err);
    }
    return real_ops.file_open(env, path, flags, out, err);
}

START_TEST(folder_that_goes_while_it_is_empty_is_made_again) {
    struct world w;
    world_open(&w);
    real_ops = hooked_ops = *w.env->ops;
    hooked_ops.file_open = open_without_folder;
    w.env->ops = &hooked_ops;
    world_table(&w, "t", TABLE_SHARED, NULL);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "", 1, "x", 1);
    struct flush_result r = world_flush(&w, p);
    ck_assert_uint_eq(taken_away, 1);
    ck_assert_str_eq(r.status, "completed");
    ck_assert_uint_eq(world_hot_rows(&w, p), 0);
    world_check(&w, p, "", "1|x|1\n");
    provider_unref(p);
    world_close(&w);
}
END_TEST

/* --- files --- */

START_TEST(hostile_users_stay_in_the_folder_and_apart) {
    struct world w;
    static char longest[257];
    memset(longest, '/', 256);
    const char *users[] = {"../x", "a/b", "a", "b", ".", "..", "a%2Fb", "_", "\xc3\xa9", longest};
    enum { USERS = sizeof users / sizeof users[0] };
    world_open(&w);
    world_table(&w, "t", TABLE_USER, NULL);
    struct provider *p = world_provider(&w, "t");
    for (int u = 0; u < USERS; u++)
        world_put(&w, p, users[u], 1, "mine", u);
    struct flush_result r = world_flush(&w, p);
    ck_assert_uint_eq(r.files, USERS);
    ck_assert_uint_eq(count_cold(w.env, "/db/cold/default/t/"),
                      2 * USERS + 2); /* segments, manifests; schema_v1, current */
    for (int u = 0; u < USERS; u++) {
        char expected[32];
        snprintf(expected, sizeof expected, "1|mine|%d\n", u);
        world_check(&w, p, users[u], expected);
    }
    static char names[64][512];
    size_t count = 0;
    walk_files(w.env, "/db", names, &count, 64);
    for (size_t i = 0; i < count; i++)
        ck_assert(!strstr(names[i], ".parquet") ||
                  strncmp(names[i], "/db/cold/default/t/", 19) == 0);
    provider_unref(p);
    world_close(&w);
}
END_TEST

/* Forged keys: nothing says where the rows' files would be. */
START_TEST(row_of_what_is_no_user_is_corrupt) {
    static const struct lam_slice forged[] = {
        {(const uint8_t *)"", 0}, {(const uint8_t *)"a\0b", 3}, {(const uint8_t *)"\xff\xfe", 2}};
    struct world w;
    struct flush_result r;
    lam_iter *it;
    world_open(&w);
    world_table(&w, "t", TABLE_USER, NULL);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "ann", 1, "x", 1);
    for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++) {
        struct buf key = {0}, ann = {0};
        ck_ok(key_put_string(&ann, S("ann"), &w.err), &w.err);
        ck_ok(key_put_string(&key, forged[i], &w.err), &w.err);
        ck_ok(lam_iter_new(w.db, NULL, p->hot, &it, &w.err), &w.err);
        lam_iter_seek(it, buf_slice(&ann));
        ck_assert(lam_iter_valid(it) && slice_starts_with(lam_iter_key(it), buf_slice(&ann)));
        struct lam_slice own = lam_iter_key(it);
        ck_ok(buf_append(&key, own.data + ann.size, own.size - ann.size, &w.err), &w.err);
        ck_ok(lam_put(w.db, NULL, p->hot, buf_slice(&key), lam_iter_value(it), &w.err), &w.err);
        lam_iter_free(it);
        ck_code(flush_table(w.f, p, &r, &w.err), LAM_CORRUPT);
        ck_contains(w.err.message, lam_partition_name(p->hot));
        ck_ok(lam_delete(w.db, NULL, p->hot, buf_slice(&key), &w.err), &w.err);
        buf_fini(&key);
        buf_fini(&ann);
    }
    world_flush(&w, p);
    world_check(&w, p, "ann", "1|x|1\n");
    provider_unref(p);
    world_close(&w);
}
END_TEST

START_TEST(numbers_of_files_are_never_used_again) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_SHARED, NULL);
    for (int i = 1; i <= 4; i++) {
        struct provider *p = world_provider(&w, "t");
        char part[32];
        world_put(&w, p, "", i, "x", i);
        world_flush(&w, p);
        snprintf(part, sizeof part, "/batch-%d-", i);
        ck_assert_uint_eq(count_cold(w.env, part), 1);
        provider_unref(p);
        world_reopen(&w);
    }
    world_close(&w);
}
END_TEST

START_TEST(location_and_storage_decide_where_files_lie) {
    struct world w;
    struct table_options options;
    bool created;
    world_open(&w);
    struct storage_spec storage = {.id = S("vault"),
                                   .type = S("filesystem"),
                                   .base_directory = S("/elsewhere/vault"),
                                   .shared_template = S("s/{namespace}/{table}"),
                                   .user_template = S("u/{namespace}-{table}/${user_id}")};
    ck_ok(catalog_create_storage(w.c, &world_root, &storage, &created, &w.err), &w.err);
    table_options_init(&options);
    snprintf(options.storage, sizeof options.storage, "vault");
    world_table(&w, "outside", TABLE_USER, &options);
    table_options_init(&options);
    options.location = mem_strdup("special/{tableName}-${user_id}/deep");
    world_table(&w, "located", TABLE_USER, &options);
    struct provider *a = world_provider(&w, "outside"), *b = world_provider(&w, "located");
    ck_ok(env_dir_create_all(w.env, "/elsewhere", &w.err), &w.err);
    world_put(&w, a, "al", 1, "x", 1);
    world_put(&w, b, "al", 1, "y", 1);
    world_flush(&w, a);
    world_flush(&w, b);
    static char names[64][512];
    size_t count = 0;
    walk_files(w.env, "/elsewhere/vault/u/default-outside/al", names, &count, 64);
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(count_cold(w.env, "/db/cold/special/located-al/deep/batch-1-"), 1);

    /* In a directory that others may share only files of ours go. */
    ck_ok(env_write_file(w.env, "/elsewhere/vault/u/default-outside/al/batch-9-deadbeef.parquet",
                         S("?"), &w.err),
          &w.err);
    provider_unref(a);
    provider_unref(b);
    world_reopen(&w);
    count = 0;
    walk_files(w.env, "/elsewhere/vault/u/default-outside/al", names, &count, 64);
    ck_assert_uint_eq(count, 3);
    a = world_provider(&w, "outside");
    b = world_provider(&w, "located");
    world_check(&w, a, "al", "1|x|1\n");
    world_check(&w, b, "al", "1|y|1\n");
    provider_unref(a);
    provider_unref(b);
    mem_free(options.location);
    world_close(&w);
}
END_TEST

START_TEST(orphans_go_at_open_and_nothing_else) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_USER, NULL);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "a", 1, "x", 1);
    world_flush(&w, p);
    provider_unref(p);
    static const char *const orphans[] = {"/db/cold/default/t/a/batch-2-0badf00d.parquet",
                                          "/db/cold/default/t/a/batch-3-0badf00d.parquet.tmp",
                                          "/db/cold/default/t/batch-1-0badf00d.parquet"};
    static const char *const others[] = {"/db/cold/default/t/a/notes.txt",
                                         "/db/cold/default/t/a/batch-2.parquet",
                                         "/db/cold/default/t/a/batch-2-0badf00d.parquet.keep"};
    for (int i = 0; i < 3; i++) {
        ck_ok(env_write_file(w.env, orphans[i], S("x"), &w.err), &w.err);
        ck_ok(env_write_file(w.env, others[i], S("x"), &w.err), &w.err);
    }
    world_reopen(&w);
    for (int i = 0; i < 3; i++) {
        enum lam_path_kind kind;
        ck_ok(env_path_kind(w.env, orphans[i], &kind, &w.err), &w.err);
        ck_assert_int_eq(kind, LAM_PATH_NONE);
        ck_ok(env_path_kind(w.env, others[i], &kind, &w.err), &w.err);
        ck_assert_int_eq(kind, LAM_PATH_FILE);
    }
    p = world_provider(&w, "t");
    world_check(&w, p, "a", "1|x|1\n");
    provider_unref(p);
    world_close(&w);
}
END_TEST

static void drop(struct world *w, const char *name) {
    bool dropped;
    ck_ok(catalog_drop_table(w->c, &world_root, S("default"), S(name), (enum table_kind)0, false,
                             &dropped, &w->err),
          &w->err);
}

START_TEST(half_written_exports_go_at_open_or_with_their_table) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_USER, NULL);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "a", 1, "x", 1);
    world_flush(&w, p);
    provider_unref(p);
    static const char *const half[] = {"/db/cold/default/t/a/manifest.json.tmp",
                                       "/db/cold/default/t/current.json.tmp",
                                       "/db/cold/default/t/schema_v12.json.tmp"};
    for (int reopened = 1; reopened >= 0; reopened--) {
        for (int i = 0; i < 3; i++)
            ck_ok(env_write_file(w.env, half[i], S("x"), &w.err), &w.err);
        ck_assert_uint_eq(count_cold(w.env, ".json.tmp"), 3);
        if (reopened)
            world_reopen(&w);
        else
            drop(&w, "t");
        ck_assert_uint_eq(count_cold(w.env, ".json.tmp"), 0);
        ck_assert_uint_eq(count_cold(w.env, "/default/t/a/manifest.json"), (size_t)reopened);
    }
    ck_assert_uint_eq(count_cold(w.env, "/default/t/"), 0);
    world_close(&w);
}
END_TEST

START_TEST(missing_or_changed_cold_file_fails_the_query_with_its_name) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_SHARED, NULL);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "", 1, "x", 1);
    world_flush(&w, p);
    static char names[8][512];
    size_t count = 0, at = 0;
    walk_files(w.env, "/db/cold", names, &count, 8);
    while (!strstr(names[at], ".parquet"))
        at++;
    struct buf content = {0};
    ck_ok(env_read_file(w.env, names[at], 1 << 20, &content, &w.err), &w.err);
    struct scan_request rq = {
        .provider = p, .column_ids = &p->schema->columns[0].id, .column_count = 1};
    struct buf out = {0};
    for (int round = 0; round < 2; round++) {
        provider_unref(p);
        if (round == 0) {
            ck_ok(env_file_remove(w.env, names[at], &w.err), &w.err);
        } else {
            content.data[content.size - 20] ^= 1;
            ck_ok(env_write_file(w.env, names[at], buf_slice(&content), &w.err), &w.err);
        }
        world_reopen(&w);
        p = world_provider(&w, "t");
        rq.provider = p;
        rq.column_ids = &p->schema->columns[0].id;
        ck_code(scan_rows(&rq, &out, NULL, &w.err), LAM_CORRUPT);
        ck_contains(w.err.message, names[at]);
    }
    buf_fini(&content);
    buf_fini(&out);
    provider_unref(p);
    world_close(&w);
}
END_TEST

START_TEST(json_is_exported_beside_the_files) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_USER, NULL);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "q\"x", 1, "a", 7);
    world_put(&w, p, "q\"x", 2, NULL, 9);
    world_flush(&w, p);
    char *manifest = read_text(w.env, "/db/cold/default/t/q%22x/manifest.json");
    char *schema = read_text(w.env, "/db/cold/default/t/schema_v1.json");
    char *current = read_text(w.env, "/db/cold/default/t/current.json");
    size_t bad;
    ck_assert(json_valid(S(manifest), &bad));
    ck_assert(json_valid(S(schema), &bad));
    ck_assert_str_eq(schema, current);
    ck_contains(manifest, "\"user_id\": \"q\\\"x\"");
    ck_contains(manifest, "\"row_count\": 2");
    ck_contains(manifest, "{\"id\": 3, \"null_count\": 0, \"min\": \"7\", \"max\": \"9\"}");
    ck_contains(manifest, "{\"id\": 2, \"null_count\": 1, \"min\": \"a\", \"max\": \"a\"}");
    ck_contains(schema, "\"schema_version\": 1");
    mem_free(manifest);
    mem_free(schema);
    mem_free(current);
    provider_unref(p);
    world_close(&w);
}
END_TEST

START_TEST(failing_export_is_a_remark_on_the_job) {
    struct world w;
    struct arena arena = {0};
    world_open(&w);
    world_table(&w, "t", TABLE_SHARED, NULL);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "", 1, "a", 7);
    ck_ok(env_dir_create_all(w.env, "/db/cold/default/t/manifest.json", &w.err), &w.err);
    struct flush_result r = world_flush(&w, p);
    ck_assert_str_eq(r.status, "completed");
    struct job job = job_of(&w, r.job_id, &arena);
    ck_assert_int_eq(job.status, JOB_COMPLETED);
    ck_contains(job.message, "JSON not exported");
    world_check(&w, p, "", "1|a|7\n");
    arena_fini(&arena);
    provider_unref(p);
    world_close(&w);
}
END_TEST

START_TEST(many_users_go_in_one_job) {
    struct world w;
    enum { USERS = 1500 };
    world_open(&w);
    world_table(&w, "t", TABLE_USER, NULL);
    struct provider *p = world_provider(&w, "t");
    lam_batch *batch;
    struct seq_stamps stamps = {0};
    ck_ok(lam_batch_new(w.db, &batch, &w.err), &w.err);
    for (int u = 0; u < USERS; u++) {
        char user[16];
        snprintf(user, sizeof user, "user%d", u);
        for (int i = 0; i < 3; i++) {
            struct value values[3] = {value_i64(LAM_TYPE_BIGINT, i), value_text(user),
                                      value_i64(LAM_TYPE_INT, u)};
            ck_ok(row_batch_put(p, batch, &stamps, S(user), values, false, NULL, &w.err), &w.err);
        }
    }
    ck_ok(catalog_commit(w.c, batch, &stamps, LAM_DURABILITY_OS, NULL, &w.err), &w.err);
    struct flush_result r = world_flush(&w, p);
    ck_assert_uint_eq(r.files, USERS);
    ck_assert_uint_eq(r.rows, 3 * USERS);
    world_check(&w, p, "user77", "0|user77|77\n1|user77|77\n2|user77|77\n");
    ck_assert_uint_eq(count_segments(&w, p), USERS);
    lam_batch_free(batch);
    seq_stamps_fini(&stamps);
    provider_unref(p);
    world_reopen(&w);
    p = world_provider(&w, "t");
    world_check(&w, p, "user1499", "0|user1499|1499\n1|user1499|1499\n2|user1499|1499\n");
    provider_unref(p);
    world_close(&w);
}
END_TEST

/* --- dropping --- */

START_TEST(dropped_table_takes_its_files_with_it) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_USER, NULL);
    world_table(&w, "stays", TABLE_USER, NULL);
    struct provider *p = world_provider(&w, "t"), *stays = world_provider(&w, "stays");
    world_put(&w, p, "a", 1, "x", 1);
    world_put(&w, p, "b", 1, "x", 1);
    world_put(&w, stays, "a", 1, "y", 1);
    world_flush(&w, p);
    world_flush(&w, stays);
    provider_unref(p);
    drop(&w, "t");
    ck_assert_uint_eq(count_cold(w.env, "/default/t/"), 0);
    ck_assert_uint_eq(count_cold(w.env, ".parquet"), 1);
    world_check(&w, stays, "a", "1|y|1\n");
    /* A table of the same name starts empty. */
    world_table(&w, "t", TABLE_USER, NULL);
    p = world_provider(&w, "t");
    world_check(&w, p, "a", "");
    world_put(&w, p, "a", 5, "z", 5);
    world_flush(&w, p);
    world_check(&w, p, "a", "5|z|5\n");
    provider_unref(p);
    provider_unref(stays);
    world_close(&w);
}
END_TEST

START_TEST(open_scan_of_a_dropped_table_reads_to_its_end) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_SHARED, NULL);
    struct provider *p = world_provider(&w, "t");
    for (int file = 0; file < 3; file++) {
        world_put(&w, p, "", file, "x", file);
        world_flush(&w, p);
    }
    struct scan_request rq = {.provider = p};
    struct scan *s, *late;
    struct colbatch *b;
    uint64_t rows = 0;
    ck_ok(scan_open(&rq, &s, &w.err), &w.err);
    drop(&w, "t");
    ck_assert_uint_eq(count_cold(w.env, ".parquet"), 3);
    for (;;) {
        ck_ok(scan_next(s, &b, &w.err), &w.err);
        if (!b)
            break;
        rows += b->rows;
    }
    ck_assert_uint_eq(rows, 3);
    ck_assert_int_ne(scan_open(&rq, &late, &w.err), LAM_OK);
    scan_close(s);
    ck_assert_uint_eq(count_cold(w.env, ".parquet"), 0);
    provider_unref(p);
    world_close(&w);
}
END_TEST

START_TEST(flush_of_a_dropped_table_leaves_nothing) {
    struct world w;
    struct flush_result r;
    world_open(&w);
    world_table(&w, "t", TABLE_SHARED, NULL);
    struct provider *p = world_provider(&w, "t");
    world_put(&w, p, "", 1, "x", 1);
    drop(&w, "t");
    ck_assert_int_ne(flush_table(w.f, p, &r, &w.err), LAM_OK);
    ck_assert_uint_eq(count_cold(w.env, ".parquet"), 0);
    provider_unref(p);
    world_close(&w);
}
END_TEST

/* --- threads --- */

struct crowd {
    struct world *w;
    struct provider *p;
    atomic_int stop;
    atomic_int failures;
    int id;
};
#define CROWD_KEYS 40

/* Each writer counts one of his keys up, over and over. */
static void write_on(void *arg) {
    struct crowd *c = arg;
    struct lam_error err;
    for (int i = 1; i <= 150; i++) {
        struct value values[3] = {value_i64(LAM_TYPE_BIGINT, c->id * 100 + i % CROWD_KEYS),
                                  value_text("w"), value_i64(LAM_TYPE_INT, i)};
        if (world_try_put(c->w, c->p, S("u"), values, false, &err) != LAM_OK)
            atomic_fetch_add(&c->failures, 1);
    }
}
static void flush_on(void *arg) {
    struct crowd *c = arg;
    struct flush_result r;
    struct lam_error err;
    while (!atomic_load(&c->stop)) {
        if (flush_table(c->w->f, c->p, &r, &err) != LAM_OK)
            atomic_fetch_add(&c->failures, 1);
    }
}
/* Every scan sees each key at most once. */
static void scan_on(void *arg) {
    struct crowd *c = arg;
    struct lam_error err;
    while (!atomic_load(&c->stop)) {
        uint32_t id = c->p->schema->columns[0].id;
        struct scan_request rq = {
            .provider = c->p, .user = S("u"), .column_ids = &id, .column_count = 1};
        struct scan *s = NULL;
        struct colbatch *b = NULL;
        bool seen[400] = {0};
        enum lam_code rc = scan_open(&rq, &s, &err);
        do {
            if (rc == LAM_OK)
                rc = scan_next(s, &b, &err);
            for (uint32_t i = 0; rc == LAM_OK && b && i < b->rows; i++) {
                int64_t key = column_i64(&b->columns[0], i);
                if (seen[key])
                    atomic_fetch_add(&c->failures, 1);
                seen[key] = true;
            }
        } while (rc == LAM_OK && b);
        if (rc != LAM_OK)
            atomic_fetch_add(&c->failures, 1);
        scan_close(s);
    }
}

START_TEST(writers_readers_and_flushes_go_on_together) {
    struct world w;
    world_open(&w);
    world_table(&w, "t", TABLE_USER, NULL);
    struct provider *p = world_provider(&w, "t");
    struct crowd crowd[5];
    struct thread threads[5];
    void (*const work[5])(void *) = {write_on, write_on, flush_on, flush_on, scan_on};
    for (int i = 0; i < 5; i++) {
        memset(&crowd[i], 0, sizeof crowd[i]);
        crowd[i].w = &w;
        crowd[i].p = p;
        crowd[i].id = i;
        ck_ok(thread_start(&threads[i], work[i], &crowd[i], &w.err), &w.err);
    }
    thread_join(&threads[0]);
    thread_join(&threads[1]);
    for (int i = 2; i < 5; i++) {
        atomic_store(&crowd[i].stop, 1);
        thread_join(&threads[i]);
    }
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(atomic_load(&crowd[i].failures), 0);
    struct buf expected = {0};
    char *lines[2 * CROWD_KEYS];
    size_t count = 0;
    for (int id = 0; id < 2; id++) {
        for (int k = 0; k < CROWD_KEYS; k++) {
            char line[40];
            int last = 150 - (150 - k) % CROWD_KEYS;
            snprintf(line, sizeof line, "%d|w|%d\n", id * 100 + k, last);
            lines[count++] = mem_strdup(line);
        }
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++) {
        ck_ok(buf_append_str(&expected, lines[i], &w.err), &w.err);
        mem_free(lines[i]);
    }
    const char *text;
    ck_ok(buf_cstr(&expected, &text, &w.err), &w.err);
    world_check(&w, p, "u", text);
    world_flush(&w, p);
    world_check(&w, p, "u", text);
    ck_assert_uint_eq(world_hot_rows(&w, p), 0);
    buf_fini(&expected);
    provider_unref(p);
    world_close(&w);
}
END_TEST

struct ddl_crowd {
    struct world *w;
    atomic_int stop;
};
static void flush_current(void *arg) {
    struct ddl_crowd *c = arg;
    struct lam_error err;
    while (!atomic_load(&c->stop)) {
        struct provider *p;
        struct flush_result r;
        if (catalog_provider(c->w->c, S("default"), S("t"), &p, &err) != LAM_OK)
            continue;
        IGNORE(flush_table(c->w->f, p, &r, &err), "the table may be dropped meanwhile");
        provider_unref(p);
    }
}

/* Tables come and go, with indexes, while they are flushed: no file is left, no entry is stale. */
START_TEST(schema_changes_and_flushes_go_on_together) {
    struct world w;
    world_open(&w);
    struct ddl_crowd crowd = {.w = &w};
    struct thread thread;
    ck_ok(thread_start(&thread, flush_current, &crowd, &w.err), &w.err);
    for (int round = 0; round < 12; round++) {
        world_table(&w, "t", TABLE_SHARED, NULL);
        struct provider *p = world_provider(&w, "t");
        for (int i = 0; i < 30; i++)
            world_put(&w, p, "", i, "x", i);
        struct lam_slice column = S("n");
        struct index_spec spec = {.name = S("t_n"),
                                  .namespace_name = S("default"),
                                  .table = S("t"),
                                  .columns = &column,
                                  .column_count = 1};
        bool created;
        ck_ok(catalog_create_index(w.c, &world_root, &spec, &created, &w.err), &w.err);
        provider_unref(p);
        p = world_provider(&w, "t");
        uint32_t id = p->schema->columns[0].id;
        for (int n = 0; n < 30; n++) {
            struct value v = value_i64(LAM_TYPE_INT, n);
            struct scan_predicate eq = {p->schema->columns[2].id, SCAN_EQ, v};
            struct buf prefix = {0}, out = {0};
            ck_ok(index_prefix(p, &p->indexes[0], SLICE_EMPTY, &v, 1, &prefix, &w.err), &w.err);
            lam_snapshot *snapshot;
            ck_ok(lam_snapshot_new(w.db, &snapshot, &w.err), &w.err);
            struct scan_request rq = {.provider = p,
                                      .snapshot = snapshot,
                                      .column_ids = &id,
                                      .column_count = 1,
                                      .predicates = &eq,
                                      .predicate_count = 1,
                                      .index = &p->indexes[0],
                                      .index_prefix = buf_slice(&prefix)};
            ck_ok(scan_rows(&rq, &out, NULL, &w.err), &w.err);
            ck_assert_uint_gt(out.size, 0);
            lam_snapshot_free(snapshot);
            buf_fini(&prefix);
            buf_fini(&out);
        }
        provider_unref(p);
        drop(&w, "t");
    }
    atomic_store(&crowd.stop, 1);
    thread_join(&thread);
    world_reopen(&w);
    ck_assert_uint_eq(count_cold(w.env, ".parquet"), 0);
    world_close(&w);
}
END_TEST

TEST_MAIN("flush/flush", flushed_rows_leave_the_hot_tier_and_stay_readable,
          job_row_tells_what_the_flush_did, failed_job_tells_why_and_leaves_no_file,
          folder_that_goes_while_it_is_empty_is_made_again,
          hostile_users_stay_in_the_folder_and_apart, row_of_what_is_no_user_is_corrupt,
          numbers_of_files_are_never_used_again, location_and_storage_decide_where_files_lie,
          orphans_go_at_open_and_nothing_else, half_written_exports_go_at_open_or_with_their_table,
          missing_or_changed_cold_file_fails_the_query_with_its_name,
          json_is_exported_beside_the_files, failing_export_is_a_remark_on_the_job,
          many_users_go_in_one_job, dropped_table_takes_its_files_with_it,
          open_scan_of_a_dropped_table_reads_to_its_end, flush_of_a_dropped_table_leaves_nothing,
          writers_readers_and_flushes_go_on_together, schema_changes_and_flushes_go_on_together)
