/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/catalog/fixture.h"

static struct job flush_job(const char *key) {
    struct job job = {.type = "flush", .status = JOB_RUNNING, .idempotency_key = (char *)key};
    strcpy(job.namespace_name, "default");
    strcpy(job.table, "t");
    return job;
}

START_TEST(jobs_come_back_whole) {
    struct fixture f;
    struct job got, job = flush_job("FL:default:t");
    struct arena arena = {0};
    char parameters[] = "{\"a\":1}", message[] = "hello", trace[] = "at x";
    job.parameters = parameters;
    job.message = message;
    job.exception_trace = trace;
    job.rows = 1;
    job.files = 2;
    job.bytes = INT64_C(1) << 40;
    job.ms = 4;
    job.retry_count = 5;
    job.started_us = 77;
    fixture_open(&f);
    ck_ok(catalog_job_create(f.c, &job, &f.err), &f.err);
    ck_assert_int_eq(strncmp(job.id, "FL-", 3), 0);
    ck_ok(catalog_job_get(f.c, S(job.id), &arena, &got, &f.err), &f.err);
    ck_assert_str_eq(got.type, "flush");
    ck_assert_int_eq(got.status, JOB_RUNNING);
    ck_assert_str_eq(got.table, "t");
    ck_assert_str_eq(got.parameters, parameters);
    ck_assert_str_eq(got.message, message);
    ck_assert_str_eq(got.exception_trace, trace);
    ck_assert_str_eq(got.idempotency_key, "FL:default:t");
    ck_assert_int_eq(got.rows, 1);
    ck_assert_int_eq(got.files, 2);
    ck_assert_int_eq(got.bytes, INT64_C(1) << 40);
    ck_assert_int_eq(got.ms, 4);
    ck_assert_int_eq(got.retry_count, 5);
    ck_assert_int_eq(got.started_us, 77);
    ck_assert_int_eq(got.finished_us, 0);
    ck_assert_int_gt(got.created_us, 0);
    job.type = "nonsense";
    ck_code(catalog_job_create(f.c, &job, NULL), LAM_INVALID);
    arena_fini(&arena);
    fixture_close(&f);
}
END_TEST

START_TEST(one_live_job_has_a_key_and_frees_it_at_its_end) {
    struct fixture f;
    struct job first = flush_job("k"), second = flush_job("k"), got;
    struct arena arena = {0};
    fixture_open(&f);
    ck_ok(catalog_job_create(f.c, &first, &f.err), &f.err);
    ck_code(catalog_job_create(f.c, &second, &f.err), LAM_EXISTS);
    ck_ok(catalog_job_find_live(f.c, S("k"), &arena, &got, &f.err), &f.err);
    ck_assert_str_eq(got.id, first.id);
    first.status = JOB_COMPLETED;
    first.finished_us = 1;
    ck_ok(catalog_job_update(f.c, &first, &f.err), &f.err);
    ck_code(catalog_job_find_live(f.c, S("k"), &arena, &got, NULL), LAM_NOT_FOUND);
    ck_ok(catalog_job_create(f.c, &second, &f.err), &f.err);
    arena_fini(&arena);
    fixture_close(&f);
}
END_TEST

START_TEST(a_job_s_row_may_be_part_of_a_batch) {
    struct fixture f;
    struct job job = flush_job("k"), got;
    struct arena arena = {0};
    lam_batch *batch = NULL;
    fixture_open(&f);
    ck_ok(catalog_job_create(f.c, &job, &f.err), &f.err);
    ck_ok(lam_batch_new(f.db, &batch, &f.err), &f.err);
    job.status = JOB_COMPLETED;
    ck_ok(catalog_job_batch(f.c, &job, batch, &f.err), &f.err);
    ck_ok(catalog_job_get(f.c, S(job.id), &arena, &got, &f.err), &f.err);
    ck_assert_int_eq(got.status, JOB_RUNNING);
    ck_ok(lam_write(f.db, NULL, batch, NULL, &f.err), &f.err);
    ck_ok(catalog_job_get(f.c, S(job.id), &arena, &got, &f.err), &f.err);
    ck_assert_int_eq(got.status, JOB_COMPLETED);
    lam_batch_free(batch);
    arena_fini(&arena);
    fixture_close(&f);
}
END_TEST

START_TEST(a_restart_fails_what_was_unfinished) {
    struct fixture f;
    struct job jobs[JOB_SKIPPED + 1], got;
    struct arena arena = {0};
    fixture_open(&f);
    for (int status = JOB_NEW; status <= JOB_SKIPPED; status++) {
        jobs[status] = flush_job(NULL);
        jobs[status].status = (enum job_status)status;
        ck_ok(catalog_job_create(f.c, &jobs[status], &f.err), &f.err);
    }
    fixture_reopen(&f);
    for (int status = JOB_NEW; status <= JOB_SKIPPED; status++) {
        ck_ok(catalog_job_get(f.c, S(jobs[status].id), &arena, &got, &f.err), &f.err);
        if (job_status_is_live((enum job_status)status)) {
            ck_assert_int_eq(got.status, JOB_FAILED);
            ck_assert_str_eq(got.message, "interrupted by a restart");
            ck_assert_int_gt(got.finished_us, 0);
        } else {
            ck_assert_int_eq((int)got.status, status);
            ck_assert_ptr_null(got.message);
        }
    }
    arena_fini(&arena);
    fixture_close(&f);
}
END_TEST

TEST_MAIN("catalog/jobs", jobs_come_back_whole, one_live_job_has_a_key_and_frees_it_at_its_end,
          a_job_s_row_may_be_part_of_a_batch, a_restart_fails_what_was_unfinished)
