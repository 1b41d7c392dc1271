/* SPDX-License-Identifier: Apache-2.0
 *
 * What a history consists of: features first (a swarm: each run has its own subset), then step by
 * step. The tame choice is 0 everywhere, so that shrinking leads to short and simple histories. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/sim/world_engine_impl.h"

static const char *const step_names[STEP_KINDS] = {
    "get",      "put",       "delete",      "delete_range",  "batch",   "sync",   "scan",
    "snapshot", "iterator",  "verify",      "dump",          "compact", "create", "drop",
    "reopen",   "read_only", "crash",       "check",         "clock",   "fault",  "quota",
    "tasks",    "multi_get", "create_many", "compact_range", "txn",     "ingest", "checkpoint",
    "backup",   "restore",   "ttl",
};

const char *ew_step_name(enum step_kind kind) {
    return step_names[kind];
}

/* --- keys ------------------------------------------------------------------------------------ */

enum key_style { KEYS_SHORT, KEYS_PREFIX, KEYS_BINARY, KEYS_LONG, KEY_STYLES };

static size_t make_key(uint8_t *out, unsigned style, unsigned i, struct rng *r) {
    size_t n = 0;
    switch (style) {
    case KEYS_SHORT:
        out[n++] = (uint8_t)('a' + i % 26);
        if (i >= 26)
            out[n++] = (uint8_t)('a' + i / 26);
        return n;
    case KEYS_PREFIX:
        memcpy(out, "user/0000/row/", 14);
        out[8] = (uint8_t)('0' + i % 4);
        n = 14;
        out[n++] = (uint8_t)('0' + i / 100 % 10);
        out[n++] = (uint8_t)('0' + i / 10 % 10);
        out[n++] = (uint8_t)('0' + i % 10);
        return n;
    case KEYS_BINARY:
        /* Keys that are prefixes of others, with the lowest and highest bytes in them. */
        for (unsigned rest = i + 1; rest > 0; rest /= 3)
            out[n++] = (uint8_t)(rest % 3 == 0 ? 0x00 : rest % 3 == 1 ? 0xFF : 'm');
        return n;
    default:
        n = 1 + (size_t)(rng_next(r) & (i % 16 == 0 ? 1023 : 63));
        memset(out, 'k', n);
        out[n++] = (uint8_t)(i >> 8);
        out[n++] = (uint8_t)i;
        return n;
    }
}

static void make_keys(struct world *w) {
    struct rng r;
    rng_init(&r, w->config.key_style + 77);
    uint8_t bytes[1100];
    for (unsigned i = 0; i < w->config.keys; i++) {
        size_t n = make_key(bytes, w->config.key_style, i, &r);
        w->key_sizes[i] = n;
        w->key_bytes[i] = malloc(n);
        LAM_ASSERT(w->key_bytes[i]);
        memcpy(w->key_bytes[i], bytes, n);
        unsigned at = i;
        for (; at > 0 && slice_cmp(ew_key(w, w->key_order[at - 1]), ew_key(w, i)) > 0; at--)
            w->key_order[at] = w->key_order[at - 1];
        w->key_order[at] = i;
    }
}

/* --- features -------------------------------------------------------------------------------- */

void ew_draw_open(struct choice *c, const struct config *config, struct lam_options *options,
                  struct db_tuning *tuning) {
    *options = config->options;
    *tuning = config->tuning;
    if (!config->vary)
        return;
    static const uint32_t blocks[] = {512, 1024, 4096, 600, 8192};
    static const uint32_t bits[] = {0, 1, 5, 20, 64};
    sim_tuning_draw(c, tuning);
    options->block_bytes = blocks[choose(c, 5)];
    options->filter_bits_per_key = bits[choose(c, 5)];
    options->compression = (enum lam_compression)choose(c, 3);
    options->open_files = choose_one_in(c, 3) ? 16 : 0;
}

static void draw_weights(struct choice *c, struct config *f) {
    static const uint8_t usual[STEP_KINDS] = {
        [STEP_GET] = 6,           [STEP_PUT] = 14,    [STEP_DELETE] = 4,    [STEP_DELETE_RANGE] = 3,
        [STEP_BATCH] = 10,        [STEP_SYNC] = 2,    [STEP_SCAN] = 4,      [STEP_SNAPSHOT] = 3,
        [STEP_ITERATOR] = 4,      [STEP_VERIFY] = 2,  [STEP_DUMP] = 3,      [STEP_COMPACT] = 2,
        [STEP_CREATE] = 2,        [STEP_DROP] = 1,    [STEP_REOPEN] = 3,    [STEP_READ_ONLY] = 1,
        [STEP_CRASH] = 2,         [STEP_CHECK] = 1,   [STEP_CLOCK] = 1,     [STEP_FAULT] = 9,
        [STEP_QUOTA] = 4,         [STEP_TASKS] = 4,   [STEP_MULTI_GET] = 2, [STEP_CREATE_MANY] = 1,
        [STEP_COMPACT_RANGE] = 1, [STEP_TXN] = 10,    [STEP_INGEST] = 5,    [STEP_CHECKPOINT] = 1,
        [STEP_BACKUP] = 2,        [STEP_RESTORE] = 1, [STEP_TTL] = 8};
    for (int i = 0; i < STEP_KINDS; i++) {
        unsigned how = choose(c, 4); /* usual, usual, absent, often */
        f->weights[i] = how == 2 ? 0 : how == 3 ? usual[i] * 3u : usual[i];
    }
    if (f->weights[STEP_PUT] + f->weights[STEP_BATCH] == 0)
        f->weights[STEP_PUT] = usual[STEP_PUT];
    f->weights[STEP_GET]++;
    if (!f->faults)
        f->weights[STEP_FAULT] = 0;
    else if (f->many_faults) {
        f->weights[STEP_FAULT] = 30;
        f->weights[STEP_CRASH] += 3;
    }
    if (!f->quota)
        f->weights[STEP_QUOTA] = 0;
    if (f->background != BACKGROUND_QUEUED)
        f->weights[STEP_TASKS] = 0;
    if (!f->ttl)
        f->weights[STEP_TTL] = 0;
    f->weight_sum = 0;
    for (int i = 0; i < STEP_KINDS; i++)
        f->weight_sum += f->weights[i];
}

static void draw_fs(struct choice *c, struct simfs_options *o) {
    static const uint32_t granules[] = {512, 16, 64, 4096, 32, 128, 256, 1024, 2048};
    o->granule = granules[choose(c, 9)];
    o->names = choose(c, 2) ? SIMFS_SUBSET : SIMFS_PREFIX;
    o->garbage = choose(c, 2);
}

static void draw_swarm(struct choice *c, struct config *f) {
    static const unsigned keys[] = {6, 3, 16, 40, 120, 400};
    f->steps = 6 + choose(c, choose_one_in(c, 8) ? 240 : 70);
    f->partitions = 1 + choose(c, choose_one_in(c, 4) ? 9 : 4);
    f->keys = keys[choose(c, 6)];
    f->key_style = choose(c, KEY_STYLES);
    f->value_style = choose(c, 6);
    f->sync_of_8 = choose(c, 9);
    unsigned background = choose(c, 8);
    f->background = background < 4   ? BACKGROUND_INLINE
                    : background < 5 ? BACKGROUND_REFUSED
                    : background < 7 ? BACKGROUND_QUEUED
                                     : BACKGROUND_THREADS;
    /* Nobody runs the tasks that a waiting writer waits for when a dump has failed. */
    f->faults = choose(c, 5) > 1 && f->background != BACKGROUND_QUEUED;
    f->quota = choose(c, 6) > 4 && f->background != BACKGROUND_QUEUED;
    f->many_faults = f->faults && choose(c, 3) > 0;
    f->ttl = choose_one_in(c, 4);
    draw_fs(c, &f->fs);
    f->vary = true;
    ew_draw_open(c, f, &f->options, &f->tuning);
    f->vary = choose(c, 2);
    static const unsigned one_in[] = {10, 3, 6, 20, 40};
    f->image_one_in = one_in[choose(c, 5)] * (f->many_faults ? 8 : 1);
    f->nested_one_in = (40u << choose(c, 3)) * (f->many_faults ? 8 : 1);
    draw_weights(c, f);
}

/* Every operation, nothing left to chance but what the seed of the history says. */
static void canonical_config(struct choice *c, struct config *f) {
    f->steps = 400;
    f->partitions = 3;
    f->keys = 40;
    f->key_style = KEYS_PREFIX;
    f->value_style = 1;
    f->sync_of_8 = 3;
    f->fs.granule = 64;
    f->fs.names = SIMFS_SUBSET;
    f->fs.garbage = true;
    f->tuning = (struct db_tuning){.rotate_bytes = 2048,
                                   .segment_bytes = 2048,
                                   .base_bytes = 2048,
                                   .dump_file_bytes = 1024,
                                   .close_dump_bytes = 512,
                                   .manifest_rewrite_bytes = 1024};
    f->options.block_bytes = 512;
    f->nested_one_in = 60;
    f->ttl = true;
    (void)c;
    draw_weights(c, f);
    for (int i = 0; i < STEP_KINDS; i++)
        if (f->weights[i] == 0 && i != STEP_FAULT && i != STEP_QUOTA && i != STEP_TASKS) {
            f->weights[i] = 2;
            f->weight_sum += 2;
        }
}

static void script_config(struct config *f) {
    f->partitions = 2;
    f->keys = 4;
    f->key_style = KEYS_SHORT;
    f->fs.granule = 64;
    f->fs.names = SIMFS_SUBSET;
    f->tuning = (struct db_tuning){.rotate_bytes = 65536,
                                   .segment_bytes = 512,
                                   .base_bytes = 1024,
                                   .dump_file_bytes = 4096,
                                   .close_dump_bytes = 256,
                                   .manifest_rewrite_bytes = 512};
    f->options.block_bytes = 512;
    f->nested_one_in = 150;
}

void ew_draw_config(struct world *w) {
    struct config *f = &w->config;
    f->options.memory_budget = 4u << 20;
    switch (w->options->mode) {
    case WORLD_SWARM:
        draw_swarm(w->choice, f);
        break;
    case WORLD_CANONICAL:
        canonical_config(w->choice, f);
        break;
    case WORLD_SCRIPT:
        script_config(f);
        f->steps = (unsigned)w->options->script_count;
        break;
    }
    f->options.manual_background = f->background == BACKGROUND_INLINE;
    make_keys(w);
}

/* --- steps ----------------------------------------------------------------------------------- */

/* Exponential, up to 2^`bits`. */
static unsigned exponential(struct choice *c, unsigned bits) {
    unsigned n = choose(c, bits + 1);
    return n == 0 ? 0 : (1u << (n - 1)) + choose(c, 1u << (n - 1));
}

static unsigned near(struct choice *c, unsigned spike) {
    unsigned n = spike + choose(c, 7);
    return n > 3 ? n - 3 : n;
}

static unsigned draw_size(struct world *w) {
    struct choice *c = w->choice;
    const struct config *f = &w->config;
    switch (f->value_style) {
    case 0:
        return 8 + choose(c, 24);
    case 1:
        return exponential(c, 9);
    case 2:
        return exponential(c, 12);
    case 3: /* around a block */
        return choose_one_in(c, 3) ? near(c, f->options.block_bytes ? f->options.block_bytes : 8192)
                                   : exponential(c, 6);
    case 4: /* around the room in a segment, less header, record's head and operation */
        return choose_one_in(c, 3)
                   ? near(c, (unsigned)f->tuning.segment_bytes - 104 + 40 - choose(c, 40))
                   : exponential(c, 6);
    default: /* around what is copied and what is borrowed */
        return choose_one_in(c, 16)   ? near(c, 65536 - choose(c, 30))
               : choose_one_in(c, 16) ? 70000 + choose(c, 8)
                                      : exponential(c, 7);
    }
}

static unsigned draw_key(struct world *w) {
    unsigned hot = w->config.keys < 4 ? w->config.keys : 4;
    return choose_one_in(w->choice, 3) ? choose(w->choice, w->config.keys) : choose(w->choice, hot);
}

void ew_draw_write(struct world *w, enum step_kind kind, struct write_op *op) {
    struct choice *c = w->choice;
    *op = (struct write_op){.kind = kind, .partition = choose(c, w->config.partitions)};
    op->key = draw_key(w);
    if (kind == STEP_PUT)
        op->size = draw_size(w);
    if (kind != STEP_DELETE_RANGE)
        return;
    unsigned to = choose(c, w->config.keys + 1);
    op->to = to == 0 ? WORLD_KEYS : to - 1;
    if (to > 0 && slice_cmp(ew_key(w, op->key), ew_key(w, op->to)) > 0) {
        op->to = op->key;
        op->key = to - 1;
    }
    op->back = choose_one_in(c, 3) ? exponential(c, 7) : UINT64_MAX;
}

static enum step_kind draw_kind(struct world *w) {
    unsigned at = choose(w->choice, w->config.weight_sum);
    int i = 0;
    while (at >= w->config.weights[i])
        at -= w->config.weights[i++];
    return (enum step_kind)i;
}

static void fill_step(struct world *w, enum step_kind kind, struct step *out) {
    struct choice *c = w->choice;
    memset(out, 0, sizeof *out);
    out->kind = kind;
    switch (kind) {
    case STEP_PUT:
    case STEP_DELETE:
    case STEP_DELETE_RANGE:
        out->sync = choose(c, 8) >= 8 - w->config.sync_of_8;
        out->count = 1;
        ew_draw_write(w, kind, &out->ops[0]);
        break;
    case STEP_BATCH:
        out->sync = choose(c, 8) >= 8 - w->config.sync_of_8;
        out->count = choose(c, WORLD_BATCH + 1);
        for (unsigned i = 0; i < out->count; i++) {
            unsigned die = choose(c, 10);
            ew_draw_write(w,
                          die < 7   ? STEP_PUT
                          : die < 9 ? STEP_DELETE
                                    : STEP_DELETE_RANGE,
                          &out->ops[i]);
        }
        break;
    default:
        out->partition = choose(c, w->config.partitions);
        out->key = draw_key(w);
        out->slot = choose(c, WORLD_HELD);
        out->what = choose(c, 64);
        break;
    }
}

void ew_draw_step(struct world *w, struct step *out) {
    fill_step(w, draw_kind(w), out);
}

void ew_draw_put(struct world *w, struct step *out) {
    fill_step(w, STEP_PUT, out);
}

void ew_draw_commit(struct world *w, struct step *out) {
    static const enum step_kind kinds[] = {STEP_PUT, STEP_BATCH, STEP_DELETE, STEP_DELETE_RANGE};
    fill_step(w, kinds[choose(w->choice, 4)], out);
}

void ew_draw_victim(struct world *w, const struct simfs_fault *f, struct step *out) {
    static const enum step_kind writes[] = {STEP_PUT, STEP_BATCH, STEP_SYNC, STEP_TXN};
    static const enum step_kind dumps[] = {STEP_DUMP, STEP_COMPACT, STEP_COMPACT, STEP_REOPEN};
    static const enum step_kind edits[] = {STEP_CREATE, STEP_DROP, STEP_DUMP, STEP_COMPACT};
    static const enum step_kind opens[] = {STEP_REOPEN, STEP_REOPEN, STEP_REOPEN, STEP_READ_ONLY};
    static const enum step_kind rewrites[] = {STEP_DUMP, STEP_DUMP, STEP_DUMP, STEP_DUMP};
    static const enum step_kind copies[] = {STEP_INGEST, STEP_CHECKPOINT, STEP_BACKUP,
                                            STEP_RESTORE};
    const enum step_kind *const groups[] = {writes, dumps, edits, opens, rewrites, copies};
    struct choice *c = w->choice;
    const char *p = f->pattern;
    unsigned group = choose(c, 4);
    if (f->ops == SIMFS_DIR_SYNC)
        group = 1 + choose(c, 3);
    else if (f->ops & (SIMFS_LOOK | SIMFS_READ))
        group = 3;
    else if (p && strcmp(p, "ROOT") == 0)
        group = choose(c, 2) ? 4 : 3;
    else if (p && strcmp(p, ".wal") == 0)
        group = choose_one_in(c, 4) ? 3 : 0;
    else if (p && strcmp(p, ".sst") == 0)
        group = choose_one_in(c, 4) ? 3 : 1;
    else if (p)
        group = choose(c, 3) > 0 ? 2 + choose(c, 2) : 0;
    if (choose_one_in(c, 5))
        group = 5;
    fill_step(w, groups[group][choose(c, 4)], out);
    /* A commit edits the manifest when its record needs another segment. */
    if (p && strcmp(p, "MANIFEST") == 0 && out->count > 0 && out->ops[0].kind == STEP_PUT)
        out->ops[0].size = (unsigned)w->config.tuning.segment_bytes;
    out->sync = out->sync || (f->ops & SIMFS_SYNC && choose(c, 4) > 0);
}

void ew_draw_fault(struct choice *c, struct simfs_fault *f) {
    static const struct {
        unsigned ops, patterns;
    } kinds[] = {{SIMFS_SYNC, 5},
                 {SIMFS_WRITE, 5},
                 {SIMFS_DIR_SYNC, 1},
                 {SIMFS_CREATE, 4},
                 {SIMFS_READ | SIMFS_OPEN, 5},
                 {SIMFS_SYNC | SIMFS_WRITE, 5},
                 {SIMFS_MUTATE, 5},
                 {SIMFS_TRUNCATE, 2},
                 {SIMFS_RENAME, 1},
                 {SIMFS_REMOVE, 4},
                 {SIMFS_LOOK | SIMFS_OPEN, 5},
                 {SIMFS_CLOSE, 5},
                 {SIMFS_SUBMIT, 1},
                 {SIMFS_SYNC, 5}};
    static const char *const patterns[] = {NULL, ".wal", ".sst", "MANIFEST", "ROOT"};
    unsigned kind = choose(c, sizeof kinds / sizeof kinds[0]);
    *f = (struct simfs_fault){.ops = kinds[kind].ops,
                              .pattern = patterns[choose(c, kinds[kind].patterns)]};
    /* Every other one meets the log or the manifest, where outcomes become unknown, or names. */
    if (choose(c, 2)) {
        static const unsigned ops[] = {SIMFS_SYNC, SIMFS_WRITE, SIMFS_SYNC, SIMFS_WRITE,
                                       SIMFS_DIR_SYNC};
        f->ops = ops[choose(c, 5)];
        f->pattern = f->ops == SIMFS_DIR_SYNC ? NULL : choose(c, 3) ? ".wal" : "MANIFEST";
    }
    bool rare = f->pattern || f->ops == SIMFS_DIR_SYNC;
    f->nth = 1 + choose(c, 1u << choose(c, rare ? 3 : 5));
    f->sticky = choose_one_in(c, 4);
    f->code = choose_one_in(c, 2) ? LAM_NO_SPACE : LAM_IO;
    unsigned how = choose(c, 3);
    if (f->ops == SIMFS_SYNC)
        f->effect = how == 0 ? SIMFS_FAIL : how == 1 ? SIMFS_FSYNC_EXT4 : SIMFS_FSYNC_BTRFS;
    else if (f->ops == SIMFS_WRITE)
        f->effect = how == 0 ? SIMFS_FAIL : how == 1 ? SIMFS_SHORT : SIMFS_FAIL_DONE;
    else if (f->ops == SIMFS_RENAME || f->ops == SIMFS_DIR_SYNC || f->ops == SIMFS_CREATE)
        f->effect = how < 2 ? SIMFS_FAIL : SIMFS_FAIL_DONE;
    else if (f->ops & SIMFS_READ)
        f->effect = how < 2 ? SIMFS_FAIL : SIMFS_SHORT;
}

/* The alphabet of the exhaustive scripts. */
void ew_script_step(struct world *w, uint8_t letter, struct step *out) {
    (void)w;
    memset(out, 0, sizeof *out);
    struct write_op put = {.kind = STEP_PUT, .size = 20}, del = {.kind = STEP_DELETE};
    out->count = 1;
    out->ops[0] = put;
    switch (letter) {
    case 0:
        out->kind = STEP_PUT;
        break;
    case 1:
        out->kind = STEP_PUT;
        out->sync = true;
        out->ops[0].key = 1;
        break;
    case 2:
        out->kind = STEP_PUT; /* does not fit the segment */
        out->ops[0].key = 2;
        out->ops[0].size = 700;
        break;
    case 3:
        out->kind = STEP_DELETE;
        out->ops[0] = del;
        break;
    case 4:
        out->kind = STEP_DELETE_RANGE;
        out->ops[0] = (struct write_op){.kind = STEP_DELETE_RANGE, .to = 2, .back = UINT64_MAX};
        break;
    case 5:
        out->kind = STEP_BATCH;
        out->count = 3;
        out->ops[1] = (struct write_op){.kind = STEP_PUT, .partition = 1, .key = 3, .size = 30};
        out->ops[2] = (struct write_op){.kind = STEP_DELETE, .key = 1};
        out->sync = true;
        break;
    case 6:
        out->kind = STEP_DUMP;
        break;
    case 7:
        out->kind = STEP_COMPACT;
        break;
    case 8:
        out->kind = STEP_CREATE;
        out->partition = 1;
        break;
    case 9:
        out->kind = STEP_DROP;
        break;
    case 10:
        out->kind = STEP_REOPEN;
        break;
    default:
        out->kind = STEP_CRASH;
        break;
    }
}
