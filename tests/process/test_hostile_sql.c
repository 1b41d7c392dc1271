/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile SQL of a megabyte: deep, long or catastrophic. On a stack of 256 KiB each is answered or
 * refused, in time and memory that grow no faster than the text. Growth is measured over a factor
 * of eight, where a quadratic step costs 64 times as much: no clock can mistake the two. */
#include <time.h>

#include "tests/process/process.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_BYTES (4u << 20) /* their frames are many times as large */
#else
#define STACK_BYTES (256u << 10)
#endif
#if defined(__SANITIZE_THREAD__)
#define TEXT_BYTES (1u << 17) /* one thread works: the size is for the others */
#else
#define TEXT_BYTES (1u << 20)
#endif
#define GROWTH 8

/* --- an allocator that counts ---------------------------------------------------------------- */

static _Atomic size_t held, peak;

static void *count_resize(void *arg, void *ptr, size_t size) {
    size_t *old = ptr ? (size_t *)ptr - 2 : NULL;
    (void)arg;
    if (old)
        atomic_fetch_sub(&held, *old);
    if (size == 0) {
        free(old);
        return NULL;
    }
    size_t *p = realloc(old, size + 2 * sizeof *p);
    if (!p) {
        if (old)
            atomic_fetch_add(&held, *old);
        return NULL;
    }
    *p = size;
    size_t now = atomic_fetch_add(&held, size) + size;
    if (now > atomic_load(&peak))
        atomic_store(&peak, now);
    return p + 2;
}

/* --- statements ------------------------------------------------------------------------------ */

/* head, then `count` times `left`, the middle, `count` times `right`, tail. A '#' in a repeated
 * piece becomes its number. */
struct shape {
    const char *name;
    const char *head, *left, *middle, *right, *tail;
    const char *answer; /* rows_or_null's; NULL: an error */
};

static const struct shape shapes[] = {
    /* deep */
    {"parentheses", "SELECT ", "(", "1", ")", "", NULL},
    {"parentheses of no end", "SELECT ", "(", "", "", "", NULL},
    {"not", "SELECT ", "NOT ", "true", "", "", NULL},
    {"minus", "SELECT ", "- ", "1", "", "", NULL},
    {"case", "SELECT ", "CASE WHEN true THEN ", "1", " END", "", NULL},
    {"case in else", "SELECT ", "CASE WHEN false THEN 0 ELSE ", "1", " END", "", NULL},
    {"functions", "SELECT ", "COALESCE(", "1", ")", "", NULL},
    {"casts", "SELECT ", "CAST(", "1", " AS INT)", "", NULL},
    {"in", "SELECT ", "1 IN (", "1", ")", "", NULL},
    {"between", "SELECT ", "1 BETWEEN ", "1", " AND 2", "", NULL},
    {"explain", "", "EXPLAIN ", "SELECT 1", "", "", NULL},
    {"as user", "", "EXECUTE AS USER 'ann' (", "SELECT 1", ")", "", NULL},
    {"brackets", "SELECT ", "[", "1", "]", "", NULL},
    {"comments in comments", "SELECT ", "/*", "", "*/", " 1", NULL},
    {"json arrays", "SELECT CAST('", "[", "", "]", "' AS JSON)", NULL},
    {"json objects", "SELECT CAST('", "{\"a\":", "1", "}", "' AS JSON)", NULL},
    {"json path", "SELECT '{}'::JSON ", "-> 'a' ", "", "", "", NULL},
    /* long chains of operators */
    {"double colons", "SELECT 1", "::INT", "", "", "", NULL},
    {"sum", "SELECT 1", "+1", "", "", "", NULL},
    {"product", "SELECT 1", "*1", "", "", "", NULL},
    {"comparisons", "SELECT 1", "=1", "", "", "", NULL},
    {"and", "SELECT COUNT(*) FROM one WHERE true", " AND true", "", "", "", "1;"},
    {"or", "SELECT COUNT(*) FROM one WHERE false", " OR a = #", "", "", "", "0;"},
    {"concatenation", "SELECT LENGTH(''", "||'x'", "", "", ")", ""},
    /* long lists */
    {"in list", "SELECT COUNT(*) FROM one WHERE a IN (-1", ",#", "", "", ")", "1;"},
    {"in list of text", "SELECT COUNT(*) FROM one WHERE t IN ('q'", ",'#'", "", "", ")", "0;"},
    {"select list", "SELECT 1", ",1", "", "", "", NULL},
    {"select stars", "SELECT *", ",*", "", "", " FROM one", NULL},
    {"values", "INSERT INTO sink VALUES (-1)", ",(#)", "", "", "", ""},
    {"insert columns", "INSERT INTO sink (id", ",id", "", "", ") VALUES (1)", NULL},
    {"columns of a table", "CREATE TABLE wide (id INT PRIMARY KEY", ",c# INT", "", "", ")", NULL},
    {"columns of a key", "CREATE TABLE keyed (a INT, PRIMARY KEY (a", ",a", "", "", "))", NULL},
    {"order by", "SELECT a FROM one ORDER BY a", ",a", "", "", "", NULL},
    {"group by", "SELECT a FROM one GROUP BY a", ",a", "", "", "", NULL},
    {"arguments", "SELECT COALESCE(NULL", ",NULL", "", "", ")", NULL},
    {"greatest", "SELECT GREATEST(0", ",#", "", "", ")", NULL},
    {"when", "SELECT CASE 1", " WHEN 2 THEN 3", "", "", " ELSE 4 END", NULL},
    {"parameters", "SELECT $1", ",$#", "", "", "", NULL},
    {"options", "CREATE TABLE o (id INT PRIMARY KEY) WITH (storage = 'local'", ",storage = 'local'",
     "", "", ")", NULL},
    /* long words */
    {"string", "SELECT LENGTH('", "x", "", "", "')", ""},
    {"quotes", "SELECT LENGTH('", "''", "", "", "')", ""},
    {"string of no end", "SELECT '", "x", "", "", "", NULL},
    {"name", "SELECT a", "a", "", "", " FROM one", NULL},
    {"quoted name", "SELECT \"", "a", "", "", "\" FROM one", NULL},
    {"qualified name", "SELECT a", ".a", "", "", " FROM one", NULL},
    {"digits", "SELECT ", "9", "", "", "", NULL},
    {"fraction", "SELECT 0.", "3", "", "", "", NULL},
    {"exponent", "SELECT 1e", "9", "", "", "", NULL},
    {"parameter number", "SELECT $", "9", "", "", "", NULL},
    {"comment", "SELECT /*", "x", "", "", "*/ 1", "1;"},
    {"comment of no end", "SELECT 1 /*", "x", "", "", "", NULL},
    {"line comments", "SELECT 1", " --\n", "", "", "", "1;"},
    {"blanks", "SELECT ", " \t\n", "", "", "1", "1;"},
    {"semicolons", "SELECT 1", ";", "", "", "", "1;"},
    {"bytes", "SELECT LENGTH(CAST('\\x", "00", "", "", "' AS BYTES))", NULL},
    /* patterns */
    {"like of many", "SELECT REPEAT('a', 20000) LIKE '", "%a", "", "", "%b'", NULL},
    {"like of gaps", "SELECT t LIKE '", "%_", "", "", "x' FROM one", NULL},
    {"like escapes", "SELECT t LIKE '", "\\\\", "", "", "' FROM one", NULL},
    {"decimals", "SELECT CAST('", "7", "", "", "' AS DECIMAL(38, 10))", NULL},
    {"double text", "SELECT CAST('0.", "1", "", "", "' AS DOUBLE)", NULL},
    {"uuid text", "SELECT CAST('", "a-", "", "", "' AS UUID)", NULL},
    {"timestamp text", "SELECT CAST('2025-01-01 ", "0", "", "", "' AS TIMESTAMP)", NULL},
};
#define SHAPES (sizeof shapes / sizeof shapes[0])

static size_t put_piece(char *out, const char *piece, size_t number) {
    size_t n = 0;
    for (; *piece; piece++)
        if (*piece == '#')
            n += (size_t)snprintf(out + n, 21, "%zu", number);
        else
            out[n++] = *piece;
    return n;
}

/* A text of about `size` bytes; the caller frees. */
static char *make_text(const struct shape *s, size_t size, size_t *size_out) {
    size_t unit = strlen(s->left) + strlen(s->right);
    char *text = malloc(size + 4096);
    ck_assert(text != NULL && unit > 0);
    size_t n = put_piece(text, s->head, 0), count = 0;
    while (n + count * strlen(s->right) < size)
        n += put_piece(text + n, s->left, ++count);
    n += put_piece(text + n, s->middle, 0);
    for (size_t i = 0; i < count && n + 64 < size + 4096; i++)
        n += put_piece(text + n, s->right, i);
    n += put_piece(text + n, s->tail, 0);
    *size_out = n;
    return text;
}

/* --- running --------------------------------------------------------------------------------- */

struct run {
    lam_session *session;
    const struct shape *shape;
    const char *sql;
    size_t size;
    enum lam_code code;
    struct lam_error error;
    uint64_t cpu_ns;
    size_t bytes; /* most held at once, beyond what was held before */
    char answer[100];
};

static bool keep_answer(void *arg, lam_stmt *stmt) {
    struct run *r = arg;
    struct lam_slice v = lam_column_text(stmt, 0);
    snprintf(r->answer, sizeof r->answer, "%.*s;", (int)(v.size < 90 ? v.size : 90),
             (const char *)v.data);
    return true;
}

static uint64_t thread_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void *run_text(void *arg) {
    struct run *r = arg;
    size_t before = atomic_load(&held);
    uint64_t begun = thread_ns();
    atomic_store(&peak, before);
    r->code = lam_exec(r->session, r->sql, r->size, keep_answer, r, NULL, &r->error);
    r->cpu_ns = thread_ns() - begun;
    r->bytes = atomic_load(&peak) - before;
    return NULL;
}

static struct run run_on_small_stack(lam_session *s, const struct shape *shape, size_t size) {
    struct run r = {.session = s, .shape = shape};
    char *text = make_text(shape, size, &r.size);
    pthread_attr_t attr;
    pthread_t thread;
    r.sql = text;
    pthread_attr_init(&attr);
    ck_assert_int_eq(pthread_attr_setstacksize(&attr, STACK_BYTES), 0);
    ck_assert_int_eq(pthread_create(&thread, &attr, run_text, &r), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attr);
    free(text);
    return r;
}

static lam_db *open_with_tables(lam_session **session_out) {
    lam_set_allocator(&(struct lam_allocator){count_resize, NULL});
    struct lam_options options = {.memory_budget = 256u << 20};
    lam_db *db = NULL;
    ck_ok(lam_db_open(at("db"), &options, &db, &err), &err);
    *session_out = session_of(db, "root", LAM_ROLE_SYSTEM);
    exec(*session_out, "CREATE TABLE one (a INT PRIMARY KEY, t TEXT);"
                       "INSERT INTO one VALUES (-1, REPEAT('y', 20000));"
                       "CREATE TABLE sink (id INT PRIMARY KEY)");
    return db;
}

START_TEST(a_megabyte_of_anything_is_answered_or_refused_on_a_small_stack) {
    lam_session *s;
    lam_db *db = open_with_tables(&s);
    for (size_t i = 0; i < SHAPES; i++) {
        const struct shape *shape = &shapes[i];
        struct run r = run_on_small_stack(s, shape, TEXT_BYTES);
        bool clean = r.code == LAM_OK || r.code == LAM_SQL || r.code == LAM_LIMIT;
        ck_assert_msg(clean, "%s: %s: %s", shape->name, lam_code_name(r.code), r.error.message);
        if (r.code != LAM_OK)
            ck_assert_msg(r.error.message[0] && strlen(r.error.message) < 1024, "%s", shape->name);
        if (getenv("LAM_VERBOSE"))
            fprintf(stderr, "%-24s %8zu bytes %6.1f ms %8.1f MiB %s %.100s\n", shape->name, r.size,
                    (double)r.cpu_ns / 1e6, (double)r.bytes / 1048576, lam_code_name(r.code),
                    r.code ? r.error.message : r.answer);
        if (shape->answer && shape->answer[0])
            ck_assert_msg(r.code != LAM_OK || strcmp(r.answer, shape->answer) == 0, "%s: %s",
                          shape->name, r.answer);
        ck_assert_msg(r.bytes < 256 * (size_t)TEXT_BYTES, "%s: %zu bytes of memory", shape->name,
                      r.bytes);
        /* The session goes on. */
        ck_assert_str_eq(rows(s, "SELECT a FROM one"), "-1;");
    }
    ck_ok(lam_session_close(s, &err), &err);
    close_db(db);
    ck_assert_uint_eq(atomic_load(&held), 0);
}
END_TEST

START_TEST(time_and_memory_grow_with_the_text_and_no_faster) {
    lam_session *s;
    lam_db *db = open_with_tables(&s);
    for (size_t i = 0; i < SHAPES; i++) {
        const struct shape *shape = &shapes[i];
        uint64_t small = UINT64_MAX, large = UINT64_MAX;
        size_t small_bytes = 0, large_bytes = 0;
        for (int turn = 0; turn < 3; turn++) {
            exec(s, "DELETE FROM sink");
            struct run a = run_on_small_stack(s, shape, TEXT_BYTES / GROWTH);
            exec(s, "DELETE FROM sink");
            struct run b = run_on_small_stack(s, shape, TEXT_BYTES);
            small = a.cpu_ns < small ? a.cpu_ns : small;
            large = b.cpu_ns < large ? b.cpu_ns : large;
            small_bytes = a.bytes;
            large_bytes = b.bytes;
        }
        /* What a short refusal costs is no measure. */
        if (small < 1000000)
            small = 1000000;
        ck_assert_msg(large < small * GROWTH * 3, "%s: %.1f ms, of %d times the text %.1f ms",
                      shape->name, (double)small / 1e6, GROWTH, (double)large / 1e6);
        ck_assert_msg(large_bytes < (small_bytes + (1u << 20)) * GROWTH * 3,
                      "%s: %zu bytes, of %d times the text %zu", shape->name, small_bytes, GROWTH,
                      large_bytes);
    }
    ck_ok(lam_session_close(s, &err), &err);
    close_db(db);
}
END_TEST

TEST_MAIN("process/hostile_sql", a_megabyte_of_anything_is_answered_or_refused_on_a_small_stack,
          time_and_memory_grow_with_the_text_and_no_faster)
