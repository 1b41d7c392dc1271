#!/bin/sh
# Runs Lamina and every peer whose -dev package is installed, interleaved, RUNS times each, and prints
# medians and ratios. Offers to install what is missing.
#   N, RUNS, ONLY, DIR, PEERS (names) set what is run.
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
RUNS=${RUNS:-3}
WORKLOADS=${ONLY:-fillseq,fillrandom,readrandom,readmissing,readseq,readreverse,seek10,overwrite,batch100,batch4part,fillsync}

has() { [ -e "/usr/include/$1" ]; }
if ! has rocksdb/c.h || ! has leveldb/c.h || ! has lmdb.h || ! has sqlite3.h; then
    if [ -t 0 ]; then
        printf 'Some peers are not installed (librocksdb-dev libleveldb-dev liblmdb-dev libsqlite3-dev). Install them? [y/N] '
        read -r answer
        case "$answer" in [yY]*) ./.ci/deps peers ;; esac
    else
        echo "Peers that are not installed are left out; ./.ci/deps peers installs them."
    fi
fi
flags=""
sources=""
libs=""
peers="lamina"
add() { flags="$flags -DHAVE_$1"; sources="$sources bench/peers/$2.c"; libs="$libs -l$2"; peers="$peers $2"; }
if has rocksdb/c.h; then add ROCKSDB rocksdb; fi
if has leveldb/c.h; then add LEVELDB leveldb; fi
if has lmdb.h; then add LMDB lmdb; fi
if has sqlite3.h; then add SQLITE sqlite; libs=$(echo "$libs" | sed 's/-lsqlite$/-lsqlite3/'); fi
peers=${PEERS:-$peers}

make --no-print-directory MODE=release lib
program=$B/release/bench/lamina-bench-peers
mkdir -p "$B/release/bench"
# shellcheck disable=SC2086
gcc -O3 -g -std=gnu11 -D_GNU_SOURCE -I. -Iinclude $flags -o "$program" bench/*.c $sources \
    "$B/release/liblamina.a" $libs -llz4 -lxxhash -largon2 -lm -pthread

csv=$B/bench-peers.csv
rm -f "$csv"
i=0
while [ "$i" -lt "$RUNS" ]; do
    i=$((i + 1))
    for peer in $peers; do
        echo "run $i of $RUNS: $peer" >&2
        "$program" -e "$peer" -n "${N:-1000000}" -t "${THREADS:-1}" -d "${DIR:-/tmp}" -w "$WORKLOADS" -o "$csv" >/dev/null
    done
done

echo
echo "Medians of $RUNS interleaved runs, N = ${N:-1000000}; ratio: Lamina's ops/s (CPU us/op) against the peer's."
python3 bench/ratios.py "$csv"
