/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of a directory of backups. Bytes: docs/FORMAT.md "Backups".
 *
 *   BACKUPS       says that the directory holds backups, and of which database
 *   <n>.data      a file of the database, as some backups have it; never changed
 *   <n>.backup    description of backup n: which data file has which name, and the manifest
 *   LOCK          empty; locked by the call that works on the directory */
#ifndef LAMINA_LSM_BACKUP_FORMAT_H
#define LAMINA_LSM_BACKUP_FORMAT_H

#include "base/arena.h"
#include "base/buf.h"
#include "lsm/manifest.h"

#define BACKUP_ROOT_MAGIC   "LAMBKS\r\n"
#define BACKUP_MAGIC        "LAMBAK\r\n"
#define BACKUP_VERSION      1
#define BACKUP_ROOT_BYTES   40
#define BACKUP_HEADER_BYTES 80
/* Longest path of a file below the database directory. */
#define BACKUP_NAME_MAX 4096
/* A description is read whole. */
#define BACKUP_BYTES_MAX (1u << 30)

/* A file of the database. */
struct backup_file {
    const char *name;     /* path below the database directory; in the arena */
    uint64_t stored;      /* number of the data file */
    uint64_t size;        /* of it */
    uint64_t checksum;    /* of it: copy_file */
    uint64_t fingerprint; /* differs between files that had this name; 0: not known */
};
struct backup_description {
    uint8_t db_id[16];
    uint64_t id;
    int64_t created_us;
    uint64_t sequence;
    const struct backup_file *files; /* ascending names */
    size_t count;
    struct manifest_edit edit; /* the whole state; names its SSTs */
};

MUST_CHECK enum lam_code backup_root_encode(const uint8_t *db_id, struct buf *out,
                                            struct lam_error *err);
/* `where` is put into errors, as it is below. CORRUPT; UNSUPPORTED for another version. */
MUST_CHECK enum lam_code backup_root_decode(struct lam_slice bytes, const char *where,
                                            uint8_t *db_id_out, struct lam_error *err);
MUST_CHECK enum lam_code backup_encode(const struct backup_description *d, struct buf *out,
                                       struct lam_error *err);
/* What it gives borrows `bytes` and the arena. No name leads out of a directory; every SST that the
 * edit adds is among the files with its size, and no other file lies beside them. */
MUST_CHECK enum lam_code backup_decode(struct lam_slice bytes, const char *where,
                                       struct arena *arena, struct backup_description *out,
                                       struct lam_error *err);
/* Whether a path leads to a file below the directory it is taken from. */
bool backup_name_is_safe(const char *name);

#endif
