/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of the engine's files: made and parsed in one form only, so that no two names mean one
 * file.
 */
#include "lsm/filename.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/env.h"

#define MANIFEST_PREFIX "MANIFEST-"
#define NUMBER_DIGITS   6

void filename_make(enum file_type type, uint64_t number, char *out) {
    static const char *const ends[] = {
        [FILE_MANIFEST] = "", [FILE_WAL] = ".wal", [FILE_SST] = ".sst", [FILE_TEMP] = ".tmp"};
    LAM_ASSERT(type > FILE_OTHER && type <= FILE_TEMP);
    if (type == FILE_ROOT || type == FILE_LOCK)
        snprintf(out, FILENAME_MAX_BYTES, "%s", type == FILE_ROOT ? "ROOT" : "LOCK");
    else
        snprintf(out, FILENAME_MAX_BYTES, "%s%0*" PRIu64 "%s",
                 type == FILE_MANIFEST ? MANIFEST_PREFIX : "", NUMBER_DIGITS, number, ends[type]);
}

const char *filename_number(const char *text, uint64_t *out) {
    const char *at = text;
    uint64_t n = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *at - '0', &n))
            return NULL;
    }
    size_t digits = (size_t)(at - text);
    if (digits < NUMBER_DIGITS || (digits > NUMBER_DIGITS && text[0] == '0'))
        return NULL;
    *out = n;
    return at;
}

static enum file_type parse_plain(const char *name, uint64_t *number) {
    *number = 0;
    if (strcmp(name, "ROOT") == 0)
        return FILE_ROOT;
    if (strcmp(name, "LOCK") == 0)
        return FILE_LOCK;
    if (strncmp(name, MANIFEST_PREFIX, strlen(MANIFEST_PREFIX)) == 0) {
        const char *rest = filename_number(name + strlen(MANIFEST_PREFIX), number);
        if (rest && !*rest)
            return FILE_MANIFEST;
    } else {
        const char *rest = filename_number(name, number);
        if (rest && strcmp(rest, ".wal") == 0)
            return FILE_WAL;
        if (rest && strcmp(rest, ".sst") == 0)
            return FILE_SST;
        if (rest && strcmp(rest, ".tmp") == 0)
            return FILE_TEMP;
    }
    *number = 0;
    return FILE_OTHER;
}

enum file_type filename_parse(const char *name, uint64_t *number_out) {
    enum file_type type = parse_plain(name, number_out);
    size_t size = strlen(name);
    if (type != FILE_OTHER || size <= 4 || size >= FILENAME_MAX_BYTES + 4 ||
        strcmp(name + size - 4, ".tmp") != 0)
        return type;
    char stem[FILENAME_MAX_BYTES + 4];
    memcpy(stem, name, size - 4);
    stem[size - 4] = 0;
    return parse_plain(stem, number_out) == FILE_OTHER ? FILE_OTHER : FILE_TEMP;
}

enum lam_code filename_path(struct buf *out, const char *dir, enum file_type type, uint64_t number,
                            const char **text_out, struct lam_error *err) {
    char name[FILENAME_MAX_BYTES];
    filename_make(type, number, name);
    return env_path_join(out, dir, name, text_out, err);
}

void filename_remove(lam_env *env, const char *dir, enum file_type type, uint64_t number) {
    OWNED(buf_fini) struct buf path = {0};
    const char *text;
    if (filename_path(&path, dir, type, number, &text, NULL) == LAM_OK)
        IGNORE(env_file_remove(env, text, NULL), "an orphan goes at the next open");
}
