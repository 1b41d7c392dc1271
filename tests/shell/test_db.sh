#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# lamina db: the tools for whole databases and single files.
. ./support.sh
cd "$work" || exit 1

lamina -c "CREATE USER TABLE t (id BIGINT PRIMARY KEY, s TEXT); INSERT INTO t VALUES (1, 'cold one'), (2, 'cold two');
STORAGE FLUSH TABLE t; INSERT INTO t VALUES (3, 'hot')" src
is "a database with hot and cold rows is made" 0 "$status"
rows=" id | s
----+---------
  1 | cold one
  2 | cold two
  3 | hot
(3 rows)"
rows_of() { # DIR
    "$LAMINA" "$1" "SELECT * FROM t ORDER BY id"
}

# --- usage ---
lamina db
is "no command is wrong usage" 2 "$status"
has "no command lists them" "dump-manifest" "$err"
lamina db --help
is "help exits 0" 0 "$status"
has "help says the exit status" "2 wrong usage" "$out"
lamina db chek src
is "an unknown command is wrong usage" 2 "$status"
has "a close one is offered" "did you mean check?" "$err"
for c in stats check compact dump-sst dump-wal dump-manifest checkpoint backup restore; do
    lamina db $c --help
    is "$c --help exits 0" 0 "$status"
    has "$c --help shows its usage" "Usage: lamina db $c " "$out"
    lamina db $c
    is "$c without arguments is wrong usage" 2 "$status"
    has "$c without arguments says so" "lamina db $c: an argument is missing" "$err"
    lamina db $c --no-such-option src
    is "$c with an unknown option is wrong usage" 2 "$status"
done
for c in "stats absent" "check absent" "compact absent" "dump-sst absent" "dump-wal absent" "dump-manifest absent" \
    "checkpoint absent copy" "backup absent bk" "backup --list absent" "restore absent copy"; do
    lamina db $c
    is "$c fails" 1 "$status"
    has "$c says what is absent" "absent" "$err"
done
mkdir plain
echo text > plain/file
for c in stats check compact dump-sst dump-wal dump-manifest; do
    lamina db $c plain
    is "$c of a directory that is no database fails" 1 "$status"
    is "$c of one says so" "lamina db: plain: no database here" "$err"
done
lamina db check plain/file
has "check of a file says that it is no directory" "plain/file is not a directory" "$err"
lamina db stats --no-such-option src
has "an unknown option is said with the command" "lamina db stats: unrecognized option" "$err"
is "nothing was made" "no" "$([ -e absent ] || [ -e copy ] || [ -e bk ] && echo yes || echo no)"
lamina db stats src extra
is "one argument too many is wrong usage" 2 "$status"
lamina db dump-sst src --limit many
is "a limit that is no number is wrong usage" 2 "$status"
lamina db backup bk
is "backup without a database or an option is wrong usage" 2 "$status"
lamina db backup --list --verify bk
is "two things to do are wrong usage" 2 "$status"
lamina db backup --keep 0 bk
is "keeping none is wrong usage" 2 "$status"

# --- stats, check, compact ---
lamina db stats src
is "stats exits 0" 0 "$status"
has "stats gives a name and a number a line" "partitions 16" "$out"
has "stats names partitions" "partition user:default:t" "$out"
lamina db check src
is "check finds nothing in a good database" "src: no problem found" "$out"
bytes_of() { # DIR
    find "$1" -type f | sort | xargs cksum
}
before=$(bytes_of src)
lamina db check src
is "check changes nothing" "$before" "$(bytes_of src)"
cp -r src hurt
segment=$(find hurt/cold -name '*.parquet')
cp "$segment" hurt/cold/batch-99-00000000.parquet
lamina db check hurt
is "a file too many is no problem" 0 "$status"
has "a file too many is noted" "note: hurt/cold/batch-99-00000000.parquet: " "$out"
printf 'X' | dd of="$segment" bs=1 seek=30 conv=notrunc 2>/dev/null
lamina db check hurt
is "check of a damaged cold file fails" 1 "$status"
has "it names the file and the place" "$segment:" "$out"
has "it counts" "hurt: 1 problem found" "$out"
rm "$segment"
lamina db check hurt
has "a missing cold file is named" "$segment:0: cold file $segment is missing" "$out"
rm -r hurt
lamina db compact src
is "compact exits 0" 0 "$status"
lamina db compact src user:default:t no:such
is "compact of an unknown partition fails" 1 "$status"
has "compact names it" "no:such" "$err"

# --- dumps ---
lamina db dump-sst src
is "dump-sst exits 0" 0 "$status"
has "dump-sst tells about the file" "entries=" "$out"
has "dump-sst prints puts" "put sequence=" "$out"
has "dump-sst shows values" "value=" "$out"
lamina db dump-sst --keys-only src
is "keys alone have no values" "0" "$(printf '%s\n' "$out" | grep -c value=)"
one=$(ls src/*.sst | head -1)
lamina db dump-sst --limit 1 "$one"
is "a limit leaves one operation" "1" "$(printf '%s\n' "$out" | grep -vc '^sst ')"
lamina db dump-sst --hex "$one"
is "hexadecimal bytes have no backslash" "0" "$(printf '%s\n' "$out" | grep -c '\\')"
"$LAMINA" src "INSERT INTO t VALUES (4, 'in the log')" >"$work/out"
lamina db dump-wal src
is "dump-wal exits 0" 0 "$status"
has "dump-wal prints operations with partitions" " partition=" "$out"
has "dump-wal tells about the file" "torn=0" "$out"
has "dump-wal escapes blanks" 'in\x20the\x20log' "$out"
lamina db dump-manifest src
is "dump-manifest exits 0" 0 "$status"
has "dump-manifest begins with the root" "root generation=" "$out"
has "dump-manifest has partitions" "create partition=" "$out"
has "dump-manifest has the seal" " close" "$out"
lamina db dump-manifest --limit 1 src
is "a limit leaves one line beside the root" "2" "$(printf '%s\n' "$out" | wc -l | tr -d ' ')"
lamina db dump-sst src/ROOT
is "what is no SST fails" 1 "$status"
has "what is no SST is named" "src/ROOT: offset" "$err"
"$LAMINA" src "DELETE FROM t WHERE id = 4" >"$work/out"

# --- checkpoint ---
lamina db checkpoint src copy
is "checkpoint exits 0" 0 "$status"
lamina db check copy
is "the checkpoint is whole" 0 "$status"
is "the checkpoint has the rows" "$rows" "$(rows_of copy)"
is "the source has the rows" "$rows" "$(rows_of src)"
lamina db checkpoint src copy
is "a target that is there fails" 1 "$status"
has "a target that is there is named" "copy exists" "$err"

# --- backup and restore ---
lamina db backup src bk
is "backup prints its number" "backup 1" "$out"
"$LAMINA" src "INSERT INTO t VALUES (5, 'later')" >"$work/out"
lamina db backup src bk
is "numbers rise" "backup 2" "$out"
lamina db backup --list bk
is "both are listed" "2" "$(printf '%s\n' "$out" | grep -c '^backup [12] created=')"
lamina db backup --verify bk
is "verify finds nothing" 0 "$status"
lamina db restore --id 1 bk first
is "restore exits 0" 0 "$status"
is "the first backup has the first rows" "$rows" "$(rows_of first)"
lamina db restore bk newest
has "the newest has the later row" "later" "$(rows_of newest)"
lamina db restore --id 7 bk seventh
is "a backup that is not there fails" 1 "$status"
has "a backup that is not there is named" "no backup 7" "$err"
lamina db backup --keep 1 bk
is "keep exits 0" 0 "$status"
lamina db backup --list bk
is "one is left" "1" "$(printf '%s\n' "$out" | wc -l | tr -d ' ')"
lamina db backup --delete 1 bk
is "what is gone can't be deleted" 1 "$status"
data=$(ls bk/*.data | head -1)
printf 'x' | dd of="$data" bs=1 seek=20 conv=notrunc 2>/dev/null
lamina db backup --verify bk
is "verify finds damage" 1 "$status"
has "verify names the file" "$data: offset" "$err"
lamina db restore bk damaged
is "a damaged backup is not restored" 1 "$status"
has "restore names the file" "$data: offset" "$err"
is "nothing half is left" "no" "$([ -e damaged ] || [ -e damaged.unfinished ] && echo yes || echo no)"

# --- damage ---
sst=$(ls src/*.sst | head -1)
printf 'xxxx' | dd of="$sst" bs=1 seek=8 conv=notrunc 2>/dev/null
lamina db check src
is "check finds damage" 1 "$status"
has "check names file and offset" "$sst:0: " "$out"
lamina db dump-sst "$sst"
is "dump-sst of a damaged file fails" 1 "$status"
has "dump-sst still tells about the file" "sst $sst number=" "$out"
has "dump-sst names the place" "$sst: offset 0" "$err"
lamina db backup src bk2
is "what is damaged is not backed up" 1 "$status"
has "the damaged source is named" "$sst" "$err"
wal=$(ls copy/*.wal | head -1)
printf 'xxxx' | dd of="$wal" bs=1 seek=2 conv=notrunc 2>/dev/null
lamina db dump-wal "$wal"
is "dump-wal of a damaged file fails" 1 "$status"
has "dump-wal names the place" "$wal: offset 0" "$err"
finish
