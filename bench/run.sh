#!/bin/sh
# Runs the benchmarks once. N, THREADS, ONLY (workloads with commas), DIR, CSV set what and where.
set -eu
B=${B:-build}
exec "$B/release/bench/lamina-bench" -n "${N:-1000000}" -t "${THREADS:-1}" -d "${DIR:-/tmp}" \
    ${ONLY:+-w "$ONLY"} -o "${CSV:-$B/bench.csv}"
