/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's part of the canonical workload. */
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/rng.h"
#include "lsm/filename.h"
#include "tests/fault/script_impl.h"

#define KEYS       20 /* of alpha and beta, and of gamma's first range */
#define LARGE_SIZE 66000

static const char *const names[SCRIPT_PARTITIONS] = {"alpha", "beta", "gamma"};
enum { ALPHA, BETA, GAMMA };

/* --- values --------------------------------------------------------------------------------- */

/* A value is made from its id alone: ids that end in 7 are long, those below 100 very long. */
static uint32_t value_size(uint32_t id) {
    return id < 100 ? LARGE_SIZE + id : id % 10 == 7 ? 700 + id % 500 : 16 + id % 90;
}

static uint8_t value_bytes[LARGE_SIZE + 128];

static struct lam_slice value_of(uint32_t id) {
    struct rng rng;
    uint32_t size = value_size(id);
    rng_init(&rng, id);
    for (uint32_t i = 0; i < size; i += 8) {
        uint64_t word = rng_next(&rng);
        memcpy(value_bytes + i, &word, 8);
    }
    memcpy(value_bytes, &id, sizeof id);
    return lam_slice_of(value_bytes, size);
}

static struct lam_slice key_of(uint32_t k, char out[16]) {
    return lam_slice_of(out, (size_t)snprintf(out, 16, "key%03u", k));
}

/* --- steps ---------------------------------------------------------------------------------- */

static enum lam_code nothing(struct script *s, unsigned arg) {
    (void)s;
    (void)arg;
    return LAM_OK;
}

static enum lam_code create(struct script *s, unsigned p) {
    struct lam_partition_options o = {
        .compression = p == BETA    ? LAM_COMPRESSION_LZ4
                       : p == GAMMA ? LAM_COMPRESSION_NONE
                                    : LAM_COMPRESSION_DEFAULT,
    };
    return lam_partition_create(s->db, names[p], &o, &s->partitions[p], &s->err);
}

static enum lam_code create_probe(struct script *s, unsigned arg) {
    (void)arg;
    struct lam_partition_options o = {.ttl_seconds = 3600};
    return lam_partition_create(s->db, "probe", &o, &s->probe_partition, &s->err);
}

static enum lam_code drop(struct script *s, unsigned p) {
    struct lam_read_options o = {0};
    /* Reads on while its partition goes. */
    if (!s->dropped_iter) {
        enum lam_code rc = lam_iter_new(s->db, &o, s->partitions[p], &s->dropped_iter, &s->err);
        if (rc != LAM_OK)
            return rc;
        lam_iter_seek_first(s->dropped_iter);
    }
    enum lam_code rc = lam_partition_drop(s->db, s->partitions[p], &s->err);
    if (rc == LAM_OK) {
        lam_partition_release(s->partitions[p]);
        s->partitions[p] = NULL;
    }
    return rc;
}

/* What is left of a dropped partition is read to its end. */
static enum lam_code read_dropped(struct script *s, unsigned arg) {
    (void)arg;
    if (!s->dropped_iter)
        return LAM_OK;
    unsigned rows = 0;
    lam_iter_seek_first(s->dropped_iter);
    for (; lam_iter_valid(s->dropped_iter); lam_iter_next(s->dropped_iter))
        rows++;
    enum lam_code rc = lam_iter_status(s->dropped_iter, &s->err);
    if (rc != LAM_OK)
        return rc;
    lam_iter_free(s->dropped_iter);
    s->dropped_iter = NULL;
    if (rows == 0) {
        fprintf(stderr, "script: the dropped partition was empty\n");
        abort();
    }
    return LAM_OK;
}

static enum lam_code add_op(struct script *s, lam_batch *b, struct rng *rng, uint32_t id) {
    char k1[16], k2[16];
    lam_partition *p = s->partitions[rng_below(rng, SCRIPT_PARTITIONS)];
    uint32_t k = (uint32_t)rng_below(rng, KEYS), dice = (uint32_t)rng_below(rng, 12);
    uint32_t to = k + 1 + (uint32_t)rng_below(rng, 4);
    if (!p)
        return LAM_OK;
    if (dice < 9)
        return lam_batch_put(b, p, key_of(k, k1), value_of(id), &s->err);
    if (dice < 11)
        return lam_batch_delete(b, p, key_of(k, k1), &s->err);
    return lam_batch_delete_range(b, p, key_of(k, k1), key_of(to, k2), LAM_SEQUENCE_MAX, &s->err);
}

static enum lam_code write_batch(struct script *s, unsigned number, unsigned count, bool sync) {
    lam_batch *b;
    struct rng rng;
    rng_init(&rng, number);
    enum lam_code rc = lam_batch_new(s->db, &b, &s->err);
    if (rc != LAM_OK)
        return rc;
    for (unsigned i = 0; i < count && rc == LAM_OK; i++)
        rc = add_op(s, b, &rng, 1000 + number * 40 + i);
    struct lam_write_options o = {sync ? LAM_DURABILITY_SYNC : LAM_DURABILITY_OS};
    if (rc == LAM_OK)
        rc = lam_write(s->db, &o, b, NULL, &s->err);
    lam_batch_free(b);
    return rc;
}

static enum lam_code batch(struct script *s, unsigned number) {
    return write_batch(s, number, 2 + number % 6, false);
}
static enum lam_code batch_synced(struct script *s, unsigned number) {
    return write_batch(s, number, 2 + number % 6, true);
}
static enum lam_code batch_wide(struct script *s, unsigned number) {
    return write_batch(s, number, 30, false);
}
static enum lam_code batch_empty(struct script *s, unsigned number) {
    return write_batch(s, number, 0, false);
}

static enum lam_code put(struct script *s, unsigned k) {
    char key[16];
    return lam_put(s->db, NULL, s->partitions[ALPHA], key_of(k, key), value_of(500 + k), &s->err);
}
static enum lam_code delete (struct script *s, unsigned k) {
    char key[16]; return lam_delete(s->db, NULL, s->partitions[ALPHA], key_of(k, key), &s->err);
}

/* A record that is written in two pieces. */
static enum lam_code put_large(struct script *s, unsigned id) {
    char key[16];
    struct lam_write_options o = {id % 2 ? LAM_DURABILITY_SYNC : LAM_DURABILITY_OS};
    return lam_put(s->db, &o, s->partitions[ALPHA], key_of(0, key), value_of(id), &s->err);
}

/* Keys in rising order, in a range of gamma that nothing else touches. */
static enum lam_code put_run(struct script *s, unsigned from) {
    lam_batch *b;
    char key[16];
    enum lam_code rc = lam_batch_new(s->db, &b, &s->err);
    if (rc != LAM_OK)
        return rc;
    for (unsigned i = 0; i < 8 && rc == LAM_OK; i++)
        rc = lam_batch_put(b, s->partitions[GAMMA], key_of(from + i, key),
                           value_of(9000 + from + i), &s->err);
    if (rc == LAM_OK)
        rc = lam_write(s->db, NULL, b, NULL, &s->err);
    lam_batch_free(b);
    return rc;
}

/* The same past log and memtables. */
static enum lam_code ingest_run(struct script *s, unsigned from) {
    lam_ingest *g;
    char key[16];
    enum lam_code rc = lam_ingest_new(s->db, s->partitions[GAMMA], &g, &s->err);
    if (rc != LAM_OK)
        return rc;
    for (unsigned i = 0; i < 8 && rc == LAM_OK; i++)
        rc = lam_ingest_put(g, key_of(from + i, key), value_of(9000 + from + i), &s->err);
    if (rc == LAM_OK)
        return lam_ingest_finish(g, NULL, &s->err);
    lam_ingest_abort(g);
    return rc;
}

static enum lam_code note_mark(struct script *s, unsigned arg) {
    (void)arg;
    struct lam_stats stats;
    lam_db_stats(s->db, &stats);
    s->mark = stats.sequence;
    return LAM_OK;
}

static enum lam_code delete_marked(struct script *s, unsigned p) {
    char from[16];
    lam_batch *b;
    enum lam_code rc = lam_batch_new(s->db, &b, &s->err);
    if (rc != LAM_OK)
        return rc;
    rc = lam_batch_delete_range(b, s->partitions[p], key_of(5, from), lam_slice_of(NULL, 0),
                                s->mark, &s->err);
    if (rc == LAM_OK)
        rc = lam_write(s->db, NULL, b, NULL, &s->err);
    lam_batch_free(b);
    return rc;
}

static enum lam_code sync_all(struct script *s, unsigned arg) {
    (void)arg;
    return lam_sync(s->db, UINT64_MAX, &s->err);
}
static enum lam_code dump_all(struct script *s, unsigned arg) {
    (void)arg;
    return lam_db_dump(s->db, &s->err);
}
static enum lam_code compact_one(struct script *s, unsigned p) {
    return lam_db_compact(s->db, s->partitions[p], &s->err);
}
static enum lam_code compact_all(struct script *s, unsigned arg) {
    (void)arg;
    return lam_db_compact(s->db, NULL, &s->err);
}

static enum lam_code dump_rows(struct script *s, const lam_snapshot *at, FILE *out);

/* A snapshot of everything and an iterator in the middle of alpha, held over what follows. */
static enum lam_code hold(struct script *s, unsigned arg) {
    (void)arg;
    char key[16], *text = NULL;
    size_t size;
    enum lam_code rc = lam_snapshot_new(s->db, &s->snapshot, &s->err);
    if (rc != LAM_OK)
        return rc;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        abort();
    rc = dump_rows(s, s->snapshot, out);
    fclose(out);
    if (rc == LAM_OK) {
        struct lam_read_options o = {.snapshot = s->snapshot};
        rc = lam_iter_new(s->db, &o, s->partitions[ALPHA], &s->iter, &s->err);
    }
    if (rc == LAM_OK) {
        lam_iter_seek(s->iter, key_of(KEYS / 2, key));
        rc = lam_iter_status(s->iter, &s->err);
    }
    if (rc == LAM_OK) {
        free(s->held);
        s->held = text;
        return LAM_OK;
    }
    free(text);
    lam_iter_free(s->iter);
    lam_snapshot_free(s->snapshot);
    s->iter = NULL;
    s->snapshot = NULL;
    return rc;
}

/* The snapshot shows what it showed. After a reopen there is none any more. */
static enum lam_code look_at_held(struct script *s) {
    char *text = NULL;
    size_t size;
    if (!s->snapshot)
        return LAM_OK;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        abort();
    enum lam_code rc = dump_rows(s, s->snapshot, out);
    fclose(out);
    if (rc == LAM_OK && strcmp(text, s->held) != 0) {
        printf("the held snapshot showed\n%snow it shows\n%s", s->held, text);
        free(text);
        fflush(stdout);
        abort();
    }
    free(text);
    return rc;
}

static enum lam_code let_go(struct script *s, unsigned arg) {
    (void)arg;
    char key[16];
    enum lam_code rc = look_at_held(s);
    if (rc == LAM_OK && s->iter) {
        /* An iterator that failed is good again after a seek. */
        if (!lam_iter_valid(s->iter))
            lam_iter_seek(s->iter, key_of(KEYS / 2, key));
        for (; lam_iter_valid(s->iter); lam_iter_prev(s->iter))
            ;
        rc = lam_iter_status(s->iter, &s->err);
    }
    if (rc != LAM_OK)
        return rc;
    lam_iter_free(s->iter);
    lam_snapshot_free(s->snapshot);
    s->iter = NULL;
    s->snapshot = NULL;
    return LAM_OK;
}

static enum lam_code reopen(struct script *s, unsigned arg) {
    (void)arg;
    return script_reopen(s);
}
static enum lam_code killed(struct script *s, unsigned arg) {
    (void)arg;
    return script_die(s, false);
}
static enum lam_code power_loss(struct script *s, unsigned arg) {
    (void)arg;
    enum lam_code rc = lam_sync(s->db, UINT64_MAX, &s->err);
    return rc == LAM_OK ? script_die(s, true) : rc;
}
static enum lam_code to_background(struct script *s, unsigned on) {
    enum lam_code rc = script_close(s);
    s->background = on;
    return rc == LAM_OK ? script_open(s) : rc;
}

/* Read-only for a look, then open for writing again. */
static enum lam_code look_read_only(struct script *s, unsigned arg) {
    (void)arg;
    enum lam_code rc = script_close(s);
    if (rc != LAM_OK)
        return rc;
    s->read_only = true;
    rc = script_open(s);
    if (rc == LAM_OK) {
        char *text = script_dump(s);
        rc = text ? LAM_OK : s->err.code;
        free(text);
    }
    if (rc == LAM_OK)
        rc = lam_db_check(s->db, NULL, NULL, &s->err);
    enum lam_code closed = script_close(s);
    s->read_only = false;
    if (rc == LAM_OK)
        rc = closed;
    return rc == LAM_OK ? script_open(s) : rc;
}

static enum lam_code check_open(struct script *s, unsigned arg) {
    (void)arg;
    return lam_db_check(s->db, NULL, NULL, &s->err);
}
static enum lam_code check_closed(struct script *s, unsigned arg) {
    (void)arg;
    enum lam_code rc = script_close(s);
    return rc == LAM_OK ? lam_check(s->dir, s->env, NULL, NULL, &s->err) : rc;
}

/* An hour and more goes by: what the probe wrote expires. */
static enum lam_code let_time_pass(struct script *s, unsigned us) {
    if (s->hooks.advance)
        s->hooks.advance(s->hooks.arg, us);
    return LAM_OK;
}

static const struct {
    const char *name;
    enum lam_code (*run)(struct script *, unsigned);
    unsigned arg;
    unsigned flags;
} steps[] = {
    {"make the database", nothing, 0, STEP_SYNCS},
    {"create alpha", create, ALPHA, STEP_SYNCS},
    {"create probe", create_probe, 0, STEP_SYNCS},
    {"batch", batch, 1, 0},
    {"create beta", create, BETA, STEP_SYNCS},
    {"batch", batch, 2, 0},
    {"synced batch", batch_synced, 3, STEP_SYNCS},
    {"put", put, 3, 0},
    {"empty batch", batch_empty, 4, 0},
    {"wide batch", batch_wide, 5, 0},
    {"delete", delete, 3, 0},
    {"large put", put_large, 10, 0},
    {"batch after a large put", batch, 6, 0},
    {"batch", batch, 7, 0},
    {"synced batch", batch_synced, 8, STEP_SYNCS},
    {"sync", sync_all, 0, STEP_SYNCS},
    {"hold a snapshot", hold, 0, 0},
    {"wide batch", batch_wide, 9, 0},
    {"dump", dump_all, 0, STEP_SYNCS},
    {"batch", batch, 10, 0},
    {"create gamma", create, GAMMA, STEP_SYNCS},
    {"wide batch", batch_wide, 11, 0},
    {"batch", batch, 12, 0},
    {"compact alpha", compact_one, ALPHA, STEP_SYNCS},
    {"let the snapshot go", let_go, 0, 0},
    {"compact", compact_all, 0, STEP_SYNCS},
    {"batch", batch, 13, 0},
    {"reopen with a short log", reopen, 0, STEP_SYNCS},
    {"batch", batch, 14, 0},
    {"mark", note_mark, 0, 0},
    {"wide batch", batch_wide, 15, 0},
    {"delete up to the mark", delete_marked, BETA, 0},
    {"batch", batch, 16, 0},
    {"process killed", killed, 0, 0},
    {"synced large put", put_large, 11, STEP_SYNCS},
    {"batch", batch, 17, 0},
    {"hold a snapshot", hold, 0, 0},
    {"drop beta", drop, BETA, STEP_SYNCS},
    {"batch", batch, 18, 0},
    {"compact", compact_all, 0, STEP_SYNCS},
    {"read the dropped", read_dropped, 0, 0},
    {"let the snapshot go", let_go, 0, 0},
    {"create beta again", create, BETA, STEP_SYNCS},
    {"wide batch", batch_wide, 19, 0},
    {"look read-only", look_read_only, 0, STEP_SYNCS},
    {"run of keys", put_run, 100, 0},
    {"dump", dump_all, 0, STEP_SYNCS},
    {"run of keys", put_run, 110, 0},
    {"dump", dump_all, 0, STEP_SYNCS},
    {"run of keys", put_run, 120, 0},
    {"dump", dump_all, 0, STEP_SYNCS},
    {"run of keys", put_run, 130, 0},
    {"dump", dump_all, 0, STEP_SYNCS},
    {"run of keys", put_run, 140, 0},
    {"dump", dump_all, 0, STEP_SYNCS},
    {"ingest over what is there", ingest_run, 136, STEP_SYNCS},
    {"checkpoint", script_checkpoint, 0, 0},
    {"compact gamma", compact_one, GAMMA, STEP_SYNCS},
    {"ingest apart", ingest_run, 150, STEP_SYNCS},
    {"backup", script_backup, 0, 0},
    {"power loss", power_loss, 0, STEP_SYNCS},
    {"synced batch", batch_synced, 20, STEP_SYNCS},
    {"work in the background", to_background, 1, STEP_SYNCS},
    {"wide batch", batch_wide, 21, 0},
    {"wide batch", batch_wide, 22, 0},
    {"wide batch", batch_wide, 23, 0},
    {"batch", batch, 24, 0},
    {"wide batch", batch_wide, 25, 0},
    {"wide batch", batch_wide, 26, 0},
    {"reopen with a long log", reopen, 0, STEP_SYNCS},
    {"time passes", let_time_pass, 4000000000u, 0},
    {"wide batch", batch_wide, 27, 0},
    {"compact", compact_all, 0, STEP_SYNCS},
    {"work by hand", to_background, 0, STEP_SYNCS},
    {"large put", put_large, 12, 0},
    {"batch", batch, 28, 0},
    {"process killed", killed, 0, 0},
    {"check", check_open, 0, 0},
    {"check the closed", check_closed, 0, STEP_SYNCS},
    {"close", check_closed, 0, STEP_SYNCS},
};
#define STEPS (sizeof steps / sizeof steps[0])

static const char *step_name(unsigned step) {
    return steps[step].name;
}
static unsigned step_flags(unsigned step) {
    return steps[step].flags;
}
static enum lam_code run_step(struct script *s, unsigned step) {
    return steps[step].run(s, steps[step].arg);
}

/* --- handles -------------------------------------------------------------------------------- */

static enum lam_code pick_up(struct script *s, const char *name, lam_partition **out) {
    enum lam_code rc = lam_partition_open(s->db, name, out, &s->err);
    return rc == LAM_NOT_FOUND ? LAM_OK : rc;
}

static enum lam_code opened(struct script *s) {
    enum lam_code rc = pick_up(s, "probe", &s->probe_partition);
    for (int p = 0; p < SCRIPT_PARTITIONS && rc == LAM_OK; p++)
        rc = pick_up(s, names[p], &s->partitions[p]);
    return rc;
}

static void forget(struct script *s) {
    memset(s->partitions, 0, sizeof s->partitions);
    s->probe_partition = NULL;
    s->iter = s->dropped_iter = NULL;
    s->snapshot = NULL;
}

static void closing(struct script *s) {
    for (int p = 0; p < SCRIPT_PARTITIONS; p++)
        lam_partition_release(s->partitions[p]);
    lam_partition_release(s->probe_partition);
    lam_iter_free(s->iter);
    lam_iter_free(s->dropped_iter);
    lam_snapshot_free(s->snapshot);
    forget(s);
}

/* --- looking -------------------------------------------------------------------------------- */

static enum lam_code dump_row(struct script *s, const lam_snapshot *at, lam_partition *p,
                              struct lam_slice key, struct lam_slice value, FILE *out) {
    uint32_t id = 0;
    if (value.size >= sizeof id)
        memcpy(&id, value.data, sizeof id);
    struct lam_slice want = value_of(id);
    bool same = value.size == want.size && memcmp(value.data, want.data, want.size) == 0;
    struct lam_value copy = {0};
    struct lam_pinned pinned = {0};
    struct lam_read_options o = {.snapshot = at};
    enum lam_code rc = id % 2 ? lam_get_pinned(s->db, &o, p, key, &pinned, &s->err)
                              : lam_get(s->db, &o, p, key, &copy, &s->err);
    struct lam_slice got = id % 2 ? pinned.bytes : copy.bytes;
    if (rc == LAM_OK || rc == LAM_NOT_FOUND)
        fprintf(out, "%s %.*s %u%s%s\n", lam_partition_name(p), (int)key.size, key.data, id,
                same ? "" : " WRONG BYTES",
                got.size == want.size && memcmp(got.data, want.data, want.size) == 0
                    ? ""
                    : " GET DIFFERS");
    lam_value_release(&copy);
    lam_pinned_release(&pinned);
    return rc == LAM_NOT_FOUND ? LAM_OK : rc;
}

static enum lam_code dump_partition(struct script *s, const lam_snapshot *at, lam_partition *p,
                                    FILE *out) {
    lam_iter *it;
    struct lam_read_options o = {.snapshot = at};
    enum lam_code rc = lam_iter_new(s->db, &o, p, &it, &s->err);
    if (rc == LAM_NOT_FOUND) /* dropped since the snapshot */
        return LAM_OK;
    if (rc != LAM_OK)
        return rc;
    for (lam_iter_seek_first(it); lam_iter_valid(it) && rc == LAM_OK; lam_iter_next(it))
        rc = dump_row(s, at, p, lam_iter_key(it), lam_iter_value(it), out);
    if (rc == LAM_OK)
        rc = lam_iter_status(it, &s->err);
    lam_iter_free(it);
    return rc;
}

static enum lam_code dump_rows(struct script *s, const lam_snapshot *at, FILE *out) {
    enum lam_code rc = LAM_OK;
    /* Of a snapshot only alpha: the others are dropped and made meanwhile. */
    for (int p = 0; p < (at ? 1 : SCRIPT_PARTITIONS) && rc == LAM_OK; p++)
        if (s->partitions[p])
            rc = dump_partition(s, at, s->partitions[p], out);
    return rc;
}

static bool note_name(void *arg, const char *name) {
    if (strcmp(name, "probe") != 0)
        fprintf(arg, "partition %s\n", name);
    return true;
}

static enum lam_code dump(struct script *s, FILE *out) {
    enum lam_code rc = lam_partition_list(s->db, note_name, out, &s->err);
    if (rc == LAM_OK)
        rc = dump_rows(s, NULL, out);
    return rc == LAM_OK ? look_at_held(s) : rc;
}

static enum lam_code probe(struct script *s, uint64_t value) {
    if (!s->probe_partition)
        return LAM_NOT_FOUND;
    return lam_put(s->db, NULL, s->probe_partition, lam_slice_str("probe"),
                   lam_slice_of(&value, sizeof value), &s->err);
}

static enum lam_code probe_read(struct script *s, uint64_t *value_out) {
    struct lam_value v = {0};
    if (!s->probe_partition)
        return LAM_NOT_FOUND;
    enum lam_code rc =
        lam_get(s->db, NULL, s->probe_partition, lam_slice_str("probe"), &v, &s->err);
    if (rc == LAM_OK && v.bytes.size == sizeof *value_out)
        memcpy(value_out, v.bytes.data, sizeof *value_out);
    lam_value_release(&v);
    return rc;
}

static enum lam_code upkeep(struct script *s) {
    enum lam_code rc = lam_db_dump(s->db, &s->err);
    return rc == LAM_OK ? lam_db_compact(s->db, NULL, &s->err) : rc;
}

struct names {
    uint64_t ssts, others;
};
static bool count_name(void *arg, const char *name) {
    struct names *n = arg;
    uint64_t number;
    enum file_type type = filename_parse(name, &number);
    n->ssts += type == FILE_SST;
    if (type == FILE_TEMP) {
        n->others++;
        printf("left over: %s\n", name);
    }
    return true;
}

static bool files(struct script *s) {
    struct names n = {0};
    struct lam_stats stats;
    lam_db_stats(s->db, &stats);
    if (env_dir_list(s->env, s->dir, count_name, &n, &s->err) != LAM_OK)
        return false;
    if (n.ssts != stats.sst_files)
        printf("%llu SSTs in the directory, %llu in use\n", (unsigned long long)n.ssts,
               (unsigned long long)stats.sst_files);
    return n.ssts == stats.sst_files && n.others == 0;
}

const struct script_part_ops script_engine = {
    .steps = STEPS,
    .name = step_name,
    .flags = step_flags,
    .run = run_step,
    .opened = opened,
    .closing = closing,
    .forget = forget,
    .dump = dump,
    .probe = probe,
    .probe_read = probe_read,
    .upkeep = upkeep,
    .files = files,
};
