/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON beside the cold files, for people and foreign readers: the table's schema versions in its
 * folder, and in each folder with segments a manifest of them. Nothing here reads it back. */
#include <stdio.h>

#include "flush/cold_set.h"
#include "flush/path.h"

static enum lam_code put_string(struct buf *out, struct lam_slice s, struct lam_error *err) {
    TRY(buf_append_u8(out, '"', err));
    for (size_t i = 0; i < s.size; i++) {
        uint8_t b = s.data[i];
        if (b == '"' || b == '\\')
            TRY(buf_append_format(out, err, "\\%c", b));
        else if (b < 0x20)
            TRY(buf_append_format(out, err, "\\u%04x", b));
        else
            TRY(buf_append_u8(out, b, err));
    }
    return buf_append_u8(out, '"', err);
}

static enum lam_code put_hex(struct buf *out, struct lam_slice s, struct lam_error *err) {
    TRY(buf_append_u8(out, '"', err));
    for (size_t i = 0; i < s.size; i++)
        TRY(buf_append_format(out, err, "%02x", s.data[i]));
    return buf_append_u8(out, '"', err);
}

static enum lam_code put_head(struct buf *out, const struct provider *p, struct lam_error *err) {
    return buf_append_format(out, err,
                             "{\n  \"table_id\": %llu,\n  \"namespace\": \"%s\",\n  \"table\": "
                             "\"%s\",\n  \"table_type\": \"%s\",\n",
                             (unsigned long long)p->table.number, p->namespace_name, p->name,
                             table_kind_name(p->kind));
}

static enum lam_code schema_json(const struct provider *p, const struct schema *s, struct buf *out,
                                 struct lam_error *err) {
    buf_reset(out);
    TRY(put_head(out, p, err));
    TRY(buf_append_format(out, err, "  \"schema_version\": %u,\n  \"columns\": ", s->version));
    TRY(schema_to_json(s, out, err));
    return buf_append_str(out, "\n}\n", err);
}

static enum lam_code put_bound(struct buf *out, const char *name, const struct segment_column *c,
                               struct lam_slice encoded, bool exact, struct lam_error *err) {
    OWNED(arena_fini) struct arena arena = {0};
    OWNED(buf_fini) struct buf text = {0};
    struct value v;
    /* A text bound that was cut need not be text any more: such bounds are shown as hex. */
    bool variable = coltype_is_variable(c->type.type);
    struct coltype type =
        variable
            ? coltype_of(exact && c->type.type != LAM_TYPE_BYTES ? LAM_TYPE_TEXT : LAM_TYPE_BYTES)
            : c->type;
    struct cursor cursor = cursor_of(encoded);
    TRY(key_get_value(&cursor, type, false, false, &arena, &v, err));
    TRY(value_format(&v, &text, err));
    TRY(buf_append_format(out, err, ", \"%s\": ", name));
    return put_string(out, buf_slice(&text), err);
}

static enum lam_code put_columns(struct buf *out, const struct segment *s, struct lam_error *err) {
    TRY(buf_append_str(out, "\"columns\": [", err));
    for (uint32_t i = 0; i < s->column_count; i++) {
        const struct segment_column *c = &s->columns[i];
        TRY(buf_append_format(out, err, "%s{\"id\": %u", i ? ", " : "", c->column_id));
        if (c->has_null_count)
            TRY(buf_append_format(out, err, ", \"null_count\": %llu",
                                  (unsigned long long)c->null_count));
        if (c->has_bounds) {
            TRY(put_bound(out, "min", c, c->min, c->min_exact, err));
            TRY(put_bound(out, "max", c, c->max, c->max_exact, err));
        }
        TRY(buf_append_u8(out, '}', err));
    }
    return buf_append_u8(out, ']', err);
}

static enum lam_code put_segment(struct buf *out, const struct segment *s, struct lam_error *err) {
    size_t name = s->path.size;
    while (name > 0 && s->path.data[name - 1] != '/')
        name--;
    TRY(buf_append_format(out, err,
                          "    {\"id\": %llu, \"file\": ", (unsigned long long)s->number));
    TRY(put_string(out, lam_slice_of(s->path.data + name, s->path.size - name), err));
    TRY(buf_append_format(
        out, err,
        ", \"row_count\": %llu, \"deleted_rows\": %llu, \"dead_rows\": %llu, \"size_bytes\": %llu, "
        "\"schema_version\": %u, \"min_seq\": %lld, \"max_seq\": %lld, \"created_at_us\": %lld, "
        "\"first_key\": ",
        (unsigned long long)s->rows, (unsigned long long)s->deleted_rows,
        (unsigned long long)s->dead_rows, (unsigned long long)s->bytes, s->schema_version,
        (long long)s->min_seq, (long long)s->max_seq, (long long)s->created_us));
    TRY(put_hex(out, s->first_key, err));
    TRY(buf_append_str(out, ", \"last_key\": ", err));
    TRY(put_hex(out, s->last_key, err));
    TRY(buf_append_str(out, ", ", err));
    TRY(put_columns(out, s, err));
    return buf_append_u8(out, '}', err);
}

static enum lam_code manifest_json(const struct provider *p, struct lam_slice user,
                                   const struct segment_set *set, struct buf *out,
                                   struct lam_error *err) {
    buf_reset(out);
    TRY(put_head(out, p, err));
    TRY(buf_append_str(out, "  \"user_id\": ", err));
    TRY(user.size ? put_string(out, user, err) : buf_append_str(out, "null", err));
    TRY(buf_append_str(out, ",\n  \"segments\": [\n", err));
    for (size_t i = 0; i < set->count; i++) {
        TRY(put_segment(out, &set->items[i], err));
        TRY(buf_append_str(out, i + 1 < set->count ? ",\n" : "\n", err));
    }
    return buf_append_str(out, "  ]\n}\n", err);
}

/* Where a file of the export goes, and its content. */
struct export {
    struct flush *flush;
    const char *base;
    const char *template_text;
    struct buf path, content;
};

static enum lam_code write_json(struct export *e, struct lam_slice directory, const char *name,
                                struct lam_error *err) {
    const char *text;
    buf_reset(&e->path);
    TRY(path_in_base(e->flush->directory, e->base, directory, &e->path, err));
    TRY(buf_append_format(&e->path, err, "/%s", name));
    TRY(buf_cstr(&e->path, &text, err));
    return env_write_file(e->flush->env, text, buf_slice(&e->content), err);
}

static enum lam_code export_schemas(struct export *e, const struct provider *p,
                                    struct lam_error *err) {
    OWNED(buf_fini) struct buf root = {0}, path = {0};
    char name[40];
    enum lam_path_kind kind;
    const char *text;
    TRY(path_expand_root(e->template_text, p, &root, NULL, err));
    for (uint32_t i = 0; i < p->schema_count; i++) {
        snprintf(name, sizeof name, "schema_v%u.json", p->schemas[i]->version);
        buf_reset(&path);
        TRY(path_in_base(e->flush->directory, e->base, buf_slice(&root), &path, err));
        TRY(buf_append_format(&path, err, "/%s", name));
        TRY(buf_cstr(&path, &text, err));
        TRY(env_path_kind(e->flush->env, text, &kind, err));
        bool latest = i + 1 == p->schema_count;
        if (kind == LAM_PATH_FILE && !latest)
            continue; /* a version never changes */
        TRY(schema_json(p, p->schemas[i], &e->content, err));
        TRY(write_json(e, buf_slice(&root), name, err));
        if (latest)
            TRY(write_json(e, buf_slice(&root), "current.json", err));
    }
    return LAM_OK;
}

static enum lam_code export_manifest(struct export *e, struct provider *p,
                                     const lam_snapshot *snapshot, struct lam_slice user,
                                     struct lam_error *err) {
    OWNED(buf_fini) struct buf directory = {0};
    OWNED(segment_set_unref_at) struct segment_set *set = NULL;
    TRY(segment_set_load(e->flush, p, snapshot, user, &set, err));
    TRY(path_expand(e->template_text, p, user, &directory, err));
    TRY(manifest_json(p, user, set, &e->content, err));
    return write_json(e, buf_slice(&directory), "manifest.json", err);
}

enum lam_code export_json(struct flush *f, struct provider *p, const struct lam_slice *users,
                          size_t user_count, struct lam_error *err) {
    struct storage_place place = {0};
    struct arena arena = {0};
    struct export e = {.flush = f};
    lam_snapshot *snapshot = NULL;
    enum lam_code rc = LAM_OK;
    TRY_GOTO(storage_place_get(f, lam_slice_str(p->options.storage), &arena, &place, err));
    e.base = place.base;
    e.template_text =
        path_template(p, p->kind == TABLE_USER ? place.user_template : place.shared_template);
    TRY_GOTO(lam_snapshot_new(f->db, &snapshot, err));
    for (size_t i = 0; i < user_count; i++)
        TRY_GOTO(export_manifest(&e, p, snapshot, users[i], err));
    rc = export_schemas(&e, p, err);
out:
    lam_snapshot_free(snapshot);
    buf_fini(&e.path);
    buf_fini(&e.content);
    arena_fini(&arena);
    return rc;
}
