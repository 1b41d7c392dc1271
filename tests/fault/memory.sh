#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The simulations under valgrind, AddressSanitizer and UndefinedBehaviorSanitizer, as one gate. The whole
# suite runs under them, and under ThreadSanitizer, in `make asan` and `make tsan`.
#   tests/fault/memory.sh fast|long BUILD-DIRECTORY
set -u
tier=$1
B=$2
[ "$tier" = long ] && times=10 || times=1
log=$(mktemp "${TMPDIR:-/tmp}/lamina-memory-XXXXXX")
trap 'rm -f "$log"' EXIT
make --no-print-directory B="$B" MODE=asan "$B/asan/sim/engine" "$B/asan/sim/sql" "$B/asan/sim/threads" >"$log" 2>&1 || {
    cat "$log"
    exit 1
}
runs=0
failed=0
run() {
    runs=$((runs + 1))
    if "$@" >"$log" 2>&1; then
        echo "ok: $*"
    else
        failed=$((failed + 1))
        tail -n 40 "$log"
        echo "replay: $*"
    fi
}
run "$B/asan/sim/engine" --count $((4000 * times)) --seed 0x1a
run "$B/asan/sim/sql" --count $((400 * times)) --seed 0x1a
run "$B/asan/sim/threads" --count $((40 * times)) --seed 0x1a
run valgrind -q --leak-check=full --error-exitcode=9 "$B/release/sim/engine" --count $((300 * times)) --seed 0x1a
run valgrind -q --leak-check=full --error-exitcode=9 "$B/release/sim/sql" --count $((40 * times)) --seed 0x1a
[ "$failed" = 0 ] && ok=true || ok=false
echo "{\"gate\":\"sanitizer and valgrind reports\",\"required\":$runs,\"reached\":$runs,\"failed\":$failed,\"seed\":\"0x1a\",\"ok\":$ok}"
[ "$ok" = true ]
