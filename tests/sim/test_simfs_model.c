/* SPDX-License-Identifier: Apache-2.0
 *
 * Random histories on the simulated file system against other descriptions of the same thing: the
 * in-memory environment for what operations do, and plain models, which know every version of every
 * byte and every moment of a directory, for what crashes may leave. */
#include "base/rng.h"
#include "tests/sim/simfs_impl.h"

#include "tests/sim/simfs_fixture.h"

static struct rng rng;

static uint32_t below(uint32_t n) {
    return (uint32_t)rng_below(&rng, n);
}

/* --- bytes ----------------------------------------------------------------------------------- */

enum { FILE_MAX = 300, UNIT = 16, VERSIONS = 64 };

/* Of one file: all that each byte may be after a power loss. */
static struct byte_model {
    uint8_t now[FILE_MAX], synced[FILE_MAX];
    size_t size, synced_size;
    uint8_t versions[FILE_MAX][VERSIONS]; /* values it had since the last sync */
    unsigned version_count[FILE_MAX];
    bool written[FILE_MAX]; /* since the last sync */
} m;

static void model_set(size_t at, uint8_t value) {
    m.now[at] = value;
    m.written[at] = true;
    unsigned i = m.version_count[at];
    ck_assert_uint_lt(i, VERSIONS);
    m.versions[at][i] = value;
    m.version_count[at]++;
}

static void model_write(size_t offset, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++)
        model_set(offset + i, data[i]);
    if (size > 0 && offset + size > m.size)
        m.size = offset + size;
}

static void model_resize(size_t size) {
    for (size_t i = size; i < m.size; i++)
        model_set(i, 0);
    m.size = size;
}

static void model_sync(void) {
    memcpy(m.synced, m.now, sizeof m.synced);
    m.synced_size = m.size;
    memset(m.version_count, 0, sizeof m.version_count);
    memset(m.written, 0, sizeof m.written);
}

static bool unit_written(size_t at) {
    for (size_t i = at / UNIT * UNIT; i < at / UNIT * UNIT + UNIT && i < FILE_MAX; i++)
        if (m.written[i])
            return true;
    return false;
}

static void check_bytes(const uint8_t *bytes, size_t size, bool garbage) {
    size_t low = m.size < m.synced_size ? m.size : m.synced_size;
    size_t high = m.size < m.synced_size ? m.synced_size : m.size;
    ck_assert_uint_ge(size, low);
    ck_assert_uint_le(size, high);
    for (size_t i = 0; i < size; i++) {
        bool fine = bytes[i] == (i < m.synced_size ? m.synced[i] : 0);
        for (unsigned v = 0; v < m.version_count[i]; v++)
            fine |= bytes[i] == m.versions[i][v];
        fine |= garbage && i >= m.synced_size && unit_written(i);
        if (!fine)
            ck_abort_msg("byte %zu of %zu is %02x; now %02x of %zu, synced %02x of %zu", i, size,
                         bytes[i], m.now[i], m.size, m.synced[i], m.synced_size);
    }
}

static void check_byte_images(bool garbage) {
    uint8_t bytes[FILE_MAX + 1];
    for (int i = 0; i < 8; i++) {
        struct simfs *image = simfs_crash(fs, i ? SIMFS_POWER : SIMFS_KILL, &choice);
        lam_file *f = NULL;
        size_t got = 0;
        ck_ok(env_file_open(simfs_env(image), "d/f", LAM_OPEN_READ, &f, &err), &err);
        ck_ok(env_file_read(f, 0, bytes, sizeof bytes, &got, &err), &err);
        ck_ok(env_file_close(f, &err), &err);
        check_bytes(bytes, got, garbage);
        if (i == 0) {
            ck_assert_uint_eq(got, m.size);
            ck_assert_mem_eq(bytes, m.now, got);
        }
        simfs_free(image);
    }
    struct simfs *old = simfs_crash_old(fs);
    size_t size = 0;
    const uint8_t *synced = simfs_file_bytes(old, "d/f", &size);
    ck_assert_uint_eq(size, m.synced_size);
    ck_assert_mem_eq(synced, m.synced, size);
    simfs_free(old);
}

static void change_bytes(lam_file *f) {
    uint8_t data[100];
    size_t offset = below(FILE_MAX), size = below(sizeof data);
    if (offset + size > FILE_MAX)
        size = FILE_MAX - offset;
    switch (below(8)) {
    case 0:
        ck_ok(env_file_truncate(f, offset, &err), &err);
        model_resize(offset);
        break;
    case 1:
        ck_ok(env_file_allocate(f, offset, &err), &err);
        if (offset > m.size)
            model_resize(offset);
        break;
    case 2:
        sync_file(f);
        model_sync();
        break;
    default:
        for (size_t i = 0; i < size; i++)
            data[i] = (uint8_t)(below(3) ? 1 + below(255) : 0);
        ck_ok(env_file_write(f, offset, data, size, &err), &err);
        model_write(offset, data, size);
    }
    for (size_t i = 0; i < FILE_MAX; i++)
        if (m.version_count[i] > VERSIONS - 4) {
            sync_file(f);
            model_sync();
        }
}

START_TEST(no_image_has_a_byte_that_was_neither_synced_nor_written) {
    rng_init(&rng, test_seed("no_image_has_a_byte_that_was_neither_synced_nor_written"));
    for (int history = 0; history < 40; history++) {
        bool garbage = history % 2;
        make_fs(SIMFS_PREFIX, garbage);
        choice_seed(&choice, rng_next(&rng));
        m = (struct byte_model){0};
        lam_file *f = create("d/f");
        sync_dir("d");
        for (int step = 0; step < 60; step++) {
            change_bytes(f);
            check_byte_images(garbage);
        }
        close_file(f);
        free_fs();
    }
}
END_TEST

/* --- names ----------------------------------------------------------------------------------- */

enum { NAMES = 5, MOMENTS = 64 };
static const char *const dirs[2] = {"d", "e"};

/* What the names of one directory name: 0 nothing, else the number that the file holds. */
struct names {
    uint32_t file[NAMES];
};

/* One directory: what it was at every moment since its last sync. */
static struct name_model {
    struct names moments[MOMENTS];
    unsigned count;
} dir_models[2];

static struct names *names_now(int dir) {
    struct name_model *d = &dir_models[dir];
    return &d->moments[d->count - 1];
}

static struct names *next_moment(int dir) {
    struct name_model *d = &dir_models[dir];
    ck_assert_uint_lt(d->count, MOMENTS);
    d->moments[d->count] = d->moments[d->count - 1];
    return &d->moments[d->count++];
}

static const char *name_path(int dir, int name) {
    static char paths[4][32];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%d", dirs[dir], name);
    return path;
}

static uint32_t file_number;

static void make_name(int dir, int name) {
    char text[16];
    snprintf(text, sizeof text, "%u", ++file_number);
    put(name_path(dir, name), text);
    next_moment(dir)->file[name] = file_number;
}

static void change_names(void) {
    int dir = (int)below(2), a = (int)below(NAMES), b = (int)below(NAMES);
    const struct names *now = names_now(dir);
    switch (below(6)) {
    case 0:
        sync_dir(dirs[dir]);
        dir_models[dir].moments[0] = *now;
        dir_models[dir].count = 1;
        break;
    case 1:
        if (now->file[a]) {
            remove_at(name_path(dir, a));
            next_moment(dir)->file[a] = 0;
        }
        break;
    case 2:
    case 3:
        if (now->file[a] && a != b) {
            rename_file(name_path(dir, a), name_path(dir, b));
            struct names *next = next_moment(dir);
            next->file[b] = next->file[a];
            next->file[a] = 0;
        }
        break;
    default:
        if (!now->file[a])
            make_name(dir, a);
    }
}

static void read_names(struct simfs *image, int dir, struct names *out) {
    for (int i = 0; i < NAMES; i++) {
        const char *text = text_in(image, name_path(dir, i));
        out->file[i] = strcmp(text, "<none>") == 0 ? 0 : (uint32_t)strtoul(text, NULL, 10);
    }
}

static bool is_a_moment(int dir, const struct names *names) {
    for (unsigned i = 0; i < dir_models[dir].count; i++)
        if (memcmp(names, &dir_models[dir].moments[i], sizeof *names) == 0)
            return true;
    return false;
}

/* A name that named the same file at all moments, so that no change touched it, does so in every
 * image; a name names only what it once named; no file has two names. */
static void check_subset(int dir, const struct names *names) {
    const struct name_model *d = &dir_models[dir];
    for (int n = 0; n < NAMES; n++) {
        bool once = names->file[n] == 0 && d->count > 1, always = true;
        for (unsigned i = 0; i < d->count; i++) {
            once |= d->moments[i].file[n] == names->file[n];
            always &= d->moments[i].file[n] == d->moments[0].file[n];
        }
        ck_assert(once);
        if (always)
            ck_assert_uint_eq(names->file[n], d->moments[0].file[n]);
        for (int other = 0; other < n; other++)
            ck_assert(names->file[n] == 0 || names->file[n] != names->file[other]);
    }
}

static void run_name_histories(enum simfs_names kind) {
    for (int history = 0; history < 30; history++) {
        make_fs(kind, false);
        ck_ok(env->ops->dir_create(env, "e", &err), &err);
        sync_dir("/");
        choice_seed(&choice, rng_next(&rng));
        memset(dir_models, 0, sizeof dir_models);
        dir_models[0].count = dir_models[1].count = 1;
        for (int step = 0; step < 60; step++) {
            change_names();
            for (int i = 0; i < 6; i++) {
                struct simfs *image = simfs_crash(fs, SIMFS_POWER, &choice);
                for (int dir = 0; dir < 2; dir++) {
                    struct names names;
                    read_names(image, dir, &names);
                    if (kind == SIMFS_PREFIX)
                        ck_assert(is_a_moment(dir, &names));
                    else
                        check_subset(dir, &names);
                }
                simfs_free(image);
            }
        }
        free_fs();
    }
}

START_TEST(prefix_images_show_a_moment_of_each_directory) {
    rng_init(&rng, test_seed("prefix_images_show_a_moment_of_each_directory"));
    run_name_histories(SIMFS_PREFIX);
}
END_TEST

START_TEST(subset_images_make_up_no_name_and_lose_none_that_did_not_change) {
    rng_init(&rng, test_seed("subset_images_make_up_no_name"));
    run_name_histories(SIMFS_SUBSET);
}
END_TEST

/* Only renames to free names: whatever subset stays, each file has one name at most, and one goes
 * only where the other took a name that it had left. */
START_TEST(no_subset_of_renames_doubles_a_file) {
    rng_init(&rng, test_seed("no_subset_of_renames_doubles_a_file"));
    for (int history = 0; history < 100; history++) {
        make_fs(SIMFS_SUBSET, false);
        memset(dir_models, 0, sizeof dir_models);
        dir_models[0].count = dir_models[1].count = 1;
        make_name(0, 0);
        make_name(0, 1);
        sync_dir("d");
        uint32_t last = file_number;
        for (int step = 0; step < 6; step++) {
            int a = (int)below(NAMES), b = (int)below(NAMES);
            const struct names *now = names_now(0);
            if (now->file[a] && !now->file[b]) {
                rename_file(name_path(0, a), name_path(0, b));
                struct names *next = next_moment(0);
                next->file[b] = next->file[a];
                next->file[a] = 0;
            }
        }
        struct choice odometer;
        choice_odometer(&odometer);
        do {
            struct simfs *image = simfs_crash(fs, SIMFS_POWER, &odometer);
            struct names names;
            read_names(image, 0, &names);
            unsigned first = 0, second = 0;
            for (int n = 0; n < NAMES; n++) {
                first += names.file[n] == last - 1;
                second += names.file[n] == last;
            }
            ck_assert_uint_le(first, 1);
            ck_assert_uint_le(second, 1);
            ck_assert_uint_ge(first + second, 1);
            simfs_free(image);
        } while (choice_next(&odometer));
        choice_fini(&odometer);
        free_fs();
    }
}
END_TEST

/* --- operations against the in-memory environment -------------------------------------------- */

enum { PATHS = 14, HANDLES = 6 };
static const char *const paths[PATHS] = {
    "a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "d/e/b", "e", "e/a", "./d//a", "", "none/a", "a/b",
};

static struct pair {
    lam_file *ours, *theirs;
    bool writable;
} pairs[HANDLES];
static lam_env *theirs;

static void open_pair(struct pair *p) {
    static const unsigned flags[] = {
        LAM_OPEN_READ,
        LAM_OPEN_WRITE,
        LAM_OPEN_WRITE | LAM_OPEN_CREATE,
        LAM_OPEN_WRITE | LAM_OPEN_CREATE | LAM_OPEN_EXCLUSIVE,
        LAM_OPEN_WRITE | LAM_OPEN_TRUNCATE,
        LAM_OPEN_WRITE | LAM_OPEN_CREATE | LAM_OPEN_TRUNCATE,
    };
    const char *path = paths[below(PATHS)];
    unsigned f = flags[below(6)];
    enum lam_code a = env_file_open(env, path, f, &p->ours, &err);
    enum lam_code b = env_file_open(theirs, path, f, &p->theirs, &err);
    if (a != b)
        ck_abort_msg("opening \"%s\" with %u: %s and %s", path, f, lam_code_name(a),
                     lam_code_name(b));
    p->writable = f & LAM_OPEN_WRITE;
    if (a != LAM_OK)
        p->ours = p->theirs = NULL;
}

static void use_pair(struct pair *p) {
    static uint8_t data[9000], a[9000], b[9000];
    size_t offset = below(12000), size = below(2) ? below(200) : below(sizeof data), got = 0, want;
    uint64_t ours_size, theirs_size;
    if (!p->ours) {
        open_pair(p);
        return;
    }
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)rng_next(&rng);
    switch (below(6)) {
    case 0:
        close_file(p->ours);
        close_file(p->theirs);
        p->ours = p->theirs = NULL;
        return;
    case 1:
        ck_assert_int_eq(env_file_truncate(p->ours, offset, &err),
                         env_file_truncate(p->theirs, offset, &err));
        return;
    case 2:
        ck_assert_int_eq(env_file_allocate(p->ours, offset, &err),
                         env_file_allocate(p->theirs, offset, &err));
        return;
    case 3:
        sync_file(p->ours);
        sync_file(p->theirs);
        return;
    case 4:
        ck_assert_int_eq(env_file_write(p->ours, offset, data, size, &err),
                         env_file_write(p->theirs, offset, data, size, &err));
        return;
    default:
        ck_ok(env_file_read(p->ours, offset, a, size, &got, &err), &err);
        ck_ok(env_file_read(p->theirs, offset, b, size, &want, &err), &err);
        ck_assert_uint_eq(got, want);
        ck_assert_mem_eq(a, b, got);
        ck_ok(env_file_size(p->ours, &ours_size, &err), &err);
        ck_ok(env_file_size(p->theirs, &theirs_size, &err), &err);
        ck_assert_uint_eq(ours_size, theirs_size);
    }
}

static void use_names(void) {
    const char *a = paths[below(PATHS)], *b = paths[below(PATHS)];
    enum lam_path_kind ours_kind, theirs_kind;
    enum lam_code x, y;
    switch (below(7)) {
    case 0:
        x = env_path_rename(env, a, b, &err);
        y = env_path_rename(theirs, a, b, &err);
        break;
    case 1:
        x = env->ops->path_link(env, a, b, &err);
        y = theirs->ops->path_link(theirs, a, b, &err);
        break;
    case 2:
        x = env_file_remove(env, a, &err);
        y = env_file_remove(theirs, a, &err);
        break;
    case 3:
        x = env->ops->dir_create(env, a, &err);
        y = theirs->ops->dir_create(theirs, a, &err);
        break;
    case 4:
        x = env->ops->dir_remove(env, a, &err);
        y = theirs->ops->dir_remove(theirs, a, &err);
        break;
    case 5:
        x = env_dir_sync(env, a, &err);
        y = env_dir_sync(theirs, a, &err);
        break;
    default:
        x = env_path_kind(env, a, &ours_kind, &err);
        y = env_path_kind(theirs, a, &theirs_kind, &err);
        ck_assert_int_eq(ours_kind, theirs_kind);
    }
    if (x != y)
        ck_abort_msg("\"%s\" \"%s\": %s and %s", a, b, lam_code_name(x), lam_code_name(y));
}

static bool find_theirs(void *arg, const char *name) {
    char path[64];
    snprintf(path, sizeof path, "%s/%s", (const char *)arg, name);
    enum lam_path_kind a, b;
    ck_ok(env_path_kind(env, path, &a, &err), &err);
    ck_ok(env_path_kind(theirs, path, &b, &err), &err);
    ck_assert_int_eq(a, b);
    return true;
}

START_TEST(operations_do_what_the_in_memory_environment_does) {
    rng_init(&rng, test_seed("operations_do_what_the_in_memory_environment_does"));
    static char root[] = "", dir[] = "d";
    for (int history = 0; history < 20; history++) {
        choice_seed(&choice, rng_next(&rng));
        fs = simfs_new(&(struct simfs_options){0}, &choice);
        env = simfs_env(fs);
        ck_ok(lam_env_mem_new(&theirs, &err), &err);
        memset(pairs, 0, sizeof pairs);
        for (int step = 0; step < 1500; step++) {
            if (below(2))
                use_pair(&pairs[below(HANDLES)]);
            else
                use_names();
            /* Images and clones share everything: none may show in the original. */
            if (step % 16 == 0)
                simfs_free(simfs_crash(fs, below(2) ? SIMFS_POWER : SIMFS_KILL, &choice));
        }
        ck_ok(env_dir_list(theirs, root, find_theirs, root, &err), &err);
        ck_ok(env_dir_list(env, root, find_theirs, root, &err), &err);
        IGNORE(env_dir_list(env, dir, find_theirs, dir, &err), "it may not be there");
        for (int i = 0; i < HANDLES; i++) {
            close_file(pairs[i].ours);
            close_file(pairs[i].theirs);
        }
        lam_env_mem_free(theirs);
        free_fs();
    }
}
END_TEST

/* --- housekeeping ---------------------------------------------------------------------------- */

static uint64_t bytes_in_files(struct simfs *in) {
    uint64_t sum = 0;
    for (size_t i = 0; i < simfs_file_count(in); i++) {
        size_t size = 0;
        struct simfs *copy = simfs_clone(in);
        ck_assert_ptr_nonnull(simfs_file_bytes(copy, simfs_file_path(in, i), &size));
        simfs_free(copy);
        sum += size;
    }
    return sum;
}

START_TEST(used_bytes_and_slots_are_accounted) {
    rng_init(&rng, test_seed("used_bytes_and_slots_are_accounted"));
    make_fs(SIMFS_SUBSET, false);
    ck_ok(env->ops->dir_create(env, "e", &err), &err);
    sync_dir("/");
    memset(dir_models, 0, sizeof dir_models);
    dir_models[0].count = dir_models[1].count = 1;
    for (int step = 0; step < 4000; step++) {
        change_names();
        for (int dir = 0; dir < 2; dir++)
            if (dir_models[dir].count > MOMENTS - 2) {
                sync_dir(dirs[dir]);
                dir_models[dir].moments[0] = *names_now(dir);
                dir_models[dir].count = 1;
            }
        if (step % 8 == 0) {
            ck_assert_uint_eq(simfs_used(fs), bytes_in_files(fs));
            struct simfs *image = simfs_crash(fs, SIMFS_POWER, &choice);
            ck_assert_uint_eq(simfs_used(image), bytes_in_files(image));
            simfs_free(image);
        }
    }
    /* Thousands of files came and went. */
    ck_assert_uint_lt(fs->slot_count, 2 * MOMENTS + 100);
    free_fs();
}
END_TEST

TEST_MAIN("sim/simfs_model", no_image_has_a_byte_that_was_neither_synced_nor_written,
          prefix_images_show_a_moment_of_each_directory,
          subset_images_make_up_no_name_and_lose_none_that_did_not_change,
          no_subset_of_renames_doubles_a_file, operations_do_what_the_in_memory_environment_does,
          used_bytes_and_slots_are_accounted)
