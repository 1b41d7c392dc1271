/* SPDX-License-Identifier: Apache-2.0
 *
 * Options: what is allowed, and the defaults. A refusal names the option, its value and what is
 * allowed. */
#include "lsm/db_impl.h"

#define MEMORY_DEFAULT (256ull << 20)
#define MEMORY_LEAST   (4ull << 20)
#define BLOCK_DEFAULT  (8u << 10)
#define BLOCK_LEAST    512u
#define BLOCK_MOST     (1u << 20)
#define BLOCK_SHARE    32u /* blocks that memory_budget must have room for */
#define FILTER_DEFAULT 10u
#define FILTER_MOST    64u
#define FILES_DEFAULT  500u
#define FILES_LEAST    16u
#define FILES_BESIDE   32u /* descriptors for the log, the manifest and new files */

static enum lam_code check_modes(const struct lam_options *o, struct lam_error *err) {
    if (o->must_exist && o->must_not_exist)
        return ERR(err, LAM_INVALID,
                   "lam_db_open: must_exist and must_not_exist exclude each other");
    if (o->read_only && o->must_not_exist)
        return ERR(err, LAM_INVALID,
                   "lam_db_open: read_only and must_not_exist exclude each other: a database can't "
                   "be made read-only");
    if ((unsigned)o->durability > LAM_DURABILITY_SYNC)
        return ERR(err, LAM_INVALID,
                   "lam_db_open: durability %d is unknown, DEFAULT, OS and SYNC "
                   "are 0 to 2",
                   (int)o->durability);
    if ((unsigned)o->compression > LAM_COMPRESSION_LZ4)
        return ERR(err, LAM_INVALID,
                   "lam_db_open: compression %d is unknown, DEFAULT, NONE and LZ4 "
                   "are 0 to 2",
                   (int)o->compression);
    return LAM_OK;
}

static enum lam_code check_sizes(const struct lam_options *o, struct lam_error *err) {
    uint64_t budget = o->memory_budget ? o->memory_budget : MEMORY_DEFAULT;
    if (budget < MEMORY_LEAST)
        return ERR(err, LAM_INVALID, "lam_db_open: memory_budget %llu is below %llu",
                   (unsigned long long)budget, MEMORY_LEAST);
    if (o->block_bytes && (o->block_bytes < BLOCK_LEAST || o->block_bytes > BLOCK_MOST))
        return ERR(err, LAM_INVALID, "lam_db_open: block_bytes %u is not between %u and %u",
                   o->block_bytes, BLOCK_LEAST, BLOCK_MOST);
    if (o->block_bytes > budget / BLOCK_SHARE)
        return ERR(err, LAM_INVALID,
                   "lam_db_open: block_bytes %u is above %llu, a %u-th of memory_budget %llu",
                   o->block_bytes, (unsigned long long)budget / BLOCK_SHARE, BLOCK_SHARE,
                   (unsigned long long)budget);
    if (o->filter_bits_per_key > FILTER_MOST)
        return ERR(err, LAM_INVALID, "lam_db_open: filter_bits_per_key %u is above %u",
                   o->filter_bits_per_key, FILTER_MOST);
    return LAM_OK;
}

/* Descriptors that the process may have; UINT64_MAX: no limit is known. */
static uint64_t descriptor_limit(lam_env *env) {
    uint64_t limit = env->ops->descriptor_limit ? env->ops->descriptor_limit(env) : 0;
    return limit ? limit : UINT64_MAX;
}

static enum lam_code check_files(const struct lam_options *o, struct lam_error *err) {
    if (o->open_files == 0)
        return LAM_OK;
    if (o->open_files < FILES_LEAST)
        return ERR(err, LAM_INVALID, "lam_db_open: open_files %u is below %u", o->open_files,
                   FILES_LEAST);
    uint64_t limit = descriptor_limit(o->env ? o->env : lam_env_posix());
    if (o->open_files + (uint64_t)FILES_BESIDE > limit)
        return ERR(err, LAM_INVALID,
                   "lam_db_open: open_files %u is above %llu: the process may have %llu "
                   "descriptors, and %u are wanted for other files",
                   o->open_files,
                   (unsigned long long)(limit > FILES_BESIDE ? limit - FILES_BESIDE : 0),
                   (unsigned long long)limit, FILES_BESIDE);
    return LAM_OK;
}

enum lam_code db_options_check(const struct lam_options *o, struct lam_error *err) {
    TRY(check_modes(o, err));
    TRY(check_sizes(o, err));
    return check_files(o, err);
}

static uint32_t default_files(lam_env *env) {
    uint64_t half = descriptor_limit(env) / 2;
    if (half < FILES_LEAST)
        return FILES_LEAST;
    return half < FILES_DEFAULT ? (uint32_t)half : FILES_DEFAULT;
}

void db_options_fill(struct lam_options *o) {
    if (!o->env)
        o->env = lam_env_posix();
    if (!o->memory_budget)
        o->memory_budget = MEMORY_DEFAULT;
    if (o->durability == LAM_DURABILITY_DEFAULT)
        o->durability = LAM_DURABILITY_OS;
    if (!o->block_bytes)
        o->block_bytes = BLOCK_DEFAULT;
    if (!o->filter_bits_per_key)
        o->filter_bits_per_key = FILTER_DEFAULT;
    if (!o->open_files)
        o->open_files = default_files(o->env);
}

enum lam_code db_options_check_partition(const struct lam_partition_options *o, const char *call,
                                         struct lam_error *err) {
    if (o && (unsigned)o->compression > LAM_COMPRESSION_LZ4)
        return ERR(err, LAM_INVALID,
                   "%s: compression %d is unknown, DEFAULT, NONE and LZ4 are 0 to 2", call,
                   (int)o->compression);
    return LAM_OK;
}
