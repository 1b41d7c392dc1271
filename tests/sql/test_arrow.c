/* SPDX-License-Identifier: Apache-2.0 */
#include "lamina/arrow.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/colbatch.h"
#include "tests/support/oom.h"
#include "tests/support/test.h"

#define ROWS 5000

struct world {
    lam_env *env;
    lam_db *db;
    lam_session *session;
    struct lam_error err;
};

static void run(struct world *w, const char *sql) {
    ck_ok(lam_exec(w->session, sql, strlen(sql), NULL, NULL, NULL, &w->err), &w->err);
}

static void world_open(struct world *w) {
    memset(w, 0, sizeof *w);
    ck_ok(lam_env_mem_new(&w->env, &w->err), &w->err);
    struct lam_options options = {.env = w->env, .memory_budget = 8u << 20};
    ck_ok(lam_db_open("/db", &options, &w->db, &w->err), &w->err);
    ck_ok(lam_session_open(w->db, "ann", LAM_ROLE_DBA, &w->session, &w->err), &w->err);
}

static void world_close(struct world *w) {
    ck_ok(lam_session_close(w->session, &w->err), &w->err);
    ck_ok(lam_db_close(w->db, &w->err), &w->err);
    lam_env_mem_free(w->env);
}

/* Table `numbers`: id 1 to ROWS, and a text that is NULL in every seventh row. */
static void make_numbers(struct world *w) {
    static char sql[ROWS * 32];
    size_t size = 0;
    run(w, "CREATE TABLE numbers (id BIGINT PRIMARY KEY, word TEXT)");
    size += (size_t)snprintf(sql, sizeof sql, "INSERT INTO numbers VALUES ");
    for (int i = 1; i <= ROWS; i++)
        size +=
            (size_t)(i % 7 == 0 ? snprintf(sql + size, sizeof sql - size, "(%d, NULL),", i)
                                : snprintf(sql + size, sizeof sql - size, "(%d, 'w%d'),", i, i));
    ck_ok(lam_exec(w->session, sql, size - 1, NULL, NULL, NULL, &w->err), &w->err);
}

static lam_stmt *prepare(struct world *w, const char *sql) {
    lam_stmt *stmt = NULL;
    ck_ok(lam_prepare(w->session, sql, strlen(sql), &stmt, NULL, &w->err), &w->err);
    return stmt;
}

static struct ArrowArrayStream query(struct world *w, lam_stmt *stmt) {
    struct ArrowArrayStream stream;
    memset(&stream, 0xAA, sizeof stream);
    ck_ok(lam_query_arrow(stmt, &stream, &w->err), &w->err);
    ck_assert(stream.release != NULL);
    return stream;
}

static struct ArrowSchema schema_of(struct ArrowArrayStream *stream) {
    struct ArrowSchema schema;
    memset(&schema, 0xAA, sizeof schema);
    ck_assert_int_eq(stream->get_schema(stream, &schema), 0);
    ck_assert(schema.release != NULL);
    return schema;
}

static struct ArrowArray next(struct ArrowArrayStream *stream) {
    struct ArrowArray array;
    memset(&array, 0xAA, sizeof array);
    ck_assert_int_eq(stream->get_next(stream, &array), 0);
    ck_assert_ptr_null(stream->get_last_error(stream));
    return array;
}

static void expect_end(struct ArrowArrayStream *stream) {
    struct ArrowArray array = next(stream);
    ck_assert(array.release == NULL);
}

/* --- structure --- */

static size_t fixed_width(const char *format) {
    static const struct {
        const char *format;
        size_t width;
    } widths[] = {{"s", 2},   {"i", 4},   {"l", 8},     {"f", 4},       {"g", 8},
                  {"tdD", 4}, {"ttu", 8}, {"w:16", 16}, {"tsu:UTC", 8}, {"d:12,3", 16}};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        if (strcmp(widths[i].format, format) == 0)
            return widths[i].width;
    return 0;
}

static void check_offsets(const struct ArrowArray *a) {
    const int32_t *offsets = a->buffers[1];
    ck_assert_int_eq(offsets[0], 0);
    for (int64_t i = 0; i < a->length; i++)
        ck_assert_int_le(offsets[i], offsets[i + 1]);
}

/* A column as the data interface asks for it; reads the last byte of each buffer. */
static void check_column(const struct ArrowArray *a, const struct ArrowSchema *s) {
    bool variable = strcmp(s->format, "u") == 0 || strcmp(s->format, "z") == 0;
    ck_assert(a->release != NULL && a->private_data != NULL);
    ck_assert_int_eq(a->offset, 0);
    ck_assert_int_eq(a->n_children, 0);
    ck_assert_ptr_null(a->children);
    ck_assert_ptr_null(a->dictionary);
    ck_assert_int_eq(a->n_buffers, variable ? 3 : 2);
    for (int64_t i = 0; i < a->n_buffers; i++)
        ck_assert_uint_eq((uintptr_t)a->buffers[i] % 8, 0);
    int64_t present = a->length;
    if (a->buffers[0])
        present = (int64_t)bitmap_count(a->buffers[0], (size_t)a->length);
    ck_assert_int_eq(a->null_count, a->length - present);
    ck_assert(a->null_count == 0 || a->buffers[0] != NULL);
    ck_assert(a->buffers[1] != NULL);
    if (variable) {
        check_offsets(a);
        ck_assert(a->buffers[2] != NULL);
        return;
    }
    size_t width = fixed_width(s->format);
    ck_assert(width > 0 || strcmp(s->format, "b") == 0);
    size_t bytes = width ? width * (size_t)a->length : ((size_t)a->length + 7) / 8;
    volatile uint8_t last = ((const uint8_t *)a->buffers[1])[bytes - 1];
    (void)last;
}

static void check_batch(const struct ArrowArray *a, const struct ArrowSchema *s) {
    ck_assert_str_eq(s->format, "+s");
    ck_assert_int_eq(s->flags & ARROW_FLAG_NULLABLE, 0);
    ck_assert(a->release != NULL);
    ck_assert_int_gt(a->length, 0);
    ck_assert_int_eq(a->null_count, 0);
    ck_assert_int_eq(a->offset, 0);
    ck_assert_int_eq(a->n_buffers, 1);
    ck_assert_ptr_null(a->buffers[0]);
    ck_assert_ptr_null(a->dictionary);
    ck_assert_int_eq(a->n_children, s->n_children);
    for (int64_t i = 0; i < a->n_children; i++) {
        ck_assert_int_eq(a->children[i]->length, a->length);
        check_column(a->children[i], s->children[i]);
    }
}

static bool is_null(const struct ArrowArray *column, int64_t row) {
    return column->buffers[0] && !bitmap_get(column->buffers[0], (size_t)row);
}
static int64_t int64_at(const struct ArrowArray *column, int64_t row) {
    return ((const int64_t *)column->buffers[1])[row];
}
static struct lam_slice bytes_at(const struct ArrowArray *column, int64_t row) {
    const int32_t *offsets = column->buffers[1];
    return lam_slice_of((const uint8_t *)column->buffers[2] + offsets[row],
                        (size_t)(offsets[row + 1] - offsets[row]));
}

/* --- types --- */

static const char *const all_types =
    "CREATE TABLE types (id BIGINT PRIMARY KEY, b BOOLEAN, s SMALLINT, i INT, f FLOAT, g DOUBLE,"
    " d DECIMAL(12,3), t TEXT, z BYTES, ts TIMESTAMP, dt DATE, tm TIME, u UUID, j JSON);"
    "INSERT INTO types VALUES (1, true, -2, 3, 1.5, -2.25, 12.345, 'h\xc3\xb6', '\\x00ff',"
    " '1970-01-01 00:00:01', '1970-01-03', '00:00:02', '00112233-4455-6677-8899-aabbccddeeff',"
    " '{\"a\":1}');"
    "INSERT INTO types (id) VALUES (2);"
    "INSERT INTO types VALUES (3, false, 32767, -2147483648, 0, 0, -0.001, '', '\\x',"
    " '1969-12-31 23:59:59.999999', '1969-12-31', '23:59:59.999999',"
    " 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'null');";

static void check_metadata(const char *metadata, const char *extension) {
    static const char name[] = "ARROW:extension:name", value[] = "ARROW:extension:metadata";
    const char *at = metadata;
    ck_assert_uint_eq(get_le32(at), 2);
    ck_assert_uint_eq(get_le32(at + 4), strlen(name));
    ck_assert(memcmp(at + 8, name, strlen(name)) == 0);
    at += 8 + strlen(name);
    ck_assert_uint_eq(get_le32(at), strlen(extension));
    ck_assert(memcmp(at + 4, extension, strlen(extension)) == 0);
    at += 4 + strlen(extension);
    ck_assert_uint_eq(get_le32(at), strlen(value));
    ck_assert(memcmp(at + 4, value, strlen(value)) == 0);
    ck_assert_uint_eq(get_le32(at + 4 + strlen(value)), 0);
}

START_TEST(schema_names_every_type) {
    static const struct {
        const char *name, *format, *extension;
    } expected[] = {
        {"id", "l", NULL},
        {"b", "b", NULL},
        {"s", "s", NULL},
        {"i", "i", NULL},
        {"f", "f", NULL},
        {"g", "g", NULL},
        {"d", "d:12,3", NULL},
        {"t", "u", NULL},
        {"z", "z", NULL},
        {"ts", "tsu:UTC", NULL},
        {"dt", "tdD", NULL},
        {"tm", "ttu", NULL},
        {"u", "w:16", "arrow.uuid"},
        {"j", "u", "arrow.json"},
    };
    struct world w;
    world_open(&w);
    run(&w, all_types);
    lam_stmt *stmt = prepare(&w, "SELECT * FROM types");
    struct ArrowArrayStream stream = query(&w, stmt);
    struct ArrowSchema schema = schema_of(&stream);
    ck_assert_str_eq(schema.format, "+s");
    ck_assert_int_eq(schema.n_children, 14);
    ck_assert_ptr_null(schema.dictionary);
    for (int i = 0; i < 14; i++) {
        const struct ArrowSchema *c = schema.children[i];
        ck_assert_str_eq(c->name, expected[i].name);
        ck_assert_str_eq(c->format, expected[i].format);
        ck_assert_int_eq(c->flags, ARROW_FLAG_NULLABLE);
        ck_assert_int_eq(c->n_children, 0);
        ck_assert_ptr_null(c->dictionary);
        if (expected[i].extension)
            check_metadata(c->metadata, expected[i].extension);
        else
            ck_assert_ptr_null(c->metadata);
    }
    stream.release(&stream);
    ck_assert(stream.release == NULL);
    lam_finalize(stmt);
    world_close(&w);
    ck_assert_str_eq(schema.children[6]->format, "d:12,3");
    schema.release(&schema);
    ck_assert(schema.release == NULL);
}
END_TEST

static void check_first_row(const struct ArrowArray *a) {
    static const uint8_t uuid[] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                   0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    struct ArrowArray *const *c = a->children;
    ck_assert_int_eq(int64_at(c[0], 0), 1);
    ck_assert(bitmap_get(c[1]->buffers[1], 0));
    ck_assert_int_eq(((const int16_t *)c[2]->buffers[1])[0], -2);
    ck_assert_int_eq(((const int32_t *)c[3]->buffers[1])[0], 3);
    ck_assert(((const float *)c[4]->buffers[1])[0] == 1.5f);
    ck_assert(((const double *)c[5]->buffers[1])[0] == -2.25);
    ck_assert(((const int128 *)c[6]->buffers[1])[0] == 12345);
    ck_assert(slice_eq_str(bytes_at(c[7], 0), "h\xc3\xb6"));
    ck_assert(slice_eq(bytes_at(c[8], 0), lam_slice_of("\x00\xff", 2)));
    ck_assert_int_eq(int64_at(c[9], 0), 1000000);
    ck_assert_int_eq(((const int32_t *)c[10]->buffers[1])[0], 2);
    ck_assert_int_eq(int64_at(c[11], 0), 2000000);
    ck_assert(memcmp(c[12]->buffers[1], uuid, 16) == 0);
    ck_assert(slice_eq_str(bytes_at(c[13], 0), "{\"a\":1}"));
}

static void check_last_row(const struct ArrowArray *a) {
    struct ArrowArray *const *c = a->children;
    ck_assert(!bitmap_get(c[1]->buffers[1], 2));
    ck_assert_int_eq(((const int16_t *)c[2]->buffers[1])[2], 32767);
    ck_assert_int_eq(((const int32_t *)c[3]->buffers[1])[2], INT32_MIN);
    ck_assert(((const int128 *)c[6]->buffers[1])[2] == -1);
    ck_assert_uint_eq(bytes_at(c[7], 2).size, 0);
    ck_assert_int_eq(int64_at(c[9], 2), -1);
    ck_assert_int_eq(((const int32_t *)c[10]->buffers[1])[2], -1);
    ck_assert_int_eq(int64_at(c[11], 2), INT64_C(86399999999));
    ck_assert(slice_eq_str(bytes_at(c[13], 2), "null"));
}

START_TEST(values_and_nulls_of_every_type_outlive_everything) {
    struct world w;
    world_open(&w);
    run(&w, all_types);
    lam_stmt *stmt = prepare(&w, "SELECT * FROM types ORDER BY id");
    struct ArrowArrayStream stream = query(&w, stmt);
    struct ArrowSchema schema = schema_of(&stream);
    struct ArrowArray a = next(&stream);
    expect_end(&stream);
    expect_end(&stream);
    stream.release(&stream);
    lam_finalize(stmt);
    world_close(&w);
    ck_assert_int_eq(a.length, 3);
    check_batch(&a, &schema);
    check_first_row(&a);
    check_last_row(&a);
    for (int i = 1; i < 14; i++) {
        ck_assert_int_eq(a.children[i]->null_count, 1);
        ck_assert(!is_null(a.children[i], 0) && is_null(a.children[i], 1) &&
                  !is_null(a.children[i], 2));
    }
    schema.release(&schema);
    a.release(&a);
    ck_assert(a.release == NULL);
}
END_TEST

START_TEST(untyped_null_is_text) {
    struct world w;
    world_open(&w);
    lam_stmt *stmt = prepare(&w, "SELECT NULL AS nothing, 7 AS seven");
    struct ArrowArrayStream stream = query(&w, stmt);
    struct ArrowSchema schema = schema_of(&stream);
    struct ArrowArray a = next(&stream);
    ck_assert_str_eq(schema.children[0]->format, "u");
    ck_assert_str_eq(schema.children[0]->name, "nothing");
    check_batch(&a, &schema);
    ck_assert_int_eq(a.length, 1);
    ck_assert_int_eq(a.children[0]->null_count, 1);
    a.release(&a);
    schema.release(&schema);
    stream.release(&stream);
    lam_finalize(stmt);
    world_close(&w);
}
END_TEST

/* --- streams --- */

/* Reads to the end; checks ids `first`, `first` + 1, ... and words; returns the rows. */
static int64_t drain(struct ArrowArrayStream *stream, int64_t first) {
    struct ArrowSchema schema = schema_of(stream);
    int64_t rows = 0;
    for (;;) {
        struct ArrowArray a = next(stream);
        if (!a.release)
            break;
        check_batch(&a, &schema);
        for (int64_t i = 0; i < a.length; i++, rows++) {
            char word[16];
            int64_t id = first + rows;
            ck_assert_int_eq(int64_at(a.children[0], i), id);
            ck_assert(is_null(a.children[1], i) == (id % 7 == 0));
            snprintf(word, sizeof word, "w%d", (int)id);
            if (id % 7)
                ck_assert(slice_eq_str(bytes_at(a.children[1], i), word));
        }
        a.release(&a);
    }
    schema.release(&schema);
    return rows;
}

START_TEST(many_batches_give_all_rows_under_bound_parameters) {
    struct world w;
    world_open(&w);
    make_numbers(&w);
    lam_stmt *stmt = prepare(&w, "SELECT id, word FROM numbers WHERE id >= $1");
    for (int64_t first = 1; first < ROWS; first += 1999) {
        ck_ok(lam_bind_int64(stmt, 1, first, &w.err), &w.err);
        struct ArrowArrayStream stream = query(&w, stmt);
        ck_assert_int_eq(drain(&stream, first), ROWS - first + 1);
        ck_assert_uint_eq(lam_changes(stmt), (uint64_t)(ROWS - first + 1));
        stream.release(&stream);
    }
    lam_finalize(stmt);
    world_close(&w);
}
END_TEST

START_TEST(selected_rows_are_gathered) {
    struct world w;
    world_open(&w);
    make_numbers(&w);
    lam_stmt *stmt =
        prepare(&w, "SELECT word, id FROM numbers WHERE id % 1000 = 7 LIMIT 3 OFFSET 1");
    struct ArrowArrayStream stream = query(&w, stmt);
    struct ArrowSchema schema = schema_of(&stream);
    int64_t expected = 1007;
    for (struct ArrowArray a = next(&stream); a.release; a = next(&stream)) {
        check_batch(&a, &schema);
        for (int64_t i = 0; i < a.length; i++, expected += 1000)
            ck_assert_int_eq(int64_at(a.children[1], i), expected);
        a.release(&a);
    }
    ck_assert_int_eq(expected, 4007);
    schema.release(&schema);
    stream.release(&stream);
    lam_finalize(stmt);
    world_close(&w);
}
END_TEST

START_TEST(empty_result_has_a_schema_and_ends_at_once) {
    struct world w;
    world_open(&w);
    run(&w, "CREATE TABLE none (id BIGINT PRIMARY KEY, price DECIMAL(5,2))");
    lam_stmt *stmt = prepare(&w, "SELECT price, id FROM none");
    struct ArrowArrayStream stream = query(&w, stmt);
    expect_end(&stream);
    struct ArrowSchema schema = schema_of(&stream);
    ck_assert_int_eq(schema.n_children, 2);
    ck_assert_str_eq(schema.children[0]->format, "d:5,2");
    schema.release(&schema);
    expect_end(&stream);
    stream.release(&stream);
    lam_finalize(stmt);
    world_close(&w);
}
END_TEST

START_TEST(stream_reads_one_snapshot) {
    struct world w;
    world_open(&w);
    make_numbers(&w);
    lam_stmt *stmt = prepare(&w, "SELECT id, word FROM numbers");
    struct ArrowArrayStream stream = query(&w, stmt);
    run(&w, "DELETE FROM numbers WHERE id > 10");
    ck_assert_int_eq(drain(&stream, 1), ROWS);
    stream.release(&stream);
    stream = query(&w, stmt);
    ck_assert_int_eq(drain(&stream, 1), 10);
    stream.release(&stream);
    lam_finalize(stmt);
    world_close(&w);
}
END_TEST

START_TEST(a_plan_made_again_gives_its_own_columns) {
    struct world w;
    world_open(&w);
    run(&w, "CREATE TABLE t (id BIGINT PRIMARY KEY); INSERT INTO t VALUES (1)");
    lam_stmt *stmt = prepare(&w, "SELECT * FROM t");
    ck_assert_uint_eq(lam_column_count(stmt), 1);
    run(&w, "ALTER TABLE t ADD COLUMN note UUID");
    struct ArrowArrayStream stream = query(&w, stmt);
    struct ArrowSchema schema = schema_of(&stream);
    struct ArrowArray a = next(&stream);
    ck_assert_int_eq(schema.n_children, 2);
    ck_assert_str_eq(schema.children[1]->format, "w:16");
    check_batch(&a, &schema);
    a.release(&a);
    schema.release(&schema);
    stream.release(&stream);
    lam_finalize(stmt);
    world_close(&w);
}
END_TEST

/* --- release orders --- */

START_TEST(children_moved_out_live_on) {
    struct world w;
    world_open(&w);
    run(&w, all_types);
    lam_stmt *stmt = prepare(&w, "SELECT id, t, d FROM types ORDER BY id");
    struct ArrowArrayStream stream = query(&w, stmt);
    struct ArrowSchema schema = schema_of(&stream);
    struct ArrowArray a = next(&stream);
    struct ArrowArray text = *a.children[1];
    struct ArrowSchema price = *schema.children[2];
    a.children[1]->release = NULL;
    schema.children[2]->release = NULL;
    a.children[0]->release(a.children[0]);
    ck_assert(a.children[0]->release == NULL);
    a.release(&a);
    schema.release(&schema);
    stream.release(&stream);
    lam_finalize(stmt);
    world_close(&w);
    ck_assert(slice_eq_str(bytes_at(&text, 0), "h\xc3\xb6"));
    ck_assert_str_eq(price.format, "d:12,3");
    ck_assert_str_eq(price.name, "d");
    text.release(&text);
    price.release(&price);
}
END_TEST

START_TEST(a_stream_moved_and_released_early_frees_the_statement) {
    struct world w;
    bool row;
    world_open(&w);
    make_numbers(&w);
    lam_stmt *stmt = prepare(&w, "SELECT id, word FROM numbers");
    struct ArrowArrayStream first = query(&w, stmt), moved = first, other;
    struct ArrowArray a = next(&moved);
    first.release = NULL;
    ck_code(lam_step(stmt, &row, &w.err), LAM_INVALID);
    ck_contains(w.err.message, "Arrow stream");
    ck_code(lam_query_arrow(stmt, &other, &w.err), LAM_INVALID);
    ck_contains(w.err.message, "another Arrow stream");
    ck_assert(other.release == NULL);
    moved.release(&moved);
    ck_ok(lam_step(stmt, &row, &w.err), &w.err);
    ck_assert(row);
    ck_assert_int_eq(lam_column_int64(stmt, 0), 1);
    ck_code(lam_query_arrow(stmt, &other, &w.err), LAM_INVALID);
    ck_contains(w.err.message, "is running");
    lam_finalize(stmt);
    world_close(&w);
    ck_assert_int_eq(int64_at(a.children[0], 5), 6);
    a.release(&a);
}
END_TEST

START_TEST(reset_or_finalize_under_a_stream_makes_it_fail) {
    for (int finalize = 0; finalize < 2; finalize++) {
        struct world w;
        struct ArrowArray a;
        world_open(&w);
        make_numbers(&w);
        lam_stmt *stmt = prepare(&w, "SELECT id, word FROM numbers");
        struct ArrowArrayStream stream = query(&w, stmt);
        a = next(&stream);
        a.release(&a);
        if (finalize)
            lam_finalize(stmt);
        else
            lam_reset(stmt);
        ck_assert_int_eq(stream.get_next(&stream, &a), EINVAL);
        ck_assert(a.release == NULL);
        ck_contains(stream.get_last_error(&stream), "was reset");
        stream.release(&stream);
        if (!finalize)
            lam_finalize(stmt);
        world_close(&w);
    }
}
END_TEST

/* --- failures --- */

START_TEST(an_error_in_a_later_batch_is_told_and_stays) {
    struct world w;
    struct ArrowArray a;
    world_open(&w);
    make_numbers(&w);
    lam_stmt *stmt = prepare(&w, "SELECT 10 / (id - 3000) AS q FROM numbers");
    struct ArrowArrayStream stream = query(&w, stmt);
    struct ArrowArray first = next(&stream);
    ck_assert_int_gt(first.length, 0);
    ck_assert_int_lt(first.length, 3000);
    int64_t rows = first.length;
    int rc;
    while ((rc = stream.get_next(&stream, &a)) == 0) {
        ck_assert(a.release != NULL);
        rows += a.length;
        a.release(&a);
    }
    ck_assert_int_lt(rows, 3000);
    ck_assert_int_eq(rc, EINVAL);
    ck_assert(a.release == NULL);
    ck_contains(stream.get_last_error(&stream), "division by zero");
    ck_contains(stream.get_last_error(&stream), "22012");
    struct ArrowSchema schema = schema_of(&stream);
    ck_assert_ptr_null(stream.get_last_error(&stream));
    ck_assert_int_eq(stream.get_next(&stream, &a), EINVAL);
    ck_contains(stream.get_last_error(&stream), "division by zero");
    check_batch(&first, &schema);
    first.release(&first);
    schema.release(&schema);
    stream.release(&stream);
    lam_finalize(stmt);
    world_close(&w);
}
END_TEST

START_TEST(an_interrupt_cancels) {
    struct world w;
    struct ArrowArray a;
    world_open(&w);
    make_numbers(&w);
    lam_stmt *stmt = prepare(&w, "SELECT id FROM numbers");
    struct ArrowArrayStream stream = query(&w, stmt);
    a = next(&stream);
    a.release(&a);
    lam_session_interrupt(w.session);
    ck_assert_int_eq(stream.get_next(&stream, &a), ECANCELED);
    stream.release(&stream);
    lam_finalize(stmt);
    world_close(&w);
}
END_TEST

START_TEST(misuse_is_invalid) {
    struct world w;
    struct ArrowArrayStream stream;
    bool row;
    world_open(&w);
    run(&w, "CREATE TABLE t (id BIGINT PRIMARY KEY)");
    ck_code(lam_query_arrow(NULL, &stream, &w.err), LAM_INVALID);
    ck_assert(stream.release == NULL);
    lam_stmt *stmt = prepare(&w, "INSERT INTO t VALUES (1)");
    ck_code(lam_query_arrow(stmt, NULL, &w.err), LAM_INVALID);
    ck_code(lam_query_arrow(stmt, &stream, &w.err), LAM_INVALID);
    ck_contains(w.err.message, "INSERT gives no rows");
    lam_finalize(stmt);
    stmt = prepare(&w, "SELECT id FROM t");
    ck_ok(lam_step(stmt, &row, &w.err), &w.err);
    ck_assert(!row);
    ck_code(lam_query_arrow(stmt, &stream, &w.err), LAM_INVALID);
    ck_contains(w.err.message, "has ended");
    lam_finalize(stmt);
    stmt = prepare(&w, "SELECT id FROM t LIMIT $1");
    ck_ok(lam_bind_int64(stmt, 1, -1, &w.err), &w.err);
    ck_code(lam_query_arrow(stmt, &stream, &w.err), LAM_SQL);
    ck_assert(stream.release == NULL);
    ck_ok(lam_bind_int64(stmt, 1, 1, &w.err), &w.err);
    stream = query(&w, stmt);
    stream.release(&stream);
    lam_finalize(stmt);
    world_close(&w);
}
END_TEST

START_TEST(rows_returned_by_an_insert_are_a_stream_too) {
    struct world w;
    world_open(&w);
    run(&w, "CREATE TABLE t (id BIGINT PRIMARY KEY, word TEXT)");
    lam_stmt *stmt = prepare(&w, "INSERT INTO t VALUES (1, 'w1'), (2, 'w2') RETURNING id, word");
    struct ArrowArrayStream stream = query(&w, stmt);
    ck_assert_int_eq(drain(&stream, 1), 2);
    ck_assert_uint_eq(lam_changes(stmt), 2);
    stream.release(&stream);
    lam_finalize(stmt);
    world_close(&w);
}
END_TEST

START_TEST(running_out_of_memory_anywhere_leaks_nothing) {
    struct world w;
    world_open(&w);
    run(&w, all_types);
    lam_stmt *stmt = prepare(&w, "SELECT * FROM types");
    bool whole = false;
    size_t nth;
    for (nth = 1; !whole; nth++) {
        struct ArrowArrayStream stream;
        struct ArrowSchema schema = {0};
        struct ArrowArray a = {0};
        oom_arm(nth);
        enum lam_code rc = lam_query_arrow(stmt, &stream, NULL);
        int schema_rc = rc == LAM_OK ? stream.get_schema(&stream, &schema) : 0;
        int next_rc = rc == LAM_OK ? stream.get_next(&stream, &a) : 0;
        oom_arm(0);
        whole = rc == LAM_OK && schema_rc == 0 && next_rc == 0;
        ck_assert(rc == LAM_OK || rc == LAM_NO_MEMORY);
        ck_assert(schema_rc == 0 || schema_rc == ENOMEM);
        ck_assert(next_rc == 0 || next_rc == ENOMEM);
        ck_assert((a.release != NULL) == (rc == LAM_OK && next_rc == 0));
        ck_assert((schema.release != NULL) == (rc == LAM_OK && schema_rc == 0));
        if (a.release)
            a.release(&a);
        if (schema.release)
            schema.release(&schema);
        if (rc == LAM_OK)
            stream.release(&stream);
    }
    ck_assert_uint_gt(nth, 40);
    lam_finalize(stmt);
    world_close(&w);
}
END_TEST

TEST_MAIN("sql/arrow", schema_names_every_type, values_and_nulls_of_every_type_outlive_everything,
          untyped_null_is_text, many_batches_give_all_rows_under_bound_parameters,
          selected_rows_are_gathered, empty_result_has_a_schema_and_ends_at_once,
          stream_reads_one_snapshot, a_plan_made_again_gives_its_own_columns,
          children_moved_out_live_on, a_stream_moved_and_released_early_frees_the_statement,
          reset_or_finalize_under_a_stream_makes_it_fail,
          an_error_in_a_later_batch_is_told_and_stays, an_interrupt_cancels, misuse_is_invalid,
          rows_returned_by_an_insert_are_a_stream_too, running_out_of_memory_anywhere_leaks_nothing)
