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
trap 'rm -f "$log" "$log.c" "$log.out"' EXIT
make --no-print-directory B="$B" MODE=asan "$B/asan/sim/engine" "$B/asan/sim/sql" "$B/asan/sim/threads" >"$log" 2>&1 || {
    cat "$log"
    exit 1
}
# What must run; a simulation that is built without its sanitizers, or a valgrind that tells nothing, is
# no run of theirs.
required=8
# What a thread that still waits at the end holds is possibly lost to valgrind's eyes.
strict="-q --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=9"
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
run valgrind $strict "$B/release/sim/engine" --count $((300 * times)) --seed 0x1a
run valgrind $strict "$B/release/sim/sql" --count $((40 * times)) --seed 0x1a
has_sanitizers() {
    for p in engine sql threads; do
        nm "$B/asan/sim/$p" >"$log.out" || return 1
        for s in __asan_init __ubsan_handle; do
            grep -q "$s" "$log.out" || return 1
        done
    done
}
run has_sanitizers
# valgrind finds what is there to find.
valgrind_finds() {
    printf '#include <stdlib.h>\nint main(void) { char *volatile p = malloc(8); %s return 0; }' "$1" >"$log.c"
    ${CC:-cc} -g -w -o "$log.out" "$log.c" || return 1
    valgrind $strict "$log.out"
    [ $? = 9 ]
}
run valgrind_finds "p[8] = 1; free(p);"
run valgrind_finds "p = 0;"
[ "$failed" = 0 ] && [ "$runs" -ge "$required" ] && ok=true || ok=false
echo "{\"gate\":\"sanitizer and valgrind reports\",\"required\":$required,\"reached\":$runs,\"failed\":$failed,\"seed\":\"0x1a\",\"ok\":$ok}"
[ "$ok" = true ]
