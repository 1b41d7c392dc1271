/* SPDX-License-Identifier: Apache-2.0
 *
 * Descriptions of the embedder's entities: checked, copied, turned into an entity definition with
 * an extractor for each index, and into text, which is stored to tell a changed description. */
#include <stdio.h>

#include "base/assert.h"
#include "catalog/entity_api.h"

bool entity_name_valid(const char *name) {
    size_t size = name ? strlen(name) : 0;
    if (size == 0 || size > LAM_ENTITY_NAME_MAX || name[0] < 'a' || name[0] > 'z')
        return false;
    for (size_t i = 1; i < size; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return true;
}

static enum lam_code check_name(const char *entity, const char *what, const char *name,
                                struct lam_error *err) {
    if (entity_name_valid(name))
        return LAM_OK;
    return ERR(err, LAM_INVALID,
               "entity \"%.80s\": the name of %s is \"%.80s\": it must be [a-z][a-z0-9_]*, at most "
               "%d bytes",
               entity, what, name ? name : "(null)", LAM_ENTITY_NAME_MAX);
}

static int find_field(const struct entity_def *def, const char *name) {
    for (uint32_t i = 0; name && i < def->field_count; i++)
        if (strcmp(def->fields[i].name, name) == 0)
            return (int)i;
    return -1;
}

static enum lam_code copy_field(struct lam_entity *e, const struct lam_entity_field *from,
                                struct entity_field *to, struct lam_error *err) {
    const char *entity = e->def.name;
    TRY(check_name(entity, "a field", from->name, err));
    if (find_field(&e->def, from->name) >= 0)
        return ERR(err, LAM_INVALID, "entity \"%s\": two fields \"%s\"", entity, from->name);
    struct coltype type = {.type = from->type, .precision = from->precision, .scale = from->scale};
    if (from->type <= LAM_TYPE_NULL || from->type > LAM_TYPE_JSON || !coltype_valid(type))
        return ERR(err, LAM_INVALID,
                   "entity \"%s\": field \"%s\" has type %d with precision %u and scale %u, which "
                   "is none",
                   entity, from->name, (int)from->type, from->precision, from->scale);
    if (from->key && from->nullable)
        return ERR(err, LAM_INVALID,
                   "entity \"%s\": field \"%s\" is part of the key: it may not be nullable", entity,
                   from->name);
    *to = (struct entity_field){.name = arena_strdup(&e->memory, from->name),
                                .type = from->type,
                                .precision = from->precision,
                                .scale = from->scale,
                                .nullable = from->nullable,
                                .key = from->key};
    return to->name ? LAM_OK : mem_fail(err, strlen(from->name) + 1);
}

static enum lam_code copy_fields(struct lam_entity *e, const struct lam_entity_desc *desc,
                                 struct lam_error *err) {
    if (desc->field_count > LAM_ENTITY_FIELDS_MAX)
        return ERR(err, LAM_LIMIT, "entity \"%s\": %u fields, the limit is %d", e->def.name,
                   desc->field_count, LAM_ENTITY_FIELDS_MAX);
    if (desc->field_count && !desc->fields)
        return ERR(err, LAM_INVALID, "entity \"%s\": fields is NULL", e->def.name);
    struct entity_field *fields =
        arena_calloc(&e->memory, (size_t)desc->field_count + 1, sizeof *fields);
    if (!fields)
        return mem_fail(err, desc->field_count * sizeof *fields);
    e->def.fields = fields;
    for (uint32_t i = 0; i < desc->field_count; i++) {
        TRY(copy_field(e, &desc->fields[i], &fields[i], err));
        e->def.field_count = i + 1;
    }
    if (record_key_count(&e->def) == 0)
        return ERR(err, LAM_INVALID, "entity \"%s\": no field is part of the key", e->def.name);
    return LAM_OK;
}

/* --- indexes --- */

static enum lam_code wanted(const struct index_plan *plan, const struct value *record,
                            bool *wanted_out, struct lam_error *err) {
    struct arena arena = {0};
    struct lam_cell *cells;
    enum lam_code rc = LAM_OK;
    TRY_GOTO(cells_of_record(plan->def, record, &arena, &cells, err));
    *wanted_out = plan->wants(plan->arg, cells);
out:
    arena_fini(&arena);
    return rc;
}

static enum lam_code extract(const void *context, const struct value *record, struct buf *key_out,
                             bool *none_out, struct lam_error *err) {
    const struct index_plan *plan = context;
    if (plan->wants) {
        bool in = false;
        TRY(wanted(plan, record, &in, err));
        *none_out = !in;
        if (!in)
            return LAM_OK;
    }
    bool any_null = false;
    for (uint32_t i = 0; i < plan->part_count; i++) {
        const struct index_part *part = &plan->parts[i];
        any_null |= record[part->field].is_null;
        TRY(key_put_value(key_out, &record[part->field], plan->def->fields[part->field].nullable,
                          part->descending, err));
    }
    /* A NULL is like no other: the record's own key keeps such entries apart. */
    return plan->unique && any_null ? record_key(plan->def, record, key_out, err) : LAM_OK;
}

static enum lam_code copy_parts(struct lam_entity *e, const struct lam_entity_index *from,
                                struct index_plan *plan, struct lam_error *err) {
    const char *entity = e->def.name;
    if (from->part_count == 0 || !from->parts)
        return ERR(err, LAM_INVALID, "entity \"%s\": index \"%s\" has no parts", entity,
                   from->name);
    if (from->part_count > e->def.field_count)
        return ERR(err, LAM_INVALID, "entity \"%s\": index \"%s\" has more parts than fields",
                   entity, from->name);
    plan->parts = arena_calloc(&e->memory, from->part_count, sizeof *plan->parts);
    if (!plan->parts)
        return mem_fail(err, from->part_count * sizeof *plan->parts);
    for (uint32_t i = 0; i < from->part_count; i++) {
        const char *name = from->parts[i].field;
        int field = find_field(&e->def, name);
        if (field < 0)
            return ERR(err, LAM_INVALID, "entity \"%s\": index \"%s\": no field \"%.80s\"", entity,
                       from->name, name ? name : "(null)");
        for (uint32_t k = 0; k < i; k++)
            if (plan->parts[k].field == (uint32_t)field)
                return ERR(err, LAM_INVALID, "entity \"%s\": index \"%s\": field \"%s\" twice",
                           entity, from->name, name);
        plan->parts[i] = (struct index_part){(uint32_t)field, from->parts[i].descending};
    }
    plan->part_count = from->part_count;
    return LAM_OK;
}

bool entity_wants_unknown(void *arg, const struct lam_cell *record) {
    (void)arg;
    (void)record;
    return true;
}

static enum lam_code copy_index(struct lam_entity *e, const struct lam_entity_index *from,
                                struct entity_index *to, struct index_plan *plan,
                                struct lam_error *err) {
    TRY(check_name(e->def.name, "an index", from->name, err));
    for (uint32_t i = 0; i < e->def.index_count; i++)
        if (strcmp(e->def.indexes[i].name, from->name) == 0)
            return ERR(err, LAM_INVALID, "entity \"%s\": two indexes \"%s\"", e->def.name,
                       from->name);
    TRY(copy_parts(e, from, plan, err));
    plan->def = &e->def;
    plan->unique = from->unique;
    plan->wants = from->wants;
    plan->arg = from->arg;
    *to = (struct entity_index){.name = arena_strdup(&e->memory, from->name),
                                .unique = from->unique,
                                .extract = extract,
                                .context = plan,
                                .is_guess = from->wants == entity_wants_unknown};
    return to->name ? LAM_OK : mem_fail(err, strlen(from->name) + 1);
}

static enum lam_code copy_indexes(struct lam_entity *e, const struct lam_entity_desc *desc,
                                  struct lam_error *err) {
    if (desc->index_count > LAM_ENTITY_INDEXES_MAX)
        return ERR(err, LAM_LIMIT, "entity \"%s\": %u indexes, the limit is %d", e->def.name,
                   desc->index_count, LAM_ENTITY_INDEXES_MAX);
    if (desc->index_count && !desc->indexes)
        return ERR(err, LAM_INVALID, "entity \"%s\": indexes is NULL", e->def.name);
    struct entity_index *indexes =
        arena_calloc(&e->memory, (size_t)desc->index_count + 1, sizeof *indexes);
    e->plans = arena_calloc(&e->memory, (size_t)desc->index_count + 1, sizeof *e->plans);
    if (!indexes || !e->plans)
        return mem_fail(err, desc->index_count * sizeof *e->plans);
    e->def.indexes = indexes;
    for (uint32_t i = 0; i < desc->index_count; i++) {
        TRY(copy_index(e, &desc->indexes[i], &indexes[i], &e->plans[i], err));
        e->def.index_count = i + 1;
    }
    return LAM_OK;
}

enum lam_code entity_describe(struct lam_entity *e, const struct lam_entity_desc *desc,
                              struct lam_error *err) {
    TRY(check_name(desc->name ? desc->name : "", "it", desc->name, err));
    e->def.prefix = ENTITY_PREFIX;
    e->def.name = arena_strdup(&e->memory, desc->name);
    if (!e->def.name)
        return mem_fail(err, strlen(desc->name) + 1);
    TRY(copy_fields(e, desc, err));
    return copy_indexes(e, desc, err);
}

/* --- text --- */

enum lam_code entity_description(const struct lam_entity *e, struct buf *out,
                                 struct lam_error *err) {
    for (uint32_t i = 0; i < e->def.field_count; i++) {
        const struct entity_field *f = &e->def.fields[i];
        char type[32];
        coltype_name(entity_field_type(f), type);
        TRY(buf_append_format(out, err, "field %s %s%s%s\n", f->name, type,
                              f->nullable ? "" : " NOT NULL", f->key ? " KEY" : ""));
    }
    for (uint32_t i = 0; i < e->def.index_count; i++) {
        const struct index_plan *plan = &e->plans[i];
        TRY(buf_append_format(out, err, "%s%sindex %s (", plan->unique ? "unique " : "",
                              plan->wants ? "partial " : "", e->def.indexes[i].name));
        for (uint32_t k = 0; k < plan->part_count; k++)
            TRY(buf_append_format(out, err, "%s%s%s", k ? ", " : "",
                                  e->def.fields[plan->parts[k].field].name,
                                  plan->parts[k].descending ? " DESC" : ""));
        TRY(buf_append_str(out, ")\n", err));
    }
    return LAM_OK;
}

/* Takes the first line off a text, without its end; "nothing" where there is none. */
static struct lam_slice take_line(struct lam_slice *text) {
    const uint8_t *end = text->size ? memchr(text->data, '\n', text->size) : NULL;
    if (!end)
        return lam_slice_str("nothing");
    struct lam_slice line = lam_slice_of(text->data, (size_t)(end - text->data));
    *text = lam_slice_of(end + 1, text->size - line.size - 1);
    return line;
}

enum lam_code entity_compare(const char *name, struct lam_slice given, struct lam_slice stored,
                             struct lam_error *err) {
    /* Without an end the last line would never be taken off. */
    LAM_ASSERT(given.size && given.data[given.size - 1] == '\n');
    LAM_ASSERT(stored.size && stored.data[stored.size - 1] == '\n');
    if (slice_eq(given, stored))
        return LAM_OK;
    struct lam_slice here, there;
    do {
        here = take_line(&given);
        there = take_line(&stored);
    } while (slice_eq(here, there) && (given.size || stored.size));
    return ERR(err, LAM_INVALID,
               "entity \"%s\": the description differs from the one it was made with: \"%.*s\" "
               "here, \"%.*s\" there",
               name, (int)here.size, (const char *)here.data, (int)there.size,
               (const char *)there.data);
}

/* Takes the first word off a line. */
static char *take_word(char **line) {
    char *word = *line, *end = strchr(word, ' ');
    *line = end ? end + 1 : word + strlen(word);
    if (end)
        *end = 0;
    return word;
}

static void parse_field(char *line, struct lam_entity_field *out) {
    out->name = take_word(&line);
    const char *type = take_word(&line);
    unsigned precision = 0, scale = 0;
    for (int t = LAM_TYPE_BOOLEAN; t <= LAM_TYPE_JSON; t++) {
        char name[32];
        coltype_name(coltype_of((enum lam_type)t), name);
        if (strncmp(type, name, strlen(name)) == 0 && strcspn(type, "(") == strlen(name))
            out->type = (enum lam_type)t;
    }
    if (out->type == LAM_TYPE_DECIMAL)
        sscanf(type, "DECIMAL(%3u,%3u)", &precision, &scale);
    out->precision = (uint8_t)precision;
    out->scale = (uint8_t)scale;
    out->nullable = strncmp(line, "NOT NULL", 8) != 0;
    out->key = strstr(line, "KEY") != NULL;
}

/* `line` goes on behind "index". */
static bool parse_index(char *line, struct arena *arena, struct lam_entity_index *out) {
    struct lam_entity_part *parts = arena_calloc(arena, LAM_ENTITY_FIELDS_MAX, sizeof *parts);
    out->name = take_word(&line);
    out->parts = parts;
    while (parts && *line && out->part_count < LAM_ENTITY_FIELDS_MAX) {
        char *part = line + (*line == '(');
        char *end = part + strcspn(part, ",)");
        line = end + (end[0] == ',' && end[1] == ' ' ? 2 : strlen(end));
        *end = 0;
        parts[out->part_count].field = take_word(&part);
        parts[out->part_count++].descending = *part != 0;
    }
    return parts != NULL;
}

enum lam_code entity_description_parse(const char *name, struct lam_slice text, struct arena *arena,
                                       struct lam_entity_desc *out, struct lam_error *err) {
    struct lam_entity_field *fields = arena_calloc(arena, LAM_ENTITY_FIELDS_MAX, sizeof *fields);
    struct lam_entity_index *indexes = arena_calloc(arena, LAM_ENTITY_INDEXES_MAX, sizeof *indexes);
    *out = (struct lam_entity_desc){.name = name, .fields = fields, .indexes = indexes};
    bool good = fields && indexes;
    while (good && text.size) {
        char *line = arena_strdup_slice(arena, take_line(&text));
        char *word = line ? take_word(&line) : NULL;
        if (word && strcmp(word, "field") == 0 && out->field_count < LAM_ENTITY_FIELDS_MAX) {
            parse_field(line, &fields[out->field_count++]);
        } else if (word && out->index_count < LAM_ENTITY_INDEXES_MAX) {
            struct lam_entity_index *index = &indexes[out->index_count++];
            for (; strcmp(word, "unique") == 0 || strcmp(word, "partial") == 0;
                 word = take_word(&line)) {
                index->unique |= *word == 'u';
                index->wants = *word == 'p' ? entity_wants_unknown : index->wants;
            }
            good = parse_index(line, arena, index);
        } else {
            good = word != NULL;
        }
    }
    return good ? LAM_OK : mem_fail(err, text.size);
}
