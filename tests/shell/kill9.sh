#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Kills `lamina` with SIGKILL at random moments while work streams in, opens the database again and
# looks for every row that was acknowledged. Rounds go on in one database; odd ones run with --sync.
# SEED repeats a run, ROUNDS sets its length. The program reads, in turn, frames of the protocol
# (--batch), which it acknowledges by a line each, and a script through a pipe, whose acknowledgement
# of frame N is the row of `SELECT 'ack', N, 'whole'` behind it. Every fourth round it is killed by the clock
# instead, between its start and some acknowledgements: mostly while it opens.
#
# Frame N inserts rows (N, 0) to (N, rows - 1) in one statement, rows = 1 or 20, so a frame is there
# whole or not at all, and frames are there without a gap. Every 40th frame first updates the one
# before it, every 100th flushes to Parquet.
#
# What the kernel was given outlives the process, so the files may be in memory: /dev/shm where there
# is one, unless TMPDIR says otherwise.
[ -n "${TMPDIR:-}" ] || { [ -w /dev/shm ] && TMPDIR=/dev/shm && export TMPDIR; }
. ./support.sh

seed=${SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
rounds=${ROUNDS:-50}
echo "kill9: SEED=$seed ROUNDS=$rounds"
db=$work/db

"$LAMINA" "$db" "CREATE TABLE t (frame INT, part INT, note TEXT, PRIMARY KEY (frame, part))" \
    >/dev/null || exit 1
mkfifo "$work/acks"

frames() { # from frame $1 on, until nobody reads
    awk -v n="$1" 'BEGIN {
        for (;; n++) {
            rows = n % 7 ? 1 : 20
            printf "{\"id\":%d,\"sql\":\"", n
            if (n % 40 == 0)
                printf "UPDATE t SET note = '"'again'"' WHERE frame = %d; ", n - 1
            printf "INSERT INTO t VALUES "
            for (i = 0; i < rows; i++)
                printf "%s(%d,%d,'"'note %d'"')", i ? "," : "", n, i, n
            if (n % 100 == 0)
                printf "; STORAGE FLUSH TABLE t"
            print "\"}"
        }
    }' 2>/dev/null
}

script() { # the same as a script of SQL
    frames "$1" | sed -u "s/^{\"id\":\([0-9]*\),\"sql\":\"\(.*\)\"}\$/\2; SELECT 'ack', \1, 'whole';/"
}

# Kills $1 when it has acknowledged $2 frames (0: never); prints the last acknowledged one, counting those
# that were in the pipe, or an error.
watch() {
    awk -v pid="$1" -v left="$2" -v last="$3" '
        /^\{"sync":/ || /^ack,[0-9]*,whole$/ {
            n = substr($0, /^ack/ ? 5 : 9) + 0
            if (n != last + 1 && problem == "") problem = "frame " n " was acknowledged after " last
            last = n
            if (--left == 0) system("kill -9 " pid)
        }
        /^\{"error"/ { if (problem == "") problem = $0 }
        END { print problem == "" ? last : problem }'
}

# Reads "frame,rows,again" lines; prints the last frame or what is wrong. $1: last acknowledged.
# The update of a frame is whole or not done; it is done if the frame after it is there.
verify() {
    awk -F, -v acked="$1" '
        NR == 1 || problem != "" { next }
        {
            n++
            rows = n % 7 ? 1 : 20
            if ($1 != n) problem = "frame " n " is missing before " $1
            else if ($2 != rows) problem = "frame " n " has " $2 " rows"
            else if (n % 40 != 39 && $3 != 0) problem = "frame " n " was updated"
            else if ($3 != 0 && $3 != rows) problem = "frame " n " has " $3 " updated rows"
            else if (n % 40 == 0 && !again) problem = "frame " n - 1 " was not updated"
            again = $3 > 0
        }
        END {
            if (problem == "" && n < acked) problem = "frames " n + 1 " to " acked " are missing"
            print problem == "" ? n + 0 : problem
        }'
}

# is_number FACT TEXT: whether TEXT is a number and no message
is_number() {
    case "$2" in
    '' | *[!0-9]*) is "$1" "a number" "$2" ;;
    *) passed=$((passed + 1)) ;;
    esac
}

next=1
last=0
state=$seed
round=1
while [ "$round" -le "$rounds" ]; do
    state=$(((state * 1103515245 + 12345) % 2147483648))
    kill_after=$((state / 65536 % 150 + 1))
    sync=
    [ $((round % 2)) = 0 ] || sync=--sync
    # shellcheck disable=SC2086
    if [ $((round / 2 % 2)) = 0 ]; then
        frames "$next" | "$LAMINA" $sync --batch "$db" >"$work/acks" 2>"$work/err" &
    else
        script "$next" | "$LAMINA" $sync -m csv "$db" >"$work/acks" 2>"$work/err" &
    fi
    pid=$!
    if [ $((round % 4)) = 0 ]; then
        (sleep "0.0$((state / 65536 % 50 + 10))" && kill -9 "$pid") &
        kill_after=0
    fi
    acked=$(watch "$pid" "$kill_after" "$last" <"$work/acks")
    wait "$pid" 2>/dev/null
    is "round $round: the program died of the kill" 137 "$?"
    is_number "round $round: frames are acknowledged in order" "$acked"
    there=$("$LAMINA" -m csv "$db" "SELECT frame, COUNT(*), SUM(CASE WHEN note = 'again' THEN 1 ELSE 0 END) FROM t GROUP BY frame ORDER BY frame" 2>&1 | verify "$acked")
    is_number "round $round: every acknowledged row is there ($acked frames)" "$there"
    [ "$failed" = 0 ] || break
    last=$there
    next=$((there + 1))
    round=$((round + 1))
done
check=$("$LAMINA" --check "$db")
is "the files are whole" "$db: no problem found" "$check"
echo "kill9: $last frames in $((round - 1)) rounds"
finish
