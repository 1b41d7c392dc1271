/* SPDX-License-Identifier: Apache-2.0
 *
 * Images: what a reboot finds. A walk from the root decides for each directory which changes of
 * names stay and for each file that is reached which bytes; what nobody changed is shared with the
 * original.
 *
 * Content. An image of a file starts as the synced bytes at the size drawn; every unit that dirty
 * ranges touch is then left as it is (old), copied from memory (new), copied from the version kept
 * when unsynced bytes were written over (mid), torn at a byte, or, past the synced size, noise.
 * Bytes at or past the present size are never changed: a truncation that is lost gives back what
 * was there.
 *
 * Half of the drawn images are simple ones: most bugs need no more. */
#include "tests/sim/simfs_impl.h"

enum names_plan { NAMES_NEW, NAMES_OLD, NAMES_DRAWN };
enum bytes_plan {
    BYTES_NEW,
    BYTES_OLD,
    BYTES_MID,   /* the version kept when unsynced bytes were written over */
    BYTES_SIZED, /* the size is new, the units are old */
    BYTES_NOISE, /* the size is new, units are noise where they may be */
    BYTES_CUT,   /* new up to a byte, old after it */
    BYTES_UNITS, /* each unit by itself */
    BYTES_TORN,  /* the same, some torn */
    BYTES_MIXED, /* the same, some noise */
};

struct crash {
    struct simfs *fs, *image;
    struct choice *choice;
    enum simfs_crash kind;
    bool every;    /* an odometer: no plan, each decision is a choice */
    bool counting; /* contents are counted, not made */
    uint64_t width;
    bool **kept; /* by ino of a directory: which pending changes stay; NULL: not decided */
    /* What the chosen one gets, and all others. */
    uint32_t chosen;
    enum names_plan names, chosen_names;
    enum bytes_plan bytes, chosen_bytes;
    bool mixed; /* files draw their own plan */
};

/* --- what is pending ------------------------------------------------------------------------- */

static bool is_pending(const struct node *n) {
    return n->kind == LAM_PATH_FILE ? file_is_dirty(n) : n->pending_count > 0;
}

static uint32_t count_pending(const struct simfs *fs, enum lam_path_kind kind) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < fs->slot_count; i++) {
        const struct node *n = fs->slots[i].node;
        count += n && n->kind == kind && is_pending(n);
    }
    return count;
}

static uint32_t nth_pending(const struct simfs *fs, enum lam_path_kind kind, uint32_t nth) {
    for (uint32_t i = 0; i < fs->slot_count; i++) {
        const struct node *n = fs->slots[i].node;
        if (n && n->kind == kind && is_pending(n) && nth-- == 0)
            return i;
    }
    UNREACHABLE();
}

/* --- plans ----------------------------------------------------------------------------------- */

static void draw_simple_plan(struct crash *c) {
    static const struct {
        enum names_plan names, chosen_names;
        enum bytes_plan bytes, chosen_bytes;
        enum lam_path_kind chosen;
    } plans[] = {
        {NAMES_NEW, NAMES_NEW, BYTES_NEW, BYTES_NEW, LAM_PATH_NONE},
        {NAMES_OLD, NAMES_OLD, BYTES_OLD, BYTES_OLD, LAM_PATH_NONE},
        {NAMES_NEW, NAMES_NEW, BYTES_NEW, BYTES_OLD, LAM_PATH_FILE},
        {NAMES_NEW, NAMES_NEW, BYTES_OLD, BYTES_NEW, LAM_PATH_FILE},
        {NAMES_NEW, NAMES_NEW, BYTES_OLD, BYTES_OLD, LAM_PATH_NONE},
        {NAMES_OLD, NAMES_OLD, BYTES_NEW, BYTES_NEW, LAM_PATH_NONE},
        {NAMES_NEW, NAMES_OLD, BYTES_NEW, BYTES_NEW, LAM_PATH_DIRECTORY},
        {NAMES_NEW, NAMES_DRAWN, BYTES_NEW, BYTES_NEW, LAM_PATH_DIRECTORY},
        {NAMES_NEW, NAMES_NEW, BYTES_SIZED, BYTES_SIZED, LAM_PATH_NONE},
        {NAMES_NEW, NAMES_NEW, BYTES_NEW, BYTES_SIZED, LAM_PATH_FILE},
        {NAMES_NEW, NAMES_NEW, BYTES_NEW, BYTES_CUT, LAM_PATH_FILE},
        {NAMES_NEW, NAMES_NEW, BYTES_NEW, BYTES_MID, LAM_PATH_FILE},
        {NAMES_NEW, NAMES_NEW, BYTES_NEW, BYTES_NOISE, LAM_PATH_FILE},
    };
    uint32_t i = choose(c->choice, sizeof plans / sizeof plans[0]);
    c->names = plans[i].names;
    c->chosen_names = plans[i].chosen_names;
    c->bytes = plans[i].bytes;
    c->chosen_bytes = plans[i].chosen_bytes;
    if (plans[i].chosen == LAM_PATH_NONE)
        return;
    uint32_t count = count_pending(c->fs, plans[i].chosen);
    if (count > 0)
        c->chosen = nth_pending(c->fs, plans[i].chosen, choose(c->choice, count));
}

static void draw_plan(struct crash *c) {
    c->chosen = NO_INO;
    c->names = NAMES_DRAWN;
    if (c->kind == SIMFS_KILL) {
        c->names = NAMES_NEW;
        return;
    }
    c->every = c->choice->source == CHOICE_ODOMETER;
    if (c->every ||
        count_pending(c->fs, LAM_PATH_FILE) + count_pending(c->fs, LAM_PATH_DIRECTORY) == 0)
        return;
    if (choose(c->choice, 2) == 0)
        draw_simple_plan(c);
    else
        c->mixed = true;
}

/* --- names ----------------------------------------------------------------------------------- */

static void draw_kept(struct crash *c, const struct node *n, bool *kept) {
    bool subset = c->fs->options.names == SIMFS_SUBSET;
    if (subset && !c->every)
        subset = choose(c->choice, 2) == 1;
    uint32_t lost = subset ? 0 : choose(c->choice, n->pending_count + 1);
    for (uint32_t i = 0; i < n->pending_count; i++)
        kept[i] = subset ? n->pending[i].follows || choose(c->choice, 2) == 0
                         : i < n->pending_count - lost;
}

/* Which of a directory's changes stay. */
static const bool *decide_names(struct crash *c, uint32_t dir) {
    const struct node *n = node_of(c->fs, dir);
    if (c->kept[dir])
        return c->kept[dir];
    bool *kept = c->kept[dir] = sim_alloc(n->pending_count + 1);
    enum names_plan plan = dir == c->chosen ? c->chosen_names : c->names;
    if (plan == NAMES_DRAWN)
        draw_kept(c, n, kept);
    else
        memset(kept, plan == NAMES_NEW, n->pending_count);
    return kept;
}

/* The first half of a rename across directories, which decides. */
static bool is_followed_kept(struct crash *c, const struct change *half) {
    const struct node *peer = c->fs->slots[half->peer].node;
    for (uint32_t i = 0; peer && i < peer->pending_count; i++)
        if (peer->pending[i].id == half->id)
            return decide_names(c, half->peer)[i];
    return true;
}

static struct table *draw_names(struct crash *c, uint32_t dir) {
    const struct node *n = node_of(c->fs, dir);
    if (c->kind == SIMFS_KILL || n->pending_count == 0)
        return table_ref(n->entries);
    const bool *kept = decide_names(c, dir);
    struct table *t = table_ref(n->synced_names);
    for (uint32_t i = 0; i < n->pending_count; i++) {
        const struct change *change = &n->pending[i];
        if (change->follows ? is_followed_kept(c, change) : kept[i])
            change_apply(&t, change);
    }
    return t;
}

/* --- content --------------------------------------------------------------------------------- */

/* One file's image in the making. */
struct making {
    const struct node *n;
    struct content out;
    uint64_t limit; /* units below it may be changed: within the image's and the present size */
    uint32_t granule;
    struct rng rng; /* for what is too much to choose one by one */
    bool by_rng;
};

/* Units of the dirty ranges in order: moves to the next one, [*from, *to); starts with *to 0. */
static bool next_unit(const struct making *m, uint64_t *from, uint64_t *to) {
    const struct node *n = m->n;
    for (uint32_t i = 0; i < n->dirty_count && *to < m->limit; i++) {
        if (n->dirty[i].to <= *to)
            continue;
        uint64_t start = n->dirty[i].from > *to ? n->dirty[i].from : *to;
        start -= start % m->granule;
        if (start >= m->limit)
            return false;
        *from = start;
        *to = start + m->granule < m->limit ? start + m->granule : m->limit;
        return true;
    }
    return false;
}

enum unit_state { UNIT_NEW, UNIT_OLD, UNIT_MID };

/* How many states the unit may be in, of those above. */
static uint32_t unit_states(const struct making *m, uint64_t from, uint64_t to) {
    const struct node *n = m->n;
    bool mid = n->mid.size > from && !content_same(&n->mid, &n->data, from, to) &&
               !content_same(&n->mid, &m->out, from, to);
    if (mid)
        return 3;
    return content_same(&n->data, &m->out, from, to) ? 1 : 2;
}

static void set_unit(struct making *m, uint64_t from, uint64_t to, enum unit_state state) {
    if (state == UNIT_NEW)
        content_copy(&m->out, &m->n->data, from, to);
    else if (state == UNIT_MID && m->n->mid.size > from)
        content_copy(&m->out, &m->n->mid, from, to < m->n->mid.size ? to : m->n->mid.size);
}

static uint32_t draw(struct crash *c, struct making *m, uint64_t n) {
    LAM_ASSERT(n > 0 && n <= UINT32_MAX);
    return m->by_rng ? (uint32_t)rng_below(&m->rng, n) : choose(c->choice, (uint32_t)n);
}

static void tear_unit(struct crash *c, struct making *m, uint64_t from, uint64_t to) {
    uint64_t cut = from + draw(c, m, to - from + 1);
    if (draw(c, m, 2) == 0)
        set_unit(m, from, cut, UNIT_NEW);
    else
        set_unit(m, cut, to, UNIT_NEW);
}

/* Bytes that were synced once are left alone. */
static void make_noise(struct crash *c, struct making *m, uint64_t from, uint64_t to) {
    struct rng rng;
    rng_init(&rng, m->by_rng ? rng_next(&m->rng) : choose_salt(c->choice));
    if (from < m->n->synced.size)
        from = m->n->synced.size;
    while (from < to) {
        uint64_t bits[32];
        size_t part = to - from < sizeof bits ? (size_t)(to - from) : sizeof bits;
        for (size_t i = 0; i * sizeof bits[0] < part; i++)
            bits[i] = rng_next(&rng);
        content_write(&m->out, from, bits, part);
        from += part;
    }
}

static uint64_t draw_size(struct crash *c, const struct node *n, enum bytes_plan plan) {
    uint64_t old = n->synced.size, new = n->data.size;
    if (old == new || plan == BYTES_NEW || plan == BYTES_MID || plan == BYTES_SIZED ||
        plan == BYTES_NOISE)
        return new;
    if (plan == BYTES_OLD)
        return old;
    uint64_t low = old < new ? old : new, between = (old < new ? new : old) - low - 1;
    switch (choose(c->choice, c->every || between == 0 ? 2 : 3)) {
    case 0:
        return new;
    case 1:
        return old;
    default:
        return low + 1 + choose(c->choice, (uint32_t)between);
    }
}

/* The synced bytes at that size: what the dirty units are applied to. */
static void begin_making(struct crash *c, struct making *m, const struct node *n, uint64_t size) {
    *m = (struct making){.n = n, .granule = c->fs->options.granule};
    m->out = content_ref(&n->synced);
    content_resize(&m->out, size);
    m->limit = size < n->data.size ? size : n->data.size;
}

static uint64_t count_units(const struct making *m) {
    uint64_t from = 0, to = 0, count = 0;
    while (next_unit(m, &from, &to))
        count++;
    return count;
}

static void make_cut(struct crash *c, struct making *m) {
    uint64_t from = 0, to = 0, bytes = 0;
    while (next_unit(m, &from, &to))
        bytes += to - from;
    uint64_t kept = choose(c->choice, (uint32_t)bytes + 1);
    from = to = 0;
    while (kept > 0 && next_unit(m, &from, &to)) {
        uint64_t part = to - from < kept ? to - from : kept;
        set_unit(m, from, from + part, UNIT_NEW);
        kept -= part;
    }
}

static void make_units(struct crash *c, struct making *m, enum bytes_plan plan) {
    uint64_t from = 0, to = 0;
    if (!c->every && count_units(m) > 8) {
        rng_init(&m->rng, choose_salt(c->choice));
        m->by_rng = true;
    }
    while (next_unit(m, &from, &to)) {
        uint32_t states = unit_states(m, from, to);
        if (plan == BYTES_TORN && states > 1 && draw(c, m, 4) == 3)
            tear_unit(c, m, from, to);
        else if (plan == BYTES_MIXED && c->fs->options.garbage && to > m->n->synced.size &&
                 draw(c, m, 3) == 2)
            make_noise(c, m, from, to);
        else if (states > 1)
            set_unit(m, from, to, (enum unit_state)draw(c, m, states));
    }
}

static void make_all(struct crash *c, struct making *m, enum bytes_plan plan) {
    const struct node *n = m->n;
    uint64_t from = 0, to = 0;
    while (next_unit(m, &from, &to)) {
        if (plan == BYTES_NEW || plan == BYTES_MID)
            set_unit(m, from, to, plan == BYTES_MID && n->mid.size > 0 ? UNIT_MID : UNIT_NEW);
        else if (plan == BYTES_NOISE && c->fs->options.garbage)
            make_noise(c, m, from, to);
    }
}

static enum bytes_plan file_plan(struct crash *c, uint32_t ino) {
    static const enum bytes_plan mixed[] = {BYTES_NEW,   BYTES_OLD,  BYTES_UNITS,
                                            BYTES_MIXED, BYTES_TORN, BYTES_CUT};
    if (c->every)
        return BYTES_UNITS;
    if (c->mixed)
        return mixed[choose(c->choice, sizeof mixed / sizeof mixed[0])];
    return ino == c->chosen ? c->chosen_bytes : c->bytes;
}

static struct content power_content(struct crash *c, uint32_t ino) {
    const struct node *n = node_of(c->fs, ino);
    if (!file_is_dirty(n))
        return content_ref(&n->synced);
    enum bytes_plan plan = file_plan(c, ino);
    if (plan == BYTES_NEW && !n->lost)
        return content_ref(&n->data);
    struct making m;
    begin_making(c, &m, n, draw_size(c, n, plan));
    switch (plan) {
    case BYTES_CUT:
        make_cut(c, &m);
        break;
    case BYTES_UNITS:
    case BYTES_TORN:
    case BYTES_MIXED:
        make_units(c, &m, plan);
        break;
    default:
        make_all(c, &m, plan);
    }
    return m.out;
}

/* A prefix of the write that is being issued: mostly its ends and middle. */
static size_t draw_prefix(struct crash *c, size_t size) {
    size_t cuts[5] = {0, size, 1, size / 2, size ? size - 1 : 0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < 5; i++) {
        bool seen = cuts[i] > size;
        for (uint32_t j = 0; j < count; j++)
            seen |= cuts[j] == cuts[i];
        if (!seen)
            cuts[count++] = cuts[i];
    }
    uint32_t random = c->choice->source == CHOICE_ODOMETER ? 0 : 2;
    uint32_t i = choose(c->choice, count + random);
    return i < count ? cuts[i] : choose(c->choice, (uint32_t)size + 1);
}

static struct content kill_content(struct crash *c, uint32_t ino) {
    const struct node *n = node_of(c->fs, ino);
    struct content out = content_ref(&n->data);
    uint64_t end;
    if (c->fs->inflight.ino != ino ||
        __builtin_add_overflow(c->fs->inflight.offset, c->fs->inflight.size, &end) ||
        end > FILE_BYTES_MAX)
        return out;
    size_t kept = draw_prefix(c, c->fs->inflight.size);
    end = c->fs->inflight.offset + kept;
    if (kept == 0)
        return out;
    if (end > out.size)
        content_resize(&out, end);
    content_write(&out, c->fs->inflight.offset, c->fs->inflight.data, kept);
    return out;
}

/* --- the walk -------------------------------------------------------------------------------- */

static bool is_durable(const struct node *n) {
    if (n->kind == LAM_PATH_DIRECTORY)
        return n->pending_count == 0 && n->entries == n->synced_names;
    return !file_is_dirty(n) && !n->lost && n->data.map == n->synced.map;
}

static struct node *make_file(struct crash *c, uint32_t ino) {
    struct node *n = node_of(c->fs, ino);
    if (is_durable(n) && c->fs->inflight.ino != ino) {
        n->refs++;
        return n;
    }
    struct node *own = node_new(LAM_PATH_FILE);
    own->data = c->kind == SIMFS_KILL ? kill_content(c, ino) : power_content(c, ino);
    own->synced = content_ref(&own->data);
    return own;
}

static struct node *make_dir(struct crash *c, uint32_t ino) {
    struct node *n = node_of(c->fs, ino);
    if (is_durable(n)) {
        n->refs++;
        return n;
    }
    struct node *own = node_new(LAM_PATH_DIRECTORY);
    own->entries = draw_names(c, ino);
    own->synced_names = table_ref(own->entries);
    return own;
}

static uint64_t multiply(uint64_t a, uint64_t b) {
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static uint64_t file_width_at(struct crash *c, const struct node *n, uint64_t size) {
    struct making m;
    begin_making(c, &m, n, size);
    uint64_t from = 0, to = 0, width = 1;
    while (next_unit(&m, &from, &to))
        width = multiply(width, unit_states(&m, from, to));
    content_drop(&m.out);
    return width;
}

static uint64_t file_width(struct crash *c, const struct node *n) {
    uint64_t width = file_width_at(c, n, n->data.size), sum;
    if (n->synced.size == n->data.size)
        return width;
    uint64_t old = file_width_at(c, n, n->synced.size);
    return __builtin_add_overflow(width, old, &sum) ? UINT64_MAX : sum;
}

static void visit(struct crash *c, uint32_t ino) {
    struct slot *s = &c->image->slots[ino];
    if (s->node)
        return;
    const struct node *n = node_of(c->fs, ino);
    if (n->kind == LAM_PATH_FILE && c->counting) {
        c->width = multiply(c->width, file_width(c, n));
        s->node = node_new(LAM_PATH_FILE);
        return;
    }
    if (n->kind == LAM_PATH_FILE) {
        s->node = make_file(c, ino);
        c->image->used += s->node->data.size;
        return;
    }
    s->node = make_dir(c, ino);
    const struct table *t = s->node->entries;
    for (uint32_t i = 0; i < table_count(t); i++) {
        c->image->slots[t->items[i].ino].links++;
        visit(c, t->items[i].ino);
    }
}

static void list_free_slots(struct simfs *fs) {
    while (!fs->slots[fs->slot_count - 1].node)
        fs->slot_count--;
    for (uint32_t i = fs->slot_count; i-- > 0;) {
        if (fs->slots[i].node)
            continue;
        fs->slots[i].next_free = fs->free_ino;
        fs->free_ino = i;
    }
}

static void make_image(struct crash *c) {
    struct simfs *fs = c->fs, *image = simfs_alloc();
    c->image = image;
    image->options = fs->options;
    image->choice = c->choice;
    image->wall_us = fs->wall_us + 1000000;
    image->mono_ns = fs->mono_ns + 1000000000;
    image->random_count = fs->random_count + 1000;
    image->slots = calloc(fs->slot_count, sizeof *image->slots);
    c->kept = calloc(fs->slot_count, sizeof *c->kept);
    LAM_ASSERT(image->slots && c->kept);
    image->slot_count = image->slot_capacity = fs->slot_count;
    visit(c, ROOT_INO);
    list_free_slots(image);
    for (uint32_t i = 0; i < fs->slot_count; i++)
        free(c->kept[i]);
    free(c->kept);
}

struct simfs *simfs_crash(struct simfs *fs, enum simfs_crash kind, struct choice *choice) {
    struct crash c = {.fs = fs, .kind = kind, .choice = choice};
    draw_plan(&c);
    make_image(&c);
    return c.image;
}

struct simfs *simfs_crash_old(struct simfs *fs) {
    struct crash c = {
        .fs = fs,
        .kind = SIMFS_POWER,
        .choice = fs->choice,
        .chosen = NO_INO,
        .names = NAMES_OLD,
        .bytes = BYTES_OLD,
    };
    make_image(&c);
    return c.image;
}

struct simfs *simfs_die(struct simfs *fs, struct choice *choice) {
    struct crash c = {.fs = fs, .kind = SIMFS_KILL, .choice = choice};
    struct simfs *next = simfs_clone(fs);
    uint64_t end;
    next->choice = choice;
    next->wall_us += 1000000;
    next->mono_ns += 1000000000;
    next->random_count += 1000;
    if (fs->inflight.ino == NO_INO ||
        __builtin_add_overflow(fs->inflight.offset, fs->inflight.size, &end) ||
        end > FILE_BYTES_MAX)
        return next;
    size_t kept = draw_prefix(&c, fs->inflight.size);
    if (kept > 0)
        file_write_at(next, fs->inflight.ino, fs->inflight.offset, fs->inflight.data, kept);
    return next;
}

/* --- how many there are ---------------------------------------------------------------------- */

#define NAMES_WIDTH_MAX 16384

/* Upper bound of what an odometer makes of the names alone. */
static uint64_t names_width(const struct simfs *fs) {
    uint64_t width = 1;
    for (uint32_t i = 0; i < fs->slot_count; i++) {
        const struct node *n = fs->slots[i].node;
        if (!n || n->pending_count == 0)
            continue;
        uint32_t count = n->pending_count;
        uint64_t own = fs->options.names == SIMFS_PREFIX ? count + UINT64_C(1)
                       : count < 63                      ? UINT64_C(1) << count
                                                         : UINT64_MAX;
        width = multiply(width, own);
    }
    return width;
}

/* Which files are reached depends on the names: each combination of these is made, and the files'
 * widths multiplied. */
uint64_t simfs_crash_width(const struct simfs *fs) {
    if (names_width(fs) > NAMES_WIDTH_MAX)
        return UINT64_MAX;
    struct choice odometer;
    choice_odometer(&odometer);
    uint64_t sum = 0;
    do {
        struct crash c = {
            .fs = (struct simfs *)(uintptr_t)fs,
            .kind = SIMFS_POWER,
            .choice = &odometer,
            .chosen = NO_INO,
            .names = NAMES_DRAWN,
            .every = true,
            .counting = true,
            .width = 1,
        };
        make_image(&c);
        simfs_free(c.image);
        if (__builtin_add_overflow(sum, c.width, &sum))
            sum = UINT64_MAX;
    } while (choice_next(&odometer));
    choice_fini(&odometer);
    return sum;
}
