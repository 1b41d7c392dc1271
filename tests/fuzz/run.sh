#!/bin/sh
# Runs every fuzz harness in a folder for FUZZ_SECONDS, two at a time; new inputs are not kept.
#   tests/fuzz/run.sh FOLDER
set -u
folder=$1
seconds=${FUZZ_SECONDS:-5}
logs=$(dirname "$folder")/logs
mkdir -p "$logs"
rm -f "$logs"/*
one='
name=$(basename "$2")
corpus=tests/fuzz/corpus/${name#fuzz_}
work=$0/$name.corpus
rm -rf "$work"; mkdir -p "$work"
[ -d "$corpus" ] || corpus=
if "$2" -max_total_time="$1" -timeout=20 -rss_limit_mb=2048 -artifact_prefix="$0/$name-" "$work" $corpus >"$0/$name.log" 2>&1
then echo ok >"$0/$name.status"; else echo failed >"$0/$name.status"; fi
rm -rf "$work"
'
find "$folder" -name 'fuzz_*' -type f -perm -u+x | sort | xargs -P "$(nproc)" -n 1 sh -c "$one" "$logs" "$seconds"
passed=0
failed=0
for status in "$logs"/*.status; do
    name=$(basename "$status" .status)
    if [ "$(cat "$status")" = ok ]; then
        passed=$((passed + 1))
        echo "$name: $(grep -oE 'Done [0-9]+ runs' "$logs/$name.log" | tail -1)"
    else
        failed=$((failed + 1))
        echo "FAILED $name"
        tail -n 40 "$logs/$name.log"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
