/* SPDX-License-Identifier: Apache-2.0
 *
 * Random operations on the engine against sorted arrays: batches over several partitions, range
 * deletes with bounds, snapshots, iterators both ways, dumps, compactions, drops, reopening. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/simd.h"
#include "lsm/lsm.h"
#include "tests/support/test.h"

#define PARTITIONS 3
#define KEYS       400
#define SNAPSHOTS  4

/* --- the model ------------------------------------------------------------------------------ */

/* A row's value is made from `seed` and `size`. */
struct row {
    bool present;
    uint64_t sequence;
    uint64_t seed;
    uint32_t size;
};
struct table {
    bool exists;
    struct row rows[KEYS]; /* by key index; keys sort as indexes do */
};
struct state {
    struct table tables[PARTITIONS];
};

struct world {
    lam_env *env;
    char path[512];
    struct lam_options options;
    lam_db *db;
    lam_partition *partitions[PARTITIONS];
    uint32_t generation[PARTITIONS]; /* part of the name: dropped names are not used again */
    struct state now;
    lam_snapshot *snapshots[SNAPSHOTS];
    struct state *seen[SNAPSHOTS];
    uint32_t most_bytes; /* of most values */
    uint32_t most_range; /* rows in most range deletes */
    struct rng rng;
    struct lam_error err;
};

static struct lam_slice key_of(uint32_t index, uint8_t *out) {
    /* Groups of twenty share a prefix; every seventh key is long. */
    int n = snprintf((char *)out, 32, "g%02u/%03u", index / 20, index);
    size_t size = (size_t)n;
    if (index % 7 == 0) {
        memset(out + size, 'x', 200);
        size += 200;
    }
    return lam_slice_of(out, size);
}

static void value_of(const struct row *r, uint8_t *out) {
    struct rng rng;
    rng_init(&rng, r->seed);
    for (uint32_t i = 0; i < r->size; i += 8) {
        uint64_t word = i % 64 ? rng.s[0] : rng_next(&rng);
        memcpy(out + i, &word, r->size - i < 8 ? r->size - i : 8);
    }
}

static uint8_t value_buffer[300000];

static void check_value(const struct row *r, struct lam_slice got) {
    ck_assert_uint_eq(got.size, r->size);
    value_of(r, value_buffer);
    ck_assert(r->size == 0 || memcmp(value_buffer, got.data, r->size) == 0);
}

static uint32_t below(struct world *w, uint32_t n) {
    return (uint32_t)rng_below(&w->rng, n);
}

/* --- opening and closing --------------------------------------------------------------------- */

static void partition_name(const struct world *w, int i, char *out, size_t size) {
    snprintf(out, size, "table-%d-%u", i, w->generation[i]);
}

static void open_world(struct world *w) {
    ck_ok(lam_db_open(w->path, &w->options, &w->db, &w->err), &w->err);
    for (int i = 0; i < PARTITIONS; i++) {
        char name[64];
        partition_name(w, i, name, sizeof name);
        if (w->now.tables[i].exists)
            ck_ok(lam_partition_open(w->db, name, &w->partitions[i], &w->err), &w->err);
        else
            ck_code(lam_partition_open(w->db, name, &w->partitions[i], NULL), LAM_NOT_FOUND);
    }
}

static void free_snapshot(struct world *w, int i) {
    lam_snapshot_free(w->snapshots[i]);
    free(w->seen[i]);
    w->snapshots[i] = NULL;
    w->seen[i] = NULL;
}

static void close_world(struct world *w) {
    for (int i = 0; i < SNAPSHOTS; i++)
        free_snapshot(w, i);
    for (int i = 0; i < PARTITIONS; i++) {
        if (w->now.tables[i].exists)
            lam_partition_release(w->partitions[i]);
        w->partitions[i] = NULL;
    }
    ck_ok(lam_db_close(w->db, &w->err), &w->err);
}

static void create_partition(struct world *w, int i) {
    char name[64];
    w->generation[i]++;
    partition_name(w, i, name, sizeof name);
    struct lam_partition_options o = {.compression = (enum lam_compression)below(w, 3)};
    ck_ok(lam_partition_create(w->db, name, &o, &w->partitions[i], &w->err), &w->err);
    memset(&w->now.tables[i], 0, sizeof w->now.tables[i]);
    w->now.tables[i].exists = true;
}

static void drop_partition(struct world *w, int i) {
    ck_ok(lam_partition_drop(w->db, w->partitions[i], &w->err), &w->err);
    struct lam_value v = {0};
    ck_code(lam_get(w->db, NULL, w->partitions[i], lam_slice_str("k"), &v, NULL), LAM_NOT_FOUND);
    ck_code(lam_put(w->db, NULL, w->partitions[i], lam_slice_str("k"), lam_slice_str("v"), NULL),
            LAM_NOT_FOUND);
    lam_partition_release(w->partitions[i]);
    w->partitions[i] = NULL;
    w->now.tables[i].exists = false;
    for (int s = 0; s < SNAPSHOTS; s++)
        if (w->seen[s])
            w->seen[s]->tables[i].exists = false;
}

/* --- writing --------------------------------------------------------------------------------- */

struct planned {
    int table;
    int kind; /* 0 put, 1 delete, 2 delete range */
    uint32_t from, to;
    uint64_t upto;
    struct row row;
};

static struct planned plan_op(struct world *w) {
    struct planned p = {.table = (int)below(w, PARTITIONS), .from = below(w, KEYS)};
    uint32_t dice = below(w, 100);
    if (dice < 70) {
        p.row = (struct row){true, 0, rng_next(&w->rng), below(w, w->most_bytes)};
        if (dice < 10)
            p.row.size = below(w, 4000);
        if (dice == 0)
            p.row.size = below(w, sizeof value_buffer);
    } else if (dice < 90) {
        p.kind = 1;
    } else {
        p.kind = 2;
        p.to = p.from + below(w, w->most_range); /* KEYS and more: no end */
        if (dice >= 98 && below(w, w->most_bytes / 4) == 0) {
            /* A wide one, to hold whole files. */
            p.from = below(w, 20);
            p.to = KEYS - below(w, 20);
        }
        p.upto = LAM_SEQUENCE_MAX;
        if (dice < 96 || dice == 99) {
            struct lam_stats s;
            lam_db_stats(w->db, &s);
            uint64_t back = below(w, 300);
            p.upto = s.sequence > back ? s.sequence - back : 0;
        }
    }
    return p;
}

static void add_op(struct world *w, lam_batch *b, const struct planned *p) {
    uint8_t k1[300], k2[300];
    lam_partition *part = w->partitions[p->table];
    if (p->kind == 0) {
        value_of(&p->row, value_buffer);
        ck_ok(lam_batch_put(b, part, key_of(p->from, k1), lam_slice_of(value_buffer, p->row.size),
                            &w->err),
              &w->err);
    } else if (p->kind == 1) {
        ck_ok(lam_batch_delete(b, part, key_of(p->from, k1), &w->err), &w->err);
    } else {
        struct lam_slice to = p->to >= KEYS ? lam_slice_of(NULL, 0) : key_of(p->to, k2);
        ck_ok(lam_batch_delete_range(b, part, key_of(p->from, k1), to, p->upto, &w->err), &w->err);
    }
}

static void model_op(struct world *w, const struct planned *p, uint64_t sequence) {
    struct table *t = &w->now.tables[p->table];
    if (p->kind == 0) {
        t->rows[p->from] = p->row;
        t->rows[p->from].sequence = sequence;
    } else if (p->kind == 1) {
        t->rows[p->from].present = false;
    } else {
        uint64_t upto = p->upto < sequence ? p->upto : sequence - 1;
        for (uint32_t i = p->from; i < p->to && i < KEYS; i++)
            if (t->rows[i].sequence <= upto)
                t->rows[i].present = false;
    }
}

static void write_batch(struct world *w) {
    struct planned plan[8];
    uint32_t n = 1 + below(w, 8), kept = 0;
    lam_batch *b;
    ck_ok(lam_batch_new(w->db, &b, &w->err), &w->err);
    for (uint32_t i = 0; i < n; i++) {
        struct planned p = plan_op(w);
        if (!w->now.tables[p.table].exists)
            continue;
        add_op(w, b, &p);
        plan[kept++] = p;
    }
    struct lam_write_options o = {below(w, 20) == 0 ? LAM_DURABILITY_SYNC : LAM_DURABILITY_DEFAULT};
    uint64_t last = 0;
    ck_ok(lam_write(w->db, &o, b, &last, &w->err), &w->err);
    for (uint32_t i = 0; i < kept; i++)
        model_op(w, &plan[i], last - kept + 1 + i);
    lam_batch_free(b);
}

/* --- reading --------------------------------------------------------------------------------- */

static const struct state *choose_view(struct world *w, struct lam_read_options *o) {
    int s = (int)below(w, SNAPSHOTS * 2);
    if (s < SNAPSHOTS && w->snapshots[s]) {
        o->snapshot = w->snapshots[s];
        return w->seen[s];
    }
    return &w->now;
}

static void check_get(struct world *w) {
    struct lam_read_options o = {0};
    const struct state *view = choose_view(w, &o);
    int t = (int)below(w, PARTITIONS);
    if (!view->tables[t].exists || !w->now.tables[t].exists)
        return;
    uint8_t key[300];
    uint32_t i = below(w, KEYS);
    const struct row *r = &view->tables[t].rows[i];
    struct lam_value v = {0};
    enum lam_code rc = lam_get(w->db, &o, w->partitions[t], key_of(i, key), &v, &w->err);
    if (r->present) {
        ck_ok(rc, &w->err);
        check_value(r, v.bytes);
    } else {
        ck_code(rc, LAM_NOT_FOUND);
    }
    lam_value_release(&v);
}

/* First present row at or after `i` below `high`, or `high`. */
static int first_from(const struct table *t, int i, int high) {
    while (i < high && !t->rows[i].present)
        i++;
    return i < high ? i : high;
}

/* Last present row at or before `i` from `low` on, or low - 1. */
static int last_to(const struct table *t, int i, int low) {
    while (i >= low && !t->rows[i].present)
        i--;
    return i >= low ? i : low - 1;
}

static void check_position(lam_iter *it, const struct table *t, int at, int low, int high) {
    struct lam_error err = {0};
    ck_ok(lam_iter_status(it, &err), &err);
    if (at < low || at >= high) {
        ck_assert(!lam_iter_valid(it));
        return;
    }
    ck_assert(lam_iter_valid(it));
    uint8_t key[300];
    struct lam_slice want = key_of((uint32_t)at, key), got = lam_iter_key(it);
    ck_assert_uint_eq(got.size, want.size);
    ck_assert(memcmp(got.data, want.data, want.size) == 0);
    check_value(&t->rows[at], lam_iter_value(it));
}

static void check_iterator(struct world *w) {
    struct lam_read_options o = {0};
    const struct state *view = choose_view(w, &o);
    int index = (int)below(w, PARTITIONS);
    const struct table *t = &view->tables[index];
    if (!t->exists || !w->now.tables[index].exists)
        return;
    uint8_t k1[300], k2[300], k3[300], prefix[8];
    int low = 0, high = KEYS;
    if (below(w, 2)) {
        low = (int)below(w, KEYS);
        o.lower = key_of((uint32_t)low, k1);
    }
    if (below(w, 2)) {
        high = (int)below(w, KEYS);
        o.upper = key_of((uint32_t)high, k2);
    }
    if (below(w, 3) == 0) {
        int group = (int)below(w, KEYS / 20);
        o.prefix =
            lam_slice_of(prefix, (size_t)snprintf((char *)prefix, sizeof prefix, "g%02d/", group));
        low = low > group * 20 ? low : group * 20;
        high = high < group * 20 + 20 ? high : group * 20 + 20;
    }
    if (high < low)
        high = low;
    lam_iter *it;
    ck_ok(lam_iter_new(w->db, &o, w->partitions[index], &it, &w->err), &w->err);
    ck_assert(!lam_iter_valid(it));
    int at = low - 1;
    for (int step = 0; step < 40; step++) {
        bool valid = at >= low && at < high;
        uint32_t move = below(w, 20);
        if (move == 0) {
            lam_iter_seek_first(it);
            at = first_from(t, low, high);
        } else if (move == 1) {
            lam_iter_seek_last(it);
            at = last_to(t, high - 1, low);
        } else if (move == 2) {
            int to = (int)below(w, KEYS);
            lam_iter_seek(it, key_of((uint32_t)to, k3));
            at = first_from(t, to > low ? to : low, high);
        } else if (move == 3) {
            int to = (int)below(w, KEYS);
            lam_iter_seek_for_prev(it, key_of((uint32_t)to, k3));
            at = last_to(t, to < high ? to : high - 1, low);
        } else if (!valid) {
            continue;
        } else if ((move + (uint32_t)index) % 3 != 0) {
            lam_iter_next(it);
            at = first_from(t, at + 1, high);
        } else {
            lam_iter_prev(it);
            at = last_to(t, at - 1, low);
        }
        check_position(it, t, at, low, high);
    }
    lam_iter_free(it);
}

static void check_everything(struct world *w) {
    for (int index = 0; index < PARTITIONS; index++) {
        const struct table *t = &w->now.tables[index];
        if (!t->exists)
            continue;
        lam_iter *it;
        ck_ok(lam_iter_new(w->db, NULL, w->partitions[index], &it, &w->err), &w->err);
        lam_iter_seek_first(it);
        for (int at = first_from(t, 0, KEYS); at < KEYS; at = first_from(t, at + 1, KEYS)) {
            check_position(it, t, at, 0, KEYS);
            lam_iter_next(it);
        }
        ck_assert(!lam_iter_valid(it));
        lam_iter_free(it);
    }
    ck_ok(lam_db_check(w->db, NULL, NULL, &w->err), &w->err);
}

/* --- the run --------------------------------------------------------------------------------- */

static void take_snapshot(struct world *w) {
    int i = (int)below(w, SNAPSHOTS);
    free_snapshot(w, i);
    if (below(w, 2))
        return;
    ck_ok(lam_snapshot_new(w->db, &w->snapshots[i], &w->err), &w->err);
    w->seen[i] = malloc(sizeof *w->seen[i]);
    ck_assert(w->seen[i] != NULL);
    *w->seen[i] = w->now;
}

static void step(struct world *w) {
    uint32_t dice = below(w, 1000);
    if (dice < 600) {
        write_batch(w);
    } else if (dice < 800) {
        check_get(w);
    } else if (dice < 950) {
        check_iterator(w);
    } else if (dice < 975) {
        take_snapshot(w);
    } else if (dice < 985) {
        ck_ok(lam_db_dump(w->db, &w->err), &w->err);
    } else if (dice < 990) {
        int i = (int)below(w, PARTITIONS);
        lam_partition *p = w->now.tables[i].exists ? w->partitions[i] : NULL;
        ck_ok(lam_db_compact(w->db, p, &w->err), &w->err);
    } else if (dice < 993) {
        check_everything(w);
    } else if (dice < 995) {
        int i = (int)below(w, PARTITIONS);
        if (w->now.tables[i].exists)
            drop_partition(w, i);
        else
            create_partition(w, i);
    } else if (dice < 998) {
        close_world(w);
        ck_ok(lam_check(w->path, w->env, NULL, NULL, &w->err), &w->err);
        open_world(w);
        check_everything(w);
    }
}

static void start_world(struct world *w) {
    w->options.env = w->env;
    w->options.memory_budget = 4u << 20;
    w->options.block_bytes = 1024;
    w->most_bytes = w->most_bytes ? w->most_bytes : 60;
    w->most_range = w->most_range ? w->most_range : 30;
    ck_ok(lam_db_open(w->path, &w->options, &w->db, &w->err), &w->err);
    for (int i = 0; i < PARTITIONS; i++)
        create_partition(w, i);
}

static void end_world(struct world *w) {
    check_everything(w);
    close_world(w);
}

static void run_world(struct world *w, int steps) {
    start_world(w);
    for (int i = 0; i < steps; i++)
        step(w);
    end_world(w);
}

START_TEST(engine_equals_model_on_mem_with_manual_background) {
    struct world *w = calloc(1, sizeof *w);
    rng_init(&w->rng, test_seed("model/mem/manual"));
    ck_ok(lam_env_mem_new(&w->env, &w->err), &w->err);
    snprintf(w->path, sizeof w->path, "/db");
    w->options.manual_background = true;
    run_world(w, 12000);
    lam_env_mem_free(w->env);
    free(w);
}
END_TEST

START_TEST(engine_equals_model_on_mem_with_threads) {
    struct world *w = calloc(1, sizeof *w);
    rng_init(&w->rng, test_seed("model/mem/threads"));
    ck_ok(lam_env_mem_new(&w->env, &w->err), &w->err);
    snprintf(w->path, sizeof w->path, "/db");
    run_world(w, 12000);
    lam_env_mem_free(w->env);
    free(w);
}
END_TEST

START_TEST(engine_equals_model_over_several_levels) {
    struct world *w = calloc(1, sizeof *w);
    rng_init(&w->rng, test_seed("model/mem/levels"));
    ck_ok(lam_env_mem_new(&w->env, &w->err), &w->err);
    snprintf(w->path, sizeof w->path, "/db");
    w->options.manual_background = true;
    w->most_bytes = 100000;
    w->most_range = 4;
    run_world(w, 2500);
    lam_env_mem_free(w->env);
    free(w);
}
END_TEST

/* What one level wrote the next one reads: checksums and filters are the same. */
START_TEST(engine_equals_model_at_every_vector_level) {
    struct world *w = calloc(1, sizeof *w);
    rng_init(&w->rng, test_seed("model/mem/vectors"));
    ck_ok(lam_env_mem_new(&w->env, &w->err), &w->err);
    snprintf(w->path, sizeof w->path, "/db");
    w->options.manual_background = true;
    start_world(w);
    for (int i = 0; i < 9000; i++) {
        if (i % 500 == 0) {
            check_everything(w);
            simd_most_ = (enum simd_level)(i / 500 % (SIMD_AVX2 + 1));
            check_everything(w);
        }
        step(w);
    }
    end_world(w);
    lam_env_mem_free(w->env);
    free(w);
}
END_TEST

START_TEST(engine_equals_model_on_posix) {
    struct world *w = calloc(1, sizeof *w);
    rng_init(&w->rng, test_seed("model/posix"));
    w->env = lam_env_posix();
    snprintf(w->path, sizeof w->path, "%s/db", test_dir());
    run_world(w, 4000);
    free(w);
}
END_TEST

TEST_MAIN("lsm/model", engine_equals_model_on_mem_with_manual_background,
          engine_equals_model_on_mem_with_threads, engine_equals_model_over_several_levels,
          engine_equals_model_at_every_vector_level, engine_equals_model_on_posix)
