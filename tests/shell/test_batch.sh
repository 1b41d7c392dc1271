#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The machine protocol: each batch/NAME.in is sent to a database in memory and must be answered by
# batch/NAME.out, byte by byte.
. ./support.sh

for input in batch/*.in; do
    name=$(basename "$input" .in)
    status=0
    "$LAMINA" --batch :memory: <"$input" >"$work/out" 2>"$work/err" || status=$?
    is "$name: exit status and messages" 0 "$status$(cat "$work/err")"
    is "$name: answers" "$(cat "batch/$name.out")" "$(cat "$work/out")"
done

# A frame is answered before the next is sent.
mkfifo "$work/to" "$work/from"
"$LAMINA" --batch :memory: <"$work/to" >"$work/from" &
pid=$!
exec 3>"$work/to" 4<"$work/from"
for i in 1 2 3; do
    printf '{"id":%d,"sql":"SELECT %d"}\n' "$i" "$i" >&3
    read -r row <&4
    read -r ok <&4
    read -r sync <&4
    is "frame $i is answered at once" "[$i] {\"ok\":true,\"rows\":1} {\"sync\":$i}" "$row $ok $sync"
done
exec 3>&-
wait "$pid"
is "the end of input ends the program" 0 "$?"
exec 4<&-

# Values of every type, long ones too.
long=$(awk 'BEGIN { for (i = 0; i < 20000; i++) printf "0123456789" }')
printf '{"sql":"SELECT $1","params":["%s"]}\n' "$long" | "$LAMINA" --batch :memory: >"$work/out"
is "a text of 200,000 bytes comes back" "[\"$long\"]" "$(head -n 1 "$work/out")"
printf '{"sql":"SELECT 1"}' | "$LAMINA" --batch :memory: >"$work/out"
is "a last line needs no newline" "[1] {\"ok\":true,\"rows\":1} {\"sync\":null}" \
    "$(tr '\n' ' ' <"$work/out" | sed 's/ $//')"
printf '{"id":1,"sql":"SELECT 1 \377"}\n' | "$LAMINA" --batch :memory: >"$work/out"
has "bytes that are not UTF-8 are refused" '"code":"08P01"' "$(cat "$work/out")"
printf '{"sql":"CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)"}\n' |
    "$LAMINA" --batch "$work/db" >"$work/out"
"$LAMINA" --batch "$work/db" >"$work/out" <<'END'
{"id":"a","sql":"SELECT id FROM t"}
END
is "what a frame did is there after the end" '[1]' "$(head -n 1 "$work/out")"
printf '{"sql":"SELECT CURRENT_USER, CURRENT_ROLE","conn":"x"}\n' |
    "$LAMINA" --batch --user eve --role service :memory: >"$work/out"
is "plain names are the user of --user and --role" '["eve","service"]' "$(head -n 1 "$work/out")"
finish
