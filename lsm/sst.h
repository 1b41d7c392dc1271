/* SPDX-License-Identifier: Apache-2.0
 *
 * SSTs: immutable sorted files. Bytes: docs/FORMAT.md "SST". Every block carries an xxh3-64 salted
 * with database id, file number and offset, checked before use and before decompression.
 * A builder is one thread's; an open sst is immutable, shared and reference-counted. */
#ifndef LAMINA_LSM_SST_H
#define LAMINA_LSM_SST_H

#include "base/env.h"
#include "lamina/options.h"
#include "lsm/entry.h"

struct block_cache;
struct cached_block;
struct epoch_reader;
struct epochs;

/* Stored in the file and copied to the manifest. */
struct sst_properties {
    uint64_t entries;
    uint64_t deletes; /* of entries: point tombstones */
    uint64_t range_tombstones;
    uint64_t raw_bytes;    /* keys and values */
    uint64_t sequence_min; /* over entries and range tombstones */
    uint64_t sequence_max;
    int64_t written_us; /* wall clock of the newest write in it, for TTL */
};

struct sst_builder_options {
    uint8_t db_id[16];
    uint64_t number; /* file number: part of every checksum */
    uint32_t block_bytes;
    uint32_t filter_bits_per_key;
    bool lz4;
    int64_t written_us;
};

struct sst_builder;
/* Makes the file; EXISTS if it is there: numbers are never reused. */
MUST_CHECK enum lam_code sst_builder_open(lam_env *env, const char *path,
                                          const struct sst_builder_options *options,
                                          struct sst_builder **builder_out, struct lam_error *err);
/* Entries come in entry order, no duplicates (asserted). */
MUST_CHECK enum lam_code sst_builder_add(struct sst_builder *b, const struct entry *entry,
                                         struct lam_error *err);
/* In any order, any time before finish. A range that covers nothing is left out. */
MUST_CHECK enum lam_code sst_builder_add_range(struct sst_builder *b,
                                               const struct range_tombstone *t,
                                               struct lam_error *err);
/* Instead of the option: entries may come for long. */
void sst_builder_set_written(struct sst_builder *b, int64_t written_us);
/* Bytes written and buffered so far: when to cut. */
uint64_t sst_builder_size(const struct sst_builder *b);
/* What the manifest keeps of a file; key bounds include range tombstones (an endless one makes
 * `largest_open` true). */
struct sst_summary {
    uint64_t number;
    uint64_t size_bytes;
    uint64_t footer_checksum; /* ties the manifest's entry to the file's bytes */
    struct buf smallest;      /* user keys; owned */
    struct buf largest;       /* inclusive, except from a range tombstone's `to` (exclusive) */
    bool largest_open;
    struct sst_properties properties;
};
void sst_summary_fini(struct sst_summary *s);
/* Writes index, filter, footer, syncs and closes the file (the directory is the caller's), fills
 * `summary` and frees the builder whatever it returns. */
MUST_CHECK enum lam_code sst_builder_finish(struct sst_builder *b, struct sst_summary *summary_out,
                                            struct lam_error *err);
/* Closes, removes the file, frees. */
void sst_builder_abandon(struct sst_builder *b);

struct sst;
/* Opens and verifies footer, properties, index, filter and range tombstones (kept in memory).
 * `cache` (may be NULL) must outlive it. Returns owned with one reference. */
MUST_CHECK enum lam_code sst_open(lam_env *env, const char *path, const uint8_t *db_id,
                                  uint64_t number, uint64_t size_bytes, uint64_t footer_checksum,
                                  struct block_cache *cache, struct sst **sst_out,
                                  struct lam_error *err);
/* What the manifest says of an opened file's sequences. Entries of a bulk ingest are all written
 * with sequence 0, which no commit has: the manifest states the one they have. Comes before any
 * other use. CORRUPT if it states something else than one sequence of such a file. */
MUST_CHECK enum lam_code sst_state_sequences(struct sst *s, const struct sst_properties *stated,
                                             struct lam_error *err);
struct sst *sst_ref(struct sst *s);
void sst_unref(struct sst *s); /* NULL is allowed */
OWNED_POINTER(struct sst, sst_unref)
/* The same once no reader is inside an epoch who may have found it. */
void sst_defer_unref(struct sst *s, struct epochs *epochs);
const struct sst_properties *sst_get_properties(const struct sst *s);
/* Sorted by `from`; valid as long as the sst. */
const struct range_tombstone *sst_ranges(const struct sst *s, size_t *count_out);
/* Bytes of memory it holds. */
size_t sst_memory(const struct sst *s);

/* Stored bytes of the data blocks that may hold keys of [from, to), by the index; an empty `to` is
 * no bound. `*all_out`: of all data blocks. */
uint64_t sst_range_bytes(const struct sst *s, struct lam_slice from, struct lam_slice to,
                         uint64_t *all_out);

/* Seed of a database's key hashes (filter and tags), and the hash that lookups take. */
uint64_t sst_key_seed(const uint8_t *db_id);
uint64_t sst_key_hash(uint64_t key_seed, struct lam_slice key);
/* Filter only: false means no version of the key with that hash is in the file. */
bool sst_may_contain(const struct sst *s, uint64_t hash);
/* Fetches what sst_may_contain will look at. */
void sst_prefetch_filter(const struct sst *s, uint64_t hash);
/* What a lookup found: the newest version with sequence <= the wanted one. */
struct sst_found {
    bool some;
    enum entry_kind kind;
    uint64_t sequence;
    struct lam_slice value;     /* of a PUT */
    struct cached_block *block; /* where the value lies; borrowed */
};
/* Looks for `key`, whose hash is given and which the filter did not rule out; range tombstones are
 * the caller's. The value lives as long as `*block_out`, which is to be given back by
 * sst_block_unref. Reads the file if need be; not to be called inside an epoch. */
MUST_CHECK enum lam_code sst_get(struct sst *s, struct lam_slice key, uint64_t hash,
                                 uint64_t sequence, struct sst_found *out,
                                 struct cached_block **block_out, struct lam_error *err);
void sst_block_unref(struct cached_block *block); /* NULL is allowed */
struct cached_block *sst_block_ref(struct cached_block *block);
/* The same inside an epoch of `r`, where the value lives until its end, from cached blocks only:
 * false if one it needs is not there. */
bool sst_get_cached(const struct sst *s, struct epoch_reader *r, struct lam_slice key,
                    uint64_t hash, uint64_t sequence, struct sst_found *out);
/* Its steps, for who looks many keys up at a time: each fetches what the next will look at. */
struct sst_probe {
    const struct sst *sst; /* with key and hash the caller's */
    struct lam_slice key;
    uint64_t hash;
    struct cached_block *block; /* data block `i` */
    uint32_t i;
    uint32_t entry; /* first in it with the key's tag */
};
/* The index, for several probes side by side. */
void sst_probe_index(struct sst_probe *const *probes, size_t n, uint64_t sequence);
/* False if the block is not in the cache. */
bool sst_probe_block(struct sst_probe *p);
void sst_probe_entry(struct sst_probe *p);
/* False if a further block is needed that is not in the cache. */
bool sst_probe_find(struct sst_probe *p, struct epoch_reader *r, uint64_t sequence,
                    struct sst_found *out);
/* Over the entries (range tombstones apart). Takes its own reference. `fill_cache` false for
 * compactions. Returns owned. */
MUST_CHECK enum lam_code sst_iter_new(struct sst *s, bool fill_cache, struct cursor_iter **it_out,
                                      struct lam_error *err);
/* Reads and verifies every block, order, counts, filter (each key passes), bounds. */
MUST_CHECK enum lam_code sst_verify(struct sst *s, const char *path, struct lam_error *err);

/* --- block cache: decompressed blocks of open SSTs, limited by bytes --- */

/* `epochs` must outlive it. */
MUST_CHECK enum lam_code block_cache_new(size_t capacity_bytes, struct epochs *epochs,
                                         struct block_cache **cache_out, struct lam_error *err);
/* Of the capacity, `bytes` are taken by other things (of files: index, filter); an eighth stays for
 * blocks whatever they take. A block that came before goes when the next one comes. */
void block_cache_set_taken(struct block_cache *c, size_t bytes); /* NULL is allowed */
/* The same of memory that is in use for a while, beside that of files. Blocks go at once where they
 * have no room any more. No lock above RANK_DB_MANIFEST is held. */
void block_cache_set_work(struct block_cache *c, size_t bytes);
size_t block_cache_work(struct block_cache *c); /* NULL: 0 */
/* Most that other things should take. */
size_t block_cache_most_taken(size_t capacity_bytes);
/* All ssts that use it are gone. */
void block_cache_free(struct block_cache *c);
struct block_cache_stats {
    uint64_t bytes, hits, misses;
};
void block_cache_get_stats(struct block_cache *c, struct block_cache_stats *out);

#endif
