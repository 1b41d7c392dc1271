/* SPDX-License-Identifier: Apache-2.0
 *
 * An application of an installed Lamina, in the common part of C and C++: the engine and SQL over
 * one database in memory. Prints the version it was compiled with. */
#include <lamina/lamina.h>
#include <stdio.h>
#include <string.h>

static int failed(const char *what, const struct lam_error *err) {
    fprintf(stderr, "%s: %s\n", what, err->message);
    return 1;
}

static bool print_row(void *arg, lam_stmt *row) {
    struct lam_slice text = lam_column_text(row, 0);
    (void)arg;
    printf("%.*s %lld\n", (int)text.size, (const char *)text.data,
           (long long)lam_column_int64(row, 1));
    return true;
}

static int use_engine(lam_db *db) {
    struct lam_error err;
    lam_partition *p = NULL;
    struct lam_value value;
    memset(&value, 0, sizeof value);
    if (lam_partition_create(db, "own", NULL, &p, &err) != LAM_OK)
        return failed("create", &err);
    if (lam_put(db, NULL, p, lam_slice_of("key", 3), lam_slice_of("value", 5), &err) != LAM_OK)
        return failed("put", &err);
    if (lam_get(db, NULL, p, lam_slice_of("key", 3), &value, &err) != LAM_OK)
        return failed("get", &err);
    printf("%.*s\n", (int)value.bytes.size, (const char *)value.bytes.data);
    lam_value_release(&value);
    lam_partition_release(p);
    return 0;
}

static int use_sql(lam_db *db) {
    struct lam_error err;
    lam_session *ann = NULL;
    const char *sql = "CREATE USER TABLE t (id INT PRIMARY KEY, body TEXT);"
                      "INSERT INTO t VALUES (1, 'one'), (2, 'two');"
                      "SELECT body, id FROM t ORDER BY id";
    if (lam_session_open(db, "ann", LAM_ROLE_DBA, &ann, &err) != LAM_OK)
        return failed("session", &err);
    if (lam_exec(ann, sql, strlen(sql), print_row, NULL, NULL, &err) != LAM_OK)
        return failed("exec", &err);
    return lam_session_close(ann, &err) == LAM_OK ? 0 : failed("close", &err);
}

int main(void) {
    struct lam_error err;
    struct lam_options options;
    lam_env *env = NULL;
    lam_db *db = NULL;
    memset(&options, 0, sizeof options);
    if (lam_env_mem_new(&env, &err) != LAM_OK)
        return failed("environment", &err);
    options.env = env;
    if (lam_db_open("app", &options, &db, &err) != LAM_OK)
        return failed("open", &err);
    if (use_engine(db) != 0 || use_sql(db) != 0)
        return 1;
    if (lam_db_close(db, &err) != LAM_OK)
        return failed("close", &err);
    lam_env_mem_free(env);
    printf("%s\n", LAM_VERSION_STRING);
    return 0;
}
