#!/bin/sh
# Runs test programs, some at a time, and prints the output of those that fail.
#   tests/run.sh LOGDIR PROGRAM...
# JOBS sets how many run at once (default: the number of processors).
set -u
logs=$1
shift
mkdir -p "$logs"
jobs=${JOBS:-$(nproc)}
rm -f "$logs"/*.log "$logs"/*.status

run_one='
name=$(echo "$1" | sed "s|.*/tests/||; s|/|_|g")
if "$1" >"$0/$name.log" 2>&1; then echo ok >"$0/$name.status"; else echo failed >"$0/$name.status"; fi
'
printf '%s\n' "$@" | xargs -P "$jobs" -n 1 sh -c "$run_one" "$logs"

passed=0
failed=0
for status in "$logs"/*.status; do
    name=$(basename "$status" .status)
    if [ "$(cat "$status")" = ok ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $name"
        tail -n 40 "$logs/$name.log"
    fi
done
checks=$(sed -n 's/.*Checks: \([0-9]*\), Failures.*/\1/p' "$logs"/*.log | awk '{n += $1} END {print n + 0}')
echo "$checks checks in $((passed + failed)) programs"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
