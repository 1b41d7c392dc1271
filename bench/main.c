/* SPDX-License-Identifier: Apache-2.0
 *
 * The benchmark program. With -e it runs a peer that it was built with instead of Lamina. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/harness.h"
#include "bench/kv.h"

static const struct engine_ops *const engines[] = {
    &engine_lamina,
#ifdef HAVE_ROCKSDB
    &engine_rocksdb,
#endif
#ifdef HAVE_LEVELDB
    &engine_leveldb,
#endif
#ifdef HAVE_LMDB
    &engine_lmdb,
#endif
#ifdef HAVE_SQLITE
    &engine_sqlite,
#endif
};
#define ENGINES (sizeof engines / sizeof engines[0])

static void usage(FILE *out) {
    fputs("usage: lamina-bench [-n KEYS] [-t THREADS] [-d DIR] [-w WORKLOAD,...] [-e ENGINE] "
          "[-m MEMORY_MIB] [-o CSV]\n"
          "workloads: fillseq fillrandom readrandom readmissing readseq readreverse seek10\n"
          "           overwrite batch100 batch4part fillsync sql\n"
          "engines:  ",
          out);
    for (size_t i = 0; i < ENGINES; i++)
        fprintf(out, " %s", engines[i]->name);
    fputc('\n', out);
}

static const struct engine_ops *find_engine(const char *name) {
    for (size_t i = 0; i < ENGINES; i++)
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    usage(stderr);
    fatal("no engine %s in this build", name);
}

int main(int argc, char **argv) {
    struct bench_config config = {.n = 1000000,
                                  .threads = 1,
                                  .dir = "/tmp",
                                  .value_size = 100,
                                  .memory_bytes = (size_t)1 << 30};
    const struct engine_ops *engine = &engine_lamina;
    for (int c; (c = getopt(argc, argv, "n:t:d:w:e:m:o:h")) != -1;) {
        if (c == 'n')
            config.n = strtoull(optarg, NULL, 10);
        else if (c == 't')
            config.threads = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'd')
            config.dir = optarg;
        else if (c == 'w')
            config.only = optarg;
        else if (c == 'e')
            engine = find_engine(optarg);
        else if (c == 'm')
            config.memory_bytes = strtoull(optarg, NULL, 10) << 20;
        else if (c == 'o')
            report_csv(optarg);
        else {
            usage(c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    if (config.n < 1000 || config.threads < 1 || config.threads > 64)
        fatal("KEYS must be at least 1000, THREADS 1 to 64");
    bench_kv(engine, &config);
    if (engine == &engine_lamina)
        bench_sql(&config);
    return 0;
}
