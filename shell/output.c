/* SPDX-License-Identifier: Apache-2.0
 *
 * The four output forms. */
#include "shell/output.h"

#include <stdio.h>
#include <stdlib.h>

#include "shell/value.h"

void output_begin(struct output *o, enum output_mode mode, lam_stmt *stmt) {
    *o = (struct output){.mode = mode, .stmt = stmt};
}

static bool put(struct text *line) {
    fwrite(line->data, 1, line->size, stdout);
    line->size = 0;
    return !ferror(stdout);
}

/* --- table --- */

static void hold_cell(struct output *o, size_t width) {
    if (o->cell_count == o->cell_capacity) {
        o->cell_capacity = o->cell_capacity ? o->cell_capacity * 2 : 64;
        o->cell_ends = memory_resize(o->cell_ends, o->cell_capacity * sizeof *o->cell_ends);
        o->cell_width = memory_resize(o->cell_width, o->cell_capacity * sizeof *o->cell_width);
    }
    o->cell_ends[o->cell_count] = o->cells.size;
    o->cell_width[o->cell_count++] = width;
}

static void hold_row(struct output *o) {
    for (uint32_t c = 0; c < o->columns; c++) {
        struct lam_slice s = lam_slice_str("NULL");
        if (!lam_column_is_null(o->stmt, c))
            s = lam_column_text(o->stmt, c);
        hold_cell(o, text_add_visible(&o->cells, (const char *)s.data, s.size));
    }
}

static void add_cell(struct output *o, uint32_t column, const char *text, size_t size,
                     size_t width) {
    bool right = type_is_number(lam_column_type(o->stmt, column));
    size_t pad = width < o->widths[column] ? o->widths[column] - width : 0;
    if (column > 0)
        text_add_str(&o->line, " |");
    text_add_char(&o->line, ' ');
    if (right)
        text_fill(&o->line, ' ', pad);
    text_add(&o->line, text, size);
    if (!right && column + 1 < o->columns)
        text_fill(&o->line, ' ', pad);
    if (column + 1 == o->columns)
        text_add_char(&o->line, '\n');
}

static void table_header(struct output *o) {
    struct text name = {0};
    for (uint32_t c = 0; c < o->columns; c++) {
        const char *raw = lam_column_name(o->stmt, c);
        text_reset(&name);
        size_t width = text_add_visible(&name, raw, strlen(raw));
        add_cell(o, c, name.data, name.size, width);
    }
    text_fini(&name);
    for (uint32_t c = 0; c < o->columns; c++) {
        if (c > 0)
            text_add_char(&o->line, '+');
        text_fill(&o->line, '-', o->widths[c] + (c + 1 < o->columns ? 2 : 1));
    }
    text_add_char(&o->line, '\n');
}

static void table_widths(struct output *o) {
    struct text name = {0};
    if (!o->widths) {
        o->widths = memory_resize(NULL, (o->columns + 1) * sizeof *o->widths);
        for (uint32_t c = 0; c < o->columns; c++) {
            const char *raw = lam_column_name(o->stmt, c);
            o->widths[c] = text_add_visible(&name, raw, strlen(raw));
        }
    }
    for (size_t i = 0; i < o->cell_count; i++) {
        size_t *width = &o->widths[i % o->columns];
        *width = o->cell_width[i] > *width ? o->cell_width[i] : *width;
    }
    text_fini(&name);
}

/* Prints the rows held back. */
static bool table_flush(struct output *o) {
    table_widths(o);
    if (!o->started)
        table_header(o);
    o->started = true;
    size_t from = 0;
    for (size_t i = 0; i < o->cell_count; i++) {
        add_cell(o, (uint32_t)(i % o->columns), o->cells.data + from, o->cell_ends[i] - from,
                 o->cell_width[i]);
        from = o->cell_ends[i];
        if (o->line.size > 1u << 16)
            put(&o->line);
    }
    o->cell_count = 0;
    o->cells.size = 0;
    return put(&o->line);
}

static bool table_row(struct output *o) {
    hold_row(o);
    if (o->cell_count < (size_t)TABLE_ROWS * o->columns && o->cells.size < TABLE_BYTES)
        return true;
    return table_flush(o);
}

/* --- csv --- */

static void add_csv(struct text *line, const char *data, size_t size) {
    bool quote = size == 0;
    for (size_t i = 0; i < size && !quote; i++)
        quote = data[i] == ',' || data[i] == '"' || data[i] == '\n' || data[i] == '\r';
    if (!quote) {
        text_add(line, data, size);
        return;
    }
    text_add_char(line, '"');
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '"')
            text_add_char(line, '"');
        text_add_char(line, data[i]);
    }
    text_add_char(line, '"');
}

static void csv_header(struct output *o) {
    for (uint32_t c = 0; c < o->columns; c++) {
        const char *name = lam_column_name(o->stmt, c);
        if (c > 0)
            text_add_char(&o->line, ',');
        add_csv(&o->line, name, strlen(name));
    }
    text_add_char(&o->line, '\n');
}

static void csv_row(struct output *o) {
    for (uint32_t c = 0; c < o->columns; c++) {
        if (c > 0)
            text_add_char(&o->line, ',');
        if (lam_column_is_null(o->stmt, c))
            continue;
        struct lam_slice s = lam_column_text(o->stmt, c);
        add_csv(&o->line, (const char *)s.data, s.size);
    }
    text_add_char(&o->line, '\n');
}

/* --- json, line --- */

static void json_row(struct output *o) {
    text_add_str(&o->line, o->rows == 0 ? "[\n " : ",\n ");
    for (uint32_t c = 0; c < o->columns; c++) {
        const char *name = lam_column_name(o->stmt, c);
        text_add_char(&o->line, c == 0 ? '{' : ',');
        json_add_string(&o->line, name, strlen(name));
        text_add_char(&o->line, ':');
        value_add_json(&o->line, o->stmt, c);
    }
    text_add_char(&o->line, '}');
}

static void line_row(struct output *o) {
    size_t widest = 0;
    table_widths(o);
    for (uint32_t c = 0; c < o->columns; c++)
        widest = o->widths[c] > widest ? o->widths[c] : widest;
    if (o->rows > 0)
        text_add_char(&o->line, '\n');
    for (uint32_t c = 0; c < o->columns; c++) {
        const char *name = lam_column_name(o->stmt, c);
        text_fill(&o->line, ' ', widest - o->widths[c]);
        text_add_visible(&o->line, name, strlen(name));
        text_add_str(&o->line, " = ");
        struct lam_slice s = lam_slice_str("NULL");
        if (!lam_column_is_null(o->stmt, c))
            s = lam_column_text(o->stmt, c);
        text_add_visible(&o->line, (const char *)s.data, s.size);
        text_add_char(&o->line, '\n');
    }
}

/* --- all --- */

bool output_row(struct output *o) {
    if (o->rows == 0) /* a statement may be planned anew when it starts */
        o->columns = lam_column_count(o->stmt);
    bool ok = true;
    if (o->mode == OUTPUT_TABLE) {
        ok = table_row(o);
    } else {
        if (o->mode == OUTPUT_CSV && o->rows == 0)
            csv_header(o);
        if (o->mode == OUTPUT_CSV)
            csv_row(o);
        else if (o->mode == OUTPUT_JSON)
            json_row(o);
        else
            line_row(o);
        ok = put(&o->line);
    }
    o->rows++;
    return ok;
}

static void end_rows(struct output *o) {
    o->columns = lam_column_count(o->stmt);
    if (o->mode == OUTPUT_TABLE) {
        table_flush(o);
        text_add_format(&o->line, "(%llu row%s)\n", (unsigned long long)o->rows,
                        o->rows == 1 ? "" : "s");
    } else if (o->mode == OUTPUT_CSV && o->rows == 0) {
        csv_header(o);
    } else if (o->mode == OUTPUT_JSON) {
        text_add_str(&o->line, o->rows == 0 ? "[]\n" : "\n]\n");
    }
}

/* "INSERT 3": what was done, where people look. */
static void add_tag(struct output *o) {
    const char *tag = lam_command_tag(o->stmt);
    bool counts =
        strcmp(tag, "INSERT") == 0 || strcmp(tag, "UPDATE") == 0 || strcmp(tag, "DELETE") == 0;
    if (counts)
        text_add_format(&o->line, "%s %llu\n", tag, (unsigned long long)lam_changes(o->stmt));
    else if (lam_column_count(o->stmt) == 0)
        text_add_format(&o->line, "%s\n", tag);
}

void output_end(struct output *o, bool failed) {
    if (failed && o->mode == OUTPUT_JSON && o->rows > 0)
        text_add_str(&o->line, "\n]\n");
    if (!failed && lam_column_count(o->stmt) > 0)
        end_rows(o);
    if (!failed && o->mode == OUTPUT_TABLE)
        add_tag(o);
    if (o->line.size > 0)
        put(&o->line);
    text_fini(&o->line);
    text_fini(&o->cells);
    free(o->cell_ends);
    free(o->cell_width);
    free(o->widths);
}
