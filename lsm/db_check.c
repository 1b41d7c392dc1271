/* SPDX-License-Identifier: Apache-2.0
 *
 * Verification: root and manifest load, every file they name is there and whole, levels are in
 * order, the log reads to its end. Findings go to the caller one by one; the walk goes on after
 * each. */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "lsm/db_impl.h"
#include "lsm/progress.h"
#include "lsm/recover_state.h"

/* Offset that an error message names after "offset ", or 0. */
static uint64_t offset_in(const char *message) {
    const char *at = strstr(message, "offset ");
    return at ? strtoull(at + 7, NULL, 10) : 0;
}

bool db_check_tell(struct db_check *c, const char *file) {
    struct progress p = {c->options.progress, c->options.arg, c->now};
    if (c->stop == LAM_OK)
        c->stop = progress_tell(&p, file, NULL);
    c->now = p.now;
    return c->stop == LAM_OK;
}

void db_check_judge(struct db_check *c, const char *file, enum lam_code code,
                    const struct lam_error *e) {
    if (code == LAM_OK)
        return;
    if (code == LAM_NO_MEMORY) {
        c->stop = code;
        return;
    }
    c->corrupt = c->corrupt || code != LAM_IO;
    if (c->findings++ == 0) {
        c->first = *e;
        c->first.code = code;
    }
    if (c->options.finding)
        c->options.finding(c->options.arg, file, offset_in(e->message), e->message);
}

/* Problems of a place that are told one by one. */
#define TOLD_MAX 16
/* Records between two looks at whether the caller wants more. */
#define TELL_RECORDS 4096

bool db_check_record(struct db_check_place *p, enum lam_code code, const struct lam_error *e) {
    if (code != LAM_OK && (p->problems++ < TOLD_MAX || code == LAM_NO_MEMORY))
        db_check_judge(p->check, p->name, code, e);
    if (++p->records % TELL_RECORDS == 0)
        db_check_tell(p->check, p->name);
    return p->check->stop == LAM_OK;
}

void db_check_place_end(struct db_check_place *p) {
    struct lam_error e = {0};
    if (p->problems > TOLD_MAX)
        db_check_judge(p->check, p->name,
                       ERR(&e, LAM_CORRUPT, "%s: %llu problems more", p->name,
                           (unsigned long long)p->problems - TOLD_MAX),
                       &e);
}

void db_check_note(struct db_check *c, const char *file, const char *what) {
    if (c->options.note)
        c->options.note(c->options.arg, file, 0, what);
}

const char *db_key_text(struct lam_slice key, char out[DB_KEY_TEXT]) {
    size_t shown = key.size < 32 ? key.size : 32;
    for (size_t i = 0; i < shown; i++)
        snprintf(out + 2 * i, 3, "%02x", key.data[i]);
    memcpy(out + 2 * shown, shown < key.size ? "..." : "", shown < key.size ? 4 : 1);
    return out;
}

static enum lam_code verify_sst(struct db_check *c, const char *path, const struct manifest_file *f,
                                struct lam_error *err) {
    struct sst *s;
    TRY(sst_open(c->env, path, c->db_id, f->number, f->size_bytes, f->footer_checksum, NULL, &s,
                 err));
    enum lam_code rc = sst_state_sequences(s, &f->properties, err);
    if (rc == LAM_OK)
        rc = sst_verify(s, path, err);
    if (rc == LAM_OK && memcmp(sst_get_properties(s), &f->properties, sizeof f->properties) != 0)
        rc = ERR(err, LAM_CORRUPT, "%s: offset 0: properties differ from the manifest's", path);
    sst_unref(s);
    return rc;
}

static void check_sst(struct db_check *c, const struct manifest_file *f) {
    struct lam_error e = {0};
    struct buf path = {0};
    const char *text = c->dir;
    enum lam_code rc = filename_path(&path, c->dir, FILE_SST, f->number, &text, &e);
    if (rc == LAM_OK && db_check_tell(c, text))
        rc = verify_sst(c, text, f, &e);
    db_check_judge(c, text, rc, &e);
    c->now.files_done++;
    c->now.bytes_done += f->size_bytes;
    buf_fini(&path);
}

static void check_version(struct db_check *c, const struct version *v) {
    struct lam_error e = {0};
    db_check_judge(c, c->dir, version_check(v, &e), &e);
    for (uint32_t level = 0; level < VERSION_LEVELS; level++) {
        c->now.files_total += v->levels[level]->count;
        c->now.bytes_total += v->levels[level]->bytes;
    }
    for (uint32_t level = 0; level < VERSION_LEVELS && c->stop == LAM_OK; level++)
        for (size_t i = 0; i < v->levels[level]->count && c->stop == LAM_OK; i++) {
            struct manifest_file f;
            file_meta_describe(v->levels[level]->files[i], level, &f);
            check_sst(c, &f);
        }
}

enum lam_code db_check_conclude(const struct db_check *c, struct lam_error *err) {
    if (c->stop != LAM_OK)
        return ERR(err, c->stop, "%s: not checked to the end%s", c->dir,
                   c->stop == LAM_BUSY ? ": ended by the caller's progress function" : "");
    if (c->findings == 0)
        return LAM_OK;
    /* What could not be read may be good. */
    return ERR(err, c->corrupt ? LAM_CORRUPT : LAM_IO, "%s: %llu problems, the first: %s", c->dir,
               (unsigned long long)c->findings, c->first.message);
}

static enum lam_code ignore_record(void *arg, uint64_t sequence, uint32_t count,
                                   struct lam_slice payload, struct lam_error *err) {
    (void)arg;
    (void)sequence;
    (void)count;
    (void)payload;
    (void)err;
    return LAM_OK;
}

/* The partition's files as a version, for the order of its levels. */
static void check_partition(struct db_check *c, struct recovered *r,
                            const struct recovered_partition *p) {
    struct lam_error e = {0};
    struct version *v = NULL;
    size_t n = 0;
    enum lam_code rc = LAM_OK;
    struct version_added *added = mem_calloc(p->file_count + 1, sizeof *added);
    if (!added)
        rc = LAM_NO_MEMORY;
    for (size_t i = 0; i < p->file_count && rc == LAM_OK; i++) {
        enum lam_code there =
            recovered_check_file(r, FILE_SST, p->files[i].number, p->files[i].size_bytes, &e);
        if (there == LAM_OK)
            check_sst(c, &p->files[i]);
        else
            db_check_judge(c, c->dir, there, &e);
        rc = file_meta_new(&p->files[i], NULL, 0, NULL, NULL, &added[n].file, &e);
        if (rc == LAM_OK)
            added[n++].level = p->files[i].level;
    }
    if (rc == LAM_OK)
        rc = version_apply(NULL, added, n, NULL, 0, &v, &e);
    if (rc == LAM_OK)
        rc = version_check(v, &e);
    db_check_judge(c, c->dir, rc, &e);
    version_unref(v);
    for (size_t i = 0; i < n; i++)
        file_meta_unref(added[i].file);
    mem_free(added);
}

static void count_files(struct db_check *c, const struct recovered *r) {
    for (size_t i = 0; i < r->partition_count; i++) {
        c->now.files_total += r->partitions[i].file_count;
        for (size_t j = 0; j < r->partitions[i].file_count; j++)
            c->now.bytes_total += r->partitions[i].files[j].size_bytes;
    }
}

static enum lam_code check_closed(struct db_check *c, struct lam_error *err) {
    struct recovered r;
    struct recovered_log log;
    struct lam_error e = {0};
    recovered_init(&r, c->env, c->dir);
    enum lam_code rc = recovered_load(&r, &e);
    if (rc == LAM_NOT_FOUND) {
        recovered_fini(&r);
        return ERR(err, LAM_NOT_FOUND, "%s: no database here", c->dir);
    }
    c->db_id = r.root.db_id;
    db_check_judge(c, c->dir, rc, &e);
    if (rc == LAM_OK) {
        count_files(c, &r);
        for (size_t i = 0; i < r.partition_count && c->stop == LAM_OK; i++)
            check_partition(c, &r, &r.partitions[i]);
        memset(&e, 0, sizeof e);
        if (db_check_tell(c, c->dir))
            db_check_judge(c, c->dir, recovered_read_log(&r, ignore_record, NULL, &log, &e), &e);
    }
    recovered_fini(&r);
    return LAM_OK;
}

enum lam_code lam_check(const char *path, lam_env *env, lam_check_fn fn, void *arg,
                        struct lam_error *err) {
    struct lam_check_options options = {.env = env, .finding = fn, .arg = arg};
    return lam_check_with(path, &options, err);
}

enum lam_code lam_check_with(const char *path, const struct lam_check_options *options,
                             struct lam_error *err) {
    struct db_check c;
    TRY(db_check_directory(path, options, &c, err));
    return db_check_conclude(&c, err);
}

enum lam_code db_check_directory(const char *path, const struct lam_check_options *options,
                                 struct db_check *c, struct lam_error *err) {
    if (!path || !*path)
        return ERR(err, LAM_INVALID, "lam_check: path must not be NULL or empty");
    *c = (struct db_check){.dir = path};
    if (options)
        c->options = *options;
    lam_env *env = c->env = c->options.env ? c->options.env : lam_env_posix();
    lam_file_lock *held = NULL;
    enum lam_path_kind kind = LAM_PATH_NONE;
    enum lam_code rc = env_path_kind(env, path, &kind, err);
    if (rc == LAM_OK && kind == LAM_PATH_NONE)
        rc = ERR(err, LAM_NOT_FOUND, "%s: no such directory", path);
    else if (rc == LAM_OK && kind != LAM_PATH_DIRECTORY)
        rc = ERR(err, LAM_INVALID, "%s is not a directory", path);
    if (rc == LAM_OK)
        rc = env_lock_in(env, path, "LOCK", true, &held, err);
    if (rc == LAM_BUSY)
        rc = ERR(err, LAM_BUSY, "%s is open already, here or in another process", path);
    if (rc == LAM_OK)
        rc = check_closed(c, err);
    if (held)
        env->ops->file_unlock(held);
    return rc;
}

/* Root, manifest and log as they are on disk. Nothing is committed or published meanwhile, and no
 * segment is made, which goes again if it can't be named. */
static void check_disk(lam_db *db, struct db_check *c) {
    struct recovered r;
    struct recovered_log log;
    struct lam_error e = {0};
    recovered_init(&r, db->env, db->path);
    mutex_lock(&db->commit);
    mutex_lock(&db->log);
    mutex_lock(&db->manifest);
    enum lam_code rc = recovered_load(&r, &e);
    if (rc == LAM_OK)
        rc = recovered_read_log(&r, ignore_record, NULL, &log, &e);
    if (rc == LAM_OK && !atomic_load(&db->failed) &&
        log.last_sequence != db_commit(db)->last_sequence)
        rc = ERR(&e, LAM_CORRUPT, "%s: the log ends at sequence %llu, %llu were committed",
                 db->path, (unsigned long long)log.last_sequence,
                 (unsigned long long)db_commit(db)->last_sequence);
    mutex_unlock(&db->manifest);
    mutex_unlock(&db->log);
    mutex_unlock(&db->commit);
    db_check_judge(c, db->path, rc, &e);
    recovered_fini(&r);
}

enum lam_code lam_db_check(lam_db *db, lam_check_fn fn, void *arg, struct lam_error *err) {
    struct lam_check_options options = {.finding = fn, .arg = arg};
    return lam_db_check_with(db, &options, err);
}

enum lam_code lam_db_check_with(lam_db *db, const struct lam_check_options *options,
                                struct lam_error *err) {
    if (!db)
        return ERR(err, LAM_INVALID, "lam_db_check: db must not be NULL");
    TRY(db_check_process(db, err));
    struct db_check c = {.env = db->env, .dir = db->path, .db_id = db->id};
    if (options)
        c.options = *options;
    check_disk(db, &c);
    uint64_t number = 0;
    lam_partition *p;
    while (c.stop == LAM_OK && (p = db_partition_after(db, &number)) != NULL) {
        struct version *v = db_version_of(p);
        if (v)
            check_version(&c, v);
        version_unref(v);
        db_partition_unref(p);
    }
    db_check_tell(&c, c.dir);
    gc_drain(&db->gc);
    return db_check_conclude(&c, err);
}
