/* SPDX-License-Identifier: Apache-2.0
 *
 * Options of CREATE TABLE in both spellings. */
#include "sql/table_options.h"
#include "tests/sql/parse.h"

static struct arena arena;
static struct lam_error err;
static struct table_options options;
static enum table_kind kind;

static enum lam_code read_options(const char *kind_text, const char *after) {
    char sql[500];
    snprintf(sql, sizeof sql, "CREATE %s TABLE t (id INT PRIMARY KEY) %s", kind_text, after);
    struct stmt *s = NULL;
    memset(&err, 0, sizeof err);
    arena_fini(&arena);
    enum lam_code rc = parse_statement(lam_slice_str(sql), &arena, &s, NULL, &err);
    return rc ? rc : table_options_read(s->as.create_table, &arena, &kind, &options, &err);
}

static void reads(const char *kind_text, const char *after) {
    ck_ok(read_options(kind_text, after), &err);
}

static void refuses(const char *kind_text, const char *after, const char *text) {
    enum lam_code rc = read_options(kind_text, after);
    ck_assert_msg(rc == LAM_SQL, "%s: accepted", after);
    ck_assert_msg(strstr(err.message, text) || strstr(err.hint, text), "%s: %s (%s)", after,
                  err.message, err.hint);
    ck_assert_uint_gt(err.pos, 0);
}

START_TEST(defaults_hold_without_options) {
    reads("", "");
    ck_assert_int_eq(kind, TABLE_SHARED);
    ck_assert_str_eq(options.storage, "local");
    ck_assert_ptr_null(options.location);
    ck_assert_uint_eq(options.flush_rows, 0);
    ck_assert_uint_eq(options.flush_interval_s, 0);
    ck_assert_uint_eq(options.deleted_retention_hours, 168);
    ck_assert(options.lz4);
}
END_TEST

START_TEST(with_options_are_read) {
    reads("USER", "WITH (storage = 'arch', flush_policy = 'rows:10, interval:60', "
                  "deleted_retention_hours = 0, compression = 'none')");
    ck_assert_int_eq(kind, TABLE_USER);
    ck_assert_str_eq(options.storage, "arch");
    ck_assert_uint_eq(options.flush_rows, 10);
    ck_assert_uint_eq(options.flush_interval_s, 60);
    ck_assert_uint_eq(options.deleted_retention_hours, 0);
    ck_assert(!options.lz4);
}
END_TEST

START_TEST(the_older_spelling_means_the_same) {
    reads("USER", "STORAGE arch LOCATION 'x/${user_id}/' FLUSH POLICY ROWS 10 INTERVAL '5 minutes' "
                  "DELETED_RETENTION '7d'");
    ck_assert_str_eq(options.storage, "arch");
    ck_assert_str_eq(options.location, "x/${user_id}/");
    ck_assert_uint_eq(options.flush_rows, 10);
    ck_assert_uint_eq(options.flush_interval_s, 300);
    ck_assert_uint_eq(options.deleted_retention_hours, 168);
    reads("STREAM", "TTL 30");
    ck_assert_uint_eq(options.ttl_seconds, 30);
    reads("SHARED", "ACCESS public");
    ck_assert_int_eq(options.access, ACCESS_PUBLIC);
}
END_TEST

START_TEST(each_trigger_of_a_policy_stands_alone) {
    reads("", "WITH (flush_policy = 'rows:1000000000')");
    ck_assert_uint_eq(options.flush_rows, 1000000000);
    ck_assert_uint_eq(options.flush_interval_s, 0);
    reads("", "WITH (flush_policy = 'interval:31536000')");
    ck_assert_uint_eq(options.flush_rows, 0);
    ck_assert_uint_eq(options.flush_interval_s, 31536000);
}
END_TEST

START_TEST(policies_out_of_range_or_shape_are_refused) {
    static const char *const bad[] = {
        "rows:0", "rows:1000000001", "interval:0", "rows:",   "foo:1", "interval:31536001",
        "",       "rows:1,",         "rows:1e3",   "rows:-1", "10",    ",rows:1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char after[100];
        snprintf(after, sizeof after, "WITH (flush_policy = '%s')", bad[i]);
        refuses("", after, "flush_policy");
        ck_assert_str_eq(err.sqlstate, "22023");
    }
}
END_TEST

START_TEST(a_trigger_is_given_once) {
    refuses("", "WITH (flush_policy = 'rows:1,rows:2')", "flush_policy");
    refuses("", "WITH (flush_policy = 'interval:1,interval:2')", "flush_policy");
}
END_TEST

START_TEST(retention_may_be_off) {
    reads("", "WITH (deleted_retention_hours = 'off')");
    ck_assert_uint_eq(options.deleted_retention_hours, 0);
    refuses("", "WITH (deleted_retention_hours = -1)", "deleted_retention_hours");
    refuses("", "WITH (deleted_retention_hours = 'week')", "deleted_retention");
}
END_TEST

START_TEST(misplaced_options_name_themselves_and_the_kinds) {
    refuses("USER", "WITH (access_level = 'public')", "access_level");
    refuses("STREAM", "WITH (ttl_seconds = 9, access_level = 'public')", "SHARED");
    refuses("SHARED", "WITH (ttl_seconds = 9)", "STREAM");
    refuses("STREAM", "WITH (ttl_seconds = 9, storage = 'local')", "storage");
    refuses("STREAM", "WITH (ttl_seconds = 9, compression = 'lz4')", "compression");
}
END_TEST

START_TEST(unknown_and_doubled_options_are_refused) {
    refuses("", "WITH (no_such = 1)", "no_such");
    refuses("", "WITH (storage = 'a', storage = 'b')", "storage");
    refuses("", "STORAGE a WITH (storage_id = 'b')", "storage");
}
END_TEST

START_TEST(values_of_the_wrong_type_are_refused) {
    refuses("", "WITH (storage = 5)", "storage");
    refuses("", "WITH (storage = '')", "storage");
    refuses("STREAM", "WITH (ttl_seconds = 'soon')", "ttl_seconds");
    refuses("STREAM", "WITH (ttl_seconds = 0)", "ttl_seconds");
    refuses("STREAM", "WITH (ttl_seconds = 99999999999999999999)", "");
    refuses("", "WITH (access_level = 'open')", "access_level");
    refuses("", "WITH (compression = 'zip')", "compression");
}
END_TEST

START_TEST(the_type_option_must_agree_with_the_statement) {
    reads("", "WITH (type = 'user')");
    ck_assert_int_eq(kind, TABLE_USER);
    reads("USER", "WITH (type = 'USER')");
    ck_assert_int_eq(kind, TABLE_USER);
    refuses("USER", "WITH (type = 'shared')", "type");
    refuses("", "WITH (type = 'table')", "type");
    refuses("", "WITH (type = 'user', access_level = 'public')", "access_level");
}
END_TEST

TEST_MAIN("sql/table_options", defaults_hold_without_options, with_options_are_read,
          the_older_spelling_means_the_same, each_trigger_of_a_policy_stands_alone,
          policies_out_of_range_or_shape_are_refused, a_trigger_is_given_once, retention_may_be_off,
          misplaced_options_name_themselves_and_the_kinds, unknown_and_doubled_options_are_refused,
          values_of_the_wrong_type_are_refused, the_type_option_must_agree_with_the_statement)
