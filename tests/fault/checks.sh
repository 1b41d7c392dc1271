#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Check programs of whole folders of tests as one gate of the fault tiers, a trial a check: each test that
# the sources define must be among them. LAM_LONG=1 takes more of what is counted.
#   tests/fault/checks.sh GATE BUILD-DIRECTORY-OF-A-MODE SEED FOLDER...
set -u
gate=$1
O=$2
LAM_SEED=$3
export LAM_SEED
shift 3
log=$(mktemp "${TMPDIR:-/tmp}/lamina-checks-XXXXXX")
trap 'rm -f "$log"' EXIT
cd "$(dirname "$0")/.." || exit 1
required=0
checks=0
failed=0
for folder in "$@"; do
    required=$((required + $(cat "$folder"/test_*.c | grep -c '^START_TEST(')))
    for source in "$folder"/test_*.c; do
        program=$O/tests/${source%.c}
        if ! (cd .. && "$program") >"$log" 2>&1; then
            failed=$((failed + 1))
            tail -n 20 "$log"
            echo "replay: make MODE=$(basename "$O") tests && LAM_SEED=$LAM_SEED $program"
        fi
        n=$(sed -n 's/.*Checks: \([0-9]*\), Failures.*/\1/p' "$log")
        checks=$((checks + ${n:-0}))
    done
done
[ "$failed" = 0 ] && [ "$checks" -ge "$required" ] && [ "$checks" -gt 0 ] && ok=true || ok=false
echo "{\"gate\":\"$gate\",\"required\":$required,\"reached\":$checks,\"failed\":$failed,\"seed\":\"$LAM_SEED\",\"ok\":$ok}"
[ "$ok" = true ]
