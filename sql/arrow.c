/* SPDX-License-Identifier: Apache-2.0
 *
 * Results as an Arrow stream. Operators reuse their batches, so each one is gathered into columns
 * of the array's own; from there the column's memory is the array's buffers. What is handed out
 * refers to nothing of ours but the heap. */
#include "lamina/arrow.h"

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "sql/exec.h"

/* Extension metadata: int32 count, then int32 length and bytes of each key and value. */
#define EXTENSION(length, name)                                                                    \
    "\x02\0\0\0"                                                                                   \
    "\x14\0\0\0"                                                                                   \
    "ARROW:extension:name" length "\0\0\0" name "\x18\0\0\0"                                       \
    "ARROW:extension:metadata"                                                                     \
    "\0\0\0\0"

static const char uuid_metadata[] = EXTENSION("\x0a", "arrow.uuid");
static const char json_metadata[] = EXTENSION("\x0a", "arrow.json");

/* Longest: "d:38,38". */
#define FORMAT_MAX 12

struct stream_column {
    char *name; /* owned */
    struct coltype type;
};

struct arrow_stream {
    lam_stmt *stmt;                /* borrowed; NULL once it was reset */
    struct stream_column *columns; /* owned */
    uint32_t column_count;
    bool ended;             /* get_next has told the end */
    int failed;             /* errno of every get_next from now on; 0: none */
    const char *last_error; /* what get_last_error gives: `text`, static text or NULL */
    struct lam_error error; /* of that failure */
    char text[1200];        /* of the failure of get_next */
};

/* --- schemas --- */

/* Behind a schema's private_data: one block with all it points to. */
struct schema_memory {
    char format[FORMAT_MAX];
    char *name;                    /* owned */
    struct ArrowSchema **pointers; /* owned; of the struct type only, as is what follows */
    struct ArrowSchema *children;  /* owned */
};

static void release_schema(struct ArrowSchema *schema) {
    struct schema_memory *m = schema->private_data;
    for (int64_t i = 0; i < schema->n_children; i++)
        if (schema->children[i]->release)
            schema->children[i]->release(schema->children[i]);
    mem_free(m->pointers);
    mem_free(m->children);
    mem_free(m->name);
    mem_free(m);
    schema->release = NULL;
}

static const char *fixed_format(enum lam_type type) {
    static const char *const formats[] = {
        [LAM_TYPE_NULL] = "n",   [LAM_TYPE_BOOLEAN] = "b", [LAM_TYPE_SMALLINT] = "s",
        [LAM_TYPE_INT] = "i",    [LAM_TYPE_BIGINT] = "l",  [LAM_TYPE_FLOAT] = "f",
        [LAM_TYPE_DOUBLE] = "g", [LAM_TYPE_DECIMAL] = "",  [LAM_TYPE_TEXT] = "u",
        [LAM_TYPE_BYTES] = "z",  [LAM_TYPE_DATE] = "tdD",  [LAM_TYPE_TIMESTAMP] = "tsu:UTC",
        [LAM_TYPE_TIME] = "ttu", [LAM_TYPE_UUID] = "w:16", [LAM_TYPE_JSON] = "u",
    };
    return formats[type];
}

static void write_format(struct coltype type, char *out) {
    LAM_ASSERT(type.type != LAM_TYPE_NULL && type.type <= LAM_TYPE_JSON);
    if (type.type == LAM_TYPE_DECIMAL)
        snprintf(out, FORMAT_MAX, "d:%u,%u", type.precision, type.scale);
    else
        snprintf(out, FORMAT_MAX, "%s", fixed_format(type.type));
}

/* A schema without children, whose format is still to be written. */
static bool make_schema(struct ArrowSchema *out, const char *name) {
    struct schema_memory *m = mem_calloc(1, sizeof *m);
    char *copy = mem_strdup(name);
    if (!m || !copy) {
        mem_free(m);
        mem_free(copy);
        return false;
    }
    m->name = copy;
    *out = (struct ArrowSchema){
        .format = m->format, .name = copy, .release = release_schema, .private_data = m};
    return true;
}

static bool column_schema(const struct stream_column *c, struct ArrowSchema *out) {
    if (!make_schema(out, c->name))
        return false;
    struct schema_memory *m = out->private_data;
    write_format(c->type, m->format);
    out->flags = ARROW_FLAG_NULLABLE;
    if (c->type.type == LAM_TYPE_UUID)
        out->metadata = uuid_metadata;
    if (c->type.type == LAM_TYPE_JSON)
        out->metadata = json_metadata;
    return true;
}

static bool struct_schema(const struct arrow_stream *s, struct ArrowSchema *out) {
    if (!make_schema(out, ""))
        return false;
    struct schema_memory *m = out->private_data;
    memcpy(m->format, "+s", 3);
    m->pointers = mem_calloc(s->column_count, sizeof(struct ArrowSchema *));
    m->children = mem_calloc(s->column_count, sizeof *m->children);
    bool whole = m->pointers && m->children;
    for (uint32_t i = 0; whole && i < s->column_count; i++) {
        m->pointers[i] = &m->children[i];
        whole = column_schema(&s->columns[i], &m->children[i]);
        out->children = m->pointers;
        out->n_children = i + 1;
    }
    if (!whole)
        release_schema(out);
    return whole;
}

/* --- arrays --- */

struct array_memory {
    struct column column;   /* its memory is the buffers */
    const void *buffers[3]; /* validity, then offsets if any, then values */
};

struct batch_memory {
    const void *buffers[1];       /* validity: none */
    struct ArrowArray **pointers; /* owned */
    struct ArrowArray *children;  /* owned */
};

static void release_column(struct ArrowArray *array) {
    struct array_memory *m = array->private_data;
    column_fini(&m->column);
    mem_free(m);
    array->release = NULL;
}

static void release_batch(struct ArrowArray *array) {
    struct batch_memory *m = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++)
        if (array->children[i]->release)
            array->children[i]->release(array->children[i]);
    mem_free(m->pointers);
    mem_free(m->children);
    mem_free(m);
    array->release = NULL;
}

/* Appends the rows of a result's column. An untyped NULL was promised as another type. */
static enum lam_code gather_rows(struct column *to, const struct column *from, const uint32_t *sel,
                                 uint32_t count, struct lam_error *err) {
    if (from->type.type != LAM_TYPE_NULL)
        return column_append_rows(to, from, sel, count, err);
    for (uint32_t i = 0; i < count; i++)
        TRY(column_append_null(to, err));
    return LAM_OK;
}

static void point_buffers(struct ArrowArray *array, struct array_memory *m) {
    const struct column *c = &m->column;
    bool variable = coltype_is_variable(c->type.type);
    m->buffers[0] = c->null_count ? c->validity : NULL;
    m->buffers[1] = variable ? (const void *)c->offsets : c->data;
    m->buffers[2] = variable ? c->data : NULL;
    array->n_buffers = variable ? 3 : 2;
    array->buffers = m->buffers;
    LAM_ASSERT(m->buffers[1] && (!variable || m->buffers[2]));
}

static enum lam_code column_array(const struct stream_column *sc, const struct column *from,
                                  const struct rowset *rows, struct ArrowArray *out,
                                  struct lam_error *err) {
    struct array_memory *m = mem_calloc(1, sizeof *m);
    if (!m)
        return mem_fail(err, sizeof *m);
    column_init(&m->column, sc->type);
    *out = (struct ArrowArray){.release = release_column, .private_data = m};
    TRY(gather_rows(&m->column, from, rows->sel, rows->count, err));
    LAM_ASSERT(m->column.rows == rows->count);
    out->length = m->column.rows;
    out->null_count = m->column.null_count;
    point_buffers(out, m);
    return LAM_OK;
}

static enum lam_code batch_array(const struct arrow_stream *s, const struct rowset *rows,
                                 struct ArrowArray *out, struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    struct batch_memory *m = mem_calloc(1, sizeof *m);
    if (!m)
        return mem_fail(err, sizeof *m);
    *out = (struct ArrowArray){.length = rows->count,
                               .n_buffers = 1,
                               .buffers = m->buffers,
                               .release = release_batch,
                               .private_data = m};
    m->pointers = mem_calloc(s->column_count, sizeof(struct ArrowArray *));
    m->children = mem_calloc(s->column_count, sizeof *m->children);
    if (!m->pointers || !m->children)
        TRY_GOTO(mem_fail(err, s->column_count * sizeof *m->children));
    out->children = m->pointers;
    for (uint32_t i = 0; i < s->column_count; i++) {
        m->pointers[i] = &m->children[i];
        out->n_children = i + 1;
        TRY_GOTO(
            column_array(&s->columns[i], &rows->batch->columns[i], rows, &m->children[i], err));
    }
    return LAM_OK;
out:
    release_batch(out);
    return rc;
}

/* --- the stream --- */

static int errno_of(enum lam_code code, const struct lam_error *err) {
    switch (code) {
    case LAM_NO_MEMORY:
        return ENOMEM;
    case LAM_DENIED:
        return EACCES;
    case LAM_SQL:
        return strcmp(err->sqlstate, "57014") == 0 ? ECANCELED : EINVAL;
    case LAM_INVALID:
    case LAM_LIMIT:
    case LAM_UNSUPPORTED:
        return EINVAL;
    default:
        return EIO;
    }
}

/* Notes an error that was raised into s->error. */
static int note_error(struct arrow_stream *s, enum lam_code code) {
    const struct lam_error *e = &s->error;
    if (e->sqlstate[0])
        snprintf(s->text, sizeof s->text, "%s (SQLSTATE %s)", e->message, e->sqlstate);
    else
        snprintf(s->text, sizeof s->text, "%s: %s", lam_code_text(code), e->message);
    return errno_of(code, e);
}

/* Gives the statement back. */
static void let_go(struct arrow_stream *s) {
    if (!s->stmt)
        return;
    LAM_ASSERT(s->stmt->stream == s);
    s->stmt->stream = NULL;
    s->stmt = NULL;
}

void arrow_stream_detach(lam_stmt *stmt) {
    struct arrow_stream *s = stmt->stream;
    if (!s)
        return;
    let_go(s);
    if (s->ended || s->failed)
        return;
    s->error = (struct lam_error){0};
    s->failed = note_error(
        s, ERR(&s->error, LAM_INVALID, "the statement was reset while an Arrow stream read it"));
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
    struct arrow_stream *s = stream->private_data;
    *out = (struct ArrowSchema){0};
    s->last_error = NULL;
    if (struct_schema(s, out))
        return 0;
    s->last_error = "out of memory";
    return ENOMEM;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
    struct arrow_stream *s = stream->private_data;
    struct rowset rows;
    *out = (struct ArrowArray){0};
    s->last_error = s->failed ? s->text : NULL;
    if (s->failed || s->ended)
        return s->failed;
    s->error = (struct lam_error){0};
    enum lam_code rc = db_check_process(s->stmt->session->db, &s->error);
    if (rc != LAM_OK) {
        s->failed = note_error(s, rc);
        s->last_error = s->text;
        return s->failed;
    }
    do
        rc = stmt_next_rows(s->stmt, &rows, &s->error);
    while (rc == LAM_OK && rows.batch && rows.count == 0);
    if (rc == LAM_OK && rows.batch)
        rc = batch_array(s, &rows, out, &s->error);
    if (out->release)
        return 0;
    stmt_end(s->stmt);
    s->ended = rc == LAM_OK;
    if (rc != LAM_OK) {
        s->failed = note_error(s, rc);
        s->last_error = s->text;
    }
    return s->failed;
}

static const char *get_last_error(struct ArrowArrayStream *stream) {
    struct arrow_stream *s = stream->private_data;
    return s->last_error;
}

static void free_stream(struct arrow_stream *s) {
    for (uint32_t i = 0; s->columns && i < s->column_count; i++)
        mem_free(s->columns[i].name);
    mem_free(s->columns);
    mem_free(s);
}

static void release_stream(struct ArrowArrayStream *stream) {
    struct arrow_stream *s = stream->private_data;
    lam_stmt *stmt = s->stmt;
    stream->release = NULL;
    if (stmt && db_is_foreign(stmt->session->db))
        return;
    let_go(s);
    lam_reset(stmt);
    free_stream(s);
}

static enum lam_code copy_columns(struct arrow_stream *s, const lam_stmt *stmt,
                                  struct lam_error *err) {
    s->columns = mem_calloc(stmt->column_count, sizeof *s->columns);
    if (!s->columns)
        return mem_fail(err, stmt->column_count * sizeof *s->columns);
    s->column_count = stmt->column_count;
    for (uint32_t i = 0; i < s->column_count; i++) {
        struct stream_column *c = &s->columns[i];
        c->type = stmt->columns[i].type;
        if (c->type.type == LAM_TYPE_DECIMAL && c->type.precision == 0)
            c->type.precision = DECIMAL_PRECISION_MAX;
        c->name = mem_strdup(stmt->columns[i].name);
        if (!c->name)
            return mem_fail(err, strlen(stmt->columns[i].name));
    }
    return LAM_OK;
}

static enum lam_code check_ready(const lam_stmt *stmt, struct lam_error *err) {
    if (!stmt)
        return ERR(err, LAM_INVALID, "query_arrow: statement is NULL");
    TRY(db_check_process(stmt->session->db, err));
    if (stmt->stream)
        return ERR(err, LAM_INVALID,
                   "query_arrow: another Arrow stream reads the statement: release it first");
    if (stmt->state != STMT_READY)
        return ERR(err, LAM_INVALID, "query_arrow: the statement %s: lam_reset first",
                   stmt->state == STMT_RUNNING ? "is running" : "has ended");
    if (stmt->column_count == 0)
        return ERR(err, LAM_INVALID, "query_arrow: %s gives no rows", lam_command_tag(stmt));
    return LAM_OK;
}

enum lam_code lam_query_arrow(lam_stmt *stmt, struct ArrowArrayStream *out, struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    if (!out)
        return ERR(err, LAM_INVALID, "query_arrow: out is NULL");
    *out = (struct ArrowArrayStream){0};
    TRY(check_ready(stmt, err));
    struct arrow_stream *s = mem_calloc(1, sizeof *s);
    if (!s)
        return mem_fail(err, sizeof *s);
    /* Starting may plan again: only then are the columns those of this run. */
    TRY_GOTO(stmt_start(stmt, err));
    TRY_GOTO(copy_columns(s, stmt, err));
    s->stmt = stmt;
    stmt->stream = s;
    *out = (struct ArrowArrayStream){.get_schema = get_schema,
                                     .get_next = get_next,
                                     .get_last_error = get_last_error,
                                     .release = release_stream,
                                     .private_data = s};
    return LAM_OK;
out:
    lam_reset(stmt);
    free_stream(s);
    return rc;
}
