/* SPDX-License-Identifier: Apache-2.0
 *
 * Forged contents of a sound engine: records of the catalog, rows, index entries, segment entries
 * and dead rows are changed through the engine's own writes, so that every checksum holds; cold
 * files are changed together with what their segment entry says of them. Then SQL goes over it:
 * with answers, in bounded time and memory. */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/hash.h"
#include "flush/segment.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"

#define PARTITIONS_MAX 40
#define RECORDS_MAX    64
#define EDITS_MAX      12

struct record {
    struct buf key, value;
};

/* A partition's records when the edits begin. */
struct part {
    char name[LAM_PARTITION_NAME_MAX + 1];
    struct record records[RECORDS_MAX];
    size_t count;
};
static struct part parts[PARTITIONS_MAX];
static size_t part_count;

/* A cold file of the image. */
struct cold {
    char path[200];
    struct buf bytes;
};
static struct cold colds[32];
static size_t cold_count;

/* --- the image ------------------------------------------------------------------------------- */

static bool take_name(void *arg, const char *name) {
    (void)arg;
    REQUIRE(part_count < PARTITIONS_MAX);
    snprintf(parts[part_count++].name, sizeof parts[0].name, "%s", name);
    return true;
}

static void load_part(lam_db *db, struct part *p) {
    lam_partition *handle;
    lam_iter *it;
    fuzz_ok(lam_partition_open(db, p->name, &handle, NULL), NULL);
    fuzz_ok(lam_iter_new(db, NULL, handle, &it, NULL), NULL);
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
        REQUIRE(p->count < RECORDS_MAX);
        struct record *r = &p->records[p->count++];
        fuzz_put(&r->key, lam_iter_key(it).data, lam_iter_key(it).size);
        fuzz_put(&r->value, lam_iter_value(it).data, lam_iter_value(it).size);
    }
    lam_iter_free(it);
    lam_partition_release(handle);
}

struct listing {
    lam_env *env;
    char dir[200];
};

static bool list_cold(void *arg, const char *name) {
    struct listing *l = arg, below = {.env = l->env};
    enum lam_path_kind kind;
    int n = snprintf(below.dir, sizeof below.dir, "%.120s/%.60s", l->dir, name);
    fuzz_ok(env_path_kind(l->env, below.dir, &kind, NULL), NULL);
    if (kind == LAM_PATH_DIRECTORY) {
        fuzz_ok(env_dir_list(l->env, below.dir, list_cold, &below, NULL), NULL);
    } else if (n > 8 && strcmp(below.dir + n - 8, ".parquet") == 0) {
        REQUIRE(cold_count < sizeof colds / sizeof colds[0]);
        memcpy(colds[cold_count].path, below.dir, sizeof below.dir);
        fuzz_file_read(l->env, below.dir, &colds[cold_count++].bytes);
    }
    return true;
}

static void load_image(void) {
    lam_env *env = image_copy(IMAGE_SQL_SEALED);
    struct lam_options o = image_options(env);
    struct listing l = {.env = env, .dir = IMAGE_DIR "/cold"};
    lam_db *db;
    fuzz_ok(lam_db_open(IMAGE_DIR, &o, &db, NULL), NULL);
    fuzz_ok(lam_partition_list(db, take_name, NULL, NULL), NULL);
    for (size_t i = 0; i < part_count; i++)
        load_part(db, &parts[i]);
    fuzz_ok(lam_db_close(db, NULL), NULL);
    fuzz_ok(env_dir_list(env, l.dir, list_cold, &l, NULL), NULL);
    fuzz_env_free(env);
    REQUIRE(cold_count > 0);
}

/* --- edits ----------------------------------------------------------------------------------- */

/* What an edit makes of some bytes. */
static void change(struct buf *b, struct cursor *c) {
    static const uint64_t extremes[] = {0,          0x7f,      0x80,       INT32_MAX,
                                        UINT32_MAX, INT64_MAX, UINT64_MAX, (uint64_t)INT64_MIN};
    uint8_t op = cursor_u8(c), bytes[VARINT_MAX];
    size_t at = b->size ? cursor_u8(c) % b->size : 0;
    struct lam_slice with;
    switch (op % 8) {
    case 0:
    case 1:
        if (b->size)
            b->data[at] ^= cursor_u8(c);
        break;
    case 2:
        with = fuzz_take(c, op / 8 % 8 + 1u);
        for (size_t i = 0; i < with.size && at + i < b->size; i++)
            b->data[at + i] = with.data[i];
        break;
    case 3:
        b->size = at;
        break;
    case 4:
        with = fuzz_take(c, op / 8 + 1u);
        fuzz_put(b, with.data, with.size);
        break;
    case 5: /* a varint of an extreme in the place of a byte */
        if (b->size) {
            size_t n = varint_put(bytes, extremes[op / 8 % 8]), tail = b->size - at - 1;
            fuzz_ok(buf_append_zeros(b, n, NULL), NULL);
            memmove(b->data + at + n, b->data + at + 1, tail);
            memcpy(b->data + at, bytes, n);
            b->size--;
        }
        break;
    case 6: /* 8 bytes of an extreme */
        put_le64(bytes, extremes[op / 8 % 8]);
        for (size_t i = 0; i < 8 && at + i < b->size; i++)
            b->data[at + i] = bytes[i];
        break;
    default:
        if (b->size) {
            memmove(b->data + at, b->data + at + 1, b->size - at - 1);
            b->size--;
        }
        break;
    }
}

static void copy_to(struct buf *to, const struct buf *from) {
    buf_reset(to);
    fuzz_put(to, from->data, from->size);
}

static void edit_record(lam_db *db, struct cursor *c) {
    uint8_t op = cursor_u8(c);
    struct part *p = &parts[cursor_u8(c) % part_count];
    uint8_t which = cursor_u8(c);
    struct buf key = {0}, value = {0};
    lam_partition *handle;
    if (p->count > 0) {
        const struct record *r = &p->records[which % p->count];
        copy_to(&key, &r->key);
        copy_to(&value, &r->value);
    }
    fuzz_ok(lam_partition_open(db, p->name, &handle, NULL), NULL);
    if (op % 8 == 7) { /* the value of another record, maybe of another partition */
        struct part *q = &parts[cursor_u8(c) % part_count];
        if (q->count > 0)
            copy_to(&value, &q->records[cursor_u8(c) % q->count].value);
    } else if (op % 8 == 6) { /* another key, or one more */
        if (op & 8 && key.size)
            fuzz_ok(lam_delete(db, NULL, handle, buf_slice(&key), NULL), NULL);
        change(&key, c);
    } else if (op % 8 == 5) {
        if (key.size)
            fuzz_ok(lam_delete(db, NULL, handle, buf_slice(&key), NULL), NULL);
        buf_reset(&key);
    } else {
        change(&value, c);
    }
    if (key.size > 0)
        fuzz_ok(lam_put(db, NULL, handle, buf_slice(&key), buf_slice(&value), NULL), NULL);
    lam_partition_release(handle);
    buf_fini(&key);
    buf_fini(&value);
}

static uint64_t footer_hash(const struct buf *file) {
    if (file->size < 12)
        return 0;
    size_t size = get_le32(file->data + file->size - 8);
    if (size > file->size - 12)
        return 0;
    return hash_xxh3(file->data + file->size - 8 - size, size, 0);
}

/* Makes the segment entry of a file say what the file is now. */
static void name_cold(lam_db *db, const char *path, const struct buf *file) {
    for (size_t i = 0; i < part_count; i++) {
        lam_partition *handle;
        if (!strstr(parts[i].name, "@segments"))
            continue;
        fuzz_ok(lam_partition_open(db, parts[i].name, &handle, NULL), NULL);
        for (size_t k = 0; k < parts[i].count; k++) {
            const struct record *r = &parts[i].records[k];
            struct arena arena = {0};
            struct segment s;
            struct buf entry = {0};
            bool good = segment_decode(buf_slice(&r->value), "fuzz", &arena, &s, NULL) == LAM_OK &&
                        memmem(path, strlen(path), s.path.data, s.path.size);
            if (good) {
                s.bytes = file->size;
                s.footer_hash = footer_hash(file);
                fuzz_ok(segment_encode(&s, &entry, NULL), NULL);
                fuzz_ok(lam_put(db, NULL, handle, buf_slice(&r->key), buf_slice(&entry), NULL),
                        NULL);
            }
            buf_fini(&entry);
            arena_fini(&arena);
        }
        lam_partition_release(handle);
    }
}

static void edit_cold(lam_db *db, lam_env *env, struct cursor *c) {
    const struct cold *cold = &colds[cursor_u8(c) % cold_count];
    struct buf file = {0};
    copy_to(&file, &cold->bytes);
    for (unsigned n = cursor_u8(c) % 8 + 1; n > 0; n--) {
        uint16_t where = cursor_le16(c);
        size_t at = (size_t)(where >> 1) % file.size;
        file.data[where & 1 ? file.size - 1 - at : at] ^= cursor_u8(c);
    }
    fuzz_file_write(env, cold->path, buf_slice(&file));
    name_cold(db, cold->path, &file);
    buf_fini(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cursor c = cursor_of(lam_slice_of(data, size));
    lam_db *db;
    if (!part_count)
        load_image();
    lam_env *env = image_copy(IMAGE_SQL_SEALED);
    struct lam_options o = image_options(env);
    struct lam_error err = {0};
    uint16_t which = cursor_le16(&c);
    fuzz_ok(lam_db_open(IMAGE_DIR, &o, &db, &err), &err);
    for (size_t i = 0; i < EDITS_MAX && cursor_left(&c) > 0; i++) {
        if (*c.at % 16 == 15)
            edit_cold(db, env, &c);
        else
            edit_record(db, &c);
    }
    image_read_sql(db, false, which);
    image_read_sql(db, true, which ^ 1);
    fuzz_ok(lam_db_close(db, &err), &err);
    fuzz_env_free(env);
    return 0;
}
