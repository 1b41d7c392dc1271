/* SPDX-License-Identifier: Apache-2.0
 *
 * Serving frames. A frame of one statement takes its prepared statement from the connection, so
 * that repeated inserts are not parsed again; such a statement checks access when it is prepared
 * and when it runs, which is what authorising the whole text would do. */
#include "shell/batch.h"

#include <errno.h>
#include <stdlib.h>

#include "shell/conn.h"
#include "shell/diag.h"
#include "shell/json.h"
#include "shell/text.h"
#include "shell/value.h"

#define OUT_BYTES (128u << 10) /* answers are written when they reach this, and at a sync */

struct batch {
    struct conn_table conns;
    struct text out;           /* answers not yet written */
    struct text strings;       /* decoded strings of the frame */
    struct json_value *params; /* owned; [param_capacity] */
    size_t param_count;
    size_t param_capacity;
    bool broken; /* stdout takes no more */
};

/* A frame as read; strings are in the batch's `strings`. */
struct frame {
    struct json_value id, sql, conn;
    bool has_id, has_sql, has_conn;
};

static void write_out(struct batch *b) {
    if (b->out.size > 0 && fwrite(b->out.data, 1, b->out.size, stdout) != b->out.size)
        b->broken = true;
    b->out.size = 0;
}

/* --- answers --- */

static void answer_error(struct batch *b, const struct lam_error *err) {
    const char *message = err->message[0] ? err->message : lam_code_text(err->code);
    text_add_str(&b->out, "{\"error\":");
    json_add_string(&b->out, message, strlen(message));
    text_add_format(&b->out, ",\"code\":\"%s\"", diag_sqlstate(err));
    if (err->pos > 0)
        text_add_format(&b->out, ",\"pos\":%u", err->pos);
    if (err->hint[0]) {
        text_add_str(&b->out, ",\"hint\":");
        json_add_string(&b->out, err->hint, strlen(err->hint));
    }
    text_add_str(&b->out, "}\n");
}

static void answer_protocol_error(struct batch *b, const char *what, size_t at) {
    struct lam_error err = {.code = LAM_INVALID, .sqlstate = "08P01"};
    snprintf(err.message, sizeof err.message, "frame: %s at byte %zu", what, at + 1);
    answer_error(b, &err);
}

static void answer_row(struct batch *b, lam_stmt *stmt, uint32_t columns) {
    for (uint32_t c = 0; c < columns; c++) {
        text_add_char(&b->out, c == 0 ? '[' : ',');
        value_add_json(&b->out, stmt, c);
    }
    text_add_str(&b->out, "]\n");
    if (b->out.size >= OUT_BYTES)
        write_out(b);
}

static void answer_sync(struct batch *b, const struct frame *f) {
    text_add_str(&b->out, "{\"sync\":");
    if (f->has_id)
        text_add(&b->out, f->id.raw, f->id.raw_size);
    else
        text_add_str(&b->out, "null");
    text_add_str(&b->out, "}\n");
    write_out(b);
    if (fflush(stdout) != 0)
        b->broken = true;
}

/* --- running --- */

static enum lam_code fail_parameters(uint32_t wanted, size_t given, struct lam_error *err) {
    *err = (struct lam_error){.code = LAM_SQL, .sqlstate = "08P01"};
    snprintf(err->message, sizeof err->message,
             "the statement has %u parameter%s, but \"params\" has %zu value%s", wanted,
             wanted == 1 ? "" : "s", given, given == 1 ? "" : "s");
    return LAM_SQL;
}

static enum lam_code bind_one(struct batch *b, lam_stmt *stmt, uint32_t index,
                              const struct json_value *v, struct lam_error *err) {
    switch (v->kind) {
    case JSON_NULL:
        return lam_bind_null(stmt, index, err);
    case JSON_FALSE:
    case JSON_TRUE:
        return lam_bind_bool(stmt, index, v->kind == JSON_TRUE, err);
    case JSON_INTEGER:
        return lam_bind_int64(stmt, index, v->integer, err);
    case JSON_DOUBLE:
        return lam_bind_double(stmt, index, v->number, err);
    case JSON_DIGITS: /* as text it keeps all digits where a DECIMAL is wanted */
    case JSON_STRING:
        return lam_bind_text(stmt, index, b->strings.data + v->string_at, v->string_size, err);
    default: /* an array or object is JSON text */
        return lam_bind_text(stmt, index, v->raw, v->raw_size, err);
    }
}

static enum lam_code bind_all(struct batch *b, lam_stmt *stmt, struct lam_error *err) {
    uint32_t wanted = lam_parameter_count(stmt);
    enum lam_code rc = LAM_OK;
    if (wanted > b->param_count)
        return fail_parameters(wanted, b->param_count, err);
    for (uint32_t i = 0; i < wanted && rc == LAM_OK; i++)
        rc = bind_one(b, stmt, i + 1, &b->params[i], err);
    return rc;
}

static enum lam_code run_statement(struct batch *b, lam_stmt *stmt, struct lam_error *err) {
    uint64_t rows = 0;
    bool row = false;
    enum lam_code rc = bind_all(b, stmt, err);
    if (rc == LAM_OK)
        rc = lam_step(stmt, &row, err);
    uint32_t columns = lam_column_count(stmt); /* it may have been planned anew */
    for (; rc == LAM_OK && row && !b->broken; rows++) {
        answer_row(b, stmt, columns);
        rc = lam_step(stmt, &row, err);
    }
    if (rc != LAM_OK)
        return rc;
    if (columns > 0)
        text_add_format(&b->out, "{\"ok\":true,\"rows\":%llu}\n", (unsigned long long)rows);
    else
        text_add_format(&b->out, "{\"ok\":true,\"changes\":%llu}\n",
                        (unsigned long long)lam_changes(stmt));
    return LAM_OK;
}

static bool is_blank(const char *sql, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (sql[i] != ' ' && (sql[i] < '\t' || sql[i] > '\r'))
            return false;
    return true;
}

static bool is_worth_keeping(const lam_stmt *stmt) {
    const char *tag = lam_command_tag(stmt);
    return strcmp(tag, "SELECT") == 0 || strcmp(tag, "INSERT") == 0 || strcmp(tag, "UPDATE") == 0 ||
           strcmp(tag, "DELETE") == 0;
}

/* Runs the statements from byte `at` on; *at_out is the failed one's. */
static enum lam_code run_rest(struct batch *b, struct conn *c, const char *sql, size_t size,
                              size_t *at_out, struct lam_error *err) {
    enum lam_code rc = lam_authorize(c->session, sql, size, err);
    while (rc == LAM_OK && *at_out < size && !b->broken) {
        lam_stmt *stmt = NULL;
        size_t tail = 0;
        rc = lam_prepare(c->session, sql + *at_out, size - *at_out, &stmt, &tail, err);
        if (rc == LAM_OK && !stmt && tail == 0)
            break;
        if (stmt)
            rc = run_statement(b, stmt, err);
        lam_finalize(stmt);
        if (rc == LAM_OK)
            *at_out += tail;
    }
    return rc;
}

/* Runs a text of one statement, keeping it prepared. False: it is none such. */
static bool run_single(struct batch *b, struct conn *c, const char *sql, size_t size,
                       enum lam_code *rc_out, struct lam_error *err) {
    lam_stmt *stmt = conn_find(c, sql, size);
    if (!stmt) {
        size_t tail = 0;
        if (lam_prepare(c->session, sql, size, &stmt, &tail, NULL) != LAM_OK || !stmt)
            return false;
        if (!is_worth_keeping(stmt) || !is_blank(sql + tail, size - tail)) {
            lam_finalize(stmt);
            return false;
        }
        conn_keep(c, sql, size, stmt);
    }
    *rc_out = run_statement(b, stmt, err);
    lam_reset(stmt);
    return true;
}

static void run_frame(struct batch *b, const struct frame *f) {
    struct lam_error err = {0};
    struct conn *c;
    const char *sql = b->strings.data + f->sql.string_at;
    const char *name = f->has_conn ? b->strings.data + f->conn.string_at : "";
    size_t size = f->sql.string_size, at = 0;
    enum lam_code rc = conn_get(&b->conns, name, f->has_conn ? f->conn.string_size : 0, &c, &err);
    if (rc == LAM_OK && !run_single(b, c, sql, size, &rc, &err))
        rc = run_rest(b, c, sql, size, &at, &err);
    if (rc == LAM_OK)
        return;
    if (err.pos > 0)
        err.pos += (uint32_t)utf8_count(sql, at);
    answer_error(b, &err);
}

/* --- reading --- */

static bool read_params(struct batch *b, struct json_reader *r) {
    struct json_value v;
    bool more = true;
    b->param_count = 0;
    if (r->at < r->size && strchr(" \t", r->text[r->at]))
        r->at += strspn(r->text + r->at, " \t");
    if (r->at < r->size && r->text[r->at] == 'n')
        return json_read(r, &v);
    if (!json_enter(r, '['))
        return false;
    for (;;) {
        if (!json_next(r, ']', b->param_count == 0, &more))
            return false;
        if (!more)
            return true;
        if (b->param_count == b->param_capacity) {
            b->param_capacity = b->param_capacity ? b->param_capacity * 2 : 16;
            b->params = memory_resize(b->params, b->param_capacity * sizeof *b->params);
        }
        if (!json_read(r, &b->params[b->param_count]))
            return false;
        b->param_count++;
    }
}

static bool wrong_kind(struct json_reader *r, const struct json_value *v, const char *problem) {
    r->problem = problem;
    r->problem_at = (size_t)(v->raw - r->text);
    return false;
}

static bool read_member(struct batch *b, struct json_reader *r, const struct json_value *key,
                        struct frame *f) {
    const char *name = b->strings.data + key->string_at;
    size_t size = key->string_size;
    struct json_value v;
    if (size == 6 && memcmp(name, "params", 6) == 0)
        return read_params(b, r);
    bool is_id = size == 2 && memcmp(name, "id", 2) == 0;
    bool is_sql = size == 3 && memcmp(name, "sql", 3) == 0;
    bool is_conn = size == 4 && memcmp(name, "conn", 4) == 0;
    if (!json_read(r, &v))
        return false;
    if (is_id) {
        if (v.kind == JSON_ARRAY || v.kind == JSON_OBJECT)
            return wrong_kind(r, &v, "\"id\" must be a string or a number");
        f->id = v;
        f->has_id = true;
    } else if (is_sql) {
        if (v.kind != JSON_STRING)
            return wrong_kind(r, &v, "\"sql\" must be a string");
        f->sql = v;
        f->has_sql = true;
    } else if (is_conn) {
        if (v.kind != JSON_STRING && v.kind != JSON_NULL)
            return wrong_kind(r, &v, "\"conn\" must be a string");
        f->conn = v;
        f->has_conn = v.kind == JSON_STRING;
    }
    return true;
}

static bool read_frame(struct batch *b, struct json_reader *r, struct frame *f) {
    struct json_value key;
    bool more = true;
    b->param_count = 0;
    if (!json_enter(r, '{'))
        return false;
    for (bool first = true;; first = false) {
        if (!json_next(r, '}', first, &more))
            return false;
        if (!more)
            break;
        if (!json_key(r, &key) || !read_member(b, r, &key, f))
            return false;
    }
    if (!json_finish(r))
        return false;
    if (!f->has_sql) {
        r->problem = "\"sql\" is missing";
        r->problem_at = r->size;
        return false;
    }
    return true;
}

static void serve_line(struct batch *b, const char *line, size_t size) {
    struct json_reader r;
    struct frame f = {.has_id = false};
    text_reset(&b->strings);
    text_str(&b->strings); /* an empty string has an address too */
    json_init(&r, line, size, &b->strings);
    if (read_frame(b, &r, &f))
        run_frame(b, &f);
    else
        answer_protocol_error(b, r.problem, r.problem_at);
    answer_sync(b, &f);
}

bool batch_run(lam_db *db, const struct shell_options *options, FILE *in) {
    struct batch b = {.broken = false};
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size = 0;
    conn_table_init(&b.conns, db, options);
    while (!b.broken && (size = getline(&line, &capacity, in)) >= 0) {
        size_t n = (size_t)size - (size > 0 && line[size - 1] == '\n');
        if (!is_blank(line, n))
            serve_line(&b, line, n);
    }
    bool ok = !b.broken;
    if (ok && ferror(in)) {
        fprintf(stderr, "lamina: read standard input: %s\n", strerror(errno));
        ok = false;
    }
    ok = conn_table_fini(&b.conns) && ok;
    free(line);
    text_fini(&b.out);
    text_fini(&b.strings);
    free(b.params);
    return ok;
}
