/* SPDX-License-Identifier: Apache-2.0
 *
 * The manifest file: a log (log_format.h) whose records are edits numbered from 1. Every append is
 * synced before the next, so at most the last edit can be torn.
 *
 * Order of making a manifest current: its content synced, its directory synced, then the superblock
 * names it. */
#include <inttypes.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/hash.h"
#include "lsm/filename.h"
#include "lsm/log_format.h"
#include "lsm/manifest.h"
#include "lsm/superblock.h"

/* Number of the manifest that manifest_create makes. */
#define FIRST_MANIFEST 1
/* A buffer grown past this, for the whole state of many partitions, is given back. */
#define KEEP_BYTES (64u << 10)

struct manifest {
    lam_env *env;
    char *dir;  /* owned */
    char *path; /* owned; for messages */
    lam_file *file;
    struct superblock sb; /* as last written */
    uint64_t number;
    uint64_t seed;     /* of the file's checksums */
    uint64_t size;     /* bytes, all synced */
    uint64_t edits;    /* number of the last edit */
    uint64_t checksum; /* running hash over the records */
    bool closed;       /* takes no more edits: one failed, or it is sealed */
    struct buf record; /* being written */
};

void manifest_close(struct manifest *m) {
    if (!m)
        return;
    IGNORE(env_file_close(m->file, NULL), "every edit was synced");
    mem_free(m->dir);
    mem_free(m->path);
    buf_fini(&m->record);
    mem_free(m);
}

static enum lam_code write_synced(struct manifest *m, struct lam_slice bytes,
                                  struct lam_error *err) {
    TRY(env_file_write(m->file, m->size, bytes.data, bytes.size, err));
    TRY(env_file_sync(m->file, err));
    m->size += bytes.size;
    return LAM_OK;
}

static enum lam_code encode_record(struct manifest *m, const struct manifest_edit *edit,
                                   struct log_record *record, struct lam_error *err) {
    buf_reset(&m->record);
    TRY(buf_append_zeros(&m->record, LOG_RECORD_BYTES, err));
    TRY(manifest_edit_encode(edit, &m->record, err));
    if (m->record.size > LOG_MAX_BYTES - m->size)
        return ERR(err, LAM_LIMIT, "%s: an edit of %zu bytes does not fit", m->path,
                   m->record.size);
    *record = (struct log_record){
        .offset = m->size,
        .length = (uint32_t)(m->record.size - LOG_RECORD_BYTES),
        .durable_end = (uint32_t)m->size,
        .sequence = m->edits + 1,
        .durable_upto = m->edits,
    };
    log_record_encode_in_place(record, m->seed, m->record.data);
    return LAM_OK;
}

enum lam_code manifest_append(struct manifest *m, const struct manifest_edit *edit,
                              struct lam_error *err) {
    struct log_record record;
    if (m->closed)
        return ERR(err, LAM_READ_ONLY, "%s: takes no more edits", m->path);
    TRY(encode_record(m, edit, &record, err));
    enum lam_code rc = write_synced(m, buf_slice(&m->record), err);
    if (rc != LAM_OK) {
        m->closed = true;
        return rc;
    }
    m->edits++;
    m->checksum = hash_mix(m->checksum, record.checksum);
    if (m->record.capacity > KEEP_BYTES)
        buf_fini(&m->record);
    return LAM_OK;
}

bool manifest_is_open(const struct manifest *m) {
    return !m->closed;
}

uint64_t manifest_size(const struct manifest *m) {
    return m->size;
}

uint64_t manifest_number(const struct manifest *m) {
    return m->number;
}

enum lam_code manifest_seal(struct manifest *m, const struct manifest_edit *last,
                            struct lam_error *err) {
    LAM_ASSERT(last->clean_close);
    TRY(manifest_append(m, last, err));
    m->closed = true;
    m->sb.manifest_bytes = m->size;
    m->sb.manifest_checksum = m->checksum;
    return superblock_publish(m->env, m->dir, &m->sb, err);
}

/* A file that holds the header and one edit, durable with its name. */
static enum lam_code manifest_new(lam_env *env, const char *dir, const uint8_t *db_id,
                                  uint64_t number, const struct manifest_edit *first,
                                  struct manifest **out, struct lam_error *err) {
    struct manifest *m = mem_calloc(1, sizeof *m);
    if (!m)
        return mem_fail(err, sizeof *m);
    struct buf path = {0};
    const char *text;
    enum lam_code rc;
    m->env = env;
    m->number = number;
    memcpy(m->sb.db_id, db_id, sizeof m->sb.db_id);
    TRY_GOTO(filename_path(&path, dir, FILE_MANIFEST, number, &text, err));
    m->dir = mem_strdup(dir);
    m->path = mem_strdup(text);
    if (!m->dir || !m->path)
        TRY_GOTO(mem_fail(err, path.size));
    /* A file of this name is what a crash left before any superblock named it. */
    TRY_GOTO(env_file_open(env, text, LAM_OPEN_WRITE | LAM_OPEN_CREATE | LAM_OPEN_TRUNCATE,
                           &m->file, err));
    struct log_identity id = {LOG_MAGIC_MANIFEST, db_id, number};
    uint8_t header[LOG_HEADER_BYTES];
    uint64_t salt;
    env->ops->random_bytes(env, &salt, sizeof salt);
    m->seed = log_header_encode(&id, salt, header);
    m->checksum = m->seed;
    /* Durable with the first edit. */
    TRY_GOTO(env_file_write(m->file, 0, header, sizeof header, err));
    m->size = sizeof header;
    TRY_GOTO(manifest_append(m, first, err));
    TRY_GOTO(env_dir_sync(env, dir, err));
    buf_fini(&path);
    *out = m;
    return LAM_OK;
out:
    if (m->file)
        IGNORE(env_file_remove(env, m->path, NULL),
               "named by nothing; the next try writes over it");
    buf_fini(&path);
    manifest_close(m);
    return rc;
}

enum lam_code manifest_create(lam_env *env, const char *dir, const uint8_t *db_id,
                              const struct manifest_edit *initial, struct manifest **manifest_out,
                              struct lam_error *err) {
    LAM_ASSERT(initial->has_next_number && initial->next_number > FIRST_MANIFEST);
    struct manifest *m;
    TRY(manifest_new(env, dir, db_id, FIRST_MANIFEST, initial, &m, err));
    m->sb.manifest_number = FIRST_MANIFEST;
    enum lam_code rc = superblock_create(env, dir, &m->sb, err);
    if (rc != LAM_OK) {
        manifest_close(m);
        return rc;
    }
    *manifest_out = m;
    return LAM_OK;
}

enum lam_code manifest_prepare(lam_env *env, const char *dir, const struct manifest_root *root,
                               uint64_t number, const struct manifest_edit *snapshot,
                               struct manifest **manifest_out, struct lam_error *err) {
    struct superblock current;
    enum lam_code rc = superblock_read(env, dir, &current, err);
    if (rc == LAM_NOT_FOUND)
        return ERR(err, LAM_CORRUPT, "%s: ROOT is gone", dir);
    TRY(rc);
    if (memcmp(current.db_id, root->db_id, sizeof current.db_id) != 0)
        return ERR(err, LAM_CORRUPT, "%s: ROOT is of another database", dir);
    if (number <= current.manifest_number)
        return ERR(err, LAM_CORRUPT, "%s: number %" PRIu64 " for a manifest after %" PRIu64, dir,
                   number, current.manifest_number);
    TRY(manifest_new(env, dir, current.db_id, number, snapshot, manifest_out, err));
    (*manifest_out)->sb = current;
    return LAM_OK;
}

/* A sealed pair is opened first with the same manifest (S3). */
enum lam_code manifest_make_current(struct manifest *m, struct lam_error *err) {
    struct superblock current = m->sb;
    TRY(superblock_confirm(m->env, m->dir, &current, err));
    if (superblock_is_sealed(&current)) {
        current.manifest_bytes = 0;
        current.manifest_checksum = 0;
        TRY(superblock_write(m->env, m->dir, &current, err));
    }
    current.manifest_number = m->number;
    TRY(superblock_publish(m->env, m->dir, &current, err));
    m->sb = current;
    return LAM_OK;
}

struct loader {
    const char *path;
    uint64_t edits; /* read so far */
    struct arena arena;
    manifest_edit_fn fn;
    void *arg;
};

static enum lam_code load_record(void *arg, const struct log_record *record,
                                 struct lam_slice payload, struct lam_error *err) {
    struct loader *l = arg;
    struct manifest_edit edit;
    if (record->sequence != l->edits + 1)
        return ERR(err, LAM_CORRUPT, "%s: offset %" PRIu64 ": edit %" PRIu64 " after edit %" PRIu64,
                   l->path, record->offset, record->sequence, l->edits);
    l->edits++;
    arena_reset(&l->arena);
    enum lam_code rc = manifest_edit_decode(payload, &l->arena, &edit, err);
    if (rc != LAM_OK)
        return error_context(err, rc, "%s: offset %" PRIu64, l->path, record->offset);
    return l->fn(l->arg, &edit, err);
}

static enum lam_code check_loaded(const struct superblock *sb, const char *path,
                                  const struct log_read_result *res, struct lam_error *err) {
    if (res->header_missing)
        return ERR(err, LAM_CORRUPT, "%s: offset 0: no readable header", path);
    if (res->records == 0)
        return ERR(err, LAM_CORRUPT, "%s: offset %d: no readable edit", path, LOG_HEADER_BYTES);
    if (!superblock_is_sealed(sb))
        return LAM_OK;
    if (res->end != sb->manifest_bytes || res->file_bytes != sb->manifest_bytes)
        return ERR(err, LAM_CORRUPT,
                   "%s: offset %" PRIu64
                   ": good edits of the sealed manifest end here, the file at "
                   "%" PRIu64 ", expected %" PRIu64,
                   path, res->end, res->file_bytes, sb->manifest_bytes);
    if (res->checksum != sb->manifest_checksum)
        return ERR(err, LAM_CORRUPT, "%s: offset %" PRIu64 ": not the edits that were sealed", path,
                   res->end);
    return LAM_OK;
}

static enum lam_code load_edits(lam_env *env, const char *dir, const struct superblock *sb,
                                manifest_edit_fn fn, void *arg, bool *torn, struct lam_error *err) {
    struct buf path = {0};
    struct loader l = {.fn = fn, .arg = arg};
    struct log_identity id = {LOG_MAGIC_MANIFEST, sb->db_id, sb->manifest_number};
    struct log_read_result res;
    enum lam_code rc;
    TRY_GOTO(filename_path(&path, dir, FILE_MANIFEST, sb->manifest_number, &l.path, err));
    enum lam_path_kind kind;
    TRY_GOTO(env_path_kind(env, l.path, &kind, err));
    if (kind != LAM_PATH_FILE) {
        rc = ERR(err, LAM_CORRUPT, "%s: offset 0: the manifest that ROOT names is missing", l.path);
        goto out;
    }
    TRY_GOTO(log_read(env, l.path, &id, 0, load_record, &l, &res, err));
    TRY_GOTO(check_loaded(sb, l.path, &res, err));
    *torn = res.file_bytes > res.end;
out:
    arena_fini(&l.arena);
    buf_fini(&path);
    return rc;
}

struct listing {
    bool first_manifest;                /* MANIFEST-000001 is there */
    size_t others;                      /* files that manifest_create does not make */
    char other[FILENAME_MAX_BYTES + 4]; /* name of the first of them */
};

static bool note_name(void *arg, const char *name) {
    struct listing *l = arg;
    uint64_t number;
    enum file_type type = filename_parse(name, &number);
    if (type == FILE_OTHER || type == FILE_LOCK || strcmp(name, "ROOT.tmp") == 0)
        return true;
    if (type == FILE_MANIFEST && number == FIRST_MANIFEST) {
        l->first_manifest = true;
        return true;
    }
    if (l->others++ == 0)
        snprintf(l->other, sizeof l->other, "%s", name);
    return true;
}

static enum lam_code ignore_record(void *arg, const struct log_record *record,
                                   struct lam_slice payload, struct lam_error *err) {
    (void)arg;
    (void)record;
    (void)payload;
    (void)err;
    return LAM_OK;
}

/* Whether MANIFEST-000001 was ever named by a ROOT for certain: anything follows its first edit,
 * which manifest_create wrote before ROOT. */
static enum lam_code was_current(lam_env *env, const char *dir, bool *out, struct lam_error *err) {
    struct buf path = {0};
    const char *text;
    struct log_identity id = {LOG_MAGIC_MANIFEST, NULL, FIRST_MANIFEST};
    struct log_read_result res;
    *out = false;
    enum lam_code rc = filename_path(&path, dir, FILE_MANIFEST, FIRST_MANIFEST, &text, err);
    if (rc == LAM_OK) {
        rc = log_read(env, text, &id, 0, ignore_record, NULL, &res, err);
        *out =
            rc == LAM_CORRUPT || res.records > 1 || (res.records == 1 && res.file_bytes > res.end);
        if (rc == LAM_CORRUPT)
            rc = LAM_OK;
    }
    buf_fini(&path);
    return rc;
}

/* There is no ROOT: NOT_FOUND if no database was ever finished here, else CORRUPT. */
static enum lam_code judge_rootless(lam_env *env, const char *dir, struct lam_error *err) {
    struct listing l = {0};
    bool current = false;
    TRY(env_dir_list(env, dir, note_name, &l, err));
    if (l.others == 0 && l.first_manifest)
        TRY(was_current(env, dir, &current, err));
    if (current) {
        l.others = 1;
        filename_make(FILE_MANIFEST, FIRST_MANIFEST, l.other);
    }
    if (l.others > 0)
        return ERR(err, LAM_CORRUPT, "%s/ROOT: offset 0: missing, but %s%s of a database here", dir,
                   l.other, l.others > 1 ? " and more files are" : " is");
    return ERR(err, LAM_NOT_FOUND, "%s: no database here", dir);
}

enum lam_code manifest_load(lam_env *env, const char *dir, struct manifest_root *root_out,
                            manifest_edit_fn fn, void *arg, struct lam_error *err) {
    struct superblock sb;
    enum lam_code rc = superblock_read(env, dir, &sb, err);
    if (rc == LAM_NOT_FOUND)
        return judge_rootless(env, dir, err);
    TRY(rc);
    bool torn = false;
    TRY(load_edits(env, dir, &sb, fn, arg, &torn, err));
    *root_out = (struct manifest_root){
        .manifest_number = sb.manifest_number,
        .generation = sb.generation,
        .sealed = superblock_is_sealed(&sb),
        .torn_tail = torn,
    };
    memcpy(root_out->db_id, sb.db_id, sizeof root_out->db_id);
    return LAM_OK;
}
