/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes what stands around the pages of a Parquet file. The first two bytes of an input say how
 * much of it comes before the footer (pages, indexes, filters: whatever the footer makes of it);
 * the rest is the footer, whose length and magic are added. All that opens is read in part. */
#include "tests/fuzz/fuzz.h"
#include "tests/support/parquet.h"

#define MAX_ROWS   3000
#define MAX_GROUPS 4

static void read_chunk(const struct parquet_reader *r, uint32_t group, uint32_t field,
                       const struct parquet_field *f) {
    struct column c;
    struct parquet_row_ranges ranges = {0};
    struct parquet_range all = {.nulls = true};
    uint32_t rows = parquet_reader_group_rows(r, group);
    bool may;
    column_init(&c, f->type);
    enum lam_code rc =
        parquet_reader_read(r, group, field, rows / 3,
                            rows - rows / 3 < MAX_ROWS ? rows - rows / 3 : MAX_ROWS, &c, NULL);
    if (rc == LAM_OK && c.rows > 0 && !column_is_null(&c, 0))
        IGNORE(parquet_reader_may_contain(r, group, field, parquet_value_of(&c, 0), &may, NULL),
               "only crashes count");
    IGNORE(parquet_prune_pages(r, group, field, &all, &ranges, NULL), "only crashes count");
    parquet_row_ranges_fini(&ranges);
    column_fini(&c);
}

static void read_file(lam_env *env) {
    struct parquet_reader *r;
    uint32_t count;
    if (parquet_reader_open(env, "f", NULL, &r, NULL) != LAM_OK)
        return;
    const struct parquet_field *fields = parquet_reader_fields(r, &count);
    for (uint32_t g = 0; g < parquet_reader_group_count(r) && g < MAX_GROUPS; g++)
        for (uint32_t f = 0; f < count && f < 16; f++)
            read_chunk(r, g, f, &fields[f]);
    parquet_reader_close(r);
}

static void write_file(lam_env *env, const uint8_t *data, size_t size) {
    size_t split = get_le16(data) % (size - 1);
    struct buf b = {0};
    fuzz_put(&b, "PAR1", 4);
    fuzz_put(&b, data + 2, size - 2);
    fuzz_ok(buf_append_le32(&b, (uint32_t)(size - 2 - split), NULL), NULL);
    fuzz_put(&b, "PAR1", 4);
    fuzz_file_write(env, "f", buf_slice(&b));
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lam_env *env;
    if (size < 3)
        return 0;
    if (!env)
        env = fuzz_env_new();
    write_file(env, data, size);
    read_file(env);
    return 0;
}
