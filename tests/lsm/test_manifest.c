/* SPDX-License-Identifier: Apache-2.0 */
#include "lsm/manifest.h"

#include "base/arena.h"
#include "base/rng.h"
#include "lsm/log_format.h"
#include "lsm/superblock.h"
#include "tests/lsm/files.h"
#include "tests/lsm/manifests.h"
#include "tests/support/env_fault.h"

#define ROOT_FILE DIR "/ROOT"
#define MANIFEST1 DIR "/MANIFEST-000001"
#define MANIFEST5 DIR "/MANIFEST-000005"

/* --- edits --------------------------------------------------------------------------------- */

static const struct manifest_edit initial = {.has_next_number = true, .next_number = 2};
static const struct manifest_edit closing = {
    .clean_close = true, .has_last_sequence = true, .last_sequence = 9};

static struct manifest_edit numbered(uint64_t n) {
    return (struct manifest_edit){.has_last_sequence = true, .last_sequence = n};
}

static void random_key(struct rng *rng, struct arena *arena, struct lam_slice *out) {
    size_t size = rng_below(rng, 20);
    uint8_t *bytes = arena_alloc(arena, size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)rng_next(rng);
    *out = lam_slice_of(bytes, size);
}

static uint64_t random_number(struct rng *rng) {
    return rng_next(rng) >> rng_below(rng, 64);
}

static void random_file(struct rng *rng, struct arena *arena, struct manifest_file *f) {
    f->partition = random_number(rng);
    f->level = (uint32_t)random_number(rng);
    f->number = random_number(rng);
    f->size_bytes = random_number(rng);
    f->footer_checksum = rng_next(rng);
    f->largest_open = rng_below(rng, 2);
    random_key(rng, arena, &f->smallest);
    random_key(rng, arena, &f->largest);
    f->properties = (struct sst_properties){
        .entries = random_number(rng),
        .deletes = random_number(rng),
        .range_tombstones = random_number(rng),
        .raw_bytes = random_number(rng),
        .sequence_min = random_number(rng),
        .sequence_max = random_number(rng),
        .written_us = (int64_t)rng_next(rng),
    };
}

static struct manifest_edit random_edit(struct rng *rng, struct arena *arena) {
    struct manifest_edit e = {0};
    e.has_next_number = rng_below(rng, 2);
    e.next_number = e.has_next_number ? random_number(rng) : 0;
    e.has_last_sequence = rng_below(rng, 2);
    e.last_sequence = e.has_last_sequence ? random_number(rng) : 0;
    e.has_wal_floor = rng_below(rng, 2);
    e.wal_floor = e.has_wal_floor ? random_number(rng) : 0;
    e.clean_close = rng_below(rng, 2);
    struct manifest_partition *created = arena_calloc(arena, 4, sizeof *created);
    uint64_t *dropped = arena_calloc(arena, 4, sizeof *dropped);
    struct manifest_file *added = arena_calloc(arena, 4, sizeof *added);
    struct manifest_removed *removed = arena_calloc(arena, 4, sizeof *removed);
    struct manifest_wal *wals = arena_calloc(arena, 4, sizeof *wals);
    for (size_t i = 0; i < 4; i++) {
        created[i].number = random_number(rng);
        created[i].name = lam_slice_str(arena_format(arena, "p%llu", (unsigned long long)i));
        created[i].options.ttl_seconds = (uint32_t)rng_next(rng);
        created[i].options.compression = (enum lam_compression)rng_below(rng, 3);
        dropped[i] = random_number(rng);
        random_file(rng, arena, &added[i]);
        removed[i] = (struct manifest_removed){random_number(rng), (uint32_t)rng_next(rng),
                                               random_number(rng)};
        wals[i] = (struct manifest_wal){random_number(rng), random_number(rng), rng_next(rng)};
    }
    e.created = created;
    e.created_count = rng_below(rng, 5);
    e.dropped = dropped;
    e.dropped_count = rng_below(rng, 5);
    e.added = added;
    e.added_count = rng_below(rng, 5);
    e.removed = removed;
    e.removed_count = rng_below(rng, 5);
    e.wals = wals;
    e.wals_count = rng_below(rng, 5);
    return e;
}

static void expect_same_file(const struct manifest_file *a, const struct manifest_file *b) {
    ck_assert_uint_eq(a->partition, b->partition);
    ck_assert_uint_eq(a->level, b->level);
    ck_assert_uint_eq(a->number, b->number);
    ck_assert_uint_eq(a->size_bytes, b->size_bytes);
    ck_assert_uint_eq(a->footer_checksum, b->footer_checksum);
    ck_assert(slice_eq(a->smallest, b->smallest) && slice_eq(a->largest, b->largest));
    ck_assert(a->largest_open == b->largest_open);
    ck_assert_int_eq(memcmp(&a->properties, &b->properties, sizeof a->properties), 0);
}

static void expect_same(const struct manifest_edit *a, const struct manifest_edit *b) {
    ck_assert(a->has_next_number == b->has_next_number && a->next_number == b->next_number);
    ck_assert(a->has_last_sequence == b->has_last_sequence);
    ck_assert_uint_eq(a->last_sequence, b->last_sequence);
    ck_assert(a->has_wal_floor == b->has_wal_floor && a->wal_floor == b->wal_floor);
    ck_assert(a->clean_close == b->clean_close);
    ck_assert(a->created_count == b->created_count && a->dropped_count == b->dropped_count);
    ck_assert(a->added_count == b->added_count && a->removed_count == b->removed_count);
    ck_assert_uint_eq(a->wals_count, b->wals_count);
    for (size_t i = 0; i < a->created_count; i++) {
        ck_assert_uint_eq(a->created[i].number, b->created[i].number);
        ck_assert(slice_eq(a->created[i].name, b->created[i].name));
        ck_assert(a->created[i].options.compression == b->created[i].options.compression);
        ck_assert_uint_eq(a->created[i].options.ttl_seconds, b->created[i].options.ttl_seconds);
    }
    for (size_t i = 0; i < a->dropped_count; i++)
        ck_assert_uint_eq(a->dropped[i], b->dropped[i]);
    for (size_t i = 0; i < a->added_count; i++)
        expect_same_file(&a->added[i], &b->added[i]);
    for (size_t i = 0; i < a->removed_count; i++) {
        ck_assert_uint_eq(a->removed[i].partition, b->removed[i].partition);
        ck_assert_uint_eq(a->removed[i].level, b->removed[i].level);
        ck_assert_uint_eq(a->removed[i].number, b->removed[i].number);
    }
    for (size_t i = 0; i < a->wals_count; i++) {
        ck_assert_uint_eq(a->wals[i].number, b->wals[i].number);
        ck_assert_uint_eq(a->wals[i].end, b->wals[i].end);
        ck_assert_uint_eq(a->wals[i].checksum, b->wals[i].checksum);
    }
}

START_TEST(random_edits_decode_to_what_was_encoded) {
    uint64_t seed = test_seed("random_edits_decode_to_what_was_encoded");
    struct rng rng;
    rng_init(&rng, seed);
    struct arena arena = {0};
    for (int round = 0; round < 300; round++) {
        struct manifest_edit e = random_edit(&rng, &arena);
        struct manifest_edit back;
        struct buf bytes = {0};
        ck_ok(manifest_edit_encode(&e, &bytes, &err), &err);
        ck_ok(manifest_edit_decode(buf_slice(&bytes), &arena, &back, &err), &err);
        expect_same(&e, &back);
        /* Every proper prefix is malformed or an edit that lacks the last parts. */
        for (size_t cut = 0; cut < bytes.size; cut++) {
            enum lam_code rc =
                manifest_edit_decode(lam_slice_of(bytes.data, cut), &arena, &back, &err);
            ck_assert(rc == LAM_OK || rc == LAM_CORRUPT);
        }
        buf_fini(&bytes);
        arena_reset(&arena);
    }
    arena_fini(&arena);
}
END_TEST

START_TEST(decoder_refuses_what_no_encoder_makes) {
    static const struct {
        const char *why;
        const char *bytes;
        size_t size;
    } bad[] = {
        {"unknown tag", "\x0a", 1},
        {"tag zero", "\x00", 1},
        {"repeated tag", "\x01\x05\x01\x05", 4},
        {"falling tags", "\x02\x05\x01\x05", 4},
        {"missing number", "\x01", 1},
        {"long form of a number", "\x01\x85\x00", 3},
        {"empty list", "\x06\x00", 2},
        {"list longer than the edit", "\x06\xff\xff\xff\xff\x0f\x01", 7},
        {"empty partition name", "\x05\x01\x03\x00\x00\x00", 6},
        {"name with NUL", "\x05\x01\x03\x01\x00\x00\x00", 7},
        {"name that is not UTF-8", "\x05\x01\x03\x01\xff\x00\x00", 7},
        {"unknown compression", "\x05\x01\x03\x01p\x07\x00", 7},
    };
    struct arena arena = {0};
    struct manifest_edit e;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct lam_slice s = lam_slice_of(bad[i].bytes, bad[i].size);
        ck_assert_msg(manifest_edit_decode(s, &arena, &e, &err) == LAM_CORRUPT, "%s", bad[i].why);
    }
    arena_fini(&arena);
    struct manifest_partition nameless = {.number = 3};
    struct manifest_edit unsound = {.created = &nameless, .created_count = 1};
    struct buf out = {0};
    ck_code(manifest_edit_encode(&unsound, &out, &err), LAM_INVALID);
    buf_fini(&out);
}
END_TEST

/* --- root and log -------------------------------------------------------------------------- */

struct seen {
    uint64_t edits;
    uint64_t last_sequence;
    bool closed;
};

static enum lam_code see(void *arg, const struct manifest_edit *edit, struct lam_error *e) {
    struct seen *s = arg;
    (void)e;
    s->edits++;
    if (edit->has_last_sequence)
        s->last_sequence = edit->last_sequence;
    s->closed = edit->clean_close;
    return LAM_OK;
}

static struct manifest_root root;
static struct seen seen;

static enum lam_code load(lam_env *in) {
    memset(&seen, 0, sizeof seen);
    memset(&root, 0, sizeof root);
    return manifest_load(in, DIR, &root, see, &seen, &err);
}

static struct manifest *create(void) {
    struct manifest *m;
    ck_ok(manifest_create(env, DIR, db_id, &initial, &m, &err), &err);
    return m;
}

static void append(struct manifest *m, uint64_t n) {
    struct manifest_edit e = numbered(n);
    ck_ok(manifest_append(m, &e, &err), &err);
}

static struct manifest *rewrite(uint64_t number) {
    struct manifest *m;
    struct manifest_edit e = numbered(100 + number);
    ck_ok(load(env), &err);
    ck_ok(manifest_rewrite(env, DIR, &root, number, &e, &m, &err), &err);
    return m;
}

START_TEST(edits_read_back_after_create_rewrite_and_seal) {
    env_start();
    ck_code(load(env), LAM_NOT_FOUND);
    struct manifest *m = create();
    ck_assert_uint_eq(manifest_number(m), 1);
    append(m, 5);
    ck_ok(load(env), &err);
    ck_assert_uint_eq(seen.edits, 2);
    ck_assert_uint_eq(seen.last_sequence, 5);
    ck_assert(!root.sealed && !root.torn_tail);
    ck_assert_int_eq(memcmp(root.db_id, db_id, 16), 0);
    manifest_close(m);
    m = rewrite(5);
    ck_assert_uint_eq(manifest_number(m), 5);
    append(m, 6);
    ck_assert_uint_gt(manifest_size(m), LOG_HEADER_BYTES + 2 * LOG_RECORD_BYTES);
    ck_ok(manifest_seal(m, &closing, &err), &err);
    struct manifest_edit late = numbered(7);
    ck_code(manifest_append(m, &late, &err), LAM_READ_ONLY);
    manifest_close(m);
    ck_ok(load(env), &err);
    ck_assert(root.sealed && seen.closed);
    ck_assert_uint_eq(root.manifest_number, 5);
    ck_assert_uint_eq(seen.edits, 3);
    m = rewrite(9);
    ck_ok(load(env), &err);
    ck_assert(!root.sealed && !seen.closed);
    ck_assert_uint_eq(root.manifest_number, 9);
    manifest_close(m);
    /* Again in the same session, with a root that is out of date. */
    struct manifest_edit e = numbered(8);
    ck_ok(manifest_rewrite(env, DIR, &root, 12, &e, &m, &err), &err);
    manifest_close(m);
    ck_ok(manifest_rewrite(env, DIR, &root, 13, &e, &m, &err), &err);
    manifest_close(m);
    ck_ok(load(env), &err);
    ck_assert_uint_eq(root.manifest_number, 13);
    env_end();
}
END_TEST

/* Loads with one byte range of `path` changed by `change` and restores it. */
static enum lam_code load_flipped(const char *path, struct buf *bytes, size_t bit) {
    bytes->data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    set_file(path, bytes->data, bytes->size);
    enum lam_code rc = load(env);
    bytes->data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    return rc;
}

static struct buf whole(const char *path) {
    return file_bytes(path, 1u << 20);
}

START_TEST(sealed_database_notices_every_flip_truncation_growth_and_loss) {
    env_start();
    struct manifest *m = create();
    append(m, 5);
    ck_ok(manifest_seal(m, &closing, &err), &err);
    manifest_close(m);
    const char *paths[] = {ROOT_FILE, MANIFEST1};
    int harmless = 0;
    for (size_t p = 0; p < 2; p++) {
        struct buf bytes = whole(paths[p]);
        for (size_t bit = 0; bit < bytes.size * 8; bit++) {
            enum lam_code rc = load_flipped(paths[p], &bytes, bit);
            if (rc == LAM_OK && p == 0) {
                /* It looks like the begin of a torn write: the other slot says the same. */
                ck_assert(root.sealed && ++harmless <= 8);
                continue;
            }
            ck_assert_msg(rc == LAM_CORRUPT, "%s bit %zu: %s", paths[p], bit, lam_code_name(rc));
            ck_assert(strstr(err.message, "offset") != NULL);
        }
        for (size_t size = 0; size < bytes.size; size++) {
            set_file(paths[p], bytes.data, size);
            ck_code(load(env), LAM_CORRUPT);
        }
        size_t size = bytes.size;
        ck_ok(buf_append_zeros(&bytes, 512, &err), &err);
        set_file(paths[p], bytes.data, size + 1);
        ck_code(load(env), LAM_CORRUPT);
        set_file(paths[p], bytes.data, size + 512);
        ck_code(load(env), LAM_CORRUPT);
        ck_ok(env_file_remove(env, paths[p], &err), &err);
        ck_code(load(env), LAM_CORRUPT);
        set_file(paths[p], bytes.data, size);
        ck_ok(load(env), &err);
        ck_assert(root.sealed);
        buf_fini(&bytes);
    }
    env_end();
}
END_TEST

START_TEST(unsealed_database_survives_one_damaged_slot_but_not_two) {
    env_start();
    struct manifest *m = create();
    append(m, 5);
    manifest_close(m);
    struct buf bytes = whole(ROOT_FILE);
    ck_assert_uint_eq(bytes.size, SUPERBLOCK_BYTES);
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        ck_ok(load_flipped(ROOT_FILE, &bytes, bit), &err);
        ck_assert_uint_eq(seen.last_sequence, 5);
    }
    for (size_t slot = 0; slot < 2; slot++) {
        struct buf bad = {0};
        ck_ok(buf_append_slice(&bad, buf_slice(&bytes), &err), &err);
        memset(bad.data + slot * SUPERBLOCK_SLOT_BYTES, 0, SUPERBLOCK_SLOT_BYTES);
        set_file(ROOT_FILE, bad.data, bad.size);
        /* Rewriting heals the damaged slot first. */
        m = rewrite(5 + slot);
        manifest_close(m);
        struct buf healed = whole(ROOT_FILE);
        for (size_t other = 0; other < 2; other++) {
            memcpy(bad.data, healed.data, healed.size);
            memset(bad.data + other * SUPERBLOCK_SLOT_BYTES, 0xff, SUPERBLOCK_SLOT_BYTES);
            set_file(ROOT_FILE, bad.data, bad.size);
            ck_ok(load(env), &err);
            ck_assert_uint_eq(root.manifest_number, 5 + slot);
        }
        buf_fini(&healed);
        buf_fini(&bad);
    }
    bytes.data[10] ^= 1;
    bytes.data[SUPERBLOCK_SLOT_BYTES + 10] ^= 1;
    set_file(ROOT_FILE, bytes.data, bytes.size);
    ck_code(load(env), LAM_CORRUPT);
    buf_fini(&bytes);
    env_end();
}
END_TEST

START_TEST(flip_in_unsealed_manifest_is_corrupt_or_drops_the_last_edit) {
    env_start();
    struct manifest *m = create();
    append(m, 5);
    append(m, 6);
    uint64_t before = manifest_size(m);
    append(m, 7);
    manifest_close(m);
    struct buf bytes = whole(MANIFEST1);
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        enum lam_code rc = load_flipped(MANIFEST1, &bytes, bit);
        if (bit / 8 < before) {
            ck_assert_msg(rc == LAM_CORRUPT, "bit %zu: %s", bit, lam_code_name(rc));
            ck_contains(err.message, "MANIFEST-000001");
        } else {
            ck_ok(rc, &err);
            ck_assert_uint_eq(seen.last_sequence, 6);
            ck_assert(root.torn_tail);
        }
    }
    for (size_t size = before; size < bytes.size; size++) {
        set_file(MANIFEST1, bytes.data, size);
        ck_ok(load(env), &err);
        ck_assert_uint_eq(seen.last_sequence, 6);
        ck_assert(root.torn_tail == (size > before));
    }
    set_file(MANIFEST1, bytes.data, LOG_HEADER_BYTES);
    ck_code(load(env), LAM_CORRUPT);
    buf_fini(&bytes);
    env_end();
}
END_TEST

START_TEST(files_without_a_root_are_corrupt_unless_creation_made_them) {
    env_start();
    set_file(DIR "/LOCK", "", 0);
    set_file(DIR "/notes.txt", "x", 1);
    ck_code(load(env), LAM_NOT_FOUND);
    static const char *const ours[] = {"000004.wal", "000004.sst", "MANIFEST-000002",
                                       "000004.sst.tmp"};
    for (size_t i = 0; i < 4; i++) {
        char path[64];
        snprintf(path, sizeof path, DIR "/%s", ours[i]);
        set_file(path, "", 0);
        ck_code(load(env), LAM_CORRUPT);
        ck_contains(err.message, ours[i]);
        ck_ok(env_file_remove(env, path, &err), &err);
    }
    /* What an unfinished creation leaves. */
    struct manifest *m = create();
    struct buf first = whole(MANIFEST1);
    ck_ok(env_file_remove(env, ROOT_FILE, &err), &err);
    set_file(DIR "/ROOT.tmp", "half", 4);
    for (size_t size = 0; size <= first.size; size++) {
        set_file(MANIFEST1, first.data, size);
        ck_code(load(env), LAM_NOT_FOUND);
    }
    /* A second edit proves that there was a ROOT. */
    append(m, 5);
    struct buf second = whole(MANIFEST1);
    for (size_t size = first.size + 1; size <= second.size; size++) {
        set_file(MANIFEST1, second.data, size);
        ck_code(load(env), LAM_CORRUPT);
        ck_contains(err.message, "MANIFEST-000001");
    }
    manifest_close(m);
    ck_ok(env_file_remove(env, MANIFEST1, &err), &err);
    m = create();
    manifest_close(m);
    ck_ok(load(env), &err);
    buf_fini(&first);
    buf_fini(&second);
    env_end();
}
END_TEST

/* Life of a database that stops, at mutating operation `stop`, with a failure. What was
 * acknowledged goes to `acked`: 0 nothing, 1 created, else the last sequence of an edit; 1000
 * sealed, 2000 reopened. */
static void life(lam_env *in, uint64_t *acked) {
    struct manifest *m = NULL;
    if (manifest_create(in, DIR, db_id, &initial, &m, &err) != LAM_OK)
        return;
    *acked = 1;
    for (uint64_t n = 2; n < 5; n++) {
        struct manifest_edit e = numbered(n);
        if (manifest_append(m, &e, &err) != LAM_OK)
            goto out;
        *acked = n;
    }
    if (manifest_seal(m, &closing, &err) != LAM_OK)
        goto out;
    *acked = 1000;
    manifest_close(m);
    m = NULL;
    if (load(in) != LAM_OK)
        goto out;
    struct manifest_edit e = numbered(2000);
    if (manifest_rewrite(in, DIR, &root, 5, &e, &m, &err) == LAM_OK)
        *acked = 2000;
out:
    manifest_close(m);
}

static void expect_acked(uint64_t acked, uint64_t stop) {
    bool ok = false;
    if (acked < 5)
        ok = seen.last_sequence == (acked < 2 ? 0 : acked) ||
             seen.last_sequence == (acked < 2 ? 2 : acked + 1) || (acked == 4 && seen.closed);
    else if (acked == 1000)
        ok = seen.last_sequence == 9 || seen.last_sequence == 2000;
    else
        ok = seen.last_sequence == 2000;
    ck_assert_msg(ok, "stop %llu: acked %llu, found %llu", (unsigned long long)stop,
                  (unsigned long long)acked, (unsigned long long)seen.last_sequence);
}

START_TEST(crash_at_every_step_leaves_what_was_acknowledged_or_the_next) {
    uint64_t seed = test_seed("crash_at_every_step_leaves_what_was_acknowledged_or_the_next");
    for (uint64_t stop = 1;; stop++) {
        env_start();
        lam_env *faulty = env_fault_new(env);
        env_fault_arm(faulty, FAULT_MUTATE, stop, LAM_IO, true);
        uint64_t acked = 0;
        life(faulty, &acked);
        uint64_t fired = env_fault_fired(faulty);
        for (uint64_t k = 0; k < 24; k++) {
            lam_env *image;
            enum lam_crash_mode mode = k == 0   ? LAM_CRASH_PROCESS
                                       : k == 1 ? LAM_CRASH_POWER
                                                : LAM_CRASH_POWER_ANY;
            ck_ok(lam_env_mem_crash(env, mode, seed + k, &image, &err), &err);
            enum lam_code rc = load(image);
            if (acked == 0 && rc == LAM_NOT_FOUND) {
                struct manifest *m;
                ck_ok(manifest_create(image, DIR, db_id, &initial, &m, &err), &err);
                manifest_close(m);
                ck_ok(load(image), &err);
            } else {
                ck_ok(rc, &err);
                expect_acked(acked, stop);
            }
            /* Opening for writing works from any image, more than once. */
            for (uint64_t n = 10; n < 12; n++) {
                struct manifest *m;
                struct manifest_edit e = numbered(n);
                ck_ok(manifest_rewrite(image, DIR, &root, n, &e, &m, &err), &err);
                ck_ok(manifest_seal(m, &closing, &err), &err);
                manifest_close(m);
                ck_ok(load(image), &err);
                ck_assert(root.sealed);
            }
            lam_env_mem_free(image);
        }
        env_fault_free(faulty);
        env_end();
        if (fired == 0)
            break;
        ck_assert_uint_lt(stop, 200);
    }
}
END_TEST

START_TEST(slot_torn_while_sealing_or_opening_is_read_past) {
    env_start();
    struct manifest *m = create();
    append(m, 5);
    manifest_close(m);
    struct buf open = whole(ROOT_FILE);
    ck_ok(load(env), &err);
    struct manifest_edit e = numbered(6);
    ck_ok(manifest_rewrite(env, DIR, &root, 5, &e, &m, &err), &err);
    struct buf before = whole(ROOT_FILE);
    ck_ok(manifest_seal(m, &closing, &err), &err);
    manifest_close(m);
    struct buf after = whole(ROOT_FILE);
    /* The first write of the seal went over the older slot, the second over the other one. */
    size_t second =
        before.data[32] > before.data[SUPERBLOCK_SLOT_BYTES + 32] ? 0 : SUPERBLOCK_SLOT_BYTES;
    for (size_t cut = 0; cut <= 128; cut++)
        for (size_t from = 0; from <= cut; from += cut ? cut : 1) {
            struct buf torn = {0};
            size_t size = from ? SUPERBLOCK_SLOT_BYTES - from : cut;
            ck_ok(buf_append_slice(&torn, buf_slice(&before), &err), &err);
            memcpy(torn.data, after.data, SUPERBLOCK_BYTES);
            memcpy(torn.data + second, before.data + second, SUPERBLOCK_SLOT_BYTES);
            memcpy(torn.data + second + from, after.data + second + from, size);
            set_file(ROOT_FILE, torn.data, torn.size);
            ck_ok(load(env), &err);
            ck_assert(root.sealed);
            buf_fini(&torn);
        }
    buf_fini(&open);
    buf_fini(&before);
    buf_fini(&after);
    env_end();
}
END_TEST

/* A crash between the two writes that seal leaves one slot open; the next open writes over it. */
START_TEST(slot_torn_while_opening_what_is_half_sealed_is_read_past) {
    env_start();
    struct manifest *m = create();
    append(m, 5);
    struct buf before = whole(ROOT_FILE);
    ck_ok(manifest_seal(m, &closing, &err), &err);
    manifest_close(m);
    struct buf half = whole(ROOT_FILE);
    size_t second = before.data[32] > before.data[SUPERBLOCK_SLOT_BYTES + 32]
                        ? 0
                        : (size_t)SUPERBLOCK_SLOT_BYTES;
    memcpy(half.data + second, before.data + second, SUPERBLOCK_SLOT_BYTES);
    set_file(ROOT_FILE, half.data, half.size);
    struct superblock sb;
    ck_ok(superblock_read(env, DIR, &sb, &err), &err);
    ck_assert(superblock_is_sealed(&sb));
    sb.manifest_bytes = sb.manifest_checksum = 0;
    ck_ok(superblock_write(env, DIR, &sb, &err), &err);
    struct buf opened = whole(ROOT_FILE);
    for (size_t cut = 0; cut <= 128; cut++)
        for (int side = 0; side < 2; side++) {
            uint8_t *slot = half.data + second;
            memcpy(slot, side ? opened.data + second : before.data + second, SUPERBLOCK_SLOT_BYTES);
            memcpy(slot, side ? before.data + second : opened.data + second, cut);
            set_file(ROOT_FILE, half.data, half.size);
            ck_ok(load(env), &err);
        }
    buf_fini(&before);
    buf_fini(&half);
    buf_fini(&opened);
    env_end();
}
END_TEST

START_TEST(failed_append_takes_no_more_edits) {
    env_start();
    lam_env *mem = env;
    env = env_fault_new(mem);
    struct manifest *m = create();
    append(m, 5);
    env_fault_arm(env, FAULT_SYNC, 1, LAM_IO, false);
    struct manifest_edit e = numbered(6);
    ck_code(manifest_append(m, &e, &err), LAM_IO);
    ck_code(manifest_append(m, &e, &err), LAM_READ_ONLY);
    ck_code(manifest_seal(m, &closing, &err), LAM_READ_ONLY);
    manifest_close(m);
    env_fault_free(env);
    env = mem;
    env_end();
}
END_TEST

START_TEST(manifest_of_another_database_or_number_is_corrupt) {
    env_start();
    struct manifest *m;
    ck_ok(manifest_create(env, DIR, other_id, &initial, &m, &err), &err);
    manifest_close(m);
    struct buf foreign = whole(MANIFEST1);
    m = create();
    manifest_close(m);
    set_file(MANIFEST1, foreign.data, foreign.size);
    ck_code(load(env), LAM_CORRUPT);
    buf_fini(&foreign);
    m = create();
    manifest_close(m);
    ck_ok(load(env), &err);
    struct buf first = whole(MANIFEST1);
    m = rewrite(5);
    manifest_close(m);
    set_file(MANIFEST5, first.data, first.size);
    ck_code(load(env), LAM_CORRUPT);
    struct manifest_edit e = numbered(1);
    ck_code(manifest_rewrite(env, DIR, &root, 5, &e, &m, &err), LAM_CORRUPT);
    buf_fini(&first);
    env_end();
}
END_TEST

TEST_MAIN("lsm/manifest", random_edits_decode_to_what_was_encoded,
          decoder_refuses_what_no_encoder_makes, edits_read_back_after_create_rewrite_and_seal,
          sealed_database_notices_every_flip_truncation_growth_and_loss,
          unsealed_database_survives_one_damaged_slot_but_not_two,
          flip_in_unsealed_manifest_is_corrupt_or_drops_the_last_edit,
          files_without_a_root_are_corrupt_unless_creation_made_them,
          crash_at_every_step_leaves_what_was_acknowledged_or_the_next,
          slot_torn_while_sealing_or_opening_is_read_past,
          slot_torn_while_opening_what_is_half_sealed_is_read_past,
          failed_append_takes_no_more_edits, manifest_of_another_database_or_number_is_corrupt)
