#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The process-level tests as a program of the fault tiers: one gate, a trial a check: each test that the
# sources define must be among them. LAM_LONG=1 takes more of what is counted.
#   tests/process/run.sh BUILD-DIRECTORY-OF-A-MODE
set -u
O=$1
log=$(mktemp "${TMPDIR:-/tmp}/lamina-process-XXXXXX")
trap 'rm -f "$log"' EXIT
here=$(dirname "$0")
programs=$(cd "$here" && ls test_*.c | sed 's/\.c$//')
required=$(cat "$here"/test_*.c | grep -c '^START_TEST(')
checks=0
failed=0
for p in $programs; do
    if ! "$O/tests/process/$p" >"$log" 2>&1; then
        failed=$((failed + 1))
        tail -n 20 "$log"
        echo "replay: make MODE=$(basename "$O") tests && $O/tests/process/$p    ($(grep -o 'LAM_SEED=[0-9]*' "$log" | head -1))"
    fi
    n=$(sed -n 's/.*Checks: \([0-9]*\), Failures.*/\1/p' "$log")
    checks=$((checks + ${n:-0}))
done
[ "$failed" = 0 ] && [ "$checks" -ge "$required" ] && [ "$checks" -gt 0 ] && ok=true || ok=false
echo "{\"gate\":\"process-level tests\",\"required\":$required,\"reached\":$checks,\"failed\":$failed,\"seed\":\"0x0\",\"ok\":$ok}"
[ "$ok" = true ]
