/* SPDX-License-Identifier: Apache-2.0
 *
 * Every limit: what is just below it and just at it works, what is just above is an error that
 * says so. LAM_LONG=1 adds those that want gigabytes of memory. */
#include "tests/process/process.h"

static lam_db *db;
static lam_session *root;
static char *room; /* 70 MiB of text to write in */

#define ROOM_BYTES (70u << 20)

static void begin(void) {
    db = open_db(at("db"));
    root = session_of(db, "root", LAM_ROLE_SYSTEM);
    room = malloc(ROOM_BYTES);
    ck_assert(room != NULL);
}

static void end(void) {
    free(room);
    ck_ok(lam_session_close(root, &err), &err);
    close_db(db);
}

/* `try(n)` for the limit and its neighbours. `sqlstate` NULL: LAM_LIMIT or LAM_INVALID is due. */
static void check_bound(const char *name, size_t limit, enum lam_code (*try)(size_t n),
                        const char *sqlstate) {
    for (size_t n = limit - 1; n <= limit + 1; n++) {
        err = (struct lam_error){0};
        enum lam_code rc = try(n);
        if (n <= limit) {
            ck_assert_msg(rc == LAM_OK, "%s %zu: %s %s", name, n, lam_code_name(rc), err.message);
            continue;
        }
        ck_assert_msg(rc != LAM_OK && err.message[0], "%s %zu is taken", name, n);
        if (sqlstate)
            ck_assert_msg(rc == LAM_SQL && !strcmp(err.sqlstate, sqlstate), "%s %zu: %s %s %s",
                          name, n, lam_code_name(rc), err.sqlstate, err.message);
        else
            ck_assert_msg(rc == LAM_LIMIT || rc == LAM_INVALID, "%s %zu: %s %s", name, n,
                          lam_code_name(rc), err.message);
    }
}

/* head, `n` times `piece` (its '#' a number) with commas if so, tail. */
static enum lam_code exec_list(const char *head, const char *piece, bool commas, size_t n,
                               const char *tail) {
    char *out = room + sprintf(room, "%s", head);
    for (size_t i = 0; i < n; i++) {
        if (commas && i > 0)
            *out++ = ',';
        for (const char *p = piece; *p; p++)
            if (*p == '#')
                out += sprintf(out, "%zu", i + 1);
            else
                *out++ = *p;
    }
    strcpy(out, tail);
    return exec_code(root, room);
}

/* --- the engine ------------------------------------------------------------------------------- */

static lam_partition *partition;

static struct lam_slice key_of(size_t n) {
    memset(room, 'k', n);
    return lam_slice_of(room, n);
}

static enum lam_code put_key(size_t n) {
    return lam_put(db, NULL, partition, key_of(n), lam_slice_str("v"), &err);
}
static enum lam_code get_key(size_t n) {
    struct lam_value value = {0};
    enum lam_code rc = lam_get(db, NULL, partition, key_of(n), &value, &err);
    ck_assert(rc != LAM_OK || value.bytes.size == 1);
    lam_value_release(&value);
    return rc;
}
static enum lam_code delete_key(size_t n) {
    return lam_delete(db, NULL, partition, key_of(n), &err);
}
static enum lam_code delete_range_to(size_t n) {
    lam_batch *batch;
    ck_ok(lam_batch_new(db, &batch, &err), &err);
    enum lam_code rc = lam_batch_delete_range(batch, partition, lam_slice_str("a"), key_of(n),
                                              LAM_SEQUENCE_MAX, &err);
    if (rc == LAM_OK)
        rc = lam_write(db, NULL, batch, NULL, &err);
    lam_batch_free(batch);
    return rc;
}
static enum lam_code name_partition(size_t n) {
    memset(room, 'p', n);
    room[n] = 0;
    lam_partition *p;
    enum lam_code rc = lam_partition_create(db, room, NULL, &p, &err);
    if (rc == LAM_OK)
        lam_partition_release(p);
    return rc;
}
static enum lam_code set_block_bytes(size_t n) {
    lam_db *other;
    struct lam_options o = {.block_bytes = (uint32_t)n};
    enum lam_code rc = lam_db_open(at("other"), &o, &other, &err);
    return rc == LAM_OK ? lam_db_close(other, &err) : rc;
}
static enum lam_code set_filter_bits(size_t n) {
    lam_db *other;
    struct lam_options o = {.filter_bits_per_key = (uint32_t)n};
    enum lam_code rc = lam_db_open(at("other"), &o, &other, &err);
    return rc == LAM_OK ? lam_db_close(other, &err) : rc;
}
/* Values and batches are refused by their size alone, before a byte is read. */
static enum lam_code refuse_value(size_t n) {
    return n > LAM_VALUE_MAX
               ? lam_put(db, NULL, partition, lam_slice_str("k"), lam_slice_of(room, n), &err)
               : LAM_OK;
}

START_TEST(limits_of_the_engine) {
    begin();
    ck_ok(lam_partition_create(db, "bounds", NULL, &partition, &err), &err);
    check_bound("key", LAM_KEY_MAX, put_key, NULL);
    ck_ok(lam_db_dump(db, &err), &err);
    check_bound("key to read", LAM_KEY_MAX, get_key, NULL);
    check_bound("key to delete", LAM_KEY_MAX, delete_key, NULL);
    check_bound("bound of a range", LAM_KEY_MAX, delete_range_to, NULL);
    check_bound("partition name", LAM_PARTITION_NAME_MAX, name_partition, NULL);
    check_bound("block_bytes", 1u << 20, set_block_bytes, NULL);
    check_bound("filter_bits_per_key", 64, set_filter_bits, NULL);
    check_bound("value", LAM_VALUE_MAX, refuse_value, NULL);
    lam_partition_release(partition);
    end();
}
END_TEST

static enum lam_code put_value(size_t n) {
    uint8_t *bytes = malloc(n);
    struct lam_value value = {0};
    ck_assert(bytes != NULL);
    memset(bytes, 'v', n);
    bytes[n - 1] = 'e';
    enum lam_code rc =
        lam_put(db, NULL, partition, lam_slice_str("k"), lam_slice_of(bytes, n), &err);
    if (rc == LAM_OK) {
        ck_ok(lam_db_dump(db, &err), &err);
        ck_ok(lam_get(db, NULL, partition, lam_slice_str("k"), &value, &err), &err);
        ck_assert(value.bytes.size == n && memcmp(value.bytes.data, bytes, n) == 0);
    }
    lam_value_release(&value);
    free(bytes);
    return rc;
}

/* The batch grows to `n` bytes of operations exactly: the last one fills it. */
static enum lam_code fill_batch(size_t n) {
    lam_batch *batch;
    size_t large = 1000u << 20;
    uint8_t *bytes = malloc(large);
    ck_assert(bytes != NULL);
    memset(bytes, 'b', large);
    ck_ok(lam_batch_new(db, &batch, &err), &err);
    static const char *const keys[] = {"1", "2"};
    size_t head = 0;
    for (int i = 0; i < 2; i++) {
        size_t before = (size_t)lam_batch_bytes(batch);
        ck_ok(lam_batch_put(batch, partition, lam_slice_str(keys[i]), lam_slice_of(bytes, large),
                            &err),
              &err);
        head = (size_t)lam_batch_bytes(batch) - before - large;
    }
    size_t left = n - (size_t)lam_batch_bytes(batch) - head;
    enum lam_code rc =
        lam_batch_put(batch, partition, lam_slice_str("3"), lam_slice_of(bytes, left), &err);
    if (rc == LAM_OK)
        rc = lam_write(db, NULL, batch, NULL, &err);
    lam_batch_free(batch);
    free(bytes);
    return rc;
}

START_TEST(limits_of_values_and_batches) {
    if (!getenv("LAM_LONG"))
        return;
    begin();
    ck_ok(lam_partition_create(db, "bounds", NULL, &partition, &err), &err);
    check_bound("value", LAM_VALUE_MAX, put_value, NULL);
    /* What bookkeeping it reckons with may leave a few bytes of the limit unused. */
    ck_ok(fill_batch(LAM_BATCH_MAX - 64), &err);
    ck_code(fill_batch(LAM_BATCH_MAX + 1), LAM_LIMIT);
    lam_partition_release(partition);
    end();
}
END_TEST

/* --- SQL ----------------------------------------------------------------------------------------
 */

static enum lam_code name_user(size_t n) {
    memset(room, 'u', n);
    room[n] = 0;
    lam_session *s;
    enum lam_code rc = lam_session_open(db, room, LAM_ROLE_USER, &s, &err);
    return rc == LAM_OK ? lam_session_close(s, &err) : rc;
}
static enum lam_code name_table(size_t n) {
    return exec_list("CREATE TABLE ", "t", false, n, " (id INT PRIMARY KEY)");
}
static enum lam_code name_namespace(size_t n) {
    return exec_list("CREATE NAMESPACE ", "n", false, n, "");
}
static enum lam_code name_column(size_t n) {
    return exec_list("ALTER TABLE t ADD COLUMN ", "c", false, n, " INT");
}
static enum lam_code name_index(size_t n) {
    return exec_list("CREATE INDEX ", "i", false, n, " ON t (a)");
}
static enum lam_code columns(size_t n) {
    exec(root, "DROP TABLE IF EXISTS wide");
    return exec_list("CREATE TABLE wide (id INT PRIMARY KEY, ", "c# INT", true, n - 1, ")");
}
static enum lam_code key_columns(size_t n) {
    char tail[400] = ", PRIMARY KEY (", *out = tail + strlen(tail);
    for (size_t i = 1; i <= n; i++)
        out += sprintf(out, "%sc%zu", i > 1 ? "," : "", i);
    strcpy(out, "))");
    exec(root, "DROP TABLE IF EXISTS keyed");
    return exec_list("CREATE TABLE keyed (", "c# INT", true, n, tail);
}
static enum lam_code index_columns(size_t n) {
    exec(root, "DROP TABLE IF EXISTS wide");
    ck_code(exec_list("CREATE TABLE wide (id INT PRIMARY KEY, ", "c# INT", true, 20, ")"), LAM_OK);
    return exec_list("CREATE INDEX many ON wide (", "c#", true, n, ")");
}
static enum lam_code parentheses(size_t n) {
    char *tail = room + ROOM_BYTES / 2;
    memset(tail, ')', n);
    tail[n] = 0;
    memmove(tail + 1, tail, n + 1);
    *tail = '1';
    return exec_list("SELECT ", "(", false, n, tail);
}
static enum lam_code height(size_t n) {
    return exec_list("SELECT 1", "+1", false, n - 1, "");
}
static enum lam_code select_list(size_t n) {
    return exec_list("SELECT ", "#", true, n, "");
}
static enum lam_code stars(size_t n) {
    exec(root, "DROP TABLE IF EXISTS wide");
    ck_code(exec_list("CREATE TABLE wide (id INT PRIMARY KEY, ", "c# INT", true, 511, ")"), LAM_OK);
    return exec_list("SELECT *, *, *, *, *, *, *, ", "#", true, n - 7 * 512, " FROM wide");
}
static enum lam_code group_by(size_t n) {
    return exec_list("SELECT 1 FROM t GROUP BY ", "a+#", true, n, "");
}
static enum lam_code order_by(size_t n) {
    return exec_list("SELECT a FROM t ORDER BY ", "a", true, n, "");
}
static enum lam_code arguments(size_t n) {
    return exec_list("SELECT GREATEST(", "#", true, n, ")");
}
static enum lam_code parameter(size_t n) {
    sprintf(room, "SELECT $%zu", n);
    return exec_code(root, room);
}
static enum lam_code bind_text(size_t n) {
    lam_stmt *s;
    ck_ok(lam_prepare(root, "SELECT LENGTH($1)", 17, &s, NULL, &err), &err);
    /* Above the limit not a byte is read. */
    enum lam_code rc = n > LAM_VALUE_MAX ? lam_bind_text(s, 1, room, n, &err) : LAM_OK;
    lam_finalize(s);
    return rc;
}
static enum lam_code text_bytes(size_t n) {
    memset(room, ' ', n);
    memcpy(room, "SELECT 1", 8);
    return lam_exec(root, room, n, NULL, NULL, NULL, &err);
}
static enum lam_code password(size_t n) {
    char head[80];
    sprintf(head, "CREATE USER 'pat%zu' WITH PASSWORD '", n);
    return exec_list(head, "p", false, n, "' ROLE 'user'");
}
static enum lam_code short_password(size_t n) { /* from above: 9, 8, 7 */
    return password(17 - n - 1);
}
static enum lam_code flush_rows(size_t n) {
    exec(root, "DROP TABLE IF EXISTS f");
    sprintf(room, "CREATE TABLE f (id INT PRIMARY KEY) WITH (flush_policy = 'rows:%zu')", n);
    return exec_code(root, room);
}
static enum lam_code flush_seconds(size_t n) {
    exec(root, "DROP TABLE IF EXISTS f");
    sprintf(room, "CREATE TABLE f (id INT PRIMARY KEY) WITH (flush_policy = 'interval:%zu')", n);
    return exec_code(root, room);
}
static enum lam_code decimal_digits(size_t n) {
    sprintf(room, "SELECT CAST(1 AS DECIMAL(%zu, 0))", n);
    return exec_code(root, room);
}
static enum lam_code repeat(size_t n) {
    sprintf(room, "SELECT LENGTH(REPEAT('x', %zu))", n);
    return exec_code(root, room);
}

START_TEST(limits_of_sql) {
    begin();
    exec(root, "CREATE TABLE t (id INT PRIMARY KEY, a INT)");
    check_bound("user id", 256, name_user, NULL);
    check_bound("table name", 64, name_table, "42602");
    check_bound("namespace", 64, name_namespace, "42602");
    check_bound("column name", 64, name_column, "42602");
    check_bound("index name", 64, name_index, "42602");
    check_bound("columns", 1000, columns, "54011");
    check_bound("columns of a key", 16, key_columns, "54011");
    check_bound("columns of an index", 16, index_columns, "54011");
    check_bound("parentheses", 198, parentheses, "54001");
    check_bound("height", 1000, height, "54001");
    check_bound("select list", 4096, select_list, "54011");
    check_bound("stars", 4096, stars, "54011");
    check_bound("GROUP BY", 4096, group_by, "54011");
    check_bound("ORDER BY", 4096, order_by, "54011");
    check_bound("arguments", 1000, arguments, "54023");
    check_bound("parameter", LAM_PARAMETERS_MAX, parameter, "54000");
    check_bound("bound text", LAM_VALUE_MAX, bind_text, NULL);
    check_bound("SQL text", LAM_SQL_TEXT_MAX, text_bytes, "54000");
    check_bound("password", 1024, password, "22023");
    check_bound("password from above", 8, short_password, "22023");
    check_bound("rows of a policy", 1000000000, flush_rows, "22023");
    check_bound("seconds of a policy", 31536000, flush_seconds, "22023");
    check_bound("digits", 38, decimal_digits, "22023");
    check_bound("text of a function", 64u << 20, repeat, "54000");
    end();
}
END_TEST

/* --- entities --------------------------------------------------------------------------------- */

static enum lam_code open_entity(const struct lam_entity_desc *desc) {
    lam_entity *e;
    enum lam_code rc = lam_entity_open(db, desc, &e, &err);
    if (rc != LAM_OK)
        return rc;
    lam_entity_close(e);
    return lam_entity_drop(db, desc->name, &err);
}
static enum lam_code entity_fields(size_t n) {
    struct lam_entity_field *fields = calloc(n, sizeof *fields);
    ck_assert(fields != NULL);
    for (size_t i = 0; i < n; i++) {
        char *name = room + i * 16;
        sprintf(name, "f%zu", i);
        fields[i] = (struct lam_entity_field){.name = name, .type = LAM_TYPE_INT, .key = i == 0};
    }
    struct lam_entity_desc desc = {"wide", fields, (uint32_t)n, NULL, 0};
    enum lam_code rc = open_entity(&desc);
    free(fields);
    return rc;
}
static enum lam_code entity_indexes(size_t n) {
    struct lam_entity_field fields[2] = {{.name = "id", .type = LAM_TYPE_INT, .key = true},
                                         {.name = "a", .type = LAM_TYPE_INT}};
    struct lam_entity_part part = {"a", false};
    struct lam_entity_index *indexes = calloc(n, sizeof *indexes);
    ck_assert(indexes != NULL);
    for (size_t i = 0; i < n; i++) {
        char *name = room + i * 16;
        sprintf(name, "i%zu", i);
        indexes[i] = (struct lam_entity_index){.name = name, .parts = &part, .part_count = 1};
    }
    struct lam_entity_desc desc = {"indexed", fields, 2, indexes, (uint32_t)n};
    enum lam_code rc = open_entity(&desc);
    free(indexes);
    return rc;
}
static enum lam_code entity_name(size_t n) {
    struct lam_entity_field field = {.name = "id", .type = LAM_TYPE_INT, .key = true};
    memset(room, 'e', n);
    room[n] = 0;
    return open_entity(&(struct lam_entity_desc){room, &field, 1, NULL, 0});
}

START_TEST(limits_of_entities) {
    begin();
    check_bound("fields", LAM_ENTITY_FIELDS_MAX, entity_fields, NULL);
    check_bound("indexes", LAM_ENTITY_INDEXES_MAX, entity_indexes, NULL);
    check_bound("name", LAM_ENTITY_NAME_MAX, entity_name, NULL);
    end();
}
END_TEST

TEST_MAIN("process/api_limits", limits_of_the_engine, limits_of_values_and_batches, limits_of_sql,
          limits_of_entities)
